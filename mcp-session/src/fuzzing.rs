//! What must hold whatever both programs do, whatever is on the wire and whenever it arrives: the body of a fuzz target,
//! which a property test runs too.
//!
//! The bytes a fuzzer has made up are a short program: two bytes of setup, then three bytes an operation. It is run on a
//! [`Pair`], whose referees panic if a promise is broken.

mod pair;
mod referee;

use std::collections::BTreeMap;
use std::time::Duration;

use mcp_types::{ErrorObject, LogLevel, ObjectBuf, ProtocolVersion, RawJson};

use crate::config::EraChoice;
use crate::event::IncomingKey;
use crate::outgoing::CallOptions;
use crate::rounds::{InputRequired, Question};

pub use pair::{Pair, Setup, Side};
pub use referee::Tally;

/// Runs the program that `data` is, brings everything to its end, and checks that nothing is left.
pub fn operations(data: &[u8]) -> Tally {
    let [setup, version, operations @ ..] = data else {
        return Tally::default();
    };
    let mut pair = Pair::new(&Setup {
        era: match setup % 3 {
            0 => EraChoice::Auto,
            1 => EraChoice::Legacy,
            _ => EraChoice::Modern,
        },
        version: ProtocolVersion::ALL[usize::from(version % 4)],
        loses_probe: setup & 0xc0 == 0xc0,
        able: version & 0x70 != 0,
    });
    // Most programs are about what comes after the handshake; the others find the connection half open.
    if setup & 0x30 != 0x30 {
        pair.drive();
    }
    for operation in operations.chunks_exact(3) {
        apply(&mut pair, operation[0], operation[1], operation[2]);
    }
    pair.finish();
    pair.tally()
}

/// One connection for a long time: random operations from a seed, without the loss of the connection, and checks that
/// nothing is left at the end. Gives back the simulated time.
pub fn soak(seed: u64, operations: usize) -> (Tally, Duration) {
    let mut random = seed | 1;
    let mut pair = Pair::new(&Setup {
        era: match seed % 2 {
            0 => EraChoice::Legacy,
            _ => EraChoice::Modern,
        },
        version: ProtocolVersion::LATEST_LEGACY,
        loses_probe: false,
        able: true,
    });
    pair.drive();
    let start = pair.now();
    for _ in 0..operations {
        // xorshift64*: what matters is that a seed gives the same day again.
        random ^= random >> 12;
        random ^= random << 25;
        random ^= random >> 27;
        let [operation, a, b, ..] = random.wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes();
        if operation % 16 != 13 {
            apply(&mut pair, operation, a, b);
        }
    }
    let passed = pair.now() - start;
    pair.finish();
    (pair.tally(), passed)
}

const METHODS: [&str; 16] = [
    "tools/call",
    "tools/call",
    "tools/call",
    "tools/call",
    "tools/call",
    "tools/list",
    "prompts/get",
    "resources/read",
    "com.example/own",
    "ping",
    "sampling/createMessage",
    "elicitation/create",
    "roots/list",
    "subscriptions/listen",
    "initialize",
    "logging/setLevel",
];

const NOTIFICATIONS: [&str; 4] = [
    "com.example/happened",
    "notifications/tools/list_changed",
    "notifications/roots/list_changed",
    "notifications/cancelled",
];

