//! Failures made small: they stay the same failure, and can be read.
#![cfg(feature = "mutants")]

use std::time::Duration;

use squid_mesh_core::mutant::{Mutant, Mutation};
use squid_mesh_sim::campaign::run_seed;
use squid_mesh_sim::settings::Profile;
use squid_mesh_sim::shrink::{Artefact, Budget, Setting, Shrunk, shrink};
use squid_mesh_sim::story::{self, Report};
use squid_mesh_sim::trace::Trace;
use squid_mesh_sim::world::Outcome;

/// The first seed that notices a seeded bug.
fn failing(mutant: Mutant) -> (u64, Setting) {
    let setting = Setting {
        profile: Profile::PullRequest,
        mutation: Mutation::of(mutant),
    };
    let fails = |seed: &u64| {
        let outcome = run_seed(*seed, setting.profile, setting.mutation);
        outcome.violation.is_some()
    };
    let seed = (0..500).find(fails).expect("the bug is noticed");
    (seed, setting)
}

fn small(seed: u64, setting: Setting) -> Shrunk {
    // By attempts, so that the time that a machine takes does not matter.
    let budget = Budget {
        time: Duration::from_secs(3_600),
        attempts: 500,
    };
    shrink(seed, setting, budget, &mut |_, _| {}).expect("the seed fails")
}

#[test]
fn a_failure_that_was_made_small_is_the_same_failure_and_repeats_itself() {
    for mutant in [
        Mutant::JoinForgotten,
        Mutant::RetryNotDelayed,
        Mutant::DrainHandsBackRunning,
    ] {
        let (seed, setting) = failing(mutant);
        let whole = run_seed(seed, setting.profile, setting.mutation);
        let shrunk = small(seed, setting);
        let broken = whole.violation.expect("the seed fails").promise;
        assert_eq!(shrunk.violation.promise, broken, "{mutant:?}");
        assert!(shrunk.after.total() <= 15, "{mutant:?}: {:?}", shrunk.after);
        assert!(shrunk.after.total() <= shrunk.before.total(), "{mutant:?}");
        let again = shrunk.case.run(setting, Trace::default(), u64::MAX);
        let violation = again.violation.expect("it breaks again");
        assert_eq!(violation.detail, shrunk.violation.detail, "{mutant:?}");
        assert_eq!(violation.event, shrunk.violation.event, "{mutant:?}");
        assert_eq!(again.operations, shrunk.after.operations, "{mutant:?}");
    }
}

#[test]
fn the_same_failure_becomes_the_same_small_one() {
    let (seed, setting) = failing(Mutant::RetryNotDelayed);
    let (one, other) = (small(seed, setting), small(seed, setting));
    assert_eq!(one.case, other.case);
    assert_eq!((one.after, one.attempts), (other.after, other.attempts));
}

#[test]
fn a_seed_that_breaks_nothing_is_not_made_small() {
    let setting = Setting {
        profile: Profile::PullRequest,
        mutation: Mutation::NONE,
    };
    assert!(shrink(0, setting, Budget::default(), &mut |_, _| {}).is_none());
}

#[test]
fn a_file_repeats_its_failure_and_says_so_where_something_else_happens() {
    let (seed, setting) = failing(Mutant::JoinForgotten);
    let shrunk = small(seed, setting);
    let written = Artefact::new(Some(seed), setting, &shrunk.case, Some(&shrunk.violation));
    let read = Artefact::read(&written.text()).expect("it was written just now");
    let (case, setting) = (read.case().unwrap(), read.setting().unwrap());
    let broken = case.run(setting, Trace::default(), u64::MAX).violation;
    read.compare(broken.as_ref())
        .expect("the same breaks again");
    let mended = Setting {
        mutation: Mutation::NONE,
        ..setting
    };
    let outcome = case.run(mended, Trace::default(), u64::MAX);
    let error = read
        .compare(outcome.violation.as_ref())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("with this simulator nothing breaks"),
        "{error}"
    );
}

/// The story of the first seed that notices a seeded bug, made small: as text, and as a page.
fn told(mutant: Mutant) -> (Outcome, String, String) {
    let (seed, setting) = failing(mutant);
    let shrunk = small(seed, setting);
    let outcome = shrunk.case.run(setting, Trace::told(), u64::MAX);
    let violation = outcome.violation.as_ref().expect("it breaks");
    let report = Report::new("a seed".into(), &outcome.story, &outcome.cast, violation);
    let (text, page) = (
        report.to_string(),
        story::html("a seed", &outcome, Some(&report)),
    );
    (outcome, text, page)
}

#[test]
fn a_story_says_what_went_wrong_outside() {
    let (_, text, page) = told(Mutant::UnknownClaimRenumbered);
    assert!(text.contains("FAULT "), "{text}");
    assert!(page.contains("item violation") && page.contains("item fault"));
}

#[test]
fn a_story_names_who_did_what_to_which_step_and_what_broke() {
    let (outcome, text, page) = told(Mutant::RenewalIgnoresFence);
    for part in [
        "a client",
        " asks to start ",
        "; step ",
        " begins the handler of step ",
        " records that step ",
        " renews its lease on step ",
        "BROKEN: a write under an old claim never lands",
        "built from  squid-mesh-sim ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    for run in outcome.cast.runs() {
        assert!(!text.contains(&run.to_string()), "an id is in\n{text}");
    }
    assert!(page.contains("item violation"));
}
