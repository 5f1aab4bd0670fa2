//! `mcp replay`: a recorded session, played back as its server or as its client.

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use mcp_client::types::{
    ErrorCode, ErrorObject, Inbound, MalformedKind, Message, ObjectBuf, Outbound, RawJson,
    RequestId,
};
use mcp_codec::LineCodec;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::no_more;
use crate::cli::{Wire, seconds};
use crate::connect::{Reach, interrupted};
use crate::exit::Failure;
use crate::recording::{self, Recorded};
use crate::relay::Side;
use crate::render::{Human, Screen, shorten, tell};
use crate::target::{Admission, Boxed, Broken, Listen};

const HELP: &str = "\
Examples:
  mcp replay session.jsonl                               as the server, for the client that has started this program
  mcp replay session.jsonl --listen unix:/tmp/s          as the server, for one client that connects
  mcp replay session.jsonl --client -- files-server      as the client: does the server still answer as it did?

The other side may send what it sends in another order, and other ids; a request that was not recorded is answered with
an error that says so. What it does not send at all ends the replay with exit code 3, or 5 if it says nothing for
--timeout.";

/// Plays a recorded session back, as its server or as its client
#[derive(Debug, Clone, Args)]
#[command(after_help = HELP, override_usage = "mcp replay [OPTIONS] FILE\n       mcp replay [OPTIONS] --client FILE TARGET\n       mcp replay [OPTIONS] --client FILE -- COMMAND [ARG]...")]
pub(crate) struct Replay {
    /// The recording; with --client, the target
    #[arg(value_name = "WORD", num_args = 0.., hide = true)]
    words: Vec<String>,

    /// Be the client, and talk to a server
    #[arg(long)]
    client: bool,

    /// Be a server, and wait for one client here: stdio, unix:/path, tcp://host:port
    #[arg(
        long,
        value_name = "LISTEN",
        default_value = "stdio",
        conflicts_with = "client"
    )]
    listen: String,

    /// Bodies must be as they were, too, but for `_meta`
    #[arg(long)]
    strict: bool,

    /// Which connection of the recording, as a bridge records several
    #[arg(long, value_name = "N", default_value_t = 1)]
    connection: u64,

    /// How long the other side may say nothing when something is expected
    #[arg(long, value_name = "SECONDS", default_value = "60", value_parser = seconds)]
    timeout: Duration,

    #[command(flatten)]
    reach: Reach,
}

/// # Errors
/// [`Failure`], with its exit code.
pub(crate) async fn run(mut args: Replay) -> Result<(), Failure> {
    let file = PathBuf::from(super::next(&mut args.words, "the recording")?);
    let messages = recording::read(&file, args.connection)?;
    let (transport, side) = match args.client {
        true => {
            let target = args.reach.target(&mut args.words)?;
            no_more(&args.words)?;
            let screen = Screen::new(Human::stderr(Wire::Short));
            let on_stderr = args.reach.on_stderr(&screen);
            let opened = target.open(on_stderr, LineCodec::MAX_LENGTH).await?;
            (opened.transport, Side::Client)
        }
        false => {
            no_more(&args.words)?;
            (client(&args.listen).await?, Side::Server)
        }
    };
    let mut player = Player::new(transport, side, args.strict, args.timeout);
    tokio::select! {
        played = player.play(messages) => played,
        () = interrupted() => Err(Failure::Interrupted),
    }
}

async fn client(listen: &str) -> Result<Boxed, Failure> {
    let listen = Listen::parse(listen)?;
    if matches!(listen, Listen::Http(..)) {
        let reason = "over HTTP a client is no one connection, which is what is played back";
        return Err(Failure::Usage(reason.to_owned()));
    }
    let mut listener = listen.bind(&Admission::one()).await?;
    if let Some(address) = listener.address() {
        tell(&format!("listening at {address}"));
    }
    let accepted = tokio::select! {
        accepted = listener.accept(LineCodec::MAX_LENGTH) => accepted,
        () = interrupted() => return Err(Failure::Interrupted),
    };
    let client = accepted.map_err(|e| Failure::connecting(&e))?;
    let client = client.map(|client| client.transport);
    client.ok_or_else(|| Failure::Connect("no client".to_owned()))
}

