//! What states are made of, and what steps do to it: computed once, and named by numbers.
//!
//! A global state falls into one *cell* per actor and the record of the observer. A cell is all
//! that concerns its actor alone: what only its own steps change (its *core*: local state, disk,
//! timers, random choices), and the messages that it may yet receive (its inbox). So a step
//! replaces the actor's own cell, and adds messages to the cells of others; what it replaces the
//! cell with depends on nothing but the cell.

use super::super::identity::{image_of_choice, image_of_timer};
use super::super::part::{At, Part, Permutation};
use super::super::state::{Action, WorldState};
use super::super::system::{MessageOf, StateOf, System};
use super::super::world::World;
use super::symmetry::{Marks, Symmetry};
use super::table::{Index, Memo, NONE, Table, fingerprint};
use hashbrown::HashMap;
use stateright::Model;
use stateright::actor::{Envelope, Id};
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What only an actor's own steps change.
pub(super) struct Core<S: System> {
    /// The initial state but for this actor, and without messages: the actor alone in its world.
    pub(super) alone: WorldState<S>,
    pub(super) id: Id,
    /// The numbers of what can be seen of it, by aspect.
    aspects: Box<[Index]>,
    /// Where its parts are, which is what tells it from others.
    addresses: Vec<usize>,
    marks: Marks,
    images: Images,
    /// What it may do without a message.
    moves: OnceLock<Box<[Reaction]>>,
}

/// A message that was sent at some time in some run.
pub(super) struct Message<S: System> {
    pub(super) envelope: Part<Envelope<MessageOf<S>>>,
    pub(super) marks: Marks,
    images: Images,
    pub(super) may_be_moot: bool,
    /// The number of what it says, or [`NONE`] if nobody asked yet.
    saying: AtomicU32,
    /// Its number among the messages to the same actor, once somebody sent it.
    rank: OnceLock<u32>,
}

/// The numbers of a part's images under each permutation, as far as anybody asked.
struct Images(Box<[AtomicU32]>);

impl Images {
    fn new(order: usize) -> Self {
        Self((0..order).map(|_| AtomicU32::new(NONE)).collect())
    }

    /// The image under the permutation at `place`, looked up or made.
    fn get(&self, place: usize, make: impl FnOnce() -> Index) -> Index {
        // Whoever reads a number must find what it stands for.
        let known = self.0[place].load(Ordering::Acquire);
        if known != NONE {
            return known;
        }
        let image = make();
        self.0[place].store(image, Ordering::Release);
        image
    }
}

/// What the observer recorded.
pub(super) struct Record<S: System> {
    pub(super) history: Part<S::History>,
    pub(super) marks: Marks,
}

/// An actor's share of a global state.
pub(super) struct Cell {
    pub(super) core: Index,
    /// Messages that it may receive, in rising order of their numbers.
    pub(super) inbox: Box<[Index]>,
    pub(super) marks: Marks,
    /// Whether a message in the inbox may ever be moot.
    pub(super) may_be_moot: bool,
    /// What it looks like, whatever ids are called.
    pub(super) look: u32,
    menu: OnceLock<Menu>,
}

/// What an actor does in one step, whoever else is there.
#[derive(Clone, Debug)]
struct Reaction {
    core: Index,
    sent: Box<[Index]>,
    /// Whether it changes what the actor shows.
    shows: bool,
    change: Index,
    /// What it adds to the tally of a state.
    tally: u32,
}

/// Where the cells of a state begin: after its record and its tally.
pub(super) const CELLS: usize = 2;

/// Where, in the tally of a state, the step properties are that were broken; below it are crashes.
pub(super) const BROKEN: u32 = 16;

