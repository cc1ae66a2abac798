//! A datagram: a header, messages, and a tag.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 4 | magic | `Synd` |
//! | 1 | version | 2 |
//! | 1 | tag | 0 for a checksum, 1 for an authentication code |
//! | 8 | cluster | datagrams of other clusters are dropped |
//! | 8 | source | id of the sender |
//! | 8 | destination | id of the receiver |
//! | 2 + n | message | its length and the message, postcard; at least one |
//! | 4 or 16 | tag | over all of the above |
//!
//! Integers are little-endian. Without a key the tag is a CRC-32, which detects accidents but no
//! attacks. With a key it is the first half of a keyed BLAKE3 hash, which only the owners of the
//! key can compute. It does not detect a replay within the cluster, because the protocols expect
//! that: the network of the models may repeat every message at any time.

use super::counters::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stateright::actor::Id;
use std::fmt;

/// The length in bytes of the longest datagram that UDP over IPv4 can carry, including the header.
pub const MAX_DATAGRAM: usize = 65_507;

const MAGIC: [u8; 4] = *b"Synd";
const VERSION: u8 = 2;
/// The length of the header in bytes.
pub(super) const HEADER: usize = 4 + 1 + 1 + 8 + 8 + 8;
/// The length of a message's length in bytes.
pub(super) const LENGTH: usize = 2;
const CHECKSUM: usize = 4;
const CODE: usize = 16;
/// The smallest length in bytes to which datagrams can be limited. A header and a short message
/// fit.
pub(super) const LIMIT_MIN: usize = 128;

/// The secret key of a cluster. `Debug` hides it.
#[derive(Clone, Eq, PartialEq)]
pub struct Key([u8; 32]);

impl Key {
    /// Creates a key from bytes, which should be random.
    #[must_use]
    pub fn new(bytes: [u8; 32]) -> Self {
        Key(bytes)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The encoder and decoder of a node's datagrams.
pub(super) struct Codec {
    cluster: u64,
    node: u64,
    key: Option<Key>,
}

impl Codec {
    pub(super) fn new(cluster: u64, node: Id, key: Option<Key>) -> Self {
        let node = number(node);
        Codec { cluster, node, key }
    }

    /// Returns the length of a tag in bytes.
    pub(super) fn tag_length(&self) -> usize {
        match self.key {
            Some(_) => CODE,
            None => CHECKSUM,
        }
    }

    /// Returns the lengths of datagrams if messages share at most `datagram_max` bytes.
    pub(super) fn lengths(&self, datagram_max: usize) -> Lengths {
        Lengths {
            limit: datagram_max - self.tag_length(),
            most: MAX_DATAGRAM - self.tag_length(),
            messages: usize::MAX,
        }
    }

    /// Completes a datagram: writes its header, and appends its tag.
    pub(super) fn seal(&self, frame: &mut Frame) {
        let Frame { to, datagram, .. } = frame;
        datagram[..4].copy_from_slice(&MAGIC);
        datagram[4] = VERSION;
        datagram[5] = u8::from(self.key.is_some());
        datagram[6..14].copy_from_slice(&self.cluster.to_le_bytes());
        datagram[14..22].copy_from_slice(&self.node.to_le_bytes());
        datagram[22..30].copy_from_slice(&number(*to).to_le_bytes());
        match &self.key {
            Some(key) => datagram.extend(code(key, datagram)),
            None => datagram.extend(crc32fast::hash(datagram).to_le_bytes()),
        }
    }

    /// Checks a datagram, except for its messages. Returns the id of the sender, and the encoded
    /// messages.
    pub(super) fn open<'d>(&self, datagram: &'d [u8]) -> Result<(Id, &'d [u8]), Refusal> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Refusal::Oversized);
        }
        let header = datagram.first_chunk::<HEADER>().ok_or(Refusal::Short)?;
        let number = |at: usize| {
            let bytes = header[at..].first_chunk().copied();
            u64::from_le_bytes(bytes.unwrap_or_default())
        };
        if header[..4] != MAGIC {
            return Err(Refusal::Magic);
        }
        if header[4] != VERSION {
            return Err(Refusal::Version);
        }
        if header[5] != u8::from(self.key.is_some()) {
            return Err(Refusal::Unauthenticated);
        }
        let end = datagram.len().saturating_sub(self.tag_length());
        if end < HEADER + LENGTH {
            return Err(Refusal::Short);
        }
        let (content, tag) = datagram.split_at(end);
        self.check_tag(content, tag)?;
        if number(6) != self.cluster {
            return Err(Refusal::Cluster);
        }
        if number(22) != self.node {
            return Err(Refusal::Destination);
        }
        let source = usize::try_from(number(14)).map_err(|_| Refusal::Stranger)?;
        Ok((Id::from(source), &content[HEADER..]))
    }

