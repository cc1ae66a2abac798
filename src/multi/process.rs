//! A process as stateright's actor: a node or a client.

use super::lease::Time;
use super::node::{Effects, Step};
use super::{
    Alarm, Client, ClientState, Clock, Cluster, Durable, Message, MessageOf, NodeState, Timer,
};
use crate::actor::{self, run, start};
use crate::ballot::NodeId;
use crate::machine::Machine;
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::sync::Arc;

/// A process: a node of the cluster, whose roles follow from its id, or a client.
///
/// # Replicating your own state machine
///
/// A counter on three nodes, and a client that adds to it. Here a queue is all the network there
/// is, and nothing is saved; the [`runtime`](crate::runtime) runs the same processes over UDP.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use stateright::actor::{Actor, Command, Id, Out};
/// use std::borrow::Cow;
/// use std::collections::VecDeque;
/// use std::sync::Arc;
/// use synod::backoff::Backoff;
/// use synod::ballot::NodeId;
/// use synod::machine::Machine;
/// use synod::multi::{
///     Alarm, Client, Clock, Cluster, Limits, Outcome, Process, Sessions, Task, Timer,
/// };
///
/// #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
/// struct Counter(u64);
///
/// impl Machine for Counter {
///     type Command = u64; // how much to add
///     type Reply = u64; // what that makes
///
///     fn apply(&mut self, add: &u64) -> u64 {
///         self.0 = self.0.wrapping_add(*add);
///         self.0
///     }
///
///     fn read(&self, add: &u64) -> Option<u64> {
///         (*add == 0).then_some(self.0)
///     }
/// }
///
/// let cluster = Arc::new(Cluster {
///     // No clock here, and so no leases.
///     lease: None,
///     heartbeat: None,
///     // Nor timers, for requests to wait for.
///     limits: Limits { gathers: false, ..Limits::default() },
///     ..Cluster::of_replicas(3, Sessions::new(Counter(0), 100))?
/// });
/// let client = Process::Client(Client {
///     tasks: vec![Task::Do(20), Task::Do(22)],
///     session: None,
///     leaders: cluster.proposers.clone(),
///     is_loyal: true,
///     backoff: Backoff::default(),
/// });
///
/// let mut processes = vec![Process::Node(cluster, Clock::Ticks); 3];
/// processes.push(client);
/// let mut states = Vec::new();
/// let mut wire = VecDeque::new();
/// let post = |wire: &mut VecDeque<_>, from: Id, out: Out<Process<Counter>>| {
///     wire.extend(out.into_iter().filter_map(|command| match command {
///         Command::Send(to, message) => Some((from, to, message)),
///         _ => None, // nothing crashes, and nothing is lost: no need to save or to wait
///     }));
/// };
/// for (index, process) in processes.iter().enumerate() {
///     let (id, mut out) = (Id::from(index), Out::new());
///     let mut state = Cow::Owned(process.on_start(id, &None, &mut out));
///     if index == 2 {
///         // It waited for a leader long enough.
///         process.on_timeout(id, &mut state, &Alarm::Node(Timer::Campaign), &mut out);
///     }
///     states.push(state.into_owned());
///     post(&mut wire, id, out);
///     while let Some((from, to, message)) = wire.pop_front() {
///         let (index, mut out) = (usize::from(to), Out::new());
///         let mut state = Cow::Owned(states[index].clone());
///         processes[index].on_msg(to, &mut state, from, message, &mut out);
///         states[index] = state.into_owned();
///         post(&mut wire, to, out);
///     }
/// }
///
/// let replies = states[3].client().map(|client| client.replies.clone());
/// assert_eq!(replies, Some(vec![Outcome::Done(20), Outcome::Done(42)]));
/// for state in &states[..3] {
///     let learner = state.node().and_then(|node| node.learner.as_ref());
///     assert_eq!(learner.map(|it| it.sessions.machine().0), Some(42));
/// }
/// # Ok::<(), synod::quorum::QuorumError>(())
/// ```
#[derive(Clone, Debug)]
pub enum Process<M: Machine> {
    /// A node that plays the roles which the cluster gives it.
    Node(Arc<Cluster<M>>, Clock),
    /// A client.
    Client(Client<M::Command>),
}

/// The state of a [`Process`].
pub type ProcessState<M> =
    actor::ProcessState<Box<NodeState<M>>, ClientState<<M as Machine>::Reply>>;

impl<M: Machine> ProcessState<M> {
    /// Whether `message` from `from` can never again matter: see [`NodeState::is_stale`].
    #[must_use]
    pub fn is_stale(&self, cluster: &Cluster<M>, from: NodeId, message: &MessageOf<M>) -> bool {
        match self {
            ProcessState::Node(node) => node.is_stale(cluster, from, message),
            ProcessState::Client(client) => client.is_stale(message),
        }
    }
}

impl<M: Machine> Process<M> {
    /// A client says what it wants, and will say it again.
    fn ask(client: &Client<M::Command>, state: &ClientState<M::Reply>, out: &mut Effects<M>) {
        let requests = client.ask(out.me(), state);
        if requests.is_empty() {
            return out.cancel(Alarm::Retry);
        }
        for (to, message) in requests {
            out.send(to, message);
        }
        out.set(Alarm::Retry, client.backoff.pace());
    }
}

impl<M: Machine> Actor for Process<M> {
    type Msg = MessageOf<M>;
    type Timer = Alarm;
    type State = ProcessState<M>;
    type Storage = Durable<M>;
    type Random = ();

    fn on_start(&self, id: Id, storage: &Option<Durable<M>>, out: &mut Out<Self>) -> Self::State {
        start(id, out, |effects| match self {
            Process::Node(cluster, clock) => {
                let now = clock.read(Time(0));
                let mut node = Step::start_state(cluster, id.into(), storage.as_ref(), now);
                Step::new(cluster, *clock, &mut node, effects).on_start();
                if matches!(clock, Clock::Ticks) && cluster.lease.is_some() {
                    effects.set(Timer::Tick, cluster.election.pace());
                }
                ProcessState::Node(Box::new(node))
            }
            Process::Client(client) => {
                let state = client.start();
                Self::ask(client, &state, effects);
                ProcessState::Client(state)
            }
        })
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<Self::State>,
        src: Id,
        msg: Self::Msg,
        out: &mut Out<Self>,
    ) {
        run(id, state, out, |state, effects| match (self, state) {
            (Process::Node(cluster, clock), ProcessState::Node(node)) => {
                Step::new(cluster, *clock, node, effects).on_message(src.into(), msg);
            }
            (Process::Client(client), ProcessState::Client(state)) => {
                if let Message::Reply { seq, outcome } = msg
                    && client.on_reply(state, src.into(), seq, outcome)
                {
                    Self::ask(client, state, effects);
                }
            }
            _ => {}
        });
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<Self::State>, timer: &Alarm, out: &mut Out<Self>) {
        run(id, state, out, |state, effects| {
            match (self, state, timer) {
                (Process::Node(cluster, clock), ProcessState::Node(node), Alarm::Node(timer)) => {
                    Step::new(cluster, *clock, node, effects).on_timer(*timer);
                }
                (Process::Client(client), ProcessState::Client(state), Alarm::Retry) => {
                    // Whoever answered last may be gone.
                    state.leader = None;
                    Self::ask(client, state, effects);
                }
                _ => {}
            }
        });
    }

    fn name(&self) -> String {
        match self {
            Process::Node(..) => "node".to_owned(),
            Process::Client(_) => "client".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
