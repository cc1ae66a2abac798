//! Runs any [`stateright::actor::Actor`] over UDP, unmodified: the one that is checked is the one
//! that runs.
//!
//! A [`Node`] is one actor behind one socket, with one event loop on one thread. Ids are the small
//! indices of the model; an address book says where they are. [`simulator`] runs the same actors,
//! through the same code, on an imagined network with imagined disks.
//!
//! A node takes all that has arrived, up to 64 datagrams, as one batch: it runs every step, makes
//! the last save durable, and only then sends what the steps had to say, packed into as few
//! datagrams as it fits into. To the outside a batch is one step: either all of it is durable and
//! said, or nothing has happened.
//!
//! What the runtime guarantees:
//!
//! - **Saved before sent.** What a step saves is durable before anything leaves that it, or a later
//!   step, sends. A step that sends before it saves stops the node.
//! - **No amnesia.** A node starts with exactly what it saved last, or it does not start. Only a
//!   directory without a log is a fresh start; a log that is damaged, of another node, or in use is
//!   an [`Error`]. Cut off is only what the node was writing when it was killed ([`Cut`]), and of
//!   which it had said nothing.
//! - **A failed save is the end.** It is never tried again, and nothing of its batch is sent.
//! - **Bad input changes nothing.** A datagram that is malformed, from a stranger or for somebody
//!   else is counted and dropped, without an answer. With a [`Key`], so is one from anybody who
//!   does not have it; without, checksums and the address book find accidents, not attackers, so
//!   let only trusted hosts reach the socket.
//! - **Nothing starves.** Timers, datagrams and a node's messages to itself take turns, and a node
//!   waits for its disk, but never for its network.
//! - **What is saved costs what has changed**, not what there is: see [`Delta`](crate::delta).
//!
//! What the network may do: lose, duplicate and reorder messages, old ones included; [`Faults`]
//! does it on purpose. A datagram that is lost takes all its messages with it. A message to the
//! node itself is delivered once and in order, until a crash.
//!
//! What is left to the protocol: to split what does not fit into one datagram
//! ([`MAX_DATAGRAM`]). Such a message is dropped and counted. What is not there at all: secrecy.
//! Datagrams can be read on the way.
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
//! /// Returns every ball to whoever it came from. Node 0 serves.
//! struct Player;
//!
//! impl Actor for Player {
//!     type Msg = u32; // how often the ball has crossed the net
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
#[doc(hidden)]
pub mod fuzzing;
mod handle;
mod log;
mod medium;
mod metrics;
mod node;
mod observer;
mod outbox;
mod persistent;
mod recorder;
pub mod simulator;
mod socket;
mod stop;
mod timer;

pub use self::core::Runnable;
pub use codec::{Key, MAX_DATAGRAM};
pub use counters::{Counters, Dropped};
pub use error::{Damage, Error};
pub use faults::{Faults, FaultsError};
pub use handle::{Handle, Published, spawn, spawn_watched};
pub use log::Cut;
pub use metrics::{prometheus, serve_metrics};
pub use node::{Node, NodeConfig, run_together};
pub use observer::{Event, EventOf, Unwatched, Watch};
pub use recorder::{Recorded, RecordedEvent, Recorder};
pub use stop::Stop;
