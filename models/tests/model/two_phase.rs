//! A protocol that is no Paxos, added in one file: two-phase commit goes through everything that
//! the commands do. Gray, Notes on Data Base Operating Systems, 1978.

use clap::Args;
use serde::{Deserialize, Serialize};
use stateright::Property;
use stateright::actor::{Actor, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::time::Duration;
use synod::checker::{System, World, WorldState};
use synod::models::config::{Assumptions, ConfigError, Flags};
use synod::models::mutant::{Breakable, Mutant, Mutated};
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
pub(crate) struct Process {
    participants: usize,
    /// The participants that vote against: the first ones.
    refusals: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct State {
    yes: BTreeSet<usize>,
    decided: Option<bool>,
}

/// The part of a state that survives a crash: the decision, if there is one.
fn durable(state: &State) -> u8 {
    state.decided.map_or(0, |commits| 1 + u8::from(commits))
}

const PATIENCE: std::ops::Range<Duration> = Duration::from_millis(5)..Duration::from_millis(9);

impl Process {
    fn everyone(&self) -> impl Iterator<Item = Id> + use<> {
        (1..=self.participants).map(Id::from)
    }

    fn decide(&self, id: Id, state: &mut State, commits: bool, out: &mut Out<Self>) {
        state.decided = Some(commits);
        out.save(durable(state));
        if id == Id::from(0) {
            self.everyone()
                .for_each(|to| out.send(to, Message::Decide(commits)));
        }
    }
}

impl Actor for Process {
    type Msg = Message;
    type State = State;
    type Timer = ();
    type Random = ();
    type Storage = u8;

    fn on_start(&self, id: Id, saved: &Option<u8>, out: &mut Out<Self>) -> State {
        let decided = saved.filter(|saved| *saved > 0).map(|saved| saved == 2);
        if id == Id::from(0) {
            out.set_timer((), PATIENCE);
        }
        State {
            decided,
            ..State::default()
        }
    }

    fn on_msg(&self, id: Id, state: &mut Cow<State>, src: Id, msg: Message, out: &mut Out<Self>) {
        match msg {
            Message::Prepare => {
                let yes = usize::from(id) > self.refusals;
                if !yes && state.decided.is_none() {
                    self.decide(id, state.to_mut(), false, out);
                }
                out.send(src, Message::Vote(yes));
            }
            Message::Vote(yes) if state.decided.is_none() => {
                if yes && !state.yes.contains(&usize::from(src)) {
                    state.to_mut().yes.insert(usize::from(src));
                }
                if !yes || state.yes.len() == self.participants {
                    self.decide(id, state.to_mut(), yes, out);
                }
            }
            Message::Decide(commits) if state.decided.is_none() => {
                self.decide(id, state.to_mut(), commits, out);
            }
            Message::Vote(_) | Message::Decide(_) => {}
        }
    }

    fn on_timeout(&self, _: Id, state: &mut Cow<State>, (): &(), out: &mut Out<Self>) {
        let message = state.decided.map_or(Message::Prepare, Message::Decide);
        self.everyone().for_each(|to| out.send(to, message));
        out.set_timer((), PATIENCE);
    }
}

#[derive(Clone, Debug, PartialEq, Args)]
pub(crate) struct Config {
    /// Participants.
    #[arg(long, default_value_t = 2)]
    participants: usize,
    /// Participants that vote against.
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
            Property::sometimes("Decided: some process decides.", |_, state| {
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
        durable(node)
    }
}

static MUTANTS: &[Mutant<Process>] = &[
    Mutant {
        name: "one-vote-commits",
        sentence: "The coordinator takes the first vote for those of all participants.",
        breaks: ATOMIC,
        source: "a classic: unanimity taken for a majority",
        smallest: "--participants 2 --refusals 1",
        alter_input: |process, state, _, message| {
            if *message == Message::Vote(true) {
                state.yes.extend(1..=process.participants);
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

    fn system(
        config: &Config,
        mutant: Option<&'static Mutant<Self>>,
    ) -> Result<TwoPhase, ConfigError> {
        ConfigError::count("--participants", config.participants as u64, 16)?;
        let (participants, refusals) = (config.participants, config.refusals);
        let process = || Process {
            participants,
            refusals,
        };
        let actors = (0..=participants).map(|_| Mutated::new(process(), mutant));
        Ok(TwoPhase(actors.collect()))
    }

    fn world(config: &Config) -> &Assumptions {
        &config.world
    }

    fn chosen(_: &TwoPhase, state: &WorldState<TwoPhase>) -> Vec<String> {
        let decided = decided(state).into_iter();
        decided
            .map(|commits| if commits { "commit" } else { "abort" }.to_owned())
            .collect()
    }

    fn simulate(
        plan: &Plan,
        mutant: Option<&'static Mutant<Self>>,
        seed: u64,
    ) -> Result<Simulated, String> {
        let flags = format!("--participants {} --refusals {}", plan.nodes, seed % 2);
        let config = Config::from_flags(&flags).map_err(|error| error.to_string())?;
        let system = Self::system(&config, mutant).map_err(|error| error.to_string())?;
        let (actors, decided) = (system.0, |state: &State| state.decided);
        let processes = actors.len();
        Ok(simulate::one_decision(
            actors,
            processes,
            decided,
            &[true, false],
            seed,
        ))
    }
}
