//! What a leader must and must not do, role by role.

use super::*;
use crate::multi::leadership::Limits;
use crate::multi::lease::{HeartbeatId, Time};
use crate::multi::log::bytes;
use crate::multi::testing::{
    ballot, entry, majority_of_three, operation, request, seq, three_and_one, vote,
};

const ME: NodeId = NodeId(3);
const LIMITS: Limits = Limits {
    round_max: u64::MAX,
    slots: u64::MAX,
    heartbeats_max: u64::MAX,
    window: 2,
    gathers: false,
    batch_max: 2,
    bytes_max: 1_000,
    queue_max: 4,
};

#[test]
fn a_promise_in_parts_counts_once_the_last_is_there() {
    let mut leader = preparing();
    let quorums = majority_of_three();
    let ballot = ballot(5, 3);
    promise(&mut leader, &[(0, &[], 0)]);
    let part = |slot, value| BTreeMap::from([(Slot(slot), vote(1, 1, value))]);
    let mut hear =
        |votes, is_all| leader.on_promise(NodeId(1), ballot, votes, Slot(0), is_all, &quorums);
    assert_eq!(hear(part(0, "x"), false), None);
    let adopted = [(0, entry("x")), (1, entry("y"))];
    assert_eq!(hear(part(1, "y"), true), proposals(&adopted));
}

#[test]
fn a_batch_takes_no_more_bytes_than_a_message() {
    let mut leadership = leadership();
    let limits = |bytes_max, window| Limits {
        bytes_max,
        batch_max: 9,
        window,
        ..LIMITS
    };
    let two = limits(2 * bytes(&request('a')), 1);
    for letter in ['a', 'b', 'c'] {
        leadership.on_request(request(letter), &two);
    }
    let batch = leadership.fill(&two);
    let sizes: Vec<usize> = batch.iter().map(|(_, it)| it.requests().len()).collect();
    assert_eq!(sizes, [2]);
    let out = leadership.fill(&limits(1, 2)).len();
    assert_eq!(out, 1, "one goes out however large it is");
}

type Report<'a> = (u32, &'a [(u64, Vote<Entry<char>>)], u64);

/// A proposer that has just sent *prepare* for ballot 5.3, from slot 0 on.
fn preparing() -> Leader<char> {
    let mut leader = Leader::restart(Some(ballot(4, 3)));
    let prepare = leader.prepare::<String>(ME, None, Slot(0), u64::MAX);
    let (ballot, from) = (ballot(5, 3), Slot(0));
    assert_eq!(prepare, Some(Message::Prepare { ballot, from }));
    leader
}

/// Feeds promises for ballot 5.3 and returns what the last one led to.
fn promise(leader: &mut Leader<char>, reports: &[Report]) -> Option<Proposals<char>> {
    let mut last = None;
    for (from, votes, decided) in reports {
        let votes = votes.iter().map(|(s, v)| (Slot(*s), v.clone())).collect();
        let (from, ballot, decided) = (NodeId(*from), ballot(5, 3), Slot(*decided));
        last = leader.on_promise(from, ballot, votes, decided, true, &majority_of_three());
    }
    last
}

fn proposals(of: &[(u64, Entry<char>)]) -> Option<Proposals<char>> {
    Some(of.iter().map(|(s, e)| (Slot(*s), e.clone())).collect())
}

/// A leader that nothing was reported to.
fn leadership() -> Leadership<char> {
    let mut leader = preparing();
    promise(&mut leader, &[(0, &[], 0), (1, &[], 0)]);
    leader.leadership().cloned().expect("a quorum promised")
}

impl Leadership<char> {
    fn ask(&mut self, commands: &str) {
        for command in commands.chars() {
            self.on_request(request(command), &LIMITS);
        }
    }

    fn accepted(&mut self, from: u32, slot: u64) -> Option<Entry<char>> {
        self.on_accepted(NodeId(from), Slot(slot), &majority_of_three())
    }

    /// Votes of two acceptors, which choose what is proposed in a slot.
    fn chosen(&mut self, slot: u64) -> Option<Entry<char>> {
        self.accepted(0, slot);
        self.accepted(1, slot)
    }

    fn read(&mut self, seq: u64, decided: u64) {
        self.on_read(NodeId(9), seq, '?', Slot(decided), &LIMITS);
    }

