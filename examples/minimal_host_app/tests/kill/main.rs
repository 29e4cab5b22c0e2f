//! Two hundred runs of mixed workflows while their worker is killed again and again, on both databases.
//!
//! The test process starts and cancels the runs, and is the payment gateway; everything else happens in a worker process
//! that gets SIGKILL at random. Then one worker is left alone to finish, and journal, snapshot, agenda and the application's
//! tables are compared.
//!
//! The seed of the random choices is printed; `KILL_SEED` sets it.
//!
//! Invariant: nothing here waits without a bound.

mod mix;
mod verdict;

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use minimal_host_app::gateway::Weather;
use minimal_host_app::place::Place;
use minimal_host_app::process::WorkerProcess;
use minimal_host_app::scene::Scene;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use squid_mesh_test_support::{TestDatabase, sqlite_url};

use mix::Mix;

/// How many runs.
const RUNS: u32 = 200;

/// For how long workers are killed, while the runs are started.
const KILLING: Duration = Duration::from_secs(9);

/// How long the last worker may take to finish what is left: seconds, but for a machine that is busy with other things.
const FINISHING: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_run_ends_as_it_should_on_sqlite_however_often_its_worker_is_killed() {
    let file = sqlite_url().expect("a temporary directory");
    survive(file.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_run_ends_as_it_should_on_postgres_however_often_its_worker_is_killed() {
    let database = tokio::task::spawn_blocking(TestDatabase::fresh)
        .await
        .expect("a database");
    survive(database.url()).await;
}

/// Everything that the test process works with.
struct World {
    url: String,
    scene: Scene,
}

async fn survive(url: &str) {
    let began = Instant::now();
    let seed = seed();
    eprintln!("seed: {seed} (set KILL_SEED to repeat its choices)");
    let world = World::open(url).await;
    // Definitions are stored by the first worker that gets to work; runs can be started from then on.
    let first = ready(world.worker()).await;
    let mix = Mix::new(seed, RUNS);
    let (kills, runs) = tokio::join!(
        kill_workers(first, &world, seed),
        mix.start(&world, KILLING)
    );
    let killing = began.elapsed();

    let last = ready(world.worker()).await;
    mix::wait_until_all_ended(&world, FINISHING).await;
    last.terminate()
        .await
        .expect("a worker stops when it is told to");
    let finished = began.elapsed();

    let totals = verdict::judge_all(&world, &runs).await;
    eprintln!("{kills} kills in {killing:.1?}, all ended after {finished:.1?}; {totals:?}");
    assert_eq!(runs.len(), RUNS as usize);
    assert!(
        totals.lost > 0,
        "no attempt was lost: the kills hit nothing"
    );
}

/// Kills workers at random until the time is over: most while they work, some while they start.
async fn kill_workers(first: WorkerProcess, world: &World, seed: u64) -> u32 {
    let mut choices = ChaCha8Rng::seed_from_u64(seed);
    let began = Instant::now();
    let mut worker = first;
    for kills in 1.. {
        let pause = Duration::from_millis(choices.random_range(50..600));
        tokio::time::sleep(pause).await;
        worker.kill().await.expect("a worker can be killed");
        if began.elapsed() > KILLING {
            return kills;
        }
        worker = world.worker();
        if choices.random_bool(0.8) {
            worker = ready(worker).await;
        }
    }
    unreachable!("the range has no end")
}

async fn ready(worker: WorkerProcess) -> WorkerProcess {
    worker.ready().await.expect("a worker gets to work")
}

impl World {
    fn worker(&self) -> WorkerProcess {
        let program = Path::new(env!("CARGO_BIN_EXE_minimal-host-app"));
        WorkerProcess::start(program, &self.url, &self.scene.gateway.url(), &[])
            .expect("the program starts")
    }

    async fn open(url: &str) -> World {
        let place = Place::find(Some(url.to_owned()), None).expect("a place");
        let weather = Weather {
            failures: 2,
            latency: Duration::from_millis(50),
        };
        let scene = Scene::without_runtime(&place, weather).await;
        World {
            url: url.to_owned(),
            scene: scene.expect("the database and the gateway open"),
        }
    }
}

fn seed() -> u64 {
    let set = std::env::var("KILL_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    set.unwrap_or_else(|| {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("it is after 1970");
        u64::from(since.subsec_nanos()) ^ since.as_secs()
    })
}
