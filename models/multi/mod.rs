//! Multi-Paxos as a closed system.
//!
//! Every client sends what it wants to every proposer, and whoever leads takes it up: so any leader
//! may propose any request in any slot. What holds of one decree is asked of every slot; what holds
//! of a log, of the whole.

mod cluster;
mod config;
pub(crate) mod history;
mod machine;
pub mod mutants;
mod relabel;
mod simulate;

pub use config::{Config, Layout, Reads};
pub use machine::{Command, OneRegister, Register, Reply};

use crate::console::output::Output;
use crate::console::{Error, Exit};
use crate::models::calls::{self, Calls};
use crate::models::cluster::ClusterArgs;
use crate::models::config::{Assumptions, ConfigError};
use crate::models::mutant::{Broken, Mutant, Mutated};
use crate::models::observer::{
    self, DECISIONS, EVERYTHING, Example, Observed, PROMISES, Past, VOTES, breaches, is_any_chosen,
    one_vote_chooses,
};
use crate::models::protocol::Protocol;
use crate::models::relabel::Relabel;
use crate::models::scenarios;
use crate::models::simulate::{Plan, Simulated};
use stateright::Property;
use stateright::actor::{Envelope, Id};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use synod::ballot::{Ballot, NodeId};
use synod::checker::{Clocks, Permutation, StepProperty, System, World, WorldState};
use synod::invariant::{Breach, DecisionStands, EXACTLY_ONCE, LINEARIZABLE, SAME_STATE, View};
use synod::multi::lease::Time;
use synod::multi::{
    Acceptor, Client, ClientState, Cluster, Entry, Leader, Learner, Message, NodeState, Operation,
    Outcome, Phase, Process, ProcessState, Request, Sessions, Slot, Task,
};
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

type Value = Entry<Command>;
type Proc = ProcessState<Register>;
type Msg = Message<Command, Reply>;

/// What the observer remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// The votes and the choices in each slot.
    pub slots: BTreeMap<Slot, Past<Value>>,
    /// Every promise that was not kept.
    pub breaches: BTreeSet<Breach>,
    /// What clients asked and were told, if they are part of the system.
    pub clients: Option<LinearizabilityTester<NodeId, OneRegister>>,
}

/// What there is of a slot nobody voted in.
static NO_PAST: Past<Value> = Past::NONE;

/// Multi-Paxos: nodes, clients and an observer.
#[derive(Clone, Debug)]
pub struct Multi {
    actors: Vec<Mutated<Process<Register>>>,
    /// The clients, whether they are actors or not; their ids follow those of the nodes.
    clients: Vec<Client<Command>>,
    nodes: usize,
    cluster: Arc<Cluster<Register>>,
    clocks: Option<Clocks>,
    config: Config,
}

impl Multi {
    /// Who plays which role.
    pub fn cluster(&self) -> &Cluster<Register> {
        &self.cluster
    }

    fn client(&self, id: Id) -> Option<&Client<Command>> {
        self.clients.get(usize::from(id).checked_sub(self.nodes)?)
    }

    /// Whether a client asked for this, whatever session it was given.
    fn is_asked_for(&self, request: &Request<Command>) -> bool {
        let Some(client) = self.client(request.client.into()) else {
            return false;
        };
        match &request.operation {
            Operation::Open { .. } => client.session.is_none(),
            Operation::Do { seq, command, .. } => {
                let task = usize::try_from(*seq)
                    .ok()
                    .and_then(|seq| client.tasks.get(seq));
                matches!(task, Some(Task::Do(asked)) if asked == command)
            }
        }
    }
}

impl Protocol for Process<Register> {
    const NAME: &'static str = "multi";
    const TITLE: &'static str = "Multi-Paxos";
    const ABOUT: &'static str =
        "Multi-Paxos: a log of decrees under one leader, and the machine that it drives";
    const NODES: u32 = 5;
    type Config = Config;
    type System = Multi;

