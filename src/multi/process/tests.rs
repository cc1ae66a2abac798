//! A node as the checker and the runtime meet it: an actor that hears, saves, sends and waits.

use super::super::lease::Time;
use super::super::testing::{
    CLIENT, Journal, MEANWHILE, ballot, entry, journal, request, seq, vote,
};
use super::super::*;
use crate::actor::testing;
use crate::delta::Delta;
use stateright::actor::Actor;
use std::cell::Cell;
use std::collections::VecDeque;
use std::sync::Arc;

mod gathering;
mod reads;
mod snapshots;

type Said = MessageOf<Journal>;

type Node = testing::Driven<Process<Journal>>;
type Did = testing::Did<Process<Journal>>;

thread_local! {
    /// What the clock shows.
    static TIME: Cell<u64> = const { Cell::new(0) };
}

fn read_clock() -> u64 {
    TIME.get()
}

impl Node {
    fn start(cluster: &Cluster<Journal>, me: u32, saved: Option<Durable<Journal>>) -> (Self, Did) {
        let process = Process::Node(Arc::new(cluster.clone()), Clock::Real(read_clock));
        Node::boot(process, me, saved, |state| Some(state.node()?.durable()))
    }

    fn new(cluster: &Cluster<Journal>, me: u32) -> Self {
        Node::start(cluster, me, None).0
    }

    /// Node `me`, which nothing was reported to, leading in ballot `1.me`, promised by itself if it
    /// is an acceptor and by two others.
    fn leading(cluster: &Cluster<Journal>, me: u32) -> Self {
        let mut node = Node::new(cluster, me);
        node.time_out(Timer::Campaign);
        for from in [1, 2] {
            node.hear(from, promise(1, me, &[], 0));
        }
        assert!(node.node().is_leading());
        node
    }

    fn ask(&mut self, command: char) -> Did {
        self.hear(CLIENT.0, Message::Request(request(command)))
    }

    fn acceptor(&self) -> &Acceptor<char> {
        self.node().acceptor.as_ref().expect("an acceptor")
    }

    fn learner(&self) -> &Learner<Journal> {
        self.node().learner.as_ref().expect("a learner")
    }

    fn written(&self) -> &str {
        &self.learner().sessions.machine().0
    }
}

fn is_heartbeat_sent(did: &Did) -> bool {
    let mut sent = did.sent.iter();
    sent.any(|(_, message)| matches!(message, Message::Heartbeat { .. }))
}

/// Acceptors 0, 1, ...; proposers and learners as given.
fn cluster(acceptors: u32, proposers: &[u32], learners: &[u32]) -> Cluster<Journal> {
    let quorums = QuorumSystem::majority(AcceptorSet::first(acceptors));
    let nodes = |ids: &[u32]| ids.iter().copied().map(NodeId).collect();
    Cluster {
        quorums: quorums.expect("majorities intersect"),
        proposers: nodes(proposers),
        learners: nodes(learners),
        initial: journal(),
        limits: Limits {
            window: 3,
            gathers: false,
            batch_max: 1,
            queue_max: 10,
            ..Limits::default()
        },
        nacks: true,
        heartbeat: Some(Duration::from_millis(5)..Duration::from_millis(6)),
        election: Backoff::default(),
        lease: None,
        snapshot_every: None,
    }
}

/// Three nodes that play all roles.
fn colocated() -> Cluster<Journal> {
    cluster(3, &[0, 1, 2], &[0, 1, 2])
}

/// The same, which save a snapshot of so many entries.
fn truncating(every: u64) -> Cluster<Journal> {
    Cluster {
        snapshot_every: Some(every),
        ..colocated()
    }
}

/// Acceptors 0 to 2, proposer 3 and learner 4.
fn separated() -> Cluster<Journal> {
    cluster(3, &[3], &[4])
}

fn prepare(round: u64, node: u32, from: u64) -> Said {
    let (ballot, from) = (ballot(round, node), Slot(from));
    Message::Prepare { ballot, from }
}

