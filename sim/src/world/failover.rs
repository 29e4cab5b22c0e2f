//! Failover: another server takes over as the store, with everything that has been committed.
//!
//! Invariant: at that instant nothing is in flight any more: each operation has landed or never will, and whoever asked hears at
//! most what the old server had answered.

use super::delivery::{Answer, Delivery};
use super::request::{Request, RequestId};
use super::strike::Strike;
use super::{Event, World};
use crate::choice::Label;
use crate::clock::SimTime;
use crate::fault::Fault;
use crate::fault::sometimes::Milestone;
use crate::story::Trouble;
use crate::violation::Check;

/// How many failovers a seed may draw.
const FAILOVERS: u32 = 2;

impl World {
    /// Draws when other servers take over.
    pub(super) fn draw_failovers(&mut self) {
        self.draw_apart(Fault::Failover, FAILOVERS, Label::Failover, |world| {
            let horizon = world.settings.horizon.0;
            let at = world.choices.magnitude(Label::Failover, 200_000, horizon);
            let strike = Strike {
                fault: Fault::Failover,
                node: 0,
                span: world.choices.magnitude(Label::Failover, 5_000, 5_000_000),
                aimed: false,
            };
            world.push(SimTime(at), Event::Strike(strike));
        });
    }

    /// Another server takes over, after so many microseconds in which there is none, or none that writes.
    pub(super) fn fail_over(&mut self, span: u64) -> Check {
        self.fired_everywhere(Fault::Failover);
        self.trace.fault(Fault::Failover, || Trouble::Store(span));
        self.settle_flight()?;
        self.tables = self.tables.backup();
        self.begin_on_new_server(span);
        Ok(())
    }

    /// Whatever is in flight lands or is rolled back, and nobody hears which.
    fn settle_flight(&mut self) -> Check {
        let waiting = std::mem::take(&mut self.blocked);
        let under_way: Vec<RequestId> = self.requests.keys().copied().collect();
        for id in under_way {
            // What waits for a lock has come, and is rolled back with the connection.
            if !waiting.contains(&id) && self.choices.happens(Label::Failover, 300) {
                self.sometimes.reached(Milestone::CutLanded);
                self.arrive(id)?;
            }
        }
        let doubts: Vec<RequestId> = self.in_doubt.keys().copied().collect();
        for id in doubts {
            let lands = self.choices.happens(Label::Failover, 500);
            if let Some(doubt) = self.in_doubt.get_mut(&id) {
                doubt.lands = lands;
                let milestone = if lands {
                    Milestone::CutLanded
                } else {
                    Milestone::CutRolledBack
                };
                self.sometimes.reached(milestone);
                self.resolve(id)?;
            }
        }
        self.blocked.clear();
        self.drop_requests();
        Ok(())
    }

    /// Whatever has not landed never will: who waits for it hears nothing.
    pub(super) fn drop_requests(&mut self) {
        for (_, request) in std::mem::take(&mut self.requests) {
            self.sometimes.reached(Milestone::CutRolledBack);
            self.hears_nothing(&request);
        }
    }

    /// Whoever asked for something hears nothing.
    pub(super) fn hears_nothing(&mut self, request: &Request) {
        if request.given_up {
            return;
        }
        let outer = self.choices.resume(request.about);
        let timeout = 1 + self.choices.choose(Label::Failover, 2_000_000);
        self.give_up_on(request, timeout);
        self.choices.leave(outer);
    }

    /// The new server begins, with a clock of its own.
    pub(super) fn begin_on_new_server(&mut self, span: u64) {
        self.server += 1;
        let skew = self.choices.magnitude(Label::Failover, 1, 20_000_000);
        let skew = i64::try_from(skew).expect("less than a minute");
        let back = self.choices.happens(Label::Failover, 500);
        self.clock.step(if back { -skew } else { skew });
        let readable = self.choices.happens(Label::Failover, 300);
        let fault = if readable {
            Fault::ReadOnly
        } else {
            Fault::Outage
        };
        let until = self.now.plus_micros(span);
        self.outage = Some((fault, until));
        (self.stepped, self.trouble) = (self.now, self.trouble.max(until));
    }

    /// An answer reaches who asked: of a server that is no longer there perhaps not.
    pub(super) fn maybe_cut(&mut self, delivery: &mut Delivery) {
        let ahead = delivery.server < self.restored;
        let mut cut = || self.choices.happens(Label::Failover, 600);
        if delivery.server == self.server || !ahead && !cut() {
            return;
        }
        self.sometimes.reached(Milestone::CutAnswer);
        self.trouble_for(delivery.sender);
        delivery.answer = Answer::unavailable(&delivery.wish);
    }
}
