//! Panics of simulated code: kept, and reported like any other violation.
//!
//! Invariant: outside a simulation the hook that was there before does what it did.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// The first panic of the simulation that runs on this thread, if one does.
    static FIRST: RefCell<Option<Option<String>>> = const { RefCell::new(None) };
}

/// Runs simulated code. Answers what it returned, unless it did not survive, and its first panic: the engine contains some.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> (Option<T>, Option<String>) {
    install();
    FIRST.with_borrow_mut(|first| *first = Some(None));
    let returned = catch_unwind(AssertUnwindSafe(run));
    let first = FIRST.with_borrow_mut(Option::take).flatten();
    (returned.ok(), first)
}

/// Runs code of somebody else inside a simulation: its panics are its own business, and pass by unrecorded.
pub(crate) fn contained<T>(run: impl FnOnce() -> T) -> T {
    struct Restore(Option<Option<String>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FIRST.set(self.0.take());
        }
    }
    install();
    let _restore = Restore(FIRST.replace(Some(Some(String::new()))));
    run()
}

/// What a caught panic says.
pub(crate) fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it panicked".to_owned())
}

fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            let simulated = FIRST.with_borrow_mut(|first| match first {
                Some(kept) => {
                    kept.get_or_insert_with(|| info.to_string());
                    true
                }
                None => false,
            });
            if !simulated {
                before(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_somebody_elses_code_is_not_the_simulations() {
        let (returned, first) = caught(|| {
            let panicked = contained(|| catch_unwind(|| panic!("theirs")));
            message(panicked.expect_err("it panics").as_ref())
        });
        assert_eq!((returned.as_deref(), first), (Some("theirs"), None));
    }

    #[test]
    fn a_contained_panic_is_noticed_too() {
        let (returned, first) = caught(|| {
            let contained = catch_unwind(|| panic!("slot 3"));
            contained.is_err()
        });
        assert_eq!(returned, Some(true));
        assert!(first.is_some_and(|message| message.contains("slot 3")));
    }
}
