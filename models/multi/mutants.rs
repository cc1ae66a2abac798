//! Multi-Paxos with one rule broken: what each invariant must catch.
//!
//! As in [`mutants`](crate::models::mutants), a mutant is a wrapper around the shipped actor, which
//! breaks its rule from outside: by changing what the actor is told or remembers.

use super::{Command, Config, Layout, Msg, Proc, Reads, Register, Reply, Speaker};
use stateright::actor::{Actor, Command as Ask, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeMap;
use synod::ballot::{Ballot, NodeId};
use synod::invariant::{
    Agreement, DecidedIsChosen, DecisionStands, EXACTLY_ONCE, Invariant, LINEARIZABLE,
    OneValuePerBallot, PromiseKept, SAME_STATE, Validity, VotesSafe,
};
use synod::multi::lease::{Beat, Time};
use synod::multi::{
    Alarm, Durable, Entry, Leader, Log, Message, NodeState, Order, Outcome, Phase, Process,
    ProcessState, Request, Slot,
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
    PromiseFirstSlot,
    KeepPromise,
    RetagVotes,
    OldPromise,
    PromiseTwice,
    VoteTwice,
    OldVote,
    Unanimous,
    PartialPromise,
    IgnoreWatermark,
    NoticeAhead,
    Misplace,
    ReplyTooSoon,
    ReadAnywhere,
    OldBeat,
    ExpireAlone,
    PromiseAgain,
    PromiseLower,
}

const fn mutant(
    name: &'static str,
    breaks: &'static str,
    rule: Rule,
    sentence: &'static str,
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
        "vote-below-promise",
        PromiseKept::PROPERTY,
        Rule::VoteBelowPromise,
        "An acceptor votes although it promised a higher ballot.",
        "a classic: phase 2b without its guard; `Phase2b` of Paxos.tla",
    ),
    mutant(
        "forget-promise",
        PromiseKept::PROPERTY,
        Rule::ForgetPromise,
        "An acceptor that restarts has lost its promise.",
        "akka-raft issue 62 and stateright's own raft example, whose votes are not saved",
    ),
    mutant(
        "forget-votes",
        Agreement::PROPERTY,
        Rule::ForgetVotes,
        "An acceptor that restarts has lost its votes.",
        "Paxos Made Live, section 5.1: disks that come back empty",
    ),
    mutant(
        "reuse-ballot",
        OneValuePerBallot::PROPERTY,
        Rule::ReuseBallot,
        "A proposer that restarts begins again with its first ballot.",
        "phxpaxos issue 145: what makes ballots unique after a restart",
    ),
    mutant(
        "ignore-votes",
        Agreement::PROPERTY,
        Rule::IgnoreVotes,
        "A new leader proposes in every slot whatever the acceptors report.",
        "a classic: P2c of Paxos Made Simple left out",
    ),
    mutant(
        "lowest-vote",
        VotesSafe::PROPERTY,
        Rule::LowestVote,
        "A new leader adopts the lowest vote reported in a slot instead of the highest.",
        "a classic; the TLC counterexample of Kimberlite's view change was of this kind",
    ),
    mutant(
        "count-one-vote",
        DecidedIsChosen::PROPERTY,
        Rule::CountOneVote,
        "A leader takes the first vote for its proposal for a quorum.",
        "a classic: chosen taken for accepted",
    ),
    mutant(
        "invent-command",
        Validity::PROPERTY,
        Rule::InventCommand,
        "A leader proposes a command that no client asked for.",
        "a test value left in; linearizability of reads alone need not notice",
    ),
    mutant(
        "any-vote-decides",
        Agreement::PROPERTY,
        Rule::AnyVoteDecides,
        "A learner that hears up to where a ballot has chosen applies its votes of other ballots.",
        "MultiPaxos-SMR in the TLA+ examples: its CommitNotice carries a slot alone",
    ),
    mutant(
        "lead-overruled",
        Agreement::PROPERTY,
        Rule::OverruledLeads,
        "A leader goes on although a higher ballot decided one of its open slots otherwise.",
        "found here, by the model checker: a leader that is told what it did not propose",
    ),
    mutant(
        "forget-log",
        DecisionStands::PROPERTY,
        Rule::ForgetLog,
        "A node that restarts has lost what it decided.",
        "ZooKeeper issue 4925: a hole in the log of what was committed",
    ),
    mutant(
        "reverse-batch",
        SAME_STATE.property,
        Rule::ReverseBatch,
        "A node that is told of a batch applies it in reverse.",
        "an order that is lost when a batch is packed",
    ),
    mutant(
        "renumber",
        EXACTLY_ONCE.property,
        Rule::Renumber,
        "A leader numbers requests itself, so that one that comes again is another.",
        "Raft thesis, section 6.3; Paxos Made Live: done again after mastership was lost",
    ),
    mutant(
        "read-unconfirmed",
        LINEARIZABLE.property,
        Rule::Unconfirmed,
        "A leader answers reads without asking whether it still leads.",
        "a leader that does not know of its successor: hashicorp/raft issue 108",
    ),
    mutant(
        "read-too-soon",
        LINEARIZABLE.property,
        Rule::NoBarrier,
        "A new leader answers reads before it has applied what was chosen before.",
        "Raft thesis, section 6.4, step 1: no entry of the leader's own term yet",
    ),
    mutant(
        "hold-off-nobody",
        LINEARIZABLE.property,
        Rule::HoldOffNobody,
        "An acceptor that granted a lease promises and votes for others all the same.",
        "yugabyte issue 16, tikv issue 964",
    ),
    mutant(
        "forget-grant",
        LINEARIZABLE.property,
        Rule::ForgetGrant,
        "An acceptor that restarts does not wait for leases it may have granted.",
        "a lease that is kept in memory alone",
    ),
    mutant(
        "count-from-receipt",
        LINEARIZABLE.property,
        Rule::CountFromReceipt,
        "A leader counts its lease from when the answer came, not from when it asked.",
        "sofa-jraft pull request 26: the lease began when the answer came",
    ),
    mutant(
        "no-margin",
        LINEARIZABLE.property,
        Rule::NoMargin,
        "A leader counts on its lease to the end, as if clocks did not drift.",
        "etcd/raft, ReadOnlyLeaseBased: as if clocks did not drift",
    ),
    mutant(
        "promise-in-first-slot",
        PromiseKept::PROPERTY,
        Rule::PromiseFirstSlot,
        "An acceptor's promise binds it in the first slot alone.",
        "a promise stored with one slot, though prepare covers all; a classic of Multi-Paxos",
    ),
    mutant(
        "keep-promise",
        VotesSafe::PROPERTY,
        Rule::KeepPromise,
        "An acceptor that votes does not raise its promise to the ballot of its vote.",
        "Brooker, The Bug in Paxos Made Simple: the paper's wording allows it",
    ),
    mutant(
        "retag-votes",
        VotesSafe::PROPERTY,
        Rule::RetagVotes,
        "An acceptor reports its votes as if they were cast in the ballot that asks.",
        "a classic: the promised ballot sent for the voted one",
    ),
    mutant(
        "old-promise",
        VotesSafe::PROPERTY,
        Rule::OldPromise,
        "A candidate counts promises of its earlier ballots for the present one.",
        "MyPaxos issue 18: two values decided",
    ),
    mutant(
        "count-promise-twice",
        VotesSafe::PROPERTY,
        Rule::PromiseTwice,
        "A candidate counts a promise that comes again as another acceptor's.",
        "a counter in the place of a set; stateright's paxos example survives it in its tests",
    ),
    mutant(
        "count-vote-twice",
        DecidedIsChosen::PROPERTY,
        Rule::VoteTwice,
        "A leader counts a vote that comes again as another acceptor's.",
        "a counter in the place of a set; stateright's paxos example survives it in its tests",
    ),
    mutant(
        "old-vote",
        DecidedIsChosen::PROPERTY,
        Rule::OldVote,
        "A leader counts votes in its earlier ballots for what it proposes now.",
        "swiftpaxos issue 2: an acknowledgement of an old ballot",
    ),
    mutant(
        "adopt-if-all-agree",
        Agreement::PROPERTY,
        Rule::Unanimous,
        "A new leader adopts a vote only if every promise reports one for the slot.",
        "scaliendb issue 129, paxos-rs issue 76: no majority seen, so a no-op is put there",
    ),
    mutant(
        "partial-promise",
        VotesSafe::PROPERTY,
        Rule::PartialPromise,
        "A candidate counts a promise although some of its votes have not come yet.",
        "a page of an answer taken for all of it",
    ),
    mutant(
        "ignore-watermark",
        Agreement::PROPERTY,
        Rule::IgnoreWatermark,
        "A new leader ignores up to where an acceptor knows all to be decided.",
        "paxi: slot 0 executed twice after a change of leader and a truncation",
    ),
    mutant(
        "notice-ahead",
        DecidedIsChosen::PROPERTY,
        Rule::NoticeAhead,
        "A leader says of all that it has proposed that it is chosen.",
        "off by a window: the next slot to propose for, not the first that is open",
    ),
    mutant(
        "misplace-entries",
        Agreement::PROPERTY,
        Rule::Misplace,
        "A learner takes entries for those of the slots that it lacks next.",
        "an index left out of a message; raft's check of the entry before is there for it",
    ),
    mutant(
        "reply-too-soon",
        LINEARIZABLE.property,
        Rule::ReplyTooSoon,
        "A leader answers a request when it proposes it.",
        "MongoDB's write concern 1; whoever acknowledges before a quorum has it",
    ),
    mutant(
        "read-anywhere",
        LINEARIZABLE.property,
        Rule::ReadAnywhere,
        "Whoever is asked answers reads from its own state.",
        "ZooKeeper's reads, which are documented to be stale, and etcd's before version 3",
    ),
    mutant(
        "old-beat",
        LINEARIZABLE.property,
        Rule::OldBeat,
        "A read counts answers to a sign of life that was sent before it came.",
        "etcd issue 20418: the id of a read is used again",
    ),
    mutant(
        "expire-alone",
        SAME_STATE.property,
        Rule::ExpireAlone,
        "A replica that is told of an entry takes the first session for expired.",
        "Raft thesis, section 6.3: sessions must expire everywhere alike",
    ),
];

