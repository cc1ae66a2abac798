//! The mutants, as `cargo mutants --list --json` gives them.

use serde::Deserialize;

/// A place in a file, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column, in characters.
    pub column: usize,
}

/// From a place up to another.
#[derive(Clone, Debug, Deserialize)]
pub struct Span {
    /// Where it begins.
    pub start: Place,
}

/// One change.
#[derive(Clone, Debug, Deserialize)]
pub struct Mutant {
    /// The number by which a run chooses it, from 1.
    #[serde(skip)]
    pub number: u32,
    /// The source line that it changes, without the space around it.
    #[serde(skip)]
    pub line: String,
    /// The file, from the root of the project.
    pub file: String,
    /// `FnValue`, `BinaryOperator`, `UnaryOperator`, `MatchArm` or `MatchArmGuard`.
    pub genre: String,
    /// `FILE:LINE:COLUMN: CHANGE`.
    pub name: String,
    /// The text that it puts in the place of another.
    pub replacement: String,
    /// What is replaced.
    pub span: Span,
}

impl Mutant {
    /// What it does, without the place: `replace < with <= in Acceptor::on_prepare`.
    pub fn change(&self) -> &str {
        let place = format!(
            "{}:{}:{}: ",
            self.file, self.span.start.line, self.span.start.column
        );
        self.name.strip_prefix(&place).unwrap_or(&self.name)
    }
}
