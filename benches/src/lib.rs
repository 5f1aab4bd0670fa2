//! The parts of the benchmarks: one server and one client in three makes, and a load generator that knows no SDK.
//!
//! `cargo run --release -p benches` runs all of it and writes `RESULTS.md`; the README says what is measured.

pub mod endpoint;
pub mod floor;
pub mod http;
pub mod load;
pub mod ours;
pub mod plot;
pub mod process;
pub mod report;
pub mod served;
pub mod task;
pub mod theirs;
pub mod wire;

/// What goes wrong in a benchmark ends it.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;
