//! Manual pause: an import stands still until somebody has made sure that there is a backup.
//!
//! Invariant: no row is imported before the run was resumed.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Workflow};

use super::app_step;
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "manual_pause";

/// The pause.
pub const PAUSE: &str = "check_backup";

/// The figure that tells how many rows were imported.
pub const IMPORTED: &str = "imported";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// Its name.
    pub name: String,
    /// How many rows it has.
    pub rows: i64,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Import, i64>, BuildError> {
    let (mut wf, import) = Workflow::builder::<Import>(NAME, 1);
    wf.label("Manual pause");
    let prepared = wf.step("prepare_import", import, app_step(app, prepare));
    let backup = wf.pause(PAUSE, prepared).label("Is there a backup?");
    let imported = wf.step(
        "import_rows",
        import,
        app_step(app, import_rows).after(&backup),
    );
    wf.finish(imported)
}

async fn prepare(app: Arc<App>, cx: StepContext, import: Import) -> Result<(), StepError> {
    app.ledger.record_effect(&cx).await?;
    app.ledger.write_figure(&import.name, IMPORTED, 0).await?;
    Ok(())
}

async fn import_rows(app: Arc<App>, cx: StepContext, import: Import) -> Result<i64, StepError> {
    app.ledger.record_effect(&cx).await?;
    app.ledger
        .write_figure(&import.name, IMPORTED, import.rows)
        .await?;
    Ok(import.rows)
}