/// Messages that no program of ours would send; `$` stands for a small number, the id of something as likely as not.
const GARBAGE: [&str; 34] = [
    r#"{"jsonrpc":"2.0","id":$,"result":{}}"#,
    r#"{"jsonrpc":"2.0","id":$,"result":{"resultType":"input_required","requestState":"s"}}"#,
    r#"{"jsonrpc":"2.0","id":$,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{}}}}}"#,
    r#"{"jsonrpc":"2.0","id":$,"result":{"resultType":"unheard of"}}"#,
    r#"{"jsonrpc":"2.0","id":$,"result":{"supportedVersions":["2026-07-28"],"capabilities":{}}}"#,
    r#"{"jsonrpc":"2.0","id":$,"result":{"protocolVersion":"2025-03-26","capabilities":{"logging":{}},"serverInfo":{"name":"x","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","id":$,"error":{"code":-32022,"message":"m","data":{"supported":["2024-11-05"]}}}"#,
    r#"{"jsonrpc":"2.0","id":$,"error":{"code":-32602,"message":"m","data":{"supported":["2025-06-18"]}}}"#,
    r#"{"jsonrpc":"2.0","id":$,"error":{"code":1,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":$,"result":[]}"#,
    r#"{"jsonrpc":"2.0","id":$,"error":7}"#,
    r#"{"jsonrpc":"2.0","id":$}"#,
    r#"{"jsonrpc":"2.0","id":$,"result":{"#,
    r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}"#,
    r#"{"jsonrpc":"2.0","id":"$","result":{}}"#,
    r#"{"jsonrpc":"2.0","id":$,"method":"tools/call","params":{"_meta":{"progressToken":"x"}}}"#,
    r#"{"jsonrpc":"2.0","id":"$","method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{"roots":{}},"io.modelcontextprotocol/logLevel":"debug","progressToken":"y"}}}"#,
    r#"{"jsonrpc":"2.0","id":$,"method":"tools/call","params":{"requestState":"s","inputResponses":{"a":{}},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    r#"{"jsonrpc":"2.0","id":$,"method":"tools/call","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2099-01-01","io.modelcontextprotocol/clientCapabilities":{}}}}"#,
    r#"{"jsonrpc":"2.0","id":"$","method":"initialize","params":{"protocolVersion":"2025-03-26","capabilities":{"roots":{}},"clientInfo":{"name":"x","version":"1"}}}"#,
    r#"{"jsonrpc":"2.0","id":$,"method":"ping"}"#,
    r#"{"jsonrpc":"2.0","id":$,"method":"roots/list"}"#,
    r#"{"jsonrpc":"2.0","id":"$","method":"logging/setLevel","params":{"level":"debug"}}"#,
    r#"{"jsonrpc":"2.0","id":$,"method":"m","params":[]}"#,
    r#"{"jsonrpc":"2.0","id":$,"method":"m","params":{"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":$}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"$","reason":"r"}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":$,"progress":$}}"#,
    r#"{"jsonrpc":"2.0","method":"notifications/roots/list_changed"}"#,
    r#"{"jsonrpc":"2.0","method":"m","params":7}"#,
    r#"[{"jsonrpc":"2.0","id":$,"method":"tools/list"},{"jsonrpc":"2.0","id":$,"result":{}},1,{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":$}},{"jsonrpc":"2.0","id":"$","method":"initialize"}]"#,
    "[]",
    "Listening on stdio",
];

fn apply(pair: &mut Pair, operation: u8, a: u8, b: u8) {
    let side = if operation & 0x80 == 0 {
        Side::Client
    } else {
        Side::Server
    };
    match operation % 16 {
        0..=2 => call(pair, side, a, b),
        3 => pair.cancel(side, a),
        4..=6 => answer(pair, side, a, b),
        7 => pair.progress(side, a, f64::from(b) / 2.0),
        8 => {
            let level = LogLevel::ALL[usize::from(b) % LogLevel::ALL.len()];
            let related = request(pair, side, a);
            pair.log(side, related, level);
        }
        9 => {
            let related = request(pair, side, a);
            let method = NOTIFICATIONS[usize::from(b) % NOTIFICATIONS.len()];
            pair.notify(side, related, method);
        }
        10 => {
            // Now and then for longer than any request waits.
            let unit = if a < 8 { 1000 } else { 4 };
            pair.advance(Duration::from_millis(u64::from(b) * unit));
        }
        11 => pair.latency(side, Duration::from_millis(u64::from(a))),
        12 => {
            let text = GARBAGE[usize::from(a) % GARBAGE.len()];
            pair.inject(side, &text.replace('$', &(b % 16).to_string()));
        }
        13 if a < 4 => pair.cut(b & 1 == 0),
        13 => pair.step(),
        _ => pair.drive(),
    }
}

/// One of the side's open requests, or none.
fn request(pair: &Pair, side: Side, choice: u8) -> Option<IncomingKey> {
    pair.open(side, choice).filter(|_| choice & 0x80 == 0)
}

