//! One process and the roles it plays: which message goes to which role, and who is told.
//!
//! Plain functions from a state and an event to a state and [`Effects`]: no sockets, no files, no
//! clock. A message to oneself is handled in the same step, by the same handlers.

use super::learner::{Applied, Progress};
use super::lease::{Beat, Grant, Time, lease_end};
use super::{
    Acceptor, Chunk, Cluster, Entry, How, Leader, Learner, Log, Message, MessageOf, Outcome, Phase,
    Request, Slot, Snapshot,
};
use crate::ballot::{Ballot, NodeId};
use crate::delta::Delta;
use crate::machine::{Data, Machine};
use crate::vote::{OrNone, Vote};
use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// What a process remembers, by role; `None` for a role it does not play.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NodeState<M: Machine> {
    /// The acceptor's part.
    pub acceptor: Option<Acceptor<M::Command>>,
    /// The acceptor's lease to a leader. Lost in a crash.
    pub grant: Option<Grant>,
    /// The proposer's part.
    pub leader: Option<Leader<M::Command>>,
    /// What is decided. A proposer has this part too: it proposes only for slots that are open.
    pub learner: Option<Learner<M>>,
    /// The process' clock, where it counts ticks of its own; see [`Clock`](super::Clock).
    pub now: Time,
}

/// What must survive a restart, of all roles together. It is saved by what changed ([`Delta`]).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Durable<M: Machine> {
    /// Promise and votes.
    pub acceptor: Option<Acceptor<M::Command>>,
    /// The highest ballot that the proposer ever started.
    pub ballot: Option<Ballot>,
    /// What the truncated part of the log has led to.
    pub snapshot: Option<Snapshot>,
    /// The decided entries since.
    pub log: Log<M::Command>,
}

impl<M: Machine> Durable<M> {
    /// Whether it differs from what the same process had saved before. That is cheap to tell, for
    /// a log is only ever appended to and truncated, never rewritten.
    #[must_use]
    pub fn differs_from(&self, before: &Self) -> bool {
        let extent = |it: &Self| (it.log.start(), it.log.end());
        self.ballot != before.ballot
            || extent(self) != extent(before)
            || self.acceptor != before.acceptor
    }
}

/// A change in what must survive a restart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound(serialize = "C: Data", deserialize = "C: Data"))]
pub enum Change<C> {
    /// The process plays an acceptor, and that has promised this.
    Promised(Option<Ballot>),
    /// It voted.
    Voted(Slot, Vote<Entry<C>>),
    /// Its proposer started a ballot.
    Started(Ballot),
    /// The next slot is decided; the vote in it is gone.
    Decided(Entry<C>),
    /// All before is in this snapshot; the votes in those slots are gone.
    Compacted(Snapshot),
}

impl<M: Machine> Delta for Durable<M> {
    type Change = Change<M::Command>;

    fn changes(&self, before: Option<&Self>) -> Vec<Self::Change> {
        let blank = Durable::blank();
        let before = before.unwrap_or(&blank);
        let mut changes = Vec::new();
        if let Some(snapshot) = &self.snapshot
            && self.log.start() > before.log.start()
        {
            changes.push(Change::Compacted(snapshot.clone()));
        }
        let known = before.log.end().max(self.log.start());
        changes.extend(
            self.log
                .since(known)
                .map(|(_, it)| Change::Decided(it.clone())),
        );
        if let Some(acceptor) = &self.acceptor {
            let old = before.acceptor.as_ref();
            if old.map(|old| old.promised) != Some(acceptor.promised) {
                changes.push(Change::Promised(acceptor.promised));
            }
            let none = OrdMap::new();
            let voted = old.map_or(&none, |old| &old.votes).diff(&acceptor.votes);
            changes.extend(voted.filter_map(|item| match item {
                DiffItem::Add(slot, vote) => Some(Change::Voted(*slot, vote.clone())),
                DiffItem::Update {
                    new: (slot, vote), ..
                } => Some(Change::Voted(*slot, vote.clone())),
                // They are in slots that are decided.
                DiffItem::Remove(..) => None,
            }));
        }
        if self.ballot != before.ballot {
            changes.extend(self.ballot.map(Change::Started));
        }
        changes
    }