    fn heard(&mut self, from: u32, round: u64, sent: u64) {
        let (from, sent) = (NodeId(from), Time(sent));
        self.on_heartbeat_ack(from, HeartbeatId { round, sent }, &majority_of_three());
    }

    fn answered(&mut self, applied: u64) -> Vec<u64> {
        let ready = self.ready(Slot(applied), &majority_of_three());
        ready.iter().map(|read| read.seq).collect()
    }
}

#[test]
fn a_quorum_of_distinct_acceptors_makes_a_leader() {
    let mut leader = preparing();
    let reports: [Report; 4] = [(0, &[], 0), (0, &[], 0), (3, &[], 0), (99, &[], 0)];
    assert_eq!(promise(&mut leader, &reports), None);
    assert!(leader.leadership().is_none());
    assert_eq!(promise(&mut leader, &[(2, &[], 0)]), proposals(&[]));
    assert!(leader.leadership().is_some());
}

#[test]
fn promises_of_another_ballot_do_not_count() {
    let mut leader = preparing();
    for round in [4, 6] {
        for from in [0, 1, 2] {
            let (from, votes) = (NodeId(from), BTreeMap::new());
            let quorums = majority_of_three();
            let led = leader.on_promise(from, ballot(round, 3), votes, Slot(0), true, &quorums);
            assert_eq!(led, None);
        }
    }
    assert!(leader.leadership().is_none());
}

#[test]
fn the_highest_vote_of_each_slot_is_adopted_whatever_the_order() {
    // The higher ballot has the lower letter in one slot and the higher one in the other.
    let one = [(0, vote(1, 1, "z")), (1, vote(2, 2, "b"))];
    let two = [(0, vote(2, 2, "a")), (1, vote(1, 1, "y"))];
    let expected = proposals(&[(0, entry("a")), (1, entry("b"))]);
    for reports in [[(0, &one), (1, &two)], [(0, &two), (1, &one)]] {
        let reports = reports.map(|(from, votes)| (from, votes.as_slice(), 0));
        assert_eq!(promise(&mut preparing(), &reports), expected);
    }
}

#[test]
fn one_reported_vote_is_enough_to_bind() {
    let votes = [(0, vote(1, 1, "x"))];
    let expected = proposals(&[(0, entry("x"))]);
    let (one, other): (Report, Report) = ((0, &votes, 0), (1, &[], 0));
    for reports in [[one, other], [other, one]] {
        assert_eq!(promise(&mut preparing(), &reports), expected);
    }
}

#[test]
fn only_a_gap_below_a_vote_becomes_a_no_op() {
    let votes = [(1, vote(1, 1, "x")), (3, vote(1, 1, "y"))];
    let mut leader = preparing();
    let expected = [
        (0, Entry::Noop),
        (1, entry("x")),
        (2, Entry::Noop),
        (3, entry("y")),
    ];
    let led = promise(&mut leader, &[(0, &votes, 0), (2, &[], 0)]);
    assert_eq!(led, proposals(&expected));
    let leadership = leader.leadership().expect("a quorum promised");
    assert_eq!((leadership.barrier, leadership.next), (Slot(4), Slot(4)));
    assert_eq!(leadership.chosen_below(), Slot(0));
}

#[test]
fn slots_that_an_acceptor_knows_to_be_decided_are_not_proposed() {
    let votes = [(1, vote(1, 1, "x")), (4, vote(1, 1, "y"))];
    let expected = proposals(&[(3, Entry::Noop), (4, entry("y"))]);
    let (one, other): (Report, Report) = ((0, &votes, 0), (1, &[], 3));
    for reports in [[one, other], [other, one]] {
        assert_eq!(promise(&mut preparing(), &reports), expected);
    }
    // Nothing beyond: the next slot is the first that may be open.
    let mut leader = preparing();
    promise(&mut leader, &[(0, &votes[..1], 0), (1, &[], 3)]);
    let leadership = leader.leadership().expect("a quorum promised");
    assert_eq!((leadership.barrier, leadership.next), (Slot(3), Slot(3)));
}