/// What an actor does up to and with a step that others may see.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    /// Its cell afterwards.
    pub(super) cell: Index,
    /// The number of the change in what the observer sees of the actor, or [`NONE`].
    pub(super) change: Index,
    /// What the observer's memory depends on afterwards.
    pub(super) memory: Index,
    /// What the cell looks like afterwards, whatever ids are called.
    pub(super) look: u32,
    /// What it says, if that is one thing, to one actor or to many; otherwise [`NONE`].
    pub(super) says: Index,
    /// The crashes that it takes and the step properties that it breaks.
    pub(super) tally: u32,
    /// Where what it sends begins and ends, and what it needs to have heard, in its menu.
    sent: [u32; 2],
    needs: [u32; 2],
    /// Whether it changes what the actor shows.
    pub(super) shows: bool,
    /// Whether more than the inbox changes.
    pub(super) moves: bool,
    /// Whether the last step leaves the cell as it is, so that it counts only if what it sends is
    /// news to somebody.
    pub(super) is_loop: bool,
    /// Whether a message in the cell may ever be moot.
    pub(super) may_be_moot: bool,
}

/// A message on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) message: Index,
    /// Its receiver.
    pub(super) to: u32,
    /// Its number among the messages to that receiver.
    pub(super) rank: u32,
}

/// A message of an effect that counts for nothing but its messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Echo {
    pub(super) sent: Sent,
    /// The place of the effect.
    pub(super) effect: u32,
}

/// All that an actor may do in a cell.
#[derive(Debug, Default)]
pub(super) struct Menu {
    /// First those that may change a state even if nobody hears of it.
    effects: Box<[Effect]>,
    plain: usize,
    /// What the others send, effect by effect. Most messages were sent before and are no news, so
    /// that this is all that is ever looked at of most effects.
    pub(super) echoes: Box<[Echo]>,
    sent: Box<[Sent]>,
    needs: Box<[Index]>,
}

impl Menu {
    /// The effects that may change a state even if nobody hears of it.
    pub(super) fn plain(&self) -> &[Effect] {
        &self.effects[..self.plain]
    }

    /// The effect at a place.
    pub(super) fn effect(&self, place: u32) -> &Effect {
        &self.effects[place as usize]
    }

    /// What an effect sends.
    pub(super) fn sent(&self, effect: &Effect) -> &[Sent] {
        &self.sent[effect.sent[0] as usize..effect.sent[1] as usize]
    }

    /// What an effect needs to have heard.
    pub(super) fn needs(&self, effect: &Effect) -> &[Index] {
        &self.needs[effect.needs[0] as usize..effect.needs[1] as usize]
    }

    /// Reads some of it, so that it is at hand when it is needed.
    pub(super) fn touch(&self) -> Index {
        let effects = self.plain().iter().fold(0, |all, it| all ^ it.cell);
        let echo = self.echoes.first().map_or(0, |it| it.effect);
        effects ^ echo ^ self.sent.first().map_or(0, |it| it.message)
    }
}

/// An effect, the messages that it sends, and what it needs to have heard: what all ways to it use.
struct Sending {
    step: Effect,
    sent: Box<[Index]>,
    needs: Vec<Index>,
}

/// The crashes in a tally.
pub(super) fn crashes(tally: u32) -> u32 {
    tally & ((1 << BROKEN) - 1)
}

/// Before and after a change in what an actor shows.
type Change<S> = [Part<At<StateOf<S>>>; 2];

/// All parts of the states of a world.
pub(super) struct Parts<'w, S: System> {
    pub(super) world: &'w World<S>,
    pub(super) symmetry: Symmetry,
    /// The initial state without messages.
    blank: WorldState<S>,
    cores: Table<Core<S>>,
    messages: Table<Message<S>>,
    records: Table<Record<S>>,
    cells: Table<Cell>,
    changes: Table<Change<S>>,
    aspects: Table<Part<At<StateOf<S>>>>,
    observed: Memo,
    record_images: Memo,
    /// How many messages to each actor have a rank.
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

