//! Resources: what a server lets others read, by URI.

use serde::{Deserialize, Serialize};

use crate::annotations::Annotations;
use crate::blob::{self, InvalidBase64};
use crate::cache::{CacheScope, ttl};
use crate::icons::Icon;
use crate::meta::Meta;
use crate::names::{methods, setters};
use crate::numbers::known;
use crate::pagination::{Cursor, EmptyParams, EmptyResult, PaginatedParams};
use crate::rounds::InputResponses;

/// A resource that can be read; also, as a block of content, a link to one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Resource {
    /// What it is read by.
    pub uri: String,
    /// A name for programs.
    pub name: String,
    /// A name for people (since 2025-06-18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The media type, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The size in bytes, before any encoding, if known.
    #[serde(
        default,
        deserialize_with = "known",
        skip_serializing_if = "Option::is_none"
    )]
    pub size: Option<u64>,
    /// For whom it is, how important, how old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// Icons to choose from (since 2025-11-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icons: Option<Vec<Icon>>,
    /// The resource's `_meta` (since 2025-06-18).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// A link to a resource, as a block of content (since 2025-06-18).
pub type ResourceLink = Resource;

impl Resource {
    /// A resource of a URI and a name.
    pub fn new(uri: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            name: name.into(),
            title: None,
            description: None,
            mime_type: None,
            size: None,
            annotations: None,
            icons: None,
            meta: None,
        }
    }

    setters! {
        title: into String;
        description: into String;
        mime_type: into String;
        size: u64;
        annotations: Annotations;
        icons: into Vec<Icon>;
        meta: Meta;
    }

    /// The name to show: the title, or else the name.
    pub fn display_name(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

/// A family of resources.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResourceTemplate {
    /// The URIs, as an RFC 6570 template.
    pub uri_template: String,
    /// A name for programs.
    pub name: String,
    /// A name for people (since 2025-06-18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What these resources are, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The media type, if they all have the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// For whom they are, how important, how old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<Annotations>,
    /// Icons to choose from (since 2025-11-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icons: Option<Vec<Icon>>,
    /// The template's `_meta` (since 2025-06-18).
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ResourceTemplate {
    /// A family of a URI template and a name.
    pub fn new(uri_template: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            uri_template: uri_template.into(),
            name: name.into(),
            title: None,
            description: None,
            mime_type: None,
            annotations: None,
            icons: None,
            meta: None,
        }
    }

    setters! {
        title: into String;
        description: into String;
        mime_type: into String;
        annotations: Annotations;
        icons: into Vec<Icon>;
        meta: Meta;
    }

    /// The name to show: the title, or else the name.
    pub fn display_name(&self) -> &str {
        self.title.as_deref().unwrap_or(&self.name)
    }
}

/// What a resource, or a part of one, contains: text or bytes, told apart by the member that is there.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(try_from = "AnyContents")]
pub enum ResourceContents {
    /// Text.
    Text(TextResourceContents),
    /// Bytes.
    Blob(BlobResourceContents),
}

/// Text of a resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TextResourceContents {
    /// What it was read by.
    pub uri: String,
    /// The media type, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The text.
    pub text: String,
    /// The contents' `_meta` (since 2025-06-18).
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

/// Bytes of a resource.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct BlobResourceContents {
    /// What it was read by.
    pub uri: String,
    /// The media type, if known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    /// The bytes in base64; checked by [`BlobResourceContents::bytes`], not before.
    pub blob: String,
    /// The contents' `_meta` (since 2025-06-18).
    #[serde(rename = "_meta", skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl BlobResourceContents {
    /// The bytes.
    ///
    /// # Errors
    /// [`InvalidBase64`] if the peer sent something else.
    pub fn bytes(&self) -> Result<Vec<u8>, InvalidBase64> {
        blob::decode(&self.blob)
    }
}

impl ResourceContents {
    /// Text.
    pub fn text(uri: impl Into<String>, text: impl Into<String>) -> Self {
        Self::Text(TextResourceContents {
            uri: uri.into(),
            mime_type: None,
            text: text.into(),
            meta: None,
        })
    }

    /// Bytes that are in base64 already.
    pub fn blob(uri: impl Into<String>, blob: impl Into<String>) -> Self {
        Self::Blob(BlobResourceContents {
            uri: uri.into(),
            mime_type: None,
            blob: blob.into(),
            meta: None,
        })
    }

    /// Bytes.
    pub fn from_bytes(uri: impl Into<String>, bytes: impl AsRef<[u8]>) -> Self {
        Self::blob(uri, blob::encode(bytes.as_ref()))
    }

