//! The protocols that choose one value, run alike: nodes that have all roles, and clients that
//! disagree.

use stateright::actor::Actor;
use std::sync::Arc;
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::certify::{ProtocolKind, Run};
use synod::quorum::QuorumError;
use synod::vote::Value;
use synod::{basic, fast};

/// A process of such a protocol, about values `V`.
pub trait Decree<V: Clone>: Actor + Sized {
    /// The name of the protocol in prose.
    const TITLE: &'static str;
    /// The protocol that a recorded run names.
    const KIND: ProtocolKind;
    /// The roles, quorums and limits that a node knows.
    type Roles;

    /// The cluster of a run.
    ///
    /// # Errors
    /// If there are no nodes.
    fn roles(run: &Run) -> Result<Self::Roles, QuorumError>;

    /// A node of a cluster.
    fn server(roles: Arc<Self::Roles>) -> Self;

    /// The cluster of a process, unless it is a client.
    fn cluster(&self) -> Option<&Self::Roles>;

    /// A client that asks these nodes for its value.
    fn client(value: V, nodes: Vec<NodeId>) -> Self;

    /// The nodes that a client asks.
    fn asked(roles: &Self::Roles) -> Vec<NodeId>;

    /// The value that a process knows to be chosen.
    fn decided(state: &Self::State) -> Option<&V>;

    /// The nodes of a cluster, and then a client for each value.
    ///
    /// # Errors
    /// If there are no nodes.
    fn actors(run: &Run, values: &[V]) -> Result<Vec<Self>, QuorumError> {
        let roles = Arc::new(Self::roles(run)?);
        let nodes = (0..run.nodes).map(|_| Self::server(Arc::clone(&roles)));
        let values = values.iter().cloned();
        let clients = values.map(|value| Self::client(value, Self::asked(&roles)));
        Ok(nodes.chain(clients).collect())
    }
}

/// Implements [`Decree`] for the processes of a module.
macro_rules! decree {
    ($module:ident, $kind:ident, $title:literal, $nodes:ident, $asked:expr) => {
        impl<V: Value> Decree<V> for $module::Process<V> {
            const TITLE: &'static str = $title;
            const KIND: ProtocolKind = ProtocolKind::$kind;
            type Roles = $module::Cluster;

            fn roles(run: &Run) -> Result<Self::Roles, QuorumError> {
                run.$module()
            }

            fn server(roles: Arc<Self::Roles>) -> Self {
                $module::Process::Node(roles)
            }

            fn cluster(&self) -> Option<&Self::Roles> {
                match self {
                    $module::Process::Node(roles) => Some(roles),
                    $module::Process::Client(_) => None,
                }
            }

            fn client(value: V, $nodes: Vec<NodeId>) -> Self {
                let backoff = Backoff::default();
                $module::Process::Client($module::Client {
                    value,
                    $nodes,
                    backoff,
                })
            }

            fn asked(roles: &Self::Roles) -> Vec<NodeId> {
                $asked(roles)
            }

            fn decided(state: &Self::State) -> Option<&V> {
                state.decided()
            }
        }
    };
}

decree!(
    basic,
    Basic,
    "Basic Paxos",
    proposers,
    |it: &basic::Cluster| it.proposers.clone()
);
decree!(fast, Fast, "Fast Paxos", nodes, fast::Cluster::asked);
