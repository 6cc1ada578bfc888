//! What is run, by the arguments of the command.

use std::path::PathBuf;

use sora_benchmarks::Result;

pub(crate) const USAGE: &str = "usage: benchmarks [WHAT…] [OPTIONS]
       benchmarks report [--report DIR]

Runs Sora beside its peers and writes a report. WHAT is a part of the names of the groups to run, such
as sqlite, postgres/get or upsert; all of them by default.

  --list            names the groups and ends
  --only PEER,…     runs these peers only, beside Sora and the floor
  --rounds N        measures each peer so often; 9 by default, and fewer prove nothing
  --rows N          rows of the table; 1,000,000 by default, at least 100,000
  --seconds S       time of a run that reads; 0.5 by default. One that writes takes twice as long
  --folder DIR      where databases are made; sora-benchmarks in the directory of temporary files by
                    default. It should be on a disk: a commit waits for it
  --report DIR      where results and the report are kept; report in that folder by default

A group that is run again replaces its earlier results; `benchmarks report` writes the report anew.";

/// What the arguments ask for.
#[derive(Debug)]
pub(crate) enum Command {
    Help,
    List(Options),
    Report(Options),
    Run(Options),
}

/// What is run, and where.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) what: Vec<String>,
    pub(crate) only: Vec<String>,
    pub(crate) rounds: usize,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) folder: PathBuf,
    pub(crate) report: PathBuf,
}

impl Options {
    /// Reads the arguments behind the name of the program.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Command> {
        let mut options = Self::defaults();
        let mut is_list = false;
        let mut arguments = arguments;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match &*argument {
                "--help" | "-h" => return Ok(Command::Help),
                "--list" => is_list = true,
                "--only" => options.only.extend(value()?.split(',').map(str::to_owned)),
                "--rounds" => options.rounds = value()?.parse::<usize>()?.max(1),
                "--rows" => options.rows = value()?.replace([',', '_'], "").parse()?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--folder" => options.folder = value()?.into(),
                "--report" => options.report = value()?.into(),
                _ if argument.starts_with('-') => {
                    return Err(format!("{argument} is no option\n\n{USAGE}").into());
                }
                _ => options.what.push(argument),
            }
        }
        if options.rows < 100_000 {
            return Err("--rows: a page would not be full with less than 100,000 rows".into());
        }
        // Programs and servers have other working directories.
        options.folder = std::path::absolute(&options.folder)?;
        if options.report.as_os_str().is_empty() {
            options.report = options.folder.join("report");
        }
        Ok(match (is_list, &*options.what) {
            (true, _) => Command::List(options),
            (false, [word]) if word == "report" => Command::Report(options),
            _ => Command::Run(options),
        })
    }

    /// All groups on the full table.
    pub(crate) fn defaults() -> Self {
        Self {
            what: Vec::new(),
            only: Vec::new(),
            rounds: 9,
            rows: 1_000_000,
            seconds: 0.5,
            folder: std::env::temp_dir().join("sora-benchmarks"),
            report: PathBuf::new(),
        }
    }

    /// How long a run takes.
    pub(crate) fn time_ms(&self, is_write: bool) -> u64 {
        let times = if is_write { 2.0 } else { 1.0 };
        (self.seconds * times * 1_000.0) as u64
    }
}
