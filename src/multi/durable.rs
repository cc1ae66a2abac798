//! What a process saves: all of it, and what changed in it.

use super::{Acceptor, Entry, Log, NodeState, Slot, Snapshot};
use crate::ballot::Ballot;
use crate::delta::Delta;
use crate::effects::Persistent;
use crate::machine::{Data, Machine};
use crate::vote::{OrNone, Vote};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What must survive a restart, of all roles together. It is saved by what changed ([`Delta`]).
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Durable<M: Machine> {
    /// Promise and votes.
    pub acceptor: Option<Acceptor<M::Command>>,
    /// The highest ballot that the proposer ever started.
    pub ballot: Option<Ballot>,
    /// What the truncated part of the log has led to.
    pub snapshot: Option<Snapshot>,
    /// The decided entries since.
    pub log: Log<M::Command>,
}

/// As much of a node as tells whether a step changes what must survive a restart. A log is only
/// ever appended to and truncated, never rewritten, so its ends tell what becomes of it, and its
/// start what becomes of the snapshot.
pub struct Mark<C> {
    acceptor: Option<Acceptor<C>>,
    ballot: Option<Ballot>,
    log: Option<(Slot, Slot)>,
}

/// Cheap: votes are shared, not copied, and those that are shared are not compared.
impl<M: Machine> Persistent for NodeState<M> {
    type Durable = Durable<M>;
    type Mark = Mark<M::Command>;

    fn mark(&self) -> Self::Mark {
        Mark {
            acceptor: self.acceptor.as_ref().map(Acceptor::durable),
            ballot: self.ballot(),
            log: log_of(self),
        }
    }

    fn changed_since(&self, mark: &Self::Mark) -> Option<Durable<M>> {
        let acceptor = || self.acceptor.as_ref().map(Acceptor::durable);
        let is_same =
            mark.log == log_of(self) && mark.ballot == self.ballot() && mark.acceptor == acceptor();
        (!is_same).then(|| self.durable())
    }
}

/// The ends of a node's log.
fn log_of<M: Machine>(node: &NodeState<M>) -> Option<(Slot, Slot)> {
    let learner = node.learner.as_ref();
    learner.map(|learner| (learner.log.start(), learner.log.end()))
}

/// A change in what must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "C: Data", deserialize = "C: Data"))]
pub enum Change<C> {
    /// The process plays an acceptor, and that has promised this.
    Promised(Option<Ballot>),
    /// It voted.
    Voted(Slot, Vote<Entry<C>>),
    /// Its proposer started a ballot.
    Started(Ballot),
    /// The next slot is decided; the vote in it is gone.
    Decided(Entry<C>),
    /// All before is in this snapshot; the votes in those slots are gone.
    Compacted(Snapshot),
}

impl<M: Machine> Delta for Durable<M> {
    type Change = Change<M::Command>;

    fn changes(&self, before: Option<&Self>) -> Vec<Self::Change> {
        let blank = Durable::blank();
        let before = before.unwrap_or(&blank);
        let mut changes = Vec::new();
        if let Some(snapshot) = &self.snapshot
            && self.log.start() > before.log.start()
        {
            changes.push(Change::Compacted(snapshot.clone()));
        }
        let known = before.log.end().max(self.log.start());
        changes.extend(
            self.log
                .since(known)
                .map(|(_, it)| Change::Decided(it.clone())),
        );
        if let Some(acceptor) = &self.acceptor {
            let old = before.acceptor.as_ref();
            if old.map(|old| old.promised) != Some(acceptor.promised) {
                changes.push(Change::Promised(acceptor.promised));
            }
            let none = OrdMap::new();
            let voted = old.map_or(&none, |old| &old.votes).diff(&acceptor.votes);
            changes.extend(voted.filter_map(|item| match item {
                DiffItem::Add(slot, vote) => Some(Change::Voted(*slot, vote.clone())),
                DiffItem::Update {
                    new: (slot, vote), ..
                } => Some(Change::Voted(*slot, vote.clone())),
                // They are in slots that are decided.
                DiffItem::Remove(..) => None,
            }));
        }
        if self.ballot != before.ballot {
            changes.extend(self.ballot.map(Change::Started));
        }
        changes
    }

    fn apply(before: Option<Self>, change: Self::Change) -> Option<Self> {
        let mut state = before.unwrap_or_else(Durable::blank);
        match change {
            Change::Promised(promised) => {
                let base = state.log.end();
                let acceptor = state.acceptor.get_or_insert_default();
                acceptor.promised = promised;
                acceptor.trim(base);
            }
            Change::Voted(slot, vote) => {
                state.acceptor.as_mut()?.votes.insert(slot, vote);
            }
            Change::Started(ballot) => state.ballot = Some(ballot),
            Change::Decided(entry) => state.log.push(entry),
            Change::Compacted(snapshot) => {
                // Bytes that are no machine would be noticed too late elsewhere.
                snapshot.open::<M>()?;
                state.log = Log::from(snapshot.upto);
                state.snapshot = Some(snapshot);
            }
        }
        let base = state.log.end();
        if let Some(acceptor) = state.acceptor.as_mut() {
            acceptor.trim(base);
        }
        Some(state)
    }
}

impl<M: Machine> Durable<M> {
    /// What a process has that never saved anything.
    fn blank() -> Self {
        Self {
            acceptor: None,
            ballot: None,
            snapshot: None,
            log: Log::from(Slot(0)),
        }
    }
}

impl<M: Machine> fmt::Debug for Durable<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(acceptor) = &self.acceptor {
            write!(f, "{acceptor:?} · ")?;
        }
        write!(f, "ballot {} · ", OrNone(&self.ballot))?;
        if let Some(snapshot) = &self.snapshot {
            write!(f, "{snapshot:?} ")?;
        }
        write!(f, "{:?}", self.log)
    }
}
