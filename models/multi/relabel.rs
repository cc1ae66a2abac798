//! Multi-Paxos with its acceptors permuted.

use super::{Command, History, Proc, Register};
use std::collections::BTreeMap;
use synod::ballot::NodeId;
use synod::checker::Permutation;
use synod::invariant::Breach;
use synod::multi::{Leader, Phase, ProcessState};
use synod::quorum::AcceptorSet;

/// A permutation of acceptors. Ballots, requests and sessions carry the ids of proposers and of
/// clients only, which are never permuted; so no message changes, and nothing that is saved.
pub(super) struct Relabel<'a>(pub(super) &'a Permutation);

impl Relabel<'_> {
    fn node(&self, node: NodeId) -> NodeId {
        self.0.apply(node.into()).into()
    }

    fn acceptors(&self, set: AcceptorSet) -> AcceptorSet {
        set.iter().map(|node| self.node(node)).collect()
    }

    fn leader(&self, leader: &mut Leader<Command>) {
        match &mut leader.phase {
            Phase::Preparing(campaign) => campaign.promises = self.acceptors(campaign.promises),
            Phase::Leading(leadership) => {
                for proposal in leadership.open.values_mut() {
                    proposal.voters = self.acceptors(proposal.voters);
                }
                // Where several acceptors become one, it must not matter which came first.
                for (id, heartbeat) in std::mem::take(&mut leadership.acks) {
                    let merged = leadership.acks.entry(self.node(id)).or_default();
                    *merged = heartbeat.max(*merged);
                }
            }
            Phase::Following | Phase::Preempted { .. } => {}
        }
    }

    pub(super) fn state(&self, state: &Proc) -> ProcessState<Register> {
        let mut state = state.clone();
        if let ProcessState::Node(node) = &mut state
            && let Some(leader) = &mut node.leader
        {
            self.leader(leader);
        }
        state
    }

    pub(super) fn record(&self, record: &History) -> History {
        let mut record = record.clone();
        for voters in record.votes.values_mut().flat_map(BTreeMap::values_mut) {
            *voters = self.acceptors(*voters);
        }
        let breaches = record.breaches.iter().map(|breach| Breach {
            acceptor: self.node(breach.acceptor),
            ..*breach
        });
        record.breaches = breaches.collect();
        record
    }
}
