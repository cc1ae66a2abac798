//! The audit of the claim that a stale message can never matter again.

use super::part::{At, Part};
use stateright::actor::Envelope;
use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

/// A local state of an actor.
type Local<T> = Part<At<T>>;
/// A message on its way.
type Message<M> = Part<Envelope<M>>;

/// Every local step and every message seen so far, each pair of which has been examined.
///
/// If a message is stale in a local state, then delivering it there must do nothing, and it must
/// be stale after each step from there as well. A function that examines this, of a step and a
/// message, returns the complaint if it is not so. Messages left out of a state's identity on a
/// claim that passes cannot have mattered.
pub(super) struct Audit<T, M> {
    seen: RwLock<HashSet<(usize, usize)>>,
    books: Mutex<Books<T, M>>,
    refuted: OnceLock<String>,
}

struct Books<T, M> {
    steps: Vec<(Local<T>, Local<T>)>,
    messages: Vec<Message<M>>,
}

impl<T: Debug, M: Debug> Audit<T, M> {
    pub(super) fn new() -> Self {
        Self {
            seen: RwLock::default(),
            books: Mutex::new(Books {
                steps: Vec::new(),
                messages: Vec::new(),
            }),
            refuted: OnceLock::new(),
        }
    }

    /// The first claim that turned out false, if any did.
    pub(super) fn refuted(&self) -> Option<&str> {
        self.refuted.get().map(String::as_str)
    }

    /// Notes that a claim turned out false.
    pub(super) fn refute(&self, reason: String) {
        let _ = self.refuted.set(reason);
    }

    /// Examines a step of an actor from one local state to another.
    pub(super) fn step(
        &self,
        before: &Local<T>,
        after: &Local<T>,
        examine: impl Fn(&At<T>, &At<T>, &Envelope<M>) -> Option<String>,
    ) {
        let key = (before.address(), after.address());
        let is_seen = {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            seen.contains(&key)
        };
        if is_seen {
            return;
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        if !seen.insert(key) {
            return;
        }
        drop(seen);
        let mut books = self.open();
        books.steps.push((before.clone(), after.clone()));
        for message in books.messages.iter().filter(|m| m.dst == before.id) {
            self.note(before, message, examine(before, after, message));
        }
    }

    /// Examines a message that was never sent before in any state.
    pub(super) fn message(
        &self,
        message: &Message<M>,
        examine: impl Fn(&At<T>, &At<T>, &Envelope<M>) -> Option<String>,
    ) {
        let mut books = self.open();
        books.messages.push(message.clone());
        for (before, after) in books.steps.iter().filter(|(b, _)| b.id == message.dst) {
            self.note(before, message, examine(before, after, message));
        }
    }

    fn open(&self) -> MutexGuard<'_, Books<T, M>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, before: &At<T>, message: &Envelope<M>, complaint: Option<String>) {
        if let Some(complaint) = complaint {
            self.refute(format!(
                "a reduction is unsound: {}→{} {:?} at {:?} {complaint}",
                usize::from(message.src),
                usize::from(message.dst),
                message.msg,
                before.value,
            ));
        }
    }
}
