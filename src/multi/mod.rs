//! Multi-Paxos: a log of decrees under one leader, and the machine that it drives.
//!
//! ```text
//!  client       leader            acceptors           learners
//!    │             │ Prepare b, [s]  │                   │   once per ballot, for
//!    │             ├────────────────▶│                   │   all slots from [s] on
//!    │             │ Promise b, votes, decided up to [d] │
//!    │             │◀────────────────┤                   │
//!    │   a quorum  │ Accept [s] b:w  │ w: value of the   │   slots that may be taken
//!    │   promised  ├────────────────▶│ highest vote in   │
//!    │             │ Accepted b, [s] │ [s], or a no-op   │
//!    │             │◀────────────────┤                   │
//!    │ Request c   │                 │                   │   then, for each slot,
//!    ├────────────▶│ Accept [n] b:c  │                   │   one round trip
//!    │             ├────────────────▶│                   │
//!    │             │ Accepted b, [n] │                   │
//!    │             │◀────────────────┤                   │
//!    │ Reply       │ Decided b, up to [n+1]              │
//!    │◀────────────┼─────────────────┼──────────────────▶│
//!    │             │ Heartbeat b     │                   │   and, now and then,
//!    │             ├────────────────▶│                   │   a sign of life,
//!    │             │ HeartbeatAck b  │                   │   which is a lease
//!    │             │◀────────────────┤                   │
//!    │             │                 │                   │   whoever is behind
//!    │             │                 │ Ask [s]           │   asks anybody
//!    │             │◀────────────────┼───────────────────┤
//!    │             │ Entries [s] …, or Chunk of a snapshot
//!    │             ├─────────────────┼──────────────────▶│
//! ```
//!
//! [`Acceptor`], [`Leader`] and [`Learner`] are plain state machines, one method per message, each
//! headed by its rule and its source; [`lease`] and [`Sessions`] stand apart. [`node`] joins the
//! roles that a process plays; [`Process`] is stateright's actor, and replicates a [machine of
//! one's own](Process#replicating-your-own-state-machine). This file knows the messages, and no
//! rule.
//!
//! # Messages
//!
//! A handler has the name of its message. What is durable first is saved before the message leaves.
//! The theorems are those of `proofs/multi`; reads are checked, not proved.
//!
//! | message | from | to | phase | durable first | handler | theorem |
//! |---|---|---|---|---|---|---|
//! | `Request` | client | proposers | | | [`Leadership::on_request`] | `validity` |
//! | `Read` | client | proposers | | | [`Leadership::on_read`] | |
//! | `Reply` | leader | client | | decision | [`Client::on_reply`] | `exactly_once` |
//! | `Prepare` | proposer | acceptors | 1a | ballot | [`Acceptor::on_prepare`] | `promise_kept` |
//! | `Promise` | acceptor | proposer | 1b | promise | [`Leader::on_promise`] | `chosen_agreement` |
//! | `Continue` | proposer | acceptor | 1a | | [`Acceptor::on_continue`] | `chosen_agreement` |
//! | `Accept` | leader | acceptors | 2a | | [`Acceptor::on_accept`] | `one_value_per_ballot` |
//! | `Accepted` | acceptor | leader | 2b | vote | [`Leadership::on_accepted`] | `decided_is_chosen` |
//! | `Nack` | acceptor | proposer | | | [`Leader::on_nack`] | |
//! | `Decided` | leader | learners that vote | | decision | [`Step::on_decided`] | `decided_is_chosen` |
//! | `Entries` | node | learner | | decision | [`Step::on_entries`] | `decision_stands` |
//! | `Ask` | learner | node | | | [`Step::on_ask`] | |
//! | `Chunk` | learner | learner | | snapshot | [`Learner::on_chunk`] | `same_state` |
//! | `Fetch` | learner | learner | | | [`Step::on_fetch`] | |
//! | `Heartbeat` | leader | all | | | [`Acceptor::on_heartbeat`] | `promise_kept` |
//! | `HeartbeatAck` | acceptor | leader | | promise | [`Leadership::on_heartbeat_ack`] | |
//!
//! [`Step::on_ask`]: node
//! [`Step::on_decided`]: node
//! [`Step::on_entries`]: node
//! [`Step::on_fetch`]: node
//!
//! Sources: `[PMS]` Lamport, *Paxos Made Simple* (2001), section 3. `[PMMC]` van Renesse and
//! Altinbuken, *Paxos Made Moderately Complex* (2015). `[PML]` Chandra, Griesemer and Redstone,
//! *Paxos Made Live* (2007). `[Raft thesis]` Ongaro, *Consensus: Bridging Theory and Practice*
//! (2014), for sessions and reads, which are the same over any replicated log.
//!
//! # What must hold, and by what rule
//!
//! Each property of `models/multi.rs`, what upholds it, and some of the mutants that break it (all
//! are in `models/README.md`):
//!
//! - PromiseKept: [`Acceptor::on_prepare`] and [`Acceptor::on_accept`], saved before it is said.
//!   `vote-below-promise`, `forget-promise`
//! - OneValuePerBallot: [`Leader::prepare`] takes no ballot twice, and a
//!   [`Proposal`](leadership::Proposal) stays. `reuse-ballot`
//! - VotesSafe, Agreement: [`Leader::on_promise`] adopts the highest vote of each slot.
//!   `lowest-vote`, `ignore-votes`, `forget-votes`
//! - DecidedIsChosen: [`Leadership::on_accepted`], [`Acceptor::voted_in`], [`Leadership::learn`].
//!   `count-one-vote`, `any-vote-decides`, `lead-overruled`
//! - DecisionStands: [`Learner::learn`], [`Learner::compact`]. `forget-log`
//! - Validity: [`Leadership::fill`]. `invent-command`
//! - SameState: [`Learner::learn`] goes by slots, and a [`Machine`] by nothing else.
//!   `reverse-batch`
//! - ExactlyOnce: [`Sessions::apply_operation`]. `renumber`
//! - Linearizable: [`Leadership::on_read`], [`Leadership::ready`], [`Acceptor::admits`] and the
//!   [`lease`]. `read-unconfirmed`, `read-too-soon`, `hold-off-nobody`, `forget-grant`,
//!   `count-from-receipt`, `no-margin`
//!
//! # Where we differ from the papers
//! - Votes go to the leader, which tells the learners: fewer messages than voting to all.
//! - Where there are signs of life and [`Limits::gathers`], `Decided` is said with the next
//!   `Accept` or sign of life, not in a datagram of its own: nobody waits for it.
//! - A node that is an acceptor and a learner drops a vote once it knows the slot to be decided,
//!   and says in its promises up to which slot. A leader does not ask for those slots again.
//! - A leader's first read needs no entry of its own ballot in the log: phase 1 tells it what may
//!   have been chosen before, and all of that must be applied here first ([`Leadership::barrier`]).
//! - A leader that nobody answers prepares again, and is silent meanwhile: so a node that can reach
//!   a quorum takes over from one that cannot, though it still hears it.
//! - An acceptor that does not learn keeps its votes for ever: only who knows what was decided may
//!   forget how.

