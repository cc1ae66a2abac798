//! The systems that are checked: actors, clients, assumptions and properties. No rule of a
//! protocol stands here; see `src/basic` and its neighbours for those.

pub mod basic;
pub mod calls;
pub mod expected;
pub mod fast;
pub mod multi;
pub mod mutants;
pub mod observer;
pub mod scenarios;