/// Changes that look like mistakes and break nothing: every state that they lead to is visited.
pub const HARMLESS: &[Mutant] = &[
    mutant(
        "promise-again",
        "",
        Rule::PromiseAgain,
        "An acceptor answers a Prepare of the very ballot that it promised.",
        "a ballot has one proposer, which counts an acceptor once and phase 1 once",
    ),
    mutant(
        "promise-lower",
        "",
        Rule::PromiseLower,
        "An acceptor answers a Prepare below its promise, which stands, if it voted in none above.",
        "it promised more than it is asked for; votes below its promise it still refuses",
    ),
];

impl Mutant {
    /// The mutant of this name, harmless or not.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Mutant> {
        let mut all = ALL.iter().chain(HARMLESS);
        all.find(|mutant| mutant.name == name)
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
            Rule::Unconfirmed | Rule::NoBarrier | Rule::ReadAnywhere => Config {
                replies: true,
                reads: Reads::Index,
                ..config
            },
            Rule::OldBeat => Config {
                replies: true,
                reads: Reads::Index,
                heartbeats: true,
                ..config
            },
            Rule::ReplyTooSoon => Config {
                replies: true,
                reads: Reads::Log,
                ..config
            },
            Rule::PartialPromise => Config { chunk: 8, ..config },
            Rule::IgnoreWatermark => Config {
                layout: Layout::Colocated,
                ..config
            },
            Rule::NoticeAhead => Config {
                layout: Layout::Learning,
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
            Rule::PromiseFirstSlot => (1, 2, 2, 2),
            Rule::RetagVotes | Rule::KeepPromise => (3, 3, 1, 2),
            Rule::OldPromise => (1, 2, 1, 2),
            Rule::OldVote => (3, 1, 1, 2),
            Rule::PromiseTwice | Rule::Unanimous => (3, 2, 1, 2),
            Rule::VoteTwice => (2, 1, 1, 1),
            Rule::PartialPromise => (1, 2, 2, 3),
            Rule::IgnoreWatermark => (3, 2, 1, 2),
            Rule::NoticeAhead => (3, 1, 2, 2),
            Rule::Misplace => (1, 2, 2, 2),
            Rule::ReplyTooSoon => (1, 2, 2, 2),
            Rule::ReadAnywhere | Rule::OldBeat => (1, 2, 1, 1),
            Rule::ExpireAlone => (1, 2, 1, 2),
            Rule::PromiseAgain | Rule::PromiseLower => (3, 2, 1, 2),
        };
        let ballots = match self.rule {
            Rule::OldPromise | Rule::OldVote => 2,
            _ => 1,
        };
        let clocks = match self.rule {
            Rule::HoldOffNobody | Rule::ForgetGrant => (1, 1),
            Rule::CountFromReceipt | Rule::NoMargin => (1, 3),
            _ => Config::default().clocks,
        };
        self.prepare(Config {
            acceptors,
            proposers,
            ballots,
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
pub struct Subject {
    process: Process<Register>,
    rule: Option<Rule>,
}

impl Subject {
    /// For whom a node takes the sender: for an acceptor that it has not counted yet, if the mutant
    /// counts twice.
    fn mistake(&self, rule: Rule, state: &Proc, src: NodeId, message: &Msg) -> NodeId {
        let leader = state.node().and_then(|node| node.leader.as_ref());
        let counted = leader.and_then(|leader| match (rule, &leader.phase, message) {
            (Rule::PromiseTwice, Phase::Preparing(campaign), Message::Promise { ballot, .. })
                if leader.ballot == Some(*ballot) =>
            {
                Some(campaign.promises)
            }
            (Rule::VoteTwice, Phase::Leading(reign), Message::Accepted { slot, .. }) => {
                reign.open.get(slot).map(|proposal| proposal.voters)
            }
            _ => None,
        });
        let counted = counted.filter(|counted| counted.contains(src));
        let other = counted.and_then(|counted| {
            let mut acceptors = self.acceptors().iter();
            acceptors.find(|acceptor| !counted.contains(*acceptor))
        });
        other.unwrap_or(src)
    }

    /// What a node says instead of `message`.
    fn misspeak(&self, node: &NodeState<Register>, message: Msg) -> Msg {
        let leader = node.leader.as_ref();
        match (self.rule, message) {
            (
                Some(Rule::RetagVotes),
                Message::Promise {
                    ballot,
                    mut votes,
                    decided,
                    more,
                },
            ) => {
                votes.values_mut().for_each(|vote| vote.ballot = ballot);
                Message::Promise {
                    ballot,
                    votes,
                    decided,
                    more,
                }
            }
            (Some(Rule::NoticeAhead), Message::Decided { ballot, upto }) => {
                let reign = leader.and_then(Leader::reign);
                let upto = reign.map_or(upto, |reign| reign.next);
                Message::Decided { ballot, upto }
            }
            (_, message) => message,
        }
    }

    /// What a node answers too soon, or though it should not.
    fn blurt(
        rule: Rule,
        node: &NodeState<Register>,
        src: NodeId,
        message: &Msg,
    ) -> Option<(NodeId, Msg)> {
        let machine = node.learner.as_ref()?.sessions.machine();
        let reply = Reply(machine.written.last().copied());
        let (client, seq) = match (rule, message) {
            (Rule::ReplyTooSoon, Message::Request(request)) if node.is_leading() => {
                (request.client, request.order.seq())
            }
            (Rule::ReadAnywhere, Message::Read { seq, .. }) => (src, *seq),
            _ => return None,
        };
        let outcome = Outcome::Done(reply);
        Some((client, Message::Reply { seq, outcome }))
    }

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

    fn acceptors(&self) -> AcceptorSet {
        self.cluster()
            .map(|cluster| cluster.quorums.acceptors())
            .unwrap_or_default()
    }

    /// Passes on what the process asks for. What is saved is what the mutant remembers.
    fn hand_on(&self, state: &Proc, asked: Out<Process<Register>>, out: &mut Out<Self>) {
        let amended = asked
            .into_iter()
            .map(|command| match (command, state.node()) {
                (Ask::Save(_), Some(node)) => Ask::Save(node.durable()),
                (Ask::Send(to, message), Some(node)) => Ask::Send(to, self.misspeak(node, message)),
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
        let acceptors = self.acceptors();
        let ballot_now = node.leader.as_ref().and_then(|leader| leader.ballot);
        match (rule, message) {
            (Rule::PromiseFirstSlot, message @ Message::Accept { slot, .. }) if slot > Slot(0) => {
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.promised = None;
                }
                message
            }
            (Rule::OldVote, Message::Accepted { ballot, slot }) => {
                let ballot = ballot_now.unwrap_or(ballot);
                Message::Accepted { ballot, slot }
            }
            (
                Rule::OldPromise | Rule::Unanimous | Rule::PartialPromise | Rule::IgnoreWatermark,
                Message::Promise {
                    ballot,
                    votes,
                    decided,
                    more,
                },
            ) => {
                let mut promise = Promise {
                    ballot,
                    votes,
                    decided,
                    more,
                };
                match rule {
                    Rule::OldPromise => promise.ballot = ballot_now.unwrap_or(ballot),
                    Rule::PartialPromise => promise.more = None,
                    Rule::IgnoreWatermark => promise.decided = Slot(0),
                    _ if ballot_now == Some(ballot) => drop_where_one_is_silent(node, &mut promise),
                    _ => {}
                }
                promise.into()
            }
            (Rule::PromiseAgain, message @ Message::Prepare { ballot, .. }) => {
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.promised = acceptor.promised.filter(|it| *it != ballot);
                }
                message
            }
            (Rule::PromiseLower, message @ Message::Prepare { .. }) => {
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.promised = acceptor.votes.values().map(|vote| vote.ballot).max();
                }
                message
            }
            (Rule::Misplace, Message::Entries { entries, .. }) => {
                let from = node.decided();
                Message::Entries { from, entries }
            }
            (Rule::OldBeat, Message::Heard { ballot, beat }) => {
                let reign = node.leader.as_ref().and_then(Leader::reign);
                let round = reign.map_or(beat.round, |reign| reign.beat.round);
                let beat = Beat { round, ..beat };
                Message::Heard { ballot, beat }
            }
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
                let votes = Votes::new();
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
            (Rule::ExpireAlone, Message::Entries { from, entries }) => Message::Entries {
                from,
                entries: entries.into_iter().map(without_first_session).collect(),
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
                if let Some(acceptor) = &mut node.acceptor {
                    acceptor.grant = None;
                }
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

/// What is in a promise.
struct Promise {
    ballot: Ballot,
    votes: Votes,
    decided: Slot,
    more: Option<Slot>,
}

/// Votes by slot.
type Votes = BTreeMap<Slot, Vote<Entry<Command>>>;

impl From<Promise> for Msg {
    fn from(promise: Promise) -> Self {
        let Promise {
            ballot,
            votes,
            decided,
            more,
        } = promise;
        Message::Promise {
            ballot,
            votes,
            decided,
            more,
        }
    }
}

/// Forgets what was voted for in slots in which not all promises report a vote.
fn drop_where_one_is_silent(node: &mut NodeState<Register>, promise: &mut Promise) {
    if let Some(Phase::Preparing(campaign)) = phase(node)
        && !campaign.promises.is_empty()
    {
        campaign
            .votes
            .retain(|slot, _| promise.votes.contains_key(slot));
        promise
            .votes
            .retain(|slot, _| campaign.votes.contains_key(slot));
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

/// Whoever votes has promised no more than before.
fn keep_promise(before: &Proc, after: &mut Proc) {
    let before = before.node().and_then(|node| node.acceptor.as_ref());
    if let ProcessState::Node(node) = after
        && let (Some(before), Some(acceptor)) = (before, &mut node.acceptor)
        && before.votes != acceptor.votes
    {
        acceptor.promised = before.promised;
    }
}

/// What is left of an entry for a replica that takes the first session for expired.
fn without_first_session(entry: Entry<Command>) -> Entry<Command> {
    let is_left =
        |request: &&Request<Command>| !matches!(request.order, Order::Do { session: 0, .. });
    match entry {
        Entry::Batch(requests) => Entry::Batch(requests.iter().filter(is_left).cloned().collect()),
        Entry::Noop => Entry::Noop,
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

impl Speaker for Subject {}

impl Actor for Subject {
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
            if let Some(acceptor) = &mut node.acceptor {
                acceptor.grant = None;
            }
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
        let src = self.mistake(rule, state, src.into(), &msg);
        let mut inner = Out::new();
        let blurted = state.node().and_then(|it| Self::blurt(rule, it, src, &msg));
        let msg = match &mut misled {
            ProcessState::Node(node) => self.mishear(rule, node, src, msg),
            ProcessState::Client(_) => msg,
        };
        let mut misled = Cow::Borrowed(&misled);
        self.process
            .on_msg(id, &mut misled, src.into(), msg, &mut inner);
        if let Some((client, reply)) = blurted {
            inner.send(client.into(), reply);
        }
        let mut after = misled.into_owned();
        match rule {
            Rule::KeepPromise => keep_promise(state, &mut after),
            _ => keep_higher_promise(state, &mut after),
        }
        if rule == Rule::OverruledLeads {
            rule_on(state, &mut after);
        }
        if after != **state {
            *state = Cow::Owned(after);
        }
        self.hand_on(state, inner, out);
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<Proc>, timer: &Alarm, out: &mut Out<Self>) {
        let mut inner = Out::new();
        self.process.on_timeout(id, state, timer, &mut inner);
        self.hand_on(state, inner, out);
    }

    fn name(&self) -> String {
        self.process.name()
    }
}