    fn check_tag(&self, content: &[u8], tag: &[u8]) -> Result<(), Refusal> {
        match &self.key {
            Some(key) => {
                // All bytes are compared, so that the time does not depend on the bytes.
                let pairs = code(key, content).into_iter().zip(tag);
                let differing = pairs.fold(0, |bits, (ours, theirs)| bits | (ours ^ theirs));
                (differing == 0)
                    .then_some(())
                    .ok_or(Refusal::Unauthenticated)
            }
            None if crc32fast::hash(content).to_le_bytes() == tag => Ok(()),
            None => Err(Refusal::Checksum),
        }
    }
}

fn code(key: &Key, content: &[u8]) -> [u8; CODE] {
    let hash = blake3::keyed_hash(&key.0, content);
    let half = hash.as_bytes().first_chunk().copied();
    half.unwrap_or_default()
}

/// Reads all messages of a datagram from `source`, or none of them.
pub(super) fn decode<M: DeserializeOwned>(
    source: Id,
    mut payload: &[u8],
    messages: &mut Vec<(Id, M)>,
) -> Result<(), Refusal> {
    let before = messages.len();
    while !payload.is_empty() {
        match next(payload) {
            Ok((message, rest)) => {
                messages.push((source, message));
                payload = rest;
            }
            Err(refusal) => {
                messages.truncate(before);
                return Err(refusal);
            }
        }
    }
    Ok(())
}

/// Reads a message, which must have the length that precedes it.
fn next<M: DeserializeOwned>(payload: &[u8]) -> Result<(M, &[u8]), Refusal> {
    let (length, rest) = payload.split_first_chunk().ok_or(Refusal::Message)?;
    let length = usize::from(u16::from_le_bytes(*length));
    let (message, rest) = rest.split_at_checked(length).ok_or(Refusal::Message)?;
    match postcard::take_from_bytes(message) {
        Ok((message, [])) => Ok((message, rest)),
        Ok(_) => Err(Refusal::Trailing),
        Err(_) => Err(Refusal::Message),
    }
}

/// The greatest lengths of datagrams in bytes, without their tags.
#[derive(Clone, Copy)]
pub(super) struct Lengths {
    /// The greatest length of a datagram that messages share.
    pub(super) limit: usize,
    /// The greatest length of a datagram with one message.
    pub(super) most: usize,
    /// The greatest number of messages in a datagram.
    pub(super) messages: usize,
}

/// A datagram that is being written: room for the header, and messages.
pub(super) struct Frame {
    pub(super) to: Id,
    messages: usize,
    /// The datagram, which is complete once it is [sealed](Codec::seal).
    pub(super) datagram: Vec<u8>,
}

impl Frame {
    /// Begins a datagram in a buffer, whose content is lost.
    pub(super) fn begin(to: Id, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(HEADER, 0);
        Frame {
            to,
            messages: 0,
            datagram: buffer,
        }
    }

