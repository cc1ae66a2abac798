//! The cost of the parts of a replicated store: the roles without I/O, the encoding, a round trip
//! over UDP, a save, and a restart. `synod bench` measures them together.

use criterion::{BenchmarkId, Criterion, Throughput};
use serde::{Deserialize, Serialize};
use stateright::actor::{Actor, Command as Wish, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};
use synod::ballot::{Ballot, NodeId};
use synod::delta::Delta;
use synod::kv::{Command, Store};
use synod::multi::{
    Alarm, Clock, Cluster, Durable, Entry, Message, MessageOf, Operation, Outcome, Process,
    ProcessState, Request, Sessions, Slot, Timer,
};
use synod::runtime::simulator::{Settings, Simulation};
use synod::runtime::{Node, NodeConfig, Stop, clock, spawn};
use synod::vote::Vote;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The commands that share a slot: one, and as many as `synod bench` has outstanding.
const BATCHES: [u64; 2] = [1, 64];

const CLIENT: NodeId = NodeId(100);

type Msg = MessageOf<Store>;

fn put(seq: u64) -> Request<Command> {
    let (key, value) = (format!("key {}", seq % 64), "x".repeat(16));
    let (key, value) = (key.into(), value.into());
    let command = Command::Put { key, value };
    let operation = Operation::Do {
        session: 0,
        seq,
        acked: seq.saturating_sub(64),
        command,
    };
    let client = CLIENT;
    Request { client, operation }
}

fn accept(ballot: Ballot, slot: Slot, seqs: std::ops::Range<u64>) -> Msg {
    let value = Entry::Batch(seqs.map(put).collect());
    let vote = Vote { ballot, value };
    Message::Accept { slot, vote }
}

/// One of three nodes, driven as by the runtime, and the messages that it has sent.
struct Driven {
    me: Id,
    process: Process<Store>,
    state: Cow<'static, ProcessState<Store>>,
    sent: Vec<(Id, Msg)>,
    /// What was saved last. The runtime keeps it as well, so that logs and votes are shared with
    /// it.
    saved: Option<Durable<Store>>,
}

impl Driven {
    fn new(me: usize) -> Result<Self> {
        let mut cluster = Cluster::of_replicas(3, Sessions::new(Store::default(), 100))?;
        // As on one machine, a slot takes all outstanding commands.
        cluster.limits.bytes_max = 8_000;
        let process = Process::Node(Arc::new(cluster), Clock::Real(clock::now_us));
        let (me, mut out) = (Id::from(me), Out::new());
        let state = Cow::Owned(process.on_start(me, &None, &mut out));
        Ok(Driven {
            me,
            process,
            state,
            sent: Vec::new(),
            saved: None,
        })
    }

    fn note(&mut self, out: Out<Process<Store>>) {
        for wish in out {
            match wish {
                Wish::Send(to, message) => self.sent.push((to, message)),
                Wish::Save(durable) => self.saved = Some(durable),
                _ => {}
            }
        }
    }

    fn receive(&mut self, from: usize, message: Msg) {
        let mut out = Out::new();
        let from = Id::from(from);
        self.process
            .on_msg(self.me, &mut self.state, from, message, &mut out);
        self.note(out);
    }

    fn expire(&mut self, timer: Timer) {
        let (mut out, alarm) = (Out::new(), Alarm::Node(timer));
        self.process
            .on_timeout(self.me, &mut self.state, &alarm, &mut out);
        self.note(out);
    }

    /// The last message of a kind.
    fn last<T>(&self, kind: impl Fn(&Msg) -> Option<T>) -> Result<T> {
        let found = self
            .sent
            .iter()
            .rev()
            .find_map(|(_, message)| kind(message));
        found.ok_or_else(|| "the node did not send what it should".into())
    }

    /// Node 0 as the leader, with an open session.
    fn leader() -> Result<(Self, Ballot)> {
        let mut node = Self::new(0)?;
        node.expire(Timer::Campaign);
        let ballot = node.last(|it| match it {
            Message::Prepare { ballot, .. } => Some(*ballot),
            _ => None,
        })?;
        let promise = Message::Promise {
            ballot,
            votes: BTreeMap::new(),
            decided: Slot(0),
            more: None,
        };
        node.receive(1, promise);
        let (client, operation) = (CLIENT, Operation::Open { seq: 0 });
        node.receive(100, Message::Request(Request { client, operation }));
        node.commit(ballot)?;
        Ok((node, ballot))
    }

