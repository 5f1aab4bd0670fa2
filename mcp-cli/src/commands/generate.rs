//! `mcp completions` and `mcp man`: what packages of the program contain besides it.

use std::path::PathBuf;

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::connect::print;
use crate::exit::Failure;

/// Prints a script that completes this program's command line
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Example:\n  mcp completions bash > ~/.local/share/bash-completion/completions/mcp"
)]
pub(crate) struct Completions {
    /// For which shell
    shell: Shell,
}

/// Prints the manual page, or writes the pages of all commands
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Examples:\n  mcp man | man -l -\n  mcp man --dir /usr/local/share/man/man1"
)]
pub(crate) struct Man {
    /// Write mcp.1 and a page for each command here
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn completions(args: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "mcp", &mut script);
    print(&String::from_utf8_lossy(&script));
    Ok(())
}

pub(crate) fn man(args: &Man) -> Result<(), Failure> {
    let failed = |e: std::io::Error| Failure::Usage(e.to_string());
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir).map_err(failed)?;
        return clap_mangen::generate_to(Cli::command(), dir).map_err(failed);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command())
        .render(&mut page)
        .map_err(failed)?;
    print(&String::from_utf8_lossy(&page));
    Ok(())
}
