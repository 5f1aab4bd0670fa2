use std::sync::{Arc, Mutex, PoisonError};

use mcp_testing::Journal;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CancelledNotificationParam,
    ClientCapabilities, ContentBlock, CreateMessageRequest, CreateMessageRequestParams,
    CreateMessageResult, CustomNotification, Implementation, InputRequest, InputRequests,
    InputRequiredResult, JsonObject, ListToolsResult, LoggingLevel,
    LoggingMessageNotificationParam, PaginatedRequestParams, ProgressNotificationParam,
    SamplingMessage, ServerCapabilities, ServerConfig, ServerNotification, SetLevelRequestParams,
    Tool,
};
use rmcp::service::{NotificationContext, Peer, QuitReason, RequestContext};
use rmcp::{ErrorData, RoleServer, ServerHandler, ServiceError, ServiceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The key under which `batch` asks for its sample in the modern era.
const ANSWER: &str = "summary";

/// A server with the tools `batch`, `fail` and `echo`, which speaks both eras on one connection.
///
/// * `batch {file_ids: [string]}`: per id, logs `processed <id>` (info, logger `files`) if the client wants it and reports
///   progress if the client gave a token; then asks the client to sample [`question`] once and returns the text it got as
///   `{count, summary}`. A client that cannot sample gets `isError` (legacy) or -32021 (modern).
/// * `fail`: a result with `isError`.
/// * `echo {text}`: the text.
pub(crate) fn rmcp_server() -> RmcpServer {
    RmcpServer::default()
}

/// What `batch` asks the client to sample.
pub(crate) fn question(count: usize) -> String {
    format!("Summarise {count} files")
}

/// See [`rmcp_server`]. One value serves one connection: the log level of its session is kept in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct RmcpServer {
    session_level: Arc<Mutex<Option<LoggingLevel>>>,
    received: Journal<Received>,
}

/// What a client told the server without waiting for an answer, and which tools it called.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Received {
    Initialized,
    Called { tool: String, retry: bool },
    Cancelled { id: Value, reason: Option<String> },
    Custom { method: String, params: Value },
}

