//! The guards of `proofs/Check.v` in Rust, so that no Coq is needed to certify a run.
//!
//! The checker in Coq is what is proved; the tests compare the two. This file follows that one
//! guard by guard, and also names the broken [`Rule`].

use super::event::{Event, Votes};
use super::rule::{Rule, Verdict, Violation};
use crate::ballot::{Ballot, NodeId};
use crate::quorum::{AcceptorSet, QuorumSystem};
use crate::vote::{OrNone, Vote};
use imbl::OrdMap;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// An acceptor's last vote in each slot.
type Log = OrdMap<u64, Vote<u64>>;

/// The state of the checker after the events so far.
#[derive(Clone, Debug)]
pub struct Judge {
    quorums: QuorumSystem,
    promises: BTreeMap<NodeId, Ballot>,
    logs: BTreeMap<NodeId, Log>,
    requests: HashSet<u64>,
    /// The report of an acceptor that promised a ballot: the first slot, and its log.
    reports: BTreeMap<(Ballot, NodeId), (u64, Log)>,
    proposals: HashMap<(u64, Ballot), u64>,
    /// Fast ballots that were opened to any value.
    openings: HashSet<(u64, Ballot)>,
    votes: HashMap<(u64, Ballot), BTreeMap<NodeId, u64>>,
}

impl Judge {
    /// Creates the state before any event.
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

    /// Accepts an event if it is a step of the proved protocol.
    ///
    /// # Errors
    /// The rule that the event breaks. The state stays as it was.
    pub fn step(&mut self, event: &Event) -> Result<(), Violation> {
        self.may_happen(event)?;
        self.remember(event);
        Ok(())
    }

