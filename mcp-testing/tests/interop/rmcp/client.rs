use mcp_testing::Journal;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
    ClientNotification, CreateMessageRequestParams, CreateMessageResult, CustomNotification,
    Implementation, JsonObject, LoggingLevel, LoggingMessageNotificationParam,
    ProgressNotificationParam, ProtocolVersion, RequestMetaObject, SamplingMessage,
    SetLevelRequestParams,
};
use rmcp::service::{
    ClientInitializeError, NotificationContext, QuitReason, RequestContext, RunningService,
};
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient, ServiceError,
};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

/// How the client opens, or has opened, its connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Era {
    /// With `initialize` for this revision.
    Legacy(ProtocolVersion),
    /// With `server/discover`, and an error if the server does not answer it.
    Modern,
    /// With `server/discover`, and with `initialize` for the newest legacy revision if that is refused, or if it is not answered
    /// in ten seconds.
    Auto,
}

impl Era {
    /// The newest revision with a handshake.
    pub(crate) const LEGACY: Self = Self::Legacy(ProtocolVersion::V_2025_11_25);
}

/// Connects a client that can sample: the answer is always `stub: <the question>` by the model `stub`.
pub(crate) async fn rmcp_client<Io>(io: Io, era: Era) -> Result<RmcpClient, ClientInitializeError>
where
    Io: AsyncRead + AsyncWrite + Send + 'static,
{
    let capabilities = ClientCapabilities::builder().enable_sampling().build();
    rmcp_client_with(capabilities, io, era).await
}

/// Connects a client that declares just these capabilities. It answers a request to sample in any case.
pub(crate) async fn rmcp_client_with<Io>(
    capabilities: ClientCapabilities,
    io: Io,
    era: Era,
) -> Result<RmcpClient, ClientInitializeError>
where
    Io: AsyncRead + AsyncWrite + Send + 'static,
{
    let name = Implementation::new("rmcp-client-double", "1.0.0");
    let mut config = ClientConfig::new(capabilities, name);
    let preferred_versions = vec![ProtocolVersion::V_2026_07_28];
    let lifecycle = match era {
        Era::Legacy(version) => {
            config.protocol_version = version;
            ClientLifecycleMode::Initialize
        }
        Era::Modern => ClientLifecycleMode::Discover { preferred_versions },
        Era::Auto => ClientLifecycleMode::Auto {
            preferred_versions,
            legacy_version: Some(ProtocolVersion::LATEST_WITH_INITIALIZE),
        },
    };
    let seen = Journal::new();
    let handler = Handler {
        config,
        seen: seen.clone(),
    };
    let running = handler.serve_with_lifecycle(io, lifecycle).await?;
    Ok(RmcpClient {
        running,
        seen,
        log_level: None,
    })
}

/// A connected client; see [`rmcp_client`].
#[derive(Debug)]
pub(crate) struct RmcpClient {
    running: RunningService<RoleClient, Handler>,
    seen: Journal<Seen>,
    log_level: Option<LoggingLevel>,
}

/// What came from the server outside of responses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Seen {
    Log {
        level: LoggingLevel,
        logger: Option<String>,
        data: Value,
    },
    Progress {
        token: Value,
        progress: f64,
        total: Option<f64>,
        message: Option<String>,
    },
    /// A notification whose method rmcp does not know.
    Custom { method: String, params: Value },
    /// A question this client was asked to sample, by a request or in an `input_required` result.
    Sampled { question: String },
}

impl RmcpClient {
    /// The era the connection ended up in.
    pub(crate) fn era(&self) -> Era {
        let server = self.running.peer_info().expect("set by the opening");
        let version = server.protocol_version.clone();
        if version.has_initialize() {
            Era::Legacy(version)
        } else {
            Era::Modern
        }
    }

    /// What came from the server so far. rmcp handles each notification in a task of its own, which may run after the call
    /// they belong to has returned: wait with [`Journal::find_many`] rather than look. Their order is that of the wire on a
    /// single-threaded runtime only.
    pub(crate) fn seen(&self) -> &Journal<Seen> {
        &self.seen
    }

