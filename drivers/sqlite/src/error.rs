//! What SQLite's result codes say about an operation.
//!
//! Invariant: `Conflict` and `Refused` are given only where it is certain that nothing was committed; a code that is not
//! in the table is `Unavailable`.

use squid_mesh_core::store::StoreError;

/// Why an operation was not performed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// This operation alone cannot be performed; others in the same transaction can.
    Operation(StoreError),
    /// The database cannot be used: the whole transaction is lost.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Failure {
        match result_code(&error) {
            Some(code) if concerns_one_operation(code) => Failure::Operation(meaning(code, &error)),
            _ => Failure::Database(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Operation(error)
    }
}

/// What an error before a commit means. Nothing was committed.
pub(crate) fn store_error(error: &sqlx::Error) -> StoreError {
    match (result_code(error), error) {
        (Some(code), _) => meaning(code, error),
        (None, sqlx::Error::Configuration(_)) => StoreError::Refused(error.to_string()),
        (None, _) => StoreError::Unavailable(error.to_string()),
    }
}

/// A row that no engine wrote.
pub(crate) fn corrupt(detail: impl Into<String>) -> StoreError {
    StoreError::Corrupt {
        detail: detail.into(),
    }
}

/// The extended result code, <https://www.sqlite.org/rescode.html>.
pub(crate) fn result_code(error: &sqlx::Error) -> Option<i32> {
    error.as_database_error()?.code()?.parse().ok()
}

/// Primary result codes that this store tells apart.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const PERM: i32 = 3;
    pub(super) const ABORT: i32 = 4;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const SCHEMA: i32 = 17;
    pub(super) const TOOBIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const MISMATCH: i32 = 20;
    pub(super) const AUTH: i32 = 23;
    pub(super) const NOTADB: i32 = 26;
}

/// The primary code is the low byte of an extended one.
const fn primary(code: i32) -> i32 {
    code & 0xff
}

/// Whether the fault lies in what one operation wanted to write.
fn concerns_one_operation(code: i32) -> bool {
    matches!(
        primary(code),
        code::TOOBIG | code::CONSTRAINT | code::MISMATCH
    )
}

fn meaning(code: i32, error: &sqlx::Error) -> StoreError {
    match primary(code) {
        code::BUSY | code::LOCKED | code::ABORT | code::SCHEMA | code::CONSTRAINT => {
            StoreError::Conflict
        }
        code::ERROR
        | code::PERM
        | code::READONLY
        | code::FULL
        | code::CANTOPEN
        | code::TOOBIG
        | code::MISMATCH
        | code::AUTH => StoreError::Refused(error.to_string()),
        code::CORRUPT | code::NOTADB => corrupt(error.to_string()),
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// Whether a statement was refused as it stands: a savepoint that is not there, a transaction in a transaction.
pub(crate) fn is_misplaced(error: &sqlx::Error) -> bool {
    result_code(error).is_some_and(|code| code == code::ERROR)
}

/// Whether a row does not fit the constraints of its table.
pub(crate) fn is_constraint(error: &sqlx::Error) -> bool {
    result_code(error).is_some_and(|code| primary(code) == code::CONSTRAINT)
}

/// Whether somebody else held a lock for longer than was waited.
pub(crate) fn is_busy(error: &sqlx::Error) -> bool {
    result_code(error).is_some_and(|code| primary(code) == code::BUSY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_code_says_what_became_of_the_operation() {
        let kind = |code| match meaning(code, &sqlx::Error::WorkerCrashed) {
            StoreError::Conflict => "conflict",
            StoreError::Refused(_) => "refused",
            StoreError::Corrupt { .. } => "corrupt",
            StoreError::Unavailable(_) => "unavailable",
            _ => "other",
        };
        let table = [
            (1, "refused"),
            (5, "conflict"),
            (5 | (1 << 8), "conflict"),
            (5 | (2 << 8), "conflict"),
            (6, "conflict"),
            (6 | (1 << 8), "conflict"),
            (8, "refused"),
            (8 | (4 << 8), "refused"),
            (10, "unavailable"),
            (10 | (4 << 8), "unavailable"),
            (11, "corrupt"),
            (13, "refused"),
            (14, "refused"),
            (19 | (6 << 8), "conflict"),
            (19 | (8 << 8), "conflict"),
            (18, "refused"),
            (26, "corrupt"),
            (7, "unavailable"),
            (99, "unavailable"),
        ];
        for (code, expected) in table {
            assert_eq!(kind(code), expected, "{code}");
        }
        assert!(matches!(
            store_error(&sqlx::Error::WorkerCrashed),
            StoreError::Unavailable(_)
        ));
    }

    #[test]
    fn a_violated_constraint_concerns_one_operation_and_a_full_disk_all() {
        assert!(
            concerns_one_operation(1555)
                && concerns_one_operation(2067)
                && concerns_one_operation(18)
        );
        assert!(
            !concerns_one_operation(13)
                && !concerns_one_operation(5)
                && !concerns_one_operation(778)
        );
    }
}
