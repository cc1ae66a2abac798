//! Temporary directories that are gone after the command, however it ends.

use super::Error;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

/// Attempts to remove a directory into which other threads may still write.
const ATTEMPTS: u32 = 20;

/// Creates a temporary directory. It is removed when the value is dropped, and when Ctrl-C or
/// SIGTERM ends the command, which then exits with the status of the signal (130 or 143).
///
/// # Errors
/// If the directory cannot be created.
pub(crate) fn directory() -> Result<TempDir, Error> {
    let directory = tempfile::Builder::new().prefix("synod-").tempdir();
    let directory = directory.map_err(Error::failed)?;
    let path: PathBuf = directory.path().to_owned();
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(Error::failed)?;
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            remove(&path);
            std::process::exit(128 + signal);
        }
    });
    Ok(directory)
}

fn remove(path: &Path) {
    for _ in 0..ATTEMPTS {
        if std::fs::remove_dir_all(path).is_ok() || !path.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}
