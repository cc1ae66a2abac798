use super::super::handle::{Handle, spawn, spawn_observed};
use super::super::recorder::{Recorded, RecordedEvent, Recorder};
use super::super::scripted::Seen::{self, Choice, Message, Start, Timeout};
use super::super::scripted::{Number, Scripted, UNSAVABLE, save_then_echo};
use super::*;
use rand::{Rng, RngCore};
use stateright::actor::Out;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use tempfile::TempDir;

const MS: Duration = Duration::from_millis(1);
const NODE: usize = 1;
const PEER: usize = 2;

/// A running node, and a socket that plays its only peer.
struct Rig {
    handle: Handle,
    states: Receiver<Vec<Seen>>,
    peer: UdpSocket,
    node_at: SocketAddr,
}

/// A socket on loopback.
fn socket() -> UdpSocket {
    UdpSocket::bind("127.0.0.1:0").unwrap()
}

/// A path in a directory that is removed with the first result.
fn path() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("node");
    (directory, path)
}

/// Configures a node whose only peer is at an address.
fn config(peer: SocketAddr) -> NodeConfig {
    let mut config = NodeConfig::new(Id::from(NODE), socket());
    config.cluster = 7;
    config.peers = [(Id::from(PEER), peer)].into();
    config
}

/// Configures a node, and binds the socket of its peer.
fn bound() -> (NodeConfig, UdpSocket) {
    let peer = socket();
    peer.set_read_timeout(Some(5000 * MS)).unwrap();
    (config(peer.local_addr().unwrap()), peer)
}

fn start(
    react: impl Fn(&Seen, &mut Out<Scripted>) + Send + 'static,
    configure: impl FnOnce(&mut NodeConfig),
) -> Result<Rig, Error> {
    let (mut config, peer) = bound();
    configure(&mut config);
    start_observed(react, config, peer, NoObserver)
}

/// Starts a node as it is configured by default.
fn plain(react: impl Fn(&Seen, &mut Out<Scripted>) + Send + 'static) -> Rig {
    start(react, |_| ()).unwrap()
}

/// Starts a node with a storage; returns it with its path.
fn stored(react: impl Fn(&Seen, &mut Out<Scripted>) + Send + 'static) -> (Rig, TempDir, PathBuf) {
    let (directory, path) = path();
    let storage = Some(path.clone());
    let rig = start(react, |config| config.storage = storage).unwrap();
    (rig, directory, path)
}

fn start_observed(
    react: impl Fn(&Seen, &mut Out<Scripted>) + Send + 'static,
    config: NodeConfig,
    peer: UdpSocket,
    step_observer: impl StepObserver<Scripted> + Send + 'static,
) -> Result<Rig, Error> {
    let node_at = config.socket.local_addr().unwrap();
    let (sender, states) = mpsc::channel();
    let observer = move |state: &Vec<Seen>| drop(sender.send(state.clone()));
    let handle = spawn_observed(Scripted::new(react), config, step_observer, observer)?;
    Ok(Rig {
        handle,
        states,
        peer,
        node_at,
    })
}

/// Returns the messages of the node in the next datagram that its peer receives, and its address.
fn received(peer: &UdpSocket, key: Option<Key>) -> Option<(Vec<u32>, SocketAddr)> {
    let mut buffer = [0; MAX_DATAGRAM];
    let (length, from) = peer.recv_from(&mut buffer).ok()?;
    let codec = Codec::new(7, Id::from(PEER), key);
    let messages = codec.read(&buffer[..length]).unwrap();
    assert!(messages.iter().all(|(from, _)| *from == Id::from(NODE)));
    let messages = messages.into_iter().map(|(_, message)| message);
    Some((messages.collect(), from))
}

impl Rig {
    fn datagram(cluster: u64, from: usize, to: usize, n: u32) -> Vec<u8> {
        Codec::new(cluster, Id::from(from), None).datagram(to, &[n])
    }

    fn send_bytes(&self, datagram: &[u8]) {
        self.peer.send_to(datagram, self.node_at).unwrap();
    }

    fn send(&self, n: u32) {
        self.send_bytes(&Self::datagram(7, PEER, NODE, n));
    }

