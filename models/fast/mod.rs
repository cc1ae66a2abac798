//! Fast Paxos as a closed system.
//!
//! Every client sends its value to every acceptor and coordinator: so in a fast ballot any acceptor
//! may come to vote for any value, and values are free of the order of ballots.

mod config;
pub mod mutants;

pub use config::Config;

use crate::models::calls::{self, Calls};
use crate::models::config::{ConfigError, Shared};
use crate::models::mutant::{Broken, Mutant};
use crate::models::one_decree::{
    Closed, Example, OneDecree, PREEMPTED, Parts, Seen, alike, nodes, preempted,
};
use crate::models::relabel::relabelled;
use synod::ballot::NodeId;
use synod::checker::WorldState;
use synod::fast::{
    Acceptor, ClientState, Cluster, Coordinator, Durable, Learner, Message, NodeState, Phase, Poll,
    Process, ProcessState, Request,
};
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

/// Fast Paxos: nodes, clients and an observer.
pub type Fast = Closed<Process<char>>;

fn fast(system: &Fast, state: &WorldState<Fast>) -> bool {
    let quorums = &system.cluster().quorums;
    let past = &state.history.past;
    let (mut votes, mut before) = (past.votes.iter(), past.chosen.values());
    before.any(|ballot| quorums.rounds().is_fast(*ballot))
        || votes.any(|(vote, voters)| {
            quorums.rounds().is_fast(vote.ballot) && quorums.chooses(vote.ballot, *voters)
        })
}

/// Whether an acceptor voted in a fast ballot, and another for another value in the one that
/// resolves it.
fn collided(system: &Fast, state: &WorldState<Fast>) -> bool {
    let rounds = system.cluster().quorums.rounds();
    let votes = || nodes(state).filter_map(|node| node.acceptor.as_ref()?.vote.as_ref());
    votes().any(|lost| {
        let recovery = rounds.recovery(lost.ballot);
        votes().any(|won| Some(won.ballot) == recovery && won.value != lost.value)
    })
}

impl OneDecree for Process<char> {
    const NAME: &'static str = "fast";
    const ABOUT: &'static str =
        "Fast Paxos: one decree, for which clients ask the acceptors themselves";
    const PROPOSER: &'static str = "coordinator";

    alike!(coordinators);

    /// To the coordinator of a fast ballot even votes that cannot choose any more tell something:
    /// that clients have collided.
    fn is_watched(cluster: &Cluster, node: NodeId, vote: &Vote<char>) -> bool {
        cluster.quorums.rounds().is_fast(vote.ballot) && node == vote.ballot.node
    }

    fn showing(seen: Option<Seen>, decided: Option<char>) -> NodeState<char> {
        NodeState {
            acceptor: seen.map(|(promised, vote)| Acceptor {
                promised,
                open: false,
                vote: vote.cloned(),
            }),
            coordinator: None,
            learner: Some(Learner::restart(decided)),
        }
    }

    fn hide_counts(node: &mut NodeState<char>) {
        match node.coordinator.as_mut().map(|it| &mut it.phase) {
            Some(Phase::Preparing { promises, poll }) => {
                (*promises, *poll) = (AcceptorSet::new(), Poll::default());
            }
            Some(Phase::Watching { poll }) => *poll = Poll::default(),
            _ => {}
        }
        if let Some(learner) = &mut node.learner {
            learner.poll = Poll::default();
        }
    }

    fn examples(system: &Fast) -> Vec<Example<Self>> {
        let cluster = system.cluster();
        let has_fast = cluster.quorums.rounds().fast > 0;
        let is_split = !system.one_vote_chooses();
        // The first round may be the last one; and one value does not collide.
        let is_resolved = has_fast && cluster.round_max > 1;
        // A lone coordinator meets nobody to outbid it; where one vote chooses, no ballot is left
        // between its first vote and its choice; and where the first round is fast, the second is
        // there to resolve it, so that it takes a third to leave it for another's.
        let competes = cluster.coordinators.len() > 1;
        let is_short = has_fast && cluster.round_max < 3;
        vec![
            (
                has_fast,
                "Fast: a value is chosen in a fast ballot.",
                |world, state| fast(world.system(), state),
            ),
            (
                is_resolved && system.clients() > 1 && is_split,
                "Collided: acceptors vote for several values, and one is picked.",
                |world, state| collided(world.system(), state),
            ),
            (
                competes && is_split && !is_short,
                PREEMPTED,
                preempted::<Self>,
            ),
            (
                competes && cluster.nacks,
                "Abandoned: a coordinator that is refused gives up its ballot.",
                |_, state| {
                    let given_up =
                        |it: &Coordinator<_>| matches!(it.phase, Phase::Preempted { .. });
                    let mut nodes = nodes::<Self>(state);
                    nodes.any(|node| node.coordinator.as_ref().is_some_and(given_up))
                },
            ),
        ]
    }
}

relabelled! { Acceptor<char> { vote; promised, open } }
relabelled! { Request<char> { client, value } }
relabelled! { Coordinator<char> { request, phase; ballot } }
relabelled! { Phase<char>:
    Idle {}
    Preparing { promises, poll }
    Watching { poll }
    Accepting { value }
    Preempted { ; by }
}
relabelled! { Poll<char> { votes; ballot } }
relabelled! { Learner<char> { poll, decided } }
relabelled! { NodeState<char> { acceptor, coordinator, learner } }
relabelled! { ClientState<char> { decided } }
relabelled! { Durable<char> { acceptor, decided; ballot } }
relabelled! { Message<char>:
    Propose { value }
    Prepare { ; ballot }
    Promise { vote; ballot }
    Any { ; ballot }
    Accept { vote }
    Accepted { vote }
    Nack { ; promised }
    Decided { value }
    Ask {}
}
