//! Who asks for something, and what they say.
//!
//! Invariant: what is said is checked as the engine checks it, so that no wish is sent that would be refused for its words.

use serde::Serialize;
use serde_json::Value;
use squid_mesh_core::definition::Contract;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::limits;
use squid_mesh_core::operation::Rejection;

use super::LimitExceeded;
use super::start::command;

/// Who asks, what they say, and the key that makes a repetition one.
#[derive(Debug, Clone, Default)]
pub(super) struct Word {
    pub(super) actor: Option<String>,
    pub(super) comment: Option<String>,
    pub(super) metadata: Option<Result<Value, String>>,
    pub(super) key: Option<String>,
}

/// Why a word cannot be sent. Nothing was written.
#[derive(Debug)]
pub(super) enum Unfit {
    Limit(LimitExceeded),
    Rejected(Rejection),
}

pub(super) const NUL: &str = "with a NUL character, which not every store can hold";

impl Word {
    pub(super) fn set_metadata(&mut self, metadata: impl Serialize) {
        let json = serde_json::to_value(metadata);
        self.metadata = Some(json.map_err(|error| error.to_string()));
    }

    /// The command about a run that this stands for: with a key always the same one, else another each time it is asked.
    pub(super) fn command(&self, run: RunId) -> Result<CommandId, Unfit> {
        self.command_by(|key| CommandId::keyed(run, key))
    }

    /// The command that this stands for, given what a key stands for.
    pub(super) fn command_by(
        &self,
        keyed: impl FnOnce(&str) -> CommandId,
    ) -> Result<CommandId, Unfit> {
        let Some(key) = &self.key else {
            return Ok(command());
        };
        LimitExceeded::check("bytes of the command key", key.len(), limits::KEY_BYTES)
            .map_err(Unfit::Limit)?;
        Ok(keyed(key))
    }

    /// As the engine takes it.
    pub(super) fn by(&self) -> Result<By, Unfit> {
        let metadata = match &self.metadata {
            None => None,
            Some(Ok(value)) if Contract::Any.check(value).is_err() => {
                return Err(unfit("the metadata", NUL));
            }
            Some(Ok(value @ Value::Object(_))) => Some(value.to_string()),
            Some(Ok(_)) => return Err(unfit("the metadata", "no JSON object")),
            Some(Err(why)) => {
                let problem = format!("not to be written as JSON: {why}");
                return Err(unfit("the metadata", &problem));
            }
        };
        if self.actor.as_ref().is_some_and(|it| it.trim().is_empty()) {
            return Err(unfit("the actor", "missing"));
        }
        check("the actor", "bytes of the actor", self.actor.as_ref())?;
        check("the comment", "bytes of the comment", self.comment.as_ref())?;
        check("the metadata", "bytes of the metadata", metadata.as_ref())?;
        Ok(By {
            actor: self.actor.clone(),
            comment: self.comment.clone(),
            metadata,
        })
    }
}

fn check(what: &str, bytes: &'static str, text: Option<&String>) -> Result<(), Unfit> {
    let Some(text) = text else { return Ok(()) };
    LimitExceeded::check(bytes, text.len(), limits::COMMENT_BYTES).map_err(Unfit::Limit)?;
    if text.contains('\0') {
        return Err(unfit(what, NUL));
    }
    Ok(())
}

pub(super) fn unfit(what: &str, problem: &str) -> Unfit {
    Unfit::Rejected(Rejection::InvalidCommand {
        what: what.to_owned(),
        problem: problem.to_owned(),
    })
}

/// The options by which whoever asks says who they are. The builder has a field `word`.
macro_rules! word_options {
    (actor, comment) => {
        /// Who asks.
        pub fn actor(mut self, actor: impl Into<String>) -> Self {
            self.word.actor = Some(actor.into());
            self
        }

        /// Why, for whoever reads what was done.
        pub fn comment(mut self, comment: impl Into<String>) -> Self {
            self.word.comment = Some(comment.into());
            self
        }
    };
    () => {
        word_options!(actor, comment);

        /// Whatever else is to be recorded with it: something that is written as a JSON object.
        pub fn metadata(mut self, metadata: impl serde::Serialize) -> Self {
            self.word.set_metadata(metadata);
            self
        }
    };
    (key) => {
        word_options!();

        /// The command key: the same command with the same key about the same run has its effect once, and gets the first
        /// answer, however often it is sent.
        pub fn key(mut self, key: impl Into<String>) -> Self {
            self.word.key = Some(key.into());
            self
        }
    };
}
pub(super) use word_options;

/// What every error of something that is submitted has.
macro_rules! submit_errors {
    ($($error:ident),+) => {$(
        impl From<$crate::client::word::Unfit> for $error {
            fn from(unfit: $crate::client::word::Unfit) -> $error {
                match unfit {
                    $crate::client::word::Unfit::Limit(limit) => $error::Limit(limit),
                    $crate::client::word::Unfit::Rejected(rejection) => rejection.into(),
                }
            }
        }

        impl From<$crate::client::submit::NotDone> for $error {
            fn from(not_done: $crate::client::submit::NotDone) -> $error {
                match not_done {
                    $crate::client::submit::NotDone::Rejected(rejection) => rejection.into(),
                    $crate::client::submit::NotDone::Refused(why) => $error::Refused(why),
                    $crate::client::submit::NotDone::Unknown(why) => $error::Unknown(why),
                }
            }
        }
    )+};
}
pub(super) use submit_errors;

/// What of the engine's refusals an error says in its own words; the others are `Rejected`.
macro_rules! rejections {
    ($error:ident: $($variant:ident { $($field:ident),+ }),+) => {
        impl From<squid_mesh_core::operation::Rejection> for $error {
            fn from(rejection: squid_mesh_core::operation::Rejection) -> $error {
                use squid_mesh_core::operation::Rejection;
                match rejection {
                    $(Rejection::$variant { $($field),+ } => $error::$variant { $($field),+ },)+
                    rejection => $error::Rejected(rejection),
                }
            }
        }
    };
}
pub(super) use rejections;

/// What the error of a wish for which a run is looked at first has.
macro_rules! lookup_errors {
    ($($error:ident),+) => {$(
        impl From<$crate::client::InspectError> for $error {
            fn from(error: $crate::client::InspectError) -> $error {
                match error {
                    $crate::client::InspectError::UnknownRun { run } => $error::UnknownRun { run },
                    error => $error::Lookup(error),
                }
            }
        }
    )+};
}
pub(super) use lookup_errors;
