//! Setting a runtime up.
//!
//! Invariant: nothing is stored before everything that was set has been found right.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use squid_mesh_core::definition::{Definition, DefinitionKey};
use squid_mesh_core::id::Incarnation;
use squid_mesh_core::limits;
use squid_mesh_core::name::{DEFAULT_QUEUE, Name};
use squid_mesh_core::operation::{DefinitionConflict, Operation, Register, Registration, Reply};
use squid_mesh_core::store::Store as _;
use squid_mesh_core::worker::{Config, QueueConfig, Worker};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::attempts::Attempts;
use super::clock::Clock;
use super::driver::{Driver, MESSAGES};
use super::fitness::check_transactional;
use super::transacting::Desk;
use super::{LaunchError, Runtime, schedules};
use crate::author::Workflow;
use crate::client::{Client, Patience, Redaction, RedactionContext};
use crate::handler::{Handler, Handlers, Registry, TxHandler};
use crate::stores::{SharedStore, StoreSource};

/// Sets a [`Runtime`] up. Made by [`Runtime::builder`].
#[derive(Debug)]
#[must_use = "a runtime runs once it is started"]
pub struct RuntimeBuilder {
    source: StoreSource,
    workflows: Vec<(Arc<Definition>, Registry)>,
    drafts: Vec<serde_json::Value>,
    handlers: Handlers,
    queues: Vec<(String, u32)>,
    name: String,
    migrate: bool,
    pub(super) redaction: Redaction,
    settings: Settings,
}

/// How a worker behaves.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    lease: Duration,
    poll: Duration,
    grace: Duration,
    payload_limit: usize,
}

/// Settles that may be in flight at once: while one is decided here, another is written by the database. More of them would each
/// have fewer reports, and a transaction costs as much as many reports.
const SETTLES: usize = 2;

impl Runtime {
    /// Begins with a store: its URL (`sqlite:PATH`, `sqlite::memory:`, `postgres://...`), or one that is open already.
    pub fn builder(store: impl Into<StoreSource>) -> RuntimeBuilder {
        RuntimeBuilder {
            source: store.into(),
            workflows: Vec::new(),
            drafts: Vec::new(),
            handlers: Handlers::default(),
            queues: Vec::new(),
            name: format!("pid {}", std::process::id()),
            migrate: true,
            redaction: Redaction::default(),
            settings: Settings {
                lease: limits::LEASE_DEFAULT,
                poll: limits::POLL_DEFAULT,
                grace: limits::GRACE_DEFAULT,
                payload_limit: limits::PAYLOAD_BYTES_DEFAULT,
            },
        }
    }
}

impl RuntimeBuilder {
    /// Registers a workflow and its handlers. Several versions of one may be registered side by side.
    pub fn workflow<I, O>(mut self, workflow: impl Borrow<Workflow<I, O>>) -> Self {
        let workflow = workflow.borrow();
        self.workflows
            .push((workflow.definition().clone(), workflow.handlers().clone()));
        self
    }

    /// Registers the handlers of a list: for drafts, which may use those that it does not [disable](Handlers::disable).
    pub fn handlers(mut self, handlers: &Handlers) -> Self {
        self.handlers.extend(handlers);
        self
    }

    /// Registers a workflow authored as JSON. It can only name handlers that are registered here too, and not disabled.
    pub fn draft(mut self, draft: serde_json::Value) -> Self {
        self.drafts.push(draft);
        self
    }

