//! The invariants: one type each, and the [`View`] of the system that they are predicates of.
//!
//! An invariant is a unit type whose documentation is its sentence. The same text is the name of
//! the property in the checker and the Explorer, a line of `synod invariants` and a row of the
//! README. An invariant depends only on a [`View`], which is Lamport's abstract state: not on
//! messages in flight, which may be lost, and not on the acceptors' latest votes alone, because the
//! votes that choose a value need not exist at the same time.

use crate::ballot::{Ballot, NodeId};
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{Value, Vote};
use std::collections::{BTreeMap, BTreeSet};

/// The acceptors that voted for each proposal.
pub type Votes<V> = BTreeMap<Vote<V>, AcceptorSet>;

/// The abstract state of one decree: the nodes' states, and the votes of the past that matter.
#[derive(Clone)]
pub struct View<'a, V> {
    /// The acceptors and their quorums.
    pub quorums: &'a QuorumSystem,
    /// The values that clients proposed.
    pub proposed: BTreeSet<V>,
    /// All votes ever cast, with their voters (`votes` in Voting.tla), except for forgotten ones.
    pub votes: &'a Votes<V>,
    /// The chosen values whose votes were forgotten, with the lowest ballot in which each was
    /// chosen.
    pub chosen_before: &'a BTreeMap<V, Ballot>,
    /// The ballot below which each acceptor will not vote, by its present state (`maxBal`).
    /// [`PromiseKept`] states that it never falls.
    pub promised: BTreeMap<NodeId, Ballot>,
    /// The promises that were ever broken.
    pub breaches: &'a BTreeSet<Breach>,
    /// The decisions, by node.
    pub decided: BTreeSet<(NodeId, V)>,
}

/// A broken promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Breach {
    /// The acceptor.
    pub acceptor: NodeId,
    /// The promise: no vote below this ballot.
    pub promised: Ballot,
    /// The lower ballot that it voted in, or fell back to.
    pub ballot: Option<Ballot>,
}

impl<V: Value> View<'_, V> {
    /// Returns the chosen values: a quorum voted for them in one ballot (`chosen`).
    #[must_use]
    pub fn chosen(&self) -> BTreeSet<&V> {
        let voted = self.votes.iter();
        voted
            .filter(|(proposal, voters)| self.quorums.chooses(proposal.ballot, **voters))
            .map(|(proposal, _)| &proposal.value)
            .chain(self.chosen_before.keys())
            .collect()
    }

    /// Returns the acceptors whose promised ballot satisfies `is_meant`.
    fn promised(&self, is_meant: impl Fn(Ballot) -> bool) -> AcceptorSet {
        let promised = self.promised.iter();
        let meant = promised.filter(|(_, promised)| is_meant(**promised));
        meant.map(|(acceptor, _)| *acceptor).collect()
    }

    /// Returns `true` if no value but `value` is or can be chosen in a ballot
    /// (`NoneOtherChoosableAt`).
    ///
    /// This holds if, for each other value, every quorum has an acceptor that will never vote for
    /// it in the ballot: it voted for another value, or it did not vote and has promised a higher
    /// ballot. Values without votes are interchangeable, so that `None` stands for all of them.
    fn none_other_choosable_at(&self, ballot: Ballot, value: &V) -> bool {
        let in_ballot = || self.votes.iter().filter(|(vote, _)| vote.ballot == ballot);
        let gone = self.promised(|promised| promised > ballot);
        let is_blocked = |other: Option<&V>| {
            let (mut voted, mut against) = (AcceptorSet::new(), AcceptorSet::new());
            for (vote, voters) in in_ballot() {
                let side = if Some(&vote.value) == other {
                    &mut voted
                } else {
                    &mut against
                };
                *side = side.union(*voters);
            }
            let never = against.union(gone).difference(voted);
            self.quorums.blocks(ballot, never)
        };
        let others = in_ballot().map(|(vote, _)| &vote.value);
        let mut others = others.filter(|other| *other != value);
        is_blocked(None) && others.all(|other| is_blocked(Some(other)))
    }

    /// Returns `true` if no other value is or can be chosen below the ballot of `vote` (`SafeAt`).
    fn is_safe(&self, vote: &Vote<V>) -> bool {
        // In a ballot without votes, nothing can be chosen if enough acceptors have promised a
        // higher one. A promise of the vote's own ballot excludes all lower ballots at once.
        // (Promises are required even if no lower ballot exists. That is stricter than `SafeAt` for
        // a protocol whose first ballot needs no phase 1; this protocol has no such ballot.)
        let lower = || self.votes.keys().filter(|lower| lower.ballot < vote.ballot);
        let chosen = self.chosen_before.iter();
        let mut chosen_lower = chosen.filter(|(_, ballot)| **ballot < vote.ballot);
        self.quorums
            .blocks_all(self.promised(|promised| promised >= vote.ballot))
            && chosen_lower.all(|(value, _)| *value == vote.value)
            && lower().all(|lower| self.none_other_choosable_at(lower.ballot, &vote.value))
    }
}

