//! Calls that become tasks, in either design.

use std::future::{Future, IntoFuture, poll_fn};
use std::pin::{Pin, pin};
use std::time::Duration;

use mcp_peer::session::{PeerMisbehaved, RequestError};
use mcp_peer::types::{
    CallTool, CallToolResult, CancelTask, CreateTaskResult, Era, ErrorCode, ErrorObject, GetTask,
    GetTaskParams, InputRequests, InputResponses, ProtocolVersion, RawJson, Request, Task,
    TaskMetadata, TaskResult, TaskState, UpdateTask, UpdateTaskParams,
};
use mcp_peer::{ProgressUpdate, TaskProgress};

use crate::call::Call;
use crate::client::Client;

/// How often a server that names no time is asked how a task stands.
const POLL: Duration = Duration::from_secs(1);
/// How often it is asked at most, whatever it names.
const MIN_POLL: Duration = Duration::from_millis(50);
/// How long it is left alone at most.
const MAX_POLL: Duration = Duration::from_secs(30);
/// How often in a row it may be unable to say.
const PATIENCE: u32 = 5;

/// What a tool's call has come to: its result, or a task that will have it.
#[derive(Debug)]
pub enum Started {
    /// The server has made no task of it.
    Done(CallToolResult),
    /// The server works on it.
    Task(TaskHandle),
}

/// A task of a server's; dropping it leaves the task as it is. Clones are of the same, and are told nothing of its progress.
#[derive(Debug)]
pub struct TaskHandle {
    client: Client,
    task: Box<Task>,
    /// If its call asked for progress, and a 2025-11-25 server tells of it.
    progress: Option<TaskProgress>,
}

/// A call that may become a task; made by [`Call::as_task`].
#[must_use = "a request is sent when it is awaited"]
#[derive(Debug)]
pub struct Starting<'a> {
    call: Call<'a, CallTool>,
    task: TaskMetadata,
}

impl<'a> Call<'a, CallTool> {
    /// Does not wait for the end of a task, if the server makes one of the call.
    ///
    /// A 2025-11-25 server that can is asked to, and refuses if the tool does not run as a task; a modern one decides for itself,
    /// if the client was built [`with_tasks`](crate::ClientBuilder::with_tasks). Others just answer.
    ///
    /// ```no_run
    /// # async fn run(client: mcp_client::Client) -> Result<(), mcp_client::RequestError> {
    /// use mcp_client::Started;
    ///
    /// let result = match client.call_tool("build", ()).as_task().await? {
    ///     Started::Done(result) => result,
    ///     Started::Task(task) => {
    ///         println!("{} is {}", task.id(), task.task().status);
    ///         task.result().await?
    ///     }
    /// };
    /// # Ok(()) }
    /// ```
    pub fn as_task(mut self) -> Starting<'a> {
        self.request.follows = false;
        let task = TaskMetadata::new();
        Starting { call: self, task }
    }
}

impl Starting<'_> {
    /// Asks a 2025-11-25 server to keep the task for so long from its creation on.
    pub fn keep(mut self, time: Duration) -> Self {
        self.task.ttl = Some(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

impl<'a> IntoFuture for Starting<'a> {
    type Output = Result<Started, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let mut request = self.call.request;
        Box::pin(async move {
            let client = request.client;
            let server = client.server();
            let takes_tasks = (server.capabilities.tasks.as_ref())
                .and_then(|tasks| tasks.requests.as_ref()?.tools.as_ref())
                .is_some_and(|tools| tools.call.is_some());
            // REQ-TSKL-03
            if server.version == ProtocolVersion::V2025_11_25
                && takes_tasks
                && let Ok(params) = &mut request.params
            {
                let added = params.insert("task", &self.task);
                debug_assert!(added.is_ok(), "it serialises");
            }
            let result = request.finished().await?;
            Ok(match task_of(&result) {
                None => Started::Done(mcp_peer::read_result::<CallTool>(&result)?),
                Some(task) => Started::Task(TaskHandle {
                    client: client.clone(),
                    task: Box::new(task),
                    progress: request.task_progress,
                }),
            })
        })
    }
}

impl Client {
    /// Finds a task again by its id.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is: a server that does not know it refuses.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn task(&self, id: impl Into<String>) -> Result<TaskHandle, RequestError> {
        let task = Box::new(get(self, &id.into()).await?);
        Ok(TaskHandle {
            client: self.clone(),
            task,
            progress: None,
        })
    }
}

impl TaskHandle {
    /// What to find it again by.
    pub fn id(&self) -> &str {
        &self.task.task_id
    }

