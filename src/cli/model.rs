//! The models, each with its configuration: what the commands that check and explore go by.

use super::output::{Output, warn};
use super::{Error, explore};
use crate::models::basic;
use crate::models::calls::{Calls, Recorder};
use crate::models::fast;
use crate::models::fast::mutants::Subject as FastSubject;
use crate::models::multi::mutants::Subject as MultiSubject;
use crate::models::multi::{self, Reads};
use crate::models::mutants::{Mutant, Subject};
use crate::models::scenarios::{self, Run, Scenario};
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use synod::checker::search::{self, Limits, Progress, Report};
use synod::checker::{Options, StorageMode, System, World};

/// A model and its configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Model {
    /// Basic Paxos, or with one rule broken.
    Basic(basic::Config, Option<&'static Mutant>),
    /// Multi-Paxos, or with one rule broken.
    Multi(multi::Config, Option<&'static multi::mutants::Mutant>),
    /// Fast Paxos, or with one rule broken.
    Fast(fast::Config, Option<&'static fast::mutants::Mutant>),
}

/// The same for every protocol: `$body`, with the configuration, the mutant if there is one, and
/// the module of the model.
macro_rules! each {
    ($model:expr, |$config:ident, $mutant:ident, $module:ident| $body:expr) => {
        match $model {
            Model::Basic($config, $mutant) => {
                use basic as $module;
                $body
            }
            Model::Multi($config, $mutant) => {
                use multi as $module;
                $body
            }
            Model::Fast($config, $mutant) => {
                use fast as $module;
                $body
            }
        }
    };
    ($model:expr, |$config:ident, $mutant:ident| $body:expr) => {
        match $model {
            Model::Basic($config, $mutant) => $body,
            Model::Multi($config, $mutant) => $body,
            Model::Fast($config, $mutant) => $body,
        }
    };
}

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BrokenRule {
    /// Its name on the command line.
    pub(super) name: &'static str,
    /// What is done instead.
    pub(super) sentence: &'static str,
    /// The property that must notice; empty if nothing is broken by it.
    pub(super) breaks: &'static str,
    /// Where somebody made this mistake, or why it does no harm.
    pub(super) seen: &'static str,
}

impl BrokenRule {
    /// Whether it looks like a mistake and is none.
    pub(super) fn is_harmless(&self) -> bool {
        self.breaks.is_empty()
    }
}

/// Flags, and what they are given.
type Flags = Vec<(&'static str, String)>;

impl Model {
    /// Its name on the command line.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Model::Basic(..) => "basic",
            Model::Multi(..) => "multi",
            Model::Fast(..) => "fast",
        }
    }

    /// Its name in words.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Model::Basic(..) => "Basic Paxos",
            Model::Multi(..) => "Multi-Paxos",
            Model::Fast(..) => "Fast Paxos",
        }
    }

    /// The rule that is broken, if one is.
    pub(super) fn mutant(&self) -> Option<BrokenRule> {
        each!(self, |_config, mutant| mutant.map(|it| BrokenRule {
            name: it.name,
            sentence: it.sentence,
            breaks: it.breaks,
            seen: it.seen,
        }))
    }

    /// The smallest model that is known to show what the broken rule leads to, if one is broken.
    pub(super) fn killer(&self) -> Option<Model> {
        match self {
            Model::Basic(_, mutant) => mutant.map(|it| Model::Basic(it.smallest(), Some(it))),
            Model::Multi(_, mutant) => mutant.map(|it| Model::Multi(it.smallest(), Some(it))),
            Model::Fast(_, mutant) => mutant.map(|it| Model::Fast(it.smallest(), Some(it))),
        }
    }

    /// Says which rule is broken, if one is.
    pub(super) fn introduce(&self, output: &mut Output) -> Result<(), Error> {
        if let Some(mutant) = self.mutant() {
            output.line(format_args!("{} {}", warn("Mutant:"), mutant.sentence))?;
        }
        Ok(())
    }

    /// Name and flags that ask for it again: those that differ from what they would be given
    /// without a word.
    pub(super) fn command(&self) -> String {
        let (given, plain) = match self {
            Model::Basic(config, mutant) => {
                let plain = basic::Config::default();
                let plain = mutant.map_or(plain.clone(), |mutant| mutant.prepare(plain));
                (basic_flags(config), basic_flags(&plain))
            }
            Model::Multi(config, mutant) => {
                let plain = multi::Config::default();
                let plain = mutant.map_or(plain.clone(), |mutant| mutant.prepare(plain));
                (multi_flags(config), multi_flags(&plain))
            }
            Model::Fast(config, mutant) => {
                let plain = fast::Config::default();
                let plain = mutant.map_or(plain.clone(), |mutant| mutant.prepare(plain));
                (fast_flags(config), fast_flags(&plain))
            }
        };
        let mut command = self.name().to_owned();
        // Writing to a string cannot fail.
        for (flag, value) in given.into_iter().filter(|given| !plain.contains(given)) {
            let _ = write!(command, " --{flag} {value}");
        }
        if let Some(mutant) = self.mutant() {
            let _ = write!(command, " --mutant {}", mutant.name);
        }
        command
    }

    /// The flags alone.
    pub(super) fn flags(&self) -> String {
        let command = self.command();
        command
            .split_once(' ')
            .map_or("", |(_, flags)| flags)
            .to_owned()
    }

    /// The configuration in words.
    pub(super) fn describe(&self) -> String {
        match self {
            Model::Basic(config, _) => describe_basic(config),
            Model::Multi(config, _) => describe_multi(config),
            Model::Fast(config, _) => describe_fast(config),
        }
    }

    /// The same with every message kept that was ever sent, however late it would come.
    pub(super) fn with_all_messages(mut self) -> Self {
        let (drops_stale, forgets) = each!(&mut self, |config, _mutant| (
            &mut config.drops_stale,
            &mut config.forgets
        ));
        (*drops_stale, *forgets) = (false, false);
        self
    }

    /// Searches it, with its handlers' calls written down if that is asked for, and for nothing
    /// but violations of one property if only that is to be looked for.
    pub(super) fn search(
        &self,
        limits: Limits,
        calls: Option<&Arc<Calls>>,
        focus: Option<&'static str>,
        progress: impl FnMut(Progress),
    ) -> Result<Report, Error> {
        let result = each!(self, |config, mutant| {
            let (system, options) = (config.subject(*mutant)?, config.options());
            match calls {
                None => search_in(&system, options, focus, limits, progress),
                Some(calls) => {
                    calls.begin(self.name(), system.cluster());
                    let recorded = system.map(|actor| Recorder::new(actor, calls));
                    search_in(&recorded, options, focus, limits, progress)
                }
            }
        });
        result.map_err(|error| match error {
            search::Error::Unsound(_) => Error::Other(format!(
                "{error}\nWhich messages can never matter again, and who is interchangeable, are \
                 claims about the protocol as it was written; check without them: --drop-stale \
                 off --symmetry off"
            )),
            search::Error::Panicked | search::Error::Eventually(_) | search::Error::TooMany(..) => {
                Error::other(error)
            }
        })
    }

    /// Whether it makes a system at all.
    pub(super) fn validate(&self) -> Result<(), Error> {
        each!(self, |config, _mutant| config
            .system()
            .map(|_| ())
            .map_err(Error::other))
    }

    /// Serves it in the Explorer, for ever.
    pub(super) fn serve(&self, address: SocketAddr) -> Result<(), Error> {
        each!(self, |config, mutant| {
            let system = config.subject(*mutant)?;
            let world = || World::new(system.clone(), config.options()).unfolded();
            explore::serve(address, world);
        });
        Ok(())
    }

    /// Plays a scenario in it, in the world that [`serve`](Self::serve) shows.
    pub(super) fn play(&self, scenario: &Scenario) -> Result<Run, Error> {
        let run = each!(self, |config, mutant, module| {
            let system = config.subject(*mutant)?;
            let world = World::new(system, config.options()).unfolded();
            scenarios::play(scenario, &world, module::chosen)
        });
        run.map_err(Error::other)
    }
}

