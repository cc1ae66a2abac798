//! The protocols that choose one value as closed systems: nodes, clients and an observer.

use super::calls::{Calls, Recorded};
use super::cluster::{self, ClusterArgs, PaxosActor};
use super::config::{Assumptions, ConfigError, Shared};
use super::decree::Decree;
use super::mutant::{Breakable, Broken, Mutant, Mutated};
use super::observer::{
    self, DECISIONS, EVERYTHING, Observed, PROMISES, Past, VOTES, breaches, is_any_chosen,
    one_vote_chooses,
};
use super::protocol::Protocol;
use super::relabel::{Relabel, Relabelled};
use super::scenarios::told;
use super::simulate::{self, Plan, Simulated};
use crate::console::output::Output;
use crate::console::{Error, Exit};
use clap::Args;
use serde::Serialize;
use stateright::Property;
use stateright::actor::{Actor, Envelope, Id};
use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::sync::Arc;
use synod::actor::ProcessState;
use synod::ballot::{Ballot, NodeId};
use synod::checker::{Permutation, StepProperty, System, World, WorldState};
use synod::invariant::{Breach, DecisionStands, View};
use synod::quorum::QuorumSystem;
use synod::runtime::Runnable;
use synod::vote::Vote;

/// The nodes of a cluster by role.
pub struct Parts<'a> {
    /// The acceptors, and which of them are enough.
    pub quorums: &'a QuorumSystem,
    /// The proposers, by whatever name.
    pub proposers: &'a [NodeId],
    /// The learners.
    pub learners: &'a [NodeId],
}

/// The acceptor's part of a node: the ballot below which it does not vote, and its last vote.
pub type Seen<'a> = (Option<Ballot>, Option<&'a Vote<char>>);

/// A client: its value, and the nodes that it asks.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) value: char,
    pub(super) nodes: Vec<NodeId>,
}

/// A protocol that chooses one value.
pub trait OneDecree:
    Decree<char, Roles: fmt::Debug + Serialize + Send + Sync>
    + Runnable
    + Recorded
    + Actor<
        Msg: Relabelled + Ord + Send + Sync,
        Timer: Ord + Send + Sync,
        State = ProcessState<<Self as OneDecree>::Node, <Self as OneDecree>::Told>,
        Storage: Relabelled + Eq + Send + Sync,
        Random = (),
    > + Clone
    + fmt::Debug
    + Send
    + Sync
{
    /// The name on the command line.
    const NAME: &'static str;
    /// A sentence about it.
    const ABOUT: &'static str;
    /// The name of the role that starts ballots.
    const PROPOSER: &'static str;
    /// The state of a node.
    type Node: Relabelled + Clone + Eq + Send + Sync;
    /// The state of a client.
    type Told: Relabelled + Clone + Eq + Send + Sync;
    /// The settings of a closed system.
    type Config: Args + Clone + fmt::Debug + PartialEq + Send + Sync;
    /// The same process about texts, which runs over UDP.
    type Texts: PaxosActor;

    /// The mutants, the harmless ones last.
    fn mutants() -> impl Iterator<Item = &'static Mutant<Self>>;
    /// The closed system of a configuration, with the rule of a mutant broken.
    ///
    /// # Errors
    /// If a count is out of range, or the quorums do not intersect.
    fn closed(config: &Self::Config, mutant: Broken<Self>) -> Result<Closed<Self>, ConfigError>;
    /// Writes down `count` random calls of the handlers. The same seed gives the same calls.
    fn random_calls(calls: &Arc<Calls>, count: usize, seed: u64);
    /// The settings that all protocols share.
    fn shared(config: &Self::Config) -> &Shared;

    /// The nodes of a cluster by role.
    fn parts(cluster: &Self::Roles) -> Parts<'_>;
    /// A client's request.
    fn request(value: char) -> Self::Msg;
    /// The vote that a message tells learners of.
    fn accepted(message: &Self::Msg) -> Option<&Vote<char>>;
    /// Whether a vote that cannot choose any more still matters to a node.
    fn is_watched(_cluster: &Self::Roles, _node: NodeId, _vote: &Vote<char>) -> bool {
        false
    }

    /// The part of a node's state that must survive a restart.
    fn durable(node: &Self::Node) -> Self::Storage;
    /// What is seen of a node that is an acceptor.
    fn seen(node: &Self::Node) -> Option<Seen<'_>>;
    /// A node that shows this, and nothing else.
    fn showing(seen: Option<Seen>, decided: Option<char>) -> Self::Node;
    /// A client that was told nothing.
    fn told_nothing() -> Self::Told;
    /// Clears whose promises and votes are counted so far, for no property asks.
    fn hide_counts(node: &mut Self::Node);
    /// Whether a message from a node can never again matter.
    fn is_stale(
        cluster: &Self::Roles,
        state: &Self::State,
        src: NodeId,
        message: &Self::Msg,
    ) -> bool;

    /// The examples that a search must find, besides that a value is chosen.
    fn examples(system: &Closed<Self>) -> Vec<Example<Self>>;
}

