//! What an error of Postgres, or of the way to it, says about an operation.
//!
//! Invariant: whatever may have been committed is `Unavailable`; `Conflict` and `Refused` are rolled back for certain.

use squid_mesh_core::store::StoreError;

/// What a SQLSTATE says about the operation that met it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Conflict,
    Unavailable,
    Corrupt,
    Refused,
}

/// SQLSTATEs, or their two-letter classes, and what they mean. The first that fits counts; what is not listed is refused:
/// the statement failed, and would fail again.
const MEANINGS: [(&str, Meaning); 16] = [
    // Somebody else was in the way.
    ("23505", Meaning::Conflict), // unique_violation: the same key was inserted meanwhile
    ("40003", Meaning::Unavailable), // statement_completion_unknown
    ("40", Meaning::Conflict),    // serialization_failure, deadlock_detected
    ("55P03", Meaning::Conflict), // lock_not_available: a lock was waited for too long
    // Nobody answered, or the connection was taken away.
    ("08", Meaning::Unavailable),    // connection exceptions
    ("25P03", Meaning::Unavailable), // idle_in_transaction_session_timeout
    ("53300", Meaning::Unavailable), // too_many_connections
    ("57014", Meaning::Unavailable), // query_canceled, by an operator or a timeout
    ("57P01", Meaning::Unavailable), // admin_shutdown
    ("57P02", Meaning::Unavailable), // crash_shutdown
    ("57P03", Meaning::Unavailable), // cannot_connect_now: starting up or recovering
    ("57P05", Meaning::Unavailable), // idle_session_timeout
    ("58000", Meaning::Unavailable), // system_error
    ("58030", Meaning::Unavailable), // io_error
    ("XX001", Meaning::Corrupt),     // data_corrupted
    ("XX002", Meaning::Corrupt),     // index_corrupted
];

fn meaning(code: &str) -> Meaning {
    let found = MEANINGS.iter().find(|(prefix, _)| code.starts_with(prefix));
    found.map_or(Meaning::Refused, |(_, meaning)| *meaning)
}

/// What an error says about the operation that met it, before its COMMIT was sent.
pub(crate) fn store_error(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            let text = format!("{} (SQLSTATE {code})", database.message());
            match meaning(&code) {
                Meaning::Conflict => StoreError::Conflict,
                Meaning::Unavailable => StoreError::Unavailable(text),
                Meaning::Corrupt => StoreError::Corrupt { detail: text },
                // undefined_table
                Meaning::Refused if code == "42P01" => {
                    StoreError::Refused(format!("{text}: was the schema migrated?"))
                }
                Meaning::Refused => StoreError::Refused(text),
            }
        }
        sqlx::Error::Configuration(_)
        | sqlx::Error::InvalidArgument(_)
        | sqlx::Error::Encode(_) => StoreError::Refused(error.to_string()),
        sqlx::Error::RowNotFound
        | sqlx::Error::TypeNotFound { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_) => StoreError::Corrupt {
            detail: error.to_string(),
        },
        // Io, Tls, Protocol and whatever else may happen on the way.
        _ => StoreError::Unavailable(error.to_string()),
    }
}

/// What an error of the COMMIT itself says. An answer that the transaction lost against another one is certain, and so is
/// a refusal; without an answer nothing is.
pub(crate) fn commit_error(error: &sqlx::Error) -> StoreError {
    match error {
        sqlx::Error::Database(_) => store_error(error),
        _ => StoreError::Unavailable(format!("the commit was not answered: {error}")),
    }
}

/// Whether the transaction that a statement was sent in had failed before.
pub(crate) fn is_aborted(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    // in_failed_sql_transaction
    code.is_some_and(|code| code == "25P02")
}

/// Whether a transaction lost against another one: a serialization failure or a deadlock.
pub(crate) fn is_serialization(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| code == "40001" || code == "40P01")
}

/// Whether the connection can be used again once its transaction was rolled back.
pub(crate) fn is_survivable(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            meaning(&code) != Meaning::Unavailable || code == "57014"
        }
        sqlx::Error::Encode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::Decode(_)
        | sqlx::Error::RowNotFound => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sqlstate_says_what_is_known_about_the_outcome() {
        for (code, expected) in [
            ("40001", Meaning::Conflict),
            ("40P01", Meaning::Conflict),
            ("55P03", Meaning::Conflict),
            ("23505", Meaning::Conflict),
            ("40003", Meaning::Unavailable),
            ("08000", Meaning::Unavailable),
            ("08006", Meaning::Unavailable),
            ("08P01", Meaning::Unavailable),
            ("25P03", Meaning::Unavailable),
            ("53300", Meaning::Unavailable),
            ("57014", Meaning::Unavailable),
            ("57P01", Meaning::Unavailable),
            ("57P02", Meaning::Unavailable),
            ("57P03", Meaning::Unavailable),
            ("58030", Meaning::Unavailable),
            ("XX001", Meaning::Corrupt),
            ("XX002", Meaning::Corrupt),
            // Read-only, disk full, no rights, no table, no database, wrong password, bad text.
            ("25006", Meaning::Refused),
            ("53100", Meaning::Refused),
            ("42501", Meaning::Refused),
            ("42P01", Meaning::Refused),
            ("3D000", Meaning::Refused),
            ("28P01", Meaning::Refused),
            ("22021", Meaning::Refused),
            ("23514", Meaning::Refused),
            ("XX000", Meaning::Refused),
        ] {
            assert_eq!(meaning(code), expected, "{code}");
        }
    }

    #[test]
    fn a_commit_without_an_answer_is_in_doubt() {
        let lost = sqlx::Error::Io(std::io::ErrorKind::UnexpectedEof.into());
        assert!(matches!(commit_error(&lost), StoreError::Unavailable(_)));
        assert!(!is_survivable(&lost));
    }
}
