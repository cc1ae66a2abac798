//! One node: a core, and the event loop that connects it to a socket and a log.

use super::address_book::Book;
use super::codec::{Codec, Frame, Key, LIMIT_MIN, Lengths, MAX_DATAGRAM};
use super::core::{Runnable, Setup, rng_of};
use super::counters::Counters;
use super::endpoint::Link;
use super::error::Error;
use super::faults::{Faults, Injector};
use super::log::{Cut, Log, Recovered, Sizes};
use super::medium::Directory;
use super::observer::{Unwatched, Watch};
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

/// How a node is set up. [`NodeConfig::new`] gives a node that knows nobody and keeps nothing; the
/// fields say the rest.
#[derive(Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The id of the node: a small index, the same that the actor has in a model.
    pub id: Id,
    /// Nodes take notice of datagrams and logs of their own cluster only. 0 by default.
    pub cluster: u64,
    /// The socket of the node, bound. IPv4 or IPv6; one bound to `[::]` serves both.
    pub socket: UdpSocket,
    /// Where the others are, by id. Their datagrams must come from exactly there. An entry for the
    /// node itself is ignored, so that one map can serve all. Empty by default.
    pub peers: BTreeMap<Id, SocketAddr>,
    /// Ids (of clients, say) that may send from anywhere, unless they are `peers`. The node answers
    /// to where an id last sent from, and forgets that once some 32,768 others have sent since. So
    /// the range may be large. Empty by default.
    pub dynamic: Range<usize>,
    /// What datagrams are authenticated with. `None`, the default, leaves nothing but checksums,
    /// which find accidents and no attacks.
    pub key: Option<Key>,
    /// The directory that keeps what the actor saves, of this node alone. It is created, but what
    /// it is in must exist. `None`, the default, is for actors that never save.
    pub storage: Option<PathBuf>,
    /// Whether what the actor saves is thrown away, if there is no directory for it: for nodes that
    /// are never started again, as in a benchmark. Otherwise, and by default, a node that saves
    /// and has no directory stops.
    pub forgets: bool,
    /// Up to how many bytes messages share a datagram. 1,400 by default, which passes through
    /// nearly every network in one piece. Where all are on one machine, or frames are jumbo, more
    /// is faster. A message that is longer gets a datagram of its own, which the network cuts up
    /// and puts together again; one that is too long even for [`MAX_DATAGRAM`] is never sent: see
    /// [`Counters::oversized`].
    pub datagram_max: usize,
    /// How many messages share a datagram at most. By default as many as fit; with one, each has
    /// a datagram of its own, which is slower.
    pub messages_max: usize,
    /// How many bytes may wait in the socket to be received, as far as the system grants it. 8 MiB
    /// by default.
    pub receive_buffer: usize,
    /// How long to look for datagrams before the processor is given away. Zero by default. Some
    /// tens of microseconds save the time that waking up takes, if there is a processor to spare,
    /// and do harm if there is none.
    pub spin: Duration,
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
            cut: None,
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
pub struct Node<A: Runnable, W: Watch<A> = Unwatched> {
    actor: Persistent<A, Directory>,
    link: Link,
    cut: Option<Cut>,
    watch: W,
    spin: Duration,
    /// What the core counts its time from.
    start: Instant,
    id: Id,
    /// The messages of a batch, and the datagrams that follow from it.
    messages: Vec<(Id, A::Msg)>,
    frames: Vec<Frame>,
}

impl<A: Runnable> Node<A> {
    /// Opens the log, starts the actor with what it saved last, and executes what it commands.
    ///
    /// # Errors
    ///
    /// If the log is damaged, in use or unreadable ([`Error::Damaged`], [`Error::Locked`],
    /// [`Error::File`]), if the socket is unusable ([`Error::Socket`]), if the longest datagram is
    /// to be too short or too long ([`Error::DatagramMax`]), and what [`run`](Node::run) returns.
    pub fn start(actor: A, config: NodeConfig) -> Result<Self, Error> {
        Self::start_watched(actor, config, Unwatched)
    }
}

impl<A: Runnable, W: Watch<A>> Node<A, W> {
    /// The same as [`Node::start`], with somebody who looks on: from the first step, which is the
    /// start.
    ///
    /// # Errors
    ///
    /// Those of [`Node::start`].
    pub fn start_watched(actor: A, config: NodeConfig, mut watch: W) -> Result<Self, Error> {
        let id = config.id;
        let (given, limits) = (config.datagram_max, LIMIT_MIN..=MAX_DATAGRAM);
        if !limits.contains(&given) {
            return Err(Error::DatagramMax { given });
        }
        let (saves, recovered) = config.open_log::<A>()?;
        let v6 = config.socket.local_addr().map_err(Error::Socket)?.is_ipv6();
        let mut rng = rng_of(config.seed, id);
        let codec = Codec::new(config.cluster, id, config.key);
        let lengths = Lengths {
            messages: config.messages_max,
            ..codec.lengths(given)
        };
        let socket = Socket::new(config.socket, config.receive_buffer);
        let book = Book::new(id, config.peers, config.dynamic, v6);
        let injector = Injector::new(config.faults, SmallRng::from_rng(&mut rng));
        let link = Link::new(socket.map_err(Error::Socket)?, codec, book, injector);
        let setup = Setup {
            actor,
            id,
            saved: recovered.state,
            lengths,
            rng,
        };
        let mut node = Node {
            actor: Persistent::start(setup, saves, Duration::ZERO, &mut watch)?,
            link,
            cut: recovered.cut,
            watch,
            spin: config.spin,
            start: Instant::now(),
            id,
            messages: Vec::new(),
            frames: Vec::new(),
        };
        node.commit()?;
        Ok(node)
    }

