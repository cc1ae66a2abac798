//! `synod bench`: what a commit costs, and how far that is from what the machine allows.

mod chart;
mod flood;
mod floor;
mod load;
mod measure;
mod place;
mod report;
mod spawned;
mod summary;

use super::args::{BenchArgs, Placement};
use super::config::ClusterFile;
use super::output::{Output, bold, dim, warn};
use super::{Error, Exit};
use load::Work;
use measure::{Estimate, Sample, Usage, median};
use place::{Part, Process, Said, Setting, Told};
use rand::Rng;
use rand::seq::SliceRandom;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};
use summary::{Failover, Flooded, Machine, Results, Round, Run};

pub(super) use measure::last_processor;
pub(super) use place::{System, play};

/// How many commands are under way while the leader is killed.
const FAILOVER_OUTSTANDING: usize = 16;

/// How many commands are under way where payloads are compared.
const PAYLOADS_OUTSTANDING: usize = 64;

/// More commands under way than its sockets take are lost by `spawn`, and then it is measured how
/// soon the clients send them again.
const SPAWNED_OUTSTANDING_MAX: usize = 64;

pub(super) fn run(args: &BenchArgs, output: &mut Output) -> Result<Exit, Error> {
    args.check().map_err(Error::Other)?;
    if let Some(path) = &args.config {
        // Only to say at once what is wrong with it: the clients read it.
        ClusterFile::read(path)?;
    }
    let temporary;
    let directory = match &args.dir {
        Some(directory) => {
            std::fs::create_dir_all(directory).map_err(|error| {
                Error::Other(format!("cannot create {}: {error}", directory.display()))
            })?;
            directory.as_path()
        }
        None => {
            temporary = tempfile::tempdir().map_err(Error::other)?;
            temporary.path()
        }
    };
    // Said before it is measured, not after: a file that cannot be written would cost two minutes.
    if let Some(path) = &args.report {
        std::fs::write(path, "").map_err(|error| not_written(path, &error))?;
    }
    let results = measure_all(args, directory, output)?;
    if args.json {
        results.print_json(output)?;
    } else {
        results.print_table(output)?;
    }
    if let Some(path) = &args.report {
        let page = report::page(&results);
        std::fs::write(path, page).map_err(|error| not_written(path, &error))?;
        output.note(&format_args!("the report is in {}", path.display()));
    }
    Ok(Exit::Success)
}

fn not_written(path: &Path, error: &std::io::Error) -> Error {
    let path = path.display();
    Error::Other(format!("--report: cannot write {path}: {error}"))
}

fn measure_all(args: &BenchArgs, directory: &Path, output: &mut Output) -> Result<Results, Error> {
    let plan = plan(args);
    let mut results = Results::new(Machine::look(args, directory)?, &plan);
    let start = Instant::now();
    if !args.json {
        output.line(format_args!(
            "{} {}",
            bold("Multi-Paxos over UDP:"),
            results.machine
        ))?;
        output.line(dim(format_args!(
            "{} rounds of {} measurements, {} s each after {} s to warm up",
            args.rounds,
            plan.len(),
            args.duration_s,
            args.warmup_s
        )))?;
    }
    let mut rng = rand::rng();
    let (mut done, all) = (0, plan.len() * args.rounds);
    for durable in args.durable() {
        // What is in memory is not measured while a disk is at work.
        let mut clusters = Clusters::new(args, directory);
        let rounds = 0..args.rounds;
        for (round, at) in rounds.flat_map(|round| {
            let order = order(&plan, *durable, &mut rng);
            order.into_iter().map(move |at| (round, at))
        }) {
            let left = match done {
                0 => String::new(),
                _ => {
                    let each = start.elapsed() / done as u32;
                    format!(", {} s left", (each * (all - done) as u32).as_secs() + 1)
                }
            };
            let bar = bar(done, all);
            output.progress(format_args!("{bar} {done} of {all}{left}: {}", plan[at]));
            let measured = clusters.measure(&plan[at], output)?;
            let measured = Round::of(round, &measured.0, measured.1);
            if args.json {
                output.line(measured.json(&plan[at]))?;
            }
            results.add(at, measured);
            done += 1;
        }
    }
    for _ in 0..args.failovers() {
        output.progress("killing a leader under load");
        results.failovers.push(kill_a_leader(args, directory)?);
    }
    if args.flood {
        output.progress("flooding the nodes");
        results.flooded = flood(args)?;
    }
    results.seconds = start.elapsed().as_secs_f64();
    Ok(results)
}

