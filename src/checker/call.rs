//! The calls of actors' handlers, and who is told of them.

use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;

/// The reason for which a handler is called.
pub enum Event<'a, A: Actor> {
    /// A message arrived, from this id.
    Message(Id, &'a A::Msg),
    /// A timer fired.
    Timeout(&'a A::Timer),
    /// A random choice was made.
    Random(&'a A::Random),
}

impl<A: Actor> Clone for Event<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: Actor> Copy for Event<'_, A> {}

/// The input of a call.
pub enum Input<'a, A: Actor> {
    /// An actor starts, with what its disk has.
    Start(&'a Option<A::Storage>),
    /// A running actor, in this state, handles an event.
    Event(&'a A::State, Event<'a, A>),
}

/// One call of an actor's handler, and its results.
pub struct Call<'a, A: Actor> {
    /// The actor's id.
    pub id: Id,
    /// The input.
    pub input: Input<'a, A>,
    /// The actor's state after the call.
    pub after: &'a A::State,
    /// The commands that the handler gave.
    pub commands: &'a Out<A>,
}

/// A function that is told of every call.
type Hook<A> = Box<dyn Fn(&Call<'_, A>) + Send + Sync>;

/// Calls handlers, and tells of each call.
pub struct Caller<A: Actor>(Option<Hook<A>>);

impl<A: Actor> Caller<A> {
    /// A caller that tells nobody.
    #[must_use]
    pub fn unobserved() -> Self {
        Self(None)
    }

    /// A caller that tells `hook` of every call.
    #[must_use]
    pub fn observed_by(hook: impl Fn(&Call<'_, A>) + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(hook)))
    }

    /// Starts an actor with what its disk has.
    pub fn start(&self, actor: &A, id: Id, storage: &Option<A::Storage>) -> (A::State, Out<A>) {
        let mut commands = Out::new();
        let state = actor.on_start(id, storage, &mut commands);
        self.tell(id, Input::Start(storage), &state, &commands);
        (state, commands)
    }

    /// Lets an actor handle an event in a state, which stays borrowed if the actor leaves it as it
    /// is.
    pub fn call<'s>(
        &self,
        actor: &A,
        id: Id,
        before: &'s A::State,
        event: Event<'_, A>,
    ) -> (Cow<'s, A::State>, Out<A>) {
        let (mut state, mut commands) = (Cow::Borrowed(before), Out::new());
        match event {
            Event::Message(src, msg) => {
                actor.on_msg(id, &mut state, src, msg.clone(), &mut commands);
            }
            Event::Timeout(timer) => actor.on_timeout(id, &mut state, timer, &mut commands),
            Event::Random(random) => actor.on_random(id, &mut state, random, &mut commands),
        }
        self.tell(id, Input::Event(before, event), &state, &commands);
        (state, commands)
    }

    fn tell(&self, id: Id, input: Input<'_, A>, after: &A::State, commands: &Out<A>) {
        if let Some(hook) = &self.0 {
            hook(&Call {
                id,
                input,
                after,
                commands,
            });
        }
    }
}
