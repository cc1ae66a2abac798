//! Keeps the claim honest that a stale message can never matter again.

use super::part::{At, Part};
use super::system::{MessageOf, StateOf, System};
use stateright::actor::{Actor, Envelope, Out, is_no_op};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

type Local<S> = Part<At<StateOf<S>>>;
type Message<S> = Part<Envelope<MessageOf<S>>>;

/// Every local step and every message seen so far, each pair of which has been examined.
///
/// If a message is stale in a local state, then delivering it there must do nothing, and it must
/// be stale after each step from there as well. Messages left out of a state's identity on a
/// claim that passes cannot have mattered.
pub(super) struct Audit<S: System> {
    seen: RwLock<HashSet<(usize, usize)>>,
    books: Mutex<Books<S>>,
    refuted: OnceLock<String>,
}

struct Books<S: System> {
    steps: Vec<(Local<S>, Local<S>)>,
    messages: Vec<Message<S>>,
}

impl<S: System> Audit<S> {
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

    /// A claim turned out false.
    pub(super) fn refute(&self, reason: String) {
        let _ = self.refuted.set(reason);
    }

    /// An actor goes from one local state to another.
    pub(super) fn step(&self, system: &S, before: &Local<S>, after: &Local<S>) {
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
            self.examine(system, before, after, message);
        }
    }

    /// A message is sent that was never sent before in any state.
    pub(super) fn message(&self, system: &S, message: &Message<S>) {
        let mut books = self.open();
        books.messages.push(message.clone());
        for (before, after) in books.steps.iter().filter(|(b, _)| b.id == message.dst) {
            self.examine(system, before, after, message);
        }
    }

    fn open(&self) -> MutexGuard<'_, Books<S>> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn examine(&self, system: &S, before: &Local<S>, after: &Local<S>, message: &Message<S>) {
        let is_stale =
            |local: &Local<S>| system.is_stale(local.id, &local.value, message.src, &message.msg);
        let complaint = if is_stale(before) && !is_stale(after) {
            format!(
                "is stale before but not after the step to {:?}",
                after.value
            )
        } else if is_stale(before) && !self.is_ignored(system, before, message) {
            "is called stale, but it is not ignored".to_owned()
        } else if is_stale(after) && !self.is_ignored(system, after, message) {
            format!(
                "is called stale in {:?}, but it is not ignored",
                after.value
            )
        } else {
            return;
        };
        let _ = self.refuted.set(format!(
            "a reduction is unsound: {}→{} {:?} at {:?} {complaint}",
            usize::from(message.src),
            usize::from(message.dst),
            message.msg,
            before.value,
        ));
    }

    fn is_ignored(&self, system: &S, local: &Local<S>, message: &Message<S>) -> bool {
        let Some(actor) = system.actors().get(usize::from(local.id)) else {
            return true;
        };
        let mut state = Cow::Borrowed(&local.value);
        let mut out = Out::new();
        actor.on_msg(
            local.id,
            &mut state,
            message.src,
            message.msg.clone(),
            &mut out,
        );
        is_no_op(&state, &out) || (*state == local.value && out.is_empty())
    }
}
