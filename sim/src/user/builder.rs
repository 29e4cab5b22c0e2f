//! Putting a campaign together.
//!
//! Invariant: what cannot be run is refused by [`Campaign::run`] before the first world, with everything it names.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use squid_mesh_core::time::Timestamp;

use super::property::{Kind, Property, Verdict};
use super::source::{Authored, IntoAuthored, Source};
use super::{CampaignError, Commands, Faults, Passed, Scripted};
use crate::cast::Maker;

/// A campaign over workflows of one's own: many simulated worlds in which everything goes wrong that can, each judged by the
/// engine's promises and by what the campaign says of it.
///
/// `E` is the [environment](Campaign::environment) of its handlers, made anew for each world.
///
/// ```
/// use squid_mesh_core::definition::Definition;
/// use squid_mesh_sim::{self as sim, Faults, Scripted};
///
/// let order = Definition::parse(&serde_json::json!({
///     "name": "order", "version": 1, "result": "output(charge)",
///     "steps": [{"name": "charge", "handler": "charge_card", "input": "input", "retry": {"max_attempts": 5}}],
/// }))?;
/// sim::campaign("order")
///     .workflow(order)
///     .start(|number| serde_json::json!({"id": number, "cents": 500}))
///     .handler("charge_card", Scripted::effect("payments"))
///     .workers(1..=3)
///     .faults(Faults::all())
///     .always("charged at most once", |world| {
///         world.ledger("payments").entries().len() <= world.runs().count()
///     })
///     .sometimes("charged again", |world| {
///         world.ledger("payments").entries().iter().any(|entry| entry.posted > 1)
///     })
///     .eventually("all ended", |world| world.all_ended())
///     .run(40)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "a campaign does nothing unless it is run"]
pub struct Campaign<E = ()> {
    pub(super) name: String,
    pub(super) environment: Arc<dyn Fn() -> E + Send + Sync>,
    pub(super) workflows: Vec<Planned<E>>,
    #[cfg(feature = "workflows")]
    pub(super) lists: Vec<super::actors::List<E>>,
    pub(super) properties: Vec<Property<E>>,
    pub(super) options: Options,
}

/// A workflow of a campaign, with what its starts carry.
pub(super) struct Planned<E> {
    pub(super) source: Source<E>,
    pub(super) input: Option<Maker>,
    /// Which release of the service brings it.
    pub(super) release: usize,
}

/// What does not depend on the environment.
pub(super) struct Options {
    pub(super) scripts: Vec<(String, Scripted)>,
    pub(super) ignoring_keys: BTreeSet<String>,
    pub(super) signals: BTreeMap<String, Maker>,
    pub(super) real: bool,
    pub(super) workers: RangeInclusive<usize>,
    pub(super) runs: RangeInclusive<usize>,
    pub(super) faults: Faults,
    pub(super) commands: Commands,
    pub(super) longest: Option<Duration>,
    pub(super) begins: Option<Timestamp>,
    pub(super) from: u64,
    pub(super) threads: Option<usize>,
    pub(super) twice_one_in: u64,
    pub(super) shrinks_for: Duration,
    pub(super) regressions: Kept,
    /// What was put together in an order that makes no sense.
    pub(super) misplaced: Vec<String>,
}

/// Where regressions are kept.
pub(super) enum Kept {
    /// Beside the manifest of the crate under test.
    BesideTheCrate,
    /// In this file.
    In(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// Begins a campaign of this name, which is also that of its file of regressions.
pub fn campaign(name: impl Into<String>) -> Campaign {
    Campaign {
        name: name.into(),
        environment: Arc::new(|| ()),
        workflows: Vec::new(),
        #[cfg(feature = "workflows")]
        lists: Vec::new(),
        properties: Vec::new(),
        options: Options {
            scripts: Vec::new(),
            ignoring_keys: BTreeSet::new(),
            signals: BTreeMap::new(),
            real: false,
            workers: 1..=4,
            runs: 2..=8,
            faults: Faults::all(),
            commands: Commands::default(),
            longest: None,
            begins: None,
            from: 0,
            threads: None,
            twice_one_in: 16,
            shrinks_for: Duration::from_secs(10),
            regressions: Kept::BesideTheCrate,
            misplaced: Vec::new(),
        },
    }
}

impl Campaign {
    /// What the handlers of each world have around them: made anew for each, and shown to its properties.
    ///
    /// A fake bank, a fake warehouse: anything that handlers capture. See [`Ledger`](crate::env::Ledger).
    pub fn environment<E: 'static>(
        self,
        make: impl Fn() -> E + Send + Sync + 'static,
    ) -> Campaign<E> {
        let workflows = self.workflows.into_iter().map(|planned| Planned {
            source: planned.source.anywhere(),
            input: planned.input,
            release: planned.release,
        });
        let properties = self.properties.into_iter().map(Property::anywhere);
        Campaign {
            name: self.name,
            environment: Arc::new(make),
            workflows: workflows.collect(),
            #[cfg(feature = "workflows")]
            lists: super::actors::anywhere(self.lists),
            properties: properties.collect(),
            options: self.options,
        }
    }
}

impl<E: 'static> Campaign<E> {
    /// A workflow: the one that production uses (with the feature `workflows`), or a definition. Its handlers are scripted
    /// unless [`real_handlers`](Campaign::real_handlers) says otherwise. Children have to be given too.
    pub fn workflow(self, workflow: impl IntoAuthored) -> Self {
        let source = Source::Fixed(workflow.authored());
        self.planned(source, 0)
    }

