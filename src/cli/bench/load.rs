//! Clients that keep a cluster busy, as an actor: the same under every runtime that is measured.

use super::measure::Recorder;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};
use synod::ballot::NodeId;
use synod::kv::{Command, Store};
use synod::multi::{How, MessageOf, Order, Outcome, Request};

/// How many keys the commands are about.
const KEYS: u32 = 64;

/// How often it is looked what was not answered, and, at a fixed rate, what is due.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(20), Duration::from_micros(500)];

/// What is not answered for so long is sent again, to all nodes.
const RESEND_AFTER: Duration = Duration::from_millis(100);

/// A session remembers so many replies at most: more commands must never be under way.
const PENDING_MAX: usize = 4_000;

/// What clients do.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Work {
    /// Commands under way at any time, each followed by the next as soon as it is answered; unless
    /// there is a rate.
    pub(super) outstanding: usize,
    /// Commands per second, whether or not those before are answered.
    pub(super) rate: Option<f64>,
    /// The bytes of the value that a command writes.
    pub(super) payload: usize,
    /// How many commands of a hundred read, and do not write.
    pub(super) reads: u8,
    /// How they read; through the log if `None`.
    pub(super) how: Option<How>,
}

/// A client that never stops.
pub(super) struct Load {
    pub(super) nodes: Vec<NodeId>,
    pub(super) work: Work,
    pub(super) recorder: Recorder,
}

/// A command that is not answered yet.
#[derive(Clone)]
struct Pending {
    /// When it should have been sent; what it waited for before that counts as latency.
    due: Instant,
    sent: Instant,
    message: MessageOf<Store>,
}

/// What a client is at.
#[derive(Clone)]
pub(super) struct LoadState {
    session: Option<u64>,
    /// The number of the next command.
    next: u64,
    pending: BTreeMap<u64, Pending>,
    leader: Option<NodeId>,
    start: Instant,
    /// How many commands were due so far, at a fixed rate.
    planned: u64,
    rng: SmallRng,
}

impl LoadState {
    /// What tells one from another, as far as actors' states must be told apart.
    fn identity(&self) -> (Option<u64>, u64, usize, Option<NodeId>) {
        (self.session, self.next, self.pending.len(), self.leader)
    }
}

impl PartialEq for LoadState {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Hash for LoadState {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl fmt::Debug for LoadState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.identity().fmt(f)
    }
}

impl Load {
    /// What the next command says. No number below `acked` is asked about ever again.
    fn message(&self, me: NodeId, state: &mut LoadState, session: u64) -> MessageOf<Store> {
        let (work, seq) = (&self.work, state.next);
        let key = format!("key {}", state.rng.random_range(0..KEYS));
        let is_read = state.rng.random_range(0..100) < work.reads;
        let command = match is_read {
            true => Command::Get { key },
            false => Command::Put {
                key,
                value: "x".repeat(work.payload),
            },
        };
        if let (true, Some(how)) = (is_read, work.how) {
            let query = command;
            return MessageOf::<Store>::Read { seq, query, how };
        }
        let acked = state.pending.keys().next().copied().unwrap_or(seq);
        let order = Order::Do {
            session,
            seq,
            acked,
            command,
        };
        MessageOf::<Store>::Request(Request { client: me, order })
    }

    /// Sends a command that was due at a moment.
    fn send(&self, id: Id, state: &mut LoadState, due: Instant, now: Instant, out: &mut Out<Self>) {
        let Some(session) = state.session else { return };
        let message = self.message(id.into(), state, session);
        self.tell(state.leader, &message, out);
        let pending = Pending {
            due,
            sent: now,
            message,
        };
        state.pending.insert(state.next, pending);
        state.next += 1;
    }

    /// Says something to the leader, or to all if it is not known.
    fn tell(&self, leader: Option<NodeId>, message: &MessageOf<Store>, out: &mut Out<Self>) {
        match leader {
            Some(leader) => out.send(leader.into(), message.clone()),
            None => {
                let nodes = self.nodes.iter();
                nodes.for_each(|node| out.send((*node).into(), message.clone()));
            }
        }
    }

    fn open(&self, id: Id, out: &mut Out<Self>) {
        let order = Order::Open { seq: 0 };
        let client = id.into();
        self.tell(
            None,
            &MessageOf::<Store>::Request(Request { client, order }),
            out,
        );
    }

    /// Sends what there is room for, or what is due.
    fn go_on(&self, id: Id, state: &mut LoadState, now: Instant, out: &mut Out<Self>) {
        match self.work.rate {
            None => {
                while state.pending.len() < self.work.outstanding.min(PENDING_MAX) {
                    self.send(id, state, now, now, out);
                }
            }
            Some(rate) => {
                while state.pending.len() < PENDING_MAX {
                    let after = Duration::from_secs_f64(state.planned as f64 / rate);
                    let due = state.start + after;
                    if due > now {
                        break;
                    }
                    state.planned += 1;
                    self.send(id, state, due, now, out);
                }
            }
        }
    }

    /// Sends again what was not answered.
    fn resend(&self, state: &mut LoadState, now: Instant, out: &mut Out<Self>) {
        let late = |pending: &Pending| now.duration_since(pending.sent) >= RESEND_AFTER;
        let late: Vec<u64> = state
            .pending
            .iter()
            .filter(|it| late(it.1))
            .map(|it| *it.0)
            .collect();
        if late.is_empty() {
            return;
        }
        // Whoever answered last may be gone.
        state.leader = None;
        self.recorder.resent(late.len() as u64);
        for seq in late {
            if let Some(pending) = state.pending.get_mut(&seq) {
                pending.sent = now;
                let message = pending.message.clone();
                self.tell(None, &message, out);
            }
        }
    }

    fn look_again(&self, out: &mut Out<Self>) {
        let wait = LOOK_EVERY[usize::from(self.work.rate.is_some())];
        out.set_timer((), wait..wait);
    }
}

impl Actor for Load {
    type Msg = MessageOf<Store>;
    type State = LoadState;
    type Timer = ();
    type Random = ();
    type Storage = ();

    fn on_start(&self, id: Id, _: &Option<()>, out: &mut Out<Self>) -> LoadState {
        self.open(id, out);
        self.look_again(out);
        LoadState {
            session: None,
            next: 1,
            pending: BTreeMap::new(),
            leader: None,
            start: Instant::now(),
            planned: 0,
            rng: SmallRng::seed_from_u64(usize::from(id) as u64),
        }
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<LoadState>,
        from: Id,
        message: Self::Msg,
        out: &mut Out<Self>,
    ) {
        let MessageOf::<Store>::Reply { seq, outcome } = message else {
            return;
        };
        let (now, state) = (Instant::now(), state.to_mut());
        match outcome {
            Outcome::Opened { session } if state.session.is_none() => {
                state.session = Some(session);
                state.start = now;
            }
            Outcome::Done(_) => match state.pending.remove(&seq) {
                Some(pending) => self
                    .recorder
                    .done(now, now.duration_since(pending.due), from),
                None => return,
            },
            Outcome::Opened { .. } | Outcome::Expired => return,
        }
        state.leader = Some(from.into());
        self.go_on(id, state, now, out);
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<LoadState>, (): &(), out: &mut Out<Self>) {
        let (now, state) = (Instant::now(), state.to_mut());
        match state.session {
            None => self.open(id, out),
            Some(_) => {
                self.resend(state, now, out);
                self.go_on(id, state, now, out);
            }
        }
        self.look_again(out);
    }
}
