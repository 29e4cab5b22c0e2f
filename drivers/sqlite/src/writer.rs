//! The one connection that writes, and what waits for it.
//!
//! SQLite has one writer at a time, so operations are queued in the process rather than in the database. Those that queue
//! up while a transaction runs share the next one, and with it one flush to disk; each can be undone alone.
//! Renewals go first, because a lease that is not renewed in time repeats an attempt.
//!
//! Whoever else wants to write gets a turn: between two transactions of the writer's, and for as long as it holds it. What
//! queues up meanwhile, renewals too, comes before the next turn.
//!
//! Invariant: an operation has its reply only once its transaction is committed; it is answered `Unavailable` if that is
//! unknown, and anything else only if it wrote nothing.

use std::collections::VecDeque;
use std::sync::Arc;

use sqlx::sqlite::SqliteConnection;
use squid_mesh_core::operation::{Operation, Reply};
use squid_mesh_core::store::StoreError;
use tokio::sync::{mpsc, oneshot};

use crate::connect::Opener;
use crate::definitions::Definitions;
use crate::error::{Failure, store_error};
use crate::hint::Hints;
use crate::options::Clock;
use crate::perform::{Performed, Place, perform};
use crate::read::Sources;
use crate::script::Script;
use crate::sql;

/// Most operations in one transaction, so that a renewal never waits for long.
const GROUP: usize = 16;
/// Most operations that wait; further ones wait to wait.
pub(crate) const QUEUE: usize = 1_024;

/// An operation, and who waits for its reply.
pub(crate) struct Job {
    pub(crate) operation: Operation,
    pub(crate) answer: oneshot::Sender<Result<Reply, StoreError>>,
}

impl Job {
    /// Answers; whoever asked may have stopped waiting.
    fn answer(self, result: Result<Reply, StoreError>) {
        drop(self.answer.send(result));
    }
}

/// What is asked of the writer.
pub(crate) enum Request {
    /// Perform an operation.
    Perform(Job),
    /// Write nothing while somebody else does.
    Turn(oneshot::Sender<Turn>),
}

/// The right to write, until it is dropped.
#[derive(Debug)]
pub(crate) struct Turn(#[expect(dead_code, reason = "held for its drop")] oneshot::Sender<()>);

/// What the writer shares with the rest of the store.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) definitions: Definitions,
    pub(crate) hints: Hints,
    pub(crate) clock: Arc<dyn Clock>,
}

/// Owns the writing connection.
pub(crate) struct Writer {
    opener: Opener,
    /// None after a fault: closing a connection undoes whatever it was in the middle of.
    connection: Option<SqliteConnection>,
    shared: Arc<Shared>,
}

impl Writer {
    pub(crate) fn new(opener: Opener, connection: SqliteConnection, shared: Arc<Shared>) -> Writer {
        Writer {
            opener,
            connection: Some(connection),
            shared,
        }
    }

    /// Performs what arrives until nobody can send any more, and closes the connection.
    pub(crate) async fn run(mut self, mut inbox: mpsc::Receiver<Request>) {
        let mut turns = VecDeque::new();
        loop {
            let mut requests = Vec::with_capacity(GROUP);
            if turns.is_empty() {
                if inbox.recv_many(&mut requests, GROUP).await == 0 {
                    break;
                }
            } else {
                let waiting = std::iter::from_fn(|| inbox.try_recv().ok());
                requests.extend(waiting.take(GROUP));
            }
            let mut jobs = Vec::with_capacity(requests.len());
            for request in requests {
                match request {
                    Request::Perform(job) => jobs.push(job),
                    Request::Turn(turn) => turns.push_back(turn),
                }
            }
            if !jobs.is_empty() {
                jobs.sort_by_key(|job| !matches!(job.operation, Operation::Lease(_)));
                self.perform_together(jobs).await;
            }
            if let Some(turn) = turns.pop_front() {
                give(turn).await;
            }
        }
        if let Some(connection) = self.connection {
            close(connection).await;
        }
    }

    async fn perform_together(&mut self, jobs: Vec<Job>) {
        let opened = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.opener.open().await,
        };
        let mut connection = match opened {
            Ok(connection) => connection,
            Err(error) => return fail(jobs, || store_error(&error)),
        };
        match self.perform_all(&mut connection, jobs).await {
            Ok(performed) => {
                self.connection = Some(connection);
                self.answer(performed);
            }
            Err(Fault { jobs, error }) => {
                // Some of what was read may have been written by the transaction itself.
                self.shared.definitions.forget();
                close(connection).await;
                fail(jobs, error);
            }
        }
    }

    /// Performs each operation and commits, but for those that cannot be performed: they are undone and answered at once.
    async fn perform_all(
        &self,
        connection: &mut SqliteConnection,
        jobs: Vec<Job>,
    ) -> Result<Vec<(Job, Performed)>, Fault> {
        let sources = Sources {
            definitions: &self.shared.definitions,
            clock: &*self.shared.clock,
        };
        let mut done = Vec::with_capacity(jobs.len());
        let mut jobs = jobs.into_iter();
        let mut place = Place::First;
        while let Some(job) = jobs.next() {
            let (performed, fault) =
                match perform(connection, &sources, place, &job.operation).await {
                    Ok(performed) => {
                        done.push((job, performed));
                        (true, None)
                    }
                    Err(Failure::Operation(error)) => {
                        job.answer(Err(error));
                        let undone = Script::of(place.undo()).run(connection).await;
                        (false, undone.err().map(|error| (None, error)))
                    }
                    Err(Failure::Database(error)) => (false, Some((Some(job), error))),
                };
            if let Some((job, error)) = fault {
                let jobs = jobs_of(done).chain(job).chain(jobs).collect();
                return Err(Fault {
                    jobs,
                    error: Box::new(move || store_error(&error)),
                });
            }
            place = place.next(performed);
        }
        if place == Place::First {
            return Ok(done);
        }
        match Script::of(sql::COMMIT).run(connection).await {
            Ok(_) => Ok(done),
            Err(error) => {
                let unknown = move || StoreError::Unavailable(error.to_string());
                Err(Fault {
                    jobs: jobs_of(done).collect(),
                    error: Box::new(unknown),
                })
            }
        }
    }

    fn answer(&self, performed: Vec<(Job, Performed)>) {
        let mut hints = std::collections::BTreeSet::new();
        for (job, performed) in performed {
            hints.extend(performed.hints);
            job.answer(Ok(performed.reply));
        }
        self.shared.hints.send(hints);
    }
}

/// Gives somebody a turn, and waits until it is over. Whoever asked may have stopped waiting.
async fn give(asked: oneshot::Sender<Turn>) {
    let (held, over) = oneshot::channel();
    if asked.send(Turn(held)).is_ok() {
        // Nothing is ever sent: a turn is over when it is dropped.
        let _ = over.await;
    }
}

/// The transaction is lost, and the connection with it.
struct Fault {
    /// The operations that were not answered.
    jobs: Vec<Job>,
    /// What to answer them.
    error: Box<dyn Fn() -> StoreError + Send>,
}

fn jobs_of(done: Vec<(Job, Performed)>) -> impl Iterator<Item = Job> {
    done.into_iter().map(|(job, _)| job)
}

fn fail(jobs: Vec<Job>, error: impl Fn() -> StoreError) {
    for job in jobs {
        job.answer(Err(error()));
    }
}

/// Closing rolls back; that the connection is broken already changes nothing.
async fn close(connection: SqliteConnection) {
    if let Err(error) = sqlx::Connection::close(connection).await {
        tracing::debug!(%error, "a broken connection did not close");
    }
}