    /// Asks for logs from this level on: by `logging/setLevel` in legacy, in the `_meta` of each later call in modern.
    pub(crate) async fn set_log_level(&mut self, level: LoggingLevel) -> Result<(), ServiceError> {
        if self.era() == Era::Modern {
            self.log_level = Some(level);
            return Ok(());
        }
        let request = SetLevelRequestParams::new(level);
        self.running.set_level(request).await
    }

    /// The names of all tools, on however many pages.
    pub(crate) async fn list_tools(&self) -> Result<Vec<String>, ServiceError> {
        let tools = self.running.list_all_tools().await?;
        Ok(tools.into_iter().map(|tool| tool.name.into()).collect())
    }

    /// Calls a tool, answering what it asks in either era; in modern for at most ten rounds.
    pub(crate) async fn call(
        &self,
        tool: &str,
        arguments: Value,
    ) -> Result<CallToolResult, ServiceError> {
        self.running
            .call_tool(self.tool_call(tool, arguments))
            .await
    }

    /// Calls a tool for one round: an `input_required` result comes back as it is.
    pub(crate) async fn call_once(
        &self,
        tool: &str,
        arguments: Value,
    ) -> Result<CallToolResponse, ServiceError> {
        let request = self.tool_call(tool, arguments);
        self.running.call_tool_once(request).await
    }

    fn tool_call(&self, tool: &str, arguments: Value) -> CallToolRequestParams {
        let mut request = CallToolRequestParams::new(tool.to_owned());
        request.arguments = match arguments {
            Value::Null => None,
            Value::Object(arguments) => Some(arguments),
            other => panic!("arguments are an object or null, not {other}"),
        };
        // rmcp has no setting for this: whoever wants logs in modern writes the key into the metadata of each request.
        request.meta = self.log_level.map(|level| {
            let mut meta = RequestMetaObject::new();
            meta.set_log_level(level);
            meta
        });
        request
    }

    /// Sends a notification of any name.
    pub(crate) async fn notify(&self, method: &str, params: Value) -> Result<(), ServiceError> {
        let notification = CustomNotification::new(method, Some(params));
        let notification = ClientNotification::CustomNotification(notification);
        self.running.send_notification(notification).await
    }

    /// rmcp's own handle, for what this double has no method for.
    pub(crate) fn running(&self) -> &RunningService<RoleClient, impl ClientHandler> {
        &self.running
    }

    /// Closes the connection and waits until it is closed.
    pub(crate) async fn close(self) -> QuitReason {
        let closed = self.running.cancel().await;
        closed.expect("rmcp's task does not panic")
    }
}

#[derive(Debug)]
struct Handler {
    config: ClientConfig,
    seen: Journal<Seen>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        self.config.clone()
    }

    async fn create_message(
        &self,
        request: CreateMessageRequestParams,
        _context: RequestContext<RoleClient>,
    ) -> Result<CreateMessageResult, ErrorData> {
        let content = request.messages.last();
        let content = content.and_then(|message| message.content.first()?.as_text());
        let question = content.map(|content| content.text.clone());
        let question = question.unwrap_or_default();
        let answer = SamplingMessage::assistant_text(format!("stub: {question}"));
        self.seen.push(Seen::Sampled { question });
        Ok(CreateMessageResult::new(answer, "stub".to_owned())
            .with_stop_reason(CreateMessageResult::STOP_REASON_END_TURN))
    }

    async fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.seen.push(Seen::Progress {
            token: json!(progress.progress_token),
            progress: progress.progress,
            total: progress.total,
            message: progress.message,
        });
    }

    async fn on_logging_message(
        &self,
        log: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.seen.push(Seen::Log {
            level: log.level,
            logger: log.logger,
            data: log.data,
        });
    }

    async fn on_custom_notification(
        &self,
        notification: CustomNotification,
        _context: NotificationContext<RoleClient>,
    ) {
        self.seen.push(Seen::Custom {
            method: notification.method,
            params: notification.params.unwrap_or(Value::Null),
        });
    }
}
