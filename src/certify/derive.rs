//! What the nodes did, in the words of the proof, as it follows from what they recorded: from what
//! they said and from what they saved, and from nothing that a replay thinks they should have.

use super::error::Problem;
use super::event::{Event, Votes};
use super::protocol::{Disk, Protocol, Speech, SpeechOf};
use super::trace::StepOf;
use crate::ballot::{Ballot, NodeId};
use crate::delta::Delta;
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::runtime::RecordedEvent;
use crate::vote::Vote;
use imbl::OrdMap;
use stateright::actor::Id;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Follows all nodes, step by step.
pub(super) struct Deriver<P: Protocol> {
    quorums: QuorumSystem,
    nodes: BTreeMap<NodeId, Node<P>>,
    /// Values by number: the checker compares them, and no more.
    numbers: HashMap<P::Value, u64>,
    values: Vec<P::Value>,
    asked: HashSet<P::Request>,
    requested: HashSet<u64>,
    promised: HashSet<(NodeId, Ballot)>,
    proposed: BTreeMap<(Ballot, u64), u64>,
    opened: HashSet<(Ballot, u64)>,
    /// Who voted, by slot and value, in which ballots.
    voted: HashMap<(u64, u64), BTreeMap<Ballot, AcceptorSet>>,
    learned: HashSet<(NodeId, u64, u64)>,
    told: HashSet<(u64, u64)>,
    events: Vec<Event>,
}

/// What is known of a node.
struct Node<P: Protocol> {
    saved: Option<P::Storage>,
    disk: Disk<P::Value>,
    /// Its last vote in each slot, also in those whose votes it has dropped.
    votes: OrdMap<u64, Vote<u64>>,
    /// The promises it has counted for its own ballots; no more are once they are a quorum, but for
    /// votes in a fast ballot, which count as promises of the one that resolves it.
    heard: BTreeMap<Ballot, AcceptorSet>,
    /// Up to which slot it told that what it proposed in a ballot is chosen.
    chosen: BTreeMap<Ballot, u64>,
}

impl<P: Protocol> Default for Node<P> {
    fn default() -> Self {
        Node {
            saved: None,
            disk: Disk::default(),
            votes: OrdMap::new(),
            heard: BTreeMap::new(),
            chosen: BTreeMap::new(),
        }
    }
}

impl<P: Protocol> Deriver<P> {
    pub(super) fn new(quorums: QuorumSystem) -> Self {
        Deriver {
            quorums,
            nodes: BTreeMap::new(),
            numbers: HashMap::new(),
            values: Vec::new(),
            asked: HashSet::new(),
            requested: HashSet::new(),
            promised: HashSet::new(),
            proposed: BTreeMap::new(),
            opened: HashSet::new(),
            voted: HashMap::new(),
            learned: HashSet::new(),
            told: HashSet::new(),
            events: Vec::new(),
        }
    }

    /// The values, in the order of their numbers.
    pub(super) fn values(&self) -> &[P::Value] {
        &self.values
    }

    /// A client asks for something.
    pub(super) fn hear_client(&mut self, message: &P::Msg) {
        if let Speech::Request(request) = P::speech(message) {
            self.asked.insert(request);
        }
    }

    /// The events of a node's step, in an order in which they can have happened.
    ///
    /// # Errors
    /// If what it saved does not fit what it saved before.
    pub(super) fn step(&mut self, step: &StepOf<P>) -> Result<Vec<Event>, Problem> {
        let me = NodeId::from(Id::from(step.node));
        let mut node = self.nodes.remove(&me).unwrap_or_default();
        let done = self.follow(me, &mut node, step);
        self.nodes.insert(me, node);
        done.map(|()| std::mem::take(&mut self.events))
    }

