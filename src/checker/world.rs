//! Actors in a hostile world, as a stateright [`Model`].

use super::audit::Audit;
use super::identity::{Interners, choice_key};
use super::part::{At, Part, Permutation};
use super::state::{Action, Unsaved, WorldState};
use super::system::{MessageOf, RandomOf, StateOf, StorageOf, System};
use stateright::actor::{Actor, Command, Envelope, Id, Out};
use stateright::{Expectation, Model, Property};
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// When a save takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StorageMode {
    /// At once, together with the rest of the step.
    #[default]
    Atomic,
    /// At a later step of its own. Until then the actor does nothing else, what it sent after the
    /// save waits, and a crash undoes the whole step; what it sent before the save is out.
    ///
    /// This covers a disk that takes many steps' saves at once: to the outside such a batch looks
    /// like its steps one by one, each with its messages late.
    Split,
}

/// What may happen in a [`World`], and which reductions to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// How many crashes there may be in one run, all actors together.
    pub crashes: usize,
    /// When a save takes effect.
    pub storage: StorageMode,
    /// Whether stale messages are dropped ([`System::is_stale`]).
    pub drops_stale: bool,
    /// Whether interchangeable actors are taken for one another ([`System::interchangeable`]).
    pub symmetry: bool,
}

impl Default for Options {
    /// No crash, atomic saves, all reductions.
    fn default() -> Self {
        Self {
            crashes: 0,
            storage: StorageMode::Atomic,
            drops_stale: true,
            symmetry: true,
        }
    }
}

/// Actors, and the world they run in.
///
/// - **Network**: the set of all messages ever sent. Each may be delivered at any time, any
///   number of times, or never: loss, duplication and reordering in one assumption. A message to
///   an id that is no actor is gone.
/// - **Timers**: a timer that is set may fire at any time; durations mean nothing.
/// - **Crashes**: an actor loses all but what it saved and restarts at once. That it might stay
///   down for a while adds nothing: others may take any number of steps before the crash.
/// - **Disk**: see [`StorageMode`].
///
/// What never changes anything is no step. Two states are one if they differ only by a
/// permutation of interchangeable actors; paths still show concrete states.
pub struct World<S: System> {
    pub(super) system: S,
    pub(super) options: Options,
    pub(super) group: Vec<Permutation>,
    pub(super) interners: Interners<S>,
    pub(super) audit: Audit<S>,
    stop: Arc<AtomicBool>,
    focus: Option<&'static str>,
}

/// The name of a property that holds wherever it is looked at.
const EVERYTHING: &str = "Everything: every state is visited.";

/// How many permutations there are at most.
const GROUP_MAX: usize = 720;

/// Shrinks the classes of interchangeable actors until they have few enough permutations: more
/// would cost more than they save. Those of some members are a reduction too, only a smaller one.
fn limit(classes: &mut [Vec<Id>]) {
    let mut size = 1;
    for class in classes {
        let fits = |members: &usize| {
            let orders = (1..=*members).try_fold(size, |product: usize, n| product.checked_mul(n));
            orders.is_some_and(|orders| orders <= GROUP_MAX)
        };
        let members = (1..=class.len()).take_while(fits).last().unwrap_or(0);
        class.truncate(members);
        size = (1..=members).fold(size, |product, n| product * n);
    }
}

impl<S: System> World<S> {
    /// The world of `system` under `options`.
    #[must_use]
    pub fn new(system: S, options: Options) -> Self {
        let mut classes = if options.symmetry {
            system.interchangeable()
        } else {
            Vec::new()
        };
        limit(&mut classes);
        let group = Permutation::within(&classes, system.actors().len());
        Self {
            system,
            options,
            group,
            interners: Interners::new(),
            audit: Audit::new(),
            stop: Arc::default(),
            focus: None,
        }
    }

    /// Checks the property of this name and no other.
    ///
    /// stateright's checkers report the last violation that they meet while any other property
    /// is still open; with one property alone it is the first, and with breadth-first search on
    /// one thread the shortest.
    #[must_use]
    pub fn focus_on(mut self, property: &'static str) -> Self {
        self.focus = Some(property);
        self
    }

    /// The system.
    #[must_use]
    pub fn system(&self) -> &S {
        &self.system
    }

    /// The permutations under which states count as one; the first moves nothing.
    #[must_use]
    pub fn symmetries(&self) -> &[Permutation] {
        &self.group
    }

