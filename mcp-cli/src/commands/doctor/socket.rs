//! Messages as those of a WebSocket, and the rules of that: no revision says how, RFC 6455 and this binding do.

use std::time::Duration;

use futures::{SinkExt, StreamExt};
use mcp_transport_ws::http::header::{HOST, ORIGIN, SEC_WEBSOCKET_PROTOCOL};
use mcp_transport_ws::http::{HeaderValue, Response};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::{Error, ProtocolError, SubProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::report::{Fault, Report, Verdict};
use super::{FOREIGN, Patient, is_local};
use crate::exit::Failure;
use crate::target::Url;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;
/// What becomes of a handshake.
type Shaken = Result<(Stream, Response<Option<Vec<u8>>>), Error>;

/// A connection whose messages are those of a WebSocket.
pub(super) struct Socket(Stream);

/// The subprotocol of this binding.
const SUBPROTOCOL: &str = "mcp";

/// Opens a WebSocket by a handshake of one's choice.
async fn shake(
    url: &Url,
    subprotocol: Option<&'static str>,
    besides: &[(&'static str, &str)],
) -> Shaken {
    let mut request = url.url.as_str().into_client_request()?;
    let headers = request.headers_mut();
    for (name, value) in &url.headers {
        headers.insert(name.clone(), value.clone());
    }
    if let Some(subprotocol) = subprotocol {
        headers.insert(
            SEC_WEBSOCKET_PROTOCOL,
            HeaderValue::from_static(subprotocol),
        );
    }
    for (name, value) in besides {
        if let Ok(value) = HeaderValue::try_from(*value) {
            headers.insert(*name, value);
        }
    }
    connect_async(request).await
}

impl Socket {
    pub(super) async fn open(url: &Url) -> Result<Self, Failure> {
        let opened = match shake(url, Some(SUBPROTOCOL), &[]).await {
            // One that does not know of subprotocols can be spoken to all the same; of one that insists on them, the first
            // answer tells more.
            Err(refused @ Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(_))) => {
                shake(url, None, &[]).await.map_err(|_| refused)
            }
            opened => opened,
        };
        let (stream, _) = opened.map_err(|e| Failure::Connect(format!("{}: {e}", url.url)))?;
        Ok(Self(stream))
    }

    pub(super) async fn say(&mut self, text: &str) -> Verdict {
        let sent = self.0.send(Message::text(text)).await;
        sent.map_err(|e| Fault::silent(format!("it cannot be written to: {e}")))
    }

    /// Reads the next text message.
    pub(super) async fn hear(&mut self) -> Result<String, Fault> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
                // Whatever it is meant to be, it is no message of the protocol.
                Some(Ok(Message::Binary(bytes))) => {
                    return Ok(String::from_utf8_lossy(&bytes).into_owned());
                }
                Some(Ok(Message::Close(frame))) => {
                    let why =
                        frame.map_or("without a reason".to_owned(), |frame| frame.to_string());
                    return Err(Fault::silent(format!(
                        "it has closed the connection: {why}"
                    )));
                }
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(Fault::silent(format!("the connection broke: {e}"))),
                None => return Err(Fault::silent("it has closed the connection")),
            }
        }
    }

    /// Sends bytes as they are, which need be no frame.
    async fn say_bytes(&mut self, bytes: &[u8]) -> Verdict {
        let stream = self.0.get_mut();
        let sent = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        sent.await
            .map_err(|e| Fault::silent(format!("it cannot be written to: {e}")))
    }

    /// The code that it closes with.
    async fn closed(&mut self) -> Result<u16, Fault> {
        loop {
            match self.0.next().await {
                Some(Ok(Message::Close(Some(frame)))) => return Ok(frame.code.into()),
                Some(Ok(Message::Close(None))) => return Ok(1005),
                Some(Ok(_)) => {}
                Some(Err(e)) => return Err(Fault::silent(format!("the connection broke: {e}"))),
                None => return Err(Fault::silent("it ended without a close frame")),
            }
        }
    }

    /// Says goodbye and waits for its answer; returns what it has said meanwhile.
    pub(super) async fn finish(mut self, time: Duration, report: &mut Report) -> Vec<String> {
        let mut rest = Vec::new();
        let ending = async {
            let frame = CloseFrame {
                code: CloseCode::Normal,
                reason: "done".into(),
            };
            let unwritten = |e| Fault::silent(format!("it cannot be written to: {e}"));
            self.0.close(Some(frame)).await.map_err(unwritten)?;
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => rest.push(text.to_string()),
                    Some(Ok(Message::Close(_))) => return Ok(()),
                    Some(Ok(_)) => {}
                    Some(Err(e)) => {
                        return Err(Fault::silent(format!("the connection broke: {e}")));
                    }
                    None => return Err(Fault::silent("it ended without a close frame")),
                }
            }
        };
        let late = |_| Fault::silent(format!("no close frame within {time:?}"));
        let ended = timeout(time, ending).await.map_err(late);
        let what = "a close frame is answered by one";
        report.must("RFC6455-5.5.1", what, ended.and_then(|ended| ended));
        rest
    }
}

