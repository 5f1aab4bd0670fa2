//! A room in which everybody hears what is said, with the official Rust SDK.

use std::sync::{Arc, Mutex};

use rmcp::handler::server::wrapper::Parameters;
use rmcp::model::{CustomNotification, ServerNotification};
use rmcp::transport::stdio;
use rmcp::{Peer, RoleServer, ServiceExt, tool, tool_router};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
struct Said {
    text: String,
}

#[derive(Clone, Default)]
struct Chat {
    members: Arc<Mutex<Vec<Peer<RoleServer>>>>,
}

#[tool_router(server_handler)]
impl Chat {
    #[tool]
    fn join(&self, peer: Peer<RoleServer>) {
        self.members.lock().expect("not poisoned").push(peer);
    }

    #[tool]
    async fn say(&self, Parameters(said): Parameters<Said>) {
        let members = self.members.lock().expect("not poisoned").clone();
        for member in members {
            let said = CustomNotification::new("chat.said", serde_json::to_value(&said).ok());
            let said = ServerNotification::CustomNotification(said);
            if member.send_notification(said).await.is_err() {
                let mut members = self.members.lock().expect("not poisoned");
                members.retain(|member| !member.is_transport_closed());
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    Chat::default().serve(stdio()).await?.waiting().await?;
    Ok(())
}
