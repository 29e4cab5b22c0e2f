//! Who plays in a story, by names that people can tell apart.
//!
//! Invariant: a name means one run, node or schedule throughout a story.

use std::collections::BTreeMap;
use std::sync::Arc;

use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::event::Event;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::Held;
use squid_mesh_core::task::{Fence, TaskKey};

use super::{Attempted, Deed, Scene, Who};
use crate::ghost::{Ghost, ProcessId};

/// The names of everything in a story.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    /// In the order in which they were started.
    runs: Vec<RunId>,
    known: BTreeMap<RunId, (usize, Arc<Definition>)>,
    /// The node of each process, and which of its node's it is.
    processes: Vec<(usize, usize)>,
    /// What processes call themselves.
    incarnations: Vec<String>,
    /// By the run of their task.
    schedules: BTreeMap<RunId, String>,
    bodies: Vec<(ProcessId, Attempted)>,
    /// What claims are of.
    claims: BTreeMap<(TaskKey, Fence), Attempted>,
}

impl Cast {
    /// Names whoever plays in a story.
    pub fn of(story: &[Scene], ghost: &Ghost) -> Cast {
        let mut cast = Cast::default();
        for scene in story {
            if let Deed::Lands(landed) = &scene.deed {
                for row in &landed.recorded {
                    if matches!(row.transition.event, Event::Started(_)) {
                        cast.introduce(row.run, ghost);
                    }
                }
            }
        }
        let mut starts: BTreeMap<usize, usize> = BTreeMap::new();
        for process in &ghost.processes {
            let nth = starts.entry(process.node).or_default();
            cast.processes.push((process.node, *nth));
            cast.incarnations.push(process.incarnation.to_string());
            *nth += 1;
        }
        let schedules = ghost.schedules.all.iter();
        cast.schedules = schedules
            .map(|(id, schedule)| (id.task().run, schedule.key.to_string()))
            .collect();
        let bodies = ghost.bodies.iter().map(|body| {
            let grant = &ghost.grants[body.grant.0];
            let of = Attempted {
                key: body.attempt.key,
                fence: body.attempt.token.fence,
                step: grant.step,
                role: grant.role,
            };
            (body.process, of)
        });
        cast.bodies = bodies.collect();
        let claims = ghost.grants.iter().map(|grant| {
            let of = Attempted {
                key: grant.key,
                fence: grant.fence,
                step: grant.step,
                role: grant.role,
            };
            ((grant.key, grant.fence), of)
        });
        cast.claims = claims.collect();
        cast
    }

    fn introduce(&mut self, run: RunId, ghost: &Ghost) {
        if let (false, Some(state)) = (self.known.contains_key(&run), ghost.runs.get(&run)) {
            self.runs.push(run);
            let number = self.runs.len();
            self.known.insert(run, (number, state.definition.clone()));
        }
    }

    /// Every run, in the order in which they were started.
    pub fn runs(&self) -> &[RunId] {
        &self.runs
    }

    /// A run by its workflow and a number.
    pub fn run(&self, run: RunId) -> String {
        if let Some((number, definition)) = self.known.get(&run) {
            return format!("{} #{number}", definition.name());
        }
        match self.schedules.get(&run) {
            Some(schedule) => schedule.clone(),
            None => format!("run {}", &run.to_string()[..8]),
        }
    }

    /// A step by its name.
    pub fn step(&self, run: RunId, step: StepIndex) -> String {
        match self.known.get(&run) {
            Some((_, definition)) if step.at() < definition.steps().len() => {
                format!("step {}", definition.step(step).name)
            }
            _ => format!("step {}", step.0),
        }
    }

    /// A node by its letter.
    pub fn node(node: usize) -> String {
        match u8::try_from(node) {
            Ok(node @ 0..26) => format!("node {}", char::from(b'A' + node)),
            _ => format!("node {node}"),
        }
    }

    /// The node of a process.
    pub fn process(&self, process: ProcessId) -> String {
        let (node, _) = self.processes.get(process.0).copied().unwrap_or_default();
        Cast::node(node)
    }

    /// Where a process runs, and how many its node had before it.
    pub fn place(&self, process: ProcessId) -> (usize, usize) {
        self.processes.get(process.0).copied().unwrap_or_default()
    }

    /// The body of a handler: where it runs, and for what.
    pub fn body(&self, body: usize) -> Option<(ProcessId, Attempted)> {
        self.bodies.get(body).copied()
    }

    /// What a lease is on.
    pub fn held(&self, held: &Held) -> String {
        match self.claims.get(&(held.key, held.token.fence)) {
            Some(of) => self.attempted(*of),
            None => format!("a step of {}", self.run(held.key.run)),
        }
    }

    /// Whoever asks.
    pub fn who(&self, who: Who) -> String {
        match who {
            Who::Process(process) => self.process(process),
            Who::Client(_) => "a client".to_owned(),
            Who::Handler => "a handler".to_owned(),
            Who::Body(body) => match self.body(body.0) {
                Some((_, of)) => format!("the handler of {}", self.attempted(of)),
                None => "a handler".to_owned(),
            },
        }
    }

    /// A step of a run, or its undo.
    pub fn attempted(&self, of: Attempted) -> String {
        use squid_mesh_core::event::Role;
        let step = self.step(of.key.run, of.step);
        let run = self.run(of.key.run);
        match of.role {
            Role::Step => format!("{step} of {run}"),
            Role::Undo => format!("the undo of {step} of {run}"),
        }
    }

    /// A text with names instead of ids.
    pub fn rename(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for run in self.known.keys().chain(self.schedules.keys()) {
            let (id, name) = (run.to_string(), self.run(*run));
            text = text
                .replace(&format!("run {id}"), &name)
                .replace(&id, &name);
        }
        for (index, incarnation) in self.incarnations.iter().enumerate() {
            text = text.replace(incarnation, &self.process(ProcessId(index)));
        }
        for index in (0..self.processes.len()).rev() {
            let name = self.process(ProcessId(index));
            text = replace_number(&text, &format!("process {index}"), &name);
        }
        text
    }
}

/// Replaces what is not the beginning of a longer number.
fn replace_number(text: &str, number: &str, name: &str) -> String {
    let mut parts = text.split(number);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let longer = part.starts_with(|next: char| next.is_ascii_digit());
        replaced += if longer { number } else { name };
        replaced += part;
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_replaced_only_as_a_whole() {
        let text = replace_number("process 1 met process 12", "process 1", "node A");
        assert_eq!(text, "node A met process 12");
    }
}
