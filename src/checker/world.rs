//! Actors in a hostile world, as a stateright [`Model`].

use super::audit::{Audit, Claims};
use super::call::{Call, Caller, Event};
use super::identity::{Interners, choice_key};
use super::part::{At, Part, Permutation};
use super::state::{Action, Unsaved, WorldState};
use super::system::{Clocks, MessageOf, RandomOf, StateOf, StepProperty, StorageOf, System};
use stateright::actor::{Command, Envelope, Id, Out};
use stateright::{Expectation, Model, Property};
use std::borrow::Cow;
use std::collections::HashSet;
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
    /// How many crashes there may be in one run, all actors together; at most 65,535 count.
    pub crashes: usize,
    /// When a save takes effect.
    pub storage: StorageMode,
    /// Whether stale messages are dropped ([`System::is_stale`]).
    pub drops_stale: bool,
    /// Whether the observer forgets what can never matter again, and moot messages are dropped
    /// ([`System::forget`], [`System::is_moot`]).
    pub forgets: bool,
    /// Whether steps that nobody sees are postponed: after a step that sends nothing and shows
    /// nothing, only the same actor may move.
    ///
    /// Nothing is lost. Such a step neither enables nor disables a step of another actor, so it
    /// may as well be taken later: just before the next step of its own actor or, if there is
    /// none, never. Every run thereby becomes one in which hidden steps come in bursts that end
    /// with a step that is seen, through the same shown states and records in the same order, and
    /// no longer than before. Only the ends of bursts count as states, and a burst as one step.
    pub postpones: bool,
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
            forgets: true,
            postpones: true,
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
    pub(super) audit: Audit<StateOf<S>, MessageOf<S>>,
    caller: Caller<S::Actor>,
    steps: Vec<StepProperty<S>>,
    stop: Arc<AtomicBool>,
    focus: Option<&'static str>,
}

/// The name of a property that holds wherever it is looked at.
const EVERYTHING: &str = "Everything: every state is visited.";

/// How many step properties there are at most.
pub(super) const STEPS_MAX: usize = 16;

/// Whether the step property at a place was kept in all steps to a state.
fn kept<S: System, const PLACE: u32>(_: &World<S>, state: &WorldState<S>) -> bool {
    state.broken & 1 << PLACE == 0
}

/// How many permutations there are at most.
const GROUP_MAX: usize = 720;

/// How many ids may be permuted, of all classes together.
pub(super) const PERMUTED_MAX: usize = 8;

