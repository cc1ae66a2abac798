//! Notes what a client of the store does and is told, as a history to be judged.

use synod::certify::history::{History, Ticket};
use synod::kv::{Command, Reply, Store};
use synod::multi::{ClientState, Outcome, Task};

/// What is known of a client.
pub(crate) struct Scribe {
    tasks: Vec<Task<Command>>,
    /// What it is at.
    ticket: Option<Ticket>,
    /// How many replies it had when it was last looked at.
    seen: usize,
}

impl Scribe {
    /// A client is about to start.
    pub(crate) fn begin(tasks: Vec<Task<Command>>, history: &mut History<Store>) -> Self {
        let mut scribe = Scribe {
            tasks,
            ticket: None,
            seen: 0,
        };
        scribe.invoke(history);
        scribe
    }

    /// Notes what a client was told since it was last looked at, and what it asks for thereupon.
    /// To be called before what it asks for leaves.
    pub(crate) fn note(&mut self, state: &ClientState<Reply>, history: &mut History<Store>) {
        for outcome in state.replies.iter().skip(self.seen) {
            if let (Some(ticket), Outcome::Done(reply)) = (self.ticket.take(), outcome) {
                history.finish(ticket, reply.clone());
            }
            self.seen += 1;
            // One whose session expired has stopped.
            if !matches!(outcome, Outcome::Expired) {
                self.invoke(history);
            }
        }
    }

    /// Whether the client has been told of all that it wanted.
    pub(crate) fn has_all(&self) -> bool {
        self.seen == self.tasks.len()
    }

    fn invoke(&mut self, history: &mut History<Store>) {
        let task = self.tasks.get(self.seen);
        self.ticket = task.map(|task| history.invoke(command(task).clone()));
    }
}

/// What a task is about.
pub(crate) fn command(task: &Task<Command>) -> &Command {
    let (Task::Do(command) | Task::Read(command, _)) = task;
    command
}

/// Finds fault with what clients were told, key by key, of a store that held `initial` at first.
pub(crate) fn judge(history: &History<Store>, initial: &Store) -> Result<(), String> {
    for (key, history) in history.split(|command| command.key().to_owned()) {
        let explained = history.explain(initial);
        explained.map_err(|why| format!("what was told of {key} is not linearizable: {why}"))?;
    }
    Ok(())
}
