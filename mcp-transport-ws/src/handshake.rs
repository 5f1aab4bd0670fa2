//! The opening handshake: heads of HTTP messages, and what both ends look for in them (RFC 6455 section 4).

use std::io;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The subprotocol of this binding.
pub const SUBPROTOCOL: &str = "mcp";

/// How a head cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HeadError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("longer than {0} bytes")]
    TooLong(usize),
    #[error("no HTTP: {0}")]
    Http(#[from] httparse::Error),
}

/// Most header fields of a head.
const FIELDS: usize = 64;

/// Reads up to the empty line; what came behind it stays in `buffer`.
pub(crate) async fn read_head(
    io: &mut (impl AsyncRead + Unpin),
    buffer: &mut BytesMut,
    max: usize,
) -> Result<Bytes, HeadError> {
    let mut searched = 0;
    loop {
        if let Some(at) = memchr::memmem::find(&buffer[searched..], b"\r\n\r\n") {
            // In an allocation of its own size: the headers live as long as the connection.
            let head = Bytes::copy_from_slice(&buffer.split_to(searched + at + 4));
            return if head.len() > max {
                Err(HeadError::TooLong(max))
            } else {
                Ok(head)
            };
        }
        if buffer.len() > max {
            return Err(HeadError::TooLong(max));
        }
        searched = buffer.len().saturating_sub(3);
        buffer.reserve(1024);
        if io.read_buf(buffer).await? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
}

/// The head of a request.
pub(crate) struct RequestHead {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The minor number of HTTP/1.
    pub(crate) version: u8,
    pub(crate) headers: HeaderMap,
}

pub(crate) fn parse_request(head: &Bytes) -> Result<RequestHead, HeadError> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    ended(request.parse(head)?)?;
    Ok(RequestHead {
        method: request.method.unwrap_or_default().to_owned(),
        target: request.path.unwrap_or_default().to_owned(),
        version: request.version.unwrap_or_default(),
        headers: header_map(head, request.headers)?,
    })
}

/// The head of a response.
pub(crate) struct ResponseHead {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
}

pub(crate) fn parse_response(head: &Bytes) -> Result<ResponseHead, HeadError> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut response = httparse::Response::new(&mut fields);
    ended(response.parse(head)?)?;
    Ok(ResponseHead {
        status: response.code.unwrap_or_default(),
        headers: header_map(head, response.headers)?,
    })
}

/// Empty lines in front of a head are skipped; then what was taken for its end is none.
fn ended(parsed: httparse::Status<usize>) -> Result<(), HeadError> {
    match parsed {
        httparse::Status::Complete(_) => Ok(()),
        httparse::Status::Partial => Err(httparse::Error::NewLine.into()),
    }
}

/// Values are slices of the head.
fn header_map(head: &Bytes, fields: &[httparse::Header<'_>]) -> Result<HeaderMap, HeadError> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes())
            .map_err(|_| httparse::Error::HeaderName)?;
        // An empty value is no part of the head that could be sliced.
        let value = if field.value.is_empty() {
            Ok(HeaderValue::from_static(""))
        } else {
            HeaderValue::from_maybe_shared(head.slice_ref(field.value))
        };
        headers.append(name, value.map_err(|_| httparse::Error::HeaderValue)?);
    }
    Ok(headers)
}

/// Whether a key is sixteen bytes in Base64: 22 digits and a padding of two.
pub(crate) fn is_key(key: &HeaderValue) -> bool {
    let digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.as_bytes()
        .strip_suffix(b"==")
        .is_some_and(|digits| digits.len() == 22 && digits.iter().all(digit))
}

/// Whether a header that lists words has this one, in any case.
pub(crate) fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    words(headers, name).any(|listed| listed.eq_ignore_ascii_case(word))
}

/// The words of a header that lists them, in however many lines.
pub(crate) fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(name).into_iter();
    let lines = lines.filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',').map(str::trim))
}

/// The only value of a header; none if it stands there more than once.
pub(crate) fn single(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then_some(value)
}