/// A predicate that must hold in every reachable state.
pub trait Invariant {
    /// The name, shared with the models and the proofs.
    const NAME: &'static str;
    /// The predicate in one sentence.
    const STATEMENT: &'static str;
    /// The source.
    const SOURCE: &'static str;
    /// The name and the sentence, as the checker and the Explorer show them.
    const PROPERTY: &'static str;

    /// Returns `true` if the invariant holds in `view`.
    fn holds<V: Value>(view: &View<V>) -> bool;
}

/// The texts of an [`Invariant`], for listings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// [`Invariant::NAME`].
    pub name: &'static str,
    /// [`Invariant::STATEMENT`].
    pub statement: &'static str,
    /// [`Invariant::SOURCE`].
    pub source: &'static str,
    /// [`Invariant::PROPERTY`].
    pub property: &'static str,
}

macro_rules! invariants {
    ($($name:ident: $statement:literal, $source:literal, $holds:expr;)+) => {
        $(
            #[doc = $statement]
            ///
            #[doc = concat!("Source: ", $source, ".")]
            #[derive(Clone, Copy, Debug)]
            pub struct $name;

            impl Invariant for $name {
                const NAME: &'static str = stringify!($name);
                const STATEMENT: &'static str = $statement;
                const SOURCE: &'static str = $source;
                const PROPERTY: &'static str = concat!(stringify!($name), ": ", $statement);

                fn holds<V: Value>(view: &View<V>) -> bool {
                    let holds: fn(&View<V>) -> bool = $holds;
                    holds(view)
                }
            }
        )+

        /// All invariants, in the order of their explanation.
        pub const ALL: &[Summary] = &[
            $(Summary {
                name: $name::NAME,
                statement: $name::STATEMENT,
                source: $name::SOURCE,
                property: $name::PROPERTY,
            },)+
            DecisionStands::SUMMARY,
        ];
    };
}

invariants! {
    Agreement: "At most one value is ever chosen or decided.",
        "[PMS §2.1]; Agreement in Consensus.tla",
        |view| {
            let decided = view.decided.iter().map(|(_, value)| value);
            view.chosen().into_iter().chain(decided).collect::<BTreeSet<_>>().len() <= 1
        };
    Validity: "Only a value that was proposed is chosen or decided.",
        "[PMS §2.1]",
        |view| {
            let decided = view.decided.iter().map(|(_, value)| value);
            view.chosen().into_iter().chain(decided).all(|value| view.proposed.contains(value))
        };
    OneValuePerBallot: "All votes in one ballot, unless fast, are for one value.",
        "OneValuePerBallot in Voting.tla",
        |view| view.votes.keys().all(|a| {
            let is_fast = view.quorums.rounds().is_fast(a.ballot);
            view.votes.keys().all(|b| is_fast || a.ballot != b.ballot || a.value == b.value)
        });
    VotesSafe: "A vote is only for a value safe at its ballot.",
        "[PMS §2.2, P2c]; VotesSafe in Voting.tla",
        |view| view.votes.keys().all(|vote| view.is_safe(vote));
    PromiseKept: "No acceptor forgets a promise or votes below one.",
        "[PMS §2.2, P1a]; maxBal in Voting.tla",
        |view| view.breaches.is_empty();
    DecidedIsChosen: "A decided value was chosen by a quorum in one ballot.",
        "[PMS §2.3]",
        |view| {
            let chosen = view.chosen();
            view.decided.iter().all(|(_, value)| chosen.contains(value))
        };
}

/// A node neither changes nor forgets its decision.
///
/// Source: \[PMS §2.1\]; Inv of Consensus.tla, as a property of steps.
#[derive(Clone, Copy, Debug)]
pub struct DecisionStands;

impl DecisionStands {
    /// The name and the sentence, as the checker and the Explorer show them.
    pub const PROPERTY: &'static str =
        "DecisionStands: A node neither changes nor forgets its decision.";

    const SUMMARY: Summary = Summary {
        name: "DecisionStands",
        statement: "A node neither changes nor forgets its decision.",
        source: "[PMS §2.1]; Consensus.tla, of every step",
        property: Self::PROPERTY,
    };

    /// Returns `true` if a step keeps a node's decision, given the decisions before and after it.
    #[must_use]
    pub fn holds<V: Value>(before: Option<&V>, after: Option<&V>) -> bool {
        before.is_none() || before == after
    }
}

/// The invariants of a log and of the machine that it drives. Those of a decree hold of each slot.
pub const OF_LOGS: &[Summary] = &[SAME_STATE, EXACTLY_ONCE, LINEARIZABLE];