fn promise(round: u64, node: u32, votes: &[(u64, Vote<Entry<char>>)], decided: u64) -> Said {
    Message::Promise {
        ballot: ballot(round, node),
        votes: votes.iter().map(|(s, v)| (Slot(*s), v.clone())).collect(),
        decided: Slot(decided),
        more: None,
    }
}

fn accept(slot: u64, vote: Vote<Entry<char>>) -> Said {
    let slot = Slot(slot);
    Message::Accept { slot, vote }
}

fn accepted(round: u64, node: u32, slot: u64) -> Said {
    let (ballot, slot) = (ballot(round, node), Slot(slot));
    Message::Accepted { ballot, slot }
}

fn nack(round: u64, node: u32, decided: u64) -> Said {
    let (promised, decided) = (ballot(round, node), Slot(decided));
    Message::Nack { promised, decided }
}

fn decided(round: u64, node: u32, upto: u64) -> Said {
    let (ballot, upto) = (ballot(round, node), Slot(upto));
    Message::Decided { ballot, upto }
}

fn entries(from: u64, letters: &str) -> Said {
    let entries = letters.chars().map(|it| entry(&it.to_string())).collect();
    let from = Slot(from);
    Message::Entries { from, entries }
}

fn ask(from: u64) -> Said {
    Message::Ask { from: Slot(from) }
}

fn heartbeat(round: u64, node: u32, upto: u64) -> Said {
    let (ballot, upto, heartbeat) = (ballot(round, node), Slot(upto), HeartbeatId::default());
    Message::Heartbeat {
        ballot,
        heartbeat,
        upto,
    }
}

/// An answer to a sign of life of ballot 1.0.
fn heard(round: u64, sent: u64) -> Said {
    let (ballot, sent) = (ballot(1, 0), Time(sent));
    let heartbeat = HeartbeatId { round, sent };
    Message::HeartbeatAck { ballot, heartbeat }
}

fn reply(to: char, written: &str) -> Said {
    let (seq, outcome) = (seq(to), Outcome::Done(written.to_owned()));
    Message::Reply { seq, outcome }
}

fn read(seq: u64, mode: ReadMode) -> Said {
    let query = '?';
    Message::Read { seq, query, mode }
}

#[test]
fn a_candidate_has_its_own_promise_in_the_same_step() {
    let mut node = Node::new(&colocated(), 0);
    let did = node.time_out(Timer::Campaign);
    assert_eq!(did.sent, [(1, prepare(1, 0, 0)), (2, prepare(1, 0, 0))]);
    assert!(did.saved.is_some() && did.is_set(Timer::Campaign));
    assert_eq!(node.acceptor().promised, Some(ballot(1, 0)));
    node.hear(2, promise(1, 0, &[], 0));
    assert!(node.node().is_leading(), "one more promise is a majority");
}

#[test]
fn a_node_alone_decides_and_answers_in_one_step() {
    let mut node = Node::new(&cluster(1, &[0], &[0]), 0);
    node.time_out(Timer::Campaign);
    let did = node.ask('x');
    assert_eq!(did.sent, [(CLIENT.0, reply('x', "x"))]);
    let saved = did.saved.expect("a decision is durable");
    assert_eq!(saved.log.get(Slot(0)), Some(&entry("x")));
    assert_eq!(saved.acceptor.map(|it| it.base), Some(Slot(1)));
}

#[test]
fn a_leader_answers_once_a_quorum_voted_and_all_before_is_applied() {
    let mut node = Node::leading(&colocated(), 0);
    let did = node.ask('x');
    assert_eq!(did.sent_to(1), [&accept(0, vote(1, 0, "x"))]);
    node.ask('y');
    let did = node.hear(1, accepted(1, 0, 1));
    assert_eq!(did.sent, [], "slot 0 is open");
    let did = node.hear(2, accepted(1, 0, 0));
    let answers = [&reply('x', "x"), &reply('y', "xy")];
    assert_eq!(did.sent_to(CLIENT.0), answers);
    assert_eq!(did.sent_to(1), [&decided(1, 0, 2)]);
    assert!(did.is_set(Timer::Campaign), "progress gives patience");
}

