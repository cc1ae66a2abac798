//! What bytes from outside are fed to. Nothing may panic, or take memory that the bytes do not
//! account for.
#![allow(dead_code, reason = "each fuzz target takes in all, and uses one")]

use serde::de::DeserializeOwned;
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::NodeId;
use synod::certify::{File, certify};
use synod::kv::Store;
use synod::multi::{Alarm, Clock, Cluster, Durable, MessageOf, Process, Sessions, Timer};
use synod::quorum::{AcceptorSet, FastSpec};
use synod::rounds::Rounds;
use synod::runtime::fuzzing;
use synod::{basic, fast, multi};

type Message = MessageOf<Store>;

/// A datagram; and the messages of one that is well-formed but for them.
pub(crate) fn datagram(bytes: &[u8]) {
    fuzzing::datagram::<Message>(bytes);
    fuzzing::payload::<Message>(bytes);
    fuzzing::payload::<basic::Message<String>>(bytes);
    fuzzing::payload::<fast::Message<String>>(bytes);
}

/// The file of a log; and one whose records are well-formed but for what is in them. A state that
/// is read is one that a node starts with.
pub(crate) fn log(bytes: &[u8]) {
    fuzzing::file::<Durable<Store>>(bytes);
    fuzzing::file::<basic::Durable<String>>(bytes);
    fuzzing::file::<fast::Durable<String>>(bytes);
    // A record is as long as the byte before it says.
    let (mut records, mut rest) = (Vec::new(), bytes);
    while let Some((length, after)) = rest.split_first() {
        let (record, after) = after.split_at(usize::from(*length).min(after.len()));
        records.push(record);
        rest = after;
    }
    fuzzing::records::<basic::Durable<String>>(&records);
    fuzzing::records::<fast::Durable<String>>(&records);
    if let Some(saved) = fuzzing::records::<Durable<Store>>(&records) {
        let process = process(true);
        let mut out = Out::new();
        let state = process.on_start(Id::from(0), &Some(saved), &mut out);
        alarm(&process, state, Alarm::Node(Timer::Campaign));
    }
}

/// A node with a majority that lies: alarms go off, and messages come from anybody, one after the
/// other. Of Multi-Paxos, and of Fast Paxos.
pub(crate) fn node(bytes: &[u8]) {
    let Some((flags, rest)) = bytes.split_first() else {
        return;
    };
    let alarms = [
        Timer::Campaign,
        Timer::Heartbeat,
        Timer::Propose,
        Timer::Tick,
    ];
    besiege(&process(flags & 1 == 1), &alarms.map(Alarm::Node), rest);
    use fast::Timer::{Ask, Retry};
    besiege(&fast_process(), &[Retry, Ask, Retry, Ask], rest);
}

fn besiege<A>(actor: &A, alarms: &[A::Timer; 4], mut rest: &[u8])
where
    A: Actor<Msg: DeserializeOwned, Timer: Clone, State: 'static>,
{
    let mut out = Out::new();
    let mut state = actor.on_start(Id::from(0), &None, &mut out);
    while let Some((what, after)) = rest.split_first() {
        rest = after;
        state = match alarms.get(usize::from(*what)) {
            Some(timer) => alarm(actor, state, timer.clone()),
            None => {
                let length = rest.first().copied().map_or(0, usize::from);
                let end = rest.len().min(1 + length);
                let (message, after) = rest.split_at(end);
                rest = after;
                let framed = [
                    &(length as u16).to_le_bytes(),
                    message.get(1..).unwrap_or(&[]),
                ];
                hear(actor, state, *what, &framed.concat())
            }
        };
    }
}

/// The traces of a run, with a zero byte between two files.
pub(crate) fn trace(bytes: &[u8]) {
    let files = bytes.split(|byte| *byte == 0);
    let files = files.map(|bytes| File {
        name: "a trace".to_owned(),
        bytes: bytes.to_owned(),
    });
    // What comes of it is not the question.
    let _ = certify(&files.collect::<Vec<_>>());
}

/// A node of three that plays all roles, small enough that its bounds are met.
fn process(gathers: bool) -> Process<Store> {
    let cluster = Cluster::of_replicas(3, Sessions::new(Store::default(), 2));
    let mut cluster = cluster.expect("three are enough");
    cluster.snapshot_every = Some(3);
    cluster.heartbeat = Some(Duration::ZERO..Duration::from_millis(1));
    cluster.limits = multi::Limits {
        gathers,
        window: 3,
        batch_max: 2,
        bytes_max: 100,
        queue_max: 3,
        ..multi::Limits::default()
    };
    Process::Node(Arc::new(cluster), Clock::Ticks)
}

/// The same of Fast Paxos, two of whose rounds are fast.
fn fast_process() -> fast::Process<String> {
    let acceptors = AcceptorSet::first(3);
    let quorums = FastSpec::majority(3).over(acceptors, Rounds { fast: 2 });
    let everyone: Vec<NodeId> = acceptors.iter().collect();
    fast::Process::Node(Arc::new(fast::Cluster {
        quorums: quorums.expect("three are enough"),
        coordinators: everyone.clone(),
        learners: everyone,
        nacks: true,
        round_max: u64::MAX,
        backoff: Backoff::default(),
    }))
}

fn alarm<A: Actor<State: 'static>>(actor: &A, state: A::State, timer: A::Timer) -> A::State {
    let (mut state, mut out) = (Cow::Owned(state), Out::new());
    actor.on_timeout(Id::from(0), &mut state, &timer, &mut out);
    state.into_owned()
}

fn hear<A>(actor: &A, state: A::State, from: u8, framed: &[u8]) -> A::State
where
    A: Actor<Msg: DeserializeOwned, State: 'static>,
{
    let (mut state, mut out) = (Cow::Owned(state), Out::new());
    let from = NodeId(u32::from(from % 5));
    for message in fuzzing::payload::<A::Msg>(framed).unwrap_or_default() {
        actor.on_msg(Id::from(0), &mut state, from.into(), message, &mut out);
    }
    state.into_owned()
}