macro_rules! of_logs {
    ($($constant:ident $name:literal: $statement:literal, $source:literal;)+) => {
        $(
            #[doc = $statement]
            ///
            #[doc = concat!("Source: ", $source, ".")]
            pub const $constant: Summary = Summary {
                name: $name,
                statement: $statement,
                source: $source,
                property: concat!($name, ": ", $statement),
            };
        )+
    };
}

of_logs! {
    SAME_STATE "SameState": "Nodes that applied equally many slots are in the same state.",
        "[PMS §3]; [PMMC §2.1]";
    EXACTLY_ONCE "ExactlyOnce": "No command takes effect twice.",
        "[Raft thesis §6.3]";
    LINEARIZABLE "Linearizable": "Clients cannot tell the replicas from one machine.",
        "Herlihy and Wing, 1990";
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rounds::Rounds;

    /// A view of three acceptors and proposed values `x` and `y`, from votes written
    /// `(acceptor, round, value)` and promises written `(acceptor, round)`.
    struct Case {
        votes: Votes<char>,
        chosen_before: BTreeMap<char, Ballot>,
        promised: BTreeMap<NodeId, Ballot>,
        breaches: BTreeSet<Breach>,
        decided: BTreeSet<(NodeId, char)>,
        quorums: QuorumSystem,
    }

    fn ballot(round: u64) -> Ballot {
        let node = NodeId(9);
        Ballot { round, node }
    }

    impl Case {
        fn new(votes: &[(u32, u64, char)], promised: &[(u32, u64)]) -> Self {
            let promises = promised.iter().map(|&(a, r)| (NodeId(a), ballot(r)));
            let mut cast = Votes::new();
            for &(acceptor, round, value) in votes {
                let ballot = ballot(round);
                let voters: &mut AcceptorSet = cast.entry(Vote { ballot, value }).or_default();
                voters.insert(NodeId(acceptor));
            }
            Self {
                votes: cast,
                chosen_before: BTreeMap::new(),
                promised: promises.collect(),
                breaches: BTreeSet::new(),
                decided: BTreeSet::new(),
                quorums: QuorumSystem::majority(AcceptorSet::first(3)).expect("a majority"),
            }
        }

        fn decided(mut self, value: char) -> Self {
            self.decided.insert((NodeId(5), value));
            self
        }

        fn view(&self) -> View<'_, char> {
            View {
                quorums: &self.quorums,
                proposed: BTreeSet::from(['x', 'y']),
                votes: &self.votes,
                chosen_before: &self.chosen_before,
                promised: self.promised.clone(),
                breaches: &self.breaches,
                decided: self.decided.clone(),
            }
        }

        fn holds<I: Invariant>(&self) -> bool {
            I::holds(&self.view())
        }
    }

    #[test]
    fn sentences_are_short_and_end_with_a_full_stop() {
        for summary in ALL.iter().chain(OF_LOGS) {
            let words = summary.statement.split_whitespace().count();
            assert!(words <= 12, "{} has {words} words", summary.name);
            assert!(summary.statement.ends_with('.'), "{}", summary.name);
        }
    }

    #[test]
    fn a_quorum_in_one_ballot_chooses_and_votes_of_two_ballots_do_not_add_up() {
        let case = Case::new(&[(0, 1, 'x'), (1, 2, 'x')], &[]);
        assert!(case.view().chosen().is_empty());
        let chosen = Case::new(&[(0, 1, 'x'), (1, 1, 'x')], &[]);
        assert_eq!(chosen.view().chosen(), BTreeSet::from([&'x']));
    }

    #[test]
    fn agreement_fails_on_two_chosen_or_decided_values() {
        let one = Case::new(&[(0, 1, 'x'), (1, 1, 'x')], &[]);
        assert!(one.holds::<Agreement>());
        assert!(!one.decided('y').holds::<Agreement>());
        let two = Case::new(&[(0, 1, 'x'), (1, 1, 'x'), (1, 2, 'y'), (2, 2, 'y')], &[]);
        assert!(!two.holds::<Agreement>());
    }

    #[test]
    fn validity_fails_on_a_value_nobody_proposed() {
        assert!(Case::new(&[], &[]).decided('x').holds::<Validity>());
        assert!(!Case::new(&[], &[]).decided('z').holds::<Validity>());
        assert!(!Case::new(&[(0, 1, 'z'), (1, 1, 'z')], &[]).holds::<Validity>());
    }

    #[test]
    fn one_value_per_ballot_fails_on_two() {
        assert!(Case::new(&[(0, 1, 'x'), (1, 2, 'y')], &[]).holds::<OneValuePerBallot>());
        assert!(!Case::new(&[(0, 1, 'x'), (1, 1, 'y')], &[]).holds::<OneValuePerBallot>());
    }

    #[test]
    fn a_vote_is_safe_once_no_other_value_can_be_chosen_below_it() {
        let promised = [(0, 2), (1, 2)];
        // Nothing was voted below, and two of three have left the lower ballots.
        assert!(Case::new(&[(0, 2, 'y')], &promised).holds::<VotesSafe>());
        // Only one has left: two others could still choose x below.
        assert!(!Case::new(&[(0, 2, 'y')], &promised[..1]).holds::<VotesSafe>());
        // Acceptor 2 voted x below, alone and for ever: harmless.
        assert!(Case::new(&[(2, 1, 'x'), (0, 2, 'y')], &promised).holds::<VotesSafe>());
        // Acceptor 1 voted x below before it left: with acceptor 2 that may choose x.
        assert!(!Case::new(&[(1, 1, 'x'), (0, 2, 'y')], &promised).holds::<VotesSafe>());
        assert!(Case::new(&[(1, 1, 'x'), (0, 2, 'x')], &promised).holds::<VotesSafe>());
    }

    #[test]
    fn in_a_fast_ballot_each_other_value_must_be_out_of_reach_by_itself() {
        // Round 1 is fast: of five acceptors it takes four to choose there, and three later.
        let fast = |votes: &[(u32, u64, char)], promised: &[(u32, u64)]| {
            let quorums = QuorumSystem::flexible(AcceptorSet::first(5), 3, 3);
            let quorums = quorums.and_then(|it| it.with_fast(4, Rounds { fast: 1 }));
            Case {
                quorums: quorums.expect("3 + 2 * 4 > 10"),
                ..Case::new(votes, promised)
            }
        };
        let all = [(0, 2), (1, 2), (2, 2), (3, 2), (4, 2)];
        let voted = [(0, 'x'), (1, 'x'), (2, 'y'), (3, 'z'), (4, 'z')];
        let collided = voted.map(|(acceptor, value)| (acceptor, 1, value));
        let case = fast(&collided, &all);
        assert!(case.holds::<OneValuePerBallot>() && case.view().chosen().is_empty());
        // Four voted otherwise, but not for one value: y is as good as any.
        let picked = |votes: &[(u32, u64, char)], value| [votes, &[(0, 2, value)]].concat();
        assert!(fast(&picked(&collided, 'y'), &all).holds::<VotesSafe>());
        // Three voted for x, and the last acceptor may have.
        let open = &[(0, 1, 'x'), (1, 1, 'x'), (2, 1, 'x'), (3, 1, 'y')];
        assert!(!fast(&picked(open, 'y'), &all[..4]).holds::<VotesSafe>());
        assert!(fast(&picked(open, 'x'), &all[..4]).holds::<VotesSafe>());
        // It has left the ballot without a vote.
        assert!(fast(&picked(open, 'y'), &all).holds::<VotesSafe>());
        let chosen = &[(0, 1, 'x'), (1, 1, 'x'), (2, 1, 'x'), (3, 1, 'x')];
        assert_eq!(fast(chosen, &all).view().chosen(), BTreeSet::from([&'x']));
        assert!(!fast(&picked(chosen, 'y'), &all).holds::<VotesSafe>());
        assert!(!fast(&[(0, 2, 'x'), (1, 2, 'y')], &all).holds::<OneValuePerBallot>());
    }

    #[test]
    fn what_was_chosen_counts_although_its_votes_are_forgotten() {
        let mut case = Case::new(&[], &[(0, 3), (1, 3)]).decided('x');
        assert!(!case.holds::<DecidedIsChosen>());
        case.chosen_before.insert('x', ballot(2));
        assert!(case.holds::<DecidedIsChosen>() && case.holds::<Agreement>());
        for (round, value, is_safe) in [(3, 'x', true), (3, 'y', false), (1, 'y', true)] {
            let ballot = ballot(round);
            let voters = AcceptorSet::first(1);
            case.votes = Votes::from([(Vote { ballot, value }, voters)]);
            assert_eq!(case.holds::<VotesSafe>(), is_safe, "{round} {value}");
        }
        case.chosen_before.insert('y', ballot(1));
        assert!(!case.holds::<Agreement>());
    }

    #[test]
    fn a_broken_promise_is_not_kept() {
        let mut case = Case::new(&[], &[]);
        assert!(case.holds::<PromiseKept>());
        case.breaches.insert(Breach {
            acceptor: NodeId(0),
            promised: ballot(2),
            ballot: Some(ballot(1)),
        });
        assert!(!case.holds::<PromiseKept>());
    }

    #[test]
    fn a_decision_without_a_quorum_in_one_ballot_is_caught() {
        for (round, is_chosen) in [(2, false), (1, true)] {
            let case = Case::new(&[(0, 1, 'x'), (1, round, 'x')], &[]).decided('x');
            assert_eq!(case.holds::<DecidedIsChosen>(), is_chosen);
        }
    }
}
