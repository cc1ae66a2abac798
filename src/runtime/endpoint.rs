//! The network of a node: joins the socket with the address book, the codec and the faults.

use super::address_book::AddressBook;
use super::codec::{Codec, Frame, decode};
use super::counters::{Counters, Refusal};
use super::faults::Injector;
use super::socket::Socket;
use serde::de::DeserializeOwned;
use stateright::actor::Id;
use std::iter::repeat_n;
use std::net::SocketAddr;
use std::time::Duration;

/// The greatest number of datagrams in a batch. The messages that follow from a batch wait until
/// all of it is handled and durable, so a batch must end.
pub(super) const BATCH_MAX: usize = 64;

/// The sender and the receiver of a node's datagrams.
pub(super) struct Endpoint {
    pub(super) socket: Socket,
    codec: Codec,
    addresses: AddressBook,
    injector: Injector,
    /// The datagrams of a batch that are to be sent, by index, and their addresses.
    due: Vec<(usize, SocketAddr)>,
    counters: Counters,
}

impl Endpoint {
    pub(super) fn new(
        socket: Socket,
        codec: Codec,
        addresses: AddressBook,
        injector: Injector,
    ) -> Self {
        Endpoint {
            socket,
            codec,
            addresses,
            injector,
            due: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Returns the counts of the link and of its parts.
    pub(super) fn counters(&self) -> Counters {
        let parts = [&self.socket.counters, &self.injector.dice.counters];
        Counters::sum(parts.into_iter().chain([&self.counters]))
    }

    /// Seals datagrams and sends them, as far as UDP and the configured faults allow. A failure is
    /// counted, and otherwise treated as a loss.
    pub(super) fn send(&mut self, now: Duration, frames: &mut [Frame]) {
        self.due.clear();
        for (index, frame) in frames.iter_mut().enumerate() {
            let Some(address) = self.addresses.address(frame.to) else {
                self.counters.unaddressed += 1;
                continue;
            };
            self.codec.seal(frame);
            let copies = self.injector.admit(now, address, &frame.datagram);
            self.due.extend(repeat_n((index, address), copies));
        }
        let due = self.due.iter();
        let due = due.map(|(index, to)| (*to, frames[*index].datagram.as_slice()));
        self.socket.send_all(due);
    }

    /// Sends the delayed datagrams that are due.
    pub(super) fn send_delayed(&mut self, now: Duration) {
        while let Some((address, datagram)) = self.injector.held.pop_due(now) {
            self.socket.send(address, &datagram);
        }
    }

    /// Returns the time at which the next delayed datagram is due.
    pub(super) fn next_delayed(&self) -> Option<Duration> {
        self.injector.held.next()
    }

    /// Takes the messages of the datagrams that have arrived, but of at most [`BATCH_MAX`]. Does
    /// not wait.
    pub(super) fn drain<M: DeserializeOwned>(&mut self, messages: &mut Vec<(Id, M)>) {
        for _ in 0..BATCH_MAX {
            let Some((datagram, from)) = self.socket.receive() else {
                return;
            };
            let read = read(&self.codec, &mut self.addresses, datagram, from, messages);
            self.counters.count_received(read);
        }
    }

    /// Waits for a datagram, but not much longer than `wait`: see [`Socket::receive_within`]. Takes
    /// the messages of the datagram if the wait received it.
    pub(super) fn wait<M: DeserializeOwned>(
        &mut self,
        wait: Duration,
        messages: &mut Vec<(Id, M)>,
    ) {
        if let Some((datagram, from)) = self.socket.receive_within(wait) {
            let read = read(&self.codec, &mut self.addresses, datagram, from, messages);
            self.counters.count_received(read);
        }
    }
}

fn read<M: DeserializeOwned>(
    codec: &Codec,
    book: &mut AddressBook,
    datagram: &[u8],
    from: SocketAddr,
    messages: &mut Vec<(Id, M)>,
) -> Result<(), Refusal> {
    let (source, payload) = codec.open(datagram)?;
    book.check(source, from)?;
    decode(source, payload, messages)?;
    book.learn(source, from);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::SmallRng;
    use serde::Serialize;
    use std::net::UdpSocket;
    use std::time::Instant;

    const WAIT: Duration = Duration::from_secs(5);
    const BRIEFLY: Duration = Duration::from_millis(10);

    fn socket(address: &str) -> (UdpSocket, SocketAddr) {
        let socket = UdpSocket::bind(address).unwrap();
        let address = socket.local_addr().unwrap();
        (socket, address)
    }

    fn endpoint(
        me: usize,
        socket: UdpSocket,
        peers: &[(usize, SocketAddr)],
        faults: &str,
    ) -> Endpoint {
        let peers = peers.iter().map(|(id, at)| (Id::from(*id), *at)).collect();
        let v6 = socket.local_addr().unwrap().is_ipv6();
        let me = Id::from(me);
        Endpoint::new(
            Socket::new(socket, 1 << 20).unwrap(),
            Codec::new(7, me, None),
            AddressBook::new(me, peers, 10..20, v6),
            Injector::new(faults.parse().unwrap(), SmallRng::seed_from_u64(1)),
        )
    }

    /// Sends a message alone in its datagram, at time zero.
    fn send<M: Serialize>(endpoint: &mut Endpoint, to: usize, message: M) {
        endpoint.send(Duration::ZERO, &mut [Frame::of(to, &[message])]);
    }

    /// Creates two links that know each other.
    fn pair(faults: &str) -> (Endpoint, Endpoint) {
        let (one, at_one) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        let peers = [(1, at_one), (2, at_two)];
        (
            endpoint(1, one, &peers, faults),
            endpoint(2, two, &peers, ""),
        )
    }

    fn receive(endpoint: &mut Endpoint) -> Option<(usize, u32)> {
        let messages = receive_within(endpoint, WAIT);
        assert!(messages.len() <= 1, "{messages:?}");
        messages.into_iter().next()
    }

    /// Returns the first messages that arrive, or none if they are dropped or too late.
    fn receive_within(endpoint: &mut Endpoint, wait: Duration) -> Vec<(usize, u32)> {
        let (start, dropped) = (Instant::now(), endpoint.counters().dropped);
        let mut messages = Vec::new();
        while messages.is_empty() && endpoint.counters().dropped == dropped {
            let left = wait.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            endpoint.wait(left, &mut messages);
            if messages.is_empty() && endpoint.counters().dropped == dropped {
                endpoint.drain(&mut messages);
            }
        }
        let messages = messages.into_iter();
        messages.map(|(from, it)| (from.into(), it)).collect()
    }

    /// Receives all messages until no more arrive.
    fn drain(endpoint: &mut Endpoint) -> Vec<u32> {
        let batches = std::iter::from_fn(|| {
            let batch = receive_within(endpoint, BRIEFLY);
            (!batch.is_empty()).then_some(batch)
        });
        batches.flatten().map(|(_, message)| message).collect()
    }

    #[test]
    fn a_message_arrives_with_its_source() {
        let (mut one, mut two) = pair("");
        send(&mut one, 2, 5_u32);
        assert_eq!(one.counters().sent, 1);
        assert_eq!(receive(&mut two), Some((1, 5)));
        assert_eq!(two.counters().received, 1);
    }

    #[test]
    fn a_peer_is_known_by_its_address() {
        let (one, at_one) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        let (three, _) = socket("127.0.0.1:0");
        let mut one = endpoint(1, one, &[(2, at_two)], "");
        for claimed in [1, 2, 3] {
            // Sends from an address that is not node 2's, under the id that is claimed.
            let forged = Codec::new(7, Id::from(claimed), None).datagram(1, &[5_u32]);
            three.send_to(&forged, at_one).unwrap();
            assert_eq!(receive(&mut one), None);
        }
        let dropped = one.counters().dropped;
        assert_eq!((dropped.forged, dropped.stranger), (2, 1));
        let mut two = endpoint(2, two, &[(1, at_one)], "");
        send(&mut two, 1, 5_u32);
        assert_eq!(receive(&mut one), Some((2, 5)));
        assert_eq!(one.counters().dropped.total(), 2 + 1);
    }

    #[test]
    fn the_address_of_a_dynamic_id_is_learned_and_follows_it() {
        let (one, at_one) = socket("127.0.0.1:0");
        let mut one = endpoint(1, one, &[], "");
        send(&mut one, 10, 0_u32);
        assert_eq!(one.counters().unaddressed, 1, "not learned yet");
        for _ in 0..2 {
            let (socket, _) = socket("127.0.0.1:0");
            let mut ten = endpoint(10, socket, &[(1, at_one)], "");
            send(&mut ten, 1, 5_u32);
            assert_eq!(receive(&mut one), Some((10, 5)));
            send(&mut one, 10, 6_u32);
            assert_eq!(receive(&mut ten), Some((1, 6)));
        }
        assert_eq!(one.counters().dropped.total(), 0);
    }

    #[test]
    fn a_datagram_that_is_dropped_teaches_no_address() {
        let (one, at_one) = socket("127.0.0.1:0");
        let mut one = endpoint(1, one, &[], "");
        let (socket, _) = socket("127.0.0.1:0");
        let mut ten = endpoint(10, socket, &[(1, at_one)], "");
        send(&mut ten, 1, "not a number");
        assert_eq!(receive(&mut one), None);
        assert_eq!(one.counters().dropped.total(), 1);
        send(&mut one, 10, 0_u32);
        assert_eq!(one.counters().unaddressed, 1);
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
        let (mut six, mut four) = (endpoint(1, six, &peers, ""), endpoint(2, four, &peers, ""));
        send(&mut four, 1, 5_u32);
        assert_eq!(receive(&mut six), Some((2, 5)));
        send(&mut six, 2, 6_u32);
        assert_eq!(receive(&mut four), Some((1, 6)));
    }

    #[test]
    fn what_cannot_be_sent_is_counted_and_keeps_nothing_back() {
        let (one, at_one) = socket("127.0.0.1:0");
        let (two, at_two) = socket("127.0.0.1:0");
        // No route leads from an IPv4 socket to an IPv6 address.
        let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, 9));
        let mut one = endpoint(1, one, &[(2, at_two), (3, six)], "");
        let mut two = endpoint(2, two, &[(1, at_one)], "");
        // Node 4 has no address. Few datagrams are sent one by one, many with one system call.
        for to in [&[3, 4, 2][..], &[3, 2, 2, 3, 4, 2, 2, 2, 3]] {
            let before = one.counters();
            let numbers = (0..).zip(to);
            let frames = numbers
                .clone()
                .map(|(number, to)| Frame::of(*to, &[number]));
            one.send(Duration::ZERO, &mut frames.collect::<Vec<_>>());
            let reachable = numbers
                .filter(|(_, to)| **to == 2)
                .map(|(number, _)| number);
            let reachable: Vec<u32> = reachable.collect();
            assert_eq!(drain(&mut two), reachable);
            let refused = to.iter().filter(|to| **to == 3).count() as u64;
            let mut expected = Counters {
                sent: reachable.len() as u64,
                send_errors: refused,
                unaddressed: 1,
                ..Counters::default()
            };
            expected.add(&before);
            assert_eq!(one.counters(), expected);
        }
    }

