//! Everything that can be wrong with an exported run.
//!
//! Invariant: what is said names the row or the part of the file that is wrong.

use crate::definition::{DefinitionDigest, DefinitionKey, Problems};
use crate::run::FoldError;
use crate::transition::DecodeError;

/// Why something is no exported run. Reading or making it again gives the same.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidExport {
    /// It is no JSON of the form that is asked for.
    #[error("this is no exported run: {0}")]
    Json(#[from] serde_json::Error),
    /// It is of a format that this engine does not know.
    #[error("the exported run has format {found}, this engine reads {known}")]
    Format {
        /// The format found.
        found: String,
        /// The only one that this engine reads.
        known: u32,
    },
    /// The definition is no valid one.
    #[error("the definition of the exported run is invalid: {0}")]
    Definition(#[source] Problems),
    /// The run was started of another definition than the one that comes with it.
    #[error(
        "the run was started of definition {started} with digest {recorded}, the definition that comes with it is {found} with \
         digest {digest}"
    )]
    OtherDefinition {
        /// What the run's start names.
        started: Box<DefinitionKey>,
        /// The digest that it names.
        recorded: DefinitionDigest,
        /// What comes with the run.
        found: Box<DefinitionKey>,
        /// Its digest.
        digest: DefinitionDigest,
    },
    /// A row is missing, or not where it should be.
    #[error("the journal has row {found} where row {expected} should be")]
    Gap {
        /// The position that follows the row before.
        expected: u32,
        /// The position found.
        found: u32,
    },
    /// A row is missing at the end.
    #[error("the journal ends with row {found}, the run with row {expected}")]
    Short {
        /// The last row of the run.
        expected: u32,
        /// The last row there is.
        found: u32,
    },
    /// The bytes of a transition are no hexadecimal text.
    #[error("the transition of journal row {seq} is no hexadecimal text")]
    TransitionHex {
        /// The row.
        seq: u32,
    },
    /// The bytes of a payload are no hexadecimal text.
    #[error("the payload of journal row {seq} is no hexadecimal text")]
    PayloadHex {
        /// The row.
        seq: u32,
    },
    /// A transition cannot be decoded.
    #[error("journal row {seq} cannot be decoded: {source}")]
    Row {
        /// The row.
        seq: u32,
        /// Why.
        source: DecodeError,
    },
    /// What is said of a row is not what its transition says.
    #[error("the {column} of journal row {seq} is not what its transition says")]
    Column {
        /// The row.
        seq: u32,
        /// What of it.
        column: &'static str,
    },
    /// A row's event names a payload, and the row has none though payloads were exported.
    #[error("journal row {seq} lacks the payload that its event names")]
    PayloadMissing {
        /// The row.
        seq: u32,
    },
    /// A row has a payload that its event does not name, or that was said not to be exported.
    #[error("journal row {seq} has a payload that it should not have")]
    PayloadUnexpected {
        /// The row.
        seq: u32,
    },
    /// The payload of a row is not the one that its event names.
    #[error("the payload of journal row {seq} does not match the digest in its event")]
    PayloadDigest {
        /// The row.
        seq: u32,
    },
    /// The journal does not fold.
    #[error("the journal does not fold: {0}")]
    Fold(#[from] FoldError),
    /// What is said of the run is not what its journal folds to.
    #[error("the {column} of the run is not what its journal folds to")]
    Run {
        /// What of it.
        column: &'static str,
    },
}
