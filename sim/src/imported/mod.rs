//! A run from production: looked at row by row, and gone through again under faults.
//!
//! Invariant: what is shown of a row is what the engine's own fold gives; nothing is modelled twice.

mod again;
mod faulty;
mod recorded;

use std::time::Duration;

use serde::{Serialize, Serializer};
use squid_mesh_core::change::Change;
use squid_mesh_core::definition::{Definition, StepIndex};
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::history::Reader;
use squid_mesh_core::operation::JournalRow;
use squid_mesh_core::payload::Payload;
use squid_mesh_core::run::{Run, Status};

use again::Today;
pub use faulty::{Ends, UnderFaultsError, under_faults};

/// Letters of a payload that are shown.
const SHOWN: usize = 200;

/// One journal row of an exported run, and the run after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowView {
    /// Its position, from 1.
    pub seq: u32,
    /// Time since the run's start.
    #[serde(rename = "micros_since_start", serialize_with = "micros")]
    pub since_start: Duration,
    /// What happened, in one stable word.
    pub event: &'static str,
    /// The same in a sentence.
    pub summary: String,
    /// What came with it, as far as it is text that can be shown, cut; nothing if payloads were not exported.
    pub payload: Option<String>,
    /// What was decided because of it, in order.
    pub changes: Vec<String>,
    /// What the engine of this build decides because of it, if that is not the same. Nothing is wrong then: it was decided by
    /// another version, and a journal means what it says.
    pub today: Option<Vec<String>>,
    /// The run's status afterwards.
    pub status: Status,
    /// Every step afterwards, in declaration order.
    pub steps: Vec<StepLine>,
}

/// Where a step stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct StepLine {
    /// Its name.
    pub name: String,
    /// Where it stands, in a phrase.
    pub state: String,
}

/// The rows of an exported run, one after the other.
pub fn rows(exported: &ExportedRun) -> Vec<RowView> {
    let definition = exported.definition();
    let mut before: Option<Run> = None;
    let views = exported.rows().iter().map(|row| {
        let today = again::today(exported, before.as_ref(), &row.transition);
        let run = after(exported, before.take(), row);
        let view = view(exported, row, &run, today, definition);
        before = Some(run);
        view
    });
    views.collect()
}

/// The run after a row.
fn after(exported: &ExportedRun, before: Option<Run>, row: &JournalRow) -> Run {
    let folded = match before {
        None => {
            let life = exported.run().life();
            let steps = exported.definition().steps().len();
            Run::fold(exported.id(), life, steps, [&row.transition])
        }
        Some(mut run) => run.apply(&row.transition).map(|()| run),
    };
    folded.expect("an exported run folds")
}

fn view(
    exported: &ExportedRun,
    row: &JournalRow,
    run: &Run,
    today: Today,
    definition: &Definition,
) -> RowView {
    let reader = Reader {
        definition: Some(definition),
        changes: &row.transition.changes,
    };
    let phrases = |changes: &[Change]| -> Vec<String> {
        changes.iter().map(|change| reader.change(change)).collect()
    };
    let line = |step: StepIndex| StepLine {
        name: definition.step(step).name.to_string(),
        state: reader.state(run, step),
    };
    RowView {
        seq: row.seq.0,
        since_start: row.at.since(exported.run().origin().at),
        event: row.transition.event.kind(),
        summary: reader.sentence(&row.transition.event),
        payload: row.payload.as_ref().map(shown),
        changes: phrases(&row.transition.changes),
        today: match today {
            Today::Same => None,
            Today::Changes(changes) => Some(phrases(&changes)),
            Today::Refused(why) => Some(vec![format!("the event is refused: {why}")]),
        },
        status: run.status(),
        steps: definition.indexes().map(line).collect(),
    }
}

fn shown(payload: &Payload) -> String {
    let text = String::from_utf8_lossy(payload.bytes());
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn micros<S: Serializer>(span: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(crate::clock::micros(*span))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use squid_mesh_core::mutant::Mutation;
    use squid_mesh_core::run::Seq;
    use squid_mesh_core::store::StoredRow;

    use super::*;
    use crate::choice::Choices;
    use crate::settings::Profile;
    use crate::trace::Trace;
    use crate::world::World;

    /// Clocks that go back, copies, children and claims that no journal tells of: what the same engine has decided it decides
    /// again.
    #[test]
    fn whatever_worlds_with_faults_have_written_is_exported_read_back_and_decided_again() {
        let (mut runs, mut rows) = (0, 0);
        for seed in 0..40 {
            let choices = Choices::seeded(seed);
            let trace = Trace::default();
            let world = World::new(choices, Profile::PullRequest, Mutation::NONE, trace);
            let tables = world.into_tables();
            for row in tables.runs() {
                let definition = Arc::clone(tables.definition(&row.definition).unwrap());
                let journal = tables.journal(row.id, Seq::FIRST).cloned();
                let stored = journal.map(|row| StoredRow {
                    seq: row.seq,
                    row: Ok(row),
                });
                let exported = ExportedRun::of(row, definition, stored.collect(), true).unwrap();
                let read = ExportedRun::parse(&exported.to_text()).unwrap();
                assert_eq!(read, exported);
                for view in super::rows(&read) {
                    let of = format!("seed {seed}, run {}: {view:#?}", row.id);
                    assert_eq!(view.today, None, "{of}");
                    rows += 1;
                }
                runs += 1;
            }
        }
        assert!(runs > 100 && rows > 1_000, "{runs} runs, {rows} rows");
    }
}
