//! A node as the checker and the runtime meet it: an actor that hears, saves, sends and waits.

use super::super::testing::*;
use super::super::*;
use crate::actor::testing;
use crate::delta::Delta;
use crate::quorum::AcceptorSet;
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

    fn decided(&self) -> Option<char> {
        self.state.decided().copied()
    }
}

/// Acceptors 0, 1, ...; proposers and learners as given.
fn cluster(acceptors: u32, proposers: &[u32], learners: &[u32]) -> Cluster {
    let quorums = QuorumSystem::majority(AcceptorSet::first(acceptors));
    let nodes = |ids: &[u32]| ids.iter().copied().map(NodeId).collect();
    Cluster {
        quorums: quorums.expect("majorities intersect"),
        proposers: nodes(proposers),
        learners: nodes(learners),
        nacks: true,
        round_max: u64::MAX,
        backoff: Backoff::default(),
    }
}

/// Three nodes that play all roles.
fn colocated() -> Cluster {
    cluster(3, &[0, 1, 2], &[0, 1, 2])
}

/// Acceptors 0 to 2, proposer 3 and learner 4.
fn separated() -> Cluster {
    cluster(3, &[3], &[4])
}

/// The proposer of separated nodes, which started ballot 1.3 and has restarted.
fn restarted() -> (Node, Did) {
    let mut saved = Node::new(&separated(), 3).node().durable();
    saved.ballot = Some(ballot(1, 3));
    Node::start(&separated(), 3, Some(saved))
}

/// Saved by a node that voted, and may have started a ballot, but knows no decision.
fn voted(proposal: Vote<char>, ballot: Option<Ballot>) -> Durable<char> {
    Durable {
        acceptor: Some(Acceptor {
            promised: Some(proposal.ballot),
            vote: Some(proposal),
        }),
        ballot,
        decided: None,
    }
}

/// Saved by node 0 when its own ballot decided.
fn settled() -> Durable<char> {
    Durable {
        decided: Some('x'),
        ..voted(vote(1, 0, 'x'), Some(ballot(1, 0)))
    }
}

#[test]
fn a_node_that_proposes_has_its_own_promise_in_the_same_step() {
    let mut node = Node::new(&colocated(), 0);
    let did = node.hear(CLIENT, propose('x'));
    assert_eq!(did.sent, [(1, prepare(1, 0)), (2, prepare(1, 0))]);
    let acceptor = node.node().acceptor.as_ref().expect("an acceptor");
    assert_eq!(acceptor.promised, Some(ballot(1, 0)));
    // One more promise is a majority.
    let did = node.hear(2, promise(1, 0, None));
    let acceptor = node.node().acceptor.as_ref().expect("an acceptor");
    assert_eq!(acceptor.vote, Some(vote(1, 0, 'x')));
    assert_eq!(did.sent_to(1), [&accept(1, 0, 'x'), &accepted(1, 0, 'x')]);
}

#[test]
fn a_node_alone_decides_in_one_step() {
    let mut node = Node::new(&cluster(1, &[0], &[0]), 0);
    let did = node.hear(CLIENT, propose('x'));
    assert_eq!(did.sent, [(CLIENT, decided('x'))]);
    assert_eq!(node.decided(), Some('x'));
    assert_eq!(did.saved, Some(settled()));
    assert_eq!(did.timer(Timer::Retry), Some(&None), "nothing to retry");
}

#[test]
fn a_promise_and_a_vote_are_saved_before_they_are_sent() {
    // That the save comes first is checked for every step: see `testing`.
    let mut node = Node::new(&separated(), 0);
    let did = node.hear(3, prepare(1, 3));
    assert!(did.saved.is_some());
    assert_eq!(did.sent, [(3, promise(1, 3, None))]);
    let did = node.hear(3, accept(1, 3, 'x'));
    assert_eq!(did.saved, Some(voted(vote(1, 3, 'x'), None)));
    assert_eq!(did.sent, [(4, accepted(1, 3, 'x'))]);
}

#[test]
fn what_is_saved_is_led_to_by_its_changes() {
    let before = voted(vote(1, 3, 'x'), None);
    let after = voted(vote(2, 4, 'y'), Some(ballot(2, 4)));
    assert!(after.reaches(Some(&before)));
    assert!(after.changes(Some(&after)).is_empty());
}

