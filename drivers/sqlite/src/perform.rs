//! One operation within the writer's transaction: read, decide, at most once read more, write.
//!
//! Invariant: an operation that fails has undone nothing but itself, and a decision that panics has written nothing.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sqlx::sqlite::SqliteConnection;
use squid_mesh_core::id::Shard;
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{Decision, Operation, Reply, View, Writes};
use squid_mesh_core::store::StoreError;

use crate::error::{Failure, corrupt};
use crate::read::{Sources, read};
use crate::script::Script;
use crate::sql;
use crate::write::write;

/// Where in a transaction an operation stands. The first needs no savepoint: undoing it is undoing everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The transaction begins with it.
    First,
    /// One operation was performed before it.
    Second,
    /// The savepoint of the one before it is still there.
    Later,
    /// At the end of a transaction that somebody else wrote in, and that is undone with it.
    Last,
}

impl Place {
    fn begin(self) -> Script {
        let mut script = Script::default();
        match self {
            Place::First => script.statement(sql::BEGIN),
            Place::Second => script.statement(sql::SAVEPOINT),
            Place::Later => script.statement(sql::RELEASE).statement(sql::SAVEPOINT),
            Place::Last => &mut script,
        };
        script
    }

    /// Undoes the operation at this place.
    pub(crate) fn undo(self) -> &'static str {
        match self {
            Place::First | Place::Last => sql::ROLLBACK,
            Place::Second | Place::Later => sql::UNDO,
        }
    }

    /// The place of the next operation.
    pub(crate) fn next(self, performed: bool) -> Place {
        match self {
            Place::First if performed => Place::Second,
            Place::First => Place::First,
            Place::Second | Place::Later => Place::Later,
            Place::Last => Place::Last,
        }
    }
}

/// An operation that was performed, but for the commit.
#[derive(Debug)]
pub(crate) struct Performed {
    /// What to answer once the commit is known.
    pub(crate) reply: Reply,
    /// Queues to send hints for then.
    pub(crate) hints: BTreeSet<Name>,
}

/// Performs an operation, but for the commit.
pub(crate) async fn perform(
    connection: &mut SqliteConnection,
    sources: &Sources<'_>,
    place: Place,
    operation: &Operation,
) -> Result<Performed, Failure> {
    let mut view = View::default();
    read(
        connection,
        sources,
        place.begin(),
        &operation.reads(),
        &mut view,
    )
    .await?;
    let decision = match decide(operation, &view)? {
        Decision::Need(set) => {
            read(connection, sources, Script::default(), &set, &mut view).await?;
            decide(operation, &view)?
        }
        done @ Decision::Done { .. } => done,
    };
    match decision {
        Decision::Done { writes, reply } => {
            write(connection, &writes).await?;
            let Writes { hints, .. } = writes;
            Ok(Performed { reply, hints })
        }
        Decision::Need(_) => Err(Failure::Operation(corrupt(
            "an operation asked to read more than once",
        ))),
    }
}

fn decide(operation: &Operation, view: &View) -> Result<Decision, Failure> {
    catch_unwind(AssertUnwindSafe(|| operation.decide(view))).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text
            .or_else(|| panic.downcast_ref::<&str>().copied())
            .unwrap_or("a panic");
        Failure::Operation(corrupt(format!("an operation cannot be decided: {text}")))
    })
}

/// Whether this store has the shard that an operation is about.
pub(crate) fn check_shard(operation: &Operation) -> Result<(), StoreError> {
    let shard = operation.shard();
    if shard == Shard::default() {
        return Ok(());
    }
    Err(StoreError::Refused(format!(
        "an SQLite store has one shard, there is no shard {}",
        shard.as_u16()
    )))
}
