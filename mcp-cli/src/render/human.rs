//! Lines for people: on a terminal with colours and a bar that moves below them, elsewhere plain.

use std::io::Write;

use console::{Style, Term};
use mcp_client::types::{
    CreateMessageParams, Inbound, LogLevel, LogMessageParams, Message, RawJson,
};
use mcp_peer::Direction;

use super::bar::Bar;
use super::text::{Fields, abridged, plain, printable, shorten, wrap};
use super::{Done, Event, Lines, Render, Stdout, table};
use crate::cli::Wire;
use crate::exit::INTERRUPTED;
use crate::wire::Route;

/// Shows events to a person.
pub(crate) struct Human<W> {
    lines: Lines<W>,
    wire: Wire,
    colours: bool,
    /// `None` where lines have no end.
    columns: fn() -> Option<usize>,
    /// Where a bar is drawn; `None` where nothing can move, and progress is a line like the others.
    moving: Option<Term>,
    bar: Option<Bar>,
    /// What was to be shown while a person is being asked.
    held: Option<String>,
}

/// The columns before a text, which hold a word that says what it is.
const LABEL: usize = 11;
/// The widest a text gets, so that it can be read.
const WIDEST: usize = 110;
/// The widest a message gets where lines have no end.
const WIDEST_MESSAGE: usize = 200;
/// How many lines of a question are shown.
const QUESTION: usize = 4;
/// How much is held back while a person is being asked, in bytes; what comes after that is dropped, and it is said.
const HELD: usize = 1 << 20;
const DROPPED: &str = "(more was not kept)\n";

impl Human<Stdout> {
    /// Shows events on stdout, as it is.
    pub(crate) fn stdout(wire: Wire) -> Self {
        Self::new(Stdout::new(), Term::stdout(), wire, || {
            columns(&Term::stdout())
        })
    }
}

impl Human<std::io::Stderr> {
    /// Shows events on stderr, as it is.
    pub(crate) fn stderr(wire: Wire) -> Self {
        Self::new(std::io::stderr(), Term::stderr(), wire, || {
            columns(&Term::stderr())
        })
    }
}

/// As wide as a terminal is now.
fn columns(term: &Term) -> Option<usize> {
    term.size_checked().map(|(_, columns)| columns.into())
}

impl<W: Write> Human<W> {
    fn new(out: W, term: Term, wire: Wire, columns: fn() -> Option<usize>) -> Self {
        let terminal = term.is_term();
        Self {
            lines: Lines::new(out),
            wire,
            colours: super::colours(&term),
            columns: if terminal { columns } else { || None },
            moving: terminal.then_some(term),
            bar: None,
            held: None,
        }
    }

    fn style(&self) -> Style {
        Style::new().force_styling(self.colours)
    }

    fn text_width(&self) -> Option<usize> {
        (self.columns)().map(|columns| columns.min(WIDEST).saturating_sub(LABEL).max(20))
    }

    /// Prints lines above the bar, if there is one.
    fn print(&mut self, text: &str) {
        if let Some(held) = &mut self.held {
            if held.len() + text.len() <= HELD {
                held.push_str(text);
            } else if !held.ends_with(DROPPED) {
                held.push_str(DROPPED);
            }
            return;
        }
        match &self.bar {
            Some(bar) => bar.suspend(|| self.lines.write(text)),
            None => self.lines.write(text),
        }
    }

    /// Prints a text with a word in front that says what it is.
    fn labelled(&mut self, label: &str, style: Style, text: &str) {
        self.block(label, style, wrap(&printable(text), self.text_width()));
    }

    fn block(&mut self, label: &str, style: Style, mut lines: Vec<String>) {
        if lines.is_empty() {
            lines.push(String::new());
        }
        let mut out = String::new();
        let label = format!("{label:<width$}", width = LABEL - 1);
        // A label that is too long has a line of its own.
        let mut lead = if label.len() < LABEL {
            format!("{} ", style.apply_to(label))
        } else {
            format!("{}\n{:LABEL$}", style.apply_to(label), "")
        };
        for line in lines {
            out.push_str(&std::mem::replace(&mut lead, " ".repeat(LABEL)));
            out.push_str(&line);
            out.push('\n');
        }
        self.print(&out);
    }

