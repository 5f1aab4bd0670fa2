//! Tasks: requests whose result comes later, in two designs.
//!
//! 2025-11-25 has them in the core (experimental); for 2026-07-28 they are the extension
//! [`TASKS_EXTENSION`]. The types here hold either; [`TaskDesign`] says which is written (inventory §1.7).

use serde::ser::{SerializeMap, SerializeStruct as _};
use serde::{Deserialize, Serialize, Serializer};

use crate::cache::ttl;
use crate::error::ErrorObject;
use crate::meta::Meta;
use crate::names::{methods, open_enum, setters};
use crate::numbers::known;
use crate::pagination::{Cursor, EmptyResult, PaginatedParams};
use crate::raw::{RawJson, present};
use crate::rounds::{InputRequests, InputResponses, ResultType};

/// The identifier of the tasks extension of 2026-07-28.
pub const TASKS_EXTENSION: &str = "io.modelcontextprotocol/tasks";

/// What a request says that wants to become a task (2025-11-25 only).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TaskMetadata {
    /// For how long the task is wanted, in milliseconds from its creation.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub ttl: Option<u64>,
}

impl TaskMetadata {
    /// A task of whatever length.
    pub fn new() -> Self {
        Self::default()
    }

    setters! { ttl: u64; }
}

/// Which task a message belongs to: the value of [`key::RELATED_TASK`](crate::meta::key::RELATED_TASK) in `_meta` (2025-11-25 only).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RelatedTask {
    /// The task.
    pub task_id: String,
}

impl RelatedTask {
    /// This task.
    pub fn new(task_id: impl Into<String>) -> Self {
        Self {
            task_id: task_id.into(),
        }
    }
}

open_enum! {
    /// How a task stands. `working` and `input_required` alternate; the others are final.
    TaskState, "task status" {
        /// It is being worked on.
        Working = "working",
        /// It waits for input.
        InputRequired = "input_required",
        /// It is done.
        Completed = "completed",
        /// It failed. 2025-11-25: also if a tool says so with `isError`; the extension: by a JSON-RPC error only (TRAP-54).
        Failed = "failed",
        /// It was cancelled.
        Cancelled = "cancelled",
    }
}

impl TaskState {
    /// Whether the task has ended.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// Which of the two designs a task belongs to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TaskDesign {
    /// That of 2025-11-25: `ttl`, `pollInterval`; `CreateTaskResult` holds the task in a member.
    #[default]
    Core,
    /// The extension of 2026-07-28: `ttlMs`, `pollIntervalMs`; `CreateTaskResult` is the task.
    Extension,
}

/// A task; also the result of `tasks/get` and the parameters of the notifications about it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "AnyTask")]
#[non_exhaustive]
pub struct Task {
    /// What it is known by.
    pub task_id: String,
    /// How it stands.
    pub status: TaskState,
    /// The same for a person.
    pub status_message: Option<String>,
    /// When it was created, ISO 8601.
    pub created_at: String,
    /// When it last changed, ISO 8601.
    pub last_updated_at: String,
    /// For how long from its creation it is kept, in milliseconds; `None`, on the wire `null`: without limit.
    pub ttl: Option<u64>,
    /// How long to wait before asking again, in milliseconds.
    pub poll_interval: Option<u64>,
    /// What it waits for, all of it (extension, `input_required`; REQ-TSKX-03).
    pub input_requests: Option<InputRequests>,
    /// The result of the request that became the task (extension, `completed`).
    pub result: Option<RawJson>,
    /// The error of the request that became the task (extension, `failed`).
    pub error: Option<ErrorObject>,
    /// The names it is written with.
    pub design: TaskDesign,
    /// The `_meta` of the result or notification that this is.
    pub meta: Option<Meta>,
}

impl Task {
    /// A task that is being worked on, without a limit on its life.
    pub fn new(task_id: impl Into<String>, created_at: impl Into<String>) -> Self {
        let created_at = created_at.into();
        Self {
            task_id: task_id.into(),
            status: TaskState::Working,
            status_message: None,
            last_updated_at: created_at.clone(),
            created_at,
            ttl: None,
            poll_interval: None,
            input_requests: None,
            result: None,
            error: None,
            design: TaskDesign::Core,
            meta: None,
        }
    }

