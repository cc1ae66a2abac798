//! Actors in a hostile world, as a stateright [`Model`].

use super::audit::Audit;
use super::part::{At, Interner, Part, Permutation};
use stateright::actor::{Actor, Command, Envelope, Id, Out};
use stateright::{Model, Property};
use std::borrow::Cow;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The messages of a system.
pub type MessageOf<S> = <<S as System>::Actor as Actor>::Msg;
/// The timers of a system.
pub type TimerOf<S> = <<S as System>::Actor as Actor>::Timer;
/// The local states of a system.
pub type StateOf<S> = <<S as System>::Actor as Actor>::State;
/// What the actors of a system save.
pub type StorageOf<S> = <<S as System>::Actor as Actor>::Storage;
/// The random choices of a system.
pub type RandomOf<S> = <<S as System>::Actor as Actor>::Random;
/// What the observer of a system records.
pub type HistoryOf<S> = <S as System>::History;

/// A closed system to check: actors, what an observer records of them, and what must hold.
///
/// Everything but the actors and the properties has a default, so that any stateright actors
/// become a system in a few lines.
pub trait System: Sized + Send + Sync + 'static {
    /// The actors. Messages and timers are ordered, so that states and actions have one canonical
    /// order.
    type Actor: Actor<
            Msg: Ord + Send + Sync + 'static,
            Timer: Ord + Send + Sync + 'static,
            State: Eq + Send + Sync + 'static,
            Storage: Eq + Send + Sync + 'static,
            Random: Send + Sync + 'static,
        > + Send
        + Sync
        + 'static;
    /// What an observer remembers of a run; `()` if nothing.
    type History: Clone + Debug + Default + Eq + Hash + Send + Sync + 'static;

    /// The actors; each one's id is its index.
    fn actors(&self) -> &[Self::Actor];

    /// Messages that are in the network from the start: what the world outside the system says.
    /// What an actor answers to an id that is no actor is gone.
    fn outside(&self) -> Vec<Envelope<MessageOf<Self>>> {
        Vec::new()
    }

    /// What must hold always, and what must be found sometimes.
    fn properties(&self) -> Vec<Property<World<Self>>>;

    /// What the observer adds to its record when the state that an actor shows changes; `None` if
    /// nothing. A restart is such a change too; a step whose save is pending is none yet.
    fn record(
        &self,
        history: &Self::History,
        id: Id,
        before: &StateOf<Self>,
        after: &StateOf<Self>,
    ) -> Option<Self::History> {
        let _ = (history, id, before, after);
        None
    }

    /// Whether the actor may crash and restart. Clients do not.
    fn can_crash(&self, id: Id) -> bool {
        let _ = id;
        true
    }

    /// Whether a message can never again matter to the actor in this state, or after any steps
    /// from it, a restart included. Such messages are dropped from the network; the claim is
    /// verified on every step.
    fn is_stale(&self, id: Id, state: &StateOf<Self>, src: Id, message: &MessageOf<Self>) -> bool {
        let _ = (id, state, src, message);
        false
    }

    /// Sets of actors that are alike in everything: states that differ by a permutation within
    /// these sets count as one. Whoever declares any must also write the `relabel` functions.
    fn interchangeable(&self) -> Vec<Vec<Id>> {
        Vec::new()
    }

    /// A local state with every actor id in it replaced. Timers, and random choices, must have
    /// none.
    fn relabel_state(&self, state: &StateOf<Self>, by: &Permutation) -> StateOf<Self> {
        let _ = by;
        state.clone()
    }

    /// A message with every actor id in it replaced.
    fn relabel_message(&self, message: &MessageOf<Self>, by: &Permutation) -> MessageOf<Self> {
        let _ = by;
        message.clone()
    }

    /// A saved state with every actor id in it replaced.
    fn relabel_storage(&self, storage: &StorageOf<Self>, by: &Permutation) -> StorageOf<Self> {
        let _ = by;
        storage.clone()
    }

    /// A record with every actor id in it replaced.
    fn relabel_history(&self, history: &Self::History, by: &Permutation) -> Self::History {
        let _ = by;
        history.clone()
    }

    /// What to call an actor, or whoever speaks from outside, in pictures.
    fn label(&self, id: Id) -> String {
        let index = usize::from(id);
        let name = self
            .actors()
            .get(index)
            .map(Actor::name)
            .unwrap_or_default();
        format!("{index} {name}").trim_end().to_owned()
    }
}

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
    system: S,
    options: Options,
    group: Vec<Permutation>,
    interners: Interners<S>,
    audit: Audit<S>,
    stop: Arc<AtomicBool>,
    focus: Option<&'static str>,
}

