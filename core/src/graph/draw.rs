//! A run's graph as text that other programs draw.
//!
//! Invariant: whatever a name or label contains, the text stays well formed; the same graph gives the same text.

use std::fmt::Write as _;

use super::{EdgeState, NodeState, RunEdge, RunGraph, RunNode};
use crate::definition::{PreviewEdgeKind, escaped, shape};

impl RunGraph {
    /// The graph as a Mermaid flowchart: each node of the class of its state, thick arrows for ways that were gone, thin ones
    /// for those under way, dotted ones for those not reached, and crossed ones for those that will not be gone.
    pub fn to_mermaid(&self) -> String {
        let mut text = "flowchart TD\n".to_owned();
        let mut line = |line: String| {
            writeln!(text, "    {line}").expect("writing text into memory cannot fail");
        };
        for node in &self.nodes {
            let (open, close) = shape(node.kind);
            let label = escaped(&node.label);
            line(format!(
                "step_{}{open}\"{label}<br/>{}\"{close}:::{}",
                node.id, node.state, node.state
            ));
        }
        for edge in &self.edges {
            let arrow = match edge.state {
                EdgeState::Selected => "==>",
                EdgeState::Pending => "-->",
                EdgeState::Blocked => "-.->",
                EdgeState::Skipped => "--x",
            };
            let label = edge_label(edge).map_or_else(String::new, |label| format!("|{label}|"));
            line(format!(
                "step_{} {arrow}{label} step_{}",
                edge.from, edge.to
            ));
        }
        for state in NodeState::ALL {
            let (fill, border) = colours(state);
            line(format!("classDef {state} fill:{fill},stroke:{border}"));
        }
        text
    }

    /// The graph in the DOT language of Graphviz.
    pub fn to_dot(&self) -> String {
        let mut text = "digraph run {\n    node [style=filled];\n".to_owned();
        let mut line = |line: String| {
            writeln!(text, "    {line}").expect("writing text into memory cannot fail");
        };
        for node in &self.nodes {
            let (fill, border) = colours(node.state);
            line(format!(
                "{} [label={}, shape={}, fillcolor=\"{fill}\", color=\"{border}\"];",
                quoted(&node.id),
                quoted(&format!("{}\n{}", node.label, node.state)),
                dot_shape(node)
            ));
        }
        for edge in &self.edges {
            let style = match edge.state {
                EdgeState::Selected => "bold",
                EdgeState::Pending => "solid",
                EdgeState::Blocked => "dashed",
                EdgeState::Skipped => "dotted",
            };
            let label = edge_label(edge).unwrap_or_default();
            line(format!(
                "{} -> {} [label={}, style={style}];",
                quoted(&edge.from),
                quoted(&edge.to),
                quoted(&label)
            ));
        }
        text.push_str("}\n");
        text
    }
}

/// What stands on an arrow.
fn edge_label(edge: &RunEdge) -> Option<String> {
    let own = match &edge.kind {
        PreviewEdgeKind::Data | PreviewEdgeKind::Control => None,
        PreviewEdgeKind::Guard { label } => Some(label.as_str()),
        PreviewEdgeKind::Failure => Some("failure"),
        PreviewEdgeKind::Either => Some("either"),
    };
    match (own, edge.mark) {
        (Some(own), Some(mark)) => Some(format!("{own}, {mark}")),
        (Some(own), None) => Some(own.to_owned()),
        (None, mark) => mark.map(str::to_owned),
    }
}

/// Fill and border of a node.
fn colours(state: NodeState) -> (&'static str, &'static str) {
    match state {
        NodeState::Blocked => ("#f5f5f5", "#9e9e9e"),
        NodeState::Ready => ("#e3f2fd", "#1e88e5"),
        NodeState::Running => ("#90caf9", "#1565c0"),
        NodeState::Retrying => ("#ffe0b2", "#ef6c00"),
        NodeState::Waiting => ("#fff9c4", "#f9a825"),
        NodeState::Succeeded => ("#c8e6c9", "#2e7d32"),
        NodeState::Failed => ("#ffcdd2", "#c62828"),
        NodeState::Skipped => ("#ffffff", "#bdbdbd"),
        NodeState::Cancelled => ("#e0e0e0", "#616161"),
        NodeState::Undone => ("#d1c4e9", "#4527a0"),
        NodeState::UndoFailed => ("#f8bbd0", "#ad1457"),
    }
}

fn dot_shape(node: &RunNode) -> &'static str {
    match node.kind {
        "route" => "diamond",
        "pause" | "approval" | "signal" => "hexagon",
        "wait" | "until" => "ellipse",
        "child" | "each" => "box3d",
        _ => "box",
    }
}

/// A quoted string of DOT.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            c if c.is_control() => quoted.push(' '),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_string_of_dot_has_no_end_but_its_own() {
        assert_eq!(quoted("a \"b\" \\ c"), r#""a \"b\" \\ c""#);
        assert_eq!(quoted("one\ntwo\tthree\u{7}"), "\"one\\ntwo three \"");
    }
}
