//! The choice log: every random decision of a simulation goes through one call.
//!
//! Zero is always the calm answer: no fault, the shortest script, the least delay. A log of choices therefore *is* a run:
//! replaying it repeats the run, and setting entries to zero makes it simpler.
//!
//! Invariant: a label's draws depend on the seed and on how many draws of that label came before, on nothing else.

mod label;
mod place;
mod walk;

use std::collections::{BTreeSet, VecDeque};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

pub use label::Label;
pub use place::{Place, Placed, Stretch, Topic, scope};
pub use walk::{Decision, Path, Walk};

use place::{Places, Table};

const LABELS: usize = Label::ALL.len();

/// One random decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// What it was about.
    pub label: Label,
    /// How many answers there were.
    pub n: u64,
    /// Which it was, below `n`.
    pub value: u64,
}

/// Where the random decisions of one simulation come from.
#[derive(Debug)]
pub struct Choices {
    source: Source,
    log: Option<Vec<Choice>>,
    /// Only when choices are told apart by place.
    places: Option<Box<Places>>,
    digest: u64,
    drawn: u64,
    ids: u64,
}

#[derive(Debug)]
enum Source {
    Seed {
        seed: u64,
        streams: Vec<Option<ChaCha8Rng>>,
    },
    Log(Vec<VecDeque<u64>>),
    Walk(Walk),
    Placed {
        values: Table<Place, u64>,
        /// What the others are drawn from, if they are not all zero.
        seed: Option<u64>,
    },
}

impl Choices {
    /// Draws from a seed.
    pub fn seeded(seed: u64) -> Choices {
        Choices::from(Source::Seed {
            seed,
            streams: vec![None; LABELS],
        })
    }

    /// Repeats a log, label by label; beyond its end every choice is zero. An empty log is the calmest of all runs.
    pub fn replayed(log: &[Choice]) -> Choices {
        let mut values = vec![VecDeque::new(); LABELS];
        for choice in log {
            values[choice.label as usize].push_back(choice.value);
        }
        Choices::from(Source::Log(values))
    }

    /// Follows a path of a small scope.
    pub fn walking(walk: Walk) -> Choices {
        Choices::from(Source::Walk(walk))
    }

    /// The walk that they are, if they are one.
    pub fn walk(&self) -> Option<&Walk> {
        match &self.source {
            Source::Walk(walk) => Some(walk),
            Source::Seed { .. } | Source::Log(_) | Source::Placed { .. } => None,
        }
    }

    /// Repeats choices by their places, without what is dropped; every other choice is zero.
    pub fn placed(kept: &[Placed], dropped: &BTreeSet<u64>) -> Choices {
        let values = kept.iter().map(|choice| (choice.place, choice.value));
        let mut choices = Choices::from(Source::Placed {
            values: values.collect(),
            seed: None,
        })
        .with_places();
        if let Some(places) = &mut choices.places {
            places.dropped.clone_from(dropped);
        }
        choices
    }

    /// Draws what is not kept from a seed, instead of taking it for zero, but for how a world is set up and for how long
    /// messages take.
    #[must_use]
    pub fn otherwise(mut self, from: u64) -> Choices {
        if let Source::Placed { seed, .. } = &mut self.source {
            *seed = Some(from);
        }
        self
    }

    fn from(source: Source) -> Choices {
        Choices {
            source,
            log: None,
            places: None,
            digest: 0,
            drawn: 0,
            ids: 0,
        }
    }

    /// Keeps a log from here on.
    #[must_use]
    pub fn logged(mut self) -> Choices {
        self.log = Some(Vec::new());
        self
    }

    /// Tells choices apart by place from here on, which is from the beginning.
    #[must_use]
    pub fn with_places(mut self) -> Choices {
        self.places = Some(Box::default());
        self
    }

    /// The choices that were not zero, by place, if they are told apart.
    pub fn taken(&self) -> &[Placed] {
        self.places
            .as_ref()
            .map_or(&[], |places| places.taken.as_slice())
    }

