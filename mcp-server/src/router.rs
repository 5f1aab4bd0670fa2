//! From a method to a handler.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use mcp_peer::types::{
    CacheScope, CallToolResult, Era, ErrorObject, ListToolsParams, ListToolsResult, ObjectBuf,
    ProtocolVersion, RawJson, Tool,
};
use mcp_peer::{Answer, Handler, HandlerFuture, Request};

use crate::context::Cx;
use crate::result::ToolError;
use crate::rounds::{Lot, first_round, next_round};
use crate::tool::ToolDef;

/// What a server offers; shared by all its connections.
#[derive(Debug)]
pub(crate) struct Router {
    /// In the order in which they were added, which is the order of every list (REQ-TOOL-02).
    tools: Vec<ToolDef>,
    /// Shared with the calls, which log by it.
    by_name: HashMap<Arc<str>, usize>,
    lot: Arc<Lot>,
}

/// The string that a raw value is; borrowed, but for escapes.
fn text(raw: &RawJson) -> Option<Cow<'_, str>> {
    let borrowed = raw.decode::<&str>().map(Cow::Borrowed);
    borrowed
        .or_else(|_| raw.decode::<String>().map(Cow::Owned))
        .ok()
}

impl Router {
    pub(crate) fn new(tools: Vec<ToolDef>, lot: Arc<Lot>) -> Self {
        let by_name = tools
            .iter()
            .enumerate()
            .map(|(i, t)| (Arc::from(t.tool.name.as_str()), i))
            .collect();
        Self {
            tools,
            by_name,
            lot,
        }
    }

    fn list_tools(&self, request: &Request) -> Result<ObjectBuf, ErrorObject> {
        let params: ListToolsParams = request.params()?;
        if let Some(cursor) = params.cursor {
            // All tools fit on one page, so that no cursor was ever given out (REQ-PAG-02).
            return Err(ErrorObject::invalid_params(format!(
                "unknown cursor {:?}",
                cursor.as_str()
            )));
        }
        let version = request.context.version();
        let tools: Vec<Tool> = self
            .tools
            .iter()
            .map(|t| for_version(&t.tool, version))
            .collect();
        let mut result = ListToolsResult::new(tools);
        if version.era() == Era::Modern {
            result.ttl_ms = Some(0);
            result.cache_scope = Some(CacheScope::Private);
        }
        ObjectBuf::encode(&result).map_err(|e| ErrorObject::internal(e.to_string()))
    }

    fn call_tool(&self, request: Request) -> HandlerFuture {
        match self.start_call(request) {
            Ok(future) => future,
            Err(error) => Box::pin(std::future::ready(Answer::Error(error))),
        }
    }

    fn start_call(&self, request: Request) -> Result<HandlerFuture, ErrorObject> {
        if let Some(retry) = &request.retry
            && let Some(state) = &retry.state
        {
            return next_round(&self.lot, &request, retry, state);
        }
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let [name, arguments] = params.members(["name", "arguments"]);
        let name = name.as_ref().and_then(text).ok_or_else(|| {
            ErrorObject::invalid_params("invalid params of `tools/call`: `name` must be a string")
        })?;
        let Some((name, &index)) = self.by_name.get_key_value(&*name) else {
            // REQ-TOOL-03: not -32601, for the method is known.
            return Err(ErrorObject::invalid_params(format!(
                "unknown tool {name:?}"
            )));
        };
        let arguments = match arguments {
            Some(arguments) if arguments.is_object() => arguments,
            None => RawJson::EMPTY_OBJECT,
            Some(_) => return Err(ErrorObject::invalid_params("`arguments` must be an object")),
        };
        let tool = &self.tools[index];
        let context = request.context;
        let version = context.version();
        let running = (tool.run)(Cx::new(context.clone()), arguments);
        let name = Arc::clone(name);
        let handler: HandlerFuture = Box::pin(async move { answer(&name, version, running.await) });
        Ok(match version.era() {
            Era::Legacy => handler,
            Era::Modern => first_round(&self.lot, &context, request.method, params, handler),
        })
    }
}

fn answer(
    tool: &str,
    version: ProtocolVersion,
    outcome: Result<CallToolResult, ToolError>,
) -> Answer {
    let result = match outcome.or_else(|error| error.answer(tool, version.era())) {
        Ok(result) => for_result(result, version),
        Err(error) => return Answer::Error(error),
    };
    match ObjectBuf::encode(&result) {
        Ok(result) => Answer::Result(result),
        Err(error) => {
            tracing::error!(tool, %error, "a tool's result does not serialise");
            Answer::Error(ErrorObject::internal("the tool's result cannot be sent"))
        }
    }
}

/// A tool as a revision knows it.
fn for_version(tool: &Tool, version: ProtocolVersion) -> Tool {
    let mut tool = tool.clone();
    let object = |schema: &RawJson| {
        schema
            .member("type")
            .is_some_and(|t| t.as_bytes() == b"\"object\"")
    };
    if version < ProtocolVersion::V2025_06_18
        || (version < ProtocolVersion::V2026_07_28
            && !tool.output_schema.as_ref().is_some_and(object))
    {
        tool.output_schema = None;
    }
    tool
}

/// A result as a revision knows it (inventory 3.11).
fn for_result(mut result: CallToolResult, version: ProtocolVersion) -> CallToolResult {
    if version < ProtocolVersion::V2025_06_18
        || (version < ProtocolVersion::V2026_07_28
            && !result
                .structured_content
                .as_ref()
                .is_some_and(RawJson::is_object))
    {
        result.structured_content = None;
    }
    result
}

impl Handler for Router {
    fn handle(&self, request: Request) -> HandlerFuture {
        let answer = match request.method.as_str() {
            "tools/call" if !self.tools.is_empty() => return self.call_tool(request),
            "tools/list" if !self.tools.is_empty() => self.list_tools(&request),
            method => Err(ErrorObject::method_not_found(method)),
        };
        Box::pin(std::future::ready(Answer::from(answer)))
    }
}
