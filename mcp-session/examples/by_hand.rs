//! Drives a session by hand: a client on blocking streams, with a thread for reading and no async runtime at all.
//!
//! The whole of it is [`Client::turn`]: act on events, write what is to be written, wait for input or for the time that is due.

use std::io::{BufRead, BufReader, Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Instant;

use mcp_session::{CallKey, CallOptions, ClientConfig, Event, RequestError, Session};
use mcp_types::{ErrorObject, Implementation, Inbound, ObjectBuf, RawJson};

/// A client that is driven by whoever waits for something.
struct Client<W> {
    session: Session,
    output: W,
    input: Receiver<Inbound>,
    open: bool,
    calls: u64,
}

/// What the program hears of.
type Outcome = (CallKey, Result<RawJson, RequestError>);

impl<W: Write> Client<W> {
    fn new(input: impl Read + Send + 'static, output: W) -> Self {
        let config = ClientConfig::new(Implementation::new("by-hand", "1.0.0"));
        let (sender, receiver) = channel();
        thread::spawn(move || {
            // A line that is no message is input like any other: the session knows what to do about it.
            for line in BufReader::new(input).split(b'\n').map_while(Result::ok) {
                if sender
                    .send(Inbound::parse(line.into(), Default::default()))
                    .is_err()
                {
                    return;
                }
            }
        });
        Self {
            session: Session::client(config, Instant::now()),
            output,
            input: receiver,
            open: false,
            calls: 0,
        }
    }

    /// One turn; an outcome if a call has ended in it.
    fn turn(&mut self) -> std::io::Result<Option<Outcome>> {
        // First what has come about, for acting on it may bring more to write.
        let mut ended = None;
        while ended.is_none()
            && let Some(event) = self.session.poll_event()
        {
            match event {
                Event::Opened(_) => self.open = true,
                Event::Failed(error) => return Err(std::io::Error::other(error)),
                Event::Response { call, outcome } => ended = Some((call, outcome)),
                Event::Progress { progress, .. } => eprintln!("progress: {}", progress.progress),
                Event::Notification(notification) => eprintln!("heard: {}", notification.method),
                Event::Request(request) => {
                    let error = ErrorObject::method_not_found(&request.method);
                    // An error says that the request was cancelled meanwhile.
                    let _ = self
                        .session
                        .respond(Instant::now(), request.key, Err(error));
                }
                _ => {}
            }
        }
        while let Some(outbound) = self.session.poll_transmit() {
            writeln!(self.output, "{}", outbound.message)?;
        }
        self.output.flush()?;
        if ended.is_some() {
            return Ok(ended);
        }
        if self.session.calls_in_flight() == 0 && self.open {
            return Ok(None);
        }
        // Then wait: for input, but not longer than until something is due.
        let received = match self.session.poll_timeout() {
            Some(due) => {
                let wait = due.saturating_duration_since(Instant::now());
                self.input.recv_timeout(wait)
            }
            None => self.input.recv().map_err(RecvTimeoutError::from),
        };
        match received {
            Ok(inbound) => self.session.handle_inbound(Instant::now(), inbound),
            Err(RecvTimeoutError::Timeout) => self.session.handle_timeout(Instant::now()),
            Err(RecvTimeoutError::Disconnected) => {
                self.session.handle_disconnected("the stream ended")
            }
        }
        Ok(None)
    }

    fn open(&mut self) -> std::io::Result<()> {
        while !self.open {
            self.turn()?;
        }
        Ok(())
    }

    fn call(&mut self, method: &'static str, params: ObjectBuf) -> std::io::Result<RawJson> {
        self.calls += 1;
        let key = CallKey(self.calls);
        let options = CallOptions::default();
        self.session
            .call(Instant::now(), key, method.into(), params, options)
            .map_err(std::io::Error::other)?;
        loop {
            if let Some((ended, outcome)) = self.turn()?
                && ended == key
            {
                return outcome.map_err(std::io::Error::other);
            }
        }
    }
}

// ---- a server, by hand as well, at the other end of two pipes ----

use mcp_session::ServerConfig;

fn serve(input: impl Read, mut output: impl Write) -> std::io::Result<()> {
    let mut session = Session::server(ServerConfig::new(Implementation::new("by-hand", "1.0.0")));
    for line in BufReader::new(input).split(b'\n') {
        session.handle_inbound(
            Instant::now(),
            Inbound::parse(line?.into(), Default::default()),
        );
        while let Some(event) = session.poll_event() {
            if let Event::Request(request) = event {
                let echoed = request
                    .params
                    .and_then(ObjectBuf::from_raw)
                    .unwrap_or_default();
                let _ = session.respond(Instant::now(), request.key, Ok(echoed));
            }
        }
        while let Some(outbound) = session.poll_transmit() {
            writeln!(output, "{}", outbound.message)?;
        }
    }
    Ok(())
}

pub(crate) fn run() -> Result<String, Box<dyn std::error::Error>> {
    let (server_input, client_output) = std::io::pipe()?;
    let (client_input, server_output) = std::io::pipe()?;
    let serving = thread::spawn(move || serve(server_input, server_output));

    let mut client = Client::new(client_input, client_output);
    client.open()?;
    let params = ObjectBuf::from_raw(RawJson::parse(r#"{"text":"hello"}"#)?).unwrap_or_default();
    let echoed = client.call("x/echo", params)?;
    drop(client);
    serving.join().map_err(|_| "the server panicked")??;
    Ok(echoed.to_string())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", run()?);
    Ok(())
}
