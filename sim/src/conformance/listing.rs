//! Looking at what there is: pages, filters, ranges.
//!
//! Invariant: what is expected of a listing is worked out from rows that were read before, not from when they should have been written.

use std::time::Duration;

use squid_mesh_core::definition::StepIndex;
use squid_mesh_core::event::{By, CopyKind, Parent};
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::operation::{Cancel, Copy, Entry, RunRow};
use squid_mesh_core::run::{Seq, Status};
use squid_mesh_core::store::{Inspect, RunFilter, Store};

use super::cast::{Worker, json, start, submit, workflow};
use super::failure::{Failure, holds, perform, same, same_rows, unanswered};
use super::observe::EVERYTHING;
use super::workflows::name;

/// Runs listed in pages of this many.
const PAGE: u32 = 100;
/// Runs there are when the listing begins.
const LISTED: u32 = 250;
/// Runs that start between two pages.
const LATECOMERS: u32 = 25;

/// 250 runs in pages of 100, while 50 more start.
pub(super) async fn pages<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    perform(store, &Worker::able(1).register()).await?;
    let mut started = 0;
    while started < LISTED {
        begin(store, started + 1..=started + LATECOMERS).await?;
        started += LATECOMERS;
    }
    let listed = store
        .list(&RunFilter::default(), None, EVERYTHING)
        .await
        .map_err(unanswered)?;
    let mut newest_first = listed.clone();
    newest_first.sort_by_key(|row| std::cmp::Reverse((row.created, row.id)));
    same_rows("the runs listed, newest first", &newest_first, &listed)?;

    let (mut paged, mut cursor) = (Vec::new(), None);
    // A store that shows a run twice might go on for ever.
    while paged.len() <= listed.len() {
        let page = store
            .list(&RunFilter::default(), cursor, PAGE)
            .await
            .map_err(unanswered)?;
        let Some(last) = page.last() else { break };
        holds(
            "a page is no longer than asked for",
            page.len() <= PAGE as usize,
            page.len(),
        )?;
        cursor = Some((last.created, last.id));
        paged.extend(page);
        if started < LISTED + 2 * LATECOMERS {
            begin(store, started + 1..=started + LATECOMERS).await?;
            started += LATECOMERS;
        }
    }
    same_rows("the runs in pages", &listed, &paged)
}

/// Starts runs in one shard, all at the same time.
async fn begin(store: &impl Store, numbers: impl Iterator<Item = u32>) -> Result<(), Failure> {
    let chain = workflow("chain");
    let mut starts: Vec<Entry> = Vec::new();
    for number in numbers {
        let slot = u8::try_from(number / LATECOMERS % 8).unwrap_or_default();
        let slot = starts.first().map_or(slot, |entry| {
            u8::try_from(entry.run().slot()).unwrap_or_default()
        });
        starts.push(Entry::Start(Box::new(start(
            number,
            &chain,
            slot,
            None,
            json("1"),
        ))));
    }
    perform(store, &submit(store.shards(), starts))
        .await
        .map(|_| ())
}

/// Filters of listings, ranges of journals, and runs that are not there.
pub(super) async fn filters<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    perform(store, &Worker::able(1).register()).await?;
    for (number, of) in [(1, "chain"), (2, "fork"), (3, "chain")] {
        let start = start(number, &workflow(of), 0, None, json("1"));
        let entry = Entry::Start(Box::new(start));
        perform(store, &submit(store.shards(), vec![entry])).await?;
    }
    let everything = RunFilter::default();
    let listed = store.list(&everything, None, EVERYTHING).await;
    let listed = listed.map_err(unanswered)?;
    same("the number of runs listed", &3, &listed.len())?;
    let cancelled = listed[0].id;
    let cancel = Cancel {
        run: cancelled,
        command: CommandId::from_u128(9),
        by: By::default(),
        force: false,
        undo: false,
    };
    perform(store, &submit(store.shards(), vec![Entry::Cancel(cancel)])).await?;
    let (parent, source) = (&listed[2], &listed[0]);
    relatives(store, parent, source).await?;

    let all = store
        .list(&everything, None, EVERYTHING)
        .await
        .map_err(unanswered)?;
    let table = table(&all).into_iter();
    for (which, filter, matches) in table.chain(kin(parent.id, source.id)) {
        let found = store
            .list(&filter, None, EVERYTHING)
            .await
            .map_err(unanswered)?;
        let expected: Vec<RunRow> = all.iter().filter(|row| matches(row)).cloned().collect();
        same_rows(&format!("the runs {which}"), &expected, &found)?;
    }
    ranges(store, cancelled).await
}

