//! Content for people: text as text, images and sounds saved and named.

use std::fs::OpenOptions;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use console::Term;
use mcp_client::types::{ContentBlock, RawJson, Resource, ResourceContents};
use serde_json::Value;

use super::table::table;
use super::text::{Fields, plain, printable, wrap};

/// The widest a text gets on a terminal, so that it can be read.
const WIDEST: usize = 110;

/// Prints content to stdout: for a terminal made harmless and wrapped, else as it is.
pub(crate) struct Contents {
    terminal: bool,
    width: Option<usize>,
    saving: Saving,
}

/// Where images and the like are saved, and what they are called.
#[derive(Debug)]
pub(crate) struct Saving {
    directory: PathBuf,
    /// What the files are called before their number.
    stem: String,
    count: usize,
}

impl Contents {
    /// For stdout as it is now.
    pub(crate) fn stdout(saving: Saving) -> Self {
        let term = Term::stdout();
        let terminal = std::io::stdout().is_terminal();
        let columns = || {
            term.size_checked()
                .map(|(_, columns)| usize::from(columns).min(WIDEST))
        };
        Self {
            terminal,
            width: terminal.then(columns).flatten(),
            saving,
        }
    }

    /// The width of the terminal, if it is one.
    pub(crate) fn width(&self) -> Option<usize> {
        self.width
    }

    /// A tool's result as text.
    pub(crate) fn result(
        &mut self,
        blocks: &[ContentBlock],
        structured: Option<&RawJson>,
    ) -> String {
        // Structured content comes with its JSON as text, for clients that know nothing better to do with it.
        if let Some(structured) = structured
            && let [ContentBlock::Text(text)] = blocks
            && same(&text.text, structured)
            && let Ok(Fields(fields)) = structured.decode()
        {
            let rows: Vec<_> = fields
                .iter()
                .map(|(name, value)| [name.clone(), plain(value)])
                .collect();
            return table(&rows, self.width);
        }
        let mut out = String::new();
        for block in blocks {
            out.push_str(&self.block(block));
        }
        match structured {
            Some(structured) if blocks.is_empty() => self.text(structured.as_str()),
            _ => out,
        }
    }

    /// A block of content as text.
    pub(crate) fn block(&mut self, block: &ContentBlock) -> String {
        match block {
            ContentBlock::Text(text) => self.text(&text.text),
            ContentBlock::Image(image) => {
                let bytes = image.bytes().map_err(|e| e.to_string());
                self.saved("image", Some(&image.mime_type), bytes)
            }
            ContentBlock::Audio(audio) => {
                let bytes = audio.bytes().map_err(|e| e.to_string());
                self.saved("audio", Some(&audio.mime_type), bytes)
            }
            ContentBlock::ResourceLink(link) => linked(link),
            ContentBlock::Resource(resource) => self.resource(&resource.resource),
            other => self.text(&serde_json::to_string(other).unwrap_or_default()),
        }
    }

    /// The contents of a resource as text.
    pub(crate) fn resource(&mut self, contents: &ResourceContents) -> String {
        match contents {
            ResourceContents::Text(text) => self.text(&text.text),
            ResourceContents::Blob(blob) => {
                let bytes = blob.bytes().map_err(|e| e.to_string());
                self.saved("data", blob.mime_type.as_deref(), bytes)
            }
        }
    }

    /// A text with its line end.
    pub(crate) fn text(&self, text: &str) -> String {
        let mut out = match self.terminal {
            true => wrap(&printable(text), self.width).join("\n"),
            false => text.to_owned(),
        };
        if !out.ends_with('\n') {
            out.push('\n');
        }
        out
    }

    fn saved(&mut self, what: &str, mime: Option<&str>, bytes: Result<Vec<u8>, String>) -> String {
        let kind = printable(mime.unwrap_or("of no type")).replace('\n', " ");
        let told = match bytes {
            Err(reason) => format!("not saved: {reason}"),
            Ok(bytes) => match self.saving.save(mime, &bytes) {
                Ok(path) => format!("{} bytes, saved as {}", bytes.len(), path.display()),
                Err(e) => format!("{} bytes, not saved: {e}", bytes.len()),
            },
        };
        format!("[{what} {kind}, {told}]\n")
    }
}

fn same(text: &str, structured: &RawJson) -> bool {
    let text: Option<Value> = serde_json::from_str(text).ok();
    text.is_some() && text == structured.decode().ok()
}

