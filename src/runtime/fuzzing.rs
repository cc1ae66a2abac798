//! What comes from outside, taken in as a node does: for the fuzzer in `models/fuzz`, and for the
//! test that runs what it found. Not for users.

use super::codec::{Codec, decode};
use super::log;
use crate::delta::Delta;
use serde::de::DeserializeOwned;
use stateright::actor::Id;

const CLUSTER: u64 = 7;

/// The messages of a datagram, if it is one from another node.
pub fn datagram<M: DeserializeOwned>(bytes: &[u8]) -> Option<Vec<M>> {
    let codec = Codec::new(CLUSTER, Id::from(0), None);
    let (source, payload) = codec.open(bytes).ok()?;
    payload_of(source, payload)
}

/// The messages of a datagram of which all but these bytes is as it should be.
pub fn payload<M: DeserializeOwned>(bytes: &[u8]) -> Option<Vec<M>> {
    payload_of(Id::from(1), bytes)
}

fn payload_of<M: DeserializeOwned>(source: Id, payload: &[u8]) -> Option<Vec<M>> {
    let mut messages = Vec::new();
    decode(source, payload, &mut messages).ok()?;
    Some(messages.into_iter().map(|(_, message)| message).collect())
}

/// What is remembered in a file with this content.
pub fn file<S: Delta>(content: &[u8]) -> Option<S> {
    let (state, _) = log::read(content, CLUSTER, 0, 0).ok()?;
    state
}

/// What is remembered in a file whose records consist of these changes, and have the checksums that
/// they should have.
pub fn records<S: Delta>(records: &[&[u8]]) -> Option<S> {
    let mut content = b"SynodLog".to_vec();
    content.extend(2_u32.to_le_bytes());
    content.extend(CLUSTER.to_le_bytes());
    content.extend([0; 16]);
    let seed = crc32fast::hash(&content);
    // No snapshot: it ends where the header does.
    content.extend(48_u64.to_le_bytes());
    content.extend(crc32fast::hash(&content).to_le_bytes());
    for (sequence, changes) in (0_u64..).zip(records) {
        let mut header = Vec::new();
        header.extend((changes.len() as u32).to_le_bytes());
        header.extend(sequence.to_le_bytes());
        header.extend(crc32fast::hash(changes).to_le_bytes());
        let mut checksum = crc32fast::Hasher::new_with_initial(seed);
        checksum.update(&header);
        header.extend(checksum.finalize().to_le_bytes());
        content.extend(header);
        content.extend(*changes);
    }
    file(&content)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    struct Sum(u32);

    impl Delta for Sum {
        type Change = u32;

        fn changes(&self, _: Option<&Self>) -> Vec<u32> {
            vec![self.0]
        }

        fn apply(state: Option<Self>, change: u32) -> Option<Self> {
            Some(Sum(state.map_or(0, |it| it.0) + change))
        }
    }

    /// Red if the fuzzer's files are refused for their form, so that it gets nowhere.
    #[test]
    fn what_is_made_for_the_fuzzer_is_read() {
        assert_eq!(records::<Sum>(&[&[1, 5], &[2, 7, 9]]), Some(Sum(21)));
        assert_eq!(records::<Sum>(&[&[1, 5], &[2, 7]]), None);
        assert_eq!(payload::<u32>(&[1, 0, 5, 1, 0, 6]), Some(vec![5, 6]));
        assert_eq!(payload::<u32>(&[1, 0, 5, 1]), None);
    }
}