    /// Returns the messages of the next datagram that the peer receives.
    fn receive_all(&self) -> Option<Vec<u32>> {
        let (messages, from) = received(&self.peer, None)?;
        assert_eq!(from, self.node_at);
        Some(messages)
    }

    /// Returns the only message of the next datagram.
    fn receive(&self) -> Option<u32> {
        let messages = self.receive_all()?;
        assert_eq!(messages.len(), 1);
        messages.first().copied()
    }

    /// Returns whether no message arrives, for as long as a wrong message would take.
    fn hears_nothing(&self) -> bool {
        self.peer.set_read_timeout(Some(200 * MS)).unwrap();
        self.receive().is_none()
    }

    /// Waits for the first state that is wanted.
    fn until(&self, wanted: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let mut last = Vec::new();
        while let Ok(state) = self.states.recv_timeout(5000 * MS) {
            if wanted(&state) {
                return state;
            }
            last = state;
        }
        panic!("never saw what was wanted, last {last:?}")
    }

    fn stop(self) -> Counters {
        self.handle.stop();
        self.handle.join().unwrap()
    }

    /// Waits until the node has ended by itself.
    fn error(self) -> Error {
        self.handle.join().unwrap_err()
    }
}

fn echo(seen: &Seen, out: &mut Out<Scripted>) {
    if let Message(from, n) = *seen {
        out.send(Id::from(from), n);
    }
}

/// Returns the number on disk, read from a copy, because the node has locked its directory.
fn on_disk(path: &Path) -> Option<u32> {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    let directory = Directory::open(copy.path()).unwrap();
    let opened = Log::open(directory, Sizes::default(), 7, Id::from(NODE));
    opened.unwrap().1.state
}

/// Configures nodes that know one another.
fn acquainted(nodes: usize, address: &str) -> impl Iterator<Item = (usize, NodeConfig)> {
    let sockets: Vec<_> = (0..nodes)
        .map(|_| UdpSocket::bind(address).unwrap())
        .collect();
    let addresses = sockets.iter().map(|socket| socket.local_addr().unwrap());
    let peers: BTreeMap<_, _> = (0..nodes).map(Id::from).zip(addresses).collect();
    sockets.into_iter().enumerate().map(move |(index, socket)| {
        let mut config = NodeConfig::new(Id::from(index), socket);
        config.peers = peers.clone();
        (index, config)
    })
}

fn play_ping_pong(address: &str) {
    let (sender, states) = mpsc::channel();
    let handles = acquainted(2, address).map(|(index, config)| {
        let react = move |seen: &Seen, out: &mut Out<Scripted>| match *seen {
            Start(_) if index == 0 => out.send(Id::from(1), 1),
            Message(from, n) if n < 100 => out.send(Id::from(from), n + 1),
            _ => (),
        };
        let sender = sender.clone();
        let observer = move |state: &Vec<Seen>| drop(sender.send((index, state.clone())));
        spawn(Scripted::new(react), config, observer).unwrap()
    });
    let handles: Vec<_> = handles.collect();
    let odd = (1..100).step_by(2).map(|n| Message(0, n));
    let expected: Vec<_> = std::iter::once(Start(None)).chain(odd).collect();
    loop {
        let (index, state) = states.recv_timeout(5000 * MS).unwrap();
        if index == 1 && state.len() == expected.len() {
            assert_eq!(state, expected);
            break;
        }
    }
    for handle in handles {
        handle.stop();
        let counters = handle.join().unwrap();
        assert_eq!(counters.sent, 50);
        assert_eq!(counters.dropped.total(), 0);
    }
}

#[test]
fn two_nodes_play_ping_pong_over_ipv4() {
    play_ping_pong("127.0.0.1:0");
}

#[test]
fn two_nodes_play_ping_pong_over_ipv6() {
    match UdpSocket::bind("[::1]:0") {
        Ok(_) => play_ping_pong("[::1]:0"),
        Err(error) => eprintln!("skipped: no IPv6 here: {error}"),
    }
}

