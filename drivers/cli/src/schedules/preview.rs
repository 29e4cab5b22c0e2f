//! `schedules preview`: the next firings of an expression. Needs no database.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use chrono::DateTime;
use clap::{Args, ValueEnum};
use squid_mesh_core::cron::{
    AppliedPolicy, Calendar, Expression, Firing, GapPolicy, RepeatedHourPolicy, Zone,
};
use squid_mesh_core::time::Timestamp;

use super::report;

#[derive(Debug, Args)]
pub(crate) struct Preview {
    /// The expression: five fields, or six with the second first, or a name like @daily.
    #[arg(long, allow_hyphen_values = true)]
    cron: String,
    /// The time zone, by its name in the IANA database.
    #[arg(long, default_value = "UTC")]
    zone: String,
    /// Firings are later than this instant, like 2027-03-27T00:00:00Z [default: now].
    #[arg(long)]
    from: Option<String>,
    /// How many firings to show.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    count: u16,
    /// What becomes of times that the clocks jump over [default: skip if the hour field is * or */n, else fire_after].
    #[arg(long, value_enum)]
    gap: Option<Gap>,
    /// What becomes of times that the clocks pass twice [default: every if the hour field is * or */n, else first].
    #[arg(long, value_enum)]
    repeated_hour: Option<RepeatedHour>,
    /// One JSON object on the last line of the output.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Gap {
    /// They do not fire that day.
    Skip,
    /// They fire once, at the first instant after the gap.
    FireAfter,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum RepeatedHour {
    /// They fire at the first pass.
    First,
    /// They fire at the second pass.
    Second,
    /// They fire at both passes.
    Every,
}

/// What a calendar does, one after the other.
pub(super) enum Entry {
    /// It fires.
    Fires(Firing),
    /// It does not fire for times that the clocks jump over; this is where it would fire with the other policy.
    Skips(Firing),
}

impl Preview {
    /// Shows the firings.
    ///
    /// # Errors
    /// If the expression, the zone or the instant is none, or the results cannot be written.
    pub(super) fn run(self, out: &mut impl Write) -> anyhow::Result<()> {
        let calendar = self.calendar()?;
        let from = self.from()?;
        let entries = entries(&calendar, from, self.count);
        if self.json {
            report::write_json(out, &calendar, &entries)?;
        } else {
            report::write_table(out, &calendar, from, &entries)?;
        }
        Ok(())
    }

    fn calendar(&self) -> anyhow::Result<Calendar> {
        let mut calendar = Calendar::new(Expression::parse(&self.cron)?, Zone::parse(&self.zone)?);
        if let Some(gap) = self.gap {
            calendar = calendar.with_gap(match gap {
                Gap::Skip => GapPolicy::Skip,
                Gap::FireAfter => GapPolicy::FireAfter,
            });
        }
        if let Some(repeated_hour) = self.repeated_hour {
            calendar = calendar.with_repeated_hour(match repeated_hour {
                RepeatedHour::First => RepeatedHourPolicy::First,
                RepeatedHour::Second => RepeatedHourPolicy::Second,
                RepeatedHour::Every => RepeatedHourPolicy::Every,
            });
        }
        Ok(calendar)
    }

    fn from(&self) -> anyhow::Result<Timestamp> {
        let micros = match &self.from {
            Some(text) => DateTime::parse_from_rfc3339(text)
                .with_context(|| {
                    format!("{text:?} is no instant, expected one like 2027-03-27T00:00:00Z")
                })?
                .timestamp_micros(),
            None => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH);
                i64::try_from(since.context("the clock is before 1970")?.as_micros())?
            }
        };
        Ok(Timestamp::from_micros(micros))
    }
}

/// The next firings, and between them the gaps that are skipped.
fn entries(calendar: &Calendar, from: Timestamp, count: u16) -> Vec<Entry> {
    let not_skipping = calendar.clone().with_gap(GapPolicy::FireAfter);
    let mut entries = Vec::new();
    let mut after = from;
    for _ in 0..count {
        let Some(firing) = calendar.next_after(after) else {
            break;
        };
        if calendar.gap() == GapPolicy::Skip {
            entries.extend(gaps(&not_skipping, after, firing.at).map(Entry::Skips));
        }
        entries.push(Entry::Fires(firing));
        after = firing.at;
    }
    entries
}

/// The firings after gaps that are later than one instant and not later than another.
fn gaps(
    calendar: &Calendar,
    mut after: Timestamp,
    until: Timestamp,
) -> impl Iterator<Item = Firing> {
    std::iter::from_fn(move || {
        let firing = calendar.next_after(after).filter(|f| f.at <= until)?;
        after = firing.at;
        Some(firing)
    })
    .filter(|firing| matches!(firing.policy, Some(AppliedPolicy::FiredAfterGap { .. })))
}
