//! Permutations of interchangeable actors.

use stateright::actor::Id;

/// The number of permutations that a group has at most.
const GROUP_MAX: usize = 720;

/// The number of ids that may be permuted, of all classes together.
pub(super) const PERMUTED_MAX: usize = 8;

/// Shrinks the classes of interchangeable actors until they have few enough permutations: more
/// would cost more than they save. The permutations of some members are a reduction too, only a
/// smaller one.
pub(super) fn limit(classes: &mut [Vec<Id>]) {
    let (mut size, mut permuted) = (1, 0);
    for class in classes {
        let fits = |members: &usize| {
            let orders = (1..=*members).try_fold(size, |product: usize, n| product.checked_mul(n));
            let is_few = *members == 1 || permuted + members <= PERMUTED_MAX;
            is_few && orders.is_some_and(|orders| orders <= GROUP_MAX)
        };
        let members = (1..=class.len()).take_while(fits).last().unwrap_or(0);
        class.truncate(members);
        permuted += if members > 1 { members } else { 0 };
        size = (1..=members).fold(size, |product, n| product * n);
    }
}

/// A permutation of actor ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permutation(Vec<Id>);

impl Permutation {
    /// Returns the image of `id`. An id that is no actor stays.
    #[must_use]
    pub fn apply(&self, id: Id) -> Id {
        self.0.get(usize::from(id)).copied().unwrap_or(id)
    }

    /// Returns a map of ids that is no permutation: it makes all members of a class but one the
    /// same. `marked` becomes the first of the class, all others the second. Other ids go where
    /// `rest` maps them.
    pub(super) fn marking(class: &[Id], marked: Option<Id>, rest: &Permutation) -> Permutation {
        let go = |id: Id| match class {
            [first, _, ..] if Some(id) == marked => *first,
            [_, second, ..] if class.contains(&id) => *second,
            _ => rest.apply(id),
        };
        Permutation(rest.ids().map(go).collect())
    }

    /// Returns the ids that it maps.
    pub(super) fn ids(&self) -> impl Iterator<Item = Id> {
        (0..self.0.len()).map(Id::from)
    }

    /// Returns all permutations of `count` ids that move ids within each of `classes` only. The
    /// first moves nothing.
    #[must_use]
    pub fn within(classes: &[Vec<Id>], count: usize) -> Vec<Permutation> {
        let still = Permutation((0..count).map(Id::from).collect());
        classes.iter().fold(vec![still], |group, class| {
            let orders = orders(class);
            let moved = |base: &Permutation, order: &Vec<Id>| {
                let mut map = base.0.clone();
                for (from, to) in class.iter().zip(order) {
                    map[usize::from(*from)] = *to;
                }
                Permutation(map)
            };
            let each = |base| orders.iter().map(move |order| moved(base, order));
            group.iter().flat_map(each).collect()
        })
    }
}

/// Returns every order of `ids`, the given one first.
fn orders(ids: &[Id]) -> Vec<Vec<Id>> {
    let Some((first, rest)) = ids.split_first() else {
        return vec![Vec::new()];
    };
    let mut all = Vec::new();
    for place in 0..ids.len() {
        for mut order in orders(rest) {
            order.insert(place, *first);
            all.push(order);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_every_permutation_within_the_classes_once() {
        let classes = [Id::vec_from(0..3usize), Id::vec_from([4usize, 5])];
        let group = Permutation::within(&classes, 6);
        assert_eq!(group.len(), 6 * 2);
        for (i, by) in group.iter().enumerate() {
            assert!(!group[..i].contains(by));
            assert_eq!(by.apply(Id::from(3)), Id::from(3));
            assert_eq!(by.apply(Id::from(99)), Id::from(99));
            let mut images: Vec<Id> = (0..6).map(|id| by.apply(Id::from(id))).collect();
            images.sort_unstable();
            assert_eq!(images, Id::vec_from(0..6usize));
        }
        assert_eq!(group[0].0, Id::vec_from(0..6usize));
    }
}
