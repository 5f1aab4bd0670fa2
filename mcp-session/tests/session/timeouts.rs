//! Time is an argument.

use std::time::Duration;

use crate::support::Side;

fn progress(client: &mut Side, value: f64) {
    client.hear(&format!(
        r#"{{"method":"notifications/progress","params":{{"progressToken":2,"progress":{value}}}}}"#
    ));
}

const CANCELLED: &str =
    r#"{"method":"notifications/cancelled","params":{"requestId":2,"reason":"timed out"}}"#;

#[test]
fn a_request_waits_for_as_long_as_it_is_told_to() {
    // REQ-TMO-01, REQ-ERR-06
    let seconds = |n| Some(Duration::from_secs(n));
    // The timeout, the total, and how long the request waits; progress that does not come prolongs nothing.
    let cases = [
        (None, None, 60.0),
        (Some(5), None, 5.0),
        (None, Some(5), 5.0),
        (Some(5), Some(3), 3.0),
        (Some(0), None, 0.0),
    ];
    for (timeout, total, expected) in cases {
        let mut client = Side::modern_client(|_| {});
        client.call_with(1, "tools/call", "{}", |o| {
            o.progress = true;
            o.reset_on_progress = true;
            o.timeout = timeout.and_then(seconds);
            o.total = total.and_then(seconds);
        });
        client.forget();
        let due = client.now + Duration::from_secs_f64(expected);
        assert_eq!(client.session.poll_timeout(), Some(due));
        if expected > 0.0 {
            client.wait(expected - 0.001).is_silent().wait(0.001);
        } else {
            client.wait(0.0);
        }
        client
            .says(&[CANCELLED])
            .tells(&["answer 1: no answer within *"])
            .is_idle();
        client
            .hear(r#"{"id":2,"result":{}}"#)
            .tells(&["misbehaved: *"]);
    }
}

#[test]
fn an_answer_after_the_time_but_before_it_was_noticed_counts() {
    let mut client = Side::modern_client(|_| {});
    client.call(1, "tools/call", "{}");
    client.forget();
    client.now += Duration::from_secs(100);
    client.hear(r#"{"id":2,"result":{}}"#);
    client
        .wait(0.0)
        .says(&[])
        .tells(&["answer 1: {}"])
        .is_idle();
}

#[test]
fn progress_prolongs_the_wait_if_that_is_wanted_and_never_beyond_the_total() {
    // REQ-TMO-02
    let mut client = Side::modern_client(|_| {});
    client.call_with(1, "tools/call", "{}", |o| {
        o.progress = true;
        o.reset_on_progress = true;
        o.timeout = Some(Duration::from_secs(10));
        o.total = Some(Duration::from_secs(25));
    });
    client.forget();
    for n in 1..=3 {
        client.wait(8.0);
        progress(&mut client, f64::from(n));
        client.says(&[]).tells(&[&format!("progress 1: {n}")]);
    }
    // 24 of 25 seconds are over.
    client.wait(0.9).is_silent();
    client
        .wait(0.1)
        .says(&[CANCELLED])
        .tells(&["answer 1: no answer within 25s"])
        .is_idle();
}

#[test]
fn progress_that_does_not_count_prolongs_nothing() {
    let mut client = Side::modern_client(|_| {});
    client.call_with(1, "tools/call", "{}", |o| {
        o.progress = true;
        o.reset_on_progress = true;
    });
    client.forget();
    client.wait(30.0);
    progress(&mut client, 1.0);
    client.wait(30.0);
    progress(&mut client, 1.0);
    client.wait(30.0).says(&[CANCELLED]).tells(&[
        "progress 1: 1",
        "misbehaved: progress for no request, or not increasing",
        "answer 1: no answer within 90s",
    ]);
}

#[test]
fn progress_does_not_prolong_by_itself() {
    let mut client = Side::modern_client(|_| {});
    client.call_with(1, "tools/call", "{}", |o| o.progress = true);
    client.forget();
    client.wait(59.0);
    progress(&mut client, 1.0);
    client
        .wait(1.0)
        .says(&[CANCELLED])
        .tells(&["progress 1: 1", "answer 1: no answer within 60s"]);
}

#[test]
fn all_that_is_due_is_done_at_once_and_in_order() {
    let mut client = Side::modern_client(|_| {});
    for (key, seconds) in [(1, 30), (2, 10), (3, 20), (4, 99)] {
        client.call_with(key, "tools/call", "{}", |o| {
            o.timeout = Some(Duration::from_secs(seconds));
        });
    }
    client.forget();
    client.wait(50.0).tells(&[
        "answer 2: no answer within 10s",
        "answer 3: no answer within 20s",
        "answer 1: no answer within 30s",
    ]);
    assert_eq!(client.session.calls_in_flight(), 1);
    assert_eq!(client.take_lines().len(), 3);
}

#[test]
fn a_request_may_wait_for_ever() {
    // A wait beyond the range of the clock is no overflow.
    let mut client = Side::modern_client(|config| {
        config.limits.request_total = Duration::MAX;
    });
    client.call_with(1, "tools/call", "{}", |o| {
        o.timeout = Some(Duration::MAX);
        o.reset_on_progress = true;
        o.progress = true;
    });
    client.call_with(2, "tools/call", "{}", |o| o.total = Some(Duration::MAX));
    client.forget();
    client.wait(60.0).tells(&["answer 2: no answer within 60s"]);
    progress(&mut client, 1.0);
    client.wait(3e8).tells(&["progress 1: 1"]);
    assert_eq!(client.session.calls_in_flight(), 1);
}

#[test]
fn a_servers_requests_have_times_too() {
    let mut server = Side::legacy_server("2025-11-25", r#"{"roots":{}}"#, |config| {
        config.limits.request_timeout = Duration::from_secs(7);
    });
    server.call(1, "roots/list", "{}");
    server.forget();
    server
        .wait(7.0)
        .says(&[
            r#"{"method":"notifications/cancelled","params":{"requestId":1,"reason":"timed out"}}"#,
        ])
        .tells(&["answer 1: no answer within 7s"])
        .is_idle();
}
