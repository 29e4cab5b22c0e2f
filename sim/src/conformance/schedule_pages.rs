//! Looking at schedules: pages, filters, and the runs that they started.
//!
//! Invariant: as with runs, what is expected of a listing is worked out from rows that were read before.

use squid_mesh_core::definition::DefinitionKey;
use squid_mesh_core::event::By;
use squid_mesh_core::id::{CommandId, RunId};
use squid_mesh_core::operation::{Cancel, Entry, ScheduleAction};
use squid_mesh_core::run::Status;
use squid_mesh_core::schedule::{ScheduleKey, ScheduleRow, Standing};
use squid_mesh_core::store::{Inspect, RunFilter, ScheduleFilter, Store};

use super::cast::{Worker, submit, workflow};
use super::failure::{Failure, holds, perform, same, same_rows, unanswered};
use super::observe::EVERYTHING;
use super::schedules::{command, declaration, external, obeyed, yearly};
use super::workflows::name;

/// Keys that sort otherwise in most languages, or where their parts are compared.
const PECULIAR: [&str; 9] = [
    "Zeta",
    "alpha",
    "alpha beta",
    "alpha-beta",
    "\u{c4}rger",
    "a\u{308}rger",
    "\u{1f991}",
    "chain/nightly",
    "~",
];
/// Schedules beside these.
const NUMBERED: u32 = 21;
/// Schedules listed in pages of this many.
const PAGE: u32 = 7;
/// Schedules that are created between two pages.
const LATECOMERS: u32 = 3;

/// Pages, then filters, then runs.
pub(super) async fn check<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    perform(store, &Worker::able(1).register()).await?;
    let keys = PECULIAR.iter().map(|key| (*key).to_owned());
    let keys = keys.chain((0..NUMBERED).map(|number| format!("tenant {number}")));
    for (number, key) in (1..).zip(keys) {
        create(store, number, &key).await?;
    }
    pages(store).await?;
    filters(store).await?;
    runs(store).await
}

async fn create(store: &impl Store, number: u32, key: &str) -> Result<(), Failure> {
    let plan = match number % 3 {
        0 => external(),
        _ => yearly("Asia/Tokyo"),
    };
    let key = ScheduleKey::stored(key);
    let action = match &key {
        ScheduleKey::Declared { .. } => ScheduleAction::Declare(declaration(plan, 1)),
        ScheduleKey::Named(_) => {
            let mut declared = declaration(plan, 0);
            if number.is_multiple_of(2) {
                declared.workflow = workflow("fork").name;
            }
            ScheduleAction::Create(declared)
        }
    };
    let reply = obeyed(store, &command(store.shards(), number, &key, action)).await?;
    holds("a schedule is created", reply.changed, reply)
}

/// Every schedule in pages, while others are created before the cursor.
async fn pages<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let everything = ScheduleFilter::default();
    let listed = store.schedules(&everything, None, EVERYTHING).await;
    let listed = listed.map_err(unanswered)?;
    let count = PECULIAR.len() + NUMBERED as usize;
    same("the number of schedules", &count, &listed.len())?;
    let mut by_bytes = listed.clone();
    by_bytes.sort_by(|one, other| one.key.as_bytes().cmp(other.key.as_bytes()));
    same_rows("the schedules, by their keys as bytes", &by_bytes, &listed)?;

    let (mut paged, mut late): (Vec<ScheduleRow>, u32) = (Vec::new(), 0);
    // A store that shows a schedule twice might go on for ever.
    while paged.len() <= listed.len() {
        let after = paged.last().map(|row| row.key.clone());
        let page = store.schedules(&everything, after.as_deref(), PAGE).await;
        let page = page.map_err(unanswered)?;
        if page.is_empty() {
            break;
        }
        let fits = page.len() <= PAGE as usize;
        holds("a page is no longer than asked for", fits, page.len())?;
        paged.extend(page);
        for _ in 0..LATECOMERS {
            late += 1;
            create(store, 100 + late, &format!("!late {late}")).await?;
        }
    }
    same_rows("the schedules in pages", &listed, &paged)
}