/// In which order those parts of a plan are measured that are durable, or that are not. Those with
/// the same work come one after the other, for ratios are taken between them, and what is measured
/// within a second has the same neighbours. Otherwise it is another order each time, so that none
/// always comes after the same other.
fn order(plan: &[Run], durable: bool, rng: &mut impl Rng) -> Vec<usize> {
    let parts = (0..plan.len()).filter(|at| plan[*at].durable == durable);
    let mut order: Vec<usize> = parts.collect();
    order.shuffle(rng);
    let first = |at: &usize| order.iter().position(|it| plan[*it].work == plan[*at].work);
    let mut grouped = order.clone();
    grouped.sort_by_key(first);
    grouped
}

/// A bar that fills as the work is done.
fn bar(done: usize, all: usize) -> String {
    let full = 20 * done / all.max(1);
    format!("[{}{}]", "#".repeat(full), " ".repeat(20 - full))
}

/// All that is measured in each round.
fn plan(args: &BenchArgs) -> Vec<Run> {
    let work = |outstanding, payload| Work {
        outstanding,
        rate: args.rate,
        payload,
        reads: args.reads,
        how: args.how(),
    };
    let mut runs = Vec::new();
    let outstanding: &[usize] = match args.rate {
        Some(_) => &[0],
        None => &args.outstanding,
    };
    for durable in args.durable().iter().copied() {
        for system in args.systems() {
            for packed in args.packed().iter().copied() {
                let is_spawned = system == System::Stateright;
                // Packing is what `spawn` does not do.
                if is_spawned && packed && args.packed().contains(&false) {
                    continue;
                }
                let packed = packed && !is_spawned;
                let payloads = args.payload_bytes.iter().skip(1);
                let payloads = payloads
                    .filter(|_| packed && !durable && args.rate.is_none())
                    .map(|payload| work(PAYLOADS_OUTSTANDING, *payload));
                let works = outstanding
                    .iter()
                    .filter(|it| !is_spawned || **it <= SPAWNED_OUTSTANDING_MAX)
                    .map(|it| work(*it, args.payload_bytes[0]));
                runs.extend(works.chain(payloads).map(|work| Run {
                    system,
                    packed,
                    durable,
                    work,
                }));
            }
        }
    }
    runs
}

/// Nodes that use a tenth of a processor for so long at most are idle.
const SETTLED_FOR: Duration = Duration::from_millis(10);

/// Nodes that are not idle by then are left alone.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// The clusters that are measured. Each stays up until the end, and idles while others work.
struct Clusters<'a> {
    args: &'a BenchArgs,
    directory: &'a Path,
    up: Vec<(System, bool, bool, Up)>,
    /// How often a peer may still fail.
    patience: u32,
}

/// How often a peer may fail until this is not measured any more: `spawn` of stateright 0.31 panics
/// if a timer is due in the very nanosecond in which it looks.
const PEER_FAILURES_MAX: u32 = 10;

impl<'a> Clusters<'a> {
    fn new(args: &'a BenchArgs, directory: &'a Path) -> Self {
        Clusters {
            args,
            directory,
            up: Vec::new(),
            patience: PEER_FAILURES_MAX,
        }
    }

    /// What clients measure, and what the nodes take for it. A peer that fails is started again.
    fn measure(&mut self, run: &Run, output: &mut Output) -> Result<(Sample, Usage), Error> {
        loop {
            match self.try_to_measure(run) {
                Err(error) if run.system == System::Stateright && self.patience > 0 => {
                    self.patience -= 1;
                    output.note(&format_args!("{run}: {error}; started again"));
                    self.up.retain(|it| it.0 != System::Stateright);
                }
                result => return result,
            }
        }
    }

    fn try_to_measure(&mut self, run: &Run) -> Result<(Sample, Usage), Error> {
        // Only of the floor do the nodes care whether messages are packed.
        let packs = run.packed && run.system == System::Floor;
        let (system, durable) = (run.system, run.durable);
        let known =
            |it: &&mut (System, bool, bool, Up)| (it.0, it.1, it.2) == (system, packs, durable);
        if self.up.iter_mut().find(known).is_none() {
            let names = (0..).map(|number| format!("{}-{number}", system.name()));
            let mut paths = names.map(|name| self.directory.join(name));
            let directory = paths.find(|path| !path.exists()).unwrap_or_default();
            let up = Up::start(self.args, system, packs, durable.then_some(directory))?;
            self.up.push((system, packs, durable, up));
        }
        match self.up.iter_mut().find(known) {
            Some((.., up)) => up.measure(run, self.args),
            None => Err(Error::Other("a cluster is gone".to_owned())),
        }
    }
}

