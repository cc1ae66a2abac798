//! The words of Multi-Paxos. Commands and replies are numbers: 0 is a read, or nothing, and one
//! more than a character's number is a write of it, or itself. A machine with its sessions is the
//! bytes of its snapshot.

use super::{Calls, Described, Dice, Recorder, Remembered, Words, Written};
use crate::models::multi::{Command, Register, Reply};
use rand::Rng;
use stateright::actor::{Command as Ask, Id, Out};
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::multi::lease::{Beat, Terms, Time};
use synod::multi::reign::Reign;
use synod::multi::{
    Acceptor, Alarm, Campaign, Chunk, Clock, Cluster, Durable, Entry, How, Leader, Learner, Limits,
    Log, Message, Order, Outcome, Phase, Process, ProcessState, Request, Sessions, Slot, Snapshot,
    Timer, Transfer,
};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::vote::Vote;

impl Words {
    fn slot(&mut self, slot: Slot) {
        self.word(slot.0);
    }

    fn command(&mut self, command: &Command) {
        self.word(match command {
            Command::Read => 0,
            Command::Write(value) => 1 + u32::from(*value),
        });
    }

    fn entries<'a>(&mut self, entries: impl ExactSizeIterator<Item = &'a Entry<Command>>) {
        self.all(entries, Words::put);
    }

    fn slot_and_vote(&mut self, (slot, vote): (&Slot, &Vote<Entry<Command>>)) {
        self.slot(*slot);
        self.put(vote);
    }

    fn beat(&mut self, beat: Beat) {
        self.word(beat.round);
        self.word(beat.sent.0);
    }
}

impl Written for Request<Command> {
    fn write(&self, words: &mut Words) {
        words.word(self.client);
        match &self.order {
            Order::Open { seq } => {
                words.word("open");
                words.word(seq);
            }
            Order::Do {
                session,
                seq,
                acked,
                command,
            } => {
                words.word("do");
                for number in [session, seq, acked] {
                    words.word(number);
                }
                words.command(command);
            }
        }
    }
}

impl Written for Entry<Command> {
    fn write(&self, words: &mut Words) {
        match self {
            Entry::Noop => words.word("noop"),
            Entry::Batch(requests) => {
                words.word("batch");
                words.all(requests.iter(), Words::put);
            }
        }
    }
}

impl Written for Vote<Entry<Command>> {
    fn write(&self, words: &mut Words) {
        words.ballot(self.ballot);
        words.put(&self.value);
    }
}

impl Written for Outcome<Reply> {
    fn write(&self, words: &mut Words) {
        match self {
            Outcome::Opened { session } => {
                words.word("opened");
                words.word(session);
            }
            Outcome::Done(Reply(reply)) => {
                words.word("done");
                words.word(reply.map_or(0, |value| 1 + u32::from(value)));
            }
            Outcome::Expired => words.word("expired"),
        }
    }
}

impl Written for Acceptor<Command> {
    /// Promise, votes, and the slot below which votes are gone.
    fn write(&self, words: &mut Words) {
        words.option(self.promised, Words::ballot);
        let votes: Vec<_> = self.votes.iter().collect();
        words.all(votes.into_iter(), Words::slot_and_vote);
        words.slot(self.base);
    }
}

impl Written for Campaign<Command> {
    fn write(&self, words: &mut Words) {
        words.slot(self.from);
        words.set(self.promises);
        words.all(self.votes.iter(), Words::slot_and_vote);
        words.slot(self.decided);
    }
}

impl Written for Reign<Command> {
    fn write(&self, words: &mut Words) {
        words.slot(self.barrier);
        words.slot(self.next);
        words.all(self.open.iter(), |words, (slot, it)| {
            words.slot(*slot);
            words.put(&it.entry);
            words.set(it.voters);
        });
        let queue: Vec<_> = self.queue.iter().collect();
        words.all(queue.into_iter(), Words::put);
        words.beat(self.beat);
        words.all(self.heard.iter(), |words, (acceptor, beat)| {
            words.word(acceptor);
            words.beat(*beat);
        });
        words.all(self.reads.iter(), |words, read| {
            words.word(read.client);
            words.word(read.seq);
            words.command(&read.query);
            words.slot(read.index);
            words.word(read.round);
        });
        words.option(self.told, Words::slot);
    }
}

