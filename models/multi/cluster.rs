//! A replicated store on this machine, over UDP, whose leader is killed.

use super::history::{HistoryRecorder, judge};
use crate::console::output::{Output, bad, bold, dim, good, many, warn};
use crate::console::store::storage;
use crate::console::{Error, Exit};
use crate::models::cluster::{self, ClusterArgs, Place};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::Id;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use synod::backoff::Backoff;
use synod::ballot::Ballot;
use synod::certify::history::History;
use synod::certify::{ProtocolKind, Replicas, Run};
use synod::kv::{Command, Reply, Store, Text};
use synod::machine::Machine;
use synod::multi::{
    Client, ClientState, Clock, Cluster, Learner, NodeState, Outcome, Process, ProcessState,
    ReadMode, Slot, Task,
};
use synod::runtime::clock::now_us;
use synod::runtime::{Counters, Handle, NodeConfig, StepObserver, spawn_observed};

/// The first id of a client.
const CLIENTS: usize = 1_000;

/// The clients that are at work while the leader is killed.
const WORKERS: u32 = 2;

/// The tasks of each of them.
const TASKS: u32 = 60;

/// The key whose value later runs in the same directory find.
const KEY: &str = "colour";

/// The values from which one is written to it.
const COLOURS: [&str; 6] = ["red", "blue", "green", "black", "white", "yellow"];

/// The observations of all processes, made by their threads.
#[derive(Default)]
struct Seen {
    history: History<Store>,
    /// The nodes that believe they lead, each with its ballot and the time since when.
    leads: BTreeMap<usize, (Ballot, Instant)>,
    learners: BTreeMap<usize, Learner<Store>>,
    /// The outcomes of each client, and the time of the last one.
    outcomes: BTreeMap<usize, (Vec<Outcome<Reply>>, Instant)>,
    /// The clients that are done.
    done: BTreeSet<usize>,
    lines: Vec<(Instant, String)>,
}

/// The observations, and a signal that they have changed.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    news: Condvar,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.news.notify_all();
    }
}

/// The reason why the run ends early.
enum Stop {
    /// The time was up while this was awaited.
    Late(String),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// Nodes on loopback, and their clients.
struct Local<'a> {
    args: &'a ClusterArgs,
    directory: &'a Path,
    run: &'a Run,
    seed: u64,
    cluster: Arc<Cluster<Store>>,
    /// The sockets stay open while a node is down, so that datagrams are delayed, not lost.
    sockets: Vec<UdpSocket>,
    peers: BTreeMap<Id, SocketAddr>,
    shared: Arc<Shared>,
    handles: BTreeMap<usize, Handle>,
    counters: Vec<Counters>,
    start: Instant,
    deadline: Instant,
}

/// The settings that the nodes share; snapshots are so frequent that every run takes some.
const REPLICAS: Replicas = Replicas {
    sessions_max: 1_000,
    snapshot_every: 50,
};

