//! What becomes of a request at the store.
//!
//! Invariant: the oracles see every operation that lands, at the instant at which it does, before anybody hears of it.

use std::rc::Rc;

use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::store::{Fetch, StoreError};
use squid_mesh_core::task::{Item, TaskRow};
use squid_mesh_core::time::Timestamp;

use super::delivery::Answer;
use super::request::{Request, RequestId, Sender, Wish};
use super::{Event, World};
use crate::choice::Label;
use crate::clock::SimTime;
use crate::fault::sometimes::Milestone;
use crate::fault::{Fault, Situation};
use crate::oracle::{Asker, Landing, same_reply};
use crate::store::{Asked, Conditions, Edition, InDoubt, Landed, Progress};
use crate::story::{Deed, Trouble};
use crate::violation::{Check, Promise, broken};

/// An operation that was decided, and neither landed nor was rolled back.
pub(super) struct InDoubtRequest {
    pub(super) request: Request,
    in_doubt: InDoubt,
    decided: Decided,
    pub(super) lands: bool,
}

/// The circumstances under which an operation was decided.
#[derive(Clone, Copy)]
struct Decided {
    /// When.
    at: SimTime,
    /// What the database's clock showed.
    clock: Timestamp,
    /// Whether other operations held locks.
    contended: bool,
}

impl World {
    /// A request reaches the store.
    pub(super) fn arrive(&mut self, id: RequestId) -> Check {
        let Some(request) = self.requests.remove(&id) else {
            return Ok(());
        };
        self.trace.event(self.now, 0x100 | id.0 << 12);
        match &request.wish {
            Wish::Fetch(wanted) => {
                let wanted = Rc::clone(wanted);
                self.fetch(request, &wanted);
                Ok(())
            }
            Wish::Perform(operation) => {
                let operation = Rc::clone(operation);
                self.perform(id, request, &operation)
            }
        }
    }

    fn fetch(&mut self, request: Request, wanted: &Fetch) {
        let result = match self.outage() {
            Some(Fault::Outage) => Err(StoreError::Unavailable("outage".into())),
            Some(_) | None => self.tables.fetch(wanted),
        };
        self.reply(request, Answer::Fetched(result));
    }

    /// What the store suffers from at this instant.
    fn outage(&self) -> Option<Fault> {
        self.outage
            .filter(|(_, until)| self.now < *until)
            .map(|(fault, _)| fault)
    }

    fn perform(&mut self, id: RequestId, request: Request, operation: &Rc<Operation>) -> Check {
        let failed = match (self.outage(), request.fate) {
            (Some(Fault::Outage), _) => Some(StoreError::Unavailable("outage".into())),
            (Some(_), _) => Some(StoreError::Refused("read-only".into())),
            (None, Some(Fault::Conflict)) => Some(StoreError::Conflict),
            (None, _) => None,
        };
        if let Some(error) = failed {
            self.trouble_for(request.sender);
            self.reply(request, Answer::Performed(Err(error)));
            return Ok(());
        }
        match request.fate {
            Some(Fault::InDoubtLands | Fault::InDoubtRollsBack) => {
                self.begin(id, request, operation)
            }
            _ => self.perform_at_once(id, request, operation),
        }
    }

    fn perform_at_once(
        &mut self,
        id: RequestId,
        request: Request,
        operation: &Rc<Operation>,
    ) -> Check {
        let decided = self.decided_now();
        let hidden = self.hidden(request.sender, operation);
        let mut show = |row: &TaskRow| !hidden.as_ref().is_some_and(|hidden| hidden.hides(row));
        let mut conditions = Conditions::at(decided.clock);
        conditions.asked = request.asked.as_ref();
        conditions.edition = self.edition(request.sender);
        if hidden.is_some() {
            conditions.show = Some(&mut show);
        }
        match self.tables.perform(operation, conditions) {
            Err(error) => {
                self.trouble_for(request.sender);
                self.reply(request, Answer::Performed(Err(error)));
                Ok(())
            }
            Ok(Progress::Blocked(blocked)) => {
                self.wait_for_lock(id, request, blocked.asked);
                Ok(())
            }
            Ok(Progress::Done(landed)) => {
                self.land(&request, operation, &landed, decided)?;
                if request.fate == Some(Fault::Doubled) {
                    self.perform_again(&request, operation, &landed.reply)?;
                }
                self.reply(request, Answer::Performed(Ok(landed.reply)));
                Ok(())
            }
        }
    }

