//! The storage of a log: a directory, or a simulated disk.

use super::error::Error;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A flat directory of files, of which one is written at a time.
///
/// Writes survive the end of the process, but only synced writes survive the end of the machine. Of
/// the others any part may survive, whole or torn.
pub(super) trait FileSystem {
    /// Returns the path of a file, for errors.
    fn path(&self, name: &str) -> PathBuf;

    /// Returns the names of all files.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Returns the content of a file.
    fn read(&self, name: &str) -> io::Result<Vec<u8>>;

    /// Creates or empties a file, which is the one that is written from now on.
    fn create(&mut self, name: &str) -> io::Result<()>;

    /// Writes to the file that was created last, even if it was renamed since.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes the writes to that file durable.
    fn sync(&mut self) -> io::Result<()>;

    /// Renames a file. It replaces a file that has the new name.
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file.
    fn remove(&mut self, name: &str) -> io::Result<()>;

    /// Makes the names of the files durable.
    fn sync_names(&mut self) -> io::Result<()>;
}

/// A directory of the file system, locked for one node.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    handle: File,
    /// The file that is written.
    file: Option<File>,
    /// The lock, which the operating system releases when the node ends.
    _lock: File,
}

/// The file that a running node locks. It is never removed, because then two nodes could lock two
/// files of the same name.
const LOCK: &str = "lock";

impl Directory {
    /// Opens and locks a directory. Creates it, but not its parent: a disk that is not mounted must
    /// not look like a fresh start.
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        match fs::create_dir(path) {
            Ok(()) => {
                let parent = match path.parent() {
                    Some(parent) if !parent.as_os_str().is_empty() => parent,
                    _ => Path::new("."),
                };
                let parent_handle = File::open(parent).map_err(Error::file(parent, "open"))?;
                parent_handle
                    .sync_all()
                    .map_err(Error::file(parent, "sync"))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => (),
            Err(error) => return Err(Error::file(path, "create")(error)),
        }
        let name = path.join(LOCK);
        let mut options = File::options();
        let lock = options.write(true).create(true).truncate(false);
        let lock = lock.open(&name).map_err(Error::file(&name, "open"))?;
        match lock.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                let path = path.to_owned();
                return Err(Error::Locked { path });
            }
            Err(TryLockError::Error(error)) => return Err(Error::file(&name, "lock")(error)),
        }
        Ok(Directory {
            path: path.to_owned(),
            handle: File::open(path).map_err(Error::file(path, "open"))?,
            file: None,
            _lock: lock,
        })
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_ref().ok_or(io::ErrorKind::NotFound.into())
    }
}

impl FileSystem for Directory {
    fn path(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            // A name that is no text does not belong to the log.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        fs::read(self.path(name))
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        self.file = Some(File::create(self.path(name))?);
        Ok(())
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file()?.write_all_at(bytes, offset)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file()?.sync_data()
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_in_use_is_refused_until_it_is_free() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("node");
        let first = Directory::open(&path).unwrap();
        let refused = Directory::open(&path).unwrap_err();
        assert!(matches!(refused, Error::Locked { .. }), "{refused}");
        assert!(refused.to_string().contains(path.to_str().unwrap()));
        drop(first);
        assert!(Directory::open(&path).is_ok());
    }

    #[test]
    fn what_the_directory_is_in_must_exist_and_be_a_directory() {
        let parent = tempfile::tempdir().unwrap();
        let path = parent.path().join("missing/node");
        let refused = Directory::open(&path).unwrap_err();
        assert!(matches!(refused, Error::File { .. }), "{refused}");
        let path = parent.path().join("file");
        fs::write(&path, b"").unwrap();
        let refused = Directory::open(&path).unwrap_err();
        assert!(matches!(refused, Error::File { .. }), "{refused}");
    }
}
