//! The learner: what is decided, in order, and the machine that it drives.

use super::snapshot::{Chunk, Received, Snapshot, Transfer};
use super::{Entry, Log, Outcome, Sessions, Slot};
use crate::ballot::NodeId;
use crate::machine::Machine;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A learner, or replica: it delivers decided entries to the machine in the order of their slots.
/// Snapshot and log are durable; the rest follows from them, or is asked for again.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Learner<M: Machine> {
    /// What the truncated part of the log has led to; none until something is truncated.
    pub snapshot: Option<Snapshot>,
    /// The decided entries since, without a gap. All of them are applied.
    pub log: Log<M::Command>,
    /// Decided entries beyond a gap.
    pub ahead: BTreeMap<Slot, Entry<M::Command>>,
    /// The machine and its sessions, after all of the log.
    pub sessions: Sessions<M>,
    /// A snapshot on its way in.
    pub transfer: Option<Transfer>,
}

/// What became of a request that was carried out, and whom to tell.
pub struct Applied<M: Machine> {
    /// The client.
    pub client: NodeId,
    /// Its number for what it wanted.
    pub seq: u64,
    /// `None` if it knows.
    pub outcome: Option<Outcome<M::Reply>>,
}

/// What a snapshot's piece leads to.
pub enum Progress<M: Machine> {
    /// Nothing.
    Nothing,
    /// Ask for more, from this offset on.
    More(u64),
    /// The snapshot is in, and these requests that were known beyond it are carried out as well.
    Caught(Vec<Applied<M>>),
}

impl<M: Machine> Learner<M> {
    /// A learner that starts, for the first time or again, with what it had decided. A restart
    /// applies the log to the snapshot anew.
    ///
    /// `None` if the snapshot is no machine, or the log does not continue it: they are of another
    /// program, or a bug.
    #[must_use]
    pub fn restart(
        initial: &Sessions<M>,
        snapshot: Option<Snapshot>,
        log: Log<M::Command>,
    ) -> Option<Self> {
        let known = snapshot.as_ref().map_or(Slot(0), |it| it.upto);
        if known != log.start() {
            return None;
        }
        let mut sessions = match &snapshot {
            None => initial.clone(),
            Some(snapshot) => snapshot.open()?,
        };
        for request in log
            .since(log.start())
            .flat_map(|(_, entry)| entry.requests())
        {
            sessions.apply_operation(&request.operation);
        }
        Some(Self {
            snapshot,
            log,
            ahead: BTreeMap::new(),
            sessions,
            transfer: None,
        })
    }

    /// The first slot that is not decided, as far as is known here: all before are applied.
    #[must_use]
    pub fn decided(&self) -> Slot {
        self.log.end()
    }

    /// The decided entry of a slot, as far as it is known and not truncated.
    #[must_use]
    pub fn entry(&self, slot: Slot) -> Option<&Entry<M::Command>> {
        self.log.get(slot).or_else(|| self.ahead.get(&slot))
    }

    /// Whether it is known what was decided for a slot, be it truncated.
    #[must_use]
    pub fn knows(&self, slot: Slot) -> bool {
        slot < self.decided() || self.ahead.contains_key(&slot)
    }

    /// An entry is known to be decided. Whatever has no gap before it any more is applied, in the
    /// order of slots, and returned.
    ///
    /// `[PMS §3]`, `[PMMC §2.1]` (perform)
    pub fn learn(&mut self, slot: Slot, entry: Entry<M::Command>) -> Vec<Applied<M>> {
        if slot >= self.decided() {
            self.ahead.entry(slot).or_insert(entry);
        }
        self.apply()
    }

    fn apply(&mut self) -> Vec<Applied<M>> {
        let mut applied = Vec::new();
        while let Some(entry) = self.ahead.remove(&self.decided()) {
            applied.extend(entry.requests().iter().map(|request| Applied {
                client: request.client,
                seq: request.operation.seq(),
                outcome: self.sessions.apply_operation(&request.operation),
            }));
            self.log.push(entry);
        }
        let decided = self.decided();
        self.transfer = self.transfer.take().filter(|it| !it.is_past(decided));
        applied
    }

