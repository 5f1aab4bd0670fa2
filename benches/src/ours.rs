//! The server and the client on this toolkit, as its users would write them.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mcp_client::types::LogLevel;
use mcp_client::{Client, EraChoice};
use mcp_server::{Cx, Json, JsonSchema, Server, Transport, tool};
use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::floor::line_number;
use crate::task::{Outcome, Sequence, Task, Tool, Watch};
use crate::wire::Era;

#[derive(Deserialize, JsonSchema)]
struct Echo {
    text: String,
}

#[derive(Deserialize, JsonSchema)]
struct Count {
    n: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Terms {
    a: i64,
    b: i64,
}

#[derive(Serialize, JsonSchema)]
struct Total {
    sum: i64,
}

async fn echo(args: Echo) -> String {
    args.text
}

async fn flood(cx: Cx, args: Count) -> &'static str {
    for i in 0..args.n {
        cx.log().logger("flood").info(format!("line {i}")).await;
    }
    "done"
}

async fn progress(cx: Cx, args: Count) -> &'static str {
    let progress = cx.progress().total(args.n);
    for i in 1..=args.n {
        progress.at(i, None).await;
    }
    "done"
}

async fn sum(args: Terms) -> Json<Total> {
    let sum = args.a.wrapping_add(args.b);
    Json(Total { sum })
}

/// The server.
pub fn server() -> Server {
    Server::new("bench", "1.0.0")
        .tool(tool("echo", echo).describe("Returns its text"))
        .tool(tool("flood", flood).describe("Logs n lines"))
        .tool(tool("progress", progress).describe("Reports progress n times"))
        .tool(tool("sum", sum).describe("Adds two numbers"))
}

/// Does a task as a client.
///
/// # Errors
/// The connection breaks, or something unexpected comes.
pub async fn call(transport: impl Transport, task: Task) -> Result<Outcome, Failure> {
    let seen = Arc::new(Mutex::new(Sequence::default()));
    let see = {
        let seen = Arc::clone(&seen);
        move |number| lock(&seen).see(number)
    };
    let logged = see.clone();
    let builder = Client::builder("bench", "1.0.0").era(match task.era {
        Era::Legacy => EraChoice::Legacy,
        Era::Modern => EraChoice::Modern,
    });
    let builder = if task.tool == Tool::Flood {
        builder.log_level(LogLevel::Info).on_log(move |message| {
            if let Ok(number) = line_number(&message.text()) {
                logged(number);
            }
        })
    } else {
        builder
    };
    let client = builder.connect(transport).await?;
    let text = task.text();
    let watch = Watch::new();
    match task.tool {
        Tool::Flood => {
            let arguments = serde_json::json!({ "n": task.count });
            client.call_tool("flood", arguments).await?;
        }
        Tool::Progress => {
            let arguments = serde_json::json!({ "n": task.count });
            client
                .call_tool("progress", arguments)
                .on_progress(|update| see(update.progress as u64))
                .await?;
        }
        Tool::Echo | Tool::Sum => {
            #[derive(Serialize)]
            struct Echo<'a> {
                text: &'a str,
            }
            #[derive(Serialize)]
            struct Sum {
                a: usize,
                b: usize,
            }
            let call = async |number: usize| -> Result<usize, Failure> {
                if task.tool == Tool::Sum {
                    let arguments = Sum { a: number, b: 1 };
                    client.call_tool("sum", arguments).await?;
                    return Ok(number);
                }
                let call = client.call_tool("echo", Echo { text: &text });
                let result = call.into_future().await?;
                match result.to_text().len() {
                    len if len == task.bytes => Ok(number),
                    len => Err(format!("{len} bytes").into()),
                }
            };
            let mut calls = FuturesUnordered::new();
            for number in 0..task.count {
                if calls.len() >= task.window
                    && let Some(number) = calls.next().await
                {
                    see(number? as u64);
                }
                calls.push(call(number));
            }
            while let Some(number) = calls.next().await {
                see(number? as u64);
            }
        }
    }
    let outcome = watch.stop(task.count, *lock(&seen));
    client.close().await;
    Ok(outcome)
}

fn lock(seen: &Mutex<Sequence>) -> std::sync::MutexGuard<'_, Sequence> {
    // A sequence is never half changed.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
