//! The leader: a proposer that prepares all slots at once, and then needs one round trip for each.

use super::lease::{Beat, Time};
use super::{Entry, Message, Request, Slot};
use crate::ballot::{Ballot, NodeId};
use crate::machine::Data;
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{OrNone, Vote};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

/// A proposer, which may come to lead. Of its state only `ballot` is durable.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Leader<C> {
    /// The highest ballot ever started here. Persisted before its *prepare* leaves.
    pub ballot: Option<Ballot>,
    /// How far the present ballot is.
    pub phase: Phase<C>,
}

/// How far a proposer is with its ballot.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Phase<C> {
    /// Nothing under way: somebody else leads, or nobody.
    Following,
    /// Phase 1: waiting for promises.
    Preparing(Campaign<C>),
    /// Phase 2: leading.
    Leading(Reign<C>),
    /// An acceptor refused the ballot on account of a higher one.
    Preempted {
        /// The higher one.
        by: Ballot,
    },
}

/// What a candidate has been promised.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Campaign<C> {
    /// The first slot asked about: all before are decided and known here.
    pub from: Slot,
    /// The acceptors that promised.
    pub promises: AcceptorSet,
    /// The highest vote reported in each slot.
    pub votes: BTreeMap<Slot, Vote<Entry<C>>>,
    /// The highest slot up to which an acceptor knows all to be decided.
    pub decided: Slot,
}

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
    /// How far a leader may propose beyond the first slot that it has open (α in `[PMS §3]`);
    /// never as far as [`Slot::SPAN_MAX`].
    pub window: usize,
    /// How many requests one slot takes.
    pub batch_max: usize,
    /// How many requests may wait for room, and how many reads for an answer; the rest are refused
    /// silently, and come again.
    pub queue_max: usize,
}

/// Proposals to put to the vote, by slot.
pub type Proposals<C> = Vec<(Slot, Entry<C>)>;

impl<C> Leader<C> {
    /// A proposer that starts, for the first time or again, having used ballots up to `ballot`.
    /// It never takes up the ballot it left: it no longer knows what it proposed there.
    #[must_use]
    pub fn restart(ballot: Option<Ballot>) -> Self {
        Self {
            ballot,
            phase: Phase::Following,
        }
    }

    /// The reign, if there is one.
    #[must_use]
    pub fn reign(&self) -> Option<&Reign<C>> {
        match &self.phase {
            Phase::Leading(reign) => Some(reign),
            Phase::Following | Phase::Preparing(_) | Phase::Preempted { .. } => None,
        }
    }

    /// The reign, if there is one, to change.
    pub(super) fn reign_mut(&mut self) -> Option<&mut Reign<C>> {
        match &mut self.phase {
            Phase::Leading(reign) => Some(reign),
            Phase::Following | Phase::Preparing(_) | Phase::Preempted { .. } => None,
        }
    }
}

impl<C: Data> Leader<C> {
    /// Phase 1a: choose a ballot higher than any used or heard of, and ask the acceptors for
    /// promises and for their votes in all slots that are not known to be decided. So does a leader
    /// whose *accepts* time out.
    ///
    /// `None` in a round above `round_max`: there is no such ballot left.
    ///
    /// `[PMS §3]`, `[PMMC §2.2]` (scout) · `Phase1a` (Paxos.tla)
    pub fn prepare<R>(
        &mut self,
        me: NodeId,
        heard: Option<Ballot>,
        decided: Slot,
        round_max: u64,
    ) -> Option<Message<C, R>> {
        let outbid_by = match self.phase {
            Phase::Preempted { by } => Some(by),
            Phase::Following | Phase::Preparing(_) | Phase::Leading(_) => None,
        };
        let ballot = Ballot::above(self.ballot.max(outbid_by).max(heard), me)?;
        if ballot.round > round_max {
            return None;
        }
        self.ballot = Some(ballot);
        self.phase = Phase::Preparing(Campaign {
            from: decided,
            promises: AcceptorSet::new(),
            votes: BTreeMap::new(),
            decided,
        });
        Some(Message::Prepare {
            ballot,
            from: decided,
        })
    }

    /// Phase 2a, for all slots that may be taken: once a quorum has promised, propose in each slot
    /// the entry of the highest vote reported, and a no-op in those slots before the last such for
    /// which no vote was reported at all. One reported vote binds, however few report it.
    ///
    /// Slots that any of the acceptors knows to be decided need no proposal: their entries can be
    /// had from its node. Promises that leave more gaps than there can be are not made use of.
    ///
    /// `[PMS §3]`, `[PMMC §2.2]` (pmax, adopted) · `Phase2a` (Paxos.tla)
    pub fn on_promise(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        votes: BTreeMap<Slot, Vote<Entry<C>>>,
        decided: Slot,
        quorums: &QuorumSystem,
    ) -> Option<Proposals<C>> {
        if self.ballot != Some(ballot) || !quorums.acceptors().contains(from) {
            return None;
        }
        let Phase::Preparing(campaign) = &mut self.phase else {
            return None;
        };
        if !campaign.promises.insert(from) {
            return None;
        }
        campaign.decided = campaign.decided.max(decided);
        for (slot, vote) in votes {
            let highest = campaign.votes.get(&slot).map(|highest| highest.ballot);
            if Some(vote.ballot) > highest {
                campaign.votes.insert(slot, vote);
            }
        }
        campaign.votes = campaign.votes.split_off(&campaign.decided);
        if !quorums.is_phase1(campaign.promises) || campaign.gaps() > Slot::SPAN_MAX {
            return None;
        }
        let (reign, proposals) = Reign::begin(campaign);
        self.phase = Phase::Leading(reign);
        Some(proposals)
    }

