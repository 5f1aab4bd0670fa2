//! What clients do wrong, over raw TCP: each ends as RFC 6455 and this binding say, and none of them harms the next.
#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on is to say where"
)]

use std::net::SocketAddr;
use std::time::Duration;

use mcp_server::Server;
use mcp_testing::soon;
use mcp_transport_ws::http::HeaderValue;
use mcp_transport_ws::{AcceptOptions, Limits, Listener, Refusal};
use mcp_types::Extensions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
const MESSAGE: usize = 4096;

/// A server that answers what can be answered, on a port of its own.
async fn serve(options: AcceptOptions) -> SocketAddr {
    let mut limits = Limits::default();
    limits.message = MESSAGE;
    limits.frame = MESSAGE / 2;
    limits.close_timeout = Duration::from_secs(1);
    let bound = Listener::bind("127.0.0.1:0", options.limits(limits)).await;
    let mut listener = bound.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Server::new("server", "1").start();
    tokio::spawn(async move {
        loop {
            let accepted = listener.accept().await;
            let connection = server
                .connect_with(accepted.socket, accepted.extensions)
                .unwrap();
            tokio::spawn(async move {
                let _handle = connection.peer;
                connection.driver.await
            });
        }
    });
    addr
}

/// The handshake of a well-behaved client; the first field is the request line.
fn handshake() -> Vec<(&'static str, &'static str)> {
    vec![
        ("", "GET /mcp HTTP/1.1"),
        ("Host", "127.0.0.1:1"),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Protocol", "mcp"),
    ]
}

fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut head = String::new();
    for (name, value) in fields {
        match *name {
            "" => head += value,
            name => head += &format!("{name}: {value}"),
        }
        head += "\r\n";
    }
    (head + "\r\n").into_bytes()
}

/// Changes to a good handshake: a field with a value is set, one without is taken out, a second of a name is added by `+`.
type Changes = &'static [(&'static str, &'static str)];

fn changed(changes: Changes) -> Vec<u8> {
    let mut fields = handshake();
    for (name, value) in changes {
        if let Some(name) = name.strip_prefix('+') {
            fields.push((name, value));
            continue;
        }
        fields.retain(|(known, _)| known != name);
        if name.is_empty() {
            fields.insert(0, ("", value));
        } else if !value.is_empty() {
            fields.push((name, value));
        }
    }
    head(&fields)
}