    /// The same operation once more: at once, or a while later, with nobody waiting for the answer.
    fn perform_again(
        &mut self,
        request: &Request,
        operation: &Rc<Operation>,
        first: &Reply,
    ) -> Check {
        let later = self.choices.happens(Label::Network, 500);
        let again = Request {
            sender: request.sender,
            wish: Wish::Perform(Rc::clone(operation)),
            fate: None,
            given_up: true,
            echo: true,
            asked: None,
            waits: false,
            about: self.choices.about(),
        };
        if later {
            let span = self.choices.magnitude(Label::Network, 1, 5_000_000);
            self.asked += 1;
            let id = RequestId(self.asked);
            self.requests.insert(id, again);
            self.push_in(span, Event::Arrive(id));
            return Ok(());
        }
        let decided = self.decided_now();
        let mut conditions = Conditions::at(decided.clock);
        conditions.edition = self.edition(request.sender);
        let performed = self.tables.perform(operation, conditions);
        let Ok(Progress::Done(landed)) = performed else {
            return Ok(());
        };
        self.land(&again, operation, &landed, decided)?;
        if same_reply(operation, first, &landed.reply) {
            Ok(())
        } else {
            broken(
                Promise::Repeatable,
                format!(
                    "performed again at once: first {first:?}, then {:?}",
                    landed.reply
                ),
            )
        }
    }

    fn begin(&mut self, id: RequestId, mut request: Request, operation: &Rc<Operation>) -> Check {
        let decided = self.decided_now();
        let mut conditions = Conditions::at(decided.clock);
        conditions.asked = request.asked.as_ref();
        conditions.edition = self.edition(request.sender);
        match self.tables.begin(operation, conditions) {
            Err(error) => {
                self.reply(request, Answer::Performed(Err(error)));
            }
            Ok(Progress::Blocked(blocked)) => self.wait_for_lock(id, request, blocked.asked),
            Ok(Progress::Done(in_doubt)) => {
                let span = self.choices.magnitude(Label::Network, 1_000, 8_000_000);
                let lands = request.fate == Some(Fault::InDoubtLands);
                let sender = request.sender;
                if !request.given_up && self.choices.happens(Label::Network, 700) {
                    let timeout = self.timeout();
                    self.give_up_on(&request, timeout);
                    request.given_up = true;
                }
                self.trouble_until(request.sender, span);
                self.in_doubt.insert(
                    id,
                    InDoubtRequest {
                        request,
                        in_doubt,
                        decided,
                        lands,
                    },
                );
                self.maybe_lose_holder(sender, 40);
                self.push_in(span, Event::Resolve(id));
            }
        }
        Ok(())
    }

    /// An operation in doubt lands, or is rolled back; whoever waits for its locks tries again.
    pub(super) fn resolve(&mut self, id: RequestId) -> Check {
        // A failover may have resolved it before.
        let Some(InDoubtRequest {
            request,
            in_doubt,
            decided,
            lands,
        }) = self.in_doubt.remove(&id)
        else {
            return Ok(());
        };
        self.trace.event(self.now, 0x200 | id.0 << 12);
        self.trouble_for(request.sender);
        let Wish::Perform(operation) = request.wish.clone() else {
            unreachable!("only operations are in doubt")
        };
        let answer = if lands {
            let landed = self.tables.commit(in_doubt);
            let who = self.who(request.sender);
            self.trace.say(|| Deed::Resolved { who, lands: true });
            self.land(&request, &operation, &landed, decided)?;
            Ok(landed.reply)
        } else {
            self.tables.rollback(in_doubt);
            let who = self.who(request.sender);
            self.trace.say(|| Deed::Resolved { who, lands: false });
            Err(StoreError::Conflict)
        };
        self.reply(request, Answer::Performed(answer));
        for waiting in std::mem::take(&mut self.blocked) {
            self.push(self.now, Event::Arrive(waiting));
        }
        Ok(())
    }

    /// The time zone database of whoever performs what is asked for: clients have it from the process that they are part of.
    fn edition(&self, sender: Sender) -> Edition {
        let node = match (self.process_of(sender), sender) {
            (Some(process), _) => self.ghost.process(process).node,
            (None, Sender::Client { command, .. }) => command % self.drawn_nodes,
            (None, _) => 0,
        };
        self.settings.nodes[node].edition
    }

