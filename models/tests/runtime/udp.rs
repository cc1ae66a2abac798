//! The actors that are checked, over real sockets: with garbage, faults and crashes.

use rand::rngs::SmallRng;
use rand::{Rng, RngCore, SeedableRng};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stateright::actor::Id;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};
use synod::backoff::Backoff;
use synod::ballot::{Ballot, NodeId};
use synod::basic::{Client, Cluster, Process, ProcessState};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::runtime::{Counters, Faults, Handle, NodeConfig, spawn};
use synod::vote::Value;
use tempfile::TempDir;

/// What a whole test may take.
const DEADLINE: Duration = Duration::from_secs(10);

/// The cluster of the tests; other numbers belong to others.
const CLUSTER: u64 = 1;

const BACKOFF: Backoff = Backoff {
    base: Duration::from_millis(10),
    doublings_max: 4,
};

type State = ProcessState<String>;

/// Processes on loopback: first the nodes, then the clients, then peers that are only known.
struct Net {
    processes: Vec<Process<String>>,
    /// Kept open while a process is down: what is sent to it meanwhile arrives late, not never.
    sockets: Vec<UdpSocket>,
    peers: BTreeMap<Id, SocketAddr>,
    directory: TempDir,
    faults: Faults,
    running: BTreeMap<usize, Handle>,
    sender: Sender<(usize, State)>,
    /// Every state that a process came to, in its order.
    news: Receiver<(usize, State)>,
    proposed: BTreeSet<String>,
    deadline: Instant,
}

impl Net {
    /// Nothing runs yet. Of the peers beyond the processes there are `others`.
    fn new(cluster: Cluster, nodes: usize, values: &[&str], others: usize) -> Self {
        let proposers = cluster.proposers.clone();
        let cluster = Arc::new(cluster);
        let clients = values
            .iter()
            .map(|value| client((*value).to_owned(), &proposers));
        let servers = (0..nodes).map(|_| Process::Node(Arc::clone(&cluster)));
        let processes: Vec<_> = servers.chain(clients).collect();
        let sockets: Vec<_> = (0..processes.len() + others).map(|_| socket()).collect();
        let addresses = sockets.iter().map(address);
        let (sender, news) = channel();
        Net {
            peers: (0..).map(Id::from).zip(addresses).collect(),
            processes,
            sockets,
            directory: tempfile::tempdir().expect("a temporary directory"),
            faults: Faults::default(),
            running: BTreeMap::new(),
            sender,
            news,
            proposed: values.iter().map(|value| (*value).to_owned()).collect(),
            deadline: Instant::now() + DEADLINE,
        }
    }

    /// Starts a process, for the first time or again, and shows its states to an observer.
    fn launch(&mut self, id: usize, observer: impl FnMut(&State) + Send + 'static) {
        let socket = self.sockets[id].try_clone().expect("a second handle");
        let mut config = NodeConfig::new(Id::from(id), socket);
        config.cluster = CLUSTER;
        config.peers = self.peers.clone();
        if let Process::Node(_) = self.processes[id] {
            config.storage = Some(self.directory.path().join(format!("{id}.storage")));
        }
        config.faults = self.faults;
        config.seed = 7;
        let handle = spawn(self.processes[id].clone(), config, observer);
        self.running.insert(id, handle.expect("the process starts"));
    }

    fn start(&mut self, id: usize) {
        let sender = self.sender.clone();
        // Nobody listens any more once the test is over.
        self.launch(id, move |state| drop(sender.send((id, state.clone()))));
    }

    fn start_all(&mut self) {
        (0..self.processes.len()).for_each(|id| self.start(id));
    }

    /// Stops a process: what it has not saved is gone.
    fn stop(&mut self, id: usize) -> Counters {
        let handle = self.running.remove(&id).expect("it runs");
        handle.stop();
        handle.join().expect("nothing that arrives ends a process")
    }

    /// The next state that any process comes to.
    fn next(&self, awaited: &str) -> (usize, State) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let next = self.news.recv_timeout(left);
        next.unwrap_or_else(|_| panic!("after {DEADLINE:?} still waiting for {awaited}"))
    }

    /// Waits until all of these have decided, and returns what: one value that was proposed.
    fn decision(&self, ids: &[usize]) -> String {
        self.decision_and(ids, |_, _| ())
    }

    /// The same, while each state that a process comes to is looked at.
    fn decision_and(&self, ids: &[usize], look: impl Fn(usize, &State)) -> String {
        let mut missing: BTreeSet<usize> = ids.iter().copied().collect();
        let mut values = BTreeSet::new();
        while !missing.is_empty() {
            let (id, state) = self.next(&format!("the decisions of {missing:?}"));
            look(id, &state);
            if let Some(value) = state.decided() {
                missing.remove(&id);
                values.insert(value.clone());
            }
        }
        assert_eq!(values.len(), 1, "several decisions: {values:?}");
        assert!(values.is_subset(&self.proposed), "{values:?} not proposed");
        values.pop_first().expect("one value")
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        self.running.values().for_each(Handle::stop);
    }
}

fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").expect("a free port on loopback")
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("it is bound")
}

fn cluster(proposers: &[u32], learners: &[u32]) -> Cluster {
    let quorums = QuorumSystem::majority(AcceptorSet::first(3));
    let nodes = |ids: &[u32]| ids.iter().copied().map(NodeId).collect();
    Cluster {
        quorums: quorums.expect("majorities intersect"),
        proposers: nodes(proposers),
        learners: nodes(learners),
        nacks: true,
        round_max: u64::MAX,
        backoff: BACKOFF,
    }
}

/// Three nodes that play all roles, two clients that disagree, and so many others.
fn colocated(others: usize) -> Net {
    let everyone = [0, 1, 2];
    Net::new(cluster(&everyone, &everyone), 3, &["red", "blue"], others)
}

/// Acceptors 0 to 2, proposers 3 and 4, learner 5; clients 6 and 7 disagree.
fn separated() -> Net {
    Net::new(cluster(&[3, 4], &[5]), 6, &["red", "blue"], 0)
}

fn client<V: Value>(value: V, proposers: &[NodeId]) -> Process<V> {
    Process::Client(Client {
        value,
        proposers: proposers.to_vec(),
        backoff: BACKOFF,
    })
}

/// The datagram in which a client asks a node for `value`, as it arrives there.
fn request<V>(cluster: u64, from: usize, to: usize, value: V) -> Vec<u8>
where
    V: Value + Serialize + DeserializeOwned,
{
    let receiver = socket();
    let timeout = receiver.set_read_timeout(Some(DEADLINE));
    timeout.expect("a time limit");
    let mut config = NodeConfig::new(Id::from(from), socket());
    config.cluster = cluster;
    config.peers = BTreeMap::from([(Id::from(to), address(&receiver))]);
    let client = client(value, &[NodeId(to as u32)]);
    let handle = spawn(client, config, |_| {}).expect("the client starts");
    let mut buffer = [0; 1000];
    let length = receiver.recv(&mut buffer).expect("the client asks");
    handle.stop();
    handle.join().expect("the client stops");
    buffer[..length].to_vec()
}

/// Datagrams that a node must drop. Those from a peer's own socket are damaged; that from a
/// stranger's is whole.
struct Garbage {
    of_peer: Vec<Vec<u8>>,
    of_stranger: Vec<u8>,
}

impl Garbage {
    /// For node `to`, which knows `peer`. Any of it that were let in would propose `poison`.
    fn new(to: usize, peer: usize, rng: &mut SmallRng) -> Self {
        let frame = request(CLUSTER, peer, to, "poison".to_owned());
        let mut of_peer = vec![
            request(CLUSTER + 1, peer, to, "poison".to_owned()),
            request(CLUSTER, peer, to + 1, "poison".to_owned()),
            request(CLUSTER, 77, to, "poison".to_owned()),
            // A message of another type: a number where a text is due.
            request(CLUSTER, peer, to, 1_000_u64),
        ];
        of_peer.extend((0..frame.len()).map(|length| frame[..length].to_vec()));
        for bit in 0..8 * frame.len() {
            let mut flipped = frame.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            of_peer.push(flipped);
        }
        for _ in 0..200 {
            let mut noise = vec![0; rng.random_range(0..200)];
            rng.fill_bytes(&mut noise);
            of_peer.push(noise);
        }
        Garbage {
            of_peer,
            of_stranger: frame,
        }
    }

    fn send(&self, peer: &UdpSocket, stranger: &UdpSocket, to: SocketAddr) {
        // A full buffer drops garbage and good datagrams alike, which is the network's right.
        for (sent, datagram) in self.of_peer.iter().enumerate() {
            let _ = peer.send_to(datagram, to);
            if sent % 64 == 0 {
                thread::sleep(Duration::from_millis(1));
            }
        }
        let _ = stranger.send_to(&self.of_stranger, to);
    }
}

