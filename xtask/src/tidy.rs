//! The house rules that no other tool knows.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ci::root;

/// The longest source file. One concept rarely needs more; tests may.
const LINES_MAX: usize = 500;

/// Which crates of this workspace each crate may depend on; the arrows of ARCHITECTURE.md.
const DIRECTIONS: [(&str, &[&str]); 10] = [
    ("sora-core", &[]),
    ("sora-macros", &["sora-core"]),
    ("sora-sql", &["sora-core"]),
    ("sora-redis", &["sora-core", "sora-testbed"]),
    ("sora-sqlite", &["sora-core", "sora-sql", "sora-conformance"]),
    ("sora-postgres", &["sora-core", "sora-sql", "sora-conformance", "sora-testbed"]),
    (
        "sora",
        &[
            "sora-core",
            "sora-macros",
            "sora-sqlite",
            "sora-postgres",
            "sora-redis",
            "sora-conformance",
            "sora-testbed",
        ],
    ),
    ("sora-conformance", &["sora-core", "sora", "sora-testbed"]),
    ("sora-testbed", &[]),
    ("sora-cli", &["sora", "sora-testbed"]),
];

/// Checks every rule and reports all that is wrong.
pub(crate) fn run() -> Result<(), String> {
    let mut wrong = Vec::new();
    let mut files = Vec::new();
    for folder in ["crates", "xtask"] {
        collect(&root().join(folder), &mut files).map_err(|error| error.to_string())?;
    }
    for file in &files {
        let text = fs::read_to_string(file).map_err(|error| error.to_string())?;
        let name = file.strip_prefix(root()).unwrap_or(file).display().to_string();
        let lines = text.lines().count();
        if lines > LINES_MAX && !is_test(&name) {
            wrong.push(format!(
                "{name}: {lines} lines, at most {LINES_MAX}; does it hold one concept?"
            ));
        }
        if !text.starts_with("//!") && !is_test(&name) {
            wrong.push(format!("{name}: the first line says what the module is: //! …"));
        }
        for mark in MARKS {
            if text.contains(&mark.concat()) {
                wrong.push(format!("{name}: holds {:?}", mark.concat()));
            }
        }
    }
    for (name, allowed) in DIRECTIONS {
        check_direction(name, allowed, &mut wrong);
    }
    if wrong.is_empty() {
        eprintln!("{} files are tidy", files.len());
        return Ok(());
    }
    Err(format!("the house is not tidy:\n  {}", wrong.join("\n  ")))
}

/// Marks of unfinished work, in parts so that this file does not hold them.
const MARKS: [[&str; 2]; 5] =
    [["todo", "!("], ["unimplemented", "!("], ["#[ig", "nore"], ["TO", "DO:"], ["FIX", "ME"]];

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("tests.rs")
}

fn check_direction(name: &str, allowed: &[&str], wrong: &mut Vec<String>) {
    let manifest = root().join("crates").join(name).join("Cargo.toml");
    let Ok(text) = fs::read_to_string(manifest) else {
        wrong.push(format!("crates/{name}: there is no manifest"));
        return;
    };
    for line in text.lines() {
        let Some((dependency, _)) = line.split_once(['=', '.']) else { continue };
        let dependency = dependency.trim();
        let is_ours = dependency == "sora" || dependency.starts_with("sora-");
        if is_ours && dependency != name && !allowed.contains(&dependency) {
            wrong.push(format!("crates/{name}: must not depend on {dependency}"));
        }
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(())
}
