//! Records what several nodes on one Redis do and see, and judges it.
//!
//! `run` starts a private Redis 7, opens nodes with a memory tier and a Redis tier each on one store,
//! runs sessions on them, cuts connections if it is told to, writes the history as NDJSON and judges it.
//! `judge` judges a file. Both end with 1 if a rule is broken, and name the lines.

mod harm;
mod nodes;

use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::{Args, Parser, Subcommand};
use sora::{Error, ErrorKind, Result};
use sora_conformance::coherence::{Bounds, Step, Workload, judge};

use self::harm::Harm;
use self::nodes::Nodes;

#[derive(Debug, Parser)]
#[command(about = "Records what several nodes on one Redis do and see, and judges it")]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Records a history and judges it.
    Run(Run),
    /// Judges a history.
    Judge {
        /// The history, as NDJSON.
        file: PathBuf,
        #[command(flatten)]
        bounds: GivenBounds,
    },
}

fn at_least_one(text: &str) -> std::result::Result<usize, String> {
    at_least(text, 1)
}

/// A write can be of two rows.
fn at_least_two(text: &str) -> std::result::Result<usize, String> {
    at_least(text, 2)
}

fn at_least(text: &str, min: usize) -> std::result::Result<usize, String> {
    let number = text.parse().ok().filter(|number| *number >= min);
    number.ok_or_else(|| format!("give a number of at least {min}"))
}

/// What is run.
#[derive(Debug, Args)]
struct Run {
    /// How long the sessions go on.
    #[arg(long, default_value_t = 30)]
    seconds: u64,
    /// Nodes: clients with a memory and a connection to Redis of their own.
    #[arg(long, default_value_t = 3, value_parser = at_least_one)]
    nodes: usize,
    /// Sessions on each node.
    #[arg(long, default_value_t = 8, value_parser = at_least_one)]
    sessions: usize,
    /// Keys that they share.
    #[arg(long, default_value_t = 32, value_parser = at_least_two)]
    keys: usize,
    /// How long a session waits between two steps, at most, in microseconds.
    #[arg(long, default_value_t = 10_000)]
    pause_us: u64,
    /// Decides what the sessions do, and what is cut.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Cuts, stalls and loses connections, and loses, delays, repeats and reorders invalidations.
    #[arg(long)]
    cuts: bool,
    /// Restarts Redis as well: empty, with its data, or with older data.
    #[arg(long)]
    restarts: bool,
    /// The store of all nodes: memory:, or sqlite:PATH.
    #[arg(long, default_value = "memory:")]
    store: String,
    /// Where the history goes.
    #[arg(long, default_value = "history.ndjson")]
    out: PathBuf,
    #[command(flatten)]
    bounds: GivenBounds,
}

/// How far behind reads may be.
#[derive(Clone, Copy, Debug, Args)]
#[expect(clippy::struct_field_names, reason = "the unit is part of the option's name")]
struct GivenBounds {
    /// How long behind the end of a write other nodes may give what was there before, in milliseconds;
    /// of a run, what the tier states by default, and of one with cuts its time to live with that.
    #[arg(long)]
    others_ms: Option<u64>,
    /// How long behind the end of a write a node that has read it may give something older again; of a
    /// run with cuts, as long as others may be behind, else 0.
    #[arg(long)]
    back_ms: Option<u64>,
    /// How long behind the end of a write its own node may give what was there before.
    #[arg(long, default_value_t = 0)]
    own_ms: u64,
}

impl GivenBounds {
    fn or(self, others_ms: u64, back_ms: u64) -> Bounds {
        Bounds {
            own_ms: self.own_ms,
            others_ms: self.others_ms.unwrap_or(others_ms),
            back_ms: self.back_ms.unwrap_or(back_ms),
        }
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let done = match Program::parse().command {
        Command::Run(run) => record(&run).await,
        Command::Judge { file, bounds } => judge_file(&file, bounds),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("history: {error}");
            ExitCode::FAILURE
        }
    }
}

fn judge_file(file: &PathBuf, bounds: GivenBounds) -> Result<bool> {
    let Some(others_ms) = bounds.others_ms else {
        let message = "the bound of other nodes is not known: give --others-ms";
        return Err(Error::new(ErrorKind::InvalidInput, message));
    };
    let started = Instant::now();
    let opened = File::open(file).map_err(|error| of_file(file, &error))?;
    let steps = Step::read_all(BufReader::new(opened))?;
    let is_clean = tell(&steps, bounds.or(others_ms, 0));
    eprintln!("{} lines were judged in {:.1} s", steps.len(), started.elapsed().as_secs_f64());
    Ok(is_clean)
}

async fn record(run: &Run) -> Result<bool> {
    let nodes = Nodes::open(run).await?;
    let bounds = Nodes::bounds(run);
    let harm = (run.cuts || run.restarts).then(|| Harm::start(&nodes, run));
    let workload = Workload {
        seed: run.seed,
        sessions: run.sessions,
        keys: run.keys,
        steps: usize::MAX,
        time_ms: run.seconds * 1_000,
        pause_us_max: run.pause_us,
        writes_percent: 10,
        drop_percent: 2,
        settle_ms: 200,
        final_ms: bounds.others_ms.max(1_000),
        in_turns: false,
    };
    let recording = workload.run(&nodes.clients, nodes.watch.clone()).await?;
    if let Some(harm) = harm {
        eprintln!("{}", harm.stop().await);
    }
    let file = File::create(&run.out).map_err(|error| of_file(&run.out, &error))?;
    Step::write_all(&recording.steps, BufWriter::new(file))?;
    eprintln!("{} has {} lines", run.out.display(), recording.steps.len());
    for failure in &recording.failures {
        eprintln!("failed, and should not have: {failure}");
    }
    let is_clean = tell(&recording.steps, bounds);
    Ok(is_clean && recording.failures.is_empty())
}

/// Judges a history and says what came of it.
fn tell(steps: &[Step], bounds: Bounds) -> bool {
    let verdict = judge(steps, bounds);
    let Bounds { own_ms, others_ms, back_ms } = bounds;
    eprintln!("{verdict}");
    eprintln!("judged by --own-ms {own_ms} --others-ms {others_ms} --back-ms {back_ms}");
    verdict.is_clean()
}

fn of_file(file: &std::path::Path, error: &std::io::Error) -> Error {
    let message = format!("{}: {error}", file.display());
    Error::new(ErrorKind::InvalidInput, message)
}