/// The items of [`OneDecree`] that both protocols write alike: their types have the same names.
macro_rules! alike {
    ($proposers:ident) => {
        type Node = NodeState<char>;
        type Told = ClientState<char>;
        type Config = Config;
        type Texts = Process<String>;

        fn mutants() -> impl Iterator<Item = &'static Mutant<Self>> {
            mutants::ALL.iter().chain(mutants::HARMLESS)
        }

        fn closed(config: &Config, mutant: Broken<Self>) -> Result<Closed<Self>, ConfigError> {
            config.system(mutant)
        }

        fn random_calls(calls: &std::sync::Arc<Calls>, count: usize, seed: u64) {
            calls::one_decree::<Self>(calls, count, seed);
        }

        fn shared(config: &Config) -> &Shared {
            &config.shared
        }

        fn parts(cluster: &Cluster) -> Parts<'_> {
            Parts {
                quorums: &cluster.quorums,
                proposers: &cluster.$proposers,
                learners: &cluster.learners,
            }
        }

        fn request(value: char) -> Message<char> {
            Message::Propose { value }
        }

        fn accepted(message: &Message<char>) -> Option<&Vote<char>> {
            match message {
                Message::Accepted { vote } => Some(vote),
                _ => None,
            }
        }

        fn durable(node: &NodeState<char>) -> Durable<char> {
            node.durable()
        }

        fn seen(node: &NodeState<char>) -> Option<Seen<'_>> {
            let acceptor = node.acceptor.as_ref()?;
            Some((acceptor.promised, acceptor.vote.as_ref()))
        }

        fn told_nothing() -> ClientState<char> {
            ClientState { decided: None }
        }

        fn is_stale(
            cluster: &Cluster,
            state: &ProcessState<char>,
            src: NodeId,
            message: &Message<char>,
        ) -> bool {
            state.is_stale(cluster, src, message)
        }
    };
}
pub(super) use alike;

/// An example: whether the configuration has one, its name, and its condition.
pub type Example<P> = observer::Example<Closed<P>>;

/// What the observer remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// The votes and the choices.
    pub past: Past<char>,
    /// Every promise that was not kept.
    pub breaches: BTreeSet<Breach>,
}

/// A closed system of a protocol.
#[derive(Debug)]
pub struct Closed<P: OneDecree> {
    actors: Vec<Mutated<P>>,
    /// The clients, whether they are actors or not; their ids follow those of the nodes.
    clients: Vec<Client>,
    nodes: usize,
    cluster: Arc<P::Roles>,
}

impl<P: OneDecree> Clone for Closed<P> {
    fn clone(&self) -> Self {
        Self {
            actors: self.actors.clone(),
            clients: self.clients.clone(),
            nodes: self.nodes,
            cluster: Arc::clone(&self.cluster),
        }
    }
}

