//! Where real handlers are executed: a tokio runtime whose clock the world sets.
//!
//! Timers of tokio are exact to the millisecond, and so is this clock: it shows the world's time cut to milliseconds.
//!
//! Invariant: nothing on stage is ahead of the world, and nothing but the world lets time go on.

use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use squid_mesh::{Attempt, Client, SharedStore};
use squid_mesh_core::name::Name;
use squid_mesh_core::worker::{AttemptFailure, Execution, Returned, StopReason};
use tokio::runtime::Runtime;
use tokio::time::{Instant, sleep_until};

use super::actors::Actors;
use super::desk::Desk;
use super::line::{Asked, Said};
use super::play::Stage;
use crate::clock::SimTime;
use crate::ghost::BodyId;
use crate::panics;

/// Executes the futures of one world's handlers.
pub(crate) struct TokioStage {
    // Dropped before the runtime that their timers are of.
    bodies: BTreeMap<BodyId, Attempt>,
    actors: Vec<(usize, Arc<dyn Actors>)>,
    desk: Desk,
    wakes: Arc<Wakes>,
    began: Instant,
    runtime: Runtime,
}

/// Which bodies are to be polled.
#[derive(Default)]
struct Wakes(Mutex<Woken>);

#[derive(Default)]
struct Woken {
    bodies: Vec<BodyId>,
    /// Whoever lets time go on meanwhile.
    driver: Option<Waker>,
}

impl Wakes {
    fn woken(&self) -> MutexGuard<'_, Woken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The waker of one body.
struct Waking {
    id: BodyId,
    wakes: Arc<Wakes>,
}

impl Wake for Waking {
    fn wake(self: Arc<Self>) {
        let mut woken = self.wakes.woken();
        if !woken.bodies.contains(&self.id) {
            woken.bodies.push(self.id);
        }
        let driver = woken.driver.take();
        drop(woken);
        if let Some(driver) = driver {
            driver.wake();
        }
    }
}

impl TokioStage {
    /// A stage with these handlers, each list with the release of the service that has it.
    pub(crate) fn new(actors: Vec<(usize, Arc<dyn Actors>)>) -> TokioStage {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without threads and sockets can be made");
        let began = runtime.block_on(async { Instant::now() });
        TokioStage {
            bodies: BTreeMap::new(),
            actors,
            desk: Desk::default(),
            wakes: Arc::default(),
            began,
            runtime,
        }
    }

    fn at(&self, now: SimTime) -> Instant {
        self.began + Duration::from_millis(now.0 / 1_000)
    }

    /// Lets time go on up to an instant, or until somebody is to be polled.
    fn drive(&mut self, until: Instant) {
        let wakes = &self.wakes;
        let driving = async {
            let mut there = pin!(sleep_until(until));
            poll_fn(|cx| {
                let mut woken = wakes.woken();
                if !woken.bodies.is_empty() {
                    return Poll::Ready(());
                }
                woken.driver = Some(cx.waker().clone());
                drop(woken);
                there.as_mut().poll(cx)
            })
            .await;
        };
        // A task that a handler has spawned and that panics is caught by its runtime, as in production.
        panics::contained(|| self.runtime.block_on(driving));
    }

    /// Whether anything on it may want to go on.
    fn is_busy(&self) -> bool {
        !self.bodies.is_empty() || self.runtime.metrics().num_alive_tasks() > 0
    }
}

impl Stage for TokioStage {
    fn has(&self, handler: &Name) -> bool {
        self.actors
            .iter()
            .any(|(_, actors)| actors.has(handler.as_str()))
    }

    fn begin(&mut self, id: BodyId, execution: &Execution, release: usize) {
        let store = SharedStore::new(self.desk.of(id));
        let connecting = Client::connect(store);
        let client = self.runtime.block_on(connecting);
        let client = client.expect("a store that is open already is connected to");
        let known = self
            .actors
            .iter()
            .rev()
            .filter(|(since, _)| *since <= release);
        let mut attempts = known.filter_map(|(_, actors)| actors.attempt(execution, &client));
        let attempt = attempts.next();
        // A release has the handlers of those before it, so that it can go on with their runs.
        let attempt = attempt.expect("a process claims only what its release has handlers for");
        self.bodies.insert(id, attempt);
    }

    fn poll(&mut self, id: BodyId, now: SimTime) -> Option<Result<Returned, AttemptFailure>> {
        if Instant::now_in(&self.runtime) < self.at(now) {
            self.drive(self.at(now));
        }
        let attempt = self.bodies.get_mut(&id)?;
        self.wakes.woken().bodies.retain(|woken| *woken != id);
        let wakes = Arc::clone(&self.wakes);
        let waker = Waker::from(Arc::new(Waking { id, wakes }));
        let _entered = self.runtime.enter();
        let polled = panics::contained(|| Pin::new(attempt).poll(&mut Context::from_waker(&waker)));
        match polled {
            Poll::Ready(result) => Some(result),
            Poll::Pending => None,
        }
    }

    fn stop(&mut self, id: BodyId, reason: StopReason) {
        if let Some(attempt) = self.bodies.get(&id) {
            attempt.stop(reason);
        }
    }

    fn end(&mut self, id: BodyId) {
        let _entered = self.runtime.enter();
        if let Some(attempt) = self.bodies.remove(&id) {
            panics::contained(|| drop(attempt));
        }
        self.wakes.woken().bodies.retain(|woken| *woken != id);
        self.desk.ended(id);
    }

    fn advance(&mut self, until: SimTime) -> Option<(SimTime, Vec<BodyId>)> {
        if !self.is_busy() {
            return None;
        }
        self.drive(self.at(until));
        let woken = std::mem::take(&mut self.wakes.woken().bodies);
        if woken.is_empty() {
            return None;
        }
        let passed = Instant::now_in(&self.runtime).duration_since(self.began);
        Some((SimTime(0).plus(passed), woken))
    }

    fn asked(&mut self) -> Vec<Asked> {
        self.desk.asked()
    }

    fn answered(&mut self, question: u64, said: Said) {
        self.desk.answered(question, said);
    }
}

/// The time that a runtime's clock shows, from outside.
trait NowIn {
    fn now_in(runtime: &Runtime) -> Instant;
}

impl NowIn for Instant {
    fn now_in(runtime: &Runtime) -> Instant {
        let _entered = runtime.enter();
        Instant::now()
    }
}
