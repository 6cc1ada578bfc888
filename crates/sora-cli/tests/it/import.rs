//! `sora import`, on SQLite and PostgreSQL.

use std::fmt::Write as _;

use crate::program::{DATA, Program};

fn report(out: &str) -> serde_json::Value {
    serde_json::from_str(out).expect("JSON")
}

#[test]
fn one_value_at_line_fifty_thousand_makes_a_column_text() {
    for program in Program::on_each() {
        let mut text = "id,zip\n".to_owned();
        for line in 2..=60_000 {
            let zip = if line == 50_000 { "00501" } else { "10001" };
            writeln!(text, "{line},{zip}").expect("written");
        }
        program.file("a.csv", text);
        let run = program.run(&["import", "a.csv", "--table", "t", "--key", "id"]);
        assert!(
            run.err.contains("not i64: '00501' in line 50000 has a leading zero"),
            "{}",
            run.err
        );
        let rows = program.done(&["query", "t", "zip = '00501'", "--format", "csv"]);
        assert_eq!(rows, "id,zip\n50000,00501\n");
    }
}

#[test]
fn a_key_that_comes_again_in_another_batch_has_its_last_row() {
    for program in Program::on_each() {
        let lines: Vec<String> = (0..500).map(|line| format!("{},{line}", line % 200)).collect();
        program.file("a.csv", format!("id,line\n{}", lines.join("\n")));
        let arguments =
            ["import", "a.csv", "--table", "t", "--key", "id", "--batch", "64", "--report", "json"];
        let report = report(&program.done(&arguments));
        assert_eq!((&report["inserted"], &report["updated"]), (&200.into(), &300.into()));
        assert_eq!(report["duplicate_keys"], 300);
        let rows = program.done(&["query", "t", "id IN (0, 99, 100, 199)", "--format", "csv"]);
        assert_eq!(rows, "id,line\n0,400\n99,499\n100,300\n199,399\n");
    }
}

#[test]
fn bad_lines_are_reported_and_the_rest_is_imported() {
    for program in Program::on_each() {
        let lines: String = (0..100)
            .map(|line| if line % 4 == 3 { format!("{line}\n") } else { format!("{line},x\n") })
            .collect();
        program.file("a.csv", format!("id,x\n{lines}"));
        let run =
            program.run(&["import", "a.csv", "--table", "t", "--key", "id", "--errors", "bad"]);
        assert_eq!(run.code, Some(1));
        assert!(run.out.contains("\n  failed                 25\n"), "{}", run.out);
        assert!(run.err.contains("line 5: 1 fields, where 2 are expected\n"), "{}", run.err);
        let shown = run.err.lines().filter(|line| line.starts_with("line ")).count();
        assert_eq!(shown, 20);
        assert!(run.err.contains("more bad lines follow in bad"), "{}", run.err);
        let bad = program.read("bad");
        assert_eq!(bad.lines().count(), 25);
        assert!(
            bad.ends_with("{\"line\":101,\"reason\":\"1 fields, where 2 are expected\"}\n"),
            "{bad}"
        );
        // What failed is not forgotten the next time.
        let again = program.run(&["import", "a.csv", "--table", "t"]);
        assert_eq!(again.code, Some(1));
        assert!(
            again.out.contains("nothing changed; 25 lines could not be imported"),
            "{}",
            again.out
        );
    }
}

#[test]
fn a_row_that_the_store_refuses_fails_alone_or_stops() {
    for program in Program::on_each() {
        program
            .execute("CREATE TABLE t (id INTEGER PRIMARY KEY, x INTEGER NOT NULL CHECK (x < 10))");
        program.file("a.csv", "id,x\n1,1\n2,20\n3,3\n");
        let run = program.run(&["import", "a.csv", "--table", "t", "--report", "json"]);
        assert_eq!(run.code, Some(1));
        assert!(run.err.contains("line 3: "), "{}", run.err);
        assert_eq!(report(&run.out)["failed"], 1);
        assert_eq!(program.done(&["query", "t", "--format", "csv"]), "id,x\n1,1\n3,3\n");
        program.file("b.csv", "id,x\n4,4\n5,50\n6,6\n");
        let stop = ["import", "b.csv", "--table", "t", "--on-error", "stop", "--report", "json"];
        let run = program.run(&stop);
        let report = report(&run.out);
        assert_eq!((run.code, &report["state"]), (Some(1), &"stopped".into()));
        let sum = ["inserted", "updated", "upserted", "failed", "skipped"];
        let sum: u64 = sum.iter().filter_map(|name| report[name].as_u64()).sum();
        assert_eq!((sum, &report["failed"], &report["skipped"]), (3, &1.into(), &2.into()));
        assert_eq!(program.done(&["query", "t", "--format", "csv"]), "id,x\n1,1\n3,3\n");
    }
}