impl Written for Leader<Command> {
    fn write(&self, words: &mut Words) {
        words.option(self.ballot, Words::ballot);
        match &self.phase {
            Phase::Following => words.word("following"),
            Phase::Preparing(campaign) => {
                words.word("preparing");
                words.put(campaign);
            }
            Phase::Leading(reign) => {
                words.word("leading");
                words.put(reign);
            }
            Phase::Preempted { by } => {
                words.word("preempted");
                words.ballot(*by);
            }
        }
    }
}

impl Written for Snapshot {
    fn write(&self, words: &mut Words) {
        words.slot(self.upto);
        words.bytes(&self.bytes);
    }
}

impl Written for Log<Command> {
    fn write(&self, words: &mut Words) {
        words.slot(self.start());
        let entries: Vec<_> = self.since(self.start()).map(|(_, entry)| entry).collect();
        words.entries(entries.into_iter());
    }
}

impl Written for Sessions<Register> {
    fn write(&self, words: &mut Words) {
        let bytes = Snapshot::take(Slot(0), self).map(|it| it.bytes);
        words.bytes(&bytes.unwrap_or_default());
    }
}

impl Written for Transfer {
    fn write(&self, words: &mut Words) {
        let it = self.so_far();
        words.slot(it.upto);
        words.word(it.total);
        words.word(it.digest);
        words.bytes(&it.bytes);
    }
}

impl Written for Learner<Register> {
    fn write(&self, words: &mut Words) {
        words.option(self.snapshot.as_ref(), Words::put);
        words.put(&self.log);
        words.all(self.ahead.iter(), |words, (slot, entry)| {
            words.slot(*slot);
            words.put(entry);
        });
        words.put(&self.sessions);
        words.option(self.transfer.as_ref(), Words::put);
    }
}

impl Written for Chunk {
    fn write(&self, words: &mut Words) {
        words.slot(self.upto);
        for number in [self.total, self.digest, self.offset] {
            words.word(number);
        }
        words.bytes(&self.bytes);
    }
}

impl Written for ProcessState<Register> {
    fn write(&self, words: &mut Words) {
        let Some(node) = self.node() else { return };
        words.option(node.acceptor.as_ref(), Words::put);
        let grant = node.acceptor.as_ref().and_then(|it| it.grant);
        words.option(grant, |words, grant| {
            words.word(grant.to);
            words.word(grant.until.0);
        });
        words.option(node.leader.as_ref(), Words::put);
        words.option(node.learner.as_ref(), Words::put);
        words.word(node.now.0);
    }
}

impl Remembered<Message<Command, Reply>> for ProcessState<Register> {
    fn is_node(&self) -> bool {
        self.node().is_some()
    }

    fn summed(&self, message: Option<&Message<Command, Reply>>, after: &Self) -> Vec<Vec<u8>> {
        let learner = |state: &Self| state.node().and_then(|node| node.learner.clone());
        let (Some(learner), Some(after)) = (learner(self), learner(after)) else {
            return Vec::new();
        };
        // Those of one's own snapshots, of which pieces may be sent.
        let changes = learner.snapshot != after.snapshot;
        let asks = matches!(
            message,
            Some(Message::Ask { .. } | Message::Fetch { .. } | Message::Accept { .. })
        );
        let own = learner.snapshot.iter().filter(|_| asks);
        let own = own.chain(after.snapshot.iter().filter(|_| changes));
        let mut summed: Vec<Vec<u8>> = own.map(|it| it.bytes.to_vec()).collect();
        if let Some(Message::Chunk(chunk)) = message {
            // Those of what has arrived, with this piece or without, of this alone, of nothing.
            let have = learner
                .transfer
                .map_or_else(Vec::new, |it| it.so_far().bytes);
            let all = [&have[..], &chunk.bytes].concat();
            summed.extend([Vec::new(), chunk.bytes.clone(), have, all]);
        }
        summed
    }
}

