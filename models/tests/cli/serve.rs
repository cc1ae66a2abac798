//! Real processes: nodes that serve a store, clients that use it, and what is refused.

use super::command::{Running, damage, log, piped};
use super::run::{run, run_args};
use super::support::Output;
use stateright::actor::{Actor, Id, Out};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::kv;
use synod::multi::{
    Client, Durable, Log, Outcome, Process, ProcessState, ReadMode, Slot, Snapshot, Task,
};
use synod::runtime::{Handle, NodeConfig, spawn, spawn_observed};
use tempfile::TempDir;

/// How long anything may take on a machine that is busy with other things.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The number of the cluster of the tests.
pub(super) const CLUSTER: u64 = 77;

/// The key that its members have.
pub(super) const KEY: [u8; 32] = *b"a key that only the members have";

/// A cluster of real processes, and the file that describes it.
pub(super) struct Store {
    directory: TempDir,
    pub(super) addresses: Vec<SocketAddr>,
    nodes: BTreeMap<usize, Served>,
}

/// A node's process, and the lines that it prints.
struct Served {
    process: Running,
    lines: Receiver<String>,
}

impl Store {
    /// Nothing runs yet.
    pub(super) fn new(nodes: usize) -> Self {
        // Others may take the ports in between; that has not been seen, and would be an error.
        let bind = |_| UdpSocket::bind("127.0.0.1:0").expect("a free port");
        let sockets: Vec<_> = (0..nodes).map(bind).collect();
        let addresses = sockets.iter().map(|it| it.local_addr().expect("bound"));
        let store = Store {
            addresses: addresses.collect(),
            directory: tempfile::tempdir().expect("a temporary directory"),
            nodes: BTreeMap::new(),
        };
        store.write(&store.file());
        store
    }

    /// What the file says.
    fn file(&self) -> String {
        let key: String = KEY.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut text = format!("cluster = {CLUSTER}\nkey = \"{key}\"\ndata = \"data\"\n");
        for (id, address) in self.addresses.iter().enumerate() {
            text += &format!("[[nodes]]\nid = {id}\naddress = \"{address}\"\n");
        }
        text
    }

    fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("written");
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("cluster.toml")
    }

    /// The arguments that name the file, after others.
    fn with(&self, args: &[&str]) -> Vec<String> {
        let file = self.path().display().to_string();
        let args = args.iter().map(|arg| (*arg).to_owned());
        args.chain(["--config".to_owned(), file]).collect()
    }

    /// Runs `synod`, which must exit with this status.
    fn run(&self, code: i32, args: &[&str]) -> Output {
        run_args(code, &self.with(args))
    }

    /// Runs `synod kv`, which must exit like this, and returns what it prints.
    pub(super) fn kv(&self, args: &str, code: i32) -> String {
        let args: Vec<&str> = ["kv"].into_iter().chain(args.split(' ')).collect();
        let output = self.run(code, &[args.as_slice(), &["--timeout-s", "60"]].concat());
        let told = format!("{}{}", output.stdout, output.stderr);
        told.trim().to_owned()
    }

    pub(super) fn start(&mut self, id: usize) {
        let args = self.with(&["serve", "--node", &id.to_string()]);
        let mut child = piped(&args);
        let stdout = child.stdout.take().expect("piped");
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let lines = BufReader::new(stdout).lines().map_while(Result::ok);
            // Nobody listens any more once the test is over.
            lines.for_each(|line| drop(sender.send(line)));
        });
        let process = Running(child);
        self.nodes.insert(id, Served { process, lines });
    }

    /// The node that leads, as soon as one says so.
    fn leader(&self) -> usize {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            for (id, node) in &self.nodes {
                if node.lines.try_iter().any(|line| line.starts_with("leads")) {
                    return *id;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("nobody leads");
    }

    /// Kills a node without a warning.
    pub(super) fn kill(&mut self, id: usize) {
        self.nodes.remove(&id).expect("it runs");
    }

    fn storage(&self, id: usize) -> PathBuf {
        let data = self.directory.path().join("data");
        data.join(format!("node-{id}.storage"))
    }

    /// `synod serve`, which must refuse to start a node, with these words, and change nothing.
    fn refuses(&self, node: &str, hints: &[&str]) {
        let before = contents(self.directory.path());
        self.run(2, &["serve", "--node", node]).complains(hints);
        let is_same = contents(self.directory.path()) == before;
        assert!(is_same, "something was changed");
    }
}

/// Every file below a directory that has something in it.
fn contents(path: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(path).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            let content = std::fs::read(&path).expect("readable");
            found.insert(path, content);
        }
    }
    found.retain(|_, content| !content.is_empty());
    found
}

