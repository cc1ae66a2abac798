//! Clusters on this machine, over UDP, with a node that is killed and restarted.

use super::decree::Decree;
use crate::console::output::{Output, bad, bold, dim, good, warn};
use crate::console::store::storage;
use crate::console::{Error, Exit, temporary};
use clap::Args;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use stateright::actor::{Actor, Id};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use synod::certify::{File, ProtocolKind, Run};
use synod::quorum::AcceptorSet;
use synod::runtime::Faults;
use synod::runtime::{Counters, Handle, NodeConfig, Recorder, Runnable, spawn_observed};
use tempfile::TempDir;

/// The settings of a cluster on this machine.
#[derive(Debug, Args)]
pub struct ClusterArgs {
    /// Nodes, each of which plays all roles.
    #[arg(long, value_name = "N", default_value_t = 3)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(super) nodes: u32,
    /// Directory in which the nodes keep their state; a temporary directory if not given. A cluster
    /// that is run again in the same directory remembers what it decided.
    #[arg(long, value_name = "DIR")]
    pub(super) dir: Option<PathBuf>,
    /// Faults of datagrams: the probabilities of loss, duplication and reordering, all or
    /// some of them. None if not given.
    #[arg(long, value_name = "loss=P,dup=P,reorder=P")]
    #[arg(default_value = "", hide_default_value = true)]
    pub(super) faults: Faults,
    /// History every step of every process in a file of this directory, as a line of JSON.
    #[arg(long, value_name = "DIR")]
    pub(super) trace: Option<PathBuf>,
    /// Determines the faults, the timeouts, and which node is killed when; drawn if not given.
    #[arg(long, value_name = "K")]
    pub(super) seed: Option<u64>,
    /// Give up, with exit status 3, after so many seconds.
    #[arg(long, value_name = "S", default_value_t = 30)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(super) timeout_s: u64,
}

/// The values that clients propose: one each.
const VALUES: [&str; 2] = ["red", "blue"];

/// The time that a killed node stays down.
const DOWN: Duration = Duration::from_millis(60);

/// The place of a cluster: its directory, its number, and the seed of its faults.
pub(super) struct Place {
    pub(super) directory: PathBuf,
    pub(super) run: Run,
    pub(super) seed: u64,
    /// Removed with the directory that it is.
    _temporary: Option<TempDir>,
}

impl Place {
    /// Creates or claims the directories of a cluster.
    pub(super) fn new(
        args: &ClusterArgs,
        name: &str,
        protocol: ProtocolKind,
    ) -> Result<Self, Error> {
        let create = |directory: &Path| {
            let created = std::fs::create_dir_all(directory);
            created.map_err(|error| Error::path("create", directory, error))
        };
        args.trace.as_deref().map_or(Ok(()), create)?;
        let temporary = match &args.dir {
            Some(directory) => create(directory).map(|()| None)?,
            None => Some(temporary::directory()?),
        };
        let directory = temporary.as_ref().map(|it| it.path().to_owned());
        let directory = directory.or_else(|| args.dir.clone()).unwrap_or_default();
        let run = Run {
            cluster: claim(&directory, name, args.nodes)?,
            nodes: args.nodes,
            protocol,
        };
        if let Some(trace) = &args.trace {
            clear(trace, &run)?;
        }
        Ok(Self {
            directory,
            run,
            seed: args.seed.unwrap_or_else(rand::random),
            _temporary: temporary,
        })
    }
}

/// Runs a protocol that chooses one value.
///
/// # Errors
/// If a directory or a socket cannot be used.
pub fn one_decree<P: PaxosActor>(
    args: &ClusterArgs,
    name: &str,
    output: &mut Output,
) -> Result<Exit, Error> {
    let place = Place::new(args, name, P::KIND)?;
    let (directory, run, seed) = (place.directory.as_path(), &place.run, place.seed);
    let mut local = Local::<P>::bind(args, directory, run, seed)?;
    output.line(format_args!(
        "{} {} nodes and {} clients on loopback, which propose {}; seed {seed}, faults {}",
        bold(format_args!("{} over UDP:", P::TITLE)),
        args.nodes,
        VALUES.len(),
        VALUES.join(" and "),
        faults(args),
    ))?;
    let exit = local.play(Duration::from_secs(args.timeout_s), output);
    local.stop_all(output)?;
    exit
}

