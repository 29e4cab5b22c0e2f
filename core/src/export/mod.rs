//! A run as a file: taken out of a store, and studied elsewhere.
//!
//! Invariant: an [`ExportedRun`] folds: its rows are the whole journal up to where it was read, of the definition that comes
//! with it, and every payload is the one that its event names.

mod file;
mod hex;
mod invalid;

use std::sync::Arc;

pub use invalid::InvalidExport;

use crate::definition::{Definition, Draft};
use crate::event::{Event, Started};
use crate::id::{Life, RunId};
use crate::operation::{JournalRow, RunRow};
use crate::payload::Payload;
use crate::run::{Run, Seq, Status};
use crate::store::StoredRow;
use crate::transition::Transition;
use file::{File, FormatOnly, PayloadPart, RowPart, RunPart};

/// The format of files that this engine writes and reads.
pub const EXPORT_FORMAT: u32 = 1;

/// A run with its definition and its whole journal, checked.
///
/// The file form is in `docs/FORMAT.md`.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportedRun {
    engine: String,
    definition: Arc<Definition>,
    rows: Vec<JournalRow>,
    payloads: bool,
    run: Run,
}

impl ExportedRun {
    /// Takes a run as a store has it: its row, its definition, and its journal at least up to where the row says it is.
    /// Rows after that are left out, and so are payloads unless they are asked for.
    ///
    /// # Errors
    /// If a row cannot be read, or anything does not follow from the journal.
    pub fn of(
        row: &RunRow,
        definition: Arc<Definition>,
        journal: Vec<StoredRow>,
        payloads: bool,
    ) -> Result<ExportedRun, InvalidExport> {
        let known = journal
            .into_iter()
            .take_while(|stored| stored.seq <= row.seq);
        let rows = known.map(|stored| {
            let seq = stored.seq.0;
            let read = stored
                .row
                .map_err(|source| InvalidExport::Row { seq, source });
            read.map(|row| JournalRow {
                payload: row.payload.filter(|_| payloads),
                ..row
            })
        });
        let said = RunPart {
            id: row.id,
            life: row.life.0,
            status: row.status,
            seq: row.seq.0,
        };
        let engine = env!("CARGO_PKG_VERSION").to_owned();
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        ExportedRun::checked(engine, definition, rows, payloads, &said)
    }

    /// Reads the text of a file.
    ///
    /// # Errors
    /// Says what is wrong with it first, in the order format, form, definition, rows, journal.
    pub fn parse(text: &str) -> Result<ExportedRun, InvalidExport> {
        let FormatOnly { format } = serde_json::from_str(text)?;
        if format != EXPORT_FORMAT {
            return Err(InvalidExport::Format {
                found: format.to_string().chars().take(40).collect(),
                known: EXPORT_FORMAT,
            });
        }
        let file: File = serde_json::from_str(text)?;
        let draft = Draft::parse(&file.definition).map_err(InvalidExport::Definition)?;
        let definition = Definition::validate(draft).map_err(InvalidExport::Definition)?;
        let rows = file.rows.into_iter().map(|row| read_row(file.run.id, row));
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        ExportedRun::checked(
            file.engine,
            Arc::new(definition),
            rows,
            file.payloads,
            &file.run,
        )
    }

    fn checked(
        engine: String,
        definition: Arc<Definition>,
        rows: Vec<JournalRow>,
        payloads: bool,
        said: &RunPart,
    ) -> Result<ExportedRun, InvalidExport> {
        for (row, expected) in rows.iter().zip(1..) {
            check_row(row, expected, payloads)?;
        }
        if let Some(row) = rows.first() {
            check_definition(row, &definition)?;
        }
        let journal = rows.iter().map(|row| &row.transition);
        let run = Run::fold(said.id, Life(said.life), definition.steps().len(), journal)?;
        if run.seq().0 != said.seq {
            return Err(InvalidExport::Short {
                expected: said.seq,
                found: run.seq().0,
            });
        }
        if run.status() != said.status {
            return Err(InvalidExport::Run { column: "status" });
        }
        Ok(ExportedRun {
            engine,
            definition,
            rows,
            payloads,
            run,
        })
    }

