//! The reference model finds seeded bugs by itself, and is found out itself if it believes everything.

use squid_mesh_core::mutant::Mutant;
use squid_mesh_sim::mutants::{Effort, ablation, hunt};
use squid_mesh_sim::violation::Promise;

#[test]
fn the_model_alone_finds_bugs_of_the_graph_of_undo_of_retries_and_of_values() {
    let graph = [Mutant::GuardIgnored, Mutant::CancelNotRechecked];
    let undo = [Mutant::UndoInOrder, Mutant::UndoOfStarted];
    let retries = [Mutant::OneAttemptTooMany, Mutant::HoldForgotten];
    let values = [
        Mutant::FallbackFirst,
        Mutant::RejectionApproves,
        Mutant::ResultsAsTheyCame,
    ];
    for mutant in [&graph[..], &undo, &retries, &values].concat() {
        let seeds = ablation::alone(mutant, Promise::AsModelled, 300);
        assert!(seeds.is_some(), "{mutant:?}");
    }
}

#[test]
fn a_model_that_believes_what_runs_say_is_found_out_by_nothing_but_what_cannot_be() {
    let effort = Effort {
        seeds: 20,
        repetitions: 3,
    };
    let row = hunt(Mutant::ModelBelieves, effort);
    assert!(row.killed, "{row:?}");
    assert_eq!(row.killed_by, [Promise::ModelDiscerns.text()]);
    assert_eq!(
        ablation::alone(Mutant::ModelBelieves, Promise::AsModelled, 20),
        None
    );
}
