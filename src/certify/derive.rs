//! The events of a run in the terms of the proof, as they follow from what the nodes sent and
//! saved. The replay has no part in them.

use super::error::Problem;
use super::event::{Event, Votes};
use super::protocol::{Disk, Protocol, ProtocolEvent, ProtocolEventOf};
use super::trace::StepOf;
use crate::ballot::{Ballot, NodeId};
use crate::delta::Delta;
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::runtime::RecordedEvent;
use crate::vote::Vote;
use imbl::OrdMap;
use stateright::actor::Id;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Derives the events of all nodes, step by step.
pub(super) struct Deriver<P: Protocol> {
    quorums: QuorumSystem,
    nodes: BTreeMap<NodeId, Node<P>>,
    /// The number of each value. Events name values by number: the checker only compares them.
    numbers: HashMap<P::Value, u64>,
    values: Vec<P::Value>,
    requests: HashSet<P::Request>,
    known: Known,
    /// The events of the step.
    events: Vec<Event>,
}

/// The earlier events, which are not repeated, and on which later ones depend.
#[derive(Default)]
struct Known {
    requested: HashSet<u64>,
    promised: HashSet<(NodeId, Ballot)>,
    proposed: BTreeMap<(Ballot, u64), u64>,
    opened: HashSet<(Ballot, u64)>,
    /// The voters, by slot and value, and by ballot.
    voted: HashMap<(u64, u64), BTreeMap<Ballot, AcceptorSet>>,
    /// Decisions that a node has saved: node, slot, value.
    saved: HashSet<(NodeId, u64, u64)>,
    learned: HashSet<(u64, u64)>,
}

/// The derived state of a node.
struct Node<P: Protocol> {
    id: NodeId,
    saved: Option<P::Storage>,
    disk: Disk<P::Value>,
    /// The last vote in each slot, also in slots whose votes it has dropped.
    votes: OrdMap<u64, Vote<u64>>,
    /// The promises it has counted for its own ballots, up to a quorum. A vote in a fast ballot
    /// counts as a promise of the ballot that resolves it, even beyond a quorum.
    heard: BTreeMap<Ballot, AcceptorSet>,
    /// By ballot, the first slot whose proposal it has not announced as chosen.
    chosen: BTreeMap<Ballot, u64>,
}

impl<P: Protocol> Node<P> {
    fn new(id: NodeId) -> Self {
        Node {
            id,
            saved: None,
            disk: Disk::default(),
            votes: OrdMap::new(),
            heard: BTreeMap::new(),
            chosen: BTreeMap::new(),
        }
    }

    /// Applies the changes that a step saves.
    fn save(&mut self, step: &StepOf<P>) -> Result<(), Problem> {
        if let RecordedEvent::Start(changes) = &step.event {
            self.saved = P::Storage::replay(None, changes.iter().cloned());
            if self.saved.is_none() && !changes.is_empty() {
                return Err(Problem::StartMisfit);
            }
            self.heard.clear();
        }
        for change in step.saves.iter().flatten() {
            let saved = P::Storage::apply(self.saved.take(), change.clone());
            let misfit = || Problem::SaveMisfit(format!("{change:?}"));
            self.saved = Some(saved.ok_or_else(misfit)?);
        }
        Ok(())
    }

    /// Returns `true` if its acceptor lost a promise or a vote in a step.
    fn has_lost(&self, before: &Disk<P::Value>) -> bool {
        let mut votes = before.votes.range(self.disk.base..);
        self.disk.promised < before.promised
            || votes.any(|(slot, vote)| {
                let now = self.disk.votes.get(slot).map(|vote| vote.ballot);
                now < Some(vote.ballot)
            })
    }

    /// Returns its last votes in slots from one on.
    fn votes_from(&self, base: u64) -> Votes {
        let votes = self.votes.range(base..);
        votes.map(|(slot, vote)| (*slot, vote.clone())).collect()
    }

    /// Returns the promises that it counted for a ballot of its own, and none for another's.
    fn promises(&self, ballot: Ballot) -> AcceptorSet {
        let heard = self.heard.get(&ballot).copied();
        heard.filter(|_| ballot.node == self.id).unwrap_or_default()
    }
}

impl<P: Protocol> Deriver<P> {
    pub(super) fn new(quorums: QuorumSystem) -> Self {
        Deriver {
            quorums,
            nodes: BTreeMap::new(),
            numbers: HashMap::new(),
            values: Vec::new(),
            requests: HashSet::new(),
            known: Known::default(),
            events: Vec::new(),
        }
    }

    /// Returns the values in the order of their numbers.
    pub(super) fn values(&self) -> &[P::Value] {
        &self.values
    }