fn call(pair: &mut Pair, side: Side, a: u8, b: u8) {
    let mut options = CallOptions {
        progress: b & 1 != 0,
        reset_on_progress: b & 2 != 0,
        related: request(pair, side, b),
        ..CallOptions::default()
    };
    if b & 0x0c == 0x0c {
        options.timeout = Some(Duration::from_millis(u64::from(b) * 4));
    }
    if b & 0x28 == 0x28 {
        options.total = Some(Duration::from_secs(2));
    }
    if b & 16 != 0 {
        options.log_level = Some(LogLevel::Debug);
    }
    pair.call(side, METHODS[usize::from(a) % METHODS.len()], options);
}

fn answer(pair: &mut Pair, side: Side, a: u8, b: u8) {
    let Some(key) = pair.open(side, a) else {
        return;
    };
    match b % 8 {
        0..=2 => pair.respond(side, key, Ok(ObjectBuf::new())),
        3 => pair.respond(side, key, Err(ErrorObject::internal("no"))),
        kind => {
            let methods = ["roots/list", "sampling/createMessage", "tools/list"];
            let questions = methods.into_iter().take(usize::from(kind % 4));
            let questions = questions.map(|method| {
                let question = Question {
                    method: method.into(),
                    params: RawJson::EMPTY_OBJECT,
                };
                (method.to_owned(), question)
            });
            let questions = match b & 0x70 {
                0x70 => BTreeMap::new(),
                _ => questions.collect(),
            };
            let state = (b & 0x80 != 0).then(|| "state".to_owned());
            pair.require_input(side, key, InputRequired { questions, state });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;

    /// Any program, biased by nothing.
    fn program() -> impl Strategy<Value = Vec<u8>> {
        let operation = any::<[u8; 3]>();
        (any::<[u8; 2]>(), prop::collection::vec(operation, 0..120))
            .prop_map(|(setup, operations)| [setup.to_vec(), operations.concat()].concat())
    }

    /// `PROPTEST_CASES` makes it longer: 100,000 cases are some six million operations.
    fn config() -> ProptestConfig {
        let mut config = ProptestConfig::default();
        if std::env::var_os("PROPTEST_CASES").is_none() {
            config.cases = 1000;
        }
        config
    }

    proptest! {
        #![proptest_config(config())]

        #[test]
        fn whatever_is_done_each_request_ends_once_and_ours_stays_legal(data in program()) {
            super::operations(&data);
        }
    }

    /// `MCP_SOAK_OPERATIONS=10000000` makes two long days of it.
    #[test]
    fn a_long_connection_leaves_nothing_behind() {
        let operations = std::env::var("MCP_SOAK_OPERATIONS");
        let operations = operations.map_or(100_000, |n| n.parse().unwrap());
        for seed in [2, 3] {
            let (tally, passed) = super::soak(seed, operations / 2);
            println!("seed {seed}: {passed:?} simulated, {tally:?}");
            assert!(tally.answers > 0 && tally.timeouts > 0, "{tally:?}");
        }
    }

    #[test]
    fn the_committed_seeds_hold() {
        let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/seeds/session");
        let Ok(seeds) = std::fs::read_dir(seeds) else {
            // A crate that was taken out of its workspace has none.
            return println!("skipped: no seeds");
        };
        let mut count = 0;
        for seed in seeds {
            super::operations(&std::fs::read(seed.unwrap().path()).unwrap());
            count += 1;
        }
        assert!(count > 0);
    }

    #[test]
    fn the_programs_reach_what_they_are_to_try() {
        let mut runner = TestRunner::deterministic();
        let mut tally = super::Tally::default();
        for _ in 0..500 {
            let data = program().new_tree(&mut runner).unwrap().current();
            tally += super::operations(&data);
        }
        let rare = [
            tally.opened,
            tally.failed,
            tally.requests,
            tally.questions,
            tally.retries,
            tally.cancelled,
            tally.answers,
            tally.refusals,
            tally.timeouts,
            tally.losses,
            tally.broken,
            tally.progress,
            tally.notifications,
            tally.malformed,
        ];
        assert!(rare.iter().all(|n| *n >= 10), "{tally:?}");
    }
}