/// Messages of the other side that came before they were expected, at most.
const MOST_EARLY: usize = 1000;

/// What a message is recognised by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Face {
    /// Messages of one kind can stand for each other: requests and notifications by their methods, answers by id.
    kind: String,
    /// What it carries.
    body: String,
}

/// A message that came before it was expected.
struct Early {
    message: Message,
    face: Face,
}

/// Sends what one side has sent, and expects what the other side has sent.
struct Player {
    to: SplitSink<Boxed, Outbound>,
    from: SplitStream<Boxed>,
    side: Side,
    strict: bool,
    patience: Duration,
    early: VecDeque<Early>,
    /// How many of these, the first ones, are known to be expected later.
    judged: usize,
    /// Requests that are not expected any more, and have been refused.
    strangers: Vec<Message>,
    /// The whole recording, what its messages look like, and where the replay is in it.
    recording: Vec<Recorded>,
    faces: Vec<Face>,
    at: usize,
    /// What the other side has chosen in the recording, and what it has chosen now: ids of its requests, which are
    /// progress tokens as well, and the states of rounds.
    theirs: HashMap<String, Value>,
}

impl Player {
    fn new(transport: Boxed, side: Side, strict: bool, patience: Duration) -> Self {
        let (to, from) = transport.split();
        Self {
            to,
            from,
            side,
            strict,
            patience,
            early: VecDeque::new(),
            judged: 0,
            strangers: Vec::new(),
            recording: Vec::new(),
            faces: Vec::new(),
            at: 0,
            theirs: HashMap::new(),
        }
    }

    async fn play(&mut self, messages: Vec<Recorded>) -> Result<(), Failure> {
        let last = messages.len() - 1;
        self.faces = messages.iter().map(|r| Face::of(&r.message)).collect();
        self.recording = messages;
        for at in 0..=last {
            self.at = at;
            let recorded = self.recording[at].clone();
            if recorded.from == self.side {
                let message = self.translated(recorded.message);
                self.send(message, recorded.line).await?;
            } else {
                // A goodbye that is not said is none that is missed.
                let optional = at == last && matches!(recorded.message, Message::Notification(_));
                match self.expect(&recorded).await {
                    Err(_) if optional => break,
                    met => met?,
                }
            }
        }
        let closed = self.to.close().await;
        closed.map_err(|e| Failure::Protocol(e.to_string()))
    }

    /// Sends, and hears the other side meanwhile, which may not read before it has got rid of what it says.
    async fn send(&mut self, message: Message, line: usize) -> Result<(), Failure> {
        let wrong = |e: Broken| Failure::Protocol(format!("line {line}: {e}"));
        let mut sending = self.to.send(message.into());
        let mut open = true;
        loop {
            let hears = open && self.early.len() + self.strangers.len() < MOST_EARLY;
            tokio::select! {
                biased;
                sent = &mut sending => return sent.map_err(wrong),
                item = self.from.next(), if hears => match item {
                    Some(Ok(Inbound::Message(message))) => self.early.push_back(message.into()),
                    Some(Ok(Inbound::Malformed(lost))) if lost.kind == MalformedKind::Lost => {
                        return Err(Failure::Protocol(format!("line {line}: {lost}")));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(e)) => return Err(wrong(e)),
                    None => open = false,
                },
                () = sleep(self.patience) => {
                    let reason = format!("line {line}: not read within {:?}", self.patience);
                    return Err(Failure::TimedOut(reason));
                }
            }
        }
    }

    /// Waits for the other side to send what it has sent in the recording.
    async fn expect(&mut self, recorded: &Recorded) -> Result<(), Failure> {
        let expected = named(&recorded.message);
        let message = loop {
            self.refuse_strangers(recorded.line, &expected).await?;
            if let Some(early) = self.found().and_then(|at| self.early.remove(at)) {
                self.judged -= 1;
                break early.message;
            }
            if self.early.len() + self.strangers.len() >= MOST_EARLY {
                let reason = format!(
                    "line {}: {expected} is expected, and {MOST_EARLY} others came",
                    recorded.line
                );
                return Err(Failure::Protocol(reason));
            }
            let message = self.next(recorded.line, &expected).await?;
            self.early.push_back(message.into());
        };
        self.learn(&recorded.message, &message);
        self.compare(recorded, &message)
    }

