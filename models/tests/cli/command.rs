//! The `synod` command as a user meets it: exit codes, errors, and the page in a real browser.

use super::browser::page;
use super::run::{run, run_args, text};
use super::support::{Output, command, synod};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Ends a process when a test ends, however it ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_configuration_that_holds_exits_0_and_prints_its_counts() {
    let output = run(0, "check basic --acceptors 2 --ballots 1");
    let all = "every reachable state was visited";
    let output = output.prints(&[all, "187 unique states", "depth 15"]);
    assert!(!output.stdout.contains('\x1b'), "colours in a pipe");
    assert_eq!(output.stderr, "", "progress in a pipe");
}

#[test]
fn a_bounded_search_exits_3_and_claims_nothing() {
    let output = run(3, "check basic --max-states 300").prints(&["stopped at a bound"]);
    assert!(!output.stdout.contains("holds"), "{}", output.stdout);
    run(3, "check basic --timeout-s 0 --json").prints(&[r#""verdict":"bounded""#]);
}

#[test]
fn a_bound_in_the_pinned_configurations_is_no_violation() {
    run(3, "check --all --max-states 3");
}

#[test]
fn calls_of_handlers_are_written_down_once_each() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = directory.path().join("calls");
    let path = file.to_str().expect("a path in UTF-8");
    let words = "check basic --acceptors 1 --ballots 1 --random-steps 50 --dump-steps";
    let output = run(0, &format!("{words} {path}"));
    let text = std::fs::read_to_string(&file).expect("it was written");
    let (clusters, calls): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.starts_with("cluster "));
    // One of each protocol.
    assert_eq!(clusters.len(), 4, "that of the search, and random ones");
    let distinct: BTreeSet<&str> = calls.iter().copied().collect();
    assert_eq!(distinct.len(), calls.len(), "a call twice");
    // A vote: the state before, the state after, and the save that comes before the answer.
    let vote = "0 0 Message 1 Accept 1 1 120 + + 1 1 - - - => + + 1 1 + 1 1 120 - - \
                2 Save + + 1 1 + 1 1 120 - - Send 3 Accepted 1 1 120";
    assert!(distinct.contains(vote), "no such call:\n{text}");
    output.prints(&[&format!("{} distinct calls", calls.len())]);
}

#[test]
fn the_real_protocol_holds_where_the_mutants_die() {
    run(0, "check basic --acceptors 1 --ballots 1");
    run(0, "check basic --ballots 1 --quorums flexible:3,1");
}

/// The edits that `models/README.md` proposes are of lines that exist, and have the effect of the
/// mutants that it names. Red if a role is rewritten.
#[test]
fn the_edits_that_are_proposed_fail_as_the_page_says() {
    let page = text("models/README.md");
    let (_, section) = page.split_once("## Make it fail").expect("the section");
    let section = section.split_once("The rules of Multi-Paxos");
    let (section, _) = section.expect("its end");
    let roles = ["src/basic/acceptor.rs", "src/basic/proposer.rs"];
    let roles = roles.map(text).concat();
    let edits = section.split("```diff\n");
    let edits: Vec<&str> = edits.skip(1).collect();
    assert_eq!(edits.len(), 3);
    for edit in edits {
        let (diff, told) = edit.split_once("```").expect("the end of a diff");
        let removed = diff.lines().filter_map(|line| line.strip_prefix('-'));
        let removed = removed.map(|line| format!("{line}\n")).collect::<String>();
        assert_eq!(roles.matches(&removed).count(), 1, "{removed}");
        let mut quoted = told.split('`').skip(1).step_by(2);
        let (flags, mutant) = (quoted.next(), quoted.next());
        let (flags, mutant) = (flags.unwrap_or_default(), mutant.unwrap_or_default());
        let (said, _) = told.split_once(", as by").expect("what it shows");
        let (_, said) = said.split_once(": ").expect("what it shows");
        run(1, &format!("check basic {flags} {mutant}")).prints(&[said]);
    }
}

#[test]
fn mutants_are_killed_by_their_invariants() {
    let lines = run(0, "mutants reuse-ballot --json").json();
    let (result, mutants) = lines.split_last().expect("a result");
    // One of each protocol.
    assert_eq!(mutants.len(), 3);
    for mutant in mutants {
        assert_eq!(mutant["breaks"], "OneValuePerBallot");
        assert_eq!(mutant["killed"], true);
        assert_eq!(mutant["is_shortest"], true);
    }
    assert_eq!(result["mutants"], 3);
    assert_eq!(result["killed"], 3);
    assert_eq!(result["survived"], serde_json::json!([]));
    run(0, "mutants half-promises --json").prints(&["\"harmless\":1"]);
    run(0, "mutants invent-value").prints(&["http://"]);
    run(2, "mutants no-such").complains(&["invent-value"]);
}

