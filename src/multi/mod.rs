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
//!    │             │ Heard b         │                   │   which is a lease
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
//! roles that a process plays. This file knows the messages and stateright's `Actor`, and no rule.
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
//!   [`Proposal`](reign::Proposal) stays. `reuse-ballot`
//! - VotesSafe, Agreement: [`Leader::on_promise`] adopts the highest vote of each slot.
//!   `lowest-vote`, `ignore-votes`, `forget-votes`
//! - DecidedIsChosen: [`Reign::on_accepted`](reign::Reign::on_accepted), [`Acceptor::voted_in`],
//!   [`Reign::learn`](reign::Reign::learn). `count-one-vote`, `any-vote-decides`, `lead-overruled`
//! - DecisionStands: [`Learner::learn`], [`Learner::compact`]. `forget-log`
//! - Validity: [`Reign::fill`](reign::Reign::fill). `invent-command`
//! - SameState: [`Learner::learn`] goes by slots, and a [`Machine`] by nothing else.
//!   `reverse-batch`
//! - ExactlyOnce: [`Sessions::carry_out`]. `renumber`
//! - Linearizable: [`Reign::on_read`](reign::Reign::on_read), [`Reign::ready`](reign::Reign::ready)
//!   and the [`lease`]. `read-unconfirmed`, `read-too-soon`, `hold-off-nobody`, `forget-grant`,
//!   `count-from-receipt`, `no-margin`
//!
//! # Where we differ from the papers
//! - Votes go to the leader, which tells the learners: fewer messages than voting to all.
//! - Where there are signs of life and [`Limits::gathers`], `Decided` is said with the next
//!   `Accept` or sign of life, not in a datagram of its own: nobody waits for it.
//! - A node that is an acceptor and a learner drops a vote once it knows the slot to be decided,
//!   and says in its promises up to which slot. A leader does not ask for those slots again.
//! - A leader's first read needs no entry of its own ballot in the log: phase 1 tells it what may
//!   have been chosen before, and all of that must be applied here first
//!   ([`Reign::barrier`](reign::Reign::barrier)).
//! - A leader that nobody answers prepares again, and is silent meanwhile: so a node that can reach
//!   a quorum takes over from one that cannot, though it still hears it.
//! - An acceptor that does not learn keeps its votes for ever: only who knows what was decided may
//!   forget how.
//!
//! # A machine of one's own
//!
//! A counter on three nodes, and a client that adds to it. Here a queue is all the network there
//! is, and nothing is saved; the [`runtime`](crate::runtime) runs the same processes over UDP.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use stateright::actor::{Actor, Command, Id, Out};
//! use std::borrow::Cow;
//! use std::collections::VecDeque;
//! use std::sync::Arc;
//! use synod::backoff::Backoff;
//! use synod::ballot::NodeId;
//! use synod::machine::Machine;
//! use synod::multi::{
//!     Alarm, Client, Clock, Cluster, Limits, Outcome, Process, Sessions, Task, Timer,
//! };
//!
//! #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
//! struct Counter(u64);
//!
//! impl Machine for Counter {
//!     type Command = u64; // how much to add
//!     type Reply = u64; // what that makes
//!
//!     fn apply(&mut self, add: &u64) -> u64 {
//!         self.0 = self.0.wrapping_add(*add);
//!         self.0
//!     }
//!
//!     fn read(&self, add: &u64) -> Option<u64> {
//!         (*add == 0).then_some(self.0)
//!     }
//! }
//!
//! let cluster = Arc::new(Cluster {
//!     // No clock here, and so no leases.
//!     lease: None,
//!     heartbeat: None,
//!     // Nor timers, for requests to wait for.
//!     limits: Limits { gathers: false, ..Limits::default() },
//!     ..Cluster::of_replicas(3, Sessions::new(Counter(0), 100))?
//! });
//! let client = Process::Client(Client {
//!     tasks: vec![Task::Do(20), Task::Do(22)],
//!     session: None,
//!     leaders: cluster.proposers.clone(),
//!     is_loyal: true,
//!     backoff: Backoff::default(),
//! });
//!
//! let mut processes = vec![Process::Node(cluster, Clock::Ticks); 3];
//! processes.push(client);
//! let mut states = Vec::new();
//! let mut wire = VecDeque::new();
//! let post = |wire: &mut VecDeque<_>, from: Id, out: Out<Process<Counter>>| {
//!     wire.extend(out.into_iter().filter_map(|command| match command {
//!         Command::Send(to, message) => Some((from, to, message)),
//!         _ => None, // nothing crashes, and nothing is lost: no need to save or to wait
//!     }));
//! };
//! for (index, process) in processes.iter().enumerate() {
//!     let (id, mut out) = (Id::from(index), Out::new());
//!     let mut state = Cow::Owned(process.on_start(id, &None, &mut out));
//!     if index == 2 {
//!         // It waited for a leader long enough.
//!         process.on_timeout(id, &mut state, &Alarm::Node(Timer::Campaign), &mut out);
//!     }
//!     states.push(state.into_owned());
//!     post(&mut wire, id, out);
//!     while let Some((from, to, message)) = wire.pop_front() {
//!         let (index, mut out) = (usize::from(to), Out::new());
//!         let mut state = Cow::Owned(states[index].clone());
//!         processes[index].on_msg(to, &mut state, from, message, &mut out);
//!         states[index] = state.into_owned();
//!         post(&mut wire, to, out);
//!     }
//! }
//!
//! let replies = states[3].client().map(|client| client.replies.clone());
//! assert_eq!(replies, Some(vec![Outcome::Done(20), Outcome::Done(42)]));
//! for state in &states[..3] {
//!     let learner = state.node().and_then(|node| node.learner.as_ref());
//!     assert_eq!(learner.map(|it| it.sessions.machine().0), Some(42));
//! }
//! # Ok::<(), synod::quorum::QuorumError>(())
//! ```

