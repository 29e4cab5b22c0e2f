//! A story as bars and marks on lanes, before it is drawn.
//!
//! Invariant: a bar ends no earlier than it begins, and everything lies on a lane that exists.

use std::collections::BTreeMap;

use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Operation, Reply, SlotReply};
use squid_mesh_core::task::{Fence, TaskKey, TaskRow};

use super::plain::{self, Tone, span};
use super::{Attempted, Cast, Deed, Landed, Scene, Trouble, Who, landing};
use crate::clock::SimTime;
use crate::fault::Fault;
use crate::ghost::{BodyId, ProcessId};

/// What a bar or mark stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Process,
    Frozen,
    Body,
    Lease,
    InDoubt,
    Outage,
    Commit,
    Fault,
    Violation,
}

impl Kind {
    /// Its name in style sheets and in the legend.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Kind::Process => "process",
            Kind::Frozen => "frozen",
            Kind::Body => "handler",
            Kind::Lease => "lease",
            Kind::InDoubt => "in-doubt",
            Kind::Outage => "outage",
            Kind::Commit => "commit",
            Kind::Fault => "fault",
            Kind::Violation => "violation",
        }
    }
}

/// Something that lasts, or happens at one instant.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) lane: usize,
    pub(super) kind: Kind,
    pub(super) from: SimTime,
    /// Of a mark, nothing.
    pub(super) to: Option<SimTime>,
    /// A few words.
    pub(super) label: String,
    /// What it is, in full.
    pub(super) detail: String,
}

/// A story, laid out.
#[derive(Debug, Clone, Default)]
pub(super) struct Timeline {
    pub(super) lanes: Vec<String>,
    pub(super) items: Vec<Item>,
    pub(super) end: SimTime,
}

/// Where what goes.
struct Builder<'a> {
    cast: &'a Cast,
    nodes: usize,
    runs: BTreeMap<RunId, usize>,
    timeline: Timeline,
    processes: BTreeMap<ProcessId, usize>,
    frozen: BTreeMap<usize, usize>,
    bodies: BTreeMap<BodyId, usize>,
    leases: BTreeMap<(TaskKey, Fence), usize>,
    doubts: Vec<(Who, usize)>,
}

impl Timeline {
    /// Lays a story out: a lane for each node, one for the store, and one for each run.
    pub(super) fn of(story: &[Scene], cast: &Cast, nodes: usize) -> Timeline {
        let mut timeline = Timeline::default();
        timeline.lanes.extend((0..nodes).map(Cast::node));
        timeline.lanes.push("store".into());
        let runs = cast.runs().iter().enumerate();
        let runs = runs.map(|(index, run)| (*run, nodes + 1 + index)).collect();
        timeline
            .lanes
            .extend(cast.runs().iter().map(|run| cast.run(*run)));
        let mut builder = Builder {
            cast,
            nodes,
            runs,
            timeline,
            processes: BTreeMap::new(),
            frozen: BTreeMap::new(),
            bodies: BTreeMap::new(),
            leases: BTreeMap::new(),
            doubts: Vec::new(),
        };
        for scene in story {
            builder.scene(scene);
        }
        let mut timeline = builder.timeline;
        timeline.end = story.last().map(|scene| scene.at).unwrap_or_default();
        timeline
    }

    /// What broke, over all lanes at the end.
    pub(super) fn breaks(&mut self, store: usize, text: &str) {
        self.items.push(Item {
            lane: store,
            kind: Kind::Violation,
            from: self.end,
            to: None,
            label: "broken".into(),
            detail: text.to_owned(),
        });
    }
}

