//! When calendars fire.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod acceptance;
mod bounds;
mod common;
mod errors;
mod expressions;
mod policies;
mod walks;
