//! Walks along a calendar.

use proptest::prelude::*;
use squid_mesh_core::cron::{Calendar, Expression, Firing, GapPolicy, RepeatedHourPolicy, Zone};
use squid_mesh_core::time::Timestamp;

use crate::common::{ZONES, expression};

const DAY: i64 = 86_400_000_000;

fn forward(calendar: &Calendar, after: Timestamp, until: Timestamp) -> Vec<Firing> {
    let mut after = after;
    std::iter::from_fn(|| {
        let firing = calendar.next_after(after).filter(|f| f.at <= until)?;
        after = firing.at;
        Some(firing)
    })
    .collect()
}

fn any_calendar() -> impl Strategy<Value = Calendar> {
    (
        expression(),
        proptest::sample::select(ZONES.to_vec()),
        proptest::sample::select(GapPolicy::ALL.to_vec()),
        proptest::sample::select(RepeatedHourPolicy::ALL.to_vec()),
    )
        .prop_map(|(expression, zone, gap, repeated_hour)| {
            let expression = Expression::parse(&expression).unwrap();
            Calendar::new(expression, Zone::parse(zone).unwrap())
                .with_gap(gap)
                .with_repeated_hour(repeated_hour)
        })
}

/// A day around which clocks change more often than around others: the end of March or October of a year, or of December.
fn any_day() -> impl Strategy<Value = i64> {
    let months = proptest::sample::select(vec![3_i64, 4, 9, 10, 11, 12]);
    (1990_i64..2037, months, 0_i64..31).prop_map(|(year, month, day)| {
        (year - 1970) * 365 + (year - 1969) / 4 + (month - 1) * 30 + day
    })
}

proptest! {
    #[test]
    fn backwards_is_forwards_reversed_and_both_start_again_anywhere(
        calendar in any_calendar(),
        day in any_day(),
        days in 1_i64..4,
    ) {
        let after = Timestamp::from_micros(day * DAY - 1);
        let until = Timestamp::from_micros((day + days) * DAY);
        let all = forward(&calendar, after, until);
        for pair in all.windows(2) {
            prop_assert!(pair[0].at < pair[1].at, "{calendar:?}: {pair:?}");
            // From any instant between two firings, the one comes next and the other was last.
            for between in [pair[0].at.as_micros(), pair[0].at.as_micros() + 1, pair[1].at.as_micros() - 1] {
                let between = Timestamp::from_micros(between);
                prop_assert_eq!(calendar.next_after(between), Some(pair[1]));
                prop_assert_eq!(calendar.last_at_or_before(between), Some(pair[0]));
            }
        }
        let count = u32::try_from(all.len()).unwrap();
        prop_assert_eq!(&calendar.newest(u32::MAX, after, until), &all);
        let half = calendar.newest(count / 2, after, until);
        prop_assert_eq!(&half[..], &all[all.len() - half.len()..]);
        prop_assert_eq!(half.len(), all.len() / 2);
    }
}
