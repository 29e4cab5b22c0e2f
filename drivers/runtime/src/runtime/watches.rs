//! Who waits for which run to end.
//!
//! Invariant: a watch is told at most once, and one whose waiter is gone does not stay for long.

use std::collections::BTreeMap;

use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::Ended;
use tokio::sync::oneshot;

/// Waiters by run.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    waiting: BTreeMap<RunId, Vec<oneshot::Sender<Ended>>>,
    /// How many runs are watched when those without waiters are looked for next.
    sweep_at: usize,
}

/// The least number of watched runs that is worth a sweep.
const SWEEP_MIN: usize = 64;

impl Watches {
    /// Keeps a watch on a run.
    pub(crate) fn keep(&mut self, run: RunId) -> oneshot::Receiver<Ended> {
        if self.waiting.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.sweep();
        }
        let (sender, receiver) = oneshot::channel();
        let waiters = self.waiting.entry(run).or_default();
        waiters.retain(|waiter| !waiter.is_closed());
        waiters.push(sender);
        receiver
    }

    /// Tells everyone who waits for the run.
    pub(crate) fn ended(&mut self, ended: Ended) {
        for waiter in self.waiting.remove(&ended.run).unwrap_or_default() {
            // A waiter that has gone does not mind.
            let _ = waiter.send(ended);
        }
    }

    /// Forgets waiters that have gone. Each sweep is paid for by as many watches as it leaves.
    fn sweep(&mut self) {
        self.waiting.retain(|_, waiters| {
            waiters.retain(|waiter| !waiter.is_closed());
            !waiters.is_empty()
        });
        self.sweep_at = self.waiting.len() * 2;
    }
}

#[cfg(test)]
mod tests {
    use squid_mesh_core::run::Status;

    use super::*;

    #[test]
    fn everyone_who_waits_is_told_once() {
        let mut watches = Watches::default();
        let run = RunId::from_u128(1);
        let (mut first, mut second) = (watches.keep(run), watches.keep(run));
        let ended = Ended {
            run,
            status: Status::Completed,
        };
        watches.ended(ended);
        watches.ended(ended);
        assert_eq!(
            (first.try_recv(), second.try_recv()),
            (Ok(ended), Ok(ended))
        );
        assert!(watches.waiting.is_empty());
    }

    #[test]
    fn waiters_that_have_gone_do_not_pile_up() {
        let mut watches = Watches::default();
        for run in 0..10_000 {
            drop(watches.keep(RunId::from_u128(run)));
        }
        assert!(watches.waiting.len() <= SWEEP_MIN);
    }
}
