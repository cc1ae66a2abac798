//! The speed of the checker, compared with stateright's checkers on the same [`World`], with
//! stateright's own `ActorModel`, and with the random accesses to memory that any search needs.
//!
//! Searches that are compared alternate, round after round, so that a machine which slows down for
//! a while slows all of them down. A ratio is taken within a round before the median over rounds.
//! Whole searches take seconds and are timed here; criterion times two small ones.

use criterion::Criterion;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::{ActorModel, Network};
use stateright::{Checker, Expectation, HasDiscoveries, Model};
use std::error::Error;
use std::hint::black_box;
use std::time::{Duration, Instant};
use synod::checker::search::{Engine, Limits, Report, Verdict, run};
use synod::checker::{System, World};
use synod::models::basic::{Basic, Config};
use synod::models::config::Flags;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The amount of work: all of it, or just enough to see that it runs.
struct Scale {
    rounds: usize,
    /// The ballots of each proposer.
    ballots: u64,
    /// The proposers where stateright takes no part.
    proposers_large: u32,
    /// The flags of the configuration that plain `ActorModel` explores, within this time.
    plain: &'static str,
    plain_max: Duration,
    /// The time for which criterion measures each of its searches.
    micro: Duration,
}

impl Scale {
    fn full() -> Self {
        Self {
            rounds: 3,
            ballots: 2,
            proposers_large: 3,
            plain: "--acceptors 4 --ballots 1 --clients 1",
            plain_max: Duration::from_secs(120),
            micro: Duration::from_secs(4),
        }
    }

    fn smoke() -> Self {
        Self {
            rounds: 1,
            ballots: 1,
            proposers_large: 2,
            plain: "--acceptors 2 --proposers 1 --ballots 1 --clients 1",
            plain_max: Duration::from_secs(2),
            micro: Duration::from_millis(20),
        }
    }
}

/// The result of one search or one pass of probes.
#[derive(Clone, Copy, Debug)]
struct Timed {
    seconds: f64,
    states: usize,
    transitions: usize,
}

/// Something to time, which returns its numbers of states and transitions.
type Work<'a> = Box<dyn Fn() -> Result<(usize, usize)> + 'a>;

/// A contestant, and its results round by round.
struct Series<'a> {
    name: String,
    work: Work<'a>,
    runs: Vec<Timed>,
}

impl<'a> Series<'a> {
    fn new(name: impl Into<String>, work: impl Fn() -> Result<(usize, usize)> + 'a) -> Self {
        Self {
            name: name.into(),
            work: Box::new(work),
            runs: Vec::new(),
        }
    }

    /// Times the work until all its memory is given back.
    fn run(&mut self) -> Result<()> {
        let begun = Instant::now();
        let (states, transitions) = (self.work)()?;
        self.runs.push(Timed {
            seconds: begun.elapsed().as_secs_f64(),
            states,
            transitions,
        });
        Ok(())
    }
}

/// Runs every contestant once per round.
fn compete(rounds: usize, all: &mut [Series<'_>]) -> Result<()> {
    (0..rounds).try_for_each(|_| all.iter_mut().try_for_each(Series::run))
}

impl Series<'_> {
    fn spread(&self, of: impl Fn(&Timed) -> f64) -> Spread {
        Spread::of(self.runs.iter().map(of))
    }

    /// The times relative to those of another series, round by round.
    fn over(&self, other: &Self) -> Spread {
        let pairs = self.runs.iter().zip(&other.runs);
        Spread::of(pairs.map(|(mine, its)| mine.seconds / its.seconds))
    }

    /// Refuses to compare searches that count different states.
    fn agrees_with(&self, other: &Self) -> Result<()> {
        let counts = |it: &Timed| (it.states, it.transitions);
        let mine: Vec<_> = self.runs.iter().map(counts).collect();
        let its: Vec<_> = other.runs.iter().map(counts).collect();
        if mine == its {
            return Ok(());
        }
        Err(format!("{} saw {mine:?}, but {} {its:?}", self.name, other.name).into())
    }
}

/// The median and the extremes of some figures.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.collect();
        sorted.sort_by(f64::total_cmp);
        let at = |place: usize| sorted.get(place).copied().unwrap_or(f64::NAN);
        let last = sorted.len().saturating_sub(1);
        Self {
            median: (at(last / 2) + at(last.div_ceil(2))) / 2.0,
            min: at(0),
            max: at(last),
        }
    }

    /// Prints a line of the table.
    fn print(&self, what: &str, unit: &str) {
        let digits = if self.max < 1.0 { 4 } else { 2 };
        let figure = |it: f64| format!("{it:.digits$}");
        let [median, min, max] = [self.median, self.min, self.max].map(figure);
        println!("  {what:<52} {median:>12} {unit:<5} ({min} to {max})");
    }
}

fn millions(count: usize, seconds: f64) -> f64 {
    count as f64 / seconds / 1e6
}

fn world(config: &Config) -> Result<World<Basic>> {
    Ok(World::new(
        config.system(None)?,
        config.shared.world.options(),
    ))
}

