//! Results of tools as data.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::marker::PhantomData;
use std::pin::Pin;

use mcp_peer::session::RequestError;
use mcp_peer::types::{CallTool, CallToolResult};
use serde::de::DeserializeOwned;

use crate::call::Call;

/// A call of a tool whose result is wanted as data; made by [`Call::structured`].
#[must_use = "a request is sent when it is awaited"]
pub struct Structured<'a, T> {
    call: Call<'a, CallTool>,
    of: PhantomData<fn() -> T>,
}

/// Why there is no data.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum StructuredError {
    /// The request failed.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The tool says that it failed.
    #[error("the tool failed: {}", .0.to_text())]
    Failed(CallToolResult),
    /// The result is without structured content.
    #[error("the result has no structured content")]
    Missing,
    /// The content is of another shape.
    #[error("the structured content has the wrong shape: {0}")]
    Shape(String),
    /// The content is not what the tool has promised (REQ-TOOL-05); seen only with the feature `schema`.
    #[error("the structured content does not match the output schema: {0}")]
    Schema(String),
}

impl<'a> Call<'a, CallTool> {
    /// Decodes the structured content of the result.
    ///
    /// With the feature `schema` it is first checked against the tool's output schema, if the tool has been listed since the list
    /// changed last; of one tool 64 KiB of schema are remembered, and of all together 16 MiB. What a schema refers to elsewhere is
    /// not fetched: such a schema fails, as does one whose patterns look around or back, one that refers to itself or to others by
    /// anything but a JSON Pointer, and one that is too deep for the content. So does one that could take more than ten million
    /// steps: a step is a schema that is applied to a value, and where schemas refer to themselves more than once for the same value,
    /// each level of the content multiplies them.
    ///
    /// ```no_run
    /// # async fn run(client: mcp_client::Client) -> Result<(), mcp_client::StructuredError> {
    /// #[derive(serde::Deserialize)]
    /// struct Weather {
    ///     temperature: f64,
    /// }
    ///
    /// let arguments = serde_json::json!({ "location": "Chicago" });
    /// let weather = client.call_tool("weather", arguments).structured::<Weather>().await?;
    /// println!("{} °C", weather.temperature);
    /// # Ok(()) }
    /// ```
    pub fn structured<T: DeserializeOwned>(self) -> Structured<'a, T> {
        Structured {
            call: self,
            of: PhantomData,
        }
    }
}

impl<'a, T: DeserializeOwned + 'a> IntoFuture for Structured<'a, T> {
    type Output = Result<T, StructuredError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        let call = self.call;
        Box::pin(async move {
            #[cfg(feature = "schema")]
            let (client, promise) = {
                let request = &call.request;
                let client = request.client;
                let promise = client
                    .schemas()
                    .of_call(client.peer().established(), &request.params);
                (client, promise)
            };
            let result = call.await?;
            if result.is_error {
                return Err(StructuredError::Failed(result));
            }
            let content = result.structured_content.ok_or(StructuredError::Missing)?;
            #[cfg(feature = "schema")]
            if let Some(promise) = promise
                && client
                    .schemas()
                    .stands(client.peer().established(), &promise)
            {
                schema::check(&promise.schema, &content).map_err(StructuredError::Schema)?;
            }
            let shape = |error: serde_json::Error| StructuredError::Shape(error.to_string());
            content.decode().map_err(shape)
        })
    }
}

impl<T> fmt::Debug for Structured<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}

#[cfg(feature = "schema")]
pub(crate) use schema::Schemas;

#[cfg(feature = "schema")]
mod schema {
    use std::collections::HashMap;
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

    use jsonschema::PatternOptions;
    use mcp_peer::Peer;
    use mcp_peer::session::{Established, RequestError};
    use mcp_peer::types::schema::steps;
    use mcp_peer::types::{ObjectBuf, RawJson, Tool, ToolListChanged};
    use serde_json::Value;

