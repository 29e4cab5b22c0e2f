//! Faults that strike at a time of their own: processes, clocks, the store, a row.
//!
//! Invariant: whatever strikes, one node that can execute everything can start again, and the store comes back.

use squid_mesh_core::task::TaskKind;

use super::liveness::Phase;
use super::{Event, World};
use crate::choice::{Label, Topic};
use crate::clock::micros;
use crate::fault::{Fault, Situation};
use crate::ghost::ProcessId;
use crate::story::{Deed, Trouble};
use crate::violation::Check;

/// One strike.
#[derive(Debug, Clone, Copy)]
pub(super) struct Strike {
    pub(super) fault: Fault,
    pub(super) node: usize,
    /// A length of time, or a distance of clocks; microseconds.
    pub(super) span: u64,
    /// Whether it has been moved to a live deadline.
    pub(super) aimed: bool,
}

/// Strikes, with how many of them a seed may draw.
const STRIKES: [(Fault, u32); 11] = [
    (Fault::Crash, 4),
    (Fault::CrashAll, 1),
    (Fault::Freeze, 3),
    (Fault::Drain, 2),
    (Fault::DrainCut, 1),
    (Fault::Outage, 2),
    (Fault::ReadOnly, 1),
    (Fault::ClockForward, 2),
    (Fault::ClockBack, 2),
    (Fault::HostJump, 1),
    (Fault::Unreadable, 2),
];

impl World {
    /// Draws when what strikes.
    pub(super) fn draw_strikes(&mut self) {
        for (fault, most) in STRIKES {
            let rate = self.settings.intensities.of(fault);
            for _ in 0..most {
                let outer = self.choices.enter(Topic::Strike, &[fault as u64]);
                if rate > 0 && self.choices.happens(Label::Strike, rate) {
                    self.draw_strike(fault);
                }
                self.choices.leave(outer);
            }
        }
    }

    /// Draws something with a label of its own, so many times at most.
    pub(super) fn draw_apart(
        &mut self,
        fault: Fault,
        most: u32,
        label: Label,
        draw: impl Fn(&mut World),
    ) {
        let rate = self.settings.intensities.of(fault);
        for _ in 0..most {
            let outer = self.choices.enter(Topic::Strike, &[fault as u64]);
            if rate > 0 && self.choices.happens(label, rate) {
                draw(self);
            }
            self.choices.leave(outer);
        }
    }

    /// The database's clock steps back just after somebody has claimed what was due by it; so many times as often as usual.
    pub(super) fn maybe_step_back(&mut self, times: u32) {
        let rate = self.settings.intensities.of(Fault::ClockBack) / 10 * times;
        let strikes = matches!(self.phase, Phase::Faults);
        if rate > 0 && strikes && self.choices.happens(Label::Strike, rate) {
            let span = self.choices.magnitude(Label::Strike, 1_000, 30_000_000);
            self.step_clock(
                Fault::ClockBack,
                -i64::try_from(span).expect("half a minute"),
            );
        }
    }

    fn draw_strike(&mut self, fault: Fault) {
        let at = crate::clock::SimTime(self.choices.magnitude(
            Label::Strike,
            200_000,
            self.settings.horizon.0,
        ));
        let node = self.choices.index(Label::Strike, self.nodes.len());
        let lease = micros(self.settings.lease);
        let span = match fault {
            Fault::Freeze => {
                self.choices
                    .magnitude(Label::Strike, 10_000, (lease * 3).min(60_000_000))
            }
            Fault::Outage | Fault::ReadOnly => {
                self.choices
                    .magnitude(Label::Strike, 50_000, (lease * 2).min(30_000_000))
            }
            Fault::ClockForward | Fault::ClockBack | Fault::HostJump => {
                self.choices.magnitude(Label::Strike, 1_000, 60_000_000)
            }
            _ => {
                self.choices
                    .magnitude(Label::Strike, 1_000, micros(self.settings.grace).max(2_000))
            }
        };
        self.push(
            at,
            Event::Strike(Strike {
                fault,
                node,
                span,
                aimed: false,
            }),
        );
    }

