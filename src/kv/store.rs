//! The store itself.

use super::{Command, Reply, Text};
use crate::machine::Machine;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Keys and what they hold, in the order of the keys, which is the same at every replica.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Store {
    held: BTreeMap<Text, Text>,
}

impl Store {
    /// What a key holds.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.held.get(key).map(Text::as_str)
    }

    /// How many keys hold something.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether no key holds anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    fn value(&self, key: &str) -> Option<Text> {
        self.held.get(key).cloned()
    }
}

impl Machine for Store {
    type Command = Command;
    type Reply = Reply;

    fn apply(&mut self, command: &Command) -> Reply {
        if let Err(error) = command.check() {
            return Reply::Refused(error);
        }
        match command {
            Command::Get { key } => Reply::Was(self.value(key)),
            Command::Put { key, value } => Reply::Was(self.held.insert(key.clone(), value.clone())),
            Command::Delete { key } => Reply::Was(self.held.remove(key)),
            Command::Cas {
                key,
                expected,
                value,
            } => {
                let held = self.value(key);
                if held != *expected {
                    return Reply::Unchanged(held);
                }
                self.held.insert(key.clone(), value.clone());
                Reply::Was(held)
            }
        }
    }

    fn read(&self, command: &Command) -> Option<Reply> {
        match command {
            Command::Get { key } => Some(match command.check() {
                Ok(()) => Reply::Was(self.value(key)),
                Err(error) => Reply::Refused(error),
            }),
            Command::Put { .. } | Command::Delete { .. } | Command::Cas { .. } => None,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.held.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{KEY_MAX, VALUE_MAX};
    use super::*;

    fn was(value: &str) -> Reply {
        Reply::Was(Some(value.into()))
    }

    fn unchanged(value: Option<&str>) -> Reply {
        Reply::Unchanged(value.map(Text::new))
    }

    fn get(key: &str) -> Command {
        Command::get(key).expect("short enough")
    }

    fn put(key: &str, value: &str) -> Command {
        Command::put(key, value).expect("short enough")
    }

    fn delete(key: &str) -> Command {
        Command::delete(key).expect("short enough")
    }

    fn cas(key: &str, expected: Option<&str>, value: &str) -> Command {
        Command::cas(key, expected, value).expect("short enough")
    }

    #[test]
    fn replies_say_what_was_there_before() {
        let mut store = Store::default();
        assert_eq!(store.apply(&get("k")), Reply::Was(None));
        assert_eq!(store.apply(&put("k", "a")), Reply::Was(None));
        assert_eq!(store.apply(&put("k", "b")), was("a"));
        assert_eq!(store.apply(&get("k")), was("b"));
        assert_eq!(store.apply(&delete("k")), was("b"));
        assert_eq!(store.apply(&delete("k")), Reply::Was(None));
        assert!(store.is_empty());
    }

    #[test]
    fn a_key_that_holds_nothing_is_not_one_that_holds_the_empty_text() {
        let mut store = Store::default();
        assert_eq!(store.apply(&cas("k", Some(""), "a")), unchanged(None));
        store.apply(&put("k", ""));
        assert_eq!(store.apply(&get("k")), was(""));
        assert_eq!(store.apply(&cas("k", None, "a")), unchanged(Some("")));
        assert_eq!(store.apply(&cas("k", Some(""), "a")), was(""));
        assert_eq!(store.get("k"), Some("a"));
    }

    #[test]
    fn compare_and_swap_changes_only_what_is_as_expected() {
        let mut store = Store::default();
        assert_eq!(store.apply(&cas("k", None, "a")), Reply::Was(None));
        let before = store.clone();
        assert_eq!(store.apply(&cas("k", Some("z"), "b")), unchanged(Some("a")));
        assert_eq!(store.apply(&cas("k", None, "b")), unchanged(Some("a")));
        assert_eq!(store, before);
        assert_eq!(store.apply(&cas("k", Some("a"), "b")), was("a"));
        assert_eq!((store.get("k"), store.len()), (Some("b"), 1));
    }

    #[test]
    fn a_store_is_read_as_written_and_takes_no_more_room_than_there_is() {
        let mut store = Store::default();
        store.apply(&put("k", "a"));
        let bytes = postcard::to_allocvec(&store).expect("it can be written");
        assert_eq!(bytes, [1, 1, b'k', 1, b'a']);
        assert_eq!(postcard::from_bytes(&bytes), Ok(store));
        // Says that there are 2^48 keys, and ends.
        let claim = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        assert!(postcard::from_bytes::<Store>(&claim).is_err());
    }

    #[test]
    fn keys_do_not_touch_each_other() {
        let mut store = Store::default();
        store.apply(&put("a", "1"));
        store.apply(&put("b", "2"));
        store.apply(&delete("a"));
        assert_eq!((store.get("a"), store.get("b")), (None, Some("2")));
    }

    #[test]
    fn a_command_that_is_too_long_is_refused_and_changes_nothing() {
        let [key, value] = [KEY_MAX, VALUE_MAX].map(|most| Text::from("x".repeat(most + 1)));
        let (short, expected) = (Text::new("k"), Some(value.clone()));
        let mut store = Store::default();
        store.apply(&put("k", "a"));
        let before = store.clone();
        for command in [
            Command::Get { key: key.clone() },
            Command::Delete { key: key.clone() },
            Command::Put {
                key,
                value: Text::default(),
            },
            Command::Put {
                key: short.clone(),
                value: value.clone(),
            },
            Command::Cas {
                key: short,
                expected,
                value: Text::default(),
            },
        ] {
            let reply = store.apply(&command);
            let error = command.check().expect_err("too long");
            assert_eq!(reply, Reply::Refused(error));
            assert_eq!(store, before);
            if matches!(command, Command::Get { .. }) {
                assert_eq!(store.read(&command), Some(reply), "reads alike");
            }
        }
    }

    #[test]
    fn only_a_get_can_be_read() {
        let mut store = Store::default();
        store.apply(&put("k", "a"));
        assert_eq!(store.read(&get("k")), Some(was("a")));
        assert_eq!(store.read(&get("l")), Some(Reply::Was(None)));
        for command in [put("k", "a"), delete("l"), cas("k", None, "b")] {
            assert_eq!(store.read(&command), None);
        }
    }

    /// However they came to hold the same, stores are the same and encoded alike: replicas compare
    /// their snapshots byte by byte.
    #[test]
    fn equal_stores_are_encoded_alike() {
        let keys: Vec<String> = (0..200).map(|key| key.to_string()).collect();
        let (mut one, mut two) = (Store::default(), Store::default());
        for key in &keys {
            one.apply(&put(key, "v"));
        }
        two.apply(&put("gone", "v"));
        for key in keys.iter().rev() {
            two.apply(&put(key, "other"));
            two.apply(&put(key, "v"));
        }
        two.apply(&delete("gone"));
        assert_eq!(one, two);
        let [one, two] = [&one, &two].map(|it| postcard::to_stdvec(it).expect("encoded"));
        assert_eq!(one, two);
        let decoded: Store = postcard::from_bytes(&one).expect("decoded");
        assert_eq!((decoded.len(), decoded.get("7")), (200, Some("v")));
    }
}