    fn may_happen(&self, event: &Event) -> Verdict {
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

    fn is_known(&self, acceptor: NodeId) -> Verdict {
        let is_known = self.quorums.acceptors().contains(acceptor);
        Rule::KnownAcceptor.ensure(is_known, || format!("{acceptor} is none"))
    }

    fn may_promise(&self, acceptor: NodeId, ballot: Ballot, from: u64, votes: &Votes) -> Verdict {
        self.is_known(acceptor)?;
        let promised = self.promises.get(&acceptor).copied();
        Rule::PromiseRises.ensure(promised < Some(ballot), || {
            format!("{acceptor} had promised {}", OrNone(&promised))
        })?;
        self.is_report(acceptor, from, votes)
    }

    /// Checks that a report has all the acceptor's votes in slots from one on, and no others.
    fn is_report(&self, acceptor: NodeId, from: u64, votes: &Votes) -> Verdict {
        let none = Log::new();
        let log = self.logs.get(&acceptor).unwrap_or(&none);
        let told: BTreeMap<u64, &Vote<u64>> = votes.iter().map(|(slot, it)| (*slot, it)).collect();
        let cast = log.range(from..).map(|(slot, vote)| (*slot, vote));
        let is_all = told.len() == votes.len() && told.iter().map(|(s, v)| (*s, *v)).eq(cast);
        Rule::VotesReported.ensure(is_all, || {
            let mut slots: BTreeSet<u64> = told.keys().copied().collect();
            slots.extend(log.range(from..).map(|(slot, _)| *slot));
            let mut differ = slots.into_iter();
            let at = differ.find(|slot| told.get(slot).copied() != log.get(slot));
            let at = at.unwrap_or_default();
            format!(
                "in slot {at} {acceptor} had voted {}, and reports {}",
                OrNone(&log.get(&at).filter(|_| at >= from)),
                OrNone(&told.get(&at))
            )
        })
    }

    /// Returns the vote that an acceptor reported for a slot when it promised a ballot, if it did.
    fn reported(&self, slot: u64, ballot: Ballot, acceptor: NodeId) -> Option<Option<&Vote<u64>>> {
        let (from, log) = self.reports.get(&(ballot, acceptor))?;
        (*from <= slot).then(|| log.get(&slot))
    }

    fn is_fresh(&self, slot: u64, ballot: Ballot) -> Verdict {
        let at = &(slot, ballot);
        let is_used = self.proposals.contains_key(at) || self.openings.contains(at);
        Rule::BallotUsedOnce.ensure(!is_used, || {
            format!("{ballot}, slot {slot} was opened or had another value proposed")
        })
    }

    /// Returns the reports that a quorum sent for a slot when it promised a ballot: the highest
    /// ballot of any vote, and the voters for each value in that ballot.
    fn answers(
        &self,
        slot: u64,
        ballot: Ballot,
        quorum: AcceptorSet,
    ) -> Result<(Option<Ballot>, BTreeMap<u64, AcceptorSet>), Violation> {
        let is_quorum =
            quorum.is_subset(self.quorums.acceptors()) && self.quorums.is_phase1(quorum);
        let rule = Rule::PromisedByQuorum;
        rule.ensure(is_quorum, || format!("{quorum} is none"))?;
        let (mut highest, mut votes) = (None, BTreeMap::new());
        for acceptor in quorum.iter() {
            let reported = self.reported(slot, ballot, acceptor).ok_or_else(|| {
                rule.broken(format!(
                    "{acceptor} has not promised {ballot} for slot {slot}"
                ))
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

    fn may_propose(&self, slot: u64, vote: &Vote<u64>, quorum: AcceptorSet) -> Verdict {
        let Vote { ballot, value } = *vote;
        self.is_fresh(slot, ballot)?;
        let (highest, votes) = self.answers(slot, ballot, quorum)?;
        let Some(highest) = highest else {
            let is_requested = self.requests.contains(&value);
            return Rule::ValueRequested.ensure(is_requested, || format!("{value} was not"));
        };
        Rule::HighestVote.ensure(votes.contains_key(&value), || {
            let values: Vec<String> = votes.keys().map(u64::to_string).collect();
            format!("that is {} of {highest}", values.join(" or "))
        })?;
        if !self.quorums.rounds().is_fast(highest) {
            return Ok(());
        }
        let others = votes.iter().filter(|(other, _)| **other != value);
        for (other, voters) in others {
            let is_blocked = self.quorums.blocks(highest, quorum.difference(*voters));
            Rule::ChoosableValue.ensure(is_blocked, || {
                format!("{other} may have been in {highest}, for which of {quorum} voted {voters}")
            })?;
        }
        Ok(())
    }

    fn may_open(&self, slot: u64, ballot: Ballot, quorum: AcceptorSet) -> Verdict {
        let is_fast = self.quorums.rounds().is_fast(ballot);
        Rule::FastBallotOpened.ensure(is_fast, || format!("{ballot} is classic"))?;
        self.is_fresh(slot, ballot)?;
        let (highest, _) = self.answers(slot, ballot, quorum)?;
        Rule::OpenedWithoutVotes.ensure(highest.is_none(), || {
            format!("one was of {}", OrNone(&highest))
        })
    }

    fn may_vote(&self, acceptor: NodeId, slot: u64, vote: &Vote<u64>) -> Verdict {
        self.is_known(acceptor)?;
        let Vote { ballot, value } = *vote;
        let promised = self.promises.get(&acceptor).copied();
        Rule::VoteKeepsPromise.ensure(promised <= Some(ballot), || {
            format!("{acceptor} had promised {}", OrNone(&promised))
        })?;
        let proposed = self.proposals.get(&(slot, ballot));
        let is_open = self.openings.contains(&(slot, ballot)) && self.requests.contains(&value);
        Rule::VoteForProposal.ensure(proposed == Some(&value) || is_open, || {
            format!("in {ballot}, slot {slot}, that is {}", OrNone(&proposed))
        })?;
        let last = self.logs.get(&acceptor).and_then(|log| log.get(&slot));
        let rises = last.is_none_or(|last| last.ballot < ballot || last == vote);
        Rule::VotesRise.ensure(rises, || {
            format!("{acceptor} had voted {} in slot {slot}", OrNone(&last))
        })
    }

    /// Checks that a quorum has voted for a value in one ballot.
    fn is_chosen(&self, slot: u64, vote: &Vote<u64>) -> Verdict {
        let Vote { ballot, value } = vote;
        let votes = self.votes.get(&(slot, *ballot)).into_iter().flatten();
        let voters = votes.filter(|(_, it)| *it == value);
        let voters: AcceptorSet = voters.map(|(acceptor, _)| *acceptor).collect();
        Rule::ChosenByQuorum.ensure(self.quorums.chooses(*ballot, voters), || {
            format!("in {ballot}, slot {slot}, {value} has those of {voters}")
        })
    }

    fn has_kept(&self, acceptor: NodeId, promised: Option<Ballot>, votes: &Votes) -> Verdict {
        self.is_known(acceptor)?;
        let known = self.promises.get(&acceptor).copied();
        Rule::PromiseKept.ensure(known == promised, || {
            let (known, promised) = (OrNone(&known), OrNone(&promised));
            format!("{acceptor} had promised {known}, and has {promised}")
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
