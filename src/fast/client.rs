//! The client: wants its value chosen, and is content with whatever is.

use super::Message;
use crate::backoff::Backoff;
use crate::ballot::NodeId;
use crate::vote::{OrNone, Value};
use std::fmt;

/// A client's configuration. It never changes its mind: one value, proposed until it hears what
/// was decided.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client<V> {
    /// The value it proposes.
    pub value: V,
    /// Whom it asks: every acceptor, to vote, and every coordinator, to see to it.
    pub nodes: Vec<NodeId>,
    /// How long it waits before it asks again.
    pub backoff: Backoff,
}

/// What a client knows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientState<V> {
    /// The value that it was told is chosen. Not necessarily its own.
    pub decided: Option<V>,
}

impl<V: Value> Client<V> {
    /// The request to send to the nodes, again and again until one answers.
    #[must_use]
    pub fn request(&self) -> Message<V> {
        let value = self.value.clone();
        Message::Propose { value }
    }
}

impl<V: Value> ClientState<V> {
    /// A message arrives. Says whether the client now knows the decision and did not before.
    pub fn on_message(&mut self, message: Message<V>) -> bool {
        match message {
            Message::Decided { value } if self.decided.is_none() => {
                self.decided = Some(value);
                true
            }
            Message::Decided { .. }
            | Message::Propose { .. }
            | Message::Prepare { .. }
            | Message::Promise { .. }
            | Message::Any { .. }
            | Message::Accept { .. }
            | Message::Accepted { .. }
            | Message::Nack { .. }
            | Message::Ask => false,
        }
    }
}

impl<V: fmt::Display> fmt::Debug for ClientState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "told {}", OrNone(&self.decided))
    }
}
