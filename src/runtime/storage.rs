//! What a node must not forget: one file, replaced as a whole.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 8 | magic | `SynodSto` |
//! | 4 | version | 1 |
//! | 8 | cluster | |
//! | 8 | node | id of the node |
//! | 8 | length | of the value in bytes |
//! | 4 | checksum | CRC-32 of all other bytes |
//! | length | value | postcard |
//!
//! Integers are little-endian. Beside the file `NAME` there are `NAME.lock`, which a running node
//! keeps locked, and `NAME.tmp`, which means nothing.

use super::codec::{checksum, number};
use super::error::{Damage, Error};
use serde::Serialize;
use serde::de::DeserializeOwned;
use stateright::actor::Id;
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MAGIC: [u8; 8] = *b"SynodSto";
const VERSION: u32 = 1;
/// Length in bytes of what precedes the checksum.
const CHECKED: usize = 8 + 4 + 8 + 8 + 8;
const HEADER: usize = CHECKED + 4;

/// The storage file of one node, open and locked.
#[derive(Debug)]
pub(super) struct Storage {
    path: PathBuf,
    temporary: PathBuf,
    directory: File,
    cluster: u64,
    node: u64,
    /// The content of the file; empty if there is none. Equal saves are recognised by what they
    /// look like on disk, so that this does not depend on anybody's `PartialEq`.
    content: Vec<u8>,
    /// Locked as long as this lives, however the node ends.
    _lock: File,
}

impl Storage {
    /// Opens the storage and reads what was saved last, which is `None` only if the file does not
    /// exist. Does not create the directory: one that is missing, perhaps because its disk is not
    /// mounted, must not look like a fresh start.
    pub(super) fn open<S: DeserializeOwned>(
        path: &Path,
        cluster: u64,
        node: Id,
    ) -> Result<(Self, Option<S>), Error> {
        let lock = lock(path)?;
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut storage = Storage {
            path: path.to_owned(),
            temporary: with_suffix(path, ".tmp"),
            directory: File::open(directory).map_err(refused(directory, "open"))?,
            cluster,
            node: number(node),
            content: Vec::new(),
            _lock: lock,
        };
        // A predecessor may have been killed after it replaced the file but before the new name
        // was durable, and what is read now must not be lost later.
        storage.sync_directory()?;
        match fs::read(path) {
            Ok(content) => storage.content = content,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((storage, None)),
            Err(error) => return Err(refused(path, "read")(error)),
        }
        match storage.decode() {
            Ok(value) => Ok((storage, Some(value))),
            Err((offset, damage)) => Err(Error::Damaged {
                path: path.to_owned(),
                offset,
                damage,
            }),
        }
    }

    /// Makes the value durable: on return it is what the next [`Storage::open`] reads, even if the
    /// machine loses power. Returns whether anything had to be written. After an error it is
    /// unknown which value is on disk, and the storage must not be used any more.
    pub(super) fn save<S: Serialize>(&mut self, value: &S) -> Result<bool, Error> {
        let content = self.encode(value)?;
        if content == self.content {
            return Ok(false);
        }
        let temporary = &self.temporary;
        let mut file = File::create(temporary).map_err(refused(temporary, "create"))?;
        file.write_all(&content)
            .map_err(refused(temporary, "write"))?;
        file.sync_all().map_err(refused(temporary, "sync"))?;
        fs::rename(temporary, &self.path).map_err(refused(&self.path, "replace"))?;
        self.sync_directory()?;
        self.content = content;
        Ok(true)
    }

    /// Makes the name of a replaced file durable: its content was before it got the name.
    fn sync_directory(&self) -> Result<(), Error> {
        self.directory
            .sync_all()
            .map_err(refused(&self.path, "sync the directory of"))
    }

    fn encode<S: Serialize>(&self, value: &S) -> Result<Vec<u8>, Error> {
        let content = vec![0; HEADER];
        let mut content =
            postcard::to_extend(value, content).map_err(|source| Error::Unencodable {
                path: self.path.clone(),
                source,
            })?;
        let length = (content.len() - HEADER) as u64;
        content[..8].copy_from_slice(&MAGIC);
        content[8..12].copy_from_slice(&VERSION.to_le_bytes());
        content[12..20].copy_from_slice(&self.cluster.to_le_bytes());
        content[20..28].copy_from_slice(&self.node.to_le_bytes());
        content[28..36].copy_from_slice(&length.to_le_bytes());
        let checksum = checksum(&content[..CHECKED], &content[HEADER..]);
        content[CHECKED..HEADER].copy_from_slice(&checksum.to_le_bytes());
        Ok(content)
    }

