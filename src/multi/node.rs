//! One process and the roles it plays: which message goes to which role, and who is told.
//!
//! Plain functions from a state and an event to a state and [`Effects`]: no sockets, no files, no
//! clock. A message to oneself is handled in the same step, by the same handlers.

use super::lease::Time;
use super::stale::is_possible;
use super::{
    Acceptor, Clock, Cluster, Durable, Entry, Leader, Learner, Log, Message, MessageOf, Request,
    Slot,
};
use crate::ballot::{Ballot, NodeId};
use crate::effects;
use crate::machine::Machine;
use crate::vote::Vote;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

mod learning;
mod reads;

/// What a process remembers, by role; `None` for a role it does not play.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct NodeState<M: Machine> {
    /// The acceptor's part.
    pub acceptor: Option<Acceptor<M::Command>>,
    /// The proposer's part.
    pub leader: Option<Leader<M::Command>>,
    /// What is decided. A proposer has this part too: it proposes only for slots that are open.
    pub learner: Option<Learner<M>>,
    /// The process' clock, where it counts ticks of its own; see [`Clock`].
    pub now: Time,
}

impl<M: Machine> NodeState<M> {
    /// The part that must survive a restart. Cheap: logs and votes are shared, not copied.
    #[must_use]
    pub fn durable(&self) -> Durable<M> {
        let learner = self.learner.as_ref();
        Durable {
            acceptor: self.acceptor.as_ref().map(Acceptor::durable),
            ballot: self.ballot(),
            snapshot: learner.and_then(|learner| learner.snapshot.clone()),
            log: learner.map_or_else(|| Log::from(Slot(0)), |learner| learner.log.clone()),
        }
    }

    /// The highest ballot ever started here.
    #[must_use]
    pub fn ballot(&self) -> Option<Ballot> {
        self.leader.as_ref()?.ballot
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
            .is_some_and(|leader| leader.leadership().is_some())
    }
}

/// The alarms of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timer {
    /// Nothing was heard from a leader, or from enough acceptors, for too long: start a higher
    /// ballot.
    Campaign,
    /// Time for a sign of life, and to ask again for votes that did not come.
    Heartbeat,
    /// All that arrived together was looked at: propose what waits; see
    /// [`Limits::gathers`](super::Limits::gathers).
    Propose,
    /// The process' own clock advances; see [`Clock`].
    Tick,
}

/// The alarms of a process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Alarm {
    /// A node's.
    Node(Timer),
    /// A client's: no answer yet, ask again.
    Retry,
}

impl From<Timer> for Alarm {
    fn from(timer: Timer) -> Self {
        Alarm::Node(timer)
    }
}

impl fmt::Debug for Alarm {
    /// Whose it is says the process that set it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alarm::Node(timer) => timer.fmt(f),
            Alarm::Retry => f.write_str("Retry"),
        }
    }
}

/// What a step wants done.
pub type Effects<M> = effects::Effects<MessageOf<M>, Alarm>;

/// A step under way at one process.
pub struct Step<'a, M: Machine> {
    cluster: &'a Cluster<M>,
    clock: Clock,
    state: &'a mut NodeState<M>,
    out: &'a mut Effects<M>,
}

impl<'a, M: Machine> Step<'a, M> {
    /// A step that is about to be taken.
    pub fn new(
        cluster: &'a Cluster<M>,
        clock: Clock,
        state: &'a mut NodeState<M>,
        out: &'a mut Effects<M>,
    ) -> Self {
        Self {
            cluster,
            clock,
            state,
            out,
        }
    }

    /// The state of process `me` when it starts, for the first time or again.
    #[must_use]
    pub fn start_state(
        cluster: &Cluster<M>,
        me: NodeId,
        durable: Option<&Durable<M>>,
        now: Time,
    ) -> NodeState<M> {
        let is_acceptor = cluster.quorums.acceptors().contains(me);
        let acceptor = durable.and_then(|durable| durable.acceptor.clone());
        let ballot = durable.and_then(|durable| durable.ballot);
        let snapshot = durable.and_then(|durable| durable.snapshot.clone());
        let log = durable.map_or_else(|| Log::from(Slot(0)), |durable| durable.log.clone());
        let Some(learner) = Learner::restart(&cluster.initial, snapshot, log) else {
            return NodeState::inert(now);
        };
        NodeState {
            acceptor: is_acceptor.then(|| Acceptor::restart(acceptor, cluster.lease, now)),
            leader: cluster
                .proposers
                .contains(&me)
                .then(|| Leader::restart(ballot)),
            learner: cluster.is_in_decision_audience(me).then_some(learner),
            now,
        }
    }

