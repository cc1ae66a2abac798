//! The world's share of a step: messages arrive, the observer sees the change, and the world drops
//! what no longer matters.

use super::part::{At, Part};
use super::state::WorldState;
use super::step::{Acted, find};
use super::system::{MessageOf, StateOf, StepProperty, System};
use super::world::World;
use stateright::actor::{Envelope, Id};

impl<S: System> World<S> {
    /// Returns the state that a step of actor `id` leads to: its messages arrive in the network,
    /// the observer sees what the actor shows, and the world drops what no longer matters. `None`
    /// if nothing changes.
    pub(super) fn land(
        &self,
        last: &WorldState<S>,
        acted: Acted<S>,
        id: Id,
    ) -> Option<WorldState<S>> {
        let mut next = acted.state;
        for envelope in acted.sent {
            if let Err(place) = find(&next.network, &envelope) {
                next.network.insert(place, envelope);
            }
        }
        // Most deliveries are of old messages and change nothing, which is cheap to see before the
        // state is settled. The same may turn out afterwards: all messages that were sent may be
        // stale.
        if next == *last {
            return None;
        }
        let index = usize::from(id);
        if let Some(history) = self.seen(&last.history, &last.visible[index], &next.visible[index])
        {
            next.history = history;
        }
        next.broken |= self.broken(&last.visible[index], &next.visible[index]);
        if self.audits() {
            self.audit_step(last, &next, id, acted.crashes > 0);
        }
        self.settle(&mut next);
        // A crash that changes nothing else is no step.
        if next == *last {
            return None;
        }
        next.crashes += acted.crashes;
        next.identity = self.identity(&next);
        Some(next)
    }

    /// Returns the history after the observer has seen an actor's change, if that adds anything.
    pub(super) fn seen(
        &self,
        history: &Part<S::History>,
        before: &Part<At<StateOf<S>>>,
        after: &Part<At<StateOf<S>>>,
    ) -> Option<Part<S::History>> {
        let projection = |at: &At<_>| self.system.projection(S::RECORD_PROJECTION, &at.value);
        let (id, before, after) = (before.id, projection(before), projection(after));
        if before == after {
            return None;
        }
        let record = self.system.record(history, id, &before, &after);
        record.map(|history| self.interners.histories.intern(history))
    }

    /// Returns the step properties that a step does not keep, as bits by their places.
    pub(super) fn broken(
        &self,
        before: &Part<At<StateOf<S>>>,
        after: &Part<At<StateOf<S>>>,
    ) -> u16 {
        if before.address() == after.address() {
            return 0;
        }
        let id = before.id;
        let is_kept =
            |it: &StepProperty<S>| (it.condition)(&self.system, id, &before.value, &after.value);
        let steps = self.steps.iter().enumerate();
        let broken = steps.filter(|(_, property)| !is_kept(property));
        broken.fold(0, |all, (place, _)| all | 1 << place)
    }

    /// Examines a step of actor `id` for claims about stale messages.
    pub(super) fn audit_step(
        &self,
        last: &WorldState<S>,
        next: &WorldState<S>,
        id: Id,
        is_crash: bool,
    ) {
        let index = usize::from(id);
        let (before, after) = (&last.locals[index], &next.locals[index]);
        // A crash may undo an unsaved step, and with it the change that made a message stale: so
        // nothing is dropped while a save is pending, and such a crash proves nothing.
        let is_undone = last.unsaved[index].is_some() && is_crash;
        if before.address() != after.address() && !is_undone {
            self.audit
                .step(before, after, |one, other, it| self.examine(one, other, it));
        }
    }

    /// Returns whether a message that is in the network, or on its way there, can no longer matter.
    pub(super) fn is_dropped(
        &self,
        state: &WorldState<S>,
        envelope: &Envelope<MessageOf<S>>,
    ) -> bool {
        let dst = usize::from(envelope.dst);
        let (local, is_free) = (&state.locals[dst].value, state.unsaved[dst].is_none());
        self.options.drops_stale
            && is_free
            && self
                .system
                .is_stale(envelope.dst, local, envelope.src, &envelope.msg)
    }

    /// Forgets and drops what no longer matters.
    pub(super) fn settle(&self, next: &mut WorldState<S>) {
        if self.options.forgets {
            let projection = |visible| self.system.projection(S::FORGET_PROJECTION, visible);
            let seen: Vec<StateOf<S>> = next.states().map(projection).collect();
            let seen: Vec<&StateOf<S>> = seen.iter().collect();
            if let Some(history) = self.system.forget(&next.history, &seen) {
                next.history = self.interners.histories.intern(history);
            }
        }
        let mut network = std::mem::take(&mut next.network);
        network.retain(|envelope| {
            let is_irrelevant =
                self.options.forgets && self.system.is_irrelevant(&next.history, envelope);
            !is_irrelevant && !self.is_dropped(next, envelope)
        });
        next.network = network;
    }
}
