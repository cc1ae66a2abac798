//! Requests that wait for room.

use crate::multi::{Limits, Request};
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;

/// Requests in the order in which they came, each with the bytes that it takes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Queue<C> {
    requests: VecDeque<(Request<C>, usize)>,
    /// Of all of them.
    bytes: usize,
}

impl<C> Default for Queue<C> {
    fn default() -> Self {
        Self {
            requests: VecDeque::new(),
            bytes: 0,
        }
    }
}

impl<C> Queue<C> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The requests that wait.
    pub fn iter(&self) -> impl Iterator<Item = &Request<C>> + Clone {
        self.requests.iter().map(|(request, _)| request)
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn push(&mut self, request: Request<C>, bytes: usize) {
        self.bytes += bytes;
        self.requests.push_back((request, bytes));
    }

    /// Whether there are enough for a slot, or more.
    pub(super) fn fills_a_slot(&self, limits: &Limits) -> bool {
        self.len() >= limits.batch_max || self.bytes > limits.bytes_max
    }

    /// Takes as many as fit into one slot; at least one, if there is any.
    pub(super) fn take(&mut self, limits: &Limits) -> Arc<[Request<C>]> {
        let mut bytes = 0;
        let fits = |(_, more): &&(Request<C>, usize)| {
            let is_first = bytes == 0;
            bytes += more;
            is_first || bytes <= limits.bytes_max
        };
        let waiting = self.requests.iter().take(limits.batch_max.max(1));
        let size = waiting.take_while(fits).count();
        let taken = self.requests.drain(..size);
        let batch = taken.map(|(request, bytes)| {
            self.bytes -= bytes;
            request
        });
        batch.collect()
    }
}
