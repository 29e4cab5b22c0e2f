//! What attempts are waiting for before they can begin: payloads and definitions that are not in the cache.
//!
//! Invariant: one fetch is in flight at most, the next gathers meanwhile; a part that has arrived stays with its attempt,
//! so that an attempt whose parts exceed the cache begins all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::attempts::Stage;
use super::timers::Timer;
use super::{Action, AttemptId, Ticket, Worker};
use crate::definition::{Definition, DefinitionKey};
use crate::limits;
use crate::payload::{OutputRef, Payload, PayloadRef};
use crate::store::{Fetch, Fetched, StoreError};
use crate::task::TaskRow;
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
}

/// Everything that is waited for.
#[derive(Debug, Default)]
pub(super) struct Inputs {
    payloads: BTreeMap<PayloadRef, Vec<AttemptId>>,
    definitions: BTreeMap<DefinitionKey, Vec<AttemptId>>,
    out: Option<(Ticket, Fetch)>,
    tries: u32,
    /// How many more things to fetch one by one, because one of a batch could not be read.
    singly: usize,
}

impl Gathering {
    fn is_complete(&self) -> bool {
        let sources = self.task.brief.sources.iter().zip(&self.parts);
        self.definition.is_some()
            && sources
                .into_iter()
                .all(|(source, part)| source.is_none() || part.is_some())
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
        if self.out.is_some() || self.payloads.is_empty() && self.definitions.is_empty() {
            return None;
        }
        let most = if self.singly > 0 { 1 } else { limits::BATCH };
        self.singly = self.singly.saturating_sub(1);
        let definitions: BTreeSet<DefinitionKey> =
            self.definitions.keys().take(most).cloned().collect();
        let payloads = self
            .payloads
            .keys()
            .take(most - definitions.len())
            .copied()
            .collect();
        Some(Fetch {
            payloads,
            definitions,
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
        payloads.chain(definitions).flatten().collect()
    }
}

impl Worker {
    /// Begins an attempt at once if everything is cached, else notes what to fetch.
    pub(super) fn gather(&mut self, id: AttemptId, task: TaskRow, now: Moment) {
        let definition = self.cache.definition(&task.brief.definition);
        if definition.is_none() {
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
        let gathering = Gathering {
            task,
            definition,
            parts,
        };
        if gathering.is_complete() {
            self.begin(id, gathering, now);
        } else {
            self.task_mut(id).stage = Stage::Fetching(Box::new(gathering));
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
                if wanted.payloads.len() + wanted.definitions.len() == 1 =>
            {
                for id in self.inputs.waiters(&wanted) {
                    if self.is_fetching(id) {
                        self.report_unreadable(id, &detail);
                    }
                }
            }
            Err(StoreError::Corrupt { .. }) => {
                self.inputs.singly = wanted.payloads.len() + wanted.definitions.len()
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
        for id in self.inputs.waiters(wanted) {
            if self.is_fetching(id) {
                self.take_parts(id, wanted, &payloads, &definitions, now);
            }
        }
    }

    /// Gives an attempt what arrived. What was asked for and did not arrive does not exist, which no run's task allows.
    fn take_parts(
        &mut self,
        id: AttemptId,
        wanted: &Fetch,
        payloads: &BTreeMap<PayloadRef, Payload>,
        definitions: &BTreeMap<DefinitionKey, Arc<Definition>>,
        now: Moment,
    ) {
        let task = self.task_mut(id);
        let Stage::Fetching(mut gathering) = std::mem::replace(&mut task.stage, Stage::Received)
        else {
            unreachable!("only attempts that are fetching take parts");
        };
        gathering.take(payloads, definitions);
        let brief = &gathering.task.brief;
        let mut places = brief
            .sources
            .iter()
            .flatten()
            .map(|source| source.of(id.key.run));
        let absent =
            places.find(|place| wanted.payloads.contains(place) && !payloads.contains_key(place));
        if let Some(place) = absent {
            let what = format!(
                "the journal of run {} has no payload at {}",
                place.run, place.seq.0
            );
            return self.report_unreadable(id, &what);
        }
        if gathering.definition.is_none() && wanted.definitions.contains(&brief.definition) {
            let what = format!("definition {} does not exist", brief.definition);
            return self.report_unreadable(id, &what);
        }
        if gathering.is_complete() {
            self.begin(id, *gathering, now);
        } else {
            self.task_mut(id).stage = Stage::Fetching(gathering);
        }
    }

    fn is_fetching(&self, id: AttemptId) -> bool {
        self.attempts
            .held
            .get(&id)
            .is_some_and(|task| matches!(task.stage, Stage::Fetching(_)))
    }
}