    /// Sets `status`.
    #[must_use]
    pub fn status(mut self, status: TaskState) -> Self {
        self.status = status;
        self
    }

    /// Sets `last_updated_at`.
    #[must_use]
    pub fn last_updated_at(mut self, at: impl Into<String>) -> Self {
        self.last_updated_at = at.into();
        self
    }

    /// Sets `design`.
    #[must_use]
    pub fn design(mut self, design: TaskDesign) -> Self {
        self.design = design;
        self
    }

    setters! {
        status_message: into String;
        ttl: u64;
        poll_interval: u64;
        input_requests: InputRequests;
        result: into RawJson;
        error: ErrorObject;
        meta: Meta;
    }

    /// The members; `meta` goes before the task's own.
    fn write<M: SerializeMap>(&self, map: &mut M, meta: Option<&Meta>) -> Result<(), M::Error> {
        let (ttl, poll) = match self.design {
            TaskDesign::Core => ("ttl", "pollInterval"),
            TaskDesign::Extension => ("ttlMs", "pollIntervalMs"),
        };
        map.serialize_entry("taskId", &self.task_id)?;
        map.serialize_entry("status", &self.status)?;
        entry(map, "statusMessage", self.status_message.as_ref())?;
        map.serialize_entry("createdAt", &self.created_at)?;
        map.serialize_entry("lastUpdatedAt", &self.last_updated_at)?;
        map.serialize_entry(ttl, &self.ttl)?; // null is a value (TRAP-06)
        entry(map, poll, self.poll_interval.as_ref())?;
        entry(map, "inputRequests", self.input_requests.as_ref())?;
        entry(map, "result", self.result.as_ref())?;
        entry(map, "error", self.error.as_ref())?;
        entry(map, "_meta", meta.or(self.meta.as_ref()))
    }
}

fn entry<M: SerializeMap, T: Serialize>(
    map: &mut M,
    key: &str,
    value: Option<&T>,
) -> Result<(), M::Error> {
    match value {
        Some(value) => map.serialize_entry(key, value),
        None => Ok(()),
    }
}

impl Serialize for Task {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.write(&mut map, None)?;
        map.end()
    }
}

/// Every member of a task, or of a result that may be one, in either design.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyTask {
    #[serde(default)]
    result_type: Option<ResultType>,
    #[serde(default)]
    task: Option<Task>,
    #[serde(default)]
    task_id: Option<String>,
    #[serde(default)]
    status: Option<TaskState>,
    #[serde(default)]
    status_message: Option<String>,
    #[serde(default)]
    created_at: Option<String>,
    #[serde(default)]
    last_updated_at: Option<String>,
    #[serde(default, deserialize_with = "ttl")]
    ttl: Option<u64>,
    #[serde(default, deserialize_with = "nullable")]
    ttl_ms: Option<Option<u64>>,
    #[serde(default, deserialize_with = "ttl")]
    poll_interval: Option<u64>,
    #[serde(default, deserialize_with = "ttl")]
    poll_interval_ms: Option<u64>,
    #[serde(default)]
    input_requests: Option<InputRequests>,
    #[serde(default, deserialize_with = "present")]
    result: Option<RawJson>,
    #[serde(default)]
    error: Option<ErrorObject>,
    #[serde(rename = "_meta", default)]
    meta: Option<Meta>,
}

fn nullable<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<u64>>, D::Error> {
    ttl(deserializer).map(Some)
}

impl TryFrom<AnyTask> for Task {
    type Error = String;

