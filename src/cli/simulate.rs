//! `synod simulate`: a protocol on an imagined network, in many runs that are told by their seeds.

mod multi;

use super::args::{Protocol, SimulateArgs};
use super::decree::Decree;
use super::output::{Output, bad, bold, dim, good, grouped, warn};
use super::{Error, Exit};
use crate::models::mutants::Subject;
use multi::Multi;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use stateright::actor::{Actor, Id};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use synod::certify::Run;
use synod::runtime::simulator::{Chaos, ChaosSettings, Settings, Simulation};
use synod::runtime::{Counters, Faults, Runnable};
use synod::{basic, fast};

/// How often it is looked whether a run is over, in simulated time.
const SLICE: Duration = Duration::from_millis(10);

/// How long a run may take after its misfortunes have ended, in simulated time.
const CALM_MAX: Duration = Duration::from_secs(60);

pub(super) fn run(args: &SimulateArgs, output: &mut Output) -> Result<Exit, Error> {
    let nodes = args.nodes();
    match (args.protocol, args.mutant) {
        (Protocol::Basic | Protocol::Fast, _) if args.clients.is_some() => Err(Error::Other(
            "--clients is for multi: in basic and fast there are two, which disagree".to_owned(),
        )),
        (Protocol::Basic, None) => all(args, output, |_| {
            OneDecree::<basic::Process<char>, _>::new(nodes, |node| node)
        }),
        (Protocol::Basic, Some(mutant)) => all(args, output, |_| {
            OneDecree::<basic::Process<char>, _>::new(nodes, |it| Subject::new(it, mutant))
        }),
        (Protocol::Fast, None) => all(args, output, |_| {
            OneDecree::<fast::Process<char>, _>::new(nodes, |node| node)
        }),
        (Protocol::Multi, None) => all(args, output, |seed| {
            Multi::new(nodes, args.clients.unwrap_or(CLIENTS), seed, |node| node)
        }),
        (Protocol::Multi | Protocol::Fast, Some(_)) => Err(Error::Other(
            "--mutant breaks a rule of basic only".to_owned(),
        )),
    }
}

/// Clients of Multi-Paxos.
const CLIENTS: u32 = 3;

/// Something that is simulated, and how it is judged.
trait Play {
    type Actor: Runnable;

    /// What it is called.
    const NAME: &'static str;

    /// How long misfortunes last, in simulated time, and how far apart they are at most.
    const CHAOS: (Duration, Duration);

    /// How far clocks are off at most: see [`Settings::drift`].
    const DRIFT: f64 = 0.0;

    /// Everybody who takes part, those who may crash first, and their number.
    fn cast(&mut self) -> (Vec<Self::Actor>, usize);

    /// Sees a state of a process that is durable. An error says what is wrong.
    fn judge(&mut self, id: usize, state: &<Self::Actor as Actor>::State) -> Result<(), String>;

    /// Whether everybody has what they wanted.
    fn is_over(&self, simulation: &Simulation<Self::Actor>) -> bool;

    /// Looks back on the whole run, however it ended.
    fn conclude(&self) -> Result<(), String> {
        Ok(())
    }

    /// How often what happened, to be added up over all runs.
    fn notes(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }
}

