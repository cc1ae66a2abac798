//! Nodes that are killed without a warning, again and again, while clients are at work.

use super::serve::{CLUSTER, KEY, PATIENCE, Store};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::Id;
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::kv;
use synod::multi::{Client, Outcome, Process, ProcessState, Task};
use synod::runtime::{Key, NodeConfig, spawn_observed};

const NODES: usize = 3;
const CLIENTS: u32 = 4;
/// How many commands a client asks for before another takes its place, in a session of its own.
const COMMANDS: u64 = 25;

fn from_environment(name: &str, otherwise: u64) -> u64 {
    let number = std::env::var(name).ok();
    number.map_or(otherwise, |it| it.parse().expect("a number"))
}

/// A client that writes 1, 2, 3 and so on to a key of its own, and knows what must have been there.
struct Writer {
    key: String,
    /// The last number whose writing was acknowledged.
    last: u64,
    /// The number of the next client; the nodes give each one an address.
    id: u32,
}

impl Writer {
    /// Writes the next numbers. Every reply says what was there before: the number just below.
    fn write(&mut self, store: &Peers) {
        let numbers: Vec<u64> = (self.last + 1..=self.last + COMMANDS).collect();
        let tasks = numbers.iter().map(|number| {
            let put = kv::Command::put(&self.key, number.to_string());
            Task::Do(put.expect("short enough"))
        });
        let replies = store.ask(self.id, tasks.collect());
        self.id += CLIENTS;
        for (number, reply) in numbers.into_iter().zip(replies) {
            let before = (number > 1).then(|| (number - 1).to_string());
            let expected = Outcome::Done(kv::Reply::Was(before.map(kv::Text::from)));
            assert_eq!(reply, expected, "{} = {number}", self.key);
            self.last = number;
        }
    }
}

/// Where the nodes are.
struct Peers(BTreeMap<Id, std::net::SocketAddr>);

impl Peers {
    /// What a client is told that asks for all this, one by one.
    fn ask(&self, id: u32, tasks: Vec<Task<kv::Command>>) -> Vec<Outcome<kv::Reply>> {
        let count = tasks.len();
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let mut config = NodeConfig::new(NodeId(id).into(), socket);
        config.cluster = CLUSTER;
        config.key = Some(Key::new(KEY));
        config.peers = self.0.clone();
        config.seed = id.into();
        let client = Client {
            tasks,
            session: None,
            leaders: (0..NODES as u32).map(NodeId).collect(),
            is_loyal: false,
            backoff: Backoff::default(),
        };
        let (sender, told) = channel();
        let watch = move |_: Id, state: &ProcessState<kv::Store>| {
            let replies = state.client().map(|client| &client.replies);
            // Nobody listens any more to what comes twice.
            let _ = replies
                .filter(|replies| replies.len() == count)
                .map(|replies| sender.send(replies.clone()));
        };
        let handle = spawn_observed(Process::Client(client), config, watch, |_| {});
        let handle = handle.expect("a client starts");
        let replies = told.recv_timeout(PATIENCE).expect("all is answered");
        handle.stop();
        handle.join().expect("a client ends well");
        replies
    }
}

/// Kills nodes, one, two or all at once, and starts them again, so many times; from a moment's work
/// to a node that is killed while it reads its log.
fn kill(store: &mut Store, kills: u64, seed: u64) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let mut pause = |most_us| thread::sleep(Duration::from_micros(rng.random_range(0..most_us)));
    let mut dice = SmallRng::seed_from_u64(!seed);
    let mut killed = 0;
    while killed < kills {
        pause(120_000);
        let victims = match dice.random_range(0..10) {
            0 => vec![0, 1, 2],
            1 | 2 => vec![0, 1],
            _ => vec![0],
        };
        let first = dice.random_range(0..NODES);
        let victims: Vec<usize> = victims.iter().map(|it| (first + it) % NODES).collect();
        for id in &victims {
            store.kill(*id);
            killed += 1;
        }
        pause(30_000);
        victims.iter().for_each(|id| store.start(*id));
    }
}

/// By default a few kills; `SYNOD_KILLS=1000`, and `SYNOD_SEED`, for more.
///
/// Red if a node acknowledges what it has not made durable, takes a command for new that it has
/// carried out, or refuses its own log.
#[test]
fn nothing_acknowledged_is_lost_though_nodes_are_killed_at_any_moment() {
    let kills = from_environment("SYNOD_KILLS", 20);
    let seed = from_environment("SYNOD_SEED", 1);
    let started = Instant::now();
    let mut store = Store::new(NODES);
    (0..NODES).for_each(|id| store.start(id));
    let peers = store.addresses.iter().enumerate();
    let peers = Peers(peers.map(|(id, at)| (Id::from(id), *at)).collect());
    let is_over = AtomicBool::new(false);
    let writers: Vec<Writer> = thread::scope(|scope| {
        let writers = (0..CLIENTS).map(|index| {
            let mut writer = Writer {
                key: format!("k{index}"),
                last: 0,
                id: 100_000 + index,
            };
            let (peers, is_over) = (&peers, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    writer.write(peers);
                }
                writer
            })
        });
        let writers: Vec<_> = writers.collect();
        kill(&mut store, kills, seed);
        is_over.store(true, Ordering::Relaxed);
        let writers = writers
            .into_iter()
            .map(|it| it.join().expect("all is well"));
        writers.collect()
    });
    // Any two of the nodes know all of it.
    for down in 0..NODES {
        if down > 0 {
            store.start(down - 1);
        }
        store.kill(down);
        for writer in &writers {
            let held = store.kv(&format!("get {}", writer.key), 0);
            assert_eq!(
                held,
                writer.last.to_string(),
                "{} without {down}",
                writer.key
            );
        }
    }
    let written: u64 = writers.iter().map(|writer| writer.last).sum();
    assert!(written > kills, "hardly anything happened");
    println!(
        "{kills} kills, {written} commands acknowledged, none lost, seed {seed}, {:.0} s",
        started.elapsed().as_secs_f64()
    );
}
