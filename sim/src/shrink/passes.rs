//! What is tried to make a failure smaller, the coarse before the fine.
//!
//! Invariant: the order is fixed, so that the same failure becomes the same small one.

use std::collections::BTreeSet;

use super::{Case, Search};
use crate::choice::{Label, Place, Placed, Topic, scope};
use crate::library;

/// Of choices with so few answers, every other one is tried.
const FEW: u64 = 200;
/// On so many first ones of several like things what happens to a later one is tried.
const FIRST: u32 = 8;
/// So many strikes are moved together with something else.
const PAIRED: usize = 6;

impl Search<'_> {
    /// Tries everything once. Answers whether anything helped.
    pub(super) fn minimise_once(&mut self) -> bool {
        let before = self.best.cost;
        self.drop_starts();
        self.calm_labels();
        self.calm_scopes();
        self.simpler_workflows();
        self.set_up_otherwise();
        self.calm_choices();
        self.move_earlier();
        self.lower_values();
        self.best.cost < before
    }

    /// Leaves planned starts out, many at once and then one by one.
    fn drop_starts(&mut self) {
        self.sweep(
            |search| search.best.droppable.clone(),
            |search, names| {
                let mut candidate = search.best.case.clone();
                candidate.dropped.extend(names);
                search.attempt(&candidate)
            },
        );
    }

    /// Zeroes every choice of a kind.
    fn calm_labels(&mut self) {
        for label in Label::ALL {
            if !self.is_over() {
                self.without(|choice| choice.place.label == *label);
            }
        }
    }

    /// Zeroes every choice about a thing, many things at once and then one by one.
    fn calm_scopes(&mut self) {
        self.sweep(
            |search| {
                let mut known = BTreeSet::new();
                let scopes = search
                    .best
                    .case
                    .choices
                    .iter()
                    .filter(|one| can_be_calmed(one));
                let scopes = scopes.map(|choice| (choice.place.scope, choice.place.visit));
                scopes.filter(|scope| known.insert(*scope)).collect()
            },
            |search, scopes: &[(u64, u32)]| {
                let scopes: BTreeSet<_> = scopes.iter().copied().collect();
                let among = |place: Place| scopes.contains(&(place.scope, place.visit));
                search.without(|one| can_be_calmed(one) && among(one.place))
            },
        );
    }

    /// Zeroes choices, many at once and then one by one.
    fn calm_choices(&mut self) {
        self.sweep(
            |search| {
                let choices = search
                    .best
                    .case
                    .choices
                    .iter()
                    .filter(|one| can_be_calmed(one));
                choices.map(|choice| choice.place).collect()
            },
            |search, places: &[Place]| {
                let places: BTreeSet<Place> = places.iter().copied().collect();
                search.without(|choice| places.contains(&choice.place))
            },
        );
    }

    /// Takes spans out of a list, at first the whole of it, then its halves, and so on down to single things.
    fn sweep<T: Clone>(
        &mut self,
        list: impl Fn(&Search<'_>) -> Vec<T>,
        take_out: impl Fn(&mut Search<'_>, &[T]) -> bool,
    ) {
        let mut span = list(self).len();
        while span > 0 {
            let mut at = 0;
            let mut things = list(self);
            while at < things.len() && !self.is_over() {
                let end = (at + span).min(things.len());
                if take_out(self, &things[at..end]) {
                    things = list(self);
                } else {
                    at = end;
                }
            }
            span /= 2;
        }
    }

    /// Tries every other answer of the choices that set the world up: one node, a smaller workflow.
    fn set_up_otherwise(&mut self) {
        let sets_up = |choice: &&Placed| choice.place.label.sets_up() && choice.n <= FEW;
        let choices: Vec<Placed> = self
            .best
            .case
            .choices
            .iter()
            .filter(sets_up)
            .copied()
            .collect();
        for Placed { place, n, value } in choices {
            for other in (0..n).filter(|other| *other != value) {
                if self.is_over() {
                    return;
                }
                self.with(place, other);
            }
        }
    }

    /// Tries one of the fixed shapes instead of each workflow, and instead of all of them.
    fn simpler_workflows(&mut self) {
        if !self.worlds.are_of_the_library() {
            return;
        }
        let about = |place: &Place| place.label == Label::Shape;
        let kinds = |place: &Place| about(place) && place.scope == scope(Topic::Setup, &[]);
        for workflow in 0..3 {
            let scope = scope(Topic::Workflow, &[workflow]);
            let shape = |place: &Place| about(place) && place.scope == scope;
            let place = Place {
                label: Label::Shape,
                scope,
                visit: 0,
                nth: 1,
            };
            let others = self.best.case.choices.iter().any(|one| shape(&one.place));
            for value in 0..library::fixed_shapes() as u64 {
                if !others || self.is_over() {
                    return;
                }
                let alone = workflow == 0;
                let mut case = self.best.case.clone();
                case.choices
                    .retain(|one| !(shape(&one.place) || alone && kinds(&one.place)));
                let n = library::fixed_shapes() as u64;
                case.choices.push(Placed { place, n, value });
                self.attempt(&case);
            }
        }
    }

    /// Tries what happens to the n-th of several like things on one before it.
    fn move_earlier(&mut self) {
        for (scope, visit) in self.late() {
            for earlier in earlier_than(visit) {
                if self.is_over() {
                    return;
                }
                let case = moved(&self.best.case, scope, visit, earlier);
                if self.attempt(&case) {
                    break;
                }
            }
        }
    }

    /// Tries strikes at earlier times together with what happens to the n-th of several like things on one before it: where
    /// both have to come together, neither can be moved alone. Answers whether that helped.
    pub(super) fn move_in_pairs(&mut self) -> bool {
        let strikes = |one: &&Placed| one.place.label == Label::Strike && one.n <= 64;
        let strikes = self.best.case.choices.iter().filter(strikes);
        let strikes: Vec<Placed> = strikes.copied().take(PAIRED).collect();
        let late: Vec<(u64, u32)> = self.late().into_iter().take(PAIRED).collect();
        for strike in strikes {
            for lower in 0..strike.value {
                for (scope, visit) in &late {
                    for earlier in 0..(*visit).min(2 * FIRST) {
                        if self.is_over() {
                            return false;
                        }
                        let mut case = moved(&self.best.case, *scope, *visit, earlier);
                        let choices = &mut case.choices;
                        let strikes = choices.iter_mut();
                        strikes
                            .filter(|one| one.place == strike.place)
                            .for_each(|one| one.value = lower);
                        if self.attempt(&case) {
                            return true;
                        }
                    }
                }
            }
        }
        false
    }

    /// What happens to later ones of several like things: by scope and number.
    fn late(&self) -> BTreeSet<(u64, u32)> {
        let late = self.best.case.choices.iter();
        let late = late.filter(|one| one.place.visit > 0 && can_be_calmed(one));
        late.map(|one| (one.place.scope, one.place.visit)).collect()
    }

    /// Lowers what must not be zero: by halves at first, then by less.
    fn lower_values(&mut self) {
        let choices = self
            .best
            .case
            .choices
            .iter()
            .filter(|one| can_be_calmed(one));
        let choices: Vec<Placed> = choices.copied().collect();
        for Placed { place, value, .. } in choices {
            let mut high = value;
            let mut step = value / 2;
            while step > 0 && !self.is_over() {
                if self.with(place, high - step) {
                    high -= step;
                    step = step.min(high);
                }
                step /= 2;
            }
        }
    }

    /// Tries the case with another value at a place.
    fn with(&mut self, place: Place, value: u64) -> bool {
        let mut choices = self.best.case.choices.clone();
        let Some(choice) = choices.iter_mut().find(|choice| choice.place == place) else {
            return false;
        };
        if choice.value == value {
            return false;
        }
        choice.value = value;
        let dropped = self.best.case.dropped.clone();
        self.attempt(&Case { choices, dropped })
    }
}

/// Ids stay what they are: they are no trouble, and much depends on them.
fn can_be_calmed(choice: &Placed) -> bool {
    choice.place.label != Label::Identity && choice.value > 0
}

/// The case with what is chosen about the n-th of several like things chosen about one before it.
fn moved(case: &Case, scope: u64, visit: u32, earlier: u32) -> Case {
    let here = |place: &Place, visit| (place.scope, place.visit) == (scope, visit);
    let mut case = case.clone();
    case.choices
        .retain(|one| !here(&one.place, earlier) || !can_be_calmed(one));
    for one in &mut case.choices {
        if here(&one.place, visit) && can_be_calmed(one) {
            one.place.visit = earlier;
        }
    }
    case
}

/// Where to try the n-th: at the first few, then nearer and nearer to where it was.
fn earlier_than(visit: u32) -> BTreeSet<u32> {
    let halves = (0..32).map(|step| visit - (visit >> step).max(1).min(visit));
    (0..FIRST)
        .chain(halves)
        .filter(|other| *other < visit)
        .collect()
}