    /// Takes a snapshot and truncates the log, once it holds `every` entries or more. Both become
    /// durable in one save, so that no entry is lost before the snapshot speaks for it.
    ///
    /// `[PMMC §4.2]`, `[PML §5.5]`
    pub fn compact(&mut self, every: u64) {
        if self.decided().0 - self.log.start().0 < every.max(1) {
            return;
        }
        if let Some(snapshot) = Snapshot::take(self.decided(), &self.sessions) {
            self.log = Log::from(snapshot.upto);
            self.snapshot = Some(snapshot);
        }
    }

    /// A piece of another learner's snapshot. Once whole and intact, it takes the place of all that
    /// is known below its slot. One that is not ahead of this learner is ignored.
    ///
    /// `[PML §5.5]`
    pub fn on_chunk(&mut self, chunk: Chunk) -> Progress<M> {
        if chunk.upto <= self.decided() {
            return Progress::Nothing;
        }
        match Transfer::add(&mut self.transfer, chunk) {
            Received::More(offset) => Progress::More(offset),
            Received::Whole(snapshot) => match snapshot.open() {
                Some(sessions) => {
                    self.sessions = sessions;
                    self.log = Log::from(snapshot.upto);
                    self.ahead = self.ahead.split_off(&snapshot.upto);
                    self.snapshot = Some(snapshot);
                    Progress::Caught(self.apply())
                }
                None => Progress::Nothing,
            },
            Received::Nothing | Received::Damaged => Progress::Nothing,
        }
    }
}

