//! What attempts are waiting for before they can begin: payloads and definitions that are not in the cache.
//!
//! Invariant: one fetch is in flight at most, the next gathers meanwhile; a part that has arrived stays with its attempt,
//! so that an attempt whose parts exceed the cache begins all the same.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::attempts::Stage;
use super::timers::Timer;
use super::{Action, AttemptId, Ticket, Worker};
use crate::definition::{Definition, DefinitionKey, StepIndex, StepKind};
use crate::eval::ElementOutcome;
use crate::event::{ChildEnd, Event};
use crate::limits;
use crate::mutant::{Mutant, Mutation};
use crate::name::Name;
use crate::payload::{OutputRef, Payload, PayloadRef};
use crate::run::Seq;
use crate::store::{Fetch, Fetched, JournalPart, StoreError, StoredRow};
use crate::task::{TaskKind, TaskRow, Work};
use crate::time::Moment;

#[cfg(test)]
mod tests;

/// An attempt whose parts are coming together.
#[derive(Debug)]
pub(super) struct Gathering {
    pub(super) task: TaskRow,
    pub(super) definition: Option<Arc<Definition>>,
    /// One for each source of the brief.
    pub(super) parts: Vec<Option<Payload>>,
    /// What children run, for a task that starts some: nothing until it was looked for, and nothing again if there is none.
    pub(super) child: Option<Option<Arc<Definition>>>,
    /// What children gave, for a task that puts it together.
    pub(super) results: Results,
}

/// What children gave, as far as the journal was read.
#[derive(Debug, Default)]
pub(super) struct Results {
    /// By their numbers.
    pub(super) ends: Vec<Option<ElementOutcome>>,
    /// The part of the journal that is still to be read.
    rest: Option<JournalPart>,
    /// How much was read.
    pub(super) bytes: usize,
}

/// Everything that is waited for.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    payloads: BTreeMap<PayloadRef, Vec<AttemptId>>,
    definitions: BTreeMap<DefinitionKey, Vec<AttemptId>>,
    newest: BTreeMap<Name, Vec<AttemptId>>,
    journals: VecDeque<(JournalPart, AttemptId)>,
    out: Option<(Ticket, Fetch)>,
    tries: u32,
    /// How many more things to fetch one by one, because one of a batch could not be read.
    singly: usize,
}

impl Gathering {
    fn is_complete(&self) -> bool {
        if self.task.kind == TaskKind::Firing {
            return self.child.is_some();
        }
        let sources = self.task.brief.sources.iter().zip(&self.parts);
        self.definition.is_some()
            && (self.child.is_some() || self.task.kind != TaskKind::Spawn)
            && self.results.rest.is_none()
            && sources
                .into_iter()
                .all(|(source, part)| source.is_none() || part.is_some())
    }

