//! The observer: the past that the present states no longer show, which of it can be forgotten,
//! and what of a state the invariants see. The same for every protocol.

use super::relabel::{Relabel, Relabelled};
use stateright::Property;
use stateright::actor::Id;
use std::collections::{BTreeMap, BTreeSet};
use synod::ballot::{Ballot, NodeId};
use synod::checker::{System, World, WorldState};
use synod::invariant::{
    self, Agreement, Breach, DecidedIsChosen, Invariant, LINEARIZABLE, OneValuePerBallot,
    PromiseKept, Validity, View, Votes, VotesSafe,
};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::vote::{Value, Vote};

/// The past of one decree.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Past<V: Value> {
    /// Every vote ever cast, but for those forgotten.
    pub votes: Votes<V>,
    /// The values that are chosen, and the lowest ballot of each, once their votes are forgotten.
    pub chosen: BTreeMap<V, Ballot>,
}

impl<V: Value> Past<V> {
    /// The past of a decree that nobody voted for.
    pub const NONE: Self = Self {
        votes: BTreeMap::new(),
        chosen: BTreeMap::new(),
    };
}

impl<V: Value> Default for Past<V> {
    fn default() -> Self {
        Self::NONE
    }
}

impl<V: Value> Past<V> {
    /// Adds a vote, unless its value was chosen in the vote's ballot or a lower one.
    pub fn cast(&mut self, acceptor: NodeId, vote: &Vote<V>) {
        let chosen = self.chosen.get(&vote.value);
        if chosen.is_none_or(|chosen| *chosen > vote.ballot) {
            let voters: &mut AcceptorSet = self.votes.entry(vote.clone()).or_default();
            voters.insert(acceptor);
        }
    }

    /// Whether a value is chosen.
    #[must_use]
    pub fn is_chosen(&self, quorums: &QuorumSystem) -> bool {
        let mut votes = self.votes.iter();
        !self.chosen.is_empty() || votes.any(|(it, voters)| quorums.chooses(it.ballot, *voters))
    }

