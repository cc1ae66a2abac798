//! One thread of the search: expands states, and inserts what they lead to.

use super::super::system::System;
use super::super::world::{StorageMode, World};
use super::notes::Notes;
use super::parts::{BROKEN, CELLS, Effect, Menu, Parts, Sent, crashes};
use super::seen::{self, Fingerprint, SHARDS, Seen};
use super::symmetry::Marks;
use super::table::{Cache, Index, NONE, fingerprint, pair};
use super::wake::Wake;
use super::{Finds, Level, Shared};
use stateright::{Expectation, Property};
use std::sync::atomic::Ordering;

/// States are inserted so many at a time: enough to hide that each insertion waits for memory,
/// few enough for all batches of a thread to stay close at hand.
const BATCH: usize = 64;

/// States per chunk of a level, which is what a thread takes to expand at a time.
pub(super) const CHUNK: usize = 256;

/// So many states are looked at twice by each thread: as properties see them, and whole.
const DOUBLE_LOOKS: usize = 1_000;

/// States on their way into the set of those seen, all of one shard.
#[derive(Default)]
struct Batch {
    /// Each state's fingerprint and half of its predecessor's.
    keys: Vec<(Fingerprint, u64)>,
    words: Vec<u32>,
    /// The number of concrete states that each stands for, and whether it may show anything new.
    notes: Vec<(u32, bool)>,
}

/// So many states are looked at before the first of them is expanded. Each must wait for memory,
/// and together they wait but once.
const AHEAD: usize = 16;

/// What the steps from a state have in common.
#[derive(Clone, Default)]
struct Outlook<'a> {
    marks: Marks,
    /// Flags of the actors in whose inboxes messages may be moot.
    moot: u64,
    /// What the observer's memory depends on, by actor.
    memory: Vec<Index>,
    /// What each actor's cell looks like.
    looks: Vec<u32>,
    /// What each actor's clock shows, if they have clocks.
    clocks: Vec<Option<u64>>,
    /// What each actor may do.
    menus: Vec<&'a Menu>,
}

/// A step that an actor may take from a state.
#[derive(Clone, Copy)]
struct Ahead<'s, 'a> {
    from: &'s [u32],
    /// The steps that can be the last before it, by actor.
    lasts: &'s [(usize, Wake)],
    /// Half of the fingerprint of the state, if it is kept.
    predecessor: u64,
    outlook: &'s Outlook<'a>,
    actor: usize,
    menu: &'a Menu,
    effect: &'a Effect,
}

impl Ahead<'_, '_> {
    fn sends_to(&self, actor: usize) -> bool {
        let mut sent = self.menu.sent(self.effect).iter();
        sent.any(|sent| sent.to as usize == actor)
    }
}

/// One thread of the search.
pub(super) struct Worker<'a, S: System> {
    parts: &'a Parts<'a, S>,
    seen: &'a Seen,
    shared: &'a Shared,
    properties: &'a [Property<World<S>>],
    /// The properties, as bits: those seen in each aspect, and those that are examples.
    asked: Vec<u32>,
    examples: u32,
    records_commute: bool,
    has_clocks: bool,
    /// Where the step properties are among the properties.
    step_at: Vec<usize>,
    /// Numbers per state, without what is known of last steps.
    width: usize,
    /// Which actors are permuted with one another.
    classes: Vec<usize>,
    batches: Vec<Batch>,
    new: Vec<usize>,
    /// What was found for the next level.
    next: Finds,
    notes: Notes<'a, S>,
    cleared: Cache<1>,
    forgotten: Cache<2>,
    judged: Cache<2>,
    looks: usize,
    /// The state at hand, its marks, and flags of the actors in whose inboxes messages may be moot.
    state: Vec<u32>,
    marks: Marks,
    moot: u64,
    wakes: Vec<u32>,
    /// The steps that can be the last before the state that is expanded, by actor.
    lasts: Vec<(usize, Wake)>,
    /// Whether moot messages were dropped on the way to it.
    has_cleared: bool,
    /// Scratch: the best image so far, an image, and what is seen.
    best: Vec<u32>,
    image: Vec<u32>,
    seen_as: Vec<u32>,
    turned: Vec<u32>,
    outlooks: Vec<Outlook<'a>>,
    /// Steps taken.
    pub(super) transitions: u64,
    /// Concrete states that the states inserted here stand for.
    pub(super) concrete: u128,
    /// The examples found, as bits by property.
    pub(super) found: u32,
    /// The properties violated, by their places, and the first state for each.
    pub(super) violated: Vec<(usize, Fingerprint)>,
}

