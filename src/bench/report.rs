//! The results as a page with charts.

use super::args::System;
use super::chart::{Axis, Chart, Line, Point, escaped};
use super::measure::BUCKET;
use super::summary::{COLUMNS, Results, Summary};
use crate::console::output::many;
use std::collections::BTreeMap;
use std::fmt::Write;

/// The number of outstanding commands whose distribution of latencies is shown, or the nearest
/// number that was measured.
const TYPICAL: f64 = 64.0;

/// A self-contained page.
pub(super) fn page(results: &Results) -> String {
    let summaries = results.summaries();
    let (machine, conditions) = (&results.machine, &results.machine.conditions);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>synod bench</title>\n<style>\n{STYLE}</style></head><body>\n\
         <h1>The cost of a commit over UDP</h1>\n<p>{}.</p>\n<p>Medians of {}, each in another \
         order, {} s per measurement; bars show the lowest and the highest round. <b>Floor</b>: \
         the same messages on raw sockets, without a protocol, which is what the machine allows. \
         <b>stateright</b>: the same actors under <code>stateright::actor::spawn</code>, whose \
         saves are not durable.</p>\n",
        escaped(&machine.to_string()),
        many(conditions.rounds as u64, "round"),
        conditions.duration_s,
    );
    if let Some(noise) = results.noise() {
        let _ = writeln!(page, "<p class=\"noise\">Noisy: {}</p>", escaped(&noise));
    }
    page += "<main>\n";
    for chart in Charts::new(results, &summaries).all() {
        page += &chart.figure();
    }
    page += "</main>\n<h2>All figures</h2>\n";
    page += &table(&summaries);
    if let Some(flooded) = &results.flooded {
        let _ = writeln!(page, "<p>{}.</p>", escaped(&flooded.to_string()));
    }
    let _ = writeln!(
        page,
        "<p>synod {}, {:.0} s in all. Made by <code>synod bench --report</code>.</p></body></html>",
        machine.version, results.seconds
    );
    page
}

struct Charts<'a> {
    results: &'a Results,
    summaries: &'a [Summary<'a>],
    colours: BTreeMap<String, usize>,
}

impl<'a> Charts<'a> {
    fn new(results: &'a Results, summaries: &'a [Summary<'a>]) -> Self {
        let mut colours = BTreeMap::new();
        for it in summaries {
            let next = colours.len();
            colours.entry(colour(it)).or_insert(next);
        }
        Charts {
            results,
            summaries,
            colours,
        }
    }

    fn all(&self) -> [Chart; 6] {
        [
            self.rate_by_outstanding(),
            self.latency_by_rate(),
            self.distribution(),
            self.rate_by_payload(),
            self.durability(),
            self.failover(),
        ]
    }

    /// A line per series, with the points of those of its runs that are shown.
    fn lines<P: IntoIterator<Item = Point>>(
        &self,
        is_shown: impl Fn(&Summary<'_>) -> bool,
        points: impl Fn(&Summary<'_>) -> P,
    ) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for it in self.summaries.iter().filter(|it| is_shown(it)) {
            let name = it.run.series();
            let points = points(it);
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.extend(points),
                None => lines.push(Line {
                    name,
                    colour: self.colours.get(&colour(it)).copied().unwrap_or(0),
                    dashed: it.run.durable,
                    points: points.into_iter().collect(),
                }),
            }
        }
        lines
    }

    /// Returns whether a run has the payload with which everything was measured.
    fn is_main(&self, it: &Summary<'_>) -> bool {
        let mut payloads = self.summaries.iter().map(|it| it.run.work.payload_bytes);
        payloads.next() == Some(it.run.work.payload_bytes)
    }

    fn rate_by_outstanding(&self) -> Chart {
        Chart {
            title: "Throughput",
            caption:
                "In memory. The packed floor shows the gain of packing alone; a plain program \
                      gets the floor with one message per datagram."
                    .to_owned(),
            x: OUTSTANDING,
            y: RATE,
            lines: self.lines(|it| self.is_main(it) && !it.run.durable, by_outstanding),
        }
    }

    fn latency_by_rate(&self) -> Chart {
        let point = |it: &Summary<'_>| [Point::at(it.rate(), it.quantile_us(0.5))];
        Chart {
            title: "Latency against throughput",
            caption:
                "Each line goes from few outstanding commands to many: right and low is good. \
                      Dashed: durable."
                    .to_owned(),
            x: RATE,
            y: Axis::log("median latency, µs"),
            lines: self.lines(|it| self.is_main(it), point),
        }
    }

    fn distribution(&self) -> Chart {
        let measured = self.summaries.iter().filter(|it| self.is_main(it));
        let measured = measured.map(|it| it.run.work.outstanding);
        let distance = |it: &Option<usize>| (it.unwrap_or(0) as f64 / TYPICAL).ln().abs();
        let nearest = measured.min_by(|a, b| distance(a).total_cmp(&distance(b)));
        let is_shown =
            |it: &Summary<'_>| self.is_main(it) && nearest == Some(it.run.work.outstanding);
        let points = |it: &Summary<'_>| {
            let latencies = it.latencies();
            let steps = (0..=200).map(|step| f64::from(step) / 200.0);
            let at = move |part| latencies.value_at_quantile(part) as f64 / 1e3;
            steps.map(move |part| Point::at(at(part), 100.0 * part))
        };
        let outstanding = nearest.flatten().map(|number| {
            let commands = many(number as u64, "outstanding command");
            format!("With {commands}, over")
        });
        Chart {
            title: "Distribution of latencies",
            caption: format!("{} all rounds.", outstanding.unwrap_or("Over".to_owned())),
            x: Axis::log("latency, µs"),
            y: Axis::linear("% of commands answered"),
            lines: self.lines(is_shown, points),
        }
    }

