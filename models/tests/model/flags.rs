//! A configuration is its flags: what asks for it again is derived from them.

use clap::{Arg, Command};
use std::collections::BTreeSet;
use synod::models::protocol::{self, AnyProtocol, Model};

fn parse(words: &str) -> Box<dyn Model> {
    protocol::parse(words).unwrap_or_else(|error| panic!("{words}: {error}"))
}

/// A value that an argument takes and that is not its default.
fn other_value(command: &Command, arg: &Arg) -> String {
    let default = arg.get_default_values().first().and_then(|it| it.to_str());
    let possible = arg.get_possible_values();
    let named = possible.iter().map(|value| value.get_name().to_owned());
    // Numbers, pairs of numbers, and the two ways to name quorums.
    let others = ["7", "2,9", "flexible:2,2", "fast:3,3"].map(str::to_owned);
    let takes = |value: &String| {
        let flag = format!("--{}", arg.get_long().expect("every argument is a flag"));
        let words = [command.get_name(), flag.as_str(), value.as_str()];
        Some(value.as_str()) != default && command.clone().try_get_matches_from(words).is_ok()
    };
    let value = named.chain(others).find(takes);
    value.unwrap_or_else(|| panic!("--{} takes no other value", arg.get_id()))
}

/// Every flag of a protocol but `--mutant`, with a value that changes something.
fn changes(protocol: &dyn AnyProtocol) -> Vec<(String, String)> {
    let command = protocol.command();
    let about = command.get_about().map(ToString::to_string);
    assert_eq!(about.as_deref(), Some(protocol.about()));
    let arguments = command.get_arguments();
    let arguments = arguments.filter(|arg| arg.get_id() != "mutant");
    let changes: Vec<_> = arguments
        .filter_map(|arg| Some((format!("--{}", arg.get_long()?), other_value(&command, arg))))
        .collect();
    assert!(changes.len() >= 12, "{changes:?}");
    changes
}

/// Red if a setting is left out of what asks for a configuration again.
#[test]
fn every_flag_that_changes_something_is_in_the_command() {
    for protocol in protocol::ALL {
        let plain = parse(protocol.name());
        assert_eq!(plain.command(), protocol.name());
        let mut descriptions = BTreeSet::from([plain.settings().describe()]);
        for (flag, value) in changes(*protocol) {
            let command = format!("{} {flag} {value}", protocol.name());
            let model = parse(&command);
            assert_eq!(model.command(), command);
            assert_eq!(parse(&model.command()).settings(), model.settings());
            let is_new = descriptions.insert(model.settings().describe());
            assert!(is_new, "{command}");
            // What is given and changes nothing is left out; what contradicts is noticed.
            let contradicted = plain.settings().contradicts(model.settings());
            assert_eq!(contradicted, Some(format!("{flag} {value}")));
            assert_eq!(model.settings().contradicts(plain.settings()), None);
        }
        let all = changes(*protocol).into_iter();
        let all = all.map(|(flag, value)| format!(" {flag} {value}"));
        let command = format!("{}{}", protocol.name(), all.collect::<String>());
        assert_eq!(parse(&command).command(), command);
    }
}

#[test]
fn a_default_that_is_given_is_left_out_of_the_command() {
    let model = parse("basic --ballots 2 --acceptors 4");
    assert_eq!(model.command(), "basic --acceptors 4");
}

#[test]
fn a_mutant_implies_what_it_needs_and_flags_have_the_last_word() {
    let model = parse("basic --ballots 1 --mutant forget-promise");
    assert_eq!(model.command(), "basic --ballots 1 --mutant forget-promise");
    let described = model.settings().describe();
    assert!(described.contains("1 crash, 2 proposers"), "{described}");
    let is_last = described.ends_with("drop-stale off, forget off");
    assert!(is_last, "{described}");
    let words = "basic --crashes 2 --drop-stale on --mutant forget-promise";
    let described = parse(words).settings().describe();
    assert!(described.contains("2 crashes") && described.ends_with("1 learner, forget off"));
    assert_eq!(parse(words).command(), words);
}