struct Interners<S: System> {
    locals: Interner<At<StateOf<S>>>,
    storages: Interner<At<StorageOf<S>>>,
    unsaved: Interner<At<Unsaved<S>>>,
    timers: Interner<At<TimerOf<S>>>,
    choices: Interner<At<Choice<S>>>,
    network: Interner<Envelope<MessageOf<S>>>,
    histories: Interner<S::History>,
}

type Choice<S> = (String, Vec<RandomOf<S>>);

/// What an actor has not yet on disk, and what must wait until it is.
pub struct Unsaved<S: System> {
    /// Its local state before the step, which is all that it has shown yet.
    pub shown: StateOf<S>,
    /// What it saves.
    pub storage: StorageOf<S>,
    /// What it sent after the save, in canonical order.
    pub held: Vec<Envelope<MessageOf<S>>>,
}

impl<S: System> Clone for Unsaved<S> {
    fn clone(&self) -> Self {
        Self {
            shown: self.shown.clone(),
            storage: self.storage.clone(),
            held: self.held.clone(),
        }
    }
}

impl<S: System> PartialEq for Unsaved<S> {
    fn eq(&self, other: &Self) -> bool {
        self.shown == other.shown && self.storage == other.storage && self.held == other.held
    }
}

impl<S: System> Eq for Unsaved<S> {}

impl<S: System> Hash for Unsaved<S> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.shown, &self.storage, &self.held).hash(hasher);
    }
}

/// A global state.
pub struct WorldState<S: System> {
    /// Each actor's local state, by id.
    pub locals: Vec<Part<At<StateOf<S>>>>,
    /// What each actor has on disk, by id.
    pub storages: Vec<Option<Part<At<StorageOf<S>>>>>,
    /// What each actor has yet to write, by id. Only with [`StorageMode::Split`].
    pub unsaved: Vec<Option<Part<At<Unsaved<S>>>>>,
    /// The timers that are set, in order.
    pub timers: Vec<Part<At<TimerOf<S>>>>,
    /// The random choices that are open, by actor and key.
    pub choices: Vec<Part<At<Choice<S>>>>,
    /// Every message ever sent, but for stale ones if those are dropped, in order.
    pub network: Vec<Part<Envelope<MessageOf<S>>>>,
    /// What the observer recorded.
    pub history: Part<S::History>,
    /// How many crashes there were.
    pub crashes: usize,
    /// What [`Hash`] hashes: the least sum, over all permutations of interchangeable actors, of
    /// the hashes of the parts. The same for two states exactly if a permutation maps one to the
    /// other, but for collisions of 128 bits.
    identity: u128,
}

impl<S: System> Clone for WorldState<S> {
    fn clone(&self) -> Self {
        Self {
            locals: self.locals.clone(),
            storages: self.storages.clone(),
            unsaved: self.unsaved.clone(),
            timers: self.timers.clone(),
            choices: self.choices.clone(),
            network: self.network.clone(),
            history: self.history.clone(),
            crashes: self.crashes,
            identity: self.identity,
        }
    }
}

impl<S: System> PartialEq for WorldState<S> {
    /// Concrete equality: permuted states are different here, though their hash is the same.
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.crashes == other.crashes
            && self.locals == other.locals
            && self.storages == other.storages
            && self.unsaved == other.unsaved
            && self.timers == other.timers
            && self.choices == other.choices
            && self.network == other.network
            && self.history == other.history
    }
}

impl<S: System> Hash for WorldState<S> {
    /// stateright knows states by their hash alone, so that hashing the identity makes all its
    /// checkers, and the Explorer, see interchangeable states as one.
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.identity.hash(hasher);
    }
}

impl<S: System> WorldState<S> {
    /// The state that actor `id` has shown: its local state, but for what it has yet to save.
    #[must_use]
    pub fn shown(&self, id: Id) -> &StateOf<S> {
        let index = usize::from(id);
        let unsaved = self.unsaved[index].as_ref();
        unsaved.map_or(&self.locals[index].value, |at| &at.value.shown)
    }