/// Starts one run as a child of another, and one as a copy of another, which has ended.
async fn relatives<S: Store + Inspect>(
    store: &S,
    parent: &RunRow,
    source: &RunRow,
) -> Result<(), Failure> {
    let mut child = start(4, &workflow("chain"), 0, None, json("1"));
    child.parent = Some(Parent {
        run: parent.id,
        life: parent.life,
        step: StepIndex(0),
        child: 0,
        depth: 0,
        detached: true,
    });
    let mut copy = start(5, &source.definition, 0, None, json("1"));
    copy.copy = Some(Copy {
        source: source.id,
        kind: CopyKind::Replay,
        from: Vec::new(),
        allow_irreversible: true,
    });
    for (start, expected) in [
        (child, (Some(parent.id), None)),
        (copy, (None, Some(source.id))),
    ] {
        let id = start.run;
        let entry = Entry::Start(Box::new(start));
        perform(store, &submit(store.shards(), vec![entry])).await?;
        let record = store.run(id).await.map_err(unanswered)?;
        let related = record.map(|record| (record.row.parent, record.row.source));
        same("parent and source of a run", &Some(expected), &related)?;
    }
    Ok(())
}

/// Filters by other runs, and what they should let through.
fn kin(parent: RunId, source: RunId) -> [(&'static str, RunFilter, Matches); 6] {
    let of = |parent, source, workflow: Option<&str>| {
        let mut filter = RunFilter::default();
        (filter.parent, filter.source) = (parent, source);
        filter.workflow = workflow.map(name);
        filter
    };
    let (child, copy) = (Some(parent), Some(source));
    let nothing = || -> Matches { Box::new(|_| false) };
    [
        (
            "of a parent",
            of(child, None, None),
            Box::new(move |row| row.parent == child),
        ),
        (
            "of a source",
            of(None, copy, None),
            Box::new(move |row| row.source == copy),
        ),
        ("of both", of(child, copy, None), nothing()),
        (
            "of a parent that has no children",
            of(copy, None, None),
            nothing(),
        ),
        (
            "of a parent and another workflow",
            of(child, None, Some("fork")),
            nothing(),
        ),
        (
            "of a source and another workflow",
            of(None, copy, Some("fork")),
            nothing(),
        ),
    ]
}

type Matches = Box<dyn Fn(&RunRow) -> bool>;

/// Filters, and which of all rows, newest first, they should let through.
fn table(all: &[RunRow]) -> Vec<(&'static str, RunFilter, Matches)> {
    let (newest, oldest) = (all[0].created, all[all.len() - 1].created);
    let after = oldest.plus(Duration::from_micros(1));
    let label = |number: &str| ("number".to_owned(), number.to_owned());
    let numbered =
        |row: &RunRow, number: &str| row.labels.get("number").is_some_and(|n| n == number);
    let entry = |which, change: &dyn Fn(&mut RunFilter), matches: Matches| {
        let mut filter = RunFilter::default();
        change(&mut filter);
        (which, filter, matches)
    };
    let two = [Status::Cancelled, Status::Failed];
    let both = [label("2"), label("3")];
    vec![
        entry("there are", &|_| {}, Box::new(|_| true)),
        entry(
            "of a workflow",
            &|filter| filter.workflow = Some(name("chain")),
            Box::new(|row| row.definition.name.as_str() == "chain"),
        ),
        entry(
            "of no workflow there is",
            &|filter| filter.workflow = Some(name("unknown")),
            Box::new(|_| false),
        ),
        entry(
            "of two statuses",
            &|filter| filter.statuses = two.into(),
            Box::new(move |row| two.contains(&row.status)),
        ),
        entry(
            "with a label",
            &|filter| filter.labels = vec![label("2")],
            Box::new(move |row| numbered(row, "2")),
        ),
        entry(
            "with two labels of which they have one",
            &|filter| filter.labels = both.to_vec(),
            Box::new(|_| false),
        ),
        entry(
            "started after the first",
            &|filter| filter.from = Some(after),
            Box::new(move |row| row.created > oldest),
        ),
        entry(
            "started before the last",
            &|filter| (filter.from, filter.until) = (Some(oldest), Some(newest)),
            Box::new(move |row| row.created < newest),
        ),
    ]
}

/// Parts of a journal of two rows, and of one that is not there.
async fn ranges<S: Inspect>(store: &S, run: RunId) -> Result<(), Failure> {
    let table = [
        (1, EVERYTHING, vec![1, 2]),
        (1, 1, vec![1]),
        (2, 9, vec![2]),
        (3, 9, vec![]),
    ];
    for (from, limit, expected) in table {
        let rows = store
            .journal(run, Seq(from), limit)
            .await
            .map_err(unanswered)?;
        let what = format!("at most {limit} rows of a journal from {from} on");
        same(what, &expected, &rows.iter().map(|row| row.seq.0).collect())?;
    }
    let nobody = RunId::from_u128(7);
    let row = store.run(nobody).await.map_err(unanswered)?;
    same("a run that is not there", &None, &row)?;
    let rows = store.journal(nobody, Seq::FIRST, 9).await;
    same_rows("its journal", &[], &rows.map_err(unanswered)?)
}
