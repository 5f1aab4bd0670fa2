//! `https://`: the certificate decides, and ALPN chooses the version.

#![cfg(feature = "rustls")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::sync::{Arc, Mutex};

use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use mcp_client::{Client, EraChoice};
use mcp_server::{Cx, Server, tool};
use mcp_transport_http::rustls::crypto::ring;
use mcp_transport_http::rustls::{ClientConfig, RootCertStore, ServerConfig};
use mcp_transport_http::{HttpClient, HttpService};
use support::soon;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

async fn steps(cx: Cx) -> &'static str {
    let progress = cx.progress();
    for _ in 0..3 {
        progress.step("step").await;
    }
    "Done."
}

/// A server by these versions of HTTP, a client's settings that trust it, and the versions of the requests it has had.
async fn start(alpn: &[&str]) -> (String, ClientConfig, Arc<Mutex<Vec<Version>>>) {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = own.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let mut roots = RootCertStore::empty();
    roots.add(own.cert.der().clone()).unwrap();
    let trusting = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();

    let server = Server::new("secured", "1.0.0")
        .tool(tool("steps", steps))
        .start();
    let service = HttpService::new(move |c| server.serve_with(c.transport, c.extensions));
    let versions = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&versions);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!(
        "https://localhost:{}/mcp",
        listener.local_addr().unwrap().port()
    );
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            let (acceptor, service, seen) = (acceptor.clone(), service.clone(), Arc::clone(&seen));
            tokio::spawn(async move {
                // A client that does not trust us goes away here.
                let Ok(tls) = acceptor.accept(tcp).await else {
                    return;
                };
                let service = service_fn(move |request: Request<Incoming>| {
                    seen.lock().unwrap().push(request.version());
                    service.clone().call(request)
                });
                let builder = auto::Builder::new(TokioExecutor::new());
                let _ = builder.serve_connection(TokioIo::new(tls), service).await;
            });
        }
    });
    (url, trusting, versions)
}

async fn connect(http: &HttpClient, url: &str, era: EraChoice) -> Result<Client, String> {
    let client = Client::builder("client", "1.0.0").era(era);
    let client = client.connect(http.connect(url).unwrap());
    soon(client).await.map_err(|error| error.to_string())
}

#[tokio::test]
async fn a_known_certificate_is_trusted_over_either_version_of_http() {
    for (alpn, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let (url, trusting, versions) = start(alpn).await;
        let http = HttpClient::new().tls(trusting);
        for era in [EraChoice::Auto, EraChoice::Legacy] {
            let client = connect(&http, &url, era).await.unwrap();
            let mut seen = 0;
            let call = client
                .call_tool("steps", serde_json::json!({}))
                .on_progress(|_| seen += 1);
            assert_eq!(soon(call.into_future()).await.unwrap().to_text(), "Done.");
            assert_eq!(seen, 3);
            soon(client.close()).await;
        }
        let versions = versions.lock().unwrap();
        assert!(versions.len() >= 4);
        assert!(versions.iter().all(|v| *v == version), "{versions:?}");
    }
}

#[tokio::test]
async fn an_unknown_certificate_is_refused() {
    let (url, trusting, versions) = start(&["h2", "http/1.1"]).await;
    // Nobody of the system's has signed it, and it is good for one name.
    let other_name = url.replace("localhost", "127.0.0.1");
    for (http, url) in [
        (HttpClient::new(), &url),
        (HttpClient::new().tls(trusting), &other_name),
    ] {
        for era in [EraChoice::Auto, EraChoice::Legacy] {
            let error = connect(&http, url, era).await.unwrap_err();
            assert!(error.contains("certificate"), "{error}");
        }
    }
    assert!(versions.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_with_another_certificate() {
    let server = Server::new("plain", "1.0.0").start();
    let service = HttpService::new(move |c| server.serve_with(c.transport, c.extensions));
    let server = support::serve(service).await;
    let url = server.url().replace("http:", "https:");
    let error = connect(&HttpClient::new(), &url, EraChoice::Auto).await;
    let expected = format!("{}: the server does not speak TLS", server.address);
    let error = error.unwrap_err();
    assert!(error.ends_with(&expected), "{error}");
}
