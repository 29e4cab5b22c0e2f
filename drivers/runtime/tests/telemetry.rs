//! What logs and spans say, and what they never do.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use squid_mesh::{LogLevel, Retry, Runtime, StepContext, StepError, Workflow, step};
use tracing_subscriber::fmt::format::FmtSpan;

const MARKER: &str = "MARKER-4711";

/// Everything that was logged.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

async fn echo(_: StepContext, text: String) -> Result<String, StepError> {
    Ok(text)
}

async fn refuse(_: StepContext, text: String) -> Result<String, StepError> {
    Err(StepError::retryable("refused", "always").details(text))
}

async fn misread(_: StepContext, number: u64) -> Result<u64, StepError> {
    Ok(number)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a19_3_payloads_are_in_no_log_and_spans_name_run_workflow_step_attempt_and_queue() {
    let log = Log::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();

    let (mut wf, text) = Workflow::builder::<String>("telling", 1);
    let echoed = wf.step("echo", text, step(echo));
    wf.log_at(LogLevel::Warn, "note", "echoed once", echoed);
    let refused = wf.step("refuse", echoed, step(refuse).retry(Retry::immediate(2)));
    let telling = wf.finish(refused).unwrap();
    let misfit = serde_json::json!({
        "name": "misfit", "version": 1, "input": "any",
        "steps": [{"name": "work", "handler": "misread", "input": "input"}],
        "result": "output(work)",
    });
    let builder = Runtime::builder("sqlite::memory:")
        .workflow(&telling)
        .handler("misread", misread)
        .draft(misfit);
    let runtime = builder.start().await.unwrap();
    let client = runtime.client();
    let run = client
        .start(&telling.reference(), MARKER.to_owned())
        .await
        .unwrap();
    let failed = run.result().await.unwrap_err();
    let misread = client
        .start_json("misfit", None, MARKER.into())
        .await
        .unwrap()
        .result()
        .await
        .unwrap_err();
    runtime.shutdown().await;
    assert!(!format!("{failed} {misread}").contains(MARKER));

    let text = log.text();
    assert!(!text.contains(MARKER), "a payload was logged");
    let span = format!(
        "attempt{{run={} workflow=telling@1 step=refuse attempt=2 queue=default}}",
        run.id()
    );
    assert!(text.contains(&span), "no {span} in the log");
    let line = text.lines().find(|line| line.contains("echoed once"));
    let line = line.expect("a log step writes its line");
    for part in ["WARN", "step=note", "workflow=telling@1"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    assert!(line.contains(&format!("run={}", run.id())), "{line}");
    assert!(
        text.contains("operation{kind=\"settle\""),
        "operations have spans"
    );
}
