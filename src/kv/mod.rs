//! A key-value store: the state machine that Multi-Paxos replicates here.
//!
//! [`Store`] is a plain [`Machine`](crate::machine::Machine): it knows commands and replies, and
//! nothing of logs, leaders or networks. Wrapped in [`Sessions`](crate::multi::Sessions) it applies
//! every command once, and every reply says what the key held before, so a client can tell a first
//! write from an overwrite without a read.
//!
//! Keys and values are text. Both are bounded, by [`KEY_MAX`] and [`VALUE_MAX`]: a command must fit
//! into one datagram together with those that share its slot. The constructors of [`Command`]
//! refuse what is longer, and so does [`Store::apply`](crate::machine::Machine::apply), which
//! cannot know where a command comes from.
//!
//! ```
//! use synod::kv::{Command, Reply, Store};
//! use synod::machine::Machine;
//!
//! let mut store = Store::default();
//! let reply = store.apply(&Command::put("colour", "red")?);
//! assert_eq!(reply, Reply::Was(None));
//! let reply = store.apply(&Command::cas("colour", Some("blue"), "green")?);
//! assert_eq!(reply.to_string(), "unchanged \"red\"");
//! # Ok::<(), synod::kv::TooLong>(())
//! ```

mod command;
mod store;

pub use command::{Command, KEY_MAX, Part, Reply, Text, TooLong, VALUE_MAX};
pub use store::Store;
