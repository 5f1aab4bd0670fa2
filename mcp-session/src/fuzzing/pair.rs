//! A client, a server, and a wire on which everything takes its time.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use mcp_types::{
    ClientCapabilities, ErrorObject, Implementation, Inbound, LogLevel, ObjectBuf, ParseLimits,
    ProtocolVersion, RawJson, ServerCapabilities,
};

use super::referee::{Referee, Tally};
use crate::config::{ClientConfig, EraChoice, ServerConfig};
use crate::event::{CallKey, IncomingKey};
use crate::outgoing::CallOptions;
use crate::rounds::InputRequired;
use crate::session::Session;

/// Which end of a [`Pair`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client's.
    Client,
    /// The server's.
    Server,
}

/// How a [`Pair`] is made.
#[derive(Debug)]
pub struct Setup {
    /// How the client opens the connection.
    pub era: EraChoice,
    /// The version that an `initialize` asks for, by whatever means.
    pub version: ProtocolVersion,
    /// The wire swallows `server/discover`.
    pub loses_probe: bool,
    /// Both sides declare everything there is, or nothing.
    pub able: bool,
}

/// A client and a server, each under a referee, and what is on the wire between them; time passes when it is told to.
#[derive(Debug)]
pub struct Pair {
    client: End,
    server: End,
    now: Instant,
    version: ProtocolVersion,
    loses_probe: bool,
    cut: bool,
    next_call: u64,
}

#[derive(Debug)]
struct End {
    session: Session,
    referee: Referee,
    /// What is on its way to this end, oldest first.
    wire: VecDeque<Flying>,
    latency: Duration,
}

#[derive(Debug)]
struct Flying {
    arrives: Instant,
    text: String,
}

impl End {
    fn new(session: Session) -> Self {
        Self {
            session,
            referee: Referee::default(),
            wire: VecDeque::new(),
            latency: Duration::ZERO,
        }
    }
}

impl Pair {
    /// Both ends at the start of a connection.
    pub fn new(setup: &Setup) -> Self {
        let now = Instant::now();
        let mut client = ClientConfig::new(Implementation::new("client", "1"));
        let mut server = ServerConfig::new(Implementation::new("server", "1"));
        client.era = setup.era;
        client.limits.outgoing_requests = 20;
        server.limits.incoming_requests = 10;
        if setup.able {
            client.capabilities = decode::<ClientCapabilities>(
                r#"{"sampling":{"tools":{}},"elicitation":{},"roots":{"listChanged":true},"extensions":{"io.mcp-stack/notifications":{}}}"#,
            );
            client.log_level = Some(LogLevel::Info);
            server.capabilities = decode::<ServerCapabilities>(
                r#"{"logging":{},"tools":{"listChanged":true},"extensions":{"io.mcp-stack/notifications":{}}}"#,
            );
        }
        let mut pair = Self {
            client: End::new(Session::client(client, now)),
            server: End::new(Session::server(server)),
            now,
            version: setup.version,
            loses_probe: setup.loses_probe,
            cut: false,
            next_call: 0,
        };
        pair.settle(Side::Client);
        pair
    }

