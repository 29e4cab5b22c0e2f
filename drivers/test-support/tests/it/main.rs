//! What this crate promises, against real servers and real processes.

mod common;
mod databases;
mod private_cluster;
mod processes;
