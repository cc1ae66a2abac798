//! What the protocols' actors have in common: ids, how a state is changed, and how effects are
//! handed on. No rule of any.

use crate::ballot::NodeId;
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

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

/// Changes a state in place. A borrowed one, the checker's, becomes owned only if it did change,
/// which is how stateright tells a step from a no-op; an owned one, the runtime's, is not copied.
pub(crate) fn update<S: Clone + PartialEq>(state: &mut Cow<S>, change: impl FnOnce(&mut S)) {
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

/// Hands on what a step wants done: messages, and alarms to set to a time from a range or (`None`)
/// to cancel.
pub(crate) fn emit<A: Actor>(
    sends: impl IntoIterator<Item = (NodeId, A::Msg)>,
    timers: impl IntoIterator<Item = (A::Timer, Option<Range<Duration>>)>,
    out: &mut Out<A>,
) {
    for (to, message) in sends {
        out.send(to.into(), message);
    }
    for (timer, wait) in timers {
        match wait {
            Some(range) => out.set_timer(timer, range),
            None => out.cancel_timer(timer),
        }
    }
}
