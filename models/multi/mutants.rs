//! Multi-Paxos with one rule broken: what each invariant must catch.
//!
//! As in [`mutants`](crate::models::mutants), a mutant is a wrapper around the shipped actor, which
//! breaks its rule from outside: by changing what the actor is told or remembers.

use super::{Command, Config, Layout, Msg, Proc, Reads, Register, Speaker};
use stateright::actor::{Actor, Command as Ask, Id, Out};
use std::borrow::Cow;
use synod::ballot::NodeId;
use synod::invariant::{
    Agreement, DecidedIsChosen, DecisionStands, EXACTLY_ONCE, Invariant, LINEARIZABLE,
    OneValuePerBallot, PromiseKept, SAME_STATE, Validity, VotesSafe,
};
use synod::multi::lease::{Beat, Time};
use synod::multi::{
    Alarm, Durable, Entry, Leader, Log, Message, NodeState, Order, Phase, Process, ProcessState,
    Request, Slot,
};
use synod::quorum::AcceptorSet;

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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    VoteBelowPromise,
    ForgetPromise,
    ForgetVotes,
    ReuseBallot,
    IgnoreVotes,
    LowestVote,
    CountOneVote,
    InventCommand,
    AnyVoteDecides,
    OverruledLeads,
    ForgetLog,
    ReverseBatch,
    Renumber,
    Unconfirmed,
    NoBarrier,
    HoldOffNobody,
    ForgetGrant,
    CountFromReceipt,
    NoMargin,
}

const fn mutant(
    name: &'static str,
    breaks: &'static str,
    rule: Rule,
    sentence: &'static str,
) -> Mutant {
    Mutant {
        name,
        sentence,
        breaks,
        rule,
    }
}

/// Every mutant; together they break every invariant.
pub const ALL: &[Mutant] = &[
    mutant(
        "vote-below-promise",
        PromiseKept::PROPERTY,
        Rule::VoteBelowPromise,
        "An acceptor votes although it promised a higher ballot.",
    ),
    mutant(
        "forget-promise",
        PromiseKept::PROPERTY,
        Rule::ForgetPromise,
        "An acceptor that restarts has lost its promise.",
    ),
    mutant(
        "forget-votes",
        Agreement::PROPERTY,
        Rule::ForgetVotes,
        "An acceptor that restarts has lost its votes.",
    ),
    mutant(
        "reuse-ballot",
        OneValuePerBallot::PROPERTY,
        Rule::ReuseBallot,
        "A proposer that restarts begins again with its first ballot.",
    ),
    mutant(
        "ignore-votes",
        Agreement::PROPERTY,
        Rule::IgnoreVotes,
        "A new leader proposes in every slot whatever the acceptors report.",
    ),
    mutant(
        "lowest-vote",
        VotesSafe::PROPERTY,
        Rule::LowestVote,
        "A new leader adopts the lowest vote reported in a slot instead of the highest.",
    ),
    mutant(
        "count-one-vote",
        DecidedIsChosen::PROPERTY,
        Rule::CountOneVote,
        "A leader takes the first vote for its proposal for a quorum.",
    ),
    mutant(
        "invent-command",
        Validity::PROPERTY,
        Rule::InventCommand,
        "A leader proposes a command that no client asked for.",
    ),
    mutant(
        "any-vote-decides",
        Agreement::PROPERTY,
        Rule::AnyVoteDecides,
        "A learner that hears up to where a ballot has chosen applies its votes of other ballots.",
    ),
    mutant(
        "lead-overruled",
        Agreement::PROPERTY,
        Rule::OverruledLeads,
        "A leader goes on although a higher ballot decided one of its open slots otherwise.",
    ),
    mutant(
        "forget-log",
        DecisionStands::PROPERTY,
        Rule::ForgetLog,
        "A node that restarts has lost what it decided.",
    ),
    mutant(
        "reverse-batch",
        SAME_STATE.property,
        Rule::ReverseBatch,
        "A node that is told of a batch applies it in reverse.",
    ),
    mutant(
        "renumber",
        EXACTLY_ONCE.property,
        Rule::Renumber,
        "A leader numbers requests itself, so that one that comes again is another.",
    ),
    mutant(
        "read-unconfirmed",
        LINEARIZABLE.property,
        Rule::Unconfirmed,
        "A leader answers reads without asking whether it still leads.",
    ),
    mutant(
        "read-too-soon",
        LINEARIZABLE.property,
        Rule::NoBarrier,
        "A new leader answers reads before it has applied what was chosen before.",
    ),
    mutant(
        "hold-off-nobody",
        LINEARIZABLE.property,
        Rule::HoldOffNobody,
        "An acceptor that granted a lease promises and votes for others all the same.",
    ),
    mutant(
        "forget-grant",
        LINEARIZABLE.property,
        Rule::ForgetGrant,
        "An acceptor that restarts does not wait for leases it may have granted.",
    ),
    mutant(
        "count-from-receipt",
        LINEARIZABLE.property,
        Rule::CountFromReceipt,
        "A leader counts its lease from when the answer came, not from when it asked.",
    ),
    mutant(
        "no-margin",
        LINEARIZABLE.property,
        Rule::NoMargin,
        "A leader counts on its lease to the end, as if clocks did not drift.",
    ),
];

