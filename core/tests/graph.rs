//! Runs as graphs: where each step stands, and which ways were gone.
#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::{By, Event, Failure, Found, Role, Started};
use squid_mesh_core::graph::{EdgeState, NodeState, RunGraph};
use squid_mesh_core::id::{CommandId, Incarnation, Life, RunId};
use squid_mesh_core::mutant::Mutation;
use squid_mesh_core::name::{DEFAULT_TRIGGER, Name};
use squid_mesh_core::operation::RunRow;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Facts, Run, Verdict};
use squid_mesh_core::store::RunRecord;
use squid_mesh_core::task::{Fence, TaskRow};
use squid_mesh_core::time::Timestamp;

const NOW: Timestamp = Timestamp::from_micros(1_700_000_000_000_000);

/// A run of a draft, and the agenda it implies.
struct Case {
    definition: Definition,
    run: Run,
    tasks: Vec<TaskRow>,
}

impl Case {
    fn start(steps: Value) -> Case {
        let draft = json!({"name": "w", "version": 1, "steps": steps}).to_string();
        let definition = Definition::parse_text(&draft).unwrap();
        let started = Started {
            command: CommandId::from_u128(7),
            definition: definition.key().clone(),
            digest: definition.digest(),
            trigger: Name::stored(DEFAULT_TRIGGER),
            input: Payload::null().digest(),
            raw_input: Payload::null().digest(),
            key: None,
            labels: BTreeMap::new(),
            queue: None,
            priority: None,
            due: None,
            deadline: None,
            trace: None,
            parent: None,
            copy: None,
            by: By::default(),
        };
        let id = RunId::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0000);
        let facts = Facts {
            now: NOW,
            claimed: None,
            mutation: Mutation::NONE,
        };
        let run = Run::start(id, Life(1), &definition, started, Vec::new(), facts).run;
        let tasks = run.agenda(&definition);
        Case {
            definition,
            run,
            tasks,
        }
    }

    fn at(&self, name: &str) -> StepIndex {
        self.definition.index_of(name).unwrap()
    }

    fn take(&mut self, event: Event) {
        let nobody = BTreeSet::new();
        let facts = Facts {
            now: NOW,
            claimed: Some(&nobody),
            mutation: Mutation::NONE,
        };
        match self.run.decide(&self.definition, event, &facts) {
            Verdict::Decided(decided) => self.run = decided.run,
            other => panic!("{other:?}"),
        }
        self.tasks = self.run.agenda(&self.definition);
    }

    fn fence(&self, step: StepIndex) -> Fence {
        let seq = self.run.step(step).stage.armed().unwrap().seq;
        Fence { seq, claims: 1 }
    }

    fn succeed(&mut self, name: &str) {
        let step = self.at(name);
        self.take(Event::Succeeded {
            step,
            role: Role::Step,
            fence: self.fence(step),
            output: Payload::null().digest(),
            label: None,
        });
    }

    fn fail(&mut self, name: &str) {
        let step = self.at(name);
        self.take(Event::Failed {
            step,
            role: Role::Step,
            fence: self.fence(step),
            failure: Failure::new("declined", "SECRET-1", false),
            payload: Payload::null().digest(),
        });
    }

    /// Has a worker hold the step.
    fn claim(&mut self, name: &str) {
        let step = self.at(name);
        let row = self.tasks.iter_mut().find(|row| row.step == step).unwrap();
        row.owner = Some(Incarnation::from_u128(1));
        row.due_at = NOW.plus(Duration::from_secs(30));
    }

    fn record(&self) -> RunRecord {
        RunRecord {
            now: NOW,
            row: RunRow {
                id: self.run.id(),
                life: self.run.life(),
                definition: self.run.definition().clone(),
                seq: self.run.seq(),
                status: self.run.status(),
                state: self.run.encode(),
                parent: None,
                source: None,
                schedule: None,
                labels: BTreeMap::new(),
                created: NOW,
                updated: NOW,
            },
            tasks: self.tasks.clone(),
            paused: BTreeSet::new(),
        }
    }

    fn graph(&self) -> RunGraph {
        RunGraph::of(&self.record(), &self.definition).unwrap()
    }
}

fn states(graph: &RunGraph) -> Vec<(&str, NodeState)> {
    let nodes = graph.nodes.iter();
    nodes.map(|node| (node.id.as_str(), node.state)).collect()
}

