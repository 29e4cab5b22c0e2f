//! What callers say and carry along: whether every store can hold it, and whether it is not too much.
//!
//! Invariant: what is refused here is refused whatever the store, before anything is written; what the engine says itself is
//! not looked at.

use std::time::Duration;

use super::Rejection;
use crate::event::By;
use crate::limits;
use crate::payload::{Payload, has_nul};

const NUL: &str = "with a NUL character, which not every store can hold";

/// Whoever decides says who they are; what they say is bounded, and their metadata is a JSON object.
pub(super) fn by(by: &By, needs_actor: bool) -> Result<(), Rejection> {
    actor(by.actor.as_deref(), needs_actor)?;
    let rest = [("the comment", &by.comment), ("the metadata", &by.metadata)];
    for (what, said) in rest {
        said.as_deref().map_or(Ok(()), |said| comment(what, said))?;
    }
    let Some(metadata) = &by.metadata else {
        return Ok(());
    };
    // Of an escape the text itself shows nothing.
    if has_nul(metadata.as_bytes()) {
        return Err(invalid("the metadata", NUL));
    }
    match serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(metadata) {
        Ok(_) => Ok(()),
        Err(_) => Err(invalid("the metadata", "no JSON object")),
    }
}

/// An actor, if there is one or must be, has a name.
pub(super) fn actor(actor: Option<&str>, is_needed: bool) -> Result<(), Rejection> {
    match actor {
        Some(actor) if !actor.trim().is_empty() => comment("the actor", actor),
        None if !is_needed => Ok(()),
        Some(_) | None => Err(invalid("the actor", "missing")),
    }
}

/// A text of people for people is bounded.
pub(super) fn comment(what: &str, text: &str) -> Result<(), Rejection> {
    if text.len() > limits::COMMENT_BYTES {
        let problem = format!("longer than {} bytes", limits::COMMENT_BYTES);
        return Err(invalid(what, &problem));
    }
    plain(what, text)
}

/// A text has no NUL character.
pub(super) fn plain(what: &str, text: &str) -> Result<(), Rejection> {
    if text.contains('\0') {
        return Err(invalid(what, NUL));
    }
    Ok(())
}

/// The texts and keys of a JSON value have no NUL character.
pub(super) fn json(what: &str, payload: &Payload) -> Result<(), Rejection> {
    if has_nul(payload.bytes()) {
        return Err(invalid(what, NUL));
    }
    Ok(())
}

/// There is not more of something than the engine takes.
pub(super) fn at_most(limit: usize, what: &str, found: usize) -> Result<(), Rejection> {
    if found <= limit {
        return Ok(());
    }
    let wide = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    Err(Rejection::LimitExceeded {
        what: what.to_owned(),
        limit: wide(limit),
        found: wide(found),
    })
}

/// A span is not longer than the engine waits for anything.
pub(super) fn span(what: &str, found: Duration) -> Result<(), Rejection> {
    if found <= limits::SPAN_MAX {
        return Ok(());
    }
    // Rounded up: a span just above the limit shows as above it.
    let started = u64::from(found.subsec_nanos() > 0);
    Err(Rejection::LimitExceeded {
        what: format!("the number of seconds of the {what}"),
        limit: limits::SPAN_MAX.as_secs(),
        found: found.as_secs().saturating_add(started),
    })
}

pub(super) fn invalid(what: &str, problem: &str) -> Rejection {
    Rejection::InvalidCommand {
        what: what.to_owned(),
        problem: problem.to_owned(),
    }
}
