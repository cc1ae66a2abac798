//! What a mutant is, and the actor that breaks its rule.
//!
//! A mutant breaks one rule from outside, by changing what the shipped actor is told, remembers or
//! sends: the roles stay free of code for mutants. Messages that a co-located node sends to itself
//! stay as they are: only the network lies.

use stateright::actor::{Actor, Command, Id, Out};
use std::borrow::Cow;
use std::fmt;
use synod::ballot::NodeId;
use synod::invariant::{
    Agreement, DecidedIsChosen, DecisionStands, Invariant, OneValuePerBallot, PromiseKept,
    VotesSafe,
};
use synod::quorum::AcceptorSet;

/// An actor whose nodes can break a rule.
pub trait Breakable: Actor<Random = ()> + Clone + fmt::Debug + Send + Sync + 'static {
    /// The roles, quorums and limits that a node knows.
    type Cluster;
    /// The state of a node.
    type Node;

    /// Returns the cluster and the state of a node, or `None` for a client, which has no rule to
    /// break.
    fn node<'a>(
        &'a self,
        state: &'a mut Self::State,
    ) -> Option<(&'a Self::Cluster, &'a mut Self::Node)>;
    /// Returns the part of a node's state that must survive a restart.
    fn durable(node: &Self::Node) -> Self::Storage;
}

/// A rule that can be broken, whatever the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The name on the command line.
    pub name: &'static str,
    /// A sentence that says what is done wrong.
    pub sentence: &'static str,
    /// The property that must notice; empty if the mutant is harmless.
    pub breaks: &'static str,
    /// A source: where somebody made this mistake, or why it is harmless.
    pub source: &'static str,
    /// The flags without which nothing can come of it.
    pub needs: &'static str,
    /// The flags, besides, of the smallest configuration that is known to kill it.
    pub smallest: &'static str,
}

impl Rule {
    /// Returns whether the mutant looks like a mistake and is none.
    #[must_use]
    pub fn is_harmless(&self) -> bool {
        self.breaks.is_empty()
    }
}

/// A rule that can be broken, and where that must come to light.
pub struct Mutant<A: Breakable> {
    /// The name on the command line.
    pub name: &'static str,
    /// A sentence that says what is done wrong.
    pub sentence: &'static str,
    /// The property that catches it, if checked alone; empty if the mutant is harmless.
    pub breaks: &'static str,
    /// A source: where somebody made this mistake, why it is tempting, or why it is harmless.
    pub source: &'static str,
    /// The flags without which nothing can come of it.
    pub needs: &'static str,
    /// The flags, besides, of the smallest configuration that is known to kill it.
    pub smallest: &'static str,
    /// Changes what a node finds on its disk when it restarts.
    pub restore: fn(&mut A::Storage),
    /// Changes the state of a node that has just started.
    pub started: fn(&mut A::Node),
    /// Returns the node that is taken for the sender of a message.
    pub alter_sender: fn(&A::Cluster, &A::Node, NodeId, &A::Msg) -> NodeId,
    /// Changes a message that arrives, and what the node remembers while it handles it.
    pub alter_input: fn(&A::Cluster, &mut A::Node, NodeId, &mut A::Msg),
    /// Changes the state after a message was handled.
    pub after: fn(&Step<A>, &mut A::Node),
    /// Changes a message that the node sends.
    pub alter_output: fn(&A::Node, &mut A::Msg),
    /// Returns messages to send besides, after a message was handled.
    pub extra_send: fn(&Step<A>, &A::Node) -> Sends<A>,
    /// Whether messages leave before what they tell of is saved.
    pub saves_late: bool,
}

/// The mutant whose rule is broken, if one is.
pub type Broken<A> = Option<&'static Mutant<A>>;

/// Messages to send, each with its receiver.
pub type Sends<A> = Vec<(NodeId, <A as Actor>::Msg)>;

/// A message that a mutant handled.
pub struct Step<'a, A: Breakable> {
    /// The cluster.
    pub cluster: &'a A::Cluster,
    /// The node as it was.
    pub before: &'a A::Node,
    /// The sender.
    pub src: NodeId,
    /// The message.
    pub message: &'a A::Msg,
}

impl<A: Breakable> Mutant<A> {
    /// A mutant that breaks nothing: what an entry does not name is done as it was shipped.
    ///
    /// All messages are kept, since which are stale is a claim about the unbroken protocol.
    pub const NONE: Self = Self {
        name: "",
        sentence: "",
        breaks: "",
        source: "",
        needs: "--drop-stale off --forget off",
        smallest: "",
        restore: |_| {},
        started: |_| {},
        alter_sender: |_, _, src, _| src,
        alter_input: |_, _, _, _| {},
        after: |_, _| {},
        alter_output: |_, _| {},
        extra_send: |_, _| Vec::new(),
        saves_late: false,
    };