impl<'w, S: System> Parts<'w, S> {
    /// The parts of a world, and the words of its initial state.
    pub(super) fn new(world: &'w World<S>) -> (Self, Vec<u32>) {
        let mut initial = world.init_states();
        let start = initial.swap_remove(0);
        let blank = WorldState {
            network: Vec::new(),
            ..start.clone()
        };
        let parts = Self {
            world,
            symmetry: Symmetry::new(world.symmetries()),
            ranks: blank.locals.iter().map(|_| AtomicU32::new(0)).collect(),
            blank,
            cores: Table::new(),
            messages: Table::new(),
            records: Table::new(),
            cells: Table::new(),
            changes: Table::new(),
            aspects: Table::new(),
            observed: Memo::new(),
            record_images: Memo::new(),
            reactions: Mutex::new(HashMap::new()),
        };
        let words = parts.words(&start);
        (parts, words)
    }

    pub(super) fn cell(&self, index: Index) -> &Cell {
        self.cells.get(index)
    }

    pub(super) fn message(&self, index: Index) -> &Message<S> {
        self.messages.get(index)
    }

    pub(super) fn record(&self, index: Index) -> &Record<S> {
        self.records.get(index)
    }

    pub(super) fn core(&self, index: Index) -> &Core<S> {
        self.cores.get(index)
    }

    /// What the clock of a cell's actor shows.
    pub(super) fn clock(&self, cell: Index) -> Option<u64> {
        let core = self.core(self.cell(cell).core);
        let shown = &core.alone.shown[usize::from(core.id)];
        self.world.system().clock(&shown.value)
    }

    /// Which actors are permuted with one another: those of one class.
    pub(super) fn classes(&self) -> Vec<usize> {
        let ids = (0..self.actors()).map(Id::from);
        ids.map(|id| self.symmetry.class(id)).collect()
    }

    /// How many actors there are.
    pub(super) fn actors(&self) -> usize {
        self.blank.locals.len()
    }

    fn marks<T: Hash>(&self, part: &Part<T>, image: impl Fn(&T, &Permutation) -> T) -> Marks {
        let hash = |by: &Permutation| part.hash_of(&image(part, by));
        self.symmetry.mark(hash)
    }

    fn core_marks(&self, state: &WorldState<S>, id: Id) -> Marks {
        let (world, index) = (self.world, usize::from(id));
        let mut sum = self.marks(&state.locals[index], |at, by| world.image_of_local(at, by));
        if let Some(storage) = &state.storages[index] {
            sum = sum.plus(self.marks(storage, |at, by| world.image_of_storage(at, by)));
        }
        if let Some(unsaved) = &state.unsaved[index] {
            sum = sum.plus(self.marks(unsaved, |at, by| world.image_of_unsaved(at, by)));
        }
        for timer in state.timers.iter().filter(|timer| timer.id == id) {
            sum = sum.plus(self.marks(timer, image_of_timer));
        }
        for choice in state.choices.iter().filter(|choice| choice.id == id) {
            sum = sum.plus(self.marks(choice, image_of_choice));
        }
        sum
    }

    /// A global state as numbers: record, tally, and a cell per actor.
    pub(super) fn words(&self, state: &WorldState<S>) -> Vec<u32> {
        let tally = state.crashes as u32 | u32::from(state.broken) << BROKEN;
        let mut words = vec![self.intern_record(state.history.clone()), tally];
        for id in (0..self.actors()).map(Id::from) {
            let mine = state.network.iter().filter(|envelope| envelope.dst == id);
            let inbox = mine.map(|envelope| self.intern_message(envelope.clone()));
            words.push(self.intern_cell(self.intern_core(state, id), inbox.collect()));
        }
        words
    }

    /// The global state of these numbers, but for its identity.
    pub(super) fn state(&self, words: &[u32]) -> WorldState<S> {
        let mut state = self.blank.clone();
        state.history = self.record(words[0]).history.clone();
        state.crashes = crashes(words[1]) as usize;
        state.broken = (words[1] >> BROKEN) as u16;
        for cell in words[CELLS..].iter().map(|cell| self.cell(*cell)) {
            let core = self.core(cell.core);
            Self::place(&mut state, &core.alone, core.id);
            let inbox = cell.inbox.iter().map(|message| self.message(*message));
            state
                .network
                .extend(inbox.map(|message| message.envelope.clone()));
        }
        state.network.sort_unstable();
        state
    }