    /// Sets the media type.
    #[must_use]
    pub fn mime_type(mut self, mime_type: impl Into<String>) -> Self {
        match &mut self {
            Self::Text(text) => text.mime_type = Some(mime_type.into()),
            Self::Blob(blob) => blob.mime_type = Some(mime_type.into()),
        }
        self
    }

    /// Sets `_meta`.
    #[must_use]
    pub fn meta(mut self, meta: Meta) -> Self {
        match &mut self {
            Self::Text(text) => text.meta = Some(meta),
            Self::Blob(blob) => blob.meta = Some(meta),
        }
        self
    }

    /// What it was read by.
    pub fn uri(&self) -> &str {
        match self {
            Self::Text(text) => &text.uri,
            Self::Blob(blob) => &blob.uri,
        }
    }

    /// The text, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(&text.text),
            Self::Blob(_) => None,
        }
    }
}

impl Serialize for ResourceContents {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => text.serialize(serializer),
            Self::Blob(blob) => blob.serialize(serializer),
        }
    }
}

/// Every member that contents may have, read in one pass.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AnyContents {
    uri: String,
    #[serde(default)]
    mime_type: Option<String>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    blob: Option<String>,
    #[serde(rename = "_meta", default)]
    meta: Option<Meta>,
}

impl TryFrom<AnyContents> for ResourceContents {
    type Error = &'static str;

    fn try_from(any: AnyContents) -> Result<Self, Self::Error> {
        let AnyContents {
            uri,
            mime_type,
            text,
            blob,
            meta,
        } = any;
        match (text, blob) {
            (Some(text), None) => Ok(Self::Text(TextResourceContents {
                uri,
                mime_type,
                text,
                meta,
            })),
            (None, Some(blob)) => Ok(Self::Blob(BlobResourceContents {
                uri,
                mime_type,
                blob,
                meta,
            })),
            (None, None) => Err("resource contents have neither text nor blob"),
            (Some(_), Some(_)) => Err("resource contents have both text and blob"),
        }
    }
}

/// The parameters of `resources/list`.
pub type ListResourcesParams = PaginatedParams;
/// The parameters of `resources/templates/list`.
pub type ListResourceTemplatesParams = PaginatedParams;

/// The result of `resources/list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListResourcesResult {
    /// One page of resources.
    pub resources: Vec<Resource>,
    /// Where the next page begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
    /// For how long it may be kept, in milliseconds (since 2026-07-28); absent: not at all.
    #[serde(
        default,
        deserialize_with = "ttl",
        skip_serializing_if = "Option::is_none"
    )]
    pub ttl_ms: Option<u64>,
    /// Who may share it (since 2026-07-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_scope: Option<CacheScope>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListResourcesResult {
    /// The whole list, or its last page.
    pub fn new(resources: impl Into<Vec<Resource>>) -> Self {
        Self {
            resources: resources.into(),
            ..Self::default()
        }
    }

    setters! {
        next_cursor: into Cursor;
        ttl_ms: u64;
        cache_scope: CacheScope;
        meta: Meta;
    }
}

/// The result of `resources/templates/list`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ListResourceTemplatesResult {
    /// One page of templates.
    pub resource_templates: Vec<ResourceTemplate>,
    /// Where the next page begins; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<Cursor>,
    /// For how long it may be kept, in milliseconds (since 2026-07-28); absent: not at all.
    #[serde(
        default,
        deserialize_with = "ttl",
        skip_serializing_if = "Option::is_none"
    )]
    pub ttl_ms: Option<u64>,
    /// Who may share it (since 2026-07-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_scope: Option<CacheScope>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ListResourceTemplatesResult {
    /// The whole list, or its last page.
    pub fn new(resource_templates: impl Into<Vec<ResourceTemplate>>) -> Self {
        Self {
            resource_templates: resource_templates.into(),
            ..Self::default()
        }
    }

    setters! {
        next_cursor: into Cursor;
        ttl_ms: u64;
        cache_scope: CacheScope;
        meta: Meta;
    }
}

/// The parameters of `resources/read`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReadResourceParams {
    /// What to read.
    pub uri: String,
    /// Answers to the last round's questions (since 2026-07-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_responses: Option<InputResponses>,
    /// The last round's state, exactly (since 2026-07-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_state: Option<String>,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ReadResourceParams {
    /// Reads a URI.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            input_responses: None,
            request_state: None,
            meta: None,
        }
    }

    setters! {
        input_responses: InputResponses;
        request_state: into String;
        meta: Meta;
    }
}

