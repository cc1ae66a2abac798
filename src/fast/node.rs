//! One process and the roles it plays: which message goes to which role, and who is told.
//!
//! Plain functions from a state and an event to a state and [`Effects`]: no sockets, no files, no
//! clock. A message to oneself is handled in the same step, by the same handlers.

use super::{Acceptor, Cluster, Coordinator, Learner, Message};
use crate::ballot::{Ballot, NodeId};
use crate::delta::{self, Delta};
use crate::effects::{self, Persistent};
use crate::fast::coordinator::Phase;
use crate::vote::{OrNone, Value, Vote};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a process remembers, by role; `None` for a role it does not play.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct NodeState<V> {
    /// The acceptor's part.
    pub acceptor: Option<Acceptor<V>>,
    /// The coordinator's part.
    pub coordinator: Option<Coordinator<V>>,
    /// What is known to be chosen. A coordinator has this part too, to know when to stop: if it is
    /// no learner, it hears of the votes in fast ballots of its own, and else is told.
    pub learner: Option<Learner<V>>,
}

/// What must survive a restart, of all roles together (`[PMS §2.5]`).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Durable<V> {
    /// Promise and vote.
    pub acceptor: Option<Acceptor<V>>,
    /// The highest ballot that the coordinator ever started.
    pub ballot: Option<Ballot>,
    /// The decision.
    pub decided: Option<V>,
}

/// It is small, and so each change is all of it.
impl<V: Value + Serialize + DeserializeOwned> Delta for Durable<V> {
    type Change = Self;

    fn changes(&self, before: Option<&Self>) -> Vec<Self> {
        delta::whole(self, before)
    }

    fn apply(_: Option<Self>, change: Self) -> Option<Self> {
        Some(change)
    }
}

impl<V: Value> NodeState<V> {
    /// The part that must survive a restart.
    #[must_use]
    pub fn durable(&self) -> Durable<V> {
        Durable {
            acceptor: self.acceptor.clone(),
            ballot: self.coordinator.as_ref().and_then(|it| it.ballot),
            decided: self.decided().cloned(),
        }
    }

    /// The value that this process knows to be chosen.
    #[must_use]
    pub fn decided(&self) -> Option<&V> {
        self.learner.as_ref()?.decided.as_ref()
    }
}

impl<V: Value> Persistent for NodeState<V> {
    type Durable = Durable<V>;
    /// All of it is small.
    type Mark = Durable<V>;

    fn mark(&self) -> Durable<V> {
        self.durable()
    }

    fn changed_since(&self, mark: &Durable<V>) -> Option<Durable<V>> {
        Some(self.durable()).filter(|durable| durable != mark)
    }
}

/// The two alarms of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Timer {
    /// The ballot, or the pause after being outbid, has lasted long enough: start a higher one.
    Retry,
    /// Nothing decided yet: ask those who may know (again).
    Ask,
}

/// What a step wants done.
pub type Effects<V> = effects::Effects<Message<V>, Timer>;

/// A step under way at one process.
pub struct Step<'a, V> {
    cluster: &'a Cluster,
    state: &'a mut NodeState<V>,
    out: &'a mut Effects<V>,
}

impl<'a, V: Value> Step<'a, V> {
    /// A step that is about to be taken.
    pub fn new(cluster: &'a Cluster, state: &'a mut NodeState<V>, out: &'a mut Effects<V>) -> Self {
        Self {
            cluster,
            state,
            out,
        }
    }

    /// The state of process `me` when it starts, for the first time or again.
    #[must_use]
    pub fn start_state(
        cluster: &Cluster,
        me: NodeId,
        durable: Option<&Durable<V>>,
    ) -> NodeState<V> {
        let is_acceptor = cluster.quorums.acceptors().contains(me);
        let acceptor = durable.and_then(|durable| durable.acceptor.clone());
        let ballot = durable.and_then(|durable| durable.ballot);
        let decided = durable.and_then(|durable| durable.decided.clone());
        NodeState {
            acceptor: is_acceptor.then(|| acceptor.unwrap_or_default()),
            coordinator: cluster
                .coordinators
                .contains(&me)
                .then(|| Coordinator::restart(ballot)),
            learner: cluster
                .is_in_decision_audience(me)
                .then(|| Learner::restart(decided)),
        }
    }

