//! Who is speaking, and how a connection opens: by handshake (legacy) or by discovery (modern).

use serde::{Deserialize, Serialize};

use crate::cache::{CacheScope, ttl};
use crate::capabilities::{ClientCapabilities, ServerCapabilities};
use crate::icons::Icon;
use crate::meta::Meta;
use crate::names::{methods, setters};
use crate::pagination::{EmptyParams, EmptyResult};
use crate::version::ProtocolVersion;

/// The name and version of a program that speaks the protocol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Implementation {
    /// A name for programs.
    pub name: String,
    /// The program's own version, in whatever form it has one.
    pub version: String,
    /// A name for people (since 2025-06-18).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is for (since 2025-11-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Icons to choose from (since 2025-11-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub icons: Option<Vec<Icon>>,
    /// Its home page (since 2025-11-25).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website_url: Option<String>,
}

impl Implementation {
    /// A program's name and version.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            title: None,
            description: None,
            icons: None,
            website_url: None,
        }
    }

    setters! {
        title: into String;
        description: into String;
        icons: into Vec<Icon>;
        website_url: into String;
    }
}

impl std::fmt::Display for Implementation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}",
            self.title.as_ref().unwrap_or(&self.name),
            self.version
        )
    }
}

/// The parameters of `initialize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InitializeParams {
    /// The newest version the client speaks; a string, because it may be one that this crate does not know.
    pub protocol_version: String,
    /// What the client is able to do.
    pub capabilities: ClientCapabilities,
    /// Who the client is.
    pub client_info: Implementation,
    /// The request's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl InitializeParams {
    /// Opens a session.
    pub fn new(
        version: ProtocolVersion,
        capabilities: ClientCapabilities,
        client_info: Implementation,
    ) -> Self {
        Self {
            protocol_version: version.as_str().to_owned(),
            capabilities,
            client_info,
            meta: None,
        }
    }

    setters! { meta: Meta; }

    /// The version asked for, if this crate knows it.
    pub fn version(&self) -> Option<ProtocolVersion> {
        ProtocolVersion::from_name(&self.protocol_version)
    }
}

/// The result of `initialize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct InitializeResult {
    /// The version of the session; a string, because it may be one that this crate does not know.
    pub protocol_version: String,
    /// What the server is able to do.
    pub capabilities: ServerCapabilities,
    /// Who the server is.
    pub server_info: Implementation,
    /// How to use the server, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl InitializeResult {
    /// Accepts a session.
    pub fn new(
        version: ProtocolVersion,
        capabilities: ServerCapabilities,
        server_info: Implementation,
    ) -> Self {
        Self {
            protocol_version: version.as_str().to_owned(),
            capabilities,
            server_info,
            instructions: None,
            meta: None,
        }
    }

    setters! {
        instructions: into String;
        meta: Meta;
    }

    /// The version of the session, if this crate knows it.
    pub fn version(&self) -> Option<ProtocolVersion> {
        ProtocolVersion::from_name(&self.protocol_version)
    }
}

/// The parameters of `server/discover`: nothing but `_meta`.
pub type DiscoverParams = EmptyParams;

/// The result of `server/discover`. Who the server is stands in `_meta`, and may be missing (TRAP-30).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct DiscoverResult {
    /// Every version the server speaks. Legacy ones are open to `initialize` only (TRAP-27).
    pub supported_versions: Vec<String>,
    /// What the server is able to do.
    pub capabilities: ServerCapabilities,
    /// How to use the server, for the model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// For how long it may be kept, in milliseconds; absent: not at all.
    #[serde(
        default,
        deserialize_with = "ttl",
        skip_serializing_if = "Option::is_none"
    )]
    pub ttl_ms: Option<u64>,
    /// Who may share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_scope: Option<CacheScope>,
    /// The result's `_meta`.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Meta>,
}

impl DiscoverResult {
    /// What a server speaks and is able to do.
    pub fn new(
        versions: impl IntoIterator<Item = ProtocolVersion>,
        capabilities: ServerCapabilities,
    ) -> Self {
        Self {
            supported_versions: versions
                .into_iter()
                .map(|version| version.as_str().to_owned())
                .collect(),
            capabilities,
            ..Self::default()
        }
    }

    setters! {
        instructions: into String;
        ttl_ms: u64;
        cache_scope: CacheScope;
        meta: Meta;
    }

    /// The versions of the server that this crate knows.
    pub fn versions(&self) -> impl Iterator<Item = ProtocolVersion> {
        self.supported_versions
            .iter()
            .filter_map(|name| ProtocolVersion::from_name(name))
    }
}

methods! {
    /// legacy; opens a session.
    request Initialize("initialize"): InitializeParams => InitializeResult;
    /// modern; what the server speaks and is able to do.
    request Discover("server/discover"): DiscoverParams => DiscoverResult;
    /// legacy, both directions; whether the other side is alive.
    request Ping("ping"): EmptyParams => EmptyResult;
    /// legacy; the client is ready.
    notification Initialized("notifications/initialized"): EmptyParams;
}