/// Schedules of workflows and of standings.
async fn filters<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    for (number, key, action) in [
        (200, "tenant 3", ScheduleAction::Pause),
        (201, "tenant 4", ScheduleAction::Pause),
        (202, "chain/nightly", ScheduleAction::Retire { version: 2 }),
    ] {
        let key = ScheduleKey::stored(key);
        obeyed(store, &command(store.shards(), number, &key, action)).await?;
    }
    let everything = ScheduleFilter::default();
    let all = store.schedules(&everything, None, EVERYTHING).await;
    let all = all.map_err(unanswered)?;
    let workflows = [None, Some("chain"), Some("fork"), Some("unknown")];
    let standings: [&[Standing]; 4] = [
        &[],
        &[Standing::Paused],
        &[Standing::Active],
        &[Standing::Paused, Standing::Retired],
    ];
    for of in workflows {
        for standing in standings {
            let mut filter = ScheduleFilter::default();
            filter.workflow = of.map(name);
            filter.standings = standing.iter().copied().collect();
            let found = store.schedules(&filter, Some("a"), EVERYTHING).await;
            let fits = |row: &&ScheduleRow| {
                row.key.as_str() > "a"
                    && of.is_none_or(|of| row.workflow.as_str() == of)
                    && (standing.is_empty() || standing.contains(&row.standing))
            };
            let expected: Vec<ScheduleRow> = all.iter().filter(fits).cloned().collect();
            let what = format!("the schedules of {of:?} that are {standing:?}");
            same_rows(&what, &expected, &found.map_err(unanswered)?)?;
        }
    }
    let nobody = ScheduleKey::Named("nobody".to_owned()).id();
    let record = store.schedule(nobody).await.map_err(unanswered)?;
    same("a schedule that is not there", &None, &record)?;
    for row in &all {
        let run = store.run(row.id.task().run).await.map_err(unanswered)?;
        same("a run with the id of a schedule", &None, &run)?;
    }
    Ok(())
}

/// The runs of a schedule, and those of nobody else.
async fn runs<S: Store + Inspect>(store: &S) -> Result<(), Failure> {
    let (one, other) = ("tenant 1", "tenant 5");
    let mut runs: Vec<RunId> = Vec::new();
    for (number, key) in [(300, one), (301, one), (302, other)] {
        let definition: DefinitionKey = workflow("chain");
        let key = ScheduleKey::stored(key);
        let action = ScheduleAction::Trigger { definition };
        let reply = obeyed(store, &command(store.shards(), number, &key, action)).await?;
        runs.extend(reply.started.map(|start| start.run));
    }
    let cancel = Cancel {
        run: runs[0],
        command: CommandId::from_u128(303),
        by: By::default(),
        force: false,
        undo: false,
    };
    perform(store, &submit(store.shards(), vec![Entry::Cancel(cancel)])).await?;
    let id = ScheduleKey::stored(one).id();
    let of = |change: &dyn Fn(&mut RunFilter)| {
        let mut filter = RunFilter::default();
        filter.schedule = Some(id);
        change(&mut filter);
        filter
    };
    let own = vec![runs[1], runs[0]];
    let ended = Status::Cancelled;
    let table = [
        (of(&|_| {}), own.clone()),
        (of(&|filter| filter.workflow = Some(name("chain"))), own),
        (of(&|filter| filter.workflow = Some(name("fork"))), vec![]),
        (
            of(&|filter| filter.statuses = [ended].into()),
            vec![runs[0]],
        ),
        (of(&|filter| filter.parent = Some(runs[2])), vec![]),
        (of(&|filter| filter.source = Some(runs[2])), vec![]),
    ];
    for (filter, expected) in table {
        let found = store.list(&filter, None, EVERYTHING).await;
        let found = found.map_err(unanswered)?;
        let what = format!("the runs of a schedule, {filter:?}");
        same(what, &expected, &found.iter().map(|row| row.id).collect())?;
    }
    Ok(())
}
