//! What a node counts: nothing is dropped silently.

use std::fmt;

/// How often each thing has happened to one node since it started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams whose messages were handed to the actor.
    pub received: u64,
    /// Messages in these datagrams.
    pub messages_received: u64,
    /// Datagrams that were dropped on arrival, by reason.
    pub dropped: Dropped,
    /// Failures to read the socket, other than there being nothing to read.
    pub receive_errors: u64,
    /// Messages that the actor sent to itself and that were handed to it. They never touch the
    /// socket.
    pub own: u64,
    /// Datagrams that the kernel took, copies made by [`Faults`](super::Faults) included.
    pub sent: u64,
    /// Messages packed into datagrams, whatever became of these.
    pub messages_sent: u64,
    /// Datagrams to an id that has no address.
    pub unaddressed: u64,
    /// Messages that do not fit into one datagram: they are dropped, for the protocol has to split
    /// what it says.
    pub oversized: u64,
    /// Messages that could not be encoded for another reason than their size.
    pub unencodable: u64,
    /// Datagrams that the kernel refused to send, perhaps because its buffer was full. They are
    /// lost: a node never waits for its network.
    pub send_errors: u64,
    /// Datagrams lost on purpose.
    pub lost: u64,
    /// Datagrams sent twice on purpose.
    pub duplicated: u64,
    /// Datagrams (or copies of one) held back on purpose.
    pub held: u64,
    /// Batches of events that were handled and made durable at once.
    pub batches: u64,
    /// Timers that fired.
    pub timeouts: u64,
    /// Random choices handed to the actor.
    pub choices: u64,
    /// Saves made durable, one for each batch at most.
    pub saves: u64,
    /// Batches whose last save changed nothing, so that nothing had to be written.
    pub saves_unchanged: u64,
    /// How often the log was written again, so that it does not outgrow the state.
    pub compactions: u64,
    /// Bytes cut off the end of the log when the node started: see [`Cut`](super::Cut).
    pub cut_bytes: u64,
}

/// How many datagrams were dropped on arrival, by reason. None of them reached the actor, and none
/// was answered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Dropped {
    /// Longer than [`MAX_DATAGRAM`](super::MAX_DATAGRAM) bytes.
    pub oversized: u64,
    /// Shorter than the header.
    pub short: u64,
    /// Not a datagram of this runtime.
    pub magic: u64,
    /// Of a format version that this runtime does not speak.
    pub version: u64,
    /// Damaged on the way.
    pub checksum: u64,
    /// Without the code that only those can make who have the cluster's key; or with one, though
    /// the node has no key.
    pub unauthenticated: u64,
    /// Meant for another cluster.
    pub cluster: u64,
    /// Meant for another node.
    pub destination: u64,
    /// From an id that is neither a peer nor in the dynamic range.
    pub stranger: u64,
    /// From an address that does not belong to the id it claims.
    pub forged: u64,
    /// With a message that cannot be decoded.
    pub message: u64,
    /// With bytes after a message.
    pub trailing: u64,
}

impl Dropped {
    /// The number of datagrams dropped for any reason.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }

    fn by_reason(&self) -> [(&'static str, u64); 12] {
        [
            ("oversized", self.oversized),
            ("short", self.short),
            ("magic", self.magic),
            ("version", self.version),
            ("checksum", self.checksum),
            ("unauthenticated", self.unauthenticated),
            ("cluster", self.cluster),
            ("destination", self.destination),
            ("stranger", self.stranger),
            ("forged", self.forged),
            ("message", self.message),
            ("trailing", self.trailing),
        ]
    }

    pub(super) fn count(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Oversized => &mut self.oversized,
            Refusal::Short => &mut self.short,
            Refusal::Magic => &mut self.magic,
            Refusal::Version => &mut self.version,
            Refusal::Checksum => &mut self.checksum,
            Refusal::Unauthenticated => &mut self.unauthenticated,
            Refusal::Cluster => &mut self.cluster,
            Refusal::Destination => &mut self.destination,
            Refusal::Stranger => &mut self.stranger,
            Refusal::Forged => &mut self.forged,
            Refusal::Message => &mut self.message,
            Refusal::Trailing => &mut self.trailing,
        };
        *counter += 1;
    }
}

/// Why a datagram is dropped on arrival: one counter of [`Dropped`] each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Refusal {
    Oversized,
    Short,
    Magic,
    Version,
    Checksum,
    Unauthenticated,
    Cluster,
    Destination,
    Stranger,
    Forged,
    Message,
    Trailing,
}

impl Counters {
    /// Every counter with its name.
    pub(super) fn by_name(&self) -> Vec<(String, u64)> {
        let dropped = self.dropped.by_reason().into_iter();
        let dropped = dropped.map(|(reason, count)| (format!("dropped_{reason}"), count));
        let others = [
            ("messages_received", self.messages_received),
            ("messages_sent", self.messages_sent),
            ("receive_errors", self.receive_errors),
            ("own", self.own),
            ("unaddressed", self.unaddressed),
            ("oversized", self.oversized),
            ("unencodable", self.unencodable),
            ("send_errors", self.send_errors),
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("held", self.held),
            ("batches", self.batches),
            ("timeouts", self.timeouts),
            ("choices", self.choices),
            ("saves", self.saves),
            ("saves_unchanged", self.saves_unchanged),
            ("compactions", self.compactions),
            ("cut_bytes", self.cut_bytes),
        ];
        let others = others.map(|(name, count)| (name.to_owned(), count));
        let mut all = vec![
            ("received".to_owned(), self.received),
            ("sent".to_owned(), self.sent),
        ];
        all.extend(dropped);
        all.extend(others);
        all
    }
}

/// One line of `name=count`. What never happened is left out, except for `received` and `sent`.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (at, (name, count)) in self.by_name().into_iter().enumerate() {
            if at < 2 || count > 0 {
                write!(f, "{separator}{name}={count}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counters_print_as_one_line_without_what_never_happened() {
        let mut counters = Counters {
            received: 7,
            saves: 2,
            ..Counters::default()
        };
        counters.dropped.count(Refusal::Checksum);
        assert_eq!(
            counters.to_string(),
            "received=7 sent=0 dropped_checksum=1 saves=2"
        );
    }

    #[test]
    fn each_refusal_has_a_counter_of_its_own() {
        let refusals = [
            Refusal::Oversized,
            Refusal::Short,
            Refusal::Magic,
            Refusal::Version,
            Refusal::Checksum,
            Refusal::Unauthenticated,
            Refusal::Cluster,
            Refusal::Destination,
            Refusal::Stranger,
            Refusal::Forged,
            Refusal::Message,
            Refusal::Trailing,
        ];
        let mut dropped = Dropped::default();
        for refusal in refusals {
            dropped.count(refusal);
        }
        assert!(dropped.by_reason().iter().all(|(_, count)| *count == 1));
        assert_eq!(dropped.total(), refusals.len() as u64);
    }
}
