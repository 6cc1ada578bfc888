//! An import that is killed at any moment: the database opens, no batch is half applied, what was
//! said to be committed is there, and the same import again completes it.
//!
//! `SORA_KILLS=50 cargo test -p sora-cli --test it killed` kills at 50 moments instead of 5.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::program::{DATA, Program};

const BATCH: i64 = 500;
const ROWS: i64 = 42_049;

#[test]
fn an_import_that_is_killed_is_completed_by_the_next() {
    let kills: u32 =
        std::env::var("SORA_KILLS").map_or(5, |kills| kills.parse().expect("a number"));
    // A linear congruential generator (Knuth, MMIX): the same moments in every run.
    let mut state = 11u64;
    for _ in 0..kills {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let batches = i64::try_from(state >> 33).expect("31 bits") % (ROWS / BATCH);
        let (spins, has_key) = ((state >> 20) % 200_000, (state >> 60).is_multiple_of(2));
        for program in Program::on_each() {
            kill_after(&program, batches, spins, has_key);
        }
    }
}

/// Kills after so many batches were said to be committed, and some more work of this process.
fn kill_after(program: &Program, batches: i64, spins: u64, has_key: bool) {
    let path = format!("{DATA}/zipcodes.csv");
    let batch = BATCH.to_string();
    let mut arguments = vec!["import", &path, "--table", "zips", "--batch", &batch];
    if has_key {
        arguments.extend(["--key", "zip_code"]);
    }
    let mut child = program
        .command(&arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let mut committed = 0;
    let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    for _ in 0..batches {
        let committed_in =
            |line: &str| line.strip_prefix("committed ")?.split(' ').next()?.parse().ok();
        match lines.by_ref().map(|line| line.expect("a line")).find_map(|line| committed_in(&line))
        {
            Some(rows) => committed = rows,
            None => break,
        }
    }
    for spin in 0..spins {
        std::hint::black_box(spin);
    }
    child.kill().expect("killed");
    child.wait().expect("ended");

    if !program.is_postgres() {
        let integrity = "PRAGMA integrity_check";
        let integrity: String =
            program.sqlite().query_row(integrity, [], |row| row.get(0)).expect("it opens");
        assert_eq!(integrity, "ok");
    }
    // The table may not have been made yet.
    let rows = count(program).unwrap_or(0);
    assert!(rows >= committed, "{rows} rows, of {committed} that were acknowledged");
    assert!(rows % BATCH == 0 || rows == ROWS, "{rows} rows: a batch was half applied");

    let out = program.done(&arguments);
    assert_eq!(count(program), Some(ROWS), "{out}");
    assert!(program.done(&arguments).contains("nothing changed"));
}

/// The rows of the table, if it is there.
fn count(program: &Program) -> Option<i64> {
    let run = program.run(&["export", "zips"]);
    let lines = run.out.lines().count();
    (run.code == Some(0)).then(|| i64::try_from(lines).expect("few") - 1)
}