    fn mutants() -> impl Iterator<Item = &'static Mutant<Self>> {
        mutants::ALL.iter().chain(mutants::HARMLESS)
    }

    fn system(config: &Config, mutant: Broken<Self>) -> Result<Self::System, ConfigError> {
        config.system(mutant)
    }

    fn world(config: &Config) -> &Assumptions {
        &config.shared.world
    }

    fn chosen(system: &Multi, state: &WorldState<Multi>) -> Vec<String> {
        let of_slot = |(slot, view): (Slot, View<Value>)| {
            let chosen = view.chosen().into_iter();
            chosen.map(|it| format!("{slot} {it}")).collect::<Vec<_>>()
        };
        slots(system, state).flat_map(of_slot).collect()
    }

    fn begin_calls(system: &Self::System, calls: &Calls) -> io::Result<()> {
        calls.begin(Self::NAME, system.cluster());
        Ok(())
    }

    fn observe(world: World<Self::System>, calls: &Arc<Calls>) -> World<Self::System> {
        calls.observe(world)
    }

    fn random_calls(calls: &Arc<Calls>, count: usize, seed: u64) {
        calls::multi::random(calls, count, seed);
    }

    fn cluster(args: &ClusterArgs, output: &mut Output) -> Result<Exit, Error> {
        cluster::run(args, Self::NAME, output)
    }

    fn simulate(plan: &Plan, mutant: Broken<Self>, seed: u64) -> Result<Simulated, String> {
        match mutant {
            None => simulate::simulate(plan, seed).map_err(|error| error.to_string()),
            // What is simulated is a store, not the register that mutants speak to.
            Some(_) => Err(format!(
                "--mutant: {} is simulated without mutants",
                Self::TITLE
            )),
        }
    }
}

/// The nodes' states.
fn nodes(state: &WorldState<Multi>) -> impl Iterator<Item = (NodeId, &NodeState<Register>)> {
    let ids = (0..).map(NodeId);
    ids.zip(state.states())
        .filter_map(|(id, state)| Some((id, &**state.node()?)))
}

fn learners(state: &WorldState<Multi>) -> impl Iterator<Item = (NodeId, &Learner<Register>)> {
    nodes(state).filter_map(|(id, node)| Some((id, node.learner.as_ref()?)))
}

/// The refinement map: what the observer sees of each slot in a global state.
fn slots<'a>(
    system: &'a Multi,
    state: &'a WorldState<Multi>,
) -> impl Iterator<Item = (Slot, View<'a, Value>)> {
    let promised = nodes(state).filter_map(|(id, node)| {
        let promised = node.acceptor.as_ref()?.promised?;
        Some((id, promised))
    });
    let promised: BTreeMap<NodeId, Ballot> = promised.collect();
    let history = &state.history;
    let of_learner = |(_, learner): (_, &'a Learner<Register>)| {
        let decided = (learner.log.start().0..learner.decided().0).map(Slot);
        decided.chain(learner.ahead.keys().copied())
    };
    let voted = history.slots.keys().copied();
    let slots: BTreeSet<Slot> = voted.chain(learners(state).flat_map(of_learner)).collect();
    slots.into_iter().map(move |slot| {
        let decided =
            learners(state).filter_map(|(id, learner)| Some((id, learner.entry(slot)?.clone())));
        let decided: BTreeSet<(NodeId, Value)> = decided.collect();
        let past = history.slots.get(&slot).unwrap_or(&NO_PAST);
        let voted = past.votes.keys().map(|vote| &vote.value);
        let seen = voted.chain(past.chosen.keys());
        let seen = seen.chain(decided.iter().map(|(_, entry)| entry));
        let is_asked = |entry: &&Value| {
            let mut requests = entry.requests().iter();
            requests.all(|request| system.is_asked_for(request))
        };
        let view = View {
            quorums: &system.cluster.quorums,
            proposed: seen.filter(is_asked).cloned().collect(),
            votes: &past.votes,
            chosen_before: &past.chosen,
            promised: promised.clone(),
            breaches: &history.breaches,
            decided,
        };
        (slot, view)
    })
}

