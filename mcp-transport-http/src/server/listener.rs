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
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Sleep, sleep};
use tower_service::Service as _;

use super::lanes::LONG;
use super::pace::Paced;
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
    /// How long a client may take nothing of what is sent to it; over HTTP/2, how long it may have no room for 16 KiB of what is
    /// sent on a stream, which then ends alone. Default 30 s.
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
            if let Err(error) = set_up(&stream, &options) {
                tracing::debug!(%error, "a socket is left as it is");
            }
            let connection = connection(stream, service.of(peer), &options, graceful.watcher());
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

/// After this much silence the system asks whether the other end is there.
const QUIET: Duration = Duration::from_secs(30);

/// As good as for ever, and still a number of milliseconds that the system takes.
#[cfg(target_os = "linux")]
const LONGEST: Duration = Duration::from_millis(i32::MAX as u64);

/// Prepares a socket for what is sent to clients, and for those who vanish without a word.
fn set_up(stream: &TcpStream, options: &ListenerOptions) -> io::Result<()> {
    // Events are small, and each is wanted now.
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(QUIET))?;
    // Whoever is sent something is not asked, and what is sent would go to nobody for a quarter of an hour.
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(options.write_time.min(LONGEST)))?;
    #[cfg(not(target_os = "linux"))]
    let _ = options;
    Ok(())
}

/// Serves one connection.
fn connection<Io>(
    stream: Io,
    service: HttpService,
    options: &ListenerOptions,
    watcher: Watcher,
) -> impl Future<Output = ()> + use<Io>
where
    Io: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = auto::Builder::new(Paced(options.write_time));
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;
    use std::future::pending;

    use bytes::Bytes;
    use futures::SinkExt;
    use http_body_util::{BodyExt, Full};
    use hyper::client::conn::http2;
    use hyper_util::rt::TokioExecutor;
    use mcp_types::Message;
    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use crate::Accepted;

    /// A request over HTTP/2 to a server that says `size` bytes at a time, for ever if any; the response, and the end of what
    /// is done for it.
    async fn asked(window: u32, size: usize) -> (Incoming, impl Future<Output = ()>) {
        let (alive, gone) = oneshot::channel::<()>();
        let alive = std::sync::Mutex::new(Some(alive));
        let service = HttpService::new(move |Accepted { mut transport, .. }| {
            let alive = alive.lock().expect("nobody panics").take();
            async move {
                let _alive = alive;
                if size == 0 {
                    return pending::<Result<(), Infallible>>().await;
                }
                loop {
                    let said = Message::notification("x".repeat(size), None);
                    let sent = transport.send(said.into()).await;
                    sent.expect("it does not fail");
                }
            }
        });
        let (client, server) = tokio::io::duplex(1 << 20);
        let options = ListenerOptions::default();
        let graceful = GracefulShutdown::new();
        tokio::spawn(connection(server, service, &options, graceful.watcher()));
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        let shaken = builder.handshake(TokioIo::new(client)).await;
        let (mut requests, connection) = shaken.expect("it is there");
        tokio::spawn(connection);
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
        let request = Request::post("http://localhost/")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(Full::new(Bytes::from_static(body.as_bytes())));
        let response = requests.send_request(request.expect("it is one")).await;
        let gone = async move {
            // Neither end has asked for the end.
            let _both = (requests, graceful);
            let _ = gone.await;
        };
        (response.expect("it is answered").into_body(), gone)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn the_system_finds_out_who_has_vanished() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("it has one");
        let client = TcpStream::connect(address);
        let (stream, _client) = tokio::join!(listener.accept(), client);
        let (stream, _) = stream.expect("it is there");
        set_up(&stream, &ListenerOptions::default()).expect("the system knows all of these");
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().is_ok_and(|alive| alive));
        assert_eq!(socket.tcp_keepalive_time().ok(), Some(QUIET));
        let unheard = socket.tcp_user_timeout().ok().flatten();
        assert_eq!(unheard, Some(Duration::from_secs(30)));
        // For ever is as long as the system can.
        let options = ListenerOptions {
            write_time: Duration::MAX,
            ..ListenerOptions::default()
        };
        assert!(set_up(&stream, &options).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_of_which_nothing_is_taken_ends() {
        for window in [0, 1, 1 << 16] {
            let (mut body, gone) = asked(window, 10_000).await;
            let begun = Instant::now();
            let _ = tokio::time::timeout(Duration::from_secs(300), gone).await;
            assert_eq!(begun.elapsed().as_secs(), 30, "{window}");
            while let Some(frame) = body.frame().await {
                if frame.is_err() {
                    break;
                }
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_is_taken_slowly_or_is_silent_goes_on() {
        for (size, pause, least) in [(10_000, 10, 1 << 14), (100_000, 10, 1 << 14), (0, 0, 1)] {
            let (mut body, gone) = asked(1 << 14, size).await;
            let reading = async {
                for _ in 0..100 {
                    sleep(Duration::from_secs(pause)).await;
                    let mut taken = 0;
                    while taken < least {
                        let frame = body.frame().await.expect("it goes on");
                        let data = frame.expect("nothing breaks").into_data();
                        taken += data.expect("there are no trailers").len();
                    }
                }
            };
            tokio::select! {
                () = gone => panic!("{size}"),
                () = reading => {}
            }
        }
    }
}
