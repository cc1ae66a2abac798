//! A UDP socket: datagrams are received one by one, with or without waiting, and sent in batches.

use super::counters::Counters;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt::set_socket_recv_buffer_size;
#[cfg(target_os = "linux")]
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
#[cfg(target_os = "linux")]
use rustix::net::{MMsgHdr, SendAncillaryBuffer, addr::SocketAddrArg, sendmmsg};
use rustix::net::{RecvFlags, SendFlags, recvfrom, sendto};
use std::io;
#[cfg(target_os = "linux")]
use std::io::IoSlice;
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

/// The size of the buffer for one datagram: it exceeds that of every datagram (IPv6 carries 20
/// bytes more than IPv4), so that a datagram that is too long is not mistaken for its beginning.
const BUFFER: usize = 65_536;

/// The longest time that a node waits for a datagram, and so about the time that it takes to stop.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// The time limit of a receive that blocks. It is short because the kernel counts it in ticks, of
/// 4 ms on most systems, and may wait for two of them.
const BLOCKED_FOR: Duration = Duration::from_millis(4);

/// The pause after an unexpected error, so that a broken socket does not cause a busy loop.
const PAUSE: Duration = Duration::from_millis(5);

/// The smallest number of datagrams that are sent with one system call.
#[cfg(target_os = "linux")]
const TOGETHER_MIN: usize = 4;

/// A socket, and the buffer for one datagram.
pub(super) struct Socket {
    socket: UdpSocket,
    buffer: Box<[u8; BUFFER]>,
    pub(super) counters: Counters,
}

impl Socket {
    /// Sets the time limit of blocking receives, and enlarges the kernel's receive buffer as far
    /// as the system allows.
    pub(super) fn new(socket: UdpSocket, receive_buffer: usize) -> io::Result<Self> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(BLOCKED_FOR))?;
        enlarge(&socket, receive_buffer);
        Ok(Socket {
            socket,
            buffer: Box::new([0; BUFFER]),
            counters: Counters::default(),
        })
    }

    /// Receives a datagram that has arrived. Does not wait.
    pub(super) fn receive(&mut self) -> Option<(&[u8], SocketAddr)> {
        let received = recvfrom(&self.socket, &mut self.buffer[..], RecvFlags::DONTWAIT);
        let received = received.and_then(|(length, _, from)| {
            let from = from.ok_or(rustix::io::Errno::AFNOSUPPORT)?;
            Ok((length, SocketAddr::try_from(from)?))
        });
        match received {
            Ok((length, from)) => Some((&self.buffer[..length], from)),
            Err(error) => {
                self.pause_after(&error.into());
                None
            }
        }
    }

    /// Waits for a datagram, but not much longer than `wait` and [`LONGEST_WAIT`]. Returns the
    /// datagram if the wait received it.
    ///
    /// A receive that blocks has the lowest latency, but its time limit is coarse. So it is used
    /// only if there is enough time, and the rest of the time passes in [`wait_for_any`].
    pub(super) fn receive_within(&mut self, wait: Duration) -> Option<(&[u8], SocketAddr)> {
        if wait < LONGEST_WAIT {
            wait_for_any([&*self], wait);
            return None;
        }
        let start = Instant::now();
        match self.socket.recv_from(&mut self.buffer[..]) {
            Ok((length, from)) => Some((&self.buffer[..length], from)),
            Err(error) => {
                self.pause_after(&error);
                wait_for_any([&*self], LONGEST_WAIT.saturating_sub(start.elapsed()));
                None
            }
        }
    }

    /// Sends a datagram, or loses it, but never waits: while a node waits for its network it does
    /// not listen.
    pub(super) fn send(&mut self, to: SocketAddr, datagram: &[u8]) {
        match sendto(&self.socket, datagram, SendFlags::DONTWAIT, &to) {
            Ok(_) => self.counters.sent += 1,
            Err(_) => self.counters.send_errors += 1,
        }
    }

    /// Sends several datagrams. From [`TOGETHER_MIN`] on, one system call for all costs less than
    /// one for each.
    pub(super) fn send_all<'d>(
        &mut self,
        datagrams: impl ExactSizeIterator<Item = (SocketAddr, &'d [u8])>,
    ) {
        #[cfg(target_os = "linux")]
        if datagrams.len() >= TOGETHER_MIN {
            return self.send_together(datagrams);
        }
        for (to, datagram) in datagrams {
            self.send(to, datagram);
        }
    }

    #[cfg(target_os = "linux")]
    fn send_together<'d>(&mut self, datagrams: impl Iterator<Item = (SocketAddr, &'d [u8])>) {
        let datagrams = datagrams.map(|(to, datagram)| (to.as_any(), [IoSlice::new(datagram)]));
        let mut parts: Vec<_> = datagrams
            .map(|(to, content)| (to, content, SendAncillaryBuffer::default()))
            .collect();
        let messages = parts.iter_mut();
        let mut messages: Vec<MMsgHdr<'_>> = messages
            .map(|(to, content, control)| MMsgHdr::new_with_addr(to, content, control))
            .collect();
        let mut rest = messages.as_mut_slice();
        while !rest.is_empty() {
            let done = match sendmmsg(&self.socket, rest, SendFlags::DONTWAIT) {
                Ok(sent) if sent > 0 => {
                    self.counters.sent += sent as u64;
                    sent
                }
                // The first datagram cannot be sent; the others perhaps can.
                Ok(_) | Err(_) => {
                    self.counters.send_errors += 1;
                    1
                }
            };
            rest = rest.get_mut(done..).unwrap_or_default();
        }
    }

    /// Counts an error that is not expected, and pauses.
    fn pause_after(&mut self, error: &io::Error) {
        use io::ErrorKind::{ConnectionRefused, Interrupted, TimedOut, WouldBlock};
        // A refused connection is the answer to a datagram that was sent to a node that is down.
        let expected = [WouldBlock, TimedOut, Interrupted, ConnectionRefused];
        if !expected.contains(&error.kind()) {
            self.counters.receive_errors += 1;
            thread::sleep(PAUSE);
        }
    }
}

