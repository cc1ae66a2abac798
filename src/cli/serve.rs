//! `synod serve`: one node of a replicated store.

use crate::console::output::{Output, bold, dim};
use crate::console::store::{CLIENTS, ClusterFile, storage};
use crate::console::{Error, Exit};
use clap::Args;
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fmt;
use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use synod::ballot::Ballot;
use synod::kv::Store;
use synod::multi::{Clock, NodeState, Phase, Process, Slot};
use synod::runtime::clock::now_us;
use synod::runtime::{Handle, NodeConfig, Stop, serve_metrics, spawn};

/// The pause between two looks at the status, which is printed if it has changed.
const LOOK_EVERY: Duration = Duration::from_millis(100);

pub(super) const EXAMPLES: &str = "\
Examples:
  synod config --nodes 3 --dir store
  synod serve --config store/cluster.toml --node 0

Exit status: 0 stopped by SIGINT or SIGTERM; 2 wrong usage, or input or output failed.";

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The file that describes the cluster.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// The id of the node in that file.
    #[arg(long, value_name = "ID")]
    node: u32,
    /// Serve counters for Prometheus at this address, under /metrics.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
}

pub(super) fn run(args: &ServeArgs, output: &mut Output) -> Result<Exit, Error> {
    let file = ClusterFile::read(&args.config)?;
    let address = file.address(args.node)?;
    let is_interrupted = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        let registered = signal_hook::flag::register(signal, Arc::clone(&is_interrupted));
        registered.map_err(Error::failed)?;
    }
    claim(&file)?;
    let socket = UdpSocket::bind(address).map_err(|error| {
        let hint = "is this node already running, or is the address that of another machine?";
        Error::Failed(format!("cannot open UDP socket {address}: {error}; {hint}"))
    })?;
    let mut config = NodeConfig::new((args.node as usize).into(), socket);
    file.configure(&mut config)?;
    config.dynamic = CLIENTS;
    config.storage = Some(storage(file.data(), args.node as usize));
    // The seed keeps nodes that start together from standing for election together.
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
    if let Some(cut) = handle.torn_tail() {
        output.line(cut)?;
    }
    let stop = Stop::new();
    if let Some(address) = args.metrics {
        let published = vec![(args.node as usize, handle.counters())];
        let served = serve_metrics(address, published, stop.clone()).map_err(Error::failed)?;
        output.line(format_args!("metrics at http://{}/metrics", served.0))?;
    }
    watch(&handle, &status, &is_interrupted, output);
    stop.stop();
    handle.stop();
    let counters = handle.join().map_err(Error::failed)?;
    output.line(dim(format_args!("stopped; {counters}")))?;
    Ok(Exit::Success)
}

/// Prints changes of the status until the node is interrupted or ends.
fn watch(
    handle: &Handle,
    status: &Mutex<Option<Status>>,
    is_interrupted: &AtomicBool,
    output: &mut Output,
) {
    let mut shown = None;
    loop {
        let is_over = is_interrupted.load(Ordering::Relaxed) || handle.is_finished();
        let now = *status.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = now.filter(|now| shown != Some(*now)) {
            // The node keeps running without a reader of its output.
            let _ = output.line(now);
            shown = Some(now);
        }
        // The last change is printed before this returns.
        if is_over {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// The status of a node.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Status {
    role: &'static str,
    /// The highest ballot promised, whose owner leads or tries to.
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

/// The error of a node that does not start, with a remedy.
fn refused(error: &synod::runtime::Error, file: &ClusterFile) -> Error {
    use synod::runtime::{Damage, Error as Refused};
    let hint = match error {
        Refused::Damaged { damage, .. } => match damage {
            Damage::Cluster { .. } | Damage::Node { .. } => {
                "Set `data` to the directory of this cluster, or to an empty one for a new cluster"
            }
            _ => {
                "Nothing was changed. Put back the contents of the disk, but never an older copy: \
                 a node that forgets its votes breaks agreement. If they are lost, so is this node"
            }
        },
        Refused::Locked { .. } => "Stop the other node first, or correct --node",
        _ => return Error::failed(error),
    };
    Error::Failed(format!("{error}. {hint} (data: {})", file.data().display()))
}

/// Reserves a directory for one cluster with the same members: quorums of other members need not
/// intersect those that voted before.
fn claim(file: &ClusterFile) -> Result<(), Error> {
    let data = file.data();
    let path = data.join("members.toml");
    let fail = |error| Error::path("use", &path, error);
    std::fs::create_dir_all(data).map_err(fail)?;
    let mut ids: Vec<u32> = file.ids().collect();
    ids.sort_unstable();
    let claim = format!("cluster = {}\nnodes = {ids:?}\n", file.cluster);
    let is_used = ids.iter().any(|id| storage(data, *id as usize).exists());
    if !path.exists() && is_used {
        // These votes may be those of other members; to guess could choose two values.
        let why = "it is missing, but there are storages beside it";
        return Err(Error::path("use", &path, why));
    }
    // Of several nodes that start at the same time the first one writes the file, atomically.
    let written = tempfile::NamedTempFile::new_in(data).and_then(|mut temporary| {
        temporary.write_all(claim.as_bytes())?;
        temporary.as_file().sync_all()?;
        match temporary.persist_noclobber(&path) {
            Ok(_) => sync_directory(data),
            Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            Err(error) => Err(error.error),
        }
    });
    written.map_err(fail)?;
    let found = std::fs::read_to_string(&path).map_err(fail)?;
    if found == claim {
        return Ok(());
    }
    let shown = |text: &str| text.trim().replace('\n', ", ");
    Err(Error::Failed(format!(
        "{} holds the state of another cluster ({}), not of this one ({}): correct the file, or \
         set `data` to another directory. The members of a cluster cannot be changed",
        data.display(),
        shown(&found),
        shown(&claim),
    )))
}

fn sync_directory(path: &Path) -> std::io::Result<()> {
    std::fs::File::open(path)?.sync_all()
}
