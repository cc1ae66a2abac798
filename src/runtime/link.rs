//! A node's socket: to whom it sends, from whom it receives, and what is dropped.

use super::codec::{Codec, decode};
use super::counters::{Counters, Refusal};
use super::faults::Injector;
use hashbrown::HashMap;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size;
#[cfg(target_os = "linux")]
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
#[cfg(target_os = "linux")]
use rustix::net::{MMsgHdr, SendAncillaryBuffer, addr::SocketAddrArg, sendmmsg};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use serde::de::DeserializeOwned;
use stateright::actor::Id;
use std::collections::BTreeMap;
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSlice;
use std::iter::repeat_n;
use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// Room for the longest datagram there is (IPv6 carries 20 bytes more than IPv4), so that one that
/// is too long is not mistaken for its beginning.
const RECEIVE_BUFFER: usize = 65_536;

/// How many datagrams make up a batch at most. What is said in a batch waits until all of it is
/// handled and durable, so that it must not be endless.
pub(super) const BATCH_MAX: usize = 64;

/// The longest time a node waits for a datagram, and so about the time it takes to stop.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// The time limit of a receive that blocks: a short one, since the kernel counts it in ticks, of
/// 4 ms on most systems, and may wait for two of them.
const BLOCKED_FOR: Duration = Duration::from_millis(4);

/// How long to rest after an unexpected error, so that a broken socket does not become a busy loop.
const REST: Duration = Duration::from_millis(5);

/// How many addresses of dynamic ids are remembered at most.
const LEARNED_MAX: usize = 1 << 16;

/// Addresses that were learned, of those ids that sent last.
///
/// Two generations: once the younger has half of all the room, it becomes the elder, and the elder
/// is forgotten. So an id is remembered until at least so many others have sent since.
#[derive(Default)]
struct Learned {
    younger: HashMap<Id, SocketAddr>,
    elder: HashMap<Id, SocketAddr>,
}

impl Learned {
    fn get(&self, id: Id) -> Option<SocketAddr> {
        self.younger
            .get(&id)
            .or_else(|| self.elder.get(&id))
            .copied()
    }

    fn learn(&mut self, id: Id, at: SocketAddr, most: usize) {
        if self.younger.len() >= most / 2 && !self.younger.contains_key(&id) {
            self.elder = std::mem::take(&mut self.younger);
        }
        self.younger.insert(id, at);
    }
}

/// Who is where.
pub(super) struct Book {
    me: Id,
    peers: BTreeMap<Id, SocketAddr>,
    /// Ids whose address is learned from what they send.
    dynamic: Range<usize>,
    learned: Learned,
    /// Whether addresses are those of an IPv6 socket.
    v6: bool,
}

impl Book {
    pub(super) fn new(
        me: Id,
        peers: BTreeMap<Id, SocketAddr>,
        dynamic: Range<usize>,
        v6: bool,
    ) -> Self {
        let peers = peers.into_iter();
        Book {
            me,
            peers: peers.map(|(id, at)| (id, as_seen(at, v6))).collect(),
            dynamic,
            learned: Learned::default(),
            v6,
        }
    }

    fn address(&self, id: Id) -> Option<SocketAddr> {
        let known = self.peers.get(&id).copied();
        known.or_else(|| self.learned.get(id))
    }

    /// Whether the id may send from the address.
    fn check(&self, id: Id, from: SocketAddr) -> Result<(), Refusal> {
        if id == self.me {
            // What a node sends to itself never touches the socket.
            return Err(Refusal::Forged);
        }
        match self.peers.get(&id) {
            // Not the whole addresses: IPv6 has a flow label besides, which may differ.
            Some(at) if (at.ip(), at.port()) == (from.ip(), from.port()) => Ok(()),
            Some(_) => Err(Refusal::Forged),
            None if self.dynamic.contains(&usize::from(id)) => Ok(()),
            None => Err(Refusal::Stranger),
        }
    }

    /// Notes from where an id that was found in order sends.
    fn learn(&mut self, id: Id, from: SocketAddr) {
        if !self.peers.contains_key(&id) {
            self.learned.learn(id, as_seen(from, self.v6), LEARNED_MAX);
        }
    }
}

