//! Listing runs, page by page.
//!
//! Invariant: a cursor names a place between two runs, so pages neither repeat nor skip a run, whatever starts meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use squid_mesh_core::id::RunId;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::RunRow;
use squid_mesh_core::run::Status;
use squid_mesh_core::time::Timestamp;
use uuid::Uuid;

use super::InspectError;

/// One page of a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Page {
    /// The runs, newest start first.
    pub runs: Vec<RunSummary>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

/// A run in a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunSummary {
    /// The run.
    pub run: RunId,
    /// Its workflow.
    pub workflow: Name,
    /// The version it is pinned to.
    pub version: u32,
    /// The status that its journal says; a delayed start stays `scheduled` here until something happens to it.
    pub status: Status,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// When it was started.
    pub created: Timestamp,
    /// When its journal last grew.
    pub updated: Timestamp,
}

/// Runs of one page, if the caller names no number.
pub(super) const PAGE: u32 = 100;
/// Most runs of one page.
pub(super) const PAGE_MAX: u32 = 1_000;

impl Page {
    pub(super) fn new(rows: Vec<RunRow>, limit: u32) -> Page {
        let full = u32::try_from(rows.len()).is_ok_and(|found| found >= limit);
        let next = rows.last().filter(|_| full).map(|row| {
            Cursor {
                created: row.created,
                run: row.id,
            }
            .to_string()
        });
        Page {
            runs: rows.into_iter().map(RunSummary::from).collect(),
            next,
        }
    }
}

impl From<RunRow> for RunSummary {
    fn from(row: RunRow) -> RunSummary {
        RunSummary {
            run: row.id,
            workflow: row.definition.name,
            version: row.definition.version,
            status: row.status,
            labels: row.labels,
            created: row.created,
            updated: row.updated,
        }
    }
}

/// Where a listing goes on after a run.
pub(super) fn cursor_after(run: &RunSummary) -> String {
    let cursor = Cursor {
        created: run.created,
        run: run.run,
    };
    cursor.to_string()
}

/// The last run of a page. Opaque to callers: they hand back the text they got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cursor {
    pub(super) created: Timestamp,
    pub(super) run: RunId,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "c1-{}-{}",
            self.created.as_micros(),
            Uuid::from_u128(self.run.as_u128()).simple()
        )
    }
}

impl FromStr for Cursor {
    type Err = InspectError;

    fn from_str(text: &str) -> Result<Cursor, InspectError> {
        let parsed = text
            .strip_prefix("c1-")
            .and_then(|rest| rest.rsplit_once('-'))
            .and_then(|(created, run)| {
                let created = Timestamp::from_micros(created.parse().ok()?);
                let run = RunId::from_u128(Uuid::try_parse(run).ok()?.as_u128());
                Some(Cursor { created, run })
            });
        let malformed = || InspectError::MalformedCursor {
            cursor: text.chars().take(80).collect(),
        };
        parsed
            .filter(|cursor| cursor.to_string() == text)
            .ok_or_else(malformed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a18_4_a_malformed_cursor_is_a_typed_error() {
        let good = Cursor {
            created: Timestamp::from_micros(-5),
            run: RunId::from_u128(7),
        };
        assert_eq!(
            good.to_string().parse::<Cursor>().expect("it reads back"),
            good
        );
        for bad in [
            "",
            "c1",
            "c1--",
            "c1-+5-00000000000000000000000000000007",
            "c2-5-7",
            "c1-5-7",
        ] {
            assert!(
                matches!(
                    bad.parse::<Cursor>(),
                    Err(InspectError::MalformedCursor { .. })
                ),
                "{bad}"
            );
        }
    }
}