    /// Reads the value from the content of the file; an error comes with its offset.
    fn decode<S: DeserializeOwned>(&self) -> Result<S, (usize, Damage)> {
        let content = self.content.as_slice();
        let missing = |expected: u64| {
            let missing = expected.saturating_sub(content.len() as u64);
            (content.len(), Damage::Short { missing })
        };
        let (header, payload) = Header::split(content).ok_or(missing(HEADER as u64))?;
        header.check_format()?;
        if header.length > payload.len() as u64 {
            return Err(missing(header.length.saturating_add(HEADER as u64)));
        }
        if header.length < payload.len() as u64 {
            // No cut: the length is smaller than one that is a `usize`.
            let end = HEADER + header.length as usize;
            let surplus = content.len() - end;
            return Err((end, Damage::Trailing { surplus }));
        }
        if header.checksum != checksum(&content[..CHECKED], payload) {
            return Err((0, Damage::Checksum));
        }
        header.check_owner(self.cluster, self.node)?;
        match postcard::take_from_bytes(payload) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => {
                let surplus = rest.len();
                Err((content.len() - surplus, Damage::Trailing { surplus }))
            }
            Err(error) => Err((HEADER, Damage::Value(error))),
        }
    }
}

struct Header {
    magic: [u8; 8],
    version: u32,
    cluster: u64,
    node: u64,
    length: u64,
    checksum: u32,
}

impl Header {
    fn split(content: &[u8]) -> Option<(Header, &[u8])> {
        let (&magic, rest) = content.split_first_chunk()?;
        let (&version, rest) = rest.split_first_chunk()?;
        let (&cluster, rest) = rest.split_first_chunk()?;
        let (&node, rest) = rest.split_first_chunk()?;
        let (&length, rest) = rest.split_first_chunk()?;
        let (&checksum, payload) = rest.split_first_chunk()?;
        let header = Header {
            magic,
            version: u32::from_le_bytes(version),
            cluster: u64::from_le_bytes(cluster),
            node: u64::from_le_bytes(node),
            length: u64::from_le_bytes(length),
            checksum: u32::from_le_bytes(checksum),
        };
        Some((header, payload))
    }

    fn check_format(&self) -> Result<(), (usize, Damage)> {
        if self.magic != MAGIC {
            return Err((0, Damage::Magic));
        }
        let (found, expected) = (self.version, VERSION);
        if found != expected {
            return Err((8, Damage::Version { found, expected }));
        }
        Ok(())
    }

    fn check_owner(&self, cluster: u64, node: u64) -> Result<(), (usize, Damage)> {
        let (found, expected) = (self.cluster, cluster);
        if found != expected {
            return Err((12, Damage::Cluster { found, expected }));
        }
        let (found, expected) = (self.node, node);
        if found != expected {
            return Err((20, Damage::Node { found, expected }));
        }
        Ok(())
    }
}

