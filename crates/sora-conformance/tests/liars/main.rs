//! For each line of the contract a provider that breaks just that line: the suite names it.

mod lies;
mod provider;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use lies::lies;
use provider::{Liar, Lie, now};

#[test]
fn each_lie_is_named_by_its_line() {
    let lies = lies();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut wrong = Vec::new();
        while let Some(lie) = lies.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = now(sora_conformance::suite(|| async { Liar::new(*lie) }));
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
    now(sora_conformance::suite(|| async { Liar::new(Lie::NONE) })).expect_green();
}