    /// Somebody promised a higher ballot: abandon this one, and outbid it after a pause. Says
    /// whether a ballot was abandoned.
    ///
    /// `[PMS §2.2, last paragraph]`
    pub fn on_nack(&mut self, promised: Ballot) -> bool {
        let is_under_way = matches!(self.phase, Phase::Preparing(_) | Phase::Leading(_));
        let gives_up = is_under_way && self.ballot < Some(promised);
        if gives_up {
            self.phase = Phase::Preempted { by: promised };
        }
        gives_up
    }

    /// Somebody leads in a higher ballot: follow. Says whether that is news.
    pub fn yield_to(&mut self, ballot: Ballot) -> bool {
        let yields = self.ballot < Some(ballot) && !matches!(self.phase, Phase::Following);
        if yields {
            self.phase = Phase::Following;
        }
        yields
    }

    /// Slots below `decided` are decided, and `entry` says what they hold: see [`Reign::learn`].
    /// Says whether a reign goes on, if there is one.
    #[must_use]
    pub fn learn<'a>(
        &mut self,
        decided: Slot,
        entry: impl Fn(Slot) -> Option<&'a Entry<C>>,
    ) -> bool {
        let reign = self.reign_mut();
        let goes_on = reign.is_none_or(|reign| reign.learn(decided, entry));
        if !goes_on {
            self.phase = Phase::Following;
        }
        goes_on
    }

    /// Whether a promise from `from` for `ballot` can never matter again.
    #[must_use]
    pub fn is_past_promise(&self, from: NodeId, ballot: Ballot) -> bool {
        let is_counted = match &self.phase {
            Phase::Preparing(campaign) => campaign.promises.contains(from),
            Phase::Following | Phase::Leading(_) | Phase::Preempted { .. } => true,
        };
        Some(ballot) < self.ballot || (Some(ballot) == self.ballot && is_counted)
    }

    /// Whether a vote can never matter again.
    #[must_use]
    pub fn is_past_accepted(&self, from: NodeId, ballot: Ballot, slot: Slot) -> bool {
        let is_counted = match &self.phase {
            Phase::Leading(reign) => match reign.open.get(&slot) {
                Some(proposal) => proposal.voters.contains(from),
                None => slot < reign.next,
            },
            Phase::Following | Phase::Preparing(_) | Phase::Preempted { .. } => true,
        };
        Some(ballot) < self.ballot || (Some(ballot) == self.ballot && is_counted)
    }
}

impl<C> Campaign<C> {
    /// The first slot after all that may be taken.
    fn barrier(&self) -> Slot {
        let last = self.votes.last_key_value();
        last.map_or(self.decided, |(slot, _)| slot.next())
    }

    /// How many slots must be filled with no-ops.
    fn gaps(&self) -> u64 {
        let slots = self.barrier().0.saturating_sub(self.decided.0);
        slots.saturating_sub(self.votes.len() as u64)
    }
}

impl<C: Data> Reign<C> {
    /// What a quorum's promises leave to do: see [`Leader::on_promise`].
    fn begin(campaign: &mut Campaign<C>) -> (Self, Proposals<C>) {
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

    /// A client's request: taken unless it is under way already. Says whether it was.
    pub fn on_request(&mut self, request: Request<C>, limits: &Limits) -> bool {
        let under_way = self.open.values().flat_map(|it| it.entry.requests());
        let takes = !under_way.chain(&self.queue).any(|known| *known == request)
            && self.queue.len() < limits.queue_max;
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
            let size = self.queue.len().min(limits.batch_max.max(1));
            let batch: Arc<[Request<C>]> = self.queue.drain(..size).collect();
            let (slot, entry) = (self.next, Entry::Batch(batch));
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
        self.open.remove(&slot).map(|proposal| proposal.entry)
    }

    /// The slot below which all that was proposed in this ballot is chosen.
    #[must_use]
    pub fn chosen_below(&self) -> Slot {
        let lowest = self.open.first_key_value();
        lowest.map_or(self.next, |(slot, _)| *slot)
    }

    /// Slots below `decided` are decided, and `entry` says what they hold. Says whether the reign
    /// goes on: if a slot that is open here holds anything but what was proposed, or if what it
    /// holds is not known any more, then a higher ballot may have decided it, and this one must
    /// never again be told to have chosen all below some slot ([`Message::Decided`]): whoever voted
    /// for the proposal would take it for decided.
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

    /// Begins a round of beats if a read needs a new one and none is under way. Says whether it did.
    pub fn begin_round(&mut self, quorums: &QuorumSystem) -> bool {
        let is_needed = self.reads.iter().any(|read| read.round > self.beat.round);
        let begins = is_needed && self.confirmed(quorums) == self.beat.round;
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
    pub fn on_heard(&mut self, from: NodeId, beat: Beat, quorums: &QuorumSystem) {
        if quorums.acceptors().contains(from) {
            let latest = self.heard.entry(from).or_default();
            latest.round = latest.round.max(beat.round);
            latest.sent = latest.sent.max(beat.sent);
        }
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

impl<C: Data> fmt::Debug for Leader<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ballot {} ", OrNone(&self.ballot))?;
        match &self.phase {
            Phase::Following => f.write_str("following"),
            Phase::Preparing(campaign) => {
                write!(f, "preparing {} {}", campaign.from, campaign.promises)?;
                for (slot, vote) in &campaign.votes {
                    write!(f, " {slot}{vote}")?;
                }
                Ok(())
            }
            Phase::Leading(reign) => {
                write!(f, "leading, next {}", reign.next)?;
                for (slot, proposal) in &reign.open {
                    write!(f, " {slot}{}{}", proposal.entry, proposal.voters)?;
                }
                Ok(())
            }
            Phase::Preempted { by } => write!(f, "preempted by {by}"),
        }
    }
}
