//! `sora query`, `export`, `check`, `demo` and the command line.

use std::io::Read as _;
use std::process::Stdio;

use crate::program::{DATA, Program};

fn zips() -> Program {
    with_zips(Program::new())
}

fn with_zips(program: Program) -> Program {
    let path = format!("{DATA}/zipcodes.csv");
    program.done(&["import", &path, "--table", "zips", "--key", "zip_code"]);
    program
}

#[test]
fn real_data_is_queried_as_by_sqlite() {
    Program::on_each().map(with_zips).iter().for_each(queries);
}

fn queries(program: &Program) {
    let path = format!("{DATA}/movies.ndjson");
    program.done(&["import", &path, "--table", "movies", "--key", "id"]);
    let check = |table: &str, filter: &str, options: &[&str], expected: &str| {
        let mut arguments = vec!["query", table, filter, "--format", "json"];
        arguments.extend(options);
        assert_eq!(program.done(&arguments), expected, "{filter}");
    };
    check(
        "zips",
        "state = 'NY' AND latitude > 44.5",
        &["--sort", "-latitude,zip_code", "--limit", "5"],
        include_str!("expected/zips_ny.json"),
    );
    check(
        "zips",
        "zip_code < '00700' AND NOT (city LIKE 'A%' OR city IN ('Utuado', 'Maricao'))",
        &["--columns", "zip_code,city", "--sort", "city,zip_code"],
        include_str!("expected/zips_mixed.json"),
    );
    check(
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
        include_str!("expected/movies_nulls.json"),
    );
    check(
        "movies",
        "title IN ('300', '1776', '1941', '21') OR title IS NULL",
        &["--columns", "id,title,us_gross", "--sort", "id"],
        include_str!("expected/movies_numbers.json"),
    );
    check(
        "movies",
        "NOT (us_dvd_sales > 1000000 OR running_time_min <= 120)",
        &["--columns", "id,us_dvd_sales,running_time_min", "--sort", "id", "--limit", "50"],
        include_str!("expected/movies_unknown.json"),
    );
}

#[test]
fn results_and_everything_else_keep_apart() {
    Program::on_each().map(with_zips).iter().for_each(keeps_apart);
}

fn keeps_apart(program: &Program) {
    let run = program.run(&["query", "zips", "state = 'NY'", "--limit", "2", "--format", "json"]);
    let rows: serde_json::Value = serde_json::from_str(&run.out).expect("JSON and nothing else");
    assert_eq!(rows.as_array().map(Vec::len), Some(2));
    assert!(run.err.starts_with("next page: --cursor "), "{}", run.err);
    let plan = program.done(&["query", "zips", "state = 'NY'", "--explain", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&plan).expect("JSON");
    assert_eq!(plan["pushed_down"][0], "state = 'NY'");
    let text = program.done(&["query", "zips", "state = 'NY'", "--explain"]);
    assert!(text.contains("pushed down: state = 'NY'") && text.contains("index: "), "{text}");
    let run = program.run(&["import", "-", "--table", "x", "--report", "json"]);
    assert_eq!((run.code, &*run.out), (Some(1), ""));
}

#[test]
fn a_reader_that_goes_away_is_a_success() {
    Program::on_each().map(with_zips).iter().for_each(reader_goes_away);
}

fn reader_goes_away(program: &Program) {
    for arguments in [&["export", "zips"][..], &["query", "zips", "--format", "ndjson"]] {
        let mut command = program.command(arguments);
        let mut child =
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        let mut stdout = child.stdout.take().expect("piped");
        let mut start = [0; 100];
        stdout.read_exact(&mut start).expect("a start");
        drop(stdout);
        let output = child.wait_with_output().expect("ends");
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*err), (Some(0), ""), "{arguments:?}");
    }
}

