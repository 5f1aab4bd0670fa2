//! What may go out, and on whose behalf: eras, capabilities, log levels.

use mcp_types::{
    ClientCapabilities, Era, LogLevel, MethodName, ObjectBuf, ProtocolVersion, RawJson, RequestId,
};

use crate::NOTIFICATIONS_EXTENSION;
use crate::error::{ApiMisuse, NotSent};
use crate::event::{Caller, IncomingKey};
use crate::incoming::Entry;
use crate::methods::{is_in, is_question};
use crate::session::{Session, Side};

impl Session {
    /// Whether a request of ours may be sent now, and in which era; gives the parameters back.
    pub(crate) fn may_call(
        &self,
        method: &MethodName,
        params: ObjectBuf,
        related: Option<IncomingKey>,
    ) -> Result<(Era, ObjectBuf), ApiMisuse> {
        match &self.side {
            Side::Client(client) => {
                let established = client.established().ok_or(ApiMisuse::NotOpen)?;
                exists(method, established.version)?;
                Ok((established.version.era(), params))
            }
            Side::Server(server) => {
                let caller = match related {
                    Some(key) => self.incoming.caller_of(key).ok_or(ApiMisuse::Ended)?,
                    None => server.legacy_caller().ok_or(ApiMisuse::NotOpen)?,
                };
                if caller.version.era() == Era::Modern {
                    return Err(ApiMisuse::ModernClient);
                }
                exists(method, caller.version)?;
                if !is_question(method) {
                    return Ok((Era::Legacy, params));
                }
                let params = params.finish();
                may_ask(caller, method, &params)?;
                Ok((Era::Legacy, ObjectBuf::from_raw(params).unwrap_or_default()))
            }
        }
    }

    pub(crate) fn may_notify(
        &self,
        related: Option<IncomingKey>,
        method: &MethodName,
    ) -> Result<Option<RequestId>, NotSent> {
        // These have verbs of their own, with rules of their own.
        if matches!(
            method.as_str(),
            "notifications/cancelled"
                | "notifications/progress"
                | "notifications/message"
                | "notifications/initialized"
                | "notifications/subscriptions/acknowledged"
        ) {
            return Err(NotSent::Forbidden);
        }
        if let Some(key) = related {
            let caller = self.incoming.caller_of(key).ok_or(NotSent::Ended)?;
            let related_to = self.incoming.id_of(key);
            return match (caller.version.era(), method.is_core()) {
                (Era::Legacy, _) => self.legacy_direction(method).map(|()| related_to),
                // List changes go to listen streams only.
                (Era::Modern, true) => Err(NotSent::Forbidden),
                (Era::Modern, false) if self.notifications_negotiated(caller) => Ok(related_to),
                (Era::Modern, false) => Err(NotSent::NotNegotiated),
            };
        }
        match &self.side {
            Side::Client(_) if self.legacy_version().is_some() => {
                self.legacy_direction(method).map(|()| None)
            }
            Side::Client(client) => match client.established() {
                None => Err(NotSent::NoSession),
                Some(_) if method.is_core() => Err(NotSent::Forbidden),
                Some(_) if self.notifications_negotiated(&client.server) => Ok(None),
                Some(_) => Err(NotSent::NotNegotiated),
            },
            // Who it goes to is found out when it is published.
            Side::Server(_) => Ok(None),
        }
    }

    /// Who may send which of the protocol's own notifications in a legacy session.
    pub(crate) fn legacy_direction(&self, method: &MethodName) -> Result<(), NotSent> {
        let version = self.legacy_version().ok_or(NotSent::NoSession)?;
        let from_client = method == "notifications/roots/list_changed";
        let either = !method.is_core() || method == "notifications/tasks/status";
        let allowed = either || from_client == matches!(self.side, Side::Client(_));
        if allowed && is_in(method, version) && self.declares(method) {
            Ok(())
        } else {
            Err(NotSent::Forbidden)
        }
    }

