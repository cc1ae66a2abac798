//! Processes that play nodes and clients, and how they are told what to do.
//!
//! A process reads what it is from its standard input, as a line of JSON, and then what to do; it
//! answers on its standard output. It ends when nobody tells it anything any more.

use super::super::Error;
use super::super::config::ClusterFile;
use super::flood::Flood;
use super::floor::{self, Manner};
use super::load::{Load, Work};
use super::measure::{self, Recorder, Sample, Usage};
use super::spawned::{self, Addressed, CLIENTS};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};
use synod::ballot::NodeId;
use synod::kv::Store;
use synod::multi::{Clock, Cluster, Limits, Process as Node, Sessions};
use synod::runtime::clock::now_us;
use synod::runtime::{Key, Node as Running, NodeConfig, Stop, run_together, spawn};

/// How long a process may take to answer, whatever it is asked.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in super::super) enum System {
    /// Multi-Paxos on our runtime.
    Synod,
    /// The same messages on raw sockets, without a protocol.
    Floor,
    /// The same actors under `stateright::actor::spawn`.
    Stateright,
}

impl System {
    pub(super) fn name(self) -> &'static str {
        match self {
            System::Synod => "synod",
            System::Floor => "floor",
            System::Stateright => "stateright",
        }
    }
}

/// What nodes and clients of a cluster have in common.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Setting {
    pub(super) system: System,
    /// Of the floor: whether datagrams are handled together and shared.
    pub(super) packs: bool,
    pub(super) cluster: u64,
    pub(super) authenticates: bool,
    pub(super) datagram_max: usize,
    pub(super) spin_us: u64,
    /// In words.
    pub(super) faults: String,
    /// The only processor to run on; any if none.
    pub(super) processor: Option<usize>,
    /// Where nodes save; what they save is thrown away if nowhere.
    pub(super) directory: Option<PathBuf>,
    /// A cluster that runs already.
    pub(super) file: Option<PathBuf>,
}

/// What a process is to play.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Part {
    /// Nodes from one index to another.
    Nodes {
        setting: Setting,
        hosted: std::ops::Range<usize>,
        /// On one thread.
        together: bool,
    },
    Clients {
        setting: Setting,
        /// Whether their messages share datagrams.
        packed: bool,
        clients: usize,
        work: Work,
    },
    /// A stranger without the key.
    Flood { setting: Setting },
}

impl Part {
    fn setting(&self) -> &Setting {
        match self {
            Part::Nodes { setting, .. } | Part::Clients { setting, .. } => setting,
            Part::Flood { setting } => setting,
        }
    }
}

/// What a process is told.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Told {
    /// Where the nodes are.
    Nodes(Vec<SocketAddr>),
    /// From now on it counts.
    Mark,
    Report,
}

/// What a process says.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// Where it listens.
    Bound(Vec<SocketAddr>),
    /// A command was answered.
    Ready,
    /// What nodes took since the mark.
    Used(Usage),
    /// How many datagrams a flood had since the mark.
    Sent(u64),
    /// What clients measured since the mark, and who leads.
    Measured(Sample, Option<usize>),
    Failed(String),
}

/// A process, as whoever started it sees it. It is killed when it is dropped.
pub(super) struct Process {
    child: Child,
    stdin: ChildStdin,
    answers: Receiver<Said>,
    what: &'static str,
}

