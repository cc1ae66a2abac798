//! The `synod` command, as tests run it.

use std::ffi::OsStr;
use std::process::Command;

/// The output of a run of the command, and its exit status.
pub(crate) struct Output {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs `synod` to its end.
pub(crate) fn synod<S: AsRef<OsStr>>(args: &[S]) -> Output {
    let output = command(args).output().expect("synod runs");
    Output {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("output is text"),
        stderr: String::from_utf8(output.stderr).expect("errors are text"),
    }
}

pub(crate) fn command<S: AsRef<OsStr>>(args: &[S]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
    command.args(args);
    command
}
