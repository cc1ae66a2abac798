//! Quorums: [`AcceptorSet`], [`QuorumSystem`] and the law that it must obey.
//!
//! Paxos needs one law: **every phase-1 quorum intersects every phase-2 quorum**, so that a
//! proposer that prepares a ballot learns of each value that may have been chosen below it. Two
//! quorums of the same phase need not intersect (Howard, Malkhi and Spiegelman, *Flexible Paxos*,
//! 2016, §3). A [`QuorumSystem`] that breaks the law cannot be built.
//!
//! Fast ballots need larger quorums: **every phase-1 quorum intersects the intersection of any two
//! fast quorums**, so that at most one of the reported values may have been chosen (Lamport, *Fast
//! Paxos*, 2005; Howard, Charapko and Mortier, *Fast Flexible Paxos*, 2021, show that classic
//! quorums of one phase need not intersect).

use crate::ballot::{Ballot, NodeId};
use crate::rounds::Rounds;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A set of acceptors in one machine word: node `i` is bit `i`, so that ids run from 0 to 63.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AcceptorSet(u64);

impl AcceptorSet {
    /// The number of different acceptors that a set can have.
    pub const CAPACITY: u32 = u64::BITS;

    /// Creates the empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the acceptors with ids `0` to `count - 1`; all 64 if `count` is larger.
    #[must_use]
    pub fn first(count: u32) -> Self {
        (0..count.min(Self::CAPACITY)).map(NodeId).collect()
    }

    /// Adds `node`, and returns `true` if the set changed: an acceptor counts once, even if it
    /// sends a message twice. A node that cannot be an acceptor (id 64 or above) is never added.
    pub fn insert(&mut self, node: NodeId) -> bool {
        let before = self.0;
        self.0 |= Self::bit(node);
        self.0 != before
    }

    /// Returns `true` if `node` is in the set.
    #[must_use]
    pub fn contains(self, node: NodeId) -> bool {
        self.0 & Self::bit(node) != 0
    }

    /// Returns the number of acceptors in the set.
    #[must_use]
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Returns `true` if the set has no acceptor.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns `true` if every acceptor of this set is in `other`.
    #[must_use]
    pub fn is_subset(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    /// Returns the acceptors that are in both sets.
    #[must_use]
    pub fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the acceptors that are in either set.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the acceptors of this set that are not in `other`.
    #[must_use]
    pub fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns the acceptors in ascending order of their ids.
    pub fn iter(self) -> impl Iterator<Item = NodeId> {
        (0..Self::CAPACITY)
            .map(NodeId)
            .filter(move |node| self.contains(*node))
    }

    fn bit(node: NodeId) -> u64 {
        1u64.checked_shl(node.0).unwrap_or(0)
    }
}

impl FromIterator<NodeId> for AcceptorSet {
    fn from_iter<I: IntoIterator<Item = NodeId>>(nodes: I) -> Self {
        Self(
            nodes
                .into_iter()
                .fold(0, |bits, node| bits | Self::bit(node)),
        )
    }
}

impl fmt::Display for AcceptorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{")?;
        for (i, node) in self.iter().enumerate() {
            write!(f, "{}{node}", if i == 0 { "" } else { "," })?;
        }
        f.write_str("}")
    }
}

impl fmt::Debug for AcceptorSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The quorums of one phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum Quorums {
    /// Any set of at least so many acceptors.
    AtLeast(usize),
    /// Any set of acceptors that contains one of these sets, as for grids or weights.
    AnyOf(Vec<AcceptorSet>),
}

impl Quorums {
    fn is_met_by(&self, heard: AcceptorSet) -> bool {
        match self {
            Quorums::AtLeast(size) => heard.len() >= *size,
            Quorums::AnyOf(sets) => sets.iter().any(|set| set.is_subset(heard)),
        }
    }

    /// Returns a quorum without an acceptor of `avoided`, if there is one.
    fn avoiding(&self, avoided: AcceptorSet, acceptors: AcceptorSet) -> Option<AcceptorSet> {
        match self {
            Quorums::AtLeast(size) => {
                let others = acceptors.difference(avoided);
                (others.len() >= *size).then(|| others.iter().take(*size).collect())
            }
            Quorums::AnyOf(sets) => sets
                .iter()
                .find(|set| set.intersection(avoided).is_empty())
                .copied(),
        }
    }