#[test]
fn shells_and_man_know_every_command() {
    let help = synod(&["--help"]).stdout;
    let commands = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = commands.map_while(|line| line.strip_prefix("  "));
    let lines = lines.filter(|line| !line.starts_with(' '));
    let first_words = lines.filter_map(|line| line.split_whitespace().next());
    let commands: Vec<&str> = first_words.collect();
    assert!(commands.contains(&"check") && commands.contains(&"man"));
    let dir = tempfile::tempdir().expect("a directory");
    let pages = dir.path().join("man");
    run(0, &format!("man --dir {}", pages.display()));
    let script = run(0, "completions bash");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let page = pages.join(format!("synod-{command}.1"));
        let page = std::fs::read_to_string(page).expect("a page per command");
        assert!(page.contains(".TH"), "{page}");
        assert!(script.stdout.contains(&format!("__{command}")));
    }
    for shell in ["bash", "zsh", "fish"] {
        let script = synod(&["completions", shell]).stdout;
        for name in ["vote-below-promise", "no-margin", "duel"] {
            assert!(script.contains(name), "{shell} does not complete {name}");
        }
    }
    // clap leaves the values of positional arguments out for fish.
    let fish = run(0, "completions fish").stdout;
    assert!(fish.contains("__fish_synod_using_subcommand scenarios\" -f -a duel"));
    run(2, "man --dir /proc/synod").complains(&["/proc/synod"]);
}

/// Runs a benchmark, and reads the page that it writes.
fn reported(words: &str) -> (Output, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let page = dir.path().join("page.html");
    let output = run(0, &format!("{words} --report {}", page.display()));
    (output, std::fs::read_to_string(page).expect("a page"))
}

/// Measurements of a fraction of a second each: that all is there, and no figure that a busy
/// machine could spoil.
#[test]
fn a_benchmark_measures_all_that_it_is_asked_to_and_draws_it() {
    let words = "bench --rounds=1 --duration-s=0.2 --warmup-s=0.05 --outstanding=1,16 \
                 --payload-bytes=16,64 --against=floor,stateright --failovers=1 --flood --json";
    let (output, page) = reported(words);
    let mut lines = output.json();
    let result = lines.pop().expect("a result");
    assert!(lines.iter().all(|line| line["type"] == "round"));
    // Ours and the floor, packed and not, and stateright's, each with 1 and 16 under way; and all
    // that durable too. In memory also ours and the floor with the second payload.
    let runs = result["runs"].as_array().expect("runs");
    assert_eq!((runs.len(), lines.len()), (2 * 2 * 5 + 2, runs.len()));
    for run in runs.iter().filter(|run| run["system"] != "stateright") {
        assert!(run["commands_per_s"].as_f64() > Some(0.0), "{run}");
        assert!(run["p50_us"].as_f64() <= run["max_us"].as_f64(), "{run}");
    }
    let ratios = |name: &str| runs.iter().filter(|run| run[name].is_f64()).count();
    assert_eq!(ratios("ratio_to_floor"), runs.len(), "{result}");
    assert!(ratios("ratio_to_stateright") > 0);
    // The others elect a leader no sooner than its lease is over.
    let gap = result["failovers"][0]["longest_gap_ms"].as_f64();
    assert!(gap > Some(50.0), "{result}");
    let flooded = |what: &str| result["flooded"][what].as_f64();
    assert!(flooded("datagrams_per_s") > Some(1000.0), "{result}");
    assert!(flooded("commands_per_s") > Some(0.0), "{result}");
    assert_eq!(page.matches("<svg class=\"chart\"").count(), 6);
    assert!(page.contains("Flooded with"));
    assert!(!page.contains("NaN") && !page.contains("src=") && page.ends_with("</html>\n"));
}

#[test]
fn a_benchmark_at_a_fixed_rate_keeps_it() {
    let words = "bench --rounds=1 --duration-s=0.5 --rate=200 --durable=off --packed=on \
                 --failovers=0 --reads=50 --placement=together --processors=all";
    let (output, page) = reported(words);
    assert!(page.contains("Distribution of latencies"));
    assert!(!page.contains("Durable and in memory"), "nothing is");
    let rows = output.stdout.lines();
    let mut rows = rows.map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.first() == Some(&"200/s"));
    let row = row.expect("a row of the table");
    // What is due is sent, however late: the rate may lag by what is under way, no further.
    let rate: f64 = row[2].replace(',', "").parse().expect("a rate");
    assert!((150.0..250.0).contains(&rate), "{}", output.stdout);
}

