//! `mcp prompt`: a prompt, filled in.

use std::path::PathBuf;

use clap::Args;
use console::{Style, Term};
use mcp_client::types::{
    GetPrompt, GetPromptParams, PrimitiveSchema, PromptArgument, StringSchema,
};

use super::call::one_line;
use super::{next, texts};
use crate::answer::form;
use crate::connect::{Connect, Session, interactive, print};
use crate::exit::Failure;
use crate::keyboard::ask;
use crate::render::{Contents, Saving, Screen, colours, printable};

const HELP: &str = "\
Examples:
  mcp prompt notes summarise topic=storms
  mcp prompt summarise topic=storms --json -- notes-server | jq .messages";

/// Gets a prompt
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp prompt [OPTIONS] TARGET PROMPT [KEY=VALUE]...\n       mcp prompt [OPTIONS] PROMPT [KEY=VALUE]... -- COMMAND [ARG]...")]
pub(crate) struct Prompt {
    /// The target, unless it is a command behind `--`; the prompt's name; its arguments
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    /// Where images and other files of the prompt are saved
    #[arg(long, value_name = "DIR", default_value = ".")]
    save: PathBuf,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Prompt) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    let name = next(&mut args.words, "the name of a prompt")?;
    let given = texts(&args.words)?;
    let screen = connect.screen();
    connect
        .with(&target, screen.clone(), async |session| {
            let saving = Saving::new(&args.save, &name);
            show(session, &screen, &name, given, connect.json, saving).await
        })
        .await
}

/// Gets a prompt and prints it.
///
/// # Errors
/// As any request.
pub(crate) async fn show(
    session: &Session,
    screen: &Screen,
    name: &str,
    mut given: Vec<(String, String)>,
    json: bool,
    saving: Saving,
) -> Result<(), Failure> {
    if interactive() {
        ask_for_rest(session, screen, name, &mut given).await?;
    }
    let params = given
        .into_iter()
        .fold(GetPromptParams::new(name), |params, (key, value)| {
            params.argument(key, value)
        });
    let (raw, result) = session.request::<GetPrompt>(&params).await?;
    if json {
        print(&one_line(&raw));
        return Ok(());
    }
    let mut contents = Contents::stdout(saving);
    let bold = Style::new().bold().force_styling(colours(&Term::stdout()));
    if let Some(description) = &result.description {
        print(&contents.text(description));
    }
    for message in &result.messages {
        let role = serde_json::to_value(message.role).unwrap_or_default();
        let role = printable(role.as_str().unwrap_or_default());
        print(&format!(
            "{}\n{}",
            bold.apply_to(format!("{role}:")),
            contents.block(&message.content)
        ));
    }
    Ok(())
}

async fn ask_for_rest(
    session: &Session,
    screen: &Screen,
    name: &str,
    given: &mut Vec<(String, String)>,
) -> Result<(), Failure> {
    let prompts = session.client.list_prompts().await?;
    let prompt = prompts.into_iter().find(|prompt| prompt.name == name);
    let arguments = prompt
        .and_then(|prompt| prompt.arguments)
        .unwrap_or_default();
    let missing: Vec<PromptArgument> = arguments
        .into_iter()
        .filter(|argument| argument.required && !given.iter().any(|(key, _)| *key == argument.name))
        .collect();
    for argument in missing {
        let key = argument.name.clone();
        let mut schema = StringSchema::new();
        schema.description = argument.description;
        let field = move || form::field(&argument.name, &PrimitiveSchema::String(schema), true);
        match ask(screen, field).await {
            Ok(Some(value)) => given.push((key, value.as_str().unwrap_or_default().to_owned())),
            _ => return Err(Failure::Usage(format!("`{key}` is missing"))),
        }
    }
    Ok(())
}