    fn check(&self, phase: u8, acceptors: AcceptorSet) -> Result<(), QuorumError> {
        match self {
            Quorums::AtLeast(size) if *size == 0 || *size > acceptors.len() => {
                Err(QuorumError::Size {
                    phase,
                    size: *size,
                    acceptors: acceptors.len(),
                })
            }
            Quorums::AtLeast(_) => Ok(()),
            Quorums::AnyOf(sets) if sets.is_empty() => Err(QuorumError::NoQuorum { phase }),
            Quorums::AnyOf(sets) => match sets
                .iter()
                .find(|set| set.is_empty() || !set.is_subset(acceptors))
            {
                Some(&set) => Err(QuorumError::NotAcceptors {
                    phase,
                    set,
                    acceptors,
                }),
                None => Ok(()),
            },
        }
    }
}

/// Returns a phase-1 and a phase-2 quorum that have no acceptor in common, if there are such.
fn disjoint(
    phase1: &Quorums,
    phase2: &Quorums,
    acceptors: AcceptorSet,
) -> Option<(AcceptorSet, AcceptorSet)> {
    match (phase1, phase2) {
        (_, Quorums::AnyOf(sets)) => sets
            .iter()
            .find_map(|&set| Some((phase1.avoiding(set, acceptors)?, set))),
        (Quorums::AnyOf(sets), _) => sets
            .iter()
            .find_map(|&set| Some((set, phase2.avoiding(set, acceptors)?))),
        (Quorums::AtLeast(size), _) => {
            // Two thresholds do not distinguish acceptors, so that one set of the size is enough.
            let set = acceptors.iter().take(*size).collect();
            Some((set, phase2.avoiding(set, acceptors)?))
        }
    }
}

/// The acceptors, and the quorums of each phase.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct QuorumSystem {
    acceptors: AcceptorSet,
    phase1: Quorums,
    phase2: Quorums,
    rounds: Rounds,
    fast: Quorums,
}

impl QuorumSystem {
    /// Creates a system of majorities in both phases (`[PMS §2.2]`).
    ///
    /// # Errors
    /// If `acceptors` is empty.
    pub fn majority(acceptors: AcceptorSet) -> Result<Self, QuorumError> {
        let size = acceptors.len() / 2 + 1;
        Self::flexible(acceptors, size, size)
    }

    /// Creates a system in which any `phase1` acceptors are enough to prepare, and any `phase2` to
    /// choose (*Flexible Paxos* §4).
    ///
    /// # Errors
    /// If `acceptors` is empty, a size is zero or larger than the number of acceptors, or two
    /// quorums of these sizes can be disjoint (`phase1 + phase2 <= acceptors`).
    pub fn flexible(
        acceptors: AcceptorSet,
        phase1: usize,
        phase2: usize,
    ) -> Result<Self, QuorumError> {
        Self::new(
            acceptors,
            Quorums::AtLeast(phase1),
            Quorums::AtLeast(phase2),
        )
    }

    /// Creates a system of any quorums that obey the law.
    ///
    /// # Errors
    /// If there is no acceptor, a phase has no quorum, a quorum is empty or has members that are no
    /// acceptors, or a phase-1 quorum and a phase-2 quorum are disjoint: the error names both.
    pub fn new(
        acceptors: AcceptorSet,
        phase1: Quorums,
        phase2: Quorums,
    ) -> Result<Self, QuorumError> {
        if acceptors.is_empty() {
            return Err(QuorumError::NoAcceptors);
        }
        phase1.check(1, acceptors)?;
        phase2.check(2, acceptors)?;
        match disjoint(&phase1, &phase2, acceptors) {
            Some((phase1, phase2)) => Err(QuorumError::Disjoint { phase1, phase2 }),
            None => Ok(Self {
                acceptors,
                phase1,
                fast: phase2.clone(),
                phase2,
                rounds: Rounds::default(),
            }),
        }
    }

