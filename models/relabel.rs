//! States, messages and histories with acceptors, and clients, permuted: a client goes with its
//! value.

use super::one_decree::Client;
use stateright::actor::Id;
use synod::actor::ProcessState;
use synod::ballot::NodeId;
use synod::checker::Permutation;
use synod::quorum::AcceptorSet;
use synod::vote::Vote;

/// A permutation of ids, and what it does to values.
///
/// Ballots carry the ids of proposers only, which are never permuted.
pub struct Relabel<'a> {
    pub(super) by: &'a Permutation,
    /// The id of the first client.
    pub(super) first: usize,
    /// The clients whose values go with them.
    pub(super) clients: &'a [Client],
}

impl<'a> From<&'a Permutation> for Relabel<'a> {
    /// Values stay as they are.
    fn from(by: &'a Permutation) -> Self {
        let (first, clients) = (0, [].as_slice());
        Self { by, first, clients }
    }
}

impl Relabel<'_> {
    /// The image of what has ids or values in it.
    pub fn image<T: Relabelled + Clone>(&self, it: &T) -> T {
        let mut image = it.clone();
        image.relabel(self);
        image
    }
}

/// A type with ids or values in it, or parts that have some.
pub trait Relabelled {
    /// Replaces every id by its image, and every value by that of its client's image.
    fn relabel(&mut self, by: &Relabel);
}

/// Implements [`Relabelled`]: for a struct by its fields that have ids or values in them, and for
/// an enum by those of each variant. The fields after a semicolon stay as they are: a new field
/// does not compile before somebody has decided which it is. `..` leaves all others as they are.
macro_rules! relabelled {
    ($type:ty { $($field:ident),* $(; $($fixed:ident),*)? }) => {
        impl $crate::models::relabel::Relabelled for $type {
            fn relabel(&mut self, _by: &$crate::models::relabel::Relabel) {
                let Self { $($field,)* $($($fixed: _),*)? } = self;
                $($field.relabel(_by);)*
            }
        }
    };
    ($type:ty { $($field:ident,)* .. }) => {
        impl $crate::models::relabel::Relabelled for $type {
            fn relabel(&mut self, _by: &$crate::models::relabel::Relabel) {
                $(self.$field.relabel(_by);)*
            }
        }
    };
    ($type:ty: $($variant:ident { $($field:ident),* $(; $($fixed:ident),*)? })*) => {
        impl $crate::models::relabel::Relabelled for $type {
            fn relabel(&mut self, by: &$crate::models::relabel::Relabel) {
                match self {
                    $(Self::$variant { $($field,)* $($($fixed: _),*)? } => {
                        $($field.relabel(by);)*
                    })*
                }
            }
        }
    };
}
pub(super) use relabelled;

relabelled! { Vote<char> { value; ballot } }

impl Relabelled for NodeId {
    fn relabel(&mut self, by: &Relabel) {
        *self = by.by.apply((*self).into()).into();
    }
}

impl Relabelled for AcceptorSet {
    fn relabel(&mut self, by: &Relabel) {
        *self = self.iter().map(|node| by.image(&node)).collect();
    }
}

impl Relabelled for char {
    /// What no client proposed stays.
    fn relabel(&mut self, by: &Relabel) {
        let client = by.clients.iter().position(|client| client.value == *self);
        let image = client.map(|index| by.by.apply(Id::from(by.first + index)));
        let image = image.and_then(|id| usize::from(id).checked_sub(by.first));
        let client = image.and_then(|index| by.clients.get(index));
        *self = client.map_or(*self, |client| client.value);
    }
}

impl<T: Relabelled> Relabelled for Option<T> {
    fn relabel(&mut self, by: &Relabel) {
        self.iter_mut().for_each(|it| it.relabel(by));
    }
}

impl<A: Relabelled, B: Relabelled> Relabelled for Vec<(A, B)> {
    fn relabel(&mut self, by: &Relabel) {
        for (a, b) in self {
            a.relabel(by);
            b.relabel(by);
        }
    }
}

impl<N: Relabelled, C: Relabelled> Relabelled for ProcessState<N, C> {
    fn relabel(&mut self, by: &Relabel) {
        match self {
            ProcessState::Node(node) => node.relabel(by),
            ProcessState::Client(client) => client.relabel(by),
        }
    }
}
