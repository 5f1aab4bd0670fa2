//! Calls whose result comes later, in both designs: that of 2025-11-25, and the extension of 2026-07-28 (inventory 1.7).

mod run;
mod store;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, Weak};
use std::task::Poll;
use std::time::{Duration, SystemTime};

use mcp_peer::session;
use mcp_peer::types::meta::key;
use mcp_peer::types::{
    CallToolResult, CancelTaskParams, CancelTaskResult, ClientCapabilities, Cursor, Era, ErrorCode,
    ErrorObject, ForRevision, GetTaskParams, InputRequests, ListTasksParams, ListTasksResult,
    ObjectBuf, Principal, ProtocolVersion, RawJson, RelatedTask, TASKS_EXTENSION, Task,
    TaskMetadata, TaskState, TaskStatus, TaskSupport, TaskUpdated, UpdateTaskParams,
};
use mcp_peer::{Answer, ConnectionId, HandlerFuture, Question, Request, RequestContext};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use self::run::lock;
pub(crate) use self::run::{When, Wish, becoming};
pub use self::store::{MemoryTasks, StoreError, Storing, TaskOwner, TaskRecord, TaskStore};
use crate::backplane::{Audience, Post};
use crate::decode::briefly;
use crate::hub::Hub;
use crate::room::encoded as encoded_news;
use crate::rounds::{Answers, key_of, unguessable};
use crate::router::encoded;
use crate::time::after;

/// How tasks are kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TaskOptions {
    /// How long a task is kept from its creation on, whether it has ended by then or not; a 2025-11-25 client may ask for
    /// less. Default 1 h.
    pub time: Duration,
    /// How long clients are to wait before they ask again how a task stands. Default 1 s.
    pub poll: Duration,
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self {
            time: Duration::from_secs(3600),
            poll: Duration::from_secs(1),
        }
    }
}

/// The tasks of a server.
pub(crate) struct Tasks {
    options: TaskOptions,
    store: Box<dyn TaskStore>,
    /// Through which it is told how they stand.
    hub: Hub,
    /// Names this process, so that its connections are not mistaken for those of another.
    process: String,
    /// Those at work here, by id.
    live: Mutex<HashMap<String, Live>>,
    /// When those that were created here expire.
    expiring: Mutex<Expiring>,
    /// Tells whoever looks after them that one expires before all others.
    sooner: Arc<Notify>,
    /// Those that are being created: whether anybody still waits for them or not, there are no more than so many.
    creating: Arc<Semaphore>,
}

/// Tasks that may be on their way to the store at a time; further calls wait.
const CREATING: usize = 1024;

#[derive(Default)]
struct Expiring {
    at: BTreeSet<(Instant, String)>,
    /// The task that looks after them, if there were any; it ends with its runtime.
    sweeper: Option<AbortHandle>,
}

/// A task at work.
struct Live {
    record: TaskRecord,
    /// The 2025-11-25 session that it was created in, which is told how it stands without asking.
    session: Option<ConnectionId>,
    /// What was told last.
    told: (TaskState, InputRequests),
    work: Option<AbortHandle>,
    open: BTreeMap<String, Question>,
    /// Questions that are under way to a legacy client.
    under_way: usize,
    /// Keys of questions; none is used twice (REQ-TSKX-03).
    used: HashSet<String>,
    expires: Instant,
    /// Whose turn it is to write to the store, so that what is newest is written last.
    writing: Arc<tokio::sync::Mutex<()>>,
    ended: watch::Sender<bool>,
}

/// How a call of a tool is run.
pub(crate) enum Run {
    Synchronously,
    /// It may become a task, which is kept for that long.
    AsTask(When, Duration),
}

type Outcome<T> = Result<T, ErrorObject>;

impl Tasks {
    pub(crate) fn new(options: TaskOptions, store: Box<dyn TaskStore>, hub: Hub) -> Arc<Self> {
        Arc::new(Self {
            options,
            store,
            hub,
            // Without randomness no task is created either.
            process: unguessable().unwrap_or_default(),
            live: Mutex::default(),
            expiring: Mutex::default(),
            sooner: Arc::default(),
            creating: Arc::new(Semaphore::new(CREATING)),
        })
    }