    /// Appends a message. Leaves the datagram as it was if the message does not fit.
    pub(super) fn push<M: Serialize>(
        &mut self,
        message: &M,
        lengths: &Lengths,
    ) -> Result<(), postcard::Error> {
        let limit = match self.messages {
            0 => lengths.most,
            messages if messages < lengths.messages => lengths.limit,
            _ => return Err(postcard::Error::SerializeBufferFull),
        };
        let datagram = &mut self.datagram;
        let before = datagram.len();
        datagram.extend([0; LENGTH]);
        if let Err(error) = postcard::serialize_with_flavor(message, Tail { datagram, limit }) {
            self.datagram.truncate(before);
            return Err(error);
        }
        let length = (self.datagram.len() - before - LENGTH) as u16;
        self.datagram[before..before + LENGTH].copy_from_slice(&length.to_le_bytes());
        self.messages += 1;
        Ok(())
    }
}

/// A writer to the end of a datagram, with a limit of at most [`MAX_DATAGRAM`].
struct Tail<'a> {
    datagram: &'a mut Vec<u8>,
    limit: usize,
}

impl postcard::ser_flavors::Flavor for Tail<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        if self.datagram.len() >= self.limit {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.datagram.push(byte);
        Ok(())
    }

    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if self.datagram.len() + bytes.len() > self.limit {
            return Err(postcard::Error::SerializeBufferFull);
        }
        self.datagram.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Returns the id as it is written. `usize` has at most 64 bits.
fn number(id: Id) -> u64 {
    usize::from(id) as u64
}

#[cfg(test)]
impl Frame {
    /// Writes a datagram, which is not sealed.
    pub(super) fn of<M: Serialize>(to: usize, messages: &[M]) -> Self {
        let mut frame = Frame::begin(Id::from(to), Vec::new());
        let lengths = Codec::new(0, Id::from(0), None).lengths(MAX_DATAGRAM);
        for message in messages {
            frame.push(message, &lengths).unwrap();
        }
        frame
    }

    /// Returns the destination and the messages of a datagram that is not sealed.
    pub(super) fn content<M: DeserializeOwned>(&self) -> (usize, Vec<M>) {
        let mut messages = Vec::new();
        decode(self.to, &self.datagram[HEADER..], &mut messages).unwrap();
        let messages = messages.into_iter().map(|(_, message)| message);
        (self.to.into(), messages.collect())
    }
}

#[cfg(test)]
impl Codec {
    /// Writes a datagram.
    pub(super) fn datagram<M: Serialize>(&self, to: usize, messages: &[M]) -> Vec<u8> {
        let mut frame = Frame::of(to, messages);
        self.seal(&mut frame);
        frame.datagram
    }