mod acceptor;
mod client;
mod durable;
pub mod leader;
mod learner;
pub mod lease;
mod log;
pub mod node;
pub mod reign;
mod session;
mod snapshot;
mod stale;

pub use acceptor::Acceptor;
pub use client::{Client, ClientState, How, Task};
pub use durable::{Change, Durable};
pub use leader::{Leader, Phase};
pub use learner::{Applied, Learner, Progress};
pub use log::{Entry, Log, Slot};
pub use node::{NodeState, Timer};
pub use reign::Limits;
pub use session::{Order, Outcome, Request, Sessions};
pub use snapshot::{Chunk, Snapshot, Transfer};

use crate::actor::{emit, update};
use crate::backoff::Backoff;
use crate::ballot::{Ballot, NodeId};
use crate::machine::Machine;
use crate::quorum::{AcceptorSet, QuorumError, QuorumSystem};
use crate::vote::Vote;
use lease::{Beat, Terms, Time};
use node::{Effects, Step};
use serde::{Deserialize, Serialize};
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

/// Everything that is ever said about commands `C` that are answered with replies `R`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Message<C, R> {
    /// Client to whoever may lead: do this, through the log.
    Request(Request<C>),
    /// Client to whoever may lead: read this, without a place in the log.
    Read {
        /// The client's number for it.
        seq: u64,
        /// A command that only reads.
        query: C,
        /// How the leader makes sure.
        how: How,
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
    /// Phase 1a again, proposer to acceptor: the rest of your promise.
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
    /// To learners: what is chosen for these slots.
    Entries {
        /// The slot of the first.
        from: Slot,
        /// One for each slot.
        entries: Vec<Entry<C>>,
    },
    /// Learner to any: what is chosen from this slot on?
    Ask {
        /// The slot.
        from: Slot,
    },
    /// Piece of a snapshot, to a learner that asked for slots which are truncated.
    Chunk(Chunk),
    /// Learner to whoever sent a piece: the next one.
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
        beat: Beat,
        /// As in [`Message::Decided`].
        upto: Slot,
    },
    /// Acceptor to leader: heard, followed, and others held off from now on.
    Heard {
        /// The ballot.
        ballot: Ballot,
        /// The sign of life that is answered.
        beat: Beat,
    },
}

/// The messages about a machine.
pub type MessageOf<M> = Message<<M as Machine>::Command, <M as Machine>::Reply>;

impl<C: fmt::Debug, R: fmt::Debug> fmt::Debug for Message<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Message::Request(request) => write!(f, "Request {request:?}"),
            Message::Read { seq, query, how } => write!(f, "Read #{seq} {query:?} by {how:?}"),
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
            Message::Heartbeat { ballot, beat, upto } => {
                write!(f, "Heartbeat {ballot} {beat:?} up to {upto}")
            }
            Message::Heard { ballot, beat } => write!(f, "Heard {ballot} {beat:?}"),
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
    pub lease: Option<Terms>,
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
            lease: Some(Terms {
                duration: 120_000,
                margin: 12_000,
            }),
            snapshot_every: Some(10_000),
        })
    }

    /// The processes that are told what is decided: learners, and proposers.
    fn told(&self) -> Vec<NodeId> {
        let mut told = [self.learners.as_slice(), self.proposers.as_slice()].concat();
        told.sort_unstable();
        told.dedup();
        told
    }

    /// Whether learners that vote are told what is chosen with the next proposal or the next sign
    /// of life, whichever comes first: where requests wait for company, so may news that nobody
    /// waits for. Without signs of life it might wait for ever.
    fn tells_late(&self) -> bool {
        self.limits.gathers && self.heartbeat.is_some()
    }

    fn is_told(&self, node: NodeId) -> bool {
        self.learners.contains(&node) || self.proposers.contains(&node)
    }
}

