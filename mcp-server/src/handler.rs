//! Handlers: functions of any subset of state, `Cx` and arguments.

use std::future::Future;
use std::pin::Pin;

use mcp_peer::types::RawJson;
use serde_json::Value;

use crate::context::Cx;
use crate::error::HandlerError;

/// What there are handlers for.
pub mod kind {
    /// A tool; its arguments derive `Deserialize` and `JsonSchema`.
    #[derive(Debug)]
    pub enum Tool {}

    /// A resource or a family of them; its arguments are the variables of its URI template.
    #[derive(Debug)]
    pub enum Resource {}

    /// A prompt; its arguments are texts, or what can be read from one.
    #[derive(Debug)]
    pub enum Prompt {}

    /// The completion of an argument; its argument is what is typed, as `String` or with all that is known besides.
    #[derive(Debug)]
    pub enum Completion {}
}

/// One of the kinds of handlers in [`kind`].
pub trait Kind: Send + Sync + 'static {
    /// What a request gives the handler, not decoded.
    type Input: Send + 'static;
    /// What the handler's result becomes.
    type Output: Send + 'static;

    /// The JSON Schema of the input of a handler that takes none.
    fn no_input() -> Value {
        // Without `properties` some clients take it for no schema.
        serde_json::json!({ "type": "object", "properties": {}, "additionalProperties": false })
    }
}

/// Arguments that a handler of a kind may take.
pub trait FromInput<K: Kind>: Send + Sized + 'static {
    /// Their JSON Schema.
    fn schema() -> Value;

    /// Decodes them.
    ///
    /// # Errors
    /// What is wrong with them, naming the field.
    fn from_input(input: K::Input) -> Result<Self, HandlerError>;
}

/// What a handler of a kind may return.
pub trait IntoOutput<K: Kind>: Send + 'static {
    /// The JSON Schema of a structured result, if there is one.
    fn schema() -> Option<RawJson> {
        None
    }

    /// The result.
    ///
    /// # Errors
    /// What the handler said, or that its result does not serialise.
    fn into_output(self) -> Result<K::Output, HandlerError>;
}

/// A handler at work.
pub type Running<T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send>>;

/// A function that can handle requests of a kind; `M` is which parameters it has, and never written out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot handle a `{K}`",
    note = "a handler is a function, async or not, of a `Cx`, of arguments, of both in this order, or of nothing; `with` puts state before them",
    note = "the arguments of tools, prompts and resource templates derive `Deserialize` and `JsonSchema`",
    note = "what it returns is `IntoToolResult`, `IntoContents`, `IntoPrompt` or `IntoCompletion`, or a `Result` of that and an error",
    note = "an error is a `ToolError` or implements `std::error::Error`; `.map_err(ToolError::hidden)` makes a `ToolError` of a boxed one, or anyhow's",
    note = "its future must be `Send`: nothing that is not `Send` may live across an `.await`"
)]
pub trait Handler<K: Kind, M>: Send + Sync + 'static {
    /// The JSON Schema of what it takes.
    fn input_schema() -> Value;

    /// The JSON Schema of its structured result, if there is one.
    fn output_schema() -> Option<RawJson>;

    /// Starts it.
    fn start(&self, cx: Cx, input: K::Input) -> Running<K::Output>;
}

/// Marks a handler that takes arguments of type `A`.
#[derive(Debug)]
pub struct Args<A>(std::marker::PhantomData<A>);

/// Marks a handler that answers without a future.
#[derive(Debug)]
pub struct NotAsync<M>(std::marker::PhantomData<M>);

/// A handler together with the state that is its first parameter; made by [`with`].
#[derive(Debug, Clone)]
pub struct With<S, F> {
    state: S,
    handler: F,
}

/// Gives a handler state as its first parameter: a clone of `state` for each request, so usually an `Arc`.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering};
/// use mcp_server::{Server, tool, with};
///
/// async fn count(calls: Arc<AtomicU64>) -> String {
///     (calls.fetch_add(1, Ordering::Relaxed) + 1).to_string()
/// }
///
/// let calls = Arc::new(AtomicU64::new(0));
/// let server = Server::new("counter", "1.0.0").tool(tool("count", with(calls, count)));
/// ```
pub fn with<S: Clone, F>(state: S, handler: F) -> With<S, F> {
    With { state, handler }
}

