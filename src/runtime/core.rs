//! The inside of a node: an actor and what it has asked for, without sockets, files or a clock.
//!
//! Whoever drives a core (the event loop over UDP, or the simulator) hands it the time and the
//! messages that have arrived, makes durable what it returns, and only then sends what is in its
//! outbox. So all steps that follow from one batch of messages are one step to everybody outside:
//! either everything is durable and said, or nothing has happened.

use super::codec::Lengths;
use super::counters::Counters;
use super::error::Error;
use super::outbox::Outbox;
use super::timer::{Schedule, draw};
use crate::delta::Delta;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// How long a random choice takes.
const CHOICE_DELAY: Range<Duration> = Duration::ZERO..Duration::from_millis(10);

/// How many messages to itself an actor handles in one batch; the others wait for the next, so
/// that an actor which talks to itself without end still listens.
const OWN_MAX: usize = 1024;

/// What an actor needs to be run: messages that can be encoded, and storage that can be saved by
/// what changed. Every actor that has this is `Runnable`.
///
/// Messages and changes must not contain collections of a type without content, such as `Vec<()>`:
/// a few bytes can claim any number of such items, and counting them takes forever.
pub trait Runnable: Actor<Msg: Serialize + DeserializeOwned, Storage: Delta> + 'static {}

impl<A: 'static> Runnable for A where A: Actor<Msg: Serialize + DeserializeOwned, Storage: Delta> {}

/// What an actor saves, piece by piece.
pub(super) type Change<A> = <<A as Actor>::Storage as Delta>::Change;

/// What an actor reacts to.
pub enum Event<'a, A: Actor> {
    /// It starts, with what it saved last.
    Start(&'a Option<A::Storage>),
    /// A message arrives, perhaps from itself.
    Message(Id, &'a A::Msg),
    /// A timer fires.
    Timeout(&'a A::Timer),
    /// A random choice has been made.
    Choice(&'a A::Random),
}

impl<A: Actor> fmt::Debug for Event<'_, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Start(saved) => f.debug_tuple("Start").field(saved).finish(),
            Event::Message(from, message) => {
                let mut tuple = f.debug_tuple("Message");
                tuple.field(from).field(message).finish()
            }
            Event::Timeout(timer) => f.debug_tuple("Timeout").field(timer).finish(),
            Event::Choice(random) => f.debug_tuple("Choice").field(random).finish(),
        }
    }
}

/// Looks on while an actor runs: every step, as it is taken, and every state that is durable.
///
/// What an actor comes to in a step may be undone by a crash until it is durable; a decision, say,
/// that rests on a vote which is lost. So whoever acts upon what a node says of itself, or judges
/// it, must look at what is [`durable`](Watch::durable). A closure that takes an id and a state is
/// called for these.
pub trait Watch<A: Actor> {
    /// An event is about to be handled, at a time since whatever moment the driver counts from.
    fn before(&mut self, node: Id, now: Duration, event: &Event<'_, A>) {
        let _ = (node, now, event);
    }

    /// The event led to a state and commands. None of them has been executed, and nothing of it is
    /// durable: this is to watch, not to act upon.
    fn after(&mut self, node: Id, state: &A::State, commands: &Out<A>) {
        let _ = (node, state, commands);
    }

    /// What all steps so far have saved is durable, and their messages are about to leave. Called
    /// after the start and after every batch of steps, whether or not they saved anything.
    ///
    /// # Errors
    ///
    /// An error stops the node, before anything leaves.
    fn durable(&mut self, node: Id, state: &A::State) -> Result<(), Error> {
        let _ = (node, state);
        Ok(())
    }
}

/// Looks away.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl<A: Actor> Watch<A> for Unwatched {}

impl<A: Actor, F: FnMut(Id, &A::State)> Watch<A> for F {
    fn durable(&mut self, node: Id, state: &A::State) -> Result<(), Error> {
        self(node, state);
        Ok(())
    }
}

/// Looks on if there is somebody.
impl<A: Actor, W: Watch<A>> Watch<A> for Option<W> {
    fn before(&mut self, node: Id, now: Duration, event: &Event<'_, A>) {
        if let Some(watch) = self {
            watch.before(node, now, event);
        }
    }

