//! The end of a world: faults stop, some nodes stay, every run must finish, and then nothing may stir.
//!
//! Invariant: the time that runs are given is computed from the state when the faults stop; no run is exempt that could be
//! read.

use std::fmt::Write as _;
use std::time::Duration;

use squid_mesh_core::id::CommandId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{QueueAction, ScheduleAction};
use squid_mesh_core::schedule::{ScheduleId, ScheduleKey, Standing};

use super::client::CommandState;
use super::request::Sender;
use super::scope::command_scope;
use super::{Event, World};
use crate::choice::{Label, Topic};
use crate::clock::{SimTime, micros};
use crate::fault::Fault;
use crate::plan::{Command, Wish, schedule_wish, set_queue};
use crate::story::Deed;
use crate::violation::{Check, Promise, broken, ensure};

/// Which part of its life a world is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Clients send and faults strike.
    Faults,
    /// Every run must finish until then.
    Finishing {
        /// By when.
        until: SimTime,
    },
    /// Nothing is left to do: the workers merely poll.
    Idle {
        /// Since when.
        since: SimTime,
        /// Until when it is watched.
        until: SimTime,
        /// Requests to the store before that.
        asked: u64,
    },
    /// Done.
    Over,
}

/// For how long nothing was left to do when faults stop early: about as long as operators look away.
const QUIET: Duration = Duration::from_secs(8);

impl World {
    /// Faults and clients stop. A random healthy core stays; the rest is dead or frozen for ever.
    pub(super) fn calm(&mut self) -> Check {
        self.trace.say(|| Deed::Calm);
        self.settings.intensities.end();
        self.outage = None;
        self.trouble = self.trouble.max(self.now);
        if self.choices.happens(Label::Core, 300) {
            self.settings.hints_off = true;
        }
        self.end_deploys();
        let capable: Vec<usize> = (0..self.nodes.len())
            .filter(|node| self.is_capable(*node))
            .collect();
        let core = capable[self.choices.index(Label::Core, capable.len())];
        self.phase = Phase::Finishing {
            until: SimTime(u64::MAX),
        };
        for node in (0..self.nodes.len()).filter(|node| *node != core) {
            let may = |fault| self.settings.cast.faults.has(fault);
            let (dies, freezes) = (may(Fault::Crash), may(Fault::Freeze));
            match self.choices.choose(Label::Core, 3) {
                1 if dies => self.kill(node),
                2 if freezes => self.freeze(node, 1 << 50, Fault::Freeze),
                _ => {}
            }
        }
        if let Some(process) = self.nodes[core].process {
            self.thaw(core, process);
        } else if !self.nodes[core].booting {
            self.nodes[core].booting = true;
            self.push(self.now, Event::Boot(core));
        }
        self.phase = Phase::Finishing {
            until: self.now.plus(self.bound()),
        };
        Ok(())
    }

    /// Whether a node whose process ended starts another one: the dead stay dead once faults have stopped, the core does not.
    pub(super) fn may_restart(&self, node: usize) -> bool {
        match self.phase {
            _ if self.nodes[node].lost => false,
            Phase::Faults => true,
            Phase::Finishing { .. } => {
                let drained = self.is_capable(node);
                let others =
                    (0..self.nodes.len()).any(|other| other != node && self.is_core(other));
                drained && !others
            }
            Phase::Idle { .. } | Phase::Over => false,
        }
    }

    pub(super) fn is_capable(&self, node: usize) -> bool {
        !self.nodes[node].lost && self.settings.nodes[node].is_capable(&self.settings.cast)
    }

    fn is_core(&self, node: usize) -> bool {
        let state = &self.nodes[node];
        self.is_capable(node) && !state.frozen && (state.process.is_some() || state.booting)
    }

    /// Faults stop before their time where nothing has been left to strike at for a while, in which somebody might have asked
    /// for more.
    fn calm_if_quiet(&mut self) -> Check {
        if self.ghost.any_open() || !self.settings.cast.library || !self.is_settled() {
            self.stirred = self.now;
        }
        if self.now.since(self.stirred) < QUIET {
            return Ok(());
        }
        let outer = self.choices.enter(Topic::Calm, &[0, 1]);
        let check = self.calm();
        self.choices.leave(outer);
        check
    }

