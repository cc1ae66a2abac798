//! A node: the event loop that connects an actor and its log to a socket.

use super::address_book::AddressBook;
use super::codec::{Codec, Frame, Key, LIMIT_MIN, Lengths, MAX_DATAGRAM};
use super::core::{Runnable, Setup, rng_of};
use super::counters::Counters;
use super::endpoint::Endpoint;
use super::error::Error;
use super::faults::{Faults, Injector};
use super::file_system::Directory;
use super::log::{Log, Recovered, Sizes, TornTail};
use super::observer::{NoObserver, StepObserver};
use super::persistent::{Persistent, Saves};
use super::socket::{LONGEST_WAIT, Socket, wait_for_any};
use super::stop::Stop;
use rand::SeedableRng;
use rand::rngs::SmallRng;
use stateright::actor::Id;
use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};
use std::ops::Range;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The configuration of a node. [`NodeConfig::new`] configures a node without peers and without
/// storage.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The id of the node: the small index that the actor has in a model.
    pub id: Id,
    /// The number of the cluster. A node drops datagrams and refuses logs of other clusters. 0 by
    /// default.
    pub cluster: u64,
    /// The bound socket of the node, IPv4 or IPv6. A socket bound to `[::]` serves both.
    pub socket: UdpSocket,
    /// The addresses of the other nodes, from which their datagrams must come. An entry for the
    /// node itself is ignored, so that all nodes can share a map. Empty by default.
    pub peers: BTreeMap<Id, SocketAddr>,
    /// Ids, for example of clients, that may send from any address, unless they are `peers`. The
    /// node answers to the address from which an id sent last, and forgets it after about 32,768
    /// other ids have sent. So the range may be large. Empty by default.
    pub dynamic: Range<usize>,
    /// The key that authenticates datagrams. With `None`, the default, they have checksums, which
    /// detect accidents but no attacks.
    pub key: Option<Key>,
    /// The directory of the node's log, which no other node may use. It is created if its parent
    /// exists. `None`, the default, is for actors that never save.
    pub storage: Option<PathBuf>,
    /// Drops the actor's saves if there is no directory, for nodes that are never started again, as
    /// in a benchmark. By default, a node that saves and has no directory stops.
    pub forgets: bool,
    /// The greatest length in bytes of a datagram that messages share. 1,400 by default, which
    /// nearly every network transports without fragmentation. More is faster between nodes on one
    /// machine, or with jumbo frames. A longer message gets its own datagram, which the network
    /// fragments. A message too long for [`MAX_DATAGRAM`] is never sent: see
    /// [`Counters::oversized`].
    pub datagram_max: usize,
    /// The greatest number of messages in a datagram. By default as many as fit. With one, each
    /// message gets its own datagram, which is slower.
    pub messages_max: usize,
    /// The size of the socket's receive buffer in bytes, as far as the system allows it. 8 MiB by
    /// default.
    pub receive_buffer: usize,
    /// The time that the node polls its socket before it blocks. Zero by default. Some tens of
    /// microseconds save the wake-up if a processor is free, and cost time if none is.
    pub spin: Duration,
    /// The faults of outgoing datagrams. None by default.
    pub faults: Faults,
    /// The seed that determines, together with the id, every random draw of the node. 0 by default.
    pub seed: u64,
}

impl NodeConfig {
    /// Configures a node with an id and a bound socket.
    pub fn new(id: Id, socket: UdpSocket) -> Self {
        NodeConfig {
            id,
            cluster: 0,
            socket,
            peers: BTreeMap::new(),
            dynamic: 0..0,
            key: None,
            storage: None,
            forgets: false,
            datagram_max: 1400,
            messages_max: usize::MAX,
            receive_buffer: 8 << 20,
            spin: Duration::ZERO,
            faults: Faults::default(),
            seed: 0,
        }
    }

