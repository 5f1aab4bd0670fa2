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
    let kind = single(headers, &CONTENT_TYPE)?.unwrap_or_default();
    let mut parameters = kind.split(';').map(str::trim);
    let json = parameters
        .next()
        .is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let utf8 = parameters.all(|parameter| match parameter.split_once('=') {
        Some((name, value)) if name.eq_ignore_ascii_case("charset") => {
            value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    if !json || !utf8 {
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
    meta: Marked,
    /// What is called, read or asked for.
    name: Option<RawJson>,
}

/// What a `_meta` says of the era.
#[derive(Debug, Clone, Default)]
struct Marked {
    /// What marks it as modern.
    version: Option<RawJson>,
    capabilities: Option<RawJson>,
}

/// The last `_meta` and what it said: most are to the byte as the one before was.
#[derive(Debug, Default)]
pub(super) struct LastMeta(Mutex<Option<Arc<(RawJson, Marked)>>>);

/// Bytes of a `_meta` that is remembered, at most.
const REMEMBERED: usize = 4096;

impl LastMeta {
    fn lock(&self) -> MutexGuard<'_, Option<Arc<(RawJson, Marked)>>> {
        // It is replaced as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it says.
    fn marked(&self, meta: &RawJson) -> Marked {
        let [version, capabilities] =
            meta.members([key::PROTOCOL_VERSION, key::CLIENT_CAPABILITIES]);
        let marked = Marked {
            version,
            capabilities,
        };
        if meta.len() <= REMEMBERED {
            let compact = |raw: &Option<RawJson>| raw.as_ref().map(RawJson::compact);
            let kept = Marked {
                version: compact(&marked.version),
                capabilities: compact(&marked.capabilities),
            };
            *self.lock() = Some(Arc::new((meta.compact(), kept)));
        }
        marked
    }
}

impl Said {
    pub(super) fn by(request: &RequestMessage, last: &LastMeta) -> Self {
        let Some(params) = &request.params else {
            return Self::default();
        };
        let seen = last.lock().clone();
        let seen_meta = seen.as_ref().map(|seen| &seen.0);
        let (meta, name) = match named(&request.method) {
            Some(named) => {
                let [meta, name] = params.members_past(["_meta", named], seen_meta);
                (meta, name)
            }
            None => (params.member("_meta"), None),
        };
        let meta = match (meta, &seen) {
            (None, _) => Marked::default(),
            (Some(meta), Some(seen)) if seen.0 == meta => seen.1.clone(),
            (Some(meta), _) => last.marked(&meta),
        };
        Self { meta, name }
    }

    pub(super) fn is_modern(&self) -> bool {
        self.meta.version.is_some()
    }

    /// Whether the `_meta` of a modern request has all it has to have (REQ-META-01).
    pub(super) fn is_complete(&self) -> bool {
        let version = self.meta.version.as_ref().and_then(text);
        version.is_some() && (self.meta.capabilities.as_ref()).is_some_and(RawJson::is_object)
    }
}

fn text(raw: &RawJson) -> Option<Cow<'_, str>> {
    // Nearly every text is its own.
    let plain = raw.as_str().strip_prefix('"')?.strip_suffix('"')?;
    if !plain.contains('\\') {
        return Some(Cow::Borrowed(plain));
    }
    raw.decode::<String>().ok().map(Cow::Owned)
}

/// REQ-HTTPM-05, REQ-HTTPM-06, REQ-HTTPM-08
pub(super) fn check_modern(
    headers: &HeaderMap,
    request: &RequestMessage,
    said: &Said,
) -> Result<(), Refusal> {
    let version = said.meta.version.as_ref().and_then(text);
    same(headers, &VERSION, version.as_deref())?;
    // A value that is missing in the body, or of the wrong type, is for whoever serves the method to refuse.
    let method = repeated(headers, &METHOD)?.ok_or_else(|| missing(&METHOD))?;
    if method != request.method.as_str() {
        return Err(mismatch(&METHOD, method, &request.method));
    }
    let name = said.name.as_ref().and_then(text);
    same(headers, &NAME, name.as_deref())
}

/// Whether a header says what the body says, if the body says anything.
fn same(headers: &HeaderMap, name: &HeaderName, body: Option<&str>) -> Result<(), Refusal> {
    let Some(body) = body else {
        return Ok(());
    };
    let header = repeated(headers, name)?.ok_or_else(|| missing(name))?;
    let header = param::decode(header.as_bytes()).map_err(|_| unreadable(name))?;
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
                let header = param::decode(header.as_bytes()).map_err(|_| unreadable(&name))?;
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