#[test]
fn votes_of_another_ballot_do_not_count() {
    let mut node = Node::leading(&colocated(), 0);
    node.ask('x');
    for (round, of) in [(0, 0), (2, 0), (1, 1)] {
        node.hear(1, accepted(round, of, 0));
    }
    assert_eq!(node.written(), "");
    node.hear(1, accepted(1, 0, 0));
    assert_eq!(node.written(), "x");
}

#[test]
fn learners_that_do_not_vote_are_told_the_entry_and_others_how_far() {
    let cluster = cluster(3, &[0], &[1, 4]);
    let mut node = Node::leading(&cluster, 0);
    node.ask('x');
    node.ask('y');
    let did = node.hear(1, accepted(1, 0, 1));
    assert_eq!(did.sent, [(4, entries(1, "y"))], "not all before is chosen");
    let did = node.hear(1, accepted(1, 0, 0));
    assert_eq!(did.sent_to(4), [&entries(0, "x")]);
    assert_eq!(did.sent_to(1), [&decided(1, 0, 2)]);
    assert!(did.sent_to(2).is_empty(), "it does not learn");
}

#[test]
fn a_decided_notice_speaks_of_votes_in_its_own_ballot_alone() {
    let mut node = Node::new(&colocated(), 2);
    node.hear(0, accept(0, vote(1, 0, "x")));
    node.hear(0, accept(1, vote(1, 0, "y")));
    let did = node.hear(1, decided(2, 1, 2));
    assert_eq!(node.written(), "");
    assert_eq!(did.sent, [(1, ask(0))]);
    node.hear(0, decided(1, 0, 1));
    assert_eq!(node.written(), "x", "and of slots below its own alone");
    let votes = node.acceptor().votes.keys();
    assert!(votes.eq(&[Slot(1)]), "settled is dropped");
    node.hear(0, heartbeat(1, 0, 2));
    assert_eq!(node.written(), "xy");
}

#[test]
fn a_gap_is_asked_for_and_what_was_beyond_follows() {
    let mut node = Node::new(&separated(), 4);
    node.hear(3, entries(1, "y"));
    assert_eq!(node.written(), "");
    let did = node.hear(3, heartbeat(1, 3, 2));
    assert_eq!(did.sent, [(3, ask(0))]);
    node.hear(3, entries(0, "x"));
    assert_eq!(node.written(), "xy");
    let did = node.hear(3, heartbeat(1, 3, 2));
    assert_eq!(did.sent, [], "nothing is missing");
}

#[test]
fn whoever_asks_gets_the_entries_from_there_on_and_no_more_than_fit() {
    let mut cluster = colocated();
    cluster.limits.bytes_max = 2 * entry("x").bytes();
    let mut node = Node::new(&cluster, 2);
    node.hear(0, entries(0, "wxyz"));
    assert_eq!(node.hear(1, ask(1)).sent, [(1, entries(1, "xy"))]);
    assert_eq!(node.hear(1, ask(3)).sent, [(1, entries(3, "z"))]);
    assert!(node.hear(1, ask(4)).is_silent());
}

#[test]
fn whoever_proposes_for_a_decided_slot_is_told_what_it_holds() {
    let mut node = Node::new(&colocated(), 2);
    node.hear(0, entries(0, "x"));
    let did = node.hear(1, accept(0, vote(1, 1, "y")));
    assert_eq!(did.sent, [(1, entries(0, "x"))]);
    let did = node.hear(0, prepare(2, 0, 0));
    assert_eq!(did.sent, [(0, promise(2, 0, &[], 1))]);
}