    fn end(&self, side: Side) -> &End {
        match side {
            Side::Client => &self.client,
            Side::Server => &self.server,
        }
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// The session of a side, to look at.
    pub fn now(&self) -> Instant {
        self.now
    }

    pub fn session(&self, side: Side) -> &Session {
        &self.end(side).session
    }

    /// One of the requests that a side has to answer.
    pub fn open(&self, side: Side, choice: u8) -> Option<IncomingKey> {
        let open = &self.end(side).referee.open;
        let at = usize::from(choice).checked_rem(open.len())?;
        Some(open[at].key)
    }

    /// What both programs have been told so far.
    pub fn tally(&self) -> Tally {
        let mut tally = self.client.referee.tally;
        tally += self.server.referee.tally;
        tally
    }

    // ---- what the programs do ----

    /// Makes a request, if that is allowed.
    pub fn call(&mut self, side: Side, method: &str, options: CallOptions) -> Option<CallKey> {
        self.next_call += 1;
        let key = CallKey(self.next_call);
        let now = self.now;
        let end = self.end_mut(side);
        let called = end
            .session
            .call(now, key, method.into(), ObjectBuf::new(), options);
        if called.is_ok() {
            end.referee.calls.insert(key);
        }
        self.settle(side);
        called.ok().map(|()| key)
    }

    /// Cancels one of the side's requests.
    pub fn cancel(&mut self, side: Side, choice: u8) {
        let end = self.end_mut(side);
        let mut calls: Vec<_> = end.referee.calls.iter().copied().collect();
        calls.sort_unstable();
        if let Some(at) = usize::from(choice).checked_rem(calls.len()) {
            // No event may come for it from now on.
            end.referee.calls.remove(&calls[at]);
            end.session.cancel(calls[at], Some("not wanted"));
        }
        self.settle(side);
    }

    /// Answers a request.
    pub fn respond(
        &mut self,
        side: Side,
        key: IncomingKey,
        outcome: Result<ObjectBuf, ErrorObject>,
    ) {
        let now = self.now;
        let end = self.end_mut(side);
        end.session
            .respond(now, key, outcome)
            .expect("what is open can be answered");
        end.referee.close(key);
        self.settle(side);
    }

    /// Answers a request with questions, or plainly if it takes none.
    pub fn require_input(&mut self, side: Side, key: IncomingKey, input: InputRequired) {
        let end = self.end_mut(side);
        match end.session.require_input(key, input) {
            Ok(()) => {
                end.referee.close(key);
                self.settle(side);
            }
            Err(_) => self.respond(side, key, Ok(ObjectBuf::new())),
        }
    }

    /// Reports progress of a request, if that is allowed.
    pub fn progress(&mut self, side: Side, choice: u8, value: f64) {
        if let Some(key) = self.open(side, choice) {
            // What is not allowed is not sent; the referee sees what is.
            let _ = self
                .end_mut(side)
                .session
                .progress(key, value, Some(100.0), Some("so far"));
        }
        self.settle(side);
    }

    /// Logs, if that is allowed.
    pub fn log(&mut self, side: Side, related: Option<IncomingKey>, level: LogLevel) {
        let session = &mut self.end_mut(side).session;
        let _ = session.log(related, level, RawJson::EMPTY_OBJECT);
        self.settle(side);
    }

    /// Notifies, if that is allowed.
    pub fn notify(&mut self, side: Side, related: Option<IncomingKey>, method: &str) {
        let session = &mut self.end_mut(side).session;
        let _ = session.notify(related, method.into(), None);
        self.settle(side);
    }

    // ---- what the world does ----

    /// From now on messages to this side take so long; none overtakes another.
    pub fn latency(&mut self, to: Side, latency: Duration) {
        self.end_mut(to).latency = latency;
    }

    /// Puts something on the wire to a side, as if the other had sent it.
    pub fn inject(&mut self, to: Side, text: &str) {
        if !self.cut {
            self.put(to, text.to_owned());
        }
    }

    fn put(&mut self, to: Side, text: String) {
        let now = self.now;
        let end = self.end_mut(to);
        let last = end.wire.back().map_or(now, |flying| flying.arrives);
        let arrives = (now + end.latency).max(last);
        end.wire.push_back(Flying { arrives, text });
    }

    /// Lets time pass, with everything that happens on the way.
    pub fn advance(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(next) = self.next_instant().filter(|next| *next <= until) {
            self.now = self.now.max(next);
            self.step();
        }
        self.now = until;
        self.step();
    }

    /// Lets time pass until nothing is on the wire.
    pub fn drive(&mut self) {
        while let Some(arrives) = self.next_arrival() {
            self.advance(arrives.saturating_duration_since(self.now));
        }
    }

    /// Does what is due now: timeouts, then one message to each side.
    pub fn step(&mut self) {
        for side in [Side::Client, Side::Server] {
            let now = self.now;
            let end = self.end_mut(side);
            end.session.handle_timeout(now);
            self.settle(side);
            let end = self.end_mut(side);
            if end.wire.front().is_some_and(|next| next.arrives <= now)
                && let Some(flying) = end.wire.pop_front()
            {
                let inbound = Inbound::parse(flying.text.into(), ParseLimits::default());
                end.referee.hears(&end.session, &inbound);
                end.session.handle_inbound(now, inbound);
            }
            self.settle(side);
        }
    }

    /// The connection breaks; what is on the wire is lost or still arrives.
    pub fn cut(&mut self, loses: bool) {
        self.cut = true;
        for side in [Side::Client, Side::Server] {
            let end = self.end_mut(side);
            if loses {
                end.wire.clear();
            }
            end.session.handle_disconnected("cut");
            self.settle(side);
        }
    }

    /// Brings everything to its end: what can be answered is, and the rest runs out of time.
    pub fn finish(&mut self) {
        for _ in 0..100 {
            self.drive();
            for side in [Side::Client, Side::Server] {
                while let Some(key) = self.open(side, 0) {
                    self.respond(side, key, Ok(ObjectBuf::new()));
                }
            }
            if self.next_instant().is_none() {
                break;
            }
            self.advance(Duration::from_secs(600));
        }
        for side in [Side::Client, Side::Server] {
            let end = self.end(side);
            assert!(end.referee.calls.is_empty(), "each call ends");
            assert!(end.referee.open.is_empty());
            end.referee.counts(&end.session);
            assert_eq!(end.session.poll_timeout(), None);
            assert_eq!(
                (end.session.transmit_len(), end.session.transmit_bytes()),
                (0, 0)
            );
        }
    }

    fn next_arrival(&self) -> Option<Instant> {
        let arrivals = [&self.client, &self.server].map(|end| Some(end.wire.front()?.arrives));
        arrivals.into_iter().flatten().min()
    }

    fn next_instant(&self) -> Option<Instant> {
        let timeouts = [&self.client, &self.server].map(|end| end.session.poll_timeout());
        timeouts
            .into_iter()
            .flatten()
            .chain(self.next_arrival())
            .min()
    }

    /// Takes out of a side all that it has to say and to tell, under the eyes of its referee.
    fn settle(&mut self, side: Side) {
        let other = match side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let mut lines = Vec::new();
        let end = self.end_mut(side);
        loop {
            let mut silent = true;
            while let Some(outbound) = end.session.poll_transmit() {
                silent = false;
                end.referee.says(&end.session, &outbound);
                lines.push(outbound.message.to_string());
            }
            while let Some(event) = end.session.poll_event() {
                silent = false;
                end.referee.tells(event);
            }
            if silent {
                break;
            }
        }
        end.referee.counts(&end.session);
        for line in lines {
            let lost = self.cut || (self.loses_probe && line.contains("\"server/discover\""));
            if !lost {
                let line = match line.contains("\"initialize\"") {
                    true => line.replace("2025-11-25", self.version.as_str()),
                    false => line,
                };
                self.put(other, line);
            }
        }
    }
}

fn decode<T: serde::de::DeserializeOwned>(text: &str) -> T {
    serde_json::from_str(text).expect("the text is a constant")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setup() -> Setup {
        Setup {
            era: EraChoice::Auto,
            version: ProtocolVersion::LATEST_LEGACY,
            loses_probe: false,
            able: true,
        }
    }

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A pair that is open, with half a second from one side to the other.
    fn slow(setup: &Setup) -> Pair {
        let mut pair = Pair::new(setup);
        pair.latency(Side::Client, ms(500));
        pair.latency(Side::Server, ms(500));
        pair.drive();
        pair.advance(Duration::from_secs(60));
        assert!(pair.session(Side::Client).established().is_some());
        pair
    }

    fn calling(pair: &mut Pair) {
        let options = CallOptions {
            timeout: Some(ms(2000)),
            progress: true,
            reset_on_progress: true,
            ..CallOptions::default()
        };
        let called = pair.call(Side::Client, "tools/call", options);
        assert!(called.is_some());
    }

    fn in_flight(pair: &Pair) -> [usize; 2] {
        [
            pair.session(Side::Client).calls_in_flight(),
            pair.session(Side::Server).incoming_in_flight(),
        ]
    }

    fn counters(pair: &Pair) -> [u64; 2] {
        let counters = pair.session(Side::Client).counters();
        [counters.unknown_responses, counters.stray_progress]
    }

    #[test]
    fn every_era_and_version_opens() {
        for (loses_probe, era) in [
            (false, EraChoice::Auto),
            (true, EraChoice::Auto),
            (false, EraChoice::Legacy),
            (false, EraChoice::Modern),
        ] {
            for version in &ProtocolVersion::ALL[..4] {
                let mut pair = Pair::new(&Setup {
                    era,
                    loses_probe,
                    version: *version,
                    able: true,
                });
                pair.drive();
                pair.advance(Duration::from_secs(11));
                let modern = !loses_probe && era != EraChoice::Legacy;
                let expected = if modern {
                    ProtocolVersion::LATEST_MODERN
                } else {
                    *version
                };
                let established = pair.session(Side::Client).established();
                assert_eq!(established.map(|e| e.version), Some(expected));
                pair.finish();
            }
        }
    }

    #[test]
    fn a_response_crosses_the_cancellation() {
        // REQ-CANC-06, REQ-CANC-08
        for era in [EraChoice::Auto, EraChoice::Legacy] {
            let mut pair = slow(&Setup { era, ..setup() });
            calling(&mut pair);
            pair.advance(ms(500));
            assert_eq!(in_flight(&pair), [1, 1]);
            let key = pair.open(Side::Server, 0).unwrap();
            pair.respond(Side::Server, key, Ok(ObjectBuf::new()));
            pair.advance(ms(100));
            pair.cancel(Side::Client, 0);
            assert_eq!(in_flight(&pair), [0, 0]);
            pair.finish();
            assert_eq!(counters(&pair), [1, 0]);
        }
    }

    #[test]
    fn a_cancellation_arrives_before_the_answer() {
        // REQ-CANC-05
        let mut pair = slow(&setup());
        calling(&mut pair);
        pair.advance(ms(600));
        pair.cancel(Side::Client, 0);
        assert_eq!(in_flight(&pair), [0, 1]);
        pair.progress(Side::Server, 0, 1.0);
        pair.advance(ms(500));
        assert_eq!(in_flight(&pair), [0, 0]);
        pair.finish();
        // The progress that crossed it.
        assert_eq!(counters(&pair), [0, 1]);
    }

    #[test]
    fn the_answer_comes_when_the_time_is_over() {
        // REQ-TMO-01: at the same instant the timeout comes first, and the late answer is dropped.
        let mut pair = slow(&setup());
        calling(&mut pair);
        pair.advance(ms(1500));
        let key = pair.open(Side::Server, 0).unwrap();
        pair.respond(Side::Server, key, Ok(ObjectBuf::new()));
        pair.advance(ms(499));
        assert_eq!(in_flight(&pair), [1, 0]);
        pair.advance(ms(1));
        assert_eq!(in_flight(&pair), [0, 0]);
        assert_eq!(counters(&pair), [1, 0]);
        pair.finish();
    }

    #[test]
    fn progress_keeps_a_slow_request_alive() {
        // REQ-TMO-02
        let mut pair = slow(&setup());
        calling(&mut pair);
        pair.advance(ms(500));
        for step in 1..20 {
            pair.progress(Side::Server, 0, f64::from(step));
            pair.advance(ms(1500));
            assert_eq!(in_flight(&pair), [1, 1]);
        }
        // The last one was heard a second ago.
        pair.advance(ms(1000));
        assert_eq!(in_flight(&pair), [0, 1]);
        pair.advance(ms(500));
        assert_eq!(in_flight(&pair), [0, 0]);
        pair.finish();
    }

    #[test]
    fn the_link_is_lost_with_calls_in_flight() {
        for loses in [true, false] {
            for era in [EraChoice::Auto, EraChoice::Legacy] {
                let mut pair = slow(&Setup { era, ..setup() });
                calling(&mut pair);
                pair.advance(ms(500));
                calling(&mut pair);
                pair.call(Side::Server, "roots/list", CallOptions::default());
                pair.cut(loses);
                assert_eq!(in_flight(&pair), [0, 1]);
                pair.drive();
                assert_eq!(in_flight(&pair), [0, if loses { 1 } else { 2 }]);
                pair.finish();
            }
        }
    }

    #[test]
    fn questions_go_round() {
        // REQ-MRTR-05, REQ-MRTR-07
        let mut pair = slow(&setup());
        calling(&mut pair);
        for _ in 0..3 {
            pair.advance(ms(500));
            let key = pair.open(Side::Server, 0).unwrap();
            let question = |method: &str| crate::rounds::Question {
                method: method.into(),
                params: RawJson::EMPTY_OBJECT,
            };
            let input = InputRequired {
                questions: [
                    ("a".to_owned(), question("roots/list")),
                    ("b".to_owned(), question("sampling/createMessage")),
                ]
                .into(),
                state: Some("s".to_owned()),
            };
            pair.require_input(Side::Server, key, input);
            assert_eq!(in_flight(&pair), [1, 0]);
            pair.advance(ms(500));
            assert_eq!(pair.session(Side::Client).incoming_in_flight(), 2);
            for _ in 0..2 {
                let key = pair.open(Side::Client, 0).unwrap();
                pair.respond(Side::Client, key, Ok(ObjectBuf::new()));
            }
        }
        pair.finish();
    }

    #[test]
    fn a_referee_sees_what_is_wrong() {
        // The referees are worth what they notice: a second answer, an answer to nothing, an id used twice.
        for line in [
            r#"{"jsonrpc":"2.0","id":77,"result":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":1,"progress":1}}"#,
            r#"{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":1}}"#,
        ] {
            let mut pair = Pair::new(&setup());
            pair.drive();
            let Inbound::Message(message) = Inbound::parse(line.into(), ParseLimits::default())
            else {
                panic!("{line}");
            };
            let end = &mut pair.client;
            let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                end.referee.says(&end.session, &message.into());
            }));
            assert!(seen.is_err(), "{line}");
        }
    }
}
