//! Injected failures: by seed, crashes, restarts and partitions, one after the other.

use super::super::core::Runnable;
use super::super::error::Error;
use super::super::observer::StepObserver;
use super::super::timer::draw;
use super::Simulation;
use rand::rngs::SmallRng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use std::ops::Range;
use std::time::Duration;

/// The settings of injected failures.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChaosSettings {
    /// The seed that determines all failures.
    pub seed: u64,
    /// The number of servers, which are the actors with the smallest ids. Only servers crash, but
    /// partitions affect all actors.
    pub servers: usize,
    /// The time from one failure to the next.
    pub pause: Range<Duration>,
}

impl ChaosSettings {
    /// Creates settings with a failure every 1 to 60 ms.
    pub fn new(seed: u64, servers: usize) -> Self {
        ChaosSettings {
            seed,
            servers,
            pause: Duration::from_millis(1)..Duration::from_millis(60),
        }
    }
}

/// A source of failures.
#[derive(Debug)]
pub struct Chaos {
    settings: ChaosSettings,
    rng: SmallRng,
    next: Duration,
    /// The number of crashes, except those in the middle of a disk operation.
    pub crashes: u64,
    /// The number of partitions.
    pub partitions: u64,
}

impl Chaos {
    /// Creates a source whose first failure comes after a pause.
    pub fn new(settings: ChaosSettings) -> Self {
        let mut rng = SmallRng::seed_from_u64(settings.seed ^ 0x5bd1_e995_7b7d_159d);
        Chaos {
            next: draw(&mut rng, settings.pause.clone()),
            settings,
            rng,
            crashes: 0,
            partitions: 0,
        }
    }

    /// Runs a simulation with failures until a time.
    ///
    /// # Errors
    ///
    /// The errors of [`Simulation::run_until`].
    pub fn run_until<A: Runnable>(
        &mut self,
        simulation: &mut Simulation<A>,
        until: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        while self.next <= until {
            simulation.run_until(self.next, step_observer)?;
            self.act(simulation);
            // Without a pause the loop would not end.
            let pause = draw(&mut self.rng, self.settings.pause.clone());
            self.next += pause.max(Duration::from_nanos(1));
        }
        simulation.run_until(until, step_observer)
    }

    /// Ends all failures: connects all actors again, and restarts those that are down.
    pub fn calm<A: Runnable>(simulation: &mut Simulation<A>) {
        simulation.heal();
        for id in 0..simulation.len() {
            simulation.processes[id].disk.repair();
            simulation.restart(id);
        }
    }

    fn act<A: Runnable>(&mut self, simulation: &mut Simulation<A>) {
        match self.rng.random_range(0..10) {
            0..2 => {
                if let Some(id) = self.server(|id| simulation.is_up(id)) {
                    self.crashes += 1;
                    simulation.crash(id);
                }
            }
            2 => {
                let operation = self.rng.random_range(1..20);
                if let Some(id) = self.server(|id| simulation.is_up(id)) {
                    simulation.crash_at_operation(id, operation);
                }
            }
            3..6 => {
                if let Some(id) = self.server(|id| !simulation.is_up(id)) {
                    simulation.restart(id);
                }
            }
            6..8 => self.cut(simulation),
            _ => simulation.heal(),
        }
    }

    /// Draws a server that satisfies the predicate.
    fn server(&mut self, predicate: impl Fn(usize) -> bool) -> Option<usize> {
        let servers = (0..self.settings.servers).filter(|id| predicate(*id));
        servers.choose(&mut self.rng)
    }

    /// Partitions the network: into two halves, or by blocking random connections in one direction,
    /// or by separating a server from the other servers, but not from the clients.
    fn cut<A: Runnable>(&mut self, simulation: &mut Simulation<A>) {
        self.partitions += 1;
        let mut all: Vec<usize> = (0..simulation.len()).collect();
        all.shuffle(&mut self.rng);
        match self.rng.random_range(0..3) {
            0 => {
                let (one, other) = all.split_at(self.rng.random_range(0..=all.len()));
                simulation.partition(&[one, other]);
            }
            1 => {
                for _ in 0..self.rng.random_range(0..=all.len()) {
                    let [from, to] = [(); 2].map(|()| self.rng.random_range(0..all.len()));
                    simulation.block(from, to);
                }
            }
            _ => {
                all.retain(|id| *id < self.settings.servers);
                if let Some((one, others)) = all.split_first() {
                    simulation.partition(&[&[*one], others]);
                }
            }
        }
    }
}
