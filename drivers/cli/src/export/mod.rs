//! `export`: a run as a file, to be studied elsewhere.
//!
//! Invariant: reads only. What it leaves behind is a whole file, or none.

mod read;
mod write;

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::id::RunId;

use crate::database::Database;

/// Writes a run with its definition and its journal to a file, for `squid-mesh-sim import`.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The run's id.
    run: String,
    #[command(flatten)]
    database: Database,
    /// Also what steps were given and returned. Without it the file has none of that, but still has keys, labels, failures and
    /// who asked for what.
    #[arg(long)]
    payloads: bool,
    /// The file [default: standard output].
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// One JSON object about the file on the last line of the output.
    #[arg(long, requires = "out")]
    json: bool,
}

/// What is told of a file that was written.
#[derive(Serialize)]
struct Report {
    run: RunId,
    definition: String,
    status: &'static str,
    rows: usize,
    payloads: bool,
    file: String,
}

impl Export {
    /// Exports the run.
    ///
    /// # Errors
    /// If the id is none, the run cannot be read, or the file cannot be written.
    pub(crate) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let id: RunId = self.run.parse()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("no runtime can be made")?;
        let exported = runtime.block_on(async {
            let store = self.database.open().await?;
            read::run(&store, id, self.payloads).await
        })?;
        match &self.out {
            Some(path) => {
                write::whole(path, &exported.to_text())
                    .with_context(|| format!("{} cannot be written", path.display()))?;
                self.tell(out, &exported, path.display().to_string())
            }
            None => Ok(out.write_all(exported.to_text().as_bytes())?),
        }
    }

    fn tell(
        &self,
        out: &mut impl Write,
        exported: &ExportedRun,
        file: String,
    ) -> anyhow::Result<()> {
        let report = Report {
            run: exported.id(),
            definition: exported.definition().key().to_string(),
            status: exported.status().as_str(),
            rows: exported.rows().len(),
            payloads: exported.has_payloads(),
            file,
        };
        if self.json {
            writeln!(out, "{}", serde_json::to_string(&report)?)?;
            return Ok(());
        }
        let Report {
            run,
            definition,
            status,
            rows,
            file,
            ..
        } = report;
        let payloads = if self.payloads { "with" } else { "without" };
        writeln!(
            out,
            "run {run} of {definition}, {status}: {rows} journal rows {payloads} payloads in {file}"
        )?;
        Ok(())
    }
}
