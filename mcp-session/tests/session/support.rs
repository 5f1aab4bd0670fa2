//! One side of a connection under test, the other side written as JSON.

use std::time::{Duration, Instant};

use mcp_session::{
    CallKey, CallOptions, Cancellation, ClientConfig, EraChoice, Event, Incoming, IncomingKey,
    RequestError, ServerConfig, Session,
};
use mcp_types::{
    ErrorObject, Implementation, Inbound, Malformed, MalformedKind, ObjectBuf, Outbound,
    ParseLimits, RawJson,
};
use serde_json::{Value, json};

/// Short names for what is long in every transcript, replaced in what is heard and what is expected.
const SHORT: [(&str, &str); 6] = [
    (
        "$M",
        r#""io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}"#,
    ),
    ("$V", "io.modelcontextprotocol/protocolVersion"),
    ("$C", "io.modelcontextprotocol/clientCapabilities"),
    ("$I", "io.modelcontextprotocol/clientInfo"),
    ("$L", "io.modelcontextprotocol/logLevel"),
    ("$S", "io.modelcontextprotocol/serverInfo"),
];

pub(crate) fn long(text: &str) -> String {
    SHORT.iter().fold(text.to_owned(), |text, (short, long)| {
        text.replace(short, long)
    })
}

pub(crate) fn raw(text: &str) -> RawJson {
    RawJson::parse(long(text)).unwrap()
}

pub(crate) fn object(text: &str) -> ObjectBuf {
    ObjectBuf::from_raw(raw(text)).unwrap()
}

/// An object nested so many levels.
pub(crate) fn nested(levels: usize) -> String {
    [
        r#"{"a":"#.repeat(levels),
        "1".to_owned(),
        "}".repeat(levels),
    ]
    .concat()
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(&long(text)).unwrap()
}

/// A session, the time, and what it has been asked.
pub(crate) struct Side {
    pub(crate) session: Session,
    pub(crate) now: Instant,
    /// Every request of the peer's that was an event, in order.
    pub(crate) asked: Vec<Incoming>,
    /// What went out and was not looked at yet.
    sent: Vec<Outbound>,
}