    fn rate_by_payload(&self) -> Chart {
        let mut payloads = self.summaries.iter().filter(|it| !self.is_main(it));
        let outstanding = payloads.next().map(|it| it.run.work.outstanding);
        let is_shown = |it: &Summary<'_>| {
            let is_compared = Some(it.run.work.outstanding) == outstanding;
            is_compared && it.run.packed && !it.run.durable
        };
        Chart {
            title: "Throughput and payload",
            caption: "In memory, packed, with 64 outstanding commands.".to_owned(),
            x: Axis::log("bytes written by a command"),
            y: RATE,
            lines: self.lines(is_shown, |it| rate_at(it.run.work.payload_bytes.max(1), it)),
        }
    }

    fn durability(&self) -> Chart {
        // Without durable runs there is nothing to compare, and no chart.
        let is_compared = self.summaries.iter().any(|it| it.run.durable);
        let is_shown = |it: &Summary<'_>| {
            let is_shown = it.run.durable || it.run.system != System::Floor;
            is_compared && is_shown && self.is_main(it)
        };
        let sync = self.results.machine.fdatasync_us;
        let sync = sync.map(|us| format!(" One fdatasync of 4 KiB takes {us:.0} µs here."));
        Chart {
            title: "Durable and in memory",
            caption: format!(
                "Dashed: durable; stateright saves without a sync; the floor syncs what it votes \
                 for.{}",
                sync.unwrap_or_default()
            ),
            x: OUTSTANDING,
            y: RATE,
            lines: self.lines(is_shown, by_outstanding),
        }
    }

    fn failover(&self) -> Chart {
        let ms = BUCKET.as_secs_f64() * 1e3;
        let failovers = self.results.failovers.iter().enumerate();
        let lines = failovers.map(|(colour, it)| Line {
            name: format!("{:.0} ms without an answer", it.longest_gap_ms),
            colour,
            dashed: false,
            points: (it.timeline.iter().enumerate())
                .map(|(at, count)| {
                    let since = (at as f64 + 0.5) * ms - it.killed_ms;
                    Point::at(since, f64::from(*count) * 1e3 / ms)
                })
                .filter(|it| (-300.0..=900.0).contains(&it.x))
                .collect(),
        });
        Chart {
            title: "A leader is killed",
            caption:
                "By SIGKILL, with 16 outstanding commands; each line is a cluster of its own. \
                      The others elect a leader only when the lease of the killed one is over."
                    .to_owned(),
            x: Axis::linear("ms since the kill"),
            y: Axis::linear("commands per second"),
            lines: lines.collect(),
        }
    }
}

