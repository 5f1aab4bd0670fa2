//! Who may ask at all: protection against pages that make a browser ask for them (REQ-HTTPM-14, REQ-HTTPM-18).

use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{StatusCode, Uri};

use super::headers::{Twice, only};
use super::reply::Refusal;

/// Names by which a server may be asked.
#[derive(Debug, Clone)]
pub(super) enum Names {
    /// `localhost` and the loopback addresses, with any port.
    Local,
    /// These, each with its port if it has one.
    Listed(Vec<String>),
    Any,
}

/// Refuses what a browser was made to send.
///
/// # Errors
/// 400 without exactly one `Host`; 403 if it, or the `Origin`, is not one of those that are allowed.
pub(super) fn check(parts: &Parts, hosts: &Names, origins: &Names) -> Result<(), Refusal> {
    let host = match (only(&parts.headers, &HOST), parts.uri.authority()) {
        // HTTP/2 has it there.
        (Ok(None), Some(authority)) => authority.as_str(),
        (Ok(Some(host)), _) => host.to_str().unwrap_or_default(),
        _ => return Err(Refusal::bad_request("one `Host` header is needed")),
    };
    if !hosts.allows(host, host) {
        return Err(forbidden("this server is not reached by that name"));
    }
    match only(&parts.headers, &ORIGIN) {
        Ok(None) => Ok(()),
        Ok(Some(origin)) => {
            let origin = origin.to_str().unwrap_or_default();
            let authority = origin.parse::<Uri>().ok();
            let authority = authority.as_ref().and_then(|uri| uri.authority());
            let host = authority.map_or("", |authority| authority.as_str());
            match origins.allows(origin, host) {
                true => Ok(()),
                false => Err(forbidden("that origin is not allowed")),
            }
        }
        Err(Twice) => Err(Refusal::bad_request("`Origin` stands twice")),
    }
}

fn forbidden(message: &str) -> Refusal {
    Refusal::new(StatusCode::FORBIDDEN, message)
}

impl Names {
    /// `text` is what was sent, `host` the host and port in it.
    fn allows(&self, text: &str, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Local => is_local(host),
            Self::Listed(names) => names.iter().any(|name| {
                name.eq_ignore_ascii_case(text)
                    || (!name.contains("://") && name.eq_ignore_ascii_case(without_port(host)))
            }),
        }
    }
}

fn is_local(host: &str) -> bool {
    let name = without_port(host);
    name.eq_ignore_ascii_case("localhost") || name == "127.0.0.1" || name == "[::1]"
}

/// The host; something that is no port is no part of it, either.
fn without_port(host: &str) -> &str {
    let (name, port) = match host.rfind([':', ']']) {
        Some(at) if host[at..].starts_with(':') => (&host[..at], &host[at + 1..]),
        _ => (host, ""),
    };
    let bracketed = name.starts_with('[') && name.ends_with(']');
    match port.bytes().all(|b| b.is_ascii_digit()) && (bracketed || !name.contains([':', '[', ']']))
    {
        true => name,
        false => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_local_names_are_local() {
        for (host, expected) in [
            ("localhost", true),
            ("LocalHost:80", true),
            ("127.0.0.1:8001", true),
            ("[::1]", true),
            ("[::1]:80", true),
            ("", false),
            ("::1", false),
            ("127.0.0.1.evil.example", false),
            ("localhost.evil.example:80", false),
            ("evil.example", false),
            ("localhost:80:80", false),
            ("localhost:evil", false),
            ("localhost@evil.example", false),
            ("[::1].evil.example", false),
            ("0.0.0.0", false),
        ] {
            assert_eq!(is_local(host), expected, "{host}");
        }
    }

    #[test]
    fn listed_names_are_compared_with_their_port_if_they_have_one() {
        let names = Names::Listed(vec!["mcp.example".into(), "other.example:8080".into()]);
        for (host, expected) in [
            ("mcp.example", true),
            ("MCP.example:443", true),
            ("other.example:8080", true),
            ("other.example", false),
            ("mcp.example.evil", false),
        ] {
            assert_eq!(names.allows(host, host), expected, "{host}");
        }
        let origins = Names::Listed(vec!["https://app.example".into()]);
        assert!(origins.allows("https://app.example", "app.example"));
        assert!(!origins.allows("http://app.example", "app.example"));
    }
}
