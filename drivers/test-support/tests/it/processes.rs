//! Clusters and the processes that use them: sharing, and being killed.
//!
//! The test program starts itself again as the other process: the tests named `member_*` do nothing
//! unless they are told to.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;

use crate::common::{block_on, eventually, execute, query};
use squid_mesh_test_support::{Settings, TestCluster};

/// Tells a member where to write what it uses.
const REPORT: &str = "SQUID_MESH_TEST_REPORT";

#[test]
fn member_of_the_shared_cluster() {
    take_part(|| {
        let cluster = TestCluster::shared().expect("a cluster");
        (cluster.tcp_url("postgres"), Box::new(cluster))
    });
}

#[test]
fn member_with_a_private_cluster() {
    take_part(|| {
        let cluster = TestCluster::private(Settings::durable()).expect("a cluster");
        (
            cluster.data_directory().display().to_string(),
            Box::new(cluster),
        )
    });
}

/// Reports what a member uses and keeps using it until the process is killed.
fn take_part(join: impl FnOnce() -> (String, Box<dyn Send>)) {
    let Some(report) = std::env::var_os(REPORT) else {
        return;
    };
    let (used, _guard) = join();
    let draft = Path::new(&report).with_extension("draft");
    fs::write(&draft, used).expect("written");
    fs::rename(draft, report).expect("renamed");
    loop {
        thread::park();
    }
}

/// Another process, killed at the end of the test if not before.
struct Member {
    child: Child,
    report: PathBuf,
}

impl Member {
    /// Starts a member whose clusters live below `root`.
    fn start(test: &str, root: &Path, name: &str) -> Self {
        let report = root.join(name);
        let child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", test])
            .env(REPORT, &report)
            .env("SQUID_MESH_TEST_DIR", root.join("clusters"))
            .env("SQUID_MESH_TEST_IDLE_SECONDS", "2")
            .env_remove("TEST_DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("started");
        Self { child, report }
    }

    /// What the member uses, once it does.
    fn report(&mut self) -> String {
        eventually("the report", || {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "the member ended: {ended:?}");
            self.report.exists()
        });
        fs::read_to_string(&self.report).expect("a report")
    }

    /// Kills the member as no destructor can notice.
    fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }
}

/// Kills all members and waits for the end of their clusters.
fn end(members: impl IntoIterator<Item = Member>, root: &Path) {
    drop(members.into_iter().collect::<Vec<_>>());
    let clusters = root.join("clusters");
    eventually("the end of the unused clusters", || !clusters.exists());
    assert_eq!(servers_below(root), Vec::<String>::new());
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A directory that the server's unprivileged user can pass.
fn root() -> tempfile::TempDir {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().expect("a directory");
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).expect("a mode");
    root
}

#[test]
fn processes_share_a_cluster_until_the_last_of_them_is_killed() {
    let root = root();
    let test = "processes::member_of_the_shared_cluster";
    let mut first = Member::start(test, root.path(), "first");
    let mut second = Member::start(test, root.path(), "second");
    let url = first.report();
    assert_eq!(second.report(), url);

    first.kill();
    let mut third = Member::start(test, root.path(), "third");
    assert_eq!(third.report(), url);
    let alive = block_on(query(&url, "select '1'"));
    assert_eq!(alive.expect("in use"), "1");

    end([second, third], root.path());
    assert!(block_on(query(&url, "select '1'")).is_err());
}

#[test]
fn a_shared_cluster_whose_server_was_killed_is_started_again_with_its_data() {
    let root = root();
    let test = "processes::member_of_the_shared_cluster";
    let mut first = Member::start(test, root.path(), "first");
    let url = first.report();
    block_on(execute(&url, "create table kept (id text)")).expect("written");
    kill_servers_below(root.path());

    let mut second = Member::start(test, root.path(), "second");
    assert_eq!(second.report(), url);
    let kept = block_on(query(&url, "select count(*)::text from kept"));
    assert_eq!(kept.expect("the table"), "0");
    end([first, second], root.path());
}

#[test]
fn a_private_cluster_goes_with_its_killed_process() {
    let root = root();
    let mut member = Member::start(
        "processes::member_with_a_private_cluster",
        root.path(),
        "private",
    );
    let data = PathBuf::from(member.report());
    assert!(data.is_dir());
    member.kill();
    eventually("the end of the cluster", || !data.exists());
    assert_eq!(servers_below(root.path()), Vec::<String>::new());
}

#[test]
fn what_a_killed_watchdog_leaves_is_removed_by_the_next_to_come() {
    let root = root();
    let mut member = Member::start(
        "processes::member_with_a_private_cluster",
        root.path(),
        "private",
    );
    let data = PathBuf::from(member.report());
    kill_watchdogs_below(root.path());
    member.kill();
    assert!(data.is_dir());

    let mut next = Member::start(
        "processes::member_of_the_shared_cluster",
        root.path(),
        "next",
    );
    next.report();
    assert!(!data.exists());
    assert_eq!(servers_below(&data), Vec::<String>::new());
    end([next], root.path());
}

#[test]
fn a_server_whose_directory_was_deleted_is_stopped() {
    let root = root();
    let mut member = Member::start(
        "processes::member_with_a_private_cluster",
        root.path(),
        "one",
    );
    member.report();
    // What the server writes meanwhile can keep a directory from being empty.
    eventually("the end of the directory", || {
        fs::remove_dir_all(root.path().join("clusters")).is_ok()
    });
    eventually("the end of the server", || {
        servers_below(root.path()).is_empty()
    });
}

/// The main processes of the servers whose data lies below a directory.
fn servers_below(root: &Path) -> Vec<String> {
    let root = root.display().to_string();
    processes(|arguments| match arguments {
        [program, "-D", data, ..] => program.ends_with("/postgres") && data.starts_with(&root),
        _ => false,
    })
}

fn kill_servers_below(root: &Path) {
    let servers = servers_below(root);
    assert_eq!(servers.len(), 1);
    kill(&servers);
}

fn kill_watchdogs_below(root: &Path) {
    let root = root.display().to_string();
    // A shell that is about to become another program still looks like the watchdog.
    eventually("the end of the watchdog", || {
        let watchdogs = processes(|arguments| match arguments {
            ["sh", "-c", _, "watchdog", cluster, ..] => cluster.starts_with(&root),
            _ => false,
        });
        kill(&watchdogs);
        watchdogs.is_empty()
    });
}

fn kill(pids: &[String]) {
    for pid in pids {
        let killed = Command::new("kill")
            .args(["-KILL", pid])
            .stderr(Stdio::null())
            .status();
        killed.expect("kill runs");
    }
}

/// The processes whose program and arguments match.
fn processes(matches: impl Fn(&[&str]) -> bool) -> Vec<String> {
    let matches = |pid: &String| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).into_owned();
        matches(&line.split('\0').collect::<Vec<_>>())
    };
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(matches)
        .collect()
}
