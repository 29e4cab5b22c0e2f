//! What one world adds to the built-in one: handlers with effects, ledgers, properties.
//!
//! Invariant: a body's effect happens at most once for each time that its handler really gets there.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde_json::Value;
use squid_mesh_core::event::Failure;
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::worker::{AttemptFailure, Execution, Returned, StopReason};

use super::line::{Asked, Said};
use super::view::Scene;
use super::{Ledger, Scripted};
use crate::clock::SimTime;
use crate::ghost::BodyId;
use crate::panics;
use crate::script::{Ending, Script};
use crate::violation::{Check, Promise, broken};

/// What one world adds to the built-in one.
pub(crate) struct Play {
    /// Handlers that are played, by name.
    pub(crate) scripts: Arc<BTreeMap<Name, Scripted>>,
    /// What those book in.
    pub(crate) ledgers: BTreeMap<String, Ledger>,
    /// Handlers that are executed.
    pub(crate) stage: Option<Box<dyn Stage>>,
    /// The properties.
    pub(crate) judge: Box<dyn Judge>,
    acting: BTreeMap<BodyId, Acting>,
}

/// Executes the futures of real handlers, in virtual time.
pub(crate) trait Stage {
    /// Whether it has a handler of this name.
    fn has(&self, handler: &Name) -> bool;
    /// Makes the future of an attempt in a process of a release, which has not been polled.
    fn begin(&mut self, id: BodyId, execution: &Execution, release: usize);
    /// Polls it.
    fn poll(&mut self, id: BodyId, now: SimTime) -> Option<Result<Returned, AttemptFailure>>;
    /// Fires its cancellation.
    fn stop(&mut self, id: BodyId, reason: StopReason);
    /// Drops it.
    fn end(&mut self, id: BodyId);
    /// Lets time go on up to an instant, or until some are to be polled: says which, and when.
    fn advance(&mut self, until: SimTime) -> Option<(SimTime, Vec<BodyId>)>;
    /// What they have asked the store since this was last called.
    fn asked(&mut self) -> Vec<Asked>;
    /// Answers what one has asked.
    fn answered(&mut self, question: u64, said: Said);
}