#[test]
fn more_gaps_than_there_can_be_are_not_filled() {
    for slot in [Slot::SPAN_MAX + 1, u64::MAX - 1, u64::MAX] {
        let votes = [(slot, vote(1, 1, "x"))];
        let mut leader = preparing();
        let led = promise(&mut leader, &[(0, &votes, 0), (1, &[], 0)]);
        assert_eq!(led, None);
        assert!(leader.leadership().is_none());
    }
    for slot in [1000, Slot::SPAN_MAX] {
        let votes = [(slot, vote(1, 1, "x"))];
        let led = promise(&mut preparing(), &[(0, &votes, 0), (1, &[], 0)]);
        assert_eq!(led.map(|it| it.len() as u64), Some(slot + 1));
    }
}

#[test]
fn a_ballot_is_above_all_used_heard_of_and_outbid_by() {
    let mut leader = Leader::<char>::restart(Some(ballot(2, 3)));
    let mut next = |heard| match leader.prepare::<String>(ME, heard, Slot(0), 9) {
        Some(Message::Prepare { ballot, .. }) => Some(ballot.round),
        _ => None,
    };
    assert_eq!(next(None), Some(3), "never the one it left");
    assert_eq!(next(Some(ballot(6, 1))), Some(7));
    assert_eq!(next(Some(ballot(1, 1))), Some(8));
    assert_eq!(next(Some(ballot(9, 1))), None, "no round above the last");
    assert_eq!(next(None), Some(9));
    let mut leader = preparing();
    assert!(leader.on_nack(ballot(7, 1)));
    leader.prepare::<String>(ME, None, Slot(0), u64::MAX);
    assert_eq!(leader.ballot, Some(ballot(8, 3)));
}

#[test]
fn only_a_higher_ballot_preempts() {
    let mut leader = preparing();
    assert!(!leader.on_nack(ballot(5, 2)) && !leader.on_nack(ballot(5, 3)));
    assert!(!leader.yield_to(ballot(5, 2)) && !leader.yield_to(ballot(5, 3)));
    assert!(matches!(leader.phase, Phase::Preparing(_)));
    assert!(leader.yield_to(ballot(5, 4)));
    assert!(matches!(leader.phase, Phase::Following));
    assert!(!leader.yield_to(ballot(6, 4)), "no news");
    assert!(!leader.on_nack(ballot(9, 1)), "nothing under way");
}

#[test]
fn requests_are_batched_in_order_as_far_as_the_window_reaches() {
    let mut leadership = leadership();
    leadership.ask("abc");
    let expected = [(Slot(0), entry("ab")), (Slot(1), entry("c"))];
    assert_eq!(leadership.fill(&LIMITS), expected);
    leadership.ask("d");
    assert_eq!(leadership.fill(&LIMITS), [], "two slots are under way");
    // The window moves with the first slot that is open, not with the number of those.
    leadership.accepted(0, 1);
    assert_eq!(leadership.accepted(1, 1), Some(entry("c")));
    assert_eq!(leadership.fill(&LIMITS), []);
    leadership.accepted(0, 0);
    assert_eq!(leadership.accepted(1, 0), Some(entry("ab")));
    assert_eq!(leadership.fill(&LIMITS), [(Slot(2), entry("d"))]);
}

#[test]
fn what_gathers_waits_for_the_slot_under_way_unless_it_fills_one_itself() {
    let limits = Limits {
        gathers: true,
        window: 3,
        ..LIMITS
    };
    let mut leadership = leadership();
    leadership.ask("a");
    assert_eq!(leadership.fill(&limits), [(Slot(0), entry("a"))]);
    leadership.ask("b");
    assert_eq!(leadership.fill(&limits), []);
    leadership.ask("cd");
    assert_eq!(leadership.fill(&limits), [(Slot(1), entry("bc"))]);
    leadership.chosen(0);
    assert_eq!(leadership.fill(&limits), [], "one is still under way");
    leadership.chosen(1);
    assert_eq!(leadership.fill(&limits), [(Slot(2), entry("d"))]);
    // So many bytes are as good as so many requests.
    leadership.ask("e");
    let bytes_max = bytes(&request('e'));
    let narrow = Limits {
        bytes_max,
        batch_max: 9,
        ..limits
    };
    assert_eq!(leadership.fill(&narrow), []);
    leadership.ask("f");
    assert_eq!(leadership.fill(&narrow), [(Slot(3), entry("e"))]);
}