    fn apply(before: Option<Self>, change: Self::Change) -> Option<Self> {
        let mut state = before.unwrap_or_else(Durable::blank);
        match change {
            Change::Promised(promised) => {
                let base = state.log.end();
                let acceptor = state.acceptor.get_or_insert_default();
                acceptor.promised = promised;
                acceptor.trim(base);
            }
            Change::Voted(slot, vote) => {
                state.acceptor.as_mut()?.votes.insert(slot, vote);
            }
            Change::Started(ballot) => state.ballot = Some(ballot),
            Change::Decided(entry) => state.log.push(entry),
            Change::Compacted(snapshot) => {
                // Bytes that are no machine would be noticed too late elsewhere.
                snapshot.open::<M>()?;
                state.log = Log::from(snapshot.upto);
                state.snapshot = Some(snapshot);
            }
        }
        let base = state.log.end();
        if let Some(acceptor) = state.acceptor.as_mut() {
            acceptor.trim(base);
        }
        Some(state)
    }
}

impl<M: Machine> Durable<M> {
    /// What a process has that never saved anything.
    fn blank() -> Self {
        Self {
            acceptor: None,
            ballot: None,
            snapshot: None,
            log: Log::from(Slot(0)),
        }
    }
}

impl<M: Machine> NodeState<M> {
    /// The part that must survive a restart. Cheap: logs and votes are shared, not copied.
    #[must_use]
    pub fn durable(&self) -> Durable<M> {
        let learner = self.learner.as_ref();
        Durable {
            acceptor: self.acceptor.clone(),
            ballot: self.leader.as_ref().and_then(|leader| leader.ballot),
            snapshot: learner.and_then(|learner| learner.snapshot.clone()),
            log: learner.map_or_else(|| Log::from(Slot(0)), |learner| learner.log.clone()),
        }
    }

    /// The first slot that is not decided, as far as this process knows.
    #[must_use]
    pub fn decided(&self) -> Slot {
        self.learner.as_ref().map_or(Slot(0), Learner::decided)
    }

    /// A process that does nothing: what it saved makes no sense, and to go on without would be to
    /// forget.
    fn inert(now: Time) -> Self {
        Self {
            acceptor: None,
            grant: None,
            leader: None,
            learner: None,
            now,
        }
    }

    /// Whether it leads, as far as it knows.
    #[must_use]
    pub fn is_leading(&self) -> bool {
        self.leader
            .as_ref()
            .is_some_and(|leader| leader.reign().is_some())
    }
}

/// The alarms of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// Nothing was heard from a leader, or from enough acceptors, for too long: start a higher
    /// ballot.
    Campaign,
    /// Time for a sign of life, and to ask again for votes that did not come.
    Heartbeat,
    /// The process' own clock advances; see [`Clock`](super::Clock).
    Tick,
}

/// What a step wants done, once the state it leads to is durable.
pub struct Effects<M: Machine> {
    /// Messages to other processes.
    pub sends: Vec<(NodeId, MessageOf<M>)>,
    /// Alarms to set to a time from a range, or (`None`) to cancel.
    pub timers: Vec<(Timer, Option<Range<Duration>>)>,
}

/// A step under way at one process.
pub(super) struct Step<'a, M: Machine> {
    cluster: &'a Cluster<M>,
    me: NodeId,
    state: &'a mut NodeState<M>,
    /// Reads the clock.
    clock: &'a dyn Fn() -> Time,
    inbox: VecDeque<MessageOf<M>>,
    effects: Effects<M>,
}

impl<'a, M: Machine> Step<'a, M> {
    pub(super) fn new(
        cluster: &'a Cluster<M>,
        me: NodeId,
        state: &'a mut NodeState<M>,
        clock: &'a dyn Fn() -> Time,
    ) -> Self {
        Self {
            cluster,
            me,
            state,
            clock,
            inbox: VecDeque::new(),
            effects: Effects {
                sends: Vec::new(),
                timers: Vec::new(),
            },
        }
    }

    /// The state of process `me` when it starts, for the first time or again.
    ///
    /// An acceptor that restarts does not know what leases it granted, so it waits as if it had
    /// granted one just now.
    pub(super) fn start_state(
        cluster: &Cluster<M>,
        me: NodeId,
        durable: Option<&Durable<M>>,
        now: Time,
    ) -> NodeState<M> {
        let is_acceptor = cluster.quorums.acceptors().contains(me);
        let acceptor = durable.and_then(|durable| durable.acceptor.clone());
        let acceptor = is_acceptor.then(|| acceptor.unwrap_or_default());
        let promised = acceptor.as_ref().and_then(|acceptor| acceptor.promised);
        let ballot = durable.and_then(|durable| durable.ballot);
        let snapshot = durable.and_then(|durable| durable.snapshot.clone());
        let log = durable.map_or_else(|| Log::from(Slot(0)), |durable| durable.log.clone());
        let Some(learner) = Learner::restart(&cluster.initial, snapshot, log) else {
            return NodeState::inert(now);
        };
        NodeState {
            grant: cluster
                .lease
                .and_then(|terms| Grant::presumed(promised, now, terms)),
            acceptor,
            leader: cluster
                .proposers
                .contains(&me)
                .then(|| Leader::restart(ballot)),
            learner: cluster.is_told(me).then_some(learner),
            now,
        }
    }

