//! A campaign that can be run: everything that its worlds have in common.
//!
//! Invariant: every handler has somebody who plays or executes it, every signal something to carry, and every input fits its
//! workflow.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use squid_mesh_core::definition::{Definition, StepKind};
use squid_mesh_core::name::Name;

use super::builder::{Campaign, Options, Planned};
use super::play::{Play, Stage};
use super::property::{Judgement, Kind, Property};
use super::set_up::{self, Release, SetUp};
use super::source::Authored;
use super::{CampaignError, Ledger, Scripted};
use crate::cast::{Cast, GivenStart};
use crate::choice::Choices;
use crate::shrink::Worlds;
use crate::trace::Trace;
use crate::world::{Outcome, World};

/// A campaign that can be run.
pub(super) struct Prepared<E> {
    pub(super) name: String,
    pub(super) from: u64,
    pub(super) threads: usize,
    pub(super) twice_one_in: u64,
    pub(super) shrinks_for: Duration,
    set_up: SetUp,
    scripts: Arc<BTreeMap<Name, Scripted>>,
    ignoring_keys: BTreeSet<String>,
    environment: Arc<dyn Fn() -> E + Send + Sync>,
    #[cfg(feature = "workflows")]
    workflows: Vec<Planned<E>>,
    #[cfg(feature = "workflows")]
    lists: Vec<super::actors::List<E>>,
    #[cfg(feature = "workflows")]
    real: bool,
    properties: Arc<Vec<Property<E>>>,
}

/// Longest attempt of a real handler, unless a campaign says otherwise.
const REAL: Duration = Duration::from_secs(600);
/// How often people look at runs at least while the longest of them waits.
const LOOKS: u32 = 50;
/// Inputs that are looked at before the first world.
const INPUTS: u64 = 16;

impl<E: 'static> Worlds for Prepared<E> {
    fn run(&self, choices: Choices, events: u64) -> Outcome {
        self.world_for(choices, Trace::default(), events).0
    }

    fn are_of_the_library(&self) -> bool {
        false
    }
}