    /// Registers a handler by name: for drafts, and for steps of versions whose workflow is gone from the code while runs
    /// of it are still in flight.
    pub fn handler<In, Out>(
        mut self,
        name: impl Into<String>,
        handler: impl Handler<In, Out>,
    ) -> Self
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        self.handlers = self.handlers.add(name, handler);
        self
    }

    /// Registers a handler of transactional steps by name, as [`RuntimeBuilder::handler`] does one of others.
    pub fn handler_tx<In, Out>(
        mut self,
        name: impl Into<String>,
        handler: impl TxHandler<In, Out>,
    ) -> Self
    where
        In: DeserializeOwned + Send + 'static,
        Out: Serialize + Send + 'static,
    {
        self.handlers = self.handlers.add_tx(name, handler);
        self
    }

    /// Serves a queue with so many concurrent attempts.
    ///
    /// Without any, every queue that a registered workflow names is served, and `default`, with 64 slots each.
    pub fn queue(mut self, name: impl Into<String>, slots: u32) -> Self {
        self.queues.push((name.into(), slots));
        self
    }

    /// How long a step is leased; renewed at a third of it. 30 s by default. A longer one survives longer outages of the
    /// store; a shorter one lets others take over sooner from a process that died.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.settings.lease = lease;
        self
    }

    /// How long an idle worker waits at most before it looks for work; 1 s by default. Hints and known due times wake it
    /// sooner.
    pub fn poll(mut self, poll: Duration) -> Self {
        self.settings.poll = poll;
        self
    }

    /// How long [`Runtime::shutdown`] lets handlers finish; 30 s by default.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.settings.grace = grace;
        self
    }

    /// The largest input, output or failure details, in bytes; 1 MiB by default, 64 MiB at most.
    pub fn payload_limit(mut self, bytes: usize) -> Self {
        self.settings.payload_limit = bytes;
        self
    }

    /// What people read as this process's name.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Whether to bring the store's schema up to date first; true by default. A store that was given open is left as it is.
    pub fn migrate(mut self, migrate: bool) -> Self {
        self.migrate = migrate;
        self
    }

    /// Lets a hook see every payload before a client of this runtime shows it to people: see
    /// [`Client::with_redaction`](crate::Client::with_redaction).
    pub fn redact(
        mut self,
        hook: impl Fn(&RedactionContext<'_>, &mut serde_json::Value) + Send + Sync + 'static,
    ) -> Self {
        self.redaction = Redaction::of(hook);
        self
    }

    /// Connects, registers, and begins to work. Has to be called within a tokio runtime. Dropping the future before it is
    /// done starts nothing.
    ///
    /// # Errors
    /// If anything is not as it should be. No run has been touched; starting again is safe.
    pub async fn start(self) -> Result<Runtime, LaunchError> {
        let redaction = self.redaction.clone();
        let Launch {
            store,
            config,
            registry,
            definitions,
            payload_limit,
        } = self.launch().await?;
        let clock = Clock::new();
        let (messages, receiver) = mpsc::channel(MESSAGES);
        let (incarnation, poll) = (config.incarnation, config.poll);
        let desk = Desk {
            transactions: store.transactions().cloned(),
            config: config.clone(),
        };
        let client = Client::beside(
            store.clone(),
            definitions,
            messages.clone(),
            payload_limit,
            poll,
        );
        let client = client.redacted(redaction);
        let attempts = Attempts::new(registry, desk, client.clone());
        let driver = Driver::new(
            Worker::new(config, clock.now()),
            clock,
            store,
            attempts,
            receiver,
        );
        tracing::info!(%incarnation, "runtime started");
        let driver = tokio::spawn(async move {
            if AssertUnwindSafe(driver.run()).catch_unwind().await.is_err() {
                tracing::error!(%incarnation, "the runtime panicked: it executes nothing more, and its leases run out");
            }
        });
        Ok(Runtime {
            client,
            incarnation,
            messages,
            driver,
        })
    }

    /// Everything up to the point where work begins.
    pub(super) async fn launch(self) -> Result<Launch, LaunchError> {
        self.settings.check()?;
        let (definitions, registry) = self.collect()?;
        let queues = self.queue_configs(&definitions)?;
        let handlers = Arc::new(registry.names());
        let store = self.source.open(self.migrate).await?;
        check_transactional(
            definitions.values(),
            &registry,
            store.transactions().map(AsRef::as_ref),
            self.settings.lease,
        )?;
        let incarnation = Incarnation::from_u128(Uuid::new_v4().as_u128());
        let registration = Registration {
            incarnation,
            name: self.name.clone(),
            handlers: handlers.clone(),
            queues: queues.iter().map(|queue| queue.name.clone()).collect(),
        };
        register(
            &store,
            registration,
            definitions.values().cloned().collect(),
        )
        .await?;
        let workflows = newest(&definitions);
        schedules::declare(&store, &workflows).await?;
        let config = Config {
            incarnation,
            name: self.name,
            handlers,
            workflows: Arc::new(workflows),
            queues,
            shards: store.shards(),
            lease: self.settings.lease,
            poll: self.settings.poll,
            grace: self.settings.grace,
            payload_limit: self.settings.payload_limit,
            settles: SETTLES,
            mutation: squid_mesh_core::mutant::Mutation::default(),
        };
        let payload_limit = self.settings.payload_limit;
        Ok(Launch {
            store,
            config,
            registry: Arc::new(registry),
            definitions,
            payload_limit,
        })
    }

    /// All definitions by key and all handlers by name, or what is contradictory among them.
    fn collect(&self) -> Result<(BTreeMap<DefinitionKey, Arc<Definition>>, Registry), LaunchError> {
        let mut registry = Registry::default();
        self.handlers.register(&mut registry)?;
        for (_, handlers) in &self.workflows {
            for (name, handler) in handlers.iter() {
                registry.add(name, handler)?;
            }
        }
        let mut all: Vec<Arc<Definition>> = self
            .workflows
            .iter()
            .map(|(definition, _)| definition.clone())
            .collect();
        for draft in &self.drafts {
            let definition = Definition::parse(draft).map_err(LaunchError::Draft)?;
            self.handlers
                .check(&definition, &registry)
                .map_err(LaunchError::Draft)?;
            all.push(Arc::new(definition));
        }
        let mut definitions: BTreeMap<DefinitionKey, Arc<Definition>> = BTreeMap::new();
        let mut conflicts = Vec::new();
        for definition in all {
            match definitions.get(definition.key()) {
                Some(known) if known.digest() != definition.digest() => {
                    let differences = definition.differences(known);
                    conflicts.push(DefinitionConflict {
                        key: definition.key().clone(),
                        differences,
                    });
                }
                Some(_) => {}
                None => {
                    definitions.insert(definition.key().clone(), definition);
                }
            }
        }
        if conflicts.is_empty() {
            Ok((definitions, registry))
        } else {
            Err(LaunchError::Definitions(conflicts))
        }
    }

    fn queue_configs(
        &self,
        definitions: &BTreeMap<DefinitionKey, Arc<Definition>>,
    ) -> Result<Vec<QueueConfig>, LaunchError> {
        let mut queues = BTreeMap::new();
        for (name, slots) in &self.queues {
            queues.insert(Name::new(name)?, *slots);
        }
        if queues.is_empty() {
            let steps = definitions
                .values()
                .flat_map(|definition| definition.steps());
            let named = steps.filter_map(|step| step.queue.clone());
            let defaults = definitions
                .values()
                .map(|definition| definition.queue().clone());
            let all: BTreeSet<Name> = named
                .chain(defaults)
                .chain([Name::stored(DEFAULT_QUEUE)])
                .collect();
            queues.extend(all.into_iter().map(|name| (name, limits::SLOTS_DEFAULT)));
        }
        Ok(queues
            .into_iter()
            .map(|(name, slots)| QueueConfig { name, slots })
            .collect())
    }
}

