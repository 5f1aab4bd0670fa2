//! The examples do what they say.

use std::sync::atomic::Ordering;
use std::time::Duration;

use mcp_peer::session::RequestError;

macro_rules! example {
    ($name:ident, $path:literal) => {
        #[path = $path]
        #[expect(dead_code, reason = "an example has a `main` of its own")]
        mod $name;
    };
}

example!(own_transport, "../examples/own_transport.rs");
example!(middleware, "../examples/middleware.rs");
example!(relay, "../examples/relay.rs");
example!(by_hand, "../../mcp-session/examples/by_hand.rs");

#[tokio::test(start_paused = true)]
async fn a_transport_of_ones_own() {
    let echoed = own_transport::run().await.unwrap();
    assert!(echoed.contains(r#""text":"hello""#), "{echoed}");
}

#[test]
fn a_transport_of_ones_own_is_short() {
    let source = include_str!("../examples/own_transport.rs");
    let (transport, _) = source.split_once("// ----").unwrap();
    assert!(transport.lines().count() < 40);
}

#[tokio::test(start_paused = true)]
async fn a_middleware_counts_delays_and_drops() {
    let ([late, lost], counts) = middleware::run().await.unwrap();
    assert!(matches!(late.0, Some(RequestError::Refused(_))), "{late:?}");
    assert_eq!(late.1, Duration::from_millis(100));
    assert!(
        matches!(lost.0, Some(RequestError::TimedOut(_))),
        "{lost:?}"
    );
    assert_eq!(counts.lost.load(Ordering::Relaxed), 1);
    // The answers to the handshake and to the one call that was not lost.
    assert_eq!(counts.received.load(Ordering::Relaxed), 2);
    assert!(counts.sent.load(Ordering::Relaxed) >= 2);
}

#[tokio::test(start_paused = true)]
async fn a_relay_passes_everything_on_in_order() {
    let seen = relay::run().await.unwrap();
    assert_eq!(seen, ["50/100", "100/100", "\"hello\""]);
}

#[test]
fn a_session_driven_by_hand() {
    let echoed = by_hand::run().unwrap();
    assert!(echoed.contains(r#""text":"hello""#), "{echoed}");
}