    /// Adds the fast ballots of `rounds`, in which any `fast` acceptors are enough to choose.
    ///
    /// # Errors
    /// If `fast` is zero or larger than the number of acceptors, or two fast quorums of that size
    /// and a phase-1 quorum can have no acceptor in common (`phase1 + 2 · fast <= 2 · acceptors`):
    /// the error names all three.
    pub fn with_fast(self, fast: usize, rounds: Rounds) -> Result<Self, QuorumError> {
        let acceptors = self.acceptors;
        if fast == 0 || fast > acceptors.len() {
            let (size, acceptors) = (fast, acceptors.len());
            return Err(QuorumError::FastSize { size, acceptors });
        }
        // The two fast quorums with the smallest intersection: each leaves out other members of the
        // smallest phase-1 quorum first.
        let out = acceptors.len() - fast;
        let too_small = match &self.phase1 {
            Quorums::AtLeast(size) => {
                let first: AcceptorSet = acceptors.iter().take(*size).collect();
                (first.len() <= 2 * out).then_some(first)
            }
            Quorums::AnyOf(sets) => sets.iter().copied().find(|set| set.len() <= 2 * out),
        };
        if let Some(phase1) = too_small {
            let others = acceptors.difference(phase1);
            let mut left_out = phase1.iter().chain(others.iter());
            let fast = [(); 2].map(|()| {
                let out = left_out.by_ref().take(out).collect();
                acceptors.difference(out)
            });
            return Err(QuorumError::FastDisjoint { phase1, fast });
        }
        let fast = Quorums::AtLeast(fast);
        Ok(Self {
            rounds,
            fast,
            ..self
        })
    }

    /// Returns the acceptors.
    #[must_use]
    pub fn acceptors(&self) -> AcceptorSet {
        self.acceptors
    }

    /// Returns the quorums that are needed to prepare.
    #[must_use]
    pub fn phase1(&self) -> &Quorums {
        &self.phase1
    }

    /// Returns the quorums that are needed to choose in a classic ballot.
    #[must_use]
    pub fn phase2(&self) -> &Quorums {
        &self.phase2
    }

    /// Returns `true` if acceptors are interchangeable: quorums depend on their number only.
    #[must_use]
    pub fn is_symmetric(&self) -> bool {
        matches!(
            (&self.phase1, &self.phase2),
            (Quorums::AtLeast(_), Quorums::AtLeast(_))
        )
    }

    /// Returns `true` if promises from `heard` are enough for phase 2 to begin.
    #[must_use]
    pub fn is_phase1(&self, heard: AcceptorSet) -> bool {
        self.phase1.is_met_by(heard.intersection(self.acceptors))
    }

    /// Returns `true` if votes from `heard`, in one classic ballot, choose their value.
    #[must_use]
    pub fn is_phase2(&self, heard: AcceptorSet) -> bool {
        self.phase2.is_met_by(heard.intersection(self.acceptors))
    }

    /// Returns `true` if every phase-2 quorum has a member in `set`: without these acceptors no
    /// value can be chosen.
    #[must_use]
    pub fn blocks_phase2(&self, set: AcceptorSet) -> bool {
        self.phase2.avoiding(set, self.acceptors).is_none()
    }

    /// Returns the fast ballots.
    #[must_use]
    pub fn rounds(&self) -> Rounds {
        self.rounds
    }

    /// Returns the quorums of fast ballots and the fast ballots; `None` if there are none.
    #[must_use]
    pub fn fast(&self) -> Option<(&Quorums, Rounds)> {
        (self.rounds.fast > 0).then_some((&self.fast, self.rounds))
    }

    /// Returns the quorums that are needed to choose in `ballot`.
    #[must_use]
    pub fn of(&self, ballot: Ballot) -> &Quorums {
        if self.rounds.is_fast(ballot) {
            &self.fast
        } else {
            &self.phase2
        }
    }

    /// Returns `true` if votes from `voters` in `ballot` choose their value.
    #[must_use]
    pub fn chooses(&self, ballot: Ballot, voters: AcceptorSet) -> bool {
        self.of(ballot)
            .is_met_by(voters.intersection(self.acceptors))
    }

    /// Returns `true` if every quorum of `ballot` has a member in `set`: without these acceptors no
    /// value can be chosen in it.
    #[must_use]
    pub fn blocks(&self, ballot: Ballot, set: AcceptorSet) -> bool {
        self.of(ballot).avoiding(set, self.acceptors).is_none()
    }

    /// Returns `true` if no value can be chosen in any ballot, classic or fast, without `set`.
    #[must_use]
    pub fn blocks_all(&self, set: AcceptorSet) -> bool {
        self.blocks_phase2(set) && self.fast.avoiding(set, self.acceptors).is_none()
    }
}