/// Frames of a client, unmasked or with a mask that leaves all as it is.
const UNMASKED: &[u8] = b"\x81\x02{}";
const NOT_UTF8: &[u8] = b"\x81\x82\0\0\0\0\xff\xfe";
const RESERVED: &[u8] = b"\xc1\x82\0\0\0\0{}";
const UNKNOWN: &[u8] = b"\x83\x82\0\0\0\0{}";
const ENDLESS: &[u8] = b"\x81\xff\0\0\x01\0\0\0\0\0\0\0\0\0";
const LONG_PING: &[u8] = &{
    let mut frame = [0; 8 + 126];
    [frame[0], frame[1], frame[3]] = [0x89, 0xfe, 126];
    frame
};

/// Rules of WebSockets; `request` is one that the server answers.
pub(super) async fn examine(
    patient: &Patient<'_>,
    url: &Url,
    request: &Value,
    report: &mut Report,
) {
    handshakes(patient, url, report).await;
    let visit = async || {
        let opened = timeout(patient.timeout, Socket::open(url)).await;
        let late = |_| Fault::silent("no handshake in time");
        opened
            .map_err(late)?
            .map_err(|failure| Fault::silent(failure.to_string()))
    };
    let late = |_| Fault::silent(format!("nothing within {:?}", patient.timeout));
    for (rule, what, bytes, code, must) in [
        (
            "RFC6455-5.1",
            "a frame without a mask",
            UNMASKED,
            1002,
            true,
        ),
        (
            "RFC6455-5.2",
            "a frame with a reserved bit",
            RESERVED,
            1002,
            true,
        ),
        (
            "RFC6455-5.2",
            "a frame of an unknown kind",
            UNKNOWN,
            1002,
            true,
        ),
        (
            "RFC6455-5.5",
            "a ping of more than 125 bytes",
            LONG_PING,
            1002,
            true,
        ),
        (
            "RFC6455-8.1",
            "a text that is not UTF-8",
            NOT_UTF8,
            1007,
            true,
        ),
        (
            "RFC6455-7.4.1",
            "a frame that is announced to be endless",
            ENDLESS,
            1009,
            false,
        ),
    ] {
        let closed = async {
            let mut socket = visit().await?;
            socket.say_bytes(bytes).await?;
            timeout(patient.timeout, socket.closed())
                .await
                .map_err(late)?
        };
        let closed = closed.await;
        // That it ends is a rule, how it ends a recommendation.
        let ended = match &closed {
            Err(fault) if fault.reason.starts_with("nothing within") => Err(fault.clone()),
            _ => Ok(()),
        };
        let what_ends = format!("{what} ends the connection");
        match must {
            true => report.must(rule, &what_ends, ended),
            false => report.should(rule, &what_ends, ended),
        }
        let verdict = closed.and_then(|closed| has_code(closed, code));
        report.should(
            rule,
            &format!("{what} is answered by close {code}"),
            verdict,
        );
    }
    let closed = async {
        let mut socket = visit().await?;
        let message = Message::binary(request.to_string().into_bytes());
        let unwritten = |e| Fault::silent(format!("it cannot be written to: {e}"));
        socket.0.send(message).await.map_err(unwritten)?;
        let closed = timeout(patient.timeout, socket.closed())
            .await
            .map_err(late)??;
        has_code(closed, 1003)
    };
    report.should(
        "RFC6455-7.4.1",
        "a binary message is answered by close 1003",
        closed.await,
    );

    let ponged = async {
        let mut socket = visit().await?;
        let unwritten = |e| Fault::silent(format!("it cannot be written to: {e}"));
        let ping = Message::Ping(Bytes::from_static(b"mcp-doctor"));
        socket.0.send(ping).await.map_err(unwritten)?;
        let pong = async {
            loop {
                match socket.0.next().await {
                    Some(Ok(Message::Pong(data))) if data == "mcp-doctor" => return Ok(()),
                    Some(Ok(Message::Pong(_))) => {
                        return Err(Fault::silent("it says something else"));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(e)) => return Err(Fault::silent(e.to_string())),
                    None => return Err(Fault::silent("it has closed the connection")),
                }
            }
        };
        timeout(patient.timeout, pong).await.map_err(late)?
    };
    report.must(
        "RFC6455-5.5.2",
        "a ping is answered by a pong with the same data",
        ponged.await,
    );

    let (first, second) = {
        let text = request.to_string();
        let half = text.len() / 2;
        (
            masked(0x01, &text.as_bytes()[..half]),
            masked(0x80, &text.as_bytes()[half..]),
        )
    };
    let answered = async {
        let mut socket = visit().await?;
        // With a ping amid the pieces, which may be there.
        let frames = [first, masked(0x89, b""), second].concat();
        socket.say_bytes(&frames).await?;
        timeout(patient.timeout, socket.hear())
            .await
            .map_err(late)?
            .map(drop)
    };
    report.must(
        "RFC6455-5.4",
        "a message in pieces is answered as a whole one",
        answered.await,
    );
    let pretty = serde_json::to_string_pretty(request).unwrap_or_default();
    let answered = async {
        let mut socket = visit().await?;
        socket.say(&pretty).await?;
        let text = timeout(patient.timeout, socket.hear())
            .await
            .map_err(late)??;
        let json: Value = serde_json::from_str(&text).unwrap_or_default();
        match json["id"] == request["id"] && json["id"] != json!(null) {
            true => Ok(()),
            false => Err(Fault::new("it is taken for something else", &text)),
        }
    };
    report.should(
        "REQ-CUST-01",
        "a message with line ends in it is one message",
        answered.await,
    );
}

