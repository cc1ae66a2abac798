//! The set of the states that were seen, by their fingerprints.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::sync::{Mutex, PoisonError};

/// The number of locks that share the set. Threads insert in batches, a batch per lock.
pub(super) const SHARDS: usize = 64;

/// The fingerprint of a state, of 128 bits.
pub(super) type Fingerprint = [u64; 2];

/// The number of bytes of a fingerprint that are kept. They take nearly all the memory of a search,
/// so there are only as many as make a collision unlikely among the states that memory has room
/// for.
const KEY: usize = 14;

/// The bytes of a fingerprint that are kept, and eight of the predecessor's.
const LINKED: usize = KEY + 8;

/// The number of bits by which states are told apart: those that are kept, and those that chose the
/// shard.
pub(in super::super) const BITS: u32 = 8 * KEY as u32 + SHARDS.ilog2();

/// A set of fingerprints, each with the first half of its predecessor's if runs are to be rebuilt.
pub(super) enum Seen {
    /// Fingerprints alone.
    Unlinked(Shards<KEY>),
    /// Fingerprints with predecessors.
    Linked(Shards<LINKED>),
}

/// The tables of a set, one per lock, with entries of so many bytes.
pub(super) struct Shards<const BYTES: usize>(Box<[Mutex<HashTable<[u8; BYTES]>>]>);

/// The error that there is no room for more.
pub(super) struct Full;

/// Returns the entry of a state: the first half of its fingerprint, as many bytes of the second
/// half as fit, without the bits that chose the shard, and its predecessor, if that fits.
fn entry<const BYTES: usize>([first, second]: Fingerprint, predecessor: u64) -> [u8; BYTES] {
    let rest = second / SHARDS as u64;
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(&first.to_le_bytes());
    bytes[8..KEY].copy_from_slice(&rest.to_le_bytes()[..KEY - 8]);
    bytes[KEY..].copy_from_slice(&predecessor.to_le_bytes()[..BYTES - KEY]);
    bytes
}

/// Returns the eight bytes of an entry from a place on.
fn half(entry: &[u8], at: usize) -> u64 {
    let bytes = entry.get(at..).and_then(<[u8]>::first_chunk);
    u64::from_le_bytes(bytes.copied().unwrap_or_default())
}

fn hash<const BYTES: usize>(entry: &[u8; BYTES]) -> u64 {
    half(entry, 0)
}

/// Returns whether two entries are of the same state.
fn is_same<const BYTES: usize>(one: &[u8; BYTES], other: &[u8; BYTES]) -> bool {
    // The two halves overlap.
    [0, KEY - 8].map(|at| half(one, at)) == [0, KEY - 8].map(|at| half(other, at))
}

/// Returns the shard that a state belongs to.
pub(super) fn shard(fingerprint: Fingerprint) -> usize {
    fingerprint[1] as usize % SHARDS
}

impl Seen {
    /// Returns an empty set that keeps no predecessors.
    pub(super) fn unlinked() -> Self {
        Self::Unlinked(Shards::new())
    }

    /// Returns an empty set that keeps predecessors.
    pub(super) fn linked() -> Self {
        Self::Linked(Shards::new())
    }

    /// Returns whether predecessors are kept.
    pub(super) fn is_linked(&self) -> bool {
        matches!(self, Self::Linked(_))
    }

    /// Inserts a batch of states that all belong to `shard`, each with its predecessor, and adds
    /// the places in the batch of those that are new to `new`. Nothing is inserted if that takes
    /// more memory than `may_grow_by` allows, in bytes.
    pub(super) fn insert(
        &self,
        shard: usize,
        batch: &[(Fingerprint, u64)],
        may_grow_by: impl FnOnce(usize) -> bool,
        new: &mut Vec<usize>,
    ) -> Result<(), Full> {
        match self {
            Self::Unlinked(shards) => shards.insert(shard, batch, may_grow_by, new),
            Self::Linked(shards) => shards.insert(shard, batch, may_grow_by, new),
        }
    }