    /// Proposes the waiting requests, which the vote of node 1 chooses.
    fn commit(&mut self, ballot: Ballot) -> Result<()> {
        self.expire(Timer::Propose);
        let slot = self.last(|it| match it {
            Message::Accept { slot, .. } => Some(*slot),
            _ => None,
        })?;
        self.sent.clear();
        self.receive(1, Message::Accepted { ballot, slot });
        Ok(())
    }
}

/// Measures a command at the leader (request, proposal, two votes, application, reply) and at a
/// follower (vote, decision, application).
fn roles(criterion: &mut Criterion) -> Result<()> {
    let mut group = criterion.benchmark_group("roles");
    for batch in BATCHES {
        group.throughput(Throughput::Elements(batch));
        let (mut leader, ballot) = Driven::leader()?;
        let mut seq = 1;
        group.bench_function(BenchmarkId::new("leader", batch), |bencher| {
            bencher.iter(|| {
                for _ in 0..batch {
                    leader.receive(100, Message::Request(put(seq)));
                    seq += 1;
                }
                leader.commit(ballot).is_ok()
            });
        });
        // A filter of criterion may leave this benchmark out.
        if seq > 1 {
            let replies = leader.sent.iter();
            let replies = replies.filter(|it| matches!(it.1, Message::Reply { .. }));
            assert_eq!(replies.count() as u64, batch, "the leader answers");
        }

        let mut follower = Driven::new(1)?;
        let (client, operation) = (CLIENT, Operation::Open { seq: 0 });
        let open = Entry::Batch([Request { client, operation }].into());
        let vote = Vote {
            ballot,
            value: open,
        };
        let mut slot = Slot(0);
        follower.receive(0, Message::Accept { slot, vote });
        let mut seq = 1;
        group.bench_function(BenchmarkId::new("follower", batch), |bencher| {
            bencher.iter(|| {
                slot = slot.next();
                follower.receive(0, accept(ballot, slot, seq..seq + batch));
                seq += batch;
                let upto = slot.next();
                follower.receive(0, Message::Decided { ballot, upto });
                follower.sent.clear();
            });
        });
        if seq > 1 {
            let decided = follower.state.node().map(|node| node.decided());
            assert_eq!(decided, Some(slot.next()), "the follower learns");
        }
    }
    group.finish();
    Ok(())
}

/// Measures encoding and decoding as in the runtime, and prints the length of messages.
fn codec(criterion: &mut Criterion) -> Result<()> {
    let ballot = Ballot::above(None, NodeId(0)).ok_or("no ballot")?;
    let slot = Slot(1_000_000);
    let reply = Message::Reply {
        seq: 1_000_000,
        outcome: Outcome::Done(synod::kv::Reply::Was(Some("x".repeat(16).into()))),
    };
    let messages: [(&str, Msg); 5] = [
        ("request", Message::Request(put(1_000_000))),
        ("accept 1", accept(ballot, slot, 0..1)),
        ("accept 64", accept(ballot, slot, 0..64)),
        ("accepted", Message::Accepted { ballot, slot }),
        ("reply", reply),
    ];
    let mut group = criterion.benchmark_group("codec");
    for (name, message) in messages {
        let bytes = postcard::to_stdvec(&message)?;
        println!("codec/{name}: {} bytes", bytes.len());
        let mut buffer = vec![0; bytes.len()];
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(BenchmarkId::new("encode", name), |bencher| {
            bencher.iter(|| postcard::to_slice(black_box(&message), &mut buffer).is_ok());
        });
        group.bench_function(BenchmarkId::new("decode", name), |bencher| {
            bencher.iter(|| postcard::from_bytes::<Msg>(black_box(&bytes)).is_ok());
        });
        assert_eq!(postcard::from_bytes::<Msg>(&bytes)?, message);
    }
    group.finish();
    Ok(())
}

