//! A process of any protocol, driven step by step. What holds of every step is checked in each.

use super::ProcessState;
use crate::ballot::NodeId;
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::ops::Range;
use std::time::Duration;

/// What one step commanded, and whether it made the borrowed state an owned one.
pub(crate) struct Did<A: Actor> {
    pub(crate) saved: Option<A::Storage>,
    pub(crate) sent: Vec<(u32, A::Msg)>,
    pub(crate) timers: Vec<(A::Timer, Option<Range<Duration>>)>,
    pub(crate) is_owned: bool,
}

impl<A: Actor> Default for Did<A> {
    fn default() -> Self {
        Self {
            saved: None,
            sent: Vec::new(),
            timers: Vec::new(),
            is_owned: false,
        }
    }
}

impl<A: Actor> Did<A> {
    /// Sorts the commands out, and checks what holds for every step of every process: at most one
    /// save, and nothing sent before it; nothing sent to itself.
    fn of(me: NodeId, out: Out<A>) -> Self {
        let mut did = Did::default();
        for command in out {
            match command {
                Command::Save(durable) => {
                    assert!(did.sent.is_empty(), "sent before it saved");
                    assert!(did.saved.replace(durable).is_none(), "saved twice");
                }
                Command::Send(to, message) => {
                    assert_ne!(NodeId::from(to), me, "sent to itself");
                    did.sent.push((NodeId::from(to).0, message));
                }
                Command::SetTimer(timer, range) => did.timers.push((timer, Some(range))),
                Command::CancelTimer(timer) => did.timers.push((timer, None)),
                Command::ChooseRandom(..) => panic!("a process leaves nothing to chance"),
            }
        }
        did
    }

    /// Whether nobody else notices the step.
    pub(crate) fn is_silent(&self) -> bool {
        self.sent.is_empty() && self.timers.is_empty() && self.saved.is_none()
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.is_silent() && !self.is_owned
    }

    pub(crate) fn sent_to(&self, node: u32) -> Vec<&A::Msg> {
        let to_node = self.sent.iter().filter(|(to, _)| *to == node);
        to_node.map(|(_, message)| message).collect()
    }

    /// Who was sent this, in order.
    pub(crate) fn told(&self, message: &A::Msg) -> Vec<u32> {
        let told = self.sent.iter().filter(|(_, it)| it == message);
        told.map(|(to, _)| *to).collect()
    }

    /// What became of a timer: nothing, or cancelled, or set to a time from a range.
    pub(crate) fn timer(&self, timer: impl Into<A::Timer>) -> Option<&Option<Range<Duration>>> {
        let timer = timer.into();
        let of_timer = self.timers.iter().filter(|(it, _)| *it == timer);
        of_timer.map(|(_, wait)| wait).next_back()
    }

    pub(crate) fn is_set(&self, timer: impl Into<A::Timer>) -> bool {
        matches!(self.timer(timer), Some(Some(_)))
    }
}

/// One process, driven step by step.
pub(crate) struct Driven<A: Actor> {
    me: NodeId,
    pub(crate) process: A,
    pub(crate) state: A::State,
    /// What must survive a restart.
    durable: fn(&A::State) -> Option<A::Storage>,
}

impl<A: Actor> Driven<A> {
    pub(crate) fn boot(
        process: A,
        me: u32,
        saved: Option<A::Storage>,
        durable: fn(&A::State) -> Option<A::Storage>,
    ) -> (Self, Did<A>) {
        let (me, mut out) = (NodeId(me), Out::new());
        let state = process.on_start(me.into(), &saved, &mut out);
        let driven = Self {
            me,
            process,
            state,
            durable,
        };
        (driven, Did::of(me, out))
    }

    /// Handles one event on a borrowed state, as the checker does. What is durable is saved if,
    /// and only if, it changed. On an owned state, as in the runtime, the same happens.
    fn step(&mut self, event: impl Fn(&Self, &mut Cow<A::State>, &mut Out<A>)) -> Did<A> {
        let before = (self.durable)(&self.state);
        let mut state = Cow::Borrowed(&self.state);
        let mut out = Out::new();
        event(self, &mut state, &mut out);
        let is_owned = matches!(state, Cow::Owned(_));
        let mut owned = Cow::Owned(self.state.clone());
        let mut asked = Out::new();
        event(self, &mut owned, &mut asked);
        self.state = state.into_owned();
        assert_eq!(*owned, self.state, "in place it came to something else");
        let after = (self.durable)(&self.state);
        let (did, in_place) = (Did::of(self.me, out), Did::of(self.me, asked));
        assert_eq!(
            (in_place.sent, &in_place.saved, in_place.timers),
            (did.sent.clone(), &did.saved, did.timers.clone())
        );
        let expected = after.filter(|after| before.as_ref() != Some(after));
        assert_eq!(did.saved, expected, "what changed is not what was saved");
        Did { is_owned, ..did }
    }

    pub(crate) fn hear(&mut self, from: u32, message: A::Msg) -> Did<A> {
        let from = Id::from(from as usize);
        self.step(|it, state, out| {
            let message = message.clone();
            it.process.on_msg(it.me.into(), state, from, message, out);
        })
    }

    pub(crate) fn time_out(&mut self, timer: impl Into<A::Timer>) -> Did<A> {
        let timer = timer.into();
        self.step(|it, state, out| it.process.on_timeout(it.me.into(), state, &timer, out))
    }
}

impl<A: Actor<State = ProcessState<N, C>>, N, C: 'static> Driven<A> {
    pub(crate) fn node(&self) -> &N {
        self.state.node().expect("a node")
    }
}