/// A name of a quorum system with fast quorums: `fast:QC,QF` for classic quorums of `QC` acceptors
/// in both phases and fast quorums of `QF`; or `fast:Q1,Q2,QF` with three sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FastSpec {
    /// The number of acceptors that are needed to prepare.
    pub phase1: usize,
    /// The number of acceptors that are needed to choose in a classic ballot.
    pub phase2: usize,
    /// The number of acceptors that are needed to choose in a fast ballot.
    pub fast: usize,
}

impl FastSpec {
    /// Returns majorities with the smallest fast quorums for them: three quarters of the acceptors,
    /// rounded up.
    #[must_use]
    pub fn majority(acceptors: usize) -> Self {
        let majority = acceptors / 2 + 1;
        // The least `fast` with `majority + 2 * fast > 2 * acceptors`.
        let fast = (2 * acceptors - majority) / 2 + 1;
        FastSpec {
            phase1: majority,
            phase2: majority,
            fast,
        }
    }

    /// Returns the quorum system of this name over `acceptors`, with the fast ballots of `rounds`.
    ///
    /// # Errors
    /// As [`QuorumSystem::flexible`] and [`QuorumSystem::with_fast`].
    pub fn over(self, acceptors: AcceptorSet, rounds: Rounds) -> Result<QuorumSystem, QuorumError> {
        QuorumSystem::flexible(acceptors, self.phase1, self.phase2)?.with_fast(self.fast, rounds)
    }
}

impl fmt::Display for FastSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let FastSpec {
            phase1,
            phase2,
            fast,
        } = self;
        if phase1 == phase2 {
            write!(f, "fast:{phase1},{fast}")
        } else {
            write!(f, "fast:{phase1},{phase2},{fast}")
        }
    }
}

impl FromStr for FastSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let sizes = text.strip_prefix("fast:").and_then(|sizes| {
            let sizes = sizes.split(',').map(|size| size.trim().parse().ok());
            sizes.collect::<Option<Vec<usize>>>()
        });
        let (phase1, phase2, fast) = match sizes.as_deref() {
            Some([classic, fast]) => (*classic, *classic, *fast),
            Some([phase1, phase2, fast]) => (*phase1, *phase2, *fast),
            _ => {
                return Err(
                    "expected `fast:QC,QF` with two numbers (acceptors of a classic \
                            quorum, acceptors of a fast one), such as fast:2,3; or \
                            `fast:Q1,Q2,QF`, with acceptors to prepare, to choose in a classic \
                            ballot and to choose in a fast one"
                        .to_owned(),
                );
            }
        };
        Ok(FastSpec {
            phase1,
            phase2,
            fast,
        })
    }
}

/// A name of a quorum system: `majority` or `flexible:Q1,Q2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuorumSpec {
    /// [`QuorumSystem::majority`].
    Majority,
    /// [`QuorumSystem::flexible`] with these sizes.
    Flexible(usize, usize),
}

impl QuorumSpec {
    /// Returns the quorum system of this name over `acceptors`.
    ///
    /// # Errors
    /// As the constructors of [`QuorumSystem`].
    pub fn over(self, acceptors: AcceptorSet) -> Result<QuorumSystem, QuorumError> {
        match self {
            QuorumSpec::Majority => QuorumSystem::majority(acceptors),
            QuorumSpec::Flexible(q1, q2) => QuorumSystem::flexible(acceptors, q1, q2),
        }
    }
}

impl fmt::Display for QuorumSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            QuorumSpec::Majority => f.write_str("majority"),
            QuorumSpec::Flexible(q1, q2) => write!(f, "flexible:{q1},{q2}"),
        }
    }
}

impl FromStr for QuorumSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "majority" {
            return Ok(QuorumSpec::Majority);
        }
        let sizes = text.strip_prefix("flexible:").and_then(|sizes| {
            let (q1, q2) = sizes.split_once(',')?;
            Some((q1.trim().parse().ok()?, q2.trim().parse().ok()?))
        });
        match sizes {
            Some((q1, q2)) => Ok(QuorumSpec::Flexible(q1, q2)),
            None => Err("expected `majority`, or `flexible:Q1,Q2` with two numbers \
                         (acceptors to prepare, acceptors to choose), such as flexible:4,2; \
                         fast quorums are for Fast Paxos"
                .to_owned()),
        }
    }
}

