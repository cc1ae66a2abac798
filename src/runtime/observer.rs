//! The events that an actor handles, and those who observe them.

use super::error::Error;
use serde::{Deserialize, Serialize};
use stateright::actor::{Actor, Id, Out};
use std::time::Duration;

/// An event that an actor handles.
///
/// `S` is what it starts from; `M`, `T` and `R` are its messages, timers and random choices.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event<S, M, T, R> {
    /// The actor starts from its last save.
    Start(S),
    /// A message arrives from the actor with this id, perhaps from the same actor.
    Message(usize, M),
    /// A timer fires.
    Timeout(T),
    /// A random choice is made.
    Choice(R),
}

/// An event of an actor, as its observer sees it.
pub type EventOf<'a, A> = Event<
    &'a Option<<A as Actor>::Storage>,
    &'a <A as Actor>::Msg,
    &'a <A as Actor>::Timer,
    &'a <A as Actor>::Random,
>;

/// An observer of an actor: sees every step when it is taken, and every state that is durable.
///
/// Until a step is durable a crash may undo it: a decision, for example, if it rests on a vote that
/// is lost. So an observer that acts on the state of a node, or judges it, must use
/// [`durable`](StepObserver::durable). A closure that takes an id and a state observes the durable
/// states.
#[expect(
    unused_variables,
    reason = "a default ignores what its parameters name"
)]
pub trait StepObserver<A: Actor> {
    /// Observes an event that is about to be handled. The driver determines from when the time
    /// counts.
    fn before(&mut self, node: Id, now: Duration, event: EventOf<'_, A>) {}

    /// Observes the state and the commands that follow from the event. No command is executed yet,
    /// and nothing is durable.
    fn after(&mut self, node: Id, state: &A::State, commands: &Out<A>) {}

    /// Observes a durable state whose messages are about to leave. Called after the start and after
    /// every batch of steps, even if they saved nothing.
    ///
    /// # Errors
    ///
    /// An error stops the node before any message leaves.
    fn durable(&mut self, node: Id, state: &A::State) -> Result<(), Error> {
        Ok(())
    }
}

/// An observer that observes nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoObserver;

impl<A: Actor> StepObserver<A> for NoObserver {}

impl<A: Actor, F: FnMut(Id, &A::State)> StepObserver<A> for F {
    fn durable(&mut self, node: Id, state: &A::State) -> Result<(), Error> {
        self(node, state);
        Ok(())
    }
}

/// An optional observer: `None` observes nothing.
impl<A: Actor, W: StepObserver<A>> StepObserver<A> for Option<W> {
    fn before(&mut self, node: Id, now: Duration, event: EventOf<'_, A>) {
        if let Some(step_observer) = self {
            step_observer.before(node, now, event);
        }
    }

    fn after(&mut self, node: Id, state: &A::State, commands: &Out<A>) {
        if let Some(step_observer) = self {
            step_observer.after(node, state, commands);
        }
    }

    fn durable(&mut self, node: Id, state: &A::State) -> Result<(), Error> {
        self.as_mut()
            .map_or(Ok(()), |step_observer| step_observer.durable(node, state))
    }
}