/// The address as a socket sees it: an IPv6 socket sees IPv4 addresses mapped into IPv6.
fn as_seen(address: SocketAddr, v6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v6 => {
            SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
        }
        _ => address,
    }
}

/// Sends and receives datagrams.
pub(super) struct Link {
    socket: UdpSocket,
    codec: Codec,
    book: Book,
    injector: Injector,
    incoming: Box<[u8; RECEIVE_BUFFER]>,
    /// The datagrams of a batch that are to be sent, and where to.
    due: Vec<(usize, SocketAddr)>,
}

impl Link {
    /// Prepares the socket: it gets as much room for what arrives as the system grants, and a
    /// limit to how long it waits.
    pub(super) fn new(
        socket: UdpSocket,
        codec: Codec,
        book: Book,
        injector: Injector,
        receive_buffer: usize,
    ) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(BLOCKED_FOR))?;
        enlarge(&socket, receive_buffer);
        Ok(Link {
            socket,
            codec,
            book,
            injector,
            incoming: Box::new([0; RECEIVE_BUFFER]),
            due: Vec::new(),
        })
    }

    /// Completes datagrams and sends them, as far as UDP and the configured faults let it. What
    /// goes wrong is counted and otherwise the same as a loss.
    pub(super) fn send(
        &mut self,
        now: Duration,
        datagrams: &mut [(Id, Vec<u8>)],
        counters: &mut Counters,
    ) {
        self.due.clear();
        for (index, (to, datagram)) in datagrams.iter_mut().enumerate() {
            let Some(address) = self.book.address(*to) else {
                counters.unaddressed += 1;
                continue;
            };
            self.codec.seal(*to, datagram);
            let copies = self.injector.admit(now, address, datagram, counters);
            self.due.extend(repeat_n((index, address), copies));
        }
        let due = self.due.iter();
        let due = due.map(|(index, to)| (*to, datagrams[*index].1.as_slice()));
        transmit_all(&self.socket, due, counters);
    }

    /// Sends what was held back until now.
    pub(super) fn release(&mut self, now: Duration, counters: &mut Counters) {
        while let Some((address, datagram)) = self.injector.pop_due(now) {
            transmit(&self.socket, &datagram, address, counters);
        }
    }

    /// When the next datagram that is held back is to be sent.
    pub(super) fn next_release(&self) -> Option<Duration> {
        self.injector.next()
    }

    /// Takes the messages of all datagrams that have arrived, but not of more than
    /// [`BATCH_MAX`] datagrams. Does not wait.
    pub(super) fn drain<M: DeserializeOwned>(
        &mut self,
        messages: &mut Vec<(Id, M)>,
        counters: &mut Counters,
    ) {
        for _ in 0..BATCH_MAX {
            let received = recvfrom(&self.socket, &mut self.incoming[..], RecvFlags::DONTWAIT);
            match received {
                Ok((length, _, Some(from))) => match SocketAddr::try_from(from) {
                    Ok(from) => self.accept(length, from, messages, counters),
                    Err(_) => counters.receive_errors += 1,
                },
                Ok((_, _, None)) => counters.receive_errors += 1,
                Err(error) => return rest_after(&error.into(), counters),
            }
        }
    }

    /// Waits until something arrives, but not much longer than asked, nor than [`LONGEST_WAIT`].
    /// If it comes to that, takes the messages of one datagram.
    ///
    /// A receive that blocks is quickest, but its time limit is a rough one. So it is only used if
    /// there is time enough, and what is left of that is waited for in another way.
    pub(super) fn wait<M: DeserializeOwned>(
        &mut self,
        wait: Duration,
        messages: &mut Vec<(Id, M)>,
        counters: &mut Counters,
    ) {
        if wait < LONGEST_WAIT {
            return wait_for_any([&*self], wait);
        }
        let start = Instant::now();
        match self.socket.recv_from(&mut self.incoming[..]) {
            Ok((length, from)) => self.accept(length, from, messages, counters),
            Err(error) => {
                rest_after(&error, counters);
                wait_for_any([&*self], LONGEST_WAIT.saturating_sub(start.elapsed()));
            }
        }
    }

    /// Takes the messages of the datagram that has been received, or drops it.
    fn accept<M: DeserializeOwned>(
        &mut self,
        length: usize,
        from: SocketAddr,
        messages: &mut Vec<(Id, M)>,
        counters: &mut Counters,
    ) {
        match self.read(length, from, messages) {
            Ok(()) => counters.received += 1,
            Err(refusal) => counters.dropped.count(refusal),
        }
    }

    fn read<M: DeserializeOwned>(
        &mut self,
        length: usize,
        from: SocketAddr,
        messages: &mut Vec<(Id, M)>,
    ) -> Result<(), Refusal> {
        let (source, payload) = self.codec.open(&self.incoming[..length])?;
        self.book.check(source, from)?;
        decode(source, payload, messages)?;
        self.book.learn(source, from);
        Ok(())
    }
}

