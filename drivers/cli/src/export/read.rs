//! A run out of a store.
//!
//! Invariant: the journal is read up to where the run was when its row was read, so the two fit although the run goes on.

use anyhow::{Context as _, anyhow};
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::RunRow;
use squid_mesh_core::run::Seq;
use squid_mesh_core::store::{Fetch, Inspect, Store, StoreError, StoredRow};

/// Rows of a page: with payloads as big as they may be by default, a page has 100 MiB.
const PAGE: u32 = 100;

/// Reads a run with its definition.
///
/// # Errors
/// If there is no such run, the store cannot be read, or what it has does not fit together.
pub(super) async fn run(
    store: &(impl Store + Inspect),
    id: RunId,
    payloads: bool,
) -> anyhow::Result<ExportedRun> {
    let record = Inspect::run(store, id).await?;
    let row = record.with_context(|| format!("there is no run {id}"))?.row;
    let wanted = Fetch {
        definitions: [row.definition.clone()].into(),
        ..Fetch::default()
    };
    let fetched = store.fetch(wanted).await?;
    let definition = fetched.definitions.into_iter().next();
    let definition = definition.with_context(|| {
        let key = &row.definition;
        format!("the definition {key} of run {id} is not in the store")
    })?;
    let journal = journal(store, &row).await?;
    let exported = ExportedRun::of(&row, definition, journal, payloads);
    // Its text has that of whatever caused it.
    exported.map_err(|error| anyhow!("run {id} cannot be exported: {error}"))
}

async fn journal(store: &impl Inspect, run: &RunRow) -> Result<Vec<StoredRow>, StoreError> {
    let mut rows: Vec<StoredRow> = Vec::new();
    let mut from = Seq::FIRST;
    while from <= run.seq {
        let page = store.journal(run.id, from, PAGE).await?;
        let Some(last) = page.last() else { break };
        from = last.seq.next();
        rows.extend(page);
    }
    Ok(rows)
}
