//! What headers say, and whether the body says the same.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HeaderName};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use mcp_types::meta::key;
use mcp_types::{Era, ProtocolVersion, RawJson, RequestMessage};

use super::reply::Refusal;
use crate::head::{LAST_EVENT, METHOD, NAME, SESSION, VERSION, named};
use crate::param::{self, Annotated};

/// The one value of a header, spaces around it removed (REQ-HTTPM-07).
///
/// # Errors
/// It stands several times, or is no text.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    match only(headers, name) {
        Ok(None) => Ok(None),
        Ok(Some(value)) => std::str::from_utf8(value.as_bytes())
            .map(|text| Some(text.trim_ascii()))
            .map_err(|_| Refusal::bad_request(format!("`{name}` is not UTF-8"))),
        Err(Twice) => Err(Refusal::bad_request(format!("`{name}` stands twice"))),
    }
}

/// A header that may stand once stands more often.
pub(super) struct Twice;

/// The one value of a header, as it is.
pub(super) fn only<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'a HeaderValue>, Twice> {
    // Most requests have nothing twice, and then nobody has to look for it.
    if headers.keys_len() == headers.len() {
        return Ok(headers.get(name));
    }
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(Twice),
    }
}

/// The same of a header that repeats what the body says (REQ-HTTPM-08).
fn repeated<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    single(headers, name).map_err(|refusal| Refusal::header_mismatch(refusal.error.message))
}

/// What a request says of the revision in its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claim<'a> {
    None,
    Legacy,
    /// A modern revision, or one that nobody knows.
    Other(&'a str),
}

impl<'a> Claim<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Result<Self, Refusal> {
        Ok(match repeated(headers, &VERSION)? {
            None => Self::None,
            Some(name) => match ProtocolVersion::from_name(name) {
                Some(version) if version.era() == Era::Legacy => Self::Legacy,
                _ => Self::Other(name),
            },
        })
    }
}

/// The session a request belongs to.
pub(super) fn session(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    single(headers, &SESSION)
}

/// The event that a client has seen last.
pub(super) fn last_event(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    single(headers, &LAST_EVENT)
}

/// REQ-HTTPM-02
pub(super) fn check_post(headers: &HeaderMap) -> Result<(), Refusal> {
    check_content(headers)?;
    check_accept(headers, &["application/json", "text/event-stream"])
}

/// Whether a body is what can be read here.
pub(super) fn check_content(headers: &HeaderMap) -> Result<(), Refusal> {
    if !is_json(single(headers, &CONTENT_TYPE)?.unwrap_or_default()) {
        let message = "a body has to be `application/json` in UTF-8";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    match single(headers, &CONTENT_ENCODING)? {
        None => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case("identity") => Ok(()),
        Some(_) => {
            let message = "a body has to come as it is, without an encoding";
            let refusal = Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
            Err(refusal.with(header::ACCEPT_ENCODING, "identity"))
        }
    }
}

const JSON: &str = "application/json";

/// Whether a content type is JSON in UTF-8.
fn is_json(kind: &str) -> bool {
    // As nearly all clients write it.
    if kind == JSON {
        return true;
    }
    let (kind, parameters) = kind.split_once(';').unwrap_or((kind, ""));
    let utf8 = |parameter: &str| match parameter.trim().split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    kind.trim().eq_ignore_ascii_case(JSON) && parameters.split(';').all(utf8)
}

/// An `Accept` that takes all there is here.
const EVERYTHING: &str = "application/json, text/event-stream";

/// Whether all of `kinds` are acceptable; no header at all accepts everything (RFC 9110, 12.5.1).
pub(super) fn check_accept(headers: &HeaderMap, kinds: &[&str]) -> Result<(), Refusal> {
    match only(headers, &ACCEPT) {
        Ok(None) => return Ok(()),
        // As nearly all clients write it: what follows takes longer than all other headers together.
        Ok(Some(value)) if value == EVERYTHING => return Ok(()),
        _ => {}
    }
    // The range that says most about a kind decides.
    let accepts = |kind: &str| {
        headers
            .get_all(ACCEPT)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .filter_map(|range| judge(range, kind))
            .max()
            .is_some_and(|(_, accepted)| accepted)
    };
    match kinds.iter().all(|kind| accepts(kind)) {
        true => Ok(()),
        false => {
            let message = format!("`Accept` has to name {}", kinds.join(" and "));
            Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, message))
        }
    }
}

/// How closely a range of `Accept` is about a kind, and whether it accepts it; none if it is about others.
fn judge(range: &str, kind: &str) -> Option<(u8, bool)> {
    let mut parameters = range.split(';').map(str::trim);
    let range = parameters.next().unwrap_or_default();
    let refused = parameters.any(|parameter| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        name.eq_ignore_ascii_case("q") && value.parse() == Ok(0.0)
    });
    let group = range.strip_suffix("/*");
    let closeness = match group {
        None if range.eq_ignore_ascii_case(kind) => 2,
        Some(group) if kind.split('/').next()?.eq_ignore_ascii_case(group) => 1,
        Some("*") => 0,
        _ => return None,
    };
    Some((closeness, !refused))
}

