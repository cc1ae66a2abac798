//! Actors under `stateright::actor::spawn`, for comparison.

use crate::console::store::CLIENTS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use stateright::actor::{Actor, Command, Id, Out, spawn};
use std::borrow::Cow;
use std::net::{Ipv4Addr, SocketAddrV4};
use synod::delta::Delta;

/// An actor with small ids in a network where ids are addresses: a client's id has its port.
pub(super) struct Addressed<A> {
    pub(super) actor: A,
    /// The ports of the nodes, on this machine.
    pub(super) nodes: Vec<u16>,
    /// The actor's saves are carried out, not ignored.
    pub(super) saves: bool,
}

/// The address of a port of this machine, as an id.
fn at(port: u16) -> Id {
    SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()
}

impl<A: Actor> Addressed<A> {
    /// The small id of the actor at an address.
    fn index(&self, id: Id) -> Id {
        let port = SocketAddrV4::from(id).port();
        let node = self.nodes.iter().position(|node| *node == port);
        Id::from(node.unwrap_or(CLIENTS.start + usize::from(port)))
    }

    /// The address of a small id.
    fn place(&self, index: Id) -> Id {
        let index = usize::from(index);
        let client = || index.saturating_sub(CLIENTS.start) as u16;
        at(self.nodes.get(index).copied().unwrap_or_else(client))
    }

    /// Lets the actor take a step under its small id, and passes its commands on.
    fn step<T>(
        &self,
        id: Id,
        out: &mut Out<Self>,
        step: impl FnOnce(&A, Id, &mut Out<A>) -> T,
    ) -> T {
        let mut commands = Out::new();
        let result = step(&self.actor, self.index(id), &mut commands);
        for command in commands {
            match command {
                Command::Send(to, message) => out.send(self.place(to), message),
                Command::SetTimer(timer, range) => out.set_timer(timer, range),
                Command::CancelTimer(timer) => out.cancel_timer(timer),
                Command::ChooseRandom(key, choices) => out.choose_random(key, choices),
                Command::Save(saved) if self.saves => out.save(saved),
                Command::Save(_) => {}
            }
        }
        result
    }
}

impl<A: Actor> Actor for Addressed<A> {
    type Msg = A::Msg;
    type State = A::State;
    type Timer = A::Timer;
    type Random = A::Random;
    type Storage = A::Storage;

    fn on_start(&self, id: Id, saved: &Option<A::Storage>, out: &mut Out<Self>) -> A::State {
        self.step(id, out, |actor, id, out| actor.on_start(id, saved, out))
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<A::State>,
        from: Id,
        message: A::Msg,
        out: &mut Out<Self>,
    ) {
        let from = self.index(from);
        self.step(id, out, |actor, id, out| {
            actor.on_msg(id, state, from, message, out);
        });
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<A::State>, timer: &A::Timer, out: &mut Out<Self>) {
        self.step(id, out, |actor, id, out| {
            actor.on_timeout(id, state, timer, out);
        });
    }

    fn on_random(&self, id: Id, state: &mut Cow<A::State>, key: &A::Random, out: &mut Out<Self>) {
        self.step(id, out, |actor, id, out| {
            actor.on_random(id, state, key, out);
        });
    }
}

/// Runs an actor at a port of this machine forever. It saves in the working directory, and encodes
/// messages as our own runtime does.
pub(super) fn run<A>(actor: Addressed<A>, port: u16) -> Result<(), String>
where
    A: Actor<Msg: Serialize + DeserializeOwned, Storage: Delta> + Send + 'static,
{
    let ended = spawn::<Addressed<A>, postcard::Error>(
        postcard::to_stdvec,
        |bytes| postcard::from_bytes(bytes),
        |saved| postcard::to_stdvec(&saved.changes(None)),
        // The actor never restarts from what it saved.
        |_| Err(postcard::Error::WontImplement),
        vec![(at(port), actor)],
    );
    ended.map_err(|_| format!("the node at port {port} failed"))
}
