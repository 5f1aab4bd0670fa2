#![doc = include_str!("../README.md")]

pub mod annotations;
mod blob;
pub mod cache;
pub mod capabilities;
pub mod completion;
pub mod content;
pub mod elicitation;
pub mod error;
mod extensions;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod icons;
pub mod id;
pub mod lifecycle;
pub mod logging;
pub mod message;
pub mod meta;
pub mod method;
pub mod names;
mod numbers;
pub mod object;
pub mod pagination;
mod parse;
pub mod progress;
pub mod prompts;
pub mod raw;
mod renew;
pub mod resources;
pub mod revision;
pub mod roots;
pub mod rounds;
pub mod sampling;
mod scan;
// For the client and the server, which check values against schemas; not part of the crate's promises.
#[doc(hidden)]
pub mod schema;
#[cfg(any(test, feature = "proptest"))]
pub mod strategies;
pub mod subscriptions;
pub mod tasks;
pub mod tools;
pub mod version;
mod words;

pub use annotations::{Annotations, Role};
pub use blob::InvalidBase64;
pub use cache::CacheScope;
pub use capabilities::{
    ClientCapabilities, ElicitationCapability, PromptsCapability, ResourcesCapability,
    RootsCapability, SamplingCapability, ServerCapabilities, TaskElicitationCapability,
    TaskRequestsCapability, TaskSamplingCapability, TaskToolsCapability, TasksCapability,
    ToolsCapability,
};

pub use completion::{
    Complete, CompleteParams, CompleteResult, Completion, CompletionArgument, CompletionContext,
    CompletionRef, PromptReference, ResourceTemplateReference,
};
pub use content::{
    AudioContent, ContentBlock, EmbeddedResource, ImageContent, SamplingContent, TextContent,
    ToolResultContent, ToolUseContent,
};
pub use elicitation::{
    BooleanSchema, Elicit, ElicitAction, ElicitFormParams, ElicitMode, ElicitParams, ElicitResult,
    ElicitSchema, ElicitUrlParams, ElicitationComplete, ElicitationCompleteParams, EnumOption,
    EnumSchema, EnumStyle, NumberSchema, PrimitiveSchema, StringFormat, StringSchema,
    UrlElicitationRequired,
};
pub use error::{ErrorCode, ErrorObject, MissingClientCapability, UnsupportedProtocolVersion};
pub use extensions::{Extensions, OneRequest, Principal};
pub use icons::{Icon, IconTheme};
pub use id::{ProgressToken, RequestId};
pub use lifecycle::{
    Discover, DiscoverParams, DiscoverResult, Implementation, Initialize, InitializeParams,
    InitializeResult, Initialized, Ping,
};
pub use logging::{
    LogLevel, LogMessage, LogMessageParams, SetLevel, SetLevelParams, SetLevelResult,
};
pub use message::{
    EnvelopeFault, Inbound, Malformed, MalformedKind, Message, NotificationMessage, Outbound,
    RequestMessage, ResponseMessage,
};
pub use meta::Meta;
pub use method::{MethodName, Notification, Request};
pub use names::UnknownName;
pub use object::ObjectBuf;
pub use pagination::{Cursor, EmptyParams, EmptyResult, PaginatedParams};
pub use parse::ParseLimits;
pub use progress::{Cancelled, CancelledParams, Progress, ProgressParams};
pub use prompts::{
    GetPrompt, GetPromptParams, GetPromptResult, ListPrompts, ListPromptsParams, ListPromptsResult,
    Prompt, PromptArgument, PromptListChanged, PromptMessage,
};
pub use raw::RawJson;
pub use renew::Renew;
pub use resources::{
    BlobResourceContents, ListResourceTemplates, ListResourceTemplatesParams,
    ListResourceTemplatesResult, ListResources, ListResourcesParams, ListResourcesResult,
    ReadResource, ReadResourceParams, ReadResourceResult, Resource, ResourceContents, ResourceLink,
    ResourceListChanged, ResourceTemplate, ResourceUpdated, ResourceUpdatedParams, Subscribe,
    SubscribeParams, TextResourceContents, Unsubscribe, UnsubscribeParams,
};
pub use revision::ForRevision;
pub use roots::{ListRoots, ListRootsParams, ListRootsResult, Root, RootsListChanged};
pub use rounds::{InputRequest, InputRequests, InputRequiredResult, InputResponses, ResultType};
pub use sampling::{
    CreateMessage, CreateMessageParams, CreateMessageResult, IncludeContext, ModelHint,
    ModelPreferences, Sampling, SamplingMessage, StopReason, ToolChoice, ToolChoiceMode,
};
pub use scan::{ScanError, ScanErrorKind};
pub use subscriptions::{
    Listen, ListenParams, ListenResult, NOTIFICATIONS_EXTENSION, SubscriptionAcknowledged,
    SubscriptionAcknowledgedParams, SubscriptionFilter,
};
pub use tasks::{
    CancelTask, CancelTaskParams, CancelTaskResult, CreateTaskResult, GetTask, GetTaskParams,
    GetTaskResult, ListTasks, ListTasksParams, ListTasksResult, RelatedTask, TASKS_EXTENSION, Task,
    TaskDesign, TaskMetadata, TaskResult, TaskResultParams, TaskState, TaskStatus,
    TaskStatusParams, TaskUpdated, TaskUpdatedParams, UpdateTask, UpdateTaskParams,
    UpdateTaskResult,
};
pub use tools::{
    CallTool, CallToolParams, CallToolResult, ListTools, ListToolsParams, ListToolsResult,
    TaskSupport, Tool, ToolAnnotations, ToolExecution, ToolFailed, ToolListChanged,
};
pub use version::{Era, ProtocolVersion};