    fn try_from(any: AnyTask) -> Result<Self, String> {
        let missing = |name: &str| format!("missing field `{name}`");
        let extension = any.ttl_ms.is_some() || any.poll_interval_ms.is_some();
        Ok(Self {
            task_id: any.task_id.ok_or_else(|| missing("taskId"))?,
            status: any.status.ok_or_else(|| missing("status"))?,
            status_message: any.status_message,
            created_at: any.created_at.ok_or_else(|| missing("createdAt"))?,
            last_updated_at: any
                .last_updated_at
                .ok_or_else(|| missing("lastUpdatedAt"))?,
            ttl: any.ttl_ms.unwrap_or(any.ttl),
            poll_interval: any.poll_interval_ms.or(any.poll_interval),
            input_requests: any.input_requests,
            result: any.result,
            error: any.error,
            design: if extension {
                TaskDesign::Extension
            } else {
                TaskDesign::Core
            },
            meta: any.meta,
        })
    }
}

/// The result of a request that became a task.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "AnyTask")]
#[non_exhaustive]
pub struct CreateTaskResult {
    /// The task. Of the extension's design, it is the result itself, with `resultType` before it.
    pub task: Task,
    /// What makes it known in the extension: [`ResultType::Task`]. The core design has none.
    pub result_type: Option<ResultType>,
    /// The result's `_meta`.
    pub meta: Option<Meta>,
}

impl CreateTaskResult {
    /// A task was created, of whatever design the task says.
    pub fn new(task: Task) -> Self {
        let result_type = match task.design {
            TaskDesign::Core => None,
            TaskDesign::Extension => Some(ResultType::Task),
        };
        Self {
            task,
            result_type,
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

impl TryFrom<AnyTask> for CreateTaskResult {
    type Error = String;

    fn try_from(mut any: AnyTask) -> Result<Self, String> {
        let meta = any.meta.take();
        let result_type = any.result_type.take();
        let task = match any.task.take() {
            Some(task) => task,
            None => {
                let mut task = Task::try_from(any)?;
                task.design = TaskDesign::Extension;
                task
            }
        };
        Ok(Self {
            task,
            result_type,
            meta,
        })
    }
}

impl Serialize for CreateTaskResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.task.design {
            TaskDesign::Core => {
                map.serialize_entry("task", &self.task)?;
                entry(&mut map, "_meta", self.meta.as_ref())?;
            }
            TaskDesign::Extension => {
                map.serialize_entry("resultType", &ResultType::Task)?;
                self.task.write(&mut map, self.meta.as_ref())?;
            }
        }
        map.end()
    }
}

/// The parameters of `tasks/get`, `tasks/result` and `tasks/cancel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct GetTaskParams {
    /// The task.
    pub task_id: String,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl GetTaskParams {
    /// About a task.
    pub fn new(task_id: impl Into<String>) -> Self {
        Self {
            task_id: task_id.into(),
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

/// The result of `tasks/get`: the task.
pub type GetTaskResult = Task;
/// The parameters of `tasks/result`.
pub type TaskResultParams = GetTaskParams;
/// The parameters of `tasks/cancel`.
pub type CancelTaskParams = GetTaskParams;
/// The parameters of `tasks/list`.
pub type ListTasksParams = PaginatedParams;
/// The parameters of `notifications/tasks/status`: the task.
pub type TaskStatusParams = Task;
/// The parameters of `notifications/tasks`: the task.
pub type TaskUpdatedParams = Task;
/// The result of `tasks/update`: nothing.
pub type UpdateTaskResult = EmptyResult;

/// The result of `tasks/cancel`: the cancelled task (2025-11-25), or nothing (extension).
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(try_from = "AnyTask")]
#[non_exhaustive]
pub struct CancelTaskResult {
    /// The task, cancelled.
    pub task: Option<Task>,
    /// The result's `_meta`, where there is no task to carry it.
    pub meta: Option<Meta>,
}

impl CancelTaskResult {
    /// Nothing: the extension's acknowledgement.
    pub fn new() -> Self {
        Self::default()
    }

    setters! {
        task: Task;
        meta: Meta;
    }
}

impl TryFrom<AnyTask> for CancelTaskResult {
    type Error = String;

    fn try_from(any: AnyTask) -> Result<Self, String> {
        if any.task_id.is_some() {
            return Ok(Self::new().task(any.try_into()?));
        }
        Ok(Self {
            task: None,
            meta: any.meta,
        })
    }
}

impl Serialize for CancelTaskResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(task) = &self.task {
            return task.serialize(serializer);
        }
        let mut object =
            serializer.serialize_struct("CancelTaskResult", self.meta.is_some().into())?;
        if let Some(meta) = &self.meta {
            object.serialize_field("_meta", meta)?;
        }
        object.end()
    }
}

/// The result of `tasks/list` (2025-11-25 only).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListTasksResult {
    /// One page of tasks.
    pub tasks: Vec<Task>,
    /// Where the next page begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListTasksResult {
    /// The whole list, or its last page.
    pub fn new(tasks: impl Into<Vec<Task>>) -> Self {
        Self {
            tasks: tasks.into(),
            ..Self::default()
        }
    }

