//! A run as the store has it.
//!
//! Invariant: the journal is read as it is stored, not as the engine's snapshot sums it up; both are compared.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use squid_mesh::SharedStore;
use squid_mesh::core::definition::Definition;
use squid_mesh::core::id::RunId;
use squid_mesh::core::run::Seq;
use squid_mesh::core::store::{Fetch, Inspect as _, RunRecord, Store as _};
use squid_mesh::core::transition::Transition;
use squid_mesh::core::verify;

/// The longest journal of a run that any plan makes, and some.
const ROWS: u32 = 500;

/// Everything that is stored of a run.
#[derive(Debug)]
pub struct Stored {
    /// Its row and its tasks.
    pub record: RunRecord,
    /// The definition that it is pinned to.
    pub definition: Arc<Definition>,
    /// Its journal, as far as it can be read.
    pub journal: Vec<Transition>,
    /// Where journal, snapshot and tasks do not agree, and what of the journal cannot be read.
    pub discrepancies: Vec<String>,
}

impl Stored {
    /// Reads a run, refolds its journal, and compares that with its snapshot and its tasks.
    ///
    /// # Errors
    /// If the store does not answer, or does not have the run or its definition.
    pub async fn read(store: &SharedStore, run: RunId) -> anyhow::Result<Stored> {
        let record = store.run(run).await?;
        let record = record.with_context(|| format!("run {run} is not stored"))?;
        let wanted = Fetch {
            definitions: BTreeSet::from([record.row.definition.clone()]),
            ..Fetch::default()
        };
        let definition = store.fetch(wanted).await?.definitions.pop();
        let definition =
            definition.with_context(|| format!("the definition of run {run} is not stored"))?;
        let rows = store.journal(run, Seq::FIRST, ROWS).await?;
        anyhow::ensure!(
            rows.len() < ROWS as usize,
            "run {run} has a longer journal than its plan can make"
        );
        let (mut journal, mut discrepancies) = (Vec::new(), Vec::new());
        for stored in rows {
            match stored.row {
                Ok(row) => journal.push(row.transition),
                Err(error) => discrepancies.push(format!("journal of {run}: {error}")),
            }
        }
        let found = verify::run(&definition, &record.row, &journal, &record.tasks);
        discrepancies.extend(found.into_iter().map(|what| format!("run {run}: {what:?}")));
        Ok(Stored {
            discrepancies,
            record,
            definition,
            journal,
        })
    }
}
