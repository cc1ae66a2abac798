//! The results: medians over rounds, and ratios within rounds.

use super::args::{BenchArgs, Conditions, System};
use super::load::Work;
use super::measure::{Estimate, Sample, Usage, histogram, median, sync_us};
use crate::console::Error;
use crate::console::output::{Output, bold, dim, grouped, many, warn};
use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::{Value, json};
use std::fmt;
use std::path::Path;

/// Something that is measured once in every round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Run {
    pub(super) system: System,
    /// The messages of clients share datagrams; with the floor, those of nodes as well.
    pub(super) packed: bool,
    pub(super) durable: bool,
    #[serde(flatten)]
    pub(super) work: Work,
}

impl Run {
    /// The name of the runs that differ only in their work.
    pub(super) fn series(&self) -> String {
        let packed = match (self.system, self.packed) {
            (System::Stateright, _) => "",
            (_, true) => ", packed",
            (_, false) => ", one per datagram",
        };
        let durable = if self.durable { ", durable" } else { "" };
        format!("{}{packed}{durable}", self.system.name())
    }

    /// The commands outstanding, or the commands per second: `64`, `200/s`.
    fn pace(&self) -> String {
        match (self.work.rate, self.work.outstanding) {
            (Some(rate), _) => format!("{rate}/s"),
            (None, outstanding) => outstanding.unwrap_or(0).to_string(),
        }
    }

    /// The same work for another system.
    fn other(&self, system: System, packed: bool) -> Run {
        Run {
            system,
            packed,
            ..*self
        }
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outstanding = self.work.rate.map_or(" outstanding", |_| "");
        let bytes = many(self.work.payload_bytes as u64, "byte");
        write!(
            f,
            "{}, {}{outstanding}, {bytes}",
            self.series(),
            self.pace()
        )
    }
}

/// The result of one measurement.
#[derive(Clone, Debug)]
pub(super) struct Round {
    round: usize,
    sample: Sample,
    latencies: Histogram<u64>,
    /// The usage of the nodes; the sample has that of the clients.
    nodes: Usage,
}

impl Round {
    pub(super) fn new(round: usize, sample: Sample, nodes: Usage) -> Self {
        Round {
            round,
            latencies: sample.histogram(),
            sample,
            nodes,
        }
    }

    fn rate(&self) -> f64 {
        self.sample.rate()
    }

    fn quantile_us(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1e3
    }

    fn per_command(&self, value: f64) -> f64 {
        value / self.latencies.len().max(1) as f64
    }

    pub(super) fn json(&self, run: &Run) -> Value {
        let mut line = json!(run);
        line["type"] = "round".into();
        line["round"] = self.round.into();
        line["commands_per_s"] = rounded(self.rate());
        for (name, quantile) in QUANTILES {
            line[name] = rounded(self.quantile_us(quantile));
        }
        line["resent"] = self.sample.resent.into();
        line
    }
}

/// The quantiles of latency in the results, by name.
const QUANTILES: [(&str, f64); 5] = [
    ("p50_us", 0.5),
    ("p90_us", 0.9),
    ("p99_us", 0.99),
    ("p99_9_us", 0.999),
    ("max_us", 1.0),
];

/// A number rounded to three digits after the point; further digits are noise.
fn rounded(value: f64) -> Value {
    json!((value * 1e3).round() / 1e3)
}

/// A run over all rounds.
pub(super) struct Summary<'a> {
    results: &'a Results,
    pub(super) run: Run,
    rounds: &'a [Round],
}

