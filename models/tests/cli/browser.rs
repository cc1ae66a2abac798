//! Pages as headless Chromium shows them.

use std::env;
use std::io::{Write, stderr};
use std::process::{Command, Stdio};

/// The browsers that are looked for, after `$CHROME`.
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// The page at `url` once its scripts have run. `None` if there is no Chromium, which is said and
/// fails where everything must be tested (`SYNOD_CI`).
pub(crate) fn page(url: &str) -> Option<String> {
    let profile = tempfile::tempdir().expect("a temporary directory");
    let chrome = env::var("CHROME").ok();
    let mut names = chrome.iter().map(String::as_str).chain(NAMES);
    let output = names.find_map(|name| {
        Command::new(name)
            .args(["--headless=new", "--no-sandbox", "--disable-gpu"])
            .args(["--no-first-run", "--disable-background-networking"])
            .args(["--disable-component-update", "--disable-sync"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(["--virtual-time-budget=30000", "--dump-dom", url])
            .stderr(Stdio::null())
            .output()
            .ok()
    });
    let Some(output) = output else {
        let missing = "Chromium is missing: install it, or name it by CHROME=/path/to/chromium";
        assert!(env::var_os("SYNOD_CI").is_none(), "{missing}");
        // What is printed by macros, a test that passes does not show.
        let _ = writeln!(stderr(), "skipped a test of a page: {missing}");
        return None;
    };
    Some(String::from_utf8(output.stdout).expect("a page is text"))
}