    /// A workflow that is made for each world, with handlers that have its environment. They are really executed, unless they
    /// are [scripted](Campaign::handler).
    pub fn workflow_with<W: IntoAuthored, X: Display>(
        mut self,
        make: impl Fn(&E) -> Result<W, X> + Send + Sync + 'static,
    ) -> Self {
        self.options.real = true;
        self.planned(made(make), 0)
    }

    /// The next version of the service brings this workflow, most likely the next version of one: at a drawn time nodes start
    /// again with it one after the other, and some go back in between. They keep what they had before, for the runs that are under
    /// way; of handlers that both have under one name, each release executes its own.
    pub fn deploy(self, workflow: impl IntoAuthored) -> Self {
        let source = Source::Fixed(workflow.authored());
        self.planned(source, 1)
    }

    /// The same of a workflow that is made for each world.
    pub fn deploy_with<W: IntoAuthored, X: Display>(
        mut self,
        make: impl Fn(&E) -> Result<W, X> + Send + Sync + 'static,
    ) -> Self {
        self.options.real = true;
        self.planned(made(make), 1)
    }

    /// Clients start runs of the workflow that was given last, the n-th with what this makes of n. A workflow without starts is
    /// run as a child only.
    pub fn start<T: Serialize>(mut self, input: impl Fn(u64) -> T + Send + Sync + 'static) -> Self {
        let json = move |number| {
            serde_json::to_value(input(number)).expect("an input can be written as JSON")
        };
        match self.workflows.last_mut() {
            Some(planned) => planned.input = Some(Maker::new(json)),
            None => {
                let why = "`start` comes after the workflow that is started".to_owned();
                self.options.misplaced.push(why);
            }
        }
        self
    }

    /// How the handler of this name is played.
    pub fn handler(mut self, name: impl Into<String>, scripted: Scripted) -> Self {
        self.options.scripts.push((name.into(), scripted));
        self
    }

    /// Handlers are really executed, as those of the workflows have been given, unless they are [scripted](Campaign::handler).
    #[cfg(feature = "workflows")]
    pub fn real_handlers(mut self) -> Self {
        self.options.real = true;
        self
    }

    /// These handlers are really executed, instead of those that workflows have under the same names. The list is made for each
    /// world.
    #[cfg(feature = "workflows")]
    pub fn handlers(
        mut self,
        make: impl Fn(&E) -> squid_mesh::Handlers + Send + Sync + 'static,
    ) -> Self {
        self.lists.push(Arc::new(make));
        self
    }

    /// The ledger of [scripted effects](Scripted::effect) of this name books whatever it is told, whether it knows the key or
    /// not.
    pub fn ledger_ignoring_keys(mut self, name: impl Into<String>) -> Self {
        self.options.ignoring_keys.insert(name.into());
        self
    }

    /// What signals of this name carry, the n-th what this makes of n. Required for each signal that a workflow waits for.
    pub fn signal<T: Serialize>(
        mut self,
        name: impl Into<String>,
        payload: impl Fn(u64) -> T + Send + Sync + 'static,
    ) -> Self {
        let json = move |number| {
            serde_json::to_value(payload(number)).expect("a payload can be written as JSON")
        };
        self.options.signals.insert(name.into(), Maker::new(json));
        self
    }

    /// How many nodes there are; 1 to 4, unless this says otherwise.
    pub fn workers(mut self, count: RangeInclusive<usize>) -> Self {
        self.options.workers = count;
        self
    }

    /// How many runs clients start in a world; 2 to 8, unless this says otherwise.
    pub fn runs(mut self, count: RangeInclusive<usize>) -> Self {
        self.options.runs = count;
        self
    }

