//! A connection by hand: texts go out as they are, and every one that comes in is looked at.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::lines::Lines;
use super::report::{Fault, Report, Verdict};
use super::said;
use super::socket::Socket;
use super::web::Web;
use crate::exit::Failure;
use crate::target::Target;

/// A connection by hand.
pub(super) struct Visit {
    wire: Wire,
    /// How long the answers to what was said last may take, and since when.
    timeout: Duration,
    said: Instant,
    /// The requests that were made after texts which may never be answered; nobody waits for their answers.
    afters: Vec<Value>,
    /// Which of them is what was said last, and whether it is answered.
    after: Option<Value>,
    overtaken: bool,
    next_id: i64,
    /// What every request carries in `_meta`: in the modern era.
    pub(super) meta: Option<Value>,
    /// Every text that came in.
    seen: Vec<String>,
}

/// What carries texts.
enum Wire {
    Lines(Box<Lines>),
    Socket(Box<Socket>),
    Web(Box<Web>),
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

/// How long an answer may come after that to a later request.
const LATER: Duration = Duration::from_secs(1);

/// How many texts are kept.
const MOST: usize = 10_000;

impl Visit {
    pub(super) async fn open(target: &Target, timeout: Duration) -> Result<Self, Failure> {
        let wire = match target {
            Target::Ws(url) => Wire::Socket(Box::new(Socket::open(url).await?)),
            Target::Http(url) => Wire::Web(Box::new(Web::open(url)?)),
            Target::Command(_) | Target::Tcp(_) | Target::Unix(_) => {
                Wire::Lines(Box::new(Lines::open(target).await?))
            }
        };
        Ok(Self::new(wire, timeout))
    }

    fn new(wire: Wire, timeout: Duration) -> Self {
        Self {
            wire,
            timeout,
            said: Instant::now(),
            afters: Vec::new(),
            after: None,
            overtaken: false,
            next_id: 0,
            meta: None,
            seen: Vec::new(),
        }
    }

    /// Whether messages are lines.
    pub(super) fn is_of_lines(&self) -> bool {
        matches!(self.wire, Wire::Lines(_))
    }

    /// Whether each message is a request of HTTP, which has answers of its own.
    pub(super) fn is_of_http(&self) -> bool {
        matches!(self.wire, Wire::Web(_))
    }

    /// Sends a text as it is.
    pub(super) async fn say(&mut self, text: &str) -> Verdict {
        let saying = async {
            match &mut self.wire {
                Wire::Lines(lines) => lines.say(text).await,
                Wire::Socket(socket) => socket.say(text).await,
                Wire::Web(web) => web.say(text).await,
            }
        };
        let said = timeout(self.timeout, saying).await;
        self.said = Instant::now();
        self.after = None;
        self.overtaken = false;
        said.unwrap_or_else(|_| Err(Fault::silent("it does not read")))
    }

    /// Sends a text that many a server never answers, and a request after it: once that one is answered, nobody waits for long.
    pub(super) async fn try_out(&mut self, text: &str, method: &str) -> Verdict {
        self.say(text).await?;
        let (id, request) = self.request(method);
        // What was said to the text may be there to read even if the server has hung up since.
        if self.say(&request).await.is_ok() {
            self.afters.push(id.clone());
            self.after = Some(id);
        }
        Ok(())
    }

    /// A request that says nothing but its method.
    fn request(&mut self, method: &str) -> (Value, String) {
        self.next_id += 1;
        let id = json!(self.next_id);
        let request = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": self.with_meta(json!({})) });
        (id, request.to_string())
    }

    /// Reads the next text that says anything.
    pub(super) async fn hear(&mut self) -> Result<Answer, Fault> {
        loop {
            let hearing = async {
                match &mut self.wire {
                    Wire::Lines(lines) => lines.hear().await,
                    Wire::Socket(socket) => socket.hear().await,
                    Wire::Web(web) => web.hear().await,
                }
            };
            let patience = match self.overtaken {
                true => self.timeout.min(LATER),
                false => self.timeout,
            };
            // Not so long for each text: a server may never stop to talk of something else.
            let left = patience.saturating_sub(self.said.elapsed());
            let heard = timeout(left, hearing).await;
            let silent = |_| {
                Fault::silent(match self.overtaken {
                    true => "no answer, though a later request has one".to_owned(),
                    false => format!("no answer within {:?}", self.timeout),
                })
            };
            let text = heard.map_err(silent)??;
            if text.trim().is_empty() {
                continue;
            }
            if self.seen.len() < MOST {
                self.seen.push(text.clone());
            }
            let json: Value = serde_json::from_str(&text).unwrap_or_default();
            if let Some(id) = json.get("id")
                && self.afters.contains(id)
            {
                if self.after.take_if(|after| after == id).is_some() {
                    self.overtaken = true;
                    self.said = Instant::now();
                }
                continue;
            }
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
        let (id, request) = self.request(method);
        self.say(&request).await?;
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

    /// Ends the connection in good order; then looks at all that was said on it.
    pub(super) async fn finish(mut self, report: &mut Report, modern: bool) {
        let rest = match self.wire {
            Wire::Lines(lines) => lines.finish(self.timeout, report).await,
            Wire::Socket(socket) => socket.finish(self.timeout, report).await,
            Wire::Web(web) => web.finish(self.timeout, report).await,
        };
        self.seen.extend(rest);
        said::examine(&self.seen, modern, report);
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, split};
    use tokio::time::sleep;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_overtakes_only_what_was_said_before_its_request() {
        let (near, far) = tokio::io::duplex(4096);
        let (reader, writer) = split(near);
        let lines = Lines::new(reader, writer, None);
        let mut visit = Visit::new(Wire::Lines(Box::new(lines)), Duration::from_secs(60));
        let doctor = async {
            for _ in 0..2 {
                visit.try_out("{", "ping").await.unwrap();
                let refusal = visit.hear().await.unwrap();
                assert!(refusal.error(&[-32700]).is_ok(), "{refusal:?}");
            }
            let answer = visit.ask("ping", json!({})).await.unwrap();
            assert_eq!(answer.json["id"], 3);
        };
        // It refuses at once, and takes its time for all else.
        let server = async {
            let (reader, mut writer) = split(far);
            let mut lines = BufReader::new(reader).lines();
            let refusal = r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"no"}}"#;
            let pong = |id: i64| json!({ "jsonrpc": "2.0", "id": id, "result": {} }).to_string();
            for (heard, said) in [
                (2, vec![refusal.to_owned()]),
                (2, vec![pong(1), refusal.to_owned()]),
                (1, vec![pong(2)]),
                (0, vec![pong(3)]),
            ] {
                for _ in 0..heard {
                    assert!(lines.next_line().await.unwrap().is_some());
                }
                sleep(2 * LATER).await;
                let said = said.join("\n") + "\n";
                writer.write_all(said.as_bytes()).await.unwrap();
            }
        };
        tokio::join!(doctor, server);
    }
}
