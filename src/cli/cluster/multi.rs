//! `synod cluster multi`: a store on this machine, replicated over UDP, whose leader is killed.

use super::super::args::ClusterArgs;
use super::super::output::{Output, bad, bold, dim, good, warn};
use super::super::scribe::{Scribe, judge};
use super::super::{Error, Exit};
use super::storage;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::Id;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use synod::backoff::Backoff;
use synod::ballot::Ballot;
use synod::certify::history::History;
use synod::certify::{Replicas, Run};
use synod::kv::{Command, Reply, Store, Text};
use synod::machine::Machine;
use synod::multi::{
    Client, ClientState, Clock, Cluster, How, Learner, NodeState, Outcome, Process, ProcessState,
    Slot, Task,
};
use synod::runtime::clock::now_us;
use synod::runtime::{Counters, Handle, NodeConfig, Watch, spawn_watched};

/// Ids from here on are those of clients.
const CLIENTS: usize = 1_000;

/// How many clients are at work while the leader is killed, and how much each does.
const WORKERS: (u32, u32) = (2, 60);

/// The key that later runs in the same directory find.
const KEY: &str = "colour";

/// What may be written to it.
const COLOURS: [&str; 6] = ["red", "blue", "green", "black", "white", "yellow"];

/// What all threads tell of their processes.
#[derive(Default)]
struct Seen {
    history: History<Store>,
    /// Who leads, as far as it knows, and since when.
    leads: BTreeMap<usize, (Ballot, Instant)>,
    learners: BTreeMap<usize, Learner<Store>>,
    /// What each client was told, and when it was told the last of it.
    told: BTreeMap<usize, (Vec<Outcome<Reply>>, Instant)>,
    /// The clients that are done.
    done: BTreeSet<usize>,
    lines: Vec<(Instant, String)>,
}

/// The same, and who waits for news of it.
#[derive(Default)]
struct Board {
    seen: Mutex<Seen>,
    news: Condvar,
}

impl Board {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen());
        self.news.notify_all();
    }
}

/// How a play ends early.
enum Stop {
    /// What was waited for has not come.
    Late(String),
    Failed(Error),
}

impl<E: Into<Error>> From<E> for Stop {
    fn from(error: E) -> Self {
        Stop::Failed(error.into())
    }
}

/// Nodes on loopback, and clients that come and go.
struct Local<'a> {
    args: &'a ClusterArgs,
    directory: &'a Path,
    run: &'a Run,
    seed: u64,
    cluster: Arc<Cluster<Store>>,
    /// Kept open while a node is down: what is sent to it meanwhile arrives late, not never.
    sockets: Vec<UdpSocket>,
    peers: BTreeMap<Id, SocketAddr>,
    board: Arc<Board>,
    handles: BTreeMap<usize, Handle>,
    counters: Vec<Counters>,
    start: Instant,
    deadline: Instant,
}

/// What the nodes have in common; snapshots so often that there is one to see.
pub(super) const REPLICAS: Replicas = Replicas {
    sessions_max: 1_000,
    snapshot_every: 50,
};

