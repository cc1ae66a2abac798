//! Histories of clients, which must be linearizable.
//!
//! A history is *linearizable* if all its operations can be put into one order such that each took
//! effect at some moment between its invocation and its return, and every reply is what a single
//! [`Machine`] gives in that order (Herlihy and Wing, *Linearizability*, TOPLAS 1990). An operation
//! that never returned may have taken effect at any moment since its invocation, or never.
//!
//! [`History::explain`] tries all orders (Wing and Gong, *Testing and Verifying Concurrent
//! Objects*, JPDC 1993), but never two that lead to the same machine by the same operations (Lowe,
//! *Testing for Linearizability*, 2017). If operations on different keys are independent, a history
//! is linearizable if the history of each key is, which takes much less time to check: see
//! [`History::split`].
//!
//! ```
//! use synod::certify::history::History;
//! use synod::kv::{Command, Reply, Store};
//!
//! let mut history = History::default();
//! let put = history.invoke(Command::put("colour", "red")?);
//! let get = history.invoke(Command::get("colour")?);
//! history.finish(get, Reply::Was(Some("red".into())));
//! let late = history.invoke(Command::get("colour")?);
//! history.finish(put, Reply::Was(None));
//! history.finish(late, Reply::Was(None));
//! // The first read saw the write, so the later one must not miss it.
//! let error = history.explain(&Store::default()).expect_err("a stale read");
//! assert!(error.to_string().contains(r#"get "colour" → was ∅"#), "{error}");
//! # Ok::<(), synod::kv::TooLong>(())
//! ```

use crate::machine::Machine;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;

/// The operations of clients and their replies, in the order of events.
#[derive(Clone, Debug)]
pub struct History<M: Machine> {
    /// The operations in the order of their invocations.
    operations: Vec<Operation<M>>,
    /// The number of events so far.
    now: u64,
}

/// An operation that is not finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(usize);

#[derive(Clone, Debug)]
struct Operation<M: Machine> {
    command: M::Command,
    invoked: u64,
    /// The time of its return, and the reply.
    returned: Option<(u64, M::Reply)>,
}

impl<M: Machine> Default for History<M> {
    fn default() -> Self {
        History {
            operations: Vec::new(),
            now: 0,
        }
    }
}

impl<M: Machine> History<M> {
    /// Begins an operation. Call this before the client sends the command.
    pub fn invoke(&mut self, command: M::Command) -> Ticket {
        let (invoked, returned) = (self.tick(), None);
        self.operations.push(Operation {
            command,
            invoked,
            returned,
        });
        Ticket(self.operations.len() - 1)
    }

    /// Finishes an operation. Call this after the client has the reply. A second reply is ignored.
    pub fn finish(&mut self, Ticket(at): Ticket, reply: M::Reply) {
        let now = self.tick();
        if let Some(operation) = self.operations.get_mut(at) {
            operation.returned.get_or_insert((now, reply));
        }
    }

    /// Returns the number of operations.
    #[must_use]
    pub fn len(&self) -> usize {
        self.operations.len()
    }

