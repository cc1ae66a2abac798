//! Which messages can never matter again, and which never could.

use super::{Cluster, Leader, Message, MessageOf, NodeState, Phase};
use crate::ballot::NodeId;
use crate::machine::Machine;
use crate::vote::Vote;

/// Whether the slots that a message tells of exist: there are `slots` of them.
pub(super) fn is_possible<C, R>(message: &Message<C, R>, slots: u64) -> bool {
    match message {
        Message::Accept { slot, .. } | Message::Accepted { slot, .. } => slot.0 < slots,
        Message::Promise { votes, .. } => {
            let last = votes.last_key_value();
            last.is_none_or(|(slot, _)| slot.0 < slots)
        }
        Message::Entries { from, entries } => {
            let end = from.0.checked_add(entries.len() as u64);
            end.is_some_and(|end| end <= slots)
        }
        // Those that only say up to where, or from where, are safe with any number.
        Message::Request(_)
        | Message::Read { .. }
        | Message::Reply { .. }
        | Message::Prepare { .. }
        | Message::Continue { .. }
        | Message::Nack { .. }
        | Message::Decided { .. }
        | Message::Ask { .. }
        | Message::Chunk(_)
        | Message::Fetch { .. }
        | Message::Heartbeat { .. }
        | Message::HeartbeatAck { .. } => true,
    }
}

impl<M: Machine> NodeState<M> {
    /// Whether `message` from `from` can never again change this process or make it speak,
    /// whatever it does next: not even after a restart.
    ///
    /// The checker drops such messages, and verifies the claim on every step that it explores.
    /// Nothing else depends on it.
    #[must_use]
    pub fn is_stale(&self, cluster: &Cluster<M>, from: NodeId, message: &MessageOf<M>) -> bool {
        let acceptor = self.acceptor.as_ref();
        let leader = self.leader.as_ref();
        let learner = self.learner.as_ref();
        match message {
            Message::Request(_) | Message::Read { .. } => leader.is_none(),
            Message::Ask { .. } | Message::Fetch { .. } => learner.is_none(),
            // Whoever is told of a refusal may be told of the next one as well.
            Message::Prepare { .. } | Message::Accept { .. } | Message::Heartbeat { .. }
                if cluster.nacks =>
            {
                false
            }
            Message::Prepare { ballot, .. } => {
                acceptor.is_none_or(|it| it.is_past_prepare(*ballot))
            }
            Message::Continue { ballot, .. }
            | Message::Accept {
                vote: Vote { ballot, .. },
                ..
            } => acceptor.is_none_or(|it| it.is_past_accept(*ballot)),
            Message::Promise {
                ballot, decided, ..
            } => {
                self.decided() >= *decided
                    && leader.is_none_or(|it| it.is_past_promise(from, *ballot))
            }
            Message::Accepted { ballot, slot } => {
                leader.is_none_or(|it| it.is_past_accepted(from, *ballot, *slot))
            }
            Message::Nack { promised, decided } => {
                self.decided() >= *decided && leader.is_none_or(|it| it.ballot >= Some(*promised))
            }
            Message::Decided { upto, .. } => self.decided() >= *upto,
            Message::Entries { from, entries } => {
                self.decided().0 >= from.0.saturating_add(entries.len() as u64)
            }
            Message::Chunk(chunk) => learner.is_none() || self.decided() >= chunk.upto,
            Message::Heartbeat { ballot, upto, .. } => match acceptor {
                Some(acceptor) => acceptor.is_past_accept(*ballot),
                None => {
                    let is_over = |it: &Leader<_>| it.ballot >= Some(*ballot);
                    self.decided() >= *upto && leader.is_none_or(is_over)
                }
            },
            Message::HeartbeatAck { ballot, heartbeat } => {
                leader.is_none_or(|it| match &it.phase {
                    _ if it.ballot != Some(*ballot) => it.ballot > Some(*ballot),
                    Phase::Leading(leadership) => leadership.has_ack(from, *heartbeat),
                    phase => !matches!(phase, Phase::Preparing(_)),
                })
            }
            Message::Reply { .. } => true,
        }
    }
}
