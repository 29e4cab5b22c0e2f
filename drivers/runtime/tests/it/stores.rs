//! Stores by URL.

use squid_mesh::{AnyStore, Client, ConnectError};

#[tokio::test]
async fn a_url_of_no_store_names_those_there_are() {
    for url in ["mysql://host/db", "orders.db", ""] {
        let error = AnyStore::connect(url).await.unwrap_err();
        assert!(
            matches!(error, ConnectError::UnknownScheme { .. }),
            "{error}"
        );
        assert!(error.to_string().contains("sqlite:PATH"), "{error}");
    }
}

#[tokio::test]
async fn no_error_shows_a_password() {
    let url = "postgres://ana:SECRET@127.0.0.1:1/orders";
    let error = Client::connect(url).await.map(drop).unwrap_err();
    let mut texts = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        texts.push_str(&format!("{cause} {cause:?}"));
        source = cause.source();
    }
    assert!(!texts.contains("SECRET"), "{texts}");
}