    /// The text of its file, which [`ExportedRun::parse`] takes back.
    pub fn to_text(&self) -> String {
        let row = |row: &JournalRow| RowPart {
            seq: row.seq.0,
            at: row.at,
            event: row.transition.event.kind().to_owned(),
            transition: hex::write(&row.transition.encode()),
            payload: row.payload.as_ref().map(PayloadPart::of),
        };
        let file = File {
            format: EXPORT_FORMAT,
            engine: self.engine.clone(),
            run: RunPart {
                id: self.id(),
                life: self.run.life().0,
                status: self.status(),
                seq: self.run.seq().0,
            },
            payloads: self.payloads,
            definition: self.definition.to_draft().to_json(),
            rows: self.rows.iter().map(row).collect(),
        };
        file.to_text()
    }

    /// The version of the engine that exported it.
    pub fn engine(&self) -> &str {
        &self.engine
    }

    /// The run's id.
    pub fn id(&self) -> RunId {
        self.run.id()
    }

    /// Its status where the journal ends.
    pub fn status(&self) -> Status {
        self.run.status()
    }

    /// The run where the journal ends.
    pub fn run(&self) -> &Run {
        &self.run
    }

    /// What it runs.
    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    /// Its journal, in order, from 1.
    pub fn rows(&self) -> &[JournalRow] {
        &self.rows
    }

    /// Whether payloads were exported. Without them no row has one.
    pub fn has_payloads(&self) -> bool {
        self.payloads
    }

    /// How it was started.
    pub fn started(&self) -> &Started {
        match self.rows.first().map(|row| &row.transition.event) {
            Some(Event::Started(started)) => started,
            Some(_) | None => unreachable!("a journal that folds begins with a start"),
        }
    }

    /// The payload in a row of its own journal.
    pub fn payload(&self, seq: Seq) -> Option<&Payload> {
        let row = self.rows.iter().find(|row| row.seq == seq)?;
        row.payload.as_ref()
    }
}

fn read_row(run: RunId, row: RowPart) -> Result<JournalRow, InvalidExport> {
    let seq = row.seq;
    let bytes = hex::read(&row.transition).ok_or(InvalidExport::TransitionHex { seq })?;
    let read = Transition::decode(&bytes);
    let transition = read.map_err(|source| InvalidExport::Row { seq, source })?;
    if row.event != transition.event.kind() {
        let column = "event";
        return Err(InvalidExport::Column { seq, column });
    }
    let payload = row.payload.map(PayloadPart::payload);
    let payload = payload.map(|read| read.ok_or(InvalidExport::PayloadHex { seq }));
    Ok(JournalRow {
        run,
        seq: Seq(seq),
        at: row.at,
        transition,
        payload: payload.transpose()?,
    })
}

/// Checks what a row says by itself.
fn check_row(row: &JournalRow, expected: u32, payloads: bool) -> Result<(), InvalidExport> {
    let seq = row.seq.0;
    if seq != expected {
        return Err(InvalidExport::Gap {
            expected,
            found: seq,
        });
    }
    let columns = [
        ("seq", row.seq == row.transition.seq),
        ("at", row.at == row.transition.at),
    ];
    if let Some((column, _)) = columns.into_iter().find(|(_, same)| !same) {
        return Err(InvalidExport::Column { seq, column });
    }
    let named = row.transition.event.payload().filter(|_| payloads);
    match (named, row.payload.as_ref().map(Payload::digest)) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(InvalidExport::PayloadUnexpected { seq }),
        (Some(_), None) => Err(InvalidExport::PayloadMissing { seq }),
        (Some(named), Some(found)) if named == found => Ok(()),
        (Some(_), Some(_)) => Err(InvalidExport::PayloadDigest { seq }),
    }
}

/// Checks that a start names a definition. That the first row is a start is known once the journal folds.
fn check_definition(row: &JournalRow, definition: &Definition) -> Result<(), InvalidExport> {
    let Event::Started(started) = &row.transition.event else {
        return Ok(());
    };
    let same = started.definition == *definition.key() && started.digest == definition.digest();
    if same {
        return Ok(());
    }
    Err(InvalidExport::OtherDefinition {
        started: Box::new(started.definition.clone()),
        recorded: started.digest,
        found: Box::new(definition.key().clone()),
        digest: definition.digest(),
    })
}
