//! Random streams with random faults: the outcomes sum to the input, and none of them lies.
//!
//! `SORA_STREAMS=100000 cargo test -p sora --test it no_outcome_lies` runs more than 500 of each.

use std::collections::{BTreeMap, BTreeSet};

use sora::write::{Effect, Outcome};
use sora::{
    Atomic, BatchEnd, BatchMode, BatchOptions, BatchReport, Cell, Error, ErrorKind, Repository,
    Retry,
};

use super::scripted::{Call, Fate, Scripted, TestClock};
use super::{Item, chunks_of, stored, word};
use crate::stores::repository;

/// Numbers that are the same in every run (`SplitMix64`, Steele et al., 2014).
#[derive(Clone)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    fn key(&mut self, keys: u64) -> i64 {
        i64::try_from(self.below(keys)).expect("small")
    }
}

/// A script of faults. Without `lossy` the store always answers.
fn faults(mut random: Random, keys: u64, lossy: bool) -> impl FnMut(&Call) -> Fate + Send {
    const KINDS: [ErrorKind; 6] = [
        ErrorKind::Constraint,
        ErrorKind::Conflict,
        ErrorKind::Busy,
        ErrorKind::Serialization,
        ErrorKind::Store,
        ErrorKind::Unavailable,
    ];
    let bad: BTreeSet<i64> = (0..3).map(|_| random.key(keys)).collect();
    move |_| {
        let kind = KINDS[usize::try_from(random.below(5)).expect("small")];
        let error = Error::new(kind, "a fault");
        match random.below(if lossy { 12 } else { 9 }) {
            0 => Fate::Poisoned(bad.clone(), error),
            1 => Fate::Spoiled(bad.clone(), error),
            2 => Fate::Refused(error),
            3 => Fate::Refused(error.with_retry(Retry::Safe)),
            4 if random.one_in(10) => Fate::Refused(Error::new(KINDS[5], "gone")),
            5 => Fate::Slow,
            9 | 10 => Fate::Unanswered { is_done: random.one_in(2) },
            11 if random.one_in(5) => Fate::Panics,
            _ => Fate::Done,
        }
    }
}

/// One run: what was asked, what was there before, and what came of it.
struct Run {
    lossy: bool,
    mode: BatchMode,
    atomic: Atomic,
    before: BTreeMap<i64, i64>,
    after: BTreeMap<i64, i64>,
    rows: Vec<(i64, i64)>,
    outcomes: Vec<Outcome>,
    report: BatchReport,
}

async fn run(seed: u64, lossy: bool) -> Run {
    const MODES: [BatchMode; 5] = [
        BatchMode::Upsert,
        BatchMode::Insert,
        BatchMode::InsertOrIgnore,
        BatchMode::Update,
        BatchMode::Delete,
    ];
    let mut random = Random(seed);
    let mode = MODES[usize::try_from(random.below(5)).expect("small")];
    let atomic = [Atomic::Row, Atomic::Row, Atomic::Chunk, Atomic::Stream]
        [usize::try_from(random.below(4)).expect("small")];
    let keys = 5 + random.below(60);
    // The table is filled before the faults begin.
    let mut faults = faults(random.clone(), keys, lossy);
    let begun = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let script = begun.clone();
    let mut script = Scripted::new(move |call| {
        let is_begun = script.load(std::sync::atomic::Ordering::SeqCst);
        if is_begun { faults(call) } else { Fate::Done }
    });
    script.capability.write_lanes = 4;
    let items = repository::<Item>(&script.store()).await;
    let mut before = BTreeMap::new();
    for _ in 0..random.below(20) {
        before.insert(random.key(keys), -1);
    }
    let there = before.iter().map(|(id, n)| super::item(*id, *n));
    items.insert_many(there.collect::<Vec<_>>()).await.expect("filled");
    begun.store(true, std::sync::atomic::Ordering::SeqCst);
    let rows: Vec<(i64, i64)> =
        (0..random.below(120)).zip(0..).map(|(_, n)| (random.key(keys), n)).collect();
    let options = BatchOptions {
        atomic,
        chunks_in_flight: 1 + usize::try_from(random.below(4)).expect("small"),
        errors_max: random.one_in(3).then(|| 1 + random.below(20)),
        clock: std::sync::Arc::new(TestClock::default()),
        ..chunks_of(1 + usize::try_from(random.below(16)).expect("small"))
    };
    let (outcomes, report) = write(&items, mode, options, &rows).await;
    let after = stored(&items).await;
    Run { lossy, mode, atomic, before, after, rows, outcomes, report }
}

