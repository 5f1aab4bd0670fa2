//! The HTTP client below: connections, kept open for the next request.

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

pub(super) fn client(options: &HttpClientOptions) -> Wire {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(options.connect_time));
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .build(secured(tcp))
}

#[cfg(not(feature = "rustls"))]
fn secured(tcp: HttpConnector) -> Connector {
    tcp
}

#[cfg(feature = "rustls")]
fn secured(mut tcp: HttpConnector) -> Connector {
    tcp.enforce_http(false);
    hyper_rustls::HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .enable_http2()
        .wrap_connector(tcp)
}