    /// A strike comes.
    pub(super) fn strike(&mut self, strike: Strike) -> Check {
        if !matches!(self.phase, Phase::Faults) {
            return Ok(());
        }
        if !strike.aimed
            && self
                .choices
                .happens(Label::Aim, self.settings.intensities.of(Fault::Aimed))
        {
            return self.aim(strike);
        }
        match strike.fault {
            Fault::Crash => self.crash(strike.node, Fault::Crash),
            Fault::CrashAll => {
                (0..self.nodes.len()).for_each(|node| self.crash(node, Fault::CrashAll))
            }
            Fault::Freeze => self.freeze(strike.node, strike.span, Fault::Freeze),
            Fault::Drain => return self.drain(strike, Fault::Drain),
            Fault::DrainCut => return self.drain(strike, Fault::DrainCut),
            Fault::Outage | Fault::ReadOnly => self.begin_outage(strike.fault, strike.span),
            Fault::ClockForward => {
                self.step_clock(strike.fault, i64::try_from(strike.span).expect("a minute"))
            }
            Fault::ClockBack => {
                self.step_clock(strike.fault, -i64::try_from(strike.span).expect("a minute"))
            }
            Fault::HostJump => self.jump_host(strike.node, strike.span),
            Fault::Unreadable => self.damage_a_run(),
            Fault::Failover => return self.fail_over(strike.span),
            Fault::Restored => return self.restore(strike.span),
            Fault::Spoilt => self.spoil_a_row(),
            Fault::NodeLost => self.lose_node(strike.node),
            _ => {}
        }
        Ok(())
    }

    /// Moves a strike to a live deadline, or a microsecond before or after it. A freeze begins at once and ends there.
    fn aim(&mut self, strike: Strike) -> Check {
        let now = self.database_now();
        let dues: Vec<_> = self
            .tables
            .tasks()
            .map(|row| row.due_at)
            .filter(|due| *due > now)
            .collect();
        let aimed = Strike {
            aimed: true,
            ..strike
        };
        if dues.is_empty() {
            return self.strike(aimed);
        }
        let due = dues[self.choices.index(Label::Aim, dues.len())];
        let instant = self.instant_of(due).0 + self.choices.choose(Label::Aim, 3);
        let at = crate::clock::SimTime(instant.saturating_sub(1).max(self.now.0));
        self.fired(Fault::Aimed, Situation::Timer);
        if strike.fault == Fault::Freeze {
            let span = micros(at.since(self.now)).min(120_000_000);
            return self.strike(Strike { span, ..aimed });
        }
        self.push(at, Event::Strike(aimed));
        Ok(())
    }

    pub(super) fn fired_at(&mut self, fault: Fault, node: usize) {
        for situation in self.nodes[node].situations() {
            self.fired(fault, situation);
        }
        self.trace.fault(fault, || Trouble::Node(node, None));
    }

    fn crash(&mut self, node: usize, fault: Fault) {
        if self.nodes[node].process.is_some() {
            self.fired_at(fault, node);
            self.kill(node);
        }
    }

    /// Whether a process dies at this input or effect: by a drawn crash, or because a sweep has come to it.
    pub(super) fn dies_here(&mut self, node: usize) -> bool {
        self.effects += 1;
        if !matches!(self.phase, Phase::Faults) {
            return false;
        }
        let swept = self.settings.sweep() == Some(self.effects);
        let rate = self.settings.intensities.of(Fault::CrashAtEffect);
        let dies = swept || rate > 0 && self.choices.strikes(Label::Crash, rate);
        if dies {
            self.fired_at(Fault::CrashAtEffect, node);
            self.kill(node);
        }
        dies
    }

    pub(super) fn freeze(&mut self, node: usize, span: u64, fault: Fault) {
        let Some(process) = self.nodes[node].process else {
            return;
        };
        if self.nodes[node].frozen {
            return;
        }
        self.fired_at(fault, node);
        self.nodes[node].frozen = true;
        self.ghost.process_mut(process).frozen = true;
        self.push_in(span, Event::Thaw(node, process));
        self.maybe_replace(node);
    }

    /// A process that stood still goes on, with everything that happened to it meanwhile in some order.
    pub(super) fn thaw(&mut self, node: usize, process: ProcessId) {
        if self.nodes[node].process != Some(process) || !self.nodes[node].frozen {
            return;
        }
        self.trace.say(|| Deed::Thaws(node));
        self.goes_on_beside_successor(node);
        self.nodes[node].frozen = false;
        let now = self.now;
        let state = self.ghost.process_mut(process);
        (state.frozen, state.thawed, state.trouble) = (false, now, state.trouble.max(now));
        for event in std::mem::take(&mut self.nodes[node].backlog) {
            let span = self.choices.choose(Label::Tie, 50);
            self.push_in(span, event);
        }
    }

