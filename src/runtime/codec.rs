//! One datagram: a header and one message.
//!
//! | bytes | field | |
//! |---|---|---|
//! | 4 | magic | `Synd` |
//! | 1 | version | 1 |
//! | 8 | cluster | datagrams of other clusters are dropped |
//! | 8 | source | id of the sender |
//! | 8 | destination | id of the receiver |
//! | 4 | checksum | CRC-32 of all other bytes |
//! | rest | message | postcard |
//!
//! Integers are little-endian. The checksum finds accidents, not attacks.

use super::counters::Refusal;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stateright::actor::Id;

/// The longest datagram in bytes, header included: what UDP over IPv4 can carry.
pub const MAX_DATAGRAM: usize = 65_507;

const MAGIC: [u8; 4] = *b"Synd";
const VERSION: u8 = 1;
/// Length in bytes of what precedes the checksum.
const CHECKED: usize = 4 + 1 + 8 + 8 + 8;
const HEADER: usize = CHECKED + 4;

/// Writes and reads the datagrams of one node.
pub(super) struct Codec {
    cluster: u64,
    node: u64,
}

impl Codec {
    pub(super) fn new(cluster: u64, node: Id) -> Self {
        Codec {
            cluster,
            node: number(node),
        }
    }

    /// Writes a datagram to the beginning of the buffer and returns it.
    pub(super) fn encode<'b, M: Serialize>(
        &self,
        destination: Id,
        message: &M,
        buffer: &'b mut [u8; MAX_DATAGRAM],
    ) -> Result<&'b [u8], postcard::Error> {
        let payload = postcard::to_slice(message, &mut buffer[HEADER..])?.len();
        buffer[..4].copy_from_slice(&MAGIC);
        buffer[4] = VERSION;
        buffer[5..13].copy_from_slice(&self.cluster.to_le_bytes());
        buffer[13..21].copy_from_slice(&self.node.to_le_bytes());
        buffer[21..29].copy_from_slice(&number(destination).to_le_bytes());
        let datagram = &mut buffer[..HEADER + payload];
        let checksum = checksum(&datagram[..CHECKED], &datagram[HEADER..]);
        datagram[CHECKED..HEADER].copy_from_slice(&checksum.to_le_bytes());
        Ok(datagram)
    }

    /// Checks everything but the message. Returns the id of the sender, which it claims, and the
    /// bytes of the message.
    pub(super) fn open<'d>(&self, datagram: &'d [u8]) -> Result<(Id, &'d [u8]), Refusal> {
        if datagram.len() > MAX_DATAGRAM {
            return Err(Refusal::Oversized);
        }
        let (header, payload) = Header::split(datagram).ok_or(Refusal::Short)?;
        if header.magic != MAGIC {
            return Err(Refusal::Magic);
        }
        if header.version != VERSION {
            return Err(Refusal::Version);
        }
        if header.checksum != checksum(&datagram[..CHECKED], payload) {
            return Err(Refusal::Checksum);
        }
        if header.cluster != self.cluster {
            return Err(Refusal::Cluster);
        }
        if header.destination != self.node {
            return Err(Refusal::Destination);
        }
        let source = usize::try_from(header.source).map_err(|_| Refusal::Stranger)?;
        Ok((Id::from(source), payload))
    }
}

/// Reads a message, which must take up all of the bytes.
pub(super) fn decode<M: DeserializeOwned>(payload: &[u8]) -> Result<M, Refusal> {
    match postcard::take_from_bytes(payload) {
        Ok((message, [])) => Ok(message),
        Ok(_) => Err(Refusal::Trailing),
        Err(_) => Err(Refusal::Message),
    }
}

struct Header {
    magic: [u8; 4],
    version: u8,
    cluster: u64,
    source: u64,
    destination: u64,
    checksum: u32,
}

impl Header {
    fn split(datagram: &[u8]) -> Option<(Header, &[u8])> {
        let (&magic, rest) = datagram.split_first_chunk()?;
        let (&version, rest) = rest.split_first()?;
        let (&cluster, rest) = rest.split_first_chunk()?;
        let (&source, rest) = rest.split_first_chunk()?;
        let (&destination, rest) = rest.split_first_chunk()?;
        let (&checksum, payload) = rest.split_first_chunk()?;
        let header = Header {
            magic,
            version,
            cluster: u64::from_le_bytes(cluster),
            source: u64::from_le_bytes(source),
            destination: u64::from_le_bytes(destination),
            checksum: u32::from_le_bytes(checksum),
        };
        Some((header, payload))
    }
}

