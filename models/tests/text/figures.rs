//! The figures in benches/README.md are those of runs whose output is kept.

use super::{Source, hold_tables};
use serde_json::Value;
use std::fmt::Write;
use synod::console::output::grouped;

/// A table, by the name that marks its place, and how it is made from the text of a file whose name
/// begins with that name, and which is called as it is called.
type Table = (&'static str, fn(&str, &str) -> String);

const TABLES: [Table; 9] = [
    ("checker", checker),
    ("bench", bench),
    ("all-processors", bench),
    ("nodes", nodes),
    ("growth", growth),
    ("parts", parts),
    ("recovery", |text, name| times(text, name, true)),
    ("simulator", |text, name| times(text, name, false)),
    ("flood", flood),
];

/// The file of a kind that was kept last. The times of a restart are one of the parts.
fn newest(kind: &str) -> Source {
    let kind = if kind == "recovery" { "parts" } else { kind };
    super::newest("benches/results", kind)
}

fn figure(run: &Value, name: &str, digits: usize) -> String {
    match run[name].as_f64() {
        Some(value) if digits == 0 => grouped(value.round() as usize),
        Some(value) => format!("{value:.digits$}"),
        None => "–".to_owned(),
    }
}

/// The lines of JSON that say a result.
fn results(text: &str) -> Vec<Value> {
    let lines = text.lines();
    let lines = lines.map(|line| serde_json::from_str(line).expect("JSON"));
    lines.filter(|it: &Value| it["type"] == "result").collect()
}

fn series(run: &Value) -> String {
    let packed = match (run["system"].as_str(), run["packed"].as_bool()) {
        (Some("stateright"), _) => "",
        (_, Some(true)) => ", packed",
        _ => ", one per datagram",
    };
    let is_durable = run["durable"] == true;
    let durable = if is_durable { ", durable" } else { "" };
    let system = run["system"].as_str().expect("a system");
    format!("{system}{packed}{durable}")
}

/// A ratio, and the bounds that it is within as a part of it.
fn ratio(run: &Value, name: &str) -> String {
    let range = &run[format!("{name}_range")];
    let (Some(ratio), Some(low), Some(high)) =
        (run[name].as_f64(), range[0].as_f64(), range[1].as_f64())
    else {
        return "–".to_owned();
    };
    let off = (ratio - low).max(high - ratio) / ratio.max(1e-9);
    match run["system"] == "floor" && name == "ratio_to_floor" {
        true => "1".to_owned(),
        false => format!("{ratio:.2} ±{:.0} %", 100.0 * off),
    }
}

/// All that was measured with the payload that everything was measured with.
fn bench(text: &str, name: &str) -> String {
    let result = results(text).pop().expect("a result");
    let machine = &result["machine"];
    let one_of = machine["processor_used"].as_u64().map_or("", |_| "one of ");
    let mut table = format!(
        "{} nodes ({}) on {one_of}{} × {}, Linux {}; {} rounds of {} s; ",
        machine["nodes"],
        machine["placement"].as_str().expect("a placement"),
        machine["processors"],
        machine["processor"].as_str().expect("a processor"),
        machine["kernel"].as_str().expect("a kernel"),
        machine["rounds"],
        machine["duration_s"],
    );
    if machine["fdatasync_us"].is_f64() {
        let takes = figure(machine, "fdatasync_us", 0);
        let _ = write!(table, "one `fdatasync` takes {takes} µs; ");
    }
    let gaps = result["failovers"].as_array().expect("failovers").iter();
    let gaps = gaps.map(|it| figure(it, "longest_gap_ms", 0) + " ms");
    let gaps: Vec<String> = gaps.collect();
    if !gaps.is_empty() {
        let gaps = gaps.join(", ");
        let _ = write!(
            table,
            "a leader killed under load, longest time without an answer: {gaps}; "
        );
    }
    let _ = write!(
        table,
        "in full: [{name}](results/{name}).\n\n\
         | what | under way | commands/s | spread | × floor alike | × plain floor | × stateright | \
         p50 µs | p99 µs | CPU µs each |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
    );
    table + &rows(&result)
}

/// The rows of runs with payloads of one size.
fn rows(result: &Value) -> String {
    let mut table = String::new();
    let runs = result["runs"].as_array().expect("runs");
    let is_first = |run: &&Value| run["payload_bytes"] == runs[0]["payload_bytes"];
    for run in runs.iter().filter(is_first) {
        let cpu = ["nodes_cpu_us_per_command", "clients_cpu_us_per_command"];
        let cpu: f64 = cpu.iter().filter_map(|name| run[*name].as_f64()).sum();
        let _ = writeln!(
            table,
            "| {} | {} | {} | {:.0} % | {} | {} | {} | {} | {} | {cpu:.1} |",
            series(run),
            run["outstanding"],
            figure(run, "commands_per_s", 0),
            (100.0 * run["spread"].as_f64().unwrap_or_default()).min(999.0),
            ratio(run, "ratio_to_floor"),
            figure(run, "ratio_to_plain_floor", 2),
            figure(run, "ratio_to_stateright", 2),
            figure(run, "p50_us", 0),
            figure(run, "p99_us", 0),
        );
    }
    table
}

/// Runs that differ in how many nodes there are.
fn nodes(text: &str, name: &str) -> String {
    let mut table = format!(
        "In full: [{name}](results/{name}).\n\n\
         | nodes | what | under way | commands/s | × floor alike | p50 µs | p99 µs |\n\
         |--:|---|--:|--:|--:|--:|--:|\n"
    );
    for result in results(text) {
        let runs = result["runs"].as_array().expect("runs");
        for run in runs.iter().filter(|run| run["system"] == "synod") {
            let _ = writeln!(
                table,
                "| {} | {} | {} | {} | {} | {} | {} |",
                result["machine"]["nodes"],
                series(run),
                run["outstanding"],
                figure(run, "commands_per_s", 0),
                ratio(run, "ratio_to_floor"),
                figure(run, "p50_us", 0),
                figure(run, "p99_us", 0),
            );
        }
    }
    table
}

/// Searches that differ in how many states there are: each result follows its `# synod check`.
fn growth(text: &str, name: &str) -> String {
    let mut table = format!(
        "In full: [{name}](results/{name}).\n\n\
         | `synod check` | states | transitions | states/s | transitions/s | bytes per state |\n\
         |---|--:|--:|--:|--:|--:|\n"
    );
    let mut command = "";
    for line in text.lines() {
        if let Some(asked) = line.strip_prefix("# synod check ") {
            command = asked;
            continue;
        }
        let Some(result) = results(line).pop() else {
            continue;
        };
        let count = |name: &str| result[name].as_f64().expect("a count");
        let per_s = |name: &str| grouped((count(name) / count("seconds")).round() as usize);
        let _ = writeln!(
            table,
            "| `{command}` | {} | {} | {} | {} | {} |",
            figure(&result, "unique_states", 0),
            figure(&result, "transitions", 0),
            per_s("unique_states"),
            per_s("transitions"),
            figure(&result, "bytes_per_state", 0),
        );
    }
    table
}

/// The rows about the checker: what, the part of the output, the beginning of the line in it, and
/// the target.
const CHECKER: &str = "\
stateright BFS / collapse, 2 ballots, 1 thread | reduced | time of stateright BFS, threads: 1 | ≥ 6
the same, 2 threads | reduced | time of stateright BFS, threads: 2 | ≥ 6
the same, nothing postponed, 1 thread | unpostponed | time of stateright BFS, threads: 1 | ≥ 6
the same, nothing postponed, 2 threads | unpostponed | time of stateright BFS, threads: 2 | ≥ 6
stateright DFS / collapse, 2 ballots, 1 thread | reduced | time of stateright DFS, threads: 1 | ≥ 3
the same, 2 threads | reduced | time of stateright DFS, threads: 2 | ≥ 3
the same, nothing postponed, 1 thread | unpostponed | time of stateright DFS, threads: 1 | ≥ 3
the same, nothing postponed, 2 threads | unpostponed | time of stateright DFS, threads: 2 | ≥ 3
plain `ActorModel` / collapse, 4 acceptors, 1 ballot, 1 client | verdict | \
time of plain ActorModel | ≥ 1000
transitions/s, 3 proposers, 1 thread | pace | transitions, collapse, threads: 1 | ≥ 5 M
collapse / probe floor, 3 proposers, 1 thread | pace | time of collapse / probe floor | ≤ 2.5
1 thread / 2 threads, 3 proposers | pace | speed-up by a second thread, collapse | ≥ 1.7
bytes per state, 3 proposers, 1 thread | memory | per unique state | ≤ 40";

/// The heading of a part of the checker's output.
fn part(name: &str) -> &'static str {
    match name {
        "reduced" => "clients 2\n  50801",
        "unpostponed" => "nothing postponed",
        "verdict" => "To the verdict",
        "pace" => "Pace",
        _ => "Memory",
    }
}