    /// Notes the request in a message of a client, if there is one.
    pub(super) fn hear_client(&mut self, message: &P::Msg) {
        if let ProtocolEvent::Request(request) = P::observe(message) {
            self.requests.insert(request);
        }
    }

    /// Derives the events of a node's step, in an order in which they can have happened.
    ///
    /// # Errors
    /// If what the node saves does not fit what it had saved.
    pub(super) fn step(&mut self, step: &StepOf<P>) -> Result<Vec<Event>, Problem> {
        let id = NodeId::from(Id::from(step.node));
        let mut node = self.nodes.remove(&id).unwrap_or_else(|| Node::new(id));
        let done = self.follow(&mut node, step);
        self.nodes.insert(id, node);
        done.map(|()| std::mem::take(&mut self.events))
    }

    fn follow(&mut self, node: &mut Node<P>, step: &StepOf<P>) -> Result<(), Problem> {
        let known = node.saved.clone();
        node.save(step)?;
        let after = node.saved.as_ref().map(P::disk).unwrap_or_default();
        let before = std::mem::replace(&mut node.disk, after);
        let is_start = matches!(step.event, RecordedEvent::Start(_));
        if is_start && (known.is_some() || node.saved.is_some()) {
            self.restart(node, before.base);
        }
        let mut sent: Vec<&P::Msg> = step.sends.iter().map(|(_, message)| message).collect();
        // A broadcast is one event.
        sent.dedup();
        let said: Vec<ProtocolEventOf<P>> = sent.into_iter().map(P::observe).collect();
        self.hear(node, step);
        if !is_start {
            self.promise(node, &before, step, &said);
        }
        let has_voted = self.go_fast(node, &before, &said);
        if !is_start {
            self.rise(node, &before, has_voted);
        }
        said.iter().for_each(|event| self.propose(node, event));
        let keeps = self.vote(node, &before, &said);
        if !is_start && (!keeps || node.has_lost(&before)) {
            self.restart(node, before.base);
        }
        self.decide(node, known.as_ref());
        said.iter().for_each(|event| self.tell(node, event));
        Ok(())
    }

    /// Adds the claim that this is what an acceptor has on disk. It may have dropped votes in slots
    /// that it knew to be decided before this step: for them, the claim has its last votes.
    fn restart(&mut self, node: &Node<P>, base: u64) {
        let dropped = node.votes.range(..base);
        let mut votes: Votes = dropped.map(|(slot, it)| (*slot, it.clone())).collect();
        votes.extend(self.numbered(&node.disk.votes, base));
        self.events.push(Event::Restarted {
            acceptor: node.id,
            promised: node.disk.promised,
            votes,
        });
    }

    /// Counts a promise that arrives at the owner of its ballot, and a vote in a fast ballot.
    fn hear(&mut self, node: &mut Node<P>, step: &StepOf<P>) {
        let RecordedEvent::Message(from, message) = &step.event else {
            return;
        };
        let from = NodeId::from(Id::from(*from));
        match P::observe(message) {
            ProtocolEvent::Promise(ballot, _, _, None) if ballot.node == node.id => {
                self.count(node, ballot, from);
            }
            ProtocolEvent::Accepted(_, ballot, _) if ballot.node == node.id => {
                self.watch(node, ballot, from);
            }
            _ => {}
        }
    }

    /// Counts a vote in a fast ballot as a promise of the ballot that resolves it.
    fn watch(&self, node: &mut Node<P>, ballot: Ballot, acceptor: NodeId) {
        let recovery = self.quorums.rounds().recovery(ballot);
        let is_acceptor = self.quorums.acceptors().contains(acceptor);
        if let Some(recovery) = recovery.filter(|_| is_acceptor) {
            node.heard.entry(recovery).or_default().insert(acceptor);
        }
    }

    fn count(&self, node: &mut Node<P>, ballot: Ballot, acceptor: NodeId) {
        let heard = node.heard.entry(ballot).or_default();
        if !self.quorums.is_phase1(*heard) && self.quorums.acceptors().contains(acceptor) {
            heard.insert(acceptor);
        }
    }