/// An error for which a quorum system is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// There are no acceptors.
    #[error("a quorum system needs at least one acceptor")]
    NoAcceptors,
    /// A phase has no quorum.
    #[error("phase {phase} has no quorum: list at least one set of acceptors")]
    NoQuorum {
        /// 1 or 2.
        phase: u8,
    },
    /// A size is zero, or larger than the number of acceptors.
    #[error("a phase-{phase} quorum of {size} is impossible: take 1 to {acceptors} acceptors")]
    Size {
        /// 1 or 2.
        phase: u8,
        /// The size.
        size: usize,
        /// The number of acceptors.
        acceptors: usize,
    },
    /// A quorum is empty, or has members that are no acceptors.
    #[error("the phase-{phase} quorum {set} must be a non-empty part of the acceptors {acceptors}")]
    NotAcceptors {
        /// 1 or 2.
        phase: u8,
        /// The quorum.
        set: AcceptorSet,
        /// The acceptors.
        acceptors: AcceptorSet,
    },
    /// Two quorums are disjoint, so that two values could be chosen.
    #[error(
        "quorums must intersect: phase-1 quorum {phase1} and phase-2 quorum {phase2} \
         have no acceptor in common, so two values could be chosen; \
         take sizes that add up to more than the number of acceptors"
    )]
    Disjoint {
        /// The quorum that could prepare.
        phase1: AcceptorSet,
        /// The quorum that could choose a value unknown to it.
        phase2: AcceptorSet,
    },
    /// The size of fast quorums is zero, or larger than the number of acceptors.
    #[error("a fast quorum of {size} is impossible: take 1 to {acceptors} acceptors")]
    FastSize {
        /// The size.
        size: usize,
        /// The number of acceptors.
        acceptors: usize,
    },
    /// Two fast quorums and a phase-1 quorum have no acceptor in common: a coordinator could not
    /// know which of two values may have been chosen.
    #[error(
        "quorums must intersect: phase-1 quorum {phase1} and fast quorums {a} and {b} have no \
         acceptor in common, so two values could be chosen; take sizes Q1 + 2 * QF of more than \
         twice the number of acceptors",
        a = fast[0],
        b = fast[1]
    )]
    FastDisjoint {
        /// The quorum that could prepare.
        phase1: AcceptorSet,
        /// The two quorums that could choose different values.
        fast: [AcceptorSet; 2],
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(ids: &[u32]) -> AcceptorSet {
        ids.iter().copied().map(NodeId).collect()
    }

    fn first(count: u32) -> AcceptorSet {
        AcceptorSet::first(count)
    }

    fn subsets(count: u32) -> impl Iterator<Item = AcceptorSet> {
        (0..1u64 << count).map(AcceptorSet)
    }

    /// The law by brute force: of all pairs of subsets, every two quorums share an acceptor.
    fn obeys_the_law(count: u32, q1: &Quorums, q2: &Quorums) -> bool {
        subsets(count).filter(|a| q1.is_met_by(*a)).all(|a| {
            subsets(count)
                .filter(|b| q2.is_met_by(*b))
                .all(|b| !a.intersection(b).is_empty())
        })
    }

    #[test]
    fn a_threshold_is_accepted_exactly_if_all_its_quorums_intersect() {
        for count in 1..=7 {
            let sizes = 1..=count as usize;
            for (q1, q2) in sizes
                .clone()
                .flat_map(|a| sizes.clone().map(move |b| (a, b)))
            {
                let built = QuorumSystem::flexible(first(count), q1, q2);
                let law = obeys_the_law(count, &Quorums::AtLeast(q1), &Quorums::AtLeast(q2));
                assert_eq!(built.is_ok(), law, "{count} acceptors, sizes {q1} and {q2}");
            }
        }
    }

    #[test]
    fn listed_sets_are_accepted_exactly_if_all_quorums_intersect() {
        // Every pair of families of up to two sets over four acceptors, against each other and
        // against every threshold.
        let families: Vec<Quorums> = subsets(4)
            .flat_map(|a| subsets(4).map(move |b| (a, b)))
            .filter(|(a, b)| !a.is_empty() && !b.is_empty() && a <= b)
            .map(|(a, b)| Quorums::AnyOf(vec![a, b]))
            .chain((1..=4).map(Quorums::AtLeast))
            .collect();
        for q1 in &families {
            for q2 in &families {
                let built = QuorumSystem::new(first(4), q1.clone(), q2.clone());
                assert_eq!(built.is_ok(), obeys_the_law(4, q1, q2), "{q1:?} and {q2:?}");
            }
        }
    }

    #[test]
    fn a_fast_threshold_is_accepted_exactly_if_all_threes_of_quorums_intersect() {
        let meet = |count: u32, q1: &Quorums, fast: usize| {
            let fast = Quorums::AtLeast(fast);
            let fast: Vec<_> = subsets(count).filter(|set| fast.is_met_by(*set)).collect();
            subsets(count).filter(|q| q1.is_met_by(*q)).all(|q| {
                let meets = |a: AcceptorSet, b| !q.intersection(a.intersection(b)).is_empty();
                fast.iter().all(|a| fast.iter().all(|b| meets(*a, *b)))
            })
        };
        let rounds = Rounds { fast: 1 };
        for count in 1..=5 {
            let all = first(count);
            let sets = subsets(count).filter(|set| !set.is_empty());
            let families = sets.map(|set| Quorums::AnyOf(vec![all, set]));
            for q1 in families.chain((1..=count as usize).map(Quorums::AtLeast)) {
                let classic = QuorumSystem::new(all, q1.clone(), Quorums::AtLeast(count as usize));
                let classic = classic.expect("phase 2 is everyone");
                for fast in 1..=count as usize {
                    let law = meet(count, &q1, fast);
                    match classic.clone().with_fast(fast, rounds) {
                        Ok(_) => assert!(law, "{q1:?}, {fast} of {count}"),
                        Err(QuorumError::FastDisjoint { phase1, fast: sets }) => {
                            let [a, b] = sets;
                            assert!(!law, "{q1:?}, {fast} of {count}");
                            assert!(q1.is_met_by(phase1) && a.len() >= fast && b.len() >= fast);
                            let common = phase1.intersection(a).intersection(b);
                            assert!(common.is_empty(), "{phase1} {a} {b}");
                        }
                        Err(error) => panic!("{error}"),
                    }
                }
            }
        }
    }

    #[test]
    fn the_smallest_fast_quorums_leave_out_a_quarter() {
        // The table of Fast Paxos for as many failures as majorities bear: N, classic and fast.
        for (count, classic, fast) in [(1, 1, 1), (3, 2, 3), (4, 3, 3), (5, 3, 4), (7, 4, 6)] {
            let spec = FastSpec::majority(count as usize);
            let sizes = (spec.phase1, spec.phase2, spec.fast);
            assert_eq!(sizes, (classic, classic, fast));
            let built = |fast| FastSpec { fast, ..spec }.over(first(count), Rounds { fast: 1 });
            assert!(built(fast).is_ok() && built(fast - 1).is_err());
        }
    }

    #[test]
    fn a_ballot_takes_a_quorum_of_its_kind() {
        let spec: FastSpec = "fast:2,3".parse().expect("well-formed");
        let system = spec.over(first(3), Rounds { fast: 1 });
        let system = system.expect("2 + 2 * 3 > 6");
        let ballot = |round| crate::vote::testing::ballot(round, 9);
        let two = set(&[0, 1]);
        assert!(!system.chooses(ballot(1), two) && system.chooses(ballot(2), two));
        assert!(system.blocks(ballot(1), set(&[2])) && !system.blocks(ballot(2), set(&[2])));
        assert!(system.blocks_all(two) && !system.blocks_all(set(&[2])));
        let classic = QuorumSystem::majority(first(3)).expect("a majority");
        assert!(classic.chooses(ballot(1), two));
    }

    fn read_back<S: FromStr<Err: fmt::Debug> + fmt::Display>(names: &[&str], others: &[&str]) {
        for text in names {
            let spec: S = text.parse().expect("well-formed");
            assert_eq!(spec.to_string(), *text);
        }
        for text in others {
            assert!(text.parse::<S>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_name_of_a_quorum_system_reads_back_as_it_prints() {
        let others = ["", "fast", "fast:1", "fast:1,2,3,4", "fast:a,b", "majority"];
        read_back::<FastSpec>(&["fast:2,3", "fast:3,2,3"], &others);
        let others = ["", "flexible", "flexible:1", "flexible:a,b", "minority"];
        read_back::<QuorumSpec>(&["majority", "flexible:4,2"], &others);
    }

    #[test]
    fn a_set_blocks_phase_2_exactly_if_its_complement_holds_no_quorum() {
        for count in 1..=7 {
            let all = first(count);
            for q2 in 1..=count as usize {
                let system = QuorumSystem::flexible(all, count as usize, q2);
                let system = system.expect("q1 is everyone");
                for set in subsets(count) {
                    let is_enough = system.is_phase2(all.difference(set));
                    assert_eq!(system.blocks_phase2(set), !is_enough);
                }
            }
        }
    }

    #[test]
    fn a_majority_is_more_than_half() {
        for (count, size) in [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)] {
            let system = QuorumSystem::majority(first(count)).expect("majorities intersect");
            for set in subsets(count) {
                assert_eq!(system.is_phase1(set), set.len() >= size);
                assert_eq!(system.is_phase2(set), set.len() >= size);
            }
        }
    }

    #[test]
    fn the_grid_of_the_thesis_is_a_quorum_system() {
        // Howard, *Distributed consensus revised*, §4.1: rows prepare, columns choose.
        let rows = Quorums::AnyOf(vec![set(&[0, 1]), set(&[2, 3])]);
        let columns = Quorums::AnyOf(vec![set(&[0, 2]), set(&[1, 3])]);
        let system = QuorumSystem::new(first(4), rows.clone(), columns);
        let system = system.expect("each row meets each column");
        assert!(system.is_phase1(set(&[0, 1, 2])) && !system.is_phase1(set(&[0, 2])));
        let twice = QuorumSystem::new(first(4), rows.clone(), rows);
        let (phase1, phase2) = (set(&[2, 3]), set(&[0, 1]));
        assert_eq!(twice, Err(QuorumError::Disjoint { phase1, phase2 }));
    }

    #[test]
    fn strangers_do_not_count() {
        let system = QuorumSystem::majority(set(&[1, 2, 3])).expect("majorities intersect");
        assert!(!system.is_phase2(set(&[1, 4, 5, 63])));
        let mut heard = AcceptorSet::new();
        assert!(!heard.insert(NodeId(64)) && heard.is_empty());
    }

    #[test]
    fn an_acceptor_is_counted_once() {
        let mut heard = AcceptorSet::new();
        assert!(heard.insert(NodeId(2)));
        assert!(!heard.insert(NodeId(2)));
        assert_eq!(heard.len(), 1);
        assert_eq!(set(&[2, 5, 2]), set(&[2, 5]));
        assert_eq!(format!("{0} {0:?}", set(&[2, 5, 2])), "{2,5} {2,5}");
    }

    #[test]
    fn acceptors_are_alike_only_if_numbers_alone_count() {
        let three = first(3);
        let pairs = Quorums::AnyOf(vec![set(&[0, 1]), set(&[1, 2]), set(&[0, 2])]);
        for (q1, q2, is_symmetric) in [
            (Quorums::AtLeast(2), Quorums::AtLeast(2), true),
            (pairs.clone(), Quorums::AtLeast(2), false),
            (Quorums::AtLeast(2), pairs.clone(), false),
        ] {
            let system = QuorumSystem::new(three, q1, q2).expect("they intersect");
            assert_eq!(system.is_symmetric(), is_symmetric, "{system:?}");
        }
    }

    #[test]
    fn impossible_systems_are_refused_with_the_reason() {
        use Quorums::{AnyOf, AtLeast};
        let nobody = QuorumSystem::majority(AcceptorSet::new());
        assert_eq!(nobody, Err(QuorumError::NoAcceptors));
        let stranger = AnyOf(vec![set(&[1, 7])]);
        for (phase1, phase2, [one, other]) in [
            (AtLeast(1), AtLeast(2), ["{0}", "{1,2}"]),
            (AtLeast(0), AtLeast(3), ["1 to 3"; 2]),
            (AtLeast(4), AtLeast(3), ["1 to 3"; 2]),
            (AnyOf(vec![]), AtLeast(3), ["phase 1"; 2]),
            (AtLeast(3), stranger, ["{1,7}", "{0,1,2}"]),
        ] {
            let refused = QuorumSystem::new(first(3), phase1, phase2);
            let error = refused.expect_err("must be refused").to_string();
            assert!(error.contains(one) && error.contains(other), "{error}");
        }
    }
}
