//! `mcp bridge` and `mcp record`: clients on one transport, servers on another.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use mcp_client::types::Inbound;
use mcp_codec::LineCodec;
use mcp_peer::Direction;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use super::{next, no_more};
use crate::cli::{Wire, seconds};
use crate::connect::{Reach, interrupted};
use crate::exit::Failure;
use crate::recording::Recording;
use crate::relay::{Ended, Patience, Side, relay};
use crate::render::{Event, Human, Screen, tell};
use crate::share::Shared;
use crate::target::{Admission, Client, Listen, Listener, Server};

const HELP: &str = "\
Examples:
  mcp bridge unix:/run/user/1000/files.sock -- files-server --root /srv    a process for each client
  mcp bridge stdio tcp://127.0.0.1:7000                                    a server of the network for a host that starts processes
  mcp bridge tcp://127.0.0.1:7000 files --wire                             and every message is shown

LISTEN is stdio, unix:/path, tcp://host:port, ws://host:port/path or http://host:port/path (without TLS).

Nobody who connects over TCP is asked who they are: keep to loopback. A Unix socket is for this user alone unless --mode
says otherwise.";

/// Joins any transport to any other: waits for clients here, and connects each to a server there
///
/// Bodies are passed on as they are, so it speaks every revision and whatever methods come. What is no message goes no
/// further, and a client is told so.
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp bridge [OPTIONS] LISTEN TARGET\n       mcp bridge [OPTIONS] LISTEN -- COMMAND [ARG]...")]
pub(crate) struct Bridge {
    /// Where clients are waited for (stdio, unix:/path, tcp://, ws:// or http://host:port); the target
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    /// Clients at a time; one more waits until another has left
    ///
    /// Over HTTP these are sessions, of which the one that has been left alone longest gives way, and 64 times as many requests.
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..))]
    max_clients: u32,

    /// Have one server for all clients, not one for each
    ///
    /// In the legacy era the first client shakes hands for all, and says what all of them are able to do. What the server says by itself is said to all; what it asks is asked of the
    /// client that has made a request last.
    #[arg(long)]
    shared: bool,

    /// The longest message, of a client or of the server
    #[arg(long, value_name = "BYTES", default_value_t = LineCodec::MAX_LENGTH)]
    max_message: usize,

    /// End a connection on which the server has said nothing, or the client has taken nothing, for so long
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = seconds)]
    idle: Duration,

    /// Who may connect to the Unix socket: the permissions of its file
    #[arg(long, value_name = "OCTAL", default_value = "600", value_parser = octal)]
    mode: u32,

    /// A name under which the bridge is reached, besides those of this machine (ws://, http://)
    #[arg(long, value_name = "HOST")]
    host: Vec<String>,

    /// A page whose scripts may connect, besides those of this machine, by its origin: scheme, host and port (ws://, http://)
    #[arg(long, value_name = "ORIGIN")]
    origin: Vec<String>,

    /// Write every message to this file, one JSON object a line
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    /// Show every message on stderr: → to the server, ← to the client
    #[arg(long, value_name = "HOW", num_args = 0..=1, require_equals = true, default_missing_value = "short")]
    wire: Option<Wire>,

    #[command(flatten)]
    reach: Reach,
}

const RECORD_HELP: &str = "\
Put it before a server's command where a host starts it, or before its address:
  mcp record session.jsonl -- files-server --root /srv
Then `mcp replay session.jsonl` is that server, and `mcp replay session.jsonl --client -- files-server` is that client.
The file holds all that was said: keep it as you keep the secrets in it.";

/// Writes down a session: stands between a client on stdin and stdout and a server, and writes every message to a file
#[derive(Debug, Clone, Args)]
#[command(after_help = RECORD_HELP, override_usage = "mcp record [OPTIONS] FILE TARGET\n       mcp record [OPTIONS] FILE -- COMMAND [ARG]...")]
pub(crate) struct Record {
    /// The file; the target
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    #[command(flatten)]
    reach: Reach,
}

fn octal(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).map_err(|e| e.to_string())?;
    if mode > 0o777 {
        return Err("at most 777".to_owned());
    }
    Ok(mode)
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn record(mut args: Record) -> Result<(), Failure> {
    let file = next(&mut args.words, "the file to write")?;
    let target = args.reach.target(&mut args.words)?;
    no_more(&args.words)?;
    let screen = Screen::new(Human::stderr(Wire::Short));
    let admission = Admission::one();
    let joint = Joint {
        server: Server {
            on_stderr: args.reach.on_stderr(&screen),
            target,
            max_message: admission.max_message,
        },
        idle: Duration::MAX,
        recording: Some(Recording::create(file.as_ref())?),
        wire: None,
        shared: false,
        hub: Shared::default(),
    };
    serve(Listen::Stdio.bind(&admission).await?, joint, &admission).await
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Bridge) -> Result<(), Failure> {
    let listen = Listen::parse(&next(&mut args.words, "where to listen")?)?;
    let target = args.reach.target(&mut args.words)?;
    no_more(&args.words)?;
    let screen = Screen::new(Human::stderr(args.wire.unwrap_or(Wire::Short)));
    let recording = args.record.as_deref().map(Recording::create).transpose()?;
    let joint = Joint {
        server: Server {
            on_stderr: args.reach.on_stderr(&screen),
            target,
            max_message: args.max_message,
        },
        idle: args.idle,
        recording,
        wire: args.wire.map(|_| screen),
        shared: args.shared,
        hub: Shared::default(),
    };
    let admission = Admission {
        mode: args.mode,
        max_message: args.max_message,
        max_clients: args.max_clients as usize,
        idle: args.idle,
        hosts: args.host,
        origins: args.origin,
    };
    let listener = listen.bind(&admission).await?;
    if let Some(address) = listener.address() {
        tell(&format!("listening at {address}"));
    }
    serve(listener, joint, &admission).await
}

