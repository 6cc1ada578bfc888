//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::column_list::ColumnList;
use crate::failure::{Failure, Outcome};
use crate::input::Format;
use crate::output::RowFormat;
use crate::parameter::Parameter;
use crate::store::StoreAddress;

/// Import, query and export data through Sora, a data layer that shows what it does.
#[derive(Debug, Parser)]
#[command(name = "sora", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sora demo
  sora import zipcodes.csv --store sqlite:z.db --table zips --key zip_code
  sora query zips \"state = 'NY' AND latitude > 44.5\" --store sqlite:z.db --sort -latitude --limit 5
  sora export zips --store sqlite:z.db -o zips.csv
  sora export users --store postgres://ann@db.example.org/app -o users.csv

Stores: `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, and `sqlite::memory:` and `memory:`, which
are gone at the end. What an address of PostgreSQL leaves out comes from PGHOST, PGUSER, PGSSLMODE
and so on; parameters stand behind it: `?sslmode=verify-full`, `?options=-c%20search_path=sales`.
Give passwords by ~/.pgpass, PGPASSWORD or SORA_STORE: others on the machine see the command line.
Results go to standard output, everything else to standard error.
Exit codes: 0 done, 1 failed, 2 wrong usage.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(Check),
    Demo(Demo),
    Export(Export),
    Import(Import),
    Query(Query),
}

/// Where the tables are.
#[derive(Args, Debug)]
pub(crate) struct Store {
    /// The store: `sqlite:PATH`, `postgres://USER@HOST/DATABASE`, `sqlite::memory:` or `memory:`
    // Not parsed here: the parser would repeat what it refuses, and with it a password.
    #[arg(long, value_name = "URL", env = "SORA_STORE", hide_env_values = true)]
    store: String,
}

impl Store {
    /// Reads the address.
    ///
    /// # Errors
    ///
    /// Wrong usage, without more of the address than its scheme.
    pub(crate) fn address(&self) -> Outcome<StoreAddress> {
        self.store.parse().map_err(|error| Failure::argument(&error))
    }
}

/// Which rows, and what may be done about them above the store.
#[derive(Args, Debug)]
pub(crate) struct Selection {
    /// The table or view
    #[arg(value_name = "TABLE")]
    pub(crate) table: String,
    /// Which rows, as SQL's boolean expression: "state = 'NY' AND latitude > 44.5"
    #[arg(value_name = "FILTER")]
    pub(crate) filter: Option<String>,
    /// The value of `:name` in the filter; text if it is in single quotes or no other literal
    #[arg(long = "param", value_name = "NAME=VALUE")]
    pub(crate) parameters: Vec<Parameter>,
    /// The order: columns by commas, `-` before one that runs from the largest; the key follows
    #[arg(long, value_name = "COLUMNS", allow_hyphen_values = true)]
    pub(crate) sort: Option<String>,
    /// How many rows may be rejected or sorted in memory where the store cannot; 0 refuses it
    #[arg(long, value_name = "ROWS", default_value_t = 10_000)]
    pub(crate) fallback_rows: u64,
}

