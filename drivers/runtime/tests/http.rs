//! Requests of handlers, against a server on loopback that says what it is told to.

use std::net::Ipv4Addr;
use std::time::Duration;

use squid_mesh::StepError;
use squid_mesh::http::{self, BODY_BYTES, reqwest};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that answers one request with this text and then breaks the connection; its address.
async fn server(answer: impl Into<Vec<u8>>) -> String {
    let (listener, url) = listener().await;
    let answer = answer.into();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await?;
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        // A client that has seen enough breaks off.
        stream.write_all(&answer).await
    });
    url
}

/// Somebody who listens, and where.
async fn listener() -> (TcpListener, String) {
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = bound.expect("loopback has a free port");
    let address = listener
        .local_addr()
        .expect("a bound socket has an address");
    (listener, format!("http://{address}"))
}

fn answer(head: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn client() -> reqwest::Client {
    let client = reqwest::Client::builder().no_proxy().build();
    client.expect("a client without TLS needs nothing")
}

async fn ask(url: &str) -> Result<http::Answer, StepError> {
    http::send(client().get(url)).await
}

/// The failure's code, whether another attempt may help, and its details.
fn told(error: &StepError) -> (&str, bool, serde_json::Value) {
    let details = error.details_json().expect("every failure has details");
    (error.code(), error.is_retryable(), details)
}

#[tokio::test]
async fn a_success_is_taken_whole_and_decoded() {
    let url = server(answer("201 Created\r\nlocation: /7", "{\"id\":7}")).await;
    let answer = ask(&url).await.unwrap();
    assert_eq!(
        (answer.status(), answer.header("location")),
        (201, Some("/7"))
    );
    assert_eq!(answer.body(), b"{\"id\":7}");
    assert_eq!(answer.json::<serde_json::Value>().unwrap()["id"], 7);
}

#[tokio::test]
async fn a_refusal_is_not_tried_again_and_shows_what_was_said_but_not_the_query() {
    let url = server(answer("404 Not Found", "no such \u{0} invoice")).await;
    let error = ask(&format!("{url}/invoices/7?token=SECRET#SECRET"))
        .await
        .unwrap_err();
    let details = serde_json::json!({
        "kind": "status", "status": 404, "url": format!("{url}/invoices/7"), "body": "no such \u{fffd} invoice",
    });
    assert_eq!(told(&error), ("http_status", false, details));
    assert!(
        error.message().contains("404") && !error.to_string().contains("SECRET"),
        "{error}"
    );
}

#[tokio::test]
async fn what_may_pass_is_tried_again_when_the_service_says() {
    for (head, pause) in [
        ("500 Internal Server Error", None),
        ("503 Service Unavailable\r\nretry-after: 90", Some(90)),
        ("429 Too Many Requests\r\nretry-after: 5", Some(5)),
        ("408 Request Timeout", None),
        ("425 Too Early", None),
    ] {
        let url = server(answer(head, "")).await;
        let error = ask(&url).await.unwrap_err();
        assert_eq!(
            (error.code(), error.is_retryable()),
            ("http_status", true),
            "{head}"
        );
        assert_eq!(error.pause(), pause.map(Duration::from_secs), "{head}");
    }
}

#[tokio::test]
async fn no_more_of_a_refusal_is_kept_than_its_beginning() {
    let url = server(answer("400 Bad Request", &"x".repeat(1 << 20))).await;
    let (_, _, details) = told(&ask(&url).await.unwrap_err());
    assert_eq!(details["body"].as_str().map(str::len), Some(1_024));
}

#[tokio::test]
async fn silence_is_a_timeout_and_is_tried_again() {
    let (_silent, url) = listener().await;
    let request = client()
        .get(format!("{url}/?token=SECRET"))
        .timeout(Duration::from_millis(50));
    let error = http::send(request).await.unwrap_err();
    let (code, retryable, details) = told(&error);
    assert_eq!((code, retryable), ("http_timeout", true));
    assert_eq!(details["kind"], "timeout");
    assert!(!error.to_string().contains("SECRET") && !details.to_string().contains("SECRET"));
}

#[tokio::test]
async fn no_connection_and_a_broken_one_are_tried_again() {
    let (gone, nobody) = listener().await;
    drop(gone);
    let nothing = server("").await;
    let half = server("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").await;
    for url in [nobody, nothing, half] {
        let error = ask(&url).await.unwrap_err();
        let (code, retryable, details) = told(&error);
        assert_eq!((code, retryable), ("http_transport", true), "{error}");
        assert_eq!(details["url"], format!("{url}/"));
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_sent_is_not_tried_again() {
    let error = ask("no url").await.unwrap_err();
    let (code, retryable, details) = told(&error);
    assert_eq!((code, retryable), ("http_request", false));
    assert_eq!(details, serde_json::json!({"kind": "request"}));
}

#[tokio::test]
async fn an_answer_that_is_too_long_or_no_json_is_not_tried_again() {
    let url = server(answer("200 OK", "\"SECRET\"")).await;
    let error = ask(&url).await.unwrap().json::<u64>().unwrap_err();
    let (code, retryable, details) = told(&error);
    assert_eq!((code, retryable), ("http_body", false));
    assert_eq!(
        (&details["kind"], &details["status"]),
        (&"body".into(), &200.into())
    );
    assert!(!error.to_string().contains("SECRET"), "{error}");

    for (bytes, expected) in [(BODY_BYTES, true), (BODY_BYTES + 1, false)] {
        let url = server(answer("200 OK", &"x".repeat(bytes))).await;
        match ask(&url).await {
            Ok(answer) => assert!(expected && answer.body().len() == bytes),
            Err(error) => assert!(!expected && error.code() == "http_body", "{error}"),
        }
    }
}
