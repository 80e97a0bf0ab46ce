//! Sets and maps that mostly hold one thing: a sorted list, no larger than what is in it. Most topics are one mention by one
//! source, and a tree's first node has room for eleven. Written and read as the trees of the standard library are.

use serde::de::{MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A sorted set.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct FewSet<T>(Vec<T>);

impl<T> Default for FewSet<T> {
    fn default() -> FewSet<T> {
        FewSet(Vec::new())
    }
}

impl<T: Ord> FewSet<T> {
    /// Puts one in, where it is not in; of more than `most` the last goes.
    pub(crate) fn keep_first(&mut self, one: T, most: usize) {
        if self.0.len() >= most && self.0.last().is_some_and(|last| one >= *last) {
            return;
        }
        let Err(at) = self.0.binary_search(&one) else { return };
        if self.0.is_empty() {
            self.0.reserve_exact(1);
        }
        self.0.insert(at, one);
        self.0.truncate(most);
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn first(&self) -> Option<&T> {
        self.0.first()
    }

    pub(crate) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }
}

impl<T> IntoIterator for FewSet<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// A sorted map.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FewMap<K, V>(Vec<(K, V)>);

impl<K, V> Default for FewMap<K, V> {
    fn default() -> FewMap<K, V> {
        FewMap(Vec::new())
    }
}

impl<K: Ord + Copy, V: Copy> FewMap<K, V> {
    fn find(&self, key: K) -> Result<usize, usize> {
        self.0.binary_search_by(|own| own.0.cmp(&key))
    }

    pub(crate) fn get(&self, key: K) -> Option<V> {
        self.find(key).ok().map(|at| self.0[at].1)
    }

    /// What stands under a key, where nothing does this.
    pub(crate) fn or_insert(&mut self, key: K, value: V) -> &mut V {
        let at = match self.find(key) {
            Ok(at) => at,
            Err(at) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(1);
                }
                self.0.insert(at, (key, value));
                at
            }
        };
        &mut self.0[at].1
    }

    /// Those from `from` to before `to`.
    pub(crate) fn range(&self, from: K, to: K) -> impl Iterator<Item = (K, V)> + '_ {
        let start = self.0.partition_point(|own| own.0 < from);
        self.0[start..].iter().take_while(move |own| own.0 < to).copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (K, V)> + '_ {
        self.0.iter().copied()
    }
}

impl<K: Serialize, V: Serialize> Serialize for FewMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in &self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for FewMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<FewMap<K, V>, D::Error> {
        struct Rows<K, V>(std::marker::PhantomData<(K, V)>);
        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Rows<K, V> {
            type Value = FewMap<K, V>;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<FewMap<K, V>, A::Error> {
                let mut rows = Vec::new();
                while let Some(row) = map.next_entry()? {
                    rows.push(row);
                }
                Ok(FewMap(rows))
            }
        }
        deserializer.deserialize_map(Rows(std::marker::PhantomData))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    proptest! {
        #[test]
        fn they_are_what_the_trees_are_in_memory_and_as_bytes(all in proptest::collection::vec((0i64..30, 0u32..9), 0..60)) {
            let (mut few, mut tree) = (FewMap::default(), BTreeMap::new());
            let (mut set, mut all_of_it) = (FewSet::default(), BTreeSet::new());
            for (key, value) in all {
                *few.or_insert(key, value) += 1;
                *tree.entry(key).or_insert(value) += 1;
                set.keep_first(key, 7);
                all_of_it.insert(key);
            }
            prop_assert_eq!(few.iter().collect::<Vec<_>>(), tree.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            prop_assert_eq!(
                few.range(5, 12).collect::<Vec<_>>(), tree.range(5..12).map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
            let first: BTreeSet<i64> = all_of_it.into_iter().take(7).collect();
            prop_assert!(set.iter().eq(first.iter()));
            let bytes = postcard::to_stdvec(&(&few, &set)).expect("they serialise");
            prop_assert_eq!(&bytes, &postcard::to_stdvec(&(&tree, &first)).expect("they serialise"));
            prop_assert_eq!(postcard::from_bytes::<(FewMap<i64, u32>, FewSet<i64>)>(&bytes).expect("they read"), (few, set));
        }
    }
}
