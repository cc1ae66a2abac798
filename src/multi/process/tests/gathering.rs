//! Requests that wait for others to share a slot with.

use super::*;

/// Three nodes that play all roles, where requests gather.
fn gathering() -> Cluster<Journal> {
    let mut cluster = colocated();
    cluster.limits.gathers = true;
    cluster.limits.batch_max = 3;
    cluster
}

#[test]
fn what_is_chosen_is_said_with_the_next_proposal_or_sign_of_life_where_requests_gather() {
    let mut node = Node::leading(&gathering(), 0);
    node.ask('a');
    node.time_out(Timer::Propose);
    let did = node.hear(1, accepted(1, 0, 0));
    assert_eq!(did.sent, [(CLIENT.0, reply('a', "a"))]);
    node.ask('b');
    let did = node.time_out(Timer::Propose);
    let accept_b = accept(1, vote(1, 0, "b"));
    assert_eq!(did.sent_to(2), [&decided(1, 0, 1), &accept_b]);
    node.hear(1, accepted(1, 0, 1));
    let did = node.time_out(Timer::Heartbeat);
    assert_eq!(did.sent_to(2), [&heartbeat(1, 0, 2)]);
    node.ask('c');
    let did = node.time_out(Timer::Propose);
    let accept_c = accept(2, vote(1, 0, "c"));
    assert_eq!(did.sent_to(2), [&accept_c], "told already");
    // Without signs of life nothing may wait for one.
    let mut cluster = gathering();
    cluster.heartbeat = None;
    let mut node = Node::leading(&cluster, 0);
    node.ask('a');
    node.time_out(Timer::Propose);
    let did = node.hear(1, accepted(1, 0, 0));
    assert_eq!(did.sent_to(2), [&decided(1, 0, 1)]);
}

#[test]
fn requests_that_arrive_together_share_a_slot_where_they_gather() {
    let mut node = Node::leading(&gathering(), 0);
    let first = node.ask('a');
    assert_eq!(first.sent, []);
    let at_once = Some(Duration::ZERO..Duration::ZERO);
    assert_eq!(first.timers, [(Timer::Propose.into(), at_once)]);
    assert!(node.ask('b').is_silent());
    let proposes = |did: &Did, slot, letters: &str| {
        let proposal = accept(slot, vote(1, 0, letters));
        let is_sent = |to: &u32| did.sent_to(*to).contains(&&proposal);
        [1, 2].iter().all(is_sent)
    };
    let did = node.time_out(Timer::Propose);
    assert!(proposes(&did, 0, "ab") && did.sent_to(1).len() == 1);
    assert!(node.time_out(Timer::Propose).is_silent(), "nothing waits");
    // What comes meanwhile needs no timer: it is proposed as soon as the slot is done.
    assert!(node.ask('c').is_silent());
    assert!(proposes(&node.hear(1, accepted(1, 0, 0)), 1, "c"));
    // A full slot waits for nobody.
    assert!(node.ask('d').is_silent() && node.ask('e').is_silent());
    let did = node.ask('f');
    assert!(proposes(&did, 2, "def") && did.sent_to(1).len() == 1);
}

#[test]
fn entries_that_are_known_are_no_news_to_requests_that_gather() {
    let mut node = Node::leading(&gathering(), 0);
    node.ask('a');
    node.time_out(Timer::Propose);
    node.hear(1, accepted(1, 0, 0));
    node.hear(1, entries(2, "z"));
    assert!(node.ask('b').sent.is_empty(), "it gathers");
    for known in [entries(0, "a"), entries(2, "z")] {
        assert!(node.hear(2, known).is_silent());
    }
}
