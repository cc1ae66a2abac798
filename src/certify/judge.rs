//! The guards of `proofs/Check.v` in Rust, so that no Coq is needed to certify a run.
//!
//! A mirror, and no more than that: what is proved is the checker in Coq, and the tests compare the
//! two. Guard by guard it is that file; where that says no, this says why.

use super::event::{Event, Votes};
use crate::ballot::{Ballot, NodeId};
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{OrNone, Vote};
use imbl::OrdMap;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// An acceptor's last vote in each slot.
type Log = OrdMap<u64, Vote<u64>>;

/// What the checker remembers of a run so far.
#[derive(Clone, Debug)]
pub struct Judge {
    quorums: QuorumSystem,
    promises: BTreeMap<NodeId, Ballot>,
    logs: BTreeMap<NodeId, Log>,
    requests: HashSet<u64>,
    /// What an acceptor reported when it promised a ballot: the first slot, and its log.
    reports: BTreeMap<(Ballot, NodeId), (u64, Log)>,
    proposals: HashMap<(u64, Ballot), u64>,
    /// Fast ballots that were opened to any value.
    openings: HashSet<(u64, Ballot)>,
    votes: HashMap<(u64, Ballot), BTreeMap<NodeId, u64>>,
}

impl Judge {
    /// Nothing has happened yet.
    #[must_use]
    pub fn new(quorums: QuorumSystem) -> Self {
        Self {
            quorums,
            promises: BTreeMap::new(),
            logs: BTreeMap::new(),
            requests: HashSet::new(),
            reports: BTreeMap::new(),
            proposals: HashMap::new(),
            openings: HashSet::new(),
            votes: HashMap::new(),
        }
    }

    /// Takes an event, if it is a step of the proved protocol.
    ///
    /// # Errors
    /// With the rule that it breaks. The judge is as before.
    pub fn step(&mut self, event: &Event) -> Result<(), String> {
        self.may_happen(event)?;
        self.remember(event);
        Ok(())
    }

    fn may_happen(&self, event: &Event) -> Result<(), String> {
        match event {
            Event::Requested { .. } => Ok(()),
            Event::Promised {
                acceptor,
                ballot,
                from,
                votes,
            } => self.may_promise(*acceptor, *ballot, *from, votes),
            Event::Proposed { slot, vote, quorum } => self.may_propose(*slot, vote, *quorum),
            Event::Opened {
                slot,
                ballot,
                quorum,
            } => self.may_open(*slot, *ballot, *quorum),
            Event::Voted {
                acceptor,
                slot,
                vote,
            } => self.may_vote(*acceptor, *slot, vote),
            Event::Learned { slot, vote } => self.is_chosen(*slot, vote),
            Event::Restarted {
                acceptor,
                promised,
                votes,
            } => self.has_kept(*acceptor, *promised, votes),
        }
    }

    fn is_known(&self, acceptor: NodeId) -> Result<(), String> {
        ensure(self.quorums.acceptors().contains(acceptor), || {
            format!("{acceptor} is no acceptor")
        })
    }

    fn may_promise(
        &self,
        acceptor: NodeId,
        ballot: Ballot,
        from: u64,
        votes: &Votes,
    ) -> Result<(), String> {
        self.is_known(acceptor)?;
        let promised = self.promises.get(&acceptor).copied();
        ensure(promised < Some(ballot), || {
            format!(
                "an acceptor promises only a ballot above its promise: {acceptor} had promised {}",
                OrNone(&promised)
            )
        })?;
        self.is_report(acceptor, from, votes)
    }

