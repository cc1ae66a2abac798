//! Basic Paxos as a closed system.
//!
//! Every client sends its value to every proposer, and a proposer pursues the first that reaches
//! it: so any proposer may come to pursue any value, and values are free of the order of ballots.
//! If each asks one proposer only, there is much less to visit, and values go with proposers.

mod config;
pub mod mutants;
mod relabel;

pub use config::{Asks, Config, Layout};

use crate::console::output::Output;
use crate::console::{Error, Exit};
use crate::models::calls::Calls;
use crate::models::cluster::{self, ClusterArgs};
use crate::models::config::{Assumptions, ConfigError};
use crate::models::mutant::{Broken, Mutant, Mutated};
use crate::models::observer::History;
use crate::models::protocol::Protocol;
use crate::models::scenarios::told;
use crate::models::simulate::{self, Plan, Simulated};
use relabel::Relabel;
use stateright::Property;
use stateright::actor::{Actor, Envelope, Id};
use std::io;
use std::sync::Arc;
use synod::ballot::NodeId;
use synod::basic::{
    Acceptor, Client, ClientState, Cluster, Durable, Learner, Message, NodeState, Phase, Process,
    ProcessState, Timer,
};
use synod::checker::{Permutation, StepProperty, System, World, WorldState};
use synod::invariant::{
    self, Agreement, DecidedIsChosen, DecisionStands, Invariant, OneValuePerBallot, PromiseKept,
    Validity, View, VotesSafe,
};
use synod::quorum::AcceptorSet;

/// What is seen of a node: all that it shows, what it decided, what it promised, that and its vote,
/// or nothing, where what the observer recorded is enough.
const EVERYTHING: usize = 0;
const DECISIONS: usize = 1;
const PROMISES: usize = 2;
const VOTES: usize = 3;
const NOTHING: usize = 4;

/// Basic Paxos: nodes, clients and an observer. `A` is the process, or a broken one.
#[derive(Clone, Debug)]
pub struct Basic<A> {
    actors: Vec<A>,
    /// The clients, whether they are actors or not; their ids follow those of the nodes.
    clients: Vec<Client<char>>,
    nodes: usize,
    cluster: Arc<Cluster>,
}

impl<A> Basic<A> {
    /// How a permutation changes ids, and the values that go with clients.
    fn relabel<'a>(&'a self, by: &'a Permutation) -> Relabel<'a> {
        Relabel::new(by, self.nodes, &self.clients)
    }

    fn one_vote_chooses(&self) -> bool {
        let quorums = &self.cluster.quorums;
        let mut acceptors = quorums.acceptors().iter();
        acceptors.any(|acceptor| quorums.is_phase2([acceptor].into_iter().collect()))
    }

    /// Who plays which role.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The same system with each actor replaced.
    pub fn map<B>(self, change: impl FnMut(A) -> B) -> Basic<B> {
        Basic {
            actors: self.actors.into_iter().map(change).collect(),
            clients: self.clients,
            nodes: self.nodes,
            cluster: self.cluster,
        }
    }
}

/// An actor that speaks Basic Paxos: the shipped process, or one that breaks its rules.
pub trait PaxosActor:
    Actor<
        Msg = Message<char>,
        Timer = Timer,
        State = ProcessState<char>,
        Storage = Durable<char>,
        Random = (),
    > + Send
    + Sync
    + 'static
{
}

impl PaxosActor for Process<char> {}

impl PaxosActor for Mutated<Process<char>> {}

impl Protocol for Process<char> {
    const NAME: &'static str = "basic";
    const TITLE: &'static str = "Basic Paxos";
    const ABOUT: &'static str = "Basic Paxos: one decree";
    type Config = Config;
    type System = Basic<Mutated<Self>>;