    /// Where the message that is expected is among the early ones: the very one, or else one of its kind.
    fn found(&self) -> Option<usize> {
        let expected = &self.faces[self.at];
        let very = self.early.iter().position(|early| early.face == *expected);
        very.or_else(|| self.spare(&expected.kind, self.horizon()).next())
    }

    /// How far the recording has what may have come by now. The other side may wait for what we say next, and may never say
    /// what it said thereafter; but if bodies count, nothing else will do.
    fn horizon(&self) -> usize {
        let ours = |recorded: &Recorded| recorded.from == self.side;
        let next = match self.strict {
            true => None,
            false => self.recording[self.at..].iter().position(ours),
        };
        next.map_or(self.recording.len(), |next| self.at + next)
    }

    /// Which of the early messages of a kind are not among those to come up to there as they are.
    fn spare<'a>(&'a self, kind: &'a str, end: usize) -> impl Iterator<Item = usize> + 'a {
        let early = self.early.iter().enumerate();
        let of_kind = early.filter(move |(_, early)| early.face.kind == kind);
        let mut of_kind = of_kind.peekable();
        let mut left: HashMap<&Face, usize> = HashMap::new();
        // Mostly there are none, and much may be to come.
        if of_kind.peek().is_some() {
            for face in self.to_come(kind, end) {
                *left.entry(face).or_default() += 1;
            }
        }
        let spare = of_kind.filter(move |(_, early)| match left.get_mut(&early.face) {
            Some(left) if *left > 0 => {
                *left -= 1;
                false
            }
            _ => true,
        });
        spare.map(|(at, _)| at)
    }

