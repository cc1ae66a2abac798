//! The pinned configurations: what each was found to have, to be found again.

use serde::Deserialize;

/// The file, as shipped.
pub const TEXT: &str = include_str!("expected.toml");

/// `expected.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Basic Paxos.
    pub basic: Vec<Pinned>,
    /// Multi-Paxos.
    #[serde(default)]
    pub multi: Vec<Pinned>,
    /// Fast Paxos.
    #[serde(default)]
    pub fast: Vec<Pinned>,
}

impl Expected {
    /// Every configuration, and the protocol that it is of.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Pinned)> {
        let basic = self.basic.iter().map(|pinned| ("basic", pinned));
        let multi = self.multi.iter().map(|pinned| ("multi", pinned));
        let fast = self.fast.iter().map(|pinned| ("fast", pinned));
        basic.chain(multi).chain(fast)
    }
}

/// A configuration and what exhausting it yields; every property of it is as it should be.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pinned {
    /// What is special about it.
    pub name: String,
    /// The flags of `synod check` that select it.
    pub args: String,
    /// Whether it is part of the tests and of `synod check --all`.
    pub small: bool,
    /// Distinct states, after reductions.
    pub unique_states: usize,
    /// Steps between them, those to known states included.
    pub transitions: usize,
    /// Steps to the deepest state, each by a shortest way.
    pub depth: usize,
    /// What it took when it was written down, on two threads: seconds, and GiB of memory.
    pub took: Option<(f64, f64)>,
}

/// The pinned configurations.
///
/// # Errors
/// If the file cannot be parsed: says where and why.
pub fn load() -> Result<Expected, toml::de::Error> {
    toml::from_str(TEXT)
}
