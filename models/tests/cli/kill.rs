//! Nodes that are killed without a warning, again and again, while clients are at work.

use super::serve::{KEY, PATIENCE, Store, client, numbered};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use synod::kv;
use synod::multi::{Outcome, Task};
use synod::runtime::Key;

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
    fn write(&mut self, nodes: &[SocketAddr]) {
        let numbers: Vec<u64> = (self.last + 1..=self.last + COMMANDS).collect();
        let tasks = numbers.iter().map(|number| {
            let put = kv::Command::put(&self.key, number.to_string());
            Task::Do(put.expect("short enough"))
        });
        let mut config = numbered(self.id);
        config.key = Some(Key::new(KEY));
        config.seed = self.id.into();
        let (handle, told) = client(nodes, config, None, tasks.collect());
        let (mut replies, deadline) = (Vec::new(), Instant::now() + PATIENCE);
        while replies.len() < numbers.len() {
            let left = deadline.saturating_duration_since(Instant::now());
            replies = told.recv_timeout(left).expect("all is answered");
        }
        handle.stop();
        handle.join().expect("a client ends well");
        self.id += CLIENTS;
        for (number, reply) in numbers.into_iter().zip(replies) {
            let before = (number > 1).then(|| (number - 1).to_string());
            let expected = Outcome::Done(kv::Reply::Was(before.map(kv::Text::from)));
            assert_eq!(reply, expected, "{} = {number}", self.key);
            self.last = number;
        }
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
    let nodes = store.addresses.clone();
    let is_over = AtomicBool::new(false);
    let writers: Vec<Writer> = thread::scope(|scope| {
        let writers = (0..CLIENTS).map(|index| {
            let mut writer = Writer {
                key: format!("k{index}"),
                last: 0,
                id: 100_000 + index,
            };
            let (nodes, is_over) = (&nodes, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    writer.write(nodes);
                }
                writer
            })
        });
        let writers: Vec<_> = writers.collect();
        kill(&mut store, kills, seed);
        is_over.store(true, Ordering::Relaxed);
        let ended = writers.into_iter().map(|it| it.join());
        ended.map(|it| it.expect("all is well")).collect()
    });
    // Any two of the nodes know all of it.
    for down in 0..NODES {
        if down > 0 {
            store.start(down - 1);
        }
        store.kill(down);
        for writer in &writers {
            let Writer { key, last, .. } = writer;
            let held = store.kv(&format!("get {key}"), 0);
            assert_eq!(held, last.to_string(), "{key} without {down}");
        }
    }
    let written: u64 = writers.iter().map(|writer| writer.last).sum();
    assert!(written > kills, "hardly anything happened");
    println!(
        "{kills} kills, {written} commands acknowledged, none lost, seed {seed}, {:.0} s",
        started.elapsed().as_secs_f64()
    );
}