    /// Whether choices are told apart by place.
    pub fn has_places(&self) -> bool {
        self.places.is_some()
    }

    /// What is chosen from here on is about this. Answers what it was about before, for [`Choices::leave`].
    #[inline]
    pub fn enter(&mut self, topic: Topic, words: &[u64]) -> Stretch {
        match &mut self.places {
            Some(places) => places.enter(scope(topic, words)),
            None => Stretch::default(),
        }
    }

    /// What is being chosen about, for [`Choices::resume`].
    pub fn about(&self) -> Stretch {
        let places = self.places.as_ref();
        places.map_or_else(Stretch::default, |places| places.about())
    }

    /// What is chosen from here on is about this once more. Answers what it was about before.
    pub fn resume(&mut self, about: Stretch) -> Stretch {
        let outer = self.about();
        self.leave(about);
        outer
    }

    /// What is chosen from here on is about what it was about before.
    #[inline]
    pub fn leave(&mut self, outer: Stretch) {
        if let Some(places) = &mut self.places {
            places.leave(outer);
        }
    }

    /// What tells the next thing of this scope from all others; zero if choices are not told apart.
    pub fn name(&mut self, scope: u64) -> u64 {
        match &mut self.places {
            Some(places) => places.name(scope),
            None => 0,
        }
    }

    /// Whether what was drawn since the last [`Choices::enter`] is not to be.
    pub fn drops(&mut self) -> bool {
        let places = self.places.as_mut();
        places.is_some_and(|places| places.drops())
    }

    /// What was asked [`Choices::drops`] about, and is not to be.
    pub fn left_out(&self) -> BTreeSet<u64> {
        let places = self.places.as_ref();
        places.map_or_else(BTreeSet::new, |places| places.left_out.clone())
    }

    /// What was asked [`Choices::drops`] about, and is to be.
    pub fn droppable(&self) -> &[u64] {
        self.places
            .as_ref()
            .map_or(&[], |places| places.droppable.as_slice())
    }

    /// The log, if one was kept.
    pub fn log(&self) -> Option<&[Choice]> {
        self.log.as_deref()
    }

    /// How many choices were made.
    pub fn drawn(&self) -> u64 {
        self.drawn
    }

    /// Tells the sequence of choices from any other.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// One of `n` answers: `0..n`, zero being the calm one.
    ///
    /// # Panics
    /// If there is nothing to choose from.
    #[inline]
    pub fn choose(&mut self, label: Label, n: u64) -> u64 {
        assert!(n > 0, "{label:?} has at least one answer");
        let place = self.places.as_mut().map(|places| places.next(label));
        let value = match &mut self.source {
            Source::Seed { seed, streams } => {
                let stream = streams[label as usize].get_or_insert_with(|| substream(*seed, label));
                reduce(stream.next_u64(), n)
            }
            Source::Log(values) => values[label as usize].pop_front().unwrap_or(0).min(n - 1),
            Source::Walk(walk) => walk.choose(label, n),
            Source::Placed { values, seed } => {
                let kept = place.and_then(|place| values.get(&place).copied());
                let drawn = || match (seed, place) {
                    (Some(seed), Some(place)) if !label.is_quiet() => {
                        reduce(mix(mix(*seed, place.word()), *seed), n)
                    }
                    _ => 0,
                };
                kept.unwrap_or_else(drawn).min(n - 1)
            }
        };
        self.note(Choice { label, n, value }, place);
        value
    }

    #[inline]
    fn note(&mut self, choice: Choice, place: Option<Place>) {
        self.drawn += 1;
        self.digest = mix(self.digest ^ choice.value, choice.label as u64);
        if let Some(log) = &mut self.log {
            log.push(choice);
        }
        if let (Some(places), Some(place)) = (&mut self.places, place) {
            places.take(place, choice.n, choice.value);
        }
    }

