//! How often each fault strikes in one seed: the portfolio.
//!
//! Invariant: the same choices give the same intensities, and choices of zero give a world without faults.

use super::Fault;
use crate::choice::{Choices, Label};

/// Which mix of faults a seed gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Portfolio {
    /// No faults at all.
    Calm,
    /// Everything, at random intensities.
    Everything,
    /// Each fault kept with probability one half.
    Swarm,
    /// Two faults, often.
    Pair(Fault, Fault),
    /// One crash, at this effect of the processes, and nothing else.
    Sweep {
        /// Counted over all nodes from the beginning.
        effect: u64,
    },
}

/// How often each fault strikes.
#[derive(Debug, Clone)]
pub struct Intensities {
    portfolio: Portfolio,
    per_mille: [u32; Fault::COUNT],
}

impl Intensities {
    /// Nothing ever goes wrong.
    pub const CALM: Intensities = Intensities {
        portfolio: Portfolio::Calm,
        per_mille: [0; Fault::COUNT],
    };

    /// Nothing goes wrong but one crash, at this effect of the processes.
    pub const fn sweep(effect: u64) -> Intensities {
        Intensities {
            portfolio: Portfolio::Sweep { effect },
            per_mille: [0; Fault::COUNT],
        }
    }

    /// Draws the mix: of 20 seeds 8 have everything, 6 a swarm, 3 a pair, 2 a crash sweep, 1 nothing.
    pub fn drawn(choices: &mut Choices) -> Intensities {
        Intensities::drawn_of(Fault::ALL, choices)
    }

    /// Draws the mix from these faults; the others never strike.
    pub fn drawn_of(faults: &[Fault], choices: &mut Choices) -> Intensities {
        let portfolio = match choices.choose(Label::Portfolio, 20) {
            _ if faults.is_empty() => Portfolio::Calm,
            0 => Portfolio::Calm,
            1 | 2 if faults.contains(&Fault::CrashAtEffect) => Portfolio::Sweep {
                effect: choices.choose(Label::Portfolio, 150),
            },
            1..=5 => Portfolio::Pair(
                choices.pick(Label::Portfolio, faults),
                choices.pick(Label::Portfolio, faults),
            ),
            6..=11 => Portfolio::Swarm,
            _ => Portfolio::Everything,
        };
        let mut per_mille = [0; Fault::COUNT];
        for fault in faults {
            per_mille[*fault as usize] = portfolio.rate(*fault, choices);
        }
        Intensities {
            portfolio,
            per_mille,
        }
    }

    /// The mix.
    pub fn portfolio(&self) -> Portfolio {
        self.portfolio
    }

    /// How often it strikes, in thousandths of its occasions.
    #[inline]
    pub fn of(&self, fault: Fault) -> u32 {
        self.per_mille[fault as usize]
    }

    /// Sets one, for a test that needs it.
    #[must_use]
    pub fn with(mut self, fault: Fault, per_mille: u32) -> Intensities {
        self.per_mille[fault as usize] = per_mille;
        self
    }

    /// No more faults, except those that are properties of a node or of the handlers' outcomes.
    pub fn end(&mut self) {
        *self = Intensities {
            portfolio: self.portfolio,
            ..Intensities::CALM
        };
    }
}

impl Portfolio {
    fn rate(self, fault: Fault, choices: &mut Choices) -> u32 {
        match self {
            Portfolio::Calm | Portfolio::Sweep { .. } => 0,
            Portfolio::Everything => {
                base(fault) * choices.pick(Label::Intensity, &[1, 2, 4, 8]) / 4
            }
            Portfolio::Swarm if choices.happens(Label::Intensity, 500) => base(fault) * 3 / 2,
            Portfolio::Swarm => 0,
            Portfolio::Pair(a, b) if fault == a || fault == b => (base(fault) * 4).min(700),
            Portfolio::Pair(..) if handler_fault(fault) => base(fault) / 2,
            Portfolio::Pair(..) => 0,
        }
    }
}

/// Failing handlers are the daily bread of an engine: pairs of other faults are to meet them too.
fn handler_fault(fault: Fault) -> bool {
    matches!(fault, Fault::HandlerFails | Fault::HandlerOverruns)
}

/// The usual rate, in thousandths of the occasions: a request, a hint, an attempt, a node, or one of the strikes drawn
/// for a seed.
fn base(fault: Fault) -> u32 {
    match fault {
        Fault::LostRequest | Fault::LostReply | Fault::Doubled | Fault::SlowReply => 12,
        Fault::Conflict | Fault::InDoubtLands | Fault::InDoubtRollsBack => 10,
        Fault::Stall | Fault::ReplyTwice => 6,
        Fault::PartialScan => 60,
        Fault::HintLost | Fault::HintTwice | Fault::HintLate => 80,
        Fault::HintsOff => 60,
        Fault::Outage | Fault::ReadOnly | Fault::HostJump | Fault::Unreadable => 120,
        Fault::Crash | Fault::Freeze | Fault::ClockForward | Fault::ClockBack => 250,
        Fault::CrashAll | Fault::Drain => 120,
        Fault::DrainCut => 300,
        Fault::CrashAtEffect => 3,
        Fault::HandlerKillsHost => 8,
        Fault::FreezeHolder => 12,
        Fault::HostDrift => 120,
        Fault::MissingHandler => 200,
        Fault::HandlerFails => 180,
        Fault::HostConflict => 250,
        Fault::HandlerHangs => 25,
        Fault::HandlerIgnoresStop => 120,
        Fault::HandlerOverruns => 40,
        Fault::Oversized => 8,
        Fault::Aimed => 80,
        Fault::Namesake | Fault::Replaced => 250,
        Fault::NodeLost | Fault::Failover => 120,
        // No store may do that: it is set where it is asked for.
        Fault::Restored => 0,
        Fault::Spoilt => 300,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_of_zero_give_a_world_without_faults() {
        let calm = Intensities::drawn(&mut Choices::replayed(&[]));
        assert_eq!(calm.portfolio(), Portfolio::Calm);
        assert!(Fault::ALL.iter().all(|fault| calm.of(*fault) == 0));
    }

    #[test]
    fn every_portfolio_turns_up_at_about_its_share() {
        let mut counts = [0_u32; 5];
        for seed in 0..4_000 {
            match Intensities::drawn(&mut Choices::seeded(seed)).portfolio() {
                Portfolio::Calm => counts[0] += 1,
                Portfolio::Sweep { .. } => counts[1] += 1,
                Portfolio::Pair(..) => counts[2] += 1,
                Portfolio::Swarm => counts[3] += 1,
                Portfolio::Everything => counts[4] += 1,
            }
        }
        for (count, share) in counts.iter().zip([200, 400, 600, 1_200, 1_600]) {
            assert!(count.abs_diff(share) < 120, "{counts:?}");
        }
    }
}
