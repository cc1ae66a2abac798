//! The counters of a node: nothing is dropped without being counted.

use std::fmt;

/// Defines counters with their names and their sums, so that no list of them can be incomplete.
macro_rules! counters {
    (
        $(#[$meta:meta])*
        $name:ident {
            $($(#[$doc:meta])* $field:ident,)*
            $(; $(#[$inner_doc:meta])* $inner:ident: $type:ty)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$doc])* pub $field: u64,)*
            $($(#[$inner_doc])* pub $inner: $type,)?
        }

        impl $name {
            /// Returns every counter with its name.
            pub fn by_name(&self) -> Vec<(String, u64)> {
                let all = vec![$((stringify!($field).to_owned(), self.$field)),*];
                $(
                    let inner = self.$inner.by_name().into_iter();
                    let named = |name| format!("{}_{name}", stringify!($inner));
                    let inner = inner.map(|(name, count)| (named(name), count));
                    let all = all.into_iter().chain(inner).collect();
                )?
                all
            }

            /// Adds the counts of another.
            pub fn add(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
                $(self.$inner.add(&other.$inner);)?
            }
        }
    };
}

counters! {
    /// The counters of one node since it started.
    Counters {
        /// Datagrams whose messages the actor got.
        received,
        /// Messages in these datagrams.
        messages_received,
        /// Failures to read the socket, if there was something to read.
        receive_errors,
        /// Messages of the actor to itself that it got. They never touch the socket.
        own,
        /// Datagrams that the kernel accepted, including copies made by [`Faults`](super::Faults).
        sent,
        /// Messages packed into datagrams, even if those were lost.
        messages_sent,
        /// Datagrams to an id that has no address.
        unaddressed,
        /// Messages that do not fit into one datagram. They are dropped: a protocol must split what
        /// is too long.
        oversized,
        /// Messages that cannot be encoded for another reason than their length.
        unencodable,
        /// Datagrams that the kernel refused, perhaps because its buffer was full. They are lost,
        /// because a node never waits for its network.
        send_errors,
        /// Datagrams dropped by [`Faults`](super::Faults).
        lost,
        /// Datagrams duplicated by [`Faults`](super::Faults).
        duplicated,
        /// Datagrams, or copies of them, delayed by [`Faults`](super::Faults).
        held,
        /// Batches of events that were handled and made durable together.
        batches,
        /// Timers that fired.
        timeouts,
        /// Random choices delivered to the actor.
        choices,
        /// Saves made durable, at most one for each batch.
        saves,
        /// Batches whose last save changed nothing, so that nothing was written.
        saves_unchanged,
        /// Compactions: the log was written again because it had outgrown the state.
        compactions,
        /// Bytes cut off the end of the log when the node started: see
        /// [`TornTail`](super::TornTail).
        cut_bytes,
        ;
        /// Datagrams dropped on arrival, by reason.
        dropped: Dropped
    }
}

/// Defines the reasons why a datagram is dropped, and a counter for each.
macro_rules! refusals {
    ($($(#[$doc:meta])* $refusal:ident: $counter:ident,)*) => {
        counters! {
            /// The counters of datagrams dropped on arrival, by reason. None of them reached the
            /// actor, and none was answered.
            Dropped {
                $($(#[$doc])* $counter,)*
            }
        }

        /// The reason why a datagram is dropped on arrival. Each has a counter in [`Dropped`].
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        pub(super) enum Refusal {
            $($refusal,)*
        }

        impl Dropped {
            pub(super) fn count(&mut self, refusal: Refusal) {
                match refusal {
                    $(Refusal::$refusal => self.$counter += 1,)*
                }
            }
        }
    };
}

refusals! {
    /// Longer than [`MAX_DATAGRAM`](super::MAX_DATAGRAM) bytes.
    Oversized: oversized,
    /// Shorter than the header.
    Short: short,
    /// Not a datagram of this runtime.
    Magic: magic,
    /// In another version of the format.
    Version: version,
    /// Damaged on the way.
    Checksum: checksum,
    /// Without a valid authentication code under the cluster's key, or with a code although the
    /// node has no key.
    Unauthenticated: unauthenticated,
    /// For another cluster.
    Cluster: cluster,
    /// For another node.
    Destination: destination,
    /// From an id that is neither a peer nor in the dynamic range.
    Stranger: stranger,
    /// From an address that is not that of its sender.
    Forged: forged,
    /// With a message that cannot be decoded.
    Message: message,
    /// With bytes after a message.
    Trailing: trailing,
}

impl Counters {
    /// Adds up what the parts of a node have counted.
    pub(super) fn sum<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut sum = Self::default();
        parts.into_iter().for_each(|part| sum.add(part));
        sum
    }

    /// Counts a datagram that was read or dropped.
    pub(super) fn count_received(&mut self, read: Result<(), Refusal>) {
        match read {
            Ok(()) => self.received += 1,
            Err(refusal) => self.dropped.count(refusal),
        }
    }
}

impl Dropped {
    /// Returns the number of all dropped datagrams.
    pub fn total(&self) -> u64 {
        self.by_name().iter().map(|(_, count)| count).sum()
    }
}

/// One line of `name=count`. Zeros are left out, except for `received` and `sent`.
impl fmt::Display for Counters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, count) in self.by_name() {
            if count > 0 || ["received", "sent"].contains(&name.as_str()) {
                write!(f, "{separator}{name}={count}")?;
                separator = " ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
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
        let line = "received=7 sent=0 saves=2 dropped_checksum=1";
        assert_eq!(counters.to_string(), line);
    }

    #[test]
    fn sums_leave_no_counter_out() {
        let mut counters = Counters {
            held: 3,
            ..Counters::default()
        };
        counters.dropped.count(Refusal::Short);
        let mut sum = counters;
        sum.add(&counters);
        let dropped = sum.dropped;
        assert_eq!((sum.held, dropped.short, dropped.total()), (6, 2, 2));
        let mut both = sum.by_name().into_iter().zip(counters.by_name());
        assert!(both.all(|(two, one)| two.1 == 2 * one.1));
    }
}
