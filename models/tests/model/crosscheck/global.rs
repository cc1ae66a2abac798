//! A global state in its plainest form.

use stateright::actor::{ActorModelState, Envelope, Id};
use std::collections::{BTreeMap, BTreeSet};
use synod::checker::{
    HistoryOf, MessageOf, RandomOf, StateOf, StorageOf, System, TimerOf, WorldState,
};

/// A global state made of std collections, with derived equality: nothing is shared, and nothing
/// ordered or hashed by hand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Global<L, D, T, R, M, H> {
    /// Each actor's local state.
    pub(super) locals: Vec<L>,
    /// What each actor has on disk.
    pub(super) disks: Vec<Option<D>>,
    /// What each actor has yet to write.
    pub(super) pending: Vec<Option<Pending<L, D, M>>>,
    /// The timers that are set.
    pub(super) timers: BTreeSet<(Id, T)>,
    /// The random choices that are open.
    pub(super) choices: BTreeMap<(Id, String), Vec<R>>,
    /// Every message ever sent to an actor.
    pub(super) network: BTreeSet<Envelope<M>>,
    /// The observer's record.
    pub(super) history: H,
    /// How many crashes there were.
    pub(super) crashes: usize,
}

/// A save that is not on disk yet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Pending<L, D, M> {
    /// What was visible before the step that saves.
    pub(super) visible: L,
    /// What is saved.
    pub(super) storage: D,
    /// What must not be sent before it is.
    pub(super) held: BTreeSet<Envelope<M>>,
}

impl<L, D, T, R, M, H: Default> Global<L, D, T, R, M, H> {
    /// The state as it looks to a witness that has no observer.
    pub(super) fn unobserved(self) -> Self {
        Self {
            history: H::default(),
            ..self
        }
    }

    /// The state but for what is in the network.
    pub(super) fn offline(self) -> Self {
        Self {
            network: BTreeSet::new(),
            ..self
        }
    }
}

/// What is left of a state for properties to see.
pub(super) fn observed<S: System>(state: &Plain<S>, system: &S) -> Observed<S> {
    let pending = state.pending.iter().map(Option::as_ref);
    let visible = state.locals.iter().zip(pending).map(|(local, pending)| {
        let visible = pending.map(|pending| pending.visible.clone());
        visible.unwrap_or_else(|| system.visible(local))
    });
    (visible.collect(), state.history.clone())
}

/// What actors show, and what the observer recorded.
pub(super) type Observed<S> = (Vec<StateOf<S>>, HistoryOf<S>);

/// The global state of a system.
pub(super) type Plain<S> =
    Global<StateOf<S>, StorageOf<S>, TimerOf<S>, RandomOf<S>, MessageOf<S>, HistoryOf<S>>;

/// A state of the world.
pub(super) fn of_world<S: System>(state: &WorldState<S>) -> Plain<S> {
    let ids = state.locals.iter().map(|local| usize::from(local.id));
    let is_in_order = ids.eq(0..state.locals.len());
    assert!(is_in_order, "a local state is not its actor's");
    let storages = state.storages.iter();
    let pending = state.unsaved.iter().zip(&state.visible);
    let pending = pending.map(|(unsaved, visible)| {
        let unsaved = &unsaved.as_ref()?.value;
        Some(Pending {
            visible: visible.value.clone(),
            storage: unsaved.storage.clone(),
            held: unsaved.held.iter().cloned().collect(),
        })
    });
    let timers = state.timers.iter();
    let choices = state.choices.iter().map(|at| {
        let (key, options) = &at.value;
        ((at.id, key.clone()), options.clone())
    });
    Global {
        locals: state.locals.iter().map(|at| at.value.clone()).collect(),
        disks: storages
            .map(|disk| disk.as_ref().map(|at| at.value.clone()))
            .collect(),
        pending: pending.collect(),
        timers: timers.map(|at| (at.id, at.value.clone())).collect(),
        choices: choices.collect(),
        network: state.network.iter().map(|part| (**part).clone()).collect(),
        history: (*state.history).clone(),
        crashes: state.crashes,
    }
}

/// A state of stateright's `ActorModel`, without what only that has: the last message delivered,
/// and messages to ids that are no actors, which it keeps but never delivers.
pub(super) fn of_actor_model<S: System>(state: &ActorModelState<S::Actor>) -> Plain<S> {
    let count = state.actor_states.len();
    let ids = || (0..count).map(Id::from);
    let timers = ids().zip(&state.timers_set);
    let choices = ids().zip(&state.random_choices);
    let network = state.network.iter_deliverable();
    Global {
        locals: state.actor_states.iter().map(|s| (**s).clone()).collect(),
        disks: state.actor_storages.clone(),
        pending: vec![None; count],
        timers: timers
            .flat_map(|(id, timers)| timers.iter().map(move |timer| (id, timer.clone())))
            .collect(),
        choices: choices
            .flat_map(|(id, choices)| {
                let open = choices.map.iter();
                open.map(move |(key, options)| ((id, key.clone()), options.clone()))
            })
            .collect(),
        network: network
            .filter(|envelope| usize::from(envelope.dst) < count)
            .map(|envelope| envelope.to_cloned_msg())
            .collect(),
        history: S::History::default(),
        crashes: 0,
    }
}
