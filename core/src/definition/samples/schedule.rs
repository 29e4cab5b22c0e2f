//! Any valid schedule of a trigger.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::draft::DraftSchedule;
use super::super::span::DraftSpan;
use super::any_json;
use crate::cron::{GapPolicy, RepeatedHourPolicy};
use crate::schedule::{DraftCatchUp, Overlap, PlanDraft};
use crate::time::Timestamp;

fn any_catch_up() -> impl Strategy<Value = DraftCatchUp> {
    prop_oneof![
        Just(DraftCatchUp::Skip),
        Just(DraftCatchUp::Latest),
        (1..=1_000_u32).prop_map(DraftCatchUp::All),
    ]
}

fn seconds(most: i128) -> impl Strategy<Value = DraftSpan> {
    (0..=most).prop_map(|seconds| DraftSpan::from_micros(seconds * 1_000_000))
}

prop_compose! {
    /// For a trigger that takes any input.
    pub(super) fn any_schedule()(
        cron in select(vec!["0 9 * * *", "*/5 0 0 1 1 *", "@hourly", "30 2 13 * fri", "0 0 30 2 *"]),
        zone in option::of(select(vec!["UTC", "Europe/Berlin", "America/St_Johns"])),
        policies in (option::of(select(&GapPolicy::ALL[..])), option::of(select(&RepeatedHourPolicy::ALL[..]))),
        start in option::of(0..1_000_000_i64),
        end in option::of(1_000_000..2_000_000_i64),
        spans in (option::of(seconds(86_400)), option::of(seconds(315_576_000))),
        catch_up in option::of(any_catch_up()),
        overlap in option::of(select(&Overlap::ALL[..])),
        payload in option::of(any_json()),
    ) -> DraftSchedule {
        let instant = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
        DraftSchedule {
            plan: PlanDraft {
                cron: Some(cron.to_owned()),
                zone: zone.map(str::to_owned),
                gap: policies.0,
                repeated_hour: policies.1,
                start: start.map(instant),
                end: end.map(instant),
                jitter: spans.0,
                catch_up,
                grace: spans.1,
                overlap,
            },
            payload,
        }
    }
}