    /// How a call is run, by what the tool supports and what the caller wants.
    ///
    /// # Errors
    /// The two do not go together (REQ-TOOL-13, REQ-TSKX-01).
    pub(crate) fn how(
        &self,
        support: Option<(&TaskSupport, bool)>,
        context: &RequestContext,
        wanted: Option<RawJson>,
    ) -> Outcome<Run> {
        let version = context.version();
        let time = self.options.time;
        if version == ProtocolVersion::V2025_11_25 {
            let Some(wanted) = wanted else {
                return match support {
                    Some((TaskSupport::Required, _)) => {
                        let error = "the tool runs as a task only: set `task`";
                        Err(ErrorObject::new(ErrorCode::METHOD_NOT_FOUND, error))
                    }
                    _ => Ok(Run::Synchronously),
                };
            };
            if support.is_none() {
                let error = "the tool does not run as a task";
                return Err(ErrorObject::new(ErrorCode::METHOD_NOT_FOUND, error));
            }
            let wanted: TaskMetadata = wanted
                .decode()
                .map_err(|e| ErrorObject::invalid_params(format!("`task`: {e}")))?;
            let wanted = wanted.ttl.map_or(time, Duration::from_millis);
            return Ok(Run::AsTask(When::AtOnce, wanted.min(time)));
        }
        let Some((support, asked)) = support.filter(|_| version.era() == Era::Modern) else {
            return Ok(Run::Synchronously);
        };
        if !declares(context) {
            return match support {
                TaskSupport::Required => Err(undeclared()),
                _ => Ok(Run::Synchronously),
            };
        }
        let when = if asked { When::Asked } else { When::NotReady };
        Ok(Run::AsTask(when, time))
    }

    /// Answers a request about tasks.
    pub(crate) fn handle(self: &Arc<Self>, request: Request, page_size: usize) -> HandlerFuture {
        let tasks = Arc::clone(self);
        Box::pin(async move {
            let answered = tasks.answer(&request, page_size).await;
            answered.unwrap_or_else(|error| Answer::Error(briefly(error)))
        })
    }

    async fn answer(self: &Arc<Self>, request: &Request, page_size: usize) -> Outcome<Answer> {
        let context = &request.context;
        let version = context.version();
        if version.era() == Era::Modern && !declares(context) {
            return Err(undeclared());
        }
        let poll = self.options.poll;
        match request.method.as_str() {
            "tasks/get" => {
                let params: GetTaskParams = request.params()?;
                let record = self.find(context, &params.task_id).await?;
                Ok(encoded(shown(&record, version, poll), version))
            }
            "tasks/list" => {
                let params: ListTasksParams = request.params()?;
                self.list(context, params.cursor, page_size).await
            }
            "tasks/result" => {
                let params: GetTaskParams = request.params()?;
                self.result(context, &params.task_id).await
            }
            "tasks/cancel" => {
                let params: CancelTaskParams = request.params()?;
                let record = self.find(context, &params.task_id).await?;
                let cancelled = self.cancel(&record.id).await;
                if cancelled.is_none() {
                    self.must_be_here(&record.id).await?;
                }
                if version.era() == Era::Legacy && cancelled.is_none() {
                    // REQ-TSKL-04
                    return Err(ErrorObject::invalid_params("the task has ended already"));
                }
                let task = cancelled.map(|record| shown(&record, version, poll));
                let mut result = CancelTaskResult::new();
                result.task = task;
                Ok(encoded(result, version))
            }
            "tasks/update" => {
                let params: UpdateTaskParams = request.params()?;
                let record = self.find(context, &params.task_id).await?;
                self.must_be_here(&record.id).await?;
                let answers = params.input_responses.0.into();
                self.update(&record.id, answers).await;
                Ok(Answer::Result(ObjectBuf::new()))
            }
            method => Err(ErrorObject::method_not_found(method)),
        }
    }

    // ---- what clients ask for ----

    /// The task of that id, if the caller may see it.
    async fn find(&self, context: &RequestContext, id: &str) -> Outcome<TaskRecord> {
        let unknown = || ErrorObject::invalid_params(format!("unknown task {id:?}"));
        let live = lock(&self.live).get_mut(id).map(Live::now);
        let record = match live {
            Some(record) => record,
            None => self
                .store
                .get(id)
                .await
                .map_err(failed)?
                .ok_or_else(unknown)?,
        };
        // REQ-TSKL-04, REQ-TSKX-05
        let who = context.extension::<Principal>();
        match record.owner.lets_know(who.as_deref()) && !record.has_expired() {
            true => Ok(record),
            false => Err(unknown()),
        }
    }