    fn follow(&mut self, me: NodeId, node: &mut Node<P>, step: &StepOf<P>) -> Result<(), Problem> {
        let before = node.saved.clone();
        let is_start = matches!(step.event, RecordedEvent::Start(_));
        if let RecordedEvent::Start(changes) = &step.event {
            node.saved = P::Storage::replay(None, changes.iter().cloned());
            if node.saved.is_none() && !changes.is_empty() {
                return Err(Problem::StartMisfit);
            }
            node.heard.clear();
        }
        for change in step.saves.iter().flatten() {
            let saved = P::Storage::apply(node.saved.take(), change.clone());
            let misfit = || Problem::SaveMisfit(format!("{change:?}"));
            node.saved = Some(saved.ok_or_else(misfit)?);
        }
        let after = node.saved.as_ref().map(P::disk).unwrap_or_default();
        let disk = std::mem::replace(&mut node.disk, after);
        if is_start && (before.is_some() || node.saved.is_some()) {
            self.state(me, node, disk.base);
        }
        let mut said: Vec<SpeechOf<P>> = Vec::new();
        let mut last = None;
        for (_, message) in &step.sends {
            // A broadcast says one thing.
            if last != Some(message) {
                said.push(P::speech(message));
            }
            last = Some(message);
        }
        self.hear(me, node, step);
        if !is_start {
            self.promise(me, &disk, step, &said);
        }
        let has_voted = self.go_fast(me, node, &disk, &said);
        if !is_start {
            self.rise(me, node, &disk, has_voted);
        }
        self.propose(me, node, &said);
        let keeps = self.vote(me, node, &disk, &said);
        let has_lost = disk.votes.iter().any(|(slot, vote)| {
            let now = node.disk.votes.get(slot).map(|vote| vote.ballot);
            *slot >= node.disk.base && now < Some(vote.ballot)
        });
        let is_short = node.disk.promised < disk.promised || has_lost;
        if !is_start && (!keeps || is_short) {
            self.state(me, node, disk.base);
        }
        self.learn(me, node, before.as_ref(), &said);
        Ok(())
    }

    /// Claims that this is what an acceptor has on disk. Votes in slots that it knew to be decided
    /// before it may have dropped: there the claim is what it voted.
    fn state(&mut self, me: NodeId, node: &Node<P>, base: u64) {
        let mut votes: Votes = node
            .votes
            .range(..base)
            .map(|(s, v)| (*s, v.clone()))
            .collect();
        votes.extend(self.numbered(&node.disk.votes, base));
        self.events.push(Event::Restarted {
            acceptor: me,
            promised: node.disk.promised,
            votes,
        });
    }

    /// A promise arrives at whoever asked for it, or a vote at whoever watches a fast ballot.
    fn hear(&mut self, me: NodeId, node: &mut Node<P>, step: &StepOf<P>) {
        let RecordedEvent::Message(from, message) = &step.event else {
            return;
        };
        let from = NodeId::from(Id::from(*from));
        match P::speech(message) {
            Speech::Promise(ballot, _, _, None) if ballot.node == me => {
                self.count(node, ballot, from);
            }
            Speech::Accepted(_, ballot, _) if ballot.node == me => {
                self.watch(node, ballot, from);
            }
            _ => {}
        }
    }

    /// A vote in a fast ballot is a promise of the one that resolves it, and is counted as one
    /// until that is proposed in.
    fn watch(&self, node: &mut Node<P>, ballot: Ballot, acceptor: NodeId) {
        let recovery = self.quorums.rounds().recovery(ballot);
        let is_acceptor = self.quorums.acceptors().contains(acceptor);
        if let Some(recovery) = recovery.filter(|_| is_acceptor) {
            let heard = node.heard.entry(recovery).or_default();
            heard.insert(acceptor);
        }
    }

    /// What is said in fast ballots, which comes before what resolves them: each is opened or
    /// proposed in, voted in, and left by whoever voted for the next. Says whether there was a
    /// vote.
    fn go_fast(
        &mut self,
        me: NodeId,
        node: &mut Node<P>,
        before: &Disk<P::Value>,
        said: &[SpeechOf<P>],
    ) -> bool {
        let rounds = self.quorums.rounds();
        let mut has_voted = false;
        for speech in said {
            match speech {
                Speech::Any(slot, ballot) => self.open(me, node, *slot, *ballot),
                Speech::Proposal(_, vote) if rounds.is_fast(vote.ballot) => {
                    self.propose(me, node, std::slice::from_ref(speech));
                }
                Speech::Accepted(slot, ballot, Some(value)) => {
                    let Some(recovery) = rounds.recovery(*ballot) else {
                        continue;
                    };
                    let number = self.number(value);
                    self.request(value, number);
                    self.cast(me, node, *slot, *ballot, number);
                    has_voted = true;
                    if ballot.node == me {
                        self.watch(node, *ballot, me);
                    }
                    let is_kept = node.disk.promised >= Some(recovery);
                    if is_kept && self.promised.insert((me, recovery)) {
                        let votes = node.votes.range(before.base..);
                        let votes = votes.map(|(slot, vote)| (*slot, vote.clone()));
                        self.events.push(Event::Promised {
                            acceptor: me,
                            ballot: recovery,
                            from: before.base,
                            votes: votes.collect(),
                        });
                    }
                }
                _ => {}
            }
        }
        has_voted
    }

