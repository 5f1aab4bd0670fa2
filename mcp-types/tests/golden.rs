//! What the types accept, refuse and write, one line a case: the facts of inventory §1.11 and the traps of §5 that concern decoding.

use mcp_types::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What an instance is written as after it was read; an error's text if it is refused.
fn through<T: DeserializeOwned + Serialize>(json: &str) -> Result<String, String> {
    let raw = RawJson::parse(json.to_owned()).map_err(|e| e.to_string())?;
    let typed: T = raw.decode().map_err(|e| e.to_string())?;
    serde_json::to_string(&typed).map_err(|e| e.to_string())
}

#[track_caller]
fn same<T: DeserializeOwned + Serialize>(json: &str) {
    becomes::<T>(json, json);
}

#[track_caller]
fn becomes<T: DeserializeOwned + Serialize>(json: &str, written: &str) {
    assert_eq!(through::<T>(json).as_deref(), Ok(written));
}

#[track_caller]
fn refused<T: DeserializeOwned + Serialize>(json: &str) {
    assert!(through::<T>(json).is_err(), "{json} is refused");
}

#[test]
fn envelopes() {
    let parse = |json: &str| Inbound::parse(json.to_owned().into(), ParseLimits::default());
    for (json, message) in [
        (
            r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"m"}}"#,
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"m"}}"#,
            true,
        ), // TRAP-03: read, never written
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"ping"}"#, false),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, false),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}"#,
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#,
            false,
        ), // TRAP-04
    ] {
        assert_eq!(
            matches!(parse(json), Inbound::Message(_)),
            message,
            "{json}"
        );
    }
}

