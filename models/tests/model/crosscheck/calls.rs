//! The calls that a world tells of, against the handlers themselves.

use super::global::of_world;
use super::{UNREDUCED, reach};
use stateright::Property;
use stateright::actor::{Actor, Envelope, Id, Out, model_timeout};
use std::borrow::Cow;
use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use synod::checker::{Call, Event, Input, Options, System, World};

thread_local! {
    /// The calls that a clerk has seen.
    static SEEN: Cell<usize> = const { Cell::new(0) };
}

/// An actor that counts its calls, and saves that it got a message.
struct Clerk;

impl Actor for Clerk {
    type Msg = ();
    type Timer = ();
    type State = bool;
    type Storage = bool;
    type Random = ();

    fn on_start(&self, _: Id, storage: &Option<bool>, out: &mut Out<Self>) -> bool {
        SEEN.set(SEEN.get() + 1);
        out.set_timer((), model_timeout());
        out.choose_random("urn", vec![()]);
        storage.unwrap_or(false)
    }

    fn on_msg(&self, _: Id, state: &mut Cow<bool>, _: Id, (): (), out: &mut Out<Self>) {
        SEEN.set(SEEN.get() + 1);
        if !**state {
            *state.to_mut() = true;
            out.save(true);
        }
    }

    fn on_timeout(&self, _: Id, _: &mut Cow<bool>, (): &(), _: &mut Out<Self>) {
        SEEN.set(SEEN.get() + 1);
    }

    fn on_random(&self, _: Id, _: &mut Cow<bool>, (): &(), _: &mut Out<Self>) {
        SEEN.set(SEEN.get() + 1);
    }
}

struct Desk([Clerk; 1]);

impl System for Desk {
    type Actor = Clerk;
    type History = ();

    fn actors(&self) -> &[Clerk] {
        &self.0
    }

    fn outside(&self) -> Vec<Envelope<()>> {
        let (src, dst) = (Id::from(1), Id::from(0));
        vec![Envelope { src, dst, msg: () }]
    }

    fn properties(&self) -> Vec<Property<World<Self>>> {
        Vec::new()
    }

    fn is_stale(&self, _: Id, has_message: &bool, _: Id, (): &()) -> bool {
        *has_message
    }
}

/// The kind of a call.
fn kind(call: &Call<'_, Clerk>) -> &'static str {
    match call.input {
        Input::Start(Some(_)) => "restart",
        Input::Start(None) => "start",
        Input::Event(true, Event::Message(..)) => "stale message",
        Input::Event(false, Event::Message(..)) => "message",
        Input::Event(_, Event::Timeout(())) => "timeout",
        Input::Event(_, Event::Random(())) => "random choice",
    }
}

/// Red if a handler is called and nobody is told: by a step, a restart, or the audit, which
/// delivers messages that are dropped.
#[test]
fn a_world_tells_of_every_call_of_a_handler() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&told);
    let options = Options {
        crashes: 1,
        drops_stale: true,
        ..UNREDUCED
    };
    let world = World::new(Desk([Clerk]), options).observed_by(move |call| {
        let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push(kind(call));
    });
    reach(&world, of_world);
    let mut told = told.lock().expect("nobody panicked").clone();
    assert_eq!(told.len(), SEEN.get());
    told.sort_unstable();
    told.dedup();
    let kinds = [
        "message",
        "random choice",
        "restart",
        "stale message",
        "start",
        "timeout",
    ];
    assert_eq!(told, kinds);
}
