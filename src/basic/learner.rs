//! The learner: who voted for what, and the decision.

use crate::ballot::NodeId;
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{OrNone, Value, Vote};
use std::collections::BTreeMap;
use std::fmt;

/// A learner. Of its state only `decided` is durable.
///
/// It keeps each acceptor's highest vote, not every vote: no more memory than there are
/// acceptors, and enough, since a later ballot can only repeat a value that was chosen.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Learner<V> {
    /// The highest vote heard of, per acceptor; empty once the decision is known.
    pub votes: BTreeMap<NodeId, Vote<V>>,
    /// The value known to be chosen.
    pub decided: Option<V>,
}

impl<V> Learner<V> {
    /// A learner that starts, for the first time or again, with what it had decided.
    #[must_use]
    pub fn restart(decided: Option<V>) -> Self {
        Self {
            votes: BTreeMap::new(),
            decided,
        }
    }
}

impl<V: Value> Learner<V> {
    /// An acceptor's vote: a value is chosen once a quorum has voted for it in one ballot.
    /// Returns the value if this vote decided.
    ///
    /// Votes of different ballots never add up, and an acceptor's vote counts once.
    ///
    /// `[PMS §2.3]` · `chosen` (Voting.tla)
    pub fn on_accepted(
        &mut self,
        from: NodeId,
        vote: Vote<V>,
        quorums: &QuorumSystem,
    ) -> Option<V> {
        let is_news = self
            .votes
            .get(&from)
            .is_none_or(|known| known.ballot < vote.ballot);
        if self.decided.is_some() || !quorums.acceptors().contains(from) || !is_news {
            return None;
        }
        self.votes.insert(from, vote.clone());
        let is_chosen = quorums.is_phase2(self.voters(&vote));
        is_chosen.then(|| self.on_decided(vote.value)).flatten()
    }

    /// Another learner's word that `value` is chosen. Returns it if it is news.
    ///
    /// `[PMS §2.3]`
    pub fn on_decided(&mut self, value: V) -> Option<V> {
        if self.decided.is_some() {
            return None;
        }
        self.votes.clear();
        self.decided = Some(value.clone());
        Some(value)
    }

    fn voters(&self, proposal: &Vote<V>) -> AcceptorSet {
        let voters = self.votes.iter().filter(|(_, vote)| *vote == proposal);
        voters.map(|(acceptor, _)| *acceptor).collect()
    }
}

impl<V: fmt::Display> fmt::Debug for Learner<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "decided {}", OrNone(&self.decided))?;
        for (i, (acceptor, vote)) in self.votes.iter().enumerate() {
            write!(
                f,
                "{}{acceptor}→{vote}",
                if i == 0 { " heard " } else { " " }
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::vote;
    use super::*;

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
        assert_eq!(
            hear(&[(0, vote(1, 3, 'x')), (2, vote(1, 3, 'x'))]),
            Some('x')
        );
    }

    #[test]
    fn one_acceptor_is_no_quorum_however_often_it_is_heard() {
        assert_eq!(hear(&[(0, vote(1, 3, 'x')), (0, vote(1, 3, 'x'))]), None);
    }

    #[test]
    fn votes_of_two_ballots_do_not_add_up() {
        assert_eq!(hear(&[(0, vote(1, 3, 'x')), (1, vote(2, 4, 'x'))]), None);
    }

    #[test]
    fn a_lower_vote_that_arrives_late_does_not_replace_a_higher_one() {
        let votes = [
            (0, vote(2, 4, 'x')),
            (0, vote(1, 3, 'y')),
            (1, vote(2, 4, 'x')),
        ];
        assert_eq!(hear(&votes), Some('x'));
    }

    #[test]
    fn strangers_have_no_vote() {
        assert_eq!(hear(&[(0, vote(1, 3, 'x')), (7, vote(1, 3, 'x'))]), None);
    }

    #[test]
    fn a_decision_stands() {
        let mut learner = Learner::restart(None);
        assert_eq!(learner.on_decided('x'), Some('x'));
        assert_eq!(learner.on_decided('y'), None);
        assert_eq!(learner.decided, Some('x'));
    }
}