    /// What the recording has of a kind from the other side, from here up to there.
    fn to_come<'a>(&'a self, kind: &'a str, end: usize) -> impl Iterator<Item = &'a Face> + 'a {
        let range = self.at..end;
        let left = self.recording[range.clone()].iter().zip(&self.faces[range]);
        left.filter(move |(recorded, face)| recorded.from != self.side && face.kind == kind)
            .map(|(_, face)| face)
    }

    /// Answers the requests among what has come that the recording does not have, or not so often: nobody else will.
    async fn refuse_strangers(&mut self, line: usize, expected: &str) -> Result<(), Failure> {
        while let Some(early) = self.early.get(self.judged) {
            self.judged += 1;
            if !matches!(early.message, Message::Request(_)) {
                continue;
            }
            let kind = &early.face.kind;
            let came = self.early.iter().take(self.judged);
            let came = came.filter(|early| early.face.kind == *kind).count();
            let all = self.recording.len();
            if self.to_come(kind, all).nth(came - 1).is_some() {
                continue;
            }
            // There is one, as more have come than there are to come.
            let came = self.spare(kind, all).take_while(|at| *at < self.judged);
            let Some(stranger) = came.last().and_then(|at| self.early.remove(at)) else {
                continue;
            };
            self.judged -= 1;
            let stranger = stranger.message;
            let mut all = self.recording.iter();
            let code = match all.any(|r| r.message.method() == stranger.method()) {
                true => ErrorCode::INVALID_PARAMS,
                false => ErrorCode::METHOD_NOT_FOUND,
            };
            let name = named(&stranger);
            let text = format!(
                "{name} is not in the recording, or not so often; line {line}: {expected} is expected"
            );
            let id = stranger.id().cloned();
            self.strangers.push(stranger);
            self.send(Message::error(id, ErrorObject::new(code, text)), line)
                .await?;
        }
        Ok(())
    }

    async fn next(&mut self, line: usize, expected: &str) -> Result<Message, Failure> {
        let others = || {
            let early = self.early.iter().map(|early| &early.message);
            let others = self.strangers.iter().chain(early);
            let others: Vec<_> = others.take(5).map(named).collect();
            if others.is_empty() {
                String::new()
            } else {
                format!("; instead came {}", others.join(", "))
            }
        };
        loop {
            return match timeout(self.patience, self.from.next()).await {
                Ok(Some(Ok(Inbound::Message(message)))) => Ok(message),
                Ok(Some(Ok(Inbound::Malformed(lost)))) if lost.kind == MalformedKind::Lost => {
                    Err(Failure::Protocol(format!(
                        "line {line}: {expected} is expected: {lost}{}",
                        others()
                    )))
                }
                // Noise was not recorded either.
                Ok(Some(Ok(_))) => continue,
                Ok(Some(Err(e))) => Err(Failure::Protocol(format!(
                    "line {line}: {expected} is expected: {e}{}",
                    others()
                ))),
                Ok(None) => Err(Failure::Protocol(format!(
                    "line {line}: {expected} never came{}",
                    others()
                ))),
                Err(_) => {
                    let (others, patience) = (others(), self.patience);
                    let reason = format!("line {line}: no {expected} within {patience:?}{others}");
                    // Who says other things than those expected is not late.
                    Err(match others.is_empty() {
                        true => Failure::TimedOut(reason),
                        false => Failure::Protocol(reason),
                    })
                }
            };
        }
    }

    /// Notes what the other side has chosen this time.
    fn learn(&mut self, recorded: &Message, message: &Message) {
        match (recorded, message) {
            (Message::Request(then), Message::Request(now)) => {
                self.theirs.insert(key(&then.id), json(&now.id));
                let token = |params: &Option<RawJson>| {
                    params.as_ref()?.member("_meta")?.member("progressToken")
                };
                if let (Some(then), Some(now)) = (token(&then.params), token(&now.params)) {
                    self.theirs
                        .insert(then.to_string(), now.decode().unwrap_or_default());
                }
            }
            (Message::Response(then), Message::Response(now)) => {
                let state = |outcome: &Result<RawJson, ErrorObject>| {
                    outcome.as_ref().ok()?.member("requestState")
                };
                if let (Some(then), Some(now)) = (state(&then.outcome), state(&now.outcome)) {
                    self.theirs
                        .insert(then.to_string(), now.decode().unwrap_or_default());
                }
            }
            _ => {}
        }
    }

    /// The message that was recorded, with what the other side has chosen this time.
    fn translated(&self, mut message: Message) -> Message {
        match &mut message {
            Message::Response(response) => {
                let id = response
                    .id
                    .as_ref()
                    .and_then(|id| self.theirs.get(&key(id)));
                if let Some(id) = id.and_then(|id| serde_json::from_value(id.clone()).ok()) {
                    response.id = Some(id);
                }
                // The end of a subscription names it.
                if let Ok(result) = &mut response.outcome
                    && let Some(meta) = result.member("_meta").and_then(|meta| self.meta(meta))
                {
                    *result = replaced(result.clone(), [("_meta", meta)]);
                }
            }
            Message::Notification(notification) => {
                notification.params = notification.params.take().map(|params| self.params(params));
            }
            Message::Request(request) => {
                request.params = request.params.take().map(|params| self.params(params));
            }
        }
        message
    }

    fn params(&self, params: RawJson) -> RawJson {
        let [token, cancelled, state, meta] =
            params.members(["progressToken", "requestId", "requestState", "_meta"]);
        let now = |then: &RawJson| {
            self.theirs
                .get(then.as_str())
                .map(|now| RawJson::from(now.clone()))
        };
        let mut changes = Vec::new();
        for (name, then) in [
            ("progressToken", token),
            ("requestId", cancelled),
            ("requestState", state),
        ] {
            if let Some(now) = then.as_ref().and_then(now) {
                changes.push((name, now));
            }
        }
        if let Some(meta) = meta.and_then(|meta| self.meta(meta)) {
            changes.push(("_meta", meta));
        }
        replaced(params, changes)
    }

    /// What is said within a subscription, with the id that it has this time; nothing if that is none.
    fn meta(&self, meta: RawJson) -> Option<RawJson> {
        const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
        let then = meta.member(SUBSCRIPTION)?;
        let now = RawJson::from(self.theirs.get(then.as_str())?.clone());
        Some(replaced(meta, [(SUBSCRIPTION, now)]))
    }

    fn compare(&self, recorded: &Recorded, message: &Message) -> Result<(), Failure> {
        let differs = |then: &str, now: &str| {
            let (then, now) = (shorten(then, 300), shorten(now, 300));
            let name = named(&recorded.message);
            Err(Failure::Protocol(format!(
                "line {}: {name} differs\n  recorded: {then}\n  now:      {now}",
                recorded.line
            )))
        };
        if let (Message::Response(then), Message::Response(now)) = (&recorded.message, message) {
            match (&then.outcome, &now.outcome) {
                (Ok(_), Err(now)) => return differs("a result", &now.to_string()),
                (Err(then), Ok(_)) => return differs(&then.to_string(), "a result"),
                (Err(then), Err(now)) if then.code != now.code => {
                    return differs(&then.to_string(), &now.to_string());
                }
                _ => {}
            }
        }
        if !self.strict {
            return Ok(());
        }
        let (then, now) = (body(&recorded.message), body(message));
        match then == now {
            true => Ok(()),
            false => differs(&then.to_string(), &now.to_string()),
        }
    }
}