/// The properties of a campaign, and which of them came true.
pub(crate) trait Judge {
    /// An operation has landed.
    fn landed(&mut self, scene: Scene<'_>) -> Check;
    /// The world is over.
    fn over(&mut self, scene: Scene<'_>) -> Check;
}

/// A body on stage.
struct Acting {
    key: String,
    input: Value,
    handler: Name,
    role: Acted,
}

/// How far a body is.
enum Acted {
    /// It is played; whether it has had its effect.
    Scripted { effect: bool },
    /// It is executed.
    Real(Real),
    /// It is one that would be executed, and fails before it does anything.
    Fails,
}

/// How far a real handler is.
struct Real {
    /// How long it takes between its result and its end; for ever, if not given.
    after: Option<u64>,
    polled: bool,
    result: Option<Result<Returned, AttemptFailure>>,
}

/// What a body does next.
pub(crate) enum Next {
    /// Nothing, until it is woken.
    Waits,
    /// It ends that many microseconds later.
    Ends(u64),
}

impl Play {
    pub(crate) fn new(
        scripts: Arc<BTreeMap<Name, Scripted>>,
        ledgers: BTreeMap<String, Ledger>,
        stage: Option<Box<dyn Stage>>,
        judge: Box<dyn Judge>,
    ) -> Play {
        Play {
            scripts,
            ledgers,
            stage,
            judge,
            acting: BTreeMap::new(),
        }
    }

    /// Whether a handler is executed, rather than played.
    pub(crate) fn is_real(&self, handler: &Name) -> bool {
        let on_stage = self.stage.as_ref().is_some_and(|stage| stage.has(handler));
        on_stage && !self.scripts.contains_key(handler)
    }

    /// How a handler is played.
    pub(crate) fn script(&self, handler: &Name) -> Option<&Scripted> {
        self.scripts.get(handler)
    }

    /// A body enters, played.
    pub(crate) fn enters(&mut self, id: BodyId, execution: &Execution) {
        let role = Acted::Scripted { effect: false };
        self.acting.insert(id, acting(execution, role));
    }

    /// A body enters whose handler is called later. `after` is how long it rests with its result.
    pub(crate) fn enters_really(
        &mut self,
        id: BodyId,
        (execution, release): (&Execution, usize),
        after: Option<u64>,
    ) {
        if let Some(stage) = &mut self.stage {
            stage.begin(id, execution, release);
        }
        let real = Real {
            after,
            polled: false,
            result: None,
        };
        self.acting.insert(id, acting(execution, Acted::Real(real)));
    }

    /// A body enters whose handler is never called.
    pub(crate) fn enters_in_vain(&mut self, id: BodyId, execution: &Execution) {
        self.acting.insert(id, acting(execution, Acted::Fails));
    }

    /// A body goes on: it has its effect, or its future is polled.
    pub(crate) fn goes_on(&mut self, id: BodyId, now: SimTime) -> Next {
        let Some(acting) = self.acting.get_mut(&id) else {
            return Next::Waits;
        };
        let Acted::Real(real) = &mut acting.role else {
            self.effect(id);
            return Next::Waits;
        };
        if real.result.is_some() {
            return Next::Waits;
        }
        real.polled = true;
        let stage = self.stage.as_mut().expect("a real handler has a stage");
        let Some(result) = stage.poll(id, now) else {
            return Next::Waits;
        };
        stage.end(id);
        real.result = Some(bounded(result));
        real.after.map_or(Next::Waits, Next::Ends)
    }

    /// A body that is executed is told to stop; whether it is one. Says what hurries up because of that: whether the handler
    /// is to be polled, and whether the end is to come soon.
    pub(crate) fn stops(&mut self, id: BodyId, reason: StopReason) -> Option<Hurry> {
        let real = match &self.acting.get(&id)?.role {
            Acted::Real(real) => real,
            Acted::Fails => return Some(Hurry::Ends),
            Acted::Scripted { .. } => return None,
        };
        if real.result.is_some() {
            return Some(Hurry::Ends);
        }
        if let Some(stage) = &mut self.stage {
            stage.stop(id, reason);
        }
        Some(if real.polled {
            Hurry::Polled
        } else {
            Hurry::Begins
        })
    }

    /// What a body returns that ends in a way.
    pub(crate) fn result(
        &mut self,
        id: BodyId,
        ending: Ending,
        label: Option<String>,
        payload_limit: usize,
    ) -> Result<Returned, AttemptFailure> {
        let scripted = |label| Script::result(ending, label, id.0, payload_limit);
        if ending != Ending::Success {
            return scripted(None);
        }
        let Some(Acting { role, .. }) = self.acting.get_mut(&id) else {
            return scripted(label);
        };
        match role {
            Acted::Real(real) => {
                let result = real.result.take();
                result.expect("a real handler ends well only with its result")
            }
            Acted::Scripted { .. } => {
                self.effect(id);
                self.played(id, label)
            }
            Acted::Fails => unreachable!("it fails whatever it is told"),
        }
    }

    /// A body is gone.
    pub(crate) fn exits(&mut self, id: BodyId) {
        self.acting.remove(&id);
        if let Some(stage) = &mut self.stage {
            stage.end(id);
        }
    }

    fn played(&self, id: BodyId, label: Option<String>) -> Result<Returned, AttemptFailure> {
        let Acting { input, handler, .. } = &self.acting[&id];
        let script = self.scripts.get(handler);
        if let Some(failure) = script.and_then(Scripted::failure) {
            let failure = Failure::new(&failure.code, &failure.message, failure.retryable);
            let details = None;
            return Err(AttemptFailure { failure, details });
        }
        let output = script.map_or_else(|| input.clone(), |script| script.output(input));
        Ok(Returned {
            output: Payload::new(output.to_string().into_bytes()),
            label,
        })
    }

    /// A body that is played has its effect, unless it had it.
    fn effect(&mut self, id: BodyId) {
        let Some(acting) = self.acting.get_mut(&id) else {
            return;
        };
        let Acted::Scripted { effect } = &mut acting.role else {
            return;
        };
        if std::mem::replace(effect, true) {
            return;
        }
        let script = self.scripts.get(&acting.handler);
        let booking = script.and_then(|script| script.booking(&acting.input));
        if let Some((name, amount)) = booking {
            self.ledgers[name].post(&acting.key, amount);
        }
    }
}

/// What a body does sooner because it was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hurry {
    /// Its handler is called.
    Begins,
    /// Its future is polled.
    Polled,
    /// It ends.
    Ends,
}

fn acting(execution: &Execution, role: Acted) -> Acting {
    Acting {
        key: execution.idempotency_key(),
        input: serde_json::from_slice(execution.input.bytes()).unwrap_or_default(),
        handler: execution.handler.clone(),
        role,
    }
}

/// A result as its worker takes it: what is too long in a failure is cut.
fn bounded(result: Result<Returned, AttemptFailure>) -> Result<Returned, AttemptFailure> {
    result.map_err(|AttemptFailure { failure, details }| {
        let cut = Failure::new(&failure.code, &failure.message, failure.retryable);
        let failure = Failure {
            retry_after: failure.retry_after,
            details: details.as_ref().map(Payload::digest),
            ..cut
        };
        AttemptFailure { failure, details }
    })
}

/// What is said of a property after its name.
pub(crate) const DOES_NOT_HOLD: &str = " does not hold";

/// Asks a property of somebody else's. A panic is an answer too.
pub(crate) fn asked(
    kind: Promise,
    name: &str,
    property: impl FnOnce() -> Result<(), String>,
) -> Check {
    let answer = panics::contained(|| catch_unwind(AssertUnwindSafe(property)));
    let wrong = match answer {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(wrong)) => wrong,
        Err(panic) => panics::message(panic.as_ref()),
    };
    let says = if wrong.is_empty() { "" } else { ": " };
    broken(kind, format!("{name:?}{DOES_NOT_HOLD}{says}{wrong}"))
}