async fn write(
    items: &Repository<Item>,
    mode: BatchMode,
    options: BatchOptions,
    rows: &[(i64, i64)],
) -> (Vec<Outcome>, BatchReport) {
    let columns: &[u16] = if mode == BatchMode::Delete { &[0] } else { &[0, 1] };
    let mut writer = items.table().batch_writer(mode, columns, options).expect("a writer");
    let mut outcomes = Vec::new();
    for (id, n) in rows {
        let cells = [Cell::I64(*id), Cell::I64(*n)];
        let cells = &cells[..columns.len()];
        drop(writer.row(|out| cells.iter().try_for_each(|cell| out.cell(*cell))));
        writer.advance().await;
        while let Some(settled) = writer.settled() {
            assert_eq!(settled.indexes().start, outcomes.len() as u64, "in order, without gaps");
            outcomes.extend_from_slice(settled.outcomes());
        }
        if writer.is_stopped() {
            break;
        }
    }
    let report = writer.finish().await;
    while let Some(settled) = writer.settled() {
        outcomes.extend_from_slice(settled.outcomes());
    }
    (outcomes, report)
}

impl Run {
    /// The outcomes sum to the rows that were taken, and the report says the same as they do.
    fn check_sums(&self) {
        let Self { outcomes, report, .. } = self;
        let count = |is: fn(&Outcome) -> bool| outcomes.iter().filter(|one| is(one)).count() as u64;
        assert_eq!(outcomes.len() as u64, report.rows);
        assert_eq!(report.counts.sum(), report.rows);
        assert_eq!(count(|one| matches!(one, Outcome::Applied(_))), report.counts.applied());
        assert_eq!(count(|one| matches!(one, Outcome::Failed(_))), report.counts.failed);
        assert_eq!(count(|one| matches!(one, Outcome::Unknown(_))), report.counts.unknown);
        assert_eq!(count(|one| matches!(one, Outcome::Skipped)), report.counts.skipped);
        let errors: u64 = report.errors.iter().map(|errors| errors.count).sum();
        assert_eq!(errors, report.counts.failed + report.counts.unknown);
        if matches!(report.end, BatchEnd::Complete) {
            assert_eq!(report.rows, self.rows.len() as u64);
        }
    }

    /// The table is what it was before, with the rows that were applied put into it in the order of
    /// the stream, and with no others.
    fn check_table(&self) {
        let unknown: BTreeSet<i64> = self
            .rows
            .iter()
            .zip(&self.outcomes)
            .filter(|(_, outcome)| matches!(outcome, Outcome::Unknown(_)))
            .map(|((id, _), _)| *id)
            .collect();
        let mut expected = self.before.clone();
        for ((id, n), outcome) in self.rows.iter().zip(&self.outcomes) {
            match outcome {
                Outcome::Applied(Effect::Deleted) => drop(expected.remove(id)),
                // The first answer was lost: the row had been deleted, or added, all the same.
                Outcome::Applied(Effect::Missing) if self.lossy => drop(expected.remove(id)),
                Outcome::Applied(Effect::Unchanged) if self.lossy => {
                    expected.entry(*id).or_insert(*n);
                }
                Outcome::Applied(Effect::Inserted | Effect::Updated | Effect::Upserted) => {
                    expected.insert(*id, *n);
                }
                _ => {}
            }
        }
        let known = |table: &BTreeMap<i64, i64>| {
            let known = table.iter().filter(|(id, _)| !unknown.contains(id));
            known.map(|(id, n)| (*id, *n)).collect::<BTreeMap<_, _>>()
        };
        assert_eq!(known(&self.after), known(&expected));
        if self.atomic == Atomic::Stream && unknown.is_empty() && self.report.counts.applied() == 0
        {
            assert_eq!(self.after, self.before, "nothing is left of an atomic stream");
        }
    }

    /// A row is superseded only by one behind it that was applied or is unknown.
    fn check_superseded(&self) {
        for (at, outcome) in self.outcomes.iter().enumerate() {
            if matches!(outcome, Outcome::Applied(Effect::Superseded)) {
                let mut behind = self.rows.iter().zip(&self.outcomes).skip(at + 1);
                assert!(behind.any(|((id, _), outcome)| *id == self.rows[at].0
                    && matches!(outcome, Outcome::Applied(_))));
            }
        }
    }
}

async fn check(first: u64, lossy: bool) {
    let streams = std::env::var("SORA_STREAMS").map_or(500, |text| text.parse().expect("a number"));
    let mut met = BTreeMap::<String, u32>::new();
    for seed in first..first + streams {
        let run = run(seed, lossy).await;
        let said = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            run.check_sums();
            run.check_table();
            run.check_superseded();
        }));
        let words: Vec<String> = run.outcomes.iter().map(word).collect();
        assert!(
            said.is_ok(),
            "seed {seed}: {:?} {:?}\n{:?}\n{words:?}\nbefore {:?}\nafter {:?}\n{:?}",
            run.mode,
            run.atomic,
            run.rows,
            run.before,
            run.after,
            run.report
        );
        for word in words {
            *met.entry(word).or_default() += 1;
        }
    }
    // Every way for a row to end was met.
    for word in ["Inserted", "Updated", "Deleted", "Superseded", "Missing", "Unchanged", "skipped"]
    {
        assert!(met.contains_key(word), "{met:?}");
    }
}

#[tokio::test]
async fn no_outcome_lies_whatever_fails() {
    check(0, false).await;
}

#[tokio::test]
async fn no_outcome_lies_though_the_store_does_not_always_answer() {
    check(1 << 32, true).await;
}