/// What the benchmark of the checker printed, beside what was aimed at.
fn checker(text: &str, name: &str) -> String {
    let mut table = format!(
        "In full: [{name}](results/{name}).\n\n\
         | what, and on what | target | median (least to greatest) | met |\n|---|---|---|---|\n"
    );
    for row in CHECKER.lines() {
        let [what, name, line, target] = row.split(" | ").collect::<Vec<_>>()[..] else {
            panic!("not a row: {row}");
        };
        let (_, part) = text.split_once(part(name)).expect("the part of the output");
        let line = part.lines().find(|it| it.trim_start().starts_with(line));
        let line = line.expect("the line of the output");
        let (line, range) = line.split_once('(').unwrap_or((line, ""));
        let mut figures = line.split_whitespace().rev();
        let (_, median) = (figures.next(), figures.next().expect("a figure"));
        let open = if range.is_empty() { "" } else { " (" };
        let figure: f64 = median.parse().expect("a figure");
        let words: Vec<&str> = target.split(' ').collect();
        let aim: f64 = words[1].parse().expect("a figure");
        let is_met = match words[0] {
            "≥" => figure >= aim,
            _ => figure <= aim,
        };
        let met = if is_met { "yes" } else { "**no**" };
        let _ = writeln!(
            table,
            "| {what} | {target} | {median}{open}{range} | {met} |"
        );
    }
    table
}

