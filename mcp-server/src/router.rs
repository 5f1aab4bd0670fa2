//! From a method to a handler.

use std::sync::Arc;

use mcp_peer::types::{
    CallToolResult, CompleteParams, CompletionRef, ErrorObject, ForRevision, GetPromptResult,
    ListPromptsResult, ListResourceTemplatesResult, ListResourcesResult, ListToolsResult,
    ObjectBuf, PaginatedParams, ProtocolVersion, RawJson, ReadResourceResult,
};
use mcp_peer::{Answer, Handler, HandlerFuture, Request, RequestContext};
use serde::Serialize;

use crate::catalog::{Catalog, Offer};
use crate::complete::Typed;
use crate::context::Cx;
use crate::decode::{Texts, briefly};
use crate::error::{Failed, HandlerError, failed, resource_not_found, tool_failed};
use crate::pages::{CacheHints, Cached, PAGE_SIZE, page};
use crate::resource::located;
use crate::rounds::{Between, Round};
use crate::tasks::{Run, Tasks, When, becoming};
use crate::tool::OfferedTool;

/// What all connections of a server share.
#[derive(Debug)]
pub(crate) struct Router {
    pub(crate) catalog: Catalog,
    pub(crate) between: Between,
    pub(crate) tasks: Arc<Tasks>,
    pub(crate) settings: Settings,
}

/// How a server answers.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) page_size: usize,
    pub(crate) cache: CacheHints,
    pub(crate) check_results: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            page_size: PAGE_SIZE,
            cache: CacheHints::default(),
            check_results: cfg!(debug_assertions),
        }
    }
}

/// What a request says of a parameter that it must have as a string.
fn must_be_a_string(method: &str, name: &str) -> ErrorObject {
    ErrorObject::invalid_params(format!(
        "invalid params of `{method}`: `{name}` must be a string"
    ))
}

type Started = Result<HandlerFuture, ErrorObject>;

impl Router {
    fn cx(&self, context: &RequestContext) -> Cx {
        Cx::new(context.clone(), self.catalog.hub().clone())
    }

    /// REQ-CAP: what no connection was told of is no method.
    fn offered(&self, offer: Offer, method: &str) -> Result<(), ErrorObject> {
        match self.catalog.read().offers(offer) {
            true => Ok(()),
            false => Err(ErrorObject::method_not_found(method)),
        }
    }

    fn call_tool(&self, request: Request) -> Started {
        let start = match self.between.round(&request)? {
            Round::Resumed(handler) => return Ok(handler),
            Round::Start(start) => start,
        };
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let names = ["name", "arguments", "task"];
        let [name, arguments, task] = params.members_past(names, request.meta.as_ref());
        let name = name.as_ref().and_then(RawJson::text);
        let found = name.as_ref().and_then(|name| {
            let shelves = self.catalog.read();
            shelves.tools.get(name).cloned()
        });
        let Some(tool) = found else {
            self.offered(Offer::Tools, &request.method)?;
            let name = name.ok_or_else(|| must_be_a_string(&request.method, "name"))?;
            // REQ-TOOL-03: not -32601, for the method is known.
            let error = format!("unknown tool {name:?}");
            return Err(ErrorObject::invalid_params(error));
        };
        let arguments = match arguments {
            Some(arguments) if arguments.is_object() => arguments,
            None => RawJson::EMPTY_OBJECT,
            Some(_) => return Err(ErrorObject::invalid_params("`arguments` must be an object")),
        };
        let context = &request.context;
        let version = context.version();
        if let Some(faults) = tool.input_faults(&arguments) {
            let outcome = Err(HandlerError::invalid(faults));
            let answer = tool_answer(&tool, version, false, outcome);
            return Ok(Box::pin(std::future::ready(answer)));
        }
        let wanted = task.filter(|_| self.catalog.read().offers(Offer::Tasks));
        let how = self.tasks.how(tool.def.task_support(), context, wanted)?;
        let check = self.settings.check_results;
        let cx = self.cx(context);
        let run = move |cx| -> HandlerFuture {
            let running = (tool.def.run)(cx, arguments);
            Box::pin(async move { tool_answer(&tool, version, check, running.await) })
        };
        Ok(match how {
            Run::Synchronously => self.between.serve(context, start, run(cx)),
            Run::AsTask(when, time) => {
                let make = |wish| run(cx.with_task(wish));
                let handler = becoming(&self.tasks, context, when, time, make);
                match when {
                    When::Asked => self.between.serve(context, start, handler),
                    When::AtOnce | When::NotReady => handler,
                }
            }
        })
    }

