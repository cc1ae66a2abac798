//! Clients that keep a cluster busy, as an actor: the same under every runtime that is measured.

use super::measure::Recorder;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};
use synod::ballot::NodeId;
use synod::kv::{Command, Store, Text};
use synod::multi::{MessageOf, Operation, Outcome, ReadMode, Request};

/// The number of keys that commands use.
const KEYS: u32 = 64;

/// The pauses between two looks at commands that are unanswered or, at a fixed rate, due.
const LOOK_EVERY: [Duration; 2] = [Duration::from_millis(50), Duration::from_micros(500)];

/// The time after which an unanswered command is sent again, to all nodes.
const RESEND_AFTER: Duration = Duration::from_millis(100);

/// The most commands from the first unanswered one to the next new one, however many in between
/// are answered: a session remembers only so many replies.
const WINDOW: usize = 4_000;

/// The work of each client. Its serialized fields are those of a run in the results.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Work {
    /// The commands outstanding at any time, or `None` at a fixed rate.
    pub(super) outstanding: Option<usize>,
    /// The commands per second, whether or not earlier ones are answered.
    pub(super) rate: Option<f64>,
    /// The bytes of the value that a command writes.
    pub(super) payload_bytes: usize,
    /// The percentage of commands that read.
    pub(super) reads_percent: u8,
    /// The mode of reads, or `None` if they go through the log.
    pub(super) read: Option<ReadMode>,
}

impl Work {
    /// Writes only, with a number of them outstanding.
    pub(super) fn writes(outstanding: usize, payload_bytes: usize) -> Self {
        Work {
            outstanding: Some(outstanding),
            rate: None,
            payload_bytes,
            reads_percent: 0,
            read: None,
        }
    }
}

/// A client that never stops.
pub(super) struct Load {
    pub(super) nodes: Vec<NodeId>,
    pub(super) work: Work,
    pub(super) recorder: Recorder,
}

/// A command without an answer.
#[derive(Clone, Debug, PartialEq, Hash)]
struct Pending {
    /// The time at which it was due; latency counts from then.
    due: Instant,
    sent: Instant,
    message: MessageOf<Store>,
}

/// The commands from the first unanswered one to the last; `None` stands for an answered one.
#[derive(Clone, Debug, Default, PartialEq, Hash)]
struct Window {
    commands: VecDeque<Option<Pending>>,
    /// The number of unanswered ones.
    open: usize,
}

impl Window {
    fn push(&mut self, pending: Pending) {
        self.commands.push_back(Some(pending));
        self.open += 1;
    }

    /// Removes the command that is `before` places before the next new one.
    fn answered(&mut self, before: u64) -> Option<Pending> {
        let at = self.commands.len().checked_sub(before.try_into().ok()?)?;
        let pending = self.commands.get_mut(at)?.take()?;
        self.open -= 1;
        while let Some(None) = self.commands.front() {
            self.commands.pop_front();
        }
        Some(pending)
    }

    /// Returns whether the session would remember the reply to one more command.
    fn has_room(&self) -> bool {
        self.commands.len() < WINDOW
    }
}

/// The state of a client.
#[derive(Clone, Debug, PartialEq, Hash)]
pub(super) struct LoadState {
    session: Option<u64>,
    /// The number of the next command, from 1 on.
    next: u64,
    pending: Window,
    leader: Option<NodeId>,
    start: Instant,
    /// The value that commands write.
    value: Text,
}

impl Load {
    /// The next command, which promises never to ask again about a number below `acked`.
    fn message(&self, client: NodeId, state: &LoadState, session: u64) -> MessageOf<Store> {
        let (work, seq) = (&self.work, state.next);
        let mut rng = SmallRng::seed_from_u64(u64::from(client.0) << 32 ^ seq);
        let key = Text::from(format!("key {}", rng.random_range(0..KEYS)));
        let is_read = rng.random_range(0..100) < work.reads_percent;
        let command = match is_read {
            true => Command::Get { key },
            false => Command::Put {
                key,
                value: state.value.clone(),
            },
        };
        if let (true, Some(read_mode)) = (is_read, work.read) {
            let query = command;
            return MessageOf::<Store>::Read {
                seq,
                query,
                mode: read_mode,
            };
        }
        let operation = Operation::Do {
            session,
            seq,
            acked: seq - state.pending.commands.len() as u64,
            command,
        };
        MessageOf::<Store>::Request(Request { client, operation })
    }

