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
use crate::models::calls::Calls;
use crate::models::cluster::ClusterArgs;
use crate::models::config::{Assumptions, ConfigError};
use crate::models::mutant::{Broken, Mutant, Mutated};
use crate::models::protocol::Protocol;
use crate::models::scenarios::told;
use crate::models::simulate::{Plan, Simulated};
use relabel::Relabel;
use stateright::Property;
use stateright::actor::{Actor, Envelope, Id};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use synod::ballot::{Ballot, NodeId};
use synod::checker::{Clocks, Permutation, StepProperty, System, World, WorldState};
use synod::invariant::{
    self, Agreement, Breach, DecidedIsChosen, DecisionStands, EXACTLY_ONCE, Invariant,
    LINEARIZABLE, OneValuePerBallot, PromiseKept, SAME_STATE, Validity, View, Votes, VotesSafe,
};
use synod::multi::lease::Time;
use synod::multi::{
    Acceptor, Alarm, Client, ClientState, Cluster, Durable, Entry, Leader, Learner, Message,
    NodeState, Operation, Outcome, Phase, Process, ProcessState, Request, Sessions, Slot, Task,
};
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

type Value = Entry<Command>;
type Proc = ProcessState<Register>;
type Msg = Message<Command, Reply>;

/// What the observer remembers: the past that the present states no longer show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct History {
    /// Every vote ever cast in each slot, but for those forgotten.
    pub votes: BTreeMap<Slot, Votes<Value>>,
    /// The entries that are chosen in each slot, and the lowest ballot of each, once their votes
    /// are forgotten.
    pub chosen: BTreeMap<Slot, BTreeMap<Value, Ballot>>,
    /// Every promise that was not kept.
    pub breaches: BTreeSet<Breach>,
    /// What clients asked and were told, if they are part of the system.
    pub clients: Option<LinearizabilityTester<NodeId, OneRegister>>,
}

/// What is seen of a process: all that it shows, what it decided, what it promised, that and its
/// votes and what clients were told, or nothing, where what the observer recorded is enough.
const EVERYTHING: usize = 0;
const DECISIONS: usize = 1;
const PROMISES: usize = 2;
const VOTES: usize = 3;
const NOTHING: usize = 4;

/// Multi-Paxos: nodes, clients and an observer. `A` is the process, or a broken one.
#[derive(Clone, Debug)]
pub struct Multi<A> {
    actors: Vec<A>,
    /// The clients, whether they are actors or not; their ids follow those of the nodes.
    clients: Vec<Client<Command>>,
    nodes: usize,
    cluster: Arc<Cluster<Register>>,
    clocks: Option<Clocks>,
    config: Config,
    /// What there is of a slot nobody voted in.
    no_votes: Votes<Value>,
    none_chosen: BTreeMap<Value, Ballot>,
}

impl<A> Multi<A> {
    fn new(
        actors: Vec<A>,
        clients: Vec<Client<Command>>,
        nodes: usize,
        cluster: Arc<Cluster<Register>>,
        clocks: Option<Clocks>,
        config: Config,
    ) -> Self {
        Self {
            actors,
            clients,
            nodes,
            cluster,
            clocks,
            config,
            no_votes: Votes::new(),
            none_chosen: BTreeMap::new(),
        }
    }

    /// The same system with each actor replaced.
    pub fn map<B>(self, change: impl FnMut(A) -> B) -> Multi<B> {
        let actors = self.actors.into_iter().map(change).collect();
        Multi::new(
            actors,
            self.clients,
            self.nodes,
            self.cluster,
            self.clocks,
            self.config,
        )
    }

    /// Who plays which role.
    pub fn cluster(&self) -> &Cluster<Register> {
        &self.cluster
    }