fn edges(graph: &RunGraph) -> Vec<(&str, EdgeState)> {
    let edges = graph.edges.iter();
    edges.map(|edge| (edge.id.as_str(), edge.state)).collect()
}

/// A run whose route was taken, with one branch in a worker's hands and the other at a pause.
fn half_way() -> Case {
    let mut case = Case::start(json!([
        {"name": "a", "handler": "h", "label": "The \"first\""},
        {"name": "size", "route": [{"label": "big", "equals": 1}, {"label": "small", "otherwise": true}],
         "input": "output(a)"},
        {"name": "large", "handler": "h", "input": "output(a)", "when": {"step": "size", "label": "big"}},
        {"name": "little", "handler": "h", "input": "output(a)", "when": {"step": "size", "label": "small"}},
        {"name": "merged", "handler": "h", "input": "either(large,little)"},
        {"name": "ask", "pause": {}, "needs": ["a"]},
        {"name": "asked", "handler": "h", "needs": ["ask"]},
        {"name": "tail", "handler": "h", "needs": ["merged"], "after": ["asked"]},
    ]));
    case.succeed("a");
    let size = case.at("size");
    let label = case.definition.step(size).way("big").unwrap();
    case.take(Event::Evaluated {
        step: size,
        found: Found::Label(label),
    });
    case.claim("large");
    case
}

#[test]
fn a18_2_a_run_half_way_has_edges_that_are_selected_skipped_pending_and_blocked() {
    let graph = half_way().graph();
    assert_eq!(
        states(&graph),
        [
            ("a", NodeState::Succeeded),
            ("size", NodeState::Succeeded),
            ("large", NodeState::Running),
            ("little", NodeState::Skipped),
            ("merged", NodeState::Blocked),
            ("ask", NodeState::Waiting),
            ("asked", NodeState::Blocked),
            ("tail", NodeState::Blocked),
        ]
    );
    assert_eq!(
        edges(&graph),
        [
            ("a-size-1", EdgeState::Selected),
            ("a-large-1", EdgeState::Selected),
            ("size-large-1", EdgeState::Selected),
            ("a-little-1", EdgeState::Skipped),
            ("size-little-1", EdgeState::Skipped),
            ("large-merged-1", EdgeState::Pending),
            ("little-merged-1", EdgeState::Skipped),
            ("a-ask-1", EdgeState::Selected),
            ("ask-asked-1", EdgeState::Pending),
            ("merged-tail-1", EdgeState::Blocked),
            ("asked-tail-1", EdgeState::Blocked),
        ]
    );
    assert_eq!(graph.nodes[1].way.as_deref(), Some("big"));
    assert_eq!((graph.nodes[0].attempts, graph.nodes[2].attempts), (1, 0));
}

#[test]
fn a18_2_the_graph_is_the_definitions_preview_with_states_and_the_same_on_each_call() {
    let case = half_way();
    let (graph, preview) = (case.graph(), case.definition.preview());
    assert_eq!(graph, case.graph());
    let mut whole = serde_json::to_value(&graph).unwrap();
    for edge in whole["edges"].as_array_mut().unwrap() {
        let edge = edge.as_object_mut().unwrap();
        assert!(
            ["id", "state", "mark"]
                .map(|key| edge.remove(key))
                .iter()
                .all(Option::is_some)
        );
    }
    assert_eq!(
        whole["edges"],
        serde_json::to_value(&preview.edges).unwrap()
    );
    let ids = |nodes: &[Value]| {
        nodes
            .iter()
            .map(|node| node["id"].clone())
            .collect::<Vec<_>>()
    };
    let nodes = serde_json::to_value(&preview.nodes).unwrap();
    assert_eq!(
        ids(whole["nodes"].as_array().unwrap()),
        ids(nodes.as_array().unwrap())
    );
    assert_eq!(whole["nodes"][2]["state"], "running");
}

