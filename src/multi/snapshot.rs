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
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
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

    /// All that has arrived, as one piece.
    #[must_use]
    pub fn so_far(&self) -> Chunk {
        Chunk {
            upto: self.upto,
            total: self.total,
            digest: self.digest,
            offset: 0,
            bytes: self.bytes.clone(),
        }
    }

    /// Adds a piece: the next of the snapshot under way, or the first of another, for whoever sent
    /// the one under way may have moved on, or be gone. It does not matter who sends: two nodes'
    /// snapshots up to the same slot are the same.
    pub fn add(under_way: &mut Option<Self>, chunk: Chunk) -> Received {
        let fits = |transfer: &&mut Self| {
            let theirs = (chunk.upto, chunk.total, chunk.digest);
            (transfer.upto, transfer.total, transfer.digest) == theirs
        };
        if chunk.offset == 0 && under_way.as_mut().filter(fits).is_none() {
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

#[cfg(test)]
mod tests {
    use super::super::testing::{Journal, journal, operation};
    use super::*;

    fn snapshot(upto: u64, letters: &str) -> Snapshot {
        let mut sessions = journal();
        for (seq, letter) in (1..).zip(letters.chars()) {
            sessions.apply_operation(&operation(0, seq, letter));
        }
        Snapshot::take(Slot(upto), &sessions).expect("a journal can be encoded")
    }

    /// All pieces of a snapshot, of four bytes each.
    fn chunks(snapshot: &Snapshot) -> Vec<Chunk> {
        let offsets = (0..snapshot.bytes.len()).step_by(4);
        let chunk = |offset| snapshot.chunk(offset as u64, 4).expect("a piece");
        offsets.map(chunk).collect()
    }

    /// Adds pieces and returns what the last one led to: an offset, a snapshot or neither.
    fn add(under_way: &mut Option<Transfer>, chunks: &[Chunk]) -> Result<Option<u64>, Snapshot> {
        let mut last = Ok(None);
        for chunk in chunks {
            last = match Transfer::add(under_way, chunk.clone()) {
                Received::More(offset) => Ok(Some(offset)),
                Received::Whole(snapshot) => Err(snapshot),
                Received::Nothing | Received::Damaged => Ok(None),
            };
        }
        last
    }

    #[test]
    fn a_snapshot_opens_to_the_machine_it_was_taken_of() {
        let sessions = snapshot(3, "xyz").open::<Journal>().expect("it is one");
        assert_eq!(sessions.machine().0, "xyz");
    }

    #[test]
    fn a_piece_that_is_longer_than_what_is_left_is_not_taken() {
        let chunks = chunks(&snapshot(3, "xyz"));
        let longer = |chunk: &Chunk| Chunk {
            bytes: vec![0; (chunk.total - chunk.offset + 1) as usize],
            ..chunk.clone()
        };
        let mut under_way = None;
        assert_eq!(add(&mut under_way, &[longer(&chunks[0])]), Ok(Some(0)));
        assert_eq!(add(&mut under_way, &chunks[..1]), Ok(Some(4)));
        assert_eq!(add(&mut under_way, &[longer(&chunks[1])]), Ok(None));
        assert_eq!(add(&mut under_way, &chunks[1..2]), Ok(Some(8)));
    }

    #[test]
    fn what_has_arrived_is_one_piece_from_the_beginning() {
        let chunks = chunks(&snapshot(3, "xyz"));
        let mut under_way = None;
        assert_eq!(add(&mut under_way, &chunks[..2]), Ok(Some(8)));
        let expected = Chunk {
            bytes: [&chunks[0].bytes[..], &chunks[1].bytes].concat(),
            ..chunks[0].clone()
        };
        assert_eq!(under_way.map(|it| it.so_far()), Some(expected));
    }

    #[test]
    fn bytes_that_are_no_machine_do_not_open() {
        let whole = snapshot(3, "xyz").bytes;
        let cut = |bytes: &[u8]| Snapshot {
            upto: Slot(3),
            bytes: bytes.into(),
        };
        assert_eq!(cut(&whole[..whole.len() - 1]).open::<Journal>(), None);
        assert_eq!(cut(&[&whole, &[0_u8][..]].concat()).open::<Journal>(), None);
    }

    #[test]
    fn pieces_in_order_make_the_snapshot() {
        let snapshot = snapshot(3, "xyz");
        let chunks = chunks(&snapshot);
        assert!(chunks.len() > 2, "{} pieces", chunks.len());
        let mut transfer = None;
        let (last, first) = chunks.split_last().expect("some pieces");
        for (index, chunk) in (1..).zip(first) {
            let more = add(&mut transfer, std::slice::from_ref(chunk));
            assert_eq!(more, Ok(Some(4 * index)));
        }
        let whole = add(&mut transfer, std::slice::from_ref(last));
        assert_eq!(whole, Err(snapshot));
        assert_eq!(transfer, None);
    }

    #[test]
    fn beyond_the_end_there_is_no_piece_and_none_is_empty() {
        let snapshot = snapshot(3, "xyz");
        for offset in [snapshot.bytes.len() as u64, u64::MAX] {
            assert_eq!(snapshot.chunk(offset, 4), None);
        }
        let chunk = snapshot.chunk(0, 0).expect("a piece");
        assert_eq!(chunk.bytes.len(), 1, "a size of zero would never end");
    }

    #[test]
    fn a_piece_again_or_out_of_order_changes_nothing() {
        let chunks = chunks(&snapshot(3, "xyz"));
        let mut transfer = None;
        assert_eq!(add(&mut transfer, &chunks[..2]), Ok(Some(8)));
        let before = transfer.clone();
        assert_eq!(add(&mut transfer, &chunks[1..2]), Ok(None));
        assert_eq!(add(&mut transfer, &chunks[3..4]), Ok(None));
        assert_eq!(transfer, before);
    }

    #[test]
    fn the_first_piece_again_resumes_where_it_stopped() {
        let chunks = chunks(&snapshot(3, "xyz"));
        let mut transfer = None;
        assert_eq!(add(&mut transfer, &chunks[..2]), Ok(Some(8)));
        assert_eq!(add(&mut transfer, &chunks[..1]), Ok(Some(8)));
    }

    #[test]
    fn another_snapshot_takes_over_with_its_first_piece() {
        let (earlier, later) = (chunks(&snapshot(3, "xyz")), chunks(&snapshot(4, "xyzw")));
        let mut transfer = None;
        assert_eq!(add(&mut transfer, &earlier[..2]), Ok(Some(8)));
        assert_eq!(add(&mut transfer, &later[1..2]), Ok(None), "not its first");
        assert_eq!(add(&mut transfer, &later[..1]), Ok(Some(4)));
        // Whoever sent the later one may be gone for good.
        assert_eq!(add(&mut transfer, &earlier[..1]), Ok(Some(4)));
        assert_eq!(add(&mut transfer, &later[1..]), Ok(None));
        assert_eq!(add(&mut transfer, &earlier[1..]), Err(snapshot(3, "xyz")));
    }

    #[test]
    fn a_damaged_snapshot_is_refused_and_asked_for_anew() {
        let mut chunks = chunks(&snapshot(3, "xyz"));
        chunks[1].bytes[0] ^= 1;
        let mut transfer = None;
        assert_eq!(add(&mut transfer, &chunks), Ok(None));
        assert_eq!(transfer, None);
        // Pieces that differ in the checksum are of two snapshots.
        let mut chunks = self::chunks(&snapshot(3, "xyz"));
        chunks[1].digest ^= 1;
        assert_eq!(add(&mut transfer, &chunks[..2]), Ok(None));
    }

    #[test]
    fn absurd_numbers_in_a_piece_do_no_harm() {
        let chunk = Chunk {
            upto: Slot(u64::MAX),
            total: u64::MAX,
            digest: 0,
            offset: 0,
            bytes: vec![1, 2],
        };
        let mut transfer = None;
        let pieces = [0, u64::MAX].map(|offset| Chunk {
            offset,
            ..chunk.clone()
        });
        assert_eq!(add(&mut transfer, &pieces[..1]), Ok(Some(2)));
        assert_eq!(add(&mut transfer, &pieces[1..]), Ok(None));
        assert!(pieces.iter().all(|it| !format!("{it:?}").is_empty()));
        // More than was announced is not taken.
        let mut transfer = None;
        let short = Chunk { total: 1, ..chunk };
        assert_eq!(add(&mut transfer, &[short]), Ok(Some(0)));
    }
}
