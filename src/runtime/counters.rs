//! What a node counts: nothing is dropped silently.

use std::fmt;

/// How often each thing has happened to one node since it started.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams whose message was handed to the actor.
    pub received: u64,
    /// Datagrams that were dropped on arrival, by reason.
    pub dropped: Dropped,
    /// Failures to read the socket, other than there being nothing to read.
    pub receive_errors: u64,
    /// Messages that the actor sent to itself and that were handed to it. They never touch the
    /// socket.
    pub own: u64,
    /// Datagrams that the kernel took, copies made by [`Faults`](super::Faults) included.
    pub sent: u64,
    /// Messages to an id that has no address.
    pub unaddressed: u64,
    /// Messages that do not fit into one datagram.
    pub oversized: u64,
    /// Messages that could not be encoded for another reason than their size.
    pub unencodable: u64,
    /// Datagrams that the kernel refused to send. They are lost.
    pub send_errors: u64,
    /// Datagrams lost on purpose.
    pub lost: u64,
    /// Datagrams sent twice on purpose.
    pub duplicated: u64,
    /// Datagrams (or copies of one) held back on purpose.
    pub held: u64,
    /// Timers that fired.
    pub timeouts: u64,
    /// Random choices handed to the actor.
    pub choices: u64,
    /// Saves made durable.
    pub saves: u64,
    /// Saves that equal the last one, so that nothing had to be written.
    pub saves_unchanged: u64,
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
    /// With bytes after the message.
    pub trailing: u64,
}

impl Dropped {
    /// The number of datagrams dropped for any reason.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }

    fn by_reason(&self) -> [(&'static str, u64); 11] {
        [
            ("oversized", self.oversized),
            ("short", self.short),
            ("magic", self.magic),
            ("version", self.version),
            ("checksum", self.checksum),
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
    Cluster,
    Destination,
    Stranger,
    Forged,
    Message,
    Trailing,
}

/// One line of `name=count`, What never happened is left out, except
/// for `received` and `sent`.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "received={}", self.received)?;
        for (reason, count) in self.dropped.by_reason() {
            if count > 0 {
                write!(f, " dropped_{reason}={count}")?;
            }
        }
        write!(f, " sent={}", self.sent)?;
        for (name, count) in [
            ("receive_errors", self.receive_errors),
            ("own", self.own),
            ("unaddressed", self.unaddressed),
            ("oversized", self.oversized),
            ("unencodable", self.unencodable),
            ("send_errors", self.send_errors),
            ("lost", self.lost),
            ("duplicated", self.duplicated),
            ("held", self.held),
            ("timeouts", self.timeouts),
            ("choices", self.choices),
            ("saves", self.saves),
            ("saves_unchanged", self.saves_unchanged),
        ] {
            if count > 0 {
                write!(f, " {name}={count}")?;
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
            "received=7 dropped_checksum=1 sent=0 saves=2"
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
