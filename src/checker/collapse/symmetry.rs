//! The search for one state that represents all that differ by a permutation only.
//!
//! Symmetry is expensive if every permutation is tried on every state. Most can be ruled out
//! quickly: each id that may be permuted gets a *signature*, a number that tells how the state
//! looks from that id, and only permutations that sort the signatures are tried. Signatures go
//! along with permutations (the signature of an id's image in the image of a state is its signature
//! in the state), so all images of a state are tried under permutations that lead to the same
//! states, and the least of those is the same for all. Where signatures are equal, every order of
//! them is tried: a signature that tells too little costs nothing but time.

use super::super::permutation::{PERMUTED_MAX, Permutation};

use stateright::actor::Id;

/// The signatures of a part, one per id that may be permuted, by class; the rest is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Signatures(pub(super) [u32; PERMUTED_MAX]);

impl Signatures {
    /// Returns the signatures of a whole and one more part.
    pub(super) fn plus(mut self, more: Self) -> Self {
        let both = self.0.iter_mut().zip(more.0);
        both.for_each(|(signature, more)| *signature = signature.wrapping_add(more));
        self
    }

    /// Returns the signatures of a whole without one of its parts.
    pub(super) fn minus(mut self, less: Self) -> Self {
        let both = self.0.iter_mut().zip(less.0);
        both.for_each(|(signature, less)| *signature = signature.wrapping_sub(less));
        self
    }
}

/// The group of permutations, and how to find one in it.
pub(super) struct Symmetry {
    classes: Vec<Class>,
    order: usize,
    /// For each id that may be permuted, the maps under which the hashes of a part add up to its
    /// signature.
    views: Vec<Vec<Permutation>>,
}

/// Ids with equal signatures.
#[derive(Default)]
pub(super) struct Ties {
    swaps: [u32; PERMUTED_MAX],
    count: usize,
    /// The number of permutations that the swaps generate.
    pub(super) orders: usize,
}

impl Ties {
    /// Returns the places in the group of the permutations that swap two neighbours with equal
    /// signatures.
    pub(super) fn swaps(&self) -> impl Iterator<Item = usize> {
        self.swaps[..self.count].iter().map(|place| *place as usize)
    }
}

struct Class {
    members: Vec<Id>,
    /// The place in the group of a permutation that swaps member `i` with the next.
    swaps: Vec<usize>,
    /// The place in the group of a permutation that gives the members these ranks, the rank of
    /// member `i` counting `len^i`, and leaves other classes alone.
    offsets: Vec<usize>,
}

impl Symmetry {
    /// Returns the symmetry of a group that contains, for any choice of one permutation of each of
    /// its members' classes, exactly one element.
    pub(super) fn new(group: &[Permutation]) -> Self {
        let Some(still) = group.first() else {
            return Self {
                classes: Vec::new(),
                order: 1,
                views: Vec::new(),
            };
        };
        let mut classes: Vec<Class> = Vec::new();
        for id in still.ids() {
            let is_together =
                |class: &Class| group.iter().any(|by| by.apply(id) == class.members[0]);
            match classes.iter_mut().find(|class| is_together(class)) {
                Some(class) => class.members.push(id),
                None => classes.push(Class {
                    members: vec![id],
                    swaps: Vec::new(),
                    offsets: Vec::new(),
                }),
            }
        }
        classes.retain(|class| class.members.len() > 1);
        for index in 0..classes.len() {
            let class = &classes[index];
            let mut offsets = vec![usize::MAX; class.members.len().pow(class.members.len() as u32)];
            for (place, by) in group.iter().enumerate() {
                let is_still = |other: &Class| other.members.iter().all(|id| by.apply(*id) == *id);
                let mut others = classes.iter().enumerate();
                if others.all(|(other, class)| other == index || is_still(class)) {
                    offsets[class.code(|member| class.rank(by.apply(member)))] = place;
                }
            }
            let class = &mut classes[index];
            class.offsets = offsets;
            let swap = |at: usize| {
                let code = class.code(|member| match class.rank(member) {
                    rank if rank == at => at + 1,
                    rank if rank == at + 1 => at,
                    rank => rank,
                });
                class.offsets[code]
            };
            class.swaps = (0..class.members.len() - 1).map(swap).collect();
        }
        Self {
            views: views(&classes, group),
            classes,
            order: group.len(),
        }
    }

    /// Returns the number of permutations.
    pub(super) fn order(&self) -> usize {
        self.order
    }

