//! Where a measurement takes place.
//!
//! Invariant: what was set up for a measurement is gone after it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use squid_mesh_test_support::{
    PrivateCluster, Settings, SqliteFile, TestCluster, TestDatabase, sqlite_url,
};

use crate::{Common, StoreKind};

/// A database to measure on.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) store: &'static str,
    /// What a figure depends on, printed with it.
    pub(crate) settings: BTreeMap<String, String>,
    database: Option<TestDatabase>,
    cluster: Option<PrivateCluster>,
    file: Option<SqliteFile>,
}

const SHOWN: [&str; 4] = [
    "fsync",
    "synchronous_commit",
    "shared_buffers",
    "max_wal_size",
];

impl Place {
    /// The database that was asked for, or one made for this measurement.
    pub(crate) fn find(common: &Common) -> anyhow::Result<Place> {
        match (&common.database_url, common.store) {
            (Some(url), _) => Ok(Place::given(url)),
            (None, StoreKind::Postgres) => Place::postgres(),
            (None, StoreKind::Sqlite) => Place::sqlite(),
        }
    }

    fn given(url: &str) -> Place {
        let store = if url.starts_with("sqlite") {
            "sqlite"
        } else {
            "postgres"
        };
        Place {
            url: url.to_owned(),
            store,
            settings: BTreeMap::new(),
            database: None,
            cluster: None,
            file: None,
        }
    }

    fn postgres() -> anyhow::Result<Place> {
        let cluster = TestCluster::private(Settings::benchmark())
            .context("no Postgres for the measurement")?;
        let database = cluster.database()?;
        let shown = |name: &&str| {
            Some((
                (*name).to_owned(),
                cluster.settings().parameter(name)?.to_owned(),
            ))
        };
        Ok(Place {
            url: database.url().to_owned(),
            store: "postgres",
            settings: SHOWN.iter().filter_map(shown).collect(),
            database: Some(database),
            cluster: Some(cluster),
            file: None,
        })
    }

    fn sqlite() -> anyhow::Result<Place> {
        let file = sqlite_url()?;
        let settings = [("journal_mode", "wal"), ("synchronous", "full")];
        Ok(Place {
            url: file.url().to_owned(),
            store: "sqlite",
            settings: settings
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            database: None,
            cluster: None,
            file: Some(file),
        })
    }

    /// Processor time of the server so far, where it is ours to look at.
    pub(crate) fn server_cpu(&self) -> Option<Duration> {
        self.cluster
            .as_ref()
            .and_then(|cluster| cluster.cpu_time().ok())
    }

    /// Whether the counters of a Postgres server can be read.
    pub(crate) fn is_postgres(&self) -> bool {
        self.store == "postgres"
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // The database goes before the server it is on.
        self.database = None;
        self.cluster = None;
        self.file = None;
    }
}
