//! `mcp complete`: how an argument could go on.

use clap::Args;
use mcp_client::types::{Complete as Method, CompleteParams, CompletionRef};

use super::call::one_line;
use super::{next, texts};
use crate::connect::{Connect, print};
use crate::exit::Failure;
use crate::render::{printable, tell};

const HELP: &str = "\
Examples:
  mcp complete notes summarise topic=st             how the prompt's argument `topic` could go on
  mcp complete notes summarise topic= author=me     the same, where another argument is known already
  mcp complete files 'file:///{path}' path=no       the same for a template of resources";

/// Asks how an argument of a prompt or of a resource template could go on
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp complete [OPTIONS] TARGET PROMPT|TEMPLATE KEY=PREFIX [KEY=VALUE]...\n       mcp complete [OPTIONS] PROMPT|TEMPLATE KEY=PREFIX [KEY=VALUE]... -- COMMAND [ARG]...")]
pub(crate) struct Complete {
    /// The target, unless it is a command behind `--`; what the argument is of; the argument; others
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Complete) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    let of = next(&mut args.words, "a prompt or a template")?;
    let mut arguments = texts(&args.words)?.into_iter();
    let Some((argument, prefix)) = arguments.next() else {
        return Err(Failure::Usage(
            "the argument is missing: KEY=PREFIX".to_owned(),
        ));
    };
    let params = CompleteParams::new(reference(&of), argument, prefix);
    let params = arguments.fold(params, |params, (key, value)| params.context(key, value));
    connect
        .with(&target, connect.screen(), async |session| {
            let (raw, result) = session.request::<Method>(&params).await?;
            if connect.json {
                print(&one_line(&raw));
                return Ok(());
            }
            let completion = result.completion;
            let lines = completion
                .values
                .iter()
                .map(|value| printable(value).replace('\n', " ") + "\n");
            print(&lines.collect::<String>());
            if completion.has_more == Some(true) {
                let total = completion.total.map(|total| format!(" ({total} in all)"));
                tell(&format!("there are more{}", total.unwrap_or_default()));
            }
            Ok(())
        })
        .await
}

/// What an argument is of: names of prompts have no colon and no braces, URIs and their templates have.
pub(crate) fn reference(of: &str) -> CompletionRef {
    match of.contains("://") || of.contains('{') {
        true => CompletionRef::resource(of),
        false => CompletionRef::prompt(of),
    }
}
