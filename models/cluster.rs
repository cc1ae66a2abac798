//! Clusters on this machine, over UDP, with a node that is killed and restarted.

use super::decree::Decree;
use super::local::{Local, Stop};
use crate::console::output::{Output, bad, bold, good, many, warn};
use crate::console::store::storage;
use crate::console::{Error, Exit, temporary};
use clap::Args;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::Serialize;
use stateright::actor::Actor;
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use synod::certify::{File, ProtocolKind, Run};
use synod::quorum::AcceptorSet;
use synod::runtime::Faults;
use synod::runtime::{Recorder, Runnable};
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
    /// Record every step of every process in a file of this directory, as a line of JSON.
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
    let processes = P::actors(&place.run, &VALUES.map(str::to_owned)).map_err(Error::failed)?;
    let local = Local::bind(args, &place, processes.len())?;
    let mut play = Play { local, processes };
    output.line(format_args!(
        "{} {} and {} on loopback, which propose {}; seed {}, faults {}",
        bold(format_args!("{} over UDP:", P::TITLE)),
        many(args.nodes.into(), "node"),
        many(VALUES.len() as u64, "client"),
        VALUES.join(" and "),
        place.seed,
        faults(args),
    ))?;
    let exit = play.run(output);
    play.local.stop_all(output)?;
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

impl PaxosActor for synod::basic::Process<String> {}

impl PaxosActor for synod::fast::Process<String> {}

/// The decisions that processes have reported.
#[derive(Default)]
struct Decisions {
    /// Who said, since it was last started, that it has decided.
    decided: BTreeSet<usize>,
    /// Whatever anybody decided.
    values: BTreeSet<String>,
}

/// The processes of a local cluster, and what is done to them. Nodes come first, then clients.
struct Play<'a, P> {
    local: Local<'a, Decisions>,
    processes: Vec<P>,
}

impl<P: PaxosActor> Play<'_, P> {
    fn name(&self, id: usize) -> String {
        let is_node = id < self.local.nodes();
        let kind = if is_node { "node" } else { "client" };
        format!("{kind} {id}")
    }

    /// Starts a process, for the first time or again.
    fn launch(&mut self, id: usize) -> Result<(), Error> {
        let (name, shared) = (self.name(id), Arc::clone(&self.local.shared));
        let (process, mut reported) = (self.processes[id].clone(), None);
        let config = self.local.config(id)?;
        self.local.launch(process, config, move |state| {
            let decided = P::decided(state);
            if decided != reported.as_ref() {
                reported = decided.cloned();
                if let Some(decided) = decided {
                    shared.say(format!("{name} decided {decided}"));
                    shared.change(|seen| {
                        seen.values.insert(decided.clone());
                        seen.decided.insert(id);
                    });
                }
            }
        })
    }

    /// Kills a process: all that it has not saved is gone.
    fn kill(&mut self, id: usize) -> Result<(), Error> {
        self.local.kill(id)?;
        self.local.shared.seen().decided.remove(&id);
        Ok(())
    }

    /// The whole play: two clients compete, a node is killed on the way and comes back, and after
    /// the decision it is killed again, to see that it has not forgotten.
    fn run(&mut self, output: &mut Output) -> Result<Exit, Error> {
        let mut rng = SmallRng::seed_from_u64(self.local.place.seed);
        let victim = rng.random_range(0..self.local.nodes());
        let kill_after = Duration::from_millis(rng.random_range(0..20));
        for id in 0..self.processes.len() {
            self.launch(id)?;
        }
        let (start, deadline) = (self.local.start, self.local.deadline);
        self.listen(start + kill_after, output)?;
        self.kill(victim)?;
        let killed = format_args!("node {victim} is killed");
        self.local.log(killed, output)?;
        self.listen(Instant::now() + DOWN, output)?;
        self.launch(victim)?;
        let restarts = format_args!("node {victim} restarts from its disk");
        self.local.log(restarts, output)?;
        if self.listen(deadline, output)? {
            self.kill(victim)?;
            self.launch(victim)?;
            let again = format_args!("node {victim} is killed and restarts again");
            self.local.log(again, output)?;
            self.listen(deadline, output)?;
        }
        self.conclude(output)
    }

    /// Prints decisions until `until`, or until everybody has decided. Returns whether everybody
    /// has, one value that was proposed.
    fn listen(&mut self, until: Instant, output: &mut Output) -> Result<bool, Error> {
        let all = self.processes.len();
        let is_over = |seen: &Decisions| (seen.decided.len() == all).then(|| seen.agree());
        match self.local.wait("decisions", until, output, is_over) {
            Ok(agree) => Ok(agree),
            Err(Stop::Late(_)) => Ok(false),
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    fn conclude(&self, output: &mut Output) -> Result<Exit, Error> {
        let (seen, seed) = (self.local.shared.seen(), self.local.place.seed);
        if !seen.agree() {
            let disagreement = bad("disagreement:");
            output.line(format_args!("{disagreement} see above; seed {seed}"))?;
            return Ok(Exit::Violated);
        }
        let missing = (0..self.processes.len()).filter(|id| !seen.decided.contains(id));
        let missing: Vec<String> = missing.map(|id| self.name(id)).collect();
        if !missing.is_empty() {
            let (late, missing) = (warn("stopped at the time limit:"), missing.join(", "));
            output.line(format_args!(
                "{late} {missing} did not report a decision since the last start; seed {seed}"
            ))?;
            return Ok(Exit::Bounded);
        }
        output.line(format_args!(
            "{} {} and {} decided {}",
            good("agreed:"),
            many(self.local.nodes() as u64, "node"),
            many(VALUES.len() as u64, "client"),
            seen.values.first().map_or("", String::as_str),
        ))?;
        Ok(Exit::Success)
    }
}

impl Decisions {
    /// Whether the decisions are one value, and one that was proposed.
    fn agree(&self) -> bool {
        let mut values = self.values.iter();
        self.values.len() <= 1 && values.all(|value| VALUES.contains(&value.as_str()))
    }
}
