use super::super::NoObserver;
use super::super::scripted::{Number, Scripted};
use super::*;
use stateright::actor::{Actor, Out};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Instant;

const MS: Duration = Duration::from_millis(1);
const US: Duration = Duration::from_micros(1);

/// A server or a client. A server counts the messages of each client, saves the counts if it
/// `remembers`, and answers with the count. A client sends to all servers, and keeps the answers.
#[derive(Clone)]
struct Tally {
    servers: usize,
    remembers: bool,
}

type Counts = BTreeMap<usize, u32>;

impl Actor for Tally {
    type Msg = u32;
    /// The counts of a server by client, or the last answers to a client by server.
    type State = Counts;
    type Timer = ();
    type Random = ();
    type Storage = Counts;

    fn on_start(&self, id: Id, saved: &Option<Counts>, out: &mut Out<Self>) -> Counts {
        if usize::from(id) >= self.servers {
            out.set_timer((), MS..2 * MS);
        }
        saved.clone().unwrap_or_default()
    }

    fn on_msg(&self, id: Id, state: &mut Cow<Counts>, from: Id, n: u32, out: &mut Out<Self>) {
        let from_index = usize::from(from);
        if usize::from(id) >= self.servers {
            state.to_mut().insert(from_index, n);
            return;
        }
        let count = state.to_mut().entry(from_index).or_default();
        *count += 1;
        let count = *count;
        if self.remembers {
            out.save(state.clone().into_owned());
        }
        out.send(from, count);
    }

    fn on_timeout(&self, _: Id, _: &mut Cow<Counts>, (): &(), out: &mut Out<Self>) {
        (0..self.servers).for_each(|server| out.send(Id::from(server), 0));
        out.set_timer((), MS..2 * MS);
    }
}

impl crate::delta::Delta for Counts {
    type Change = (usize, u32);

    fn changes(&self, before: Option<&Self>) -> Vec<Self::Change> {
        let is_new = |(client, count): &(&usize, &u32)| {
            before.and_then(|before| before.get(client)) != Some(count)
        };
        let new = self.iter().filter(is_new);
        new.map(|(client, count)| (*client, *count)).collect()
    }

    fn apply(before: Option<Self>, (client, count): Self::Change) -> Option<Self> {
        let mut counts = before.unwrap_or_default();
        counts.insert(client, count);
        Some(counts)
    }
}

fn tallies(servers: usize, clients: usize, remembers: bool) -> Vec<Tally> {
    vec![Tally { servers, remembers }; servers + clients]
}

fn settings(seed: u64, faults: &str) -> Settings {
    Settings {
        seed,
        faults: faults.parse().unwrap(),
        ..Settings::default()
    }
}

/// Runs a simulation with failures. A server that remembers never counts down, so no client may see
/// an answer below an earlier one. Returns the first such pair of answers.
fn first_undercut(seed: u64, remembers: bool) -> (Option<(u32, u32)>, u64, Counters) {
    let faults = "loss=0.05,dup=0";
    let mut simulation = Simulation::new(tallies(3, 2, remembers), settings(seed, faults));
    let mut chaos = Chaos::new(ChaosSettings::new(seed, 3));
    let mut answers: BTreeMap<(usize, usize), u32> = BTreeMap::new();
    let mut undercut = None;
    let mut step_observer = |id: Id, state: &Counts| {
        let id = usize::from(id);
        if id < 3 {
            return;
        }
        for (server, count) in state {
            let seen = answers.entry((id, *server)).or_default();
            // Datagrams overtake each other, but not by more than a handful of answers.
            if *count + 20 < *seen {
                undercut = undercut.or(Some((*seen, *count)));
            }
            *seen = (*seen).max(*count);
        }
    };
    let end = Duration::from_secs(3);
    let ended = chaos.run_until(&mut simulation, end, &mut step_observer);
    ended.unwrap();
    Chaos::calm(&mut simulation);
    let ended = simulation.run_until(end + 100 * MS, &mut step_observer);
    ended.unwrap();
    assert!((0..5).all(|id| simulation.is_up(id)));
    assert!(chaos.crashes > 0 && chaos.partitions > 0);
    (undercut, simulation.hash(), simulation.counters())
}

#[test]
fn nothing_that_was_said_is_forgotten_in_spite_of_crashes() {
    for seed in 0..30 {
        let (undercut, _, counters) = first_undercut(seed, true);
        assert_eq!(undercut, None, "seed {seed}");
        let is_busy = counters.saves > 100 && counters.received > 1000;
        assert!(is_busy, "{counters}");
    }
}

#[test]
fn an_actor_that_does_not_save_is_caught_forgetting() {
    assert!((0..5).any(|seed| first_undercut(seed, false).0.is_some()));
}

#[test]
fn a_seed_determines_everything_and_another_seed_something_else() {
    let one = first_undercut(7, true);
    assert_eq!(one, first_undercut(7, true));
    assert_ne!(one.1, first_undercut(8, true).1);
}

/// Returns the counts of server 0 for clients 1 and 2 after some time.
fn counted(simulation: &mut Simulation<Tally>, time: Duration) -> [u32; 2] {
    let until = simulation.now() + time;
    simulation.run_until(until, &mut NoObserver).unwrap();
    let counts = simulation.state(0).unwrap();
    [1, 2].map(|client| counts.get(&client).copied().unwrap_or(0))
}

