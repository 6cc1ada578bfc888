//! The `sora` program: import, query and export data through Sora.

mod arguments;
mod check;
mod clock;
mod column_list;
mod console;
mod conversion;
mod demo;
mod export;
mod failure;
mod import;
mod inference;
mod input;
mod lexeme;
mod names;
mod output;
mod parameter;
mod progress;
mod query;
mod rows;
mod selection;
mod store;
#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::Parser;
use sora::Sora;

use crate::arguments::{Arguments, Command};
use crate::console::Console;
use crate::failure::{Failure, Outcome};
use crate::input::Source;
use crate::output::one_line;
use crate::store::{Access, StoreAddress};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut console = Console::standard();
    let done = runtime().and_then(|runtime| {
        runtime.block_on(run(arguments, &mut console))?;
        Ok(console.out.flush()?)
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // What was written before the failure is still a result.
            let _ = console.out.flush();
            if let Some(message) = failure.message() {
                let lines: Vec<String> = message.lines().map(one_line).collect();
                console.say(format_args!("error: {}", lines.join("\n")));
            }
            failure.exit_code()
        }
    }
}

/// Two threads beside the main one: while a batch is written, the next one is read.
fn runtime() -> Outcome<tokio::runtime::Runtime> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| Failure::failed(format!("no threads: {error}")))
}

/// Opens the store of a command and runs it.
async fn run(arguments: Arguments, console: &mut Console) -> Outcome {
    let (store, access) = match &arguments.command {
        Command::Check(check) if check.write => (&check.store, Access::Write),
        Command::Check(check) => (&check.store, Access::Read),
        Command::Demo(demo) => return demo::run(demo, console).await,
        Command::Export(export) => (&export.store, Access::Read),
        Command::Import(import) => (&import.store, Access::Write),
        Command::Query(query) => (&query.store, Access::Read),
    };
    let address = store.address()?;
    if let Command::Import(import) = &arguments.command {
        Source::look(&import.file)?;
    }
    if access == Access::Write && address.is_private() {
        console.say(format_args!("{address} is gone when the program ends"));
    }
    let store = address.open(access, Sora::builder()).await?;
    dispatch(&arguments.command, &address, &store, console).await
}

/// Runs a command on a store.
async fn dispatch(
    command: &Command,
    address: &StoreAddress,
    store: &Sora,
    console: &mut Console,
) -> Outcome {
    match command {
        Command::Check(arguments) => check::run(address, store, arguments, console).await,
        Command::Demo(arguments) => demo::run(arguments, console).await,
        Command::Export(arguments) => export::run(store, arguments, console).await,
        Command::Import(arguments) => import::run(store, arguments, console).await,
        Command::Query(arguments) => query::run(store, arguments, console).await,
    }
}
