//! The representative of a state: one image for all that differ by a permutation only.

use super::draft::Draft;
use super::notes::Notes;
use super::numbered::Setting;
use super::seen::Fingerprint;
use super::table::fingerprint;
use super::wake::Wake;
use super::words::CELLS;

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
        let width = setting.actors + CELLS;
        Self {
            setting,
            best: Vec::with_capacity(width),
            image: Vec::with_capacity(width),
            turned: Vec::with_capacity(width),
        }
    }

    /// Returns the fingerprint of a state's representative.
    pub(super) fn print(&mut self, words: &[u32], notes: &mut Notes<'_>) -> Fingerprint {
        let mut draft = Draft::new(self.setting.actors);
        draft.restart(words, notes);
        self.represent(&mut draft, notes);
        fingerprint(&draft.words)
    }

    /// Replaces a state by its representative: the least of those images that sort the marks.
    /// Returns the number of images that the state has, itself included.
    pub(super) fn represent(&mut self, draft: &mut Draft, notes: &mut Notes<'_>) -> u32 {
        let symmetry = &self.setting.symmetry;
        if symmetry.order() == 1 {
            return 1;
        }
        let sorting = symmetry.sort(&mut draft.marks);
        if sorting > 0 {
            self.permute(&draft.words, sorting, notes);
            std::mem::swap(&mut draft.words, &mut self.image);
            self.turn(&mut draft.wakes, sorting, notes);
        }
        // Ids with equal marks are mostly alike in everything, which swapping neighbours shows.
        // Only if some are not must all their orders be compared.
        let twins = symmetry.twins(&draft.marks);
        let mut swaps = twins.swaps();
        let ways = if swaps.all(|swap| self.is_fixed_by(&draft.words, swap, notes)) {
            twins.orders
        } else {
            self.least(draft, notes)
        };
        // As many permutations lead to the representative as leave it alone.
        (symmetry.order() / ways) as u32
    }

    /// Replaces a state by the least of its images that keep the marks in order. Returns the number
    /// of permutations that lead to it.
    fn least(&mut self, draft: &mut Draft, notes: &mut Notes<'_>) -> usize {
        let setting = self.setting;
        self.best.clear();
        let (mut ways, mut chosen) = (0, 0);
        setting.symmetry.candidates(&draft.marks, &mut |place| {
            self.permute(&draft.words, place, notes);
            if self.best.is_empty() || self.image < self.best {
                std::mem::swap(&mut self.image, &mut self.best);
                (ways, chosen) = (1, place);
            } else if self.image == self.best {
                ways += 1;
            }
        });
        std::mem::swap(&mut draft.words, &mut self.best);
        self.turn(&mut draft.wakes, chosen, notes);
        ways
    }

    /// Permutes the last steps along with their state.
    fn turn(&mut self, wakes: &mut Vec<u32>, place: usize, notes: &mut Notes<'_>) {
        let (by, actors) = (&self.setting.group[place], self.setting.actors);
        self.turned.clear();
        self.turned.resize(wakes.len(), Wake::NONE.word());
        for (actor, wake) in Wake::read(wakes).enumerate() {
            if !wake.is_last() {
                continue;
            }
            let to = usize::from(by.apply(actor.into()));
            let said = |it| notes.saying_image(it, place);
            self.turned[to] = wake.image(by, actors, said).word();
        }
        std::mem::swap(wakes, &mut self.turned);
    }

    /// Makes the image of a state under the permutation at `place` in the group.
    fn permute(&mut self, words: &[u32], place: usize, notes: &mut Notes<'_>) {
        let by = &self.setting.group[place];
        self.image.clear();
        self.image.extend_from_slice(words);
        if place == 0 {
            return;
        }
        self.image[0] = notes.record_image(words[0], place);
        for (actor, cell) in words[CELLS..].iter().enumerate() {
            let to = usize::from(by.apply(actor.into()));
            self.image[CELLS + to] = notes.cell_image(*cell, place);
        }
    }

    /// Returns whether the permutation at `place` leaves a state as it is.
    fn is_fixed_by(&self, words: &[u32], place: usize, notes: &mut Notes<'_>) -> bool {
        let by = &self.setting.group[place];
        let mut cells = words[CELLS..].iter().enumerate();
        cells.all(|(actor, cell)| {
            let to = usize::from(by.apply(actor.into()));
            notes.cell_image(*cell, place) == words[CELLS + to]
        }) && notes.record_image(words[0], place) == words[0]
    }
}
