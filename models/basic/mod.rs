//! Basic Paxos as a closed system.
//!
//! Every client sends its value to every proposer, and a proposer pursues the first that reaches
//! it: so any proposer may come to pursue any value, and values are free of the order of ballots.
//! If each asks one proposer only, there is much less to visit, and values go with proposers.

mod config;
pub mod mutants;

pub use config::{Asks, Config};

use crate::models::calls::{self, Calls};
use crate::models::config::{ConfigError, Shared};
use crate::models::mutant::{Broken, Mutant};
use crate::models::one_decree::{
    Closed, Example, OneDecree, PREEMPTED, Parts, Seen, alike, nodes, preempted,
};
use crate::models::relabel::relabelled;
use synod::ballot::NodeId;
use synod::basic::{
    Acceptor, ClientState, Cluster, Durable, Learner, Message, NodeState, Phase, Process,
    ProcessState, Proposer, Request, Tally,
};
use synod::checker::WorldState;
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

/// Basic Paxos: nodes, clients and an observer.
pub type Basic = Closed<Process<char>>;

/// Whether a proposer proposes a value other than the one that it was asked for.
fn adopts(proposer: &Proposer<char>) -> bool {
    let Phase::Accepting { value } = &proposer.phase else {
        return false;
    };
    let own = proposer.request.as_ref();
    own.is_none_or(|own| own.value != *value)
}

fn proposers(state: &WorldState<Basic>) -> impl Iterator<Item = &Proposer<char>> {
    nodes(state).filter_map(|node| node.proposer.as_ref())
}

impl OneDecree for Process<char> {
    const NAME: &'static str = "basic";
    const ABOUT: &'static str = "Basic Paxos: one decree";
    const PROPOSER: &'static str = "proposer";

    alike!(proposers);

    fn showing(seen: Option<Seen>, decided: Option<char>) -> NodeState<char> {
        NodeState {
            acceptor: seen.map(|(promised, vote)| Acceptor {
                promised,
                vote: vote.cloned(),
            }),
            proposer: None,
            learner: Some(Learner::restart(decided)),
        }
    }

    fn hide_counts(node: &mut NodeState<char>) {
        if let Some(proposer) = &mut node.proposer
            && let Phase::Preparing { promises, highest } = &mut proposer.phase
        {
            (*promises, *highest) = (AcceptorSet::new(), None);
        }
        if let Some(learner) = &mut node.learner {
            learner.tally = None;
        }
    }

    fn examples(system: &Basic) -> Vec<Example<Self>> {
        let cluster = system.cluster();
        // A lone proposer meets nobody to outbid it, or to take a value over from; and where one
        // vote chooses, no ballot is left between its first vote and its choice.
        let competes = cluster.proposers.len() > 1;
        vec![
            (
                competes && !system.one_vote_chooses(),
                PREEMPTED,
                preempted::<Self>,
            ),
            (
                competes && cluster.nacks,
                "Abandoned: a proposer that is refused gives up its ballot.",
                |_, state| proposers(state).any(|it| matches!(it.phase, Phase::Preempted { .. })),
            ),
            (
                competes && system.clients() > 1,
                "Recovered: a proposer takes over a value voted for in a lower ballot.",
                |_, state| proposers(state).any(adopts),
            ),
        ]
    }
}

relabelled! { Acceptor<char> { vote; promised } }
relabelled! { Request<char> { client, value } }
relabelled! { Proposer<char> { request, phase; ballot } }
relabelled! { Phase<char>:
    Idle {}
    Preparing { promises, highest }
    Accepting { value }
    Preempted { ; by }
}
relabelled! { Tally<char> { proposal, voters } }
relabelled! { Learner<char> { tally, decided } }
relabelled! { NodeState<char> { acceptor, proposer, learner } }
relabelled! { ClientState<char> { decided } }
relabelled! { Durable<char> { acceptor, decided; ballot } }
relabelled! { Message<char>:
    Propose { value }
    Prepare { ; ballot }
    Promise { vote; ballot }
    Accept { vote }
    Accepted { vote }
    Nack { ; promised }
    Decided { value }
    Ask {}
}