impl Mutant {
    /// The mutant of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Mutant> {
        ALL.iter().find(|mutant| mutant.name == name)
    }

    fn is_about_crashes(&self) -> bool {
        matches!(
            self.rule,
            Rule::ForgetPromise
                | Rule::ForgetVotes
                | Rule::ReuseBallot
                | Rule::ForgetLog
                | Rule::ForgetGrant
        )
    }

    fn is_about_leases(&self) -> bool {
        matches!(
            self.rule,
            Rule::HoldOffNobody | Rule::ForgetGrant | Rule::CountFromReceipt | Rule::NoMargin
        )
    }

    /// The configuration changed to one that gives the mutant its chance. Which messages are stale
    /// is a claim about the real protocol, so all are kept, but by those that break no claim.
    #[must_use]
    pub fn prepare(&self, config: Config) -> Config {
        let is_sound = matches!(self.rule, Rule::OverruledLeads | Rule::ForgetGrant);
        let config = Config {
            crashes: config.crashes.max(self.is_about_crashes().into()),
            drops_stale: is_sound && config.drops_stale,
            forgets: false,
            ..config
        };
        match self.rule {
            Rule::AnyVoteDecides => Config {
                layout: Layout::Colocated,
                ..config
            },
            Rule::OverruledLeads => Config {
                layout: Layout::Learning,
                ..config
            },
            Rule::ReverseBatch => Config {
                window: 1,
                batch: 2,
                ..config
            },
            Rule::Unconfirmed | Rule::NoBarrier => Config {
                replies: true,
                reads: Reads::Index,
                ..config
            },
            _ if self.is_about_leases() => Config {
                replies: true,
                reads: Reads::Lease,
                heartbeats: true,
                lease: Some((3, 2)),
                ..config
            },
            _ => config,
        }
    }

    /// The smallest configuration that was found to kill it.
    #[must_use]
    pub fn smallest(&self) -> Config {
        let (acceptors, proposers, slots, clients) = match self.rule {
            Rule::VoteBelowPromise | Rule::ForgetPromise => (1, 2, 1, 1),
            Rule::ForgetVotes | Rule::IgnoreVotes => (1, 2, 1, 2),
            Rule::ReuseBallot => (1, 1, 1, 2),
            Rule::LowestVote => (3, 3, 1, 2),
            Rule::CountOneVote => (2, 1, 1, 1),
            Rule::InventCommand | Rule::ForgetLog => (1, 1, 1, 1),
            Rule::AnyVoteDecides => (3, 2, 1, 2),
            Rule::OverruledLeads => (3, 2, 2, 2),
            Rule::ReverseBatch => (1, 2, 2, 3),
            Rule::Renumber => (1, 1, 2, 1),
            Rule::Unconfirmed => (1, 2, 1, 1),
            Rule::NoBarrier => (1, 2, 1, 1),
            Rule::HoldOffNobody | Rule::ForgetGrant => (1, 2, 1, 1),
            Rule::CountFromReceipt | Rule::NoMargin => (1, 2, 1, 1),
        };
        let clocks = match self.rule {
            Rule::HoldOffNobody | Rule::ForgetGrant => (1, 1),
            Rule::CountFromReceipt | Rule::NoMargin => (1, 3),
            _ => Config::default().clocks,
        };
        self.prepare(Config {
            acceptors,
            proposers,
            slots,
            clients,
            clocks,
            ..Config::default()
        })
    }
}

/// The shipped process with one rule broken, or with none: one type for both, so that whatever
/// checks either is compiled once.
#[derive(Clone, Debug)]
pub struct Broken {
    process: Process<Register>,
    rule: Option<Rule>,
}

impl Broken {
    /// `process` with the rule of `mutant` broken.
    #[must_use]
    pub fn new(process: Process<Register>, mutant: &Mutant) -> Self {
        let rule = Some(mutant.rule);
        Self { process, rule }
    }

    /// `process` as it was shipped, or with the rule of a mutant broken.
    #[must_use]
    pub fn perhaps(process: Process<Register>, mutant: Option<&Mutant>) -> Self {
        let rule = mutant.map(|mutant| mutant.rule);
        Self { process, rule }
    }

    fn cluster(&self) -> Option<&synod::multi::Cluster<Register>> {
        match &self.process {
            Process::Node(cluster, _) => Some(cluster),
            Process::Client(_) => None,
        }
    }

