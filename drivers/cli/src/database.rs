//! Which database a command works with.
//!
//! Invariant: a command that looks makes and changes nothing: neither a file nor a schema.

use anyhow::{Context as _, ensure};
use clap::Args;
use squid_mesh::AnyStore;
use squid_mesh_postgres::PostgresStore;
use squid_mesh_sqlite::SqliteStore;

/// Where the URL is looked for if it is not given, first to last.
const VARIABLES: [&str; 2] = ["SQUID_MESH_DATABASE_URL", "DATABASE_URL"];

/// Which database.
#[derive(Debug, Args)]
pub(crate) struct Database {
    /// `sqlite:PATH` or `postgres://...`; $SQUID_MESH_DATABASE_URL or else $DATABASE_URL if it is not given.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
    /// The schema that holds the tables in Postgres [default: squid_mesh].
    #[arg(long, value_name = "NAME")]
    schema: Option<String>,
}

impl Database {
    /// Opens the store, which is there already.
    ///
    /// # Errors
    /// If no database is named, or the one that is cannot be reached or has no store.
    pub(crate) async fn open(&self) -> anyhow::Result<AnyStore> {
        let url = self.url()?;
        let scheme = url
            .split_once(':')
            .map_or(url.as_str(), |(scheme, _)| scheme);
        let is_postgres = matches!(scheme, "postgres" | "postgresql");
        ensure!(
            self.schema.is_none() || is_postgres,
            "--schema is for postgres://... only: there are no schemas in {scheme:?} databases"
        );
        if is_postgres {
            let mut options = squid_mesh_postgres::Options::default().connections(1);
            if let Some(schema) = &self.schema {
                options = options.schema(schema);
            }
            return Ok(AnyStore::Postgres(
                PostgresStore::connect(&url, options).await?,
            ));
        }
        if scheme == "sqlite" {
            let options = squid_mesh_sqlite::Options::default()
                .create(false)
                .readers(1);
            return Ok(AnyStore::Sqlite(SqliteStore::connect(&url, options).await?));
        }
        // It has no such URLs either, and says which it has.
        Ok(AnyStore::connect(&url).await?)
    }

    fn url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database_url {
            return Ok(url.clone());
        }
        let mut set = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
        set.find(|url| !url.is_empty())
            .context("no database is named: give --database-url or set SQUID_MESH_DATABASE_URL")
    }
}
