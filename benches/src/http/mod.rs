//! Streamable HTTP: the same server in three makes, and a load that writes its requests by hand.

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
    /// The official SDK.
    Rmcp,
}

impl Make {
    /// All of them, in the order of the tables.
    pub const ALL: [Self; 3] = [Self::Floor, Self::Ours, Self::Rmcp];
}

impl fmt::Display for Make {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Floor => "floor",
            Self::Ours => "ours",
            Self::Rmcp => "rmcp",
        })
    }
}

impl FromStr for Make {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let make = Self::ALL.into_iter().find(|make| make.to_string() == text);
        make.ok_or_else(|| format!("floor, ours or rmcp, not {text:?}").into())
    }
}
