//! Campaigns over workflows of one's own.
//!
//! Invariant: a world of somebody's own workflows is judged by the same oracles as any other.

#[cfg(feature = "workflows")]
mod actors;
mod builder;
mod commands;
#[cfg(feature = "workflows")]
mod desk;
mod error;
mod faults;
mod ledger;
pub(crate) mod line;
pub(crate) mod play;
mod prepared;
mod property;
mod regression;
mod report;
mod run;
mod scripted;
mod set_up;
mod source;
#[cfg(feature = "workflows")]
mod stage;
pub(crate) mod view;

pub use builder::{Campaign, campaign};
pub use commands::Commands;
pub use error::CampaignError;
pub use faults::Faults;
pub use ledger::{Ledger, LedgerEntry};
pub use property::Verdict;
pub use report::{Broken, Small};
pub use run::Passed;
pub use scripted::Scripted;
pub use set_up::Release;
pub use source::{Authored, IntoAuthored};
pub use view::{RunView, StepView, UndoView, WorldView};
