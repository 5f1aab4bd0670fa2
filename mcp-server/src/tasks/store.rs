//! Where tasks are kept.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::fmt;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use mcp_peer::types::{ErrorObject, InputRequests, Principal, RawJson, TaskState};
use serde::{Deserialize, Serialize};

/// Keeps tasks, so that clients can ask for them later; [`MemoryTasks`] does by default.
///
/// What runs, runs on the node where it began, and there alone it can be cancelled and answered; what any node can tell is how a
/// task stands and how it ended. A store removes nothing by itself: it is told when a task's time is over.
pub trait TaskStore: Send + Sync + 'static {
    /// Keeps a new task; when this completes, [`get`](Self::get) finds it (REQ-TSKX-02).
    fn create(&self, task: TaskRecord) -> Storing<'_, ()>;

    /// Keeps what became of a task, in the place of what was known; nothing if it is not there any more.
    fn update(&self, task: TaskRecord) -> Storing<'_, ()>;

    /// The task of that id.
    fn get<'a>(&'a self, id: &'a str) -> Storing<'a, Option<TaskRecord>>;

    /// Tasks of an owner in the order of their creation, from behind the one with the id `after` on, and `limit` at most.
    fn list<'a>(
        &'a self,
        owner: &'a TaskOwner,
        after: Option<&'a str>,
        limit: usize,
    ) -> Storing<'a, Vec<TaskRecord>>;

    /// Forgets a task.
    fn remove<'a>(&'a self, id: &'a str) -> Storing<'a, ()>;
}

/// Something that a [`TaskStore`] does.
pub type Storing<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// Why a task is not kept, or not found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no room for it.
    #[error("no room for another task")]
    Full,
    /// The store failed.
    #[error("the store failed: {0}")]
    Failed(#[from] Box<dyn Error + Send + Sync>),
}

/// A task as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// What it is known by; nobody can guess it.
    pub id: String,
    /// Whose it is.
    pub owner: TaskOwner,
    /// How it stands. Whether it has failed depends on the revision, so one that has ended is `completed` here if it has a
    /// result, whatever that says.
    pub status: TaskState,
    /// When it was created.
    pub created: SystemTime,
    /// When it last changed.
    pub updated: SystemTime,
    /// How long it is kept from its creation on.
    pub time: Duration,
    /// What it waits for.
    pub questions: InputRequests,
    /// What its request would have been answered with.
    pub outcome: Option<Result<RawJson, ErrorObject>>,
}

impl TaskRecord {
    /// Whether its time is over, though whoever created it has not removed it yet.
    pub(crate) fn has_expired(&self) -> bool {
        // If the clock was set back, it is not.
        let age = self.created.elapsed();
        age.is_ok_and(|age| age >= self.time)
    }
}

/// Whose a task is (REQ-TSKL-04, REQ-TSKX-05).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TaskOwner {
    /// That of a principal, and of nobody else.
    Principal(String),
    /// That of a connection, which lists it; whoever knows its id can ask for it.
    Connection(String),
    /// Whoever knows its id can ask for it.
    Bearer,
}

impl TaskOwner {
    /// Whether somebody who knows its id may know how it stands.
    pub(crate) fn lets_know(&self, who: Option<&Principal>) -> bool {
        match self {
            Self::Principal(owner) => who.is_some_and(|who| who.to_string() == *owner),
            Self::Connection(_) | Self::Bearer => true,
        }
    }
}

/// Keeps tasks in memory.
#[derive(Debug)]
pub struct MemoryTasks {
    /// Tasks at most; the next one is refused.
    count: usize,
    /// Bytes of results at most, together.
    bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    tasks: HashMap<String, (u64, TaskRecord)>,
    in_order: BTreeMap<u64, String>,
    next: u64,
    bytes: usize,
}

impl MemoryTasks {
    /// Keeps so many tasks, and so many bytes of results, at most.
    pub fn new(count: usize, bytes: usize) -> Self {
        Self {
            count,
            bytes,
            kept: Mutex::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// 10,000 tasks with 64 MiB of results.
impl Default for MemoryTasks {
    fn default() -> Self {
        Self::new(10_000, 64 * 1024 * 1024)
    }
}

/// What of a task counts by bytes; of short errors the number is bounded, and that is enough for them.
fn size(task: &TaskRecord) -> usize {
    const SHORT: usize = 256;
    match &task.outcome {
        Some(Ok(result)) => result.len(),
        Some(Err(error)) => {
            let data = error.data.as_ref().map_or(0, RawJson::len);
            (error.message.len() + data).saturating_sub(SHORT)
        }
        None => 0,
    }
}

fn done<'a, T: Send + 'a>(value: Result<T, StoreError>) -> Storing<'a, T> {
    Box::pin(ready(value))
}

impl TaskStore for MemoryTasks {
    fn create(&self, task: TaskRecord) -> Storing<'_, ()> {
        let mut kept = self.lock();
        if kept.tasks.len() >= self.count {
            return done(Err(StoreError::Full));
        }
        let number = kept.next;
        kept.next += 1;
        kept.in_order.insert(number, task.id.clone());
        kept.tasks.insert(task.id.clone(), (number, task));
        done(Ok(()))
    }

    fn update(&self, task: TaskRecord) -> Storing<'_, ()> {
        let mut kept = self.lock();
        let Some((number, before)) = kept.tasks.get(&task.id) else {
            return done(Ok(()));
        };
        let (number, others) = (*number, kept.bytes - size(before));
        let bytes = others + size(&task);
        if bytes > self.bytes {
            return done(Err(StoreError::Full));
        }
        kept.bytes = bytes;
        kept.tasks.insert(task.id.clone(), (number, task));
        done(Ok(()))
    }

    fn get<'a>(&'a self, id: &'a str) -> Storing<'a, Option<TaskRecord>> {
        let kept = self.lock();
        done(Ok(kept.tasks.get(id).map(|(_, task)| task.clone())))
    }

    fn list<'a>(
        &'a self,
        owner: &'a TaskOwner,
        after: Option<&'a str>,
        limit: usize,
    ) -> Storing<'a, Vec<TaskRecord>> {
        let kept = self.lock();
        let after = after.and_then(|id| kept.tasks.get(id));
        let from = after.map_or(0, |(number, _)| number + 1);
        let tasks = kept.in_order.range(from..).filter_map(|(_, id)| {
            let (_, task) = kept.tasks.get(id)?;
            (task.owner == *owner).then(|| task.clone())
        });
        let page = tasks.take(limit).collect();
        drop(kept);
        done(Ok(page))
    }

    fn remove<'a>(&'a self, id: &'a str) -> Storing<'a, ()> {
        let mut kept = self.lock();
        if let Some((number, task)) = kept.tasks.remove(id) {
            kept.in_order.remove(&number);
            kept.bytes -= size(&task);
        }
        done(Ok(()))
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("tasks", &self.tasks.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
