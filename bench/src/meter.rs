//! What a stretch of work costs: transactions, log bytes and processor time.
//!
//! Invariant: figures that a store does not have are absent, never zero.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use sqlx::{Connection as _, PgConnection, Row as _};

use crate::place::Place;

/// Reads the counters at the beginning and at the end.
pub(crate) struct Meter<'p> {
    place: &'p Place,
    connection: Option<PgConnection>,
    begun: Reading,
}

/// What the counters said at one time.
#[derive(Debug, Clone, Copy)]
struct Reading {
    at: Instant,
    transactions: Option<f64>,
    wal_bytes: Option<f64>,
    server: Option<Duration>,
    client: Duration,
}

/// What a stretch cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    pub(crate) wall: Duration,
    pub(crate) transactions: Option<f64>,
    pub(crate) wal_bytes: Option<f64>,
    pub(crate) server: Option<Duration>,
    pub(crate) client: Duration,
}

impl<'p> Meter<'p> {
    /// Begins to measure.
    pub(crate) async fn begin(place: &'p Place) -> anyhow::Result<Meter<'p>> {
        let mut connection = match place.is_postgres() {
            true => Some(
                PgConnection::connect(&place.url)
                    .await
                    .context("cannot read the server's counters")?,
            ),
            false => None,
        };
        let begun = read(place, &mut connection).await?;
        Ok(Meter {
            place,
            connection,
            begun,
        })
    }

    /// What it has cost since.
    pub(crate) async fn end(mut self, wall: Duration) -> anyhow::Result<Cost> {
        // Backends report their counters when idle, at most once a second (`PGSTAT_MIN_INTERVAL`).
        if self.connection.is_some() {
            tokio::time::sleep(Duration::from_millis(1_200)).await;
        }
        let client = client_cpu()?;
        let server = self.place.server_cpu();
        let ended = read(self.place, &mut self.connection).await?;
        let difference = |a: Option<f64>, b: Option<f64>| Some(b? - a?);
        Ok(Cost {
            wall,
            transactions: difference(self.begun.transactions, ended.transactions),
            wal_bytes: difference(self.begun.wal_bytes, ended.wal_bytes),
            server: server
                .zip(self.begun.server)
                .map(|(end, begin)| end.saturating_sub(begin)),
            client: client.saturating_sub(self.begun.client),
        })
    }

    /// How long ago it began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.at.elapsed()
    }
}

async fn read(place: &Place, connection: &mut Option<PgConnection>) -> anyhow::Result<Reading> {
    let (mut transactions, mut wal_bytes) = (None, None);
    if let Some(connection) = connection {
        let row = sqlx::query(
            "select xact_commit::float8 as transactions, (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8 as wal \
             from pg_stat_database where datname = current_database()",
        )
        .fetch_one(connection)
        .await?;
        transactions = Some(row.try_get("transactions")?);
        wal_bytes = Some(row.try_get("wal")?);
    }
    let (server, client) = (place.server_cpu(), client_cpu()?);
    Ok(Reading {
        at: Instant::now(),
        transactions,
        wal_bytes,
        server,
        client,
    })
}

/// Processor time of this process, user and system. Linux counts it in ticks of 10 ms.
fn client_cpu() -> anyhow::Result<Duration> {
    let stat =
        std::fs::read_to_string("/proc/self/stat").context("cannot read this process's times")?;
    let after_name = stat.rsplit_once(')').context("no process times")?.1;
    let field = |index: usize| {
        after_name
            .split_whitespace()
            .nth(index)
            .and_then(|text| text.parse::<u64>().ok())
    };
    // proc(5): utime and stime are fields 14 and 15 of the line, hence 11 and 12 after the name.
    let ticks = field(11)
        .zip(field(12))
        .map(|(user, system)| user + system)
        .context("no process times")?;
    Ok(Duration::from_millis(ticks * 10))
}
