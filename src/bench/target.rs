//! The clusters that are measured.

use super::args::{BenchArgs, Placement, System};
use super::load::Work;
use super::measure::{Estimate, Sample, Usage, median};
use super::process::{Process, Request, Role, Setting};
use super::summary::{Failover, Flooded, Run};
use crate::console::Error;
use crate::console::output::Output;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

/// The commands outstanding while the leader is killed.
const FAILOVER_OUTSTANDING: usize = 16;

/// The commands outstanding while the nodes are flooded.
const FLOODED_OUTSTANDING: usize = 64;

/// The number of times that a peer may fail: `spawn` of stateright 0.31 panics if a timer is due in
/// the very nanosecond in which it looks.
const PEER_FAILURES_MAX: u32 = 10;

/// Nodes are idle if they use at most a tenth of a processor for this long.
const SETTLED_FOR: Duration = Duration::from_millis(10);

/// The time after which nodes that are not idle are left alone.
const SETTLES_WITHIN: Duration = Duration::from_secs(2);

/// The targets that are up, each of which idles while another is measured.
pub(super) struct Targets<'a> {
    args: &'a BenchArgs,
    directory: &'a Path,
    /// The targets by system, use of datagrams, and durability.
    up: BTreeMap<(System, bool, bool), Target>,
    failures: u32,
}

impl<'a> Targets<'a> {
    pub(super) fn new(args: &'a BenchArgs, directory: &'a Path) -> Self {
        Targets {
            args,
            directory,
            up: BTreeMap::new(),
            failures: 0,
        }
    }

    /// Measures a run, and the usage of the nodes meanwhile. A peer that fails is started again.
    pub(super) fn measure(
        &mut self,
        run: &Run,
        output: &mut Output,
    ) -> Result<(Sample, Usage), Error> {
        loop {
            match self.try_to_measure(run) {
                Err(error)
                    if run.system == System::Stateright && self.failures < PEER_FAILURES_MAX =>
                {
                    self.failures += 1;
                    output.note(&format_args!("{run}: {error}; started again"));
                    self.up.retain(|key, _| key.0 != System::Stateright);
                }
                result => return result,
            }
        }
    }

    fn try_to_measure(&mut self, run: &Run) -> Result<(Sample, Usage), Error> {
        // Only nodes of the floor depend on whether messages are packed.
        let packs = run.packed && run.system == System::Floor;
        let target = match self.up.entry((run.system, packs, run.durable)) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let new = || {
                    let mut builder = tempfile::Builder::new();
                    let builder = builder.prefix(run.system.name());
                    builder.tempdir_in(self.directory).map_err(Error::failed)
                };
                let directory = run.durable.then(new).transpose()?.map(|it| it.keep());
                entry.insert(Target::start(self.args, run.system, packs, directory)?)
            }
        };
        target.measure(run, self.args)
    }
}

/// A cluster of one system, with its nodes if they are ours.
struct Target {
    setting: Setting,
    nodes: Vec<Process>,
    addresses: Vec<SocketAddr>,
}

impl Target {
    fn start(
        args: &BenchArgs,
        system: System,
        packs: bool,
        directory: Option<PathBuf>,
    ) -> Result<Self, Error> {
        let mut target = Target {
            setting: Setting {
                system,
                packs,
                cluster: rand::random(),
                conditions: args.conditions.clone(),
                processor: args.processor(),
                directory,
                file: args.config.clone(),
            },
            nodes: Vec::new(),
            addresses: Vec::new(),
        };
        if args.config.is_some() {
            return Ok(target);
        }
        let nodes = args.conditions.nodes;
        let in_each = match args.conditions.placement {
            Placement::Processes => 1,
            Placement::Threads | Placement::Together => nodes,
        };
        for first in (0..nodes).step_by(in_each) {
            let role = Role::Nodes(first..first + in_each);
            let process = Process::start(&target.setting, &role)?;
            target.addresses.extend(&process.addresses);
            target.nodes.push(process);
        }
        let begin = target.begin();
        let mut nodes = target.nodes.iter_mut();
        nodes.try_for_each(|node| node.ask(&begin))?;
        Ok(target)
    }

    fn begin(&self) -> Request {
        Request::Begin(self.addresses.clone())
    }

    /// Starts clients, and waits until they are at work.
    fn clients(&self, packed: bool, count: usize, work: Work) -> Result<Process, Error> {
        let role = Role::Clients {
            packed,
            count,
            work,
        };
        let mut clients = Process::start(&self.setting, &role)?;
        clients.ask::<()>(&self.begin())?;
        Ok(clients)
    }

