//! Hints that work may be due, over LISTEN and NOTIFY.
//!
//! A NOTIFY waits for every other one of its database when it commits, so it is never part of an operation: queues are
//! gathered while one is under way, and sent together by the next.
//!
//! Invariant: nothing depends on a hint. One that is lost costs the time until somebody looks again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPoolOptions};
use squid_mesh_core::name::{ENGINE_QUEUE, Name};
use squid_mesh_core::store::Hint;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::connect::Connections;
use crate::sql;

/// Between two notifications of one process, at least.
const PACE: Duration = Duration::from_millis(2);
/// Before a broken connection is made again.
const PAUSE: Duration = Duration::from_secs(1);
/// Queues remembered one by one. Above it, a hint names no queue.
const QUEUES: usize = 256;

/// Sends and hears hints, on tasks that begin with the first use and end with this.
#[derive(Debug)]
pub(crate) struct Hints {
    connections: Arc<Connections>,
    channel: Arc<str>,
    outbox: Arc<Outbox>,
    inbox: Arc<Inbox>,
    sender: OnceLock<Task>,
    listener: OnceLock<Task>,
}

impl Hints {
    pub(crate) fn new(connections: Arc<Connections>, schema: &str) -> Hints {
        Hints {
            connections,
            channel: format!("squid_mesh.{schema}").into(),
            outbox: Arc::default(),
            inbox: Arc::default(),
            sender: OnceLock::new(),
            listener: OnceLock::new(),
        }
    }

    /// Has these queues hinted at soon.
    pub(crate) fn send(&self, queues: BTreeSet<Name>) {
        if queues.is_empty() {
            return;
        }
        self.outbox.queues().extend(queues);
        self.outbox.filled.notify_one();
        self.sender.get_or_init(|| {
            let (connections, outbox) = (Arc::clone(&self.connections), Arc::clone(&self.outbox));
            Task(tokio::spawn(send(
                connections,
                Arc::clone(&self.channel),
                outbox,
            )))
        });
    }

    /// Sends what is waiting to be sent, for a process that is about to end.
    pub(crate) async fn flush(&self) {
        let queues = std::mem::take(&mut *self.outbox.queues());
        notify(&self.connections, &self.channel, queues).await;
    }

    /// Waits for a hint that was not heard under this number before. Cancellation-safe.
    pub(crate) async fn hear(&self, heard: &AtomicU64) -> Hint {
        self.listener.get_or_init(|| {
            let (connections, inbox) = (Arc::clone(&self.connections), Arc::clone(&self.inbox));
            Task(tokio::spawn(listen(
                connections,
                Arc::clone(&self.channel),
                inbox,
            )))
        });
        loop {
            // Made before looking, so that what arrives in between wakes it.
            let arrived = self.inbox.arrived.notified();
            if let Some(hint) = self.inbox.state().since(heard) {
                return hint;
            }
            arrived.await;
        }
    }
}

/// A task that ends with its owner.
#[derive(Debug)]
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is to be sent.
#[derive(Debug, Default)]
struct Outbox {
    queues: Mutex<BTreeSet<Name>>,
    filled: Notify,
}

impl Outbox {
    fn queues(&self) -> MutexGuard<'_, BTreeSet<Name>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn send(connections: Arc<Connections>, channel: Arc<str>, outbox: Arc<Outbox>) {
    loop {
        outbox.filled.notified().await;
        let queues = std::mem::take(&mut *outbox.queues());
        notify(&connections, &channel, queues).await;
        sleep(PACE).await;
    }
}

async fn notify(connections: &Connections, channel: &str, queues: BTreeSet<Name>) {
    if queues.is_empty() {
        return;
    }
    let Ok(mut lent) = connections.lend().await else {
        return;
    };
    let names: Vec<&str> = queues.iter().map(Name::as_str).collect();
    match sqlx::query(sql::NOTIFY)
        .bind(channel)
        .bind(names)
        .execute(&mut *lent)
        .await
    {
        Ok(_) => lent.give_back(),
        Err(error) => tracing::debug!(%error, "a hint was not sent"),
    }
}