    /// A fast ballot is opened, once.
    fn open(&mut self, me: NodeId, node: &Node<P>, slot: u64, ballot: Ballot) {
        if self.opened.insert((ballot, slot)) {
            let heard = node.heard.get(&ballot).copied();
            self.events.push(Event::Opened {
                slot,
                ballot,
                // What somebody else's ballot rests on he does not know.
                quorum: heard.filter(|_| ballot.node == me).unwrap_or_default(),
            });
        }
    }

    fn count(&self, node: &mut Node<P>, ballot: Ballot, acceptor: NodeId) {
        let heard = node.heard.entry(ballot).or_default();
        if !self.quorums.is_phase1(*heard) && self.quorums.acceptors().contains(acceptor) {
            heard.insert(acceptor);
        }
    }

    /// Promises that are said. (Those that a node makes to itself or by following a leader show on
    /// its disk alone.)
    fn promise(
        &mut self,
        me: NodeId,
        before: &Disk<P::Value>,
        step: &StepOf<P>,
        said: &[SpeechOf<P>],
    ) {
        let heard = match &step.event {
            RecordedEvent::Message(_, message) => P::speech(message),
            _ => Speech::Nothing,
        };
        for speech in said {
            let Speech::Promise(ballot, votes, base, more) = speech else {
                continue;
            };
            let asked = match &heard {
                Speech::Prepare(asked, from) if asked == ballot => *from,
                // More of a promise that one message was too small for.
                _ if self.promised.contains(&(me, *ballot)) => continue,
                _ => 0,
            };
            let from = asked.max(*base);
            let told = votes
                .iter()
                .map(|(slot, vote)| (*slot, vote.clone()))
                .collect();
            let mut votes = self.numbered(&told, from);
            if let Some(more) = more {
                votes.extend(self.numbered(&before.votes, *more));
            }
            self.promised.insert((me, *ballot));
            self.events.push(Event::Promised {
                acceptor: me,
                ballot: *ballot,
                from,
                votes,
            });
        }
    }

    /// A promise that shows on the disk alone. It speaks of the votes before this step, but for
    /// those in fast ballots, which came first.
    fn rise(&mut self, me: NodeId, node: &mut Node<P>, before: &Disk<P::Value>, has_voted: bool) {
        let raised = node.disk.promised.filter(|it| Some(*it) > before.promised);
        let Some(ballot) = raised else { return };
        if self.promised.insert((me, ballot)) {
            let votes = if has_voted {
                let votes = node.votes.range(before.base..);
                votes.map(|(slot, vote)| (*slot, vote.clone())).collect()
            } else {
                self.numbered(&before.votes, before.base)
            };
            self.events.push(Event::Promised {
                acceptor: me,
                ballot,
                from: before.base,
                votes,
            });
        }
        if ballot.node == me {
            self.count(node, ballot, me);
        }
    }

    /// Proposals, each once.
    fn propose(&mut self, me: NodeId, node: &Node<P>, said: &[SpeechOf<P>]) {
        for speech in said {
            let Speech::Proposal(slot, vote) = speech else {
                continue;
            };
            let value = self.number(&vote.value);
            let known = self.proposed.get(&(vote.ballot, *slot));
            if known == Some(&value) {
                continue;
            }
            self.request(&vote.value, value);
            self.proposed.entry((vote.ballot, *slot)).or_insert(value);
            let ballot = vote.ballot;
            let heard = node.heard.get(&ballot).copied();
            self.events.push(Event::Proposed {
                slot: *slot,
                vote: Vote { ballot, value },
                // What somebody else's ballot rests on he does not know.
                quorum: heard.filter(|_| ballot.node == me).unwrap_or_default(),
            });
        }
    }

    /// What is put to the vote was asked for, if it was.
    fn request(&mut self, value: &P::Value, number: u64) {
        let mut parts = P::requests(value).into_iter();
        if parts.all(|it| self.asked.contains(&it)) && self.requested.insert(number) {
            self.events.push(Event::Requested { value: number });
        }
    }