mod acceptor;
mod campaign;
mod client;
mod durable;
pub mod leader;
pub mod leadership;
mod learner;
pub mod lease;
mod log;
pub mod node;
#[cfg(feature = "actor")]
mod process;
mod session;
mod snapshot;
mod stale;

pub use acceptor::Acceptor;
pub use campaign::Campaign;
pub use client::{Client, ClientState, ReadMode, Task};
pub use durable::{Change, Durable, Mark};
pub use leader::{Leader, Phase};
pub use leadership::{Leadership, Limits};
pub use learner::{Applied, Learner, Progress};
pub use lease::Clock;
pub use log::{Entry, Log, Slot};
pub use node::{Alarm, NodeState, Timer};
#[cfg(feature = "actor")]
pub use process::{Process, ProcessState};
pub use session::{Operation, Outcome, Request, Sessions};
pub use snapshot::{Chunk, Snapshot, Transfer};

use crate::backoff::Backoff;
use crate::ballot::{Ballot, NodeId};
use crate::machine::Machine;
use crate::quorum::{AcceptorSet, QuorumError, QuorumSystem};
use crate::vote::Vote;
use lease::{HeartbeatId, LeaseTimes};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Everything that is ever said about commands `C` that are answered with replies `R`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message<C, R> {
    /// Client to proposers: do this, through the log.
    Request(Request<C>),
    /// Client to proposers: read this, without a place in the log.
    Read {
        /// The client's number for it.
        seq: u64,
        /// A command that only reads.
        query: C,
        /// How the leader makes sure.
        mode: ReadMode,
    },
    /// Leader to client: what became of it.
    Reply {
        /// The client's number for it.
        seq: u64,
        /// What became of it.
        outcome: Outcome<R>,
    },
    /// Phase 1a, proposer to acceptors: vote in no lower ballot, in any slot, and say how you
    /// voted.
    Prepare {
        /// The ballot.
        ballot: Ballot,
        /// The first slot of interest: all before are decided.
        from: Slot,
    },
    /// Phase 1b, acceptor to proposer: a promise, and the highest votes cast below the ballot.
    Promise {
        /// The ballot promised.
        ballot: Ballot,
        /// The acceptor's highest vote in each slot asked about in which it keeps one.
        votes: BTreeMap<Slot, Vote<Entry<C>>>,
        /// Slots before are decided; the acceptor's node can tell what they hold.
        decided: Slot,
        /// The promise counts only with the votes from this slot on, which did not fit.
        more: Option<Slot>,
    },
    /// Phase 1a, proposer to acceptor: send the rest of your promise.
    Continue {
        /// The ballot promised.
        ballot: Ballot,
        /// The first slot that is missing.
        from: Slot,
    },
    /// Phase 2a, leader to acceptors: vote for this.
    Accept {
        /// The slot.
        slot: Slot,
        /// The proposal.
        vote: Vote<Entry<C>>,
    },
    /// Phase 2b, acceptor to leader: voted for what you proposed.
    Accepted {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        slot: Slot,
    },
    /// Acceptor to proposer: refused, for a higher ballot was promised.
    Nack {
        /// The higher ballot.
        promised: Ballot,
        /// Slots before are decided.
        decided: Slot,
    },
    /// Leader to learners that vote: all that was voted for in this ballot in slots before `upto`
    /// is chosen. It says nothing about votes in other ballots.
    Decided {
        /// The ballot.
        ballot: Ballot,
        /// The slot.
        upto: Slot,
    },
    /// Node to learner: what is chosen for these slots.
    Entries {
        /// The slot of the first.
        from: Slot,
        /// One for each slot.
        entries: Vec<Entry<C>>,
    },
    /// Learner to node: what is chosen from this slot on?
    Ask {
        /// The slot.
        from: Slot,
    },
    /// Learner to learner: a piece of a snapshot, for the slots asked for are truncated.
    Chunk(Chunk),
    /// Learner to learner: send the next piece.
    Fetch {
        /// The snapshot.
        upto: Slot,
        /// Where the piece begins.
        offset: u64,
    },
    /// Leader to all: a sign of life, which asks acceptors for a lease.
    Heartbeat {
        /// The ballot.
        ballot: Ballot,
        /// Which sign of life.
        heartbeat: HeartbeatId,
        /// As in [`Message::Decided`].
        upto: Slot,
    },
    /// Acceptor to leader: heard, followed, and others held off from now on.
    HeartbeatAck {
        /// The ballot.
        ballot: Ballot,
        /// The sign of life that is answered.
        heartbeat: HeartbeatId,
    },
}

