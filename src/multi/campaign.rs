//! Phase 1 of a ballot, for all slots at once: what has been promised so far.

use super::{Entry, Slot};
use crate::quorum::AcceptorSet;
use crate::vote::Vote;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a candidate has been promised.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Campaign<C> {
    /// The first slot asked about: all before are decided and known here.
    pub from: Slot,
    /// The acceptors that promised.
    pub promises: AcceptorSet,
    /// The highest vote reported in each slot.
    pub votes: BTreeMap<Slot, Vote<Entry<C>>>,
    /// The highest slot up to which an acceptor, or this node, knows all to be decided.
    pub decided: Slot,
}

impl<C> Campaign<C> {
    /// The first slot after all that may be taken.
    pub(super) fn barrier(&self) -> Slot {
        let last = self.votes.last_key_value();
        last.map_or(self.decided, |(slot, _)| slot.next())
    }

    /// How many slots must be filled with no-ops.
    pub(super) fn gaps(&self) -> u64 {
        let slots = self.barrier().0.saturating_sub(self.decided.0);
        slots.saturating_sub(self.votes.len() as u64)
    }
}
