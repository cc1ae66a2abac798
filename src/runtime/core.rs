//! The core of a node: an actor, its timers and its messages, without sockets, files or a clock.
//!
//! A core gets the time and the messages that have arrived, and returns the changes to save. Its
//! messages stay in the outbox until the changes are durable: see [`super::persistent`]. So all
//! steps of a batch are one step to the outside: either the whole batch is durable and sent, or
//! nothing has happened.

use super::codec::Lengths;
use super::counters::Counters;
use super::error::Error;
use super::observer::{Event, StepObserver};
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
use std::ops::Range;
use std::time::Duration;

/// The delay of a random choice.
const CHOICE_DELAY: Range<Duration> = Duration::ZERO..Duration::from_millis(10);

/// The greatest number of messages to itself that an actor handles in a batch. The others wait for
/// the next batch, so that an actor that always sends to itself also receives.
const OWN_MAX: usize = 1024;

/// An actor that can be run: its messages can be encoded, and its storage can be saved by changes.
/// Every such actor is `Runnable`.
///
/// Messages and changes must not contain collections of a type without content, such as `Vec<()>`:
/// a few bytes can claim any number of such items, and counting them takes forever.
pub trait Runnable:
    Actor<Msg: Serialize + DeserializeOwned, Storage: Delta<Change: Send>> + 'static
{
}

impl<A: 'static> Runnable for A where
    A: Actor<Msg: Serialize + DeserializeOwned, Storage: Delta<Change: Send>>
{
}

/// A change of an actor's storage.
pub(super) type Change<A> = <<A as Actor>::Storage as Delta>::Change;

/// The parts of an actor that is about to start.
pub(super) struct Setup<A: Runnable> {
    pub(super) actor: A,
    pub(super) id: Id,
    /// The last save.
    pub(super) saved: Option<A::Storage>,
    pub(super) lengths: Lengths,
    /// The source of every random draw.
    pub(super) rng: SmallRng,
}

/// An actor that is started.
pub(super) struct Core<A: Runnable> {
    actor: A,
    id: Id,
    /// The state is always owned, so that handlers change it in place and do not clone it.
    state: Cow<'static, A::State>,
    timers: Schedule<A::Timer>,
    /// Random choices that are made but not delivered, with their keys.
    choices: Schedule<(String, A::Random)>,
    /// Messages of the actor to itself.
    inbox: VecDeque<A::Msg>,
    /// The last save, which is durable once the changes that were returned are.
    saved: Option<A::Storage>,
    /// The last save of the batch in progress.
    unsaved: Option<A::Storage>,
    pub(super) outbox: Outbox,
    counters: Counters,
    rng: SmallRng,
}

