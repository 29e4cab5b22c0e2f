//! `worker`: executes steps until it is told to stop, or killed.
//!
//! Invariant: says `ready` once it has registered its workflows and works, never before.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use squid_mesh::Runtime;
use squid_mesh::core::limits;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::cli::WorkerArgs;
use crate::gateway::{Gateway, GatewayClient, Weather};
use crate::workflows::{self, Workflows};

/// What a worker prints when it works.
pub const READY: &str = "ready";

/// Works until SIGTERM or Ctrl-C, then lets running handlers finish.
///
/// # Errors
/// If it cannot begin.
pub async fn run(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    let place = args.database.shared_place()?;
    let (store, ledger) = place.open().await?;
    // Kept until the end: dropping it closes it.
    let gateway = match args.gateway_url {
        Some(_) => None,
        None => Some(
            Gateway::open(Weather::default())
                .await
                .context("cannot open the gateway")?,
        ),
    };
    let gateway_url = args
        .gateway_url
        .or_else(|| gateway.as_ref().map(Gateway::url))
        .unwrap_or_default();
    let app = App::new(ledger, GatewayClient::new(gateway_url)?);
    let mut builder = Runtime::builder(&store)
        .lease(Duration::from_millis(args.lease_ms))
        .poll(Duration::from_millis(args.poll_ms))
        .grace(Duration::from_millis(args.grace_ms));
    if !args.queues.is_empty() {
        let named = workflows::QUEUES.map(str::to_owned);
        for queue in named.into_iter().chain(args.queues) {
            builder = builder.queue(queue, limits::SLOTS_DEFAULT);
        }
    }
    let mut terminate = signal(SignalKind::terminate())?;
    let runtime = Workflows::new(&app)?
        .register(builder)
        .start()
        .await
        .context("cannot start the runtime")?;
    writeln!(io::stdout(), "{READY}")?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupted = tokio::signal::ctrl_c() => interrupted?,
    }
    runtime.shutdown().await;
    Ok(ExitCode::SUCCESS)
}
