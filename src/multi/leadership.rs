//! What a leader does once it leads: one round trip for each slot, and reads without one.

mod known;
mod limits;
mod queue;

use super::campaign::Campaign;
use super::lease::{HeartbeatId, Time};
use super::log::bytes;
use super::{Entry, Request, Slot};
use crate::ballot::NodeId;
use crate::machine::Data;
use crate::quorum::{AcceptorSet, QuorumSystem};
use serde::Serialize;
use std::collections::BTreeMap;

pub use known::Known;
pub use limits::Limits;
pub use queue::Queue;

/// What a leader is at.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Leadership<C> {
    /// All that may have been chosen before this ballot stands below, and nothing else does.
    pub barrier: Slot,
    /// The next slot to propose for.
    pub next: Slot,
    /// The slots under way.
    pub open: BTreeMap<Slot, Proposal<C>>,
    /// Requests that wait for room.
    pub queue: Queue<C>,
    /// The latest heartbeat.
    pub heartbeat: HeartbeatId,
    /// The latest heartbeat that each acceptor answered.
    pub acks: BTreeMap<NodeId, HeartbeatId>,
    /// Reads that wait.
    pub reads: Vec<Read<C>>,
    /// Finds requests in `open` and `queue`.
    #[serde(skip)]
    pub known: Known,
    /// How far all is chosen, as the learners that vote were told last; not noted where they are
    /// told at once.
    pub announced: Option<Slot>,
}

/// A slot under way.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Proposal<C> {
    /// What is proposed. Never anything else for this slot in the same ballot.
    pub entry: Entry<C>,
    /// The acceptors that voted for it.
    pub voters: AcceptorSet,
}

/// A read that waits until it is known to see every write that was answered before it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Read<C> {
    /// Who asks.
    pub client: NodeId,
    /// The client's number for it.
    pub seq: u64,
    /// What it asks.
    pub query: C,
    /// All below this slot must have been applied.
    pub index: Slot,
    /// The round of heartbeats that must have been answered by enough acceptors: one that began
    /// after the read arrived.
    pub round: u64,
}

/// Proposals to put to the vote, by slot.
pub type Proposals<C> = Vec<(Slot, Entry<C>)>;

impl<C: Data> Leadership<C> {
    /// What a quorum's promises leave to do: see
    /// [`Leader::on_promise`](super::Leader::on_promise).
    pub(super) fn begin(campaign: &mut Campaign<C>) -> (Self, Proposals<C>) {
        let (start, barrier) = (campaign.decided, campaign.barrier());
        let mut votes = std::mem::take(&mut campaign.votes);
        let adopt = |slot: Slot| {
            let reported = votes.remove(&slot).map(|vote| vote.value);
            (slot, reported.unwrap_or(Entry::Noop))
        };
        let proposals: Proposals<C> = (start.0..barrier.0).map(Slot).map(adopt).collect();
        let mut leadership = Self {
            barrier,
            next: barrier,
            open: BTreeMap::new(),
            queue: Queue::default(),
            heartbeat: HeartbeatId::default(),
            acks: BTreeMap::new(),
            reads: Vec::new(),
            known: Known::default(),
            announced: None,
        };
        for (slot, entry) in &proposals {
            leadership.propose(*slot, entry.clone());
        }
        (leadership, proposals)
    }

    fn propose(&mut self, slot: Slot, entry: Entry<C>) {
        let voters = AcceptorSet::new();
        self.open.insert(slot, Proposal { entry, voters });
    }

    /// Whether requests that wait would do better to wait for others that arrived with them.
    pub(super) fn gathers(&self, limits: &Limits) -> bool {
        limits.gathers && !self.queue.fills_a_slot(limits)
    }

    /// A client's request: taken unless it is under way already, or so large that not every message
    /// with it could be sent. Says whether it was.
    ///
    /// `[PMS §3]`, `[PMMC §2.1]` (propose)
    pub fn on_request(&mut self, request: Request<C>, limits: &Limits) -> bool {
        let bytes = bytes(&request);
        let takes = self.queue.len() < limits.queue_max
            && !self.is_under_way(&request)
            && bytes <= Request::<C>::BYTES_MAX;
        if takes {
            self.known.add(&request);
            self.queue.push(request, bytes);
        }
        takes
    }

    /// Whether a request is proposed, or waits.
    fn is_under_way(&mut self, request: &Request<C>) -> bool {
        let proposed = self.open.values().flat_map(|it| it.entry.requests());
        let mut under_way = proposed.chain(self.queue.iter());
        self.known.may_have(request, || under_way.clone()) && under_way.any(|it| it == request)
    }

    /// Phase 2a of slots that no lower ballot can have taken: requests that wait are put to the
    /// vote, as many as fit into one slot, as long as not too many slots are under way.
    ///
    /// `[PMS §3]`, `[PMMC §4.4]` (window)
    pub fn fill(&mut self, limits: &Limits) -> Proposals<C> {
        let mut proposals = Vec::new();
        let window = Slot::SPAN_MAX.min(limits.window as u64);
        while !self.queue.is_empty()
            && self.next.0 - self.chosen_below().0 < window
            && self.next.0 < limits.slots
            && (self.open.is_empty() || !limits.gathers || self.queue.fills_a_slot(limits))
        {
            let (slot, entry) = (self.next, Entry::Batch(self.queue.take(limits)));
            self.propose(slot, entry.clone());
            proposals.push((slot, entry));
            self.next = slot.next();
        }
        proposals
    }

