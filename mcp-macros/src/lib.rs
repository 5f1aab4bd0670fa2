#![doc = include_str!("../README.md")]

mod data;
mod function;
mod options;

use proc_macro::TokenStream;

use function::Kind;

/// Makes a tool of a function: `f::tool()`.
///
/// The arguments are the function's parameters, by their names and types, and what is said of each in front of it; an `Option`
/// may be left out. The function's documentation describes the tool, and its name is the tool's. The function itself stays as
/// it is. It may be `async`, and return what a tool may.
///
/// ```
/// use mcp_server::{Server, tool, types::ToolAnnotations};
///
/// /// Adds up to two numbers
/// #[tool(title = "Addition", annotations = ToolAnnotations::new().read_only_hint(true))]
/// fn add(
///     /// The first one
///     a: i64,
///     /// The other one; zero if there is none
///     b: Option<i64>,
/// ) -> String {
///     (a + b.unwrap_or(0)).to_string()
/// }
///
/// assert_eq!(add(1, Some(2)), "3");
/// let server = Server::new("calculator", "1.0.0").tool(add::tool());
/// ```
///
/// # Parameters
///
/// * One of the type `Cx` is the request's context.
/// * One marked `#[state]` is no argument: `f::tool(…)` takes what it is, and each call gets a clone.
/// * One marked `#[args]` is all arguments together: a struct, which derives `Deserialize` and `JsonSchema`.
/// * `#[serde(…)]` and `#[schemars(…)]` in front of any other say more of that argument: a default, a least value.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use mcp_server::{Cx, Server, tool};
///
/// #[tool]
/// async fn count(cx: Cx, #[state] sum: Arc<AtomicU64>, #[schemars(range(max = 9))] by: u64) -> String {
///     cx.log().info("counting").await;
///     (sum.fetch_add(by, Ordering::Relaxed) + by).to_string()
/// }
///
/// let server = Server::new("counter", "1.0.0").tool(count::tool(Arc::default()));
/// ```
///
/// # Options
///
/// `name = "…"` gives it another name. Any other is a method of `ToolDef`, `title = "…"` as well as `title("…")`.
///
/// # Errors
///
/// What cannot be an argument does not compile:
///
/// ```compile_fail
/// #[mcp_server::tool]
/// fn length(text: &str) -> String {
///     text.len().to_string()
/// }
/// ```
///
/// Neither does what a tool cannot return:
///
/// ```compile_fail,E0277
/// #[mcp_server::tool]
/// fn start() -> std::time::Instant {
///     std::time::Instant::now()
/// }
/// ```
///
/// Nor an option that there is not:
///
/// ```compile_fail,E0599
/// #[mcp_server::tool(titel = "Greeting")]
/// fn hello() -> &'static str {
///     "Hello."
/// }
/// ```
#[proc_macro_attribute]
pub fn tool(options: TokenStream, function: TokenStream) -> TokenStream {
    function::expand(Kind::Tool, options.into(), function.into()).into()
}

/// Makes a resource, or a family of them, of a URI or URI template and a function: `f::resource()`.
///
/// The function's parameters are the variables of the template, read as what their types are; its name is the resource's.
/// Parameters, documentation and options are otherwise as those of [`macro@tool`], the options those of `ResourceDef`.
///
/// ```
/// use mcp_server::{Server, resource};
///
/// /// What the weather will be
/// #[resource("weather://{city}/forecast{?days}", mime_type = "text/plain", complete_from("city", ["Basel", "Bern"]))]
/// async fn forecast(city: String, days: Option<u8>) -> Option<String> {
///     (city == "Bern").then(|| format!("{} days of sun", days.unwrap_or(1)))
/// }
///
/// let server = Server::new("weather", "1.0.0").resource(forecast::resource());
/// ```
#[proc_macro_attribute]
pub fn resource(options: TokenStream, function: TokenStream) -> TokenStream {
    function::expand(Kind::Resource, options.into(), function.into()).into()
}

/// Makes a prompt of a function: `f::prompt()`.
///
/// Parameters, documentation and options are as those of [`macro@tool`], the options those of `PromptDef`. Arguments of prompts
/// are texts, so parameters are what can be read from one.
///
/// ```
/// use mcp_server::{Server, prompt};
///
/// /// Reviews code
/// #[prompt(complete_from("focus", ["errors", "speed", "style"]))]
/// fn review(
///     /// The code to review
///     code: String,
///     /// What to look at first
///     focus: Option<String>,
/// ) -> String {
///     format!("Review this, {} first:\n{code}", focus.as_deref().unwrap_or("errors"))
/// }
///
/// let server = Server::new("reviewer", "1.0.0").prompt(review::prompt());
/// ```
#[proc_macro_attribute]
pub fn prompt(options: TokenStream, function: TokenStream) -> TokenStream {
    function::expand(Kind::Prompt, options.into(), function.into()).into()
}

/// Makes a type what goes over the wire with a schema: a form, a structured result, the arguments of a tool.
///
/// It derives `Serialize`, `Deserialize` and `JsonSchema` of `mcp-server`, so that a program needs neither crate of its own;
/// their attributes are there for its fields.
///
/// ```
/// use mcp_server::{Cx, ToolError, data, tool};
///
/// #[data]
/// struct Shirt {
///     /// In letters
///     #[schemars(length(max = 3))]
///     size: String,
/// }
///
/// #[tool]
/// async fn order(cx: Cx) -> Result<String, ToolError> {
///     let shirt = cx.elicit::<Shirt>("Which shirt?").await?.accepted();
///     Ok(shirt.map_or("no shirt".into(), |shirt| shirt.size))
/// }
/// ```
#[proc_macro_attribute]
pub fn data(options: TokenStream, item: TokenStream) -> TokenStream {
    data::expand_data(options.into(), item.into()).into()
}

/// Makes a type a notification of the program's own, of the method that is given; [`macro@data`] and `Notification` in one.
///
/// ```
/// use mcp_server::{Notification, notification};
///
/// #[notification("chat.said")]
/// struct Said {
///     text: String,
/// }
///
/// assert_eq!(Said::METHOD, "chat.said");
/// ```
#[proc_macro_attribute]
pub fn notification(method: TokenStream, item: TokenStream) -> TokenStream {
    data::expand_notification(method.into(), item.into()).into()
}
