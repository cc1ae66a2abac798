//! The readers of bytes from outside, for the fuzzer in `models/fuzz` and for the test that runs
//! its findings. Not for users.

use super::codec::{Codec, decode};
use super::log::format::{self, FileId, HEADER, RECORD};
use crate::delta::Delta;
use serde::de::DeserializeOwned;
use stateright::actor::Id;

const FILE: FileId = FileId {
    cluster: 7,
    node: 0,
    generation: 0,
};

/// Returns the messages of a datagram from another node.
pub fn datagram<M: DeserializeOwned>(bytes: &[u8]) -> Option<Vec<M>> {
    let codec = Codec::new(FILE.cluster, Id::from(0), None);
    let (source, payload) = codec.open(bytes).ok()?;
    payload_of(source, payload)
}

/// Returns the messages of a datagram with this payload, a valid header and a valid tag.
pub fn payload<M: DeserializeOwned>(bytes: &[u8]) -> Option<Vec<M>> {
    payload_of(Id::from(1), bytes)
}

fn payload_of<M: DeserializeOwned>(source: Id, payload: &[u8]) -> Option<Vec<M>> {
    let mut messages = Vec::new();
    decode(source, payload, &mut messages).ok()?;
    Some(messages.into_iter().map(|(_, message)| message).collect())
}

/// Returns the state in a file with this content.
pub fn file<S: Delta>(content: &[u8]) -> Option<S> {
    let (state, _) = format::read(content, &FILE).ok()?;
    state
}

/// Returns the state in a file whose records have these changes and the right checksums.
pub fn records<S: Delta>(records: &[&[u8]]) -> Option<S> {
    // The snapshot is empty: it ends where the header ends.
    let mut content = FILE.header(HEADER as u64).to_vec();
    for (sequence, changes) in (0..).zip(records) {
        let start = content.len();
        content.extend([0; RECORD]);
        content.extend(*changes);
        format::seal(&mut content[start..], FILE.seed(), sequence)?;
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

    /// The fuzzer finds nothing if its files are refused for their form.
    #[test]
    fn what_is_made_for_the_fuzzer_is_read() {
        assert_eq!(records::<Sum>(&[&[1, 5], &[2, 7, 9]]), Some(Sum(21)));
        assert_eq!(records::<Sum>(&[&[1, 5], &[2, 7]]), None);
        assert_eq!(payload::<u32>(&[1, 0, 5, 1, 0, 6]), Some(vec![5, 6]));
        assert_eq!(payload::<u32>(&[1, 0, 5, 1]), None);
    }
}
