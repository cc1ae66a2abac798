//! Runs as pages, in a browser: by keyboard, and in the Explorer.

use super::browser::page;
use super::command::{explorer, request};
use super::support::synod;
use std::fs;
use std::path::Path;
use std::time::Duration;
use synod::models::protocol;
use tempfile::TempDir;

/// The least run by which a proposer comes to light that ignores votes.
const IGNORE_VOTE: &str = "basic --acceptors 1 --ballots 1 --mutant ignore-vote";
const AGREEMENT: &str = "Agreement: At most one value is ever chosen or decided.";

/// Presses keys, and writes down after each which steps are visible; `KIND=x` filters.
const DRIVER: &str = "
<script>addEventListener('load', () => {
  const seen = document.createElement('pre');
  for (const key of KEYS) {
    if (key.startsWith('KIND=')) {
      document.querySelector('#kind').value = key.slice(5);
      document.querySelector('#kind').dispatchEvent(new Event('change'));
    } else {
      const options = { key, bubbles: true, cancelable: true };
      document.body.dispatchEvent(new KeyboardEvent('keydown', options));
    }
    const items = [...document.querySelectorAll('.steps li')];
    const visible = items.filter((item) => getComputedStyle(item).display !== 'none');
    const words = visible.map((item) => item.innerText.replace(/\\s+/g, ' '));
    seen.textContent += `@${location.hash} ${words.join(' & ')}`;
  }
  document.body.replaceChildren(seen);
});</script>";

/// What a page shows after each key.
fn drive(dir: &TempDir, args: &[&str], keys: &[&str]) -> Option<Vec<String>> {
    let path = dir.path().join("run.html");
    let asked = [args, &["--html", path.to_str().expect("a path in UTF-8")]].concat();
    let output = synod(&asked);
    assert!(output.code < Some(2), "{args:?}: {}", output.stderr);
    let html = fs::read_to_string(&path).expect("a page is written");
    assert!(
        !html.contains("http:") || args[0] == "check",
        "a page needs nothing else"
    );
    let driver = DRIVER.replace("KEYS", &serde_json::to_string(keys).expect("JSON"));
    fs::write(&path, html + &driver).expect("written");
    let shown = page(&format!("file://{}", path.display()))?;
    let (_, seen) = shown.split_once("<pre>@").expect("the keys are pressed");
    let seen = seen.split("</pre>").next().unwrap_or_default();
    let seen: Vec<String> = seen.split('@').map(|it| it.replace("&amp;", "&")).collect();
    assert_eq!(seen.len(), keys.len(), "{seen:?}");
    Some(seen)
}

#[test]
fn a_page_is_read_by_keyboard() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = [
        "ArrowRight",
        "End",
        "ArrowRight",
        "ArrowLeft",
        "Home",
        "KIND=Nack",
        "ArrowRight",
    ];
    let Some(seen) = drive(&dir, &["scenarios", "duel"], &keys) else {
        return;
    };
    for (seen, (begins, says)) in seen.iter().zip([
        (
            "#1 Both set out 1 6→3 Propose x",
            "Two clients, two proposers",
        ),
        ("#48 And once more 48 4 timeout Retry", "✓ chosen: nothing"),
        ("#48 ", "backoff shows what is done about it"),
        ("#47 And once more 47 0→4 Nack 6.3", "preempted by 6.3"),
        (
            "#0 0 the start",
            "Two proposers, 3 with x and 4 with y, out of step",
        ),
        ("#0 ", ""),
        (
            "#12 Each outbids the other 12 0→3 Nack 1.4",
            "ballot 1.3 preempted by 1.4",
        ),
    ]) {
        assert!(
            seen.starts_with(begins) && seen.contains(says),
            "{begins}: {seen}"
        );
        assert!(!seen.contains(" & "), "one step at a time: {seen}");
    }
    let keys = ["End", "ArrowLeft", "ArrowLeft", "ArrowLeft"];
    let Some(seen) = drive(&dir, &["scenarios", "leader-change"], &keys) else {
        return;
    };
    assert!(seen[0].contains("27 4→3 Entries [0] [no-op]") && seen[0].contains("✓ Filled: "));
    assert!(
        seen[3].contains("observer was chosen: [0] no-op and [1] 6#0 y is"),
        "{seen:?}"
    );
}

