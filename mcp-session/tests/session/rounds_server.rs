//! Input rounds as a server: asking by results, reading retries.

use mcp_session::{ApiMisuse, InputRequired, Question};
use mcp_types::RawJson;

use crate::support::{Side, raw};

fn asking(questions: &[(&str, &str)], state: Option<&str>) -> InputRequired {
    InputRequired {
        questions: questions
            .iter()
            .map(|(name, method)| {
                let question = Question {
                    method: (*method).into(),
                    params: RawJson::EMPTY_OBJECT,
                };
                ((*name).to_owned(), question)
            })
            .collect(),
        state: state.map(str::to_owned),
    }
}

fn asked(method: &str) -> Side {
    let mut server = Side::legacy_server("2025-11-25", r#"{"roots":{}}"#, |_| {});
    server
        .hear(&format!(
            r#"{{"id":2,"method":"{method}","params":{{"_meta":{{"$V":"2026-07-28","$C":{{"roots":{{}},"elicitation":{{}}}}}}}}}}"#
        ))
        .forget();
    server
}

#[test]
fn a_request_ends_with_questions() {
    // REQ-MRTR-02, REQ-JRPC-09, REQ-META-04, REQ-MRTR-17: no cache hints.
    let cases = [
        (
            asking(&[("a", "roots/list")], None),
            r#""inputRequests":{"a":{"method":"roots/list","params":{}}}"#,
        ),
        (asking(&[], Some("s\"")), r#""requestState":"s\"""#),
        (asking(&[], Some("")), r#""requestState":"""#),
        (
            asking(
                &[("a", "roots/list"), ("b", "elicitation/create")],
                Some("s"),
            ),
            r#""inputRequests":{"a":{"method":"roots/list","params":{}},"b":{"method":"elicitation/create","params":{}}},"requestState":"s""#,
        ),
    ];
    for (input, expected) in cases {
        let mut server = asked("tools/call");
        server.session.require_input(server.key(0), input).unwrap();
        server.says(&[&format!(
            r#"{{"id":2,"result":{{"resultType":"input_required",{expected},"_meta":{{"$S":{{"name":"s","version":"1"}}}}}}}}"#
        )]);
        // It is over: there is nothing to answer and nothing to cancel.
        assert_eq!(server.try_respond(0, Ok("{}")), Err(ApiMisuse::Ended));
        server
            .hear(r#"{"method":"notifications/cancelled","params":{"requestId":2}}"#)
            .is_silent()
            .is_idle();
    }
}

#[test]
fn a_round_that_the_protocol_does_not_know_is_refused() {
    // REQ-MRTR-02, REQ-MRTR-03
    let mut list = asking(&[("a", "roots/list")], None);
    list.questions
        .values_mut()
        .for_each(|q| q.params = raw("[]"));
    for input in [
        asking(&[], None),
        asking(&[("a", "tools/list")], None),
        asking(&[("a", "roots/list"), ("b", "ping")], Some("s")),
        list,
    ] {
        let mut server = asked("tools/call");
        let refused = server.session.require_input(server.key(0), input);
        assert!(
            matches!(refused, Err(ApiMisuse::InputRound(_))),
            "{refused:?}"
        );
        server.is_silent();
        server.respond(0, "{}");
        assert_eq!(server.take_lines().len(), 1);
    }
}

#[test]
fn only_modern_requests_of_three_methods_can_ask() {
    // REQ-MRTR-01, TRAP-48
    for (method, takes) in [
        ("tools/call", true),
        ("prompts/get", true),
        ("resources/read", true),
        ("tools/list", false),
        ("completion/complete", false),
        ("com.example/own", false),
    ] {
        let mut server = asked(method);
        let done = server
            .session
            .require_input(server.key(0), asking(&[], Some("s")));
        match takes {
            true => assert_eq!(done, Ok(())),
            false => assert_eq!(done, Err(ApiMisuse::NoInputHere(method.into()))),
        }
        // A legacy client is asked by a request.
        let mut server = Side::legacy_server("2025-11-25", r#"{"roots":{}}"#, |_| {});
        server
            .hear(&format!(r#"{{"id":2,"method":"{method}"}}"#))
            .forget();
        assert_eq!(
            server
                .session
                .require_input(server.key(0), asking(&[], Some("s"))),
            Err(ApiMisuse::NoInputHere(method.into()))
        );
    }
}

#[test]
fn a_client_cannot_ask() {
    let mut client = Side::modern_client(|config| {
        config.capabilities = crate::support::decode(r#"{"roots":{}}"#);
    });
    client.call(1, "tools/call", "{}");
    client
        .hear(r#"{"id":2,"result":{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}}"#)
        .forget();
    let refused = client
        .session
        .require_input(client.key(0), asking(&[], Some("s")));
    assert_eq!(refused, Err(ApiMisuse::NoInputHere("roots/list".into())));
}

/// What a request brings, and what the program sees of it.
#[test]
fn a_retry_is_read_where_there_can_be_one() {
    // REQ-MRTR-08, REQ-MRTR-13, REQ-MRTR-18, TRAP-09
    enum Seen {
        Nothing,
        Retry(Option<&'static str>, &'static str),
        Refused,
    }
    use Seen::{Nothing, Refused, Retry};
    let cases = [
        ("", Nothing),
        (r#""requestState":"s","#, Retry(Some("s"), "{}")),
        (r#""requestState":"\u0041\n","#, Retry(Some("A\n"), "{}")),
        (r#""requestState":"","#, Retry(Some(""), "{}")),
        (r#""inputResponses":{},"#, Retry(None, "{}")),
        (
            r#""inputResponses":{"a":{"action":"accept"},"unknown":{}},"requestState":"s","#,
            Retry(Some("s"), r#"{"a":{"action":"accept"},"unknown":{}}"#),
        ),
        (r#""inputResponses":[],"#, Refused),
        (r#""inputResponses":null,"#, Refused),
        (r#""inputResponses":"a","#, Refused),
        (
            r#""inputResponses":{"a":1,"b":null},"#,
            Retry(None, r#"{"a":1,"b":null}"#),
        ),
        (r#""requestState":1,"#, Refused),
        (r#""requestState":null,"#, Refused),
        (r#""requestState":{},"inputResponses":{},"#, Refused),
    ];
    for (brought, expected) in cases {
        for method in ["tools/call", "prompts/get", "resources/read"] {
            let mut server = Side::server(|_| {});
            server.hear(&format!(
                r#"{{"id":2,"method":"{method}","params":{{{brought}"_meta":{{$M}}}}}}"#
            ));
            server.take_events();
            let seen = server.asked.first().map(|asked| asked.retry.as_ref());
            match (&expected, seen) {
                (Nothing, Some(None)) => {}
                (Retry(state, responses), Some(Some(retry))) => {
                    assert_eq!(retry.state.as_deref(), *state);
                    assert_eq!(retry.responses.as_str(), *responses);
                }
                (Refused, None) => {
                    server.says(&[r#"{"id":2,"error":{"code":-32602,"...":0}}"#]);
                }
                (_, other) => panic!("{method} {brought}: {other:?}"),
            }
        }
        // Elsewhere these are parameters like any other, and so they are in the legacy era.
        for request in [
            format!(r#"{{"id":2,"method":"tools/list","params":{{{brought}"_meta":{{$M}}}}}}"#),
            format!(r#"{{"id":2,"method":"tools/call","params":{{{brought}"x":1}}}}"#),
        ] {
            let mut server = Side::legacy_server("2025-11-25", "{}", |_| {});
            server.hear(&request).says(&[]);
            server.take_events();
            assert!(server.asked[0].retry.is_none(), "{request}");
        }
    }
}