    /// Measures a run, and the usage of the nodes meanwhile.
    fn measure(&mut self, run: &Run, args: &BenchArgs) -> Result<(Sample, Usage), Error> {
        let conditions = &args.conditions;
        let mut clients = self.clients(run.packed, conditions.clients, run.work)?;
        thread::sleep(Duration::from_secs_f64(conditions.warmup_s));
        self.mark()?;
        clients.send(&Request::Mark)?;
        thread::sleep(Duration::from_secs_f64(conditions.duration_s));
        let (sample, _) = sample(&mut clients)?;
        let used = self.used()?;
        drop(clients);
        self.settle()?;
        Ok((sample, used))
    }

    fn mark(&mut self) -> Result<(), Error> {
        let mut nodes = self.nodes.iter_mut();
        nodes.try_for_each(|node| node.send(&Request::Mark))
    }

    /// The usage of the nodes since the mark.
    fn used(&mut self) -> Result<Usage, Error> {
        let mut used = Usage::default();
        for node in &mut self.nodes {
            used = used.plus(node.ask(&Request::Report)?);
        }
        Ok(used)
    }

    /// Waits until the nodes have done what their clients left behind, which would disturb the next
    /// measurement; but not forever.
    fn settle(&mut self) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < SETTLES_WITHIN {
            self.mark()?;
            thread::sleep(SETTLED_FOR);
            if self.used()?.cpu_s < SETTLED_FOR.as_secs_f64() / 10.0 {
                break;
            }
        }
        Ok(())
    }
}

/// The sample of clients, and the index of the leader.
fn sample(clients: &mut Process) -> Result<(Sample, Option<usize>), Error> {
    clients.ask(&Request::Report)
}

/// Measures how long clients wait for the next leader after this one is killed.
pub(super) fn kill_a_leader(args: &BenchArgs, directory: &Path) -> Result<Failover, Error> {
    let directory = tempfile::tempdir_in(directory).map_err(Error::failed)?;
    let is_durable = args.durable().contains(&true);
    let durable = is_durable.then(|| directory.path().to_owned());
    let mut target = Target::start(args, System::Synod, false, durable)?;
    let work = Work::writes(FAILOVER_OUTSTANDING, args.payload_bytes[0]);
    let mut clients = target.clients(true, 1, work)?;
    thread::sleep(Duration::from_millis(500));
    let (_, leader) = sample(&mut clients)?;
    let leader = leader.filter(|leader| *leader < target.nodes.len());
    let leader = leader.ok_or_else(|| Error::Failed("there is no leader".to_owned()))?;
    clients.send(&Request::Mark)?;
    let start = Instant::now();
    thread::sleep(Duration::from_millis(500));
    drop(target.nodes.remove(leader));
    let killed_ms = start.elapsed().as_secs_f64() * 1e3;
    thread::sleep(Duration::from_millis(1_000));
    let (sample, _) = sample(&mut clients)?;
    Ok(Failover {
        killed_ms,
        longest_gap_ms: sample.longest_gap_ms,
        timeline: sample.timeline,
    })
}

/// Measures the throughput with and without a flood, alternating.
pub(super) fn flood(args: &BenchArgs) -> Result<Option<Flooded>, Error> {
    let run = Run {
        system: System::Synod,
        packed: false,
        durable: false,
        work: Work::writes(FLOODED_OUTSTANDING, args.payload_bytes[0]),
    };
    let mut target = Target::start(args, run.system, run.packed, None)?;
    let (mut rates, mut ratios, mut floods) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.conditions.rounds {
        let (quiet, _) = target.measure(&run, args)?;
        // The flood takes any processor.
        let setting = Setting {
            processor: None,
            ..target.setting.clone()
        };
        let mut flood = Process::start(&setting, &Role::Flood)?;
        flood.ask::<()>(&target.begin())?;
        flood.send(&Request::Mark)?;
        let start = Instant::now();
        let (flooded, _) = target.measure(&run, args)?;
        let sent: u64 = flood.ask(&Request::Report)?;
        floods.push(sent as f64 / start.elapsed().as_secs_f64());
        drop(flood);
        target.settle()?;
        rates.push(flooded.rate());
        ratios.push(flooded.rate() / quiet.rate());
    }
    Ok(Estimate::of(&mut ratios).map(|ratio| Flooded {
        outstanding: FLOODED_OUTSTANDING,
        datagrams_per_s: median(&mut floods),
        commands_per_s: median(&mut rates),
        ratio,
    }))
}
