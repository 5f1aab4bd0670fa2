//! What the program says about itself to whoever debugs it: nothing, unless asked by the environment.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::exit::Failure;

/// The variable that asks, with a level (`debug`) or levels by target (`mcp_peer=trace,info`).
pub(crate) const VARIABLE: &str = "MCP_LOG";

/// What the variable says, if it says anything.
pub(crate) fn wanted() -> Option<String> {
    std::env::var(VARIABLE)
        .ok()
        .filter(|value| !value.is_empty())
}

/// Starts to write to stderr; stdout belongs to results and, in a server, to the protocol.
///
/// # Errors
/// [`Failure::Usage`] if the variable cannot be read as a filter.
pub(crate) fn start() -> Result<(), Failure> {
    let Some(wanted) = wanted() else {
        return Ok(());
    };
    let filter: Targets = wanted
        .parse()
        .map_err(|e| Failure::Usage(format!("{VARIABLE}={wanted}: {e}")))?;
    let colours = crate::render::colours(&console::Term::stderr());
    let layer = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_filter(filter);
    tracing_subscriber::registry().with(layer).init();
    Ok(())
}
