//! What a leader does once it leads: one round trip for each slot, and reads without one.

use super::leader::Campaign;
use super::lease::{Beat, Time};
use super::log::bytes;
use super::{Entry, Request, Slot};
use crate::ballot::NodeId;
use crate::machine::Data;
use crate::quorum::{AcceptorSet, QuorumSystem};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What a leader is at.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Reign<C> {
    /// All that may have been chosen before this ballot stands below, and nothing else does.
    pub barrier: Slot,
    /// The next slot to propose for.
    pub next: Slot,
    /// The slots under way.
    pub open: BTreeMap<Slot, Proposal<C>>,
    /// Requests that wait for room.
    pub queue: VecDeque<Request<C>>,
    /// The latest beat.
    pub beat: Beat,
    /// The latest beat that each acceptor answered.
    pub heard: BTreeMap<NodeId, Beat>,
    /// Reads that wait.
    pub reads: Vec<Read<C>>,
}

/// A slot under way.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Proposal<C> {
    /// What is proposed. Never anything else for this slot in the same ballot.
    pub entry: Entry<C>,
    /// The acceptors that voted for it.
    pub voters: AcceptorSet,
}

/// A read that waits until it is known to see every write that was answered before it came.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Read<C> {
    /// Who asks.
    pub client: NodeId,
    /// The client's number for it.
    pub seq: u64,
    /// What it asks.
    pub query: C,
    /// All below this slot must have been applied.
    pub index: Slot,
    /// The round of beats that must have been answered by enough acceptors: one that began after
    /// the read arrived.
    pub round: u64,
}

/// What limits a leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Limits {
    /// No ballot is started in a higher round: `u64::MAX` in earnest, a few in a model.
    pub round_max: u64,
    /// How many slots there are: `u64::MAX` in earnest, a few in a model.
    pub slots: u64,
    /// How many rounds of beats reads may ask for in one ballot: `u64::MAX` in earnest, a few in a
    /// model.
    pub beats_max: u64,
    /// How far a leader may propose beyond the first slot that it has open (α in `[PMS §3]`);
    /// never as far as [`Slot::SPAN_MAX`].
    pub window: usize,
    /// How many requests one slot takes.
    pub batch_max: usize,
    /// How many bytes of requests, entries or votes one message takes, if more than one is in it.
    pub bytes_max: usize,
    /// How many requests may wait for room, and how many reads for an answer; the rest are refused
    /// silently, and come again.
    pub queue_max: usize,
}

impl Default for Limits {
    /// Only what keeps a cluster swift: 8 slots under way, 64 requests in each, 4,096 waiting.
    fn default() -> Self {
        Self {
            round_max: u64::MAX,
            slots: u64::MAX,
            beats_max: u64::MAX,
            window: 8,
            batch_max: 64,
            bytes_max: 1_200,
            queue_max: 4_096,
        }
    }
}

/// Proposals to put to the vote, by slot.
pub type Proposals<C> = Vec<(Slot, Entry<C>)>;

