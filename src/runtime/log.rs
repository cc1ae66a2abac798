//! What a node must not forget: a log of changes, in one file at a time.
//!
//! A file `log-G` begins with the whole state as it was when the file was begun (the snapshot), and
//! goes on with one record per save. When what was appended outgrows the snapshot, and whenever the
//! log is opened, the state is written to `log-(G+1)`, which replaces its predecessor: so what is
//! read is bounded by the size of the state, and what is written, in the long run, by twice the
//! changes.
//!
//! | bytes | of the header | |
//! |---|---|---|
//! | 8 | magic | `SynodLog` |
//! | 4 | version | 2 |
//! | 8 | cluster | |
//! | 8 | node | id of the node |
//! | 8 | generation | G |
//! | 8 | snapshot | where its last record ends |
//! | 4 | checksum | CRC-32 of the above |
//!
//! | bytes | of a record | |
//! |---|---|---|
//! | 4 | length | of the changes in bytes |
//! | 8 | sequence | 0, 1, 2 and so on |
//! | 4 | checksum | CRC-32 of the changes |
//! | 4 | checksum | CRC-32 of the header up to the generation and of the three fields above |
//! | length | changes | their number and they themselves, postcard |
//!
//! Integers are little-endian. Behind the last record are zeros: to overwrite them costs less than
//! to let the file grow.
//!
//! # What a crash leaves behind
//!
//! The next record is written only when the last one is synced. So if a record is not intact, and
//! no intact one follows it, the node was killed before it could speak of that record: it is cut
//! off, and that is reported ([`Cut`]). If an intact record follows, or if the header or the
//! snapshot is not intact, the file was damaged, and the node must not start: a node that forgets
//! what it has said may contradict it. (A last record that was damaged *after* it had been synced
//! looks like a torn one. No log can tell.)

use super::counters::Counters;
use super::error::{Damage, Error};
use super::medium::Medium;
use crate::delta::Delta;
use serde::Serialize;
use stateright::actor::Id;
use std::fmt;
use std::io;
use std::path::PathBuf;

const MAGIC: [u8; 8] = *b"SynodLog";
const VERSION: u32 = 2;
/// Length in bytes of a file's header.
const HEADER: usize = 8 + 4 + 8 + 8 + 8 + 8 + 4;
/// Length in bytes of what precedes the changes of a record.
const RECORD: usize = 4 + 8 + 4 + 4;
/// How many changes of a snapshot make one record.
const CHUNK: usize = 256;

/// How much is filled with zeros at least, in bytes: what a disk writes at once.
const ROOM_MIN: u64 = 4096;

/// What the next file is called until it is complete.
const TEMPORARY: &str = "log.tmp";

fn name(generation: u64) -> String {
    format!("log-{generation:016x}")
}

fn generation(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?;
    let generation = u64::from_str_radix(digits, 16).ok()?;
    (self::name(generation) == name).then_some(generation)
}

/// How large things are, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// How much is filled with zeros ahead of the records, at most: as much as there is already.
    pub(super) room: u64,
    /// No file is replaced before so much was appended to its snapshot.
    pub(super) appended_min: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Sizes {
            room: 1 << 18,
            appended_min: 8 << 20,
        }
    }
}

/// What was cut off the end of a log: a record whose save was never completed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Cut {
    /// The file.
    pub path: PathBuf,
    /// Where the record began, in bytes from the beginning of the file.
    pub offset: u64,
    /// How many bytes there were, up to the last that is not zero.
    pub bytes: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Cut {
            path,
            offset,
            bytes,
        } = self;
        let path = path.display();
        write!(
            f,
            "{path}: {bytes} bytes cut off from byte {offset} on: a save that was never complete"
        )
    }
}

/// What a log remembers.
pub(super) struct Recovered<S> {
    /// What was saved last.
    pub(super) state: Option<S>,
    /// What was cut off.
    pub(super) cut: Option<Cut>,
}

/// The log of one node, open for changes.
pub(super) struct Log<M> {
    medium: M,
    sizes: Sizes,
    cluster: u64,
    node: u64,
    generation: u64,
    /// The checksum of whose file it is, which those of the records continue.
    seed: u32,
    /// The sequence number of the next record.
    sequence: u64,
    /// Where the snapshot ends.
    snapshot: u64,
    /// Where the next record begins.
    end: u64,
    /// Up to where there are zeros.
    zeros: u64,
    buffer: Vec<u8>,
    counters: Counters,
}

