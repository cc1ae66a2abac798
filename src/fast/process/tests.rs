//! A node as the checker and the runtime meet it: an actor that hears, saves, sends and waits.

use super::super::testing::*;
use super::super::*;
use crate::actor::testing;
use crate::delta::Delta;
use stateright::actor::Actor;
use std::sync::Arc;

const CLIENT: u32 = 9;

type Node = testing::Driven<Process<char>>;
type Did = testing::Did<Process<char>>;

impl Node {
    fn start(cluster: &Cluster, me: u32, saved: Option<Durable<char>>) -> (Self, Did) {
        let process = Process::Node(Arc::new(cluster.clone()));
        Node::boot(process, me, saved, |state| Some(state.node()?.durable()))
    }

    fn new(cluster: &Cluster, me: u32) -> Self {
        Node::start(cluster, me, None).0
    }

    fn coordinator(&self) -> &Coordinator<char> {
        self.node().coordinator.as_ref().expect("a coordinator")
    }
}

/// Acceptors 0 to 2, of which all choose in round 1, which is fast, and two in later rounds.
fn cluster(coordinators: &[u32], learners: &[u32]) -> Cluster {
    let nodes = |ids: &[u32]| ids.iter().copied().map(NodeId).collect();
    Cluster {
        quorums: system(3, "fast:2,3", 1),
        coordinators: nodes(coordinators),
        learners: nodes(learners),
        nacks: true,
        round_max: u64::MAX,
        backoff: Backoff::default(),
    }
}

/// Three nodes that play all roles.
fn colocated() -> Cluster {
    cluster(&[0, 1, 2], &[0, 1, 2])
}

/// Acceptors 0 to 2, coordinators 3 and 4, learner 5.
fn separated() -> Cluster {
    cluster(&[3, 4], &[5])
}

/// Node 0 of the co-located cluster, whose ballot 1.0 is open.
fn opened() -> Node {
    let mut node = Node::new(&colocated(), 0);
    node.time_out(Timer::Retry);
    let did = node.hear(1, promise(1, 0));
    assert_eq!(did.told(&any(1, 0)), [1, 2]);
    assert_eq!(did.timer(Timer::Retry), None);
    node
}

#[test]
fn the_first_coordinator_opens_a_ballot_unasked_and_the_others_wait() {
    let (mut first, did) = Node::start(&separated(), 3, None);
    assert!(did.is_set(Timer::Retry) && did.sent == [(4, Message::Ask), (5, Message::Ask)]);
    let did = first.time_out(Timer::Retry);
    assert_eq!(did.told(&prepare(1, 3)), [0, 1, 2]);
    assert!(did.is_set(Timer::Retry));
    first.hear(0, promise(1, 3));
    assert_eq!(first.hear(1, promise(1, 3)).told(&any(1, 3)), [0, 1, 2]);
    let (_, did) = Node::start(&separated(), 4, None);
    assert!(!did.is_set(Timer::Retry));
}

#[test]
fn a_request_starts_the_first_coordinator_at_once_and_gives_others_patience() {
    let mut first = Node::new(&separated(), 3);
    let did = first.hear(CLIENT, propose('x'));
    assert_eq!(did.told(&prepare(1, 3)), [0, 1, 2]);
    let mut second = Node::new(&separated(), 4);
    let did = second.hear(CLIENT, propose('x'));
    assert!(did.sent.is_empty() && did.is_set(Timer::Retry));
    // Once is enough.
    assert!(second.hear(CLIENT, propose('y')).timers.is_empty());
}

#[test]
fn an_open_acceptor_votes_for_a_request_and_tells_learners_and_the_coordinator() {
    let mut acceptor = Node::new(&separated(), 0);
    assert!(acceptor.hear(CLIENT, propose('x')).sent.is_empty());
    acceptor.hear(3, any(1, 3));
    let did = acceptor.hear(CLIENT, propose('x'));
    assert_eq!(did.told(&accepted(1, 3, 'x')), [5, 3]);
    assert!(did.saved.is_some());
    assert!(acceptor.hear(CLIENT, propose('y')).sent.is_empty());
    // In a classic ballot there is nothing for the coordinator to watch.
    let did = acceptor.hear(3, accept(2, 3, 'y'));
    assert_eq!(did.told(&accepted(2, 3, 'y')), [5]);
}