/// What was heard.
#[derive(Debug, Default)]
struct Inbox {
    state: Mutex<Heard>,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct Heard {
    /// Counts hints.
    number: u64,
    /// The last hint at each queue.
    queues: BTreeMap<Name, u64>,
    /// The last hint at no queue in particular.
    any: u64,
}

impl Inbox {
    fn state(&self) -> MutexGuard<'_, Heard> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrive(&self, queue: Option<Name>) {
        self.state().add(queue);
        self.arrived.notify_waiters();
    }
}

impl Heard {
    fn add(&mut self, queue: Option<Name>) {
        self.number += 1;
        match queue {
            Some(queue) if self.queues.len() < QUEUES || self.queues.contains_key(&queue) => {
                self.queues.insert(queue, self.number);
            }
            Some(_) | None => self.any = self.number,
        }
    }

    /// What was heard after `heard`, which is moved on.
    fn since(&self, heard: &AtomicU64) -> Option<Hint> {
        let before = heard.swap(self.number, Ordering::Relaxed);
        if self.any > before {
            return Some(Hint { queue: None });
        }
        let mut queues = self
            .queues
            .iter()
            .filter(|(_, number)| **number > before)
            .map(|(queue, _)| queue);
        match (queues.next(), queues.next()) {
            (None, _) => None,
            (Some(queue), None) => Some(Hint {
                queue: Some(queue.clone()),
            }),
            (Some(_), Some(_)) => Some(Hint { queue: None }),
        }
    }
}

async fn listen(connections: Arc<Connections>, channel: Arc<str>, inbox: Arc<Inbox>) {
    loop {
        if let Err(error) = listen_once(&connections, &channel, &inbox).await {
            tracing::debug!(%error, "cannot listen for hints");
        }
        sleep(PAUSE).await;
    }
}

/// Listens until the connection breaks in a way that is not mended at once.
async fn listen_once(
    connections: &Connections,
    channel: &str,
    inbox: &Inbox,
) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .acquire_timeout(connections.patience())
        .connect_lazy_with(connections.options().clone());
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(channel).await?;
    // Whatever was hinted at while nobody listened.
    inbox.arrive(None);
    loop {
        let heard = listener.try_recv().await?;
        let queue = heard.and_then(|notification| queue(notification.payload()));
        inbox.arrive(queue);
    }
}

/// The queue that a notification names. Anybody may notify, so what is no queue is a hint at none.
fn queue(payload: &str) -> Option<Name> {
    match payload {
        ENGINE_QUEUE => Some(Name::stored(ENGINE_QUEUE)),
        other => Name::new(other).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hint(queue: Option<&str>) -> Option<Hint> {
        Some(Hint {
            queue: queue.map(Name::stored),
        })
    }

    #[test]
    fn a_hint_is_heard_once_by_each_who_listens() {
        let mut heard = Heard::default();
        let (one, other) = (AtomicU64::new(0), AtomicU64::new(0));
        assert_eq!(heard.since(&one), None);
        heard.add(Some(Name::stored("mail")));
        assert_eq!(heard.since(&one), hint(Some("mail")));
        assert_eq!(heard.since(&one), None);
        heard.add(Some(Name::stored("print")));
        assert_eq!(heard.since(&one), hint(Some("print")));
        assert_eq!(heard.since(&other), hint(None));
        heard.add(None);
        assert_eq!(
            (heard.since(&one), heard.since(&other)),
            (hint(None), hint(None))
        );
    }

    #[test]
    fn more_queues_than_are_remembered_are_hinted_at_without_a_name() {
        let mut heard = Heard::default();
        let one = AtomicU64::new(0);
        (0..QUEUES).for_each(|n| heard.add(Some(Name::stored(&format!("q{n}")))));
        heard.since(&one);
        heard.add(Some(Name::stored("q0")));
        assert_eq!(heard.since(&one), hint(Some("q0")));
        heard.add(Some(Name::stored("one_more")));
        assert_eq!(heard.since(&one), hint(None));
        assert_eq!(heard.queues.len(), QUEUES);
    }

    #[test]
    fn a_notification_of_a_stranger_names_no_queue() {
        assert_eq!(queue("mail"), Some(Name::stored("mail")));
        assert_eq!(queue(ENGINE_QUEUE), Some(Name::stored(ENGINE_QUEUE)));
        assert_eq!(
            (queue(""), queue("$other"), queue("No queue")),
            (None, None, None)
        );
    }
}
