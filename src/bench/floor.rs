//! The floor: the messages of a commit on raw sockets, without a protocol.
//!
//! They go from a client to the leader, from the leader to the followers and back, and, once a
//! majority has the command, from the leader to the client. The floor remembers nothing, elects
//! nobody and authenticates nothing. It receives and sends each message by itself, as with
//! `recv_from` and `send_to`; or it handles all that has arrived together, and messages to one
//! destination share datagrams. A durable node syncs its votes before it sends them, once for all
//! that has arrived.

use super::load::Work;
use super::measure::Recorder;
use hashbrown::HashMap;
use rustix::net::{RecvFlags, recvfrom};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// The use of datagrams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The most datagrams that are handled together.
    pub(super) batch: usize,
    /// The most messages that share a datagram.
    pub(super) messages: usize,
    /// The size in bytes up to which messages share a datagram.
    pub(super) datagram: usize,
    /// The time to poll for datagrams before the processor is yielded.
    pub(super) spin: Duration,
}

/// The time after which an unanswered request is sent again. It must be lost by then: sockets have
/// room for all outstanding messages, and these may wait for as many syncs.
const RESEND_AFTER: Duration = Duration::from_secs(2);

/// The longest wait between two looks at unanswered requests.
const WAIT: Duration = Duration::from_millis(10);

/// The size of a node's file, which is overwritten from its start when it is full. It never grows,
/// because a sync of a growing file takes longer.
const FILE: usize = 16 << 20;

/// The most slots that a leader remembers before it forgets the oldest: lost acknowledgements must
/// not fill its memory.
const SLOTS_MAX: u64 = 1 << 16;

/// The kind of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Request,
    Accept,
    Accepted,
    Reply,
}

/// A message about a command or a slot.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Item<'a> {
    kind: Kind,
    number: u64,
    payload: &'a [u8],
}

/// The most bytes of kind, number, and length of the payload.
const HEADER: usize = 1 + 10 + 3;

impl<'a> Item<'a> {
    fn new(kind: Kind, number: u64, payload: &'a [u8]) -> Self {
        Item {
            kind,
            number,
            payload,
        }
    }

    fn append(&self, datagram: &mut Vec<u8>) {
        // Nothing in a message can fail to be encoded.
        if let Ok(longer) = postcard::to_extend(self, std::mem::take(datagram)) {
            *datagram = longer;
        }
    }

    /// The messages of a datagram, up to the first malformed one.
    fn read(mut datagram: &'a [u8]) -> impl Iterator<Item = Item<'a>> {
        std::iter::from_fn(move || {
            let (item, rest) = postcard::take_from_bytes(datagram).ok()?;
            datagram = rest;
            Some(item)
        })
    }
}

/// A file, and the bytes to write to it next.
struct Disk {
    file: File,
    offset: u64,
    unsaved: Vec<u8>,
}

impl Disk {
    fn new(directory: &Path, me: usize) -> std::io::Result<Self> {
        let file = File::create(directory.join(format!("node-{me}")))?;
        file.write_all_at(&vec![0; FILE], 0)?;
        file.sync_all()?;
        Ok(Disk {
            file,
            offset: 0,
            unsaved: Vec::new(),
        })
    }

    fn sync(&mut self) -> std::io::Result<()> {
        if self.unsaved.is_empty() {
            return Ok(());
        }
        let end = self.offset + self.unsaved.len() as u64;
        if end > FILE as u64 {
            self.offset = 0;
        }
        self.file.write_all_at(&self.unsaved, self.offset)?;
        self.offset += self.unsaved.len() as u64;
        self.unsaved.clear();
        self.file.sync_data()
    }
}

/// A socket, and the datagrams to send next.
struct Port {
    socket: UdpSocket,
    manner: Manner,
    /// The disk of a durable node.
    disk: Option<Disk>,
    /// The datagrams with room, each with its destination and its number of messages.
    filling: Vec<(SocketAddr, usize, Vec<u8>)>,
}

impl Port {
    fn new(socket: UdpSocket, manner: Manner) -> std::io::Result<Self> {
        socket.set_read_timeout(Some(WAIT))?;
        #[cfg(target_os = "linux")]
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&socket, 8 << 20);
        Ok(Port {
            socket,
            manner,
            disk: None,
            filling: Vec::new(),
        })
    }

    fn send(&mut self, to: SocketAddr, item: Item<'_>) {
        let room = self
            .manner
            .datagram
            .saturating_sub(HEADER + item.payload.len());
        let messages = self.manner.messages;
        let has_room = |it: &&mut (SocketAddr, usize, Vec<u8>)| {
            it.0 == to && it.1 < messages && it.2.len() <= room
        };
        match self.filling.iter_mut().rev().find(has_room) {
            Some((_, count, datagram)) => {
                *count += 1;
                item.append(datagram);
            }
            None => {
                let mut datagram = Vec::with_capacity(self.manner.datagram);
                item.append(&mut datagram);
                self.filling.push((to, 1, datagram));
            }
        }
    }