    #[test]
    fn faults_apply_to_what_leaves_the_socket() {
        let (mut one, mut two) = pair("loss=1");
        send(&mut one, 2, 5_u32);
        assert_eq!((one.counters().lost, one.counters().sent), (1, 0));
        assert!(drain(&mut two).is_empty());

        let (mut one, mut two) = pair("dup=1");
        send(&mut one, 2, 5_u32);
        assert_eq!(drain(&mut two), [5, 5]);

        let (mut one, mut two) = pair("reorder=1");
        (0..20).for_each(|message: u32| send(&mut one, 2, message));
        assert!(drain(&mut two).is_empty(), "delayed until released");
        one.send_delayed(WAIT);
        let mut arrived = drain(&mut two);
        assert!(!arrived.is_sorted());
        arrived.sort_unstable();
        assert!(arrived.into_iter().eq(0..20));
        assert_eq!(one.next_delayed(), None);
    }

    #[test]
    fn a_batch_is_bounded_and_what_is_left_is_the_next() {
        let (mut one, mut two) = pair("");
        let all = BATCH_MAX as u32 + 10;
        (0..all).for_each(|message| send(&mut one, 2, message));
        let mut messages: Vec<(Id, u32)> = Vec::new();
        two.drain(&mut messages);
        assert_eq!(messages.len(), BATCH_MAX);
        two.drain(&mut messages);
        two.drain(&mut messages);
        assert!(messages.into_iter().map(|(_, message)| message).eq(0..all));
    }
}
