//! The server and the client on rmcp, in the way that costs it least: no macros, arguments picked by hand.

#![expect(
    deprecated,
    reason = "rmcp deprecates logging with revision 2026-07-28, and it is what we measure"
)]

use std::future::Future;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ClientConfig,
    ContentBlock, Implementation, JsonObject, ListToolsResult, LoggingLevel,
    LoggingMessageNotificationParam, PaginatedRequestParams, ProgressNotificationParam,
    ProtocolVersion, RequestMetaObject, ServerCapabilities, ServerConfig, SetLevelRequestParams,
    SubscriptionFilter, Tool,
};
use rmcp::service::{NotificationContext, RequestContext};
use rmcp::transport::IntoTransport;
use rmcp::{
    ClientHandler, ClientLifecycleMode, ClientServiceExt, ErrorData, RoleClient, RoleServer,
    ServerHandler, ServiceError, ServiceExt,
};
use serde_json::{Value, json};
use tokio::task::unconstrained;

use crate::Failure;
use crate::floor::line_number;
use crate::task::{self, Outcome, Seen, Task, Watch};
use crate::wire::Era;

/// The server.
#[derive(Debug)]
pub struct Server {
    /// Of the legacy session.
    level: AtomicU8,
}

/// The server, for one connection.
pub fn server() -> Server {
    Server {
        level: AtomicU8::new(LoggingLevel::Info as u8),
    }
}

/// Serves one connection until it ends.
///
/// # Errors
/// The connection breaks.
pub async fn serve<T, E, A>(transport: T) -> Result<(), Failure>
where
    T: IntoTransport<RoleServer, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let running = ServiceExt::serve(server(), transport).await?;
    running.waiting().await?;
    Ok(())
}

fn number(arguments: Option<&JsonObject>, key: &str) -> Result<i64, ErrorData> {
    let number = arguments.and_then(|arguments| arguments.get(key)?.as_i64());
    number.ok_or_else(|| ErrorData::invalid_params(format!("{key} must be a number"), None))
}

impl Server {
    /// rmcp itself filters nothing by level.
    fn logs(
        &self,
        level: LoggingLevel,
        meta: Option<&RequestMetaObject>,
        context: &RequestContext<RoleServer>,
    ) -> bool {
        let version = context.protocol_version();
        let modern = version.is_some_and(|version| !version.has_initialize());
        let threshold = if modern {
            // It stands in the context if it came over a wire, and in the request if it did not.
            let level = context.meta.log_level();
            let level = level.or_else(|| meta.and_then(RequestMetaObject::log_level));
            level.map(|level| level as u8)
        } else {
            Some(self.level.load(Ordering::Relaxed))
        };
        threshold.is_some_and(|threshold| level as u8 >= threshold)
    }
}

fn internal(error: ServiceError) -> ErrorData {
    ErrorData::internal_error(error.to_string(), None)
}

