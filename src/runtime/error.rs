//! Why a node does not start, or stops.

use std::io;
use std::path::PathBuf;

/// Why a node does not start, or stops. Nothing that arrives over the network is an error: see
/// [`Dropped`](super::Dropped).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused an operation on a file. A save that failed is never tried
    /// again: after a failed `fsync` nobody knows what is on the disk.
    #[error("{}: cannot {action}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What was to be done with it.
        action: &'static str,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not exactly what a node wrote. It is never taken for an empty one, because a
    /// node that forgets what it has said may contradict it.
    #[error("{}: not usable from byte {offset} on: {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first byte that cannot be used, counted from the beginning of the file.
        offset: usize,
        /// What is wrong there.
        damage: Damage,
    },
    /// Another node uses the directory.
    #[error("{}: already in use by a running node", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// What the actor wants to save cannot be encoded.
    #[error("{}: cannot encode what is to be saved: {source}", path.display())]
    Unencodable {
        /// The file.
        path: PathBuf,
        /// What the codec says.
        source: postcard::Error,
    },
    /// The actor saves, but the node was configured without a directory.
    #[error("node {node} saves, but was given no directory to save to")]
    NoStorage {
        /// The node's id.
        node: usize,
    },
    /// In one step the actor sends before it saves. The step's messages could become known while
    /// its save is not yet durable, so none of them is sent.
    #[error("node {node} sends before it saves, in one step")]
    SendBeforeSave {
        /// The node's id.
        node: usize,
    },
    /// In a simulation, what was durable when a node crashed is not what its log holds.
    #[error("node {node} has forgotten what was durable")]
    Forgotten {
        /// The node's id.
        node: usize,
    },
    /// The longest datagram is to be too short for a header and a message, or too long for UDP.
    #[error("datagrams can be at most 128 to 65507 bytes long, not {given}")]
    DatagramMax {
        /// What was asked for.
        given: usize,
    },
    /// A step cannot be written as JSON.
    #[error("{}: cannot record a step: {source}", path.display())]
    Unrecordable {
        /// The file.
        path: PathBuf,
        /// What the codec says.
        source: serde_json::Error,
    },
    /// The address for metrics cannot be had.
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

/// What is wrong with a file of the log.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Damage {
    /// The file ends too early.
    #[error("the file ends here, {missing} bytes too early")]
    Short {
        /// How many bytes are missing.
        missing: u64,
    },
    /// The file goes on after its end.
    #[error("the file should end here, but has {surplus} more bytes")]
    Trailing {
        /// How many bytes are too many.
        surplus: usize,
    },
    /// The file is no log.
    #[error("this is not a log")]
    Magic,
    /// The file is in a format of another version.
    #[error("it has format version {found}, this program reads version {expected}")]
    Version {
        /// The version of the file.
        found: u32,
        /// The version that can be read.
        expected: u32,
    },
    /// The content does not match the checksum.
    #[error("the content does not match its checksum")]
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
    /// The file has another number than its name says.
    #[error("it is number {found} of its log, its name says {expected}")]
    Generation {
        /// The number in the file.
        found: u64,
        /// The number in its name.
        expected: u64,
    },
    /// A record is damaged that was durable once: others follow it, or must.
    #[error("this record does not match its checksum, and is not the last")]
    Record,
    /// A change is intact, but does not fit to the state that it is to change.
    #[error("this change does not fit to what was saved before it")]
    Change,
    /// The content is intact, but is nothing that this actor saves.
    #[error("the saved value cannot be decoded: {0}")]
    Value(postcard::Error),
}
