//! The parts of states and the results of steps: computed once, and named by numbers.
//!
//! A global state falls into one *cell* per actor and the observer's history. A cell holds all
//! that concerns its actor alone: the things that only its own steps change (its *core*: local
//! state, disk, timers, random choices), and the messages that it may yet receive (its inbox). So a
//! step replaces the actor's own cell, and adds messages to the cells of others; the new cell
//! depends on nothing but the old one.

mod answers;
mod fused;

use super::super::options::StorageMode;
use super::super::part::{At, Part};
use super::super::state::WorldState;
use super::super::system::{MessageOf, StateOf, System};
use super::super::world::World;
use super::numbered::{BROKEN, CELLS, Properties, Setting, crashes};
use super::successors::Successors;
use super::symmetry::{Signatures, Symmetry};
use super::table::{Images, Index, Memo, NONE, Table, fingerprint};
use hashbrown::HashMap;
use stateright::actor::{Envelope, Id};
use stateright::{Expectation, Model, Property};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock};

/// The part of an actor that only its own steps change.
struct Core<S: System> {
    /// The initial state without messages, except that this actor is as it is: the actor alone in
    /// its world.
    alone: WorldState<S>,
    id: Id,
    /// The numbers of the parts that can be seen of it, by projection.
    projections: Box<[Index]>,
    /// The addresses of its parts, which tell it from others.
    addresses: Vec<usize>,
    signatures: Signatures,
    images: Images,
    /// The reactions that need no message.
    moves: OnceLock<Box<[Reaction]>>,
}

/// A message that was sent at some time in some run.
struct Message<S: System> {
    envelope: Part<Envelope<MessageOf<S>>>,
    signatures: Signatures,
    images: Images,
    may_be_irrelevant: bool,
    /// The number of what it says, or [`NONE`] if nobody asked yet.
    saying: AtomicU32,
    /// Its number among the messages to the same actor, once somebody sent it.
    rank: OnceLock<u32>,
}

/// The observer's history at some time in some run.
struct HistoryEntry<S: System> {
    history: Part<S::History>,
    signatures: Signatures,
}

/// An actor's share of a global state.
struct Cell {
    core: Index,
    /// The messages that it may receive, in rising order of their numbers.
    inbox: Box<[Index]>,
    signatures: Signatures,
    /// Whether a message in the inbox may ever be irrelevant.
    may_be_irrelevant: bool,
    /// Its look, which does not depend on how ids are called.
    shape: u32,
    successors: OnceLock<Successors>,
}

/// The result of one step of an actor, whoever else is there.
#[derive(Clone, Debug)]
struct Reaction {
    core: Index,
    sent: Box<[Index]>,
    /// Whether it changes what the actor shows.
    is_visible: bool,
    change: Index,
    /// The crashes that it takes and the step properties that it breaks.
    tally: u32,
}

/// An actor's share of what is shown, before and after a change.
type Change<S> = [Part<At<StateOf<S>>>; 2];

/// All parts of the states of a world.
pub(super) struct Parts<'w, S: System> {
    pub(super) world: &'w World<S>,
    setting: Setting<'w>,
    properties: Vec<Property<World<S>>>,
    /// The initial state without messages.
    blank: WorldState<S>,
    cores: Table<Core<S>>,
    messages: Table<Message<S>>,
    histories: Table<HistoryEntry<S>>,
    cells: Table<Cell>,
    changes: Table<Change<S>>,
    projections: Table<Part<At<StateOf<S>>>>,
    observed: Memo,
    history_images: Memo,
    /// The number of messages to each actor that have a rank.
    ranks: Box<[AtomicU32]>,
    reactions: Mutex<HashMap<(Index, Index), Arc<Reaction>>>,
}

