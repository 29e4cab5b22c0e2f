//! Results of children put together, and ends reported to parents.

use super::*;

fn ended(seq: u32, step: u16, child: u32, end: ChildEnd, payload: &str) -> StoredRow {
    let payload = text(payload);
    let event = Event::ChildEnded {
        step: StepIndex(step),
        child,
        end,
        payload: payload.digest(),
    };
    row(seq, event, Some(payload))
}

fn row(seq: u32, event: Event, payload: Option<Payload>) -> StoredRow {
    let (seq, at) = (Seq(seq), Timestamp::from_micros(0));
    let transition = Transition {
        seq,
        at,
        event,
        changes: Vec::new(),
    };
    let run = first(1).key.run;
    StoredRow {
        seq,
        row: Ok(JournalRow {
            run,
            seq,
            at,
            transition,
            payload,
        }),
    }
}

fn collecting(step: u16, count: u32) -> TaskRow {
    let (after, upto) = (Seq(2), Seq(9));
    let work = Work::Collect { count, after, upto };
    task(TaskKind::Collect, step, None, work)
}

/// Answers the fetch of the journal after that row.
fn page(rig: &mut Rig, after: u32, journal: Vec<StoredRow>) {
    let (ticket, wanted) = rig.fetch();
    let part = JournalPart {
        run: first(1).key.run,
        after: Seq(after),
        upto: Seq(9),
        limit: limits::COLLECT_PAGE,
        bytes: limits::COLLECT_BYTES,
    };
    assert_eq!(wanted.journal, Some(part));
    rig.fetched(
        ticket,
        Fetched {
            journal,
            ..Fetched::default()
        },
    );
}

