//! What the protocols' actors have in common: ids, and how a state is changed. No rule of any.

use crate::ballot::NodeId;
use stateright::actor::Id;
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
