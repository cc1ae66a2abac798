//! Basic Paxos with one rule broken: what each invariant must catch.
//!
//! A mutant is a wrapper around the shipped actor. It breaks its rule from outside, by changing
//! what the actor is told, remembers or asks for, so that the roles stay free of code for mutants.
//! What a co-located node tells itself it tells rightly: only the network lies.

use super::basic::{Config, Speaker};
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use synod::ballot::NodeId;
use synod::basic::{
    Acceptor, Durable, Message, NodeState, Phase, Process, ProcessState, Proposer, Tally, Timer,
};
use synod::checker::StorageMode;
use synod::invariant::{
    Agreement, DecidedIsChosen, DecisionStands, Invariant, OneValuePerBallot, PromiseKept,
    Validity, VotesSafe,
};
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

/// A rule that can be broken, and where that must come to light.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mutant {
    /// What to call it on the command line.
    pub name: &'static str,
    /// What it does wrong.
    pub sentence: &'static str,
    /// The property that catches it, if checked alone; empty if nothing is broken.
    pub breaks: &'static str,
    /// Where somebody made this mistake, or why it is tempting; or why it does no harm.
    pub seen: &'static str,
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
    ForgetVote,
    PromiseBelow,
    KeepPromise,
    RetagVote,
    OldPromise,
    PromiseTwice,
    HalfIsEnough,
    Unanimous,
    SkipPrepare,
    ChangeMind,
    VoteTwice,
    AddBallots,
    PromiseAgain,
    PromiseLower,
    HalfPromises,
}

const fn mutant(
    name: &'static str,
    sentence: &'static str,
    breaks: &'static str,
    rule: Rule,
    crashes: usize,
    seen: &'static str,
) -> Mutant {
    Mutant {
        name,
        sentence,
        breaks,
        seen,
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
        "a classic: phase 2b without its guard; `Phase2b` of Paxos.tla",
    ),
    mutant(
        "forget-promise",
        "An acceptor that restarts has lost its promise.",
        PromiseKept::PROPERTY,
        Rule::ForgetPromise,
        1,
        "akka-raft issue 62 and stateright's own raft example, whose votes are not saved",
    ),
    mutant(
        "ignore-vote",
        "A proposer proposes its own value whatever the acceptors report.",
        Agreement::PROPERTY,
        Rule::IgnoreVote,
        0,
        "a classic: P2c of Paxos Made Simple left out",
    ),
    mutant(
        "lowest-vote",
        "A proposer adopts the lowest reported vote instead of the highest.",
        VotesSafe::PROPERTY,
        Rule::LowestVote,
        0,
        "a classic; the TLC counterexample of Kimberlite's view change was of this kind",
    ),
    mutant(
        "reuse-ballot",
        "A proposer that restarts begins again with its first ballot.",
        OneValuePerBallot::PROPERTY,
        Rule::ReuseBallot,
        1,
        "phxpaxos issue 145: what makes ballots unique after a restart",
    ),
    mutant(
        "minority-decides",
        "A learner takes the first vote that it hears for the decision.",
        DecidedIsChosen::PROPERTY,
        Rule::MinorityDecides,
        0,
        "a classic: chosen taken for accepted",
    ),
    mutant(
        "invent-value",
        "A proposer proposes a value that no client asked for.",
        Validity::PROPERTY,
        Rule::InventValue,
        0,
        "a test value left in; linearizability of reads alone need not notice",
    ),
    mutant(
        "forget-decision",
        "A node that restarts has lost its decision.",
        DecisionStands::PROPERTY,
        Rule::ForgetDecision,
        1,
        "a decision that is kept in memory alone",
    ),
    mutant(
        "send-before-save",
        "A node sends its messages before what it saves is on disk.",
        Agreement::PROPERTY,
        Rule::SendBeforeSave,
        1,
        "ZooKeeper issues 3911, 4643 and 4646; stateright's `Save` is synced by nobody",
    ),
    mutant(
        "forget-vote",
        "An acceptor that restarts has lost its vote.",
        Agreement::PROPERTY,
        Rule::ForgetVote,
        1,
        "Paxos Made Live, section 5.1: disks that come back empty",
    ),
    mutant(
        "promise-below",
        "An acceptor promises a lower ballot and forgets the higher one.",
        PromiseKept::PROPERTY,
        Rule::PromiseBelow,
        0,
        "a classic: phase 1b without its guard",
    ),
    mutant(
        "keep-promise",
        "An acceptor that votes does not raise its promise to the ballot of its vote.",
        VotesSafe::PROPERTY,
        Rule::KeepPromise,
        0,
        "Brooker, The Bug in Paxos Made Simple: the paper's wording allows it",
    ),
    mutant(
        "retag-vote",
        "An acceptor reports its vote as if it were cast in the ballot that asks.",
        VotesSafe::PROPERTY,
        Rule::RetagVote,
        0,
        "a classic: the promised ballot sent for the voted one",
    ),
    mutant(
        "old-promise",
        "A proposer counts promises of its earlier ballots for the present one.",
        VotesSafe::PROPERTY,
        Rule::OldPromise,
        0,
        "MyPaxos issue 18: two values decided",
    ),
    mutant(
        "count-promise-twice",
        "A proposer counts a promise that comes again as another acceptor's.",
        VotesSafe::PROPERTY,
        Rule::PromiseTwice,
        0,
        "a counter in the place of a set; stateright's paxos example survives it in its tests",
    ),
    mutant(
        "half-is-enough",
        "Half of the acceptors are taken for a quorum.",
        Agreement::PROPERTY,
        Rule::HalfIsEnough,
        0,
        "n/2 for n/2 + 1; Paxos Made Live, section 6.3: a member misspelt",
    ),
    mutant(
        "adopt-if-all-agree",
        "A proposer adopts a vote only if every promise reports one.",
        Agreement::PROPERTY,
        Rule::Unanimous,
        0,
        "a classic: no majority seen, so the value is free",
    ),
    mutant(
        "skip-prepare",
        "A proposer asks for votes at once, without phase 1.",
        Agreement::PROPERTY,
        Rule::SkipPrepare,
        0,
        "phase 1 taken for an optimisation that a single proposer could do without",
    ),
    mutant(
        "change-mind",
        "A proposer that is asked for another value proposes it in the same ballot.",
        OneValuePerBallot::PROPERTY,
        Rule::ChangeMind,
        0,
        "a request that overwrites the one under way",
    ),
    mutant(
        "count-vote-twice",
        "A learner counts a vote that comes again as another acceptor's.",
        DecidedIsChosen::PROPERTY,
        Rule::VoteTwice,
        0,
        "a counter in the place of a set; stateright's paxos example survives it in its tests",
    ),
    mutant(
        "add-across-ballots",
        "A learner adds up votes for one value from several ballots.",
        DecidedIsChosen::PROPERTY,
        Rule::AddBallots,
        0,
        "counting values, not proposals; what chosen means in Voting.tla",
    ),
];