impl<'a, S: System> Worker<'a, S> {
    pub(super) fn new(
        parts: &'a Parts<'a, S>,
        seen: &'a Seen,
        shared: &'a Shared,
        properties: &'a [Property<World<S>>],
    ) -> Self {
        let width = parts.actors() + CELLS;
        let mut asked = vec![0; S::ASPECTS];
        let mut examples = 0;
        let steps = parts.world.steps().iter();
        let place = |name| properties.iter().position(|property| property.name == name);
        let step_at = steps.map(|step| place(step.name).unwrap_or(usize::MAX));
        let step_at: Vec<usize> = step_at.collect();
        for (at, property) in properties.iter().enumerate() {
            if step_at.contains(&at) {
                continue;
            }
            asked[parts.world.system().aspect_of(property.name)] |= 1 << at;
            if property.expectation == Expectation::Sometimes {
                examples |= 1 << at;
            }
        }
        Self {
            asked,
            examples,
            records_commute: parts.world.system().records_commute(),
            has_clocks: parts.world.system().clocks().is_some(),
            step_at,
            parts,
            seen,
            shared,
            properties,
            width,
            classes: parts.classes(),
            batches: (0..SHARDS).map(|_| Batch::default()).collect(),
            new: Vec::new(),
            next: Finds::new(width + parts.actors()),
            notes: Notes::new(parts),
            cleared: Cache::new(),
            forgotten: Cache::new(),
            judged: Cache::new(),
            looks: 0,
            state: Vec::with_capacity(width),
            best: Vec::with_capacity(width),
            image: Vec::with_capacity(width),
            seen_as: Vec::with_capacity(width),
            turned: Vec::with_capacity(width),
            outlooks: vec![Outlook::default(); AHEAD],
            marks: Marks::default(),
            moot: 0,
            wakes: Vec::with_capacity(width),
            lasts: Vec::with_capacity(width),
            has_cleared: false,
            transitions: 0,
            concrete: 0,
            found: 0,
            violated: Vec::new(),
        }
    }

    /// What was found for the next level, which is the caller's now.
    pub(super) fn take_next(&mut self) -> Level {
        self.next.take()
    }

    /// Ends a level: inserts what still waits, and puts what was found next into an order in which
    /// neighbours have much in common.
    pub(super) fn finish_level(&mut self) {
        self.flush_all();
        self.next.sort();
    }

    /// Inserts the initial state.
    pub(super) fn begin(&mut self, words: &[u32]) -> Fingerprint {
        self.state.clear();
        self.state.extend_from_slice(words);
        self.mark();
        self.wakes.clear();
        self.wakes.resize(self.parts.actors(), Wake::NONE.word());
        let start = self.push(0, true);
        self.flush_all();
        start
    }

    /// The fingerprint of a state, or of its representative.
    pub(super) fn print(&mut self, words: &[u32]) -> Fingerprint {
        self.state.clear();
        self.state.extend_from_slice(words);
        self.mark();
        self.represent();
        fingerprint(&self.state)
    }

    /// Expands every state of a chunk.
    pub(super) fn expand(&mut self, chunk: &[u32]) {
        let mut outlooks = std::mem::take(&mut self.outlooks);
        let width = self.next.width;
        for states in chunk.chunks(AHEAD * width) {
            if self.shared.is_stopped() {
                break;
            }
            let states = || states.chunks_exact(width);
            for (state, outlook) in states().zip(&mut outlooks) {
                self.look_ahead(&state[..self.width], outlook);
            }
            for (state, outlook) in states().zip(&outlooks) {
                self.expand_one(state, outlook);
            }
        }
        self.outlooks = outlooks;
    }

    /// Looks up what the steps from a state have in common.
    fn look_ahead(&mut self, from: &[u32], outlook: &mut Outlook<'a>) {
        outlook.marks = self.notes.record_marks(from[0]);
        outlook.moot = 0;
        outlook.memory.clear();
        outlook.looks.clear();
        outlook.clocks.clear();
        outlook.menus.clear();
        for (actor, cell) in from[CELLS..].iter().enumerate() {
            let facts = self.notes.facts(*cell);
            outlook.marks = outlook.marks.plus(facts.marks);
            outlook.moot |= flag(facts.may_be_moot, actor);
            outlook.memory.push(facts.memory);
            outlook.looks.push(facts.look);
            outlook.menus.push(self.notes.menu(*cell));
            if self.has_clocks {
                outlook.clocks.push(self.parts.clock(*cell));
            }
        }
        let touched = outlook.menus.iter().map(|menu| menu.touch());
        std::hint::black_box(touched.fold(0, |a, b| a ^ b));
    }