/// The proposer votes for nothing itself, so it does not notice the ballot that decided its slot.
#[test]
fn a_leadership_ends_once_another_ballot_has_decided_an_open_slot() {
    let mut cluster = cluster(3, &[3, 4], &[0, 1, 2]);
    let mut node = Node::leading(&cluster, 3);
    node.ask('x');
    let did = node.hear(4, entries(0, "y"));
    assert!(!node.node().is_leading());
    assert_eq!(did.timer(Timer::Heartbeat), Some(&None));
    assert!(did.is_set(Timer::Campaign));
    // Whoever voted for x in ballot 1.3 must not be told that all of that is chosen.
    assert!(node.time_out(Timer::Heartbeat).is_silent());
    assert!(node.hear(0, accepted(1, 3, 0)).is_silent());
    // What it proposed itself may as well be told by others, and truncated in the same step.
    cluster.snapshot_every = Some(1);
    let mut node = Node::leading(&cluster, 3);
    node.ask('x');
    node.hear(4, entries(0, "x"));
    assert_eq!(node.learner().log.start(), Slot(1));
    let did = node.time_out(Timer::Heartbeat);
    assert_eq!(did.sent_to(0), [&heartbeat(1, 3, 1)]);
}

/// The same with all that take part: node 0 voted for x in ballot 1.3, and y is chosen in 1.4.
#[test]
fn who_voted_for_a_proposal_that_was_overruled_does_not_take_it_for_decided() {
    let cluster = cluster(3, &[3, 4], &[0, 1, 2]);
    let mut nodes: Vec<Node> = (0..5).map(|me| Node::new(&cluster, me)).collect();
    nodes[3] = Node::leading(&cluster, 3);
    let did = nodes[3].ask('x');
    nodes[0].hear(3, did.sent_to(0)[0].clone());
    nodes[4] = Node::leading(&cluster, 4);
    let did = nodes[4].ask('y');
    for voter in [1, 2] {
        nodes[voter].hear(4, did.sent_to(1)[0].clone());
    }
    nodes[4].hear(1, accepted(1, 4, 0));
    let did = nodes[4].hear(2, accepted(1, 4, 0));
    assert_eq!(did.sent_to(3), [&entries(0, "y")]);
    assert_eq!(nodes[4].written(), "y");
    nodes[3].hear(4, entries(0, "y"));
    let did = nodes[3].time_out(Timer::Heartbeat);
    for message in did.sent_to(0) {
        nodes[0].hear(3, message.clone());
    }
    assert_eq!(nodes[0].written(), "", "x was not chosen");
}

#[test]
fn a_leader_asks_until_it_knows_what_was_decided_before_it() {
    let mut node = Node::new(&colocated(), 0);
    node.time_out(Timer::Campaign);
    let did = node.hear(1, promise(1, 0, &[], 2));
    assert_eq!(did.sent_to(1)[0], &ask(0));
    // The question, or the answer, is lost.
    let did = node.time_out(Timer::Heartbeat);
    assert_eq!([did.sent_to(1)[0], did.sent_to(2)[0]], [&ask(0); 2]);
    node.hear(2, entries(0, "xy"));
    let did = node.time_out(Timer::Heartbeat);
    assert!(!did.sent.iter().any(|(_, it)| *it == ask(2)));
}

#[test]
fn a_leader_without_a_quorum_prepares_again_and_is_silent_meanwhile() {
    let mut node = Node::leading(&colocated(), 0);
    node.ask('x');
    let did = node.time_out(Timer::Campaign);
    assert_eq!(did.timer(Timer::Heartbeat), Some(&None));
    assert!(did.is_set(Timer::Campaign));
    assert_eq!(did.sent_to(1), [&prepare(2, 0, 0)]);
    assert!(node.time_out(Timer::Heartbeat).is_silent());
    // Its own vote is reported to itself, and proposed again.
    let did = node.hear(1, promise(2, 0, &[], 0));
    assert_eq!(did.sent_to(2)[0], &accept(0, vote(2, 0, "x")));
}

