//! Sessions: every command takes effect once, however often its client had to send it.

mod replies;

use crate::ballot::NodeId;
use crate::machine::Machine;
use replies::Replies;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What a client wants done, and who it is.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Request<C> {
    /// The process to answer.
    pub client: NodeId,
    /// What it wants.
    pub operation: Operation<C>,
}

impl<C> Request<C> {
    /// Larger ones are refused: an entry must fit into one datagram wherever it is sent again.
    pub const BYTES_MAX: usize = 32 << 10;
}

/// What a client may want done.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Operation<C> {
    /// A session, without which nothing is done. Asked for twice, there are two, of which the one
    /// that is not used expires.
    Open {
        /// Returned with the reply, by which the client knows it.
        seq: u64,
    },
    /// A command.
    Do {
        /// The session, as it was opened.
        session: u64,
        /// The client's number for the command: never used for another in the same session, and
        /// less than 4,096 above that of any whose reply the client does not have. A session that
        /// would have to remember more replies than that expires.
        seq: u64,
        /// The client has the replies to all commands below, and will never ask for them again.
        acked: u64,
        /// The command.
        command: C,
    },
}

impl<C> Operation<C> {
    /// The client's number for it.
    #[must_use]
    pub fn seq(&self) -> u64 {
        match self {
            Operation::Open { seq } | Operation::Do { seq, .. } => *seq,
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Request<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.operation {
            Operation::Open { seq } => write!(f, "{}#{seq} open", self.client),
            Operation::Do { seq, command, .. } => write!(f, "{}#{seq} {command:?}", self.client),
        }
    }
}

/// What became of an operation.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Outcome<R> {
    /// The session is open.
    Opened {
        /// Its number.
        session: u64,
    },
    /// The command was applied, once.
    Done(R),
    /// The session is unknown, or has expired: whether the command was ever applied is not known
    /// any more, and it will not be from now on.
    Expired,
}

impl<R: fmt::Debug> fmt::Debug for Outcome<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Opened { session } => write!(f, "session {session}"),
            Outcome::Done(reply) => write!(f, "{reply:?}"),
            Outcome::Expired => f.write_str("expired"),
        }
    }
}

/// How many replies a session keeps: one whose client acknowledges nothing expires after so many.
const REPLIES_MAX: usize = 4_096;

/// A machine, and who may use it: part of what is replicated, so that every replica decides alike
/// whether a command was applied before.
///
/// `[Raft thesis §6.3]` (Ongaro, 2014), which is about any replicated log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(bound(serialize = "", deserialize = ""))]
pub struct Sessions<M: Machine> {
    machine: M,
    open: BTreeMap<u64, Session<M::Reply>>,
    /// How many sessions were ever opened: the number of the next.
    opened: u64,
    /// How many operations there were: the clock by which sessions expire, the same everywhere.
    operations: u64,
    capacity: u64,
}

/// What is remembered of a session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct Session<R> {
    /// When it was last used, counted in operations.
    used: u64,
    /// No command below is remembered: the client has all those replies.
    acked: u64,
    /// The replies to the commands that were applied, by their numbers.
    replies: Replies<R>,
}

impl<M: Machine> Sessions<M> {
    /// A machine that nobody uses yet, and that at most `capacity` sessions will use at a time:
    /// the one that was not used for longest makes room for a new one.
    #[must_use]
    pub fn new(machine: M, capacity: u64) -> Self {
        Self {
            machine,
            open: BTreeMap::new(),
            opened: 0,
            operations: 0,
            capacity: capacity.max(1),
        }
    }

    /// The machine.
    #[must_use]
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// What became of an operation that was carried out before; `None` if it was not, or if its
    /// client has the reply.
    #[must_use]
    pub fn cached_reply(&self, operation: &Operation<M::Command>) -> Option<Outcome<M::Reply>> {
        let Operation::Do { session, seq, .. } = operation else {
            return None;
        };
        let reply = self.open.get(session)?.replies.get(*seq)?;
        Some(Outcome::Done(reply.clone()))
    }

    /// Whether nothing is ever to be done for an operation any more: its client has the reply.
    #[must_use]
    pub fn is_past(&self, operation: &Operation<M::Command>) -> bool {
        let Operation::Do { session, seq, .. } = operation else {
            return false;
        };
        let session = self.open.get(session);
        session.is_some_and(|session| *seq < session.acked)
    }