    /// The states that the actors have shown, by id: what an observer may hold them to.
    pub fn states(&self) -> impl Iterator<Item = &StateOf<S>> {
        (0..self.locals.len()).map(|index| self.shown(Id::from(index)))
    }
}

/// One step of the world.
pub enum Action<S: System> {
    /// A message arrives, for the first time or again.
    Deliver(Part<Envelope<MessageOf<S>>>),
    /// A timer fires.
    Timeout(Id, TimerOf<S>),
    /// A random choice is made.
    Choose(Id, String, RandomOf<S>),
    /// What an actor saved reaches its disk, and what waited for that leaves.
    Flush(Id),
    /// An actor crashes and restarts.
    Crash(Id),
}

impl<S: System> Clone for Action<S> {
    fn clone(&self) -> Self {
        match self {
            Action::Deliver(envelope) => Action::Deliver(envelope.clone()),
            Action::Timeout(id, timer) => Action::Timeout(*id, timer.clone()),
            Action::Choose(id, key, random) => Action::Choose(*id, key.clone(), random.clone()),
            Action::Flush(id) => Action::Flush(*id),
            Action::Crash(id) => Action::Crash(*id),
        }
    }
}

impl<S: System> PartialEq for Action<S> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Action::Deliver(a), Action::Deliver(b)) => a == b,
            (Action::Timeout(a, s), Action::Timeout(b, t)) => a == b && s == t,
            (Action::Choose(a, k, r), Action::Choose(b, l, s)) => a == b && k == l && r == s,
            (Action::Flush(a), Action::Flush(b)) | (Action::Crash(a), Action::Crash(b)) => a == b,
            _ => false,
        }
    }
}

/// How many interchangeable actors are taken for one another, at most.
const CLASS_MAX: usize = 6;