/// Spreads an address.
fn spread(address: usize) -> u64 {
    (address as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn spread_all(addresses: &[usize]) -> u64 {
    let fold = |hash: u64, address: &usize| {
        (hash.rotate_left(7) ^ spread(*address)).wrapping_mul(0x94D0_49BB_1331_11EB)
    };
    addresses.iter().fold(0, fold)
}

/// Divides the properties of a world by the part of a state that they see.
fn divide<S: System>(world: &World<S>, all: &[Property<World<S>>]) -> Properties {
    let place = |name| all.iter().position(|property| property.name == name);
    let mut properties = Properties {
        by_aspect: vec![0; S::PROJECTIONS],
        examples: 0,
        steps: world.steps.iter().map(|step| place(step.name)).collect(),
    };
    for (at, property) in all.iter().enumerate() {
        if properties.steps.contains(&Some(at)) {
            continue;
        }
        properties.by_aspect[world.system().projection_of(property.name)] |= 1 << at;
        if property.expectation == Expectation::Sometimes {
            properties.examples |= 1 << at;
        }
    }
    properties
}

impl<'w, S: System> Parts<'w, S> {
    /// Returns the parts of a world, and the words of its initial state.
    pub(super) fn new(world: &'w World<S>) -> (Self, Vec<u32>) {
        let mut initial = world.init_states();
        let start = initial.swap_remove(0);
        let blank = WorldState {
            network: Vec::new(),
            ..start.clone()
        };
        let (options, properties) = (world.options, world.properties());
        let symmetry = Symmetry::new(world.symmetries());
        let ids = (0..blank.locals.len()).map(Id::from);
        let setting = Setting {
            actors: blank.locals.len(),
            group: world.symmetries(),
            classes: ids.map(|id| symmetry.class(id)).collect(),
            symmetry,
            crashes: options.crashes as u32,
            is_split: options.storage == StorageMode::Split,
            forgets: options.forgets,
            observations_commute: world.system().observations_commute(),
            clocks: world.system().clocks(),
            properties: divide(world, &properties),
        };
        let parts = Self {
            world,
            setting,
            properties,
            ranks: blank.locals.iter().map(|_| AtomicU32::new(0)).collect(),
            blank,
            cores: Table::new(),
            messages: Table::new(),
            histories: Table::new(),
            cells: Table::new(),
            changes: Table::new(),
            projections: Table::new(),
            observed: Memo::new(),
            history_images: Memo::new(),
            reactions: Mutex::new(HashMap::new()),
        };
        let words = parts.words(&start);
        (parts, words)
    }

    /// Returns the core of a cell.
    fn core_of(&self, cell: Index) -> &Core<S> {
        &self.cores[self.cells[cell].core]
    }

    /// Returns a global state as numbers.
    pub(super) fn words(&self, state: &WorldState<S>) -> Vec<u32> {
        let tally = state.crashes as u32 | u32::from(state.broken) << BROKEN;
        let mut words = vec![self.intern_history(state.history.clone()), tally];
        for id in (0..self.setting.actors).map(Id::from) {
            let mine = state.network.iter().filter(|envelope| envelope.dst == id);
            let inbox = mine.map(|envelope| self.intern_message(envelope.clone()));
            words.push(self.intern_cell(self.intern_core(state, id), inbox.collect()));
        }
        words
    }

    /// Returns the global state of these numbers, without its identity.
    fn state(&self, words: &[u32]) -> WorldState<S> {
        let mut state = self.blank.clone();
        state.history = self.histories[words[0]].history.clone();
        state.crashes = crashes(words[1]) as usize;
        state.broken = (words[1] >> BROKEN) as u16;
        for cell in words[CELLS..].iter().map(|cell| &self.cells[*cell]) {
            let core = &self.cores[cell.core];
            Self::place(&mut state, &core.alone, core.id);
            let inbox = cell.inbox.iter().map(|message| &self.messages[*message]);
            state
                .network
                .extend(inbox.map(|message| message.envelope.clone()));
        }
        state.network.sort_unstable();
        state
    }

    /// Returns the global state of these numbers as a projection shows it: the history, and of each
    /// actor nothing but the part that is seen.
    fn seen_state(&self, words: &[u32], projection: usize) -> WorldState<S> {
        let mut state = self.blank.clone();
        state.history = self.histories[words[0]].history.clone();
        for (index, cell) in words[CELLS..].iter().enumerate() {
            let seen = &self.projections[self.core_of(*cell).projections[projection]];
            state.visible[index] = seen.clone();
            state.locals[index] = seen.clone();
            state.storages[index] = None;
            state.unsaved[index] = None;
        }
        state.timers.clear();
        state.choices.clear();
        state
    }

    /// Replaces the part of a state that belongs to actor `id` by that of another state.
    fn place(state: &mut WorldState<S>, from: &WorldState<S>, id: Id) {
        let index = usize::from(id);
        state.locals[index] = from.locals[index].clone();
        state.storages[index] = from.storages[index].clone();
        state.unsaved[index] = from.unsaved[index].clone();
        state.visible[index] = from.visible[index].clone();
        state.timers.retain(|timer| timer.id != id);
        let timers = from.timers.iter().filter(|timer| timer.id == id);
        state.timers.extend(timers.cloned());
        state.timers.sort_unstable();
        state.choices.retain(|choice| choice.id != id);
        let choices = from.choices.iter().filter(|choice| choice.id == id);
        state.choices.extend(choices.cloned());
        state.sort_choices();
    }

    fn intern_core(&self, state: &WorldState<S>, id: Id) -> Index {
        let addresses = state.own(id);
        let hash = spread_all(&addresses) ^ spread(usize::from(id));
        self.cores.intern(
            hash,
            |core| core.id == id && core.addresses == addresses,
            || {
                let mut alone = self.blank.clone();
                Self::place(&mut alone, state, id);
                Core {
                    alone,
                    id,
                    projections: self.projections_of(&state.visible[usize::from(id)]),
                    addresses: addresses.clone(),
                    signatures: self.core_signatures(state, id),
                    images: Images::new(self.setting.symmetry.order()),
                    moves: OnceLock::new(),
                }
            },
        )
    }

    fn projections_of(&self, visible: &Part<At<StateOf<S>>>) -> Box<[Index]> {
        let number = |projection| {
            let value = self.world.system().projection(projection, &visible.value);
            let part = self.world.interners.visible.intern(At {
                id: visible.id,
                value,
            });
            let address = part.address();
            let is_it = |it: &Part<At<StateOf<S>>>| it.address() == address;
            self.projections.intern(spread(address), is_it, || part)
        };
        (0..S::PROJECTIONS).map(number).collect()
    }

    fn intern_message(&self, envelope: Part<Envelope<MessageOf<S>>>) -> Index {
        let address = envelope.address();
        let is_it = |message: &Message<S>| message.envelope.address() == address;
        self.messages.intern(spread(address), is_it, || Message {
            signatures: self.signatures(&envelope, |it, by| self.world.image_of_envelope(it, by)),
            images: Images::new(self.setting.symmetry.order()),
            may_be_irrelevant: self
                .world
                .system()
                .is_irrelevant(&S::History::default(), &envelope),
            saying: AtomicU32::new(NONE),
            rank: OnceLock::new(),
            envelope,
        })
    }

    fn intern_history(&self, history: Part<S::History>) -> Index {
        let address = history.address();
        let is_it = |history_id: &HistoryEntry<S>| history_id.history.address() == address;
        self.histories
            .intern(spread(address), is_it, || HistoryEntry {
                signatures: self
                    .signatures(&history, |it, by| self.world.system.relabel_history(it, by)),
                history,
            })
    }

    fn intern_change(&self, change: Change<S>) -> Index {
        let addresses = change.each_ref().map(Part::address);
        let is_it = |it: &Change<S>| it.each_ref().map(Part::address) == addresses;
        self.changes
            .intern(spread_all(&addresses), is_it, || change)
    }

    fn intern_cell(&self, core: Index, mut inbox: Vec<Index>) -> Index {
        inbox.sort_unstable();
        inbox.dedup();
        inbox.push(core);
        let hash = fingerprint(&inbox)[0];
        inbox.pop();
        let is_it = |cell: &Cell| cell.core == core && *cell.inbox == inbox;
        self.cells.intern(hash, is_it, || {
            let mut signatures = self.cores[core].signatures;
            for message in &inbox {
                signatures = signatures.plus(self.messages[*message].signatures);
            }
            Cell {
                core,
                inbox: inbox.clone().into_boxed_slice(),
                shape: self
                    .setting
                    .symmetry
                    .shape(&signatures, self.cores[core].id),
                signatures,
                may_be_irrelevant: inbox.iter().any(|it| self.messages[*it].may_be_irrelevant),
                successors: OnceLock::new(),
            }
        })
    }
}