    fn read_resource(&self, request: Request) -> Started {
        let start = match self.between.round(&request)? {
            Round::Resumed(handler) => return Ok(handler),
            Round::Start(start) => start,
        };
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let uri = params.member("uri");
        self.offered(Offer::Resources, &request.method)?;
        let uri = uri.as_ref().and_then(RawJson::text);
        let uri = uri.ok_or_else(|| must_be_a_string(&request.method, "uri"))?;
        let context = &request.context;
        let version = context.version();
        let found = self.catalog.read().reads(&uri);
        let Some((resource, variables)) = found else {
            return Err(resource_not_found(&uri, version));
        };
        let uri = uri.into_owned();
        let running = (resource.def.run)(self.cx(context), variables);
        let cache = self.settings.cache.of(Cached::Contents);
        let first = context.clone();
        let first_id = context.id().filter(|_| request.retry.is_none());
        let handler = Box::pin(async move {
            let located = |result| located(result, &uri, resource.def.resource.mime_type.as_ref());
            match running.await.map(located) {
                Ok(mut result) => {
                    result.ttl_ms.get_or_insert(cache.0);
                    result.cache_scope.get_or_insert(cache.1);
                    if first.id() != first_id {
                        // What took an input round is for nobody else (REQ-MRTR-17).
                        result.ttl_ms = Some(0);
                    }
                    encoded::<ReadResourceResult>(result, version)
                }
                Err(error) => Answer::Error(failed(error, Failed::Resource(&uri), version)),
            }
        });
        Ok(self.between.serve(context, start, handler))
    }

    fn get_prompt(&self, request: Request) -> Started {
        let start = match self.between.round(&request)? {
            Round::Resumed(handler) => return Ok(handler),
            Round::Start(start) => start,
        };
        let params = request.params.clone().unwrap_or(RawJson::EMPTY_OBJECT);
        let [name, arguments] = params.members_past(["name", "arguments"], request.meta.as_ref());
        self.offered(Offer::Prompts, &request.method)?;
        let name = name.as_ref().and_then(RawJson::text);
        let name = name.ok_or_else(|| must_be_a_string(&request.method, "name"))?;
        let Some(prompt) = self.catalog.read().prompts.get(&name).cloned() else {
            // REQ-PRM-01
            let error = format!("unknown prompt {name:?}");
            return Err(ErrorObject::invalid_params(error));
        };
        let arguments = match arguments {
            None => Texts::default(),
            Some(arguments) => Texts::from_object(&arguments)
                .ok_or_else(|| ErrorObject::invalid_params("`arguments` must be texts by name"))?,
        };
        let context = &request.context;
        let version = context.version();
        let running = (prompt.run)(self.cx(context), arguments);
        let handler = Box::pin(async move {
            match running.await {
                Ok(result) => encoded::<GetPromptResult>(result, version),
                Err(error) => {
                    Answer::Error(failed(error, Failed::Prompt(&prompt.prompt.name), version))
                }
            }
        });
        Ok(self.between.serve(context, start, handler))
    }

    fn complete(&self, request: Request) -> Started {
        self.offered(Offer::Completions, &request.method)?;
        let params: CompleteParams = request.params()?;
        let argument = params.argument.name;
        let completer = {
            let shelves = self.catalog.read();
            let (known, completers) = match &params.reference {
                CompletionRef::Prompt(prompt) => {
                    let prompt = shelves.prompts.get(&prompt.name).ok_or_else(|| {
                        ErrorObject::invalid_params(format!("unknown prompt {:?}", prompt.name))
                    })?;
                    let mut arguments = prompt.prompt.arguments.iter().flatten();
                    (arguments.any(|a| a.name == argument), &prompt.completers)
                }
                CompletionRef::Resource(resource) => {
                    let template = shelves.templates.get(&resource.uri).ok_or_else(|| {
                        let uri = &resource.uri;
                        ErrorObject::invalid_params(format!("unknown resource template {uri:?}"))
                    })?;
                    let known = template.template.variables().any(|name| name == argument);
                    (known, &template.def.completers)
                }
                _ => {
                    let error = "`ref` must be of type `ref/prompt` or `ref/resource`";
                    return Err(ErrorObject::invalid_params(error));
                }
            };
            if !known {
                // REQ-CMP-04
                let error = format!("unknown argument {argument:?}");
                return Err(ErrorObject::invalid_params(error));
            }
            completers.of(&argument).cloned()
        };
        let version = request.context.version();
        let typed = Typed {
            value: params.argument.value,
            others: params
                .context
                .and_then(|context| context.arguments)
                .unwrap_or_default(),
        };
        let Some(completer) = completer else {
            let nothing = answer(ObjectBuf::encode(
                &mcp_peer::types::CompleteResult::default(),
            ));
            return Ok(Box::pin(std::future::ready(nothing)));
        };
        let running = completer.start(self.cx(&request.context), typed);
        Ok(Box::pin(async move {
            match running.await {
                Ok(result) => answer(ObjectBuf::encode(&result)),
                Err(error) => Answer::Error(failed(error, Failed::Completion(&argument), version)),
            }
        }))
    }