#[test]
fn standard_input_is_read_whole_first() {
    let program = Program::new();
    let run = program.run_with("id,x\n1,5\n2,a\n", &["import", "-", "--table", "t", "--key", "id"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert!(run.err.contains("x   text                not i64: 'a' in line 3"), "{}", run.err);
    let run = program
        .run_with("{\"id\":3,\"x\":true}\n{\"id\":4,\"x\":7}", &["import", "-", "--table", "t"]);
    assert_eq!(run.code, Some(0), "{}", run.err);
    assert_eq!(program.done(&["query", "t", "--format", "csv"]).lines().count(), 5);
}

#[test]
fn a_line_of_ndjson_that_lacks_a_needed_value_fails() {
    for program in Program::on_each() {
        program.file("a.ndjson", "{\"id\":1,\"x\":\"a\"}\n");
        program.done(&["import", "a.ndjson", "--table", "t", "--key", "id"]);
        program.file("b.ndjson", "{\"id\":2}\n{\"id\":3,\"x\":\"b\"}\n");
        let err = program.fails(1, &["import", "b.ndjson", "--table", "t"]);
        assert!(err.contains("line 1: the column \"x\" cannot be null"), "{err}");
    }
}

#[test]
fn mixed_and_nested_json_comes_back_as_it_was() {
    for program in Program::on_each() {
        let lines = "{\"id\":1,\"mixed\":\"a\",\"deep\":{\"b\":[1.50,null]},\"f\":1}\n\
                     {\"id\":2,\"mixed\":300,\"deep\":null,\"f\":2.5}\n\
                     {\"id\":3,\"mixed\":true,\"deep\":[],\"f\":null}\n";
        program.file("a.ndjson", lines);
        program.done(&["import", "a.ndjson", "--table", "t", "--key", "id"]);
        assert_eq!(
            program.done(&["export", "t", "--format", "ndjson"]),
            "{\"id\":1,\"mixed\":\"a\",\"deep\":{\"b\":[1.50,null]},\"f\":1.0}\n\
             {\"id\":2,\"mixed\":\"300\",\"deep\":null,\"f\":2.5}\n\
             {\"id\":3,\"mixed\":\"true\",\"deep\":[],\"f\":null}\n"
        );
    }
}

#[test]
fn the_whole_of_the_real_data_comes_back() {
    for program in Program::on_each() {
        for (file, table, key) in
            [("zipcodes.csv", "zips", "zip_code"), ("airports.csv", "airports", "iata")]
        {
            let path = format!("{DATA}/{file}");
            program.done(&["import", &path, "--table", table, "--key", key]);
            let exported = program.done(&["export", table]);
            let original = std::fs::read_to_string(&path).expect("a file");
            // The files are sorted by their keys already; numbers lose their trailing zeros.
            assert_eq!(exported.lines().count(), original.lines().count());
            program.file("copy.csv", &exported);
            program.done(&["import", "copy.csv", "--table", "copy", "--key", key]);
            assert_eq!(program.done(&["export", "copy"]), exported);
            program.execute("DROP TABLE copy");
        }
    }
}

#[test]
fn a_table_that_was_dropped_is_imported_anew() {
    for program in Program::on_each() {
        program.file("a.csv", "id\n1\n");
        program.done(&["import", "a.csv", "--table", "t", "--key", "id"]);
        program.execute("DROP TABLE t");
        program.done(&["import", "a.csv", "--table", "t", "--key", "id"]);
        assert_eq!(program.done(&["query", "t", "--format", "csv"]), "id\n1\n");
    }
}

#[test]
fn names_are_never_read_as_sql() {
    for program in Program::on_each() {
        let column = "a\"); DROP TABLE t; --";
        program.file(
            "x'; DROP TABLE t; --.csv",
            format!("id,\"{}\"\n1,2\n", column.replace('"', "\"\"")),
        );
        let table = "t\"; DROP TABLE t; --";
        program.done(&["import", "x'; DROP TABLE t; --.csv", "--table", table, "--key", "id"]);
        let rows = program.done(&["query", table, "--format", "ndjson"]);
        assert_eq!(rows, "{\"id\":1,\"a\\\"); DROP TABLE t; --\":2}\n");
        let filter = format!("\"{}\" = 2", column.replace('"', "\"\""));
        assert_eq!(program.done(&["query", table, &filter, "--format", "ndjson"]), rows);
        assert!(
            program
                .fails(2, &["import", "x'; DROP TABLE t; --.csv", "--table", ""])
                .contains("cannot name")
        );
        let long = "x".repeat(64);
        assert!(program.fails(2, &["query", &long]).contains("1 to 63 bytes"));
    }
}

#[test]
fn wrong_files_are_named() {
    let program = Program::new();
    let unreachable = ["import", "missing.csv", "--table", "t", "--store", "sqlite:no/such/t.db"];
    let err = program.fails(1, &unreachable);
    assert!(err.contains("missing.csv: cannot be opened"), "no store is needed for it: {err}");
    program.file("empty.csv", "");
    program.file("twice.csv", "a,a\n1,2\n");
    program.file("semicolon.csv", "a;b\n1;2\n");
    program.file("utf16.csv", b"\xff\xfea\0");
    program.file("array.json", "[{\"a\":1}]\n");
    for (file, expected) in [
        ("missing.csv", "missing.csv: cannot be opened from "),
        ("missing.csv", "No such file or directory (os error 2); check the path, or give `-`"),
        (".", ".: is a directory"),
        ("empty.csv", "empty.csv: the header line cannot be used: the file is empty"),
        ("twice.csv", "two columns are named \"a\""),
        ("semicolon.csv", "perhaps `--delimiter ';'` is missing"),
        ("utf16.csv", "UTF-16"),
        ("array.json", "the file has no record"),
    ] {
        let err = program.fails(1, &["import", file, "--table", "t"]);
        assert!(err.starts_with("error: ") && err.contains(expected), "{file}: {err}");
    }
    assert!(!program.has("t"));
    program.done(&["import", "semicolon.csv", "--table", "t", "--delimiter", ";"]);
}