/// The collapse engine with its default settings.
fn collapse(threads: usize) -> Limits {
    Limits {
        threads,
        ..Limits::default()
    }
}

/// Searches a configuration, which must hold.
fn search(config: &Config, limits: Limits) -> Result<Report> {
    let (system, options) = (config.system(None)?, config.shared.world.options());
    let report = run(|| World::new(system.clone(), options), limits, |_| {})?;
    // The smallest configurations lack some examples, but nothing is wrong with them.
    if !report.is_exhausted || (report.verdict == Verdict::Violated && config.ballots > 1) {
        return Err(format!("{config:?}: {:?}", report.verdict).into());
    }
    Ok(report)
}

fn by_run(config: &Config, limits: Limits) -> Result<(usize, usize)> {
    let reached = search(config, limits)?.reached;
    Ok((reached.unique_states, reached.transitions))
}

fn by_dfs(config: &Config, threads: usize) -> Result<(usize, usize)> {
    let checker = world(config)?.checker().threads(threads);
    let checker = checker
        .finish_when(HasDiscoveries::AnyFailures)
        .spawn_dfs()
        .join();
    // stateright counts the initial state among the states generated.
    Ok((checker.unique_state_count(), checker.state_count() - 1))
}

/// Searches stateright's own model of the same actors, with a property that always holds.
fn by_actor_model(config: &Config, threads: usize, max: Duration) -> Result<(usize, usize)> {
    let (system, begun) = (config.system(None)?, Instant::now());
    let model = ActorModel::<<Basic as System>::Actor>::new((), ())
        .actors(system.actors().to_vec())
        .init_network(Network::new_unordered_duplicating(system.outside()))
        .property(Expectation::Always, "nothing in particular", |_, _| true);
    let checker = model.checker().threads(threads).timeout(max);
    let checker = checker.spawn_bfs().join();
    if begun.elapsed() >= max {
        return Err(format!("plain ActorModel did not end within {max:?}").into());
    }
    Ok((checker.unique_state_count(), checker.state_count() - 1))
}

fn headline(what: &str, config: &Config) {
    let postponed = ["", ", nothing postponed"][usize::from(!config.shared.world.postpone)];
    println!(
        "\n{what}: acceptors {}, proposers {}, ballots {}, clients {}{postponed}",
        config.shared.acceptors, config.proposers, config.ballots, config.shared.clients
    );
}

fn counts(series: &Series<'_>) {
    if let Some(run) = series.runs.first() {
        let (states, transitions) = (run.states, run.transitions);
        println!(
            "  {states} unique states, {transitions} transitions, rounds: {}",
            series.runs.len()
        );
    }
}

/// Compares searches of the same world, with the same reductions and threads.
fn engines(config: &Config, rounds: usize) -> Result<()> {
    headline("Same world, same reductions", config);
    let mut all = Vec::new();
    for threads in [1, 2] {
        let on = |who| format!("{who}, threads: {threads}");
        all.extend([
            Series::new(on("collapse"), move || by_run(config, collapse(threads))),
            Series::new(on("stateright BFS"), move || {
                let (engine, limits) = (Engine::Stateright, collapse(threads));
                by_run(config, Limits { engine, ..limits })
            }),
            Series::new(on("stateright DFS"), move || by_dfs(config, threads)),
        ]);
    }
    compete(rounds, &mut all)?;
    counts(&all[0]);
    for series in &all {
        series.agrees_with(&all[0])?;
        series.spread(|it| it.seconds).print(&series.name, "s");
    }
    for series in &all {
        let what = format!("unique states, {}", series.name);
        series
            .spread(|it| millions(it.states, it.seconds))
            .print(&what, "M/s");
    }
    for same_threads in all.chunks(3) {
        for other in &same_threads[1..] {
            let what = format!("time of {} / collapse", other.name);
            other.over(&same_threads[0]).print(&what, "x");
        }
    }
    Ok(())
}

/// Measures the memory per state of a search. It must run first: a process that gave memory back
/// takes it again without growing.
fn memory(config: &Config) -> Result<()> {
    headline("Memory, first search of the process", config);
    let report = search(config, collapse(1))?;
    match report.bytes_per_state() {
        Some(bytes) => println!("  {:<52} {bytes:>12.2} bytes", "per unique state"),
        None => println!("  not known on this system"),
    }
    Ok(())
}

type Key = [u64; 2];

/// The keys to look up, in order: `distinct` new ones at random moments, and between them random
/// ones of those that came before.
fn probes(distinct: usize, all: usize) -> Vec<Key> {
    let mut random = SmallRng::seed_from_u64(7);
    let mut keys: Vec<Key> = Vec::with_capacity(distinct);
    let mut order = Vec::with_capacity(all);
    for left in (1..=all).rev() {
        let missing = distinct - keys.len();
        if keys.is_empty() || random.random_range(0..left) < missing {
            keys.push(random.random());
            order.extend(keys.last());
        } else {
            order.push(keys[random.random_range(0..keys.len())]);
        }
    }
    order
}

