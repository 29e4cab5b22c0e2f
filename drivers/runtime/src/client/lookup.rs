//! Definitions to start, by name.
//!
//! Invariant: what this process registered comes first; nothing is asked for twice by one wish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::name::Name;
use squid_mesh_core::store::{Fetch, Store as _, StoreError};

use super::{Client, StartError};

/// The definitions of starts that are made together, each looked up once.
#[derive(Debug, Default)]
pub(super) struct Lookup {
    /// Whether a transaction of the host is open, which may keep everybody else from reading.
    in_transaction: bool,
    found: BTreeMap<(Name, Option<u32>), Arc<Definition>>,
}

impl Lookup {
    /// For starts in a transaction of the host.
    pub(super) fn in_transaction() -> Lookup {
        Lookup {
            in_transaction: true,
            ..Lookup::default()
        }
    }

    pub(super) async fn definition(
        &mut self,
        client: &Client,
        name: &Name,
        version: Option<u32>,
    ) -> Result<Arc<Definition>, StartError> {
        let wanted = (name.clone(), version);
        if let Some(found) = self.found.get(&wanted) {
            return Ok(found.clone());
        }
        if self.in_transaction
            && client.registered(name, version).is_none()
            && !client.reads_beside_transactions()
        {
            let why = format!(
                "in memory nobody can read while a transaction is open: workflow {name} has to be registered in this process"
            );
            return Err(StartError::Lookup(StoreError::Refused(why)));
        }
        let found = client.definition(name, version).await?;
        self.found.insert(wanted, found.clone());
        Ok(found)
    }
}

impl Client {
    /// The definition to start: what this process registered comes first.
    pub(super) async fn definition(
        &self,
        name: &Name,
        version: Option<u32>,
    ) -> Result<Arc<Definition>, StartError> {
        if let Some(definition) = self.registered(name, version) {
            return Ok(definition.clone());
        }
        let stored = match version {
            Some(version) => {
                let name = name.clone();
                self.stored_definition(&DefinitionKey { name, version })
                    .await
            }
            None => self.newest_stored(name).await,
        };
        let stored = stored.map_err(StartError::Lookup)?;
        stored.ok_or_else(|| StartError::UnknownWorkflow {
            name: name.to_string(),
            version,
        })
    }

    pub(super) fn registered(&self, name: &Name, version: Option<u32>) -> Option<&Arc<Definition>> {
        self.0.definitions.values().rfind(|definition| {
            definition.name() == name
                && version.is_none_or(|version| definition.version() == version)
        })
    }

    pub(super) async fn newest_stored(
        &self,
        name: &Name,
    ) -> Result<Option<Arc<Definition>>, StoreError> {
        let wanted = Fetch {
            newest: BTreeSet::from([name.clone()]),
            ..Fetch::default()
        };
        Ok(self.store().fetch(wanted).await?.newest.pop())
    }

    fn reads_beside_transactions(&self) -> bool {
        let transactions = self.store().transactions();
        transactions.is_none_or(|transactions| transactions.lets_others_read())
    }
}
