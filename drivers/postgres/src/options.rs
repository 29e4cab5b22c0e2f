//! How a database is used.
//!
//! Invariant: every connection has the same settings, and none of them loosens what the server's owner has set.

use std::str::FromStr as _;
use std::time::Duration;

use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;
use squid_mesh_core::id::Shards;
use squid_mesh_core::store::StoreError;

/// How a database is used.
///
/// ```
/// use squid_mesh_postgres::Options;
///
/// let options = Options::default().schema("workflows").connections(4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    pub(crate) schema: String,
    pub(crate) shards: Option<Shards>,
    pub(crate) connections: u32,
    pub(crate) patience: Duration,
    pub(crate) lock_patience: Duration,
    pub(crate) host_transactions: u32,
    pub(crate) idle_patience: Duration,
    pub(crate) application_name: String,
}

/// Longest name of a schema: with what hints put in front of it, it is a name for Postgres too.
const SCHEMA_BYTES: usize = 48;

/// How statements are planned, on connections of the store and in transactions of a host. Each probes indexes by key. Its
/// plan must not hang on statistics, which are wrong for a table that was empty a minute ago, and it is made once.
pub(crate) const PLANNING: [(&str, &str); 6] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_bitmapscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

impl Default for Options {
    /// The schema `squid_mesh`, with one shard if it is to be made; up to eight connections, and as many for transactions that
    /// handlers write in; 30 s for an operation, 5 s for a lock, 5 min for a handler's transaction to stand idle.
    fn default() -> Options {
        Options {
            schema: "squid_mesh".into(),
            shards: None,
            connections: 8,
            patience: Duration::from_secs(30),
            lock_patience: Duration::from_secs(5),
            host_transactions: 8,
            idle_patience: Duration::from_secs(300),
            application_name: "squid-mesh".into(),
        }
    }
}

impl Options {
    /// The schema that holds all tables: 1 to 48 characters of `[a-z][a-z0-9_]*`.
    #[must_use]
    pub fn schema(mut self, schema: impl Into<String>) -> Options {
        self.schema = schema.into();
        self
    }

    /// How many shards to make the schema with. One that exists must have as many; unless this is called, it is taken as
    /// it is.
    #[must_use]
    pub fn shards(mut self, shards: Shards) -> Options {
        self.shards = Some(shards);
        self
    }

    /// Most connections open at a time, at least one. The one that listens for hints comes on top.
    #[must_use]
    pub fn connections(mut self, connections: u32) -> Options {
        self.connections = connections.max(1);
        self
    }

    /// How long an operation may take in all, waiting for a connection included.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Options {
        self.patience = patience;
        self
    }

    /// How long a statement waits for a lock before the operation is answered with a conflict.
    #[must_use]
    pub fn lock_patience(mut self, patience: Duration) -> Options {
        self.lock_patience = patience;
        self
    }

    /// Most transactions open at a time for handlers to write in, at least one, each on a connection of its own that comes on
    /// top. Further attempts wait for one.
    #[must_use]
    pub fn host_transactions(mut self, most: u32) -> Options {
        self.host_transactions = most.max(1);
        self
    }

    /// How long a handler's transaction may stand idle, unless its step has a timeout: the server ends it then, and with it
    /// the locks of a process that was stopped.
    #[must_use]
    pub fn idle_patience(mut self, patience: Duration) -> Options {
        self.idle_patience = patience;
        self
    }

    /// What the server shows in `pg_stat_activity`.
    #[must_use]
    pub fn application_name(mut self, name: impl Into<String>) -> Options {
        self.application_name = name.into();
        self
    }

    /// How to connect to `url` with these options.
    pub(crate) fn connect_options(&self, url: &str) -> Result<PgConnectOptions, StoreError> {
        let head = self
            .schema
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase());
        let tail = self
            .schema
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !head || !tail || self.schema.len() > SCHEMA_BYTES {
            return Err(StoreError::Refused(format!(
                "schema {:?} is not 1 to {SCHEMA_BYTES} characters of [a-z][a-z0-9_]*",
                self.schema
            )));
        }
        let options = parsed(url)?;
        let lock_timeout = self.lock_timeout();
        let idle_timeout = millis(self.patience);
        Ok(options
            .application_name(&self.application_name)
            .options([
                ("search_path", self.schema.as_str()),
                ("lock_timeout", &lock_timeout),
                // A process that was stopped in mid-transaction does not keep its locks for ever.
                ("idle_in_transaction_session_timeout", &idle_timeout),
            ])
            .options(PLANNING)
            .disable_statement_logging())
    }

    /// How to connect for transactions that handlers write in: with the settings that the host's own connections have, so that
    /// a handler finds the host's tables.
    pub(crate) fn host_options(&self, url: &str) -> Result<PgConnectOptions, StoreError> {
        let options = parsed(url)?;
        Ok(options.application_name(&self.application_name))
    }

    /// The settings for an operation in a transaction of a host, by name: temporary tables of the host come last.
    pub(crate) fn in_host(&self) -> (Vec<&'static str>, Vec<String>) {
        let path = format!("{}, pg_temp", self.schema);
        let places = [("search_path", path), ("lock_timeout", self.lock_timeout())];
        let planning = PLANNING.map(|(name, value)| (name, value.to_owned()));
        places.into_iter().chain(planning).unzip()
    }

    /// As `lock_timeout` has it.
    pub(crate) fn lock_timeout(&self) -> String {
        millis(self.lock_patience)
    }
}

fn parsed(url: &str) -> Result<PgConnectOptions, StoreError> {
    PgConnectOptions::from_str(url)
        .map_err(|error| StoreError::Refused(format!("the address is no postgres URL: {error}")))
}

/// As settings have it; zero, which stands for no bound there, is the shortest.
pub(crate) fn millis(patience: Duration) -> String {
    format!("{}ms", patience.as_millis().clamp(1, 2_147_483_647))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_name_is_checked_at_the_limit_and_one_above() {
        let connect = |schema: String| {
            let options = Options::default().schema(schema);
            options.connect_options("postgres://me:secret@localhost:5/db")
        };
        for good in ["a".to_owned(), "a".repeat(48), "tenant_7".to_owned()] {
            assert!(connect(good.clone()).is_ok(), "{good}");
        }
        for bad in [
            "",
            "Tenant",
            "a b",
            "a,b",
            "7a",
            "a\"",
            "a;b",
            &"a".repeat(49),
        ] {
            let error = connect(bad.to_owned()).unwrap_err();
            assert!(matches!(error, StoreError::Refused(_)), "{bad}: {error}");
        }
    }
}
