//! An actor and its log: the messages of a step are released only after its save is on disk.
//!
//! The node and the simulator both drive an actor through this, and nothing else reaches its
//! outbox. So the rule stands here alone.

use super::codec::Frame;
use super::core::{Change, Core, Runnable, Setup};
use super::counters::Counters;
use super::error::Error;
use super::file_system::FileSystem;
use super::log::Log;
use super::observer::StepObserver;
use stateright::actor::Id;
use std::time::Duration;

/// The destination of an actor's saves.
pub(super) enum Saves<M> {
    Log(Box<Log<M>>),
    /// Saves are dropped, because the actor is never started again.
    Dropped,
    /// A save is an error.
    Refused,
}

/// An actor whose messages leave only after its saves are on disk.
pub(super) struct Persistent<A: Runnable, M> {
    id: Id,
    core: Core<A>,
    saves: Saves<M>,
    /// The changes of the last batch that are not written yet.
    changes: Vec<Change<A>>,
    is_unsynced: bool,
    /// The last batch is durable, and its messages may leave.
    is_released: bool,
}

impl<A: Runnable, M: FileSystem> Persistent<A, M> {
    /// Starts an actor. Its first step is the first batch.
    pub(super) fn start(
        setup: Setup<A>,
        saves: Saves<M>,
        now: Duration,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<Self, Error> {
        let id = setup.id;
        let (core, changes) = Core::start(setup, now, step_observer)?;
        Ok(Persistent {
            id,
            core,
            saves,
            changes,
            is_unsynced: false,
            is_released: false,
        })
    }

    /// Handles a batch of events: see [`Core::step`]. The batch before must be released.
    pub(super) fn step(
        &mut self,
        now: Duration,
        messages: &mut Vec<(Id, A::Msg)>,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        self.is_released = false;
        self.changes = self.core.step(now, messages, step_observer)?;
        Ok(())
    }

    /// Writes the save of the last batch. Returns whether it must be synced.
    pub(super) fn write(&mut self) -> Result<bool, Error> {
        if !self.changes.is_empty() {
            match &mut self.saves {
                Saves::Log(log) => {
                    self.is_unsynced = true;
                    log.append(&self.changes)?;
                }
                Saves::Dropped => {}
                Saves::Refused => {
                    let node = self.id.into();
                    return Err(Error::NoStorage { node });
                }
            }
            self.changes = Vec::new();
        }
        Ok(self.is_unsynced)
    }

    /// Makes the save of the last batch durable, and releases its messages. After an error the
    /// actor must not be used any more.
    pub(super) fn release(
        &mut self,
        step_observer: &mut impl StepObserver<A>,
    ) -> Result<(), Error> {
        if self.write()?
            && let Saves::Log(log) = &mut self.saves
        {
            log.sync()?;
            self.is_unsynced = false;
        }
        step_observer.durable(self.id, self.core.state())?;
        self.is_released = true;
        Ok(())
    }

    pub(super) fn is_released(&self) -> bool {
        self.is_released
    }

    /// Takes the messages that are released.
    pub(super) fn take(&mut self, frames: &mut Vec<Frame>) {
        if self.is_released {
            self.core.outbox.take(frames);
        }
    }

    /// Keeps the buffer of a datagram for a later one.
    pub(super) fn recycle(&mut self, datagram: Vec<u8>) {
        self.core.outbox.recycle(datagram);
    }

    /// Shortens the log if it has outgrown the state. To be called when the messages have left.
    pub(super) fn compact(&mut self) -> Result<(), Error> {
        match (&mut self.saves, self.core.saved()) {
            (Saves::Log(log), Some(saved)) if self.is_released => log.compact(saved),
            _ => Ok(()),
        }
    }

    /// Returns the core. Its last save is durable if the last batch is released.
    pub(super) fn core(&self) -> &Core<A> {
        &self.core
    }

    pub(super) fn counters(&self) -> Counters {
        let log = match &self.saves {
            Saves::Log(log) => Some(&log.counters),
            Saves::Dropped | Saves::Refused => None,
        };
        Counters::sum([&self.core.counters()].into_iter().chain(log))
    }

    /// Takes the actor down. Its state is lost.
    pub(super) fn into_actor(self) -> A {
        self.core.into_actor()
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::Lengths;
    use super::super::core::rng_of;
    use super::super::disk::{Crash, Disk};
    use super::super::log::Sizes;
    use super::super::observer::NoObserver;
    use super::super::scripted::{Number, Scripted, save_then_echo};
    use super::*;

    const NOW: Duration = Duration::ZERO;
    const ME: usize = 1;

    fn open(disk: &Disk) -> (Log<Disk>, Option<Number>) {
        let opened = Log::open(disk.clone(), Sizes::default(), 7, Id::from(ME));
        let (log, recovered) = opened.unwrap();
        (log, recovered.state)
    }

    fn start(disk: &Disk) -> Persistent<Scripted, Disk> {
        let (log, saved) = open(disk);
        let setup = Setup {
            actor: Scripted::new(save_then_echo),
            id: Id::from(ME),
            saved,
            lengths: Lengths {
                limit: 1000,
                most: 1000,
                messages: 100,
            },
            rng: rng_of(1, Id::from(ME)),
        };
        let saves = Saves::Log(Box::new(log));
        let mut actor = Persistent::start(setup, saves, NOW, &mut NoObserver).unwrap();
        actor.release(&mut NoObserver).unwrap();
        actor
    }

    /// Returns the numbers that leave.
    fn taken(actor: &mut Persistent<Scripted, Disk>) -> Vec<u32> {
        let mut frames = Vec::new();
        actor.take(&mut frames);
        frames.iter().flat_map(|it| it.content().1).collect()
    }

    #[test]
    fn a_message_leaves_only_after_the_save_of_its_step_is_on_disk() {
        let mut rng = rng_of(1, Id::from(0));
        let disk = Disk::default();
        for number in 1..10 {
            let mut actor = start(&disk);
            let mut messages = vec![(Id::from(2), number)];
            actor.step(NOW, &mut messages, &mut NoObserver).unwrap();
            assert!(taken(&mut actor).is_empty());
            assert!(actor.write().unwrap(), "a record was written");
            assert!(actor.write().unwrap(), "and not once more");
            assert!(taken(&mut actor).is_empty());
            if number % 2 == 0 {
                actor.release(&mut NoObserver).unwrap();
                assert_eq!(taken(&mut actor), [number]);
            }
            disk.crash(Crash::Lost, &mut rng);
            let last = number - number % 2;
            assert_eq!(open(&disk).1, (last > 0).then_some(Number(last)));
        }
    }

    #[test]
    fn a_failed_save_releases_nothing() {
        // The first operation writes the record, the second syncs it.
        for operation in 1..=2 {
            let disk = Disk::default();
            let mut actor = start(&disk);
            let mut messages = vec![(Id::from(2), 5)];
            actor.step(NOW, &mut messages, &mut NoObserver).unwrap();
            disk.fail_at(operation);
            assert!(actor.release(&mut NoObserver).is_err());
            assert!(taken(&mut actor).is_empty());
        }
    }
}
