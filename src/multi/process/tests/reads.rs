//! Leases, and the reads that need no place in the log.

use super::*;

fn leased() -> Cluster<Journal> {
    let (duration, margin) = (10, 2);
    Cluster {
        lease: Some(LeaseTimes { duration, margin }),
        ..colocated()
    }
}

#[test]
fn an_acceptor_with_a_lease_holds_off_others_and_not_its_holder() {
    TIME.set(100);
    let mut node = Node::new(&leased(), 2);
    let did = node.hear(0, heartbeat(1, 0, 0));
    assert_eq!(did.sent, [(0, heard(0, 0))]);
    TIME.set(109);
    let proposal = accept(0, vote(2, 1, "x"));
    for message in [prepare(2, 1, 0), proposal, heartbeat(2, 1, 0)] {
        assert!(node.hear(1, message).is_silent());
    }
    let did = node.hear(0, prepare(2, 0, 0));
    assert_eq!(did.sent, [(0, promise(2, 0, &[], 0))]);
    TIME.set(110);
    let did = node.hear(1, prepare(2, 1, 0));
    assert_eq!(did.sent, [(1, promise(2, 1, &[], 0))]);
}

#[test]
fn an_acceptor_that_restarts_presumes_a_lease() {
    TIME.set(100);
    let mut node = Node::new(&leased(), 2);
    assert!(!node.hear(0, heartbeat(1, 0, 0)).sent.is_empty());
    let saved = Some(node.node().durable());
    TIME.set(109);
    let mut node = Node::start(&leased(), 2, saved).0;
    TIME.set(118);
    assert!(node.hear(1, prepare(2, 1, 0)).is_silent());
    TIME.set(119);
    assert!(!node.hear(1, prepare(2, 1, 0)).is_silent());
    let did = Node::new(&leased(), 2).hear(1, prepare(2, 1, 0));
    assert!(!did.is_silent(), "it granted none");
}

/// Node 0, leading, whose heartbeat of time 100 was answered by node 1 and by itself.
fn holder() -> Node {
    TIME.set(100);
    let mut node = Node::leading(&leased(), 0);
    node.hear(1, heard(0, 100));
    node
}

#[test]
fn a_lease_read_is_answered_at_once_until_the_lease_ends() {
    let (seq, outcome) = (1, Outcome::Done(String::new()));
    let answer = Message::Reply { seq, outcome };
    let mut node = holder();
    TIME.set(107);
    let did = node.hear(CLIENT.0, read(1, ReadMode::Lease));
    assert_eq!(did.sent, [(CLIENT.0, answer)]);
    TIME.set(108);
    let did = node.hear(CLIENT.0, read(2, ReadMode::Lease));
    assert!(did.sent_to(CLIENT.0).is_empty());
    assert!(is_heartbeat_sent(&did), "it asks instead");
    // Without a quorum's answer there is no lease.
    let mut node = Node::leading(&leased(), 0);
    let did = node.hear(CLIENT.0, read(1, ReadMode::Lease));
    assert!(did.sent_to(CLIENT.0).is_empty());
}

#[test]
fn a_lease_that_ends_while_its_holder_reads_is_no_lease() {
    let mut node = holder();
    TIME.set(107);
    MEANWHILE.set(|| TIME.set(108));
    let did = node.hear(CLIENT.0, read(1, ReadMode::Lease));
    assert!(did.sent_to(CLIENT.0).is_empty());
}

#[test]
fn a_leader_with_a_lease_still_applies_all_that_came_before_it() {
    TIME.set(100);
    let mut node = Node::new(&leased(), 0);
    node.time_out(Timer::Campaign);
    node.hear(1, promise(1, 0, &[(0, vote(0, 1, "x"))], 0));
    node.hear(1, heard(0, 100));
    let did = node.hear(CLIENT.0, read(1, ReadMode::Lease));
    assert!(did.sent_to(CLIENT.0).is_empty(), "x may have been answered");
    node.hear(2, heard(1, 100));
    let did = node.hear(1, accepted(1, 0, 0));
    let (seq, outcome) = (1, Outcome::Done("x".to_owned()));
    let answer = Message::Reply { seq, outcome };
    assert!(did.sent_to(CLIENT.0).contains(&&answer));
}

#[test]
fn a_read_by_index_waits_for_a_quorum_that_hears_of_it() {
    let mut node = holder();
    let did = node.hear(CLIENT.0, read(1, ReadMode::Index));
    assert!(is_heartbeat_sent(&did) && did.sent_to(CLIENT.0).is_empty());
    let did = node.hear(2, heard(0, 100));
    assert!(did.sent_to(CLIENT.0).is_empty(), "that was an earlier one");
    let did = node.hear(2, heard(1, 100));
    assert_eq!(did.sent_to(CLIENT.0).len(), 1);
}
