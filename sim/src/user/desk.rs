//! The store as real handlers have it: what they ask is put on the line, and the world takes it from there.
//!
//! Invariant: commands of handlers have the same ids in every world of the same choices, whatever ids they were drawn.

use std::collections::BTreeMap;
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use squid_mesh_core::id::{CommandId, RunId, Shards};
use squid_mesh_core::operation::{DefinitionRow, Entry, Operation, Reply, RunRow, WorkerRow};
use squid_mesh_core::run::Seq;
use squid_mesh_core::schedule::{ScheduleId, ScheduleRow};
use squid_mesh_core::store::{
    Fetch, Fetched, Hint, Inspect, QueueRecord, RunFilter, RunRecord, ScheduleFilter,
    ScheduleRecord, Store, StoreError, StoredRow,
};
use squid_mesh_core::time::Timestamp;
use tokio::sync::oneshot;

use super::line::{Asked, Said, What};
use crate::ghost::BodyId;

/// What the handlers of one world ask. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Desk(Arc<Mutex<Papers>>);

#[derive(Default)]
struct Papers {
    questions: u64,
    asked: Vec<Asked>,
    waiting: BTreeMap<u64, (BodyId, oneshot::Sender<Said>)>,
    /// The commands of each body, in the order in which it made them.
    commands: BTreeMap<BodyId, Vec<CommandId>>,
}

impl Desk {
    /// The store as a body has it.
    pub(crate) fn of(&self, body: BodyId) -> DeskStore {
        let desk = self.clone();
        DeskStore { desk, body }
    }

    /// What was asked since this was last called.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.papers().asked)
    }

    /// Answers a question, if whoever asked still waits.
    pub(crate) fn answered(&self, question: u64, said: Said) {
        let waiting = self.papers().waiting.remove(&question);
        if let Some((_, waiting)) = waiting {
            // Nobody listens any more: the question was given up.
            let _ = waiting.send(said);
        }
    }

    /// A body is gone.
    pub(crate) fn ended(&self, body: BodyId) {
        let mut papers = self.papers();
        papers.waiting.retain(|_, (asker, _)| *asker != body);
    }

    fn ask(&self, body: BodyId, what: What) -> oneshot::Receiver<Said> {
        let (answer, answered) = oneshot::channel();
        let mut papers = self.papers();
        papers.questions += 1;
        let question = papers.questions;
        papers.waiting.insert(question, (body, answer));
        papers.asked.push(Asked { question, what });
        answered
    }

    /// Gives the calls of an operation the ids that they have in every world of these choices.
    fn name(&self, body: BodyId, operation: &mut Operation) {
        let Operation::Submit(submit) = operation else {
            return;
        };
        let mut papers = self.papers();
        let known = papers.commands.entry(body).or_default();
        let entries = submit
            .groups
            .iter_mut()
            .flat_map(|group| &mut group.entries);
        for entry in entries {
            if let Entry::Call(call) = entry {
                let drawn = call.start.command;
                let nth = known.iter().position(|id| *id == drawn);
                let nth = nth.unwrap_or_else(|| {
                    known.push(drawn);
                    known.len() - 1
                });
                let id = (body.0 as u128 + 1) << 16 | nth as u128;
                call.start.command = CommandId::from_u128(id);
            }
        }
    }

    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The store as one body has it.
pub(crate) struct DeskStore {
    desk: Desk,
    body: BodyId,
}

fn lost() -> StoreError {
    StoreError::Unavailable("no answer".to_owned())
}

fn refused<T: Send>() -> impl Future<Output = Result<T, StoreError>> + Send {
    let why = "in a simulation handlers start runs, and look at none";
    std::future::ready(Err(StoreError::Refused(why.to_owned())))
}

impl Store for DeskStore {
    fn shards(&self) -> Shards {
        Shards::ONE
    }

    async fn perform(&self, mut operation: Operation) -> Result<Reply, StoreError> {
        self.desk.name(self.body, &mut operation);
        let what = What::Perform(Box::new(operation));
        match self.desk.ask(self.body, what).await {
            Ok(Said::Performed(result)) => result,
            Ok(Said::Fetched(_)) | Err(_) => Err(lost()),
        }
    }

    async fn fetch(&self, wanted: Fetch) -> Result<Fetched, StoreError> {
        match self.desk.ask(self.body, What::Fetch(wanted)).await {
            Ok(Said::Fetched(result)) => result,
            Ok(Said::Performed(_)) | Err(_) => Err(lost()),
        }
    }

    async fn hint(&self) -> Hint {
        pending().await
    }
}

impl Inspect for DeskStore {
    fn run(&self, _: RunId) -> impl Future<Output = Result<Option<RunRecord>, StoreError>> + Send {
        refused()
    }

    fn journal(
        &self,
        _: RunId,
        _: Seq,
        _: u32,
    ) -> impl Future<Output = Result<Vec<StoredRow>, StoreError>> + Send {
        refused()
    }

    fn list(
        &self,
        _: &RunFilter,
        _: Option<(Timestamp, RunId)>,
        _: u32,
    ) -> impl Future<Output = Result<Vec<RunRow>, StoreError>> + Send {
        refused()
    }

    fn workers(&self) -> impl Future<Output = Result<Vec<WorkerRow>, StoreError>> + Send {
        refused()
    }

    fn definitions(&self) -> impl Future<Output = Result<Vec<DefinitionRow>, StoreError>> + Send {
        refused()
    }

    fn queues(&self) -> impl Future<Output = Result<Vec<QueueRecord>, StoreError>> + Send {
        refused()
    }

    fn schedule(
        &self,
        _: ScheduleId,
    ) -> impl Future<Output = Result<Option<ScheduleRecord>, StoreError>> + Send {
        refused()
    }

    fn schedules(
        &self,
        _: &ScheduleFilter,
        _: Option<&str>,
        _: u32,
    ) -> impl Future<Output = Result<Vec<ScheduleRow>, StoreError>> + Send {
        refused()
    }
}
