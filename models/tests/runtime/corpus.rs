//! What the fuzzer found worth keeping, fed to the same code again: see `models/fuzz`.

#[path = "../../fuzz/targets.rs"]
mod targets;

use std::fs;
use std::path::Path;

/// Feeds every file of a target's to it. None may panic, or take memory that it does not account
/// for: there, the allocation fails and takes the tests with it.
fn replay(target: &str, take_in: fn(&[u8])) {
    let mut fed = 0;
    for kind in ["seeds", "corpus"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fuzz");
        let folder = folder.join(kind).join(target);
        for file in fs::read_dir(folder).expect("a folder of each target's") {
            let path = file.expect("a readable folder").path();
            take_in(&fs::read(&path).expect("a readable file"));
            fed += 1;
        }
    }
    assert!(fed > 10, "{target}: {fed} files");
}

#[test]
fn datagrams() {
    replay("datagram", targets::datagram);
}

#[test]
fn logs() {
    replay("log", targets::log);
}

#[test]
fn nodes() {
    replay("node", targets::node);
}

#[test]
fn traces() {
    replay("trace", targets::trace);
}
