//! `mcp call`: a tool, called.

use std::io::Read;
use std::path::PathBuf;

use clap::Args;
use mcp_client::types::{CallTool, PrimitiveSchema, RawJson, Tool};
use serde::Serialize;
use serde_json::{Map, Value};

use super::next;
use crate::answer::form;
use crate::arguments::{self, Word};
use crate::connect::{Connect, Session, interactive, print};
use crate::exit::Failure;
use crate::keyboard::ask;
use crate::render::{Contents, Event, Saving, Screen};

const HELP: &str = "\
Arguments:
  key=value     typed by the tool's schema: count=3 is a number where a number is wanted; a key that is given
                several times fills a list; what is in an object is given with it, as JSON
  key:=JSON     exactly this: key:='[1, 2]', key:='\"3\"'
  {JSON}        several at once
Required ones that are missing are asked for on a terminal.

Examples:
  mcp call files read_text_file path=notes.txt
  mcp call echo message='a b' -- npx -y @modelcontextprotocol/server-everything
  mcp call unix:/run/s resize --args @picture.json --save out/
  echo '{\"a\": 1}' | mcp call tcp://127.0.0.1:7000 add --args - --json | jq .structuredContent

While it runs, progress and log messages are on stderr; the result is on stdout. Ctrl-C cancels the call.";

/// Calls a tool
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp call [OPTIONS] TARGET TOOL [KEY=VALUE]...\n       mcp call [OPTIONS] TOOL [KEY=VALUE]... -- COMMAND [ARG]...")]
pub(crate) struct Call {
    /// The target, unless it is a command behind `--`; the tool's name; its arguments
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    /// Arguments as a JSON object: here, in a file (@FILE) or on stdin (-)
    #[arg(long, value_name = "JSON")]
    args: Option<String>,

    /// Where images and other files of the result are saved
    #[arg(long, value_name = "DIR", default_value = ".")]
    save: PathBuf,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Call) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    let name = next(&mut args.words, "the name of a tool")?;
    let mut words = arguments::words(&args.words)?;
    if let Some(json) = &args.args {
        words.insert(0, Word::Object(read(json)?));
    }
    let complete = args.args.is_some() && !arguments::need_schema(&words);
    let screen = connect.screen();
    connect
        .with(&target, screen.clone(), async |session| {
            let arguments = match complete {
                true => arguments::typed(words, &Value::Null)?,
                false => by_schema(session, &screen, &name, words).await?,
            };
            let saving = Saving::new(&args.save, &name);
            call(session, &screen, &name, arguments, connect.json, saving).await
        })
        .await
}

/// Calls a tool and prints what it returns.
///
/// # Errors
/// [`Failure::Tool`] if it failed; else as any request.
pub(crate) async fn call(
    session: &Session,
    screen: &Screen,
    name: &str,
    arguments: Map<String, Value>,
    json: bool,
    saving: Saving,
) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Params<'a> {
        name: &'a str,
        arguments: Map<String, Value>,
    }
    let (raw, result) = session
        .request::<CallTool>(&Params { name, arguments })
        .await?;
    screen.end();
    if json {
        print(&one_line(&raw));
    } else if result.is_error {
        screen.show(&Event::Result {
            is_error: true,
            structured: None,
            text: result.to_text(),
        });
    } else {
        print(
            &Contents::stdout(saving).result(&result.content, result.structured_content.as_ref()),
        );
    }
    match result.is_error {
        true => Err(Failure::Tool(result.to_text())),
        false => Ok(()),
    }
}

/// The arguments, typed by the tool's schema; what is missing is asked for.
pub(crate) async fn by_schema(
    session: &Session,
    screen: &Screen,
    name: &str,
    words: Vec<Word>,
) -> Result<Map<String, Value>, Failure> {
    let tool = find(session, name).await?;
    let schema: Value = tool.input_schema.decode().unwrap_or_default();
    let mut arguments = arguments::typed(words, &schema)?;
    for text in arguments::doubtful(&arguments, &schema) {
        screen.show(&Event::Note { text: &text });
    }
    let missing = arguments::missing(&arguments, &schema);
    if missing.is_empty() {
        return Ok(arguments);
    }
    if !interactive() {
        let missing: Vec<_> = missing.iter().map(|name| format!("{name}=")).collect();
        return Err(Failure::Usage(format!(
            "`{name}` needs {}",
            missing.join(" ")
        )));
    }
    for name in missing {
        let property = arguments::property(&schema, &name);
        let raw = RawJson::from(property.clone());
        let field = raw.decode().unwrap_or(PrimitiveSchema::Unknown(raw));
        let asked = name.clone();
        match ask(screen, move || form::field(&asked, &field, true)).await {
            Ok(Some(value)) => arguments.insert(name, value),
            _ => return Err(Failure::Usage(format!("`{name}` is missing"))),
        };
    }
    Ok(arguments)
}

async fn find(session: &Session, name: &str) -> Result<Tool, Failure> {
    let mut pages = session.client.list_tools();
    let mut names = Vec::new();
    while let Some(page) = pages.next_page().await? {
        for tool in page {
            if tool.name == name {
                return Ok(tool);
            }
            names.push(tool.name);
        }
    }
    let there = match &*names {
        [] => "the server has none".to_owned(),
        names => format!("there are {}", names.join(", ")),
    };
    Err(Failure::Usage(format!("no tool `{name}`; {there}")))
}

/// Reads `--args`.
fn read(from: &str) -> Result<Map<String, Value>, Failure> {
    let text = match (from, from.strip_prefix('@')) {
        ("-", _) => {
            let mut text = String::new();
            let read = std::io::stdin().read_to_string(&mut text);
            read.map(|_| text)
                .map_err(|e| Failure::Usage(format!("stdin: {e}")))?
        }
        (_, Some(path)) => {
            std::fs::read_to_string(path).map_err(|e| Failure::Usage(format!("{path}: {e}")))?
        }
        _ => from.to_owned(),
    };
    arguments::object(&text)
}

/// JSON on one line, otherwise as it was sent.
pub(crate) fn one_line(raw: &RawJson) -> String {
    // Between its values JSON may have line ends, within them they are escaped.
    raw.as_str().replace(['\n', '\r'], " ") + "\n"
}
