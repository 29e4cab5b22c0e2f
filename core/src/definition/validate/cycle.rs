//! Steps that wait for each other.
//!
//! Invariant: a draft whose check finds no cycle can be put into an order in which every step follows those it waits for.

use super::super::draft::Draft;
use super::super::problem::ProblemCode;
use super::Checker;
use super::wiring::Wires;

impl Checker<'_> {
    /// Reports one cycle for each group of steps that wait for each other; a step that waits for itself is another problem.
    pub(super) fn cycles(&mut self, draft: &Draft, wires: &[Wires<'_>]) {
        let edges: Vec<Vec<usize>> = wires.iter().map(Wires::waits_for).collect();
        for cycle in cycles(&edges) {
            let named = |i: &usize| format!("{:?}", draft.steps[*i].name);
            let chain: Vec<String> = cycle.iter().chain(&cycle[..1]).map(named).collect();
            let message = format!(
                "steps wait for each other in a cycle: {}",
                chain.join(" needs ")
            );
            self.report(
                &format!("steps[{}].needs", cycle[0]),
                ProblemCode::Cycle,
                message,
            );
        }
    }
}

/// Cycles of a graph, at least one in each strongly connected part, no two sharing a node; each begins with its lowest node.
fn cycles(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut visits = vec![Visit::None; edges.len()];
    let mut reported = vec![false; edges.len()];
    let mut cycles = Vec::new();
    for start in 0..edges.len() {
        // Depth first, with the path so far as an explicit stack of (node, next edge).
        let mut path: Vec<(usize, usize)> = Vec::new();
        if visits[start] == Visit::None {
            visits[start] = Visit::Open;
            path.push((start, 0));
        }
        while let Some((node, next)) = path.last_mut() {
            let Some(target) = edges[*node].get(*next).copied() else {
                visits[*node] = Visit::Closed;
                path.pop();
                continue;
            };
            *next += 1;
            match visits[target] {
                Visit::None => {
                    visits[target] = Visit::Open;
                    path.push((target, 0));
                }
                Visit::Open => {
                    let cycle = closed_by(&path, target);
                    if cycle.iter().all(|node| !reported[*node]) {
                        cycle.iter().for_each(|node| reported[*node] = true);
                        cycles.push(cycle);
                    }
                }
                Visit::Closed => {}
            }
        }
    }
    cycles.sort();
    cycles
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Visit {
    None,
    Open,
    Closed,
}

/// The part of the path from `target` on, turned so that it begins with its lowest node.
fn closed_by(path: &[(usize, usize)], target: usize) -> Vec<usize> {
    let nodes = path.iter().map(|(node, _)| *node);
    let mut cycle: Vec<usize> = nodes.skip_while(|node| *node != target).collect();
    let lowest = cycle
        .iter()
        .enumerate()
        .min_by_key(|(_, node)| **node)
        .map_or(0, |(i, _)| i);
    cycle.rotate_left(lowest);
    cycle
}

#[cfg(test)]
mod tests {
    use super::super::tests::{chain, problem, problems};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::super::wiring::order;
    use super::*;
    use crate::definition::{Definition, DraftBinding, DraftGuard, DraftSource};

    #[test]
    fn a1_5_a_cycle_names_its_steps_and_a_self_need_is_a_problem_of_its_own() {
        let found = Definition::validate(chain(&[("a", &["b"]), ("b", &["c"]), ("c", &["a"])]))
            .unwrap_err();
        assert_eq!(
            found.to_string(),
            "steps[0].needs: steps wait for each other in a cycle: \"a\" needs \"b\" needs \"c\" needs \"a\" [cycle]"
        );
        assert_eq!(
            problems(chain(&[("a", &["a"])])),
            [problem("steps[0].needs[0]", "self_need")]
        );
    }

    #[test]
    fn each_group_of_steps_that_wait_for_each_other_is_reported_once() {
        let draft = chain(&[
            ("a", &["d"]),
            ("b", &["c"]),
            ("c", &["b", "a"]),
            ("d", &["e", "a"]),
            ("e", &["a", "d"]),
            ("f", &["a", "b"]),
        ]);
        assert_eq!(
            problems(draft),
            [
                problem("steps[0].needs", "cycle"),
                problem("steps[1].needs", "cycle")
            ]
        );
    }

    #[test]
    fn after_and_input_close_cycles_too() {
        let mut draft = chain(&[("a", &[]), ("b", &[])]);
        draft.steps[0].after = vec!["b".to_owned()];
        draft.steps[1].input = DraftBinding::Whole(DraftSource::output("a"));
        assert_eq!(
            problems(draft.clone()),
            [problem("steps[0].needs", "cycle")]
        );
        draft.steps[0].after = vec!["a".to_owned()];
        draft.steps[1].input = DraftBinding::Tuple(vec![DraftSource::output("b")]);
        assert_eq!(
            problems(draft),
            [
                problem("steps[0].after[0]", "self_need"),
                problem("steps[1].input[0]", "self_need")
            ]
        );
    }

    #[test]
    fn every_way_of_waiting_closes_a_cycle() {
        type Wait = fn(&mut crate::definition::DraftStep);
        let ways: [Wait; 6] = [
            |step| step.needs = vec!["b".to_owned()],
            |step| step.either = vec![vec!["b".to_owned()]],
            |step| step.after = vec!["b".to_owned()],
            |step| step.input = DraftBinding::Whole(DraftSource::failure("b")),
            |step| step.input = DraftBinding::Tuple(vec![DraftSource::either(["b"])]),
            |step| {
                step.when = vec![DraftGuard {
                    step: "b".to_owned(),
                    label: "failed".to_owned(),
                }]
            },
        ];
        for wait in ways {
            let mut draft = chain(&[("a", &[]), ("b", &["a"])]);
            wait(&mut draft.steps[0]);
            assert_eq!(problems(draft), [problem("steps[0].needs", "cycle")]);
        }
    }

    proptest! {
        #[test]
        fn there_is_a_cycle_if_and_only_if_no_order_exists(edges in vec(vec(0..9_usize, 0..3), 9)) {
            let found = cycles(&edges);
            let ordered = order(&edges);
            prop_assert_eq!(found.is_empty(), ordered.is_some());
            for (at, step) in ordered.iter().flatten().enumerate() {
                let before = &ordered.as_ref().unwrap()[..at];
                prop_assert!(edges[*step].iter().all(|earlier| before.contains(earlier)));
            }
            for cycle in found {
                for (i, node) in cycle.iter().enumerate() {
                    prop_assert!(edges[*node].contains(&cycle[(i + 1) % cycle.len()]));
                }
            }
        }
    }
}
