//! What a store can be asked, and what it says.

use crate::vote::OrNone;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The longest key, in bytes.
pub const KEY_MAX: usize = 256;

/// The longest value, in bytes.
pub const VALUE_MAX: usize = 1024;

/// A key or a value. Short ones need no memory of their own, and copies of long ones share theirs:
/// a command is copied and dropped a few times on its way.
pub type Text = smol_str::SmolStr;

/// What a client may ask.
///
/// Made by [`get`](Self::get), [`put`](Self::put), [`delete`](Self::delete) and [`cas`](Self::cas),
/// which refuse what is too long.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Command {
    /// What does the key hold?
    Get {
        /// The key.
        key: Text,
    },
    /// The key holds the value from now on.
    Put {
        /// The key.
        key: Text,
        /// The value.
        value: Text,
    },
    /// The key holds nothing from now on.
    Delete {
        /// The key.
        key: Text,
    },
    /// The key holds the value from now on, if it holds what is expected.
    Cas {
        /// The key.
        key: Text,
        /// What it must hold; nothing at all if none.
        expected: Option<Text>,
        /// The value.
        value: Text,
    },
}

/// What a store says. All that a key held is what it held *before* the command.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reply {
    /// The command was carried out, and this is what the key held.
    Was(Option<Text>),
    /// The key holds this, which is not what was expected: nothing was changed.
    Unchanged(Option<Text>),
    /// The command is too long, which its client should have known: nothing was changed.
    Refused(TooLong),
}

/// A key or a value beyond its limit.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    thiserror::Error,
)]
#[error("the {part} has {bytes} bytes, and at most {} are allowed", .part.limit())]
pub struct TooLong {
    /// What is too long.
    pub part: Part,
    /// How long it is, in bytes.
    pub bytes: u64,
}

/// A part of a command that has a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Part {
    /// The key.
    Key,
    /// The value, or the one that is expected.
    Value,
}

impl Part {
    /// The limit, in bytes.
    #[must_use]
    pub fn limit(self) -> usize {
        match self {
            Part::Key => KEY_MAX,
            Part::Value => VALUE_MAX,
        }
    }

    fn check(self, text: &str) -> Result<(), TooLong> {
        if text.len() <= self.limit() {
            return Ok(());
        }
        let bytes = text.len() as u64;
        Err(TooLong { part: self, bytes })
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Key => "key",
            Part::Value => "value",
        })
    }
}

impl Command {
    /// Asks what a key holds.
    ///
    /// # Errors
    /// If the key is longer than [`KEY_MAX`].
    pub fn get(key: impl Into<Text>) -> Result<Self, TooLong> {
        let key = key.into();
        Command::Get { key }.checked()
    }

    /// Has a key hold a value.
    ///
    /// # Errors
    /// If the key is longer than [`KEY_MAX`], or the value than [`VALUE_MAX`].
    pub fn put(key: impl Into<Text>, value: impl Into<Text>) -> Result<Self, TooLong> {
        let (key, value) = (key.into(), value.into());
        Command::Put { key, value }.checked()
    }

    /// Has a key hold nothing.
    ///
    /// # Errors
    /// If the key is longer than [`KEY_MAX`].
    pub fn delete(key: impl Into<Text>) -> Result<Self, TooLong> {
        let key = key.into();
        Command::Delete { key }.checked()
    }

    /// Has a key hold a value if it holds what is expected; `None` expects that it holds nothing.
    ///
    /// # Errors
    /// If the key is longer than [`KEY_MAX`], or either value than [`VALUE_MAX`].
    pub fn cas(
        key: impl Into<Text>,
        expected: Option<&str>,
        value: impl Into<Text>,
    ) -> Result<Self, TooLong> {
        let (key, expected, value) = (key.into(), expected.map(Text::new), value.into());
        let cas = Command::Cas {
            key,
            expected,
            value,
        };
        cas.checked()
    }

    /// The one key that it is about: commands with different keys do not touch each other.
    #[must_use]
    pub fn key(&self) -> &str {
        match self {
            Command::Get { key }
            | Command::Put { key, .. }
            | Command::Delete { key }
            | Command::Cas { key, .. } => key,
        }
    }

    fn checked(self) -> Result<Self, TooLong> {
        self.check().map(|()| self)
    }