/// Waits until something arrives at one of the sockets, but not longer than asked, nor than
/// [`LONGEST_WAIT`].
pub(super) fn wait_for_any<'a>(links: impl IntoIterator<Item = &'a Link>, wait: Duration) {
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: wait.min(LONGEST_WAIT).subsec_nanos().into(),
    };
    let sockets = links.into_iter().map(|link| &link.socket);
    let sockets = sockets.map(|socket| PollFd::new(socket, PollFlags::IN));
    // To be woken too early does no harm, and neither does not to wait at all once in a while.
    let _ = poll(&mut sockets.collect::<Vec<_>>(), Some(&wait));
}

/// Room for a burst: what the default has room for is full after a few hundred datagrams. The
/// privileged way has no limit; if neither works the node runs all the same.
fn enlarge(socket: &UdpSocket, size: usize) {
    #[cfg(target_os = "linux")]
    if set_socket_recv_buffer_size_force(socket, size).is_ok() {
        return;
    }
    let _ = set_socket_recv_buffer_size(socket, size);
}

/// Counts a failure to receive, and rests if it was one.
fn rest_after(error: &io::Error, counters: &mut Counters) {
    use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
    // A refused connection is the echo of a send to a peer that is down.
    let quiet = [WouldBlock, TimedOut, Interrupted, ConnectionRefused];
    if !quiet.contains(&error.kind()) {
        counters.receive_errors += 1;
        thread::sleep(REST);
    }
}

/// Sends, or loses, but never waits: a node that waits for its network stops listening.
fn transmit(socket: &UdpSocket, datagram: &[u8], to: SocketAddr, counters: &mut Counters) {
    match sendto(socket, datagram, SendFlags::DONTWAIT, &to) {
        Ok(_) => counters.sent += 1,
        Err(_) => counters.send_errors += 1,
    }
}

/// The same for several datagrams. One call to the system for all costs less than one for each, if
/// there are enough of them.
fn transmit_all<'d>(
    socket: &UdpSocket,
    datagrams: impl ExactSizeIterator<Item = (SocketAddr, &'d [u8])>,
    counters: &mut Counters,
) {
    #[cfg(target_os = "linux")]
    if datagrams.len() >= TOGETHER_MIN {
        return transmit_together(socket, datagrams, counters);
    }
    for (to, datagram) in datagrams {
        transmit(socket, datagram, to, counters);
    }
}

/// How many datagrams are worth a call for all of them.
#[cfg(target_os = "linux")]
const TOGETHER_MIN: usize = 4;

