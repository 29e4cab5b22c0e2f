//! Every change of every clock from 1990 to 2037, against the definition of a firing.
//!
//! A wall-clock time has the instants at which some offset of its zone, in force at that instant, shows it. From those the
//! policies choose. Nothing else is asked here, so nothing of the search is shared.

use std::collections::BTreeSet;

use squid_mesh_core::cron::{Calendar, Expression, Firing, GapPolicy, RepeatedHourPolicy, Zone};
use squid_mesh_core::time::Timestamp;

use crate::changes::{Change, DAY, changes, offset, tz};

const HOUR: i64 = 3_600;
/// How far around a change firings are compared: no clock has ever been moved by more than a day.
const AROUND: i64 = 27 * HOUR;

/// 1990-01-01T00:00:00Z and 2038-01-01T00:00:00Z.
const FROM: i64 = 631_152_000;
const UNTIL: i64 = 2_145_916_800;

/// Expressions, with the second of the day or of the hour that they name.
const DAILY: [(&str, i64); 7] = [
    ("0 0 * * *", 0),
    ("30 0 * * *", 30 * 60),
    ("15 1 * * *", HOUR + 15 * 60),
    ("0 2 * * *", 2 * HOUR),
    ("30 2 * * *", 2 * HOUR + 30 * 60),
    ("0 3 * * *", 3 * HOUR),
    ("59 59 23 * * *", DAY - 1),
];
const HOURLY: [(&str, i64); 3] = [
    ("0 * * * *", 0),
    ("30 * * * *", 30 * 60),
    ("1 45 * * * *", 45 * 60 + 1),
];

#[test]
fn one_in_twenty_changes_of_all_clocks_is_respected_with_the_usual_policies() {
    sweep(20, |calendar| vec![calendar]);
}

#[test]
#[ignore = "the whole of the database with every pair of policies takes minutes without optimisation: run it with --release -- --ignored"]
fn every_change_of_all_clocks_is_respected_with_every_pair_of_policies() {
    sweep(1, |calendar| {
        let gaps = GapPolicy::ALL.map(|gap| calendar.clone().with_gap(gap));
        let all = gaps.iter().flat_map(|calendar| {
            RepeatedHourPolicy::ALL.map(|policy| calendar.clone().with_repeated_hour(policy))
        });
        all.collect()
    });
}

#[expect(clippy::print_stdout, reason = "how much was compared")]
fn sweep(one_in: usize, variants: impl Fn(Calendar) -> Vec<Calendar>) {
    let (mut changed, mut compared, mut firings) = (0, 0, 0);
    let mut seen = BTreeSet::new();
    for zone in Zone::all() {
        let all = changes(zone, FROM, UNTIL);
        if !seen.insert(all.clone()) {
            continue; // another name for the same clock
        }
        let named = named(zone, &variants);
        for change in all {
            changed += 1;
            if changed % one_in != 0 {
                continue;
            }
            for (calendar, second, period) in &named {
                firings += compare(calendar, change, *second, *period);
                compared += 1;
            }
        }
    }
    println!(
        "{} clocks, {changed} changes, {compared} windows of {} hours compared, {firings} firings",
        seen.len(),
        2 * AROUND / HOUR
    );
}

/// Calendars of a zone, each with the second it names and the period in which that second comes again.
fn named(zone: Zone, variants: impl Fn(Calendar) -> Vec<Calendar>) -> Vec<(Calendar, i64, i64)> {
    let daily = DAILY.map(|(text, second)| (text, second, DAY));
    let hourly = HOURLY.map(|(text, second)| (text, second, HOUR));
    let mut named = Vec::new();
    for (text, second, period) in daily.into_iter().chain(hourly) {
        let calendar = Calendar::new(Expression::parse(text).unwrap(), zone);
        named.extend(variants(calendar).into_iter().map(|c| (c, second, period)));
    }
    named
}

/// Compares the firings around a change, both ways, and counts them.
fn compare(calendar: &Calendar, change: Change, second: i64, period: i64) -> usize {
    let expected = expected(calendar, change, second, period);
    let after = Timestamp::from_micros((change.at - AROUND) * 1_000_000);
    let until = Timestamp::from_micros((change.at + AROUND) * 1_000_000);
    let back = calendar.newest(1_000, after, until);
    let mut last = after;
    let forward: Vec<Firing> = std::iter::from_fn(|| {
        let firing = calendar.next_after(last).filter(|f| f.at <= until)?;
        assert!(firing.at > last, "{calendar:?} {change:?}");
        last = firing.at;
        Some(firing)
    })
    .collect();
    assert_eq!(forward, back, "{calendar:?} {change:?}");
    let found: Vec<(i64, Option<&str>)> = forward
        .iter()
        .map(|f| (f.at.as_micros() / 1_000_000, f.policy.map(|p| p.as_str())))
        .collect();
    assert_eq!(found, expected, "{calendar:?} {change:?}");
    let tz = tz(calendar.zone());
    for firing in forward {
        let offset = offset(tz, firing.at.as_micros() / 1_000_000);
        assert_eq!(firing.offset().num_seconds(), offset);
    }
    found.len()
}

/// What the definition gives: the firings around a change with the policies that had a say.
fn expected(
    calendar: &Calendar,
    change: Change,
    second: i64,
    period: i64,
) -> Vec<(i64, Option<&'static str>)> {
    let tz = tz(calendar.zone());
    let within = change.at - AROUND + 1..=change.at + AROUND;
    let first = (within.start() - DAY).div_euclid(period) * period + second;
    let mut ordinary = BTreeSet::new();
    let mut moved = BTreeSet::new();
    let mut wall = first;
    while wall <= within.end() + DAY {
        let mut instants: Vec<i64> = [change.before, change.after]
            .map(|offset| (wall - offset, offset))
            .into_iter()
            .filter(|(at, in_force)| offset(tz, *at) == *in_force)
            .map(|(at, _)| at)
            .collect();
        instants.sort_unstable();
        match instants[..] {
            [] if calendar.gap() == GapPolicy::FireAfter => {
                moved.insert(change.at);
            }
            [first, second] => match calendar.repeated_hour() {
                RepeatedHourPolicy::First => {
                    _ = ordinary.insert((first, Some("repeated_hour_first")))
                }
                RepeatedHourPolicy::Second => {
                    _ = ordinary.insert((second, Some("repeated_hour_second")));
                }
                _ => ordinary.extend([first, second].map(|at| (at, Some("repeated_hour_every")))),
            },
            [at] => _ = ordinary.insert((at, None)),
            _ => {}
        }
        wall += period;
    }
    ordinary.retain(|(at, _)| !moved.contains(at));
    ordinary.extend(moved.into_iter().map(|at| (at, Some("gap_fire_after"))));
    ordinary.retain(|(at, _)| within.contains(at));
    ordinary.into_iter().collect()
}