    /// A switch that ends a search: once it is set, states have no successors any more.
    #[must_use]
    pub fn stop_switch(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    /// Why the reductions applied so far are unsound, if they are: the system declares a message
    /// stale that is not. A verdict reached with such a declaration is worth nothing.
    #[must_use]
    pub fn unsoundness(&self) -> Option<&str> {
        self.audit.refuted()
    }

    /// Runs one handler of an actor and applies what it asks for.
    fn step(
        &self,
        state: &mut WorldState<S>,
        id: Id,
        handler: impl FnOnce(&S::Actor, &mut Cow<StateOf<S>>, &mut Out<S::Actor>),
    ) {
        let index = usize::from(id);
        let before = state.locals[index].clone();
        let mut local = Cow::Borrowed(&before.value);
        let mut out = Out::new();
        handler(&self.system.actors()[index], &mut local, &mut out);
        if let Cow::Owned(value) = local {
            state.locals[index] = self.local(At { id, value });
        }
        self.execute(state, id, &before, out);
    }

    /// Does what an actor asks for in a step from the local state `before`.
    fn execute(
        &self,
        state: &mut WorldState<S>,
        id: Id,
        before: &At<StateOf<S>>,
        out: Out<S::Actor>,
    ) {
        for command in out {
            match command {
                Command::SetTimer(value, _) => {
                    let timer = At { id, value };
                    if let Err(place) = find(&state.timers, &timer) {
                        state.timers.insert(place, self.timer(timer));
                    }
                }
                Command::CancelTimer(value) => remove(&mut state.timers, &At { id, value }),
                Command::ChooseRandom(key, options) => {
                    state
                        .choices
                        .retain(|open| choice_key(open) != (id, key.as_str()));
                    if !options.is_empty() {
                        let open = self.choice(At {
                            id,
                            value: (key, options),
                        });
                        state.choices.push(open);
                        state
                            .choices
                            .sort_unstable_by(|a, b| choice_key(a).cmp(&choice_key(b)));
                    }
                }
                Command::Save(storage) => self.save(state, id, before, storage),
                Command::Send(dst, msg) => {
                    let envelope = Envelope { src: id, dst, msg };
                    self.send(state, envelope);
                }
            }
        }
    }

    fn save(
        &self,
        state: &mut WorldState<S>,
        id: Id,
        before: &At<StateOf<S>>,
        storage: StorageOf<S>,
    ) {
        let index = usize::from(id);
        match self.options.storage {
            StorageMode::Atomic => {
                state.storages[index] = Some(self.storage(At { id, value: storage }));
            }
            StorageMode::Split => {
                let waiting = state.unsaved[index].as_ref();
                let value = Unsaved {
                    shown: waiting.map_or(&before.value, |at| &at.value.shown).clone(),
                    held: waiting.map_or_else(Vec::new, |at| at.value.held.clone()),
                    storage,
                };
                state.unsaved[index] = Some(self.unsaved(At { id, value }));
            }
        }
    }

    fn send(&self, state: &mut WorldState<S>, envelope: Envelope<MessageOf<S>>) {
        let src = usize::from(envelope.src);
        if usize::from(envelope.dst) >= state.locals.len() {
            return;
        }
        if let Some(Some(at)) = &state.unsaved.get(src) {
            let mut value = at.value.clone();
            if let Err(place) = value.held.binary_search(&envelope) {
                value.held.insert(place, envelope);
                state.unsaved[src] = Some(self.unsaved(At { id: at.id, value }));
            }
        } else if let Err(place) = find(&state.network, &envelope) {
            state.network.insert(place, self.envelope(envelope));
        }
    }

    /// What was saved last is on disk now; what waited for it leaves.
    fn flush(&self, state: &mut WorldState<S>, id: Id) {
        if let Some(at) = state.unsaved[usize::from(id)].take() {
            let Unsaved { storage, held, .. } = at.value.clone();
            state.storages[usize::from(id)] = Some(self.storage(At { id, value: storage }));
            held.into_iter()
                .for_each(|envelope| self.send(state, envelope));
        }
    }

    fn crash(&self, state: &mut WorldState<S>, id: Id) {
        let index = usize::from(id);
        state.unsaved[index] = None;
        state.timers.retain(|timer| timer.id != id);
        state.choices.retain(|choice| choice.id != id);
        let storage = state.storages[index].as_ref().map(|at| at.value.clone());
        let mut out = Out::new();
        let value = self.system.actors()[index].on_start(id, &storage, &mut out);
        let local = self.local(At { id, value });
        state.locals[index] = local.clone();
        self.execute(state, id, &local, out);
    }

    /// Lets the observer see what actor `id` shows now and did not before.
    fn observe(&self, last: &WorldState<S>, next: &mut WorldState<S>, id: Id) {
        let (before, after) = (last.shown(id), next.shown(id));
        if before != after {
            let seen = self.system.record(&next.history, id, before, after);
            if let Some(history) = seen {
                next.history = self.history(history);
            }
        }
    }

    /// Drops what is stale, audits the claim, and gives the state its identity.
    fn settle(&self, last: Option<&WorldState<S>>, next: &mut WorldState<S>) {
        if self.options.drops_stale {
            for (index, local) in next.locals.iter().enumerate() {
                let before = last.map_or(local, |last| &last.locals[index]);
                // A crash may undo an unsaved step, and with it what made a message stale: so
                // nothing is dropped while a save is pending, and such a crash proves nothing.
                let is_undone = last.is_some_and(|last| {
                    last.unsaved[index].is_some() && next.crashes > last.crashes
                });
                let is_step = last.is_none() || before.address() != local.address();
                if is_step && !is_undone {
                    self.audit.step(&self.system, before, local);
                }
            }
            let (locals, unsaved) = (&next.locals, &next.unsaved);
            next.network.retain(|envelope| {
                let dst = usize::from(envelope.dst);
                let state = &locals[dst].value;
                unsaved[dst].is_some()
                    || !self
                        .system
                        .is_stale(envelope.dst, state, envelope.src, &envelope.msg)
            });
        }
        next.identity = self.identity(next);
    }
}

fn find<T: Ord>(parts: &[Part<T>], value: &T) -> Result<usize, usize> {
    parts.binary_search_by(|part| (**part).cmp(value))
}

fn remove<T: Ord>(parts: &mut Vec<Part<T>>, value: &T) {
    if let Ok(place) = find(parts, value) {
        parts.remove(place);
    }
}

impl<S: System> Model for World<S> {
    type State = WorldState<S>;
    type Action = Action<S>;