    async fn list(
        &self,
        context: &RequestContext,
        cursor: Option<Cursor>,
        page_size: usize,
    ) -> Outcome<Answer> {
        let owner = self.owner(context);
        let after = cursor.as_ref().map(Cursor::as_str);
        if let Some(after) = after {
            let known = self.store.get(after).await.map_err(failed)?;
            if known.is_none_or(|record| record.owner != owner) {
                return Err(ErrorObject::invalid_params("unknown cursor"));
            }
        }
        let mut page = match owner {
            TaskOwner::Bearer => Vec::new(),
            _ => {
                let page = self.store.list(&owner, after, page_size.saturating_add(1));
                page.await.map_err(failed)?
            }
        };
        let more = page.len() > page_size;
        page.truncate(page_size);
        let version = context.version();
        let poll = self.options.poll;
        let tasks: Vec<_> = page
            .iter()
            .map(|record| shown(record, version, poll))
            .collect();
        let mut result = ListTasksResult::new(tasks);
        result.next_cursor = page
            .last()
            .filter(|_| more)
            .map(|last| last.id.as_str().into());
        Ok(encoded(result, version))
    }

    /// Waits for the end of a task, and answers what its request would have been answered with (REQ-TSKL-02).
    async fn result(&self, context: &RequestContext, id: &str) -> Outcome<Answer> {
        // Before it is looked at: one that ends while it is has no result there yet, and is not live afterwards.
        let ended = lock(&self.live).get(id).map(|live| live.ended.subscribe());
        let mut record = self.find(context, id).await?;
        if let Some(mut ended) = ended {
            // An error says the same: it is not live any more.
            let _ = ended.wait_for(|ended| *ended).await;
            record = self.find(context, id).await?;
        }
        match record.outcome {
            Some(Ok(result)) => {
                let mut result = ObjectBuf::from_raw(result).unwrap_or_default();
                let meta = result.take("_meta").and_then(ObjectBuf::from_raw);
                let meta = related(meta.unwrap_or_default(), &RelatedTask::new(id));
                result.insert_raw("_meta", &meta);
                Ok(Answer::Result(result))
            }
            Some(Err(error)) => Ok(Answer::Error(error)),
            None => Err(ErrorObject::internal("the task has no result")),
        }
    }

    /// Ends a task; `None` if it has ended.
    async fn cancel(self: &Arc<Self>, id: &str) -> Option<TaskRecord> {
        let record = {
            let mut live = lock(&self.live);
            let live = live
                .get_mut(id)
                .filter(|live| !live.record.status.is_terminal())?;
            live.end(TaskState::Cancelled);
            let cancelled = ErrorObject::internal("the task was cancelled");
            live.record.outcome = Some(Err(cancelled));
            if let Some(work) = &live.work {
                work.abort();
            }
            live.record.clone()
        };
        // It has ended, though nobody may wait for the answer.
        let (tasks, id) = (Arc::clone(self), id.to_owned());
        to_its_end(async move { tasks.write(&id).await }).await;
        Some(record)
    }

    /// A task that goes on, and of which this node knows nothing, is another node's.
    async fn must_be_here(&self, id: &str) -> Outcome<()> {
        if lock(&self.live).contains_key(id) {
            return Ok(());
        }
        let record = self.store.get(id).await.map_err(failed)?;
        match record.is_some_and(|record| !record.status.is_terminal()) {
            true => Err(ErrorObject::internal("the task runs on another node")),
            false => Ok(()),
        }
    }

    /// Hands answers to whoever asked; what nobody asked for is ignored.
    async fn update(self: &Arc<Self>, id: &str, mut answers: Answers) {
        {
            let mut live = lock(&self.live);
            let Some(live) = live.get_mut(id) else {
                return;
            };
            for (key, question) in std::mem::take(&mut live.open) {
                match answers.take(&key, &question.method) {
                    Some(answer) => question.answer(Ok(answer)),
                    None => drop(live.open.insert(key, question)),
                }
            }
            live.now();
        }
        let (tasks, id) = (Arc::clone(self), id.to_owned());
        to_its_end(async move { tasks.write(&id).await }).await;
    }

    // ---- what tasks do ----