/// Looks all keys up, in a set that never grows.
fn probe(order: &[Key], distinct: usize) -> Result<(usize, usize)> {
    let mut set = HashTable::with_capacity(distinct);
    for key in order {
        match set.entry(key[0], |it| it == key, |it: &Key| it[0]) {
            Entry::Occupied(_) => {}
            Entry::Vacant(vacant) => {
                vacant.insert(*key);
            }
        }
    }
    Ok((black_box(&set).len(), order.len()))
}

/// The operations of arithmetic that show what a second thread can gain.
const SPINS: usize = 400_000_000;

/// Does arithmetic without memory, split among threads.
fn spin(threads: usize) -> Result<(usize, usize)> {
    std::thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || {
                let step = |it: u64, _| black_box(it ^ it << 13).rotate_left(7);
                black_box((0..SPINS / threads).fold(thread as u64 + 1, step))
            });
        }
    });
    Ok((0, SPINS))
}

/// Measures the steps per second, the gain of a second thread, and the distance to the floor: the
/// time of a search that did nothing but look up what it finds.
fn pace(config: &Config, rounds: usize) -> Result<()> {
    headline("Pace", config);
    let (states, transitions) = by_run(config, collapse(1))?;
    let order = probes(states, transitions + 1);
    let mut all = [
        Series::new("collapse, threads: 1", || by_run(config, collapse(1))),
        Series::new("collapse, threads: 2", || by_run(config, collapse(2))),
        Series::new("probe floor, threads: 1", || probe(&order, states)),
        Series::new("spin, threads: 1", || spin(1)),
        Series::new("spin, threads: 2", || spin(2)),
    ];
    compete(rounds, &mut all)?;
    let [one, two, floor, spin_one, spin_two] = &all;
    counts(one);
    two.agrees_with(one)?;
    for series in [one, two, floor] {
        series.spread(|it| it.seconds).print(&series.name, "s");
    }
    for series in [one, two, floor] {
        let what = match series.name.as_str() {
            "probe floor, threads: 1" => "probes".to_owned(),
            name => format!("transitions, {name}"),
        };
        series
            .spread(|it| millions(it.transitions, it.seconds))
            .print(&what, "M/s");
    }
    one.over(two)
        .print("speed-up by a second thread, collapse", "x");
    spin_one
        .over(spin_two)
        .print("speed-up by a second thread, spin", "x");
    one.over(floor)
        .print("time of collapse / probe floor, threads: 1", "x");
    Ok(())
}

/// Compares the time to a verdict on the same actors, with all reductions and with none. Our search
/// is so short that it runs many times, before and after the other.
fn plain(config: &Config, max: Duration) -> Result<()> {
    headline("To the verdict, threads: 2", config);
    let mut all = [
        Series::new("collapse", || by_run(config, collapse(2))),
        Series::new("plain ActorModel, BFS", || by_actor_model(config, 2, max)),
    ];
    compete(10, &mut all[..1])?;
    compete(1, &mut all[1..])?;
    compete(10, &mut all[..1])?;
    for series in &all {
        println!("  {}:", series.name);
        counts(series);
        series.spread(|it| it.seconds).print(&series.name, "s");
    }
    let long = all[1].spread(|it| it.seconds).median;
    all[0]
        .spread(|it| long / it.seconds)
        .print("time of plain ActorModel / collapse", "x");
    Ok(())
}

/// Times two searches small enough for criterion, which compares them with its last run.
fn micro(scale: &Scale) -> Result<()> {
    let tiny = Config::from_flags("--acceptors 2 --ballots 1")?;
    let default = Config {
        ballots: scale.ballots,
        ..Config::default()
    };
    println!("\nSmall searches by criterion, threads: 1");
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(scale.micro / 4)
        .measurement_time(scale.micro);
    let mut group = criterion.benchmark_group("collapse");
    for config in [&tiny, &default] {
        let name = format!(
            "acceptors {}, ballots {}",
            config.shared.acceptors, config.ballots
        );
        group.bench_function(name, |bencher| {
            bencher.iter(|| by_run(config, collapse(1)).map_err(|it| it.to_string()));
        });
    }
    group.finish();
    Ok(())
}

fn main() -> Result<()> {
    // `cargo test --benches` does not pass `--bench`, and wants no figures.
    let given = |flag: &str| std::env::args().any(|it| it == flag);
    let is_smoke = given("--test") || given("--smoke") || !given("--bench");
    let scale = if is_smoke {
        Scale::smoke()
    } else {
        Scale::full()
    };
    let large = Config {
        proposers: scale.proposers_large,
        ballots: scale.ballots,
        ..Config::default()
    };
    memory(&large)?;
    pace(&large, scale.rounds)?;
    for postpone in ["on", "off"] {
        let ballots = scale.ballots;
        let flags = format!("--ballots {ballots} --postpone {postpone}");
        let config = Config::from_flags(&flags)?;
        engines(&config, scale.rounds)?;
    }
    plain(&Config::from_flags(scale.plain)?, scale.plain_max)?;
    micro(&scale)
}
