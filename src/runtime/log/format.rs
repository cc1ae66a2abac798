//! The format of a log's file.
//!
//! | bytes | of the header | |
//! |---|---|---|
//! | 8 | magic | `SynodLog` |
//! | 4 | version | 2 |
//! | 8 | cluster | |
//! | 8 | node | id of the node |
//! | 8 | generation | number of the file |
//! | 8 | snapshot | end of its last record |
//! | 4 | checksum | CRC-32 of the above |
//!
//! | bytes | of a record | |
//! |---|---|---|
//! | 4 | length | of the changes in bytes |
//! | 8 | sequence | 0, 1, 2 and so on |
//! | 4 | checksum | CRC-32 of the changes |
//! | 4 | checksum | CRC-32 of the header up to the generation and of the three fields above |
//! | length | changes | their number and the changes, postcard |
//!
//! Integers are little-endian. Behind the last record are zeros.

use crate::delta::Delta;
use crate::runtime::error::Damage;

const MAGIC: [u8; 8] = *b"SynodLog";
const VERSION: u32 = 2;
/// The length of a file's header in bytes.
pub(in crate::runtime) const HEADER: usize = 8 + 4 + 8 + 8 + 8 + 8 + 4;
/// The length of a record's header in bytes.
pub(in crate::runtime) const RECORD: usize = 4 + 8 + 4 + 4;

/// A damage, and the first byte that cannot be used because of it.
pub(super) type Wrong = (usize, Damage);

/// The offset of a torn record and its length, in bytes.
pub(super) type Torn = (usize, usize);

/// The identity of a file.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct FileId {
    pub(in crate::runtime) cluster: u64,
    pub(in crate::runtime) node: u64,
    pub(in crate::runtime) generation: u64,
}

