//! Operations as lines of a story.
//!
//! Invariant: nothing here decides anything; it is only called when a story is told.

use squid_mesh_core::operation::{Operation, Reply};

use crate::oracle::Asker;
use crate::store::Landed;

/// One line of the story.
pub(super) fn tell(asker: Asker, operation: &Operation, landed: &Landed) -> String {
    let who = match asker {
        Asker::Process(process) => format!("process {}", process.0),
        Asker::Client => "a client".into(),
    };
    match (operation, &landed.reply) {
        (Operation::Claim(claim), Reply::Claimed(claimed)) => {
            let tasks: Vec<String> = claimed
                .tasks
                .iter()
                .map(|row| format!("{} {} {:?}", row.key, row.fence, row.item()))
                .collect();
            format!(
                "{who} claim {}: [{}] until +{:?}",
                claim.number,
                tasks.join(", "),
                claim.offer.lease
            )
        }
        (Operation::Settle(settle), Reply::Settled { slots, handed, .. }) => {
            let reports: Vec<String> = settle
                .reports
                .iter()
                .zip(slots)
                .map(|(report, slot)| {
                    format!(
                        "{} {} step {} {:?} -> {slot:?}",
                        report.key, report.token.fence, report.step.0, report.outcome
                    )
                })
                .collect();
            let handed: Vec<String> = handed
                .iter()
                .map(|row| format!("{} {}", row.key, row.fence))
                .collect();
            format!(
                "{who} settle: [{}] handed [{}]",
                reports.join("; "),
                handed.join(", ")
            )
        }
        (Operation::Lease(leases), Reply::Leased(replies)) => {
            let keys: Vec<String> = leases
                .renew
                .iter()
                .map(|held| held.key.to_string())
                .collect();
            let back: Vec<String> = leases
                .hand_back
                .iter()
                .map(|held| held.key.to_string())
                .collect();
            format!(
                "{who} renew [{}] hand back [{}] -> {replies:?}",
                keys.join(", "),
                back.join(", ")
            )
        }
        (Operation::Submit(_), Reply::Submitted { groups, .. }) => {
            format!("{who} submit -> {groups:?}")
        }
        (Operation::Queue(command), reply) => {
            format!("{who} {:?} {} -> {reply:?}", command.action, command.queue)
        }
        (_, reply) => format!("{who} -> {reply:?}"),
    }
}
