//! The leader: a proposer that prepares all slots at once, and then needs one round trip for each.

use super::lease::{Beat, Time};
use super::log::bytes;
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
    /// The highest slot up to which an acceptor, or this node, knows all to be decided.
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
    /// No limit that a cluster could run into but those that keep it swift: 8 slots under way, 64
    /// requests in each, what fits into one Ethernet frame, 4,096 waiting.
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
    /// Slots below `decided`, which the acceptor or this node knows to be decided, need no
    /// proposal: their entries are known, or can be had from the acceptor's node. Promises that
    /// leave more gaps than there can be are not made use of.
    ///
    /// `[PMS §3]`, `[PMMC §2.2]` (pmax, adopted) · `Phase2a` (Paxos.tla)
    pub fn on_promise(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        votes: BTreeMap<Slot, Vote<Entry<C>>>,
        decided: Slot,
        is_all: bool,
        quorums: &QuorumSystem,
    ) -> Option<Proposals<C>> {
        if self.ballot != Some(ballot) || !quorums.acceptors().contains(from) {
            return None;
        }
        let Phase::Preparing(campaign) = &mut self.phase else {
            return None;
        };
        if campaign.promises.contains(from) {
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
        if is_all {
            campaign.promises.insert(from);
        }
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

    /// Somebody leads in a higher ballot: follow. Says whether anything was given up for it.
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
            // It cannot come so early, but nothing here depends on that.
            Phase::Preparing(_) => false,
            Phase::Following | Phase::Preempted { .. } => true,
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

    /// A client's request: taken unless it is under way already, or so large that not every message
    /// with it could be sent. Says whether it was.
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

#[cfg(test)]
mod tests {
    use super::super::testing::{ballot, entry, majority_of_three, request, vote};
    use super::*;

    const ME: NodeId = NodeId(3);
    const LIMITS: Limits = Limits {
        round_max: u64::MAX,
        slots: u64::MAX,
        beats_max: u64::MAX,
        window: 2,
        batch_max: 2,
        bytes_max: 1_000,
        queue_max: 4,
    };

    #[test]
    fn a_promise_in_parts_counts_once_the_last_is_there() {
        let mut leader = preparing();
        let quorums = majority_of_three();
        let ballot = ballot(5, 3);
        promise(&mut leader, &[(0, &[], 0)]);
        let part = |slot, value| BTreeMap::from([(Slot(slot), vote(1, 1, value))]);
        let mut hear =
            |votes, is_all| leader.on_promise(NodeId(1), ballot, votes, Slot(0), is_all, &quorums);
        assert_eq!(hear(part(0, "x"), false), None);
        let adopted = [(0, entry("x")), (1, entry("y"))];
        assert_eq!(hear(part(1, "y"), true), proposals(&adopted));
    }

    #[test]
    fn a_batch_takes_no_more_bytes_than_a_message() {
        let mut reign = reign();
        let size = bytes(&request('a'));
        let limits = Limits {
            bytes_max: 2 * size,
            batch_max: 9,
            window: 1,
            ..LIMITS
        };
        for letter in ['a', 'b', 'c'] {
            reign.on_request(request(letter), &limits);
        }
        let batch: Vec<usize> = reign
            .fill(&limits)
            .iter()
            .map(|(_, it)| it.requests().len())
            .collect();
        assert_eq!(batch, [2]);
        let limits = Limits {
            bytes_max: 1,
            window: 2,
            ..limits
        };
        assert_eq!(
            reign.fill(&limits).len(),
            1,
            "one goes out however large it is"
        );
    }

    type Report<'a> = (u32, &'a [(u64, Vote<Entry<char>>)], u64);

    /// A proposer that has just sent *prepare* for ballot 5.3, from slot 0 on.
    fn preparing() -> Leader<char> {
        let mut leader = Leader::restart(Some(ballot(4, 3)));
        let prepare = leader.prepare::<String>(ME, None, Slot(0), u64::MAX);
        let (ballot, from) = (ballot(5, 3), Slot(0));
        assert_eq!(prepare, Some(Message::Prepare { ballot, from }));
        leader
    }

    /// Feeds promises for ballot 5.3 and returns what the last one led to.
    fn promise(leader: &mut Leader<char>, reports: &[Report]) -> Option<Proposals<char>> {
        let mut last = None;
        for (from, votes, decided) in reports {
            let votes = votes.iter().map(|(s, v)| (Slot(*s), v.clone())).collect();
            let (from, ballot, decided) = (NodeId(*from), ballot(5, 3), Slot(*decided));
            last = leader.on_promise(from, ballot, votes, decided, true, &majority_of_three());
        }
        last
    }

    fn proposals(of: &[(u64, Entry<char>)]) -> Option<Proposals<char>> {
        Some(of.iter().map(|(s, e)| (Slot(*s), e.clone())).collect())
    }

    /// A leader that nothing was reported to.
    fn reign() -> Reign<char> {
        let mut leader = preparing();
        promise(&mut leader, &[(0, &[], 0), (1, &[], 0)]);
        leader.reign().cloned().expect("a quorum promised")
    }

    fn ask(reign: &mut Reign<char>, commands: &str) {
        for command in commands.chars() {
            reign.on_request(request(command), &LIMITS);
        }
    }

    fn accepted(reign: &mut Reign<char>, from: u32, slot: u64) -> Option<Entry<char>> {
        reign.on_accepted(NodeId(from), Slot(slot), &majority_of_three())
    }

    #[test]
    fn a_quorum_of_distinct_acceptors_makes_a_leader() {
        let mut leader = preparing();
        let reports: [Report; 4] = [(0, &[], 0), (0, &[], 0), (3, &[], 0), (99, &[], 0)];
        assert_eq!(promise(&mut leader, &reports), None);
        assert!(leader.reign().is_none());
        assert_eq!(promise(&mut leader, &[(2, &[], 0)]), proposals(&[]));
        assert!(leader.reign().is_some());
    }

    #[test]
    fn promises_of_another_ballot_do_not_count() {
        let mut leader = preparing();
        for round in [4, 6] {
            for from in [0, 1, 2] {
                let (from, votes) = (NodeId(from), BTreeMap::new());
                let quorums = majority_of_three();
                let led = leader.on_promise(from, ballot(round, 3), votes, Slot(0), true, &quorums);
                assert_eq!(led, None);
            }
        }
        assert!(leader.reign().is_none());
    }

    #[test]
    fn the_highest_vote_of_each_slot_is_adopted_whatever_the_order() {
        // The higher ballot has the lower letter in one slot and the higher one in the other.
        let one = [(0, vote(1, 1, "z")), (1, vote(2, 2, "b"))];
        let two = [(0, vote(2, 2, "a")), (1, vote(1, 1, "y"))];
        let expected = proposals(&[(0, entry("a")), (1, entry("b"))]);
        for reports in [[(0, &one), (1, &two)], [(0, &two), (1, &one)]] {
            let reports = reports.map(|(from, votes)| (from, votes.as_slice(), 0));
            assert_eq!(promise(&mut preparing(), &reports), expected);
        }
    }

    #[test]
    fn one_reported_vote_is_enough_to_bind() {
        let votes = [(0, vote(1, 1, "x"))];
        let expected = proposals(&[(0, entry("x"))]);
        let reports: [Report; 2] = [(0, &votes, 0), (1, &[], 0)];
        assert_eq!(promise(&mut preparing(), &reports), expected);
        let reports: [Report; 2] = [(1, &[], 0), (0, &votes, 0)];
        assert_eq!(promise(&mut preparing(), &reports), expected);
    }

    #[test]
    fn only_a_gap_below_a_vote_becomes_a_no_op() {
        let votes = [(1, vote(1, 1, "x")), (3, vote(1, 1, "y"))];
        let mut leader = preparing();
        let expected = [
            (0, Entry::Noop),
            (1, entry("x")),
            (2, Entry::Noop),
            (3, entry("y")),
        ];
        let led = promise(&mut leader, &[(0, &votes, 0), (2, &[], 0)]);
        assert_eq!(led, proposals(&expected));
        let reign = leader.reign().expect("a quorum promised");
        assert_eq!((reign.barrier, reign.next), (Slot(4), Slot(4)));
        assert_eq!(reign.chosen_below(), Slot(0));
    }

    #[test]
    fn slots_that_an_acceptor_knows_to_be_decided_are_not_proposed() {
        let votes = [(1, vote(1, 1, "x")), (4, vote(1, 1, "y"))];
        let expected = proposals(&[(3, Entry::Noop), (4, entry("y"))]);
        for reports in [
            [(0, votes.as_slice(), 0), (1, &[], 3)],
            [(1, &[], 3), (0, &votes, 0)],
        ] {
            assert_eq!(promise(&mut preparing(), &reports), expected);
        }
        // Nothing beyond: the next slot is the first that may be open.
        let mut leader = preparing();
        promise(&mut leader, &[(0, &votes[..1], 0), (1, &[], 3)]);
        let reign = leader.reign().expect("a quorum promised");
        assert_eq!((reign.barrier, reign.next), (Slot(3), Slot(3)));
    }

    #[test]
    fn more_gaps_than_there_can_be_are_not_filled() {
        for slot in [Slot::SPAN_MAX + 1, u64::MAX - 1, u64::MAX] {
            let votes = [(slot, vote(1, 1, "x"))];
            let mut leader = preparing();
            let reports: [Report; 2] = [(0, &votes, 0), (1, &[], 0)];
            assert_eq!(promise(&mut leader, &reports), None);
            assert!(leader.reign().is_none());
        }
        let votes = [(1000, vote(1, 1, "x"))];
        let led = promise(&mut preparing(), &[(0, &votes, 0), (1, &[], 0)]);
        assert_eq!(led.map(|it| it.len()), Some(1001));
    }

    #[test]
    fn a_ballot_is_above_all_used_heard_of_and_outbid_by() {
        let mut leader = Leader::<char>::restart(Some(ballot(2, 3)));
        let mut next = |heard| match leader.prepare::<String>(ME, heard, Slot(0), 9) {
            Some(Message::Prepare { ballot, .. }) => Some(ballot.round),
            _ => None,
        };
        assert_eq!(next(None), Some(3), "never the one it left");
        assert_eq!(next(Some(ballot(6, 1))), Some(7));
        assert_eq!(next(Some(ballot(1, 1))), Some(8));
        assert_eq!(next(Some(ballot(9, 1))), None, "no round above the last");
        assert_eq!(next(None), Some(9));
        let mut leader = preparing();
        assert!(leader.on_nack(ballot(7, 1)));
        leader.prepare::<String>(ME, None, Slot(0), u64::MAX);
        assert_eq!(leader.ballot, Some(ballot(8, 3)));
    }

    #[test]
    fn only_a_higher_ballot_preempts() {
        let mut leader = preparing();
        assert!(!leader.on_nack(ballot(5, 2)) && !leader.on_nack(ballot(5, 3)));
        assert!(!leader.yield_to(ballot(5, 2)) && !leader.yield_to(ballot(5, 3)));
        assert!(matches!(leader.phase, Phase::Preparing(_)));
        assert!(leader.yield_to(ballot(5, 4)));
        assert!(matches!(leader.phase, Phase::Following));
        assert!(!leader.yield_to(ballot(6, 4)), "no news");
        assert!(!leader.on_nack(ballot(9, 1)), "nothing under way");
    }

    #[test]
    fn requests_are_batched_in_order_as_far_as_the_window_reaches() {
        let mut reign = reign();
        ask(&mut reign, "abc");
        let expected = [(Slot(0), entry("ab")), (Slot(1), entry("c"))];
        assert_eq!(reign.fill(&LIMITS), expected);
        ask(&mut reign, "d");
        assert_eq!(reign.fill(&LIMITS), [], "two slots are under way");
        // The window moves with the first slot that is open, not with the number of those.
        accepted(&mut reign, 0, 1);
        assert_eq!(accepted(&mut reign, 1, 1), Some(entry("c")));
        assert_eq!(reign.fill(&LIMITS), []);
        accepted(&mut reign, 0, 0);
        assert_eq!(accepted(&mut reign, 1, 0), Some(entry("ab")));
        assert_eq!(reign.fill(&LIMITS), [(Slot(2), entry("d"))]);
    }

    #[test]
    fn there_are_no_slots_beyond_the_last() {
        let mut reign = reign();
        ask(&mut reign, "abc");
        let limits = Limits { slots: 1, ..LIMITS };
        assert_eq!(reign.fill(&limits), [(Slot(0), entry("ab"))]);
        assert_eq!(reign.fill(&limits), []);
    }

    #[test]
    fn the_queue_is_bounded_and_holds_no_request_twice() {
        let mut reign = reign();
        assert!(reign.on_request(request('a'), &LIMITS));
        assert!(!reign.on_request(request('a'), &LIMITS), "it waits");
        reign.fill(&LIMITS);
        assert!(!reign.on_request(request('a'), &LIMITS), "under way");
        ask(&mut reign, "bcde");
        assert!(!reign.on_request(request('f'), &LIMITS), "no room");
        assert_eq!(reign.queue.len(), LIMITS.queue_max);
    }

    #[test]
    fn an_entry_is_chosen_once_by_a_quorum_of_distinct_acceptors() {
        let mut reign = reign();
        ask(&mut reign, "a");
        reign.fill(&LIMITS);
        for from in [0, 0, 3, 64] {
            assert_eq!(accepted(&mut reign, from, 0), None);
        }
        assert_eq!(
            accepted(&mut reign, 1, 1),
            None,
            "nothing is proposed there"
        );
        assert_eq!(reign.chosen_below(), Slot(0));
        assert_eq!(accepted(&mut reign, 1, 0), Some(entry("a")));
        assert_eq!(reign.chosen_below(), Slot(1));
        assert_eq!(accepted(&mut reign, 2, 0), None, "no news");
    }

    #[test]
    fn all_is_chosen_only_below_the_first_open_slot() {
        let mut reign = reign();
        ask(&mut reign, "abcd");
        reign.fill(&LIMITS);
        accepted(&mut reign, 0, 1);
        accepted(&mut reign, 1, 1);
        assert_eq!(reign.chosen_below(), Slot(0));
        accepted(&mut reign, 0, 0);
        accepted(&mut reign, 1, 0);
        assert_eq!(reign.chosen_below(), Slot(2));
    }

    #[test]
    fn a_reign_goes_on_only_if_the_open_slots_hold_what_was_proposed() {
        let mut reign = reign();
        ask(&mut reign, "ab");
        reign.fill(&LIMITS);
        let [same, other] = [entry("ab"), entry("x")];
        assert!(reign.clone().learn(Slot(0), |_| Some(&other)), "it is open");
        assert!(reign.clone().learn(Slot(1), |_| Some(&same)));
        assert!(!reign.clone().learn(Slot(1), |_| Some(&other)));
        assert!(!reign.clone().learn(Slot(1), |_| None));
        assert!(reign.learn(Slot(5), |_| Some(&same)));
        assert_eq!((reign.next, reign.chosen_below()), (Slot(5), Slot(5)));
    }

    fn heard(reign: &mut Reign<char>, from: u32, round: u64, sent: u64) {
        let (from, sent) = (NodeId(from), Time(sent));
        reign.on_heard(from, Beat { round, sent }, &majority_of_three());
    }

    fn ready(reign: &mut Reign<char>, applied: u64) -> Vec<u64> {
        let ready = reign.ready(Slot(applied), &majority_of_three());
        ready.iter().map(|read| read.seq).collect()
    }

    #[test]
    fn a_read_waits_for_a_round_that_began_after_it_came() {
        let (mut reign, quorums) = (reign(), majority_of_three());
        reign.on_read(NodeId(9), 1, '?', Slot(0), &LIMITS);
        assert!(reign.begin_round(&quorums, &LIMITS));
        assert!(!reign.begin_round(&quorums, &LIMITS), "one at a time");
        // The second read comes while the first one's round is under way.
        reign.on_read(NodeId(9), 2, '?', Slot(0), &LIMITS);
        heard(&mut reign, 0, 1, 0);
        heard(&mut reign, 0, 1, 0);
        heard(&mut reign, 7, 1, 0);
        assert_eq!(ready(&mut reign, 0), [0; 0], "one acceptor is not enough");
        heard(&mut reign, 1, 1, 0);
        assert_eq!(ready(&mut reign, 0), [1]);
        assert!(reign.begin_round(&quorums, &LIMITS));
        heard(&mut reign, 2, 1, 5);
        assert_eq!(ready(&mut reign, 0), [0; 0], "an answer to the old round");
        heard(&mut reign, 2, 2, 5);
        heard(&mut reign, 0, 2, 5);
        assert_eq!(ready(&mut reign, 0), [2]);
        assert!(!reign.begin_round(&quorums, &LIMITS), "nobody waits");
    }

    #[test]
    fn a_read_waits_for_all_that_may_have_been_chosen_before() {
        let votes = [(4, vote(1, 1, "x"))];
        let mut leader = preparing();
        promise(&mut leader, &[(0, &votes, 0), (1, &[], 0)]);
        let reign = leader.reign_mut().expect("a quorum promised");
        reign.on_read(NodeId(9), 1, '?', Slot(2), &LIMITS);
        reign.on_read(NodeId(9), 2, '?', Slot(7), &LIMITS);
        reign.begin_round(&majority_of_three(), &LIMITS);
        heard(reign, 0, 1, 0);
        heard(reign, 1, 1, 0);
        assert_eq!(ready(reign, 4), [0; 0]);
        assert_eq!(ready(reign, 5), [1]);
        assert_eq!(ready(reign, 6), [0; 0]);
        assert_eq!(ready(reign, 7), [2]);
    }

    #[test]
    fn reads_that_wait_are_bounded_and_wait_once() {
        let mut reign = reign();
        for seq in [1, 1, 2, 3, 4, 5] {
            reign.on_read(NodeId(9), seq, '?', Slot(0), &LIMITS);
        }
        let waiting: Vec<u64> = reign.reads.iter().map(|read| read.seq).collect();
        assert_eq!(waiting, [1, 2, 3, 4]);
    }

    #[test]
    fn only_answers_to_the_latest_beat_confirm_it() {
        let (mut reign, quorums) = (reign(), majority_of_three());
        reign.beat_at(Time(10));
        heard(&mut reign, 0, 0, 10);
        heard(&mut reign, 1, 0, 9);
        assert!(!reign.is_confirmed(&quorums));
        heard(&mut reign, 1, 0, 10);
        assert!(reign.is_confirmed(&quorums));
        assert_eq!(reign.beat_at(Time(8)).sent, Time(10), "never backwards");
    }
}
