//! Replays the recorded steps with the actors.

use super::protocol::Protocol;
use super::rule::{Rule, Violation};
use super::trace::StepOf;
use crate::delta::Delta;
use crate::runtime::RecordedEvent;
use crate::runtime::clock::replay;
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The number of characters to which recorded data is shortened.
const QUOTED_MAX: usize = 300;

/// Replays the steps of all nodes.
pub(super) struct Replay<P: Protocol> {
    node: P,
    states: BTreeMap<usize, Replayed<P>>,
}

struct Replayed<P: Protocol> {
    state: Cow<'static, P::State>,
    saved: Option<P::Storage>,
}

/// The effects of a step: the saved state, and the messages.
type Done<P> = (
    Option<<P as Actor>::Storage>,
    Vec<(usize, <P as Actor>::Msg)>,
);

impl<P: Protocol> Replay<P> {
    /// Begins a replay. All nodes are the same actor.
    pub(super) fn new(node: P) -> Self {
        Replay {
            node,
            states: BTreeMap::new(),
        }
    }

    /// Takes a step again.
    ///
    /// # Errors
    /// If the actor does something else: the broken rule, and the recorded data.
    pub(super) fn step(&mut self, step: &StepOf<P>) -> Result<(), (Violation, String)> {
        let mut out = Out::new();
        let (taken, is_exact) = replay(&step.clock, || self.take(step, &mut out));
        taken?;
        if !is_exact {
            let found = "the actor reads it more or less often".to_owned();
            return Err((Rule::ClockReadings.broken(found), quote(&step.clock)));
        }
        let (saved, sends) = done::<P>(out);
        let known = self.states.get_mut(&step.node);
        let Some(replayed) = known else { return Ok(()) };
        let changes = saved.as_ref().map(|it| it.changes(replayed.saved.as_ref()));
        if changes != step.saves {
            let found = format!("the actor saves {}", quote(&changes));
            return Err((Rule::Saves.broken(found), quote(&step.saves)));
        }
        if let Some(saved) = saved {
            replayed.saved = Some(saved);
        }
        if sends != step.sends {
            let both = sends.iter().zip(&step.sends);
            let at = both.take_while(|(ours, theirs)| ours == theirs).count();
            let next = quote(&sends.get(at));
            let found = format!("after {at} messages the actor sends {next}");
            return Err((Rule::Sends.broken(found), quote(&step.sends.get(at))));
        }
        Ok(())
    }

    fn take(&mut self, step: &StepOf<P>, out: &mut Out<P>) -> Result<(), (Violation, String)> {
        let id = Id::from(step.node);
        let node = &self.node;
        if let RecordedEvent::Start(changes) = &step.event {
            let saved = P::Storage::replay(None, changes.iter().cloned());
            let known = self.states.get(&step.node).and_then(|it| it.saved.as_ref());
            if saved.as_ref() != known {
                let found = format!("it had saved {}", quote(&known));
                return Err((Rule::StartFromDisk.broken(found), quote(&saved)));
            }
            let state = Cow::Owned(node.on_start(id, &saved, out));
            self.states.insert(step.node, Replayed { state, saved });
            return Ok(());
        }
        let Some(Replayed { state, .. }) = self.states.get_mut(&step.node) else {
            let found = format!("node {} has not started", step.node);
            return Err((Rule::StartFirst.broken(found), quote(&step.event)));
        };
        match &step.event {
            RecordedEvent::Start(_) => {}
            RecordedEvent::Message(from, message) => {
                node.on_msg(id, state, Id::from(*from), message.clone(), out);
            }
            RecordedEvent::Timeout(timer) => node.on_timeout(id, state, timer, out),
            RecordedEvent::Choice(random) => node.on_random(id, state, random, out),
        }
        Ok(())
    }
}

fn done<P: Protocol>(out: Out<P>) -> Done<P> {
    let (mut saved, mut sends) = (None, Vec::new());
    for command in out {
        match command {
            Command::Save(state) => saved = Some(state),
            Command::Send(to, message) => sends.push((usize::from(to), message)),
            Command::SetTimer(..) | Command::CancelTimer(_) | Command::ChooseRandom(..) => {}
        }
    }
    (saved, sends)
}

/// Returns the `Debug` text of a value, shortened.
pub(super) fn quote(it: &impl Debug) -> String {
    let text = format!("{it:?}");
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}
