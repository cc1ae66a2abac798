//! A runtime that runs any [`stateright::actor::Actor`] over UDP, unmodified: the actor that is
//! checked is the actor that runs.
//!
//! A [`Node`] is one actor behind one socket, with one event loop on one thread. Ids are the small
//! indices of the model; an address book has their addresses. [`simulator`] runs the same actors,
//! through the same code, on a simulated network with simulated disks.
//!
//! A node handles the datagrams that have arrived, up to 64, as one batch: it runs every step,
//! makes the last save durable, and only then sends the messages of the steps, packed into as few
//! datagrams as possible. To the outside a batch is one step: either the whole batch is durable and
//! sent, or nothing has happened.
//!
//! The runtime guarantees:
//!
//! - **Save before send.** The save of a step is durable before a message of this step, or of a
//!   later one, leaves. A step that sends before it saves stops the node.
//! - **No amnesia.** A node starts from exactly its last save, or it does not start. Only a
//!   directory without a log is a fresh start; a log that is damaged, in use, or of another node is
//!   an [`Error`]. Only a record that the node was writing when it was killed, and from which no
//!   message had followed, is cut off ([`TornTail`]).
//! - **A failed save stops the node.** It is never repeated, and nothing of its batch is sent.
//! - **Bad input changes nothing.** A datagram that is malformed, from a stranger or for another
//!   node is counted and dropped, without an answer. With a [`Key`], so is a datagram from a sender
//!   without the key. Without one, checksums and the address book detect accidents but no attacks,
//!   so only trusted hosts may reach the socket.
//! - **Nothing starves.** Timers, datagrams and a node's messages to itself take turns, and a node
//!   waits for its disk, but never for its network.
//! - **A save costs as much as it changes**, whatever the size of the state: see
//!   [`Delta`](crate::delta).
//!
//! The network may lose, duplicate and reorder messages, including old ones; [`Faults`] injects
//! these faults. A lost datagram loses all its messages. A message to the node itself is delivered
//! once and in order, until a crash.
//!
//! The protocol must split a message that does not fit into one datagram ([`MAX_DATAGRAM`]): it is
//! dropped and counted. There is no secrecy: datagrams can be read on the network.
//!
//! # Example
//!
//! ```
//! use stateright::actor::{Actor, Id, Out};
//! use std::borrow::Cow;
//! use std::collections::BTreeMap;
//! use std::net::UdpSocket;
//! use std::sync::mpsc;
//! use synod::runtime::{NodeConfig, spawn};
//!
//! /// A player who returns every ball to its sender. Node 0 serves.
//! struct Player;
//!
//! impl Actor for Player {
//!     type Msg = u32; // the number of times that the ball has crossed the net
//!     type State = u32;
//!     type Timer = ();
//!     type Random = ();
//!     type Storage = ();
//!
//!     fn on_start(&self, id: Id, _saved: &Option<()>, out: &mut Out<Self>) -> u32 {
//!         if id == Id::from(0) {
//!             out.send(Id::from(1), 1);
//!         }
//!         0
//!     }
//!
//!     fn on_msg(&self, _: Id, seen: &mut Cow<u32>, from: Id, ball: u32, out: &mut Out<Self>) {
//!         *seen.to_mut() = ball;
//!         out.send(from, ball + 1);
//!     }
//! }
//!
//! let sockets = [UdpSocket::bind("127.0.0.1:0")?, UdpSocket::bind("127.0.0.1:0")?];
//! let mut peers = BTreeMap::new();
//! for (index, socket) in sockets.iter().enumerate() {
//!     peers.insert(Id::from(index), socket.local_addr()?);
//! }
//!
//! let (sender, receiver) = mpsc::channel();
//! let mut handles = Vec::new();
//! for (index, socket) in sockets.into_iter().enumerate() {
//!     let mut config = NodeConfig::new(Id::from(index), socket);
//!     config.peers = peers.clone();
//!     let sender = sender.clone();
//!     handles.push(spawn(Player, config, move |seen| drop(sender.send(*seen)))?);
//! }
//! while receiver.recv()? < 100 {}
//!
//! for handle in handles {
//!     handle.stop();
//!     let counters = handle.join()?;
//!     println!("{counters}"); // for example: received=53 messages_received=53 sent=53 ..
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address_book;
pub mod clock;
mod codec;
mod core;
mod counters;
mod disk;
mod endpoint;
mod error;
mod faults;
mod file_system;
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod log;
mod metrics;
mod node;
mod observer;
mod outbox;
mod persistent;
mod recorder;
#[cfg(test)]
mod scripted;
pub mod simulator;
mod socket;
mod stop;
mod timer;

pub use self::core::Runnable;
pub use codec::{Key, MAX_DATAGRAM};
pub use counters::{Counters, Dropped};
pub use error::{Damage, Error};
pub use faults::{Faults, FaultsError};
pub use handle::{Handle, Published, spawn, spawn_observed};
pub use log::TornTail;
pub use metrics::{prometheus, serve_metrics};
pub use node::{Node, NodeConfig, run_together};
pub use observer::{Event, EventOf, NoObserver, StepObserver};
pub use recorder::{Recorded, RecordedEvent, Recorder};
pub use stop::Stop;
