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
    /// With the feature `schema` it is first checked against the tool's output schema, if the tool has been listed.
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
            let schema = {
                let request = &call.request;
                request.client.schemas().of_call(&request.params)
            };
            let result = call.await?;
            if result.is_error {
                return Err(StructuredError::Failed(result));
            }
            let content = result.structured_content.ok_or(StructuredError::Missing)?;
            #[cfg(feature = "schema")]
            schema::check(schema, &content).map_err(StructuredError::Schema)?;
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
    use std::sync::{Mutex, PoisonError};

    use mcp_peer::session::RequestError;
    use mcp_peer::types::{ObjectBuf, RawJson, Tool};
    use serde_json::Value;

    /// Output schemas of the tools that have been listed, by name: as many as there are tools.
    #[derive(Debug, Default)]
    pub(crate) struct Schemas(Mutex<HashMap<String, RawJson>>);

    impl Schemas {
        pub(crate) fn remember(&self, tools: &[Tool]) {
            // Nothing panics while it holds the lock.
            let mut schemas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            for tool in tools {
                match &tool.output_schema {
                    Some(schema) => schemas.insert(tool.name.clone(), schema.compact()),
                    None => schemas.remove(&tool.name),
                };
            }
        }

        /// The output schema of the tool that these parameters call.
        pub(crate) fn of_call(&self, params: &Result<ObjectBuf, RequestError>) -> Option<RawJson> {
            let params = params.as_ref().ok()?.clone().finish();
            let name: String = params.member("name")?.decode().ok()?;
            let schemas = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            schemas.get(&name).cloned()
        }
    }

    /// # Errors
    /// What does not match, or what is wrong with the schema.
    pub(crate) fn check(schema: Option<RawJson>, content: &RawJson) -> Result<(), String> {
        let Some(schema) = schema else {
            return Ok(());
        };
        let decode = |raw: &RawJson| raw.decode::<Value>().map_err(|e| e.to_string());
        let validator = jsonschema::validator_for(&decode(&schema)?).map_err(|e| e.to_string())?;
        validator
            .validate(&decode(content)?)
            .map_err(|error| error.to_string())
    }
}
