//! The replies that a session remembers.

use serde::{Deserialize, Serialize, Serializer};
use std::collections::{BTreeMap, VecDeque};

/// Replies by the numbers of their commands, of which no two are the same.
///
/// In the order of the numbers, which is about the order in which they come and go: so nearly all
/// is done at the ends.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "BTreeMap<u64, R>")]
pub(super) struct Replies<R>(VecDeque<(u64, R)>);

impl<R> Replies<R> {
    pub(super) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Where a reply is, or where it would be.
    fn find(&self, seq: u64) -> Result<usize, usize> {
        match self.0.back() {
            Some((last, _)) if *last >= seq => self.0.binary_search_by_key(&seq, |it| it.0),
            _ => Err(self.0.len()),
        }
    }

    pub(super) fn get(&self, seq: u64) -> Option<&R> {
        let at = self.find(seq).ok()?;
        self.0.get(at).map(|(_, reply)| reply)
    }

    /// The reply to a command, which is made if there is none.
    pub(super) fn get_or_insert_with(&mut self, seq: u64, make: impl FnOnce() -> R) -> &R {
        let at = self.find(seq).unwrap_or_else(|at| {
            self.0.insert(at, (seq, make()));
            at
        });
        &self.0[at].1
    }

    /// Forgets the replies to all commands below one.
    pub(super) fn forget_below(&mut self, seq: u64) {
        while self.0.front().is_some_and(|(first, _)| *first < seq) {
            self.0.pop_front();
        }
    }
}

impl<R> From<BTreeMap<u64, R>> for Replies<R> {
    fn from(replies: BTreeMap<u64, R>) -> Self {
        Self(replies.into_iter().collect())
    }
}

impl<R: Serialize> Serialize for Replies<R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(seq, reply)| (seq, reply)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};

    /// Whatever is done, they are what a map would be, and are written and read like one.
    #[test]
    fn replies_are_a_map_by_number() {
        let mut rng = SmallRng::seed_from_u64(1);
        let (mut replies, mut map) = (Replies::new(), BTreeMap::new());
        let mut base = 0;
        for round in 0..5_000_u32 {
            let seq = base + rng.random_range(0..20);
            match rng.random_range(0..8) {
                0 => {
                    replies.forget_below(seq);
                    map.retain(|known, _| *known >= seq);
                    base = base.max(seq);
                }
                1 | 2 => assert_eq!(replies.get(seq), map.get(&seq)),
                _ => {
                    let reply = *replies.get_or_insert_with(seq, || round);
                    assert_eq!(reply, *map.entry(seq).or_insert(round));
                }
            }
            assert_eq!(replies.len(), map.len());
            assert!(replies.0.iter().map(|(seq, reply)| (seq, reply)).eq(&map));
        }
        let bytes = postcard::to_allocvec(&replies).expect("it can be written");
        assert_eq!(postcard::to_allocvec(&map), Ok(bytes.clone()));
        assert_eq!(postcard::from_bytes(&bytes), Ok(replies));
    }
}