impl Written for Durable<Register> {
    fn write(&self, words: &mut Words) {
        words.option(self.acceptor.as_ref(), Words::put);
        words.option(self.ballot, Words::ballot);
        words.option(self.snapshot.as_ref(), Words::put);
        words.put(&self.log);
    }
}

impl Written for Message<Command, Reply> {
    fn write(&self, words: &mut Words) {
        match self {
            Message::Request(request) => {
                words.word("request");
                words.put(request);
            }
            Message::Read { seq, query, how } => {
                words.word("read");
                words.word(seq);
                words.command(query);
                words.word(match how {
                    How::Index => "index",
                    How::Lease => "lease",
                });
            }
            Message::Reply { seq, outcome } => {
                words.word("reply");
                words.word(seq);
                words.put(outcome);
            }
            Message::Prepare { ballot, from } => {
                words.word("prepare");
                words.ballot(*ballot);
                words.slot(*from);
            }
            Message::Promise {
                ballot,
                votes,
                decided,
                more,
            } => {
                words.word("promise");
                words.ballot(*ballot);
                words.all(votes.iter(), Words::slot_and_vote);
                words.slot(*decided);
                words.option(*more, Words::slot);
            }
            Message::Continue { ballot, from } => {
                words.word("continue");
                words.ballot(*ballot);
                words.slot(*from);
            }
            Message::Accept { slot, vote } => {
                words.word("accept");
                words.slot(*slot);
                words.put(vote);
            }
            Message::Accepted { ballot, slot } => {
                words.word("accepted");
                words.ballot(*ballot);
                words.slot(*slot);
            }
            Message::Nack { promised, decided } => {
                words.word("nack");
                words.ballot(*promised);
                words.slot(*decided);
            }
            Message::Decided { ballot, upto } => {
                words.word("decided");
                words.ballot(*ballot);
                words.slot(*upto);
            }
            Message::Entries { from, entries } => {
                words.word("entries");
                words.slot(*from);
                words.entries(entries.iter());
            }
            Message::Ask { from } => {
                words.word("ask");
                words.slot(*from);
            }
            Message::Chunk(chunk) => {
                words.word("chunk");
                words.put(chunk);
            }
            Message::Fetch { upto, offset } => {
                words.word("fetch");
                words.slot(*upto);
                words.word(offset);
            }
            Message::Heartbeat { ballot, beat, upto } => {
                words.word("heartbeat");
                words.ballot(*ballot);
                words.beat(*beat);
                words.slot(*upto);
            }
            Message::Heard { ballot, beat } => {
                words.word("heard");
                words.ballot(*ballot);
                words.beat(*beat);
            }
        }
    }
}

impl Written for Alarm {
    fn write(&self, words: &mut Words) {
        words.word(match self {
            Alarm::Node(Timer::Campaign) => "campaign",
            Alarm::Node(Timer::Heartbeat) => "heartbeat",
            Alarm::Node(Timer::Propose) => "propose",
            Alarm::Node(Timer::Tick) => "tick",
            Alarm::Retry => "retry",
        });
    }
}

impl Described for Cluster<Register> {
    fn quorums(&self) -> &QuorumSystem {
        &self.quorums
    }
}

impl Written for Cluster<Register> {
    /// In the order of the fields.
    fn write(&self, words: &mut Words) {
        words.word("multi");
        words.quorums(&self.quorums);
        words.nodes(&self.proposers);
        words.nodes(&self.learners);
        words.put(&self.initial);
        let limits = &self.limits;
        for number in [limits.round_max, limits.slots, limits.beats_max] {
            words.word(number);
        }
        words.word(limits.window);
        words.switch(limits.gathers);
        for number in [limits.batch_max, limits.bytes_max, limits.queue_max] {
            words.word(number);
        }
        words.switch(self.nacks);
        words.option(self.heartbeat.as_ref(), |words, range| {
            words.word(range.start.as_nanos());
            words.word(range.end.as_nanos());
        });
        words.word(self.election.base.as_nanos());
        words.word(self.election.doublings_max);
        words.option(self.lease, |words, terms| {
            words.word(terms.duration);
            words.word(terms.margin);
        });
        words.option(self.snapshot_every, Words::word);
    }
}