/// A configuration, and what is checked in it: the shipped processes, or broken ones.
trait Configured {
    type Mutant: 'static;
    type System;

    fn subject(&self, mutant: Option<&'static Self::Mutant>) -> Result<Self::System, Error>;
}

macro_rules! configured {
    ($($module:ident, $system:ident, $subject:ident, $mutant:ty;)+) => {
        $(impl Configured for $module::Config {
            type Mutant = $mutant;
            type System = $module::$system<$subject>;

            fn subject(&self, mutant: Option<&'static $mutant>) -> Result<Self::System, Error> {
                let system = self.system().map_err(Error::other)?;
                Ok(system.map(|it| $subject::perhaps(it, mutant)))
            }
        })+
    };
}

configured! {
    basic, Basic, Subject, Mutant;
    multi, Multi, MultiSubject, multi::mutants::Mutant;
    fast, Fast, FastSubject, fast::mutants::Mutant;
}

fn search_in<S: System + Clone>(
    system: &S,
    options: Options,
    focus: Option<&'static str>,
    limits: Limits,
    progress: impl FnMut(Progress),
) -> Result<Report, search::Error> {
    let world = || focused(World::new(system.clone(), options), focus);
    search::run(world, limits, progress)
}

/// The world with one property only, if one is named.
fn focused<S: System>(world: World<S>, property: Option<&'static str>) -> World<S> {
    match property {
        Some(property) => world.focus_on(property),
        None => world,
    }
}

fn switch(is_on: bool) -> String {
    if is_on { "on" } else { "off" }.to_owned()
}

fn storage(storage: StorageMode) -> String {
    match storage {
        StorageMode::Atomic => "atomic".to_owned(),
        StorageMode::Split => "split".to_owned(),
    }
}

fn option_flags(options: Options) -> Flags {
    vec![
        ("crashes", options.crashes.to_string()),
        ("storage", storage(options.storage)),
        ("symmetry", switch(options.symmetry)),
        ("drop-stale", switch(options.drops_stale)),
        ("forget", switch(options.forgets)),
        ("postpone", switch(options.postpones)),
    ]
}

fn basic_flags(config: &basic::Config) -> Flags {
    let layout = match config.layout {
        basic::Layout::Separated => "separated",
        basic::Layout::Colocated => "colocated",
    };
    let mut flags = vec![
        ("layout", layout.to_owned()),
        ("acceptors", config.acceptors.to_string()),
        ("proposers", config.proposers.to_string()),
        ("ballots", config.ballots.to_string()),
        ("clients", config.clients.to_string()),
        ("quorums", config.quorums.to_string()),
        ("nacks", switch(config.nacks)),
        ("replies", switch(config.replies)),
    ];
    flags.extend(option_flags(config.options()));
    flags
}

fn multi_flags(config: &multi::Config) -> Flags {
    let reads = match config.reads {
        Reads::None => "none",
        Reads::Log => "log",
        Reads::Index => "index",
        Reads::Lease => "lease",
    };
    let pair = |(a, b): (u64, u64)| format!("{a},{b}");
    let layout = match config.layout {
        multi::Layout::Separated => "separated",
        multi::Layout::Learning => "learning",
        multi::Layout::Colocated => "colocated",
    };
    let mut flags = vec![
        ("layout", layout.to_owned()),
        ("acceptors", config.acceptors.to_string()),
        ("proposers", config.proposers.to_string()),
        ("ballots", config.ballots.to_string()),
        ("slots", config.slots.to_string()),
        ("clients", config.clients.to_string()),
        ("window", config.window.to_string()),
        ("batch", config.batch.to_string()),
        ("gather", switch(config.gathers)),
        ("quorums", config.quorums.to_string()),
        ("nacks", switch(config.nacks)),
        ("replies", switch(config.replies)),
        ("reads", reads.to_owned()),
        ("chunk", config.chunk.to_string()),
        ("heartbeats", switch(config.heartbeats)),
        ("clocks", pair(config.clocks)),
    ];
    let optional = [
        ("sessions", config.sessions.map(|it| it.to_string())),
        ("snapshot", config.snapshot.map(|it| it.to_string())),
        ("lease", config.lease.map(pair)),
    ];
    flags.extend(
        optional
            .into_iter()
            .filter_map(|(flag, value)| Some((flag, value?))),
    );
    flags.extend(option_flags(config.options()));
    flags
}

fn fast_flags(config: &fast::Config) -> Flags {
    let layout = match config.layout {
        basic::Layout::Separated => "separated",
        basic::Layout::Colocated => "colocated",
    };
    let mut flags = vec![
        ("layout", layout.to_owned()),
        ("acceptors", config.acceptors.to_string()),
        ("coordinators", config.coordinators.to_string()),
        ("ballots", config.ballots.to_string()),
        ("fast-rounds", config.fast.to_string()),
        ("clients", config.clients.to_string()),
        ("nacks", switch(config.nacks)),
        ("replies", switch(config.replies)),
    ];
    flags.extend(config.quorums.map(|it| ("quorums", it.to_string())));
    flags.extend(option_flags(config.options()));
    flags
}

/// A number of things.
fn many(count: u64, one: &str) -> String {
    match (count, one.ends_with('h')) {
        (1, _) => format!("1 {one}"),
        (_, true) => format!("{count} {one}es"),
        (_, false) => format!("{count} {one}s"),
    }
}

/// What is special about the world of a configuration.
fn describe_options(options: Options) -> Vec<String> {
    let mut parts = Vec::new();
    let mut add = |applies: bool, part: &str| parts.extend(applies.then(|| part.to_owned()));
    add(options.storage == StorageMode::Split, "split storage");
    add(!options.symmetry, "no symmetry reduction");
    add(!options.drops_stale, "stale messages kept");
    add(!options.forgets, "nothing forgotten");
    add(!options.postpones, "nothing postponed");
    parts
}

fn describe_basic(config: &basic::Config) -> String {
    let mut parts = vec![
        many(config.acceptors.into(), "acceptor"),
        many(config.proposers.into(), "proposer"),
        format!("{} each", many(config.ballots, "ballot")),
        many(config.clients.into(), "client"),
    ];
    let mut add = |applies: bool, part: String| parts.extend(applies.then_some(part));
    add(
        config.asks == basic::Asks::One,
        "each asking one proposer".to_owned(),
    );
    add(
        config.learners != 1,
        many(config.learners.into(), "learner"),
    );
    add(config.crashes > 0, many(config.crashes as u64, "crash"));
    add(true, format!("{} quorums", config.quorums));
    let layout = match config.layout {
        basic::Layout::Separated => "a role per process",
        basic::Layout::Colocated => "all roles at each node",
    };
    add(true, layout.to_owned());
    add(config.nacks, "nacks".to_owned());
    add(config.replies, "clients wait for replies".to_owned());
    parts.extend(describe_options(config.options()));
    parts.join(", ")
}

fn describe_fast(config: &fast::Config) -> String {
    let mut parts = vec![
        many(config.acceptors.into(), "acceptor"),
        many(config.coordinators.into(), "coordinator"),
        format!("{} each", many(config.ballots, "ballot")),
        many(config.clients.into(), "client"),
    ];
    let mut add = |applies: bool, part: String| parts.extend(applies.then_some(part));
    add(config.crashes > 0, many(config.crashes as u64, "crash"));
    add(true, format!("{} quorums", config.spec()));
    add(true, many(config.fast, "fast round"));
    let layout = match config.layout {
        basic::Layout::Separated => "a role per process",
        basic::Layout::Colocated => "all roles at each node",
    };
    add(true, layout.to_owned());
    add(config.nacks, "nacks".to_owned());
    add(config.replies, "clients wait for replies".to_owned());
    parts.extend(describe_options(config.options()));
    parts.join(", ")
}

fn describe_multi(config: &multi::Config) -> String {
    let mut parts = vec![
        many(config.acceptors.into(), "acceptor"),
        many(config.proposers.into(), "proposer"),
        format!("{} each", many(config.ballots, "ballot")),
        many(config.slots, "slot"),
        many(config.clients.into(), "client"),
    ];
    let mut add = |applies: bool, part: String| parts.extend(applies.then_some(part));
    add(config.crashes > 0, many(config.crashes as u64, "crash"));
    add(true, format!("{} quorums", config.quorums));
    let layout = match config.layout {
        multi::Layout::Separated => "acceptors and leaders apart",
        multi::Layout::Learning => "acceptors that learn, leaders apart",
        multi::Layout::Colocated => "all roles at each node",
    };
    add(true, layout.to_owned());
    add(
        config.window != 2,
        format!("{} under way", many(config.window as u64, "slot")),
    );
    add(
        config.batch > 1,
        format!("{} per slot", many(config.batch as u64, "request")),
    );
    add(config.gathers, "requests gather".to_owned());
    add(config.nacks, "nacks".to_owned());
    add(config.replies, "clients wait for replies".to_owned());
    let reads = match config.reads {
        Reads::None => None,
        Reads::Log => Some("a read through the log"),
        Reads::Index => Some("a read by index"),
        Reads::Lease => Some("a read by lease"),
    };
    add(reads.is_some(), reads.unwrap_or_default().to_owned());
    if let Some(sessions) = config.sessions {
        add(true, format!("{} at a time", many(sessions, "session")));
    }
    if let Some(snapshot) = config.snapshot {
        let entries = if snapshot == 1 { "entry" } else { "entries" };
        add(true, format!("snapshots after {snapshot} {entries}"));
    }
    add(config.heartbeats, "heartbeats".to_owned());
    if let Some((duration, margin)) = config.lease {
        let (drift, horizon) = config.clocks;
        add(
            true,
            format!(
                "leases of {}, {margin} less for the leader",
                many(duration, "tick")
            ),
        );
        add(
            true,
            format!("clocks at most {drift} apart, up to {horizon}"),
        );
    }
    parts.extend(describe_options(config.options()));
    parts.join(", ")
}
