//! Against tokio-tungstenite as it comes: what one end writes the other reads, whatever the sizes and the pieces.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use futures::{SinkExt, StreamExt};
use mcp_testing::soon;
use mcp_transport_ws::{AcceptOptions, ConnectError, WebSocket, accept, connect};
use mcp_types::{Inbound, Message, RawJson};
use tokio::io::{DuplexStream, duplex};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
use tokio_tungstenite::tungstenite::{self, Message as Theirs};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async, client_async};

/// Around every place where the head of a frame becomes longer, and where buffers do.
const LENGTHS: [usize; 19] = [
    0, 1, 7, 64, 88, 89, 90, 91, 92, 93, 94, 500, 4096, 65_497, 65_500, 65_501, 65_600, 300_000,
    3_000_000,
];

fn message(length: usize) -> Message {
    let text = RawJson::encode(&serde_json::json!({ "é": "x".repeat(length) })).unwrap();
    Message::notification("m", Some(text))
}

async fn our_server(room: usize) -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (here, there) = duplex(room);
    let mut request = "ws://localhost/mcp".into_client_request().unwrap();
    let protocol = "mcp".parse().unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let options = AcceptOptions::new();
    let (ours, theirs) = tokio::join!(accept(here, &options), client_async(request, there));
    (ours.unwrap().socket, theirs.unwrap().0)
}

#[expect(clippy::result_large_err, reason = "the other implementation's type")]
fn choose(
    _: &Request,
    mut response: Response,
) -> Result<Response, tungstenite::handshake::server::ErrorResponse> {
    let protocol = "mcp".parse().unwrap();
    response
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    Ok(response)
}

async fn our_client(room: usize) -> (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>) {
    let (here, there) = duplex(room);
    let connecting = connect("ws://localhost/mcp").connect_on(here);
    let (ours, theirs) = tokio::join!(connecting, accept_hdr_async(there, choose));
    (ours.unwrap(), theirs.unwrap())
}

/// Each message to the other side and back, in one frame and in several.
async fn echo(
    room: usize,
    (mut ours, mut theirs): (WebSocket<DuplexStream>, WebSocketStream<DuplexStream>),
) {
    // The other implementation moves all that is left after each piece it writes.
    let lengths = LENGTHS.into_iter().filter(|length| length / room < 100);
    let send_and_receive = async {
        for length in lengths.clone() {
            for _ in 0..3 {
                ours.send(message(length).into()).await.unwrap();
                let back = ours.next().await.unwrap().unwrap();
                assert_eq!(back, Inbound::Message(message(length)), "{length}");
            }
        }
        ours.close().await.unwrap();
    };
    let echo = async {
        let (mut parts, mut pongs) = (0, 0);
        while let Some(message) = theirs.next().await {
            let text = match message {
                Ok(Theirs::Text(text)) => text,
                Ok(Theirs::Pong(_)) => {
                    pongs += 1;
                    continue;
                }
                Ok(Theirs::Close(_)) => continue,
                other => panic!("{other:?}"),
            };
            parts = (parts + 1) % 3;
            theirs.send(Theirs::Ping("x".into())).await.unwrap();
            if parts == 0 {
                theirs.send(Theirs::Text(text)).await.unwrap();
                continue;
            }
            let bytes = bytes::Bytes::from(text);
            let mut at = 0;
            while at < bytes.len() {
                let end = (at + bytes.len() / parts + 1).min(bytes.len());
                let opcode = if at == 0 { Data::Text } else { Data::Continue };
                let last = end == bytes.len();
                let frame = Frame::message(bytes.slice(at..end), OpCode::Data(opcode), last);
                theirs.send(Theirs::Frame(frame)).await.unwrap();
                at = end;
            }
        }
        assert_eq!(pongs, 3 * lengths.clone().count());
    };
    soon(async { tokio::join!(send_and_receive, echo) }).await;
}

#[tokio::test]
async fn our_server_and_their_client() {
    for room in [61, 4096, 1 << 22] {
        echo(room, our_server(room).await).await;
    }
}

#[tokio::test]
async fn our_client_and_their_server() {
    for room in [61, 4096, 1 << 22] {
        echo(room, our_client(room).await).await;
    }
}

#[tokio::test]
async fn a_server_that_does_not_choose_the_subprotocol_is_refused() {
    let (here, there) = duplex(4096);
    let connecting = connect("ws://localhost/mcp").connect_on(here);
    let (ours, _theirs) = tokio::join!(connecting, tokio_tungstenite::accept_async(there));
    assert!(matches!(ours, Err(ConnectError::Handshake(_))));

    let (here, there) = duplex(4096);
    let connecting = connect("ws://localhost/mcp").without_subprotocol();
    let (ours, _theirs) = tokio::join!(
        connecting.connect_on(here),
        tokio_tungstenite::accept_async(there)
    );
    ours.unwrap();
}