#[test]
fn a18_2_mermaid_and_dot_show_the_states_and_stay_well_formed() {
    let graph = half_way().graph();
    let mermaid = graph.to_mermaid();
    for line in [
        "    step_a[\"The #34;first#34;<br/>succeeded\"]:::succeeded\n",
        "    step_size{\"size<br/>succeeded\"}:::succeeded\n",
        "    step_ask{{\"ask<br/>waiting\"}}:::waiting\n",
        "    step_size ==>|big| step_large\n",
        "    step_size --x|small| step_little\n",
        "    step_large -->|either| step_merged\n",
        "    step_merged -.-> step_tail\n",
        "    classDef undo_failed fill:#f8bbd0,stroke:#ad1457\n",
    ] {
        assert!(mermaid.contains(line), "{line} is not in\n{mermaid}");
    }
    let dot = graph.to_dot();
    for line in [
        "digraph run {\n",
        "    \"a\" [label=\"The \\\"first\\\"\\nsucceeded\", shape=box, ",
        "    \"size\" -> \"large\" [label=\"big\", style=bold];\n",
        "    \"merged\" -> \"tail\" [label=\"\", style=dashed];\n",
    ] {
        assert!(dot.contains(line), "{line} is not in\n{dot}");
    }
    assert!(dot.ends_with("}\n"));
}

#[test]
fn each_kind_of_step_has_a_shape_of_its_own_in_dot() {
    let case = Case::start(json!([
        {"name": "sort", "route": [{"label": "big", "equals": 1}], "input": "input"},
        {"name": "ask", "pause": {}},
        {"name": "rest", "wait": "1h"},
        {"name": "parcel", "child": {"workflow": "parcel"}, "input": "input"},
        {"name": "work", "handler": "h"},
    ]));
    let dot = case.graph().to_dot();
    for (step, shape) in [
        ("sort", "diamond"),
        ("ask", "hexagon"),
        ("rest", "ellipse"),
        ("parcel", "box3d"),
        ("work", "box"),
    ] {
        let line = dot
            .lines()
            .find(|line| line.contains(&format!("label=\"{step}")));
        let line = line.unwrap_or_else(|| panic!("{step} is not in {dot}"));
        assert!(line.contains(&format!("shape={shape}")), "{line}");
    }
}

#[test]
fn a11_8_a_failure_route_that_was_taken_is_selected_and_bears_its_mark() {
    let mut case = Case::start(json!([
        {"name": "charge", "handler": "h"},
        {"name": "notify", "handler": "h", "input": "failure(charge)", "mark": "compensation"},
        {"name": "release", "handler": "h", "when": {"step": "charge", "label": "failed"}, "mark": "undo"},
        {"name": "ship", "handler": "h", "input": "output(charge)"},
    ]));
    let marks = |graph: &RunGraph| -> Vec<_> {
        let edges = graph.edges.iter();
        edges
            .map(|edge| (edge.to.clone(), edge.state, edge.mark))
            .collect()
    };
    let all = |route, ship| {
        [
            ("notify".to_owned(), route, Some("compensation")),
            ("release".to_owned(), route, Some("undo")),
            ("ship".to_owned(), ship, None),
        ]
    };
    assert_eq!(
        marks(&case.graph()),
        all(EdgeState::Pending, EdgeState::Pending)
    );
    case.fail("charge");
    let graph = case.graph();
    assert_eq!(marks(&graph), all(EdgeState::Selected, EdgeState::Skipped));
    assert_eq!(graph.nodes[0].code.as_deref(), Some("declined"));
    assert!(
        graph
            .to_mermaid()
            .contains("step_charge ==>|failure, compensation| step_notify")
    );
    let text = serde_json::to_string(&graph).unwrap();
    assert!(!text.contains("SECRET-1"), "a graph carries no payloads");
}

#[test]
fn a_taken_back_step_and_an_unreadable_run_are_shown_as_such() {
    let mut case = Case::start(json!([
        {"name": "a", "handler": "h", "undo": {"handler": "u"}},
        {"name": "b", "handler": "h", "input": "output(a)"},
    ]));
    case.succeed("a");
    case.fail("b");
    let a = case.at("a");
    assert_eq!(
        case.graph().nodes[0].state,
        NodeState::Succeeded,
        "its undo is under way"
    );
    let armed = case.run.step(a).undoing().unwrap();
    case.take(Event::Succeeded {
        step: a,
        role: Role::Undo,
        fence: Fence {
            seq: armed.seq,
            claims: 1,
        },
        output: Payload::null().digest(),
        label: None,
    });
    assert_eq!(
        states(&case.graph()),
        [("a", NodeState::Undone), ("b", NodeState::Failed)]
    );
    let mut record = case.record();
    record.row.state = vec![0xff, 1, 2];
    assert!(RunGraph::of(&record, &case.definition).is_err());
}
