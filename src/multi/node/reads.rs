//! Signs of life, the leases that they ask for, and the reads that these answer.

use super::Step;
use crate::ballot::{Ballot, NodeId};
use crate::machine::Machine;
use crate::multi::lease::{HeartbeatId, lease_end};
use crate::multi::{Leader, Message, Outcome, ReadMode, Slot, Timer};

impl<M: Machine> Step<'_, M> {
    /// Asks once more for the votes that have not come, and for entries that others know and this
    /// node does not: nobody would tell a leader that it is behind. Then shows itself.
    pub(super) fn on_heartbeat_timer(&mut self) {
        if let Some(leadership) = self.state.leader.as_ref().and_then(Leader::leadership) {
            let open = leadership
                .open
                .iter()
                .map(|(slot, it)| (*slot, it.entry.clone()));
            let open = open.collect();
            let (known, chosen) = (self.state.decided(), leadership.chosen_below());
            self.put_to_the_vote(open);
            if known < chosen {
                for node in self.others() {
                    self.out.send(node, Message::Ask { from: known });
                }
            }
            self.announce();
            self.keep_pace();
        }
    }

    /// The next sign of life is due after a pace, whatever others reads ask for in between: with it
    /// goes what must be said again.
    pub(super) fn keep_pace(&mut self) {
        if let Some(pace) = self.cluster.heartbeat.clone() {
            self.out.set(Timer::Heartbeat, pace);
        }
    }

    /// A leader's sign of life, to all.
    pub(super) fn announce(&mut self) {
        let (now, leader) = (self.now(), self.state.leader.as_mut());
        let Some((ballot, leadership)) =
            leader.and_then(|it| Some((it.ballot?, it.leadership_mut()?)))
        else {
            return;
        };
        let (heartbeat, upto) = (leadership.heartbeat_at(now), leadership.chosen_below());
        if self.cluster.defers_decided() {
            leadership.announced = Some(upto);
        }
        let acceptors = self.cluster.quorums.acceptors().iter();
        let mut everyone: Vec<NodeId> = acceptors.chain(self.cluster.decision_audience()).collect();
        everyone.sort_unstable();
        everyone.dedup();
        for node in everyone {
            self.out.send(
                node,
                Message::Heartbeat {
                    ballot,
                    heartbeat,
                    upto,
                },
            );
        }
    }

    /// A leader shows itself. Whoever follows it grants it a lease from now on, says so, and learns
    /// how far its ballot has got.
    pub(super) fn on_heartbeat(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        heartbeat: HeartbeatId,
        upto: Slot,
    ) {
        let now = self.now();
        if let Some(acceptor) = self.state.acceptor.as_mut() {
            let answer = acceptor.on_heartbeat(ballot, heartbeat, self.cluster.lease, now);
            let follows = matches!(answer, Some(Message::HeartbeatAck { .. }));
            self.answer(from, answer);
            if !follows {
                return;
            }
        }
        self.follow(ballot);
        if from != self.out.me() {
            self.on_decided(from, ballot, upto);
        }
    }

    pub(super) fn on_heartbeat_ack(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        heartbeat: HeartbeatId,
    ) {
        let quorums = &self.cluster.quorums;
        let leader = self.state.leader.as_mut();
        let Some(leader) = leader.filter(|leader| leader.ballot == Some(ballot)) else {
            return;
        };
        let Some(leadership) = leader.leadership_mut() else {
            return;
        };
        if leadership.has_ack(from, heartbeat) {
            return;
        }
        leadership.on_heartbeat_ack(from, heartbeat, quorums);
        if leadership.is_confirmed(quorums) && leadership.open.is_empty() {
            let patience = self.patience();
            self.out.set(Timer::Campaign, patience);
        }
        self.serve_reads();
    }

    /// A read without a place in the log. With a lease it is answered at once, if the lease still
    /// holds *after* the answer was found: the process may have been stopped in between.
    pub(super) fn on_read(&mut self, client: NodeId, seq: u64, query: M::Command, mode: ReadMode) {
        let (Some(leader), Some(learner)) =
            (self.state.leader.as_mut(), self.state.learner.as_ref())
        else {
            return;
        };
        let Some(leadership) = leader.leadership_mut() else {
            return;
        };
        let decided = learner.decided();
        let Some(reply) = learner.sessions.machine().read(&query) else {
            return;
        };
        let ends = self
            .cluster
            .lease
            .and_then(|times| lease_end(&leadership.acks, &self.cluster.quorums, times));
        let now = self.clock.read(self.state.now);
        let is_fresh = decided >= leadership.barrier && Some(now) < ends;
        if mode == ReadMode::Lease && is_fresh {
            let outcome = Outcome::Done(reply);
            return self.out.send(client, Message::Reply { seq, outcome });
        }
        leadership.on_read(client, seq, query, decided, &self.cluster.limits);
        self.serve_reads();
    }

    /// Answers the reads that need wait no longer, and begins a round of heartbeats for those that
    /// do.
    pub(super) fn serve_reads(&mut self) {
        let quorums = &self.cluster.quorums;
        let Some(learner) = self.state.learner.as_ref() else {
            return;
        };
        let Some(leadership) = self.state.leader.as_mut().and_then(Leader::leadership_mut) else {
            return;
        };
        if leadership.reads.is_empty() {
            return;
        }
        let ready = leadership.ready(learner.decided(), quorums);
        let machine = learner.sessions.machine();
        let answered: Vec<_> = ready
            .into_iter()
            .filter_map(|read| Some((read.client, read.seq, machine.read(&read.query)?)))
            .collect();
        let begins = leadership.begin_round(quorums, &self.cluster.limits);
        for (client, seq, reply) in answered {
            let outcome = Outcome::Done(reply);
            self.out.send(client, Message::Reply { seq, outcome });
        }
        if begins {
            self.announce();
        }
    }
}