#[test]
fn wrong_usage_and_failures_have_their_codes() {
    let program = zips();
    let err = program.fails(2, &["query", "zips", "lattitude > 44.5"]);
    let caret = "\n  | lattitude > 44.5\n  | ^^^^^^^^^\n";
    assert!(err.contains("did you mean \"latitude\"?") && err.ends_with(caret), "{err}");
    for arguments in [
        &["query", "zips", "state = 'NY'; DROP TABLE zips"][..],
        &["query", "zips", "state = (SELECT 1)"],
        &["query", "zips", "--sort", "nowhere"],
        &["query", "zips", "--columns", "a,,b"],
        &["query", "zips", "--cursor", "AAAA"],
        &["query", "zips", "--cursor", "x' OR 1=1"],
        &["query", "zips", "state = :state"],
        &["query", "zips", "--param", "state=NY"],
        &["query", "zips", "--store", "nowhere:"],
        &["import", "x", "--table", "t", "--batch", "0"],
        &["import", "x", "--table", "t", "--append", "--replace"],
        &["nonsense"],
        &[],
    ] {
        program.fails(2, arguments);
    }
    let err = program.fails(1, &["query", "zipz"]);
    assert!(err.contains("did you mean \"zips\"?"), "{err}");
    program.fails(1, &["query", "zips", "--store", "sqlite:missing.db"]);
    assert!(!program.has("missing.db"));
    let err = program.fails(2, &["query", "zips", "--store", "mysql://ann:secret@host/db"]);
    assert!(err.contains("`mysql` are not supported") && !err.contains("secret"), "{err}");
}

#[test]
fn a_page_follows_another_over_runs() {
    Program::on_each().map(with_zips).iter().for_each(pages);
}

fn pages(program: &Program) {
    let filter = "state = 'NY'";
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let mut arguments =
            vec!["query", "zips", filter, "--sort", "city", "--limit", "900", "--format", "csv"];
        if let Some(cursor) = &cursor {
            arguments.extend(["--cursor", cursor]);
        }
        let run = program.run(&arguments);
        assert_eq!(run.code, Some(0), "{}", run.err);
        seen.extend(run.out.lines().skip(1).map(str::to_owned));
        match run.err.trim().strip_prefix("next page: --cursor ") {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    let all = program.done(&["export", "zips", filter, "--sort", "city"]);
    assert_eq!(seen, all.lines().skip(1).collect::<Vec<_>>());
    assert_eq!(seen.len(), 2_232);
}

#[test]
fn an_export_is_whole_or_not_there() {
    let program = zips();
    program.done(&["export", "zips", "state = 'RI'", "-o", "ri.ndjson"]);
    let first = program.read("ri.ndjson");
    assert!(first.starts_with("{\"zip_code\":\"02801\""), "{first}");
    program.fails(1, &["export", "zips", "-o", "ri.ndjson"]);
    assert_eq!(program.read("ri.ndjson"), first);
    program.done(&["export", "zips", "-o", "ri.ndjson", "--force", "--format", "csv"]);
    assert!(program.read("ri.ndjson").starts_with("zip_code,latitude"));
    program.fails(2, &["export", "zips", "nothing = 1", "-o", "never.csv"]);
    program.fails(1, &["export", "zips", "-o", "nowhere/out.csv"]);
    assert!(!program.has("never.csv"));
    let names = std::fs::read_dir(program.path(".")).expect("a directory");
    let names: Vec<_> = names.map(|entry| entry.expect("an entry").file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().starts_with(".sora-")), "{names:?}");
}

