//! The client: does one thing after another, and tries again until it is answered.

use super::{Message, Operation, Outcome, Request};
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
    Read(C, ReadMode),
}

/// How a read finds out that it misses no write.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum ReadMode {
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

    /// Whether a message can never again change the client or make it speak.
    #[must_use]
    pub fn is_stale<C>(&self, message: &Message<C, R>) -> bool {
        let Message::Reply { seq, outcome } = message else {
            return true;
        };
        let opens = matches!(outcome, Outcome::Opened { .. });
        *seq < self.replies.len() as u64 || self.is_expired() || (opens && self.session.is_some())
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
        let request = |operation| {
            Message::Request(Request {
                client: me,
                operation,
            })
        };
        let message = match (task, state.session) {
            (Task::Read(query, mode), _) => Message::Read {
                seq,
                query: query.clone(),
                mode: *mode,
            },
            (Task::Do(_), None) => request(Operation::Open { seq }),
            (Task::Do(command), Some(session)) => request(Operation::Do {
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

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId(9);

    fn client(session: Option<u64>, is_loyal: bool) -> Client<char> {
        let read = Task::Read('?', ReadMode::Index);
        Client {
            tasks: vec![Task::Do('x'), read, Task::Do('y')],
            session,
            leaders: vec![NodeId(0), NodeId(1)],
            is_loyal,
            backoff: Backoff::default(),
        }
    }

    fn request(operation: Operation<char>) -> Message<char, char> {
        let client = ME;
        Message::Request(Request { client, operation })
    }

    fn say(seq: u64, session: u64, command: char) -> Message<char, char> {
        request(Operation::Do {
            session,
            seq,
            acked: seq,
            command,
        })
    }

    fn done(client: &Client<char>, state: &mut ClientState<char>, seq: u64) -> bool {
        client.on_reply(state, NodeId(1), seq, Outcome::Done('r'))
    }

    #[test]
    fn a_client_opens_a_session_before_it_does_anything() {
        let client = client(None, false);
        let mut state = client.start();
        let open = request(Operation::Open { seq: 0 });
        let asked = client.ask(ME, &state);
        assert_eq!(asked, [(NodeId(0), open.clone()), (NodeId(1), open)]);
        let opened = |session| Outcome::Opened { session };
        assert!(client.on_reply(&mut state, NodeId(0), 0, opened(5)));
        let is_news = client.on_reply(&mut state, NodeId(0), 0, opened(6));
        assert!(!is_news, "it has one");
        assert_eq!(client.ask(ME, &state)[0].1, say(0, 5, 'x'));
    }

    #[test]
    fn a_command_keeps_its_number_until_it_is_answered() {
        let client = client(Some(0), false);
        let mut state = client.start();
        assert_eq!(client.ask(ME, &state)[0].1, say(0, 0, 'x'));
        assert_eq!(client.ask(ME, &state)[0].1, say(0, 0, 'x'));
        assert!(done(&client, &mut state, 0));
        let (seq, query, mode) = (1, '?', ReadMode::Index);
        let read = Message::Read { seq, query, mode };
        assert_eq!(client.ask(ME, &state)[0].1, read);
        assert!(done(&client, &mut state, 1));
        assert_eq!(client.ask(ME, &state)[0].1, say(2, 0, 'y'));
        assert!(done(&client, &mut state, 2));
        assert_eq!(client.ask(ME, &state), []);
    }

    #[test]
    fn a_reply_to_anything_but_the_task_at_hand_is_no_news() {
        let client = client(Some(0), false);
        let mut state = client.start();
        done(&client, &mut state, 0);
        let before = state.clone();
        for seq in [0, 2, u64::MAX] {
            assert!(!done(&client, &mut state, seq));
        }
        assert!(state == before);
    }

    #[test]
    fn a_loyal_client_asks_whoever_answered_and_others_ask_all() {
        for (is_loyal, asked) in [(true, vec![NodeId(1)]), (false, vec![NodeId(0), NodeId(1)])] {
            let client = client(Some(0), is_loyal);
            let mut state = client.start();
            done(&client, &mut state, 0);
            let to = client.ask(ME, &state).into_iter().map(|(to, _)| to);
            assert_eq!(to.collect::<Vec<_>>(), asked);
        }
    }

    #[test]
    fn a_client_whose_session_expired_stops() {
        let client = client(Some(0), false);
        let mut state = client.start();
        assert!(client.on_reply(&mut state, NodeId(0), 0, Outcome::Expired));
        assert!(state.is_expired());
        assert_eq!(client.ask(ME, &state), []);
        assert!(!done(&client, &mut state, 1));
    }
}
