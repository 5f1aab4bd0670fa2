//! A listener, for programs that have no web server of their own.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};
use tower_service::Service as _;

use super::lanes::LONG;
use super::service::{HttpService, bounded};

/// Bounds and times of a listener's connections.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListenerOptions {
    /// Connections at a time; further ones wait to be accepted. Default 16,384.
    pub connections: usize,
    /// How long a client may take to send the head of a request. Default 30 s.
    pub head_time: Duration,
    /// Bytes that the head of a request may have; then 431. Default 64 KiB; over HTTP/1.1 at least 8 KiB.
    pub head_bytes: usize,
    /// How many headers a request may have over HTTP/1.1; then 431. Over HTTP/2 `head_bytes` alone bounds them. Default 100.
    pub headers: usize,
    /// How long a client may take nothing of what is sent to it. Default 30 s.
    pub write_time: Duration,
    /// How long requests may go on after the end was asked for. Default 10 s.
    pub shutdown_time: Duration,
}

/// What hyper takes if it is not told otherwise.
const HEADERS: usize = 100;

impl Default for ListenerOptions {
    fn default() -> Self {
        Self {
            connections: 16_384,
            head_time: Duration::from_secs(30),
            head_bytes: 64 * 1024,
            headers: HEADERS,
            write_time: Duration::from_secs(30),
            shutdown_time: Duration::from_secs(10),
        }
    }
}

/// Serves an [`HttpService`] on a TCP port, by HTTP/1.1 and by HTTP/2 without TLS.
///
/// ```no_run
/// # async fn run(service: mcp_transport_http::HttpService) -> std::io::Result<()> {
/// let listener = mcp_transport_http::HttpListener::bind("127.0.0.1:8080").await?;
/// listener.serve(service, std::future::pending()).await;
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    options: ListenerOptions,
}

impl HttpListener {
    /// Listens at an address; local servers want a local one (REQ-HTTPM-15).
    ///
    /// # Errors
    /// The address cannot be listened at.
    ///
    /// # Cancel safety
    /// Nothing is left behind.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(TcpListener::bind(address).await?.into())
    }

    /// Sets bounds and times.
    #[must_use]
    pub fn options(mut self, options: ListenerOptions) -> Self {
        self.options = options;
        self
    }

    /// Where it listens: the port that was chosen, if none was named.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `end` completes, then ends everything in good order.
    ///
    /// # Cancel safety
    /// Dropping the future ends all connections at once, and sessions if there is no other clone of the service.
    pub async fn serve(self, service: HttpService, end: impl Future<Output = ()>) {
        let Self { listener, options } = self;
        let graceful = GracefulShutdown::new();
        let room = Arc::new(Semaphore::new(bounded(options.connections)));
        let mut connections = JoinSet::new();
        let mut end = std::pin::pin!(end);
        loop {
            let accepted = tokio::select! {
                () = &mut end => break,
                accepted = accept(&listener, &room) => accepted,
                // What has ended is forgotten.
                Some(_) = connections.join_next() => continue,
            };
            let Some((stream, peer, permit)) = accepted else {
                continue;
            };
            let connection =
                connection(stream, peer, service.clone(), &options, graceful.watcher());
            connections.spawn(async move {
                connection.await;
                drop(permit);
            });
        }
        drop(listener);
        let ended = async {
            tokio::join!(graceful.shutdown(), service.shutdown());
        };
        if tokio::time::timeout(options.shutdown_time, ended)
            .await
            .is_err()
        {
            tracing::warn!("requests were still running when the time for the end was over");
        }
    }
}

impl From<TcpListener> for HttpListener {
    fn from(listener: TcpListener) -> Self {
        let options = ListenerOptions::default();
        Self { listener, options }
    }
}

/// The next connection, once there is room for it.
async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = Arc::clone(room).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, peer)) => Some((stream, peer, permit)),
        Err(error) => {
            tracing::warn!(%error, "a connection was not accepted");
            // Without descriptors, the next attempt would fail at once as well.
            sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

/// Serves one connection.
fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    service: HttpService,
    options: &ListenerOptions,
    watcher: Watcher,
) -> impl Future<Output = ()> + use<> {
    // Events are small, and each is wanted now.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no TCP_NODELAY");
    }
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.head_time.min(LONG))
        .max_buf_size(options.head_bytes.max(8 * 1024))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(options.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(options.head_time.min(LONG))
        .keep_alive_timeout(options.write_time.min(LONG));
    // Told so, even hyper's own number makes it allocate for each request what else is on its stack.
    if options.headers != HEADERS {
        builder.http1().max_headers(options.headers);
    }
    let io = TokioIo::new(Impatient::new(stream, options));
    let service = service.of(peer);
    let service = service_fn(move |request: Request<Incoming>| service.clone().call(request));
    async move {
        let connection = builder.serve_connection(io, service).into_owned();
        if let Err(error) = watcher.watch(connection).await {
            tracing::debug!(error, "a connection ended early");
        }
    }
}

/// What HTTP/2 begins with (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A stream whose other end has to begin, and to read what it gets.
struct Impatient<Io> {
    io: Io,
    /// Until it is clear what is spoken, from when on hyper has times of its own.
    silence: Option<Pin<Box<Sleep>>>,
    /// What has yet to come for it to be HTTP/2.
    preface: &'static [u8],
    write_time: Duration,
    /// While nothing can be written.
    stall: Option<Pin<Box<Sleep>>>,
}

impl<Io> Impatient<Io> {
    fn new(io: Io, options: &ListenerOptions) -> Self {
        Self {
            io,
            silence: Some(Box::pin(sleep(options.head_time))),
            preface: PREFACE,
            write_time: options.write_time,
            stall: None,
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Impatient<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buffer) {
            Poll::Ready(read) => {
                if this.silence.is_some() {
                    let came = &buffer.filled()[before..];
                    this.preface = this.preface.strip_prefix(came).unwrap_or_default();
                    if came.is_empty() || this.preface.is_empty() {
                        this.silence = None;
                    }
                }
                Poll::Ready(read)
            }
            Poll::Pending => {
                let Some(silence) = &mut this.silence else {
                    return Poll::Pending;
                };
                ready!(silence.as_mut().poll(cx));
                Poll::Ready(Err(timed_out("the client did not begin")))
            }
        }
    }
}

impl<Io: AsyncWrite + Unpin> Impatient<Io> {
    fn written<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stall = None;
            return written;
        }
        let time = self.write_time;
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(time)));
        ready!(stall.as_mut().poll(cx));
        Poll::Ready(Err(timed_out("the client does not read")))
    }
}

fn timed_out(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, why)
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Impatient<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.written(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.written(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.written(cx, shut)
    }
}
