//! Fast Paxos with one rule broken: what each invariant must catch.
//!
//! As in [`mutants`](crate::models::mutants), a mutant is a wrapper around the shipped actor that
//! changes what it is told, remembers or asks for. Here are the mistakes that fast ballots invite,
//! and those of Basic Paxos that Fast Paxos could make in code of its own.

use super::{Config, Speaker};
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use synod::ballot::{Ballot, NodeId};
use synod::checker::StorageMode;
use synod::fast::{
    Acceptor, Cluster, Durable, Message, NodeState, Phase, Poll, Process, ProcessState, Timer,
};
use synod::invariant::{
    Agreement, DecidedIsChosen, DecisionStands, Invariant, OneValuePerBallot, PromiseKept,
    Validity, VotesSafe,
};
use synod::quorum::AcceptorSet;
use synod::rounds::Rounds;
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    OpenThoughBound,
    VoteTwice,
    VoteWithoutPromise,
    OpenBelowPromise,
    OwnIfSeveral,
    FirstReported,
    IfAllAgree,
    HighThreshold,
    MajorityOfAll,
    ManyOrOwn,
    ClassicQuorumDecides,
    ResolveTooSoon,
    ForgetPromise,
    ForgetVote,
    ForgetDecision,
    SendBeforeSave,
    ReuseBallot,
    IgnoreVote,
    LowestVote,
    VoteBelowPromise,
    PromiseTwice,
    CountVoteTwice,
    AddBallots,
    InventValue,
    ResolveEarly,
    ResolveInPlace,
    OwnOnCollision,
    Plurality,
}

const fn mutant(
    name: &'static str,
    sentence: &'static str,
    breaks: &'static str,
    rule: Rule,
    seen: &'static str,
) -> Mutant {
    Mutant {
        name,
        sentence,
        breaks,
        seen,
        rule,
    }
}