    /// How it stood when the server was asked last.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// Asks how it stands.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped.
    pub async fn refresh(&mut self) -> Result<&Task, RequestError> {
        *self.task = get(&self.client, self.id()).await?;
        Ok(&self.task)
    }

    /// Asks the server to stop.
    ///
    /// # Errors
    /// [`RequestError`], by whose fault it is; a legacy server refuses if it has ended.
    ///
    /// # Cancel safety
    /// If the future is dropped, the task may or may not be cancelled.
    pub async fn cancel(&self) -> Result<(), RequestError> {
        let params = GetTaskParams::new(self.id());
        self.client.request::<CancelTask>(&params).await.map(drop)
    }

    /// Waits for its end, however long that takes. What the task asks goes to the handlers of the builder.
    ///
    /// A server that cannot say how the task stands is asked again, a few times.
    ///
    /// # Errors
    /// [`RequestError::Refused`], if it has failed, was cancelled, or is not known any more; else by whose fault it is.
    ///
    /// # Cancel safety
    /// The task goes on if the future is dropped, and can be waited for again.
    pub async fn result(&self) -> Result<CallToolResult, RequestError> {
        let finished = finish(&self.client, Task::clone(&self.task)).await?;
        mcp_peer::read_result::<CallTool>(&finished?)
    }

    /// Waits for its end as [`result`](Self::result) does, and calls back for each update of its progress, all of them before the
    /// result is there: what a 2025-11-25 server tells, if the call [asked for it](Call::on_progress). What it has told before is
    /// told first.
    ///
    /// # Errors
    /// As [`result`](Self::result).
    ///
    /// # Cancel safety
    /// As [`result`](Self::result).
    pub async fn result_with(
        &self,
        mut on_progress: impl FnMut(ProgressUpdate),
    ) -> Result<CallToolResult, RequestError> {
        let task = Task::clone(&self.task);
        let mut finishing = pin!(finish(&self.client, task));
        let finished = poll_fn(|cx| {
            let finished = finishing.as_mut().poll(cx);
            // Behind that: what came before the end is there by now.
            if let Some(progress) = &self.progress {
                let _ = progress.poll(cx, &mut on_progress);
            }
            finished
        });
        mcp_peer::read_result::<CallTool>(&finished.await??)
    }
}

impl Clone for TaskHandle {
    fn clone(&self) -> Self {
        Self {
            client: self.client.clone(),
            task: self.task.clone(),
            progress: None,
        }
    }
}