/// What came of one or more runs.
#[derive(Default)]
struct Tally {
    counters: Counters,
    crashes: u64,
    partitions: u64,
    time: Duration,
    /// Stands for everything that happened.
    hash: u64,
    notes: Vec<(&'static str, u64)>,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
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

/// How a run ended.
enum End {
    Over,
    Late,
    Wrong(String),
}

fn all<P: Play>(
    args: &SimulateArgs,
    output: &mut Output,
    play: impl Fn(u64) -> Result<P, Error>,
) -> Result<Exit, Error> {
    let (first, start) = (args.seed.unwrap_or(0), Instant::now());
    let seeds = args
        .seeds
        .unwrap_or(if args.seed.is_some() { 1 } else { 100 });
    let mut sum = Tally::default();
    for count in 0..seeds {
        let seed = first.wrapping_add(count);
        let (tally, end) = one(&mut play(seed)?, seed);
        sum.add(&tally);
        let what = match end {
            End::Over => None,
            End::Late => Some((
                Exit::Bounded,
                warn("not over at the time limit").to_string(),
            )),
            End::Wrong(what) => Some((Exit::Violated, what)),
        };
        if let Some((exit, what)) = what {
            say(args, output, &sum, count + 1, start, exit)?;
            if !args.json {
                let mutant = args
                    .mutant
                    .map(|mutant| format!(" --mutant {}", mutant.name));
                output.line(format_args!(
                    "{} {what}, within {:.2} s of imagined time\nSee it again: synod simulate {} \
                     --nodes {}{}{} --seed {seed}",
                    bad(format_args!("seed {seed}:")),
                    tally.time.as_secs_f64(),
                    args.protocol.name(),
                    args.nodes(),
                    args.clients
                        .map(|it| format!(" --clients {it}"))
                        .unwrap_or_default(),
                    mutant.unwrap_or_default(),
                ))?;
            }
            return Ok(exit);
        }
        output.progress(format_args!("{} of {seeds} runs", count + 1));
    }
    say(args, output, &sum, seeds, start, Exit::Success)?;
    if !args.json {
        let agreed = good("agreed");
        output.line(format_args!("{agreed} in all {seeds} runs of {}", P::NAME))?;
    }
    Ok(Exit::Success)
}

/// Prints the sums over all runs.
fn say(
    args: &SimulateArgs,
    output: &mut Output,
    sum: &Tally,
    runs: u64,
    start: Instant,
    exit: Exit,
) -> Result<(), Error> {
    let seconds = start.elapsed().as_secs_f64();
    let (messages, virtual_s) = (sum.counters.messages_received, sum.time.as_secs_f64());
    if args.json {
        let notes = sum
            .notes
            .iter()
            .map(|(what, count)| (what.replace(' ', "_"), count));
        let verdict = match exit {
            Exit::Violated => "violated",
            Exit::Bounded => "bounded",
            Exit::Success | Exit::Failure => "holds",
        };
        let result = serde_json::json!({
            "type": "result",
            "protocol": args.protocol.name(),
            "verdict": verdict,
            "first_seed": args.seed.unwrap_or(0),
            "runs": runs,
            "messages": messages,
            "crashes": sum.crashes,
            "partitions": sum.partitions,
            "notes": notes.collect::<BTreeMap<_, _>>(),
            "virtual_s": virtual_s,
            "seconds": seconds,
            "hash": format!("{:016x}", sum.hash),
        });
        output.line(result)?;
        return Ok(());
    }
    output.line(format_args!(
        "{} {runs} runs from seed {}: {} messages, {} datagrams lost, {} crashes, {} partitions, \
         {} saves, {virtual_s:.1} s of imagined time in {seconds:.2} s",
        bold("Simulated:"),
        args.seed.unwrap_or(0),
        grouped(messages as usize),
        grouped(sum.counters.lost as usize),
        grouped(sum.crashes as usize),
        grouped(sum.partitions as usize),
        grouped(sum.counters.saves as usize),
    ))?;
    if !sum.notes.is_empty() {
        let notes = sum.notes.iter();
        let notes = notes.map(|(what, count)| format!("{} {what}", grouped(*count as usize)));
        output.line(format_args!("  {}", notes.collect::<Vec<_>>().join(", ")))?;
    }
    let hash = format_args!("all that happened, as one number: {:016x}", sum.hash).to_string();
    output.line(dim(hash))?;
    Ok(())
}

/// One run: misfortunes, and then time to come to an end.
fn one<P: Play>(play: &mut P, seed: u64) -> (Tally, End) {
    let (settings, chaos) = world::<P>(seed);
    let (actors, servers) = play.cast();
    let mut simulation = Simulation::new(actors, settings);
    let mut chaos = chaos(servers);
    let mut end = End::Late;
    let mut is_calm = false;
    while simulation.now() < P::CHAOS.0 + CALM_MAX {
        if !is_calm && simulation.now() >= P::CHAOS.0 {
            is_calm = true;
            Chaos::calm(&mut simulation);
        }
        let until = simulation.now() + SLICE;
        let mut wrong = None;
        let mut judge = |id: Id, state: &<P::Actor as Actor>::State| {
            wrong = wrong.take().or_else(|| play.judge(id.into(), state).err());
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
        if is_calm && play.is_over(&simulation) {
            end = End::Over;
            break;
        }
    }
    if !matches!(end, End::Wrong(_))
        && let Err(wrong) = play.conclude()
    {
        end = End::Wrong(wrong);
    }
    let tally = Tally {
        counters: simulation.counters(),
        crashes: chaos.crashes,
        partitions: chaos.partitions,
        time: simulation.now(),
        hash: simulation.hash(),
        notes: play.notes(),
    };
    (tally, end)
}

/// A network and misfortunes drawn by seed: some runs are nearly quiet, others hardly bearable.
fn world<P: Play>(seed: u64) -> (Settings, impl FnOnce(usize) -> Chaos) {
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
        drift: P::DRIFT,
        faults,
        latency: us(20)..us(rng.random_range(50..3000)),
        sync: us(20)..us(rng.random_range(50..2000)),
        ..Settings::default()
    };
    let pause = us(50)..P::CHAOS.1.mul_f64(rng.random_range(0.05..1.0));
    let chaos = move |servers| {
        let mut settings = ChaosSettings::new(seed, servers);
        settings.pause = pause;
        Chaos::new(settings)
    };
    (settings, chaos)
}

/// One decree: nodes that play all roles, and two clients that disagree.
struct OneDecree<P, W> {
    nodes: usize,
    cast: Vec<P>,
    wrap: W,
    /// The first decision, and whose it was.
    decided: Option<(usize, char)>,
    /// Who has decided.
    has_decided: BTreeSet<usize>,
}

/// What the clients propose: one value each.
const VALUES: [char; 2] = ['x', 'y'];

impl<P: Decree<char>, A, W: Fn(P) -> A> OneDecree<P, W> {
    fn new(nodes: u32, wrap: W) -> Result<Self, Error> {
        let (cluster, protocol) = (0, P::SPOKEN);
        let run = Run {
            cluster,
            nodes,
            protocol,
        };
        Ok(OneDecree {
            nodes: nodes as usize,
            cast: P::cast(&run, &VALUES)?,
            wrap,
            decided: None,
            has_decided: BTreeSet::new(),
        })
    }
}

impl<P, A, W> Play for OneDecree<P, W>
where
    P: Decree<char>,
    A: Runnable + Actor<State = P::State>,
    W: Fn(P) -> A,
{
    type Actor = A;

    const NAME: &'static str = P::TITLE;

    const CHAOS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_millis(10));

    fn cast(&mut self) -> (Vec<A>, usize) {
        let cast = std::mem::take(&mut self.cast).into_iter().map(&self.wrap);
        (cast.collect(), self.nodes)
    }

    fn judge(&mut self, id: usize, state: &P::State) -> Result<(), String> {
        let Some(value) = P::decided(state).copied() else {
            return match self.has_decided.contains(&id) {
                true => Err(format!("process {id} has forgotten what it had decided")),
                false => Ok(()),
            };
        };
        self.has_decided.insert(id);
        if !VALUES.contains(&value) {
            return Err(format!(
                "process {id} decided {value}, which nobody proposed"
            ));
        }
        match *self.decided.get_or_insert((id, value)) {
            (_, first) if first == value => Ok(()),
            (other, first) => Err(format!(
                "process {id} decided {value}, but process {other} had decided {first}"
            )),
        }
    }

    fn is_over(&self, simulation: &Simulation<A>) -> bool {
        let decided = |id| simulation.state(id).and_then(P::decided);
        (0..simulation.len()).all(|id| decided(id).is_some())
    }
}