    /// The workflow that the task starts, once that is known.
    fn starts(&self) -> Option<&Name> {
        match self.task.kind {
            TaskKind::Firing => Some(&self.task.brief.definition.name),
            TaskKind::Spawn => {
                let steps = self.definition.as_ref()?.steps();
                match &steps.get(self.task.step.at())?.kind {
                    StepKind::Child { workflow, .. } | StepKind::Each { workflow, .. } => {
                        Some(workflow)
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Takes what has arrived for it.
    fn take(
        &mut self,
        payloads: &BTreeMap<PayloadRef, Payload>,
        definitions: &BTreeMap<DefinitionKey, Arc<Definition>>,
    ) {
        let run = self.task.key.run;
        for (source, part) in self.task.brief.sources.iter().zip(&mut self.parts) {
            if let (Some(source), None) = (source, &part) {
                *part = payloads.get(&source.of(run)).cloned();
            }
        }
        if self.definition.is_none() {
            self.definition = definitions.get(&self.task.brief.definition).cloned();
        }
    }
}

impl Inputs {
    /// The next fetch: everything that is waited for, up to a batch.
    fn next(&mut self) -> Option<Fetch> {
        let nothing = self.payloads.is_empty()
            && self.definitions.is_empty()
            && self.newest.is_empty()
            && self.journals.is_empty();
        if self.out.is_some() || nothing {
            return None;
        }
        let most = if self.singly > 0 { 1 } else { limits::BATCH };
        self.singly = self.singly.saturating_sub(1);
        let definitions: BTreeSet<DefinitionKey> =
            self.definitions.keys().take(most).cloned().collect();
        let mut room = most - definitions.len();
        let newest: BTreeSet<Name> = self.newest.keys().take(room).cloned().collect();
        room -= newest.len();
        let journal = self.journals.front().filter(|_| room > 0);
        room -= usize::from(journal.is_some());
        Some(Fetch {
            payloads: self.payloads.keys().take(room).copied().collect(),
            definitions,
            newest,
            journal: journal.map(|(part, _)| *part),
        })
    }

    /// Takes out whoever waited for anything of a fetch.
    fn waiters(&mut self, fetch: &Fetch) -> BTreeSet<AttemptId> {
        let payloads = fetch
            .payloads
            .iter()
            .filter_map(|place| self.payloads.remove(place));
        let definitions = fetch
            .definitions
            .iter()
            .filter_map(|key| self.definitions.remove(key));
        let newest = fetch
            .newest
            .iter()
            .filter_map(|name| self.newest.remove(name));
        let journal = fetch.journal.and_then(|_| self.journals.pop_front());
        payloads
            .chain(definitions)
            .chain(newest)
            .flatten()
            .chain(journal.map(|(_, id)| id))
            .collect()
    }
}

impl Worker {
    /// Begins an attempt at once if everything is cached, else notes what to fetch.
    pub(super) fn gather(&mut self, id: AttemptId, task: TaskRow, now: Moment) {
        let fires = task.kind == TaskKind::Firing;
        let definition = self.cache.definition(&task.brief.definition);
        if definition.is_none() && !fires {
            self.inputs
                .definitions
                .entry(task.brief.definition.clone())
                .or_default()
                .push(id);
        }
        let mut parts = Vec::with_capacity(task.brief.sources.len());
        for source in &task.brief.sources {
            let place = source.map(|source: OutputRef| source.of(id.key.run));
            let part = place.and_then(|place| self.cache.payload(&place));
            if let (Some(place), None) = (place, &part) {
                self.inputs.payloads.entry(place).or_default().push(id);
            }
            parts.push(part);
        }
        let mut gathering = Gathering {
            task,
            definition,
            parts,
            child: None,
            results: Results::default(),
        };
        if let Work::Collect { count, after, upto } = gathering.task.brief.work {
            let count = usize::try_from(count).unwrap_or(usize::MAX);
            gathering.results.ends = vec![None; count.min(limits::EACH_ELEMENTS)];
            if count > 0 {
                self.read_journal(id, &mut gathering, after, upto);
            }
        }
        self.gathered(id, gathering, now);
    }

    /// Goes on with what has come together so far.
    fn gathered(&mut self, id: AttemptId, mut gathering: Gathering, now: Moment) {
        self.look_for_child(id, &mut gathering);
        if gathering.is_complete() {
            self.begin(id, gathering, now);
        } else {
            self.task_mut(id).stage = Stage::Fetching(Box::new(gathering));
        }
    }

    fn read_journal(&mut self, id: AttemptId, gathering: &mut Gathering, after: Seq, upto: Seq) {
        let part = JournalPart {
            run: id.key.run,
            after,
            upto,
            limit: limits::COLLECT_PAGE,
            bytes: limits::COLLECT_BYTES,
        };
        gathering.results.rest = Some(part);
        self.inputs.journals.push_back((part, id));
    }

    /// What a child runs is known once the step's own definition is: what this process declared, else what is stored.
    fn look_for_child(&mut self, id: AttemptId, gathering: &mut Gathering) {
        if gathering.child.is_some() {
            return;
        }
        let Some(workflow) = gathering.starts() else {
            return;
        };
        // A schedule whose trigger this process had declared would not have been looked for.
        let declared = self.config.workflows.get(workflow);
        match declared.filter(|_| gathering.task.kind != TaskKind::Firing) {
            Some(known) => gathering.child = Some(Some(Arc::clone(known))),
            None => {
                let waiting = self.inputs.newest.entry(workflow.clone()).or_default();
                if !waiting.contains(&id) {
                    waiting.push(id);
                }
            }
        }
    }

    pub(super) fn next_fetch(&mut self) {
        if !self.phase.is_working() || self.timers.moment(Timer::FetchAgain).is_some() {
            return;
        }
        if let Some(wanted) = self.inputs.next() {
            let ticket = self.flight.ticket();
            self.inputs.out = Some((ticket, wanted.clone()));
            self.actions.push_back(Action::Fetch { ticket, wanted });
        }
    }

    pub(super) fn fetched(
        &mut self,
        ticket: Ticket,
        result: Result<Fetched, StoreError>,
        now: Moment,
    ) {
        let Some((_, wanted)) = self.inputs.out.take_if(|(out, _)| *out == ticket) else {
            self.stats.late += 1;
            return;
        };
        match result {
            Ok(fetched) => {
                self.inputs.tries = 0;
                self.take_fetched(&wanted, fetched, now);
            }
            Err(StoreError::Corrupt { detail })
                if things(&wanted) == 1 || self.config.mutation.is(Mutant::UnreadableSpreads) =>
            {
                for id in self.inputs.waiters(&wanted) {
                    if self.is_fetching(id) {
                        self.report_unreadable(id, &detail);
                    }
                }
            }
            Err(StoreError::Corrupt { .. }) => {
                self.inputs.singly = things(&wanted);
            }
            Err(error) => {
                let pause = self.backoff(&error, self.inputs.tries, 0);
                self.inputs.tries += 1;
                self.timers.set(Timer::FetchAgain, now.plus(pause));
            }
        }
    }

    fn take_fetched(&mut self, wanted: &Fetch, fetched: Fetched, now: Moment) {
        let payloads: BTreeMap<PayloadRef, Payload> = fetched.payloads.into_iter().collect();
        for (place, payload) in &payloads {
            self.cache
                .keep_payload(place.run, place.digest, payload.clone());
        }
        let keyed = fetched
            .definitions
            .into_iter()
            .map(|definition| (definition.key().clone(), definition));
        let definitions: BTreeMap<DefinitionKey, Arc<Definition>> = keyed.collect();
        for definition in definitions.values() {
            self.cache.keep_definition(Arc::clone(definition));
        }
        let arrived = Arrived {
            payloads,
            definitions,
            newest: fetched.newest,
            journal: fetched.journal,
        };
        for id in self.inputs.waiters(wanted) {
            if self.is_fetching(id) {
                self.take_parts(id, wanted, &arrived, now);
            }
        }
    }

    /// Gives an attempt what arrived. What was asked for and did not arrive does not exist, which no run's task allows.
    fn take_parts(&mut self, id: AttemptId, wanted: &Fetch, arrived: &Arrived, now: Moment) {
        let task = self.task_mut(id);
        let Stage::Fetching(mut gathering) = std::mem::replace(&mut task.stage, Stage::Received)
        else {
            unreachable!("only attempts that are fetching take parts");
        };
        gathering.take(&arrived.payloads, &arrived.definitions);
        let brief = &gathering.task.brief;
        let mut places = brief
            .sources
            .iter()
            .flatten()
            .map(|source| source.of(id.key.run));
        let absent = places
            .find(|place| wanted.payloads.contains(place) && !arrived.payloads.contains_key(place));
        if let Some(place) = absent {
            let what = format!(
                "the journal of run {} has no payload at {}",
                place.run, place.seq.0
            );
            return self.report_unreadable(id, &what);
        }
        let fires = gathering.task.kind == TaskKind::Firing;
        if gathering.definition.is_none()
            && wanted.definitions.contains(&brief.definition)
            && !fires
        {
            let what = format!("definition {} does not exist", brief.definition);
            return self.report_unreadable(id, &what);
        }
        if let Err(what) = self.take_further(id, wanted, arrived, &mut gathering) {
            return self.report_unreadable(id, &what);
        }
        self.gathered(id, *gathering, now);
    }

    /// Takes what starts children or puts their results together.
    fn take_further(
        &mut self,
        id: AttemptId,
        wanted: &Fetch,
        arrived: &Arrived,
        gathering: &mut Gathering,
    ) -> Result<(), String> {
        if let Some(workflow) = gathering.starts()
            && wanted.newest.contains(workflow)
        {
            let found = arrived.newest.iter().find(|found| found.name() == workflow);
            let found = found.cloned();
            gathering.child.get_or_insert(found);
        }
        let Some(part) = gathering
            .results
            .rest
            .filter(|part| wanted.journal == Some(*part))
        else {
            return Ok(());
        };
        let last =
            gathering
                .results
                .take(&arrived.journal, gathering.task.step, self.config.mutation)?;
        let too_much = gathering.results.bytes > self.config.payload_limit;
        gathering.results.rest = None;
        if let Some(last) = last.filter(|last| *last < part.upto && !too_much) {
            self.read_journal(id, gathering, last, part.upto);
        }
        Ok(())
    }

    fn is_fetching(&self, id: AttemptId) -> bool {
        self.attempts
            .held
            .get(&id)
            .is_some_and(|task| matches!(task.stage, Stage::Fetching(_)))
    }
}

/// What a fetch brought.
struct Arrived {
    payloads: BTreeMap<PayloadRef, Payload>,
    definitions: BTreeMap<DefinitionKey, Arc<Definition>>,
    newest: Vec<Arc<Definition>>,
    journal: Vec<StoredRow>,
}

impl Results {
    /// Takes the ends of a step's children out of journal rows; the position of the last row, if there was one.
    fn take(
        &mut self,
        rows: &[StoredRow],
        step: StepIndex,
        mutation: Mutation,
    ) -> Result<Option<Seq>, String> {
        for stored in rows {
            let row = stored
                .row
                .as_ref()
                .map_err(|error| format!("journal row {}: {error}", stored.seq.0))?;
            let Event::ChildEnded {
                step: of,
                child,
                end,
                ..
            } = &row.transition.event
            else {
                continue;
            };
            let mut at = usize::try_from(*child).unwrap_or(usize::MAX);
            if mutation.is(Mutant::ResultsAsTheyCame) {
                at = self.ends.iter().position(Option::is_none).unwrap_or(at);
            }
            let Some(slot) = self.ends.get_mut(at).filter(|_| *of == step) else {
                continue;
            };
            let payload = row.payload.clone().unwrap_or_else(Payload::null);
            let bytes = payload.bytes().len();
            let (outcome, bytes) = match end {
                ChildEnd::Completed => (ElementOutcome::Completed(payload), bytes),
                ChildEnd::Failed => (ElementOutcome::Failed(payload), bytes),
                ChildEnd::Cancelled => (ElementOutcome::Cancelled, 0),
            };
            self.bytes += bytes;
            *slot = Some(outcome);
        }
        Ok(rows.last().map(|row| row.seq))
    }
}

fn things(wanted: &Fetch) -> usize {
    let journal = usize::from(wanted.journal.is_some());
    wanted.payloads.len() + wanted.definitions.len() + wanted.newest.len() + journal
}
