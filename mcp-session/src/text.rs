//! The few JSON texts that the engine writes itself.

use std::collections::BTreeMap;

use mcp_types::meta::key;
use mcp_types::{
    ClientCapabilities, ForRevision, Implementation, LogLevel, Meta, ObjectBuf, ProgressToken,
    ProtocolVersion, RawJson,
};
use serde::Serialize;

/// Serialises a value of the protocol's own types, which cannot fail: no maps but with string keys.
pub(crate) fn raw<T: Serialize + ?Sized>(value: &T) -> RawJson {
    RawJson::encode(value).expect("protocol types serialise")
}

/// Serialises a value of the protocol's own types that is an object.
pub(crate) fn object<T: Serialize + ?Sized>(value: &T) -> ObjectBuf {
    ObjectBuf::encode(value).expect("protocol types serialise as objects")
}

/// Appends a member of the protocol's own types.
pub(crate) fn insert<T: Serialize + ?Sized>(object: &mut ObjectBuf, key: &str, value: &T) {
    object.insert(key, value).expect("protocol types serialise");
}

/// What is said about a peer's words, which it may repeat: no more of it than a person reads.
pub(crate) fn brief(mut said: String) -> String {
    if let Some((end, _)) = said.char_indices().nth(200) {
        said.truncate(end);
        said.push('…');
        said.shrink_to_fit();
    }
    said
}

/// The part of a modern client's `_meta` that every request repeats (REQ-META-01, REQ-META-03).
pub(crate) fn client_meta(info: &Implementation, capabilities: &ClientCapabilities) -> ObjectBuf {
    let mut meta = ObjectBuf::new();
    insert(
        &mut meta,
        key::PROTOCOL_VERSION,
        &ProtocolVersion::LATEST_MODERN,
    );
    let capabilities = (capabilities.clone()).for_revision(ProtocolVersion::LATEST_MODERN);
    insert(&mut meta, key::CLIENT_CAPABILITIES, &capabilities);
    insert(&mut meta, key::CLIENT_INFO, info);
    meta
}

/// The keys of a request's `_meta` that the engine alone sets.
const OWN_KEYS: [&str; 5] = [
    key::PROGRESS_TOKEN,
    key::PROTOCOL_VERSION,
    key::CLIENT_CAPABILITIES,
    key::CLIENT_INFO,
    key::LOG_LEVEL,
];

/// Puts `_meta` into a request's parameters: what the engine says, then what the program says besides, in its options
/// and in the parameters themselves, untouched (REQ-META-09).
pub(crate) fn insert_meta(
    params: &mut ObjectBuf,
    base: Option<&ObjectBuf>,
    token: Option<&ProgressToken>,
    log_level: Option<LogLevel>,
    program: Option<&Meta>,
) {
    let inner = params.take("_meta");
    if inner.is_none() && token.is_none() && log_level.is_none() && program.is_none() {
        if let Some(base) = base {
            params.insert_object("_meta", base);
        }
        return;
    }
    let mut meta = base.cloned().unwrap_or_default();
    if let Some(token) = token {
        insert(&mut meta, key::PROGRESS_TOKEN, token);
    }
    if let Some(level) = log_level {
        insert(&mut meta, key::LOG_LEVEL, &level);
    }
    let inner = inner
        .and_then(|raw| raw.decode::<BTreeMap<String, RawJson>>().ok())
        .unwrap_or_default();
    let more = program.map(|meta| &meta.0);
    for (name, value) in more.into_iter().flatten() {
        if !OWN_KEYS.contains(&name.as_str()) {
            insert(&mut meta, name, value);
        }
    }
    for (name, value) in &inner {
        if !OWN_KEYS.contains(&name.as_str()) && more.is_none_or(|more| !more.contains_key(name)) {
            meta.insert_raw(name, value);
        }
    }
    if !meta.is_empty() {
        params.insert_object("_meta", &meta);
    }
}