impl Observed for Multi {
    type Value = Value;

    fn views<'a>(&'a self, state: &'a WorldState<Self>) -> impl Iterator<Item = View<'a, Value>> {
        slots(self, state).map(|(_, view)| view)
    }
}

/// Whether learners that applied equally many slots have machines in the same state.
fn same_state(state: &WorldState<Multi>) -> bool {
    let mut by_length: BTreeMap<Slot, &Sessions<Register>> = BTreeMap::new();
    learners(state).all(|(_, learner)| {
        let first = by_length
            .entry(learner.decided())
            .or_insert(&learner.sessions);
        **first == learner.sessions
    })
}

/// Whether no value was written twice: no two commands write the same.
fn exactly_once(state: &WorldState<Multi>) -> bool {
    learners(state).all(|(_, learner)| {
        let written = &learner.sessions.machine().written;
        written.iter().collect::<BTreeSet<_>>().len() == written.len()
    })
}

fn preempted(system: &Multi, state: &WorldState<Multi>) -> bool {
    let chosen = |slot: &Slot| {
        let past = state.history.slots.get(slot);
        past.is_some_and(|past| past.is_chosen(&system.cluster.quorums))
    };
    let mut acceptors = nodes(state).filter_map(|(_, node)| node.acceptor.as_ref());
    acceptors.any(|acceptor| {
        let left = |(slot, vote): (&Slot, &Vote<Value>)| {
            let promised = acceptor.promised.map(|promised| promised.node);
            promised != Some(vote.ballot.node) && !chosen(slot)
        };
        acceptor.votes.iter().any(left)
    })
}

/// Whether some leader has something like this to settle from before its ballot.
fn inherits(state: &WorldState<Multi>, is_it: impl Fn(&Value) -> bool) -> bool {
    let mut leaderships = nodes(state).filter_map(|(_, node)| node.leader.as_ref()?.leadership());
    leaderships.any(|leadership| {
        leadership
            .open
            .values()
            .any(|proposal| is_it(&proposal.entry))
    })
}

fn told(state: &WorldState<Multi>) -> impl Iterator<Item = &ClientState<Reply>> {
    state.states().filter_map(ProcessState::client)
}

fn is_read(state: &WorldState<Multi>) -> bool {
    told(state).any(|client| matches!(client.replies.get(1), Some(Outcome::Done(_))))
}

/// The only leader there ever was has not asked for a round, and yet a read is answered.
fn is_lease_read(state: &WorldState<Multi>) -> bool {
    let mut used = nodes(state)
        .filter_map(|(_, node)| node.leader.as_ref())
        .filter(|leader| leader.ballot.is_some());
    let only = used.next().filter(|_| used.next().is_none());
    let leadership = only.and_then(Leader::leadership);
    is_read(state) && leadership.is_some_and(|leadership| leadership.heartbeat.round == 0)
}

