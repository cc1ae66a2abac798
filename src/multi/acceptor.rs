//! The acceptor: Basic Paxos' acceptor, with one promise for all slots and a vote in each.

use super::lease::{HeartbeatId, LeaseGrant, LeaseTimes, Time};
use super::{Entry, Message, Slot};
use crate::ballot::Ballot;
use crate::machine::Data;
use crate::vote::{OrNone, Vote};
use imbl::OrdMap;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What an acceptor remembers. All of it is durable, except for the lease.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Acceptor<C> {
    /// The highest ballot promised or voted in, in whatever slot (`maxBal`).
    pub promised: Option<Ballot>,
    /// The highest vote cast in each slot (`maxVBal` and `maxVal`) that may still be open.
    pub votes: OrdMap<Slot, Vote<Entry<C>>>,
    /// Votes below are gone: what was chosen in those slots is known here, and durable.
    pub base: Slot,
    /// The lease to a leader: nobody else is let in as long as it lasts. Lost in a crash.
    pub grant: Option<LeaseGrant>,
}

impl<C> Default for Acceptor<C> {
    /// An acceptor that has promised nothing and never voted.
    fn default() -> Self {
        Self {
            promised: None,
            votes: OrdMap::new(),
            base: Slot::default(),
            grant: None,
        }
    }
}

/// An acceptor's answer, on its way to the proposer of the ballot.
type Answer<C, R> = Option<Message<C, R>>;

impl<C: Data> Acceptor<C> {
    /// An acceptor that starts, for the first time or again. It does not know what lease it granted
    /// before, and so acts as if it had granted one just now.
    #[must_use]
    pub fn restart(saved: Option<Self>, lease: Option<LeaseTimes>, now: Time) -> Self {
        let saved = saved.unwrap_or_default();
        let grant = lease.and_then(|times| LeaseGrant::presumed(saved.promised, now, times));
        Self { grant, ..saved }
    }

    /// The part that must survive a restart. Cheap: votes are shared, not copied.
    #[must_use]
    pub fn durable(&self) -> Self {
        Self {
            grant: None,
            ..self.clone()
        }
    }

    /// Whether a ballot is let in: no higher one is promised, and no lease to somebody else lasts.
    ///
    /// `[PMS §2.2, P1a]`, `[PML §5.2]`
    #[must_use]
    pub fn admits(&self, ballot: Ballot, now: Time) -> bool {
        !self.is_past_accept(ballot) && !self.holds_off(ballot, now)
    }

    /// Phase 1b, for all slots at once: a *prepare* above every ballot promised so far is answered
    /// with a promise to vote in no lower one in any slot, with the votes cast from the given slot
    /// on, and with the slot up to which all is decided and votes need not be asked for. As long as
    /// a lease lasts, nobody but its holder is answered.
    ///
    /// Strictly above, as in Basic Paxos. Votes that would make a message of more than `bytes_max`
    /// bytes must be asked for with [`Message::Continue`].
    ///
    /// `[PMS §3]`, `[PMMC §2.2]` (p1a) · `Phase1b` (Paxos.tla), in every slot
    pub fn on_prepare<R>(
        &mut self,
        ballot: Ballot,
        from: Slot,
        bytes_max: usize,
        now: Time,
    ) -> Answer<C, R> {
        if !self.admits(ballot, now) || self.promised == Some(ballot) {
            return self.refusal_of(ballot, now);
        }
        self.promised = Some(ballot);
        Some(self.report(ballot, from, bytes_max))
    }

    /// More of a promise that one message was too small for, as long as it is the latest: the
    /// acceptor is still bound by it, and reports the votes of further slots as they are now.
    ///
    /// `[PMS §3]`: a new leader may need to be told of any number of votes
    pub fn on_continue<R>(&self, ballot: Ballot, from: Slot, bytes_max: usize) -> Answer<C, R> {
        let is_latest = self.promised == Some(ballot);
        is_latest.then(|| self.report(ballot, from, bytes_max))
    }

    /// The votes from a slot on, as far as one message takes them; at least one.
    fn report<R>(&self, ballot: Ballot, from: Slot, bytes_max: usize) -> Message<C, R> {
        let mut votes = BTreeMap::new();
        let mut bytes = 0;
        for (slot, vote) in self.votes.range(from..) {
            bytes += vote.value.bytes();
            if bytes > bytes_max && !votes.is_empty() {
                return Message::Promise {
                    ballot,
                    votes,
                    decided: self.base,
                    more: Some(*slot),
                };
            }
            votes.insert(*slot, vote.clone());
        }
        Message::Promise {
            ballot,
            votes,
            decided: self.base,
            more: None,
        }
    }

