//! Input rounds as a client: asked by results, answering by retries.

use std::time::Duration;

use mcp_session::{ApiMisuse, CallKey, ClientConfig};
use mcp_types::TASKS_EXTENSION;

use crate::support::{Side, decode, nested, raw};

fn able(config: &mut ClientConfig) {
    config.capabilities =
        decode(r#"{"sampling":{},"elicitation":{"form":{},"url":{}},"roots":{}}"#);
}

/// A client whose request 2 waits, made with these parameters.
fn calling(params: &str) -> Side {
    let mut client = Side::modern_client(able);
    client.call(1, "tools/call", params);
    client.forget();
    client
}

const ALL_KINDS: &str = r#"{"r":{"method":"roots/list"},"e":{"method":"elicitation/create","params":{"message":"m"}},"s":{"method":"sampling/createMessage","params":{"maxTokens":1}}}"#;

fn ask(id: u32, questions: &str, state: &str) -> String {
    let questions = match questions {
        "" => String::new(),
        questions => format!(r#","inputRequests":{questions}"#),
    };
    let state = match state {
        "" => String::new(),
        state => format!(r#","requestState":{state}"#),
    };
    format!(r#"{{"id":{id},"result":{{"resultType":"input_required"{questions}{state}}}}}"#)
}

#[test]
fn all_questions_are_answered_and_the_request_is_made_again() {
    // REQ-MRTR-05, REQ-MRTR-07, TRAP-45: a new id, the original parameters, in whatever order the answers come.
    let mut client = calling(r#"{"name":"t","arguments":{"a":[1,2]}}"#);
    client.hear(&ask(2, ALL_KINDS, r#""S""#)).says(&[]).tells(&[
        "request 0 elicitation/create",
        "request 1 roots/list",
        "request 2 sampling/createMessage",
    ]);
    assert!(client.asked.iter().all(|asked| asked.id.is_none()));
    assert_eq!(
        client.asked[0].params.as_ref().unwrap().as_str(),
        r#"{"message":"m"}"#
    );
    assert_eq!(client.asked[1].params.as_ref().unwrap().as_str(), "{}");
    client.respond(2, r#"{"role":"assistant"}"#);
    client.respond(0, r#"{"action":"accept","content":{"x":1.5}}"#);
    client.is_silent();
    client.respond(1, r#"{"roots":[]}"#);
    client
        .tells(&[])
        .says(&[r#"{"id":3,"method":"tools/call","params":{"name":"t","arguments":{"a":[1,2]},"inputResponses":{"e":{"action":"accept","content":{"x":1.5}},"r":{"roots":[]},"s":{"role":"assistant"}},"requestState":"S","_meta":{"$V":"2026-07-28","$C":"*","$I":"*"}}}"#])
        // The first request is over.
        .hear(r#"{"id":2,"result":{}}"#)
        .tells(&["misbehaved: response to no request"])
        .hear(r#"{"id":3,"result":{"resultType":"complete","ok":true}}"#)
        .tells(&[r#"answer 1: {"resultType":"complete","ok":true}"#])
        .is_idle();
}

#[test]
fn without_questions_the_request_is_made_again_at_once() {
    // REQ-MRTR-02, REQ-MRTR-05
    let mut client = calling("{}");
    client
        .hear(&ask(2, "", r#""S""#))
        .tells(&[])
        .says(&[r#"{"id":3,"method":"tools/call","params":{"requestState":"S","_meta":"*"}}"#])
        .hear(&ask(3, "{}", r#""T""#))
        .says(&[r#"{"id":4,"method":"tools/call","params":{"requestState":"T","_meta":"*"}}"#]);
}

#[test]
fn what_a_task_asks_is_answered_before_its_update_goes_out() {
    // REQ-TSKX-03
    let update = |questions: &str| {
        let tasks = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
        let mut client = Side::modern_client_of(tasks, |config| {
            able(config);
            let extensions = &mut config.capabilities.extensions;
            extensions.insert(TASKS_EXTENSION.to_owned(), raw("{}"));
        });
        client.call_with(1, "tasks/update", r#"{"taskId":"t"}"#, |options| {
            options.questions = Some(raw(questions));
        });
        client
    };
    let mut client = update(r#"{"r":{"method":"roots/list"}}"#);
    client.says(&[]).tells(&["request 0 roots/list"]);
    client.respond(0, r#"{"roots":[]}"#);
    client
        .says(&[r#"{"id":3,"method":"tasks/update","params":{"taskId":"t","inputResponses":{"r":{"roots":[]}},"_meta":"*"}}"#])
        .hear(r#"{"id":3,"result":{"resultType":"complete"}}"#)
        .tells(&[r#"answer 1: {"resultType":"complete"}"#])
        .is_idle();
    for wrong in [r#"{"r":{"method":"ping"}}"#, "[]"] {
        update(wrong).says(&[]).tells(&["answer 1: *"]).is_idle();
    }
    // Nobody waits for the answer any more.
    let mut client = update(r#"{"r":{"method":"roots/list"}}"#);
    client.session.cancel(CallKey(1), None);
    client
        .says(&[])
        .tells(&["request 0 roots/list", "*"])
        .is_idle();
}

#[test]
fn answers_nested_deeper_than_anybody_reads_end_the_request() {
    // Two levels below the parameters.
    for (levels, fits) in [(124, true), (125, false)] {
        let mut client = calling("{}");
        let question = r#"{"a":{"method":"roots/list"}}"#;
        client.hear(&ask(2, question, r#""S""#)).forget();
        client.respond(0, &nested(levels));
        if fits {
            assert_eq!(client.take_lines().len(), 1);
            continue;
        }
        client
            .says(&[])
            .tells(&["answer 1: `tools/call` cannot be sent with these parameters: they are nested too deep"])
            .is_idle();
    }
}

#[test]
fn the_state_comes_back_byte_for_byte() {
    // REQ-MRTR-06, TRAP-45: as text, for a server may compare or sign what it wrote.
    for state in [
        r#""""#,
        r#""\u0041\/\n\"""#,
        r#""é\ud83d\ude00😀""#,
        r#""{\"not\":\"looked at\"}""#,
    ] {
        let mut client = calling("{}");
        client.hear(&ask(2, "", state));
        let sent = client.take_sent();
        let text = sent[0].message.to_string();
        assert!(
            text.contains(&format!(r#""requestState":{state}"#)),
            "{text}"
        );
    }
}

#[test]
fn what_the_last_round_brought_is_gone_in_the_next() {
    // REQ-MRTR-06, REQ-MRTR-15, TRAP-45
    let mut client = calling(r#"{"name":"t"}"#);
    client
        .hear(&ask(2, r#"{"a":{"method":"roots/list"}}"#, r#""S""#))
        .forget();
    client.respond(0, r#"{"roots":[]}"#);
    client
        .says(&[r#"{"id":3,"method":"tools/call","params":{"name":"t","inputResponses":{"a":{"roots":[]}},"requestState":"S","_meta":"*"}}"#])
        .hear(&ask(3, r#"{"b":{"method":"roots/list"}}"#, ""))
        .forget();
    client.respond(1, r#"{"roots":[]}"#);
    client
        .says(&[r#"{"id":4,"method":"tools/call","params":{"name":"t","inputResponses":{"b":{"roots":[]}},"_meta":"*"}}"#])
        .hear(&ask(4, "", r#""U""#))
        .says(&[r#"{"id":5,"method":"tools/call","params":{"name":"t","requestState":"U","_meta":"*"}}"#]);
    // And what the program itself put there is no answer to the server's question.
    let mut client = calling(r#"{"inputResponses":{"x":{}},"requestState":"mine"}"#);
    client
        .hear(&ask(2, "", r#""S""#))
        .says(&[r#"{"id":3,"method":"tools/call","params":{"requestState":"S","_meta":"*"}}"#]);
}

#[test]
fn each_round_has_its_own_meta_and_the_programs_keys() {
    // REQ-MRTR-07, REQ-PROG-01, inventory 3.6: level and a fresh token each round.
    let mut client = Side::modern_client(able);
    client.call_with(
        1,
        "tools/call",
        r#"{"_meta":{"inner":12345678901234567890123}}"#,
        |o| {
            o.progress = true;
            o.log_level = Some(mcp_types::LogLevel::Info);
            o.meta = Some(decode(r#"{"outer":1}"#));
        },
    );
    client
        .says(&[r#"{"id":2,"method":"tools/call","params":{"_meta":{"$V":"*","$C":"*","$I":"*","progressToken":2,"$L":"info","inner":12345678901234567890123,"outer":1}}}"#])
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":2,"progress":5}}"#)
        .hear(&ask(2, r#"{"a":{"method":"roots/list"}}"#, ""))
        .tells(&["progress 1: 5", "request 0 roots/list"])
        // Between the rounds nothing belongs to it.
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":2,"progress":6}}"#)
        .tells(&["misbehaved: progress for no request, or not increasing"]);
    client.respond(0, "{}");
    client
        .says(&[r#"{"id":3,"method":"tools/call","params":{"inputResponses":{"a":{}},"_meta":{"$V":"*","$C":"*","$I":"*","progressToken":3,"$L":"info","inner":12345678901234567890123,"outer":1}}}"#])
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":2,"progress":7}}"#)
        // A new token starts anew.
        .hear(r#"{"method":"notifications/progress","params":{"progressToken":3,"progress":1}}"#)
        .tells(&["misbehaved: *", "progress 1: 1"]);
}

#[test]
fn a_round_that_breaks_the_rules_ends_the_call() {
    let cases = [
        // REQ-MRTR-02
        (
            r#"{"resultType":"input_required"}"#,
            "neither questions nor a state",
        ),
        // REQ-MRTR-03
        (
            r#"{"resultType":"input_required","inputRequests":{"a":{"method":"tools/list"}}}"#,
            "something that is no question",
        ),
        (
            r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list","params":[]}}}"#,
            "something that is no question",
        ),
        (
            r#"{"resultType":"input_required","inputRequests":{"a":{}}}"#,
            "`inputRequests` is no map of requests",
        ),
        (
            r#"{"resultType":"input_required","inputRequests":[]}"#,
            "`inputRequests` is no map of requests",
        ),
        (
            r#"{"resultType":"input_required","inputRequests":null}"#,
            "`inputRequests` is no map of requests",
        ),
        (
            r#"{"resultType":"input_required","requestState":7}"#,
            "`requestState` is not a string",
        ),
        (
            r#"{"resultType":"input_required","requestState":null}"#,
            "`requestState` is not a string",
        ),
        // REQ-MRTR-04, REQ-CAP-09
        (
            r#"{"resultType":"input_required","inputRequests":{"a":{"method":"sampling/createMessage","params":{"tools":[]}}}}"#,
            "it asks for an undeclared capability",
        ),
    ];
    for (result, what) in cases {
        let mut client = calling("{}");
        client
            .hear(&format!(r#"{{"id":2,"result":{result}}}"#))
            .says(&[])
            .tells(&[&format!(
                "answer 1: the peer misbehaved: invalid input round: {what}"
            )])
            .is_idle();
    }
    // One question too many, of which none is asked.
    let mut client = Side::modern_client(|config| {
        able(config);
        config.limits.round_inputs = 2;
    });
    client.call(1, "tools/call", "{}");
    client.forget();
    client
        .hear(&ask(2, ALL_KINDS, ""))
        .says(&[])
        .tells(&["answer 1: the peer misbehaved: invalid input round: too many questions"])
        .is_idle();
}

#[test]
fn questions_are_bounded_as_requests_are() {
    let roots = r#"{"method":"roots/list"}"#;
    let two = format!(r#"{{"a":{roots},"b":{roots}}}"#);
    let text = "x".repeat(100);
    let long =
        format!(r#"{{"a":{{"method":"elicitation/create","params":{{"message":"{text}"}}}}}}"#);
    for (requests, bytes, first, second, what) in [
        (
            3,
            1000,
            &two,
            &two,
            "`roots/list`: more than 3 requests in flight",
        ),
        (
            9,
            100,
            &long,
            &long,
            "`elicitation/create`: more than 100 bytes of requests in flight",
        ),
    ] {
        let mut client = Side::modern_client(|config| {
            able(config);
            config.limits.incoming_requests = requests;
            config.limits.incoming_bytes = bytes;
        });
        client.call(1, "tools/call", "{}");
        client.call(2, "tools/call", "{}");
        client.hear(&ask(2, first, "")).forget();
        let asked = client.asked.len();
        client.forget();
        client
            .hear(&ask(3, second, ""))
            .tells(&[&format!("answer 2: no input for {what}*")]);
        // What is open goes on, and when it is over there is room again.
        for n in 0..asked {
            client.respond(n, r#"{"action":"cancel"}"#);
        }
        client.call(3, "tools/call", "{}");
        client.forget();
        client.hear(&ask(5, second, ""));
        assert_eq!(client.take_events().len(), asked);
        client
            .hear(r#"{"id":4,"result":{}}"#)
            .tells(&["answer 1: {}"]);
    }
    // A state is kept once, however many questions come with it.
    let mut client = Side::modern_client(|config| {
        able(config);
        config.limits.incoming_bytes = 300;
    });
    client.call(1, "tools/call", "{}");
    client.call(2, "tools/call", "{}");
    for id in [2, 3] {
        client.hear(&ask(id, &two, &format!(r#""{text}""#)));
        assert_eq!(client.take_events().len(), 2);
    }
}

#[test]
fn a_state_weighs_until_the_last_question_is_answered_or_dropped() {
    // Each question weighs 13 bytes, the state 102.
    let two = r#"{"a":{"method":"roots/list"},"b":{"method":"roots/list"}}"#;
    let state = format!(r#""{}""#, "s".repeat(100));
    let answer = r#"{"roots":[]}"#;
    let mut client = Side::modern_client(|config| {
        able(config);
        config.limits.incoming_bytes = 300;
    });
    for call in 1..=3 {
        client.call(call, "tools/call", "{}");
    }
    for (id, question) in [(2, 0), (3, 2)] {
        client.hear(&ask(id, two, &state));
        assert_eq!(client.take_events().len(), 2);
        client.respond(question, answer);
    }
    client.hear(&ask(4, two, &state)).tells(&[
        "answer 3: no input for `roots/list`: more than 300 bytes of requests in flight*",
    ]);
    // It goes out with the last answer, as the fifth message.
    client.respond(1, answer);
    client.call(4, "tools/call", "{}");
    client.hear(&ask(6, two, &state));
    assert_eq!(client.take_events().len(), 2);
    client.cancel(2, None);
    client.cancel(4, None);
    client.forget();
    // Nothing is left of any: there is room for all that there may be, and for no more.
    client.call(5, "tools/call", "{}");
    client.hear(&ask(7, two, "")).forget();
    for (call, length, events) in [(6, 249, 1), (7, 248, 2)] {
        client.call(call, "tools/call", "{}");
        let state = format!(r#""{}""#, "s".repeat(length - 2));
        client.hear(&ask(call as u32 + 2, two, &state));
        assert_eq!(client.take_events().len(), events);
    }
}

#[test]
fn a_question_may_have_more_members_than_it_needs() {
    // X9
    let mut client = calling("{}");
    client
        .hear(&ask(
            2,
            r#"{"a":{"method":"roots/list","id":7,"jsonrpc":"2.0"}}"#,
            "",
        ))
        .tells(&["request 0 roots/list"]);
}

#[test]
fn undeclared_capabilities_are_not_asked_for() {
    // REQ-MRTR-04
    for question in [
        r#"{"method":"roots/list"}"#,
        r#"{"method":"sampling/createMessage","params":{}}"#,
        r#"{"method":"elicitation/create","params":{}}"#,
    ] {
        let mut client = Side::modern_client(|_| {});
        client.call(1, "prompts/get", "{}");
        client.forget();
        client
            .hear(&ask(2, &format!(r#"{{"a":{question}}}"#), ""))
            .says(&[])
            .tells(&["answer 1: the peer misbehaved: invalid input round: it asks for an undeclared capability"])
            .is_idle();
    }
}

#[test]
fn only_three_methods_take_input() {
    // REQ-MRTR-01, TRAP-48
    for (method, takes) in [
        ("tools/call", true),
        ("prompts/get", true),
        ("resources/read", true),
        ("tools/list", false),
        ("completion/complete", false),
        ("com.example/own", false),
    ] {
        let mut client = Side::modern_client(able);
        client.call(1, method, "{}");
        client.forget();
        client.hear(&ask(2, "", r#""S""#));
        if takes {
            assert_eq!(client.take_lines().len(), 1);
        } else {
            client
                .says(&[])
                .tells(&[
                    "answer 1: the peer misbehaved: invalid input round: the method takes no input",
                ])
                .is_idle();
        }
        assert_eq!(mcp_session::takes_input(method), takes);
    }
}

#[test]
fn there_are_only_so_many_rounds() {
    // REQ-MRTR-16
    let mut client = calling("{}");
    for id in 2..12 {
        client.hear(&ask(id, "", r#""S""#));
        assert_eq!(client.take_lines()[0]["id"], id + 1);
    }
    client
        .hear(&ask(12, "", r#""S""#))
        .says(&[])
        .tells(&["answer 1: the peer misbehaved: more than 10 input rounds"])
        .is_idle();
}

#[test]
fn a_handler_that_fails_fails_the_call_but_an_elicitation_is_cancelled() {
    // REQ-SAMP-09, REQ-ELIC-04, inventory 3.6
    let mut client = calling("{}");
    client.hear(&ask(2, ALL_KINDS, "")).forget();
    client.respond_error(0, -32603);
    client.respond(1, "{}");
    client.is_silent();
    client.respond(2, "{}");
    client.says(&[r#"{"id":3,"method":"tools/call","params":{"inputResponses":{"e":{"action":"cancel"},"r":{},"s":{}},"_meta":"*"}}"#]);

    for failing in [1, 2] {
        let mut client = calling("{}");
        client.hear(&ask(2, ALL_KINDS, "")).forget();
        client.respond_error(failing, -1);
        let others: Vec<_> = (0..3).filter(|n| *n != failing).collect();
        client.says(&[]).tells(&[
            &format!("cancelled {} CallEnded", others[0]),
            &format!("cancelled {} CallEnded", others[1]),
            "answer 1: no input for `*",
        ]);
        assert_eq!(
            client.try_respond(others[0], Ok("{}")),
            Err(ApiMisuse::Ended)
        );
        client.is_idle();
    }
}

#[test]
fn cancel_during_a_round() {
    // Inventory 3.6: between the rounds there is nothing to cancel on the wire (REQ-CANC-04).
    let mut client = calling("{}");
    client.hear(&ask(2, ALL_KINDS, "")).forget();
    client.respond(0, "{}");
    client.cancel(1, Some("enough"));
    client
        .says(&[])
        .tells(&["cancelled 1 CallEnded", "cancelled 2 CallEnded"]);
    assert_eq!(client.try_respond(1, Ok("{}")), Err(ApiMisuse::Ended));
    client.wait(1e6).is_silent().is_idle();
    // In the next round it is that round's id.
    let mut client = calling("{}");
    client.hear(&ask(2, "", r#""S""#)).forget();
    client.cancel(1, None);
    client
        .says(&[r#"{"method":"notifications/cancelled","params":{"requestId":3}}"#])
        .tells(&[])
        .is_idle();
}

#[test]
fn a_question_that_was_not_seen_yet_is_taken_back_in_order() {
    let mut client = calling("{}");
    client.hear(&ask(2, r#"{"a":{"method":"roots/list"}}"#, ""));
    client.cancel(1, None);
    client.tells(&["request 0 roots/list", "cancelled 0 CallEnded"]);
}

#[test]
fn time_during_a_round() {
    // The timeout of a request does not run while the user thinks; the total does (REQ-MRTR-16).
    let mut client = Side::modern_client(able);
    client.call_with(1, "tools/call", "{}", |o| {
        o.timeout = Some(Duration::from_secs(10));
        o.total = Some(Duration::from_secs(100));
    });
    client
        .wait(9.0)
        .hear(&ask(2, r#"{"a":{"method":"roots/list"}}"#, ""))
        .forget();
    client.wait(80.0).is_silent();
    client.respond(0, "{}");
    client.forget();
    client.wait(9.9).is_silent();
    client
        .wait(0.1)
        .says(&[
            r#"{"method":"notifications/cancelled","params":{"requestId":3,"reason":"timed out"}}"#,
        ])
        .tells(&["answer 1: no answer within 99s"])
        .is_idle();

    let mut client = Side::modern_client(able);
    client.call_with(1, "tools/call", "{}", |o| {
        o.total = Some(Duration::from_secs(100));
    });
    client
        .wait(50.0)
        .hear(&ask(2, r#"{"a":{"method":"roots/list"}}"#, ""))
        .forget();
    client
        .wait(50.0)
        .says(&[])
        .tells(&["cancelled 0 CallEnded", "answer 1: no answer within 100s"])
        .is_idle();
}

#[test]
fn the_end_of_the_connection_during_a_round() {
    let mut client = calling("{}");
    client
        .hear(&ask(2, r#"{"a":{"method":"roots/list"}}"#, ""))
        .forget();
    client.session.handle_disconnected("gone");
    client
        .says(&[])
        .tells(&[
            "cancelled 0 CallEnded",
            "answer 1: connection lost before the answer: gone",
        ])
        .is_idle();
}

#[test]
fn two_calls_in_rounds_do_not_mix() {
    let mut client = calling(r#"{"name":"one"}"#);
    client.call(2, "prompts/get", r#"{"name":"two"}"#);
    client
        .hear(&ask(3, r#"{"a":{"method":"roots/list"}}"#, r#""T""#))
        .hear(&ask(2, r#"{"a":{"method":"roots/list"}}"#, r#""S""#))
        .forget();
    client.respond(1, r#"{"n":1}"#);
    client.says(&[r#"{"id":4,"method":"tools/call","params":{"name":"one","inputResponses":{"a":{"n":1}},"requestState":"S","_meta":"*"}}"#]);
    client.cancel(1, None);
    client.forget();
    client.respond(0, r#"{"n":2}"#);
    client.says(&[r#"{"id":5,"method":"prompts/get","params":{"name":"two","inputResponses":{"a":{"n":2}},"requestState":"T","_meta":"*"}}"#]);
}

#[test]
fn the_peer_cannot_cancel_or_answer_a_question() {
    // It has no id on the wire.
    let mut client = calling("{}");
    client
        .hear(&ask(2, r#"{"a":{"method":"roots/list"}}"#, ""))
        .forget();
    client
        .hear(r#"{"method":"notifications/cancelled","params":{"requestId":"a"}}"#)
        .hear(r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#)
        .is_silent();
    client.respond(0, "{}");
    assert_eq!(client.take_lines().len(), 1);
}
