//! One JSON object a line.

use std::io::Write;

use mcp_client::types::{Inbound, Malformed, Message, RawJson};
use mcp_peer::Direction;
use serde::ser::{Error, Serialize, SerializeSeq, Serializer};

use super::{Event, Lines, Render};

/// Shows events to a program.
#[derive(Debug)]
pub(crate) struct Json<W> {
    lines: Lines<W>,
}

impl<W: Write> Json<W> {
    pub(crate) fn new(out: W) -> Self {
        let lines = Lines::new(out);
        Self { lines }
    }
}

impl<W: Write + Send> Render for Json<W> {
    fn show(&mut self, ms: f64, event: &Event<'_>) {
        #[derive(serde::Serialize)]
        struct Line<'a> {
            ms: f64,
            #[serde(flatten)]
            event: &'a Event<'a>,
        }
        // Microseconds are as fine as it gets.
        let ms = (ms * 1e3).round() / 1e3;
        let line = serde_json::to_string(&Line { ms, event }).unwrap_or_else(|e| {
            let error = e.to_string();
            serde_json::json!({ "ms": ms, "kind": "unprintable", "error": error }).to_string()
        });
        // A message is as it was sent: between its values JSON may have line ends.
        self.lines.write(&(line.replace(['\n', '\r'], " ") + "\n"));
    }
}

pub(super) fn direction<S: Serializer>(direction: &Direction, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(match direction {
        Direction::In => "in",
        Direction::Out => "out",
    })
}

/// A message as it goes over the wire; what was none, as a text that says so.
pub(super) fn message<S: Serializer>(item: &&Inbound, to: S) -> Result<S::Ok, S::Error> {
    match item {
        Inbound::Message(message) => Raw(message).serialize(to),
        Inbound::Malformed(malformed) => to.serialize_str(&malformed.to_string()),
        Inbound::Batch(items) => {
            let mut batch = to.serialize_seq(Some(items.len()))?;
            for item in items {
                match item {
                    Ok(message) => batch.serialize_element(&Raw(message))?,
                    Err(malformed) => batch.serialize_element(&Malformed::to_string(malformed))?,
                }
            }
            batch.end()
        }
    }
}

struct Raw<'a>(&'a Message);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        RawJson::parse(self.0.to_string())
            .map_err(S::Error::custom)?
            .serialize(to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line() {
        let params = RawJson::parse("{\"a\":\n \"b\\n\",\r\n\"c\":1}").unwrap();
        let mut json = Json::new(Vec::new());
        let method = "m";
        json.show(0.0, &Event::Notification { method, params });
        let shown = String::from_utf8(json.lines.out).unwrap();
        assert_eq!(shown.lines().count(), 1, "{shown}");
        let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(shown["params"]["a"], "b\n");
    }
}
