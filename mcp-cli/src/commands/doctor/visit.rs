//! A connection by hand: bytes go out as they are, and every line that comes in is looked at.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader,
};
use tokio::process::Child;
use tokio::time::timeout;

use super::report::{Fault, Report, Verdict};
use super::said;
use crate::exit::Failure;
use crate::target::Target;

/// A connection by hand.
pub(super) struct Line {
    reader: Box<dyn AsyncBufRead + Send + Unpin>,
    writer: Option<Box<dyn AsyncWrite + Send + Unpin>>,
    child: Option<Child>,
    timeout: Duration,
    next_id: i64,
    /// What every request carries in `_meta`: in the modern era.
    pub(super) meta: Option<Value>,
    /// Every line that came in.
    seen: Vec<String>,
}

/// An answer: as it was sent, and as JSON.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) text: String,
    pub(super) json: Value,
}

impl Answer {
    pub(super) fn fault(&self, reason: impl Into<String>) -> Fault {
        Fault::new(reason, &self.text)
    }

    /// The result, if it is one.
    pub(super) fn result(&self) -> Result<&Value, Fault> {
        self.json
            .get("result")
            .ok_or_else(|| self.fault("answered with an error"))
    }

    /// That it is an error with one of these codes; none stand for any.
    pub(super) fn error(&self, codes: &[i64]) -> Verdict {
        let Some(error) = self.json.get("error") else {
            return Err(self.fault("answered with a result"));
        };
        match error["code"].as_i64() {
            Some(code) if codes.is_empty() || codes.contains(&code) => Ok(()),
            code => {
                let wanted: Vec<_> = codes.iter().map(i64::to_string).collect();
                let code = code.map_or("none".to_owned(), |code| code.to_string());
                Err(self.fault(format!(
                    "the code is {code} and not {}",
                    wanted.join(" or ")
                )))
            }
        }
    }
}

/// The longest line that is read, in bytes, and how many are kept.
const LONGEST: u64 = 16 << 20;
const MOST: usize = 10_000;

