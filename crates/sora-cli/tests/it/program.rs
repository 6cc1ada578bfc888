//! Runs the program in a directory of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use sora_testbed::{Database, Postgres};
use tempfile::TempDir;

/// A directory in which the program runs, and the store that it runs on unless told otherwise.
pub(crate) struct Program {
    directory: TempDir,
    store: String,
    /// None where the store is the file `s.db`.
    database: Option<Database>,
}

/// What a run said, and how it ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The real data of the demo.
pub(crate) const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

impl Program {
    /// On a SQLite file.
    pub(crate) fn new() -> Self {
        Self::on("sqlite:s.db")
    }

    /// On a store that is made elsewhere.
    pub(crate) fn on(store: impl Into<String>) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Self { directory, store: store.into(), database: None }
    }

    /// On an empty database of PostgreSQL, gone with it.
    pub(crate) fn postgres() -> Self {
        let server = Postgres::shared().expect("a server");
        Self::on_database(server.database().expect("a database"))
    }

    /// On a database of PostgreSQL, gone with it.
    pub(crate) fn on_database(database: Database) -> Self {
        let url = database.url();
        Self { database: Some(database), ..Self::on(url) }
    }

    /// One on each store that keeps what is written.
    pub(crate) fn on_each() -> [Self; 2] {
        [Self::new(), Self::postgres()]
    }

    /// The address of its store.
    pub(crate) fn store(&self) -> &str {
        &self.store
    }

    /// The name of its database of PostgreSQL.
    pub(crate) fn database_name(&self) -> &str {
        self.database.as_ref().expect("a database").name()
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.database.is_some()
    }

    /// Runs statements past the program.
    pub(crate) fn execute(&self, statements: &str) {
        match &self.database {
            Some(database) => database.execute(statements).expect(statements),
            None => self.sqlite().execute_batch(statements).expect(statements),
        }
    }

    /// Counts rows of PostgreSQL past the program: as many as are said to be there, or it fails.
    pub(crate) fn assert_rows(&self, from: &str, rows: u64) {
        self.execute(&format!(
            "DO $$ BEGIN ASSERT (SELECT count(*) FROM {from}) = {rows}, \
             (SELECT count(*) FROM {from})::text; END $$"
        ));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).expect("written");
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).expect("a file")
    }

    /// Opens the database past the program.
    pub(crate) fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("s.db")).expect("a database")
    }

    /// The program on its store, ready to be run.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sora"));
        command.args(arguments).current_dir(self.directory.path()).stdin(Stdio::null());
        command.env("SORA_STORE", &self.store).env_remove("NO_COLOR");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.command(arguments).output().expect("runs").into()
    }

    /// Runs with text on standard input.
    pub(crate) fn run_with(&self, input: impl AsRef<[u8]>, arguments: &[&str]) -> Run {
        let mut command = self.command(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("starts");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input.as_ref()).expect("taken");
        drop(stdin);
        child.wait_with_output().expect("ends").into()
    }

    /// Runs what must succeed, and returns its results.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(0), "{arguments:?}: {}", run.err);
        run.out
    }

    /// Runs what must end with an exit code, and returns its error.
    pub(crate) fn fails(&self, code: i32, arguments: &[&str]) -> String {
        let run = self.run(arguments);
        assert_eq!(run.code, Some(code), "{arguments:?}: {}{}", run.out, run.err);
        run.err
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        Path::exists(&self.path(name))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}
