//! A definition as a graph to look at, before anything runs.
//!
//! Invariant: the same definition gives the same graph, node ids included; nothing is registered or started for it.

use std::fmt::Write as _;

use serde::Serialize;

use super::step::{Step, Way, label};
use super::{Definition, Origin, StepIndex};

/// The graph of a definition.
///
/// ```
/// use squid_mesh_core::definition::Definition;
/// let draft = r#"{"name": "order", "version": 1, "steps": [
///     {"name": "charge", "handler": "charge"},
///     {"name": "ship", "handler": "ship", "input": "output(charge)"}]}"#;
/// let preview = Definition::parse_text(draft).unwrap().preview();
/// assert_eq!(preview.nodes.len(), 2);
/// assert!(preview.to_mermaid().contains("step_charge --> step_ship"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// One for each step, in declaration order.
    pub nodes: Vec<PreviewNode>,
    /// What the steps wait for, in the order of the waiting steps.
    pub edges: Vec<PreviewEdge>,
}

/// A step in the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PreviewNode {
    /// The step's name.
    pub id: String,
    /// The word of its kind: `handler`, `wait` and so on.
    pub kind: &'static str,
    /// For people: its label, or else its name.
    pub label: String,
}

/// One step that waits for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PreviewEdge {
    /// The step that is waited for.
    pub from: String,
    /// The step that waits.
    pub to: String,
    /// In which way.
    #[serde(flatten)]
    pub kind: PreviewEdgeKind,
}

/// The way in which one step waits for another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum PreviewEdgeKind {
    /// For its output.
    Data,
    /// For its success or its end, without taking anything.
    Control,
    /// For the way it goes.
    Guard {
        /// The label it must return, or `failed`.
        label: String,
    },
    /// For its failure.
    Failure,
    /// For it as one of several alternatives.
    Either,
}

impl Definition {
    /// The graph of this definition.
    pub fn preview(&self) -> Preview {
        let nodes = self.steps().iter().map(|step| PreviewNode {
            id: step.name.to_string(),
            kind: step.kind.word(),
            label: step.label.clone().unwrap_or_else(|| step.name.to_string()),
        });
        let edges = self.steps().iter().flat_map(|step| self.edges_to(step));
        Preview {
            nodes: nodes.collect(),
            edges: edges.collect(),
        }
    }

    fn edges_to(&self, step: &Step) -> Vec<PreviewEdge> {
        let sources = step.input.sources();
        let is_data = |need: &StepIndex| {
            let output = Origin::Output(*need);
            sources.iter().any(|source| source.origin == output)
        };
        let mut edges: Vec<(StepIndex, PreviewEdgeKind)> = Vec::new();
        for need in &step.needs {
            let data = is_data(need);
            let kind = if data {
                PreviewEdgeKind::Data
            } else {
                PreviewEdgeKind::Control
            };
            edges.push((*need, kind));
        }
        let after = step.after.iter();
        edges.extend(after.map(|earlier| (*earlier, PreviewEdgeKind::Control)));
        for guard in &step.guards {
            let label = match guard.way {
                Way::Failed => label::FAILED.to_owned(),
                Way::Label(index) => self.step(guard.step).ways()[usize::from(index.0)].to_string(),
            };
            edges.push((guard.step, PreviewEdgeKind::Guard { label }));
        }
        let failures = step.failures.iter();
        edges.extend(failures.map(|earlier| (*earlier, PreviewEdgeKind::Failure)));
        let mut either: Vec<StepIndex> = step.either.iter().flatten().copied().collect();
        either.sort_unstable();
        either.dedup();
        edges.extend(
            either
                .into_iter()
                .map(|earlier| (earlier, PreviewEdgeKind::Either)),
        );
        edges
            .into_iter()
            .map(|(from, kind)| PreviewEdge {
                from: self.step(from).name.to_string(),
                to: step.name.to_string(),
                kind,
            })
            .collect()
    }
}

impl Preview {
    /// The graph as a Mermaid flowchart. Ids are the step names after `step_`, which keeps them apart from Mermaid's own words.
    pub fn to_mermaid(&self) -> String {
        let mut text = "flowchart TD\n".to_owned();
        let mut line = |line: String| {
            writeln!(text, "    {line}").expect("writing text into memory cannot fail");
        };
        for node in &self.nodes {
            let (open, close) = shape(node.kind);
            let label = escaped(&node.label);
            line(format!("step_{}{open}\"{label}\"{close}", node.id));
        }
        for edge in &self.edges {
            let arrow = match &edge.kind {
                PreviewEdgeKind::Data => "-->".to_owned(),
                PreviewEdgeKind::Control => "-.->".to_owned(),
                PreviewEdgeKind::Guard { label } => format!("-->|{label}|"),
                PreviewEdgeKind::Failure => "-.->|failure|".to_owned(),
                PreviewEdgeKind::Either => "-->|either|".to_owned(),
            };
            line(format!("step_{} {arrow} step_{}", edge.from, edge.to));
        }
        text
    }
}

