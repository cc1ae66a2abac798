//! What the protocols' actors have in common: ids, and how a step changes a state, saves and sends.
//! No rule of any.

use crate::ballot::NodeId;
use crate::effects::{Effects, Persistent};
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;

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
