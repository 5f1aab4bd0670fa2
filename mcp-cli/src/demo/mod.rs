//! `mcp demo`: the four patterns between two processes.

pub(crate) mod server;

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_client::types::{CallToolResult, LogLevel, Progress, RawJson};
use mcp_client::{Client, Notification};
use mcp_peer::tap;
use mcp_transport_stdio::{ChildMonitor, ChildProcess, ChildTransport, Stderr};
use serde_json::json;

use crate::cli::{Demo, Wire};
use crate::connect::interrupted;
use crate::demo::server::MessageReceived;
use crate::exit::Failure;
use crate::render::{Done, Event, Human, Json, Screen, Stdout};
use crate::wire::Observer;
use crate::{logging, summarise};

/// How long a step of the server's takes where somebody watches, in milliseconds.
const PACE: u64 = 150;

/// Shows it all and says how it went.
///
/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(args: Demo) -> Result<(), Failure> {
    let screen = match args.json {
        true => Screen::new(Json::new(Stdout::new())),
        false => Screen::new(Human::stdout(args.wire.unwrap_or(Wire::Short))),
    };
    let mut session = Session::default();
    let outcome = session.run(&args, &screen).await;
    let server = match &mut session.server {
        Some(server) => server.wait().await,
        None => None,
    };
    let proof = session.observer().proof().clone();
    screen.show(&Event::Done(Done {
        ok: outcome.is_ok(),
        exit_code: outcome.as_ref().err().map_or(0, Failure::code),
        error: outcome.as_ref().err().map(Failure::to_string),
        era: session.version.map(|version| version.era()),
        version: session.version.map(|version| version.as_str()),
        sampling: proof.route(),
        server_exit: server.and_then(|status| status.code()),
        proof,
        explain: args.wire.is_some(),
    }));
    outcome
}

/// What is known about the session when it is over, however it went.
#[derive(Default)]
struct Session {
    observer: Arc<Mutex<Observer>>,
    server: Option<ChildMonitor>,
    version: Option<mcp_client::types::ProtocolVersion>,
}

impl Session {
    fn observer(&self) -> MutexGuard<'_, Observer> {
        // It only notes things down, which is not left half done.
        self.observer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(&mut self, args: &Demo, screen: &Screen) -> Result<(), Failure> {
        let transport = start(args)?;
        let server = self.server.insert(transport.monitor()).clone();
        let observer = Arc::clone(&self.observer);
        let (shows_wire, wire) = (args.wire.is_some(), screen.clone());
        let transport = tap(transport, move |direction, message| {
            let mut observer = observer.lock().unwrap_or_else(PoisonError::into_inner);
            let name = &observer.see(direction, message);
            if shows_wire {
                wire.show(&Event::Wire {
                    direction,
                    name,
                    message,
                });
            }
        });
        let (logs, progress, said, asked) = (
            screen.clone(),
            screen.clone(),
            screen.clone(),
            screen.clone(),
        );
        let client = Client::builder("mcp-cli", env!("CARGO_PKG_VERSION"))
            .era(args.era)
            .log_level(LogLevel::Debug)
            .on_log(move |params| logs.show(&Event::Log(&params)))
            .on_notification::<Progress>(move |params| progress.show(&Event::from(&params)))
            .on_notification::<MessageReceived>(move |params| {
                said.show(&Event::Notification {
                    method: MessageReceived::METHOD,
                    params: RawJson::encode(&params).unwrap_or(RawJson::NULL),
                });
            })
            .on_sampling(move |question| {
                let answer = summarise::answer(&question);
                if let Ok(answer) = &answer {
                    let answered_by = &format!("{} ({})", summarise::NAME, summarise::WHAT);
                    let question = &question;
                    asked.show(&Event::Sampling {
                        question,
                        answer,
                        answered_by,
                    });
                }
                std::future::ready(answer)
            })
            .connect(transport);
        let client = tokio::select! {
            client = client => client?,
            () = interrupted() => return Err(Failure::Interrupted),
        };
        let version = client.server().version;
        self.version = Some(version);
        screen.show(&Event::Connected {
            server: client.server().server_info.as_ref(),
            era: version.era(),
            version: version.as_str(),
            pid: server.id(),
        });
        let call = client
            .call_tool("batch_process", json!({ "file_ids": args.files }))
            // Asks for progress; it is shown above, in its place among the logs.
            .on_progress(drop)
            .timeout(args.timeout);
        let outcome = tokio::select! {
            result = call => result.map_err(Failure::from),
            // The call is dropped, which cancels it on the wire.
            () = interrupted() => Err(Failure::Interrupted),
        };
        let outcome = outcome.and_then(|result| shown(&result, screen));
        client.close().await;
        outcome
    }
}

/// Starts this program once more, as the server.
fn start(args: &Demo) -> Result<ChildTransport, Failure> {
    let program = std::env::current_exe().map_err(|e| Failure::connecting(&e))?;
    // Nobody watches a file fill.
    let watched = !args.json && std::io::stdout().is_terminal();
    let pace = if watched { PACE } else { 0 };
    let server = ChildProcess::new(program)
        .arg("demo-server")
        .args(["--pace", &pace.to_string()])
        // It ends with its stdin; a machine may be slow, but nothing is to be killed.
        .grace(Duration::from_secs(10), Duration::from_secs(2));
    let server = match logging::wanted() {
        Some(wanted) => server.env(logging::VARIABLE, wanted),
        None => server.stderr(Stderr::Capture(20)),
    };
    server.spawn().map_err(|e| Failure::connecting(&e))
}

/// Shows a result, which may be that the tool failed.
fn shown(result: &CallToolResult, screen: &Screen) -> Result<(), Failure> {
    screen.show(&Event::Result {
        is_error: result.is_error,
        structured: result.structured_content.as_ref(),
        text: result.to_text(),
    });
    match result.is_error {
        true => Err(Failure::Tool(result.to_text())),
        false => Ok(()),
    }
}
