//! For each line of the contract a provider that breaks just that line: the suite names it.

mod company;
mod lies;
mod provider;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use company::CompanyLie;
use lies::lies;
use provider::{Liar, Lie, SessionLie};

#[test]
fn each_lie_is_named_by_its_line() {
    let lies = lies();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(lie) = lies.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = run(sora_conformance::suite(|| async { Liar::new(*lie) }));
            if report.failed() != [lie.line] {
                wrong.push(format!("{}\n  expected {}\n{report}", lie.name, lie.line));
            }
        }
        wrong
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("it ran")).collect()
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_line_has_a_liar() {
    let broken: BTreeSet<&str> = lies().iter().map(|lie| lie.line).collect();
    let lines: BTreeSet<&str> = sora_conformance::lines().collect();
    assert_eq!(broken, lines);
}

#[test]
fn a_liar_without_a_lie_is_green() {
    let make = || async { Liar::new(Lie::NONE) };
    run(sora_conformance::suite(make)).expect_green();
    run(sora_conformance::differential(make, 1, 1_000)).expect_equal();
    run(sora_conformance::history(make, 1, 1_000)).expect_equal();
}

/// The lines about sessions at the same time are not broken by whoever has such.
#[test]
fn a_liar_without_a_lie_is_green_in_company() {
    let lie = Lie {
        capability: |capability| capability.writer_wait_ms = None,
        session: SessionLie::InCompany(CompanyLie::None),
        ..Lie::NONE
    };
    let report = run(sora_conformance::suite(|| async { Liar::new(lie) }));
    report.expect_green();
    assert_eq!(report.skipped(), ["inexact filters leave out no row that belongs"]);
}

/// What is wrong with a filter or a sort, random questions find too.
#[test]
fn random_questions_find_false_claims() {
    let about =
        ["exact filters", "exact comb", "exact pat", "an exact ", "a keyset read", "a count"];
    // What is done without a claim gives no wrong row; the mean of a few random digits is near.
    let is_claimed = |lie: &Lie| {
        !lie.name.starts_with("does not claim") && lie.name != "rounds means to 15 digits"
    };
    let is_meant =
        |lie: &&Lie| is_claimed(lie) && about.iter().any(|line| lie.line.starts_with(line));
    let lies = lies();
    let mut asked = 0;
    for lie in lies.iter().filter(is_meant) {
        asked += 1;
        let found = run(sora_conformance::differential(|| async { Liar::new(*lie) }, 1, 30_000));
        assert!(!found.is_equal(), "{}: {found}", lie.name);
    }
    assert!(asked > 20);
}

/// What is wrong with a write or a transaction, random writes find too.
#[test]
fn random_writes_find_false_reports() {
    let about = [
        "an ignored conflict",
        "an upsert goes by",
        "an upsert that meets",
        "a row that comes twice",
        "a patch sets and adds",
        "a sum that",
        "a stale version",
        "every change counts",
        "a write reports",
        "outcomes stand",
        "a write counts",
        "a missing row",
        "an atomic write is",
        "returned rows",
        "a session sees",
        "a commit",
        "a rollback",
        "a dropped session",
    ];
    // These two are told by their table, and by what is refused.
    let is_found = |lie: &Lie| {
        !lie.name.starts_with("does not")
            && !lie.name.ends_with("row by row")
            && !lie.name.ends_with("of a change by filter")
    };
    let is_meant =
        |lie: &&Lie| is_found(lie) && about.iter().any(|line| lie.line.starts_with(line));
    for lie in lies().iter().filter(is_meant) {
        let found = run(sora_conformance::history(|| async { Liar::new(*lie) }, 1, 3_000));
        assert!(!found.is_equal(), "{}: {found}", lie.name);
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(future)
}