/// Import a CSV or NDJSON file into a table
///
/// The types of the columns are inferred from the whole file and shown before the first row is
/// written; what would lose anything as a number, a date or a UUID stays text. A table that is
/// there keeps its types, and the file must fit them; what only PostgreSQL knows, such as an enum or
/// an array, is given as the text that it makes of it. Columns that a store computes are left out.
///
/// Rows are written in batches, each one durable transaction. With a key, rows that are there are
/// replaced, and a key that comes twice in the file has its last row. Without one, a column with the
/// number of the row becomes the key. What was imported is remembered in the table `_sora_imports`:
/// the same file again changes nothing, and an import that was interrupted is completed by running
/// it again.
///
/// A number that the file gives is taken as it is, also where PostgreSQL would assign one (serial,
/// identity): the sequence behind such a column is not advanced. Set it before rows are inserted
/// without a number: `SELECT setval(pg_get_serial_sequence('t', 'id'), max(id)) FROM t`.
#[derive(Args, Debug)]
#[command(after_help = IMPORT_EXAMPLES)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of its own")]
pub(crate) struct Import {
    /// The file; `-` is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[command(flatten)]
    pub(crate) store: Store,
    /// The table; it is created if it is not there
    #[arg(long, value_name = "TABLE")]
    pub(crate) table: String,
    /// The columns of the key, by commas; without them rows are numbered
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) key: Option<String>,
    /// Types instead of what would be inferred: `name:type,…` with bool, i64, f64, decimal(P,S),
    /// text, bytes, timestamp, date, uuid, json
    #[arg(long, value_name = "NAME:TYPE,…")]
    pub(crate) columns: Option<ColumnList>,
    /// The CSV file has no header line; `--columns` names all columns in order
    #[arg(long, requires = "columns")]
    pub(crate) no_header: bool,
    /// What the file is, if its name and first character do not say
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// What separates the fields of a CSV file: one character, or \t
    #[arg(long, value_name = "CHAR", value_parser = delimiter, allow_hyphen_values = true)]
    pub(crate) delimiter: Option<u8>,
    /// How null is written in a CSV file, where not in quotes; can be repeated [default: nothing]
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub(crate) null: Vec<String>,
    /// What a line that cannot be imported does to those behind it
    #[arg(long, value_enum, default_value_t = OnError::Continue)]
    pub(crate) on_error: OnError,
    /// Write every line that was not imported, and why, to a file as NDJSON; it is overwritten
    #[arg(long, value_name = "FILE")]
    pub(crate) errors: Option<PathBuf>,
    /// Add the rows behind those of other files; for tables with numbered rows
    #[arg(long, conflicts_with = "replace")]
    pub(crate) append: bool,
    /// Delete all rows of the table first, in a transaction of their own
    #[arg(long)]
    pub(crate) replace: bool,
    /// Rows in a batch, which is written as a whole or not at all
    #[arg(long, value_name = "ROWS", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) batch: u32,
    /// Import a file that was imported before once more
    #[arg(long)]
    pub(crate) force: bool,
    /// How the outcome is reported on standard output
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) report: ReportFormat,
}

const IMPORT_EXAMPLES: &str = "\
Examples:
  sora import zipcodes.csv --store sqlite:z.db --table zips --key zip_code
  sora import movies.ndjson --store postgres://ann@localhost/films --table movies --key id
  sora import prices.csv --store sqlite:p.db --table prices --key id --columns \"price:decimal(10,2)\"
  zcat log.csv.gz | sora import - --store sqlite:l.db --table log --null NA --errors bad.ndjson

CSV: a bare empty field is null, \"\" is empty text; bytes are base64. A file is read twice, so
standard input is copied to a temporary file first. A record is at most 16 MiB long.
--replace: whoever reads the table before the import ends sees it empty or in part.";

/// Show the rows of a table or view
///
/// A SQLite file is opened read-only; of PostgreSQL the tables of the search path are seen. What the
/// store cannot filter or sort is done in memory, up to `--fallback-rows`; `--explain` shows what is
/// done where.
#[derive(Args, Debug)]
#[command(after_help = QUERY_EXAMPLES)]
pub(crate) struct Query {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) store: Store,
    /// Which columns, by commas [default: all]
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) columns: Option<String>,
    /// How many rows at most [default: 50 as a table, else all]
    #[arg(long, value_name = "ROWS")]
    pub(crate) limit: Option<u64>,
    /// How many rows are left out at the start
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    pub(crate) offset: u64,
    /// Where an earlier page of the same query ended
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true, conflicts_with = "offset")]
    pub(crate) cursor: Option<String>,
    /// Show how the query would run, without running it
    #[arg(long)]
    pub(crate) explain: bool,
    /// How the rows are written
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
    /// How null is written in CSV
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) null: String,
}

const QUERY_EXAMPLES: &str = "\
Examples:
  sora query zips \"state = 'NY' AND latitude > 44.5\" --store sqlite:z.db --sort -latitude,zip_code
  sora query movies \"title LIKE 'The %' AND NOT (major_genre = 'Drama' OR imdb_rating IS NULL)\" \\
       --store sqlite:m.db --columns title,imdb_rating --limit 5 --format json
  sora query zips \"city = :city\" --param city=Paris --store postgres://ann@localhost/geo --explain

Filters: = <> < <= > >=, [NOT] BETWEEN, IN, LIKE, ILIKE, IS [NOT] NULL, IS [NOT] TRUE, AND, OR, NOT,
parentheses. Text compares by bytes, LIKE is case-sensitive. In JSON decimals and bytes (base64) are
text, so that no reader rounds them. The place where the next page starts goes to standard error.";

