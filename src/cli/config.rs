//! The file that tells a node, or a client, of its cluster.

use super::args::ConfigArgs;
use super::output::Output;
use super::{Error, Exit};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::kv::Store;
use synod::multi::lease::Terms;
use synod::multi::{Cluster, Sessions};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::runtime::{Key, MAX_DATAGRAM, NodeConfig};

/// How many clients are remembered at a time. Part of the store that is replicated, so that it must
/// never change for a cluster that is in use.
const SESSIONS_MAX: u64 = 10_000;

/// Ids of clients, which draw one: none that a node can have.
pub(super) const CLIENTS: std::ops::Range<usize> = 1 << 16..(u32::MAX - 1) as usize;

/// A cluster, as its file describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ClusterFile {
    /// A number that no other cluster has.
    pub(super) cluster: u64,
    /// What datagrams are authenticated with: 32 bytes in hexadecimal.
    key: Option<String>,
    /// The directory that the nodes of this machine keep their state in; from where the file is.
    data: PathBuf,
    /// Up to how many bytes messages share a datagram.
    datagram_max: Option<usize>,
    #[serde(default)]
    times: Times,
    nodes: Vec<NodeEntry>,
}

/// A node and where it is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeEntry {
    id: u32,
    address: SocketAddr,
}

/// How long and how often, where it is not as usual.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    heartbeat_ms: Option<u64>,
    election_ms: Option<u64>,
    lease_ms: Option<u64>,
    snapshot_every: Option<u64>,
}

impl ClusterFile {
    /// Reads a file and checks that it makes sense.
    ///
    /// # Errors
    /// With the file, and the place or the field.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let fail = |what: &dyn std::fmt::Display| {
            Error::Other(format!("cannot use {}: {what}", path.display()))
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| fail(&format_args!("{error}; `synod config` writes an example")))?;
        let mut file: ClusterFile = toml::from_str(&text).map_err(|error| fail(&error))?;
        file.check().map_err(|what| fail(&what))?;
        let beside = path.parent().unwrap_or(Path::new(""));
        file.data = beside.join(&file.data);
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        let mut places = BTreeMap::new();
        let mut ids = BTreeMap::new();
        for NodeEntry { id, address } in &self.nodes {
            if *id >= AcceptorSet::CAPACITY {
                let last = AcceptorSet::CAPACITY - 1;
                return Err(format!("node {id}: ids are numbers from 0 to {last}"));
            }
            if let Some(other) = ids.insert(id, address) {
                return Err(format!(
                    "node {id} is there twice, at {other} and {address}"
                ));
            }
            if let Some(other) = places.insert(address, id) {
                return Err(format!("nodes {other} and {id} are both at {address}"));
            }
            if address.port() == 0 || address.ip().is_unspecified() {
                return Err(format!("node {id}: nobody can send to {address}"));
            }
        }
        if self.nodes.is_empty() {
            return Err(
                "there are no nodes; each takes a [[nodes]] with id and address".to_owned(),
            );
        }
        let limits = 128..=MAX_DATAGRAM;
        if let Some(given) = self.datagram_max.filter(|given| !limits.contains(given)) {
            return Err(format!(
                "datagram_max: {given} is not from 128 to {MAX_DATAGRAM}"
            ));
        }
        self.times.check()?;
        self.key().map(|_| ())
    }

    fn key(&self) -> Result<Option<Key>, String> {
        let Some(text) = &self.key else {
            return Ok(None);
        };
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|digit| u8::try_from(digit.to_digit(16)?).ok())
            .collect();
        let digits = digits.filter(|digits| digits.len() == 64);
        let digits = digits.ok_or("key: expected 64 hexadecimal digits, that is 32 bytes")?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair.iter().fold(0, |byte, digit| byte << 4 | digit);
        }
        Ok(Some(Key::new(bytes)))
    }

    /// The cluster that the nodes are.
    pub(super) fn cluster(&self) -> Result<Cluster<Store>, Error> {
        let acceptors: AcceptorSet = self.nodes.iter().map(|node| NodeId(node.id)).collect();
        let everyone: Vec<NodeId> = acceptors.iter().collect();
        let initial = Sessions::new(Store::default(), SESSIONS_MAX);
        let usual = Cluster::of_replicas(1, initial).map_err(Error::other)?;
        let times = &self.times;
        Ok(Cluster {
            quorums: QuorumSystem::majority(acceptors).map_err(Error::other)?,
            proposers: everyone.clone(),
            learners: everyone,
            heartbeat: times.heartbeat_ms.map_or(usual.heartbeat.clone(), |ms| {
                let pace = Duration::from_millis(ms);
                Some(pace..pace.mul_f64(1.25))
            }),
            election: Backoff {
                base: times
                    .election_ms
                    .map_or(usual.election.base, Duration::from_millis),
                ..usual.election
            },
            lease: times.lease_ms.map_or(usual.lease, |ms| {
                (ms > 0).then_some(Terms {
                    duration: 1_000 * ms,
                    margin: 100 * ms,
                })
            }),
            snapshot_every: times.snapshot_every.or(usual.snapshot_every),
            ..usual
        })
    }

    /// Where a node is.
    ///
    /// # Errors
    /// If there is none of that id: those that there are.
    pub(super) fn address(&self, id: u32) -> Result<SocketAddr, Error> {
        let node = self.nodes.iter().find(|node| node.id == id);
        let ids = || self.ids().map(|id| id.to_string()).collect::<Vec<_>>();
        node.map(|node| node.address).ok_or_else(|| {
            Error::Other(format!(
                "--node: there is no node {id} in the file, but {}",
                ids().join(", ")
            ))
        })
    }

    /// The ids of the nodes.
    pub(super) fn ids(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().map(|node| node.id)
    }

    /// Where all the nodes of this machine keep their state.
    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    /// Where any node is.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().map(|node| node.address)
    }

    /// Fills in what all members of the cluster have in common.
    pub(super) fn configure(&self, config: &mut NodeConfig) -> Result<(), Error> {
        config.cluster = self.cluster;
        config.key = self.key().map_err(Error::Other)?;
        config.datagram_max = self.datagram_max.unwrap_or(config.datagram_max);
        let peers = self.nodes.iter();
        config.peers = peers
            .map(|node| ((node.id as usize).into(), node.address))
            .collect();
        Ok(())
    }
}

