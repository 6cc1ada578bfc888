//! The commands on `memory:`, within one process.

use clap::Parser;
use sora::Sora;

use crate::arguments::Arguments;
use crate::console::{Captured, Console};
use crate::store::StoreAddress;

/// A store, and what commands on it said.
pub(crate) struct Session {
    pub(crate) runtime: tokio::runtime::Runtime,
    pub(crate) store: Sora,
    directory: tempfile::TempDir,
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
    /// The message of the failure, if it failed.
    pub(crate) failure: Option<String>,
}

impl Session {
    pub(crate) fn new() -> Self {
        let runtime = crate::runtime().expect("a runtime");
        let store = runtime.block_on(Sora::open("memory:")).expect("a store");
        Self { runtime, store, directory: tempfile::tempdir().expect("a directory") }
    }

    /// Writes a file and returns its path.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.display().to_string()
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Said {
        let line = ["sora"].iter().chain(arguments).chain(&["--store", "memory:"]);
        let arguments = Arguments::try_parse_from(line).expect("arguments");
        let captured = Captured::default();
        let mut console = Console::captured(&captured);
        let address = StoreAddress::Memory;
        let done = self.runtime.block_on(crate::dispatch(
            &arguments.command,
            &address,
            &self.store,
            &mut console,
        ));
        let failure = done.err().map(|failure| failure.message().unwrap_or("reported").to_owned());
        Said { out: captured.out(), err: captured.err(), failure }
    }

    /// Runs a command that must succeed and returns its results.
    pub(crate) fn done(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.failure, None, "{arguments:?}: {}", said.err);
        said.out
    }

    /// Runs a command that must fail and returns why.
    pub(crate) fn failed(&self, arguments: &[&str]) -> String {
        self.run(arguments).failure.expect("a failure")
    }
}

const DATA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/data");

fn check(session: &Session, table: &str, filter: &str, options: &[&str], expected: &str) {
    let mut arguments = vec!["query", table, filter, "--format", "json"];
    arguments.extend(options);
    assert_eq!(session.done(&arguments), expected, "{filter}");
}

/// What SQLite's own program answers stands in `tests/it/expected`.
macro_rules! expected {
    ($name:literal) => {
        include_str!(concat!("../tests/it/expected/", $name, ".json"))
    };
}

#[test]
fn real_data_is_queried_as_by_sqlite() {
    let session = Session::new();
    let zips = format!("{DATA}/zipcodes.csv");
    let report = session.done(&["import", &zips, "--table", "zips", "--key", "zip_code"]);
    assert!(report.contains("42049 lines"), "{report}");
    check(
        &session,
        "zips",
        "state = 'NY' AND latitude > 44.5",
        &["--sort", "-latitude,zip_code", "--limit", "5"],
        expected!("zips_ny"),
    );
    check(
        &session,
        "zips",
        "zip_code < '00700' AND NOT (city LIKE 'A%' OR city IN ('Utuado', 'Maricao'))",
        &["--columns", "zip_code,city", "--sort", "city,zip_code"],
        expected!("zips_mixed"),
    );
    let movies = format!("{DATA}/movies.ndjson");
    session.done(&["import", &movies, "--table", "movies", "--key", "id"]);
    check(
        &session,
        "movies",
        "title LIKE 'The %' AND NOT (major_genre = 'Drama' OR imdb_rating < 7.5)",
        &[
            "--columns",
            "id,title,major_genre,imdb_rating",
            "--sort",
            "-imdb_rating,-id",
            "--limit",
            "20",
        ],
        expected!("movies_nulls"),
    );
    check(
        &session,
        "movies",
        "title IN ('300', '1776', '1941', '21') OR title IS NULL",
        &["--columns", "id,title,us_gross", "--sort", "id"],
        expected!("movies_numbers"),
    );
    check(
        &session,
        "movies",
        "NOT (us_dvd_sales > 1000000 OR running_time_min <= 120)",
        &["--columns", "id,us_dvd_sales,running_time_min", "--sort", "id", "--limit", "50"],
        expected!("movies_unknown"),
    );
}