    pub(super) fn on_start(mut self) -> Effects<M> {
        self.wait_for_leader();
        self.effects
    }

    pub(super) fn on_message(mut self, from: NodeId, message: MessageOf<M>) -> Effects<M> {
        if is_possible(&message, self.cluster.limits.slots) {
            self.dispatch(from, message);
        }
        self.finish()
    }

    pub(super) fn on_timer(mut self, timer: Timer) -> Effects<M> {
        match timer {
            Timer::Campaign => self.campaign(),
            Timer::Heartbeat => self.beat(),
            Timer::Tick => self.tick(),
        }
        self.finish()
    }

    fn finish(mut self) -> Effects<M> {
        while let Some(message) = self.inbox.pop_front() {
            self.dispatch(self.me, message);
        }
        self.effects
    }

    /// Every message, and the role that answers it.
    fn dispatch(&mut self, from: NodeId, message: MessageOf<M>) {
        match message {
            Message::Request(request) => self.on_request(request),
            Message::Read { seq, query, how } => self.on_read(from, seq, query, how),
            Message::Prepare {
                ballot,
                from: start,
            } => {
                let answer = match self.state.acceptor.as_mut() {
                    Some(acceptor) if !holds_off(self.state.grant, ballot, self.clock) => {
                        acceptor.on_prepare(ballot, start, self.cluster.limits.bytes_max)
                    }
                    Some(_) | None => None,
                };
                self.answer(from, answer);
            }
            Message::Promise {
                ballot,
                votes,
                decided,
                more,
            } => self.on_promise(from, ballot, votes, decided, more),
            Message::Continue {
                ballot,
                from: start,
            } => {
                let bytes_max = self.cluster.limits.bytes_max;
                let acceptor = self.state.acceptor.as_ref();
                let answer = acceptor.and_then(|it| it.on_continue(ballot, start, bytes_max));
                self.answer(from, answer);
            }
            Message::Accept { slot, vote } => self.on_accept(from, slot, vote),
            Message::Accepted { ballot, slot } => self.on_accepted(from, ballot, slot),
            Message::Nack { promised, decided } => {
                self.catch_up(from, decided);
                let leader = self.state.leader.as_mut();
                if leader.is_some_and(|leader| leader.on_nack(promised)) {
                    self.cancel(Timer::Heartbeat);
                    let pause = self.cluster.election.wait(promised.round);
                    self.set(Timer::Campaign, pause);
                }
            }
            Message::Decided { ballot, upto } => self.on_decided(from, ballot, upto),
            Message::Entries {
                from: start,
                entries,
            } => {
                self.on_entries(start, entries);
            }
            Message::Ask { from: start } => self.on_ask(from, start),
            Message::Chunk(chunk) => self.on_chunk(from, chunk),
            Message::Fetch { upto, offset } => self.on_fetch(from, upto, offset),
            Message::Heartbeat { ballot, beat, upto } => {
                self.on_heartbeat(from, ballot, beat, upto);
            }
            Message::Heard { ballot, beat } => self.on_heard(from, ballot, beat),
            // Only clients are told.
            Message::Reply { .. } => {}
        }
    }

    /// Whoever has a quorum's promises leads from now on, and shows it.
    fn on_promise(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        votes: BTreeMap<Slot, Vote<Entry<M::Command>>>,
        decided: Slot,
        more: Option<Slot>,
    ) {
        let known = self.state.decided().max(decided);
        let Some(leader) = self.state.leader.as_mut() else {
            return;
        };
        if let Some(slot) = more.filter(|_| !leader.is_past_promise(from, ballot)) {
            self.send(from, Message::Continue { ballot, from: slot });
        }
        let (leader, quorums) = (self.state.leader.as_mut(), &self.cluster.quorums);
        let is_all = more.is_none();
        let proposals =
            leader.and_then(|it| it.on_promise(from, ballot, votes, known, is_all, quorums));
        self.catch_up(from, decided);
        let Some(proposals) = proposals else {
            return;
        };
        self.put_to_the_vote(proposals);
        if self.cluster.heartbeat.is_some() {
            self.announce();
            self.keep_pace();
        }
    }