#[cfg(target_os = "linux")]
fn transmit_together<'d>(
    socket: &UdpSocket,
    datagrams: impl Iterator<Item = (SocketAddr, &'d [u8])>,
    counters: &mut Counters,
) {
    let datagrams = datagrams.map(|(to, datagram)| (to.as_any(), [IoSlice::new(datagram)]));
    let mut parts: Vec<_> = datagrams
        .map(|(to, content)| (to, content, SendAncillaryBuffer::default()))
        .collect();
    let messages = parts.iter_mut();
    let mut messages: Vec<MMsgHdr<'_>> = messages
        .map(|(to, content, control)| MMsgHdr::new_with_addr(to, content, control))
        .collect();
    let mut rest = messages.as_mut_slice();
    while !rest.is_empty() {
        let done = match sendmmsg(socket, rest, SendFlags::DONTWAIT) {
            Ok(sent) if sent > 0 => {
                counters.sent += sent as u64;
                sent
            }
            // The first cannot be sent; those after it may be.
            Ok(_) | Err(_) => {
                counters.send_errors += 1;
                1
            }
        };
        rest = rest.get_mut(done..).unwrap_or_default();
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::{HEADER, append};
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use serde::Serialize;

    const WAIT: Duration = Duration::from_secs(5);
    const BRIEFLY: Duration = Duration::from_millis(10);

    fn socket(address: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    fn link(me: usize, socket: UdpSocket, peers: &[(usize, SocketAddr)], faults: &str) -> Link {
        let peers = peers.iter().map(|(id, at)| (Id::from(*id), *at)).collect();
        let v6 = socket.local_addr().unwrap().is_ipv6();
        let me = Id::from(me);
        Link::new(
            socket,
            Codec::new(7, me, None),
            Book::new(me, peers, 10..20, v6),
            Injector::new(faults.parse().unwrap(), SmallRng::seed_from_u64(1)),
            1 << 20,
        )
        .unwrap()
    }

    /// Sends one message in a datagram of its own, at time zero.
    fn send<M: Serialize>(link: &mut Link, to: usize, message: M, counters: &mut Counters) {
        let mut datagram = vec![0; HEADER];
        append(&mut datagram, &message, 1000).unwrap();
        link.send(Duration::ZERO, &mut [(Id::from(to), datagram)], counters);
    }

    /// Two links that know each other.
    fn pair(faults: &str) -> (Link, Link) {
        let (one, at_one) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        let peers = [(1, at_one), (2, at_two)];
        (link(1, one, &peers, faults), link(2, two, &peers, ""))
    }

    fn receive(link: &mut Link, counters: &mut Counters) -> Option<(Id, u32)> {
        let messages = receive_within(link, WAIT, counters);
        assert!(messages.len() <= 1, "{messages:?}");
        messages.into_iter().next()
    }

    /// What arrives first, or nothing if it is dropped or too late.
    fn receive_within(link: &mut Link, wait: Duration, counters: &mut Counters) -> Vec<(Id, u32)> {
        let (start, dropped) = (Instant::now(), counters.dropped.total());
        let mut messages = Vec::new();
        while messages.is_empty() && counters.dropped.total() == dropped {
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            link.wait(left, &mut messages, counters);
            if messages.is_empty() && counters.dropped.total() == dropped {
                link.drain(&mut messages, counters);
            }
        }
        messages
    }

    /// Everything that arrives until nothing more does.
    fn drain(link: &mut Link) -> Vec<u32> {
        let mut counters = Counters::default();
        let batches = std::iter::from_fn(|| {
            let batch = receive_within(link, BRIEFLY, &mut counters);
            (!batch.is_empty()).then_some(batch)
        });
        batches.flatten().map(|(_, message)| message).collect()
    }

    #[test]
    fn a_message_arrives_with_its_source() {
        let (mut one, mut two) = pair("");
        let mut counters = Counters::default();
        send(&mut one, 2, 5_u32, &mut counters);
        assert_eq!(counters.sent, 1);
        assert_eq!(receive(&mut two, &mut counters), Some((Id::from(1), 5)));
        assert_eq!(counters.received, 1);
    }

    #[test]
    fn a_peer_is_known_by_its_address() {
        let (one, at_one) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        let (three, _) = socket("127.0.0.1:0");
        let mut one = link(1, one, &[(2, at_two)], "");
        let mut counters = Counters::default();
        for claimed in [1, 2, 3] {
            // Sends from another address than node 2's, whoever it claims to be.
            let three = three.try_clone().unwrap();
            let mut forger = link(claimed, three, &[(1, at_one)], "");
            if claimed == 1 {
                // A link never sends to itself, so this one is made by hand.
                let mut datagram = vec![0; HEADER];
                append(&mut datagram, &5_u32, 1000).unwrap();
                forger.codec.seal(Id::from(1), &mut datagram);
                forger.socket.send_to(&datagram, at_one).unwrap();
            } else {
                send(&mut forger, 1, 5_u32, &mut counters);
            }
            assert_eq!(receive(&mut one, &mut counters), None);
        }
        assert_eq!((counters.dropped.forged, counters.dropped.stranger), (2, 1));
        let mut two = link(2, two, &[(1, at_one)], "");
        send(&mut two, 1, 5_u32, &mut counters);
        assert_eq!(receive(&mut one, &mut counters), Some((Id::from(2), 5)));
        assert_eq!(counters.dropped.total(), 2 + 1);
    }

    #[test]
    fn the_address_of_a_dynamic_id_is_learned_and_follows_it() {
        let (one, at_one) = socket("127.0.0.1:0");
        let mut one = link(1, one, &[], "");
        let mut counters = Counters::default();
        let client = Id::from(10);
        send(&mut one, 10, 0_u32, &mut counters);
        assert_eq!(counters.unaddressed, 1, "not learned yet");
        for _ in 0..2 {
            let (socket, _) = socket("127.0.0.1:0");
            let mut ten = link(10, socket, &[(1, at_one)], "");
            send(&mut ten, 1, 5_u32, &mut counters);
            assert_eq!(receive(&mut one, &mut counters), Some((client, 5)));
            send(&mut one, 10, 6_u32, &mut counters);
            assert_eq!(receive(&mut ten, &mut counters), Some((Id::from(1), 6)));
        }
        assert_eq!(counters.dropped.total(), 0);
    }

    #[test]
    fn who_has_not_sent_for_longest_is_forgotten_to_make_room() {
        let at = |port: usize| SocketAddr::from(([127, 0, 0, 1], port as u16));
        let mut learned = Learned::default();
        for id in 0..1000 {
            // One that goes on sending is never forgotten, nor are those that sent just before.
            learned.learn(Id::from(7), at(7), 10);
            learned.learn(Id::from(id), at(id), 10);
            assert!(learned.younger.len() + learned.elder.len() <= 10);
            for known in [7, id, id.saturating_sub(2)] {
                assert_eq!(learned.get(Id::from(known)), Some(at(known)), "after {id}");
            }
        }
        assert_eq!(learned.get(Id::from(900)), None);
    }

    #[test]
    fn a_datagram_that_is_dropped_teaches_no_address() {
        let (one, at_one) = socket("127.0.0.1:0");
        let mut one = link(1, one, &[], "");
        let (socket, _) = socket("127.0.0.1:0");
        let mut ten = link(10, socket, &[(1, at_one)], "");
        let mut counters = Counters::default();
        send(&mut ten, 1, "not a number", &mut counters);
        assert_eq!(receive(&mut one, &mut counters), None);
        assert_eq!(counters.dropped.total(), 1);
        send(&mut one, 10, 0_u32, &mut counters);
        assert_eq!(counters.unaddressed, 1);
    }

    #[test]
    fn an_ipv6_socket_and_an_ipv4_socket_understand_each_other() {
        let Ok(six) = UdpSocket::bind("[::]:0") else {
            eprintln!("skipped: no IPv6 here");
            return;
        };
        let at_six = SocketAddr::from(([127, 0, 0, 1], six.local_addr().unwrap().port()));
        let (four, at_four) = socket("127.0.0.1:0");
        let peers = [(1, at_six), (2, at_four)];
        let (mut six, mut four) = (link(1, six, &peers, ""), link(2, four, &peers, ""));
        let mut counters = Counters::default();
        send(&mut four, 1, 5_u32, &mut counters);
        assert_eq!(receive(&mut six, &mut counters), Some((Id::from(2), 5)));
        send(&mut six, 2, 6_u32, &mut counters);
        assert_eq!(receive(&mut four, &mut counters), Some((Id::from(1), 6)));
    }

    #[test]
    fn what_cannot_be_sent_is_counted() {
        let (one, _) = socket("127.0.0.1:0");
        // No route leads from an IPv4 socket to an IPv6 address.
        let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 9));
        let mut one = link(1, one, &[(2, six)], "");
        let mut counters = Counters::default();
        send(&mut one, 2, 5_u32, &mut counters);
        send(&mut one, 3, 5_u32, &mut counters);
        let expected = Counters {
            send_errors: 1,
            unaddressed: 1,
            ..Counters::default()
        };
        assert_eq!(counters, expected);
    }

    #[test]
    fn one_of_many_that_cannot_be_sent_keeps_none_back() {
        let (one, at_one) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 9));
        let mut one = link(1, one, &[(2, at_two), (3, six)], "");
        let mut two = link(2, two, &[(1, at_one)], "");
        // The first, one in the middle, and the last cannot be sent; nobody knows where 4 is.
        let to = [3, 2, 2, 3, 4, 2, 2, 2, 3];
        let datagrams = to.iter().zip(0_u32..).map(|(to, number)| {
            let mut datagram = vec![0; HEADER];
            append(&mut datagram, &number, 1000).unwrap();
            (Id::from(*to), datagram)
        });
        let mut counters = Counters::default();
        one.send(
            Duration::ZERO,
            &mut datagrams.collect::<Vec<_>>(),
            &mut counters,
        );
        let expected = Counters {
            sent: 5,
            send_errors: 3,
            unaddressed: 1,
            ..Counters::default()
        };
        assert_eq!(counters, expected);
        assert_eq!(drain(&mut two), [1, 2, 5, 6, 7]);
    }

    #[test]
    fn a_dead_peer_is_no_receive_error() {
        let (one, _) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        drop(two);
        let mut one = link(1, one, &[(2, at_two)], "");
        let mut counters = Counters::default();
        for _ in 0..3 {
            send(&mut one, 2, 5_u32, &mut counters);
            assert_eq!(receive_within(&mut one, BRIEFLY, &mut counters), []);
        }
        assert_eq!(counters.sent + counters.send_errors, 3);
        assert_eq!(counters.receive_errors, 0);
    }

    #[test]
    fn faults_apply_to_what_leaves_the_socket() {
        let (mut one, mut two) = pair("loss=1");
        let mut counters = Counters::default();
        send(&mut one, 2, 5_u32, &mut counters);
        assert_eq!((counters.lost, counters.sent), (1, 0));
        assert!(drain(&mut two).is_empty());

        let (mut one, mut two) = pair("dup=1");
        send(&mut one, 2, 5_u32, &mut counters);
        assert_eq!(drain(&mut two), [5, 5]);

        let (mut one, mut two) = pair("reorder=1");
        (0..20).for_each(|message: u32| send(&mut one, 2, message, &mut counters));
        assert!(drain(&mut two).is_empty(), "held back until released");
        one.release(WAIT, &mut counters);
        let mut arrived = drain(&mut two);
        assert!(!arrived.is_sorted());
        arrived.sort_unstable();
        assert!(arrived.into_iter().eq(0..20));
        assert_eq!(one.injector.next(), None);
    }

    #[test]
    fn a_wait_ends_neither_early_nor_much_too_late() {
        let (mut one, _two) = pair("");
        let mut counters = Counters::default();
        for (wait, least, most) in [
            (0, 0, 5),
            (1, 1, 8),
            (6, 6, 13),
            (10, 9, 30),
            (5000, 9, 100),
        ] {
            let [wait, least, most] = [wait, least, most].map(Duration::from_millis);
            // The machine may be busy, so that once in time is enough.
            let times = (0..20).map(|_| {
                let start = Instant::now();
                let mut messages: Vec<(Id, u32)> = Vec::new();
                one.wait(wait, &mut messages, &mut counters);
                assert!(messages.is_empty() && start.elapsed() >= least);
                start.elapsed()
            });
            let soonest = times.min().unwrap();
            assert!(soonest < most, "{soonest:?} instead of {wait:?}");
        }
        assert_eq!(counters, Counters::default());
    }

    #[test]
    fn a_batch_is_bounded_and_what_is_left_is_the_next() {
        let (mut one, mut two) = pair("");
        let mut counters = Counters::default();
        let all = BATCH_MAX as u32 + 10;
        (0..all).for_each(|message| send(&mut one, 2, message, &mut counters));
        let mut messages: Vec<(Id, u32)> = Vec::new();
        two.drain(&mut messages, &mut counters);
        assert_eq!(messages.len(), BATCH_MAX);
        two.drain(&mut messages, &mut counters);
        two.drain(&mut messages, &mut counters);
        assert!(messages.into_iter().map(|(_, message)| message).eq(0..all));
    }

    #[test]
    fn there_is_room_for_a_burst() {
        let (mut one, mut two) = pair("");
        let mut counters = Counters::default();
        (0..1000).for_each(|message: u32| send(&mut one, 2, message, &mut counters));
        assert_eq!(drain(&mut two).len(), 1000);
    }
}
