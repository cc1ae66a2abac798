//! Multi-Paxos with one rule broken: what each invariant must catch.

use super::{Command, Msg, Register, Reply};
use crate::models::mutant::{self, Breakable, Step, uncounted};
use std::sync::Arc;
use synod::ballot::{Ballot, NodeId};
use synod::invariant::{
    Agreement, DecidedIsChosen, DecisionStands, EXACTLY_ONCE, Invariant, LINEARIZABLE, PromiseKept,
    SAME_STATE, Validity, VotesSafe,
};
use synod::machine::Machine;
use synod::multi::lease::{HeartbeatId, Time};
use synod::multi::{
    Cluster, Durable, Entry, Learner, Log, Message, NodeState, Operation, Outcome, Phase, Process,
    ProcessState, Request, Slot,
};

/// A rule of Multi-Paxos that can be broken.
pub type Mutant = mutant::Mutant<Process<Register>>;

type Node = NodeState<Register>;

/// Every mutant; together they break every invariant.
pub static ALL: &[Mutant] = &[
    Mutant {
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1",
        alter_input: |_, node, _, message| {
            if let (Message::Accept { .. }, Some(acceptor)) = (message, &mut node.acceptor) {
                acceptor.promised = None;
            }
        },
        after: keep_higher_promise,
        ..Mutant::VOTE_BELOW_PROMISE
    },
    Mutant {
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1",
        restore: |durable| {
            if let Some(acceptor) = &mut durable.acceptor {
                acceptor.promised = None;
            }
        },
        ..Mutant::FORGET_PROMISE
    },
    Mutant {
        name: "forget-votes",
        sentence: "An acceptor that restarts has lost its votes.",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 2",
        restore: |durable| {
            if let Some(acceptor) = &mut durable.acceptor {
                acceptor.votes.clear();
            }
        },
        ..Mutant::FORGET_VOTE
    },
    Mutant {
        smallest: "--acceptors 1 --proposers 1 --slots 1 --clients 2",
        restore: |durable| durable.ballot = None,
        ..Mutant::REUSE_BALLOT
    },
    Mutant {
        name: "ignore-votes",
        sentence: "A new leader proposes in every slot whatever the acceptors report.",
        breaks: Agreement::PROPERTY,
        source: "a classic: P2c of Paxos Made Simple left out",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 2",
        alter_input: |_, _, _, message| {
            if let Message::Promise { votes, .. } = message {
                votes.clear();
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "lowest-vote",
        sentence: "A new leader adopts the lowest vote reported in a slot instead of the highest.",
        breaks: VotesSafe::PROPERTY,
        source: "a classic; the TLC counterexample of Kimberlite's view change was of this kind",
        smallest: "--acceptors 3 --proposers 3 --slots 1 --clients 2",
        alter_input: |_, node, src, message| {
            let (Message::Promise { ballot, votes, .. }, Some(leader)) =
                (message, &mut node.leader)
            else {
                return;
            };
            let is_past = leader.is_past_promise(src, *ballot);
            if let (false, Phase::Preparing(campaign)) = (is_past, &mut leader.phase) {
                votes.retain(|slot, vote| match campaign.votes.get(slot) {
                    Some(known) if known.ballot < vote.ballot => false,
                    Some(_) => campaign.votes.remove(slot).is_some(),
                    None => true,
                });
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "count-one-vote",
        sentence: "A leader takes the first vote for its proposal for a quorum.",
        breaks: DecidedIsChosen::PROPERTY,
        source: "a classic: chosen taken for accepted",
        smallest: "--acceptors 2 --proposers 1 --slots 1 --clients 1",
        alter_input: |cluster, node, _, message| {
            if let (Message::Accepted { slot, .. }, Some(Phase::Leading(leadership))) =
                (message, phase_mut(node))
                && let Some(proposal) = leadership.open.get_mut(slot)
            {
                proposal.voters = cluster.quorums.acceptors();
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "invent-command",
        sentence: "A leader proposes a command that no client asked for.",
        breaks: Validity::PROPERTY,
        source: "a test value left in; linearizability of reads alone need not notice",
        smallest: "--acceptors 1 --proposers 1 --slots 1 --clients 1",
        alter_input: |_, _, _, message| {
            if let Message::Request(request) = message
                && let Operation::Do { command, .. } = &mut request.operation
            {
                *command = Command::Write('?');
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "any-vote-decides",
        sentence: "A learner that hears up to where a ballot has chosen applies its votes of \
                   other ballots.",
        breaks: Agreement::PROPERTY,
        source: "MultiPaxos-SMR in the TLA+ examples: its CommitNotice carries a slot alone",
        needs: "--layout colocated --drop-stale off --forget off",
        smallest: "--acceptors 3 --proposers 2 --slots 1 --clients 2",
        alter_input: |_, node, _, message| {
            if let Message::Decided { upto, .. } = message {
                let from = node.decided();
                let vote = |slot| node.acceptor.as_ref()?.votes.get(&Slot(slot));
                let votes = (from.0..upto.0).map_while(vote);
                let entries = votes.map(|vote| vote.value.clone()).collect();
                *message = Message::Entries { from, entries };
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "lead-overruled",
        sentence: "A leader goes on although a higher ballot decided one of its open slots \
                   otherwise.",
        breaks: Agreement::PROPERTY,
        source: "found here, by the model checker: a leader that is told what it did not propose",
        // It breaks no claim about which messages are stale.
        needs: "--layout learning --forget off",
        smallest: "--acceptors 3 --proposers 2 --slots 2 --clients 2",
        after: |step, node| {
            // As if what was decided were what it proposed.
            let decided = node.decided();
            if let (Some(before), Some(leader)) = (&step.before.leader, &mut node.leader)
                && let (Phase::Leading(leadership), Phase::Following) =
                    (&before.phase, &leader.phase)
                && before.ballot == leader.ballot
            {
                let mut leadership = leadership.clone();
                leadership.open = leadership.open.split_off(&decided);
                leadership.next = leadership.next.max(decided);
                leader.phase = Phase::Leading(leadership);
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "forget-log",
        sentence: "A node that restarts has lost what it decided.",
        breaks: DecisionStands::PROPERTY,
        source: "ZooKeeper issue 4925: a hole in the log of what was committed",
        smallest: "--acceptors 1 --proposers 1 --slots 1 --clients 1",
        restore: |durable| durable.log = Log::from(Slot(0)),
        ..Mutant::OF_RESTARTS
    },
    Mutant {
        name: "reverse-batch",
        sentence: "A node that is told of a batch applies it in reverse.",
        breaks: SAME_STATE.property,
        source: "an order that is lost when a batch is packed",
        needs: "--window 1 --batch 2 --drop-stale off --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 2 --clients 3",
        alter_input: |_, _, _, message| {
            for batch in batches(message) {
                *batch = batch.iter().rev().cloned().collect();
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "renumber",
        sentence: "A leader numbers requests itself, so that one that comes again is another.",
        breaks: EXACTLY_ONCE.property,
        source: "Raft thesis, section 6.3; Paxos Made Live: done again after mastership was lost",
        smallest: "--acceptors 1 --proposers 1 --slots 2 --clients 1",
        alter_input: |_, node, _, message| {
            if let Message::Request(request) = message
                && let Operation::Do { seq, .. } = &mut request.operation
            {
                *seq = 100 + node.decided().0;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "read-unconfirmed",
        sentence: "A leader answers reads without asking whether it still leads.",
        breaks: LINEARIZABLE.property,
        source: "a leader that does not know of its successor: hashicorp/raft issue 108",
        needs: "--replies on --reads index --drop-stale off --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1",
        alter_input: |cluster, node, _, message| {
            if let (Message::Read { .. }, Some(Phase::Leading(leadership))) =
                (message, phase_mut(node))
            {
                let (round, sent) = (u64::MAX, Time(0));
                let acceptors = cluster.quorums.acceptors().iter();
                leadership
                    .acks
                    .extend(acceptors.map(|id| (id, HeartbeatId { round, sent })));
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "read-too-soon",
        sentence: "A new leader answers reads before it has applied what was chosen before.",
        breaks: LINEARIZABLE.property,
        source: "Raft thesis, section 6.4, step 1: no entry of the leader's own term yet",
        needs: "--replies on --reads index --drop-stale off --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1",
        alter_input: |_, node, _, message| {
            if let (Message::Read { .. }, Some(Phase::Leading(leadership))) =
                (message, phase_mut(node))
            {
                leadership.barrier = Slot(0);
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "hold-off-nobody",
        sentence: "An acceptor that granted a lease promises and votes for others all the same.",
        breaks: LINEARIZABLE.property,
        source: "yugabyte issue 16, tikv issue 964",
        needs: "--replies on --reads lease --heartbeats on --lease 3,2 --drop-stale off \
                --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1 --clocks 1,1",
        alter_input: |_, node, _, _| forget_grant(node),
        ..Mutant::NONE
    },
    Mutant {
        name: "forget-grant",
        sentence: "An acceptor that restarts does not wait for leases it may have granted.",
        breaks: LINEARIZABLE.property,
        source: "a lease that is kept in memory alone",
        // It breaks no claim about which messages are stale.
        needs: "--crashes 1 --replies on --reads lease --heartbeats on --lease 3,2 --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1 --clocks 1,1",
        started: forget_grant,
        ..Mutant::NONE
    },
    Mutant {
        name: "count-from-receipt",
        sentence: "A leader counts its lease from when the answer came, not from when it asked.",
        breaks: LINEARIZABLE.property,
        source: "sofa-jraft pull request 26: the lease began when the answer came",
        needs: "--replies on --reads lease --heartbeats on --lease 3,2 --drop-stale off \
                --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1 --clocks 1,3",
        alter_input: |_, node, _, message| {
            if let Message::HeartbeatAck { heartbeat, .. } = message {
                heartbeat.sent = node.now;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "no-margin",
        sentence: "A leader counts on its lease to the end, as if clocks did not drift.",
        breaks: LINEARIZABLE.property,
        source: "etcd/raft, ReadOnlyLeaseBased: as if clocks did not drift",
        needs: "--replies on --reads lease --heartbeats on --lease 3,2 --drop-stale off \
                --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1 --clocks 1,3",
        alter_input: |cluster, _, _, message| {
            if let (Message::HeartbeatAck { heartbeat, .. }, Some(lease)) = (message, cluster.lease)
            {
                heartbeat.sent = heartbeat.sent.after(lease.margin);
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "promise-in-first-slot",
        sentence: "An acceptor's promise binds it in the first slot alone.",
        breaks: PromiseKept::PROPERTY,
        source: "a promise stored with one slot, though prepare covers all; a classic of \
                 Multi-Paxos",
        smallest: "--acceptors 1 --proposers 2 --slots 2 --clients 2",
        alter_input: |_, node, _, message| {
            if let (Message::Accept { slot, .. }, Some(acceptor)) = (message, &mut node.acceptor)
                && *slot > Slot(0)
            {
                acceptor.promised = None;
            }
        },
        after: keep_higher_promise,
        ..Mutant::NONE
    },
    Mutant {
        smallest: "--acceptors 3 --proposers 3 --slots 1 --clients 2",
        after: |step, node| {
            if let (Some(before), Some(after)) = (&step.before.acceptor, &mut node.acceptor)
                && before.votes != after.votes
            {
                after.promised = before.promised;
            }
        },
        ..Mutant::KEEP_PROMISE
    },
    Mutant {
        name: "retag-votes",
        sentence: "An acceptor reports its votes as if they were cast in the ballot that asks.",
        breaks: VotesSafe::PROPERTY,
        source: "a classic: the promised ballot sent for the voted one",
        smallest: "--acceptors 3 --proposers 3 --slots 1 --clients 2",
        alter_output: |_, message| {
            if let Message::Promise { ballot, votes, .. } = message {
                votes.values_mut().for_each(|vote| vote.ballot = *ballot);
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "old-promise",
        sentence: "A candidate counts promises of its earlier ballots for the present one.",
        breaks: VotesSafe::PROPERTY,
        source: "MyPaxos issue 18: two values decided",
        smallest: "--acceptors 1 --proposers 2 --ballots 2 --slots 1 --clients 2",
        alter_input: |_, node, _, message| {
            if let (Message::Promise { ballot, .. }, Some(present)) = (message, ballot(node)) {
                *ballot = present;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        sentence: "A candidate counts a promise that comes again as another acceptor's.",
        smallest: "--acceptors 3 --proposers 2 --slots 1 --clients 2",
        alter_sender: |cluster, node, src, message| match (phase(node), message) {
            (
                Some(Phase::Preparing(campaign)),
                Message::Promise {
                    ballot: promised, ..
                },
            ) if ballot(node) == Some(*promised) => {
                uncounted(cluster.quorums.acceptors(), campaign.promises, src)
            }
            _ => src,
        },
        ..Mutant::COUNT_PROMISE_TWICE
    },
    Mutant {
        sentence: "A leader counts a vote that comes again as another acceptor's.",
        smallest: "--acceptors 2 --proposers 1 --slots 1 --clients 1",
        alter_sender: |cluster, node, src, message| {
            if let (Some(Phase::Leading(leadership)), Message::Accepted { slot, .. }) =
                (phase(node), message)
                && let Some(proposal) = leadership.open.get(slot)
            {
                return uncounted(cluster.quorums.acceptors(), proposal.voters, src);
            }
            src
        },
        ..Mutant::COUNT_VOTE_TWICE
    },
    Mutant {
        name: "old-vote",
        sentence: "A leader counts votes in its earlier ballots for what it proposes now.",
        breaks: DecidedIsChosen::PROPERTY,
        source: "swiftpaxos issue 2: an acknowledgement of an old ballot",
        smallest: "--acceptors 3 --proposers 1 --ballots 2 --slots 1 --clients 2",
        alter_input: |_, node, _, message| {
            if let (Message::Accepted { ballot, .. }, Some(present)) = (message, ballot(node)) {
                *ballot = present;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "adopt-if-all-agree",
        sentence: "A new leader adopts a vote only if every promise reports one for the slot.",
        breaks: Agreement::PROPERTY,
        source: "scaliendb issue 129, paxos-rs issue 76: no majority seen, so a no-op is put there",
        smallest: "--acceptors 3 --proposers 2 --slots 1 --clients 2",
        alter_input: |_, node, _, message| {
            let present = ballot(node);
            if let (Message::Promise { ballot, votes, .. }, Some(Phase::Preparing(campaign))) =
                (message, phase_mut(node))
                && present == Some(*ballot)
                && !campaign.promises.is_empty()
            {
                campaign.votes.retain(|slot, _| votes.contains_key(slot));
                votes.retain(|slot, _| campaign.votes.contains_key(slot));
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "partial-promise",
        sentence: "A candidate counts a promise although some of its votes have not come yet.",
        breaks: VotesSafe::PROPERTY,
        source: "a page of an answer taken for all of it",
        needs: "--chunk 8 --drop-stale off --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 2 --clients 3",
        alter_input: |_, _, _, message| {
            if let Message::Promise { more, .. } = message {
                *more = None;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "ignore-watermark",
        sentence: "A new leader ignores up to where an acceptor knows all to be decided.",
        breaks: Agreement::PROPERTY,
        source: "paxi: slot 0 executed twice after a change of leader and a truncation",
        needs: "--layout colocated --drop-stale off --forget off",
        smallest: "--acceptors 3 --proposers 2 --slots 1 --clients 2",
        alter_input: |_, _, _, message| {
            if let Message::Promise { decided, .. } = message {
                *decided = Slot(0);
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "notice-ahead",
        sentence: "A leader says of all that it has proposed that it is chosen.",
        breaks: DecidedIsChosen::PROPERTY,
        source: "off by a window: the next slot to propose for, not the first that is open",
        needs: "--layout learning --drop-stale off --forget off",
        smallest: "--acceptors 3 --proposers 1 --slots 2 --clients 2",
        alter_output: |node, message| {
            if let (Message::Decided { upto, .. }, Some(Phase::Leading(leadership))) =
                (message, phase(node))
            {
                *upto = leadership.next;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "misplace-entries",
        sentence: "A learner takes entries for those of the slots that it lacks next.",
        breaks: Agreement::PROPERTY,
        source: "an index left out of a message; raft's check of the entry before is there for it",
        smallest: "--acceptors 1 --proposers 2 --slots 2 --clients 2",
        alter_input: |_, node, _, message| {
            if let Message::Entries { from, .. } = message {
                *from = node.decided();
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "reply-too-soon",
        sentence: "A leader answers a request when it proposes it.",
        breaks: LINEARIZABLE.property,
        source: "MongoDB's write concern 1; whoever acknowledges before a quorum has it",
        needs: "--replies on --reads log --drop-stale off --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 2 --clients 2",
        extra_send: |step, _| match step.message {
            Message::Request(request) if step.before.is_leading() => {
                answer(step.before, request.client, request.operation.seq())
            }
            _ => Vec::new(),
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "read-anywhere",
        sentence: "Whoever is asked answers reads from its own state.",
        breaks: LINEARIZABLE.property,
        source: "ZooKeeper's reads, which are documented to be stale, and etcd's before version 3",
        needs: "--replies on --reads index --drop-stale off --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1",
        extra_send: |step, _| match step.message {
            Message::Read { seq, .. } => answer(step.before, step.src, *seq),
            _ => Vec::new(),
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "old-beat",
        sentence: "A read counts answers to a sign of life that was sent before it came.",
        breaks: LINEARIZABLE.property,
        source: "etcd issue 20418: the id of a read is used again",
        needs: "--replies on --reads index --heartbeats on --drop-stale off --forget off",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 1",
        alter_input: |_, node, _, message| {
            if let (Message::HeartbeatAck { heartbeat, .. }, Some(Phase::Leading(leadership))) =
                (message, phase(node))
            {
                heartbeat.round = leadership.heartbeat.round;
            }
        },
        ..Mutant::NONE
    },
    Mutant {
        name: "expire-alone",
        sentence: "A replica that is told of an entry takes the first session for expired.",
        breaks: SAME_STATE.property,
        source: "Raft thesis, section 6.3: sessions must expire everywhere alike",
        smallest: "--acceptors 1 --proposers 2 --slots 1 --clients 2",
        alter_input: |_, _, _, message| {
            for batch in batches(message) {
                let requests = batch.iter().cloned();
                let is_left = |operation: &Operation<_>| {
                    !matches!(operation, Operation::Do { session: 0, .. })
                };
                *batch = requests
                    .filter(|request| is_left(&request.operation))
                    .collect();
            }
        },
        ..Mutant::NONE
    },
];

/// Changes that look like mistakes and break nothing: every state that they lead to is visited.
pub static HARMLESS: &[Mutant] = &[
    Mutant {
        name: "promise-again",
        sentence: "An acceptor answers a Prepare of the very ballot that it promised.",
        source: "a ballot has one proposer, which counts an acceptor once and phase 1 once",
        smallest: "--acceptors 3 --proposers 2 --slots 1 --clients 2",
        alter_input: |_, node, _, message| {
            if let (Message::Prepare { ballot, .. }, Some(acceptor)) = (message, &mut node.acceptor)
            {
                acceptor.promised = acceptor.promised.filter(|it| it != ballot);
            }
        },
        after: keep_higher_promise,
        ..Mutant::NONE
    },
    Mutant {
        name: "promise-lower",
        sentence: "An acceptor answers a Prepare below its promise, which stands, if it voted in \
                   none above.",
        source: "it promised more than it is asked for; votes below its promise it still refuses",
        smallest: "--acceptors 3 --proposers 2 --slots 1 --clients 2",
        alter_input: |_, node, _, message| {
            if let (Message::Prepare { .. }, Some(acceptor)) = (message, &mut node.acceptor) {
                acceptor.promised = acceptor.votes.values().map(|vote| vote.ballot).max();
            }
        },
        after: keep_higher_promise,
        ..Mutant::NONE
    },
];

/// Forgets the lease that an acceptor granted.
pub(super) fn forget_grant<M: Machine>(node: &mut NodeState<M>) {
    if let Some(acceptor) = &mut node.acceptor {
        acceptor.grant = None;
    }
}

fn ballot(node: &Node) -> Option<Ballot> {
    node.leader.as_ref()?.ballot
}

fn phase(node: &Node) -> Option<&Phase<Command>> {
    Some(&node.leader.as_ref()?.phase)
}

fn phase_mut(node: &mut Node) -> Option<&mut Phase<Command>> {
    Some(&mut node.leader.as_mut()?.phase)
}

/// Returns the batches of the entries in a message.
fn batches(message: &mut Msg) -> impl Iterator<Item = &mut Arc<[Request<Command>]>> {
    let entries = match message {
        Message::Entries { entries, .. } => entries.as_mut_slice(),
        _ => &mut [],
    };
    entries.iter_mut().filter_map(|entry| match entry {
        Entry::Batch(requests) => Some(requests),
        Entry::Noop => None,
    })
}

/// Answers a client with what the node has applied.
fn answer(node: &Node, client: NodeId, seq: u64) -> Vec<(NodeId, Msg)> {
    let reply = |learner: &Learner<Register>| {
        let written = &learner.sessions.machine().written;
        let outcome = Outcome::Done(Reply(written.last().copied()));
        (client, Message::Reply { seq, outcome })
    };
    node.learner.iter().map(reply).collect()
}

/// Keeps a promise that was forgotten for the time of a step: one rule is broken, not two.
fn keep_higher_promise(step: &Step<Process<Register>>, node: &mut Node) {
    if let (Some(before), Some(after)) = (&step.before.acceptor, &mut node.acceptor) {
        after.promised = after.promised.max(before.promised);
    }
}

impl<M: Machine> Breakable for Process<M> {
    type Cluster = Cluster<M>;
    type Node = NodeState<M>;

    fn node<'a>(
        &'a self,
        state: &'a mut ProcessState<M>,
    ) -> Option<(&'a Cluster<M>, &'a mut NodeState<M>)> {
        match (self, state) {
            (Process::Node(cluster, _), ProcessState::Node(node)) => Some((cluster, node)),
            _ => None,
        }
    }

    fn durable(node: &NodeState<M>) -> Durable<M> {
        node.durable()
    }
}
