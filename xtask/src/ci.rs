//! Runs the checks, one after another, and stops at the first that fails.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::services::{Services, Shared};

/// Runs all checks. What needs a tool that is not installed is left out, and said to be; servers that
/// are missing fail it.
pub(crate) fn run(services: Services) -> Result<(), String> {
    // Before what takes minutes.
    services.check()?;
    step("tidy", crate::tidy::run)?;
    if has_component("fmt") {
        step("format", || cargo(&["fmt", "--all", "--check"]))?;
    }
    if has_component("clippy") {
        step("lints", || {
            cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-Dwarnings"])
        })?;
    }
    step("model", model)?;
    test(services)?;
    step("documentation", || {
        cargo(&["doc", "--workspace", "--no-deps", "--all-features", "--document-private-items"])
    })
}

/// Runs all tests, those in documentation too, on one PostgreSQL and one Redis.
pub(crate) fn test(services: Services) -> Result<(), String> {
    services.check()?;
    let shared = Shared::start()?;
    let variables = shared.variables();
    step("tests", || cargo_with(&["test", "--workspace", "--all-features"], variables))
}

/// Takes the protocol of loads and writes of the cache through every order of its steps. It is built
/// apart, with the locks of loom.
pub(crate) fn model() -> Result<(), String> {
    let arguments = ["test", "-p", "sora", "--lib", "--no-default-features", "--target-dir"];
    let arguments = [&arguments[..], &["target/model", "cache::model", "--", "--test-threads=1"]];
    cargo_with(&arguments.concat(), vec![("RUSTFLAGS", "--cfg sora_model".to_owned())])
}

fn step(name: &str, check: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    eprintln!("\n== {name}");
    let started = Instant::now();
    check()?;
    eprintln!("== {name}: passed in {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

fn cargo(arguments: &[&str]) -> Result<(), String> {
    cargo_with(arguments, Vec::new())
}

fn cargo_with(arguments: &[&str], variables: Vec<(&str, String)>) -> Result<(), String> {
    eprintln!("$ cargo {}", arguments.join(" "));
    let status = command(arguments)
        .envs(variables)
        .env("RUSTDOCFLAGS", "-Dwarnings -Arustdoc::private_intra_doc_links")
        .status()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    match status.success() {
        true => Ok(()),
        false => Err(format!("failed: cargo {}", arguments.join(" "))),
    }
}

fn has_component(name: &str) -> bool {
    let version =
        command(&[name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let installed = version.is_ok_and(|status| status.success());
    if !installed {
        eprintln!("\n== {name}: SKIPPED, it is not installed: `rustup component add {name}`");
    }
    installed
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO"));
    command.args(arguments).current_dir(root());
    command
}

/// The directory of the workspace.
pub(crate) fn root() -> &'static Path {
    // The manifest of this crate lies one directory below.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}