/// The messages about a machine.
pub type MessageOf<M> = Message<<M as Machine>::Command, <M as Machine>::Reply>;

impl<C: fmt::Debug, R: fmt::Debug> fmt::Debug for Message<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Request(request) => write!(f, "Request {request:?}"),
            Message::Read { seq, query, mode } => write!(f, "Read #{seq} {query:?} by {mode:?}"),
            Message::Reply { seq, outcome } => write!(f, "Reply #{seq} {outcome:?}"),
            Message::Prepare { ballot, from } => write!(f, "Prepare {ballot} from {from}"),
            Message::Promise {
                ballot,
                votes,
                decided,
                more,
            } => {
                write!(f, "Promise {ballot}")?;
                for (slot, vote) in votes {
                    write!(f, " {slot}{vote}")?;
                }
                if let Some(more) = more {
                    write!(f, " more from {more}")?;
                }
                write!(f, " decided {decided}")
            }
            Message::Continue { ballot, from } => write!(f, "Continue {ballot} from {from}"),
            Message::Accept { slot, vote } => write!(f, "Accept {slot}{vote}"),
            Message::Accepted { ballot, slot } => write!(f, "Accepted {slot}{ballot}"),
            Message::Nack { promised, decided } => write!(f, "Nack {promised} decided {decided}"),
            Message::Decided { ballot, upto } => write!(f, "Decided {ballot} up to {upto}"),
            Message::Entries { from, entries } => write!(f, "Entries {from} {entries:?}"),
            Message::Ask { from } => write!(f, "Ask {from}"),
            Message::Chunk(chunk) => write!(f, "Chunk {chunk:?}"),
            Message::Fetch { upto, offset } => write!(f, "Fetch {upto} {offset}"),
            Message::Heartbeat {
                ballot,
                heartbeat,
                upto,
            } => {
                write!(f, "Heartbeat {ballot} {heartbeat:?} up to {upto}")
            }
            Message::HeartbeatAck { ballot, heartbeat } => {
                write!(f, "HeartbeatAck {ballot} {heartbeat:?}")
            }
        }
    }
}