    /// Passes on what the process asks for. What is saved is what the mutant remembers.
    fn hand_on(state: &Proc, asked: Out<Process<Register>>, out: &mut Out<Self>) {
        let amended = asked
            .into_iter()
            .map(|command| match (command, state.node()) {
                (Ask::Save(_), Some(node)) => Ask::Save(node.durable()),
                (command, _) => command,
            });
        out.append(&mut amended.collect::<Out<Self>>());
    }

    /// What the process is told instead of `message`, and what it remembers meanwhile.
    fn mishear(
        &self,
        rule: Rule,
        node: &mut NodeState<Register>,
        src: NodeId,
        message: Msg,
    ) -> Msg {
        let acceptors = self
            .cluster()
            .map(|it| it.quorums.acceptors())
            .unwrap_or_default();
        match (rule, message) {
            (Rule::VoteBelowPromise, message @ Message::Accept { .. }) => {
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.promised = None;
                }
                message
            }
            (
                Rule::IgnoreVotes,
                Message::Promise {
                    ballot,
                    decided,
                    more,
                    ..
                },
            ) => {
                let votes = std::collections::BTreeMap::new();
                Message::Promise {
                    ballot,
                    votes,
                    decided,
                    more,
                }
            }
            (Rule::LowestVote, message @ Message::Promise { .. }) => lowest(node, src, message),
            (Rule::CountOneVote, message @ Message::Accepted { slot, .. }) => {
                count_all(node, slot, acceptors);
                message
            }
            (Rule::InventCommand, Message::Request(request)) => Message::Request(Request {
                order: invent(request.order),
                ..request
            }),
            (Rule::Renumber, Message::Request(request)) => Message::Request(Request {
                order: renumber(node, request.order),
                ..request
            }),
            (Rule::AnyVoteDecides, Message::Decided { upto, .. }) => any_votes(node, upto),
            (Rule::ReverseBatch, Message::Entries { from, entries }) => Message::Entries {
                from,
                entries: entries.into_iter().map(reverse).collect(),
            },
            (Rule::Unconfirmed, message @ Message::Read { .. }) => {
                if let Some(Phase::Leading(reign)) = phase(node) {
                    let ever = Beat {
                        round: u64::MAX,
                        sent: Time(0),
                    };
                    reign.heard.extend(acceptors.iter().map(|id| (id, ever)));
                }
                message
            }
            (Rule::NoBarrier, message @ Message::Read { .. }) => {
                if let Some(Phase::Leading(reign)) = phase(node) {
                    reign.barrier = Slot(0);
                }
                message
            }
            (Rule::HoldOffNobody, message) => {
                node.grant = None;
                message
            }
            (Rule::CountFromReceipt, Message::Heard { ballot, beat }) => {
                let beat = Beat {
                    sent: node.now,
                    ..beat
                };
                Message::Heard { ballot, beat }
            }
            (Rule::NoMargin, Message::Heard { ballot, beat }) => {
                let margin = self
                    .cluster()
                    .and_then(|it| it.lease)
                    .map_or(0, |it| it.margin);
                let beat = Beat {
                    sent: beat.sent.after(margin),
                    ..beat
                };
                Message::Heard { ballot, beat }
            }
            (_, message) => message,
        }
    }
}

fn phase(node: &mut NodeState<Register>) -> Option<&mut Phase<Command>> {
    node.leader
        .as_mut()
        .map(|leader: &mut Leader<_>| &mut leader.phase)
}

/// Makes the proposer prefer, in each slot, the lower of the vote that it remembers and the one it
/// is told.
fn lowest(node: &mut NodeState<Register>, src: NodeId, message: Msg) -> Msg {
    let is_past = |ballot| {
        node.leader
            .as_ref()
            .is_none_or(|it| it.is_past_promise(src, ballot))
    };
    let Message::Promise {
        ballot,
        mut votes,
        decided,
        more,
    } = message
    else {
        return message;
    };
    if !is_past(ballot)
        && let Some(Phase::Preparing(campaign)) = phase(node)
    {
        votes.retain(|slot, vote| match campaign.votes.get(slot) {
            Some(known) if known.ballot < vote.ballot => false,
            Some(_) => campaign.votes.remove(slot).is_some(),
            None => true,
        });
    }
    Message::Promise {
        ballot,
        votes,
        decided,
        more,
    }
}

fn count_all(node: &mut NodeState<Register>, slot: Slot, acceptors: AcceptorSet) {
    if let Some(Phase::Leading(reign)) = phase(node)
        && let Some(proposal) = reign.open.get_mut(&slot)
    {
        proposal.voters = acceptors;
    }
}

fn invent(order: Order<Command>) -> Order<Command> {
    match order {
        Order::Do {
            session,
            seq,
            acked,
            ..
        } => Order::Do {
            session,
            seq,
            acked,
            command: Command::Write('?'),
        },
        open @ Order::Open { .. } => open,
    }
}

