//! A process as stateright's actor: a node or a client.

use super::node::Step;
use super::{Client, ClientState, Cluster, Durable, Message, NodeState, Timer};
use crate::actor::{self, run, start};
use crate::ballot::NodeId;
use crate::vote::Value;
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::sync::Arc;

/// A process: a node of the cluster, whose roles follow from its id, or a client.
#[derive(Clone, Debug)]
pub enum Process<V> {
    /// A node that plays the roles which the cluster gives it.
    Node(Arc<Cluster>),
    /// A client.
    Client(Client<V>),
}

/// The state of a [`Process`].
pub type ProcessState<V> = actor::ProcessState<NodeState<V>, ClientState<V>>;

impl<V: Value> ProcessState<V> {
    /// The value that the process knows to be chosen.
    #[must_use]
    pub fn decided(&self) -> Option<&V> {
        match self {
            ProcessState::Node(node) => node.decided(),
            ProcessState::Client(client) => client.decided.as_ref(),
        }
    }

    /// Whether `message` from `from` can never again matter: see [`NodeState::is_stale`].
    #[must_use]
    pub fn is_stale(&self, cluster: &Cluster, from: NodeId, message: &Message<V>) -> bool {
        match self {
            ProcessState::Node(node) => node.is_stale(cluster, from, message),
            ProcessState::Client(client) => client.decided.is_some(),
        }
    }
}

impl<V: Value> Actor for Process<V> {
    type Msg = Message<V>;
    type Timer = Timer;
    type State = ProcessState<V>;
    type Storage = Durable<V>;
    type Random = ();

    fn on_start(&self, id: Id, storage: &Option<Durable<V>>, out: &mut Out<Self>) -> Self::State {
        start(id, out, |effects| match self {
            Process::Node(cluster) => {
                let mut node = Step::start_state(cluster, id.into(), storage.as_ref());
                Step::new(cluster, &mut node, effects).on_start();
                ProcessState::Node(node)
            }
            Process::Client(client) => {
                client.ask(effects);
                ProcessState::Client(ClientState { decided: None })
            }
        })
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<Self::State>,
        src: Id,
        msg: Message<V>,
        out: &mut Out<Self>,
    ) {
        run(id, state, out, |state, effects| match (self, state) {
            (Process::Node(cluster), ProcessState::Node(node)) => {
                Step::new(cluster, node, effects).on_message(src.into(), msg);
            }
            (Process::Client(_), ProcessState::Client(client)) => client.on_message(msg, effects),
            _ => {}
        });
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<Self::State>, timer: &Timer, out: &mut Out<Self>) {
        run(id, state, out, |state, effects| match (self, state) {
            (Process::Node(cluster), ProcessState::Node(node)) => {
                Step::new(cluster, node, effects).on_timer(*timer);
            }
            (Process::Client(client), ProcessState::Client(_)) => client.ask(effects),
            _ => {}
        });
    }

    fn name(&self) -> String {
        match self {
            Process::Node(_) => "node".to_owned(),
            Process::Client(_) => "client".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
