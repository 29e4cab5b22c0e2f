//! Definitions that were read before.
//!
//! Invariant: a stored definition never changes, so what is kept here is what is stored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::postgres::{PgConnection, PgRow};
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::DefinitionRow;

use crate::rows::{self, Names};
use crate::sql;

/// Most definitions kept. Above it everything is forgotten, and read again.
const KEPT: usize = 1_024;

/// Definitions by key.
#[derive(Debug, Default)]
pub(crate) struct Definitions(Mutex<BTreeMap<DefinitionKey, Arc<Definition>>>);

impl Definitions {
    /// What is kept under `key`.
    pub(crate) fn kept(&self, key: &DefinitionKey) -> Option<Arc<Definition>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Reads definitions, and keeps what can be read. What does not exist is missing from the answer.
    pub(crate) async fn read(
        &self,
        connection: &mut PgConnection,
        keys: &[DefinitionKey],
    ) -> Result<Stored, sqlx::Error> {
        let (names, versions): (Vec<&str>, Vec<i64>) = keys
            .iter()
            .map(|key| (key.name.as_str(), i64::from(key.version)))
            .unzip();
        let query = sqlx::query(sql::DEFINITIONS).bind(names).bind(versions);
        self.take(&query.fetch_all(connection).await?)
    }

    /// Reads the definition of the highest version of each workflow, which only the store knows, and keeps what can be read.
    pub(crate) async fn read_newest(
        &self,
        connection: &mut PgConnection,
        workflows: impl IntoIterator<Item = &Name>,
    ) -> Result<Stored, sqlx::Error> {
        let names: Vec<&str> = workflows.into_iter().map(Name::as_str).collect();
        let query = sqlx::query(sql::NEWEST).bind(names);
        self.take(&query.fetch_all(connection).await?)
    }

    fn take(&self, stored: &[PgRow]) -> Result<Stored, sqlx::Error> {
        let mut found = Stored::default();
        for row in stored {
            let row = rows::definition(row, &mut Names::default())?;
            if let Some(definition) = self.kept(&row.key) {
                found.definitions.push(definition);
                continue;
            }
            match restored(&row) {
                Ok(definition) => found.definitions.push(Arc::new(definition)),
                Err(detail) => {
                    tracing::error!(definition = %row.key, detail, "a stored definition cannot be read");
                    found.unreadable.push((row.key, detail));
                }
            }
        }
        self.keep(&found.definitions);
        Ok(found)
    }

    fn keep(&self, read: &[Arc<Definition>]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() + read.len() > KEPT {
            kept.clear();
        }
        kept.extend(
            read.iter()
                .map(|definition| (definition.key().clone(), Arc::clone(definition))),
        );
    }
}

/// What was found of some definitions.
#[derive(Debug, Default)]
pub(crate) struct Stored {
    /// Those that can be read.
    pub(crate) definitions: Vec<Arc<Definition>>,
    /// Those that cannot, and why.
    pub(crate) unreadable: Vec<(DefinitionKey, String)>,
}

fn restored(row: &DefinitionRow) -> Result<Definition, String> {
    let definition = Definition::from_body(&row.body).map_err(|problems| problems.to_string())?;
    if definition.digest() == row.digest && *definition.key() == row.key {
        Ok(definition)
    } else {
        Err(format!(
            "its body is that of {} with digest {}",
            definition.key(),
            definition.digest()
        ))
    }
}

#[cfg(test)]
mod tests {
    use squid_mesh_core::definition::{Draft, DraftStep};

    use super::*;

    fn definition(version: usize) -> Arc<Definition> {
        let version = u32::try_from(version).unwrap();
        let steps = vec![DraftStep::handler("only", "h")];
        let draft = Draft {
            steps,
            ..Draft::new("order", version)
        };
        Arc::new(Definition::validate(draft).unwrap())
    }

    #[test]
    fn at_the_limit_everything_is_kept_and_one_above_only_that_one() {
        let definitions = Definitions::default();
        let all: Vec<_> = (1..=KEPT).map(definition).collect();
        definitions.keep(&all);
        assert!(
            all.iter()
                .all(|kept| definitions.kept(kept.key()).is_some())
        );
        let last = definition(KEPT + 1);
        definitions.keep(std::slice::from_ref(&last));
        assert_eq!(definitions.kept(last.key()), Some(last));
        assert!(
            all.iter()
                .all(|kept| definitions.kept(kept.key()).is_none())
        );
    }

    #[test]
    fn a_body_that_is_not_what_its_row_says_is_not_taken() {
        let one = definition(1);
        let mut row = DefinitionRow {
            key: one.key().clone(),
            digest: one.digest(),
            body: one.body().clone(),
        };
        assert_eq!(restored(&row).unwrap(), *one);
        row.body = definition(2).body().clone();
        assert!(
            restored(&row)
                .unwrap_err()
                .starts_with("its body is that of order@2")
        );
        row.body = "{}".into();
        assert!(restored(&row).is_err());
    }
}
