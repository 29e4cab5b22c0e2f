//! Reports: group commit in lanes.
//!
//! The reports of one run are all of one lane. In a lane one batch is in flight at most and the next gathers meanwhile.
//! Beside it, the reports of one run that was locked elsewhere wait for its lock, so that no other run has to.
//!
//! Invariant: a report leaves its lane only when it is recorded or rejected, and no run is in two settles in flight.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use super::flight::mix_id;
use super::slots::{Ending, Offered, Spare};
use super::{AttemptId, Worker};
use crate::id::{RunId, Shard};
use crate::limits;
use crate::operation::{Operation, Outcome, Report, Settle, SlotReply};
use crate::time::Moment;

#[cfg(test)]
mod tests;

/// The lanes.
#[derive(Debug)]
pub(super) struct Settles {
    lanes: Vec<Lane>,
}

/// The reports of a share of all runs.
#[derive(Debug, Default)]
struct Lane {
    ready: BTreeMap<Shard, VecDeque<Report>>,
    /// The shard of the last batch.
    last: Shard,
    /// A batch is in flight.
    out: bool,
    /// Reports of runs that were locked elsewhere.
    locked: BTreeMap<RunId, VecDeque<Report>>,
    /// The run whose lock is waited for, last or at present.
    waited: Option<RunId>,
    /// An operation that waits is in flight.
    waiting: bool,
}

impl Settles {
    pub(super) fn new(lanes: usize) -> Settles {
        Settles {
            lanes: (0..lanes).map(|_| Lane::default()).collect(),
        }
    }

    pub(super) fn push(&mut self, shard: Shard, report: Report) {
        self.lane_of(report.home()).push(shard, report);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lanes
            .iter()
            .all(|lane| lane.ready.is_empty() && lane.locked.is_empty())
    }

    fn lane_of(&mut self, run: RunId) -> &mut Lane {
        let lanes = u64::try_from(self.lanes.len()).expect("lanes fit in memory");
        let lane =
            usize::try_from(mix_id(run.as_u128()) % lanes).expect("it is less than their number");
        &mut self.lanes[lane]
    }
}

impl Lane {
    fn push(&mut self, shard: Shard, report: Report) {
        let run = report.home();
        if self.locked.contains_key(&run) || self.waiting && self.waited == Some(run) {
            self.locked.entry(run).or_default().push_back(report);
        } else {
            self.ready.entry(shard).or_default().push_back(report);
        }
    }

    /// The next batch: what is there of the next shard that has any.
    fn next_batch(&mut self) -> Option<(Shard, Vec<Report>)> {
        if self.out {
            return None;
        }
        let later = self
            .ready
            .range((Bound::Excluded(self.last), Bound::Unbounded))
            .next();
        let shard = *later.or_else(|| self.ready.first_key_value())?.0;
        let mut ready = self.ready.remove(&shard)?;
        let reports = take_batch(&mut ready);
        self.put_back(shard, ready);
        self.last = shard;
        self.out = true;
        Some((shard, reports))
    }

    /// The next reports to wait with: those of the next run that was locked elsewhere.
    fn next_waiting(&mut self) -> Option<Vec<Report>> {
        if self.waiting {
            return None;
        }
        let after = self.waited.map_or(Bound::Unbounded, Bound::Excluded);
        let later = self.locked.range((after, Bound::Unbounded)).next();
        let run = *later.or_else(|| self.locked.first_key_value())?.0;
        let mut locked = self.locked.remove(&run)?;
        let reports = take_batch(&mut locked);
        if !locked.is_empty() {
            self.locked.insert(run, locked);
        }
        self.waited = Some(run);
        self.waiting = true;
        Some(reports)
    }

    /// Sets a report aside whose run is locked elsewhere, and whatever else is there of that run.
    fn set_aside(&mut self, shard: Shard, report: Report) {
        let run = report.home();
        let aside = self.locked.entry(run).or_default();
        aside.push_back(report);
        if let Some(ready) = self.ready.remove(&shard) {
            let (of_run, others): (VecDeque<Report>, _) =
                ready.into_iter().partition(|ready| ready.home() == run);
            aside.extend(of_run);
            self.put_back(shard, others);
        }
    }

