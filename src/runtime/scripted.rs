//! An actor whose reactions are a closure.

use crate::delta::{self, Delta};
use serde::{Deserialize, Serialize, Serializer};
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;

/// A number that cannot be encoded.
pub(super) const UNSAVABLE: u32 = 666;

/// A number to save.
#[derive(Clone, Debug, Hash, PartialEq, Deserialize)]
pub(super) struct Number(pub(super) u32);

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 == UNSAVABLE {
            return Err(serde::ser::Error::custom("unsavable"));
        }
        serializer.serialize_newtype_struct("Number", &self.0)
    }
}

impl Delta for Number {
    type Change = Self;

    fn changes(&self, before: Option<&Self>) -> Vec<Self> {
        delta::whole(self, before)
    }

    fn apply(_: Option<Self>, change: Self) -> Option<Self> {
        Some(change)
    }
}

/// An event that an actor has seen.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) enum Seen {
    Start(Option<u32>),
    Message(usize, u32),
    Timeout(char),
    Choice(u8),
}

/// An actor whose state is the events that it has seen, and whose reactions are a closure.
pub(super) struct Scripted(Box<React>);

type React = dyn Fn(&Seen, &mut Out<Scripted>) + Send;

impl Scripted {
    pub(super) fn new(react: impl Fn(&Seen, &mut Out<Self>) + Send + 'static) -> Self {
        Self(Box::new(react))
    }

    #[allow(clippy::owned_cow)]
    fn see(&self, state: &mut Cow<Vec<Seen>>, seen: Seen, out: &mut Out<Self>) {
        (self.0)(&seen, out);
        state.to_mut().push(seen);
    }
}

impl Actor for Scripted {
    type Msg = u32;
    type Timer = char;
    type Random = u8;
    type State = Vec<Seen>;
    type Storage = Number;

    fn on_start(&self, _: Id, saved: &Option<Number>, out: &mut Out<Self>) -> Vec<Seen> {
        let mut state = Cow::Owned(Vec::new());
        self.see(
            &mut state,
            Seen::Start(saved.as_ref().map(|saved| saved.0)),
            out,
        );
        state.into_owned()
    }

    fn on_msg(&self, _: Id, state: &mut Cow<Vec<Seen>>, from: Id, n: u32, out: &mut Out<Self>) {
        self.see(state, Seen::Message(from.into(), n), out);
    }

    fn on_timeout(&self, _: Id, state: &mut Cow<Vec<Seen>>, timer: &char, out: &mut Out<Self>) {
        self.see(state, Seen::Timeout(*timer), out);
    }

    fn on_random(&self, _: Id, state: &mut Cow<Vec<Seen>>, random: &u8, out: &mut Out<Self>) {
        self.see(state, Seen::Choice(*random), out);
    }
}

/// Saves a number that is received, and returns it.
pub(super) fn save_then_echo(seen: &Seen, out: &mut Out<Scripted>) {
    if let Seen::Message(from, n) = *seen {
        out.save(Number(n));
        out.send(Id::from(from), n);
    }
}
