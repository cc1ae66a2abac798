//! Which requests are under way, found without looking at all of them.

use crate::ballot::NodeId;
use crate::multi::Request;
use hashbrown::HashMap;
use std::hash::{Hash, Hasher};

/// So few are looked at one by one.
const FEW: usize = 32;

/// How many requests of each client and number are under way. A leader that has thousands would
/// spend its time looking for each that comes in among all that are there.
///
/// What it finds follows from what is under way, so it is no part of a state: never compared, and
/// not copied, but found out again.
#[derive(Debug, Default)]
pub struct Known(Option<HashMap<(NodeId, u64), usize>>);

fn key<C>(request: &Request<C>) -> (NodeId, u64) {
    (request.client, request.operation.seq())
}

impl Known {
    /// Whether a request may be among those under way; if not, it is not.
    pub(super) fn may_have<'a, C: 'a, I: Iterator<Item = &'a Request<C>>>(
        &mut self,
        request: &Request<C>,
        under_way: impl Fn() -> I,
    ) -> bool {
        if self.0.is_none() && under_way().nth(FEW).is_none() {
            return true;
        }
        let counts = self.0.get_or_insert_with(|| {
            let mut counts = HashMap::new();
            under_way().for_each(|it| *counts.entry(key(it)).or_default() += 1);
            counts
        });
        counts.contains_key(&key(request))
    }

    /// One more is under way.
    pub(super) fn add<C>(&mut self, request: &Request<C>) {
        if let Some(counts) = &mut self.0 {
            *counts.entry(key(request)).or_default() += 1;
        }
    }

    /// These are not under way any more.
    pub(super) fn remove<C>(&mut self, requests: &[Request<C>]) {
        let Some(counts) = &mut self.0 else { return };
        for request in requests {
            if let Some(count) = counts.get_mut(&key(request)) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(&key(request));
                }
            }
        }
    }
}

impl Clone for Known {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Known {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Known {}

impl Hash for Known {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::multi::testing::request;

    /// Red if it is of no use, for it says of all that they may be there; or if it grows for ever.
    #[test]
    fn what_is_not_under_way_is_known_not_to_be() {
        let all: Vec<Request<char>> = ('a'..).take(100).map(request).collect();
        let (first, others) = all.split_at(FEW);
        let mut known = Known::default();
        assert!(
            known.may_have(&all[99], || first.iter()),
            "it need not look"
        );
        let (most, last) = others.split_at(20);
        let under_way = &all[..FEW + 20];
        assert!(!known.may_have(&all[99], || under_way.iter()));
        assert!(known.may_have(&most[0], || under_way.iter()));
        for request in last {
            known.add(request);
        }
        known.add(&last[0]);
        assert!(known.may_have(&all[99], || all.iter()));
        known.remove(last);
        let mut may_have = |request| known.may_have(request, || all.iter());
        assert!(may_have(&last[0]), "it was added twice");
        assert!(last[1..].iter().all(|request| !may_have(request)));
    }
}
