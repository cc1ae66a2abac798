use super::*;
use crate::models::simulate::{End, Simulated, Tally, run};
use stateright::actor::{Command as Wish, Id, Out};
use std::borrow::Cow;
use synod::kv::Reply;
use synod::machine::Machine;
use synod::multi::{Alarm, Durable, Message, NodeState, Operation, Outcome};

/// A rule that a node breaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rule {
    /// An acceptor lets others in while it has promised not to.
    IgnoreLease,
    /// A leader reads before it knows whether it still leads.
    ReadUnconfirmed,
    /// A command that is asked for again is carried out again.
    ApplyAgain,
    /// A learner takes what is proposed for what is decided.
    MinorityDecides,
}

/// The shipped process with a rule broken.
struct Broken {
    process: Process<Store>,
    rule: Rule,
}

/// So much is added to the numbers of commands to make them new.
const SHIFT: u64 = 1_000;

fn forget_grant(node: &mut NodeState<Store>) {
    if let Some(acceptor) = &mut node.acceptor {
        acceptor.grant = None;
    }
}

impl Broken {
    /// What the process is told instead; nothing if it was answered here.
    fn alter_input(
        &self,
        state: &mut Cow<ProcessState<Store>>,
        from: Id,
        mut message: Message<Command, Reply>,
        out: &mut Out<Self>,
    ) -> Option<Message<Command, Reply>> {
        if let ProcessState::Node(node) = state.to_mut() {
            match (self.rule, &mut message) {
                (Rule::IgnoreLease, _) => forget_grant(node),
                (Rule::ReadUnconfirmed, Message::Read { seq, query, .. }) if node.is_leading() => {
                    let machine = node.learner.as_ref()?.sessions.machine();
                    let (seq, outcome) = (*seq, Outcome::Done(machine.read(query)?));
                    out.send(from, Message::Reply { seq, outcome });
                    return None;
                }
                (Rule::ApplyAgain, Message::Request(request)) => {
                    if let Operation::Do { seq, .. } = &mut request.operation {
                        *seq += SHIFT * node.decided().0;
                    }
                }
                (Rule::MinorityDecides, Message::Accept { slot, vote }) => {
                    let (from, entries) = (*slot, vec![vote.value.clone()]);
                    message = Message::Entries { from, entries };
                }
                _ => {}
            }
        }
        Some(message)
    }
}

impl Actor for Broken {
    type Msg = Message<Command, Reply>;
    type Timer = Alarm;
    type State = ProcessState<Store>;
    type Storage = Durable<Store>;
    type Random = ();

    fn on_start(&self, id: Id, saved: &Option<Durable<Store>>, out: &mut Out<Self>) -> Self::State {
        let mut inner = Out::new();
        let state = self.process.on_start(id, saved, &mut inner);
        out.append(&mut inner);
        state
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<Self::State>,
        from: Id,
        message: Self::Msg,
        out: &mut Out<Self>,
    ) {
        let Some(message) = self.alter_input(state, from, message, out) else {
            return;
        };
        let mut inner = Out::new();
        self.process.on_msg(id, state, from, message, &mut inner);
        let handed_on = inner.into_iter().map(|wish| match wish {
            Wish::Send(to, Message::Reply { seq, outcome }) if self.rule == Rule::ApplyAgain => {
                let seq = seq % SHIFT;
                Wish::Send(to, Message::Reply { seq, outcome })
            }
            wish => wish,
        });
        out.append(&mut handed_on.collect::<Out<Self>>());
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<Self::State>, alarm: &Alarm, out: &mut Out<Self>) {
        if let (Rule::IgnoreLease, ProcessState::Node(node)) = (self.rule, state.to_mut()) {
            forget_grant(node);
        }
        let mut inner = Out::new();
        self.process.on_timeout(id, state, alarm, &mut inner);
        out.append(&mut inner);
    }
}

/// One run of the protocol with a rule broken: all that happened as a number, and what is wrong.
fn run_broken(rule: Rule, seed: u64) -> (u64, Option<String>) {
    let wrap = |process| Broken { process, rule };
    let mut workload = Replicated::new(3, 3, seed, wrap).expect("a sound cluster");
    let Simulated { tally, end } = run(&mut workload, seed);
    match end {
        End::Wrong(wrong) => (tally.hash, Some(wrong)),
        End::Over | End::Late => (tally.hash, None),
    }
}

fn finds(rule: Rule, sign: &str) {
    let found = (0..2000).find_map(|seed| {
        let (hash, wrong) = run_broken(rule, seed);
        wrong.map(|wrong| (seed, hash, wrong))
    });
    let (seed, hash, wrong) = found.unwrap_or_else(|| panic!("{rule:?} is not found"));
    println!("{rule:?}, seed {seed}: {wrong}");
    assert!(wrong.contains(sign), "{rule:?}, seed {seed}: {wrong}");
    // And a seed tells all that happens.
    assert_eq!(run_broken(rule, seed), (hash, Some(wrong)));
}

#[test]
fn a_lease_that_is_not_kept_shows() {
    finds(Rule::IgnoreLease, "not linearizable");
}

#[test]
fn a_read_by_who_may_not_lead_any_more_shows() {
    finds(Rule::ReadUnconfirmed, "not linearizable");
}

#[test]
fn a_command_that_is_carried_out_twice_shows() {
    finds(Rule::ApplyAgain, "not linearizable");
}

#[test]
fn a_learner_that_does_not_wait_for_a_quorum_shows() {
    finds(Rule::MinorityDecides, "in slot");
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
