//! The representative of a state: one image for all that differ by a permutation only.

use super::commute::LastStep;
use super::draft::Draft;
use super::numbered::{CELLS, Setting};
use super::seen::Fingerprint;
use super::table::fingerprint;
use super::thread_cache::ThreadCache;

/// Replaces states by their representatives.
pub(super) struct Canon<'a> {
    setting: &'a Setting<'a>,
    /// Scratch: the least image so far, an image, and the last steps of an image.
    best: Vec<u32>,
    image: Vec<u32>,
    turned: Vec<u32>,
}

impl<'a> Canon<'a> {
    pub(super) fn new(setting: &'a Setting<'a>) -> Self {
        Self {
            setting,
            best: Vec::new(),
            image: Vec::new(),
            turned: Vec::new(),
        }
    }

    /// Returns the fingerprint of a state's representative.
    pub(super) fn print(&mut self, words: &[u32], cache: &mut ThreadCache<'_>) -> Fingerprint {
        let mut draft = Draft::new(self.setting.actors);
        draft.restart(words, cache);
        self.canonicalize(&mut draft, cache);
        fingerprint(&draft.words)
    }

    /// Replaces a state by its representative: the least of those images that sort the signatures.
    /// Returns the number of images that the state has, itself included.
    pub(super) fn canonicalize(&mut self, draft: &mut Draft, cache: &mut ThreadCache<'_>) -> u32 {
        let symmetry = &self.setting.symmetry;
        if symmetry.order() == 1 {
            return 1;
        }
        let sorting = symmetry.sort(&mut draft.signatures);
        if sorting > 0 {
            self.permute(&draft.words, sorting, cache);
            std::mem::swap(&mut draft.words, &mut self.image);
            self.turn(&mut draft.last_steps, sorting, cache);
        }
        // Ids with equal signatures are mostly alike in everything, which swapping neighbours
        // shows. Only if some are not must all their orders be compared.
        let ties = symmetry.ties(&draft.signatures);
        let mut swaps = ties.swaps();
        let ways = if swaps.all(|swap| self.is_fixed_by(&draft.words, swap, cache)) {
            ties.orders
        } else {
            self.least(draft, cache)
        };
        // As many permutations lead to the representative as leave it alone.
        (symmetry.order() / ways) as u32
    }

    /// Replaces a state by the least of its images that keep the signatures in order. Returns the
    /// number of permutations that lead to it.
    fn least(&mut self, draft: &mut Draft, cache: &mut ThreadCache<'_>) -> usize {
        let setting = self.setting;
        self.best.clear();
        let (mut ways, mut chosen) = (0, 0);
        setting
            .symmetry
            .candidates(&draft.signatures, &mut |place| {
                self.permute(&draft.words, place, cache);
                if self.best.is_empty() || self.image < self.best {
                    std::mem::swap(&mut self.image, &mut self.best);
                    (ways, chosen) = (1, place);
                } else if self.image == self.best {
                    ways += 1;
                }
            });
        std::mem::swap(&mut draft.words, &mut self.best);
        self.turn(&mut draft.last_steps, chosen, cache);
        ways
    }

    /// Permutes the last steps along with their state.
    fn turn(&mut self, last_steps: &mut Vec<u32>, place: usize, cache: &mut ThreadCache<'_>) {
        let (by, actors) = (&self.setting.group[place], self.setting.actors);
        self.turned.clear();
        self.turned.resize(last_steps.len(), LastStep::NONE.word());
        for (actor, last) in LastStep::read(last_steps).enumerate() {
            if !last.is_last() {
                continue;
            }
            let to = usize::from(by.apply(actor.into()));
            let said = |it| cache.saying_image(it, place);
            self.turned[to] = last.image(by, actors, said).word();
        }
        std::mem::swap(last_steps, &mut self.turned);
    }

    /// Makes the image of a state under the permutation at `place` in the group.
    fn permute(&mut self, words: &[u32], place: usize, cache: &mut ThreadCache<'_>) {
        let by = &self.setting.group[place];
        self.image.clear();
        self.image.extend_from_slice(words);
        if place == 0 {
            return;
        }
        self.image[0] = cache.history_image(words[0], place);
        for (actor, cell) in words[CELLS..].iter().enumerate() {
            let to = usize::from(by.apply(actor.into()));
            self.image[CELLS + to] = cache.cell_image(*cell, place);
        }
    }

    /// Returns whether the permutation at `place` leaves a state as it is.
    fn is_fixed_by(&self, words: &[u32], place: usize, cache: &mut ThreadCache<'_>) -> bool {
        let by = &self.setting.group[place];
        let mut cells = words[CELLS..].iter().enumerate();
        cells.all(|(actor, cell)| {
            let to = usize::from(by.apply(actor.into()));
            cache.cell_image(*cell, place) == words[CELLS + to]
        }) && cache.history_image(words[0], place) == words[0]
    }
}