    /// The rule, whatever the protocol.
    #[must_use]
    pub fn rule(&self) -> Rule {
        Rule {
            name: self.name,
            sentence: self.sentence,
            breaks: self.breaks,
            source: self.source,
            needs: self.needs,
            smallest: self.smallest,
        }
    }
}

/// The source of a mistake in counting.
const COUNTER: &str =
    "a counter in the place of a set; stateright's paxos example survives it in its tests";

/// The mistakes that can be made in several protocols. How, and the flags that show it, each
/// protocol adds.
impl<A: Breakable> Mutant<A> {
    /// A mistake that shows after a restart.
    pub const OF_RESTARTS: Self = Self {
        needs: "--crashes 1 --drop-stale off --forget off",
        ..Self::NONE
    };
    /// A vote below a promise.
    pub const VOTE_BELOW_PROMISE: Self = Self {
        name: "vote-below-promise",
        sentence: "An acceptor votes although it promised a higher ballot.",
        breaks: PromiseKept::PROPERTY,
        source: "a classic: phase 2b without its guard; `Phase2b` of Paxos.tla",
        ..Self::NONE
    };
    /// A vote that is no promise.
    pub const KEEP_PROMISE: Self = Self {
        name: "keep-promise",
        sentence: "An acceptor that votes does not raise its promise to the ballot of its vote.",
        breaks: VotesSafe::PROPERTY,
        source: "Brooker, The Bug in Paxos Made Simple: the paper's wording allows it",
        ..Self::NONE
    };
    /// A promise counted twice.
    pub const COUNT_PROMISE_TWICE: Self = Self {
        name: "count-promise-twice",
        sentence: "A proposer counts a promise that comes again as another acceptor's.",
        breaks: VotesSafe::PROPERTY,
        source: COUNTER,
        ..Self::NONE
    };
    /// A vote counted twice.
    pub const COUNT_VOTE_TWICE: Self = Self {
        name: "count-vote-twice",
        sentence: "A learner counts a vote that comes again as another acceptor's.",
        breaks: DecidedIsChosen::PROPERTY,
        source: COUNTER,
        ..Self::NONE
    };
    /// Votes of several ballots added up.
    pub const ADD_ACROSS_BALLOTS: Self = Self {
        name: "add-across-ballots",
        sentence: "A learner adds up votes for one value from several ballots.",
        breaks: DecidedIsChosen::PROPERTY,
        source: "counting values, not proposals; what chosen means in Voting.tla",
        ..Self::NONE
    };
    /// A promise lost in a restart.
    pub const FORGET_PROMISE: Self = Self {
        name: "forget-promise",
        sentence: "An acceptor that restarts has lost its promise.",
        breaks: PromiseKept::PROPERTY,
        source: "akka-raft issue 62 and stateright's own raft example, whose votes are not saved",
        ..Self::OF_RESTARTS
    };
    /// A vote lost in a restart.
    pub const FORGET_VOTE: Self = Self {
        name: "forget-vote",
        sentence: "An acceptor that restarts has lost its vote.",
        breaks: Agreement::PROPERTY,
        source: "Paxos Made Live, section 5.1: disks that come back empty",
        ..Self::OF_RESTARTS
    };
    /// A decision lost in a restart.
    pub const FORGET_DECISION: Self = Self {
        name: "forget-decision",
        sentence: "A node that restarts has lost its decision.",
        breaks: DecisionStands::PROPERTY,
        source: "a decision that is kept in memory alone",
        ..Self::OF_RESTARTS
    };
    /// A ballot used again after a restart.
    pub const REUSE_BALLOT: Self = Self {
        name: "reuse-ballot",
        sentence: "A proposer that restarts begins again with its first ballot.",
        breaks: OneValuePerBallot::PROPERTY,
        source: "phxpaxos issue 145: what makes ballots unique after a restart",
        ..Self::OF_RESTARTS
    };
    /// A message ahead of its save.
    pub const SEND_BEFORE_SAVE: Self = Self {
        name: "send-before-save",
        sentence: "A node sends its messages before what it saves is on disk.",
        breaks: Agreement::PROPERTY,
        source: "ZooKeeper issues 3911, 4643 and 4646; stateright's `Save` is synced by nobody",
        needs: "--crashes 1 --storage split --drop-stale off --forget off",
        saves_late: true,
        ..Self::NONE
    };
}

