//! What `docs/ERRORS.md` says of this crate, compared with what there is.
//!
//! Invariant: every error of a call has its entry there, and there is no entry of anything else.

use std::collections::BTreeSet;

use crate::{
    ApplyError, BulkError, CancelError, ConnectError, CopyError, InspectError, LaunchError,
    QueueError, ResolveError, ResultError, ScheduleError, SignalError, StartChildError, StartError,
    StartManyError, StepError,
};

#[path = "../../../core/src/documented/page.rs"]
mod page;

use page::{entries, rows, variants, words};

/// Every error, with what it is an error of.
fn errors() -> BTreeSet<(&'static str, &'static str)> {
    let mut all = BTreeSet::new();
    macro_rules! errors {
        ($($error:ident { $($variant:ident),* $(,)? })*) => {$(
            let variants = variants!($error { $($variant),* });
            all.extend(variants.map(|variant| (variant, stringify!($error))));
        )*};
    }
    errors! {
        StartError {
            InvalidInput, Encode, UnknownWorkflow, UnknownTrigger, Name, Limit, NulCharacter, KeyConflict, Conflict, Rejected,
            Refused, Unknown, Lookup,
        }
        CancelError { UnknownRun, Finished, Rejected, Limit, Refused, Unknown }
        ResolveError {
            UnknownRun, Finished, NotWaiting, AmbiguousGate, Name, Encode, Rejected, Limit, Refused, Unknown,
        }
        SignalError {
            UnknownRun, Finished, InvalidPayload, Encode, Name, Rejected, Limit, Lookup, Refused, Unknown,
        }
        CopyError {
            UnknownRun, NotFinished, UnsafeReplay, UnknownTrigger, InvalidInput, Name, Rejected, Limit, Lookup, Refused,
            Unknown,
        }
        QueueError { Name, Rejected, Limit, Refused, Unknown }
        StartManyError { At, Limit, Batch }
        StartChildError { Unsupported, Stopped, Conflict, Start }
        BulkError { Copy, Cancel }
        ApplyError { Start, Cancel, Resolve, Signal, Copy, Queue, Schedule, Field }
        ScheduleError {
            Name, InvalidPlan, WorkflowName, Encode, UnknownWorkflow, UnknownTrigger, InvalidInput, UnknownSchedule, Exists,
            Declared, Unfit, NoOccurrence, NotDue, Unreadable, Signal, Limit, Rejected, Lookup, Refused, Unknown,
        }
        InspectError { UnknownRun, Unreadable, MalformedCursor, Store }
        ResultError { Failed, Cancelled, Decode, Inspect }
        LaunchError { Connect, Definitions, Draft, Handlers, Name, Setting, Transactional, Store }
        ConnectError { UnknownScheme, Store }
    }
    all
}

#[test]
fn every_error_of_a_call_has_an_entry_and_every_entry_is_one() {
    let rows = rows("## Errors of calls (`squid_mesh`)");
    let pairs = rows.iter().flat_map(|row| {
        let errors = move |word| words(row[1]).map(move |of| (word, of));
        words(row[0]).flat_map(errors)
    });
    let listed: Vec<(&str, &str)> = pairs.collect();
    let documented: BTreeSet<(&str, &str)> = listed.iter().copied().collect();
    assert_eq!(listed.len(), documented.len(), "an error has two entries");
    assert_eq!(documented, errors());
}

#[test]
fn every_failure_code_of_handlers_has_an_entry_and_every_entry_is_one() {
    let documented = entries("### Codes of handlers");
    let mut codes = BTreeSet::from([StepError::CODE]);
    #[cfg(feature = "http")]
    codes.extend(crate::http::FailureKind::CODES);
    if cfg!(feature = "http") {
        assert_eq!(documented, codes);
    } else {
        assert!(documented.is_superset(&codes));
    }
}
