//! What a campaign says of its worlds.
//!
//! Invariant: a property that panics does not hold, and takes nothing down with it.

use std::cell::RefCell;
use std::fmt::Display;
use std::rc::Rc;
use std::sync::Arc;

use super::play::{Judge, asked};
use super::view::{Scene, WorldView};
use crate::violation::{Check, Promise};

/// What a property may return: whether it holds, or what is wrong.
pub trait Verdict {
    /// What is wrong, if something is.
    fn wrong(self) -> Option<String>;
}

impl Verdict for bool {
    fn wrong(self) -> Option<String> {
        (!self).then(String::new)
    }
}

impl Verdict for () {
    fn wrong(self) -> Option<String> {
        None
    }
}

impl<E: Display> Verdict for Result<(), E> {
    fn wrong(self) -> Option<String> {
        self.err().map(|error| error.to_string())
    }
}

type Ask<E> = Arc<dyn Fn(&WorldView<'_, E>) -> Option<String> + Send + Sync>;

/// One property.
pub(crate) struct Property<E> {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    ask: Ask<E>,
}

/// When a property has to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// After every operation.
    Always,
    /// At the end of every world.
    Eventually,
    /// At some time in some world of a campaign.
    Sometimes,
}

impl<E: 'static> Property<E> {
    pub(crate) fn new<V: Verdict>(
        name: String,
        kind: Kind,
        ask: impl Fn(&WorldView<'_, E>) -> V + Send + Sync + 'static,
    ) -> Property<E> {
        Property {
            name,
            kind,
            ask: Arc::new(move |world| ask(world).wrong()),
        }
    }
}

impl Property<()> {
    /// The same in an environment that it does not look at.
    pub(crate) fn anywhere<E: 'static>(self) -> Property<E> {
        let ask = self.ask;
        Property {
            name: self.name,
            kind: self.kind,
            ask: Arc::new(move |world| ask(&world.without_env())),
        }
    }
}

/// The properties of one world, and which of those that must hold sometimes did.
pub(crate) struct Judgement<E> {
    env: E,
    properties: Arc<Vec<Property<E>>>,
    reached: Rc<RefCell<Vec<bool>>>,
}

impl<E> Judgement<E> {
    /// Of a world with this environment. `reached` has an entry for each property.
    pub(crate) fn new(
        env: E,
        properties: Arc<Vec<Property<E>>>,
        reached: Rc<RefCell<Vec<bool>>>,
    ) -> Judgement<E> {
        Judgement {
            env,
            properties,
            reached,
        }
    }

    fn ask(&self, wanted: Kind, scene: Scene<'_>) -> Check {
        let world = WorldView::new(scene, &self.env);
        for (index, property) in self.properties.iter().enumerate() {
            let known = self.reached.borrow()[index];
            if property.kind != wanted || wanted == Kind::Sometimes && known {
                continue;
            }
            let mut holds = false;
            let promise = match wanted {
                Kind::Eventually => Promise::Eventually,
                Kind::Always | Kind::Sometimes => Promise::Always,
            };
            asked(promise, &property.name, || match (property.ask)(&world) {
                Some(wrong) if wanted != Kind::Sometimes => Err(wrong),
                wrong => {
                    holds = wrong.is_none();
                    Ok(())
                }
            })?;
            self.reached.borrow_mut()[index] |= holds;
        }
        Ok(())
    }
}

impl<E> Judge for Judgement<E> {
    fn landed(&mut self, scene: Scene<'_>) -> Check {
        self.ask(Kind::Always, scene)?;
        self.ask(Kind::Sometimes, scene)
    }

    fn over(&mut self, scene: Scene<'_>) -> Check {
        self.landed(scene)?;
        self.ask(Kind::Eventually, scene)
    }
}