    /// Whether nothing was asked for that is not done, or under way for a second time, and nothing will be started by itself.
    fn is_settled(&self) -> bool {
        let mut commands = self.commands.iter();
        let mut requests = self.requests.values();
        commands.all(|state| state.answered)
            && !requests.any(|request| matches!(request.sender, Sender::Client { .. }))
            && !self.fires()
            && self.in_doubt.is_empty()
    }

    /// Whether there is a schedule that has not been deleted or retired.
    fn fires(&self) -> bool {
        let mut schedules = self.ghost.schedules.all.values();
        schedules.any(|schedule| schedule.standing != Standing::Retired)
    }

    /// Moves on to the next phase when its time has come.
    pub(super) fn advance_phase(&mut self) -> Check {
        match self.phase {
            Phase::Faults => return self.calm_if_quiet(),
            Phase::Over => {}
            Phase::Finishing { until } => {
                let answered = self.commands.iter().all(|state| state.answered);
                if answered {
                    self.resume_all();
                    self.end_schedules();
                }
                if self.ghost.all_ended() && self.is_settled() {
                    self.finished()?;
                } else if self.now > until {
                    return broken(Promise::EveryRunFinishes, self.standing());
                }
            }
            Phase::Idle {
                since,
                until,
                asked,
            } => {
                if self.now >= until {
                    self.was_idle(since, asked)?;
                    self.phase = Phase::Over;
                }
            }
        }
        Ok(())
    }

    /// Resumes what is paused: once faults have stopped, nobody else does. A pause that was under way may land later still,
    /// and is met in the same way.
    fn resume_all(&mut self) {
        let paused: Vec<Name> = self.ghost.queues.paused().cloned().collect();
        for queue in paused {
            let wish = set_queue(queue.as_str(), QueueAction::Resume, &mut self.choices);
            self.ask_now(wish);
        }
    }

    /// Deletes or retires what would fire for ever, once it has caught up with everything that was due.
    fn end_schedules(&mut self) {
        // Each turn may wait for a poll, and there may be more occurrences than polls: what is due may be as late as that.
        let patience = self.settings.poll * 3 + self.settings.lease * 2 + self.served();
        let late = self.database_now().minus(patience);
        let caught_up = |id: &ScheduleId| {
            let row = self.tables.schedule(*id);
            let state = row.and_then(|row| row.read_state().ok());
            state.is_some_and(|state| {
                let due = state.armed.is_some_and(|(due, _)| due <= late);
                !due && state.trouble.is_none()
            })
        };
        let all = &self.ghost.schedules.all;
        let done: Vec<ScheduleKey> = all
            .iter()
            .filter(|(id, known)| known.standing != Standing::Retired && caught_up(id))
            .map(|(_, schedule)| schedule.key.clone())
            .collect();
        for key in done {
            let id = CommandId::from_u128(self.choices.bits());
            let end = match &key {
                ScheduleKey::Named(_) => ScheduleAction::Delete,
                ScheduleKey::Declared { .. } => ScheduleAction::Retire { version: u32::MAX },
            };
            let wish = schedule_wish(&key, id, end);
            self.ask_now(wish);
        }
    }

    /// A client asks for something at once.
    fn ask_now(&mut self, wish: Wish) {
        let (at, via) = (self.now, None);
        let command = self.commands.len();
        let name = self.choices.name(command_scope(&wish));
        let asked = Command { at, wish, via };
        self.commands.push(CommandState::new(asked, name));
        let sending = 0;
        self.push(at, Event::Send { command, sending });
    }

    /// Every run has ended. Some worlds are watched a while longer, doing nothing.
    fn finished(&mut self) -> Check {
        self.trace.say(|| Deed::Finished);
        self.nothing_forgotten()?;
        if self.choices.happens(Label::Core, 60) {
            // What was in flight has to settle down before silence can be expected, and what is left of a run that cannot be
            // read has to be found out about.
            let settling = Duration::from_secs(90) + self.settings.lease * 3;
            let quiet = self.now.plus(settling + self.last_due());
            let until = quiet.plus(self.settings.poll * 12);
            self.phase = Phase::Idle {
                since: quiet,
                until,
                asked: u64::MAX,
            };
        } else {
            self.phase = Phase::Over;
        }
        Ok(())
    }

