//! The acceptor: the memory of the protocol. All of its state is durable.

use super::Message;
use crate::ballot::Ballot;
use crate::vote::{OrNone, Value, Vote};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What an acceptor must never forget (`[PMS §2.5]`): a promise and its last vote.
///
/// Persisted before an answer leaves, so that to an acceptor a restart is no event at all.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Acceptor<V> {
    /// The highest ballot promised or voted in (`maxBal`). No vote is cast below it.
    pub promised: Option<Ballot>,
    /// The highest vote cast (`maxVBal` and `maxVal`).
    pub vote: Option<Vote<V>>,
}

impl<V> Default for Acceptor<V> {
    /// An acceptor that has promised nothing and never voted.
    fn default() -> Self {
        Self {
            promised: None,
            vote: None,
        }
    }
}

impl<V: Value> Acceptor<V> {
    /// Phase 1b: a *prepare* above every ballot promised so far is answered with a promise to
    /// vote in no lower one, and with the highest vote cast.
    ///
    /// Strictly above: a repeated request was answered already, and the one answer per ballot
    /// speaks for the acceptor's whole past below it. (The paper allows either; the proof is
    /// simpler this way, and a lost answer costs the proposer one more ballot.)
    ///
    /// `[PMS §2.2, P1a and P1b]` · `Phase1b` (Paxos.tla)
    pub fn on_prepare(&mut self, ballot: Ballot) -> Option<Message<V>> {
        if self.promised >= Some(ballot) {
            return self.refusal_of(ballot);
        }
        self.promised = Some(ballot);
        let vote = self.vote.clone();
        Some(Message::Promise { ballot, vote })
    }

    /// Phase 2b: a proposal is voted for unless a higher ballot was promised.
    ///
    /// The vote raises the promise as well: whoever votes in a ballot whose *prepare* it never
    /// saw must not go back below it (Brooker, *The Bug in Paxos Made Simple*).
    ///
    /// `[PMS §2.2, P1a]` · `Phase2b` (Paxos.tla)
    pub fn on_accept(&mut self, proposal: Vote<V>) -> Option<Message<V>> {
        if self.promised > Some(proposal.ballot) {
            return self.refusal_of(proposal.ballot);
        }
        if self.vote.as_ref() == Some(&proposal) {
            return None;
        }
        self.promised = Some(proposal.ballot);
        self.vote = Some(proposal.clone());
        Some(Message::Accepted { vote: proposal })
    }

    /// Which ballot stands in the way of `ballot`, for its proposer to give up at once and go
    /// above it. None if that is its own: then it knows. Only speed depends on the answer.
    ///
    /// `[PMS §2.2, last paragraph]` · not in Paxos.tla
    fn refusal_of(&self, ballot: Ballot) -> Option<Message<V>> {
        let promised = self.promised.filter(|it| it.node != ballot.node)?;
        Some(Message::Nack { promised })
    }

    /// Whether a request of phase 1 in `ballot` can never again be granted here.
    #[must_use]
    pub fn is_past_prepare(&self, ballot: Ballot) -> bool {
        self.promised >= Some(ballot)
    }

    /// Whether a request of phase 2 can never again be granted here, or is already.
    #[must_use]
    pub fn is_past_accept(&self, proposal: &Vote<V>) -> bool {
        self.promised > Some(proposal.ballot) || self.vote.as_ref() == Some(proposal)
    }
}

impl<V: fmt::Display> fmt::Debug for Acceptor<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (promised, vote) = (OrNone(&self.promised), OrNone(&self.vote));
        write!(f, "promised {promised} voted {vote}")
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::*;
    use super::*;

    fn promised(round: u64, node: u32) -> Acceptor<char> {
        let mut acceptor = Acceptor::default();
        acceptor.on_prepare(ballot(round, node));
        acceptor
    }

    #[test]
    fn a_higher_prepare_is_answered_with_the_highest_vote() {
        let mut acceptor = promised(1, 0);
        acceptor.on_accept(vote(1, 0, 'x'));
        let answer = promise(2, 1, Some(vote(1, 0, 'x')));
        assert_eq!(acceptor.on_prepare(ballot(2, 1)), Some(answer));
    }

    #[test]
    fn a_request_is_answered_once() {
        let mut acceptor = promised(1, 0);
        assert_eq!(acceptor.on_prepare(ballot(1, 0)), None);
        acceptor.on_accept(vote(1, 0, 'x'));
        assert_eq!(acceptor.on_accept(vote(1, 0, 'x')), None);
    }

    #[test]
    fn what_is_below_the_promise_is_refused_and_changes_nothing() {
        let mut acceptor = promised(2, 1);
        let before = acceptor.clone();
        assert_eq!(acceptor.on_prepare(ballot(1, 0)), Some(nack(2, 1)));
        assert_eq!(acceptor.on_accept(vote(1, 0, 'x')), Some(nack(2, 1)));
        assert_eq!(acceptor, before);
    }

    #[test]
    fn a_proposer_is_not_refused_on_account_of_its_own_ballot() {
        let mut acceptor = promised(2, 0);
        assert_eq!(acceptor.on_prepare(ballot(1, 0)), None);
        assert_eq!(acceptor.on_accept(vote(1, 0, 'x')), None);
    }

    #[test]
    fn a_proposal_at_or_above_the_promise_is_voted_for() {
        for round in [2, 3] {
            let mut acceptor = promised(2, 1);
            let answer = acceptor.on_accept(vote(round, 1, 'x'));
            assert_eq!(answer, Some(accepted(round, 1, 'x')));
            assert_eq!(acceptor.vote, Some(vote(round, 1, 'x')));
        }
    }

    #[test]
    fn a_vote_raises_the_promise() {
        let mut acceptor = promised(1, 0);
        acceptor.on_accept(vote(3, 1, 'x'));
        assert_eq!(acceptor.promised, Some(ballot(3, 1)));
        assert_eq!(acceptor.on_prepare(ballot(2, 0)), Some(nack(3, 1)));
    }
}
