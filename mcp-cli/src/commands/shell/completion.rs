//! What Tab completes: names, arguments, and what the server suggests.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use mcp_client::Client;
use mcp_client::types::{Complete, CompleteParams, CompletionRef};
use rustyline::Helper;
use rustyline::completion::{Completer, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use serde_json::Value;
use tokio::runtime::Handle;

use crate::arguments;

/// What can be completed.
#[derive(Debug, Default)]
pub(super) struct Offers {
    /// Names of tools, with those of their arguments and the values these may have.
    pub(super) tools: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    pub(super) prompts: BTreeMap<String, Vec<String>>,
    pub(super) resources: Vec<String>,
    pub(super) templates: Vec<String>,
}

impl Offers {
    /// What a server has; a list that cannot be had is empty.
    pub(super) async fn of(client: &Client) -> Self {
        let server = client.server();
        let has = &server.capabilities;
        let mut offers = Self::default();
        if has.tools.is_some() {
            let tools = client.list_tools().await.unwrap_or_default();
            for tool in tools {
                let schema: Value = tool.input_schema.decode().unwrap_or_default();
                let names = schema["properties"]
                    .as_object()
                    .into_iter()
                    .flat_map(|p| p.keys());
                let arguments =
                    names.map(|name| (name.clone(), values(arguments::property(&schema, name))));
                offers.tools.insert(tool.name, arguments.collect());
            }
        }
        if has.prompts.is_some() {
            let prompts = client.list_prompts().await.unwrap_or_default();
            for prompt in prompts {
                let arguments = prompt.arguments.unwrap_or_default();
                offers
                    .prompts
                    .insert(prompt.name, arguments.into_iter().map(|a| a.name).collect());
            }
        }
        if has.resources.is_some() {
            let resources = client.list_resources().await.unwrap_or_default();
            offers.resources = resources.into_iter().map(|resource| resource.uri).collect();
            let templates = client.list_resource_templates().await.unwrap_or_default();
            offers.templates = templates
                .into_iter()
                .map(|template| template.uri_template)
                .collect();
        }
        offers
    }

    /// What could stand in the place of the last word of a line, where that begins, and what is to be asked of the server
    /// besides.
    fn candidates(&self, line: &str) -> (usize, Vec<String>, Option<Question>) {
        let (words, start) = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        // What may follow a tool's name is the same.
        let (called, words) = match &*words {
            ["call", words @ ..] => (true, words),
            words => (false, words),
        };
        let last = &*meant(&line[start..]);
        let mut found = Vec::new();
        // What a word is, and how it goes on.
        let mut offer = |name: &str, end: &str| {
            if name.starts_with(last) {
                found.extend(typed("", name, end));
            }
        };
        match (words, last.split_once('=')) {
            ([], _) => {
                self.tools.keys().for_each(|name| offer(name, " "));
                let own = [
                    ("call", " "),
                    ("read", " "),
                    ("prompt", " "),
                    ("list", ""),
                    ("watch", " "),
                    ("unwatch", " "),
                    ("help", ""),
                    ("exit", ""),
                ];
                own.iter()
                    .filter(|_| !called)
                    .for_each(|(name, end)| offer(name, end));
            }
            (["read" | "watch" | "unwatch"], _) => {
                self.resources.iter().for_each(|uri| offer(uri, ""));
                let starts = self
                    .templates
                    .iter()
                    .filter_map(|uri| uri.split('{').next());
                starts.for_each(|start| offer(start, ""));
            }
            (["prompt"], _) => self.prompts.keys().for_each(|name| offer(name, " ")),
            (["prompt", name, given @ ..], None) => {
                let names = self.prompts.get(*name).into_iter().flatten();
                let names = names.filter(|name| fresh(name, given));
                names.for_each(|name| offer(name, "="));
            }
            (["prompt", name, given @ ..], Some((argument, prefix))) => {
                let params = CompleteParams::new(CompletionRef::prompt(*name), argument, prefix);
                let others = given.iter().filter_map(|word| word.split_once('='));
                let params = others.fold(params, |params, (key, value)| params.context(key, value));
                let argument = argument.to_owned();
                return (start, Vec::new(), Some(Question { argument, params }));
            }
            ([tool, given @ ..], None) => {
                let names = self.tools.get(*tool).into_iter().flatten();
                let names = names
                    .map(|(name, _)| name)
                    .filter(|name| fresh(name, given));
                names.for_each(|name| offer(name, "="));
            }
            ([tool, ..], Some((argument, prefix))) => {
                let tool = self.tools.get(*tool);
                let values = tool.and_then(|arguments| arguments.get(argument));
                let values = values.into_iter().flatten();
                for value in values.filter(|value| value.starts_with(prefix)) {
                    found.extend(typed(&format!("{}=", quoted(argument)), value, " "));
                }
            }
        }
        (start, found, None)
    }
}

/// A text of the server's as a person would type it as a word, or a part of one; none if it has what cannot be typed.
fn typed(before: &str, text: &str, after: &str) -> Option<String> {
    (!text.contains(char::is_control)).then(|| format!("{before}{}{after}", quoted(text)))
}

/// A text as a word of a line of this shell, which expands nothing: it stays as it is wherever it can.
fn quoted(text: &str) -> Cow<'_, str> {
    match shell_words::split(text).as_deref() {
        Ok([word]) if word == text => text.into(),
        _ => shell_words::quote(text),
    }
}