/// What a runtime is made of, once its store knows it.
pub(super) struct Launch {
    pub(super) store: SharedStore,
    pub(super) config: Config,
    pub(super) registry: Arc<Registry>,
    pub(super) definitions: BTreeMap<DefinitionKey, Arc<Definition>>,
    pub(super) payload_limit: usize,
}

impl Settings {
    fn check(&self) -> Result<(), LaunchError> {
        let out_of_range = |setting, found: String, expected: String| {
            Err(LaunchError::Setting {
                setting,
                found,
                expected,
            })
        };
        let (min, max) = (limits::LEASE_MIN, limits::LEASE_MAX);
        if !(min..=max).contains(&self.lease) {
            return out_of_range(
                "lease",
                format!("{:?}", self.lease),
                format!("{min:?} to {max:?}"),
            );
        }
        if self.poll.is_zero() {
            return out_of_range(
                "poll",
                format!("{:?}", self.poll),
                "more than nothing".to_owned(),
            );
        }
        let max = limits::PAYLOAD_BYTES_MAX;
        if !(1..=max).contains(&self.payload_limit) {
            return out_of_range(
                "payload_limit",
                self.payload_limit.to_string(),
                format!("1 to {max} bytes"),
            );
        }
        Ok(())
    }
}

/// The highest version of each workflow.
fn newest(
    definitions: &BTreeMap<DefinitionKey, Arc<Definition>>,
) -> BTreeMap<Name, Arc<Definition>> {
    // In key order: of one name the highest version comes last.
    let named = definitions.values();
    named
        .map(|definition| (definition.name().clone(), Arc::clone(definition)))
        .collect()
}

async fn register(
    store: &SharedStore,
    worker: Registration,
    definitions: Vec<Arc<Definition>>,
) -> Result<(), LaunchError> {
    let operation = Operation::Register(Register {
        worker: Some(worker),
        definitions,
    });
    match Patience::default().perform(store, operation).await? {
        Reply::Registered(conflicts) if conflicts.is_empty() => Ok(()),
        Reply::Registered(conflicts) => Err(LaunchError::Definitions(conflicts)),
        other => unreachable!("a registration is answered by {other:?}"),
    }
}