#[test]
fn a_mutant_that_survives_is_not_praised() {
    let words = "check basic --proposers 1 --ballots 1 --mutant lowest-vote";
    run(0, words).prints(&["the mutant survives in this configuration"]);
    let words = "check basic --acceptors 4 --ballots 1 --mutant half-promises";
    run(0, words).prints(&["harmless: half-promises breaks no invariant"]);
}

/// Bad input, and the hints that its error gives.
const BAD: &str = "\
check basic --dump-steps /nowhere/calls => --dump-steps | /nowhere/calls
check basic --random-steps 5 => --dump-steps
check basic --fast => --fast
check fast --quorums fast:2,2 => {0,1} | Q1 + 2 * QF | no acceptor in common
check fast --quorums majority => --quorums | fast:QC,QF
check fast --coordinators 0 => --coordinators | 1 to 64
check raft => raft | synod check
check => basic | multi | fast | --all
check --json => name a protocol | --all
check --all basic => --all | without a protocol
check multi --reads log => --reads needs --replies on
check multi --lease 3 => --lease | two numbers
check basic --acceptors 0 => --acceptors | 1 to 64
check basic --proposers 5 --layout colocated => 1 to 3
check basic --quorums flexible:1,2 => {0} | {1,2}
check basic --quorums most => majority | flexible:Q1,Q2
check basic --mutant nobody => ignore-vote | reuse-ballot
explore basic --address nowhere => HOST:PORT | nowhere
cluster basic --nodes 0 => --nodes
cluster basic --faults loss=2 => loss | 0 to 1
cluster basic --faults noise=1 => noise | loss
cluster --timeout-s 18446744073709551615 => --timeout-s
check basic --threads 100000 => --threads | 1 to 256
check basic --ballots 0 => --ballots | at least 1
check basic --crashes 65536 => --crashes | 0 to 65535
check basic --max-memory-gib 0 => --max-memory-gib | at least 1
check basic --proposers 4294967295 => --proposers | 1 to 64
check fast --coordinators 4294967295 => --coordinators | 1 to 64
check multi --proposers 4294967295 => --proposers | 1 to 64
check basic --learners 4294967295 => --learners | 0 to 8
check --all --acceptors 5 => --acceptors
bench --duration-s 0 => --duration-s | 0.01
bench --rate 5 --outstanding 3 => --rate | --outstanding
bench --datagram-max 100 => --datagram-max | 512
bench --report /nowhere/page.html => --report | /nowhere/page.html
bench --config /nowhere/cluster.toml => /nowhere/cluster.toml
explore basic --learners 3 --ask one --scenario duel => --learners 3 | its own configuration
explore multi --scenario duel => multi | synod explore basic
simulate fast --mutant nobody => fast has no mutant nobody
";

#[test]
fn bad_input_is_refused_with_what_to_do() {
    assert_eq!(BAD.lines().count(), 39);
    for (words, hints) in BAD.lines().filter_map(|line| line.split_once(" => ")) {
        run(2, words).complains(&hints.split(" | ").collect::<Vec<_>>());
    }
}

/// Starts `synod`, whose output can be read while it runs.
pub(crate) fn piped<S: AsRef<OsStr>>(args: &[S]) -> Child {
    let started = command(args).stdout(Stdio::piped()).spawn();
    started.expect("synod runs")
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut child = piped(&["invariants"]);
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn the_invariants_are_listed_with_their_sentences() {
    let output = synod(&["invariants"]);
    let all = [synod::invariant::ALL, synod::invariant::OF_LOGS].concat();
    assert_eq!(output.stdout.lines().count(), all.len());
    for (line, invariant) in output.stdout.lines().zip(all) {
        assert!(line.starts_with(invariant.name) && line.contains(invariant.statement));
    }
}

#[test]
fn a_busy_port_is_an_error_that_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound").to_string();
    run(2, &format!("explore basic --address {address}")).complains(&[&address]);
}

