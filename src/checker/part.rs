//! What a global state is made of: parts that are stored once and hashed once.
//!
//! A global state has few new parts at each step (a local state, a message or two); all others
//! it shares with the state before. So each distinct part is kept once, behind a pointer, with
//! its hash under every permutation of the interchangeable actors: the identity of a global
//! state is then a sum of known numbers.

use hashbrown::HashMap;
use stateright::actor::Id;
use std::cmp::Ordering;
use std::fmt;
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use xxhash_rust::xxh3::Xxh3;

/// A permutation of actor ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permutation(Vec<Id>);

impl Permutation {
    /// Where `id` goes. An id that is no actor stays.
    #[must_use]
    pub fn apply(&self, id: Id) -> Id {
        self.0.get(usize::from(id)).copied().unwrap_or(id)
    }

    /// A map of ids that is no permutation, for it makes all of some class but one the same:
    /// `marked` becomes the first of the class, all others the second. Other ids go as `rest` has
    /// them.
    pub(super) fn marking(class: &[Id], marked: Option<Id>, rest: &Permutation) -> Permutation {
        let go = |id: Id| match class {
            [first, _, ..] if Some(id) == marked => *first,
            [_, second, ..] if class.contains(&id) => *second,
            _ => rest.apply(id),
        };
        Permutation(rest.ids().map(go).collect())
    }

    /// The ids that it is about.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        (0..self.0.len()).map(Id::from)
    }

    /// All permutations of `count` ids that move ids within each of `classes` only; the first
    /// is the one that moves nothing.
    #[must_use]
    pub fn within(classes: &[Vec<Id>], count: usize) -> Vec<Permutation> {
        let still = Permutation((0..count).map(Id::from).collect());
        classes.iter().fold(vec![still], |group, class| {
            let orders = orders(class);
            let moved = |base: &Permutation, order: &Vec<Id>| {
                let mut map = base.0.clone();
                for (from, to) in class.iter().zip(order) {
                    map[usize::from(*from)] = *to;
                }
                Permutation(map)
            };
            let each = |base| orders.iter().map(move |order| moved(base, order));
            group.iter().flat_map(each).collect()
        })
    }
}

/// Every order of `ids`, the given one first.
fn orders(ids: &[Id]) -> Vec<Vec<Id>> {
    let Some((first, rest)) = ids.split_first() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for place in 0..ids.len() {
        for mut order in orders(rest) {
            order.insert(place, *first);
            all.push(order);
        }
    }
    all
}

/// One part of a global state, shared by all states that have it.
pub struct Part<T>(Arc<Interned<T>>);

struct Interned<T> {
    value: T,
    kind: u8,
    /// The part's hash under each permutation of the group, in the group's order.
    hashes: OnceLock<Box<[u128]>>,
}

impl<T: Hash> Part<T> {
    /// The part's hash under each permutation of the group, in the group's order. `image` is the
    /// value under a permutation.
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

    /// The hash that `image`, a value of the same kind, has.
    pub(super) fn hash_of(&self, image: &T) -> u128 {
        fingerprint(self.0.kind, image)
    }
}

impl<T> Part<T> {
    /// An address that tells this part from all others of its world.
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

/// Something that belongs to one actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct At<T> {
    /// The actor.
    pub id: Id,
    /// What it has.
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

    /// The part with this value, and whether it is the first time that it is seen.
    pub(super) fn intern(&self, value: T) -> (Part<T>, bool) {
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

/// 128 well-mixed bits of a value, the same in every run.
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
    fn a_group_is_every_permutation_within_the_classes_once() {
        let classes = [Id::vec_from(0..3usize), Id::vec_from([4usize, 5])];
        let group = Permutation::within(&classes, 6);
        assert_eq!(group.len(), 6 * 2);
        for (i, by) in group.iter().enumerate() {
            assert!(!group[..i].contains(by));
            assert_eq!(by.apply(Id::from(3)), Id::from(3));
            assert_eq!(by.apply(Id::from(99)), Id::from(99));
            let mut images: Vec<Id> = (0..6).map(|id| by.apply(Id::from(id))).collect();
            images.sort_unstable();
            assert_eq!(images, Id::vec_from(0..6usize));
        }
        assert_eq!(group[0].0, Id::vec_from(0..6usize));
    }

    #[test]
    fn equal_values_are_one_part_and_kinds_are_told_apart() {
        let group = Permutation::within(&[], 1);
        let (one, other) = (Interner::new(1), Interner::new(2));
        let (a, is_new) = one.intern('x');
        let (b, is_newer) = one.intern('x');
        assert!(is_new && !is_newer && a.address() == b.address());
        let (c, _) = other.intern('x');
        let hashes = |part: &Part<char>| part.hashes(&group, |value, _| *value).to_vec();
        assert_ne!(hashes(&a), hashes(&c));
    }
}
