//! Requests of handlers to other services, with failures that say whether to try again.
//!
//! Invariant: what [`send`] reports as worth another attempt may pass by itself; a query, which may hold secrets, is in no
//! failure.
//!
//! | what happened | code | another attempt |
//! | --- | --- | --- |
//! | an answer 2xx | | |
//! | 408, 425, 429 | `http_status` | yes, when `Retry-After` says |
//! | 5xx | `http_status` | yes, when `Retry-After` says |
//! | any other answer, 3xx that were not followed included | `http_status` | no |
//! | no whole answer in time | `http_timeout` | yes |
//! | no connection, or one that broke | `http_transport` | yes |
//! | a request that cannot be sent, redirects without end | `http_request` | no |
//! | an answer that is too long, or is not what was expected | `http_body` | no |
//!
//! Each has the same details, a [`HttpFailure`].

mod answer;
mod failure;

use squid_mesh_core::limits;

pub use answer::Answer;
pub use failure::{FailureKind, HttpFailure};
/// The client that requests are made with. For `https` the host adds a dependency on the same version with a feature for TLS.
pub use reqwest;

use crate::handler::StepError;

/// The longest answer that is taken, in bytes.
pub const BODY_BYTES: usize = limits::PAYLOAD_BYTES_MAX;

/// Sends a request and takes the whole answer. Dropping the future breaks the request off.
///
/// Give the client or the request a timeout: there is none otherwise but the step's, which drops the attempt.
///
/// ```
/// use squid_mesh::http::{self, reqwest};
/// use squid_mesh::{StepContext, StepError};
///
/// async fn charge(http: reqwest::Client, cx: StepContext, cents: u64) -> Result<String, StepError> {
///     let request = http
///         .post("https://payments.example/charges")
///         .header("idempotency-key", cx.idempotency_key())
///         .json(&serde_json::json!({ "cents": cents }));
///     http::send(request).await?.json::<String>()
/// }
/// ```
///
/// # Errors
/// If there is no answer, or one that is no success. The error says whether another attempt may help.
pub async fn send(request: reqwest::RequestBuilder) -> Result<Answer, StepError> {
    let mut response = request
        .send()
        .await
        .map_err(|error| failure::unanswered(error, None))?;
    if response.status().is_success() {
        Answer::read(response).await
    } else {
        let body = answer::excerpt(&mut response).await;
        Err(failure::refused(&response, body))
    }
}