/// What criterion printed: names, and the least, the estimate and the most, with their units.
fn timed(text: &str) -> Vec<(&str, [String; 3])> {
    let mut name = "";
    let mut times = Vec::new();
    for line in text.lines() {
        let Some((before, after)) = line.split_once("time:") else {
            // A name that is too long stands on a line of its own.
            name = line;
            continue;
        };
        if !before.trim().is_empty() {
            name = before.trim();
        }
        let figures = after.trim().trim_matches(['[', ']']);
        let figures: Vec<&str> = figures.split(' ').collect();
        let figures = figures.chunks(2).map(|it| it.join(" "));
        let figures = figures.collect::<Vec<_>>().try_into();
        times.push((name, figures.expect("three figures")));
    }
    times
}

/// A table of those benchmarks that are about recovery, or of all others.
fn times(text: &str, name: &str, recovers: bool) -> String {
    let mut table = format!(
        "In full: [{name}](results/{name}).\n\n| what | takes | between |\n|---|--:|--:|\n"
    );
    for (what, [low, middle, high]) in timed(text) {
        if what.starts_with("recovery") == recovers {
            let _ = writeln!(table, "| {what} | {middle} | {low} and {high} |");
        }
    }
    table
}

fn parts(text: &str, name: &str) -> String {
    let table = times(text, name, false);
    format!(
        "{table}\nOne of 64 commands that share a slot takes three replicas {:.2} µs together: \
         handlers, encoding and decoding.\n",
        command_ns(text) / 1e3
    )
}

/// What one of 64 commands that share a slot takes three replicas: the client's request is its
/// own, and so is the reply; all else is shared.
fn command_ns(text: &str) -> f64 {
    let times = timed(text);
    let ns = |what: &str| {
        let found = times.iter().find(|(name, _)| *name == what);
        let (_, [_, middle, _]) = found.expect("it was measured");
        let (figure, unit) = middle.split_once(' ').expect("a unit");
        let scale = match unit {
            "ns" => 1.0,
            "µs" => 1e3,
            unit => panic!("{what} takes {unit}"),
        };
        figure.parse::<f64>().expect("a figure") * scale
    };
    let both =
        |what: &str| ns(&format!("codec/encode/{what}")) + ns(&format!("codec/decode/{what}"));
    let follower = ns("roles/follower/64") + both("accept 64") + both("accepted");
    let shared = ns("roles/leader/64") + 2.0 * follower;
    ns("codec/decode/request") + shared / 64.0 + ns("codec/encode/reply")
}

/// What is left of the throughput while the nodes are flooded.
fn flood(text: &str, name: &str) -> String {
    let result = results(text).pop().expect("a result");
    let flooded = &result["flooded"];
    let ratio = &flooded["ratio"];
    format!(
        "In full: [{name}](results/{name}).\n\n\
         | forged datagrams/s | under way | commands/s | of those without a flood |\n\
         |--:|--:|--:|--:|\n| {} | {} | {} | {} ({} to {}) |\n",
        figure(flooded, "datagrams_per_s", 0),
        figure(flooded, "outstanding", 0),
        figure(flooded, "commands_per_s", 0),
        figure(ratio, "median", 2),
        figure(ratio, "low", 2),
        figure(ratio, "high", 2),
    )
}

/// Red if a figure was written by hand. `SYNOD_WRITE=1` writes them.
#[test]
fn the_tables_of_the_benchmarks_are_made_from_runs() {
    let tables = TABLES.map(|(kind, table)| {
        let Source { path, text } = newest(kind);
        let (_, name) = path.rsplit_once('/').expect("a name");
        (format!("{kind}: made from results"), table(&text, name))
    });
    hold_tables("benches/README.md", tables);
}

/// Red if the README's front page says of a commit what no run has found.
#[test]
fn the_readme_says_what_a_commit_costs() {
    let text = newest("bench").text;
    let result = results(&text).pop().expect("a result");
    let runs = result["runs"].as_array().expect("runs").iter();
    let alone = runs.filter(|run| {
        let is_alone = run["outstanding"] == 1 && run["packed"] == false;
        is_alone && run["system"] == "synod"
    });
    let costs = alone.map(|run| {
        let [p50, p99] = ["p50_us", "p99_us"].map(|name| figure(run, name, 0));
        let times = 1.0 / run["ratio_to_floor"].as_f64().expect("a ratio");
        format!("{p50} µs (p99 {p99} µs), {times:.1} times")
    });
    let costs: Vec<String> = costs.collect();
    assert_eq!(costs.len(), 2, "in memory and on disk");
    let readme = super::page("README.md");
    for cost in costs {
        assert!(readme.contains(&cost), "the README does not say: {cost}");
    }
}
