//! The schedules of one operation while slot after slot changes them.
//!
//! Invariant: later slots see what earlier ones decided, and each row is written at most once, under the guard it was read with.

use super::{Found, ScheduleUpdate, View, Writes};
use crate::run::Seq;
use crate::schedule::{Schedule, ScheduleId, ScheduleRow};
use crate::sorted::SortedMap;
use crate::transition::DecodeError;

/// The schedules of a batch.
#[derive(Clone)]
pub(super) struct Schedules<'v> {
    view: &'v View,
    known: SortedMap<ScheduleId, Known>,
}

#[derive(Clone)]
struct Known {
    /// As it is to be; `None` once it is deleted.
    schedule: Option<Schedule>,
    /// Its row as it was read; `None` if it is new.
    was: Option<Seq>,
    changed: bool,
    declared: bool,
}

/// A schedule as a slot finds it.
pub(super) enum ScheduleLookup {
    Absent,
    Busy,
    Unreadable(DecodeError),
    Here,
}

impl<'v> Schedules<'v> {
    pub(super) fn new(view: &'v View) -> Schedules<'v> {
        Schedules {
            view,
            known: SortedMap::default(),
        }
    }

    pub(super) fn find(&mut self, id: ScheduleId) -> ScheduleLookup {
        if let Some(known) = self.known.get(&id) {
            return match known.schedule {
                Some(_) => ScheduleLookup::Here,
                None => ScheduleLookup::Absent,
            };
        }
        let row = match self
            .view
            .schedules
            .get(&id)
            .expect("every schedule of an operation is in its read set")
        {
            Found::Absent => return ScheduleLookup::Absent,
            Found::Busy => return ScheduleLookup::Busy,
            Found::Row(row) => row,
        };
        match row.read() {
            Ok(schedule) => {
                let known = Known {
                    schedule: Some(schedule),
                    was: Some(row.seq),
                    changed: false,
                    declared: false,
                };
                self.known.insert(id, known);
                ScheduleLookup::Here
            }
            Err(error) => ScheduleLookup::Unreadable(error),
        }
    }

    pub(super) fn get(&self, id: ScheduleId) -> &Schedule {
        let known = self.known.get(&id);
        known
            .and_then(|known| known.schedule.as_ref())
            .expect("a schedule is found before it is looked at")
    }

    pub(super) fn put(&mut self, schedule: Schedule, declared: bool) {
        let id = schedule.id;
        let known = self.known.get(&id);
        let known = Known {
            schedule: Some(schedule),
            was: known.and_then(|known| known.was),
            changed: true,
            declared: declared || known.is_some_and(|known| known.declared),
        };
        self.known.insert(id, known);
    }

    pub(super) fn remove(&mut self, id: ScheduleId) {
        if let Some(known) = self.known.get_mut(&id) {
            known.schedule = None;
            known.changed = true;
        }
    }

    pub(super) fn finish(self, writes: &mut Writes) {
        for (id, known) in self.known {
            let row = known.schedule.as_ref().map(ScheduleRow::from);
            match (row, known.was) {
                _ if !known.changed => {}
                (Some(row), None) => writes.schedules_inserted.push(row),
                (Some(row), Some(was)) => writes.schedules_updated.push(ScheduleUpdate {
                    row,
                    was,
                    declared: known.declared,
                }),
                (None, Some(was)) => writes.schedules_deleted.push((id, was)),
                (None, None) => {}
            }
        }
    }
}
