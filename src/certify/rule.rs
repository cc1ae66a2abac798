//! The rules that a run is judged by.

use serde::Serialize;

/// Defines each rule by its sentence, which is also its documentation.
macro_rules! rules {
    ($($rule:ident: $sentence:literal;)*) => {
        /// A rule that a run is judged by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        pub enum Rule {
            $(#[doc = $sentence] $rule,)*
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// Returns the name, as `synod certify --json` prints it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Rule::$rule => stringify!($rule)),* }
            }

            /// Returns the rule in words.
            #[must_use]
            pub fn sentence(self) -> &'static str {
                match self { $(Rule::$rule => $sentence),* }
            }
        }
    };
}

rules! {
    SentBeforeReceived: "a message is sent before it is received";
    StartFirst: "a node starts before it takes any other step";
    StartFromDisk: "a node starts from what it has saved";
    ClockReadings: "a node reads the clock as often as the actor";
    Saves: "a node saves what the actor saves";
    Sends: "a node sends what the actor sends";
    KnownAcceptor: "only an acceptor of the cluster promises, votes or restarts";
    PromiseRises: "an acceptor promises only a ballot above its promise";
    PromiseKept: "an acceptor keeps its promise";
    VotesReported: "an acceptor reports all its votes as it cast them";
    VoteKeepsPromise: "an acceptor votes in no ballot below its promise";
    VoteForProposal:
        "an acceptor votes for a proposed value, or for a requested value if the ballot is open";
    VotesRise: "an acceptor votes for another value only in a higher ballot";
    BallotUsedOnce: "a ballot is used once in a slot";
    PromisedByQuorum: "a proposal needs the promises of a quorum";
    ValueRequested: "only a requested value is proposed";
    HighestVote: "the value of the highest reported vote is proposed";
    ChoosableValue: "a value that may have been chosen is proposed";
    FastBallotOpened: "only a fast ballot is opened";
    OpenedWithoutVotes: "a ballot is opened only if no vote was reported";
    ChosenByQuorum: "a value is chosen by the votes of a quorum in one ballot";
    ProvedStep: "an event is a step of the proved protocol";
}

impl Rule {
    /// Returns a violation, with what was found, if the rule does not hold.
    pub(super) fn ensure(self, holds: bool, found: impl FnOnce() -> String) -> Verdict {
        match holds {
            true => Ok(()),
            false => Err(self.broken(found())),
        }
    }

    /// Returns the violation of this rule by what was found.
    pub(super) fn broken(self, found: String) -> Violation {
        Violation { rule: self, found }
    }
}

/// The verdict of a judge on one step.
pub(super) type Verdict = Result<(), Violation>;

/// A broken rule, and what breaks it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {found}", rule.sentence())]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The facts that contradict the rule.
    pub found: String,
}
