//! The states of one level of the search.

use super::numbered::CELLS;

/// The number of states per chunk of a level. A thread takes a chunk to expand at a time.
pub(super) const CHUNK: usize = 256;

/// States of one level, in chunks for threads to take.
pub(super) struct Level {
    /// The numbers per state, with those of the last steps.
    pub(super) width: usize,
    pub(super) chunks: Vec<Vec<u32>>,
}

impl Level {
    pub(super) fn new(width: usize) -> Self {
        let chunks = Vec::new();
        Self { width, chunks }
    }

    /// Returns the states of both levels, in no order.
    pub(super) fn and(mut self, mut more: Self) -> Self {
        self.chunks.append(&mut more.chunks);
        self
    }

    fn push(&mut self, state: &[u32]) {
        let room = CHUNK * self.width;
        match self.chunks.last_mut().filter(|chunk| chunk.len() < room) {
            Some(chunk) => chunk.extend_from_slice(state),
            None => {
                let mut chunk = Vec::with_capacity(room);
                chunk.extend_from_slice(state);
                self.chunks.push(chunk);
            }
        }
    }

    /// Brings states that have much in common together.
    fn sorted(&self) -> Self {
        let states = self.chunks.iter();
        let states = states.flat_map(|chunk| chunk.chunks_exact(self.width));
        let mut order: Vec<(u64, &[u32])> =
            states.map(|state| (locality_key(state), state)).collect();
        order.sort_unstable_by_key(|(locality_key, _)| *locality_key);
        let mut sorted = Self::new(self.width);
        order.iter().for_each(|(_, state)| sorted.push(state));
        sorted
    }

    /// Returns the number of states.
    pub(super) fn len(&self) -> usize {
        let words: usize = self.chunks.iter().map(Vec::len).sum();
        words / self.width
    }
}

/// Returns the numbers that a state shares with its neighbours in a sorted level: the history and
/// one cell. To tell more apart takes longer than it saves.
fn locality_key(state: &[u32]) -> u64 {
    u64::from(state[0]) << 32 | u64::from(state[CELLS])
}

/// The states that a thread finds for the next level, in no particular order. States with one
/// record are kept in one of some buckets, most of which are so small that sorting a copy takes
/// little memory.
pub(super) struct Finds {
    /// The numbers per state, with those of the last steps.
    pub(super) width: usize,
    buckets: Vec<Level>,
}

impl Finds {
    const BUCKETS: usize = 64;

    pub(super) fn new(width: usize) -> Self {
        let buckets = (0..Self::BUCKETS).map(|_| Level::new(width)).collect();
        Self { width, buckets }
    }

    pub(super) fn push(&mut self, state: &[u32]) {
        self.buckets[state[0] as usize % Self::BUCKETS].push(state);
    }

    /// Sorts all that was found.
    pub(super) fn sort(&mut self) {
        for bucket in &mut self.buckets {
            *bucket = bucket.sorted();
        }
    }

    /// Takes all that was found, and leaves nothing.
    pub(super) fn take(&mut self) -> Level {
        let buckets = std::mem::replace(self, Self::new(self.width)).buckets;
        buckets.into_iter().fold(Level::new(self.width), Level::and)
    }
}
