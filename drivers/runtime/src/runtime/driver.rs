//! The loop between the worker and the world.
//!
//! Invariant: no policy. One future owns the worker; every input that is there goes in with the moment it is taken, and every
//! action that follows is done before the next is waited for.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use squid_mesh_core::definition::LogLevel;
use squid_mesh_core::id::RunId;
use squid_mesh_core::operation::{Ended, Group, GroupReply, Operation};
use squid_mesh_core::store::{Fetch, Store, StoreError};
use squid_mesh_core::worker::{Action, Input, LogLine, SubmitError, Ticket, Worker};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinError, JoinSet};

use super::attempts::{Attempts, Finished};
use super::clock::Clock;
use super::transacting::Ending;
use super::watches::Watches;

/// What clients of this process ask of its worker.
#[derive(Debug)]
pub(crate) enum Message {
    /// Submit a group.
    Submit {
        group: Group,
        answer: oneshot::Sender<Result<GroupReply, SubmitError>>,
    },
    /// Say when a run ends by this worker's hand. The watch is sent back once it is kept.
    Watch {
        run: RunId,
        kept: oneshot::Sender<Watch>,
    },
    /// Stop claiming, let handlers finish, and end.
    Drain,
}

/// A watch that is kept.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Told when the run ends by this worker's hand.
    pub(crate) ended: oneshot::Receiver<Ended>,
    /// The worker holds a task of the run: as far as is known here, it has not ended.
    pub(crate) held: bool,
}

/// How many messages may wait for the loop before their senders do.
pub(crate) const MESSAGES: usize = 1_024;

/// Inputs taken before the worker is asked what to do.
const AT_ONCE: usize = 512;

/// The longest sleep; bounds how late a clock that jumped (a machine that slept) is noticed.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// Owns the worker and everything it set going.
pub(crate) struct Driver<S> {
    worker: Worker,
    clock: Clock,
    store: S,
    messages: mpsc::Receiver<Message>,
    operations: JoinSet<Input>,
    attempts: Attempts,
    answers: BTreeMap<u64, oneshot::Sender<Result<GroupReply, SubmitError>>>,
    watches: Watches,
    requests: u64,
}

/// What ended a sleep.
enum Woken {
    Input(Input),
    Message(Message),
    Deadline,
}

impl<S: Store + Clone> Driver<S> {
    pub(crate) fn new(
        worker: Worker,
        clock: Clock,
        store: S,
        attempts: Attempts,
        messages: mpsc::Receiver<Message>,
    ) -> Driver<S> {
        Driver {
            worker,
            clock,
            store,
            messages,
            operations: JoinSet::new(),
            attempts,
            answers: BTreeMap::new(),
            watches: Watches::default(),
            requests: 0,
        }
    }

    /// Runs until a drain is complete.
    pub(crate) async fn run(mut self) {
        let store = self.store.clone();
        let mut hint = Box::pin(store.hint());
        while !self.act() {
            let sleep = tokio::time::sleep(self.time_left());
            let woken = tokio::select! {
                Some(done) = self.operations.join_next() => {
                    Woken::Input(performed(done))
                }
                finished = self.attempts.finished() => Woken::Input(input(finished)),
                Some(message) = self.messages.recv() => Woken::Message(message),
                hint = &mut hint => Woken::Input(Input::Hint(hint)),
                () = sleep => Woken::Deadline,
            };
            if matches!(woken, Woken::Input(Input::Hint(_))) {
                hint.set(store.hint());
            }
            self.take(woken);
            self.take_ready().await;
        }
    }

    fn take(&mut self, woken: Woken) {
        let input = match woken {
            Woken::Input(input) => Some(input),
            Woken::Message(message) => self.accept(message),
            Woken::Deadline => None,
        };
        if let Some(input) = input {
            self.worker.handle(input, self.clock.now());
        }
    }

    /// Takes in whatever else is there, once everything else that could go on has: what ends together is reported together,
    /// not the first of it alone.
    async fn take_ready(&mut self) {
        tokio::task::yield_now().await;
        for _ in 0..AT_ONCE {
            let Some(woken) = self.ready() else {
                return;
            };
            self.take(woken);
        }
    }

