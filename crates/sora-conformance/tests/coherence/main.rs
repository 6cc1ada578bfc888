//! Several nodes on a paused clock: the same seed gives the same history, and the judge its verdict.

mod shared;

use std::sync::Arc;

use sora::{Cache, CachePolicy, Sora};
use sora_conformance::coherence::{
    Bounds, Recording, Rule, SeededClock, SlowStore, Step, TierWatch, Verdict, Workload, judge,
};
use sora_core::memory::Memory;
use sora_core::provider::SharedProvider;

/// How long rows stay in memory.
const TIME_TO_LIVE_MS: u64 = 1_000;
/// How long the store's answers take at most, each way.
const STORE_US_MAX: u64 = 15_000;

const POLICY: CachePolicy = CachePolicy::new()
    .time_to_live_ms(TIME_TO_LIVE_MS)
    .missing_time_to_live_ms(TIME_TO_LIVE_MS)
    .unknown_time_ms(300);

/// Runs a future on a clock that goes on by itself whenever all wait.
fn simulate<T>(run: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(run)
}

/// A node on a store that is slow and loses outcomes.
fn node(seed: u64, store: &SharedProvider, watch: &Arc<TierWatch>, cache: Cache) -> Sora {
    let slow =
        SlowStore { seed, delay_us_max: STORE_US_MAX, lose_percent: 4, late_us_max: 100_000 };
    let cache = cache.clock(Arc::new(SeededClock::new(seed)));
    Sora::builder().layer(slow).observer(watch.clone()).cache(cache).provider(store.clone())
}

/// The history of nodes that have a memory each and nothing between.
async fn apart(seed: u64, nodes: u64) -> Recording {
    let store: SharedProvider = Arc::new(Memory::new());
    let watch = TierWatch::new();
    let nodes: Vec<Sora> = (0..nodes)
        .map(|at| node(seed.wrapping_mul(31) + at, &store, &watch, Workload::cache(POLICY)))
        .collect();
    Workload::simulated(seed).run(&nodes, watch).await.expect("a history")
}

fn judged(recording: &Recording, bounds: Bounds) -> Verdict {
    assert_eq!(recording.failures, [""; 0]);
    judge(&recording.steps, bounds)
}

#[test]
fn one_node_is_never_behind_its_own_writes() {
    let (mut from_memory, mut unconfirmed) = (0, 0);
    for seed in 0..30 {
        let verdict = judged(&simulate(apart(seed, 1)), Bounds::new(0));
        assert!(verdict.is_clean(), "seed {seed}: {verdict}");
        from_memory += verdict.tally.from_memory;
        unconfirmed += verdict.tally.unconfirmed;
    }
    assert!(from_memory > 300 && unconfirmed > 10, "{from_memory} {unconfirmed}");
}

#[test]
fn nodes_without_a_tier_between_are_behind_for_as_long_as_rows_live() {
    let mut stale = 0;
    for seed in 0..20 {
        let recording = simulate(apart(seed, 3));
        let bound_ms = TIME_TO_LIVE_MS + STORE_US_MAX / 1_000;
        let verdict = judged(&recording, Bounds::new(bound_ms));
        assert!(!verdict.breaks(Rule::Stale), "seed {seed}: {verdict}");
        stale += usize::from(judged(&recording, Bounds::new(20)).breaks(Rule::Stale));
    }
    assert!(stale > 10, "{stale}");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let text = |steps: &[Step]| {
        let mut text = Vec::new();
        Step::write_all(steps, &mut text).expect("a buffer");
        String::from_utf8(text).expect("text")
    };
    for seed in 0..5 {
        let history = || text(&simulate(apart(seed, 3)).steps);
        let (first, again) = (history(), history());
        let differs = first.lines().zip(again.lines()).find(|(one, other)| one != other);
        assert!(first == again, "seed {seed}: {differs:?}");
        assert!(first != text(&simulate(apart(seed + 100, 3)).steps), "seed {seed}");
    }
}
