//! Runs all benchmarks and writes `RESULTS.md` and the plot beside it: `cargo run --release -p benches [-- --quick] [--only WHAT]`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use benches::Failure;
use benches::plot::{DARK, LIGHT};

use results::Results;
use suite::Suite;

mod results;
mod suite;

fn main() -> Result<(), Failure> {
    let mut quick = false;
    let mut only = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match &*arg {
            "--quick" => quick = true,
            "--only" => only = Some(args.next().ok_or("--only what?")?),
            _ => return Err("[--quick] [--only WHAT]".into()),
        }
    }
    let mut suite = Suite {
        programs: build()?,
        quick,
        only,
        faults: BTreeMap::new(),
    };
    let in_part = suite.programs.join("benches-in-part");
    fs::create_dir_all(&in_part)?;
    let results = Results::measure(&mut suite, |results, suite| {
        Ok(fs::write(
            in_part.join("RESULTS.md"),
            results.markdown(suite),
        )?)
    })?;
    let report = results.markdown(&suite);
    // Only all of it replaces what was measured before.
    let directory = match suite.quick || suite.only.is_some() {
        true => in_part,
        false => PathBuf::from(env!("CARGO_MANIFEST_DIR")),
    };
    fs::write(directory.join("RESULTS.md"), &report)?;
    let plot = results.plot();
    fs::write(directory.join("results.svg"), plot.draw(LIGHT)?)?;
    fs::write(directory.join("results-dark.svg"), plot.draw(DARK)?)?;
    print!("{report}");
    eprintln!("written to {}", directory.display());
    if suite.only.is_none() {
        http(&suite)?;
    }
    Ok(())
}

/// HTTP has a load of its own, and results beside these.
fn http(suite: &Suite) -> Result<(), Failure> {
    let quick = suite.quick.then_some("--quick");
    match Command::new(suite.programs.join("http"))
        .args(quick)
        .status()?
    {
        status if status.success() => Ok(()),
        status => Err(format!("the load over HTTP: {status}").into()),
    }
}

/// Builds the programs that are measured, each a process of its own; says where they are.
fn build() -> Result<PathBuf, Failure> {
    if cfg!(debug_assertions) {
        return Err("only with --release is there something to measure".into());
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--bins", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .status()?;
    if !status.success() {
        return Err("the programs do not build".into());
    }
    let own = std::env::current_exe()?;
    Ok(own.parent().map(Path::to_owned).ok_or("no directory")?)
}