#[test]
fn only_a_quorum_gives_a_leader_patience() {
    let mut node = Node::leading(&colocated(), 0);
    TIME.set(7);
    node.time_out(Timer::Heartbeat);
    let leadership = node.node().leader.as_ref().and_then(Leader::leadership);
    let HeartbeatId { round, sent } = leadership.expect("it leads").heartbeat;
    assert_eq!(sent, Time(7));
    let did = node.hear(1, heard(round, 3));
    assert!(!did.is_set(Timer::Campaign), "that was an earlier one");
    assert!(node.hear(1, heard(round, 7)).is_set(Timer::Campaign));
    // Requests alone do not: the first that is under way starts the wait, and votes prolong it.
    assert!(node.ask('x').is_set(Timer::Campaign));
    assert!(!node.ask('y').is_set(Timer::Campaign));
    let did = node.hear(2, heard(round, 7));
    assert!(!did.is_set(Timer::Campaign), "votes are due");
}

#[test]
fn what_is_under_way_is_said_again_at_a_pace_that_reads_do_not_change() {
    let mut node = Node::leading(&colocated(), 0);
    node.ask('x');
    let did = node.hear(CLIENT.0, read(1, ReadMode::Index));
    assert!(is_heartbeat_sent(&did) && !did.is_set(Timer::Heartbeat));
    let did = node.time_out(Timer::Heartbeat);
    assert_eq!(did.sent_to(2)[0], &accept(0, vote(1, 0, "x")));
    assert!(is_heartbeat_sent(&did) && did.is_set(Timer::Heartbeat));
}

#[test]
fn a_follower_waits_as_long_as_a_leader_shows_itself() {
    let (mut node, did) = Node::start(&colocated(), 2, None);
    assert!(did.is_set(Timer::Campaign) && did.sent.is_empty());
    assert!(node.hear(0, heartbeat(1, 0, 0)).is_set(Timer::Campaign));
    let did = node.hear(0, accept(0, vote(1, 0, "x")));
    assert!(did.is_set(Timer::Campaign));
    node.hear(1, prepare(2, 1, 0));
    let did = node.hear(0, heartbeat(1, 0, 1));
    assert!(!did.is_set(Timer::Campaign), "nobody leads in it any more");
    assert_eq!(did.sent, [(0, nack(2, 1, 0))]);
    assert_eq!(node.written(), "");
    let (mut learner, did) = Node::start(&separated(), 4, None);
    assert!(did.is_silent(), "it does not propose");
    assert!(learner.hear(3, heartbeat(1, 3, 0)).is_silent());
}

#[test]
fn a_leader_that_is_outbid_steps_down() {
    let higher = accept(0, vote(2, 1, "y"));
    for message in [nack(2, 1, 0), heartbeat(2, 1, 0), higher] {
        let mut node = Node::leading(&colocated(), 0);
        let did = node.hear(1, message);
        assert!(!node.node().is_leading());
        assert_eq!(did.timer(Timer::Heartbeat), Some(&None));
        assert!(did.is_set(Timer::Campaign));
        assert!(node.ask('x').is_silent(), "the client asks somebody else");
    }
}

#[test]
fn a_refusal_tells_a_proposer_that_it_is_behind() {
    let mut node = Node::leading(&colocated(), 0);
    assert_eq!(node.hear(1, nack(2, 1, 5)).sent, [(1, ask(0))]);
}

#[test]
fn without_refusals_a_proposer_is_left_to_find_out() {
    let mut cluster = colocated();
    cluster.nacks = false;
    let mut node = Node::new(&cluster, 2);
    node.hear(1, prepare(2, 1, 0));
    assert!(node.hear(0, prepare(1, 0, 0)).is_silent());
    assert!(node.hear(0, accept(0, vote(1, 0, "x"))).is_silent());
    assert!(node.hear(0, heartbeat(1, 0, 0)).is_silent());
}