    /// Creates a task.
    async fn create(
        self: &Arc<Self>,
        context: &RequestContext,
        time: Duration,
    ) -> Outcome<Created> {
        let cannot = || ErrorObject::internal("the server cannot create a task now");
        let id = unguessable().map_err(|e| {
            tracing::error!(error = %e, "no randomness");
            cannot()
        })?;
        let now = SystemTime::now();
        let record = TaskRecord {
            id,
            owner: self.owner(context),
            status: TaskState::Working,
            created: now,
            updated: now,
            time,
            questions: InputRequests::new(),
            outcome: None,
        };
        let session = (context.era() == Era::Legacy).then(|| context.link().id());
        // Before the store refuses one more: what is there may have expired.
        self.look_after(None);
        let turn = Arc::clone(&self.creating).acquire_owned().await;
        let tasks = Arc::clone(self);
        // What may be in the store already has to expire.
        let created = to_its_end(async move {
            let _turn = turn;
            let stored = tasks.store.create(record.clone()).await;
            stored.map_err(failed)?;
            tasks.created(&record, session);
            let begun = false;
            Ok(Created {
                tasks,
                record,
                begun,
            })
        });
        created.await.unwrap_or_else(|| Err(cannot()))
    }

    /// A task is in the store.
    fn created(self: &Arc<Self>, record: &TaskRecord, session: Option<ConnectionId>) {
        let expires = after(record.time);
        let live = Live {
            record: record.clone(),
            session,
            told: (TaskState::Working, InputRequests::new()),
            work: None,
            open: BTreeMap::new(),
            under_way: 0,
            used: HashSet::new(),
            expires,
            writing: Arc::default(),
            ended: watch::Sender::new(false),
        };
        lock(&self.live).insert(record.id.clone(), live);
        self.look_after(Some((expires, record.id.clone())));
    }

    /// Sees to it that there is a task that looks after what expires, and after one thing more, perhaps.
    fn look_after(self: &Arc<Self>, one_more: Option<(Instant, String)>) {
        let mut expiring = lock(&self.expiring);
        let before = expiring.at.first().map(|(at, _)| *at);
        expiring.at.extend(one_more);
        let first = expiring.at.first().map(|(at, _)| *at);
        let Some(at) = first else {
            return;
        };
        let gone = expiring
            .sweeper
            .as_ref()
            .is_none_or(AbortHandle::is_finished);
        if gone {
            let sooner = Arc::clone(&self.sooner);
            let sweeper = tokio::spawn(sweep(Arc::downgrade(self), sooner, at));
            expiring.sweeper = Some(sweeper.abort_handle());
        } else if first != before {
            self.sooner.notify_one();
        }
    }

    fn started(&self, id: &str, work: AbortHandle) {
        if let Some(live) = lock(&self.live).get_mut(id) {
            live.work = Some(work);
        }
    }

    /// A task's handler waits for answers.
    async fn asked(&self, id: &str, questions: Vec<Question>) {
        {
            let mut live = lock(&self.live);
            let Some(live) = live.get_mut(id) else {
                return;
            };
            for question in questions {
                let number = live.used.len() + 1;
                let key = key_of(&question, number, |key| live.used.contains(key));
                live.used.insert(key.clone());
                live.open.insert(key, question);
            }
            live.now();
        }
        self.write(id).await;
    }

    /// One more of a task's questions is under way to a legacy client, or one less.
    fn waits(&self, id: &str, more: bool) {
        if let Some(live) = lock(&self.live).get_mut(id) {
            match more {
                true => live.under_way += 1,
                false => live.under_way -= 1,
            }
            live.now();
        }
    }

    /// A task's handler has answered.
    async fn finish(&self, id: &str, answer: Answer) {
        let outcome = match answer {
            Answer::Result(result) => Ok(result.finish()),
            Answer::Error(error) => Err(error),
            Answer::InputRequired(_) => Err(ErrorObject::internal("the handler failed")),
        };
        {
            let mut live = lock(&self.live);
            let Some(live) = live.get_mut(id) else {
                return;
            };
            if live.record.status.is_terminal() {
                return;
            }
            let status = match &outcome {
                Ok(_) => TaskState::Completed,
                Err(_) => TaskState::Failed,
            };
            live.record.outcome = Some(outcome);
            live.end(status);
        }
        self.write(id).await;
    }

