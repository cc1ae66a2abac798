//! The learner: who voted for what, and the decision.

use super::Poll;
use crate::ballot::NodeId;
use crate::quorum::QuorumSystem;
use crate::vote::{OrNone, Value, Vote};
use serde::Serialize;
use std::fmt;

/// A learner. Of its state only `decided` is durable.
///
/// It follows one ballot at a time, the highest that it has heard a vote in. What was chosen in a
/// lower ballot it learns from a higher one, which can only choose the same, or from another
/// learner.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Learner<V> {
    /// The votes heard in the ballot that it follows; none once the decision is known.
    pub poll: Poll<V>,
    /// The value known to be chosen.
    pub decided: Option<V>,
}

impl<V> Learner<V> {
    /// A learner that starts, for the first time or again, with what it had decided.
    #[must_use]
    pub fn restart(decided: Option<V>) -> Self {
        Self {
            poll: Poll::default(),
            decided,
        }
    }
}

impl<V: Value> Learner<V> {
    /// An acceptor's vote: a value is chosen once a quorum of the ballot has voted for it, a fast
    /// one if the ballot is fast. Returns the value if this vote decided.
    ///
    /// `[Fast, learning]`
    pub fn on_accepted(
        &mut self,
        from: NodeId,
        vote: Vote<V>,
        quorums: &QuorumSystem,
    ) -> Option<V> {
        if self.decided.is_some() || !quorums.acceptors().contains(from) {
            return None;
        }
        self.poll.hear(from, vote);
        let chosen = self.poll.chosen(quorums)?.clone();
        self.on_decided(chosen)
    }

    /// Another learner's word that `value` is chosen. Returns it if it is news.
    ///
    /// `[Fast, learning]`
    pub fn on_decided(&mut self, value: V) -> Option<V> {
        if self.decided.is_some() {
            return None;
        }
        self.poll = Poll::default();
        self.decided = Some(value.clone());
        Some(value)
    }
}

impl<V: fmt::Display> fmt::Debug for Learner<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decided {}", OrNone(&self.decided))?;
        match self.poll.ballot {
            Some(_) => write!(f, " heard {:?}", self.poll),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{system, vote};
    use super::*;

    /// What three acceptors' learner returns for the last of these votes. Round 1 is fast.
    fn hear(votes: &[(u32, Vote<char>)]) -> Option<char> {
        let quorums = system(3, "fast:2,3", 1);
        let mut learner = Learner::restart(None);
        let mut last = None;
        for (from, vote) in votes {
            last = learner.on_accepted(NodeId(*from), vote.clone(), &quorums);
        }
        last
    }

    #[test]
    fn a_fast_ballot_takes_a_fast_quorum_and_a_classic_one_a_classic() {
        let x = |round| vote(round, 3, 'x');
        assert_eq!(hear(&[(0, x(1)), (2, x(1))]), None);
        assert_eq!(hear(&[(0, x(1)), (2, x(1)), (1, x(1))]), Some('x'));
        assert_eq!(hear(&[(0, x(2)), (2, x(2))]), Some('x'));
    }

    #[test]
    fn votes_for_two_values_do_not_add_up_and_neither_do_those_of_two_ballots() {
        let votes = [(0, vote(1, 3, 'x')), (1, vote(1, 3, 'y'))];
        assert_eq!(hear(&[&votes[..], &[(2, vote(1, 3, 'x'))]].concat()), None);
        assert_eq!(hear(&[(0, vote(2, 3, 'x')), (1, vote(3, 4, 'x'))]), None);
    }

    #[test]
    fn one_acceptor_is_no_quorum_however_often_it_is_heard_and_a_stranger_has_no_vote() {
        let x = vote(2, 3, 'x');
        assert_eq!(hear(&[(0, x.clone()), (0, x.clone())]), None);
        assert_eq!(hear(&[(0, x.clone()), (7, x)]), None);
    }

    #[test]
    fn a_decision_stands() {
        let mut learner = Learner::restart(None);
        assert_eq!(learner.on_decided('x'), Some('x'));
        assert_eq!(learner.on_decided('y'), None);
        let quorums = system(3, "fast:2,3", 1);
        for from in [0, 1] {
            let news = learner.on_accepted(NodeId(from), vote(2, 3, 'y'), &quorums);
            assert_eq!(news, None);
        }
        assert_eq!(learner.decided, Some('x'));
        assert!(learner.poll == Poll::default());
        let mut learner = Learner::restart(None);
        learner.on_accepted(NodeId(7), vote(2, 3, 'y'), &quorums);
        assert!(learner.poll == Poll::default());
    }
}
