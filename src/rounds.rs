//! The fast ballots: [`Rounds`]. Quorums depend on it.

use crate::ballot::Ballot;
use serde::Serialize;

/// The fast ballots: those of the first rounds. In a fast ballot acceptors may vote for a client's
/// value without a proposal (Lamport, *Fast Paxos*, 2005).
///
/// A fast round in which clients collide is wasted, so that there should be few. After the last one
/// the protocol works as Basic Paxos does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Rounds {
    /// The last round whose ballots are fast; zero if none are.
    pub fast: u64,
}

impl Rounds {
    /// Returns `true` if `ballot` is fast. The very last round is not, since no round follows it.
    #[must_use]
    pub fn is_fast(self, ballot: Ballot) -> bool {
        self.recovery(ballot).is_some()
    }

    /// Returns the ballot that resolves collisions in `ballot`, if that is fast: the next one of
    /// its coordinator.
    ///
    /// An acceptor that votes in a fast ballot also promises its recovery ballot, so that the vote
    /// (2b) serves as a promise (1b), too. In *Fast Paxos* these are consecutive rounds; here a
    /// ballot of another coordinator may lie between them.
    #[must_use]
    pub fn recovery(self, ballot: Ballot) -> Option<Ballot> {
        if ballot.round > self.fast {
            return None;
        }
        let round = ballot.round.checked_add(1)?;
        Some(Ballot { round, ..ballot })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ballot::NodeId;

    fn ballot(round: u64) -> Ballot {
        let node = NodeId(3);
        Ballot { round, node }
    }

    #[test]
    fn the_first_rounds_are_fast_and_their_owners_next_ballot_resolves_them() {
        let rounds = Rounds { fast: 2 };
        let recovery = [1, 2, 3].map(|round| rounds.recovery(ballot(round)));
        assert_eq!(recovery, [Some(ballot(2)), Some(ballot(3)), None]);
        let is_fast = [1, 2, 3].map(|round| rounds.is_fast(ballot(round)));
        assert_eq!(is_fast, [true, true, false]);
        assert!(!Rounds::default().is_fast(ballot(1)));
    }

    #[test]
    fn the_last_round_is_never_fast() {
        let rounds = Rounds { fast: u64::MAX };
        assert!(rounds.is_fast(ballot(u64::MAX - 1)));
        assert!(!rounds.is_fast(ballot(u64::MAX)));
    }
}