    /// Phase 2b: a proposal is voted for unless a higher ballot was promised, or a lease keeps its
    /// ballot out. The vote raises the promise. Asked again for the vote that it cast, the acceptor
    /// says so again.
    ///
    /// In a slot below [`base`](Self::base) there is nothing left to vote on.
    ///
    /// `[PMS §2.2, P1a]`, `[PMMC §2.2]` (p2a) · `Phase2b` (Paxos.tla)
    pub fn on_accept<R>(
        &mut self,
        slot: Slot,
        proposal: Vote<Entry<C>>,
        now: Time,
    ) -> Answer<C, R> {
        let ballot = proposal.ballot;
        if !self.admits(ballot, now) {
            return self.refusal_of(ballot, now);
        }
        if slot < self.base {
            return None;
        }
        self.promised = Some(ballot);
        self.votes.insert(slot, proposal);
        Some(Message::Accepted { ballot, slot })
    }

    /// A leader shows itself: whoever follows it promises its ballot, grants it a lease from now
    /// on, where there are leases, and says so.
    ///
    /// The promise is as safe as one whose answer is lost.
    ///
    /// `[PML §5.2]` · `Phase1b` (Paxos.tla), its message lost
    pub fn on_heartbeat<R>(
        &mut self,
        ballot: Ballot,
        heartbeat: HeartbeatId,
        lease: Option<LeaseTimes>,
        now: Time,
    ) -> Answer<C, R> {
        if !self.admits(ballot, now) {
            return self.refusal_of(ballot, now);
        }
        self.promised = Some(ballot);
        if let Some(times) = lease {
            self.grant = Some(LeaseGrant::new(ballot.node, now, times));
        }
        Some(Message::HeartbeatAck { ballot, heartbeat })
    }

    /// Forgets a lease that is over.
    pub fn tick(&mut self, now: Time) {
        self.grant = self.grant.filter(|grant| now < grant.until);
    }

    /// The entry voted for in a slot and in this very ballot.
    ///
    /// That a slot is decided in a ballot says nothing about a vote in another one.
    #[must_use]
    pub fn voted_in(&self, ballot: Ballot, slot: Slot) -> Option<&Entry<C>> {
        let vote = self.votes.get(&slot)?;
        (vote.ballot == ballot).then_some(&vote.value)
    }

    /// Drops the votes in slots below one up to which all is decided and known to this node.
    ///
    /// `[PMMC §4.1]`
    pub fn trim(&mut self, decided: Slot) {
        self.base = self.base.max(decided);
        while let Some((slot, _)) = self.votes.get_min().filter(|(slot, _)| *slot < self.base) {
            let slot = *slot;
            self.votes.remove(&slot);
        }
    }

    /// Whether a *prepare* can never again be answered with a promise.
    #[must_use]
    pub fn is_past_prepare(&self, ballot: Ballot) -> bool {
        self.promised >= Some(ballot)
    }

    /// Whether a proposal in this ballot can never again be voted for.
    #[must_use]
    pub fn is_past_accept(&self, ballot: Ballot) -> bool {
        self.promised > Some(ballot)
    }

    /// Whether a lease to somebody else keeps a ballot out.
    fn holds_off(&self, ballot: Ballot, now: Time) -> bool {
        self.grant.is_some_and(|grant| grant.holds_off(ballot, now))
    }

    /// Which higher ballot stands in the way of `ballot`, for its proposer to give up at once. A
    /// proposer that a lease holds off is told nothing: it may try again when the lease is over.
    fn refusal_of<R>(&self, ballot: Ballot, now: Time) -> Answer<C, R> {
        let promised = self.promised.filter(|promised| *promised > ballot)?;
        (!self.holds_off(ballot, now)).then_some(Message::Nack {
            promised,
            decided: self.base,
        })
    }
}