    /// Which of several faults strikes, if one does; their rates are in thousandths. Zero: none.
    pub fn fault(
        &mut self,
        label: Label,
        rates: impl Iterator<Item = u32> + Clone,
    ) -> Option<usize> {
        const N: u64 = 1_000;
        let Source::Walk(walk) = &mut self.source else {
            let mut drawn = N - 1 - self.choose(label, N);
            for (index, rate) in rates.enumerate() {
                let rate = u64::from(rate);
                if drawn < rate {
                    return Some(index);
                }
                drawn -= rate;
            }
            return None;
        };
        let place = self.places.as_mut().map(|places| places.next(label));
        let possible = || rates.clone().enumerate().filter(|(_, rate)| *rate > 0);
        let of = u16::try_from(possible().count()).expect("faults are few");
        let struck = walk.fault(label, of);
        let index = struck.and_then(|nth| possible().nth(nth.into()).map(|(index, _)| index));
        // What a log has to say so that the same fault is drawn from it.
        let before: u64 = rates.take(index.unwrap_or(0)).map(u64::from).sum();
        let value = index.map_or(0, |_| N - 1 - before);
        self.note(Choice { label, n: N, value }, place);
        index
    }

    /// Whether a fault of that rate, in thousandths, strikes. Zero: it does not.
    #[inline]
    pub fn strikes(&mut self, label: Label, per_mille: u32) -> bool {
        self.fault(label, std::iter::once(per_mille)).is_some()
    }

    /// Whether something of that probability, in thousandths, happens. Zero: it does not.
    #[inline]
    pub fn happens(&mut self, label: Label, per_mille: u32) -> bool {
        self.choose(label, 1_000) >= 1_000 - u64::from(per_mille.min(1_000))
    }

    /// A whole number from `low` to `high`. Zero: the lowest.
    #[inline]
    pub fn between(&mut self, label: Label, low: u64, high: u64) -> u64 {
        low + self.choose(label, high - low + 1)
    }

    /// An index below `n`. Zero: the first.
    #[inline]
    pub fn index(&mut self, label: Label, n: usize) -> usize {
        usize::try_from(self.choose(label, n as u64)).expect("below a usize")
    }

    /// One of these. Zero: the first.
    #[inline]
    pub fn pick<T: Copy>(&mut self, label: Label, of: &[T]) -> T {
        of[self.index(label, of.len())]
    }

    /// A whole number from `low` to `high`, small ones as likely as large ones: uniform in its magnitude.
    pub fn magnitude(&mut self, label: Label, low: u64, high: u64) -> u64 {
        let doublings = u64::from((high / low.max(1)).max(1).ilog2());
        let floor = low.max(1) << self.choose(label, doublings + 1);
        let (from, upto) = (floor.min(high), (floor * 2 - 1).min(high));
        let within = match &self.source {
            // In a walk a magnitude is one decision: the least, or about the greatest.
            Source::Walk(_) => self.calm(label, upto - from + 1),
            Source::Seed { .. } | Source::Log(_) | Source::Placed { .. } => {
                self.choose(label, upto - from + 1)
            }
        };
        (from + within).max(low)
    }

    /// The calm one of `n` answers.
    fn calm(&mut self, label: Label, n: u64) -> u64 {
        let place = self.places.as_mut().map(|places| places.next(label));
        self.note(Choice { label, n, value: 0 }, place);
        0
    }

    /// 128 bits of an id: different from those of every other one, whatever is drawn.
    pub fn bits(&mut self) -> u128 {
        self.ids += 1;
        let high = self.choose(Label::Identity, u64::MAX);
        let low = self.choose(Label::Identity, u64::MAX);
        (u128::from(high) << 64 | u128::from(low)) ^ u128::from(self.serial())
    }

    /// What makes an id differ from every other one: a number that counts up or, by place, one that is kept.
    fn serial(&mut self) -> u64 {
        let Some(places) = &mut self.places else {
            return self.ids;
        };
        let place = places.next(Label::Identity);
        let serial = match &self.source {
            Source::Seed { .. } | Source::Log(_) | Source::Walk(_) => self.ids,
            Source::Placed { values, .. } => values.get(&place).copied().unwrap_or_else(|| {
                // Above whatever counts up.
                mix(place.scope, u64::from(place.nth)) | 1 << 63
            }),
        };
        places.take(place, u64::MAX, serial);
        serial
    }
}

