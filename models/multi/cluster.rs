//! A replicated store on this machine, over UDP, whose leader is killed.

use super::history::{HistoryRecorder, Said, judge};
use crate::console::output::{Output, bad, bold, good, many, warn};
use crate::console::{Error, Exit};
use crate::models::cluster::{self, ClusterArgs, Place};
use crate::models::local::{Local, Stop};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};
use synod::backoff::Backoff;
use synod::ballot::Ballot;
use synod::certify::history::History;
use synod::certify::{ProtocolKind, Replicas};
use synod::kv::{Command, Reply, Store, Text};
use synod::machine::Machine;
use synod::multi::{
    Client, ClientState, Clock, Cluster, Learner, NodeState, Outcome, Process, ReadMode, Slot, Task,
};
use synod::runtime::clock::now_us;

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
}

/// Nodes on loopback, and their clients.
struct Play<'a> {
    local: Local<'a, Seen>,
    cluster: Arc<Cluster<Store>>,
}

/// The settings that the nodes share; snapshots are so frequent that every run takes some.
const REPLICAS: Replicas = Replicas {
    sessions_max: 1_000,
    snapshot_every: 50,
};

pub(super) fn run(args: &ClusterArgs, name: &str, output: &mut Output) -> Result<Exit, Error> {
    let place = Place::new(args, name, ProtocolKind::Multi(REPLICAS))?;
    let cluster = place.run.multi(REPLICAS).map_err(Error::failed)?;
    let mut play = Play {
        local: Local::bind(args, &place, args.nodes as usize)?,
        cluster: Arc::new(cluster),
    };
    let seed = place.seed;
    output.line(format_args!(
        "{} {} on loopback with a replicated store; seed {seed}, faults {}",
        bold("Multi-Paxos over UDP:"),
        many(args.nodes.into(), "node"),
        cluster::faults(args),
    ))?;
    let played = play.run(output);
    let stopped = play.local.stop_all(output);
    match played {
        Ok(initial) => stopped.and_then(|()| play.conclude(&initial, output)),
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

impl Play<'_> {
    fn start_node(&mut self, id: usize) -> Result<(), Error> {
        let mut config = self.local.config(id)?;
        config.dynamic = CLIENTS..2 * CLIENTS;
        let process = Process::Node(Arc::clone(&self.cluster), Clock::Real(now_us));
        let (shared, mut known) = (Arc::clone(&self.local.shared), None);
        self.local.launch(process, config, move |state| {
            let Some(node) = state.node() else { return };
            let ballot = node.leader.as_ref().and_then(|leader| leader.ballot);
            let now = Some((ballot.filter(|_| node.is_leading()), node.decided()));
            if now != known {
                known = now;
                shared.change(|seen| {
                    let lines = seen.note_node(id, node);
                    lines.into_iter().for_each(|line| shared.say(line));
                });
            }
        })
    }

    fn kill(&mut self, id: usize) -> Result<(), Error> {
        self.local.kill(id)?;
        self.local.shared.seen().leads.remove(&id);
        Ok(())
    }

    /// Starts a client with a list of tasks.
    fn start_client(&mut self, number: usize, tasks: Vec<Task<Command>>) -> Result<(), Error> {
        let id = CLIENTS + number;
        let config = self.local.config(id)?;
        let client = Client {
            tasks: tasks.clone(),
            session: None,
            leaders: self.cluster.proposers.clone(),
            is_loyal: true,
            backoff: Backoff::default(),
        };
        let shared = Arc::clone(&self.local.shared);
        let mut recorder = HistoryRecorder::begin(tasks, &mut shared.seen().history);
        self.local
            .launch(Process::<Store>::Client(client), config, move |state| {
                if let Some(client) = state.client() {
                    shared.change(|seen| seen.note_client(id, &mut recorder, client));
                }
            })
    }

    /// Waits for an observation.
    fn wait<T>(
        &mut self,
        what: &str,
        output: &mut Output,
        is_seen: impl Fn(&Seen) -> Option<T>,
    ) -> Result<T, Stop> {
        self.local.wait(what, self.local.deadline, output, is_seen)
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
    fn run(&mut self, output: &mut Output) -> Result<Store, Stop> {
        let mut rng = SmallRng::seed_from_u64(self.local.place.seed);
        for id in 0..self.local.nodes() {
            self.start_node(id)?;
        }
        self.leader(None, output)?;
        let initial = self.remember(output)?;
        let colour = COLOURS[rng.random_range(0..COLOURS.len())];
        self.start_client(1, vec![Task::Do(put(colour))])?;
        let outcomes = self.finish(1, output)?;
        let what = format!("client 1: {:?} → {}", put(colour), shown(&outcomes));
        self.local.log(what, output)?;

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
        if !self.local.handles.contains_key(&victim) {
            self.start_node(victim)?;
            self.local
                .log(format!("node {victim} restarts from its disk"), output)?;
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
        self.local
            .log(format!("client 0: {:?} → {outcomes}", get()), output)?;
        Ok(store)
    }

    /// Kills the leader while clients are at work, and reports how long they wait.
    fn fail_over(&mut self, victim: usize, output: &mut Output) -> Result<(), Stop> {
        self.kill(victim)?;
        let killed = Instant::now();
        self.local
            .log(format!("node {victim}, which leads, is killed"), output)?;
        if self.local.nodes() == 1 {
            self.start_node(victim)?;
            let what = format!("node {victim}, the only one, restarts from its disk");
            self.local.log(what, output)?;
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
        Ok(self.local.log(what, output)?)
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
            self.local.log(what, output)?;
        }
        Ok(())
    }

    /// Waits until all nodes have applied the same slots.
    fn wait_for_all(&mut self, output: &mut Output) -> Result<(), Stop> {
        let nodes = self.local.nodes();
        let decided = self.wait("all nodes to catch up", output, |seen| {
            let decided = seen.learners.values().map(Learner::decided);
            let all: BTreeSet<Slot> = decided.collect();
            let is_complete = seen.learners.len() == nodes && all.len() == 1;
            is_complete.then(|| all.first().copied()).flatten()
        })?;
        let what = format!("all nodes have applied all slots before {decided}");
        Ok(self.local.log(what, output)?)
    }

    fn conclude(&self, initial: &Store, output: &mut Output) -> Result<Exit, Error> {
        let seen = self.local.shared.seen();
        let mut said = Said::default();
        let mut judge_node = |(id, learner): (&usize, &Learner<Store>)| {
            said.judge_entries(*id, learner)?;
            said.judge_machine(*id, learner)
        };
        let verdict = seen.learners.iter().try_for_each(&mut judge_node);
        let verdict = verdict.and_then(|()| judge(&seen.history, initial));
        if let Err(wrong) = verdict {
            let violated = bad("violated:");
            output.line(format_args!(
                "{violated} {wrong}; seed {}",
                self.local.place.seed
            ))?;
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
            many(seen.learners.len() as u64, "node"),
        ))?;
        Ok(Exit::Success)
    }
}

impl Seen {
    /// Notes what a node shows, and returns the lines that tell of it.
    fn note_node(&mut self, id: usize, node: &NodeState<Store>) -> Vec<String> {
        let mut lines = Vec::new();
        let ballot = node.leader.as_ref().and_then(|leader| leader.ballot);
        match ballot.filter(|_| node.is_leading()) {
            Some(ballot) if self.leads.get(&id).is_none_or(|(it, _)| *it != ballot) => {
                self.leads.insert(id, (ballot, Instant::now()));
                lines.push(format!("node {id} leads in ballot {ballot}"));
            }
            Some(_) => {}
            None => drop(self.leads.remove(&id)),
        }
        if let Some(learner) = &node.learner {
            let known = self.learners.insert(id, learner.clone());
            let fetched = known.is_some_and(|known| learner.log.start() > known.decided().next());
            let snapshot = learner.snapshot.as_ref().filter(|_| fetched);
            lines.extend(snapshot.map(|it| format!("node {id} has fetched a {it:?}")));
        }
        lines
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

/// The last outcome of a client.
fn shown(outcomes: &[Outcome<Reply>]) -> String {
    let last = outcomes.last();
    last.map_or("nothing".to_owned(), |it| format!("{it:?}"))
}