    /// Returns the first halves of the fingerprints on the way to a state, from the first state on;
    /// the state's alone if predecessors are not kept.
    ///
    /// Two states hardly ever have the first half in common. If they do, no step leads on along the
    /// way, and the caller notices.
    pub(super) fn way_to(&self, end: u64, start: u64) -> Vec<u64> {
        let mut way = vec![end];
        let mut at = end;
        while at != start {
            match self.predecessor(at) {
                Some(predecessor) if way.len() <= u16::MAX.into() => at = predecessor,
                _ => break,
            }
            way.push(at);
        }
        way.reverse();
        way
    }

    fn predecessor(&self, of: u64) -> Option<u64> {
        let Self::Linked(Shards(shards)) = self else {
            return None;
        };
        shards.iter().find_map(|shard| {
            let table = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let found = table.find(of, |entry| hash(entry) == of);
            found.map(|entry| half(entry, KEY))
        })
    }
}

impl<const BYTES: usize> Shards<BYTES> {
    fn new() -> Self {
        let shard = |_| Mutex::new(HashTable::new());
        Self((0..SHARDS).map(shard).collect())
    }

    fn insert(
        &self,
        shard: usize,
        batch: &[(Fingerprint, u64)],
        may_grow_by: impl FnOnce(usize) -> bool,
        new: &mut Vec<usize>,
    ) -> Result<(), Full> {
        // A panic of another thread cannot leave the set half-changed, so that it stays usable.
        let mut table = self.0[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if table.len() + batch.len() > table.capacity() {
            let before = table.allocation_size();
            // The new allocation is about twice the old one, which is freed when it is filled.
            if !may_grow_by(2 * before) {
                return Err(Full);
            }
            table.reserve(batch.len(), hash);
        }
        // Most states are known. To look for all of them first lets the look-ups, each of which
        // waits for memory, wait together.
        let is_known = |(print, _): &(Fingerprint, u64)| {
            let sought = entry(*print, 0);
            let found = table.find(print[0], |known| is_same(known, &sought));
            found.is_some()
        };
        let known: Vec<bool> = batch.iter().map(is_known).collect();
        for (place, (print, predecessor)) in batch.iter().enumerate() {
            if known[place] {
                continue;
            }
            let fresh = entry(*print, *predecessor);
            let is_fresh = |known: &_| is_same(known, &fresh);
            if let Entry::Vacant(vacant) = table.entry(print[0], is_fresh, hash) {
                vacant.insert(fresh);
                new.push(place);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_new_once() {
        let seen = Seen::unlinked();
        let mut new = Vec::new();
        let batch = [([1, 0], 0), ([2, 0], 0), ([1, 0], 9), ([1, 64], 0)];
        assert!(seen.insert(0, &batch, |_| true, &mut new).is_ok());
        assert_eq!(new, [0, 1, 3]);
        assert!(seen.insert(0, &batch[..1], |_| true, &mut new).is_ok());
        assert_eq!(new.len(), 3);
    }

    /// Red if a bit that is counted is not looked at, or one is that is not counted.
    #[test]
    fn states_are_told_apart_by_as_many_bits_as_are_counted() {
        let told = (0..128).filter(|bit| {
            let flipped = (1_u128 << bit).to_le_bytes();
            let print = [half(&flipped, 0), half(&flipped, 8)];
            let shard = super::shard(print);
            let (seen, mut new) = (Seen::unlinked(), Vec::new());
            let batch = [([0, shard as u64], 0), (print, 0)];
            assert!(seen.insert(shard, &batch, |_| true, &mut new).is_ok());
            shard > 0 || new == [0, 1]
        });
        assert_eq!(told.count(), BITS as usize);
    }

    #[test]
    fn a_set_that_must_not_grow_takes_nothing() {
        let seen = Seen::unlinked();
        let mut new = Vec::new();
        assert!(seen.insert(0, &[([1, 0], 0)], |_| false, &mut new).is_err());
        assert!(new.is_empty());
    }

    #[test]
    fn the_way_back_is_found() {
        let seen = Seen::linked();
        let mut new = Vec::new();
        for (at, before) in [(5, 5), (6, 5), (7, 6), (8, 7)] {
            let batch = [([at, at], before)];
            let shard = super::shard([at, at]);
            assert!(seen.insert(shard, &batch, |_| true, &mut new).is_ok());
        }
        assert_eq!(seen.way_to(8, 5), [5, 6, 7, 8]);
        assert_eq!(seen.way_to(99, 5), [99]);
    }
}