    /// Answers what is asked for by none of the others: a page of a list, or nothing that there is.
    fn list(&self, request: &Request) -> Result<Answer, ErrorObject> {
        macro_rules! list {
            ($offer:ident, $what:ident: $shelf:ident $tag:literal => $result:ident, $show:expr) => {{
                self.offered(Offer::$offer, &request.method)?;
                let params: PaginatedParams = request.params()?;
                let (cursor, size) = (params.cursor.as_ref(), self.settings.page_size);
                let page = page(&self.catalog.read().$shelf, $tag, size, cursor, $show)?;
                let mut result = $result::new(page.items);
                result.next_cursor = page.next;
                let (ttl, scope) = self.settings.cache.of(Cached::$what);
                (result.ttl_ms, result.cache_scope) = (Some(ttl), Some(scope));
                Ok(encoded(result, request.context.version()))
            }};
        }
        match request.method.as_str() {
            "tools/list" => {
                list!(Tools, Tools: tools 't' => ListToolsResult, |t| t.def.tool.clone())
            }
            "prompts/list" => {
                list!(Prompts, Prompts: prompts 'p' => ListPromptsResult, |p| p.prompt.clone())
            }
            "resources/list" => {
                list!(Resources, Resources: resources 'r' => ListResourcesResult, |r| r.def.resource.clone())
            }
            "resources/templates/list" => {
                list!(Resources, Templates: templates 'f' => ListResourceTemplatesResult, |r| r.as_family())
            }
            method => Err(ErrorObject::method_not_found(method)),
        }
    }
}

fn tool_answer(
    tool: &OfferedTool,
    version: ProtocolVersion,
    check: bool,
    outcome: Result<CallToolResult, HandlerError>,
) -> Answer {
    let name = &tool.def.tool.name;
    let result = match outcome.or_else(|error| tool_failed(error, name, version)) {
        Ok(result) => result,
        Err(error) => return Answer::Error(error),
    };
    if check && let Some(faults) = tool.output_faults(&result) {
        // REQ-TOOL-05: the server's own fault.
        tracing::error!(tool = name, faults, "a result is not of its output schema");
        return Answer::Error(ErrorObject::internal(
            "the tool's result is not of its output schema",
        ));
    }
    answer(result.for_revision(version).to_object())
}

/// A result as the revision knows it (inventory 3.11).
pub(crate) fn encoded<R: ForRevision + Serialize>(result: R, version: ProtocolVersion) -> Answer {
    answer(ObjectBuf::encode(&result.for_revision(version)))
}

fn answer(result: Result<ObjectBuf, serde_json::Error>) -> Answer {
    match result {
        Ok(result) => Answer::Result(result),
        Err(error) => {
            tracing::error!(%error, "a result does not serialise");
            Answer::Error(ErrorObject::internal("the result cannot be sent"))
        }
    }
}

impl Handler for Router {
    fn handle(&self, request: Request) -> HandlerFuture {
        let ready = |answer| -> HandlerFuture { Box::pin(std::future::ready(answer)) };
        let started = match request.method.as_str() {
            "tools/call" => self.call_tool(request),
            "resources/read" => self.read_resource(request),
            "prompts/get" => self.get_prompt(request),
            "completion/complete" => self.complete(request),
            "tasks/get" | "tasks/list" | "tasks/result" | "tasks/cancel" | "tasks/update"
                if self.catalog.read().offers(Offer::Tasks) =>
            {
                Ok(self.tasks.handle(request, self.settings.page_size))
            }
            _ => self.list(&request).map(ready),
        };
        started.unwrap_or_else(|error| ready(Answer::Error(briefly(error))))
    }
}