#[test]
fn a_restarted_node_starts_from_what_it_saved() {
    let (_directory, path) = path();
    let run = |n| {
        let storage = Some(path.clone());
        let rig = start(save_then_echo, |config| config.storage = storage).unwrap();
        let first = rig.until(|_| true);
        rig.send(n);
        assert_eq!(rig.receive(), Some(n));
        (first, rig.stop().saves)
    };
    assert_eq!(run(5), (vec![Start(None)], 1));
    assert_eq!(run(6), (vec![Start(Some(5))], 1));
    assert_eq!(run(6), (vec![Start(Some(6))], 0));
}

#[test]
fn a_save_is_durable_before_the_following_send_leaves() {
    let (rig, _directory, path) = stored(save_then_echo);
    for n in 1..=100 {
        rig.send(n);
        assert_eq!(rig.receive(), Some(n));
        assert_eq!(on_disk(&path), Some(n));
    }
    assert_eq!(rig.stop().saves, 100);
}

#[test]
fn a_failed_save_stops_the_node_and_nothing_is_sent() {
    let (rig, _directory, path) = stored(save_then_echo);
    rig.send(1);
    assert_eq!(rig.receive(), Some(1));
    rig.send(UNSAVABLE);
    assert!(rig.hears_nothing());
    let seen = rig.states.try_iter().last();
    assert_eq!(seen, Some(vec![Start(None), Message(PEER, 1)]));
    let error = rig.error();
    assert!(matches!(error, Error::Unencodable { .. }), "{error}");
    assert_eq!(on_disk(&path), Some(1));
}

#[test]
fn a_step_that_sends_before_it_saves_stops_the_node_and_nothing_is_sent() {
    let (rig, _directory, path) = stored(|seen, out| {
        if let Message(from, n) = *seen {
            out.save(Number(n));
            out.send(Id::from(from), n);
            out.set_timer('a', MS..MS);
            out.save(Number(n));
        }
    });
    rig.send(1);
    assert!(rig.hears_nothing());
    let error = rig.error();
    let is_refused = matches!(error, Error::SendBeforeSave { node: NODE });
    assert!(is_refused, "{error}");
    assert_eq!(on_disk(&path), None, "nothing of the step is executed");
}

#[test]
fn the_first_step_obeys_the_same_rule() {
    let react = |_: &Seen, out: &mut Out<Scripted>| {
        out.send(Id::from(PEER), 1);
        out.save(Number(1));
    };
    let refused = start(react, |_| ()).map(Rig::stop).unwrap_err();
    assert!(matches!(refused, Error::SendBeforeSave { .. }), "{refused}");
}

#[test]
fn a_save_without_storage_stops_the_node_and_nothing_is_sent() {
    let rig = plain(save_then_echo);
    rig.send(1);
    assert!(rig.hears_nothing());
    let error = rig.error();
    assert!(matches!(error, Error::NoStorage { node: NODE }), "{error}");
}

#[test]
fn a_node_that_is_to_forget_saves_nothing_and_goes_on() {
    let rig = start(save_then_echo, |config| config.forgets = true).unwrap();
    rig.send(1);
    assert_eq!(rig.receive_all(), Some(vec![1]));
    assert_eq!(rig.stop().saves, 1);
}

#[test]
fn a_storage_serves_one_node_at_a_time() {
    let (_directory, path) = path();
    let run = || start(echo, |config| config.storage = Some(path.clone()));
    let rig = run().unwrap();
    let refused = run().map(Rig::stop).unwrap_err();
    assert!(matches!(refused, Error::Locked { .. }), "{refused}");
    rig.stop();
    run().unwrap().stop();
}

#[test]
fn a_node_refuses_to_start_from_a_damaged_storage() {
    let (_directory, path) = path();
    let file = path.join("log-0000000000000000");
    fs::create_dir(&path).unwrap();
    fs::write(&file, b"").unwrap();
    let storage = Some(path);
    let refused = start(echo, |config| config.storage = storage).map(Rig::stop);
    let text = refused.unwrap_err().to_string();
    assert!(text.starts_with(file.to_str().unwrap()), "{text}");
    assert_eq!(fs::read(&file).unwrap(), b"", "and leaves it as it is");
}