pub(super) fn run(
    args: &ClusterArgs,
    directory: &Path,
    run: &Run,
    seed: u64,
    output: &mut Output,
) -> Result<Exit, Error> {
    let mut local = Local::bind(args, directory, run, seed)?;
    output.line(format_args!(
        "{} {} nodes on loopback, which replicate a store; seed {seed}, faults {}",
        bold("Multi-Paxos over UDP:"),
        args.nodes,
        super::faults(args),
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

/// What a worker does: two keys, of which it does not touch the one that the play is about.
fn work(worker: u32, rng: &mut SmallRng) -> Vec<Task<Command>> {
    let tasks = (0..WORKERS.1).map(|number| {
        let key = Text::from(format!("key {}", rng.random_range(1..3)));
        let value = Text::from(format!("{worker}.{number}"));
        match rng.random_range(0..8) {
            0 => Task::Do(Command::Get { key }),
            1 | 2 => Task::Read(Command::Get { key }, How::Index),
            3 | 4 => Task::Read(Command::Get { key }, How::Lease),
            5 => Task::Do(Command::Delete { key }),
            _ => Task::Do(Command::Put { key, value }),
        }
    });
    tasks.collect()
}

/// Where the workers' keys are found as they were before.
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
        let cluster = run.multi(REPLICAS).map_err(Error::other)?;
        let sockets: Result<Vec<_>, _> = (0..args.nodes).map(|_| super::socket()).collect();
        let sockets = sockets?;
        let mut peers = BTreeMap::new();
        for (id, socket) in sockets.iter().enumerate() {
            peers.insert(Id::from(id), socket.local_addr().map_err(Error::other)?);
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
            board: Arc::default(),
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

    /// Starts a process, and has somebody look on.
    fn launch(
        &mut self,
        process: Process<Store>,
        config: NodeConfig,
        mut watch: impl FnMut(&ProcessState<Store>) + Send + 'static,
    ) -> Result<(), Error> {
        let id = usize::from(config.id);
        let recorder = super::recorder(self.args, self.run, id)?;
        let watch = Watched(recorder, move |_: Id, state: &ProcessState<Store>| {
            watch(state)
        });
        let handle = spawn_watched(process, config, watch, |_| {}).map_err(Error::other)?;
        let cut = handle.cut().map(ToString::to_string);
        self.handles.insert(id, handle);
        let now = Instant::now();
        let cut = cut.map(|cut| (now, cut));
        self.board.change(|seen| seen.lines.extend(cut));
        Ok(())
    }

    fn start_node(&mut self, id: usize) -> Result<(), Error> {
        let socket = self.sockets[id].try_clone().map_err(Error::other)?;
        let mut config = self.config(id, socket);
        config.dynamic = CLIENTS..2 * CLIENTS;
        config.storage = Some(storage(self.directory, id));
        let process = Process::Node(Arc::clone(&self.cluster), Clock::Real(now_us));
        let (board, mut known) = (Arc::clone(&self.board), None);
        self.launch(process, config, move |state| {
            let Some(node) = state.node() else { return };
            let ballot = node.leader.as_ref().and_then(|leader| leader.ballot);
            let now = Some((ballot.filter(|_| node.is_leading()), node.decided()));
            if now != known {
                known = now;
                board.change(|seen| seen.note_node(id, node));
            }
        })
    }

    /// Kills a process: all that it has not saved is gone.
    fn kill(&mut self, id: usize) -> Result<(), Error> {
        if let Some(handle) = self.handles.remove(&id) {
            handle.stop();
            self.counters.push(handle.join().map_err(Error::other)?);
        }
        self.board.seen().leads.remove(&id);
        Ok(())
    }

    /// Starts a client with a list of things to do.
    fn start_client(&mut self, number: usize, tasks: Vec<Task<Command>>) -> Result<(), Error> {
        let id = CLIENTS + number;
        let config = self.config(id, super::socket()?);
        let client = Client {
            tasks: tasks.clone(),
            session: None,
            leaders: self.cluster.proposers.clone(),
            is_loyal: true,
            backoff: Backoff::default(),
        };
        let board = Arc::clone(&self.board);
        let mut scribe = Scribe::begin(tasks, &mut board.seen().history);
        self.launch(Process::Client(client), config, move |state| {
            if let Some(client) = state.client() {
                board.change(|seen| seen.note_client(id, &mut scribe, client));
            }
        })
    }

    /// Waits until something was seen, and prints meanwhile what is told.
    fn wait<T>(
        &mut self,
        what: &str,
        output: &mut Output,
        is_seen: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T, Stop> {
        let board = Arc::clone(&self.board);
        let mut seen = board.seen();
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
                // It ended by itself, and so with an error.
                self.kill(id)?;
                return Err(Stop::Late(format!("process {id}, which has ended")));
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Stop::Late(what.to_owned()));
            }
            let nap = left.min(Duration::from_millis(50));
            let woken = board.news.wait_timeout(seen, nap);
            seen = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn print(&self, when: Instant, what: String, output: &mut Output) -> Result<(), Error> {
        let passed = when.saturating_duration_since(self.start);
        let time = format!("{:>6} ms", passed.as_millis());
        output.line(format_args!("{}  {what}", dim(time)))?;
        Ok(())
    }

    fn say(&self, what: String, output: &mut Output) -> Result<(), Error> {
        self.print(Instant::now(), what, output)
    }

    /// Waits until a client is done, and returns what it was told.
    fn finish(&mut self, number: usize, output: &mut Output) -> Result<Vec<Outcome<Reply>>, Stop> {
        let id = CLIENTS + number;
        let told = self.wait("a client's answers", output, |seen| {
            let is_done = seen.done.contains(&id);
            is_done.then(|| seen.told.get(&id).map_or(Vec::new(), |told| told.0.clone()))
        })?;
        self.kill(id)?;
        Ok(told)
    }

    /// The whole play. Returns what the store held at first.
    fn play(&mut self, output: &mut Output) -> Result<Store, Stop> {
        let mut rng = SmallRng::seed_from_u64(self.seed);
        for id in 0..self.sockets.len() {
            self.start_node(id)?;
        }
        self.leader(None, output)?;
        let initial = self.remember(output)?;
        let colour = COLOURS[rng.random_range(0..COLOURS.len())];
        self.start_client(1, vec![Task::Do(put(colour))])?;
        let told = self.finish(1, output)?;
        self.say(
            format!("client 1: {:?} → {}", put(colour), shown(&told)),
            output,
        )?;

        for worker in 0..WORKERS.0 {
            self.start_client(2 + worker as usize, work(worker, &mut rng))?;
        }
        std::thread::sleep(Duration::from_millis(rng.random_range(5..30)));
        let (victim, _) = self.leader(None, output)?;
        self.fail_over(victim, output)?;
        self.read_all_ways(output)?;
        for worker in 0..WORKERS.0 {
            self.finish(2 + worker as usize, output)?;
        }
        if !self.handles.contains_key(&victim) {
            self.start_node(victim)?;
            self.say(format!("node {victim} restarts from its disk"), output)?;
        }
        self.wait_for_all(output)?;
        Ok(initial)
    }

    /// Waits for a leader, other than one that was killed.
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

    /// What an earlier run has left behind.
    fn remember(&mut self, output: &mut Output) -> Result<Store, Stop> {
        self.start_client(0, all_keys())?;
        let told = self.finish(0, output)?;
        let mut store = Store::default();
        for (task, outcome) in all_keys().iter().zip(&told) {
            if let (Task::Do(Command::Get { key }), Outcome::Done(Reply::Was(Some(value)))) =
                (task, outcome)
            {
                let (key, value) = (key.clone(), value.clone());
                store.apply(&Command::Put { key, value });
            }
        }
        let told = shown(&told[told.len().saturating_sub(1)..]);
        self.say(format!("client 0: {:?} → {told}", get()), output)?;
        Ok(store)
    }

    /// The leader is killed while clients are at work; how long do they wait?
    fn fail_over(&mut self, victim: usize, output: &mut Output) -> Result<(), Stop> {
        self.kill(victim)?;
        let killed = Instant::now();
        self.say(format!("node {victim}, which leads, is killed"), output)?;
        if self.sockets.len() == 1 {
            self.start_node(victim)?;
            let why = "restarts from its disk, for it was the only one";
            self.say(format!("node {victim} {why}"), output)?;
            self.leader(None, output)?;
            return Ok(());
        }
        let (leader, since) = self.leader(Some(victim), output)?;
        let elected = since.saturating_duration_since(killed).as_millis();
        // Workers that were done before wait for nothing.
        let answered = self.wait("an answer of the new leader", output, |seen| {
            let last = seen.told.values().map(|(_, when)| *when).max();
            let last = last.filter(|when| *when > since);
            let mut workers = (2..)
                .map(|number| CLIENTS + number)
                .take(WORKERS.0 as usize);
            let is_idle = workers.all(|id| seen.done.contains(&id));
            (last.is_some() || is_idle).then_some(last)
        })?;
        let answered = answered.map(|when| when.saturating_duration_since(killed).as_millis());
        let answered = answered.map(|ms| format!(", and answers after {ms} ms"));
        let answered = answered.unwrap_or_default();
        self.say(
            format!("failover: node {leader} leads {elected} ms after the kill{answered}"),
            output,
        )?;
        Ok(())
    }

    fn read_all_ways(&mut self, output: &mut Output) -> Result<(), Stop> {
        let ways = [
            ("through the log", Task::Do(get())),
            ("by index", Task::Read(get(), How::Index)),
            ("by lease", Task::Read(get(), How::Lease)),
        ];
        for (number, (way, task)) in (10..).zip(ways) {
            self.start_client(number, vec![task])?;
            let told = self.finish(number, output)?;
            let what = format!("client {number}: {:?} {way} → {}", get(), shown(&told));
            self.say(what, output)?;
        }
        Ok(())
    }

    /// Waits until all nodes have applied as much as any.
    fn wait_for_all(&mut self, output: &mut Output) -> Result<(), Stop> {
        let nodes = self.sockets.len();
        let decided = self.wait("all nodes to catch up", output, |seen| {
            let decided = seen.learners.values().map(Learner::decided);
            let all: BTreeSet<Slot> = decided.collect();
            let is_complete = seen.learners.len() == nodes && all.len() == 1;
            is_complete.then(|| all.first().copied()).flatten()
        })?;
        self.say(
            format!("all nodes have applied all before {decided}"),
            output,
        )?;
        Ok(())
    }

    /// Stops everybody. Returns what every node knew at last.
    fn stop_all(&mut self, output: &mut Output) -> Result<BTreeMap<usize, Learner<Store>>, Error> {
        self.handles.values().for_each(Handle::stop);
        for id in self.handles.keys().copied().collect::<Vec<_>>() {
            self.kill(id)?;
        }
        output.line(dim(super::traffic(&self.counters)))?;
        Ok(std::mem::take(&mut self.board.seen().learners))
    }

    fn conclude(
        &self,
        initial: &Store,
        learners: BTreeMap<usize, Learner<Store>>,
        output: &mut Output,
    ) -> Result<Exit, Error> {
        let seen = self.board.seen();
        let verdict = compare(&learners).and_then(|()| judge(&seen.history, initial));
        if let Err(wrong) = verdict {
            output.line(format_args!(
                "{} {wrong}; seed {}",
                bad("violated:"),
                self.seed
            ))?;
            return Ok(Exit::Violated);
        }
        let unknown = match seen.history.unfinished() {
            0 => String::new(),
            some => format!(", {some} of unknown outcome"),
        };
        output.line(format_args!(
            "{} {} operations are linearizable{unknown}, and the logs of all {} nodes agree",
            good("consistent:"),
            seen.history.len(),
            learners.len(),
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

    fn note_client(&mut self, id: usize, scribe: &mut Scribe, client: &ClientState<Reply>) {
        let known = self.told.get(&id).map_or(0, |told| told.0.len());
        scribe.note(client, &mut self.history);
        if client.replies.len() > known {
            self.told
                .insert(id, (client.replies.clone(), Instant::now()));
        }
        if scribe.has_all() || client.is_expired() {
            self.done.insert(id);
        }
    }
}

/// Somebody who writes down every step, perhaps, and somebody who looks at what is durable.
struct Watched<R, F>(Option<R>, F);

impl<A, R, F> Watch<A> for Watched<R, F>
where
    A: stateright::actor::Actor,
    R: Watch<A>,
    F: Watch<A>,
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

/// What a client was told last.
fn shown(told: &[Outcome<Reply>]) -> String {
    told.last()
        .map_or("nothing".to_owned(), |it| format!("{it:?}"))
}

/// Whether any two nodes have the same in every slot that both know, and the same store.
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
                "nodes {other} and {id} differ in what all before {at} led to"
            ));
        }
    }
    Ok(())
}
