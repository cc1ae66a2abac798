//! The client: does one thing after another, and tries again until it is answered.

use super::{Message, Order, Outcome, Request};
use crate::backoff::Backoff;
use crate::ballot::NodeId;
use crate::machine::Data;
use std::fmt;

/// A client with a list of things to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Client<C> {
    /// What it does, one after the other: each once the one before is answered.
    pub tasks: Vec<Task<C>>,
    /// The session it has from the start, if any; otherwise it opens one.
    pub session: Option<u64>,
    /// The nodes that may lead. It asks all of them.
    pub leaders: Vec<NodeId>,
    /// Whether it asks the one alone that answered last, as long as that answers.
    pub is_loyal: bool,
    /// When to ask again.
    pub backoff: Backoff,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task<C> {
    /// A command, through the log; also one that only reads.
    Do(C),
    /// A read without a place in the log.
    Read(C, How),
}

/// How a read finds out that it misses no write.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum How {
    /// The leader asks a quorum whether it still leads.
    Index,
    /// The leader has a lease; if it has none, it asks.
    Lease,
}

/// What a client knows.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientState<R> {
    /// Its session.
    pub session: Option<u64>,
    /// The replies so far, one for each task. A command of a session that expired has none.
    pub replies: Vec<Outcome<R>>,
    /// Who answered last.
    pub leader: Option<NodeId>,
}

impl<R> ClientState<R> {
    /// Whether the session expired: the client has stopped, for it cannot know what became of its
    /// last command.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        matches!(self.replies.last(), Some(Outcome::Expired))
    }
}

impl<C: Data> Client<C> {
    /// What it knows when it starts.
    #[must_use]
    pub fn start<R>(&self) -> ClientState<R> {
        ClientState {
            session: self.session,
            replies: Vec::new(),
            leader: None,
        }
    }

    /// What to say now, and to whom; nothing once all is done.
    ///
    /// A command keeps its number however often it is sent, and the next is sent only when this
    /// one is answered: so no number above is used yet, and no reply below is wanted any more.
    #[must_use]
    pub fn ask<R>(&self, me: NodeId, state: &ClientState<R>) -> Vec<(NodeId, Message<C, R>)>
    where
        R: Data,
    {
        let next = state.replies.len();
        let Some(task) = self.tasks.get(next).filter(|_| !state.is_expired()) else {
            return Vec::new();
        };
        let seq = next as u64;
        let request = |order| Message::Request(Request { client: me, order });
        let message = match (task, state.session) {
            (Task::Read(query, how), _) => Message::Read {
                seq,
                query: query.clone(),
                how: *how,
            },
            (Task::Do(_), None) => request(Order::Open { seq }),
            (Task::Do(command), Some(session)) => request(Order::Do {
                session,
                seq,
                acked: seq,
                command: command.clone(),
            }),
        };
        let to = state
            .leader
            .map_or(self.leaders.clone(), |leader| vec![leader]);
        to.into_iter().map(|node| (node, message.clone())).collect()
    }

    /// An answer. Says whether it is news; then there is something new to ask, or all is done.
    pub fn on_reply<R>(
        &self,
        state: &mut ClientState<R>,
        from: NodeId,
        seq: u64,
        outcome: Outcome<R>,
    ) -> bool {
        let is_awaited = seq == state.replies.len() as u64 && !state.is_expired();
        let is_news = match &outcome {
            Outcome::Opened { .. } => is_awaited && state.session.is_none(),
            Outcome::Done(_) | Outcome::Expired => is_awaited,
        };
        if is_news {
            match outcome {
                Outcome::Opened { session } => state.session = Some(session),
                outcome => state.replies.push(outcome),
            }
            state.leader = Some(from).filter(|_| self.is_loyal);
        }
        is_news
    }
}

impl<R: fmt::Debug> fmt::Debug for ClientState<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("told")?;
        if self.replies.is_empty() {
            f.write_str(" ∅")?;
        }
        for reply in &self.replies {
            write!(f, " {reply:?}")?;
        }
        Ok(())
    }
}