impl<P: OneDecree> Closed<P> {
    /// The system of a cluster with this many nodes. `asked` are the nodes that each client asks.
    pub(super) fn new(
        shared: &Shared,
        nodes: u32,
        cluster: P::Roles,
        asked: impl Fn(usize) -> Vec<NodeId>,
        mutant: Broken<P>,
    ) -> Self {
        let cluster = Arc::new(cluster);
        let values = shared.values().enumerate();
        let clients: Vec<Client> = values
            .map(|(place, value)| Client {
                value,
                nodes: asked(place),
            })
            .collect();
        let servers = (0..nodes).map(|_| P::server(Arc::clone(&cluster)));
        let asking = clients.iter().filter(|_| shared.replies);
        let asking = asking.map(|client| P::client(client.value, client.nodes.clone()));
        let actors = servers.chain(asking);
        Self {
            actors: actors.map(|actor| Mutated::new(actor, mutant)).collect(),
            clients,
            nodes: nodes as usize,
            cluster,
        }
    }

    /// Who plays which role.
    pub fn cluster(&self) -> &P::Roles {
        &self.cluster
    }

    /// The number of clients.
    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    pub(super) fn parts(&self) -> Parts<'_> {
        P::parts(&self.cluster)
    }

    pub(super) fn one_vote_chooses(&self) -> bool {
        one_vote_chooses(self.parts().quorums)
    }

    /// The refinement map: what the observer sees in a global state.
    fn view<'a>(&'a self, state: &'a WorldState<Self>) -> View<'a, char> {
        let nodes = || (0..).map(NodeId).zip(state.states());
        let promised = nodes().filter_map(|(id, state)| Some((id, P::seen(state.node()?)?.0?)));
        let decided = nodes().filter_map(|(id, state)| Some((id, *P::decided(state)?)));
        View {
            quorums: self.parts().quorums,
            proposed: self.clients.iter().map(|client| client.value).collect(),
            votes: &state.history.past.votes,
            chosen_before: &state.history.past.chosen,
            promised: promised.collect(),
            breaches: &state.history.breaches,
            decided: decided.collect(),
        }
    }

    fn relabel<'a>(&'a self, by: &'a Permutation) -> Relabel<'a> {
        Relabel {
            by,
            first: self.nodes,
            clients: &self.clients,
        }
    }
}

/// The nodes' states.
pub(super) fn nodes<P: OneDecree>(
    state: &WorldState<Closed<P>>,
) -> impl Iterator<Item = &<P as OneDecree>::Node> {
    state.states().filter_map(ProcessState::node)
}

/// The name of the example that a value gets chosen.
pub const CHOSEN: &str = "Chosen: some value is chosen.";
/// The name of the example that a ballot is cut short by a higher one.
pub const PREEMPTED: &str =
    "Preempted: an acceptor leaves a ballot, not yet chosen, for another's.";

/// Whether a ballot is cut short by a higher one.
pub(super) fn preempted<P: OneDecree>(
    world: &World<Closed<P>>,
    state: &WorldState<Closed<P>>,
) -> bool {
    let left = |node| match P::seen(node) {
        Some((Some(promised), Some(vote))) => promised.node != vote.ballot.node,
        _ => false,
    };
    !is_any_chosen(world, state) && nodes::<P>(state).any(left)
}

impl<P: OneDecree> Observed for Closed<P> {
    type Value = char;

    fn views<'a>(&'a self, state: &'a WorldState<Self>) -> impl Iterator<Item = View<'a, char>> {
        [self.view(state)].into_iter()
    }
}

impl<P: OneDecree> System for Closed<P> {
    type Actor = Mutated<P>;
    type History = History;

    fn actors(&self) -> &[Mutated<P>] {
        &self.actors
    }

    fn outside(&self) -> Vec<Envelope<P::Msg>> {
        if self.actors.len() > self.nodes {
            return Vec::new();
        }
        let ids = (self.nodes..).map(Id::from);
        let request = |(src, client): (Id, &Client)| {
            let (nodes, value) = (client.nodes.clone(), client.value);
            nodes.into_iter().map(move |node| Envelope {
                src,
                dst: node.into(),
                msg: P::request(value),
            })
        };
        ids.zip(&self.clients).flat_map(request).collect()
    }

