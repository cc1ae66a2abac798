//! One node: an actor, its state, and the event loop that drives it.

use super::codec::Codec;
use super::counters::Counters;
use super::error::Error;
use super::faults::{Faults, Injector};
use super::handle::Stop;
use super::link::{Book, Link};
use super::storage::Storage;
use super::timer::{Schedule, draw};
use crate::delta::Delta;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The longest time a node waits for a datagram, and so about the time it takes to stop.
const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// How long a random choice takes.
const CHOICE_DELAY: Range<Duration> = Duration::ZERO..Duration::from_millis(10);

/// What an actor needs to run on a [`Node`]: messages and storage that can be encoded. Every actor
/// that has this is `Runnable`.
///
/// Messages must not contain collections of a type without content, such as `Vec<()>`: a few bytes
/// can claim any number of such items, and counting them takes forever.
pub trait Runnable:
    Actor<Msg: Serialize + DeserializeOwned, Storage: Delta + Serialize + DeserializeOwned> + 'static
{
}

impl<A> Runnable for A where
    A: Actor<Msg: Serialize + DeserializeOwned, Storage: Delta + Serialize + DeserializeOwned>
        + 'static
{
}

/// How a node is set up. [`NodeConfig::new`] gives a node that knows nobody and keeps nothing; the
/// fields say the rest.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The id of the node: a small index, the same that the actor has in a model.
    pub id: Id,
    /// Nodes take notice of datagrams and storage of their own cluster only. 0 by default.
    pub cluster: u64,
    /// The socket of the node, bound. IPv4 or IPv6; one bound to `[::]` serves both.
    pub socket: UdpSocket,
    /// Where the others are, by id. Their datagrams must come from exactly there. An entry for the
    /// node itself is ignored, so that one map can serve all. Empty by default.
    pub peers: BTreeMap<Id, SocketAddr>,
    /// Ids (of clients, say) that may send from anywhere, unless they are `peers`. The node answers
    /// to where an id last sent from, and so remembers at most as many addresses as there are ids
    /// in this range. Empty by default.
    pub dynamic: Range<usize>,
    /// The file that keeps what the actor saves. `NAME.lock` and `NAME.tmp` beside it are used as
    /// well. The directory must exist. `None`, the default, is for actors that never save.
    pub storage: Option<PathBuf>,
    /// What is done to outgoing datagrams. Nothing by default.
    pub faults: Faults,
    /// Determines, together with the id, every random draw of the node. 0 by default.
    pub seed: u64,
}

impl NodeConfig {
    /// The configuration of a node with nothing but an id and a bound socket.
    pub fn new(id: Id, socket: UdpSocket) -> Self {
        NodeConfig {
            id,
            cluster: 0,
            socket,
            peers: BTreeMap::new(),
            dynamic: 0..0,
            storage: None,
            faults: Faults::default(),
            seed: 0,
        }
    }
}

/// What an actor reacts to.
enum Event<A: Actor> {
    Message(Id, A::Msg),
    Timeout(A::Timer),
    Choice(A::Random),
}

/// An actor that has been started on a socket.
pub struct Node<A: Runnable> {
    actor: A,
    id: Id,
    /// Always owned, so that handlers change it in place instead of cloning it.
    state: Cow<'static, A::State>,
    timers: Schedule<A::Timer>,
    /// Random choices, already made, by their keys.
    choices: Schedule<(String, A::Random)>,
    /// What the actor has sent to itself.
    inbox: VecDeque<A::Msg>,
    link: Link,
    storage: Option<Storage>,
    rng: SmallRng,
    counters: Counters,
}

impl<A: Runnable> Node<A> {
    /// Opens the storage, starts the actor with what it saved last, and executes what it commands.
    ///
    /// # Errors
    ///
    /// If the storage is damaged, in use or unreadable ([`Error::Damaged`], [`Error::Locked`],
    /// [`Error::File`]), if the socket is unusable ([`Error::Socket`]), and what
    /// [`run`](Node::run) returns.
    pub fn start(actor: A, config: NodeConfig) -> Result<Self, Error> {
        let id = config.id;
        let (storage, saved) = match &config.storage {
            Some(path) => {
                let (storage, saved) = Storage::open(path, config.cluster, id)?;
                (Some(storage), saved)
            }
            None => (None, None),
        };
        let v6 = config.socket.local_addr().map_err(Error::Socket)?.is_ipv6();
        let mut rng = rng_of(config.seed, id);
        let link = Link::new(
            config.socket,
            Codec::new(config.cluster, id),
            Book::new(id, config.peers, config.dynamic, v6),
            Injector::new(config.faults, SmallRng::from_rng(&mut rng)),
        );
        let mut out = Out::new();
        let state = actor.on_start(id, &saved, &mut out);
        let mut node = Node {
            actor,
            id,
            state: Cow::Owned(state),
            timers: Schedule::new(),
            choices: Schedule::new(),
            inbox: VecDeque::new(),
            link,
            storage,
            rng,
            counters: Counters::default(),
        };
        node.execute(out)?;
        Ok(node)
    }