/// Every mutant; together they break every invariant.
pub const ALL: &[Mutant] = &[
    mutant(
        "open-though-bound",
        "A coordinator opens a fast ballot although votes were reported.",
        Agreement::PROPERTY,
        Rule::OpenThoughBound,
        "\"any\" taken for the point of a fast ballot, whatever went before",
    ),
    mutant(
        "vote-twice",
        "An acceptor votes for a second value in an open ballot.",
        Agreement::PROPERTY,
        Rule::VoteTwice,
        "a classic: in classic ballots the ballot's one value rules it out, here nothing else does",
    ),
    mutant(
        "vote-without-promise",
        "An acceptor that votes in a fast ballot does not promise the one that resolves it.",
        Agreement::PROPERTY,
        Rule::VoteWithoutPromise,
        "coordinated recovery with ballots of several coordinators in between: Fast Paxos has \
         rounds that follow one upon the other",
    ),
    mutant(
        "open-below-promise",
        "An acceptor lets a ballot below its promise be opened, and forgets the promise.",
        PromiseKept::PROPERTY,
        Rule::OpenBelowPromise,
        "\"any\" without the guard that every other request of phase 2 has",
    ),
    mutant(
        "own-if-several",
        "A coordinator that is told of votes for several values proposes its own.",
        Agreement::PROPERTY,
        Rule::OwnIfSeveral,
        "O4 left out: if they differ, so the reasoning, none was chosen",
    ),
    mutant(
        "first-reported",
        "A coordinator adopts the first vote of the highest ballot that it is told of.",
        Agreement::PROPERTY,
        Rule::FirstReported,
        "P2c of Paxos Made Simple applied to a ballot with several values",
    ),
    mutant(
        "adopt-if-all-agree",
        "A coordinator adopts a value only if every promise reports it.",
        Agreement::PROPERTY,
        Rule::IfAllAgree,
        "a misreading of O4: a fast quorum and a phase-1 quorum differ in members",
    ),
    mutant(
        "threshold-too-high",
        "A coordinator adopts a value only if one report more than enough names it.",
        Agreement::PROPERTY,
        Rule::HighThreshold,
        "> for >= in what O4 asks: Q + QF - N reports of Q",
    ),
    mutant(
        "majority-of-all",
        "A coordinator adopts a value only if a majority of all acceptors reports it.",
        Agreement::PROPERTY,
        Rule::MajorityOfAll,
        "a misreading of O4: a majority of those heard is what it comes to, for the usual sizes",
    ),
    mutant(
        "many-or-own",
        "A coordinator proposes its own value where one value was reported, but by too few.",
        Agreement::PROPERTY,
        Rule::ManyOrOwn,
        "O4 without its other half: the ballot may have been for that value alone",
    ),
    mutant(
        "classic-quorum-decides",
        "A learner takes a classic quorum for enough in a fast ballot.",
        DecidedIsChosen::PROPERTY,
        Rule::ClassicQuorumDecides,
        "one quorum size for both kinds of ballot",
    ),
    mutant(
        "resolve-too-soon",
        "A coordinator resolves a collision as soon as it has heard of two values.",
        Agreement::PROPERTY,
        Rule::ResolveTooSoon,
        "coordinated recovery without a quorum of phase 1, for there was no phase 1",
    ),
    mutant(
        "forget-promise",
        "An acceptor that restarts has lost its promise.",
        PromiseKept::PROPERTY,
        Rule::ForgetPromise,
        "akka-raft issue 62 and stateright's own raft example, whose votes are not saved",
    ),
    mutant(
        "forget-vote",
        "An acceptor that restarts has lost its vote.",
        Agreement::PROPERTY,
        Rule::ForgetVote,
        "Paxos Made Live, section 5.1: disks that come back empty",
    ),
    mutant(
        "forget-decision",
        "A node that restarts has lost its decision.",
        DecisionStands::PROPERTY,
        Rule::ForgetDecision,
        "a decision that is kept in memory alone",
    ),
    mutant(
        "send-before-save",
        "A node sends its messages before what it saves is on disk.",
        Agreement::PROPERTY,
        Rule::SendBeforeSave,
        "ZooKeeper issues 3911, 4643 and 4646; stateright's `Save` is synced by nobody",
    ),
    mutant(
        "reuse-ballot",
        "A coordinator that restarts begins again with its first ballot.",
        OneValuePerBallot::PROPERTY,
        Rule::ReuseBallot,
        "phxpaxos issue 145: what makes ballots unique after a restart",
    ),
    mutant(
        "ignore-vote",
        "A coordinator goes on as if no vote had been reported.",
        VotesSafe::PROPERTY,
        Rule::IgnoreVote,
        "a classic: P2c of Paxos Made Simple left out",
    ),
    mutant(
        "lowest-vote",
        "A coordinator goes by the lowest ballot reported instead of the highest.",
        VotesSafe::PROPERTY,
        Rule::LowestVote,
        "a classic; the TLC counterexample of Kimberlite's view change was of this kind",
    ),
    mutant(
        "vote-below-promise",
        "An acceptor votes although it promised a higher ballot.",
        PromiseKept::PROPERTY,
        Rule::VoteBelowPromise,
        "a classic: phase 2b without its guard",
    ),
    mutant(
        "count-promise-twice",
        "A coordinator counts a promise that comes again as another acceptor's.",
        VotesSafe::PROPERTY,
        Rule::PromiseTwice,
        "a counter in the place of a set; stateright's paxos example survives it in its tests",
    ),
    mutant(
        "count-vote-twice",
        "A learner counts a vote that comes again as another acceptor's.",
        DecidedIsChosen::PROPERTY,
        Rule::CountVoteTwice,
        "a counter in the place of a set; stateright's paxos example survives it in its tests",
    ),
    mutant(
        "add-across-ballots",
        "A learner adds up votes for one value from several ballots.",
        DecidedIsChosen::PROPERTY,
        Rule::AddBallots,
        "counting values, not proposals; what chosen means in Voting.tla",
    ),
    mutant(
        "invent-value",
        "An acceptor votes for a value that no client asked for.",
        Validity::PROPERTY,
        Rule::InventValue,
        "a test value left in",
    ),
];

