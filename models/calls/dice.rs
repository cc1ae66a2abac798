//! [`Dice`] draws what a call takes, and [`drawn!`] says how a type is drawn.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;
use synod::backoff::Backoff;
use synod::ballot::{Ballot, NodeId};
use synod::quorum::{AcceptorSet, QuorumSystem};
use synod::vote::Vote;

/// A source of random values: few of each kind, so that they meet.
pub(in crate::models) struct Dice(pub(super) SmallRng);

/// A type of which values are drawn at random.
pub(in crate::models) trait Drawn: Sized {
    /// Draws a value.
    fn drawn(d: &mut Dice) -> Self;
}

/// An alternative: its weight, and the function that draws it.
pub(super) type Way<T> = (i32, fn(&mut Dice) -> T);

impl Dice {
    /// The same seed gives the same values.
    pub(super) fn new(seed: u64) -> Self {
        Self(SmallRng::seed_from_u64(seed))
    }

    /// Draws a value as its type is drawn.
    pub(super) fn draw<T: Drawn>(&mut self) -> T {
        T::drawn(self)
    }

    /// Draws a value with a function. (So a closure need not name its types.)
    pub(super) fn by<T>(&mut self, draw: impl FnOnce(&mut Self) -> T) -> T {
        draw(self)
    }

    /// Returns one of the values.
    pub(super) fn of<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.0.random_range(0..from.len())]
    }

    /// Returns true with this chance.
    pub(super) fn chance(&mut self, chance: f64) -> bool {
        self.0.random_bool(chance)
    }

    /// Draws a value with this chance.
    pub(super) fn option<T>(
        &mut self,
        chance: f64,
        draw: impl FnOnce(&mut Self) -> T,
    ) -> Option<T> {
        self.chance(chance).then(|| draw(self))
    }

    /// Draws fewer values than `below`.
    pub(super) fn several<T>(
        &mut self,
        below: usize,
        mut draw: impl FnMut(&mut Self) -> T,
    ) -> Vec<T> {
        let count = self.0.random_range(0..below);
        (0..count).map(|_| draw(self)).collect()
    }

    /// Draws in one of these ways.
    pub(super) fn weighted<T>(&mut self, ways: &[Way<T>]) -> T {
        let mut at = self.0.random_range(0..ways.iter().map(|way| way.0).sum());
        let way = ways.iter().find(|way| {
            at -= way.0;
            at < 0
        });
        way.unwrap_or(&ways[0]).1(self)
    }
}

/// Implements [`Drawn`]: by a function, for a struct field by field, and for an enum by the weights
/// of its variants. A field is drawn as its type is, or by the function after `=`.
macro_rules! drawn {
    ($type:ty = $draw:expr) => {
        impl $crate::models::calls::dice::Drawn for $type {
            fn drawn(d: &mut $crate::models::calls::dice::Dice) -> Self {
                d.by($draw)
            }
        }
    };
    ($type:ty { $($field:ident $(= $draw:expr)?),* $(,)? }) => {
        drawn! { $type = |d| Self { $($field: drawn!(@d $($draw)?)),* } }
    };
    ($type:ty: $($weight:literal $variant:ident { $($field:tt $(= $draw:expr)?),* })*) => {
        drawn! { $type = |d| d.weighted(&[
            $(($weight, |_d| Self::$variant { $($field: drawn!(@_d $($draw)?)),* })),*
        ]) }
    };
    (@$d:ident) => { $d.draw() };
    (@$d:ident $draw:expr) => { $d.by($draw) };
}
pub(super) use drawn;

// Ids that can be no acceptor's, too.
drawn! { NodeId = |d| NodeId(d.of(&[0, 1, 2, 3, 4, 5, 6, 7, 63, 64, u32::MAX])) }
drawn! { Ballot { round = |d| d.of(&[0, 1, 1, 1, 2, 2, 2, 3, 3, u64::MAX - 1, u64::MAX]), node } }
drawn! { Vote<char> { ballot, value } }
drawn! { char = |d| d.of(&['x', 'y', 'z']) }
drawn! { bool = |d| d.chance(0.5) }
drawn! { Vec<NodeId> = |d| d.several(4, Dice::draw) }
drawn! { AcceptorSet = |d| d.several(5, Dice::draw).into_iter().collect() }
drawn! { QuorumSystem = |d| loop {
    let acceptors = d.draw();
    let sizes = [0; 2].map(|_| d.0.random_range(1..5));
    if let Ok(quorums) = QuorumSystem::flexible(acceptors, sizes[0], sizes[1]) {
        break quorums;
    }
} }
drawn! { Backoff {
    base = |d| Duration::from_millis(d.of(&[1, 20])),
    doublings_max = |d| d.of(&[0, 6]),
} }

impl<T: Drawn> Drawn for Option<T> {
    fn drawn(d: &mut Dice) -> Self {
        d.option(0.7, Dice::draw)
    }
}