#[test]
fn garbage_leaves_the_state_untouched_and_is_counted() {
    let rig = plain(echo);
    let valid = Rig::datagram(7, PEER, NODE, 300);
    let mut rng = SmallRng::seed_from_u64(1);
    for _ in 0..50 {
        let mut random = vec![0; rng.random_range(60..100)];
        rng.fill_bytes(&mut random);
        rig.send_bytes(&random);
        rig.send_bytes(&valid[..rng.random_range(0..33)]);
        let mut flipped = valid.clone();
        flipped[rng.random_range(6..valid.len())] ^= 1 << rng.random_range(0..8);
        rig.send_bytes(&flipped);
        rig.send_bytes(&Rig::datagram(8, PEER, NODE, 300));
        rig.send_bytes(&Rig::datagram(7, PEER, 3, 300));
        rig.send_bytes(&Rig::datagram(7, NODE, NODE, 300));
        rig.send_bytes(&Rig::datagram(7, 3, NODE, 300));
        // So that the socket's buffer does not overflow.
        std::thread::sleep(MS);
    }
    rig.send(1);
    assert_eq!(rig.receive(), Some(1), "no garbage was answered");
    let state = rig.until(|state| state.contains(&Message(PEER, 1)));
    assert_eq!(state, [Start(None), Message(PEER, 1)]);
    let counters = rig.stop();
    let dropped = counters.dropped;
    assert_eq!((counters.received, dropped.total()), (1, 7 * 50));
    let of_datagrams = [
        dropped.magic,
        dropped.short,
        dropped.checksum,
        dropped.cluster,
    ];
    let of_ids = [dropped.destination, dropped.forged, dropped.stranger];
    assert_eq!((of_datagrams, of_ids), ([50; 4], [50; 3]), "{counters}");
}

#[test]
#[allow(clippy::reversed_empty_ranges)]
fn timers_fire_once_unless_cancelled_and_the_last_setting_counts() {
    let begun = Instant::now();
    let rig = plain(|seen, out| match seen {
        Start(_) => {
            out.set_timer('b', 5 * MS..6 * MS);
            out.set_timer('c', 10 * MS..5 * MS);
            out.set_timer('d', 20 * MS..21 * MS);
            out.set_timer('b', 60 * MS..61 * MS);
            out.cancel_timer('d');
            out.cancel_timer('x');
            out.set_timer('e', Duration::MAX..Duration::MAX);
            out.set_timer('a', MS..MS);
        }
        Timeout('b') => out.set_timer('z', 60 * MS..61 * MS),
        _ => (),
    });
    let fired = ['a', 'c', 'b', 'z'].map(Timeout);
    let state = rig.until(|state| state.contains(&Timeout('z')));
    assert_eq!(state[1..], fired);
    assert!(begun.elapsed() >= 120 * MS);
    assert_eq!(rig.stop().timeouts, 4);
}

#[test]
fn a_timer_that_is_always_due_starves_nothing() {
    let rig = plain(|seen, out| match *seen {
        Start(_) | Timeout(_) => out.set_timer('a', Duration::ZERO..Duration::ZERO),
        Message(from, n) => out.send(Id::from(from), n),
        Choice(_) => (),
    });
    for n in 0..10 {
        rig.send(n);
        assert_eq!(rig.receive(), Some(n));
    }
    rig.stop();
}

#[test]
fn a_flood_of_datagrams_starves_no_timer_and_no_stop() {
    let rig = plain(|seen, out| match *seen {
        Start(_) | Timeout(_) => out.set_timer('a', 5 * MS..6 * MS),
        _ => (),
    });
    let flood = Rig::datagram(8, PEER, NODE, 1);
    let begun = Instant::now();
    let ended = Instant::now() + 300 * MS;
    while Instant::now() < ended {
        for _ in 0..100 {
            rig.send_bytes(&flood);
        }
    }
    rig.handle.stop();
    for _ in 0..1000 {
        rig.send_bytes(&flood);
    }
    let counters = rig.stop();
    assert!(begun.elapsed() < 2000 * MS);
    assert!(counters.dropped.cluster > 1000, "{counters}");
    // 50 if the node had a processor for itself.
    assert!(counters.timeouts >= 10, "{counters}");
}

