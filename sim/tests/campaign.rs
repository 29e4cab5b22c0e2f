//! Short campaigns as plain tests: the acceptance behaviours of a world under faults.

use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::HandlerSet;
use squid_mesh_core::worker::QueueConfig;
use squid_mesh_sim::campaign::{Campaign, tell};
use squid_mesh_sim::choice::Choices;
use squid_mesh_sim::fault::Fault;
use squid_mesh_sim::fault::intensity::{Intensities, Portfolio};
use squid_mesh_sim::fault::sometimes::Milestone;
use squid_mesh_sim::library::{self, HANDLERS, QUEUES};
use squid_mesh_sim::settings::{NodeSetup, Profile, Settings, Traffic};
use squid_mesh_sim::store::Edition;
use squid_mesh_sim::trace::Trace;
use squid_mesh_sim::world::{Outcome, World};

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// A calm world of one node, with the first fixed workflows.
fn calm(seed: u64) -> Settings {
    let mut settings = Settings::drawn(
        &mut Choices::replayed(&[]),
        Profile::PullRequest,
        Mutation::NONE,
    );
    let handlers: HandlerSet = HANDLERS
        .iter()
        .map(|name| Name::new(name).expect("a proper name"))
        .collect();
    let queues = QUEUES.iter().map(|name| QueueConfig {
        name: Name::new(name).expect("a proper name"),
        slots: 4,
    });
    settings.nodes = vec![NodeSetup {
        handlers: Arc::new(handlers),
        queues: queues.collect(),
        drift: 0,
        edition: Edition::Current,
    }];
    let index = usize::try_from(seed).expect("a small seed") % library::fixed_shapes();
    settings.workflows = vec![Arc::clone(&library::workflows()[index])];
    settings
}

fn passed(outcome: &Outcome) {
    if let Some(violation) = &outcome.violation {
        let story: Vec<String> = outcome.story.iter().map(ToString::to_string).collect();
        panic!("{violation}\n{}", story.join("\n"));
    }
}

#[test]
fn a_short_campaign_passes_and_the_same_seeds_give_the_same_traces() {
    let campaign = Campaign {
        twice_one_in: 1,
        ..Campaign::over(0, 100)
    };
    let summary = campaign.run(&|_| {});
    assert_eq!(summary.failed, 0, "{:#?}", summary.failures);
    assert_eq!(summary.seeds, 100);
    assert!(
        summary.events >= 200 * summary.seeds,
        "{} events",
        summary.events
    );
    let (met, feasible) = summary.sometimes.coverage();
    assert!(met * 10 >= feasible * 7, "{met} of {feasible}");
}

#[test]
fn a_log_of_choices_repeats_its_seed_and_an_empty_one_is_calm() {
    let run = |choices| {
        World::new(
            choices,
            Profile::PullRequest,
            Mutation::NONE,
            Trace::default(),
        )
        .run()
    };
    let first = run(Choices::seeded(11).logged());
    let again = run(Choices::replayed(&first.log));
    assert_eq!((first.hash, first.events), (again.hash, again.events));
    let calm = run(Choices::replayed(&[]));
    passed(&calm);
    assert_eq!(
        (calm.portfolio, calm.sometimes.faults()),
        (Portfolio::Calm, 0)
    );
    assert!(calm.sometimes.count(Milestone::Completed) > 0);
}

#[test]
fn choices_told_apart_by_place_repeat_their_seed() {
    for seed in 0..40 {
        let run = |choices| {
            let profile = Profile::PullRequest;
            World::new(choices, profile, Mutation::NONE, Trace::default()).run()
        };
        let plain = run(Choices::seeded(seed));
        let first = run(Choices::seeded(seed).with_places());
        assert_eq!(plain.hash, first.hash, "seed {seed}");
        let again = run(Choices::placed(&first.taken, &BTreeSet::new()));
        assert_eq!((first.hash, first.events), (again.hash, again.events));
    }
}

