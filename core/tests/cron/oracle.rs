//! The `croner` crate walks the same expressions; where it fires at other instants, a policy says why.
//!
//! It goes by fixed rules of its own: an expression that names one second, one minute and one hour fires after a gap and at the
//! first pass of a repeated hour, every other one skips gaps and fires at every pass. Ours look at the hour field alone (`S9.3`).

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeZone};
use croner::parser::CronParser;
use croner::{Cron, JobType};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use squid_mesh_core::cron::{Calendar, Expression, Firing, GapPolicy, RepeatedHourPolicy, Zone};
use squid_mesh_core::time::Timestamp;

use crate::changes::{Change, DAY, changes, tz};
use crate::common::{ZONES, expression};

/// Expressions compared, each in every zone over two years.
const EXPRESSIONS: usize = 40;
/// Expressions with more firings than this in two years are compared around the changes of the clocks alone.
const WALKED_WHOLE: u32 = 1_200;

/// Why the two differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Explanation {
    /// Ours names hours and so fires after a gap, croner's has several times a day and skips it.
    HoursFireAfterAGap,
    /// Ours names hours and so fires once, croner's has several times a day and fires at both passes.
    HoursFireOnce,
    /// croner gives up on a gap of more than two hours.
    CronerGivesUp,
}

#[test]
#[expect(clippy::print_stdout, reason = "how much was compared")]
fn every_difference_from_croner_is_one_of_policy() {
    let mut compared = Compared::default();
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::deterministic_rng(RngAlgorithm::ChaCha),
    );
    for _ in 0..EXPRESSIONS {
        let text = expression().new_tree(&mut runner).unwrap().current();
        for zone in ZONES {
            compare(&text, zone, &mut compared);
        }
    }
    println!(
        "{} firings compared, differences: {:?}",
        compared.firings, compared.differences
    );
    assert!(compared.firings > 80_000);
    // Each of the explanations is needed.
    assert_eq!(compared.differences.len(), 3);
}

#[derive(Default)]
struct Compared {
    firings: usize,
    differences: BTreeMap<Explanation, usize>,
}

fn compare(text: &str, zone: &str, compared: &mut Compared) {
    let usual = Calendar::new(Expression::parse(text).unwrap(), Zone::parse(zone).unwrap());
    let parser = CronParser::builder().sloppy_ranges(true).build();
    let theirs = parser.parse(text).unwrap();
    let fixed = theirs.determine_job_type() == JobType::FixedTime;
    let alike = if fixed {
        usual
            .clone()
            .with_gap(GapPolicy::FireAfter)
            .with_repeated_hour(RepeatedHourPolicy::First)
    } else {
        usual
            .clone()
            .with_gap(GapPolicy::Skip)
            .with_repeated_hour(RepeatedHourPolicy::Every)
    };
    if !usual.expression().fires() {
        let never = theirs.find_next_occurrence(&DateTime::UNIX_EPOCH, false);
        assert!(never.is_err(), "{text} fires at {never:?}");
        return;
    }
    for (from, until) in windows(&usual) {
        let croner = walk_croner(&theirs, usual.zone(), from, until);
        // With croner's own policies, nothing but what it gives up on may differ.
        for at in differing(&walk(&alike, from, until), &croner.at) {
            assert!(croner.gave_up.contains(&at), "{alike:?} at {at:?}");
        }
        let ours = walk(&usual, from, until);
        compared.firings += ours.len();
        for at in differing(&ours, &croner.at) {
            let why = explain(&usual, &croner, fixed, &ours, at);
            let why = why.unwrap_or_else(|| panic!("{text} in {zone} at {at:?}"));
            *compared.differences.entry(why).or_default() += 1;
        }
    }
}