#[test]
fn a_page_names_what_is_violated_from_the_step_on_that_does_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let args: Vec<&str> = ["check"]
        .into_iter()
        .chain(IGNORE_VOTE.split(' '))
        .collect();
    let Some(seen) = drive(&dir, &args, &["End", "ArrowLeft"]) else {
        return;
    };
    let (name, sentence) = AGREEMENT.split_once(": ").expect("a name");
    let words = format!("8 2→0 Accept 1.2:y ✗ {name} is violated: {sentence}");
    assert!(seen[0].contains(&words), "{seen:?}");
    assert!(!seen[1].contains("violated"), "{seen:?}");
}

/// The steps, their changes and what they violate, as data.
#[test]
fn a_page_has_every_step_with_what_it_changes() {
    let model = protocol::parse(IGNORE_VOTE).expect("a model");
    let page = model
        .page("0/2/0/1/1/12/2/10/3")
        .expect("the run of the README");
    assert_eq!(page.steps.len(), 9);
    let vote = &page.steps[4];
    assert_eq!((&*vote.text, &*vote.kind), ("1→0 Accept 1.1:x", "Accept"));
    assert_eq!(vote.actors, [0, 1]);
    let said = |subject: &str| {
        let change = vote.changes.iter().find(|it| it.subject == subject);
        change.map(|it| {
            it.says
                .iter()
                .map(|(verb, text)| format!("{verb} {text}"))
                .collect()
        })
    };
    let acceptor: Option<Vec<String>> = said("0 acceptor");
    let states = ["was promised 1.1 voted ∅", "is promised 1.1 voted 1.1:x"];
    assert_eq!(acceptor.expect("it votes")[..2], states);
    assert_eq!(
        said("observer").expect("chosen"),
        ["was chosen: nothing", "is chosen: x"]
    );
    assert_eq!(page.steps[7].violated, []);
    assert!(page.steps[8].violated.contains(&(AGREEMENT, 8)));
    assert!(model.page("0/2/999").is_err() && model.page("").is_err());
}

#[test]
fn the_explorer_names_what_is_violated_and_what_was_chosen() {
    let args: Vec<&str> = IGNORE_VOTE.split(' ').collect();
    let told = synod(&[&["check"], args.as_slice()].concat()).stdout;
    let link = told.lines().find_map(|line| line.strip_prefix("and open "));
    let (_, path) = link.and_then(|it| it.split_once("/#/")).expect("a link");
    let (_explorer, address) = explorer(&args);
    let check = || {
        let Some(shown) = page(&format!("http://{address}/#/{path}")) else {
            return;
        };
        for words in [
            format!("✗ violated: {AGREEMENT}"),
            "chosen: x and y".to_owned(),
            "Basic Paxos: 1 acceptor".to_owned(),
            "ignore-vote".to_owned(),
        ] {
            assert!(shown.contains(&words), "{words}:\n{shown}");
        }
    };
    check();
    request(&address, "POST /.runtocompletion");
    let is_done = |_| {
        std::thread::sleep(Duration::from_millis(100));
        request(&address, "GET /.status").contains("\"done\":true")
    };
    assert!((0..100).any(is_done), "every state is visited in no time");
    check();
}

/// The pages of all scenarios and mutants are written by a search that takes minutes: here the
/// refusal of what cannot be a page.
#[test]
fn a_page_is_of_one_run() {
    for (args, says) in [
        (&["scenarios", "--html", "x"][..], "a scenario, or --all"),
        (&["scenarios", "--all"], "--html"),
        (&["scenarios", "duel", "--all", "--html", "x"], "--all"),
        (&["check", "--all", "--html", "x"], "--html"),
        (&["scenarios", "duel", "--html", "/nowhere/x"], "/nowhere/x"),
    ] {
        let output = synod(args);
        assert_eq!(output.code, Some(2), "{args:?}");
        assert!(output.stderr.contains(says), "{args:?}: {}", output.stderr);
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("none.html");
    let path = path.to_str().expect("a path in UTF-8");
    let output = synod(&[
        "check",
        "basic",
        "--acceptors",
        "1",
        "--ballots",
        "1",
        "--html",
        path,
    ]);
    assert!(output.code == Some(0) && output.stderr.contains("no counterexample"));
    assert!(!Path::new(path).exists());
}