/// The brackets around the text of a node in Mermaid, by the word of its kind.
pub(crate) fn shape(kind: &str) -> (&'static str, &'static str) {
    match kind {
        "route" => ("{", "}"),
        "pause" | "approval" | "signal" => ("{{", "}}"),
        "wait" | "until" => ("([", "])"),
        "child" | "each" => ("[[", "]]"),
        _ => ("[", "]"),
    }
}

/// Text that Mermaid shows as it is: characters with a meaning of their own become entities.
pub(crate) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' => {
                write!(escaped, "#{};", u32::from(c))
                    .expect("writing text into memory cannot fail");
            }
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::samples;

    fn small() -> Definition {
        let draft = json!({"name": "w", "version": 1, "steps": [
            {"name": "end", "handler": "h", "labels": ["yes"], "label": "The \"end\" <b>\n#1"},
            {"name": "size", "route": [{"label": "big", "equals": 1}], "input": "output(end).size"},
            {"name": "ask", "pause": {}, "needs": ["end"], "when": {"step": "size", "label": "big"}},
            {"name": "sub", "child": {"workflow": "w"}, "after": ["end"]},
            {"name": "tell", "handler": "h", "input": ["failure(sub)", "either(ask,size)"]},
            {"name": "rest", "wait": "1s", "when": [{"step": "sub", "label": "failed"}], "either": [["size", "ask"]]},
        ]});
        Definition::parse(&draft).unwrap()
    }

    #[test]
    fn a2_3_a_preview_has_a_node_for_each_step_and_an_edge_for_each_way_of_waiting() {
        let preview = small().preview();
        assert_eq!(
            serde_json::to_value(&preview).unwrap(),
            json!({
                "nodes": [
                    {"id": "end", "kind": "handler", "label": "The \"end\" <b>\n#1"},
                    {"id": "size", "kind": "route", "label": "size"},
                    {"id": "ask", "kind": "pause", "label": "ask"},
                    {"id": "sub", "kind": "child", "label": "sub"},
                    {"id": "tell", "kind": "handler", "label": "tell"},
                    {"id": "rest", "kind": "wait", "label": "rest"},
                ],
                "edges": [
                    {"from": "end", "to": "size", "kind": "data"},
                    {"from": "end", "to": "ask", "kind": "control"},
                    {"from": "size", "to": "ask", "kind": "guard", "label": "big"},
                    {"from": "end", "to": "sub", "kind": "control"},
                    {"from": "sub", "to": "tell", "kind": "failure"},
                    {"from": "size", "to": "tell", "kind": "either"},
                    {"from": "ask", "to": "tell", "kind": "either"},
                    {"from": "sub", "to": "rest", "kind": "guard", "label": "failed"},
                    {"from": "size", "to": "rest", "kind": "either"},
                    {"from": "ask", "to": "rest", "kind": "either"},
                ],
            })
        );
    }

    #[test]
    fn a2_3_the_same_draft_has_the_same_preview_on_every_call_and_from_its_body() {
        let order = samples::changed(|_| {});
        let restored = Definition::from_body(order.body()).unwrap();
        for _ in 0..3 {
            assert_eq!(order.preview(), restored.preview());
        }
        let ids: Vec<String> = order
            .preview()
            .nodes
            .into_iter()
            .map(|node| node.id)
            .collect();
        let names: Vec<String> = order
            .steps()
            .iter()
            .map(|step| step.name.to_string())
            .collect();
        assert_eq!(ids, names);
    }

    #[test]
    fn a2_3_mermaid_gets_its_text_without_characters_that_mean_something_to_it() {
        assert_eq!(
            small().preview().to_mermaid(),
            r##"flowchart TD
    step_end["The #34;end#34; #60;b#62; #35;1"]
    step_size{"size"}
    step_ask{{"ask"}}
    step_sub[["sub"]]
    step_tell["tell"]
    step_rest(["rest"])
    step_end --> step_size
    step_end -.-> step_ask
    step_size -->|big| step_ask
    step_end -.-> step_sub
    step_sub -.->|failure| step_tell
    step_size -->|either| step_tell
    step_ask -->|either| step_tell
    step_sub -->|failed| step_rest
    step_size -->|either| step_rest
    step_ask -->|either| step_rest
"##
        );
    }
}