impl Summary<'_> {
    fn median(&self, of: impl Fn(&Round) -> f64) -> f64 {
        median(&mut self.rounds.iter().map(of).collect::<Vec<_>>())
    }

    /// The commands per second.
    pub(super) fn rate(&self) -> f64 {
        self.median(Round::rate)
    }

    /// The lowest and the highest rate of a round.
    pub(super) fn range(&self) -> (f64, f64) {
        let rates = self.rounds.iter().map(Round::rate);
        rates.fold((f64::MAX, 0.0), |(low, high), rate| {
            (rate.min(low), rate.max(high))
        })
    }

    /// The width of the range, relative to the median.
    fn spread(&self) -> f64 {
        let (low, high) = self.range();
        (high - low) / self.rate().max(1e-9)
    }

    pub(super) fn quantile_us(&self, quantile: f64) -> f64 {
        self.median(|round| round.quantile_us(quantile))
    }

    /// The latencies of all rounds together.
    pub(super) fn latencies(&self) -> Histogram<u64> {
        let mut all = histogram();
        for round in self.rounds {
            // This cannot fail: both histograms have the same bounds.
            let _ = all.add(&round.latencies);
        }
        all
    }

    /// The processor time of the nodes and of the clients per command.
    fn cpu_us(&self) -> [f64; 2] {
        let nodes = self.median(|it| it.per_command(it.nodes.cpu_s * 1e6));
        let clients = self.median(|it| it.per_command(it.sample.usage.cpu_s * 1e6));
        [nodes, clients]
    }

    /// The context switches of nodes and clients per command.
    fn switches(&self) -> f64 {
        self.median(|it| it.per_command(it.nodes.switches + it.sample.usage.switches))
    }

    fn resent(&self) -> u64 {
        self.rounds.iter().map(|round| round.sample.resent).sum()
    }

    /// A figure divided by that of another run in the same round.
    fn ratio(&self, other: &Run, of: impl Fn(&Round) -> f64) -> Option<Estimate> {
        let mut measured = self.results.measured.iter();
        let (_, others) = measured.find(|(run, _)| run == other)?;
        let ratios = self.rounds.iter().filter_map(|round| {
            let other = others.iter().find(|it| it.round == round.round)?;
            Some(of(round) / of(other)).filter(|ratio| ratio.is_finite())
        });
        Estimate::of(&mut ratios.collect::<Vec<f64>>())
    }

    /// The rate relative to the floor that uses datagrams alike.
    fn to_floor(&self) -> Option<Estimate> {
        let floor = self.run.other(System::Floor, self.run.packed);
        self.ratio(&floor, Round::rate)
    }

    /// The rate relative to another system with one message per datagram.
    fn to_plain(&self, system: System) -> Option<Estimate> {
        self.ratio(&self.run.other(system, false), Round::rate)
    }

    fn json(&self) -> Value {
        let mut line = json!(self.run);
        let (low, high) = self.range();
        let [nodes_cpu_us, clients_cpu_us] = self.cpu_us();
        for (name, value) in [
            ("commands_per_s", self.rate()),
            ("spread", self.spread()),
            ("nodes_cpu_us_per_command", nodes_cpu_us),
            ("clients_cpu_us_per_command", clients_cpu_us),
            ("context_switches_per_command", self.switches()),
        ] {
            line[name] = rounded(value);
        }
        line["commands_per_s_range"] = json!([rounded(low), rounded(high)]);
        for (name, quantile) in QUANTILES {
            line[name] = rounded(self.quantile_us(quantile));
        }
        let plain_floor = self.run.other(System::Floor, false);
        let p50_to_plain_floor = self.ratio(&plain_floor, |round| round.quantile_us(0.5));
        for (name, ratio) in [
            ("ratio_to_floor", self.to_floor()),
            ("ratio_to_plain_floor", self.to_plain(System::Floor)),
            ("p50_ratio_to_plain_floor", p50_to_plain_floor),
            ("ratio_to_stateright", self.to_plain(System::Stateright)),
        ] {
            line[name] = ratio.map_or(Value::Null, |it| rounded(it.median));
            if let Some(Estimate { low, high, .. }) = ratio {
                line[format!("{name}_range")] = json!([rounded(low), rounded(high)]);
            }
        }
        line["resent"] = self.resent().into();
        line
    }
}

/// A column of the tables: its heading, its width on a terminal, and its cells. The page alone has
/// those of no width.
pub(super) type Column = (&'static str, usize, fn(&Summary<'_>) -> String);

