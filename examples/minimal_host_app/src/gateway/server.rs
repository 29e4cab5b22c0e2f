//! A gateway on loopback that is down at first, for each invoice anew.
//!
//! Invariant: once it has answered an invoice with 200 it always does, and always with the same payment.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::Payment;
use super::client::IDEMPOTENCY_KEY;

/// How a gateway behaves.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    /// How many requests about one invoice are answered 503 before the first 200.
    pub failures: u32,
    /// How long an answer takes.
    pub latency: Duration,
}

/// How a gateway behaves about one invoice, if not as its weather is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// Every request is answered 503.
    Down,
    /// Nobody has paid: what would be answered 200 is answered 402.
    Unpaid,
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
    moods: Mutex<BTreeMap<String, Mood>>,
    /// Money that was moved, by order: under which key, and how much.
    movements: Mutex<BTreeMap<String, Vec<(String, i64)>>>,
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
            moods: Mutex::default(),
            movements: Mutex::default(),
        });
        let routes = Router::new()
            .route("/payments/{invoice}", get(payment))
            .route("/movements/{order}", post(movement))
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
        let seen = held(&self.state.seen);
        seen.get(invoice).copied().unwrap_or(0)
    }

    /// Sets how it behaves about an invoice.
    pub fn set_mood(&self, invoice: &str, mood: Mood) {
        held(&self.state.moods).insert(invoice.to_owned(), mood);
    }

    /// The money it has moved for an order, in order, each movement once.
    pub fn movements(&self, order: &str) -> Vec<i64> {
        let movements = held(&self.state.movements);
        let of_order = movements.get(order).into_iter().flatten();
        of_order.map(|(_, cents)| *cents).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Requests {
    /// Counts a request, and says how it is answered.
    fn answer(&self, invoice: &str) -> StatusCode {
        let mood = held(&self.moods).get(invoice).copied();
        let mut seen = held(&self.seen);
        let requests = seen.entry(invoice.to_owned()).or_default();
        *requests = requests.saturating_add(1);
        match mood {
            Some(Mood::Down) => StatusCode::SERVICE_UNAVAILABLE,
            _ if *requests <= self.weather.failures => StatusCode::SERVICE_UNAVAILABLE,
            Some(Mood::Unpaid) => StatusCode::PAYMENT_REQUIRED,
            None => StatusCode::OK,
        }
    }

    /// Moves money, unless it was moved under this key.
    fn move_money(&self, order: String, key: &str, cents: i64) {
        let mut movements = held(&self.movements);
        let of_order = movements.entry(order).or_default();
        if of_order.iter().all(|(moved, _)| moved != key) {
            of_order.push((key.to_owned(), cents));
        }
    }
}

/// What is behind a lock; a panic under it leaves nothing half done.
fn held<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn payment(State(state): State<Arc<Requests>>, Path(invoice): Path<String>) -> Response {
    tokio::time::sleep(state.weather.latency).await;
    match state.answer(&invoice) {
        StatusCode::OK => Json(Payment {
            reference: format!("pay_{invoice}"),
            settled: true,
        })
        .into_response(),
        status => status.into_response(),
    }
}

async fn movement(
    State(state): State<Arc<Requests>>,
    Path(order): Path<String>,
    headers: HeaderMap,
    Json(cents): Json<i64>,
) -> StatusCode {
    tokio::time::sleep(state.weather.latency).await;
    let key = headers.get(IDEMPOTENCY_KEY).map(|key| key.to_str());
    let Some(Ok(key)) = key else {
        return StatusCode::BAD_REQUEST;
    };
    state.move_money(order, key, cents);
    StatusCode::OK
}
