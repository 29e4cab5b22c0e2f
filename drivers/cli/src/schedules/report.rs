//! A calendar's firings as people and programs read them.

use std::io::{self, Write};

use chrono::{DateTime, FixedOffset, NaiveDateTime, SecondsFormat, Utc};
use comfy_table::Table;
use comfy_table::presets::UTF8_FULL_CONDENSED;
use serde::Serialize;
use squid_mesh_core::cron::{
    AppliedPolicy, Calendar, Firing, GapPolicy, Pass, RepeatedHourPolicy, tz_version,
};
use squid_mesh_core::time::Timestamp;

use super::preview::Entry;

/// What programs get.
#[derive(Serialize)]
struct Report<'a> {
    firings: Vec<FiringReport>,
    fires: bool,
    #[serde(flatten)]
    calendar: &'a Calendar,
    tz_version: &'static str,
}

#[derive(Serialize)]
struct FiringReport {
    utc: String,
    local: String,
    policy: Option<&'static str>,
}

/// Writes one object on the last line.
///
/// # Errors
/// If that fails.
pub(super) fn write_json(
    out: &mut impl Write,
    calendar: &Calendar,
    entries: &[Entry],
) -> io::Result<()> {
    let firings = entries.iter().filter_map(|entry| match entry {
        Entry::Fires(firing) => Some(FiringReport {
            utc: utc(firing),
            local: local(firing),
            policy: firing.policy.map(|policy| policy.as_str()),
        }),
        Entry::Skips(_) => None,
    });
    let report = Report {
        firings: firings.collect(),
        fires: calendar.expression().fires(),
        calendar,
        tz_version: tz_version(),
    };
    if !report.fires {
        writeln!(out, "{}", never(calendar))?;
    }
    writeln!(out, "{}", serde_json::to_string(&report)?)
}

/// Writes a table.
///
/// # Errors
/// If that fails.
pub(super) fn write_table(
    out: &mut impl Write,
    calendar: &Calendar,
    from: Timestamp,
    entries: &[Entry],
) -> io::Result<()> {
    if !calendar.expression().fires() {
        return writeln!(out, "{}", never(calendar));
    }
    writeln!(
        out,
        "{} in {} (time zone database {})",
        calendar.expression(),
        calendar.zone(),
        tz_version()
    )?;
    writeln!(
        out,
        "gap: {}; repeated hour: {}",
        with_default(
            calendar.gap(),
            GapPolicy::default_for(calendar.expression())
        ),
        with_default(
            calendar.repeated_hour(),
            RepeatedHourPolicy::default_for(calendar.expression())
        )
    )?;
    if entries.is_empty() {
        return writeln!(
            out,
            "nothing fires after {from} until the end of the year 9999"
        );
    }
    let mut table = Table::new();
    table
        .load_style(UTF8_FULL_CONDENSED)
        .set_header(["local", "UTC", "policy"]);
    for entry in entries {
        table.add_row(match entry {
            Entry::Fires(firing) => [local(firing), utc(firing), why(firing)],
            Entry::Skips(firing) => ["-".to_owned(), "-".to_owned(), why_not(firing)],
        });
    }
    writeln!(out, "{table}")
}

fn never(calendar: &Calendar) -> String {
    format!(
        "{} never fires: no month that it names has a day that it names",
        calendar.expression()
    )
}

fn with_default<T: std::fmt::Display + PartialEq>(policy: T, default: T) -> String {
    if policy == default {
        format!("{policy} (default)")
    } else {
        format!("{policy} (default: {default})")
    }
}

/// Why it fires just then, if the clocks change around it.
fn why(firing: &Firing) -> String {
    match firing.policy {
        None => String::new(),
        Some(AppliedPolicy::FiredAfterGap { scheduled }) => {
            format!("gap, fire_after: {}", jump(scheduled, firing))
        }
        Some(AppliedPolicy::RepeatedHour { policy, pass }) => format!(
            "repeated hour, {policy}: the clocks pass {} twice, this is the {} time",
            firing.local.format("%T"),
            match pass {
                Pass::First => "first",
                Pass::Second => "second",
            }
        ),
        Some(other) => other.as_str().to_owned(),
    }
}

/// Why it does not fire where it would with the other policy for gaps.
fn why_not(firing: &Firing) -> String {
    match firing.policy {
        Some(AppliedPolicy::FiredAfterGap { scheduled }) => {
            format!("gap, skip: {}", jump(scheduled, firing))
        }
        _ => String::new(),
    }
}

fn jump(scheduled: NaiveDateTime, firing: &Firing) -> String {
    format!("the clocks jump over {scheduled} to {}", firing.local)
}

/// RFC 3339 with `Z`, to the second.
fn utc(firing: &Firing) -> String {
    instant(firing).to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// RFC 3339 with the zone's offset at that time, to the second.
fn local(firing: &Firing) -> String {
    let seconds = i32::try_from(firing.offset().num_seconds()).unwrap_or_default();
    match FixedOffset::east_opt(seconds) {
        Some(offset) => instant(firing)
            .with_timezone(&offset)
            .to_rfc3339_opts(SecondsFormat::Secs, false),
        None => firing.local.to_string(),
    }
}

fn instant(firing: &Firing) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(firing.at.as_micros()).unwrap_or_default()
}
