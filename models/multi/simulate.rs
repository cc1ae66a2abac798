//! Multi-Paxos in simulated runs: nodes that play all roles, and clients that use a store.

use super::history::{HistoryRecorder, Said, judge};
use crate::models::mutant::{Broken, Mutated};
use crate::models::simulate::{self, Plan, Simulated, Workload};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::Ballot;
use synod::certify::history::History;
use synod::kv::{Command, Store, Text};
use synod::multi::lease::LeaseTimes;
use synod::multi::{
    Client, ClientState, Clock, Cluster, Limits, NodeState, Process, ProcessState, ReadMode,
    Sessions, Slot, Task,
};
use synod::quorum::QuorumError;
use synod::runtime::clock::now_us;
use synod::runtime::simulator::Simulation;

/// Nodes that replicate a store, and clients with a list of tasks each.
struct Replicated {
    cluster: Arc<Cluster<Store>>,
    nodes: usize,
    clients: Vec<Client<Command>>,
    mutant: Broken<Process<Store>>,
    said: Said,
    /// How many slots each node was seen to have applied, durably.
    decided: Vec<Slot>,
    history: History<Store>,
    recorders: Vec<HistoryRecorder>,
    leaderships: BTreeSet<Ballot>,
    caught_up: u64,
}

/// The number of clients unless the plan has another.
const CLIENTS: u32 = 3;

/// Simulates a store.
///
/// # Errors
/// If there are no nodes.
pub(super) fn simulate(plan: &Plan, seed: u64) -> Result<Simulated, QuorumError> {
    let clients = plan.clients.unwrap_or(CLIENTS);
    let mut workload = Replicated::new(plan.nodes, clients, seed, None)?;
    Ok(simulate::run(&mut workload, seed))
}

impl Replicated {
    /// The cluster of a seed, whose clients do something else for each seed.
    fn new(
        nodes: u32,
        clients: u32,
        seed: u64,
        mutant: Broken<Process<Store>>,
    ) -> Result<Self, QuorumError> {
        let mut rng = SmallRng::seed_from_u64(seed ^ 0x6a09_e667_f3bc_c908);
        // So few, now and then, that some are forgotten.
        let capacity = if rng.random_bool(0.2) { clients } else { 100 };
        let initial = Sessions::new(Store::default(), capacity.into());
        let ms = Duration::from_millis;
        let lease = rng.random_range(20_000..100_000);
        let cluster = Cluster {
            limits: Limits {
                window: rng.random_range(1..8),
                gathers: seed % 4 == 3,
                batch_max: rng.random_range(1..8),
                bytes_max: rng.random_range(100..1024),
                ..Limits::default()
            },
            // Times are shorter than in earnest, so that more happens.
            heartbeat: Some(ms(5)..ms(7)),
            // Also so short that candidates try to get in while a lease holds.
            election: Backoff {
                base: ms(rng.random_range(10..50)),
                doublings_max: rng.random_range(1..4),
            },
            lease: Some(LeaseTimes {
                duration: lease,
                margin: lease / 10,
            }),
            snapshot_every: Some(rng.random_range(2..20)),
            ..Cluster::of_replicas(nodes, initial)?
        };
        let (keys, is_loyal) = (rng.random_range(1..4), rng.random());
        let clients = (0..clients).map(|client| Client {
            tasks: tasks(client, keys, &mut rng),
            session: None,
            leaders: cluster.proposers.clone(),
            is_loyal,
            backoff: Backoff::default(),
        });
        Ok(Replicated {
            clients: clients.collect(),
            cluster: Arc::new(cluster),
            nodes: nodes as usize,
            mutant,
            said: Said::default(),
            decided: vec![Slot(0); nodes as usize],
            history: History::default(),
            recorders: Vec::new(),
            leaderships: BTreeSet::new(),
            caught_up: 0,
        })
    }
}