impl Multi {
    fn examples(&self) -> impl Iterator<Item = Property<World<Self>>> {
        let config = &self.config;
        let clients = u64::from(config.shared.clients);
        let is_ballot_left = u64::from(config.proposers) * config.ballots > 1;
        let open_max = config.slots.min(clients).min(config.window as u64);
        let has_few_sessions = config.sessions.is_some_and(|capacity| capacity < clients);
        let has_parts = config.snapshot.is_some() && config.chunk < 16;
        let examples: [Example<Self>; 9] = [
            (true, "Chosen: some entry is chosen.", is_any_chosen),
            (
                config.proposers > 1 && !one_vote_chooses(&self.cluster.quorums),
                "Preempted: an acceptor leaves a slot, not yet chosen, for another's.",
                |world, state| preempted(world.system(), state),
            ),
            (
                is_ballot_left,
                "Adopted: a leader proposes again what was voted for in a lower ballot.",
                |_, state| inherits(state, |entry| *entry != Entry::Noop),
            ),
            (
                is_ballot_left && open_max > 1,
                "Filled: a leader fills a gap that a lower ballot left with a no-op.",
                |_, state| inherits(state, |entry| *entry == Entry::Noop),
            ),
            (
                config.sessions.is_none() && config.slots >= clients,
                "Complete: a node has applied what every client wrote.",
                |world, state| {
                    let all = world.system().clients.len();
                    learners(state).any(|(_, it)| it.sessions.machine().written.len() == all)
                },
            ),
            (
                config.reads != Reads::None,
                "Read: a read is answered.",
                |_, state| is_read(state),
            ),
            (
                config.reads == Reads::Lease,
                "LeaseRead: a read is answered without asking a quorum.",
                |_, state| is_lease_read(state),
            ),
            (
                has_parts,
                "Transfer: a part of a snapshot has arrived.",
                |_, state| learners(state).any(|(_, learner)| learner.transfer.is_some()),
            ),
            (
                has_few_sessions,
                "Expired: a client is told that its session expired.",
                |_, state| told(state).any(ClientState::is_expired),
            ),
        ];
        observer::due(examples)
    }

    /// What the observer adds to its record when an acceptor's state changes.
    fn record_votes(
        seen: &mut History,
        id: NodeId,
        before: &Acceptor<Command>,
        after: &Acceptor<Command>,
    ) {
        let cast = after
            .votes
            .iter()
            .filter(|(slot, vote)| before.votes.get(*slot) != Some(*vote));
        let cast: Vec<_> = cast.collect();
        let voted = cast.iter().map(|(_, vote)| vote.ballot);
        let broken = breaches(id, before.promised, after.promised, voted);
        seen.breaches.extend(broken);
        for (slot, vote) in cast {
            seen.slots.entry(*slot).or_default().cast(id, vote);
        }
    }

    /// What the observer adds to its record when a client is told something.
    fn record_reply(
        &self,
        seen: &mut History,
        id: Id,
        before: &ClientState<Reply>,
        after: &ClientState<Reply>,
    ) {
        let (Some(client), Some(tester)) = (self.client(id), &mut seen.clients) else {
            return;
        };
        for (index, outcome) in after.replies.iter().enumerate().skip(before.replies.len()) {
            if let Outcome::Done(reply) = outcome {
                // What is recorded twice, or out of turn, makes the history inconsistent.
                let _ = tester.on_return(id.into(), *reply);
                if let Some(task) = client.tasks.get(index + 1) {
                    let _ = tester.on_invoke(id.into(), operation(task));
                }
            }
        }
    }
}

/// What a task asks of the machine.
fn operation(task: &Task<Command>) -> Command {
    match task {
        Task::Do(command) | Task::Read(command, _) => *command,
    }
}

impl System for Multi {
    type Actor = Mutated<Process<Register>>;
    type History = History;

    fn actors(&self) -> &[Mutated<Process<Register>>] {
        &self.actors
    }

    fn initial_history(&self) -> History {
        let mut tester = LinearizabilityTester::new(OneRegister(None));
        for (id, client) in (self.nodes as u32..).map(NodeId).zip(&self.clients) {
            if let Some(task) = client.tasks.first() {
                let _ = tester.on_invoke(id, operation(task));
            }
        }
        History {
            clients: self.config.shared.replies.then_some(tester),
            ..History::default()
        }
    }

    fn outside(&self) -> Vec<Envelope<Msg>> {
        if self.config.shared.replies {
            return Vec::new();
        }
        let ids = (self.nodes..).map(Id::from);
        let requests = |(src, client): (Id, &Client<Command>)| {
            let requests = client.ask(src.into(), &client.start());
            requests.into_iter().map(move |(dst, msg)| Envelope {
                src,
                dst: dst.into(),
                msg,
            })
        };
        ids.zip(&self.clients).flat_map(requests).collect()
    }