/// A frame of a client whose mask leaves all as it is; `head` is its first byte.
fn masked(head: u8, payload: &[u8]) -> Vec<u8> {
    // Requests are much shorter than 64 KiB.
    let length = u16::try_from(payload.len()).unwrap_or(u16::MAX);
    let mut frame = match length {
        0..=125 => vec![head, 0x80 | payload.len() as u8],
        _ => [&[head, 0xfe][..], &length.to_be_bytes()].concat(),
    };
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

fn has_code(code: u16, wanted: u16) -> Verdict {
    match code == wanted {
        true => Ok(()),
        false => Err(Fault::silent(format!("the code is {code}"))),
    }
}

async fn handshakes(patient: &Patient<'_>, url: &Url, report: &mut Report) {
    let shake = async |subprotocol, besides: &[(&'static str, &str)]| {
        let shaken = timeout(patient.timeout, shake(url, subprotocol, besides)).await;
        shaken.map_err(|_| Fault::silent("no handshake in time"))
    };
    let selected = |response: &Response<Option<Vec<u8>>>| {
        let selected = response.headers().get(SEC_WEBSOCKET_PROTOCOL);
        selected
            .and_then(|name| name.to_str().ok())
            .map(str::to_owned)
    };
    for offered in ["mcp", "mcp-doctor, mcp"] {
        let verdict = shake(Some(offered), &[])
            .await
            .and_then(|shaken| match shaken {
                Ok((_, response)) if selected(&response).as_deref() == Some(SUBPROTOCOL) => Ok(()),
                Ok((_, response)) => Err(Fault::silent(format!(
                    "it selects {:?}",
                    selected(&response)
                ))),
                Err(e) => Err(Fault::silent(e.to_string())),
            });
        let what = format!("the subprotocol mcp is selected where {offered} is offered");
        report.should("RFC6455-4.2.2", &what, verdict);
    }
    let verdict = shake(Some("mcp-doctor"), &[])
        .await
        .and_then(|shaken| match shaken {
            Ok((_, response)) => match selected(&response).as_deref() {
                Some(SUBPROTOCOL) | None => Ok(()),
                Some(other) => Err(Fault::silent(format!(
                    "it selects {other}, which it cannot know"
                ))),
            },
            Err(Error::Protocol(ProtocolError::SecWebSocketSubProtocolError(
                SubProtocolError::InvalidSubProtocol,
            ))) => Err(Fault::silent("it selects what was not offered")),
            // Refused, or opened without any.
            Err(_) => Ok(()),
        });
    report.must(
        "RFC6455-4.2.2",
        "a subprotocol that it does not speak is not selected",
        verdict,
    );
    let origin = format!("https://{FOREIGN}");
    let verdict = refused(
        shake(Some(SUBPROTOCOL), &[(ORIGIN.as_str(), &origin)]).await,
        &[403],
    );
    report.must(
        "REQ-SEC-01",
        "a page of another site is refused with 403 before anything else",
        verdict,
    );
    let what = "a name that is none of this machine's is refused";
    let host = url.url.parse::<mcp_transport_ws::http::Uri>().ok();
    if host.is_some_and(|uri| is_local(uri.host().unwrap_or_default())) {
        let verdict = refused(
            shake(Some(SUBPROTOCOL), &[(HOST.as_str(), FOREIGN)]).await,
            &[],
        );
        report.should("REQ-SEC-01", what, verdict);
    } else {
        report.skip("REQ-SEC-01", what, "the server is not on this machine");
    }
    let verdict = refused(
        shake(Some(SUBPROTOCOL), &[("sec-websocket-version", "7")]).await,
        &[426],
    );
    report.must(
        "RFC6455-4.2.2",
        "another version of WebSockets is answered 426",
        verdict,
    );
}

/// That a handshake was refused, with one of these statuses; none stand for any of 400 to 499.
fn refused(shaken: Result<Shaken, Fault>, statuses: &[u16]) -> Verdict {
    match shaken? {
        Ok(_) => Err(Fault::silent("it lets them in")),
        Err(Error::Http(response)) => {
            let status = response.status();
            match statuses.contains(&status.as_u16())
                || (statuses.is_empty() && status.is_client_error())
            {
                true => Ok(()),
                false => Err(Fault::silent(format!("the status is {status}"))),
            }
        }
        Err(e) => Err(Fault::silent(e.to_string())),
    }
}
