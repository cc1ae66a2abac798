//! The cluster of a replicated store, as its file describes it to nodes and to clients.

use super::Error;
use clap::ValueEnum;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::kv::Store;
use synod::multi::lease::LeaseTimes;
use synod::multi::{Cluster, ReadMode, Sessions};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::runtime::{Key, MAX_DATAGRAM, NodeConfig};

/// The number of sessions that are kept at a time. It is part of the replicated state, so it must
/// never change for a cluster that is in use.
const SESSIONS_MAX: u64 = 10_000;

/// The ids from which clients choose: no node has one of them.
pub(crate) const CLIENTS: std::ops::Range<usize> = 1 << 16..(u32::MAX - 1) as usize;

/// The way in which a read makes sure that it misses no write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReadArg {
    /// The read takes a slot of the log, like a write.
    Log,
    /// The leader asks a quorum whether it still leads.
    Index,
    /// The leader relies on its lease; without a lease it asks a quorum.
    Lease,
}

impl ReadArg {
    /// The mode of the read, or `None` if it goes through the log.
    pub(crate) fn mode(self) -> Option<ReadMode> {
        match self {
            ReadArg::Log => None,
            ReadArg::Index => Some(ReadMode::Index),
            ReadArg::Lease => Some(ReadMode::Lease),
        }
    }
}

/// The directory in which node `id` keeps its state.
pub(crate) fn storage(directory: &Path, id: usize) -> PathBuf {
    directory.join(format!("node-{id}.storage"))
}

/// A cluster, as its file describes it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ClusterFile {
    /// A number that no other cluster has.
    pub(crate) cluster: u64,
    /// The key that authenticates datagrams: 32 bytes in hexadecimal.
    key: Option<String>,
    /// The directory in which the nodes of this machine keep their state, relative to the file.
    data: PathBuf,
    /// The size in bytes up to which messages share a datagram.
    datagram_max: Option<usize>,
    #[serde(default)]
    times: Times,
    nodes: Vec<NodeEntry>,
}

/// A node and its address.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeEntry {
    id: u32,
    address: SocketAddr,
}

/// Times and intervals that replace the default ones.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Times {
    heartbeat_ms: Option<u64>,
    election_ms: Option<u64>,
    lease_ms: Option<u64>,
    snapshot_every: Option<u64>,
}

