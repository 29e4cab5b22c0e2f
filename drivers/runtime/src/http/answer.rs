//! What a service answered.
//!
//! Invariant: no more of an answer is kept than its limit.

use reqwest::Response;
use reqwest::header::HeaderMap;
use serde::de::DeserializeOwned;

use super::{BODY_BYTES, failure};
use crate::handler::StepError;
use crate::handler::json::unquoted;

/// A successful answer, whole.
#[derive(Debug, Clone)]
pub struct Answer {
    status: u16,
    url: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// How much of the body of a refusal is recorded, in bytes.
const EXCERPT_BYTES: usize = 1 << 10;

impl Answer {
    pub(super) async fn read(mut response: Response) -> Result<Answer, StepError> {
        let url = failure::shown(response.url());
        let mut body = Vec::new();
        loop {
            let chunk = response.chunk().await;
            let Some(chunk) = chunk.map_err(|error| failure::unanswered(error, Some(&url)))? else {
                break;
            };
            if body.len() + chunk.len() > BODY_BYTES {
                let message = format!("the answer has more than {BODY_BYTES} bytes");
                return Err(failure::unexpected(
                    response.status().as_u16(),
                    &url,
                    &message,
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer {
            status: response.status().as_u16(),
            url,
            headers: std::mem::take(response.headers_mut()),
            body,
        })
    }

    /// The status: 200 to 299.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of this name, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON of a type.
    ///
    /// # Errors
    /// If it is not that. No other attempt is made: the request has succeeded.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, StepError> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let ty = std::any::type_name::<T>();
            let message = format!("the answer is no {ty}: {}", unquoted(&error));
            failure::unexpected(self.status, &self.url, &message)
        })
    }
}

/// The beginning of a body, as text; as much as came if the connection breaks.
pub(super) async fn excerpt(response: &mut Response) -> String {
    let mut body = Vec::new();
    while body.len() < EXCERPT_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) | Err(_) => break,
        }
    }
    body.truncate(EXCERPT_BYTES);
    // Details with a NUL character would not be recorded at all.
    String::from_utf8_lossy(&body).replace('\0', "\u{fffd}")
}