    /// A vote, once.
    fn cast(&mut self, me: NodeId, node: &mut Node<P>, slot: u64, ballot: Ballot, value: u64) {
        let voters = self.voted.entry((slot, value)).or_default();
        if voters.entry(ballot).or_default().insert(me) {
            let vote = Vote { ballot, value };
            node.votes.insert(slot, vote.clone());
            self.events.push(Event::Voted {
                acceptor: me,
                slot,
                vote,
            });
        }
    }

    /// Votes that are said, and those that show on the disk alone. Says whether all that was said
    /// is on disk as well.
    fn vote(
        &mut self,
        me: NodeId,
        node: &mut Node<P>,
        before: &Disk<P::Value>,
        said: &[SpeechOf<P>],
    ) -> bool {
        let mut votes: BTreeMap<(u64, Ballot), u64> = BTreeMap::new();
        let mut keeps = true;
        for speech in said {
            match speech {
                Speech::Accepted(slot, ballot, value) => {
                    let kept = node.disk.votes.get(slot).filter(|it| it.ballot == *ballot);
                    let value = value.as_ref().or(kept.map(|vote| &vote.value));
                    let told = value.map(|value| self.number(value));
                    let told = told.or(self.proposed.get(&(*ballot, *slot)).copied());
                    votes.insert((*slot, *ballot), told.unwrap_or(u64::MAX));
                    let is_kept = kept.is_some_and(|kept| value == Some(&kept.value));
                    keeps &= is_kept || *slot < node.disk.base;
                }
                Speech::Promise(ballot, ..) => keeps &= node.disk.promised >= Some(*ballot),
                _ => {}
            }
        }
        for (slot, vote) in &node.disk.votes {
            if before.votes.get(slot) != Some(vote) {
                votes.insert((*slot, vote.ballot), self.number(&vote.value));
            }
        }
        for ((slot, ballot), value) in votes {
            self.cast(me, node, slot, ballot, value);
        }
        keeps
    }

    /// Decisions that a node saves, and those that it tells.
    fn learn(
        &mut self,
        me: NodeId,
        node: &mut Node<P>,
        before: Option<&P::Storage>,
        said: &[SpeechOf<P>],
    ) {
        let saved = node.saved.as_ref();
        for (slot, value) in saved.map_or_else(Vec::new, |after| P::decided(before, after)) {
            let value = self.number(&value);
            if self.learned.insert((me, slot, value)) {
                self.tell(slot, value);
            }
        }
        for speech in said {
            match speech {
                Speech::Chosen(entries) => {
                    for (slot, value) in entries {
                        let value = self.number(value);
                        if !self.told.contains(&(*slot, value)) {
                            self.tell(*slot, value);
                        }
                    }
                }
                Speech::ChosenBefore(ballot, upto) if ballot.node == me => {
                    let known = node.chosen.entry(*ballot).or_default();
                    let slots = (*ballot, *known)..(*ballot, (*upto).max(*known));
                    let chosen: Vec<(u64, u64)> = self
                        .proposed
                        .range(slots)
                        .map(|((_, slot), v)| (*slot, *v))
                        .collect();
                    *known = (*upto).max(*known);
                    for (slot, value) in chosen {
                        if !self.told.contains(&(slot, value)) {
                            self.tell(slot, value);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    /// A value is said to be chosen: in a ballot in which a quorum has voted for it, if there is
    /// one, and otherwise in the highest in which anybody has.
    fn tell(&mut self, slot: u64, value: u64) {
        self.told.insert((slot, value));
        let none = Ballot {
            round: 0,
            node: NodeId(0),
        };
        let voted = self.voted.get(&(slot, value));
        let mut ballots = voted.into_iter().flatten().rev();
        let mut all = ballots.clone();
        let chosen = all.find(|(ballot, it)| self.quorums.chooses(**ballot, **it));
        let ballot = chosen
            .or_else(|| ballots.next())
            .map_or(none, |(it, _)| *it);
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
        let mut numbered = Votes::new();
        for (slot, vote) in votes.range(from..) {
            let (ballot, value) = (vote.ballot, self.number(&vote.value));
            numbered.push((*slot, Vote { ballot, value }));
        }
        numbered
    }
}
