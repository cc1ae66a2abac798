//! `synod serve`: one node of a replicated store.

use super::args::ServeArgs;
use super::config::{CLIENTS, ClusterFile};
use super::output::{Output, bold, dim};
use super::{Error, Exit};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fmt;
use std::io::Write;
use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use synod::ballot::Ballot;
use synod::kv::Store;
use synod::multi::{Clock, NodeState, Phase, Process, Slot};
use synod::runtime::clock::now_us;
use synod::runtime::{Handle, NodeConfig, Stop, serve_metrics, spawn};

/// How often it is looked what has changed, and so how often that is printed at most.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) fn run(args: &ServeArgs, output: &mut Output) -> Result<Exit, Error> {
    let file = ClusterFile::read(&args.config)?;
    let address = file.address(args.node)?;
    let is_told = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let told = signal_hook::flag::register(signal, Arc::clone(&is_told));
        told.map_err(Error::other)?;
    }
    claim(&file)?;
    let socket = UdpSocket::bind(address).map_err(|error| {
        Error::Other(format!(
            "cannot open UDP socket {address}: {error}; is this node running already, or is \
                 the address another machine's?"
        ))
    })?;
    let mut config = NodeConfig::new((args.node as usize).into(), socket);
    file.configure(&mut config)?;
    config.dynamic = CLIENTS;
    config.storage = Some(super::cluster::storage(file.data(), args.node as usize));
    // Nodes that start together must not stand for election together.
    config.seed = rand::random();

    let status = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&status);
    let process = Process::Node(Arc::new(file.cluster()?), Clock::Real(now_us));
    let handle = spawn(process, config, move |state| {
        let now = state.node().map(|node| Status::of(node));
        *noted.lock().unwrap_or_else(PoisonError::into_inner) = now;
    });
    let handle = handle.map_err(|error| refused(&error, &file))?;
    let (id, cluster) = (args.node, file.cluster);
    let title = format!("node {id} of cluster {cluster}");
    output.line(format_args!("{} at {address}", bold(title)))?;
    if let Some(cut) = handle.cut() {
        output.line(cut)?;
    }
    let stop = Stop::new();
    if let Some(address) = args.metrics {
        let published = vec![(args.node as usize, handle.counters())];
        let served = serve_metrics(address, published, stop.clone()).map_err(Error::other)?;
        output.line(format_args!("metrics at http://{}/metrics", served.0))?;
    }
    watch(&handle, &status, &is_told, output);
    stop.stop();
    handle.stop();
    let counters = handle.join().map_err(Error::other)?;
    output.line(dim(format_args!("stopped; {counters}")))?;
    Ok(Exit::Success)
}

/// Prints what changes, until the node is told to stop, or ends by itself.
fn watch(
    handle: &Handle,
    status: &Mutex<Option<Status>>,
    is_told: &AtomicBool,
    output: &mut Output,
) {
    let mut shown = None;
    loop {
        let is_over = is_told.load(Ordering::Relaxed) || handle.is_finished();
        let now = *status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = now.filter(|now| shown != Some(*now)) {
            // That nobody reads it any more is no reason to stop.
            let _ = output.line(now);
            shown = Some(now);
        }
        // Not before the last that has changed is printed.
        if is_over {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// What a node is at.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Status {
    role: &'static str,
    /// The highest ballot it knows of. Its owner leads, or tries to.
    ballot: Option<Ballot>,
    decided: Slot,
}

impl Status {
    fn of(node: &NodeState<Store>) -> Self {
        let role = match node.leader.as_ref().map(|leader| &leader.phase) {
            Some(Phase::Leading(_)) => "leads",
            Some(Phase::Preparing(_)) => "stands for election",
            Some(Phase::Following | Phase::Preempted { .. }) | None => "follows",
        };
        Status {
            role,
            ballot: node.acceptor.as_ref().and_then(|it| it.promised),
            decided: node.decided(),
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Status { role, decided, .. } = self;
        match self.ballot {
            None => write!(f, "{role}: nobody has led yet"),
            Some(ballot) => {
                let node = ballot.node;
                write!(
                    f,
                    "{role}: node {node} in ballot {ballot}, decided up to {decided}"
                )
            }
        }
    }
}

/// Why a node does not start, and what to do about it.
fn refused(error: &synod::runtime::Error, file: &ClusterFile) -> Error {
    use synod::runtime::{Damage, Error as Refused};
    let hint = match error {
        Refused::Damaged { damage, .. } => match damage {
            Damage::Cluster { .. } | Damage::Node { .. } => {
                "Have `data` name the directory of this cluster, or an empty one for a new cluster"
            }
            _ => {
                "Nothing was changed. Put back what the disk held, but never an older copy: a node \
                 that forgets its votes breaks agreement. If it is lost, so is this node"
            }
        },
        Refused::Locked { .. } => "Stop the other one first, or see whether --node is right",
        _ => return Error::other(error),
    };
    Error::Other(format!("{error}. {hint} (data: {})", file.data().display()))
}

/// Sees to it that a directory is used by one cluster, of the same members, only: the quorums of
/// others need not meet those that voted before.
fn claim(file: &ClusterFile) -> Result<(), Error> {
    let data = file.data();
    let path = data.join("members.toml");
    let fail =
        |what: &dyn fmt::Display| Error::Other(format!("cannot use {}: {what}", path.display()));
    std::fs::create_dir_all(data).map_err(|error| fail(&error))?;
    let mut ids: Vec<u32> = file.ids().collect();
    ids.sort_unstable();
    let claim = format!("cluster = {}\nnodes = {ids:?}\n", file.cluster);
    let is_used = ids
        .iter()
        .any(|id| super::cluster::storage(data, *id as usize).exists());
    if !path.exists() && is_used {
        // Votes without a word of whose they are: to guess could choose two values.
        return Err(fail(&"it is missing, but there are storages beside it"));
    }
    // Nodes of one machine may start at the same time: the first one writes, whole or not at all.
    let written = tempfile::NamedTempFile::new_in(data).and_then(|mut temporary| {
        temporary.write_all(claim.as_bytes())?;
        temporary.as_file().sync_all()?;
        match temporary.persist_noclobber(&path) {
            Ok(_) => sync_directory(data),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.error),
        }
    });
    written.map_err(|error| fail(&error))?;
    let found = std::fs::read_to_string(&path).map_err(|error| fail(&error))?;
    if found == claim {
        return Ok(());
    }
    let told = |text: &str| text.trim().replace('\n', ", ");
    Err(Error::Other(format!(
        "{} holds the state of another cluster ({}), not of this one ({}): correct the file, or \
         have `data` name another directory. The members of a cluster cannot be changed",
        data.display(),
        told(&found),
        told(&claim),
    )))
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}
