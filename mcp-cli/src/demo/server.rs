//! The server of `mcp demo`: one tool that uses all four patterns, written once for both eras.

use std::time::Duration;

use mcp_server::{
    Cx, Json, JsonSchema, Notification, Options, Sampling, Server, ToolError, schemars, tool,
};
use mcp_transport_stdio::stdio;
use serde::{Deserialize, Serialize};

use crate::cli::DemoServer;
use crate::exit::Failure;

/// The names of the files that are processed if none are named.
pub(crate) const FILES: [&str; 6] = [
    "weather.txt",
    "ferry.txt",
    "market.txt",
    "pier.txt",
    "lighthouse.txt",
    "notes.txt",
];

/// A file that is never read to its end, to show what a timeout looks like.
const ENDLESS: &str = "endless.txt";

fn read(id: &str) -> Option<&'static str> {
    Some(match id {
        "weather.txt" => {
            "A storm from the west reached the harbour shortly after noon. Gusts of 94 km/h were \
             measured at the lighthouse. By six in the evening the wind was a breeze."
        }
        "ferry.txt" => {
            "Because of the storm the noon ferry stayed in the harbour, and 210 passengers waited \
             there. The evening ferry took all of them across. Two bicycles follow tomorrow."
        }
        "market.txt" => {
            "The fish market closed an hour early. Nine of fourteen boats had stayed in the \
             harbour. Mackerel was sold out by ten in the morning."
        }
        "pier.txt" => {
            "Three planks of the west pier are gone. Repairs to the west pier start on Monday and \
             take two days, and until then boats and the ferry use the east pier."
        }
        "lighthouse.txt" => {
            "At two o'clock the power failed and the lighthouse went over to its spare lamp. The \
             main lamp needs a new fuse. Visitors are welcome again on Saturday."
        }
        "notes.txt" => "",
        _ => return None,
    })
}

#[derive(Deserialize, JsonSchema)]
struct Batch {
    /// Files to process
    file_ids: Vec<String>,
}

#[derive(Serialize, JsonSchema)]
struct Report {
    /// How many files were processed
    files: usize,
    /// How many words they have
    words: usize,
    /// Files that were empty
    skipped: Vec<String>,
    /// What they say, in short
    summary: String,
    /// Who says so
    model: String,
}

/// Somebody has said something in a room; a notification of this program's own.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MessageReceived {
    pub(crate) room: String,
    pub(crate) from: String,
    pub(crate) text: String,
}

impl Notification for MessageReceived {
    const METHOD: &'static str = "chat.message_received";
    type Params = Self;
}

async fn batch_process(cx: Cx, args: Batch, pace: Duration) -> Result<Json<Report>, ToolError> {
    let (mut words, mut texts, mut skipped) = (0, Vec::new(), Vec::new());
    let log = || cx.log().logger("batch");
    // One step a file, and one for the summary.
    let progress = cx.progress().total(args.file_ids.len() + 1);
    let pause = async || {
        if !pace.is_zero() {
            tokio::time::sleep(pace).await;
        }
    };
    let files = match args.file_ids.len() {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    log().info(format!("{files} to process")).await;
    for id in &args.file_ids {
        if id == ENDLESS {
            log().error(format!("{id} does not end")).await;
            std::future::pending::<()>().await;
        }
        let Some(text) = read(id) else {
            let known = FILES.join(", ");
            return Err(ToolError::new(format!(
                "There is no file `{id}`, only {known}."
            )));
        };
        pause().await;
        let count = text.split_whitespace().count();
        match count {
            0 => log().warning(format!("{id} is empty, skipped")).await,
            _ => log().debug(format!("{id} has {count} words")).await,
        };
        if text.is_empty() {
            skipped.push(id.clone());
        } else {
            texts.push(text);
            words += count;
        }
        progress.step(format!("processed {id}")).await;
    }
    if texts.is_empty() {
        return Err(ToolError::new("There is nothing to summarise."));
    }
    pause().await;
    let question = Sampling::user(texts.join("\n\n"))
        .system_prompt("What happened today? Sum it up in two sentences.")
        .max_tokens(120);
    let reply = cx.sample(question).await?;
    pause().await;
    log().notice(format!("summary by {}", reply.model)).await;
    progress.step("summarised").await;
    cx.notify::<MessageReceived>(&MessageReceived {
        room: "harbour".into(),
        from: "mcp-demo".into(),
        text: format!("{} of {files} summed up.", texts.len()),
    })
    .await?;
    Ok(Json(Report {
        files: texts.len(),
        words,
        skipped,
        summary: reply.to_text(),
        model: reply.model,
    }))
}

/// Serves on stdin and stdout until stdin ends.
///
/// # Errors
/// There is no stdin or stdout, or they broke.
pub(crate) async fn run(args: DemoServer) -> Result<(), Failure> {
    let pace = Duration::from_millis(args.pace);
    let mut options = Options::default();
    // Nobody is there to read what a handler would still say.
    options.drain = Duration::from_millis(200);
    let tool = tool("batch_process", move |cx: Cx, args: Batch| {
        batch_process(cx, args, pace)
    });
    let stdio = stdio().map_err(|e| Failure::connecting(&e))?;
    Server::new("mcp-demo", env!("CARGO_PKG_VERSION"))
        .with_notifications()
        .options(options)
        .tool(tool.describe("Processes files and sums up what they say"))
        .serve(stdio)
        .await
        .map_err(|e| Failure::Protocol(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_there_and_one_is_empty() {
        let texts: Vec<_> = FILES.iter().map(|id| read(id).unwrap()).collect();
        assert_eq!(texts.iter().filter(|text| text.is_empty()).count(), 1);
        assert_eq!(read("nothing.txt"), None);
    }

    #[test]
    fn the_summary_means_something() {
        let texts = FILES.map(|id| read(id).unwrap()).join("\n\n");
        let summary = crate::summarise::summarise(&texts, 2);
        assert!(
            summary.contains("storm") && summary.contains("ferry"),
            "{summary}"
        );
    }
}
