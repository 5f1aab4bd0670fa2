//! What must hold of the types for any JSON: the body of a fuzz target, which a unit test runs over the committed seeds.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

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
    // What was left out is there now, perhaps, but the text is the same; and a float is read to its last bit but one.
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

/// Whether two texts are the same but for the last bits of their numbers. Nothing is decoded: what is passed on untouched may
/// hold half a surrogate pair, or a number beyond all floats.
fn close(a: &RawJson, b: &RawJson) -> bool {
    let number = |token: &str| token.parse::<f64>().ok();
    let same = |a: &str, b: &str| match (number(a), number(b)) {
        (Some(x), Some(y)) => a == b || (x - y).abs() <= x.abs() * 1e-14,
        _ => a == b,
    };
    let (a, b) = (tokens(a.as_str()), tokens(b.as_str()));
    a.len() == b.len() && a.into_iter().zip(b).all(|(a, b)| same(a, b))
}

/// A text without white space, cut into strings, numbers, words and punctuation.
fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => string_end(rest),
            '-' | '0'..='9' => rest.find([',', ']', '}']).unwrap_or(rest.len()),
            _ => first.len_utf8(),
        };
        let (token, behind) = rest.split_at(end);
        tokens.push(token);
        rest = behind;
    }
    tokens
}

fn string_end(text: &str) -> usize {
    let mut escaped = false;
    let end = text.bytes().skip(1).position(|b| {
        let ends = b == b'"' && !escaped;
        escaped = b == b'\\' && !escaped;
        ends
    });
    end.map_or(text.len(), |end| end + 2)
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