/// Changes that look like mistakes and break nothing: every state that they lead to is visited.
pub const HARMLESS: &[Mutant] = &[
    mutant(
        "promise-again",
        "An acceptor answers a Prepare of the very ballot that it promised.",
        "",
        Rule::PromiseAgain,
        0,
        "a ballot has one proposer, which counts an acceptor once and phase 1 once",
    ),
    mutant(
        "promise-lower",
        "An acceptor answers a Prepare below its promise, which stands, if not below its vote.",
        "",
        Rule::PromiseLower,
        0,
        "it promised more than it is asked for; votes below its promise it still refuses",
    ),
    mutant(
        "half-promises",
        "Half of an even number of acceptors are enough to promise.",
        "",
        Rule::HalfPromises,
        0,
        "any half meets any majority, and only quorums of promises and of votes must meet: \
         Howard, Malkhi and Spiegelman, Flexible Paxos",
    ),
];

impl Mutant {
    /// The mutant of this name, harmless or not.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Mutant> {
        let mut all = ALL.iter().chain(HARMLESS);
        all.find(|mutant| mutant.name == name)
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
            Rule::ReuseBallot | Rule::InventValue | Rule::ForgetDecision | Rule::ChangeMind => {
                (1, 1, 1)
            }
            Rule::MinorityDecides | Rule::VoteTwice => (2, 1, 1),
            Rule::LowestVote | Rule::RetagVote | Rule::KeepPromise => (3, 3, 1),
            Rule::VoteBelowPromise
            | Rule::ForgetPromise
            | Rule::IgnoreVote
            | Rule::SendBeforeSave
            | Rule::ForgetVote
            | Rule::PromiseBelow
            | Rule::SkipPrepare => (1, 2, 1),
            Rule::OldPromise => (1, 2, 2),
            Rule::HalfIsEnough => (2, 2, 1),
            Rule::PromiseTwice | Rule::Unanimous | Rule::AddBallots => (3, 2, 1),
            Rule::PromiseAgain | Rule::PromiseLower => (3, 2, 1),
            Rule::HalfPromises => (4, 2, 1),
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
pub struct Subject {
    process: Process<char>,
    rule: Option<Rule>,
}

impl Subject {
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
                (Command::Send(to, message), _) => Command::Send(to, self.misspeak(state, message)),
                (command, _) => command,
            });
        let (late, prompt): (Vec<_>, Vec<_>) = amended.partition(is_late);
        out.append(&mut prompt.into_iter().chain(late).collect::<Out<Self>>());
    }

    fn acceptors(&self) -> AcceptorSet {
        match &self.process {
            Process::Node(cluster) => cluster.quorums.acceptors(),
            Process::Client(_) => AcceptorSet::new(),
        }
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
        let ballot_now = node.proposer.as_ref().and_then(|proposer| proposer.ballot);
        match (rule, message) {
            (Rule::VoteBelowPromise, message @ Message::Accept { .. })
            | (Rule::PromiseBelow, message @ Message::Prepare { .. }) => {
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
            (Rule::OldPromise, Message::Promise { ballot, vote }) => {
                let ballot = ballot_now.unwrap_or(ballot).max(ballot);
                Message::Promise { ballot, vote }
            }
            (Rule::Unanimous, Message::Promise { ballot, vote }) => {
                let vote = vote.filter(|_| ballot_now != Some(ballot) || all_report(node));
                if let (None, Some(Phase::Preparing { highest, .. })) = (&vote, phase(node)) {
                    *highest = None;
                }
                Message::Promise { ballot, vote }
            }
            (Rule::PromiseAgain, Message::Prepare { ballot }) => {
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.promised = acceptor.promised.filter(|it| *it != ballot);
                }
                Message::Prepare { ballot }
            }
            (Rule::PromiseLower, message @ Message::Prepare { .. }) => {
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.promised = acceptor.vote.as_ref().map(|vote| vote.ballot);
                }
                message
            }
            (
                Rule::HalfIsEnough | Rule::HalfPromises,
                message @ Message::Promise { ballot, .. },
            ) => {
                if let Some(Phase::Preparing { promises, .. }) = phase(node)
                    && ballot_now == Some(ballot)
                {
                    round_up(promises, src, self.acceptors());
                }
                message
            }
            (Rule::HalfIsEnough, Message::Accepted { vote }) => {
                if let Some(learner) = &mut node.learner {
                    let tally = learner.tally.get_or_insert_with(|| Tally {
                        proposal: vote.clone(),
                        voters: AcceptorSet::new(),
                    });
                    if tally.proposal == vote {
                        round_up(&mut tally.voters, src, self.acceptors());
                    }
                }
                Message::Accepted { vote }
            }
            (Rule::AddBallots, Message::Accepted { vote }) => {
                let tally = node.learner.as_ref().and_then(|it| it.tally.as_ref());
                let known = tally.filter(|tally| tally.proposal.value == vote.value);
                let vote = known.map_or(vote, |tally| tally.proposal.clone());
                Message::Accepted { vote }
            }
            (_, message) => message,
        }
    }

    /// For whom the process takes the sender: for an acceptor that it has not counted yet, if the
    /// mutant counts twice.
    fn mistake(
        &self,
        rule: Rule,
        state: &ProcessState<char>,
        src: NodeId,
        message: &Message<char>,
    ) -> NodeId {
        let Some(node) = state.node() else {
            return src;
        };
        let counted = match (rule, message) {
            (Rule::PromiseTwice, Message::Promise { ballot, .. }) => {
                let proposer = node.proposer.as_ref();
                proposer.and_then(|it| match &it.phase {
                    Phase::Preparing { promises, .. } if it.ballot == Some(*ballot) => {
                        Some(*promises)
                    }
                    _ => None,
                })
            }
            (Rule::VoteTwice, Message::Accepted { vote }) => {
                let tally = node.learner.as_ref().and_then(|it| it.tally.as_ref());
                let tally = tally.filter(|tally| tally.proposal == *vote);
                tally.map(|tally| tally.voters)
            }
            _ => None,
        };
        let counted = counted.filter(|counted| counted.contains(src));
        let other = counted.and_then(|counted| {
            let mut acceptors = self.acceptors().iter();
            acceptors.find(|acceptor| !counted.contains(*acceptor))
        });
        other.unwrap_or(src)
    }

    /// What the process says instead of `message`.
    fn misspeak(&self, state: &ProcessState<char>, message: Message<char>) -> Message<char> {
        match (self.rule, message) {
            (Some(Rule::RetagVote), Message::Promise { ballot, vote }) => {
                let vote = vote.map(|vote| Vote { ballot, ..vote });
                Message::Promise { ballot, vote }
            }
            (Some(Rule::SkipPrepare), Message::Prepare { ballot }) => {
                let proposer = state.node().and_then(|node| node.proposer.as_ref());
                match proposer.and_then(|it| it.request.as_ref()) {
                    Some(request) => Message::Accept {
                        vote: Vote {
                            ballot,
                            value: request.value,
                        },
                    },
                    None => Message::Prepare { ballot },
                }
            }
            (_, message) => message,
        }
    }

    /// A proposer that has just been asked for another value than that of its ballot.
    fn propose_again(
        &self,
        state: &ProcessState<char>,
        message: &Message<char>,
        asked: &mut Out<Process<char>>,
    ) {
        let proposer = state.node().and_then(|node| node.proposer.as_ref());
        if let (Some(proposer), Message::Propose { value }) = (proposer, message)
            && let (Some(ballot), Phase::Accepting { value: first }) =
                (proposer.ballot, &proposer.phase)
            && first != value
        {
            for acceptor in self.acceptors().iter() {
                let value = *value;
                let vote = Vote { ballot, value };
                asked.send(acceptor.into(), Message::Accept { vote });
            }
        }
    }
}