    /// Returns `true` if there are no operations.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Returns the number of operations that did not return.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        let finished = self.operations.iter().filter(|it| it.returned.is_some());
        self.len() - finished.count()
    }

    /// Divides the history by independent parts of the machine, such as keys.
    #[must_use]
    pub fn split<K: Ord>(&self, part: impl Fn(&M::Command) -> K) -> BTreeMap<K, Self> {
        let mut parts = BTreeMap::new();
        for operation in &self.operations {
            let history: &mut Self = parts.entry(part(&operation.command)).or_default();
            history.operations.push(operation.clone());
            history.now = self.now;
        }
        parts
    }

    /// Finds an order that explains every reply.
    ///
    /// # Errors
    /// If there is none. The time is exponential in the number of concurrent operations, and
    /// proportional to the number of all.
    pub fn explain(&self, initial: &M) -> Result<(), Contradiction<M>> {
        let mut open = vec![(Done::default(), initial.clone())];
        let mut seen: HashSet<(Done, M)> = open.iter().cloned().collect();
        let mut furthest = open[0].clone();
        while let Some((done, machine)) = open.pop() {
            if done.len() > furthest.0.len() {
                furthest = (done.clone(), machine.clone());
            }
            let candidates = self.candidates(&done);
            if self.is_finished(&candidates) {
                return Ok(());
            }
            for at in candidates {
                let Some(machine) = self.apply(&machine, at) else {
                    continue;
                };
                let next = (done.with(at), machine);
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
        Err(self.contradiction(furthest))
    }

    /// Returns the operations that can be next: those that began before any other of the rest
    /// returned.
    fn candidates(&self, done: &Done) -> Vec<usize> {
        let mut end = u64::MAX;
        let mut candidates = Vec::new();
        for at in (done.below..self.len()).filter(|at| !done.beyond.contains(at)) {
            let operation = &self.operations[at];
            // It began after another operation returned, as did all operations after it.
            if operation.invoked > end {
                break;
            }
            let returned = operation.returned.as_ref().map(|(when, _)| *when);
            end = end.min(returned.unwrap_or(u64::MAX));
            candidates.push(at);
        }
        candidates
    }

    /// Returns `true` if no operation that returned is left. The one that returned first would be
    /// among the candidates.
    fn is_finished(&self, candidates: &[usize]) -> bool {
        let mut candidates = candidates.iter();
        candidates.all(|at| self.operations[*at].returned.is_none())
    }

    /// Returns the machine after an operation; `None` if the operation returned another reply.
    fn apply(&self, machine: &M, at: usize) -> Option<M> {
        let operation = &self.operations[at];
        let mut machine = machine.clone();
        let reply = machine.apply(&operation.command);
        let told = operation.returned.as_ref().map(|(_, told)| told);
        told.is_none_or(|told| *told == reply).then_some(machine)
    }

    fn contradiction(&self, (done, machine): (Done, M)) -> Contradiction<M> {
        let candidates = self.candidates(&done).into_iter();
        let candidates = candidates.map(|at| {
            let operation = &self.operations[at];
            let told = operation.returned.as_ref().map(|(_, told)| told.clone());
            (operation.command.clone(), told)
        });
        Contradiction {
            explained: done.len(),
            machine,
            candidates: candidates.collect(),
        }
    }

    fn tick(&mut self) -> u64 {
        self.now += 1;
        self.now
    }
}

/// A set of operations: all below a number, and some above it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Done {
    below: usize,
    beyond: BTreeSet<usize>,
}

impl Done {
    fn len(&self) -> usize {
        self.below + self.beyond.len()
    }

    fn with(&self, at: usize) -> Self {
        let mut done = self.clone();
        done.beyond.insert(at);
        while done.beyond.remove(&done.below) {
            done.below += 1;
        }
        done
    }
}

/// The end of the longest order that explains the replies of a history which none explains.
#[derive(Clone, Debug)]
pub struct Contradiction<M: Machine> {
    /// The number of operations that it explains.
    pub explained: usize,
    /// The machine after them.
    pub machine: M,
    /// The operations that can be next, with their replies; `None` if one did not return.
    pub candidates: Vec<(M::Command, Option<M::Reply>)>,
}

impl<M: Machine> fmt::Display for Contradiction<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Contradiction {
            explained, machine, ..
        } = self;
        write!(f, "after {explained} operations there is {machine:?}, and ")?;
        f.write_str("none of these operations can be next:")?;
        for (command, told) in &self.candidates {
            match told {
                Some(told) => write!(f, " {command:?} → {told:?};")?,
                None => write!(f, " {command:?}, unfinished;")?,
            }
        }
        Ok(())
    }
}

