//! Fast Paxos with one rule broken: what each invariant must catch.
//!
//! Here are the mistakes that fast ballots invite, and those of Basic Paxos that Fast Paxos could
//! make in code of its own.

use crate::models::mutant::{self, Step, uncounted};
use std::cmp::Ordering;
use synod::ballot::{Ballot, NodeId};
use synod::fast::{Cluster, Message, NodeState, Phase, Poll, Process};
use synod::invariant::{Agreement, DecidedIsChosen, Invariant, PromiseKept, Validity, VotesSafe};
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

/// A rule of Fast Paxos that can be broken.
pub type Mutant = mutant::Mutant<Process<char>>;

/// Every mutant; together they break every invariant.
pub static ALL: &[Mutant] = &[
    Mutant {
        name: "open-though-bound",
        sentence: "A coordinator opens a fast ballot although votes were reported.",
        breaks: Agreement::PROPERTY,
        source: "\"any\" taken for the point of a fast ballot, whatever went before",
        smallest: "--acceptors 1 --coordinators 1 --ballots 3 --fast-rounds 3",
        alter_input: |cluster, _, _, message| {
            if let Message::Promise { ballot, vote } = message
                && cluster.quorums.rounds().is_fast(*ballot)
            {
                *vote = None;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "vote-twice",
        sentence: "An acceptor votes for a second value in an open ballot.",
        breaks: Agreement::PROPERTY,
        source: "a classic: in classic ballots the ballot's one value rules it out, here nothing \
                 else does",
        smallest: "--acceptors 1 --coordinators 1 --ballots 1 --fast-rounds 1",
        after: |step, node| {
            let was_open = step.before.acceptor.as_ref().is_some_and(|it| it.open);
            if let (Some(ballot), Some(acceptor)) = (fast_vote(step, node), &mut node.acceptor)
                && was_open
            {
                (acceptor.promised, acceptor.open) = (Some(ballot), true);
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "vote-without-promise",
        sentence: "An acceptor that votes in a fast ballot does not promise the one that \
                   resolves it.",
        breaks: Agreement::PROPERTY,
        source: "coordinated recovery with ballots of several coordinators in between: Fast \
                 Paxos has rounds that follow one upon the other",
        smallest: "--acceptors 2 --coordinators 2 --ballots 2 --fast-rounds 1",
        after: |step, node| {
            if let (Some(ballot), Some(acceptor)) = (fast_vote(step, node), &mut node.acceptor) {
                acceptor.promised = Some(ballot);
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "open-below-promise",
        sentence: "An acceptor lets a ballot below its promise be opened, and forgets the promise.",
        breaks: PromiseKept::PROPERTY,
        source: "\"any\" without the guard that every other request of phase 2 has",
        smallest: "--acceptors 1 --coordinators 2 --ballots 1 --fast-rounds 1",
        alter_input: |_, node, _, message| {
            if let (Message::Any { .. }, Some(acceptor)) = (message, &mut node.acceptor) {
                acceptor.promised = None;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "own-if-several",
        sentence: "A coordinator that is told of votes for several values proposes its own.",
        breaks: Agreement::PROPERTY,
        source: "O4 left out: if they differ, so the reasoning, none was chosen",
        smallest: "--acceptors 4 --coordinators 1 --ballots 3 --fast-rounds 1",
        alter_input: |cluster, node, src, message| {
            pick(cluster, node, src, message, |poll, _| {
                first(poll, |_| poll.votes.len() == 1)
            });
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "first-reported",
        sentence: "A coordinator adopts the first vote of the highest ballot that it is told of.",
        breaks: Agreement::PROPERTY,
        source: "P2c of Paxos Made Simple applied to a ballot with several values",
        smallest: "--acceptors 4 --coordinators 1 --ballots 3 --fast-rounds 1",
        alter_input: |cluster, node, src, message| {
            pick(cluster, node, src, message, |poll, _| first(poll, |_| true));
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "adopt-if-all-agree",
        sentence: "A coordinator adopts a value only if every promise reports it.",
        breaks: Agreement::PROPERTY,
        source: "a misreading of O4: a fast quorum and a phase-1 quorum differ in members",
        smallest: "--acceptors 4 --coordinators 1 --ballots 3 --fast-rounds 1",
        alter_input: |cluster, node, src, message| {
            pick(cluster, node, src, message, |poll, heard| {
                first(poll, |voters| voters == heard)
            });
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "threshold-too-high",
        sentence: "A coordinator adopts a value only if one report more than enough names it.",
        breaks: Agreement::PROPERTY,
        source: "> for >= in what O4 asks: Q + QF - N reports of Q",
        smallest: "--acceptors 4 --coordinators 1 --ballots 3 --fast-rounds 1",
        alter_input: |cluster, node, src, message| {
            pick(cluster, node, src, message, |poll, heard| {
                let blocks = |others| {
                    poll.ballot
                        .is_some_and(|it| cluster.quorums.blocks(it, others))
                };
                first(poll, |voters| {
                    // One voter less, and it would still be enough.
                    let without = |one| voters.difference([one].into_iter().collect());
                    voters
                        .iter()
                        .all(|one| !blocks(heard.difference(without(one))))
                })
            });
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "majority-of-all",
        sentence: "A coordinator adopts a value only if a majority of all acceptors reports it.",
        breaks: Agreement::PROPERTY,
        source: "a misreading of O4: a majority of those heard is what it comes to, for the \
                 usual sizes",
        smallest: "--acceptors 4 --coordinators 1 --ballots 3 --fast-rounds 1",
        alter_input: |cluster, node, src, message| {
            pick(cluster, node, src, message, |poll, _| {
                first(poll, |voters| {
                    2 * voters.len() > cluster.quorums.acceptors().len()
                })
            });
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "many-or-own",
        sentence: "A coordinator proposes its own value where one value was reported, but by too \
                   few.",
        breaks: Agreement::PROPERTY,
        source: "O4 without its other half: the ballot may have been for that value alone",
        smallest: "--acceptors 2 --coordinators 1 --ballots 5 --fast-rounds 3",
        alter_input: |cluster, node, src, message| {
            pick(cluster, node, src, message, |poll, heard| {
                poll.choosable(heard, &cluster.quorums)
            });
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "classic-quorum-decides",
        sentence: "A learner takes a classic quorum for enough in a fast ballot.",
        breaks: DecidedIsChosen::PROPERTY,
        source: "one quorum size for both kinds of ballot",
        smallest: "--acceptors 3 --coordinators 1 --ballots 1 --fast-rounds 1",
        alter_input: |cluster, node, src, message| {
            if let Message::Accepted { vote } = message {
                let mut poll = followed(node).cloned().unwrap_or_default();
                poll.hear(src, vote.clone());
                let value = vote.value;
                let voters = poll.votes.iter().find(|(other, _)| *other == value);
                if voters.is_some_and(|(_, voters)| cluster.quorums.is_phase2(*voters)) {
                    *message = Message::Decided { value };
                }
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "resolve-too-soon",
        sentence: "A coordinator resolves a collision as soon as it has heard of two values.",
        breaks: Agreement::PROPERTY,
        source: "coordinated recovery without a quorum of phase 1, for there was no phase 1",
        smallest: "--acceptors 4 --coordinators 1 --ballots 2 --fast-rounds 1",
        after: |step, node| resolve(step, node, |_| true),
        extra_send: accepts,
        ..Mutant::NONE
    },
    Mutant {
        smallest: "--acceptors 1 --coordinators 2 --ballots 1 --fast-rounds 1",
        restore: |durable| {
            let acceptor = durable.acceptor.get_or_insert_default();
            (acceptor.promised, acceptor.open) = (None, false);
        },
        ..Mutant::FORGET_PROMISE
    },
    Mutant {
        smallest: "--acceptors 1 --coordinators 1 --ballots 3 --fast-rounds 1",
        restore: |durable| {
            if let Some(acceptor) = &mut durable.acceptor {
                acceptor.vote = None;
            }
        },
        ..Mutant::FORGET_VOTE
    },
    Mutant {
        smallest: "--acceptors 1 --coordinators 1 --ballots 1 --fast-rounds 1",
        restore: |durable| durable.decided = None,
        ..Mutant::FORGET_DECISION
    },
    Mutant {
        smallest: "--acceptors 1 --coordinators 1 --ballots 3 --fast-rounds 1",
        ..Mutant::SEND_BEFORE_SAVE
    },
    Mutant {
        sentence: "A coordinator that restarts begins again with its first ballot.",
        smallest: "--acceptors 1 --coordinators 1 --ballots 1 --fast-rounds 0",
        restore: |durable| durable.ballot = None,
        ..Mutant::REUSE_BALLOT
    },
    Mutant {
        name: "ignore-vote",
        sentence: "A coordinator goes on as if no vote had been reported.",
        breaks: VotesSafe::PROPERTY,
        source: "a classic: P2c of Paxos Made Simple left out",
        smallest: "--acceptors 1 --coordinators 1 --ballots 3 --fast-rounds 1",
        alter_input: |_, _, _, message| {
            if let Message::Promise { vote, .. } = message {
                *vote = None;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "lowest-vote",
        sentence: "A coordinator goes by the lowest ballot reported instead of the highest.",
        breaks: VotesSafe::PROPERTY,
        source: "a classic; the TLC counterexample of Kimberlite's view change was of this kind",
        smallest: "--acceptors 3 --coordinators 2 --ballots 3 --fast-rounds 1",
        alter_input: |_, node, src, message| {
            let (Message::Promise { ballot, vote }, Some(coordinator)) =
                (message, &mut node.coordinator)
            else {
                return;
            };
            let is_past = coordinator.is_past_promise(src, *ballot);
            if let Phase::Preparing { poll, .. } = &mut coordinator.phase
                && let (false, Some(known), Some(told)) = (is_past, poll.ballot, &vote)
            {
                match told.ballot.cmp(&known) {
                    Ordering::Greater => *vote = None,
                    Ordering::Less => *poll = Poll::default(),
                    Ordering::Equal => {}
                }
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        source: "a classic: phase 2b without its guard",
        smallest: "--acceptors 1 --coordinators 2 --ballots 1 --fast-rounds 0",
        alter_input: |_, node, _, message| {
            if let (Message::Accept { .. }, Some(acceptor)) = (message, &mut node.acceptor) {
                acceptor.promised = None;
            }
        },
        after: |step, node| {
            // It still knows its promise: one rule is broken, not two.
            if let (Some(before), Some(after)) = (&step.before.acceptor, &mut node.acceptor) {
                after.promised = after.promised.max(before.promised);
            }
        },
        ..Mutant::VOTE_BELOW_PROMISE
    },
    Mutant {
        sentence: "A coordinator counts a promise that comes again as another acceptor's.",
        smallest: "--acceptors 3 --coordinators 2 --ballots 2 --fast-rounds 1",
        alter_sender: |cluster, node, src, message| {
            if let (Some(coordinator), Message::Promise { ballot, .. }) =
                (&node.coordinator, message)
                && let Phase::Preparing { promises, .. } = &coordinator.phase
                && coordinator.ballot == Some(*ballot)
            {
                return uncounted(cluster.quorums.acceptors(), *promises, src);
            }
            src
        },
        ..Mutant::COUNT_PROMISE_TWICE
    },
    Mutant {
        smallest: "--acceptors 2 --coordinators 1 --ballots 1 --fast-rounds 1",
        alter_sender: |cluster, node, src, message| match (followed(node), message) {
            (Some(poll), Message::Accepted { vote }) if poll.ballot == Some(vote.ballot) => {
                uncounted(cluster.quorums.acceptors(), poll.voters(), src)
            }
            _ => src,
        },
        ..Mutant::COUNT_VOTE_TWICE
    },
    Mutant {
        smallest: "--acceptors 2 --coordinators 1 --ballots 3 --fast-rounds 1",
        alter_input: |_, node, _, message| {
            if let (Message::Accepted { vote }, Some(poll)) = (message, followed(node))
                && poll.votes.iter().any(|(value, _)| *value == vote.value)
            {
                vote.ballot = poll.ballot.unwrap_or(vote.ballot);
            }
        },
        ..Mutant::ADD_ACROSS_BALLOTS
    },
    Mutant {
        name: "invent-value",
        sentence: "An acceptor votes for a value that no client asked for.",
        breaks: Validity::PROPERTY,
        source: "a test value left in",
        smallest: "--acceptors 1 --coordinators 1 --ballots 1 --fast-rounds 1",
        alter_input: |_, _, _, message| {
            if let Message::Propose { value } = message {
                *value = '?';
            }
        },
        ..Mutant::NONE
    },
];

/// Changes that look like mistakes and break nothing: every state that they lead to is visited.
pub static HARMLESS: &[Mutant] = &[
    Mutant {
        name: "resolve-early",
        sentence: "A coordinator goes on to the next ballot once a quorum has voted for two \
                   values.",
        source: "if one of them may still be chosen, that is the one it picks: a ballot lost, no \
                 more",
        smallest: "--acceptors 4 --coordinators 1 --ballots 2 --fast-rounds 1",
        after: |step, node| resolve(step, node, |heard| step.cluster.quorums.is_phase1(heard)),
        extra_send: accepts,
        ..Mutant::NONE
    },
    Mutant {
        name: "resolve-in-place",
        sentence: "A coordinator resolves a collision in the ballot that collided.",
        source: "whoever voted has promised the next ballot; what the others vote chooses \
                 nothing there",
        smallest: "--acceptors 4 --coordinators 1 --ballots 2 --fast-rounds 1",
        after: |step, node| {
            let has_resolved = has_resolved(step, node);
            if let (Some(before), Some(after)) = (&step.before.coordinator, &mut node.coordinator)
                && has_resolved
            {
                after.ballot = before.ballot;
            }
        },
        alter_output: as_remembered,
        ..Mutant::NONE
    },
    Mutant {
        name: "own-on-collision",
        sentence: "A coordinator resolves a collision with the value that it was asked for \
                   itself.",
        source: "in the ballot that collided no value can be chosen any more, and all were safe",
        smallest: "--acceptors 4 --coordinators 1 --ballots 2 --fast-rounds 1",
        after: |step, node| {
            let has_resolved = has_resolved(step, node);
            if let Some(coordinator) = &mut node.coordinator
                && let (true, Some(own)) = (has_resolved, &coordinator.request)
            {
                let value = own.value;
                coordinator.phase = Phase::Accepting { value };
            }
        },
        alter_output: as_remembered,
        ..Mutant::NONE
    },
    Mutant {
        name: "plurality",
        sentence: "A coordinator adopts the value that most reports name.",
        source: "the one that may have been chosen has more votes than any other, by the law of \
                 quorums",
        smallest: "--acceptors 4 --coordinators 1 --ballots 3 --fast-rounds 1",
        alter_input: |cluster, node, src, message| {
            pick(cluster, node, src, message, |poll, _| {
                let most = poll.votes.iter().max_by_key(|(_, voters)| voters.len());
                most.map(|(value, _)| value)
            });
        },
        ..Mutant::NONE
    },
];

/// Makes a coordinator that has heard a quorum and some votes pick a value by another rule: its own
/// if the rule has none. The rule is given the votes, and who was heard.
fn pick(
    cluster: &Cluster,
    node: &mut NodeState<char>,
    src: NodeId,
    message: &mut Message<char>,
    rule: impl FnOnce(&Poll<char>, AcceptorSet) -> Option<&char>,
) {
    let (Message::Promise { ballot, vote }, Some(coordinator)) = (message, &mut node.coordinator)
    else {
        return;
    };
    let Phase::Preparing { promises, poll } = &mut coordinator.phase else {
        return;
    };
    let (mut heard, mut all) = (*promises, poll.clone());
    let is_news = coordinator.ballot == Some(*ballot) && heard.insert(src);
    if let Some(vote) = vote {
        all.hear(src, vote.clone());
    }
    if let Some(first) = first(&all, |_| true)
        && is_news
        && cluster.quorums.is_phase1(heard)
    {
        let own = coordinator.request.as_ref().map_or(*first, |it| it.value);
        let picked = *rule(&all, heard).unwrap_or(&own);
        // The only value that it hears of is the one that it picks.
        poll.ballot = all.ballot;
        poll.votes = vec![(picked, AcceptorSet::new())];
        *vote = None;
    }
}

/// Returns the first value whose voters are enough.
fn first(poll: &Poll<char>, is_enough: impl Fn(AcceptorSet) -> bool) -> Option<&char> {
    let mut votes = poll.votes.iter();
    let found = votes.find(|(_, voters)| is_enough(*voters));
    found.map(|(value, _)| value)
}

/// Makes a coordinator that watches a fast ballot with votes for two values propose one of them in
/// the next ballot, once those heard are enough.
fn resolve(
    step: &Step<Process<char>>,
    node: &mut NodeState<char>,
    is_enough: impl Fn(AcceptorSet) -> bool,
) {
    let Some(coordinator) = &mut node.coordinator else {
        return;
    };
    let (quorums, round_max) = (&step.cluster.quorums, step.cluster.round_max);
    let recovery = coordinator
        .ballot
        .and_then(|it| quorums.rounds().recovery(it));
    if let (Phase::Watching { poll }, Some(next)) = (&coordinator.phase, recovery)
        && poll.votes.len() > 1
        && is_enough(poll.voters())
        && let Some(value) = poll.pick(poll.voters(), quorums).copied()
        && next.round <= round_max
    {
        coordinator.ballot = Some(next);
        coordinator.phase = Phase::Accepting { value };
    }
}

/// Returns whether a coordinator has just resolved a collision, with a value.
fn has_resolved(step: &Step<Process<char>>, node: &NodeState<char>) -> bool {
    let phase = |node: &NodeState<char>| node.coordinator.as_ref().map(|it| it.phase.clone());
    let phases = (phase(step.before), phase(node));
    matches!(
        phases,
        (Some(Phase::Watching { .. }), Some(Phase::Accepting { .. }))
    )
}

/// Returns requests to vote for what a coordinator has resolved a collision with.
fn accepts(step: &Step<Process<char>>, node: &NodeState<char>) -> Vec<(NodeId, Message<char>)> {
    let Some(vote) = proposal(node).filter(|_| has_resolved(step, node)) else {
        return Vec::new();
    };
    let accept = |to| (to, Message::Accept { vote: vote.clone() });
    step.cluster
        .quorums
        .acceptors()
        .iter()
        .map(accept)
        .collect()
}

/// Returns the vote that a coordinator asks for.
fn proposal(node: &NodeState<char>) -> Option<Vote<char>> {
    let coordinator = node.coordinator.as_ref()?;
    let (ballot, Phase::Accepting { value }) = (coordinator.ballot?, &coordinator.phase) else {
        return None;
    };
    let value = *value;
    Some(Vote { ballot, value })
}

/// Makes a coordinator ask for the vote that it remembers to ask for.
fn as_remembered(node: &NodeState<char>, message: &mut Message<char>) {
    if let (Message::Accept { vote }, Some(proposal)) = (message, proposal(node)) {
        *vote = proposal;
    }
}

/// Returns the poll that a learner follows.
fn followed(node: &NodeState<char>) -> Option<&Poll<char>> {
    node.learner.as_ref().map(|learner| &learner.poll)
}

/// Returns the fast ballot in which an acceptor has just voted.
fn fast_vote(step: &Step<Process<char>>, node: &NodeState<char>) -> Option<Ballot> {
    let (before, after) = (step.before.acceptor.as_ref()?, node.acceptor.as_ref()?);
    let vote = after.vote.as_ref().filter(|_| after.vote != before.vote)?;
    let rounds = step.cluster.quorums.rounds();
    rounds.is_fast(vote.ballot).then_some(vote.ballot)
}
