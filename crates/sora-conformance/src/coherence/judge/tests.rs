use super::*;
use crate::coherence::Tier;
use crate::random::Random;

/// Bounds in milliseconds, as the tests' times are.
const BOUNDS: Bounds = Bounds { own_ms: 0, others_ms: 10, back_ms: 0 };

/// Reads steps as `session@node op version start-end`; `…` is no end.
fn steps(text: &str) -> Vec<Step> {
    let step = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [who, op, version, time] = words[..] else { panic!("{line}") };
        let (session, node) = who.split_once('@').expect("a session and a node");
        let (start, end) = time.split_once('-').expect("a start and an end");
        let number = |text: &str| text.parse::<u64>().ok();
        let ms = |text: &str| number(text).map(|ms| ms * 1_000_000);
        Step {
            session: number(session).expect("a session"),
            node: number(node).expect("a node"),
            op: match op {
                "write" => Op::Write,
                "delete" => Op::Delete,
                _ => Op::Read,
            },
            key: "k".into(),
            version: number(version).expect("a version"),
            start_ns: ms(start).expect("a start"),
            end_ns: ms(end),
            tier: None,
        }
    };
    text.split(',').map(step).collect()
}

fn check(text: &str, expected: &[(usize, Rule)]) {
    check_within(BOUNDS, text, expected);
}

fn check_within(bounds: Bounds, text: &str, expected: &[(usize, Rule)]) {
    let verdict = judge(&steps(text), bounds);
    let found: Vec<_> =
        verdict.findings.iter().map(|finding| (finding.line, finding.rule)).collect();
    assert_eq!(found, expected, "{text}\n{verdict}");
}

#[test]
fn each_rule_is_broken_by_one_step_and_kept_by_the_next_to_it() {
    for (kept, broken, rule) in [
        // A version twice, and one that shrinks; at once they may come in any order.
        ("1@1 write 1 0-2, 1@1 write 2 3-4", "1@1 write 1 0-2, 1@1 write 1 3-4", Rule::Order),
        ("1@1 write 2 0-2, 2@1 write 1 2-4", "1@1 write 2 0-2, 2@1 write 1 3-4", Rule::Order),
        ("1@1 write 1 0-2", "1@1 write 0 0-2", Rule::Order),
        // Never written, or not yet.
        ("1@1 write 1 0-2, 2@2 read 1 1-3", "1@1 write 1 0-2, 2@2 read 2 1-3", Rule::Unwritten),
        ("1@1 write 1 5-9, 2@2 read 1 3-5", "1@1 write 1 5-9, 2@2 read 1 3-4", Rule::Unwritten),
        // A session that has read the newer one while it was written.
        (
            "1@1 write 1 0-1, 1@1 write 2 2-90, 2@2 read 2 3-5, 2@2 read 1 5-6",
            "1@1 write 1 0-1, 1@1 write 2 2-90, 2@2 read 2 3-5, 2@2 read 1 6-7",
            Rule::Monotone,
        ),
        // Another session of the node.
        (
            "1@1 write 1 0-1, 1@1 write 2 2-90, 2@2 read 2 3-5, 3@2 read 1 6-7",
            "1@1 write 1 0-1, 1@1 write 2 2-4, 2@2 read 2 3-5, 3@2 read 1 6-7",
            Rule::StaleFill,
        ),
        // Another node.
        (
            "1@1 write 1 0-1, 1@1 write 2 2-4, 2@2 read 2 3-5, 3@3 read 1 6-7",
            "1@1 write 1 0-1, 1@1 write 2 2-4, 2@3 read 2 3-5, 3@3 read 1 6-7",
            Rule::StaleFill,
        ),
        // The node's own writes at once, those of others within the bound.
        (
            "1@1 write 1 0-1, 1@1 write 2 2-4, 2@1 read 1 4-7",
            "1@1 write 1 0-1, 1@1 write 2 2-4, 2@1 read 1 5-7",
            Rule::Stale,
        ),
        (
            "1@1 write 1 0-1, 1@1 write 2 2-4, 2@2 read 1 14-17",
            "1@1 write 1 0-1, 1@1 write 2 2-4, 2@2 read 1 15-17",
            Rule::Stale,
        ),
        ("1@1 write 1 0-1, 2@2 read 0 11-12", "1@1 write 1 0-1, 2@2 read 0 12-13", Rule::Stale),
        (
            "1@1 delete 1 0-1, 1@1 write 2 2-4, 2@2 read 1 14-15",
            "1@1 delete 1 0-1, 1@1 write 2 2-4, 2@2 read 1 15-16",
            Rule::Stale,
        ),
        // A row that was deleted: for too long, and after its absence was read.
        (
            "1@1 write 1 0-1, 1@1 delete 2 2-4, 2@2 read 1 14-17",
            "1@1 write 1 0-1, 1@1 delete 2 2-4, 2@2 read 1 15-17",
            Rule::Resurrection,
        ),
        (
            "1@1 write 1 0-1, 1@1 delete 2 2-4, 2@2 read 2 3-5, 3@2 read 1 5-7",
            "1@1 write 1 0-1, 1@1 delete 2 2-4, 2@2 read 2 3-5, 3@2 read 1 6-7",
            Rule::Resurrection,
        ),
        (
            "1@1 write 1 0-1, 1@1 delete 2 1-2, 1@1 write 3 3-4, 3@2 read 1 12-13",
            "1@1 write 1 0-1, 1@1 delete 2 1-2, 1@1 write 3 3-4, 3@2 read 1 15-16",
            Rule::Resurrection,
        ),
    ] {
        check(kept, &[]);
        let line = broken.split(',').count();
        check(broken, &[(line, rule)]);
    }
}