#[test]
fn garbage_is_counted_and_dropped_and_decides_nothing() {
    let peer = 5;
    let mut net = colocated(1);
    let mut rng = SmallRng::seed_from_u64(7);
    let garbage: Vec<_> = (0..3).map(|to| Garbage::new(to, peer, &mut rng)).collect();
    let targets: Vec<SocketAddr> = net.sockets[..3].iter().map(address).collect();
    let known = net.sockets[peer].try_clone().expect("a second handle");
    let (over, rounds) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut decision = String::new();
    thread::scope(|scope| {
        scope.spawn(|| {
            let stranger = socket();
            while !over.load(Ordering::Relaxed) {
                for (garbage, to) in garbage.iter().zip(&targets) {
                    garbage.send(&known, &stranger, *to);
                }
                rounds.fetch_add(1, Ordering::Relaxed);
            }
        });
        // Ends the flood however this ends, or the scope would wait for ever.
        let flood = Flood(&over);
        net.start_all();
        decision = net.decision(&[0, 1, 2, 3, 4]);
        let enough = rounds.load(Ordering::Relaxed) + 3;
        while rounds.load(Ordering::Relaxed) < enough {
            assert!(Instant::now() < net.deadline, "the flood has run dry");
            thread::sleep(Duration::from_millis(5));
        }
        drop(flood);
    });
    assert_ne!(decision, "poison");
    for id in 0..3 {
        let dropped = net.stop(id).dropped;
        let of_form = [
            dropped.short,
            dropped.magic,
            dropped.version,
            dropped.checksum,
        ];
        let of_ids = [
            dropped.cluster,
            dropped.destination,
            dropped.stranger,
            dropped.forged,
        ];
        let counts = [&of_form[..], &of_ids, &[dropped.message]].concat();
        assert!(
            !counts.contains(&0),
            "node {id} has not seen it all: {counts:?}"
        );
    }
}

/// Goes on until it is dropped.
struct Flood<'a>(&'a AtomicBool);

impl Drop for Flood<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn processes_with_one_role_each_decide_though_messages_are_lost_doubled_and_reordered() {
    let mut net = separated();
    net.faults = "loss=0.2,dup=0.2,reorder=0.2".parse().expect("faults");
    net.start_all();
    net.decision(&[3, 4, 5, 6, 7]);
    let mut lost = 0;
    for id in 0..8 {
        let counters = net.stop(id);
        assert_eq!(counters.dropped.total(), 0, "{id}: {counters}");
        lost += counters.lost;
    }
    assert!(lost > 0, "no faults at all");
}

#[test]
fn a_cluster_that_is_stopped_and_started_again_remembers() {
    let mut net = colocated(0);
    net.start_all();
    let decision = net.decision(&[0, 1, 2]);
    for id in 0..5 {
        net.stop(id);
    }
    while net.news.try_recv().is_ok() {}
    for id in 0..3 {
        // Alone, so that it can know from nobody else.
        net.start(id);
        let (_, first) = net.next("the first state");
        assert_eq!(first.decided(), Some(&decision), "node {id} has forgotten");
        assert_eq!(net.stop(id).saves, 0, "there is nothing new");
        while net.news.try_recv().is_ok() {}
    }
}

/// The ballot that a proposer started last.
fn ballot_of(state: &State) -> Option<Ballot> {
    state.node()?.proposer.as_ref()?.ballot
}

#[test]
fn a_proposer_that_crashes_after_its_first_save_never_takes_that_ballot_up_again() {
    let mut net = separated();
    let victim = 3;
    let (sender, saved) = channel();
    let (gate, closed) = channel::<()>();
    net.launch(victim, move |state| {
        if let Some(ballot) = ballot_of(state) {
            // Nothing more happens to it until it is told to stop.
            let _ = sender.send(ballot);
            let _ = closed.recv();
        }
    });
    let others = (0..8).filter(|id| *id != victim);
    others.for_each(|id| net.start(id));
    let first = saved.recv_timeout(DEADLINE).expect("it starts a ballot");
    net.running[&victim].stop();
    drop(gate);
    assert_eq!(net.stop(victim).saves, 1);

    // The promises for that ballot wait in its socket when it comes back.
    net.start(victim);
    net.decision_and(&[3, 4, 5, 6, 7], |id, state| {
        let acceptor = state.node().and_then(|node| node.acceptor.as_ref());
        let vote = acceptor.and_then(|acceptor| acceptor.vote.as_ref());
        let is_of_another = vote.is_none_or(|vote| vote.ballot != first);
        assert!(
            is_of_another,
            "a vote in ballot {first}, which was abandoned"
        );
        if id == victim {
            assert!(ballot_of(state) >= Some(first), "a ballot is forgotten");
        }
    });
}
