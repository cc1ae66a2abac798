//! Misfortunes by seed: crashes, restarts and partitions, one after the other.

use super::super::core::Runnable;
use super::super::error::Error;
use super::super::observer::Watch;
use super::super::timer::draw;
use super::Simulation;
use rand::rngs::SmallRng;
use rand::seq::{IteratorRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use std::ops::Range;
use std::time::Duration;

/// What happens to whom, and how often.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ChaosSettings {
    /// Determines all misfortunes.
    pub seed: u64,
    /// The actors that may crash are those with smaller ids. Partitions affect all.
    pub servers: usize,
    /// How long it takes from one misfortune to the next.
    pub pause: Range<Duration>,
}

impl ChaosSettings {
    /// Misfortunes every 1 to 60 ms, for the servers with ids below a number.
    pub fn new(seed: u64, servers: usize) -> Self {
        ChaosSettings {
            seed,
            servers,
            pause: Duration::from_millis(1)..Duration::from_millis(60),
        }
    }
}

/// Misfortunes, and what became of them.
#[derive(Debug)]
pub struct Chaos {
    settings: ChaosSettings,
    rng: SmallRng,
    next: Duration,
    /// How many crashes there were, those in the middle of a disk operation not counted.
    pub crashes: u64,
    /// How often something was cut off from something else.
    pub partitions: u64,
}

impl Chaos {
    /// The first misfortune happens after a pause.
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

    /// Lets everything happen until a time, and misfortunes with it.
    ///
    /// # Errors
    ///
    /// Those of [`Simulation::run_until`].
    pub fn run_until<A: Runnable>(
        &mut self,
        simulation: &mut Simulation<A>,
        until: Duration,
        watch: &mut impl Watch<A>,
    ) -> Result<(), Error> {
        while self.next <= until {
            simulation.run_until(self.next, watch)?;
            self.act(simulation);
            // No pause at all would be a pause without end.
            let pause = draw(&mut self.rng, self.settings.pause.clone());
            self.next += pause.max(Duration::from_nanos(1));
        }
        simulation.run_until(until, watch)
    }

    /// Ends all misfortunes: everything is connected again, and everybody comes back.
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

    /// Any of the servers that are so.
    fn server(&mut self, is_so: impl Fn(usize) -> bool) -> Option<usize> {
        let servers = (0..self.settings.servers).filter(|id| is_so(*id));
        servers.choose(&mut self.rng)
    }

    /// Divides the network in two, or takes some ways out of it, in one direction only, or cuts a
    /// server off from the other servers, so that only its clients do not notice.
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