    fn open_log<A: Runnable>(&self) -> Result<(Saves<Directory>, Recovered<A::Storage>), Error> {
        let nothing = Recovered {
            state: None,
            torn_tail: None,
        };
        match &self.storage {
            Some(path) => {
                let directory = Directory::open(path)?;
                let opened = Log::open(directory, Sizes::default(), self.cluster, self.id);
                opened.map(|(log, recovered)| (Saves::Log(Box::new(log)), recovered))
            }
            None if self.forgets => Ok((Saves::Dropped, nothing)),
            None => Ok((Saves::Refused, nothing)),
        }
    }
}

/// An actor that has been started on a socket.
pub struct Node<A: Runnable, W: StepObserver<A> = NoObserver> {
    actor: Persistent<A, Directory>,
    endpoint: Endpoint,
    torn_tail: Option<TornTail>,
    step_observer: W,
    spin: Duration,
    /// The moment at which the actor's time is zero.
    start: Instant,
    id: Id,
    /// Buffers for the messages of a batch, and for the datagrams that follow from it.
    messages: Vec<(Id, A::Msg)>,
    frames: Vec<Frame>,
}

impl<A: Runnable> Node<A> {
    /// Opens the log, starts the actor from its last save, and executes its commands.
    ///
    /// # Errors
    ///
    /// [`Error::Damaged`], [`Error::Locked`] and [`Error::File`] if the log is damaged, in use or
    /// unreadable; [`Error::Socket`] if the socket is unusable; [`Error::DatagramMax`] if
    /// `datagram_max` is too small or too large; and the errors of [`run`](Node::run).
    pub fn start(actor: A, config: NodeConfig) -> Result<Self, Error> {
        Self::start_observed(actor, config, NoObserver)
    }
}

impl<A: Runnable, W: StepObserver<A>> Node<A, W> {
    /// Starts a node like [`Node::start`], with an observer, who also sees the first step.
    ///
    /// # Errors
    ///
    /// The errors of [`Node::start`].
    pub fn start_observed(
        actor: A,
        config: NodeConfig,
        mut step_observer: W,
    ) -> Result<Self, Error> {
        let id = config.id;
        let (given, limits) = (config.datagram_max, LIMIT_MIN..=MAX_DATAGRAM);
        if !limits.contains(&given) {
            return Err(Error::DatagramMax { given });
        }
        let (saves, recovered) = config.open_log::<A>()?;
        let is_ipv6 = config.socket.local_addr().map_err(Error::Socket)?.is_ipv6();
        let mut rng = rng_of(config.seed, id);
        let codec = Codec::new(config.cluster, id, config.key);
        let lengths = Lengths {
            messages: config.messages_max,
            ..codec.lengths(given)
        };
        let socket = Socket::new(config.socket, config.receive_buffer);
        let book = AddressBook::new(id, config.peers, config.dynamic, is_ipv6);
        let injector = Injector::new(config.faults, SmallRng::from_rng(&mut rng));
        let endpoint = Endpoint::new(socket.map_err(Error::Socket)?, codec, book, injector);
        let setup = Setup {
            actor,
            id,
            saved: recovered.state,
            lengths,
            rng,
        };
        let mut node = Node {
            actor: Persistent::start(setup, saves, Duration::ZERO, &mut step_observer)?,
            endpoint,
            torn_tail: recovered.torn_tail,
            step_observer,
            spin: config.spin,
            start: Instant::now(),
            id,
            messages: Vec::new(),
            frames: Vec::new(),
        };
        node.commit()?;
        Ok(node)
    }

