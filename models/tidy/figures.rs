//! The figures of the benchmark in benches/README.md are those of a run whose lines are kept.

use super::grouped;
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// What `synod bench --json` printed last, as it was kept.
fn newest() -> PathBuf {
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/results");
    let files = fs::read_dir(results).expect("there are results");
    let files = files.map(|file| file.expect("a readable folder").path());
    let of_bench = files.filter(|path| path.extension().is_some_and(|it| it == "jsonl"));
    of_bench.max().expect("a run of the benchmark is kept")
}

fn figure(run: &Value, name: &str, digits: usize) -> String {
    match run[name].as_f64() {
        Some(value) if digits == 0 => grouped(value.round() as usize),
        Some(value) => format!("{value:.digits$}"),
        None => "–".to_owned(),
    }
}

/// All that was measured with the payload that everything was measured with.
fn table(path: &Path) -> String {
    let text = fs::read_to_string(path).expect("a readable file");
    let last = text.lines().last().expect("a result");
    let result: Value = serde_json::from_str(last).expect("JSON");
    let machine = &result["machine"];
    let mut table = format!(
        "{} nodes ({}) on {} × {}, Linux {}; {} rounds of {} s; one `fdatasync` takes {} µs. A \
         leader killed under load, longest time without an answer: {}. In full: \
         [{name}](results/{name}).\n\n\
         | what | under way | commands/s | spread | × floor alike | × plain floor | × stateright | \
         p50 µs | p99 µs | CPU µs each |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        machine["nodes"],
        machine["placement"].as_str().expect("a placement"),
        machine["processors"],
        machine["processor"].as_str().expect("a processor"),
        machine["kernel"].as_str().expect("a kernel"),
        machine["rounds"],
        machine["duration_s"],
        figure(machine, "fdatasync_us", 0),
        result["failovers"]
            .as_array()
            .expect("failovers")
            .iter()
            .map(|it| figure(it, "longest_gap_ms", 0) + " ms")
            .collect::<Vec<_>>()
            .join(", "),
        name = path.file_name().expect("a name").display(),
    );
    let runs = result["runs"].as_array().expect("runs");
    for run in runs
        .iter()
        .filter(|run| run["payload_bytes"] == runs[0]["payload_bytes"])
    {
        let packed = match (run["system"].as_str(), run["packed"].as_bool()) {
            (Some("stateright"), _) => "",
            (_, Some(true)) => ", packed",
            _ => ", one per datagram",
        };
        let durable = if run["durable"] == true {
            ", durable"
        } else {
            ""
        };
        let cpu = ["nodes_cpu_us_per_command", "clients_cpu_us_per_command"];
        let cpu: f64 = cpu.iter().filter_map(|name| run[*name].as_f64()).sum();
        let _ = writeln!(
            table,
            "| {}{packed}{durable} | {} | {} | {:.0} % | {} | {} | {} | {} | {} | {cpu:.1} |",
            run["system"].as_str().expect("a system"),
            run["outstanding"],
            figure(run, "commands_per_s", 0),
            (100.0 * run["spread"].as_f64().unwrap_or_default()).min(999.0),
            figure(run, "ratio_to_floor", 2),
            figure(run, "ratio_to_plain_floor", 2),
            figure(run, "ratio_to_stateright", 2),
            figure(run, "p50_us", 0),
            figure(run, "p99_us", 0),
        );
    }
    table
}

/// Red if a figure was written by hand. `SYNOD_WRITE=1` writes them.
#[test]
fn the_table_of_the_benchmark_is_made_from_a_run() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/README.md");
    let text = fs::read_to_string(&path).expect("the benches have a README");
    let (start, end) = ("<!-- bench: made from results -->\n\n", "\n<!-- end -->");
    let (before, rest) = text.split_once(start).expect("the table begins");
    let (found, after) = rest.split_once(end).expect("the table ends");
    let table = table(&newest());
    if std::env::var_os("SYNOD_WRITE").is_some() {
        let text = format!("{before}{start}{table}{end}{after}");
        fs::write(&path, text).expect("the README can be written");
    } else {
        assert!(
            found == table,
            "write it again: SYNOD_WRITE=1 cargo test the_table_of"
        );
    }
}
