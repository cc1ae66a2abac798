//! Clients that keep a cluster busy, as an actor: the same under every runtime that is measured.

use super::measure::Recorder;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::{Duration, Instant};
use synod::ballot::NodeId;
use synod::kv::{Command, Store, Text};
use synod::multi::{How, MessageOf, Order, Outcome, Request};

/// How many keys the commands are about.
const KEYS: u32 = 64;

/// How often it is looked what was not answered, and, at a fixed rate, what is due.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(50), Duration::from_micros(500)];

/// What is not answered for so long is sent again, to all nodes.
const RESEND_AFTER: Duration = Duration::from_millis(100);

/// A session remembers so many replies at most. So the number of the next command is never further
/// than this from that of the first which has no reply, however many between have one.
const WINDOW: usize = 4_000;

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

/// The commands from the first that is not answered to the last; those between may be.
#[derive(Clone, Default)]
struct Window {
    commands: VecDeque<Option<Pending>>,
    /// How many of them are not answered.
    open: usize,
}

impl Window {
    fn push(&mut self, pending: Pending) {
        self.commands.push_back(Some(pending));
        self.open += 1;
    }

    /// Of the command that is so many before the next.
    fn answered(&mut self, before: u64) -> Option<Pending> {
        let at = self.commands.len().checked_sub(before.try_into().ok()?)?;
        let pending = self.commands.get_mut(at)?.take()?;
        self.open -= 1;
        while let Some(None) = self.commands.front() {
            self.commands.pop_front();
        }
        Some(pending)
    }
}

/// What a client is at.
#[derive(Clone)]
pub(super) struct LoadState {
    session: Option<u64>,
    /// The number of the next command.
    next: u64,
    pending: Window,
    leader: Option<NodeId>,
    start: Instant,
    /// How many commands were due so far, at a fixed rate.
    planned: u64,
    /// What commands write.
    value: Text,
    rng: SmallRng,
}

impl LoadState {
    /// What tells one from another, as far as actors' states must be told apart.
    fn identity(&self) -> (Option<u64>, u64, usize, Option<NodeId>) {
        (self.session, self.next, self.pending.open, self.leader)
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
        let key = Text::from(format!("key {}", state.rng.random_range(0..KEYS)));
        let is_read = state.rng.random_range(0..100) < work.reads;
        let command = match is_read {
            true => Command::Get { key },
            false => Command::Put {
                key,
                value: state.value.clone(),
            },
        };
        if let (true, Some(how)) = (is_read, work.how) {
            let query = command;
            return MessageOf::<Store>::Read { seq, query, how };
        }
        let acked = seq - state.pending.commands.len() as u64;
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
        state.pending.push(pending);
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

    /// Whether the session would remember the reply to one command more.
    fn has_room(state: &LoadState) -> bool {
        state.pending.commands.len() < WINDOW
    }

    /// Sends what there is room for, or what is due.
    fn go_on(&self, id: Id, state: &mut LoadState, now: Instant, out: &mut Out<Self>) {
        match self.work.rate {
            None => {
                while state.pending.open < self.work.outstanding && Self::has_room(state) {
                    self.send(id, state, now, now, out);
                }
            }
            Some(rate) => {
                while Self::has_room(state) {
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
        let pending = state.pending.commands.iter_mut().flatten();
        let mut late = 0;
        for pending in pending.filter(|it| now.duration_since(it.sent) >= RESEND_AFTER) {
            pending.sent = now;
            self.tell(None, &pending.message, out);
            late += 1;
        }
        if late > 0 {
            // Whoever answered last may be gone.
            state.leader = None;
            self.recorder.resent(late);
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
            pending: Window::default(),
            leader: None,
            start: Instant::now(),
            planned: 0,
            value: "x".repeat(self.work.payload).into(),
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
            Outcome::Done(_) => match state.pending.answered(state.next.saturating_sub(seq)) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use stateright::actor::Command as Effect;
    use synod::kv::Reply;

    /// A session forgets its client if one command stays without an answer while thousands are
    /// answered that came after it. Red if the client counts only what is under way.
    #[test]
    fn no_command_is_left_behind_further_than_a_session_remembers() {
        let (me, node) = (Id::from(9), Id::from(0));
        let load = Load {
            nodes: vec![node.into()],
            work: Work {
                outstanding: 64,
                rate: None,
                payload: 16,
                reads: 0,
                how: None,
            },
            recorder: Recorder::new(),
        };
        let mut state = Cow::Owned(load.on_start(me, &None, &mut Out::new()));
        let mut answer = |seq, outcome| {
            let (mut out, reply) = (Out::new(), MessageOf::<Store>::Reply { seq, outcome });
            load.on_msg(me, &mut state, node, reply, &mut out);
            let seqs = out.into_iter().filter_map(|effect| match effect {
                Effect::Send(_, MessageOf::<Store>::Request(it)) => Some(it.order.seq()),
                _ => None,
            });
            seqs.collect::<Vec<_>>()
        };
        let done = || Outcome::Done(Reply::Was(None));
        let mut sent = answer(0, Outcome::Opened { session: 7 });
        assert_eq!(sent.len(), 64);
        let first = sent.remove(0);
        while let Some(seq) = sent.pop() {
            sent.extend(answer(seq, done()));
            assert!(seq < first + WINDOW as u64);
        }
        // Once it is answered all goes on.
        assert_eq!(answer(first, done()).len(), 64);
        assert!(answer(first, done()).is_empty());
    }
}
