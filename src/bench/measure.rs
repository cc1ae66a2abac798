//! Measuring: latencies of commands, usage of the machine, and statistics of both.

use hdrhistogram::Histogram;
#[cfg(target_os = "linux")]
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};
use stateright::actor::Id;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The period of one entry of a timeline.
pub(super) const BUCKET: Duration = Duration::from_millis(10);

/// The longest latency that is recorded exactly: two minutes, in nanoseconds.
const LONGEST_NS: u64 = 120_000_000_000;

/// An empty histogram of latencies in nanoseconds, to three digits.
#[expect(clippy::unreachable, reason = "the bounds are constants")]
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(LONGEST_NS, 3).unwrap_or_else(|_| unreachable!("valid bounds"))
}

/// The record that clients keep of their commands. Clones share it.
#[derive(Clone)]
pub(super) struct Recorder(Arc<Mutex<Recording>>);

struct Recording {
    since: Instant,
    latencies: Histogram<u64>,
    /// The number of commands answered in each [`BUCKET`].
    timeline: Vec<u32>,
    resent: u64,
    last: Instant,
    longest_gap: Duration,
    /// The node that answered last.
    leader: Option<usize>,
}

impl Recording {
    fn new(leader: Option<usize>) -> Self {
        let now = Instant::now();
        Recording {
            since: now,
            latencies: histogram(),
            timeline: Vec::new(),
            resent: 0,
            last: now,
            longest_gap: Duration::ZERO,
            leader,
        }
    }

    /// The longest gap, if the next answer comes now.
    fn gap(&self, now: Instant) -> Duration {
        self.longest_gap.max(now.duration_since(self.last))
    }
}

impl Recorder {
    pub(super) fn new() -> Self {
        Recorder(Arc::new(Mutex::new(Recording::new(None))))
    }

    fn open(&self) -> MutexGuard<'_, Recording> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records the answer to a command.
    pub(super) fn done(&self, now: Instant, latency: Duration, by: Id) {
        let mut it = self.open();
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        it.latencies.saturating_record(nanoseconds);
        let bucket = now.duration_since(it.since).as_nanos() / BUCKET.as_nanos();
        let bucket = usize::try_from(bucket).unwrap_or(usize::MAX).min(1 << 20);
        if it.timeline.len() <= bucket {
            it.timeline.resize(bucket + 1, 0);
        }
        it.timeline[bucket] += 1;
        it.longest_gap = it.gap(now);
        it.last = now;
        it.leader = Some(by.into());
    }

    /// Records that a number of commands were sent again.
    pub(super) fn resent(&self, count: u64) {
        self.open().resent += count;
    }

    /// The node that answered last, even before a restart.
    pub(super) fn leader(&self) -> Option<usize> {
        self.open().leader
    }

    /// Forgets everything but the leader.
    pub(super) fn restart(&self) {
        let mut it = self.open();
        *it = Recording::new(it.leader);
    }

    /// The sample since the restart, with the usage of this process.
    pub(super) fn sample(&self, usage: Usage) -> Sample {
        let now = Instant::now();
        let it = self.open();
        let latencies = it.latencies.iter_recorded();
        let latencies = latencies.map(|step| (step.value_iterated_to(), step.count_at_value()));
        Sample {
            seconds: now.duration_since(it.since).as_secs_f64(),
            latencies: latencies.collect(),
            timeline: it.timeline.clone(),
            resent: it.resent,
            longest_gap_ms: it.gap(now).as_secs_f64() * 1e3,
            usage,
        }
    }
}

/// The measurement of clients over a period.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sample {
    seconds: f64,
    /// The latencies in nanoseconds, each with its count.
    latencies: Vec<(u64, u64)>,
    /// The commands answered in each [`BUCKET`].
    pub(super) timeline: Vec<u32>,
    pub(super) resent: u64,
    pub(super) longest_gap_ms: f64,
    /// The usage of the clients' process.
    pub(super) usage: Usage,
}

impl Sample {
    pub(super) fn histogram(&self) -> Histogram<u64> {
        let mut histogram = histogram();
        for (value, count) in &self.latencies {
            histogram.saturating_record_n(*value, *count);
        }
        histogram
    }

    /// The commands answered per second.
    pub(super) fn rate(&self) -> f64 {
        let count: u64 = self.latencies.iter().map(|(_, count)| count).sum();
        count as f64 / self.seconds.max(1e-9)
    }
}

/// The usage that the operating system has counted for a process; zero where it does not count.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Usage {
    /// The processor time, in seconds.
    pub(super) cpu_s: f64,
    /// The context switches.
    pub(super) switches: f64,
}

impl Usage {
    /// The usage of this process so far.
    pub(super) fn now() -> Self {
        Usage {
            cpu_s: cpu_s().unwrap_or_default(),
            switches: switches().unwrap_or_default(),
        }
    }

    pub(super) fn since(self, before: Usage) -> Self {
        Usage {
            cpu_s: self.cpu_s - before.cpu_s,
            switches: self.switches - before.switches,
        }
    }

    pub(super) fn plus(self, other: Usage) -> Self {
        Usage {
            cpu_s: self.cpu_s + other.cpu_s,
            switches: self.switches + other.switches,
        }
    }
}

/// The sum of a figure over the threads of this process, read from a file that Linux has for each.
fn of_threads(file: &str, count: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let mut sum = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        // The thread may have ended meanwhile.
        let text = std::fs::read_to_string(task.ok()?.path().join(file));
        sum += text.map_or(Some(0.0), |text| count(&text))?;
    }
    Some(sum)
}