/// What joins each client to a server.
#[derive(Clone)]
struct Joint {
    server: Server,
    idle: Duration,
    recording: Option<Recording>,
    wire: Option<Screen>,
    /// Whether there is one server for all.
    shared: bool,
    /// That server; otherwise the one for requests that stand for themselves.
    hub: Shared,
}

/// How long clients are not accepted after one could not be, for want of descriptors most likely.
const BREATH: Duration = Duration::from_millis(200);

async fn serve(mut listener: Listener, joint: Joint, admission: &Admission) -> Result<(), Failure> {
    let most = match listener.is_bounded() {
        true => usize::MAX,
        false => admission.max_clients,
    };
    let (stop, stopped) = watch::channel(false);
    let mut joined: JoinSet<Result<(), Failure>> = JoinSet::new();
    let single = matches!(listener, Listener::Stdio(_));
    let mut stopping = std::pin::pin!(interrupted());
    let mut count = 0;
    let mut open = true;
    let mut result = Ok(());
    while open || !joined.is_empty() {
        tokio::select! {
            () = &mut stopping => break,
            Some(ended) = joined.join_next() => {
                match outcome(ended) {
                    outcome if single => {
                        result = outcome;
                        break;
                    }
                    outcome => report(outcome),
                }
            }
            accepted = listener.accept(admission.max_message), if open && joined.len() < most => match accepted {
                Ok(Some(client)) => {
                    count += 1;
                    joined.spawn(join(client, joint.clone(), count, stopped.clone()));
                    open = !single;
                }
                Ok(None) => open = false,
                Err(e) => {
                    tell(&format!("mcp: a client could not be accepted: {e}"));
                    tokio::time::sleep(BREATH).await;
                }
            },
        }
    }
    // No more clients; those who are there are let go, and their servers get the time that they need to end.
    let told = listener.close();
    stop.send_replace(true);
    let ending = async {
        while let Some(ended) = joined.join_next().await {
            report(outcome(ended));
        }
        told.await;
        joint.hub.end().await;
    };
    tokio::select! {
        () = ending => result,
        () = interrupted() => Err(Failure::Interrupted),
    }
}

fn outcome(ended: Result<Result<(), Failure>, JoinError>) -> Result<(), Failure> {
    ended.unwrap_or_else(|panic| Err(Failure::Protocol(panic.to_string())))
}

/// One connection that fails is no reason to end the others.
fn report(outcome: Result<(), Failure>) {
    if let Err(failure) = outcome {
        tell(&format!("mcp: {failure}"));
    }
}

async fn join(
    client: Client,
    joint: Joint,
    number: u64,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Failure> {
    let see = |from, item: &Inbound| {
        if let Some(recording) = &joint.recording {
            recording.add(number, from, item);
        }
        if let Some(screen) = &joint.wire {
            let direction = match from {
                Side::Client => Direction::Out,
                Side::Server => Direction::In,
            };
            let name = format!("{number}: {}", named(item));
            let (name, message) = (name.as_str(), item);
            screen.show(&Event::Wire {
                direction,
                name,
                message,
            });
        }
    };
    // What stands for itself belongs to none of the connections that a server of its own could be had for.
    let shared = joint.shared || client.single;
    let opening = async {
        match shared {
            true => joint.hub.join(number, &joint.server).await,
            false => joint.server.open().await,
        }
    };
    let server = tokio::select! {
        server = opening => server?,
        _ = stop.wait_for(|stop| *stop) => return Ok(()),
    };
    let patience = Patience {
        // A server for all may be silent to one of them.
        silent: if shared { Duration::MAX } else { joint.idle },
        unread: joint.idle,
    };
    match relay(client, server, patience, stop, see).await {
        // A client that goes away has that right.
        Ok(()) | Err(Ended::Stopped | Ended::Broken(Side::Client, _)) => Ok(()),
        Err(Ended::Broken(Side::Server, error)) => {
            Err(Failure::Protocol(format!("connection {number}: {error}")))
        }
        Err(Ended::Idle(time)) => {
            let target = &joint.server.target;
            Err(Failure::TimedOut(format!(
                "connection {number}: {target} has said nothing for {time:?}"
            )))
        }
    }
}

fn named(item: &Inbound) -> String {
    match item {
        Inbound::Message(message) => message.method().unwrap_or("answer").to_owned(),
        Inbound::Batch(members) => format!("batch of {}", members.len()),
        Inbound::Malformed(_) => "malformed".to_owned(),
    }
}