/// The columns of the tables.
pub(super) const COLUMNS: [Column; 15] = [
    ("outstanding", 13, |it| it.run.pace()),
    ("bytes", 7, |it| it.run.work.payload_bytes.to_string()),
    ("commands/s", 13, |it| whole(it.rate())),
    ("spread", 8, |it| format!("{:.0}%", 100.0 * it.spread())),
    ("×floor", 14, |it| {
        known(it.to_floor(), |it| it.to_string())
    }),
    ("×plain", 8, |it| known(it.to_plain(System::Floor), times)),
    ("×spawn", 8, |it| {
        known(it.to_plain(System::Stateright), times)
    }),
    ("p50 µs", 11, |it| tenths(it.quantile_us(0.5))),
    ("p90 µs", 0, |it| tenths(it.quantile_us(0.9))),
    ("p99 µs", 11, |it| tenths(it.quantile_us(0.99))),
    ("p99.9 µs", 11, |it| tenths(it.quantile_us(0.999))),
    ("max µs", 0, |it| tenths(it.quantile_us(1.0))),
    ("CPU µs", 8, |it| tenths(it.cpu_us().iter().sum())),
    ("switches", 10, |it| format!("{:.2}", it.switches())),
    ("resent", 8, |it| grouped(it.resent() as usize)),
];

fn whole(value: f64) -> String {
    grouped(value.round() as usize)
}

fn tenths(value: f64) -> String {
    format!("{value:.1}")
}

fn times(ratio: Estimate) -> String {
    format!("{:.2}", ratio.median)
}

fn known(ratio: Option<Estimate>, shown: impl Fn(Estimate) -> String) -> String {
    ratio.map_or("–".to_owned(), shown)
}

/// The cells of a line on a terminal.
fn row(cell: impl Fn(&Column) -> String) -> String {
    let columns = COLUMNS.iter().filter(|(_, width, _)| *width > 0);
    columns
        .map(|column| format!("{:>1$}", cell(column), column.1))
        .collect()
}

/// A leader that was killed.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Failover {
    /// The time of the kill, from the beginning of the timeline.
    pub(super) killed_ms: f64,
    /// The longest time for which no command was answered.
    pub(super) longest_gap_ms: f64,
    /// The commands answered in each 10 ms.
    pub(super) timeline: Vec<u32>,
}

/// The throughput that is left while an outsider floods the nodes with forged datagrams.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Flooded {
    /// The commands outstanding, each in a datagram of its own.
    pub(super) outstanding: usize,
    /// The rate of the flood; datagrams that do not fit into a socket's buffer are lost.
    pub(super) datagrams_per_s: f64,
    pub(super) commands_per_s: f64,
    /// The rate of commands relative to that without a flood.
    pub(super) ratio: Estimate,
}

impl fmt::Display for Flooded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Flooded with {} forged datagrams per second: {} commands per second ({} outstanding), \
             {} times the rate without a flood",
            whole(self.datagrams_per_s),
            whole(self.commands_per_s),
            self.outstanding,
            self.ratio,
        )
    }
}

/// The machine, and the conditions of the measurements.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Machine {
    processor: String,
    processors: usize,
    /// The only processor in use, if it is only one.
    processor_used: Option<usize>,
    kernel: String,
    pub(super) version: &'static str,
    date_unix_s: u64,
    /// The time to make 4 KiB durable where durable nodes save, if there are any.
    pub(super) fdatasync_us: Option<f64>,
    #[serde(flatten)]
    pub(super) conditions: Conditions,
}

