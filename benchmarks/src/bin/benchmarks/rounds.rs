//! Runs a group: everyone in turn, round by round.

use std::collections::HashMap;
use std::thread;
use std::time::Duration;

use sora_benchmarks::{Durability, Flush, PostgresServer, Result, Task, Workload};

use crate::environment::Environment;
use crate::groups::{Group, Series, Setup};
use crate::options::Options;
use crate::program::{Program, Programs, Running};
use crate::results::{Results, Runs};
use crate::sqlite_file;

/// Between runs that write, what one has left to be done in the background is not to fall upon the
/// next.
const SETTLE: Duration = Duration::from_millis(200);

/// What the groups share: programs and servers.
pub(crate) struct Stage<'a> {
    options: &'a Options,
    programs: Programs,
    /// One at a time: the other's memory is free then.
    server: Option<(Flush, PostgresServer)>,
}

/// A group that is being run.
struct Rounds<'s, 'o> {
    stage: &'s mut Stage<'o>,
    group: &'s Group,
    running: HashMap<Program, Running>,
    places: Vec<String>,
    environment: Environment,
}

impl<'a> Stage<'a> {
    pub(crate) fn new(options: &'a Options, programs: Programs) -> Self {
        Self { options, programs, server: None }
    }

    fn server(&mut self, flush: Flush) -> Result<&mut PostgresServer> {
        if self.server.as_ref().is_none_or(|(other, _)| *other != flush) {
            self.server = None;
            self.server = Some((flush, PostgresServer::start(flush)?));
        }
        match &mut self.server {
            Some((_, server)) => Ok(server),
            None => Err("no server was started".into()),
        }
    }
}

/// Runs a group: a round to warm up, then those that count.
pub(crate) fn run(stage: &mut Stage<'_>, group: &Group) -> Result<Results> {
    let options = stage.options;
    let environment = Environment::now();
    let mut rounds =
        Rounds { stage, group, running: HashMap::new(), places: Vec::new(), environment };
    rounds.prepare()?;
    let runs = |series: &Series| Runs {
        program: series.program,
        peer: series.peer.into(),
        form: series.form,
        failed: None,
        runs: Vec::new(),
    };
    let mut all: Vec<Runs> = group.series.iter().map(runs).collect();
    // What has a program of its own needs no warming up: it opens before its time starts.
    let first = usize::from(group.is_alone());
    for round in first..=options.rounds {
        let mut order: Vec<usize> = (0..all.len()).collect();
        if round % 2 == 1 {
            // Nobody is always behind the same one.
            order.reverse();
        }
        for place in order {
            rounds.one(round, place, &mut all[place])?;
        }
        rounds.clean()?;
        eprint!("\r  round {round} of {}", options.rounds);
    }
    eprintln!();
    rounds.remove();
    let mut environment = rounds.environment;
    environment.finish();
    Ok(Results {
        name: group.name.clone(),
        title: group.title.clone(),
        workload: group.workload,
        rows: group.rows,
        time_ms: options.time_ms(group.is_write()),
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        environment,
        series: all,
    })
}

impl Rounds<'_, '_> {
    /// Makes what is read, or for each of those who write a file of their own; all write one server.
    fn prepare(&mut self) -> Result<()> {
        let (options, group) = (self.stage.options, self.group);
        let same = match group.setup {
            Setup::Postgres(flush) => {
                let server = self.stage.server(flush)?;
                self.environment.server = Some(server.version.clone());
                match group.is_write() {
                    true => server.copy(group.rows)?,
                    false => server.table(group.rows)?,
                }
            }
            Setup::Sqlite(_) if group.workload == Workload::Upsert => {
                for (place, _) in group.series.iter().enumerate() {
                    let path = sqlite_file::copy(options, &format!("written-{place}"))?;
                    self.places.push(path.display().to_string());
                }
                return Ok(());
            }
            Setup::Sqlite(_) => sqlite_file::table(options)?.display().to_string(),
        };
        self.places = vec![same; group.series.len()];
        Ok(())
    }

    /// One run of one who takes part; who has failed is left out.
    fn one(&mut self, round: usize, place: usize, runs: &mut Runs) -> Result<()> {
        if runs.failed.is_some() {
            return Ok(());
        }
        let (options, group) = (self.stage.options, self.group);
        if matches!(group.workload, Workload::Bulk(..)) {
            self.places[place] = match group.setup {
                Setup::Postgres(flush) => self.stage.server(flush)?.copy(group.rows)?,
                Setup::Sqlite(_) => sqlite_file::copy(options, "written")?.display().to_string(),
            };
        }
        let time_ms = options.time_ms(group.is_write());
        let task = Task {
            peer: runs.peer.clone(),
            form: runs.form,
            store: group.setup.store(),
            place: self.places[place].clone(),
            durability: match group.setup {
                Setup::Sqlite(durability) => durability,
                Setup::Postgres(_) => Durability::Full,
            },
            workload: group.workload,
            tasks: group.tasks,
            rows: group.rows,
            round: round as u64,
            time_ms: if round == 0 { time_ms / 2 } else { time_ms },
        };
        match self.program(runs.program)?.run(&task)? {
            Ok(measurement) if round > 0 => runs.runs.push(measurement),
            Ok(_) => {}
            Err(error) => {
                eprintln!("\r  {} failed: {error}", runs.label());
                runs.failed = Some(error);
            }
        }
        if group.is_alone() {
            self.running.remove(&runs.program);
        }
        if group.is_write() {
            thread::sleep(SETTLE);
        }
        Ok(())
    }

    fn program(&mut self, program: Program) -> Result<&mut Running> {
        if !self.running.contains_key(&program) {
            let running = self.stage.programs.start(program)?;
            self.environment.sqlite.insert(program, running.sqlite.clone());
            self.running.insert(program, running);
        }
        self.running.get_mut(&program).ok_or_else(|| "no program was started".into())
    }

    fn clean(&mut self) -> Result<()> {
        match (self.group.setup, self.group.workload) {
            (Setup::Postgres(flush), Workload::Upsert) => self.stage.server(flush)?.clean(),
            _ => Ok(()),
        }
    }

    /// Ends the programs, and removes the files that were written.
    fn remove(&mut self) {
        self.running.clear();
        if self.group.is_write() && matches!(self.group.setup, Setup::Sqlite(_)) {
            for place in &self.places {
                sqlite_file::remove(place.as_ref());
            }
        }
    }
}
