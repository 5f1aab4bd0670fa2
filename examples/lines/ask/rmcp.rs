//! A tool that logs, reports progress and asks the model, with the official Rust SDK.

#![expect(deprecated, reason = "they are what this is about")]

use rmcp::handler::server::tool::InputResponses;
use rmcp::model::*;
use rmcp::transport::stdio;
use rmcp::{ErrorData, Peer, RoleServer, ServiceExt, tool, tool_router};

struct Poems;

#[tool_router(server_handler)]
impl Poems {
    #[tool]
    async fn poem(
        &self,
        meta: RequestMetaObject,
        peer: Peer<RoleServer>,
        InputResponses(answers): InputResponses,
    ) -> Result<CallToolResponse, ErrorData> {
        let failed = |e: rmcp::ServiceError| ErrorData::internal_error(e.to_string(), None);
        let log = LoggingMessageNotificationParam::new(LoggingLevel::Info, "asking".into());
        peer.notify_logging_message(log).await.map_err(failed)?;
        if let Some(token) = meta.get_progress_token() {
            let progress = ProgressNotificationParam::new(token, 1.0);
            peer.notify_progress(progress).await.map_err(failed)?;
        }
        let messages = vec![SamplingMessage::user_text("A poem.")];
        let ask = CreateMessageRequestParams::new(messages, 1000);
        let reply = match answers {
            Some(answers) => answers["poem"]["content"]["text"].to_string(),
            None => match peer.create_message(ask.clone()).await {
                Ok(reply) => format!("{:?}", reply.message.content),
                Err(_) => {
                    let ask = InputRequest::CreateMessage(CreateMessageRequest::new(ask));
                    let ask = InputRequests::from_iter([("poem".into(), ask)]);
                    return Ok(InputRequiredResult::new(Some(ask), None).into());
                }
            },
        };
        Ok(CallToolResult::success(vec![ContentBlock::text(reply)]).into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Poems.serve(stdio()).await?.waiting().await?;
    Ok(())
}