/// Shrinks the classes of interchangeable actors until they have few enough permutations: more
/// would cost more than they save. Those of some members are a reduction too, only a smaller one.
fn limit(classes: &mut [Vec<Id>]) {
    let (mut size, mut permuted) = (1, 0);
    for class in classes {
        let fits = |members: &usize| {
            let orders = (1..=*members).try_fold(size, |product: usize, n| product.checked_mul(n));
            let is_few = *members == 1 || permuted + members <= PERMUTED_MAX;
            is_few && orders.is_some_and(|orders| orders <= GROUP_MAX)
        };
        let members = (1..=class.len()).take_while(fits).last().unwrap_or(0);
        class.truncate(members);
        permuted += if members > 1 { members } else { 0 };
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
        let outside = system.outside();
        let outside = outside.iter().map(|envelope| usize::from(envelope.src) + 1);
        let ids = outside.fold(system.actors().len(), usize::max);
        let group = Permutation::within(&classes, ids);
        let steps = system.step_properties().into_iter().take(STEPS_MAX);
        Self {
            steps: steps.collect(),
            system,
            options: Options {
                crashes: options.crashes.min(u16::MAX.into()),
                ..options
            },
            group,
            interners: Interners::new(),
            audit: Audit::new(),
            caller: Caller::unobserved(),
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

    /// Tells `hook` of every call of a handler. A handler is called again with the same input in
    /// some states, and is not in others: searches keep results.
    #[must_use]
    pub fn observed_by(
        mut self,
        hook: impl Fn(&Call<'_, S::Actor>) + Send + Sync + 'static,
    ) -> Self {
        self.caller = Caller::observed_by(hook);
        self
    }

    /// The system.
    #[must_use]
    pub fn system(&self) -> &S {
        &self.system
    }

    /// What may happen here, and which reductions apply.
    pub(super) fn options(&self) -> Options {
        self.options
    }

    /// The same world, in which hidden steps are steps like others.
    #[must_use]
    pub fn unfolded(mut self) -> Self {
        self.options.postpones = false;
        self
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

    /// A claim of the system turned out false.
    pub(super) fn refute(&self, reason: String) {
        self.audit.refute(reason);
    }

    /// Lets an actor handle an event, and applies what it asks for, but for what it sends.
    fn step(&self, acted: &mut Acted<S>, id: Id, event: Event<'_, S::Actor>) {
        let index = usize::from(id);
        let before = acted.state.locals[index].clone();
        let actor = &self.system.actors()[index];
        let (local, commands) = self.caller.call(actor, id, &before.value, event);
        if let Cow::Owned(value) = local {
            acted.state.locals[index] = self.local(At { id, value });
        }
        self.execute(acted, id, commands);
    }

    /// Does what an actor asks for, but for what it sends.
    fn execute(&self, acted: &mut Acted<S>, id: Id, out: Out<S::Actor>) {
        let state = &mut acted.state;
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
                state.storages[index] = Some(self.storage(At { id, value: storage }));
            }
            StorageMode::Split => {
                let waiting = state.unsaved[index].as_ref();
                let held = waiting.map_or_else(Vec::new, |at| at.value.held.clone());
                let value = Unsaved { storage, held };
                state.unsaved[index] = Some(self.unsaved(At { id, value }));
            }
        }
    }

    /// What leaves at once: nothing if there is no such actor, or a save is to come first.
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
            state.unsaved[src] = Some(self.unsaved(At { id: at.id, value }));
        }
        None
    }

    /// What was saved last is on disk now; what waited for it leaves.
    fn flush(&self, acted: &mut Acted<S>, id: Id) {
        let state = &mut acted.state;
        if let Some(at) = state.unsaved[usize::from(id)].take() {
            let Unsaved { storage, held } = at.value.clone();
            state.storages[usize::from(id)] = Some(self.storage(At { id, value: storage }));
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
        state.locals[index] = self.local(At { id, value });
        self.show(state, id);
        acted.crashes = 1;
        self.execute(acted, id, commands);
    }

    fn start(&self, id: Id, storage: &Option<StorageOf<S>>) -> (StateOf<S>, Out<S::Actor>) {
        let actor = &self.system.actors()[usize::from(id)];
        self.caller.start(actor, id, storage)
    }

    /// What one step of one actor does to what is its own, and what it sends. Not a burst.
    pub(super) fn act(&self, last: &WorldState<S>, action: &Action<S>) -> Acted<S> {
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
            Action::Burst(_) => {}
        }
        self.show(&mut acted.state, id);
        acted
    }

    /// Shows what is visible of the actor's local state, unless that is not yet on disk.
    fn show(&self, state: &mut WorldState<S>, id: Id) {
        let index = usize::from(id);
        if state.unsaved[index].is_none() {
            let value = self.system.visible(&state.locals[index].value);
            state.shown[index] = self.shown(At { id, value });
        }
    }

    /// The state that a step of actor `id` leads to: what it sends arrives in the network, the
    /// observer sees what it shows, and what no longer matters is dropped. `None` if nothing
    /// changes.
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
        // state is settled. After that it may still turn out so: all that was sent may be stale.
        if next == *last {
            return None;
        }
        let index = usize::from(id);
        if let Some(history) = self.seen(&last.history, &last.shown[index], &next.shown[index]) {
            next.history = history;
        }
        next.broken |= self.broken(&last.shown[index], &next.shown[index]);
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

    /// What the observer has recorded once it saw an actor's change, if that adds anything.
    pub(super) fn seen(
        &self,
        history: &Part<S::History>,
        before: &Part<At<StateOf<S>>>,
        after: &Part<At<StateOf<S>>>,
    ) -> Option<Part<S::History>> {
        let aspect = |at: &At<_>| self.system.aspect(S::ASPECT_OF_RECORD, &at.value);
        let (id, before, after) = (before.id, aspect(before), aspect(after));
        if before == after {
            return None;
        }
        let record = self.system.record(history, id, &before, &after);
        record.map(|history| self.history(history))
    }

    /// The step properties that a step does not keep, as bits by their places.
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

    /// The step properties.
    pub(super) fn steps(&self) -> &[StepProperty<S>] {
        &self.steps
    }

    /// Whether claims about stale messages are to be examined.
    pub(super) fn audits(&self) -> bool {
        self.options.drops_stale
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
        // A crash may undo an unsaved step, and with it what made a message stale: so nothing is
        // dropped while a save is pending, and such a crash proves nothing.
        let is_undone = last.unsaved[index].is_some() && is_crash;
        if before.address() != after.address() && !is_undone {
            self.audit.step(self, before, after);
        }
    }

    /// Whether a message that is in the network, or on its way there, can no longer matter.
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
    fn settle(&self, next: &mut WorldState<S>) {
        if self.options.forgets {
            let aspect = |shown| self.system.aspect(S::ASPECT_OF_MEMORY, shown);
            let seen: Vec<StateOf<S>> = next.states().map(aspect).collect();
            let seen: Vec<&StateOf<S>> = seen.iter().collect();
            if let Some(history) = self.system.forget(&next.history, &seen) {
                next.history = self.history(history);
            }
        }
        let mut network = std::mem::take(&mut next.network);
        network.retain(|envelope| {
            let is_moot = self.options.forgets && self.system.is_moot(&next.history, envelope);
            !is_moot && !self.is_dropped(next, envelope)
        });
        next.network = network;
    }

    /// Whether an actor's clock, after a step that brings it to `clock`, is not too far ahead of
    /// any other's or beyond its time ([`System::clocks`]).
    pub(super) fn is_in_time(
        &self,
        actor: usize,
        clock: Option<u64>,
        of: impl Fn(usize) -> Option<u64>,
    ) -> bool {
        let (Some(Clocks { drift, horizon }), Some(clock)) = (self.system.clocks(), clock) else {
            return true;
        };
        let advances = of(actor) < Some(clock);
        let others = (0..self.system.actors().len()).filter(|other| *other != actor);
        let mut in_time = others.map(|other| of(other).is_none_or(|it| clock <= it + drift));
        !advances || clock <= horizon && in_time.all(|is_in_time| is_in_time)
    }

    fn keeps_time(&self, state: &WorldState<S>, id: Id, action: &Action<S>) -> bool {
        let Some(next) = self.next_state(state, action.clone()) else {
            return true;
        };
        let index = usize::from(id);
        let clock = |of: &WorldState<S>, at: usize| self.system.clock(&of.shown[at].value);
        self.is_in_time(index, clock(&next, index), |other| clock(state, other))
    }

    /// What one actor may do, one step at a time.
    pub(super) fn moves(&self, state: &WorldState<S>, id: Id, actions: &mut Vec<Action<S>>) {
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

    /// What one actor may do up to the next step that is seen: see [`Options::postpones`].
    fn bursts(&self, state: &WorldState<S>, id: Id, actions: &mut Vec<Action<S>>) {
        let mut ends = HashSet::new();
        let mut hidden = vec![(state.clone(), Vec::new())];
        let mut next = 0;
        while let Some((at, way)) = hidden.get(next).cloned() {
            next += 1;
            let mut moves = Vec::new();
            self.moves(&at, id, &mut moves);
            for action in moves {
                let acted = self.act(&at, &action);
                let (is_silent, end) = (acted.is_silent(&at, id), acted.key(id));
                let Some(after) = self.land(&at, acted, id) else {
                    continue;
                };
                let mut way = way.clone();
                way.push(action);
                if is_silent {
                    if !hidden.iter().any(|(seen, _)| *seen == after) {
                        hidden.push((after, way));
                    }
                } else if ends.insert((end, after.crashes)) {
                    actions.push(Action::in_a_row(way));
                }
            }
        }
    }
}

/// What an actor's step does to what is its own, and what it sends.
pub(super) struct Acted<S: System> {
    /// The state, with what belongs to the actor changed, and nothing else.
    pub(super) state: WorldState<S>,
    /// What leaves.
    pub(super) sent: Vec<Part<Envelope<MessageOf<S>>>>,
    /// One if the step is a crash.
    pub(super) crashes: usize,
}

impl<S: System> Acted<S> {
    /// Whether nobody but the actor itself can tell that it took the step.
    pub(super) fn is_silent(&self, last: &WorldState<S>, id: Id) -> bool {
        let index = usize::from(id);
        self.sent.is_empty() && self.state.shown[index] == last.shown[index]
    }

    /// What tells this step's outcome from others of the actor's, whatever led to it.
    fn key(&self, id: Id) -> [Vec<usize>; 2] {
        let mut sent: Vec<usize> = self.sent.iter().map(Part::address).collect();
        sent.sort_unstable();
        sent.dedup();
        [self.state.own(id), sent]
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

impl<S: System> Claims<StateOf<S>, MessageOf<S>> for World<S> {
    fn is_stale(&self, local: &At<StateOf<S>>, message: &Envelope<MessageOf<S>>) -> bool {
        self.system
            .is_stale(local.id, &local.value, message.src, &message.msg)
    }

    fn is_ignored(&self, local: &At<StateOf<S>>, message: &Envelope<MessageOf<S>>) -> bool {
        let Some(actor) = self.system.actors().get(usize::from(local.id)) else {
            return true;
        };
        let event = Event::Message(message.src, &message.msg);
        let (after, commands) = self.caller.call(actor, local.id, &local.value, event);
        commands.is_empty() && *after == local.value
    }
}

impl<S: System> Model for World<S> {
    type State = WorldState<S>;
    type Action = Action<S>;

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
            shown: visible.map(|at| self.shown(at)).collect(),
            locals: locals.into_iter().map(|at| self.local(at)).collect(),
            timers: Vec::new(),
            choices: Vec::new(),
            network: Vec::new(),
            history: self.history(self.system.first_record()),
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
            locals.for_each(|local| self.audit.step(self, local, local));
        }
        self.settle(&mut state);
        state.identity = self.identity(&state);
        vec![state]
    }

    fn actions(&self, state: &WorldState<S>, actions: &mut Vec<Action<S>>) {
        if self.stop.load(Ordering::Relaxed) {
            return;
        }
        for id in (0..state.locals.len()).map(Id::from) {
            let first = actions.len();
            if self.options.postpones {
                self.bursts(state, id, actions);
            } else {
                self.moves(state, id, actions);
            }
            if self.system.clocks().is_some() {
                let mine = actions.split_off(first);
                actions.extend(mine.into_iter().filter(|it| self.keeps_time(state, id, it)));
            }
        }
    }

    fn next_state(&self, last: &WorldState<S>, action: Action<S>) -> Option<WorldState<S>> {
        let Action::Burst(steps) = action else {
            return self.land(last, self.act(last, &action), action.actor());
        };
        let mut next = last.clone();
        for step in steps {
            next = self.land(&next, self.act(&next, &step), step.actor())?;
        }
        // Crashes that lead back to where the burst began are no step either.
        let back = WorldState {
            crashes: last.crashes,
            identity: last.identity,
            ..next.clone()
        };
        (back != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = self.system.properties();
        let kept: [fn(&Self, &WorldState<S>) -> bool; STEPS_MAX] = [
            kept::<S, 0>,
            kept::<S, 1>,
            kept::<S, 2>,
            kept::<S, 3>,
            kept::<S, 4>,
            kept::<S, 5>,
            kept::<S, 6>,
            kept::<S, 7>,
            kept::<S, 8>,
            kept::<S, 9>,
            kept::<S, 10>,
            kept::<S, 11>,
            kept::<S, 12>,
            kept::<S, 13>,
            kept::<S, 14>,
            kept::<S, 15>,
        ];
        let steps = self.steps.iter().zip(kept);
        properties.extend(steps.map(|(step, kept)| Property::always(step.name, kept)));
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