    /// Writes what is known of a task to the store; one that has ended is known from there only, then.
    async fn write(&self, id: &str) {
        let Some(writing) = lock(&self.live)
            .get(id)
            .map(|live| Arc::clone(&live.writing))
        else {
            return;
        };
        let _turn = writing.lock().await;
        let (record, session, news) = {
            let mut live = lock(&self.live);
            let Some(live) = live.get_mut(id) else {
                return;
            };
            let record = live.record.clone();
            let stands = (record.status.clone(), record.questions.clone());
            let news = stands != live.told;
            live.told = stands;
            (record, live.session, news)
        };
        let mut known = record.clone();
        let ended = record.status.is_terminal();
        if let Err(error) = self.store.update(record.clone()).await {
            tracing::error!(%error, "what became of a task cannot be kept");
            if ended {
                let error = ErrorObject::internal("the result of the task could not be kept");
                let (status, outcome) = (TaskState::Failed, Some(Err(error)));
                let lost = TaskRecord {
                    status,
                    outcome,
                    ..record
                };
                known = lost.clone();
                let _ = self.store.update(lost).await;
            }
        }
        if news {
            self.tell(&known, session);
        }
        if ended && let Some(live) = lock(&self.live).remove(id) {
            live.ended.send_replace(true);
        }
    }

    /// Tells how a task stands: the 2025-11-25 session it is of, or the streams of modern clients that follow it. Who has no
    /// room for it is not told.
    fn tell(&self, record: &TaskRecord, session: Option<ConnectionId>) {
        let told = |version| shown(record, version, self.options.poll).for_revision(version);
        if let Some(session) = session {
            if let Ok(message) = encoded_news::<TaskStatus>(&told(ProtocolVersion::V2025_11_25)) {
                self.hub.tell_one(session, &message);
            }
        } else if let Ok(message) = encoded_news::<TaskUpdated>(&told(ProtocolVersion::V2026_07_28))
        {
            let to = Audience::Followers(record.owner.clone());
            self.hub.spread(Post { to, message });
        }
    }

    /// Whose the tasks are that a request creates.
    fn owner(&self, context: &RequestContext) -> TaskOwner {
        match context.extension::<Principal>() {
            Some(principal) => TaskOwner::Principal(principal.to_string()),
            None if context.era() == Era::Legacy => {
                TaskOwner::Connection(format!("{}-{}", self.process, context.link().id()))
            }
            None => TaskOwner::Bearer,
        }
    }

    /// Forgets what has expired; when something else will, if anything is left.
    async fn drop_expired(&self) -> Option<Instant> {
        let now = Instant::now();
        loop {
            let id = {
                let mut expiring = lock(&self.expiring);
                match expiring.at.first() {
                    Some((at, _)) if *at <= now => {}
                    next => {
                        let next = next.map(|(at, _)| *at);
                        if next.is_none() {
                            expiring.sweeper = None;
                        }
                        return next;
                    }
                }
                expiring.at.pop_first().map(|(_, id)| id)
            };
            self.forget(&id.unwrap_or_default()).await;
        }
    }

    /// Forgets a task, and ends its work.
    async fn forget(&self, id: &str) {
        let live = lock(&self.live).remove(id);
        if let Some(live) = live {
            let expiring = (live.expires, id.to_owned());
            lock(&self.expiring).at.remove(&expiring);
            if let Some(work) = live.work {
                work.abort();
            }
        }
        if let Err(error) = self.store.remove(id).await {
            tracing::error!(%error, "a task cannot be removed");
        }
    }
}

/// A task that is in the store. If it does not begin, for its call was cancelled meanwhile, it is forgotten.
struct Created {
    tasks: Arc<Tasks>,
    record: TaskRecord,
    begun: bool,
}

impl Drop for Created {
    fn drop(&mut self) {
        // Without a runtime it is kept until it expires.
        if !self.begun
            && let Ok(runtime) = Handle::try_current()
        {
            let (tasks, id) = (Arc::clone(&self.tasks), self.record.id.clone());
            runtime.spawn(async move { tasks.forget(&id).await });
        }
    }
}

/// Runs something to its end, even if nobody waits for that any more; `None` if it panics in a task.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let mut work = Box::pin(work);
    // What is done at once needs no task.
    match poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await {
        Poll::Ready(done) => Some(done),
        Poll::Pending => tokio::spawn(work).await.ok(),
    }
}