    /// Returns a part's signatures. `hash` is the part's hash under a map of ids.
    pub(super) fn signatures(&self, hash: &dyn Fn(&Permutation) -> u128) -> Signatures {
        let mut signatures = Signatures::default();
        for (signature, views) in signatures.0.iter_mut().zip(&self.views) {
            for view in views {
                *signature = signature.wrapping_add(hash(view) as u32);
            }
        }
        signatures
    }

    /// Sorts these signatures, and returns the place in the group of a permutation that does so.
    /// Where signatures are equal, ids keep their order.
    pub(super) fn sort(&self, signatures: &mut Signatures) -> usize {
        let (mut place, mut rest) = (0, signatures.0.as_mut_slice());
        for class in &self.classes {
            let (mine, others) = rest.split_at_mut(class.members.len());
            if !mine.is_sorted() {
                place += class.sort(mine);
            }
            rest = others;
        }
        place
    }

    /// Returns the class of an id: equal for two ids that a permutation maps to one another, and
    /// for no others.
    pub(super) fn class(&self, id: Id) -> usize {
        let class = self.classes.iter().find(|it| it.members.contains(&id));
        usize::from(class.map_or(id, |class| class.members[0]))
    }

    /// Returns the signatures that the image of a part with these signatures must have.
    pub(super) fn turned(&self, signatures: &Signatures, by: &Permutation) -> Signatures {
        let members = || self.classes.iter().flat_map(|class| &class.members);
        let mut turned = Signatures::default();
        for (member, signature) in members().zip(signatures.0) {
            let image = by.apply(*member);
            if let Some(place) = members().position(|other| *other == image) {
                turned.0[place] = signature;
            }
        }
        turned
    }

    /// Returns the signature of an id among those of a part; zero if it is never permuted.
    pub(super) fn shape(&self, signatures: &Signatures, id: Id) -> u32 {
        let members = self.classes.iter().flat_map(|class| &class.members);
        let mut signed = members.zip(signatures.0);
        let signature = signed.find(|(member, _)| **member == id);
        signature.map_or(0, |(_, signature)| signature)
    }

    /// Returns the ids with equal signatures, given that signatures are sorted.
    pub(super) fn ties(&self, signatures: &Signatures) -> Ties {
        let mut ties = Ties {
            orders: 1,
            ..Ties::default()
        };
        let mut rest = signatures.0.as_slice();
        for class in &self.classes {
            let (mine, others) = rest.split_at(class.members.len());
            rest = others;
            let mut alike = 1;
            for at in 1..mine.len() {
                alike = if mine[at] == mine[at - 1] {
                    alike + 1
                } else {
                    1
                };
                if alike > 1 {
                    ties.swaps[ties.count] = class.swaps[at - 1] as u32;
                    ties.count += 1;
                    ties.orders *= alike;
                }
            }
        }
        ties
    }

    /// Calls `visit` with the place in the group of each permutation that sorts these signatures.
    pub(super) fn candidates(&self, signatures: &Signatures, visit: &mut impl FnMut(usize)) {
        self.descend(0, &signatures.0, 0, visit);
    }

    fn descend(
        &self,
        class: usize,
        signatures: &[u32],
        place: usize,
        visit: &mut impl FnMut(usize),
    ) {
        let Some(it) = self.classes.get(class) else {
            return visit(place);
        };
        let (mine, rest) = signatures.split_at(it.members.len());
        it.sorting(mine, 0, 0, 1, 0, &mut |offset| {
            self.descend(class + 1, rest, place + offset, visit);
        });
    }
}

/// Returns the views of a part from each of the ids that may be permuted.
///
/// From an id, the others of its class look all the same; so do those of another class if there are
/// many. The rest is added up over the orders of the other classes, so that the signature does not
/// depend on how their members are called.
fn views(classes: &[Class], group: &[Permutation]) -> Vec<Vec<Permutation>> {
    let mut views = Vec::new();
    for (index, class) in classes.iter().enumerate() {
        let blurred = |other: usize, it: &Class| other != index && it.members.len() > 2;
        let stays = |it: &Class, by: &Permutation| it.members.iter().all(|id| by.apply(*id) == *id);
        let is_left = |by: &&Permutation| {
            let mut fixed = classes.iter().enumerate();
            fixed.all(|(other, it)| (other != index && !blurred(other, it)) || stays(it, by))
        };
        for member in &class.members {
            let view = |by: &Permutation| {
                let others = classes.iter().enumerate();
                let others = others.filter(|(other, it)| blurred(*other, it));
                let signed = Permutation::marking(&class.members, Some(*member), by);
                others.fold(signed, |map, (_, it)| {
                    Permutation::marking(&it.members, None, &map)
                })
            };
            views.push(group.iter().filter(is_left).map(view).collect());
        }
    }
    views
}