    fn log(&mut self, params: &LogMessageParams) {
        let style = match params.level {
            LogLevel::Debug => self.style().dim(),
            LogLevel::Info => self.style().green(),
            LogLevel::Notice => self.style().cyan(),
            LogLevel::Warning => self.style().yellow().bold(),
            LogLevel::Error => self.style().red().bold(),
            LogLevel::Critical | LogLevel::Alert | LogLevel::Emergency => {
                self.style().white().on_red().bold()
            }
        };
        let logger = params.logger.as_ref().map(|logger| format!("{logger}: "));
        let text = logger.unwrap_or_default() + &params.text();
        self.labelled(params.level.as_str(), style, &text);
    }

    fn progress(&mut self, progress: f64, total: Option<f64>, message: Option<&str>) {
        let message = printable(message.unwrap_or_default()).replace('\n', " ");
        let Some(term) = &self.moving else {
            let of = total.map(|total| format!("/{total}")).unwrap_or_default();
            let text = format!("{progress}{of} {message}");
            return self.labelled("progress", self.style().blue(), text.trim_end());
        };
        let (colours, hidden) = (self.colours, self.held.is_some());
        let bar = self.bar.get_or_insert_with(|| {
            let bar = Bar::new(term, colours);
            if hidden {
                bar.hide(term);
            }
            bar
        });
        bar.set(progress, total, message);
    }

    /// Leaves the bar as it is, a line like the others.
    fn end_bar(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.leave();
        }
    }

    fn sampling(&mut self, question: &CreateMessageParams, answer: &str, by: &str) {
        let width = self.text_width().map(|width| width - 2);
        let quote = |text: &str, most: usize| {
            let text = match (width, most) {
                (None, QUESTION) => shorten(text, WIDEST_MESSAGE),
                _ => text.to_owned(),
            };
            let mut lines = wrap(&printable(&text), width);
            if lines.len() > most {
                lines.truncate(most);
                if let Some(last) = lines.last_mut() {
                    last.push_str(" …");
                    if let Some(width) = width {
                        *last = shorten(last, width);
                    }
                }
            }
            lines.into_iter().map(|line| format!("│ {line}"))
        };
        let limit = question.max_tokens;
        let asks = format!("the server asks the client's model, for at most {limit} tokens:");
        let mut lines = wrap(&asks, self.text_width());
        if let Some(system) = &question.system_prompt {
            lines.extend(quote(system, QUESTION));
        }
        for message in &question.messages {
            let text = message.to_text();
            lines.extend(quote(&paragraphs(&text), QUESTION));
        }
        let answers = format!("the client answers, by its {by}:");
        lines.extend(wrap(&answers, self.text_width()));
        lines.extend(quote(answer, usize::MAX));
        self.block("sampling", self.style().magenta().bold(), lines);
    }

    fn notification(&mut self, method: &str, params: &RawJson) {
        let says = match params.decode::<Fields>() {
            Ok(Fields(fields)) => {
                let fields = fields.iter().map(|(name, value)| match value {
                    serde_json::Value::String(text) if text.contains(' ') => {
                        format!("{name}: “{}”", plain(value))
                    }
                    _ => format!("{name}: {}", plain(value)),
                });
                fields.collect::<Vec<_>>().join(", ")
            }
            Err(_) if params.is_null() => String::new(),
            Err(_) => params.to_string(),
        };
        let text = format!("{method}  {says}").trim_end().to_owned();
        self.labelled("notified", self.style().magenta().bold(), &text);
    }

    fn result(&mut self, is_error: bool, structured: Option<&RawJson>, text: &str) {
        self.end_bar();
        if is_error {
            return self.labelled("failed", self.style().red().bold(), text);
        }
        let style = self.style().green().bold();
        let fields = structured.and_then(|result| result.decode::<Fields>().ok());
        let Some(Fields(fields)) = fields else {
            return self.labelled("result", style, text);
        };
        let names = fields.iter().map(|(name, _)| printable(name));
        let names: Vec<String> = names.collect();
        let widths = names.iter().map(|name| name.chars().count());
        let widest = widths.filter(|width| *width <= table::WIDEST).max();
        let widest = widest.unwrap_or(0);
        let width = self
            .text_width()
            .map(|width| width.saturating_sub(widest + 2).max(20));
        let mut lines = Vec::new();
        for (name, (_, value)) in names.iter().zip(&fields) {
            let mut lead = format!("{name:<widest$}  ");
            if width.is_some() && lead.chars().count() > widest + 2 {
                lines.push(name.clone());
                lead = " ".repeat(widest + 2);
            }
            for line in wrap(&plain(value), width) {
                lines.push(lead + &line);
                lead = " ".repeat(widest + 2);
            }
        }
        self.block("result", style, lines);
    }

    fn wire(&mut self, ms: f64, direction: Direction, name: &str, message: &str) {
        let (arrow, style) = match direction {
            Direction::Out => ("→", self.style().cyan()),
            Direction::In => ("←", self.style().yellow()),
        };
        let lead = format!("{ms:>8.1} ms ");
        let json = printable(message);
        let json = match self.wire {
            Wire::Full => json,
            Wire::Short => {
                let columns = (self.columns)().unwrap_or(WIDEST_MESSAGE);
                let taken = lead.chars().count() + 2 + name.chars().count() + 2;
                shorten(&abridged(&json), columns.saturating_sub(taken).max(8))
            }
        };
        let name = printable(name);
        let dim = self.style().dim();
        self.print(&format!(
            "{}{} {}  {}\n",
            dim.apply_to(lead),
            style.apply_to(arrow),
            style.apply_to(name),
            dim.apply_to(json),
        ));
    }

    fn done(&mut self, ms: f64, done: &Done) {
        match self.bar.take() {
            // The terminal has echoed `^C` and is a line further down: there the bar would be drawn once more.
            Some(bar) if done.exit_code == INTERRUPTED => bar.clear(),
            bar => self.bar = bar,
        }
        self.end_bar();
        if done.explain && done.sampling != Route::None {
            let width = self.text_width();
            let explained = done.proof.explained();
            let lines = explained
                .iter()
                .flat_map(|line| wrap(line, width))
                .collect();
            self.block("proof", self.style().bold(), lines);
        }
        let Some((era, version)) = done.era.zip(done.version) else {
            return;
        };
        let sampling = match done.sampling {
            Route::ServerRequest => {
                "sampling travelled as a request of the server (sampling/createMessage)"
            }
            Route::InputRound => {
                "sampling travelled as an input round (input_required, then tools/call again)"
            }
            Route::None => "no sampling was asked for",
        };
        let seconds = ms / 1e3;
        let text = format!("{era} era, protocol {version}; {sampling}; {seconds:.2} s");
        let style = match done.ok {
            true => self.style().green().bold(),
            false => self.style().red().bold(),
        };
        self.labelled("done", style, &text);
    }
}

