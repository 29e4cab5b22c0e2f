//! Where the workflows and handlers of a campaign come from.
//!
//! Invariant: the definitions are the same in every world; only handlers with an environment are made again for each.

use std::sync::Arc;

use squid_mesh_core::definition::Definition;

#[cfg(feature = "workflows")]
use super::actors::Actors;

/// A workflow as a campaign takes it, with its handlers if it has some.
#[derive(Clone)]
pub struct Authored {
    pub(crate) definition: Arc<Definition>,
    #[cfg(feature = "workflows")]
    pub(crate) actors: Option<Arc<dyn Actors>>,
}

/// A workflow for a campaign: a `squid_mesh::Workflow` (with the feature `workflows`), or a definition, whose handlers are
/// scripted.
pub trait IntoAuthored {
    /// The workflow as a campaign takes it.
    fn authored(self) -> Authored;
}

impl IntoAuthored for Arc<Definition> {
    fn authored(self) -> Authored {
        Authored {
            definition: self,
            #[cfg(feature = "workflows")]
            actors: None,
        }
    }
}

impl IntoAuthored for Definition {
    fn authored(self) -> Authored {
        Arc::new(self).authored()
    }
}

impl IntoAuthored for Authored {
    fn authored(self) -> Authored {
        self
    }
}

/// A workflow of a campaign.
pub(crate) enum Source<E> {
    /// The same in every world.
    Fixed(Authored),
    /// Made for each world.
    Made(Make<E>),
}

pub(crate) type Make<E> = Arc<dyn Fn(&E) -> Result<Authored, String> + Send + Sync>;

impl<E> Source<E> {
    /// The workflow of a world.
    pub(crate) fn of(&self, env: &E) -> Result<Authored, String> {
        match self {
            Source::Fixed(authored) => Ok(authored.clone()),
            Source::Made(make) => make(env),
        }
    }
}

impl Source<()> {
    /// The same in an environment that it does not look at.
    pub(crate) fn anywhere<E>(self) -> Source<E> {
        match self {
            Source::Fixed(authored) => Source::Fixed(authored),
            Source::Made(make) => Source::Made(Arc::new(move |_| make(&()))),
        }
    }
}
