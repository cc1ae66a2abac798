//! A node's socket: to whom it sends, from whom it receives, and what is dropped.

use super::codec::{Codec, MAX_DATAGRAM, decode};
use super::counters::{Counters, Refusal};
use super::faults::Injector;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stateright::actor::Id;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// Room for the longest datagram there is (IPv6 carries 20 bytes more than IPv4), so that one that
/// is too long is not mistaken for its beginning.
const RECEIVE_BUFFER: usize = 65_536;

/// How long to rest after an unexpected error, so that a broken socket does not become a busy loop.
const REST: Duration = Duration::from_millis(5);

/// Who is where.
pub(super) struct Book {
    me: Id,
    peers: BTreeMap<Id, SocketAddr>,
    /// Ids whose address is learned from what they send.
    dynamic: Range<usize>,
    learned: BTreeMap<Id, SocketAddr>,
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
            learned: BTreeMap::new(),
            v6,
        }
    }

    fn address(&self, id: Id) -> Option<SocketAddr> {
        self.peers.get(&id).or(self.learned.get(&id)).copied()
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
            self.learned.insert(id, as_seen(from, self.v6));
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

/// Sends and receives messages.
pub(super) struct Link {
    socket: UdpSocket,
    codec: Codec,
    book: Book,
    injector: Injector,
    incoming: Box<[u8; RECEIVE_BUFFER]>,
    outgoing: Box<[u8; MAX_DATAGRAM]>,
    /// How long the socket is set to wait, in milliseconds; 0 means not at all.
    waits_ms: Option<u64>,
}

impl Link {
    pub(super) fn new(socket: UdpSocket, codec: Codec, book: Book, injector: Injector) -> Self {
        Link {
            socket,
            codec,
            book,
            injector,
            incoming: Box::new([0; RECEIVE_BUFFER]),
            outgoing: Box::new([0; MAX_DATAGRAM]),
            waits_ms: None,
        }
    }

    /// Sends a message, as far as UDP and the configured faults let it. What goes wrong is counted
    /// and otherwise the same as a loss.
    pub(super) fn send<M: Serialize>(&mut self, to: Id, message: &M, counters: &mut Counters) {
        let Some(address) = self.book.address(to) else {
            counters.unaddressed += 1;
            return;
        };
        let datagram = match self.codec.encode(to, message, &mut self.outgoing) {
            Ok(datagram) => datagram,
            Err(postcard::Error::SerializeBufferFull) => {
                counters.oversized += 1;
                return;
            }
            Err(_) => {
                counters.unencodable += 1;
                return;
            }
        };
        let now = Instant::now();
        for _ in 0..self.injector.admit(now, address, datagram, counters) {
            transmit(&self.socket, datagram, address, counters);
        }
    }

    /// Sends what was held back until now.
    pub(super) fn release(&mut self, now: Instant, counters: &mut Counters) {
        while let Some((address, datagram)) = self.injector.pop_due(now) {
            transmit(&self.socket, &datagram, address, counters);
        }
    }

    /// When the next datagram that is held back is to be sent.
    pub(super) fn next_release(&self) -> Option<Instant> {
        self.injector.next()
    }

    /// Waits for one datagram and returns its message. `None` means that none came, or one that
    /// was dropped. The wait may last some milliseconds longer: the kernel rounds it up.
    pub(super) fn receive<M: DeserializeOwned>(
        &mut self,
        wait: Duration,
        counters: &mut Counters,
    ) -> Option<(Id, M)> {
        let received = self
            .set_wait(wait)
            .and_then(|()| self.socket.recv_from(&mut self.incoming[..]));
        match received {
            Ok((length, from)) => match self.read(length, from) {
                Ok(message) => {
                    counters.received += 1;
                    Some(message)
                }
                Err(refusal) => {
                    counters.dropped.count(refusal);
                    None
                }
            },
            Err(error) => {
                use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
                // A refused connection is the echo of a send to a peer that is down.
                let quiet = [WouldBlock, TimedOut, Interrupted, ConnectionRefused];
                if !quiet.contains(&error.kind()) {
                    counters.receive_errors += 1;
                    thread::sleep(REST);
                }
                None
            }
        }
    }

    fn read<M: DeserializeOwned>(
        &mut self,
        length: usize,
        from: SocketAddr,
    ) -> Result<(Id, M), Refusal> {
        let (source, payload) = self.codec.open(&self.incoming[..length])?;
        self.book.check(source, from)?;
        let message = decode(payload)?;
        self.book.learn(source, from);
        Ok((source, message))
    }

    /// Sets the socket's wait, in whole milliseconds so that it seldom has to be changed.
    fn set_wait(&mut self, wait: Duration) -> io::Result<()> {
        let wait_ms = wait.as_micros().div_ceil(1000) as u64;
        if self.waits_ms == Some(wait_ms) {
            return Ok(());
        }
        // Unknown until both calls have succeeded.
        let before = self.waits_ms.take();
        if wait_ms == 0 {
            self.socket.set_nonblocking(true)?;
        } else {
            if matches!(before, None | Some(0)) {
                self.socket.set_nonblocking(false)?;
            }
            let timeout = Duration::from_millis(wait_ms);
            self.socket.set_read_timeout(Some(timeout))?;
        }
        self.waits_ms = Some(wait_ms);
        Ok(())
    }
}

fn transmit(socket: &UdpSocket, datagram: &[u8], to: SocketAddr, counters: &mut Counters) {
    match socket.send_to(datagram, to) {
        Ok(_) => counters.sent += 1,
        Err(_) => counters.send_errors += 1,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;

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
            Codec::new(7, me),
            Book::new(me, peers, 10..20, v6),
            Injector::new(faults.parse().unwrap(), SmallRng::seed_from_u64(1)),
        )
    }

    /// Two links that know each other.
    fn pair(faults: &str) -> (Link, Link) {
        let (one, at_one) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        let peers = [(1, at_one), (2, at_two)];
        (link(1, one, &peers, faults), link(2, two, &peers, ""))
    }

    fn receive(link: &mut Link, counters: &mut Counters) -> Option<(Id, u32)> {
        link.receive(WAIT, counters)
    }

    /// Everything that arrives until nothing more does.
    fn drain(link: &mut Link) -> Vec<u32> {
        let mut counters = Counters::default();
        std::iter::from_fn(|| link.receive(BRIEFLY, &mut counters))
            .map(|(_, message)| message)
            .collect()
    }

    #[test]
    fn a_message_arrives_with_its_source() {
        let (mut one, mut two) = pair("");
        let mut counters = Counters::default();
        one.send(Id::from(2), &5_u32, &mut counters);
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
                let mut buffer = [0; MAX_DATAGRAM];
                let datagram = Codec::new(7, Id::from(1)).encode(Id::from(1), &5_u32, &mut buffer);
                forger.socket.send_to(datagram.unwrap(), at_one).unwrap();
            } else {
                forger.send(Id::from(1), &5_u32, &mut counters);
            }
            assert_eq!(receive(&mut one, &mut counters), None);
        }
        assert_eq!((counters.dropped.forged, counters.dropped.stranger), (2, 1));
        link(2, two, &[(1, at_one)], "").send(Id::from(1), &5_u32, &mut counters);
        assert_eq!(receive(&mut one, &mut counters), Some((Id::from(2), 5)));
        assert_eq!(counters.dropped.total(), 2 + 1);
    }

    #[test]
    fn the_address_of_a_dynamic_id_is_learned_and_follows_it() {
        let (one, at_one) = socket("127.0.0.1:0");
        let mut one = link(1, one, &[], "");
        let mut counters = Counters::default();
        let client = Id::from(10);
        one.send(client, &0_u32, &mut counters);
        assert_eq!(counters.unaddressed, 1, "not learned yet");
        for _ in 0..2 {
            let (socket, _) = socket("127.0.0.1:0");
            let mut ten = link(10, socket, &[(1, at_one)], "");
            ten.send(Id::from(1), &5_u32, &mut counters);
            assert_eq!(receive(&mut one, &mut counters), Some((client, 5)));
            one.send(client, &6_u32, &mut counters);
            assert_eq!(receive(&mut ten, &mut counters), Some((Id::from(1), 6)));
        }
        assert_eq!(counters.dropped.total(), 0);
    }

    #[test]
    fn a_datagram_that_is_dropped_teaches_no_address() {
        let (one, at_one) = socket("127.0.0.1:0");
        let mut one = link(1, one, &[], "");
        let (socket, _) = socket("127.0.0.1:0");
        let mut ten = link(10, socket, &[(1, at_one)], "");
        let mut counters = Counters::default();
        ten.send(Id::from(1), &"not a number", &mut counters);
        assert_eq!(receive(&mut one, &mut counters), None);
        assert_eq!(counters.dropped.total(), 1);
        one.send(Id::from(10), &0_u32, &mut counters);
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
        four.send(Id::from(1), &5_u32, &mut counters);
        assert_eq!(receive(&mut six, &mut counters), Some((Id::from(2), 5)));
        six.send(Id::from(2), &6_u32, &mut counters);
        assert_eq!(receive(&mut four, &mut counters), Some((Id::from(1), 6)));
    }

    #[test]
    fn what_cannot_be_sent_is_counted() {
        let (one, _) = socket("127.0.0.1:0");
        // No route leads from an IPv4 socket to an IPv6 address.
        let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 9));
        let mut one = link(1, one, &[(2, six)], "");
        let mut counters = Counters::default();
        one.send(Id::from(2), &5_u32, &mut counters);
        one.send(Id::from(3), &5_u32, &mut counters);
        one.send(Id::from(2), &vec![0_u8; MAX_DATAGRAM], &mut counters);
        let expected = Counters {
            send_errors: 1,
            unaddressed: 1,
            oversized: 1,
            ..Counters::default()
        };
        assert_eq!(counters, expected);
    }

    #[test]
    fn a_dead_peer_is_no_receive_error() {
        let (one, _) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        drop(two);
        let mut one = link(1, one, &[(2, at_two)], "");
        let mut counters = Counters::default();
        for _ in 0..3 {
            one.send(Id::from(2), &5_u32, &mut counters);
            let received: Option<(Id, u32)> = one.receive(BRIEFLY, &mut counters);
            assert_eq!(received, None);
        }
        assert_eq!(counters.sent + counters.send_errors, 3);
        assert_eq!(counters.receive_errors, 0);
    }

    #[test]
    fn faults_apply_to_what_leaves_the_socket() {
        let (mut one, mut two) = pair("loss=1");
        let mut counters = Counters::default();
        one.send(Id::from(2), &5_u32, &mut counters);
        assert_eq!((counters.lost, counters.sent), (1, 0));
        assert!(drain(&mut two).is_empty());

        let (mut one, mut two) = pair("dup=1");
        one.send(Id::from(2), &5_u32, &mut counters);
        assert_eq!(drain(&mut two), [5, 5]);

        let (mut one, mut two) = pair("reorder=1");
        (0..20).for_each(|message: u32| one.send(Id::from(2), &message, &mut counters));
        assert!(drain(&mut two).is_empty(), "held back until released");
        one.release(Instant::now() + WAIT, &mut counters);
        let mut arrived = drain(&mut two);
        assert!(!arrived.is_sorted());
        arrived.sort_unstable();
        assert!(arrived.into_iter().eq(0..20));
        assert_eq!(one.injector.next(), None);
    }

    #[test]
    fn no_wait_means_no_wait_and_a_wait_ends() {
        let (mut one, _two) = pair("");
        let mut counters = Counters::default();
        let mut waits = |wait, times| {
            let start = Instant::now();
            for _ in 0..times {
                let received: Option<(Id, u32)> = one.receive(wait, &mut counters);
                assert_eq!(received, None);
            }
            start.elapsed()
        };
        for _ in 0..2 {
            assert!(waits(BRIEFLY, 1) >= BRIEFLY);
            assert!(waits(Duration::ZERO, 100) < 100 * BRIEFLY);
        }
        assert_eq!(counters, Counters::default());
    }
}
