//! The inside of a node: an actor and what it has asked for, without sockets, files or a clock.
//!
//! Whoever drives a core (the event loop over UDP, or the simulator) hands it the time and the
//! messages that have arrived, makes durable what it returns, and only then sends what is in its
//! outbox. So all steps that follow from one batch of messages are one step to everybody outside:
//! either everything is durable and said, or nothing has happened.

use super::codec::Lengths;
use super::counters::Counters;
use super::error::Error;
use super::observer::{Event, Watch};
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

/// How long a random choice takes.
const CHOICE_DELAY: Range<Duration> = Duration::ZERO..Duration::from_millis(10);

/// How many messages to itself an actor handles in one batch; the others wait for the next, so
/// that an actor which talks to itself without end still listens.
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

/// What an actor saves, piece by piece.
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
    /// Starts an actor from its last save. Returns the changes that it saves.
    pub(super) fn start(
        setup: Setup<A>,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(Self, Vec<Change<A>>), Error> {
        let Setup {
            actor,
            id,
            saved,
            lengths,
            rng,
        } = setup;
        watch.before(id, now, Event::Start(&saved));
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
        core.execute(out, now, watch)?;
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
            self.on_message(from, message, now, watch)?;
            self.talk(&mut own, now, watch)?;
        }
        // Only what is due by now: a timer that is set again at once has to wait for its turn.
        for _ in 0..self.timers.due(now) {
            if let Some(timer) = self.timers.pop_due(now) {
                self.counters.timeouts += 1;
                self.on_timeout(&timer, now, watch)?;
                self.talk(&mut own, now, watch)?;
            }
        }
        for _ in 0..self.choices.due(now) {
            if let Some((_, random)) = self.choices.pop_due(now) {
                self.counters.choices += 1;
                self.on_choice(&random, now, watch)?;
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
            self.on_message(self.id, message, now, watch)?;
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        from: Id,
        message: A::Msg,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        watch.before(self.id, now, Event::Message(from.into(), &message));
        let mut out = Out::new();
        self.actor
            .on_msg(self.id, &mut self.state, from, message, &mut out);
        self.execute(out, now, watch)
    }

    fn on_timeout(
        &mut self,
        timer: &A::Timer,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        watch.before(self.id, now, Event::Timeout(timer));
        let mut out = Out::new();
        self.actor
            .on_timeout(self.id, &mut self.state, timer, &mut out);
        self.execute(out, now, watch)
    }

    fn on_choice(
        &mut self,
        random: &A::Random,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        watch.before(self.id, now, Event::Choice(random));
        let mut out = Out::new();
        self.actor
            .on_random(self.id, &mut self.state, random, &mut out);
        self.execute(out, now, watch)
    }

    /// Executes the commands of one step in their order. A step that sends before it saves is
    /// wrong even though here all of it is one batch: elsewhere, and in the models, it is not.
    fn execute(
        &mut self,
        out: Out<A>,
        now: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        watch.after(self.id, &self.state, &out);
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