    /// Adds the events of fast ballots, which come before those of the ballots that resolve them:
    /// a ballot is opened or has a value proposed, an acceptor votes, and with that promises the
    /// next ballot. Returns `true` if there was a vote.
    fn go_fast(
        &mut self,
        node: &mut Node<P>,
        before: &Disk<P::Value>,
        said: &[ProtocolEventOf<P>],
    ) -> bool {
        let rounds = self.quorums.rounds();
        let mut has_voted = false;
        for event in said {
            match event {
                ProtocolEvent::Any(slot, ballot) => self.open(node, *slot, *ballot),
                ProtocolEvent::Proposal(_, vote) if rounds.is_fast(vote.ballot) => {
                    self.propose(node, event);
                }
                ProtocolEvent::Accepted(slot, ballot, Some(value)) => {
                    let Some(recovery) = rounds.recovery(*ballot) else {
                        continue;
                    };
                    let number = self.number(value);
                    self.request(value, number);
                    self.cast(node, *slot, *ballot, number);
                    has_voted = true;
                    if ballot.node == node.id {
                        self.watch(node, *ballot, node.id);
                    }
                    let is_new = !self.known.promised.contains(&(node.id, recovery));
                    if is_new && node.disk.promised >= Some(recovery) {
                        let votes = node.votes_from(before.base);
                        self.add_promise(node, recovery, before.base, votes);
                    }
                }
                _ => {}
            }
        }
        has_voted
    }

    /// Adds the opening of a fast ballot, unless it was opened before.
    fn open(&mut self, node: &Node<P>, slot: u64, ballot: Ballot) {
        if self.known.opened.insert((ballot, slot)) {
            let quorum = node.promises(ballot);
            self.events.push(Event::Opened {
                slot,
                ballot,
                quorum,
            });
        }
    }

    /// Adds the promises that a node sends. (A promise to itself, or one that is made by following
    /// a leader, shows on its disk only: see [`Deriver::rise`].)
    fn promise(
        &mut self,
        node: &Node<P>,
        before: &Disk<P::Value>,
        step: &StepOf<P>,
        said: &[ProtocolEventOf<P>],
    ) {
        let heard = match &step.event {
            RecordedEvent::Message(_, message) => P::observe(message),
            _ => ProtocolEvent::Nothing,
        };
        for event in said {
            let ProtocolEvent::Promise(ballot, votes, base, more) = event else {
                continue;
            };
            let asked = match &heard {
                ProtocolEvent::Prepare(asked, from) if asked == ballot => *from,
                // A later part of a promise that does not fit into one message.
                _ if self.known.promised.contains(&(node.id, *ballot)) => continue,
                _ => 0,
            };
            let from = asked.max(*base);
            let reported = votes.iter().cloned().collect();
            let mut votes = self.numbered(&reported, from);
            if let Some(more) = more {
                votes.extend(self.numbered(&before.votes, *more));
            }
            self.add_promise(node, *ballot, from, votes);
        }
    }

    fn add_promise(&mut self, node: &Node<P>, ballot: Ballot, from: u64, votes: Votes) {
        self.known.promised.insert((node.id, ballot));
        self.events.push(Event::Promised {
            acceptor: node.id,
            ballot,
            from,
            votes,
        });
    }

    /// Adds a promise that shows on the disk only. It reports the votes before this step, but also
    /// those in fast ballots, which came first.
    fn rise(&mut self, node: &mut Node<P>, before: &Disk<P::Value>, has_voted: bool) {
        let raised = node.disk.promised.filter(|it| Some(*it) > before.promised);
        let Some(ballot) = raised else { return };
        if !self.known.promised.contains(&(node.id, ballot)) {
            let votes = match has_voted {
                true => node.votes_from(before.base),
                false => self.numbered(&before.votes, before.base),
            };
            self.add_promise(node, ballot, before.base, votes);
        }
        if ballot.node == node.id {
            self.count(node, ballot, node.id);
        }
    }

    /// Adds a proposal, unless it was added before.
    fn propose(&mut self, node: &Node<P>, event: &ProtocolEventOf<P>) {
        let ProtocolEvent::Proposal(slot, vote) = event else {
            return;
        };
        let (slot, ballot, value) = (*slot, vote.ballot, self.number(&vote.value));
        if self.known.proposed.get(&(ballot, slot)) == Some(&value) {
            return;
        }
        self.request(&vote.value, value);
        self.known.proposed.entry((ballot, slot)).or_insert(value);
        let (vote, quorum) = (Vote { ballot, value }, node.promises(ballot));
        self.events.push(Event::Proposed { slot, vote, quorum });
    }

    /// Adds the request of a value, if clients have requested all of it.
    fn request(&mut self, value: &P::Value, number: u64) {
        let mut parts = P::requests(value).into_iter();
        if parts.all(|it| self.requests.contains(&it)) && self.known.requested.insert(number) {
            self.events.push(Event::Requested { value: number });
        }
    }