    /// The process that has just claimed or begun something stands still until about the end of its lease; so many times as
    /// often as usual.
    pub(super) fn maybe_freeze_holder(&mut self, process: ProcessId, times: u32) {
        let rate = self.settings.intensities.of(Fault::FreezeHolder) * times;
        if rate == 0
            || !matches!(self.phase, Phase::Faults)
            || !self.choices.strikes(Label::Strike, rate)
        {
            return;
        }
        let node = self.ghost.process(process).node;
        if self.nodes[node].process != Some(process) {
            return;
        }
        let lease = micros(self.settings.lease);
        let beside = self.choices.choose(Label::Aim, 3);
        let span = if self.choices.happens(Label::Aim, 500) {
            lease + beside - 1
        } else {
            lease + lease / 2
        };
        self.freeze(node, span, Fault::FreezeHolder);
    }

    fn drain(&mut self, strike: Strike, fault: Fault) -> Check {
        let Strike { node, span, .. } = strike;
        let Some(process) = self.nodes[node].process else {
            return Ok(());
        };
        if self.nodes[node].worker.is_none()
            || self.nodes[node].frozen
            || self.ghost.process(process).draining
        {
            return Ok(());
        }
        self.fired_at(fault, node);
        self.ghost.process_mut(process).draining = true;
        if fault == Fault::DrainCut {
            self.push_in(
                span,
                Event::Strike(Strike {
                    fault: Fault::Crash,
                    aimed: true,
                    ..strike
                }),
            );
        }
        self.trace.event(self.now, 0x700 | (process.0 as u64) << 12);
        self.input(node, process, squid_mesh_core::worker::Input::Drain)
    }

    /// What is in flight anywhere, for faults that concern the whole world.
    pub(super) fn fired_everywhere(&mut self, fault: Fault) {
        let attempts = self.nodes.iter().any(|node| !node.running.is_empty());
        let now = self.database_now();
        let timer = self
            .tables
            .tasks()
            .any(|row| row.owner.is_none() && row.due_at > now && row.kind != TaskKind::Deadline);
        let situations = [
            (attempts, Situation::Attempt),
            (timer, Situation::Timer),
            (!attempts, Situation::Idle),
        ];
        for (_, situation) in situations.into_iter().filter(|(holds, _)| *holds) {
            self.fired(fault, situation);
        }
    }

    fn begin_outage(&mut self, fault: Fault, span: u64) {
        self.fired_everywhere(fault);
        self.trace.fault(fault, || Trouble::Store(span));
        let until = self.now.plus_micros(span);
        self.outage = Some((fault, until));
        self.trouble = self.trouble.max(until);
    }

    fn step_clock(&mut self, fault: Fault, by: i64) {
        self.fired_everywhere(fault);
        self.trace.fault(fault, || Trouble::Clock(by));
        self.clock.step(by);
        (self.stepped, self.trouble) = (self.now, self.trouble.max(self.now));
    }

    fn jump_host(&mut self, node: usize, span: u64) {
        let Some(process) = self.nodes[node].process else {
            return;
        };
        self.fired_at(Fault::HostJump, node);
        self.nodes[node]
            .clock
            .jump(std::time::Duration::from_micros(span));
        self.trouble_for(super::request::Sender::Worker(process, 0));
        if let Some(key) = self.nodes[node].wake.take() {
            self.heap.remove(key);
            let key = self.push(self.now, Event::Wake(process));
            self.nodes[node].wake = Some(key);
        }
    }

    /// Writes over the snapshot of a run that is under way and in nobody's hands.
    fn damage_a_run(&mut self) {
        if !self.in_doubt.is_empty() {
            return;
        }
        let open = self
            .ghost
            .runs
            .iter()
            .filter(|(_, run)| run.ended.is_none());
        let open: Vec<_> = open.map(|(id, _)| *id).collect();
        if open.is_empty() {
            return;
        }
        let run = open[self.choices.index(Label::Strike, open.len())];
        let state = if self.choices.happens(Label::Strike, 500) {
            vec![0xff, 1, 2]
        } else {
            vec![1, 0xff]
        };
        self.tables.damage(run, state);
        self.ghost.spoil(run);
        self.fired(Fault::Unreadable, Situation::Idle);
        self.trace.fault(Fault::Unreadable, || Trouble::Run(run));
    }
}