#[test]
fn a_store_survives_the_death_of_its_leader() {
    let mut store = Store::new(3);
    (0..3).for_each(|id| store.start(id));
    assert_eq!(store.kv("put colour red", 0), "was ∅");
    let leader = store.leader();
    store.kill(leader);
    assert_eq!(store.kv("get colour", 0), "red");
    let swapped = store.kv("cas colour green --expected red", 0);
    assert_eq!(swapped, "was \"red\"");
    store.start(leader);
    for read in ["log", "index", "lease"] {
        assert_eq!(store.kv(&format!("get colour --read {read}"), 0), "green");
    }
    // Both that were up all the time are gone: what is there is what the third has caught up with.
    let others: Vec<usize> = (0..3).filter(|id| *id != leader).collect();
    store.kill(others[0]);
    assert_eq!(store.kv("get colour", 0), "green");
    for (words, code, part) in [
        ("cas colour blue --absent", 1, "unchanged \"green\""),
        ("get shape", 1, "there is no key \"shape\""),
        ("get colour --json", 0, r#""verdict":"done""#),
        ("get colour --json", 0, r#""value":"green""#),
    ] {
        let told = store.kv(words, code);
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(store.kv("delete colour", 0), "was \"green\"");
    store.kv("delete colour", 1);

    // A majority is gone: nothing is done, and nothing is claimed.
    store.kill(others[1]);
    let put = ["kv", "put", "colour", "grey", "--timeout-s", "1"];
    store.run(3, &put).complains(&["not known"]);
}

#[test]
fn a_node_stops_cleanly_when_it_is_told_to() {
    let mut store = Store::new(1);
    store.start(0);
    assert_eq!(store.kv("put colour red", 0), "was ∅");
    for signal in ["-TERM", "-INT"] {
        let mut node = store.nodes.remove(&0).expect("it runs");
        let id = node.process.0.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.expect("there is a kill").success());
        let status = node.process.0.wait().expect("it ends");
        assert_eq!(status.code(), Some(0));
        let lines: Vec<String> = node.lines.iter().collect();
        assert!(lines[0].starts_with("node 0 of cluster 77"), "{lines:?}");
        let leads = lines.iter().any(|line| line.starts_with("leads: node 0"));
        let stopped = lines.last().is_some_and(|it| it.starts_with("stopped"));
        assert!(leads && stopped, "{lines:?}");
        store.start(0);
        assert_eq!(store.kv("get colour", 0), "red");
    }
}

#[test]
fn a_file_that_makes_no_sense_is_refused_with_what_to_do() {
    let store = Store::new(2);
    let file = store.file();
    let [first, second] = [0, 1].map(|id| store.addresses[id].to_string());
    let late = "[times]\nheartbeat_ms = 100\n[[nodes]]\nid = 0";
    let changes: [(&str, &str, &[&str]); 10] = [
        ("id = 1", "id = 0", &["node 0 is listed"]),
        (&second, &first, &["nodes 0 and 1 are both at"]),
        (
            "cluster",
            "colour = 1\ncluster",
            &["unknown field `colour`", "line 1"],
        ),
        ("key = \"6", "key = \"", &["key", "64 hexadecimal digits"]),
        ("key = \"6", "key = \"x", &["key", "64 hexadecimal digits"]),
        ("id = 1", "id = 64", &["node 64", "0 to 63"]),
        (&second, "127.0.0.1:0", &["node 1", "127.0.0.1:0"]),
        (
            "data =",
            "datagram_max = 9\ndata =",
            &["datagram_max", "128 to 65507"],
        ),
        (
            "[[nodes]]\nid = 0",
            late,
            &["election_ms", "heartbeat_ms", "150 ms"],
        ),
        (&file, "cluster = ", &["cluster.toml", "line 1"]),
    ];
    for (part, other, hints) in changes {
        assert!(file.contains(part), "{hints:?}");
        store.write(&file.replace(part, other));
        store.refuses("0", hints);
        store.run(2, &["kv", "get", "colour"]);
    }
    store.write(&file);
    store.refuses("2", &["--node", "no node 2", "0, 1"]);
    std::fs::remove_file(store.path()).expect("it was there");
    store.refuses("0", &["cluster.toml", "synod config"]);
}

#[test]
fn what_is_too_long_is_refused_before_it_is_sent() {
    let store = Store::new(1);
    let (key, value) = ("k".repeat(257), "v".repeat(1025));
    store.run(2, &["kv", "get", &key]).complains(&["256"]);
    store.run(2, &["kv", "put", &key, "v"]).complains(&["256"]);
    store
        .run(2, &["kv", "put", "k", &value])
        .complains(&["1024"]);
}

#[test]
fn an_example_is_written_once_and_serves() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let words = format!("config --dir {} --nodes", directory.path().display());
    let write = |code| run(code, &format!("{words} 1 --address 127.0.0.1:1"));
    write(0);
    let file = directory.path().join("cluster.toml");
    let written = std::fs::read_to_string(&file).expect("it is there");
    write(2).complains(&["cluster.toml"]);
    let after = std::fs::read_to_string(&file).expect("still there");
    assert_eq!(after, written);
    run(2, &format!("{words} 9 --address 127.0.0.1:65530")).complains(&["--address"]);

    let mut store = Store::new(1);
    let address = store.addresses[0].to_string();
    store.write(&written.replace("127.0.0.1:1", &address));
    store.start(0);
    assert_eq!(store.kv("put colour red", 0), "was ∅");
}

/// A store of one node, which is stopped. Red is its colour.
fn coloured() -> Store {
    let mut store = Store::new(1);
    store.start(0);
    store.kv("put colour red", 0);
    store.kill(0);
    store
}

/// Red unless a store starts, and has kept its colour.
fn assert_coloured(mut store: Store) {
    store.start(0);
    assert_eq!(store.kv("get colour", 0), "red", "nothing is lost");
}

#[test]
fn the_data_of_another_cluster_or_of_other_members_is_refused() {
    let store = coloured();
    let file = store.file();
    store.write(&file.replace("cluster = 77", "cluster = 78"));
    store.refuses("0", &["cluster = 77", "cluster = 78", "`data`"]);
    store.write(&(file.clone() + "[[nodes]]\nid = 1\naddress = \"127.0.0.1:9\"\n"));
    store.refuses("0", &["nodes = [0]", "nodes = [0, 1]"]);
    store.write(&file);
    let members = store.directory.path().join("data/members.toml");
    let text = std::fs::read(&members).expect("it was written");
    std::fs::remove_file(&members).expect("it is there");
    store.refuses("0", &["members.toml", "missing"]);
    // The log knows itself whose it is.
    std::fs::write(&members, "cluster = 78\nnodes = [0]\n").expect("forged");
    store.write(&file.replace("cluster = 77", "cluster = 78"));
    store.refuses("0", &["cluster 77", "cluster 78"]);
    std::fs::write(&members, text).expect("restored");
    store.write(&file);
    assert_coloured(store);
}

#[test]
fn a_damaged_log_is_refused_and_left_alone() {
    let store = coloured();
    let log = log(&store.storage(0));
    damage(&log, |content| content[20] ^= 1);
    store.refuses("0", &["node-0.storage", "byte", "Put back"]);
    damage(&log, |content| content[20] ^= 1);
    assert_coloured(store);
}

/// Saves a snapshot that is none, as if it were what a node of the store saves.
struct Forger;

impl Actor for Forger {
    type Msg = ();
    type State = ();
    type Timer = ();
    type Random = ();
    type Storage = Durable<kv::Store>;

    fn on_start(&self, _: Id, _: &Option<Self::Storage>, out: &mut Out<Self>) {
        let (upto, bytes) = (Slot(7), [0xff; 40].as_slice().into());
        out.save(Durable {
            acceptor: None,
            ballot: None,
            snapshot: Some(Snapshot { upto, bytes }),
            log: Log::from(upto),
        });
    }
}

#[test]
fn a_snapshot_that_is_none_is_refused() {
    let store = Store::new(1);
    let data = store.directory.path().join("data");
    std::fs::create_dir(&data).expect("created");
    let members = format!("cluster = {CLUSTER}\nnodes = [0]\n");
    std::fs::write(data.join("members.toml"), members).expect("written");
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let mut config = NodeConfig::new(Id::from(0), socket);
    config.cluster = CLUSTER;
    config.storage = Some(store.storage(0));
    let handle = spawn(Forger, config, |()| {}).expect("it starts");
    handle.stop();
    handle.join().expect("it has saved");
    store.refuses("0", &["node-0.storage", "does not fit", "Put back"]);
}

#[test]
fn a_client_whose_session_is_unknown_is_told_so() {
    let mut store = Store::new(1);
    store.write(&store.file().replace("key", "# key"));
    store.start(0);
    store.kv("put colour red", 0);
    let tasks = [
        kv::Command::put("colour", "blue"),
        kv::Command::get("colour"),
    ];
    let tasks = tasks.map(|command| Task::Do(command.expect("short")));
    let told = |session, tasks: &[_]| {
        let (handle, told) = client(&store.addresses, numbered(70_000), session, tasks.to_vec());
        let mut first = std::iter::repeat_with(|| told.recv_timeout(PATIENCE).expect("an answer"));
        let first = first.find(|it| !it.is_empty());
        std::thread::sleep(Duration::from_millis(50));
        handle.stop();
        handle.join().expect("no failure");
        told.try_iter().last().or(first)
    };
    let expired = told(Some(999), &tasks);
    assert_eq!(expired, Some(vec![Outcome::Expired]), "and it stops");
    let get = Task::Read(kv::Command::get("colour").expect("short"), ReadMode::Index);
    let red = Outcome::Done(kv::Reply::Was(Some("red".into())));
    assert_eq!(told(None, &[get]), Some(vec![red]), "nothing was done");
}

/// What clients of the store ask for, and what they are told.
pub(super) type Asked = Vec<Task<kv::Command>>;
pub(super) type Told = Vec<Outcome<kv::Reply>>;

/// Starts a client of nodes 0, 1 and so on, and says what it was told so far, each time that is
/// more: whoever waits for it is late if a client only asks again and again.
pub(super) fn client(
    nodes: &[SocketAddr],
    mut config: NodeConfig,
    session: Option<u64>,
    tasks: Asked,
) -> (Handle, Receiver<Told>) {
    config.cluster = CLUSTER;
    config.peers = (0..).map(Id::from).zip(nodes.iter().copied()).collect();
    let client = Client {
        tasks,
        session,
        leaders: (0..nodes.len() as u32).map(NodeId).collect(),
        is_loyal: false,
        backoff: Backoff::default(),
    };
    let (sender, told) = channel();
    let mut known = 0;
    let watch = move |_: Id, state: &ProcessState<kv::Store>| {
        let replies = state.client().map(|client| client.replies.clone());
        let news = replies.filter(|it| it.len() > std::mem::replace(&mut known, it.len()));
        // Nobody listens any more to what comes late.
        let _ = news.map(|it| sender.send(it));
    };
    let handle = spawn_observed(Process::Client(client), config, watch, |_| {});
    (handle.expect("a client starts"), told)
}

/// The configuration of a client with this number.
pub(super) fn numbered(id: u32) -> NodeConfig {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    NodeConfig::new(NodeId(id).into(), socket)
}

#[test]
fn the_play_of_the_store_ends_well_on_a_bad_network_too() {
    for faults in ["", "loss=0.2,dup=0.2,reorder=0.2"] {
        let args = ["cluster", "multi", "--seed", "1", "--timeout-s", "60"];
        run_args(0, &[&args[..], &["--faults", faults]].concat()).prints(&[
            "leads in ballot",
            "is killed",
            "failover: node",
            "by lease → was",
            "restarts from its disk",
            "a linearizable history of",
            "the same log on 3 nodes",
        ]);
    }
}

#[test]
fn the_play_of_the_store_remembers_in_its_directory() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let dir = format!("--dir {} --nodes 1", directory.path().display());
    let play = || {
        let output = run(0, &format!("cluster multi {dir} --timeout-s 60"));
        let told = |client: &str| {
            let mut lines = output.stdout.lines();
            let line = lines.find_map(|line| line.split_once(client).map(|(_, rest)| rest));
            line.expect("a line of the client").to_owned()
        };
        (told("client 0: "), told("client 1: put \"colour\" "))
    };
    let (found, put) = play();
    assert!(found.ends_with("was ∅"), "{found}");
    let put = put.split(' ').next().expect("a value").to_owned();
    let (found, _) = play();
    assert!(found.ends_with(&format!("was {put}")), "{found}, not {put}");
    run(2, &format!("cluster basic {dir}")).complains(&["synod cluster multi"]);
}