/// The Explorer on a free port, and the address it says it serves.
pub(crate) fn explorer(args: &[&str]) -> (Running, String) {
    let args = [&["explore", "--address", "127.0.0.1:0"], args].concat();
    let mut child = piped(&args);
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let mut running = Running(child);
    let address = stdout.by_ref().lines().find_map(|line| {
        let line = line.expect("text");
        let start = line.find("http://")?;
        line[start..].split('/').nth(2).map(str::to_owned)
    });
    // Whoever stops reading ends the Explorer, which may have more to say.
    running.0.stdout = Some(stdout.into_inner());
    (running, address.expect("the address is printed"))
}

#[test]
fn a_counterexample_exits_1_and_its_link_opens_that_run_in_a_browser() {
    // A weakened acceptor and a weakened proposer, and what the last step leaves behind.
    opens_in_a_browser("vote-below-promise", 6, "promised 1.2 voted 1.1:x");
    opens_in_a_browser("ignore-vote", 8, "promised 1.2 voted 1.2:y");
}

fn opens_in_a_browser(mutant: &str, length: usize, end: &str) {
    let words = format!("basic --acceptors 1 --ballots 1 --mutant {mutant}");
    let output = run(1, &format!("check {words}"));
    // The run as it is printed: numbered steps, the action first.
    let numbered = |line: &&str| line.trim_start().starts_with(|c: char| c.is_ascii_digit());
    let steps = output.stdout.lines().filter(numbered);
    let action = |step: &str| {
        let (_, step) = step.split_once(". ")?;
        step.split("  ").next().map(str::to_owned)
    };
    let actions: Vec<String> = steps.filter_map(action).collect();
    assert_eq!(actions.len(), length, "{}", output.stdout);
    let explorer: Vec<&str> = words.split(' ').collect();
    the_explorer_shows(&explorer, output.line_after("and open "), &actions, end);
}

/// Red unless the page at `link`, served by `synod explore` with `args`, lists these actions and
/// has a picture with this text.
pub(crate) fn the_explorer_shows(args: &[&str], link: &str, actions: &[String], text: &str) {
    let (_, path) = link.split_once("/#/").expect("a link");
    let (_explorer, address) = explorer(args);
    let Some(page) = page(&format!("http://{address}/#/{path}")) else {
        return;
    };
    let list = page.split("path-list").nth(1);
    let list = list.and_then(|rest| rest.split("</ol>").next());
    let items = list.expect("the page lists the path").split("<li");
    let shown = items.filter_map(|item| item.split("</a>").next()?.rsplit('>').next());
    let shown: Vec<&str> = shown.collect();
    let shown = &shown[shown.len() - actions.len()..];
    assert_eq!(shown, actions, "the page shows another run");
    let has_picture = page.contains("<svg") && page.contains(text);
    assert!(has_picture, "the picture is missing");
}

#[test]
fn the_explorer_survives_browsers_that_hang_up_and_requests_that_make_no_sense() {
    let (_explorer, address) = explorer(&["basic", "--acceptors", "1", "--ballots", "1"]);
    for request in [
        "GET /.states/0/0 HTTP/1.1\r\n",
        "GET /.states/9/9/9 HTTP/1.1\r\nHost: x\r\n\r\n",
        "GET /.states/0/999 HTTP/1.1\r\nHost: x\r\n\r\n",
        "nonsense\r\n\r\n",
    ] {
        let mut stream = connect(&address);
        stream.write_all(request.as_bytes()).expect("sent");
    }
    let answer = request(&address, "GET /.states/0");
    assert!(answer.contains("Propose x"), "{answer}");
}

/// The answer to a request, such as `GET /.status`, of a server that may be about to begin again.
pub(crate) fn request(address: &str, asked: &str) -> String {
    let request = format!("{asked} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let answers = (0..20).find_map(|_| {
        let (mut stream, mut answer) = (connect(address), String::new());
        stream.write_all(request.as_bytes()).ok()?;
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    });
    answers.expect("it answers")
}

/// A connection to a server that may be about to begin again.
fn connect(address: &str) -> TcpStream {
    let attempts = (0..100).find_map(|_| {
        let stream = TcpStream::connect(address);
        if stream.is_err() {
            std::thread::sleep(Duration::from_millis(50));
        }
        stream.ok()
    });
    attempts.expect("it listens again")
}

#[test]
fn a_cluster_over_udp_decides_one_value_though_a_node_is_killed() {
    for faults in ["", "loss=0.2,dup=0.2,reorder=0.2"] {
        for (protocol, seed) in [("basic", "1"), ("basic", "2"), ("fast", "1"), ("fast", "2")] {
            let args = ["cluster", protocol, "--seed", seed, "--faults", faults];
            let agreed = "3 nodes and 2 clients decided";
            run_args(0, &args).prints(&[agreed, "is killed"]);
        }
    }
}

