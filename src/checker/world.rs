//! Actors in a hostile world.

use super::audit::Audit;
use super::call::{Call, Caller, Event};
use super::options::Options;
use super::part::{At, Part};
use super::permutation::{Permutation, limit};
use super::state::Interners;
use super::system::{MessageOf, StateOf, StepProperty, System};
use stateright::actor::Envelope;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Actors, and the world that they run in.
///
/// - **Network**: the set of all messages ever sent. Each may be delivered at any time, any number
///   of times, or never: loss, duplication and reordering in one assumption. A message to an id
///   that is no actor is lost.
/// - **Timers**: a timer that is set may fire at any time; durations mean nothing.
/// - **Crashes**: an actor loses everything that it did not save, and restarts immediately. A
///   longer outage would add nothing: others may take any number of steps before the crash.
/// - **Disk**: see [`StorageMode`](super::StorageMode).
///
/// A step changes something. Two states count as one if they differ only by a permutation of
/// interchangeable actors; paths still show concrete states. `models/tests/model/crosscheck`
/// compares this world with stateright's `ActorModel` and with an enumeration by hand.
pub struct World<S: System> {
    pub(super) system: S,
    pub(super) options: Options,
    pub(super) group: Vec<Permutation>,
    pub(super) interners: Interners<S>,
    pub(super) audit: Audit<StateOf<S>, MessageOf<S>>,
    pub(super) caller: Caller<S::Actor>,
    pub(super) steps: Vec<StepProperty<S>>,
    /// Ends a search: once it is set, states have no successors any more.
    pub(super) stop: Arc<AtomicBool>,
    pub(super) focus: Option<&'static str>,
    pub(super) title: String,
}

/// The number of step properties that a system has at most.
pub(super) const STEPS_MAX: usize = 16;

impl<S: System> World<S> {
    /// Returns the world of `system` under `options`.
    #[must_use]
    pub fn new(system: S, options: Options) -> Self {
        let mut classes = if options.symmetry {
            system.interchangeable()
        } else {
            Vec::new()
        };
        limit(&mut classes);
        let outside = system.outside();
        let outside = outside.iter().map(|envelope| usize::from(envelope.src) + 1);
        let ids = outside.fold(system.actors().len(), usize::max);
        let group = Permutation::within(&classes, ids);
        let steps = system.step_properties().into_iter().take(STEPS_MAX);
        Self {
            steps: steps.collect(),
            system,
            options: Options {
                crashes: options.crashes.min(u16::MAX.into()),
                ..options
            },
            group,
            interners: Interners::new(),
            audit: Audit::new(),
            caller: Caller::unobserved(),
            stop: Arc::default(),
            focus: None,
            title: String::new(),
        }
    }

    /// Returns the world with the property of this name and no other.
    ///
    /// stateright's checkers report the last violation that they meet while any other property
    /// is still open; with one property alone it is the first, and with breadth-first search on
    /// one thread the shortest.
    #[must_use]
    pub fn focus_on(mut self, property: &'static str) -> Self {
        self.focus = Some(property);
        self
    }

    /// Returns the world with a `hook` that is told of every call of a handler. The number of calls
    /// with the same input means nothing: the collapse engine keeps results.
    #[must_use]
    pub fn observed_by(
        mut self,
        hook: impl Fn(&Call<'_, S::Actor>) + Send + Sync + 'static,
    ) -> Self {
        self.caller = Caller::observed_by(hook);
        self
    }

    /// Returns the world with words that name it in the Explorer.
    #[must_use]
    pub fn titled(mut self, title: String) -> Self {
        self.title = title;
        self
    }

    /// Returns the system.
    #[must_use]
    pub fn system(&self) -> &S {
        &self.system
    }

    /// Returns the same world, in which hidden steps are steps like others.
    #[must_use]
    pub fn unfolded(mut self) -> Self {
        self.options.postpones = false;
        self
    }

    /// Returns the permutations under which states count as one. The first moves nothing.
    #[must_use]
    pub fn symmetries(&self) -> &[Permutation] {
        &self.group
    }

    /// Returns the reason why a reduction is unsound, if a claim of the system turned out false:
    /// for example, it calls a message stale that is not. A verdict reached with such a claim is
    /// worth nothing.
    #[must_use]
    pub fn unsoundness(&self) -> Option<&str> {
        self.audit.refuted()
    }

    /// Returns whether claims about stale messages are to be examined.
    pub(super) fn audits(&self) -> bool {
        self.options.drops_stale
    }

    /// Returns the message as a part, and examines claims about it if nobody sent it before.
    pub(super) fn envelope(
        &self,
        envelope: Envelope<MessageOf<S>>,
    ) -> Part<Envelope<MessageOf<S>>> {
        let (envelope, is_new) = self.interners.network.find_or_add(envelope);
        if is_new && self.audits() {
            self.audit.message(&envelope, |before, after, it| {
                self.examine(before, after, it)
            });
        }
        envelope
    }

    /// Examines the claim about a message in a step from one local state to another. Returns the
    /// complaint if it is false.
    pub(super) fn examine(
        &self,
        before: &At<StateOf<S>>,
        after: &At<StateOf<S>>,
        message: &Envelope<MessageOf<S>>,
    ) -> Option<String> {
        let is_stale = |local: &At<_>| {
            let (src, msg) = (message.src, &message.msg);
            self.system.is_stale(local.id, &local.value, src, msg)
        };
        let is_ignored = |local: &At<_>| {
            let Some(actor) = self.system.actors().get(usize::from(local.id)) else {
                return true;
            };
            let event = Event::Message(message.src, &message.msg);
            let (after, commands) = self.caller.call(actor, local.id, &local.value, event);
            commands.is_empty() && *after == local.value
        };
        let end = &after.value;
        if is_stale(before) && !is_stale(after) {
            Some(format!("is stale before but not after the step to {end:?}"))
        } else if is_stale(before) && !is_ignored(before) {
            Some("is called stale, but it is not ignored".to_owned())
        } else if is_stale(after) && !is_ignored(after) {
            Some(format!("is called stale in {end:?}, but it is not ignored"))
        } else {
            None
        }
    }
}
