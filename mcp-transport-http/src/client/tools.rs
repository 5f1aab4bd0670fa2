//! What tools want in headers: learned from the lists that come by.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderName};
use mcp_types::{ObjectBuf, RawJson};
use memchr::memmem;

use crate::param::{self, Annotated, Room};

/// Tools with arguments that go into headers; a server that has more of them than this gets the rest without.
const TOOLS: usize = 4096;
/// Bytes that the name of such a tool may have; one with a longer name is called without.
const NAME: usize = 4096;

#[derive(Debug, Default)]
pub(super) struct Tools {
    by_name: Mutex<HashMap<String, Vec<Annotated>>>,
}

impl Tools {
    /// Learns from a list, and takes tools out of it whose annotations break the rules (REQ-PARAM-03).
    pub(super) fn learn(&self, result: RawJson) -> RawJson {
        if memmem::find(result.as_bytes(), b"x-mcp-header").is_none() {
            return result;
        }
        let tools = result.member("tools");
        let Some(tools) = tools.and_then(|tools| tools.decode::<Vec<RawJson>>().ok()) else {
            return result;
        };
        let count = tools.len();
        let mut good = tools;
        good.retain(|tool| self.learn_one(tool));
        if good.len() == count {
            return result;
        }
        let (Some(mut object), Ok(good)) =
            (ObjectBuf::from_raw(result.clone()), RawJson::encode(&good))
        else {
            return result;
        };
        object.take("tools");
        object.insert_raw("tools", &good);
        object.finish()
    }

    /// Whether the tool can be called.
    fn learn_one(&self, tool: &RawJson) -> bool {
        let [name, schema] = tool.members(["name", "inputSchema"]);
        let name = name.and_then(|name| name.text().map(Cow::into_owned));
        let (Some(name), Some(schema)) = (name, schema) else {
            // Whatever it is, it is for whoever decodes it to say.
            return true;
        };
        let annotated = match param::annotated(&schema, Room::OTHERS) {
            Ok(annotated) => annotated,
            Err(reason) => {
                tracing::warn!(
                    tool = name,
                    reason,
                    "a tool that cannot be called over HTTP"
                );
                return false;
            }
        };
        let mut tools = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        if annotated.is_empty() {
            tools.remove(&name);
        } else if name.len() <= NAME && (tools.len() < TOOLS || tools.contains_key(&name)) {
            tools.insert(name, annotated);
        }
        true
    }

    /// Adds the headers for a call (REQ-PARAM-04, REQ-PARAM-05).
    pub(super) fn add_headers(&self, params: &RawJson, headers: &mut HeaderMap) {
        let [name, arguments] = params.members(["name", "arguments"]);
        let Some(name) = name.as_ref().and_then(RawJson::text) else {
            return;
        };
        let tools = self.by_name.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(annotated), Some(arguments)) = (tools.get(&*name), arguments) else {
            return;
        };
        for annotated in annotated {
            let header = HeaderName::try_from(format!("mcp-param-{}", annotated.header));
            if let (Ok(header), Some(value)) = (header, annotated.value(&arguments)) {
                headers.insert(header, param::encode(&value.text()));
            }
        }
    }
}