/// CRC-32 of two parts, as if they were one.
pub(super) fn checksum(before: &[u8], after: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(before);
    hasher.update(after);
    hasher.finalize()
}

/// The id as it is written to datagrams and files. No id is lost: `usize` has at most 64 bits.
pub(super) fn number(id: Id) -> u64 {
    usize::from(id) as u64
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, RngCore, SeedableRng};

    type Message = (u32, String, Option<bool>);

    fn codec(node: usize) -> Codec {
        Codec::new(7, Id::from(node))
    }

    fn datagram(from: usize, to: usize, message: &impl Serialize) -> Vec<u8> {
        let mut buffer = [0; MAX_DATAGRAM];
        let datagram = codec(from).encode(Id::from(to), message, &mut buffer);
        datagram.unwrap().to_vec()
    }

    fn read(node: usize, datagram: &[u8]) -> Result<(Id, Message), Refusal> {
        let (source, payload) = codec(node).open(datagram)?;
        Ok((source, decode(payload)?))
    }

    fn message() -> Message {
        (300, "hello".to_owned(), Some(true))
    }

    #[test]
    fn a_datagram_is_read_as_written() {
        let datagram = datagram(1, 2, &message());
        assert_eq!(read(2, &datagram), Ok((Id::from(1), message())));
    }

    #[test]
    fn the_wire_format_is_pinned() {
        let mut expected = b"Synd\x01".to_vec();
        expected.extend([7, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([1, 0, 0, 0, 0, 0, 0, 0]);
        expected.extend([2, 0, 0, 0, 0, 0, 0, 0]);
        let crc = crc32fast::hash(&[&expected[..], &[0xac, 0x02]].concat());
        expected.extend(crc.to_le_bytes());
        expected.extend([0xac, 0x02]);
        assert_eq!(datagram(1, 2, &300_u32), expected);
    }

    #[test]
    fn every_truncation_is_refused() {
        let datagram = datagram(1, 2, &message());
        for length in 0..datagram.len() {
            let refusal = read(2, &datagram[..length]).unwrap_err();
            let expected = match length {
                0..HEADER => Refusal::Short,
                _ => Refusal::Checksum,
            };
            assert_eq!(refusal, expected, "cut to {length} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_is_refused() {
        let datagram = datagram(1, 2, &message());
        for bit in 0..8 * datagram.len() {
            let mut flipped = datagram.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let expected = match bit / 8 {
                0..4 => Refusal::Magic,
                4 => Refusal::Version,
                _ => Refusal::Checksum,
            };
            assert_eq!(read(2, &flipped), Err(expected), "bit {bit}");
        }
    }

    #[test]
    fn a_datagram_for_another_cluster_or_node_is_refused() {
        let datagram = datagram(1, 2, &message());
        assert_eq!(read(3, &datagram), Err(Refusal::Destination));
        let elsewhere = Codec::new(8, Id::from(2));
        assert_eq!(elsewhere.open(&datagram), Err(Refusal::Cluster));
    }

    #[test]
    fn a_message_must_be_decodable_and_end_where_the_datagram_ends() {
        let longer = datagram(1, 2, &(message(), 0_u8));
        assert_eq!(read(2, &longer), Err(Refusal::Trailing));
        let shorter = datagram(1, 2, &300_u32);
        assert_eq!(read(2, &shorter), Err(Refusal::Message));
        let longest = vec![0; MAX_DATAGRAM + 1];
        assert_eq!(read(2, &longest), Err(Refusal::Oversized));
    }

    #[test]
    fn random_bytes_are_refused_even_behind_a_valid_checksum() {
        let mut rng = SmallRng::seed_from_u64(1);
        for _ in 0..20_000 {
            let mut bytes = vec![0; rng.random_range(0..200)];
            rng.fill_bytes(&mut bytes);
            assert!(read(2, &bytes).is_err());
            // What decodes is a message that a peer could have sent; what matters is no panic.
            let _ = decode::<Message>(&bytes);
        }
    }

    #[test]
    fn the_longest_message_fits_and_one_byte_more_does_not() {
        let mut buffer = [0; MAX_DATAGRAM];
        // Postcard writes the length of bytes before them, here in three bytes.
        let mut text = "x".repeat(MAX_DATAGRAM - HEADER - 3);
        let datagram = codec(1).encode(Id::from(2), &text, &mut buffer).unwrap();
        assert_eq!(datagram.len(), MAX_DATAGRAM);
        text.push('x');
        assert!(codec(1).encode(Id::from(2), &text, &mut buffer).is_err());
    }
}
