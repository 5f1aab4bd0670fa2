//! What each side is able to do.
//!
//! Capabilities are open sets: a key without a field here is kept in `other` and written again, at every level.
//! `{}` and absence differ everywhere.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::raw::RawJson;

/// A struct of optional members that keeps the members it does not know.
macro_rules! capability {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$field_doc:meta])* $field:ident($key:literal): $kind:ident $(<$ty:ty>)?,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: capability!(@type $kind $($ty)?),)*
            /// Members without a field here, as they were read.
            pub other: BTreeMap<String, RawJson>,
        }

        impl $name {
            /// Nothing declared: `{}`.
            pub fn new() -> Self {
                Self::default()
            }

            $(capability! { @setter $kind $field $($ty)? })*
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                $(capability!(@write $kind map, $key, &self.$field);)*
                for (key, value) in &self.other {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Members;
                impl<'de> Visitor<'de> for Members {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("the object ", stringify!($name)))
                    }

                    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<$name, A::Error> {
                        let mut read = $name::default();
                        while let Some(key) = map.next_key::<String>()? {
                            match key.as_str() {
                                $($key => read.$field = map.next_value::<Option<_>>()?.unwrap_or_default(),)*
                                _ => {
                                    let value = map.next_value()?;
                                    read.other.insert(key, value);
                                }
                            }
                        }
                        Ok(read)
                    }
                }
                deserializer.deserialize_map(Members)
            }
        }
    };
    (@type opt $ty:ty) => { Option<$ty> };
    (@type mark) => { Option<RawJson> };
    (@type flag) => { bool };
    (@type map) => { BTreeMap<String, RawJson> };
    (@setter opt $field:ident $ty:ty) => {
        #[doc = concat!("Declares `", stringify!($field), "`.")]
        #[must_use]
        pub fn $field(mut self, $field: $ty) -> Self {
            self.$field = Some($field);
            self
        }
    };
    // `{}` in every revision so far.
    (@setter mark $field:ident) => {
        #[doc = concat!("Declares `", stringify!($field), "`.")]
        #[must_use]
        pub fn $field(mut self) -> Self {
            self.$field = Some(RawJson::EMPTY_OBJECT);
            self
        }
    };
    (@setter flag $field:ident) => {
        #[doc = concat!("Sets `", stringify!($field), "`.")]
        #[must_use]
        pub fn $field(mut self, $field: bool) -> Self {
            self.$field = $field;
            self
        }
    };
    (@setter map $field:ident) => {
        #[doc = concat!("Adds to `", stringify!($field), "`; the settings are a JSON object, often empty.")]
        #[must_use]
        pub fn $field(mut self, name: impl Into<String>, settings: impl Into<RawJson>) -> Self {
            self.$field.insert(name.into(), settings.into());
            self
        }
    };
    (@write flag $map:ident, $key:literal, $value:expr) => {
        if *$value {
            $map.serialize_entry($key, &true)?;
        }
    };
    (@write map $map:ident, $key:literal, $value:expr) => {
        if !$value.is_empty() {
            $map.serialize_entry($key, $value)?;
        }
    };
    (@write $kind:ident $map:ident, $key:literal, $value:expr) => {
        if let Some(value) = $value {
            $map.serialize_entry($key, value)?;
        }
    };
}

capability! {
    /// What a client is able to do.
    ///
    /// Legacy: declared once, in `initialize`. Modern: declared by every request, and never inferred from an earlier one (TRAP-29).
    ClientCapabilities {
        /// It tells its roots (deprecated since 2026-07-28).
        roots("roots"): opt<RootsCapability>,
        /// It asks its model on the server's behalf (deprecated since 2026-07-28).
        sampling("sampling"): opt<SamplingCapability>,
        /// It asks its user on the server's behalf (since 2025-06-18).
        elicitation("elicitation"): opt<ElicitationCapability>,
        /// It runs requests as tasks (2025-11-25 only).
        tasks("tasks"): opt<TasksCapability>,
        /// Features outside the protocol, by name.
        experimental("experimental"): map,
        /// Settings of extensions, by identifier (since 2026-07-28; tolerated before).
        extensions("extensions"): map,
    }
}

