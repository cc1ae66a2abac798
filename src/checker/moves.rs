//! The steps that actors may take in a state.

use super::state::{Action, ActionOf, WorldState};
use super::system::{RandomOf, System};
use super::world::World;
use stateright::Model;
use stateright::actor::Id;
use std::collections::HashSet;

impl<S: System> World<S> {
    /// Adds the single steps that an actor may take.
    pub(super) fn moves(&self, state: &WorldState<S>, id: Id, actions: &mut Vec<ActionOf<S>>) {
        if state.unsaved[usize::from(id)].is_some() {
            actions.push(Action::Flush(id));
        } else {
            let network = state.network.iter().filter(|envelope| envelope.dst == id);
            actions.extend(network.cloned().map(Action::Deliver));
            let timers = state.timers.iter().filter(|timer| timer.id == id);
            actions.extend(timers.map(|at| Action::Timeout(id, at.value.clone())));
            for open in state.choices.iter().filter(|open| open.id == id) {
                let (key, options) = &open.value;
                let choose = |random: &RandomOf<S>| Action::Choose(id, key.clone(), random.clone());
                actions.extend(options.iter().map(choose));
            }
        }
        if state.crashes < self.options.crashes && self.system.can_crash(id) {
            actions.push(Action::Crash(id));
        }
    }

    /// Adds the bursts that an actor may take, each up to a step that is seen: see
    /// [`Options::postpones`](super::Options::postpones).
    pub(super) fn fused(&self, state: &WorldState<S>, id: Id, actions: &mut Vec<ActionOf<S>>) {
        let mut ends = HashSet::new();
        let mut hidden = vec![(state.clone(), Vec::new())];
        let mut next = 0;
        while let Some((at, way)) = hidden.get(next).cloned() {
            next += 1;
            let mut moves = Vec::new();
            self.moves(&at, id, &mut moves);
            for action in moves {
                let acted = self.act(&at, &action);
                let (is_invisible, end) = (acted.is_invisible(&at, id), acted.key(id));
                let Some(after) = self.land(&at, acted, id) else {
                    continue;
                };
                let mut way = way.clone();
                way.push(action);
                if is_invisible {
                    if !hidden.iter().any(|(seen, _)| *seen == after) {
                        hidden.push((after, way));
                    }
                } else if ends.insert((end, after.crashes)) {
                    actions.push(Action::in_a_row(way));
                }
            }
        }
    }

    /// Returns whether a step keeps the assumption about clocks.
    pub(super) fn keeps_time(&self, state: &WorldState<S>, id: Id, action: &ActionOf<S>) -> bool {
        let Some(clocks) = self.system.clocks() else {
            return true;
        };
        let Some(next) = self.next_state(state, action.clone()) else {
            return true;
        };
        let (index, actors) = (usize::from(id), state.visible.len());
        let clock = |of: &WorldState<S>, at: usize| self.system.clock(&of.visible[at].value);
        clocks.allow(index, clock(&next, index), actors, |other| {
            clock(state, other)
        })
    }
}