/// How many random calls are made in one random cluster.
const CALLS_PER_CLUSTER: usize = 1_000;

/// How many messages are under way at most.
const WIRE: usize = 50;

/// Random calls in states to which calls with messages that nobody sent have led: walks of a
/// random cluster, in which most messages are some that were sent, and the others are made up.
pub(super) fn random(calls: &Arc<Calls>, count: usize, dice: &mut Dice) -> io::Result<()> {
    let mut walk = None;
    for made in 0..count {
        if made % CALLS_PER_CLUSTER == 0 {
            let cluster = Arc::new(dice.multi_cluster());
            calls.begin(&*cluster)?;
            let process = Process::Node(cluster, Clock::Ticks);
            walk = Some(Walk::new(Recorder::new(process, calls), dice));
        }
        if let Some(walk) = &mut walk {
            walk.call(dice);
        }
    }
    Ok(())
}

type Proc = ProcessState<Register>;
type Msg = Message<Command, Reply>;
type Calling = Recorder<Process<Register>>;

/// A few nodes, and what is under way between them.
struct Walk {
    recorder: Calling,
    nodes: Vec<(Proc, Option<Durable<Register>>)>,
    wire: Vec<(Id, Id, Msg)>,
    /// In a hundred calls, so many are with messages made up.
    made_up: u32,
}

impl Walk {
    /// With more nodes than any cluster has: those without a role are called, too.
    const NODES: u32 = 5;

    fn new(recorder: Calling, dice: &mut Dice) -> Self {
        let mut walk = Self {
            recorder,
            nodes: Vec::new(),
            wire: Vec::new(),
            made_up: dice.of(&[0, 0, 4, 30]),
        };
        for id in (0..Self::NODES).map(NodeId).map(Id::from) {
            let mut out = Out::new();
            let state = walk.recorder.on_start(id, &None, &mut out);
            walk.nodes.push((state, None));
            walk.after(id, out);
        }
        walk
    }

    /// Makes one call: in a hundred, one restart, some timers and wishes of clients, messages made
    /// up, and for the rest messages that were sent.
    fn call(&mut self, dice: &mut Dice) {
        let (restarts, timers, wishes) = (1, 15, 15);
        let kind = dice.0.random_range(0..100);
        let any = Id::from(NodeId(dice.0.random_range(0..Self::NODES)));
        if kind < restarts {
            let mut out = Out::new();
            let (state, saved) = &mut self.nodes[usize::from(any)];
            *state = self.recorder.on_start(any, saved, &mut out);
            self.after(any, out);
        } else if kind < restarts + timers {
            let timer = Alarm::Node(dice.timer());
            self.step(any, |recorder, state, out| {
                recorder.on_timeout(any, state, &timer, out);
            });
        } else if kind < restarts + timers + wishes {
            let leads = |it: &(Proc, _)| it.0.node().is_some_and(|node| node.is_leading());
            let leader = self.nodes.iter().position(leads);
            let client = Id::from(NodeId(8));
            self.deliver(client, leader.map_or(any, Id::from), dice.wish());
        } else if kind < restarts + timers + wishes + self.made_up || self.wire.is_empty() {
            self.deliver(dice.node().into(), any, dice.multi_message());
        } else {
            let index = dice.0.random_range(0..self.wire.len());
            // Some come more than once, and some that were altered.
            let (from, to, mut message) = match dice.0.random_bool(0.93) {
                true => self.wire.swap_remove(index),
                false => self.wire[index].clone(),
            };
            if self.made_up > 0 && dice.0.random_bool(0.1) {
                message = dice.changed(message);
            }
            // What is for a client goes anywhere.
            let is_node = usize::from(to) < self.nodes.len();
            self.deliver(from, if is_node { to } else { any }, message);
        }
    }

    fn deliver(&mut self, from: Id, to: Id, message: Msg) {
        self.step(to, |recorder, state, out| {
            recorder.on_msg(to, state, from, message, out);
        });
    }