/// A cluster that is up.
struct Up {
    setting: Setting,
    nodes: Vec<Process>,
    addresses: Vec<SocketAddr>,
}

impl Up {
    fn start(
        args: &BenchArgs,
        system: System,
        packs: bool,
        directory: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let setting = Setting {
            system,
            packs,
            cluster: rand::random(),
            authenticates: args.is_authenticated(),
            datagram_max: args.datagram_max,
            spin_us: args.spin_us,
            faults: args.faults.to_string(),
            processor: args.processor(),
            directory,
            file: args.config.clone(),
        };
        if let Some(directory) = &setting.directory {
            std::fs::create_dir_all(directory).map_err(Error::other)?;
        }
        let mut up = Up {
            setting,
            nodes: Vec::new(),
            addresses: Vec::new(),
        };
        if args.config.is_some() {
            return Ok(up);
        }
        let in_each = match args.placement {
            Placement::Processes => 1,
            Placement::Threads | Placement::Together => args.nodes,
        };
        for first in (0..args.nodes).step_by(in_each) {
            let mut process = Process::start(&Part::Nodes {
                setting: up.setting.clone(),
                hosted: first..first + in_each,
                together: args.placement == Placement::Together && system == System::Synod,
            })?;
            up.addresses.extend(process.bound()?);
            up.nodes.push(process);
        }
        let told = Told::Nodes(up.addresses.clone());
        up.nodes.iter_mut().try_for_each(|node| node.tell(&told))?;
        Ok(up)
    }

    /// Clients that are at work.
    fn clients(&self, packed: bool, clients: usize, work: Work) -> Result<Process, Error> {
        let mut process = Process::start(&Part::Clients {
            setting: self.setting.clone(),
            packed,
            clients,
            work,
        })?;
        process.bound()?;
        process.tell(&Told::Nodes(self.addresses.clone()))?;
        match process.hear()? {
            Said::Ready => Ok(process),
            other => Err(Error::Other(format!("the clients said {other:?}"))),
        }
    }

    /// What clients measure, and what the nodes take for it.
    fn measure(&mut self, run: &Run, args: &BenchArgs) -> Result<(Sample, Usage), Error> {
        let mut clients = self.clients(run.packed, args.clients, run.work)?;
        thread::sleep(Duration::from_secs_f64(args.warmup_s));
        self.nodes
            .iter_mut()
            .try_for_each(|node| node.tell(&Told::Mark))?;
        clients.tell(&Told::Mark)?;
        thread::sleep(Duration::from_secs_f64(args.duration_s));
        let (sample, _) = measured(&mut clients)?;
        let used = self.used()?;
        drop(clients);
        self.settle()?;
        Ok((sample, used))
    }

    /// What the nodes used since the mark.
    fn used(&mut self) -> Result<Usage, Error> {
        let mut used = Usage::default();
        for node in &mut self.nodes {
            node.tell(&Told::Report)?;
            match node.hear()? {
                Said::Used(usage) => used = used.plus(usage),
                other => return Err(Error::Other(format!("a node said {other:?}"))),
            }
        }
        Ok(used)
    }

    /// Waits until the nodes have done what their clients left them to do, which would disturb
    /// whatever is measured next; but not for ever.
    fn settle(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < SETTLES_WITHIN {
            self.nodes
                .iter_mut()
                .try_for_each(|node| node.tell(&Told::Mark))?;
            thread::sleep(SETTLED_FOR);
            if self.used()?.cpu_s < SETTLED_FOR.as_secs_f64() / 10.0 {
                break;
            }
        }
        Ok(())
    }
}

/// What clients have measured, and who leads.
fn measured(clients: &mut Process) -> Result<(Sample, Option<usize>), Error> {
    clients.tell(&Told::Report)?;
    match clients.hear()? {
        Said::Measured(sample, leader) => Ok((sample, leader)),
        other => Err(Error::Other(format!("the clients said {other:?}"))),
    }
}