/// Sends bytes, ends its side if asked to, and returns all that comes back until the server closes.
async fn exchange(addr: SocketAddr, bytes: &[u8], finish: bool) -> Vec<u8> {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    // The server may have answered and closed before it has read everything.
    let _ = tcp.write_all(bytes).await;
    if finish {
        tcp.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    let _ = soon(tcp.read_to_end(&mut answer)).await;
    answer
}

#[tokio::test]
async fn handshakes_are_judged_before_the_101() {
    #[rustfmt::skip]
    let cases: &[(&str, Changes, u16, &str)] = &[
        ("as it should be", &[], 101, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        ("the protocol among others", &[("Sec-WebSocket-Protocol", "chat, mcp, x")], 101, "Sec-WebSocket-Protocol: mcp\r\n"),
        ("the protocol on a second line", &[("Sec-WebSocket-Protocol", "chat"), ("+Sec-WebSocket-Protocol", "mcp")], 101, "Protocol: mcp\r\n"),
        ("tokens in another case", &[("Upgrade", "WebSocket"), ("Connection", "keep-alive, UPGRADE")], 101, ""),
        ("an extension is offered", &[("Sec-WebSocket-Extensions", "permessage-deflate")], 101, ""),
        ("a local page", &[("Origin", "http://localhost:5173")], 101, ""),
        ("a local page by number", &[("Origin", "http://127.0.0.1")], 101, ""),
        ("a local page by IPv6", &[("Origin", "http://[::1]:80")], 101, ""),
        ("a page that is allowed", &[("Origin", "https://chat.example")], 101, ""),
        ("a host that is allowed", &[("Host", "chat.example:443")], 101, ""),
        ("another page", &[("Origin", "https://evil.example")], 403, "Origin"),
        ("a page that begins like an allowed one", &[("Origin", "https://chat.example.evil.example")], 403, ""),
        ("an allowed page on another port", &[("Origin", "https://chat.example:8443")], 403, ""),
        ("an allowed page without TLS", &[("Origin", "http://chat.example")], 403, ""),
        ("a page that is called after localhost", &[("Origin", "http://localhost.evil.example")], 403, ""),
        ("a name before another host", &[("Origin", "http://localhost@evil.example")], 403, ""),
        ("a page that has no name", &[("Origin", "null")], 403, ""),
        ("two pages", &[("Origin", "http://localhost"), ("+Origin", "http://localhost")], 403, ""),
        ("an origin that is no text", &[("Origin", "\u{e9}")], 403, ""),
        ("a name that was bound to this machine", &[("Host", "rebound.example")], 403, "Host"),
        ("no host", &[("Host", "")], 400, ""),
        ("two hosts", &[("+Host", "127.0.0.1")], 400, ""),
        ("a host that is none", &[("Host", "a b")], 400, ""),
        ("no subprotocol", &[("Sec-WebSocket-Protocol", "")], 400, "mcp"),
        ("another subprotocol", &[("Sec-WebSocket-Protocol", "graphql-ws")], 400, ""),
        ("the subprotocol in capitals", &[("Sec-WebSocket-Protocol", "MCP")], 400, ""),
        ("a page over HTTP", &[("Upgrade", ""), ("Connection", "")], 426, "Sec-WebSocket-Version: 13"),
        ("another upgrade", &[("Upgrade", "h2c")], 426, ""),
        ("no connection field", &[("Connection", "")], 426, ""),
        ("an old version", &[("Sec-WebSocket-Version", "8")], 426, "Sec-WebSocket-Version: 13"),
        ("two versions", &[("+Sec-WebSocket-Version", "13")], 426, ""),
        ("no key", &[("Sec-WebSocket-Key", "")], 400, ""),
        ("two keys", &[("+Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")], 400, ""),
        ("a short key", &[("Sec-WebSocket-Key", "c2hvcnQ=")], 400, ""),
        ("a key that is no Base64", &[("Sec-WebSocket-Key", "!!!!!!!!!!!!!!!!!!!!!!==")], 400, ""),
        ("POST", &[("", "POST /mcp HTTP/1.1")], 400, ""),
        ("HTTP/1.0", &[("", "GET /mcp HTTP/1.0")], 400, ""),
        ("a target that is no URI", &[("", "GET mcp:// HTTP/1.1")], 400, ""),
        ("a wrong token", &[("Authorization", "Bearer wrong")], 403, "not with that"),
        ("no token where one is needed", &[("", "GET /private HTTP/1.1")], 401, "WWW-Authenticate: Bearer"),
    ];
    let options = AcceptOptions::new()
        .origin("https://chat.example")
        .host("chat.example")
        .authorize(|handshake| async move {
            let token = handshake.headers.get("authorization");
            if token.is_some_and(|token| token != "Bearer right") {
                return Err(Refusal::forbidden("not with that"));
            }
            if token.is_none() && handshake.uri.path() == "/private" {
                return Err(Refusal::unauthorized(HeaderValue::from_static("Bearer")));
            }
            Ok(Extensions::new())
        });
    let addr = serve(options).await;
    for (name, changes, status, says) in cases {
        let answer = exchange(addr, &changed(changes), true).await;
        let answer = String::from_utf8_lossy(&answer);
        let (expected, lower) = (format!("HTTP/1.1 {status} "), answer.to_lowercase());
        assert!(answer.starts_with(&expected), "{name}: {answer}");
        assert!(answer.contains(says), "{name}: {answer}");
        assert!(!lower.contains("sec-websocket-extensions"), "{name}");
        let chosen = lower.matches("sec-websocket-protocol: ").count();
        assert_eq!(chosen, usize::from(*status == 101), "{name}: {answer}");
    }
    // The same without this machine's own.
    let options = AcceptOptions::new()
        .origin("https://chat.example")
        .host("chat.example")
        .only_listed();
    let addr = serve(options).await;
    const HOST: (&str, &str) = ("Host", "chat.example");
    #[rustfmt::skip]
    let cases: &[(&str, Changes, &str)] = &[
        ("a host that is listed", &[HOST], "HTTP/1.1 101 "),
        ("a page that is listed", &[HOST, ("Origin", "https://chat.example")], "HTTP/1.1 101 "),
        ("a local page", &[HOST, ("Origin", "http://localhost:3000")], "HTTP/1.1 403 "),
        ("a local name", &[("Origin", "https://chat.example")], "HTTP/1.1 403 "),
    ];
    for (name, changes, expected) in cases {
        let answer = exchange(addr, &changed(changes), true).await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(expected), "{name}: {answer}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_told_so() {
    let addr = serve(AcceptOptions::new()).await;
    let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(20_000));
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(40_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(200));
    #[rustfmt::skip]
    let cases: [(&str, &[u8], &str); 9] = [
        ("a TLS hello", b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", "HTTP/1.1 400"),
        ("noise", b"hello\r\n\r\n", "HTTP/1.1 400"),
        ("empty lines", b"\r\n\r\n", "HTTP/1.1 400"),
        ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 400"),
        ("a field without a name", b"GET / HTTP/1.1\r\n: x\r\n\r\n", "HTTP/1.1 400"),
        ("a very long target", long.as_bytes(), "HTTP/1.1 431"),
        ("a head without an end", endless.as_bytes(), "HTTP/1.1 431"),
        ("two hundred fields", many.as_bytes(), "HTTP/1.1 400"),
        ("nothing", b"", ""),
    ];
    for (name, bytes, expected) in cases {
        let answer = exchange(addr, bytes, name != "a head without an end").await;
        let answer = String::from_utf8_lossy(&answer);
        assert!(answer.starts_with(expected), "{name}: {answer}");
        assert_eq!(answer.is_empty(), expected.is_empty(), "{name}");
    }
    // Nobody of them has harmed the listener.
    let answer = exchange(addr, &head(&handshake()), true).await;
    assert!(answer.starts_with(b"HTTP/1.1 101"));
}

#[derive(Clone, Copy)]
enum Mask {
    Yes,
    No,
}

/// One frame; `first` is its first byte.
fn frame(first: u8, mask: Mask, payload: &[u8]) -> Vec<u8> {
    let masked = u8::from(matches!(mask, Mask::Yes)) << 7;
    let mut frame = vec![first];
    match payload.len() {
        n @ 0..126 => frame.push(masked | n as u8),
        n => {
            frame.push(masked | 126);
            frame.extend_from_slice(&u16::try_from(n).unwrap().to_be_bytes());
        }
    }
    match mask {
        Mask::No => frame.extend_from_slice(payload),
        Mask::Yes => {
            let mask = [1, 2, 3, 4];
            frame.extend_from_slice(&mask);
            let masked = payload.iter().zip(mask.iter().cycle());
            frame.extend(masked.map(|(byte, mask)| byte ^ mask));
        }
    }
    frame
}

fn text(payload: &str) -> Vec<u8> {
    frame(0x81, Mask::Yes, payload.as_bytes())
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(0x88, Mask::Yes, &[&code.to_be_bytes()[..], reason].concat())
}

/// How a connection ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The server answers everything and goes on until the client has enough.
    Open,
    /// The server closes by itself, with this code; 0 is none.
    Closed(u16),
    /// The client goes away without a word, and so does the server.
    Gone,
}

#[tokio::test]
async fn frames_end_as_the_rfc_says() {
    use End::{Closed, Gone, Open};
    use Mask::{No, Yes};
    let ping = PING.as_bytes();
    let second = r#"{"jsonrpc":"2.0","id":2,"method":"ping"}"#;
    let accented = r#"{"jsonrpc":"2.0","id":1,"method":"é"}"#.as_bytes();
    let at = accented.iter().position(|byte| *byte == 0xc3).unwrap() + 1;
    let padded = |length: usize| format!("{PING}{}", " ".repeat(length - PING.len()));
    let longest = padded(MESSAGE);
    let (half, other_half) = longest.as_bytes().split_at(MESSAGE / 2);
    /// What must come back: texts that contain these, in this order, and how it ends.
    type Case = (&'static str, Vec<u8>, &'static [&'static str], End);
    #[rustfmt::skip]
    let cases: Vec<Case> = vec![
        ("a message", text(PING), &["\"id\":1"], Open),
        ("two in one segment", [text(PING), text(second)].concat(), &["\"id\":1", "\"id\":2"], Open),
        ("in two fragments", [frame(0x01, Yes, &ping[..9]), frame(0x80, Yes, &ping[9..])].concat(), &["\"id\":1"], Open),
        ("in a fragment for each byte", [frame(0x01, Yes, b""), ping.iter().flat_map(|b| frame(0x00, Yes, &[*b])).collect(), frame(0x80, Yes, b"")].concat(), &["\"id\":1"], Open),
        ("a ping between fragments", [frame(0x01, Yes, &ping[..9]), frame(0x89, Yes, b"x"), frame(0x80, Yes, &ping[9..])].concat(), &["pong x", "\"id\":1"], Open),
        ("fragments within a character", [frame(0x01, Yes, &accented[..at]), frame(0x80, Yes, &accented[at..])].concat(), &["\"id\":1"], Open),
        ("as long as is allowed", [frame(0x01, Yes, half), frame(0x80, Yes, other_half)].concat(), &["\"id\":1"], Open),
        ("an empty message", text(""), &["-32700"], Open),
        ("no JSON", text("hello"), &["-32700"], Open),
        ("no JSON, then a message", [text("{\"id\":"), text(PING)].concat(), &["-32700", "\"id\":1"], Open),
        ("JSON, no message", text("1"), &["-32600"], Open),
        ("nested too deep", text(&"[".repeat(2000)), &["-326"], Open),
        ("a NUL in the text", text("\0"), &["-32700"], Open),
        ("a ping", frame(0x89, Yes, b"hello"), &["pong hello"], Open),
        ("a ping without payload", frame(0x89, Yes, b""), &["pong "], Open),
        ("the longest ping", frame(0x89, Yes, &[b'x'; 125]), &["pong xxxxx"], Open),
        ("a ping of bytes", frame(0x89, Yes, b"\xff\xfe"), &["pong "], Open),
        ("a pong nobody asked for", [frame(0x8a, Yes, b"x"), text(PING)].concat(), &["\"id\":1"], Open),
        ("closes", close(1000, b""), &[], Closed(1000)),
        ("closes with a reason", close(1001, "bye \u{1f44b}".as_bytes()), &[], Closed(1001)),
        ("closes without a code", frame(0x88, Yes, b""), &[], Closed(0)),
        ("closes with a code of its own", close(4321, b""), &[], Closed(4321)),
        ("closes in the middle of a message", [frame(0x01, Yes, &ping[..9]), close(1000, b"")].concat(), &[], Closed(1000)),
        ("a message behind the close", [close(1000, b""), text(PING)].concat(), &[], Closed(1000)),
        ("closes twice", [close(1000, b""), close(1000, b"")].concat(), &[], Closed(1000)),
        ("a message, then closes", [text("x"), close(1000, b"")].concat(), &["-32700"], Closed(1000)),
        ("closes with half a code", frame(0x88, Yes, b"\x03"), &[], Closed(1002)),
        ("closes with 0", close(0, b""), &[], Closed(1002)),
        ("closes with 999", close(999, b""), &[], Closed(1002)),
        ("closes with 1004", close(1004, b""), &[], Closed(1002)),
        ("closes with 1005", close(1005, b""), &[], Closed(1002)),
        ("closes with 1006", close(1006, b""), &[], Closed(1002)),
        ("closes with 1015", close(1015, b""), &[], Closed(1002)),
        ("closes with 2999", close(2999, b""), &[], Closed(1002)),
        ("closes with 5000", close(5000, b""), &[], Closed(1002)),
        ("closes with a reason of bytes", close(1000, b"\xff"), &[], Closed(1007)),
        ("not masked", frame(0x81, No, ping), &[], Closed(1002)),
        ("a ping not masked", frame(0x89, No, b""), &[], Closed(1002)),
        ("binary", frame(0x82, Yes, ping), &[], Closed(1003)),
        ("binary in fragments", [frame(0x02, Yes, &ping[..9]), frame(0x80, Yes, &ping[9..])].concat(), &[], Closed(1003)),
        ("reserved bit 1, as if compressed", frame(0xc1, Yes, ping), &[], Closed(1002)),
        ("reserved bit 2", frame(0xa1, Yes, ping), &[], Closed(1002)),
        ("reserved bit 3", frame(0x91, Yes, ping), &[], Closed(1002)),
        ("a reserved bit on a ping", frame(0xc9, Yes, b""), &[], Closed(1002)),
        ("opcode 3", frame(0x83, Yes, ping), &[], Closed(1002)),
        ("opcode 7", frame(0x87, Yes, ping), &[], Closed(1002)),
        ("opcode 11", frame(0x8b, Yes, b""), &[], Closed(1002)),
        ("opcode 15", frame(0x8f, Yes, b""), &[], Closed(1002)),
        ("a ping in fragments", frame(0x09, Yes, b"x"), &[], Closed(1002)),
        ("a close in fragments", frame(0x08, Yes, b"\x03\xe8"), &[], Closed(1002)),
        ("a ping that is too long", frame(0x89, Yes, &[0; 126]), &[], Closed(1002)),
        ("a close that is too long", close(1000, &[b'x'; 124]), &[], Closed(1002)),
        ("continues nothing", frame(0x80, Yes, ping), &[], Closed(1002)),
        ("continues what is complete", [text(PING), frame(0x80, Yes, ping)].concat(), &["\"id\":1"], Closed(1002)),
        ("a message within a message", [frame(0x01, Yes, b"{"), text(PING)].concat(), &[], Closed(1002)),
        ("a length in too long a form", [vec![0x81, 0xfe, 0, 5], vec![0; 9]].concat(), &["-32700"], Open),
        ("a length in much too long a form", [vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 200], vec![0; 204]].concat(), &["-32700"], Open),
        ("a length of 64 bits", [vec![0x81], vec![0xff; 9], vec![0; 4]].concat(), &[], Closed(1009)),
        ("a length of 63 bits", [vec![0x81, 0xff, 0x7f], vec![0xff; 7], vec![0; 4]].concat(), &[], Closed(1009)),
        ("a frame over the limit", text(&padded(MESSAGE / 2 + 1)), &[], Closed(1009)),
        ("a frame over the limit that never comes", vec![0x81, 0xfe, 0x20, 0x00, 0, 0, 0, 0], &[], Closed(1009)),
        ("fragments over the limit", [frame(0x01, Yes, half), frame(0x00, Yes, other_half), frame(0x80, Yes, b" ")].concat(), &[], Closed(1009)),
        ("text that is not UTF-8", frame(0x81, Yes, b"\xff\xff"), &[], Closed(1007)),
        ("half a character", frame(0x81, Yes, &accented[..at]), &[], Closed(1007)),
        ("a surrogate", frame(0x81, Yes, b"\"\xed\xa0\x80\""), &[], Closed(1007)),
        ("overlong UTF-8", frame(0x81, Yes, b"\"\xc0\xaf\""), &[], Closed(1007)),
        ("beyond Unicode", frame(0x81, Yes, b"\"\xf4\x90\x80\x80\""), &[], Closed(1007)),
        ("not UTF-8 across fragments", [frame(0x01, Yes, &accented[..at]), frame(0x80, Yes, b"x")].concat(), &[], Closed(1007)),
        ("a flood of pings", frame(0x89, Yes, b"").repeat(5000), &[], Closed(1008)),
        ("a flood of pongs", frame(0x8a, Yes, b"").repeat(5000), &[], Closed(1008)),
        ("half a frame, then gone", frame(0x81, Yes, ping)[..9].to_vec(), &[], Gone),
        ("half a head, then gone", vec![0x81], &[], Gone),
    ];
    assert!(cases.len() >= 60);
    let addr = serve(AcceptOptions::new()).await;
    for (name, bytes, expected, end) in &cases {
        judge(
            name,
            &run(addr, bytes, expected.len(), *end, false).await,
            expected,
            *end,
        );
        // Byte by byte, as far as that ends soon.
        if bytes.len() < 300 {
            judge(
                name,
                &run(addr, bytes, expected.len(), *end, true).await,
                expected,
                *end,
            );
        }
    }
}

/// Sends the bytes behind a handshake, and returns the frames that come back until the server closes.
async fn run(
    addr: SocketAddr,
    bytes: &[u8],
    answers: usize,
    end: End,
    byte_by_byte: bool,
) -> Vec<(u8, Vec<u8>)> {
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.set_nodelay(true).unwrap();
    if byte_by_byte {
        tcp.write_all(&head(&handshake())).await.unwrap();
        for byte in bytes {
            // The server may have seen enough.
            if tcp.write_all(&[*byte]).await.is_err() {
                break;
            }
        }
    } else {
        let _ = tcp
            .write_all(&[&head(&handshake())[..], bytes].concat())
            .await;
    }
    if end == End::Gone {
        tcp.shutdown().await.unwrap();
    }
    let mut received = Vec::new();
    let mut said_goodbye = end != End::Open;
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = soon(tcp.read(&mut buffer)).await {
        received.extend_from_slice(&buffer[..read]);
        if !said_goodbye && frames(&received).len() >= answers {
            said_goodbye = true;
            tcp.write_all(&close(1000, b"")).await.unwrap();
        }
    }
    frames(&received)
}

/// The whole frames that a server has sent behind its 101, each with its first byte.
fn frames(received: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let Some(at) = memchr::memmem::find(received, b"\r\n\r\n") else {
        return Vec::new();
    };
    let mut bytes = &received[at + 4..];
    let mut frames = Vec::new();
    while let [first, length, ..] = *bytes {
        assert_eq!(length & 0x80, 0, "a server does not mask");
        let (length, start) = match length {
            126 if bytes.len() >= 4 => (u16::from_be_bytes([bytes[2], bytes[3]]), 4),
            126 => break,
            n => (u16::from(n), 2),
        };
        let end = start + usize::from(length);
        let Some(payload) = bytes.get(start..end) else {
            break;
        };
        frames.push((first, payload.to_vec()));
        bytes = &bytes[end..];
    }
    frames
}

#[track_caller]
fn judge(name: &str, received: &[(u8, Vec<u8>)], expected: &[&str], end: End) {
    let mut answers = Vec::new();
    let mut closed = None;
    for (first, payload) in received {
        assert_eq!(closed, None, "{name}: something behind the close frame");
        let text = String::from_utf8_lossy(payload).into_owned();
        match first {
            0x81 => answers.push(text),
            0x8a => answers.push(format!("pong {text}")),
            0x88 => {
                let code = payload
                    .get(..2)
                    .map_or(0, |code| u16::from_be_bytes([code[0], code[1]]));
                closed = Some(code);
            }
            other => panic!("{name}: a frame that begins with {other}"),
        }
    }
    match end {
        End::Open => {
            assert_eq!(closed, Some(1000), "{name}: {answers:?}");
            assert_eq!(answers.len(), expected.len(), "{name}: {answers:?}");
        }
        End::Closed(code) => assert_eq!(closed, Some(code), "{name}: {answers:?}"),
        End::Gone => assert_eq!(closed, None, "{name}"),
    }
    // What was asked before the end may be answered or not: the end does not wait.
    for (answer, expected) in answers.iter().zip(expected) {
        assert!(answer.contains(expected), "{name}: {answers:?}");
    }
}
