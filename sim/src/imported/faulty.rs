//! A run from production again, under faults.
//!
//! Invariant: it is judged by the engine's promises like any other world; how it ended in production is no promise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use squid_mesh_core::definition::{Definition, Problems, StepKind};
use squid_mesh_core::event::Event;
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::name::Name;
use squid_mesh_core::run::Status;

use super::recorded::{self, Recorded};
use crate::user::{CampaignError, Commands, Faults, Passed};

/// How a run ended under faults: in how many worlds each way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ends {
    /// What the worlds came to.
    pub passed: Passed,
    /// By the status, or `unreadable` of a run of which a fault has damaged the snapshot, or a row that a step
    /// needs, as only a person can go on with it.
    pub ends: BTreeMap<String, u64>,
}

/// A run cannot be gone through again under faults, or a promise did not hold.
#[derive(Debug)]
#[non_exhaustive]
pub enum UnderFaultsError {
    /// What its handlers were given and returned is not known.
    NoPayloads,
    /// Its children are other runs, which were not exported with it.
    Children {
        /// The workflows that they are of.
        workflows: Vec<Name>,
    },
    /// Its input is no JSON.
    Input,
    /// It was started by another trigger than the default one, whose contract does not go with the rest of the definition.
    Trigger(Problems),
    /// A promise did not hold, or the campaign makes no sense.
    Campaign(CampaignError),
}

impl std::fmt::Display for UnderFaultsError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            UnderFaultsError::NoPayloads => f.write_str(
                "the run was exported without payloads, so what its handlers return is not known: export it with --payloads",
            ),
            UnderFaultsError::Children { workflows } => {
                let names: Vec<&str> = workflows.iter().map(Name::as_str).collect();
                let names = names.join(", ");
                write!(
                    f,
                    "the run has children of {names}, and what those do is not in the file: it can be looked at only"
                )
            }
            UnderFaultsError::Input => f.write_str("the input of the run is no JSON"),
            UnderFaultsError::Trigger(problems) => {
                write!(f, "the trigger that started the run does not fit: {problems}")
            }
            UnderFaultsError::Campaign(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for UnderFaultsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            UnderFaultsError::Trigger(problems) => Some(problems),
            UnderFaultsError::Campaign(error) => Some(error),
            UnderFaultsError::NoPayloads
            | UnderFaultsError::Children { .. }
            | UnderFaultsError::Input => None,
        }
    }
}

/// Starts one run with the recorded input in each of so many worlds, which begin when it did, under all faults. Its handlers are played: they return
/// what was recorded for their input, else what they returned last, else their input; one that only ever failed fails. Which
/// labels they return, and what people decide, is drawn. Somebody cancels it only if somebody did in production.
///
/// # Errors
/// See [`UnderFaultsError`]; of a promise that did not hold, the world of the lowest seed.
pub fn under_faults(exported: &ExportedRun, seeds: u64) -> Result<Ends, UnderFaultsError> {
    if !exported.has_payloads() {
        return Err(UnderFaultsError::NoPayloads);
    }
    let definition = definition(exported)?;
    let workflows: Vec<Name> = definition.workflows().into_iter().cloned().collect();
    if !workflows.is_empty() {
        return Err(UnderFaultsError::Children { workflows });
    }
    let input = exported.rows().first().and_then(|row| row.payload.as_ref());
    let input = input.and_then(recorded::value);
    let input: Value = input.ok_or(UnderFaultsError::Input)?;
    let recorded = Recorded::of(exported);
    let ends = Arc::new(Mutex::new(BTreeMap::new()));
    let counted = Arc::clone(&ends);
    let mut campaign = crate::campaign(format!("run {}", exported.id()))
        .workflow(definition.clone())
        .start(move |_| input.clone())
        .runs(1..=1)
        .begins_at(exported.run().origin().at)
        .faults(Faults::all())
        .commands(Commands::starts_only().cancels(was_cancelled(exported)))
        .without_regressions()
        // Each world is counted once; played handlers come out the same.
        .twice_one_in(0)
        .eventually("it is counted how the run ended", move |world| {
            let mut counted = counted.lock().unwrap_or_else(PoisonError::into_inner);
            for run in world.runs() {
                let unreadable = run.is_unreadable() && !run.is_ended();
                let how = if unreadable {
                    "unreadable"
                } else {
                    run.status().as_str()
                };
                *counted.entry(how.to_owned()).or_default() += 1;
            }
        });
    for handler in definition.handlers() {
        campaign = campaign.handler(handler.as_str(), recorded.scripted(handler));
    }
    for signal in signals(&definition) {
        let carried = recorded.signal(signal).cloned().unwrap_or_default();
        campaign = campaign.signal(signal.as_str(), move |_| carried.clone());
    }
    let passed = campaign.run(seeds).map_err(UnderFaultsError::Campaign)?;
    let ends = ends.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(Ends { passed, ends })
}

/// The definition, with the contract of the trigger that started the run as that of the default one.
fn definition(exported: &ExportedRun) -> Result<Definition, UnderFaultsError> {
    let definition = exported.definition();
    let trigger = definition.trigger(exported.started().trigger.as_str());
    let contract = trigger.map(|trigger| trigger.contract.clone());
    let mut draft = definition.to_draft();
    draft.input = contract.unwrap_or(draft.input);
    Definition::validate(draft).map_err(UnderFaultsError::Trigger)
}

fn was_cancelled(exported: &ExportedRun) -> bool {
    let mut events = exported.rows().iter().map(|row| &row.transition.event);
    events.any(|event| matches!(event, Event::CancelRequested(_)))
        || exported.status() == Status::Cancelled
}

fn signals(definition: &Definition) -> impl Iterator<Item = &Name> {
    definition
        .steps()
        .iter()
        .filter_map(|step| match &step.kind {
            StepKind::Signal { signal, .. } => Some(signal),
            _ => None,
        })
}