#[test]
fn a20_1_a_crash_at_any_point_of_a_run_leads_to_the_same_result() {
    for seed in 0..4 {
        let settings = Settings {
            traffic: Traffic::StartsOnly,
            ..calm(seed)
        };
        // That each gives the result of what was really executed is for the oracles.
        let has_crashed = |settings: Settings, crash: u64| {
            let runs = settings.runs as u64;
            let outcome = World::with(settings, Choices::seeded(seed), Trace::told()).run();
            passed(&outcome);
            let completed = outcome.sometimes.count(Milestone::Completed);
            assert_eq!(completed, runs, "seed {seed}, crash at effect {crash}");
            outcome.sometimes.faults() > 0
        };
        assert!(!has_crashed(settings.clone(), 0));
        let at = |effect: &u64| {
            let intensities = Intensities::sweep(*effect);
            let settings = Settings {
                intensities,
                ..settings.clone()
            };
            has_crashed(settings, *effect)
        };
        // A world without the crash has fewer effects than the first at which none happens.
        let effects = (1..200).take_while(at).count();
        assert!((20..199).contains(&effects), "seed {seed}: {effects}");
    }
}

#[test]
fn a20_3_every_run_finishes_although_every_hint_is_lost() {
    for seed in 0..20 {
        let mut settings = calm(seed);
        settings.hints_off = true;
        passed(&World::with(settings, Choices::seeded(seed), Trace::told()).run());
    }
}

#[test]
fn a_backlog_is_worked_off_as_slots_get_free_and_not_by_a_claim_a_poll() {
    let mut settings = Settings {
        traffic: Traffic::StartsOnly,
        hints_off: true,
        poll: Duration::from_secs(600),
        runs: 40,
        ..calm(0)
    };
    settings.nodes[0].queues[0].slots = 2;
    let poll = settings.poll;
    let outcome = World::with(settings, Choices::seeded(0), Trace::told()).run();
    passed(&outcome);
    assert_eq!(outcome.sometimes.count(Milestone::Completed), 40);
    let taken = Duration::from_micros(outcome.simulated.0);
    assert!(taken < poll * 3, "it took {taken:?}");
}

#[test]
fn a20_4_clocks_that_are_far_off_make_nothing_early_and_nothing_twice() {
    for seed in 0..20 {
        let mut settings = calm(seed);
        let slow = NodeSetup {
            drift: -500_000,
            ..settings.nodes[0].clone()
        };
        let fast = NodeSetup {
            drift: 900_000,
            ..settings.nodes[0].clone()
        };
        settings.nodes.extend([slow, fast]);
        settings.intensities = Intensities::CALM
            .with(Fault::HostJump, 900)
            .with(Fault::HandlerFails, 200);
        passed(&World::with(settings, Choices::seeded(seed), Trace::told()).run());
    }
}

#[test]
fn a17_11_a_store_that_is_out_for_a_while_loses_no_run() {
    for seed in 0..20 {
        let mut settings = calm(seed);
        settings.intensities = Intensities::CALM
            .with(Fault::Outage, 1_000)
            .with(Fault::Stall, 50);
        passed(&World::with(settings, Choices::seeded(seed), Trace::told()).run());
    }
}

#[test]
fn a_story_tells_what_happened_up_to_the_event_asked_for() {
    let outcome = tell(Choices::seeded(5), Profile::PullRequest, Mutation::NONE, 50);
    assert_eq!(outcome.events, 50);
    assert!(
        outcome
            .story
            .iter()
            .any(|scene| scene.to_string().contains("a client sends command"))
    );
}

#[test]
fn a20_5_every_attempt_that_began_is_accounted_for_by_a_report_or_a_recorded_loss() {
    for seed in 0..20 {
        let mut settings = calm(seed);
        settings.nodes.push(settings.nodes[0].clone());
        settings.intensities = Intensities::CALM
            .with(Fault::Crash, 300)
            .with(Fault::HandlerKillsHost, 200)
            .with(Fault::HandlerFails, 200);
        passed(&World::with(settings, Choices::seeded(seed), Trace::told()).run());
    }
}

#[test]
fn what_was_committed_is_lost_only_where_losses_are_declared_and_everything_else_holds() {
    let over = |profile| {
        let campaign = Campaign {
            profile,
            ..Campaign::over(0, 150)
        };
        let summary = campaign.run(&|_| {});
        assert_eq!(summary.failed, 0, "{:?}", summary.failures);
        summary.sometimes
    };
    let declared = over(Profile::Loss);
    assert!(declared.total(Fault::Restored) > 50);
    assert!(declared.count(Milestone::StartLost) > 0);
    assert!(declared.count(Milestone::RanOnBeyondLoss) > 0);
    assert_eq!(over(Profile::PullRequest).total(Fault::Restored), 0);
}