    /// Starts: waits for a leader.
    pub fn on_start(mut self) {
        self.wait_for_leader();
    }

    /// A message arrives.
    pub fn on_message(mut self, from: NodeId, message: MessageOf<M>) {
        if is_possible(&message, self.cluster.limits.slots) {
            self.dispatch(from, message);
        }
        self.finish();
    }

    /// A timer fires.
    pub fn on_timer(mut self, timer: Timer) {
        match timer {
            Timer::Campaign => self.campaign(),
            Timer::Heartbeat => self.on_heartbeat_timer(),
            Timer::Propose => self.fill(),
            Timer::Tick => self.tick(),
        }
        self.finish();
    }

    /// Handles what the process has sent to itself.
    fn finish(mut self) {
        while let Some(message) = self.out.next_own() {
            self.dispatch(self.out.me(), message);
        }
    }

    /// Every message, and the role that answers it.
    fn dispatch(&mut self, from: NodeId, message: MessageOf<M>) {
        match message {
            Message::Request(request) => self.on_request(request),
            Message::Read { seq, query, mode } => self.on_read(from, seq, query, mode),
            Message::Prepare {
                ballot,
                from: start,
            } => {
                let (bytes_max, now) = (self.cluster.limits.bytes_max, self.now());
                let acceptor = self.state.acceptor.as_mut();
                let answer = acceptor.and_then(|it| it.on_prepare(ballot, start, bytes_max, now));
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
            Message::Nack { promised, decided } => self.on_nack(from, promised, decided),
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
            Message::Heartbeat {
                ballot,
                heartbeat,
                upto,
            } => {
                self.on_heartbeat(from, ballot, heartbeat, upto);
            }
            Message::HeartbeatAck { ballot, heartbeat } => {
                self.on_heartbeat_ack(from, ballot, heartbeat)
            }
            // Only clients are told.
            Message::Reply { .. } => {}
        }
    }

    /// A proposer that was refused gives up its ballot, and waits before it campaigns again.
    fn on_nack(&mut self, from: NodeId, promised: Ballot, decided: Slot) {
        self.catch_up(from, decided);
        let leader = self.state.leader.as_mut();
        if leader.is_some_and(|leader| leader.on_nack(promised)) {
            self.out.cancel(Timer::Heartbeat);
            let pause = self.cluster.election.wait(promised.round);
            self.out.set(Timer::Campaign, pause);
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
            self.out
                .send(from, Message::Continue { ballot, from: slot });
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
            Some(answer) => self.out.send(proposer, answer),
            None => {}
        }
    }

    /// A request is proposed by whoever leads; the client finds out who that is. What was carried
    /// out before is not proposed again: its client is told what became of it.
    fn on_request(&mut self, request: Request<M::Command>) {
        let Some(learner) = self.state.learner.as_ref() else {
            return;
        };
        let Some(leadership) = self.state.leader.as_mut().and_then(Leader::leadership_mut) else {
            return;
        };
        if let Some(outcome) = learner.sessions.cached_reply(&request.operation) {
            let (client, seq) = (request.client, request.operation.seq());
            return self.out.send(client, Message::Reply { seq, outcome });
        }
        if learner.sessions.is_past(&request.operation) {
            return;
        }
        let limits = &self.cluster.limits;
        if !leadership.on_request(request, limits) {
            return;
        }
        if !leadership.gathers(limits) {
            self.fill();
        } else if leadership.queue.len() == 1 && leadership.open.is_empty() {
            self.out.set(Timer::Propose, Duration::ZERO..Duration::ZERO);
        }
    }

    /// Proposes what waits, as far as there is room. Only the first of the slots under way gives
    /// patience anew: a leader without a quorum must not be kept waiting by requests that come in.
    fn fill(&mut self) {
        let Some(leadership) = self.state.leader.as_mut().and_then(Leader::leadership_mut) else {
            return;
        };
        let was_idle = leadership.open.is_empty();
        let proposals = leadership.fill(&self.cluster.limits);
        if was_idle && !proposals.is_empty() {
            let patience = self.patience();
            self.out.set(Timer::Campaign, patience);
        }
        self.put_to_the_vote(proposals);
    }

    /// Phase 2a: asks the acceptors to vote.
    fn put_to_the_vote(&mut self, proposals: Vec<(Slot, Entry<M::Command>)>) {
        let Some(ballot) = self.state.ballot() else {
            return;
        };
        if !proposals.is_empty() {
            self.flush_decided();
        }
        for (slot, value) in proposals {
            let vote = Vote { ballot, value };
            self.broadcast_to_acceptors(&Message::Accept { slot, vote });
        }
    }

    fn on_accept(&mut self, from: NodeId, slot: Slot, vote: Vote<Entry<M::Command>>) {
        let (ballot, now) = (vote.ballot, self.now());
        let Some(acceptor) = self.state.acceptor.as_mut() else {
            return;
        };
        let is_admitted = acceptor.admits(ballot, now);
        let is_decided = slot < acceptor.base;
        let answer = acceptor.on_accept(slot, vote, now);
        self.answer(from, answer);
        if !is_admitted {
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
        let Some(leadership) = leader.leadership_mut() else {
            return;
        };
        let before = leadership.chosen_below();
        let Some(entry) = leadership.on_accepted(from, slot, &self.cluster.quorums) else {
            return;
        };
        let upto = leadership.chosen_below();
        self.tell(ballot, slot, &entry, (upto > before).then_some(upto));
        self.learn(slot, entry);
        let patience = self.patience();
        self.out.set(Timer::Campaign, patience);
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
        let prepare = leader.prepare(self.out.me(), heard, decided, self.cluster.limits.round_max);
        if let Some(prepare) = prepare {
            self.out.cancel(Timer::Heartbeat);
            self.broadcast_to_acceptors(&prepare);
        }
        let patience = self.patience();
        self.out.set(Timer::Campaign, patience);
    }

    /// Somebody leads in a higher ballot than was ever started here: let it, as long as it shows
    /// itself.
    fn follow(&mut self, ballot: Ballot) {
        let leader = self.state.leader.as_mut();
        let Some(leader) = leader.filter(|leader| leader.ballot < Some(ballot)) else {
            return;
        };
        if leader.yield_to(ballot) {
            self.out.cancel(Timer::Heartbeat);
        }
        self.wait_for_leader();
    }

    /// The clock of a process that counts its own ticks advances; a lease that is over is
    /// forgotten.
    fn tick(&mut self) {
        self.state.now = self.state.now.after(1);
        let now = self.state.now;
        if let Some(acceptor) = self.state.acceptor.as_mut() {
            acceptor.tick(now);
        }
        self.out.set(Timer::Tick, self.cluster.election.pace());
    }

    /// What the clock shows.
    fn now(&self) -> Time {
        self.clock.read(self.state.now)
    }

    /// How long to wait for progress before the next ballot. Longer with every ballot that failed,
    /// so that two that outbid each other come apart.
    fn patience(&self) -> Range<Duration> {
        let ballot = self.state.ballot();
        self.cluster
            .election
            .wait(ballot.map_or(1, |ballot| ballot.round))
    }

    fn wait_for_leader(&mut self) {
        if self.state.leader.is_some() {
            let acceptor = self.state.acceptor.as_ref();
            let promised = acceptor.and_then(|acceptor| acceptor.promised);
            let round = promised.map_or(1, |promised| promised.round);
            self.out
                .set(Timer::Campaign, self.cluster.election.wait(round));
        }
    }

    fn broadcast_to_acceptors(&mut self, message: &MessageOf<M>) {
        let acceptors = self.cluster.quorums.acceptors().iter();
        self.out.broadcast(acceptors, message);
    }
}

impl<M: Machine> fmt::Debug for NodeState<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(acceptor) = &self.acceptor {
            write!(f, "{acceptor:?}")?;
            separator = " · ";
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