#[test]
fn claims_are_checked_and_nothing_is_left() {
    let program = Program::new();
    program.file("a.csv", "id,x,y\n1,a,\n2,b,2.5\n3,,-1\n");
    program.done(&["import", "a.csv", "--table", "t", "--key", "id"]);
    let before = std::fs::read(program.path("s.db")).expect("a file");
    let run = program.run(&["check", "--format", "ndjson"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    assert!(run.out.contains(r#"{"subject":"store","claim":"read_only","claimed":"true""#));
    assert!(run.out.contains(r#"{"subject":"t","claim":"filters""#), "{}", run.out);
    assert_eq!(std::fs::read(program.path("s.db")).expect("a file"), before);
    let run = program.run(&["check", "--write"]);
    assert_eq!(run.code, Some(0), "{}{}", run.out, run.err);
    let rows: i64 = program
        .sqlite()
        .query_row("SELECT count(*) FROM _sora_check", [], |row| row.get(0))
        .expect("the table of the probes");
    assert_eq!(rows, 0);
}

#[test]
fn the_demo_shares_a_cache_between_two_nodes() {
    let redis = sora_testbed::Redis::shared().expect("a server");
    let program = Program::new();
    let shown = program.done(&["demo", "--cache", &redis.url()]);
    let numbers = |name: &str| -> Vec<u64> {
        let line = shown.lines().find(|line| line.trim_start().starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} is not in {shown}"));
        let words = line.split_whitespace().skip(2).take(3);
        words.map(|word| word.replace(',', "").parse().expect("a number")).collect()
    };
    let [one, other] = ["node A", "node B"].map(numbers);
    assert_eq!((one[1], one.iter().sum::<u64>(), other.iter().sum::<u64>()), (0, 20_000, 20_000));
    // Redis may be late on a busy machine, which fails nobody.
    assert!(other[1] > 900 && one[2] > 18_000, "what the first has loaded: {shown}");
    assert!(shown.contains("node B reads 41.92"), "{shown}");
}

#[test]
fn the_demo_refuses_a_cache_that_cannot_be_used_before_it_does_anything() {
    let program = Program::new();
    for (url, code, said) in [
        // Nobody listens there.
        ("redis://:secret@127.0.0.1:1", 1, "the cache of --cache cannot be used"),
        ("http://:secret@host", 2, "the address of Redis is malformed"),
    ] {
        let error = program.fails(code, &["demo", "--cache", url]);
        assert!(error.contains(said) && !error.contains("secret"), "{error}");
    }
}

#[test]
fn the_demo_ends_and_leaves_nothing() {
    let program = Program::new();
    let run = program.command(&["demo", "--exit"]).env("TMPDIR", program.path(".")).output();
    let run = crate::program::Run::from(run.expect("runs"));
    assert_eq!(run.code, Some(0), "{}", run.err);
    for part in [
        "zipcodes.csv   42,049    42,049",
        "zips.zip_code is text: not i64: '00501' in line 2 has a leading zero",
        "movies.title is text: '1776' in line 22 is not a string, and kept as one",
        "pushed down: state = 'NY'",
        "after: index zips_state_latitude_idx",
        "42,049 rows in ",
        "20,000 reads in ",
        "The slowest single call was ",
    ] {
        assert!(run.out.contains(part), "{part}\n{}", run.out);
    }
    assert!(!run.out.contains('\u{1b}'));
    let left = std::fs::read_dir(program.path(".")).expect("a directory").count();
    assert_eq!(left, 0);
    program.done(&["demo", "--keep", "kept"]);
    let rows = program.done(&["query", "zips", "--store", "sqlite:kept/demo.db", "--limit", "1"]);
    assert!(rows.contains("00501"), "{rows}");
    assert!(program.fails(1, &["demo", "--keep", "kept"]).contains("choose another directory"));
}

#[test]
fn help_has_examples() {
    let program = Program::new();
    let version = program.done(&["--version"]);
    assert_eq!(version, concat!("sora ", env!("CARGO_PKG_VERSION"), "\n"));
    for command in ["import", "query", "export", "check", "demo"] {
        let help = program.done(&[command, "--help"]);
        assert!(help.contains("Examples:\n  sora "), "{help}");
    }
    // An address may hold a password.
    let run = program.command(&["query", "--help"]).env("SORA_STORE", "sqlite:secret").output();
    let run = crate::program::Run::from(run.expect("runs"));
    assert!(!run.out.contains("secret"), "{}", run.out);
}
