//! Clusters that a test has to itself.

use std::time::Duration;

use crate::common::{block_on, eventually, execute, query};
use squid_mesh_test_support::{ClusterError, Settings, StopMode, TestCluster};

#[test]
fn acknowledged_data_survives_a_kill_and_a_restart_at_the_same_address() {
    let cluster = TestCluster::private(Settings::durable()).expect("a cluster");
    let database = cluster.database().expect("a database");
    assert_eq!(
        block_on(query(database.url(), "show fsync")).expect("reachable"),
        "on"
    );
    block_on(execute(
        database.url(),
        "create table orders (id text); insert into orders values ('a1')",
    ))
    .expect("written");
    let before = cluster.pids();
    assert!(
        before.len() > 3,
        "a server has several processes: {before:?}"
    );

    cluster.kill9().expect("killed");
    assert!(!cluster.is_running());
    assert_eq!(cluster.pids(), Vec::<u32>::new());
    assert!(block_on(query(database.url(), "select 1::text")).is_err());

    cluster.start().expect("recovered");
    let id = block_on(query(database.url(), "select id from orders"));
    assert_eq!(id.expect("still there"), "a1");
    assert!(cluster.log().contains("automatic recovery in progress"));
}

#[test]
fn a_kill_takes_sessions_that_are_in_the_middle_of_a_statement() {
    let cluster = TestCluster::private(Settings::durable()).expect("a cluster");
    let url = cluster.url("postgres");
    let busy = std::thread::spawn(move || {
        block_on(query(
            &url,
            "select 'done' from generate_series(1, 1000000000) having count(*) > 0",
        ))
    });
    let watched = cluster.url("postgres");
    eventually("the long statement", || {
        let active = "select count(*)::text from pg_stat_activity where query like '%generate_series%' \
                      and state = 'active' and pid <> pg_backend_pid()";
        block_on(query(&watched, active)).is_ok_and(|count| count == "1")
    });
    cluster.kill9().expect("killed");
    assert_eq!(cluster.pids(), Vec::<u32>::new());
    assert!(busy.join().expect("no panic").is_err());
}

#[test]
fn a_stopped_cluster_starts_again_and_says_what_it_cannot_do() {
    let cluster = TestCluster::private(Settings::functional()).expect("a cluster");
    let error = cluster.start().expect_err("it runs");
    assert!(matches!(error, ClusterError::Running { .. }), "{error}");
    for mode in [StopMode::Fast, StopMode::Immediate] {
        cluster.stop(mode).expect("stopped");
        let error = cluster.stop(mode).expect_err("it does not run");
        assert!(matches!(error, ClusterError::NotRunning { .. }), "{error}");
        let error = cluster.kill9().expect_err("it does not run");
        assert!(matches!(error, ClusterError::NotRunning { .. }), "{error}");
        cluster.start().expect("started");
    }
    let url = cluster.tcp_url("postgres");
    assert_eq!(block_on(query(&url, "select '1'")).expect("reachable"), "1");
}

#[test]
fn dropping_the_guard_stops_the_server_and_deletes_its_data() {
    let cluster = TestCluster::private(Settings::functional()).expect("a cluster");
    let url = cluster.tcp_url("postgres");
    let data = cluster.data_directory();
    assert!(data.is_dir());
    drop(cluster);
    assert!(!data.exists());
    assert!(block_on(query(&url, "select '1'")).is_err());
}

#[test]
fn settings_reach_the_server() {
    let settings = Settings::functional().with("work_mem", "7MB");
    let cluster = TestCluster::private(settings).expect("a cluster");
    let shown = block_on(query(&cluster.url("postgres"), "show work_mem"));
    assert_eq!(shown.expect("reachable"), "7MB");
    assert_eq!(cluster.settings().parameter("work_mem"), Some("7MB"));
}

#[test]
fn a_setting_the_server_refuses_is_reported_with_its_log() {
    let settings = Settings::functional().with("shared_buffers", "'lots'");
    let error = TestCluster::private(settings).expect_err("refused");
    let ClusterError::Start { data, log } = error else {
        panic!("{error}");
    };
    assert!(log.contains("shared_buffers"), "{log}");
    assert!(!data.exists());
}

#[test]
fn binaries_that_are_not_there_are_an_error() {
    let settings = Settings::functional().with_binaries("/nonexistent");
    let error = TestCluster::private(settings).expect_err("no binaries");
    assert!(matches!(error, ClusterError::Binaries(_)), "{error}");
}

#[test]
fn the_work_of_ended_sessions_is_accounted_for() {
    let cluster = TestCluster::private(Settings::functional()).expect("a cluster");
    let before = cluster.cpu_time().expect("running");
    let url = cluster.url("postgres");
    block_on(query(
        &url,
        "select count(*)::text from generate_series(1, 3000000)",
    ))
    .expect("counted");
    let enough = Duration::from_millis(50);
    eventually("the accounting of the session", || {
        cluster.cpu_time().expect("running") - before >= enough
    });
    cluster.stop(StopMode::Immediate).expect("stopped");
    assert!(cluster.cpu_time().is_err());
}