/// Waits until a datagram arrives at one of the sockets, but at most for `wait` and for
/// [`LONGEST_WAIT`].
pub(super) fn wait_for_any<'a>(sockets: impl IntoIterator<Item = &'a Socket>, wait: Duration) {
    let wait = Timespec {
        tv_sec: 0,
        tv_nsec: wait.min(LONGEST_WAIT).subsec_nanos().into(),
    };
    let sockets = sockets.into_iter();
    let sockets = sockets.map(|it| PollFd::new(&it.socket, PollFlags::IN));
    // A wait that ends too early, or at once, does no harm.
    let _ = poll(&mut sockets.collect::<Vec<_>>(), Some(&wait));
}

/// Enlarges the kernel's buffer: the default is full after a few hundred datagrams. The privileged
/// call has no limit; a node also runs if both calls fail.
fn enlarge(socket: &UdpSocket, size: usize) {
    #[cfg(target_os = "linux")]
    if set_socket_recv_buffer_size_force(socket, size).is_ok() {
        return;
    }
    let _ = set_socket_recv_buffer_size(socket, size);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> (Socket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        (Socket::new(socket, 1 << 20).unwrap(), address)
    }

    /// Returns the first byte of the next datagram.
    fn next(socket: &mut Socket) -> Option<u8> {
        wait_for_any([&*socket], LONGEST_WAIT);
        let (datagram, _) = socket.receive()?;
        datagram.first().copied()
    }

    #[test]
    fn a_wait_ends_neither_early_nor_much_too_late() {
        let (mut socket, _) = socket();
        for (wait, least, most) in [
            (0, 0, 5),
            (1, 1, 8),
            (6, 6, 13),
            (10, 9, 30),
            (5000, 9, 100),
        ] {
            let [wait, least, most] = [wait, least, most].map(Duration::from_millis);
            // The machine may be busy, so one wait that ends in time is enough.
            let times = (0..20).map(|_| {
                let start = Instant::now();
                assert!(socket.receive_within(wait).is_none() && start.elapsed() >= least);
                start.elapsed()
            });
            let soonest = times.min().unwrap();
            assert!(soonest < most, "{soonest:?} instead of {wait:?}");
        }
        assert_eq!(socket.counters, Counters::default());
    }

    #[test]
    fn a_dead_peer_is_no_receive_error() {
        let ((mut one, _), (two, at_two)) = (socket(), socket());
        drop(two);
        for _ in 0..3 {
            one.send(at_two, b"anybody?");
            assert!(one.receive_within(LONGEST_WAIT).is_none() && one.receive().is_none());
        }
        assert_eq!(one.counters.sent + one.counters.send_errors, 3);
        assert_eq!(one.counters.receive_errors, 0);
    }

    #[test]
    fn there_is_room_for_a_burst() {
        let ((mut one, _), (mut two, at_two)) = (socket(), socket());
        (0..1000).for_each(|_| one.send(at_two, b"burst"));
        assert_eq!(std::iter::from_fn(|| next(&mut two)).count(), 1000);
    }
}