impl Face {
    fn of(message: &Message) -> Self {
        let kind = match message {
            Message::Request(request) => {
                let target = target(&request.params);
                format!("request {} {target:?}", request.method)
            }
            Message::Notification(notification) => format!("notification {}", notification.method),
            // Our ids are as they were recorded, so answers to us are, too.
            Message::Response(response) => format!("response {:?}", response.id),
        };
        let body = body(message).to_string();
        Self { kind, body }
    }
}

impl From<Message> for Early {
    fn from(message: Message) -> Self {
        let face = Face::of(&message);
        Self { message, face }
    }
}

/// What a request is about: a name, or a URI.
fn target(params: &Option<RawJson>) -> [Option<RawJson>; 2] {
    let members = params.as_ref().map(|p| p.members(["name", "uri"]));
    members.unwrap_or_default()
}

fn replaced<'a>(object: RawJson, changes: impl IntoIterator<Item = (&'a str, RawJson)>) -> RawJson {
    let Some(mut buffer) = ObjectBuf::from_raw(object.clone()) else {
        return object;
    };
    for (name, value) in changes {
        buffer.take(name);
        buffer.insert_raw(name, &value);
    }
    buffer.finish()
}

/// What a message carries, without what is different each time.
fn body(message: &Message) -> Value {
    let body = match message {
        Message::Request(request) => request.params.as_ref(),
        Message::Notification(notification) => notification.params.as_ref(),
        Message::Response(response) => response.outcome.as_ref().ok(),
    };
    let mut body: Value = body.and_then(|body| body.decode().ok()).unwrap_or_default();
    if let Some(object) = body.as_object_mut() {
        for name in ["_meta", "requestState", "progressToken", "requestId"] {
            object.remove(name);
        }
    }
    body.sort_all_objects();
    body
}

fn named(message: &Message) -> String {
    match message {
        Message::Request(request) => {
            let of = target(&request.params).into_iter().flatten().next();
            let of = of.map(|of| format!(" {}", shorten(of.as_str(), 80)));
            format!("request {}{}", request.method, of.unwrap_or_default())
        }
        Message::Notification(notification) => format!("notification {}", notification.method),
        Message::Response(response) => match &response.id {
            Some(id) => format!("the answer to {}", key(id)),
            None => "an error".to_owned(),
        },
    }
}

fn key(id: &RequestId) -> String {
    json(id).to_string()
}