impl<E: 'static> Prepared<E> {
    /// Puts a campaign in order.
    pub(super) fn of(campaign: Campaign<E>) -> Result<Prepared<E>, CampaignError> {
        let options = &campaign.options;
        if let Some(misplaced) = options.misplaced.first() {
            return Err(CampaignError::SetUp(misplaced.clone()));
        }
        let env = (campaign.environment)();
        let authored = authored(&campaign.workflows, &env)?;
        let definitions: Vec<Arc<Definition>> = authored
            .iter()
            .map(|one| Arc::clone(&one.definition))
            .collect();
        let scripts = scripts(options, &definitions)?;
        let prepared = Prepared {
            set_up: set_up(&campaign, &definitions, &scripts)?,
            from: options.from,
            threads: threads(options),
            twice_one_in: options.twice_one_in,
            shrinks_for: options.shrinks_for,
            scripts: Arc::new(scripts),
            name: campaign.name,
            ignoring_keys: campaign.options.ignoring_keys,
            environment: campaign.environment,
            #[cfg(feature = "workflows")]
            workflows: campaign.workflows,
            #[cfg(feature = "workflows")]
            lists: campaign.lists,
            #[cfg(feature = "workflows")]
            real: campaign.options.real,
            properties: Arc::new(campaign.properties),
        };
        prepared.check_transactions(&env)?;
        Ok(prepared)
    }

    /// Runs the world of these choices; which of the properties that must hold sometimes did.
    pub(super) fn world(&self, choices: Choices, trace: Trace) -> (Outcome, Vec<bool>) {
        self.world_for(choices, trace, u64::MAX)
    }

    /// The same, for so many events at most.
    fn world_for(&self, mut choices: Choices, trace: Trace, events: u64) -> (Outcome, Vec<bool>) {
        let env = (self.environment)();
        let reached = Rc::new(RefCell::new(self.unreached()));
        let stage = self.stage(&env);
        let settings = self.set_up.drawn(&mut choices);
        let judge = Judgement::new(env, Arc::clone(&self.properties), Rc::clone(&reached));
        let play = Play::new(
            Arc::clone(&self.scripts),
            self.ledgers(),
            stage,
            Box::new(judge),
        );
        let world = World::with(settings, choices, trace).playing(play);
        let outcome = world.run_for(events);
        let reached = reached.borrow().clone();
        (outcome, reached)
    }

    /// For each property, that it never held.
    pub(super) fn unreached(&self) -> Vec<bool> {
        vec![false; self.properties.len()]
    }

    /// What must hold sometimes, and is not among what was reached.
    pub(super) fn never(&self, reached: &[bool]) -> Vec<String> {
        let all = self.properties.iter().zip(reached);
        let never = all.filter(|(one, reached)| one.kind == Kind::Sometimes && !**reached);
        never.map(|(one, _)| one.name.clone()).collect()
    }

    fn ledgers(&self) -> BTreeMap<String, Ledger> {
        let names = self.scripts.values().filter_map(Scripted::ledger);
        names
            .map(|name| {
                let ignores = self.ignoring_keys.contains(name);
                let ledger = if ignores {
                    Ledger::ignoring_keys()
                } else {
                    Ledger::new()
                };
                (name.to_owned(), ledger)
            })
            .collect()
    }

    #[cfg(not(feature = "workflows"))]
    #[expect(
        clippy::unused_self,
        reason = "with the feature it is asked for its handlers"
    )]
    fn stage(&self, _: &E) -> Option<Box<dyn Stage>> {
        None
    }

    #[cfg(feature = "workflows")]
    fn stage(&self, env: &E) -> Option<Box<dyn Stage>> {
        let actors = self.actors(env);
        if actors.is_empty() {
            return None;
        }
        Some(Box::new(super::stage::TokioStage::new(actors)))
    }

    /// Whoever has real handlers, those last that come first where several have a handler.
    #[cfg(feature = "workflows")]
    fn actors(&self, env: &E) -> Vec<(usize, Arc<dyn super::actors::Actors>)> {
        let mut actors: Vec<(usize, Arc<dyn super::actors::Actors>)> = Vec::new();
        if self.real {
            let mut planned: Vec<&Planned<E>> = self.workflows.iter().collect();
            planned.sort_by_key(|planned| planned.release);
            for planned in planned {
                // It was made once before the first world.
                let authored = planned
                    .source
                    .of(env)
                    .expect("a workflow is made as before");
                actors.extend(authored.actors.map(|own| (planned.release, own)));
            }
        }
        for list in &self.lists {
            actors.push((0, Arc::new(list(env))));
        }
        actors
    }

    #[cfg(not(feature = "workflows"))]
    #[expect(
        clippy::unused_self,
        clippy::unnecessary_wraps,
        reason = "with the feature there are real handlers"
    )]
    fn check_transactions(&self, _: &E) -> Result<(), CampaignError> {
        Ok(())
    }

    /// There is no transaction that a real handler could write in.
    #[cfg(feature = "workflows")]
    fn check_transactions(&self, env: &E) -> Result<(), CampaignError> {
        let actors = self.actors(env);
        for definition in &self.set_up.workflows {
            for step in definition.steps().iter().filter(|step| step.transactional) {
                let handler = step.kind.handler();
                let real = handler.filter(|name| {
                    let on_stage = actors.iter().any(|(_, own)| own.has(name.as_str()));
                    on_stage && !self.scripts.contains_key(*name)
                });
                if let Some(handler) = real {
                    return Err(CampaignError::SetUp(format!(
                        "handler {handler} of step {:?} of workflow {} writes in a transaction, which a simulation has none of: \
                         it has to be scripted",
                        step.name.as_str(),
                        definition.key()
                    )));
                }
            }
        }
        Ok(())
    }
}

fn threads(options: &Options) -> usize {
    let there = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    options.threads.unwrap_or(there).max(1)
}

fn authored<E>(planned: &[Planned<E>], env: &E) -> Result<Vec<Authored>, CampaignError> {
    if planned.is_empty() {
        return Err(CampaignError::SetUp(
            "the campaign has no workflow".to_owned(),
        ));
    }
    let made = planned.iter().map(|planned| planned.source.of(env));
    made.collect::<Result<_, String>>()
        .map_err(CampaignError::SetUp)
}

fn scripts(
    options: &Options,
    definitions: &[Arc<Definition>],
) -> Result<BTreeMap<Name, Scripted>, CampaignError> {
    let named: BTreeSet<&Name> = definitions.iter().flat_map(|one| one.handlers()).collect();
    let mut scripts = BTreeMap::new();
    for (text, scripted) in &options.scripts {
        let name = named.iter().find(|name| name.as_str() == text);
        let Some(name) = name else {
            let there: Vec<&str> = named.iter().map(|name| name.as_str()).collect();
            return Err(CampaignError::SetUp(format!(
                "no step names a handler {text:?}; those that are named are {}",
                there.join(", ")
            )));
        };
        scripts.insert((*name).clone(), scripted.clone());
    }
    Ok(scripts)
}

