//! Which ballots are fast: [`Rounds`]. Shared vocabulary, for quorums depend on it.

use crate::ballot::Ballot;
use serde::Serialize;

/// Which ballots are fast: those of the first rounds. In a fast ballot acceptors may vote for what
/// clients ask for without waiting for a proposal (Lamport, *Fast Paxos*, 2005).
///
/// Rounds in which clients collide are lost, so there should be few: a protocol that has collided
/// in all of them goes on like Basic Paxos.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Rounds {
    /// Ballots up to this round are fast; none if it is zero.
    pub fast: u64,
}

impl Rounds {
    /// Whether `ballot` is fast. The very last round is not, for it has no other to fall back on.
    #[must_use]
    pub fn is_fast(self, ballot: Ballot) -> bool {
        self.recovery(ballot).is_some()
    }

    /// The ballot that resolves collisions in `ballot`, if that is fast: its coordinator's next.
    ///
    /// Whoever votes in a fast ballot thereby promises its recovery ballot, so that the vote (2b)
    /// serves as a promise (1b) too. *Fast Paxos* has that for rounds that
    /// follow one upon the other; here another coordinator's ballot may lie in between.
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