/// Write the rows of a table or view to a file or standard output
///
/// Rows are streamed in flat memory, in the order of the key unless `--sort` says another. A SQLite
/// file is opened read-only.
#[derive(Args, Debug)]
#[command(after_help = EXPORT_EXAMPLES)]
pub(crate) struct Export {
    #[command(flatten)]
    pub(crate) selection: Selection,
    #[command(flatten)]
    pub(crate) store: Store,
    /// How the rows are written, if the name of the file does not say [default: csv]
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The file, written as a whole or not at all; without it rows go to standard output
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Replace the file if it is there
    #[arg(long)]
    pub(crate) force: bool,
    /// How null is written in CSV
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) null: String,
}

const EXPORT_EXAMPLES: &str = "\
Examples:
  sora export zips --store sqlite:z.db > zips.csv
  sora export zips \"state = 'NY'\" --store postgres://ann@localhost/geo --sort city -o ny.ndjson

What is exported comes back without loss into a table with the same types. In NDJSON decimals and
bytes (base64) are text, and the JSON value null of a JSON column reads as no value; CSV keeps them
apart.";

/// Hold what a store claims to do against what it does
///
/// The filters, sorts and counts of the tables that are there are compared with what memory makes of
/// the same rows. Claims about writes are probed in a temporary database beside a SQLite file, which
/// is opened read-only; beside a server there is no such place, so there they are not probed. With
/// `--write` they are probed in the store itself, in the table `_sora_check`, which is left empty.
#[derive(Args, Debug)]
#[command(after_help = CHECK_EXAMPLES)]
pub(crate) struct Check {
    #[command(flatten)]
    pub(crate) store: Store,
    /// Probe writes in the store itself
    #[arg(long)]
    pub(crate) write: bool,
    /// How the outcome is written
    #[arg(long, value_enum, default_value_t = RowFormat::Table)]
    pub(crate) format: RowFormat,
}

const CHECK_EXAMPLES: &str = "\
Examples:
  sora check --store sqlite:z.db
  sora check --store sqlite:z.db --write --format json
  sora check --store postgres://ann@localhost/geo --write";

/// Show the life of the system on embedded SQLite with real data
///
/// It imports 48,000 rows of real data, queries them with their plans shown, streams them, reads
/// them by key from the store and from memory, and says what was slow. It needs nothing, ends by
/// itself within a minute and leaves nothing behind. With `--cache`, two nodes share what they cache.
#[derive(Args, Debug)]
#[command(after_help = DEMO_EXAMPLES)]
pub(crate) struct Demo {
    /// End when all was shown, which is what it does today anyway
    #[arg(long)]
    pub(crate) exit: bool,
    /// Keep the databases in this directory, which is created
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
    /// A Redis that two nodes share: `redis://HOST:PORT`; what they put there expires in a minute
    // Not parsed here: the parser would repeat what it refuses, and with it a password.
    #[arg(long, value_name = "URL", env = "SORA_CACHE", hide_env_values = true)]
    pub(crate) cache: Option<String>,
}

const DEMO_EXAMPLES: &str = "\
Examples:
  sora demo
  sora demo --keep demo && sora query movies --store sqlite:demo/demo.db --limit 5
  sora demo --cache redis://localhost:6379";

/// What a line that cannot be imported does to those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OnError {
    /// It is reported, and the rest goes on
    Continue,
    /// It ends the import; batches that were committed stay
    Stop,
}

/// How an outcome is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// For people
    Text,
    /// One object
    Json,
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => Ok(*byte),
        _ => Err("a delimiter is one ASCII character other than a quote, or \\t".into()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn a_sort_may_begin_with_a_minus() {
        let line = ["sora", "query", "t", "a > 1", "--store", "memory:", "--sort", "-a,b"];
        let Command::Query(query) = Arguments::try_parse_from(line).expect("parses").command else {
            panic!("a query");
        };
        assert_eq!(query.selection.sort.as_deref(), Some("-a,b"));
        assert_eq!(query.selection.filter.as_deref(), Some("a > 1"));
    }

    #[test]
    fn a_wrong_address_never_shows_a_password() {
        let line = ["sora", "query", "t", "--store", "mysql://ann:secret@host/db"];
        let Command::Query(query) = Arguments::try_parse_from(line).expect("parses").command else {
            panic!("a query");
        };
        let failure = query.store.address().expect_err("unsupported");
        assert!(!failure.message().expect("a message").contains("secret"));
    }
}