    /// An acceptor's answer goes to the proposer of the ballot. Refusals only where they are told.
    fn answer(&mut self, proposer: NodeId, answer: Option<MessageOf<M>>) {
        match answer {
            Some(Message::Nack { .. }) if !self.cluster.nacks => {}
            Some(answer) => self.send(proposer, answer),
            None => {}
        }
    }

    /// A request is proposed by whoever leads; the client finds out who that is. What was carried
    /// out before is not proposed again: its client is told what became of it.
    fn on_request(&mut self, request: Request<M::Command>) {
        let Some(learner) = self.state.learner.as_ref() else {
            return;
        };
        let Some(reign) = self.state.leader.as_mut().and_then(Leader::reign_mut) else {
            return;
        };
        if let Some(outcome) = learner.sessions.recall(&request.order) {
            return self.reply(&request, outcome);
        }
        if learner.sessions.is_past(&request.order) {
            return;
        }
        if reign.on_request(request, &self.cluster.limits) {
            self.fill();
        }
    }

    /// Proposes what waits, as far as there is room. Only the first of the slots under way gives
    /// patience anew: a leader without a quorum must not be kept waiting by requests that come in.
    fn fill(&mut self) {
        let Some(reign) = self.state.leader.as_mut().and_then(Leader::reign_mut) else {
            return;
        };
        let was_idle = reign.open.is_empty();
        let proposals = reign.fill(&self.cluster.limits);
        if was_idle && !proposals.is_empty() {
            let patience = self.patience();
            self.set(Timer::Campaign, patience);
        }
        self.put_to_the_vote(proposals);
    }

    /// Phase 2a: asks the acceptors to vote.
    fn put_to_the_vote(&mut self, proposals: Vec<(Slot, Entry<M::Command>)>) {
        let Some(ballot) = self.state.leader.as_ref().and_then(|leader| leader.ballot) else {
            return;
        };
        for (slot, value) in proposals {
            let vote = Vote { ballot, value };
            self.broadcast_to_acceptors(&Message::Accept { slot, vote });
        }
    }

    fn on_accept(&mut self, from: NodeId, slot: Slot, vote: Vote<Entry<M::Command>>) {
        let ballot = vote.ballot;
        let Some(acceptor) = self.state.acceptor.as_mut() else {
            return;
        };
        if holds_off(self.state.grant, ballot, self.clock) {
            return;
        }
        let is_past = acceptor.is_past_accept(ballot);
        let is_decided = slot < acceptor.base;
        let answer = acceptor.on_accept(slot, vote);
        self.answer(from, answer);
        if is_past {
            return;
        }
        self.follow(ballot);
        if is_decided {
            // The proposer is behind.
            self.on_ask(from, slot);
        }
    }

    fn on_accepted(&mut self, from: NodeId, ballot: Ballot, slot: Slot) {
        let Some(leader) = self.state.leader.as_mut() else {
            return;
        };
        if leader.ballot != Some(ballot) {
            return;
        }
        let Some(reign) = leader.reign_mut() else {
            return;
        };
        let before = reign.chosen_below();
        let Some(entry) = reign.on_accepted(from, slot, &self.cluster.quorums) else {
            return;
        };
        let upto = reign.chosen_below();
        self.tell(ballot, slot, &entry, (upto > before).then_some(upto));
        self.learn(slot, entry);
        let patience = self.patience();
        self.set(Timer::Campaign, patience);
    }

    /// Tells the learners what is chosen: those that vote themselves how far, the others what.
    fn tell(&mut self, ballot: Ballot, slot: Slot, entry: &Entry<M::Command>, upto: Option<Slot>) {
        let mut told = self.cluster.told();
        told.retain(|node| *node != self.me);
        for node in told {
            if !self.cluster.quorums.acceptors().contains(node) {
                let entries = vec![entry.clone()];
                self.send(
                    node,
                    Message::Entries {
                        from: slot,
                        entries,
                    },
                );
            } else if let Some(upto) = upto {
                self.send(node, Message::Decided { ballot, upto });
            }
        }
    }

