//! The learner: who voted for what, and the decision.

use crate::ballot::NodeId;
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{OrNone, Value, Vote};
use serde::Serialize;
use std::fmt;

/// A learner. Of its state only `decided` is durable.
///
/// It follows one ballot at a time, the highest that it has heard a vote in: a set of voters is
/// all the memory that it needs. What was chosen in a lower ballot it learns from a higher one,
/// which can only choose the same, or from another learner.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Learner<V> {
    /// The ballot that it follows; none once the decision is known.
    pub tally: Option<Tally<V>>,
    /// The value known to be chosen.
    pub decided: Option<V>,
}

/// The votes heard for one proposal.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Tally<V> {
    /// The proposal.
    pub proposal: Vote<V>,
    /// The acceptors that voted for it. A set: an acceptor counts once, however often it is heard.
    pub voters: AcceptorSet,
}

impl<V> Learner<V> {
    /// A learner that starts, for the first time or again, with what it had decided.
    #[must_use]
    pub fn restart(decided: Option<V>) -> Self {
        Self {
            tally: None,
            decided,
        }
    }
}

impl<V: Value> Learner<V> {
    /// An acceptor's vote: a value is chosen once a quorum has voted for it in one ballot.
    /// Returns the value if this vote decided.
    ///
    /// A vote in a lower ballot than the one followed is ignored, one in a higher starts a new
    /// tally: votes of different ballots never add up.
    ///
    /// `[PMS §2.3]` · `chosen` (Voting.tla)
    pub fn on_accepted(
        &mut self,
        from: NodeId,
        vote: Vote<V>,
        quorums: &QuorumSystem,
    ) -> Option<V> {
        let followed = self.tally.as_ref().map(|tally| tally.proposal.ballot);
        let is_past = Some(vote.ballot) < followed;
        if self.decided.is_some() || !quorums.acceptors().contains(from) || is_past {
            return None;
        }
        let mut tally = match self.tally.take() {
            Some(tally) if tally.proposal == vote => tally,
            _ => Tally {
                proposal: vote,
                voters: AcceptorSet::new(),
            },
        };
        tally.voters.insert(from);
        if quorums.is_phase2(tally.voters) {
            return self.on_decided(tally.proposal.value);
        }
        self.tally = Some(tally);
        None
    }

    /// Another learner's word that `value` is chosen. Returns it if it is news.
    ///
    /// `[PMS §2.3]`
    pub fn on_decided(&mut self, value: V) -> Option<V> {
        if self.decided.is_some() {
            return None;
        }
        self.tally = None;
        self.decided = Some(value.clone());
        Some(value)
    }
}

impl<V: fmt::Display> fmt::Debug for Learner<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decided {}", OrNone(&self.decided))?;
        match &self.tally {
            Some(tally) => write!(f, " heard {} from {}", tally.proposal, tally.voters),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vote::testing::vote;

    /// What three acceptors' learner returns for the last of these votes.
    fn hear(votes: &[(u32, Vote<char>)]) -> Option<char> {
        let quorums = QuorumSystem::majority(AcceptorSet::first(3)).expect("majorities intersect");
        let mut learner = Learner::restart(None);
        let mut last = None;
        for (from, vote) in votes {
            last = learner.on_accepted(NodeId(*from), vote.clone(), &quorums);
        }
        last
    }

    #[test]
    fn a_quorum_in_one_ballot_decides() {
        let votes = [0, 2].map(|from| (from, vote(1, 3, 'x')));
        assert_eq!(hear(&votes), Some('x'));
    }

    #[test]
    fn votes_of_two_ballots_a_vote_heard_twice_and_a_strangers_do_not_add_up() {
        for other in [
            (1, vote(2, 4, 'x')),
            (0, vote(1, 3, 'x')),
            (7, vote(1, 3, 'x')),
        ] {
            assert_eq!(hear(&[(0, vote(1, 3, 'x')), other]), None);
        }
    }

    #[test]
    fn a_higher_ballot_is_followed_and_a_lower_vote_that_arrives_late_ignored() {
        let (high, low) = (vote(2, 4, 'x'), vote(1, 3, 'y'));
        assert_eq!(hear(&[(0, high.clone()), (0, low), (1, high)]), Some('x'));
    }

    #[test]
    fn it_takes_a_phase_2_quorum() {
        for (prepare, choose, votes) in [(3, 1, 1), (1, 3, 3)] {
            let quorums = QuorumSystem::flexible(AcceptorSet::first(3), prepare, choose);
            let quorums = quorums.expect("they intersect");
            let mut learner = Learner::restart(None);
            let mut hear = |from| learner.on_accepted(NodeId(from), vote(1, 3, 'x'), &quorums);
            let decided_at = (0..3).position(|from| hear(from).is_some());
            assert_eq!(decided_at, Some(votes - 1));
        }
    }

    #[test]
    fn a_decision_stands() {
        let mut learner = Learner::restart(None);
        assert_eq!(learner.on_decided('x'), Some('x'));
        assert_eq!(learner.on_decided('y'), None);
        assert_eq!(learner.decided, Some('x'));
    }
}