    setters! {
        next_cursor: into Cursor;
        meta: Meta;
    }
}

/// The parameters of `tasks/update` (extension only): answers to what a task waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct UpdateTaskParams {
    /// The task.
    pub task_id: String,
    /// The answers, by the keys of the task's `inputRequests`.
    pub input_responses: InputResponses,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl UpdateTaskParams {
    /// Answers a task.
    pub fn new(task_id: impl Into<String>, input_responses: InputResponses) -> Self {
        Self {
            task_id: task_id.into(),
            input_responses,
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

methods! {
    /// 2025-11-25, both directions; extension, client to server: how a task stands.
    request GetTask("tasks/get"): GetTaskParams => GetTaskResult;
    /// 2025-11-25 only, both directions; waits for the task's end and returns what its request would have.
    request TaskResult("tasks/result"): TaskResultParams => RawJson;
    /// 2025-11-25 only, both directions; one page of tasks.
    request ListTasks("tasks/list"): ListTasksParams => ListTasksResult;
    /// 2025-11-25, both directions; extension, client to server: ends a task.
    request CancelTask("tasks/cancel"): CancelTaskParams => CancelTaskResult;
    /// extension only, client to server; brings what a task waits for.
    request UpdateTask("tasks/update"): UpdateTaskParams => UpdateTaskResult;
    /// 2025-11-25 only, both directions; how a task stands.
    notification TaskStatus("notifications/tasks/status"): TaskStatusParams;
    /// extension only, on a listen stream; how a task stands.
    notification TaskUpdated("notifications/tasks"): TaskUpdatedParams;
}

#[cfg(test)]
mod tests {
    use super::*;

    const CORE: &str = r#"{"taskId":"1","status":"working","createdAt":"c","lastUpdatedAt":"u","ttl":null,"pollInterval":5}"#;
    const EXTENSION: &str = r#"{"taskId":"1","status":"failed","createdAt":"c","lastUpdatedAt":"u","ttlMs":60000,"error":{"code":-32603,"message":"m"}}"#;

    #[test]
    fn either_design_is_written_as_it_was_read() {
        for (json, design) in [(CORE, TaskDesign::Core), (EXTENSION, TaskDesign::Extension)] {
            let task: Task = serde_json::from_str(json).unwrap();
            assert_eq!(task.design, design);
            assert_eq!(serde_json::to_string(&task).unwrap(), json);
        }
        assert!(serde_json::from_str::<Task>(r#"{"taskId":"1"}"#).is_err());
    }

    #[test]
    fn a_task_is_created_nested_or_flat() {
        // TRAP-54
        let nested = format!(r#"{{"task":{CORE},"_meta":{{"a":1}}}}"#);
        let flat = format!(r#"{{"resultType":"task",{}"#, &EXTENSION[1..]);
        for json in [nested, flat] {
            let created: CreateTaskResult = serde_json::from_str(&json).unwrap();
            assert_eq!(created.task.task_id, "1");
            assert_eq!(serde_json::to_string(&created).unwrap(), json);
        }
    }

    #[test]
    fn a_cancelled_task_comes_back_or_not() {
        for json in [CORE, "{}", r#"{"_meta":{"a":1}}"#] {
            let cancelled: CancelTaskResult = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&cancelled).unwrap(), json);
        }
    }
}
