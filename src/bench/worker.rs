//! `synod bench-process`: the nodes, the clients or the flood of a benchmark, in their process.

use super::args::{Placement, System};
use super::flood::Flood;
use super::floor::{self, Manner};
use super::load::{Load, Work};
use super::measure::{Recorder, Usage, run_on};
use super::process::{ANSWERS_WITHIN, Request, Role, Setting};
use super::spawned::{self, Addressed};
use crate::console::Error;
use crate::console::store::{CLIENTS, ClusterFile, storage};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::cell::Cell;
use std::fmt::Display;
use std::io::{BufRead, Write};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};
use synod::ballot::NodeId;
use synod::kv::Store;
use synod::multi::{Clock, Cluster, Limits, Process, Sessions};
use synod::runtime::clock::now_us;
use synod::runtime::{Handle, Key, Node, NodeConfig, Runnable, Stop, run_together, spawn};

/// Runs the process until its standard input ends.
pub(crate) fn run() -> ! {
    match serve() {
        Ok(()) => std::process::exit(0),
        Err(error) => fail(error),
    }
}

/// Ends the process and answers with the reason.
fn fail(why: impl Display) -> ! {
    answer(&Err::<(), _>(why.to_string()));
    std::process::exit(2)
}

fn answer<T: Serialize>(answer: &Result<T, String>) {
    // A parent that cannot be written to has ended, and then so does standard input.
    if let Ok(line) = serde_json::to_string(answer) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{line}").and_then(|()| out.flush());
    }
}

/// Reads a line of standard input, or `None` at its end.
fn read<T: DeserializeOwned>() -> Result<Option<T>, Error> {
    let mut line = String::new();
    let length = std::io::stdin().lock().read_line(&mut line);
    match length.map_err(Error::failed)? {
        0 => Ok(None),
        _ => serde_json::from_str(&line).map_err(Error::failed),
    }
}

fn serve() -> Result<(), Error> {
    let Some((setting, role)) = read::<(Setting, Role)>()? else {
        return Err(Error::Failed("only `synod bench` starts this".to_owned()));
    };
    if let Some(processor) = setting.processor {
        // This holds for all threads that are started later.
        run_on(processor).map_err(Error::failed)?;
    }
    let count = match &role {
        Role::Nodes(hosted) => hosted.len(),
        Role::Clients { count, .. } => *count,
        Role::Flood => 1,
    };
    let host = match &setting.file {
        Some(_) => "0.0.0.0:0",
        None => "127.0.0.1:0",
    };
    let sockets: Result<Vec<_>, _> = (0..count).map(|_| UdpSocket::bind(host)).collect();
    let sockets = sockets.map_err(Error::failed)?;
    let addresses: Result<Vec<_>, _> = sockets.iter().map(UdpSocket::local_addr).collect();
    answer(&Ok(addresses.map_err(Error::failed)?));
    let Some(Request::Begin(nodes)) = read()? else {
        return Ok(());
    };
    let worker = Worker { setting, nodes };
    match role {
        Role::Nodes(hosted) => {
            worker.start_nodes(hosted, sockets)?;
            report(|| {}, |usage| usage)
        }
        Role::Clients { packed, work, .. } => {
            let recorder = Recorder::new();
            for socket in sockets {
                worker.start_client(packed, work, socket, recorder.clone())?;
            }
            await_answer(&recorder)?;
            let sample = |usage| (recorder.sample(usage), recorder.leader());
            report(|| recorder.restart(), sample)
        }
        Role::Flood => sockets
            .into_iter()
            .try_for_each(|socket| worker.flood(socket)),
    }
}

/// Answers that the work has begun, and then answers requests.
fn report<T: Serialize>(mark: impl Fn(), count: impl Fn(Usage) -> T) -> Result<(), Error> {
    answer(&Ok(()));
    let mut before = Usage::now();
    while let Some(request) = read()? {
        match request {
            Request::Mark => {
                before = Usage::now();
                mark();
            }
            Request::Report => answer(&Ok(count(Usage::now().since(before)))),
            Request::Begin(_) => return Err(Error::Failed("asked to begin twice".to_owned())),
        }
    }
    Ok(())
}

