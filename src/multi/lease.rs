//! Leases: for a while, nobody else is let in. Time here is a number that somebody else reads off
//! a clock.
//!
//! What makes a lease safe is one assumption, and nothing else in the protocol needs it: **between
//! two readings, the clock of the leader advances at most [`LeaseTimes::margin`] less than that of
//! an acceptor, over [`LeaseTimes::duration`]**. Clocks need not agree; they must run at about the
//! same rate, and never backwards.

use crate::ballot::{Ballot, NodeId};
use crate::quorum::{AcceptorSet, QuorumSystem};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A reading of one process' own clock: microseconds over UDP, ticks in a model. Never compared
/// with a reading of another process' clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Time(pub u64);

impl Time {
    /// This time and so much later.
    #[must_use]
    pub fn after(self, duration: u64) -> Self {
        Time(self.0.saturating_add(duration))
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// How a process reads its clock.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// It counts ticks of its own, which a timer drives: for models, which say how far two such
    /// clocks may come apart. A timer that is late would make a leader believe in a lease for too
    /// long, so this is not for use in earnest.
    Ticks,
    /// It asks, in microseconds. The clock must be monotonic.
    Real(fn() -> u64),
}

impl Clock {
    /// What it shows, given the ticks that the process has counted.
    pub(super) fn read(self, counted: Time) -> Time {
        match self {
            Clock::Ticks => counted,
            Clock::Real(read) => Time(read()),
        }
    }
}

/// How long leases last, in the unit of [`Time`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct LeaseTimes {
    /// An acceptor holds off others for so long after it heard from a leader.
    pub duration: u64,
    /// The leader counts on so much less, because clocks drift.
    pub margin: u64,
}

/// A leader's sign of life, told from all others of the same ballot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct HeartbeatId {
    /// Counts the times that a read asked for a new one: never used again in the same ballot.
    pub round: u64,
    /// When it was sent, by the leader's clock.
    pub sent: Time,
}

impl fmt::Debug for HeartbeatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{:?}", self.round, self.sent)
    }
}

/// An acceptor's side of a lease. Lost in a crash, which is why a restarted acceptor acts as if it
/// had granted one just before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct LeaseGrant {
    /// Whom others are held off for.
    pub to: NodeId,
    /// Until when, by the acceptor's own clock.
    pub until: Time,
}

impl LeaseGrant {
    /// A lease from now on.
    #[must_use]
    pub fn new(to: NodeId, now: Time, times: LeaseTimes) -> Self {
        Self {
            to,
            until: now.after(times.duration),
        }
    }

    /// The lease that an acceptor may have granted before it crashed: to the owner of the ballot it
    /// promised, since granting raises the promise, and at the latest a moment ago.
    #[must_use]
    pub fn presumed(promised: Option<Ballot>, now: Time, times: LeaseTimes) -> Option<Self> {
        promised.map(|promised| Self::new(promised.node, now, times))
    }

    /// Whether a ballot is held off: its *prepare* is not promised, its *accept* not voted for.
    ///
    /// The holder may go on in a new ballot: whoever reads under the old one is not at it any more.
    #[must_use]
    pub fn holds_off(&self, ballot: Ballot, now: Time) -> bool {
        self.to != ballot.node && now < self.until
    }
}

/// When a leader's lease ends, by its own clock, given the latest heartbeat that each acceptor
/// answered; `None` if it has none.
///
/// It counts from when the heartbeat was *sent*: the acceptor counts from when it was received,
/// which cannot be earlier. Enough acceptors must hold off others for every phase-1 quorum to have
/// one.
///
/// `[PML §5.2]`, `[Raft thesis §6.4.1]`
#[must_use]
pub fn lease_end(
    acks: &BTreeMap<NodeId, HeartbeatId>,
    quorums: &QuorumSystem,
    times: LeaseTimes,
) -> Option<Time> {
    let is_enough = |since: &Time| {
        let fresh = acks
            .iter()
            .filter(|(_, heartbeat)| heartbeat.sent >= *since);
        let fresh: AcceptorSet = fresh.map(|(acceptor, _)| *acceptor).collect();
        quorums.is_phase2(fresh)
    };
    let since = acks
        .values()
        .map(|heartbeat| heartbeat.sent)
        .filter(is_enough)
        .max()?;
    Some(since.after(times.duration.saturating_sub(times.margin)))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, majority_of_three, three_and_one};
    use super::*;

    const TIMES: LeaseTimes = LeaseTimes {
        duration: 10,
        margin: 3,
    };

    #[test]
    fn a_lease_holds_off_all_but_its_holder_until_it_ends() {
        let grant = LeaseGrant::new(NodeId(1), Time(5), TIMES);
        let holds_off = |node, now| grant.holds_off(ballot(9, node), Time(now));
        assert_eq!(
            [5, 14, 15].map(|now| holds_off(2, now)),
            [true, true, false]
        );
        assert_eq!([5, 14].map(|now| holds_off(1, now)), [false; 2]);
    }

    #[test]
    fn who_restarts_presumes_a_lease_to_the_owner_of_its_promise() {
        assert_eq!(LeaseGrant::presumed(None, Time(7), TIMES), None);
        let presumed = LeaseGrant::presumed(Some(ballot(3, 1)), Time(7), TIMES);
        let (to, until) = (NodeId(1), Time(17));
        assert_eq!(presumed, Some(LeaseGrant { to, until }));
    }

    fn end(heartbeats: &[(u32, u64)]) -> Option<u64> {
        let acks = heartbeats.iter().map(|(from, sent)| {
            let (round, sent) = (0, Time(*sent));
            (NodeId(*from), HeartbeatId { round, sent })
        });
        lease_end(&acks.collect(), &majority_of_three(), TIMES).map(|end| end.0)
    }

    #[test]
    fn a_leader_counts_from_the_beat_that_a_quorum_answered_and_less_the_margin() {
        assert_eq!(end(&[]), None);
        assert_eq!(end(&[(0, 50)]), None, "one acceptor holds off nobody");
        assert_eq!(end(&[(0, 50), (7, 50)]), None, "a stranger does not count");
        assert_eq!(end(&[(0, 50), (1, 20)]), Some(20 + 10 - 3));
        assert_eq!(end(&[(0, 50), (1, 20), (2, 40)]), Some(40 + 10 - 3));
    }

    #[test]
    fn a_phase_2_quorum_holds_off_since_every_phase_1_quorum_meets_it() {
        let acks = [(NodeId(0), HeartbeatId::default())];
        let ends = lease_end(&acks.into(), &three_and_one(), TIMES);
        assert_eq!(ends, Some(Time(10 - 3)));
    }

    #[test]
    fn a_leader_never_counts_longer_than_an_acceptor_of_its_quorum() {
        // The acceptors hear the heartbeat when it is sent, at the earliest.
        let sent = 20;
        let grant = LeaseGrant::new(NodeId(3), Time(sent), TIMES);
        let ends = end(&[(0, sent), (1, sent)]).expect("a quorum answered");
        assert!(ends + TIMES.margin <= grant.until.0);
    }

    #[test]
    fn absurd_terms_give_no_lease() {
        let (duration, margin) = (1, u64::MAX);
        let times = LeaseTimes { duration, margin };
        let acks = [0, 1].map(|from| (NodeId(from), HeartbeatId::default()));
        let ends = lease_end(&acks.into(), &majority_of_three(), times);
        assert_eq!(ends, Some(Time(0)));
        assert_eq!(Time(u64::MAX).after(1), Time(u64::MAX));
    }
}