/// What a client does: values are its own, so that whoever reads one knows whose it is.
fn tasks(client: u32, keys: u32, rng: &mut SmallRng) -> Vec<Task<Command>> {
    let mut values = vec![None];
    let tasks = (0..rng.random_range(5..40)).map(|number| {
        let key = Text::from(format!("k{}", rng.random_range(0..keys)));
        let value = Text::from(format!("{client}.{number}"));
        match rng.random_range(0..12) {
            0 => Task::Do(Command::Get { key }),
            1..4 => Task::Read(Command::Get { key }, ReadMode::Index),
            4..7 => Task::Read(Command::Get { key }, ReadMode::Lease),
            7 => Task::Do(Command::Delete { key }),
            8 | 9 => {
                let expected = values.choose(rng).cloned().flatten();
                values.push(Some(value.clone()));
                Task::Do(Command::Cas {
                    key,
                    expected,
                    value,
                })
            }
            _ => {
                values.push(Some(value.clone()));
                Task::Do(Command::Put { key, value })
            }
        }
    });
    tasks.collect()
}

impl Replicated {
    /// Logs agree with each other, lead to the same machine, and are not forgotten.
    fn judge_node(&mut self, id: usize, node: &NodeState<Store>) -> Result<(), String> {
        let Some(learner) = &node.learner else {
            return Err(format!("node {id} cannot read what it saved"));
        };
        let known = std::mem::replace(&mut self.decided[id], learner.decided());
        if learner.decided() < known {
            let decided = learner.decided();
            return Err(format!(
                "node {id} had applied all before {known}, and now all before {decided}"
            ));
        }
        self.said.judge_entries(id, learner)?;
        if learner.decided() > known {
            self.caught_up += u64::from(learner.log.start() > known.next());
            self.said.judge_machine(id, learner)?;
        }
        if node.is_leading() {
            self.leaderships
                .extend(node.leader.as_ref().and_then(|it| it.ballot));
        }
        Ok(())
    }
}

impl Workload for Replicated {
    type Actor = Mutated<Process<Store>>;

    const CHAOS: (Duration, Duration) = (Duration::from_millis(600), Duration::from_millis(60));

    // Two clocks come apart by 7.7 % at most, where the margin of the lease is 10 %.
    const DRIFT: f64 = 0.04;

    fn actors(&mut self) -> (Vec<Self::Actor>, usize) {
        for client in &self.clients {
            let recorder = HistoryRecorder::begin(client.tasks.clone(), &mut self.history);
            self.recorders.push(recorder);
        }
        let cluster = &self.cluster;
        let node = |_| Process::Node(Arc::clone(cluster), Clock::Real(now_us));
        let clients = self.clients.iter().cloned().map(Process::Client);
        let actors = (0..self.nodes).map(node).chain(clients);
        let actors = actors.map(|actor| Mutated::new(actor, self.mutant));
        (actors.collect(), self.nodes)
    }

    fn judge(&mut self, id: usize, state: &ProcessState<Store>) -> Result<(), String> {
        match state {
            ProcessState::Node(node) => self.judge_node(id, node),
            ProcessState::Client(client) => {
                self.recorders[id - self.nodes].note(client, &mut self.history);
                Ok(())
            }
        }
    }

    fn is_over(&self, simulation: &Simulation<Self::Actor>) -> bool {
        let has_all = |client: usize| {
            let state = simulation.state(self.nodes + client);
            let is_expired = state
                .and_then(ProcessState::client)
                .map(ClientState::is_expired);
            self.recorders[client].has_all() || is_expired == Some(true)
        };
        let decided = |id| Some(simulation.state(id)?.node()?.decided());
        let mut nodes = (0..self.nodes).map(decided);
        let first = nodes.next().flatten();
        (0..self.clients.len()).all(has_all)
            && first.is_some()
            && nodes.all(|decided| decided == first)
    }

    fn conclude(&self) -> Result<(), String> {
        judge(&self.history, &Store::default())
    }

    fn notes(&self) -> Vec<(&'static str, u64)> {
        vec![
            ("operations", self.history.len() as u64),
            ("of unknown outcome", self.history.unfinished() as u64),
            (
                "slots",
                self.said.applied.keys().max().map_or(0, |slot| slot.0),
            ),
            ("leaderships", self.leaderships.len() as u64),
            ("snapshots fetched", self.caught_up),
        ]
    }
}

#[cfg(test)]
mod tests;
