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

/// What the gateway says about an invoice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status code: 200, or 402 if nobody has paid.
    pub code: u16,
    /// The payment, if somebody has.
    pub payment: Option<Payment>,
}

/// The gateway did not do what it was asked for.
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

    /// What the gateway says about an invoice. Reading changes nothing there; the key lets it recognise a repetition all the
    /// same.
    ///
    /// # Errors
    /// If it says neither that the invoice is paid nor that it is not.
    pub async fn payment(&self, invoice: &str, key: &str) -> Result<Answer, GatewayError> {
        let request = self
            .http
            .get(format!("{}/payments/{invoice}", self.base))
            .header(IDEMPOTENCY_KEY, key);
        let answer = request.send().await?;
        let status = answer.status();
        let payment = match status {
            StatusCode::PAYMENT_REQUIRED => None,
            _ => Some(taken(answer)?.json().await?),
        };
        let code = status.as_u16();
        Ok(Answer { code, payment })
    }

    /// Moves money between a customer's card and the shop: to the shop, or back if `cents` is negative. The gateway moves it
    /// once under one key.
    ///
    /// # Errors
    /// If the gateway does not say that it has been moved; trying again under the same key is safe.
    pub async fn move_money(&self, order: &str, cents: i64, key: &str) -> Result<(), GatewayError> {
        let request = self
            .http
            .post(format!("{}/movements/{order}", self.base))
            .header(IDEMPOTENCY_KEY, key)
            .json(&cents);
        taken(request.send().await?).map(drop)
    }
}

/// The header that names what a request is for, so that a repetition is recognised.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";

fn taken(answer: reqwest::Response) -> Result<reqwest::Response, GatewayError> {
    match answer.status() {
        status if status.is_success() => Ok(answer),
        status if status.is_server_error() => Err(GatewayError::Unavailable(status)),
        status => Err(GatewayError::Refused(status)),
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
