//! Basic Paxos with one rule broken: what each invariant must catch.
//!
//! A mutant is a wrapper around the shipped actor. It breaks its rule from outside, by changing
//! what the actor is told, remembers or asks for, so that the roles stay free of code for mutants.
//! What a co-located node tells itself it tells rightly: only the network lies.

use super::basic::{Config, Speaker};
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use synod::ballot::NodeId;
use synod::basic::{Acceptor, Durable, Message, Phase, Process, ProcessState, Proposer, Timer};
use synod::checker::StorageMode;
use synod::invariant::{
    Agreement, DecidedIsChosen, DecisionStands, Invariant, OneValuePerBallot, PromiseKept,
    Validity, VotesSafe,
};
use synod::vote::Vote;

/// A rule that can be broken, and where that must come to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// What to call it on the command line.
    pub name: &'static str,
    /// What it does wrong.
    pub sentence: &'static str,
    /// The property that catches it, if checked alone.
    pub breaks: &'static str,
    rule: Rule,
    /// The crashes it takes.
    crashes: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    VoteBelowPromise,
    ForgetPromise,
    IgnoreVote,
    LowestVote,
    ReuseBallot,
    MinorityDecides,
    InventValue,
    SendBeforeSave,
    ForgetDecision,
}

const fn mutant(
    name: &'static str,
    sentence: &'static str,
    breaks: &'static str,
    rule: Rule,
    crashes: usize,
) -> Mutant {
    Mutant {
        name,
        sentence,
        breaks,
        rule,
        crashes,
    }
}

/// Every mutant; together they break every invariant.
pub const ALL: &[Mutant] = &[
    mutant(
        "vote-below-promise",
        "An acceptor votes although it promised a higher ballot.",
        PromiseKept::PROPERTY,
        Rule::VoteBelowPromise,
        0,
    ),
    mutant(
        "forget-promise",
        "An acceptor that restarts has lost its promise.",
        PromiseKept::PROPERTY,
        Rule::ForgetPromise,
        1,
    ),
    mutant(
        "ignore-vote",
        "A proposer proposes its own value whatever the acceptors report.",
        Agreement::PROPERTY,
        Rule::IgnoreVote,
        0,
    ),
    mutant(
        "lowest-vote",
        "A proposer adopts the lowest reported vote instead of the highest.",
        VotesSafe::PROPERTY,
        Rule::LowestVote,
        0,
    ),
    mutant(
        "reuse-ballot",
        "A proposer that restarts begins again with its first ballot.",
        OneValuePerBallot::PROPERTY,
        Rule::ReuseBallot,
        1,
    ),
    mutant(
        "minority-decides",
        "A learner takes the first vote that it hears for the decision.",
        DecidedIsChosen::PROPERTY,
        Rule::MinorityDecides,
        0,
    ),
    mutant(
        "invent-value",
        "A proposer proposes a value that no client asked for.",
        Validity::PROPERTY,
        Rule::InventValue,
        0,
    ),
    mutant(
        "forget-decision",
        "A node that restarts has lost its decision.",
        DecisionStands::PROPERTY,
        Rule::ForgetDecision,
        1,
    ),
    mutant(
        "send-before-save",
        "A node sends its messages before what it saves is on disk.",
        Agreement::PROPERTY,
        Rule::SendBeforeSave,
        1,
    ),
];

impl Mutant {
    /// The mutant of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Mutant> {
        ALL.iter().find(|mutant| mutant.name == name)
    }

    /// The configuration changed to one that gives the mutant its chance: with the crashes and
    /// the storage that it takes, and with all messages kept, since which are stale is a claim
    /// about the real protocol.
    #[must_use]
    pub fn prepare(&self, config: Config) -> Config {
        let storage = match self.rule {
            Rule::SendBeforeSave => StorageMode::Split,
            _ => config.storage,
        };
        Config {
            crashes: config.crashes.max(self.crashes),
            storage,
            drops_stale: false,
            forgets: false,
            ..config
        }
    }

    /// The smallest configuration that was found to kill it.
    #[must_use]
    pub fn smallest(&self) -> Config {
        let (acceptors, proposers, ballots) = match self.rule {
            Rule::ReuseBallot => (1, 1, 1),
            Rule::InventValue => (1, 1, 1),
            Rule::MinorityDecides => (2, 1, 1),
            Rule::ForgetDecision => (1, 1, 1),
            Rule::LowestVote => (3, 3, 1),
            Rule::VoteBelowPromise
            | Rule::ForgetPromise
            | Rule::IgnoreVote
            | Rule::SendBeforeSave => (1, 2, 1),
        };
        self.prepare(Config {
            acceptors,
            proposers,
            ballots,
            ..Config::default()
        })
    }
}

/// The shipped process with one rule broken, or with none: one type for both, so that whatever
/// checks either is compiled once.
#[derive(Clone, Debug)]
pub struct Broken {
    process: Process<char>,
    rule: Option<Rule>,
}

impl Broken {
    /// `process` with the rule of `mutant` broken.
    #[must_use]
    pub fn new(process: Process<char>, mutant: &Mutant) -> Self {
        let rule = Some(mutant.rule);
        Self { process, rule }
    }

    /// `process` as it was shipped, or with the rule of a mutant broken.
    #[must_use]
    pub fn perhaps(process: Process<char>, mutant: Option<&Mutant>) -> Self {
        let rule = mutant.map(|mutant| mutant.rule);
        Self { process, rule }
    }

