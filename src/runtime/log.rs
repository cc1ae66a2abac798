//! The write-ahead log of a node: a sequence of changes, in one file at a time.
//!
//! A file `log-G` begins with the whole state at the time when the file was begun (the snapshot),
//! and continues with one record per save. When the records outgrow the snapshot, and whenever the
//! log is opened, the state is written to `log-(G+1)`, which replaces its predecessor. So the size
//! of the state bounds the bytes that are read, and, in the long run, twice the changes bound the
//! bytes that are written.
//!
//! [`format`] has the bytes. Behind the last record are zeros: to overwrite zeros costs less than
//! to let the file grow.
//!
//! # What a crash leaves behind
//!
//! A record is written only when the one before it is synced. So if a record is not intact, and no
//! intact record follows, the node was killed before a message could follow from that record: it is
//! cut off and reported ([`TornTail`]). If an intact record follows, or if the header or the
//! snapshot is not intact, the file was damaged, and the node must not start: a node that forgets a
//! save may contradict messages that it has sent. (A last record that was damaged *after* its sync
//! looks like a torn one. No log can tell them apart.)

pub(super) mod format;

use super::counters::Counters;
use super::error::Error;
use super::file_system::FileSystem;
use crate::delta::Delta;
use format::{FileId, HEADER, RECORD};
use serde::Serialize;
use stateright::actor::Id;
use std::fmt;
use std::io;
use std::path::PathBuf;

/// The number of changes in a record of a snapshot.
const CHUNK: usize = 256;

/// The smallest number of zeros that are written at a time: the bytes that a disk writes at once.
const ROOM_MIN: u64 = 4096;

/// The name of the next file until it is complete.
const TEMPORARY: &str = "log.tmp";

fn name(generation: u64) -> String {
    format!("log-{generation:016x}")
}

fn generation(name: &str) -> Option<u64> {
    let digits = name.strip_prefix("log-")?;
    let generation = u64::from_str_radix(digits, 16).ok()?;
    (self::name(generation) == name).then_some(generation)
}

/// The sizes of a log's files, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// The greatest number of zeros that are written ahead of the records. A shorter file gets as
    /// many as it has bytes.
    pub(super) room: u64,
    /// The smallest size of the records behind the snapshot with which a file is replaced.
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

/// A torn record that was cut off the end of a log, because its save was never completed.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct TornTail {
    /// The file.
    pub path: PathBuf,
    /// The offset of the record in the file, in bytes.
    pub offset: u64,
    /// The number of bytes up to the last that is not zero.
    pub bytes: u64,
}

impl fmt::Display for TornTail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, offset, bytes) = (self.path.display(), self.offset, self.bytes);
        write!(
            f,
            "{path}: {bytes} bytes cut off from byte {offset} on: a save that was not complete"
        )
    }
}

/// The content of a log when it is opened.
pub(super) struct Recovered<S> {
    /// The last save.
    pub(super) state: Option<S>,
    /// The torn record.
    pub(super) torn_tail: Option<TornTail>,
}

/// The log of one node, open for changes.
pub(super) struct Log<M> {
    files: M,
    sizes: Sizes,
    file: FileId,
    /// The seed of the records' checksums.
    seed: u32,
    /// The sequence number of the next record.
    sequence: u64,
    /// The end of the snapshot.
    snapshot: u64,
    /// The beginning of the next record.
    end: u64,
    /// The end of the zeros.
    zeros: u64,
    buffer: Vec<u8>,
    pub(super) counters: Counters,
}

impl<M: FileSystem> Log<M> {
    /// Opens the log, and reads the last save. There is none only if there never was a log.
    pub(super) fn open<S: Delta>(
        files: M,
        sizes: Sizes,
        cluster: u64,
        node: Id,
    ) -> Result<(Self, Recovered<S>), Error> {
        let mut log = Log {
            files,
            sizes,
            file: FileId {
                cluster,
                node: usize::from(node) as u64,
                generation: 0,
            },
            seed: 0,
            sequence: 0,
            snapshot: 0,
            end: 0,
            zeros: 0,
            buffer: Vec::new(),
            counters: Counters::default(),
        };
        // The names may not be durable yet, if a predecessor was killed.
        let synced = log.files.sync_names();
        synced.map_err(|source| log.refused("", "sync", source))?;
        let names = log.files.names();
        let names = names.map_err(|source| log.refused("", "list", source))?;
        let last = names.iter().filter_map(|name| generation(name)).max();
        let recovered = match last {
            Some(last) => log.read(last)?,
            None => Recovered {
                state: None,
                torn_tail: None,
            },
        };
        let torn_tail = recovered.torn_tail.as_ref();
        log.counters.cut_bytes = torn_tail.map_or(0, |it| it.bytes);
        // The content may not be durable either, and a torn record must go. So a new file begins.
        log.file.generation = last.map_or(0, |last| last + 1);
        log.begin(recovered.state.as_ref())?;
        for old in names.iter().filter(|name| generation(name).is_some()) {
            log.remove(old)?;
        }
        Ok((log, recovered))
    }