/// The task that a result says a call has become.
fn task_of(result: &RawJson) -> Option<Task> {
    let [kind, task] = result.members(["resultType", "task"]);
    let is_task = kind.map_or(task.is_some(), |kind| kind.as_bytes() == br#""task""#);
    let created = is_task.then(|| result.decode::<CreateTaskResult>());
    created?.ok().map(|created| created.task)
}

async fn get(client: &Client, id: &str) -> Result<Task, RequestError> {
    let get = client.request::<GetTask>(&GetTaskParams::new(id));
    get.idempotent().await
}

/// What a call comes to in the end, if it has become a task; a task that nobody waits for any more is cancelled.
///
/// `left` is what the call has of its time.
pub(crate) async fn followed(
    client: &Client,
    result: RawJson,
    left: Duration,
) -> Result<RawJson, RequestError> {
    let Some(task) = task_of(&result) else {
        return Ok(result);
    };
    let unwanted = Unwanted(Some(TaskHandle {
        client: client.clone(),
        task: Box::new(task.clone()),
        progress: None,
    }));
    match tokio::time::timeout(left, finish(client, task)).await {
        Ok(Ok(ended)) => {
            unwanted.forget();
            ended
        }
        Ok(Err(error)) => Err(error),
        Err(_) => Err(RequestError::TimedOut(left)),
    }
}

/// A task whose caller may go away.
struct Unwanted(Option<TaskHandle>);

impl Unwanted {
    /// It has ended.
    fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Unwanted {
    fn drop(&mut self) {
        if let Some(handle) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            // Nobody hears whether the server would.
            runtime.spawn(async move { handle.cancel().await });
        }
    }
}

/// What the request of a task that has ended would have been answered with.
type Ended = Result<RawJson, RequestError>;

/// Waits for a task's end; fails if that cannot be seen.
async fn finish(client: &Client, mut task: Task) -> Result<Ended, RequestError> {
    if client.era() == Era::Legacy {
        return finish_legacy(client, task.task_id).await.map(Ok);
    }
    // Questions that were answered may still be listed when the server is asked next.
    let mut answered = Vec::new();
    let mut silent = 0;
    loop {
        match &task.status {
            TaskState::Completed => {
                let missing = || PeerMisbehaved::ResultShape {
                    method: GetTask::METHOD.into(),
                    reason: "a completed task without its result".to_owned(),
                };
                return task.result.ok_or_else(|| missing().into()).map(Ok);
            }
            TaskState::Failed | TaskState::Cancelled => return Ok(Err(failed(task))),
            _ => {}
        }
        let mut questions = task.input_requests.take().unwrap_or_default();
        let listed: Vec<String> = questions.0.keys().cloned().collect();
        questions.0.retain(|key, _| !answered.contains(key));
        let mut lost = false;
        if questions.0.is_empty() {
            pause(&task).await;
        } else {
            match update(client, &task.task_id, &questions).await {
                // Whether the answers have arrived is seen by what it asks still (REQ-TSKX-03).
                Err(error) if silent < PATIENCE && is_lost(client, &error) => {
                    lost = true;
                    // What has arrived may be listed for a moment still.
                    pause(&task).await;
                }
                told => told?,
            }
        }
        if lost {
            silent += 1;
        } else if !listed.is_empty() {
            answered = listed;
        }
        match get(client, &task.task_id).await {
            Ok(now) if lost => task = now,
            Ok(now) => (task, silent) = (now, 0),
            Err(error) if silent < PATIENCE && passes(client, &error) => silent += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Waits for the result, as the server does; what is asked meanwhile comes as requests (REQ-TSKL-02).
///
/// FastMCP 3 does not wait but refuses, and the first Python SDK has no result where a task failed: `tasks/get` says more then.
async fn finish_legacy(client: &Client, id: String) -> Result<RawJson, RequestError> {
    let params = GetTaskParams::new(id);
    let mut ended = false;
    loop {
        let result = client.request::<TaskResult>(&params).idempotent();
        let result = result.timeout(Duration::MAX).max_total(Duration::MAX).await;
        let unsaid = match &result {
            Ok(result) => result.members(["content"]) == [None],
            Err(RequestError::Refused(e)) => e.code == ErrorCode::INVALID_PARAMS && !ended,
            Err(_) => false,
        };
        if !unsaid {
            return result;
        }
        let Ok(task) = get(client, &params.task_id).await else {
            return result;
        };
        ended = task.status.is_terminal();
        match (&result, &task.status) {
            (Ok(_), TaskState::Failed | TaskState::Cancelled) => return Err(failed(task)),
            (Ok(_), _) => return result,
            // Asked once more, for it may have ended since.
            (Err(_), _) if ended => {}
            (Err(_), _) => pause(&task).await,
        }
    }
}

/// The error that a task ended with which has no result.
fn failed(task: Task) -> RequestError {
    let error = task.error.unwrap_or_else(|| {
        let why = task
            .status_message
            .map_or_else(String::new, |why| format!(": {why}"));
        ErrorObject::internal(format!("the task is {}{why}", task.status))
    });
    RequestError::Refused(error)
}

/// For as long as the server wants to be left alone.
async fn pause(task: &Task) {
    let poll = task.poll_interval.map_or(POLL, Duration::from_millis);
    tokio::time::sleep(poll.clamp(MIN_POLL, MAX_POLL)).await;
}

/// Whether a server that cannot say how a task stands may be able to later.
fn passes(client: &Client, error: &RequestError) -> bool {
    match error {
        RequestError::Refused(error) => {
            ![ErrorCode::INVALID_PARAMS, ErrorCode::METHOD_NOT_FOUND].contains(&error.code)
        }
        RequestError::TimedOut(_) => true,
        error => is_lost(client, error),
    }
}

/// Whether a request may have arrived, and another one can be made.
fn is_lost(client: &Client, error: &RequestError) -> bool {
    match error {
        RequestError::Lost(_) => true,
        RequestError::ConnectionLost(_) => client.reopens(),
        _ => false,
    }
}

/// Has the program asked, and sends its answers.
async fn update(client: &Client, id: &str, questions: &InputRequests) -> Result<(), RequestError> {
    let params = UpdateTaskParams::new(id, InputResponses::default());
    let mut update = client.request::<UpdateTask>(&params);
    let questions = RawJson::encode(questions).map_err(|e| PeerMisbehaved::ResultShape {
        method: GetTask::METHOD.into(),
        reason: e.to_string(),
    })?;
    update.request.options.questions = Some(questions);
    update.await.map(drop)
}
