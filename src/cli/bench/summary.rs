//! What was measured, made into figures: medians over rounds, and ratios within rounds.

use super::super::Error;
use super::super::args::BenchArgs;
use super::super::output::{Output, bold, dim, grouped};
use super::load::Work;
use super::measure::{Estimate, Sample, Usage, histogram, median, sync_us};
use super::place::System;
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

/// Something that is measured, once in every round.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Run {
    pub(super) system: System,
    /// Whether messages share datagrams: those of clients, and with the floor all.
    pub(super) packed: bool,
    pub(super) durable: bool,
    pub(super) work: Work,
}

impl Run {
    /// What has the same colour in every picture.
    pub(super) fn series(&self) -> String {
        let packed = match (self.system, self.packed) {
            (System::Stateright, _) => "",
            (_, true) => ", packed",
            (_, false) => ", one per datagram",
        };
        let durable = if self.durable { ", durable" } else { "" };
        format!("{}{packed}{durable}", self.system.name())
    }

    /// The floor of it: the same work, and datagrams used alike.
    fn floor(&self, packed: bool) -> Run {
        Run {
            system: System::Floor,
            packed,
            durable: self.durable,
            work: self.work,
        }
    }

    fn json(&self) -> Value {
        let Work {
            outstanding,
            rate,
            payload,
            reads,
            how,
        } = self.work;
        json!({
            "system": self.system,
            "packed": self.packed,
            "durable": self.durable,
            "outstanding": rate.is_none().then_some(outstanding),
            "rate": rate,
            "payload_bytes": payload,
            "reads_percent": reads,
            "read": how.filter(|_| reads > 0),
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, ", self.series())?;
        match self.work.rate {
            Some(rate) => write!(f, "{rate} per second")?,
            None => write!(f, "{} under way", self.work.outstanding)?,
        }
        write!(f, ", {} bytes", self.work.payload)
    }
}

/// What one measurement gave.
#[derive(Clone, Debug)]
pub(super) struct Round {
    round: usize,
    commands_per_s: f64,
    latencies: Histogram<u64>,
    resent: u64,
    /// Per command: of the nodes, and of the clients.
    nodes: Usage,
    clients: Usage,
}

impl Round {
    pub(super) fn of(round: usize, sample: &Sample, nodes: Usage) -> Self {
        let latencies = sample.histogram();
        let commands = latencies.len() as f64;
        let per_command = |usage: Usage| Usage {
            cpu_s: usage.cpu_s / commands.max(1.0),
            switches: usage.switches / commands.max(1.0),
        };
        Round {
            round,
            commands_per_s: commands / sample.seconds.max(1e-9),
            latencies,
            resent: sample.resent,
            nodes: per_command(nodes),
            clients: per_command(sample.usage),
        }
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    pub(super) fn json(&self, run: &Run) -> Value {
        let mut line = run.json();
        line["type"] = "round".into();
        line["round"] = self.round.into();
        line["commands_per_s"] = rounded(self.commands_per_s);
        for (name, quantile) in QUANTILES {
            line[name] = rounded(self.quantile_us(quantile));
        }
        line["resent"] = self.resent.into();
        line
    }
}

/// The quantiles that are reported, by their names.
const QUANTILES: [(&str, f64); 5] = [
    ("p50_us", 0.5),
    ("p90_us", 0.9),
    ("p99_us", 0.99),
    ("p99_9_us", 0.999),
    ("max_us", 1.0),
];

/// To three digits after the point: more is noise.
fn rounded(value: f64) -> Value {
    json!((value * 1e3).round() / 1e3)
}

/// Something that was measured, over all rounds.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) run: Run,
    pub(super) commands_per_s: f64,
    /// The lowest and the highest of any round.
    pub(super) range: (f64, f64),
    /// How far these are apart, as a part of the median.
    pub(super) spread: f64,
    /// In the order of [`QUANTILES`].
    pub(super) quantiles_us: [f64; 5],
    /// Rates as multiples of the floor that uses datagrams alike, and of the plain one; and median
    /// latencies, as multiples of the plain floor's.
    pub(super) ratio_to_floor: Option<Estimate>,
    ratio_to_plain_floor: Option<Estimate>,
    p50_ratio_to_plain_floor: Option<Estimate>,
    /// Rates as multiples of those of `spawn`, as durable.
    ratio_to_stateright: Option<Estimate>,
    nodes: Usage,
    clients: Usage,
    resent: u64,
    /// Of all rounds together.
    pub(super) latencies: Histogram<u64>,
}

impl Summary {
    fn json(&self) -> Value {
        let mut line = self.run.json();
        line["commands_per_s"] = rounded(self.commands_per_s);
        line["commands_per_s_range"] = json!([rounded(self.range.0), rounded(self.range.1)]);
        line["spread"] = rounded(self.spread);
        for ((name, _), value) in QUANTILES.iter().zip(self.quantiles_us) {
            line[*name] = rounded(value);
        }
        for (name, ratio) in [
            ("ratio_to_floor", self.ratio_to_floor),
            ("ratio_to_plain_floor", self.ratio_to_plain_floor),
            ("p50_ratio_to_plain_floor", self.p50_ratio_to_plain_floor),
            ("ratio_to_stateright", self.ratio_to_stateright),
        ] {
            line[name] = ratio.map_or(Value::Null, |it| rounded(it.median));
            if let Some(Estimate { low, high, .. }) = ratio {
                line[format!("{name}_range")] = json!([rounded(low), rounded(high)]);
            }
        }
        line["nodes_cpu_us_per_command"] = rounded(self.nodes.cpu_s * 1e6);
        line["clients_cpu_us_per_command"] = rounded(self.clients.cpu_s * 1e6);
        let switches = self.nodes.switches + self.clients.switches;
        line["context_switches_per_command"] = rounded(switches);
        line["resent"] = self.resent.into();
        line
    }
}

/// What happened when a leader was killed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failover {
    /// When, from the beginning of the timeline.
    pub(super) killed_ms: f64,
    /// How long no command was answered.
    pub(super) longest_gap_ms: f64,
    /// Commands answered in each 10 ms.
    pub(super) timeline: Vec<u32>,
}

/// What is left of the throughput while a stranger floods the nodes with forged datagrams.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Flooded {
    /// How many commands were under way, each in a datagram of its own.
    pub(super) outstanding: usize,
    /// How many the stranger sent; what does not fit into a socket's buffer is lost.
    pub(super) datagrams_per_s: f64,
    pub(super) commands_per_s: f64,
    /// That rate, as a multiple of the rate without a flood.
    pub(super) ratio: Estimate,
}

