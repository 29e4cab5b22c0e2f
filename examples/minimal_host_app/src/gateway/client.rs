//! The handlers' way to the gateway.
//!
//! Invariant: every request ends within a bounded time, with an answer or an error that says whether to try again.

use std::time::Duration;

use reqwest::StatusCode;
use serde::{Deserialize, Serialize};
use squid_mesh::StepError;

/// Asks the gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    http: reqwest::Client,
    base: String,
}

/// What the gateway knows about an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payment {
    /// The gateway's name for the payment.
    pub reference: String,
    /// Whether the money has come.
    pub settled: bool,
}

/// The gateway gave no payment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum GatewayError {
    /// It cannot be reached, or broke off.
    #[error("the gateway cannot be reached")]
    Unreachable(#[from] reqwest::Error),
    /// It answered that it cannot answer.
    #[error("the gateway answered {0}")]
    Unavailable(StatusCode),
    /// It refuses the request: another one like it would be refused too.
    #[error("the gateway refused with {0}")]
    Refused(StatusCode),
}

/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(5);

impl GatewayClient {
    /// A client of the gateway at this URL. Goes there directly, whatever proxies the environment names.
    ///
    /// # Errors
    /// If the system's HTTP client cannot be set up.
    pub fn new(base: impl Into<String>) -> Result<GatewayClient, GatewayError> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .timeout(PATIENCE)
            .build()?;
        Ok(GatewayClient {
            http,
            base: base.into(),
        })
    }

    /// What the gateway knows about an invoice. Reading changes nothing there; the key lets it recognise a repetition all
    /// the same.
    ///
    /// # Errors
    /// If it gave no payment.
    pub async fn payment(&self, invoice: &str, key: &str) -> Result<Payment, GatewayError> {
        let request = self
            .http
            .get(format!("{}/payments/{invoice}", self.base))
            .header("idempotency-key", key);
        let answer = request.send().await?;
        match answer.status() {
            status if status.is_success() => Ok(answer.json().await?),
            status if status.is_server_error() => Err(GatewayError::Unavailable(status)),
            status => Err(GatewayError::Refused(status)),
        }
    }
}

impl GatewayError {
    /// The code under which the engine records it.
    pub const UNAVAILABLE: &'static str = "gateway_unavailable";

    /// As a step reports it: what may pass is worth another attempt.
    pub fn into_step_error(self) -> StepError {
        match &self {
            GatewayError::Unreachable(_) => self.into(),
            GatewayError::Unavailable(_) => {
                StepError::retryable(GatewayError::UNAVAILABLE, self.to_string())
            }
            GatewayError::Refused(_) => StepError::permanent("gateway_refused", self.to_string()),
        }
    }
}
