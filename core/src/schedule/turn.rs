//! What a schedule does when its task is due.
//!
//! Invariant: pure, and decided from the row as it is at commit: each turn decides about at most one occurrence that could
//! start a run, and moves the cursor past it.

use std::time::Duration;

use super::{Fired, Missed, Overlap, Schedule, Standing, Trouble};
use crate::id::RunId;
use crate::limits;
use crate::mutant::{Mutant, Mutation};
use crate::time::Timestamp;

/// What must be known of other runs before a schedule can take its turn.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The run that it would start.
    pub(crate) next: Option<RunId>,
    /// The run before, which may still be going on.
    pub(crate) previous: Option<RunId>,
}

/// What a schedule does in its turn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Turn {
    /// The schedule as it is to be, its task armed for the next turn.
    pub(crate) schedule: Schedule,
    /// The occurrence that starts a run.
    pub(crate) start: Option<Timestamp>,
    /// The run that is to be cancelled.
    pub(crate) cancel: Option<RunId>,
}

impl Schedule {
    /// What must be known before [`Schedule::turn`] at `now`.
    pub(crate) fn wants(&self, now: Timestamp, mutation: Mutation) -> Wanted {
        let occurrence = self.state.waiting;
        let occurrence = occurrence.or_else(|| self.pending(now, mutation).1);
        Wanted {
            next: occurrence.map(|at| self.run_of(at, mutation)),
            previous: self.state.previous,
        }
    }

    /// The run of an occurrence.
    pub(crate) fn run_of(&self, at: Timestamp, mutation: Mutation) -> RunId {
        let known = if mutation.is(Mutant::OccurrenceByWallClock) {
            self.plan.wall_clock(at)
        } else {
            at
        };
        self.id.occurrence(known)
    }

    /// Takes a turn. `active` says whether the run before is still going on; one that is gone is not.
    pub(crate) fn turn(&self, now: Timestamp, active: bool, mutation: Mutation) -> Turn {
        // Under a policy that was changed to allow overlaps, what has waited need not.
        let active = active && self.plan.overlap != Overlap::Allow;
        let active = active && !mutation.is(Mutant::OverlapForgotten);
        let mut turn = Turn {
            schedule: self.clone(),
            start: None,
            cancel: None,
        };
        let state = &mut turn.schedule.state;
        if !active {
            state.previous = None;
            if let Some(waiting) = state.waiting.take() {
                turn.begin(waiting, now, mutation);
                return turn.armed(now, active);
            }
        }
        let (missed, occurrence) = self.pending(now, mutation);
        if let Some(missed) = missed {
            state.cursor = missed.last;
            state.missed = Some(missed);
        }
        if let Some(at) = occurrence {
            if !mutation.is(Mutant::CursorForgotten) {
                state.cursor = at;
            }
            match self.plan.overlap {
                _ if !active => turn.begin(at, now, mutation),
                Overlap::Allow => unreachable!("nothing overlaps under this policy"),
                Overlap::Skip => state.skipped = Some(at),
                Overlap::QueueOne if state.waiting.is_none() => state.waiting = Some(at),
                Overlap::QueueOne => state.skipped = Some(at),
                Overlap::CancelRunning => {
                    state.skipped = state.waiting.replace(at).or(state.skipped);
                    turn.cancel = state.previous;
                }
            }
        }
        turn.armed(now, active)
    }

    /// What has been missed for good, and the occurrence whose turn it is. An occurrence is late when more than the grace has
    /// passed since the last instant at which its jitter could have made it due.
    fn pending(&self, now: Timestamp, mutation: Mutation) -> (Option<Missed>, Option<Timestamp>) {
        let (cursor, plan) = (self.state.cursor, &self.plan);
        let on_time = now.minus(plan.grace.saturating_add(plan.jitter));
        let first = match plan.next_after(cursor) {
            Some(first) if first < on_time => first,
            next if mutation.is(Mutant::FiresEarly) => return (None, next),
            next => return (None, self.due(next, now)),
        };
        let late = on_time.minus(Duration::from_micros(1));
        let most = plan.catch_up.most();
        if mutation.is(Mutant::CatchesUpWithOldest) && most > 0 {
            return (None, Some(first));
        }
        let mut newest = plan.newest(most.saturating_add(1), cursor, late);
        let dropped = u32::try_from(newest.len()).is_ok_and(|found| found > most);
        let missed = dropped.then(|| Missed {
            first,
            last: newest.remove(0),
            at: now,
        });
        let next = match (newest.first(), &missed) {
            (Some(next), _) => Some(*next),
            (None, Some(missed)) => plan.next_after(missed.last),
            (None, None) => None,
        };
        (missed, self.due(next, now))
    }

    fn due(&self, next: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
        next.filter(|next| self.plan.due(self.id, *next) <= now)
    }

    /// The schedule when the run before has ended: what waits for that may start.
    pub(crate) fn released(&self, now: Timestamp, mutation: Mutation) -> Schedule {
        let mut released = self.written(now);
        released.state.previous = None;
        released.rearmed(now, mutation.is(Mutant::WaitingNotWoken))
    }

    /// The schedule with its task armed as it is to be at `now`. A task that is armed for the same time stays as it is, with
    /// whatever lease there is on it.
    pub(crate) fn rearmed(mut self, now: Timestamp, active: bool) -> Schedule {
        let allows = self.plan.overlap == Overlap::Allow;
        let due = match self.standing {
            Standing::Paused | Standing::Retired => None,
            Standing::Active if self.state.waiting.is_some() && (!active || allows) => Some(now),
            Standing::Active => {
                let next = self.plan.next_after(self.state.cursor);
                next.map(|at| self.plan.due(self.id, at))
            }
        };
        if due != self.state.armed.map(|(due, _)| due) {
            self.state.armed = due.map(|due| (due, self.seq));
        }
        self
    }

    /// The schedule when no run can be started: it is tried again a while later, and what is too late by then has been missed.
    pub(crate) fn troubled(&self, now: Timestamp, code: &str, message: &str) -> Schedule {
        let mut row = self.written(now);
        let since = match &self.state.trouble {
            Some(before) if before.code == code => before.since,
            _ => now,
        };
        row.state.trouble = Some(Trouble {
            code: code.to_owned(),
            message: message.to_owned(),
            since,
        });
        row.state.armed = Some((now.plus(limits::FIRING_RETRY), row.seq));
        row
    }

    /// The schedule as the next write leaves it.
    pub(crate) fn written(&self, now: Timestamp) -> Schedule {
        Schedule {
            seq: self.seq.next(),
            updated: now,
            ..self.clone()
        }
    }
}

impl Turn {
    fn begin(&mut self, at: Timestamp, now: Timestamp, mutation: Mutation) {
        let schedule = &mut self.schedule;
        schedule.state.fired = Some(Fired {
            occurrence: at,
            at: now,
        });
        let counts = schedule.plan.overlap != Overlap::Allow;
        schedule.state.previous = counts.then(|| schedule.run_of(at, mutation));
        self.start = Some(at);
    }

    fn armed(self, now: Timestamp, active: bool) -> Turn {
        let started = self.start.is_some() && self.schedule.state.previous.is_some();
        let mut schedule = self.schedule.written(now);
        schedule.state.trouble = None;
        // The task that made this turn is done, whatever it was due at.
        schedule.state.armed = None;
        Turn {
            schedule: schedule.rearmed(now, active || started),
            ..self
        }
    }
}