    fn expand_one(&mut self, state: &[u32], outlook: &Outlook<'a>) {
        let (from, wakes) = state.split_at(self.width);
        let predecessor = if self.seen.is_linked() {
            fingerprint(from)[0]
        } else {
            0
        };
        let mut lasts = std::mem::take(&mut self.lasts);
        lasts.clear();
        let wakes = Wake::read(wakes).enumerate();
        lasts.extend(wakes.filter(|(_, wake)| wake.is_last()));
        for (actor, menu) in outlook.menus.iter().enumerate() {
            let ahead = |effect| Ahead {
                from,
                lasts: &lasts,
                predecessor,
                outlook,
                actor,
                menu,
                effect,
            };
            for effect in menu.plain() {
                self.take(&ahead(effect));
            }
            let mut taken = NONE;
            for echo in &menu.echoes {
                let cell = from[CELLS + echo.sent.to as usize];
                if echo.effect != taken && self.notes.arrival(cell, echo.sent) != cell {
                    taken = echo.effect;
                    self.take(&ahead(menu.effect(taken)));
                }
            }
        }
        self.lasts = lasts;
    }

    /// Takes a step, unless it may not be taken, need not be, or changes nothing.
    fn take(&mut self, ahead: &Ahead<'_, 'a>) {
        let Ahead {
            from,
            effect,
            actor,
            ..
        } = *ahead;
        let crashed = crashes(from[1]) + crashes(effect.tally);
        if crashed > self.parts.world.options().crashes as u32 {
            return;
        }
        if self.has_clocks && !self.is_in_time(actor, effect, ahead.outlook) {
            return;
        }
        if self.shared.commutes && self.is_covered(ahead) {
            self.transitions += 1;
            return;
        }
        self.apply(ahead);
        if self.is_still(from, actor, effect) {
            return;
        }
        let broken = (from[1] | effect.tally) >> BROKEN << BROKEN;
        self.state[1] = broken | crashed;
        self.transitions += 1;
        let records = self.state[0] != from[0];
        self.wake(ahead);
        self.push(ahead.predecessor, effect.shows || records);
    }

    /// Whether the actor's clock is not too far ahead of any other after an effect.
    fn is_in_time(&self, actor: usize, effect: &Effect, outlook: &Outlook<'a>) -> bool {
        let clocks = &outlook.clocks;
        self.parts
            .world
            .is_in_time(actor, self.parts.clock(effect.cell), |other| clocks[other])
    }

