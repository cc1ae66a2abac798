//! Exhaustive checking of any stateright actors.
//!
//! [`World`] closes a system of actors with a network that may lose, double and reorder messages,
//! with crashes, and with a disk; it is a stateright
//! [`Model`](https://docs.rs/stateright/latest/stateright/trait.Model.html), so that
//! stateright's checkers and its Explorer run it. [`search`] visits every state, within bounds, and
//! finds the shortest counterexample: with stateright's checker, or with the engine in `collapse`,
//! for which a state is a handful of numbers. [`Replay`] takes a run step by step, by the text of
//! each step, and [`page`] writes a run as a page for a browser. Nothing here names a protocol.
//!
//! # Checking your own actors
//!
//! A server counts requests, and gets one from outside. The network may deliver a message twice, so
//! that two steps lead to a wrong count:
//!
//! ```
//! use stateright::Property;
//! use stateright::actor::{Actor, Envelope, Id, Out};
//! use std::borrow::Cow;
//! use synod::checker::search::{self, Limits, Outcome, Verdict};
//! use synod::checker::{Options, System, World, WorldState};
//!
//! struct Counter {
//!     /// Whether it remembers which requests it has seen.
//!     is_careful: bool,
//! }
//!
//! impl Actor for Counter {
//!     type Msg = u32; // the number of the request
//!     type State = (u32, Option<u32>); // how many were counted, and the last one
//!     type Timer = ();
//!     type Random = ();
//!     type Storage = ();
//!
//!     fn on_start(&self, _: Id, _saved: &Option<()>, _: &mut Out<Self>) -> Self::State {
//!         (0, None)
//!     }
//!
//!     fn on_msg(
//!         &self, _: Id, state: &mut Cow<Self::State>, _: Id, request: u32, _: &mut Out<Self>,
//!     ) {
//!         let (count, last) = **state;
//!         if count < 9 && !(self.is_careful && last == Some(request)) {
//!             *state.to_mut() = (count + 1, Some(request));
//!         }
//!     }
//! }
//!
//! struct Service([Counter; 1]);
//!
//! impl System for Service {
//!     type Actor = Counter;
//!     type History = (); // nobody needs to remember anything
//!
//!     fn actors(&self) -> &[Counter] {
//!         &self.0
//!     }
//!
//!     fn outside(&self) -> Vec<Envelope<u32>> {
//!         vec![Envelope { src: Id::from(1), dst: Id::from(0), msg: 7 }]
//!     }
//!
//!     fn properties(&self) -> Vec<Property<World<Self>>> {
//!         let is_once = |_: &World<Self>, state: &WorldState<Self>| {
//!             state.states().all(|(count, _)| *count <= 1)
//!         };
//!         vec![Property::always("counted at most once", is_once)]
//!     }
//! }
//!
//! let check = |is_careful, options: Options| {
//!     let world = || World::new(Service([Counter { is_careful }]), options);
//!     search::run(world, Limits::default(), |_| {})
//! };
//! let report = check(false, Options::default())?;
//! let Outcome::Violated(trace) = &report.findings[0].outcome else {
//!     panic!("a request that comes twice is counted twice");
//! };
//! assert_eq!(trace.steps.len(), 2);
//!
//! // Whoever remembers the last request is not misled,
//! let report = check(true, Options::default())?;
//! assert!(report.verdict == Verdict::Holds && report.is_exhausted);
//! assert_eq!(report.reached.unique_states, 2);
//!
//! // nor does a crash do harm, which also takes away what was counted.
//! let report = check(true, Options { crashes: 1, ..Options::default() })?;
//! assert_eq!(report.verdict, Verdict::Holds);
//! # Ok::<(), search::Error>(())
//! ```
//!
//! Everything else about a [`System`] has a default: the observer's history, the hidden parts of
//! actors, interchangeable actors, messages that no longer matter. `models/basic` uses it all.
//! The tests of the checker are in `models/tests/model/crosscheck`: they compare it with
//! stateright's own
//! `ActorModel`, with stateright's checkers, and with an enumeration by hand.

mod audit;
mod call;
mod collapse;
pub mod explorer;
mod identity;
mod land;
mod memory;
mod model;
mod options;
pub mod page;
mod part;
mod permutation;
mod picture;
mod plain;
mod replay;
mod report;
mod show;
mod state;
mod step;
mod system;
mod trace;
mod world;

pub mod search;

pub use call::{Call, Caller, Event, Input};
pub use memory::available as available_memory;
pub use options::{Options, StorageMode};
pub use part::{At, Part};
pub use permutation::Permutation;
pub use replay::{Refusal, Replay, Taken};
pub use show::{Change, Escaped};
pub use state::{Action, ActionOf, Choice, Unsaved, UnsavedOf, WorldState};
pub use system::{
    Clocks, HistoryOf, MessageOf, RandomOf, StateOf, StepProperty, StorageOf, System, TimerOf,
};
pub use world::World;
