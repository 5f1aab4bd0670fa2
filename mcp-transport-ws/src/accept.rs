//! The server's side of the handshake.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use bytes::BytesMut;
use http::{StatusCode, Uri};
use mcp_types::Extensions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::Role;

use crate::handshake::{HeadError, SUBPROTOCOL, parse_request, read_head};
use crate::policy::{AcceptOptions, Granted, Refusal};
use crate::socket::WebSocket;

/// A client that has come in.
#[derive(Debug)]
pub struct Accepted<Io> {
    /// The transport.
    pub socket: WebSocket<Io>,
    /// What is known about the connection: the [`Handshake`](crate::Handshake), what the hook of
    /// [`AcceptOptions::authorize`] returned, and from a [`Listener`](crate::Listener) the peer's `SocketAddr`.
    pub extensions: Extensions,
}

/// Why a client has not come in.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The stream failed or ended.
    #[error("the stream failed: {0}")]
    Io(#[from] io::Error),
    /// The handshake took longer than [`AcceptOptions::handshake_time`].
    #[error("the handshake took too long")]
    TimedOut,
    /// It was refused, and told why.
    #[error("refused with {0}")]
    Refused(Refusal),
}

/// How long a client that was refused may still send: closing at once would reset the connection and lose the answer.
const LINGER: Duration = Duration::from_secs(1);

/// Makes a byte stream, on which a client is about to open a WebSocket, a transport.
///
/// TCP sockets want `set_nodelay(true)` first; [`Listener`](crate::Listener) sees to that.
///
/// # Errors
/// [`AcceptError::Refused`] if the client may not come in, or what it sent is no handshake; it has been answered then.
/// [`AcceptError::TimedOut`] and [`AcceptError::Io`] as they say.
///
/// # Cancel safety
/// Dropping the future drops the stream.
pub async fn accept<Io>(mut io: Io, options: &AcceptOptions) -> Result<Accepted<Io>, AcceptError>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let mut input = BytesMut::new();
    let handshake = async {
        let head = match read_head(&mut io, &mut input, options.handshake_size).await {
            Ok(head) => parse_request(&head),
            Err(error) => Err(error),
        };
        let admitted = match head {
            Ok(head) => {
                let granted = options.judge(head.method == "GET", head.version == 1, &head.headers);
                match (granted, head.target.parse::<Uri>()) {
                    (Ok(granted), Ok(uri)) => options
                        .admit(uri, head.headers)
                        .await
                        .map(|extensions| (granted, extensions)),
                    (Err(refusal), _) => Err(refusal),
                    (Ok(_), Err(_)) => Err(Refusal::new(
                        StatusCode::BAD_REQUEST,
                        "the target is no URI",
                    )),
                }
            }
            Err(HeadError::Io(error)) => return Err(error.into()),
            Err(HeadError::TooLong(_)) => Err(Refusal::new(
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                "the handshake is too long",
            )),
            Err(HeadError::Http(error)) => {
                Err(Refusal::new(StatusCode::BAD_REQUEST, error.to_string()))
            }
        };
        match admitted {
            Ok((granted, extensions)) => {
                io.write_all(switching(&granted).as_bytes()).await?;
                io.flush().await?;
                Ok(extensions)
            }
            Err(refusal) => {
                refuse(&mut io, &refusal).await?;
                Err(AcceptError::Refused(refusal))
            }
        }
    };
    let handshake = timeout(options.handshake_time, handshake).await;
    let extensions = handshake.map_err(|_| AcceptError::TimedOut)??;
    Ok(Accepted {
        socket: WebSocket::new(io, Role::Server, options.limits.clone(), &input),
        extensions,
    })
}

fn switching(granted: &Granted) -> String {
    let mut response = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ".to_owned();
    response += &derive_accept_key(granted.key.as_bytes());
    if granted.subprotocol {
        response += "\r\nSec-WebSocket-Protocol: ";
        response += SUBPROTOCOL;
    }
    response + "\r\n\r\n"
}

/// Tells the client why it may not come in, and waits a little until it has read that.
pub(crate) async fn refuse(
    io: &mut (impl AsyncRead + AsyncWrite + Unpin),
    refusal: &Refusal,
) -> io::Result<()> {
    let mut response = format!(
        "HTTP/1.1 {}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n",
        refusal.status,
        refusal.reason.len() + 1
    );
    if refusal.status == StatusCode::UPGRADE_REQUIRED {
        response += "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    }
    if let Some(challenge) = &refusal.challenge
        && let Ok(challenge) = challenge.to_str()
    {
        // Writing to a string does not fail.
        let _ = write!(response, "WWW-Authenticate: {challenge}\r\n");
    }
    let _ = write!(response, "\r\n{}\n", refusal.reason);
    io.write_all(response.as_bytes()).await?;
    io.shutdown().await?;
    let mut rest = [0; 1024];
    let read = async { while matches!(io.read(&mut rest).await, Ok(1..)) {} };
    let _ = timeout(LINGER, read).await;
    Ok(())
}