    fn mutants() -> impl Iterator<Item = &'static Mutant<Self>> {
        mutants::ALL.iter().chain(mutants::HARMLESS)
    }

    fn system(config: &Config, mutant: Broken<Self>) -> Result<Self::System, ConfigError> {
        let system = config.system()?;
        Ok(system.map(|actor| Mutated::new(actor, mutant)))
    }

    fn world(config: &Config) -> &Assumptions {
        &config.shared.world
    }

    fn chosen(system: &Self::System, state: &WorldState<Self::System>) -> Vec<String> {
        chosen(system, state)
    }

    fn begin_calls(system: &Self::System, calls: &Calls) -> io::Result<()> {
        calls.begin(Self::NAME, system.cluster());
        Ok(())
    }

    fn observe(world: World<Self::System>, calls: &Arc<Calls>) -> World<Self::System> {
        let calls = Arc::clone(calls);
        world.observed_by(move |call| calls.record(call))
    }

    fn cluster(args: &ClusterArgs, output: &mut Output) -> Result<Exit, Error> {
        cluster::one_decree::<synod::basic::Process<String>>(args, Self::NAME, output)
    }

    fn simulate(plan: &Plan, mutant: Broken<Self>, seed: u64) -> Result<Simulated, String> {
        simulate::one_decree(plan, mutant, seed)
    }
}

/// The refinement map: what the observer sees in a global state.
fn view<'a, A: PaxosActor>(
    system: &'a Basic<A>,
    state: &'a WorldState<Basic<A>>,
) -> View<'a, char> {
    let nodes = || (0..).map(NodeId).zip(state.states());
    let promised = nodes().filter_map(|(id, state)| {
        let promised = state.node()?.acceptor.as_ref()?.promised?;
        Some((id, promised))
    });
    let decided = nodes().filter_map(|(id, state)| Some((id, *state.decided()?)));
    state.history.view(
        &system.cluster.quorums,
        system.clients.iter().map(|client| client.value).collect(),
        promised.collect(),
        decided.collect(),
    )
}

/// The values that are chosen.
pub fn chosen<A: PaxosActor>(system: &Basic<A>, state: &WorldState<Basic<A>>) -> Vec<String> {
    let view = view(system, state);
    let chosen = view.chosen();
    chosen.into_iter().map(char::to_string).collect()
}

fn always<I: Invariant, A: PaxosActor>() -> Property<World<Basic<A>>> {
    Property::always(I::PROPERTY, |world, state| {
        I::holds(&view(world.system(), state))
    })
}

/// The nodes' states.
fn nodes<A: PaxosActor>(state: &WorldState<Basic<A>>) -> impl Iterator<Item = &NodeState<char>> {
    state.states().filter_map(ProcessState::node)
}

/// The name of the example that a value gets chosen.
pub const CHOSEN: &str = "Chosen: some value is chosen.";
/// The name of the example that a ballot is cut short by a higher one.
pub const PREEMPTED: &str =
    "Preempted: an acceptor leaves a ballot, not yet chosen, for another's.";
/// The name of the example that a proposer hears of it.
pub const ABANDONED: &str = "Abandoned: a proposer that is refused gives up its ballot.";
/// The name of the example that a proposer adopts another's value.
pub const RECOVERED: &str = "Recovered: a proposer takes over a value voted for in a lower ballot.";

fn preempted<A: PaxosActor>(system: &Basic<A>, state: &WorldState<Basic<A>>) -> bool {
    let is_chosen = !view(system, state).chosen().is_empty();
    let mut acceptors = nodes(state).filter_map(|node| node.acceptor.as_ref());
    !is_chosen
        && acceptors.any(|acceptor| match (acceptor.promised, &acceptor.vote) {
            (Some(promised), Some(vote)) => promised.node != vote.ballot.node,
            _ => false,
        })
}

fn recovered<A: PaxosActor>(state: &WorldState<Basic<A>>) -> bool {
    nodes(state)
        .filter_map(|node| node.proposer.as_ref())
        .any(|proposer| {
            let Phase::Accepting { value } = &proposer.phase else {
                return false;
            };
            proposer
                .request
                .as_ref()
                .is_none_or(|own| own.value != *value)
        })
}

impl<A: PaxosActor> System for Basic<A> {
    type Actor = A;
    type History = History;

    fn actors(&self) -> &[A] {
        &self.actors
    }

