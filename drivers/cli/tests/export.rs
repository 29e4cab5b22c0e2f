//! `squid-mesh export`, as somebody at a terminal meets it.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use sqlx::Connection as _;
use squid_mesh::{AnyStore, Runtime, StepContext, StepError, StoreSource, Workflow, step};
use squid_mesh_core::event::Event;
use squid_mesh_core::export::ExportedRun;
use squid_mesh_core::id::RunId;
use squid_mesh_core::run::Status;
use squid_mesh_postgres::PostgresStore;
use squid_mesh_test_support::{SqliteFile, TestDatabase, sqlite_url};

/// More steps than a page of the journal has rows.
const LONG: usize = 120;

async fn next(_: StepContext, n: u32) -> Result<u32, StepError> {
    Ok(n + 1)
}

/// A workflow of that many steps, one after the other.
fn chain(steps: usize) -> Workflow<u32, u32> {
    let (mut wf, mut value) = Workflow::builder::<u32>("chain", 1);
    for at in 0..steps {
        value = wf.step(format!("s{at}"), value, step(next).named("next"));
    }
    wf.finish(value).unwrap()
}

/// A run of a chain that has taken so many of its steps.
async fn ran(store: impl Into<StoreSource>, steps: usize, taken: usize) -> RunId {
    let chain = chain(steps);
    let builder = Runtime::builder(store).workflow(&chain);
    let mut stepper = builder.manual().await.unwrap();
    let run = stepper.client().start(&chain.reference(), 7).await.unwrap();
    for _ in 0..taken {
        stepper.execute_next().await.unwrap();
    }
    run.id()
}

async fn a_run(steps: usize, taken: usize) -> (SqliteFile, RunId) {
    let file = sqlite_url().unwrap();
    let run = ran(file.url(), steps, taken).await;
    (file, run)
}

fn export(run: impl ToString, arguments: &[&str]) -> Output {
    program(run, arguments)
        .output()
        .expect("the program starts")
}

fn program(run: impl ToString, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_squid-mesh"));
    command
        .args(["export", &run.to_string()])
        .args(arguments)
        .env_remove("SQUID_MESH_DATABASE_URL")
        .env_remove("DATABASE_URL");
    command
}