fn renumber(node: &NodeState<Register>, order: Order<Command>) -> Order<Command> {
    match order {
        Order::Do {
            session,
            acked,
            command,
            ..
        } => Order::Do {
            session,
            seq: 100 + node.decided().0,
            acked,
            command,
        },
        open @ Order::Open { .. } => open,
    }
}

/// What the node voted for up to a slot, in whatever ballots, as if that were decided.
fn any_votes(node: &NodeState<Register>, upto: Slot) -> Msg {
    let from = node.decided();
    let vote = |slot: u64| {
        let acceptor = node.acceptor.as_ref()?;
        Some(acceptor.votes.get(&Slot(slot))?.value.clone())
    };
    let entries = (from.0..upto.0).map_while(vote).collect();
    Message::Entries { from, entries }
}

fn reverse(entry: Entry<Command>) -> Entry<Command> {
    match entry {
        Entry::Batch(requests) => Entry::Batch(requests.iter().rev().cloned().collect()),
        Entry::Noop => Entry::Noop,
    }
}

/// A leader that was overruled leads on, as if what was decided were what it proposed.
fn rule_on(before: &Proc, after: &mut Proc) {
    let (Some(before), ProcessState::Node(node)) = (before.node(), after) else {
        return;
    };
    let decided = node.decided();
    let (Some(was), Some(leader)) = (before.leader.as_ref(), node.leader.as_mut()) else {
        return;
    };
    if let (Phase::Leading(reign), Phase::Following) = (&was.phase, &leader.phase)
        && was.ballot == leader.ballot
    {
        let mut reign = reign.clone();
        reign.open = reign.open.split_off(&decided);
        reign.next = reign.next.max(decided);
        leader.phase = Phase::Leading(reign);
    }
}

/// A mutant that votes below its promise still knows it: one rule is broken, not two.
fn keep_higher_promise(before: &Proc, after: &mut Proc) {
    let promised = before
        .node()
        .and_then(|node| node.acceptor.as_ref()?.promised);
    if let ProcessState::Node(node) = after
        && let Some(acceptor) = &mut node.acceptor
    {
        acceptor.promised = acceptor.promised.max(promised);
    }
}

impl Speaker for Broken {}

impl Actor for Broken {
    type Msg = Msg;
    type Timer = Alarm;
    type State = Proc;
    type Storage = Durable<Register>;
    type Random = ();

    fn on_start(&self, id: Id, storage: &Option<Durable<Register>>, out: &mut Out<Self>) -> Proc {
        let Some(rule) = self.rule else {
            let mut inner = Out::new();
            let state = self.process.on_start(id, storage, &mut inner);
            out.append(&mut inner);
            return state;
        };
        let mut storage = storage.clone();
        if let Some(durable) = &mut storage {
            let acceptor = durable.acceptor.as_mut();
            match (rule, acceptor) {
                (Rule::ForgetPromise, Some(acceptor)) => acceptor.promised = None,
                (Rule::ForgetVotes, Some(acceptor)) => acceptor.votes.clear(),
                (Rule::ReuseBallot, _) => durable.ballot = None,
                (Rule::ForgetLog, _) => durable.log = Log::from(Slot(0)),
                _ => {}
            }
        }
        let mut inner = Out::new();
        let mut state = self.process.on_start(id, &storage, &mut inner);
        if let (Rule::ForgetGrant, ProcessState::Node(node)) = (rule, &mut state) {
            node.grant = None;
        }
        out.append(&mut inner);
        state
    }

    fn on_msg(&self, id: Id, state: &mut Cow<Proc>, src: Id, msg: Msg, out: &mut Out<Self>) {
        let Some(rule) = self.rule else {
            let mut inner = Out::new();
            self.process.on_msg(id, state, src, msg, &mut inner);
            out.append(&mut inner);
            return;
        };
        let mut misled = state.clone().into_owned();
        let msg = match &mut misled {
            ProcessState::Node(node) => self.mishear(rule, node, src.into(), msg),
            ProcessState::Client(_) => msg,
        };
        let mut misled = Cow::Borrowed(&misled);
        let mut inner = Out::new();
        self.process.on_msg(id, &mut misled, src, msg, &mut inner);
        let mut after = misled.into_owned();
        keep_higher_promise(state, &mut after);
        if rule == Rule::OverruledLeads {
            rule_on(state, &mut after);
        }
        if after != **state {
            *state = Cow::Owned(after);
        }
        Self::hand_on(state, inner, out);
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<Proc>, timer: &Alarm, out: &mut Out<Self>) {
        let mut inner = Out::new();
        self.process.on_timeout(id, state, timer, &mut inner);
        Self::hand_on(state, inner, out);
    }

    fn name(&self) -> String {
        self.process.name()
    }
}
