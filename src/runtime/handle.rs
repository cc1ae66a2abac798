//! A node on its own thread.

use super::core::Runnable;
use super::counters::Counters;
use super::error::Error;
use super::log::TornTail;
use super::node::{Node, NodeConfig};
use super::observer::{NoObserver, StepObserver};
use super::stop::Stop;
use std::any::Any;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// The counters of a running node, at most about 100 ms old. Clones follow the same node.
#[derive(Clone, Debug, Default)]
pub struct Published(Arc<Mutex<Counters>>);

impl Published {
    /// Returns the counters that were published last.
    pub fn get(&self) -> Counters {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set(&self, counters: &Counters) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = *counters;
    }
}

/// A node that runs on its own thread. It continues to run if the handle is dropped.
#[derive(Debug)]
#[must_use = "without its handle a node can neither be stopped nor waited for"]
pub struct Handle {
    stop: Stop,
    counters: Published,
    torn_tail: Option<TornTail>,
    thread: JoinHandle<Result<Counters, Error>>,
}

/// Starts a node and runs it on a new thread. The observer is that of [`Node::run`].
///
/// # Errors
///
/// The errors of [`Node::start`], and [`Error::Thread`].
pub fn spawn<A>(
    actor: A,
    config: NodeConfig,
    observer: impl FnMut(&A::State) + Send + 'static,
) -> Result<Handle, Error>
where
    A: Runnable<Msg: Send, Timer: Send, State: Send + Sync, Random: Send, Storage: Send> + Send,
{
    spawn_observed(actor, config, NoObserver, observer)
}

/// Starts and runs a node like [`spawn`], with the observer of [`Node::start_observed`].
///
/// # Errors
///
/// The errors of [`spawn`].
pub fn spawn_observed<A, W>(
    actor: A,
    config: NodeConfig,
    step_observer: W,
    mut observer: impl FnMut(&A::State) + Send + 'static,
) -> Result<Handle, Error>
where
    A: Runnable<Msg: Send, Timer: Send, State: Send + Sync, Random: Send, Storage: Send> + Send,
    W: StepObserver<A> + Send + 'static,
{
    let name = format!("node-{}", usize::from(config.id));
    let node = Node::start_observed(actor, config, step_observer)?;
    let (stop, counters) = (Stop::new(), Published::default());
    let (stopped, counted) = (stop.clone(), counters.clone());
    let torn_tail = node.torn_tail().cloned();
    let publish = move |counters: &Counters| counted.set(counters);
    let thread = thread::Builder::new()
        .name(name)
        .spawn(move || node.run_counted(&stopped, &mut observer, publish))
        .map_err(Error::Thread)?;
    Ok(Handle {
        stop,
        counters,
        torn_tail,
        thread,
    })
}

impl Handle {
    /// Stops the node within about 10 ms. The node loses everything but its saves, as in a crash.
    /// Does not wait: see [`Handle::join`].
    pub fn stop(&self) {
        self.stop.stop();
    }

    /// Returns the counters of the running node.
    pub fn counters(&self) -> Published {
        self.counters.clone()
    }

    /// Returns the torn record that was cut off the log when the node started: see
    /// [`Node::torn_tail`].
    pub fn torn_tail(&self) -> Option<&TornTail> {
        self.torn_tail.as_ref()
    }

    /// Returns whether the node has ended, stopped or by an error.
    pub fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }

    /// Waits until the node has ended, and returns its counters. Then its storage is free.
    ///
    /// # Errors
    ///
    /// The errors of [`Node::run`]; [`Error::Panicked`] if the actor or the observer panicked.
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
            Err(_) => "with a value that is not a text".to_owned(),
        },
    }
}