#[test]
fn columns_are_shown_with_the_reason_of_their_types() {
    let session = Session::new();
    let file = session.file("a.csv", "id,zip,x\n1,501,\n2,00501,2.5\n");
    let said = session.run(&["import", &file, "--table", "t", "--key", "id"]);
    assert!(
        said.err.contains("a.csv: CSV, 2 lines, 28 bytes; new table t, key: id"),
        "{}",
        said.err
    );
    assert!(said.err.contains("zip  text"), "{}", said.err);
    assert!(said.err.contains("not i64: '00501' in line 3 has a leading zero"), "{}", said.err);
    assert!(said.err.contains("x    f64        or null"), "{}", said.err);
    assert!(said.err.contains("committed 2 rows ("), "{}", said.err);
}

#[test]
fn every_line_has_one_outcome() {
    let session = Session::new();
    let file = session.file("a.csv", "id,x\n1,a\n2\n3,\"b\"c\n1,d\n,e\n4,f\n");
    let errors = session.file("bad.ndjson", "");
    let arguments = [
        "import", &file, "--table", "t", "--key", "id", "--errors", &errors, "--report", "json",
        "--batch", "1",
    ];
    let said = session.run(&arguments);
    assert_eq!(said.failure.as_deref(), Some("reported"));
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let count = |name: &str| report[name].as_u64().unwrap_or(0);
    assert_eq!((count("lines"), count("failed"), count("skipped")), (6, 3, 0), "{report}");
    assert_eq!(
        (count("inserted"), count("updated"), count("duplicate_keys")),
        (2, 1, 1),
        "{report}"
    );
    let bad = std::fs::read_to_string(&errors).expect("written");
    let bad: Vec<&str> = bad.lines().collect();
    assert_eq!(bad[0], r#"{"line":3,"reason":"1 fields, where 2 are expected"}"#);
    assert!(bad[1].starts_with(r#"{"line":4,"reason":"field 2 goes on behind"#), "{}", bad[1]);
    assert_eq!(bad[2], r#"{"line":6,"reason":"the column \"id\" cannot be null"}"#);
    // The last of equal keys won, over batches too.
    assert_eq!(session.done(&["query", "t", "--format", "csv"]), "id,x\n1,d\n4,f\n");
}

#[test]
fn stopping_keeps_what_came_before() {
    let session = Session::new();
    let file = session.file("a.csv", "id,x\n1,a\n2,b\n3\n4,d\n");
    let stop =
        ["import", &file, "--table", "t", "--key", "id", "--on-error", "stop", "--report", "json"];
    let said = session.run(&stop);
    assert!(said.failure.is_some());
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!(report["state"], "stopped");
    assert_eq!(
        (&report["inserted"], &report["failed"], &report["skipped"]),
        (&2.into(), &1.into(), &1.into())
    );
    // It is not remembered as done.
    let said = session.run(&["import", &file, "--table", "t"]);
    assert!(said.err.contains("completing it"), "{}", said.err);
    assert_eq!(session.done(&["query", "t", "--format", "csv"]), "id,x\n1,a\n2,b\n4,d\n");
}

#[test]
fn the_same_file_again_changes_nothing() {
    let session = Session::new();
    let file = session.file("a.csv", "id,x\n1,a\n");
    session.done(&["import", &file, "--table", "t", "--key", "id"]);
    let other = session.file("b.csv", "id,x\n1,b\n");
    session.done(&["import", &other, "--table", "t"]);
    let again = session.done(&["import", &file, "--table", "t", "--key", "id"]);
    assert!(again.contains("nothing changed"), "{again}");
    assert_eq!(session.done(&["query", "t", "--format", "csv"]), "id,x\n1,b\n");
    session.done(&["import", &file, "--table", "t", "--force"]);
    assert_eq!(session.done(&["query", "t", "--format", "csv"]), "id,x\n1,a\n");
    // Other settings make other rows of the same content.
    let said = session.run(&["import", &file, "--table", "t", "--null", "a"]);
    assert!(said.failure.is_some() && !said.out.contains("nothing changed"), "{said:?}");
}

#[test]
fn without_a_key_rows_are_numbered_and_the_source_is_remembered() {
    let session = Session::new();
    let first = session.file("a.csv", "row,x\nr1,a\n,b\n");
    let second = session.file("b.csv", "row,x\nr3,c\n");
    session.done(&["import", &first, "--table", "t"]);
    let all = |session: &Session| session.done(&["query", "t", "--format", "csv"]);
    assert_eq!(all(&session), "row_2,row,x\n1,r1,a\n2,,b\n");
    assert!(session.done(&["import", &first, "--table", "t"]).contains("nothing changed"));
    let refused = session.failed(&["import", &second, "--table", "t"]);
    assert!(refused.contains("a.csv") && refused.contains("--append"), "{refused}");
    session.done(&["import", &second, "--table", "t", "--append"]);
    assert_eq!(all(&session), "row_2,row,x\n1,r1,a\n2,,b\n3,r3,c\n");
    assert!(session.done(&["import", &second, "--table", "t", "--append"]).contains("nothing"));
    session.done(&["import", &second, "--table", "t", "--replace"]);
    assert_eq!(all(&session), "row_2,row,x\n1,r3,c\n");
    assert!(session.done(&["import", &second, "--table", "t", "--replace"]).contains("nothing"));
    // The rows that were replaced are no longer known.
    session.done(&["import", &first, "--table", "t", "--append"]);
    assert_eq!(all(&session), "row_2,row,x\n1,r3,c\n2,r1,a\n3,,b\n");
}

#[test]
fn a_table_that_is_there_keeps_its_types() {
    let session = Session::new();
    let first = session.file("a.csv", "id,x,y\n00501,1,\n");
    session.done(&["import", &first, "--table", "t", "--key", "id"]);
    let second = session.file("b.csv", "X,ID\n2,7\n2.5,8\n");
    let said = session.run(&["import", &second, "--table", "t"]);
    assert!(said.err.contains("line 3: column x: '2.5' is not an integer"), "{}", said.err);
    assert_eq!(session.done(&["query", "t", "--format", "csv"]), "id,x,y\n00501,1,\n7,2,\n");
    let third = session.file("c.csv", "id,x,z,w\n1,1,1,1\n");
    let missing = session.failed(&["import", &third, "--table", "t"]);
    assert_eq!(missing, "the table t has no column z, w; it has id, x, y");
    let fourth = session.file("d.csv", "x\n1\n");
    let keyless = session.failed(&["import", &fourth, "--table", "t"]);
    assert_eq!(keyless, "the key of the table t is (id), which the file does not have");
    let retyped = session.failed(&["import", &first, "--table", "t", "--columns", "x:f64"]);
    assert!(retyped.contains("is i64, and stays so"), "{retyped}");
    let rekeyed = session.failed(&["import", &first, "--table", "t", "--key", "x"]);
    assert!(rekeyed.contains("the key of the table t is (id)"), "{rekeyed}");
}

#[test]
fn what_is_exported_comes_back() {
    let session = Session::new();
    let types =
        "id:i64,b:bool,f:f64,d:decimal(10,2),t:text,raw:bytes,at:timestamp,day:date,u:uuid,j:json";
    let file = session.file(
        "a.csv",
        "id,b,f,d,t,raw,at,day,u,j\n\
         1,true,-Infinity,12.50,\"\",AP8=,2024-02-29T12:30:00Z,2024-02-29,0190a6f2-7c1e-7d3a-9b1f-00ff00ff00ff,\"{\"\"a\"\":[1.50]}\"\n\
         2,,,,,,,,,\n\
         3,false,1e300,-0.05,\"NULL\nA,\"\"b\",\"\",0001-01-01,9999-12-31,ffffffff-ffff-ffff-ffff-ffffffffffff,\"[]\"\n",
    );
    session.done(&["import", &file, "--table", "t", "--key", "id", "--columns", types]);
    let all = session.done(&["export", "t"]);
    for format in ["csv", "ndjson"] {
        let path = session.directory.path().join(format!("out.{format}"));
        let path = path.to_str().expect("UTF-8");
        session.done(&["export", "t", "-o", path]);
        assert!(session.failed(&["export", "t", "-o", path]).contains("--force replaces it"));
        let copy = format!("copy_{format}");
        session.done(&["import", path, "--table", &copy, "--key", "id", "--columns", types]);
        assert_eq!(session.done(&["export", &copy]), all, "{format}");
    }
    assert!(all.contains("\n2,,,,,,,,,\n"), "{all}");
    assert!(all.contains(",-Infinity,12.50,\"\",AP8=,2024-02-29T12:30:00.000000Z,"), "{all}");
}

#[test]
fn pages_follow_one_another() {
    let session = Session::new();
    let lines: Vec<String> = (1..=120).map(|id| format!("{id},{}", id % 7)).collect();
    let file = session.file("a.csv", &format!("id,x\n{}", lines.join("\n")));
    session.done(&["import", &file, "--table", "t", "--key", "id"]);
    let first = session.run(&["query", "t", "--sort", "-x"]);
    assert_eq!(first.out.lines().count(), 2 + 50);
    assert!(first.err.starts_with("50 rows, and there are more\n"), "{}", first.err);
    let token = first.err.lines().last().expect("a line").split(' ').next_back().expect("a token");
    let second =
        session.done(&["query", "t", "--sort", "-x", "--cursor", token, "--format", "csv"]);
    assert_eq!(second.lines().count(), 1 + 70);
    let wrong = session.failed(&["query", "t", "--cursor", token]);
    assert!(wrong.contains("another filter or sort"), "{wrong}");
    let damaged = session.failed(&["query", "t", "--cursor", "'; DROP TABLE t"]);
    assert!(damaged.contains("it is damaged"), "{damaged}");
    // Without a limit all rows are streamed.
    assert_eq!(session.done(&["query", "t", "--format", "ndjson"]).lines().count(), 120);
}

#[test]
fn what_is_wrong_with_a_filter_is_pointed_at() {
    let session = Session::new();
    let file = session.file("a.csv", "id,population\n1,5\n");
    session.done(&["import", &file, "--table", "t", "--key", "id"]);
    let unknown = session.failed(&["query", "t", "popluation > 4"]);
    assert!(unknown.contains("did you mean \"population\"?"), "{unknown}");
    assert!(unknown.ends_with("\n  | popluation > 4\n  | ^^^^^^^^^^"), "{unknown}");
    for filter in [
        "1=1; DROP TABLE t",
        "id = (SELECT 1)",
        "id = 1 --",
        "id = 1 /* x */",
        "load_extension('x')",
        "",
    ] {
        let failure = session.failed(&["query", "t", filter]);
        assert!(!failure.is_empty(), "{filter}");
    }
    assert!(session.failed(&["query", "t\"; DROP TABLE t"]).contains("there is no table"));
    let param = ["query", "t", "population >= :least", "--param", "least=5", "--format", "csv"];
    assert_eq!(session.done(&param), "id,population\n1,5\n");
}

#[test]
fn what_memory_claims_holds() {
    let session = Session::new();
    let airports = format!("{DATA}/airports.csv");
    session.done(&["import", &airports, "--table", "airports", "--key", "iata"]);
    let said = session.run(&["check", "--format", "ndjson"]);
    assert_eq!(said.failure, None, "{}", said.out);
    for claim in [
        r#"{"subject":"store","claim":"atomic_writes","claimed":"true","found":"true","verdict":"holds""#,
        r#"{"subject":"store","claim":"rows_max","claimed":"10000","found":"10000","verdict":"holds""#,
        r#"{"subject":"airports","claim":"filters","claimed":""#,
        r#"{"subject":"airports","claim":"keyset","claimed":"true","found":"true","verdict":"holds""#,
    ] {
        assert!(said.out.contains(claim), "{claim}\n{}", said.out);
    }
    assert!(said.err.contains(" 0 are false"), "{}", said.err);
}
