//! Two-phase commit, a protocol that is no Paxos. Gray, Notes on Data Base Operating Systems, 1978.

use clap::Args;
use serde::{Deserialize, Serialize};
use stateright::Property;
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;
use synod::checker::{System, World, WorldState};
use synod::models::config::{Assumptions, ConfigError, Flags};
use synod::models::mutant::{Breakable, Broken, Mutant, Mutated};
use synod::models::protocol::Protocol;
use synod::models::simulate::{self, Plan, Simulated};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) enum Message {
    Prepare,
    Vote(bool),
    Decide(bool),
}

/// The coordinator, which is process 0, or a participant.
#[derive(Clone, Debug)]
pub(crate) struct Process(Config);

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    yes: BTreeSet<usize>,
    decided: Option<bool>,
}

const MS: Duration = Duration::from_millis(1);

fn decide(state: &mut State, commits: bool, out: &mut Out<Process>) {
    state.decided = Some(commits);
    out.save(Process::durable(state));
}

impl Actor for Process {
    type Msg = Message;
    type State = State;
    type Timer = ();
    type Random = ();
    type Storage = u8;

    fn on_start(&self, id: Id, saved: &Option<u8>, out: &mut Out<Self>) -> State {
        let refuses = (1..=self.0.refusals).contains(&id.into());
        let decided = saved.filter(|it| *it > 0).map(|it| it == 2);
        let (yes, decided) = (BTreeSet::new(), decided.or(refuses.then_some(false)));
        if id == Id::from(0) {
            out.set_timer((), MS..2 * MS);
        }
        State { yes, decided }
    }

    fn on_msg(&self, id: Id, state: &mut Cow<State>, src: Id, msg: Message, out: &mut Out<Self>) {
        let is_open = state.decided.is_none();
        match msg {
            Message::Prepare => {
                out.send(src, Message::Vote(usize::from(id) > self.0.refusals));
            }
            Message::Vote(true) if is_open && !state.yes.contains(&src.into()) => {
                state.to_mut().yes.insert(src.into());
                if state.yes.len() == self.0.participants {
                    decide(state.to_mut(), true, out);
                }
            }
            Message::Vote(false) if is_open => decide(state.to_mut(), false, out),
            Message::Decide(commits) if is_open => decide(state.to_mut(), commits, out),
            Message::Vote(_) | Message::Decide(_) => {}
        }
    }

    fn on_timeout(&self, _: Id, state: &mut Cow<State>, (): &(), out: &mut Out<Self>) {
        let message = state.decided.map_or(Message::Prepare, Message::Decide);
        (1..=self.0.participants).for_each(|to| out.send(to.into(), message));
        out.set_timer((), MS..2 * MS);
    }
}

#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct Config {
    /// Participants.
    #[arg(long, default_value_t = 2)]
    participants: usize,
    /// Participants that abort and vote against.
    #[arg(long, default_value_t = 0)]
    refusals: usize,
    #[command(flatten)]
    world: Assumptions,
}

#[derive(Clone)]
pub(crate) struct TwoPhase(Vec<Mutated<Process>>);

pub(crate) const ATOMIC: &str = "Atomicity: no process commits while another aborts.";

fn decided(state: &WorldState<TwoPhase>) -> BTreeSet<bool> {
    state.states().filter_map(|state| state.decided).collect()
}

impl System for TwoPhase {
    type Actor = Mutated<Process>;
    type History = ();

    fn actors(&self) -> &[Mutated<Process>] {
        &self.0
    }

    fn properties(&self) -> Vec<Property<World<Self>>> {
        vec![
            Property::always(ATOMIC, |_, state| decided(state).len() < 2),
            Property::sometimes("Decided: one decides.", |_, state| {
                !decided(state).is_empty()
            }),
        ]
    }
}

impl Breakable for Process {
    type Cluster = Self;
    type Node = State;

    fn node<'a>(&'a self, state: &'a mut State) -> Option<(&'a Self, &'a mut State)> {
        Some((self, state))
    }

    fn durable(node: &State) -> u8 {
        node.decided.map_or(0, |commits| 1 + u8::from(commits))
    }
}

static MUTANTS: &[Mutant<Process>] = &[
    Mutant {
        name: "one-vote-commits",
        sentence: "The coordinator takes the first vote for those of all participants.",
        breaks: ATOMIC,
        source: "a classic: unanimity taken for a majority",
        smallest: "--participants 2 --refusals 1",
        alter_input: |process, state, src, message| {
            if *message == Message::Vote(true) {
                let all = 1..=process.0.participants;
                state.yes = all.filter(|it| *it != src.0 as usize).collect();
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "presume-abort",
        sentence: "A process that restarts has aborted, whatever it decided.",
        breaks: ATOMIC,
        source: "a decision that is kept in memory alone",
        needs: "--crashes 1 --drop-stale off --forget off",
        smallest: "--participants 1",
        restore: |saved| *saved = 1,
        ..Mutant::NONE
    },
];

impl Protocol for Process {
    const NAME: &'static str = "two-phase";
    const TITLE: &'static str = "Two-phase commit";
    const ABOUT: &'static str = "Two-phase commit: all participants commit, or none";
    type Config = Config;
    type System = TwoPhase;

    fn mutants() -> impl Iterator<Item = &'static Mutant<Self>> {
        MUTANTS.iter()
    }

    fn system(config: &Config, mutant: Broken<Self>) -> Result<TwoPhase, ConfigError> {
        let process = |_| Mutated::new(Process(config.clone()), mutant);
        Ok(TwoPhase((0..=config.participants).map(process).collect()))
    }

    fn world(config: &Config) -> &Assumptions {
        &config.world
    }

    fn chosen(_: &TwoPhase, state: &WorldState<TwoPhase>) -> Vec<String> {
        decided(state).iter().map(bool::to_string).collect()
    }

    fn simulate(plan: &Plan, mutant: Broken<Self>, seed: u64) -> Result<Simulated, String> {
        let mut config = Config::plain();
        (config.participants, config.refusals) = (plan.nodes as usize, seed as usize % 2);
        let TwoPhase(actors) = Self::system(&config, mutant).map_err(|it| it.to_string())?;
        let (servers, decided) = (actors.len(), |state: &State| state.decided);
        Ok(simulate::one_decision(
            actors,
            servers,
            decided,
            &[true, false],
            seed,
        ))
    }
}