#[test]
fn a_read_that_finds_nothing_stands_for_any_delete_that_it_can_mean() {
    // Either delete, and the time before all; not a delete that begins later.
    let written = "1@1 delete 1 0-1, 1@1 write 2 2-3, 1@1 delete 3 20-90, 1@1 write 4 91-92";
    for (read, expected) in [
        ("2@2 read 0 12-19", None),
        ("2@2 read 0 14-19", Some(Rule::Stale)),
        ("2@2 read 0 14-20", None),
        ("2@2 read 0 102-103", None),
        ("2@2 read 0 103-104", Some(Rule::Stale)),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|rule| (5, rule)).collect();
        check(&format!("{written}, {read}"), &expected);
    }
    // It binds a session to the oldest that it can mean: the first, then the second.
    check("1@1 delete 1 0-1, 1@1 delete 2 2-30, 2@2 read 0 3-4, 2@2 read 1 5-6", &[]);
    check(
        "1@1 write 1 0-1, 1@1 delete 2 2-30, 1@1 delete 3 31-90, 2@2 read 0 12-13, 2@2 read 1 14-15",
        &[(5, Rule::Monotone)],
    );
    check("2@2 read 0 3-4, 2@2 read 0 5-6", &[]);
}

#[test]
fn writers_that_are_cut_off_have_their_time() {
    let bounds = Bounds { back_ms: 5, ..BOUNDS };
    let written = "1@1 write 1 0-1, 1@1 write 2 2-4, 2@2 read 2 3-5";
    for (read, expected) in [
        ("2@2 read 1 9-10", None),
        ("3@2 read 1 9-10", None),
        ("3@2 read 1 10-11", Some(Rule::StaleFill)),
        // Never of what the session wrote itself.
        ("1@2 read 1 5-6", Some(Rule::Monotone)),
    ] {
        let expected: Vec<_> = expected.into_iter().map(|rule| (4, rule)).collect();
        check_within(bounds, &format!("{written}, {read}"), &expected);
    }
    let both = [(4, Rule::Monotone), (4, Rule::StaleFill)];
    check_within(bounds, &format!("{written}, 2@2 read 1 10-11"), &both);
    let unconfirmed = "1@1 write 1 0-1, 1@1 write 2 2-…, 2@2 read 2 3-5, 2@2 read 1 10-11";
    check_within(bounds, unconfirmed, &[]);
}

#[test]
fn what_was_never_confirmed_may_be_read_and_need_not_be() {
    check("1@1 write 1 0-1, 1@1 write 2 2-…, 1@1 read 1 3-4, 1@1 read 2 50-51", &[]);
    // But whoever has read it does not go back.
    let text = "1@1 write 1 0-1, 1@1 write 2 2-…, 1@1 read 2 3-4, 1@1 read 1 50-51";
    check(text, &[(4, Rule::Monotone)]);
    check("1@1 write 1 0-1, 1@1 delete 2 2-…, 2@2 read 0 50-51, 3@2 read 1 52-53", &[]);
}

#[test]
fn keys_are_judged_apart_and_lines_named() {
    let mut both = steps("1@1 write 1 0-1, 1@1 write 2 2-3, 2@1 read 1 4-5");
    both[0].key = "other".into();
    let verdict = judge(&both, BOUNDS);
    assert_eq!(verdict.findings.len(), 1, "{verdict}");
    assert!(verdict.breaks(Rule::Unwritten));
    both[0].key = "k".into();
    both[2].tier = Some(Tier::Memory);
    let verdict = judge(&both, BOUNDS);
    let text = verdict.to_string();
    for expected in ["line 3: ", "by line 2: ", "version 2 was due", "1 from memory", "1.000 ms"] {
        assert!(text.contains(expected), "{expected:?} in\n{text}");
    }
    assert_eq!((verdict.staleness.reads, verdict.tally.writes, verdict.tally.nodes), (1, 2, 1));
}

/// One step after another, each of which sees all before it, keeps every rule; so does any order of
/// the lines. It is as long as a real history.
#[test]
fn a_long_history_without_a_cache_is_clean() {
    let mut random = Random::new(1);
    let mut newest = [(0, true); 16];
    let mut all = Vec::new();
    for time in 0..100_000u64 {
        let key = random.below(newest.len());
        let (version, is_absent) = newest[key];
        let op = *random.pick(&[Op::Read, Op::Read, Op::Read, Op::Write, Op::Delete]);
        if op != Op::Read {
            newest[key] = (version + 1, op == Op::Delete);
        }
        let session = random.below(12) as u64;
        let shown = if is_absent && random.percent(50) { 0 } else { version };
        all.push(Step {
            session,
            node: session % 3,
            op,
            key: format!("k{key}"),
            version: if op == Op::Read { shown } else { version + 1 },
            start_ns: time * 10,
            end_ns: Some(time * 10 + 5),
            tier: None,
        });
    }
    let strict = Bounds { own_ms: 0, others_ms: 0, back_ms: 0 };
    judge(&all, strict).expect_clean();
    all.reverse();
    let verdict = judge(&all, strict);
    assert!(verdict.is_clean() && verdict.staleness.reads == 0, "{verdict}");
    // One line of them is wrong.
    let at = all.iter().position(|step| step.op == Op::Read && step.version > 5).expect("a read");
    all[at].version -= 2;
    let lines: Vec<usize> = judge(&all, strict).findings.iter().map(|found| found.line).collect();
    assert!(!lines.is_empty() && lines.iter().all(|line| *line == at + 1), "{lines:?}");
}