/// How a process reads its clock.
#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// It counts ticks of its own, which a timer drives: for models, which say how far two such
    /// clocks may come apart. A timer that is late would make a leader believe in a lease for too
    /// long, so this is not for use in earnest.
    Ticks,
    /// It asks, in microseconds. The clock must be monotonic.
    Real(fn() -> u64),
}

/// A process: a node of the cluster, whose roles follow from its id, or a client.
#[derive(Clone, Debug)]
pub enum Process<M: Machine> {
    /// A node that plays the roles which the cluster gives it.
    Node(Arc<Cluster<M>>, Clock),
    /// A client.
    Client(Client<M::Command>),
}

/// The state of a [`Process`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum ProcessState<M: Machine> {
    /// A node's roles.
    Node(Box<NodeState<M>>),
    /// A client's knowledge.
    Client(ClientState<M::Reply>),
}

/// The alarms of a [`Process`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Alarm {
    /// A node's.
    Node(Timer),
    /// A client's: no answer yet, ask again.
    Retry,
}

impl fmt::Debug for Alarm {
    /// Whose it is says the process that set it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Alarm::Node(timer) => timer.fmt(f),
            Alarm::Retry => f.write_str("Retry"),
        }
    }
}

impl<M: Machine> ProcessState<M> {
    /// Whether `message` from `from` can never again change this process or make it speak,
    /// whatever it does next: not even after a restart.
    ///
    /// The checker drops such messages, and verifies the claim on every step that it explores.
    /// Nothing else depends on it.
    #[must_use]
    pub fn is_stale(&self, cluster: &Cluster<M>, from: NodeId, message: &MessageOf<M>) -> bool {
        match self {
            ProcessState::Node(node) => node.is_stale(cluster, from, message),
            ProcessState::Client(client) => match message {
                Message::Reply { seq, outcome } => {
                    let opens = matches!(outcome, Outcome::Opened { .. });
                    *seq < client.replies.len() as u64
                        || client.is_expired()
                        || (opens && client.session.is_some())
                }
                _ => true,
            },
        }
    }

    /// The node, unless the process is a client.
    #[must_use]
    pub fn node(&self) -> Option<&NodeState<M>> {
        match self {
            ProcessState::Node(node) => Some(node),
            ProcessState::Client(_) => None,
        }
    }

    /// The client, unless the process is a node.
    #[must_use]
    pub fn client(&self) -> Option<&ClientState<M::Reply>> {
        match self {
            ProcessState::Client(client) => Some(client),
            ProcessState::Node(_) => None,
        }
    }
}

impl<M: Machine> fmt::Debug for ProcessState<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProcessState::Node(node) => node.fmt(f),
            ProcessState::Client(client) => client.fmt(f),
        }
    }
}

impl<M: Machine> Process<M> {
    fn now(clock: Clock, counted: Time) -> Time {
        match clock {
            Clock::Ticks => counted,
            Clock::Real(read) => Time(read()),
        }
    }

    /// Runs `step` on a node and hands its effects on: first what must be durable, then the rest.
    ///
    /// This is the one place where a state is saved, so no message can leave before the promise or
    /// the vote behind it is on disk. A borrowed state, the checker's, is saved if what is durable
    /// did change. An owned one, the runtime's, is changed in place, and saved if it may have
    /// changed: the runtime writes down only what did. So if a role changed something and the step
    /// does not say that it may have, the checker finds it missing.
    fn run(
        &self,
        id: Id,
        state: &mut Cow<ProcessState<M>>,
        out: &mut Out<Self>,
        step: impl FnOnce(Step<M>) -> Effects<M>,
    ) {
        let (Process::Node(cluster, clock), Some(before)) = (self, state.node()) else {
            return;
        };
        let counted = before.now;
        let before = match state {
            Cow::Borrowed(borrowed) => borrowed.node(),
            Cow::Owned(_) => None,
        };
        let mut effects = None;
        update(state, |state| {
            if let ProcessState::Node(node) = state {
                let read = || Self::now(*clock, counted);
                effects = Some(step(Step::new(cluster, id.into(), node, &read)));
            }
        });
        let Some(effects) = effects else { return };
        let after = state.node().filter(|_| effects.may_save);
        if let Some(after) = after.map(NodeState::durable)
            && before.is_none_or(|before| after.differs_from(&before.durable()))
        {
            out.save(after);
        }
        Self::emit(effects, out);
    }

