//! Immutable things a worker keeps to spare itself reads.
//!
//! Invariant: what is kept never exceeds its bound; what was not used for long goes first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::definition::{Definition, DefinitionKey};
use crate::id::RunId;
use crate::limits;
use crate::payload::{Payload, PayloadDigest, PayloadRef};

/// Payloads and definitions. A payload is found by its run and digest, wherever in the journal it is, so that a worker's
/// own outputs are found before it knows their place.
#[derive(Debug)]
pub(super) struct Cache {
    payloads: Recent<(RunId, PayloadDigest), Payload>,
    definitions: Recent<DefinitionKey, Arc<Definition>>,
}

/// Counted for each payload on top of its bytes, so that many empty ones are bounded too.
const ENTRY_BYTES: usize = 128;

impl Cache {
    pub(super) fn new() -> Cache {
        Cache {
            payloads: Recent::new(limits::PAYLOAD_CACHE_BYTES),
            definitions: Recent::new(limits::DEFINITIONS_CACHED),
        }
    }

    pub(super) fn payload(&mut self, place: &PayloadRef) -> Option<Payload> {
        self.payloads.find(&(place.run, place.digest))
    }

    /// Keeps a payload that is known to be committed.
    pub(super) fn keep_payload(&mut self, run: RunId, digest: PayloadDigest, payload: Payload) {
        let weight = payload.bytes().len() + ENTRY_BYTES;
        self.payloads.keep((run, digest), payload, weight);
    }

    pub(super) fn definition(&mut self, key: &DefinitionKey) -> Option<Arc<Definition>> {
        self.definitions.find(key)
    }

    pub(super) fn keep_definition(&mut self, definition: Arc<Definition>) {
        self.definitions
            .keep(definition.key().clone(), definition, 1);
    }
}

/// Entries of some weight, up to a capacity in all. Makes room by second chance: the oldest goes, unless it was used since
/// it came or was last passed over.
#[derive(Debug)]
struct Recent<K, V> {
    entries: BTreeMap<K, Entry<V>>,
    order: VecDeque<K>,
    weight: usize,
    capacity: usize,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    used: bool,
}

impl<K: Ord + Clone, V: Clone> Recent<K, V> {
    fn new(capacity: usize) -> Recent<K, V> {
        Recent {
            entries: BTreeMap::new(),
            order: VecDeque::new(),
            weight: 0,
            capacity,
        }
    }

    fn find(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.get_mut(key)?;
        entry.used = true;
        Some(entry.value.clone())
    }

    fn keep(&mut self, key: K, value: V, weight: usize) {
        if weight > self.capacity || self.entries.contains_key(&key) {
            return;
        }
        while self.weight + weight > self.capacity {
            self.pass_over_or_drop_oldest();
        }
        self.weight += weight;
        self.order.push_back(key.clone());
        let entry = Entry {
            value,
            weight,
            used: false,
        };
        self.entries.insert(key, entry);
    }

    fn pass_over_or_drop_oldest(&mut self) {
        let oldest = self
            .order
            .pop_front()
            .expect("what weighs something is in order");
        let entry = self
            .entries
            .get_mut(&oldest)
            .expect("what is in order is kept");
        if std::mem::take(&mut entry.used) {
            self.order.push_back(oldest);
        } else {
            self.weight -= entry.weight;
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_makes_room() {
        let mut recent = Recent::new(10);
        recent.keep('a', 1, 4);
        recent.keep('b', 2, 4);
        assert_eq!(recent.find(&'a'), Some(1));
        recent.keep('c', 3, 4);
        assert_eq!(
            (recent.find(&'a'), recent.find(&'b'), recent.find(&'c')),
            (Some(1), None, Some(3))
        );
        assert_eq!(
            (recent.weight, recent.entries.len(), recent.order.len()),
            (8, 2, 2)
        );
    }

    #[test]
    fn an_entry_as_heavy_as_the_bound_is_kept_alone_and_a_heavier_one_is_not() {
        let mut recent = Recent::new(10);
        recent.keep('a', 1, 4);
        recent.keep('b', 2, 11);
        assert_eq!((recent.find(&'a'), recent.find(&'b')), (Some(1), None));
        recent.keep('b', 2, 10);
        assert_eq!((recent.find(&'a'), recent.find(&'b')), (None, Some(2)));
    }
}