fn run<K, Fut>(started: Result<Fut, HandlerError>) -> Running<K::Output>
where
    K: Kind,
    Fut: Future + Send + 'static,
    Fut::Output: IntoOutput<K>,
{
    match started {
        Ok(future) => Box::pin(async move { future.await.into_output() }),
        Err(error) => Box::pin(std::future::ready(Err(error))),
    }
}

fn ready<K, R>(result: Result<R, HandlerError>) -> Running<K::Output>
where
    K: Kind,
    R: IntoOutput<K>,
{
    Box::pin(std::future::ready(result.and_then(IntoOutput::into_output)))
}

/// One implementation for functions and one for functions with state, both async and not.
macro_rules! handlers {
    ($($marker:ty, ($($arg:ident)?), ($($param:ty),*), |$cx:ident, $input:ident| $decoded:expr, ($($value:ident),*);)*) => {
        $(
            impl<K, F, Fut, $($arg)?> Handler<K, $marker> for F
            where
                K: Kind,
                F: Fn($($param),*) -> Fut + Send + Sync + 'static,
                Fut: Future + Send + 'static,
                Fut::Output: IntoOutput<K>,
                $($arg: FromInput<K>,)?
            {
                handlers! { @schemas ($($arg)?) Fut::Output }

                fn start(&self, $cx: Cx, $input: K::Input) -> Running<K::Output> {
                    let decoded: Result<_, HandlerError> = $decoded;
                    run::<K, _>(decoded.map(|($($value,)*)| self($($value),*)))
                }
            }

            impl<K, F, R, $($arg)?> Handler<K, NotAsync<$marker>> for F
            where
                K: Kind,
                F: Fn($($param),*) -> R + Send + Sync + 'static,
                R: IntoOutput<K>,
                $($arg: FromInput<K>,)?
            {
                handlers! { @schemas ($($arg)?) R }

                fn start(&self, $cx: Cx, $input: K::Input) -> Running<K::Output> {
                    let decoded: Result<_, HandlerError> = $decoded;
                    ready::<K, _>(decoded.map(|($($value,)*)| self($($value),*)))
                }
            }

            impl<K, S, F, Fut, $($arg)?> Handler<K, $marker> for With<S, F>
            where
                K: Kind,
                S: Clone + Send + Sync + 'static,
                F: Fn(S, $($param),*) -> Fut + Send + Sync + 'static,
                Fut: Future + Send + 'static,
                Fut::Output: IntoOutput<K>,
                $($arg: FromInput<K>,)?
            {
                handlers! { @schemas ($($arg)?) Fut::Output }

                fn start(&self, $cx: Cx, $input: K::Input) -> Running<K::Output> {
                    let decoded: Result<_, HandlerError> = $decoded;
                    run::<K, _>(decoded.map(|($($value,)*)| (self.handler)(self.state.clone(), $($value),*)))
                }
            }

            impl<K, S, F, R, $($arg)?> Handler<K, NotAsync<$marker>> for With<S, F>
            where
                K: Kind,
                S: Clone + Send + Sync + 'static,
                F: Fn(S, $($param),*) -> R + Send + Sync + 'static,
                R: IntoOutput<K>,
                $($arg: FromInput<K>,)?
            {
                handlers! { @schemas ($($arg)?) R }

                fn start(&self, $cx: Cx, $input: K::Input) -> Running<K::Output> {
                    let decoded: Result<_, HandlerError> = $decoded;
                    ready::<K, _>(decoded.map(|($($value,)*)| (self.handler)(self.state.clone(), $($value),*)))
                }
            }
        )*
    };
    (@schemas () $output:ty) => {
        fn input_schema() -> Value {
            K::no_input()
        }

        fn output_schema() -> Option<RawJson> {
            <$output as IntoOutput<K>>::schema()
        }
    };
    (@schemas ($arg:ident) $output:ty) => {
        fn input_schema() -> Value {
            $arg::schema()
        }

        fn output_schema() -> Option<RawJson> {
            <$output as IntoOutput<K>>::schema()
        }
    };
}

handlers! {
    (Cx, Args<A>), (A), (Cx, A), |cx, input| A::from_input(input).map(|args| (cx, args)), (cx, args);
    (Args<A>,), (A), (A), |_cx, input| A::from_input(input).map(|args| (args,)), (args);
    (Cx,), (), (Cx), |cx, _input| Ok((cx,)), (cx);
    (), (), (), |_cx, _input| Ok(()), ();
}
