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
    assert_eq!(
        node.hear(1, accepted(1, 0, 0)).sent,
        [(CLIENT.0, reply('a', "a"))]
    );
    node.ask('b');
    let did = node.time_out(Timer::Propose);
    let accept_b = accept(1, vote(1, 0, "b"));
    assert_eq!(did.sent_to(2), [&decided(1, 0, 1), &accept_b]);
    node.hear(1, accepted(1, 0, 1));
    let did = node.time_out(Timer::Heartbeat);
    assert_eq!(did.sent_to(2), [&heartbeat(1, 0, 2)]);
    node.ask('c');
    let did = node.time_out(Timer::Propose);
    assert_eq!(
        did.sent_to(2),
        [&accept(2, vote(1, 0, "c"))],
        "told already"
    );
    // Without signs of life nothing may wait for one.
    let cluster = Cluster {
        heartbeat: None,
        ..gathering()
    };
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
    assert_eq!(
        first.timers,
        [(Timer::Propose.into(), Some(Duration::ZERO..Duration::ZERO))]
    );
    assert!(node.ask('b').is_silent());
    let votes = |did: &Did, letters: &str| {
        let it = did.sent_to(1);
        matches!(it[..], [Message::Accept { vote, .. }] if vote.value == entry(letters))
    };
    assert!(votes(&node.time_out(Timer::Propose), "ab"));
    assert!(node.time_out(Timer::Propose).is_silent(), "nothing waits");
    // What comes meanwhile needs no timer: it is proposed as soon as the slot is done.
    assert!(node.ask('c').is_silent());
    let did = node.hear(1, accepted(1, 0, 0));
    assert!(
        did.sent_to(2)
            .iter()
            .any(|it| { matches!(it, Message::Accept { vote, .. } if vote.value == entry("c")) })
    );
    // A full slot waits for nobody.
    assert!(node.ask('d').is_silent() && node.ask('e').is_silent());
    assert!(votes(&node.ask('f'), "def"));
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
