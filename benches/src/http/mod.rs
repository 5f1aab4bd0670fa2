//! Streamable HTTP: the same server in several makes, and a load that writes its requests by hand.

pub mod load;
pub mod servers;
pub mod wire;

use std::fmt;
use std::str::FromStr;

use crate::Failure;

/// Who has made a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Make {
    /// hyper and serde_json, and no SDK.
    Floor,
    /// This toolkit.
    Ours,
    /// The official SDK as it comes, which answers by a stream of events always.
    Rmcp,
    /// The same where its user has asked for JSON if a response is all there is.
    RmcpJson,
}

impl Make {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Floor, Self::Ours, Self::Rmcp, Self::RmcpJson];
}

impl fmt::Display for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "floor",
            Self::Ours => "ours",
            Self::Rmcp => "rmcp",
            Self::RmcpJson => "rmcp-json",
        })
    }
}

impl FromStr for Make {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let make = Self::ALL.into_iter().find(|make| make.to_string() == text);
        make.ok_or_else(|| format!("no server is called {text:?}").into())
    }
}
