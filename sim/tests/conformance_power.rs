//! The suite finds what is wrong: stores with one bug each, and the check that has to find it.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::id::{CommandId, RunId, Shards};
use squid_mesh_core::name::Name;
use squid_mesh_core::operation::{
    Claimed, DefinitionRow, Entry, Operation, Outcome, Reply, Report, RunRow, ScheduleAction,
    WorkerRow,
};
use squid_mesh_core::payload::{Payload, PayloadRef};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, Hint, Inspect, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow,
};
use squid_mesh_core::task::TaskRow;
use squid_mesh_core::time::Timestamp;
use squid_mesh_sim::conformance::{Check, Suite};
use squid_mesh_sim::store::MemoryStore;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bug {
    LosesEveryFifthCommit,
    AnswersRenewalsWithoutWriting,
    ForgetsLabels,
    ReadsTasksOfTheRunInReverse,
    NeverFreeOfConflicts,
    StartsUnderAKeyAreRunsOfTheirOwn,
    GrantsWhatOthersHold,
    ForgetsCancels,
    ClaimsAnewWhenAskedAgain,
    IgnoresTheDigestsOfPayloads,
    RepeatsTheLastRowOfAPage,
    ReadsJournalsFromTheRowAfter,
    ForgetsPauses,
    TakesEachPauseForAnother,
    ShowsNoQueues,
    ReadsPartsOfJournalsFromTheRowBefore,
    IgnoresTheBytesOfAPart,
    KnowsOnlyFirstVersions,
    IgnoresParents,
    ForgetsFirings,
    TakesEachFiringForAnother,
    TakesEachScheduleCommandForAnother,
    ForgetsWhoStartedRuns,
    RepeatsTheLastScheduleOfAPage,
    ComparesSchedulesWithoutCase,
    IgnoresStandings,
    IgnoresWorkflowsOfSchedules,
    IgnoresSchedulesOfRuns,
    ShowsNoTasksOfSchedules,
}

/// The memory store, but for the bug.
struct Buggy {
    bug: Bug,
    inner: MemoryStore,
    performed: AtomicU64,
    granted: Mutex<Vec<TaskRow>>,
}

impl Buggy {
    fn new(bug: Bug, shards: Shards) -> Buggy {
        let inner = MemoryStore::new(shards);
        Buggy {
            bug,
            inner,
            performed: AtomicU64::new(0),
            granted: Mutex::default(),
        }
    }

    /// Answers an operation and leaves everything as it was.
    async fn perform_and_forget(&self, operation: Operation) -> Result<Reply, StoreError> {
        let before = self.inner.with_tables(|tables| tables.clone());
        let reply = self.inner.perform(operation).await;
        self.inner.with_tables(|tables| *tables = before);
        reply
    }

    async fn grant_again(&self, operation: Operation) -> Result<Reply, StoreError> {
        let reply = self.inner.perform(operation).await?;
        let mut granted = self.granted.lock().expect("nobody panics under this lock");
        match reply {
            Reply::Claimed(claimed) if claimed.tasks.is_empty() => {
                let tasks = granted.iter().take(1).cloned().collect();
                Ok(Reply::Claimed(Claimed { tasks, ..claimed }))
            }
            Reply::Claimed(claimed) => {
                granted.extend(claimed.tasks.clone());
                Ok(Reply::Claimed(claimed))
            }
            reply => Ok(reply),
        }
    }
}

impl Store for Buggy {
    fn shards(&self) -> Shards {
        self.inner.shards()
    }