/// An actor that passes every ball on to the next of `COUNT`, and counts the balls. It may save its
/// count first.
#[derive(Clone)]
struct Passer<const COUNT: usize> {
    /// The balls with which it starts.
    balls: u64,
    saves: bool,
}

impl<const COUNT: usize> Passer<COUNT> {
    fn pass(id: Id, ball: u64, out: &mut Out<Self>) {
        out.send(Id::from((usize::from(id) + 1) % COUNT), ball);
    }
}

impl<const COUNT: usize> Actor for Passer<COUNT> {
    type Msg = u64;
    type State = u64;
    type Timer = ();
    type Random = ();
    type Storage = u64;

    fn on_start(&self, id: Id, _: &Option<u64>, out: &mut Out<Self>) -> u64 {
        (0..self.balls).for_each(|ball| Self::pass(id, ball, out));
        0
    }

    fn on_msg(&self, id: Id, seen: &mut Cow<u64>, _: Id, ball: u64, out: &mut Out<Self>) {
        *seen.to_mut() += 1;
        if self.saves {
            out.save(**seen);
        }
        Self::pass(id, ball, out);
    }
}

/// Times a number of round trips between two nodes, of which the second may save.
fn rally(round_trips: u64, storage: Option<&Path>) -> Result<Duration> {
    let sockets = [
        UdpSocket::bind("127.0.0.1:0")?,
        UdpSocket::bind("127.0.0.1:0")?,
    ];
    let addresses = [sockets[0].local_addr()?, sockets[1].local_addr()?];
    let (sender, receiver) = mpsc::channel();
    let mut handles = Vec::new();
    // The node with the ball starts last: a ball without a receiver is lost.
    for (index, socket) in sockets.into_iter().enumerate().rev() {
        let mut config = NodeConfig::new(Id::from(index), socket);
        config.peers = (0..).map(Id::from).zip(addresses).collect();
        config.storage = storage.filter(|_| index == 1).map(Path::to_owned);
        let passer = Passer::<2> {
            balls: u64::from(index == 0),
            saves: config.storage.is_some(),
        };
        let (sender, mut start, mut is_over) = (sender.clone(), None, false);
        let watch = move |seen: &u64| {
            let since = *start.get_or_insert_with(Instant::now);
            if index == 0 && *seen >= round_trips && !is_over {
                is_over = true;
                let _ = sender.send(since.elapsed());
            }
        };
        handles.push(spawn(passer, config, watch)?);
    }
    let taken = receiver.recv_timeout(Duration::from_secs(60) + Duration::from_millis(round_trips));
    for handle in handles {
        handle.stop();
        handle.join()?;
    }
    Ok(taken?)
}

/// Measures a round trip between two nodes, without and with a save.
fn round_trips(criterion: &mut Criterion) -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut group = criterion.benchmark_group("round trip");
    group.sample_size(10);
    let mut failure = None;
    let save = directory.path().join("save");
    for (name, storage) in [("in memory", None), ("with a save", Some(save.as_path()))] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|round_trips| {
                rally(round_trips, storage).unwrap_or_else(|error| {
                    failure = Some(error);
                    Duration::from_nanos(round_trips.max(1))
                })
            });
        });
    }
    group.finish();
    failure.map_or(Ok(()), Err)
}

/// Measures a message in the simulator, from its sending to its handling: alone in its datagram,
/// among others that overtake it, and with a save.
fn simulation(criterion: &mut Criterion) -> Result<()> {
    let mut group = criterion.benchmark_group("simulator");
    group.throughput(Throughput::Elements(1));
    for (name, balls, saves) in [
        ("a message alone", 1, false),
        ("64 a datagram", 64, false),
        ("with a save", 64, true),
    ] {
        let passers = vec![Passer::<5> { balls, saves }; 5];
        let mut simulation = Simulation::new(passers, Settings::default());
        let mut until = Duration::ZERO;
        let mut failure = None;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|messages| {
                let before = simulation.counters().messages_received;
                let start = Instant::now();
                // A millisecond of simulated time has thousands of messages.
                loop {
                    until += Duration::from_millis(1);
                    let ran = simulation.run_until(until, &mut |_: Id, _: &u64| ());
                    let passed = simulation.counters().messages_received - before;
                    if passed >= messages || ran.is_err() {
                        failure = failure.take().or(ran.err());
                        return start
                            .elapsed()
                            .mul_f64(messages as f64 / passed.max(1) as f64);
                    }
                }
            });
        });
        failure.map_or(Ok(()), Err)?;
        // A filter of criterion may leave this benchmark out.
        let counters = simulation.counters();
        assert!(counters.messages_received == 0 || (counters.saves > 0) == saves);
    }
    group.finish();
    Ok(())
}

