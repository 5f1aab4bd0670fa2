//! What must hold of the types for any JSON: the body of a fuzz target, which a unit test runs over the committed seeds.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::*;

/// Any JSON is refused by a type, or is read, written, and read again as the same value; so it is with what it becomes for
/// an older revision.
pub fn typed(data: &[u8]) {
    let Ok(raw) = RawJson::parse(data.to_vec()) else {
        return;
    };
    macro_rules! each {
        ($check:ident: $($name:ident)*) => {
            $($check::<$name>(&raw);)*
        };
    }
    macro_rules! methods {
        ($($check:ident: $($name:ident)*;)*) => {
            $($($check::<$name>(&raw);)*)*
        };
    }
    // What the methods take and return.
    methods! {
        request: Initialize Discover Ping ListTools CallTool ListResources ListResourceTemplates ReadResource Subscribe
            Unsubscribe ListPrompts GetPrompt Complete SetLevel Listen CreateMessage ListRoots Elicit GetTask TaskResult
            ListTasks CancelTask UpdateTask;
        notification: Initialized Cancelled Progress LogMessage ResourceListChanged ResourceUpdated ToolListChanged
            PromptListChanged RootsListChanged ElicitationComplete TaskStatus TaskUpdated SubscriptionAcknowledged;
    }
    // What is said in place of a result, or beside one.
    each! { stable: ErrorObject UrlElicitationRequired MissingClientCapability UnsupportedProtocolVersion ElicitSchema RelatedTask Meta }
    // What changes with the revision of the peer.
    each! {
        settles: InitializeParams InitializeResult DiscoverResult ProgressParams CallToolParams CallToolResult
            ListToolsResult ListResourcesResult ListResourceTemplatesResult ReadResourceParams ReadResourceResult
            ListPromptsResult GetPromptParams GetPromptResult CompleteParams CreateMessageParams CreateMessageResult
            ListRootsResult ElicitParams ElicitSchema InputRequests InputRequiredResult Task CreateTaskResult ListTasksResult
            CancelTaskResult ClientCapabilities ServerCapabilities ContentBlock SamplingContent
    }
}

fn request<R: Request>(raw: &RawJson)
where
    R::Params: PartialEq + Debug,
    R::Result: PartialEq + Debug,
{
    stable::<R::Params>(raw);
    stable::<R::Result>(raw);
}

fn notification<N: Notification>(raw: &RawJson)
where
    N::Params: PartialEq + Debug,
{
    stable::<N::Params>(raw);
}

/// What is read, if anything; what is written of it is read as the same.
fn stable<T: Serialize + DeserializeOwned + PartialEq + Debug>(raw: &RawJson) -> Option<T> {
    let value: T = raw.decode().ok()?;
    same(&value);
    Some(value)
}

fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    let text =
        RawJson::encode(value).unwrap_or_else(|e| panic!("{value:?} cannot be written: {e}"));
    let again = text.decode::<T>();
    let again = again.unwrap_or_else(|e| panic!("what was written is refused: {e}: {text}"));
    // A float is read to its last bit but one.
    let close = || close(&text, &RawJson::encode(&again).unwrap_or(RawJson::NULL));
    assert!(
        again == *value || close(),
        "{value:?}, written as {text}, is {again:?}"
    );
}

fn settles<T>(raw: &RawJson)
where
    T: ForRevision + Clone + Serialize + DeserializeOwned + PartialEq + Debug,
{
    let Some(value) = stable::<T>(raw) else {
        return;
    };
    for version in ProtocolVersion::ALL {
        let _ = value.inexpressible(version);
        let fit = value.clone().for_revision(version);
        same(&fit);
        assert_eq!(
            fit.clone().for_revision(version),
            fit,
            "{version} of {value:?}"
        );
    }
}

fn close(a: &RawJson, b: &RawJson) -> bool {
    fn values(a: &Value, b: &Value) -> bool {
        match (a, b) {
            (Value::Number(a), Value::Number(b)) => match (a.as_f64(), b.as_f64()) {
                (Some(x), Some(y)) => a == b || (x - y).abs() <= x.abs() * 1e-14,
                _ => a == b,
            },
            (Value::Array(a), Value::Array(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| values(a, b))
            }
            (Value::Object(a), Value::Object(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.0 == b.0 && values(a.1, b.1))
            }
            _ => a == b,
        }
    }
    let decode = |raw: &RawJson| serde_json::from_str::<Value>(&without_code_points(raw.as_str()));
    matches!((decode(a), decode(b)), (Ok(a), Ok(b)) if values(&a, &b))
}

/// The text with each `\uXXXX` left as it is spelt: half a surrogate pair is passed on untouched, but no `Value` holds one.
fn without_code_points(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, chars.clone().next()) {
            ('\\', Some('u')) => {}
            ('\\', Some(escaped)) => {
                chars.next();
                plain.extend([c, escaped]);
            }
            _ => plain.push(c),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn seeds() {
        let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/seeds/typed");
        if !seeds.exists() {
            eprintln!("skipped: no fuzz/seeds beside this crate");
            return;
        }
        let mut count = 0;
        for seed in std::fs::read_dir(seeds).unwrap() {
            let path = seed.unwrap().path();
            eprintln!("{}", path.display());
            let data = std::fs::read(path).unwrap();
            assert!(RawJson::parse(data.clone()).is_ok(), "a seed is JSON");
            typed(&data);
            count += 1;
        }
        assert!(count >= 40, "{count} seeds");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn whatever_is_json(value in crate::strategies::json()) {
            typed(value.to_string().as_bytes());
        }
    }
}