impl Process {
    pub(super) fn start(part: &Part) -> Result<Self, Error> {
        let what = match part {
            Part::Nodes { .. } => "a node",
            Part::Clients { .. } => "the clients",
            Part::Flood { .. } => "the flood",
        };
        let fail = |error| Error::Other(format!("cannot start {what} as a process: {error}"));
        let mut command = Command::new(std::env::current_exe().map_err(fail)?);
        if let Part::Nodes { setting, .. } = part {
            // `stateright::actor::spawn` saves there.
            command.current_dir(setting.directory.as_deref().unwrap_or(".".as_ref()));
        }
        command.arg("bench-process");
        if part.setting().system == System::Stateright {
            // A panic of `spawn` is told as a failure.
            command.stderr(Stdio::null());
        }
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().map_err(fail)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::Other(format!("{what} has no pipes")));
        };
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let said = line.ok().and_then(|line| serde_json::from_str(&line).ok());
                if said.is_none_or(|said| sender.send(said).is_err()) {
                    return;
                }
            }
        });
        let mut process = Process {
            child,
            stdin,
            answers,
            what,
        };
        process.write(part)?;
        Ok(process)
    }

    fn write(&mut self, what: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_string(what).map_err(Error::other)?;
        let written = writeln!(self.stdin, "{line}");
        written.map_err(|error| Error::Other(format!("{} is gone: {error}", self.what)))
    }

    pub(super) fn tell(&mut self, told: &Told) -> Result<(), Error> {
        self.write(told)
    }

    pub(super) fn hear(&mut self) -> Result<Said, Error> {
        let what = self.what;
        match self.answers.recv_timeout(PATIENCE) {
            Ok(Said::Failed(why)) => Err(Error::Other(format!("{what} failed: {why}"))),
            Ok(said) => Ok(said),
            Err(RecvTimeoutError::Timeout) => {
                let seconds = PATIENCE.as_secs();
                Err(Error::Other(format!("{what} said nothing for {seconds} s")))
            }
            Err(RecvTimeoutError::Disconnected) => {
                Err(Error::Other(format!("{what} ended before its time")))
            }
        }
    }

    /// Where it listens, which it says first.
    pub(super) fn bound(&mut self) -> Result<Vec<SocketAddr>, Error> {
        match self.hear()? {
            Said::Bound(addresses) => Ok(addresses),
            other => Err(Error::Other(format!("{} said {other:?}", self.what))),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `synod bench-process`: plays a part.
pub(in super::super) fn play() -> ! {
    let failed = match perform() {
        Ok(()) => std::process::exit(0),
        Err(error) => error,
    };
    fail(failed)
}

/// Ends the process, and says why.
fn fail(why: String) -> ! {
    say(&Said::Failed(why));
    std::process::exit(2)
}

fn say(said: &Said) {
    // If nobody hears it, nobody tells us anything any more either, which is the end.
    if let Ok(line) = serde_json::to_string(said) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

fn listen<T: DeserializeOwned>() -> Result<Option<T>, String> {
    let mut line = String::new();
    let length = std::io::stdin().lock().read_line(&mut line);
    if length.map_err(|error| error.to_string())? == 0 {
        return Ok(None);
    }
    let told = serde_json::from_str(&line);
    told.map(Some)
        .map_err(|error| format!("told nonsense: {error}"))
}

fn perform() -> Result<(), String> {
    let Some(part) = listen::<Part>()? else {
        return Err("started by `synod bench`, and of no use to anybody else".to_owned());
    };
    let setting = part.setting();
    let count = match &part {
        Part::Nodes { hosted, .. } => hosted.len(),
        Part::Clients { clients, .. } => *clients,
        Part::Flood { .. } => 1,
    };
    let text = |error: std::io::Error| error.to_string();
    if let Some(processor) = setting.processor {
        // For all threads that are started from here on.
        measure::run_on(processor).map_err(text)?;
    }
    let host = match &part {
        Part::Clients { setting, .. } if setting.file.is_some() => "0.0.0.0:0",
        _ => "127.0.0.1:0",
    };
    let sockets: Result<Vec<_>, _> = (0..count).map(|_| UdpSocket::bind(host)).collect();
    let sockets = sockets.map_err(text)?;
    let addresses: Result<Vec<_>, _> = sockets.iter().map(UdpSocket::local_addr).collect();
    say(&Said::Bound(addresses.map_err(text)?));
    let Some(Told::Nodes(nodes)) = listen()? else {
        return Ok(());
    };
    let recorder = Recorder::new();
    match part {
        Part::Nodes {
            setting,
            hosted,
            together,
        } => start_nodes(&setting, hosted, together, sockets, &nodes)?,
        Part::Clients {
            setting,
            packed,
            work,
            ..
        } => {
            for socket in sockets {
                start_client(&setting, packed, work, socket, &nodes, &recorder)?;
            }
            await_answer(&recorder)?;
            say(&Said::Ready);
            return report(
                |before| Said::Measured(recorder.sample(before), recorder.leader()),
                || {
                    recorder.restart();
                },
            );
        }
        Part::Flood { setting } => {
            let socket = sockets.into_iter().next().ok_or("no socket")?;
            return flood(&setting, socket, &nodes);
        }
    }
    report(|before| Said::Used(Usage::now().since(before)), || {})
}

/// Reports what happened since the last mark, whenever asked to.
fn report(result: impl Fn(Usage) -> Said, mark: impl Fn()) -> Result<(), String> {
    let mut before = Usage::now();
    while let Some(told) = listen()? {
        match told {
            Told::Mark => {
                before = Usage::now();
                mark();
            }
            Told::Report => say(&result(before)),
            Told::Nodes(_) => return Err("told twice where the nodes are".to_owned()),
        }
    }
    Ok(())
}

fn await_answer(recorder: &Recorder) -> Result<(), String> {
    let start = Instant::now();
    while recorder.leader().is_none() {
        if start.elapsed() > PATIENCE / 2 {
            return Err("no command was answered; does a majority of the nodes run?".to_owned());
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// The cluster that all nodes are of.
fn cluster(setting: &Setting, size: usize) -> Result<Cluster<Store>, String> {
    let initial = Sessions::new(Store::default(), 10_000);
    let size = u32::try_from(size).map_err(|error| error.to_string())?;
    let usual = Cluster::of_replicas(size, initial).map_err(|error| error.to_string())?;
    Ok(Cluster {
        limits: Limits {
            // So that an entry fits into a datagram, with what is around it.
            bytes_max: setting.datagram_max.saturating_sub(200).max(128),
            ..usual.limits
        },
        ..usual
    })
}

/// What nodes and clients are configured alike.
fn configure(
    setting: &Setting,
    config: &mut NodeConfig,
    nodes: &[SocketAddr],
) -> Result<(), String> {
    config.cluster = setting.cluster;
    config.key = setting.authenticates.then(|| Key::new([7; 32]));
    config.peers = nodes
        .iter()
        .enumerate()
        .map(|(id, at)| (id.into(), *at))
        .collect();
    config.datagram_max = setting.datagram_max;
    config.spin = Duration::from_micros(setting.spin_us);
    config.faults = setting.faults.parse().map_err(|error| format!("{error}"))?;
    config.seed = rand::random();
    Ok(())
}

/// How the floor uses datagrams.
fn manner(setting: &Setting) -> Manner {
    let messages = if setting.packs { usize::MAX } else { 1 };
    // Who must sync does it for all that is there at once, however plain.
    let handles_together = setting.packs || setting.directory.is_some();
    let batch = if handles_together { 64 } else { 1 };
    Manner {
        batch,
        messages,
        datagram: setting.datagram_max,
        spin: Duration::from_micros(setting.spin_us),
    }
}

/// Runs something that only ends if it fails, beside everything else.
fn beside<E: std::fmt::Display>(run: impl FnOnce() -> Result<(), E> + Send + 'static) {
    thread::spawn(move || match run() {
        Ok(()) => fail("a part ended before its time".to_owned()),
        Err(error) => fail(error.to_string()),
    });
}

fn start_nodes(
    setting: &Setting,
    hosted: std::ops::Range<usize>,
    together: bool,
    sockets: Vec<UdpSocket>,
    nodes: &[SocketAddr],
) -> Result<(), String> {
    let cluster = Arc::new(cluster(setting, nodes.len())?);
    let mut running = Vec::new();
    for (id, socket) in hosted.zip(sockets) {
        let node = Node::Node(Arc::clone(&cluster), Clock::Real(now_us));
        match setting.system {
            System::Floor => {
                let (nodes, manner) = (nodes.to_vec(), manner(setting));
                let directory = setting.directory.clone();
                beside(move || floor::serve(socket, id, &nodes, manner, directory.as_deref()));
            }
            System::Stateright => start_spawned(node, socket, nodes, setting.directory.is_some()),
            System::Synod => {
                let mut config = NodeConfig::new(id.into(), socket);
                configure(setting, &mut config, nodes)?;
                config.dynamic = CLIENTS..2 * CLIENTS;
                config.forgets = setting.directory.is_none();
                let directory = setting.directory.as_ref();
                config.storage = directory.map(|it| super::super::cluster::storage(it, id));
                running.push((node, config));
            }
        }
    }
    if together {
        beside(move || {
            let started = running
                .into_iter()
                .map(|(node, config)| Running::start(node, config));
            let started = started.collect::<Result<Vec<_>, _>>()?;
            run_together(started, &Stop::new(), |_, _| {}).map(|_| ())
        });
        return Ok(());
    }
    for (node, config) in running {
        let handle = spawn(node, config, |_| {}).map_err(|error| error.to_string())?;
        beside(move || handle.join().map(|_| ()));
    }
    Ok(())
}

/// Gives the port up, for `spawn` opens it itself.
fn start_spawned<A>(actor: A, socket: UdpSocket, nodes: &[SocketAddr], saves: bool)
where
    A: synod::runtime::Runnable + Send,
    A::Msg: Send,
{
    let port = socket.local_addr().map(|at| at.port()).unwrap_or_default();
    drop(socket);
    let nodes = nodes.iter().map(SocketAddr::port).collect();
    let actor = Addressed {
        actor,
        nodes,
        saves,
    };
    beside(move || spawned::run(actor, port));
}

/// Floods the nodes, and counts.
fn flood(setting: &Setting, socket: UdpSocket, nodes: &[SocketAddr]) -> Result<(), String> {
    let port = socket.local_addr().map(|at| at.port());
    let id = CLIENTS + usize::from(port.map_err(|error| error.to_string())?);
    let mut config = NodeConfig::new(id.into(), socket);
    configure(setting, &mut config, nodes)?;
    config.key = Some(Key::new([0; 32]));
    config.messages_max = 1;
    let nodes = nodes.len();
    let handle = spawn(Flood { nodes }, config, |_| {}).map_err(|error| error.to_string())?;
    let (counters, before) = (handle.counters(), Cell::new(0));
    beside(move || handle.join().map(|_| ()));
    let sent = || counters.get().sent;
    report(|_| Said::Sent(sent() - before.get()), || before.set(sent()))
}

fn start_client(
    setting: &Setting,
    packed: bool,
    work: Work,
    socket: UdpSocket,
    nodes: &[SocketAddr],
    recorder: &Recorder,
) -> Result<(), String> {
    let recorder = recorder.clone();
    let port = socket
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    let load = Load {
        nodes: (0..nodes.len() as u32).map(NodeId).collect(),
        work,
        recorder: recorder.clone(),
    };
    match setting.system {
        System::Floor => {
            let (leader, manner) = (nodes[0], manner(setting));
            beside(move || floor::ask(socket, leader, work, manner, &recorder));
        }
        System::Stateright => start_spawned(load, socket, nodes, false),
        System::Synod => {
            let id = CLIENTS + usize::from(port);
            let mut config = NodeConfig::new(id.into(), socket);
            configure(setting, &mut config, nodes)?;
            let mut load = load;
            if let Some(file) = &setting.file {
                let file = ClusterFile::read(file).map_err(|error| error.to_string())?;
                file.configure(&mut config)
                    .map_err(|error| error.to_string())?;
                load.nodes = file.ids().map(NodeId).collect();
            }
            config.messages_max = if packed { usize::MAX } else { 1 };
            let handle = spawn(load, config, |_| {}).map_err(|error| error.to_string())?;
            beside(move || handle.join().map(|_| ()));
        }
    }
    Ok(())
}