    fn one_vote_chooses(&self) -> bool {
        let quorums = &self.cluster.quorums;
        let mut acceptors = quorums.acceptors().iter();
        acceptors.any(|acceptor| quorums.is_phase2([acceptor].into_iter().collect()))
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

/// An actor that speaks Multi-Paxos: the shipped process, or one that breaks its rules.
pub trait PaxosActor:
    Actor<Msg = Msg, Timer = Alarm, State = Proc, Storage = Durable<Register>, Random = ()>
    + Send
    + Sync
    + 'static
{
}

impl PaxosActor for Process<Register> {}

impl PaxosActor for Mutated<Process<Register>> {}

impl Protocol for Process<Register> {
    const NAME: &'static str = "multi";
    const TITLE: &'static str = "Multi-Paxos";
    const ABOUT: &'static str =
        "Multi-Paxos: a log of decrees under one leader, and the machine that it drives";
    const NODES: u32 = 5;
    type Config = Config;
    type System = Multi<Mutated<Self>>;

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
fn nodes<A: PaxosActor>(
    state: &WorldState<Multi<A>>,
) -> impl Iterator<Item = (NodeId, &NodeState<Register>)> {
    let ids = (0..).map(NodeId);
    ids.zip(state.states())
        .filter_map(|(id, state)| Some((id, &**state.node()?)))
}

fn learners<A: PaxosActor>(
    state: &WorldState<Multi<A>>,
) -> impl Iterator<Item = (NodeId, &Learner<Register>)> {
    nodes(state).filter_map(|(id, node)| Some((id, node.learner.as_ref()?)))
}

/// The entries that are chosen, each after its slot.
pub fn chosen<A: PaxosActor>(system: &Multi<A>, state: &WorldState<Multi<A>>) -> Vec<String> {
    let of_slot = |(slot, view): (Slot, View<Value>)| {
        let chosen = view.chosen().into_iter();
        chosen.map(|it| format!("{slot} {it}")).collect::<Vec<_>>()
    };
    views(system, state).flat_map(of_slot).collect()
}

/// The refinement map: what the observer sees of each slot in a global state.
fn views<'a, A: PaxosActor>(
    system: &'a Multi<A>,
    state: &'a WorldState<Multi<A>>,
) -> impl Iterator<Item = (Slot, View<'a, Value>)> {
    let promised = nodes(state).filter_map(|(id, node)| {
        let promised = node.acceptor.as_ref()?.promised?;
        Some((id, promised))
    });
    let promised: BTreeMap<NodeId, Ballot> = promised.collect();
    let record = &state.history;
    let of_learner = |(_, learner): (_, &'a Learner<Register>)| {
        let decided = (learner.log.start().0..learner.decided().0).map(Slot);
        decided.chain(learner.ahead.keys().copied())
    };
    let voted = record.votes.keys().chain(record.chosen.keys()).copied();
    let slots: BTreeSet<Slot> = voted.chain(learners(state).flat_map(of_learner)).collect();
    slots.into_iter().map(move |slot| {
        let decided =
            learners(state).filter_map(|(id, learner)| Some((id, learner.entry(slot)?.clone())));
        let decided: BTreeSet<(NodeId, Value)> = decided.collect();
        let votes = record.votes.get(&slot).unwrap_or(&system.no_votes);
        let chosen_before = record.chosen.get(&slot).unwrap_or(&system.none_chosen);
        let seen = votes
            .keys()
            .map(|vote| &vote.value)
            .chain(chosen_before.keys());
        let seen = seen.chain(decided.iter().map(|(_, entry)| entry));
        let is_asked = |entry: &&Value| {
            let mut requests = entry.requests().iter();
            requests.all(|request| system.is_asked_for(request))
        };
        let view = View {
            quorums: &system.cluster.quorums,
            proposed: seen.filter(is_asked).cloned().collect(),
            votes,
            chosen_before,
            promised: promised.clone(),
            breaches: &record.breaches,
            decided,
        };
        (slot, view)
    })
}

fn always<I: Invariant, A: PaxosActor>() -> Property<World<Multi<A>>> {
    Property::always(I::PROPERTY, |world, state| {
        views(world.system(), state).all(|(_, view)| I::holds(&view))
    })
}

/// Whether learners that applied equally many slots have machines in the same state.
fn same_state<A: PaxosActor>(state: &WorldState<Multi<A>>) -> bool {
    let mut by_length: BTreeMap<Slot, &Sessions<Register>> = BTreeMap::new();
    learners(state).all(|(_, learner)| {
        let first = by_length
            .entry(learner.decided())
            .or_insert(&learner.sessions);
        **first == learner.sessions
    })
}

/// Whether no value was written twice: no two commands write the same.
fn exactly_once<A: PaxosActor>(state: &WorldState<Multi<A>>) -> bool {
    learners(state).all(|(_, learner)| {
        let written = &learner.sessions.machine().written;
        written.iter().collect::<BTreeSet<_>>().len() == written.len()
    })
}

/// The name of the example that an entry gets chosen.
pub const CHOSEN: &str = "Chosen: some entry is chosen.";
/// The name of the example that a ballot is cut short by a higher one.
pub const PREEMPTED: &str = "Preempted: an acceptor leaves a slot, not yet chosen, for another's.";
/// The name of the example that a leader adopts what was voted for before.
pub const ADOPTED: &str = "Adopted: a leader proposes again what was voted for in a lower ballot.";
/// The name of the example that a leader fills a gap.
pub const FILLED: &str = "Filled: a leader fills a gap that a lower ballot left with a no-op.";
/// The name of the example that all is done.
pub const COMPLETE: &str = "Complete: a node has applied what every client wrote.";
/// The name of the example that the last client's read is answered.
pub const READ: &str = "Read: a read is answered.";
/// The name of the example that a lease answers a read.
pub const LEASE_READ: &str = "LeaseRead: a read is answered without asking a quorum.";
/// The name of the example that a snapshot is on its way.
pub const TRANSFER: &str = "Transfer: a part of a snapshot has arrived.";
/// The name of the example that a session expires.
pub const EXPIRED: &str = "Expired: a client is told that its session expired.";

fn is_chosen(view: &View<Value>) -> bool {
    !view.chosen().is_empty()
}

fn preempted<A: PaxosActor>(system: &Multi<A>, state: &WorldState<Multi<A>>) -> bool {
    let chosen = |slot: Slot| {
        let record = &state.history;
        let votes = record.votes.get(&slot).into_iter().flatten();
        let mut voted = votes.map(|(_, voters)| *voters);
        record.chosen.contains_key(&slot)
            || voted.any(|voters| system.cluster.quorums.is_phase2(voters))
    };
    let mut acceptors = nodes(state).filter_map(|(_, node)| node.acceptor.as_ref());
    acceptors.any(|acceptor| {
        let left = |(slot, vote): (&Slot, &Vote<Value>)| {
            let promised = acceptor.promised.map(|promised| promised.node);
            promised != Some(vote.ballot.node) && !chosen(*slot)
        };
        acceptor.votes.iter().any(left)
    })
}

/// Whether some leader has something like this to settle from before its ballot.
fn inherits<A: PaxosActor>(state: &WorldState<Multi<A>>, is_it: impl Fn(&Value) -> bool) -> bool {
    let mut leaderships = nodes(state).filter_map(|(_, node)| node.leader.as_ref()?.leadership());
    leaderships.any(|leadership| {
        leadership
            .open
            .values()
            .any(|proposal| is_it(&proposal.entry))
    })
}

fn clients<A: PaxosActor>(
    state: &WorldState<Multi<A>>,
) -> impl Iterator<Item = &ClientState<Reply>> {
    state.states().filter_map(ProcessState::client)
}

fn is_read<A: PaxosActor>(state: &WorldState<Multi<A>>) -> bool {
    clients(state).any(|client| matches!(client.replies.get(1), Some(Outcome::Done(_))))
}

/// The only leader there ever was has not asked for a round, and yet a read is answered.
fn is_lease_read<A: PaxosActor>(state: &WorldState<Multi<A>>) -> bool {
    let mut used = nodes(state)
        .filter_map(|(_, node)| node.leader.as_ref())
        .filter(|leader| leader.ballot.is_some());
    let only = used.next().filter(|_| used.next().is_none());
    let leadership = only.and_then(Leader::leadership);
    is_read(state) && leadership.is_some_and(|leadership| leadership.heartbeat.round == 0)
}

impl<A: PaxosActor> Multi<A> {
    fn examples(&self) -> Vec<Property<World<Self>>> {
        let mut examples = vec![Property::sometimes(CHOSEN, |world: &World<Self>, state| {
            views(world.system(), state).any(|(_, view)| is_chosen(&view))
        })];
        let config = &self.config;
        let several = u64::from(config.proposers) * config.ballots > 1;
        if config.proposers > 1 && !self.one_vote_chooses() {
            examples.push(Property::sometimes(
                PREEMPTED,
                |world: &World<Self>, state| preempted(world.system(), state),
            ));
        }
        if several {
            examples.push(Property::sometimes(ADOPTED, |_, state| {
                inherits(state, |entry| *entry != Entry::Noop)
            }));
        }
        if several
            && config
                .slots
                .min(config.shared.clients.into())
                .min(config.window as u64)
                > 1
        {
            examples.push(Property::sometimes(FILLED, |_, state| {
                inherits(state, |entry| *entry == Entry::Noop)
            }));
        }
        if config.sessions.is_none() && config.slots >= u64::from(config.shared.clients) {
            examples.push(Property::sometimes(
                COMPLETE,
                |world: &World<Self>, state| {
                    let all = world.system().clients.len();
                    learners(state).any(|(_, it)| it.sessions.machine().written.len() == all)
                },
            ));
        }
        if config.reads != Reads::None {
            examples.push(Property::sometimes(READ, |_, state| is_read(state)));
        }
        if config.reads == Reads::Lease {
            examples.push(Property::sometimes(LEASE_READ, |_, state| {
                is_lease_read(state)
            }));
        }
        if config.snapshot.is_some() && config.chunk < 16 {
            examples.push(Property::sometimes(TRANSFER, |_, state| {
                learners(state).any(|(_, learner)| learner.transfer.is_some())
            }));
        }
        if config
            .sessions
            .is_some_and(|capacity| capacity < config.shared.clients.into())
        {
            examples.push(Property::sometimes(EXPIRED, |_, state| {
                clients(state).any(ClientState::is_expired)
            }));
        }
        examples
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
        if let Some(promised) = before.promised {
            let voted = cast.iter().map(|(_, vote)| vote.ballot);
            let below = voted.filter(|ballot| *ballot < promised).map(Some);
            let forgotten = (after.promised < Some(promised)).then_some(after.promised);
            seen.breaches
                .extend(below.chain(forgotten).map(|ballot| Breach {
                    acceptor: id,
                    promised,
                    ballot,
                }));
        }
        for (slot, vote) in cast {
            let chosen = seen
                .chosen
                .get(slot)
                .and_then(|chosen| chosen.get(&vote.value));
            if chosen.is_none_or(|chosen| *chosen > vote.ballot) {
                let votes = seen.votes.entry(*slot).or_default();
                votes.entry(vote.clone()).or_default().insert(id);
            }
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

impl<A: PaxosActor> System for Multi<A> {
    type Actor = A;
    type History = History;

    fn actors(&self) -> &[A] {
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
        let mut properties = vec![
            always::<Agreement, A>(),
            always::<Validity, A>(),
            always::<OneValuePerBallot, A>(),
            always::<VotesSafe, A>(),
            always::<PromiseKept, A>(),
            always::<DecidedIsChosen, A>(),
            Property::always(SAME_STATE.property, |_, state| same_state(state)),
            Property::always(EXACTLY_ONCE.property, |_, state| exactly_once(state)),
        ];
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

    const PROJECTIONS: usize = 5;
    const FORGET_PROJECTION: usize = PROMISES;
    const RECORD_PROJECTION: usize = VOTES;

    fn projection_of(&self, property: &str) -> usize {
        if property == VotesSafe::PROPERTY {
            PROMISES
        } else if [
            OneValuePerBallot::PROPERTY,
            PromiseKept::PROPERTY,
            LINEARIZABLE.property,
        ]
        .contains(&property)
        {
            NOTHING
        } else if invariant::ALL
            .iter()
            .chain(invariant::OF_LOGS)
            .any(|it| it.property == property)
        {
            DECISIONS
        } else {
            EVERYTHING
        }
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

    /// Forgets, slot by slot, as the model of Basic Paxos does: the votes for a proposal that can
    /// never be chosen any more, and those for a chosen entry, but for the entry and its lowest
    /// ballot.
    fn forget(&self, history: &History, seen: &[&Proc]) -> Option<History> {
        let quorums = &self.cluster.quorums;
        let promised = |node: NodeId| {
            let state = seen.get(usize::from(Id::from(node)))?;
            state.node()?.acceptor.as_ref()?.promised
        };
        let is_chosen = |voters: &AcceptorSet| quorums.is_phase2(*voters);
        let is_dead = |proposal: &Vote<Value>, voters: &AcceptorSet| {
            let acceptors = quorums.acceptors().iter();
            let may_vote = acceptors.filter(|id| promised(*id) <= Some(proposal.ballot));
            !is_chosen(&voters.union(may_vote.collect()))
        };
        let mut votes = history.votes.values().flatten();
        if !votes.any(|(proposal, voters)| is_chosen(voters) || is_dead(proposal, voters)) {
            return None;
        }
        let mut left = history.clone();
        for (slot, votes) in &mut left.votes {
            for (proposal, _) in votes.iter().filter(|(_, voters)| is_chosen(voters)) {
                let chosen = left.chosen.entry(*slot).or_default();
                let lowest = chosen
                    .entry(proposal.value.clone())
                    .or_insert(proposal.ballot);
                *lowest = proposal.ballot.min(*lowest);
            }
            let chosen = left.chosen.get(slot);
            votes.retain(|proposal, voters| {
                let lowest = chosen.and_then(|chosen| chosen.get(&proposal.value));
                let is_past = lowest.is_some_and(|lowest| *lowest <= proposal.ballot);
                !is_past && !is_dead(proposal, voters)
            });
        }
        left.votes.retain(|_, votes| !votes.is_empty());
        Some(left)
    }

    /// A vote that is forgotten because it can choose nothing tells its leader nothing. One that
    /// chose still does, and so may one in a higher ballot than that: its leader counts for itself.
    fn is_irrelevant(&self, history: &History, envelope: &Envelope<Msg>) -> bool {
        let Message::Accepted { ballot, slot } = &envelope.msg else {
            return false;
        };
        let mut votes = history.votes.get(slot).into_iter().flatten();
        let is_open = votes.any(|(vote, _)| vote.ballot == *ballot);
        let mut chosen = history.chosen.get(slot).into_iter().flatten();
        !is_open && !chosen.any(|(_, lowest)| lowest <= ballot)
    }

    fn interchangeable(&self) -> Vec<Vec<Id>> {
        if !self.cluster.quorums.is_symmetric() {
            return Vec::new();
        }
        let acceptors = self.cluster.quorums.acceptors().iter();
        let alike = acceptors.filter(|node| !self.cluster.proposers.contains(node));
        vec![alike.map(Id::from).collect()]
    }

    fn relabel_state(&self, state: &Proc, by: &Permutation) -> Proc {
        Relabel(by).state(state)
    }

    fn relabel_history(&self, history: &History, by: &Permutation) -> History {
        Relabel(by).record(history)
    }

    fn summary(&self, state: &WorldState<Self>) -> String {
        told(&chosen(self, state))
    }

    fn label(&self, id: Id) -> String {
        let node = NodeId::from(id);
        let roles = [
            (self.cluster.quorums.acceptors().contains(node), "acceptor"),
            (self.cluster.proposers.contains(&node), "leader"),
        ];
        let played: Vec<&str> = roles
            .iter()
            .filter(|(plays, _)| *plays)
            .map(|(_, role)| *role)
            .collect();
        match played.as_slice() {
            [] if usize::from(id) >= self.nodes => format!("{node} client"),
            [role] if self.config.layout == Layout::Separated => {
                format!("{node} {role}")
            }
            _ => format!("{node} node"),
        }
    }
}
