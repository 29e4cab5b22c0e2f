//! Requests to the store: how they travel, what becomes of them there, and what the oracles see of it.
//!
//! Invariant: the fate of a request is drawn when it is sent, and whatever it is, the store performs the request wholly, at
//! one instant, or not at all.

use std::rc::Rc;

use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::store::{Fetch, StoreError};
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;

use super::delivery::Answer;
use super::node::situation;
use super::{Event, World};
use crate::choice::Label;
use crate::clock::SimTime;
use crate::fault::sometimes::Milestone;
use crate::fault::{Fault, Situation};
use crate::ghost::ProcessId;
use crate::oracle::{Asker, Landing, same_reply};
use crate::store::{Asked, Conditions, InDoubt, Landed, Progress};
use crate::violation::{Check, Promise, broken};

/// Names one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct RequestId(pub(super) u64);

/// Who sent a request, and what he calls it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sender {
    /// A worker.
    Worker(ProcessId, u64),
    /// A process that registers.
    Registration(ProcessId),
    /// A client, for this command.
    Client { command: usize, sending: u32 },
}

/// What is asked for.
#[derive(Clone)]
pub(super) enum Wish {
    /// An operation.
    Perform(Rc<Operation>),
    /// Immutable things.
    Fetch(Rc<Fetch>),
}

/// One request under way.
pub(super) struct Request {
    pub(super) sender: Sender,
    pub(super) wish: Wish,
    pub(super) fate: Option<Fault>,
    /// The sender no longer waits for the answer.
    pub(super) given_up: bool,
    /// What it saw when it first had to wait for a lock.
    asked: Option<Asked>,
    /// Whether it waits for a lock.
    waits: bool,
}

/// An operation that was decided, and neither landed nor was rolled back.
pub(super) struct InDoubtRequest {
    request: Request,
    in_doubt: InDoubt,
    decided: Decided,
    lands: bool,
}

/// The circumstances under which an operation was decided.
#[derive(Clone, Copy)]
struct Decided {
    /// What the database's clock showed.
    clock: Timestamp,
    /// Whether other operations held locks.
    contended: bool,
}

impl World {
    /// Sends a request.
    pub(super) fn send(&mut self, sender: Sender, wish: Wish) {
        self.note_idle();
        self.asked += 1;
        let id = RequestId(self.asked);
        let kind = match &wish {
            Wish::Perform(operation) => situation(operation),
            Wish::Fetch(_) => Situation::Fetch,
        };
        if let Sender::Worker(process, ticket) = sender {
            let node = self.ghost.process(process).node;
            self.nodes[node].in_flight.insert(ticket, kind);
        }
        let fate = self.fate(kind);
        if let Some(fault) = fate {
            self.sometimes.fired(fault, kind);
            self.trouble_for(sender);
            self.trace.say(|| format!("FAULT {} of {sender:?}", fault.name()));
        }
        let mut request = Request { sender, wish, fate, given_up: false, asked: None, waits: false };
        let mut span = self.latency();
        match fate {
            Some(Fault::LostRequest) => {
                let timeout = self.timeout();
                return self.give_up_on(&request, timeout);
            }
            Some(Fault::Stall) => {
                span += self.choices.magnitude(Label::Network, 1_000, 60_000_000);
                if self.choices.happens(Label::Network, 500) {
                    let timeout = self.timeout().min(span);
                    self.give_up_on(&request, timeout);
                    request.given_up = true;
                }
            }
            _ => {}
        }
        if fate.is_some() {
            self.trouble_until(sender, span);
        }
        self.requests.insert(id, request);
        self.push_in(span, Event::Arrive(id));
    }

    /// How long a sender waits for an answer that does not come.
    fn timeout(&mut self) -> u64 {
        self.choices.magnitude(Label::Network, 5_000, 4_000_000)
    }

