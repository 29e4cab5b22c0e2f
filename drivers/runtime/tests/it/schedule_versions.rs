//! Schedules that versions of a workflow declare, one after the other and side by side.

use std::sync::Arc;

use squid_mesh::core::operation::{Operation, Register, Reply};
use squid_mesh::core::schedule::Standing;
use squid_mesh::core::store::{ScheduleFilter, Store as _};
use squid_mesh::{Client, PlanDraft, ScheduleInspection, ScheduleReason};

use crate::harness::{Place, on_every_store};
use crate::schedules::{Digesting, declaring, digest};

/// A process with these workflows comes and goes.
async fn launched(place: &Place, workflows: &[&Digesting]) {
    let mut builder = place.runtime().await;
    for workflow in workflows {
        builder = builder.workflow(*workflow);
    }
    builder.start().await.unwrap().shutdown().await;
}

async fn seen(client: &Client, trigger: &str) -> ScheduleInspection {
    client
        .inspect_schedule(format!("digesting/{trigger}"))
        .await
        .unwrap()
}

async fn names(client: &Client) -> Vec<String> {
    let page = client
        .schedules(&ScheduleFilter::default(), None, 0)
        .await
        .unwrap();
    page.schedules
        .into_iter()
        .map(|schedule| schedule.schedule)
        .collect()
}

/// Everything that is written of a schedule.
fn row(seen: &ScheduleInspection) -> impl PartialEq + std::fmt::Debug + use<> {
    let ScheduleInspection {
        version,
        plan,
        standing,
        created,
        updated,
        due,
        ..
    } = seen.clone();
    (version, plan, standing, created, updated, due)
}

on_every_store! {
    async fn s9_1_a_started_process_declares_the_schedules_of_its_workflows_once(place) {
        let client = place.client().await;
        let first = declaring(1, &[("nightly", "0 9 * * *"), ("weekly", "@weekly")]);
        launched(place, &[&first]).await;
        assert_eq!(names(&client).await, ["digesting/nightly", "digesting/weekly"]);
        let nightly = seen(&client, "nightly").await;
        assert_eq!((nightly.version, nightly.trigger.as_str()), (Some(1), "nightly"));
        assert_eq!(nightly.plan.cron.as_deref(), Some("0 9 * * *"));
        launched(place, &[&first]).await;
        assert_eq!(row(&seen(&client, "nightly").await), row(&nightly));
    }

    async fn s9_1_a_newer_version_changes_and_retires_and_an_older_one_changes_nothing(place) {
        let client = place.client().await;
        let first = declaring(1, &[("nightly", "0 9 * * *"), ("weekly", "@weekly")]);
        let second = declaring(2, &[("nightly", "0 10 * * *"), ("monthly", "@monthly")]);
        launched(place, &[&first]).await;
        let created = seen(&client, "nightly").await.created;
        launched(place, &[&second]).await;
        let nightly = seen(&client, "nightly").await;
        assert_eq!((nightly.version, nightly.created), (Some(2), created));
        assert_eq!(nightly.plan.cron.as_deref(), Some("0 10 * * *"));
        let weekly = seen(&client, "weekly").await;
        assert_eq!((weekly.standing, weekly.due), (Standing::Retired, None));
        let told = client.explain_schedule("digesting/weekly").await.unwrap();
        assert_eq!((told.reason, told.next_actions), (ScheduleReason::Retired, vec![]));

        for workflows in [vec![&first], vec![&first, &second]] {
            launched(place, &workflows).await;
            assert_eq!(row(&seen(&client, "nightly").await), row(&nightly));
            assert_eq!(row(&seen(&client, "weekly").await), row(&weekly));
        }
        let third = declaring(3, &[("weekly", "@weekly")]);
        launched(place, &[&third]).await;
        let standings = [seen(&client, "nightly").await.standing, seen(&client, "weekly").await.standing];
        assert_eq!(standings, [Standing::Retired, Standing::Active], "one that is declared again fires again");
    }

    async fn s9_1_an_older_version_declares_nothing_that_a_newer_one_does_not(place) {
        let client = place.client().await;
        launched(place, &[&declaring(2, &[("nightly", "0 10 * * *")])]).await;
        launched(place, &[&declaring(1, &[("nightly", "0 9 * * *"), ("weekly", "@weekly")])]).await;
        assert_eq!(names(&client).await, ["digesting/nightly"]);
        assert_eq!(seen(&client, "nightly").await.version, Some(2));
    }

    async fn s9_1_what_a_process_that_crashed_had_not_declared_any_other_declares(place) {
        let client = place.client().await;
        let first = declaring(1, &[("nightly", "0 9 * * *"), ("weekly", "@weekly")]);
        launched(place, &[&first]).await;
        // It got as far as this.
        let second = declaring(2, &[("nightly", "0 10 * * *")]);
        let register = Register { worker: None, definitions: vec![Arc::clone(second.definition())] };
        let reply = place.store().await.perform(Operation::Register(register)).await.unwrap();
        assert!(matches!(reply, Reply::Registered(_)), "{reply:?}");
        assert_eq!(seen(&client, "nightly").await.version, Some(1));
        launched(place, &[&first]).await;
        assert_eq!(seen(&client, "nightly").await.version, Some(2));
        assert_eq!(seen(&client, "weekly").await.standing, Standing::Retired);
    }

    async fn s9_4_a_pause_outlasts_a_newer_version(place) {
        let client = place.client().await;
        launched(place, &[&declaring(1, &[("nightly", "0 9 * * *")])]).await;
        client.pause_schedule("digesting/nightly").actor("ops").await.unwrap();
        launched(place, &[&declaring(2, &[("nightly", "0 10 * * *")])]).await;
        let nightly = seen(&client, "nightly").await;
        assert_eq!((nightly.version, nightly.standing), (Some(2), Standing::Paused));
    }

    async fn a_schedule_that_was_created_at_run_time_is_nobodys_to_retire(place) {
        let client = place.client().await;
        let first = declaring(1, &[("nightly", "0 9 * * *")]);
        launched(place, &[&first]).await;
        let plan = PlanDraft::cron("@hourly", "UTC");
        client.create_schedule("tenant 42", &first.reference(), plan, digest("ana")).await.unwrap();
        launched(place, &[&declaring(2, &[])]).await;
        let own = client.inspect_schedule("tenant 42").await.unwrap();
        assert_eq!((own.standing, own.version), (Standing::Active, None));
        assert_eq!(seen(&client, "nightly").await.standing, Standing::Retired);
    }
}
