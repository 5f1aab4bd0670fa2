//! The floor's server over WebSocket: tokio-tungstenite as it comes, and what arrived together is answered together.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::{FutureExt, Sink, SinkExt, StreamExt};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Incoming, PIECE, flush, handle};
use crate::Failure;

/// Serves one connection until it is closed.
///
/// # Errors
/// The connection breaks, or something comes that is no message.
pub async fn serve_web_socket(tcp: TcpStream) -> Result<(), Failure> {
    tcp.set_nodelay(true)?;
    let mut socket = Frames(tokio_tungstenite::accept_hdr_async(tcp, choose).await?);
    let mut out = Vec::new();
    let mut legacy_level = None;
    loop {
        // Writes only when there is nothing more to be read at once.
        let received = match socket.0.next().now_or_never() {
            Some(received) => received,
            None => {
                flush(&mut out, &mut socket).await?;
                socket.0.flush().await?;
                socket.0.next().await
            }
        };
        match received {
            Some(Ok(Message::Text(text))) => {
                let message: Incoming<'_> = serde_json::from_str(&text)?;
                handle(message, &mut legacy_level, &mut out, &mut socket).await?;
                if out.len() >= PIECE {
                    flush(&mut out, &mut socket).await?;
                }
            }
            Some(Ok(Message::Close(_))) | None => return Ok(()),
            Some(Ok(_)) => {}
            Some(Err(e)) => return Err(e.into()),
        }
    }
}

#[expect(clippy::result_large_err, reason = "the other library's type")]
fn choose(_: &Request, mut response: Response) -> Result<Response, ErrorResponse> {
    let protocol = HeaderValue::from_static("mcp");
    let headers = response.headers_mut();
    headers.insert("sec-websocket-protocol", protocol);
    Ok(response)
}

/// Whole lines are written to it, and each becomes a text message.
struct Frames(WebSocketStream<TcpStream>);

impl AsyncWrite for Frames {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        lines: &[u8],
    ) -> Poll<io::Result<usize>> {
        let mut socket = Pin::new(&mut self.0);
        ready!(socket.as_mut().poll_ready(cx)).map_err(broken)?;
        let lines = std::str::from_utf8(lines).map_err(io::Error::other)?;
        for line in lines.lines() {
            let sent = socket.as_mut().start_send(Message::text(line));
            sent.map_err(broken)?;
        }
        Poll::Ready(Ok(lines.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx).map_err(broken)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_close(cx).map_err(broken)
    }
}

fn broken(error: Error) -> io::Error {
    io::Error::other(error)
}