fn substream(seed: u64, label: Label) -> ChaCha8Rng {
    // The key is spelled out rather than left to `seed_from_u64`, whose expansion is not promised to stay.
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..24].copy_from_slice(b"squid mesh sim 1");
    let mut stream = ChaCha8Rng::from_seed(key);
    stream.set_stream(label as u64);
    stream
}

/// Maps a raw word onto `0..n` (Lemire's multiplication, without rejection: the bias is below n / 2^64).
fn reduce(raw: u64, n: u64) -> u64 {
    u64::try_from((u128::from(raw) * u128::from(n)) >> 64).expect("less than n")
}

/// Folds a word into a digest: one round of a multiply-xorshift mix.
#[inline]
pub fn mix(digest: u64, word: u64) -> u64 {
    let mixed = (digest.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed ^ (mixed >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_repeats_its_seed() {
        let mut seeded = Choices::seeded(7).logged();
        let labels = [Label::Command, Label::Tie, Label::Command, Label::Network];
        let drawn: Vec<u64> = labels
            .iter()
            .map(|label| seeded.choose(*label, 1_000))
            .collect();
        let mut replayed = Choices::replayed(seeded.log().unwrap());
        let again: Vec<u64> = labels
            .iter()
            .map(|label| replayed.choose(*label, 1_000))
            .collect();
        assert_eq!(drawn, again);
        assert_eq!(seeded.digest(), replayed.digest());
        assert_eq!(replayed.choose(Label::Tie, 9), 0);
    }

    #[test]
    fn a_draw_under_one_label_does_not_shift_another() {
        let (mut a, mut b) = (Choices::seeded(1), Choices::seeded(1));
        b.choose(Label::Tie, 5);
        assert_eq!(
            a.choose(Label::Command, u64::MAX),
            b.choose(Label::Command, u64::MAX)
        );
    }

    #[test]
    fn the_first_words_of_a_seed_never_change() {
        let mut choices = Choices::seeded(42);
        let words: Vec<u64> = (0..3)
            .map(|_| choices.choose(Label::Command, 1_000_000))
            .collect();
        assert_eq!(
            words,
            [315_011, 357_728, 243_738],
            "regression artefacts depend on these"
        );
    }

    #[test]
    fn zero_is_the_calm_answer_of_every_form() {
        let mut calm = Choices::replayed(&[]);
        assert!(!calm.happens(Label::Crash, 999));
        assert_eq!(calm.between(Label::Latency, 3, 9), 3);
        assert_eq!(calm.magnitude(Label::Latency, 3, 900), 3);
        assert_eq!(calm.pick(Label::Shape, &["a", "b"]), "a");
    }

    #[test]
    fn choices_by_place_stay_what_they_were_when_others_are_taken_out() {
        let about = |choices: &mut Choices, number: u64| {
            let outer = choices.enter(Topic::Plan, &[number]);
            let drawn = (choices.choose(Label::Command, 1_000), choices.bits());
            choices.leave(outer);
            drawn
        };
        let mut seeded = Choices::seeded(5).with_places();
        let all: Vec<(u64, u128)> = (0..3).map(|number| about(&mut seeded, number)).collect();
        let mut plain = Choices::seeded(5);
        assert_eq!(about(&mut plain, 0), all[0]);
        let mut placed = Choices::placed(seeded.taken(), &BTreeSet::new());
        assert_eq!(about(&mut placed, 2), all[2]);
        let (calm, id) = about(&mut placed, 7);
        assert_eq!(calm, 0);
        assert!(all.iter().all(|(_, other)| *other != id));
    }

    #[test]
    fn magnitudes_stay_within_their_bounds() {
        let mut choices = Choices::seeded(3);
        for _ in 0..10_000 {
            let drawn = choices.magnitude(Label::Latency, 10, 5_000);
            assert!((10..=5_000).contains(&drawn), "{drawn}");
        }
    }
}