#[test]
fn a_choice_is_made_once_for_each_key_and_the_last_one_counts() {
    let rig = plain(|seen, out| {
        if let Start(_) = seen {
            out.choose_random("replaced", vec![1]);
            out.choose_random("replaced", vec![2]);
            out.choose_random("kept", vec![3]);
            out.choose_random("removed", vec![4]);
            out.remove_random("removed");
            out.set_timer('z', 50 * MS..51 * MS);
        }
    });
    let mut state = rig.until(|state| state.contains(&Timeout('z')));
    assert_eq!(state.pop(), Some(Timeout('z')));
    state[1..].sort_by_key(|seen| matches!(seen, Choice(3)));
    assert_eq!(state, [Start(None), Choice(2), Choice(3)]);
    assert_eq!(rig.stop().choices, 2);
}

#[test]
fn every_option_is_chosen_sooner_or_later() {
    let rig = plain(|seen, out| match seen {
        Start(_) | Choice(_) => out.choose_random("any", vec![1, 2, 3]),
        _ => (),
    });
    rig.until(|state| [1, 2, 3].iter().all(|n| state.contains(&Choice(*n))));
    rig.stop();
}

#[test]
fn messages_to_itself_arrive_in_order_and_never_touch_the_socket() {
    let react = |seen: &Seen, out: &mut Out<Scripted>| {
        if let Start(_) = seen {
            (0..5).for_each(|n| out.send(Id::from(NODE), n));
        }
    };
    let rig = start(react, |config| config.faults.loss = 1.0).unwrap();
    let state = rig.until(|state| state.len() == 6);
    assert_eq!(state[1..], [0, 1, 2, 3, 4].map(|n| Message(NODE, n)));
    let counters = rig.stop();
    assert_eq!((counters.own, counters.sent, counters.lost), (5, 0, 0));
}

#[test]
fn a_node_that_talks_to_itself_still_listens() {
    let rig = plain(|seen, out| match *seen {
        Start(_) => out.send(Id::from(NODE), 0),
        Message(from, n) => out.send(Id::from(from), n),
        _ => (),
    });
    for n in 1..10 {
        rig.send(n);
        assert_eq!(rig.receive(), Some(n));
    }
    rig.stop();
}

#[test]
fn an_idle_node_sends_what_it_holds_back() {
    let rig = start(echo, |config| config.faults.reorder = 1.0).unwrap();
    rig.send(1);
    assert_eq!(rig.receive(), Some(1));
    assert_eq!(rig.stop().held, 1);
}

#[test]
fn an_idle_node_stops_at_once() {
    let rig = plain(echo);
    rig.until(|_| true);
    let begun = Instant::now();
    rig.stop();
    assert!(begun.elapsed() < 500 * MS);
}

#[test]
fn a_panic_of_the_actor_is_an_error_of_its_node() {
    let rig = plain(|seen, _| assert_eq!(*seen, Start(None)));
    rig.send(1);
    let error = rig.error().to_string();
    assert!(error.contains("Message(2, 1)"), "{error}");
}

#[test]
fn nodes_with_the_same_seed_draw_differently_and_each_draws_the_same_again() {
    let draws = |seed, id| rng_of(seed, Id::from(id)).next_u64();
    assert_eq!(draws(0, 1), draws(0, 1));
    assert_ne!(draws(0, 1), draws(0, 2));
    assert_ne!(draws(0, 1), draws(1, 1));
}

#[test]
fn what_has_arrived_is_one_batch_one_save_and_one_datagram() {
    let (_directory, path) = path();
    let (mut config, peer) = bound();
    config.storage = Some(path.clone());
    let node_at = config.socket.local_addr().unwrap();
    // All datagrams arrive before the node receives for the first time.
    for n in 1..=50 {
        let datagram = Rig::datagram(7, PEER, NODE, n);
        peer.send_to(&datagram, node_at).unwrap();
    }
    let rig = start_observed(save_then_echo, config, peer, NoObserver).unwrap();
    assert_eq!(rig.receive_all(), Some((1..=50).collect()));
    assert_eq!(on_disk(&path), Some(50));
    let counters = rig.stop();
    assert_eq!((counters.received, counters.messages_received), (50, 50));
    assert_eq!((counters.sent, counters.messages_sent), (1, 50));
    assert_eq!((counters.saves, counters.batches), (1, 1), "{counters}");
}

