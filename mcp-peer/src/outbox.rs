//! From handles and handlers to the driver: one queue, so that one order.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use mcp_session::{CallKey, Caller, IncomingKey, NotSent, Progress};
use mcp_types::{ClientCapabilities, LogLevel, MethodName, NotificationMessage, RawJson};
use tokio::sync::{Semaphore, oneshot};

use crate::dispatch::Answer;
use crate::feed::Follower;
use crate::pending::PendingCall;

/// What a handle or a handler wants of the driver.
pub(crate) enum Command {
    /// What is asked for is with it.
    Call(Arc<PendingCall>),
    Cancel(CallKey),
    Answer {
        key: IncomingKey,
        answer: Answer,
    },
    Notify {
        related: Option<IncomingKey>,
        method: MethodName,
        params: Option<RawJson>,
        /// Who wants to know whether it could be sent.
        reply: Option<oneshot::Sender<Result<(), NotSent>>>,
    },
    /// What waits for a follower, up to the one before the number `end`; none as long as it is the last command in the queue.
    Mail {
        follower: Follower,
        end: Option<u64>,
    },
    Log {
        related: Option<IncomingKey>,
        level: LogLevel,
        params: RawJson,
    },
    Progress {
        key: IncomingKey,
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    },
    /// Of a request that has been answered with a task.
    TaskProgress {
        caller: Arc<Caller>,
        report: Box<Progress>,
    },
    /// To this side's own receivers.
    Deliver(NotificationMessage),
    SetCapabilities(Box<ClientCapabilities>),
    Close,
}

/// The queue from the program to the driver.
///
/// Whoever can wait takes [room](Self::room) first: that is the backpressure. What must not wait goes in without. Answers are
/// weighed, and nothing more is read while they are too many: a request that the peer cancels makes room for another one,
/// but its answer may be here already. There is at most one cancellation from `Drop` for a request in flight, and one wish to
/// close.
pub(crate) struct Outbox {
    queue: Mutex<Queue>,
    /// One permit a byte.
    room: Semaphore,
    capacity: u32,
    /// Bytes of answers that the driver has not come to yet.
    answers: AtomicUsize,
    /// The transport has not kept up for a while, and the driver cannot do what it was told. Changed with the queue's lock held.
    behind: AtomicBool,
}

struct Queue {
    commands: VecDeque<(Command, u32)>,
    /// With so many commands it is time to look for those that have become [stale](Self::take_stale).
    sift_at: usize,
    /// The driver, when it sleeps.
    sleeper: Option<Waker>,
    /// It was to be woken and was awake: what it was to see may have come behind its look at it.
    woken: bool,
    closed: bool,
}

/// What a command without a body costs, so that their number is bounded too.
const BASE_COST: usize = 256;
/// Among fewer commands nobody looks for stale ones.
const FEW: usize = 64;

/// Room in the queue, taken but not used yet.
pub(crate) struct Room<'a> {
    outbox: &'a Outbox,
    cost: u32,
}