    fn properties(&self) -> Vec<Property<World<Self>>> {
        let mut properties = observer::invariants();
        properties.extend([
            Property::always(SAME_STATE.property, |_, state| same_state(state)),
            Property::always(EXACTLY_ONCE.property, |_, state: &_| exactly_once(state)),
        ]);
        if self.config.shared.replies {
            properties.push(Property::always(
                LINEARIZABLE.property,
                |_: &World<Self>, state: &WorldState<Self>| {
                    let clients = &state.history.clients;
                    clients
                        .as_ref()
                        .is_none_or(ConsistencyTester::is_consistent)
                },
            ));
        }
        properties.extend(self.examples());
        properties
    }

    fn record(&self, history: &History, id: Id, before: &Proc, after: &Proc) -> Option<History> {
        let mut seen = history.clone();
        match (before, after) {
            (ProcessState::Node(before), ProcessState::Node(after)) => {
                let (before, after) = (before.acceptor.as_ref()?, after.acceptor.as_ref()?);
                Self::record_votes(&mut seen, id.into(), before, after);
            }
            (ProcessState::Client(before), ProcessState::Client(after)) => {
                self.record_reply(&mut seen, id, before, after);
            }
            _ => return None,
        }
        (seen != *history).then_some(seen)
    }

    fn can_crash(&self, id: Id) -> bool {
        usize::from(id) < self.nodes
    }

    fn clocks(&self) -> Option<Clocks> {
        self.clocks
    }

    fn clock(&self, visible: &Proc) -> Option<u64> {
        visible.node().map(|node| node.now.0)
    }

    /// A machine's clock goes on while a process on it restarts.
    fn restarted(&self, before: &Proc, fresh: Proc) -> Proc {
        match (before, fresh) {
            (ProcessState::Node(before), ProcessState::Node(mut fresh)) => {
                fresh.now = before.now;
                let acceptor = fresh.acceptor.as_mut();
                if let Some(grant) = acceptor.and_then(|it| it.grant.as_mut()) {
                    grant.until = grant.until.after(before.now.0);
                }
                ProcessState::Node(fresh)
            }
            (_, fresh) => fresh,
        }
    }

    fn is_stale(&self, _: Id, state: &Proc, src: Id, message: &Msg) -> bool {
        state.is_stale(&self.cluster, src.into(), message)
    }