    /// Adds a vote, unless it was added before.
    fn cast(&mut self, node: &mut Node<P>, slot: u64, ballot: Ballot, value: u64) {
        let voters = self.known.voted.entry((slot, value)).or_default();
        if voters.entry(ballot).or_default().insert(node.id) {
            let (acceptor, vote) = (node.id, Vote { ballot, value });
            node.votes.insert(slot, vote.clone());
            self.events.push(Event::Voted {
                acceptor,
                slot,
                vote,
            });
        }
    }

    /// Adds the votes that a node sends and those that show on its disk only. Returns `true`
    /// if all promises and votes that it sends are on its disk.
    fn vote(
        &mut self,
        node: &mut Node<P>,
        before: &Disk<P::Value>,
        said: &[ProtocolEventOf<P>],
    ) -> bool {
        let mut votes: BTreeMap<(u64, Ballot), u64> = BTreeMap::new();
        let mut keeps = true;
        for event in said {
            match event {
                ProtocolEvent::Accepted(slot, ballot, value) => {
                    let kept = node.disk.votes.get(slot).filter(|it| it.ballot == *ballot);
                    let value = value.as_ref().or(kept.map(|vote| &vote.value));
                    let told = value.map(|value| self.number(value));
                    let told = told.or(self.known.proposed.get(&(*ballot, *slot)).copied());
                    votes.insert((*slot, *ballot), told.unwrap_or(u64::MAX));
                    let is_kept = kept.is_some_and(|kept| value == Some(&kept.value));
                    keeps &= is_kept || *slot < node.disk.base;
                }
                ProtocolEvent::Promise(ballot, ..) => keeps &= node.disk.promised >= Some(*ballot),
                _ => {}
            }
        }
        for (slot, vote) in &node.disk.votes {
            if before.votes.get(slot) != Some(vote) {
                votes.insert((*slot, vote.ballot), self.number(&vote.value));
            }
        }
        for ((slot, ballot), value) in votes {
            self.cast(node, slot, ballot, value);
        }
        keeps
    }

    /// Adds the decisions that a node saves.
    fn decide(&mut self, node: &Node<P>, before: Option<&P::Storage>) {
        let saved = node.saved.as_ref();
        for (slot, value) in saved.map_or_else(Vec::new, |after| P::decided(before, after)) {
            let value = self.number(&value);
            if self.known.saved.insert((node.id, slot, value)) {
                self.learn(slot, value);
            }
        }
    }

    /// Adds the decisions that a node sends, unless they were added before.
    fn tell(&mut self, node: &mut Node<P>, event: &ProtocolEventOf<P>) {
        let chosen: Vec<(u64, u64)> = match event {
            ProtocolEvent::Chosen(entries) => {
                let entries = entries.iter();
                entries.map(|(slot, it)| (*slot, self.number(it))).collect()
            }
            ProtocolEvent::ChosenBefore(ballot, upto) if ballot.node == node.id => {
                let first = node.chosen.entry(*ballot).or_default();
                let start = std::mem::replace(first, (*upto).max(*first));
                let proposed = self
                    .known
                    .proposed
                    .range((*ballot, start)..(*ballot, *first));
                proposed.map(|((_, slot), it)| (*slot, *it)).collect()
            }
            _ => Vec::new(),
        };
        for (slot, value) in chosen {
            if !self.known.learned.contains(&(slot, value)) {
                self.learn(slot, value);
            }
        }
    }

    /// Adds a decision: in a ballot in which a quorum has voted for the value, if there is one, and
    /// otherwise in the highest in which anybody has.
    fn learn(&mut self, slot: u64, value: u64) {
        self.known.learned.insert((slot, value));
        let (round, node) = (0, NodeId(0));
        let voted = self.known.voted.get(&(slot, value));
        let mut ballots = voted.into_iter().flatten().rev();
        let mut all = ballots.clone();
        let chosen = all.find(|(ballot, it)| self.quorums.chooses(**ballot, **it));
        let ballot = chosen.or_else(|| ballots.next()).map(|(it, _)| *it);
        let ballot = ballot.unwrap_or(Ballot { round, node });
        let vote = Vote { ballot, value };
        self.events.push(Event::Learned { slot, vote });
    }

    fn number(&mut self, value: &P::Value) -> u64 {
        if let Some(number) = self.numbers.get(value) {
            return *number;
        }
        let number = self.values.len() as u64;
        self.numbers.insert(value.clone(), number);
        self.values.push(value.clone());
        number
    }

    fn numbered(&mut self, votes: &OrdMap<u64, Vote<P::Value>>, from: u64) -> Votes {
        let votes = votes.range(from..).map(|(slot, vote)| {
            let (ballot, value) = (vote.ballot, self.number(&vote.value));
            (*slot, Vote { ballot, value })
        });
        votes.collect()
    }
}
