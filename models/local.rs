//! The processes of a cluster on this machine: started, watched, killed, and waited for.

use super::cluster::{ClusterArgs, Place, recorder, socket};
use crate::console::Error;
use crate::console::output::{Output, dim};
use crate::console::store::storage;
use serde::Serialize;
use stateright::actor::{Actor, Id, Out};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use synod::runtime::{
    self, Counters, EventOf, Handle, NodeConfig, Runnable, StepObserver, spawn_observed,
};

/// The observations of all processes, made by their threads, and a signal that they have changed.
#[derive(Default)]
pub(super) struct Shared<S> {
    seen: Mutex<S>,
    lines: Mutex<Vec<(Instant, String)>>,
    news: Condvar,
}

impl<S> Shared<S> {
    pub(super) fn seen(&self) -> MutexGuard<'_, S> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut S)) {
        change(&mut self.seen());
        self.news.notify_all();
    }

    /// Adds a line to print.
    pub(super) fn say(&self, line: String) {
        self.lines().push((Instant::now(), line));
    }

    fn lines(&self) -> MutexGuard<'_, Vec<(Instant, String)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reason why a run ends early.
pub(super) enum Stop {
    /// The time was up while this was awaited.
    Late(String),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// The processes of a cluster, which change the observations `S`. Nodes come first.
pub(super) struct Local<'a, S> {
    pub(super) args: &'a ClusterArgs,
    pub(super) place: &'a Place,
    /// The sockets stay open while a process is down, so that datagrams are delayed, not lost.
    sockets: Vec<UdpSocket>,
    peers: BTreeMap<Id, SocketAddr>,
    pub(super) shared: Arc<Shared<S>>,
    pub(super) handles: BTreeMap<usize, Handle>,
    pub(super) counters: Vec<Counters>,
    pub(super) start: Instant,
    pub(super) deadline: Instant,
}

impl<'a, S: Default> Local<'a, S> {
    /// No process runs yet. The first `known` processes know each other's addresses.
    pub(super) fn bind(
        args: &'a ClusterArgs,
        place: &'a Place,
        known: usize,
    ) -> Result<Self, Error> {
        let sockets: Result<Vec<_>, _> = (0..known).map(|_| socket()).collect();
        let sockets = sockets?;
        let mut peers = BTreeMap::new();
        for (id, socket) in sockets.iter().enumerate() {
            peers.insert(Id::from(id), socket.local_addr().map_err(Error::failed)?);
        }
        let start = Instant::now();
        Ok(Self {
            args,
            place,
            sockets,
            peers,
            shared: Arc::default(),
            handles: BTreeMap::new(),
            counters: Vec::new(),
            start,
            deadline: start + Duration::from_secs(args.timeout_s),
        })
    }

    pub(super) fn nodes(&self) -> usize {
        self.args.nodes as usize
    }

    /// The configuration of a process. One that the others do not know gets a new socket.
    pub(super) fn config(&self, id: usize) -> Result<NodeConfig, Error> {
        let socket = match self.sockets.get(id) {
            Some(socket) => socket.try_clone().map_err(Error::failed)?,
            None => socket()?,
        };
        let mut config = NodeConfig::new(Id::from(id), socket);
        config.cluster = 1;
        config.peers = self.peers.clone();
        config.storage = (id < self.nodes()).then(|| storage(&self.place.directory, id));
        config.faults = self.args.faults;
        config.seed = self.place.seed;
        Ok(config)
    }

    /// Starts a process, for the first time or again. `watch` sees its durable states, each before
    /// the messages leave that follow from it.
    pub(super) fn launch<A>(
        &mut self,
        process: A,
        config: NodeConfig,
        mut watch: impl FnMut(&A::State) + Send + 'static,
    ) -> Result<(), Error>
    where
        A: Runnable + Send,
        A: Actor<
                Msg: Serialize + Send,
                Timer: Serialize + Send,
                State: Send + Sync,
                Random: Serialize + Send,
                Storage: Send,
            >,
    {
        let id = usize::from(config.id);
        let recorder = recorder(self.args, &self.place.run, id)?;
        let watch = Observers(recorder, move |_: Id, state: &A::State| watch(state));
        let handle = spawn_observed(process, config, watch, |_| {}).map_err(Error::failed)?;
        if let Some(cut) = handle.torn_tail() {
            self.shared.say(cut.to_string());
        }
        self.handles.insert(id, handle);
        Ok(())
    }

    /// Kills a process, which loses whatever it has not saved.
    pub(super) fn kill(&mut self, id: usize) -> Result<(), Error> {
        if let Some(handle) = self.handles.remove(&id) {
            handle.stop();
            self.counters.push(handle.join().map_err(Error::failed)?);
        }
        Ok(())
    }

    /// Waits for an observation until a deadline, and prints the lines of the processes meanwhile.
    pub(super) fn wait<T>(
        &mut self,
        what: &str,
        deadline: Instant,
        output: &mut Output,
        is_seen: impl Fn(&S) -> Option<T>,
    ) -> Result<T, Stop> {
        let shared = Arc::clone(&self.shared);
        let mut seen = shared.seen();
        loop {
            for (when, line) in std::mem::take(&mut *shared.lines()) {
                self.print(when, line, output)?;
            }
            if let Some(found) = is_seen(&seen) {
                return Ok(found);
            }
            let failed = self.handles.iter().find(|(_, it)| it.is_finished());
            if let Some(id) = failed.map(|(id, _)| *id) {
                drop(seen);
                // A process that ends by itself ends with an error.
                self.kill(id)?;
                return Err(Stop::Late(format!("process {id}, which has ended")));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stop::Late(what.to_owned()));
            }
            let nap = left.min(Duration::from_millis(50));
            let woken = shared.news.wait_timeout(seen, nap);
            seen = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn print(&self, when: Instant, what: impl Display, output: &mut Output) -> Result<(), Error> {
        let passed = when.saturating_duration_since(self.start);
        let time = format!("{:>6} ms", passed.as_millis());
        output.line(format_args!("{}  {what}", dim(time)))?;
        Ok(())
    }

    pub(super) fn log(&self, what: impl Display, output: &mut Output) -> Result<(), Error> {
        self.print(Instant::now(), what, output)
    }

    /// Stops all processes, and prints what became of their datagrams.
    pub(super) fn stop_all(&mut self, output: &mut Output) -> Result<(), Error> {
        self.handles.values().for_each(Handle::stop);
        for id in self.handles.keys().copied().collect::<Vec<_>>() {
            self.kill(id)?;
        }
        let mut sum = Counters::default();
        self.counters.iter().for_each(|counters| sum.add(counters));
        output.line(dim(format_args!(
            "{} datagrams sent and {} received, {} lost, {} doubled and {} delayed, {} saves",
            sum.sent, sum.received, sum.lost, sum.duplicated, sum.held, sum.saves,
        )))?;
        Ok(())
    }
}

/// An optional recorder of every step, and an observer of durable states.
struct Observers<R, F>(Option<R>, F);

impl<A: Actor, R: StepObserver<A>, F: StepObserver<A>> StepObserver<A> for Observers<R, F> {
    fn before(&mut self, node: Id, now: Duration, event: EventOf<'_, A>) {
        self.0.before(node, now, event);
    }

    fn after(&mut self, node: Id, state: &A::State, commands: &Out<A>) {
        self.0.after(node, state, commands);
    }

    fn durable(&mut self, node: Id, state: &A::State) -> Result<(), runtime::Error> {
        self.0.durable(node, state)?;
        self.1.durable(node, state)
    }
}
