//! The JSON that handlers take and give.
//!
//! Invariant: no error made here quotes a payload.

use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh_core::event::{Failure, code};
use squid_mesh_core::payload::Payload;
use squid_mesh_core::worker::AttemptFailure;

/// Decodes an input.
pub(crate) fn decode<T: DeserializeOwned>(input: &Payload) -> Result<T, AttemptFailure> {
    serde_json::from_slice(input.bytes()).map_err(|error| {
        let message = format!(
            "the input is no {}: {}",
            std::any::type_name::<T>(),
            unquoted(&error)
        );
        failure(code::INVALID_INPUT, &message)
    })
}

/// Encodes an output.
pub(crate) fn encode<T: Serialize>(output: &T) -> Result<Payload, AttemptFailure> {
    let bytes = serde_json::to_vec(output).map_err(|error| {
        failure(
            code::INVALID_OUTPUT,
            &format!("the output cannot be written as JSON: {error}"),
        )
    })?;
    Ok(Payload::new(bytes))
}

fn failure(code: &str, message: &str) -> AttemptFailure {
    AttemptFailure {
        failure: Failure::new(code, message, false),
        details: None,
    }
}

/// What a decoding error says about the type; what it says about the payload stays out of records and logs.
pub(crate) fn unquoted(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!("at line {} column {}", error.line(), error.column());
    let text = text.strip_suffix(&place).unwrap_or(&text).trim_end();
    if text.starts_with("missing field") {
        return format!("{text} {place}");
    }
    match text.rfind(", expected ") {
        Some(at) => format!("{} {place}", &text[at + 2..]),
        None if error.is_data() => format!("it does not fit {place}"),
        None => format!("malformed JSON {place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoding_error_names_the_type_but_not_the_payload() {
        let read = |json: &str| {
            let failure = decode::<(u8, u8)>(&Payload::new(json.as_bytes()))
                .expect_err("it does not decode")
                .failure;
            assert_eq!(
                (failure.code.as_str(), failure.retryable),
                ("invalid_input", false)
            );
            failure.message
        };
        assert_eq!(
            read(r#"[1, "SECRET"]"#),
            "the input is no (u8, u8): expected u8 at line 1 column 12"
        );
        assert!(!read(r#"["SECRET, expected x", 1]"#).contains("SECRET"));
        assert!(!read(r#""SECRET"#).contains("SECRET"));
    }
}