#[test]
fn a_partition_lets_nothing_through_until_it_is_healed() {
    let mut simulation = Simulation::new(tallies(1, 2, false), settings(1, ""));
    let before = counted(&mut simulation, 50 * MS);
    assert!(before[0] > 20 && before[1] > 20);
    simulation.partition(&[&[0, 1], &[2]]);
    let after = counted(&mut simulation, 50 * MS);
    assert!(after[0] > before[0] + 20 && after[1] == before[1]);
    simulation.heal();
    assert!(counted(&mut simulation, 50 * MS)[1] > after[1] + 20);
    // One way only: requests arrive, answers do not.
    let answers = |simulation: &Simulation<Tally>| simulation.state(1).unwrap().clone();
    simulation.block(0, 1);
    let (seen, count) = (answers(&simulation), counted(&mut simulation, 50 * MS)[0]);
    assert_eq!(answers(&simulation), seen);
    assert!(count > seen[&0] + 20);
}

#[test]
fn without_faults_every_message_arrives_once_and_with_faults_not() {
    let total = |faults: &str| {
        let mut simulation = Simulation::new(tallies(1, 2, true), settings(1, faults));
        counted(&mut simulation, 200 * MS);
        simulation.counters()
    };
    let plain = total("");
    assert!(plain.sent > 200, "{plain}");
    assert!(plain.sent - plain.received < 5, "{plain}");
    assert_eq!(plain.dropped.total(), 0);
    let faulty = total("loss=0.2,dup=0.2,reorder=0.2");
    let counts = [faulty.lost, faulty.duplicated, faulty.held];
    assert!(counts.iter().all(|count| *count > 30), "{faulty}");
}

/// A server and two clients. What the server saves takes some milliseconds.
fn with_slow_disks(seed: u64) -> Simulation<Tally> {
    let mut settings = settings(seed, "");
    settings.sync = 5 * MS..6 * MS;
    Simulation::new(tallies(1, 2, true), settings)
}

#[test]
fn what_arrives_while_the_disk_works_is_one_batch_and_one_save() {
    let mut simulation = with_slow_disks(1);
    let counts = counted(&mut simulation, 500 * MS);
    let counters = simulation.counters();
    assert!(counts[0] + counts[1] > 500, "{counts:?}");
    assert!((70..=100).contains(&counters.saves), "{counters}");
}

#[test]
fn a_crash_while_the_disk_works_takes_back_what_was_not_said() {
    let mut kept = [0, 0];
    for seed in 0..40 {
        let mut simulation = with_slow_disks(seed);
        counted(&mut simulation, 20 * MS);
        let before: u32 = counted(&mut simulation, 100 * US).iter().sum();
        simulation.crash(0);
        assert!(!simulation.is_up(0) && simulation.state(0).is_none());
        simulation.restart(0);
        let after: u32 = counted(&mut simulation, US).iter().sum();
        assert!(after <= before);
        kept[usize::from(after == before)] += 1;
    }
    assert!(kept[0] > 5 && kept[1] > 5, "{kept:?}");
}

#[test]
fn a_disk_that_fails_takes_its_server_down_at_that_operation() {
    let mut simulation = Simulation::new(tallies(1, 2, true), settings(1, ""));
    for operation in 1..100 {
        counted(&mut simulation, 5 * MS);
        simulation.crash_at_operation(0, operation);
        let until = simulation.now() + 500 * MS;
        simulation.run_until(until, &mut NoObserver).unwrap();
        assert!(!simulation.is_up(0), "operation {operation}");
        simulation.restart(0);
    }
    let compactions = simulation.counters().compactions;
    assert!(compactions > 0, "those were tried as well");
}

#[test]
fn an_actor_that_sends_before_it_saves_is_refused() {
    let hasty = Scripted::new(|_, out| {
        out.send(Id::from(1), 0);
        out.save(Number(1));
    });
    let mut simulation = Simulation::new(vec![hasty], Settings::default());
    let refused = simulation.run_until(MS, &mut NoObserver);
    assert!(matches!(refused, Err(Error::SendBeforeSave { node: 0 })));
}

/// An actor that returns every message.
struct Player;

impl Actor for Player {
    type Msg = u64;
    type State = u64;
    type Timer = ();
    type Random = ();
    type Storage = ();

    fn on_start(&self, id: Id, _: &Option<()>, out: &mut Out<Self>) -> u64 {
        let partner = Id::from(usize::from(id) ^ 1);
        (0..8).for_each(|ball| out.send(partner, ball));
        0
    }

    fn on_msg(&self, _: Id, seen: &mut Cow<u64>, from: Id, ball: u64, out: &mut Out<Self>) {
        *seen.to_mut() += 1;
        out.send(from, ball);
    }
}

#[test]
fn messages_are_simulated_fast() {
    let players = (0..8).map(|_| Player).collect();
    let mut simulation = Simulation::new(players, Settings::default());
    let start = Instant::now();
    let end = Duration::from_secs(2);
    simulation.run_until(end, &mut NoObserver).unwrap();
    let messages = simulation.counters().messages_received;
    let rate = messages as f64 / start.elapsed().as_secs_f64();
    println!("{messages} messages, {rate:.0}/s");
    // The aim is a million; a busy machine must not fail the test.
    assert!(rate > 200_000.0, "{rate:.0} messages per second");
}
