//! The command line.

use std::ffi::OsString;
use std::time::Duration;

use clap::builder::styling::{AnsiColor, Styles};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, Parser, Subcommand, ValueEnum};
use mcp_client::EraChoice;
use mcp_client::types::LogLevel;

use crate::commands::bridge::{Bridge, Record};
use crate::commands::call::Call;
use crate::commands::complete::Complete;
use crate::commands::doctor::Doctor;
use crate::commands::generate::{Completions, Man};
use crate::commands::list::List;
use crate::commands::listen::{Listen, Log, Watch};
use crate::commands::ping::Ping;
use crate::commands::prompt::Prompt;
use crate::commands::read::Read;
use crate::commands::replay::Replay;
use crate::commands::shell::Shell;

const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

const TOPICS: &str = "\
What a command talks to (TARGET):
  -- COMMAND [ARG]...    a server to start, last on the line
  unix:/path             a Unix socket
  tcp://host:port        a TCP address
  ws(s)://, http(s)://   a WebSocket, Streamable HTTP
  NAME                   a server of the configuration file: --config, MCP_CONFIG, or .mcp.json

Start here:
  mcp demo                                  a server and a client talk to each other
  mcp list -- my-server                     what a server offers
  mcp call add a=1 b=2 -- my-server         a tool, called; arguments are typed by its schema
  mcp call add a=1 b=2 --json -- my-server  the same, for programs
  mcp shell -- my-server                    line by line, with completion
  mcp doctor -- my-server                   does it keep the rules?

Exit codes:
  0    it worked
  1    the command line makes no sense, or the result cannot be written
  2    could not connect: no such program, no handshake, no common version
  3    protocol error: the request was refused, a rule was broken, the connection was lost
  4    the tool ran and failed
  5    no answer in time
  130  interrupted by Ctrl-C, after the call was cancelled

Environment:
  MCP_CONFIG    the configuration file that names servers
  MCP_LLM_KEY   the key for --llm-url; OPENAI_API_KEY will do, too
  MCP_LOG       what the program does, on stderr: a level (debug) or levels by target (mcp_peer=trace)
  NO_COLOR      set to anything: no colours (there are none either where the output is no terminal)";

/// Speaks the Model Context Protocol from a terminal.
///
/// MCP connects programs that offer tools, files and prompts (servers) with programs that have a model and a user
/// (clients). It has two eras: up to 2025-11-25 a session is opened by a handshake and both sides send requests; since
/// 2026-07-28 every request stands for itself and only clients send them. This program speaks both and finds out by
/// itself which one the other side speaks.
#[derive(Debug, Parser)]
#[command(name = "mcp", version, styles = STYLES, arg_required_else_help = true)]
#[command(max_term_width = 100, after_help = TOPICS)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Bridge(Bridge),
    Call(Call),
    Complete(Complete),
    Completions(Completions),
    Demo(Demo),
    Doctor(Doctor),
    List(List),
    Listen(Listen),
    Log(Log),
    Man(Man),
    Ping(Ping),
    Prompt(Prompt),
    Read(Read),
    Record(Record),
    Replay(Replay),
    Shell(Shell),
    Watch(Watch),
    #[command(hide = true)]
    DemoServer(DemoServer),
}

const DEMO: &str = "\
Examples:
  mcp demo --era legacy --wire        sampling is a request of the server's
  mcp demo --era modern --wire        sampling is an input round: the call is made twice
  mcp demo ferry.txt market.txt       process only these files
  mcp demo nothing.txt                a tool that fails (exit code 4)
  mcp demo endless.txt --timeout 1    a tool that is too slow (exit code 5)";

/// Shows logs, progress, sampling and notifications between a real server and a real client
///
/// Starts this program once more as a server, in a process of its own, and connects to it over stdin and stdout. Then it
/// calls a tool, `batch_process`, which reads six small files and meanwhile sends log messages and progress, asks the
/// client's model for a summary, and sends a notification of its own, `chat.message_received`.
///
/// There is no model in this program: the client answers with the sentences of the text that say the most.
#[derive(Debug, Args)]
#[command(after_help = DEMO)]
pub(crate) struct Demo {
    /// The files to process: weather.txt, ferry.txt, market.txt, pier.txt, lighthouse.txt, notes.txt
    #[arg(value_name = "FILE", hide_default_value = true, default_values = crate::demo::server::FILES)]
    pub(crate) files: Vec<String>,

    /// The era to connect in; `auto` finds out what the server speaks
    #[arg(long, value_enum, default_value_t = Era::Auto)]
    pub(crate) era: Era,