impl Class {
    fn rank(&self, id: Id) -> usize {
        let place = self.members.iter().position(|member| *member == id);
        place.unwrap_or(0)
    }

    fn code(&self, rank: impl Fn(Id) -> usize) -> usize {
        let digits = self.members.iter().rev();
        digits.fold(0, |code, member| code * self.members.len() + rank(*member))
    }

    /// Sorts the signatures, and returns the place in the group of the permutation that does so.
    fn sort(&self, signatures: &mut [u32]) -> usize {
        let count = signatures.len();
        let (mut ranks, mut copy) = ([0; PERMUTED_MAX], [0; PERMUTED_MAX]);
        copy[..count].copy_from_slice(signatures);
        for i in 1..count {
            for j in 0..i {
                let is_before = signatures[i] < signatures[j];
                ranks[j] += usize::from(is_before);
                ranks[i] += usize::from(!is_before);
            }
        }
        let unsorted = ranks.into_iter().zip(copy);
        let (mut code, mut power) = (0, 1);
        for (rank, signature) in unsorted.take(count) {
            signatures[rank] = signature;
            code += rank * power;
            power *= count;
        }
        self.offsets[code]
    }

    /// Calls `visit` with the offset of each order of the members in which signatures rise: gives
    /// each member in turn, from `member` on, any rank that its signature allows and that is still
    /// free.
    fn sorting(
        &self,
        signatures: &[u32],
        member: usize,
        code: usize,
        power: usize,
        taken: u64,
        visit: &mut impl FnMut(usize),
    ) {
        let Some(signature) = signatures.get(member) else {
            return visit(self.offsets[code]);
        };
        let lower = signatures.iter().filter(|other| *other < signature).count();
        let equal = signatures
            .iter()
            .filter(|other| *other == signature)
            .count();
        for rank in (lower..lower + equal).filter(|rank| taken & 1 << rank == 0) {
            let (code, taken) = (code + rank * power, taken | 1 << rank);
            self.sorting(
                signatures,
                member + 1,
                code,
                power * signatures.len(),
                taken,
                visit,
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signatures(some: &[u32]) -> Signatures {
        let mut signatures = Signatures::default();
        signatures.0[..some.len()].copy_from_slice(some);
        signatures
    }

    fn candidates(symmetry: &Symmetry, some: &[u32]) -> Vec<usize> {
        let mut places = Vec::new();
        symmetry.candidates(&signatures(some), &mut |place| places.push(place));
        places
    }

    #[test]
    fn the_permutations_that_sort_the_marks_are_found_and_no_others() {
        let classes = [Id::vec_from([0usize, 2, 3]), Id::vec_from([5usize, 4])];
        let group = Permutation::within(&classes, 7);
        let symmetry = Symmetry::new(&group);
        assert_eq!(symmetry.order(), 12);
        let ids = [0usize, 2, 3, 4, 5].map(Id::from);
        for some in [
            [1u32, 2, 3, 1, 2],
            [3, 1, 2, 9, 8],
            [2, 2, 1, 0, 1],
            [7, 7, 7, 7, 7],
            [1, 0, 1, 4, 4],
        ] {
            let sorts = |by: &Permutation| {
                let mut images = [0; 7];
                for (id, signature) in ids.iter().zip(some) {
                    images[usize::from(by.apply(*id))] = signature;
                }
                images[0] <= images[2] && images[2] <= images[3] && images[4] <= images[5]
            };
            let expected = (0..group.len()).filter(|place| sorts(&group[*place]));
            let mut found = candidates(&symmetry, &some);
            found.sort_unstable();
            assert_eq!(found, expected.collect::<Vec<_>>(), "{some:?}");
            let mut sorted = signatures(&some);
            assert!(found.contains(&symmetry.sort(&mut sorted)));
            assert_eq!(symmetry.ties(&sorted).orders, found.len());
        }
    }

    #[test]
    fn without_symmetry_there_is_one_candidate() {
        let group = Permutation::within(&[], 3);
        let symmetry = Symmetry::new(&group);
        assert_eq!(candidates(&symmetry, &[]), [0]);
    }
}