    fn after(&mut self, node: Id, state: &A::State, commands: &Out<A>) {
        if let Some(watch) = self {
            watch.after(node, state, commands);
        }
    }

    fn durable(&mut self, node: Id, state: &A::State) -> Result<(), Error> {
        match self {
            Some(watch) => watch.durable(node, state),
            None => Ok(()),
        }
    }
}

/// Something that has happened, to be handled.
enum Happened<A: Actor> {
    Message(Id, A::Msg),
    Timeout(A::Timer),
    Choice(A::Random),
}

/// An actor that has been started.
pub(super) struct Core<A: Runnable> {
    actor: A,
    id: Id,
    /// Always owned, so that handlers change it in place instead of cloning it.
    state: Cow<'static, A::State>,
    timers: Schedule<A::Timer>,
    /// Random choices, already made, by their keys.
    choices: Schedule<(String, A::Random)>,
    /// What the actor has sent to itself.
    inbox: VecDeque<A::Msg>,
    /// What is durable, as soon as the driver has made the changes so that were returned last.
    saved: Option<A::Storage>,
    /// What the batch has saved last.
    unsaved: Option<A::Storage>,
    pub(super) outbox: Outbox,
    counters: Counters,
    rng: SmallRng,
}

impl<A: Runnable> Core<A> {
    /// An actor that is about to be started with what it saved last. The seed determines, together
    /// with the id, every random draw.
    pub(super) fn start(
        actor: A,
        id: Id,
        saved: Option<A::Storage>,
        lengths: Lengths,
        rng: SmallRng,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(Self, Vec<Change<A>>), Error> {
        let mut out = Out::new();
        watch.before(id, now, &Event::Start(&saved));
        let state = actor.on_start(id, &saved, &mut out);
        watch.after(id, &state, &out);
        let mut core = Core {
            actor,
            id,
            state: Cow::Owned(state),
            timers: Schedule::new(),
            choices: Schedule::new(),
            inbox: VecDeque::new(),
            saved,
            unsaved: None,
            outbox: Outbox::new(lengths),
            counters: Counters::default(),
            rng,
        };
        core.execute(out, now)?;
        let changes = core.changes();
        Ok((core, changes))
    }

    /// Handles what has arrived and what is due, in this order, and messages to itself as they
    /// arise. So a timer that is put off by what has arrived does not fire, and one that is set
    /// without a wait fires once all of that is handled. Returns what must be made durable before
    /// anything leaves the outbox.
    ///
    /// After an error nothing of the batch may be saved or sent, and the core must not be used any
    /// more.
    pub(super) fn step(
        &mut self,
        now: Duration,
        messages: &mut Vec<(Id, A::Msg)>,
        watch: &mut impl Watch<A>,
    ) -> Result<Vec<Change<A>>, Error> {
        self.counters.batches += 1;
        let mut own = OWN_MAX;
        self.talk(&mut own, now, watch)?;
        self.counters.messages_received += messages.len() as u64;
        for (from, message) in messages.drain(..) {
            self.react(Happened::Message(from, message), now, watch)?;
            self.talk(&mut own, now, watch)?;
        }
        // Only what is due by now: a timer that is set again at once has to wait for its turn.
        for _ in 0..self.timers.due(now) {
            if let Some(timer) = self.timers.pop_due(now) {
                self.counters.timeouts += 1;
                self.react(Happened::Timeout(timer), now, watch)?;
                self.talk(&mut own, now, watch)?;
            }
        }
        for _ in 0..self.choices.due(now) {
            if let Some((_, random)) = self.choices.pop_due(now) {
                self.counters.choices += 1;
                self.react(Happened::Choice(random), now, watch)?;
                self.talk(&mut own, now, watch)?;
            }
        }
        Ok(self.changes())
    }

    /// When there is something to do even if nothing arrives; zero stands for at once.
    pub(super) fn next(&self) -> Option<Duration> {
        if !self.inbox.is_empty() {
            return Some(Duration::ZERO);
        }
        let times = [self.timers.next(), self.choices.next()];
        times.into_iter().flatten().min()
    }

    /// What is durable, as soon as the changes are that were returned last.
    pub(super) fn saved(&self) -> Option<&A::Storage> {
        self.saved.as_ref()
    }

    pub(super) fn state(&self) -> &A::State {
        &self.state
    }

    /// The actor, to be started again; its state is lost.
    pub(super) fn into_actor(self) -> A {
        self.actor
    }

    /// The counts of the actor's steps and of its messages.
    pub(super) fn counters(&self) -> Counters {
        Counters::sum([&self.counters, self.outbox.counters()])
    }

    /// Handles the messages to itself that wait, up to a number that is counted down.
    fn talk(
        &mut self,
        left: &mut usize,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        while *left > 0
            && let Some(message) = self.inbox.pop_front()
        {
            *left -= 1;
            self.counters.own += 1;
            self.react(Happened::Message(self.id, message), now, watch)?;
        }
        Ok(())
    }

    fn react(
        &mut self,
        happened: Happened<A>,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        let mut out = Out::new();
        let (actor, id, state) = (&self.actor, self.id, &mut self.state);
        match happened {
            Happened::Message(from, message) => {
                watch.before(id, now, &Event::Message(from, &message));
                actor.on_msg(id, state, from, message, &mut out);
            }
            Happened::Timeout(timer) => {
                watch.before(id, now, &Event::Timeout(&timer));
                actor.on_timeout(id, state, &timer, &mut out);
            }
            Happened::Choice(random) => {
                watch.before(id, now, &Event::Choice(&random));
                actor.on_random(id, state, &random, &mut out);
            }
        }
        watch.after(id, &self.state, &out);
        self.execute(out, now)
    }

    /// Executes the commands of one step in their order. A step that sends before it saves is
    /// wrong even though here all of it is one batch: elsewhere, and in the models, it is not.
    fn execute(&mut self, out: Out<A>, now: Duration) -> Result<(), Error> {
        if sends_before_it_saves(&out) {
            let node = self.id.into();
            return Err(Error::SendBeforeSave { node });
        }
        for command in out {
            match command {
                Command::Save(value) => self.unsaved = Some(value),
                Command::Send(to, message) if to == self.id => self.inbox.push_back(message),
                Command::Send(to, message) => self.outbox.push(to, &message),
                Command::SetTimer(timer, range) => {
                    self.timers.remove(|set| *set == timer);
                    let after = draw(&mut self.rng, range);
                    self.timers.add(now, after, timer);
                }
                Command::CancelTimer(timer) => self.timers.remove(|set| *set == timer),
                Command::ChooseRandom(key, options) => self.choose(key, &options, now),
            }
        }
        Ok(())
    }

    /// Makes a choice and delivers it later. One with the same key that is still to come is
    /// replaced; no options, no choice.
    fn choose(&mut self, key: String, options: &[A::Random], now: Duration) {
        self.choices.remove(|(set, _)| *set == key);
        if let Some(random) = options.choose(&mut self.rng) {
            let item = (key, random.clone());
            let after = draw(&mut self.rng, CHOICE_DELAY);
            self.choices.add(now, after, item);
        }
    }

    /// What the batch has changed of what is durable: of all saves only the last one counts.
    fn changes(&mut self) -> Vec<Change<A>> {
        let Some(saved) = self.unsaved.take() else {
            return Vec::new();
        };
        let changes = saved.changes(self.saved.as_ref());
        match changes.len() {
            0 => self.counters.saves_unchanged += 1,
            _ => self.counters.saves += 1,
        }
        self.saved = Some(saved);
        changes
    }
}

fn sends_before_it_saves<A: Actor>(out: &Out<A>) -> bool {
    let is_send = |command: &Command<_, _, _, _>| matches!(command, Command::Send(..));
    let is_save = |command: &Command<_, _, _, _>| matches!(command, Command::Save(_));
    out.iter()
        .skip_while(|command| !is_send(command))
        .any(is_save)
}

/// Nodes that are given the same seed must not draw the same timeouts, hence the id.
pub(super) fn rng_of(seed: u64, id: Id) -> SmallRng {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let salt = (usize::from(id) as u64).wrapping_mul(ODD);
    SmallRng::seed_from_u64(seed ^ salt)
}

#[cfg(test)]
mod tests;
