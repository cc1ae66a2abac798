//! Multi-Paxos with its acceptors permuted. Requests and sessions carry the ids of clients only,
//! which are never permuted; so no value changes, no message, and nothing that is saved.

use super::{Command, History, Register, Reply};
use crate::models::relabel::{Relabel, Relabelled, relabelled};
use std::collections::BTreeMap;
use synod::multi::{ClientState, Leader, NodeState, Phase};

impl Relabelled for Phase<Command> {
    fn relabel(&mut self, by: &Relabel) {
        match self {
            Phase::Preparing(campaign) => campaign.promises.relabel(by),
            Phase::Leading(leadership) => {
                for proposal in leadership.open.values_mut() {
                    proposal.voters.relabel(by);
                }
                // Where several acceptors become one, it must not matter which came first.
                for (id, heartbeat) in std::mem::take(&mut leadership.acks) {
                    let merged = leadership.acks.entry(by.image(&id)).or_default();
                    *merged = heartbeat.max(*merged);
                }
            }
            Phase::Following | Phase::Preempted { .. } => {}
        }
    }
}

impl Relabelled for History {
    fn relabel(&mut self, by: &Relabel) {
        let votes = self.slots.values_mut().map(|past| &mut past.votes);
        for voters in votes.flat_map(BTreeMap::values_mut) {
            voters.relabel(by);
        }
        self.breaches.relabel(by);
    }
}

relabelled! { ClientState<Reply> { .. } }
relabelled! { Leader<Command> { phase, .. } }
relabelled! { Box<NodeState<Register>> { leader, .. } }