    /// Whether all parts are within their limits.
    pub(super) fn check(&self) -> Result<(), TooLong> {
        match self {
            Command::Get { key } | Command::Delete { key } => Part::Key.check(key),
            Command::Put { key, value } => {
                Part::Key.check(key)?;
                Part::Value.check(value)
            }
            Command::Cas {
                key,
                expected,
                value,
            } => {
                Part::Key.check(key)?;
                Part::Value.check(expected.as_deref().unwrap_or_default())?;
                Part::Value.check(value)
            }
        }
    }
}

/// Text in quotes, so that a value that is empty or has spaces can be told.
struct Quoted<'a>(&'a Text);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.0, f)
    }
}

fn quoted(value: &Option<Text>) -> Option<Quoted<'_>> {
    value.as_ref().map(Quoted)
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Command::Get { key } => write!(f, "get {key:?}"),
            Command::Put { key, value } => write!(f, "put {key:?} {value:?}"),
            Command::Delete { key } => write!(f, "delete {key:?}"),
            Command::Cas {
                key,
                expected,
                value,
            } => {
                let expected = quoted(expected);
                write!(f, "cas {key:?} {} {value:?}", OrNone(&expected))
            }
        }
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Was(value) => write!(f, "was {}", OrNone(&quoted(value))),
            Reply::Unchanged(value) => write!(f, "unchanged {}", OrNone(&quoted(value))),
            Reply::Refused(error) => write!(f, "refused: {error}"),
        }
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn long(bytes: usize) -> String {
        "x".repeat(bytes)
    }

    fn error(part: Part, bytes: usize) -> Option<TooLong> {
        let bytes = bytes as u64;
        Some(TooLong { part, bytes })
    }

    #[test]
    fn keys_and_values_may_be_as_long_as_their_limits_and_no_longer() {
        let (key, value) = (long(KEY_MAX), long(VALUE_MAX));
        assert!(Command::get(&key).is_ok() && Command::delete(&key).is_ok());
        assert!(Command::put(&key, &value).is_ok());
        assert!(Command::cas(&key, Some(&value), &value).is_ok());
        let (over_key, over_value) = (long(KEY_MAX + 1), long(VALUE_MAX + 1));
        let refused = error(Part::Key, KEY_MAX + 1);
        assert_eq!(Command::get(&over_key).err(), refused);
        assert_eq!(Command::delete(&over_key).err(), refused);
        assert_eq!(Command::put(&over_key, &value).err(), refused);
        assert_eq!(Command::cas(&over_key, None, &value).err(), refused);
        let refused = error(Part::Value, VALUE_MAX + 1);
        assert_eq!(Command::put(&key, &over_value).err(), refused);
        assert_eq!(Command::cas(&key, None, &over_value).err(), refused);
        assert_eq!(Command::cas(&key, Some(&over_value), &value).err(), refused);
    }

    #[test]
    fn lengths_are_counted_in_bytes() {
        let wide = "ü".repeat(KEY_MAX / 2 + 1);
        assert_eq!(Command::get(wide).err(), error(Part::Key, KEY_MAX + 2));
    }

    #[test]
    fn the_error_names_the_limit() {
        let error = Command::get(long(300)).expect_err("too long");
        let expected = "the key has 300 bytes, and at most 256 are allowed";
        assert_eq!(error.to_string(), expected);
        let error = Command::put("k", long(2000)).expect_err("too long");
        let expected = "the value has 2000 bytes, and at most 1024 are allowed";
        assert_eq!(error.to_string(), expected);
    }

    #[test]
    fn commands_and_replies_can_be_read() {
        let shown = [
            Command::get("k"),
            Command::put("k", "a b"),
            Command::delete("k"),
            Command::cas("k", None, ""),
            Command::cas("k", Some("a"), "b"),
        ];
        let shown = shown.map(|command| command.expect("short enough").to_string());
        let expected = [
            r#"get "k""#,
            r#"put "k" "a b""#,
            r#"delete "k""#,
            r#"cas "k" ∅ """#,
            r#"cas "k" "a" "b""#,
        ];
        assert_eq!(shown, expected);
        let held = || Some(Text::new("a"));
        let shown = [
            Reply::Was(None),
            Reply::Was(held()),
            Reply::Unchanged(held()),
        ];
        let shown = shown.map(|reply| reply.to_string());
        assert_eq!(shown, ["was ∅", r#"was "a""#, r#"unchanged "a""#]);
    }
}
