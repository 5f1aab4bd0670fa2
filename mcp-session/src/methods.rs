//! Which method exists in which revision, and which ones an input round knows.

use mcp_types::ProtocolVersion;

/// Whether a method exists in a revision; a program's own exist in all (inventory 1.2).
pub(crate) fn is_in(method: &str, version: ProtocolVersion) -> bool {
    use ProtocolVersion as V;
    let (since, until) = match method {
        "initialize"
        | "ping"
        | "logging/setLevel"
        | "resources/subscribe"
        | "resources/unsubscribe"
        | "sampling/createMessage"
        | "roots/list"
        | "notifications/initialized"
        | "notifications/roots/list_changed" => (V::V2024_11_05, V::V2025_11_25),
        "elicitation/create" => (V::V2025_06_18, V::V2025_11_25),
        "notifications/elicitation/complete"
        | "tasks/result"
        | "tasks/list"
        | "notifications/tasks/status" => (V::V2025_11_25, V::V2025_11_25),
        "tasks/get" | "tasks/cancel" => (V::V2025_11_25, V::V2026_07_28),
        "server/discover"
        | "subscriptions/listen"
        | "tasks/update"
        | "notifications/tasks"
        | "notifications/subscriptions/acknowledged" => (V::V2026_07_28, V::V2026_07_28),
        _ => return true,
    };
    (since..=until).contains(&version)
}

/// Whether a method's result may be a question (REQ-MRTR-01).
pub fn takes_input(method: &str) -> bool {
    matches!(method, "tools/call" | "prompts/get" | "resources/read")
}

/// Whether a question may be asked in an input round (REQ-MRTR-03); in the legacy era these are requests to the client.
pub(crate) fn is_question(method: &str) -> bool {
    matches!(
        method,
        "sampling/createMessage" | "elicitation/create" | "roots/list"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_exists_in_the_revisions_that_define_it() {
        // One letter a revision, oldest first (inventory 1.2).
        let cases = [
            ("initialize", "xxxx-"),
            ("ping", "xxxx-"),
            ("logging/setLevel", "xxxx-"),
            ("resources/subscribe", "xxxx-"),
            ("resources/unsubscribe", "xxxx-"),
            ("sampling/createMessage", "xxxx-"),
            ("roots/list", "xxxx-"),
            ("elicitation/create", "--xx-"),
            ("notifications/elicitation/complete", "---x-"),
            ("notifications/initialized", "xxxx-"),
            ("notifications/roots/list_changed", "xxxx-"),
            ("tasks/get", "---xx"),
            ("tasks/cancel", "---xx"),
            ("tasks/result", "---x-"),
            ("tasks/list", "---x-"),
            ("tasks/update", "----x"),
            ("server/discover", "----x"),
            ("subscriptions/listen", "----x"),
            ("tools/list", "xxxxx"),
            ("tools/call", "xxxxx"),
            ("completion/complete", "xxxxx"),
            ("notifications/message", "xxxxx"),
            ("com.example/own", "xxxxx"),
        ];
        for (method, expected) in cases {
            let found: String = ProtocolVersion::ALL
                .map(|version| if is_in(method, version) { 'x' } else { '-' })
                .iter()
                .collect();
            assert_eq!(found, expected, "{method}");
        }
    }
}