impl<M: Machine> fmt::Debug for Learner<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(snapshot) = &self.snapshot {
            write!(f, "{snapshot:?} ")?;
        }
        write!(f, "{:?}", self.log)?;
        for (slot, entry) in &self.ahead {
            write!(f, " … {slot}{entry}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Journal, entry, journal};
    use super::*;

    fn learner() -> Learner<Journal> {
        Learner::restart(&journal(), None, Log::from(Slot(0))).expect("nothing is amiss")
    }

    impl Learner<Journal> {
        /// The number of requests that entries carried out.
        fn told<const N: usize>(&mut self, entries: [(u64, &str); N]) -> usize {
            let told = entries.map(|(slot, letters)| self.learn(Slot(slot), entry(letters)).len());
            told.iter().sum()
        }

        /// The slots that are decided, and what was written.
        fn known(&self) -> (Slot, &str) {
            (self.decided(), &self.sessions.machine().0)
        }
    }

    /// Every piece of a snapshot, of six bytes each.
    fn chunks(snapshot: &Snapshot) -> Vec<Chunk> {
        let offsets = (0..snapshot.bytes.len() as u64).step_by(6);
        let chunk = |offset| snapshot.chunk(offset, 6);
        offsets.filter_map(chunk).collect()
    }

    #[test]
    fn entries_are_applied_in_the_order_of_slots() {
        let mut learner = learner();
        assert_eq!(learner.told([(2, "d")]), 0);
        assert_eq!(learner.told([(1, "bc")]), 0);
        assert_eq!(learner.known(), (Slot(0), ""));
        assert_eq!(learner.told([(0, "a")]), 4);
        assert_eq!(learner.known(), (Slot(3), "abcd"));
        assert!(learner.ahead.is_empty());
    }

    #[test]
    fn what_is_known_is_not_applied_again() {
        let mut learner = learner();
        learner.told([(0, "a")]);
        let before = learner.clone();
        assert_eq!(learner.told([(0, "a")]), 0);
        assert_eq!(learner, before);
    }

    #[test]
    fn a_no_op_takes_a_slot_and_does_nothing() {
        let mut learner = learner();
        assert!(learner.learn(Slot(0), Entry::Noop).is_empty());
        assert_eq!(learner.known(), (Slot(1), ""));
    }

    #[test]
    fn a_log_is_truncated_only_once_it_is_long_enough() {
        let mut learner = learner();
        learner.told([(0, "a")]);
        learner.compact(2);
        assert_eq!(learner.snapshot, None);
        learner.told([(1, "b")]);
        learner.compact(2);
        assert_eq!(learner.snapshot.as_ref().map(|it| it.upto), Some(Slot(2)));
        assert_eq!((learner.log.start(), learner.decided()), (Slot(2), Slot(2)));
        assert_eq!(learner.entry(Slot(1)), None);
    }

    #[test]
    fn snapshot_and_log_lead_to_the_same_machine_after_a_restart() {
        let mut learner = learner();
        learner.told([(0, "a"), (1, "bc")]);
        learner.compact(2);
        learner.told([(2, "d"), (4, "z")]);
        let (snapshot, log) = (learner.snapshot.clone(), learner.log.clone());
        let restarted = Learner::restart(&journal(), snapshot, log).expect("nothing is amiss");
        assert_eq!(restarted.known(), (Slot(3), "abcd"));
        assert_eq!(restarted.sessions, learner.sessions);
        let is_asked_for_again = restarted.ahead.is_empty();
        assert!(is_asked_for_again, "it is not durable");
    }

    #[test]
    fn a_log_that_does_not_continue_the_snapshot_is_refused() {
        let mut other = learner();
        other.told([(0, "a")]);
        other.compact(1);
        let snapshot = other.snapshot;
        let restart = |snapshot: &Option<Snapshot>, start| {
            let log = Log::from(Slot(start));
            Learner::<Journal>::restart(&journal(), snapshot.clone(), log).is_some()
        };
        assert!(restart(&snapshot, 1) && restart(&None, 0));
        assert!(!restart(&snapshot, 0) && !restart(&snapshot, 2) && !restart(&None, 1));
        let damaged = snapshot.map(|it| Snapshot {
            bytes: it.bytes[1..].into(),
            ..it
        });
        assert!(!restart(&damaged, 1));
    }

    /// A learner whose snapshot speaks for slots 0 to 2, and the pieces of it.
    fn provider() -> (Learner<Journal>, Vec<Chunk>) {
        let mut provider = learner();
        provider.told([(0, "a"), (1, "b"), (2, "c")]);
        provider.compact(3);
        let chunks = chunks(provider.snapshot.as_ref().expect("a snapshot"));
        (provider, chunks)
    }

    #[test]
    fn a_snapshot_takes_the_place_of_all_below_and_what_was_ahead_follows() {
        let (provider, chunks) = provider();
        let mut learner = learner();
        learner.told([(0, "a"), (2, "c"), (3, "d")]);
        let (last, first) = chunks.split_last().expect("some pieces");
        for chunk in first {
            let end = chunk.offset + chunk.bytes.len() as u64;
            let progress = learner.on_chunk(chunk.clone());
            assert!(matches!(progress, Progress::More(offset) if offset == end));
        }
        let Progress::Caught(applied) = learner.on_chunk(last.clone()) else {
            panic!("the snapshot is whole");
        };
        assert_eq!(applied.len(), 1);
        assert_eq!(learner.known(), (Slot(4), "abcd"));
        assert_eq!(learner.log.start(), Slot(3));
        assert_eq!(learner.snapshot, provider.snapshot);
        assert!(learner.ahead.is_empty() && learner.transfer.is_none());
    }

    #[test]
    fn a_snapshot_that_brings_nothing_new_is_ignored() {
        let (mut provider, chunks) = provider();
        let before = provider.clone();
        for chunk in chunks.clone() {
            assert!(matches!(provider.on_chunk(chunk), Progress::Nothing));
        }
        assert_eq!(provider, before);
        // One under way is dropped once its slots are known otherwise.
        let mut learner = learner();
        learner.on_chunk(chunks[0].clone());
        assert!(learner.transfer.is_some());
        learner.told([(0, "a"), (1, "b"), (2, "c")]);
        assert_eq!(learner.transfer, None);
    }
}
