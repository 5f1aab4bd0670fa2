//! `mcp read`: a resource, read.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use mcp_client::types::{ReadResource, ReadResourceParams, ResourceContents};

use super::call::one_line;
use super::{next, no_more};
use crate::connect::{Connect, print};
use crate::exit::Failure;
use crate::render::{Contents, Saving, Stdout};

const HELP: &str = "\
Examples:
  mcp read files file:///srv/notes.txt
  mcp read files file:///srv/picture.png > picture.png    bytes are written as they are where there is no terminal";

/// Reads a resource
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp read [OPTIONS] TARGET URI\n       mcp read [OPTIONS] URI -- COMMAND [ARG]...")]
pub(crate) struct Read {
    /// The target, unless it is a command behind `--`; the resource's URI
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    /// Where contents that are no text are saved
    #[arg(long, value_name = "DIR", default_value = ".")]
    save: PathBuf,

    #[command(flatten)]
    pub(crate) connect: Connect,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Read) -> Result<(), Failure> {
    let connect = args.connect.clone();
    let target = connect.target(&mut args.words)?;
    let uri = next(&mut args.words, "the URI of a resource")?;
    no_more(&args.words)?;
    connect
        .with(&target, connect.screen(), async |session| {
            let params = ReadResourceParams::new(&uri);
            let (raw, result) = session.request::<ReadResource>(&params).await?;
            if connect.json {
                print(&one_line(&raw));
                return Ok(());
            }
            if let [ResourceContents::Blob(blob)] = &*result.contents
                && !std::io::stdout().is_terminal()
            {
                let bytes = blob.bytes().map_err(|e| Failure::Protocol(e.to_string()))?;
                let mut stdout = Stdout::new();
                // That it could not is told when all else has ended.
                let _ = stdout.write_all(&bytes).and_then(|()| stdout.flush());
                return Ok(());
            }
            let stem = uri.rsplit('/').next().unwrap_or(&uri);
            let mut contents = Contents::stdout(Saving::new(&args.save, stem));
            for resource in &result.contents {
                print(&contents.resource(resource));
            }
            Ok(())
        })
        .await
}
