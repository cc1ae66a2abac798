//! The leader: a proposer that prepares all slots at once. What it does once it leads stands in
//! [`leadership`](super::leadership).

use super::campaign::Campaign;
use super::leadership::{Leadership, Proposals};
use super::{Entry, Message, Slot};
use crate::ballot::{Ballot, NodeId};
use crate::machine::Data;
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{OrNone, Vote};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// A proposer, which may come to lead. Of its state only `ballot` is durable.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Leader<C> {
    /// The highest ballot ever started here. Persisted before its *prepare* leaves.
    pub ballot: Option<Ballot>,
    /// How far the present ballot is.
    pub phase: Phase<C>,
}

/// How far a proposer is with its ballot.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub enum Phase<C> {
    /// Nothing under way: somebody else leads, or nobody.
    Following,
    /// Phase 1: waiting for promises.
    Preparing(Campaign<C>),
    /// Phase 2: leading.
    Leading(Leadership<C>),
    /// An acceptor refused the ballot on account of a higher one.
    Preempted {
        /// The higher one.
        by: Ballot,
    },
}

impl<C> Leader<C> {
    /// A proposer that starts, for the first time or again, having used ballots up to `ballot`.
    /// It never takes up the ballot it left: it no longer knows what it proposed there.
    #[must_use]
    pub fn restart(ballot: Option<Ballot>) -> Self {
        Self {
            ballot,
            phase: Phase::Following,
        }
    }

    /// The leadership, if there is one.
    #[must_use]
    pub fn leadership(&self) -> Option<&Leadership<C>> {
        match &self.phase {
            Phase::Leading(leadership) => Some(leadership),
            Phase::Following | Phase::Preparing(_) | Phase::Preempted { .. } => None,
        }
    }

    /// The leadership, if there is one, to change.
    pub(super) fn leadership_mut(&mut self) -> Option<&mut Leadership<C>> {
        match &mut self.phase {
            Phase::Leading(leadership) => Some(leadership),
            Phase::Following | Phase::Preparing(_) | Phase::Preempted { .. } => None,
        }
    }
}

impl<C: Data> Leader<C> {
    /// Phase 1a: choose a ballot higher than any used or heard of, and ask the acceptors for
    /// promises and for their votes in all slots that are not known to be decided. So does a leader
    /// whose *accepts* time out.
    ///
    /// `None` in a round above `round_max`: there is no such ballot left.
    ///
    /// `[PMS §3]`, `[PMMC §2.2]` (scout) · `Phase1a` (Paxos.tla)
    pub fn prepare<R>(
        &mut self,
        me: NodeId,
        heard: Option<Ballot>,
        decided: Slot,
        round_max: u64,
    ) -> Option<Message<C, R>> {
        let outbid_by = match self.phase {
            Phase::Preempted { by } => Some(by),
            Phase::Following | Phase::Preparing(_) | Phase::Leading(_) => None,
        };
        let ballot = Ballot::above(self.ballot.max(outbid_by).max(heard), me)?;
        if ballot.round > round_max {
            return None;
        }
        self.ballot = Some(ballot);
        self.phase = Phase::Preparing(Campaign {
            from: decided,
            promises: AcceptorSet::new(),
            votes: BTreeMap::new(),
            decided,
        });
        Some(Message::Prepare {
            ballot,
            from: decided,
        })
    }

    /// Phase 2a, for all slots that may be taken: once a quorum has promised, propose in each slot
    /// the entry of the highest vote reported, and a no-op in those slots before the last such for
    /// which no vote was reported at all. One reported vote binds, however few report it.
    ///
    /// Slots below `decided`, which the acceptor or this node knows to be decided, need no
    /// proposal: their entries are known, or can be had from the acceptor's node. Promises that
    /// leave more gaps than there can be are not made use of.
    ///
    /// `[PMS §3]`, `[PMMC §2.2]` (pmax, adopted) · `Phase2a` (Paxos.tla)
    pub fn on_promise(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        votes: BTreeMap<Slot, Vote<Entry<C>>>,
        decided: Slot,
        is_all: bool,
        quorums: &QuorumSystem,
    ) -> Option<Proposals<C>> {
        if self.ballot != Some(ballot) || !quorums.acceptors().contains(from) {
            return None;
        }
        let Phase::Preparing(campaign) = &mut self.phase else {
            return None;
        };
        if campaign.promises.contains(from) {
            return None;
        }
        campaign.decided = campaign.decided.max(decided);
        for (slot, vote) in votes {
            let highest = campaign.votes.get(&slot).map(|highest| highest.ballot);
            if Some(vote.ballot) > highest {
                campaign.votes.insert(slot, vote);
            }
        }
        campaign.votes = campaign.votes.split_off(&campaign.decided);
        if is_all {
            campaign.promises.insert(from);
        }
        if !quorums.is_phase1(campaign.promises) || campaign.gaps() > Slot::SPAN_MAX {
            return None;
        }
        let (leadership, proposals) = Leadership::begin(campaign);
        self.phase = Phase::Leading(leadership);
        Some(proposals)
    }