impl ClusterFile {
    /// Reads a file and checks it.
    ///
    /// # Errors
    /// The error names the file, and the line or the field.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let hint = "`synod config` writes an example";
            Error::path("use", path, format_args!("{error}; {hint}"))
        })?;
        let mut file = Self::parse(&text).map_err(|what| Error::path("use", path, what))?;
        let beside = path.parent().unwrap_or(Path::new(""));
        file.data = beside.join(&file.data);
        Ok(file)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let file: ClusterFile = toml::from_str(text).map_err(|error| error.to_string())?;
        file.check()?;
        Ok(file)
    }

    fn check(&self) -> Result<(), String> {
        let mut places = BTreeMap::new();
        let mut ids = BTreeMap::new();
        for NodeEntry { id, address } in &self.nodes {
            if *id >= AcceptorSet::CAPACITY {
                let last = AcceptorSet::CAPACITY - 1;
                return Err(format!("node {id}: an id is a number from 0 to {last}"));
            }
            if let Some(other) = ids.insert(id, address) {
                return Err(format!(
                    "node {id} is listed twice, at {other} and at {address}"
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
                "it lists no nodes; a node is a [[nodes]] with an id and an address".to_owned(),
            );
        }
        let limits = 128..=MAX_DATAGRAM;
        if let Some(given) = self.datagram_max.filter(|given| !limits.contains(given)) {
            return Err(format!(
                "datagram_max: {given} is not from 128 to {MAX_DATAGRAM}"
            ));
        }
        self.times.check()?;
        let cluster = self.cluster().map_err(|error| error.to_string())?;
        let heartbeat = cluster.heartbeat.map_or(Duration::ZERO, |pace| pace.start);
        let (heartbeat, election) = (heartbeat.as_millis(), cluster.election.base.as_millis());
        if 2 * heartbeat > election {
            return Err(format!(
                "times: a node that waits {election} ms for a heartbeat sent every {heartbeat} ms \
                 stands for election too often; raise election_ms, or lower heartbeat_ms"
            ));
        }
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

    /// The cluster that the nodes form.
    pub(crate) fn cluster(&self) -> Result<Cluster<Store>, Error> {
        let acceptors: AcceptorSet = self.nodes.iter().map(|node| NodeId(node.id)).collect();
        let everyone: Vec<NodeId> = acceptors.iter().collect();
        let initial = Sessions::new(Store::default(), SESSIONS_MAX);
        let usual = Cluster::of_replicas(1, initial).map_err(Error::failed)?;
        let times = &self.times;
        Ok(Cluster {
            quorums: QuorumSystem::majority(acceptors).map_err(Error::failed)?,
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
                (ms > 0).then_some(LeaseTimes {
                    duration: 1_000 * ms,
                    margin: 100 * ms,
                })
            }),
            snapshot_every: times.snapshot_every.or(usual.snapshot_every),
            ..usual
        })
    }

    /// The address of a node.
    ///
    /// # Errors
    /// The error lists the ids of the file if `id` is not one of them.
    pub(crate) fn address(&self, id: u32) -> Result<SocketAddr, Error> {
        let node = self.nodes.iter().find(|node| node.id == id);
        let ids = || self.ids().map(|id| id.to_string()).collect::<Vec<_>>();
        node.map(|node| node.address).ok_or_else(|| {
            Error::usage(format_args!(
                "--node: there is no node {id} in the file, which lists {}",
                ids().join(", ")
            ))
        })
    }

    /// The ids of the nodes.
    pub(crate) fn ids(&self) -> impl Iterator<Item = u32> {
        self.nodes.iter().map(|node| node.id)
    }

    /// The directory in which all nodes of this machine keep their state.
    pub(crate) fn data(&self) -> &Path {
        &self.data
    }

    /// The addresses of the nodes.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.nodes.iter().map(|node| node.address)
    }

    /// Sets what all members of the cluster have in common.
    pub(crate) fn configure(&self, config: &mut NodeConfig) -> Result<(), Error> {
        config.cluster = self.cluster;
        config.key = self.key().map_err(Error::Failed)?;
        config.datagram_max = self.datagram_max.unwrap_or(config.datagram_max);
        let peers = self.nodes.iter();
        config.peers = peers
            .map(|node| ((node.id as usize).into(), node.address))
            .collect();
        Ok(())
    }

    /// The text of a file with a new key, for nodes at consecutive ports from `first` on.
    pub(crate) fn example(nodes: u32, first: SocketAddr) -> Result<String, Error> {
        let last = u32::from(first.port()) + nodes - 1;
        if last > u32::from(u16::MAX) {
            return Err(Error::usage(format_args!(
                "--address: {nodes} nodes need ports up to {last}, but the last port is 65535"
            )));
        }
        let key: [u8; 32] = rand::random();
        let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut text = format!(
            "# A number that no other cluster has.\n\
             cluster = {}\n\
             # The key that makes a process a member: keep this file secret.\n\
             key = \"{key}\"\n\
             # The directory in which nodes keep their state, relative to this file.\n\
             data = \"data\"\n\
             # The size in bytes up to which messages share a datagram.\n\
             # datagram_max = 1400\n\n\
             # [times]\n\
             # heartbeat_ms = 20\n\
             # election_ms = 150\n\
             # lease_ms = 120          # 0 for none\n\
             # snapshot_every = 10000  # decided entries\n",
            rand::random::<u32>(),
        );
        for id in 0..nodes {
            let mut address = first;
            address.set_port(first.port() + id as u16);
            text += &format!("\n[[nodes]]\nid = {id}\naddress = \"{address}\"\n");
        }
        Ok(text)
    }
}

impl Times {
    /// Refuses times out of range.
    fn check(&self) -> Result<(), String> {
        let day = 24 * 60 * 60 * 1000;
        for (name, given, least) in [
            ("heartbeat_ms", self.heartbeat_ms, 1),
            ("election_ms", self.election_ms, 1),
            ("lease_ms", self.lease_ms, 0),
        ] {
            if let Some(ms) = given.filter(|ms| !(least..=day).contains(ms)) {
                return Err(format!("times.{name}: {ms} is not from {least} to {day}"));
            }
        }
        if self.snapshot_every == Some(0) {
            return Err("times.snapshot_every: expected at least 1".to_owned());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> String {
        let first = SocketAddr::from(([127, 0, 0, 1], 7000));
        ClusterFile::example(3, first).expect("enough ports")
    }

    #[test]
    fn the_example_makes_sense_and_says_what_is_usual() {
        let text = example();
        let spelt = text
            .lines()
            .map(|line| match line.strip_prefix("# ") {
                Some(rest) if rest.starts_with('[') || rest.contains(" = ") => rest,
                _ => line,
            })
            .collect::<Vec<_>>()
            .join("\n");
        let parse = |text: &str| ClusterFile::parse(text).expect("it makes sense");
        parse(&text.replace("# [", "["));
        let (usual, spelt) = (parse(&text), parse(&spelt));
        assert_eq!(spelt.datagram_max, Some(1400));
        assert_eq!(spelt.times.lease_ms, Some(120));
        let [usual, spelt] = [usual, spelt].map(|it| it.cluster().expect("a cluster"));
        assert_eq!(usual, spelt);
        assert_eq!(usual.proposers.len(), 3);
    }

    #[test]
    fn a_cluster_without_leases_has_none() {
        let file = ClusterFile::parse(&(example() + "[times]\nlease_ms = 0\n"));
        let cluster = file.expect("it makes sense").cluster();
        assert_eq!(cluster.expect("a cluster").lease, None);
    }
}
