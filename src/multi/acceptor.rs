//! The acceptor: Basic Paxos' acceptor, with one promise for all slots and a vote in each.

use super::{Entry, Message, Slot};
use crate::ballot::Ballot;
use crate::machine::Data;
use crate::vote::{OrNone, Vote};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an acceptor must never forget: one promise, and its last vote in each slot that may still
/// be open. All of it is durable.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(bound(serialize = "C: Data", deserialize = "C: Data"))]
pub struct Acceptor<C> {
    /// The highest ballot promised or voted in, in whatever slot (`maxBal`).
    pub promised: Option<Ballot>,
    /// The highest vote cast in each slot (`maxVBal` and `maxVal`).
    pub votes: OrdMap<Slot, Vote<Entry<C>>>,
    /// Votes below are gone: what was chosen in those slots is known here, and durable.
    pub base: Slot,
}

impl<C> Default for Acceptor<C> {
    /// An acceptor that has promised nothing and never voted.
    fn default() -> Self {
        Self {
            promised: None,
            votes: OrdMap::new(),
            base: Slot::default(),
        }
    }
}

/// An acceptor's answer, on its way to the proposer of the ballot.
type Answer<C, R> = Option<Message<C, R>>;

impl<C: Data> Acceptor<C> {
    /// Phase 1b, for all slots at once: a *prepare* above every ballot promised so far is answered
    /// with a promise to vote in no lower one in any slot, with the votes cast from the given slot
    /// on, and with the slot up to which all is decided and votes need not be asked for.
    ///
    /// Strictly above, as in Basic Paxos.
    ///
    /// `[PMS §3]`, `[PMMC §2.2]` (p1a) · `Phase1b` (Paxos.tla), in every slot
    pub fn on_prepare<R>(&mut self, ballot: Ballot, from: Slot) -> Answer<C, R> {
        if self.promised >= Some(ballot) {
            return self.refusal_of(ballot);
        }
        self.promised = Some(ballot);
        let votes = self.votes.range(from..);
        Some(Message::Promise {
            ballot,
            votes: votes.map(|(slot, vote)| (*slot, vote.clone())).collect(),
            decided: self.base,
        })
    }

    /// Phase 2b: a proposal is voted for unless a higher ballot was promised. The vote raises the
    /// promise. Asked again for the vote that it cast, the acceptor says so again.
    ///
    /// In a slot below [`base`](Self::base) there is nothing left to vote on.
    ///
    /// `[PMS §2.2, P1a]`, `[PMMC §2.2]` (p2a) · `Phase2b` (Paxos.tla)
    pub fn on_accept<R>(&mut self, slot: Slot, proposal: Vote<Entry<C>>) -> Answer<C, R> {
        let ballot = proposal.ballot;
        if self.promised > Some(ballot) {
            return self.refusal_of(ballot);
        }
        if slot < self.base {
            return None;
        }
        self.promised = Some(ballot);
        self.votes.insert(slot, proposal);
        Some(Message::Accepted { ballot, slot })
    }

    /// A leader shows itself: whoever follows it promises its ballot. Says whether it is followed.
    ///
    /// A promise without an answer, which is as safe as one whose answer is lost.
    pub fn on_heartbeat(&mut self, ballot: Ballot) -> bool {
        let follows = self.promised <= Some(ballot);
        if follows {
            self.promised = Some(ballot);
        }
        follows
    }

    /// The entry voted for in a slot and in this very ballot.
    ///
    /// That a slot is decided in a ballot says nothing about a vote in another one.
    #[must_use]
    pub fn voted_in(&self, ballot: Ballot, slot: Slot) -> Option<&Entry<C>> {
        let vote = self.votes.get(&slot)?;
        (vote.ballot == ballot).then_some(&vote.value)
    }

    /// Drops the votes in slots below one up to which all is decided and known to this node.
    ///
    /// `[PMMC §4.1]`
    pub fn trim(&mut self, decided: Slot) {
        self.base = self.base.max(decided);
        while let Some((slot, _)) = self.votes.get_min().filter(|(slot, _)| *slot < self.base) {
            let slot = *slot;
            self.votes.remove(&slot);
        }
    }

    /// Whether a *prepare* can never again be answered with a promise.
    #[must_use]
    pub fn is_past_prepare(&self, ballot: Ballot) -> bool {
        self.promised >= Some(ballot)
    }

    /// Whether a proposal in this ballot can never again be voted for.
    #[must_use]
    pub fn is_past_accept(&self, ballot: Ballot) -> bool {
        self.promised > Some(ballot)
    }

    fn refusal_of<R>(&self, ballot: Ballot) -> Answer<C, R> {
        let promised = self.promised.filter(|promised| *promised > ballot)?;
        Some(Message::Nack {
            promised,
            decided: self.base,
        })
    }
}

impl<C: Data> fmt::Debug for Acceptor<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promised {} voted", OrNone(&self.promised))?;
        if self.votes.is_empty() {
            f.write_str(" ∅")?;
        }
        for (slot, vote) in &self.votes {
            write!(f, " {slot}{vote}")?;
        }
        Ok(())
    }
}
