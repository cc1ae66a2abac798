//! A walk through a [`World`] by hand: each step is named by its text.

use super::state::{ActionOf, WorldState};
use super::system::System;
use super::world::World;
use stateright::Model;
use stateright::actor::Id;
use std::fmt::Write;

/// A run in the making: the states so far, and the steps between them.
pub struct Replay<'a, S: System> {
    world: &'a World<S>,
    states: Vec<WorldState<S>>,
    explorer_path: String,
}

/// A step that was taken, ready to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The actor that took it.
    pub actor: String,
    /// The actor's state before it.
    pub before: String,
    /// The actor's state after it.
    pub after: String,
    /// The messages that the actor sent and that nobody had sent before, in order, each with its
    /// receivers.
    pub sent: Vec<(String, Vec<Id>)>,
}

/// The reason why a step cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is no such step here: for example, the message was not sent, or the timer is not set.
    #[error("there is no step `{step}` here; there are{}", listed(possible))]
    Unknown {
        /// The step, as it was named.
        step: String,
        /// The steps that would change something.
        possible: Vec<String>,
    },
    /// The message can be delivered, but that changes nothing.
    #[error("`{step}` changes nothing here; these do:{}", listed(possible))]
    Idle {
        /// The step, as it was named.
        step: String,
        /// The steps that would change something.
        possible: Vec<String>,
    },
}

/// A line for each step.
fn listed(steps: &[String]) -> String {
    steps.iter().fold(String::new(), |mut list, step| {
        // Writing to a string cannot fail.
        let _ = write!(list, "\n    {step}");
        list
    })
}

impl<'a, S: System> Replay<'a, S> {
    /// Returns a run that is about to begin, or `None` if the world has no initial state.
    #[must_use]
    pub fn new(world: &'a World<S>) -> Option<Self> {
        let states = world.init_states().into_iter().take(1);
        let states: Vec<WorldState<S>> = states.collect();
        (!states.is_empty()).then_some(Self {
            world,
            states,
            explorer_path: "0".to_owned(),
        })
    }

    /// Returns all states so far, in order.
    #[must_use]
    pub fn states(&self) -> &[WorldState<S>] {
        &self.states
    }

    /// Returns the run as the Explorer addresses it, below `#/steps/`.
    #[must_use]
    pub fn explorer_path(&self) -> &str {
        &self.explorer_path
    }

    fn last(&self) -> &WorldState<S> {
        // There is a state from the start on, and none is ever taken away.
        &self.states[self.states.len() - 1]
    }

    /// Finds a step. Returns its place among all steps from here, the step, and the state after it.
    fn find(&self, step: &str) -> Result<(usize, ActionOf<S>, WorldState<S>), Refusal> {
        let (last, mut actions) = (self.last(), Vec::new());
        self.world.actions(last, &mut actions);
        let place = actions.iter().position(|it| format!("{it:?}") == step);
        let next = place.and_then(|place| self.world.next_state(last, actions[place].clone()));
        if let (Some(place), Some(next)) = (place, next) {
            return Ok((place, actions.swap_remove(place), next));
        }
        let changes = |it: &ActionOf<S>| self.world.next_state(last, it.clone()).is_some();
        let possible = actions.iter().filter(|it| changes(it));
        let possible = possible.map(|it| format!("{it:?}")).collect();
        let step = step.to_owned();
        Err(match place {
            Some(_) => Refusal::Idle { step, possible },
            None => Refusal::Unknown { step, possible },
        })
    }

    /// Takes the step with the text `step`.
    ///
    /// # Errors
    /// If there is no such step, or it changes nothing.
    pub fn take(&mut self, step: &str) -> Result<Taken, Refusal> {
        let (place, action, next) = self.find(step)?;
        let (id, last) = (action.actor(), self.last());
        let local = |state: &WorldState<S>| format!("{:?}", state.locals[usize::from(id)].value);
        let mut sent: Vec<(String, Vec<Id>)> = Vec::new();
        for envelope in next.network.iter().filter(|it| !last.network.contains(it)) {
            let message = format!("{:?}", envelope.msg);
            match sent.iter_mut().find(|(known, _)| *known == message) {
                Some((_, to)) => to.push(envelope.dst),
                None => sent.push((message, vec![envelope.dst])),
            }
        }
        let taken = Taken {
            actor: self.world.system().label(id),
            before: local(last),
            after: local(&next),
            sent,
        };
        // Writing to a string cannot fail.
        let _ = write!(self.explorer_path, "/{place}");
        self.states.push(next);
        Ok(taken)
    }

    /// Returns whether the step with the text `step` would change nothing, like a message that is
    /// refused without an answer.
    ///
    /// # Errors
    /// If there is no such step.
    pub fn is_idle(&self, step: &str) -> Result<bool, Refusal> {
        match self.find(step) {
            Ok(_) => Ok(false),
            Err(Refusal::Idle { .. }) => Ok(true),
            Err(unknown @ Refusal::Unknown { .. }) => Err(unknown),
        }
    }
}