/// The words of a line before the last, and where that begins; it may be empty, and its quotes still be open.
fn words(line: &str) -> (Vec<String>, usize) {
    let blanks = line.rmatch_indices(char::is_whitespace);
    for (at, blank) in blanks {
        let end = at + blank.len();
        // Where a letter would be a word of its own no quotes are open.
        if let Ok(mut words) = shell_words::split(&format!("{}x", &line[..end]))
            && words.pop().as_deref() == Some("x")
        {
            return (words, end);
        }
    }
    (Vec::new(), 0)
}

/// What a word means, though its quotes may still be open.
fn meant(word: &str) -> String {
    let closed = ["", "'", "\""].map(|quote| shell_words::split(&format!("{word}{quote}")));
    let meant = closed.into_iter().find_map(Result::ok);
    meant.unwrap_or_default().concat()
}

/// The values that a schema names.
fn values(schema: &Value) -> Vec<String> {
    if schema["type"] == "boolean" {
        return vec!["true".to_owned(), "false".to_owned()];
    }
    let values = schema["enum"].as_array().into_iter().flatten();
    values
        .map(|value| {
            value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned)
        })
        .collect()
}

fn fresh(name: &str, given: &[&str]) -> bool {
    !given
        .iter()
        .any(|word| word.split('=').next() == Some(name))
}

/// What the server is asked for when an argument is to be completed.
struct Question {
    argument: String,
    params: CompleteParams,
}

/// How long a person waits for a suggestion.
const PATIENCE: Duration = Duration::from_secs(3);

/// Completes, and does nothing else that an editor could do.
pub(super) struct Completion {
    pub(super) offers: Offers,
    pub(super) client: Client,
    pub(super) runtime: Handle,
}

impl Completion {
    /// Asks the server; without an answer in time there is none.
    fn suggested(&self, question: Question) -> Vec<String> {
        let client = self.client.clone();
        let Question { argument, params } = question;
        let (send, receive) = std::sync::mpsc::channel();
        self.runtime.spawn(async move {
            let asked = client.request::<Complete>(&params).timeout(PATIENCE).await;
            // The editor has given up by now, or it has not.
            let _ = send.send(
                asked
                    .map(|result| result.completion.values)
                    .unwrap_or_default(),
            );
        });
        let values = receive.recv_timeout(PATIENCE).unwrap_or_default();
        let before = format!("{}=", quoted(&argument));
        let values = values.iter();
        values
            .filter_map(|value| typed(&before, value, " "))
            .collect()
    }
}

