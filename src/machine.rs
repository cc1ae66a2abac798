//! What is replicated: a deterministic state machine.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::hash::Hash;

/// What commands and replies are made of: plain data that can be compared, shown and encoded.
///
/// `Ord` lets the checker keep sets of messages in one canonical order; no protocol asks it which
/// of two commands is the greater.
pub trait Data:
    Clone + Ord + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
}
impl<T: Clone + Ord + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static> Data
    for T
{
}

/// A state machine to replicate: it starts in the same state everywhere and applies the same
/// commands in the same order, so it must depend on nothing else (`[PMS §3]`). No clock, no
/// random choice, no map whose order changes from one process to the next.
///
/// Sessions see to it that no command is applied twice
/// ([`Sessions`](crate::multi::Sessions)); the machine need not care.
pub trait Machine:
    Clone + Eq + Hash + Debug + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// What clients ask for.
    type Command: Data;
    /// What they are told.
    type Reply: Data;

    /// Applies a command. Every replica gives the same reply.
    fn apply(&mut self, command: &Self::Command) -> Self::Reply;

    /// The reply to a command that changes nothing, or `None` if it may change something. Only
    /// such commands can be answered without a place in the log.
    fn read(&self, command: &Self::Command) -> Option<Self::Reply>;
}
