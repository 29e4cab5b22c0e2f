//! When calendars fire.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod acceptance;
mod common;