impl<W: Write + Send> Render for Human<W> {
    fn show(&mut self, ms: f64, event: &Event<'_>) {
        match event {
            Event::Connected {
                server,
                era,
                version,
                pid,
            } => {
                let who = match server {
                    Some(server) => format!("{} {}", server.name, server.version),
                    None => "a server".to_owned(),
                };
                let text = format!("{who}, process {pid}: {era} era, protocol {version}");
                self.labelled("connected", self.style().green().bold(), &text);
            }
            Event::Stderr { line } => self.labelled("stderr", self.style().dim(), line),
            Event::Log(params) => self.log(params),
            Event::Progress {
                progress,
                total,
                message,
            } => {
                self.progress(*progress, *total, *message);
            }
            Event::Sampling {
                question,
                answer,
                answered_by,
            } => {
                self.sampling(question, &answer.to_text(), answered_by);
            }
            Event::Asked { what, question } => {
                let text = format!("the server asks: {question}");
                self.labelled(what, self.style().magenta().bold(), &text);
            }
            Event::Answered { what, answer } => {
                self.labelled(what, self.style().magenta(), &format!("answered: {answer}"));
            }
            Event::Refused { what, reason } => {
                self.labelled(what, self.style().red(), &format!("not answered: {reason}"));
            }
            Event::Note { text } => self.labelled("note", self.style().yellow(), text),
            Event::Notification { method, params } => self.notification(method, params),
            Event::Result {
                is_error,
                structured,
                text,
            } => {
                self.result(*is_error, *structured, text);
            }
            Event::Wire {
                direction,
                name,
                message,
            } => {
                let text = match (message, self.wire) {
                    (Inbound::Message(message), Wire::Full) => message.to_string(),
                    (Inbound::Message(message), Wire::Short) => body(message),
                    (Inbound::Malformed(malformed), _) => malformed.to_string(),
                    (other @ Inbound::Batch(_), _) => format!("{other:?}"),
                };
                self.wire(ms, *direction, name, &text);
            }
            // The program says it itself, when all else has ended.
            Event::Failed { .. } => {}
            Event::Done(done) => self.done(ms, done),
        }
    }

