//! The learner: what is decided, in order, and the machine that it drives.

use super::snapshot::{Chunk, Received, Snapshot, Transfer};
use super::{Entry, Log, Outcome, Request, Sessions, Slot};
use crate::machine::Machine;
use std::collections::BTreeMap;
use std::fmt;

/// A learner, or replica: it delivers decided entries to the machine in the order of their slots.
/// Snapshot and log are durable; the rest follows from them, or is asked for again.
#[derive(Clone, PartialEq, Eq, Hash)]
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

/// A request that was carried out, and what became of it; `None` if its client knows.
pub type Applied<M> = (
    Request<<M as Machine>::Command>,
    Option<Outcome<<M as Machine>::Reply>>,
);

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
            sessions.carry_out(&request.order);
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
            for request in entry.requests() {
                let outcome = self.sessions.carry_out(&request.order);
                applied.push((request.clone(), outcome));
            }
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
