//! What a handler does: how long it takes, how it ends, and what it thinks of being told to stop.
//!
//! Invariant: a script is drawn when its attempt begins and decides everything that follows, whatever the engine does.

use std::time::Duration;

use squid_mesh_core::event::{Failure, code};
use squid_mesh_core::name::Name;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::worker::{AttemptFailure, Returned};

use crate::choice::{Choices, Label};
use crate::clock::micros;
use crate::fault::Fault;
use crate::settings::Settings;

/// What a handler does in one attempt.
#[derive(Debug, Clone)]
pub struct Script {
    /// How long it takes; for ever, if not given.
    pub lasts: Option<Duration>,
    /// How it ends.
    pub ending: Ending,
    /// The label that it returns with an output.
    pub label: Option<String>,
    /// What it does when it is told to stop.
    pub on_stop: OnStop,
    /// The runs that it starts meanwhile.
    pub calls: Vec<Calling>,
}

/// A run that a handler starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Calling {
    /// How long after it has begun.
    pub after: Duration,
    /// Under which of its keys.
    pub key: u64,
    /// With which of its inputs: another one than before is refused.
    pub input: u64,
    /// Whether the run goes its own way.
    pub detached: bool,
    /// Whether it asks the store itself, rather than its worker.
    pub direct: bool,
}

/// How an attempt ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It returns an output.
    Success,
    /// It returns an output above the limit.
    Oversized,
    /// It fails; another attempt may help.
    Failure {
        /// How long to wait before that, if the handler knows better than the policy.
        retry_after: Option<Duration>,
    },
    /// It panics.
    Panic,
    /// It fails for good.
    FinalFailure,
    /// It takes its process with it.
    KillsHost,
    /// Its transaction meets another.
    Conflict,
    /// It takes longer than it may, in a transaction.
    Overtime,
}

/// What a handler does when it is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStop {
    /// It gives up soon.
    GivesUp,
    /// It goes on as if nothing had happened.
    Ignores,
    /// It hurries up and still succeeds.
    Hurries,
}

impl Script {
    /// Draws a script for an attempt with this timeout, and says which faults that meant.
    pub fn drawn(
        settings: &Settings,
        timeout: Option<Duration>,
        labels: &[Name],
        choices: &mut Choices,
    ) -> (Script, Vec<Fault>) {
        let rate = |fault: Fault| settings.intensities.of(fault);
        let mut faults = Vec::new();
        let mut strikes = |fault: Fault, choices: &mut Choices| {
            let struck = choices.strikes(Label::Script, rate(fault));
            if struck {
                faults.push(fault);
            }
            struck
        };
        let mut lasts = Some(duration(settings, choices));
        let ending = if strikes(Fault::HandlerFails, choices) {
            failing(choices)
        } else if strikes(Fault::Oversized, choices) {
            Ending::Oversized
        } else if strikes(Fault::HandlerKillsHost, choices) {
            Ending::KillsHost
        } else {
            Ending::Success
        };
        if let Some(timeout) = timeout {
            if strikes(Fault::HandlerHangs, choices) {
                lasts = None;
            } else if strikes(Fault::HandlerOverruns, choices) {
                let beside = choices.between(Label::Script, 0, 2);
                lasts = Some(Duration::from_micros(
                    (micros(timeout) + beside).saturating_sub(1),
                ));
            }
        }
        let on_stop = if strikes(Fault::HandlerIgnoresStop, choices) {
            OnStop::Ignores
        } else {
            choices.pick(Label::Script, &[OnStop::GivesUp, OnStop::Hurries])
        };
        (
            Script {
                lasts,
                ending,
                label: label(labels, choices),
                on_stop,
                calls: Vec::new(),
            },
            faults,
        )
    }

    /// Draws the runs that it starts, most often one or two, with few keys so that attempts find what others started.
    pub fn draw_calls(&mut self, choices: &mut Choices) {
        let longest = self.lasts.map_or(2_000_000, micros);
        // Between two attempts nobody holds the step.
        let again = matches!(self.ending, Ending::Failure { .. } | Ending::Panic);
        let late = if again { 700 } else { 200 };
        for _ in 0..choices.between(Label::Script, 1, 3) {
            let mut after = choices.choose(Label::Duration, longest + 1);
            if choices.happens(Label::Script, late) {
                // By a task that outlives it.
                after = longest + choices.magnitude(Label::Duration, 1, 2_000_000);
            }
            self.calls.push(Calling {
                after: Duration::from_micros(after),
                key: choices.choose(Label::Script, 3),
                input: u64::from(choices.happens(Label::Script, 60)),
                detached: choices.happens(Label::Script, 150),
                direct: choices.happens(Label::Script, 300),
            });
        }
    }

    /// What the attempt returns. Each body returns an output of its own, so that no result can be taken for another.
    pub fn result(
        ending: Ending,
        label: Option<String>,
        body: usize,
        payload_limit: usize,
    ) -> Result<Returned, AttemptFailure> {
        let failure = |code: &str, retryable| Failure::new(code, "scripted", retryable);
        let failed = |failure| {
            Err(AttemptFailure {
                failure,
                details: None,
            })
        };
        match ending {
            Ending::Success => Ok(Returned {
                output: Payload::new(body.to_string().into_bytes()),
                label,
            }),
            Ending::Oversized => {
                let text = format!("\"{}\"", "x".repeat(payload_limit));
                Ok(Payload::new(text.into_bytes()).into())
            }
            Ending::Failure { retry_after } => failed(Failure {
                retry_after,
                ..failure("flaky", true)
            }),
            Ending::Panic => failed(failure(code::PANIC, true)),
            Ending::FinalFailure => failed(failure("refused", false)),
            Ending::KillsHost | Ending::Conflict | Ending::Overtime => {
                unreachable!("a body that ends as {ending:?} returns nothing")
            }
        }
    }
}

/// Mostly one that its step declares, sometimes none, rarely one that it does not declare.
fn label(labels: &[Name], choices: &mut Choices) -> Option<String> {
    if labels.is_empty() {
        return None;
    }
    match choices.choose(Label::Script, 20) {
        0..=17 => Some(labels[choices.index(Label::Script, labels.len())].to_string()),
        18 => None,
        _ => Some("nowhere".to_owned()),
    }
}

fn failing(choices: &mut Choices) -> Ending {
    match choices.choose(Label::Script, 10) {
        0..=4 => Ending::Failure { retry_after: None },
        5 | 6 => {
            let span = choices.magnitude(Label::Script, 1_000, 8_000_000);
            Ending::Failure {
                retry_after: Some(Duration::from_micros(span)),
            }
        }
        7 | 8 => Ending::Panic,
        _ => Ending::FinalFailure,
    }
}

/// Mostly short; sometimes long enough to be renewed, or to outlive its lease when nobody renews it.
fn duration(settings: &Settings, choices: &mut Choices) -> Duration {
    let lease = micros(settings.lease);
    let (low, high) = match choices.choose(Label::Duration, 10) {
        0..=4 => (500, 20_000),
        5..=7 => (20_000, 800_000),
        8 => (lease / 4, lease),
        _ => (lease / 2, (lease * 5 / 2).min(40_000_000)),
    };
    Duration::from_micros(choices.magnitude(Label::Duration, low, high))
}
