//! Resources: what clients can read, by a URI or by any URI of a template.

use std::fmt;
use std::sync::Arc;

use mcp_peer::types::{
    Annotations, Icon, Meta, RawJson, ReadResourceResult, Resource, ResourceContents,
    ResourceTemplate,
};
use serde::Serialize;
use serde_json::Value;

use crate::complete::{Completer, Completers};
use crate::error::HandlerError;
use crate::handler::{Handler, IntoOutput, kind};
use crate::result::Json;
use crate::template::UriTemplate;
use crate::validate::{TextRun, constrained};

/// A resource or a family of them: what the client sees, and what runs when it is read.
#[derive(Clone)]
pub struct ResourceDef {
    /// What the client sees; of a family, the URI is the template.
    pub(crate) resource: Resource,
    pub(crate) run: TextRun<kind::Resource>,
    pub(crate) completers: Completers,
    schema: Value,
}

/// Makes a resource of a function, async or not.
///
/// A URI with `{` in it is an RFC 6570 template (levels 1 to 3), which makes a family of resources: the function's argument
/// is a struct of the variables, of texts, numbers, booleans and enumerations. What may be left out is an `Option`. What may
/// be returned is in [`IntoContents`]; a URI that there is nothing under returns `None`, or [`HandlerError::not_found`].
///
/// What the schema demands of a variable besides (a length, a pattern) holds when the function runs. Values are
/// percent-decoded, so that `{name}` may well be `../x`: whoever opens files must check, or demand a pattern.
///
/// ```
/// use mcp_server::{JsonSchema, resource, schemars};
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct Place { city: String, days: Option<u8> }
///
/// async fn forecast(place: Place) -> Option<String> {
///     (place.city == "Bern").then(|| format!("{} days of sun", place.days.unwrap_or(1)))
/// }
///
/// let motd = resource("text://motd", || "Hello.").name("motd").mime_type("text/plain");
/// let forecast = resource("weather://{city}/forecast{?days}", forecast).name("forecast");
/// ```
pub fn resource<M, H: Handler<kind::Resource, M>>(
    uri: impl Into<String>,
    handler: H,
) -> ResourceDef {
    let uri = uri.into();
    ResourceDef {
        resource: Resource::new(uri.clone(), uri),
        run: Arc::new(move |cx, variables| handler.start(cx, variables)),
        completers: Completers::default(),
        schema: H::input_schema(),
    }
}

impl ResourceDef {
    /// Names it for programs; without, its name is its URI.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.resource.name = name.into();
        self
    }

    /// Gives it a name for people.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.resource.title = Some(title.into());
        self
    }

    /// Says what it is, for a model to read.
    #[must_use]
    pub fn describe(mut self, description: impl Into<String>) -> Self {
        self.resource.description = Some(description.into());
        self
    }

    /// Sets the media type, of its contents too where these do not say theirs.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        self.resource.mime_type = Some(mime_type.into());
        self
    }

    /// Says how many bytes it has; a family has no size.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.resource.size = Some(bytes);
        self
    }

    /// Says for whom it is, how important, how old.
    #[must_use]
    pub fn annotations(mut self, annotations: Annotations) -> Self {
        self.resource.annotations = Some(annotations);
        self
    }

    /// Gives icons to choose from.
    #[must_use]
    pub fn icons(mut self, icons: impl Into<Vec<Icon>>) -> Self {
        self.resource.icons = Some(icons.into());
        self
    }

    /// Sets its `_meta`.
    #[must_use]
    pub fn meta(mut self, meta: Meta) -> Self {
        self.resource.meta = Some(meta);
        self
    }

    /// Completes a variable of the template; see [`PromptDef::complete`](crate::PromptDef::complete).
    #[must_use]
    pub fn complete<M, H: Handler<kind::Completion, M>>(
        mut self,
        variable: impl Into<String>,
        handler: H,
    ) -> Self {
        self.completers
            .add(variable.into(), Completer::new(handler));
        self
    }

    /// Completes a variable of the template from these values: those that begin with what is typed.
    #[must_use]
    pub fn complete_from<V: Into<String>>(
        mut self,
        variable: impl Into<String>,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.completers
            .add(variable.into(), Completer::from_values(values));
        self
    }

    /// What the client sees of it; of a family, the URI is the template.
    pub fn definition(&self) -> &Resource {
        &self.resource
    }

    /// Checks that the handler's argument and the URI's variables go together.
    pub(crate) fn offer(mut self) -> Result<OfferedResource, String> {
        let uri = &self.resource.uri;
        let scheme = uri.split(':').next().unwrap_or_default();
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '{' | '}');
        if scheme.is_empty() || scheme.len() == uri.len() || !scheme.chars().all(legal) {
            return Err("it is no URI: it begins with no scheme".to_owned()); // REQ-RES-07
        }
        let template = UriTemplate::parse(uri)?;
        let variables: Vec<&str> = template.variables().collect();
        let required = self.schema.get("required").and_then(Value::as_array);
        for field in required.into_iter().flatten().filter_map(Value::as_str) {
            if !variables.contains(&field) {
                return Err(format!(
                    "its handler needs `{field}`, which is no variable of it"
                ));
            }
        }
        for variable in &variables {
            if !takes(&self.schema, variable) {
                return Err(format!("its handler takes no variable `{variable}`"));
            }
        }
        self.completers.check(&variables)?;
        self.run = constrained::<kind::Resource>(self.run, &self.schema)?;
        Ok(OfferedResource {
            template,
            def: self,
        })
    }
}

