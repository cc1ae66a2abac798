//! Runs as text.

use super::report::{Trace, TraceStep};
use super::state::{Action, ActionOf, WorldState};
use super::system::System;
use super::world::World;
use stateright::Path;

/// A run of a world.
pub(super) type Run<S> = Path<WorldState<S>, ActionOf<S>>;

impl Trace {
    /// The run of a path, step by step, in a `world` that postpones nothing.
    pub(super) fn new<S: System>(world: &World<S>, path: Run<S>) -> Self {
        let start = path.clone().into_vec().swap_remove(0).0;
        let actions = path.into_actions();
        let single = actions.into_iter().flat_map(Action::steps);
        let Some(path) = Path::from_actions(world, start, &single.collect::<Vec<_>>()) else {
            return Self::default();
        };
        let explorer_path = path.encode(world);
        let path = path.into_vec();
        let states = path.iter().skip(1).map(|(state, _)| state);
        let actions = path.iter().filter_map(|(_, action)| action.as_ref());
        let steps = actions.zip(states).map(|(action, after)| TraceStep {
            action: format!("{action:?}"),
            actor: world.system().label(action.actor()),
            after: format!("{:?}", after.locals[usize::from(action.actor())].value),
        });
        Self {
            steps: steps.collect(),
            explorer_path,
            is_shortest: false,
        }
    }
}
