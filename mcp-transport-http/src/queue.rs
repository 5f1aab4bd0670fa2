//! Messages that wait for the program, bounded by their bytes.

use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

/// Bytes that may wait; a longer message waits alone.
const BYTES: usize = 1 << 20;

/// What a message takes that says next to nothing, in bytes.
const LEAST: usize = 256;

#[derive(Debug)]
pub(crate) struct Sender<T> {
    /// Bounded by the room that each message takes.
    messages: mpsc::UnboundedSender<Queued<T>>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
pub(crate) struct Receiver<T> {
    messages: mpsc::UnboundedReceiver<Queued<T>>,
    room: Arc<Semaphore>,
}

#[derive(Debug)]
struct Queued<T> {
    message: T,
    _room: OwnedSemaphorePermit,
}

/// Room for a message.
#[derive(Debug)]
pub(crate) struct Slot<'a, T> {
    messages: &'a mpsc::UnboundedSender<Queued<T>>,
    room: OwnedSemaphorePermit,
}

/// Nobody takes messages any more.
#[derive(Debug)]
pub(crate) struct Closed;

pub(crate) fn queue<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(BYTES));
    let sender = Sender {
        messages: sender,
        room: Arc::clone(&room),
    };
    let receiver = Receiver {
        messages: receiver,
        room,
    };
    (sender, receiver)
}

fn room(bytes: usize) -> u32 {
    u32::try_from(bytes.saturating_add(LEAST).min(BYTES)).unwrap_or(u32::MAX)
}

impl<T> Sender<T> {
    /// Room for a message of so many bytes, if there is.
    pub(crate) fn try_slot(&self, bytes: usize) -> Result<Option<Slot<'_, T>>, Closed> {
        match Arc::clone(&self.room).try_acquire_many_owned(room(bytes)) {
            Ok(room) => self.with(room).map(Some),
            Err(TryAcquireError::NoPermits) => Ok(None),
            Err(TryAcquireError::Closed) => Err(Closed),
        }
    }

    /// Room for a message of so many bytes, as soon as there is.
    pub(crate) async fn slot(&self, bytes: usize) -> Result<Slot<'_, T>, Closed> {
        let room = Arc::clone(&self.room).acquire_many_owned(room(bytes));
        let room = room.await.map_err(|_| Closed)?;
        self.with(room)
    }

    fn with(&self, room: OwnedSemaphorePermit) -> Result<Slot<'_, T>, Closed> {
        let messages = &self.messages;
        match messages.is_closed() {
            true => Err(Closed),
            false => Ok(Slot { messages, room }),
        }
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self {
            messages: self.messages.clone(),
            room: Arc::clone(&self.room),
        }
    }
}

impl<T> Slot<'_, T> {
    pub(crate) fn send(self, message: T) {
        let _room = self.room;
        // Whoever would take it may have gone since.
        let _ = self.messages.send(Queued { message, _room });
    }
}

impl<T> Receiver<T> {
    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let queued = self.messages.poll_recv(cx);
        queued.map(|queued| queued.map(|queued| queued.message))
    }

    /// Takes no more than is there: whoever waits for room waits no longer.
    pub(crate) fn close(&mut self) {
        self.room.close();
        self.messages.close();
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use futures::task::noop_waker_ref;

    fn received(receiver: &mut Receiver<u8>) -> Poll<Option<u8>> {
        receiver.poll_recv(&mut Context::from_waker(noop_waker_ref()))
    }

    #[test]
    fn what_waits_is_bounded_by_its_bytes_and_by_its_number() {
        for (bytes, expected) in [(0, BYTES / LEAST), (BYTES / 2, 1), (100 * BYTES, 1)] {
            let (sender, mut receiver) = queue();
            let mut count = 0;
            while let Ok(Some(slot)) = sender.try_slot(bytes) {
                slot.send(1);
                count += 1;
            }
            assert_eq!(count, expected, "{bytes}");
            assert!(sender.slot(bytes).now_or_never().is_none());
            assert_eq!(received(&mut receiver), Poll::Ready(Some(1)));
            let slot = sender.slot(bytes).now_or_never();
            assert!(slot.is_some_and(|slot| slot.is_ok()), "{bytes}");
        }
    }

    #[test]
    fn who_waits_for_room_hears_that_there_will_be_none() {
        for dropped in [false, true] {
            let (sender, mut receiver) = queue();
            if let Ok(Some(slot)) = sender.try_slot(BYTES) {
                slot.send(1);
            }
            let mut waiting = Box::pin(sender.slot(0));
            assert!(waiting.as_mut().now_or_never().is_none());
            receiver.close();
            match dropped {
                true => drop(receiver),
                // What was there still is.
                false => assert_eq!(received(&mut receiver), Poll::Ready(Some(1))),
            }
            assert!(waiting.now_or_never().is_some_and(|slot| slot.is_err()));
            assert!(sender.try_slot(0).is_err());
        }
    }
}