    /// Returns the torn record that was cut off the log when the node started. Its save was not
    /// complete when the node was killed, so no message had followed from it.
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn_tail.as_ref()
    }

    /// Runs the actor until about 10 ms after `stop` is set. Then the node loses everything but its
    /// saves, as in a crash.
    ///
    /// The observer sees the state after the start and after every batch of steps, when their saves
    /// are durable. It also sees states that did not change, because a comparison takes a copy.
    ///
    /// # Errors
    ///
    /// The node stops, and sends nothing of the last batch, if a save fails ([`Error::File`],
    /// [`Error::Unencodable`], [`Error::NoStorage`]) or if the actor sends before it saves
    /// ([`Error::SendBeforeSave`]). No datagram causes an error.
    pub fn run(self, stop: &Stop, mut observer: impl FnMut(&A::State)) -> Result<Counters, Error> {
        self.run_counted(stop, &mut observer, |_| {})
    }

    /// Runs the actor like [`Node::run`], and publishes the counters from time to time.
    pub(super) fn run_counted(
        mut self,
        stop: &Stop,
        observer: &mut impl FnMut(&A::State),
        mut publish: impl FnMut(&Counters),
    ) -> Result<Counters, Error> {
        observer(self.actor.core().state());
        let mut published = Duration::ZERO;
        while !stop.is_stopped() {
            self.receive();
            self.handle(observer)?;
            let now = self.start.elapsed();
            if now >= published + PUBLISH_EVERY {
                publish(&self.counters());
                published = now;
            }
        }
        let counters = self.counters();
        publish(&counters);
        Ok(counters)
    }

    /// Adds up the counts of the node's parts.
    fn counters(&self) -> Counters {
        Counters::sum([&self.actor.counters(), &self.endpoint.counters()])
    }

    /// Handles all events as one batch. Returns whether there were any.
    fn handle(&mut self, observer: &mut impl FnMut(&A::State)) -> Result<bool, Error> {
        let now = self.start.elapsed();
        self.endpoint.send_delayed(now);
        let is_due = self.actor.core().next().is_some_and(|next| next <= now);
        if self.messages.is_empty() && !is_due {
            return Ok(false);
        }
        self.actor
            .step(now, &mut self.messages, &mut self.step_observer)?;
        self.commit()?;
        observer(self.actor.core().state());
        Ok(true)
    }

    /// Returns the time until which the node only has to receive.
    fn next(&self, now: Duration) -> Duration {
        let next = [self.actor.core().next(), self.endpoint.next_delayed()];
        let next = next.into_iter().flatten().min();
        next.unwrap_or(now + 2 * LONGEST_WAIT)
    }

    /// Takes the messages that have arrived. Waits for them if there is nothing else to do.
    fn receive(&mut self) {
        let mut now = self.start.elapsed();
        let until = self.next(now);
        let spins_until = until.min(now + self.spin);
        while now < spins_until && self.messages.is_empty() {
            self.drain();
            now = self.start.elapsed();
        }
        if now < until && self.messages.is_empty() {
            self.endpoint.wait(until - now, &mut self.messages);
        }
        self.drain();
    }

    fn drain(&mut self) {
        self.endpoint.drain(&mut self.messages);
    }

    /// Makes a batch durable, and sends its messages.
    fn commit(&mut self) -> Result<(), Error> {
        self.actor.release(&mut self.step_observer)?;
        self.actor.take(&mut self.frames);
        if !self.frames.is_empty() {
            let now = self.start.elapsed();
            self.endpoint.send(now, &mut self.frames);
            for frame in self.frames.drain(..) {
                self.actor.recycle(frame.datagram);
            }
        }
        self.actor.compact()
    }
}

/// Runs several nodes on this thread until `stop` is set, or until one of them fails. Then all of
/// them lose everything but their saves. With more nodes than processors this is faster than a
/// thread for each.
///
/// The observer also gets the id of the node; otherwise it is that of [`Node::run`]. Returns the
/// counters in the order of the nodes.
///
/// # Errors
///
/// The errors of [`Node::run`].
pub fn run_together<A: Runnable, W: StepObserver<A>>(
    mut nodes: Vec<Node<A, W>>,
    stop: &Stop,
    mut observer: impl FnMut(Id, &A::State),
) -> Result<Vec<Counters>, Error> {
    for node in &nodes {
        observer(node.id, node.actor.core().state());
    }
    while !stop.is_stopped() {
        let mut is_busy = false;
        let mut wait = LONGEST_WAIT;
        for node in &mut nodes {
            let id = node.id;
            node.drain();
            is_busy |= node.handle(&mut |state| observer(id, state))?;
            let now = node.start.elapsed();
            wait = wait.min(node.next(now).saturating_sub(now));
        }
        if !is_busy && !wait.is_zero() {
            wait_for_any(nodes.iter().map(|node| &node.endpoint.socket), wait);
        }
    }
    Ok(nodes.iter().map(Node::counters).collect())
}

/// The interval at which a running node publishes its counters.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
