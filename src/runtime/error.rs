//! The errors that keep a node from starting, or stop it.

use std::io;
use std::path::{Path, PathBuf};

/// An error that keeps a node from starting, or stops it. A bad datagram is no error: see
/// [`Dropped`](super::Dropped).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file. A failed save is never repeated,
    /// because after a failed `fsync` the content of the disk is unknown.
    #[error("{}: cannot {action}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The operation: `open`, `write`, `sync` and so on.
        action: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
    /// The file is not as a node wrote it. It does not count as empty, because a node that forgets
    /// a save may contradict messages that it has sent.
    #[error("{}: not usable from byte {offset} on: {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte that cannot be used, counted from the beginning of the file.
        offset: usize,
        /// The damage.
        damage: Damage,
    },
    /// Another node uses the directory.
    #[error("{}: already in use by a running node", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// A save cannot be encoded.
    #[error("{}: cannot encode the save: {source}", path.display())]
    Unencodable {
        /// The file.
        path: PathBuf,
        /// The error of the encoder.
        source: postcard::Error,
    },
    /// The actor saves, but the node was configured without a directory.
    #[error("node {node} saves, but has no directory for its log")]
    NoStorage {
        /// The node's id.
        node: usize,
    },
    /// The actor sends before it saves, in one step. Its messages could arrive before its save is
    /// durable, so none of them is sent.
    #[error("node {node} sends before it saves, in one step")]
    SendBeforeSave {
        /// The node's id.
        node: usize,
    },
    /// In a simulation, the log of a node does not hold the state that was durable when it crashed.
    #[error("node {node} has lost a durable state")]
    Forgotten {
        /// The node's id.
        node: usize,
    },
    /// The configured length of datagrams is too short for a header and a message, or too long for
    /// UDP.
    #[error("datagrams can be at most 128 to 65507 bytes long, not {given}")]
    DatagramMax {
        /// The configured length.
        given: usize,
    },
    /// A step cannot be written as JSON.
    #[error("{}: cannot record a step: {source}", path.display())]
    Unrecordable {
        /// The file.
        path: PathBuf,
        /// The error of the encoder.
        source: serde_json::Error,
    },
    /// The address for metrics cannot be used.
    #[error("cannot serve metrics: {0}")]
    Listener(#[source] io::Error),
    /// The socket is unusable.
    #[error("cannot use the socket: {0}")]
    Socket(#[source] io::Error),
    /// The operating system refused to start a thread.
    #[error("cannot start a thread: {0}")]
    Thread(#[source] io::Error),
    /// The actor, or the observer, panicked on the node's thread.
    #[error("the node panicked: {0}")]
    Panicked(String),
}

impl Error {
    /// Returns the error that the operating system refused an operation on a file.
    pub(super) fn file(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Error::File {
            path: path.to_owned(),
            action,
            source,
        }
    }
}

/// A damage of a log's file.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file ends too early.
    #[error("the file ends here, {missing} bytes too early")]
    Short {
        /// The number of missing bytes.
        missing: u64,
    },
    /// A record goes on after its changes.
    #[error("the record should end here, but has {surplus} more bytes")]
    Trailing {
        /// The number of surplus bytes.
        surplus: usize,
    },
    /// The file is no log.
    #[error("this is not a log")]
    Magic,
    /// The file is in another version of the format.
    #[error("it has format version {found}, but this program reads version {expected}")]
    Version {
        /// The version of the file.
        found: u32,
        /// The version that this program reads.
        expected: u32,
    },
    /// The header does not match its checksum.
    #[error("the header does not match its checksum")]
    Checksum,
    /// The file belongs to another cluster.
    #[error("it belongs to cluster {found}, not to cluster {expected}")]
    Cluster {
        /// The cluster of the file.
        found: u64,
        /// The cluster of the node.
        expected: u64,
    },
    /// The file belongs to another node.
    #[error("it belongs to node {found}, not to node {expected}")]
    Node {
        /// The node of the file.
        found: u64,
        /// The node that opens it.
        expected: u64,
    },
    /// The number in the file is not that in its name.
    #[error("it is number {found} of its log, but its name says {expected}")]
    Generation {
        /// The number in the file.
        found: u64,
        /// The number in its name.
        expected: u64,
    },
    /// A record is damaged that was durable: others follow it, or must.
    #[error("this record does not match its checksum, and is not the last")]
    Record,
    /// A change is intact, but cannot be applied to the state before it.
    #[error("this change does not fit the state before it")]
    Change,
    /// A record is intact, but does not contain changes of this actor.
    #[error("the changes cannot be decoded: {0}")]
    Value(postcard::Error),
}
