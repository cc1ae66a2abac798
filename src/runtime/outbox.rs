//! Messages that are to be sent, packed into as few datagrams as possible.

use super::codec::{Frame, Lengths};
use super::counters::Counters;
use hashbrown::HashMap;
use serde::Serialize;
use stateright::actor::Id;

/// The greatest number of buffers that are kept for later datagrams.
const SPARE_MAX: usize = 256;

/// Datagrams that are being filled, at most one for each destination, and those that are full.
///
/// The kernel takes about as long for a long datagram as for a short one, so packing is what makes
/// a node fast.
pub(super) struct Outbox {
    lengths: Lengths,
    frames: Vec<Frame>,
    /// The index of the datagram that is being filled, by destination.
    open: HashMap<Id, usize>,
    spare: Vec<Vec<u8>>,
    pub(super) counters: Counters,
}

impl Outbox {
    pub(super) fn new(lengths: Lengths) -> Self {
        Outbox {
            lengths,
            frames: Vec::new(),
            open: HashMap::new(),
            spare: Vec::new(),
            counters: Counters::default(),
        }
    }

    /// Adds a message. A message that is too long for a shared datagram gets its own. One that is
    /// too long for any datagram is counted and dropped.
    pub(super) fn push<M: Serialize>(&mut self, to: Id, message: &M) {
        let open = self.open.get(&to).map(|at| &mut self.frames[*at]);
        if open.is_some_and(|open| open.push(message, &self.lengths).is_ok()) {
            self.counters.messages_sent += 1;
            return;
        }
        let mut frame = Frame::begin(to, self.spare.pop().unwrap_or_default());
        match frame.push(message, &self.lengths) {
            Ok(()) => {
                self.counters.messages_sent += 1;
                self.open.insert(to, self.frames.len());
                self.frames.push(frame);
            }
            Err(error) => {
                self.spare.push(frame.datagram);
                match error {
                    postcard::Error::SerializeBufferFull => self.counters.oversized += 1,
                    _ => self.counters.unencodable += 1,
                }
            }
        }
    }

    /// Takes all datagrams, in the order in which they were begun. They are not sealed.
    pub(super) fn take(&mut self, into: &mut Vec<Frame>) {
        self.open.clear();
        into.append(&mut self.frames);
    }

    /// Keeps the buffer of a datagram for a later one.
    pub(super) fn recycle(&mut self, datagram: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(datagram);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::{HEADER, LENGTH};
    use super::*;

    fn outbox(limit: usize, most: usize, messages: usize) -> Outbox {
        Outbox::new(Lengths {
            limit,
            most,
            messages,
        })
    }

    fn taken(outbox: &mut Outbox) -> Vec<(usize, Vec<String>)> {
        let mut frames = Vec::new();
        outbox.take(&mut frames);
        let contents = frames.into_iter().map(|frame| {
            let (to, messages) = frame.content();
            let length = frame.datagram.len();
            assert!(length <= outbox.lengths.limit || messages.len() == 1);
            assert!(length <= outbox.lengths.most);
            (to, messages)
        });
        contents.collect()
    }

    #[test]
    fn messages_to_one_destination_share_datagrams_and_keep_their_order() {
        // Three messages of two letters fit into one datagram.
        let limit = HEADER + 3 * (LENGTH + 1 + 2);
        let mut outbox = outbox(limit, limit, usize::MAX);
        let sent = ["aa", "bb", "cc", "dd", "ee", "ff"];
        for (to, text) in [1, 2, 1, 1, 1, 1].into_iter().zip(sent) {
            outbox.push(Id::from(to), &text);
        }
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let expected: [(usize, Vec<String>); 3] = [
            (1, texts(&["aa", "cc", "dd"])),
            (2, texts(&["bb"])),
            (1, texts(&["ee", "ff"])),
        ];
        assert_eq!(taken(&mut outbox), expected);
        outbox.push(Id::from(1), &"gg");
        let rest = taken(&mut outbox);
        assert_eq!(rest, [(1, texts(&["gg"]))], "nothing is sent twice");
        assert_eq!(outbox.counters.messages_sent, 7);
    }

    #[test]
    fn a_message_that_fits_into_no_datagram_is_counted_and_leaves_the_others_alone() {
        let limit = HEADER + LENGTH + 1 + 10;
        let mut outbox = outbox(limit, limit, usize::MAX);
        for length in [10, 11, 3] {
            outbox.push(Id::from(1), &"x".repeat(length));
        }
        let texts = taken(&mut outbox).into_iter().flat_map(|(_, texts)| texts);
        let lengths: Vec<usize> = texts.map(|text| text.len()).collect();
        assert_eq!(lengths, [10, 3]);
        let counters = outbox.counters;
        assert_eq!((counters.messages_sent, counters.oversized), (2, 1));
    }

    #[test]
    fn a_message_that_is_too_long_to_share_a_datagram_gets_one_of_its_own() {
        let room = |letters| HEADER + LENGTH + 1 + letters;
        let (limit, most) = (room(10), room(20));
        let mut outbox = outbox(limit, most, usize::MAX);
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
        let mut outbox = outbox(1000, 1000, 2);
        for to in [1, 1, 2, 1, 1, 1] {
            outbox.push(Id::from(to), &"aa");
        }
        let counts = taken(&mut outbox).into_iter();
        let counts: Vec<_> = counts.map(|(to, texts)| (to, texts.len())).collect();
        assert_eq!(counts, [(1, 2), (2, 1), (1, 2), (1, 1)]);
    }
}