impl RmcpServer {
    /// Serves one connection in a task of its own until the client closes it.
    pub(crate) fn serve<Io>(self, io: Io) -> Serving
    where
        Io: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (started, peer) = watch::channel(None);
        let received = self.received.clone();
        let task = tokio::spawn(async move {
            // Resolves only when the client's first messages have settled the era.
            let running = ServiceExt::serve(self, io).await.map_err(report)?;
            started.send_replace(Some(running.peer().clone()));
            running.waiting().await.map_err(report)
        });
        Serving {
            task,
            peer,
            received,
        }
    }

    async fn batch(
        &self,
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let arguments = request.arguments.as_ref();
        let ids = arguments.and_then(|arguments| arguments.get("file_ids"));
        let ids = ids.and_then(|ids| serde_json::from_value::<Vec<String>>(ids.clone()).ok());
        let Some(ids) = ids else {
            return Ok(failure("batch needs file_ids, a list of strings"));
        };
        if speaks_modern(context) {
            self.batch_modern(&ids, request, context).await
        } else {
            self.batch_legacy(&ids, context).await
        }
    }

    /// The tool waits in place for the answer to a request of its own.
    async fn batch_legacy(
        &self,
        ids: &[String],
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.process(ids, context).await?;
        if !can_sample(context) {
            return Ok(failure("the client cannot sample"));
        }
        match context.peer.create_message(ask(ids.len())).await {
            Ok(answer) => Ok(summary(ids.len(), &answer)),
            Err(ServiceError::McpError(refusal)) => Ok(failure(refusal.message)),
            Err(error) => Err(internal(error)),
        }
    }

    /// The tool is called twice, and what it knows the second time is what the client brings back.
    async fn batch_modern(
        &self,
        ids: &[String],
        request: &CallToolRequestParams,
        context: &RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let state = request_state(ids);
        match &request.request_state {
            None => {
                if !can_sample(context) {
                    let required = ClientCapabilities::builder().enable_sampling().build();
                    return Err(ErrorData::missing_required_client_capability(required));
                }
                self.process(ids, context).await?;
            }
            Some(echoed) if *echoed == state => {
                let answers = request.input_responses.as_ref();
                if let Some(answer) = answers.and_then(|answers| answers.get(ANSWER)) {
                    let answer = serde_json::from_value(answer.clone());
                    let answer = answer.map_err(|error| {
                        ErrorData::invalid_params(format!("the answer is not one: {error}"), None)
                    })?;
                    return Ok(summary(ids.len(), &answer));
                }
                // A retry may bring some of the answers or none; then the server asks again.
            }
            Some(_) => {
                let message = "requestState is not what this server gave for these arguments";
                return Err(ErrorData::invalid_params(message, None));
            }
        }
        let question = CreateMessageRequest::new(ask(ids.len()));
        let questions =
            InputRequests::from([(ANSWER.to_owned(), InputRequest::CreateMessage(question))]);
        Ok(InputRequiredResult::new(Some(questions), Some(state)).into())
    }

    async fn process(
        &self,
        ids: &[String],
        context: &RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let token = context.meta.get_progress_token();
        for (index, id) in ids.iter().enumerate() {
            let done = format!("processed {id}");
            if self.logs(LoggingLevel::Info, context) {
                let log = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(done));
                let log = log.with_logger("files");
                let sent = context.peer.notify_logging_message(log).await;
                sent.map_err(internal)?;
            }
            if let Some(token) = &token {
                let progress = ProgressNotificationParam::new(token.clone(), count(index + 1));
                let progress = progress.with_total(count(ids.len())).with_message(done);
                let sent = context.peer.notify_progress(progress).await;
                sent.map_err(internal)?;
            }
        }
        Ok(())
    }

    /// Modern: the level this request names, and silence without one. Legacy: the level of the session, and everything until
    /// it is set. rmcp itself filters nothing in either era.
    fn logs(&self, level: LoggingLevel, context: &RequestContext<RoleServer>) -> bool {
        let threshold = if speaks_modern(context) {
            context.meta.log_level()
        } else {
            let session_level = self.session_level.lock();
            let session_level = *session_level.unwrap_or_else(PoisonError::into_inner);
            session_level.or(Some(LoggingLevel::Debug))
        };
        // rmcp's levels have no order, but their discriminants are declared in that of the specification.
        threshold.is_some_and(|threshold| level as u8 >= threshold as u8)
    }
}

impl ServerHandler for RmcpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools();
        ServerConfig::new(capabilities.enable_logging().build())
            .with_server_info(Implementation::new("rmcp-server-double", "1.0.0"))
            .with_instructions("Call batch.")
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(tools()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        self.received.push(Received::Called {
            tool: request.name.to_string(),
            retry: request.request_state.is_some(),
        });
        match &*request.name {
            "batch" => self.batch(&request, &context).await,
            "fail" => Ok(failure("it fails")),
            "echo" => {
                let arguments = request.arguments.as_ref();
                let text = arguments.and_then(|arguments| arguments.get("text")?.as_str());
                Ok(text.map_or_else(
                    || failure("echo needs text, a string"),
                    |text| CallToolResult::success(vec![ContentBlock::text(text)]).into(),
                ))
            }
            unknown => {
                let message = format!("no tool is called {unknown}");
                Err(ErrorData::invalid_params(message, None))
            }
        }
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        let session_level = self.session_level.lock();
        *session_level.unwrap_or_else(PoisonError::into_inner) = Some(request.level);
        Ok(())
    }

    async fn on_initialized(&self, _context: NotificationContext<RoleServer>) {
        self.received.push(Received::Initialized);
    }

    async fn on_cancelled(
        &self,
        cancelled: CancelledNotificationParam,
        _context: NotificationContext<RoleServer>,
    ) {
        self.received.push(Received::Cancelled {
            id: json!(cancelled.request_id),
            reason: cancelled.reason,
        });
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        _context: NotificationContext<RoleServer>,
    ) {
        self.received.push(Received::Custom {
            method: notification.method,
            params: notification.params.unwrap_or(Value::Null),
        });
    }
}