    /// Reads a datagram.
    pub(super) fn read<M: DeserializeOwned>(
        &self,
        datagram: &[u8],
    ) -> Result<Vec<(Id, M)>, Refusal> {
        let (source, payload) = self.open(datagram)?;
        let mut messages = Vec::new();
        decode(source, payload, &mut messages)?;
        Ok(messages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, RngCore, SeedableRng};

    type Message = (u32, String, Option<bool>);

    fn key(byte: u8) -> Option<Key> {
        Some(Key::new([byte; 32]))
    }

    fn codec(node: usize, key: Option<Key>) -> Codec {
        Codec::new(7, Id::from(node), key)
    }

    fn datagram<M: Serialize>(from: usize, to: usize, messages: &[M]) -> Vec<u8> {
        codec(from, None).datagram(to, messages)
    }

    fn read(node: usize, datagram: &[u8]) -> Result<Vec<(Id, Message)>, Refusal> {
        codec(node, None).read(datagram)
    }

    fn message(number: u32) -> Message {
        (number, "hello".to_owned(), Some(true))
    }

    #[test]
    fn a_datagram_is_read_as_written() {
        for count in 1..5 {
            let messages: Vec<Message> = (0..count).map(message).collect();
            let datagram = datagram(1, 2, &messages);
            let expected = messages.into_iter().map(|message| (Id::from(1), message));
            assert_eq!(read(2, &datagram), Ok(expected.collect()));
        }
    }

    #[test]
    fn the_wire_format_is_pinned() {
        let mut expected = b"Synd\x02\x00".to_vec();
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([2, 0, 0xac, 0x02, 1, 0, 5]);
        let tag = crc32fast::hash(&expected).to_le_bytes();
        let plain = [&expected[..], &tag].concat();
        assert_eq!(datagram(1, 2, &[300_u32, 5]), plain);
        expected[5] = 1;
        let tag = blake3::keyed_hash(&[9; 32], &expected);
        let keyed = [&expected[..], &tag.as_bytes()[..16]].concat();
        assert_eq!(codec(1, key(9)).datagram(2, &[300_u32, 5]), keyed);
    }

    #[test]
    fn every_truncation_is_refused() {
        for key in [None, key(9)] {
            let codec = codec(2, key.clone());
            let datagram = self::codec(1, key).datagram(2, &[message(1), message(2)]);
            assert!(codec.read::<Message>(&datagram).is_ok());
            for length in 0..datagram.len() {
                let refusal = codec.read::<Message>(&datagram[..length]).unwrap_err();
                let is_short = length < HEADER + LENGTH + codec.tag_length();
                let expected = match codec.key {
                    _ if is_short => Refusal::Short,
                    Some(_) => Refusal::Unauthenticated,
                    None => Refusal::Checksum,
                };
                assert_eq!(refusal, expected, "cut to {length} bytes");
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        for key in [None, key(9)] {
            let codec = codec(2, key.clone());
            let datagram = self::codec(1, key).datagram(2, &[message(1), message(2)]);
            for bit in 0..8 * datagram.len() {
                let mut flipped = datagram.clone();
                flipped[bit / 8] ^= 1 << (bit % 8);
                let expected = match (bit / 8, &codec.key) {
                    (0..4, _) => Refusal::Magic,
                    (4, _) => Refusal::Version,
                    (5, _) | (_, Some(_)) => Refusal::Unauthenticated,
                    (_, None) => Refusal::Checksum,
                };
                let read = codec.read::<Message>(&flipped);
                assert_eq!(read, Err(expected), "bit {bit}");
            }
        }
    }

    #[test]
    fn a_datagram_for_another_cluster_or_node_is_refused() {
        let datagram = datagram(1, 2, &[message(1)]);
        assert_eq!(read(3, &datagram), Err(Refusal::Destination));
        let elsewhere = Codec::new(8, Id::from(2), None);
        assert_eq!(elsewhere.open(&datagram), Err(Refusal::Cluster));
    }

    #[test]
    fn who_does_not_have_the_key_is_not_heard() {
        let ours = codec(2, key(9));
        for theirs in [None, key(8)] {
            let datagram = codec(1, theirs).datagram(2, &[message(1)]);
            let heard = ours.read::<Message>(&datagram);
            assert_eq!(heard, Err(Refusal::Unauthenticated));
        }
        // A replay from a cluster that shares the key is not of this cluster.
        let replayed = Codec::new(8, Id::from(1), key(9)).datagram(2, &[message(1)]);
        assert_eq!(ours.read::<Message>(&replayed), Err(Refusal::Cluster));
        let keyed = codec(1, key(9)).datagram(2, &[message(1)]);
        assert_eq!(read(2, &keyed), Err(Refusal::Unauthenticated));
        assert!(ours.read::<Message>(&keyed).is_ok());
        assert_eq!(format!("{:?}", key(9)), "Some(Key(..))");
    }

    #[test]
    fn messages_must_be_decodable_and_as_long_as_they_say_or_none_of_them_counts() {
        let longer = datagram(1, 2, &[(message(1), 0_u8)]);
        assert_eq!(read(2, &longer), Err(Refusal::Trailing));
        assert_eq!(read(2, &datagram(1, 2, &[300_u32])), Err(Refusal::Message));
        let longest = vec![0; MAX_DATAGRAM + 1];
        assert_eq!(read(2, &longest), Err(Refusal::Oversized));
        // The second message claims to be longer than what is left.
        let codec = codec(2, None);
        let mut beyond = Frame::of(2, &[message(1)]);
        let second = beyond.datagram.len();
        beyond.push(&message(2), &codec.lengths(1000)).unwrap();
        beyond.datagram[second] += 1;
        self::codec(1, None).seal(&mut beyond);
        let (source, payload) = codec.open(&beyond.datagram).unwrap();
        let mut messages = vec![(Id::from(5), message(5))];
        let decoded = decode(source, payload, &mut messages);
        assert_eq!(decoded, Err(Refusal::Message));
        assert_eq!(messages, [(Id::from(5), message(5))]);
    }

    #[test]
    fn messages_without_content_are_counted_by_their_lengths() {
        let datagram = datagram(1, 2, &[(), (), ()]);
        let mut messages: Vec<(Id, ())> = Vec::new();
        let codec = codec(2, None);
        let (source, payload) = codec.open(&datagram).unwrap();
        decode(source, payload, &mut messages).unwrap();
        assert_eq!(messages.len(), 3);
    }

    #[test]
    fn random_bytes_are_refused_even_behind_a_valid_checksum() {
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..20_000 {
            let mut bytes = vec![0; rng.random_range(0..200)];
            rng.fill_bytes(&mut bytes);
            assert!(read(2, &bytes).is_err());
            // Bytes that can be decoded are a message of a peer. There must be no panic, and not
            // more messages than bytes.
            let mut messages: Vec<(Id, Message)> = Vec::new();
            let _ = decode(Id::from(1), &bytes, &mut messages);
            assert!(messages.len() <= bytes.len() / LENGTH);
        }
    }

    #[test]
    fn damaged_messages_behind_a_valid_tag_are_refused_or_are_messages_and_never_a_panic() {
        let mut rng = SmallRng::seed_from_u64(2);
        let codec = codec(2, key(9));
        let mut refused = 0;
        for _ in 0..20_000 {
            let messages: Vec<_> = (0..rng.random_range(1..4)).map(message).collect();
            let mut frame = Frame::of(2, &messages);
            for _ in 0..rng.random_range(1..4) {
                let at = rng.random_range(HEADER..frame.datagram.len());
                frame.datagram[at] = rng.random();
            }
            self::codec(1, key(9)).seal(&mut frame);
            refused += usize::from(codec.read::<Message>(&frame.datagram).is_err());
        }
        assert!((5_000..20_000).contains(&refused), "{refused}");
    }

    #[test]
    fn a_length_that_is_claimed_is_not_believed() {
        // Postcard writes lengths in groups of seven bits: this one claims 2^62 items.
        let claim = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
        let mut payload = (claim.len() as u16).to_le_bytes().to_vec();
        payload.extend(claim);
        fn refusal<M: DeserializeOwned>(payload: &[u8]) -> Option<Refusal> {
            decode::<M>(Id::from(1), payload, &mut Vec::new()).err()
        }
        assert_eq!(refusal::<Vec<u64>>(&payload), Some(Refusal::Message));
        assert_eq!(refusal::<String>(&payload), Some(Refusal::Message));
        assert_eq!(refusal::<Vec<Vec<u64>>>(&payload), Some(Refusal::Message));
    }

    #[test]
    fn the_longest_message_fits_and_one_byte_more_does_not() {
        for key in [None, key(9)] {
            let codec = codec(1, key);
            let lengths = codec.lengths(LIMIT_MIN);
            // Postcard writes the length of a text before it, here in three bytes.
            let mut text = "x".repeat(lengths.most - HEADER - LENGTH - 3);
            assert_eq!(codec.datagram(2, &[&text]).len(), MAX_DATAGRAM);
            text.push('x');
            let mut frame = Frame::of::<Message>(2, &[]);
            assert!(frame.push(&text, &lengths).is_err());
            assert_eq!(frame.datagram.len(), HEADER, "as before");
        }
    }
}