capability! {
    /// What a server is able to do. Legacy: the answer to `initialize`. Modern: the answer to `server/discover`.
    ServerCapabilities {
        /// It has tools.
        tools("tools"): opt<ToolsCapability>,
        /// It has resources.
        resources("resources"): opt<ResourcesCapability>,
        /// It has prompts.
        prompts("prompts"): opt<PromptsCapability>,
        /// It sends log messages (deprecated since 2026-07-28).
        logging("logging"): mark,
        /// It completes arguments (since 2025-03-26; before, the method had no capability).
        completions("completions"): mark,
        /// It runs requests as tasks (2025-11-25 only).
        tasks("tasks"): opt<TasksCapability>,
        /// Features outside the protocol, by name.
        experimental("experimental"): map,
        /// Settings of extensions, by identifier (since 2026-07-28; tolerated before).
        extensions("extensions"): map,
    }
}

capability! {
    /// The client's `roots`.
    RootsCapability {
        /// It says when they change (legacy only).
        list_changed("listChanged"): flag,
    }
}

capability! {
    /// The client's `sampling`.
    SamplingCapability {
        /// It includes context of servers (since 2025-11-25).
        context("context"): mark,
        /// Its model calls tools (since 2025-11-25).
        tools("tools"): mark,
    }
}

capability! {
    /// The client's `elicitation`: `{}` means form (TRAP-15); [`ClientCapabilities::elicits_form`] knows.
    ElicitationCapability {
        /// It shows forms.
        form("form"): mark,
        /// It opens URLs.
        url("url"): mark,
    }
}

capability! {
    /// The server's `tools`.
    ToolsCapability {
        /// It says when the list changes.
        list_changed("listChanged"): flag,
    }
}

capability! {
    /// The server's `resources`.
    ResourcesCapability {
        /// It says when a single resource changes, to whoever subscribed.
        subscribe("subscribe"): flag,
        /// It says when the list changes.
        list_changed("listChanged"): flag,
    }
}

capability! {
    /// The server's `prompts`.
    PromptsCapability {
        /// It says when the list changes.
        list_changed("listChanged"): flag,
    }
}

capability! {
    /// `tasks` of either side (2025-11-25 only).
    TasksCapability {
        /// It lists its tasks.
        list("list"): mark,
        /// It cancels tasks.
        cancel("cancel"): mark,
        /// Which requests may become tasks.
        requests("requests"): opt<TaskRequestsCapability>,
    }
}

capability! {
    /// Which requests may become tasks (2025-11-25 only).
    TaskRequestsCapability {
        /// A server's: `{call?}`.
        tools("tools"): opt<TaskToolsCapability>,
        /// A client's: `{createMessage?}`.
        sampling("sampling"): opt<TaskSamplingCapability>,
        /// A client's: `{create?}`.
        elicitation("elicitation"): opt<TaskElicitationCapability>,
    }
}

capability! {
    /// Tool requests that may become tasks (2025-11-25 only).
    TaskToolsCapability {
        /// `tools/call`.
        call("call"): mark,
    }
}

capability! {
    /// Sampling requests that may become tasks (2025-11-25 only).
    TaskSamplingCapability {
        /// `sampling/createMessage`.
        create_message("createMessage"): mark,
    }
}

capability! {
    /// Elicitation requests that may become tasks (2025-11-25 only).
    TaskElicitationCapability {
        /// `elicitation/create`.
        create("create"): mark,
    }
}

/// Why something is no extension that can be declared; `None` if it is one (REQ-EXT-01).
///
/// Its identifier is a key as `_meta` has them, with a prefix: `com.example/feature`. Its settings are a JSON object.
pub fn extension_fault(id: &str, settings: &RawJson) -> Option<&'static str> {
    let Some((prefix, name)) = id.split_once('/') else {
        return Some("its identifier has no prefix, as `com.example/feature` has");
    };
    let made_of = |text: &str, inside: &str| {
        let ends = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
        ends(text.chars().next())
            && ends(text.chars().next_back())
            && text
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || inside.contains(c))
    };
    let label =
        |label: &str| label.starts_with(|c: char| c.is_ascii_alphabetic()) && made_of(label, "-");
    if !prefix.split('.').all(label) || !(name.is_empty() || made_of(name, "-_.")) {
        return Some("its identifier is no key that `_meta` could have");
    }
    (!settings.is_object()).then_some("its settings are no JSON object")
}

