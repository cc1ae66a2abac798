//! Every mutant must be caught by its invariant, and the protocol as it was written must not be.

use super::violation;
use std::collections::BTreeSet;
use synod::checker::search::{Limits, Report, Verdict};
use synod::invariant;
use synod::models::protocol::{self, AnyProtocol, Model, Rule};

/// Searches a model for violations of one property, or of any.
fn search(model: &dyn Model, property: Option<&'static str>, limits: Limits) -> Report {
    let report = model.search(limits, None, property, &mut |_| {});
    report.expect("a sound model")
}

/// The smallest model that is known to kill a mutant, and the same without the bug.
fn pair(protocol: &dyn AnyProtocol, mutant: &Rule, reductions: &str) -> [Box<dyn Model>; 2] {
    let flags = format!("{} {} {reductions}", mutant.needs, mutant.smallest);
    let broken = protocol::smallest(protocol, mutant).expect("well-formed flags");
    let real = protocol::model(protocol, &flags).expect("well-formed flags");
    [broken, real]
}

fn mutants(is_harmless: bool) -> impl Iterator<Item = (&'static dyn AnyProtocol, Rule)> {
    protocol::ALL.iter().flat_map(move |protocol| {
        let mutants = protocol.mutants().into_iter();
        let mutants = mutants.filter(move |mutant| mutant.is_harmless() == is_harmless);
        mutants.map(|mutant| (*protocol, mutant))
    })
}

#[test]
fn every_invariant_is_a_property_of_the_model_and_catches_a_mutant() {
    let decree = invariant::ALL.iter().map(|summary| summary.property);
    let decree: BTreeSet<&str> = decree.collect();
    let log = invariant::OF_LOGS.iter().map(|summary| summary.property);
    let all: BTreeSet<&str> = decree.iter().copied().chain(log).collect();
    let mut caught = BTreeSet::new();
    for protocol in protocol::ALL {
        let breaks = protocol.mutants().into_iter().map(|mutant| mutant.breaks);
        let breaks: BTreeSet<&str> = breaks.filter(|breaks| !breaks.is_empty()).collect();
        assert!(breaks.is_superset(&decree), "{}", protocol.name());
        let model = protocol::model(*protocol, "--replies on").expect("well-formed flags");
        let properties = model.properties().expect("a sound configuration");
        let properties: BTreeSet<&str> = properties.into_iter().collect();
        assert!(properties.is_superset(&breaks), "{}", protocol.name());
        caught.extend(breaks);
    }
    assert_eq!(caught, all);
}

#[test]
fn every_mutant_is_caught_by_its_invariant_and_the_real_protocol_is_not() {
    for (protocol, mutant) in mutants(false) {
        // What is stale is a claim about the real protocol, which may therefore use it.
        let [broken, real] = pair(protocol, &mutant, "--drop-stale on");
        let name = format!("{} {}", protocol.name(), mutant.name);
        let report = search(broken.as_ref(), Some(mutant.breaks), Limits::default());
        let steps = violation(&report).map_or(0, |trace| trace.steps.len());
        assert!(steps > 0, "{name} survives");
        // Where all of it takes too long here, it is pinned.
        let limits = Limits {
            states_max: Some(200_000),
            ..Limits::default()
        };
        let report = search(real.as_ref(), Some(mutant.breaks), limits);
        assert_ne!(report.verdict, Verdict::Violated, "{name} without the bug");
        let is_deep = report.complete_depth >= Some(steps.min(12));
        let depth = report.complete_depth;
        assert!(report.is_exhausted || is_deep, "{name}: {depth:?}");
    }
}

/// A harmless change is made, and all that it leads to is visited. It is told by steps, not
/// states: an order of messages that only the change allows may lead to a known state.
#[test]
fn what_does_no_harm_is_done_and_breaks_nothing() {
    for (protocol, mutant) in mutants(true) {
        let models = pair(protocol, &mutant, "");
        let [changed, real] = models.map(|it| search(it.as_ref(), None, Limits::default()));
        let name = format!("{} {}", protocol.name(), mutant.name);
        // An example that is not found any more is no harm: the change may prevent it.
        let holds = changed.is_exhausted && violation(&changed).is_none();
        assert!(holds, "{name}");
        let (changed, real) = (changed.reached.transitions, real.reached.transitions);
        assert_ne!(changed, real, "{name} is never done");
    }
}
