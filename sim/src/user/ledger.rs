//! An external ledger: where effects of handlers are booked, in the world outside of the engine.
//!
//! Invariant: a ledger that honours keys has at most one entry under each.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A ledger outside of the engine: a bank, a warehouse, a mail provider. Cheap to clone; clones share their entries.
///
/// It stands for a service that takes idempotency keys: what is posted again under a key that it knows changes nothing. One
/// [that ignores them](Ledger::ignoring_keys) books everything.
///
/// ```
/// use squid_mesh_sim::env::Ledger;
///
/// let bank = Ledger::new();
/// assert!(bank.post("order-7:charge", 500));
/// assert!(!bank.post("order-7:charge", 500)); // the answer was lost, and the client asks again
/// assert!(bank.post("order-7:charge:undo", -500));
/// assert_eq!((bank.sum(), bank.entries().len()), (0, 2));
/// ```
#[derive(Clone)]
pub struct Ledger(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    ignores_keys: bool,
    entries: Vec<LedgerEntry>,
}

/// One entry of a [`Ledger`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LedgerEntry {
    /// Under which key.
    pub key: String,
    /// How much.
    pub amount: i64,
    /// How often it was posted: more than once if somebody tried again.
    pub posted: u32,
}

impl Ledger {
    /// An empty ledger that honours keys.
    pub fn new() -> Ledger {
        Ledger(Arc::default())
    }

    /// An empty ledger that books whatever it is told, whether or not it knows the key.
    pub fn ignoring_keys() -> Ledger {
        let ledger = Ledger::new();
        ledger.book().ignores_keys = true;
        ledger
    }

    /// Books an amount under a key; whether that made an entry.
    pub fn post(&self, key: &str, amount: i64) -> bool {
        let mut book = self.book();
        let ignores_keys = book.ignores_keys;
        let mut entries = book.entries.iter_mut();
        let known = entries.find(|entry| entry.key == key && !ignores_keys);
        if let Some(known) = known {
            known.posted += 1;
            return false;
        }
        book.entries.push(LedgerEntry {
            key: key.to_owned(),
            amount,
            posted: 1,
        });
        true
    }

    /// Everything that was booked, oldest first.
    pub fn entries(&self) -> Vec<LedgerEntry> {
        self.book().entries.clone()
    }

    /// The sum of everything.
    pub fn sum(&self) -> i64 {
        self.book().entries.iter().map(|entry| entry.amount).sum()
    }

    /// The sum of what was booked under a key.
    pub fn sum_of(&self, key: &str) -> i64 {
        let book = self.book();
        let own = book.entries.iter().filter(|entry| entry.key == key);
        own.map(|entry| entry.amount).sum()
    }

    /// How many entries there are under a key.
    pub fn count(&self, key: &str) -> usize {
        let book = self.book();
        book.entries.iter().filter(|entry| entry.key == key).count()
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Ledger {
    fn default() -> Ledger {
        Ledger::new()
    }
}

impl fmt::Debug for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_books_once_under_a_key_and_counts_how_often_it_was_asked() {
        let ledger = Ledger::new();
        assert!(ledger.post("a", 5) && !ledger.post("a", 5) && ledger.post("b", 2));
        assert_eq!(
            (ledger.sum(), ledger.sum_of("a"), ledger.count("a")),
            (7, 5, 1)
        );
        assert_eq!(ledger.entries()[0].posted, 2);
    }

    #[test]
    fn a_ledger_that_ignores_keys_books_everything() {
        let ledger = Ledger::ignoring_keys();
        assert!(ledger.post("a", 5) && ledger.post("a", 5));
        assert_eq!((ledger.sum(), ledger.count("a")), (10, 2));
    }
}