impl<S: System> World<S> {
    /// The world of `system` under `options`.
    #[must_use]
    pub fn new(system: S, options: Options) -> Self {
        let mut classes = if options.symmetry {
            system.interchangeable()
        } else {
            Vec::new()
        };
        // A larger class would have more permutations than its reduction saves: those of its
        // first members are a reduction too, only a smaller one.
        classes
            .iter_mut()
            .for_each(|class| class.truncate(CLASS_MAX));
        let group = Permutation::within(&classes, system.actors().len());
        Self {
            system,
            options,
            group,
            interners: Interners {
                locals: Interner::new(0),
                storages: Interner::new(1),
                unsaved: Interner::new(2),
                timers: Interner::new(3),
                choices: Interner::new(4),
                network: Interner::new(5),
                histories: Interner::new(6),
            },
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

    /// The state with its actors permuted.
    #[must_use]
    pub fn image(&self, state: &WorldState<S>, by: &Permutation) -> WorldState<S> {
        let mut image = state.clone();
        for (id, local) in state.locals.iter().enumerate() {
            let to = usize::from(by.apply(Id::from(id)));
            image.locals[to] = self.local(self.image_of_local(local, by));
            let storage = state.storages[id].as_ref();
            image.storages[to] = storage.map(|at| self.storage(self.image_of_storage(at, by)));
            let unsaved = state.unsaved[id].as_ref();
            image.unsaved[to] = unsaved.map(|at| self.unsaved(self.image_of_unsaved(at, by)));
        }
        let timers = state.timers.iter();
        image.timers = timers
            .map(|at| self.timer(image_of_timer(at, by)))
            .collect();
        image.timers.sort_unstable_by(|a, b| (**a).cmp(&**b));
        let choices = state.choices.iter();
        image.choices = choices
            .map(|at| self.choice(image_of_choice(at, by)))
            .collect();
        image
            .choices
            .sort_unstable_by(|a, b| choice_key(a).cmp(&choice_key(b)));
        let network = state.network.iter();
        image.network = network
            .map(|e| self.envelope(self.image_of_envelope(e, by)))
            .collect();
        image.network.sort_unstable_by(|a, b| (**a).cmp(&**b));
        image.history = self.history(self.system.relabel_history(&state.history, by));
        image.identity = self.identity(&image);
        image
    }

    fn image_of_local(&self, at: &At<StateOf<S>>, by: &Permutation) -> At<StateOf<S>> {
        At {
            id: by.apply(at.id),
            value: self.system.relabel_state(&at.value, by),
        }
    }

    fn image_of_storage(&self, at: &At<StorageOf<S>>, by: &Permutation) -> At<StorageOf<S>> {
        At {
            id: by.apply(at.id),
            value: self.system.relabel_storage(&at.value, by),
        }
    }

    fn image_of_unsaved(&self, at: &At<Unsaved<S>>, by: &Permutation) -> At<Unsaved<S>> {
        let held = at.value.held.iter();
        let mut held: Vec<_> = held.map(|e| self.image_of_envelope(e, by)).collect();
        held.sort_unstable();
        At {
            id: by.apply(at.id),
            value: Unsaved {
                shown: self.system.relabel_state(&at.value.shown, by),
                storage: self.system.relabel_storage(&at.value.storage, by),
                held,
            },
        }
    }

    fn image_of_envelope(
        &self,
        envelope: &Envelope<MessageOf<S>>,
        by: &Permutation,
    ) -> Envelope<MessageOf<S>> {
        Envelope {
            src: by.apply(envelope.src),
            dst: by.apply(envelope.dst),
            msg: self.system.relabel_message(&envelope.msg, by),
        }
    }

    fn local(&self, at: At<StateOf<S>>) -> Part<At<StateOf<S>>> {
        let image = |at: &At<_>, by: &_| self.image_of_local(at, by);
        self.interners.locals.intern(at, &self.group, image).0
    }

    fn storage(&self, at: At<StorageOf<S>>) -> Part<At<StorageOf<S>>> {
        let image = |at: &At<_>, by: &_| self.image_of_storage(at, by);
        self.interners.storages.intern(at, &self.group, image).0
    }

    fn unsaved(&self, at: At<Unsaved<S>>) -> Part<At<Unsaved<S>>> {
        let image = |at: &At<_>, by: &_| self.image_of_unsaved(at, by);
        self.interners.unsaved.intern(at, &self.group, image).0
    }

    fn timer(&self, at: At<TimerOf<S>>) -> Part<At<TimerOf<S>>> {
        self.interners
            .timers
            .intern(at, &self.group, image_of_timer)
            .0
    }

    fn choice(&self, at: At<Choice<S>>) -> Part<At<Choice<S>>> {
        self.interners
            .choices
            .intern(at, &self.group, image_of_choice)
            .0
    }

    fn history(&self, history: S::History) -> Part<S::History> {
        let image = |history: &_, by: &_| self.system.relabel_history(history, by);
        self.interners
            .histories
            .intern(history, &self.group, image)
            .0
    }

    fn envelope(&self, envelope: Envelope<MessageOf<S>>) -> Part<Envelope<MessageOf<S>>> {
        let image = |envelope: &_, by: &_| self.image_of_envelope(envelope, by);
        let interned = self.interners.network.intern(envelope, &self.group, image);
        let (envelope, is_new) = interned;
        if is_new && self.options.drops_stale {
            self.audit.message(&self.system, &envelope);
        }
        envelope
    }

    fn identity(&self, state: &WorldState<S>) -> u128 {
        let mut sums = vec![0u128; self.group.len()];
        let mut add = |hashes: &[u128]| {
            for (sum, hash) in sums.iter_mut().zip(hashes) {
                *sum = sum.wrapping_add(*hash);
            }
        };
        state.locals.iter().for_each(|part| add(part.hashes()));
        state
            .storages
            .iter()
            .flatten()
            .for_each(|part| add(part.hashes()));
        state
            .unsaved
            .iter()
            .flatten()
            .for_each(|part| add(part.hashes()));
        state.timers.iter().for_each(|part| add(part.hashes()));
        state.choices.iter().for_each(|part| add(part.hashes()));
        state.network.iter().for_each(|part| add(part.hashes()));
        add(state.history.hashes());
        let least = sums.into_iter().min().unwrap_or_default();
        super::part::fingerprint(u8::MAX, &(least, state.crashes))
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

fn image_of_timer<T: Clone>(at: &At<T>, by: &Permutation) -> At<T> {
    At {
        id: by.apply(at.id),
        value: at.value.clone(),
    }
}

fn image_of_choice<T: Clone>(at: &At<T>, by: &Permutation) -> At<T> {
    image_of_timer(at, by)
}

fn choice_key<T>(choice: &At<(String, T)>) -> (Id, &str) {
    (choice.id, &choice.value.0)
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
        self.observe(last, &mut next, id);
        self.settle(Some(last), &mut next);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = self.system.properties();
        properties.retain(|property| self.focus.is_none_or(|name| name == property.name));
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