impl Builder<'_> {
    fn scene(&mut self, scene: &Scene) {
        let at = scene.at;
        match &scene.deed {
            Deed::Boots { node, process, .. } => {
                let detail = format!("a process of {}", Cast::node(*node));
                let bar = self.bar(*node, Kind::Process, at, "process".into(), detail);
                self.processes.insert(*process, bar);
            }
            Deed::Gone { node, process } => self.gone(*node, *process, at),
            Deed::Thaws(node) => {
                let bar = self.frozen.remove(node);
                self.close(bar, at);
            }
            Deed::Fault(fault, trouble) => self.fault(*fault, trouble, at),
            Deed::Resolved { who, lands: false } => {
                let at_hand = self.doubts.iter().position(|(whose, _)| whose == who);
                let bar = at_hand.map(|index| self.doubts.remove(index).1);
                self.close(bar, at);
            }
            Deed::Lands(landed) => self.landed(landed, at),
            Deed::Begins {
                process,
                body,
                of,
                attempt,
                ..
            } => {
                let what = self.cast.attempted(*of);
                let detail = format!("the handler of {what}, attempt {attempt}");
                let (node, _) = self.cast.place(*process);
                let bar = self.bar(node, Kind::Body, at, what, detail);
                self.bodies.insert(*body, bar);
            }
            Deed::Returns { body, .. } => {
                let bar = self.bodies.remove(body);
                self.close(bar, at);
            }
            Deed::Aborts { process, of } => {
                let dropped = self.bodies.keys().copied();
                let is = |body: &BodyId| self.cast.body(body.0) == Some((*process, *of));
                let dropped: Vec<BodyId> = dropped.filter(is).collect();
                for body in dropped {
                    let bar = self.bodies.remove(&body);
                    self.close(bar, at);
                }
            }
            _ => {}
        }
    }

    fn bar(
        &mut self,
        lane: usize,
        kind: Kind,
        from: SimTime,
        label: String,
        detail: String,
    ) -> usize {
        self.timeline.items.push(Item {
            lane,
            kind,
            from,
            // Until something ends it, it lasts.
            to: Some(SimTime(u64::MAX)),
            label,
            detail,
        });
        self.timeline.items.len() - 1
    }

    fn mark(&mut self, lane: usize, kind: Kind, at: SimTime, detail: &str) {
        self.timeline.items.push(Item {
            lane,
            kind,
            from: at,
            to: None,
            label: kind.name().into(),
            detail: detail.to_owned(),
        });
    }

    fn close(&mut self, bar: Option<usize>, at: SimTime) {
        if let Some(bar) = bar {
            self.timeline.items[bar].to = Some(at);
        }
    }

    fn gone(&mut self, node: usize, process: ProcessId, at: SimTime) {
        let (bar, frozen) = (self.processes.remove(&process), self.frozen.remove(&node));
        self.close(bar, at);
        self.close(frozen, at);
        let with_it = |body: &BodyId| self.cast.body(body.0).is_some_and(|(on, _)| on == process);
        let bodies: Vec<BodyId> = self.bodies.keys().copied().filter(with_it).collect();
        for body in bodies {
            let bar = self.bodies.remove(&body);
            self.close(bar, at);
        }
    }

    fn fault(&mut self, fault: Fault, trouble: &Trouble, at: SimTime) {
        let detail = super::trouble::told(fault, trouble, self.cast);
        let store = self.nodes;
        let of = |who: &Who| match who {
            Who::Process(process) => self.cast.place(*process).0,
            Who::Client(_) | Who::Body(_) | Who::Handler => store,
        };
        let lane = match trouble {
            Trouble::Node(node, _) | Trouble::Hint(node) => *node,
            Trouble::Attempt(process, _) => self.cast.place(*process).0,
            Trouble::Request { who, .. } | Trouble::Scan(who) => of(who),
            Trouble::Run(run) | Trouble::Row(run, _) => {
                self.runs.get(run).copied().unwrap_or(store)
            }
            Trouble::Store(_) | Trouble::Clock(_) | Trouble::World => store,
        };
        self.mark(lane, Kind::Fault, at, &detail);
        match (fault, trouble) {
            (Fault::Freeze | Fault::FreezeHolder, Trouble::Node(node, _)) => {
                let bar = self.bar(*node, Kind::Frozen, at, "stands still".into(), detail);
                self.frozen.insert(*node, bar);
            }
            (_, Trouble::Store(micros)) => {
                let bar = self.bar(store, Kind::Outage, at, fault.name().into(), detail);
                self.close(Some(bar), at.plus_micros(*micros));
            }
            (Fault::InDoubtRollsBack, Trouble::Request { who, .. }) => {
                let bar = self.bar(store, Kind::InDoubt, at, "in doubt".into(), detail);
                self.doubts.push((*who, bar));
            }
            _ => {}
        }
    }

    fn landed(&mut self, landed: &Landed, at: SimTime) {
        let told = landing::told(landed, at, self.cast).join("; ");
        if landed.decided < at {
            let bar = self.bar(
                self.nodes,
                Kind::InDoubt,
                landed.decided,
                "in doubt".into(),
                told.clone(),
            );
            self.close(Some(bar), at);
        }
        if landed.wrote && !told.is_empty() {
            self.mark(self.nodes, Kind::Commit, at, &told);
            let mut runs: Vec<RunId> = landed.recorded.iter().map(|row| row.run).collect();
            runs.dedup();
            for run in runs {
                if let Some(lane) = self.runs.get(&run).copied() {
                    self.mark(lane, Kind::Commit, at, &told);
                }
            }
        }
        self.leases(landed, at);
    }

    fn leases(&mut self, landed: &Landed, at: SimTime) {
        if let (Operation::Settle(settle), Reply::Settled { slots, .. }) =
            (landed.operation.as_ref(), &landed.reply)
        {
            for (report, slot) in settle.reports.iter().zip(slots) {
                if *slot == SlotReply::Accepted {
                    let bar = self.leases.remove(&(report.key, report.token.fence));
                    self.close(bar, at);
                }
            }
        }
        let given: &[TaskRow] = match &landed.reply {
            Reply::Claimed(claimed) => &claimed.tasks,
            Reply::Settled { handed, .. } | Reply::Submitted { handed, .. } => handed,
            _ => &[],
        };
        for row in given {
            let Some(lane) = self.runs.get(&row.key.run).copied() else {
                continue;
            };
            let before: Vec<(TaskKey, Fence)> = self.leases.keys().copied().collect();
            for (key, fence) in before.into_iter().filter(|(key, _)| *key == row.key) {
                let bar = self.leases.remove(&(key, fence));
                self.close(bar, at);
            }
            let of = Attempted {
                key: row.key,
                fence: row.fence,
                step: row.step,
                role: row.role(),
            };
            let who = self.cast.who(landed.who);
            let label = format!("{who}: {}", self.cast.step(row.key.run, row.step));
            let detail = format!("the lease of {who} on {}", self.cast.attempted(of));
            let bar = self.bar(lane, Kind::Lease, at, label, detail);
            self.leases.insert((row.key, row.fence), bar);
        }
    }
}

/// The lines of the story for people, as a table beside the drawing.
pub(super) fn rows(story: &[Scene], cast: &Cast) -> Vec<(String, Tone, String)> {
    let lines = plain::lines(story, cast).into_iter();
    lines
        .map(|line| (format!("+{}", span(line.at.0)), line.tone, line.text))
        .collect()
}
