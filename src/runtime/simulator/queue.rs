//! The events of a simulation, in order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// A future event.
pub(super) enum Happening {
    /// An actor starts.
    Start { node: usize },
    /// A datagram arrives.
    Datagram {
        from: usize,
        to: usize,
        bytes: Vec<u8>,
    },
    /// An event of a process is due, if the process has not started again since.
    Wake { node: usize, life: u64 },
    /// A save is durable, if the process has not started again since.
    Synced { node: usize, life: u64 },
}

/// Events by time. Events at the same time come in the order in which they were planned.
///
/// Only small numbers are sorted; the events are not moved.
#[derive(Default)]
pub(super) struct Queue {
    order: BinaryHeap<Reverse<(Duration, u64, usize)>>,
    happenings: Vec<Option<Happening>>,
    free: Vec<usize>,
    planned: u64,
}

impl Queue {
    pub(super) fn push(&mut self, at: Duration, happening: Happening) {
        let place = match self.free.pop() {
            Some(place) => place,
            None => {
                self.happenings.push(None);
                self.happenings.len() - 1
            }
        };
        self.happenings[place] = Some(happening);
        self.order.push(Reverse((at, self.planned, place)));
        self.planned += 1;
    }

    /// Takes the next event, unless it is later than `until`.
    pub(super) fn pop_until(&mut self, until: Duration) -> Option<(Duration, Happening)> {
        let Reverse((at, _, _)) = self.order.peek()?;
        if *at > until {
            return None;
        }
        let Reverse((at, _, place)) = self.order.pop()?;
        self.free.push(place);
        let happening = self.happenings[place].take()?;
        Some((at, happening))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_first_happens_first_and_places_are_used_again() {
        let mut queue = Queue::default();
        let us = Duration::from_micros;
        for round in 0..3 {
            for (at, node) in [(3, 0), (1, 1), (3, 2), (2, 3), (9, 4)] {
                let at = us(10 * round + at);
                queue.push(at, Happening::Wake { node, life: 0 });
            }
            let until = us(10 * round + 3);
            let popped = std::iter::from_fn(|| queue.pop_until(until));
            let nodes = popped.map(|(_, happening)| match happening {
                Happening::Wake { node, .. } => node,
                _ => panic!("nothing else was planned"),
            });
            let nodes: Vec<usize> = nodes.collect();
            let late = if round > 0 { vec![4] } else { vec![] };
            assert_eq!(nodes, [late, vec![1, 3, 0, 2]].concat());
            assert!(queue.happenings.len() <= 6);
        }
    }
}
