//! The protocols that choose one value, played alike: nodes that have all roles, and clients that
//! disagree.

use super::Error;
use stateright::actor::Actor;
use std::sync::Arc;
use synod::backoff::Backoff;
use synod::certify::{Run, Spoken};
use synod::vote::Value;
use synod::{basic, fast};

/// A process of such a protocol, about values `V`.
pub(super) trait Decree<V>: Actor + Sized {
    /// What the protocol is called.
    const TITLE: &'static str;
    /// What a recorded run of it says that it speaks.
    const SPOKEN: Spoken;

    /// The nodes of a cluster, and then a client for each value.
    fn cast(run: &Run, values: &[V]) -> Result<Vec<Self>, Error>;

    /// The value that a process knows to be chosen.
    fn decided(state: &Self::State) -> Option<&V>;
}

impl<V: Value> Decree<V> for basic::Process<V> {
    const TITLE: &'static str = "Basic Paxos";
    const SPOKEN: Spoken = Spoken::Basic;

    fn cast(run: &Run, values: &[V]) -> Result<Vec<Self>, Error> {
        let cluster = Arc::new(run.basic().map_err(Error::other)?);
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
    const SPOKEN: Spoken = Spoken::Fast;

    fn cast(run: &Run, values: &[V]) -> Result<Vec<Self>, Error> {
        let cluster = Arc::new(run.fast().map_err(Error::other)?);
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
