//! Pausing and resuming queues.
//!
//! Invariant: an operator's action is one row of the operator log, written with what it changed; repeated, it is answered
//! as that row says and changes nothing.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{
    Decision, Offer, OperatorAction, OperatorEntry, ReadSet, Rejection, Reply, View, Writes, words,
};
use crate::id::{CommandId, Shard};
use crate::name::Name;
use crate::time::Timestamp;

/// An operator pauses or resumes a queue.
///
/// Of a paused queue no attempt is claimed or handed off, by whomever, until it is resumed. Attempts that are out go on;
/// leases that end are still recorded as losses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCommand {
    /// The queue. It needs no row, no worker and no work to be paused.
    pub queue: Name,
    /// What to do with it.
    pub action: QueueAction,
    /// Identifies this action, however often it is performed.
    pub command: CommandId,
    /// Who asks.
    pub actor: Option<String>,
    /// Why.
    pub comment: Option<String>,
}

/// What is done with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QueueAction {
    /// Nothing of it is claimed from then on.
    Pause,
    /// It is claimed from again.
    Resume,
}

impl QueueAction {
    /// Every action.
    pub const ALL: [QueueAction; 2] = [QueueAction::Pause, QueueAction::Resume];

    /// What the operator log calls it.
    pub const fn logged(self) -> OperatorAction {
        match self {
            QueueAction::Pause => OperatorAction::PauseQueue,
            QueueAction::Resume => OperatorAction::ResumeQueue,
        }
    }

    /// Its name in the operator log.
    pub const fn as_str(self) -> &'static str {
        self.logged().as_str()
    }

    /// Whether a queue is paused after it.
    pub const fn pauses(self) -> bool {
        matches!(self, QueueAction::Pause)
    }
}

/// One row of `queues`: of a queue that was paused at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// The queue.
    pub name: Name,
    /// Whether it is paused.
    pub paused: bool,
    /// The row of the operator log that made it so.
    pub by: CommandId,
}

/// A queue's row to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueWrite {
    /// The row as it is to be.
    pub row: QueueRow,
    /// Whether it is inserted, which conflicts with a row that came meanwhile. Else it was read under lock.
    pub is_new: bool,
}

/// The answer to a [`QueueCommand`]: the first one, however often it is performed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueReply {
    /// The queue.
    pub queue: Name,
    /// Whether this command left it paused.
    pub paused: bool,
    /// Whether it was not so before.
    pub changed: bool,
    /// When.
    pub at: Timestamp,
}

impl QueueCommand {
    pub(super) fn shard(&self) -> Shard {
        Shard::default()
    }

    pub(super) fn reads(&self) -> ReadSet {
        ReadSet {
            queue: Some(self.queue.clone()),
            entry: Some(self.command),
            ..ReadSet::default()
        }
    }

    pub(super) fn decide(&self, view: &View) -> Decision {
        if self.queue.is_engine() {
            let queue = self.queue.clone();
            return answered(Err(Rejection::ReservedQueue { queue }));
        }
        match &view.entry {
            Some(entry) => answered(Ok(self.reply(entry))),
            None => match self.check() {
                Ok(()) => self.perform(view),
                Err(rejection) => answered(Err(rejection)),
            },
        }
    }

    /// Whether every store can hold what the operator says.
    fn check(&self) -> Result<(), Rejection> {
        words::actor(self.actor.as_deref(), false)?;
        words::comment("the comment", self.comment.as_deref().unwrap_or_default())
    }