/// What a request's body says that its head says, too; looked for once.
#[derive(Debug, Default)]
pub(super) struct Said {
    meta: Option<Arc<Meta>>,
    /// What is called, read or asked for.
    name: Option<RawJson>,
}

/// A `_meta`, and what it says of the era.
#[derive(Debug)]
struct Meta {
    raw: RawJson,
    /// Whether it marks its request as modern.
    modern: bool,
    version: Option<String>,
    /// Whether it has all it has to have (REQ-META-01).
    complete: bool,
}

/// The last `_meta` and what it said: most are to the byte as the one before was.
#[derive(Debug, Default)]
pub(super) struct LastMeta(Mutex<Option<Arc<Meta>>>);

/// Bytes of a `_meta` that is remembered, at most.
const REMEMBERED: usize = 4096;

impl LastMeta {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<Meta>>> {
        // It is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads another one, and remembers it.
    fn read(&self, raw: RawJson) -> Arc<Meta> {
        let [version, capabilities] =
            raw.members([key::PROTOCOL_VERSION, key::CLIENT_CAPABILITIES]);
        let text = version.as_ref().and_then(RawJson::text);
        let remembered = raw.len() <= REMEMBERED;
        let meta = Arc::new(Meta {
            raw: if remembered { raw.compact() } else { raw },
            modern: version.is_some(),
            complete: text.is_some() && capabilities.is_some_and(|raw| raw.is_object()),
            version: text.map(Cow::into_owned),
        });
        if remembered {
            *self.lock() = Some(Arc::clone(&meta));
        }
        meta
    }
}

impl Said {
    pub(super) fn by(request: &RequestMessage, last: &LastMeta) -> Self {
        let Some(params) = &request.params else {
            return Self::default();
        };
        let last_meta = last.lock().clone();
        let seen = last_meta.as_ref().map(|meta| &meta.raw);
        let (meta, name) = match named(&request.method) {
            Some(named) => params.members_past(["_meta", named], seen).into(),
            None => (params.member("_meta"), None),
        };
        let meta = meta.map(|raw| match last_meta {
            Some(meta) if meta.raw == raw => meta,
            _ => last.read(raw),
        });
        Self { meta, name }
    }

    pub(super) fn is_modern(&self) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.modern)
    }

    /// Whether the `_meta` of a modern request has all it has to have.
    pub(super) fn is_complete(&self) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.complete)
    }
}

/// REQ-HTTPM-05, REQ-HTTPM-06, REQ-HTTPM-08
pub(super) fn check_modern(
    headers: &HeaderMap,
    request: &RequestMessage,
    said: &Said,
) -> Result<(), Refusal> {
    let version = said.meta.as_ref().and_then(|meta| meta.version.as_deref());
    same(headers, &VERSION, version)?;
    // A value that is missing in the body, or of the wrong type, is for whoever serves the method to refuse.
    same(headers, &METHOD, Some(&request.method))?;
    let name = said.name.as_ref().and_then(RawJson::text);
    same(headers, &NAME, name.as_deref())
}

/// Whether a header says what the body says, if the body says anything.
pub(super) fn same(
    headers: &HeaderMap,
    name: &HeaderName,
    body: Option<&str>,
) -> Result<(), Refusal> {
    let Some(body) = body else {
        return Ok(());
    };
    let header = repeated(headers, name)?.ok_or_else(|| missing(name))?;
    let header = param::decode(header).map_err(|_| unreadable(name))?;
    match header == body {
        true => Ok(()),
        false => Err(mismatch(name, &header, body)),
    }
}

/// The arguments of a tool that have to stand in headers, too (REQ-PARAM-04, REQ-PARAM-06, REQ-PARAM-07).
pub(super) fn check_params(
    headers: &HeaderMap,
    annotated: &[Annotated],
    arguments: Option<&RawJson>,
) -> Result<(), Refusal> {
    for annotated in annotated {
        let Ok(name) = HeaderName::try_from(format!("mcp-param-{}", annotated.header)) else {
            continue;
        };
        let value = arguments.and_then(|arguments| annotated.value(arguments));
        match (repeated(headers, &name)?, value) {
            (None, None) => {}
            (None, Some(_)) => return Err(missing(&name)),
            (Some(header), value) => {
                let header = param::decode(header).map_err(|_| unreadable(&name))?;
                if !value.as_ref().is_some_and(|value| value.is(&header)) {
                    let body = value.as_ref().map_or("nothing".into(), param::Param::text);
                    return Err(mismatch(&name, &header, &body));
                }
            }
        }
    }
    Ok(())
}

fn missing(name: &HeaderName) -> Refusal {
    Refusal::header_mismatch(format!("the header `{name}` is missing"))
}

fn unreadable(name: &HeaderName) -> Refusal {
    Refusal::header_mismatch(format!("the header `{name}` is not valid base64 of UTF-8"))
}

fn mismatch(name: &HeaderName, header: &str, body: &str) -> Refusal {
    let message = format!("the header `{name}` says {header:?}, the body says {body:?}");
    Refusal::header_mismatch(message)
}