#[test]
fn datagrams_are_no_longer_than_is_asked_for() {
    let react = |seen: &Seen, out: &mut Out<Scripted>| {
        if let Message(from, _) = *seen {
            (1000..1100).for_each(|n| out.send(Id::from(from), n));
        }
    };
    let rig = start(react, |config| config.datagram_max = 128).unwrap();
    rig.send(1);
    let mut received = Vec::new();
    while received.len() < 100 {
        let messages = rig.receive_all().unwrap();
        // A header of 30 bytes, a tag of 4, and two bytes each for the length and the number.
        assert!(messages.len() <= (128 - 34) / 4);
        received.extend(messages);
    }
    assert!(received.into_iter().eq(1000..1100));
    assert_eq!(rig.stop().sent, 5);
    for given in [127, MAX_DATAGRAM + 1] {
        let refused = start(echo, |config| config.datagram_max = given).map(Rig::stop);
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::DatagramMax { .. }), "{refused}");
    }
}

#[test]
fn who_does_not_have_the_key_is_not_heard() {
    let key = Key::new([3; 32]);
    let rig = start(echo, |config| config.key = Some(key.clone())).unwrap();
    rig.send(1);
    let codec = Codec::new(7, Id::from(PEER), Some(key.clone()));
    rig.send_bytes(&codec.datagram(NODE, &[2_u32]));
    let answer = received(&rig.peer, Some(key)).unwrap();
    assert_eq!(answer, (vec![2], rig.node_at));
    let counters = rig.stop();
    let unauthenticated = counters.dropped.unauthenticated;
    assert_eq!((counters.received, unauthenticated), (1, 1));
}

/// An observer that stops the node when its actor has seen a number.
struct Censor(u32);

impl StepObserver<Scripted> for Censor {
    fn durable(&mut self, node: Id, state: &Vec<Seen>) -> Result<(), Error> {
        match state.last() {
            Some(Message(_, n)) if *n == self.0 => Err(Error::Forgotten { node: node.into() }),
            _ => Ok(()),
        }
    }
}

#[test]
fn who_looks_on_can_stop_a_node_before_anything_leaves() {
    let (config, peer) = bound();
    let rig = start_observed(echo, config, peer, Censor(2)).unwrap();
    rig.send(1);
    assert_eq!(rig.receive(), Some(1));
    rig.send(2);
    assert!(rig.hears_nothing());
    assert!(matches!(rig.error(), Error::Forgotten { .. }));
}

#[test]
fn every_step_is_recorded_and_can_be_read_back() {
    let (directory, storage) = path();
    let trace = directory.path().join("trace");
    for round in 0..2 {
        let (mut config, peer) = bound();
        config.storage = Some(storage.clone());
        let recorder = Recorder::append_to(&trace).unwrap();
        let rig = start_observed(save_then_echo, config, peer, recorder).unwrap();
        rig.send(5 + round);
        assert_eq!(rig.receive(), Some(5 + round));
        // The step of a message that was received is in the file.
        let lines = fs::read_to_string(&trace).unwrap();
        assert_eq!(lines.lines().count(), 2 * (1 + round as usize));
        rig.stop();
    }
    let lines = fs::read_to_string(&trace).unwrap();
    let steps = lines.lines().map(|line| {
        let step: Recorded<u32, char, u8, Number> = serde_json::from_str(line).unwrap();
        assert_eq!(step.node, NODE);
        (step.event, step.saves, step.sends)
    });
    let start = |saved| (RecordedEvent::Start(saved), None, vec![]);
    let heard = |n| {
        let event = RecordedEvent::Message(PEER, n);
        (event, Some(vec![Number(n)]), vec![(PEER, n)])
    };
    let expected = [start(vec![]), heard(5), start(vec![Number(5)]), heard(6)];
    assert_eq!(steps.collect::<Vec<_>>(), expected);
}