#[test]
fn among_thousands_a_request_is_known_as_long_as_it_is_under_way() {
    let limits = Limits {
        window: 100,
        batch_max: 10,
        queue_max: 10_000,
        ..LIMITS
    };
    let mut leadership = leadership();
    let letters: Vec<char> = ('a'..).take(3_000).collect();
    for letter in &letters {
        assert!(leadership.on_request(request(*letter), &limits));
        if leadership.queue.len() >= 1_000 {
            leadership.fill(&limits);
        }
    }
    for letter in &letters {
        let is_news = leadership.on_request(request(*letter), &limits);
        assert!(!is_news, "{letter}");
    }
    let under_way = leadership.queue.len() + 10 * leadership.open.len();
    assert_eq!(under_way, letters.len());
    // One of the same number that is not the same is another.
    let mut other = request('a');
    other.operation = operation(5, seq('a'), 'a');
    assert!(leadership.on_request(other, &limits));
    for slot in 0..10 {
        for from in [0, 1] {
            leadership.accepted(from, slot);
        }
    }
    let batch = |letters: &[char]| entry(&letters.iter().collect::<String>());
    let proposed: Vec<Entry<char>> = letters.chunks(10).map(batch).collect();
    assert!(leadership.learn(Slot(10), |slot| proposed.get(slot.0 as usize)));
    for (index, letter) in letters.iter().enumerate() {
        let is_news = leadership.on_request(request(*letter), &limits);
        assert_eq!(is_news, index < 100, "{letter}");
    }
}

#[test]
fn there_are_no_slots_beyond_the_last() {
    let mut leadership = leadership();
    leadership.ask("abc");
    let limits = Limits { slots: 1, ..LIMITS };
    assert_eq!(leadership.fill(&limits), [(Slot(0), entry("ab"))]);
    assert_eq!(leadership.fill(&limits), []);
}

#[test]
fn the_queue_is_bounded_and_holds_no_request_twice() {
    let mut leadership = leadership();
    assert!(leadership.on_request(request('a'), &LIMITS));
    assert!(!leadership.on_request(request('a'), &LIMITS), "it waits");
    leadership.fill(&LIMITS);
    assert!(!leadership.on_request(request('a'), &LIMITS), "under way");
    leadership.ask("bcde");
    assert!(!leadership.on_request(request('f'), &LIMITS), "no room");
    assert_eq!(leadership.queue.len(), LIMITS.queue_max);
}

#[test]
fn an_entry_is_chosen_once_by_a_quorum_of_distinct_acceptors() {
    let mut leadership = leadership();
    leadership.ask("a");
    leadership.fill(&LIMITS);
    for from in [0, 0, 3, 64] {
        assert_eq!(leadership.accepted(from, 0), None);
    }
    let beyond = leadership.accepted(1, 1);
    assert_eq!(beyond, None, "nothing is proposed there");
    assert_eq!(leadership.chosen_below(), Slot(0));
    assert_eq!(leadership.accepted(1, 0), Some(entry("a")));
    assert_eq!(leadership.chosen_below(), Slot(1));
    assert_eq!(leadership.accepted(2, 0), None, "no news");
}

#[test]
fn all_is_chosen_only_below_the_first_open_slot() {
    let mut leadership = leadership();
    leadership.ask("abcd");
    leadership.fill(&LIMITS);
    leadership.chosen(1);
    assert_eq!(leadership.chosen_below(), Slot(0));
    leadership.chosen(0);
    assert_eq!(leadership.chosen_below(), Slot(2));
}

#[test]
fn a_leadership_goes_on_only_if_the_open_slots_hold_what_was_proposed() {
    let mut leadership = leadership();
    leadership.ask("ab");
    leadership.fill(&LIMITS);
    let [same, other] = [entry("ab"), entry("x")];
    let goes_on = |upto, it| leadership.clone().learn(Slot(upto), |_| it);
    assert!(goes_on(0, Some(&other)), "it is open");
    assert!(goes_on(1, Some(&same)));
    assert!(!goes_on(1, Some(&other)) && !goes_on(1, None));
    assert!(leadership.learn(Slot(5), |_| Some(&same)));
    let (next, below) = (leadership.next, leadership.chosen_below());
    assert_eq!((next, below), (Slot(5), Slot(5)));
}