/// What is done to datagrams, in words.
pub(super) fn faults(args: &ClusterArgs) -> String {
    if args.faults == Default::default() {
        "none".to_owned()
    } else {
        args.faults.to_string()
    }
}

/// A free port on loopback.
pub(super) fn socket() -> Result<UdpSocket, Error> {
    UdpSocket::bind("127.0.0.1:0")
        .map_err(|error| Error::Failed(format!("cannot open a UDP socket on 127.0.0.1: {error}")))
}

/// What became of datagrams, in words.
pub(super) fn traffic(counters: &[Counters]) -> String {
    let mut sum = Counters::default();
    counters.iter().for_each(|counters| sum.add(counters));
    format!(
        "{} datagrams sent and {} received, {} lost, {} doubled and {} held back on purpose, \
         {} saves",
        sum.sent, sum.received, sum.lost, sum.duplicated, sum.held, sum.saves,
    )
}

/// Sees to it that a directory is used by clusters of one protocol and size only: the quorums of
/// another size need not meet those that voted before, and two values could be chosen. Returns the
/// number by which traces know the cluster.
fn claim(directory: &Path, protocol: &str, nodes: u32) -> Result<u64, Error> {
    let file = directory.join("cluster.toml");
    let fail = |error: &dyn std::fmt::Display| {
        Error::Failed(format!("cannot use {}: {error}", file.display()))
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => {
            let claim: Claim = toml::from_str(&text).map_err(|error| fail(&error))?;
            if (claim.nodes, claim.protocol.as_str()) == (nodes, protocol) {
                return Ok(claim.cluster.into());
            }
            Err(Error::Failed(format!(
                "{} holds the state of `synod cluster {} --nodes {}`; pass that, or another --dir",
                directory.display(),
                claim.protocol,
                claim.nodes
            )))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            // Votes without a word of whose they are: to guess could choose two values.
            let is_used =
                (0..AcceptorSet::CAPACITY as usize).any(|id| storage(directory, id).exists());
            if is_used {
                return Err(fail(&"it is missing, but there are storages beside it"));
            }
            let cluster: u32 = rand::random();
            let text = format!("protocol = \"{protocol}\"\nnodes = {nodes}\ncluster = {cluster}\n");
            std::fs::write(&file, text).map_err(|error| fail(&error))?;
            Ok(cluster.into())
        }
        Err(error) => Err(fail(&error)),
    }
}

/// Where process `id` records its steps.
pub(super) fn trace(directory: &Path, id: usize) -> PathBuf {
    directory.join(format!("process-{id}.jsonl"))
}

/// Records the steps of process `id`, if that is asked for.
pub(super) fn recorder<S>(
    args: &ClusterArgs,
    run: &Run,
    id: usize,
) -> Result<Option<Recorder<S>>, Error> {
    let Some(directory) = &args.trace else {
        return Ok(None);
    };
    let recorder = Recorder::append_to(&trace(directory, id)).map_err(Error::failed)?;
    Ok(Some(recorder.about(run)))
}

/// Sees to it that a directory has traces of one cluster only: those of others would be judged as
/// if its nodes had forgotten them.
fn clear(directory: &Path, run: &Run) -> Result<(), Error> {
    let path = trace(directory, 0);
    let file = match std::fs::read(&path) {
        Ok(bytes) => File {
            name: path.display().to_string(),
            bytes,
        },
        Err(_) => return Ok(()),
    };
    match file.run() {
        Ok(found) if found == *run => Ok(()),
        _ => Err(Error::Failed(format!(
            "{} has traces of another cluster; pass another --trace, or the --dir of that one",
            directory.display()
        ))),
    }
}

/// Whose a directory is.
#[derive(serde::Deserialize)]
struct Claim {
    protocol: String,
    nodes: u32,
    /// Drawn when the directory was first used; earlier versions did not.
    #[serde(default)]
    cluster: u32,
}

/// What a process says of itself: which value it decided.
struct News {
    id: usize,
    /// How often the process had been started: what it said before it was killed is old news.
    launch: usize,
    decided: String,
}