impl<M: Machine> std::error::Error for Contradiction<M> {}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::SmallRng;
    use rand::{Rng, SeedableRng};
    use serde::{Deserialize, Serialize};
    use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
    use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

    /// A register. A command writes or only reads; the reply is the value after that.
    #[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
    struct Cell(u8);

    impl Machine for Cell {
        type Command = Option<u8>;
        type Reply = u8;

        fn apply(&mut self, write: &Option<u8>) -> u8 {
            self.0 = write.unwrap_or(self.0);
            self.0
        }

        fn read(&self, write: &Option<u8>) -> Option<u8> {
            write.is_none().then_some(self.0)
        }
    }

    /// The verdicts of two checkers on a random history: three clients and some operations, of
    /// which some never return.
    fn verdicts(seed: u64) -> [bool; 2] {
        let mut rng = SmallRng::seed_from_u64(seed);
        let mut history = History::<Cell>::default();
        let mut tester = LinearizabilityTester::new(Register(0));
        let mut running: [Option<(Ticket, Option<u8>)>; 3] = [None; 3];
        for _ in 0..rng.random_range(4..16) {
            let client = rng.random_range(0..3);
            if let Some((ticket, write)) = running[client].take() {
                let reply = write.unwrap_or(rng.random_range(0..3));
                history.finish(ticket, reply);
                let reply = match write {
                    Some(_) => RegisterRet::WriteOk,
                    None => RegisterRet::ReadOk(reply),
                };
                tester.on_return(client, reply).expect("it was invoked");
            } else {
                let write = rng.random::<bool>().then(|| rng.random_range(0..3));
                running[client] = Some((history.invoke(write), write));
                let operation = write.map_or(RegisterOp::Read, RegisterOp::Write);
                tester.on_invoke(client, operation).expect("one at a time");
            }
        }
        [history.explain(&Cell(0)).is_ok(), tester.is_consistent()]
    }

    #[test]
    fn the_verdict_is_that_of_the_checker_of_stateright() {
        let mut counts = [0, 0];
        for seed in 0..3000 {
            let [ours, theirs] = verdicts(seed);
            assert_eq!(ours, theirs, "seed {seed}");
            counts[usize::from(ours)] += 1;
        }
        assert!(counts.iter().all(|count| *count > 300), "{counts:?}");
    }

    #[test]
    fn an_operation_that_never_returned_may_take_effect_at_any_time_or_never() {
        let mut history = History::<Cell>::default();
        history.invoke(Some(1));
        for reply in [0, 0, 1] {
            let read = history.invoke(None);
            history.finish(read, reply);
            assert!(history.explain(&Cell(0)).is_ok());
        }
        let read = history.invoke(None);
        history.finish(read, 0);
        let error = history.explain(&Cell(0)).expect_err("it cannot be undone");
        assert_eq!((error.explained, error.machine), (4, Cell(1)));
        assert_eq!(error.candidates, [(None, Some(0))]);
        assert_eq!((history.len(), history.unfinished()), (5, 1));
    }

    #[test]
    fn a_long_history_of_few_clients_takes_no_time() {
        let mut history = History::<Cell>::default();
        let mut cell = Cell(0);
        let mut running = Vec::new();
        for step in 0..20_000_u32 {
            let write = step.is_multiple_of(2).then_some((step % 7) as u8);
            running.push((history.invoke(write), cell.apply(&write)));
            if running.len() == 3 {
                let (ticket, reply) = running.remove(0);
                history.finish(ticket, reply);
            }
        }
        assert!(history.explain(&Cell(0)).is_ok());
        let (ticket, _) = running[0];
        history.finish(ticket, 9);
        assert!(history.explain(&Cell(0)).is_err());
    }

    #[test]
    fn parts_are_judged_by_themselves() {
        use crate::kv::{Command, Reply, Store};
        let mut history = History::<Store>::default();
        for key in ["a", "b"] {
            let put = history.invoke(Command::put(key, "1").expect("short"));
            history.finish(put, Reply::Was(None));
        }
        let get = history.invoke(Command::get("b").expect("short"));
        history.finish(get, Reply::Was(None));
        let parts = history.split(|command| command.key().to_owned());
        let verdicts = parts.values().map(|part| part.explain(&Store::default()));
        let verdicts: Vec<bool> = verdicts.map(|verdict| verdict.is_ok()).collect();
        assert_eq!(verdicts, [true, false]);
    }
}
