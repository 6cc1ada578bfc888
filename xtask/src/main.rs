//! The checks of this repository: `cargo xtask ci` runs all that must hold before a change lands.

mod ci;
mod services;
mod tidy;

use std::process::ExitCode;

use services::Services;

const INSTALL: &str = "--install-services";

const USAGE: &str = "\
usage: cargo xtask COMMAND

  ci     all checks: tidy, format, lints, model, tests, documentation
  test   the tests alone, on a PostgreSQL and a Redis that are started for them;
         SORA_TEST_POSTGRES_URL and SORA_TEST_REDIS_URL name others
  model  the cache's protocol of loads and writes, in every order of its steps, by loom
  tidy   the house rules that no other tool knows

  --install-services   behind `ci` and `test`: installs the servers that the tests need and that are
                       missing, from Debian's packages, as root or by sudo";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments {
        ["ci"] => ci::run(Services::Found),
        ["ci", INSTALL] => ci::run(Services::Installed),
        ["test"] => ci::test(Services::Found),
        ["test", INSTALL] => ci::test(Services::Installed),
        ["model"] => ci::model(),
        ["tidy"] => tidy::run(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error}");
            ExitCode::FAILURE
        }
    }
}
