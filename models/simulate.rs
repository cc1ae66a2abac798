//! Simulated runs: a protocol on a simulated network with faults that a seed determines, and then
//! time to come to an end.

use super::decree::Decree;
use super::mutant::{Broken, Mutated};
use super::protocol::Protocol;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::{Actor, Id};
use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::Duration;
use synod::certify::Run;
use synod::runtime::simulator::{Chaos, ChaosSettings, Settings, Simulation};
use synod::runtime::{Counters, Faults, Runnable};

/// The time between two looks at whether a run is over, in simulated time.
const SLICE: Duration = Duration::from_millis(10);

/// The time that a run may take after its faults have ended, in simulated time.
const CALM_MAX: Duration = Duration::from_secs(60);

/// The processes that take part in a simulation.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The number of nodes, each of which plays all roles.
    pub nodes: u32,
    /// The number of clients; by default as many as the protocol likes.
    pub clients: Option<u32>,
}

/// Actors that are simulated, and the judgement of their run.
pub trait Workload {
    /// The actors.
    type Actor: Runnable;

    /// The time that faults last, in simulated time, and the time between two of them at most.
    const CHAOS: (Duration, Duration);

    /// The part by which clocks are off at most: see [`Settings::drift`].
    const DRIFT: f64 = 0.0;

    /// Returns the actors, those that may crash first, and the number of these.
    fn actors(&mut self) -> (Vec<Self::Actor>, usize);

    /// Judges a durable state of a process.
    ///
    /// # Errors
    /// If it contradicts another: says what is wrong.
    fn judge(&mut self, id: usize, state: &<Self::Actor as Actor>::State) -> Result<(), String>;

    /// Returns whether every process has what it wants.
    fn is_over(&self, simulation: &Simulation<Self::Actor>) -> bool;

    /// Judges the whole run.
    ///
    /// # Errors
    /// If it is wrong: says what.
    fn conclude(&self) -> Result<(), String> {
        Ok(())
    }