#[test]
fn a_node_that_restarts_keeps_promise_votes_ballot_log_and_snapshot() {
    let cluster = truncating(2);
    let mut node = Node::leading(&cluster, 0);
    for (slot, letter) in ['x', 'y', 'z'].into_iter().enumerate() {
        node.ask(letter);
        node.hear(1, accepted(1, 0, slot as u64));
    }
    node.ask('w');
    let saved = node.node().durable();
    assert_eq!(saved.snapshot.as_ref().map(|it| it.upto), Some(Slot(2)));
    assert_eq!((saved.log.start(), saved.log.end()), (Slot(2), Slot(3)));
    let (mut restarted, did) = Node::start(&cluster, 0, Some(saved.clone()));
    assert_eq!(restarted.node().durable(), saved);
    assert_eq!(restarted.learner().sessions, node.learner().sessions);
    assert!(!restarted.node().is_leading());
    assert!(did.saved.is_none() && did.sent.is_empty());
    // It goes on in a ballot of its own, above the one it left.
    let did = restarted.time_out(Timer::Campaign);
    assert_eq!(did.sent_to(1), [&prepare(2, 0, 3)]);
}

#[test]
fn a_node_that_saved_what_makes_no_sense_does_nothing_and_overwrites_nothing() {
    let mut node = Node::new(&colocated(), 0);
    node.hear(1, entries(0, "x"));
    let mut saved = node.node().durable();
    let (upto, bytes) = (Slot(0), [1, 2, 3].into());
    saved.snapshot = Some(Snapshot { upto, bytes });
    let (mut node, did) = Node::start(&colocated(), 0, Some(saved));
    assert!(did.is_silent());
    let proposal = accept(0, vote(1, 1, "x"));
    for message in [prepare(1, 1, 0), proposal, entries(0, "x"), ask(0)] {
        assert!(node.hear(1, message).is_silent());
    }
    for timer in [Timer::Campaign, Timer::Heartbeat] {
        let did = node.time_out(timer);
        assert!(did.sent.is_empty() && did.saved.is_none());
    }
}

/// Numbers that no honest node sends: nothing is decided, and the node goes on.
#[test]
fn absurd_numbers_do_no_harm() {
    let max = u64::MAX;
    let chunk = |upto, offset| {
        Message::Chunk(Chunk {
            upto: Slot(upto),
            total: max,
            digest: 0,
            offset,
            bytes: vec![0],
        })
    };
    let (upto, from) = (Slot(max), Slot(max));
    let heartbeat = HeartbeatId {
        round: max,
        sent: Time(max),
    };
    let (mut node, ballot) = (Node::leading(&colocated(), 0), ballot(1, 0));
    let far = [(max, vote(1, 1, "x"))];
    for message in [
        accept(max, vote(1, 0, "x")),
        accepted(1, 0, max),
        promise(1, 0, &far, max),
        decided(1, 0, max),
        entries(max, "xy"),
        entries(max - 1, "xy"),
        entries(Slot::SPAN_MAX, "x"),
        ask(max),
        chunk(max, 0),
        chunk(max, max),
        Message::Fetch { upto, offset: max },
        Message::HeartbeatAck { ballot, heartbeat },
        Message::Heartbeat {
            ballot,
            heartbeat,
            upto,
        },
        Message::Prepare { ballot, from },
        read(max, ReadMode::Lease),
    ] {
        assert!(!format!("{message:?}").is_empty());
        node.hear(1, message);
    }
    assert!(node.learner().ahead.is_empty() && node.written().is_empty());
    assert!(node.acceptor().votes.is_empty());
    // A vote so far away that the gap cannot be filled makes nobody a leader.
    node.time_out(Timer::Campaign);
    node.hear(1, promise(2, 0, &[(max - 1, vote(1, 1, "x"))], 0));
    assert!(!node.node().is_leading());
    node.time_out(Timer::Campaign);
    node.hear(1, promise(3, 0, &[], 0));
    node.ask('x');
    node.hear(1, accepted(3, 0, 0));
    assert_eq!(node.written(), "x");
}

