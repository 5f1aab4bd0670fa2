//! The `mcp` program: the Model Context Protocol in a terminal.

// They panic when nobody reads any more.
#![deny(clippy::print_stderr, clippy::print_stdout)]

mod answer;
mod arguments;
mod cli;
mod commands;
mod connect;
mod demo;
mod exit;
mod keyboard;
mod logging;
mod mux;
mod recording;
mod relay;
mod render;
mod share;
mod summarise;
mod target;
mod wire;

use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::commands::{
    bridge, call, complete, doctor, generate, list, listen, ping, prompt, read, replay, shell,
};
use crate::exit::{Failure, USAGE};
use crate::render::{Event, Json, Screen, Stdout, tell};

fn main() -> ExitCode {
    let cli = match Cli::parsed(std::env::args_os()) {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing can be done about a terminal that is gone.
            let _ = error.print();
            let code = if error.use_stderr() { USAGE } else { 0 };
            return ExitCode::from(code);
        }
    };
    let json = cli.command.wants_json();
    match run(cli).and_then(|()| Stdout::ended().unwrap_or(Ok(()))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let exit_code = failure.code();
            match failure {
                // What a tool says about its failure is a result, and was shown as one.
                Failure::Tool(_) => {}
                _ if json => Screen::new(Json::new(std::io::stderr())).show(&Event::Failed {
                    exit_code,
                    error: &failure.to_string(),
                }),
                _ => tell(&format!("mcp: {failure}")),
            }
            ExitCode::from(exit_code)
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    logging::start()?;
    let _restored = keyboard::Restored::later();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Connect(e.to_string()))?;
    let outcome = runtime.block_on(async {
        match cli.command {
            Command::Bridge(args) => bridge::run(args).await,
            Command::Call(args) => call::run(args).await,
            Command::Complete(args) => complete::run(args).await,
            Command::Completions(args) => generate::completions(&args),
            Command::Doctor(args) => doctor::run(args).await,
            Command::List(args) => list::run(args).await,
            Command::Listen(args) => listen::listen(args).await,
            Command::Log(args) => listen::log(args).await,
            Command::Man(args) => generate::man(&args),
            Command::Ping(args) => ping::run(args).await,
            Command::Prompt(args) => prompt::run(args).await,
            Command::Read(args) => read::run(args).await,
            Command::Record(args) => bridge::record(args).await,
            Command::Replay(args) => replay::run(args).await,
            Command::Shell(args) => shell::run(args).await,
            Command::Watch(args) => listen::watch(args).await,
            Command::Demo(args) => demo::run(args).await,
            Command::DemoServer(args) => demo::server::run(args).await,
        }
    });
    // Somebody may still be asked something; a person who has pressed Ctrl-C does not press Enter as well.
    runtime.shutdown_background();
    outcome
}
