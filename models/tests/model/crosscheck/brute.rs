//! The world once more, from its description alone: every state, by brute force.

use super::global::{Global, Pending, Plain};
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use synod::checker::{MessageOf, Options, StateOf, StorageMode, System, TimerOf};

/// All that can happen.
pub(super) struct Explored<S: System> {
    /// Every reachable state.
    pub(super) states: HashSet<Plain<S>>,
    /// The steps from each, those that change nothing left out.
    pub(super) transitions: usize,
}

/// Explores a system with the faults of `options`, and without its reductions.
pub(super) fn explore<S: System>(system: &S, options: Options) -> Explored<S> {
    let brute = Brute { system, options };
    let start = brute.start();
    let mut open = vec![start.clone()];
    let mut explored = Explored {
        states: HashSet::from([start]),
        transitions: 0,
    };
    while let Some(state) = open.pop() {
        for next in brute.steps(&state) {
            explored.transitions += 1;
            if !explored.states.contains(&next) {
                explored.states.insert(next.clone());
                open.push(next);
            }
        }
    }
    explored
}

struct Brute<'a, S: System> {
    system: &'a S,
    options: Options,
}

impl<S: System> Brute<'_, S> {
    fn start(&self) -> Plain<S> {
        let actors = self.system.actors();
        let mut outs: Vec<Out<S::Actor>> = Vec::new();
        let mut locals = Vec::new();
        for (index, actor) in actors.iter().enumerate() {
            let mut out = Out::new();
            locals.push(actor.on_start(Id::from(index), &None, &mut out));
            outs.push(out);
        }
        let mut state = Global {
            locals,
            disks: vec![None; actors.len()],
            pending: vec![None; actors.len()],
            timers: BTreeSet::new(),
            choices: BTreeMap::new(),
            network: self.system.outside().into_iter().collect(),
            history: S::History::default(),
            crashes: 0,
        };
        for (index, out) in outs.into_iter().enumerate() {
            let before = state.locals[index].clone();
            self.obey(&mut state, Id::from(index), &before, out);
        }
        state
    }

    /// The states one step away, once per step. An actor whose save is pending waits for its disk.
    fn steps(&self, state: &Plain<S>) -> Vec<Plain<S>> {
        let mut next = Vec::new();
        let is_free = |id: Id| state.pending[usize::from(id)].is_none();
        for envelope in state
            .network
            .iter()
            .filter(|envelope| is_free(envelope.dst))
        {
            let (id, msg) = (envelope.dst, envelope.msg.clone());
            next.push(self.handle(state.clone(), id, |actor, local, out| {
                actor.on_msg(id, local, envelope.src, msg, out);
            }));
        }
        for fired in state.timers.iter().filter(|(id, _)| is_free(*id)) {
            let (id, timer): &(Id, TimerOf<S>) = fired;
            let mut without = state.clone();
            without.timers.remove(fired);
            next.push(self.handle(without, *id, |actor, local, out| {
                actor.on_timeout(*id, local, timer, out);
            }));
        }
        for (open, options) in state.choices.iter().filter(|(open, _)| is_free(open.0)) {
            for option in options {
                let mut without = state.clone();
                without.choices.remove(open);
                next.push(self.handle(without, open.0, |actor, local, out| {
                    actor.on_random(open.0, local, option, out);
                }));
            }
        }
        for (index, pending) in state.pending.iter().enumerate() {
            if let Some(Pending {
                visible,
                storage,
                held,
            }) = pending.clone()
            {
                let mut written = state.clone();
                written.pending[index] = None;
                written.disks[index] = Some(storage);
                written.network.extend(held);
                let after = written.locals[index].clone();
                self.witness(&mut written, Id::from(index), &visible, &after);
                next.push(written);
            }
        }
        if state.crashes < self.options.crashes {
            let ids = (0..state.locals.len()).map(Id::from);
            for id in ids.filter(|id| self.system.can_crash(*id)) {
                let mut restarted = self.restart(state.clone(), id);
                if restarted != *state {
                    restarted.crashes += 1;
                    next.push(restarted);
                }
            }
        }
        next.retain(|next| next != state);
        next
    }

    fn handle(
        &self,
        mut state: Plain<S>,
        id: Id,
        handler: impl FnOnce(&S::Actor, &mut Cow<StateOf<S>>, &mut Out<S::Actor>),
    ) -> Plain<S> {
        let before = state.locals[usize::from(id)].clone();
        let (mut local, mut out) = (Cow::Borrowed(&before), Out::new());
        handler(&self.system.actors()[usize::from(id)], &mut local, &mut out);
        let after = local.into_owned();
        state.locals[usize::from(id)] = after.clone();
        self.obey(&mut state, id, &before, out);
        if state.pending[usize::from(id)].is_none() {
            self.witness(&mut state, id, &before, &after);
        }
        state
    }

    fn restart(&self, mut state: Plain<S>, id: Id) -> Plain<S> {
        let index = usize::from(id);
        let undone = state.pending[index].take();
        state.timers.retain(|(owner, _)| *owner != id);
        state.choices.retain(|(owner, _), _| *owner != id);
        let mut out = Out::new();
        let after = self.system.actors()[index].on_start(id, &state.disks[index], &mut out);
        let before = std::mem::replace(&mut state.locals[index], after.clone());
        self.obey(&mut state, id, &after, out);
        let visible = undone.map_or(before, |pending| pending.visible);
        self.witness(&mut state, id, &visible, &after);
        state
    }

    /// The observer sees an actor show another state than before, if it really is another.
    fn witness(&self, state: &mut Plain<S>, id: Id, before: &StateOf<S>, after: &StateOf<S>) {
        let seen = |local| {
            let visible = self.system.visible(local);
            self.system.projection(S::RECORD_PROJECTION, &visible)
        };
        let (before, after) = (seen(before), seen(after));
        if before != after
            && let Some(history) = self.system.record(&state.history, id, &before, &after)
        {
            state.history = history;
        }
    }

    /// Does what an actor asks for, in the order in which it asks.
    fn obey(&self, state: &mut Plain<S>, id: Id, before: &StateOf<S>, out: Out<S::Actor>) {
        let index = usize::from(id);
        for command in out {
            match command {
                Command::SetTimer(timer, _) => {
                    state.timers.insert((id, timer));
                }
                Command::CancelTimer(timer) => {
                    state.timers.remove(&(id, timer));
                }
                Command::ChooseRandom(key, options) if options.is_empty() => {
                    state.choices.remove(&(id, key));
                }
                Command::ChooseRandom(key, options) => {
                    state.choices.insert((id, key), options);
                }
                Command::Save(storage) => match (self.options.storage, &mut state.pending[index]) {
                    (StorageMode::Atomic, _) => state.disks[index] = Some(storage),
                    (StorageMode::Split, Some(pending)) => pending.storage = storage,
                    (StorageMode::Split, none) => {
                        *none = Some(Pending {
                            visible: self.system.visible(before),
                            storage,
                            held: BTreeSet::new(),
                        });
                    }
                },
                Command::Send(dst, msg) => self.send(state, id, dst, msg),
            }
        }
    }

    fn send(&self, state: &mut Plain<S>, src: Id, dst: Id, msg: MessageOf<S>) {
        if usize::from(dst) < state.locals.len() {
            let envelope = stateright::actor::Envelope { src, dst, msg };
            match &mut state.pending[usize::from(src)] {
                Some(pending) => pending.held.insert(envelope),
                None => state.network.insert(envelope),
            };
        }
    }
}
