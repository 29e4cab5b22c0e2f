//! Why there is no successful answer, and whether another attempt may help.
//!
//! Invariant: every failure made here has a [`HttpFailure`] as its details.

use std::error::Error as _;
use std::time::{Duration, SystemTime};

use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use squid_mesh_core::limits;

use crate::handler::StepError;

/// The details of a step's failure that [`send`](super::send) made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct HttpFailure {
    /// What went wrong.
    pub kind: FailureKind,
    /// The status, if there was an answer.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub status: Option<u16>,
    /// What was asked, without query, fragment and credentials; none if it was no URL.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub url: Option<String>,
    /// The beginning of what a refusal said.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub body: Option<String>,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $code:literal,)*) => {
        /// What went wrong with a request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        #[non_exhaustive]
        pub enum FailureKind {
            $($(#[$doc])* $kind,)*
        }

        impl FailureKind {
            /// Every code of a step's failure that a request can make.
            pub const CODES: &[&str] = &[$($code,)*];

            /// The code of the step's failure.
            pub const fn code(self) -> &'static str {
                match self {
                    $(FailureKind::$kind => $code,)*
                }
            }
        }
    };
}

kinds! {
    /// The answer was no success.
    Status = "http_status",
    /// There was no whole answer in time.
    Timeout = "http_timeout",
    /// There was no connection, or it broke.
    Transport = "http_transport",
    /// The request cannot be sent, or was redirected without end.
    Request = "http_request",
    /// The answer was too long, or not what was expected.
    Body = "http_body",
}

/// A request without an answer, or without the rest of one.
pub(super) fn unanswered(error: reqwest::Error, url: Option<&str>) -> StepError {
    let kind = if error.is_timeout() {
        FailureKind::Timeout
    } else if error.is_builder() || error.is_redirect() {
        FailureKind::Request
    } else {
        FailureKind::Transport
    };
    let url = url.map(str::to_owned).or_else(|| error.url().map(shown));
    let error = error.without_url();
    let mut message = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        message = format!("{message}: {cause}");
        source = cause.source();
    }
    let made = match kind {
        FailureKind::Timeout | FailureKind::Transport => StepError::retryable(kind.code(), message),
        FailureKind::Status | FailureKind::Request | FailureKind::Body => {
            StepError::permanent(kind.code(), message)
        }
    };
    made.details(HttpFailure {
        kind,
        status: error.status().map(|status| status.as_u16()),
        url,
        body: None,
    })
}

/// An answer that is no success.
pub(super) fn refused(response: &Response, body: String) -> StepError {
    let (status, url) = (response.status(), shown(response.url()));
    let code = FailureKind::Status.code();
    let message = format!("{url} answered {status}");
    let made = if may_pass(status) {
        let made = StepError::retryable(code, message);
        match retry_after(response.headers(), SystemTime::now()) {
            Some(pause) => made.retry_after(pause),
            None => made,
        }
    } else {
        StepError::permanent(code, message)
    };
    made.details(HttpFailure {
        kind: FailureKind::Status,
        status: Some(status.as_u16()),
        url: Some(url),
        body: Some(body).filter(|body| !body.is_empty()),
    })
}

/// A successful answer that nothing can be done with.
pub(super) fn unexpected(status: u16, url: &str, message: &str) -> StepError {
    StepError::permanent(FailureKind::Body.code(), message).details(HttpFailure {
        kind: FailureKind::Body,
        status: Some(status),
        url: Some(url.to_owned()),
        body: None,
    })
}

/// A URL without what may be secret.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail only for URLs that cannot have credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

/// Whether the same request may be answered otherwise later on.
fn may_pass(status: StatusCode) -> bool {
    let later = [
        StatusCode::REQUEST_TIMEOUT,
        StatusCode::TOO_EARLY,
        StatusCode::TOO_MANY_REQUESTS,
    ];
    status.is_server_error() || later.contains(&status)
}

/// How long the service asks to be left alone. A date counts from the service's own clock where it says what that shows.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let asked = text(RETRY_AFTER)?.trim();
    let pause = match asked.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let until = httpdate::parse_http_date(asked).ok()?;
            let date = text(DATE).and_then(|date| httpdate::parse_http_date(date).ok());
            // A date that is past means at once.
            until
                .duration_since(date.unwrap_or(now))
                .unwrap_or_default()
        }
    };
    Some(pause.min(limits::SPAN_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_statuses_that_may_pass_are_worth_another_attempt() {
        for (status, expected) in [
            (301, false),
            (400, false),
            (404, false),
            (408, true),
            (409, false),
            (425, true),
            (429, true),
            (500, true),
            (501, true),
            (503, true),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(may_pass(status), expected, "{status}");
        }
    }

    #[test]
    fn a_pause_is_read_as_seconds_or_as_a_date() {
        let now = httpdate::parse_http_date("Wed, 25 Nov 2026 12:00:00 GMT").unwrap();
        let read = |fields: &[(HeaderName, &str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in fields {
                headers.insert(name.clone(), value.parse().unwrap());
            }
            retry_after(&headers, now)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(read(&[(RETRY_AFTER, "90")]), seconds(90));
        assert_eq!(read(&[(RETRY_AFTER, " 0 ")]), seconds(0));
        let (noon, later) = (
            "Wed, 25 Nov 2026 11:00:00 GMT",
            "Wed, 25 Nov 2026 12:01:00 GMT",
        );
        assert_eq!(read(&[(RETRY_AFTER, later)]), seconds(60));
        assert_eq!(read(&[(RETRY_AFTER, later), (DATE, noon)]), seconds(3_660));
        assert_eq!(read(&[(RETRY_AFTER, noon)]), seconds(0));
        let endless = read(&[(RETRY_AFTER, "18446744073709551615")]);
        assert_eq!(endless, Some(limits::SPAN_MAX));
        for nothing in ["", "soon", "-1", "1.5"] {
            assert_eq!(read(&[(RETRY_AFTER, nothing)]), None, "{nothing}");
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn what_may_be_secret_in_a_url_is_not_shown() {
        let url = Url::parse("http://ana:pw@host:81/a/b?token=x#y").unwrap();
        assert_eq!(shown(&url), "http://host:81/a/b");
    }
}
