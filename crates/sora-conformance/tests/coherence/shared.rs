//! Nodes that share a tier, over a network that loses, delays, repeats and reorders.

use super::*;

use sora::RemoteCache;
use sora_conformance::coherence::{RemoteFaults, RemoteFlaw, RemoteNumbers, SharedRemote};

/// Histories of each kind.
const SEEDS: u64 = 30;
const NODES: u64 = 3;
/// How long a value may stay in the tier.
const REMOTE_TIME_TO_LIVE_MS: u64 = 1_500;
/// How long a row is fresh in memory while the tier is away.
const UNTOLD_MS: u64 = 100;

/// A network that is slow, and repeats and reorders what it carries.
const SLOW: RemoteFaults = RemoteFaults {
    delay_us_max: 20_000,
    push_delay_ms_max: 60,
    duplicate_percent: 20,
    lose_percent: 0,
    cut_percent: 0,
    restart_percent: 0,
    down_ms_max: 400,
    command_timeout_ms: 100,
    staleness_max_ms: 500,
    flaw: None,
};
/// One that loses messages as well; a gap follows.
const LOSSY: RemoteFaults = RemoteFaults { lose_percent: 5, down_ms_max: 0, ..SLOW };
/// One that loses connections, for a time, and servers that lose all.
const CUT: RemoteFaults =
    RemoteFaults { lose_percent: 2, cut_percent: 2, restart_percent: 1, ..SLOW };

/// What a node loads that is not told of changes, it keeps for that time from when it has it: the store's
/// answer is as much older as it was under way.
const UNTOLD_BOUND_MS: u64 = UNTOLD_MS + STORE_US_MAX / 1_000 + 1;
/// That is longer than a message takes. Until the message comes that a table was invalidated as a whole, its
/// rows are still taken from the tier, also by who has read a newer one of the store.
const SLOW_BOUNDS: Bounds =
    Bounds { own_ms: 0, others_ms: UNTOLD_BOUND_MS, back_ms: SLOW.push_delay_ms_max };
/// A gap fails the calls under way, and what they had to tell is told when the tier is asked again.
const LOSSY_MS: u64 = SLOW.staleness_max_ms + RETRY_MS;
const LOSSY_BOUNDS: Bounds = Bounds { own_ms: 0, others_ms: LOSSY_MS, back_ms: LOSSY_MS };
/// What a writer could not tell the tier ends there with its time to live.
/// How long a node waits, and a call, before it tells the tier again.
const RETRY_MS: u64 = 300;
const CUT_MS: u64 = REMOTE_TIME_TO_LIVE_MS + UNTOLD_BOUND_MS + SLOW.staleness_max_ms;
const CUT_BOUNDS: Bounds = Bounds { own_ms: 0, others_ms: CUT_MS, back_ms: CUT_MS };

struct Run {
    recording: Recording,
    numbers: RemoteNumbers,
}

async fn together(seed: u64, faults: RemoteFaults) -> Run {
    let store: SharedProvider = Arc::new(Memory::new());
    let remote = SharedRemote::new(faults);
    let watch = TierWatch::new();
    let open = |at| {
        let seed = seed.wrapping_mul(31) + at;
        let tier = RemoteCache::new(Arc::new(remote.node(seed)), "simulation")
            .lease_time_ms(200)
            .untold_time_to_live_ms(UNTOLD_MS)
            .breaker(5, 200);
        let policy = POLICY.time_to_live_ms(60_000).missing_time_to_live_ms(60_000);
        let policy = policy.remote_time_to_live_ms(REMOTE_TIME_TO_LIVE_MS);
        node(seed, &store, &watch, Workload::cache(policy).remote(tier))
    };
    let nodes: Vec<Sora> = (0..NODES).map(open).collect();
    let recording = Workload::simulated(seed).run(&nodes, watch).await.expect("a history");
    Run { recording, numbers: remote.numbers() }
}

/// Runs histories over a network, and holds each against the bounds.
fn check(faults: RemoteFaults, bounds: Bounds) -> (Vec<Verdict>, Vec<RemoteNumbers>) {
    let mut verdicts = Vec::new();
    let mut numbers = Vec::new();
    for seed in 0..SEEDS {
        let run = simulate(together(seed, faults));
        let verdict = judged(&run.recording, bounds);
        assert!(verdict.is_clean(), "seed {seed}: {verdict}");
        verdicts.push(verdict);
        numbers.push(run.numbers);
    }
    (verdicts, numbers)
}

fn sum<T>(all: &[T], number: impl Fn(&T) -> u64) -> u64 {
    all.iter().map(number).sum()
}

#[test]
fn late_repeated_and_reordered_messages_keep_every_rule() {
    let (verdicts, numbers) = check(SLOW, SLOW_BOUNDS);
    for number in [
        sum(&numbers, |numbers| numbers.fills_refused),
        sum(&numbers, |numbers| numbers.duplicated),
        sum(&numbers, |numbers| numbers.reordered),
        sum(&verdicts, |verdict| verdict.tally.from_memory as u64),
        sum(&verdicts, |verdict| verdict.tally.from_remote as u64),
        sum(&verdicts, |verdict| verdict.tally.from_store as u64),
        sum(&verdicts, |verdict| verdict.staleness.reads as u64),
    ] {
        assert!(number > 20, "{number} {:?} {:?}", verdicts[0].tally, numbers[0]);
    }
}

#[test]
fn messages_that_are_lost_keep_every_rule_when_a_gap_follows() {
    let (_, numbers) = check(LOSSY, LOSSY_BOUNDS);
    assert!(sum(&numbers, |numbers| numbers.lost) > 100);
}

#[test]
fn connections_and_servers_that_are_lost_keep_every_rule() {
    let (_, numbers) = check(CUT, CUT_BOUNDS);
    assert!(sum(&numbers, |numbers| numbers.cuts) > 100);
    assert!(sum(&numbers, |numbers| numbers.restarts) > 100);
}

/// The first of the histories over a broken tier that breaks a rule.
fn found(faults: RemoteFaults, bounds: Bounds) -> Option<u64> {
    (0..SEEDS).find(|seed| {
        let run = simulate(together(*seed, faults));
        !judged(&run.recording, bounds).is_clean()
    })
}

#[test]
fn a_tier_without_its_fence_is_found() {
    let flaw = Some(RemoteFlaw::FillsAlways);
    assert!(found(RemoteFaults { flaw, ..SLOW }, SLOW_BOUNDS).is_some());
    assert!(found(RemoteFaults { flaw, ..CUT }, CUT_BOUNDS).is_some());
}

#[test]
fn losses_that_nobody_tells_are_found() {
    let flaw = Some(RemoteFlaw::LosesInSilence);
    let faults = RemoteFaults { lose_percent: 30, ..LOSSY };
    assert_eq!(found(faults, LOSSY_BOUNDS), None, "a gap follows");
    assert!(found(RemoteFaults { flaw, ..faults }, LOSSY_BOUNDS).is_some());
}

#[test]
fn the_same_seed_gives_the_same_history_through_a_tier() {
    for seed in 0..5 {
        let run = || simulate(together(seed, CUT));
        let (first, again) = (run(), run());
        let steps = first.recording.steps.iter().zip(&again.recording.steps);
        let differs = steps.clone().find(|(one, other)| one != other);
        assert!(differs.is_none(), "seed {seed}: {differs:?}");
        assert_eq!((first.numbers, steps.len()), (again.numbers, first.recording.steps.len()));
    }
}
