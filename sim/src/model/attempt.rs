//! S4: attempts: how they end what they are of, and how many there may be.
//!
//! Invariant: an attempt counts for what its body really did; which of several was heard is open.

use squid_mesh_core::definition::{OnLost, Retry, Step, StepIndex};
use squid_mesh_core::event::code;
use squid_mesh_core::limits;

use super::Model;
use super::kind::spoilt;
use crate::witness::{Attempt, Did, End, Gives, Order, Tries, Way};

impl<'m> Model<'m> {
    /// The ways in which a handler's step may end. What somebody says of an attempt stands, but for children.
    pub(super) fn handler(&self, step: StepIndex, spec: &'m Step) -> Vec<Way<'m>> {
        let worked = &self.facts.steps[step.at()];
        let said = self.facts.said(|order| match order {
            Order::Succeeded(of, output, label) if *of == step => {
                Some(Way::gives(*label, Gives::Bytes(output)))
            }
            Order::Failed(of, code) if *of == step => Some(Way::fails(code)),
            _ => None,
        });
        let mut ways = match said {
            Some(way) => vec![way],
            None if self.bound(&spec.input).is_none() => vec![Way::fails(code::MISSING_INPUT_PATH)],
            None => {
                let allowance = (&spec.retry, spec.timeout.is_some());
                self.by_attempts(spec, &worked.attempts, self.step(step).tries, allowance)
            }
        };
        let children = worked.children.iter();
        ways.extend(children.filter_map(|child| spoilt(&child.came)));
        ways
    }

    /// The ways in which attempts may end what they are of.
    pub(super) fn by_attempts(
        &self,
        spec: &'m Step,
        attempts: &[Attempt<'m>],
        tries: Tries,
        (retry, timed): (&Retry, bool),
    ) -> Vec<Way<'m>> {
        let exhausted = tries.executed >= retry.max_attempts;
        let nul = |output: &[u8]| output.windows(6).any(|part| part == br"\u0000");
        let ended = attempts.iter().filter_map(|attempt| match attempt.did {
            Did::Returned(output, label) => Some(match label.map(|label| spec.way(label)) {
                _ if output.bytes().len() > self.facts.largest => {
                    Way::fails(code::PAYLOAD_TOO_LARGE)
                }
                _ if nul(output.bytes()) => Way::fails(code::INVALID_OUTPUT),
                Some(None) => Way::fails(code::UNKNOWN_LABEL),
                label => Way::gives(label.flatten(), Gives::Bytes(output)),
            }),
            Did::Failed(code, again) => (!again || exhausted).then(|| Way::fails(code)),
            Did::Dropped => (timed && exhausted).then(|| Way::fails(code::TIMEOUT)),
            Did::Conflicted | Did::Vanished => None,
        });
        let lost = (tries.lost > retry.max_lost).then(|| Way::fails(code::LOST));
        let met = (tries.conflicts > limits::CONFLICTS).then(|| Way::fails(code::CONFLICT));
        ended.chain(lost).chain(met).collect()
    }

    /// What is wrong with how a step was attempted.
    pub(super) fn tries_refused(&self, step: StepIndex, spec: &Step) -> Option<String> {
        let (attempts, seen) = (&self.facts.steps[step.at()].attempts, self.step(step));
        let (tries, retry) = (seen.tries, &spec.retry);
        let again = Order::Retry(step);
        let granted = self
            .facts
            .orders
            .iter()
            .filter(|(_, order)| *order == again)
            .count();
        // Of an attempt that timed out, panicked or vanished nobody knows whether it had its effect.
        let clear = |attempt: &&Attempt<'_>| match attempt.did {
            Did::Failed(code, _) => code != code::PANIC,
            Did::Returned(..) => spec.transactional,
            Did::Conflicted => true,
            Did::Dropped | Did::Vanished => false,
        };
        let known = attempts.iter().filter(clear).count();
        let hold = spec.on_lost == OnLost::Hold;
        let worn = tries.lost > retry.max_lost || tries.conflicts > limits::CONFLICTS;
        let misread = |attempt: &Attempt<'_>| !self.is_bound(&spec.input, attempt.input);
        let why = if tries.executed as usize > retry.max_attempts as usize + granted {
            "it was tried too often"
        } else if !hold && worn && seen.end == End::Succeeded {
            "it was lost or met others too often to succeed"
        } else if hold && attempts.len() > 1 + granted + known {
            "it was repeated blindly"
        } else if attempts.iter().any(misread) {
            "it was given another input than its binding says"
        } else if self.unaccounted(attempts, tries) {
            "it was attempted more often than is accounted for"
        } else {
            return None;
        };
        Some(why.to_owned())
    }

    /// S14.3: whether attempts of a run that has ended, and was not forced to, are not counted in any way.
    pub(super) fn unaccounted(&self, attempts: &[Attempt<'_>], tries: Tries) -> bool {
        let counted = (tries.executed + tries.lost + tries.conflicts) as usize;
        self.seen.status.is_terminal() && !self.facts.forced() && attempts.len() > counted
    }
}