/// The driver is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl Outbox {
    /// `capacity` is in bytes of bodies; a message larger than that still goes, alone.
    pub(crate) fn new(capacity: u32) -> Self {
        Self {
            queue: Mutex::new(Queue {
                commands: VecDeque::new(),
                sift_at: FEW,
                sleeper: None,
                woken: false,
                closed: false,
            }),
            room: Semaphore::new(capacity as usize),
            capacity,
            answers: AtomicUsize::new(0),
            behind: AtomicBool::new(false),
        }
    }

    /// Waits for room for a body of that many bytes.
    ///
    /// Cancel safe: room that was waited for is given back.
    pub(crate) async fn room(&self, bytes: usize) -> Result<Room<'_>, Gone> {
        let cost = self.cost(bytes);
        let permit = match self.room.try_acquire_many(cost) {
            Ok(permit) => permit,
            Err(_) => self.room.acquire_many(cost).await.map_err(|_| Gone)?,
        };
        permit.forget();
        Ok(Room { outbox: self, cost })
    }

    /// The room, if nobody has to wait for it; `None` also if there will never be any again.
    pub(crate) fn room_now(&self, bytes: usize) -> Option<Room<'_>> {
        let cost = self.cost(bytes);
        self.room.try_acquire_many(cost).ok()?.forget();
        Some(Room { outbox: self, cost })
    }

    /// What a command with such a body takes of the room.
    fn cost(&self, bytes: usize) -> u32 {
        u32::try_from(bytes.saturating_add(BASE_COST))
            .map_or(self.capacity, |cost| cost.min(self.capacity))
    }

    /// Puts a command into the queue without waiting.
    pub(crate) fn push(&self, command: Command) -> Result<(), Gone> {
        self.push_with_cost(command, 0)
    }

    /// Puts in that something waits for a follower. As long as nothing comes behind it, that is said of whatever more comes, too.
    pub(crate) fn push_mail(&self, follower: &Follower) -> Result<(), Gone> {
        // What is stale is dropped with the lock free: with a feed's last handle goes what the program has given it.
        let (sleeper, _stale) = {
            let mut queue = self.lock();
            if queue.closed {
                return Err(Gone);
            }
            if follower.is_open() {
                return Ok(());
            }
            follower.open();
            let stale = queue.take_stale();
            let follower = follower.clone();
            let end = None;
            (queue.push(Command::Mail { follower, end }, 0), stale)
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Ok(())
    }

    /// Puts an answer into the queue.
    pub(crate) fn push_answer(&self, key: IncomingKey, answer: Answer) -> Result<(), Gone> {
        let weight = answer_weight(&answer);
        self.answers.fetch_add(weight, Ordering::Relaxed);
        self.push(Command::Answer { key, answer })
    }

    /// For the driver, which has come to an answer.
    pub(crate) fn answer_taken(&self, answer: &Answer) {
        let weight = answer_weight(answer);
        self.answers.fetch_sub(weight, Ordering::Relaxed);
    }

    /// Bytes of answers that the driver has not come to yet.
    pub(crate) fn answers(&self) -> usize {
        self.answers.load(Ordering::Relaxed)
    }

    fn push_with_cost(&self, command: Command, cost: u32) -> Result<(), Gone> {
        let sleeper = {
            let mut queue = self.lock();
            if queue.closed {
                return Err(Gone);
            }
            queue.push(command, cost)
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
        Ok(())
    }

    /// For the driver, which is awake and needs no waking then: exchanges its empty buffer for what has queued up.
    pub(crate) fn take(&self, buffer: &mut VecDeque<(Command, u32)>) {
        debug_assert!(buffer.is_empty());
        let mut queue = self.lock();
        queue.sleeper = None;
        self.behind.store(false, Ordering::Relaxed);
        queue.seal();
        std::mem::swap(&mut queue.commands, buffer);
    }

    /// For the driver, which cannot do what is left of what it has taken: who waits for a call of these, or of those it has not
    /// taken, is to look at the time.
    pub(crate) fn fall_behind(&self, left: &VecDeque<(Command, u32)>) {
        let mut waiting = Vec::new();
        let mut look = |commands: &VecDeque<(Command, u32)>| {
            waiting.extend(commands.iter().filter_map(|(command, _)| match command {
                Command::Call(pending) => Some(Arc::clone(pending)),
                _ => None,
            }));
        };
        look(left);
        let queue = self.lock();
        self.behind.store(true, Ordering::Relaxed);
        look(&queue.commands);
        drop(queue);
        waiting.iter().for_each(|pending| pending.waits());
    }

    /// Whether the driver [has fallen behind](Self::fall_behind).
    pub(crate) fn is_behind(&self) -> bool {
        self.behind.load(Ordering::Relaxed)
    }

    /// For the driver: gives back what a command that it has taken did cost.
    pub(crate) fn release(&self, cost: u32) {
        if cost > 0 {
            self.room.add_permits(cost as usize);
        }
    }

    /// For the driver: asks to be woken at the next command; false if there is one already, or something else to see.
    pub(crate) fn sleep(&self, cx: &Context<'_>) -> bool {
        let mut queue = self.lock();
        if std::mem::take(&mut queue.woken) || !queue.commands.is_empty() {
            return false;
        }
        queue.sleeper = Some(cx.waker().clone());
        true
    }

    /// For the driver: asks to be woken, whatever is queued; false if there is something else to see.
    pub(crate) fn sleep_regardless(&self, cx: &Context<'_>) -> bool {
        let mut queue = self.lock();
        if std::mem::take(&mut queue.woken) {
            return false;
        }
        queue.sleeper = Some(cx.waker().clone());
        true
    }

    /// Wakes the driver for something that is not in the queue.
    pub(crate) fn wake(&self) {
        let sleeper = {
            let mut queue = self.lock();
            let sleeper = queue.sleeper.take();
            queue.woken = sleeper.is_none();
            sleeper
        };
        if let Some(sleeper) = sleeper {
            sleeper.wake();
        }
    }

    /// For the driver, when it ends: nothing goes in any more, whoever waits is told, what was left is returned.
    pub(crate) fn close(&self) -> VecDeque<(Command, u32)> {
        self.room.close();
        let mut queue = self.lock();
        queue.closed = true;
        queue.seal();
        std::mem::take(&mut queue.commands)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// No code runs under this lock that could panic, and a queue is never left half changed.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Puts a command in; gives back whom to wake.
    fn push(&mut self, command: Command, cost: u32) -> Option<Waker> {
        self.seal();
        if self.commands.capacity() == 0 {
            // Most connections never need more.
            self.commands.reserve_exact(1);
        }
        self.commands.push_back((command, cost));
        self.sleeper.take()
    }

    /// Takes out mail of which nothing is left, because the feed has dropped it all: two feeds in turns end each other's runs.
    ///
    /// What each other one is to take is there, which the feeds' limits bound. That something is missing is told before what is
    /// left. Each time there are twice as many as there were after the last time, so that it costs little for each.
    fn take_stale(&mut self) -> VecDeque<(Command, u32)> {
        if self.commands.len() < self.sift_at {
            return VecDeque::new();
        }
        let is_stale = |(command, _): &(Command, u32)| match command {
            Command::Mail { follower, end } => end.is_some_and(|end| !follower.has_before(end)),
            _ => false,
        };
        let (stale, rest) = self.commands.drain(..).partition(is_stale);
        self.commands = rest;
        self.sift_at = 2 * self.commands.len() + FEW;
        stale
    }

    /// Nothing more belongs to the last command: what comes from now on has its place behind something else.
    fn seal(&mut self) {
        if let Some((Command::Mail { follower, end }, _)) = self.commands.back_mut()
            && end.is_none()
        {
            *end = Some(follower.seal());
        }
    }
}

/// What an answer counts by bytes.
fn answer_weight(answer: &Answer) -> usize {
    let bytes = match answer {
        Answer::Result(result) => result.text_len(),
        Answer::Error(error) => error.message.len() + error.data.as_ref().map_or(0, RawJson::len),
        Answer::InputRequired(input) => {
            let questions = input.questions.iter();
            let asked = questions.map(|(name, question)| name.len() + question.params.len());
            asked.sum::<usize>() + input.state.as_ref().map_or(0, String::len)
        }
    };
    bytes + BASE_COST
}

impl Room<'_> {
    /// Uses the room.
    pub(crate) fn push(self, command: Command) -> Result<(), Gone> {
        let cost = self.cost;
        // What is used is given back by the driver.
        let outbox = self.outbox;
        std::mem::forget(self);
        outbox.push_with_cost(command, cost)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.outbox.release(self.cost);
    }
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox")
            .field("room", &self.room.available_permits())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_woken_before_sleeping_does_not_sleep() {
        let outbox = Outbox::new(1024);
        let cx = Context::from_waker(Waker::noop());
        assert!(outbox.sleep(&cx));
        // A driver that sleeps is woken at once; that is all there is to it.
        outbox.wake();
        assert!(outbox.sleep(&cx));
        // One that is awake has taken its waker back: it must not sleep over what it was to be woken for.
        outbox.take(&mut VecDeque::new());
        outbox.wake();
        assert!(!outbox.sleep(&cx));
        assert!(outbox.sleep(&cx));
    }
}