#[test]
fn a16_5_results_are_put_together_in_the_order_of_the_input_over_several_pages() {
    let mut rig = doing(config(), &collecting(EACH, 3), &[]);
    let other = ended(4, GATHER, 0, ChildEnd::Completed, "\"another step's\"");
    let deadline = Event::DeadlineReached {
        payload: text("1").digest(),
    };
    page(
        &mut rig,
        2,
        vec![
            ended(3, EACH, 2, ChildEnd::Completed, "\"c\""),
            other,
            row(5, deadline, None),
        ],
    );
    page(
        &mut rig,
        5,
        vec![ended(6, EACH, 0, ChildEnd::Completed, "\"a\"")],
    );
    page(
        &mut rig,
        6,
        vec![ended(9, EACH, 1, ChildEnd::Completed, "\"b\"")],
    );
    let Outcome::Collected { output } = reported(&mut rig) else {
        panic!("they were all there");
    };
    assert_eq!(output, text(r#"["a","b","c"]"#));
}

/// What a store with these rows gives of a part of them.
fn given(part: &JournalPart, rows: &[StoredRow]) -> Vec<StoredRow> {
    let mut bytes = 0;
    let within = rows
        .iter()
        .filter(|stored| stored.seq > part.after && stored.seq <= part.upto);
    within
        .take(part.limit as usize)
        .take_while(|stored| {
            let is_wanted = bytes < part.bytes;
            bytes += payload_bytes(stored);
            is_wanted
        })
        .cloned()
        .collect()
}

fn payload_bytes(stored: &StoredRow) -> u64 {
    let row = stored.row.as_ref().expect("it can be read");
    let payload = row.payload.as_ref();
    payload.map_or(0, |payload| payload.bytes().len() as u64)
}

#[test]
fn s11_5_large_results_come_in_pages_of_bounded_bytes_complete_and_in_order() {
    let large = 1 << 20;
    let roomy = Config {
        payload_limit: limits::PAYLOAD_BYTES_MAX,
        ..config()
    };
    // Children end in another order than that of their elements.
    let result = |child: u32| format!("\"{child}{}\"", "x".repeat(large));
    let rows: Vec<StoredRow> = (0..20)
        .map(|at| {
            let child = at * 7 % 20;
            ended(at + 1, EACH, child, ChildEnd::Completed, &result(child))
        })
        .collect();
    let (after, upto) = (Seq(0), Seq(20));
    let work = Work::Collect {
        count: 20,
        after,
        upto,
    };
    let mut rig = doing(roomy, &task(TaskKind::Collect, EACH, None, work), &[]);
    let mut pages = Vec::new();
    while pages.iter().sum::<usize>() < rows.len() {
        let (ticket, wanted) = rig.fetch();
        let part = wanted.journal.expect("a part of the journal is wanted");
        let journal = given(&part, &rows);
        let bytes: u64 = journal.iter().map(payload_bytes).sum();
        assert!(
            bytes <= limits::COLLECT_BYTES + large as u64 + 4,
            "{bytes} bytes"
        );
        pages.push(journal.len());
        let fetched = Fetched {
            journal,
            ..Fetched::default()
        };
        rig.fetched(ticket, fetched);
    }
    assert_eq!(pages, [8, 8, 4]);
    let Outcome::Collected { output } = reported(&mut rig) else {
        panic!("they were all there");
    };
    let all: Vec<String> = (0..20).map(result).collect();
    assert!(output == text(&format!("[{}]", all.join(","))));
}

#[test]
fn a_collecting_each_gets_what_became_of_its_elements() {
    let mut rig = doing(config(), &collecting(GATHER, 3), &[]);
    let rows = vec![
        ended(7, GATHER, 1, ChildEnd::Failed, r#"{"code":"x"}"#),
        ended(8, GATHER, 2, ChildEnd::Cancelled, "{}"),
        ended(9, GATHER, 0, ChildEnd::Completed, "1"),
    ];
    page(&mut rig, 2, rows);
    let Outcome::Collected { output } = reported(&mut rig) else {
        panic!("they were all there");
    };
    assert_eq!(
        shown(&output),
        json!([
            {"status": "completed", "result": 1},
            {"status": "failed", "failure": {"code": "x"}},
            {"status": "cancelled"}
        ])
    );
    let Outcome::Collected { output } = done(&collecting(EACH, 0), &[]) else {
        panic!("nothing is to be fetched");
    };
    assert_eq!(output, text("[]"));
}

#[test]
fn what_cancelled_children_say_is_not_collected_and_counts_for_nothing() {
    let small = Config {
        payload_limit: 100,
        ..config()
    };
    let mut rig = doing(small, &collecting(GATHER, 2), &[]);
    let reason = format!("\"{}\"", "x".repeat(60));
    let rows = vec![
        ended(8, GATHER, 0, ChildEnd::Cancelled, &reason),
        ended(9, GATHER, 1, ChildEnd::Cancelled, &reason),
    ];
    page(&mut rig, 2, rows);
    let Outcome::Collected { output } = reported(&mut rig) else {
        panic!("it fits");
    };
    assert_eq!(
        shown(&output),
        json!([{"status": "cancelled"}, {"status": "cancelled"}])
    );
}

#[test]
fn results_that_are_missing_or_unreadable_halt_the_run_and_too_large_ones_fail_the_step() {
    let mut rig = doing(config(), &collecting(EACH, 2), &[]);
    page(
        &mut rig,
        2,
        vec![ended(9, EACH, 0, ChildEnd::Completed, "1")],
    );
    assert!(is_halted(&reported(&mut rig)));

    let mut rig = doing(config(), &collecting(EACH, 2), &[]);
    let corrupt = StoredRow {
        seq: Seq(3),
        row: Err(crate::transition::DecodeError::Corrupt),
    };
    page(&mut rig, 2, vec![corrupt]);
    assert!(is_halted(&reported(&mut rig)));

    let small = Config {
        payload_limit: 10,
        ..config()
    };
    let mut rig = doing(small, &collecting(EACH, 3), &[]);
    page(
        &mut rig,
        2,
        vec![
            ended(3, EACH, 0, ChildEnd::Completed, "123456"),
            ended(4, EACH, 1, ChildEnd::Completed, "123456"),
        ],
    );
    assert_eq!(failure_of(&reported(&mut rig)), "payload_too_large");
}

fn parent() -> Parent {
    Parent {
        run: RunId::from_u128(9 << 64),
        life: Life(4),
        step: StepIndex(2),
        child: 7,
        depth: 1,
        detached: false,
    }
}

fn delivering(end: ChildEnd, code: Option<&str>, source: Option<&Payload>) -> TaskRow {
    let work = Work::Deliver {
        parent: parent(),
        end,
        code: code.map(str::to_owned),
    };
    task(TaskKind::Delivery, 0, source, work)
}

fn told(outcome: Outcome) -> (ChildEnd, Value) {
    match outcome {
        Outcome::ChildEnded {
            parent: to,
            end,
            payload,
        } => {
            assert_eq!(to, parent());
            (end, shown(&payload))
        }
        other => panic!("{other:?} tells nobody"),
    }
}

#[test]
fn a16_4_a_parent_is_told_the_result_the_failure_or_the_cancel() {
    let result = text(r#"{"total":5}"#);
    let row = delivering(ChildEnd::Completed, None, Some(&result));
    let completed = told(done(&row, &[&result]));
    assert_eq!(completed, (ChildEnd::Completed, json!(5)));

    let own = text(r#"{"code":"card_declined","message":"no"}"#);
    let row = delivering(ChildEnd::Failed, Some("card_declined"), Some(&own));
    let (end, failure) = told(done(&row, &[&own]));
    assert_eq!(end, ChildEnd::Failed);
    assert_eq!(failure["code"], json!("child_failed"));
    assert_eq!(failure["details"], shown(&own));

    let mut row = delivering(ChildEnd::Failed, Some("no_result"), None);
    row.brief.sources = vec![None];
    let (_, failure) = told(done(&row, &[]));
    assert_eq!(failure["details"]["code"], json!("no_result"));

    let row = delivering(ChildEnd::Cancelled, None, None);
    let (end, failure) = told(done(&row, &[]));
    assert_eq!(
        (end, &failure["code"]),
        (ChildEnd::Cancelled, &json!("child_cancelled"))
    );
}

#[test]
fn a_result_that_cannot_be_put_together_is_a_failure_of_the_child() {
    let result = text("{}");
    let row = delivering(ChildEnd::Completed, None, Some(&result));
    let (end, failure) = told(done(&row, &[&result]));
    assert_eq!(end, ChildEnd::Failed);
    assert_eq!(failure["code"], json!("child_failed"));
    assert_eq!(failure["details"]["code"], json!("missing_input_path"));
}

#[test]
fn a_parent_is_told_even_if_the_childs_result_cannot_be_read() {
    let result = text(r#"{"total":5}"#);
    let row = delivering(ChildEnd::Completed, None, Some(&result));
    let mut rig = doing(config(), &row, &[]);
    let (ticket, _) = rig.fetch();
    rig.fetched(ticket, Fetched::default());
    let (end, failure) = told(reported(&mut rig));
    assert_eq!(end, ChildEnd::Failed);
    assert_eq!(failure["details"]["code"], json!("unreadable"));
}

#[test]
fn children_are_recalled_without_looking_at_anything() {
    let (from, upto) = (128, 256);
    let row = task(TaskKind::Recall, EACH, None, Work::Recall { from, upto });
    let called = Vec::new();
    let expected = Outcome::Recall { from, upto, called };
    assert_eq!(done(&row, &[]), expected);
    let called = vec![RunId::from_u128(1 << 64), RunId::from_u128(2 << 64)];
    let runs = called.clone();
    let row = task(
        TaskKind::Recall,
        EACH,
        None,
        Work::RecallCalled { from, runs },
    );
    let upto = 130;
    let expected = Outcome::Recall { from, upto, called };
    assert_eq!(done(&row, &[]), expected);
}
