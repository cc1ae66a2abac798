//! The states that were seen, by their fingerprints.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use std::sync::{Mutex, PoisonError};

/// How many locks share the set. Threads insert in batches, a batch per lock.
pub(super) const SHARDS: usize = 64;

/// The fingerprint of a state, of 128 bits.
pub(super) type Fingerprint = [u64; 2];

/// A set of fingerprints, each with the first half of its predecessor's if those are kept.
///
/// `WORDS` is 2 for fingerprints alone, or 3.
pub(super) struct Seen<const WORDS: usize> {
    shards: Box<[Mutex<HashTable<[u64; WORDS]>>]>,
}

/// There is no room for more.
pub(super) struct Full;

fn hash<const WORDS: usize>(entry: &[u64; WORDS]) -> u64 {
    entry[0]
}

impl<const WORDS: usize> Seen<WORDS> {
    pub(super) fn new() -> Self {
        let shard = |_| Mutex::new(HashTable::new());
        Self {
            shards: (0..SHARDS).map(shard).collect(),
        }
    }

    /// Which shard a state belongs to.
    pub(super) fn shard(fingerprint: Fingerprint) -> usize {
        fingerprint[1] as usize % SHARDS
    }

    /// Inserts a batch of states that all belong to `shard`, each with its predecessor, and says
    /// which are new, by their places in the batch. Nothing is inserted if that takes more memory
    /// than `may_grow_by` allows, in bytes.
    pub(super) fn insert(
        &self,
        shard: usize,
        batch: &[(Fingerprint, u64)],
        may_grow_by: impl FnOnce(usize) -> bool,
        new: &mut Vec<usize>,
    ) -> Result<(), Full> {
        // A panic of another thread cannot leave the set half-changed, so that it stays usable.
        let mut table = self.shards[shard]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
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
            let found = table.find(print[0], |entry| entry[..2] == print[..]);
            found.is_some()
        };
        let known: Vec<bool> = batch.iter().map(is_known).collect();
        for (place, (fingerprint, predecessor)) in batch.iter().enumerate() {
            if known[place] {
                continue;
            }
            let is_same = |entry: &[u64; WORDS]| entry[..2] == fingerprint[..];
            if let Entry::Vacant(vacant) = table.entry(fingerprint[0], is_same, hash) {
                let words = [fingerprint[0], fingerprint[1], *predecessor];
                vacant.insert(std::array::from_fn(|word| words[word]));
                new.push(place);
            }
        }
        Ok(())
    }
}

impl Seen<3> {
    /// The first halves of the fingerprints on the way to a state, from the first state on.
    ///
    /// That two states have the first half in common is unlikely, and noticed: whoever follows the
    /// way finds no step to take.
    pub(super) fn way_to(&self, end: u64, start: u64) -> Vec<u64> {
        let mut way = vec![end];
        let mut at = end;
        while at != start {
            let found = self.shards.iter().find_map(|shard| {
                let table = shard.lock().unwrap_or_else(PoisonError::into_inner);
                table.find(at, |entry| entry[0] == at).map(|entry| entry[2])
            });
            match found {
                Some(predecessor) if way.len() <= u16::MAX.into() => at = predecessor,
                _ => break,
            }
            way.push(at);
        }
        way.reverse();
        way
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_new_once() {
        let seen = Seen::<2>::new();
        let mut new = Vec::new();
        let batch = [([1, 0], 0), ([2, 0], 0), ([1, 0], 9), ([1, 64], 0)];
        assert!(seen.insert(0, &batch, |_| true, &mut new).is_ok());
        assert_eq!(new, [0, 1, 3]);
        assert!(seen.insert(0, &batch[..1], |_| true, &mut new).is_ok());
        assert_eq!(new.len(), 3);
    }

    #[test]
    fn a_set_that_must_not_grow_takes_nothing() {
        let seen = Seen::<2>::new();
        let mut new = Vec::new();
        assert!(seen.insert(0, &[([1, 0], 0)], |_| false, &mut new).is_err());
        assert!(new.is_empty());
    }

    #[test]
    fn the_way_back_is_found() {
        let seen = Seen::<3>::new();
        let mut new = Vec::new();
        for (at, before) in [(5, 5), (6, 5), (7, 6), (8, 7)] {
            let batch = [([at, at], before)];
            let shard = Seen::<3>::shard([at, at]);
            assert!(seen.insert(shard, &batch, |_| true, &mut new).is_ok());
        }
        assert_eq!(seen.way_to(8, 5), [5, 6, 7, 8]);
        assert_eq!(seen.way_to(99, 5), [99]);
    }
}