/// What a successful command printed.
fn shown(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{stderr}");
    assert!(stderr.is_empty(), "{stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The one line of a command that failed.
fn refused(output: &Output) -> String {
    let stderr = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(output.stdout.is_empty());
    stderr.trim_end().to_owned()
}

fn beside(file: &SqliteFile, name: &str) -> PathBuf {
    file.path().with_file_name(name)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[tokio::test]
async fn a_run_is_written_to_a_file_without_payloads_unless_they_are_asked_for() {
    let (file, run) = a_run(3, 3).await;
    let out = beside(&file, "run.json");
    for payloads in [false, true] {
        let mut arguments = vec!["--database-url", file.url(), "--out", text(&out), "--json"];
        arguments.extend(payloads.then_some("--payloads"));
        let told = shown(&export(run, &arguments));
        let report: Value = serde_json::from_str(told.lines().last().unwrap()).unwrap();
        let expected = json!({
            "run": run.to_string(), "definition": "chain@1", "status": "completed", "rows": 4,
            "payloads": payloads, "file": text(&out),
        });
        assert_eq!(report, expected);
        let exported = ExportedRun::parse(&std::fs::read_to_string(&out).unwrap()).unwrap();
        assert_eq!((exported.id(), exported.status()), (run, Status::Completed));
        let outputs: Vec<Option<&[u8]>> = exported
            .rows()
            .iter()
            .map(|row| row.payload.as_ref().map(|payload| payload.bytes()))
            .collect();
        let there: [Option<&[u8]>; 4] = [Some(b"7"), Some(b"8"), Some(b"9"), Some(b"10")];
        assert_eq!(outputs, if payloads { there } else { [None; 4] });
    }
    let told = shown(&export(
        run,
        &["--database-url", file.url(), "--out", text(&out)],
    ));
    let expected = format!(
        "run {run} of chain@1, completed: 4 journal rows without payloads in {}\n",
        out.display()
    );
    assert_eq!(told, expected);
}

#[tokio::test]
async fn without_a_file_the_run_is_written_to_the_standard_output() {
    let (file, run) = a_run(2, 1).await;
    let command = |variable: &str| {
        program(run, &[])
            .env(variable, file.url())
            .output()
            .unwrap()
    };
    for variable in ["SQUID_MESH_DATABASE_URL", "DATABASE_URL"] {
        let exported = ExportedRun::parse(&shown(&command(variable))).unwrap();
        assert_eq!(exported.status(), Status::Running);
        assert_eq!(exported.rows().len(), 2);
    }
}

#[tokio::test]
async fn a_journal_of_several_pages_is_written_whole() {
    let (file, run) = a_run(LONG, LONG).await;
    let output = export(run, &["--database-url", file.url(), "--payloads"]);
    let exported = ExportedRun::parse(&shown(&output)).unwrap();
    assert_eq!(exported.rows().len(), LONG + 1);
    let last = &exported.rows()[LONG].transition.event;
    assert!(matches!(last, Event::Succeeded { .. }));
}

#[tokio::test]
async fn a_run_in_another_schema_of_postgres_is_found() {
    let database = TestDatabase::fresh();
    let options = squid_mesh_postgres::Options::default().schema("workflows");
    let store = PostgresStore::connect(database.url(), options)
        .await
        .unwrap();
    store.migrate().await.unwrap();
    let run = ran(AnyStore::Postgres(store), 2, 2).await;
    let arguments = ["--database-url", database.url(), "--payloads"];
    let output = export(run, &[&arguments[..], &["--schema", "workflows"]].concat());
    let exported = ExportedRun::parse(&shown(&output)).unwrap();
    assert_eq!(exported.status(), Status::Completed);
    let told = refused(&export(run, &arguments));
    assert!(told.contains("squid_mesh"), "{told}");
}

#[tokio::test]
async fn what_cannot_be_exported_is_refused_in_one_line() {
    let (file, run) = a_run(1, 1).await;
    let other = RunId::from_u128(run.as_u128() ^ (1 << 70));
    let url = ["--database-url", file.url()];
    let expected = format!("error: there is no run {other}");
    assert_eq!(refused(&export(other, &url)), expected);
    let expected = "error: \"order-7\" is no run id: expected a UUID";
    assert_eq!(refused(&export("order-7", &url)), expected);
    let told = refused(&export(run, &[]));
    assert!(
        told.contains("--database-url") && told.contains("SQUID_MESH_DATABASE_URL"),
        "{told}"
    );
    let told = refused(&export(run, &["--database-url", "mysql://host/db"]));
    assert!(
        told.contains("\"mysql\"") && told.contains("sqlite:PATH"),
        "{told}"
    );
    let told = refused(&export(
        run,
        &["--database-url", file.url(), "--schema", "s"],
    ));
    assert!(told.contains("--schema is for postgres"), "{told}");
    let told = refused(&export(
        run,
        &["--database-url", "postgres://ana:SECRET@127.0.0.1:1/x"],
    ));
    assert!(!told.contains("SECRET"), "{told}");
    let output = export(run, &["--database-url", file.url(), "--json"]);
    assert_eq!(output.status.code(), Some(2), "--json is about a file");
}

#[tokio::test]
async fn a_database_that_is_not_there_is_not_made() {
    let (file, run) = a_run(1, 1).await;
    let missing = beside(&file, "missing.db");
    let url = format!("sqlite:{}", missing.display());
    let told = refused(&export(run, &["--database-url", &url]));
    assert!(told.contains("missing.db"), "{told}");
    assert!(!missing.exists());
}

#[tokio::test]
async fn nothing_is_left_behind_by_an_export_that_fails() {
    let (file, run) = a_run(2, 2).await;
    damage(&file).await;
    let directory = beside(&file, "out");
    std::fs::create_dir(&directory).unwrap();
    let out = directory.join("run.json");
    std::fs::write(&out, "what was there").unwrap();
    let arguments = ["--database-url", file.url(), "--out", text(&out)];
    let told = refused(&export(run, &arguments));
    let expected = format!(
        "error: run {run} cannot be exported: journal row 2 cannot be decoded: the bytes are not what any engine writes"
    );
    assert_eq!(told, expected);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "what was there");
    let nowhere = directory.join("nowhere").join("run.json");
    let (whole, run) = a_run(1, 1).await;
    let told = refused(&export(
        run,
        &["--database-url", whole.url(), "--out", text(&nowhere)],
    ));
    assert!(told.contains("run.json cannot be written"), "{told}");
    // A directory is in the place of the file.
    let told = refused(&export(
        run,
        &["--database-url", whole.url(), "--out", text(&directory)],
    ));
    assert!(told.contains("cannot be written"), "{told}");
    let names: Vec<_> = std::fs::read_dir(&directory).unwrap().collect();
    assert_eq!(names.len(), 1, "{names:?}");
}

/// Makes the second row of the journal unreadable.
async fn damage(file: &SqliteFile) {
    let mut connection = sqlx::SqliteConnection::connect(file.url()).await.unwrap();
    let sql = "update squid_mesh_journal set transition = x'01ff' where seq = 2";
    let done = sqlx::query(sql).execute(&mut connection).await.unwrap();
    assert_eq!(done.rows_affected(), 1);
    connection.close().await.unwrap();
}