    /// All that was voted for in `ballot` below `upto` is chosen. What this node did not vote for,
    /// or voted for in another ballot, it must ask for.
    ///
    /// `[PML §4.2]`; that the notice names the ballot is what MultiPaxos-SMR (TLA+ examples) forgot
    fn on_decided(&mut self, from: NodeId, ballot: Ballot, upto: Slot) {
        if self.state.learner.is_some() {
            let mut slot = self.state.decided();
            while slot < upto {
                let acceptor = self.state.acceptor.as_ref();
                let voted = acceptor.and_then(|acceptor| acceptor.voted_in(ballot, slot));
                let Some(entry) = voted.cloned() else {
                    break;
                };
                self.learn(slot, entry);
                slot = self.state.decided().max(slot.next());
            }
        }
        self.catch_up(from, upto);
    }

    /// Whoever is behind asks somebody who is not.
    fn catch_up(&mut self, from: NodeId, decided: Slot) {
        let known = self.state.decided();
        if self.state.learner.is_some() && decided > known && from != self.me {
            self.send(from, Message::Ask { from: known });
        }
    }

    /// Entries from elsewhere. What is too far ahead is not kept: it will be asked for.
    fn on_entries(&mut self, start: Slot, entries: Vec<Entry<M::Command>>) {
        for (index, entry) in (0..).zip(entries) {
            let slot = Slot(start.0.saturating_add(index));
            if slot.0.saturating_sub(self.state.decided().0) < Slot::SPAN_MAX {
                self.learn(slot, entry);
            }
        }
    }

    /// An entry is decided. What can be applied is applied, what is then settled is dropped, and
    /// whoever leads tells the clients.
    fn learn(&mut self, slot: Slot, entry: Entry<M::Command>) {
        let Some(learner) = self.state.learner.as_mut() else {
            return;
        };
        let applied = learner.learn(slot, entry);
        self.settle(applied);
    }

    fn settle(&mut self, applied: Vec<Applied<M>>) {
        let Some(learner) = self.state.learner.as_mut() else {
            return;
        };
        let decided = learner.decided();
        // Before the entries are truncated, for the leader compares them with what it proposed.
        let leader = self.state.leader.as_mut();
        let is_over = leader.is_some_and(|leader| !leader.learn(decided, |it| learner.entry(it)));
        if let Some(every) = self.cluster.snapshot_every {
            learner.compact(every);
        }
        if let Some(acceptor) = self.state.acceptor.as_mut() {
            acceptor.trim(decided);
        }
        if is_over {
            self.cancel(Timer::Heartbeat);
            self.wait_for_leader();
        }
        if !self.state.is_leading() {
            return;
        }
        for (request, outcome) in applied {
            if let Some(outcome) = outcome {
                self.reply(&request, outcome);
            }
        }
        self.fill();
        self.serve_reads();
    }