impl<M: Medium> Log<M> {
    /// Opens the log and reads what was saved last, which is nothing only if there never was a
    /// log.
    pub(super) fn open<S: Delta>(
        medium: M,
        sizes: Sizes,
        cluster: u64,
        node: Id,
    ) -> Result<(Self, Recovered<S>), Error> {
        let mut log = Log {
            medium,
            sizes,
            cluster,
            node: usize::from(node) as u64,
            generation: 0,
            seed: 0,
            sequence: 0,
            snapshot: 0,
            end: 0,
            zeros: 0,
            buffer: Vec::new(),
            counters: Counters::default(),
        };
        // Which names there are may not be durable yet, if a predecessor was killed.
        let synced = log.medium.sync_names();
        synced.map_err(|source| log.refused("", "sync", source))?;
        let names = log.medium.names();
        let names = names.map_err(|source| log.refused("", "list", source))?;
        let last = names.iter().filter_map(|name| generation(name)).max();
        let recovered = match last {
            Some(last) => log.read(last)?,
            None => Recovered {
                state: None,
                cut: None,
            },
        };
        log.counters.cut_bytes = recovered.cut.as_ref().map_or(0, |cut| cut.bytes);
        // A new file: what was read may not be durable either, and a torn record must go.
        log.generation = last.map_or(0, |last| last + 1);
        log.begin(recovered.state.as_ref())?;
        for old in names.iter().filter(|name| generation(name).is_some()) {
            log.remove(old)?;
        }
        Ok((log, recovered))
    }

    /// Makes changes durable: on return they are part of what the next [`Log::open`] reads, even if
    /// the machine loses power.
    ///
    /// After an error, of this or of the other methods, nobody knows what is on the disk, and the
    /// log must not be used any more.
    pub(super) fn save<C: Serialize>(&mut self, changes: &[C]) -> Result<(), Error> {
        self.append(changes)?;
        self.sync()
    }

    /// The first half of [`Log::save`]: writes one record.
    pub(super) fn append<C: Serialize>(&mut self, changes: &[C]) -> Result<(), Error> {
        self.buffer.clear();
        self.encode(changes)?;
        let end = self.end + self.buffer.len() as u64;
        let written = self.make_room(end).and_then(|()| {
            let buffer = &self.buffer;
            self.medium.write(self.end, buffer)
        });
        written.map_err(|source| self.refused(&name(self.generation), "write", source))?;
        self.end = end;
        Ok(())
    }

    /// The second half of [`Log::save`]: makes what was appended durable.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        let synced = self.medium.sync();
        synced.map_err(|source| self.refused(&name(self.generation), "sync", source))
    }

    /// Replaces the file by one that holds nothing but the state, which must be all that was
    /// appended, if that has outgrown the snapshot.
    pub(super) fn compact<S: Delta>(&mut self, state: &S) -> Result<(), Error> {
        let appended = self.end - self.snapshot;
        if appended <= self.sizes.appended_min.max(self.snapshot) {
            return Ok(());
        }
        let old = name(self.generation);
        self.generation += 1;
        self.begin(Some(state))?;
        self.remove(&old)?;
        self.counters.compactions += 1;
        Ok(())
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Begins the file of the present generation with the state, and makes it durable.
    fn begin<S: Delta>(&mut self, state: Option<&S>) -> Result<(), Error> {
        let changes = state.map_or(Vec::new(), |state| state.changes(None));
        self.sequence = 0;
        self.buffer.clear();
        self.seed = seed(&self.header());
        for chunk in changes.chunks(CHUNK) {
            self.encode(chunk)?;
        }
        self.snapshot = (HEADER + self.buffer.len()) as u64;
        let header = self.header();
        let name = name(self.generation);
        let begun = self.write_file(&header, &name);
        begun.map_err(|source| self.refused(&name, "begin", source))
    }

    fn write_file(&mut self, header: &[u8; HEADER], name: &str) -> io::Result<()> {
        self.medium.create(TEMPORARY)?;
        self.medium.write(0, header)?;
        self.medium.write(HEADER as u64, &self.buffer)?;
        self.end = self.snapshot;
        self.zeros = self.snapshot;
        self.make_room(self.end + 1)?;
        self.medium.sync()?;
        self.medium.rename(TEMPORARY, name)?;
        self.medium.sync_names()
    }

    fn header(&self) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..20].copy_from_slice(&self.cluster.to_le_bytes());
        header[20..28].copy_from_slice(&self.node.to_le_bytes());
        header[28..36].copy_from_slice(&self.generation.to_le_bytes());
        header[36..44].copy_from_slice(&self.snapshot.to_le_bytes());
        let checksum = crc32fast::hash(&header[..44]);
        header[44..].copy_from_slice(&checksum.to_le_bytes());
        header
    }

    /// Fills with zeros what the records are to be written over next, up to `end` at least.
    fn make_room(&mut self, end: u64) -> io::Result<()> {
        if end > self.zeros {
            let room = end.clamp(ROOM_MIN.min(self.sizes.room), self.sizes.room);
            let zeros = vec![0; (end - self.zeros + room) as usize];
            self.medium.write(self.zeros, &zeros)?;
            self.zeros += zeros.len() as u64;
        }
        Ok(())
    }

    /// Appends a record to the buffer.
    fn encode<C: Serialize>(&mut self, changes: &[C]) -> Result<(), Error> {
        let start = self.buffer.len();
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend([0; RECORD]);
        let unencodable = |source| Error::Unencodable {
            path: self.medium.path(&name(self.generation)),
            source,
        };
        let buffer = postcard::to_extend(changes, buffer).map_err(unencodable)?;
        self.buffer = buffer;
        let (header, changes) = self.buffer[start..].split_at_mut(RECORD);
        let length = u32::try_from(changes.len());
        let length = length.map_err(|_| postcard::Error::SerializeBufferFull);
        let length = length.map_err(|source| Error::Unencodable {
            path: self.medium.path(&name(self.generation)),
            source,
        })?;
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..12].copy_from_slice(&self.sequence.to_le_bytes());
        header[12..16].copy_from_slice(&crc32fast::hash(changes).to_le_bytes());
        let checksum = continued(self.seed, &header[..16]);
        header[16..].copy_from_slice(&checksum.to_le_bytes());
        self.sequence += 1;
        Ok(())
    }

    fn read<S: Delta>(&self, generation: u64) -> Result<Recovered<S>, Error> {
        let name = name(generation);
        let content = self.medium.read(&name);
        let content = content.map_err(|source| self.refused(&name, "read", source))?;
        let path = self.medium.path(&name);
        match read(&content, self.cluster, self.node, generation) {
            Ok((state, cut)) => Ok(Recovered {
                state,
                cut: cut.map(|(offset, bytes)| Cut {
                    path,
                    offset: offset as u64,
                    bytes: bytes as u64,
                }),
            }),
            Err((offset, damage)) => Err(Error::Damaged {
                path,
                offset,
                damage,
            }),
        }
    }

    fn remove(&mut self, name: &str) -> Result<(), Error> {
        let removed = self.medium.remove(name);
        removed.map_err(|source| self.refused(name, "remove", source))
    }

    fn refused(&self, name: &str, action: &'static str, source: io::Error) -> Error {
        Error::File {
            path: self.medium.path(name),
            action,
            source,
        }
    }
}

