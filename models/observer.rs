//! The observer of a single decree: the past that the present states no longer show, and which of
//! it can be forgotten. The same for every protocol that chooses one value.

use std::collections::{BTreeMap, BTreeSet};
use synod::ballot::{Ballot, NodeId};
use synod::checker::Permutation;
use synod::invariant::{Breach, View, Votes};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::vote::Vote;

/// What the observer remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// Every vote ever cast, but for those forgotten.
    pub votes: Votes<char>,
    /// The values that are chosen, and the lowest ballot of each, once their votes are forgotten.
    pub chosen: BTreeMap<char, Ballot>,
    /// Every promise that was not kept.
    pub breaches: BTreeSet<Breach>,
}

/// What is seen of an acceptor: the ballot below which it does not vote, and its last vote.
pub type Seen<'a> = (Option<Ballot>, Option<&'a Vote<char>>);

impl History {
    /// The refinement map: what the observer sees, of whom it knows what was promised and decided.
    #[must_use]
    pub fn view<'a>(
        &'a self,
        quorums: &'a QuorumSystem,
        proposed: BTreeSet<char>,
        promised: BTreeMap<NodeId, Ballot>,
        decided: BTreeSet<(NodeId, char)>,
    ) -> View<'a, char> {
        View {
            quorums,
            proposed,
            votes: &self.votes,
            chosen_before: &self.chosen,
            promised,
            breaches: &self.breaches,
            decided,
        }
    }

    /// What is remembered after a step of an acceptor; none if nothing is new.
    #[must_use]
    pub fn after(&self, acceptor: NodeId, before: Seen, after: Seen) -> Option<History> {
        let mut seen = self.clone();
        let ((promised_before, vote_before), (promised_after, vote_after)) = (before, after);
        let vote = vote_after.filter(|vote| vote_before != Some(vote));
        if let Some(promised) = promised_before {
            let voted = vote.map(|vote| vote.ballot);
            let voted_below = voted.filter(|ballot| *ballot < promised);
            let forgotten = (promised_after < Some(promised)).then_some(promised_after);
            for ballot in voted_below.map(Some).into_iter().chain(forgotten) {
                seen.breaches.insert(Breach {
                    acceptor,
                    promised,
                    ballot,
                });
            }
        }
        if let Some(vote) = vote {
            let is_past = seen
                .chosen
                .get(&vote.value)
                .is_some_and(|chosen| *chosen <= vote.ballot);
            if !is_past {
                let voters: &mut AcceptorSet = seen.votes.entry(vote.clone()).or_default();
                voters.insert(acceptor);
            }
        }
        (seen != *self).then_some(seen)
    }

    /// Forgets the votes for a proposal that can never be chosen any more, for too many acceptors
    /// have left its ballot without voting for it; and those for a chosen value, but for the value
    /// and its lowest ballot: that the same value is chosen again is no news.
    ///
    /// An acceptor that votes below its promise might revive a proposal that is dead. That breaks
    /// [`PromiseKept`](synod::invariant::PromiseKept), which is checked in the same search: the
    /// verdict is the same.
    #[must_use]
    pub fn forget(
        &self,
        quorums: &QuorumSystem,
        promised: impl Fn(NodeId) -> Option<Ballot>,
    ) -> Option<History> {
        let is_chosen =
            |proposal: &Vote<char>, voters: &AcceptorSet| quorums.chooses(proposal.ballot, *voters);
        let is_dead = |proposal: &Vote<char>, voters: &AcceptorSet| {
            let acceptors = quorums.acceptors().iter();
            let may_vote = acceptors.filter(|id| promised(*id) <= Some(proposal.ballot));
            !is_chosen(proposal, &voters.union(may_vote.collect()))
        };
        let mut votes = self.votes.iter();
        if !votes.any(|(proposal, voters)| is_chosen(proposal, voters) || is_dead(proposal, voters))
        {
            return None;
        }
        let mut left = self.clone();
        let votes = self.votes.iter();
        for (proposal, _) in votes.filter(|(proposal, voters)| is_chosen(proposal, voters)) {
            let lowest = left.chosen.entry(proposal.value).or_insert(proposal.ballot);
            *lowest = proposal.ballot.min(*lowest);
        }
        let chosen = &left.chosen;
        left.votes.retain(|proposal, voters| {
            let lowest = chosen.get(&proposal.value);
            let is_past = lowest.is_some_and(|lowest| *lowest <= proposal.ballot);
            !is_past && !is_dead(proposal, voters)
        });
        Some(left)
    }

    /// Whether a vote is past: one that is forgotten decides nothing, and neither does one for a
    /// value that was chosen in a lower ballot, for the votes of that ballot are still there.
    #[must_use]
    pub fn is_irrelevant(&self, vote: &Vote<char>) -> bool {
        let is_chosen = self.chosen.get(&vote.value) == Some(&vote.ballot);
        !is_chosen && !self.votes.contains_key(vote)
    }

    /// The history with ids, and the values that go with clients, permuted.
    #[must_use]
    pub fn relabel(&self, by: &Permutation, value: impl Fn(char) -> char) -> History {
        let node = |node: NodeId| NodeId::from(by.apply(node.into()));
        // Where several ids become one, it must not matter which came first.
        let (mut votes, mut chosen) = (Votes::new(), BTreeMap::new());
        for (vote, voters) in &self.votes {
            let vote = Vote {
                ballot: vote.ballot,
                value: value(vote.value),
            };
            let merged: &mut AcceptorSet = votes.entry(vote).or_default();
            *merged = merged.union(voters.iter().map(node).collect());
        }
        for (chosen_value, ballot) in &self.chosen {
            let lowest = chosen.entry(value(*chosen_value)).or_insert(*ballot);
            *lowest = (*lowest).min(*ballot);
        }
        let breaches = self.breaches.iter();
        History {
            votes,
            chosen,
            breaches: breaches
                .map(|breach| Breach {
                    acceptor: node(breach.acceptor),
                    ..*breach
                })
                .collect(),
        }
    }
}
