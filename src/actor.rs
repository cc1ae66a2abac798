//! What the protocols' actors have in common: ids, and how a step changes a state, saves and sends.
//! No rule of any.

use crate::ballot::NodeId;
use crate::effects::{Effects, Persistent};
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::fmt;

impl From<Id> for NodeId {
    fn from(id: Id) -> Self {
        // Ids are small indices, in the models and over UDP alike; an id beyond `u32` belongs to
        // nobody, and neither does the last node id.
        NodeId(u32::try_from(usize::from(id)).unwrap_or(u32::MAX))
    }
}

impl From<NodeId> for Id {
    fn from(node: NodeId) -> Self {
        Id::from(node.0 as usize)
    }
}

/// The state of a process: of a node, which plays roles, or of a client.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ProcessState<N, C> {
    /// A node's roles.
    Node(N),
    /// A client's knowledge.
    Client(C),
}

impl<N, C> ProcessState<N, C> {
    /// The node, unless the process is a client.
    #[must_use]
    pub fn node(&self) -> Option<&N> {
        match self {
            ProcessState::Node(node) => Some(node),
            ProcessState::Client(_) => None,
        }
    }

    /// The client, unless the process is a node.
    #[must_use]
    pub fn client(&self) -> Option<&C> {
        match self {
            ProcessState::Client(client) => Some(client),
            ProcessState::Node(_) => None,
        }
    }
}

impl<N: fmt::Debug, C: fmt::Debug> fmt::Debug for ProcessState<N, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessState::Node(node) => node.fmt(f),
            ProcessState::Client(client) => client.fmt(f),
        }
    }
}

/// A client saves nothing.
impl<N: Persistent, C> Persistent for ProcessState<N, C> {
    type Durable = N::Durable;
    type Mark = Option<N::Mark>;

    fn mark(&self) -> Self::Mark {
        self.node().map(N::mark)
    }

    fn changed_since(&self, mark: &Self::Mark) -> Option<N::Durable> {
        self.node()?.changed_since(mark.as_ref()?)
    }
}

/// Starts a process. There is nothing to save: all that is durable was.
pub(crate) fn start<A: Actor>(
    id: Id,
    out: &mut Out<A>,
    begin: impl FnOnce(&mut Effects<A::Msg, A::Timer>) -> A::State,
) -> A::State {
    let mut effects = Effects::of(id.into());
    let state = begin(&mut effects);
    emit(effects, out);
    state
}

/// Takes a step of a process: what it changed of the durable state is saved, and only then are its
/// effects handed on.
///
/// This is the one place where a state is saved, so no message can leave before the promise or the
/// vote behind it is on disk.
pub(crate) fn run<A>(
    id: Id,
    state: &mut Cow<A::State>,
    out: &mut Out<A>,
    step: impl FnOnce(&mut A::State, &mut Effects<A::Msg, A::Timer>),
) where
    A: Actor<State: Persistent<Durable = A::Storage>>,
{
    let before = state.mark();
    let mut effects = Effects::of(id.into());
    update(state, |state| step(state, &mut effects));
    if let Some(durable) = state.changed_since(&before) {
        out.save(durable);
    }
    emit(effects, out);
}

/// Changes a state in place. A borrowed one, the checker's, becomes owned only if it did change,
/// which is how stateright tells a step from a no-op; an owned one, the runtime's, is not copied.
fn update<S: Clone + PartialEq>(state: &mut Cow<S>, change: impl FnOnce(&mut S)) {
    match state {
        Cow::Owned(owned) => change(owned),
        Cow::Borrowed(borrowed) => {
            let mut changed = borrowed.clone();
            change(&mut changed);
            if changed != **borrowed {
                *state = Cow::Owned(changed);
            }
        }
    }
}

/// Hands on what a step wants done.
fn emit<A: Actor>(effects: Effects<A::Msg, A::Timer>, out: &mut Out<A>) {
    for (to, message) in effects.sends {
        out.send(to.into(), message);
    }
    for (timer, wait) in effects.timers {
        match wait {
            Some(range) => out.set_timer(timer, range),
            None => out.cancel_timer(timer),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing;