/// Whether what a schema describes has a field, or takes any.
fn takes(schema: &Value, field: &str) -> bool {
    let fields = schema.get("properties").and_then(Value::as_object);
    match schema.get("additionalProperties") {
        _ if fields.is_some_and(|fields| fields.contains_key(field)) => true,
        Some(others) => *others != Value::Bool(false),
        None => fields.is_none(),
    }
}

impl fmt::Debug for ResourceDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResourceDef").field(&self.resource).finish()
    }
}

/// A resource or a family that is ready to be read.
#[derive(Debug)]
pub(crate) struct OfferedResource {
    pub(crate) def: ResourceDef,
    pub(crate) template: UriTemplate,
}

impl OfferedResource {
    /// Whether it stands for more than one URI.
    pub(crate) fn is_family(&self) -> bool {
        self.def.resource.uri.contains('{')
    }

    /// What the client sees of a family.
    pub(crate) fn as_family(&self) -> ResourceTemplate {
        let resource = self.def.resource.clone();
        let mut template = ResourceTemplate::new(resource.uri, resource.name);
        template.title = resource.title;
        template.description = resource.description;
        template.mime_type = resource.mime_type;
        template.annotations = resource.annotations;
        template.icons = resource.icons;
        template.meta = resource.meta;
        template
    }
}

/// Something that a resource's handler may return: text, bytes, [`Json`], [`ResourceContents`] or several of them.
///
/// Contents whose URI is empty are those of the URI that was read; contents without a media type have that of the resource.
/// `None` is that there is no such resource.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the contents of a resource",
    note = "return a text, bytes as `Vec<u8>`, `Json(..)`, `ResourceContents` or a `Vec` of them, an `Option` of these, or a `Result`"
)]
pub trait IntoContents {
    /// The result.
    ///
    /// # Errors
    /// What the handler said, or that its result does not serialise.
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError>;
}

impl<T: IntoContents + Send + 'static> IntoOutput<kind::Resource> for T {
    fn schema() -> Option<RawJson> {
        None
    }

    fn into_output(self) -> Result<ReadResourceResult, HandlerError> {
        self.into_contents()
    }
}

impl IntoContents for ReadResourceResult {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        Ok(self)
    }
}

impl IntoContents for ResourceContents {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        Ok(ReadResourceResult::new([self]))
    }
}

impl IntoContents for Vec<ResourceContents> {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        Ok(ReadResourceResult::new(self))
    }
}

impl IntoContents for String {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        ResourceContents::text("", self).into_contents()
    }
}

impl IntoContents for &str {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        ResourceContents::text("", self).into_contents()
    }
}

impl IntoContents for Vec<u8> {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        ResourceContents::from_bytes("", self).into_contents()
    }
}

impl<T: Serialize> IntoContents for Json<T> {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        let text = serde_json::to_string(&self.0)?;
        let contents = ResourceContents::text("", text).mime_type("application/json");
        contents.into_contents()
    }
}

impl<T: IntoContents> IntoContents for Option<T> {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        self.ok_or_else(HandlerError::not_found)?.into_contents()
    }
}

impl<T: IntoContents, E: Into<HandlerError>> IntoContents for Result<T, E> {
    fn into_contents(self) -> Result<ReadResourceResult, HandlerError> {
        self.map_err(Into::into)?.into_contents()
    }
}

/// Says of contents what their handler has left to say.
pub(crate) fn located(
    mut result: ReadResourceResult,
    uri: &str,
    mime_type: Option<&String>,
) -> ReadResourceResult {
    for contents in &mut result.contents {
        let (at, mime) = match contents {
            ResourceContents::Text(text) => (&mut text.uri, &mut text.mime_type),
            ResourceContents::Blob(blob) => (&mut blob.uri, &mut blob.mime_type),
        };
        if at.is_empty() {
            uri.clone_into(at);
        }
        if mime.is_none() {
            *mime = mime_type.cloned();
        }
    }
    result
}
