use super::super::codec::Frame;
use super::super::observer::{EventOf, NoObserver};
use super::super::scripted::Scripted;
use super::*;

const LENGTHS: Lengths = Lengths {
    limit: 1000,
    most: 1000,
    messages: usize::MAX,
};

const MS: Duration = Duration::from_millis(1);

fn me() -> Id {
    Id::from(0)
}

/// An actor that adds up the numbers that it receives. For an odd number it saves the sum; it sends
/// the half of a number above 100 to itself; it answers every number with the sum.
struct Adder;

impl Actor for Adder {
    type Msg = u32;
    type State = Vec<u32>;
    type Timer = char;
    type Random = ();
    type Storage = u32;

    fn on_start(&self, _: Id, saved: &Option<u32>, out: &mut Out<Self>) -> Vec<u32> {
        out.set_timer('a', MS..MS);
        out.set_timer('b', MS..MS);
        saved.iter().copied().collect()
    }

    fn on_msg(&self, id: Id, seen: &mut Cow<Vec<u32>>, from: Id, n: u32, out: &mut Out<Self>) {
        seen.to_mut().push(n);
        let sum = seen.iter().sum();
        if n % 2 == 1 {
            out.save(sum);
        }
        if n > 100 {
            out.send(id, n / 2);
        }
        if from != id {
            out.send(from, sum);
        }
    }

    fn on_timeout(&self, _: Id, seen: &mut Cow<Vec<u32>>, timer: &char, out: &mut Out<Self>) {
        match timer {
            // The other timer is due as well.
            'a' => out.cancel_timer('b'),
            'b' => seen.to_mut().push(1000),
            _ => (),
        }
        out.set_timer('a', Duration::ZERO..Duration::ZERO);
    }
}

fn setup<A: Runnable>(actor: A, saved: Option<A::Storage>) -> Setup<A> {
    Setup {
        actor,
        id: me(),
        saved,
        lengths: LENGTHS,
        rng: rng_of(1, me()),
    }
}

fn start(saved: Option<u32>) -> Core<Adder> {
    let started = Core::start(setup(Adder, saved), Duration::ZERO, &mut NoObserver);
    let (core, changes) = started.unwrap();
    assert!(changes.is_empty());
    core
}

fn step(core: &mut Core<Adder>, now: Duration, messages: &[(usize, u32)]) -> Vec<u32> {
    let messages = messages.iter().map(|(from, n)| (Id::from(*from), *n));
    let mut messages: Vec<_> = messages.collect();
    core.step(now, &mut messages, &mut NoObserver).unwrap()
}

/// Returns the messages in the outbox, by destination.
fn sent(core: &mut Core<Adder>) -> Vec<(usize, Vec<u32>)> {
    let mut frames = Vec::new();
    core.outbox.take(&mut frames);
    frames.iter().map(Frame::content).collect()
}

#[test]
fn of_all_saves_of_a_batch_the_last_one_counts_and_what_is_sent_is_packed() {
    let mut core = start(Some(10));
    let batch = [(1, 1), (2, 4), (1, 3), (1, 2)];
    assert_eq!(step(&mut core, Duration::ZERO, &batch), [18]);
    assert_eq!(core.saved(), Some(&18), "without the last two");
    assert_eq!(sent(&mut core), [(1, vec![11, 18, 20]), (2, vec![15])]);
    let counters = core.counters();
    assert_eq!((counters.saves, counters.messages_received), (1, 4));
    let saved = step(&mut core, Duration::ZERO, &[(1, 2)]);
    assert!(saved.is_empty(), "nothing was saved");
}

#[test]
fn a_save_that_changes_nothing_is_not_made() {
    let mut core = start(Some(4));
    assert_eq!(step(&mut core, Duration::ZERO, &[(1, 1)]), [5]);
    let mut same = start(Some(5));
    same.unsaved = Some(5);
    assert!(same.changes().is_empty());
    assert_eq!((same.counters.saves, same.counters.saves_unchanged), (0, 1));
}

#[test]
fn messages_to_itself_follow_at_once_and_in_order() {
    let mut core = start(None);
    step(&mut core, Duration::ZERO, &[(1, 408), (1, 2)]);
    assert_eq!(core.state(), &[408, 204, 102, 51, 2]);
    assert_eq!(core.saved(), Some(&765), "their saves count as well");
    assert_eq!(core.counters.own, 3);
    assert_eq!(sent(&mut core), [(1, vec![408, 767])]);
}

#[test]
fn a_timer_that_is_taken_back_does_not_fire_and_one_that_is_set_again_waits_its_turn() {
    let mut core = start(None);
    assert_eq!(core.next(), Some(MS));
    step(&mut core, MS, &[]);
    assert!(core.state().is_empty(), "b was taken back by a");
    // Of two timers that were due one is left, which was set again: once for each turn.
    assert!(core.counters.timeouts <= 2);
    let before = core.counters.timeouts;
    step(&mut core, MS, &[]);
    assert_eq!(core.counters.timeouts, before + 1);
}

#[test]
fn who_talks_to_himself_without_end_is_interrupted() {
    let mumbler = Scripted::new(|_, out| out.send(me(), 0));
    let started = Core::start(setup(mumbler, None), MS, &mut NoObserver);
    let mut core = started.unwrap().0;
    let mut heard = vec![(Id::from(1), 0)];
    core.step(MS, &mut heard, &mut NoObserver).unwrap();
    assert_eq!(
        core.state().len(),
        1 + OWN_MAX + 1,
        "the start, and what it heard"
    );
    assert_eq!(core.next(), Some(Duration::ZERO), "and goes on at once");
}

/// An observer that records names.
#[derive(Default)]
struct Diary(Vec<String>);

impl StepObserver<Adder> for Diary {
    fn before(&mut self, _: Id, now: Duration, event: EventOf<'_, Adder>) {
        self.0.push(format!("{now:?} {event:?}"));
    }

    fn after(&mut self, _: Id, state: &Vec<u32>, commands: &Out<Adder>) {
        self.0.push(format!("{state:?} {}", commands.len()));
    }
}

#[test]
fn every_step_is_seen() {
    let mut diary = Diary::default();
    let started = Core::start(setup(Adder, Some(3)), Duration::ZERO, &mut diary);
    let mut core = started.unwrap().0;
    let mut heard = vec![(Id::from(1), 5)];
    core.step(MS, &mut heard, &mut diary).unwrap();
    let seen: Vec<_> = diary.0.chunks(2).map(|step| step.join(" => ")).collect();
    let seen = seen.join(", ");
    let expected = "0ns Start(Some(3)) => [3] 2, 1ms Message(1, 5) => [3, 5] 2, \
                    1ms Timeout('a') => [3, 5] 2, 1ms Timeout('a') => [3, 5] 2";
    assert_eq!(seen, expected);
}