/// The processor time; the first number of the file is in nanoseconds.
fn cpu_s() -> Option<f64> {
    let on_cpu = |text: &str| text.split_whitespace().next()?.parse::<f64>().ok();
    of_threads("schedstat", on_cpu).map(|nanoseconds| nanoseconds / 1e9)
}

fn switches() -> Option<f64> {
    of_threads("status", |text| {
        let counts = text.lines().filter(|line| line.contains("ctxt_switches"));
        let counts = counts.filter_map(|line| line.split_whitespace().last()?.parse::<f64>().ok());
        Some(counts.sum())
    })
}

/// Runs this thread, and those that it starts, on one processor.
#[cfg(target_os = "linux")]
pub(super) fn run_on(processor: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(processor);
    Ok(sched_setaffinity(None, &set)?)
}

/// The last processor that this process may run on.
#[cfg(target_os = "linux")]
pub(super) fn last_processor() -> Option<usize> {
    let set = sched_getaffinity(None).ok()?;
    (0..CpuSet::MAX_CPU).rev().find(|it| set.is_set(*it))
}

/// Unsupported except on Linux.
#[cfg(not(target_os = "linux"))]
pub(super) fn run_on(_: usize) -> std::io::Result<()> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Unknown except on Linux.
#[cfg(not(target_os = "linux"))]
pub(super) fn last_processor() -> Option<usize> {
    None
}

/// The time to append 4 KiB durably to a file in a directory, in microseconds: the median of a
/// hundred.
pub(super) fn sync_us(directory: &std::path::Path) -> std::io::Result<f64> {
    use std::io::Write;
    let mut file = tempfile::tempfile_in(directory)?;
    let mut times = Vec::new();
    for _ in 0..100 {
        let start = Instant::now();
        file.write_all(&[1; 4096])?;
        file.sync_data()?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
    }
    Ok(median(&mut times))
}

/// The middle value, or the mean of the two in the middle, or zero if there is none.
pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match values {
        [] => 0.0,
        _ if values.len().is_multiple_of(2) => (values[half - 1] + values[half]) / 2.0,
        _ => values[half],
    }
}

/// A median with its 95% bounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Estimate {
    pub(super) median: f64,
    pub(super) low: f64,
    pub(super) high: f64,
}

impl Estimate {
    /// The estimate from independent values, or `None` without values. It assumes nothing else
    /// about them: the bounds are two of the values, chosen by rank (Conover, *Practical
    /// Nonparametric Statistics*, 3rd ed., section 3.2). With fewer than six values they are the
    /// extremes.
    pub(super) fn of(values: &mut [f64]) -> Option<Self> {
        let median = median(values);
        let count = values.len() as f64;
        let rank = (count / 2.0 - 0.98 * count.sqrt() - 0.5).max(0.0) as usize;
        Some(Estimate {
            median,
            low: *values.get(rank)?,
            high: *values.get(values.len() - 1 - rank)?,
        })
    }

    /// The greater distance of a bound from the median, relative to the median.
    pub(super) fn uncertainty(&self) -> f64 {
        let (low, high) = (self.median - self.low, self.high - self.median);
        low.max(high) / self.median.max(1e-9)
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2} ±{:.0}%", self.median, 100.0 * self.uncertainty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_before_it_counts_is_not_counted() {
        let recorder = Recorder::new();
        let (now, ms) = (Instant::now(), Duration::from_millis(1));
        recorder.done(now, 9 * ms, 1.into());
        recorder.resent(1);
        recorder.restart();
        let now = Instant::now();
        for (after, latency) in [(0, 1), (1, 3), (25, 2)] {
            recorder.done(now + after * ms, latency * ms, 2.into());
        }
        assert_eq!(recorder.leader(), Some(2));
        let sample = recorder.sample(Usage::default());
        assert_eq!((sample.resent, sample.timeline.len()), (0, 3));
        assert_eq!(sample.timeline.iter().sum::<u32>(), 3);
        assert!((24.0..200.0).contains(&sample.longest_gap_ms));
        let histogram = sample.histogram();
        let near = |ns: u64, ms: u64| ns.abs_diff(ms * 1_000_000) < 10_000;
        assert!(near(histogram.value_at_quantile(0.5), 2), "{histogram:?}");
        assert!(near(histogram.max(), 3));
    }

    #[test]
    fn the_median_is_in_the_middle() {
        let medians = [vec![], vec![3.0], vec![4.0, 1.0], vec![9.0, 1.0, 2.0]];
        let medians = medians.map(|mut values| median(&mut values));
        assert_eq!(medians, [0.0, 3.0, 2.5, 2.0]);
    }

    #[test]
    fn an_estimate_has_bounds_by_rank() {
        assert_eq!(Estimate::of(&mut []), None);
        let estimate = |count: u32| {
            let mut values: Vec<f64> = (1..=count).rev().map(f64::from).collect();
            Estimate::of(&mut values).map(|it| (it.low, it.median, it.high))
        };
        assert_eq!(estimate(3), Some((1.0, 2.0, 3.0)));
        // By the binomial distribution, 97.8 % and 96.5 % of medians are within.
        assert_eq!(estimate(16), Some((4.0, 8.5, 13.0)));
        assert_eq!(estimate(100), Some((40.0, 50.5, 61.0)));
        let values = &mut [2.0, 1.0, 4.0];
        assert_eq!(Estimate::of(values).map(|it| it.uncertainty()), Some(1.0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn work_costs_processor_time() {
        let before = Usage::now();
        let start = Instant::now();
        while start.elapsed() < Duration::from_millis(60) {
            std::hint::spin_loop();
        }
        std::thread::sleep(Duration::from_millis(1));
        let usage = Usage::now().since(before);
        assert!(usage.cpu_s > 0.0 && usage.switches >= 1.0, "{usage:?}");
    }
}
