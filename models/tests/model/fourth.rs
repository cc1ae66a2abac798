//! A fourth protocol goes through everything that the commands do.

use super::two_phase::{ATOMIC, Process};
use super::{limits, violation};
use std::io::{Read, Write};
use std::marker::PhantomData;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;
use synod::checker::search::{Engine, Report, Verdict};
use synod::models::protocol::{self, AnyProtocol, Model};
use synod::models::scenarios;
use synod::models::simulate::{End, Plan};

const FOURTH: &dyn AnyProtocol = &PhantomData::<Process>;

fn model(flags: &str) -> Box<dyn Model> {
    protocol::model(FOURTH, flags).expect("well-formed flags")
}

fn search(model: &dyn Model, engine: Engine) -> Report {
    let report = model.search(limits(engine), None, None, &mut |_| {});
    report.expect("a sound model")
}

/// Red if either engine loses a state: they count on their own.
#[test]
fn it_is_checked_by_both_engines() {
    let (three, slow) = (
        "--participants 3 --refusals 1",
        "--crashes 1 --storage split",
    );
    for flags in ["", three, slow] {
        let model = model(flags);
        let counts = [Engine::Collapse, Engine::Stateright].map(|engine| {
            let report = search(model.as_ref(), engine);
            assert_eq!(report.verdict, Verdict::Holds, "{flags}");
            (report.reached.unique_states, report.reached.transitions)
        });
        assert_eq!(counts[0], counts[1], "{flags}");
        assert_eq!(model.flags(), flags);
    }
}

#[test]
fn its_mutants_die() {
    for mutant in FOURTH.mutants() {
        let killer = protocol::smallest(FOURTH, &mutant).expect("well-formed flags");
        let report = search(killer.as_ref(), Engine::Collapse);
        assert!(violation(&report).is_some(), "{}", mutant.name);
        let real = format!("{} {}", mutant.needs, mutant.smallest);
        let report = search(model(&real).as_ref(), Engine::Collapse);
        assert_ne!(report.verdict, Verdict::Violated, "{}", mutant.name);
    }
}

#[test]
fn a_scenario_of_it_is_played() {
    let scenario = scenarios::parse(
        r#"
title = "One refuses"
teaches = "Nobody commits unless all can."
check = "two-phase"
story = "Two participants, of which the first votes against."
step = [{ take = ["0 timeout ()", "0→1 Prepare", "1→0 Vote(false)"], why = "It decides alone." }]
end = { chosen = ["false"], found = ["Decided"], moral = "One vote is enough to abort." }
"#,
    );
    let run = model("--refusals 1").play(&scenario.expect("well-formed"));
    let run = run.unwrap_or_else(|error| panic!("{error}"));
    let is_met = run.checks.iter().all(scenarios::Check::is_met);
    assert!(is_met, "{:?}", run.checks);
}

#[test]
fn it_opens_in_the_explorer() {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let address = address.expect("a free port");
    // The server ends with the tests.
    std::thread::spawn(move || model("").serve(address));
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.write_all(b"GET /.status HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    let answer = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(50));
        ask().ok()
    });
    assert!(answer.expect("the Explorer answers").contains(ATOMIC));
}

#[test]
fn it_is_simulated() {
    let (nodes, clients) = (3, None);
    let wrong = |mutant, seed| {
        let run = FOURTH.simulate(&Plan { nodes, clients }, mutant, seed);
        matches!(run.expect("a sound cluster").end, End::Wrong(_))
    };
    assert!((0..50).all(|seed| !wrong(None, seed)));
    assert!((0..50).any(|seed| wrong(Some("one-vote-commits"), seed)));
}
