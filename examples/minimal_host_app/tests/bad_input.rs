//! What a user is told who asks for something that cannot be.
//!
//! Invariant: one line on stderr that names what is wrong, a failing exit code, and nothing written.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Output};

use sqlx::any::AnyConnectOptions;
use sqlx::{AnyConnection, ConnectOptions as _, Connection as _};
use squid_mesh_test_support::{SqliteFile, TestDatabase, sqlite_url};

const PROGRAM: &str = env!("CARGO_BIN_EXE_minimal-host-app");

#[test]
fn an_unreachable_server_is_named_without_its_password() {
    let output = run(&[
        "smoke",
        "--database-url",
        "postgres://ada:hunter2@127.0.0.1:1/shop",
    ]);
    let line = refused(&output);
    assert!(
        line.starts_with("error: cannot open the database: "),
        "{line}"
    );
    assert!(!line.contains("hunter2"), "{line}");
}

#[test]
fn a_url_of_another_kind_of_database_is_refused() {
    let line = refused(&run(&[
        "smoke",
        "--database-url",
        "mysql://ada:hunter2@localhost/shop",
    ]));
    assert!(
        line.contains("mysql")
            && line.contains("expected sqlite:PATH")
            && !line.contains("hunter2"),
        "{line}"
    );
}

#[test]
fn a_file_that_cannot_be_made_is_refused() {
    let line = refused(&run(&[
        "smoke",
        "--database-url",
        "sqlite:/dev/null/shop.db",
    ]));
    assert!(
        line.starts_with("error: cannot open the database: "),
        "{line}"
    );
}

#[test]
fn a_worker_and_a_start_need_a_database_that_lasts() {
    for command in [&["worker"][..], &["start", "payment_recovery"]] {
        let line = refused(&run(command));
        assert!(line.contains("--database-url"), "{line}");
    }
}

#[test]
fn a_read_only_file_is_refused_and_stays_as_it_is() {
    let file = prepared();
    let before = fs::read(file.path()).expect("the file is there");
    let directory = file.path().parent().expect("a file is in a directory");
    // Whoever runs the tests may be root, for whom nothing is read-only, so the program is run as nobody where that can be
    // done: from a place that nobody can reach.
    let program = directory.join("program");
    copy(Path::new(PROGRAM), &program);
    fs::set_permissions(file.path(), Permissions::from_mode(0o444)).expect("the file is ours");
    fs::set_permissions(directory, Permissions::from_mode(0o555)).expect("the directory is ours");
    let mut command = command(&program, &["smoke", "--database-url", file.url()]);
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().expect("the program starts");
    fs::set_permissions(directory, Permissions::from_mode(0o755)).expect("the directory is ours");

    let line = refused(&output);
    assert!(
        line.contains("readonly") || line.contains("read-only") || line.contains("unable to open"),
        "{line}"
    );
    assert_eq!(fs::read(file.path()).expect("the file is there"), before);
}

#[test]
fn a_newer_schema_is_refused_on_both_databases_and_stays_as_it_is() {
    let file = prepared();
    let database = TestDatabase::fresh();
    assert!(
        run(&["smoke", "--database-url", database.url()])
            .status
            .success()
    );
    for (url, ledger) in [
        (
            file.url(),
            "insert into squid_mesh_ledger (format, name, applied_at) values (4711, 'future', 0)",
        ),
        (database.url(), "update squid_mesh.meta set format = 4711"),
    ] {
        execute(url, ledger);
        let runs = count_runs(url);
        for command in [&["smoke"][..], &["worker"], &["start", "payment_recovery"]] {
            let line = refused(&run(&[command, &["--database-url", url]].concat()));
            assert!(
                line.contains("4711") && line.contains("this engine knows"),
                "{line}"
            );
        }
        assert_eq!(count_runs(url), runs);
    }
}

#[test]
fn a_start_that_cannot_be_is_told_why_and_writes_nothing() {
    let file = prepared();
    let before = count_runs(file.url());
    let large = format!(r#"{{"invoice": "{}"}}"#, "x".repeat(1 << 20));
    let path = file.path().with_extension("json");
    fs::write(&path, large).expect("the directory is ours");
    let from_file = format!("@{}", path.display());
    for (workflow, input, told) in [
        ("lunch", "{}", &["lunch", "not known"][..]),
        ("Lunch!", "{}", &["Lunch!"]),
        (
            "payment_recovery",
            r#"{"invoce": 1}"#,
            &["invoice", "missing", "invoce"],
        ),
        (
            "payment_recovery",
            r#"{"invoice": 5}"#,
            &["invoice", "string"],
        ),
        ("payment_recovery", r#"{"invoice": "a\u0000b"}"#, &["NUL"]),
        (
            "payment_recovery",
            &from_file,
            &["bytes of the input", "limit"],
        ),
        ("payment_recovery", "{", &["JSON"]),
    ] {
        let line = refused(&run(&[
            "start",
            workflow,
            "--input",
            input,
            "--database-url",
            file.url(),
        ]));
        for word in told {
            assert!(line.contains(word), "{workflow} with {input}: {line}");
        }
    }
    assert_eq!(count_runs(file.url()), before);
}

#[test]
fn an_unknown_command_or_option_is_a_usage_error() {
    for arguments in [
        &["lunch"][..],
        &["smoke", "--lunch"],
        &["smoke", "--data-dir", "a", "--database-url", "b"],
    ] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty());
    }
}

/// The user id of nobody on Linux.
const NOBODY: u32 = 65_534;

/// A file in which `smoke` has succeeded.
fn prepared() -> SqliteFile {
    let file = sqlite_url().expect("a temporary directory");
    let output = run(&["smoke", "--database-url", file.url()]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    file
}

fn run(arguments: &[&str]) -> Output {
    command(Path::new(PROGRAM), arguments)
        .output()
        .expect("the program starts")
}

fn command(program: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_remove("DATABASE_URL")
        .env_remove("RUST_LOG");
    command
}

/// Copies in another process: a file that this one has open for writing might be inherited by whatever another test starts
/// just then, and cannot be executed as long as that runs.
fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp")
        .arg(from)
        .arg(to)
        .status()
        .expect("cp starts");
    assert!(copied.success(), "the program can be copied");
}

/// The one line that a user is told.
fn refused(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    let lines: Vec<&str> = stderr.lines().collect();
    let [line] = lines[..] else {
        panic!("more than one line, or none:\n{stderr}")
    };
    assert!(line.starts_with("error: "), "{line}");
    line.to_owned()
}

/// How many runs the engine has stored.
fn count_runs(url: &str) -> i64 {
    let table = if url.starts_with("sqlite:") {
        "squid_mesh_runs"
    } else {
        "squid_mesh.runs"
    };
    let statement = format!("select count(*) from {table}");
    with(url, async |mut connection| {
        let count = sqlx::query_scalar(sqlx::AssertSqlSafe(statement))
            .fetch_one(&mut connection)
            .await;
        count.expect("the table is there")
    })
}

fn execute(url: &str, statement: &'static str) {
    with(url, async |mut connection| {
        sqlx::query(statement)
            .execute(&mut connection)
            .await
            .expect("the statement is right");
        connection.close().await.expect("the connection closes");
    });
}

fn with<T>(url: &str, body: impl AsyncFnOnce(AnyConnection) -> T) -> T {
    sqlx::any::install_default_drivers();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let options: AnyConnectOptions = url.parse().expect("a URL");
        body(options.connect().await.expect("the database is there")).await
    })
}
