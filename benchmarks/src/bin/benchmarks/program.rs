//! The two programs that hold the peers: only one SQLite can be linked into each.

use std::fmt;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde::{Deserialize, Serialize};
use sora_benchmarks::{Answer, Measurement, Result, Task};

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Program {
    /// With the SQLite that tokio-rusqlite and toasty take.
    Newer,
    /// With the SQLite that sqlx takes.
    Older,
}

/// Both, as files.
#[derive(Debug)]
pub(crate) struct Programs {
    newer: PathBuf,
    older: PathBuf,
}

/// A program that runs and waits for tasks. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Running {
    process: Child,
    tasks: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The version of the SQLite in it.
    pub(crate) sqlite: String,
}

impl Programs {
    /// Builds both, into the directory that this program was built into.
    pub(crate) fn build() -> Result<Self> {
        Ok(Self { newer: build(Program::Newer)?, older: build(Program::Older)? })
    }

    /// Starts one.
    pub(crate) fn start(&self, program: Program) -> Result<Running> {
        let path = match program {
            Program::Newer => &self.newer,
            Program::Older => &self.older,
        };
        let mut process =
            Command::new(path).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let tasks = process.stdin.take();
        let answers = process.stdout.take().ok_or("a program has no output")?;
        let mut running =
            Running { process, tasks, answers: BufReader::new(answers), sqlite: String::new() };
        match running.answer()? {
            Answer::Ready(sqlite) => running.sqlite = sqlite,
            other => return Err(format!("a program greets with {other:?}").into()),
        }
        Ok(running)
    }
}

impl Program {
    /// The directory of its workspace.
    pub(crate) fn directory(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(self.to_string())
    }
}

impl Running {
    /// Has a task done.
    ///
    /// # Errors
    ///
    /// If the program ended; the inner error is the peer's own.
    pub(crate) fn run(&mut self, task: &Task) -> Result<Result<Measurement, String>> {
        let tasks = self.tasks.as_mut().ok_or("a program has no input")?;
        serde_json::to_writer(&mut *tasks, task)?;
        writeln!(tasks)?;
        match self.answer()? {
            Answer::Done(measurement) => Ok(Ok(measurement)),
            Answer::Failed(error) => Ok(Err(error)),
            Answer::Ready(_) => Err("a program greets twice".into()),
        }
    }

    fn answer(&mut self) -> Result<Answer> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("a program ended: {}", self.process.wait()?).into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without input it ends by itself, and closes what it has open.
        drop(self.tasks.take());
        let _ = self.process.wait();
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Newer => "newer",
            Self::Older => "older",
        })
    }
}

fn build(program: Program) -> Result<PathBuf> {
    // target/release/benchmarks
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).ok_or("this program is in no target directory")?;
    let manifest = program.directory().join("Cargo.toml");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--manifest-path"]).arg(manifest);
    command.arg("--target-dir").arg(target);
    let status = command.status()?;
    if !status.success() {
        return Err(format!("the program {program} could not be built").into());
    }
    Ok(target.join("release").join(format!("sora-benchmarks-{program}")))
}