    /// Show every message: → sent, ← received, with the time since the start
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "short")]
    pub(crate) wire: Option<Wire>,

    /// Print one JSON object a line instead, each with a `kind`
    ///
    /// Kinds: connected, log, progress, sampling, notification, result, wire (with --wire), and always at the end: done.
    #[arg(long)]
    pub(crate) json: bool,

    /// How long to wait for the tool
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    pub(crate) timeout: Duration,
}

/// The other end of `mcp demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoServer {
    /// How long each step takes, in milliseconds.
    #[arg(long, default_value_t = 0)]
    pub(crate) pace: u64,
}

/// The era to connect in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Era {
    /// Ask with `server/discover`, fall back to `initialize`
    Auto,
    /// 2024-11-05 to 2025-11-25: a handshake, then requests both ways
    Legacy,
    /// 2026-07-28: no handshake, requests from the client only
    Modern,
}

impl Cli {
    /// Reads the command line.
    ///
    /// # Errors
    /// It makes no sense, or asks for help.
    pub(crate) fn parsed<T: Into<OsString> + Clone>(
        args: impl IntoIterator<Item = T>,
    ) -> Result<Self, clap::Error> {
        Self::try_parse_from(args).map_err(|mut error| {
            // It says to put what is unknown behind `--`, where the server's command stands.
            if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
                tips.retain(|tip| !tip.to_string().contains("as a value"));
                // Of none a line is left.
                if !tips.is_empty() {
                    error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
                }
            }
            error
        })
    }
}

impl Command {
    /// Whether what went wrong is to be told as JSON.
    pub(crate) fn wants_json(&self) -> bool {
        match self {
            Self::Call(args) => args.connect.json,
            Self::Complete(args) => args.connect.json,
            Self::List(args) => args.connect.json,
            Self::Listen(args) => args.connect.json,
            Self::Log(args) => args.connect.json,
            Self::Ping(args) => args.connect.json,
            Self::Prompt(args) => args.connect.json,
            Self::Read(args) => args.connect.json,
            Self::Shell(args) => args.connect.json,
            Self::Watch(args) => args.connect.json,
            // The demo has a line of its own that says so.
            Self::Bridge(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Demo(_)
            | Self::DemoServer(_)
            | Self::Doctor(_)
            | Self::Record(_)
            | Self::Replay(_) => false,
        }
    }
}

impl From<Era> for EraChoice {
    fn from(era: Era) -> Self {
        match era {
            Era::Auto => Self::Auto,
            Era::Legacy => Self::Legacy,
            Era::Modern => Self::Modern,
        }
    }
}

/// How much of each message is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wire {
    /// One line each: what it is, and the start of what it carries
    Short,
    /// The whole message, exactly
    Full,
}

/// Reads a log level, and lists them where it is none.
pub(crate) fn log_level() -> impl TypedValueParser<Value = LogLevel> {
    let levels = LogLevel::ALL.iter().map(|level| level.as_str());
    PossibleValuesParser::new(levels).try_map(|level| level.parse::<LogLevel>())
}

pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_is_unknown_is_told_with_what_there_is() {
        for (args, told) in [
            (
                &["mcp", "ping", "--log-level", "loud"][..],
                "[possible values: debug, info, notice, warning, error, critical, alert, emergency]",
            ),
            (
                &["mcp", "ping", "--tmeout=1"],
                "a similar argument exists: '--timeout'",
            ),
            (
                &["mcp", "--timeout", "1", "ping"],
                "'ping --timeout' exists",
            ),
            (
                &["mcp", "ping", "--nosuch"],
                "unexpected argument '--nosuch'",
            ),
        ] {
            let error = Cli::parsed(args).unwrap_err().to_string();
            assert!(error.contains(told), "{error}");
            let advises = error.contains("as a value") || error.contains("\n\n\n");
            assert!(!advises, "{error}");
        }
    }

    #[test]
    fn wire_takes_its_value_only_with_an_equals_sign() {
        let demo = |args: &[&str]| match Cli::try_parse_from(args).map(|cli| cli.command) {
            Ok(Command::Demo(demo)) => demo,
            other => panic!("{other:?}"),
        };
        assert_eq!(demo(&["mcp", "demo"]).wire, None);
        let short = demo(&["mcp", "demo", "--wire", "ferry.txt"]);
        assert_eq!(
            (short.wire, short.files),
            (Some(Wire::Short), vec!["ferry.txt".to_owned()])
        );
        assert_eq!(demo(&["mcp", "demo", "--wire=full"]).wire, Some(Wire::Full));
    }
}
