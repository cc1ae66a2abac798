//! Exhaustive checking of any stateright actors.
//!
//! [`World`] closes a system of actors with a network that may lose, double and reorder messages,
//! with crashes, and with a disk; it is a stateright [`Model`](stateright::Model), so that
//! stateright's checkers and its Explorer run it. [`search`] visits every state, within bounds, and
//! finds the shortest counterexample: with stateright's checker, or with the engine in `collapse`,
//! for which a state is a handful of numbers. [`Replay`] takes a run step by step, by
//! their names. Nothing here names a protocol.

mod audit;
mod collapse;
mod identity;
mod memory;
mod part;
mod replay;

pub mod search;
mod show;
mod state;
mod system;
mod world;

pub use memory::available as available_memory;
pub use part::{At, Part, Permutation};
pub use replay::{Refusal, Replay, Taken};
pub use state::{Action, Choice, Unsaved, WorldState};
pub use system::{
    Clocks, HistoryOf, MessageOf, RandomOf, StateOf, StepProperty, StorageOf, System, TimerOf,
};
pub use world::{Options, StorageMode, World};
