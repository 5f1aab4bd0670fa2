//! A call that is given up while its answer is under way: every schedule, and what the peer sees in each.

mod stage;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::{SinkExt, StreamExt};
use mcp_peer::session::{CallKey, CallOptions, Event, RequestError, Session};
use mcp_peer::types::{Inbound, MethodName, ObjectBuf, RawJson};
use mcp_peer::{Connection, Driver, Duplex, NoHandler, Options, Peer, duplex};
use serde_json::{Value, json};
use stage::{client_config, json_of, parse};

// ---- the driver ----

/// What may happen next. Between any two of these, nothing happens by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The caller polls its call.
    Poll,
    /// The caller drops its call.
    Drop,
    /// The peer answers, if it has seen the request.
    Answer,
    /// The peer reports progress, if it has seen the request.
    Progress,
    /// The driver runs until it has nothing to do.
    Drive,
}

const STEPS: [Step; 5] = [
    Step::Poll,
    Step::Drop,
    Step::Answer,
    Step::Progress,
    Step::Drive,
];

type Calling = Pin<Box<dyn Future<Output = Result<RawJson, RequestError>>>>;

struct World {
    driver: Pin<Box<Driver<Duplex>>>,
    stage: Duplex,
    peer: Peer,
    calling: Option<Calling>,
    outcome: Option<Result<RawJson, RequestError>>,
    dropped: bool,
    requests: Vec<Value>,
    cancelled: Vec<Value>,
    answered: bool,
}

fn poll<F: Future + Unpin + ?Sized>(future: &mut F) -> Poll<F::Output> {
    Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

impl World {
    fn new() -> Self {
        let (ours, theirs) = duplex(16);
        let (config, options) = (client_config(), Options::default());
        let Connection { peer, driver } =
            mcp_peer::client(ours, config, Arc::new(NoHandler), options);
        let mut world = Self {
            driver: Box::pin(driver),
            stage: theirs,
            calling: None,
            peer: peer.clone(),
            outcome: None,
            dropped: false,
            requests: Vec::new(),
            cancelled: Vec::new(),
            answered: false,
        };
        world.drive();
        let result = json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "s", "version": "1" },
        });
        world.send(json!({ "jsonrpc": "2.0", "id": 1, "result": result }));
        world.drive();
        world.calling = Some(Box::pin(async move {
            let mut options = CallOptions::default();
            options.progress = true;
            peer.request_raw("x/call".into(), ObjectBuf::new(), options, |_| ())
                .await
        }));
        world
    }

    fn send(&mut self, message: Value) {
        let sent = poll(&mut self.stage.send(parse(&message).into()));
        assert!(matches!(sent, Poll::Ready(Ok(()))));
    }

    fn drive(&mut self) {
        assert!(poll(&mut self.driver).is_pending());
        while let Poll::Ready(Some(Ok(Inbound::Message(message)))) = poll(&mut self.stage.next()) {
            let message = json_of(&message);
            match message["method"].as_str() {
                Some("x/call") => self.requests.push(message["id"].clone()),
                Some("notifications/cancelled") => {
                    self.cancelled.push(message["params"]["requestId"].clone());
                }
                Some("initialize" | "notifications/initialized") => {}
                _ => panic!("{message}"),
            }
        }
    }

    /// Whether the step made sense.
    fn step(&mut self, step: Step) -> bool {
        match step {
            Step::Poll => {
                let Some(calling) = &mut self.calling else {
                    return false;
                };
                if let Poll::Ready(outcome) = poll(calling) {
                    self.outcome = Some(outcome);
                    self.calling = None;
                }
            }
            Step::Drop => {
                if self.calling.take().is_none() {
                    return false;
                }
                self.dropped = true;
            }
            Step::Answer | Step::Progress => {
                let Some(id) = self.requests.first().cloned() else {
                    return false;
                };
                if self.answered {
                    return false;
                }
                self.answered = step == Step::Answer;
                let message = match step {
                    Step::Answer => json!({ "jsonrpc": "2.0", "id": id, "result": {} }),
                    _ => json!({
                        "jsonrpc": "2.0", "method": "notifications/progress",
                        "params": { "progressToken": id, "progress": 1 },
                    }),
                };
                self.send(message);
            }
            Step::Drive => self.drive(),
        }
        true
    }
}

/// Runs a schedule to its end and checks what the peer has seen; false if a step of it made no sense.
fn run(schedule: &[Step], tally: &mut Tally) -> bool {
    let mut world = World::new();
    // By the order of events alone: what the driver has seen, and when.
    let (mut polled, mut gone, mut answer_read, mut cancel_due) = (false, false, false, false);
    for step in schedule {
        if !world.step(*step) {
            return false;
        }
        match step {
            Step::Poll => polled = true,
            // Nothing was asked for before the first poll, and there is nothing to take back after the answer was read.
            Step::Drop => {
                gone = true;
                cancel_due = polled && !answer_read;
            }
            // What the program wants is done before anything is read: a cancellation that is queued wins.
            Step::Drive => answer_read |= world.answered,
            Step::Answer | Step::Progress => {}
        }
    }
    world.drive();
    let what = format!("{schedule:?}");
    assert_eq!(world.requests.len(), usize::from(polled), "{what}");
    let expected = if cancel_due {
        world.requests.clone()
    } else {
        Vec::new()
    };
    assert_eq!(world.cancelled, expected, "{what}");
    let late = world.answered && cancel_due;
    assert_eq!(
        world.peer.counters().unknown_responses,
        u64::from(late),
        "{what}"
    );
    match &world.outcome {
        Some(outcome) => assert!(outcome.is_ok() && answer_read && !gone, "{what}"),
        None => assert!(gone || world.calling.is_some(), "{what}"),
    }
    // Whatever happened, the connection is as good as ever, and nothing is left of the call.
    world.calling = None;
    world.drive();
    assert!(format!("{:?}", world.driver).contains("calls: 0"), "{what}");
    tally.schedules += 1;
    tally.crossed += usize::from(late);
    tally.cancelled += usize::from(cancel_due);
    tally.answered_first += usize::from(gone && answer_read && !cancel_due);
    true
}