    async fn perform(&self, mut operation: Operation) -> Result<Reply, StoreError> {
        let number = self.performed.fetch_add(1, Ordering::Relaxed) + 1;
        match (self.bug, &mut operation) {
            (Bug::NeverFreeOfConflicts, Operation::Settle(_)) => return Err(StoreError::Conflict),
            (Bug::AnswersRenewalsWithoutWriting, Operation::Lease(_)) => {
                return self.perform_and_forget(operation).await;
            }
            (Bug::LosesEveryFifthCommit, _) if number.is_multiple_of(5) => {
                return self.perform_and_forget(operation).await;
            }
            (Bug::GrantsWhatOthersHold, Operation::Claim(_)) => {
                return self.grant_again(operation).await;
            }
            (Bug::ForgetsPauses, Operation::Queue(_)) => {
                return self.perform_and_forget(operation).await;
            }
            (Bug::TakesEachPauseForAnother, Operation::Queue(command)) => {
                command.command = CommandId::from_u128(number.into());
            }
            (Bug::ClaimsAnewWhenAskedAgain, Operation::Claim(claim)) => {
                claim.number += 1_000 * number
            }
            (Bug::ForgetsCancels, Operation::Submit(submit)) => {
                let cancels = |entry: &Entry| matches!(entry, Entry::Cancel(_));
                if submit
                    .groups
                    .iter()
                    .flat_map(|group| &group.entries)
                    .any(cancels)
                {
                    return self.perform_and_forget(operation).await;
                }
            }
            (Bug::ForgetsFirings, Operation::Settle(settle)) => {
                let fires = |report: &Report| matches!(report.outcome, Outcome::Fired { .. });
                if settle.reports.iter().any(fires) {
                    return self.perform_and_forget(operation).await;
                }
            }
            (Bug::TakesEachFiringForAnother, Operation::Schedule(command)) => {
                if let ScheduleAction::Fire { signal, .. } = &mut command.action {
                    *signal = Some(number.to_string());
                }
            }
            (Bug::TakesEachScheduleCommandForAnother, Operation::Schedule(command)) => {
                command.command = CommandId::from_u128(number.into());
            }
            (Bug::StartsUnderAKeyAreRunsOfTheirOwn, Operation::Submit(submit)) => {
                for entry in submit
                    .groups
                    .iter_mut()
                    .flat_map(|group| &mut group.entries)
                {
                    if let Entry::Start(start) = entry {
                        start.run =
                            RunId::from_u128(u128::from(number) << 32).with_slot(start.run.slot());
                    }
                }
            }
            _ => {}
        }
        self.inner.perform(operation).await
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        match self.bug {
            Bug::IgnoresTheDigestsOfPayloads => self.fetch_any_payload(wanted).await,
            Bug::ReadsPartsOfJournalsFromTheRowBefore => {
                let mut wanted = wanted;
                if let Some(part) = &mut wanted.journal {
                    part.after = Seq(part.after.0.saturating_sub(1));
                }
                self.inner.fetch(wanted).await
            }
            Bug::IgnoresTheBytesOfAPart => {
                let mut wanted = wanted;
                if let Some(part) = wanted.journal.as_mut().filter(|part| part.bytes > 0) {
                    part.bytes = u64::MAX;
                }
                self.inner.fetch(wanted).await
            }
            Bug::KnowsOnlyFirstVersions => {
                let first = |name: &Name| DefinitionKey {
                    name: name.clone(),
                    version: 1,
                };
                let definitions = Fetch {
                    definitions: wanted.newest.iter().map(first).collect(),
                    ..Fetch::default()
                };
                let newest = self.inner.fetch(definitions).await?.definitions;
                let fetched = self.inner.fetch(wanted).await?;
                Ok(Fetched { newest, ..fetched })
            }
            _ => self.inner.fetch(wanted).await,
        }
    }

    async fn hint(&self) -> Hint {
        self.inner.hint().await
    }
}

impl Buggy {
    async fn fetch_any_payload(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        let mut payloads: Vec<(PayloadRef, Payload)> = Vec::new();
        for reference in &wanted.payloads {
            let rows = self.inner.journal(reference.run, reference.seq, 1).await?;
            let row = rows
                .into_iter()
                .find(|row| row.seq == reference.seq)
                .and_then(|row| row.row.ok());
            payloads.extend(
                row.and_then(|row| row.payload)
                    .map(|payload| (*reference, payload)),
            );
        }
        let others = Fetch {
            payloads: BTreeSet::new(),
            ..wanted
        };
        Ok(Fetched {
            payloads,
            ..self.inner.fetch(others).await?
        })
    }
}

impl Inspect for Buggy {
    async fn run(&self, id: RunId) -> Result<Option<RunRecord>, StoreError> {
        let mut record = self.inner.run(id).await?;
        if let Some(record) = &mut record {
            match self.bug {
                Bug::ForgetsLabels => record.row.labels.clear(),
                Bug::ReadsTasksOfTheRunInReverse => record.tasks.reverse(),
                Bug::ForgetsWhoStartedRuns => record.row.schedule = None,
                _ => {}
            }
        }
        Ok(record)
    }

    async fn journal(
        &self,
        id: RunId,
        from: Seq,
        limit: u32,
    ) -> Result<Vec<StoredRow>, StoreError> {
        let after = self.bug == Bug::ReadsJournalsFromTheRowAfter && from != Seq::FIRST;
        self.inner
            .journal(id, if after { from.next() } else { from }, limit)
            .await
    }

    async fn list(
        &self,
        filter: &RunFilter,
        after: Option<(Timestamp, RunId)>,
        limit: u32,
    ) -> Result<Vec<RunRow>, StoreError> {
        let next = |(at, id): (Timestamp, RunId)| (at, RunId::from_u128(id.as_u128() + 1));
        let after = if self.bug == Bug::RepeatsTheLastRowOfAPage {
            after.map(next)
        } else {
            after
        };
        let mut filter = filter.clone();
        match self.bug {
            Bug::IgnoresParents => filter.parent = None,
            Bug::IgnoresSchedulesOfRuns => filter.schedule = None,
            _ => {}
        }
        self.inner.list(&filter, after, limit).await
    }