    /// What goes wrong with a request: one draw over all faults of the network and the store.
    fn fate(&mut self, kind: Situation) -> Option<Fault> {
        const FATES: [Fault; 9] = [
            Fault::LostRequest,
            Fault::LostReply,
            Fault::Conflict,
            Fault::InDoubtLands,
            Fault::InDoubtRollsBack,
            Fault::Doubled,
            Fault::Stall,
            Fault::SlowReply,
            Fault::ReplyTwice,
        ];
        let mut drawn = 999 - self.choices.choose(Label::Network, 1_000);
        for fault in FATES {
            let rate = u64::from(self.settings.intensities.of(fault));
            if drawn < rate {
                let only_reads = kind == Situation::Fetch;
                let writes = matches!(fault, Fault::Conflict | Fault::InDoubtLands | Fault::InDoubtRollsBack | Fault::Doubled);
                return (!(only_reads && writes)).then_some(fault);
            }
            drawn -= rate;
        }
        None
    }

    /// The sender learns nothing: after a while he takes the outcome for unknown.
    fn give_up_on(&mut self, request: &Request, after: u64) {
        self.trouble_until(request.sender, after);
        let answer = Answer::unavailable(&request.wish);
        self.answer(request.sender, request.wish.clone(), answer, after);
    }

    /// A request reaches the store.
    pub(super) fn arrive(&mut self, id: RequestId) -> Check {
        let Some(request) = self.requests.remove(&id) else { return Ok(()) };
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
        self.outage.filter(|(_, until)| self.now < *until).map(|(fault, _)| fault)
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
            Some(Fault::InDoubtLands | Fault::InDoubtRollsBack) => self.begin(id, request, operation),
            _ => self.perform_at_once(id, request, operation),
        }
    }

    fn perform_at_once(&mut self, id: RequestId, request: Request, operation: &Rc<Operation>) -> Check {
        let decided = self.decided_now();
        let hidden = self.hidden(operation);
        let mut show = |row: &TaskRow| !hidden.as_ref().is_some_and(|hidden| hidden.hides(row));
        let mut conditions = Conditions::at(decided.clock);
        conditions.asked = request.asked.as_ref();
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
    fn perform_again(&mut self, request: &Request, operation: &Rc<Operation>, first: &Reply) -> Check {
        if self.choices.happens(Label::Network, 500) {
            let span = self.choices.magnitude(Label::Network, 1, 5_000_000);
            self.asked += 1;
            let id = RequestId(self.asked);
            let wish = Wish::Perform(Rc::clone(operation));
            let again =
                Request { sender: request.sender, wish, fate: None, given_up: true, asked: None, waits: false };
            self.requests.insert(id, again);
            self.push_in(span, Event::Arrive(id));
            return Ok(());
        }
        let decided = self.decided_now();
        let again = self.tables.perform(operation, Conditions::at(decided.clock));
        let Ok(Progress::Done(landed)) = again else { return Ok(()) };
        self.land(request, operation, &landed, decided)?;
        if same_reply(operation, first, &landed.reply) {
            Ok(())
        } else {
            broken(Promise::Repeatable, format!("performed again at once: first {first:?}, then {:?}", landed.reply))
        }
    }

    fn begin(&mut self, id: RequestId, mut request: Request, operation: &Rc<Operation>) -> Check {
        let decided = self.decided_now();
        let mut conditions = Conditions::at(decided.clock);
        conditions.asked = request.asked.as_ref();
        match self.tables.begin(operation, conditions) {
            Err(error) => {
                self.reply(request, Answer::Performed(Err(error)));
            }
            Ok(Progress::Blocked(blocked)) => self.wait_for_lock(id, request, blocked.asked),
            Ok(Progress::Done(in_doubt)) => {
                let span = self.choices.magnitude(Label::Network, 1_000, 8_000_000);
                let lands = request.fate == Some(Fault::InDoubtLands);
                if !request.given_up && self.choices.happens(Label::Network, 700) {
                    let timeout = self.timeout();
                    self.give_up_on(&request, timeout);
                    request.given_up = true;
                }
                self.trouble_until(request.sender, span);
                self.in_doubt.insert(id, InDoubtRequest { request, in_doubt, decided, lands });
                self.push_in(span, Event::Resolve(id));
            }
        }
        Ok(())
    }

    /// An operation in doubt lands, or is rolled back; whoever waits for its locks tries again.
    pub(super) fn resolve(&mut self, id: RequestId) -> Check {
        let InDoubtRequest { request, in_doubt, decided, lands } =
            self.in_doubt.remove(&id).expect("an operation in doubt is resolved once");
        self.trace.event(self.now, 0x200 | id.0 << 12);
        self.trouble_for(request.sender);
        let Wish::Perform(operation) = request.wish.clone() else { unreachable!("only operations are in doubt") };
        let answer = if lands {
            let landed = self.tables.commit(in_doubt);
            self.trace.say(|| "an operation in doubt lands".into());
            self.land(&request, &operation, &landed, decided)?;
            Ok(landed.reply)
        } else {
            self.tables.rollback(in_doubt);
            self.trace.say(|| "an operation in doubt is rolled back".into());
            Err(StoreError::Conflict)
        };
        self.reply(request, Answer::Performed(answer));
        for waiting in std::mem::take(&mut self.blocked) {
            self.push(self.now, Event::Arrive(waiting));
        }
        Ok(())
    }

    fn decided_now(&self) -> Decided {
        Decided { clock: self.database_now(), contended: !self.in_doubt.is_empty() }
    }

    fn wait_for_lock(&mut self, id: RequestId, mut request: Request, asked: Asked) {
        self.sometimes.reached(Milestone::Waited);
        self.trouble_for(request.sender);
        self.trace.say(|| format!("{:?} waits for a lock", request.sender));
        if !request.waits {
            request.waits = true;
            let patience = self.choices.magnitude(Label::Network, 1_000_000, 12_000_000);
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
        let request = self.requests.remove(&id).expect("a request that waits is kept");
        self.reply(request, Answer::Performed(Err(StoreError::Conflict)));
    }

    /// An operation has landed: the oracles look at it, and hints go out.
    fn land(&mut self, request: &Request, operation: &Operation, landed: &Landed, decided: Decided) -> Check {
        let asker = match request.sender {
            Sender::Worker(process, _) | Sender::Registration(process) => Asker::Process(process),
            Sender::Client { .. } => Asker::Client,
        };
        self.trace.note(landed.touched.runs.len() as u64 | (landed.touched.tasks.len() as u64) << 16);
        self.trace.say(|| tell(asker, operation, landed));
        let mut landing = Landing {
            ghost: &mut self.ghost,
            tables: &self.tables,
            asker,
            operation,
            landed,
            now: self.now,
            clock: decided.clock,
            trouble: self.trouble,
            stepped: self.stepped,
            late: request.given_up,
            contended: decided.contended,
            setups: &self.settings.nodes,
            sometimes: &mut self.sometimes,
            repeats: Vec::new(),
            holders: Vec::new(),
            slots_seen: 0,
        };
        landing.check()?;
        self.after_landing(request, operation, landed);
        Ok(())
    }

    fn after_landing(&mut self, request: &Request, operation: &Operation, landed: &Landed) {
        for queue in &landed.hints {
            self.hint_nodes(queue);
        }
        if let (Operation::Claim(_), Reply::Claimed(claimed), Sender::Worker(process, _)) =
            (operation, &landed.reply, request.sender)
            && !claimed.tasks.is_empty()
        {
            self.maybe_freeze_holder(process);
        }
    }

    /// Answers a request, unless its sender has given up.
    fn reply(&mut self, request: Request, answer: Answer) {
        if request.given_up {
            return;
        }
        let Request { sender, wish, fate, .. } = request;
        let mut span = self.latency();
        let failed = matches!(answer, Answer::Performed(Err(_)) | Answer::Fetched(Err(_)));
        match fate {
            Some(Fault::LostReply) => {
                let timeout = self.timeout();
                self.trouble_until(sender, timeout);
                let unavailable = Answer::unavailable(&wish);
                return self.answer(sender, wish, unavailable, timeout);
            }
            Some(Fault::SlowReply) => span += self.choices.magnitude(Label::Network, 1_000, 40_000_000),
            Some(Fault::ReplyTwice) => {
                if let Some(copy) = answer.copied() {
                    let later = span + self.choices.magnitude(Label::Network, 1, 1_000_000);
                    self.answer(sender, wish.clone(), copy, later);
                }
            }
            _ => {}
        }
        if failed || fate.is_some() {
            self.trouble_until(sender, span);
        }
        self.answer(sender, wish, answer, span);
    }

    /// Something went wrong for a sender: whatever it loses by that is not its fault.
    pub(super) fn trouble_for(&mut self, sender: Sender) {
        self.trouble_until(sender, 0);
    }

    /// The same, for a while.
    pub(super) fn trouble_until(&mut self, sender: Sender, span: u64) {
        if let Sender::Worker(process, _) | Sender::Registration(process) = sender {
            let until = self.now.plus_micros(span);
            let state = self.ghost.process_mut(process);
            state.trouble = state.trouble.max(until);
        }
    }

    /// Which rows a due scan leaves out, if it does.
    fn hidden(&mut self, operation: &Operation) -> Option<Hidden> {
        let scans = matches!(operation, Operation::Claim(_));
        let rate = self.settings.intensities.of(Fault::PartialScan);
        if !scans || rate == 0 || !self.choices.happens(Label::Scan, rate) {
            return None;
        }
        self.sometimes.fired(Fault::PartialScan, Situation::Claim);
        Some(Hidden { salt: self.choices.choose(Label::Scan, 1 << 32) })
    }

    /// The instant at which something is due, in true time, if the clock is not stepped.
    pub(super) fn instant_of(&self, due: Timestamp) -> SimTime {
        self.clock.reaches(self.now, due)
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

/// One line of the story.
fn tell(asker: Asker, operation: &Operation, landed: &Landed) -> String {
    let who = match asker {
        Asker::Process(process) => format!("process {}", process.0),
        Asker::Client => "a client".into(),
    };
    match (operation, &landed.reply) {
        (Operation::Claim(claim), Reply::Claimed(claimed)) => {
            let tasks: Vec<String> =
                claimed.tasks.iter().map(|row| format!("{} {} {:?}", row.key, row.fence, row.item())).collect();
            format!("{who} claim {}: [{}] until +{:?}", claim.number, tasks.join(", "), claim.offer.lease)
        }
        (Operation::Settle(settle), Reply::Settled { slots, handed, .. }) => {
            let reports: Vec<String> = settle
                .reports
                .iter()
                .zip(slots)
                .map(|(report, slot)| {
                    format!("{} {} step {} {:?} -> {slot:?}", report.key, report.token.fence, report.step.0, report.outcome)
                })
                .collect();
            let handed: Vec<String> = handed.iter().map(|row| format!("{} {}", row.key, row.fence)).collect();
            format!("{who} settle: [{}] handed [{}]", reports.join("; "), handed.join(", "))
        }
        (Operation::Lease(leases), Reply::Leased(replies)) => {
            let keys: Vec<String> = leases.renew.iter().map(|held| held.key.to_string()).collect();
            let back: Vec<String> = leases.hand_back.iter().map(|held| held.key.to_string()).collect();
            format!("{who} renew [{}] hand back [{}] -> {replies:?}", keys.join(", "), back.join(", "))
        }
        (Operation::Submit(_), Reply::Submitted { groups, .. }) => format!("{who} submit -> {groups:?}"),
        (_, reply) => format!("{who} -> {reply:?}"),
    }
}