    /// Whether a report has all the acceptor's votes in slots from one on, and no others.
    fn is_report(&self, acceptor: NodeId, from: u64, votes: &Votes) -> Result<(), String> {
        let none = Log::new();
        let log = self.logs.get(&acceptor).unwrap_or(&none);
        let told: BTreeMap<u64, &Vote<u64>> = votes.iter().map(|(slot, it)| (*slot, it)).collect();
        let cast = log.range(from..).map(|(slot, vote)| (*slot, vote));
        let is_all = told.len() == votes.len() && told.iter().map(|(s, v)| (*s, *v)).eq(cast);
        ensure(is_all, || {
            let mut slots: BTreeSet<u64> = told.keys().copied().collect();
            slots.extend(log.range(from..).map(|(slot, _)| *slot));
            let mut differ = slots.into_iter();
            let at = differ.find(|slot| told.get(slot).copied() != log.get(slot));
            let at = at.unwrap_or_default();
            format!(
                "an acceptor tells all its votes, as it cast them: in slot {at} {acceptor} had \
                 voted {}, and tells {}",
                OrNone(&log.get(&at).filter(|_| at >= from)),
                OrNone(&told.get(&at))
            )
        })
    }

    /// What an acceptor reported for a slot when it promised a ballot, if it did.
    fn reported(&self, slot: u64, ballot: Ballot, acceptor: NodeId) -> Option<Option<&Vote<u64>>> {
        let (from, log) = self.reports.get(&(ballot, acceptor))?;
        (*from <= slot).then(|| log.get(&slot))
    }

    fn is_fresh(&self, slot: u64, ballot: Ballot) -> Result<(), String> {
        let at = &(slot, ballot);
        let is_used = self.proposals.contains_key(at) || self.openings.contains(at);
        ensure(!is_used, || {
            format!(
                "a ballot is used once: {ballot}, slot {slot} was opened or had another value \
                 proposed"
            )
        })
    }

    /// What a quorum that has promised a ballot told of a slot: the highest ballot of any vote,
    /// and whose votes in that were for which value.
    fn answers(
        &self,
        slot: u64,
        ballot: Ballot,
        quorum: AcceptorSet,
    ) -> Result<(Option<Ballot>, BTreeMap<u64, AcceptorSet>), String> {
        let is_quorum =
            quorum.is_subset(self.quorums.acceptors()) && self.quorums.is_phase1(quorum);
        ensure(is_quorum, || {
            format!("a proposal needs the promises of a quorum, and {quorum} is none")
        })?;
        let (mut highest, mut votes) = (None, BTreeMap::new());
        for acceptor in quorum.iter() {
            let reported = self.reported(slot, ballot, acceptor);
            let reported = reported.ok_or_else(|| {
                format!("{acceptor} has not promised {ballot} for slot {slot}, and is counted")
            })?;
            let Some(vote) = reported else { continue };
            if Some(vote.ballot) > highest {
                (highest, votes) = (Some(vote.ballot), BTreeMap::new());
            }
            if Some(vote.ballot) == highest {
                let voters: &mut AcceptorSet = votes.entry(vote.value).or_default();
                voters.insert(acceptor);
            }
        }
        Ok((highest, votes))
    }

    fn may_propose(&self, slot: u64, vote: &Vote<u64>, quorum: AcceptorSet) -> Result<(), String> {
        let Vote { ballot, value } = *vote;
        self.is_fresh(slot, ballot)?;
        let (highest, votes) = self.answers(slot, ballot, quorum)?;
        let Some(highest) = highest else {
            return ensure(self.requests.contains(&value), || {
                format!("only what was asked for is proposed, and {value} was not")
            });
        };
        ensure(votes.contains_key(&value), || {
            let values: Vec<String> = votes.keys().map(u64::to_string).collect();
            format!(
                "the value of the highest vote reported is proposed: that is {} of {highest}",
                values.join(" or ")
            )
        })?;
        let mut others = votes.iter().filter(|(other, _)| **other != value);
        let choosable = others
            .find(|(_, voters)| !self.quorums.blocks(highest, quorum.difference(**voters)))
            .filter(|_| self.quorums.rounds().is_fast(highest));
        ensure(choosable.is_none(), || {
            let (other, voters) = choosable.unwrap_or((&value, &quorum));
            format!(
                "what may have been chosen is proposed: {other} may have been in {highest}, for \
                 which of {quorum} voted {voters}"
            )
        })
    }