/// Where and how it was measured.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    pub(super) processor: String,
    pub(super) processors: usize,
    /// The only one that anything runs on, if it is only one.
    pub(super) processor_used: Option<usize>,
    pub(super) kernel: String,
    pub(super) version: &'static str,
    pub(super) date_unix_s: u64,
    pub(super) nodes: usize,
    pub(super) clients: usize,
    pub(super) placement: String,
    pub(super) datagram_max: usize,
    pub(super) spin_us: u64,
    pub(super) authenticated: bool,
    pub(super) faults: String,
    pub(super) duration_s: f64,
    pub(super) warmup_s: f64,
    pub(super) rounds: usize,
    /// What it takes to make 4 KiB durable where durable nodes save; none if no node is.
    pub(super) fdatasync_us: Option<f64>,
}

impl Machine {
    pub(super) fn look(args: &BenchArgs, directory: &Path) -> Result<Self, Error> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let model = info.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": "));
        let durable = args.durable().contains(&true);
        let fdatasync_us = durable.then(|| sync_us(directory)).transpose();
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
        Ok(Machine {
            processor: model.map_or("unknown processor", |it| it.1).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            processor_used: args.processor(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            date_unix_s: since.map_or(0, |since| since.as_secs()),
            nodes: args.nodes,
            clients: args.clients,
            placement: format!("{:?}", args.placement).to_lowercase(),
            datagram_max: args.datagram_max,
            spin_us: args.spin_us,
            authenticated: args.is_authenticated(),
            faults: args.faults.to_string(),
            duration_s: args.duration_s,
            warmup_s: args.warmup_s,
            rounds: args.rounds,
            fdatasync_us: fdatasync_us.map_err(|error| {
                let directory = directory.display();
                Error::Other(format!("cannot write to {directory}: {error}"))
            })?,
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine {
            processor,
            processors,
            processor_used,
            kernel,
            nodes,
            placement,
            datagram_max,
            ..
        } = self;
        let one_of = processor_used.map_or("", |_| "one of ");
        write!(
            f,
            "{nodes} nodes ({placement}) on {one_of}{processors} × {processor}, Linux {kernel}, \
             datagrams up to {datagram_max} bytes"
        )?;
        match self.fdatasync_us {
            Some(us) => write!(f, ", fdatasync {us:.0} µs"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Flooded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Flooded with {} forged datagrams per second: {} commands per second ({} under way), \
             {:.2} times what they are without (±{:.0}%)",
            grouped(self.datagrams_per_s.round() as usize),
            grouped(self.commands_per_s.round() as usize),
            self.outstanding,
            self.ratio.median,
            100.0 * self.ratio.uncertainty(),
        )
    }
}

/// All that was measured.
pub(super) struct Results {
    pub(super) machine: Machine,
    measured: Vec<(Run, Vec<Round>)>,
    pub(super) failovers: Vec<Failover>,
    pub(super) flooded: Option<Flooded>,
    pub(super) seconds: f64,
}

impl Results {
    pub(super) fn new(machine: Machine, plan: &[Run]) -> Self {
        Results {
            machine,
            measured: plan.iter().map(|run| (run.clone(), Vec::new())).collect(),
            failovers: Vec::new(),
            flooded: None,
            seconds: 0.0,
        }
    }

    pub(super) fn add(&mut self, at: usize, round: Round) {
        self.measured[at].1.push(round);
    }

    /// What is `of` a run divided by what is of another in the same round.
    fn ratio(&self, rounds: &[Round], other: &Run, of: impl Fn(&Round) -> f64) -> Option<Estimate> {
        let (_, others) = self.measured.iter().find(|(run, _)| run == other)?;
        let ratios = rounds.iter().filter_map(|round| {
            let other = others.iter().find(|it| it.round == round.round)?;
            Some(of(round) / of(other)).filter(|ratio| ratio.is_finite())
        });
        Estimate::of(&mut ratios.collect::<Vec<f64>>())
    }

    fn summary(&self, run: &Run, rounds: &[Round]) -> Summary {
        let middle =
            |of: &dyn Fn(&Round) -> f64| median(&mut rounds.iter().map(of).collect::<Vec<_>>());
        let rate = |round: &Round| round.commands_per_s;
        let commands_per_s = middle(&rate);
        let rates = rounds.iter().map(rate);
        let range = (
            rates.clone().fold(f64::MAX, f64::min),
            rates.fold(0.0, f64::max),
        );
        let mut latencies = histogram();
        for round in rounds {
            // Both have the same bounds.
            let _ = latencies.add(&round.latencies);
        }
        let usage = |of: &dyn Fn(&Round) -> Usage| Usage {
            cpu_s: middle(&|round| of(round).cpu_s),
            switches: middle(&|round| of(round).switches),
        };
        let stateright = Run {
            system: System::Stateright,
            packed: false,
            ..run.clone()
        };
        let p50 = |round: &Round| round.quantile_us(0.5);
        Summary {
            run: run.clone(),
            commands_per_s,
            range,
            spread: (range.1 - range.0) / commands_per_s.max(1e-9),
            quantiles_us: QUANTILES.map(|(_, at)| middle(&|round| round.quantile_us(at))),
            ratio_to_floor: self.ratio(rounds, &run.floor(run.packed), rate),
            ratio_to_plain_floor: self.ratio(rounds, &run.floor(false), rate),
            p50_ratio_to_plain_floor: self.ratio(rounds, &run.floor(false), p50),
            ratio_to_stateright: self.ratio(rounds, &stateright, rate),
            nodes: usage(&|round| round.nodes),
            clients: usage(&|round| round.clients),
            resent: rounds.iter().map(|round| round.resent).sum(),
            latencies,
        }
    }

    pub(super) fn summaries(&self) -> Vec<Summary> {
        let measured = self
            .measured
            .iter()
            .filter(|(_, rounds)| !rounds.is_empty());
        measured
            .map(|(run, rounds)| self.summary(run, rounds))
            .collect()
    }

    pub(super) fn print_json(&self, output: &mut Output) -> Result<(), Error> {
        let runs: Vec<Value> = self.summaries().iter().map(Summary::json).collect();
        output.line(json!({
            "type": "result",
            "runs": runs,
            "failovers": self.failovers,
            "flooded": self.flooded,
            "machine": self.machine,
            "seconds": rounded(self.seconds),
        }))?;
        Ok(())
    }

    pub(super) fn print_table(&self, output: &mut Output) -> Result<(), Error> {
        let summaries = self.summaries();
        let mut series = None;
        for it in &summaries {
            if series.as_ref() != Some(&it.run.series()) {
                series = Some(it.run.series());
                output.line(format_args!("\n{}", bold(it.run.series())))?;
                output.line(dim(format_args!("{HEAD}")))?;
            }
            output.line(Row(it))?;
        }
        if !self.failovers.is_empty() {
            let gaps = self
                .failovers
                .iter()
                .map(|it| format!("{:.0} ms", it.longest_gap_ms));
            let gaps: Vec<String> = gaps.collect();
            output.line(format_args!(
                "\nA leader killed under load: no command was answered for {}",
                gaps.join(", ")
            ))?;
        }
        if let Some(it) = &self.flooded {
            output.line(format_args!("\n{it}"))?;
        }
        let resent: u64 = summaries.iter().map(|it| it.resent).sum();
        output.line(format_args!(
            "\nMedians of {} rounds in {:.0} s; {} commands were sent again. ×floor: rate, as a \
             multiple of raw sockets that use datagrams alike, in the same round, and within \
             which bounds (95%). ×plain: of raw sockets with one message per datagram.",
            self.machine.rounds,
            self.seconds,
            grouped(resent as usize)
        ))?;
        super::noise(self).map_or(Ok(()), |noise| output.line(noise))?;
        Ok(())
    }
}

const HEAD: &str = "  under way  bytes   commands/s   spread  ×floor        ×plain  ×spawn     \
                    p50 µs     p99 µs   p99.9 µs  CPU µs  switches  again";

/// A line of the table.
struct Row<'a>(&'a Summary);

impl fmt::Display for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = self.0;
        let ratio = |ratio: Option<Estimate>| match ratio {
            Some(ratio) => format!("{:.2}", ratio.median),
            None => "–".to_owned(),
        };
        let uncertainty = |it: Estimate| format!("±{:.0}%", 100.0 * it.uncertainty());
        let uncertainty = it.ratio_to_floor.map_or_else(String::new, uncertainty);
        let under_way = match it.run.work.rate {
            Some(rate) => format!("{rate}/s"),
            None => it.run.work.outstanding.to_string(),
        };
        let [p50, _, p99, p99_9, _] = it.quantiles_us;
        write!(
            f,
            "{under_way:>11}{:>7}{:>13}{:>8.0}%{:>8} {uncertainty:<6}{:>7}{:>8}{p50:>11.1}\
             {p99:>11.1}{p99_9:>11.1}{:>8.1}{:>10.2}{:>7}",
            it.run.work.payload,
            grouped(it.commands_per_s.round() as usize),
            100.0 * it.spread,
            ratio(it.ratio_to_floor),
            ratio(it.ratio_to_plain_floor),
            ratio(it.ratio_to_stateright),
            (it.nodes.cpu_s + it.clients.cpu_s) * 1e6,
            it.nodes.switches + it.clients.switches,
            grouped(it.resent as usize),
        )
    }
}