    fn step(
        &mut self,
        id: Id,
        make: impl FnOnce(&Calling, &mut Cow<Proc>, &mut Out<Process<Register>>),
    ) {
        let mut out = Out::new();
        let mut state = Cow::Borrowed(&self.nodes[usize::from(id)].0);
        make(&self.recorder, &mut state, &mut out);
        if let Cow::Owned(after) = state {
            self.nodes[usize::from(id)].0 = after;
        }
        self.after(id, out);
    }

    /// What a call saved and sent. Of the messages under way the oldest get lost.
    fn after(&mut self, id: Id, out: Out<Process<Register>>) {
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

impl Dice {
    fn slot(&mut self) -> Slot {
        // The last is further ahead than any leader goes.
        let far = Slot::SPAN_MAX + 30;
        Slot(self.of(&[0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 3, 3, 4, 5, 8, far]))
    }

    fn end(&mut self) -> Slot {
        let slot = self.slot();
        self.of(&[slot, slot, slot, slot, Slot(u64::MAX)])
    }

    fn request(&mut self) -> Request<Command> {
        let (client, seq) = (NodeId(self.of(&[0, 8, 9])), self.0.random_range(0..4));
        let value = self.of(&['x', 'y', 'z', 'é', '∅']);
        let order = if self.0.random_bool(0.2) {
            Order::Open { seq }
        } else {
            Order::Do {
                session: self.of(&[0, 0, 1, 2, 300]),
                seq,
                acked: self.of(&[0, seq, seq, seq + 1]),
                command: self.of(&[Command::Read, Command::Write(value)]),
            }
        };
        Request { client, order }
    }

    fn entry(&mut self) -> Entry<Command> {
        match self.0.random_bool(0.2) {
            true => Entry::Noop,
            false => Entry::Batch(self.several(4, Self::request).into()),
        }
    }

    fn entry_vote(&mut self) -> Vote<Entry<Command>> {
        let (ballot, value) = (self.small_ballot(), self.entry());
        Vote { ballot, value }
    }

    /// One that a node of a walk may own; seldom, any.
    fn small_ballot(&mut self) -> synod::ballot::Ballot {
        let mut ballot = self.ballot();
        if self.0.random_bool(0.95) {
            ballot.round = self.of(&[1, 1, 2, 2, 3, 4]);
            ballot.node = NodeId(self.0.random_range(0..Walk::NODES));
        }
        ballot
    }

    fn beat(&mut self) -> Beat {
        Beat {
            round: self.0.random_range(0..3),
            sent: Time(self.0.random_range(0..4)),
        }
    }

    fn chunk(&mut self) -> Chunk {
        let bytes = self.several(4, |dice| dice.0.random());
        Chunk {
            upto: self.slot(),
            total: self.of(&[0, 1, 2, 3, 9]),
            digest: match self.0.random_bool(0.5) {
                true => xxhash_rust::xxh3::xxh3_64(&bytes),
                false => 7,
            },
            offset: self.of(&[0, 0, 1, 2, u64::MAX]),
            bytes,
        }
    }

    fn timer(&mut self) -> Timer {
        match self.0.random_range(0..12) {
            0..3 => Timer::Campaign,
            3..7 => Timer::Heartbeat,
            7..9 => Timer::Propose,
            _ => Timer::Tick,
        }
    }

    /// What a client says.
    fn wish(&mut self) -> Msg {
        match self.0.random_bool(0.7) {
            true => Message::Request(self.request()),
            false => Message::Read {
                seq: self.0.random_range(0..4),
                query: self.of(&[Command::Read, Command::Read, Command::Write('x')]),
                how: self.of(&[How::Index, How::Lease]),
            },
        }
    }

    /// A message with something in it that was not.
    fn changed(&mut self, message: Msg) -> Msg {
        match message {
            Message::Chunk(mut chunk) => {
                chunk.offset = self.of(&[0, chunk.offset, chunk.offset + 1]);
                if let Some(byte) = chunk.bytes.first_mut() {
                    *byte ^= self.of(&[0, 1]);
                }
                Message::Chunk(chunk)
            }
            Message::Fetch { upto, .. } => Message::Fetch {
                upto,
                offset: self.of(&[0, 1, 5, 40, u64::MAX]),
            },
            Message::Promise { ballot, votes, .. } => Message::Promise {
                ballot,
                votes,
                decided: self.end(),
                more: self.option(Self::slot),
            },
            Message::Heartbeat { ballot, upto, .. } => Message::Heartbeat {
                ballot,
                beat: self.beat(),
                upto,
            },
            message => message,
        }
    }

    fn multi_message(&mut self) -> Msg {
        match self.0.random_range(8..24) {
            8 => Message::Prepare {
                ballot: self.small_ballot(),
                from: self.end(),
            },
            9..12 => {
                let votes = self.several(4, |dice| (dice.slot(), dice.entry_vote()));
                Message::Promise {
                    ballot: self.small_ballot(),
                    votes: votes.into_iter().collect(),
                    decided: self.end(),
                    more: self.option(Self::end),
                }
            }
            12 => Message::Continue {
                ballot: self.small_ballot(),
                from: self.end(),
            },
            13..15 => Message::Accept {
                slot: self.slot(),
                vote: self.entry_vote(),
            },
            15 => Message::Accepted {
                ballot: self.small_ballot(),
                slot: self.slot(),
            },
            16 => Message::Nack {
                promised: self.small_ballot(),
                decided: self.end(),
            },
            17 => Message::Decided {
                ballot: self.small_ballot(),
                upto: self.end(),
            },
            18 => Message::Entries {
                from: self.slot(),
                entries: self.several(4, Self::entry),
            },
            19 => Message::Ask { from: self.end() },
            20 => Message::Chunk(self.chunk()),
            21 => Message::Fetch {
                upto: self.slot(),
                offset: self.of(&[0, 1, 5, 40, u64::MAX]),
            },
            22 => Message::Heartbeat {
                ballot: self.small_ballot(),
                beat: self.beat(),
                upto: self.end(),
            },
            _ => Message::Heard {
                ballot: self.small_ballot(),
                beat: self.beat(),
            },
        }
    }

    fn multi_cluster(&mut self) -> Cluster<Register> {
        let roles = |dice: &mut Self, share: f64| {
            let nodes = (0..Walk::NODES).map(NodeId);
            let chosen = nodes.filter(|_| dice.0.random_bool(share));
            chosen.collect::<Vec<NodeId>>()
        };
        let quorums = loop {
            let acceptors: AcceptorSet = roles(self, 0.5).into_iter().collect();
            let sizes = [0; 2].map(|_| self.0.random_range(1..4));
            if let Ok(quorums) = QuorumSystem::flexible(acceptors, sizes[0], sizes[1]) {
                break quorums;
            }
        };
        let mut initial = Sessions::new(Register::default(), self.of(&[1, 2, 4]));
        for _ in 0..self.of(&[0, 3, 3]) {
            initial.carry_out(&Order::Open { seq: 0 });
        }
        let millis = Duration::from_millis;
        Cluster {
            quorums,
            proposers: roles(self, 0.5),
            learners: roles(self, 0.7),
            initial,
            limits: Limits {
                round_max: self.of(&[3, 9, u64::MAX]),
                slots: self.of(&[4, u64::MAX, u64::MAX]),
                beats_max: self.of(&[0, 2, u64::MAX]),
                window: self.of(&[1, 2, 8]),
                gathers: self.0.random_bool(0.5),
                batch_max: self.of(&[1, 2, 256]),
                bytes_max: self.of(&[1, 12, 24, 1_200]),
                queue_max: self.of(&[1, 3, 4_096]),
            },
            nacks: self.0.random_bool(0.5),
            heartbeat: self.option(|_| millis(20)..millis(25)),
            election: Backoff {
                base: millis(self.of(&[1, 20])),
                doublings_max: self.of(&[0, 6]),
            },
            lease: self.option(|dice| Terms {
                duration: dice.of(&[1, 4]),
                margin: dice.of(&[0, 1, 9]),
            }),
            snapshot_every: self.option(|dice| dice.of(&[1, 2, 5])),
        }
    }
}
