//! The floor: the messages of a commit on raw sockets, without a protocol.
//!
//! Client to leader, leader to followers, follower to leader, and, once a majority has it, leader
//! to client. Nothing is remembered, nobody is elected, nothing is authenticated. Either each
//! message is received and sent by itself, as `recv_from` and `send_to` invite to; or all that has
//! arrived is handled together, and messages to one destination share datagrams. With a disk, nodes
//! sync what they vote for before they say so, at once for all that has arrived.

use super::load::Work;
use super::measure::Recorder;
use hashbrown::HashMap;
use rustix::net::{RecvFlags, recvfrom};
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How datagrams are used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// How many datagrams are handled together at most.
    pub(super) batch: usize,
    /// How many messages share a datagram at most.
    pub(super) messages: usize,
    /// Up to how many bytes messages share a datagram.
    pub(super) datagram: usize,
    /// How long to look for datagrams before the processor is given away.
    pub(super) spin: Duration,
}

/// What is not answered for so long is sent again. It must be lost by then: sockets have room for
/// all that is under way, which may wait for as many syncs.
const RESEND_AFTER: Duration = Duration::from_secs(2);

/// The longest wait, after which it is looked what was not answered.
const WAIT: Duration = Duration::from_millis(10);

/// How much a node writes before it begins to overwrite it. The file never grows, for that makes a
/// sync take longer.
const FILE: usize = 16 << 20;

/// How many slots under way a leader remembers before it forgets the oldest: lost acknowledgements
/// must not fill its memory.
const SLOTS_MAX: u64 = 1 << 16;

/// What a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Kind {
    Request,
    Accept,
    Accepted,
    Reply,
}

/// A message: what for, about which command or slot, and with which bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Item<'a> {
    kind: Kind,
    number: u64,
    payload: &'a [u8],
}

/// Kind, number, and length of the payload.
const HEADER: usize = 11;

impl<'a> Item<'a> {
    fn append(&self, datagram: &mut Vec<u8>) {
        datagram.push(self.kind as u8);
        datagram.extend_from_slice(&self.number.to_le_bytes());
        datagram.extend_from_slice(&(self.payload.len() as u16).to_le_bytes());
        datagram.extend_from_slice(self.payload);
    }

    /// The messages of a datagram, up to the first that is none.
    fn read(mut datagram: &'a [u8]) -> impl Iterator<Item = Item<'a>> {
        std::iter::from_fn(move || {
            let (header, rest) = datagram.split_first_chunk::<HEADER>()?;
            let kinds = [Kind::Request, Kind::Accept, Kind::Accepted, Kind::Reply];
            let kind = *kinds.get(usize::from(header[0]))?;
            let number = u64::from_le_bytes(*header[1..].first_chunk()?);
            let length = u16::from_le_bytes(*header[9..].first_chunk()?);
            let (payload, rest) = rest.split_at_checked(usize::from(length))?;
            datagram = rest;
            Some(Item {
                kind,
                number,
                payload,
            })
        })
    }
}

/// A file, and what is about to be written to it.
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

/// A socket, and what is about to leave it.
struct Port {
    socket: UdpSocket,
    manner: Manner,
    /// Where a durable node saves.
    disk: Option<Disk>,
    /// Datagrams that are being filled: to whom, with how many messages.
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

    fn say(&mut self, to: SocketAddr, item: Item<'_>) {
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

    /// What must be durable before anything is said that depends on it.
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
            // What cannot be sent is lost, as anything may be.
            let _ = self.socket.send_to(&datagram, to);
        }
        Ok(())
    }

    /// Waits for datagrams and hands their messages on, and then sends what that has led to.
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

/// A command under way at the leader.
struct Slot {
    client: SocketAddr,
    number: u64,
    payload: Vec<u8>,
    has: usize,
}

/// Plays a node until the process ends: the first one leads.
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
                    has: 1,
                };
                let accept = Item {
                    kind: Kind::Accept,
                    number: next,
                    payload: item.payload,
                };
                followers
                    .iter()
                    .for_each(|follower| port.say(*follower, accept));
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
                let accepted = Item {
                    kind: Kind::Accepted,
                    number: item.number,
                    payload: &[],
                };
                port.say(from, accepted);
            }
            _ => {}
        })?;
    }
}

/// One more has it; a majority is answered.
fn answer(slots: &mut HashMap<u64, Slot>, number: u64, majority: usize, port: &mut Port) {
    let Some(slot) = slots.get_mut(&number) else {
        return;
    };
    slot.has += usize::from(majority > 1);
    if slot.has < majority {
        return;
    }
    if let Some(slot) = slots.remove(&number) {
        let reply = Item {
            kind: Kind::Reply,
            number: slot.number,
            payload: &slot.payload,
        };
        port.say(slot.client, reply);
    }
}

/// Plays a client until the process ends.
pub(super) fn ask(
    socket: UdpSocket,
    leader: SocketAddr,
    work: Work,
    manner: Manner,
    recorder: &Recorder,
) -> std::io::Result<()> {
    let mut port = Port::new(socket, manner)?;
    let mut buffer = vec![0; 1 << 16];
    let payload = vec![b'x'; work.payload];
    let request = |number| Item {
        kind: Kind::Request,
        number,
        payload: &payload,
    };
    // When each was sent first, and last.
    let mut sent: HashMap<u64, (Instant, Instant)> = HashMap::new();
    let mut next = 0;
    let mut looked = Instant::now();
    loop {
        while sent.len() < work.outstanding {
            port.say(leader, request(next));
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
                port.say(leader, request(*number));
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
        let items = items.map(|(kind, number, payload)| Item {
            kind,
            number,
            payload,
        });
        let mut datagram = Vec::new();
        items.iter().for_each(|item| item.append(&mut datagram));
        assert!(Item::read(&datagram).eq(items));
        for cut in 0..datagram.len() {
            let read = Item::read(&datagram[..cut]).count();
            assert_eq!(read, usize::from(cut >= HEADER + 3), "cut at {cut}");
        }
        datagram[0] = 9;
        assert_eq!(Item::read(&datagram).count(), 0);
    }
}