    fn ready(&mut self) -> Option<Woken> {
        if let Some(finished) = self.attempts.try_finished() {
            return Some(Woken::Input(input(finished)));
        }
        if let Some(done) = self.operations.try_join_next() {
            return Some(Woken::Input(performed(done)));
        }
        self.messages.try_recv().ok().map(Woken::Message)
    }

    /// Does what the worker asks for, until it asks for nothing; whether it has stopped.
    fn act(&mut self) -> bool {
        while let Some(action) = self.worker.poll(self.clock.now()) {
            match action {
                Action::Perform { ticket, operation } => self.perform(ticket, operation),
                Action::Fetch { ticket, wanted } => self.fetch(ticket, wanted),
                Action::Execute(execution) => self.attempts.execute(*execution),
                Action::Stop { attempt, reason } => self.attempts.stop(attempt, reason),
                Action::Abort { attempt } => self.attempts.abort(attempt),
                Action::Answer { request, result } => {
                    if let Some(answer) = self.answers.remove(&request) {
                        // A client that has stopped waiting has dropped its end.
                        let _ = answer.send(result);
                    }
                }
                Action::Log(line) => log(&line),
                Action::Ended(ended) => self.watches.ended(ended),
                Action::Stopped => return true,
            }
        }
        false
    }

    fn time_left(&self) -> Duration {
        let deadline = self.worker.deadline().map(|(at, reason)| {
            tracing::trace!(?reason, "sleeping");
            at.since(self.clock.now())
        });
        deadline.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)
    }

    fn accept(&mut self, message: Message) -> Option<Input> {
        match message {
            Message::Submit { group, answer } => {
                self.requests += 1;
                self.answers.insert(self.requests, answer);
                Some(Input::Submit {
                    request: self.requests,
                    group,
                })
            }
            Message::Watch { run, kept } => {
                // A client that has stopped waiting has dropped its end, and with it the watch.
                let _ = kept.send(Watch {
                    ended: self.watches.keep(run),
                    held: self.worker.holds(run),
                });
                None
            }
            Message::Drain => Some(Input::Drain),
        }
    }

    fn perform(&mut self, ticket: Ticket, operation: Operation) {
        let store = self.store.clone();
        self.operations.spawn(async move {
            let performed = AssertUnwindSafe(store.perform(operation))
                .catch_unwind()
                .await;
            Input::Performed {
                ticket,
                result: performed.unwrap_or_else(|_| Err(panicked())),
            }
        });
    }

    fn fetch(&mut self, ticket: Ticket, wanted: Fetch) {
        let store = self.store.clone();
        self.operations.spawn(async move {
            let fetched = AssertUnwindSafe(store.fetch(wanted)).catch_unwind().await;
            Input::Fetched {
                ticket,
                result: fetched.unwrap_or_else(|_| Err(panicked())),
            }
        });
    }
}

fn performed(done: Result<Input, JoinError>) -> Input {
    done.expect("operations are not aborted, and their panics are caught")
}

fn input(Finished { attempt, ending }: Finished) -> Input {
    match ending {
        Ending::Returned(result) => Input::Finished { attempt, result },
        Ending::Settled(settled) => Input::SettledInPlace(settled),
        Ending::Conflicted => Input::Conflicted { attempt },
    }
}

/// Writes a line that a step wants in the host's log.
fn log(line: &LogLine) {
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(
                target: "squid_mesh::log",
                run = %line.run,
                workflow = %line.definition,
                step = %line.step,
                "{}",
                line.message
            )
        };
    }
    match line.level {
        LogLevel::Debug => at!(debug),
        LogLevel::Info => at!(info),
        LogLevel::Warn => at!(warn),
        LogLevel::Error => at!(error),
    }
}

/// A store that panicked may have committed, or not.
fn panicked() -> StoreError {
    tracing::error!("the store panicked");
    StoreError::Unavailable("the store panicked".to_owned())
}