    /// What goes wrong; [everything](Faults::all), unless this says otherwise.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.options.faults = faults;
        self
    }

    /// What clients and people do besides starting runs.
    pub fn commands(mut self, commands: Commands) -> Self {
        self.options.commands = commands;
        self
    }

    /// The longest that an attempt takes when nothing is wrong, after which a run that has not ended counts as stuck. The
    /// longest of scripted handlers is known; for real ones it is ten minutes, unless this says otherwise.
    pub fn attempts_take_at_most(mut self, span: Duration) -> Self {
        self.options.longest = Some(span);
        self
    }

    /// When worlds begin, by the database's clock; in 2026 or 2028, unless this says otherwise. For inputs that name instants.
    pub fn begins_at(mut self, at: Timestamp) -> Self {
        self.options.begins = Some(at);
        self
    }

    /// Must hold after every operation that lands.
    pub fn always<V: Verdict>(
        self,
        name: impl Into<String>,
        property: impl Fn(&super::WorldView<'_, E>) -> V + Send + Sync + 'static,
    ) -> Self {
        self.property(Property::new(name.into(), Kind::Always, property))
    }

    /// Must hold at some time in at least one world of a campaign: what a campaign is for is to get there.
    pub fn sometimes<V: Verdict>(
        self,
        name: impl Into<String>,
        property: impl Fn(&super::WorldView<'_, E>) -> V + Send + Sync + 'static,
    ) -> Self {
        self.property(Property::new(name.into(), Kind::Sometimes, property))
    }

    /// Must hold at the end of every world, when the faults have stopped and every run has had the time to end.
    pub fn eventually<V: Verdict>(
        self,
        name: impl Into<String>,
        property: impl Fn(&super::WorldView<'_, E>) -> V + Send + Sync + 'static,
    ) -> Self {
        self.property(Property::new(name.into(), Kind::Eventually, property))
    }

    /// The first seed; 0, unless this says otherwise.
    pub fn from(mut self, seed: u64) -> Self {
        self.options.from = seed;
        self
    }

    /// How many threads; as many as there are processors, unless this says otherwise. What comes out does not depend on it.
    pub fn threads(mut self, threads: usize) -> Self {
        self.options.threads = Some(threads);
        self
    }

    /// Of how many worlds one is run twice, to see that it comes out the same; 16, unless this says otherwise, and 0 for none.
    pub fn twice_one_in(mut self, worlds: u64) -> Self {
        self.options.twice_one_in = worlds;
        self
    }

    /// For how long at most a world that failed is made smaller before it is told of; 10 s, unless this says otherwise, and zero
    /// for not at all.
    pub fn shrink_for(mut self, time: Duration) -> Self {
        self.options.shrinks_for = time;
        self
    }

    /// Where worlds that failed are kept, which are run first from then on; `sim-regressions/{name}.json` beside the manifest
    /// of the crate under test, unless this says otherwise.
    pub fn regressions(mut self, file: impl Into<PathBuf>) -> Self {
        self.options.regressions = Kept::In(file.into());
        self
    }

    /// Worlds that failed are not kept.
    pub fn without_regressions(mut self) -> Self {
        self.options.regressions = Kept::Nowhere;
        self
    }

    /// Runs so many worlds: first those that failed before, then the seeds.
    ///
    /// With `SQUID_MESH_SIM_SEED=42` in the environment only that seed is run, and with `SQUID_MESH_SIM_SEEDS=100000` so many.
    ///
    /// # Errors
    /// [`CampaignError::Broken`] with the world of the lowest seed in which something did not hold, which is recorded;
    /// [`CampaignError::Never`] if something that must hold sometimes never did; [`CampaignError::SetUp`] if the campaign makes
    /// no sense, before any world.
    pub fn run(self, seeds: u64) -> Result<Passed, CampaignError> {
        super::run::run(self, seeds)
    }

    fn planned(mut self, source: Source<E>, release: usize) -> Self {
        self.workflows.push(Planned {
            source,
            input: None,
            release,
        });
        self
    }

    fn property(mut self, property: Property<E>) -> Self {
        self.properties.push(property);
        self
    }
}

fn made<E, W: IntoAuthored, X: Display>(
    make: impl Fn(&E) -> Result<W, X> + Send + Sync + 'static,
) -> Source<E> {
    let make = move |env: &E| -> Result<Authored, String> {
        let workflow = make(env).map_err(|error| error.to_string())?;
        Ok(workflow.authored())
    };
    Source::Made(Arc::new(make))
}