    /// A result that was handed to a worker which lives on was reported, or has nobody to be reported to.
    fn nothing_forgotten(&self) -> Check {
        for body in self
            .ghost
            .bodies
            .iter()
            .filter(|body| !body.answered && body.told.is_none())
        {
            let returned = matches!(body.end, Some(crate::ghost::BodyEnd::Returned(_)));
            let process = self.ghost.process(body.process);
            let settled_down =
                self.now.since(body.ended) > Duration::from_secs(30) + self.settings.lease;
            let in_peace =
                self.now.since(process.trouble.max(self.trouble)) > Duration::from_secs(30);
            ensure!(
                !(returned && process.is_healthy() && settled_down && in_peace),
                ReportsArrive,
                "the result of task {} was handed to process {} at {}, which was never told what became of it",
                body.attempt.key,
                body.process.0,
                body.ended
            );
        }
        Ok(())
    }

    /// A request was sent: the first of an idle time is counted from.
    pub(super) fn note_idle(&mut self) {
        if let Phase::Idle {
            since,
            until,
            asked: u64::MAX,
        } = self.phase
            && self.now >= since
        {
            self.phase = Phase::Idle {
                since,
                until,
                asked: self.asked,
            };
        }
    }

    fn was_idle(&self, since: SimTime, asked: u64) -> Check {
        let awake = self
            .nodes
            .iter()
            .filter(|node| node.worker.is_some() && !node.frozen)
            .count() as u64;
        let polls = micros(self.now.since(since)) / micros(self.settings.poll).max(1) + 2;
        let drift = 2;
        let sent = self.asked.saturating_sub(asked);
        ensure!(
            sent <= polls * awake * drift,
            IdleIsCheap,
            "{awake} idle workers asked the store {sent} times in {:?}, polling every {:?}",
            self.now.since(since),
            self.settings.poll
        );
        Ok(())
    }

    /// The heap is empty: nobody will ever do anything again.
    pub(super) fn nothing_left(&mut self) -> Check {
        match self.phase {
            Phase::Idle { .. } | Phase::Over => {
                self.phase = Phase::Over;
                Ok(())
            }
            Phase::Faults | Phase::Finishing { .. } => broken(
                Promise::EveryRunFinishes,
                format!("nobody is left to do anything; {}", self.standing()),
            ),
        }
    }

    /// What every unfinished run is stuck in.
    pub(super) fn standing(&self) -> String {
        let mut text = String::new();
        let now = self.database_now();
        let _ = write!(text, "the database's clock is at {now}");
        for (id, run) in self
            .ghost
            .runs
            .iter()
            .filter(|(_, run)| run.ended.is_none() && !run.unreadable)
        {
            let _ = write!(
                text,
                "\n  run {id} of {} is {}",
                run.definition.key(),
                run.fold.status()
            );
            for row in self.tables.tasks_of(*id) {
                let owner = row
                    .owner
                    .map_or_else(|| "nobody".into(), |owner| owner.to_string());
                let name = &run.definition.step(row.step).name;
                let _ = write!(
                    text,
                    "\n    {:?} of step {name} in queue {} is due at {}, held by {owner}",
                    row.kind, row.queue, row.due_at
                );
            }
        }
        for (id, schedule) in &self.ghost.schedules.all {
            let row = self.tables.schedule(*id);
            let state = row.and_then(|row| row.read_state().ok());
            let _ = write!(text, "\n  schedule {}: {state:?}", schedule.key);
        }
        for (number, state) in self
            .commands
            .iter()
            .enumerate()
            .filter(|(_, state)| !state.answered)
        {
            let _ = write!(
                text,
                "\n  command {number} is not answered: {:?}",
                state.command.wish
            );
        }
        for (number, node) in self.nodes.iter().enumerate() {
            let deadline = node.worker.as_ref().and_then(|worker| worker.deadline());
            let shown = node.clock.read(self.now);
            let _ = write!(
                text,
                "\n  node {number}: process {:?}, frozen {}, its clock {}, next {deadline:?}",
                node.process,
                node.frozen,
                shown.as_micros()
            );
        }
        text
    }
}
