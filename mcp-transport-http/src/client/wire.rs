//! The HTTP client below: connections, kept open for the next request.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::HttpClientOptions;

#[cfg(not(feature = "rustls"))]
type Connector = HttpConnector;
#[cfg(feature = "rustls")]
type Connector = hyper_rustls::HttpsConnector<HttpConnector>;

pub(super) type Wire = Client<Connector, Full<Bytes>>;

/// After this much silence the other end is asked whether it is there: the next request is not to go out on a connection
/// that is dead, nor is a stream to wait on one.
const QUIET: Duration = Duration::from_secs(30);
/// The other end is gone if it has not answered that by then.
const UNHEARD: Duration = Duration::from_secs(20);

/// A client whose TLS is of the default kind, if there is TLS.
pub(super) fn client(options: &HttpClientOptions) -> Wire {
    #[cfg(not(feature = "rustls"))]
    return over(options, |tcp| tcp);
    #[cfg(feature = "rustls")]
    secured(options, tls())
}

fn over(options: &HttpClientOptions, secured: impl FnOnce(HttpConnector) -> Connector) -> Wire {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(options.connect_time));
    tcp.set_keepalive(Some(QUIET));
    tcp.set_keepalive_interval(Some(UNHEARD / 2));
    tcp.set_keepalive_retries(Some(2));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .timer(TokioTimer::new())
        .http2_keep_alive_interval(QUIET)
        .http2_keep_alive_timeout(UNHEARD)
        .http2_keep_alive_while_idle(true)
        .build(secured(tcp))
}

#[cfg(feature = "rustls")]
pub(super) fn secured(options: &HttpClientOptions, mut config: rustls::ClientConfig) -> Wire {
    // What is negotiated is what can be spoken below.
    config.alpn_protocols.clear();
    over(options, |mut tcp| {
        tcp.enforce_http(false);
        hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(tcp)
    })
}

/// Trusts whom the system trusts.
#[cfg(feature = "rustls")]
fn tls() -> rustls::ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs();
    for error in system.errors {
        tracing::warn!(%error, "a certificate of the system cannot be read");
    }
    roots.add_parsable_certificates(system.certs);
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring speaks the versions of TLS that rustls prefers")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