    /// What was cut off the log when the node started: the record of a save that was not complete
    /// when the node was killed, and of which it had said nothing.
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Drives the actor until `stop` says so, which takes about 10 ms. Then everything but what was
    /// saved is lost at once, as in a crash.
    ///
    /// The observer sees the state after the start and after every batch of steps (whether or not
    /// they changed it: to tell would take a copy). What they saved is durable by then.
    ///
    /// # Errors
    ///
    /// The node stops, and sends nothing of the batch in question, if a save fails
    /// ([`Error::File`], [`Error::Unencodable`], [`Error::NoStorage`]) or if the actor sends before
    /// it saves ([`Error::SendBeforeSave`]). Nothing that arrives is an error.
    pub fn run(self, stop: &Stop, mut observer: impl FnMut(&A::State)) -> Result<Counters, Error> {
        self.run_counted(stop, &mut observer, |_| {})
    }

    /// The same, and from time to time the counters are shown.
    pub(super) fn run_counted(
        mut self,
        stop: &Stop,
        observer: &mut impl FnMut(&A::State),
        mut publish: impl FnMut(&Counters),
    ) -> Result<Counters, Error> {
        observer(self.actor.state());
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

    /// The counts of the node's parts, added up.
    fn counters(&self) -> Counters {
        Counters::sum([&self.actor.counters(), &self.link.counters()])
    }

    /// Does all there is to do as one batch. Returns whether there was anything.
    fn handle(&mut self, observer: &mut impl FnMut(&A::State)) -> Result<bool, Error> {
        let now = self.start.elapsed();
        self.link.release(now);
        let is_due = self.actor.next().is_some_and(|next| next <= now);
        if self.messages.is_empty() && !is_due {
            return Ok(false);
        }
        self.actor.step(now, &mut self.messages, &mut self.watch)?;
        self.commit()?;
        observer(self.actor.state());
        Ok(true)
    }

    /// Until when there is nothing to do but to receive.
    fn next(&self, now: Duration) -> Duration {
        let next = [self.actor.next(), self.link.next_release()];
        let next = next.into_iter().flatten().min();
        next.unwrap_or(now + 2 * LONGEST_WAIT)
    }

    /// Takes what has arrived; if there is nothing else to do, waits for it.
    fn receive(&mut self) {
        let mut now = self.start.elapsed();
        let until = self.next(now);
        let spins_until = until.min(now + self.spin);
        while now < spins_until && self.messages.is_empty() {
            self.drain();
            now = self.start.elapsed();
        }
        if now < until && self.messages.is_empty() {
            self.link.wait(until - now, &mut self.messages);
        }
        self.drain();
    }

    fn drain(&mut self) {
        self.link.drain(&mut self.messages);
    }

    /// Makes a batch durable, and sends its messages.
    fn commit(&mut self) -> Result<(), Error> {
        self.actor.release(&mut self.watch)?;
        self.actor.take(&mut self.frames);
        if !self.frames.is_empty() {
            let now = self.start.elapsed();
            self.link.send(now, &mut self.frames);
            for frame in self.frames.drain(..) {
                self.actor.recycle(frame.into_datagram());
            }
        }
        self.actor.compact()
    }
}

/// Drives several nodes on this thread until `stop` says so, or until one of them fails: the others
/// lose everything but what they saved, as that one does. Where there are more nodes than
/// processors this is faster than a thread for each.
///
/// The observer is told whose state it sees; otherwise it is that of [`Node::run`]. The nodes'
/// counters are returned in their order.
///
/// # Errors
///
/// Those of [`Node::run`].
pub fn run_together<A: Runnable, W: Watch<A>>(
    mut nodes: Vec<Node<A, W>>,
    stop: &Stop,
    mut observer: impl FnMut(Id, &A::State),
) -> Result<Vec<Counters>, Error> {
    for node in &nodes {
        observer(node.id, node.actor.state());
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
            wait_for_any(nodes.iter().map(|node| &node.link.socket), wait);
        }
    }
    Ok(nodes.iter().map(Node::counters).collect())
}

/// How often the counters of a running node are shown.
const PUBLISH_EVERY: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
