//! Synod.
pub mod runtime;
