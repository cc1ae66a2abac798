//! Synod: Paxos, written once, checked exhaustively, and run over UDP.
//!
//! Each protocol is one text: roles as plain state machines, joined into a
//! [stateright](https://docs.rs/stateright) actor. The model checker, the web Explorer, the UDP
//! runtime and the benchmarks all run that text, and no other code repeats its rules.
//!
//! # Reading order
//!
//! 1. [`ballot`], [`vote`], [`quorum`]: the vocabulary, and the law of quorums.
//! 2. [`basic`]: Basic Paxos. Its page opens with the message chart; then
//!    [`Acceptor`](basic::Acceptor), [`Proposer`](basic::Proposer) and
//!    [`Learner`](basic::Learner), one method per message, each with its rule and its source.
//! 3. [`invariant`]: the invariants, with a sentence and a predicate each.
//! 4. [`multi`]: Multi-Paxos, a log of decrees under one leader; [`machine`], the trait of
//!    the state machines that it replicates; and [`kv`], a replicated store.
//! 5. [`fast`]: Fast Paxos, in which clients send values to the acceptors; [`rounds`], its fast
//!    ballots.
//! 6. [`effects`]: what a step sends, and what it must save before; [`actor`], the bridge from the
//!    roles to stateright.
//! 7. [`checker`]: exhaustive search of any stateright actors.
//! 8. [`runtime`]: the same actors over UDP with a disk, or in a simulation; [`delta`], the changes
//!    that they save; [`certify`], the judges of recorded runs and of the histories of clients.
//! 9. [`backoff`]: the delay before another attempt. Only speed depends on it.
//!
//! The `synod` command uses all of these: `synod check basic`, `synod explore multi`,
//! `synod cluster fast`, `synod serve`. The [guide] tells how to run it. The systems that it checks
//! are in the folder `models`.
//!
//! Uses: [check your own actors](checker#checking-your-own-actors), [run them over
//! UDP](runtime#example), [replicate your own state
//! machine](multi::Process#replicating-your-own-state-machine).
//!
//! # A value is chosen
//!
//! Three acceptors, a proposer and a learner, without a network: the example passes each message
//! on.
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

/// The examples of the front page are tests.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct FrontPage;

// The models and the command line name the library as its users do.
#[cfg(feature = "cli")]
extern crate self as synod;

#[cfg(feature = "actor")]
pub mod actor;
pub mod backoff;
pub mod ballot;
pub mod basic;
#[cfg(feature = "cli")]
mod bench;
#[cfg(feature = "runtime")]
pub mod certify;
#[cfg(feature = "checker")]
pub mod checker;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod cli;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod console;
pub mod delta;
pub mod effects;
pub mod fast;
#[doc = include_str!("guide.md")]
pub mod guide {}
pub mod invariant;
pub mod kv;
pub mod machine;
#[cfg(feature = "cli")]
#[path = "../models/mod.rs"]
pub mod models;
pub mod multi;
pub mod quorum;
pub mod rounds;
#[cfg(feature = "runtime")]
pub mod runtime;
pub mod vote;