    fn properties(&self) -> Vec<Property<World<Self>>> {
        let mut properties = observer::invariants();
        properties.push(Property::sometimes(CHOSEN, is_any_chosen));
        properties.extend(observer::due(P::examples(self)));
        properties
    }

    fn record(
        &self,
        history: &History,
        id: Id,
        before: &P::State,
        after: &P::State,
    ) -> Option<History> {
        let (promised_before, vote_before) = P::seen(before.node()?)?;
        let (promised, vote) = P::seen(after.node()?)?;
        let vote = vote.filter(|vote| vote_before != Some(vote));
        let voted = vote.map(|vote| vote.ballot);
        let mut seen = history.clone();
        let broken = breaches(id.into(), promised_before, promised, voted);
        seen.breaches.extend(broken);
        if let Some(vote) = vote {
            seen.past.cast(id.into(), vote);
        }
        (seen != *history).then_some(seen)
    }

    fn can_crash(&self, id: Id) -> bool {
        usize::from(id) < self.nodes
    }

    fn is_stale(&self, _: Id, state: &P::State, src: Id, message: &P::Msg) -> bool {
        P::is_stale(&self.cluster, state, src.into(), message)
    }

    fn visible(&self, state: &P::State) -> P::State {
        let mut state = state.clone();
        if let ProcessState::Node(node) = &mut state {
            P::hide_counts(node);
        }
        state
    }

    fn step_properties(&self) -> Vec<StepProperty<Self>> {
        vec![StepProperty {
            name: DecisionStands::PROPERTY,
            condition: |_, _, before, after| {
                DecisionStands::holds(P::decided(before), P::decided(after))
            },
        }]
    }

    fn observations_commute(&self) -> bool {
        true
    }

    const PROJECTIONS: usize = observer::PROJECTIONS;
    const FORGET_PROJECTION: usize = PROMISES;
    const RECORD_PROJECTION: usize = VOTES;

    fn projection_of(&self, property: &str) -> usize {
        observer::projection_of(property)
    }

    fn projection(&self, projection: usize, visible: &P::State) -> P::State {
        let ProcessState::Node(node) = visible else {
            return ProcessState::Client(P::told_nothing());
        };
        if projection == EVERYTHING {
            return visible.clone();
        }
        let seen = P::seen(node).filter(|_| [PROMISES, VOTES].contains(&projection));
        let seen = seen.map(|(promised, vote)| (promised, vote.filter(|_| projection == VOTES)));
        let decided = P::decided(visible).filter(|_| projection == DECISIONS);
        ProcessState::Node(P::showing(seen, decided.copied()))
    }

    fn forget(&self, history: &History, seen: &[&P::State]) -> Option<History> {
        let past = history.past.forget(self.parts().quorums, |node| {
            let state = seen.get(usize::from(Id::from(node)))?;
            P::seen(state.node()?)?.0
        })?;
        let breaches = history.breaches.clone();
        Some(History { past, breaches })
    }

    fn is_irrelevant(&self, history: &History, envelope: &Envelope<P::Msg>) -> bool {
        P::accepted(&envelope.msg).is_some_and(|vote| {
            !P::is_watched(&self.cluster, envelope.dst.into(), vote)
                && history.past.is_irrelevant(vote)
        })
    }

    fn interchangeable(&self) -> Vec<Vec<Id>> {
        let parts = self.parts();
        let acceptors = parts.quorums.acceptors();
        let acts = |node: &NodeId| acceptors.contains(*node) || parts.proposers.contains(node);
        // Clients that ask the same nodes, in the order of their ids.
        let mut classes: Vec<(&[NodeId], Vec<Id>)> = Vec::new();
        for (client, id) in self.clients.iter().zip(self.nodes..) {
            let asked = client.nodes.as_slice();
            match classes.iter_mut().find(|(others, _)| *others == asked) {
                Some((_, class)) => class.push(id.into()),
                None => classes.push((asked, vec![id.into()])),
            }
        }
        let mut classes: Vec<Vec<Id>> = classes.into_iter().map(|(_, class)| class).collect();
        let learners = parts.learners.iter().filter(|it| !acts(it));
        classes.push(learners.map(|learner| Id::from(*learner)).collect());
        if parts.quorums.is_symmetric() {
            classes.insert(0, observer::alike(parts.quorums, parts.proposers));
        }
        classes
    }