#[derive(Debug, Default)]
struct Tally {
    schedules: usize,
    cancelled: usize,
    crossed: usize,
    answered_first: usize,
}

fn every_schedule(prefix: &mut Vec<Step>, length: usize, tally: &mut Tally) {
    if prefix.len() == length {
        return;
    }
    for step in STEPS {
        prefix.push(step);
        // What makes no sense now makes none with more behind it.
        if run(prefix, tally) {
            every_schedule(prefix, length, tally);
        }
        prefix.pop();
    }
}

#[test]
fn in_every_schedule_a_dropped_call_is_cancelled_once_if_it_was_not_answered_before() {
    // REQ-CANC-01, REQ-CANC-06
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    let _entered = runtime.enter();
    let mut tally = Tally::default();
    every_schedule(&mut Vec::new(), 7, &mut tally);
    // It is no proof if it does not get to where the race is, from either side.
    assert!(
        tally.schedules > 1000
            && tally.cancelled > 100
            && tally.crossed > 10
            && tally.answered_first > 10,
        "{tally:?}"
    );
}

// ---- the engine, as a value ----

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Cancel,
    Answer,
    Timeout,
    Disconnect,
}

const ACTS: [Act; 4] = [Act::Cancel, Act::Answer, Act::Timeout, Act::Disconnect];

/// All orders of all subsets.
fn orders(prefix: &mut Vec<Act>, see: &mut impl FnMut(&[Act])) {
    see(prefix);
    for act in ACTS {
        if !prefix.contains(&act) {
            prefix.push(act);
            orders(prefix, see);
            prefix.pop();
        }
    }
}

#[test]
fn whatever_comes_first_ends_a_call_and_nothing_ends_it_twice() {
    let mut seen = 0;
    orders(&mut Vec::new(), &mut |acts| {
        // Events may be looked at after each act, or all of them at the end.
        for eager in [false, true] {
            check(acts, eager);
            seen += 1;
        }
    });
    assert_eq!(seen, 2 * 65);
}

fn check(acts: &[Act], eager: bool) {
    let start = Instant::now();
    let mut session = Session::client(client_config(), start);
    session.poll_transmit().unwrap();
    let inbound = |message: Value| Inbound::Message(parse(&message));
    let result = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "s", "version": "1" },
    });
    session.handle_inbound(
        start,
        inbound(json!({ "jsonrpc": "2.0", "id": 1, "result": result })),
    );
    while session.poll_event().is_some() || session.poll_transmit().is_some() {}
    let key = CallKey(7);
    let method = MethodName::from_static("x/call");
    let options = CallOptions::default();
    session
        .call(start, key, method, ObjectBuf::new(), options)
        .unwrap();
    let request = json_of(&session.poll_transmit().unwrap().message);
    let mut outcomes = Vec::new();
    let look = |session: &mut Session, outcomes: &mut Vec<_>| {
        while let Some(event) = session.poll_event() {
            if let Event::Response { call, outcome } = event {
                assert_eq!(call, key);
                outcomes.push(outcome);
            }
        }
    };
    for act in acts {
        match act {
            Act::Cancel => session.cancel(key, None),
            Act::Answer => session.handle_inbound(
                start,
                inbound(json!({ "jsonrpc": "2.0", "id": request["id"], "result": {} })),
            ),
            Act::Timeout => session.handle_timeout(start + Duration::from_secs(60)),
            Act::Disconnect => session.handle_disconnected("gone"),
        }
        if eager {
            look(&mut session, &mut outcomes);
        }
    }
    look(&mut session, &mut outcomes);
    let what = format!("{acts:?}, {eager}");
    let mut cancelled = 0;
    while let Some(out) = session.poll_transmit() {
        let message = json_of(&out.message);
        assert_eq!(message["method"], "notifications/cancelled", "{what}");
        assert_eq!(message["params"]["requestId"], request["id"], "{what}");
        cancelled += 1;
    }
    let (told, ended) = match acts.first() {
        None => (0, 0),
        Some(Act::Cancel) => (1, 0),
        Some(Act::Answer | Act::Disconnect) => (0, 1),
        Some(Act::Timeout) => (1, 1),
    };
    assert_eq!((cancelled, outcomes.len()), (told, ended), "{what}");
    let good = matches!(outcomes.first(), Some(Ok(_)));
    assert_eq!(good, acts.first() == Some(&Act::Answer), "{what}");
    let in_flight = usize::from(acts.is_empty());
    assert_eq!(session.calls_in_flight(), in_flight, "{what}");
    let late = acts.iter().position(|act| *act == Act::Answer);
    let late = late.is_some_and(|at| at > 0);
    assert_eq!(
        session.counters().unknown_responses,
        u64::from(late),
        "{what}"
    );
}
