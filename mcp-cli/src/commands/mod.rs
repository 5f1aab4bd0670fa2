//! What the program can do: one file a command.

pub(crate) mod bridge;
pub(crate) mod call;
pub(crate) mod complete;
pub(crate) mod doctor;
pub(crate) mod generate;
pub(crate) mod list;
pub(crate) mod listen;
pub(crate) mod ping;
pub(crate) mod prompt;
pub(crate) mod read;
pub(crate) mod replay;
pub(crate) mod shell;

use serde_json::Value;

use crate::arguments::{self, Word};
use crate::exit::Failure;

/// The next word of the command line.
fn next(words: &mut Vec<String>, what: &str) -> Result<String, Failure> {
    match words.is_empty() {
        true => Err(Failure::Usage(format!("{what} is missing"))),
        false => Ok(words.remove(0)),
    }
}

/// That there are no more words.
fn no_more(words: &[String]) -> Result<(), Failure> {
    match words.first() {
        None => Ok(()),
        Some(word) => Err(Failure::Usage(format!("`{word}` is one word too many"))),
    }
}

/// Words whose values are texts, as those of prompts and templates are.
fn texts(words: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let text = |(key, value): (String, Value)| match value {
        Value::String(text) => Ok((key, text)),
        other => Err(Failure::Usage(format!(
            "`{key}` is to be a text, not {other}"
        ))),
    };
    let words = arguments::words(words)?
        .into_iter()
        .flat_map(|word| match word {
            Word::Typed(key, value) => vec![(key, value.into())],
            Word::Json(key, value) => vec![(key, value)],
            Word::Object(members) => members.into_iter().collect(),
        });
    words.map(text).collect()
}