/// The checksum of whose file it is, and which: what precedes the length of the snapshot.
fn seed(header: &[u8; HEADER]) -> u32 {
    crc32fast::hash(&header[..36])
}

fn continued(seed: u32, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

/// Where something is wrong, and what.
pub(super) type Wrong = (usize, Damage);

/// What is torn at the end of a file: where it begins, and its length in bytes.
pub(super) type Torn = (usize, usize);

/// Reads a whole file: the state, and what is torn at its end.
pub(super) fn read<S: Delta>(
    content: &[u8],
    cluster: u64,
    node: u64,
    generation: u64,
) -> Result<(Option<S>, Option<Torn>), Wrong> {
    let header = Header::read(content)?;
    header.check(cluster, node, generation, content.len())?;
    let (mut state, mut at, mut sequence) = (None, HEADER, 0);
    loop {
        let is_snapshot = (at as u64) < header.snapshot;
        match record(&content[at..], header.seed, sequence) {
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
    if is_followed(rest, header.seed, sequence) {
        return Err((at, Damage::Record));
    }
    let written = rest.iter().rposition(|byte| *byte != 0);
    Ok((state, written.map(|last| (at, last + 1))))
}

/// The changes of the record at the beginning of `bytes`, if it is intact.
fn record(bytes: &[u8], seed: u32, sequence: u64) -> Option<&[u8]> {
    let header = RecordHeader::read(bytes, seed)?;
    let rest = &bytes[RECORD..];
    let changes = rest.get(..header.length)?;
    let is_next = header.sequence == sequence && header.length > 0;
    let is_intact = is_next && header.checksum == crc32fast::hash(changes);
    is_intact.then_some(changes)
}

/// Whether a later record than `sequence` begins anywhere in `bytes`.
fn is_followed(bytes: &[u8], seed: u32, sequence: u64) -> bool {
    let later = sequence + 1..=sequence.saturating_add(bytes.len() as u64);
    let starts = 0..bytes.len().saturating_sub(RECORD - 1);
    let mut headers = starts.filter_map(|at| {
        let (_, rest) = bytes[at..].split_first_chunk::<4>()?;
        let (number, _) = rest.split_first_chunk()?;
        // Nearly always this is enough to say no.
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

struct Header {
    cluster: u64,
    node: u64,
    generation: u64,
    snapshot: u64,
    seed: u32,
}

impl Header {
    fn read(content: &[u8]) -> Result<Self, Wrong> {
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
        Ok(Header {
            cluster: word(12),
            node: word(20),
            generation: word(28),
            snapshot: word(36),
            seed: seed(header),
        })
    }

    fn check(&self, cluster: u64, node: u64, generation: u64, length: usize) -> Result<(), Wrong> {
        let (found, expected) = (self.cluster, cluster);
        if found != expected {
            return Err((12, Damage::Cluster { found, expected }));
        }
        let (found, expected) = (self.node, node);
        if found != expected {
            return Err((20, Damage::Node { found, expected }));
        }
        let (found, expected) = (self.generation, generation);
        if found != expected {
            return Err((28, Damage::Generation { found, expected }));
        }
        let missing = self.snapshot.saturating_sub(length as u64);
        if missing > 0 {
            return Err((length, Damage::Short { missing }));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