impl<A: Runnable> Core<A> {
    /// Starts an actor from its last save. Returns the changes that it saves.
    pub(super) fn start(
        setup: Setup<A>,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(Self, Vec<Change<A>>), Error> {
        let Setup {
            actor,
            id,
            saved,
            lengths,
            rng,
        } = setup;
        step_observer.before(id, now, Event::Start(&saved));
        let mut out = Out::new();
        let state = actor.on_start(id, &saved, &mut out);
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
        core.execute(out, now, step_observer)?;
        let changes = core.changes();
        Ok((core, changes))
    }

    /// Handles a batch: first the messages, then the timers and the choices that are due, and after
    /// each event the messages of the actor to itself. So a timer that a message resets does not
    /// fire, and a timer without a wait fires after all messages. Returns the changes that must be
    /// durable before a message leaves the outbox.
    ///
    /// After an error nothing of the batch may be saved or sent, and the core must not be used any
    /// more.
    pub(super) fn step(
        &mut self,
        now: Duration,
        messages: &mut Vec<(Id, A::Msg)>,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<Vec<Change<A>>, Error> {
        self.counters.batches += 1;
        let mut own = OWN_MAX;
        self.run_own(&mut own, now, step_observer)?;
        self.counters.messages_received += messages.len() as u64;
        for (from, message) in messages.drain(..) {
            self.on_message(from, message, now, step_observer)?;
            self.run_own(&mut own, now, step_observer)?;
        }
        // A timer that is set again and due at once waits for the next batch.
        for _ in 0..self.timers.due(now) {
            if let Some(timer) = self.timers.pop_due(now) {
                self.counters.timeouts += 1;
                self.on_timeout(&timer, now, step_observer)?;
                self.run_own(&mut own, now, step_observer)?;
            }
        }
        for _ in 0..self.choices.due(now) {
            if let Some((_, random)) = self.choices.pop_due(now) {
                self.counters.choices += 1;
                self.on_choice(&random, now, step_observer)?;
                self.run_own(&mut own, now, step_observer)?;
            }
        }
        Ok(self.changes())
    }

    /// Returns the time of the next event if no message arrives; zero means at once.
    pub(super) fn next(&self) -> Option<Duration> {
        if !self.inbox.is_empty() {
            return Some(Duration::ZERO);
        }
        let times = [self.timers.next(), self.choices.next()];
        times.into_iter().flatten().min()
    }

    /// Returns the last save, which is durable once the changes that were returned are.
    pub(super) fn saved(&self) -> Option<&A::Storage> {
        self.saved.as_ref()
    }

    pub(super) fn state(&self) -> &A::State {
        &self.state
    }

    /// Takes the actor out, so that it can be started again. Its state is lost.
    pub(super) fn into_actor(self) -> A {
        self.actor
    }

    /// Returns the counts of the actor's steps and of its messages.
    pub(super) fn counters(&self) -> Counters {
        Counters::sum([&self.counters, &self.outbox.counters])
    }

    /// Handles the messages of the actor to itself, but not more than are left to the batch.
    fn run_own(
        &mut self,
        left: &mut usize,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        while *left > 0
            && let Some(message) = self.inbox.pop_front()
        {
            *left -= 1;
            self.counters.own += 1;
            self.on_message(self.id, message, now, step_observer)?;
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        from: Id,
        message: A::Msg,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        step_observer.before(self.id, now, Event::Message(from.into(), &message));
        let mut out = Out::new();
        self.actor
            .on_msg(self.id, &mut self.state, from, message, &mut out);
        self.execute(out, now, step_observer)
    }

    fn on_timeout(
        &mut self,
        timer: &A::Timer,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        step_observer.before(self.id, now, Event::Timeout(timer));
        let mut out = Out::new();
        self.actor
            .on_timeout(self.id, &mut self.state, timer, &mut out);
        self.execute(out, now, step_observer)
    }

    fn on_choice(
        &mut self,
        random: &A::Random,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        step_observer.before(self.id, now, Event::Choice(random));
        let mut out = Out::new();
        self.actor
            .on_random(self.id, &mut self.state, random, &mut out);
        self.execute(out, now, step_observer)
    }

    /// Executes the commands of one step in their order. A step that sends before it saves is
    /// refused, although it would do no harm in a batch: in the models a step is not in a batch.
    fn execute(
        &mut self,
        out: Out<A>,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        step_observer.after(self.id, &self.state, &out);
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

    /// Makes a choice, and delivers it later. It replaces a choice with the same key that is not
    /// delivered yet. Without options there is no choice.
    fn choose(&mut self, key: String, options: &[A::Random], now: Duration) {
        self.choices.remove(|(set, _)| *set == key);
        if let Some(random) = options.choose(&mut self.rng) {
            let item = (key, random.clone());
            let after = draw(&mut self.rng, CHOICE_DELAY);
            self.choices.add(now, after, item);
        }
    }

    /// Takes the changes of the batch, from its last save.
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

/// Creates the random number generator of a node. It depends on the id, because nodes with the same
/// seed must not draw the same timeouts.
pub(super) fn rng_of(seed: u64, id: Id) -> SmallRng {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let salt = (usize::from(id) as u64).wrapping_mul(ODD);
    SmallRng::seed_from_u64(seed ^ salt)
}

#[cfg(test)]
mod tests;
