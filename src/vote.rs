//! Votes: a value in a ballot.

use crate::ballot::Ballot;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::hash::Hash;

/// A value that can be chosen: any type that can be copied, compared, hashed and shown.
///
/// The protocols never look inside a value, and never depend on the order of values; `Ord` lets the
/// checker keep sets of messages in one canonical order.
pub trait Value: Clone + Ord + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static {}
impl<V: Clone + Ord + Hash + fmt::Debug + fmt::Display + Send + Sync + 'static> Value for V {}

/// A proposal, or an accepted proposal: a number and a value (`[PMS §2.2]`).
///
/// It is shown as `ballot:value`. The highest vote is the one with the highest ballot: never
/// compare whole votes, for agreement can hide for a long time that values take part in the
/// comparison.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Vote<V> {
    /// The number of the proposal.
    pub ballot: Ballot,
    /// The value proposed under that number.
    pub value: V,
}

impl<V: fmt::Display> fmt::Display for Vote<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ballot, self.value)
    }
}

impl<V: fmt::Display> fmt::Debug for Vote<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Shows an `Option` as messages and states do: `∅` for `None`.
pub(crate) struct OrNone<'a, T>(pub(crate) &'a Option<T>);

impl<T: fmt::Display> fmt::Display for OrNone<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(shown) => fmt::Display::fmt(shown, f),
            None => f.write_str("∅"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vote_looks_the_same_wherever_it_is_shown() {
        let vote = testing::vote(3, 1, 'x');
        assert_eq!(format!("{vote} {vote:?}"), "3.1:x 3.1:x");
        let shown = [OrNone(&Some(vote)), OrNone(&None)].map(|it| it.to_string());
        assert_eq!(shown, ["3.1:x", "∅"]);
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! Ballots and votes, written short.

    use super::Vote;
    use crate::ballot::{Ballot, NodeId};

    pub(crate) fn ballot(round: u64, node: u32) -> Ballot {
        let node = NodeId(node);
        Ballot { round, node }
    }

    pub(crate) fn vote<V>(round: u64, node: u32, value: V) -> Vote<V> {
        let ballot = ballot(round, node);
        Vote { ballot, value }
    }
}