impl ClientCapabilities {
    /// Whether the client tells its roots.
    pub fn lists_roots(&self) -> bool {
        self.roots.is_some()
    }

    /// Whether the client samples at all.
    pub fn samples(&self) -> bool {
        self.sampling.is_some()
    }

    /// Whether a sampling request may carry tools (REQ-SAMP-02).
    pub fn samples_with_tools(&self) -> bool {
        self.sampling.as_ref().is_some_and(|s| s.tools.is_some())
    }

    /// Whether a sampling request may ask for context of servers (REQ-SAMP-02).
    pub fn samples_with_context(&self) -> bool {
        self.sampling.as_ref().is_some_and(|s| s.context.is_some())
    }

    /// Whether the client shows forms: `form` declared, or neither mode (REQ-CAP-10).
    pub fn elicits_form(&self) -> bool {
        self.elicitation
            .as_ref()
            .is_some_and(|e| e.form.is_some() || e.url.is_none())
    }

    /// Whether the client opens URLs.
    pub fn elicits_url(&self) -> bool {
        self.elicitation.as_ref().is_some_and(|e| e.url.is_some())
    }

    /// The settings of an extension, if it is declared.
    pub fn extension(&self, id: &str) -> Option<&RawJson> {
        self.extensions.get(id)
    }
}

impl ServerCapabilities {
    /// The settings of an extension, if it is declared.
    pub fn extension(&self, id: &str) -> Option<&RawJson> {
        self.extensions.get(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(json: &str) -> ClientCapabilities {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn unknown_members_survive_at_every_level() {
        // REQ-JRPC-07, TRAP-07
        let text = r#"{"roots":{"x":1},"sampling":{"tools":{"deep":[1.0]}},"tasks":{"requests":{"tools":{"call":{}},"y":{}}},"com.example/z":null}"#;
        assert_eq!(serde_json::to_string(&client(text)).unwrap(), text);
        let text = r#"{"tools":{"listChanged":true,"x":1},"logging":{},"y":[]}"#;
        let server: ServerCapabilities = serde_json::from_str(text).unwrap();
        assert!(server.tools.as_ref().unwrap().list_changed);
        assert_eq!(serde_json::to_string(&server).unwrap(), text);
    }

    #[test]
    fn four_answers_to_can_i_send_a_form() {
        // TRAP-15, REQ-CAP-10
        for (json, form, url) in [
            ("{}", false, false),
            (r#"{"elicitation":{}}"#, true, false),
            (r#"{"elicitation":{"form":{}}}"#, true, false),
            (r#"{"elicitation":{"url":{}}}"#, false, true),
            (r#"{"elicitation":{"url":{},"form":{}}}"#, true, true),
        ] {
            let caps = client(json);
            assert_eq!(
                (caps.elicits_form(), caps.elicits_url()),
                (form, url),
                "{json}"
            );
        }
    }

    #[test]
    fn an_extension_has_a_prefix_a_name_and_an_object() {
        // REQ-EXT-01
        for (id, good) in [
            ("com.example/x", true),
            ("io.modelcontextprotocol/tasks", true),
            ("a/1-_.B", true),
            ("a-1.b2/", true),
            ("x", false),
            ("", false),
            ("/x", false),
            ("com..example/x", false),
            ("1com/x", false),
            ("com-/x", false),
            ("com_example/x", false),
            ("com.example/x/y", false),
            ("com.example/-x", false),
            ("com.example/x.", false),
            ("com.exämple/x", false),
        ] {
            let fault = extension_fault(id, &RawJson::EMPTY_OBJECT);
            assert_eq!(fault.is_none(), good, "{id}: {fault:?}");
        }
        for settings in [
            RawJson::from(serde_json::json!([])),
            RawJson::from(serde_json::json!(true)),
        ] {
            assert!(extension_fault("com.example/x", &settings).is_some());
        }
    }
}