fn set_up<E>(
    campaign: &Campaign<E>,
    definitions: &[Arc<Definition>],
    scripts: &BTreeMap<Name, Scripted>,
) -> Result<SetUp, CampaignError> {
    let options = &campaign.options;
    let mut cast = Cast::of(definitions, options.commands, options.faults.clone());
    let attempts = attempts(options, scripts);
    let unsaid = options.real && options.longest.is_none();
    cast.longest = cast
        .longest
        .max(attempts)
        .max(if unsaid { REAL } else { attempts });
    cast.starts = starts(&campaign.workflows, definitions)?;
    for (text, maker) in &options.signals {
        let name = Name::new(text).map_err(|error| CampaignError::SetUp(error.to_string()))?;
        cast.signals.insert(name, maker.clone());
    }
    cast.patience = set_up::waits(definitions) / LOOKS;
    check_versions(definitions)?;
    check_children(definitions)?;
    check_signals(definitions, &cast)?;
    Ok(SetUp {
        releases: releases(&campaign.workflows, definitions),
        cast: Arc::new(cast),
        workflows: definitions.to_vec(),
        workers: options.workers.clone(),
        runs: options.runs.clone(),
        attempts,
        begins: options.begins,
    })
}

/// No two workflows are the same version of one.
fn check_versions(definitions: &[Arc<Definition>]) -> Result<(), CampaignError> {
    let mut known = BTreeSet::new();
    let twice = definitions.iter().find(|one| !known.insert(one.key()));
    twice.map_or(Ok(()), |one| {
        let why = format!("the campaign has workflow {} twice", one.key());
        Err(CampaignError::SetUp(why))
    })
}

/// Children are of workflows that the campaign has.
fn check_children(definitions: &[Arc<Definition>]) -> Result<(), CampaignError> {
    for definition in definitions {
        for child in definition.workflows() {
            if !definitions.iter().any(|other| other.name() == child) {
                return Err(CampaignError::SetUp(format!(
                    "workflow {} has children of {child}, which the campaign does not have",
                    definition.key()
                )));
            }
        }
    }
    Ok(())
}

/// How long attempts are said to take at most.
fn attempts(options: &Options, scripts: &BTreeMap<Name, Scripted>) -> Duration {
    let spans = scripts.values().filter_map(Scripted::span);
    let scripted = spans.map(|span| *span.end()).max().unwrap_or_default();
    options.longest.unwrap_or_default().max(scripted)
}

fn starts<E>(
    planned: &[Planned<E>],
    definitions: &[Arc<Definition>],
) -> Result<Vec<GivenStart>, CampaignError> {
    let all = planned.iter().zip(definitions);
    let given = all.filter_map(|(planned, definition)| {
        Some(GivenStart {
            definition: Arc::clone(definition),
            input: planned.input.clone()?,
        })
    });
    let starts: Vec<GivenStart> = given.collect();
    if starts.is_empty() {
        let why = "no workflow of the campaign is started: say with `start` what its inputs are";
        return Err(CampaignError::SetUp(why.to_owned()));
    }
    for start in &starts {
        let mut numbers = (0..INPUTS).chain([Cast::ANOTHER]);
        numbers.try_for_each(|number| start.check(number).map_err(CampaignError::SetUp))?;
    }
    Ok(starts)
}

/// The releases, if there is more than one.
fn releases<E>(planned: &[Planned<E>], definitions: &[Arc<Definition>]) -> Vec<Release> {
    let last = planned.iter().map(|planned| planned.release).max();
    let Some(last) = last.filter(|last| *last > 0) else {
        return Vec::new();
    };
    let release = |number: usize| {
        let known = planned.iter().zip(definitions);
        let known: Vec<Arc<Definition>> = known
            .filter(|(planned, _)| planned.release <= number)
            .map(|(_, definition)| Arc::clone(definition))
            .collect();
        let handlers: BTreeSet<Name> = known
            .iter()
            .flat_map(|definition| definition.handlers())
            .cloned()
            .collect();
        Release {
            workflows: known,
            handlers: handlers.into_iter().collect(),
        }
    };
    (0..=last).map(release).collect()
}

/// Every signal that some step waits for carries something that it takes.
fn check_signals(definitions: &[Arc<Definition>], cast: &Cast) -> Result<(), CampaignError> {
    for definition in definitions {
        for step in definition.steps() {
            let StepKind::Signal {
                signal, contract, ..
            } = &step.kind
            else {
                continue;
            };
            let Some(maker) = cast.signals.get(signal) else {
                return Err(CampaignError::SetUp(format!(
                    "workflow {} waits for signal {signal}: say with `signal` what it carries",
                    definition.key()
                )));
            };
            for number in 0..INPUTS {
                if let Err(violations) = contract.check(&maker.make(number)) {
                    return Err(CampaignError::SetUp(format!(
                        "what signal {signal} carries does not fit step {:?} of workflow {}: {violations}",
                        step.name.as_str(),
                        definition.key()
                    )));
                }
            }
        }
    }
    Ok(())
}
