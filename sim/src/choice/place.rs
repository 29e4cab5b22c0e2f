//! Where choices belong: to the thing that they are about, wherever they fall in the sequence.
//!
//! A log of choices in their order repeats a run, but take one thing out of it and everything after that shifts. Told apart by
//! place, the choices of what is left stay what they were, so that a run can be made smaller piece by piece.
//!
//! Invariant: the place of a choice depends on what it is about and how often that came before, not on anything else.

use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

use serde::{Deserialize, Serialize};

use super::{Label, mix};

/// What a stretch of choices is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The set-up of a world.
    Setup,
    /// One of its nodes.
    Node,
    /// One of its workflows.
    Workflow,
    /// One of the runs that clients plan.
    Plan,
    /// What is planned for several runs.
    Plans,
    /// One schedule, or something that is done to it.
    Schedule,
    /// Something that a client asks for.
    Command,
    /// One strike.
    Strike,
    /// A process that starts or registers.
    Process,
    /// A request, until it is answered.
    Request,
    /// A worker's deadline.
    Wake,
    /// A handler's body that begins.
    Body,
    /// A handler's body that ends, or starts a run.
    BodyEvent,
    /// A hint.
    Hint,
    /// A node that goes on.
    Thaw,
    /// Somebody who looks at runs.
    Operator,
    /// The end of faults.
    Calm,
}

/// A topic with what tells it from others of its kind, as one number.
pub fn scope(topic: Topic, words: &[u64]) -> u64 {
    let begun = mix(0x5eed, topic as u64 + 1);
    words.iter().fold(begun, |scope, word| mix(scope, *word))
}

/// Names one choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// What kind of choice it is.
    pub label: Label,
    /// What it is about.
    #[serde(with = "hexadecimal")]
    pub scope: u64,
    /// How often that came up before.
    pub visit: u32,
    /// How many choices of that kind about it, this time, came before.
    pub nth: u32,
}

impl Place {
    /// As one number.
    pub(crate) fn word(&self) -> u64 {
        let nth = u64::from(self.visit) << 32 | u64::from(self.nth);
        mix(mix(self.scope, nth), self.label as u64)
    }
}

/// One choice that was not the calm one, or that sets a world up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placed {
    /// Which.
    #[serde(flatten)]
    pub place: Place,
    /// How many answers there were.
    pub n: u64,
    /// Which it was, below `n`.
    pub value: u64,
}

impl Label {
    /// Whether it is about how a world is set up, where no answer is calmer than another.
    pub const fn sets_up(self) -> bool {
        matches!(
            self,
            Label::Portfolio | Label::Knob | Label::Topology | Label::Shape
        )
    }

    /// Whether it is not drawn anew when another way to the same failure is looked for.
    pub(super) const fn is_quiet(self) -> bool {
        self.sets_up() || matches!(self, Label::Intensity | Label::Latency | Label::Tie)
    }
}

/// A table of places, whose scopes are spread already.
pub(super) type Table<K, V> = HashMap<K, V, BuildHasherDefault<Mixed>>;

/// Hashes words by one round each of [`mix`].
#[derive(Debug, Default)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(u64::from(word));
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = mix(self.0, word);
    }

    fn write_isize(&mut self, discriminant: isize) {
        self.write_u64(discriminant.unsigned_abs() as u64);
    }
}

/// Keeps track of places, and of what was chosen at them.
#[derive(Debug, Default)]
pub(super) struct Places {
    about: Stretch,
    visits: Table<u64, u32>,
    counts: Table<(Label, Stretch), u32>,
    pub(super) taken: Vec<Placed>,
    pub(super) dropped: BTreeSet<u64>,
    pub(super) droppable: Vec<u64>,
    pub(super) left_out: BTreeSet<u64>,
}

/// A stretch of choices about one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Stretch {
    scope: u64,
    visit: u32,
}

impl Places {
    /// What comes next is about this, for the n-th time. Answers what it was about before.
    pub(super) fn enter(&mut self, scope: u64) -> Stretch {
        let visits = self.visits.entry(scope).or_default();
        let visit = *visits;
        *visits += 1;
        std::mem::replace(&mut self.about, Stretch { scope, visit })
    }

    /// Tells the n-th thing of a scope from those before it.
    pub(super) fn name(&mut self, scope: u64) -> u64 {
        let visits = self.visits.entry(scope).or_default();
        *visits += 1;
        mix(scope, u64::from(*visits))
    }

    /// Whether what is drawn is not to be.
    pub(super) fn drops(&mut self) -> bool {
        let scope = self.about.scope;
        let dropped = self.dropped.contains(&scope);
        if dropped {
            self.left_out.insert(scope);
        } else {
            self.droppable.push(scope);
        }
        dropped
    }

    pub(super) fn about(&self) -> Stretch {
        self.about
    }

    pub(super) fn leave(&mut self, outer: Stretch) {
        self.about = outer;
    }

    /// The place of the next choice of this kind.
    pub(super) fn next(&mut self, label: Label) -> Place {
        let count = self.counts.entry((label, self.about)).or_default();
        let nth = *count;
        *count += 1;
        Place {
            label,
            scope: self.about.scope,
            visit: self.about.visit,
            nth,
        }
    }

    pub(super) fn take(&mut self, place: Place, n: u64, value: u64) {
        if value > 0 || place.label.sets_up() {
            self.taken.push(Placed { place, n, value });
        }
    }
}

/// A number of 64 bits as text: not every reader of JSON keeps all of them.
mod hexadecimal {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(word: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{word:016x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        u64::from_str_radix(&text, 16)
            .map_err(|_| D::Error::custom(format!("{text:?} is no hexadecimal number")))
    }
}
