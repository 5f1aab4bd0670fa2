//! A client and a server in one process, with nothing serialised between them but bodies: `pair ours|rmcp <task>`.

use std::pin::Pin;
use std::task::{Context, Poll};

use benches::task::Task;
use benches::{Failure, ours, theirs};
use futures::{Sink, SinkExt, Stream};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::{RoleClient, RoleServer};
use tokio::sync::mpsc;
use tokio_util::sync::PollSender;

/// Messages under way in one direction.
const CAPACITY: usize = 64;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut args = std::env::args().skip(1);
    let which = args.next();
    let task = Task::from_args(args)?;
    let outcome = match which.as_deref() {
        Some("ours") => {
            let (left, right) = mcp_peer::duplex(CAPACITY);
            tokio::spawn(ours::server().serve(right));
            ours::call(left, task).await?
        }
        Some("rmcp") => {
            // What the one sends is what the other receives: the same types, as rmcp has them.
            let (to_server, at_server) = mpsc::channel::<TxJsonRpcMessage<RoleClient>>(CAPACITY);
            let (to_client, at_client) = mpsc::channel::<TxJsonRpcMessage<RoleServer>>(CAPACITY);
            let server = (PollSender::new(to_client), Incoming(at_server));
            let client = (PollSender::new(to_server), Incoming(at_client));
            tokio::spawn(theirs::serve::<_, _, _>(checked::<RoleServer, _, _>(
                server,
            )));
            theirs::call(checked::<RoleClient, _, _>(client), task).await?
        }
        _ => return Err("ours or rmcp?".into()),
    };
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}

/// Says which role a pair of ends is for.
fn checked<Role, Si, St>(ends: (Si, St)) -> (Si, St)
where
    Role: rmcp::service::ServiceRole,
    Si: Sink<TxJsonRpcMessage<Role>> + SinkExt<TxJsonRpcMessage<Role>>,
    St: Stream<Item = RxJsonRpcMessage<Role>>,
{
    ends
}

struct Incoming<T>(mpsc::Receiver<T>);

impl<T> Stream for Incoming<T> {
    type Item = T;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        self.0.poll_recv(cx)
    }
}
