//! The steps that actors may take in a state, and one step of one actor: its handler runs, and the
//! world executes its commands.

use super::call::Event;
use super::options::StorageMode;
use super::part::{At, Part};
use super::state::{Action, ActionOf, Unsaved, WorldState, choice_key};
use super::system::{MessageOf, RandomOf, StateOf, StorageOf, System};
use super::world::World;
use stateright::Model;
use stateright::actor::{Command, Envelope, Id, Out};
use std::borrow::Cow;
use std::collections::HashSet;

/// The result of an actor's step, before its messages arrive anywhere.
pub(super) struct Acted<S: System> {
    /// The state, in which only the parts that belong to the actor have changed.
    pub(super) state: WorldState<S>,
    /// The messages that leave.
    pub(super) sent: Vec<Part<Envelope<MessageOf<S>>>>,
    /// One if the step is a crash.
    pub(super) crashes: usize,
}

impl<S: System> Acted<S> {
    /// Returns whether nobody but the actor itself can tell that it took the step.
    pub(super) fn is_invisible(&self, last: &WorldState<S>, id: Id) -> bool {
        let index = usize::from(id);
        self.sent.is_empty() && self.state.visible[index] == last.visible[index]
    }

    /// Returns a key that tells this result from others of the actor, whatever led to it.
    pub(super) fn key(&self, id: Id) -> [Vec<usize>; 2] {
        let mut sent: Vec<usize> = self.sent.iter().map(Part::address).collect();
        sent.sort_unstable();
        sent.dedup();
        [self.state.own(id), sent]
    }
}

pub(super) fn find<T: Ord>(parts: &[Part<T>], value: &T) -> Result<usize, usize> {
    parts.binary_search_by(|part| (**part).cmp(value))
}