/// A connection being served by [`RmcpServer::serve`].
#[derive(Debug)]
pub(crate) struct Serving {
    task: JoinHandle<Result<QuitReason, String>>,
    peer: watch::Receiver<Option<Peer<RoleServer>>>,
    received: Journal<Received>,
}

impl Serving {
    /// What came from the client so far. rmcp handles each notification in a task of its own: their order here is that of
    /// the wire on a single-threaded runtime only.
    pub(crate) fn received(&self) -> &Journal<Received> {
        &self.received
    }

    /// rmcp's handle to the client, once the era is settled: with `initialize`, or with the first modern request after
    /// `server/discover`. Pending for ever if that never happens.
    pub(crate) async fn peer(&mut self) -> Peer<RoleServer> {
        let peer = self.peer.wait_for(Option::is_some).await;
        let peer = peer.expect("rmcp stopped serving before the era was settled");
        peer.clone().expect("waited for")
    }

    /// Sends a notification of any name, in legacy at any time, in modern wherever the test takes the right to.
    pub(crate) async fn notify(&mut self, method: &str, params: Value) -> Result<(), ServiceError> {
        let notification = CustomNotification::new(method, Some(params));
        let notification = ServerNotification::CustomNotification(notification);
        self.peer().await.send_notification(notification).await
    }

    /// Goes without a word, whatever is under way.
    pub(crate) fn vanish(self) {
        self.task.abort();
    }

    /// Waits until the connection has ended, and says how; `Err` is rmcp's reason to give up during the opening.
    pub(crate) async fn ended(self) -> Result<QuitReason, String> {
        self.task.await.map_err(report)?
    }
}

fn tools() -> Vec<Tool> {
    let batch = Tool::new(
        "batch",
        "Processes files one by one and summarises them",
        object(json!({
            "type": "object",
            "properties": {"file_ids": {"type": "array", "items": {"type": "string"}}},
            "required": ["file_ids"],
        })),
    );
    let batch = batch.with_raw_output_schema(Arc::new(object(json!({
        "type": "object",
        "properties": {"count": {"type": "integer"}, "summary": {"type": "string"}},
        "required": ["count", "summary"],
    }))));
    let fail = Tool::new("fail", "Always fails", object(json!({"type": "object"})));
    let echo = Tool::new(
        "echo",
        "Returns its text",
        object(json!({
            "type": "object",
            "properties": {"text": {"type": "string"}},
            "required": ["text"],
        })),
    );
    vec![batch, fail, echo]
}

fn object(value: Value) -> JsonObject {
    match value {
        Value::Object(object) => object,
        other => unreachable!("written as an object above: {other}"),
    }
}

fn speaks_modern(context: &RequestContext<RoleServer>) -> bool {
    let version = context.protocol_version();
    version.is_some_and(|version| !version.has_initialize())
}

fn can_sample(context: &RequestContext<RoleServer>) -> bool {
    let capabilities = context.client_capabilities();
    capabilities.is_some_and(|capabilities| capabilities.sampling.is_some())
}

fn ask(count: usize) -> CreateMessageRequestParams {
    CreateMessageRequestParams::new(vec![SamplingMessage::user_text(question(count))], 100)
}

/// Bound to the arguments, and full of what a client must carry back unchanged: quotes, a backslash, control characters,
/// something outside ASCII and outside the basic plane.
fn request_state(ids: &[String]) -> String {
    format!("batch \"\\\n\t\u{7f}é𝄞 {}", json!(ids))
}

fn summary(count: usize, answer: &CreateMessageResult) -> CallToolResponse {
    let text = answer.message.content.first();
    let text = text.and_then(|content| content.as_text());
    let text = text.map_or("", |content| &content.text);
    let mut result = CallToolResult::success(vec![ContentBlock::text(text)]);
    result.structured_content = Some(json!({"count": count, "summary": text}));
    result.into()
}

fn failure(text: impl Into<String>) -> CallToolResponse {
    CallToolResult::error(vec![ContentBlock::text(text)]).into()
}

fn internal(error: ServiceError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn report(error: impl std::error::Error) -> String {
    error.to_string()
}

fn count(items: usize) -> f64 {
    f64::from(u32::try_from(items).expect("a test has few files"))
}
