//! The calls of Multi-Paxos.

use super::dice::{Dice, drawn};
use super::{Calls, Remembered};
use crate::models::multi::{Command, Register, Reply};
use rand::Rng;
use stateright::actor::{Command as Ask, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use synod::ballot::{Ballot, NodeId};
use synod::checker::{Caller, Event};
use synod::multi::lease::{HeartbeatId, LeaseTimes, Time};
use synod::multi::{
    Alarm, Chunk, Clock, Cluster, Durable, Entry, Limits, Message, NodeState, Operation, Process,
    ProcessState, ReadMode, Request, Sessions, Slot, Timer,
};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::vote::Vote;
use xxhash_rust::xxh3::xxh3_64;

type Proc = Process<Register>;
type State = ProcessState<Register>;
type Msg = Message<Command, Reply>;

impl Remembered<Msg> for State {
    type Node = NodeState<Register>;

    fn node(&self) -> Option<&NodeState<Register>> {
        self.node().map(AsRef::as_ref)
    }

    fn summed(&self, message: Option<&Msg>, after: &Self) -> BTreeSet<Vec<u8>> {
        let learners = [self, after].map(|state| state.node()?.learner.as_ref());
        // Those of its snapshots, of which pieces may be sent.
        let snapshots = learners
            .iter()
            .flatten()
            .filter_map(|it| it.snapshot.as_ref());
        let mut summed: BTreeSet<_> = snapshots.map(|it| it.bytes.to_vec()).collect();
        if let (Some(learner), Some(Message::Chunk(chunk))) = (learners[0], message) {
            // Those of what has arrived, with this piece or without, of this alone, of nothing.
            let have = learner.transfer.as_ref();
            let have = have.map_or_else(Vec::new, |it| it.so_far().bytes);
            let all = [&have[..], &chunk.bytes].concat();
            summed.extend([Vec::new(), chunk.bytes.clone(), have, all]);
        }
        summed
    }
}

/// How many random calls are made in one random cluster.
const CALLS_PER_CLUSTER: usize = 1_000;

/// How many messages are under way at most.
const WIRE: usize = 50;

/// Makes random calls in states to which calls with messages that nobody sent have led: walks of a
/// random cluster, in which most messages are some that were sent, and the others are made up. The
/// same seed gives the same calls.
pub(crate) fn random(calls: &Arc<Calls>, count: usize, seed: u64) {
    let d = &mut Dice::new(seed);
    for made in (0..count).step_by(CALLS_PER_CLUSTER) {
        let cluster = Arc::new(d.draw::<Cluster<Register>>());
        calls.begin("multi", &*cluster);
        let mut walk = Walk::new(calls, Process::Node(cluster, Clock::Ticks), d);
        for _ in made..count.min(made + CALLS_PER_CLUSTER) {
            walk.call(d);
        }
    }
}

/// A few nodes, and the messages under way between them.
struct Walk {
    caller: Caller<Proc>,
    actor: Proc,
    nodes: Vec<(State, Option<Durable<Register>>)>,
    wire: Vec<(Id, Id, Msg)>,
    /// How many calls in a hundred are with messages made up.
    made_up: u32,
}

impl Walk {
    /// More nodes than any cluster has: those without a role are called, too.
    const NODES: u32 = 5;

    fn new(calls: &Arc<Calls>, actor: Proc, d: &mut Dice) -> Self {
        let mut walk = Self {
            caller: calls.caller(),
            actor,
            nodes: Vec::new(),
            wire: Vec::new(),
            made_up: d.of(&[0, 0, 4, 30]),
        };
        for id in (0..Self::NODES).map(NodeId).map(Id::from) {
            let (state, out) = walk.caller.start(&walk.actor, id, &None);
            walk.nodes.push((state, None));
            walk.after(id, out);
        }
        walk
    }

    /// Makes one call: in a hundred, one restart, some timers and wishes of clients, messages made
    /// up, and for the rest messages that were sent.
    fn call(&mut self, d: &mut Dice) {
        let (restarts, timers, wishes) = (1, 15, 15);
        let kind = d.0.random_range(0..100);
        let any = Id::from(NodeId(d.0.random_range(0..Self::NODES)));
        if kind < restarts {
            let (state, saved) = &mut self.nodes[usize::from(any)];
            let (started, out) = self.caller.start(&self.actor, any, saved);
            *state = started;
            self.after(any, out);
        } else if kind < restarts + timers {
            self.step(any, Event::Timeout(&Alarm::Node(d.draw())));
        } else if kind < restarts + timers + wishes {
            let leads = |it: &(State, _)| it.0.node().is_some_and(|node| node.is_leading());
            let leader = self.nodes.iter().position(leads);
            let (client, leader) = (Id::from(NodeId(8)), leader.map_or(any, Id::from));
            self.step(leader, Event::Message(client, &wish(d)));
        } else if kind < restarts + timers + wishes + self.made_up || self.wire.is_empty() {
            let from = d.draw::<NodeId>().into();
            self.step(any, Event::Message(from, &d.draw()));
        } else {
            let index = d.0.random_range(0..self.wire.len());
            // Some come more than once, and some that were altered.
            let (from, to, mut message) = match d.chance(0.93) {
                true => self.wire.swap_remove(index),
                false => self.wire[index].clone(),
            };
            if self.made_up > 0 && d.chance(0.1) {
                alter(&mut message, d);
            }
            // What is for a client goes anywhere.
            let is_node = usize::from(to) < self.nodes.len();
            self.step(
                if is_node { to } else { any },
                Event::Message(from, &message),
            );
        }
    }

    fn step(&mut self, id: Id, event: Event<'_, Proc>) {
        let before = &self.nodes[usize::from(id)].0;
        let (state, out) = self.caller.call(&self.actor, id, before, event);
        if let Cow::Owned(state) = state {
            self.nodes[usize::from(id)].0 = state;
        }
        self.after(id, out);
    }

    /// Does what a call asked for. Of the messages under way the oldest get lost.
    fn after(&mut self, id: Id, out: Out<Proc>) {
        for command in out {
            match command {
                Ask::Send(to, message) => self.wire.push((id, to, message)),
                Ask::Save(durable) => self.nodes[usize::from(id)].1 = Some(durable),
                Ask::SetTimer(..) | Ask::CancelTimer(_) | Ask::ChooseRandom(..) => {}
            }
        }
        let excess = self.wire.len().saturating_sub(WIRE);
        self.wire.drain(..excess);
    }
}

/// Draws what a client says.
fn wish(d: &mut Dice) -> Msg {
    match d.chance(0.7) {
        true => Message::Request(d.draw()),
        false => Message::Read {
            seq: d.0.random_range(0..4),
            query: d.of(&[Command::Read, Command::Read, Command::Write('x')]),
            mode: d.of(&[ReadMode::Index, ReadMode::Lease]),
        },
    }
}

/// Changes something in a message.
fn alter(message: &mut Msg, d: &mut Dice) {
    match message {
        Message::Chunk(chunk) => {
            chunk.offset = d.of(&[0, chunk.offset, chunk.offset + 1]);
            if let Some(byte) = chunk.bytes.first_mut() {
                *byte ^= d.of(&[0, 1]);
            }
        }
        Message::Fetch { offset, .. } => *offset = far(d),
        Message::Promise { decided, more, .. } => (*decided, *more) = (end(d), d.draw()),
        Message::Heartbeat { heartbeat, .. } => *heartbeat = d.draw(),
        _ => {}
    }
}

/// Draws a ballot that a node of a walk may own; seldom, any.
fn small(d: &mut Dice) -> Ballot {
    let mut ballot: Ballot = d.draw();
    if d.chance(0.95) {
        ballot.round = d.of(&[1, 1, 2, 2, 3, 4]);
        ballot.node = NodeId(d.0.random_range(0..Walk::NODES));
    }
    ballot
}

/// Draws where slots end; seldom, beyond all.
fn end(d: &mut Dice) -> Slot {
    let slot = d.draw();
    d.of(&[slot, slot, slot, slot, Slot(u64::MAX)])
}

/// Draws an offset in a snapshot, or beyond.
fn far(d: &mut Dice) -> u64 {
    d.of(&[0, 1, 5, 40, u64::MAX])
}

/// Draws nodes of a walk, each with this chance.
fn roles(chance: f64, d: &mut Dice) -> Vec<NodeId> {
    let nodes = (0..Walk::NODES).map(NodeId);
    nodes.filter(|_| d.chance(chance)).collect()
}

// The last is further ahead than any leader goes.
drawn! { Slot = |d| Slot(
    d.of(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 8, Slot::SPAN_MAX + 30])
) }
drawn! { Request<Command> = |d| {
    let (client, seq) = (NodeId(d.of(&[0, 8, 9])), d.0.random_range(0..4));
    let value = d.of(&['x', 'y', 'z', 'é', '∅']);
    let operation = match d.chance(0.2) {
        true => Operation::Open { seq },
        false => Operation::Do {
            session: d.of(&[0, 0, 1, 2, 300]),
            seq,
            acked: d.of(&[0, seq, seq, seq + 1]),
            command: d.of(&[Command::Read, Command::Write(value)]),
        },
    };
    Request { client, operation }
} }
drawn! { Entry<Command> = |d| match d.chance(0.2) {
    true => Entry::Noop,
    false => Entry::Batch(d.several(4, Dice::draw).into()),
} }
drawn! { Vote<Entry<Command>> { ballot = small, value } }
drawn! { HeartbeatId {
    round = |d| d.0.random_range(0..3),
    sent = |d| Time(d.0.random_range(0..4)),
} }
drawn! { Chunk = |d| {
    let bytes = d.several(4, |d| d.0.random());
    Chunk {
        upto: d.draw(),
        total: d.of(&[0, 1, 2, 3, 9]),
        digest: if d.draw() { xxh3_64(&bytes) } else { 7 },
        offset: d.of(&[0, 0, 1, 2, u64::MAX]),
        bytes,
    }
} }
drawn! { Timer: 3 Campaign {} 4 Heartbeat {} 2 Propose {} 3 Tick {} }
drawn! { Msg:
    1 Prepare { ballot = small, from = end }
    3 Promise {
        votes = |d| d.several(4, |d| (d.draw(), d.draw())).into_iter().collect(),
        ballot = small, decided = end, more = |d| d.option(0.7, end)
    }
    1 Continue { ballot = small, from = end }
    2 Accept { slot, vote }
    1 Accepted { ballot = small, slot }
    1 Nack { promised = small, decided = end }
    1 Decided { ballot = small, upto = end }
    1 Entries { from, entries = |d| d.several(4, Dice::draw) }
    1 Ask { from = end }
    1 Chunk { 0 }
    1 Fetch { upto, offset = far }
    1 Heartbeat { ballot = small, heartbeat, upto = end }
    1 HeartbeatAck { ballot = small, heartbeat }
}
drawn! { LeaseTimes { duration = |d| d.of(&[1, 4]), margin = |d| d.of(&[0, 1, 9]) } }
drawn! { Limits {
    round_max = |d| d.of(&[3, 9, u64::MAX]),
    slots = |d| d.of(&[4, u64::MAX, u64::MAX]),
    heartbeats_max = |d| d.of(&[0, 2, u64::MAX]),
    window = |d| d.of(&[1, 2, 8]),
    gathers,
    batch_max = |d| d.of(&[1, 2, 256]),
    bytes_max = |d| d.of(&[1, 12, 24, 1_200]),
    queue_max = |d| d.of(&[1, 3, 4_096]),
} }
drawn! { Cluster<Register> {
    quorums = |d| loop {
        let acceptors: AcceptorSet = roles(0.5, d).into_iter().collect();
        let sizes = [0; 2].map(|_| d.0.random_range(1..4));
        if let Ok(quorums) = QuorumSystem::flexible(acceptors, sizes[0], sizes[1]) {
            break quorums;
        }
    },
    initial = |d| {
        let mut initial = Sessions::new(Register::default(), d.of(&[1, 2, 4]));
        for _ in 0..d.of(&[0, 3, 3]) {
            initial.apply_operation(&Operation::Open { seq: 0 });
        }
        initial
    },
    proposers = |d| roles(0.5, d),
    learners = |d| roles(0.7, d),
    limits, nacks,
    heartbeat = |d| d.option(0.7, |_| Duration::from_millis(20)..Duration::from_millis(25)),
    election, lease,
    snapshot_every = |d| d.option(0.7, |d| d.of(&[1, 2, 5])),
} }