    /// Whether a step need not be taken, because it is enough to take another to the same state.
    fn is_covered(&self, ahead: &Ahead<'_, 'a>) -> bool {
        // A step is counted, and so it must be certain that it changes something.
        if !ahead.effect.moves || ahead.effect.is_loop {
            return false;
        }
        let class = self.classes[ahead.actor];
        let comes_later = |other: usize| match self.classes[other].cmp(&class) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => other != ahead.actor && self.looks_later(other, ahead),
        };
        let mut lasts = ahead.lasts.iter();
        lasts.any(|(other, wake)| comes_later(*other) && self.outlasts(*other, *wake, ahead))
    }

    /// Whether the last step of another actor can be the last even after a step.
    fn outlasts(&self, other: usize, wake: Wake, ahead: &Ahead<'_, 'a>) -> bool {
        // While a save is pending nothing is dropped, so that it matters whether a message arrives
        // before or after the step that saves.
        let is_split = self.parts.world.options().storage == StorageMode::Split;
        let (menu, effect) = (ahead.menu, ahead.effect);
        let needs = |saying| is_split || menu.needs(effect).contains(&saying);
        let memory = ahead.outlook.memory[ahead.actor];
        other != ahead.actor
            && wake.outlasts(ahead.actor, effect, memory, self.records_commute, needs)
            && !(is_split && ahead.sends_to(other))
    }

    /// Whether another actor of the same class comes later than the actor of a step, by their
    /// looks after it. If it changes the other too, that is not known.
    fn looks_later(&self, other: usize, ahead: &Ahead<'_, 'a>) -> bool {
        let Ahead {
            actor,
            effect,
            outlook,
            ..
        } = *ahead;
        let moot = outlook.moot | flag(effect.may_be_moot, actor);
        let is_clear = moot & (flag(true, actor) | flag(true, other)) == 0;
        effect.look < outlook.looks[other] && is_clear && !ahead.sends_to(other)
    }

    /// Notes which steps can be the last before the state at hand.
    fn wake(&mut self, ahead: &Ahead<'_, 'a>) {
        let Ahead {
            from,
            actor,
            effect,
            outlook,
            ..
        } = *ahead;
        let mut kept = std::mem::take(&mut self.wakes);
        kept.clear();
        kept.resize(self.parts.actors(), Wake::NONE.word());
        for (other, wake) in ahead.lasts {
            if self.outlasts(*other, *wake, ahead) {
                kept[*other] = wake.word();
            }
        }
        let is_fragile = outlook.moot & flag(true, actor) != 0;
        // A burst that counts only for what its last step says would not count after a step by
        // which nobody listens to that any more.
        let is_for_news = effect.is_loop && effect.cell != from[CELLS + actor];
        let said = if self.has_cleared || is_for_news {
            NONE
        } else {
            effect.says
        };
        let wake = Wake::of(actor, is_fragile, said, from, &self.state);
        kept[actor] = wake.word();
        self.wakes = kept;
    }

    /// Makes the state that a step leads to, but for its crashes.
    fn apply(&mut self, ahead: &Ahead<'_, 'a>) {
        let Ahead {
            from,
            actor,
            effect,
            outlook,
            ..
        } = *ahead;
        self.state.clear();
        self.state.extend_from_slice(from);
        let before = std::mem::replace(&mut self.state[CELLS + actor], effect.cell);
        let [less, more] = [before, effect.cell].map(|cell| self.notes.facts(cell).marks);
        self.marks = outlook.marks.minus(less).plus(more);
        self.has_cleared = false;
        self.moot = outlook.moot | flag(effect.may_be_moot, actor);
        for sent in ahead.menu.sent(effect) {
            self.deliver(*sent);
        }
        if effect.change != NONE {
            self.observe(effect.change);
        }
        if self.parts.world.options().forgets {
            let memory = &outlook.memory;
            if effect.shows && (self.state[0] != from[0] || effect.memory != memory[actor]) {
                self.forget(memory, actor, effect.memory);
            }
            if self.moot != 0 {
                self.clear(from);
            }
        }
    }

    /// Whether an effect changes nothing.
    fn is_still(&self, from: &[u32], actor: usize, effect: &Effect) -> bool {
        let at = CELLS + actor;
        if !effect.is_loop {
            // What became moot may undo all that a step does.
            return (effect.cell == from[at] || self.moot != 0) && self.state == from;
        }
        let mut words = self.state.iter().zip(from).enumerate();
        self.state[at] == effect.cell && words.all(|(word, (new, old))| word == at || new == old)
    }

    /// A message arrives in its receiver's inbox.
    fn deliver(&mut self, sent: Sent) {
        let to = sent.to as usize;
        let cell = self.state[CELLS + to];
        let after = self.notes.arrival(cell, sent);
        if after != cell {
            let facts = self.notes.message(sent.message);
            self.state[CELLS + to] = after;
            self.marks = self.marks.plus(facts.marks);
            self.moot |= flag(facts.may_be_moot, to);
        }
    }

    /// The observer sees a change.
    fn observe(&mut self, change: Index) {
        let record = self.notes.observe(self.state[0], change);
        self.replace_record(record);
    }

    fn replace_record(&mut self, record: Index) {
        let before = std::mem::replace(&mut self.state[0], record);
        if before != record {
            let less = self.notes.record_marks(before);
            let more = self.notes.record_marks(record);
            self.marks = self.marks.minus(less).plus(more);
        }
    }

    /// The observer forgets what it may, given what its memory depends on.
    fn forget(&mut self, memory: &[Index], actor: usize, change: Index) {
        self.seen_as.clear();
        self.seen_as.push(self.state[0]);
        self.seen_as.extend_from_slice(memory);
        self.seen_as[1 + actor] = change;
        let key = fingerprint(&self.seen_as);
        let (parts, record, cells) = (self.parts, self.state[0], &self.state[CELLS..]);
        let record = self.forgotten.get(key, || parts.forget(record, cells));
        self.replace_record(record);
    }

    /// Drops messages that are moot.
    fn clear(&mut self, from: &[u32]) {
        let (parts, record) = (self.parts, self.state[0]);
        for at in CELLS..self.state.len() {
            let cell = self.state[at];
            let may_be_moot = self.moot & flag(true, at - CELLS) != 0;
            if !may_be_moot || (record == from[0] && cell == from[at]) {
                continue;
            }
            let after = self
                .cleared
                .get(pair(cell, record), || parts.clear(cell, record));
            if after != cell {
                let less = self.notes.facts(cell).marks;
                let more = self.notes.facts(after).marks;
                self.marks = self.marks.minus(less).plus(more);
                self.state[at] = after;
                self.has_cleared = true;
            }
        }
    }

    /// Puts the state at hand, or its representative, into its batch.
    fn push(&mut self, predecessor: u64, may_show: bool) -> Fingerprint {
        let concrete = self.represent();
        let print = fingerprint(&self.state);
        let shard = seen::shard(print);
        let batch = &mut self.batches[shard];
        batch.keys.push((print, predecessor));
        batch.words.extend_from_slice(&self.state);
        batch.words.extend_from_slice(&self.wakes);
        batch.notes.push((concrete, may_show));
        if batch.keys.len() >= BATCH {
            self.flush(shard);
        }
        print
    }

    /// Computes the marks of the state at hand.
    fn mark(&mut self) {
        self.marks = self.notes.record_marks(self.state[0]);
        for cell in &self.state[CELLS..] {
            self.marks = self.marks.plus(self.notes.facts(*cell).marks);
        }
    }

    /// Replaces the state at hand, whose marks are known, by its representative: the least of its
    /// images, of those that sort the marks. Says how many images it has, itself included.
    fn represent(&mut self) -> u32 {
        let symmetry = &self.parts.symmetry;
        if symmetry.order() == 1 {
            return 1;
        }
        let sorting = symmetry.sort(&mut self.marks);
        if sorting > 0 {
            self.permute(sorting);
            std::mem::swap(&mut self.state, &mut self.image);
            self.turn(sorting);
        }
        // Ids with equal marks are mostly alike in everything, which is seen by swapping
        // neighbours. Only if some are not must all their orders be compared.
        let twins = symmetry.twins(&self.marks);
        let ways = if twins.swaps().all(|swap| self.is_fixed_by(swap)) {
            twins.orders
        } else {
            self.least()
        };
        // As many permutations lead to the representative as leave it alone.
        (symmetry.order() / ways) as u32
    }

    /// Replaces the state at hand by the least of its images that keep the marks in order. Says
    /// how many permutations lead to it.
    fn least(&mut self) -> usize {
        let (parts, marks) = (self.parts, self.marks);
        self.best.clear();
        let (mut ways, mut chosen) = (0, 0);
        parts.symmetry.candidates(&marks, &mut |place| {
            self.permute(place);
            if self.best.is_empty() || self.image < self.best {
                std::mem::swap(&mut self.image, &mut self.best);
                (ways, chosen) = (1, place);
            } else if self.image == self.best {
                ways += 1;
            }
        });
        std::mem::swap(&mut self.state, &mut self.best);
        self.turn(chosen);
        ways
    }

    /// Lets what is known of last steps follow the state.
    fn turn(&mut self, place: usize) {
        let by = &self.parts.world.symmetries()[place];
        let actors = self.parts.actors();
        self.turned.clear();
        self.turned.resize(self.wakes.len(), Wake::NONE.word());
        let notes = &mut self.notes;
        for (actor, wake) in Wake::read(&self.wakes).enumerate() {
            if !wake.is_last() {
                continue;
            }
            let to = usize::from(by.apply(actor.into()));
            let said = |it| notes.saying_image(it, place);
            self.turned[to] = wake.image(by, actors, said).word();
        }
        std::mem::swap(&mut self.wakes, &mut self.turned);
    }

    /// Makes the image of the state at hand under the permutation at `place` in the group.
    fn permute(&mut self, place: usize) {
        let by = &self.parts.world.symmetries()[place];
        self.image.clone_from(&self.state);
        if place == 0 {
            return;
        }
        self.image[0] = self.notes.record_image(self.state[0], place);
        for (actor, cell) in self.state[CELLS..].iter().enumerate() {
            let to = usize::from(by.apply(actor.into()));
            self.image[CELLS + to] = self.notes.cell_image(*cell, place);
        }
    }

    /// Whether the permutation at `place` leaves the state at hand as it is.
    fn is_fixed_by(&mut self, place: usize) -> bool {
        let by = &self.parts.world.symmetries()[place];
        let (notes, state) = (&mut self.notes, &self.state);
        let mut cells = state[CELLS..].iter().enumerate();
        cells.all(|(actor, cell)| {
            let to = usize::from(by.apply(actor.into()));
            notes.cell_image(*cell, place) == state[CELLS + to]
        }) && notes.record_image(state[0], place) == state[0]
    }

    /// Inserts what still waits in batches.
    fn flush_all(&mut self) {
        for shard in 0..SHARDS {
            self.flush(shard);
        }
    }

    fn flush(&mut self, shard: usize) {
        let mut batch = std::mem::take(&mut self.batches[shard]);
        let mut new = std::mem::take(&mut self.new);
        let may_grow_by = |bytes| self.shared.may_grow_by(bytes);
        if !self.shared.is_stopped() {
            let inserted = self.seen.insert(shard, &batch.keys, may_grow_by, &mut new);
            if inserted.is_err() {
                self.shared.stop_for_memory();
            }
        }
        self.shared.count(new.len());
        let width = self.next.width;
        for place in new.drain(..) {
            let words = &batch.words[place * width..][..width];
            let state = &words[..self.width];
            let (concrete, may_show) = batch.notes[place];
            self.next.push(words);
            self.concrete += u128::from(concrete);
            self.look_twice(state);
            if may_show {
                self.judge(state, batch.keys[place].0);
            }
        }
        batch.keys.clear();
        batch.words.clear();
        batch.notes.clear();
        self.batches[shard] = batch;
        self.new = new;
    }

    /// Holds a new state to the properties, unless one that looks the same was held to them.
    fn judge(&mut self, words: &[u32], print: Fingerprint) {
        let broken = words[1] >> BROKEN;
        for place in bits(broken) {
            self.note_violation(self.step_at[place], print);
        }
        for aspect in 0..S::ASPECTS {
            let asked = self.asked[aspect] & !self.found;
            if asked == 0 {
                continue;
            }
            self.see(words, aspect);
            let key = fingerprint(&self.seen_as);
            let parts = self.parts;
            let mut found = 0;
            let violated = self.judged.get(key, || {
                let state = parts.seen_state(words, aspect);
                let holds = |at: &usize| (self.properties[*at].condition)(parts.world, &state);
                let holding = bits(asked).filter(holds).fold(0, |all, at| all | 1 << at);
                found = holding & self.examples;
                asked & !holding & !self.examples
            });
            self.found |= found;
            for property in bits(violated) {
                self.note_violation(property, print);
            }
        }
    }

    /// Notices a property that looks at more of a state than it is said to see: of the whole state
    /// it does not say what it says of what it sees. The first states are examined.
    fn look_twice(&mut self, words: &[u32]) {
        if self.looks >= DOUBLE_LOOKS {
            return;
        }
        self.looks += 1;
        let parts = self.parts;
        let whole = parts.state(words);
        for aspect in 0..S::ASPECTS {
            let seen = parts.seen_state(words, aspect);
            let holds = |at: usize, state| (self.properties[at].condition)(parts.world, state);
            let mut asked = bits(self.asked[aspect]);
            if let Some(at) = asked.find(|at| holds(*at, &seen) != holds(*at, &whole)) {
                let name = self.properties[at].name;
                self.shared.refute(format!(
                    "the property `{name}` looks at more of a state than `visible` and `aspect` say"
                ));
            }
        }
    }

    /// Notes the first state in which a property, if it is one to be looked at, does not hold.
    fn note_violation(&mut self, property: usize, print: Fingerprint) {
        let is_known = |(known, _): &(usize, _)| *known == property;
        if property < self.properties.len() && !self.violated.iter().any(is_known) {
            self.violated.push((property, print));
            self.shared.has_violation.store(true, Ordering::Relaxed);
        }
    }

    /// Notes what is seen of a state in an aspect: the aspect, the record, and of each actor what
    /// it shows.
    fn see(&mut self, words: &[u32], aspect: usize) {
        self.seen_as.clear();
        self.seen_as.extend_from_slice(&[aspect as u32, words[0]]);
        let (cells, notes) = (words[CELLS..].iter(), &mut self.notes);
        self.seen_as
            .extend(cells.map(|cell| notes.aspect(*cell, aspect)));
    }
}

/// A flag for an actor, which it may share with others if there are many: a flag may be up that
/// need not be.
fn flag(is_up: bool, actor: usize) -> u64 {
    u64::from(is_up) << (actor % 64)
}

/// The places of the bits that are set.
pub(super) fn bits(set: u32) -> impl Iterator<Item = usize> {
    (0..32).filter(move |at| set & 1 << at != 0)
}