    /// Forgets the votes for a proposal that can never be chosen any more, for too many acceptors
    /// have left its ballot without voting for it; and those for a chosen value, but for the value
    /// and its lowest ballot: that the same value is chosen again is no news.
    ///
    /// An acceptor that votes below its promise might revive a proposal that is dead. That breaks
    /// [`PromiseKept`], which is checked in the same search: the verdict is the same.
    #[must_use]
    pub fn forget(
        &self,
        quorums: &QuorumSystem,
        promised: impl Fn(NodeId) -> Option<Ballot>,
    ) -> Option<Self> {
        let is_chosen =
            |proposal: &Vote<V>, voters: &AcceptorSet| quorums.chooses(proposal.ballot, *voters);
        let is_dead = |proposal: &Vote<V>, voters: &AcceptorSet| {
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
        for (Vote { ballot, value }, _) in votes.filter(|(it, voters)| is_chosen(it, voters)) {
            let lowest = left.chosen.entry(value.clone()).or_insert(*ballot);
            *lowest = (*lowest).min(*ballot);
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
    pub fn is_irrelevant(&self, vote: &Vote<V>) -> bool {
        let is_chosen = self.chosen.get(&vote.value) == Some(&vote.ballot);
        !is_chosen && !self.votes.contains_key(vote)
    }
}

impl Relabelled for Past<char> {
    fn relabel(&mut self, by: &Relabel) {
        // Where several ids become one, it must not matter which came first.
        for (vote, voters) in std::mem::take(&mut self.votes) {
            let merged: &mut AcceptorSet = self.votes.entry(by.image(&vote)).or_default();
            *merged = merged.union(by.image(&voters));
        }
        for (value, ballot) in std::mem::take(&mut self.chosen) {
            let lowest = self.chosen.entry(by.image(&value)).or_insert(ballot);
            *lowest = (*lowest).min(ballot);
        }
    }
}

impl Relabelled for BTreeSet<Breach> {
    fn relabel(&mut self, by: &Relabel) {
        let image = |breach: Breach| Breach {
            acceptor: by.image(&breach.acceptor),
            ..breach
        };
        *self = std::mem::take(self).into_iter().map(image).collect();
    }
}

/// The promises that a step of an acceptor breaks, given what was promised before and after, and
/// the ballots in which it votes.
pub fn breaches(
    acceptor: NodeId,
    before: Option<Ballot>,
    after: Option<Ballot>,
    voted: impl IntoIterator<Item = Ballot>,
) -> impl Iterator<Item = Breach> {
    let voted = voted.into_iter().map(Some);
    let ballots = voted.chain((after < before).then_some(after));
    let below = ballots.filter(move |ballot| *ballot < before);
    let breach = move |ballot| {
        before.map(|promised| Breach {
            acceptor,
            promised,
            ballot,
        })
    };
    below.filter_map(breach)
}

/// A system whose states have views.
pub trait Observed: System {
    /// The values that are chosen.
    type Value: Value;

    /// The refinement map: what the observer sees of each decree in a global state.
    fn views<'a>(
        &'a self,
        state: &'a WorldState<Self>,
    ) -> impl Iterator<Item = View<'a, Self::Value>>;
}

fn always<I: Invariant, S: Observed>() -> Property<World<S>> {
    Property::always(I::PROPERTY, |world, state| {
        world.system().views(state).all(|view| I::holds(&view))
    })
}

/// The invariants that hold of each decree.
pub fn invariants<S: Observed>() -> Vec<Property<World<S>>> {
    vec![
        always::<Agreement, S>(),
        always::<Validity, S>(),
        always::<OneValuePerBallot, S>(),
        always::<VotesSafe, S>(),
        always::<PromiseKept, S>(),
        always::<DecidedIsChosen, S>(),
    ]
}

/// An example that a search must find: whether the configuration has one, its name, its condition.
pub type Example<S> = (bool, &'static str, fn(&World<S>, &WorldState<S>) -> bool);

/// The properties of the examples that the configuration has.
pub fn due<S: System>(
    examples: impl IntoIterator<Item = Example<S>>,
) -> impl Iterator<Item = Property<World<S>>> {
    let due = examples.into_iter().filter(|(is_due, ..)| *is_due);
    due.map(|(_, name, condition)| Property::sometimes(name, condition))
}

/// Whether some value is chosen in a state.
pub fn is_any_chosen<S: Observed>(world: &World<S>, state: &WorldState<S>) -> bool {
    let mut views = world.system().views(state);
    views.any(|view| !view.chosen().is_empty())
}

/// Whether the vote of one acceptor chooses, in a fast ballot or in a classic one.
#[must_use]
pub fn one_vote_chooses(quorums: &QuorumSystem) -> bool {
    let acceptors = quorums.acceptors();
    let others = |one| acceptors.difference([one].into_iter().collect());
    acceptors.iter().any(|one| !quorums.blocks_all(others(one)))
}

/// The projections: what is seen of a process. This one is of all that it shows.
pub const EVERYTHING: usize = 0;
/// What it decided.
pub const DECISIONS: usize = 1;
/// What it promised.
pub const PROMISES: usize = 2;
/// What it promised, its votes, and what it was told if it is a client.
pub const VOTES: usize = 3;
/// Nothing, where what the observer recorded is enough.
pub const NOTHING: usize = 4;
/// The number of projections.
pub const PROJECTIONS: usize = 5;

/// The projection in which a property is evaluated.
#[must_use]
pub fn projection_of(property: &str) -> usize {
    let recorded = [
        OneValuePerBallot::PROPERTY,
        PromiseKept::PROPERTY,
        LINEARIZABLE.property,
    ];
    let mut invariants = invariant::ALL.iter().chain(invariant::OF_LOGS);
    if property == VotesSafe::PROPERTY {
        PROMISES
    } else if recorded.contains(&property) {
        NOTHING
    } else if invariants.any(|it| it.property == property) {
        DECISIONS
    } else {
        EVERYTHING
    }
}

/// The acceptors that are nothing else but perhaps learners: if quorums are symmetric, they are
/// interchangeable.
#[must_use]
pub fn alike(quorums: &QuorumSystem, proposers: &[NodeId]) -> Vec<Id> {
    let acceptors = quorums.acceptors().iter();
    let alike = acceptors.filter(|node| !proposers.contains(node));
    alike.map(Id::from).collect()
}

/// The name of a process in pictures: by its role if it is a node with only one of `roles`. The
/// first `nodes` ids are those of nodes.
#[must_use]
pub fn label(id: Id, nodes: usize, roles: &[(bool, &str)]) -> String {
    let mut played = roles.iter().filter(|(plays, _)| *plays);
    let name = match (played.next(), played.next()) {
        (Some((_, role)), None) => role,
        _ if usize::from(id) < nodes => "node",
        _ => "client",
    };
    format!("{} {name}", NodeId::from(id))
}