/// A process that chooses one value, and can be run here.
pub trait PaxosActor:
    Decree<String>
    + Runnable
    + Actor<
        Msg: Serialize + Send,
        Timer: Serialize + Send,
        State: Send + Sync,
        Random: Serialize + Send,
        Storage: Send,
    > + Clone
    + Send
{
}

impl<P> PaxosActor for P where
    P: Decree<String>
        + Runnable
        + Actor<
            Msg: Serialize + Send,
            Timer: Serialize + Send,
            State: Send + Sync,
            Random: Serialize + Send,
            Storage: Send,
        > + Clone
        + Send
{
}

/// The processes of a local cluster. Nodes come first, then clients.
struct Local<'a, P> {
    args: &'a ClusterArgs,
    directory: &'a Path,
    run: &'a Run,
    seed: u64,
    processes: Vec<P>,
    /// Kept open while a node is down: what is sent to it meanwhile arrives late, not never.
    sockets: Vec<UdpSocket>,
    peers: BTreeMap<Id, SocketAddr>,
    handles: BTreeMap<usize, Handle>,
    /// How often each process was started.
    launches: Vec<usize>,
    counters: Vec<Counters>,
    sender: Sender<News>,
    news: Receiver<News>,
    start: Instant,
    /// Who said, since it was last started, that it has decided.
    decided: BTreeSet<usize>,
    /// The first decision that anybody reported.
    value: Option<String>,
}

impl<'a, P: PaxosActor> Local<'a, P> {
    fn bind(
        args: &'a ClusterArgs,
        directory: &'a Path,
        run: &'a Run,
        seed: u64,
    ) -> Result<Self, Error> {
        let processes = P::actors(run, &VALUES.map(str::to_owned)).map_err(Error::failed)?;
        let sockets: Result<Vec<_>, _> = processes.iter().map(|_| socket()).collect();
        let sockets = sockets?;
        let mut peers = BTreeMap::new();
        for (id, socket) in sockets.iter().enumerate() {
            peers.insert(Id::from(id), socket.local_addr().map_err(Error::failed)?);
        }
        let (sender, news) = channel();
        let launches = vec![0; processes.len()];
        Ok(Self {
            args,
            directory,
            run,
            seed,
            processes,
            sockets,
            peers,
            handles: BTreeMap::new(),
            launches,
            counters: Vec::new(),
            sender,
            news,
            start: Instant::now(),
            decided: BTreeSet::new(),
            value: None,
        })
    }

    fn nodes(&self) -> usize {
        self.args.nodes as usize
    }

    fn is_node(&self, id: usize) -> bool {
        id < self.nodes()
    }

    fn name(&self, id: usize) -> String {
        let kind = if self.is_node(id) { "node" } else { "client" };
        format!("{kind} {id}")
    }

    /// Starts a process, for the first time or again.
    fn launch(&mut self, id: usize, output: &mut Output) -> Result<(), Error> {
        let socket = self.sockets[id].try_clone().map_err(Error::failed)?;
        let mut config = NodeConfig::new(Id::from(id), socket);
        config.cluster = 1;
        config.peers = self.peers.clone();
        config.storage = self.is_node(id).then(|| storage(self.directory, id));
        config.faults = self.args.faults;
        config.seed = self.seed;
        self.launches[id] += 1;
        let launch = self.launches[id];
        let sender = self.sender.clone();
        let mut reported = None;
        let recorder = recorder(self.args, self.run, id)?;
        let process = self.processes[id].clone();
        let handle = spawn_observed(process, config, recorder, move |state| {
            let decided = P::decided(state);
            if decided != reported.as_ref() {
                reported = decided.cloned();
                let news = reported.clone().map(|decided| News {
                    id,
                    launch,
                    decided,
                });
                // Nobody listens any more once the command is over.
                let _ = news.map(|news| sender.send(news));
            }
        });
        let handle = handle.map_err(Error::failed)?;
        let cut = handle.torn_tail().map(ToString::to_string);
        self.handles.insert(id, handle);
        if let Some(cut) = cut {
            self.say(cut, output)?;
        }
        Ok(())
    }

    /// Kills a process: all that it has not saved is gone.
    fn kill(&mut self, id: usize) -> Result<(), Error> {
        if let Some(handle) = self.handles.remove(&id) {
            handle.stop();
            self.counters.push(handle.join().map_err(Error::failed)?);
        }
        self.decided.remove(&id);
        Ok(())
    }