impl Helper for Completion {}
impl Highlighter for Completion {}
impl Hinter for Completion {
    type Hint = String;
}
impl Validator for Completion {}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        pos: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, mut candidates, question) = self.offers.candidates(&line[..pos]);
        if let Some(question) = question {
            candidates = self.suggested(question);
        }
        let pairs = candidates.into_iter().map(|candidate| Pair {
            display: candidate.trim_end().to_owned(),
            replacement: candidate,
        });
        Ok((start, pairs.collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustyline::completion::longest_common_prefix;

    #[test]
    fn names_and_arguments_are_completed() {
        let mut offers = Offers::default();
        let arguments = [
            (
                "unit".to_owned(),
                vec!["metre".to_owned(), "mile".to_owned()],
            ),
            ("n".to_owned(), vec![]),
            (
                "of".to_owned(),
                vec!["New York".to_owned(), "a\u{1b}b".to_owned()],
            ),
        ];
        offers.tools.insert("measure".to_owned(), arguments.into());
        offers.tools.insert("mend".to_owned(), BTreeMap::new());
        offers.tools.insert("mend\n".to_owned(), BTreeMap::new());
        offers
            .prompts
            .insert("poem".to_owned(), vec!["about".to_owned()]);
        offers.resources.push("file:///a".to_owned());
        offers.resources.push("file:///a?b&c".to_owned());
        offers.templates.push("db:///{id}/x".to_owned());
        offers.resources.push("file:///d/a%20b".to_owned());
        offers.resources.push("file:///d/a%20c".to_owned());
        offers
            .prompts
            .insert("it's mine".to_owned(), vec!["to whom".to_owned()]);
        offers.prompts.insert("it's yours".to_owned(), vec![]);
        offers.tools.insert(
            "my tool".to_owned(),
            [("a b".to_owned(), vec!["c d".to_owned()])].into(),
        );
        for (line, expected) in [
            ("me", &["measure ", "mend "][..]),
            ("re", &["read "]),
            ("ca", &["call "]),
            ("call me", &["measure ", "mend "]),
            ("call re", &[]),
            ("call measure unit=mi", &["unit=mile "]),
            ("measure ", &["n=", "of=", "unit="]),
            ("measure n=1  of=x ", &["unit="]),
            ("measure of=", &["of='New York' "]),
            ("measure of='New", &["of='New York' "]),
            ("measure \"of=New ", &["of='New York' "]),
            ("measure of=New\\ Y", &["of='New York' "]),
            ("measure of='New York' u", &["unit="]),
            ("measure unit=m", &["unit=metre ", "unit=mile "]),
            ("measure unit=mi", &["unit=mile "]),
            ("my", &["'my tool' "]),
            ("'my tool' ", &["'a b'="]),
            ("'my tool' 'a b'=", &["'a b'='c d' "]),
            ("read file:///a", &["file:///a", "file:///a?b&c"]),
            ("read d", &["db:///"]),
            ("prompt p", &["poem "]),
            ("prompt poem a", &["about="]),
            ("prompt 'it'\\''s mine' ", &["'to whom'="]),
            ("unknown a", &[]),
        ] {
            let (_, found, question) = offers.candidates(line);
            assert_eq!(found, expected, "{line}");
            assert!(question.is_none());
        }
        // What Tab inserts of more than one can be gone on with.
        for (line, more, expected) in [
            ("read file:///d", "b", "read file:///d/a%20b"),
            ("prompt it", "y", r"prompt 'it'\''s yours' "),
        ] {
            let (start, found, _) = offers.candidates(line);
            let common = longest_common_prefix(&found).unwrap();
            let line = format!("{}{common}{more}", &line[..start]);
            let (start, found, _) = offers.candidates(&line);
            assert_eq!(found.len(), 1, "{line}: {found:?}");
            assert_eq!(line[..start].to_owned() + &found[0], expected);
        }
        let (start, _, question) = offers.candidates("prompt poem x='y z' about='s e");
        assert_eq!(start, "prompt poem x='y z' ".len());
        let params = serde_json::to_value(question.unwrap().params).unwrap();
        assert_eq!(
            params["argument"],
            serde_json::json!({ "name": "about", "value": "s e" })
        );
        assert_eq!(params["context"]["arguments"]["x"], "y z");
    }
}