    /// Writes changes as one record, which [`Log::sync`] makes durable.
    ///
    /// After an error, of this method or of another, the content of the disk is unknown, and the
    /// log must not be used any more.
    pub(super) fn append<C: Serialize>(&mut self, changes: &[C]) -> Result<(), Error> {
        self.buffer.clear();
        self.encode(changes)?;
        let end = self.end + self.buffer.len() as u64;
        let written = self.make_room(end).and_then(|()| {
            let buffer = &self.buffer;
            self.files.write(self.end, buffer)
        });
        written.map_err(|source| self.refused(&name(self.file.generation), "write", source))?;
        self.end = end;
        Ok(())
    }

    /// Makes all records durable: the next [`Log::open`] reads them, even if the machine loses
    /// power.
    pub(super) fn sync(&mut self) -> Result<(), Error> {
        let synced = self.files.sync();
        synced.map_err(|source| self.refused(&name(self.file.generation), "sync", source))
    }

    /// Replaces the file by one with the state alone, if the records have outgrown the snapshot.
    /// The state must be the one to which all records lead.
    pub(super) fn compact<S: Delta>(&mut self, state: &S) -> Result<(), Error> {
        let appended = self.end - self.snapshot;
        if appended <= self.sizes.appended_min.max(self.snapshot) {
            return Ok(());
        }
        let old = name(self.file.generation);
        self.file.generation += 1;
        self.begin(Some(state))?;
        self.remove(&old)?;
        self.counters.compactions += 1;
        Ok(())
    }

    /// Begins the file of the current generation with the state, and makes it durable.
    fn begin<S: Delta>(&mut self, state: Option<&S>) -> Result<(), Error> {
        let changes = state.map_or(Vec::new(), |state| state.changes(None));
        self.sequence = 0;
        self.buffer.clear();
        self.seed = self.file.seed();
        for chunk in changes.chunks(CHUNK) {
            self.encode(chunk)?;
        }
        self.snapshot = (HEADER + self.buffer.len()) as u64;
        let header = self.file.header(self.snapshot);
        let name = name(self.file.generation);
        let begun = self.write_file(&header, &name);
        begun.map_err(|source| self.refused(&name, "begin", source))
    }

    fn write_file(&mut self, header: &[u8; HEADER], name: &str) -> io::Result<()> {
        self.files.create(TEMPORARY)?;
        self.files.write(0, header)?;
        self.files.write(HEADER as u64, &self.buffer)?;
        self.end = self.snapshot;
        self.zeros = self.snapshot;
        self.make_room(self.end + 1)?;
        self.files.sync()?;
        self.files.rename(TEMPORARY, name)?;
        self.files.sync_names()
    }

    /// Writes zeros where the next records will be, at least up to `end`.
    fn make_room(&mut self, end: u64) -> io::Result<()> {
        if end > self.zeros {
            let room = end.clamp(ROOM_MIN.min(self.sizes.room), self.sizes.room);
            let zeros = vec![0; (end - self.zeros + room) as usize];
            self.files.write(self.zeros, &zeros)?;
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
            path: self.files.path(&name(self.file.generation)),
            source,
        };
        let buffer = postcard::to_extend(changes, buffer).map_err(unencodable)?;
        self.buffer = buffer;
        let sealed = format::seal(&mut self.buffer[start..], self.seed, self.sequence);
        sealed.ok_or_else(|| unencodable(postcard::Error::SerializeBufferFull))?;
        self.sequence += 1;
        Ok(())
    }

    fn read<S: Delta>(&self, generation: u64) -> Result<Recovered<S>, Error> {
        let name = name(generation);
        let content = self.files.read(&name);
        let content = content.map_err(|source| self.refused(&name, "read", source))?;
        let path = self.files.path(&name);
        let file = FileId {
            generation,
            ..self.file
        };
        match format::read(&content, &file) {
            Ok((state, torn_tail)) => Ok(Recovered {
                state,
                torn_tail: torn_tail.map(|(offset, bytes)| TornTail {
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
        let removed = self.files.remove(name);
        removed.map_err(|source| self.refused(name, "remove", source))
    }

    fn refused(&self, name: &str, action: &'static str, source: io::Error) -> Error {
        Error::file(&self.files.path(name), action)(source)
    }
}

#[cfg(test)]
mod tests;
