//! The addresses of the other nodes, and the check that a datagram comes from its sender's.

use super::counters::Refusal;
use hashbrown::HashMap;
use stateright::actor::Id;
use std::collections::BTreeMap;
use std::net::{SocketAddr, SocketAddrV6};
use std::ops::Range;

/// The greatest number of learned addresses.
const LEARNED_MAX: usize = 1 << 16;

/// The address of each id: given for peers, learned for dynamic ids.
pub(super) struct AddressBook {
    me: Id,
    peers: BTreeMap<Id, SocketAddr>,
    /// Ids whose address is learned from the datagrams that they send.
    dynamic: Range<usize>,
    learned: Learned,
    is_ipv6: bool,
}

impl AddressBook {
    pub(super) fn new(
        me: Id,
        peers: BTreeMap<Id, SocketAddr>,
        dynamic: Range<usize>,
        is_ipv6: bool,
    ) -> Self {
        let peers = peers.into_iter();
        AddressBook {
            me,
            peers: peers.map(|(id, at)| (id, as_seen(at, is_ipv6))).collect(),
            dynamic,
            learned: Learned::default(),
            is_ipv6,
        }
    }

    pub(super) fn address(&self, id: Id) -> Option<SocketAddr> {
        let known = self.peers.get(&id).copied();
        known.or_else(|| self.learned.get(id))
    }

    /// Refuses a datagram whose sender may not send from the address.
    pub(super) fn check(&self, id: Id, from: SocketAddr) -> Result<(), Refusal> {
        if id == self.me {
            // Messages of a node to itself never touch the socket.
            return Err(Refusal::Forged);
        }
        match self.peers.get(&id) {
            // IPv6 addresses also have a flow label, which may differ.
            Some(at) if (at.ip(), at.port()) == (from.ip(), from.port()) => Ok(()),
            Some(_) => Err(Refusal::Forged),
            None if self.dynamic.contains(&usize::from(id)) => Ok(()),
            None => Err(Refusal::Stranger),
        }
    }

    /// Remembers the address of a dynamic id that passed the check.
    pub(super) fn learn(&mut self, id: Id, from: SocketAddr) {
        if !self.peers.contains_key(&id) {
            let address = as_seen(from, self.is_ipv6);
            self.learned.learn(id, address, LEARNED_MAX);
        }
    }
}

/// Returns the address as a socket sees it: an IPv6 socket sees IPv4 addresses mapped into IPv6.
fn as_seen(address: SocketAddr, is_ipv6: bool) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if is_ipv6 => {
            SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).into()
        }
        _ => address,
    }
}

/// The addresses of the dynamic ids that sent most recently.
///
/// There are two generations. When the younger holds half of the capacity, it replaces the elder.
/// So an id is remembered until at least that many others have sent.
#[derive(Default)]
struct Learned {
    younger: HashMap<Id, SocketAddr>,
    elder: HashMap<Id, SocketAddr>,
}

impl Learned {
    fn get(&self, id: Id) -> Option<SocketAddr> {
        let found = self.younger.get(&id).or_else(|| self.elder.get(&id));
        found.copied()
    }

    fn learn(&mut self, id: Id, at: SocketAddr, most: usize) {
        if self.younger.len() >= most / 2 && !self.younger.contains_key(&id) {
            self.elder = std::mem::take(&mut self.younger);
        }
        self.younger.insert(id, at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: usize) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], port as u16))
    }

    #[test]
    fn a_peer_sends_from_its_address_and_a_dynamic_id_from_anywhere() {
        let id = Id::from;
        let mut book = AddressBook::new(id(1), [(id(2), at(2))].into(), 10..20, false);
        assert_eq!(book.check(id(1), at(1)), Err(Refusal::Forged));
        assert_eq!(book.check(id(2), at(2)), Ok(()));
        assert_eq!(book.check(id(2), at(3)), Err(Refusal::Forged));
        assert_eq!(book.check(id(3), at(3)), Err(Refusal::Stranger));
        assert_eq!(book.check(id(10), at(3)), Ok(()));
        book.learn(id(2), at(3));
        book.learn(id(10), at(3));
        let known = [2, 3, 10].map(|node| book.address(id(node)));
        assert_eq!(known, [Some(at(2)), None, Some(at(3))]);
    }

    #[test]
    fn who_has_not_sent_for_longest_is_forgotten_to_make_room() {
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
}
