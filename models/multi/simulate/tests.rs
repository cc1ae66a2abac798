use super::super::mutants::forget_grant;
use super::*;
use crate::models::mutant::Mutant;
use crate::models::simulate::{End, Simulated, Tally, run};
use std::collections::BTreeMap;
use synod::machine::Machine;
use synod::multi::{Message, Operation, Outcome};

type Rule = Mutant<Process<Store>>;

static IGNORE_LEASE: Rule = Mutant {
    name: "An acceptor lets others in while it has promised not to.",
    alter_input: |_, node, _, _| forget_grant(node),
    ..Mutant::NONE
};

static READ_UNCONFIRMED: Rule = Mutant {
    name: "A leader reads before it knows whether it still leads.",
    extra_send: |step, node| match (step.message, &node.learner) {
        (Message::Read { seq, query, .. }, Some(learner)) if node.is_leading() => {
            let reply = learner.sessions.machine().read(query);
            let outcome = reply.map(Outcome::Done).into_iter();
            let reply = |outcome| (step.src, Message::Reply { seq: *seq, outcome });
            outcome.map(reply).collect()
        }
        _ => Vec::new(),
    },
    ..Mutant::NONE
};

/// So much is added to the numbers of commands to make them new.
const SHIFT: u64 = 1_000;

static APPLY_AGAIN: Rule = Mutant {
    name: "A command that is asked for again is carried out again.",
    alter_input: |_, node, _, message| {
        if let Message::Request(request) = message
            && let Operation::Do { seq, .. } = &mut request.operation
        {
            *seq += SHIFT * node.decided().0;
        }
    },
    alter_output: |_, message| {
        if let Message::Reply { seq, .. } = message {
            *seq %= SHIFT;
        }
    },
    ..Mutant::NONE
};

static MINORITY_DECIDES: Rule = Mutant {
    name: "A learner takes what is proposed for what is decided.",
    alter_input: |_, _, _, message| {
        if let Message::Accept { slot, vote } = message {
            let (from, entries) = (*slot, vec![vote.value.clone()]);
            *message = Message::Entries { from, entries };
        }
    },
    ..Mutant::NONE
};

/// One run of the protocol with a rule broken: all that happened as a number, and what is wrong.
fn run_broken(rule: &'static Rule, seed: u64) -> (u64, Option<String>) {
    let mut workload = Replicated::new(3, 3, seed, Some(rule)).expect("a sound cluster");
    let Simulated { tally, end } = run(&mut workload, seed);
    match end {
        End::Wrong(wrong) => (tally.hash, Some(wrong)),
        End::Over | End::Late => (tally.hash, None),
    }
}

fn finds(rule: &'static Rule, sign: &str) {
    let found = (0..2000).find_map(|seed| {
        let (hash, wrong) = run_broken(rule, seed);
        wrong.map(|wrong| (seed, hash, wrong))
    });
    let (seed, hash, wrong) = found.unwrap_or_else(|| panic!("{rule:?} is not found"));
    println!("{rule:?} Seed {seed}: {wrong}");
    assert!(wrong.contains(sign), "{rule:?} Seed {seed}: {wrong}");
    // And a seed tells all that happens.
    assert_eq!(run_broken(rule, seed), (hash, Some(wrong)));
}

#[test]
fn a_lease_that_is_not_kept_shows() {
    finds(&IGNORE_LEASE, "not linearizable");
}

#[test]
fn a_read_by_who_may_not_lead_any_more_shows() {
    finds(&READ_UNCONFIRMED, "not linearizable");
}

#[test]
fn a_command_that_is_carried_out_twice_shows() {
    finds(&APPLY_AGAIN, "not linearizable");
}

#[test]
fn a_learner_that_does_not_wait_for_a_quorum_shows() {
    finds(&MINORITY_DECIDES, "in slot");
}

#[test]
fn what_is_rare_in_earnest_happens_here() {
    let mut sum = Tally::default();
    for seed in 0..60 {
        let plan = Plan {
            nodes: 5,
            clients: None,
        };
        let run = simulate(&plan, seed).expect("a sound cluster");
        match run.end {
            End::Over => sum.add(&run.tally),
            End::Late => panic!("seed {seed} is not over"),
            End::Wrong(wrong) => panic!("seed {seed}: {wrong}"),
        }
    }
    let notes = sum.notes.iter().copied().collect::<BTreeMap<_, _>>();
    for (what, least) in [
        ("operations", 2000),
        ("of unknown outcome", 1),
        ("leaderships", 120),
        ("snapshots fetched", 60),
    ] {
        assert!(notes[what] >= least, "{what}: {notes:?}");
    }
}