fn phase(node: &mut NodeState<char>) -> Option<&mut Phase<char>> {
    let proposer = node.proposer.as_mut();
    proposer.map(|proposer| &mut proposer.phase)
}

/// Whether every promise so far reported a vote.
fn all_report(node: &NodeState<char>) -> bool {
    let proposer = node.proposer.as_ref();
    proposer.is_some_and(|proposer| match &proposer.phase {
        Phase::Preparing { promises, highest } => promises.is_empty() || highest.is_some(),
        Phase::Idle | Phase::Accepting { .. } | Phase::Preempted { .. } => false,
    })
}

/// Once half of the acceptors are counted, the others count as well; but for the one that is about
/// to be counted.
fn round_up(counted: &mut AcceptorSet, src: NodeId, acceptors: AcceptorSet) {
    let mut with = *counted;
    with.insert(src);
    if 2 * with.len() >= acceptors.len() {
        *counted = acceptors.iter().filter(|it| *it != src).collect();
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

impl Speaker for Subject {}

impl Actor for Subject {
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
                Rule::ForgetVote => {
                    durable.acceptor = durable.acceptor.take().map(|acceptor| Acceptor {
                        vote: None,
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
        let src = self.mistake(rule, state, src.into(), &msg);
        let msg = self.mishear(rule, &mut misled, src, msg);
        let mut inner = Out::new();
        if rule == Rule::ChangeMind {
            self.propose_again(state, &msg, &mut inner);
        }
        let mut misled = Cow::Owned(misled);
        self.process
            .on_msg(id, &mut misled, src.into(), msg, &mut inner);
        let mut after = misled.into_owned();
        match rule {
            Rule::PromiseBelow => {}
            Rule::KeepPromise => keep_promise(state, &mut after),
            _ => keep_higher_promise(state, &mut after),
        }
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

/// Whoever votes has promised no more than before.
fn keep_promise(before: &ProcessState<char>, after: &mut ProcessState<char>) {
    let before = before.node().and_then(|node| node.acceptor.as_ref());
    if let ProcessState::Node(node) = after
        && let (Some(before), Some(acceptor)) = (before, &mut node.acceptor)
        && before.vote != acceptor.vote
    {
        acceptor.promised = before.promised;
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
