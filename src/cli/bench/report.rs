//! The results as a page.

use super::chart::{Axis, Chart, Line, Point, escaped};
use super::measure::BUCKET;
use super::place::System;
use super::summary::{Results, Summary};
use std::collections::BTreeMap;
use std::fmt::Write;

/// The number of commands under way at which the distribution of latencies is shown: the one that
/// was measured and is nearest.
const TYPICAL: f64 = 64.0;

const RATE: Axis = Axis {
    label: "commands per second",
    log: true,
};
const UNDER_WAY: Axis = Axis {
    label: "commands under way",
    log: true,
};

/// A page that needs nothing beside itself.
pub(super) fn page(results: &Results) -> String {
    let summaries = results.summaries();
    let charts = Charts::new(results, &summaries);
    let mut page = String::from(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>synod bench</title>\n<style>\n",
    );
    page += STYLE;
    let _ = write!(
        page,
        "</style></head><body>\n<h1>What a commit costs over UDP</h1>\n<p>{}.</p>\n<p>Medians \
         of {} rounds, each in another order, {} s per measurement; bars show the lowest and the \
         highest round. <b>Floor</b>: the same messages on raw sockets, without a protocol; what \
         the machine allows. <b>stateright</b>: the same actors under <code>\
         stateright::actor::spawn</code>, whose saves are not durable.</p>\n",
        escaped(&results.machine.to_string()),
        results.machine.rounds,
        results.machine.duration_s,
    );
    if let Some(noise) = super::noise(results) {
        let noise = anstream::adapter::strip_str(&noise).to_string();
        let _ = writeln!(page, "<p class=\"noise\">{}</p>", escaped(&noise));
    }
    page += "<main>\n";
    for chart in charts.all() {
        page += &chart.figure();
    }
    page += "</main>\n<h2>All figures</h2>\n";
    page += &table(&summaries);
    if let Some(flooded) = &results.flooded {
        let _ = writeln!(page, "<p>{}.</p>", escaped(&flooded.to_string()));
    }
    let _ = writeln!(
        page,
        "<p>synod {}, {} s in all. Made by <code>synod bench --report</code>.</p></body></html>",
        results.machine.version,
        results.seconds.round()
    );
    page
}

struct Charts<'a> {
    results: &'a Results,
    summaries: &'a [Summary],
    colours: BTreeMap<String, usize>,
}

impl<'a> Charts<'a> {
    fn new(results: &'a Results, summaries: &'a [Summary]) -> Self {
        let mut colours = BTreeMap::new();
        for it in summaries {
            // What is durable has the colour of what is not, and is dashed.
            let next = colours.len();
            colours.entry(colour_of(it)).or_insert(next);
        }
        Charts {
            results,
            summaries,
            colours,
        }
    }

    fn all(&self) -> Vec<Chart> {
        vec![
            self.rate_by_outstanding(),
            self.latency_by_rate(),
            self.distribution(),
            self.rate_by_payload(),
            self.durability(),
            self.failover(),
        ]
    }

    /// What was measured with the payload that all were measured with, or with one number under way
    /// and all payloads.
    fn lines(
        &self,
        is_shown: impl Fn(&Summary) -> bool,
        point: impl Fn(&Summary) -> Point,
    ) -> Vec<Line> {
        let mut lines: Vec<Line> = Vec::new();
        for it in self.summaries.iter().filter(|it| is_shown(it)) {
            let name = it.run.series();
            match lines.iter_mut().find(|line| line.name == name) {
                Some(line) => line.points.push(point(it)),
                None => lines.push(Line {
                    name,
                    colour: self.colours.get(&colour_of(it)).copied().unwrap_or(0),
                    dashed: it.run.durable,
                    points: vec![point(it)],
                }),
            }
        }
        for line in &mut lines {
            line.points.retain(|it| it.x > 0.0 && it.y > 0.0);
        }
        lines
    }

    fn is_main(&self, it: &Summary) -> bool {
        let first = self.summaries.first().map(|first| first.run.work.payload);
        Some(it.run.work.payload) == first
    }

    fn rate_by_outstanding(&self) -> Chart {
        let lines = self.lines(
            |it| self.is_main(it) && !it.run.durable,
            |it| Point {
                x: it.run.work.outstanding as f64,
                y: it.commands_per_s,
                range: Some(it.range),
            },
        );
        Chart {
            title: "Throughput",
            caption:
                "In memory. A floor whose datagrams are shared shows what packing is worth to \
                      anybody; one with a datagram per message is what a plain program gets."
                    .to_owned(),
            x: UNDER_WAY,
            y: RATE,
            lines,
            marks_points: true,
            events: Vec::new(),
        }
    }

    fn latency_by_rate(&self) -> Chart {
        let lines = self.lines(
            |it| self.is_main(it),
            |it| Point::at(it.commands_per_s, it.quantiles_us[0]),
        );
        Chart {
            title: "Latency against throughput",
            caption: "Each line goes from few commands under way to many: right and low is good. \
                      Dashed: durable."
                .to_owned(),
            x: RATE,
            y: Axis {
                label: "median latency, µs",
                log: true,
            },
            lines,
            marks_points: true,
            events: Vec::new(),
        }
    }