#[test]
fn results() {
    same::<EmptyResult>("{}");
    becomes::<EmptyResult>(r#"{"resultType":"complete"}"#, "{}"); // the engine reads and writes it
    same::<CallToolResult>(r#"{"content":[],"structuredContent":null}"#); // REQ-TOOL-14
    same::<CallToolResult>(r#"{"content":[],"structuredContent":[1.0]}"#);
    becomes::<CallToolResult>(
        r#"{"content":[],"isError":false,"x":1}"#,
        r#"{"content":[]}"#,
    );
    refused::<CallToolResult>("{}"); // REQ-TOOL-09
    refused::<CallToolResult>("null"); // TRAP-11
    same::<ListToolsResult>(r#"{"tools":[],"nextCursor":""}"#); // REQ-PAG-03
    becomes::<ListToolsResult>(r#"{"tools":[],"nextCursor":null}"#, r#"{"tools":[]}"#);
    becomes::<ListToolsResult>(r#"{"tools":[],"ttlMs":-5}"#, r#"{"tools":[],"ttlMs":0}"#); // REQ-CACHE-05
    same::<ElicitResult>(r#"{"action":"accept","content":{"a":1.5,"b":["x"]}}"#); // TRAP-12
    refused::<ElicitResult>(r#"{"action":"maybe"}"#);
    let values = format!(
        r#"{{"completion":{{"values":["{}"]}}}}"#,
        ["x"; 101].join(r#"",""#)
    );
    same::<CompleteResult>(&values); // a limit on what is made, not on what is read
    same::<InputRequiredResult>(r#"{"resultType":"input_required","requestState":"s"}"#);
    // An older server's body may name itself in the result, too (X5).
    becomes::<DiscoverResult>(
        r#"{"supportedVersions":["2026-07-28","2030-01-01"],"capabilities":{},"serverInfo":{}}"#,
        r#"{"supportedVersions":["2026-07-28","2030-01-01"],"capabilities":{}}"#,
    );
}

#[test]
fn params() {
    same::<CallToolParams>(r#"{"name":"t","arguments":{"z":1,"a":12345678901234567890123}}"#);
    becomes::<CallToolParams>(r#"{"name":"t","arguments":null}"#, r#"{"name":"t"}"#);
    refused::<CallToolParams>("{}");
    same::<CancelledParams>("{}"); // 2025-11-25 only
    same::<CancelledParams>(r#"{"requestId":"7"}"#); // TRAP-02
    same::<ProgressParams>(r#"{"progressToken":7,"progress":0.5,"total":1.5}"#); // TRAP-01
    becomes::<ProgressParams>(
        r#"{"progressToken":"a","progress":1}"#,
        r#"{"progressToken":"a","progress":1.0}"#,
    );
    same::<LogMessageParams>(r#"{"level":"info","data":null}"#); // TRAP-06
    refused::<LogMessageParams>(r#"{"level":"loud","data":1}"#); // REQ-LOG-03
    same::<InitializeParams>(
        r#"{"protocolVersion":"1999-01-01","capabilities":{"x":{"b":1,"a":2}},"clientInfo":{"name":"n","version":"1"}}"#,
    );
    same::<GetPromptParams>(r#"{"name":"p","arguments":{"a":"1"}}"#);
    refused::<GetPromptParams>(r#"{"name":"p","arguments":{"a":1}}"#); // REQ-PRM-02
    same::<EmptyParams>(r#"{"_meta":{"com.example/y":[1],"progressToken":"x"}}"#);
}

#[test]
fn sampling_content_is_one_block_or_several() {
    // REQ-SAMP-06
    same::<SamplingMessage>(
        r#"{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
    );
    becomes::<SamplingMessage>(
        r#"{"role":"user","content":[{"text":"a","type":"text"}]}"#,
        r#"{"role":"user","content":{"type":"text","text":"a"}}"#,
    );
    // An embedded resource is no content of sampling, but no reason to refuse the message either (TRAP-08).
    same::<SamplingMessage>(
        r#"{"role":"user","content":{"type":"resource","resource":{"uri":"a:b","text":""}}}"#,
    );
    refused::<SamplingMessage>(r#"{"role":"user","content":"a"}"#);
    refused::<SamplingMessage>(r#"{"role":"system","content":{"type":"text","text":"a"}}"#);
}

#[test]
fn input_responses_are_read_as_what_was_asked_for() {
    // REQ-MRTR-18, TRAP-09
    let json = r#"{"a":{"action":"accept","roots":[]},"b":{"roots":[],"action":"accept"}}"#;
    let responses: InputResponses = serde_json::from_str(json).unwrap();
    assert!(
        responses
            .decode::<ElicitResult>("a")
            .unwrap()
            .unwrap()
            .is_accepted()
    );
    assert!(
        responses
            .decode::<ListRootsResult>("b")
            .unwrap()
            .unwrap()
            .roots
            .is_empty()
    );
    assert!(responses.decode::<CreateMessageResult>("a").is_err());
    assert!(responses.decode::<ElicitResult>("c").unwrap().is_none());
    same::<InputResponses>(json);
}

#[test]
fn input_requests_are_told_apart_by_their_method() {
    same::<InputRequests>(
        r#"{"a":{"method":"roots/list"},"b":{"method":"elicitation/create","params":{"mode":"url","message":"m","url":"x:y"}}}"#,
    );
    // X9: surplus members are ignored; what the protocol does not allow survives to be refused by name (REQ-MRTR-03).
    becomes::<InputRequest>(
        r#"{"method":"roots/list","id":1,"params":{}}"#,
        r#"{"method":"roots/list"}"#,
    );
    same::<InputRequest>(r#"{"method":"tools/call","params":{"name":"t"}}"#);
    refused::<InputRequest>(r#"{"method":"sampling/createMessage"}"#);
    refused::<InputRequest>(r#"{"params":{}}"#);
}

#[test]
fn a_long_text_is_read_wherever_its_type_stands() {
    let long = "x".repeat(1 << 20);
    for json in [
        format!(r#"{{"content":[{{"type":"text","text":"{long}"}}]}}"#),
        format!(r#"{{"content":[{{"text":"{long}","type":"text"}}]}}"#),
    ] {
        let result: CallToolResult = serde_json::from_slice(json.as_bytes()).unwrap();
        let ContentBlock::Text(text) = &result.content[0] else {
            panic!("a text");
        };
        assert_eq!(text.text, long);
        assert!(text.text.capacity() < long.len() * 2, "no buffer that grew");
    }
}
