//! What a step of a process wants done, and whether it has something to save before.

use crate::ballot::NodeId;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// A state of which a part must survive a restart.
///
/// Whoever drives a process takes a mark before a step, and saves what has changed since before the
/// step's messages leave.
pub trait Persistent {
    /// The part that is saved.
    type Durable;
    /// As much of that part as tells whether a step changed it: one is taken for every step, and so
    /// it must be cheap.
    type Mark;

    /// A mark of the durable part as it is now.
    fn mark(&self) -> Self::Mark;

    /// The durable part, if it is no longer what it was at the mark.
    fn changed_since(&self, mark: &Self::Mark) -> Option<Self::Durable>;
}

/// What a step wants done, once the state it leads to is durable.
pub struct Effects<M, T> {
    me: NodeId,
    /// Messages to the process itself, which are handled in the same step.
    own: VecDeque<M>,
    /// Messages to other processes.
    pub sends: Vec<(NodeId, M)>,
    /// Alarms to set to a time from a range, or (`None`) to cancel.
    pub timers: Vec<(T, Option<Range<Duration>>)>,
}

impl<M, T> Effects<M, T> {
    /// Those of a step of process `me` that is about to begin.
    #[must_use]
    pub fn of(me: NodeId) -> Self {
        Self {
            me,
            own: VecDeque::new(),
            sends: Vec::new(),
            timers: Vec::new(),
        }
    }

    /// The process that takes the step.
    #[must_use]
    pub fn me(&self) -> NodeId {
        self.me
    }

    /// Takes the next message of the process to itself.
    pub fn next_own(&mut self) -> Option<M> {
        self.own.pop_front()
    }

    /// Sends a message.
    pub fn send(&mut self, to: NodeId, message: M) {
        if to == self.me {
            self.own.push_back(message);
        } else {
            self.sends.push((to, message));
        }
    }

    /// Sends a message to several processes.
    pub fn broadcast(&mut self, to: impl IntoIterator<Item = NodeId>, message: &M)
    where
        M: Clone,
    {
        for node in to {
            self.send(node, message.clone());
        }
    }

    /// Sets an alarm to a time from a range.
    pub fn set(&mut self, timer: impl Into<T>, wait: Range<Duration>) {
        self.timers.push((timer.into(), Some(wait)));
    }

    /// Cancels an alarm.
    pub fn cancel(&mut self, timer: impl Into<T>) {
        self.timers.push((timer.into(), None));
    }
}

/// A node that is large is kept in a box.
impl<N: Persistent> Persistent for Box<N> {
    type Durable = N::Durable;
    type Mark = N::Mark;

    fn mark(&self) -> N::Mark {
        N::mark(self)
    }

    fn changed_since(&self, mark: &N::Mark) -> Option<N::Durable> {
        N::changed_since(self, mark)
    }
}
