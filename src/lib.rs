//! Synod.
pub mod backoff;
pub mod ballot;
pub mod basic;
pub mod checker;
pub mod invariant;
pub mod quorum;
pub mod runtime;
pub mod vote;
