//! Journal rows that are damaged: what they say cannot be read any more, or their payload is another than was written.
//!
//! Invariant: only rows of runs that report to no other are damaged, so that no other run has to do with it but copies.

use squid_mesh_core::event::Event as Journalled;
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Seq;
use squid_mesh_core::transition::DecodeError;

use super::strike::Strike;
use super::{Event, World};
use crate::choice::Label;
use crate::clock::SimTime;
use crate::fault::{Fault, Situation};
use crate::store::Spoilt;
use crate::story::Trouble;

/// How many rows a seed may damage.
const ROWS: u32 = 3;

impl World {
    /// Draws when rows are damaged.
    pub(super) fn draw_damage(&mut self) {
        self.draw_apart(Fault::Spoilt, ROWS, Label::Damage, |world| {
            let horizon = world.settings.horizon.0;
            let at = world.choices.magnitude(Label::Damage, 200_000, horizon);
            let strike = Strike {
                fault: Fault::Spoilt,
                node: 0,
                span: 0,
                aimed: false,
            };
            world.push(SimTime(at), Event::Strike(strike));
        });
    }

    /// Damages a row of a run that is under way, or of one that has ended and may be copied.
    pub(super) fn spoil_a_row(&mut self) {
        let under_way = self.choices.happens(Label::Damage, 800);
        let runs = self.ghost.runs.iter();
        let runs = runs.filter(|(_, run)| {
            run.start.parent.is_none() && !run.unreadable && run.ended.is_none() == under_way
        });
        let runs: Vec<RunId> = runs.map(|(id, _)| *id).collect();
        if runs.is_empty() {
            return;
        }
        let run = runs[self.choices.index(Label::Damage, runs.len())];
        let last = u64::from(self.ghost.run(run).seq.0);
        let seq = self.choices.choose(Label::Damage, last) + 1;
        let seq = Seq(u32::try_from(seq).expect("a journal of a simulation is short"));
        let what = self.damage_to(run, seq);
        let marred = self.ghost.run_mut(run);
        if marred.spoilt.contains(&seq) {
            return;
        }
        marred.marred = true;
        if let Spoilt::Event(_) = what {
            marred.spoilt.insert(seq);
        }
        self.tables.spoil(run, seq, what);
        self.fired(Fault::Spoilt, Situation::Idle);
        self.trace.fault(Fault::Spoilt, || Trouble::Row(run, seq));
    }

    /// What becomes of a row. What a child gave is read together with what the row says.
    fn damage_to(&mut self, run: RunId, seq: Seq) -> Spoilt {
        let row = self.tables.journal(run, seq).next();
        let row = row.expect("a journal is dense");
        let of_child = matches!(row.transition.event, Journalled::ChildEnded { .. });
        let payload = row.payload.is_some() && !of_child;
        match self.choices.choose(Label::Damage, 4) {
            0 => Spoilt::Event(DecodeError::Corrupt),
            1 => Spoilt::Event(DecodeError::Newer {
                format: u8::MAX,
                known: 1,
            }),
            _ if payload => Spoilt::Payload,
            _ => Spoilt::Event(DecodeError::Corrupt),
        }
    }
}
