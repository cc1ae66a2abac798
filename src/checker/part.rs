//! The parts of global states, which are stored once and hashed once.
//!
//! A global state has few new parts at each step (a local state, a message or two); all others
//! it shares with the state before. So each distinct part is kept once, behind a pointer, with
//! its hash under every permutation of the interchangeable actors: the identity of a global
//! state is then a sum of known numbers.

use super::permutation::Permutation;
use hashbrown::HashMap;
use stateright::actor::Id;
use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use xxhash_rust::xxh3::Xxh3;

/// One part of a global state, shared by all states that have it.
pub struct Part<T>(Arc<Interned<T>>);

struct Interned<T> {
    value: T,
    kind: u8,
    /// Returns the part's hash under each permutation of the group, in the group's order.
    hashes: OnceLock<Box<[u128]>>,
}

impl<T: Hash> Part<T> {
    /// Returns the part's hash under each permutation of the group, in the group's order. `image`
    /// is the value under a permutation.
    pub(super) fn hashes(
        &self,
        group: &[Permutation],
        image: impl Fn(&T, &Permutation) -> T,
    ) -> &[u128] {
        let hash = |by| self.hash_of(&image(&self.0.value, by));
        self.0
            .hashes
            .get_or_init(|| group.iter().map(hash).collect())
    }

    /// Returns the hash of `image`, a value of the same kind.
    pub(super) fn hash_of(&self, image: &T) -> u128 {
        fingerprint(self.0.kind, image)
    }
}

impl<T> Part<T> {
    /// Returns an address that tells this part from all others of its world.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }
}

impl<T> Deref for Part<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

impl<T> Clone for Part<T> {
    fn clone(&self) -> Self {
        Part(Arc::clone(&self.0))
    }
}

impl<T: PartialEq> PartialEq for Part<T> {
    /// Equal values have one address within a world; values decide between worlds.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || **self == **other
    }
}

impl<T: Eq> Eq for Part<T> {}

impl<T: PartialOrd> PartialOrd for Part<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (**self).partial_cmp(&**other)
    }
}

impl<T: Ord> Ord for Part<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl<T: fmt::Debug> fmt::Debug for Part<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

/// A value that belongs to one actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At<T> {
    /// The actor.
    pub id: Id,
    /// The value.
    pub value: T,
}

/// The parts of one kind that a world has seen.
pub(super) struct Interner<T> {
    kind: u8,
    parts: RwLock<HashMap<T, Part<T>>>,
}

impl<T: Clone + Eq + Hash> Interner<T> {
    /// `kind` keeps the hashes of equal values of different kinds apart.
    pub(super) fn new(kind: u8) -> Self {
        Self {
            kind,
            parts: RwLock::default(),
        }
    }

    /// Returns the part with this value.
    pub(super) fn intern(&self, value: T) -> Part<T> {
        self.find_or_add(value).0
    }

    /// Returns the part with this value, and whether it is new.
    pub(super) fn find_or_add(&self, value: T) -> (Part<T>, bool) {
        // A panic of another thread cannot leave the map half-changed, so that it stays usable.
        let parts = self.parts.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = parts.get(&value) {
            return (part.clone(), false);
        }
        drop(parts);
        let mut parts = self.parts.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(part) = parts.get(&value) {
            return (part.clone(), false);
        }
        let part = Part(Arc::new(Interned {
            value: value.clone(),
            kind: self.kind,
            hashes: OnceLock::new(),
        }));
        parts.insert(value, part.clone());
        (part, true)
    }
}

/// Returns 128 well-mixed bits of a value, the same in every run.
pub(super) fn fingerprint(kind: u8, value: &impl Hash) -> u128 {
    let mut hasher = Xxh3::new();
    kind.hash(&mut hasher);
    value.hash(&mut hasher);
    hasher.digest128()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_are_one_part_and_kinds_are_told_apart() {
        let group = Permutation::within(&[], 1);
        let (one, other) = (Interner::new(1), Interner::new(2));
        let (a, is_new) = one.find_or_add('x');
        let (b, is_newer) = one.find_or_add('x');
        assert!(is_new && !is_newer && a.address() == b.address());
        let c = other.intern('x');
        let hashes = |part: &Part<char>| part.hashes(&group, |value, _| *value).to_vec();
        assert_ne!(hashes(&a), hashes(&c));
    }
}
