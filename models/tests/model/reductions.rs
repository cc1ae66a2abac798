//! No reduction may change a verdict, or what can be found.

use std::collections::BTreeSet;
use synod::checker::search::{Limits, Outcome, Report, Verdict};
use synod::models::protocol;

/// Configurations that are small, and that differ in what they exercise.
const SMALL: [&str; 10] = [
    "multi --slots 1",
    "multi --slots 1 --crashes 1 --clients 1",
    "multi --slots 1 --layout learning --clients 1",
    "multi --slots 1 --layout colocated --snapshot 1 --chunk 8 --clients 1",
    "multi --slots 1 --acceptors 1 --clients 1 --replies on --reads index",
    // What a leader keeps by acceptor must follow a permutation too.
    "multi --slots 1 --proposers 1 --clients 1 --replies on --reads index",
    "fast",
    "fast --crashes 1",
    "fast --acceptors 2 --coordinators 2",
    "fast --acceptors 2 --ballots 3 --fast-rounds 2",
];

fn exhaust(words: &str) -> Report {
    let model = protocol::parse(words).expect("well-formed flags");
    let report = model.search(Limits::default(), None, None, &mut |_| {});
    report.expect("a sound model")
}

#[test]
fn no_reduction_changes_the_verdict_or_what_can_be_found() {
    for words in SMALL {
        let expected = exhaust(words);
        let found = |report: &Report| {
            let findings = report.findings.iter();
            let found = findings.map(|it| (it.property, matches!(it.outcome, Outcome::Found)));
            found.collect::<BTreeSet<_>>()
        };
        assert_ne!(expected.verdict, Verdict::Bounded, "{words}");
        for reduction in ["symmetry", "drop-stale", "forget", "postpone"] {
            let words = format!("{words} --{reduction} off");
            let report = exhaust(&words);
            assert_eq!(report.verdict, expected.verdict, "{words}");
            assert_eq!(found(&report), found(&expected), "{words}");
            if reduction == "symmetry" {
                // Orbits add up to all there is.
                let concrete = expected.concrete.expect("the collapse engine counts");
                assert_eq!(report.reached.unique_states as u128, concrete, "{words}");
            }
        }
    }
}