pub(super) fn run(args: &ClusterArgs, name: &str, output: &mut Output) -> Result<Exit, Error> {
    let place = Place::new(args, name, ProtocolKind::Multi(REPLICAS))?;
    let (directory, run, seed) = (place.directory.as_path(), &place.run, place.seed);
    let mut local = Local::bind(args, directory, run, seed)?;
    output.line(format_args!(
        "{} {} on loopback with a replicated store; seed {seed}, faults {}",
        bold("Multi-Paxos over UDP:"),
        many(args.nodes.into(), "node"),
        cluster::faults(args),
    ))?;
    let played = local.play(output);
    let logs = local.stop_all(output);
    match played {
        Ok(initial) => local.conclude(&initial, logs?, output),
        Err(Stop::Late(what)) => {
            let late = warn("stopped at the time limit:");
            output.line(format_args!("{late} still waiting for {what}; seed {seed}"))?;
            Ok(Exit::Bounded)
        }
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn get() -> Command {
    let key = KEY.into();
    Command::Get { key }
}

fn put(value: &str) -> Command {
    let (key, value) = (KEY.into(), value.into());
    Command::Put { key, value }
}

/// The tasks of a worker, about two keys of its own.
fn work(worker: u32, rng: &mut SmallRng) -> Vec<Task<Command>> {
    let tasks = (0..TASKS).map(|number| {
        let key = Text::from(format!("key {}", rng.random_range(1..3)));
        let value = Text::from(format!("{worker}.{number}"));
        match rng.random_range(0..8) {
            0 => Task::Do(Command::Get { key }),
            1 | 2 => Task::Read(Command::Get { key }, ReadMode::Index),
            3 | 4 => Task::Read(Command::Get { key }, ReadMode::Lease),
            5 => Task::Do(Command::Delete { key }),
            _ => Task::Do(Command::Put { key, value }),
        }
    });
    tasks.collect()
}

/// The tasks that read every key.
fn all_keys() -> Vec<Task<Command>> {
    let keys = ["key 1", "key 2", KEY].map(Text::new);
    keys.map(|key| Task::Do(Command::Get { key })).into()
}

impl<'a> Local<'a> {
    fn bind(
        args: &'a ClusterArgs,
        directory: &'a Path,
        run: &'a Run,
        seed: u64,
    ) -> Result<Self, Error> {
        let cluster = run.multi(REPLICAS).map_err(Error::failed)?;
        let sockets: Result<Vec<_>, _> = (0..args.nodes).map(|_| cluster::socket()).collect();
        let sockets = sockets?;
        let mut peers = BTreeMap::new();
        for (id, socket) in sockets.iter().enumerate() {
            peers.insert(Id::from(id), socket.local_addr().map_err(Error::failed)?);
        }
        let start = Instant::now();
        Ok(Self {
            args,
            directory,
            run,
            seed,
            cluster: Arc::new(cluster),
            sockets,
            peers,
            shared: Arc::default(),
            handles: BTreeMap::new(),
            counters: Vec::new(),
            start,
            deadline: start + Duration::from_secs(args.timeout_s),
        })
    }

    fn config(&self, id: usize, socket: UdpSocket) -> NodeConfig {
        let mut config = NodeConfig::new(Id::from(id), socket);
        config.cluster = 1;
        config.peers = self.peers.clone();
        config.faults = self.args.faults;
        config.seed = self.seed;
        config
    }

    /// Starts a process with an observer of its durable states.
    fn launch(
        &mut self,
        process: Process<Store>,
        config: NodeConfig,
        mut watch: impl FnMut(&ProcessState<Store>) + Send + 'static,
    ) -> Result<(), Error> {
        let id = usize::from(config.id);
        let recorder = cluster::recorder(self.args, self.run, id)?;
        let watch = Observers(recorder, move |_: Id, state: &ProcessState<Store>| {
            watch(state)
        });
        let handle = spawn_observed(process, config, watch, |_| {}).map_err(Error::failed)?;
        let cut = handle.torn_tail().map(ToString::to_string);
        self.handles.insert(id, handle);
        let now = Instant::now();
        let cut = cut.map(|cut| (now, cut));
        self.shared.change(|seen| seen.lines.extend(cut));
        Ok(())
    }

    fn start_node(&mut self, id: usize) -> Result<(), Error> {
        let socket = self.sockets[id].try_clone().map_err(Error::failed)?;
        let mut config = self.config(id, socket);
        config.dynamic = CLIENTS..2 * CLIENTS;
        config.storage = Some(storage(self.directory, id));
        let process = Process::Node(Arc::clone(&self.cluster), Clock::Real(now_us));
        let (shared, mut known) = (Arc::clone(&self.shared), None);
        self.launch(process, config, move |state| {
            let Some(node) = state.node() else { return };
            let ballot = node.leader.as_ref().and_then(|leader| leader.ballot);
            let now = Some((ballot.filter(|_| node.is_leading()), node.decided()));
            if now != known {
                known = now;
                shared.change(|seen| seen.note_node(id, node));
            }
        })
    }

    /// Kills a process, which loses whatever it has not saved.
    fn kill(&mut self, id: usize) -> Result<(), Error> {
        if let Some(handle) = self.handles.remove(&id) {
            handle.stop();
            self.counters.push(handle.join().map_err(Error::failed)?);
        }
        self.shared.seen().leads.remove(&id);
        Ok(())
    }

    /// Starts a client with a list of tasks.
    fn start_client(&mut self, number: usize, tasks: Vec<Task<Command>>) -> Result<(), Error> {
        let id = CLIENTS + number;
        let config = self.config(id, cluster::socket()?);
        let client = Client {
            tasks: tasks.clone(),
            session: None,
            leaders: self.cluster.proposers.clone(),
            is_loyal: true,
            backoff: Backoff::default(),
        };
        let shared = Arc::clone(&self.shared);
        let mut recorder = HistoryRecorder::begin(tasks, &mut shared.seen().history);
        self.launch(Process::Client(client), config, move |state| {
            if let Some(client) = state.client() {
                shared.change(|seen| seen.note_client(id, &mut recorder, client));
            }
        })
    }

    /// Waits for an observation, and prints the lines of the processes meanwhile.
    fn wait<T>(
        &mut self,
        what: &str,
        output: &mut Output,
        is_seen: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T, Stop> {
        let shared = Arc::clone(&self.shared);
        let mut seen = shared.seen();
        loop {
            for (when, line) in std::mem::take(&mut seen.lines) {
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
            let left = self.deadline.saturating_duration_since(Instant::now());
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

    fn log(&self, what: impl Display, output: &mut Output) -> Result<(), Error> {
        self.print(Instant::now(), what, output)
    }

    /// Waits until a client is done, and returns its outcomes.
    fn finish(&mut self, number: usize, output: &mut Output) -> Result<Vec<Outcome<Reply>>, Stop> {
        let id = CLIENTS + number;
        let outcomes = self.wait("a client's answers", output, |seen| {
            let is_done = seen.done.contains(&id);
            is_done.then(|| {
                seen.outcomes
                    .get(&id)
                    .map_or(Vec::new(), |outcomes| outcomes.0.clone())
            })
        })?;
        self.kill(id)?;
        Ok(outcomes)
    }

    /// Runs everything, and returns the store as it was at first.
    fn play(&mut self, output: &mut Output) -> Result<Store, Stop> {
        let mut rng = SmallRng::seed_from_u64(self.seed);
        for id in 0..self.sockets.len() {
            self.start_node(id)?;
        }
        self.leader(None, output)?;
        let initial = self.remember(output)?;
        let colour = COLOURS[rng.random_range(0..COLOURS.len())];
        self.start_client(1, vec![Task::Do(put(colour))])?;
        let outcomes = self.finish(1, output)?;
        let what = format!("client 1: {:?} → {}", put(colour), shown(&outcomes));
        self.log(what, output)?;

        for worker in 0..WORKERS {
            self.start_client(2 + worker as usize, work(worker, &mut rng))?;
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(5..30)));
        let (victim, _) = self.leader(None, output)?;
        self.fail_over(victim, output)?;
        self.read_all_ways(output)?;
        for worker in 0..WORKERS {
            self.finish(2 + worker as usize, output)?;
        }
        if !self.handles.contains_key(&victim) {
            self.start_node(victim)?;
            self.log(format!("node {victim} restarts from its disk"), output)?;
        }
        self.wait_for_all(output)?;
        Ok(initial)
    }

    /// Waits for a leader, except for one that was killed.
    fn leader(
        &mut self,
        not: Option<usize>,
        output: &mut Output,
    ) -> Result<(usize, Instant), Stop> {
        self.wait("a leader", output, |seen| {
            let others = seen.leads.iter().filter(|(id, _)| Some(**id) != not);
            let last = others.max_by_key(|(_, (ballot, _))| *ballot);
            last.map(|(id, (_, since))| (*id, *since))
        })
    }

    /// Reads the store that an earlier run has left behind.
    fn remember(&mut self, output: &mut Output) -> Result<Store, Stop> {
        self.start_client(0, all_keys())?;
        let outcomes = self.finish(0, output)?;
        let mut store = Store::default();
        for (task, outcome) in all_keys().iter().zip(&outcomes) {
            if let (Task::Do(Command::Get { key }), Outcome::Done(Reply::Was(Some(value)))) =
                (task, outcome)
            {
                let (key, value) = (key.clone(), value.clone());
                store.apply(&Command::Put { key, value });
            }
        }
        let outcomes = shown(&outcomes[outcomes.len().saturating_sub(1)..]);
        self.log(format!("client 0: {:?} → {outcomes}", get()), output)?;
        Ok(store)
    }

    /// Kills the leader while clients are at work, and reports how long they wait.
    fn fail_over(&mut self, victim: usize, output: &mut Output) -> Result<(), Stop> {
        self.kill(victim)?;
        let killed = Instant::now();
        self.log(format!("node {victim}, which leads, is killed"), output)?;
        if self.sockets.len() == 1 {
            self.start_node(victim)?;
            let what = format!("node {victim}, the only one, restarts from its disk");
            self.log(what, output)?;
            self.leader(None, output)?;
            return Ok(());
        }
        let (leader, since) = self.leader(Some(victim), output)?;
        let elected = since.saturating_duration_since(killed).as_millis();
        // Workers that are done do not wait for an answer.
        let answered = self.wait("an answer of the new leader", output, |seen| {
            let last = seen.outcomes.values().map(|(_, when)| *when).max();
            let last = last.filter(|when| *when > since);
            let first = CLIENTS + 2;
            let mut workers = first..first + WORKERS as usize;
            let is_idle = workers.all(|id| seen.done.contains(&id));
            (last.is_some() || is_idle).then_some(last)
        })?;
        let answered = answered.map_or(String::new(), |when| {
            let ms = when.saturating_duration_since(killed).as_millis();
            format!(", and answers after {ms} ms")
        });
        let what = format!("failover: node {leader} leads {elected} ms after the kill{answered}");
        Ok(self.log(what, output)?)
    }

    fn read_all_ways(&mut self, output: &mut Output) -> Result<(), Stop> {
        let ways = [
            ("through the log", Task::Do(get())),
            ("by index", Task::Read(get(), ReadMode::Index)),
            ("by lease", Task::Read(get(), ReadMode::Lease)),
        ];
        for (number, (way, task)) in (10..).zip(ways) {
            self.start_client(number, vec![task])?;
            let outcomes = self.finish(number, output)?;
            let what = format!("client {number}: {:?} {way} → {}", get(), shown(&outcomes));
            self.log(what, output)?;
        }
        Ok(())
    }

    /// Waits until all nodes have applied the same slots.
    fn wait_for_all(&mut self, output: &mut Output) -> Result<(), Stop> {
        let nodes = self.sockets.len();
        let decided = self.wait("all nodes to catch up", output, |seen| {
            let decided = seen.learners.values().map(Learner::decided);
            let all: BTreeSet<Slot> = decided.collect();
            let is_complete = seen.learners.len() == nodes && all.len() == 1;
            is_complete.then(|| all.first().copied()).flatten()
        })?;
        let what = format!("all nodes have applied all slots before {decided}");
        Ok(self.log(what, output)?)
    }

    /// Stops all processes, and returns the last learner of every node.
    fn stop_all(&mut self, output: &mut Output) -> Result<BTreeMap<usize, Learner<Store>>, Error> {
        self.handles.values().for_each(Handle::stop);
        for id in self.handles.keys().copied().collect::<Vec<_>>() {
            self.kill(id)?;
        }
        output.line(dim(cluster::traffic(&self.counters)))?;
        Ok(std::mem::take(&mut self.shared.seen().learners))
    }

    fn conclude(
        &self,
        initial: &Store,
        learners: BTreeMap<usize, Learner<Store>>,
        output: &mut Output,
    ) -> Result<Exit, Error> {
        let seen = self.shared.seen();
        let verdict = compare(&learners).and_then(|()| judge(&seen.history, initial));
        if let Err(wrong) = verdict {
            let violated = bad("violated:");
            output.line(format_args!("{violated} {wrong}; seed {}", self.seed))?;
            return Ok(Exit::Violated);
        }
        let unknown = match seen.history.unfinished() {
            0 => String::new(),
            some => format!(", {some} of unknown outcome"),
        };
        output.line(format_args!(
            "{} a linearizable history of {}{unknown}, and the same log on {}",
            good("consistent:"),
            many(seen.history.len() as u64, "operation"),
            many(learners.len() as u64, "node"),
        ))?;
        Ok(Exit::Success)
    }
}

impl Seen {
    fn note_node(&mut self, id: usize, node: &NodeState<Store>) {
        let now = Instant::now();
        let ballot = node.leader.as_ref().and_then(|leader| leader.ballot);
        match ballot.filter(|_| node.is_leading()) {
            Some(ballot) if self.leads.get(&id).is_none_or(|(it, _)| *it != ballot) => {
                self.leads.insert(id, (ballot, now));
                let line = format!("node {id} leads in ballot {ballot}");
                self.lines.push((now, line));
            }
            Some(_) => {}
            None => drop(self.leads.remove(&id)),
        }
        if let Some(learner) = &node.learner {
            let known = self.learners.insert(id, learner.clone());
            let fetched = known.is_some_and(|known| learner.log.start() > known.decided().next());
            if let Some(snapshot) = learner.snapshot.as_ref().filter(|_| fetched) {
                let line = format!("node {id} has fetched a {snapshot:?}");
                self.lines.push((now, line));
            }
        }
    }

    fn note_client(
        &mut self,
        id: usize,
        recorder: &mut HistoryRecorder,
        client: &ClientState<Reply>,
    ) {
        let known = self
            .outcomes
            .get(&id)
            .map_or(0, |outcomes| outcomes.0.len());
        recorder.note(client, &mut self.history);
        if client.replies.len() > known {
            let outcomes = (client.replies.clone(), Instant::now());
            self.outcomes.insert(id, outcomes);
        }
        if recorder.has_all() || client.is_expired() {
            self.done.insert(id);
        }
    }
}

/// An optional recorder of every step, and an observer of durable states.
struct Observers<R, F>(Option<R>, F);

impl<A, R, F> StepObserver<A> for Observers<R, F>
where
    A: stateright::actor::Actor,
    R: StepObserver<A>,
    F: StepObserver<A>,
{
    fn before(&mut self, node: Id, now: Duration, event: synod::runtime::EventOf<'_, A>) {
        self.0.before(node, now, event);
    }

    fn after(&mut self, node: Id, state: &A::State, commands: &stateright::actor::Out<A>) {
        self.0.after(node, state, commands);
    }

    fn durable(&mut self, node: Id, state: &A::State) -> Result<(), synod::runtime::Error> {
        self.0.durable(node, state)?;
        self.1.durable(node, state)
    }
}

/// The last outcome of a client.
fn shown(outcomes: &[Outcome<Reply>]) -> String {
    let last = outcomes.last();
    last.map_or("nothing".to_owned(), |it| format!("{it:?}"))
}

/// Checks that any two nodes agree on every slot that both know, and on the store.
fn compare(learners: &BTreeMap<usize, Learner<Store>>) -> Result<(), String> {
    let mut first = BTreeMap::new();
    for (id, learner) in learners {
        for (slot, entry) in learner.log.since(learner.log.start()) {
            let (other, known) = *first.entry(slot).or_insert((id, entry));
            if known != entry {
                return Err(format!(
                    "node {id} has {entry} in slot {slot}, where node {other} has {known}"
                ));
            }
        }
    }
    let mut machines = BTreeMap::new();
    for (id, learner) in learners {
        let at = learner.decided();
        let (other, known) = *machines.entry(at).or_insert((id, &learner.sessions));
        if *known != learner.sessions {
            return Err(format!(
                "nodes {other} and {id} differ in the store before slot {at}"
            ));
        }
    }
    Ok(())
}