    /// Carries out an operation, unless that was done before, and says what became of it; `None` if
    /// the client has the reply.
    ///
    /// `[Raft thesis §6.3]`
    pub fn apply_operation(
        &mut self,
        operation: &Operation<M::Command>,
    ) -> Option<Outcome<M::Reply>> {
        self.operations = self.operations.saturating_add(1);
        match operation {
            Operation::Open { .. } => Some(self.open()),
            Operation::Do {
                session: id,
                seq,
                acked,
                command,
            } => {
                let Some(session) = self.open.get_mut(id) else {
                    return Some(Outcome::Expired);
                };
                session.used = self.operations;
                session.acked = session.acked.max(*acked);
                session.replies.forget_below(session.acked);
                if *seq < session.acked {
                    return None;
                }
                let machine = &mut self.machine;
                let make = || machine.apply(command);
                let reply = session.replies.get_or_insert_with(*seq, make).clone();
                if session.replies.len() > REPLIES_MAX {
                    self.open.remove(id);
                }
                Some(Outcome::Done(reply))
            }
        }
    }

    /// Opens a session. What is forgotten to make room depends on the log alone, never on a clock:
    /// else replicas would differ on whether a command was applied.
    fn open(&mut self) -> Outcome<M::Reply> {
        while self.open.len() as u64 >= self.capacity {
            let oldest = self.open.iter().min_by_key(|(id, it)| (it.used, **id));
            let Some(oldest) = oldest.map(|(id, _)| *id) else {
                break;
            };
            self.open.remove(&oldest);
        }
        let session = self.opened;
        self.opened = self.opened.saturating_add(1);
        let fresh = Session {
            used: self.operations,
            acked: 0,
            replies: Replies::new(),
        };
        self.open.insert(session, fresh);
        Outcome::Opened { session }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Journal, operation};
    use super::*;

    fn sessions(capacity: u64) -> Sessions<Journal> {
        let mut sessions = Sessions::new(Journal::default(), capacity);
        sessions.apply_operation(&Operation::Open { seq: 0 });
        sessions
    }

    type Answer = Option<Outcome<String>>;

    fn done(written: &str) -> Answer {
        Some(Outcome::Done(written.to_owned()))
    }

    impl Sessions<Journal> {
        fn write(&mut self, session: u64, seq: u64, letter: char) -> Answer {
            self.apply_operation(&operation(session, seq, letter))
        }
    }

    #[test]
    fn a_repeated_command_is_applied_once_and_answered_alike() {
        let mut sessions = sessions(1);
        let first = sessions.write(0, 1, 'x');
        assert_eq!(first, done("x"));
        assert_eq!(sessions.write(0, 2, 'y'), done("xy"));
        assert_eq!(sessions.write(0, 1, 'x'), first);
        assert_eq!(sessions.cached_reply(&operation(0, 1, 'x')), first);
        assert_eq!(sessions.machine().0, "xy");
    }

    #[test]
    fn commands_may_overtake_each_other() {
        let mut sessions = sessions(1);
        sessions.write(0, 2, 'y');
        let reply = sessions.write(0, 1, 'x');
        assert_eq!(reply, done("yx"));
    }

    #[test]
    fn what_the_client_acknowledged_is_forgotten_and_never_done_again() {
        let mut sessions = sessions(1);
        sessions.write(0, 1, 'x');
        let later = Operation::Do {
            session: 0,
            seq: 2,
            acked: 2,
            command: 'y',
        };
        sessions.apply_operation(&later);
        assert!(sessions.is_past(&operation(0, 1, 'x')));
        assert_eq!(sessions.write(0, 1, 'x'), None);
        assert_eq!(sessions.cached_reply(&operation(0, 1, 'x')), None);
        assert_eq!(sessions.machine().0, "xy");
    }

    #[test]
    fn a_client_that_acknowledges_nothing_loses_its_session_once_it_is_too_much() {
        let mut sessions = sessions(1);
        let all = 1..=REPLIES_MAX as u64;
        assert!(all.clone().all(|seq| {
            let reply = sessions.write(0, seq, 'x');
            matches!(reply, Some(Outcome::Done(_)))
        }));
        let again = sessions.write(0, 1, 'x');
        assert_eq!(again, done("x"), "it has all");
        let more = sessions.write(0, all.end() + 1, 'x');
        assert!(matches!(more, Some(Outcome::Done(_))), "this is done still");
        let then = sessions.write(0, all.end() + 2, 'x');
        assert_eq!(then, Some(Outcome::Expired));
    }

    #[test]
    fn an_unknown_session_is_told_so_and_nothing_is_done() {
        let mut sessions = sessions(1);
        assert_eq!(sessions.write(7, 1, 'x'), Some(Outcome::Expired));
        assert_eq!(sessions.machine().0, "");
    }

    #[test]
    fn the_session_unused_for_longest_expires_first() {
        let mut sessions = sessions(2);
        sessions.apply_operation(&Operation::Open { seq: 0 });
        sessions.write(0, 1, 'x');
        let third = sessions.apply_operation(&Operation::Open { seq: 0 });
        assert_eq!(third, Some(Outcome::Opened { session: 2 }));
        assert_eq!(sessions.write(1, 1, 'y'), Some(Outcome::Expired));
        assert_eq!(sessions.cached_reply(&operation(0, 1, 'x')), done("x"));
    }
}
