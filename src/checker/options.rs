//! The faults that may occur in a world, and the reductions that apply.

/// The time at which a save takes effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StorageMode {
    /// Immediately, together with the rest of the step.
    #[default]
    Atomic,
    /// At a later step of its own. Until then the actor does nothing else, messages that it sent
    /// after the save wait, and a crash undoes the whole step; messages that it sent before the
    /// save are out.
    ///
    /// This covers a disk that takes many steps' saves at once: to the outside such a batch looks
    /// like its steps one by one, each with its messages late.
    Split,
}

/// The faults that may occur in a [`World`](super::World), and the reductions to apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Options {
    /// The number of crashes that one run may have, all actors together; at most 65,535 count.
    pub crashes: usize,
    /// The time at which a save takes effect.
    pub storage: StorageMode,
    /// Whether stale messages are dropped ([`System::is_stale`](super::System::is_stale)).
    pub drops_stale: bool,
    /// Whether the observer forgets what can never matter again, and irrelevant messages are
    /// dropped ([`System::forget`](super::System::forget),
    /// [`System::is_irrelevant`](super::System::is_irrelevant)).
    pub forgets: bool,
    /// Whether steps that nobody sees are postponed: after a step that sends nothing and shows
    /// nothing, only the same actor may move.
    ///
    /// Nothing is lost. Such a step neither enables nor disables a step of another actor, so the
    /// actor may as well take it later: just before its next step or, if there is none, never.
    /// Every run thereby becomes one in which invisible steps are fused into sequences that end
    /// with a step that is seen, through the same visible states and histories in the same order,
    /// and no longer than before. Only the ends of these sequences count as states, and a sequence
    /// as one step.
    pub postpones: bool,
    /// Whether interchangeable actors are treated as the same
    /// ([`System::interchangeable`](super::System::interchangeable)).
    pub symmetry: bool,
}

impl Default for Options {
    /// No crash, atomic saves, all reductions.
    fn default() -> Self {
        Self {
            crashes: 0,
            storage: StorageMode::Atomic,
            drops_stale: true,
            forgets: true,
            postpones: true,
            symmetry: true,
        }
    }
}