    fn say(&self, what: impl std::fmt::Display, output: &mut Output) -> Result<(), Error> {
        let time = format!("{:>6} ms", self.start.elapsed().as_millis());
        output.line(format_args!("{}  {what}", dim(time)))?;
        Ok(())
    }

    /// The whole play: two clients compete, a node is killed on the way and comes back, and after
    /// the decision it is killed again, to see that it has not forgotten.
    fn play(&mut self, timeout: Duration, output: &mut Output) -> Result<Exit, Error> {
        let mut rng = SmallRng::seed_from_u64(self.seed);
        let victim = rng.random_range(0..self.nodes());
        let kill_after = Duration::from_millis(rng.random_range(0..20));
        let everyone: BTreeSet<usize> = (0..self.processes.len()).collect();
        let deadline = self.start + timeout;
        for id in &everyone {
            self.launch(*id, output)?;
        }

        let mut agree = self.listen(self.start + kill_after, &everyone, output)?;
        self.kill(victim)?;
        self.say(format_args!("node {victim} is killed"), output)?;
        agree &= self.listen(Instant::now() + DOWN, &everyone, output)?;
        self.launch(victim, output)?;
        self.say(format_args!("node {victim} restarts from its disk"), output)?;
        agree &= self.listen(deadline, &everyone, output)?;
        if agree && self.decided == everyone {
            self.kill(victim)?;
            self.launch(victim, output)?;
            self.say(
                format_args!("node {victim} is killed and restarts again"),
                output,
            )?;
            agree &= self.listen(deadline, &everyone, output)?;
        }
        self.conclude(agree, &everyone, output)
    }

    /// Prints decisions until `until`, or until all of `awaited` have decided. Says whether they
    /// are one value, and one that was proposed.
    fn listen(
        &mut self,
        until: Instant,
        awaited: &BTreeSet<usize>,
        output: &mut Output,
    ) -> Result<bool, Error> {
        let mut agree = true;
        while self.decided != *awaited {
            let left = until.saturating_duration_since(Instant::now());
            let Ok(News {
                id,
                launch,
                decided,
            }) = self.news.recv_timeout(left)
            else {
                break;
            };
            self.say(format_args!("{} decided {decided}", self.name(id)), output)?;
            let value = self.value.get_or_insert_with(|| decided.clone());
            agree &= *value == decided && VALUES.contains(&decided.as_str());
            if launch == self.launches[id] {
                self.decided.insert(id);
            }
        }
        self.report_failures()?;
        Ok(agree)
    }

    /// A node that ended by itself ended with an error.
    fn report_failures(&mut self) -> Result<(), Error> {
        let failed = self.handles.iter().find(|(_, handle)| handle.is_finished());
        match failed.map(|(id, _)| *id) {
            Some(id) => self.kill(id),
            None => Ok(()),
        }
    }

    fn conclude(
        &self,
        agree: bool,
        everyone: &BTreeSet<usize>,
        output: &mut Output,
    ) -> Result<Exit, Error> {
        let missing = everyone.difference(&self.decided);
        let missing: Vec<String> = missing.map(|id| self.name(*id)).collect();
        if !agree {
            output.line(format_args!(
                "{} see above; seed {}",
                bad("disagreement:"),
                self.seed
            ))?;
            return Ok(Exit::Violated);
        }
        if !missing.is_empty() {
            let (late, missing) = (warn("stopped at the time limit:"), missing.join(", "));
            output.line(format_args!(
                "{late} {missing} did not report a decision since the last start; seed {}",
                self.seed
            ))?;
            return Ok(Exit::Bounded);
        }
        let value = self.value.as_deref().unwrap_or_default();
        output.line(format_args!(
            "{} all {} nodes and {} clients decided {value}",
            good("agreed:"),
            self.nodes(),
            VALUES.len()
        ))?;
        Ok(Exit::Success)
    }

    fn stop_all(&mut self, output: &mut Output) -> Result<(), Error> {
        self.handles.values().for_each(Handle::stop);
        for id in 0..self.processes.len() {
            self.kill(id)?;
        }
        output.line(dim(traffic(&self.counters)))?;
        Ok(())
    }
}
