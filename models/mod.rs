//! The systems that are checked: actors, clients, assumptions and properties. No rule of a
//! protocol stands here; see `src/basic` and its neighbours for those.

pub mod basic;
