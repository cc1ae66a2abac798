//! The rules that a run is judged by.

use serde::{Serialize, Serializer};

/// Defines each rule by a name and a sentence, which is also its documentation.
macro_rules! rules {
    ($($rule:ident $name:literal $sentence:literal)*) => {
        /// A rule that a run is judged by.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $(#[doc = $sentence] $rule,)*
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Rule] = &[$(Rule::$rule),*];

            /// Returns the name, as `synod certify --json` prints it.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Rule::$rule => $name),* }
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
    SentBeforeReceived "sent-before-received"
        "a message is sent before it is received"
    StartFirst "start-first"
        "a node starts before it takes any other step"
    StartFromDisk "start-from-disk"
        "a node starts from what it has saved"
    ClockReadings "clock-readings"
        "a node reads the clock as often as the actor"
    Saves "saves"
        "a node saves what the actor saves"
    Sends "sends"
        "a node sends what the actor sends"
    KnownAcceptor "known-acceptor"
        "only an acceptor of the cluster promises, votes or restarts"
    PromiseRises "promise-rises"
        "an acceptor promises only a ballot above its promise"
    PromiseKept "promise-kept"
        "an acceptor keeps its promise"
    VotesReported "votes-reported"
        "an acceptor reports all its votes as it cast them"
    VoteKeepsPromise "vote-keeps-promise"
        "an acceptor votes in no ballot below its promise"
    VoteForProposal "vote-for-proposal"
        "an acceptor votes for a proposed value, or for a requested value if the ballot is open"
    VotesRise "votes-rise"
        "an acceptor votes for another value only in a higher ballot"
    BallotUsedOnce "ballot-used-once"
        "a ballot is used once in a slot"
    PromisedByQuorum "promised-by-quorum"
        "a proposal needs the promises of a quorum"
    ValueRequested "value-requested"
        "only a requested value is proposed"
    HighestVote "highest-vote"
        "the value of the highest reported vote is proposed"
    ChoosableValue "choosable-value"
        "a value that may have been chosen is proposed"
    FastBallotOpened "fast-ballot-opened"
        "only a fast ballot is opened"
    OpenedWithoutVotes "opened-without-votes"
        "a ballot is opened only if no vote was reported"
    ChosenByQuorum "chosen-by-quorum"
        "a value is chosen by the votes of a quorum in one ballot"
    ProvedStep "proved-step"
        "an event is a step of the proved protocol"
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl Rule {
    /// Returns a violation, with what was found, if the rule does not hold.
    pub(super) fn ensure(
        self,
        holds: bool,
        found: impl FnOnce() -> String,
    ) -> Result<(), Violation> {
        if holds {
            Ok(())
        } else {
            Err(self.broken(found()))
        }
    }

    /// Returns the violation of this rule by what was found.
    pub(super) fn broken(self, found: String) -> Violation {
        Violation { rule: self, found }
    }
}

/// A broken rule, and what breaks it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {found}", rule.sentence())]
pub struct Violation {
    /// The rule.
    pub rule: Rule,
    /// The facts that contradict the rule.
    pub found: String,
}