    /// Phase 2b's answer: an entry is chosen once a quorum has voted for it in this ballot. Returns
    /// the entry if this vote chose it.
    ///
    /// `[PMS §2.3]`, `[PMMC §2.2]` (commander) · `chosen` (Voting.tla)
    pub fn on_accepted(
        &mut self,
        from: NodeId,
        slot: Slot,
        quorums: &QuorumSystem,
    ) -> Option<Entry<C>> {
        if !quorums.acceptors().contains(from) {
            return None;
        }
        let proposal = self.open.get_mut(&slot)?;
        proposal.voters.insert(from);
        if !quorums.is_phase2(proposal.voters) {
            return None;
        }
        let chosen = self.open.remove(&slot)?.entry;
        self.known.remove(chosen.requests());
        Some(chosen)
    }

    /// The slot below which all that was proposed in this ballot is chosen.
    #[must_use]
    pub fn chosen_below(&self) -> Slot {
        let lowest = self.open.first_key_value();
        lowest.map_or(self.next, |(slot, _)| *slot)
    }

    /// Slots below `decided` are decided, and `entry` says what they hold. Says whether the
    /// leadership goes on: not if a slot that is open here may hold anything but what was proposed,
    /// for then a higher ballot decided it, and whoever voted for the proposal must not be told
    /// that all below a later slot was chosen ([`Message::Decided`](super::Message::Decided)).
    #[must_use]
    pub fn learn<'a>(
        &mut self,
        decided: Slot,
        entry: impl Fn(Slot) -> Option<&'a Entry<C>>,
    ) -> bool {
        self.next = self.next.max(decided);
        let mut goes_on = true;
        while let Some(open) = self.open.first_entry()
            && *open.key() < decided
        {
            let (slot, proposal) = open.remove_entry();
            self.known.remove(proposal.entry.requests());
            goes_on &= entry(slot) == Some(&proposal.entry);
        }
        goes_on
    }

    /// A read comes in: it must see all that was applied here and all that was chosen before this
    /// ballot, and it must wait for a round of heartbeats that begins now or later, never for one
    /// that is under way: that may have been answered before an unknown leader's write.
    ///
    /// `[Raft thesis §6.4]`
    pub fn on_read(&mut self, client: NodeId, seq: u64, query: C, applied: Slot, limits: &Limits) {
        let is_known = |read: &Read<C>| read.client == client && read.seq == seq;
        if self.reads.len() >= limits.queue_max || self.reads.iter().any(is_known) {
            return;
        }
        self.reads.push(Read {
            client,
            seq,
            query,
            index: self.barrier.max(applied),
            round: self.heartbeat.round + 1,
        });
    }

    /// Begins a round of heartbeats if a read needs a new one and none is under way. Says whether
    /// it did.
    pub fn begin_round(&mut self, quorums: &QuorumSystem, limits: &Limits) -> bool {
        let is_needed = self
            .reads
            .iter()
            .any(|read| read.round > self.heartbeat.round);
        let is_free = self.confirmed(quorums) == self.heartbeat.round;
        let begins = is_needed && is_free && self.heartbeat.round < limits.heartbeats_max;
        if begins {
            self.heartbeat.round += 1;
        }
        begins
    }

    /// The latest round of heartbeats that enough acceptors have answered.
    fn confirmed(&self, quorums: &QuorumSystem) -> u64 {
        let is_answered = |round: &u64| {
            let fresh = self
                .acks
                .iter()
                .filter(|(_, heartbeat)| heartbeat.round >= *round);
            quorums.is_phase2(fresh.map(|(acceptor, _)| *acceptor).collect())
        };
        let rounds = self.acks.values().map(|heartbeat| heartbeat.round);
        rounds.filter(is_answered).max().unwrap_or(0)
    }

    /// An acceptor answers a heartbeat: when it did, it had promised no higher ballot.
    ///
    /// `[Raft thesis §6.4]`, `[PML §5.2]`
    pub fn on_heartbeat_ack(
        &mut self,
        from: NodeId,
        heartbeat: HeartbeatId,
        quorums: &QuorumSystem,
    ) {
        if quorums.acceptors().contains(from) {
            let latest = self.acks.entry(from).or_default();
            latest.round = latest.round.max(heartbeat.round);
            latest.sent = latest.sent.max(heartbeat.sent);
        }
    }

    /// Whether an acceptor's answer to a heartbeat adds nothing to those that are there.
    #[must_use]
    pub fn has_ack(&self, from: NodeId, heartbeat: HeartbeatId) -> bool {
        let is_covered =
            |latest: &HeartbeatId| heartbeat.round <= latest.round && heartbeat.sent <= latest.sent;
        self.acks.get(&from).is_some_and(is_covered)
    }

    /// Whether enough acceptors have answered the latest heartbeat.
    #[must_use]
    pub fn is_confirmed(&self, quorums: &QuorumSystem) -> bool {
        let fresh = self
            .acks
            .iter()
            .filter(|(_, heartbeat)| **heartbeat >= self.heartbeat);
        quorums.is_phase2(fresh.map(|(acceptor, _)| *acceptor).collect())
    }

    /// The reads that need wait no longer, given what is applied here.
    pub fn ready(&mut self, applied: Slot, quorums: &QuorumSystem) -> Vec<Read<C>> {
        let confirmed = self.confirmed(quorums);
        let is_ready = |read: &mut Read<C>| read.round <= confirmed && read.index <= applied;
        self.reads.extract_if(.., is_ready).collect()
    }

    /// A new heartbeat at this time, or the same again if time stands still.
    pub fn heartbeat_at(&mut self, now: Time) -> HeartbeatId {
        self.heartbeat.sent = self.heartbeat.sent.max(now);
        self.heartbeat
    }
}
