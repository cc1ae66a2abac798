//! What is to be sent: messages, packed into as few datagrams as they fit into.

use super::codec::{self, HEADER};
use super::counters::Counters;
use hashbrown::HashMap;
use serde::Serialize;
use stateright::actor::Id;

/// How many buffers are kept for later datagrams.
const SPARE_MAX: usize = 256;

/// How long datagrams may become, in bytes without their tags.
#[derive(Clone, Copy)]
pub(super) struct Lengths {
    /// Those that several messages share.
    pub(super) limit: usize,
    /// Those of one message.
    pub(super) most: usize,
    /// How many messages share one at most.
    pub(super) messages: usize,
}

/// Datagrams that are being filled, at most one for each destination, and those that are full.
///
/// The kernel takes about as long for a long datagram as for a short one, so packing is what makes
/// a node fast.
pub(super) struct Outbox {
    lengths: Lengths,
    datagrams: Vec<(Id, Vec<u8>)>,
    /// Which datagram is being filled for whom, and how many messages are in it.
    open: HashMap<Id, (usize, usize)>,
    spare: Vec<Vec<u8>>,
    counters: Counters,
}

impl Outbox {
    pub(super) fn new(lengths: Lengths) -> Self {
        Outbox {
            lengths,
            datagrams: Vec::new(),
            open: HashMap::new(),
            spare: Vec::new(),
            counters: Counters::default(),
        }
    }

    pub(super) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Adds a message. One that is too long to share a datagram gets one of its own; one that is
    /// too long for any is counted and dropped.
    pub(super) fn push<M: Serialize>(&mut self, to: Id, message: &M) {
        let Lengths {
            limit,
            most,
            messages,
        } = self.lengths;
        if let Some((at, count)) = self.open.get_mut(&to).filter(|it| it.1 < messages) {
            let datagram = &mut self.datagrams[*at].1;
            if codec::append(datagram, message, limit).is_ok() {
                *count += 1;
                self.counters.messages_sent += 1;
                return;
            }
        }
        let mut datagram = self.spare.pop().unwrap_or_default();
        datagram.clear();
        datagram.resize(HEADER, 0);
        match codec::append(&mut datagram, message, most) {
            Ok(()) => {
                self.counters.messages_sent += 1;
                // One that is beyond the limit already takes nothing more.
                self.open.insert(to, (self.datagrams.len(), 1));
                self.datagrams.push((to, datagram));
            }
            Err(error) => {
                self.spare.push(datagram);
                match error {
                    postcard::Error::SerializeBufferFull => self.counters.oversized += 1,
                    _ => self.counters.unencodable += 1,
                }
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// Takes all datagrams, in the order in which they were begun. They have no header yet.
    pub(super) fn take(&mut self, into: &mut Vec<(Id, Vec<u8>)>) {
        self.open.clear();
        into.append(&mut self.datagrams);
    }

    /// Gives a buffer back, to be used again.
    pub(super) fn recycle(&mut self, datagram: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(datagram);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::{LENGTH, decode};
    use super::*;

    fn outbox(limit: usize, most: usize) -> Outbox {
        Outbox::new(Lengths {
            limit,
            most,
            messages: usize::MAX,
        })
    }

    fn taken(outbox: &mut Outbox) -> Vec<(usize, Vec<String>)> {
        let mut datagrams = Vec::new();
        outbox.take(&mut datagrams);
        let datagrams = datagrams.into_iter().map(|(to, datagram)| {
            let mut messages = Vec::new();
            decode(to, &datagram[HEADER..], &mut messages).unwrap();
            assert!(datagram.len() <= outbox.lengths.limit || messages.len() == 1);
            assert!(datagram.len() <= outbox.lengths.most);
            let messages = messages.into_iter().map(|(_, message)| message);
            (to.into(), messages.collect())
        });
        datagrams.collect()
    }

    #[test]
    fn messages_to_one_destination_share_datagrams_and_keep_their_order() {
        // Three messages of two letters fit into one datagram.
        let limit = HEADER + 3 * (LENGTH + 1 + 2);
        let mut outbox = outbox(limit, limit);
        for (to, text) in [
            (1, "aa"),
            (2, "bb"),
            (1, "cc"),
            (1, "dd"),
            (1, "ee"),
            (1, "ff"),
        ] {
            outbox.push(Id::from(to), &text);
        }
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let expected: [(usize, Vec<String>); 3] = [
            (1, texts(&["aa", "cc", "dd"])),
            (2, texts(&["bb"])),
            (1, texts(&["ee", "ff"])),
        ];
        assert_eq!(taken(&mut outbox), expected);
        assert!(outbox.is_empty());
        outbox.push(Id::from(1), &"gg");
        assert_eq!(
            taken(&mut outbox),
            [(1, texts(&["gg"]))],
            "nothing is sent twice"
        );
        assert_eq!(outbox.counters.messages_sent, 7);
    }

    #[test]
    fn a_message_that_fits_into_no_datagram_is_counted_and_leaves_the_others_alone() {
        let limit = HEADER + LENGTH + 1 + 10;
        let mut outbox = outbox(limit, limit);
        for length in [10, 11, 3] {
            outbox.push(Id::from(1), &"x".repeat(length));
        }
        let lengths: Vec<usize> = taken(&mut outbox)
            .into_iter()
            .flat_map(|(_, texts)| texts.into_iter().map(|text| text.len()))
            .collect();
        assert_eq!(lengths, [10, 3]);
        let counters = outbox.counters;
        assert_eq!((counters.messages_sent, counters.oversized), (2, 1));
    }

    #[test]
    fn a_message_that_is_too_long_to_share_a_datagram_gets_one_of_its_own() {
        let room = |letters| HEADER + LENGTH + 1 + letters;
        let (limit, most) = (room(10), room(20));
        let mut outbox = outbox(limit, most);
        for length in [2, 20, 2, 2, 11, 2, 21] {
            outbox.push(Id::from(1), &"x".repeat(length));
        }
        let lengths = taken(&mut outbox).into_iter();
        let lengths = lengths.map(|(_, texts)| texts.iter().map(String::len).collect());
        let lengths: Vec<Vec<usize>> = lengths.collect();
        assert_eq!(lengths, [vec![2], vec![20], vec![2, 2], vec![11], vec![2]]);
        let counters = outbox.counters;
        assert_eq!((counters.messages_sent, counters.oversized), (6, 1));
    }

    #[test]
    fn no_more_messages_share_a_datagram_than_may() {
        let mut outbox = Outbox::new(Lengths {
            limit: 1000,
            most: 1000,
            messages: 2,
        });
        for to in [1, 1, 2, 1, 1, 1] {
            outbox.push(Id::from(to), &"aa");
        }
        let counts = taken(&mut outbox).into_iter();
        let counts: Vec<_> = counts.map(|(to, texts)| (to, texts.len())).collect();
        assert_eq!(counts, [(1, 2), (2, 1), (1, 2), (1, 1)]);
    }
}