    fn decided_now(&self) -> Decided {
        Decided {
            at: self.now,
            clock: self.database_now(),
            contended: !self.in_doubt.is_empty(),
        }
    }

    fn wait_for_lock(&mut self, id: RequestId, mut request: Request, asked: Asked) {
        self.sometimes.reached(Milestone::Waited);
        self.trouble_for(request.sender);
        let who = self.who(request.sender);
        self.trace.say(|| Deed::Waits(who));
        if !request.waits {
            request.waits = true;
            let patience = self
                .choices
                .magnitude(Label::Network, 1_000_000, 12_000_000);
            self.trouble_until(request.sender, patience);
            self.push_in(patience, Event::LockTimeout(id));
        }
        request.asked = Some(asked);
        self.blocked.push(id);
        self.requests.insert(id, request);
    }

    /// A request has waited for a lock for too long: it is rolled back.
    pub(super) fn lock_timeout(&mut self, id: RequestId) {
        let waits = self.blocked.iter().position(|waiting| *waiting == id);
        let Some(index) = waits else { return };
        self.blocked.remove(index);
        let request = self
            .requests
            .remove(&id)
            .expect("a request that waits is kept");
        self.reply(request, Answer::Performed(Err(StoreError::Conflict)));
    }

    /// An operation has landed: the oracles look at it, and hints go out.
    fn land(
        &mut self,
        request: &Request,
        operation: &Rc<Operation>,
        landed: &Landed,
        decided: Decided,
    ) -> Check {
        let process = self.process_of(request.sender);
        let asker = process.map_or(Asker::Client, Asker::Process);
        self.trace
            .note(landed.touched.runs.len() as u64 | (landed.touched.tasks.len() as u64) << 16);
        self.note_landing(request.sender, operation, landed, decided.at);
        let mut landing = Landing {
            ghost: &mut self.ghost,
            tables: &self.tables,
            asker,
            operation,
            landed,
            now: self.now,
            decided: decided.at,
            clock: decided.clock,
            trouble: self.trouble,
            stepped: self.stepped,
            late: request.given_up,
            echo: request.echo,
            contended: decided.contended,
            setups: &self.setups,
            sometimes: &mut self.sometimes,
            repeats: Vec::new(),
            holders: Vec::new(),
            in_doubt: Vec::new(),
            slots_seen: 0,
            incoming: None,
            taken: None,
            told: Vec::new(),
            payload_limit: self.settings.payload_limit,
        };
        if let Err(broken) = landing.check() {
            return self.unless_mistaken(operation, broken);
        }
        self.after_landing(request, operation, landed);
        self.judge(false)
    }

    fn after_landing(&mut self, request: &Request, operation: &Operation, landed: &Landed) {
        for queue in &landed.hints {
            self.hint_nodes(queue);
        }
        if let (Operation::Claim(_), Reply::Claimed(claimed), Sender::Worker(process, _)) =
            (operation, &landed.reply, request.sender)
            && !claimed.tasks.is_empty()
        {
            self.maybe_freeze_holder(process, 1);
            self.maybe_lose_holder(request.sender, 20);
            let claimed = |item: Item| claimed.tasks.iter().any(|row| row.item() == item);
            if claimed(Item::Deadline) {
                self.maybe_step_back(4);
            } else if claimed(Item::Wait) {
                self.maybe_step_back(1);
            }
        }
    }

    /// Which rows a due scan leaves out, if it does.
    fn hidden(&mut self, sender: Sender, operation: &Operation) -> Option<Hidden> {
        let scans = matches!(operation, Operation::Claim(_));
        let rate = self.settings.intensities.of(Fault::PartialScan);
        if !scans || rate == 0 || !self.choices.strikes(Label::Scan, rate) {
            return None;
        }
        self.fired(Fault::PartialScan, Situation::Claim);
        let who = self.who(sender);
        self.trace.fault(Fault::PartialScan, || Trouble::Scan(who));
        Some(Hidden {
            salt: self.choices.choose(Label::Scan, 1 << 32),
        })
    }
}

/// A subset of the due rows: about half of them.
struct Hidden {
    salt: u64,
}

impl Hidden {
    fn hides(&self, row: &TaskRow) -> bool {
        let id = row.key.run.as_u128();
        let low = u64::try_from(id & u128::from(u64::MAX)).expect("masked to 64 bits");
        crate::choice::mix(self.salt ^ u64::from(row.key.lane.0), low) & 1 == 1
    }
}
