//! Values that are stored once and named by small numbers, and caches of what was looked up.

use hashbrown::{HashMap, HashTable};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};

/// A value's number in its [`Table`].
pub(super) type Index = u32;

/// The number of nothing.
pub(super) const NONE: Index = Index::MAX;

/// The number of locks that share the work of a table.
const SHARDS: usize = 64;

/// Distinct values, numbered from 0 as they come. Reading takes no lock.
pub(super) struct Table<T> {
    values: boxcar::Vec<T>,
    shards: Box<[Shard]>,
}

/// Hashes, and the numbers of the values that have them.
type Shard = Mutex<HashTable<(u64, Index)>>;

impl<T> Table<T> {
    pub(super) fn new() -> Self {
        let shard = |_| Mutex::new(HashTable::new());
        Self {
            values: boxcar::Vec::new(),
            shards: (0..SHARDS).map(shard).collect(),
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.values.count()
    }

    /// Returns the number of the value with this hash that `is_it`, which is made if there is none
    /// yet. `make` must not look into this table.
    ///
    /// # Panics
    /// If there are 2³² − 1 values already, which no memory holds.
    pub(super) fn intern(
        &self,
        hash: u64,
        is_it: impl Fn(&T) -> bool,
        make: impl FnOnce() -> T,
    ) -> Index {
        let shard = &self.shards[(hash >> 58) as usize % SHARDS];
        // A panic of another thread cannot leave the table half-changed, so that it stays usable.
        let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let is_same = |(other, index): &(u64, Index)| *other == hash && is_it(&self[*index]);
        if let Some((_, index)) = shard.find(hash, is_same) {
            return *index;
        }
        let index = Index::try_from(self.values.push(make())).unwrap_or(NONE);
        assert_ne!(index, NONE, "more distinct parts than numbers for them");
        shard.insert_unique(hash, (hash, index), |(hash, _)| *hash);
        index
    }
}

impl<T> std::ops::Index<Index> for Table<T> {
    type Output = T;

    /// The value of a number that this table gave out.
    fn index(&self, index: Index) -> &T {
        &self.values[index as usize]
    }
}

/// Returns 128 well-mixed bits of a string of numbers.
pub(super) fn fingerprint(words: &[u32]) -> [u64; 2] {
    let hash = xxhash_rust::xxh3::xxh3_128(bytemuck::cast_slice(words));
    // The halves of one hash.
    [hash as u64, (hash >> 64) as u64]
}

/// Results that were computed lately, each in the one place that its key leads to.
///
/// It forgets what others displace, so that a look-up is one access to memory. It grows when it
/// forgets much, up to a limit.
pub(super) struct Cache<const KEY: usize> {
    slots: Box<[([u64; KEY], Index)]>,
    misses: usize,
}

/// The number of places that a cache has at most.
const PLACES_MAX: usize = 1 << 21;

impl<const KEY: usize> Cache<KEY> {
    pub(super) fn new() -> Self {
        Self {
            slots: Self::empty(1 << 10),
            misses: 0,
        }
    }

    fn empty(places: usize) -> Box<[([u64; KEY], Index)]> {
        vec![([u64::MAX; KEY], NONE); places].into_boxed_slice()
    }

    /// Returns the result for `key`, looked up or made. No key is all ones.
    #[inline]
    pub(super) fn get(&mut self, key: [u64; KEY], make: impl FnOnce() -> Index) -> Index {
        let place = self.place(key);
        if self.slots[place].0 == key {
            return self.slots[place].1;
        }
        self.misses += 1;
        if self.misses > 2 * self.slots.len() && self.slots.len() < PLACES_MAX {
            self.grow();
        }
        let result = make();
        let place = self.place(key);
        self.slots[place] = (key, result);
        result
    }

    fn place(&self, key: [u64; KEY]) -> usize {
        // Keys of one word are pairs of small numbers, which this spreads; longer ones are hashes.
        let spread = key[0].wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (spread >> 32) as usize & (self.slots.len() - 1)
    }

    #[cold]
    fn grow(&mut self) {
        let places = 4 * self.slots.len();
        let old = std::mem::replace(&mut self.slots, Self::empty(places));
        self.misses = 0;
        for slot in old.into_iter().filter(|slot| slot.0 != [u64::MAX; KEY]) {
            let place = self.place(slot.0);
            self.slots[place] = slot;
        }
    }
}

/// Results that are expensive to compute and that all threads ask for: computed once, and kept.
pub(super) struct Memo {
    shards: Box<[Mutex<HashMap<u64, Index>>]>,
}

impl Memo {
    pub(super) fn new() -> Self {
        let shard = |_| Mutex::new(HashMap::new());
        Self {
            shards: (0..SHARDS).map(shard).collect(),
        }
    }

    /// Returns the result for a pair of numbers, looked up or made. Two threads that ask at once
    /// may both make it, and make the same.
    pub(super) fn get(&self, a: Index, b: Index, make: impl FnOnce() -> Index) -> Index {
        let [key] = pair(a, b);
        let spread = key.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let shard = &self.shards[(spread >> 58) as usize % SHARDS];
        let lock = || shard.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().get(&key).copied();
        known.unwrap_or_else(|| {
            let result = make();
            lock().insert(key, result);
            result
        })
    }
}

/// The numbers of those images of a part under permutations that anybody asked for.
pub(super) struct Images(Box<[AtomicU32]>);

impl Images {
    pub(super) fn new(order: usize) -> Self {
        Self((0..order).map(|_| AtomicU32::new(NONE)).collect())
    }

    /// Returns the image under the permutation at `place`, looked up or made.
    pub(super) fn get(&self, place: usize, make: impl FnOnce() -> Index) -> Index {
        // A thread that reads a number must find what it stands for.
        let known = self.0[place].load(Ordering::Acquire);
        if known != NONE {
            return known;
        }
        let image = make();
        self.0[place].store(image, Ordering::Release);
        image
    }
}

/// Returns two numbers as one key.
pub(super) fn pair(a: Index, b: Index) -> [u64; 1] {
    [u64::from(a) << 32 | u64::from(b)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_one_number_whoever_asks() {
        let table = Table::new();
        let intern = |value: u64| table.intern(value % 3, |it| *it == value, || value);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1000).for_each(|value| assert!(intern(value) < 1000)));
            }
        });
        assert_eq!(table.len(), 1000);
        for value in 0..1000 {
            assert_eq!(table[intern(value)], value);
        }
    }

    #[test]
    fn a_cache_forgets_but_never_mixes_up() {
        let mut cache = Cache::new();
        for round in 0..3 {
            for key in 0..10_000u32 {
                assert_eq!(cache.get(pair(key, round), || key + round), key + round);
                assert_eq!(cache.get(pair(key, round), || NONE), key + round);
            }
        }
    }
}
