//! What a world says of itself when its story is told.
//!
//! Invariant: nothing here changes what happens.

use std::rc::Rc;

use squid_mesh_core::operation::{JournalRow, Operation, Reply};
use squid_mesh_core::run::Seq;

use super::World;
use super::request::Sender;
use crate::clock::SimTime;
use crate::ghost::BodyId;
use crate::store::Landed;
use crate::story::{self, Attempted, Deed, Who};

impl World {
    /// Who asks.
    pub(super) fn who(&self, sender: Sender) -> Who {
        match (self.process_of(sender), sender) {
            (Some(process), _) => Who::Process(process),
            (None, Sender::Body(body, _)) => Who::Body(body),
            (None, Sender::Client { command, .. }) => Who::Client(command),
            (None, Sender::Handler(_)) => Who::Handler,
            (None, Sender::Worker(..) | Sender::Registration(_) | Sender::InPlace(_)) => {
                unreachable!("these are processes")
            }
        }
    }

    /// What a body is executed for.
    pub(super) fn attempted(&self, body: BodyId) -> Attempted {
        let body = &self.ghost.bodies[body.0];
        let grant = &self.ghost.grants[body.grant.0];
        Attempted {
            key: body.attempt.key,
            fence: body.attempt.token.fence,
            step: grant.step,
            role: grant.role,
        }
    }

    /// Counts an operation that lands and tells of it.
    pub(super) fn note_landing(
        &mut self,
        sender: Sender,
        operation: &Rc<Operation>,
        landed: &Landed,
        decided: SimTime,
    ) {
        let touched = &landed.touched;
        let queue = matches!(&landed.reply, Reply::Queue(Ok(reply)) if reply.changed);
        let wrote = queue
            || !(touched.runs.is_empty()
                && touched.tasks.is_empty()
                && touched.schedules.is_empty());
        if wrote {
            self.trace.wrote();
        }
        let who = self.who(sender);
        let (ghost, tables) = (&self.ghost, &self.tables);
        self.trace.say(|| {
            let mut recorded: Vec<JournalRow> = Vec::new();
            for run in &touched.runs {
                let known = ghost.runs.get(run).map_or(Seq(0), |known| known.seq);
                let rows = tables.journal(*run, Seq(0));
                recorded.extend(rows.filter(|row| row.seq > known).cloned());
            }
            Deed::Lands(Box::new(story::Landed {
                who,
                operation: Rc::clone(operation),
                reply: landed.reply.clone(),
                recorded,
                wrote,
                decided,
            }))
        });
    }
}