    async fn workers(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.inner.workers().await
    }

    async fn definitions(&self) -> Result<Vec<DefinitionRow>, StoreError> {
        self.inner.definitions().await
    }

    async fn queues(&self) -> Result<Vec<QueueRecord>, StoreError> {
        if self.bug == Bug::ShowsNoQueues {
            return Ok(Vec::new());
        }
        self.inner.queues().await
    }

    async fn schedule(&self, id: ScheduleId) -> Result<Option<ScheduleRecord>, StoreError> {
        let mut record = self.inner.schedule(id).await?;
        if let Some(record) = &mut record
            && self.bug == Bug::ShowsNoTasksOfSchedules
        {
            record.task = None;
        }
        Ok(record)
    }

    async fn schedules(
        &self,
        filter: &ScheduleFilter,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ScheduleRow>, StoreError> {
        // Less than the key by its last character.
        let before = after.map(|key| {
            let last = key.char_indices().next_back();
            last.map_or("", |(at, _)| &key[..at]).to_owned()
        });
        let after = match self.bug {
            Bug::RepeatsTheLastScheduleOfAPage => before.as_deref(),
            _ => after,
        };
        let mut filter = filter.clone();
        match self.bug {
            Bug::IgnoresStandings => filter.standings.clear(),
            Bug::IgnoresWorkflowsOfSchedules => filter.workflow = None,
            _ => {}
        }
        let mut rows = self.inner.schedules(&filter, after, limit).await?;
        if self.bug == Bug::ComparesSchedulesWithoutCase {
            rows.sort_by_key(|row| row.key.to_lowercase());
        }
        Ok(rows)
    }
}

#[tokio::test]
async fn each_bug_is_found_by_the_check_that_is_there_for_it() {
    let table = [
        (Bug::LosesEveryFifthCommit, Check::Scripts),
        (Bug::AnswersRenewalsWithoutWriting, Check::Scripts),
        (Bug::ForgetsLabels, Check::Scripts),
        (Bug::ReadsTasksOfTheRunInReverse, Check::Scripts),
        (Bug::NeverFreeOfConflicts, Check::Scripts),
        (Bug::StartsUnderAKeyAreRunsOfTheirOwn, Check::OneRunPerKey),
        (Bug::GrantsWhatOthersHold, Check::OneClaimPerTask),
        (Bug::GrantsWhatOthersHold, Check::Races),
        (Bug::ForgetsCancels, Check::Races),
        (Bug::ClaimsAnewWhenAskedAgain, Check::Doubled),
        (Bug::IgnoresTheDigestsOfPayloads, Check::Fetches),
        (Bug::RepeatsTheLastRowOfAPage, Check::Pages),
        (Bug::ReadsJournalsFromTheRowAfter, Check::Filters),
        (Bug::ForgetsPauses, Check::Pauses),
        (Bug::TakesEachPauseForAnother, Check::Operators),
        (Bug::ShowsNoQueues, Check::Scripts),
        (Bug::ReadsPartsOfJournalsFromTheRowBefore, Check::Fetches),
        (Bug::IgnoresTheBytesOfAPart, Check::Fetches),
        (Bug::KnowsOnlyFirstVersions, Check::Fetches),
        (Bug::IgnoresParents, Check::Filters),
        (Bug::ForgetsFirings, Check::Firings),
        (Bug::TakesEachFiringForAnother, Check::Firings),
        (Bug::ForgetsWhoStartedRuns, Check::Firings),
        (Bug::TakesEachScheduleCommandForAnother, Check::Doubled),
        (Bug::RepeatsTheLastScheduleOfAPage, Check::SchedulePages),
        (Bug::ComparesSchedulesWithoutCase, Check::SchedulePages),
        (Bug::IgnoresStandings, Check::SchedulePages),
        (Bug::IgnoresWorkflowsOfSchedules, Check::SchedulePages),
        (Bug::IgnoresSchedulesOfRuns, Check::SchedulePages),
        (Bug::ShowsNoTasksOfSchedules, Check::Scripts),
    ];
    for (bug, check) in table {
        let outcome = Suite::of(Shards::ONE)
            .check(check, &async |shards| Buggy::new(bug, shards))
            .await;
        let failure = outcome.expect_err(&format!("{bug:?} passes {check:?}"));
        assert_eq!(failure.check, Some(check), "{bug:?}");
    }
}

#[tokio::test]
async fn a_failing_script_is_shrunk_to_the_actions_that_matter() {
    let create = async |shards| Buggy::new(Bug::AnswersRenewalsWithoutWriting, shards);
    let failure = Suite::of(Shards::ONE)
        .check(Check::Scripts, &create)
        .await
        .unwrap_err();
    let script = failure.script.unwrap();
    // At most a start, a claim, and a renewal.
    assert!(script.actions.len() <= 3, "{script:?}");
}