#[test]
fn a_step_that_changes_nothing_durable_saves_nothing() {
    let mut learner = Node::new(&separated(), 4);
    let did = learner.hear(0, accepted(1, 3, 'x'));
    assert!(did.is_owned, "a vote was counted");
    assert_eq!(did.saved, None);
    let mut proposer = Node::new(&separated(), 3);
    proposer.hear(CLIENT, propose('x'));
    proposer.hear(0, promise(1, 3, None));
    let did = proposer.hear(1, promise(1, 3, None));
    assert_eq!(did.sent.len(), 3, "every acceptor is asked to vote");
    assert_eq!(did.saved, None);
}

#[test]
fn a_node_that_starts_afresh_asks_and_starts_no_ballot() {
    let (_, did) = Node::start(&colocated(), 0, None);
    assert_eq!(did.sent, [(1, Message::Ask), (2, Message::Ask)]);
    let pace = Backoff::default().pace();
    assert_eq!(did.timers, [(Timer::Ask, Some(pace))]);
}

#[test]
fn a_node_that_restarts_with_a_vote_but_no_decision_asks_and_will_retry() {
    // The vote may be one of a quorum, and its proposer gone: it takes a ballot to find out.
    let saved = voted(vote(1, 2, 'x'), None);
    let (mut node, did) = Node::start(&colocated(), 0, Some(saved));
    assert_eq!(did.sent, [(1, Message::Ask), (2, Message::Ask)]);
    let pace = Some(Backoff::default().pace());
    assert_eq!(did.timer(Timer::Ask), Some(&pace));
    assert_eq!(did.timer(Timer::Retry), Some(&pace));
    // Its first ballot is above its own vote, for it would refuse a lower one itself.
    let did = node.time_out(Timer::Retry);
    assert_eq!(did.sent, [(1, prepare(2, 0)), (2, prepare(2, 0))]);
    let did = node.hear(1, promise(2, 0, None));
    assert_eq!(did.sent_to(2)[0], &accept(2, 0, 'x'));
}

#[test]
fn a_node_that_waits_in_vain_for_the_fate_of_its_vote_proposes() {
    // The proposer and its client may be gone for good, and nobody restarts.
    let mut node = Node::new(&colocated(), 1);
    node.hear(0, accept(1, 0, 'x'));
    assert!(node.time_out(Timer::Ask).timer(Timer::Retry).is_some());
    let did = node.time_out(Timer::Retry);
    assert_eq!(did.sent, [(0, prepare(2, 1)), (2, prepare(2, 1))]);
    // One that voted for nothing has nothing to finish.
    let mut node = Node::new(&colocated(), 1);
    assert!(node.time_out(Timer::Ask).timer(Timer::Retry).is_none());
}

#[test]
fn a_node_that_restarts_after_starting_a_ballot_will_retry() {
    let (_, did) = restarted();
    assert!(matches!(did.timer(Timer::Retry), Some(Some(_))));
}

#[test]
fn a_node_that_restarts_with_a_decision_is_at_rest() {
    let (mut node, did) = Node::start(&colocated(), 0, Some(settled()));
    assert!(did.is_nothing());
    assert_eq!(node.decided(), Some('x'));
    assert!(node.time_out(Timer::Retry).is_nothing());
    assert!(node.time_out(Timer::Ask).is_nothing());
}

#[test]
fn a_restarted_node_uses_no_ballot_twice() {
    let mut node = Node::new(&separated(), 3);
    let mut saved = node.hear(CLIENT, propose('x')).saved;
    for round in 2..5 {
        let (mut again, _) = Node::start(&separated(), 3, saved);
        assert!(again.hear(0, promise(round - 1, 3, None)).is_nothing());
        let did = match round % 2 {
            0 => again.time_out(Timer::Retry),
            _ => again.hear(CLIENT, propose('y')),
        };
        assert_eq!(did.sent_to(0), [&prepare(round, 3)]);
        saved = did.saved;
    }
}

#[test]
fn a_node_that_has_decided_tells_whoever_proposes_or_asks() {
    for me in [0, 3, 4] {
        let mut node = Node::new(&cluster(3, &[0, 3], &[0, 4]), me);
        node.hear(0, decided('x'));
        let did = node.hear(CLIENT, propose('y'));
        assert_eq!(did.sent, [(CLIENT, decided('x'))]);
        assert_eq!(node.hear(2, Message::Ask).sent, [(2, decided('x'))]);
        assert!(node.hear(1, decided('y')).is_nothing(), "it stands");
        assert_eq!(node.decided(), Some('x'));
    }
}

