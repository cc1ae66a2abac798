//! The pinned configurations: what each was found to have, to be found again.

use super::protocol::{self, Model};
use serde::Deserialize;
use serde::de::Error as _;
use std::collections::BTreeMap;

/// The file, as shipped.
pub const TEXT: &str = include_str!("expected.toml");

/// `expected.toml`: the configurations of each protocol, by its name.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub struct Expected(BTreeMap<String, Vec<Pinned>>);

impl Expected {
    /// Every configuration with the name of its protocol, in the order of [`protocol::ALL`].
    pub fn all(&self) -> impl Iterator<Item = (&'static str, &Pinned)> {
        protocol::ALL.iter().flat_map(|protocol| {
            let pinned = self.0.get(protocol.name()).into_iter().flatten();
            pinned.map(|pinned| (protocol.name(), pinned))
        })
    }

    /// The configuration that this model is of, if it is pinned.
    #[must_use]
    pub fn find(&self, model: &dyn Model) -> Option<&Pinned> {
        let (name, command) = (model.protocol().name(), model.command());
        let mut alike = self.all().filter(|(protocol, _)| *protocol == name);
        let is_it = |pinned: &Pinned| {
            let model = protocol::parse(&format!("{name} {}", pinned.args));
            model.is_ok_and(|model| model.command() == command)
        };
        alike.find_map(|(_, pinned)| is_it(pinned).then_some(pinned))
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
    let expected: Expected = toml::from_str(TEXT)?;
    let unknown = expected
        .0
        .keys()
        .find(|name| protocol::named(name).is_none());
    match unknown {
        Some(name) => Err(toml::de::Error::custom(format_args!(
            "no protocol is called {name}"
        ))),
        None => Ok(expected),
    }
}
