//! Basic Paxos with its acceptors, and its clients, permuted: a client goes with its value.

use stateright::actor::Id;
use synod::ballot::NodeId;
use synod::basic::{
    Acceptor, Client, ClientState, Durable, Learner, Message, NodeState, Phase, ProcessState,
    Proposer, Request, Tally,
};
use synod::checker::Permutation;
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

/// A permutation of ids, and what it does to values.
///
/// Ballots carry the ids of proposers only, which are never permuted.
pub(super) struct Relabel<'a> {
    by: &'a Permutation,
    /// The id of the first client.
    first: usize,
    clients: &'a [Client<char>],
}

impl<'a> Relabel<'a> {
    pub(super) fn new(by: &'a Permutation, first: usize, clients: &'a [Client<char>]) -> Self {
        Self { by, first, clients }
    }

    fn node(&self, node: NodeId) -> NodeId {
        self.by.apply(node.into()).into()
    }

    fn acceptors(&self, set: AcceptorSet) -> AcceptorSet {
        set.iter().map(|node| self.node(node)).collect()
    }

    /// A value under the permutation: that of its client's image. What no client proposed stays.
    pub(super) fn value(&self, value: char) -> char {
        let client = self.clients.iter().position(|client| client.value == value);
        let image = client.map(|index| self.by.apply(Id::from(self.first + index)));
        let image = image.and_then(|id| usize::from(id).checked_sub(self.first));
        let client = image.and_then(|index| self.clients.get(index));
        client.map_or(value, |client| client.value)
    }

    fn vote(&self, vote: &Vote<char>) -> Vote<char> {
        Vote {
            ballot: vote.ballot,
            value: self.value(vote.value),
        }
    }

    fn acceptor(&self, acceptor: &Acceptor<char>) -> Acceptor<char> {
        Acceptor {
            promised: acceptor.promised,
            vote: acceptor.vote.as_ref().map(|vote| self.vote(vote)),
        }
    }

    fn proposer(&self, proposer: &Proposer<char>) -> Proposer<char> {
        let request = proposer.request.as_ref().map(|request| Request {
            client: self.node(request.client),
            value: self.value(request.value),
        });
        let phase = match &proposer.phase {
            Phase::Idle => Phase::Idle,
            Phase::Preparing { promises, highest } => Phase::Preparing {
                promises: self.acceptors(*promises),
                highest: highest.as_ref().map(|vote| self.vote(vote)),
            },
            Phase::Accepting { value } => Phase::Accepting {
                value: self.value(*value),
            },
            Phase::Preempted { by } => Phase::Preempted { by: *by },
        };
        Proposer {
            ballot: proposer.ballot,
            request,
            phase,
        }
    }

    fn learner(&self, learner: &Learner<char>) -> Learner<char> {
        Learner {
            tally: learner.tally.as_ref().map(|tally| Tally {
                proposal: self.vote(&tally.proposal),
                voters: self.acceptors(tally.voters),
            }),
            decided: learner.decided.map(|value| self.value(value)),
        }
    }

    pub(super) fn state(&self, state: &ProcessState<char>) -> ProcessState<char> {
        match state {
            ProcessState::Node(node) => ProcessState::Node(NodeState {
                acceptor: node.acceptor.as_ref().map(|it| self.acceptor(it)),
                proposer: node.proposer.as_ref().map(|it| self.proposer(it)),
                learner: node.learner.as_ref().map(|it| self.learner(it)),
            }),
            ProcessState::Client(client) => ProcessState::Client(ClientState {
                decided: client.decided.map(|value| self.value(value)),
            }),
        }
    }

    pub(super) fn message(&self, message: &Message<char>) -> Message<char> {
        match message {
            Message::Propose { value } => Message::Propose {
                value: self.value(*value),
            },
            Message::Promise { ballot, vote } => Message::Promise {
                ballot: *ballot,
                vote: vote.as_ref().map(|vote| self.vote(vote)),
            },
            Message::Accept { vote } => Message::Accept {
                vote: self.vote(vote),
            },
            Message::Accepted { vote } => Message::Accepted {
                vote: self.vote(vote),
            },
            Message::Decided { value } => Message::Decided {
                value: self.value(*value),
            },
            Message::Prepare { .. } | Message::Nack { .. } | Message::Ask => message.clone(),
        }
    }

    pub(super) fn durable(&self, durable: &Durable<char>) -> Durable<char> {
        Durable {
            acceptor: durable.acceptor.as_ref().map(|it| self.acceptor(it)),
            ballot: durable.ballot,
            decided: durable.decided.map(|value| self.value(value)),
        }
    }
}
