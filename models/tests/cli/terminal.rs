//! The command on a terminal: progress fits, and Ctrl-C leaves nothing behind.

use super::support::command;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Red if the progress line is longer than the terminal is wide, or uses escape sequences that a
/// simple terminal prints.
#[test]
fn progress_fits_a_narrow_terminal() {
    let synod = env!("CARGO_BIN_EXE_synod");
    for set in ["TERM=dumb", "NO_COLOR=1"] {
        let search =
            format!("stty cols 50 rows 24; {set} {synod} check basic --ballots 3 --timeout-s 3");
        let output = Command::new("script")
            .args(["-qec", &search, "/dev/null"])
            .stdin(Stdio::null())
            .output()
            .expect("script, of util-linux, makes a terminal");
        let text = String::from_utf8_lossy(&output.stdout);
        let progress = text.split(['\r', '\n']).filter(|it| it.contains("states"));
        let progress = progress.filter(|it| it.contains("/s)")).collect::<Vec<_>>();
        assert!(!progress.is_empty(), "{set}: no progress in {text}");
        for line in progress {
            assert!(line.chars().count() < 50, "{set}: {line}");
            assert!(!line.contains('\x1b'), "{set}: {line:?}");
        }
    }
}

/// Red if an interrupted command leaves its temporary directory.
#[test]
fn an_interrupted_command_leaves_no_directory() {
    let bench = ["bench", "--duration-s", "5"];
    for args in [&["cluster", "multi"][..], &bench] {
        let home = tempfile::tempdir().expect("a temporary directory");
        let entries = || fs::read_dir(home.path()).expect("readable").count();
        let mut child = command(args)
            .env("TMPDIR", home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("synod runs");
        let deadline = Instant::now() + Duration::from_secs(10);
        while entries() == 0 && Instant::now() < deadline {
            sleep(Duration::from_millis(5));
        }
        assert_eq!(entries(), 1, "{args:?} has a directory");
        sleep(Duration::from_millis(100));
        let pid = child.id().to_string();
        let killed = Command::new("kill").args(["-INT", &pid]).status();
        assert!(killed.expect("kill runs").success());
        let status = child.wait().expect("it ends");
        assert_eq!((status.code(), entries()), (Some(130), 0), "{args:?}");
    }
}
