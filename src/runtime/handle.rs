//! A node on a thread of its own.

use super::core::Runnable;
use super::counters::Counters;
use super::error::Error;
use super::log::Cut;
use super::node::{Node, NodeConfig};
use super::observer::{Unwatched, Watch};
use super::stop::Stop;
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// What a node has counted, as of about 100 ms ago. Clones follow the same node.
#[derive(Clone, Debug, Default)]
pub struct Published(Arc<Mutex<Counters>>);

impl Published {
    /// The last count.
    pub fn get(&self) -> Counters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, counters: &Counters) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = *counters;
    }
}

/// A node that runs on a thread of its own. It goes on running if the handle is dropped.
#[derive(Debug)]
#[must_use = "without its handle a node can neither be stopped nor waited for"]
pub struct Handle {
    stop: Stop,
    counters: Published,
    cut: Option<Cut>,
    thread: JoinHandle<Result<Counters, Error>>,
}

/// Starts a node and runs it on a new thread. The observer is that of [`Node::run`].
///
/// # Errors
///
/// Those of [`Node::start`], and [`Error::Thread`].
pub fn spawn<A>(
    actor: A,
    config: NodeConfig,
    observer: impl FnMut(&A::State) + Send + 'static,
) -> Result<Handle, Error>
where
    A: Runnable + Send,
    A::Msg: Send,
    A::Timer: Send,
    A::State: Send + Sync,
    A::Random: Send,
    A::Storage: Send,
{
    spawn_watched(actor, config, Unwatched, observer)
}

/// The same as [`spawn`], with somebody who looks on: see [`Node::start_watched`].
///
/// # Errors
///
/// Those of [`spawn`].
pub fn spawn_watched<A, W>(
    actor: A,
    config: NodeConfig,
    watch: W,
    mut observer: impl FnMut(&A::State) + Send + 'static,
) -> Result<Handle, Error>
where
    A: Runnable + Send,
    A::Msg: Send,
    A::Timer: Send,
    A::State: Send + Sync,
    A::Random: Send,
    A::Storage: Send,
    W: Watch<A> + Send + 'static,
{
    let name = format!("node-{}", usize::from(config.id));
    let node = Node::start_watched(actor, config, watch)?;
    let (stop, counters) = (Stop::new(), Published::default());
    let (stopped, counted) = (stop.clone(), counters.clone());
    let cut = node.cut().cloned();
    let publish = move |counters: &Counters| counted.set(counters);
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || node.run_counted(&stopped, &mut observer, publish))
        .map_err(Error::Thread)?;
    Ok(Handle {
        stop,
        counters,
        cut,
        thread,
    })
}

impl Handle {
    /// Stops the node within about 10 ms. It loses everything but what it saved, as in a crash.
    /// Does not wait: see [`Handle::join`].
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// What the node counts, as it goes on.
    pub fn counters(&self) -> Published {
        self.counters.clone()
    }

    /// What was cut off the node's log when it started: see [`Node::cut`].
    pub fn cut(&self) -> Option<&Cut> {
        self.cut.as_ref()
    }

    /// Whether the node has ended, be it stopped or by an error.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the node has ended, and returns what it has counted. Its storage is free then.
    ///
    /// # Errors
    ///
    /// Those of [`Node::run`]; [`Error::Panicked`] if the actor or the observer panicked.
    pub fn join(self) -> Result<Counters, Error> {
        let panicked = |payload| Err(Error::Panicked(panic_message(payload)));
        self.thread.join().unwrap_or_else(panicked)
    }
}

fn panic_message(payload: Box<dyn Any + Send>) -> String {
    match payload.downcast::<String>() {
        Ok(text) => *text,
        Err(payload) => match payload.downcast::<&str>() {
            Ok(text) => (*text).to_owned(),
            Err(_) => "with something that is not a text".to_owned(),
        },
    }
}
