//! A gateway on loopback that is down at first, for each invoice anew.
//!
//! Invariant: once it has answered an invoice with 200 it always does, and always with the same payment.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Payment;

/// How a gateway behaves.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// How many requests about one invoice are answered 503 before the first 200.
    pub failures: u32,
    /// How long an answer takes.
    pub latency: Duration,
}

/// A running gateway. Dropping it closes it.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    state: Arc<Requests>,
    serving: JoinHandle<()>,
}

#[derive(Debug)]
struct Requests {
    weather: Weather,
    /// Requests so far, by invoice.
    seen: Mutex<BTreeMap<String, u32>>,
}

impl Default for Weather {
    fn default() -> Weather {
        Weather {
            failures: 2,
            latency: Duration::from_millis(10),
        }
    }
}

impl Gateway {
    /// Opens a gateway on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// If no port can be had.
    pub async fn open(weather: Weather) -> io::Result<Gateway> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let state = Arc::new(Requests {
            weather,
            seen: Mutex::default(),
        });
        let routes = Router::new()
            .route("/payments/{invoice}", get(payment))
            .with_state(state.clone());
        let serving = tokio::spawn(async move {
            if let Err(error) = axum::serve(listener, routes).await {
                tracing::error!(%error, "the gateway stopped");
            }
        });
        Ok(Gateway {
            address,
            state,
            serving,
        })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests it has got about an invoice.
    pub fn requests(&self, invoice: &str) -> u32 {
        let seen = self
            .state
            .seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        seen.get(invoice).copied().unwrap_or(0)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Requests {
    /// Counts a request; whether it is one of those that fail.
    fn count(&self, invoice: &str) -> bool {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let requests = seen.entry(invoice.to_owned()).or_default();
        *requests = requests.saturating_add(1);
        *requests <= self.weather.failures
    }
}

async fn payment(State(state): State<Arc<Requests>>, Path(invoice): Path<String>) -> Response {
    tokio::time::sleep(state.weather.latency).await;
    if state.count(&invoice) {
        return (
            StatusCode::SERVICE_UNAVAILABLE,
            "the gateway is down for maintenance",
        )
            .into_response();
    }
    Json(Payment {
        reference: format!("pay_{invoice}"),
        settled: true,
    })
    .into_response()
}