    fn init_states(&self) -> Vec<WorldState<S>> {
        let mut outs = Vec::new();
        let mut locals = Vec::new();
        for (index, actor) in self.system.actors().iter().enumerate() {
            let (id, mut out) = (Id::from(index), Out::new());
            let value = actor.on_start(id, &None, &mut out);
            locals.push(self.local(At { id, value }));
            outs.push((id, out));
        }
        let mut state = WorldState {
            storages: vec![None; locals.len()],
            unsaved: vec![None; locals.len()],
            locals,
            timers: Vec::new(),
            choices: Vec::new(),
            network: Vec::new(),
            history: self.history(S::History::default()),
            crashes: 0,
            identity: 0,
        };
        for (id, out) in outs {
            let before = state.locals[usize::from(id)].clone();
            self.execute(&mut state, id, &before, out);
        }
        let outside = self.system.outside().into_iter();
        outside.for_each(|envelope| self.send(&mut state, envelope));
        self.settle(None, &mut state);
        vec![state]
    }

    fn actions(&self, state: &WorldState<S>, actions: &mut Vec<Action<S>>) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        let is_free = |id: Id| state.unsaved[usize::from(id)].is_none();
        let network = state
            .network
            .iter()
            .filter(|envelope| is_free(envelope.dst));
        actions.extend(network.cloned().map(Action::Deliver));
        let timers = state.timers.iter().filter(|timer| is_free(timer.id));
        actions.extend(timers.map(|at| Action::Timeout(at.id, at.value.clone())));
        for open in state.choices.iter().filter(|open| is_free(open.id)) {
            let (key, options) = &open.value;
            let choose =
                |random: &RandomOf<S>| Action::Choose(open.id, key.clone(), random.clone());
            actions.extend(options.iter().map(choose));
        }
        let waiting = state.unsaved.iter().flatten();
        actions.extend(waiting.map(|at| Action::Flush(at.id)));
        if state.crashes < self.options.crashes {
            let ids = (0..state.locals.len()).map(Id::from);
            actions.extend(
                ids.filter(|id| self.system.can_crash(*id))
                    .map(Action::Crash),
            );
        }
    }

    fn next_state(&self, last: &WorldState<S>, action: Action<S>) -> Option<WorldState<S>> {
        let mut next = last.clone();
        let id = action.actor();
        match action {
            Action::Deliver(envelope) => {
                let Envelope { src, dst, msg } = (*envelope).clone();
                self.step(&mut next, dst, |actor, state, out| {
                    actor.on_msg(dst, state, src, msg, out);
                });
            }
            Action::Timeout(id, timer) => {
                let at = At { id, value: timer };
                remove(&mut next.timers, &at);
                self.step(&mut next, id, |actor, state, out| {
                    actor.on_timeout(id, state, &at.value, out);
                });
            }
            Action::Choose(id, key, random) => {
                next.choices
                    .retain(|open| choice_key(open) != (id, key.as_str()));
                self.step(&mut next, id, |actor, state, out| {
                    actor.on_random(id, state, &random, out);
                });
            }
            Action::Flush(id) => self.flush(&mut next, id),
            Action::Crash(id) => {
                self.crash(&mut next, id);
                if next == *last {
                    return None;
                }
                next.crashes += 1;
            }
        }
        // Most deliveries are of old messages and change nothing, which is cheap to see before the
        // state is settled. After that it may still turn out so: all that was sent may be stale.
        if next == *last {
            return None;
        }
        self.observe(last, &mut next, id);
        self.settle(Some(last), &mut next);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = self.system.properties();
        properties.retain(|property| self.focus.is_none_or(|name| name == property.name));
        // Once all its properties are settled, stateright stops short of the states still ahead.
        // One that never is keeps it going to the end.
        let is_always = |property: &Property<_>| property.expectation == Expectation::Always;
        if self.focus.is_none() && !properties.iter().any(is_always) {
            properties.push(Property::always(EVERYTHING, |_, _| true));
        }
        properties
    }

    fn format_action(&self, action: &Action<S>) -> String {
        format!("{action:?}")
    }

    fn format_step(&self, last: &WorldState<S>, action: Action<S>) -> Option<String> {
        self.describe_step(last, action)
    }

    fn as_svg(&self, path: stateright::Path<WorldState<S>, Action<S>>) -> Option<String> {
        Some(self.draw(&path.into_vec()))
    }
}
