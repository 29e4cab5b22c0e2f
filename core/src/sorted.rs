//! A small map in one allocation: the rows of one operation.
//!
//! An operation has a handful of rows, which are large, mostly arrive in key order and are walked in it. A tree keeps room for
//! eleven of them in each leaf and moves them about.
//!
//! Invariant: entries are in key order, each key once.

use std::ops::{Index, RangeInclusive};

/// A map that iterates in key order. Adding a key above all others takes constant time, adding any other linear time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortedMap<K, V> {
    entries: Vec<(K, V)>,
}

impl<K, V> Default for SortedMap<K, V> {
    fn default() -> SortedMap<K, V> {
        SortedMap {
            entries: Vec::new(),
        }
    }
}

impl<K: Ord, V> SortedMap<K, V> {
    /// How many keys it has.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it has no key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What it has under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let index = self.position(key).ok()?;
        Some(&self.entries[index].1)
    }

    /// The same, to be changed.
    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let index = self.position(key).ok()?;
        Some(&mut self.entries[index].1)
    }

    /// Whether it has a key.
    pub fn contains_key(&self, key: &K) -> bool {
        self.position(key).is_ok()
    }

    /// Puts a value under a key, and answers what was there before.
    pub fn insert(&mut self, key: K, value: V) -> Option<V> {
        // Most operations are about one run, and its row is large.
        if self.entries.capacity() == 0 {
            self.entries.reserve_exact(1);
        }
        if self.entries.last().is_none_or(|(last, _)| *last < key) {
            self.entries.push((key, value));
            return None;
        }
        match self.position(&key) {
            Ok(index) => Some(std::mem::replace(&mut self.entries[index].1, value)),
            Err(index) => {
                self.entries.insert(index, (key, value));
                None
            }
        }
    }

    /// Everything, in key order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> + Clone {
        self.entries.iter().map(|(key, value)| (key, value))
    }

    /// The keys, in order.
    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.entries.iter().map(|(key, _)| key)
    }

    /// The values, in the order of their keys.
    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.entries.iter().map(|(_, value)| value)
    }

    /// The values, in the order of their keys.
    pub fn into_values(self) -> impl Iterator<Item = V> {
        self.entries.into_iter().map(|(_, value)| value)
    }

    /// Everything from one key to another, both included.
    pub fn range(&self, keys: RangeInclusive<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        let from = self.entries.partition_point(|(key, _)| key < keys.start());
        let rest = &self.entries[from..];
        let upto = rest.partition_point(|(key, _)| key <= keys.end());
        rest[..upto].iter().map(|(key, value)| (key, value))
    }

    fn position(&self, key: &K) -> Result<usize, usize> {
        self.entries.binary_search_by(|(known, _)| known.cmp(key))
    }
}

impl<K: Ord, V> Index<&K> for SortedMap<K, V> {
    type Output = V;

    /// # Panics
    /// If it has no such key.
    fn index(&self, key: &K) -> &V {
        self.get(key).expect("a key that the map has")
    }
}

impl<K: Ord, V> Extend<(K, V)> for SortedMap<K, V> {
    fn extend<I: IntoIterator<Item = (K, V)>>(&mut self, entries: I) {
        for (key, value) in entries {
            self.insert(key, value);
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for SortedMap<K, V> {
    /// Of a key that comes again, the last value stays. Takes time as sorting does, in whatever order the keys come.
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> SortedMap<K, V> {
        let mut entries: Vec<(K, V)> = entries.into_iter().collect();
        entries.sort_by(|(one, _), (other, _)| one.cmp(other));
        entries.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        SortedMap { entries }
    }
}

impl<K, V> IntoIterator for SortedMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_is_what_a_tree_is(entries in prop::collection::vec((0_u8..40, any::<u16>()), 0..60), low in 0_u8..40, span in 0_u8..40) {
            let tree: BTreeMap<u8, u16> = entries.iter().copied().collect();
            let collected: SortedMap<u8, u16> = entries.iter().copied().collect();
            let mut grown = SortedMap::default();
            let mut other = BTreeMap::new();
            for (key, value) in entries {
                prop_assert_eq!(grown.insert(key, value), other.insert(key, value));
            }
            prop_assert_eq!(&collected, &grown);
            prop_assert_eq!(grown.len(), tree.len());
            prop_assert!(grown.iter().eq(tree.iter()));
            let range = low..=low.saturating_add(span);
            prop_assert!(grown.range(range.clone()).eq(tree.range(range)));
            for key in 0..40 {
                prop_assert_eq!(grown.get(&key), tree.get(&key));
                prop_assert_eq!(grown.get_mut(&key).copied(), tree.get(&key).copied());
                prop_assert_eq!(grown.contains_key(&key), tree.contains_key(&key));
            }
            prop_assert!(grown.into_iter().eq(tree));
        }
    }
}