/// Who plays which role, and how. The same for every process.
///
/// Quorums and the initial machine must not change as long as anything saved under them is in use.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Cluster<M: Machine> {
    /// The acceptors, and which of them are enough.
    pub quorums: QuorumSystem,
    /// The proposers, each of which may come to lead.
    pub proposers: Vec<NodeId>,
    /// The learners.
    pub learners: Vec<NodeId>,
    /// What every replica starts from.
    pub initial: Sessions<M>,
    /// What limits a leader.
    pub limits: Limits,
    /// Whether a proposer that is refused is told so ([`Message::Nack`]). Off, it finds out by
    /// waiting: as safe, and slower, but with far fewer states to check.
    pub nacks: bool,
    /// How often a leader shows itself. None in most models: then it does so only if a read needs
    /// an answer, and asks for no lease.
    pub heartbeat: Option<Range<Duration>>,
    /// How long to wait for a leader, or for a quorum, before the next ballot.
    pub election: Backoff,
    /// How long leases last; none if there are none.
    pub lease: Option<LeaseTimes>,
    /// After how many decided entries a snapshot takes their place; never if none.
    pub snapshot_every: Option<u64>,
}

impl<M: Machine> Cluster<M> {
    /// Nodes 0 to `nodes - 1`, each of which plays all roles, with majorities, and with times that
    /// suit a local network and a [`Clock`] that counts microseconds.
    ///
    /// # Errors
    /// If there are no nodes, or more than an [`AcceptorSet`] takes.
    pub fn of_replicas(nodes: u32, initial: Sessions<M>) -> Result<Self, QuorumError> {
        let acceptors = AcceptorSet::first(nodes);
        let everyone: Vec<NodeId> = acceptors.iter().collect();
        Ok(Self {
            quorums: QuorumSystem::majority(acceptors)?,
            proposers: everyone.clone(),
            learners: everyone,
            initial,
            limits: Limits::default(),
            nacks: true,
            heartbeat: Some(Duration::from_millis(20)..Duration::from_millis(25)),
            election: Backoff {
                base: Duration::from_millis(150),
                doublings_max: 3,
            },
            // Over before the first who waits for a leader stands for election.
            lease: Some(LeaseTimes {
                duration: 120_000,
                margin: 12_000,
            }),
            snapshot_every: Some(10_000),
        })
    }