    /// Answers a lagging node: with entries, or with a snapshot if they are truncated. Any node may
    /// be asked, not only the leader.
    ///
    /// `[PMS §3]`, `[PML §5.5]`
    fn on_ask(&mut self, from: NodeId, start: Slot) {
        let Some(learner) = self.state.learner.as_ref() else {
            return;
        };
        if start < learner.log.start() {
            let snapshot = learner.snapshot.as_ref();
            let chunk = snapshot.and_then(|it| it.chunk(0, self.cluster.limits.bytes_max));
            if let Some(chunk) = chunk {
                self.send(from, Message::Chunk(chunk));
            }
            return;
        }
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (_, entry) in learner.log.since(start) {
            bytes += entry.bytes();
            if bytes > self.cluster.limits.bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        if !entries.is_empty() {
            self.send(
                from,
                Message::Entries {
                    from: start,
                    entries,
                },
            );
        }
    }

    fn on_chunk(&mut self, from: NodeId, chunk: Chunk) {
        let upto = chunk.upto;
        let progress = self.state.learner.as_mut().map(|it| it.on_chunk(chunk));
        match progress {
            Some(Progress::More(offset)) => self.send(from, Message::Fetch { upto, offset }),
            Some(Progress::Caught(applied)) => self.settle(applied),
            Some(Progress::Nothing) | None => {}
        }
    }

    /// The next piece of a snapshot, or the first of a later one if this node has moved on.
    fn on_fetch(&mut self, from: NodeId, upto: Slot, offset: u64) {
        let learner = self.state.learner.as_ref();
        let Some(snapshot) = learner.and_then(|learner| learner.snapshot.as_ref()) else {
            return;
        };
        let offset = if snapshot.upto == upto { offset } else { 0 };
        if snapshot.upto >= upto
            && let Some(chunk) = snapshot.chunk(offset, self.cluster.limits.bytes_max)
        {
            self.send(from, Message::Chunk(chunk));
        }
    }

    /// Starts a ballot, and gives it a time to succeed in.
    fn campaign(&mut self) {
        let Some(leader) = self.state.leader.as_mut() else {
            return;
        };
        let acceptor = self.state.acceptor.as_ref();
        let heard = acceptor.and_then(|acceptor| acceptor.promised);
        let decided = self
            .state
            .learner
            .as_ref()
            .map_or(Slot(0), Learner::decided);
        let prepare = leader.prepare(self.me, heard, decided, self.cluster.limits.round_max);
        if let Some(prepare) = prepare {
            self.cancel(Timer::Heartbeat);
            self.broadcast_to_acceptors(&prepare);
        }
        let patience = self.patience();
        self.set(Timer::Campaign, patience);
    }

    /// Asks once more for the votes that have not come, and for entries that others know and this
    /// node does not: nobody would tell a leader that it is behind. Then shows itself.
    fn beat(&mut self) {
        if let Some(reign) = self.state.leader.as_ref().and_then(Leader::reign) {
            let open = reign
                .open
                .iter()
                .map(|(slot, it)| (*slot, it.entry.clone()));
            let open = open.collect();
            let (known, chosen) = (self.state.decided(), reign.chosen_below());
            self.put_to_the_vote(open);
            if known < chosen {
                let mut others = self.cluster.told();
                others.retain(|node| *node != self.me);
                for node in others {
                    self.send(node, Message::Ask { from: known });
                }
            }
            self.announce();
            self.keep_pace();
        }
    }

    /// The next sign of life is due after a pace, whatever others reads ask for in between: with it
    /// goes what must be said again.
    fn keep_pace(&mut self) {
        if let Some(pace) = self.cluster.heartbeat.clone() {
            self.set(Timer::Heartbeat, pace);
        }
    }

    /// A leader's sign of life, to all.
    fn announce(&mut self) {
        let (now, leader) = ((self.clock)(), self.state.leader.as_mut());
        let Some((ballot, reign)) = leader.and_then(|it| Some((it.ballot?, it.reign_mut()?)))
        else {
            return;
        };
        let (beat, upto) = (reign.beat_at(now), reign.chosen_below());
        let acceptors = self.cluster.quorums.acceptors().iter();
        let mut everyone: Vec<NodeId> = acceptors.chain(self.cluster.told()).collect();
        everyone.sort_unstable();
        everyone.dedup();
        for node in everyone {
            self.send(node, Message::Heartbeat { ballot, beat, upto });
        }
    }

    /// A leader shows itself. Whoever follows it grants it a lease from now on, says so, and learns
    /// how far its ballot has got.
    fn on_heartbeat(&mut self, from: NodeId, ballot: Ballot, beat: Beat, upto: Slot) {
        if let Some(acceptor) = self.state.acceptor.as_mut() {
            if holds_off(self.state.grant, ballot, self.clock) {
                return;
            }
            if !acceptor.on_heartbeat(ballot) {
                let promised = acceptor.promised.filter(|_| self.cluster.nacks);
                if let Some(promised) = promised {
                    let decided = acceptor.base;
                    self.send(from, Message::Nack { promised, decided });
                }
                return;
            }
            if let Some(terms) = self.cluster.lease {
                self.state.grant = Some(Grant::new(ballot.node, (self.clock)(), terms));
            }
            self.send(from, Message::Heard { ballot, beat });
        }
        self.follow(ballot);
        if from != self.me {
            self.on_decided(from, ballot, upto);
        }
    }

    fn on_heard(&mut self, from: NodeId, ballot: Ballot, beat: Beat) {
        let quorums = &self.cluster.quorums;
        let leader = self.state.leader.as_mut();
        let Some(leader) = leader.filter(|leader| leader.ballot == Some(ballot)) else {
            return;
        };
        let Some(reign) = leader.reign_mut() else {
            return;
        };
        if reign.has_heard(from, beat) {
            return;
        }
        reign.on_heard(from, beat, quorums);
        if reign.is_confirmed(quorums) && reign.open.is_empty() {
            let patience = self.patience();
            self.set(Timer::Campaign, patience);
        }
        self.serve_reads();
    }

    /// Somebody leads in a higher ballot than was ever started here: let it, as long as it shows
    /// itself.
    fn follow(&mut self, ballot: Ballot) {
        let leader = self.state.leader.as_mut();
        let Some(leader) = leader.filter(|leader| leader.ballot < Some(ballot)) else {
            return;
        };
        if leader.yield_to(ballot) {
            self.cancel(Timer::Heartbeat);
        }
        self.wait_for_leader();
    }

    /// A read without a place in the log. With a lease it is answered at once, if the lease still
    /// holds *after* the answer was found: the process may have been stopped in between.
    fn on_read(&mut self, client: NodeId, seq: u64, query: M::Command, how: How) {
        let (Some(leader), Some(learner)) =
            (self.state.leader.as_mut(), self.state.learner.as_ref())
        else {
            return;
        };
        let Some(reign) = leader.reign_mut() else {
            return;
        };
        let decided = learner.decided();
        let Some(reply) = learner.sessions.machine().read(&query) else {
            return;
        };
        let ends = self
            .cluster
            .lease
            .and_then(|terms| lease_end(&reign.heard, &self.cluster.quorums, terms));
        let is_fresh = decided >= reign.barrier && Some((self.clock)()) < ends;
        if how == How::Lease && is_fresh {
            let outcome = Outcome::Done(reply);
            return self.send(client, Message::Reply { seq, outcome });
        }
        reign.on_read(client, seq, query, decided, &self.cluster.limits);
        self.serve_reads();
    }

    /// Answers the reads that need wait no longer, and begins a round of beats for those that do.
    fn serve_reads(&mut self) {
        let quorums = &self.cluster.quorums;
        let Some(learner) = self.state.learner.as_ref() else {
            return;
        };
        let Some(reign) = self.state.leader.as_mut().and_then(Leader::reign_mut) else {
            return;
        };
        let ready = reign.ready(learner.decided(), quorums);
        let machine = learner.sessions.machine();
        let answered: Vec<_> = ready
            .into_iter()
            .filter_map(|read| Some((read.client, read.seq, machine.read(&read.query)?)))
            .collect();
        let begins = reign.begin_round(quorums, &self.cluster.limits);
        for (client, seq, reply) in answered {
            let outcome = Outcome::Done(reply);
            self.send(client, Message::Reply { seq, outcome });
        }
        if begins {
            self.announce();
        }
    }

    fn reply(&mut self, request: &Request<M::Command>, outcome: Outcome<M::Reply>) {
        let seq = request.order.seq();
        self.send(request.client, Message::Reply { seq, outcome });
    }

    /// The clock of a process that counts its own ticks advances; a lease that is over is
    /// forgotten.
    fn tick(&mut self) {
        self.state.now = self.state.now.after(1);
        let now = self.state.now;
        self.state.grant = self.state.grant.filter(|grant| now < grant.until);
        self.set(Timer::Tick, self.cluster.election.pace());
    }

    /// How long to wait for progress before the next ballot. Longer with every ballot that failed,
    /// so that two that outbid each other come apart.
    fn patience(&self) -> Range<Duration> {
        let ballot = self.state.leader.as_ref().and_then(|leader| leader.ballot);
        self.cluster
            .election
            .wait(ballot.map_or(1, |ballot| ballot.round))
    }

    fn wait_for_leader(&mut self) {
        if self.state.leader.is_some() {
            let acceptor = self.state.acceptor.as_ref();
            let promised = acceptor.and_then(|acceptor| acceptor.promised);
            let round = promised.map_or(1, |promised| promised.round);
            self.set(Timer::Campaign, self.cluster.election.wait(round));
        }
    }

    fn send(&mut self, to: NodeId, message: MessageOf<M>) {
        if to == self.me {
            self.inbox.push_back(message);
        } else {
            self.effects.sends.push((to, message));
        }
    }

    fn broadcast_to_acceptors(&mut self, message: &MessageOf<M>) {
        for node in self.cluster.quorums.acceptors().iter() {
            self.send(node, message.clone());
        }
    }

    fn set(&mut self, timer: Timer, wait: Range<Duration>) {
        self.effects.timers.push((timer, Some(wait)));
    }

    fn cancel(&mut self, timer: Timer) {
        self.effects.timers.push((timer, None));
    }
}

/// Whether the slots that a message tells of exist: there are `slots` of them.
fn is_possible<C, R>(message: &Message<C, R>, slots: u64) -> bool {
    match message {
        Message::Accept { slot, .. } | Message::Accepted { slot, .. } => slot.0 < slots,
        Message::Promise { votes, .. } => {
            let last = votes.last_key_value();
            last.is_none_or(|(slot, _)| slot.0 < slots)
        }
        Message::Entries { from, entries } => {
            let end = from.0.checked_add(entries.len() as u64);
            end.is_some_and(|end| end <= slots)
        }
        // Those that only say up to where, or from where, are safe with any number.
        Message::Request(_)
        | Message::Read { .. }
        | Message::Reply { .. }
        | Message::Prepare { .. }
        | Message::Continue { .. }
        | Message::Nack { .. }
        | Message::Decided { .. }
        | Message::Ask { .. }
        | Message::Chunk(_)
        | Message::Fetch { .. }
        | Message::Heartbeat { .. }
        | Message::Heard { .. } => true,
    }
}

/// Whether a lease to somebody else keeps a ballot out.
fn holds_off(grant: Option<Grant>, ballot: Ballot, clock: &dyn Fn() -> Time) -> bool {
    grant.is_some_and(|grant| grant.holds_off(ballot, clock()))
}

impl<M: Machine> NodeState<M> {
    /// See [`ProcessState::is_stale`](super::ProcessState::is_stale).
    pub(super) fn is_stale(
        &self,
        cluster: &Cluster<M>,
        from: NodeId,
        message: &MessageOf<M>,
    ) -> bool {
        let acceptor = self.acceptor.as_ref();
        let leader = self.leader.as_ref();
        let learner = self.learner.as_ref();
        match message {
            Message::Request(_) | Message::Read { .. } => leader.is_none(),
            Message::Ask { .. } | Message::Fetch { .. } => learner.is_none(),
            // Whoever is told of a refusal may be told of the next one as well.
            Message::Prepare { .. } | Message::Accept { .. } | Message::Heartbeat { .. }
                if cluster.nacks =>
            {
                false
            }
            Message::Prepare { ballot, .. } => {
                acceptor.is_none_or(|it| it.is_past_prepare(*ballot))
            }
            Message::Continue { ballot, .. } => {
                acceptor.is_none_or(|it| it.is_past_accept(*ballot))
            }
            Message::Accept { vote, .. } => {
                acceptor.is_none_or(|it| it.is_past_accept(vote.ballot))
            }
            Message::Promise {
                ballot, decided, ..
            } => {
                self.decided() >= *decided
                    && leader.is_none_or(|it| it.is_past_promise(from, *ballot))
            }
            Message::Accepted { ballot, slot } => {
                leader.is_none_or(|it| it.is_past_accepted(from, *ballot, *slot))
            }
            Message::Nack { promised, decided } => {
                self.decided() >= *decided
                    && leader.is_none_or(|leader| leader.ballot >= Some(*promised))
            }
            Message::Decided { upto, .. } => self.decided() >= *upto,
            Message::Entries { from, entries } => {
                self.decided().0 >= from.0.saturating_add(entries.len() as u64)
            }
            Message::Chunk(chunk) => learner.is_none() || self.decided() >= chunk.upto,
            Message::Heartbeat { ballot, upto, .. } => match acceptor {
                Some(acceptor) => acceptor.is_past_accept(*ballot),
                None => {
                    let is_over = |it: &Leader<_>| it.ballot >= Some(*ballot);
                    self.decided() >= *upto && leader.is_none_or(is_over)
                }
            },
            Message::Heard { ballot, beat } => leader.is_none_or(|it| match &it.phase {
                _ if it.ballot != Some(*ballot) => it.ballot > Some(*ballot),
                Phase::Leading(reign) => reign.has_heard(from, *beat),
                Phase::Preparing(_) => false,
                Phase::Following | Phase::Preempted { .. } => true,
            }),
            Message::Reply { .. } => true,
        }
    }
}

impl<M: Machine> fmt::Debug for NodeState<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(acceptor) = &self.acceptor {
            write!(f, "{acceptor:?}")?;
            separator = " · ";
        }
        if let Some(grant) = &self.grant {
            write!(f, " lease to {} until {:?}", grant.to, grant.until)?;
        }
        if let Some(leader) = &self.leader {
            write!(f, "{separator}{leader:?}")?;
            separator = " · ";
        }
        if let Some(learner) = &self.learner {
            write!(f, "{separator}{learner:?}")?;
        }
        if self.now > Time(0) {
            write!(f, " · {:?}", self.now)?;
        }
        Ok(())
    }
}

impl<M: Machine> fmt::Debug for Durable<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(acceptor) = &self.acceptor {
            write!(f, "{acceptor:?} · ")?;
        }
        write!(f, "ballot {} · ", OrNone(&self.ballot))?;
        if let Some(snapshot) = &self.snapshot {
            write!(f, "{snapshot:?} ")?;
        }
        write!(f, "{:?}", self.log)
    }
}

#[cfg(test)]
mod tests;
