//! Nodes that were away, and what is saved in place of a log.

use super::*;

#[test]
fn a_node_that_was_away_catches_up_by_snapshot_and_log() {
    let mut net = Net::new(truncating(3));
    net.time_out(0, Timer::Campaign);
    net.ask(0, "a");
    let saved = net.stop(2);
    net.ask(0, "bcdefgh");
    net.restart(2, saved);
    assert_eq!(net.written()[2], "a");
    // The snapshot comes with the first sign of life, the log since with the second.
    net.time_out(0, Timer::Heartbeat);
    assert_eq!(net.written()[2], "abcdef");
    net.time_out(0, Timer::Heartbeat);
    assert_eq!(net.written(), ["abcdefgh"; 3]);
    let (follower, leader) = (&net.nodes[&2], &net.nodes[&0]);
    assert_eq!(follower.learner().sessions, leader.learner().sessions);
    let saved = |it: &Node| it.node().durable().snapshot;
    assert_eq!(saved(follower), saved(leader));
    assert_eq!(follower.acceptor().base, Slot(8));
}

/// A network of nodes that send a snapshot in pieces. Node 2 was down while node 0 wrote "abc".
fn in_pieces() -> Net {
    let mut cluster = truncating(3);
    cluster.limits.bytes_max = 8;
    let mut net = Net::new(cluster);
    net.time_out(0, Timer::Campaign);
    let saved = net.stop(2);
    net.ask(0, "abc");
    net.restart(2, saved);
    net
}

#[test]
fn a_transfer_that_stopped_is_resumed_where_it_stopped() {
    let mut net = in_pieces();
    net.is_lost = |it| matches!(it, Message::Fetch { offset, .. } if *offset > 8);
    net.time_out(0, Timer::Heartbeat);
    assert!(net.nodes[&2].learner().transfer.is_some());
    net.is_lost = |it| matches!(it, Message::Fetch { offset, .. } if *offset <= 8);
    net.time_out(0, Timer::Heartbeat);
    assert_eq!(net.written(), ["abc"; 3]);
}

#[test]
fn a_transfer_begins_again_if_the_provider_moved_on() {
    let mut net = in_pieces();
    net.is_lost = |it| matches!(it, Message::Fetch { .. });
    net.time_out(0, Timer::Heartbeat);
    let (upto, offset) = (Slot(3), 8);
    net.is_lost = |_| false;
    let left = net.nodes.remove(&2).expect("it runs");
    net.ask(0, "def");
    net.nodes.insert(2, left);
    let fetch = Message::Fetch { upto, offset };
    let did = net.node(0).hear(2, fetch);
    let first = |it: &Chunk| it.upto == Slot(6) && it.offset == 0;
    assert!(matches!(&did.sent[..], [(2, Message::Chunk(it))] if first(it)));
    net.run(0, did);
    assert_eq!(net.written(), ["abcdef"; 3]);
}

#[test]
fn a_fetch_of_a_snapshot_that_is_not_there_is_not_answered() {
    let mut net = in_pieces();
    for (upto, offset) in [(Slot(9), 0), (Slot(3), 10_000)] {
        let fetch = Message::Fetch { upto, offset };
        assert!(net.node(0).hear(2, fetch).is_silent());
    }
}

#[test]
fn what_is_saved_is_what_changed_and_replays_to_all_there_is() {
    let mut node = Node::new(&truncating(3), 1);
    let mut before: Option<Durable<Journal>> = None;
    let mut seen = [false; 5];
    let heard = [
        (0, prepare(1, 0, 0)),
        (0, accept(0, vote(1, 0, "a"))),
        (0, accept(1, vote(1, 0, "b"))),
        (2, prepare(2, 2, 0)),
        (2, accept(1, vote(2, 2, "b"))),
        (2, entries(0, "ab")),
        (2, accept(2, vote(2, 2, "c"))),
        (2, entries(2, "cd")),
    ];
    for (from, message) in heard {
        let did = node.hear(from, message);
        let Some(after) = did.saved else { continue };
        assert!(after.reaches(before.as_ref()), "{before:?} to {after:?}");
        for change in after.changes(before.as_ref()) {
            seen[match change {
                Change::Promised(_) => 0,
                Change::Voted(..) => 1,
                Change::Started(_) => 2,
                Change::Decided(_) => 3,
                Change::Compacted(_) => 4,
            }] = true;
        }
        before = Some(after);
    }
    let did = node.time_out(Timer::Campaign);
    let after = did.saved.expect("a ballot to remember");
    assert!(after.reaches(before.as_ref()));
    assert_eq!(after.changes(Some(&after)), []);
    seen[2] = true;
    assert_eq!(seen, [true; 5]);
}
