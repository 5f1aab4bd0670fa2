//! The client without an SDK.

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};

use super::{Lines, Text};
use crate::Failure;
use crate::task::{Outcome, Seen, Task, Tool, Watch};
use crate::wire::{Era, OPENING, batch};

#[derive(Deserialize)]
struct Received<'a> {
    id: Option<u64>,
    #[serde(borrow)]
    method: Option<Text<'a>>,
    #[serde(borrow)]
    params: Option<ReceivedParams<'a>>,
    #[serde(borrow)]
    result: Option<ReceivedResult<'a>>,
}

#[derive(Deserialize)]
struct ReceivedParams<'a> {
    #[serde(borrow)]
    data: Option<Text<'a>>,
    progress: Option<f64>,
}

#[derive(Deserialize)]
struct ReceivedResult<'a> {
    #[serde(borrow)]
    content: Vec<ReceivedBlock<'a>>,
}

#[derive(Deserialize)]
struct ReceivedBlock<'a> {
    #[serde(borrow)]
    text: Text<'a>,
}

/// Does a task as a client would that has no SDK.
///
/// # Errors
/// The connection breaks, or something unexpected comes.
pub async fn call(
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin,
    task: Task,
) -> Result<Outcome, Failure> {
    let mut lines = Lines::default();
    if task.era == Era::Legacy {
        for line in OPENING {
            output.write_all(line.as_bytes()).await?;
        }
        for _ in 0..2 {
            while lines.next().is_none() {
                if lines.read(&mut input).await? == 0 {
                    return Err("the server went away".into());
                }
            }
        }
    }
    let batch = batch(task, 0);
    let calls = batch.ends.len();
    let tools = task.calls();
    let mut seen = Seen::default();
    let watch = Watch::new();
    let (mut written, mut answered) = (0, 0);
    while answered < calls {
        let until = batch.ends[(answered + task.window).min(calls) - 1];
        if written < until {
            // A server that waits for its output to be read does not read its input.
            let mut write = std::pin::pin!(output.write_all(&batch.bytes[written..until]));
            loop {
                tokio::select! {
                    biased;
                    done = &mut write => break done?,
                    n = lines.read(&mut input) => if n? == 0 {
                        return Err("the server went away".into());
                    },
                }
            }
            written = until;
        }
        let mut news = false;
        while let Some(line) = lines.next() {
            news = true;
            let received: Received<'_> = serde_json::from_slice(line)?;
            match received {
                Received {
                    id: Some(id),
                    result: Some(result),
                    ..
                } => {
                    let text = result.content.first().map_or(0, |block| block.text.0.len());
                    if task.tool == Tool::Echo && text != task.bytes {
                        return Err(format!("{text} bytes").into());
                    }
                    answered += 1;
                    let call = tools.get(id as usize);
                    if call.is_some_and(|(tool, _)| !tool.is_flood()) {
                        seen.answers.see(id);
                    }
                }
                Received {
                    method: Some(_),
                    params: Some(params),
                    ..
                } => match params {
                    ReceivedParams {
                        progress: Some(progress),
                        ..
                    } => seen.progress.see(progress as u64),
                    ReceivedParams {
                        data: Some(data), ..
                    } => seen.log.see(line_number(&data.0)?),
                    _ => {}
                },
                _ => return Err("neither answer nor notification".into()),
            }
        }
        if !news && lines.read(&mut input).await? == 0 {
            return Err("the server went away".into());
        }
    }
    Ok(watch.stop(task, &seen))
}

/// The number in `line 17`.
///
/// # Errors
/// It is another text.
pub fn line_number(text: &str) -> Result<u64, Failure> {
    let number = text.strip_prefix("line ").ok_or("another line")?;
    Ok(number.parse()?)
}
