//! Connections: how they are made, lent and taken back.
//!
//! The pool is not sqlx's, which sends a ping whenever a connection is given back and keeps the connection of a future that
//! was dropped half-way. Here giving back costs nothing, and a connection whose state is not known is closed: the
//! server rolls back what was going on in it.
//!
//! Invariant: an idle connection is in no transaction.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use squid_mesh_core::store::StoreError;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::error::store_error;

/// A bounded set of connections, the most recently used first.
pub(crate) struct Connections {
    options: PgConnectOptions,
    most: u32,
    patience: Duration,
    permits: Semaphore,
    /// How many connections were made.
    made: AtomicU64,
    idle: Mutex<Vec<PgConnection>>,
}

impl Connections {
    pub(crate) fn new(options: PgConnectOptions, most: u32, patience: Duration) -> Connections {
        let most = most.max(1);
        let permits = Semaphore::new(
            usize::try_from(most)
                .unwrap_or(usize::MAX)
                .min(Semaphore::MAX_PERMITS),
        );
        Connections {
            options,
            most,
            patience,
            permits,
            made: AtomicU64::new(0),
            idle: Mutex::default(),
        }
    }

    /// How to make one more.
    pub(crate) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// How long anything may take.
    pub(crate) fn patience(&self) -> Duration {
        self.patience
    }

    /// Lends a connection, once there is one. Cancellation-safe.
    pub(crate) async fn lend(&self) -> Result<Lent<'_>, StoreError> {
        let permit = self.permits.acquire().await;
        let permit = permit.map_err(|_| StoreError::Unavailable("the store was closed".into()))?;
        // Read first: what is done on an idle connection belongs to the time before the next one is made.
        let epoch = self.made.load(Ordering::SeqCst);
        let idle = self.idle().pop();
        let (connection, epoch) = match idle {
            Some(connection) => (connection, epoch),
            None => {
                let connection = self.connect().await?;
                (connection, self.made.fetch_add(1, Ordering::SeqCst) + 1)
            }
        };
        Ok(Lent {
            home: self,
            connection: Some(connection),
            epoch,
            _permit: permit,
        })
    }

    async fn connect(&self) -> Result<PgConnection, StoreError> {
        let connecting = PgConnection::connect_with(&self.options);
        match timeout(self.patience, connecting).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(match store_error(&error) {
                StoreError::Unavailable(text) => StoreError::Unavailable(format!(
                    "cannot connect to {}: {text}",
                    Target(&self.options)
                )),
                StoreError::Refused(text) => StoreError::Refused(format!(
                    "cannot connect to {}: {text}",
                    Target(&self.options)
                )),
                other => other,
            }),
            Err(_) => Err(StoreError::Unavailable(format!(
                "cannot connect to {} within {:?}",
                Target(&self.options),
                self.patience
            ))),
        }
    }

    /// Closes what is idle: after one connection broke, the others most likely did too.
    pub(crate) fn forget_idle(&self) {
        self.idle().clear();
    }

    /// Lends no more, waits for what is lent, and closes all.
    pub(crate) async fn close(&self) {
        let all = self.permits.acquire_many(self.most).await;
        self.permits.close();
        let idle = std::mem::take(&mut *self.idle());
        for connection in idle {
            // A server that is gone has closed it already.
            let _ = connection.close().await;
        }
        drop(all);
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<PgConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connections({})", Target(&self.options))
    }
}

/// A connection on loan. Dropped, it is closed; whoever knows that it is in no transaction gives it back.
pub(crate) struct Lent<'a> {
    home: &'a Connections,
    connection: Option<PgConnection>,
    epoch: u64,
    _permit: SemaphorePermit<'a>,
}

impl Lent<'_> {
    /// Which number the last connection has that was made before this one was lent. Within one epoch, nobody has come to another
    /// server.
    pub(crate) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Gives the connection back, in no transaction.
    pub(crate) fn give_back(mut self) {
        self.home.idle().extend(self.connection.take());
    }
}

const LENT: &str = "a connection on loan is there until it is given back, which consumes the loan";

impl Deref for Lent<'_> {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        self.connection.as_ref().expect(LENT)
    }
}

impl DerefMut for Lent<'_> {
    fn deref_mut(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect(LENT)
    }
}

/// Where a connection leads, without its password.
struct Target<'a>(&'a PgConnectOptions);

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let options = self.0;
        let database = options.get_database().unwrap_or(options.get_username());
        match options.get_socket() {
            Some(socket) => write!(f, "{}:{}/{database}", socket.display(), options.get_port()),
            None => write!(
                f,
                "{}:{}/{database}",
                options.get_host(),
                options.get_port()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    #[test]
    fn no_password_is_shown() {
        let options = Options::default()
            .connect_options("postgres://me:secret@localhost:5/db")
            .unwrap();
        assert_eq!(Target(&options).to_string(), "localhost:5/db");
        let error = Options::default()
            .connect_options("postgres://me:secret@local host/db")
            .unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