    /// Drives the actor until `stop` says so, which takes about 10 ms. Then everything but what was
    /// saved is lost at once, as in a crash.
    ///
    /// The observer sees the state after the start and after every step (whether or not the step
    /// changed it: to tell would take a copy). What the step saved is durable by then.
    ///
    /// # Errors
    ///
    /// The node stops, and sends nothing of the step in question, if a save fails
    /// ([`Error::File`], [`Error::Unencodable`], [`Error::NoStorage`]) or if the actor sends before
    /// it saves ([`Error::SendBeforeSave`]). Nothing that arrives is an error.
    pub fn run(
        mut self,
        stop: &Stop,
        mut observer: impl FnMut(&A::State),
    ) -> Result<Counters, Error> {
        observer(&self.state);
        while !stop.is_stopped() {
            self.turn(&mut observer)?;
        }
        Ok(self.counters)
    }

    /// Takes at most one event from each source, so that none starves another; of its own messages
    /// all that wait, because one datagram may give rise to several.
    fn turn(&mut self, observer: &mut impl FnMut(&A::State)) -> Result<(), Error> {
        let now = Instant::now();
        self.link.release(now, &mut self.counters);
        if let Some(timer) = self.timers.pop_due(now) {
            self.counters.timeouts += 1;
            self.step(Event::Timeout(timer), observer)?;
        }
        if let Some((_, random)) = self.choices.pop_due(now) {
            self.counters.choices += 1;
            self.step(Event::Choice(random), observer)?;
        }
        for _ in 0..self.inbox.len() {
            if let Some(message) = self.inbox.pop_front() {
                self.counters.own += 1;
                self.step(Event::Message(self.id, message), observer)?;
            }
        }
        let wait = self.wait();
        if let Some((source, message)) = self.link.receive(wait, &mut self.counters) {
            self.step(Event::Message(source, message), observer)?;
        }
        Ok(())
    }

    /// How long there is nothing to do but to receive.
    fn wait(&self) -> Duration {
        if !self.inbox.is_empty() {
            return Duration::ZERO;
        }
        [
            self.timers.next(),
            self.choices.next(),
            self.link.next_release(),
        ]
        .into_iter()
        .flatten()
        .map(|at| at.saturating_duration_since(Instant::now()))
        .fold(LONGEST_WAIT, Duration::min)
    }

    fn step(&mut self, event: Event<A>, observer: &mut impl FnMut(&A::State)) -> Result<(), Error> {
        let mut out = Out::new();
        let (actor, id, state) = (&self.actor, self.id, &mut self.state);
        match event {
            Event::Message(source, message) => actor.on_msg(id, state, source, message, &mut out),
            Event::Timeout(timer) => actor.on_timeout(id, state, &timer, &mut out),
            Event::Choice(random) => actor.on_random(id, state, &random, &mut out),
        }
        self.execute(out)?;
        observer(&self.state);
        Ok(())
    }

    /// Executes the commands of one step in their order. Because no save comes after a send, each
    /// message leaves only when everything the step saves is durable.
    fn execute(&mut self, out: Out<A>) -> Result<(), Error> {
        if sends_before_it_saves(&out) {
            let node = self.id.into();
            return Err(Error::SendBeforeSave { node });
        }
        for command in out {
            match command {
                Command::Save(value) => self.save(&value)?,
                Command::Send(to, message) if to == self.id => self.inbox.push_back(message),
                Command::Send(to, message) => self.link.send(to, &message, &mut self.counters),
                Command::SetTimer(timer, range) => {
                    self.timers.remove(|set| *set == timer);
                    let after = draw(&mut self.rng, range);
                    self.timers.add(Instant::now(), after, timer);
                }
                Command::CancelTimer(timer) => self.timers.remove(|set| *set == timer),
                Command::ChooseRandom(key, options) => self.choose(key, &options),
            }
        }
        Ok(())
    }

    fn save(&mut self, value: &A::Storage) -> Result<(), Error> {
        let node = self.id.into();
        let storage = self.storage.as_mut().ok_or(Error::NoStorage { node })?;
        if storage.save(value)? {
            self.counters.saves += 1;
        } else {
            self.counters.saves_unchanged += 1;
        }
        Ok(())
    }

    /// Makes a choice and delivers it later. One with the same key that is still to come is
    /// replaced; no options, no choice.
    fn choose(&mut self, key: String, options: &[A::Random]) {
        self.choices.remove(|(set, _)| *set == key);
        if let Some(random) = options.choose(&mut self.rng) {
            let item = (key, random.clone());
            let after = draw(&mut self.rng, CHOICE_DELAY);
            self.choices.add(Instant::now(), after, item);
        }
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
fn rng_of(seed: u64, id: Id) -> SmallRng {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let salt = (usize::from(id) as u64).wrapping_mul(ODD);
    SmallRng::seed_from_u64(seed ^ salt)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