fn json(id: &RequestId) -> Value {
    serde_json::to_value(id).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use mcp_client::types::Malformed;
    use mcp_codec::framed;
    use serde_json::json;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

    use super::*;
    use crate::target::boxed;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn recorded(from: Side, message: Message) -> Recorded {
        let line = 1;
        Recorded {
            from,
            message,
            line,
        }
    }

    #[tokio::test]
    async fn who_speaks_before_reading_does_not_block_a_replay() {
        let (far, near) = tokio::io::duplex(64);
        let mut player = Player::new(boxed(framed(near)), Side::Server, false, PATIENCE);
        let params = |c: &str| Some(RawJson::from(json!({ "x": c.repeat(1000) })));
        let (theirs, ours) = (
            Message::notification("a", params("a")),
            Message::notification("b", params("b")),
        );
        let messages = vec![
            recorded(Side::Server, ours),
            recorded(Side::Client, theirs.clone()),
        ];
        let (reader, mut writer) = tokio::io::split(far);
        let other = async {
            writer.write_all(format!("{theirs}\n").as_bytes()).await?;
            BufReader::new(reader).lines().next_line().await
        };
        let both = async { tokio::join!(player.play(messages), other) };
        let (played, heard) = timeout(PATIENCE, both).await.unwrap();
        assert_eq!(played, Ok(()));
        assert!(heard.unwrap().is_some_and(|line| line.contains("bbb")));
    }

    #[tokio::test]
    async fn requests_that_were_not_recorded_are_refused_at_once_and_named() {
        let (far, near) = tokio::io::duplex(4096);
        let mut player = Player::new(boxed(framed(near)), Side::Server, false, PATIENCE);
        let call = |id: i64, name: &str| {
            Message::request(id, "tools/call", Some(json!({ "name": name }).into()))
        };
        let done = || Message::result(1, json!({}).into());
        let other = json!({ "uri": "a:b" }).into();
        let messages = vec![
            recorded(Side::Client, call(1, "bump")),
            recorded(Side::Server, done()),
            recorded(
                Side::Client,
                Message::request(2, "resources/read", Some(other)),
            ),
        ];
        let (reader, mut writer) = tokio::io::split(far);
        let mut lines = BufReader::new(reader).lines();
        let client = async {
            for (asks, told) in [
                (
                    call(7, "whoami"),
                    "request tools/call \\\"whoami\\\" is not in the recording",
                ),
                (Message::request(8, "ping", None), "-32601"),
                (call(9, "bump"), "\"result\":{}"),
                (call(10, "bump"), "-32602"),
            ] {
                writer
                    .write_all(format!("{asks}\n").as_bytes())
                    .await
                    .unwrap();
                let line = lines.next_line().await.unwrap().unwrap();
                assert!(line.contains(told), "{line}");
            }
            drop((lines, writer));
        };
        let (played, ()) = timeout(PATIENCE, async {
            tokio::join!(player.play(messages), client)
        })
        .await
        .unwrap();
        let told = played.unwrap_err().to_string();
        let expected = "request resources/read \"a:b\" never came; instead came request tools/call \"whoami\", request ping";
        assert!(told.contains(expected), "{told}");
    }

    #[tokio::test]
    async fn a_request_that_is_lost_ends_a_replay_at_its_line() {
        // While an answer is waited for, and while the next message is not read.
        for sent in [1, 100] {
            let (mut far, near) = mcp_peer::duplex(1);
            let near = near.map(|item| match item {
                Ok(Inbound::Message(Message::Notification(_))) => {
                    Ok(Inbound::Malformed(Malformed::lost(1.into(), "cut")))
                }
                item => item,
            });
            let mut player = Player::new(boxed(near), Side::Client, false, PATIENCE);
            let ask = |id: i64| recorded(Side::Client, Message::request(id, "ping", None));
            let mut messages: Vec<_> = (1..=sent).map(ask).collect();
            let answer = Message::result(1, json!({}).into());
            messages.push(recorded(Side::Server, answer));
            let lost = Message::notification("x/lost", None);
            far.send(lost.into()).await.unwrap();
            let told = player.play(messages).await.unwrap_err().to_string();
            let expected = match sent {
                1 => "line 1: the answer to 1 is expected: request lost: cut",
                _ => "line 1: request lost: cut",
            };
            assert!(told.contains(expected), "{told}");
        }
    }

    #[tokio::test]
    async fn each_of_several_requests_of_a_kind_has_its_own_answer() {
        let call = |id: i64, x: &str| {
            let params = json!({ "name": "t", "arguments": { "x": x } });
            Message::request(id, "tools/call", Some(params.into()))
        };
        let answer = |id: i64, x: &str| Message::result(id, json!({ "x": x }).into());
        let ping = |id: i64| Message::request(id, "ping", None);
        let messages = vec![
            recorded(Side::Client, ping(1)),
            recorded(Side::Client, call(2, "a")),
            recorded(Side::Client, call(3, "b")),
            recorded(Side::Server, answer(2, "a")),
            recorded(Side::Server, answer(3, "b")),
        ];
        // In another order, with one that has changed, and with one too many.
        for sent in [
            &[call(9, "b"), call(8, "a"), ping(7)][..],
            &[call(9, "b"), call(8, "c"), ping(7)],
            &[call(9, "b"), call(6, "c"), call(8, "a"), ping(7)],
        ] {
            let (far, near) = tokio::io::duplex(4096);
            let mut player = Player::new(boxed(framed(near)), Side::Server, false, PATIENCE);
            let (reader, mut writer) = tokio::io::split(far);
            for message in sent {
                let line = format!("{message}\n");
                writer.write_all(line.as_bytes()).await.unwrap();
            }
            let client = async {
                let mut lines = BufReader::new(reader).lines();
                let mut answers = Vec::new();
                while answers.len() < 2 {
                    let line = lines.next_line().await.unwrap().unwrap();
                    if !line.contains("-32602") {
                        answers.push(line);
                    }
                }
                answers
            };
            let both = async { tokio::join!(player.play(messages.clone()), client) };
            let (played, heard) = timeout(PATIENCE, both).await.unwrap();
            assert_eq!(played, Ok(()), "{sent:?}");
            let answers = [answer(8, "a"), answer(9, "b")].map(|answer| answer.to_string());
            assert_eq!(heard, answers, "{sent:?}");
        }
    }

    #[tokio::test]
    async fn who_asks_one_thing_after_the_other_may_ask_for_others_than_were_recorded() {
        let call = |id: i64, page: i64| {
            let params = json!({ "name": "t", "arguments": { "page": page } });
            Message::request(id, "tools/call", Some(params.into()))
        };
        let answer = |id: i64, page: i64| Message::result(id, json!({ "page": page }).into());
        let pages = (1..=3).flat_map(|page| {
            [
                recorded(Side::Client, call(page, page)),
                recorded(Side::Server, answer(page, page)),
            ]
        });
        let (mut client, near) = mcp_peer::duplex(1);
        let mut player = Player::new(boxed(near), Side::Server, false, PATIENCE);
        let client = async {
            for id in 1..=3 {
                client.send(call(id, id + 1).into()).await.unwrap();
                let heard = client.next().await;
                let Some(Ok(Inbound::Message(heard))) = heard else {
                    panic!("no answer to {id}: {heard:?}");
                };
                assert_eq!(heard, answer(id, id));
            }
        };
        let both = async { tokio::join!(player.play(pages.collect()), client) };
        let (played, ()) = timeout(PATIENCE, both).await.unwrap();
        assert_eq!(played, Ok(()));
    }

    #[tokio::test]
    async fn where_bodies_count_the_order_does_not() {
        let call = |id: i64, x: &str| {
            let params = json!({ "name": "t", "arguments": { "x": x } });
            Message::request(id, "tools/call", Some(params.into()))
        };
        let answer = |id: i64, x: &str| Message::result(id, json!({ "x": x }).into());
        let messages = vec![
            recorded(Side::Client, call(1, "a")),
            recorded(Side::Server, answer(1, "a")),
            recorded(Side::Client, call(2, "b")),
            recorded(Side::Server, answer(2, "b")),
        ];
        let (mut client, near) = mcp_peer::duplex(2);
        let mut player = Player::new(boxed(near), Side::Server, true, PATIENCE);
        for (id, x) in [(2, "b"), (1, "a")] {
            client.send(call(id, x).into()).await.unwrap();
        }
        let played = timeout(PATIENCE, player.play(messages)).await.unwrap();
        assert_eq!(played, Ok(()));
    }

    #[tokio::test]
    async fn the_end_of_a_subscription_names_the_one_of_this_time() {
        let (_far, near) = tokio::io::duplex(64);
        let mut player = Player::new(boxed(framed(near)), Side::Server, false, PATIENCE);
        let listen = |id: i64| Message::request(id, "subscriptions/listen", None);
        player.learn(&listen(1), &listen(9));
        let result = |id: i64| {
            let meta = json!({ "_meta": { "io.modelcontextprotocol/subscriptionId": id } });
            Message::result(id, meta.into())
        };
        assert_eq!(player.translated(result(1)), result(9));
    }
}
