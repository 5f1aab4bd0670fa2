//! What cannot be seen from outside.

use std::future::poll_fn;
use std::pin::pin;

use mcp_types::Implementation;

use super::*;
use crate::{HandlerFuture, duplex};

#[tokio::test(start_paused = true)]
async fn calls_that_follow_each_other_have_one_timer() {
    let (left, right) = duplex(16);
    let info = Implementation::new("test", "1.0.0");
    let answering = |_: crate::Request| -> HandlerFuture {
        Box::pin(std::future::ready(Answer::Result(ObjectBuf::new())))
    };
    let setup = ServerSetup::from(mcp_session::ServerConfig::new(info.clone()));
    let serving = server(
        right,
        Arc::new(setup),
        Arc::new(answering),
        Options::default(),
    );
    tokio::spawn(serving.driver);
    let config = ClientConfig::new(info);
    let mut connection = client(left, config, Arc::new(crate::NoHandler), Options::default());
    let peer = connection.peer.clone();
    let mut timers = Vec::new();
    for _ in 0..3 {
        let mut calling = pin!(async {
            peer.opened().await.map_err(|e| e.to_string())?;
            let options = CallOptions::default();
            let calling = peer.request_raw("x/y".into(), ObjectBuf::new(), options, |_| ());
            calling.await.map_err(|e| e.to_string())
        });
        let called = poll_fn(|cx| {
            assert!(Pin::new(&mut connection.driver).poll(cx).is_pending());
            calling.as_mut().poll(cx)
        });
        called.await.expect("an answer");
        // Until it has nothing to do.
        let rest = poll_fn(|cx| Poll::Ready(Pin::new(&mut connection.driver).poll(cx)));
        assert!(rest.await.is_pending());
        timers.push(connection.driver.timer.as_ref().map(|(due, _)| *due));
        tokio::time::advance(std::time::Duration::from_millis(1)).await;
    }
    assert!(timers[0].is_some());
    assert_eq!(timers[0], timers[1]);
    assert_eq!(timers[1], timers[2]);
}
