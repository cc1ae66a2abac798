//! Synod: Paxos, written once, checked exhaustively, and run over UDP.
//!
//! Each protocol is one text: roles as plain state machines, joined into a
//! [stateright](https://docs.rs/stateright) actor. The model checker, the web Explorer, the UDP
//! runtime and the benchmarks all run that text, and nothing else knows a rule of it.
//!
//! # Reading order
//!
//! 1. [`ballot`], [`vote`], [`quorum`]: the vocabulary, and the one law that quorums obey.
//! 2. [`basic`]: Basic Paxos. Its page opens with the message chart; then
//!    [`Acceptor`](basic::Acceptor), [`Proposer`](basic::Proposer) and
//!    [`Learner`](basic::Learner), one method per message, each with its rule and its source.
//! 3. [`invariant`]: what must hold, a sentence and a predicate each.
//! 4. [`multi`]: Multi-Paxos, a log of decrees under one leader; [`machine`], what it replicates,
//!    and [`kv`], a store to replicate.
//! 5. [`fast`]: Fast Paxos, where clients ask the acceptors themselves; [`rounds`], which ballots
//!    are fast.
//! 6. [`checker`]: the world that actors are checked in, for any stateright actors.
//! 7. [`runtime`]: the same actors over UDP, with a disk, or in a simulation; [`delta`], what they
//!    save; [`certify`], whether a recorded run is one of the proved protocol, and whether what
//!    clients were told can be told apart from one machine.
//! 8. [`backoff`]: when to try again. Nothing but speed depends on it.
//!
//! The `synod` command puts these together: `synod check basic`, `synod explore multi`,
//! `synod cluster fast`, `synod serve`. The systems that it checks stand in the folder `models`.
//!
//! What to do with it: [check actors of your own](checker#actors-of-ones-own), [run them over
//! UDP](runtime#example), [replicate a machine of your own](multi::Process#a-machine-of-ones-own).
//!
//! # A value is chosen
//!
//! Three acceptors, a proposer and a learner, and no network at all: every answer is handed over
//! by hand.
//!
//! ```
//! use synod::ballot::NodeId;
//! use synod::basic::{Acceptor, Learner, Message, Proposer};
//! use synod::quorum::{AcceptorSet, QuorumSystem};
//!
//! let quorums = QuorumSystem::majority(AcceptorSet::first(3))?;
//! let mut acceptors = vec![Acceptor::default(); 3];
//! let mut proposer = Proposer::restart(None);
//! let mut learner = Learner::restart(None);
//!
//! let nodes = || (0..).map(NodeId);
//!
//! // Phase 1: a majority promises a ballot.
//! proposer.on_propose(NodeId(9), 'x');
//! let Some(Message::Prepare { ballot }) = proposer.prepare(NodeId(3), None, u64::MAX) else {
//!     panic!("there is a first ballot");
//! };
//! let mut proposal = None;
//! for (id, acceptor) in nodes().zip(&mut acceptors) {
//!     if let Some(Message::Promise { ballot, vote }) = acceptor.on_prepare(ballot) {
//!         proposal = proposal.or(proposer.on_promise(id, ballot, vote, &quorums));
//!     }
//! }
//!
//! // Phase 2: a majority votes in it.
//! let Some(Message::Accept { vote }) = proposal else {
//!     panic!("a majority has promised");
//! };
//! for (id, acceptor) in nodes().zip(&mut acceptors) {
//!     if let Some(Message::Accepted { vote }) = acceptor.on_accept(vote.clone()) {
//!         learner.on_accepted(id, vote, &quorums);
//!     }
//! }
//! assert_eq!(learner.decided, Some('x'));
//! # Ok::<(), synod::quorum::QuorumError>(())
//! ```

pub mod actor;
pub mod backoff;
pub mod ballot;
pub mod basic;
pub mod certify;
pub mod checker;
pub mod delta;
pub mod effects;
pub mod fast;
pub mod invariant;
pub mod kv;
pub mod machine;
pub mod multi;
pub mod quorum;
pub mod rounds;
pub mod runtime;
pub mod vote;