fn remove<T: Ord>(parts: &mut Vec<Part<T>>, value: &T) {
    if let Ok(place) = find(parts, value) {
        parts.remove(place);
    }
}

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

    /// Lets an actor handle an event, and executes its commands.
    fn step(&self, acted: &mut Acted<S>, id: Id, event: Event<'_, S::Actor>) {
        let index = usize::from(id);
        let before = acted.state.locals[index].clone();
        let actor = &self.system.actors()[index];
        let (local, commands) = self.caller.call(actor, id, &before.value, event);
        if let Cow::Owned(value) = local {
            acted.state.locals[index] = self.interners.locals.intern(At { id, value });
        }
        self.execute(acted, id, commands);
    }

    /// Executes an actor's commands; messages are collected.
    pub(super) fn execute(&self, acted: &mut Acted<S>, id: Id, out: Out<S::Actor>) {
        let state = &mut acted.state;
        for command in out {
            match command {
                Command::SetTimer(value, _) => {
                    let timer = At { id, value };
                    if let Err(place) = find(&state.timers, &timer) {
                        state
                            .timers
                            .insert(place, self.interners.timers.intern(timer));
                    }
                }
                Command::CancelTimer(value) => remove(&mut state.timers, &At { id, value }),
                Command::ChooseRandom(key, options) => {
                    state
                        .choices
                        .retain(|open| choice_key(open) != (id, key.as_str()));
                    if !options.is_empty() {
                        let open = self.interners.choices.intern(At {
                            id,
                            value: (key, options),
                        });
                        state.choices.push(open);
                        state.sort_choices();
                    }
                }
                Command::Save(storage) => self.save(state, id, storage),
                Command::Send(dst, msg) => {
                    let envelope = Envelope { src: id, dst, msg };
                    if let Some(sent) = self.send(state, envelope) {
                        acted.sent.push(sent);
                    }
                }
            }
        }
    }

    fn save(&self, state: &mut WorldState<S>, id: Id, storage: StorageOf<S>) {
        let index = usize::from(id);
        match self.options.storage {
            StorageMode::Atomic => {
                state.storages[index] =
                    Some(self.interners.storages.intern(At { id, value: storage }));
            }
            StorageMode::Split => {
                let waiting = state.unsaved[index].as_ref();
                let held = waiting.map_or_else(Vec::new, |at| at.value.held.clone());
                let value = Unsaved { storage, held };
                state.unsaved[index] = Some(self.interners.unsaved.intern(At { id, value }));
            }
        }
    }

    /// Returns a message that leaves immediately: none if its receiver is no actor, or a save comes
    /// first.
    fn send(
        &self,
        state: &mut WorldState<S>,
        envelope: Envelope<MessageOf<S>>,
    ) -> Option<Part<Envelope<MessageOf<S>>>> {
        let src = usize::from(envelope.src);
        if usize::from(envelope.dst) >= state.locals.len() {
            return None;
        }
        let Some(Some(at)) = &state.unsaved.get(src) else {
            return Some(self.envelope(envelope));
        };
        let mut value = at.value.clone();
        if let Err(place) = value.held.binary_search(&envelope) {
            value.held.insert(place, envelope);
            state.unsaved[src] = Some(self.interners.unsaved.intern(At { id: at.id, value }));
        }
        None
    }

    /// Writes an actor's last save to its disk, and lets the messages leave that waited for it.
    fn flush(&self, acted: &mut Acted<S>, id: Id) {
        let state = &mut acted.state;
        if let Some(at) = state.unsaved[usize::from(id)].take() {
            let Unsaved { storage, held } = at.value.clone();
            state.storages[usize::from(id)] =
                Some(self.interners.storages.intern(At { id, value: storage }));
            let held = held.into_iter();
            let sent = held.filter_map(|envelope| self.send(state, envelope));
            acted.sent.extend(sent);
        }
    }

    fn crash(&self, acted: &mut Acted<S>, id: Id) {
        let (index, state) = (usize::from(id), &mut acted.state);
        state.unsaved[index] = None;
        state.timers.retain(|timer| timer.id != id);
        state.choices.retain(|choice| choice.id != id);
        let storage = state.storages[index].as_ref().map(|at| at.value.clone());
        let (fresh, commands) = self.start(id, &storage);
        let value = self.system.restarted(&state.locals[index].value, fresh);
        state.locals[index] = self.interners.locals.intern(At { id, value });
        self.show(state, id);
        acted.crashes = 1;
        self.execute(acted, id, commands);
    }

    pub(super) fn start(
        &self,
        id: Id,
        storage: &Option<StorageOf<S>>,
    ) -> (StateOf<S>, Out<S::Actor>) {
        let actor = &self.system.actors()[usize::from(id)];
        self.caller.start(actor, id, storage)
    }

    /// Takes one step of one actor, which is no burst.
    pub(super) fn act(&self, last: &WorldState<S>, action: &ActionOf<S>) -> Acted<S> {
        let id = action.actor();
        let mut acted = Acted {
            state: last.clone(),
            sent: Vec::new(),
            crashes: 0,
        };
        match action {
            Action::Deliver(envelope) => {
                let event = Event::Message(envelope.src, &envelope.msg);
                self.step(&mut acted, id, event);
            }
            Action::Timeout(_, timer) => {
                let at = At {
                    id,
                    value: timer.clone(),
                };
                remove(&mut acted.state.timers, &at);
                self.step(&mut acted, id, Event::Timeout(timer));
            }
            Action::Choose(_, key, random) => {
                let is_made = |open: &At<_>| choice_key(open) == (id, key.as_str());
                acted.state.choices.retain(|open| !is_made(open));
                self.step(&mut acted, id, Event::Random(random));
            }
            Action::Flush(_) => self.flush(&mut acted, id),
            Action::Crash(_) => self.crash(&mut acted, id),
            Action::Fused(_) => {}
        }
        self.show(&mut acted.state, id);
        acted
    }

    /// Shows the visible part of the actor's local state, unless that is not yet on disk.
    fn show(&self, state: &mut WorldState<S>, id: Id) {
        let index = usize::from(id);
        if state.unsaved[index].is_none() {
            let value = self.system.visible(&state.locals[index].value);
            state.visible[index] = self.interners.visible.intern(At { id, value });
        }
    }
}