fn done() -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text("done")])
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed();
        ServerConfig::new(capabilities.enable_logging().build())
            .with_server_info(Implementation::new("bench", "1.0.0"))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let schema = JsonObject::from_iter([("type".to_owned(), json!("object"))]);
        let schema = Arc::new(schema);
        let tools = ["echo", "flood", "progress", "sum"]
            .map(|name| Tool::new(name, "A tool", Arc::clone(&schema)));
        Ok(ListToolsResult::with_all_items(tools.to_vec()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let CallToolRequestParams {
            name,
            mut arguments,
            meta,
            ..
        } = request;
        let result = match &*name {
            "echo" => {
                let text = arguments.as_mut().and_then(|a| a.remove("text"));
                let Some(Value::String(text)) = text else {
                    return Err(ErrorData::invalid_params("text must be a string", None));
                };
                CallToolResult::success(vec![ContentBlock::text(text)])
            }
            "sum" => {
                let a = number(arguments.as_ref(), "a")?;
                let b = number(arguments.as_ref(), "b")?;
                CallToolResult::structured(json!({ "sum": a.wrapping_add(b) }))
            }
            "flood" => {
                for i in 0..number(arguments.as_ref(), "n")? {
                    if self.logs(LoggingLevel::Info, meta.as_ref(), &context) {
                        let data = json!(format!("line {i}"));
                        let line = LoggingMessageNotificationParam::new(LoggingLevel::Info, data);
                        let line = line.with_logger("flood");
                        let sent = context.peer.notify_logging_message(line).await;
                        sent.map_err(internal)?;
                    }
                }
                done()
            }
            "progress" => {
                let total = number(arguments.as_ref(), "n")?;
                if let Some(token) = context.meta.get_progress_token() {
                    for i in 1..=total {
                        let progress = ProgressNotificationParam::new(token.clone(), i as f64);
                        let progress = progress.with_total(total as f64);
                        let sent = context.peer.notify_progress(progress).await;
                        sent.map_err(internal)?;
                    }
                }
                done()
            }
            _ => return Err(ErrorData::invalid_params("unknown tool", None)),
        };
        Ok(result.into())
    }

    fn accepted_subscription_filter(
        &self,
        requested: &SubscriptionFilter,
    ) -> Option<SubscriptionFilter> {
        Some(requested.clone())
    }

    async fn set_level(
        &self,
        request: SetLevelRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<(), ErrorData> {
        self.level.store(request.level as u8, Ordering::Relaxed);
        Ok(())
    }
}

/// Does a task as a client.
///
/// # Errors
/// The connection breaks, or something unexpected comes.
pub async fn call<T, E, A>(transport: T, task: Task) -> Result<Outcome, Failure>
where
    T: IntoTransport<RoleClient, E, A>,
    E: std::error::Error + Send + Sync + 'static,
{
    let seen = Arc::new(Mutex::new(Seen::default()));
    let name = Implementation::new("bench", "1.0.0");
    let mut config = ClientConfig::new(ClientCapabilities::default(), name);
    let lifecycle = match task.era {
        Era::Legacy => {
            config.protocol_version = ProtocolVersion::V_2025_11_25;
            ClientLifecycleMode::Initialize
        }
        Era::Modern => ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        },
    };
    let handler = Handler {
        config,
        seen: Arc::clone(&seen),
    };
    let client = handler.serve_with_lifecycle(transport, lifecycle).await?;
    let text = task.text();
    let request = |name: &'static str, arguments: Value| {
        let mut request = CallToolRequestParams::new(name);
        if let Value::Object(arguments) = arguments {
            request.arguments = Some(arguments);
        }
        if task.era == Era::Modern && name == "flood" {
            let mut meta = RequestMetaObject::new();
            meta.set_log_level(LoggingLevel::Info);
            request.meta = Some(meta);
        }
        request
    };
    let calls = async |count: usize| -> Result<(), Failure> {
        let call = async |number: usize| -> Result<usize, Failure> {
            let request = match task.tool {
                task::Tool::Sum => request("sum", json!({ "a": number, "b": 1 })),
                _ => request("echo", json!({ "text": text })),
            };
            let result = client.call_tool(request).await?;
            let first = result.content.first().and_then(|block| block.as_text());
            let len = first.map_or(0, |text| text.text.len());
            if task.tool != task::Tool::Sum && len != task.bytes {
                return Err(format!("{len} bytes").into());
            }
            Ok(number)
        };
        let mut calls = FuturesUnordered::new();
        for number in 0..count {
            if calls.len() >= task.window
                && let Some(number) = calls.next().await
            {
                lock(&seen).answers.see(number? as u64);
            }
            calls.push(call(number));
        }
        while let Some(number) = calls.next().await {
            lock(&seen).answers.see(number? as u64);
        }
        Ok(())
    };
    let flood = async |name: &'static str, n: usize| -> Result<(), Failure> {
        client.call_tool(request(name, json!({ "n": n }))).await?;
        Ok(())
    };
    let watch = Watch::new();
    let logs = matches!(task.tool, task::Tool::Flood | task::Tool::Mixed);
    if task.era == Era::Legacy && logs {
        let level = SetLevelRequestParams::new(LoggingLevel::Info);
        client.set_level(level).await?;
    }
    match task.tool {
        task::Tool::Echo | task::Tool::Sum => unconstrained(calls(task.count)).await?,
        task::Tool::Flood | task::Tool::Progress => flood(task.tool.name(), task.count).await?,
        task::Tool::Mixed => {
            let third = task.count / 3;
            let floods = futures::future::try_join(flood("flood", third), flood("progress", third));
            futures::future::try_join(floods, unconstrained(calls(third))).await?;
        }
    }
    // Notifications are handled in tasks of their own, which may be behind the answer.
    for _ in 0..1000 {
        if lock(&seen).lost(task) == 0 {
            break;
        }
        tokio::task::yield_now().await;
    }
    let outcome = watch.stop(task, &lock(&seen));
    client.cancel().await?;
    Ok(outcome)
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    // What has come is never half counted.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Handler {
    config: ClientConfig,
    seen: Arc<Mutex<Seen>>,
}

impl ClientHandler for Handler {
    fn get_info(&self) -> ClientConfig {
        self.config.clone()
    }

    fn on_progress(
        &self,
        progress: ProgressNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) -> impl Future<Output = ()> + Send + '_ {
        lock(&self.seen).progress.see(progress.progress as u64);
        std::future::ready(())
    }

    fn on_logging_message(
        &self,
        log: LoggingMessageNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) -> impl Future<Output = ()> + Send + '_ {
        if let Some(Ok(number)) = log.data.as_str().map(line_number) {
            lock(&self.seen).log.see(number);
        }
        std::future::ready(())
    }
}
