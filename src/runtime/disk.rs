//! A simulated disk: writes that are not synced may be lost or torn when the node crashes.

use super::file_system::FileSystem;
use rand::Rng;
use rand::rngs::SmallRng;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::rc::Rc;

/// The number of bytes that a disk writes at once.
const SECTOR: u64 = 512;

/// A simulated disk. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Rc<RefCell<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    files: BTreeMap<u64, Content>,
    next_file: u64,
    /// The names after each operation since the last sync of names. The first are durable.
    names: Vec<BTreeMap<String, u64>>,
    open: Option<u64>,
    /// The number of operations until one fails; 0 if one has failed.
    until_failure: Option<u64>,
    operations: u64,
}

#[derive(Debug, Default)]
struct Content {
    durable: Vec<u8>,
    /// The writes since the last sync, in order.
    pending: Vec<(u64, Vec<u8>)>,
}

impl Content {
    fn current(&self) -> Vec<u8> {
        let mut content = self.durable.clone();
        for (offset, bytes) in &self.pending {
            overwrite(&mut content, *offset, bytes);
        }
        content
    }

    fn sync(&mut self) {
        for (offset, bytes) in self.pending.drain(..) {
            overwrite(&mut self.durable, offset, &bytes);
        }
    }
}

fn overwrite(content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
}

/// The effect of a crash on the writes that are not synced.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Crash {
    /// All are kept, because only the process ended.
    Kept,
    /// All are lost.
    Lost,
    /// The bytes are kept up to some byte.
    Torn,
    /// Random sectors are kept.
    Scattered,
}

impl Disk {
    /// Crashes the node. Then the disk can be used again.
    pub(super) fn crash(&self, crash: Crash, rng: &mut SmallRng) {
        let mut inner = self.0.borrow_mut();
        inner.until_failure = None;
        inner.open = None;
        let survivors = match crash {
            Crash::Kept => inner.names.len(),
            Crash::Lost => 1,
            Crash::Torn | Crash::Scattered => rng.random_range(0..=inner.names.len()),
        };
        let names = inner.names.get(survivors.saturating_sub(1)).cloned();
        let names = names.unwrap_or_default();
        let named: BTreeSet<u64> = names.values().copied().collect();
        inner.names = vec![names];
        inner.files.retain(|file, _| named.contains(file));
        for content in inner.files.values_mut() {
            content.crash(crash, rng);
        }
    }

    /// Lets an operation fail, as if the node were killed in it, and all operations after it. The
    /// operations count from now, and from 1. The failed operation may have had its effect.
    pub(super) fn fail_at(&self, operation: u64) {
        self.0.borrow_mut().until_failure = Some(operation);
    }

    /// Lets no operation fail, unless one has failed.
    pub(super) fn repair(&self) {
        if !self.has_failed() {
            self.0.borrow_mut().until_failure = None;
        }
    }

    /// Returns whether an operation has failed.
    pub(super) fn has_failed(&self) -> bool {
        self.0.borrow().until_failure == Some(0)
    }

    /// Returns the number of operations so far.
    #[cfg(test)]
    pub(super) fn operations(&self) -> u64 {
        self.0.borrow().operations
    }

    /// Changes the content of a file. Writes that are not synced are lost.
    #[cfg(test)]
    pub(super) fn tamper(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut inner = self.0.borrow_mut();
        let file = inner
            .names
            .last()
            .and_then(|names| names.get(name))
            .copied();
        let content = file.and_then(|file| inner.files.get_mut(&file));
        change(&mut content.expect("a file of that name").durable);
    }

    /// Copies the disk.
    #[cfg(test)]
    pub(super) fn copy(&self) -> Self {
        let inner = self.0.borrow();
        let files = inner.files.iter().map(|(file, content)| {
            let durable = content.current();
            let pending = Vec::new();
            (*file, Content { durable, pending })
        });
        Disk(Rc::new(RefCell::new(Inner {
            files: files.collect(),
            next_file: inner.next_file,
            names: inner.names.last().cloned().into_iter().collect(),
            ..Inner::default()
        })))
    }
}