/// Which of our policies made us fire or not fire at an instant, unlike croner.
fn explain(
    calendar: &Calendar,
    theirs: &Walked,
    fixed: bool,
    ours: &BTreeMap<Timestamp, Firing>,
    at: Timestamp,
) -> Option<Explanation> {
    if theirs.gave_up.contains(&at) {
        return Some(Explanation::CronerGivesUp);
    }
    if fixed || calendar.expression().is_sub_daily() {
        return None; // both have the same policies
    }
    match ours.get(&at) {
        Some(firing) => firing
            .policy
            .is_some_and(|policy| policy.as_str() == "gap_fire_after")
            .then_some(Explanation::HoursFireAfterAGap),
        None => {
            // The second pass of a time that we fired at the first pass of.
            let every = calendar
                .clone()
                .with_repeated_hour(RepeatedHourPolicy::Every);
            let passed = every.last_at_or_before(at).filter(|f| f.at == at)?;
            let first = ours.values().any(|f| f.local == passed.local && f.at < at);
            first.then_some(Explanation::HoursFireOnce)
        }
    }
}

/// The instants at which only one of two fires.
fn differing(ours: &BTreeMap<Timestamp, Firing>, theirs: &BTreeSet<Timestamp>) -> Vec<Timestamp> {
    let ours: BTreeSet<Timestamp> = ours.keys().copied().collect();
    ours.symmetric_difference(theirs).copied().collect()
}

fn walk(calendar: &Calendar, from: Timestamp, until: Timestamp) -> BTreeMap<Timestamp, Firing> {
    let mut after = from;
    std::iter::from_fn(|| {
        let firing = calendar.next_after(after).filter(|f| f.at <= until)?;
        after = firing.at;
        Some((firing.at, firing))
    })
    .collect()
}

/// Where croner fires.
#[derive(Default)]
struct Walked {
    at: BTreeSet<Timestamp>,
    /// The ends of the gaps that it gave up on; it goes on there.
    gave_up: BTreeSet<Timestamp>,
}

fn walk_croner(cron: &Cron, zone: Zone, from: Timestamp, until: Timestamp) -> Walked {
    let tz = tz(zone);
    let mut walked = Walked::default();
    let mut after = tz.timestamp_micros(from.as_micros()).unwrap();
    let mut inclusive = false;
    loop {
        let Ok(next) = cron.find_next_occurrence(&after, inclusive) else {
            let gap = change_after(zone, after.timestamp());
            walked
                .gave_up
                .insert(Timestamp::from_micros(gap * 1_000_000));
            after = tz.timestamp_opt(gap, 0).unwrap();
            inclusive = true;
            continue;
        };
        assert!(inclusive || next > after);
        let at = Timestamp::from_micros(next.timestamp_micros());
        if at > until {
            return walked;
        }
        walked.at.insert(at);
        (after, inclusive) = (next, false);
    }
}

/// The next change of a zone's clock, all in seconds.
fn change_after(zone: Zone, after: i64) -> i64 {
    let within = changes(zone, after, after + 366 * DAY);
    within.first().unwrap().at
}

/// The spans of time to compare: two years in which the zone's clock has changes, or some days around each of them.
fn windows(calendar: &Calendar) -> Vec<(Timestamp, Timestamp)> {
    let year = match calendar.zone().name() {
        "Pacific/Apia" => 2011,
        "Asia/Tehran" => 2021,
        _ => 2026,
    };
    let start = |year: i64| ((year - 1970) * 365 + (year - 1969) / 4) * DAY;
    let span = |from: i64, until: i64| {
        (
            Timestamp::from_micros(from * 1_000_000),
            Timestamp::from_micros(until * 1_000_000),
        )
    };
    let (from, until) = (start(year), start(year + 2));
    let whole = span(from, until);
    let count = calendar.newest(WALKED_WHOLE, whole.0, whole.1).len();
    if count < WALKED_WHOLE as usize {
        return vec![whole];
    }
    let around = |change: Change| span(change.at - 2 * DAY, change.at + 2 * DAY);
    changes(calendar.zone(), from, until)
        .into_iter()
        .map(around)
        .collect()
}