    /// Passes on what the process asks for: saves first, as the process has it, or last. What is
    /// saved is what the mutant remembers.
    fn hand_on(&self, state: &ProcessState<char>, asked: Out<Process<char>>, out: &mut Out<Self>) {
        let is_late = |command: &Command<_, _, _, _>| {
            self.rule == Some(Rule::SendBeforeSave) && matches!(command, Command::Save(_))
        };
        let amended = asked
            .into_iter()
            .map(|command| match (command, state.node()) {
                (Command::Save(_), Some(node)) => Command::Save(node.durable()),
                (command, _) => command,
            });
        let (late, prompt): (Vec<_>, Vec<_>) = amended.partition(is_late);
        out.append(&mut prompt.into_iter().chain(late).collect::<Out<Self>>());
    }

    /// What the process is told instead of `message`, and what it remembers meanwhile.
    fn mishear(
        &self,
        rule: Rule,
        state: &mut ProcessState<char>,
        src: NodeId,
        message: Message<char>,
    ) -> Message<char> {
        let ProcessState::Node(node) = state else {
            return message;
        };
        match (rule, message) {
            (Rule::VoteBelowPromise, message @ Message::Accept { .. }) => {
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.promised = None;
                }
                message
            }
            (Rule::IgnoreVote, Message::Promise { ballot, .. }) => {
                Message::Promise { ballot, vote: None }
            }
            (Rule::LowestVote, Message::Promise { ballot, vote }) => {
                let is_counted = node
                    .proposer
                    .as_ref()
                    .is_some_and(|proposer| proposer.is_past(src, ballot));
                let vote = match &mut node.proposer {
                    Some(proposer) if !is_counted => lowest(proposer, vote),
                    _ => vote,
                };
                Message::Promise { ballot, vote }
            }
            (Rule::MinorityDecides, Message::Accepted { vote }) => {
                Message::Decided { value: vote.value }
            }
            (Rule::InventValue, Message::Propose { .. }) => Message::Propose { value: '?' },
            (_, message) => message,
        }
    }
}

/// Makes the proposer prefer the lower of the vote that it remembers and the one it is told.
fn lowest(proposer: &mut Proposer<char>, told: Option<Vote<char>>) -> Option<Vote<char>> {
    let Phase::Preparing { highest, .. } = &mut proposer.phase else {
        return told;
    };
    match (&highest, &told) {
        (Some(known), Some(vote)) if known.ballot < vote.ballot => None,
        (Some(_), Some(_)) => {
            *highest = None;
            told
        }
        _ => told,
    }
}

impl Speaker for Broken {}

impl Actor for Broken {
    type Msg = Message<char>;
    type Timer = Timer;
    type State = ProcessState<char>;
    type Storage = Durable<char>;
    type Random = ();

    fn on_start(
        &self,
        id: Id,
        storage: &Option<Durable<char>>,
        out: &mut Out<Self>,
    ) -> ProcessState<char> {
        let Some(rule) = self.rule else {
            let mut inner = Out::new();
            let state = self.process.on_start(id, storage, &mut inner);
            out.append(&mut inner);
            return state;
        };
        let mut storage = storage.clone();
        if let Some(durable) = &mut storage {
            match rule {
                Rule::ForgetPromise => {
                    durable.acceptor = durable.acceptor.take().map(|acceptor| Acceptor {
                        promised: None,
                        ..acceptor
                    });
                }
                Rule::ReuseBallot => durable.ballot = None,
                Rule::ForgetDecision => durable.decided = None,
                _ => {}
            }
        }
        let mut inner = Out::new();
        let state = self.process.on_start(id, &storage, &mut inner);
        out.append(&mut inner);
        state
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<ProcessState<char>>,
        src: Id,
        msg: Message<char>,
        out: &mut Out<Self>,
    ) {
        let Some(rule) = self.rule else {
            let mut inner = Out::new();
            self.process.on_msg(id, state, src, msg, &mut inner);
            out.append(&mut inner);
            return;
        };
        let mut misled = state.clone().into_owned();
        let msg = self.mishear(rule, &mut misled, src.into(), msg);
        let mut misled = Cow::Owned(misled);
        let mut inner = Out::new();
        self.process.on_msg(id, &mut misled, src, msg, &mut inner);
        let mut after = misled.into_owned();
        keep_higher_promise(state, &mut after);
        if after != **state {
            *state = Cow::Owned(after);
        }
        self.hand_on(state, inner, out);
    }

    fn on_timeout(
        &self,
        id: Id,
        state: &mut Cow<ProcessState<char>>,
        timer: &Timer,
        out: &mut Out<Self>,
    ) {
        let mut inner = Out::new();
        self.process.on_timeout(id, state, timer, &mut inner);
        self.hand_on(state, inner, out);
    }

    fn name(&self) -> String {
        self.process.name()
    }
}

/// A mutant that votes below its promise still knows it: one rule is broken, not two.
fn keep_higher_promise(before: &ProcessState<char>, after: &mut ProcessState<char>) {
    let promised = before
        .node()
        .and_then(|node| node.acceptor.as_ref()?.promised);
    if let ProcessState::Node(node) = after
        && let Some(acceptor) = &mut node.acceptor
    {
        acceptor.promised = acceptor.promised.max(promised);
    }
}