    /// Somebody promised a higher ballot: abandon this one, and outbid it after a pause. Says
    /// whether a ballot was abandoned.
    ///
    /// `[PMS §2.2, last paragraph]`
    pub fn on_nack(&mut self, promised: Ballot) -> bool {
        let is_under_way = matches!(self.phase, Phase::Preparing(_) | Phase::Leading(_));
        let gives_up = is_under_way && self.ballot < Some(promised);
        if gives_up {
            self.phase = Phase::Preempted { by: promised };
        }
        gives_up
    }

    /// Somebody leads in a higher ballot: follow. Says whether anything was given up for it.
    pub fn yield_to(&mut self, ballot: Ballot) -> bool {
        let yields = self.ballot < Some(ballot) && !matches!(self.phase, Phase::Following);
        if yields {
            self.phase = Phase::Following;
        }
        yields
    }

    /// Slots below `decided` are decided, and `entry` says what they hold: see
    /// [`Leadership::learn`]. Says whether a leadership goes on, if there is one.
    #[must_use]
    pub fn learn<'a>(
        &mut self,
        decided: Slot,
        entry: impl Fn(Slot) -> Option<&'a Entry<C>>,
    ) -> bool {
        let leadership = self.leadership_mut();
        let goes_on = leadership.is_none_or(|leadership| leadership.learn(decided, entry));
        if !goes_on {
            self.phase = Phase::Following;
        }
        goes_on
    }

    /// Whether a promise from `from` for `ballot` can never matter again.
    #[must_use]
    pub fn is_past_promise(&self, from: NodeId, ballot: Ballot) -> bool {
        let is_counted = match &self.phase {
            Phase::Preparing(campaign) => campaign.promises.contains(from),
            Phase::Following | Phase::Leading(_) | Phase::Preempted { .. } => true,
        };
        Some(ballot) < self.ballot || (Some(ballot) == self.ballot && is_counted)
    }

    /// Whether a vote can never matter again.
    #[must_use]
    pub fn is_past_accepted(&self, from: NodeId, ballot: Ballot, slot: Slot) -> bool {
        let is_counted = match &self.phase {
            Phase::Leading(leadership) => match leadership.open.get(&slot) {
                Some(proposal) => proposal.voters.contains(from),
                None => slot < leadership.next,
            },
            // It cannot come so early, but nothing here depends on that.
            Phase::Preparing(_) => false,
            Phase::Following | Phase::Preempted { .. } => true,
        };
        Some(ballot) < self.ballot || (Some(ballot) == self.ballot && is_counted)
    }
}

impl<C: Data> fmt::Debug for Leader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ballot {} ", OrNone(&self.ballot))?;
        match &self.phase {
            Phase::Following => f.write_str("following"),
            Phase::Preparing(campaign) => {
                write!(f, "preparing {} {}", campaign.from, campaign.promises)?;
                for (slot, vote) in &campaign.votes {
                    write!(f, " {slot}{vote}")?;
                }
                Ok(())
            }
            Phase::Leading(leadership) => {
                write!(f, "leading, next {}", leadership.next)?;
                for (slot, proposal) in &leadership.open {
                    write!(f, " {slot}{}{}", proposal.entry, proposal.voters)?;
                }
                Ok(())
            }
            Phase::Preempted { by } => write!(f, "preempted by {by}"),
        }
    }
}

#[cfg(test)]
mod tests;
