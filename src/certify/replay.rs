//! The same steps once more, by the very actors.

use super::protocol::Protocol;
use super::trace::StepOf;
use crate::delta::Delta;
use crate::runtime::RecordedEvent;
use crate::runtime::clock::replay;
use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

/// How much of what was recorded a message quotes, in characters.
const QUOTED_MAX: usize = 300;

/// Replays all nodes, step by step.
pub(super) struct Replay<P: Protocol> {
    node: P,
    states: BTreeMap<usize, Replayed<P>>,
}

struct Replayed<P: Protocol> {
    state: Cow<'static, P::State>,
    saved: Option<P::Storage>,
}

/// What a step comes to.
type Done<P> = (
    Option<<P as Actor>::Storage>,
    Vec<(usize, <P as Actor>::Msg)>,
);

impl<P: Protocol> Replay<P> {
    /// The actor that every node is.
    pub(super) fn new(node: P) -> Self {
        Replay {
            node,
            states: BTreeMap::new(),
        }
    }

    /// Takes a step again.
    ///
    /// # Errors
    /// If the actor does something else than was recorded: what, and what was.
    pub(super) fn step(&mut self, step: &StepOf<P>) -> Result<(), (String, String)> {
        let mut out = Out::new();
        let (taken, is_exact) = replay(&step.clock, || self.take(step, &mut out));
        taken?;
        if !is_exact {
            return Err(differs(
                "the actor reads the clock more or less often",
                &step.clock,
            ));
        }
        let (saved, sends) = done::<P>(out);
        let known = self.states.get_mut(&step.node);
        let Some(replayed) = known else { return Ok(()) };
        let changes = saved.as_ref().map(|it| it.changes(replayed.saved.as_ref()));
        if changes != step.saves {
            return Err(differs(
                format_args!("the actor saves {}", quote(&changes)),
                &step.saves,
            ));
        }
        if let Some(saved) = saved {
            replayed.saved = Some(saved);
        }
        if sends != step.sends {
            let both = sends.iter().zip(&step.sends);
            let at = both.take_while(|(ours, theirs)| ours == theirs).count();
            let what = format!(
                "the actor sends, after {at} messages, {}",
                quote(&sends.get(at))
            );
            return Err(differs(what, &step.sends.get(at)));
        }
        Ok(())
    }

    fn take(&mut self, step: &StepOf<P>, out: &mut Out<P>) -> Result<(), (String, String)> {
        let id = Id::from(step.node);
        let node = &self.node;
        if let RecordedEvent::Start(changes) = &step.event {
            let saved = P::Storage::replay(None, changes.iter().cloned());
            let known = self.states.get(&step.node).and_then(|it| it.saved.as_ref());
            if saved.as_ref() != known {
                let what = format!("it had saved {}", quote(&known));
                return Err(differs(what, &saved));
            }
            let state = Cow::Owned(node.on_start(id, &saved, out));
            self.states.insert(step.node, Replayed { state, saved });
            return Ok(());
        }
        let Some(Replayed { state, .. }) = self.states.get_mut(&step.node) else {
            return Err(differs(
                "a node starts before it does anything",
                &step.event,
            ));
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

fn differs(what: impl ToString, recorded: &impl Debug) -> (String, String) {
    (what.to_string(), quote(recorded))
}

/// The beginning of something, in words.
pub(super) fn quote(it: &impl Debug) -> String {
    let text = format!("{it:?}");
    match text.char_indices().nth(QUOTED_MAX) {
        Some((end, _)) => format!("{} …", &text[..end]),
        None => text,
    }
}
