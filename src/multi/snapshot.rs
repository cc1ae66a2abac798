//! Snapshots: the machine at a slot, in pieces small enough for a datagram.

use super::{Sessions, Slot};
use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

/// What all slots before a given one have led to, encoded. Speaks for them once they are truncated.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Snapshot {
    /// The first slot that it does not speak for.
    pub upto: Slot,
    /// The machine and its sessions, encoded. The same bytes at every node.
    pub bytes: Arc<[u8]>,
}

/// A piece of a snapshot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Chunk {
    /// Which snapshot.
    pub upto: Slot,
    /// How many bytes it has.
    pub total: u64,
    /// A checksum of all of them (XXH3, 64 bits).
    pub digest: u64,
    /// Where this piece begins.
    pub offset: u64,
    /// The piece.
    pub bytes: Vec<u8>,
}

impl Snapshot {
    /// The snapshot of a machine that all slots before `upto` were applied to.
    ///
    /// `None` if the machine cannot be encoded, which is an error of its own.
    #[must_use]
    pub fn take<M: Machine>(upto: Slot, sessions: &Sessions<M>) -> Option<Self> {
        let bytes = postcard::to_stdvec(sessions).ok()?;
        Some(Self {
            upto,
            bytes: bytes.into(),
        })
    }

    /// The machine; `None` if these bytes are no machine.
    #[must_use]
    pub fn open<M: Machine>(&self) -> Option<Sessions<M>> {
        match postcard::take_from_bytes(&self.bytes) {
            Ok((sessions, [])) => Some(sessions),
            Ok(_) | Err(_) => None,
        }
    }

    /// The piece that begins at an offset, of at most `size` bytes; `None` beyond the end.
    #[must_use]
    pub fn chunk(&self, offset: u64, size: usize) -> Option<Chunk> {
        let start = usize::try_from(offset).ok()?;
        let rest = self.bytes.get(start..).filter(|rest| !rest.is_empty())?;
        Some(Chunk {
            upto: self.upto,
            total: self.bytes.len() as u64,
            digest: xxh3_64(&self.bytes),
            offset,
            bytes: rest[..rest.len().min(size.max(1))].to_vec(),
        })
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "snapshot {} of {} bytes", self.upto, self.bytes.len())
    }
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.offset.saturating_add(self.bytes.len() as u64);
        let total = self.total;
        write!(f, "{} {}..{end} of {total}", self.upto, self.offset)
    }
}

/// A snapshot on its way in. Lost in a crash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    upto: Slot,
    total: u64,
    digest: u64,
    bytes: Vec<u8>,
}

/// What a piece of a snapshot leads to.
pub enum Received {
    /// Nothing: it is a piece that is there, or of another snapshot.
    Nothing,
    /// More is to come, from this offset on.
    More(u64),
    /// All is there, and the checksum fits.
    Whole(Snapshot),
    /// All is there, and the checksum does not fit: begin again.
    Damaged,
}

impl Transfer {
    /// Whether it would bring nothing new to a node that knows all slots before `decided`.
    pub(super) fn is_past(&self, decided: Slot) -> bool {
        self.upto <= decided
    }

    /// Adds a piece: the next of the snapshot under way, or the first of a later one, for whoever
    /// sends it may have moved on. It does not matter who sends: two nodes' snapshots up to the
    /// same slot are the same.
    pub fn add(under_way: &mut Option<Self>, chunk: Chunk) -> Received {
        let fits = |transfer: &&mut Self| {
            let theirs = (chunk.upto, chunk.total, chunk.digest);
            (transfer.upto, transfer.total, transfer.digest) == theirs
        };
        let is_later = under_way.as_ref().is_none_or(|it| it.upto < chunk.upto);
        if is_later && chunk.offset == 0 {
            *under_way = Some(Self {
                upto: chunk.upto,
                total: chunk.total,
                digest: chunk.digest,
                bytes: Vec::new(),
            });
        }
        let Some(transfer) = under_way.as_mut().filter(fits) else {
            return Received::Nothing;
        };
        let have = transfer.bytes.len() as u64;
        if chunk.offset == have && chunk.bytes.len() as u64 <= chunk.total - have {
            transfer.bytes.extend_from_slice(&chunk.bytes);
        } else if chunk.offset != 0 {
            return Received::Nothing;
        }
        let have = transfer.bytes.len() as u64;
        if have < transfer.total {
            return Received::More(have);
        }
        let (upto, digest) = (transfer.upto, transfer.digest);
        let bytes = under_way.take().map(|it| it.bytes).unwrap_or_default();
        if xxh3_64(&bytes) != digest {
            return Received::Damaged;
        }
        let bytes = bytes.into();
        Received::Whole(Snapshot { upto, bytes })
    }
}