#[test]
fn a_node_that_has_decided_goes_on_as_an_acceptor() {
    let mut node = Node::new(&colocated(), 0);
    node.hear(1, accept(1, 1, 'x'));
    node.hear(1, decided('x'));
    let did = node.hear(2, prepare(2, 2));
    assert_eq!(did.sent, [(2, promise(2, 2, Some(vote(1, 1, 'x'))))]);
    let did = node.hear(2, accept(2, 2, 'x'));
    let answer = accepted(2, 2, 'x');
    assert_eq!(did.sent, [(1, answer.clone()), (2, answer)]);
}

#[test]
fn the_client_is_told_once_the_decision_is_known() {
    let mut node = Node::new(&separated(), 3);
    node.hear(CLIENT, propose('x'));
    let did = node.hear(4, decided('y'));
    assert_eq!(did.sent, [(CLIENT, decided('y'))]);
    assert_eq!(did.timer(Timer::Retry), Some(&None));
    assert_eq!(did.timer(Timer::Ask), Some(&None));
}

#[test]
fn a_refused_proposer_waits_anew_and_goes_above() {
    let mut node = Node::new(&separated(), 3);
    node.hear(CLIENT, propose('x'));
    let did = node.hear(0, nack(4, 7));
    let pause = Some(Backoff::default().wait(4));
    assert_eq!(did.timer(Timer::Retry), Some(&pause));
    assert!(did.sent.is_empty(), "not at once");
    assert!(node.hear(1, nack(4, 7)).is_nothing(), "once is enough");
    assert!(node.hear(CLIENT, propose('x')).is_nothing(), "asked again");
    let did = node.time_out(Timer::Retry);
    assert_eq!(did.sent_to(0), [&prepare(5, 3)]);
}

#[test]
fn a_proposer_that_is_at_it_already_takes_up_a_request_in_the_same_ballot() {
    let (mut node, _) = restarted();
    assert_eq!(node.time_out(Timer::Retry).sent_to(0), [&prepare(2, 3)]);
    let did = node.hear(CLIENT, propose('x'));
    assert!(did.sent.is_empty() && did.timers.is_empty());
    node.hear(0, promise(2, 3, None));
    let did = node.hear(1, promise(2, 3, None));
    assert_eq!(did.sent_to(0), [&accept(2, 3, 'x')]);
}

#[test]
fn what_is_saved_says_what_it_is() {
    let saved = voted(vote(2, 3, 'x'), Some(ballot(4, 0)));
    let text = "promised 2.3 voted 2.3:x · ballot 4.0 · decided ∅";
    assert_eq!(format!("{saved:?}"), text);
    let nothing = Node::new(&separated(), 3).node().durable();
    assert_eq!(format!("{nothing:?}"), "ballot ∅ · decided ∅");
}

#[test]
fn processes_are_called_by_what_they_are_and_know_what_was_decided() {
    let mut node = Node::new(&separated(), 3);
    assert_eq!(node.process.name(), "node");
    assert_eq!(node.state.decided(), None);
    node.hear(4, decided('x'));
    assert_eq!(node.state.decided(), Some(&'x'));
    let client = Client {
        value: 'x',
        proposers: Vec::new(),
        backoff: Backoff::default(),
    };
    assert_eq!(Process::Client(client).name(), "client");
}

#[test]
fn an_acceptor_refuses_aloud_only_if_the_cluster_has_nacks() {
    for nacks in [true, false] {
        let mut cluster = separated();
        cluster.nacks = nacks;
        let mut node = Node::new(&cluster, 0);
        node.hear(3, prepare(2, 3));
        for request in [prepare(1, 5), accept(1, 5, 'x')] {
            let (did, refusal) = (node.hear(5, request), [(5, nack(2, 3))]);
            assert_eq!(did.sent, &refusal[..usize::from(nacks)]);
            assert!(!did.is_owned);
        }
    }
}

#[test]
fn a_ballot_is_given_a_time_to_succeed_in() {
    let mut node = Node::new(&separated(), 3);
    let did = node.hear(CLIENT, propose('x'));
    let wait = |round| Some(Backoff::default().wait(round));
    assert_eq!(did.timer(Timer::Retry), Some(&wait(1)));
    let second = node.hear(CLIENT, propose('y'));
    assert!(second.is_nothing(), "one at a time");
    let did = node.time_out(Timer::Retry);
    assert_eq!(did.timer(Timer::Retry), Some(&wait(2)));
}

#[test]
fn no_ballot_is_started_after_the_last_round() {
    let mut cluster = separated();
    cluster.round_max = 1;
    let mut node = Node::new(&cluster, 3);
    node.hear(CLIENT, propose('x'));
    let did = node.time_out(Timer::Retry);
    assert!(did.sent.is_empty() && !did.is_owned);
}