#[test]
fn a_fast_ballot_decides_by_the_votes_alone() {
    let mut node = opened();
    let did = node.hear(CLIENT, propose('x'));
    assert_eq!(did.told(&accepted(1, 0, 'x')), [1, 2]);
    node.hear(1, accepted(1, 0, 'x'));
    assert_eq!(node.node().decided(), None);
    let did = node.hear(2, accepted(1, 0, 'x'));
    assert_eq!(did.told(&decided('x')), [1, 2, CLIENT]);
    assert_eq!(did.timer(Timer::Retry), Some(&None));
    assert_eq!(node.node().decided(), Some(&'x'));
    // Whoever asks later is told.
    let did = node.hear(CLIENT, propose('y'));
    assert_eq!(did.told(&decided('x')), [CLIENT]);
}

#[test]
fn a_collision_is_resolved_and_given_time() {
    let mut node = opened();
    node.hear(CLIENT, propose('x'));
    // Two of three differ: none can have all three, and two are a phase-1 quorum.
    let did = node.hear(1, accepted(1, 0, 'y'));
    assert_eq!(did.told(&accept(2, 0, 'x')), [1, 2]);
    assert!(did.is_set(Timer::Retry));
    assert_eq!(node.coordinator().ballot, Some(ballot(2, 0)));
    let did = node.hear(1, accepted(2, 0, 'x'));
    assert_eq!(did.told(&decided('x')), [1, 2, CLIENT]);
}

#[test]
fn a_coordinator_that_is_no_learner_hears_of_the_votes_in_its_own_ballots() {
    let mut coordinator = Node::new(&separated(), 3);
    coordinator.time_out(Timer::Retry);
    coordinator.hear(0, promise(1, 3));
    coordinator.hear(1, promise(1, 3));
    coordinator.hear(0, accepted(1, 3, 'x'));
    let did = coordinator.hear(1, accepted(1, 3, 'y'));
    assert_eq!(did.told(&accept(2, 3, 'x')), [0, 1, 2]);
}

#[test]
fn a_ballot_that_does_not_succeed_is_followed_by_one_above_its_recovery() {
    let mut node = opened();
    node.hear(CLIENT, propose('x'));
    let did = node.time_out(Timer::Retry);
    assert_eq!(did.told(&prepare(3, 0)), [1, 2]);
}

#[test]
fn a_refused_coordinator_waits_anew_and_goes_above() {
    let mut node = opened();
    let did = node.hear(1, nack(4, 1));
    assert!(did.is_set(Timer::Retry) && did.sent.is_empty());
    let did = node.time_out(Timer::Retry);
    assert_eq!(did.told(&prepare(5, 0)), [1, 2]);
}

#[test]
fn an_acceptor_refuses_aloud_only_if_the_cluster_has_nacks() {
    for nacks in [true, false] {
        let mut cluster = separated();
        cluster.nacks = nacks;
        let mut acceptor = Node::new(&cluster, 0);
        acceptor.hear(4, prepare(2, 4));
        for request in [any(1, 3), accept(1, 3, 'x')] {
            let did = acceptor.hear(3, request);
            let refused = &[3][..usize::from(nacks)];
            assert_eq!(did.told(&nack(2, 4)), refused);
        }
    }
}

#[test]
fn a_coordinator_that_finds_nothing_to_do_rests() {
    let mut cluster = separated();
    cluster.quorums = system(3, "fast:2,3", 0);
    let mut coordinator = Node::new(&cluster, 3);
    coordinator.time_out(Timer::Retry);
    coordinator.hear(0, promise(1, 3));
    let did = coordinator.hear(1, promise(1, 3));
    assert!(did.sent.is_empty());
    assert_eq!(did.timer(Timer::Retry), Some(&None));
}

#[test]
fn a_restarted_node_keeps_votes_ballots_and_decisions_and_an_open_ballot_open() {
    let mut acceptor = Node::new(&separated(), 0);
    let saved = acceptor.hear(3, any(1, 3)).saved;
    let (mut acceptor, _) = Node::start(&separated(), 0, saved);
    let did = acceptor.hear(CLIENT, propose('x'));
    assert_eq!(did.told(&accepted(1, 3, 'x')), [5, 3]);

    let mut coordinator = Node::new(&separated(), 4);
    let saved = coordinator.time_out(Timer::Retry).saved;
    let (coordinator, did) = Node::start(&separated(), 4, saved);
    assert!(did.is_set(Timer::Retry));
    assert_eq!(coordinator.coordinator().ballot, Some(ballot(1, 4)));

    let mut learner = Node::new(&separated(), 5);
    let saved = learner.hear(3, decided('x')).saved;
    let (learner, did) = Node::start(&separated(), 5, saved);
    assert_eq!(learner.node().decided(), Some(&'x'));
    assert!(did.sent.is_empty() && did.timers.is_empty());
}