/// The result of `resources/read`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ReadResourceResult {
    /// The contents; a URI may stand for several. Never empty for a resource that is missing: that is an error (REQ-RES-02).
    pub contents: Vec<ResourceContents>,
    /// For how long it may be kept, in milliseconds (since 2026-07-28); absent: not at all.
    #[serde(
        default,
        deserialize_with = "ttl",
        skip_serializing_if = "Option::is_none"
    )]
    pub ttl_ms: Option<u64>,
    /// Who may share it (since 2026-07-28).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_scope: Option<CacheScope>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ReadResourceResult {
    /// These contents.
    pub fn new(contents: impl Into<Vec<ResourceContents>>) -> Self {
        Self {
            contents: contents.into(),
            ..Self::default()
        }
    }

    /// One text.
    pub fn text(uri: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new([ResourceContents::text(uri, text)])
    }

    setters! {
        ttl_ms: u64;
        cache_scope: CacheScope;
        meta: Meta;
    }
}

/// The parameters of `resources/subscribe` and `resources/unsubscribe`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct SubscribeParams {
    /// The resource.
    pub uri: String,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl SubscribeParams {
    /// About a URI.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

/// The parameters of `resources/unsubscribe`: those of `resources/subscribe`.
pub type UnsubscribeParams = SubscribeParams;

/// That a resource changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ResourceUpdatedParams {
    /// The resource; it may be a part of the one subscribed to (REQ-RES-06).
    pub uri: String,
    /// The notification's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl ResourceUpdatedParams {
    /// This URI changed.
    pub fn new(uri: impl Into<String>) -> Self {
        Self {
            uri: uri.into(),
            meta: None,
        }
    }

    setters! { meta: Meta; }
}

methods! {
    /// every revision; one page of resources.
    request ListResources("resources/list"): ListResourcesParams => ListResourcesResult;
    /// every revision; one page of resource templates.
    request ListResourceTemplates("resources/templates/list"): ListResourceTemplatesParams => ListResourceTemplatesResult;
    /// every revision; what a resource contains.
    request ReadResource("resources/read"): ReadResourceParams => ReadResourceResult;
    /// legacy; asks for `notifications/resources/updated` about a resource.
    request Subscribe("resources/subscribe"): SubscribeParams => EmptyResult;
    /// legacy; ends a subscription.
    request Unsubscribe("resources/unsubscribe"): UnsubscribeParams => EmptyResult;
    /// every revision; the list of resources changed.
    notification ResourceListChanged("notifications/resources/list_changed"): EmptyParams;
    /// every revision; a resource changed.
    notification ResourceUpdated("notifications/resources/updated"): ResourceUpdatedParams;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_told_apart_by_their_member() {
        let text: ResourceContents =
            serde_json::from_str(r#"{"text":"a","uri":"file:///a","x":1}"#).unwrap();
        assert_eq!(text, ResourceContents::text("file:///a", "a"));
        let blob = ResourceContents::from_bytes("file:///b", [0, 255]).mime_type("a/b");
        let json = serde_json::to_string(&blob).unwrap();
        assert_eq!(
            json,
            r#"{"uri":"file:///b","mimeType":"a/b","blob":"AP8="}"#
        );
        assert_eq!(
            serde_json::from_str::<ResourceContents>(&json).unwrap(),
            blob
        );
        for json in [
            r#"{"uri":"x"}"#,
            r#"{"text":"a","blob":"","uri":"x"}"#,
            r#"{"text":"a"}"#,
        ] {
            assert!(
                serde_json::from_str::<ResourceContents>(json).is_err(),
                "{json}"
            );
        }
    }

    #[test]
    fn base64_is_checked_when_it_is_read() {
        let ResourceContents::Blob(blob) = ResourceContents::blob("x:y", "AP8") else {
            unreachable!("just made");
        };
        assert!(blob.bytes().is_err());
    }

    #[test]
    fn a_negative_ttl_is_none_at_all() {
        // REQ-CACHE-05
        for (json, ttl, scope) in [
            (
                r#"{"contents":[],"ttlMs":-1,"cacheScope":"galaxy"}"#,
                Some(0),
                Some(CacheScope::Private),
            ),
            (
                r#"{"contents":[],"ttlMs":null,"cacheScope":null}"#,
                None,
                None,
            ),
            (
                r#"{"contents":[],"ttlMs":2.0,"cacheScope":"public"}"#,
                Some(2),
                Some(CacheScope::Public),
            ),
            (r#"{"contents":[]}"#, None, None),
        ] {
            let read: ReadResourceResult = serde_json::from_str(json).unwrap();
            assert_eq!((read.ttl_ms, read.cache_scope), (ttl, scope), "{json}");
        }
    }
}