fn await_answer(recorder: &Recorder) -> Result<(), Error> {
    let start = Instant::now();
    while recorder.leader().is_none() {
        if start.elapsed() > ANSWERS_WITHIN / 2 {
            let why = "no command was answered; does a majority of the nodes run?";
            return Err(Error::Failed(why.to_owned()));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Starts a thread whose end is a failure of the process.
fn start<E: Display>(run: impl FnOnce() -> Result<(), E> + Send + 'static) {
    thread::spawn(move || match run() {
        Ok(()) => fail("a thread ended too early"),
        Err(error) => fail(error),
    });
}

/// Watches over a node or client of our runtime.
fn supervise(handle: Handle) {
    start(move || handle.join().map(|_| ()));
}

fn port(socket: &UdpSocket) -> Result<u16, Error> {
    Ok(socket.local_addr().map_err(Error::failed)?.port())
}

/// The settings of a process, and the addresses of the nodes.
struct Worker {
    setting: Setting,
    nodes: Vec<SocketAddr>,
}

impl Worker {
    /// The cluster that the nodes form.
    fn cluster(&self) -> Result<Cluster<Store>, Error> {
        let initial = Sessions::new(Store::default(), 10_000);
        let usual =
            Cluster::of_replicas(self.nodes.len() as u32, initial).map_err(Error::failed)?;
        let datagram_max = self.setting.conditions.datagram_max;
        Ok(Cluster {
            limits: Limits {
                // An entry must fit into a datagram, with its headers.
                bytes_max: datagram_max.saturating_sub(200).max(128),
                ..usual.limits
            },
            ..usual
        })
    }

    /// The configuration of a node or client of Synod.
    fn configure(&self, id: usize, socket: UdpSocket) -> Result<NodeConfig, Error> {
        let conditions = &self.setting.conditions;
        let mut config = NodeConfig::new(id.into(), socket);
        config.cluster = self.setting.cluster;
        config.key = conditions.authenticated.then(|| Key::new([7; 32]));
        let nodes = self.nodes.iter().copied().enumerate();
        config.peers = nodes.map(|(id, at)| (id.into(), at)).collect();
        config.datagram_max = conditions.datagram_max;
        config.spin = Duration::from_micros(conditions.spin_us);
        config.faults = conditions.faults.parse().map_err(Error::failed)?;
        config.seed = rand::random();
        if let Some(path) = &self.setting.file {
            ClusterFile::read(path)?.configure(&mut config)?;
        }
        Ok(config)
    }

    /// The way in which the floor uses datagrams.
    fn manner(&self) -> Manner {
        let Setting {
            packs, directory, ..
        } = &self.setting;
        // A node that must sync does so once for all that has arrived.
        let handles_together = *packs || directory.is_some();
        Manner {
            batch: if handles_together { 64 } else { 1 },
            messages: if *packs { usize::MAX } else { 1 },
            datagram: self.setting.conditions.datagram_max,
            spin: Duration::from_micros(self.setting.conditions.spin_us),
        }
    }

    fn start_nodes(
        &self,
        hosted: std::ops::Range<usize>,
        sockets: Vec<UdpSocket>,
    ) -> Result<(), Error> {
        let cluster = Arc::new(self.cluster()?);
        let directory = &self.setting.directory;
        let mut together = Vec::new();
        for (id, socket) in hosted.zip(sockets) {
            let process = Process::Node(Arc::clone(&cluster), Clock::Real(now_us));
            match self.setting.system {
                System::Floor => {
                    let (nodes, manner) = (self.nodes.clone(), self.manner());
                    let directory = directory.clone();
                    start(move || floor::serve(socket, id, &nodes, manner, directory.as_deref()));
                }
                System::Stateright => self.start_spawned(process, socket, directory.is_some())?,
                System::Synod => {
                    let mut config = self.configure(id, socket)?;
                    config.dynamic = CLIENTS;
                    config.forgets = directory.is_none();
                    config.storage = directory.as_ref().map(|it| storage(it, id));
                    match self.setting.conditions.placement {
                        Placement::Together => together.push((process, config)),
                        _ => supervise(spawn(process, config, |_| {}).map_err(Error::failed)?),
                    }
                }
            }
        }
        if !together.is_empty() {
            start(move || {
                let nodes = together.into_iter();
                let nodes = nodes.map(|(process, config)| Node::start(process, config));
                let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
                run_together(nodes, &Stop::new(), |_, _| {}).map(|_| ())
            });
        }
        Ok(())
    }

    /// Starts an actor under `stateright::actor::spawn`, which opens the port itself.
    fn start_spawned<A>(&self, actor: A, socket: UdpSocket, saves: bool) -> Result<(), Error>
    where
        A: Runnable + Send,
        A::Msg: Send,
    {
        let port = port(&socket)?;
        drop(socket);
        let actor = Addressed {
            actor,
            nodes: self.nodes.iter().map(SocketAddr::port).collect(),
            saves,
        };
        start(move || spawned::run(actor, port));
        Ok(())
    }

    fn start_client(
        &self,
        packed: bool,
        work: Work,
        socket: UdpSocket,
        recorder: Recorder,
    ) -> Result<(), Error> {
        let mut load = Load {
            nodes: (0..self.nodes.len() as u32).map(NodeId).collect(),
            work,
            recorder,
        };
        match self.setting.system {
            System::Floor => {
                let (leader, manner) = (self.nodes[0], self.manner());
                start(move || floor::ask(socket, leader, work, manner, &load.recorder));
                Ok(())
            }
            System::Stateright => self.start_spawned(load, socket, false),
            System::Synod => {
                let id = CLIENTS.start + usize::from(port(&socket)?);
                let mut config = self.configure(id, socket)?;
                config.messages_max = if packed { usize::MAX } else { 1 };
                load.nodes = config.peers.keys().map(|node| (*node).into()).collect();
                supervise(spawn(load, config, |_| {}).map_err(Error::failed)?);
                Ok(())
            }
        }
    }

    /// Floods the nodes, and counts the datagrams.
    fn flood(&self, socket: UdpSocket) -> Result<(), Error> {
        let id = CLIENTS.start + usize::from(port(&socket)?);
        let mut config = self.configure(id, socket)?;
        config.key = Some(Key::new([0; 32]));
        config.messages_max = 1;
        let nodes = self.nodes.len();
        let handle = spawn(Flood { nodes }, config, |_| {}).map_err(Error::failed)?;
        let (counters, before) = (handle.counters(), Cell::new(0));
        supervise(handle);
        let sent = || counters.get().sent;
        report(|| before.set(sent()), |_| sent() - before.get())
    }
}
