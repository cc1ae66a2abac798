//! The first line of a trace: the run that it is of.

use super::{Error, File, Report, certify_as};
use crate::kv::Store;
use crate::{basic, fast, multi};
use serde::{Deserialize, Serialize};

/// A cluster, which is the same in all traces of a run, with what its nodes can be built from.
/// Nodes 0 to `nodes - 1` play all roles, with majorities and, in Fast Paxos, the smallest fast
/// quorums for them; other processes are clients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// A number that no other cluster has.
    pub cluster: u64,
    /// The number of nodes.
    pub nodes: u32,
    /// The protocol.
    pub protocol: ProtocolKind,
}

/// The settings that the replicas of a store have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replicas {
    /// The number of clients that are remembered at a time.
    pub sessions_max: u64,
    /// The number of entries after which a snapshot takes their place.
    pub snapshot_every: u64,
}

/// Lists the protocols by name, settings and actor.
macro_rules! protocols {
    ($($(#[$doc:meta])* $kind:ident $(($settings:ident: $type:ty))? => $process:ty,)*) => {
        /// A protocol, with the settings that its nodes have in common.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum ProtocolKind {
            $($(#[$doc])* $kind $(($type))?,)*
        }

        /// Judges traces as those of the protocol that the run names.
        pub(super) fn certify_run(run: Run, files: &[File]) -> Result<Report, Error> {
            match run.protocol {
                $(ProtocolKind::$kind $(($settings))? => {
                    certify_as::<$process>(run, ($($settings)?), files)
                })*
            }
        }
    };
}

protocols! {
    /// Basic Paxos over texts.
    Basic => basic::Process<String>,
    /// Multi-Paxos over a store.
    Multi(replicas: Replicas) => multi::Process<Store>,
    /// Fast Paxos over texts.
    Fast => fast::Process<String>,
}