    fn perform(&self, view: &View) -> Decision {
        let before = view.queue.as_ref();
        let paused = self.action.pauses();
        let changed = before.is_some_and(|row| row.paused) != paused;
        let entry = OperatorEntry {
            id: self.command,
            actor: self.actor.clone(),
            action: self.action.logged(),
            target: self.queue.to_string(),
            comment: self.comment.clone(),
            changed,
            at: view.now,
        };
        let row = || QueueRow {
            name: self.queue.clone(),
            paused,
            by: self.command,
        };
        let reply = self.reply(&entry);
        let writes = Writes {
            queue: changed.then(|| QueueWrite {
                row: row(),
                is_new: before.is_none(),
            }),
            entry: Some(entry),
            // Whoever waits for what was paused is woken.
            hints: (!paused && changed)
                .then(|| self.queue.clone())
                .into_iter()
                .collect(),
            ..Writes::default()
        };
        Decision::Done {
            writes,
            reply: Reply::Queue(Ok(reply)),
        }
    }

    fn reply(&self, entry: &OperatorEntry) -> QueueReply {
        QueueReply {
            queue: Name::stored(&entry.target),
            paused: entry.action == OperatorAction::PauseQueue,
            changed: entry.changed,
            at: entry.at,
        }
    }
}

fn answered(reply: Result<QueueReply, Rejection>) -> Decision {
    Decision::Done {
        writes: Writes::default(),
        reply: Reply::Queue(reply),
    }
}

/// The queues that an offer has slots of: whether they are paused must be known before anything of them is given away.
pub(super) fn offered(offer: &Offer) -> BTreeSet<Name> {
    let free = offer.queues.iter().filter(|demand| demand.slots > 0);
    free.map(|demand| demand.queue.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::ENGINE_QUEUE;

    fn command(queue: &str, action: QueueAction) -> QueueCommand {
        QueueCommand {
            queue: Name::stored(queue),
            action,
            command: CommandId::from_u128(7),
            actor: Some("ana".to_owned()),
            comment: None,
        }
    }

    fn view(paused: Option<bool>) -> View {
        View {
            now: Timestamp::from_micros(5),
            queue: paused.map(|paused| QueueRow {
                name: Name::stored("mail"),
                paused,
                by: CommandId::from_u128(1),
            }),
            ..View::default()
        }
    }

    fn decided(command: &QueueCommand, view: &View) -> (Writes, Result<QueueReply, Rejection>) {
        match command.decide(view) {
            Decision::Done {
                writes,
                reply: Reply::Queue(reply),
            } => (writes, reply),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_action_changes_what_is_not_so_yet_and_is_logged_in_any_case() {
        use QueueAction::{Pause, Resume};
        let table = [
            (None, Pause, true, Some(true)),
            (None, Resume, false, None),
            (Some(false), Pause, true, Some(false)),
            (Some(true), Pause, false, None),
            (Some(true), Resume, true, Some(false)),
            (Some(false), Resume, false, None),
        ];
        for (before, action, changed, is_new) in table {
            let (writes, reply) = decided(&command("mail", action), &view(before));
            let reply = reply.unwrap();
            let case = format!("{before:?} {action:?}");
            assert_eq!(
                (reply.changed, reply.paused),
                (changed, action.pauses()),
                "{case}"
            );
            assert_eq!(
                writes.queue.as_ref().map(|write| write.is_new),
                is_new,
                "{case}"
            );
            assert_eq!(writes.entry.map(|entry| entry.changed), Some(changed));
            let woken = action == Resume && changed;
            assert_eq!(writes.hints.len(), usize::from(woken), "{case}");
        }
    }

    #[test]
    fn a_repeated_action_is_answered_as_it_was_and_writes_nothing() {
        let pause = command("mail", QueueAction::Pause);
        let (writes, first) = decided(&pause, &view(None));
        // It was resumed since.
        let later = View {
            entry: writes.entry,
            ..view(Some(false))
        };
        let (writes, again) = decided(&pause, &later);
        assert_eq!((writes, again), (Writes::default(), first));
    }

    #[test]
    fn the_queue_of_the_engine_is_never_paused() {
        let (writes, reply) = decided(&command(ENGINE_QUEUE, QueueAction::Pause), &view(None));
        assert_eq!(writes, Writes::default());
        assert_eq!(reply.unwrap_err().code(), "reserved_queue");
    }
}