    /// Counts of what happened, to be added up over all runs.
    fn notes(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// Counts of one or more runs.
#[derive(Debug, Default)]
pub struct Tally {
    /// The counters of all nodes.
    pub counters: Counters,
    /// The number of crashes.
    pub crashes: u64,
    /// The number of partitions.
    pub partitions: u64,
    /// The simulated time.
    pub time: Duration,
    /// A hash of all that happened.
    pub hash: u64,
    /// Counts that only this protocol has.
    pub notes: Vec<(&'static str, u64)>,
}

impl Tally {
    /// Adds the counts of other runs.
    pub fn add(&mut self, other: &Tally) {
        self.counters.add(&other.counters);
        self.crashes += other.crashes;
        self.partitions += other.partitions;
        self.time += other.time;
        self.hash = self.hash.rotate_left(5) ^ other.hash;
        match self.notes.as_mut_slice() {
            [] => self.notes.clone_from(&other.notes),
            notes => notes
                .iter_mut()
                .zip(&other.notes)
                .for_each(|(a, b)| a.1 += b.1),
        }
    }
}

/// The end of a run.
#[derive(Debug)]
pub enum End {
    /// Every process had what it wanted.
    Over,
    /// The time was up first.
    Late,
    /// Something contradicts something else.
    Wrong(String),
}

/// A run that was simulated.
#[derive(Debug)]
pub struct Simulated {
    /// Counts of what happened.
    pub tally: Tally,
    /// The end.
    pub end: End,
}

/// Simulates one run: faults, and then time to come to an end.
pub fn run<W: Workload>(workload: &mut W, seed: u64) -> Simulated {
    let (settings, chaos) = world::<W>(seed);
    let (actors, servers) = workload.actors();
    let mut simulation = Simulation::new(actors, settings);
    let mut chaos = chaos(servers);
    let mut end = End::Late;
    let mut is_calm = false;
    while simulation.now() < W::CHAOS.0 + CALM_MAX {
        if !is_calm && simulation.now() >= W::CHAOS.0 {
            is_calm = true;
            Chaos::calm(&mut simulation);
        }
        let until = simulation.now() + SLICE;
        let mut wrong = None;
        let mut judge = |id: Id, state: &<W::Actor as Actor>::State| {
            wrong = wrong
                .take()
                .or_else(|| workload.judge(id.into(), state).err());
        };
        let ran = match is_calm {
            false => chaos.run_until(&mut simulation, until, &mut judge),
            true => simulation.run_until(until, &mut judge),
        };
        // A step that the runtime refuses is as wrong as one that contradicts another.
        let wrong = wrong.or_else(|| ran.err().map(|error| error.to_string()));
        if let Some(wrong) = wrong {
            end = End::Wrong(wrong);
            break;
        }
        if is_calm && workload.is_over(&simulation) {
            end = End::Over;
            break;
        }
    }
    if !matches!(end, End::Wrong(_))
        && let Err(wrong) = workload.conclude()
    {
        end = End::Wrong(wrong);
    }
    let tally = Tally {
        counters: simulation.counters(),
        crashes: chaos.crashes,
        partitions: chaos.partitions,
        time: simulation.now(),
        hash: simulation.hash(),
        notes: workload.notes(),
    };
    Simulated { tally, end }
}

/// Draws a network and faults by seed: some runs have few faults, others very many.
fn world<W: Workload>(seed: u64) -> (Settings, impl FnOnce(usize) -> Chaos) {
    let mut rng = SmallRng::seed_from_u64(seed);
    let us = Duration::from_micros;
    let mut probability = |most: f64| rng.random::<f64>() * most;
    let faults = Faults {
        loss: probability(0.4),
        duplicate: probability(0.3),
        reorder: probability(0.5),
    };
    let settings = Settings {
        seed,
        drift: W::DRIFT,
        faults,
        latency: us(20)..us(rng.random_range(50..3000)),
        sync: us(20)..us(rng.random_range(50..2000)),
        ..Settings::default()
    };
    let pause = us(50)..W::CHAOS.1.mul_f64(rng.random_range(0.05..1.0));
    let chaos = move |servers| {
        let mut settings = ChaosSettings::new(seed, servers);
        settings.pause = pause;
        Chaos::new(settings)
    };
    (settings, chaos)
}

/// The values that clients propose: one each.
const VALUES: [char; 2] = ['x', 'y'];

/// Simulates a protocol that chooses one value: nodes that play all roles, and two clients that
/// disagree.
///
/// # Errors
/// If there are no nodes, or a number of clients is given.
pub fn one_decree<P>(plan: &Plan, mutant: Broken<P>, seed: u64) -> Result<Simulated, String>
where
    P: Protocol + Decree<char> + Runnable,
{
    if plan.clients.is_some() {
        return Err(format!(
            "--clients is for multi: in {} there are two, which disagree",
            P::NAME
        ));
    }
    let (cluster, protocol, nodes) = (0, P::KIND, plan.nodes);
    let run = Run {
        cluster,
        nodes,
        protocol,
    };
    let actors = P::actors(&run, &VALUES).map_err(|error| error.to_string())?;
    let actors = actors.into_iter().map(|actor| Mutated::new(actor, mutant));
    let decided = |state: &P::State| P::decided(state).copied();
    let actors = actors.collect();
    Ok(one_decision(actors, nodes as usize, decided, &VALUES, seed))
}

/// Simulates actors that all come to one decision, which is one of the values proposed. The first
/// `servers` may crash.
pub fn one_decision<A: Runnable, V: Copy + Display + PartialEq>(
    actors: Vec<A>,
    servers: usize,
    decided: fn(&A::State) -> Option<V>,
    proposed: &[V],
    seed: u64,
) -> Simulated {
    let mut workload = OneDecision {
        actors,
        servers,
        decided,
        proposed,
        first: None,
        has_decided: BTreeSet::new(),
    };
    run(&mut workload, seed)
}

/// Actors that come to one decision.
struct OneDecision<'a, A: Actor, V> {
    actors: Vec<A>,
    servers: usize,
    /// The decision that a state shows.
    decided: fn(&A::State) -> Option<V>,
    proposed: &'a [V],
    /// The first decision, and the process that made it.
    first: Option<(usize, V)>,
    /// The processes that have decided.
    has_decided: BTreeSet<usize>,
}

impl<A: Runnable, V: Copy + Display + PartialEq> Workload for OneDecision<'_, A, V> {
    type Actor = A;

    const CHAOS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(10));

    fn actors(&mut self) -> (Vec<A>, usize) {
        (std::mem::take(&mut self.actors), self.servers)
    }

    fn judge(&mut self, id: usize, state: &A::State) -> Result<(), String> {
        let Some(value) = (self.decided)(state) else {
            return match self.has_decided.contains(&id) {
                true => Err(format!("process {id} has forgotten what it had decided")),
                false => Ok(()),
            };
        };
        self.has_decided.insert(id);
        if !self.proposed.contains(&value) {
            return Err(format!(
                "process {id} decided {value}, which nobody proposed"
            ));
        }
        match *self.first.get_or_insert((id, value)) {
            (_, first) if first == value => Ok(()),
            (other, first) => Err(format!(
                "process {id} decided {value}, but process {other} had decided {first}"
            )),
        }
    }

    fn is_over(&self, simulation: &Simulation<A>) -> bool {
        let decided = |id| simulation.state(id).and_then(self.decided);
        (0..simulation.len()).all(|id| decided(id).is_some())
    }
}