/// A directory, and the words that run a cluster in it.
fn in_directory() -> (TempDir, String) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let words = format!("cluster --dir {}", directory.path().display());
    (directory, words)
}

#[test]
fn a_cluster_that_runs_again_in_its_directory_remembers() {
    let (_directory, words) = in_directory();
    let decision = || run(0, &words).line_after("agreed:").to_owned();
    let first = decision();
    for _ in 0..4 {
        assert_eq!(decision(), first);
    }
}

#[test]
fn a_cluster_of_another_size_does_not_take_over_a_directory() {
    let (directory, words) = in_directory();
    run(0, &format!("{words} --nodes 1"));
    run(2, &format!("{words} --nodes 5")).complains(&["--nodes 1"]);
    // Nor does one that cannot know whose it is.
    std::fs::remove_file(directory.path().join("cluster.toml")).expect("it was written");
    run(2, &format!("{words} --nodes 5")).complains(&["cluster.toml"]);
}

/// The log in the storage of a node.
pub(crate) fn log(storage: &Path) -> PathBuf {
    let files = std::fs::read_dir(storage).expect("it saved something");
    let files = files.map(|file| file.expect("readable").path());
    let is_log = |path: &PathBuf| path.display().to_string().contains("/log-");
    files.into_iter().find(is_log).expect("a log")
}

/// Changes what a file holds, and returns it.
pub(crate) fn damage(path: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut content = std::fs::read(path).expect("it can be read");
    change(&mut content);
    std::fs::write(path, &content).expect("it can be written");
    content
}

#[test]
fn a_cluster_with_a_damaged_storage_refuses_to_start() {
    let (directory, words) = in_directory();
    run(0, &words);
    let log = log(&directory.path().join("node-1.storage"));
    let content = damage(&log, |content| content[20] ^= 1);
    run(2, &words).complains(&["node-1.storage"]);
    let after = std::fs::read(&log).expect("still there");
    assert_eq!(after, content, "a damaged file is left alone");
}

#[test]
fn a_cluster_says_what_it_cuts_off_a_log() {
    let (directory, words) = in_directory();
    run(0, &words);
    for id in 0..3 {
        let log = log(&directory.path().join(format!("node-{id}.storage")));
        // The last bytes are zeros for what is to come; half a record would begin before.
        damage(&log, |content| {
            *content.last_mut().expect("it is not empty") = 1
        });
    }
    let output = run(0, &words);
    assert_eq!(output.stdout.matches("bytes cut off from byte").count(), 3);
}

#[test]
fn simulations_agree_and_a_seed_tells_all_that_happens() {
    let stable = |words: &str| {
        let json = run(0, words).prints(&["\"verdict\":\"holds\""]).stdout;
        let end = json.find("\"seconds\"").expect("the time it took");
        json[..end].to_owned()
    };
    let words = "simulate basic --seeds 50 --json";
    let first = stable(words);
    assert_eq!(first, stable(words));
    assert_ne!(first, stable(&format!("{words} --seed 50")));
    run(0, "simulate basic --nodes 5 --seeds 20");
    run(0, "simulate fast --nodes 4 --seeds 200");
}

#[test]
fn a_store_is_simulated_and_judged() {
    let said = [
        r#""verdict":"holds""#,
        r#""protocol":"multi""#,
        r#""operations":"#,
    ];
    run(0, "simulate multi --seeds 20 --json").prints(&said);
    // A mutant that no run shows is not one that "agreed".
    run(1, "simulate basic --mutant forget-promise").prints(&["not seen: forget-promise"]);
    run(2, "simulate multi --mutant ignore-vote").complains(&["--mutant"]);
    run(2, "simulate basic --clients 2").complains(&["--clients"]);
}

#[test]
fn a_simulation_of_a_broken_rule_finds_a_seed_and_shows_it_again() {
    let mutants = "minority-decides ignore-vote send-before-save forget-decision";
    for mutant in mutants.split(' ') {
        let output = run(1, &format!("simulate basic --seeds 1000 --mutant {mutant}"));
        let again = output.stdout.lines().last().unwrap_or_default();
        let again = again.split_once("See it again: synod ").expect("how").1;
        let repeated = run(1, again);
        assert_eq!(output.line_after("seed "), repeated.line_after("seed "));
    }
}