#[test]
fn a_read_waits_for_a_round_that_began_after_it_came() {
    let (mut leadership, quorums) = (leadership(), majority_of_three());
    leadership.read(1, 0);
    assert!(leadership.begin_round(&quorums, &LIMITS));
    assert!(!leadership.begin_round(&quorums, &LIMITS), "one at a time");
    // The second read comes while the first one's round is under way.
    leadership.read(2, 0);
    leadership.heard(0, 1, 0);
    leadership.heard(0, 1, 0);
    leadership.heard(7, 1, 0);
    let answered = leadership.answered(0);
    assert_eq!(answered, [0; 0], "one acceptor is not enough");
    leadership.heard(1, 1, 0);
    assert_eq!(leadership.answered(0), [1]);
    assert!(leadership.begin_round(&quorums, &LIMITS));
    leadership.heard(2, 1, 5);
    let answered = leadership.answered(0);
    assert_eq!(answered, [0; 0], "an answer to the old round");
    leadership.heard(2, 2, 5);
    leadership.heard(0, 2, 5);
    assert_eq!(leadership.answered(0), [2]);
    assert!(!leadership.begin_round(&quorums, &LIMITS), "nobody waits");
}

#[test]
fn a_read_waits_for_all_that_may_have_been_chosen_before() {
    let votes = [(4, vote(1, 1, "x"))];
    let mut leader = preparing();
    promise(&mut leader, &[(0, &votes, 0), (1, &[], 0)]);
    let leadership = leader.leadership_mut().expect("a quorum promised");
    leadership.read(1, 2);
    leadership.read(2, 7);
    leadership.begin_round(&majority_of_three(), &LIMITS);
    leadership.heard(0, 1, 0);
    leadership.heard(1, 1, 0);
    assert_eq!(leadership.answered(4), [0; 0]);
    assert_eq!(leadership.answered(5), [1]);
    assert_eq!(leadership.answered(6), [0; 0]);
    assert_eq!(leadership.answered(7), [2]);
}

#[test]
fn reads_that_wait_are_bounded_and_wait_once() {
    let mut leadership = leadership();
    for seq in [1, 1, 2, 3, 4, 5] {
        leadership.read(seq, 0);
    }
    let waiting: Vec<u64> = leadership.reads.iter().map(|read| read.seq).collect();
    assert_eq!(waiting, [1, 2, 3, 4]);
}

#[test]
fn only_answers_to_the_latest_beat_confirm_it() {
    let (mut leadership, quorums) = (leadership(), majority_of_three());
    leadership.heartbeat_at(Time(10));
    leadership.heard(0, 0, 10);
    leadership.heard(1, 0, 9);
    assert!(!leadership.is_confirmed(&quorums));
    leadership.heard(1, 0, 10);
    assert!(leadership.is_confirmed(&quorums));
    let sent = leadership.heartbeat_at(Time(8)).sent;
    assert_eq!(sent, Time(10), "never backwards");
}

#[test]
fn it_takes_a_phase_1_quorum_to_lead() {
    let mut leader = preparing();
    let mut promise = |from| {
        let (from, votes) = (NodeId(from), BTreeMap::new());
        leader.on_promise(from, ballot(5, 3), votes, Slot(0), true, &three_and_one())
    };
    assert_eq!([promise(0), promise(1)], [None, None]);
    assert_eq!(promise(2), proposals(&[]));
}

#[test]
fn it_takes_a_phase_2_quorum_to_choose_and_to_confirm() {
    let (mut leadership, quorums) = (leadership(), three_and_one());
    leadership.ask("a");
    leadership.fill(&LIMITS);
    let chosen = leadership.on_accepted(NodeId(0), Slot(0), &quorums);
    assert_eq!(chosen, Some(entry("a")));
    leadership.read(1, 0);
    assert!(leadership.begin_round(&quorums, &LIMITS));
    assert!(!leadership.is_confirmed(&quorums));
    leadership.heard(0, 1, 0);
    assert!(leadership.is_confirmed(&quorums));
    assert_eq!(leadership.ready(Slot(1), &quorums).len(), 1);
}