    /// Whether the capability behind a notification is declared (REQ-CAP-06, REQ-LIFE-09).
    fn declares(&self, method: &MethodName) -> bool {
        match &self.side {
            Side::Client(client) => {
                let own = &client.config.capabilities;
                method != "notifications/roots/list_changed"
                    || own.roots.as_ref().is_some_and(|roots| roots.list_changed)
            }
            Side::Server(server) => {
                let own = &server.config().capabilities;
                match method.as_str() {
                    "notifications/tools/list_changed" => {
                        own.tools.as_ref().is_some_and(|tools| tools.list_changed)
                    }
                    "notifications/prompts/list_changed" => {
                        own.prompts.as_ref().is_some_and(|p| p.list_changed)
                    }
                    "notifications/resources/list_changed" => {
                        own.resources.as_ref().is_some_and(|r| r.list_changed)
                    }
                    "notifications/resources/updated" => {
                        own.resources.as_ref().is_some_and(|r| r.subscribe)
                    }
                    _ => true,
                }
            }
        }
    }

    /// Whether both sides declared that a program's own notifications may travel in the modern era.
    pub(crate) fn notifications_negotiated(&self, caller: &Caller) -> bool {
        let (ours, theirs) = match &self.side {
            Side::Server(server) => (
                server
                    .config()
                    .capabilities
                    .extension(NOTIFICATIONS_EXTENSION),
                caller.capabilities.extension(NOTIFICATIONS_EXTENSION),
            ),
            Side::Client(client) => (
                client
                    .config
                    .capabilities
                    .extension(NOTIFICATIONS_EXTENSION),
                client
                    .established()
                    .and_then(|server| server.capabilities.extension(NOTIFICATIONS_EXTENSION)),
            ),
        };
        ours.is_some() && theirs.is_some()
    }

    pub(crate) fn may_log(
        &self,
        related: Option<IncomingKey>,
        level: LogLevel,
    ) -> Result<Option<RequestId>, NotSent> {
        let Side::Server(server) = &self.side else {
            return Err(NotSent::Forbidden);
        };
        // REQ-LOG-01
        if !server.logs() {
            return Err(NotSent::Unwanted);
        }
        let request = match related {
            Some(key) => Some(self.incoming.get(key).ok_or(NotSent::Ended)?),
            None => None,
        };
        let threshold = match request {
            Some(request) if request.caller.version.era() == Era::Modern => request.log_level,
            // Outside of requests only a legacy session takes logs (inventory 3.7).
            _ => Some(server.legacy_log_level().ok_or(NotSent::NoSession)?),
        };
        if threshold.is_some_and(|t| level >= t) {
            Ok(request.and_then(Entry::id))
        } else {
            Err(NotSent::Unwanted)
        }
    }
}

/// Whether the version in force has this method for the program; `initialize` is the engine's alone (REQ-LIFE-10).
fn exists(method: &MethodName, version: ProtocolVersion) -> Result<(), ApiMisuse> {
    if method != "initialize" && is_in(method, version) {
        return Ok(());
    }
    let method = method.clone();
    Err(ApiMisuse::NotInVersion { method, version })
}

/// Whether a client has declared what a question needs (REQ-CAP-03, REQ-ELIC-01, REQ-SAMP-02).
///
/// # Errors
/// [`ApiMisuse::MissingCapability`] names it.
pub fn may_ask(caller: &Caller, method: &MethodName, params: &RawJson) -> Result<(), ApiMisuse> {
    match missing_capability(&caller.capabilities, method, params) {
        None => Ok(()),
        Some(capability) => {
            let method = method.clone();
            Err(ApiMisuse::MissingCapability { method, capability })
        }
    }
}

/// What a question needs and a client has not declared, dotted if it is a part of a capability that it has.
pub(crate) fn missing_capability(
    declared: &ClientCapabilities,
    method: &str,
    params: &RawJson,
) -> Option<&'static str> {
    match method {
        "sampling/createMessage" if !declared.samples() => Some("sampling"),
        "sampling/createMessage" if !declared.samples_with_tools() => {
            let [tools, choice] = params.members(["tools", "toolChoice"]);
            (tools.is_some() || choice.is_some()).then_some("sampling.tools")
        }
        "elicitation/create" if declared.elicitation.is_none() => Some("elicitation"),
        "elicitation/create" => {
            let mode = params.member("mode");
            let mode = mode.as_ref().and_then(RawJson::text);
            // An absent mode is form (REQ-ELIC-02), and `{}` declares it (REQ-CAP-10).
            if mode.as_deref() == Some("url") {
                (!declared.elicits_url()).then_some("elicitation.url")
            } else {
                (!declared.elicits_form()).then_some("elicitation.form")
            }
        }
        "roots/list" if !declared.lists_roots() => Some("roots"),
        _ => None,
    }
}