impl Content {
    fn crash(&mut self, crash: Crash, rng: &mut SmallRng) {
        let pending = std::mem::take(&mut self.pending);
        let total: usize = pending.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut left = match crash {
            Crash::Kept | Crash::Scattered => total,
            Crash::Lost => 0,
            Crash::Torn => rng.random_range(0..=total),
        };
        for (offset, bytes) in pending {
            let bytes = &bytes[..bytes.len().min(left)];
            left -= bytes.len();
            if crash == Crash::Scattered {
                scatter(&mut self.durable, offset, bytes, rng);
            } else if !bytes.is_empty() {
                overwrite(&mut self.durable, offset, bytes);
            }
        }
    }
}

fn scatter(content: &mut Vec<u8>, mut offset: u64, mut bytes: &[u8], rng: &mut SmallRng) {
    while !bytes.is_empty() {
        let length = (SECTOR - offset % SECTOR).min(bytes.len() as u64);
        let (sector, rest) = bytes.split_at(length as usize);
        if rng.random() {
            overwrite(content, offset, sector);
        }
        (offset, bytes) = (offset + length, rest);
    }
}

impl Inner {
    /// Counts an operation. Returns an error if it fails.
    fn count_operation(&mut self) -> io::Result<()> {
        self.operations += 1;
        self.until_failure = self.until_failure.map(|left| left.saturating_sub(1));
        match self.until_failure {
            Some(0) => Err(io::Error::other("the node crashes here")),
            _ => Ok(()),
        }
    }

    fn names(&self) -> BTreeMap<String, u64> {
        self.names.last().cloned().unwrap_or_default()
    }

    fn file(&self, name: &str) -> io::Result<u64> {
        let file = self.names.last().and_then(|names| names.get(name));
        file.copied().ok_or(io::ErrorKind::NotFound.into())
    }

    /// Changes the names, without making the change durable.
    fn rename(&mut self, change: impl FnOnce(&mut BTreeMap<String, u64>)) -> io::Result<()> {
        let mut names = self.names();
        if self.names.is_empty() {
            self.names.push(names.clone());
        }
        change(&mut names);
        self.names.push(names);
        self.count_operation()
    }

    fn opened(&mut self) -> io::Result<&mut Content> {
        let file = self.open.and_then(|file| self.files.get_mut(&file));
        file.ok_or(io::ErrorKind::NotFound.into())
    }
}

impl FileSystem for Disk {
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from("disk").join(name)
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.borrow().names().into_keys().collect())
    }

    fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        let inner = self.0.borrow();
        let content = inner.files.get(&inner.file(name)?);
        content
            .map(Content::current)
            .ok_or(io::ErrorKind::NotFound.into())
    }

    fn create(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let file = inner.next_file;
        inner.next_file += 1;
        inner.files.insert(file, Content::default());
        inner.open = Some(file);
        inner.rename(|names| {
            names.insert(name.to_owned(), file);
        })
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.opened()?.pending.push((offset, bytes.to_owned()));
        inner.count_operation()
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.count_operation()?;
        inner.opened()?.sync();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        let file = inner.file(from)?;
        inner.rename(|names| {
            names.remove(from);
            names.insert(to.to_owned(), file);
        })
    }

    fn remove(&mut self, name: &str) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.file(name)?;
        inner.rename(|names| {
            names.remove(name);
        })
    }

    fn sync_names(&mut self) -> io::Result<()> {
        let mut inner = self.0.borrow_mut();
        inner.count_operation()?;
        let names = inner.names();
        let named: BTreeSet<u64> = names.values().copied().collect();
        inner.names = vec![names];
        let open = inner.open;
        inner
            .files
            .retain(|file, _| named.contains(file) || open == Some(*file));
        Ok(())
    }
}
