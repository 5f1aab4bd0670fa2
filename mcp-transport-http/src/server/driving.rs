//! What drives a connection, and those whose connection is over and that wait for another one.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use mcp_types::{Extensions, Renew};

use super::exchange::State;

/// What drives a connection.
pub(super) type Driving = Box<dyn Drive>;

pub(super) trait Drive: Future<Output = ()> + Renew + Send + Unpin {}

impl<D: Future<Output = ()> + Renew + Send + Unpin> Drive for D {}

/// What the program drives a connection by; how that ends is told here.
pub(super) struct Program<D>(pub(super) D);

impl<D, E> Future for Program<D>
where
    D: Future<Output = Result<(), E>> + Unpin,
    E: fmt::Display,
{
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.0).poll(cx).map(|ended| {
            if let Err(error) = ended {
                tracing::warn!(%error, "a connection broke");
            }
        })
    }
}

impl<D: Renew> Renew for Program<D> {
    fn rest(&mut self) -> bool {
        self.0.rest()
    }

    fn renew(&mut self, extensions: Extensions) -> Result<(), Extensions> {
        self.0.renew(extensions)
    }
}

/// Any future, which drives one connection and no other.
pub(super) struct Once<D>(Pin<Box<D>>);

impl<D> Once<D> {
    pub(super) fn new(driving: D) -> Self {
        Self(Box::pin(driving))
    }
}

impl<D: Future> Future for Once<D> {
    type Output = D::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<D::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<D> Renew for Once<D> {
    fn rest(&mut self) -> bool {
        false
    }

    fn renew(&mut self, extensions: Extensions) -> Result<(), Extensions> {
        Err(extensions)
    }
}

/// Drivers whose connection is over, for those to come: the latest first, for what it needs is likely to be in a cache.
#[derive(Default)]
pub(super) struct Resting(Mutex<Vec<Rested>>);

pub(super) struct Rested {
    pub(super) driving: Driving,
    /// Of its transport.
    pub(super) state: Arc<Mutex<State>>,
}

/// How many rest, at most: as many as are needed at a time, if handlers answer at once and there are not more processors.
const RESTING: usize = 32;

impl Resting {
    pub(super) fn take(&self) -> Option<Rested> {
        self.lock().pop()
    }

    pub(super) fn put(&self, rested: Rested) {
        let mut all = self.lock();
        if all.len() < RESTING {
            return all.push(rested);
        }
        drop(all);
    }

    pub(super) fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Rested>> {
        // No program's code runs under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