    fn put_back(&mut self, shard: Shard, reports: VecDeque<Report>) {
        if !reports.is_empty() {
            self.ready.insert(shard, reports);
        }
    }

    fn resolved(&mut self, wait: bool) {
        if wait {
            self.waiting = false;
        } else {
            self.out = false;
        }
    }
}

/// Takes reports out, up to the bounds of a batch.
fn take_batch(queue: &mut VecDeque<Report>) -> Vec<Report> {
    let mut bytes = 0;
    let fits = |report: &&Report| {
        bytes += report.outcome.payload_bytes();
        bytes <= limits::BATCH_BYTES
    };
    let count = queue.iter().take(limits::BATCH).take_while(fits).count();
    queue.drain(..count.max(1)).collect()
}

fn id_of(report: &Report) -> AttemptId {
    AttemptId {
        key: report.key,
        token: report.token,
    }
}

impl Worker {
    pub(super) fn next_settles(&mut self, now: Moment) {
        for lane in 0..self.settles.lanes.len() {
            if let Some((shard, reports)) = self.settles.lanes[lane].next_batch() {
                self.send_settle(shard, reports, false, now);
            }
            if let Some(reports) = self.settles.lanes[lane].next_waiting() {
                let shard = reports[0].key.run.shard(self.config.shards);
                self.send_settle(shard, reports, true, now);
            }
        }
    }

    /// Offers the slots that its reports hold, and some that are free, to steps that become ready.
    fn send_settle(&mut self, shard: Shard, reports: Vec<Report>, wait: bool, now: Moment) {
        let (mut ending, mut wanted) = (Ending::new(), Spare::default());
        let held = |report| self.attempts.held.get(&id_of(report));
        for task in reports.iter().filter_map(held) {
            *ending.entry(task.place).or_default() += 1;
            wanted.most = wanted.most.saturating_add(task.leads_to());
        }
        let offered = if self.phase.is_working() {
            self.slots
                .offer_some(&ending, wanted, |queue| self.claims.floor(shard, queue))
        } else {
            Offered::default()
        };
        let offer = self.offer(&offered);
        self.send(
            Operation::Settle(Settle {
                shard,
                reports,
                offer,
                wait,
            }),
            Vec::new(),
            offered.reserved,
            now,
        );
    }

    /// Frees what was recorded or rejected; what met a lock is reported again by itself, and waits.
    pub(super) fn settled(&mut self, settle: Settle, slots: Vec<SlotReply>) {
        assert_eq!(
            slots.len(),
            settle.reports.len(),
            "every report is answered"
        );
        let Some(run) = settle.reports.first().map(Report::home) else {
            return;
        };
        self.settles.lane_of(run).resolved(settle.wait);
        for (report, slot) in settle.reports.into_iter().zip(slots) {
            let id = id_of(&report);
            match slot {
                SlotReply::Accepted => self.accepted(id, report.outcome),
                SlotReply::Busy => self
                    .settles
                    .lane_of(report.home())
                    .set_aside(settle.shard, report),
                SlotReply::Rejected(_) => self.rejected(id),
            }
        }
    }

    /// A report was recorded: its task is done with.
    pub(super) fn accepted(&mut self, id: AttemptId, outcome: Outcome) {
        self.stats.accepted += 1;
        if let Outcome::Succeeded { output, .. } = outcome {
            self.cache.keep_payload(id.key.run, output.digest(), output);
        }
        self.drop_task(id);
    }

    /// A report was not recorded and never will be: its task is somebody else's.
    pub(super) fn rejected(&mut self, id: AttemptId) {
        self.stats.rejected += 1;
        self.drop_task(id);
    }

    /// Takes reports for failed that may have been recorded.
    pub(super) fn forget_reports(&mut self, settle: &Settle) {
        for report in &settle.reports {
            self.settles.lane_of(report.home()).resolved(settle.wait);
            self.drop_task(id_of(report));
        }
    }
}