#[test]
fn a_proposer_that_finds_nothing_to_do_cancels_its_timer() {
    let (mut node, _) = restarted();
    node.time_out(Timer::Retry);
    let did = node.hear(0, promise(2, 3, None));
    assert_eq!(did.timer(Timer::Retry), None, "one promise is no quorum");
    let did = node.hear(1, promise(2, 3, None));
    assert_eq!(did.timer(Timer::Retry), Some(&None));
    assert!(did.sent.is_empty());
    // It can begin again.
    let did = node.hear(CLIENT, propose('x'));
    assert_eq!(did.sent_to(2), [&prepare(3, 3)]);
}

#[test]
fn a_late_promise_cancels_no_timer() {
    let mut node = Node::new(&separated(), 3);
    node.hear(CLIENT, propose('x'));
    for from in 0..3 {
        let did = node.hear(from, promise(1, 3, None));
        assert_eq!(did.timer(Timer::Retry), None);
    }
}

#[test]
fn a_learner_that_counted_the_votes_tells_the_others() {
    let mut node = Node::new(&cluster(3, &[3, 4], &[4, 5]), 4);
    node.hear(0, accepted(1, 3, 'x'));
    let did = node.hear(1, accepted(1, 3, 'x'));
    assert_eq!(did.sent, [(3, decided('x')), (5, decided('x'))]);
    assert!(node.hear(2, accepted(1, 3, 'x')).is_nothing());
}

#[test]
fn a_learner_that_was_told_tells_nobody_else() {
    let mut node = Node::new(&cluster(3, &[3, 4], &[4, 5]), 4);
    let did = node.hear(5, decided('x'));
    assert_eq!(node.decided(), Some('x'));
    assert!(did.saved.is_some());
    assert!(did.sent.is_empty());
}

#[test]
fn a_node_without_a_decision_asks_again_and_answers_nobody() {
    let mut node = Node::new(&colocated(), 0);
    assert!(node.hear(1, Message::Ask).is_nothing());
    let did = node.time_out(Timer::Ask);
    assert_eq!(did.sent, [(1, Message::Ask), (2, Message::Ask)]);
    assert!(matches!(did.timer(Timer::Ask), Some(Some(_))));
}

#[test]
fn a_step_that_changes_nothing_leaves_the_state_borrowed() {
    let mut node = Node::new(&colocated(), 0);
    node.hear(CLIENT, propose('x'));
    node.hear(1, accepted(1, 1, 'y'));
    let ignored = [
        (1, promise(1, 1, None)), // for another's ballot
        (0, promise(1, 0, None)), // counted already
        (1, nack(1, 0)),          // of the ballot itself
        (1, accepted(1, 1, 'y')), // counted already
        (7, accepted(1, 1, 'y')), // of no acceptor
        (1, accepted(1, 0, 'z')), // in a lower ballot
        (CLIENT, propose('z')),   // not the first
        (0, prepare(1, 0)),       // answered already
    ];
    for (from, message) in ignored {
        let shown = format!("{message:?} from {from}");
        assert!(node.hear(from, message).is_nothing(), "{shown}");
    }
}

#[test]
fn a_message_for_a_role_that_the_node_does_not_play_is_ignored() {
    let to_acceptors = [prepare(1, 7), accept(1, 7, 'x')];
    let to_proposers = [propose('x'), promise(1, 3, None), nack(9, 7)];
    let to_learners = [accepted(1, 7, 'x'), decided('x'), Message::Ask];
    let cases = [
        (0, [to_proposers.as_slice(), &to_learners].concat()),
        (3, to_acceptors.to_vec()),
        (4, [to_acceptors.as_slice(), &to_proposers].concat()),
    ];
    for (me, messages) in cases {
        let mut node = Node::new(&separated(), me);
        for message in messages {
            let shown = format!("{message:?} to {me}");
            assert!(node.hear(7, message).is_nothing(), "{shown}");
        }
    }
    // Nor does an acceptor ever set a timer that could start a ballot.
    let saved = voted(vote(1, 3, 'x'), None);
    let (mut acceptor, did) = Node::start(&separated(), 0, Some(saved));
    assert!(did.is_nothing());
    assert!(acceptor.hear(7, accept(1, 3, 'x')).is_nothing());
}

#[test]
fn a_process_without_a_role_does_nothing() {
    let (mut node, did) = Node::start(&separated(), 8, None);
    assert!(did.is_nothing());
    for message in [propose('x'), prepare(1, 3), decided('x'), Message::Ask] {
        assert!(node.hear(3, message).is_nothing());
    }
}