#[test]
fn what_is_saved_is_led_to_by_its_changes() {
    let mut acceptor = Node::new(&separated(), 0);
    let before = acceptor.hear(3, any(1, 3)).saved.expect("a promise");
    let after = acceptor.hear(CLIENT, propose('x')).saved.expect("a vote");
    assert!(after.reaches(Some(&before)));
    assert!(before.changes(Some(&before)).is_empty());
}

#[test]
fn a_node_that_waits_in_vain_for_the_fate_of_its_vote_starts_a_ballot() {
    let mut node = Node::new(&colocated(), 1);
    node.hear(0, any(1, 0));
    node.hear(2, accept(1, 0, 'x'));
    assert!(node.time_out(Timer::Ask).is_set(Timer::Retry));
    let did = node.time_out(Timer::Retry);
    // Above the promise that its own vote made.
    assert_eq!(did.told(&prepare(3, 1)), [0, 2]);
}

#[test]
fn a_node_without_a_decision_asks_again_and_answers_nobody() {
    let mut learner = Node::new(&separated(), 5);
    let did = learner.time_out(Timer::Ask);
    assert_eq!(did.told(&Message::Ask), [3, 4]);
    assert!(did.is_set(Timer::Ask));
    assert!(learner.hear(3, Message::Ask).sent.is_empty());
    learner.hear(3, decided('x'));
    assert_eq!(learner.hear(3, Message::Ask).told(&decided('x')), [3]);
}

#[test]
fn what_is_stale_changes_nothing() {
    let mut acceptor = Node::new(&separated(), 0);
    let mut cluster = separated();
    cluster.nacks = false;
    let stale = |node: &Node, message| node.state.is_stale(&cluster, NodeId(3), &message);
    assert!(!stale(&acceptor, propose('x')) && !stale(&acceptor, any(1, 3)));
    acceptor.hear(3, any(1, 3));
    assert!(stale(&acceptor, any(1, 3)) && !stale(&acceptor, accept(1, 3, 'x')));
    acceptor.hear(CLIENT, propose('x'));
    for message in [propose('y'), any(1, 3), accept(1, 3, 'y'), any(1, 4)] {
        assert!(stale(&acceptor, message.clone()), "{message:?}");
        assert!(acceptor.hear(3, message).saved.is_none());
    }
    assert!(!stale(&acceptor, accept(2, 3, 'y')));
}

fn client(nodes: Vec<NodeId>) -> Process<char> {
    Process::Client(Client {
        value: 'x',
        nodes,
        backoff: Backoff::default(),
    })
}

#[test]
fn a_client_asks_every_node_until_it_is_told() {
    let nodes = separated().asked();
    let asked = nodes.len();
    let (mut client, did) = Node::boot(client(nodes), CLIENT, None, |_| None);
    assert_eq!(did.told(&propose('x')), [0, 1, 2, 3, 4]);
    assert_eq!(client.time_out(Timer::Retry).sent.len(), asked);
    let did = client.hear(5, decided('y'));
    assert_eq!(client.state.decided(), Some(&'y'));
    assert_eq!(did.timer(Timer::Retry), Some(&None));
    assert_eq!(format!("{:?}", client.state), "told y");
    // It is told once.
    let did = client.hear(5, decided('x'));
    assert_eq!(client.state.decided(), Some(&'y'));
    assert!(did.timers.is_empty());
}

#[test]
fn states_and_messages_read_like_the_paper() {
    let mut node = opened();
    let names = [node.process.name(), client(Vec::new()).name()];
    assert_eq!(names, ["node", "client"]);
    node.hear(CLIENT, propose('x'));
    assert_eq!(
        format!("{:?}", node.state),
        "promised 2.0 voted 1.0:x · ballot 1.0 watching 1.0 x from {0} for 9→x · \
         decided ∅ heard 1.0 x from {0}"
    );
    assert_eq!(format!("{:?}", any(1, 0)), "Any 1.0");
    let durable = node.node().durable();
    let expected = "promised 2.0 voted 1.0:x · ballot 1.0 · decided ∅";
    assert_eq!(format!("{durable:?}"), expected);
}