    fn pause(&mut self) {
        self.held.get_or_insert_default();
        if let (Some(bar), Some(term)) = (&self.bar, &self.moving) {
            bar.hide(term);
        }
    }

    fn resume(&mut self) {
        let held = self.held.take().unwrap_or_default();
        if let (Some(bar), Some(term)) = (&self.bar, &self.moving) {
            bar.reappear(term);
        }
        self.print(&held);
    }

    fn end(&mut self) {
        self.end_bar();
    }
}

/// What a message carries besides its name and its id.
fn body(message: &Message) -> String {
    let body = match message {
        Message::Request(request) => request.params.as_ref(),
        Message::Notification(notification) => notification.params.as_ref(),
        Message::Response(response) => match &response.outcome {
            Ok(result) => Some(result),
            Err(error) => return error.message.clone(),
        },
    };
    body.map(|body| body.compact().to_string())
        .unwrap_or_default()
}

/// Paragraphs without the empty lines between them.
fn paragraphs(text: &str) -> String {
    let lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use mcp_client::types::{CreateMessageResult, Sampling};

    fn shown(columns: fn() -> Option<usize>, colours: bool, event: &Event<'_>) -> String {
        let mut out = Vec::new();
        Human {
            lines: Lines::new(&mut out),
            wire: Wire::Short,
            colours,
            columns,
            moving: None,
            bar: None,
            held: None,
        }
        .show(12.34, event);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn plain_lines_have_no_escapes() {
        let params = LogMessageParams::new(LogLevel::Warning, "a\u{1b}[31mb").logger("x");
        assert_eq!(
            shown(|| None, false, &Event::Log(&params)),
            "warning    x: a\\u{1b}[31mb\n"
        );
        let coloured = shown(|| None, true, &Event::Log(&params));
        assert!(coloured.starts_with("\u{1b}[33m"), "{coloured:?}");
    }

    #[test]
    fn progress_is_a_line_where_nothing_moves() {
        let event = Event::Progress {
            progress: 2.5,
            total: Some(5.0),
            message: Some("half\nway"),
        };
        assert_eq!(shown(|| None, false, &event), "progress   2.5/5 half way\n");
        let event = Event::Progress {
            progress: 3.0,
            total: None,
            message: None,
        };
        assert_eq!(shown(|| None, false, &event), "progress   3\n");
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let text = "word ".repeat(200);
        let question = Sampling::user(text.clone()).system_prompt("In short?");
        let answer = CreateMessageResult::text("m", text.clone());
        let structured = RawJson::from(serde_json::json!({ "summary": text }));
        let message = Message::notification("notifications/message", Some(structured.clone()));
        let message = Inbound::Message(message);
        let events = [
            Event::Sampling {
                question: &question,
                answer: &answer,
                answered_by: "tests",
            },
            Event::Result {
                is_error: false,
                structured: Some(&structured),
                text: String::new(),
            },
            Event::Result {
                is_error: true,
                structured: None,
                text: text.clone(),
            },
            Event::Notification {
                method: "chat.message_received",
                params: structured.clone(),
            },
            Event::Wire {
                direction: Direction::In,
                name: "notifications/message",
                message: &message,
            },
        ];
        for event in events {
            let shown = shown(|| Some(60), false, &event);
            for line in shown.lines() {
                assert!(console::measure_text_width(line) <= 60, "{line}");
            }
        }
    }

    #[test]
    fn a_result_is_a_table_in_the_order_of_the_server() {
        let structured = RawJson::parse(r#"{"words":7,"by":"m","skipped":["a","b"]}"#).unwrap();
        let event = Event::Result {
            is_error: false,
            structured: Some(&structured),
            text: String::new(),
        };
        let table = "result     words    7\n           by       m\n           skipped  a, b\n";
        assert_eq!(shown(|| None, false, &event), table);
        let long = "n".repeat(table::WIDEST + 1);
        let structured = RawJson::from(serde_json::json!({ &long: 1, "by": "m" }));
        let event = Event::Result {
            is_error: false,
            structured: Some(&structured),
            text: String::new(),
        };
        let table = format!("result     {long}  1\n           by  m\n");
        assert_eq!(shown(|| None, false, &event), table);
        let table = format!("result     {long}\n               1\n           by  m\n");
        assert_eq!(shown(|| Some(60), false, &event), table);
    }
}
