//! Recording the commands and replies of a client of the store as a history, and judging it and
//! what nodes say.

use std::collections::BTreeMap;
use synod::certify::history::{History, Ticket};
use synod::kv::{Command, Reply, Store};
use synod::multi::{ClientState, Entry, Learner, Outcome, Sessions, Slot, Task};

/// The recorder of one client.
pub(crate) struct HistoryRecorder {
    tasks: Vec<Task<Command>>,
    /// The command in progress.
    ticket: Option<Ticket>,
    /// The number of replies that are recorded.
    seen: usize,
}

impl HistoryRecorder {
    /// Records the first command of a client that is about to start.
    pub(crate) fn begin(tasks: Vec<Task<Command>>, history: &mut History<Store>) -> Self {
        let mut recorder = HistoryRecorder {
            tasks,
            ticket: None,
            seen: 0,
        };
        recorder.invoke(history);
        recorder
    }

    /// Records the replies that are new in a client's state, and the commands that follow them. It
    /// must be called before these commands are sent.
    pub(crate) fn note(&mut self, state: &ClientState<Reply>, history: &mut History<Store>) {
        for outcome in state.replies.iter().skip(self.seen) {
            if let (Some(ticket), Outcome::Done(reply)) = (self.ticket.take(), outcome) {
                history.finish(ticket, reply.clone());
            }
            self.seen += 1;
            // A client whose session expired stops.
            if !matches!(outcome, Outcome::Expired) {
                self.invoke(history);
            }
        }
    }

    /// Returns whether every task has its reply.
    pub(crate) fn has_all(&self) -> bool {
        self.seen == self.tasks.len()
    }

    fn invoke(&mut self, history: &mut History<Store>) {
        let task = self.tasks.get(self.seen);
        self.ticket = task.map(|task| history.invoke(command(task).clone()));
    }
}

/// The command of a task.
pub(crate) fn command(task: &Task<Command>) -> &Command {
    let (Task::Do(command) | Task::Read(command, _)) = task;
    command
}

/// Checks that a history is linearizable, key by key, for a store that began as `initial`.
pub(crate) fn judge(history: &History<Store>, initial: &Store) -> Result<(), String> {
    for (key, history) in history.split(|command| command.key().to_owned()) {
        let explained = history.explain(initial);
        explained.map_err(|why| format!("the replies about {key} are not linearizable: {why}"))?;
    }
    Ok(())
}

/// What nodes say of their logs and stores: any two must agree.
#[derive(Default)]
pub(super) struct Said {
    /// What stands in each slot, and who said so first.
    entries: BTreeMap<Slot, (usize, Entry<Command>)>,
    /// What so many slots have led to, and where.
    pub(super) applied: BTreeMap<Slot, (usize, Sessions<Store>)>,
}

impl Said {
    /// Checks that nobody knows another entry in any slot.
    pub(super) fn judge_entries(
        &mut self,
        id: usize,
        learner: &Learner<Store>,
    ) -> Result<(), String> {
        let log = learner.log.since(learner.log.start());
        for (slot, entry) in log.chain(learner.ahead.iter().map(|(slot, it)| (*slot, it))) {
            let first = self.entries.entry(slot);
            let (other, known) = first.or_insert_with(|| (id, entry.clone()));
            if known != entry {
                return Err(format!(
                    "node {id} has {entry} in slot {slot}, where node {other} has {known}"
                ));
            }
        }
        Ok(())
    }

    /// Checks that as many slots led nobody to another store.
    pub(super) fn judge_machine(
        &mut self,
        id: usize,
        learner: &Learner<Store>,
    ) -> Result<(), String> {
        let first = self.applied.entry(learner.decided());
        let (other, sessions) = first.or_insert_with(|| (id, learner.sessions.clone()));
        if *sessions == learner.sessions {
            return Ok(());
        }
        Err(format!(
            "all before {} led node {id} to {:?}, but node {other} to {:?}",
            learner.decided(),
            learner.sessions,
            sessions,
        ))
    }
}