/// Nodes and what is on its way between them, delivered in the order in which it was sent.
struct Net {
    cluster: Cluster<Journal>,
    nodes: BTreeMap<u32, Node>,
    wire: VecDeque<(u32, u32, Said)>,
    /// What clients are told.
    told: Vec<Said>,
    /// Messages that are lost.
    is_lost: fn(&Said) -> bool,
}

impl Net {
    fn new(cluster: Cluster<Journal>) -> Self {
        let start = |me| (me, Node::new(&cluster, me));
        Net {
            nodes: (0..3).map(start).collect(),
            cluster,
            wire: VecDeque::new(),
            told: Vec::new(),
            is_lost: |_| false,
        }
    }

    fn node(&mut self, node: u32) -> &mut Node {
        self.nodes.get_mut(&node).expect("it runs")
    }

    fn post(&mut self, from: u32, did: Did) {
        let sent = did.sent.into_iter();
        self.wire.extend(sent.map(|(to, it)| (from, to, it)));
    }

    fn run(&mut self, from: u32, did: Did) {
        self.post(from, did);
        while let Some((from, to, message)) = self.wire.pop_front() {
            if (self.is_lost)(&message) {
                continue;
            }
            match self.nodes.get_mut(&to) {
                Some(node) => {
                    let did = node.hear(from, message);
                    self.post(to, did);
                }
                None if NodeId(to) == CLIENT => self.told.push(message),
                None => {}
            }
        }
    }

    fn time_out(&mut self, node: u32, timer: Timer) {
        let did = self.node(node).time_out(timer);
        self.run(node, did);
    }

    fn ask(&mut self, node: u32, letters: &str) {
        for letter in letters.chars() {
            let did = self.node(node).ask(letter);
            self.run(node, did);
        }
    }

    fn stop(&mut self, node: u32) -> Durable<Journal> {
        let stopped = self.nodes.remove(&node).expect("it runs");
        stopped.node().durable()
    }

    fn restart(&mut self, node: u32, saved: Durable<Journal>) {
        let (restarted, did) = Node::start(&self.cluster, node, Some(saved));
        self.nodes.insert(node, restarted);
        self.run(node, did);
    }

    fn written(&self) -> Vec<&str> {
        self.nodes.values().map(Node::written).collect()
    }
}

#[test]
fn three_nodes_write_the_same_journal() {
    let mut net = Net::new(colocated());
    net.time_out(0, Timer::Campaign);
    net.ask(0, "abc");
    assert_eq!(net.written(), ["abc"; 3]);
    let expected = [reply('a', "a"), reply('b', "ab"), reply('c', "abc")];
    assert_eq!(net.told, expected);
}

#[test]
fn a_command_takes_effect_once_though_the_leader_changes() {
    let mut net = Net::new(colocated());
    net.time_out(0, Timer::Campaign);
    // Chosen and applied, but the client is not told, and nor are the others.
    net.is_lost = |it| matches!(it, Message::Reply { .. } | Message::Decided { .. });
    net.ask(0, "a");
    net.is_lost = |_| false;
    net.stop(0);
    net.time_out(1, Timer::Campaign);
    net.ask(1, "a");
    net.ask(1, "b");
    assert_eq!(net.written(), ["ab"; 2]);
    assert_eq!(net.told.last(), Some(&reply('b', "ab")));
    assert!(net.told.contains(&reply('a', "a")));
    net.ask(1, "a");
    let last = net.told.last();
    assert_eq!(last, Some(&reply('a', "a")), "the same answer again");
    let decided = net.nodes[&1].node().decided();
    assert_eq!(decided, Slot(2), "and not proposed again");
}

