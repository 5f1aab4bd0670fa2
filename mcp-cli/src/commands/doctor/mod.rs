//! `mcp doctor`: a server, examined from outside against the rules of the specification.

mod http;
mod legacy;
mod lines;
mod lists;
mod modern;
mod report;
mod said;
mod socket;
mod visit;
mod web;

use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::no_more;
use crate::cli::{Era, seconds};
use crate::connect::{Reach, interrupted, print};
use crate::exit::Failure;
use crate::target::Target;

use report::Report;
use visit::Visit;

const HELP: &str = "\
Examples:
  mcp doctor -- my-server --root /srv
  mcp doctor unix:/run/server.sock --json | jq 'select(.verdict == \"fail\")'
  mcp doctor http://127.0.0.1:8000/mcp --strict

Over http(s):// and ws(s):// their own rules are checked, too: headers, statuses, sessions; handshakes, frames, close codes.

The server is started or connected to several times. Nothing is called but tools that do not exist, and nothing is read
but lists; so whatever it does is left undone. Each line names the requirement by its number; a rule that the
specification only recommends is a warning and no failure unless --strict.

Exit codes: 0 every rule that could be seen is kept, 3 one is broken, 2 the server could not be reached, or speaks
neither era.";

/// Checks a server against the rules that can be seen from outside
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp doctor [OPTIONS] TARGET\n       mcp doctor [OPTIONS] -- COMMAND [ARG]...")]
pub(crate) struct Doctor {
    /// An address (unix:/path, tcp://host:port, ws(s)://…, http(s)://…), or a server of the configuration file
    #[arg(value_name = "TARGET", num_args = 0..)]
    words: Vec<String>,

    /// Which era to examine; `auto` examines those that the server speaks
    #[arg(long, value_enum, default_value_t = Era::Auto)]
    era: Era,

    /// Count what the specification only recommends as a failure
    #[arg(long)]
    strict: bool,

    /// Show rules that are kept, too
    #[arg(long, short)]
    verbose: bool,

    /// How long an answer may take
    #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    timeout: Duration,

    /// Print one JSON object a line for each rule, and one for all at the end
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    reach: Reach,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Doctor) -> Result<(), Failure> {
    let target = args.reach.target(&mut args.words)?;
    no_more(&args.words)?;
    if args.reach.stderr {
        let usage = "`mcp doctor` shows nothing of what a server writes to its stderr";
        return Err(Failure::Usage(usage.to_owned()));
    }
    let mut report = Report::new(args.json, args.verbose, args.strict);
    tokio::select! {
        examined = examine(&args, &target, &mut report) => examined?,
        () = interrupted() => return Err(Failure::Interrupted),
    }
    print(&report.summary());
    match report.broken() {
        0 => Ok(()),
        1 => Err(Failure::Protocol("a rule is broken".to_owned())),
        n => Err(Failure::Protocol(format!("{n} rules are broken"))),
    }
}

/// A server to examine, as often as it takes.
struct Patient<'a> {
    target: &'a Target,
    timeout: Duration,
}

impl Patient<'_> {
    async fn visit(&self) -> Result<Visit, Failure> {
        Visit::open(self.target, self.timeout).await
    }
}

/// A host that nobody has (RFC 6761).
const FOREIGN: &str = "mcp-doctor.invalid";

/// Whether a host is this machine.
fn is_local(host: &str) -> bool {
    matches!(host, "localhost" | "[::1]") || host.starts_with("127.")
}

async fn examine(args: &Doctor, target: &Target, report: &mut Report) -> Result<(), Failure> {
    let patient = Patient {
        target,
        timeout: args.timeout,
    };
    let modern = match args.era {
        Era::Legacy => None,
        _ => Some(modern::spoken(&patient).await?),
    };
    let legacy = match args.era {
        Era::Modern => None,
        _ => Some(legacy::spoken(&patient).await?),
    };
    let [speaks_modern, speaks_legacy] =
        [&modern, &legacy].map(|spoken| matches!(spoken, Some(Ok(()))));
    if !speaks_modern && !speaks_legacy {
        let fault = legacy.or(modern).and_then(Result::err);
        let why = fault.map_or_else(String::new, |fault| format!(": {}", fault.reason));
        return Err(Failure::Connect(format!(
            "{target} answers neither initialize nor server/discover{why}"
        )));
    }
    if speaks_legacy {
        legacy::examine(&patient, report).await?;
        if let Target::Http(url) = target {
            http::examine_legacy(&patient, url, report).await;
        }
    }
    if speaks_modern {
        modern::examine(&patient, report).await?;
        if let Target::Http(url) = target {
            http::examine_modern(&patient, url, !speaks_legacy, report).await;
        }
    }
    if let Target::Ws(url) = target {
        let (method, params) = match speaks_modern {
            true => ("server/discover", json!({ "_meta": modern::meta() })),
            false => ("initialize", legacy::introduction(legacy::NEWEST)),
        };
        let request =
            json!({ "jsonrpc": "2.0", "id": "whole", "method": method, "params": params });
        socket::examine(&patient, url, &request, report).await;
    }
    Ok(())
}
