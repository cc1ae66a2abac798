//! The client: wants its value chosen, and is content with whatever is.

use super::node::Effects;
use super::{Message, Timer};
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

    /// Sends the request, and waits for an answer before it sends it again.
    pub fn ask(&self, out: &mut Effects<V>) {
        out.broadcast(self.nodes.iter().copied(), &self.request());
        out.set(Timer::Retry, self.backoff.pace());
    }
}

impl<V: Value> ClientState<V> {
    /// A message arrives: once it brings the decision, the client stops to ask.
    pub fn on_message(&mut self, message: Message<V>, out: &mut Effects<V>) {
        match message {
            Message::Decided { value } if self.decided.is_none() => {
                self.decided = Some(value);
                out.cancel(Timer::Retry);
            }
            Message::Decided { .. }
            | Message::Propose { .. }
            | Message::Prepare { .. }
            | Message::Promise { .. }
            | Message::Any { .. }
            | Message::Accept { .. }
            | Message::Accepted { .. }
            | Message::Nack { .. }
            | Message::Ask => {}
        }
    }
}

impl<V: fmt::Display> fmt::Debug for ClientState<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "told {}", OrNone(&self.decided))
    }
}
