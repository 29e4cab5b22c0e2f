//! Which seeds to run, and how.
//!
//! Invariant: the same arguments mean the same worlds, whatever is done with them.

use std::time::Duration;

use clap::Args;
use squid_mesh_sim::campaign::Campaign;

use super::{ProfileName, span};

/// How far a campaign goes.
#[derive(Debug, Clone, Args)]
pub(super) struct Extent {
    /// How many seeds.
    #[arg(long, default_value_t = 10_000)]
    pub(super) seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// How big the worlds are.
    #[arg(long, value_enum, default_value = "pr")]
    pub(super) profile: ProfileName,
    /// How many threads.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Stops after so long, even if seeds are left.
    #[arg(long, value_parser = span)]
    time: Option<Duration>,
}

impl Extent {
    pub(super) fn campaign(&self) -> Campaign {
        Campaign {
            profile: self.profile.profile(),
            threads: self.threads,
            time: self.time,
            ..Campaign::over(self.from, self.seeds)
        }
    }
}