impl Line {
    pub(super) async fn open(target: &Target, timeout: Duration) -> Result<Self, Failure> {
        let failed = |e: std::io::Error| Failure::Connect(format!("{target}: {e}"));
        let (reader, writer, child): (
            Box<dyn AsyncRead + Send + Unpin>,
            Box<dyn AsyncWrite + Send + Unpin>,
            _,
        ) = match target {
            Target::Command(command) => {
                let mut command = command.process().command();
                command
                    .stdin(Stdio::piped())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null());
                let mut child = command.spawn().map_err(failed)?;
                let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else {
                    return Err(failed(std::io::ErrorKind::BrokenPipe.into()));
                };
                (Box::new(stdout), Box::new(stdin), Some(child))
            }
            Target::Tcp(address) => {
                let stream = tokio::net::TcpStream::connect(address)
                    .await
                    .map_err(failed)?;
                stream.set_nodelay(true).map_err(failed)?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer), None)
            }
            #[cfg(unix)]
            Target::Unix(path) => {
                let stream = tokio::net::UnixStream::connect(path)
                    .await
                    .map_err(failed)?;
                let (reader, writer) = stream.into_split();
                (Box::new(reader), Box::new(writer), None)
            }
            Target::Ws(_) | Target::Http(_) => {
                let reason =
                    "only servers that speak lines are examined: a command, unix: or tcp://";
                return Err(Failure::Usage(reason.to_owned()));
            }
            #[cfg(not(unix))]
            Target::Unix(_) => return Err(failed(std::io::ErrorKind::Unsupported.into())),
        };
        Ok(Self {
            reader: Box::new(BufReader::new(reader)),
            writer: Some(writer),
            child,
            timeout,
            next_id: 0,
            meta: None,
            seen: Vec::new(),
        })
    }

    /// Sends a line as it is.
    pub(super) async fn say(&mut self, text: &str) -> Verdict {
        let Some(writer) = &mut self.writer else {
            return Err(Fault::silent("the connection is closed"));
        };
        let line = format!("{text}\n");
        let writing = async {
            writer.write_all(line.as_bytes()).await?;
            writer.flush().await
        };
        match timeout(self.timeout, writing).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(Fault::silent(format!("it cannot be written to: {e}"))),
            Err(_) => Err(Fault::silent("it does not read")),
        }
    }

    /// Reads the next line that says anything.
    pub(super) async fn hear(&mut self) -> Result<Answer, Fault> {
        loop {
            let mut bytes = Vec::new();
            let mut reader = (&mut self.reader).take(LONGEST);
            let read = timeout(self.timeout, reader.read_until(b'\n', &mut bytes)).await;
            match read {
                Err(_) => {
                    return Err(Fault::silent(format!(
                        "no answer within {:?}",
                        self.timeout
                    )));
                }
                Ok(Err(e)) => return Err(Fault::silent(format!("the connection broke: {e}"))),
                Ok(Ok(0)) => return Err(Fault::silent("it has closed the connection")),
                Ok(Ok(_)) => {}
            }
            let text = String::from_utf8_lossy(&bytes)
                .trim_end_matches(['\n', '\r'])
                .to_owned();
            if text.trim().is_empty() {
                continue;
            }
            if self.seen.len() < MOST {
                self.seen.push(text.clone());
            }
            let json = serde_json::from_str(&text).unwrap_or_default();
            return Ok(Answer { text, json });
        }
    }

    /// Reads until there is an answer to an id; `null` stands for none as well.
    pub(super) async fn answer_to(&mut self, id: &Value) -> Result<Answer, Fault> {
        loop {
            let answer = self.hear().await?;
            let is_answer = answer
                .json
                .get("result")
                .or(answer.json.get("error"))
                .is_some();
            if is_answer && answer.json.get("id").unwrap_or(&Value::Null) == id {
                return Ok(answer);
            }
        }
    }

    /// Makes a request, and waits for its answer.
    pub(super) async fn ask(&mut self, method: &str, params: Value) -> Result<Answer, Fault> {
        self.next_id += 1;
        let id = json!(self.next_id);
        self.ask_as(&id, method, params).await
    }

    /// The same, under an id of one's choice.
    pub(super) async fn ask_as(
        &mut self,
        id: &Value,
        method: &str,
        params: Value,
    ) -> Result<Answer, Fault> {
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": self.with_meta(params) });
        self.say(&request.to_string()).await?;
        self.answer_to(id).await
    }

    pub(super) async fn notify(&mut self, method: &str, params: Value) -> Verdict {
        let notification = json!({ "jsonrpc": "2.0", "method": method, "params": params });
        self.say(&notification.to_string()).await
    }

    fn with_meta(&self, mut params: Value) -> Value {
        if let (Some(meta), Some(object)) = (&self.meta, params.as_object_mut()) {
            object.entry("_meta").or_insert_with(|| meta.clone());
        }
        params
    }

    /// That it says nothing to this but what it says to the request that follows.
    pub(super) async fn unanswered(&mut self, text: &str, method: &str) -> Verdict {
        self.say(text).await?;
        self.next_id += 1;
        let id = json!(self.next_id);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": self.with_meta(json!({})) });
        self.say(&request.to_string()).await?;
        loop {
            let answer = self.hear().await?;
            if answer.json["id"] == id {
                return Ok(());
            }
            if answer
                .json
                .get("error")
                .or(answer.json.get("result"))
                .is_some()
            {
                return Err(answer.fault("it was answered"));
            }
        }
    }

    /// Closes its stdin and waits for its end; then looks at all that it has said.
    pub(super) async fn finish(mut self, report: &mut Report, modern: bool) {
        self.writer = None;
        let mut rest = Vec::new();
        // It may go on for ever; that it does not end is found out below.
        let _ = timeout(
            self.timeout,
            (&mut self.reader).take(LONGEST).read_to_end(&mut rest),
        )
        .await;
        let rest = String::from_utf8_lossy(&rest).into_owned();
        self.seen.extend(
            rest.lines()
                .filter(|line| !line.trim().is_empty())
                .map(str::to_owned),
        );
        if let Some(child) = &mut self.child {
            let what = "it exits when its stdin ends";
            let id = child.id();
            let verdict = match timeout(self.timeout, child.wait()).await {
                Ok(Ok(status)) if status.success() => Ok(()),
                Ok(Ok(status)) => Err(Fault::silent(format!("it exits with {status}"))),
                Ok(Err(e)) => Err(Fault::silent(e.to_string())),
                Err(_) => Err(Fault::silent(format!(
                    "it still runs after {:?}",
                    self.timeout
                ))),
            };
            report.should("REQ-STDIO-05", what, verdict);
            // It leads its group, and may have left others behind.
            kill_group(id);
        }
        said::examine(&self.seen, modern, report);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        kill_group(self.child.as_ref().and_then(Child::id));
    }
}

/// Ends a process that leads a group, and all in that group.
fn kill_group(id: Option<u32>) {
    #[cfg(unix)]
    if let Some(group) = id.and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
        // It fails if nobody is left, which is as well.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
    #[cfg(not(unix))]
    let _ = id;
}