fn linked(link: &Resource) -> String {
    let about = link.description.as_deref().map(|text| format!(" – {text}"));
    let line = format!(
        "[resource {} {}{}]",
        link.uri,
        link.display_name(),
        about.unwrap_or_default()
    );
    printable(&line).replace('\n', " ") + "\n"
}

/// Files of the same name that are stepped over at most.
const MOST_FILES: usize = 10_000;

impl Saving {
    /// Saves in a directory, by names that begin with `stem`.
    pub(crate) fn new(directory: &Path, stem: &str) -> Self {
        let safe = |c: char| {
            if c.is_alphanumeric() || matches!(c, '-' | '_') {
                c
            } else {
                '-'
            }
        };
        let stem: String = stem.chars().map(safe).take(60).collect();
        Self {
            directory: directory.to_owned(),
            stem: if stem.is_empty() {
                "content".to_owned()
            } else {
                stem
            },
            count: 0,
        }
    }

    /// Saves under the first name that is free; nothing is overwritten.
    fn save(&mut self, mime: Option<&str>, bytes: &[u8]) -> std::io::Result<PathBuf> {
        let extension = extension(mime.unwrap_or_default());
        while self.count < MOST_FILES {
            self.count += 1;
            let name = format!("{}-{}.{extension}", self.stem, self.count);
            let path = self.directory.join(name);
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Ok(mut file) => return file.write_all(bytes).map(|()| path),
                Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(std::io::ErrorKind::AlreadyExists.into())
    }
}

/// What the names of files of a type end with: mostly the subtype itself.
fn extension(mime: &str) -> String {
    let mime = mime.split(';').next().unwrap_or_default().trim();
    let known = match mime {
        "text/plain" => "txt",
        "image/jpeg" => "jpg",
        "image/svg+xml" => "svg",
        "audio/mpeg" => "mp3",
        "application/gzip" => "gz",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let subtype = mime.split('/').nth(1).unwrap_or_default();
    let subtype = subtype.strip_prefix("x-").unwrap_or(subtype);
    let fine =
        (1..=8).contains(&subtype.len()) && subtype.bytes().all(|b| b.is_ascii_alphanumeric());
    if fine {
        subtype.to_lowercase()
    } else {
        "bin".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(terminal: bool) -> Contents {
        Contents {
            terminal,
            width: terminal.then_some(20),
            saving: Saving::new(Path::new("/nonexistent"), "../a b"),
        }
    }

    #[test]
    fn text_is_made_harmless_for_terminals_only() {
        let text = ContentBlock::text("a\u{1b}[2J\n");
        assert_eq!(contents(true).block(&text), "a\\u{1b}[2J\n");
        assert_eq!(contents(false).block(&text), "a\u{1b}[2J\n");
        assert_eq!(contents(false).block(&ContentBlock::text("")), "\n");
    }

    #[test]
    fn structured_content_is_a_table_if_the_text_says_the_same() {
        let structured = RawJson::parse(r#"{"b":1,"a":"x"}"#).unwrap();
        let same = [ContentBlock::text(r#"{"a": "x", "b": 1}"#)];
        assert_eq!(
            contents(false).result(&same, Some(&structured)),
            "b  1\na  x\n"
        );
        let other = [ContentBlock::text("one")];
        assert_eq!(contents(false).result(&other, Some(&structured)), "one\n");
        assert_eq!(
            contents(false).result(&[], Some(&structured)),
            "{\"b\":1,\"a\":\"x\"}\n"
        );
        let escape = RawJson::parse("{\"a\":\"\u{9b}\"}").unwrap();
        assert_eq!(
            contents(true).result(&[], Some(&escape)),
            "{\"a\":\"\\u{9b}\"}\n"
        );
    }

    #[test]
    fn what_cannot_be_saved_is_told() {
        let told = contents(false).block(&ContentBlock::image("AAAA", "image/png"));
        assert!(
            told.starts_with("[image image/png, 3 bytes, not saved: "),
            "{told}"
        );
        let told = contents(false).block(&ContentBlock::image("!", "image/png"));
        assert!(told.starts_with("[image image/png, not saved: "), "{told}");
    }

    #[test]
    fn names_of_files_are_safe() {
        let saving = Saving::new(Path::new("d"), "../../etc/passwd\n");
        assert_eq!(saving.stem, "------etc-passwd-");
        for (mime, expected) in [
            ("image/png", "png"),
            ("image/svg+xml", "svg"),
            ("audio/x-wav; rate=1", "wav"),
            ("../../x", "bin"),
            ("application/vnd.something.long", "bin"),
            ("", "bin"),
        ] {
            assert_eq!(extension(mime), expected);
        }
    }
}
