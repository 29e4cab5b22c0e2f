//! Definitions that were read already.
//!
//! Invariant: a definition is immutable once committed; what an uncommitted transaction showed is forgotten if its commit
//! fails.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::sqlite::SqliteRow;
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::store::StoreError;

use crate::error::corrupt;
use crate::rows;

/// Definitions by key. There are as many as a host's workflows have versions.
#[derive(Debug, Default)]
pub(crate) struct Definitions {
    known: RwLock<BTreeMap<DefinitionKey, Arc<Definition>>>,
}

impl Definitions {
    /// Splits what is wanted into what is known and what must be read.
    pub(crate) fn look_up<'k>(
        &self,
        wanted: impl IntoIterator<Item = &'k DefinitionKey>,
    ) -> (Vec<Arc<Definition>>, BTreeSet<DefinitionKey>) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (mut found, mut missing) = (Vec::new(), BTreeSet::new());
        for key in wanted {
            match known.get(key) {
                Some(definition) => found.push(Arc::clone(definition)),
                None => drop(missing.insert(key.clone())),
            }
        }
        (found, missing)
    }

    /// Takes a row's definition, and remembers it.
    pub(crate) fn learn(&self, row: &SqliteRow) -> Result<Arc<Definition>, StoreError> {
        let row = rows::definition(row)?;
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(definition) = known.get(&row.key) {
            return Ok(Arc::clone(definition));
        }
        drop(known);
        let read = Definition::from_body(&row.body);
        let definition = read.map_err(|problems| {
            corrupt(format!("the body of definition {}: {problems}", row.key))
        })?;
        if *definition.key() != row.key {
            return Err(corrupt(format!(
                "the body of definition {} is that of {}",
                row.key,
                definition.key()
            )));
        }
        let definition = Arc::new(definition);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(known.entry(row.key).or_insert(definition)))
    }

    /// Forgets everything: some of it may not have been committed.
    pub(crate) fn forget(&self) {
        self.known
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