/// How long clients wait for the next leader if this one is killed.
fn kill_a_leader(args: &BenchArgs, directory: &Path) -> Result<Failover, Error> {
    let directory = tempfile::tempdir_in(directory).map_err(Error::other)?;
    let durable = args
        .durable()
        .contains(&true)
        .then(|| directory.path().to_owned());
    let mut up = Up::start(args, System::Synod, false, durable)?;
    let work = Work {
        outstanding: FAILOVER_OUTSTANDING,
        rate: None,
        payload: args.payload_bytes[0],
        reads: 0,
        how: None,
    };
    let mut clients = up.clients(true, 1, work)?;
    thread::sleep(Duration::from_millis(500));
    let (_, leader) = measured(&mut clients)?;
    let leader = leader.filter(|leader| *leader < up.nodes.len());
    let leader = leader.ok_or_else(|| Error::Other("nobody leads".to_owned()))?;
    clients.tell(&Told::Mark)?;
    let start = Instant::now();
    thread::sleep(Duration::from_millis(500));
    drop(up.nodes.remove(leader));
    let killed_ms = start.elapsed().as_secs_f64() * 1e3;
    thread::sleep(Duration::from_millis(1_000));
    let (sample, _) = measured(&mut clients)?;
    Ok(Failover {
        killed_ms,
        longest_gap_ms: sample.longest_gap_ms,
        timeline: sample.timeline,
    })
}

/// How many commands are under way while the nodes are flooded.
const FLOODED_OUTSTANDING: usize = 64;

/// What a flood takes from those whose datagrams are genuine: in turns without and with it.
fn flood(args: &BenchArgs) -> Result<Option<Flooded>, Error> {
    let run = Run {
        system: System::Synod,
        packed: false,
        durable: false,
        work: Work {
            outstanding: FLOODED_OUTSTANDING,
            rate: None,
            payload: args.payload_bytes[0],
            reads: 0,
            how: None,
        },
    };
    let mut up = Up::start(args, run.system, run.packed, None)?;
    let (mut rates, mut ratios, mut floods) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        let rate = |sample: &Sample| sample.histogram().len() as f64 / sample.seconds.max(1e-9);
        let quiet = rate(&up.measure(&run, args)?.0);
        let mut stranger = Process::start(&Part::Flood {
            // On whatever processor has the time.
            setting: Setting {
                processor: None,
                ..up.setting.clone()
            },
        })?;
        stranger.bound()?;
        stranger.tell(&Told::Nodes(up.addresses.clone()))?;
        stranger.tell(&Told::Mark)?;
        let start = Instant::now();
        let flooded = rate(&up.measure(&run, args)?.0);
        stranger.tell(&Told::Report)?;
        match stranger.hear()? {
            Said::Sent(sent) => floods.push(sent as f64 / start.elapsed().as_secs_f64()),
            other => return Err(Error::Other(format!("the flood said {other:?}"))),
        }
        drop(stranger);
        up.settle()?;
        rates.push(flooded);
        ratios.push(flooded / quiet);
    }
    Ok(Estimate::of(&mut ratios).map(|ratio| Flooded {
        outstanding: FLOODED_OUTSTANDING,
        datagrams_per_s: median(&mut floods),
        commands_per_s: median(&mut rates),
        ratio,
    }))
}

/// Ratios that are not known any better are called noisy.
const NOISY: f64 = 0.1;

/// Says which ratios to the floor another run may not find again.
fn noise(results: &Results) -> Option<String> {
    let summaries = results.summaries();
    let ratios = summaries.iter().filter(|it| it.run.system != System::Floor);
    let ratios = ratios.filter_map(|it| Some((it.ratio_to_floor?.uncertainty(), &it.run)));
    let ratios: Vec<(f64, &Run)> = ratios.collect();
    let noisy = ratios.iter().filter(|it| it.0 > NOISY);
    let (uncertainty, run) = noisy.clone().max_by(|a, b| a.0.total_cmp(&b.0))?;
    Some(format!(
        "{} {} of {} ratios to the floor are not known to {:.0}%, least of all that of {run} \
         (±{:.0}%): this machine, or its disk, was busy with something else. More --rounds help.",
        warn("noisy:"),
        noisy.count(),
        ratios.len(),
        100.0 * NOISY,
        100.0 * uncertainty,
    ))
}
