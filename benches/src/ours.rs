//! The server and the client on this toolkit, as its users would write them.

use std::future::IntoFuture;
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use mcp_client::types::LogLevel;
use mcp_client::{Client, EraChoice};
use mcp_server::{Cx, Json, JsonSchema, Server, Transport, tool};
use serde::{Deserialize, Serialize};
use tokio::task::unconstrained;

use crate::Failure;
use crate::floor::line_number;
use crate::task::{Outcome, Seen, Task, Tool, Watch};
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
    let seen = Arc::new(Mutex::new(Seen::default()));
    let builder = Client::builder("bench", "1.0.0").era(match task.era {
        Era::Legacy => EraChoice::Legacy,
        Era::Modern => EraChoice::Modern,
    });
    let builder = if matches!(task.tool, Tool::Flood | Tool::Mixed) {
        let seen = Arc::clone(&seen);
        builder.log_level(LogLevel::Info).on_log(move |message| {
            if let Ok(number) = line_number(&message.text()) {
                lock(&seen).log.see(number);
            }
        })
    } else {
        builder
    };
    let client = builder.connect(transport).await?;
    let text = task.text();
    let flood = async |n: usize| -> Result<(), Failure> {
        client
            .call_tool("flood", serde_json::json!({ "n": n }))
            .await?;
        Ok(())
    };
    let progress = async |n: usize| -> Result<(), Failure> {
        client
            .call_tool("progress", serde_json::json!({ "n": n }))
            .on_progress(|update| lock(&seen).progress.see(update.progress as u64))
            .await?;
        Ok(())
    };
    let call = async |number: usize| -> Result<usize, Failure> {
        if task.tool == Tool::Sum {
            let arguments = Sum { a: number, b: 1 };
            client.call_tool("sum", arguments).await?;
            return Ok(number);
        }
        let call = client.call_tool("echo", Text { text: &text });
        let result = call.into_future().await?;
        match result.to_text().len() {
            len if len == task.bytes => Ok(number),
            len => Err(format!("{len} bytes").into()),
        }
    };
    let calls = async |count: usize| -> Result<(), Failure> {
        let mut calls = FuturesUnordered::new();
        for number in 0..count {
            if calls.len() >= task.window
                && let Some(number) = calls.next().await
            {
                lock(&seen).answers.see(number? as u64);
            }
            calls.push(call(number));
        }
        while let Some(number) = calls.next().await {
            lock(&seen).answers.see(number? as u64);
        }
        Ok(())
    };
    let watch = Watch::new();
    match task.tool {
        Tool::Flood => flood(task.count).await?,
        Tool::Progress => progress(task.count).await?,
        // Else tokio sends answers that came to the end of the queue, 128 at a time, and they seem to be out of order.
        Tool::Echo | Tool::Sum => unconstrained(calls(task.count)).await?,
        Tool::Mixed => {
            let third = task.count / 3;
            let floods = futures::future::try_join(flood(third), progress(third));
            futures::future::try_join(floods, unconstrained(calls(third))).await?;
        }
    }
    let outcome = watch.stop(task, &lock(&seen));
    client.close().await;
    Ok(outcome)
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

#[derive(Serialize)]
struct Sum {
    a: usize,
    b: usize,
}

fn lock(seen: &Mutex<Seen>) -> std::sync::MutexGuard<'_, Seen> {
    // What has come is never half counted.
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