    fn visible(&self, state: &Proc) -> Proc {
        let mut state = state.clone();
        match &mut state {
            ProcessState::Node(node) => {
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.grant = None;
                }
                // Whose promises and votes are counted so far, no property asks, nor what waits.
                match node.leader.as_mut().map(|leader| &mut leader.phase) {
                    Some(Phase::Preparing(campaign)) => {
                        campaign.promises = AcceptorSet::new();
                        campaign.votes.clear();
                        campaign.decided = campaign.from;
                    }
                    Some(Phase::Leading(leadership)) => {
                        let barrier = leadership.barrier;
                        leadership.open.retain(|slot, _| *slot < barrier);
                        for proposal in leadership.open.values_mut() {
                            proposal.voters = AcceptorSet::new();
                        }
                        leadership.next = barrier;
                        leadership.queue.clear();
                        leadership.acks.clear();
                        leadership.reads.clear();
                        leadership.heartbeat.sent = Time(0);
                    }
                    _ => {}
                }
            }
            ProcessState::Client(client) => {
                client.session = None;
                client.leader = None;
            }
        }
        state
    }

    fn step_properties(&self) -> Vec<StepProperty<Self>> {
        vec![StepProperty {
            name: DecisionStands::PROPERTY,
            condition: |_, _, before, after| {
                let (Some(before), Some(after)) = (before.node(), after.node()) else {
                    return true;
                };
                let (Some(old), Some(new)) = (&before.learner, &after.learner) else {
                    return before.learner.is_none();
                };
                let stands = |(slot, entry)| match new.entry(slot) {
                    Some(now) => now == entry,
                    None => slot < new.log.start(),
                };
                new.decided() >= old.decided() && old.log.since(old.log.start()).all(stands)
            },
        }]
    }

    /// The order in which clients are answered and ask is all that linearizability is about.
    fn observations_commute(&self) -> bool {
        !self.config.shared.replies
    }

    const PROJECTIONS: usize = observer::PROJECTIONS;
    const FORGET_PROJECTION: usize = PROMISES;
    const RECORD_PROJECTION: usize = VOTES;

    fn projection_of(&self, property: &str) -> usize {
        observer::projection_of(property)
    }

    fn projection(&self, projection: usize, visible: &Proc) -> Proc {
        if projection == EVERYTHING {
            return visible.clone();
        }
        let node = match visible {
            ProcessState::Node(node) => node,
            ProcessState::Client(client) => {
                let replies = client.replies.iter().filter(|_| projection == VOTES);
                return ProcessState::Client(ClientState {
                    session: None,
                    replies: replies.cloned().collect(),
                    leader: None,
                });
            }
        };
        let mut acceptor = node.acceptor.as_ref().map(Acceptor::durable);
        if let Some(acceptor) = acceptor.as_mut().filter(|_| projection != VOTES) {
            acceptor.votes.clear();
            acceptor.base = Slot(0);
        }
        ProcessState::Node(Box::new(NodeState {
            acceptor: acceptor.filter(|_| [PROMISES, VOTES].contains(&projection)),
            leader: None,
            learner: node.learner.clone().filter(|_| projection == DECISIONS),
            now: Time(0),
        }))
    }

    fn forget(&self, history: &History, seen: &[&Proc]) -> Option<History> {
        let promised = |node: NodeId| {
            let state = seen.get(usize::from(Id::from(node)))?;
            state.node()?.acceptor.as_ref()?.promised
        };
        let forget = |(slot, past): (&Slot, &Past<Value>)| {
            Some((*slot, past.forget(&self.cluster.quorums, promised)?))
        };
        let changed: Vec<_> = history.slots.iter().filter_map(forget).collect();
        if changed.is_empty() {
            return None;
        }
        let mut left = history.clone();
        left.slots.extend(changed);
        left.slots.retain(|_, past| *past != NO_PAST);
        Some(left)
    }

    /// A vote that is forgotten because it can choose nothing tells its leader nothing. One that
    /// chose still does, and so may one in a higher ballot than that: its leader counts for itself.
    fn is_irrelevant(&self, history: &History, envelope: &Envelope<Msg>) -> bool {
        let Message::Accepted { ballot, slot } = &envelope.msg else {
            return false;
        };
        let past = history.slots.get(slot).unwrap_or(&NO_PAST);
        let is_open = past.votes.keys().any(|vote| vote.ballot == *ballot);
        !is_open && !past.chosen.values().any(|lowest| lowest <= ballot)
    }

    fn interchangeable(&self) -> Vec<Vec<Id>> {
        let Cluster {
            quorums, proposers, ..
        } = &*self.cluster;
        let is_symmetric = quorums.is_symmetric();
        let alike = is_symmetric.then(|| observer::alike(quorums, proposers));
        alike.into_iter().collect()
    }

    fn relabel_state(&self, state: &Proc, by: &Permutation) -> Proc {
        Relabel::from(by).image(state)
    }

    fn relabel_history(&self, history: &History, by: &Permutation) -> History {
        Relabel::from(by).image(history)
    }

    fn summary(&self, state: &WorldState<Self>) -> String {
        scenarios::told(&<Process<Register> as Protocol>::chosen(self, state))
    }

    fn label(&self, id: Id) -> String {
        let node = NodeId::from(id);
        let is_apart = self.config.layout == Layout::Separated;
        let is_acceptor = self.cluster.quorums.acceptors().contains(node);
        let leads = self.cluster.proposers.contains(&node);
        let roles = [
            (is_apart && is_acceptor, "acceptor"),
            (is_apart && leads, "leader"),
        ];
        observer::label(id, self.nodes, &roles)
    }
}
