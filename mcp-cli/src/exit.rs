//! How the program ends.

use std::error::Error;
use std::fmt;

use mcp_client::{ConnectError, RequestError};

/// The exit code of a command line that makes no sense.
pub(crate) const USAGE: u8 = 1;

/// The exit code after Ctrl-C: what shells report of a process that SIGINT has ended.
pub(crate) const INTERRUPTED: u8 = 130;

/// Why the program did not do what it was asked to; each has its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The command line, or the environment, makes no sense: a result that cannot be written, for one.
    Usage(String),
    /// There is no connection to a server.
    Connect(String),
    /// The request failed: refused, or the other side broke a rule, or the connection.
    Protocol(String),
    /// The tool ran and failed.
    Tool(String),
    /// No answer in time.
    TimedOut(String),
    /// A person has had enough.
    Interrupted,
}

impl Failure {
    /// The exit code, as `mcp --help` documents it.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Usage(_) => USAGE,
            Self::Connect(_) => 2,
            Self::Protocol(_) => 3,
            Self::Tool(_) => 4,
            Self::TimedOut(_) => 5,
            Self::Interrupted => INTERRUPTED,
        }
    }

    /// That a server could not be started or reached.
    pub(crate) fn connecting(error: &dyn Error) -> Self {
        Self::Connect(with_causes(error))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Connect(text) => write!(f, "could not connect: {text}"),
            Self::Protocol(text) => write!(f, "the request failed: {text}"),
            Self::Tool(text) => write!(f, "the tool failed: {text}"),
            Self::TimedOut(text) => write!(f, "timeout: {text}"),
            Self::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            // What it says is what is said here of every failure of this kind.
            ConnectError::Transport(cause) => Self::connecting(&*cause),
            error => Self::connecting(&error),
        }
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        match error {
            RequestError::TimedOut(_) => Self::TimedOut(error.to_string()),
            other => Self::Protocol(with_causes(&other)),
        }
    }
}

/// An error and what caused it, on one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        // Many an error says already what its cause is.
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mcp_client::types::{ErrorCode, ErrorObject};

    use super::*;

    #[test]
    fn codes_are_as_documented() {
        let second = Duration::from_secs(1);
        let refused = ErrorObject::new(ErrorCode::INVALID_PARAMS, "no");
        let cases: [(Failure, u8); 8] = [
            (Failure::Usage("?".into()), 1),
            (ConnectError::TimedOut(second).into(), 2),
            (ConnectError::ConnectionLost("gone".into()).into(), 2),
            (RequestError::Refused(refused).into(), 3),
            (RequestError::ConnectionLost("gone".into()).into(), 3),
            (Failure::Tool("no such file".into()), 4),
            (RequestError::TimedOut(second).into(), 5),
            (Failure::Interrupted, 130),
        ];
        for (failure, code) in cases {
            assert_eq!(failure.code(), code, "{failure}");
        }
    }

    #[test]
    fn causes_are_told_once() {
        let missing = std::io::Error::new(std::io::ErrorKind::NotFound, "no such thing");
        assert_eq!(with_causes(&missing), "no such thing");
    }
}
