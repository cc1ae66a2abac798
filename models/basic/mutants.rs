//! Basic Paxos with one rule broken: what each invariant must catch.

use crate::models::mutant::{self, Step, uncounted};
use synod::ballot::{Ballot, NodeId};
use synod::basic::{Cluster, Message, NodeState, Phase, Process, Tally};
use synod::invariant::{
    Agreement, DecidedIsChosen, Invariant, OneValuePerBallot, PromiseKept, Validity, VotesSafe,
};
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

/// A rule of Basic Paxos that can be broken.
pub type Mutant = mutant::Mutant<Process<char>>;

/// Every mutant; together they break every invariant.
pub static ALL: &[Mutant] = &[
    Mutant {
        smallest: "--acceptors 1 --proposers 2 --ballots 1",
        alter_input: |_, node, _, message| {
            if let (Message::Accept { .. }, Some(acceptor)) = (message, &mut node.acceptor) {
                acceptor.promised = None;
            }
        },
        after: keep_higher_promise,
        ..Mutant::VOTE_BELOW_PROMISE
    },
    Mutant {
        smallest: "--acceptors 1 --proposers 2 --ballots 1",
        restore: |durable| {
            if let Some(acceptor) = &mut durable.acceptor {
                acceptor.promised = None;
            }
        },
        ..Mutant::FORGET_PROMISE
    },
    Mutant {
        name: "ignore-vote",
        sentence: "A proposer proposes its own value whatever the acceptors report.",
        breaks: Agreement::PROPERTY,
        source: "a classic: P2c of Paxos Made Simple left out",
        smallest: "--acceptors 1 --proposers 2 --ballots 1",
        alter_input: |_, _, _, message| {
            if let Message::Promise { vote, .. } = message {
                *vote = None;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "lowest-vote",
        sentence: "A proposer adopts the lowest reported vote instead of the highest.",
        breaks: VotesSafe::PROPERTY,
        source: "a classic; the TLC counterexample of Kimberlite's view change was of this kind",
        smallest: "--acceptors 3 --proposers 3 --ballots 1",
        alter_input: |_, node, src, message| {
            let (Message::Promise { ballot, vote }, Some(proposer)) = (message, &mut node.proposer)
            else {
                return;
            };
            let is_past = proposer.is_past(src, *ballot);
            if let Phase::Preparing { highest, .. } = &mut proposer.phase
                && let (false, Some(known), Some(told)) = (is_past, &highest, &vote)
            {
                match known.ballot < told.ballot {
                    true => *vote = None,
                    false => *highest = None,
                }
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        smallest: "--acceptors 1 --proposers 1 --ballots 1",
        restore: |durable| durable.ballot = None,
        ..Mutant::REUSE_BALLOT
    },
    Mutant {
        name: "minority-decides",
        sentence: "A learner takes the first vote that it hears for the decision.",
        breaks: DecidedIsChosen::PROPERTY,
        source: "a classic: chosen taken for accepted",
        smallest: "--acceptors 2 --proposers 1 --ballots 1",
        alter_input: |_, _, _, message| {
            if let Message::Accepted { vote } = message {
                *message = Message::Decided { value: vote.value };
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "invent-value",
        sentence: "A proposer proposes a value that no client asked for.",
        breaks: Validity::PROPERTY,
        source: "a test value left in; linearizability of reads alone need not notice",
        smallest: "--acceptors 1 --proposers 1 --ballots 1",
        alter_input: |_, _, _, message| {
            if let Message::Propose { value } = message {
                *value = '?';
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        smallest: "--acceptors 1 --proposers 1 --ballots 1",
        restore: |durable| durable.decided = None,
        ..Mutant::FORGET_DECISION
    },
    Mutant {
        smallest: "--acceptors 1 --proposers 2 --ballots 1",
        ..Mutant::SEND_BEFORE_SAVE
    },
    Mutant {
        smallest: "--acceptors 1 --proposers 2 --ballots 1",
        restore: |durable| {
            if let Some(acceptor) = &mut durable.acceptor {
                acceptor.vote = None;
            }
        },
        ..Mutant::FORGET_VOTE
    },
    Mutant {
        name: "promise-below",
        sentence: "An acceptor promises a lower ballot and forgets the higher one.",
        breaks: PromiseKept::PROPERTY,
        source: "a classic: phase 1b without its guard",
        smallest: "--acceptors 1 --proposers 2 --ballots 1",
        alter_input: |_, node, _, message| {
            if let (Message::Prepare { .. }, Some(acceptor)) = (message, &mut node.acceptor) {
                acceptor.promised = None;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        smallest: "--acceptors 3 --proposers 3 --ballots 1",
        after: |step, node| {
            if let (Some(before), Some(after)) = (&step.before.acceptor, &mut node.acceptor)
                && before.vote != after.vote
            {
                after.promised = before.promised;
            }
        },
        ..Mutant::KEEP_PROMISE
    },
    Mutant {
        name: "retag-vote",
        sentence: "An acceptor reports its vote as if it were cast in the ballot that asks.",
        breaks: VotesSafe::PROPERTY,
        source: "a classic: the promised ballot sent for the voted one",
        smallest: "--acceptors 3 --proposers 3 --ballots 1",
        alter_output: |_, message| {
            if let Message::Promise {
                ballot,
                vote: Some(vote),
            } = message
            {
                vote.ballot = *ballot;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "old-promise",
        sentence: "A proposer counts promises of its earlier ballots for the present one.",
        breaks: VotesSafe::PROPERTY,
        source: "MyPaxos issue 18: two values decided",
        smallest: "--acceptors 1 --proposers 2 --ballots 2",
        alter_input: |_, node, _, message| {
            if let (Message::Promise { ballot, .. }, Some(present)) = (message, ballot(node)) {
                *ballot = present.max(*ballot);
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        smallest: "--acceptors 3 --proposers 2 --ballots 1",
        alter_sender: |cluster, node, src, message| match (phase(node), message) {
            (
                Some(Phase::Preparing { promises, .. }),
                Message::Promise {
                    ballot: promised, ..
                },
            ) if ballot(node) == Some(*promised) => {
                uncounted(cluster.quorums.acceptors(), *promises, src)
            }
            _ => src,
        },
        ..Mutant::COUNT_PROMISE_TWICE
    },
    Mutant {
        name: "half-is-enough",
        sentence: "Half of the acceptors are taken for a quorum.",
        breaks: Agreement::PROPERTY,
        source: "n/2 for n/2 + 1; Paxos Made Live, section 6.3: a member misspelt",
        smallest: "--acceptors 2 --proposers 2 --ballots 1",
        alter_input: |cluster, node, src, message| {
            if let (Message::Accepted { vote }, Some(learner)) = (&message, &mut node.learner) {
                let tally = learner.tally.get_or_insert_with(|| Tally {
                    proposal: vote.clone(),
                    voters: AcceptorSet::new(),
                });
                if tally.proposal == *vote {
                    round_up(cluster, &mut tally.voters, src);
                }
            }
            round_promises_up(cluster, node, src, message);
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "adopt-if-all-agree",
        sentence: "A proposer adopts a vote only if every promise reports one.",
        breaks: Agreement::PROPERTY,
        source: "a classic: no majority seen, so the value is free",
        smallest: "--acceptors 3 --proposers 2 --ballots 1",
        alter_input: |_, node, _, message| {
            let present = ballot(node);
            if let (Message::Promise { ballot, vote }, Some(proposer)) =
                (message, &mut node.proposer)
                && let Phase::Preparing { promises, highest } = &mut proposer.phase
            {
                if present == Some(*ballot) && !promises.is_empty() && highest.is_none() {
                    *vote = None;
                }
                if vote.is_none() {
                    *highest = None;
                }
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "skip-prepare",
        sentence: "A proposer asks for votes at once, without phase 1.",
        breaks: Agreement::PROPERTY,
        source: "phase 1 taken for an optimisation that a single proposer could do without",
        smallest: "--acceptors 1 --proposers 2 --ballots 1",
        alter_output: |node, message| {
            let proposer = node.proposer.as_ref();
            let request = proposer.and_then(|proposer| proposer.request.as_ref());
            if let (Message::Prepare { ballot }, Some(request)) = (&message, request) {
                let (ballot, value) = (*ballot, request.value);
                let vote = Vote { ballot, value };
                *message = Message::Accept { vote };
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "change-mind",
        sentence: "A proposer that is asked for another value proposes it in the same ballot.",
        breaks: OneValuePerBallot::PROPERTY,
        source: "a request that overwrites the one under way",
        smallest: "--acceptors 1 --proposers 1 --ballots 1",
        extra_send: |step, _| match (ballot(step.before), phase(step.before), step.message) {
            (Some(ballot), Some(Phase::Accepting { value: first }), Message::Propose { value })
                if first != value =>
            {
                let value = *value;
                let vote = Vote { ballot, value };
                let acceptors = step.cluster.quorums.acceptors().iter();
                let accept = |to| (to, Message::Accept { vote: vote.clone() });
                acceptors.map(accept).collect()
            }
            _ => Vec::new(),
        },
        ..Mutant::NONE
    },
    Mutant {
        smallest: "--acceptors 2 --proposers 1 --ballots 1",
        alter_sender: |cluster, node, src, message| match (tally(node), message) {
            (Some(tally), Message::Accepted { vote }) if tally.proposal == *vote => {
                uncounted(cluster.quorums.acceptors(), tally.voters, src)
            }
            _ => src,
        },
        ..Mutant::COUNT_VOTE_TWICE
    },
    Mutant {
        smallest: "--acceptors 3 --proposers 2 --ballots 1",
        alter_input: |_, node, _, message| {
            if let (Message::Accepted { vote }, Some(tally)) = (message, tally(node))
                && tally.proposal.value == vote.value
            {
                *vote = tally.proposal.clone();
            }
        },
        ..Mutant::ADD_ACROSS_BALLOTS
    },
];

/// Changes that look like mistakes and break nothing: every state that they lead to is visited.
pub static HARMLESS: &[Mutant] = &[
    Mutant {
        name: "promise-again",
        sentence: "An acceptor answers a Prepare of the very ballot that it promised.",
        source: "a ballot has one proposer, which counts an acceptor once and phase 1 once",
        smallest: "--acceptors 3 --proposers 2 --ballots 1",
        alter_input: |_, node, _, message| {
            if let (Message::Prepare { ballot }, Some(acceptor)) = (message, &mut node.acceptor) {
                acceptor.promised = acceptor.promised.filter(|it| it != ballot);
            }
        },
        after: keep_higher_promise,
        ..Mutant::NONE
    },
    Mutant {
        name: "promise-lower",
        sentence: "An acceptor answers a Prepare below its promise, which stands, if not below \
                   its vote.",
        source: "it promised more than it is asked for; votes below its promise it still refuses",
        smallest: "--acceptors 3 --proposers 2 --ballots 1",
        alter_input: |_, node, _, message| {
            if let (Message::Prepare { .. }, Some(acceptor)) = (message, &mut node.acceptor) {
                acceptor.promised = acceptor.vote.as_ref().map(|vote| vote.ballot);
            }
        },
        after: keep_higher_promise,
        ..Mutant::NONE
    },
    Mutant {
        name: "half-promises",
        sentence: "Half of an even number of acceptors are enough to promise.",
        source: "any half meets any majority, and only quorums of promises and of votes must \
                 meet: Howard, Malkhi and Spiegelman, Flexible Paxos",
        smallest: "--acceptors 4 --proposers 2 --ballots 1",
        alter_input: round_promises_up,
        ..Mutant::NONE
    },
];

fn ballot(node: &NodeState<char>) -> Option<Ballot> {
    node.proposer.as_ref()?.ballot
}

fn phase(node: &NodeState<char>) -> Option<&Phase<char>> {
    Some(&node.proposer.as_ref()?.phase)
}

fn tally(node: &NodeState<char>) -> Option<&Tally<char>> {
    node.learner.as_ref()?.tally.as_ref()
}

/// Keeps a promise that was forgotten for the time of a step: one rule is broken, not two.
fn keep_higher_promise(step: &Step<Process<char>>, node: &mut NodeState<char>) {
    if let (Some(before), Some(after)) = (&step.before.acceptor, &mut node.acceptor) {
        after.promised = after.promised.max(before.promised);
    }
}

/// Once half of the acceptors are counted, counts the others as well; but for the sender, which is
/// about to be counted.
fn round_up(cluster: &Cluster, counted: &mut AcceptorSet, src: NodeId) {
    let acceptors = cluster.quorums.acceptors();
    let with = counted.union([src].into_iter().collect());
    if 2 * with.len() >= acceptors.len() {
        *counted = acceptors.difference([src].into_iter().collect());
    }
}

fn round_promises_up(
    cluster: &Cluster,
    node: &mut NodeState<char>,
    src: NodeId,
    message: &mut Message<char>,
) {
    if let (Message::Promise { ballot, .. }, Some(proposer)) = (message, &mut node.proposer)
        && proposer.ballot == Some(*ballot)
        && let Phase::Preparing { promises, .. } = &mut proposer.phase
    {
        round_up(cluster, promises, src);
    }
}
