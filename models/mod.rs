//! The systems that are checked: actors, clients, assumptions and properties. No rule of a
//! protocol stands here; see `src/basic` and its neighbours for those.

pub mod basic;
pub mod calls;
pub mod cluster;
pub mod config;
pub mod decree;
pub mod expected;
pub mod fast;
mod local;
pub mod multi;
pub mod mutant;
pub mod observer;
pub mod one_decree;
pub mod protocol;
mod relabel;
pub mod scenarios;
pub mod simulate;
