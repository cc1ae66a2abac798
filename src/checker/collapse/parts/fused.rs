//! The steps of actors: each handler runs once per core and message.

use super::super::super::part::Part;
use super::super::super::state::{Action, ActionOf};
use super::super::super::system::System;
use super::super::numbered::{BROKEN, crashes};
use super::super::successors::{Effect, Sending, Sent};
use super::super::table::{Index, NONE};
use super::{Core, Parts, Reaction};
use hashbrown::HashMap;
use stateright::actor::Envelope;
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

impl<S: System> Parts<'_, S> {
    /// Runs a handler, or another step, in the actor's own world.
    fn react(&self, from: Index, action: &ActionOf<S>) -> Reaction {
        let Core { alone, id, .. } = &self.cores[from];
        let acted = self.world.act(alone, action);
        let index = usize::from(*id);
        if self.world.audits() {
            self.world
                .audit_step(alone, &acted.state, *id, acted.crashes > 0);
        }
        let sent = acted.sent.iter().cloned();
        let mut sent: Vec<Index> = sent.map(|it| self.intern_message(it)).collect();
        sent.sort_unstable();
        sent.dedup();
        let visible = [&alone.visible[index], &acted.state.visible[index]];
        let core = self.intern_core(&acted.state, *id);
        let projection = |core| self.cores[core].projections[S::RECORD_PROJECTION];
        let is_seen = projection(core) != projection(from);
        let change = is_seen.then(|| self.intern_change(visible.map(Part::clone)));
        let broken = u32::from(self.world.broken(visible[0], visible[1]));
        Reaction {
            core,
            sent: sent.into_boxed_slice(),
            is_visible: visible[0].address() != visible[1].address(),
            change: change.unwrap_or(NONE),
            tally: acted.crashes as u32 | broken << BROKEN,
        }
    }

    /// Returns the reactions of an actor that need no message.
    fn moves(&self, core: Index) -> &[Reaction] {
        let it = &self.cores[core];
        it.moves.get_or_init(|| {
            let mut moves = Vec::new();
            self.world.moves(&it.alone, it.id, &mut moves);
            moves
                .iter()
                .map(|action| self.react(core, action))
                .collect()
        })
    }

    /// Returns the reaction of an actor to a message.
    fn delivery(&self, core: Index, message: Index) -> Arc<Reaction> {
        let lock = || {
            self.reactions
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        if let Some(known) = lock().get(&(core, message)) {
            return Arc::clone(known);
        }
        let envelope = self.messages[message].envelope.clone();
        let reaction = Arc::new(self.react(core, &Action::Deliver(envelope)));
        Arc::clone(lock().entry((core, message)).or_insert(reaction))
    }

    /// Gives a message its rank when it is first sent.
    pub(super) fn send(&self, message: Index) -> Sent {
        let it = &self.messages[message];
        let to = usize::from(it.envelope.dst);
        let next = || self.ranks[to].fetch_add(1, Ordering::Relaxed);
        Sent {
            message,
            to: to as u32,
            rank: *it.rank.get_or_init(next),
        }
    }

    /// Returns each burst from a cell: steps that nobody sees, and one that others may see.
    pub(super) fn sendings(&self, cell: Index) -> Vec<Sending> {
        let options = self.world.options;
        let mut all: Vec<Sending> = Vec::new();
        let mut places = HashMap::new();
        let mut hidden = vec![(cell, 0, Vec::new())];
        let mut known = HashSet::from([(cell, 0)]);
        while let Some((at, before, heard)) = hidden.pop() {
            self.reactions(at, &mut |reaction, after, message| {
                let tally = before + reaction.tally;
                let is_invisible = reaction.sent.is_empty() && !reaction.is_visible;
                let is_loop = after == at;
                if is_invisible && is_loop || crashes(tally) as usize > options.crashes {
                    return;
                }
                if is_invisible && options.postpones {
                    if known.insert((after, tally)) {
                        hidden.push((after, tally, self.hear(&heard, message)));
                    }
                    return;
                }
                let needs = self.hear(&heard, message);
                // Different ways to the same end are one fused step.
                let end = (after, reaction.sent.clone(), tally);
                match places.get(&end).filter(|_| options.postpones) {
                    Some(place) => {
                        let known: &mut Sending = &mut all[*place];
                        known.step.is_loop &= is_loop;
                        known.needs.retain(|it| needs.contains(it));
                    }
                    None => {
                        places.insert(end, all.len());
                        let step = self.effect(cell, reaction, after);
                        all.push(Sending {
                            step: Effect {
                                tally,
                                is_loop,
                                ..step
                            },
                            sent: reaction.sent.clone(),
                            needs,
                        });
                    }
                }
            });
        }
        all
    }

    /// Returns the things that were heard, and the one that a message says.
    fn hear(&self, heard: &[Index], message: Option<Index>) -> Vec<Index> {
        let mut all = heard.to_vec();
        all.extend(message.map(|message| self.saying(message)));
        all
    }

    /// Returns the number of a message's content and sender, whatever its receiver: that of the
    /// message by which its sender would say it to itself.
    fn saying(&self, message: Index) -> Index {
        let it = &self.messages[message];
        let known = it.saying.load(Ordering::Acquire);
        if known != NONE {
            return known;
        }
        let mut envelope = Envelope::clone(&it.envelope);
        envelope.dst = envelope.src;
        let saying = self.intern_message(self.world.envelope(envelope));
        it.saying.store(saying, Ordering::Release);
        saying
    }

    /// Returns the one thing that messages say, or [`NONE`].
    fn says(&self, sent: &[Index]) -> Index {
        let mut sayings = sent.iter().map(|message| self.saying(*message));
        let first = sayings.next().unwrap_or(NONE);
        if sayings.all(|it| it == first) {
            first
        } else {
            NONE
        }
    }

    /// Returns the effect of a fused step from one cell to another that ends with this reaction.
    fn effect(&self, from: Index, reaction: &Reaction, after: Index) -> Effect {
        Effect {
            cell: after,
            sent: [0; 2],
            needs: [0; 2],
            is_loop: false,
            is_visible: reaction.is_visible,
            change: reaction.change,
            forget_input: self.core_of(after).projections[S::FORGET_PROJECTION],
            says: self.says(&reaction.sent),
            shape: self.cells[after].shape,
            moves: self.cells[after].core != self.cells[from].core,
            tally: reaction.tally,
            may_be_irrelevant: self.cells[after].may_be_irrelevant,
        }
    }

    /// Visits every single step from a cell, with the cell that it leads to, and the message that
    /// it takes.
    fn reactions(&self, cell: Index, visit: &mut dyn FnMut(&Reaction, Index, Option<Index>)) {
        let it = &self.cells[cell];
        let mut take = |reaction: &Reaction, message: Option<Index>| {
            let alone = &self.cores[reaction.core].alone;
            let envelope = |message: &Index| &self.messages[*message].envelope;
            let mut inbox = it.inbox.to_vec();
            inbox.retain(|message| !self.world.is_dropped(alone, envelope(message)));
            visit(reaction, self.intern_cell(reaction.core, inbox), message);
        };
        let core = &self.cores[it.core];
        for reaction in self.moves(it.core) {
            take(reaction, None);
        }
        if core.alone.unsaved[usize::from(core.id)].is_none() {
            for message in &it.inbox {
                take(&self.delivery(it.core, *message), Some(*message));
            }
        }
    }
}
