//! JSON that the engine itself makes for handlers and dependents.
//!
//! Invariant: fields are all there, in a fixed order; what is not given is `null`.

use super::writer::ObjectWriter;
use crate::event::Failure;
use crate::payload::Payload;
use crate::time::Timestamp;

/// A failure as a source: `{"code":..,"message":..,"details":..}`.
pub fn failure_payload(failure: &Failure, details: Option<&Payload>) -> Payload {
    let mut object = ObjectWriter::default();
    object.text("code", Some(&failure.code));
    object.text("message", Some(&failure.message));
    object.payload("details", details);
    object.finish()
}

/// What an undo handler gets: `{"input":..,"output":..,"run_input":..,"failure":..}`, the first two of the step that it
/// undoes. Without a failure the run was cancelled.
pub fn undo_input(
    input: &Payload,
    output: &Payload,
    run_input: &Payload,
    failure: Option<&Payload>,
) -> Payload {
    let mut object = ObjectWriter::default();
    object.field("input", input.bytes());
    object.field("output", output.bytes());
    object.field("run_input", run_input.bytes());
    object.payload("failure", failure);
    object.finish()
}

/// The output of a gate that somebody decided: `{"decision":..,"actor":..,"comment":..,"metadata":..,"decided_at":..}`, the
/// time as RFC 3339 text in UTC.
pub fn gate_output(
    decision: &str,
    actor: Option<&str>,
    comment: Option<&str>,
    metadata: Option<&Payload>,
    decided_at: Timestamp,
) -> Payload {
    let mut object = ObjectWriter::default();
    object.text("decision", Some(decision));
    object.text("actor", actor);
    object.text("comment", comment);
    object.payload("metadata", metadata);
    object.text("decided_at", Some(&decided_at.to_string()));
    object.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(payload: &Payload) -> &str {
        std::str::from_utf8(payload.bytes()).unwrap()
    }

    #[test]
    fn a11_6_a_failure_carries_code_message_and_details() {
        let failure = Failure::new("card_declined", "no \"funds\"", false);
        assert_eq!(
            shown(&failure_payload(
                &failure,
                Some(&Payload::new(*br#"{"left": 1.0}"#))
            )),
            r#"{"code":"card_declined","message":"no \"funds\"","details":{"left": 1.0}}"#
        );
        assert_eq!(
            shown(&failure_payload(&failure, None)),
            r#"{"code":"card_declined","message":"no \"funds\"","details":null}"#
        );
    }

    #[test]
    fn a12_1_an_undo_is_given_input_output_run_input_and_failure() {
        let [input, output, run_input, failure] =
            ["1", " [2]", "{}", r#"{"code":"x"}"#].map(|text| Payload::new(text.as_bytes()));
        assert_eq!(
            shown(&undo_input(&input, &output, &run_input, Some(&failure))),
            r#"{"input":1,"output": [2],"run_input":{},"failure":{"code":"x"}}"#
        );
        assert_eq!(
            shown(&undo_input(&input, &output, &run_input, None)),
            r#"{"input":1,"output": [2],"run_input":{},"failure":null}"#
        );
    }

    #[test]
    fn a9_2_a_decision_is_an_output_with_who_why_and_when() {
        let at = Timestamp::from_micros(1_774_749_600_000_001);
        let metadata = Payload::new(*br#"{"ticket": 7}"#);
        assert_eq!(
            shown(&gate_output(
                "approved",
                Some("ana"),
                Some("ok\n"),
                Some(&metadata),
                at
            )),
            r#"{"decision":"approved","actor":"ana","comment":"ok\n","metadata":{"ticket": 7},"decided_at":"2026-03-29T02:00:00.000001Z"}"#
        );
        assert_eq!(
            shown(&gate_output(
                "resumed",
                None,
                None,
                None,
                Timestamp::from_micros(0)
            )),
            r#"{"decision":"resumed","actor":null,"comment":null,"metadata":null,"decided_at":"1970-01-01T00:00:00.000000Z"}"#
        );
    }
}
