//! One process and the roles it plays: which message goes to which role, and who is told.
//!
//! Plain functions from a state and an event to a state and [`Effects`]: no sockets, no files, no
//! clock. A message to oneself is handled in the same step, by the same handlers.

use super::{Acceptor, Cluster, Learner, Message, Proposer};
use crate::ballot::{Ballot, NodeId};
use crate::basic::proposer::Phase;
use crate::delta::{self, Delta};
use crate::effects::{self, Persistent};
use crate::vote::{OrNone, Value, Vote};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a process remembers, by role; `None` for a role it does not play.
#[derive(Clone, PartialEq, Eq, Hash, Serialize)]
pub struct NodeState<V> {
    /// The acceptor's part.
    pub acceptor: Option<Acceptor<V>>,
    /// The proposer's part.
    pub proposer: Option<Proposer<V>>,
    /// What is known to be chosen. A proposer has this part too, to know when to stop: if it is
    /// no learner, it is told instead of counting votes.
    pub learner: Option<Learner<V>>,
}

/// What must survive a restart, of all roles together (`[PMS §2.5]`).
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Durable<V> {
    /// Promise and vote.
    pub acceptor: Option<Acceptor<V>>,
    /// The highest ballot that the proposer ever started.
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
            ballot: self.proposer.as_ref().and_then(|proposer| proposer.ballot),
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
            proposer: cluster
                .proposers
                .contains(&me)
                .then(|| Proposer::restart(ballot)),
            learner: cluster
                .is_in_decision_audience(me)
                .then(|| Learner::restart(decided)),
        }
    }

    /// Starts: asks what was decided meanwhile, and sees to a ballot that a crash cut short, for
    /// somebody may have voted in it.
    pub fn on_start(mut self) {
        if self.state.learner.is_some() && self.state.decided().is_none() {
            self.ask_decision();
            let proposer = self.state.proposer.as_ref();
            if proposer.is_some_and(|proposer| proposer.ballot.is_some()) {
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
                let acceptor = self.state.acceptor.as_mut();
                let answer = acceptor.and_then(|acceptor| acceptor.on_accept(vote));
                self.answer(from, answer);
            }
            Message::Accepted { vote } => {
                let quorums = &self.cluster.quorums;
                let learner = self.state.learner.as_mut();
                if let Some(value) = learner.and_then(|l| l.on_accepted(from, vote, quorums)) {
                    // Whoever finds out by counting tells the others; whoever is told need not.
                    let notice = Message::Decided {
                        value: value.clone(),
                    };
                    self.out
                        .broadcast(self.cluster.decision_audience(), &notice);
                    self.stop(value);
                }
            }
            Message::Nack { promised } => {
                let proposer = self.state.proposer.as_mut();
                if proposer.is_some_and(|proposer| proposer.on_nack(promised)) {
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

    /// An acceptor's answer: a promise or a refusal to the proposer, a vote to the learners.
    fn answer(&mut self, proposer: NodeId, answer: Option<Message<V>>) {
        match answer {
            Some(Message::Nack { .. }) if !self.cluster.nacks => {}
            Some(vote @ Message::Accepted { .. }) => self
                .out
                .broadcast(self.cluster.learners.iter().copied(), &vote),
            Some(answer) => self.out.send(proposer, answer),
            None => {}
        }
    }

    fn on_propose(&mut self, client: NodeId, value: V) {
        if let Some(value) = self.state.decided().cloned() {
            return self.out.send(client, Message::Decided { value });
        }
        let Some(proposer) = self.state.proposer.as_mut() else {
            return;
        };
        if proposer.on_propose(client, value) && proposer.phase == Phase::Idle {
            self.campaign();
        }
    }

    fn on_promise(&mut self, from: NodeId, ballot: Ballot, vote: Option<Vote<V>>) {
        let Some(proposer) = self.state.proposer.as_mut() else {
            return;
        };
        let was_idle = proposer.phase == Phase::Idle;
        let accept = proposer.on_promise(from, ballot, vote, &self.cluster.quorums);
        let has_come_to_rest = !was_idle && proposer.phase == Phase::Idle;
        if let Some(accept) = accept {
            self.broadcast_to_acceptors(&accept);
        }
        if has_come_to_rest {
            self.out.cancel(Timer::Retry);
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
        let Some(proposer) = self.state.proposer.as_mut() else {
            return;
        };
        let heard = self
            .state
            .acceptor
            .as_ref()
            .and_then(|acceptor| acceptor.promised);
        let prepare = proposer.prepare(self.out.me(), heard, self.cluster.round_max);
        let round = proposer.ballot.map_or(0, |ballot| ballot.round);
        if let Some(prepare) = prepare {
            self.broadcast_to_acceptors(&prepare);
        }
        self.out.set(Timer::Retry, self.cluster.backoff.wait(round));
    }

    /// Asks all who may know the decision, now and then. A vote of our own whose proposer may be
    /// gone for good is reason enough to propose: who else would finish it?
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
        let proposer = self.state.proposer.as_ref();
        if let Some(vote) = vote.filter(|_| proposer.is_some_and(|p| p.phase == Phase::Idle)) {
            let patience = self.cluster.backoff.wait(vote.ballot.round);
            self.out.set(Timer::Retry, patience);
        }
    }

    /// The decision is known: nothing is left to do but to tell the client.
    fn stop(&mut self, value: V) {
        let waiting = self.state.proposer.as_mut().and_then(Proposer::retire);
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
        let proposer = self.proposer.as_ref();
        match message {
            Message::Propose { .. } | Message::Ask => false,
            // Whoever is told of a refusal may be told of the next one as well.
            Message::Prepare { .. } | Message::Accept { .. } if cluster.nacks => false,
            Message::Prepare { ballot } => acceptor.is_some_and(|a| a.is_past_prepare(*ballot)),
            Message::Accept { vote } => acceptor.is_some_and(|a| a.is_past_accept(vote)),
            Message::Promise { ballot, .. } => {
                is_decided || proposer.is_some_and(|p| p.is_past(from, *ballot))
            }
            Message::Nack { promised } => {
                is_decided || proposer.is_some_and(|p| p.ballot >= Some(*promised))
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
        if let Some(proposer) = &self.proposer {
            write!(f, "{separator}{proposer:?}")?;
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