impl Side {
    pub(crate) fn new(session: Session, now: Instant) -> Self {
        Self {
            session,
            now,
            asked: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// A client that has just been made.
    pub(crate) fn client(configure: impl FnOnce(&mut ClientConfig)) -> Self {
        let now = Instant::now();
        let mut config = ClientConfig::new(Implementation::new("c", "1"));
        configure(&mut config);
        Self::new(Session::client(config, now), now)
    }

    /// A server that has just been made.
    pub(crate) fn server(configure: impl FnOnce(&mut ServerConfig)) -> Self {
        let mut config = ServerConfig::new(Implementation::new("s", "1"));
        configure(&mut config);
        Self::new(Session::server(config), Instant::now())
    }

    /// A client whose legacy session is open; ids go on at 2.
    pub(crate) fn legacy_client(version: &str, configure: impl FnOnce(&mut ClientConfig)) -> Self {
        let mut client = Self::client(|config| {
            config.era = EraChoice::Legacy;
            configure(config);
        });
        client.hear(&format!(
            r#"{{"id":1,"result":{{"protocolVersion":"{version}","capabilities":{{}},"serverInfo":{{"name":"s","version":"1"}}}}}}"#
        ));
        client.tells(&[&format!("opened {version}")]);
        client.forget();
        client
    }

    /// A client that talks to a modern server; ids go on at 2.
    pub(crate) fn modern_client(configure: impl FnOnce(&mut ClientConfig)) -> Self {
        Self::modern_client_of("{}", configure)
    }

    /// The same, to a server with these capabilities.
    pub(crate) fn modern_client_of(
        capabilities: &str,
        configure: impl FnOnce(&mut ClientConfig),
    ) -> Self {
        let mut client = Self::client(configure);
        client.hear(&format!(
            r#"{{"id":1,"result":{{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{capabilities},"ttlMs":0,"cacheScope":"private"}}}}"#
        ));
        client.tells(&["opened 2026-07-28"]);
        client.forget();
        client
    }

    /// A server with a legacy session, to a client with these capabilities; the client's ids go on at 2.
    pub(crate) fn legacy_server(
        version: &str,
        capabilities: &str,
        configure: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        let mut server = Self::server(configure);
        server.hear(&initialize(1, version, capabilities));
        server.hear(r#"{"method":"notifications/initialized"}"#);
        let told = server.take_events();
        assert!(told.ends_with(&["notified notifications/initialized".to_owned()]));
        server.forget();
        server
    }

    // ---- in ----

    /// Hears a message, written without `jsonrpc`.
    pub(crate) fn hear(&mut self, message: &str) -> &mut Self {
        let body = message.trim().strip_prefix('{').expect("an object");
        let comma = if body.trim() == "}" { "" } else { "," };
        self.hear_raw(&format!(r#"{{"jsonrpc":"2.0"{comma}{body}"#))
    }

    /// Hears whatever stands there.
    pub(crate) fn hear_raw(&mut self, text: &str) -> &mut Self {
        let inbound = Inbound::parse(long(text).into(), ParseLimits::default());
        self.session.handle_inbound(self.now, inbound);
        self
    }

    /// Hears the last line of a stream that ends within it.
    pub(crate) fn hear_cut(&mut self, text: &str) -> &mut Self {
        match Inbound::parse(text.to_owned().into(), ParseLimits::default()) {
            Inbound::Malformed(mut malformed) => {
                malformed.kind = MalformedKind::Truncated;
                let inbound = Inbound::Malformed(malformed);
                self.session.handle_inbound(self.now, inbound);
            }
            whole => panic!("{whole:?}"),
        }
        self
    }

    /// Hears from the transport that a request is lost.
    pub(crate) fn lose(&mut self, id: i64) -> &mut Self {
        let lost = Inbound::Malformed(Malformed::lost(id.into(), "cut"));
        self.session.handle_inbound(self.now, lost);
        self
    }

    /// Lets time pass, and has done what becomes due at the end of it.
    pub(crate) fn wait(&mut self, seconds: f64) -> &mut Self {
        self.now += Duration::from_secs_f64(seconds);
        self.session.handle_timeout(self.now);
        self
    }

    pub(crate) fn call(&mut self, key: u64, method: &str, params: &str) {
        self.call_with(key, method, params, |_| {});
    }

    pub(crate) fn call_with(
        &mut self,
        key: u64,
        method: &str,
        params: &str,
        options: impl FnOnce(&mut CallOptions),
    ) {
        self.try_call(key, method, params, options).unwrap();
    }

    pub(crate) fn try_call(
        &mut self,
        key: u64,
        method: &str,
        params: &str,
        options: impl FnOnce(&mut CallOptions),
    ) -> Result<(), mcp_session::ApiMisuse> {
        let mut with = CallOptions::default();
        options(&mut with);
        self.session
            .call(self.now, CallKey(key), method.into(), object(params), with)
    }

    pub(crate) fn cancel(&mut self, key: u64, reason: Option<&str>) {
        self.session.cancel(CallKey(key), reason);
    }

    /// The key of the n-th request of the peer's.
    pub(crate) fn key(&self, n: usize) -> IncomingKey {
        self.asked[n].key
    }

    pub(crate) fn respond(&mut self, n: usize, result: &str) {
        self.try_respond(n, Ok(result)).unwrap();
    }

    pub(crate) fn respond_error(&mut self, n: usize, code: i64) {
        self.try_respond(n, Err(code)).unwrap();
    }

    pub(crate) fn try_respond(
        &mut self,
        n: usize,
        outcome: Result<&str, i64>,
    ) -> Result<(), mcp_session::ApiMisuse> {
        let outcome = match outcome {
            Ok(result) => Ok(object(result)),
            Err(code) => Err(ErrorObject::new(code, "no")),
        };
        self.session.respond(self.now, self.key(n), outcome)
    }

    // ---- out ----

    pub(crate) fn take_sent(&mut self) -> Vec<Outbound> {
        while let Some(outbound) = self.session.poll_transmit() {
            self.sent.push(outbound);
        }
        std::mem::take(&mut self.sent)
    }

    /// What goes out, as values without `jsonrpc`; each must be a message to whoever parses it.
    pub(crate) fn take_lines(&mut self) -> Vec<Value> {
        self.take_sent()
            .into_iter()
            .map(|outbound| {
                let text = outbound.message.to_string();
                let parsed = Inbound::parse(text.clone().into(), ParseLimits::default());
                assert!(matches!(parsed, Inbound::Message(_)), "{text}");
                let mut value: Value = serde_json::from_str(&text).unwrap();
                let version = value.as_object_mut().unwrap().remove("jsonrpc");
                assert_eq!(version, Some(json!("2.0")));
                value
            })
            .collect()
    }

    /// Everything that goes out now, in order. `"*"` stands for any value; an object with the member `"..."` may have more.
    #[track_caller]
    pub(crate) fn says(&mut self, expected: &[&str]) -> &mut Self {
        let lines = self.take_lines();
        let patterns: Vec<Value> = expected
            .iter()
            .map(|text| serde_json::from_str(&long(text)).unwrap_or_else(|e| panic!("{e}: {text}")))
            .collect();
        let same = lines.len() == patterns.len()
            && lines.iter().zip(&patterns).all(|(l, p)| matches(l, p));
        if !same {
            let said: Vec<String> = lines.iter().map(Value::to_string).collect();
            panic!(
                "said\n  {}\nnot\n  {}",
                said.join("\n  "),
                expected.join("\n  ")
            );
        }
        self
    }

    pub(crate) fn take_events(&mut self) -> Vec<String> {
        let mut told = Vec::new();
        while let Some(event) = self.session.poll_event() {
            told.push(self.render(event));
        }
        told
    }

    /// Everything the program hears now, in order; an expectation that ends with `*` is a beginning.
    #[track_caller]
    pub(crate) fn tells(&mut self, expected: &[&str]) -> &mut Self {
        let told = self.take_events();
        let same = told.len() == expected.len()
            && told
                .iter()
                .zip(expected)
                .all(|(told, expected)| match expected.strip_suffix('*') {
                    Some(start) => told.starts_with(start),
                    None => told == expected,
                });
        if !same {
            panic!(
                "told\n  {}\nnot\n  {}",
                told.join("\n  "),
                expected.join("\n  ")
            );
        }
        self
    }

    /// Neither says nor tells anything.
    #[track_caller]
    pub(crate) fn is_silent(&mut self) -> &mut Self {
        self.says(&[]).tells(&[])
    }

    /// Nothing is in flight, nothing is due.
    #[track_caller]
    pub(crate) fn is_idle(&mut self) {
        assert_eq!(self.session.calls_in_flight(), 0);
        assert_eq!(self.session.incoming_in_flight(), 0);
        assert_eq!(self.session.poll_timeout(), None);
    }

    /// Looks at nothing of what went out and was told.
    pub(crate) fn forget(&mut self) {
        self.take_sent();
        self.take_events();
    }

    fn render(&mut self, event: Event) -> String {
        match event {
            Event::Opened(established) => format!("opened {}", established.version),
            Event::Failed(error) => format!("failed: {error}"),
            Event::Request(incoming) => {
                let text = format!("request {} {}", self.asked.len(), incoming.method);
                self.asked.push(incoming);
                text
            }
            Event::Cancelled(key, why) => {
                let n = self.asked.iter().position(|asked| asked.key == key);
                let n = n.expect("only what was asked is cancelled");
                match why {
                    Cancellation::ByPeer { reason: None } => format!("cancelled {n}"),
                    Cancellation::ByPeer { reason: Some(r) } => format!("cancelled {n}: {r}"),
                    why => format!("cancelled {n} {why:?}"),
                }
            }
            Event::Response { call, outcome } => match outcome {
                Ok(result) => format!("answer {}: {result}", call.0),
                Err(RequestError::Refused(error)) => {
                    format!("answer {}: refused {}", call.0, error.code.0)
                }
                Err(error) => format!("answer {}: {error}", call.0),
            },
            Event::Task { call, result } => format!("task {}: {result}", call.0),
            Event::Progress { call, progress } => format!("progress {}: {progress}", call.0),
            Event::Notification(n) => match n.params {
                Some(params) => format!("notified {} {params}", n.method),
                None => format!("notified {}", n.method),
            },
            Event::Listening { call, filter } => {
                format!(
                    "listening {} {}",
                    call.0,
                    serde_json::to_string(&filter).unwrap()
                )
            }
            Event::LogLevel(level) => format!("level {level}"),
            Event::Subscribed(_) => "subscribed".to_owned(),
            Event::Malformed(malformed) => format!("malformed: {}", malformed.kind),
            Event::Misbehaved(what) => format!("misbehaved: {what}"),
            Event::PeerError(error) => format!("peer error {}", error.code.0),
            other => format!("{other:?}"),
        }
    }
}

/// A legacy client's first message.
pub(crate) fn initialize(id: i64, version: &str, capabilities: &str) -> String {
    format!(
        r#"{{"id":{id},"method":"initialize","params":{{"protocolVersion":"{version}","capabilities":{capabilities},"clientInfo":{{"name":"c","version":"1"}}}}}}"#
    )
}

fn matches(value: &Value, pattern: &Value) -> bool {
    match (value, pattern) {
        (_, Value::String(any)) if any == "*" => true,
        (Value::Object(value), Value::Object(pattern)) => {
            let open = pattern.contains_key("...");
            pattern
                .iter()
                .filter(|(key, _)| *key != "...")
                .all(|(key, p)| value.get(key).is_some_and(|v| matches(v, p)))
                && (open || value.keys().all(|key| pattern.contains_key(key)))
        }
        (Value::Array(value), Value::Array(pattern)) => {
            value.len() == pattern.len() && value.iter().zip(pattern).all(|(v, p)| matches(v, p))
        }
        _ => value == pattern,
    }
}

pub(crate) const LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"];
