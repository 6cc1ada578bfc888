//! Sora beside its peers, in one run: see the README beside this workspace.

mod chart;
mod environment;
mod goals;
mod groups;
mod options;
mod program;
mod quartiles;
mod report;
mod results;
mod rounds;
mod sqlite_file;
mod table;

use sora_benchmarks::Result;

use options::{Command, Options};
use program::Programs;
use rounds::Stage;

fn main() -> Result<()> {
    let options = match Options::parse(std::env::args().skip(1))? {
        Command::Help => {
            println!("{}", options::USAGE);
            return Ok(());
        }
        Command::List(options) => {
            for group in groups::chosen(&options) {
                println!("{:<32} {}", group.name, group.title);
            }
            return Ok(());
        }
        Command::Report(options) => return report::write(&options),
        Command::Run(options) => options,
    };
    let groups = groups::chosen(&options);
    if groups.is_empty() {
        return Err("no group has such a name: --list shows them".into());
    }
    std::fs::create_dir_all(&options.folder)?;
    let mut stage = Stage::new(&options, Programs::build()?);
    for (place, group) in groups.iter().enumerate() {
        eprintln!("[{}/{}] {}", place + 1, groups.len(), group.title);
        let results = rounds::run(&mut stage, group)?;
        results.save(&options.report)?;
        println!("{}", table::text(&results));
    }
    drop(stage);
    report::write(&options)
}