    /// What is seen in an aspect of the global state of these numbers: nothing but what actors
    /// show of it, and what the observer recorded.
    pub(super) fn seen_state(&self, words: &[u32], aspect: usize) -> WorldState<S> {
        let mut state = self.blank.clone();
        state.history = self.record(words[0]).history.clone();
        for (index, cell) in words[CELLS..].iter().enumerate() {
            let seen = self.aspects.get(self.aspect(*cell, aspect));
            state.shown[index] = seen.clone();
            state.locals[index] = seen.clone();
            state.storages[index] = None;
            state.unsaved[index] = None;
        }
        state.timers.clear();
        state.choices.clear();
        state
    }

    /// Replaces what belongs to actor `id` by what it has in another state.
    fn place(state: &mut WorldState<S>, from: &WorldState<S>, id: Id) {
        let index = usize::from(id);
        state.locals[index] = from.locals[index].clone();
        state.storages[index] = from.storages[index].clone();
        state.unsaved[index] = from.unsaved[index].clone();
        state.shown[index] = from.shown[index].clone();
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
                    aspects: self.aspects_of(&state.shown[usize::from(id)]),
                    addresses: addresses.clone(),
                    marks: self.core_marks(state, id),
                    images: Images::new(self.symmetry.order()),
                    moves: OnceLock::new(),
                }
            },
        )
    }

    fn aspects_of(&self, shown: &Part<At<StateOf<S>>>) -> Box<[Index]> {
        let number = |aspect| {
            let value = self.world.system().aspect(aspect, &shown.value);
            let part = self.world.shown(At {
                id: shown.id,
                value,
            });
            let address = part.address();
            let is_it = |it: &Part<At<StateOf<S>>>| it.address() == address;
            self.aspects.intern(spread(address), is_it, || part)
        };
        (0..S::ASPECTS).map(number).collect()
    }

    /// The number of what is seen of a cell in an aspect.
    pub(super) fn aspect(&self, cell: Index, aspect: usize) -> Index {
        self.core(self.cell(cell).core).aspects[aspect]
    }

    fn intern_message(&self, envelope: Part<Envelope<MessageOf<S>>>) -> Index {
        let address = envelope.address();
        let is_it = |message: &Message<S>| message.envelope.address() == address;
        self.messages.intern(spread(address), is_it, || Message {
            marks: self.marks(&envelope, |it, by| self.world.image_of_envelope(it, by)),
            images: Images::new(self.symmetry.order()),
            may_be_moot: self
                .world
                .system()
                .is_moot(&S::History::default(), &envelope),
            saying: AtomicU32::new(NONE),
            rank: OnceLock::new(),
            envelope,
        })
    }

    /// The number of what a message says and who says it, whoever it is for: that of the message by
    /// which its sender would say it to itself.
    fn saying(&self, message: Index) -> Index {
        let it = self.message(message);
        let known = it.saying.load(Ordering::Acquire);
        if known != NONE {
            return known;
        }
        let mut envelope = Envelope::clone(&it.envelope);
        envelope.dst = envelope.src;
        let saying = self.intern_message(self.world.envelope(envelope));
        it.saying.store(saying, Ordering::Release);
        saying
    }

    /// The number of the image of what was said.
    pub(super) fn saying_image(&self, saying: Index, place: usize) -> Index {
        self.message_image(saying, place)
    }

    pub(super) fn intern_record(&self, history: Part<S::History>) -> Index {
        let address = history.address();
        let is_it = |record: &Record<S>| record.history.address() == address;
        self.records.intern(spread(address), is_it, || Record {
            marks: self.marks(&history, |it, by| self.world.image_of_history(it, by)),
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
            let mut marks = self.core(core).marks;
            for message in &inbox {
                marks = marks.plus(self.message(*message).marks);
            }
            Cell {
                core,
                inbox: inbox.clone().into_boxed_slice(),
                look: self.symmetry.look(&marks, self.core(core).id),
                marks,
                may_be_moot: inbox.iter().any(|it| self.message(*it).may_be_moot),
                menu: OnceLock::new(),
            }
        })
    }

    /// The cell with a message more.
    pub(super) fn receive(&self, cell: Index, message: Index) -> Index {
        let it = self.cell(cell);
        let envelope = &self.message(message).envelope;
        let alone = &self.core(it.core).alone;
        if it.inbox.binary_search(&message).is_ok() || self.world.is_dropped(alone, envelope) {
            return cell;
        }
        let mut inbox = it.inbox.to_vec();
        inbox.push(message);
        self.intern_cell(it.core, inbox)
    }

    /// The cell without messages that are moot, given the record.
    pub(super) fn clear(&self, cell: Index, record: Index) -> Index {
        let it = self.cell(cell);
        let history = &self.record(record).history;
        let is_moot = |message: &Index| {
            let envelope = &self.message(*message).envelope;
            self.world.system().is_moot(history, envelope)
        };
        if !it.inbox.iter().any(is_moot) {
            return cell;
        }
        let mut inbox = it.inbox.to_vec();
        inbox.retain(|message| !is_moot(message));
        self.intern_cell(it.core, inbox)
    }

    /// The record once the observer has seen a change.
    pub(super) fn observe(&self, record: Index, change: Index) -> Index {
        self.observed.get(record, change, || {
            let [before, after] = self.changes.get(change);
            let history = &self.record(record).history;
            let seen = self.world.seen(history, before, after);
            seen.map_or(record, |history| self.intern_record(history))
        })
    }

    /// The record once the observer has forgotten what these cells let it forget.
    pub(super) fn forget(&self, record: Index, cells: &[u32]) -> Index {
        let seen = cells
            .iter()
            .map(|cell| self.aspect(*cell, S::ASPECT_OF_MEMORY));
        let seen: Vec<&StateOf<S>> = seen.map(|it| &self.aspects.get(it).value).collect();
        let history = &self.record(record).history;
        match self.world.system().forget(history, &seen) {
            Some(history) => self.intern_record(self.world.history(history)),
            None => record,
        }
    }

    /// A cell's image under the permutation at `place` in the group.
    pub(super) fn cell_image(&self, cell: Index, place: usize) -> Index {
        let it = self.cell(cell);
        let inbox = it.inbox.iter();
        let inbox = inbox.map(|message| self.message_image(*message, place));
        self.intern_cell(self.core_image(it.core, place), inbox.collect())
    }

    fn message_image(&self, message: Index, place: usize) -> Index {
        let it = self.message(message);
        it.images.get(place, || {
            let by = &self.world.symmetries()[place];
            let image = self.world.image_of_envelope(&it.envelope, by);
            let image = self.intern_message(self.world.envelope(image));
            self.hold_to_marks(&it.marks, &self.message(image).marks, by, || {
                format!("message {:?}", it.envelope.msg)
            });
            image
        })
    }

    fn core_image(&self, core: Index, place: usize) -> Index {
        let it = self.core(core);
        it.images.get(place, || {
            let by = &self.world.symmetries()[place];
            let to = by.apply(it.id);
            let mut image = self.blank.clone();
            image.timers.retain(|timer| timer.id != to);
            image.choices.retain(|choice| choice.id != to);
            self.world.put_image(&mut image, &it.alone, it.id, by);
            let image = self.intern_core(&image, to);
            self.hold_to_marks(&it.marks, &self.core(image).marks, by, || {
                format!("state {:?}", it.alone.locals[usize::from(it.id)].value)
            });
            image
        })
    }

    /// A record's image under the permutation at `place` in the group.
    pub(super) fn record_image(&self, record: Index, place: usize) -> Index {
        self.record_images.get(record, place as Index, || {
            let by = &self.world.symmetries()[place];
            let history = self
                .world
                .image_of_history(&self.record(record).history, by);
            let image = self.intern_record(self.world.history(history));
            let of = self.record(record);
            self.hold_to_marks(&of.marks, &self.record(image).marks, by, || {
                format!("record {:?}", *of.history)
            });
            image
        })
    }

    /// Whether a part looks from each id as its image does from the image of the id. If not, ids
    /// are not replaced as they must be, and states would be taken for others.
    fn hold_to_marks(
        &self,
        of: &Marks,
        image: &Marks,
        by: &Permutation,
        what: impl Fn() -> String,
    ) {
        if self.symmetry.turned(of, by) != *image {
            self.world.refute(format!(
                "a reduction is unsound: ids are not replaced evenly in the {}",
                what()
            ));
        }
    }

    /// Runs a handler, or another step, in the actor's own world.
    fn react(&self, from: Index, action: &Action<S>) -> Reaction {
        let Core { alone, id, .. } = self.core(from);
        let acted = self.world.act(alone, action);
        let index = usize::from(*id);
        if self.world.audits() {
            self.world
                .audit_step(alone, &acted.state, *id, acted.crashes > 0);
        }
        let sent = acted.sent.iter().cloned();
        let mut sent: Vec<Index> = sent.map(|it| self.intern_message(it)).collect();
        sent.sort_unstable();
        sent.dedup();
        let shown = [&alone.shown[index], &acted.state.shown[index]];
        let core = self.intern_core(&acted.state, *id);
        let aspect = |core| self.core(core).aspects[S::ASPECT_OF_RECORD];
        let is_seen = aspect(core) != aspect(from);
        let change = is_seen.then(|| self.intern_change(shown.map(Part::clone)));
        Reaction {
            core,
            sent: sent.into_boxed_slice(),
            shows: shown[0].address() != shown[1].address(),
            change: change.unwrap_or(NONE),
            tally: acted.crashes as u32
                | u32::from(self.world.broken(shown[0], shown[1])) << BROKEN,
        }
    }

    /// What the actor may do without a message.
    fn moves(&self, core: Index) -> &[Reaction] {
        let it = self.core(core);
        it.moves.get_or_init(|| {
            let mut moves = Vec::new();
            self.world.moves(&it.alone, it.id, &mut moves);
            moves
                .iter()
                .map(|action| self.react(core, action))
                .collect()
        })
    }

    /// What the actor does when it receives a message.
    fn delivery(&self, core: Index, message: Index) -> Arc<Reaction> {
        let lock = || {
            self.reactions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(known) = lock().get(&(core, message)) {
            return Arc::clone(known);
        }
        let envelope = self.message(message).envelope.clone();
        let reaction = Arc::new(self.react(core, &Action::Deliver(envelope)));
        Arc::clone(lock().entry((core, message)).or_insert(reaction))
    }

    /// All that an actor may do in a cell, up to and with a step that others may see.
    pub(super) fn menu(&self, cell: Index) -> &Menu {
        let it = self.cell(cell);
        it.menu.get_or_init(|| self.arrange(cell))
    }

    fn arrange(&self, cell: Index) -> Menu {
        let mut all = self.sendings(cell);
        // The last step of a loop shows nothing, and without news nothing becomes moot. What is
        // news to the cell that it ends in is news to the one that the burst begins in: steps that
        // nobody sees add no message, and what is stale stays so.
        all.sort_by_key(|sending| sending.step.is_loop);
        let plain = all.partition_point(|sending| !sending.step.is_loop);
        let (mut effects, mut echoes) = (Vec::new(), Vec::new());
        let (mut sent, mut needs) = (Vec::new(), Vec::new());
        for (place, sending) in all.into_iter().enumerate() {
            let first = [sent.len() as u32, needs.len() as u32];
            sent.extend(sending.sent.iter().map(|message| self.send(*message)));
            needs.extend(sending.needs);
            let effect = place as u32;
            if sending.step.is_loop {
                let sent = sent[first[0] as usize..].iter();
                echoes.extend(sent.map(|sent| Echo {
                    sent: *sent,
                    effect,
                }));
            }
            effects.push(Effect {
                sent: [first[0], sent.len() as u32],
                needs: [first[1], needs.len() as u32],
                ..sending.step
            });
        }
        Menu {
            effects: effects.into(),
            plain,
            echoes: echoes.into(),
            sent: sent.into(),
            needs: needs.into(),
        }
    }

    /// A message on its way, which gets its rank when it is sent first.
    fn send(&self, message: Index) -> Sent {
        let it = self.message(message);
        let to = usize::from(it.envelope.dst);
        let next = || self.ranks[to].fetch_add(1, Ordering::Relaxed);
        Sent {
            message,
            to: to as u32,
            rank: *it.rank.get_or_init(next),
        }
    }

    /// Each burst from a cell: steps that nobody sees, and one that others may see.
    fn sendings(&self, cell: Index) -> Vec<Sending> {
        let options = self.world.options();
        let mut all: Vec<Sending> = Vec::new();
        let mut places = HashMap::new();
        let mut hidden = vec![(cell, 0, Vec::new())];
        let mut known = HashSet::from([(cell, 0)]);
        while let Some((at, before, heard)) = hidden.pop() {
            self.reactions(at, |reaction, after, message| {
                let tally = before + reaction.tally;
                let is_silent = reaction.sent.is_empty() && !reaction.shows;
                let is_loop = after == at;
                if is_silent && is_loop || crashes(tally) as usize > options.crashes {
                    return;
                }
                if is_silent && options.postpones {
                    if known.insert((after, tally)) {
                        hidden.push((after, tally, self.hear(&heard, message)));
                    }
                    return;
                }
                let needs = self.hear(&heard, message);
                // Different ways to the same end are one burst.
                let end = (after, reaction.sent.clone(), tally);
                match places.get(&end).filter(|_| options.postpones) {
                    Some(place) => {
                        let Sending {
                            step, needs: known, ..
                        }: &mut Sending = &mut all[*place];
                        step.is_loop &= is_loop;
                        known.retain(|it| needs.contains(it));
                    }
                    None => {
                        places.insert(end, all.len());
                        let step = self.effect(cell, reaction, after);
                        all.push(Sending {
                            step: Effect {
                                tally,
                                is_loop,
                                ..step
                            },
                            sent: reaction.sent.clone(),
                            needs,
                        });
                    }
                }
            });
        }
        all
    }

    /// What was heard, and what a message says.
    fn hear(&self, heard: &[Index], message: Option<Index>) -> Vec<Index> {
        let mut all = heard.to_vec();
        all.extend(message.map(|message| self.saying(message)));
        all
    }

    /// What messages say, if it is one thing; otherwise [`NONE`].
    fn says(&self, sent: &[Index]) -> Index {
        let mut sayings = sent.iter().map(|message| self.saying(*message));
        let first = sayings.next().unwrap_or(NONE);
        if sayings.all(|it| it == first) {
            first
        } else {
            NONE
        }
    }

    /// The effect of a burst from one cell to another that ends with this reaction.
    fn effect(&self, from: Index, reaction: &Reaction, after: Index) -> Effect {
        Effect {
            cell: after,
            shows: reaction.shows,
            change: reaction.change,
            memory: self.aspect(after, S::ASPECT_OF_MEMORY),
            sent: [0; 2],
            needs: [0; 2],
            says: self.says(&reaction.sent),
            look: self.cell(after).look,
            moves: self.cell(after).core != self.cell(from).core,
            tally: reaction.tally,
            is_loop: false,
            may_be_moot: self.cell(after).may_be_moot,
        }
    }

    /// Every single step from a cell, the cell that it leads to, and the message that it takes.
    fn reactions(&self, cell: Index, mut visit: impl FnMut(&Reaction, Index, Option<Index>)) {
        let it = self.cell(cell);
        let mut take = |reaction: &Reaction, message: Option<Index>| {
            let alone = &self.core(reaction.core).alone;
            let mut inbox = it.inbox.to_vec();
            inbox.retain(|message| {
                !self
                    .world
                    .is_dropped(alone, &self.message(*message).envelope)
            });
            visit(reaction, self.intern_cell(reaction.core, inbox), message);
        };
        let core = self.core(it.core);
        for reaction in self.moves(it.core) {
            take(reaction, None);
        }
        if core.alone.unsaved[usize::from(core.id)].is_none() {
            for message in &it.inbox {
                take(&self.delivery(it.core, *message), Some(*message));
            }
        }
    }
}