    fn outside(&self) -> Vec<Envelope<Message<char>>> {
        if self.actors.len() > self.nodes {
            return Vec::new();
        }
        let ids = (self.nodes..).map(Id::from);
        let request = |(src, client): (Id, &Client<char>)| {
            let msg = client.request();
            let proposers = client.proposers.clone().into_iter().map(Id::from);
            proposers.map(move |dst| Envelope {
                src,
                dst,
                msg: msg.clone(),
            })
        };
        ids.zip(&self.clients).flat_map(request).collect()
    }

    fn properties(&self) -> Vec<Property<World<Self>>> {
        let mut properties = vec![
            always::<Agreement, A>(),
            always::<Validity, A>(),
            always::<OneValuePerBallot, A>(),
            always::<VotesSafe, A>(),
            always::<PromiseKept, A>(),
            always::<DecidedIsChosen, A>(),
            Property::sometimes(CHOSEN, |world: &World<Self>, state| {
                !view(world.system(), state).chosen().is_empty()
            }),
        ];
        // A lone proposer meets nobody to outbid it, or to take a value over from; and where one
        // vote chooses, no ballot is left between its first vote and its choice.
        if self.cluster.proposers.len() > 1 {
            if !self.one_vote_chooses() {
                properties.push(Property::sometimes(
                    PREEMPTED,
                    |world: &World<Self>, state| preempted(world.system(), state),
                ));
            }
            if self.cluster.nacks {
                properties.push(Property::sometimes(ABANDONED, |_, state| {
                    let mut proposers = nodes(state).filter_map(|node| node.proposer.as_ref());
                    proposers.any(|proposer| matches!(proposer.phase, Phase::Preempted { .. }))
                }));
            }
            if self.clients.len() > 1 {
                properties.push(Property::sometimes(RECOVERED, |_, state| recovered(state)));
            }
        }
        properties
    }

    fn record(
        &self,
        history: &History,
        id: Id,
        before: &ProcessState<char>,
        after: &ProcessState<char>,
    ) -> Option<History> {
        let before = before.node()?.acceptor.as_ref()?;
        let after = after.node()?.acceptor.as_ref()?;
        history.after(
            id.into(),
            (before.promised, before.vote.as_ref()),
            (after.promised, after.vote.as_ref()),
        )
    }

    fn can_crash(&self, id: Id) -> bool {
        usize::from(id) < self.nodes
    }

    fn is_stale(
        &self,
        _: Id,
        state: &ProcessState<char>,
        src: Id,
        message: &Message<char>,
    ) -> bool {
        state.is_stale(&self.cluster, src.into(), message)
    }

    fn visible(&self, state: &ProcessState<char>) -> ProcessState<char> {
        let mut state = state.clone();
        if let ProcessState::Node(node) = &mut state {
            // Whose promises and votes are counted so far, no property asks.
            if let Some(proposer) = &mut node.proposer
                && let Phase::Preparing { promises, highest } = &mut proposer.phase
            {
                (*promises, *highest) = (AcceptorSet::new(), None);
            }
            if let Some(learner) = &mut node.learner {
                learner.tally = None;
            }
        }
        state
    }

    fn step_properties(&self) -> Vec<StepProperty<Self>> {
        vec![StepProperty {
            name: DecisionStands::PROPERTY,
            condition: |_, _, before, after| {
                DecisionStands::holds(before.decided(), after.decided())
            },
        }]
    }

    fn observations_commute(&self) -> bool {
        true
    }

    const PROJECTIONS: usize = 5;
    const FORGET_PROJECTION: usize = PROMISES;
    const RECORD_PROJECTION: usize = VOTES;

    fn projection_of(&self, property: &str) -> usize {
        if property == VotesSafe::PROPERTY {
            PROMISES
        } else if [OneValuePerBallot::PROPERTY, PromiseKept::PROPERTY].contains(&property) {
            NOTHING
        } else if invariant::ALL.iter().any(|it| it.property == property) {
            DECISIONS
        } else {
            EVERYTHING
        }
    }

