//! When calendars fire.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod acceptance;
mod bounds;
mod changes;
mod common;
mod errors;
mod expressions;
mod matching;
mod oracle;
mod policies;
mod sweep;
mod walks;