/// Changes that look like mistakes and break nothing: every state that they lead to is visited.
pub const HARMLESS: &[Mutant] = &[
    mutant(
        "resolve-early",
        "A coordinator goes on to the next ballot once a quorum has voted for two values.",
        "",
        Rule::ResolveEarly,
        "if one of them may still be chosen, that is the one it picks: a ballot lost, no more",
    ),
    mutant(
        "resolve-in-place",
        "A coordinator resolves a collision in the ballot that collided.",
        "",
        Rule::ResolveInPlace,
        "whoever voted has promised the next ballot; what the others vote chooses nothing there",
    ),
    mutant(
        "own-on-collision",
        "A coordinator resolves a collision with the value that it was asked for itself.",
        "",
        Rule::OwnOnCollision,
        "in the ballot that collided no value can be chosen any more, and all were safe",
    ),
    mutant(
        "plurality",
        "A coordinator adopts the value that most reports name.",
        "",
        Rule::Plurality,
        "the one that may have been chosen has more votes than any other, by the law of quorums",
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
        let crashes = match self.rule {
            Rule::ForgetPromise
            | Rule::ForgetVote
            | Rule::ForgetDecision
            | Rule::SendBeforeSave
            | Rule::ReuseBallot => 1,
            _ => 0,
        };
        Config {
            crashes: config.crashes.max(crashes),
            storage,
            drops_stale: false,
            forgets: false,
            ..config
        }
    }

    /// The smallest configuration that was found to kill it: acceptors, coordinators, ballots each,
    /// and how many rounds are fast.
    #[must_use]
    pub fn smallest(&self) -> Config {
        let (acceptors, coordinators, ballots, fast) = match self.rule {
            Rule::VoteTwice | Rule::InventValue | Rule::ForgetDecision => (1, 1, 1, 1),
            Rule::OpenThoughBound => (1, 1, 3, 3),
            Rule::OpenBelowPromise | Rule::ForgetPromise => (1, 2, 1, 1),
            Rule::VoteBelowPromise => (1, 2, 1, 0),
            Rule::ForgetVote | Rule::SendBeforeSave | Rule::IgnoreVote => (1, 1, 3, 1),
            Rule::ReuseBallot => (1, 1, 1, 0),
            Rule::VoteWithoutPromise => (2, 2, 2, 1),
            Rule::ClassicQuorumDecides => (3, 1, 1, 1),
            Rule::CountVoteTwice => (2, 1, 1, 1),
            Rule::PromiseTwice => (3, 2, 2, 1),
            Rule::AddBallots => (2, 1, 3, 1),
            Rule::LowestVote => (3, 2, 3, 1),
            Rule::ResolveTooSoon
            | Rule::ResolveInPlace
            | Rule::ResolveEarly
            | Rule::OwnOnCollision => (4, 1, 2, 1),
            Rule::OwnIfSeveral
            | Rule::FirstReported
            | Rule::IfAllAgree
            | Rule::HighThreshold
            | Rule::MajorityOfAll
            | Rule::Plurality => (4, 1, 3, 1),
            Rule::ManyOrOwn => (2, 1, 5, 3),
        };
        self.prepare(Config {
            acceptors,
            coordinators,
            ballots,
            fast,
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
    /// `process` as it was shipped, or with the rule of a mutant broken.
    #[must_use]
    pub fn perhaps(process: Process<char>, mutant: Option<&Mutant>) -> Self {
        let rule = mutant.map(|mutant| mutant.rule);
        Self { process, rule }
    }
}

/// A node with a rule broken, about to be told something.
struct Misled<'a> {
    rule: Rule,
    cluster: &'a Cluster,
    node: NodeState<char>,
}

impl Misled<'_> {
    fn rounds(&self) -> Rounds {
        self.cluster.quorums.rounds()
    }

    /// What the node is told instead of `message`, and what it remembers meanwhile.
    fn mishear(&mut self, src: NodeId, message: Message<char>) -> Message<char> {
        let rounds = self.rounds();
        let (acceptor, learner) = (self.node.acceptor.as_mut(), self.node.learner.as_mut());
        match (self.rule, message) {
            (Rule::OpenBelowPromise, message @ Message::Any { .. })
            | (Rule::VoteBelowPromise, message @ Message::Accept { .. }) => {
                if let Some(acceptor) = acceptor {
                    acceptor.promised = None;
                }
                message
            }
            (Rule::OpenThoughBound, Message::Promise { ballot, vote }) => {
                let vote = vote.filter(|_| !rounds.is_fast(ballot));
                Message::Promise { ballot, vote }
            }
            (Rule::IgnoreVote, Message::Promise { ballot, .. }) => {
                Message::Promise { ballot, vote: None }
            }
            (Rule::LowestVote, Message::Promise { ballot, vote }) => {
                let vote = self.keep_lowest(src, ballot, vote);
                Message::Promise { ballot, vote }
            }
            (Rule::ClassicQuorumDecides, Message::Accepted { vote }) => {
                let mut poll = learner.map(|it| it.poll.clone()).unwrap_or_default();
                poll.hear(src, vote.clone());
                let votes = poll.votes.iter();
                let voters = votes.filter(|(value, _)| *value == vote.value);
                let is_enough = |voters| self.cluster.quorums.is_phase2(voters);
                match voters.into_iter().any(|(_, voters)| is_enough(*voters)) {
                    true => Message::Decided { value: vote.value },
                    false => Message::Accepted { vote },
                }
            }
            (Rule::AddBallots, Message::Accepted { mut vote }) => {
                let poll = learner.map(|it| it.poll.clone()).unwrap_or_default();
                if poll.votes.iter().any(|(value, _)| *value == vote.value) {
                    vote.ballot = poll.ballot.unwrap_or(vote.ballot);
                }
                Message::Accepted { vote }
            }
            (Rule::InventValue, Message::Propose { .. }) => Message::Propose { value: '?' },
            (_, message) => message,
        }
    }

    /// The vote to tell a coordinator of so that it goes by the lowest ballot, which may mean to
    /// have it forget higher ones.
    fn keep_lowest(
        &mut self,
        src: NodeId,
        ballot: Ballot,
        vote: Option<Vote<char>>,
    ) -> Option<Vote<char>> {
        let coordinator = self.node.coordinator.as_mut()?;
        if coordinator.is_past_promise(src, ballot) {
            return vote;
        }
        let Phase::Preparing { poll, .. } = &mut coordinator.phase else {
            return vote;
        };
        match (poll.ballot, &vote) {
            (Some(known), Some(told)) if told.ballot > known => None,
            (Some(known), Some(told)) if told.ballot < known => {
                *poll = Poll::default();
                vote
            }
            _ => vote,
        }
    }

    /// For whom the node takes the sender: for an acceptor that it has not counted yet, if the
    /// mutant counts twice.
    fn mistake(&self, src: NodeId, message: &Message<char>) -> NodeId {
        let counted = match (self.rule, message) {
            (Rule::PromiseTwice, Message::Promise { ballot, .. }) => self
                .node
                .coordinator
                .as_ref()
                .and_then(|it| match &it.phase {
                    Phase::Preparing { promises, .. } if it.ballot == Some(*ballot) => {
                        Some(*promises)
                    }
                    _ => None,
                }),
            (Rule::CountVoteTwice, Message::Accepted { vote }) => {
                let poll = self.node.learner.as_ref().map(|learner| &learner.poll);
                let poll = poll.filter(|poll| poll.ballot == Some(vote.ballot));
                poll.map(Poll::voters)
            }
            _ => None,
        };
        let acceptors = self.cluster.quorums.acceptors();
        let counted = counted.filter(|counted| counted.contains(src));
        let other = counted.and_then(|counted| acceptors.difference(counted).iter().next());
        other.unwrap_or(src)
    }

    /// What a promise leads a coordinator to propose instead, if it completes a quorum and votes
    /// were reported.
    fn mispick(&self, src: NodeId, message: &Message<char>) -> Option<char> {
        let Message::Promise { ballot, vote } = message else {
            return None;
        };
        let coordinator = self.node.coordinator.as_ref()?;
        let Phase::Preparing { promises, poll } = &coordinator.phase else {
            return None;
        };
        let (mut heard, mut poll) = (*promises, poll.clone());
        if coordinator.ballot != Some(*ballot) || !heard.insert(src) {
            return None;
        }
        if let Some(vote) = vote {
            poll.hear(src, vote.clone());
        }
        let quorums = &self.cluster.quorums;
        let first = poll.votes.first().map(|(value, _)| *value)?;
        if !quorums.is_phase1(heard) {
            return None;
        }
        let own = coordinator.request.as_ref().map_or(first, |it| it.value);
        let all = quorums.acceptors();
        let blocks = |set| {
            poll.ballot
                .is_some_and(|ballot| quorums.blocks(ballot, set))
        };
        let with = |is_enough: &dyn Fn(AcceptorSet) -> bool| {
            let mut votes = poll.votes.iter();
            let enough = votes.find(|(_, voters)| is_enough(*voters));
            Some(enough.map_or(own, |(value, _)| *value))
        };
        match self.rule {
            Rule::OwnIfSeveral => Some(if poll.votes.len() > 1 { own } else { first }),
            Rule::FirstReported => Some(first),
            Rule::IfAllAgree => with(&|voters| voters == heard),
            Rule::HighThreshold => with(&|voters| {
                // One voter less, and it would still be enough.
                let mut others = voters.iter();
                others.all(|one| {
                    let fewer = voters.difference([one].into_iter().collect());
                    !blocks(heard.difference(fewer))
                })
            }),
            Rule::MajorityOfAll => with(&|voters| 2 * voters.len() > all.len()),
            Rule::ManyOrOwn => with(&|voters| !blocks(heard.difference(voters))),
            Rule::Plurality => {
                let votes = poll.votes.iter();
                let most = votes.max_by_key(|(_, voters)| voters.len());
                most.map(|(value, _)| *value)
            }
            _ => None,
        }
    }

    /// The vote that a coordinator puts to the vote after it was told of one, although it should
    /// not, or not so.
    fn resolve(&self, after: &NodeState<char>) -> Option<Vote<char>> {
        let before = self.node.coordinator.as_ref()?;
        let after = after.coordinator.as_ref()?;
        let (ballot, rounds) = (before.ballot?, self.rounds());
        match (self.rule, &after.phase) {
            (Rule::ResolveTooSoon | Rule::ResolveEarly, Phase::Watching { poll })
                if after.ballot == Some(ballot) =>
            {
                let heard = poll.voters();
                let quorums = &self.cluster.quorums;
                let is_due = self.rule == Rule::ResolveTooSoon || quorums.is_phase1(heard);
                if poll.votes.len() < 2 || !is_due {
                    return None;
                }
                let ballot = rounds.recovery(ballot)?;
                let value = *poll.pick(heard, quorums)?;
                (ballot.round <= self.cluster.round_max).then_some(Vote { ballot, value })
            }
            (Rule::ResolveInPlace, Phase::Accepting { value })
                if after.ballot == rounds.recovery(ballot) && after.ballot > Some(ballot) =>
            {
                let value = *value;
                Some(Vote { ballot, value })
            }
            (Rule::OwnOnCollision, Phase::Accepting { .. }) if after.ballot > Some(ballot) => {
                let value = after.request.as_ref()?.value;
                let ballot = after.ballot?;
                Some(Vote { ballot, value })
            }
            _ => None,
        }
    }

    /// What an acceptor remembers after a step, instead.
    fn misremember(&self, after: &mut Acceptor<char>) {
        let Some(before) = &self.node.acceptor else {
            return;
        };
        let is_new = after.vote != before.vote;
        let fast = after.vote.as_ref().map(|vote| vote.ballot);
        let fast = fast.filter(|ballot| is_new && self.rounds().is_fast(*ballot));
        match self.rule {
            Rule::VoteTwice if fast.is_some() && before.open => {
                (after.promised, after.open) = (fast, true);
            }
            Rule::VoteWithoutPromise if fast.is_some() => after.promised = fast,
            _ => {}
        }
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
        let mut storage = storage.clone();
        if let Some(durable) = &mut storage {
            match self.rule {
                Some(Rule::ForgetPromise) => {
                    if let Some(acceptor) = &mut durable.acceptor {
                        (acceptor.promised, acceptor.open) = (None, false);
                    }
                }
                Some(Rule::ForgetVote) => {
                    if let Some(acceptor) = &mut durable.acceptor {
                        acceptor.vote = None;
                    }
                }
                Some(Rule::ReuseBallot) => durable.ballot = None,
                Some(Rule::ForgetDecision) => durable.decided = None,
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
        let mut inner = Out::new();
        let (Some(rule), Process::Node(cluster), Some(node)) =
            (self.rule, &self.process, state.node())
        else {
            self.process.on_msg(id, state, src, msg, &mut inner);
            out.append(&mut inner);
            return;
        };
        let mut misled = Misled {
            rule,
            cluster,
            node: node.clone(),
        };
        let src = misled.mistake(src.into(), &msg);
        let promised = misled.node.acceptor.as_ref().and_then(|it| it.promised);
        let msg = misled.mishear(src, msg);
        let picked = misled.mispick(src, &msg);
        let mut told = Cow::Owned(ProcessState::Node(misled.node.clone()));
        self.process
            .on_msg(id, &mut told, src.into(), msg, &mut inner);
        let mut after = told.into_owned();
        let mut proposed = None;
        if let ProcessState::Node(after) = &mut after {
            if let Some(acceptor) = &mut after.acceptor {
                misled.misremember(acceptor);
                // Who votes below its promise still knows it: one rule is broken, not two.
                if rule == Rule::VoteBelowPromise {
                    acceptor.promised = acceptor.promised.max(promised);
                }
            }
            proposed = misled.resolve(after);
            let coordinator = after.coordinator.as_mut();
            if let (Some(vote), Some(coordinator)) = (&proposed, coordinator) {
                let value = vote.value;
                coordinator.ballot = Some(vote.ballot);
                coordinator.phase = Phase::Accepting { value };
            }
            let phase = after.coordinator.as_mut().map(|it| &mut it.phase);
            if let (Some(picked), Some(Phase::Accepting { value })) = (picked, phase) {
                *value = picked;
            }
        }
        if after != **state {
            *state = Cow::Owned(after);
        }
        let durable = state.node().map(NodeState::durable);
        let is_changed = durable.as_ref() != Some(&misled.node.durable());
        let mut saves: Out<Self> = Out::new();
        if let Some(durable) = durable.filter(|_| is_changed) {
            saves.save(durable);
        }
        let mut rest: Out<Self> = Out::new();
        for command in inner {
            match command {
                Command::Save(_) => {}
                Command::Send(to, Message::Accept { vote }) => {
                    // What the mutant proposes takes the place of what the process does.
                    if proposed.is_none() {
                        let value = picked.unwrap_or(vote.value);
                        let vote = Vote { value, ..vote };
                        rest.send(to, Message::Accept { vote });
                    }
                }
                Command::Send(to, message) => rest.send(to, message),
                Command::SetTimer(timer, range) => rest.set_timer(timer, range),
                Command::CancelTimer(timer) => rest.cancel_timer(timer),
                Command::ChooseRandom(key, choices) => rest.choose_random(key, choices),
            }
        }
        if let Some(vote) = proposed {
            for acceptor in cluster.quorums.acceptors().iter() {
                let vote = vote.clone();
                rest.send(acceptor.into(), Message::Accept { vote });
            }
        }
        let is_late = rule == Rule::SendBeforeSave;
        let (first, last) = if is_late {
            (&mut rest, &mut saves)
        } else {
            (&mut saves, &mut rest)
        };
        out.append(first);
        out.append(last);
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
        if self.rule == Some(Rule::SendBeforeSave) {
            let is_save = |command: &Command<_, _, _, _>| matches!(command, Command::Save(_));
            let (late, prompt): (Vec<_>, Vec<_>) = inner.into_iter().partition(is_save);
            out.append(&mut prompt.into_iter().chain(late).collect::<Out<Self>>());
        } else {
            out.append(&mut inner);
        }
    }

    fn name(&self) -> String {
        self.process.name()
    }
}