    fn projection(&self, projection: usize, visible: &ProcessState<char>) -> ProcessState<char> {
        let ProcessState::Node(node) = visible else {
            return ProcessState::Client(ClientState { decided: None });
        };
        if projection == EVERYTHING {
            return visible.clone();
        }
        let seen = |acceptor: &Acceptor<char>| Acceptor {
            promised: acceptor.promised,
            vote: acceptor.vote.clone().filter(|_| projection == VOTES),
        };
        let acceptor = node.acceptor.as_ref();
        let acceptor = acceptor.filter(|_| [PROMISES, VOTES].contains(&projection));
        let decided = node.decided().filter(|_| projection == DECISIONS);
        ProcessState::Node(NodeState {
            acceptor: acceptor.map(seen),
            proposer: None,
            learner: Some(Learner::restart(decided.copied())),
        })
    }

    fn forget(&self, history: &History, seen: &[&ProcessState<char>]) -> Option<History> {
        history.forget(&self.cluster.quorums, |node| {
            let state = seen.get(usize::from(Id::from(node)))?;
            state.node()?.acceptor.as_ref()?.promised
        })
    }

    fn is_irrelevant(&self, history: &History, envelope: &Envelope<Message<char>>) -> bool {
        match &envelope.msg {
            Message::Accepted { vote } => history.is_irrelevant(vote),
            _ => false,
        }
    }

    fn interchangeable(&self) -> Vec<Vec<Id>> {
        // Clients that ask the same proposers, in the order of their ids.
        let mut classes: Vec<(&[NodeId], Vec<Id>)> = Vec::new();
        for (client, id) in self.clients.iter().zip(self.nodes..) {
            let asked = client.proposers.as_slice();
            match classes.iter_mut().find(|(others, _)| *others == asked) {
                Some((_, class)) => class.push(id.into()),
                None => classes.push((asked, vec![id.into()])),
            }
        }
        let mut classes: Vec<Vec<Id>> = classes.into_iter().map(|(_, class)| class).collect();
        let is_apart = |learner: &NodeId| {
            let nodes = &self.cluster;
            let is_acceptor = nodes.quorums.acceptors().contains(*learner);
            !is_acceptor && !nodes.proposers.contains(learner)
        };
        let learners = self.cluster.learners.iter().filter(|it| is_apart(it));
        classes.push(learners.map(|learner| Id::from(*learner)).collect());
        if !self.cluster.quorums.is_symmetric() {
            return classes;
        }
        let acceptors = self.cluster.quorums.acceptors().iter();
        let alike = acceptors.filter(|node| !self.cluster.proposers.contains(node));
        classes.insert(0, alike.map(Id::from).collect());
        classes
    }

    fn relabel_state(&self, state: &ProcessState<char>, by: &Permutation) -> ProcessState<char> {
        self.relabel(by).state(state)
    }

    fn relabel_message(&self, message: &Message<char>, by: &Permutation) -> Message<char> {
        self.relabel(by).message(message)
    }

    fn relabel_storage(&self, storage: &Durable<char>, by: &Permutation) -> Durable<char> {
        self.relabel(by).durable(storage)
    }

    fn relabel_history(&self, history: &History, by: &Permutation) -> History {
        let relabel = self.relabel(by);
        history.relabel(by, |value| relabel.value(value))
    }

    fn summary(&self, state: &WorldState<Self>) -> String {
        told(&chosen(self, state))
    }

    fn label(&self, id: Id) -> String {
        let node = NodeId::from(id);
        let roles = [
            (self.cluster.quorums.acceptors().contains(node), "acceptor"),
            (self.cluster.proposers.contains(&node), "proposer"),
            (self.cluster.learners.contains(&node), "learner"),
        ];
        let played: Vec<&str> = roles
            .iter()
            .filter(|(plays, _)| *plays)
            .map(|(_, r)| *r)
            .collect();
        match played.as_slice() {
            [] => format!("{node} client"),
            [role] => format!("{node} {role}"),
            _ => format!("{node} node"),
        }
    }
}