const RATE: Axis = Axis::log("commands per second");
const OUTSTANDING: Axis = Axis::log("outstanding commands");

fn rate_at(x: usize, it: &Summary<'_>) -> [Point; 1] {
    [Point {
        x: x as f64,
        y: it.rate(),
        range: Some(it.range()),
    }]
}

fn by_outstanding(it: &Summary<'_>) -> [Point; 1] {
    rate_at(it.run.work.outstanding.unwrap_or(0), it)
}

/// The key of a colour: durable runs have that of the others, and are dashed.
fn colour(it: &Summary<'_>) -> String {
    format!("{} {}", it.run.system.name(), it.run.packed)
}

fn table(summaries: &[Summary<'_>]) -> String {
    let mut page = String::from("<div class=\"wide\"><table><thead><tr><th>system");
    for (heading, ..) in COLUMNS {
        let _ = write!(page, "<th>{heading}");
    }
    page += "</tr></thead><tbody>\n";
    for it in summaries {
        let _ = write!(page, "<tr><td>{}", escaped(&it.run.series()));
        for (_, _, cell) in COLUMNS {
            let _ = write!(page, "<td>{}", cell(it));
        }
        page += "</tr>\n";
    }
    page + "</tbody></table></div>\n"
}

const STYLE: &str = "\
:root { color-scheme: light dark; --back: #fff; --text: #1c2024; --quiet: #60646c; --rule: #dcdfe3;
  --c0: #0068a8; --c1: #c44f00; --c2: #00805c; --c3: #a8437f; --c4: #8a6d00; --c5: #4b5bd1; }
@media (prefers-color-scheme: dark) { :root { --back: #14171a; --text: #e6e8eb; --quiet: #9ba1a8;
  --rule: #2c3237; --c0: #56b4e9; --c1: #f08a4b; --c2: #3fc79a; --c3: #e39ac4; --c4: #e0bd3c;
  --c5: #9aa6ff; } }
body { background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif;
  margin: 0 auto; max-width: 1240px; padding: 1rem; }
h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.05rem; margin: 0 0 .4rem; }
main { display: grid; gap: 1.6rem; margin: 1.2rem 0 2rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 430px), 1fr)); }
figure { margin: 0; min-width: 0; } figcaption, .legend { color: var(--quiet); font-size: .85rem; }
.legend { display: flex; flex-wrap: wrap; gap: .1rem 1rem; list-style: none; margin: .2rem 0;
  padding: 0; }
.key { height: 8px; margin-right: .35rem; width: 24px; }
.chart { display: block; width: 100%; } .chart text { fill: var(--quiet); font-size: 11.5px; }
.chart .label { fill: var(--text); } .middle { text-anchor: middle; } .end { text-anchor: end; }
.grid { stroke: var(--rule); }
.line, .key path { fill: none; stroke: currentColor; stroke-linejoin: round; stroke-width: 2; }
.dashed .line, .dashed.key path { stroke-dasharray: 6 4; }
.range { opacity: .5; stroke: currentColor; stroke-width: 4; } circle { fill: currentColor; }
.c0 { color: var(--c0); } .c1 { color: var(--c1); } .c2 { color: var(--c2); }
.c3 { color: var(--c3); } .c4 { color: var(--c4); } .c5 { color: var(--c5); }
.noise { border-left: 4px solid var(--c1); padding-left: .6rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { border-bottom: 1px solid var(--rule); padding: .15rem .6rem; text-align: right;
  white-space: nowrap; } td:first-child, th:first-child { text-align: left; }
";
