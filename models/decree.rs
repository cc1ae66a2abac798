//! The protocols that choose one value, run alike: nodes that have all roles, and clients that
//! disagree.

use stateright::actor::Actor;
use std::sync::Arc;
use synod::backoff::Backoff;
use synod::certify::{ProtocolKind, Run};
use synod::quorum::QuorumError;
use synod::vote::Value;
use synod::{basic, fast};

/// A process of such a protocol, about values `V`.
pub trait Decree<V>: Actor + Sized {
    /// The name of the protocol in prose.
    const TITLE: &'static str;
    /// The protocol that a recorded run names.
    const KIND: ProtocolKind;

    /// The nodes of a cluster, and then a client for each value.
    ///
    /// # Errors
    /// If there are no nodes.
    fn actors(run: &Run, values: &[V]) -> Result<Vec<Self>, QuorumError>;

    /// The value that a process knows to be chosen.
    fn decided(state: &Self::State) -> Option<&V>;
}

impl<V: Value> Decree<V> for basic::Process<V> {
    const TITLE: &'static str = "Basic Paxos";
    const KIND: ProtocolKind = ProtocolKind::Basic;

    fn actors(run: &Run, values: &[V]) -> Result<Vec<Self>, QuorumError> {
        let cluster = Arc::new(run.basic()?);
        let nodes = (0..run.nodes).map(|_| basic::Process::Node(Arc::clone(&cluster)));
        let clients = values.iter().map(|value| {
            basic::Process::Client(basic::Client {
                value: value.clone(),
                proposers: cluster.proposers.clone(),
                backoff: Backoff::default(),
            })
        });
        Ok(nodes.chain(clients).collect())
    }

    fn decided(state: &Self::State) -> Option<&V> {
        state.decided()
    }
}

impl<V: Value> Decree<V> for fast::Process<V> {
    const TITLE: &'static str = "Fast Paxos";
    const KIND: ProtocolKind = ProtocolKind::Fast;

    fn actors(run: &Run, values: &[V]) -> Result<Vec<Self>, QuorumError> {
        let cluster = Arc::new(run.fast()?);
        let nodes = (0..run.nodes).map(|_| fast::Process::Node(Arc::clone(&cluster)));
        let clients = values.iter().map(|value| {
            fast::Process::Client(fast::Client {
                value: value.clone(),
                nodes: cluster.asked(),
                backoff: Backoff::default(),
            })
        });
        Ok(nodes.chain(clients).collect())
    }

    fn decided(state: &Self::State) -> Option<&V> {
        state.decided()
    }
}
