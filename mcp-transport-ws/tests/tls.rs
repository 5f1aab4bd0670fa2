//! `wss://`: the certificate decides.
#![cfg(feature = "rustls")]
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use std::sync::Arc;

use futures::{FutureExt, SinkExt, StreamExt};
use mcp_testing::soon;
use mcp_transport_ws::rustls::crypto::ring;
use mcp_transport_ws::rustls::{ClientConfig, RootCertStore, ServerConfig};
use mcp_transport_ws::{AcceptOptions, ConnectError, Error, accept, connect};
use mcp_types::{Inbound, Message};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The server's side and the client's, which trusts that one.
fn certified() -> (TlsAcceptor, ClientConfig) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = own.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(ring::default_provider());
    let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let trusting = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    (TlsAcceptor::from(Arc::new(config)), trusting)
}

#[tokio::test]
async fn a_known_certificate_is_trusted_and_no_other() {
    let (acceptor, trusting) = certified();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
    let serves = async {
        let (tcp, _) = listener.accept().await.unwrap();
        assert!(acceptor.accept(tcp).await.is_err());
        let (tcp, _) = listener.accept().await.unwrap();
        let tls = acceptor.accept(tcp).await.unwrap();
        let mut socket = accept(tls, &AcceptOptions::new()).await.unwrap().socket;
        let Some(Ok(Inbound::Message(message))) = socket.next().await else {
            panic!("nothing came");
        };
        socket.send(message.into()).await.unwrap();
        assert!(socket.next().await.is_none());
    };
    let connects = async {
        // Nobody of the system's has signed it.
        let refused = connect(&url).await;
        assert!(matches!(refused, Err(ConnectError::Io(_))));
        let mut socket = connect(&url).tls(trusting).await.unwrap();
        let ping = Message::request(1, "ping", None);
        socket.send(ping.clone().into()).await.unwrap();
        let back = socket.next().await.unwrap().unwrap();
        assert_eq!(back, Inbound::Message(ping));
        socket.close().await.unwrap();
    };
    soon(async { tokio::join!(serves, connects) }).await;
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_cut_off_or_has_answered_a_goodbye() {
    for goodbye in [false, true] {
        let (acceptor, trusting) = certified();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("wss://localhost:{}/", listener.local_addr().unwrap().port());
        let serves = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let tls = acceptor.accept(tcp).await.unwrap();
            accept(tls, &AcceptOptions::new()).await.unwrap().socket
        };
        let connects = async { connect(&url).tls(trusting).await.unwrap() };
        let (server, mut client) = soon(async { tokio::join!(serves, connects) }).await;
        if goodbye {
            assert!(client.close().now_or_never().is_none());
        }
        // Without a word, of TLS neither.
        drop(server);
        match soon(client.next()).await {
            None => assert!(goodbye),
            Some(Err(Error::Cut)) => assert!(!goodbye),
            other => panic!("{other:?}"),
        }
    }
}
