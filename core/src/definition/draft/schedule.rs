//! The schedule of a draft's trigger.
//!
//! Invariant: what is printed parses back to the same schedule; a field that is not given is not printed.

use serde_json::{Value, json};

use super::DraftSchedule;
use super::print::Object;
use crate::cron::{GapPolicy, RepeatedHourPolicy};
use crate::definition::problem::ProblemCode;
use crate::definition::reader::{Fields, Reader};
use crate::schedule::{DraftCatchUp, Overlap, PlanDraft};
use crate::time::Timestamp;

const FIELDS: [&str; 11] = [
    "cron",
    "zone",
    "gap",
    "repeated_hour",
    "start",
    "end",
    "jitter",
    "catch_up",
    "grace",
    "overlap",
    "payload",
];

impl DraftSchedule {
    pub(super) fn to_json(&self) -> Value {
        let plan = &self.plan;
        let mut object = Object::default();
        object.put("cron", plan.cron.as_ref());
        object.put("zone", plan.zone.as_ref());
        object.put("gap", plan.gap.map(GapPolicy::as_str));
        object.put(
            "repeated_hour",
            plan.repeated_hour.map(RepeatedHourPolicy::as_str),
        );
        object.put("start", plan.start.map(|start| start.to_string()));
        object.put("end", plan.end.map(|end| end.to_string()));
        object.put("jitter", plan.jitter.map(|jitter| jitter.to_string()));
        object.put("catch_up", plan.catch_up.map(printed));
        object.put("grace", plan.grace.map(|grace| grace.to_string()));
        object.put("overlap", plan.overlap.map(Overlap::as_str));
        object.put("payload", self.payload.clone());
        object.into_value()
    }
}

fn printed(catch_up: DraftCatchUp) -> Value {
    match catch_up {
        DraftCatchUp::Skip => json!("skip"),
        DraftCatchUp::Latest => json!("latest"),
        DraftCatchUp::All(most) => json!({"all": most}),
    }
}

pub(super) fn read_schedule(reader: &mut Reader, fields: &Fields<'_>) -> Option<DraftSchedule> {
    let path = fields.path("schedule");
    let fields = reader.fields(fields.value("schedule")?, &path, &FIELDS)?;
    let cron = reader.required_text(&fields, "cron");
    Some(DraftSchedule {
        plan: PlanDraft {
            cron: Some(cron),
            zone: reader.text(&fields, "zone"),
            gap: reader.word(&fields, "gap", &GapPolicy::ALL, GapPolicy::as_str),
            repeated_hour: reader.word(
                &fields,
                "repeated_hour",
                &RepeatedHourPolicy::ALL,
                RepeatedHourPolicy::as_str,
            ),
            start: read_instant(reader, &fields, "start"),
            end: read_instant(reader, &fields, "end"),
            jitter: reader.span(&fields, "jitter"),
            catch_up: read_catch_up(reader, &fields),
            grace: reader.span(&fields, "grace"),
            overlap: reader.word(&fields, "overlap", &Overlap::ALL, Overlap::as_str),
        },
        payload: fields.value_or_null("payload").cloned(),
    })
}

fn read_instant(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<Timestamp> {
    let text = reader.text(fields, key)?;
    let instant = serde_json::from_value(Value::from(text.as_str()));
    if instant.is_err() {
        let shown: String = text.chars().take(80).collect();
        let message = format!("{shown:?} is no instant; expected one like 2027-03-27T00:00:00Z");
        reader.report(&fields.path(key), ProblemCode::InvalidSchedule, message);
    }
    instant.ok()
}

/// `skip`, `latest`, or how many of `all` there are.
fn read_catch_up(reader: &mut Reader, fields: &Fields<'_>) -> Option<DraftCatchUp> {
    const WORDS: [DraftCatchUp; 2] = [DraftCatchUp::Skip, DraftCatchUp::Latest];
    let word = |catch_up| match catch_up {
        DraftCatchUp::Skip => "skip",
        DraftCatchUp::Latest => "latest",
        DraftCatchUp::All(_) => "all",
    };
    let value = fields.value("catch_up")?;
    let path = fields.path("catch_up");
    if value.is_object() {
        let fields = reader.fields(value, &path, &["all"])?;
        let most = reader.integer(&fields, "all");
        if fields.value("all").is_none() {
            reader.missing(&fields, "all", "how many occurrences at most");
        }
        return most.map(DraftCatchUp::All);
    }
    if value.as_str() == Some("all") {
        let message = "all needs a bound: {\"all\": 3} catches up with the newest three";
        reader.report(&path, ProblemCode::InvalidSchedule, message);
        return None;
    }
    reader.word(fields, "catch_up", &WORDS, word)
}