    fn distribution(&self) -> Chart {
        let measured = self.summaries.iter().filter(|it| self.is_main(it));
        let measured = measured.map(|it| it.run.work.outstanding);
        let nearest = measured.min_by_key(|it| ((*it as f64 / TYPICAL).ln().abs() * 1e6) as u64);
        let nearest = nearest.unwrap_or(0);
        let mut lines = self.lines(
            |it| self.is_main(it) && it.run.work.outstanding == nearest,
            |_| Point::at(1.0, 1.0),
        );
        for line in &mut lines {
            let of = |it: &&Summary| {
                it.run.series() == line.name
                    && self.is_main(it)
                    && it.run.work.outstanding == nearest
            };
            let Some(it) = self.summaries.iter().find(of) else {
                continue;
            };
            let steps = (0..=200).map(|step| f64::from(step) / 200.0);
            let at = |part: f64| it.latencies.value_at_quantile(part) as f64 / 1e3;
            line.points = match it.latencies.is_empty() {
                true => Vec::new(),
                false => steps
                    .map(|part| Point::at(at(part), 100.0 * part))
                    .collect(),
            };
        }
        Chart {
            title: "Distribution of latencies",
            caption: format!("With {nearest} commands under way, over all rounds."),
            x: Axis {
                label: "latency, µs",
                log: true,
            },
            y: Axis {
                label: "% of commands answered",
                log: false,
            },
            lines,
            marks_points: false,
            events: Vec::new(),
        }
    }

    fn rate_by_payload(&self) -> Chart {
        let payloads = self.summaries.iter().filter(|it| !self.is_main(it));
        let outstanding = payloads.map(|it| it.run.work.outstanding).next();
        let lines = self.lines(
            |it| {
                let is_shown = Some(it.run.work.outstanding) == outstanding;
                is_shown && it.run.packed && !it.run.durable
            },
            |it| Point {
                x: it.run.work.payload.max(1) as f64,
                y: it.commands_per_s,
                range: Some(it.range),
            },
        );
        Chart {
            title: "Throughput and payload",
            caption: "In memory, packed, with 64 commands under way.".to_owned(),
            x: Axis {
                label: "bytes written by a command",
                log: true,
            },
            y: RATE,
            lines,
            marks_points: true,
            events: Vec::new(),
        }
    }

    fn durability(&self) -> Chart {
        // Without anything durable there is nothing to compare, and no chart.
        let is_compared = self.summaries.iter().any(|it| it.run.durable);
        let lines = self.lines(
            |it| {
                let is_shown = it.run.durable || it.run.system != System::Floor;
                is_compared && is_shown && self.is_main(it)
            },
            |it| Point {
                x: it.run.work.outstanding as f64,
                y: it.commands_per_s,
                range: Some(it.range),
            },
        );
        let sync = self.results.machine.fdatasync_us;
        let sync = sync.map_or(String::new(), |us| {
            format!(" One fdatasync of 4 KiB takes {us:.0} µs here.")
        });
        Chart {
            title: "Durable and in memory",
            caption: format!(
                "Dashed: durable; of stateright, saved without a sync; of the floor, what is \
                 voted for is synced.{sync}"
            ),
            x: UNDER_WAY,
            y: RATE,
            lines,
            marks_points: true,
            events: Vec::new(),
        }
    }

    fn failover(&self) -> Chart {
        let ms = BUCKET.as_secs_f64() * 1e3;
        let failovers = self.results.failovers.iter().enumerate();
        let lines = failovers.map(|(index, it)| Line {
            name: format!("{:.0} ms without an answer", it.longest_gap_ms),
            colour: index,
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
            caption: "By SIGKILL, with 16 commands under way; each line is a cluster of its own. \
                      The others wait until the leader's lease is over before they elect one."
                .to_owned(),
            x: Axis {
                label: "ms since the kill",
                log: false,
            },
            y: Axis {
                label: "commands per second",
                log: false,
            },
            lines: lines.collect(),
            marks_points: false,
            events: vec![(0.0, "killed".to_owned())],
        }
    }
}

/// What has a colour of its own.
fn colour_of(it: &Summary) -> String {
    format!("{} {}", it.run.system.name(), it.run.packed)
}

fn table(summaries: &[Summary]) -> String {
    let mut page = String::from(
        "<div class=\"wide\"><table><thead><tr><th>what<th>under way<th>bytes<th>commands/s<th>\
         spread<th>× floor<th>p50 µs<th>p90<th>p99<th>p99.9<th>max</tr></thead><tbody>\n",
    );
    for it in summaries {
        let _ = write!(
            page,
            "<tr><td>{}<td>{}<td>{}<td>{:.0}<td>{:.0}%<td>{}",
            escaped(&it.run.series()),
            it.run.work.outstanding,
            it.run.work.payload,
            it.commands_per_s,
            100.0 * it.spread,
            it.ratio_to_floor.map_or("–".to_owned(), |ratio| format!(
                "{:.2} ±{:.0}%",
                ratio.median,
                100.0 * ratio.uncertainty()
            )),
        );
        for quantile in it.quantiles_us {
            let _ = write!(page, "<td>{quantile:.1}");
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
.grid { stroke: var(--rule); } .event { stroke: var(--quiet); stroke-dasharray: 3 3; }
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
