//! The steps that an actor may take, whoever else is there.

use super::table::Index;

/// The result of a step that others may see, and of the steps before it that nobody sees.
#[derive(Clone, Copy, Debug)]
pub(super) struct Effect {
    /// The actor's cell afterwards.
    pub(super) cell: Index,
    /// The number of the change in what the observer sees of the actor, or
    /// [`NONE`](super::table::NONE).
    pub(super) change: Index,
    /// The part of the actor that the observer's memory depends on, afterwards.
    pub(super) forget_input: Index,
    /// The look of the cell afterwards, which does not depend on how ids are called.
    pub(super) shape: u32,
    /// The one thing that the actor says, to one actor or to many, or
    /// [`NONE`](super::table::NONE).
    pub(super) says: Index,
    /// The crashes that the step takes and the step properties that it breaks.
    pub(super) tally: u32,
    /// The range, in its successors, of the messages that it sends.
    pub(super) sent: [u32; 2],
    /// The range, in its successors, of the things that the actor needs to have heard.
    pub(super) needs: [u32; 2],
    /// Whether it changes what the actor shows.
    pub(super) is_visible: bool,
    /// Whether more than the inbox changes.
    pub(super) moves: bool,
    /// Whether the last step leaves the cell as it is. The step then counts only if a message that
    /// it sends is news to somebody.
    pub(super) is_loop: bool,
    /// Whether a message in the cell may ever be irrelevant.
    pub(super) may_be_irrelevant: bool,
}

/// A message on its way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) message: Index,
    /// The receiver.
    pub(super) to: u32,
    /// The message's number among the messages to that receiver.
    pub(super) rank: u32,
}

/// A message of an effect that counts for nothing but its messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resend {
    pub(super) sent: Sent,
    /// The place of the effect.
    pub(super) effect: u32,
}

/// An effect, the messages that it sends, and the things that every way to it needs to have heard.
pub(super) struct Sending {
    pub(super) step: Effect,
    pub(super) sent: Box<[Index]>,
    pub(super) needs: Vec<Index>,
}

/// The effects that an actor may have in a cell.
#[derive(Debug, Default)]
pub(super) struct Successors {
    /// The effects; first those that may change a state even if nobody hears of it.
    effects: Box<[Effect]>,
    /// The number of the first kind.
    plain: usize,
    /// The messages of the other effects, effect by effect. Most of these messages were sent
    /// before and are no news, so the search looks at nothing else of most effects.
    pub(super) resends: Box<[Resend]>,
    sent: Box<[Sent]>,
    needs: Box<[Index]>,
}

impl Successors {
    /// Makes the menu of these effects. `send` gives a message its rank.
    pub(super) fn arrange(mut all: Vec<Sending>, send: impl Fn(Index) -> Sent) -> Self {
        // The last step of a loop shows nothing, and without news nothing becomes irrelevant. What
        // is news to the cell that it ends in is news to the cell that the burst begins in: steps
        // that nobody sees add no message, and stale messages stay stale.
        all.sort_by_key(|sending| sending.step.is_loop);
        let plain = all.partition_point(|sending| !sending.step.is_loop);
        let (mut effects, mut resends) = (Vec::new(), Vec::new());
        let (mut sent, mut needs) = (Vec::new(), Vec::new());
        for (place, sending) in all.into_iter().enumerate() {
            let first = [sent.len() as u32, needs.len() as u32];
            sent.extend(sending.sent.iter().map(|message| send(*message)));
            needs.extend(sending.needs);
            let effect = place as u32;
            if sending.step.is_loop {
                let sent = sent[first[0] as usize..].iter();
                resends.extend(sent.map(|sent| Resend {
                    sent: *sent,
                    effect,
                }));
            }
            effects.push(Effect {
                sent: [first[0], sent.len() as u32],
                needs: [first[1], needs.len() as u32],
                ..sending.step
            });
        }
        Self {
            effects: effects.into(),
            plain,
            resends: resends.into(),
            sent: sent.into(),
            needs: needs.into(),
        }
    }

    /// Returns the effects that may change a state even if nobody hears of it.
    pub(super) fn plain(&self) -> &[Effect] {
        &self.effects[..self.plain]
    }

    /// Returns the effect at a place.
    pub(super) fn effect(&self, place: u32) -> &Effect {
        &self.effects[place as usize]
    }

    /// Returns the messages that an effect sends.
    pub(super) fn sent(&self, effect: &Effect) -> &[Sent] {
        &self.sent[effect.sent[0] as usize..effect.sent[1] as usize]
    }

    /// Returns the things that the actor needs to have heard for an effect.
    pub(super) fn needs(&self, effect: &Effect) -> &[Index] {
        &self.needs[effect.needs[0] as usize..effect.needs[1] as usize]
    }

    /// Reads some of the menu, so that it is at hand when it is needed.
    pub(super) fn touch(&self) -> Index {
        let effects = self.plain().iter().fold(0, |all, it| all ^ it.cell);
        let resend = self.resends.first().map_or(0, |it| it.effect);
        effects ^ resend ^ self.sent.first().map_or(0, |it| it.message)
    }
}