    /// The processes that are told what is decided: learners, and proposers.
    fn decision_audience(&self) -> Vec<NodeId> {
        let mut audience = [self.learners.as_slice(), self.proposers.as_slice()].concat();
        audience.sort_unstable();
        audience.dedup();
        audience
    }

    /// Whether learners that vote are told what is chosen with the next proposal or the next sign
    /// of life, whichever comes first: where requests wait for company, so may news that nobody
    /// waits for. Without signs of life it might wait for ever.
    fn defers_decided(&self) -> bool {
        self.limits.gathers && self.heartbeat.is_some()
    }

    fn is_in_decision_audience(&self, node: NodeId) -> bool {
        self.learners.contains(&node) || self.proposers.contains(&node)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A machine that keeps a journal, and operations on it.

    use super::{Entry, Machine, Operation, Request, Sessions};
    use crate::ballot::NodeId;
    use crate::quorum::{AcceptorSet, QuorumSystem};
    use crate::vote::Vote;
    pub(crate) use crate::vote::testing::ballot;
    use serde::{Deserialize, Serialize};
    use std::cell::Cell;

    thread_local! {
        /// What happens while a journal is read: a process may be stopped at any time.
        pub(crate) static MEANWHILE: Cell<fn()> = const { Cell::new(|| ()) };
    }

    /// The client of all requests.
    pub(crate) const CLIENT: NodeId = NodeId(9);

    /// Appends letters; every reply is all that was written so far.
    #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
    pub(crate) struct Journal(pub(crate) String);

    impl Machine for Journal {
        type Command = char;
        type Reply = String;

        fn apply(&mut self, command: &char) -> String {
            self.0.push(*command);
            self.0.clone()
        }

        fn read(&self, _: &char) -> Option<String> {
            MEANWHILE.get()();
            Some(self.0.clone())
        }
    }

    pub(crate) fn operation(session: u64, seq: u64, command: char) -> Operation<char> {
        Operation::Do {
            session,
            seq,
            acked: 0,
            command,
        }
    }

    /// The client's number for a letter.
    pub(crate) fn seq(command: char) -> u64 {
        u64::from(u32::from(command))
    }

    /// A letter in session 0.
    pub(crate) fn request(command: char) -> Request<char> {
        Request {
            client: CLIENT,
            operation: operation(0, seq(command), command),
        }
    }

    /// An entry of some letters.
    pub(crate) fn entry(commands: &str) -> Entry<char> {
        Entry::Batch(commands.chars().map(request).collect())
    }

    pub(crate) fn vote(round: u64, node: u32, commands: &str) -> Vote<Entry<char>> {
        crate::vote::testing::vote(round, node, entry(commands))
    }

    pub(crate) fn majority_of_three() -> QuorumSystem {
        QuorumSystem::majority(AcceptorSet::first(3)).expect("majorities intersect")
    }

    /// Three acceptors, of which all prepare and one chooses: the two kinds told apart.
    pub(crate) fn three_and_one() -> QuorumSystem {
        QuorumSystem::flexible(AcceptorSet::first(3), 3, 1).expect("all meet one")
    }

    /// An empty journal, of which session 0 is open.
    pub(crate) fn journal() -> Sessions<Journal> {
        let mut sessions = Sessions::new(Journal::default(), 4);
        sessions.apply_operation(&Operation::Open { seq: 0 });
        sessions
    }
}