impl Times {
    /// Times that are no times, or of which one would undo another.
    fn check(&self) -> Result<(), String> {
        let heartbeat = self.heartbeat_ms.unwrap_or(20);
        let election = self.election_ms.unwrap_or(150);
        let lease = self.lease_ms.unwrap_or(120);
        let day = 24 * 60 * 60 * 1000;
        for (name, ms) in [
            ("heartbeat_ms", heartbeat),
            ("election_ms", election),
            ("lease_ms", lease),
        ] {
            let least = u64::from(name != "lease_ms");
            if !(least..=day).contains(&ms) {
                return Err(format!("times.{name}: {ms} is not from {least} to {day}"));
            }
        }
        if self.snapshot_every == Some(0) {
            return Err("times.snapshot_every: expected at least 1".to_owned());
        }
        if 2 * heartbeat > election {
            return Err(format!(
                "times: who waits {election} ms for a leader that shows itself every {heartbeat} \
                 ms misses it too easily; raise election_ms, or lower heartbeat_ms"
            ));
        }
        Ok(())
    }
}

/// `synod config`: writes the file of a cluster on this machine, to begin with.
pub(super) fn run(args: &ConfigArgs, output: &mut Output) -> Result<Exit, Error> {
    let path = args.dir.join("cluster.toml");
    let fail =
        |error: std::io::Error| Error::Other(format!("cannot write {}: {error}", path.display()));
    let text = example(args)?;
    std::fs::create_dir_all(&args.dir).map_err(fail)?;
    let mut options = std::fs::OpenOptions::new();
    // Never over one that is there: its key, once lost, shuts everybody out.
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Other(format!(
            "{} is there already, and is kept; choose another --dir, or remove it first",
            path.display()
        )),
        _ => fail(error),
    })?;
    file.write_all(text.as_bytes()).map_err(fail)?;
    output.line(format_args!(
        "{} is written. On each machine of the cluster:",
        path.display()
    ))?;
    for id in 0..args.nodes {
        output.line(format_args!(
            "  synod serve --config {} --node {id}",
            path.display()
        ))?;
    }
    output.line(format_args!(
        "  synod kv put colour red --config {}",
        path.display()
    ))?;
    Ok(Exit::Success)
}

fn example(args: &ConfigArgs) -> Result<String, Error> {
    let last = u32::from(args.address.port()) + args.nodes - 1;
    if last > u32::from(u16::MAX) {
        return Err(Error::Other(format!(
            "--address: {} nodes take ports up to {last}, and there are 65535",
            args.nodes
        )));
    }
    let key: [u8; 32] = rand::random();
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut text = format!(
        "# A number that no other cluster has.\n\
         cluster = {}\n\
         # Who has this key is a member: let nobody else read the file.\n\
         key = \"{key}\"\n\
         # Where the nodes keep their state, from where this file is.\n\
         data = \"data\"\n\
         # Up to how many bytes messages share a datagram.\n\
         # datagram_max = 1400\n\n\
         # [times]\n\
         # heartbeat_ms = 20\n\
         # election_ms = 150\n\
         # lease_ms = 120          # 0 for none\n\
         # snapshot_every = 10000  # decided entries\n",
        rand::random::<u32>(),
    );
    for id in 0..args.nodes {
        let mut address = args.address;
        address.set_port(args.address.port() + id as u16);
        text += &format!("\n[[nodes]]\nid = {id}\naddress = \"{address}\"\n");
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ConfigArgs {
        ConfigArgs {
            nodes: 3,
            dir: PathBuf::new(),
            address: SocketAddr::from(([127, 0, 0, 1], 7000)),
        }
    }

    #[test]
    fn the_example_makes_sense_and_says_what_is_usual() {
        let text = example(&args()).expect("enough ports");
        let parse = |text: &str| -> ClusterFile { toml::from_str(text).expect("well-formed") };
        let (file, full) = (parse(&text), parse(&text.replace("# [", "[")));
        let spelt = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest,
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n");
        let spelt = parse(&spelt);
        for file in [&file, &full, &spelt] {
            assert_eq!(file.check(), Ok(()));
        }
        assert_eq!(spelt.datagram_max, Some(1400));
        assert_eq!(spelt.times.lease_ms, Some(120));
        let [usual, spelt] = [&file, &spelt].map(|it| it.cluster().expect("a cluster"));
        assert_eq!(usual, spelt);
        assert_eq!(usual.proposers.len(), 3);
    }

    #[test]
    fn a_cluster_without_leases_has_none() {
        let text = example(&args()).expect("enough ports") + "[times]\nlease_ms = 0\n";
        let file: ClusterFile = toml::from_str(&text).expect("well-formed");
        assert_eq!(file.check(), Ok(()));
        assert_eq!(file.cluster().expect("a cluster").lease, None);
    }
}
