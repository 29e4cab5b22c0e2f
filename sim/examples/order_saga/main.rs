//! A saga under all faults: its real handlers, a shop that is made of ledgers, and what must be true of the money.
//!
//! ```console
//! $ cargo run -p squid-mesh-sim --features workflows --example order_saga
//! $ cargo test -p squid-mesh-sim --features workflows --example order_saga
//! ```
//!
//! Invariant: what is kept of a customer's money is the price of a parcel that was sent, or nothing.

#![expect(clippy::print_stdout, reason = "an example shows what came out")]

mod saga;
mod shop;

use saga::{Flaw, Order, saga};
use shop::Shop;
use squid_mesh_core::run::Status;
use squid_mesh_sim::user::{Campaign, CampaignError, RunView, UndoView};
use squid_mesh_sim::{self as sim, Commands, Faults, WorldView};

fn main() -> Result<(), CampaignError> {
    let passed = campaign("order saga", Flaw::None).run(300)?;
    println!("{passed:?}");
    let flawed = campaign("flawed saga", Flaw::ChargesAgain).without_regressions();
    if let Err(error) = flawed.run(300) {
        println!(
            "\nand what is said of a saga that charges under a key of each attempt:\n\n{error}"
        );
    }
    Ok(())
}

/// What somebody who is charged while his run is cancelled is owed is not decided by the saga: nobody cancels here.
fn campaign(name: &str, flaw: Flaw) -> Campaign<Shop> {
    sim::campaign(name)
        .environment(Shop::default)
        .workflow_with(move |shop| saga(shop, flaw))
        .start(|id| Order {
            id,
            cents: 500 + 10 * i64::try_from(id).unwrap_or_default(),
        })
        .workers(1..=4)
        .faults(Faults::all())
        .commands(Commands::default().cancels(false).deadlines(false))
        .always("nobody pays more than the price", |world| {
            world.runs().try_for_each(|run| {
                let (kept, price) = (kept(world, &run), run.input::<Order>().cents);
                let fair = (0..=price).contains(&kept);
                fair.then_some(())
                    .ok_or(format!("run {} pays {kept} of {price}", run.id()))
            })
        })
        .sometimes("a charge is given back", |world| {
            let mut runs = world.runs();
            runs.any(|run| run.step("charge_card").undo() == UndoView::Done)
        })
        .sometimes("a charge is tried again that was made", |world| {
            let entries = world.env().bank.entries();
            entries.iter().any(|entry| entry.posted > 1)
        })
        .eventually("money and goods are where they belong", |world| {
            world.runs().filter(is_settled).try_for_each(|run| {
                let price = run.input::<Order>().cents;
                let due = if run.status() == Status::Completed {
                    (price, 1, 1)
                } else {
                    (0, 0, 0)
                };
                let shop = world.env();
                let parcels = shop.parcels.sum_of(&run.step("ship").idempotency_key());
                let found = (kept(world, &run), reserved(world, &run), parcels);
                (found == due)
                    .then_some(())
                    .ok_or(format!("run {}: {found:?}, and not {due:?}", run.id()))
            })
        })
}

/// What the bank keeps of what a run has charged.
fn kept(world: &WorldView<'_, Shop>, run: &RunView<'_>) -> i64 {
    let charge = run.step("charge_card").idempotency_key();
    let entries = world.env().bank.entries();
    let own = entries
        .iter()
        .filter(|entry| entry.key.starts_with(&charge));
    own.map(|entry| entry.amount).sum()
}

fn reserved(world: &WorldView<'_, Shop>, run: &RunView<'_>) -> i64 {
    let (stock, step) = (&world.env().stock, run.step("reserve_stock"));
    stock.sum_of(&step.idempotency_key()) + stock.sum_of(&step.undo_key())
}

/// Whether nobody has to look after a run any more.
fn is_settled(run: &RunView<'_>) -> bool {
    let given_up = |name: &str| run.step(name).undo() == UndoView::GivenUp;
    run.is_ended() && !given_up("charge_card") && !given_up("reserve_stock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_conserved_under_all_faults() -> Result<(), CampaignError> {
        let passed = campaign("order saga", Flaw::None).run(200)?;
        assert!(passed.faults > passed.seeds, "{passed:?}");
        Ok(())
    }

    /// What a flawed saga is found out by.
    fn found(flaw: Flaw) -> String {
        let flawed = campaign("flawed saga", flaw).without_regressions();
        let error = flawed.run(2_000).expect_err("the flaw is found");
        error.to_string()
    }

    #[test]
    fn a_refund_that_is_forgotten_is_found() {
        let told = found(Flaw::ForgetsTheRefund);
        assert!(
            told.contains("money and goods are where they belong"),
            "{told}"
        );
        assert!(told.contains("SQUID_MESH_SIM_SEED="), "{told}");
    }

    #[test]
    fn a_charge_under_a_key_of_each_attempt_is_found() {
        let told = found(Flaw::ChargesAgain);
        assert!(told.contains("nobody pays more than the price"), "{told}");
    }
}
