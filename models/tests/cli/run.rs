//! Runs of the `synod` command, with how they must end and what they must say.

use super::support::{Output, synod};
use serde_json::Value;
use std::ffi::OsStr;
use std::fmt::Debug;
use std::path::Path;

/// Runs `synod` with these words, which must exit with this status.
pub(crate) fn run(code: i32, words: &str) -> Output {
    run_args(code, &words.split_whitespace().collect::<Vec<_>>())
}

/// Runs `synod` with these arguments, which must exit with this status.
pub(crate) fn run_args<S: AsRef<OsStr> + Debug>(code: i32, args: &[S]) -> Output {
    let output = synod(args);
    let told = format!("{}{}", output.stdout, output.stderr);
    assert_eq!(output.code, Some(code), "{args:?}: {told}");
    assert!(!told.contains("panicked"), "{args:?}: {told}");
    output
}

impl Output {
    /// Asserts that all of this is printed.
    pub(crate) fn prints(self, texts: &[&str]) -> Self {
        for text in texts {
            let is_there = self.stdout.contains(text);
            assert!(is_there, "{text} is missing:\n{}", self.stdout);
        }
        self
    }

    /// Asserts that all of this is said in an error.
    pub(crate) fn complains(self, texts: &[&str]) -> Self {
        for text in texts {
            let is_there = self.stderr.contains(text);
            assert!(is_there, "{text} is missing:\n{}", self.stderr);
        }
        self
    }

    /// The line that begins with this, without it.
    pub(crate) fn line_after(&self, start: &str) -> &str {
        let line = self.stdout.lines().find_map(|it| it.strip_prefix(start));
        line.unwrap_or_else(|| panic!("no line begins with {start}:\n{}", self.stdout))
    }

    /// The lines, which are JSON.
    pub(crate) fn json(&self) -> Vec<Value> {
        let lines = self.stdout.lines().map(serde_json::from_str);
        lines.map(|line| line.expect("JSON")).collect()
    }
}

/// The text of a file of the repository.
pub(crate) fn text(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(root.join(path)).expect("a readable file")
}
