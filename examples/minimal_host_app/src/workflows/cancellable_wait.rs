//! A cancellable wait: a reservation is held for a long time, unless somebody cancels it.
//!
//! Invariant: a run that is cancelled while it waits releases nothing.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use squid_mesh::{BuildError, StepContext, StepError, Workflow};

use super::app_step;
use crate::app::App;

/// The workflow's name.
pub const NAME: &str = "cancellable_wait";

/// How long a reservation is held.
pub const HOLD: Duration = Duration::from_secs(24 * 60 * 60);

/// The figure that tells how many seats a reservation holds.
pub const HELD: &str = "held";

/// What a run is about.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// Its name.
    pub name: String,
    /// How many seats it takes.
    pub seats: i64,
}

/// Wires the workflow.
///
/// # Errors
/// Never, unless it is wired wrongly.
pub fn workflow(app: &Arc<App>) -> Result<Workflow<Reservation, ()>, BuildError> {
    let (mut wf, reservation) = Workflow::builder::<Reservation>(NAME, 1);
    wf.label("Cancellable wait");
    let held = wf.step("hold_seats", reservation, app_step(app, hold_seats));
    let hold = wf.wait("hold", HOLD, held);
    let released = wf.step(
        "release_seats",
        reservation,
        app_step(app, release_seats).after(&hold),
    );
    wf.finish(released)
}

async fn hold_seats(
    app: Arc<App>,
    cx: StepContext,
    reservation: Reservation,
) -> Result<(), StepError> {
    app.ledger.record_effect(&cx).await?;
    app.ledger
        .write_figure(&reservation.name, HELD, reservation.seats)
        .await?;
    Ok(())
}

async fn release_seats(
    app: Arc<App>,
    cx: StepContext,
    reservation: Reservation,
) -> Result<(), StepError> {
    app.ledger.record_effect(&cx).await?;
    app.ledger.write_figure(&reservation.name, HELD, 0).await?;
    Ok(())
}