impl Machine {
    pub(super) fn inspect(args: &BenchArgs, directory: &Path) -> Result<Self, Error> {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let info = read("/proc/cpuinfo");
        let model = info.lines().find(|line| line.starts_with("model name"));
        let model = model.and_then(|line| line.split_once(": "));
        let is_durable = args.durable().contains(&true);
        let fdatasync_us = is_durable.then(|| sync_us(directory)).transpose();
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
        Ok(Machine {
            processor: model.map_or("unknown processor", |it| it.1).to_owned(),
            processors: std::thread::available_parallelism().map_or(1, Into::into),
            processor_used: args.processor(),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            version: env!("CARGO_PKG_VERSION"),
            date_unix_s: since.map_or(0, |since| since.as_secs()),
            fdatasync_us: fdatasync_us
                .map_err(|error| Error::path("write to", directory, error))?,
            conditions: args.conditions.clone(),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let conditions = &self.conditions;
        write!(
            f,
            "{} ({}) on {}{} × {}, Linux {}, datagrams up to {} bytes",
            many(conditions.nodes as u64, "node"),
            format!("{:?}", conditions.placement).to_lowercase(),
            self.processor_used.map_or("", |_| "one of "),
            self.processors,
            self.processor,
            self.kernel,
            conditions.datagram_max
        )?;
        match self.fdatasync_us {
            Some(us) => write!(f, ", fdatasync {us:.0} µs"),
            None => Ok(()),
        }
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
            measured: plan.iter().map(|run| (*run, Vec::new())).collect(),
            failovers: Vec::new(),
            flooded: None,
            seconds: 0.0,
        }
    }

    /// Adds a round of the run at an index of the plan.
    pub(super) fn add(&mut self, at: usize, round: Round) {
        self.measured[at].1.push(round);
    }

    /// The summaries of all runs.
    pub(super) fn summaries(&self) -> Vec<Summary<'_>> {
        let summaries = self.measured.iter().map(|(run, rounds)| Summary {
            results: self,
            run: *run,
            rounds,
        });
        summaries.collect()
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
        let mut series = String::new();
        for it in &summaries {
            if series != it.run.series() {
                series = it.run.series();
                output.line(format_args!("\n{}", bold(&series)))?;
                output.line(dim(row(|(heading, ..)| (*heading).to_owned())))?;
            }
            output.line(row(|(_, _, cell)| cell(it)))?;
        }
        if !self.failovers.is_empty() {
            let gaps = self.failovers.iter();
            let gaps = gaps.map(|it| format!("{:.0} ms", it.longest_gap_ms));
            output.line(format_args!(
                "\nA leader was killed under load: no command was answered for {}.",
                gaps.collect::<Vec<_>>().join(", ")
            ))?;
        }
        if let Some(it) = &self.flooded {
            output.line(format_args!("\n{it}."))?;
        }
        let resent: u64 = summaries.iter().map(Summary::resent).sum();
        output.line(format_args!(
            "\nMedians of {} in {:.0} s; {} sent again. ×floor: the rate relative to raw sockets \
             that use datagrams alike, in the same round, with 95% bounds. ×plain: relative to raw \
             sockets with one message per datagram. ×spawn: relative to stateright's runtime.",
            many(self.machine.conditions.rounds as u64, "round"),
            self.seconds,
            many(resent, "command"),
        ))?;
        if let Some(noise) = self.noise() {
            output.line(format_args!("{} {noise}", warn("noisy:")))?;
        }
        Ok(())
    }

    /// A warning about the ratios to the floor that another benchmark may not reproduce.
    pub(super) fn noise(&self) -> Option<String> {
        let summaries = self.summaries();
        let ratios = summaries.iter().filter(|it| it.run.system != System::Floor);
        let ratios = ratios.filter_map(|it| Some((it.to_floor()?.uncertainty(), &it.run)));
        let ratios: Vec<(f64, &Run)> = ratios.collect();
        let noisy = ratios.iter().filter(|it| it.0 > NOISY);
        let (uncertainty, run) = noisy.clone().max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some(format!(
            "uncertain by more than {:.0}%: {} of {} to the floor, most of all that of {run} \
             (±{:.0}%). This machine, or its disk, was busy with something else; more --rounds \
             help.",
            100.0 * NOISY,
            noisy.count(),
            many(ratios.len() as u64, "ratio"),
            100.0 * uncertainty,
        ))
    }
}

/// The uncertainty above which a ratio is called noisy.
const NOISY: f64 = 0.1;