impl<A: Breakable> fmt::Debug for Mutant<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Mutants of a protocol have different names.
impl<A: Breakable> PartialEq for Mutant<A> {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl<A: Breakable> Eq for Mutant<A> {}

/// Returns the sender of a message, or, if it is counted already, an acceptor that is not.
#[must_use]
pub fn uncounted(acceptors: AcceptorSet, counted: AcceptorSet, src: NodeId) -> NodeId {
    let mut others = acceptors.difference(counted).iter();
    let other = others.next().filter(|_| counted.contains(src));
    other.unwrap_or(src)
}

/// The shipped actor with one rule broken, or with none: one type for both, so that whatever checks
/// either is compiled once.
#[derive(Clone, Debug)]
pub struct Mutated<A: Breakable> {
    actor: A,
    mutant: Broken<A>,
}

impl<A: Breakable> Mutated<A> {
    /// The actor with the rule of `mutant` broken, or as it was shipped.
    #[must_use]
    pub fn new(actor: A, mutant: Broken<A>) -> Self {
        Self { actor, mutant }
    }
}

/// A command of an actor to whoever runs it.
type CommandOf<A> = Command<<A as Actor>::Msg, <A as Actor>::Timer, (), <A as Actor>::Storage>;

impl<A: Breakable> Mutant<A> {
    /// Passes on the commands of a node, saves first unless they are late.
    fn forward(
        &self,
        node: &A::Node,
        commands: impl IntoIterator<Item = CommandOf<A>>,
        out: &mut Out<Mutated<A>>,
    ) {
        let altered = commands.into_iter().map(|command| match command {
            Command::Send(to, mut message) => {
                (self.alter_output)(node, &mut message);
                Command::Send(to, message)
            }
            command => command,
        });
        let is_save = |it: &CommandOf<A>| matches!(it, Command::Save(_));
        let (first, last): (Vec<_>, Vec<_>) =
            altered.partition(|it| is_save(it) != self.saves_late);
        out.append(&mut first.into_iter().chain(last).collect::<Out<A>>());
    }
}

impl<A: Breakable> Actor for Mutated<A> {
    type Msg = A::Msg;
    type Timer = A::Timer;
    type State = A::State;
    type Storage = A::Storage;
    type Random = ();

    fn on_start(&self, id: Id, storage: &Option<A::Storage>, out: &mut Out<Self>) -> A::State {
        let mut storage = storage.clone();
        if let (Some(mutant), Some(storage)) = (self.mutant, &mut storage) {
            (mutant.restore)(storage);
        }
        let mut inner = Out::new();
        let mut state = self.actor.on_start(id, &storage, &mut inner);
        if let (Some(mutant), Some((_, node))) = (self.mutant, self.actor.node(&mut state)) {
            (mutant.started)(node);
        }
        out.append(&mut inner);
        state
    }

    fn on_msg(
        &self,
        id: Id,
        state: &mut Cow<A::State>,
        src: Id,
        mut msg: A::Msg,
        out: &mut Out<Self>,
    ) {
        let mut inner = Out::new();
        let mut before = self.mutant.map(|_| state.clone().into_owned());
        let before = before.as_mut().and_then(|state| self.actor.node(state));
        let (Some(mutant), Some((cluster, before))) = (self.mutant, before) else {
            self.actor.on_msg(id, state, src, msg, &mut inner);
            return out.append(&mut inner);
        };
        let src = (mutant.alter_sender)(cluster, before, src.into(), &msg);
        let mut misled = state.clone().into_owned();
        if let Some((_, node)) = self.actor.node(&mut misled) {
            (mutant.alter_input)(cluster, node, src, &mut msg);
        }
        let message = &msg.clone();
        let mut misled = Cow::Owned(misled);
        self.actor
            .on_msg(id, &mut misled, src.into(), msg, &mut inner);
        let mut after = misled.into_owned();
        if let Some((_, node)) = self.actor.node(&mut after) {
            let step = Step {
                cluster,
                before,
                src,
                message,
            };
            (mutant.after)(&step, node);
            for (to, message) in (mutant.extra_send)(&step, node) {
                inner.send(to.into(), message);
            }
            // What is saved is what the mutant remembers.
            let saved = Some(A::durable(node)).filter(|it| *it != A::durable(step.before));
            let others = inner.into_iter();
            let others = others.filter(|command| !matches!(command, Command::Save(_)));
            let commands = saved.map(Command::Save).into_iter().chain(others);
            mutant.forward(node, commands, out);
        }
        if after != **state {
            *state = Cow::Owned(after);
        }
    }

    fn on_timeout(&self, id: Id, state: &mut Cow<A::State>, timer: &A::Timer, out: &mut Out<Self>) {
        let mut inner = Out::new();
        self.actor.on_timeout(id, state, timer, &mut inner);
        let mut after = self.mutant.map(|_| state.clone().into_owned());
        let after = after.as_mut().and_then(|state| self.actor.node(state));
        match (self.mutant, after) {
            (Some(mutant), Some((_, node))) => mutant.forward(node, inner, out),
            _ => out.append(&mut inner),
        }
    }

    fn name(&self) -> String {
        self.actor.name()
    }
}