/// The variable with the peer's address and the directory of [`a_node_to_be_killed`].
const KILLED_AT: &str = "SYNOD_TEST_KILLED_AT";

/// The number that is added to the last save in the first message of a node.
const REMEMBERS: u32 = 1_000_000;

/// A part of [`a_node_that_is_killed_forgets_nothing_that_it_has_acknowledged`], which runs this in
/// a child process, and kills it.
#[test]
#[ignore = "a part of another test"]
fn a_node_to_be_killed() {
    let Some(at) = std::env::var_os(KILLED_AT) else {
        return;
    };
    let at = at.into_string().unwrap();
    let (peer, path) = at.split_once(' ').unwrap();
    let mut config = config(peer.parse().unwrap());
    config.storage = Some(path.into());
    let react = |seen: &Seen, out: &mut Out<Scripted>| match *seen {
        Start(saved) => out.send(Id::from(PEER), REMEMBERS + saved.unwrap_or(0)),
        _ => save_then_echo(seen, out),
    };
    let handle = spawn(Scripted::new(react), config, |_| ()).unwrap();
    handle.join().unwrap();
}

#[test]
fn a_node_that_is_killed_forgets_nothing_that_it_has_acknowledged() {
    let (_directory, path) = path();
    let peer = socket();
    let at = format!("{} {}", peer.local_addr().unwrap(), path.display());
    let mut rng = SmallRng::seed_from_u64(1);
    let (mut sent, mut acknowledged) = (0, 0);
    for round in 0..12 {
        let name = "runtime::node::tests::a_node_to_be_killed";
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--ignored", "--quiet"])
            .env(KILLED_AT, &at)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        peer.set_read_timeout(Some(10_000 * MS)).unwrap();
        // The last messages of its predecessor may still be in the socket.
        let (remembered, node_at) = loop {
            let (messages, from) = received(&peer, None).expect("the node starts");
            match messages.iter().find(|n| **n >= REMEMBERS) {
                Some(n) => break (n - REMEMBERS, from),
                None => acknowledged = messages.into_iter().fold(acknowledged, u32::max),
            }
        };
        let known = acknowledged..=sent;
        assert!(
            known.contains(&remembered),
            "round {round}: {remembered}, not {known:?}"
        );
        // Messages that are lost are sent again.
        (sent, acknowledged) = (remembered, remembered);
        let killed = Instant::now() + Duration::from_micros(rng.random_range(0..30_000));
        peer.set_read_timeout(Some(MS)).unwrap();
        while Instant::now() < killed {
            while sent < acknowledged + 20 {
                sent += 1;
                let datagram = Rig::datagram(7, PEER, NODE, sent);
                peer.send_to(&datagram, node_at).unwrap();
            }
            let messages = received(&peer, None).into_iter().flat_map(|it| it.0);
            acknowledged = messages.fold(acknowledged, u32::max);
        }
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(acknowledged > 100, "hardly anything happened");
}

#[test]
fn several_nodes_share_a_thread() {
    let nodes = acquainted(3, "127.0.0.1:0").map(|(index, config)| {
        // A ball goes round 90 times; then a timer of the last player ends the game.
        let react = move |seen: &Seen, out: &mut Out<Scripted>| match *seen {
            Start(_) if index == 0 => out.send(Id::from(1), 1),
            Message(_, 90) => out.set_timer('z', 20 * MS..21 * MS),
            Message(_, n) => out.send(Id::from((index + 1) % 3), n + 1),
            _ => (),
        };
        Node::start(Scripted::new(react), config).unwrap()
    });
    let (stop, mut ended) = (Stop::new(), Vec::new());
    let begun = Instant::now();
    let counters = run_together(nodes.collect(), &stop, |id, state| {
        assert!(begun.elapsed() < 5000 * MS, "{id:?} {state:?}");
        if state.last() == Some(&Timeout('z')) {
            ended.push(usize::from(id));
            stop.stop();
        }
    });
    let counters = counters.unwrap();
    assert_eq!(ended, [0]);
    let received: Vec<_> = counters.iter().map(|it| it.received).collect();
    assert_eq!(received, [30; 3]);
    assert!(begun.elapsed() >= 20 * MS);
}