impl<C: Data> Reign<C> {
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
        let mut reign = Self {
            barrier,
            next: barrier,
            open: BTreeMap::new(),
            queue: VecDeque::new(),
            beat: Beat::default(),
            heard: BTreeMap::new(),
            reads: Vec::new(),
        };
        for (slot, entry) in &proposals {
            reign.propose(*slot, entry.clone());
        }
        (reign, proposals)
    }

    fn propose(&mut self, slot: Slot, entry: Entry<C>) {
        let voters = AcceptorSet::new();
        self.open.insert(slot, Proposal { entry, voters });
    }

    /// A client's request: taken unless it is under way already, or so large that not every message
    /// with it could be sent. Says whether it was.
    ///
    /// `[PMS §3]`, `[PMMC §2.1]` (propose)
    pub fn on_request(&mut self, request: Request<C>, limits: &Limits) -> bool {
        let under_way = self.open.values().flat_map(|it| it.entry.requests());
        let takes = !under_way.chain(&self.queue).any(|known| *known == request)
            && self.queue.len() < limits.queue_max
            && bytes(&request) <= Request::<C>::BYTES_MAX;
        if takes {
            self.queue.push_back(request);
        }
        takes
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
        {
            let size = self.batch_size(limits);
            let batch: Arc<[Request<C>]> = self.queue.drain(..size).collect();
            let (slot, entry) = (self.next, Entry::Batch(batch));
            self.propose(slot, entry.clone());
            proposals.push((slot, entry));
            self.next = slot.next();
        }
        proposals
    }

    /// How many of the requests that wait fit into one slot; at least one.
    fn batch_size(&self, limits: &Limits) -> usize {
        let mut left = limits.bytes_max;
        let fits = |request: &&Request<C>| {
            let rest = left.checked_sub(bytes(request));
            left = rest.unwrap_or(0);
            rest.is_some()
        };
        let waiting = self.queue.iter().take(limits.batch_max.max(1));
        waiting.take_while(fits).count().max(1)
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
        self.open.remove(&slot).map(|proposal| proposal.entry)
    }

    /// The slot below which all that was proposed in this ballot is chosen.
    #[must_use]
    pub fn chosen_below(&self) -> Slot {
        let lowest = self.open.first_key_value();
        lowest.map_or(self.next, |(slot, _)| *slot)
    }

    /// Slots below `decided` are decided, and `entry` says what they hold. Says whether the reign
    /// goes on: not if a slot that is open here may hold anything but what was proposed, for then a
    /// higher ballot decided it, and whoever voted for the proposal must not be told that all below
    /// a later slot was chosen ([`Message::Decided`](super::Message::Decided)).
    #[must_use]
    pub fn learn<'a>(
        &mut self,
        decided: Slot,
        entry: impl Fn(Slot) -> Option<&'a Entry<C>>,
    ) -> bool {
        let still_open = self.open.split_off(&decided);
        let settled = std::mem::replace(&mut self.open, still_open);
        self.next = self.next.max(decided);
        let mut settled = settled.iter();
        settled.all(|(slot, proposal)| entry(*slot) == Some(&proposal.entry))
    }

    /// A read comes in: it must see all that was applied here and all that was chosen before this
    /// ballot, and it must wait for a round of beats that begins now or later, never for one that
    /// is under way: that may have been answered before an unknown leader's write.
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
            round: self.beat.round + 1,
        });
    }

    /// Begins a round of beats if a read needs a new one and none is under way. Says whether it
    /// did.
    pub fn begin_round(&mut self, quorums: &QuorumSystem, limits: &Limits) -> bool {
        let is_needed = self.reads.iter().any(|read| read.round > self.beat.round);
        let is_free = self.confirmed(quorums) == self.beat.round;
        let begins = is_needed && is_free && self.beat.round < limits.beats_max;
        if begins {
            self.beat.round += 1;
        }
        begins
    }

    /// The latest round of beats that enough acceptors have answered.
    fn confirmed(&self, quorums: &QuorumSystem) -> u64 {
        let is_answered = |round: &u64| {
            let fresh = self.heard.iter().filter(|(_, beat)| beat.round >= *round);
            quorums.is_phase2(fresh.map(|(acceptor, _)| *acceptor).collect())
        };
        let rounds = self.heard.values().map(|beat| beat.round);
        rounds.filter(is_answered).max().unwrap_or(0)
    }

    /// An acceptor answers a beat: when it did, it had promised no higher ballot.
    ///
    /// `[Raft thesis §6.4]`, `[PML §5.2]`
    pub fn on_heard(&mut self, from: NodeId, beat: Beat, quorums: &QuorumSystem) {
        if quorums.acceptors().contains(from) {
            let latest = self.heard.entry(from).or_default();
            latest.round = latest.round.max(beat.round);
            latest.sent = latest.sent.max(beat.sent);
        }
    }

    /// Whether an acceptor's answer to a beat adds nothing to those that are there.
    #[must_use]
    pub fn has_heard(&self, from: NodeId, beat: Beat) -> bool {
        let is_covered = |latest: &Beat| beat.round <= latest.round && beat.sent <= latest.sent;
        self.heard.get(&from).is_some_and(is_covered)
    }

    /// Whether enough acceptors have answered the latest beat.
    #[must_use]
    pub fn is_confirmed(&self, quorums: &QuorumSystem) -> bool {
        let fresh = self.heard.iter().filter(|(_, beat)| **beat >= self.beat);
        quorums.is_phase2(fresh.map(|(acceptor, _)| *acceptor).collect())
    }

    /// The reads that need wait no longer, given what is applied here.
    pub fn ready(&mut self, applied: Slot, quorums: &QuorumSystem) -> Vec<Read<C>> {
        let confirmed = self.confirmed(quorums);
        let is_ready = |read: &mut Read<C>| read.round <= confirmed && read.index <= applied;
        self.reads.extract_if(.., is_ready).collect()
    }

    /// A new beat at this time, or the same again if time stands still.
    pub fn beat_at(&mut self, now: Time) -> Beat {
        self.beat.sent = self.beat.sent.max(now);
        self.beat
    }
}
