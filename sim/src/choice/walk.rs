//! Decisions of a small scope, one after another, so that all of them can be tried.
//!
//! In a scope a world is calm, but for a number of faults: every occasion for one is a decision, and so are the first few
//! circumstances of each that strikes, of which only the extremes are tried. A path is the answers to the first decisions; beyond its end every answer is the calm
//! one.
//!
//! Invariant: the same path gives the same decisions, and paths that differ give different ones.

use super::Label;

/// How many circumstances of a fault are decided about: how long it takes, whether somebody gives up meanwhile. What comes
/// later, of what follows from it, is calm.
const CIRCUMSTANCES: u32 = 2;

/// The answers to the first decisions of a world.
pub type Path = Vec<u16>;

/// One decision that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What it was about.
    pub label: Label,
    /// How many answers there were: at least two.
    pub answers: u16,
    /// Which was given.
    pub answer: u16,
}

/// A walk through the decisions of a small scope.
#[derive(Debug, Clone)]
pub struct Walk {
    path: Path,
    taken: Vec<Decision>,
    faults: u32,
    circumstances: u32,
}

impl Walk {
    /// Follows a path, with so many faults in all.
    pub fn new(path: Path, faults: u32) -> Walk {
        Walk {
            path,
            taken: Vec::new(),
            faults,
            circumstances: 0,
        }
    }

    /// What was decided.
    pub fn taken(&self) -> &[Decision] {
        &self.taken
    }

    /// The paths that leave this one after its end, each at one decision: with the paths that leave those, and so on, and
    /// with itself, they are all that begin like it.
    pub fn branches(&self) -> impl Iterator<Item = Path> {
        let begun = self.path.len();
        let answers = |upto: usize| self.taken[..upto].iter().map(|decision| decision.answer);
        let later = self.taken.iter().enumerate().skip(begun);
        later.flat_map(move |(at, decision)| {
            (1..decision.answers).map(move |other| answers(at).chain([other]).collect())
        })
    }

    /// Which of so many faults strikes, if one may.
    pub(super) fn fault(&mut self, label: Label, of: u16) -> Option<u16> {
        if self.faults == 0 || of == 0 {
            return None;
        }
        let answer = self.decide(label, of + 1).checked_sub(1)?;
        self.faults -= 1;
        self.circumstances += CIRCUMSTANCES;
        Some(answer)
    }

    /// Any other choice: the calm answer, and of what concerns a fault also the opposite one.
    pub(super) fn choose(&mut self, label: Label, n: u64) -> u64 {
        let concerns_a_fault = matches!(label, Label::Network | Label::Aim | Label::Strike);
        if n < 2 || !concerns_a_fault || self.circumstances == 0 {
            return 0;
        }
        self.circumstances -= 1;
        u64::from(self.decide(label, 2)) * (n - 1)
    }

    fn decide(&mut self, label: Label, answers: u16) -> u16 {
        let given = self.path.get(self.taken.len()).copied().unwrap_or(0);
        let answer = given.min(answers - 1);
        self.taken.push(Decision {
            label,
            answers,
            answer,
        });
        answer
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Choices;
    use super::*;

    /// A world of three occasions, each with two faults that can strike in two ways.
    fn world(choices: &mut Choices) -> Vec<(u32, usize, u64)> {
        let mut struck = Vec::new();
        for occasion in 0..3 {
            let rates = [5, 0, 7].into_iter();
            if let Some(fault) = choices.fault(Label::Network, rates) {
                struck.push((occasion, fault, choices.choose(Label::Network, 100)));
            }
            assert_eq!(choices.choose(Label::Latency, 9), 0);
        }
        struck
    }

    #[test]
    fn the_branches_of_the_empty_path_are_all_that_can_happen_each_once() {
        let mut paths = vec![Path::new()];
        let mut seen = BTreeSet::new();
        while let Some(path) = paths.pop() {
            let mut choices = Choices::walking(Walk::new(path, 2));
            assert!(seen.insert(world(&mut choices)));
            paths.extend(choices.walk().expect("they follow one").branches());
        }
        // None, one of four at one of three occasions, or two at two of them.
        assert_eq!(seen.len(), 1 + 3 * 4 + 3 * 4 * 4);
    }

    #[test]
    fn a_log_of_what_was_decided_repeats_it() {
        let mut choices = Choices::walking(Walk::new(vec![0, 2, 1], 2)).logged();
        let struck = world(&mut choices);
        assert_eq!(struck, [(1, 2, 99)]);
        let log = choices.log().expect("one is kept").to_vec();
        assert_eq!(world(&mut Choices::replayed(&log)), struck);
    }
}
