//! A world as a stateright [`Model`], which stateright's checkers and its Explorer run.

use super::part::At;
use super::state::{Action, ActionOf, WorldState};
use super::step::Acted;
use super::system::System;
use super::world::{STEPS_MAX, World};
use stateright::actor::Id;
use stateright::{Expectation, Model, Property};
use std::sync::atomic::Ordering;

/// The name of a property that holds in every state.
const EVERYTHING: &str = "Everything: every state is visited.";

/// Returns whether all steps to a state kept the step property at a place.
fn kept<S: System, const PLACE: u32>(_: &World<S>, state: &WorldState<S>) -> bool {
    state.broken & 1 << PLACE == 0
}

impl<S: System> Model for World<S> {
    type State = WorldState<S>;
    type Action = ActionOf<S>;

    fn init_states(&self) -> Vec<WorldState<S>> {
        let ids = || (0..self.system.actors().len()).map(Id::from);
        let starts = ids().map(|id| {
            let (value, commands) = self.start(id, &None);
            (At { id, value }, commands)
        });
        let (locals, outs): (Vec<_>, Vec<_>) = starts.unzip();
        let visible = locals.iter().map(|at| At {
            id: at.id,
            value: self.system.visible(&at.value),
        });
        let state = WorldState {
            storages: vec![None; locals.len()],
            unsaved: vec![None; locals.len()],
            visible: visible
                .map(|at| self.interners.visible.intern(at))
                .collect(),
            locals: locals
                .into_iter()
                .map(|at| self.interners.locals.intern(at))
                .collect(),
            timers: Vec::new(),
            choices: Vec::new(),
            network: Vec::new(),
            history: self
                .interners
                .histories
                .intern(self.system.initial_history()),
            crashes: 0,
            broken: 0,
            identity: 0,
        };
        let mut acted = Acted {
            state,
            sent: Vec::new(),
            crashes: 0,
        };
        for (id, out) in ids().zip(outs) {
            self.execute(&mut acted, id, out);
        }
        let Acted {
            mut state, sent, ..
        } = acted;
        let outside = self.system.outside().into_iter();
        let outside = outside.filter(|envelope| usize::from(envelope.dst) < state.locals.len());
        let outside = outside.map(|envelope| self.envelope(envelope));
        state.network = sent.into_iter().chain(outside).collect();
        state.network.sort_unstable();
        state.network.dedup();
        if self.audits() {
            let locals = state.locals.iter();
            locals.for_each(|local| {
                self.audit
                    .step(local, local, |one, other, it| self.examine(one, other, it))
            });
        }
        self.settle(&mut state);
        state.identity = self.identity(&state);
        vec![state]
    }

    fn actions(&self, state: &WorldState<S>, actions: &mut Vec<ActionOf<S>>) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        for id in (0..state.locals.len()).map(Id::from) {
            let first = actions.len();
            if self.options.postpones {
                self.fused(state, id, actions);
            } else {
                self.moves(state, id, actions);
            }
            if self.system.clocks().is_some() {
                let mine = actions.split_off(first);
                actions.extend(mine.into_iter().filter(|it| self.keeps_time(state, id, it)));
            }
        }
    }

    fn next_state(&self, last: &WorldState<S>, action: ActionOf<S>) -> Option<WorldState<S>> {
        let Action::Fused(steps) = action else {
            return self.land(last, self.act(last, &action), action.actor());
        };
        let mut next = last.clone();
        for step in steps {
            next = self.land(&next, self.act(&next, &step), step.actor())?;
        }
        // Crashes that lead back to where the fused step began are no step either.
        let back = WorldState {
            crashes: last.crashes,
            identity: last.identity,
            ..next.clone()
        };
        (back != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = self.system.properties();
        macro_rules! kept {
            ($($place:literal)*) => { [$(kept::<S, $place>),*] };
        }
        let kept: [fn(&Self, &WorldState<S>) -> bool; STEPS_MAX] =
            kept!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
        let steps = self.steps.iter().zip(kept);
        properties.extend(steps.map(|(step, kept)| Property::always(step.name, kept)));
        properties.retain(|property| self.focus.is_none_or(|name| name == property.name));
        // Once all its properties are settled, stateright stops short of the states still ahead. A
        // property that is never settled keeps it going to the end.
        let is_always = |property: &Property<_>| property.expectation == Expectation::Always;
        if self.focus.is_none() && !properties.iter().any(is_always) {
            properties.push(Property::always(EVERYTHING, |_, _| true));
        }
        properties
    }

    fn format_step(&self, last: &WorldState<S>, action: ActionOf<S>) -> Option<String> {
        self.describe_step(last, action)
    }

    fn as_svg(&self, path: stateright::Path<WorldState<S>, ActionOf<S>>) -> Option<String> {
        Some(self.draw(&path.into_vec()))
    }
}