    fn emit(effects: Effects<M>, out: &mut Out<Self>) {
        let timers = effects.timers.into_iter();
        let timers = timers.map(|(timer, wait)| (Alarm::Node(timer), wait));
        emit(effects.sends, timers, out);
    }

    /// A client says what it wants, and will say it again.
    fn ask(
        client: &Client<M::Command>,
        id: Id,
        state: &ClientState<M::Reply>,
        out: &mut Out<Self>,
    ) {
        let requests = client.ask(id.into(), state);
        if requests.is_empty() {
            out.cancel_timer(Alarm::Retry);
            return;
        }
        for (to, message) in requests {
            out.send(to.into(), message);
        }
        out.set_timer(Alarm::Retry, client.backoff.pace());
    }
}

impl<M: Machine> Actor for Process<M> {
    type Msg = MessageOf<M>;
    type Timer = Alarm;
    type State = ProcessState<M>;
    type Storage = Durable<M>;
    type Random = ();

    fn on_start(&self, id: Id, storage: &Option<Durable<M>>, out: &mut Out<Self>) -> Self::State {
        match self {
            Process::Node(cluster, clock) => {
                let read = || Self::now(*clock, Time(0));
                let mut node = Step::start_state(cluster, id.into(), storage.as_ref(), read());
                let step = Step::new(cluster, id.into(), &mut node, &read);
                Self::emit(step.on_start(), out);
                if matches!(clock, Clock::Ticks) && cluster.lease.is_some() {
                    out.set_timer(Alarm::Node(Timer::Tick), cluster.election.pace());
                }
                ProcessState::Node(Box::new(node))
            }
            Process::Client(client) => {
                let state = client.start();
                Self::ask(client, id, &state, out);
                ProcessState::Client(state)
            }
        }
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<Self::State>,
        src: Id,
        msg: Self::Msg,
        out: &mut Out<Self>,
    ) {
        let Process::Client(client) = self else {
            return self.run(id, state, out, |step| step.on_message(src.into(), msg));
        };
        let Message::Reply { seq, outcome } = msg else {
            return;
        };
        let mut is_news = false;
        update(state, |state| {
            if let ProcessState::Client(state) = state {
                is_news = client.on_reply(state, src.into(), seq, outcome);
            }
        });
        if let Some(state) = state.client().filter(|_| is_news) {
            Self::ask(client, id, state, out);
        }
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<Self::State>, timer: &Alarm, out: &mut Out<Self>) {
        match (self, timer) {
            (Process::Node(..), Alarm::Node(timer)) => {
                self.run(id, state, out, |step| step.on_timer(*timer));
            }
            (Process::Client(client), Alarm::Retry) => {
                // Whoever answered last may be gone.
                update(state, |state| {
                    if let ProcessState::Client(state) = state {
                        state.leader = None;
                    }
                });
                if let Some(state) = state.client() {
                    Self::ask(client, id, state, out);
                }
            }
            (Process::Node(..), Alarm::Retry) | (Process::Client(_), Alarm::Node(_)) => {}
        }
    }

    fn name(&self) -> String {
        match self {
            Process::Node(..) => "node".to_owned(),
            Process::Client(_) => "client".to_owned(),
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    //! A machine that keeps a journal, and orders to it.

    use super::{Entry, Machine, Order, Request, Sessions};
    use crate::ballot::{Ballot, NodeId};
    use crate::quorum::{AcceptorSet, QuorumSystem};
    use crate::vote::Vote;
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

    pub(crate) fn order(session: u64, seq: u64, command: char) -> Order<char> {
        Order::Do {
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
            order: order(0, seq(command), command),
        }
    }

    /// An entry of some letters.
    pub(crate) fn entry(commands: &str) -> Entry<char> {
        Entry::Batch(commands.chars().map(request).collect())
    }

    pub(crate) fn ballot(round: u64, node: u32) -> Ballot {
        let node = NodeId(node);
        Ballot { round, node }
    }

    pub(crate) fn vote(round: u64, node: u32, commands: &str) -> Vote<Entry<char>> {
        let (ballot, value) = (ballot(round, node), entry(commands));
        Vote { ballot, value }
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
        sessions.carry_out(&Order::Open { seq: 0 });
        sessions
    }
}