impl Live {
    /// How it stands now.
    fn now(&mut self) -> TaskRecord {
        self.open.retain(|_, question| !question.is_withdrawn());
        let questions = self.open.iter().map(|(key, question)| {
            let method = question.method.clone();
            let params = question.params.clone();
            (key.clone(), session::Question { method, params })
        });
        let questions: BTreeMap<_, _> = questions.collect();
        let questions = RawJson::encode(&questions).and_then(|raw| raw.decode::<InputRequests>());
        // They were fit to be asked.
        let questions = questions.unwrap_or_default();
        let status = match self.under_way > 0 || !questions.is_empty() {
            true => TaskState::InputRequired,
            false => TaskState::Working,
        };
        let stands = (&self.record.status, &self.record.questions);
        if !self.record.status.is_terminal() && stands != (&status, &questions) {
            (self.record.status, self.record.questions) = (status, questions);
            self.record.updated = SystemTime::now();
        }
        self.record.clone()
    }

    fn end(&mut self, status: TaskState) {
        self.record.status = status;
        self.record.updated = SystemTime::now();
        self.record.questions = InputRequests::new();
        self.open.clear();
    }
}

/// A task as a revision knows it.
fn shown(record: &TaskRecord, version: ProtocolVersion, poll: Duration) -> Task {
    let stamp = |time| humantime::format_rfc3339_millis(time).to_string();
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut task = Task::new(&record.id, stamp(record.created));
    task.last_updated_at = stamp(record.updated);
    task.ttl = Some(millis(record.time));
    task.poll_interval = Some(millis(poll));
    task.status = record.status.clone();
    match &record.outcome {
        // TRAP-54
        Some(Ok(result)) if version.era() == Era::Legacy => {
            let failed = result.decode::<CallToolResult>().is_ok_and(|r| r.is_error);
            if failed {
                task.status = TaskState::Failed;
            }
        }
        Some(Ok(result)) => {
            let mut result = ObjectBuf::from_raw(result.clone()).unwrap_or_default();
            let complete = RawJson::encode("complete");
            complete
                .into_iter()
                .for_each(|complete| result.insert_raw("resultType", &complete));
            task.result = Some(result.finish());
        }
        Some(Err(_)) if record.status == TaskState::Cancelled => {}
        Some(Err(error)) => task.error = Some(error.clone().for_revision(version)),
        None => {}
    }
    task.input_requests = Some(record.questions.clone()).filter(|open| !open.is_empty());
    task
}

/// `_meta` with the task that something belongs to (2025-11-25 only).
pub(crate) fn related(mut meta: ObjectBuf, task: &RelatedTask) -> RawJson {
    meta.take(key::RELATED_TASK);
    if let Ok(task) = RawJson::encode(task) {
        meta.insert_raw(key::RELATED_TASK, &task);
    }
    meta.finish()
}

fn declares(context: &RequestContext) -> bool {
    let caller = context.caller();
    caller.capabilities.extension(TASKS_EXTENSION).is_some()
}

/// REQ-TSKX-01
fn undeclared() -> ErrorObject {
    let required = ClientCapabilities::new().extensions(TASKS_EXTENSION, RawJson::EMPTY_OBJECT);
    ErrorObject::missing_client_capability(required)
}

fn failed(error: StoreError) -> ErrorObject {
    match error {
        StoreError::Full => ErrorObject::internal("too many tasks"),
        StoreError::Failed(error) => {
            tracing::error!(%error, "the store of tasks failed");
            ErrorObject::internal("tasks are not available now")
        }
    }
}

/// Looks after what expires as long as there are tasks; the server itself is not kept alive by it.
async fn sweep(tasks: Weak<Tasks>, sooner: Arc<Notify>, first: Instant) {
    let mut next = Some(first);
    while let Some(at) = next {
        let _ = tokio::time::timeout_at(at, sooner.notified()).await;
        let Some(tasks) = tasks.upgrade() else {
            return;
        };
        next = tasks.drop_expired().await;
    }
}

/// The server takes its tasks with it.
impl Drop for Tasks {
    fn drop(&mut self) {
        for live in lock(&self.live).values() {
            if let Some(work) = &live.work {
                work.abort();
            }
        }
    }
}

impl std::fmt::Debug for Tasks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tasks")
            .field("live", &lock(&self.live).len())
            .finish_non_exhaustive()
    }
}