    /// Sends a message to the leader, or to all nodes while no leader is known.
    fn send(&self, leader: Option<NodeId>, message: &MessageOf<Store>, out: &mut Out<Self>) {
        let all = self.nodes.iter().copied();
        let receivers = all.filter(|node| leader.is_none_or(|leader| leader == *node));
        receivers.for_each(|node| out.send(node.into(), message.clone()));
    }

    fn open_session(&self, id: Id, out: &mut Out<Self>) {
        let (client, operation) = (id.into(), Operation::Open { seq: 0 });
        let message = MessageOf::<Store>::Request(Request { client, operation });
        self.send(None, &message, out);
    }

    /// Sends as many commands as may be outstanding, or as are due.
    fn send_next(&self, id: Id, state: &mut LoadState, now: Instant, out: &mut Out<Self>) {
        let Some(session) = state.session else { return };
        while state.pending.has_room() {
            let due = match (self.work.rate, self.work.outstanding) {
                (Some(rate), _) => {
                    state.start + Duration::from_secs_f64((state.next - 1) as f64 / rate)
                }
                (None, Some(outstanding)) if state.pending.open < outstanding => now,
                (None, _) => return,
            };
            if due > now {
                return;
            }
            let message = self.message(id.into(), state, session);
            self.send(state.leader, &message, out);
            state.pending.push(Pending {
                due,
                sent: now,
                message,
            });
            state.next += 1;
        }
    }

    /// Sends again what was not answered in time.
    fn resend(&self, state: &mut LoadState, now: Instant, out: &mut Out<Self>) {
        let pending = state.pending.commands.iter_mut().flatten();
        let mut late = 0;
        for pending in pending.filter(|it| now.duration_since(it.sent) >= RESEND_AFTER) {
            pending.sent = now;
            self.send(None, &pending.message, out);
            late += 1;
        }
        if late > 0 {
            // The node that answered last may be gone.
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
        self.open_session(id, out);
        self.look_again(out);
        LoadState {
            session: None,
            next: 1,
            pending: Window::default(),
            leader: None,
            start: Instant::now(),
            value: "x".repeat(self.work.payload_bytes).into(),
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
        self.send_next(id, state, now, out);
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<LoadState>, (): &(), out: &mut Out<Self>) {
        let (now, state) = (Instant::now(), state.to_mut());
        if state.session.is_none() {
            self.open_session(id, out);
        }
        self.resend(state, now, out);
        self.send_next(id, state, now, out);
        self.look_again(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stateright::actor::Command as Effect;
    use synod::kv::Reply;

    /// A session forgets its client if one command stays unanswered while thousands of later ones
    /// are answered. Red if the client counts only what is outstanding.
    #[test]
    fn no_command_is_left_behind_further_than_a_session_remembers() {
        let (me, node) = (Id::from(9), Id::from(0));
        let load = Load {
            nodes: vec![node.into()],
            work: Work::writes(64, 16),
            recorder: Recorder::new(),
        };
        let mut state = Cow::Owned(load.on_start(me, &None, &mut Out::new()));
        let mut answer = |seq, outcome| {
            let (mut out, reply) = (Out::new(), MessageOf::<Store>::Reply { seq, outcome });
            load.on_msg(me, &mut state, node, reply, &mut out);
            let seqs = out.into_iter().filter_map(|effect| match effect {
                Effect::Send(_, MessageOf::<Store>::Request(it)) => Some(it.operation.seq()),
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
        // Its answer lets all go on.
        assert_eq!(answer(first, done()).len(), 64);
        assert!(answer(first, done()).is_empty());
    }
}