impl FileId {
    /// Writes the header of a file whose snapshot ends at an offset.
    pub(in crate::runtime) fn header(&self, snapshot: u64) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..20].copy_from_slice(&self.cluster.to_le_bytes());
        header[20..28].copy_from_slice(&self.node.to_le_bytes());
        header[28..36].copy_from_slice(&self.generation.to_le_bytes());
        header[36..44].copy_from_slice(&snapshot.to_le_bytes());
        let checksum = crc32fast::hash(&header[..44]);
        header[44..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Returns the checksum of the header up to the generation. The checksums of the records
    /// continue it.
    pub(in crate::runtime) fn seed(&self) -> u32 {
        crc32fast::hash(&self.header(0)[..36])
    }

    /// Reads a header. Returns the identity of the file, and the end of its snapshot.
    fn read(content: &[u8]) -> Result<(Self, u64), Wrong> {
        let header = content.first_chunk::<HEADER>().ok_or_else(|| {
            let missing = (HEADER - content.len()) as u64;
            (content.len(), Damage::Short { missing })
        })?;
        let word = |at: usize| {
            let bytes = header[at..].first_chunk().copied();
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        if header[..8] != MAGIC {
            return Err((0, Damage::Magic));
        }
        let (found, expected) = (word(8) as u32, VERSION);
        if found != expected {
            return Err((8, Damage::Version { found, expected }));
        }
        if word(40) >> 32 != u64::from(crc32fast::hash(&header[..HEADER - 4])) {
            return Err((0, Damage::Checksum));
        }
        let file = FileId {
            cluster: word(12),
            node: word(20),
            generation: word(28),
        };
        Ok((file, word(36)))
    }

    /// Refuses another file than the one that is expected.
    fn check(&self, wanted: &Self) -> Result<(), Wrong> {
        let (found, expected) = (self.cluster, wanted.cluster);
        if found != expected {
            return Err((12, Damage::Cluster { found, expected }));
        }
        let (found, expected) = (self.node, wanted.node);
        if found != expected {
            return Err((20, Damage::Node { found, expected }));
        }
        let (found, expected) = (self.generation, wanted.generation);
        if found != expected {
            return Err((28, Damage::Generation { found, expected }));
        }
        Ok(())
    }
}

fn continued(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// Completes a record that consists of [`RECORD`] bytes and its changes: writes its header. Returns
/// `None` if there are too many bytes of changes.
pub(in crate::runtime) fn seal(record: &mut [u8], seed: u32, sequence: u64) -> Option<()> {
    let (header, changes) = record.split_at_mut(RECORD);
    let length = u32::try_from(changes.len()).ok()?;
    header[..4].copy_from_slice(&length.to_le_bytes());
    header[4..12].copy_from_slice(&sequence.to_le_bytes());
    header[12..16].copy_from_slice(&crc32fast::hash(changes).to_le_bytes());
    let checksum = continued(seed, &header[..16]);
    header[16..].copy_from_slice(&checksum.to_le_bytes());
    Some(())
}

struct RecordHeader {
    length: usize,
    sequence: u64,
    checksum: u32,
}

impl RecordHeader {
    fn read(bytes: &[u8], seed: u32) -> Option<Self> {
        let header = bytes.first_chunk::<RECORD>()?;
        let (&length, rest) = header.split_first_chunk()?;
        let (&sequence, rest) = rest.split_first_chunk()?;
        let (&checksum, rest) = rest.split_first_chunk()?;
        let (&own, _) = rest.split_first_chunk()?;
        let is_intact = u32::from_le_bytes(own) == continued(seed, &header[..RECORD - 4]);
        is_intact.then_some(RecordHeader {
            length: u32::from_le_bytes(length) as usize,
            sequence: u64::from_le_bytes(sequence),
            checksum: u32::from_le_bytes(checksum),
        })
    }
}

/// Reads a whole file: the state, and the torn record at its end.
pub(in crate::runtime) fn read<S: Delta>(
    content: &[u8],
    expected: &FileId,
) -> Result<(Option<S>, Option<Torn>), Wrong> {
    let (file, snapshot) = FileId::read(content)?;
    file.check(expected)?;
    let missing = snapshot.saturating_sub(content.len() as u64);
    if missing > 0 {
        return Err((content.len(), Damage::Short { missing }));
    }
    let seed = file.seed();
    let (mut state, mut at, mut sequence) = (None, HEADER, 0);
    loop {
        let is_snapshot = (at as u64) < snapshot;
        match record(&content[at..], seed, sequence) {
            Some(changes) => {
                state = apply(state, changes, at + RECORD)?;
                at += RECORD + changes.len();
                sequence += 1;
            }
            None if is_snapshot => return Err((at, Damage::Record)),
            None => break,
        }
    }
    let rest = &content[at..];
    if is_followed(rest, seed, sequence) {
        return Err((at, Damage::Record));
    }
    let written = rest.iter().rposition(|byte| *byte != 0);
    Ok((state, written.map(|last| (at, last + 1))))
}

/// Returns the changes of the record at the beginning of `bytes`, if it is intact.
fn record(bytes: &[u8], seed: u32, sequence: u64) -> Option<&[u8]> {
    let header = RecordHeader::read(bytes, seed)?;
    let rest = &bytes[RECORD..];
    let changes = rest.get(..header.length)?;
    let is_next = header.sequence == sequence && header.length > 0;
    let is_intact = is_next && header.checksum == crc32fast::hash(changes);
    is_intact.then_some(changes)
}

/// Returns whether a record with a higher sequence number begins anywhere in `bytes`.
fn is_followed(bytes: &[u8], seed: u32, sequence: u64) -> bool {
    let later = sequence + 1..=sequence.saturating_add(bytes.len() as u64);
    let starts = 0..bytes.len().saturating_sub(RECORD - 1);
    let mut headers = starts.filter_map(|at| {
        let (_, rest) = bytes[at..].split_first_chunk::<4>()?;
        let (number, _) = rest.split_first_chunk()?;
        // This excludes nearly all places, and costs less than a checksum.
        later.contains(&u64::from_le_bytes(*number)).then_some(at)
    });
    headers.any(|at| RecordHeader::read(&bytes[at..], seed).is_some())
}

fn apply<S: Delta>(state: Option<S>, changes: &[u8], at: usize) -> Result<Option<S>, Wrong> {
    let (changes, rest): (Vec<S::Change>, _) =
        postcard::take_from_bytes(changes).map_err(|error| (at, Damage::Value(error)))?;
    if !rest.is_empty() {
        let surplus = rest.len();
        return Err((at, Damage::Trailing { surplus }));
    }
    let mut changes = changes.into_iter();
    let state = changes.try_fold(state, |state, change| S::apply(state, change).map(Some));
    state.ok_or((at, Damage::Change))
}