    fn may_open(&self, slot: u64, ballot: Ballot, quorum: AcceptorSet) -> Result<(), String> {
        ensure(self.quorums.rounds().is_fast(ballot), || {
            format!("only a fast ballot is opened, and {ballot} is classic")
        })?;
        self.is_fresh(slot, ballot)?;
        let (highest, _) = self.answers(slot, ballot, quorum)?;
        ensure(highest.is_none(), || {
            format!(
                "a ballot is opened only if no vote was reported, and one was of {}",
                OrNone(&highest)
            )
        })
    }

    fn may_vote(&self, acceptor: NodeId, slot: u64, vote: &Vote<u64>) -> Result<(), String> {
        self.is_known(acceptor)?;
        let Vote { ballot, value } = *vote;
        let promised = self.promises.get(&acceptor).copied();
        ensure(promised <= Some(ballot), || {
            format!(
                "an acceptor votes in no ballot below its promise: {acceptor} had promised {}",
                OrNone(&promised)
            )
        })?;
        let proposed = self.proposals.get(&(slot, ballot));
        let is_open = self.openings.contains(&(slot, ballot)) && self.requests.contains(&value);
        ensure(proposed == Some(&value) || is_open, || {
            format!(
                "an acceptor votes for what was proposed, or asked for if the ballot is open: in \
                 {ballot}, slot {slot}, that is {}",
                OrNone(&proposed)
            )
        })?;
        let last = self.logs.get(&acceptor).and_then(|log| log.get(&slot));
        ensure(
            last.is_none_or(|last| last.ballot < ballot || last == vote),
            || {
                format!(
                    "votes rise: {acceptor} had voted {} in slot {slot}",
                    OrNone(&last)
                )
            },
        )
    }

    /// Whether a quorum has voted for a value in one ballot.
    pub(super) fn is_chosen(&self, slot: u64, vote: &Vote<u64>) -> Result<(), String> {
        let votes = self.votes.get(&(slot, vote.ballot)).into_iter().flatten();
        let voters = votes.filter(|(_, value)| **value == vote.value);
        let voters: AcceptorSet = voters.map(|(acceptor, _)| *acceptor).collect();
        ensure(self.quorums.chooses(vote.ballot, voters), || {
            format!(
                "a value is chosen by the votes of a quorum in one ballot: in {}, slot {slot}, {} \
                 has those of {voters}",
                vote.ballot, vote.value
            )
        })
    }

    fn has_kept(
        &self,
        acceptor: NodeId,
        promised: Option<Ballot>,
        votes: &Votes,
    ) -> Result<(), String> {
        self.is_known(acceptor)?;
        let known = self.promises.get(&acceptor).copied();
        ensure(known == promised, || {
            format!(
                "an acceptor keeps its promise: {acceptor} had promised {}, and has {}",
                OrNone(&known),
                OrNone(&promised)
            )
        })?;
        self.is_report(acceptor, 0, votes)
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::Requested { value } => drop(self.requests.insert(*value)),
            Event::Promised {
                acceptor,
                ballot,
                from,
                ..
            } => {
                self.promises.insert(*acceptor, *ballot);
                let log = self.logs.get(acceptor).cloned().unwrap_or_default();
                self.reports.insert((*ballot, *acceptor), (*from, log));
            }
            Event::Proposed { slot, vote, .. } => {
                self.proposals.insert((*slot, vote.ballot), vote.value);
            }
            Event::Opened { slot, ballot, .. } => {
                self.openings.insert((*slot, *ballot));
            }
            Event::Voted {
                acceptor,
                slot,
                vote,
            } => {
                self.promises.insert(*acceptor, vote.ballot);
                let log = self.logs.entry(*acceptor).or_default();
                log.insert(*slot, vote.clone());
                let votes = self.votes.entry((*slot, vote.ballot)).or_default();
                votes.insert(*acceptor, vote.value);
            }
            Event::Learned { .. } | Event::Restarted { .. } => {}
        }
    }
}

fn ensure(holds: bool, rule: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(rule()) }
}