/// The state of an actor that saves piece by piece.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
struct Pieces(imbl::Vector<Piece>);

#[derive(Clone, Debug, PartialEq, Hash, Serialize, Deserialize)]
struct Piece(Arc<[u8]>);

impl Delta for Pieces {
    type Change = Piece;

    fn changes(&self, before: Option<&Self>) -> Vec<Piece> {
        let known = before.map_or(0, |before| before.0.len());
        (known..self.0.len())
            .filter_map(|at| self.0.get(at).cloned())
            .collect()
    }

    fn apply(before: Option<Self>, piece: Piece) -> Option<Self> {
        let mut pieces = before.unwrap_or_default();
        pieces.0.push_back(piece);
        Some(pieces)
    }
}

/// An actor that saves a piece for every message to itself, until there are enough.
struct Writer {
    pieces: usize,
}

const PIECE: usize = 1024;

impl Actor for Writer {
    type Msg = ();
    type State = Pieces;
    type Timer = ();
    type Random = ();
    type Storage = Pieces;

    fn on_start(&self, id: Id, saved: &Option<Pieces>, out: &mut Out<Self>) -> Pieces {
        out.send(id, ());
        saved.clone().unwrap_or_default()
    }

    fn on_msg(&self, id: Id, pieces: &mut Cow<Pieces>, _: Id, (): (), out: &mut Out<Self>) {
        if pieces.0.len() >= self.pieces {
            return;
        }
        let piece = Piece(vec![7; PIECE].into());
        pieces.to_mut().0.push_back(piece);
        out.save(pieces.clone().into_owned());
        out.send(id, ());
    }
}

fn writer(pieces: usize, directory: &Path) -> Result<Node<Writer>> {
    let mut config = NodeConfig::new(Id::from(0), UdpSocket::bind("127.0.0.1:0")?);
    config.storage = Some(directory.to_owned());
    Ok(Node::start(Writer { pieces }, config)?)
}

/// Measures how long a node takes to read what it saved, by size.
fn recovery(criterion: &mut Criterion, sizes: &[usize]) -> Result<()> {
    let mut group = criterion.benchmark_group("recovery");
    group.sample_size(10);
    for mebibytes in sizes {
        let directory = tempfile::tempdir()?;
        let storage = directory.path().join("log");
        let pieces = mebibytes * (1 << 20) / PIECE;
        let stop = Stop::new();
        let written = writer(pieces, &storage)?.run(&stop, |it: &Pieces| {
            if it.0.len() == pieces {
                stop.stop();
            }
        })?;
        assert!(written.saves > 0);
        group.throughput(Throughput::Bytes((pieces * PIECE) as u64));
        group.bench_function(
            BenchmarkId::from_parameter(format!("{mebibytes} MiB")),
            |bencher| {
                bencher.iter(|| writer(pieces, &storage).is_ok());
            },
        );
        assert!(writer(pieces, &storage).is_ok(), "the pieces are read");
    }
    group.finish();
    Ok(())
}

fn main() -> Result<()> {
    // `cargo test --benches` does not pass `--bench`, and wants no figures.
    let given = |flag: &str| std::env::args().any(|it| it == flag);
    let is_smoke = given("--test") || !given("--bench");
    let micro = if is_smoke { 20 } else { 2_000 };
    let mut criterion = Criterion::default()
        .warm_up_time(Duration::from_millis(micro / 2))
        .measurement_time(Duration::from_millis(micro))
        .configure_from_args();
    roles(&mut criterion)?;
    codec(&mut criterion)?;
    round_trips(&mut criterion)?;
    simulation(&mut criterion)?;
    recovery(&mut criterion, if is_smoke { &[1] } else { &[1, 16, 256] })?;
    criterion.final_summary();
    Ok(())
}