    /// Bytes of schemas and names that are remembered; a tool that is listed beyond them has none.
    const MAX_BYTES: usize = 16 * 1024 * 1024;
    /// Bytes of one schema; a longer one is not remembered (REQ-SCH-03).
    const MAX_SCHEMA: usize = 64 * 1024;
    /// Levels of a check that any thread's stack has room for, at 2 KiB each; one takes half of that without optimisations.
    const FEW_LEVELS: usize = 1_000;
    /// Levels that [`STACK`] has room for.
    const MAX_LEVELS: usize = 32_000;
    /// Steps of a check, which is about a second.
    const MAX_STEPS: u64 = 10_000_000;
    /// Steps of a check that says what is wrong, and not only that something is: it may take each of them once for each level.
    const FEW_STEPS: u64 = 10_000;
    /// Bytes of the stack on which deep checks are made.
    const STACK: usize = 64 * 1024 * 1024;
    /// Bytes of a compiled pattern. Patterns are of the kind that takes linear time.
    const MAX_PATTERN: usize = 1024 * 1024;

    /// Output schemas of the tools that have been listed, by name: those of the last list that came to its end, and of what has
    /// come of others since. None is from before a change, or of another connection.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Schemas(Arc<Mutex<Known>>);

    #[derive(Debug, Default)]
    struct Known {
        by_name: HashMap<String, Schema>,
        bytes: usize,
        /// How many lists have been begun.
        lists: u64,
        /// How many of them are from before a change.
        stale: u64,
        /// On which connection they were begun.
        server: Option<Arc<Established>>,
    }

    #[derive(Debug)]
    struct Schema {
        text: RawJson,
        /// Which list it was on last.
        list: u64,
    }

    /// What a tool that is called has promised.
    #[derive(Debug)]
    pub(crate) struct Promise {
        name: String,
        pub(crate) schema: RawJson,
    }

    impl Known {
        fn change(&mut self) {
            self.by_name.clear();
            (self.bytes, self.stale) = (0, self.lists);
        }

        /// What is known on this connection, which is nothing if it is another one.
        fn on(&mut self, server: Option<Arc<Established>>) -> &mut Self {
            if server.as_ref().map(Arc::as_ptr) != self.server.as_ref().map(Arc::as_ptr) {
                self.change();
                self.server = server;
            }
            self
        }

        fn forget(&mut self, name: &str) {
            if let Some(schema) = self.by_name.remove(name) {
                self.bytes -= name.len() + schema.text.len();
            }
        }

        fn insert(&mut self, name: &str, text: RawJson, list: u64) {
            let bytes = self.bytes + name.len() + text.len();
            if bytes <= MAX_BYTES && text.len() <= MAX_SCHEMA {
                self.bytes = bytes;
                self.by_name.insert(name.to_owned(), Schema { text, list });
            }
        }
    }

    impl Schemas {
        /// To be called before anybody else can hear of a change.
        pub(crate) fn watch(&self, peer: &Peer) {
            let schemas = self.clone();
            peer.on_notification::<ToolListChanged>(move |_| schemas.lock().change());
        }

        /// The number of another list, to be called before it is asked for.
        pub(crate) fn begin(&self, server: Option<Arc<Established>>) -> u64 {
            let mut known = self.lock();
            known.on(server).lists += 1;
            known.lists
        }

        /// A page of a list, and whether it is the last one: then what neither this list nor a later one has is no tool any more.
        pub(crate) fn remember(&self, list: u64, tools: &[Tool], last: bool) {
            let mut known = self.lock();
            if list <= known.stale {
                return;
            }
            for tool in tools {
                known.forget(&tool.name);
                if let Some(schema) = &tool.output_schema {
                    known.insert(&tool.name, schema.compact(), list);
                }
            }
            if last {
                let Known { by_name, bytes, .. } = &mut *known;
                by_name.retain(|name, schema| {
                    let stays = schema.list >= list;
                    if !stays {
                        *bytes -= name.len() + schema.text.len();
                    }
                    stays
                });
            }
        }

        /// Nothing panics while it holds the lock.
        fn lock(&self) -> MutexGuard<'_, Known> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        /// What the tool has promised that these parameters call.
        pub(crate) fn of_call(
            &self,
            server: Option<Arc<Established>>,
            params: &Result<ObjectBuf, RequestError>,
        ) -> Option<Promise> {
            let params = params.as_ref().ok()?.clone().finish();
            let name: String = params.member("name")?.decode().ok()?;
            let schema = self.lock().on(server).by_name.get(&name)?.text.clone();
            Some(Promise { name, schema })
        }

