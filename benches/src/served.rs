//! The server on this toolkit at the other end of a stream in memory, for counts that no other process disturbs.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use crate::task::Task;
use crate::wire::{Batch, Era, OPENING};
use crate::{Failure, ours};

/// A server that is being served.
#[derive(Debug)]
pub struct Served {
    client: DuplexStream,
    serving: JoinHandle<Result<(), String>>,
    input: Vec<u8>,
}

impl Served {
    /// Connects, as a client of that era does.
    ///
    /// # Errors
    /// The server goes away.
    pub async fn start(era: Era) -> Result<Self, Failure> {
        let (client, server) = tokio::io::duplex(64 << 10);
        let serving = tokio::spawn(async {
            let served = ours::server().serve(mcp_codec::framed(server)).await;
            served.map_err(|e| e.to_string())
        });
        let mut served = Self {
            client,
            serving,
            input: vec![0; 64 << 10],
        };
        if era == Era::Legacy {
            for line in OPENING {
                served.client.write_all(line.as_bytes()).await?;
            }
            served.answers(2).await?;
        }
        Ok(served)
    }

    /// Makes the calls of a batch, so many at a time.
    ///
    /// # Errors
    /// The server goes away.
    pub async fn run(&mut self, task: Task, batch: &Batch) -> Result<(), Failure> {
        let mut start = 0;
        for ends in batch.ends.chunks(task.window) {
            let Some(&end) = ends.last() else {
                continue;
            };
            self.client.write_all(&batch.bytes[start..end]).await?;
            start = end;
            self.answers(ends.len()).await?;
        }
        Ok(())
    }

    /// Reads until there were so many answers.
    async fn answers(&mut self, mut count: usize) -> Result<(), Failure> {
        let id = b"\"id\":";
        // Of a piece that ends within a line, what is needed to find the id.
        let mut kept = 0;
        while count > 0 {
            let n = self.client.read(&mut self.input[kept..]).await?;
            if n == 0 {
                return Err("the server went away".into());
            }
            let end = kept + n;
            count -= memchr::memmem::find_iter(&self.input[..end], id).count();
            kept = end.min(id.len() - 1);
            self.input.copy_within(end - kept..end, 0);
        }
        Ok(())
    }

    /// Goes away.
    ///
    /// # Errors
    /// The server did not end well.
    pub async fn end(self) -> Result<(), Failure> {
        drop(self.client);
        Ok(self.serving.await??)
    }
}
