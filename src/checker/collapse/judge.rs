//! The properties, and the states that they do not hold of.

use super::control::Shared;
use super::numbered::{BROKEN, CELLS, Numbered, Properties, bits};
use super::seen::Fingerprint;
use super::table::{Cache, fingerprint};
use super::thread_cache::ThreadCache;

/// The number of states that each thread holds to the properties twice: as the properties see them,
/// and whole.
const DOUBLE_CHECKS: usize = 1_000;

/// Holds states to the properties.
pub(super) struct Judge<'a> {
    model: &'a dyn Numbered,
    properties: &'a Properties,
    /// The properties violated, as bits, by what was seen.
    judged: Cache<2>,
    double_checks: usize,
    /// Scratch: what is seen of a state.
    seen_as: Vec<u32>,
    /// The examples found, as bits by property.
    pub(super) found: u32,
    /// The properties violated, by their places, and the first state for each.
    pub(super) violated: Vec<(usize, Fingerprint)>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(model: &'a dyn Numbered) -> Self {
        Self {
            model,
            properties: &model.setting().properties,
            judged: Cache::new(),
            double_checks: 0,
            seen_as: Vec::new(),
            found: 0,
            violated: Vec::new(),
        }
    }

    /// Holds a new state to the properties, unless another state that looks the same was held to
    /// them.
    pub(super) fn judge(
        &mut self,
        words: &[u32],
        print: Fingerprint,
        cache: &mut ThreadCache<'_>,
        shared: &Shared,
    ) {
        let (model, properties) = (self.model, self.properties);
        let broken = bits(words[1] >> BROKEN).filter_map(|step| properties.steps[step]);
        broken.for_each(|property| self.note_violation(property, print, shared));
        for (projection, all) in properties.by_aspect.iter().enumerate() {
            let asked = all & !self.found;
            if asked == 0 {
                continue;
            }
            self.see(words, projection, cache);
            let key = fingerprint(&self.seen_as);
            let mut found = 0;
            let violated = self.judged.get(key, || {
                let holding = model.holding(words, projection, asked);
                found = holding & properties.examples;
                asked & !holding & !properties.examples
            });
            self.found |= found;
            bits(violated).for_each(|property| self.note_violation(property, print, shared));
        }
    }

    /// Notices a property that looks at more of a state than it is said to see. The first states
    /// are examined.
    pub(super) fn look_twice(&mut self, words: &[u32], shared: &Shared) {
        if self.double_checks >= DOUBLE_CHECKS {
            return;
        }
        self.double_checks += 1;
        if let Some(name) = self.model.misjudged(words) {
            shared.refute(format!(
                "the property `{name}` looks at more of a state than `visible` and \
                 `projection` say"
            ));
        }
    }

    /// Notes the first state in which a property does not hold.
    fn note_violation(&mut self, property: usize, print: Fingerprint, shared: &Shared) {
        let is_known = |(known, _): &(usize, _)| *known == property;
        if !self.violated.iter().any(is_known) {
            self.violated.push((property, print));
            shared.note_violation();
        }
    }

    /// Notes what is seen of a state in a projection: the projection, the history, and the part
    /// that each actor shows.
    fn see(&mut self, words: &[u32], projection: usize, cache: &mut ThreadCache<'_>) {
        self.seen_as.clear();
        self.seen_as
            .extend_from_slice(&[projection as u32, words[0]]);
        let cells = words[CELLS..].iter();
        self.seen_as
            .extend(cells.map(|cell| cache.projection(*cell, projection)));
    }
}