impl<C: Data> fmt::Debug for Acceptor<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "promised {} voted", OrNone(&self.promised))?;
        if self.votes.is_empty() {
            f.write_str(" ∅")?;
        }
        for (slot, vote) in &self.votes {
            write!(f, " {slot}{vote}")?;
        }
        match &self.grant {
            Some(grant) => write!(f, " lease to {} until {:?}", grant.to, grant.until),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, vote};
    use super::*;

    type Said = Option<Message<char, String>>;

    /// A time, where none matters.
    const NOW: Time = Time(7);

    impl Acceptor<char> {
        fn prepare(&mut self, round: u64, from: u64) -> Said {
            self.on_prepare(ballot(round, 0), Slot(from), 1_000, NOW)
        }

        fn accept(&mut self, slot: u64, vote: Vote<Entry<char>>) -> Said {
            self.on_accept(Slot(slot), vote, NOW)
        }
    }

    fn promise(round: u64, votes: &[(u64, Vote<Entry<char>>)], decided: u64) -> Said {
        Some(Message::Promise {
            ballot: ballot(round, 0),
            votes: votes.iter().map(|(s, v)| (Slot(*s), v.clone())).collect(),
            decided: Slot(decided),
            more: None,
        })
    }

    #[test]
    fn a_promise_that_one_message_is_too_small_for_comes_in_parts() {
        let mut acceptor = Acceptor::default();
        let votes = [0, 1, 2].map(|slot| (slot, vote(1, 1, "x")));
        for (slot, vote) in &votes {
            acceptor.accept(*slot, vote.clone());
        }
        let size = votes[0].1.value.bytes();
        let part = |votes, rest: Option<u64>| {
            let mut part = promise(2, votes, 0);
            if let Some(Message::Promise { more, .. }) = &mut part {
                *more = rest.map(Slot);
            }
            part
        };
        let ballot = ballot(2, 0);
        let first: Said = acceptor.on_prepare(ballot, Slot(0), 2 * size, NOW);
        assert_eq!(first, part(&votes[..2], Some(2)));
        let rest: Said = acceptor.on_continue(ballot, Slot(2), 2 * size);
        assert_eq!(rest, part(&votes[2..], None));
        // A single vote goes out however large it is.
        let rest: Said = acceptor.on_continue(ballot, Slot(1), 1);
        assert_eq!(rest, part(&votes[1..2], Some(2)));
        // Once another ballot is promised there is no more of this promise.
        acceptor.prepare(3, 0);
        let rest: Said = acceptor.on_continue(ballot, Slot(2), 2 * size);
        assert_eq!(rest, None);
    }

    fn nack(round: u64, decided: u64) -> Said {
        Some(Message::Nack {
            promised: ballot(round, 0),
            decided: Slot(decided),
        })
    }

    #[test]
    fn only_a_higher_ballot_is_promised() {
        let mut acceptor = Acceptor::default();
        assert_eq!(acceptor.prepare(2, 0), promise(2, &[], 0));
        let before = acceptor.clone();
        assert_eq!(acceptor.prepare(2, 0), None);
        assert_eq!(acceptor.prepare(1, 0), nack(2, 0));
        assert_eq!(acceptor, before);
        assert_eq!(acceptor.prepare(3, 0), promise(3, &[], 0));
    }

    #[test]
    fn one_promise_covers_every_slot() {
        let mut acceptor = Acceptor::default();
        acceptor.prepare(2, 5);
        for slot in [0, 5, 6, 1_000_000] {
            assert_eq!(acceptor.accept(slot, vote(1, 1, "x")), nack(2, 0));
        }
        assert!(acceptor.votes.is_empty());
    }

    #[test]
    fn a_promise_tells_the_votes_from_the_slot_on_and_how_far_all_is_decided() {
        let mut acceptor = Acceptor::default();
        for (slot, letters) in [(2, "a"), (3, "b"), (7, "c")] {
            acceptor.accept(slot, vote(1, 1, letters));
        }
        acceptor.trim(Slot(2));
        let votes = [(3, vote(1, 1, "b")), (7, vote(1, 1, "c"))];
        assert_eq!(acceptor.prepare(2, 3), promise(2, &votes, 2));
        acceptor.trim(Slot(7));
        assert_eq!(acceptor.prepare(3, 3), promise(3, &votes[1..], 7));
    }

    #[test]
    fn a_vote_raises_the_promise() {
        let mut acceptor = Acceptor::default();
        acceptor.accept(0, vote(3, 1, "x"));
        assert_eq!(acceptor.promised, Some(ballot(3, 1)));
        let (promised, decided) = (ballot(3, 1), Slot(0));
        let nack = Some(Message::Nack { promised, decided });
        assert_eq!(acceptor.accept(1, vote(2, 1, "y")), nack);
    }

    #[test]
    fn a_vote_is_told_again_to_whoever_asks_again() {
        let mut acceptor = Acceptor::default();
        let (ballot, slot) = (ballot(1, 1), Slot(4));
        let expected = Some(Message::Accepted { ballot, slot });
        assert_eq!(acceptor.accept(4, vote(1, 1, "x")), expected);
        let before = acceptor.clone();
        assert_eq!(acceptor.accept(4, vote(1, 1, "x")), expected);
        assert_eq!(acceptor, before);
    }

    #[test]
    fn a_higher_ballot_replaces_the_vote_of_its_slot_alone() {
        let mut acceptor = Acceptor::default();
        acceptor.accept(0, vote(1, 1, "x"));
        acceptor.accept(1, vote(1, 1, "y"));
        acceptor.accept(1, vote(2, 2, "z"));
        let votes: Vec<_> = acceptor.votes.values().cloned().collect();
        assert_eq!(votes, [vote(1, 1, "x"), vote(2, 2, "z")]);
    }

    #[test]
    fn below_the_base_there_is_nothing_to_vote_on() {
        let mut acceptor = Acceptor::default();
        acceptor.accept(1, vote(1, 1, "x"));
        acceptor.trim(Slot(2));
        assert!(acceptor.votes.is_empty());
        let before = acceptor.clone();
        assert_eq!(acceptor.accept(1, vote(5, 1, "y")), None);
        assert_eq!(acceptor, before);
        acceptor.trim(Slot(1));
        assert_eq!(acceptor.base, Slot(2), "the base never falls");
    }

    #[test]
    fn a_vote_in_another_ballot_is_not_the_one_asked_for() {
        let mut acceptor = Acceptor::default();
        acceptor.accept(0, vote(2, 1, "x"));
        let voted = |round| acceptor.voted_in(ballot(round, 1), Slot(0)).is_some();
        assert_eq!([1, 2, 3].map(voted), [false, true, false]);
    }

    #[test]
    fn a_leader_that_is_followed_is_promised_its_ballot() {
        let mut acceptor = Acceptor::default();
        let (ballot, lower, heartbeat) = (ballot(2, 0), ballot(1, 2), HeartbeatId::default());
        let mut hear = |ballot| -> Said { acceptor.on_heartbeat(ballot, heartbeat, None, NOW) };
        let follows = Some(Message::HeartbeatAck { ballot, heartbeat });
        assert_eq!([hear(ballot), hear(ballot)], [follows.clone(), follows]);
        assert_eq!(hear(lower), nack(2, 0));
        assert_eq!((acceptor.promised, acceptor.grant), (Some(ballot), None));
        assert_eq!(acceptor.accept(0, vote(1, 2, "x")), nack(2, 0));
    }

    #[test]
    fn as_long_as_a_lease_lasts_nobody_but_its_holder_is_let_in_or_refused() {
        let (duration, margin, heartbeat) = (10, 0, HeartbeatId::default());
        let times = Some(LeaseTimes { duration, margin });
        let mut acceptor = Acceptor::default();
        let follows: Said = acceptor.on_heartbeat(ballot(2, 0), heartbeat, times, Time(100));
        assert!(follows.is_some());
        let before = acceptor.clone();
        for (round, now) in [(3, 100), (3, 109), (1, 109)] {
            let (ballot, now) = (ballot(round, 1), Time(now));
            assert!(!acceptor.admits(ballot, now));
            let answers: [Said; 3] = [
                acceptor.on_prepare(ballot, Slot(0), 1_000, now),
                acceptor.on_accept(Slot(0), vote(round, 1, "x"), now),
                acceptor.on_heartbeat(ballot, heartbeat, times, now),
            ];
            assert_eq!(answers, [None, None, None]);
        }
        assert_eq!(acceptor, before);
        assert!(acceptor.admits(ballot(3, 0), Time(109)), "its holder");
        assert!(acceptor.admits(ballot(3, 1), Time(110)), "it is over");
        acceptor.tick(Time(109));
        assert_eq!(acceptor, before);
        acceptor.tick(Time(110));
        assert_eq!(acceptor, before.durable());
    }
}
