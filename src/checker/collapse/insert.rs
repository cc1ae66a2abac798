//! The way of states into the set of those seen, and of new ones into the next level.

use super::control::Shared;
use super::draft::Draft;
use super::judge::Judge;
use super::level::Finds;
use super::numbered::{CELLS, Numbered};
use super::seen::{self, Fingerprint, SHARDS, Seen};
use super::table::fingerprint;
use super::thread_cache::ThreadCache;

/// The number of states that are inserted at a time: enough to hide that each insertion waits for
/// memory, few enough for all batches of a thread to stay close at hand.
const BATCH: usize = 64;

/// States on their way into the set of those seen, all of one shard.
#[derive(Default)]
struct Batch {
    /// Each state's fingerprint and half of its predecessor's.
    keys: Vec<(Fingerprint, u64)>,
    /// The states, each with its last steps.
    words: Vec<u32>,
    /// The number of concrete states that each stands for, and whether it may show anything new.
    counts: Vec<(u32, bool)>,
}

/// Inserts states, and keeps those that are new.
pub(super) struct Inserter<'a> {
    seen: &'a Seen,
    shared: &'a Shared,
    actors: usize,
    batches: Vec<Batch>,
    /// Scratch: the places in a batch of the states that are new.
    new: Vec<usize>,
    /// The new states, for the next level.
    pub(super) next: Finds,
    /// The number of concrete states that the new ones stand for.
    pub(super) concrete: u128,
    pub(super) judge: Judge<'a>,
}

impl<'a> Inserter<'a> {
    pub(super) fn new(model: &'a dyn Numbered, seen: &'a Seen, shared: &'a Shared) -> Self {
        let actors = model.setting().actors;
        Self {
            seen,
            shared,
            actors,
            batches: (0..SHARDS).map(|_| Batch::default()).collect(),
            new: Vec::new(),
            next: Finds::new(CELLS + 2 * actors),
            concrete: 0,
            judge: Judge::new(model),
        }
    }

    /// Returns half of the fingerprint of a state, if predecessors are kept.
    pub(super) fn predecessor(&self, words: &[u32]) -> u64 {
        if self.seen.is_linked() {
            fingerprint(words)[0]
        } else {
            0
        }
    }

    /// Puts a representative, which stands for so many states, into its batch. Returns its
    /// fingerprint.
    pub(super) fn push(
        &mut self,
        draft: &Draft,
        concrete: u32,
        predecessor: u64,
        may_be_visible: bool,
        cache: &mut ThreadCache<'_>,
    ) -> Fingerprint {
        let print = fingerprint(&draft.words);
        let shard = seen::shard(print);
        let batch = &mut self.batches[shard];
        batch.keys.push((print, predecessor));
        batch.words.extend_from_slice(&draft.words);
        batch.words.extend_from_slice(&draft.last_steps);
        batch.counts.push((concrete, may_be_visible));
        if batch.keys.len() >= BATCH {
            self.flush(shard, cache);
        }
        print
    }

    /// Inserts the states that still wait in batches.
    pub(super) fn flush_all(&mut self, cache: &mut ThreadCache<'_>) {
        for shard in 0..SHARDS {
            self.flush(shard, cache);
        }
    }

    fn flush(&mut self, shard: usize, cache: &mut ThreadCache<'_>) {
        let mut batch = std::mem::take(&mut self.batches[shard]);
        let mut new = std::mem::take(&mut self.new);
        let may_grow_by = |bytes| self.shared.may_grow_by(bytes);
        if !self.shared.is_stopped() {
            let inserted = self.seen.insert(shard, &batch.keys, may_grow_by, &mut new);
            if inserted.is_err() {
                self.shared.stop_for_memory();
            }
        }
        self.shared.count(new.len());
        let width = self.next.width;
        for place in new.drain(..) {
            let words = &batch.words[place * width..][..width];
            let state = &words[..CELLS + self.actors];
            let (concrete, may_be_visible) = batch.counts[place];
            self.next.push(words);
            self.concrete += u128::from(concrete);
            self.judge.look_twice(state, self.shared);
            if may_be_visible {
                let print = batch.keys[place].0;
                self.judge.judge(state, print, cache, self.shared);
            }
        }
        batch.keys.clear();
        batch.words.clear();
        batch.counts.clear();
        self.batches[shard] = batch;
        self.new = new;
    }
}