        /// Whether it is what the tool promises now. If not, the result may be from before the change or behind it.
        pub(crate) fn stands(&self, server: Option<Arc<Established>>, promise: &Promise) -> bool {
            let mut known = self.lock();
            let schema = known.on(server).by_name.get(&promise.name);
            schema.is_some_and(|schema| schema.text == promise.schema)
        }
    }

    /// By the dialect that the schema names, 2020-12 if none (REQ-SCH-01). Nothing is fetched (REQ-SCH-02).
    ///
    /// # Errors
    /// What does not match, or what is wrong with the schema.
    pub(crate) fn check(schema: &RawJson, content: &RawJson) -> Result<(), String> {
        let decode = |raw: &RawJson| raw.decode::<Value>().map_err(|e| e.to_string());
        let braces = schema.as_bytes().iter().filter(|byte| **byte == b'{');
        let objects = braces.count();
        let (schema, content) = (decode(schema)?, decode(content)?);
        // A check recurses: at each level of the content through each schema, at most.
        let levels = objects * depth(&content);
        if levels <= FEW_LEVELS {
            return validate(&schema, &content, levels);
        }
        if levels > MAX_LEVELS {
            return Err("too deep to be checked".to_owned());
        }
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(STACK);
            let checking = thread.spawn_scoped(scope, || validate(&schema, &content, levels));
            let outcome = checking.map_err(|e| e.to_string())?.join();
            outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn validate(schema: &Value, content: &Value, levels: usize) -> Result<(), String> {
        let steps = steps(schema, content, MAX_STEPS, levels).map_err(|e| e.to_string())?;
        let validator = jsonschema::options()
            .offline()
            .with_pattern_options(PatternOptions::regex().size_limit(MAX_PATTERN))
            .build(schema)
            .map_err(|e| e.to_string())?;
        if steps <= FEW_STEPS {
            return validator.validate(content).map_err(|e| e.to_string());
        }
        match validator.is_valid(content) {
            true => Ok(()),
            false => Err("too much of it to say where".to_owned()),
        }
    }

    fn depth(value: &Value) -> usize {
        let inner = match value {
            Value::Array(items) => items.iter().map(depth).max(),
            Value::Object(members) => members.values().map(depth).max(),
            _ => None,
        };
        1 + inner.unwrap_or(0)
    }

    #[cfg(test)]
    mod tests {
        use super::*;
        use serde_json::json;

        fn tool(name: &str, schema: Option<usize>) -> Tool {
            let schema =
                schema.map(|length| json!({ "type": "object", "title": "x".repeat(length) }));
            let tool = json!({ "name": name, "inputSchema": {}, "outputSchema": schema });
            serde_json::from_value(tool).expect("a tool")
        }

        fn names(schemas: &Schemas) -> Vec<String> {
            let known = schemas.lock();
            let entries = known.by_name.iter();
            let bytes = entries.map(|(name, schema)| name.len() + schema.text.len());
            assert_eq!(known.bytes, bytes.sum::<usize>());
            let mut names: Vec<_> = known.by_name.keys().cloned().collect();
            names.sort();
            names
        }

        #[test]
        fn what_the_last_list_does_not_have_is_forgotten() {
            let schemas = Schemas::default();
            let first = schemas.begin(None);
            schemas.remember(first, &[tool("a", Some(1)), tool("b", Some(1))], false);
            schemas.remember(first, &[tool("c", Some(1)), tool("d", None)], true);
            assert_eq!(names(&schemas), ["a", "b", "c"]);
            // Until a list is complete, nothing is known to be gone but what it says has no schema any more.
            let [second, third] = [(); 2].map(|()| schemas.begin(None));
            schemas.remember(second, &[tool("a", Some(2)), tool("b", None)], false);
            assert_eq!(names(&schemas), ["a", "c"]);
            schemas.remember(third, &[tool("e", Some(1))], false);
            schemas.remember(second, &[], true);
            assert_eq!(names(&schemas), ["a", "e"]);
            schemas.remember(third, &[], true);
            assert_eq!(names(&schemas), ["e"]);
        }

        #[test]
        fn a_check_is_as_deep_as_there_is_room_for() {
            // REQ-SCH-03
            let deep = |links: usize, content_depth: usize| {
                let mut schemas = serde_json::Map::new();
                for n in 0..links {
                    let next = format!("#/$defs/{}", n + 1);
                    schemas.insert(n.to_string(), json!({ "allOf": [{ "$ref": next }] }));
                }
                let last = json!({ "properties": { "a": { "$ref": "#/$defs/0" } } });
                schemas.insert(links.to_string(), last);
                let schema = json!({ "$ref": "#/$defs/0", "$defs": schemas });
                let content = (1..content_depth).fold(json!({}), |inner, _| json!({ "a": inner }));
                check(&schema.into(), &content.into())
            };
            assert_eq!(deep(10, 40), Ok(()));
            assert_eq!(deep(150, 100), Ok(()));
            assert_eq!(deep(1_500, 1), Ok(()));
            deep(1_500, 100).unwrap_err();
            // What refers to itself for the same value never ends.
            let turns = json!({ "allOf": [{ "$ref": "#/$defs/b" }] });
            let back = json!({ "allOf": [{ "$ref": "#" }] });
            let schema = json!({ "$defs": { "b": back }, "allOf": turns["allOf"] });
            check(&schema.into(), &json!({}).into()).unwrap_err();
        }

        #[test]
        fn a_check_takes_no_more_steps_than_there_may_be() {
            // REQ-SCH-03
            let content = |levels| (0..levels).fold(json!({}), |inner, _| json!({ "a": inner }));
            let same = json!({ "$ref": "#" });
            let tree = json!({ "properties": { "a": same, "b": same } });
            assert_eq!(check(&tree.into(), &content(100).into()), Ok(()));
            let schema: RawJson =
                json!({ "properties": { "a": { "allOf": [same, same] } } }).into();
            assert_eq!(check(&schema, &content(12).into()), Ok(()));
            // An entry counts as a step does.
            let heavy = json!({ "properties": { "a": { "allOf": [same, same] } },
                                "examples": vec![0; 10_000] });
            let error = check(&heavy.into(), &content(100).into()).unwrap_err();
            assert!(error.contains("too much work"), "{error}");
            // What is wrong among very much is not told.
            let numbers: RawJson = json!({ "items": { "minimum": 1 } }).into();
            let faults = |count| check(&numbers, &json!(vec![0; count]).into()).unwrap_err();
            assert!(faults(10).contains("less than the minimum"));
            assert!(faults(10_000).contains("too much"));
            // But for what nothing reads.
            let schema: RawJson = json!({ "properties": { "a": { "type": "string", "id": "a" } },
                                          "required": ["b"] })
            .into();
            let long = json!({ "a": "x".repeat(700_000) });
            let error = check(&schema, &long.into()).unwrap_err();
            assert!(error.contains("\"b\" is a required property"), "{error}");
        }

        #[test]
        fn lists_that_never_end_are_bounded() {
            let schemas = Schemas::default();
            for n in 0..300 {
                let list = schemas.begin(None);
                let length = MAX_SCHEMA - 100;
                schemas.remember(list, &[tool(&n.to_string(), Some(length))], false);
            }
            assert_eq!(names(&schemas).len(), MAX_BYTES / MAX_SCHEMA);
            let list = schemas.begin(None);
            schemas.remember(list, &[tool("last", Some(1))], true);
            assert_eq!(names(&schemas), ["last"]);
        }

        #[test]
        fn a_schema_is_bounded_and_nothing_is_fetched() {
            // REQ-SCH-02, REQ-SCH-03
            for (schema, said) in [
                (json!({ "$ref": "http://127.0.0.1:9/a" }), "127.0.0.1"),
                (json!({ "$ref": "file:///etc/hosts" }), "file:"),
                (json!({ "pattern": "(?=a)a" }), "(?=a)a"),
                (json!({ "pattern": "((a{1000}){1000}){1000}" }), "a{1000}"),
            ] {
                let error = check(&schema.into(), &json!({}).into()).expect_err(said);
                assert!(error.contains(said), "{error}");
            }
            let schemas = Schemas::default();
            let list = schemas.begin(None);
            let tools = [tool("a", Some(1)), tool("b", Some(MAX_SCHEMA))];
            schemas.remember(list, &tools, true);
            assert_eq!(names(&schemas), ["a"]);
        }
    }
}