/// Takes the lock of the storage, which is a file of its own because the storage file is replaced
/// by every save. It is never removed: else two nodes could lock two files of the same name.
fn lock(path: &Path) -> Result<File, Error> {
    let name = with_suffix(path, ".lock");
    let file = File::options()
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(refused(&name, "open"))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Locked {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(refused(&name, "lock")(error)),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn refused(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::File {
        path,
        action,
        source,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    type Value = (u32, String);

    fn value(number: u32) -> Value {
        (number, "remember".to_owned())
    }

    fn open(path: &Path) -> Result<(Storage, Option<Value>), Error> {
        Storage::open(path, 7, Id::from(1))
    }

    /// A directory with a storage file in it.
    fn saved() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node-1");
        let (mut storage, fresh) = open(&path).unwrap();
        assert_eq!(fresh, None);
        assert!(storage.save(&value(300)).unwrap());
        (directory, path)
    }

    /// Opens a file that must be refused; returns where and why.
    fn damage(path: &Path, content: &[u8]) -> (usize, Damage) {
        fs::write(path, content).unwrap();
        let refused = open(path).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        match refused {
            Error::Damaged { offset, damage, .. } => (offset, damage),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn the_last_value_saved_is_read_back() {
        let (_directory, path) = saved();
        let (mut storage, read) = open(&path).unwrap();
        assert_eq!(read, Some(value(300)));
        assert!(storage.save(&value(301)).unwrap());
        assert!(storage.save(&value(302)).unwrap());
        drop(storage);
        assert_eq!(open(&path).unwrap().1, Some(value(302)));
    }

    #[test]
    fn the_file_format_is_pinned() {
        let (_directory, path) = saved();
        let mut expected = b"SynodSto\x01\0\0\0".to_vec();
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([11, 0, 0, 0, 0, 0, 0, 0]);
        let payload = b"\xac\x02\x08remember";
        let crc = crc32fast::hash(&[&expected[..], payload].concat());
        expected.extend(crc.to_le_bytes());
        expected.extend(payload);
        assert_eq!(fs::read(&path).unwrap(), expected);
    }

    #[test]
    fn an_equal_value_is_not_written_again() {
        let (_directory, path) = saved();
        let (mut storage, _) = open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!storage.save(&value(300)).unwrap());
        assert!(!path.exists());
        assert!(storage.save(&value(301)).unwrap());
        assert!(path.exists());
    }

    #[test]
    fn a_value_saved_again_after_another_is_written_again() {
        let (_directory, path) = saved();
        let (mut storage, _) = open(&path).unwrap();
        assert!(storage.save(&value(301)).unwrap());
        assert!(storage.save(&value(300)).unwrap());
        drop(storage);
        assert_eq!(open(&path).unwrap().1, Some(value(300)));
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let (_directory, path) = saved();
        let content = fs::read(&path).unwrap();
        for length in 0..content.len() {
            let missing = if length < HEADER {
                HEADER
            } else {
                content.len()
            } - length;
            let short = Damage::Short {
                missing: missing as u64,
            };
            assert_eq!(damage(&path, &content[..length]), (length, short));
        }
    }

    #[test]
    fn a_file_with_any_bit_flipped_is_refused() {
        let (_directory, path) = saved();
        let content = fs::read(&path).unwrap();
        for bit in 0..8 * content.len() {
            let mut flipped = content.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let (offset, damage) = damage(&path, &flipped);
            match bit / 8 {
                0..8 => assert_eq!((offset, damage), (0, Damage::Magic)),
                8..12 => assert!(offset == 8 && matches!(damage, Damage::Version { .. })),
                28..36 => assert!(matches!(
                    damage,
                    Damage::Short { .. } | Damage::Trailing { .. }
                )),
                _ => assert_eq!((offset, damage), (0, Damage::Checksum)),
            }
        }
    }

    #[test]
    fn a_file_with_any_byte_after_its_end_is_refused() {
        let (_directory, path) = saved();
        let content = fs::read(&path).unwrap();
        for byte in 0..=255 {
            let longer = [&content[..], &[byte]].concat();
            let trailing = Damage::Trailing { surplus: 1 };
            assert_eq!(damage(&path, &longer), (content.len(), trailing));
        }
    }

    #[test]
    fn a_file_of_another_cluster_or_node_is_refused() {
        let (_directory, path) = saved();
        for (cluster, node, reason) in [
            (8, 1, "it belongs to cluster 7, not to cluster 8"),
            (7, 2, "it belongs to node 1, not to node 2"),
        ] {
            let refused = Storage::open::<Value>(&path, cluster, Id::from(node)).unwrap_err();
            assert!(refused.to_string().ends_with(reason), "{refused}");
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let (_directory, path) = saved();
        let refused = Storage::open::<u32>(&path, 7, Id::from(1)).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("byte 42"), "{text}");
        let refused = Storage::open::<(Value, u8)>(&path, 7, Id::from(1)).unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("cannot be decoded"), "{text}");
    }

    #[test]
    fn a_leftover_temporary_file_is_ignored_and_overwritten() {
        let (_directory, path) = saved();
        fs::write(with_suffix(&path, ".tmp"), [0xff; 1000]).unwrap();
        let (mut storage, read) = open(&path).unwrap();
        assert_eq!(read, Some(value(300)));
        assert!(storage.save(&value(301)).unwrap());
        drop(storage);
        assert_eq!(open(&path).unwrap().1, Some(value(301)));
    }

    #[test]
    fn a_storage_in_use_is_refused_until_it_is_free() {
        let (_directory, path) = saved();
        let (storage, _) = open(&path).unwrap();
        let refused = open(&path).unwrap_err();
        assert!(matches!(refused, Error::Locked { .. }), "{refused}");
        assert!(refused.to_string().contains(path.to_str().unwrap()));
        drop(storage);
        assert!(open(&path).is_ok());
    }

    #[test]
    fn a_missing_directory_is_no_fresh_start() {
        let directory = tempfile::tempdir().unwrap();
        let refused = open(&directory.path().join("missing/node-1")).unwrap_err();
        assert!(matches!(refused, Error::File { .. }), "{refused}");
    }

    #[test]
    fn a_file_that_cannot_be_read_is_no_fresh_start() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("node-1");
        fs::create_dir(&path).unwrap();
        let refused = open(&path).unwrap_err();
        assert!(refused.to_string().contains("cannot read"), "{refused}");
    }

    #[test]
    fn a_failed_save_leaves_the_last_value() {
        let (_directory, path) = saved();
        let (mut storage, _) = open(&path).unwrap();
        fs::create_dir(with_suffix(&path, ".tmp")).unwrap();
        let failed = storage.save(&value(301)).unwrap_err();
        assert!(failed.to_string().contains("cannot create"), "{failed}");
        drop(storage);
        assert_eq!(open(&path).unwrap().1, Some(value(300)));
    }
}