/// That nothing stale matters is verified by the checker; here, that what no longer matters is
/// known for stale, which keeps the models small.
#[test]
fn what_no_longer_matters_is_stale() {
    let cluster = colocated();
    let mut node = Node::leading(&cluster, 1);
    node.time_out(Timer::Campaign);
    for from in [0, 2] {
        node.hear(from, promise(2, 1, &[], 0));
    }
    assert!(node.node().is_leading());
    let is_stale = |from, message: &Said| node.node().is_stale(&cluster, NodeId(from), message);
    let heard = |round, node| Message::HeartbeatAck {
        ballot: ballot(round, node),
        heartbeat: HeartbeatId::default(),
    };
    for (message, expected) in [
        (nack(1, 2, 0), true),
        (nack(2, 1, 0), true),
        (nack(2, 2, 0), false),
        (nack(1, 2, 1), false),
        (heard(1, 1), true),
        (heard(2, 2), false),
    ] {
        assert_eq!(is_stale(0, &message), expected, "{message:?}");
    }
}

#[test]
fn there_are_no_slots_beyond_the_last_to_vote_in() {
    let mut cluster = separated();
    cluster.limits.slots = 2;
    let mut node = Node::new(&cluster, 0);
    assert!(node.hear(3, accept(2, vote(1, 3, "x"))).is_silent());
    assert!(!node.hear(3, accept(1, vote(1, 3, "x"))).is_silent());
    let mut node = Node::new(&cluster, 3);
    node.time_out(Timer::Campaign);
    node.hear(0, promise(1, 3, &[], 0));
    let beyond = [(2, vote(1, 1, "x"))];
    assert!(node.hear(1, promise(1, 3, &beyond, 0)).is_silent());
    assert!(!node.node().is_leading(), "it counts for nothing");
    node.hear(1, promise(1, 3, &[], 0));
    assert!(node.node().is_leading());
}

#[test]
fn what_is_saved_says_what_it_is() {
    let mut node = Node::leading(&truncating(1), 0);
    node.ask('x');
    node.hear(1, accepted(1, 0, 0));
    node.ask('y');
    let text = format!("{:?}", node.node().durable());
    for part in ["ballot 1.0", "promised 1.0", "[1]"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert_eq!(node.process.name(), "node");
}

#[test]
fn a_request_that_two_leaders_took_up_is_carried_out_once() {
    let mut net = Net::new(colocated());
    net.time_out(0, Timer::Campaign);
    net.is_lost = |it| matches!(it, Message::Accepted { .. } | Message::Decided { .. });
    net.ask(0, "a");
    net.is_lost = |_| false;
    // Node 1 adopts the vote for it and, before that is chosen, proposes it in another slot too.
    let node = net.node(1);
    node.time_out(Timer::Campaign);
    node.hear(2, promise(2, 1, &[], 0));
    assert!(node.node().is_leading());
    node.ask('b');
    let (client, Request { operation, .. }) = (NodeId(8), request('a'));
    // It comes by way of another client: whose it is stands in the request.
    node.hear(CLIENT.0, Message::Request(Request { client, operation }));
    for slot in [0, 1, 2] {
        node.hear(2, accepted(2, 1, slot));
    }
    assert_eq!(node.node().decided(), Slot(3));
    assert_eq!(node.written(), "ab");
}

#[test]
fn a_session_is_opened_and_an_unknown_one_refused() {
    let mut net = Net::new(colocated());
    net.time_out(0, Timer::Campaign);
    let unknown = super::super::testing::operation(7, 6, 'x');
    for operation in [Operation::Open { seq: 5 }, unknown] {
        let client = CLIENT;
        let request = Message::Request(Request { client, operation });
        let did = net.node(0).hear(CLIENT.0, request);
        net.run(0, did);
    }
    let (seq, outcome) = (5, Outcome::Opened { session: 1 });
    let opened = Message::Reply { seq, outcome };
    let (seq, outcome) = (6, Outcome::Expired);
    assert_eq!(net.told, [opened, Message::Reply { seq, outcome }]);
    assert_eq!(net.written(), [""; 3]);
}