    /// Starts: asks what was decided meanwhile, and sees to a ballot that a crash cut short, for
    /// somebody may have voted in it. The first coordinator sees to it that there is a ballot.
    pub fn on_start(mut self) {
        if self.state.learner.is_some() && self.state.decided().is_none() {
            self.ask_decision();
            let coordinator = self.state.coordinator.as_ref();
            let is_due = |it: &Coordinator<V>| it.ballot.is_some() || self.is_first();
            if coordinator.is_some_and(is_due) {
                self.out.set(Timer::Retry, self.cluster.backoff.pace());
            }
        }
    }

    /// A message arrives.
    pub fn on_message(mut self, from: NodeId, message: Message<V>) {
        self.dispatch(from, message);
        self.finish();
    }

    /// A timer fires.
    pub fn on_timer(mut self, timer: Timer) {
        if self.state.decided().is_none() {
            match timer {
                Timer::Retry => self.campaign(),
                Timer::Ask => self.ask_decision(),
            }
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
    fn dispatch(&mut self, from: NodeId, message: Message<V>) {
        match message {
            Message::Propose { value } => self.on_propose(from, value),
            Message::Prepare { ballot } => {
                let acceptor = self.state.acceptor.as_mut();
                let answer = acceptor.and_then(|acceptor| acceptor.on_prepare(ballot));
                self.answer(from, answer);
            }
            Message::Promise { ballot, vote } => self.on_promise(from, ballot, vote),
            Message::Accept { vote } => {
                let rounds = self.cluster.quorums.rounds();
                let acceptor = self.state.acceptor.as_mut();
                let answer = acceptor.and_then(|acceptor| acceptor.on_accept(vote, rounds));
                self.answer(from, answer);
            }
            Message::Any { ballot } => {
                let acceptor = self.state.acceptor.as_mut();
                let answer = acceptor.and_then(|acceptor| acceptor.on_any(ballot));
                self.answer(from, answer);
            }
            Message::Accepted { vote } => self.on_accepted(from, vote),
            Message::Nack { promised } => {
                let coordinator = self.state.coordinator.as_mut();
                if coordinator.is_some_and(|coordinator| coordinator.on_nack(promised)) {
                    let pause = self.cluster.backoff.wait(promised.round);
                    self.out.set(Timer::Retry, pause);
                }
            }
            Message::Decided { value } => {
                let learner = self.state.learner.as_mut();
                if let Some(value) = learner.and_then(|learner| learner.on_decided(value)) {
                    self.stop(value);
                }
            }
            Message::Ask => self.on_ask(from),
        }
    }

    /// An acceptor's answer: a promise or a refusal to the coordinator, a vote to the learners and
    /// to the coordinator of a fast ballot.
    fn answer(&mut self, coordinator: NodeId, answer: Option<Message<V>>) {
        match answer {
            Some(Message::Nack { .. }) if !self.cluster.nacks => {}
            Some(Message::Accepted { vote }) => {
                let owner = vote.ballot.node;
                let is_watched = self.cluster.quorums.rounds().is_fast(vote.ballot);
                let accepted = Message::Accepted { vote };
                self.out
                    .broadcast(self.cluster.learners.iter().copied(), &accepted);
                if is_watched && !self.cluster.learners.contains(&owner) {
                    self.out.send(owner, accepted);
                }
            }
            Some(answer) => self.out.send(coordinator, answer),
            None => {}
        }
    }

    /// A client's request: to vote for, if a fast ballot is open, and to see to, for a coordinator.
    /// The first coordinator starts a ballot at once if none is under way; the others give it time.
    fn on_propose(&mut self, client: NodeId, value: V) {
        if let Some(value) = self.state.decided().cloned() {
            return self.out.send(client, Message::Decided { value });
        }
        let rounds = self.cluster.quorums.rounds();
        let acceptor = self.state.acceptor.as_mut();
        let vote = acceptor.and_then(|acceptor| acceptor.on_propose(value.clone(), rounds));
        self.answer(client, vote);
        let Some(coordinator) = self.state.coordinator.as_mut() else {
            return;
        };
        if coordinator.on_propose(client, value) && coordinator.phase == Phase::Idle {
            if self.is_first() {
                self.campaign();
            } else {
                self.out.set(Timer::Retry, self.cluster.backoff.pace());
            }
        }
    }

    fn on_promise(&mut self, from: NodeId, ballot: Ballot, vote: Option<Vote<V>>) {
        let Some(coordinator) = self.state.coordinator.as_mut() else {
            return;
        };
        let was_idle = coordinator.phase == Phase::Idle;
        let phase2 = coordinator.on_promise(from, ballot, vote, &self.cluster.quorums);
        let has_come_to_rest = !was_idle && coordinator.phase == Phase::Idle;
        if let Some(phase2) = phase2 {
            self.broadcast_to_acceptors(&phase2);
        }
        if has_come_to_rest {
            self.out.cancel(Timer::Retry);
        }
    }

    /// A vote: counted by the learner, and watched by the coordinator of a fast ballot.
    fn on_accepted(&mut self, from: NodeId, vote: Vote<V>) {
        let (quorums, round_max) = (&self.cluster.quorums, self.cluster.round_max);
        let learner = self.state.learner.as_mut();
        let decided = learner.and_then(|l| l.on_accepted(from, vote.clone(), quorums));
        if let Some(value) = decided {
            // Whoever finds out by counting tells the others; whoever is told need not.
            let notice = Message::Decided {
                value: value.clone(),
            };
            self.out
                .broadcast(self.cluster.decision_audience(), &notice);
            return self.stop(value);
        }
        let coordinator = self.state.coordinator.as_mut();
        let resolved = coordinator.and_then(|c| c.on_accepted(from, vote, quorums, round_max));
        if let Some(accept) = resolved {
            self.broadcast_to_acceptors(&accept);
            self.give_time();
        }
    }

    /// Whoever asks is told the decision, if it is known.
    fn on_ask(&mut self, from: NodeId) {
        if let Some(value) = self.state.decided().cloned() {
            self.out.send(from, Message::Decided { value });
        }
    }

    /// Starts a ballot, and gives it a time to succeed in.
    fn campaign(&mut self) {
        let Some(coordinator) = self.state.coordinator.as_mut() else {
            return;
        };
        let (quorums, round_max) = (&self.cluster.quorums, self.cluster.round_max);
        let acceptor = self.state.acceptor.as_ref();
        let heard = acceptor.and_then(|acceptor| acceptor.promised);
        if let Some(prepare) = coordinator.prepare(self.out.me(), heard, quorums, round_max) {
            self.broadcast_to_acceptors(&prepare);
        }
        self.give_time();
    }

    /// Gives the present ballot a time to succeed in.
    fn give_time(&mut self) {
        let coordinator = self.state.coordinator.as_ref();
        let ballot = coordinator.and_then(|coordinator| coordinator.ballot);
        let round = ballot.map_or(0, |ballot| ballot.round);
        self.out.set(Timer::Retry, self.cluster.backoff.wait(round));
    }

    /// Whether this is the coordinator that starts unasked.
    fn is_first(&self) -> bool {
        self.cluster.coordinators.first() == Some(&self.out.me())
    }

    /// Asks all who may know the decision, now and then. A vote of our own whose coordinator may be
    /// gone for good is reason enough to start a ballot: who else would finish it?
    fn ask_decision(&mut self) {
        let me = self.out.me();
        let others = self
            .cluster
            .decision_audience()
            .into_iter()
            .filter(|id| *id != me);
        self.out.broadcast(others, &Message::Ask);
        self.out.set(Timer::Ask, self.cluster.backoff.pace());
        let vote = self
            .state
            .acceptor
            .as_ref()
            .and_then(|acceptor| acceptor.vote.as_ref());
        let coordinator = self.state.coordinator.as_ref();
        let is_idle = coordinator.is_some_and(|coordinator| coordinator.phase == Phase::Idle);
        if let Some(vote) = vote.filter(|_| is_idle) {
            let patience = self.cluster.backoff.wait(vote.ballot.round);
            self.out.set(Timer::Retry, patience);
        }
    }

    /// The decision is known: nothing is left to do but to tell the client.
    fn stop(&mut self, value: V) {
        let coordinator = self.state.coordinator.as_mut();
        let waiting = coordinator.and_then(Coordinator::retire);
        if let Some(client) = waiting {
            self.out.send(client, Message::Decided { value });
        }
        self.out.cancel(Timer::Retry);
        self.out.cancel(Timer::Ask);
    }

    fn broadcast_to_acceptors(&mut self, message: &Message<V>) {
        let acceptors = self.cluster.quorums.acceptors().iter();
        self.out.broadcast(acceptors, message);
    }
}

impl<V: Value> NodeState<V> {
    /// Whether `message` from `from` can never again change this process or make it speak,
    /// whatever it does next: not even after a restart.
    ///
    /// The checker drops such messages, and verifies the claim on every step that it explores.
    /// Nothing else depends on it.
    #[must_use]
    pub fn is_stale(&self, cluster: &Cluster, from: NodeId, message: &Message<V>) -> bool {
        let is_decided = self.decided().is_some();
        let acceptor = self.acceptor.as_ref();
        let coordinator = self.coordinator.as_ref();
        match message {
            Message::Ask => false,
            // A pure acceptor makes nothing of a request once no fast ballot can be open.
            Message::Propose { .. } => {
                let rounds = cluster.quorums.rounds();
                let is_past = acceptor.is_none_or(|a| a.is_past_fast(rounds));
                is_past && coordinator.is_none() && self.learner.is_none()
            }
            // Whoever is told of a refusal may be told of the next one as well.
            Message::Prepare { .. } | Message::Accept { .. } | Message::Any { .. }
                if cluster.nacks =>
            {
                false
            }
            Message::Prepare { ballot } => acceptor.is_some_and(|a| a.is_past_prepare(*ballot)),
            Message::Accept { vote } => acceptor.is_some_and(|a| a.is_past_accept(vote)),
            Message::Any { ballot } => acceptor.is_some_and(|a| a.is_past_any(*ballot)),
            Message::Promise { ballot, .. } => {
                is_decided || coordinator.is_some_and(|c| c.is_past_promise(from, *ballot))
            }
            Message::Nack { promised } => {
                is_decided || coordinator.is_some_and(|c| c.ballot >= Some(*promised))
            }
            Message::Accepted { .. } | Message::Decided { .. } => is_decided,
        }
    }
}

impl<V: fmt::Display> fmt::Debug for NodeState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if let Some(acceptor) = &self.acceptor {
            write!(f, "{acceptor:?}")?;
            separator = " · ";
        }
        if let Some(coordinator) = &self.coordinator {
            write!(f, "{separator}{coordinator:?}")?;
            separator = " · ";
        }
        match &self.learner {
            Some(learner) => write!(f, "{separator}{learner:?}"),
            None => Ok(()),
        }
    }
}

impl<V: fmt::Display> fmt::Debug for Durable<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(acceptor) = &self.acceptor {
            write!(f, "{acceptor:?} · ")?;
        }
        let (ballot, decided) = (OrNone(&self.ballot), OrNone(&self.decided));
        write!(f, "ballot {ballot} · decided {decided}")
    }
}