    /// Makes a message durable before the next one is sent.
    fn keep(&mut self, item: Item<'_>) {
        if let Some(disk) = &mut self.disk {
            item.append(&mut disk.unsaved);
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        if let Some(disk) = &mut self.disk {
            disk.sync()?;
        }
        for (to, _, datagram) in self.filling.drain(..) {
            // A datagram that cannot be sent is lost, like one that the network loses.
            let _ = self.socket.send_to(&datagram, to);
        }
        Ok(())
    }

    /// Waits for datagrams, handles their messages, and then sends what follows from them.
    fn turn(
        &mut self,
        buffer: &mut [u8],
        mut handle: impl FnMut(&mut Self, SocketAddr, Item<'_>),
    ) -> std::io::Result<()> {
        let until = Instant::now() + self.manner.spin;
        let mut received = None;
        while received.is_none() && Instant::now() < until {
            received = self.poll(buffer);
        }
        let mut received = received.or_else(|| self.socket.recv_from(buffer).ok());
        let mut left = self.manner.batch;
        while let Some((length, from)) = received {
            for item in Item::read(&buffer[..length]) {
                handle(self, from, item);
            }
            left -= 1;
            received = if left == 0 { None } else { self.poll(buffer) };
        }
        self.flush()
    }

    /// A datagram, if there is one.
    fn poll(&self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        let (length, _, from) = recvfrom(&self.socket, buffer, RecvFlags::DONTWAIT).ok()?;
        Some((length, from?.try_into().ok()?))
    }
}

/// An outstanding command of the leader.
struct Slot {
    client: SocketAddr,
    number: u64,
    payload: Vec<u8>,
    votes: usize,
}

/// Runs a node forever; the first one leads.
pub(super) fn serve(
    socket: UdpSocket,
    me: usize,
    nodes: &[SocketAddr],
    manner: Manner,
    directory: Option<&Path>,
) -> std::io::Result<()> {
    let mut port = Port::new(socket, manner)?;
    port.disk = directory.map(|it| Disk::new(it, me)).transpose()?;
    let mut buffer = vec![0; 1 << 16];
    let followers: Vec<SocketAddr> = nodes.iter().skip(1).copied().collect();
    let majority = nodes.len() / 2 + 1;
    let mut slots: HashMap<u64, Slot> = HashMap::new();
    let mut next = 0;
    loop {
        port.turn(&mut buffer, |port, from, item| match (item.kind, me) {
            (Kind::Request, 0) => {
                port.keep(item);
                let slot = Slot {
                    client: from,
                    number: item.number,
                    payload: item.payload.to_vec(),
                    votes: 1,
                };
                let accept = Item::new(Kind::Accept, next, item.payload);
                for follower in &followers {
                    port.send(*follower, accept);
                }
                slots.insert(next, slot);
                slots.remove(&next.wrapping_sub(SLOTS_MAX));
                next += 1;
                if majority == 1 {
                    answer(&mut slots, next - 1, 1, port);
                }
            }
            (Kind::Accepted, 0) => answer(&mut slots, item.number, majority, port),
            (Kind::Accept, _) => {
                port.keep(item);
                port.send(from, Item::new(Kind::Accepted, item.number, &[]));
            }
            _ => {}
        })?;
    }
}

/// Counts a vote of a follower, and answers the client once a majority has voted.
fn answer(slots: &mut HashMap<u64, Slot>, number: u64, majority: usize, port: &mut Port) {
    let Some(slot) = slots.get_mut(&number) else {
        return;
    };
    slot.votes += usize::from(majority > 1);
    if slot.votes < majority {
        return;
    }
    if let Some(slot) = slots.remove(&number) {
        let reply = Item::new(Kind::Reply, slot.number, &slot.payload);
        port.send(slot.client, reply);
    }
}

/// Runs a client forever.
pub(super) fn ask(
    socket: UdpSocket,
    leader: SocketAddr,
    work: Work,
    manner: Manner,
    recorder: &Recorder,
) -> std::io::Result<()> {
    let mut port = Port::new(socket, manner)?;
    let mut buffer = vec![0; 1 << 16];
    let payload = vec![b'x'; work.payload_bytes];
    let request = |number| Item::new(Kind::Request, number, &payload);
    // The times at which each outstanding request was sent first and last.
    let mut sent: HashMap<u64, (Instant, Instant)> = HashMap::new();
    let mut next = 0;
    let mut looked = Instant::now();
    loop {
        while sent.len() < work.outstanding.unwrap_or(0) {
            port.send(leader, request(next));
            let now = Instant::now();
            sent.insert(next, (now, now));
            next += 1;
        }
        port.flush()?;
        let mut now = None;
        port.turn(&mut buffer, |_, _, item| {
            let now = *now.get_or_insert_with(Instant::now);
            if let Some(then) = sent
                .remove(&item.number)
                .filter(|_| item.kind == Kind::Reply)
            {
                recorder.done(now, now.duration_since(then.0), 0.into());
            }
        })?;
        if looked.elapsed() < WAIT {
            continue;
        }
        looked = Instant::now();
        for (number, (_, last)) in &mut sent {
            if looked.duration_since(*last) >= RESEND_AFTER {
                recorder.resent(1);
                *last = looked;
                port.send(leader, request(*number));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_holds_what_was_put_into_it_and_nothing_malformed_is_read() {
        let items = [
            (Kind::Request, 7, &b"abc"[..]),
            (Kind::Accepted, u64::MAX, &[]),
        ];
        let items = items.map(|(kind, number, payload)| Item::new(kind, number, payload));
        let mut datagram = Vec::new();
        items[0].append(&mut datagram);
        let first = datagram.len();
        items[1].append(&mut datagram);
        assert!(Item::read(&datagram).eq(items) && datagram.len() <= 2 * HEADER + 3);
        for cut in 0..datagram.len() {
            let read = Item::read(&datagram[..cut]).count();
            assert_eq!(read, usize::from(cut >= first), "cut at {cut}");
        }
        datagram[0] = 9;
        assert_eq!(Item::read(&datagram).count(), 0);
    }
}
