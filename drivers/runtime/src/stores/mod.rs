//! Which store to work with.
//!
//! Invariant: everything above this module knows stores by the core's traits only.

mod any;
mod shared;

pub use any::{AnyStore, ConnectError};
pub use shared::SharedStore;

/// Where a runtime or client finds its store: a URL to connect to, or a store that is open already.
///
/// Made by `Into`, so a function that asks for one takes `"sqlite:app.db"`, a [`String`], an [`AnyStore`] or a
/// [`SharedStore`] alike.
#[derive(Debug, Clone)]
pub struct StoreSource(Source);

#[derive(Debug, Clone)]
enum Source {
    Url(String),
    Open(SharedStore),
}

impl StoreSource {
    /// Opens the store. Only one that this opens is migrated, or made if it is missing.
    pub(crate) async fn open(self, migrate: bool) -> Result<SharedStore, ConnectError> {
        match self.0 {
            Source::Open(store) => Ok(store),
            Source::Url(url) => {
                let store = AnyStore::open(&url, migrate).await?;
                if migrate {
                    store.migrate().await?;
                }
                Ok(SharedStore::new(store))
            }
        }
    }
}

impl From<&str> for StoreSource {
    fn from(url: &str) -> StoreSource {
        StoreSource(Source::Url(url.to_owned()))
    }
}

impl From<String> for StoreSource {
    fn from(url: String) -> StoreSource {
        StoreSource(Source::Url(url))
    }
}

impl From<&String> for StoreSource {
    fn from(url: &String) -> StoreSource {
        StoreSource(Source::Url(url.clone()))
    }
}

impl From<SharedStore> for StoreSource {
    fn from(store: SharedStore) -> StoreSource {
        StoreSource(Source::Open(store))
    }
}

impl From<&SharedStore> for StoreSource {
    fn from(store: &SharedStore) -> StoreSource {
        StoreSource(Source::Open(store.clone()))
    }
}

impl From<AnyStore> for StoreSource {
    fn from(store: AnyStore) -> StoreSource {
        StoreSource(Source::Open(SharedStore::new(store)))
    }
}
