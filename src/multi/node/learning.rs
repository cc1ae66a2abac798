//! Who is told what is decided, and who asks.

use super::Step;
use crate::ballot::{Ballot, NodeId};
use crate::machine::Machine;
use crate::multi::learner::{Applied, Progress};
use crate::multi::{Chunk, Entry, Message, Slot, Timer};

impl<M: Machine> Step<'_, M> {
    /// Tells the learners what is chosen: those that vote themselves how far, the others what.
    pub(super) fn tell(
        &mut self,
        ballot: Ballot,
        slot: Slot,
        entry: &Entry<M::Command>,
        upto: Option<Slot>,
    ) {
        for node in self.others() {
            if !self.cluster.quorums.acceptors().contains(node) {
                let entries = vec![entry.clone()];
                self.out.send(
                    node,
                    Message::Entries {
                        from: slot,
                        entries,
                    },
                );
            } else if let Some(upto) = upto.filter(|_| !self.cluster.defers_decided()) {
                self.out.send(node, Message::Decided { ballot, upto });
            }
        }
    }

    /// Tells the learners that vote, before they are asked to vote again, how far all is chosen,
    /// if they were not told when it was.
    pub(super) fn flush_decided(&mut self) {
        let leader = self.state.leader.as_mut();
        let Some((ballot, leadership)) =
            leader.and_then(|it| Some((it.ballot?, it.leadership_mut()?)))
        else {
            return;
        };
        let upto = leadership.chosen_below();
        if !self.cluster.defers_decided() || leadership.announced == Some(upto) {
            return;
        }
        leadership.announced = Some(upto);
        for node in self.others() {
            if self.cluster.quorums.acceptors().contains(node) {
                self.out.send(node, Message::Decided { ballot, upto });
            }
        }
    }

    /// The other learners.
    pub(super) fn others(&self) -> Vec<NodeId> {
        let mut others = self.cluster.decision_audience();
        others.retain(|node| *node != self.out.me());
        others
    }

    /// All that was voted for in `ballot` below `upto` is chosen. What this node did not vote for,
    /// or voted for in another ballot, it must ask for.
    ///
    /// `[PML §4.2]`; that the notice names the ballot is what MultiPaxos-SMR (TLA+ examples) forgot
    pub(super) fn on_decided(&mut self, from: NodeId, ballot: Ballot, upto: Slot) {
        if self.state.learner.is_some() {
            let mut slot = self.state.decided();
            while slot < upto {
                let acceptor = self.state.acceptor.as_ref();
                let voted = acceptor.and_then(|acceptor| acceptor.voted_in(ballot, slot));
                let Some(entry) = voted.cloned() else {
                    break;
                };
                self.learn(slot, entry);
                slot = self.state.decided().max(slot.next());
            }
        }
        self.catch_up(from, upto);
    }

    /// Whoever is behind asks somebody who is not.
    pub(super) fn catch_up(&mut self, from: NodeId, decided: Slot) {
        let known = self.state.decided();
        if self.state.learner.is_some() && decided > known && from != self.out.me() {
            self.out.send(from, Message::Ask { from: known });
        }
    }

    /// Entries from elsewhere. What is known is no news, not even to requests that gather. What is
    /// too far ahead is not kept: it will be asked for.
    pub(super) fn on_entries(&mut self, start: Slot, entries: Vec<Entry<M::Command>>) {
        for (index, entry) in (0..).zip(entries) {
            let slot = Slot(start.0.saturating_add(index));
            let learner = self.state.learner.as_ref();
            let is_known = learner.is_some_and(|it| it.knows(slot));
            if !is_known && slot.0.saturating_sub(self.state.decided().0) < Slot::SPAN_MAX {
                self.learn(slot, entry);
            }
        }
    }

    /// An entry is decided. What can be applied is applied, what is then settled is dropped, and
    /// whoever leads tells the clients.
    pub(super) fn learn(&mut self, slot: Slot, entry: Entry<M::Command>) {
        let Some(learner) = self.state.learner.as_mut() else {
            return;
        };
        let applied = learner.learn(slot, entry);
        self.settle(applied);
    }

    pub(super) fn settle(&mut self, applied: Vec<Applied<M>>) {
        let Some(learner) = self.state.learner.as_mut() else {
            return;
        };
        let decided = learner.decided();
        // Before the entries are truncated, for the leader compares them with what it proposed.
        let leader = self.state.leader.as_mut();
        let is_over = leader.is_some_and(|leader| !leader.learn(decided, |it| learner.entry(it)));
        if let Some(every) = self.cluster.snapshot_every {
            learner.compact(every);
        }
        if let Some(acceptor) = self.state.acceptor.as_mut() {
            acceptor.trim(decided);
        }
        if is_over {
            self.out.cancel(Timer::Heartbeat);
            self.wait_for_leader();
        }
        if !self.state.is_leading() {
            return;
        }
        for Applied {
            client,
            seq,
            outcome,
        } in applied
        {
            if let Some(outcome) = outcome {
                self.out.send(client, Message::Reply { seq, outcome });
            }
        }
        self.fill();
        self.serve_reads();
    }

    /// Answers a lagging node: with entries, or with a snapshot if they are truncated. Any node may
    /// be asked, not only the leader.
    ///
    /// `[PMS §3]`, `[PML §5.5]`
    pub(super) fn on_ask(&mut self, from: NodeId, start: Slot) {
        let Some(learner) = self.state.learner.as_ref() else {
            return;
        };
        if start < learner.log.start() {
            let snapshot = learner.snapshot.as_ref();
            let chunk = snapshot.and_then(|it| it.chunk(0, self.cluster.limits.bytes_max));
            if let Some(chunk) = chunk {
                self.out.send(from, Message::Chunk(chunk));
            }
            return;
        }
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for (_, entry) in learner.log.since(start) {
            bytes += entry.bytes();
            if bytes > self.cluster.limits.bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry.clone());
        }
        if !entries.is_empty() {
            self.out.send(
                from,
                Message::Entries {
                    from: start,
                    entries,
                },
            );
        }
    }

    pub(super) fn on_chunk(&mut self, from: NodeId, chunk: Chunk) {
        let upto = chunk.upto;
        let progress = self.state.learner.as_mut().map(|it| it.on_chunk(chunk));
        match progress {
            Some(Progress::More(offset)) => self.out.send(from, Message::Fetch { upto, offset }),
            Some(Progress::Caught(applied)) => self.settle(applied),
            Some(Progress::Nothing) | None => {}
        }
    }

    /// The next piece of a snapshot, or the first of a later one if this node has moved on.
    pub(super) fn on_fetch(&mut self, from: NodeId, upto: Slot, offset: u64) {
        let learner = self.state.learner.as_ref();
        let Some(snapshot) = learner.and_then(|learner| learner.snapshot.as_ref()) else {
            return;
        };
        let offset = if snapshot.upto == upto { offset } else { 0 };
        if snapshot.upto >= upto
            && let Some(chunk) = snapshot.chunk(offset, self.cluster.limits.bytes_max)
        {
            self.out.send(from, Message::Chunk(chunk));
        }
    }
}
