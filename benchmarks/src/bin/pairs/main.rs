//! Sora beside a floor in one program, interleaved: `pairs WHAT [OPTIONS]`.

mod database;
mod postgres;
mod reads;
mod rounds;
mod sustained;
mod writes;

use std::error::Error;
use std::process::ExitCode;

use rounds::Options;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "usage: pairs WHAT [--pairs N] [--seconds S] [--rows N] [--folder DIR]
  points TASKS             look-ups by key
  page TASKS               pages of 50 rows by filter and sort
  stream PAGE              all rows, decoded, through a stream of pages of so many rows
  writes TASKS full|normal single upserts, each durable
  bulk sorted|shuffled     an upsert of as many rows as the table has, half of them there
  sustained full|normal    upserts of 64 tasks for --seconds beside readers: the log's size and times
  postgres get|page|upsert TASKS [--url URL] [--alone NAME]
                           on a server that is started for it, or the one given; by one side alone
  postgres bulk ROWS       an upsert of so many rows in one transaction, half of them there

The floor is one thread on rusqlite with cached statements and the settings that Sora uses, and on
PostgreSQL a pool of 16 connections of tokio-postgres with cached statements.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Reads a number of the command line.
fn number<N: std::str::FromStr>(what: &str, text: &str) -> Result<N> {
    text.parse().map_err(|_| format!("{what} is a number, not {text:?}").into())
}

fn run() -> Result<()> {
    let mut words = Vec::new();
    let mut options = Options::default();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(USAGE);
        match argument.as_str() {
            "--pairs" => options.pairs = number(&argument, &value()?)?,
            "--seconds" => options.seconds = number(&argument, &value()?)?,
            "--rows" => options.rows = number(&argument, &value()?)?,
            "--folder" => options.folder = value()?.into(),
            "--url" => options.url = Some(value()?),
            "--alone" => options.alone = Some(value()?),
            _ => words.push(argument),
        }
    }
    std::fs::create_dir_all(&options.folder)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match *words {
        ["points", tasks] => reads::points(&options, number("TASKS or ROWS", tasks)?),
        ["page", tasks] => reads::pages(&options, number("TASKS or ROWS", tasks)?),
        ["stream", page] => reads::stream(&options, number("PAGE", page)?),
        ["writes", tasks, mode] => {
            writes::singles(&options, number("TASKS or ROWS", tasks)?, mode == "full")
        }
        ["bulk", order] => writes::bulk(&options, order == "shuffled"),
        ["postgres", what, tasks] => postgres::run(&options, what, number("TASKS or ROWS", tasks)?),
        ["sustained", mode] => sustained::run(&options, mode == "full"),
        _ => Err(USAGE.into()),
    }
}