    fn relabel_state(&self, state: &P::State, by: &Permutation) -> P::State {
        self.relabel(by).image(state)
    }

    fn relabel_message(&self, message: &P::Msg, by: &Permutation) -> P::Msg {
        self.relabel(by).image(message)
    }

    fn relabel_storage(&self, storage: &P::Storage, by: &Permutation) -> P::Storage {
        self.relabel(by).image(storage)
    }

    fn relabel_history(&self, history: &History, by: &Permutation) -> History {
        self.relabel(by).image(history)
    }

    fn summary(&self, state: &WorldState<Self>) -> String {
        told(&<P as Protocol>::chosen(self, state))
    }

    fn label(&self, id: Id) -> String {
        let (node, parts) = (NodeId::from(id), self.parts());
        let roles = [
            (parts.quorums.acceptors().contains(node), "acceptor"),
            (parts.proposers.contains(&node), P::PROPOSER),
            (parts.learners.contains(&node), "learner"),
        ];
        observer::label(id, self.nodes, &roles)
    }
}

super::relabel::relabelled! { History { past, breaches } }

impl<P: OneDecree> Breakable for P {
    type Cluster = P::Roles;
    type Node = <P as OneDecree>::Node;

    fn node<'a>(
        &'a self,
        state: &'a mut P::State,
    ) -> Option<(&'a P::Roles, &'a mut <P as OneDecree>::Node)> {
        match (self.cluster(), state) {
            (Some(cluster), ProcessState::Node(node)) => Some((cluster, node)),
            _ => None,
        }
    }

    fn durable(node: &<P as OneDecree>::Node) -> P::Storage {
        <P as OneDecree>::durable(node)
    }
}

impl<P: OneDecree> Protocol for P {
    const NAME: &'static str = <P as OneDecree>::NAME;
    const TITLE: &'static str = <P as Decree<char>>::TITLE;
    const ABOUT: &'static str = <P as OneDecree>::ABOUT;
    type Config = <P as OneDecree>::Config;
    type System = Closed<P>;

    fn mutants() -> impl Iterator<Item = &'static Mutant<Self>> {
        <P as OneDecree>::mutants()
    }

    fn system(config: &Self::Config, mutant: Broken<Self>) -> Result<Closed<P>, ConfigError> {
        P::closed(config, mutant)
    }

    fn world(config: &Self::Config) -> &Assumptions {
        &P::shared(config).world
    }

    fn chosen(system: &Closed<P>, state: &WorldState<Closed<P>>) -> Vec<String> {
        let view = system.view(state);
        view.chosen().into_iter().map(char::to_string).collect()
    }

    fn begin_calls(system: &Closed<P>, calls: &Calls) -> io::Result<()> {
        calls.begin(<P as OneDecree>::NAME, system.cluster());
        Ok(())
    }

    fn observe(world: World<Closed<P>>, calls: &Arc<Calls>) -> World<Closed<P>> {
        calls.observe(world)
    }

    fn random_calls(calls: &Arc<Calls>, count: usize, seed: u64) {
        <P as OneDecree>::random_calls(calls, count, seed);
    }

    fn cluster(args: &ClusterArgs, output: &mut Output) -> Result<Exit, Error> {
        cluster::one_decree::<P::Texts>(args, <P as OneDecree>::NAME, output)
    }

    fn simulate(plan: &Plan, mutant: Broken<Self>, seed: u64) -> Result<Simulated, String> {
        simulate::one_decree(plan, mutant, seed)
    }
}
