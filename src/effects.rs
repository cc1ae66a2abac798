//! What a step of a process wants done: messages and alarms. And what it may have to save first.

use crate::ballot::NodeId;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// A state of which a part must survive a restart.
pub(crate) trait Persistent {
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
pub(crate) struct Effects<M, T> {
    me: NodeId,
    /// Messages to the process itself, which are handled in the same step.
    own: VecDeque<M>,
    /// Messages to other processes.
    pub(crate) sends: Vec<(NodeId, M)>,
    /// Alarms to set to a time from a range, or (`None`) to cancel.
    pub(crate) timers: Vec<(T, Option<Range<Duration>>)>,
}

impl<M, T> Effects<M, T> {
    /// Those of a step of process `me` that is about to begin.
    pub(crate) fn of(me: NodeId) -> Self {
        Self {
            me,
            own: VecDeque::new(),
            sends: Vec::new(),
            timers: Vec::new(),
        }
    }

    /// The process that takes the step.
    pub(crate) fn me(&self) -> NodeId {
        self.me
    }

    /// Takes the next message of the process to itself.
    pub(crate) fn next_own(&mut self) -> Option<M> {
        self.own.pop_front()
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, to: NodeId, message: M) {
        if to == self.me {
            self.own.push_back(message);
        } else {
            self.sends.push((to, message));
        }
    }

    /// Sends a message to several processes.
    pub(crate) fn broadcast(&mut self, to: impl IntoIterator<Item = NodeId>, message: &M)
    where
        M: Clone,
    {
        for node in to {
            self.send(node, message.clone());
        }
    }

    /// Sets an alarm to a time from a range.
    pub(crate) fn set(&mut self, timer: impl Into<T>, wait: Range<Duration>) {
        self.timers.push((timer.into(), Some(wait)));
    }

    /// Cancels an alarm.
    pub(crate) fn cancel(&mut self, timer: impl Into<T>) {
        self.timers.push((timer.into(), None));
    }
}
