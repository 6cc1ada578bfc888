//! Rounds of two sides in turn, and what they say.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Result;

/// What is run, and where.
pub(crate) struct Options {
    pub(crate) pairs: usize,
    pub(crate) seconds: f64,
    pub(crate) rows: u64,
    pub(crate) folder: PathBuf,
    /// A server that runs already.
    pub(crate) url: Option<String>,
    /// The only side that runs, for a profile of it.
    pub(crate) alone: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let folder = std::env::temp_dir().join("sora-benchmarks");
        Self { pairs: 9, seconds: 1.0, rows: 1_000_000, folder, url: None, alone: None }
    }
}

/// What one side did in one round.
#[derive(Clone, Debug, Default)]
pub(crate) struct Round {
    pub(crate) operations: u64,
    pub(crate) wall: Duration,
    pub(crate) cpu: Duration,
    /// How long each operation took, in microseconds; may be left out.
    pub(crate) took_us: Vec<u32>,
}

impl Round {
    /// Measures something that says how many operations it did.
    pub(crate) fn of(run: impl FnOnce() -> Result<u64>) -> Result<Self> {
        let (start, cpu) = (Instant::now(), cpu_time());
        let operations = run()?;
        Ok(Self {
            operations,
            wall: start.elapsed(),
            cpu: cpu_time().saturating_sub(cpu),
            took_us: Vec::new(),
        })
    }

    fn rate(&self) -> f64 {
        self.operations as f64 / self.wall.as_secs_f64()
    }

    fn cpu_us(&self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.operations as f64
    }
}

/// Runs both sides in turn and prints medians, and the ratio of each pair with its quartiles.
pub(crate) fn compare(
    options: &Options,
    floor_name: &str,
    what: &str,
    mut floor: impl FnMut() -> Result<Round>,
    mut sora: impl FnMut() -> Result<Round>,
) -> Result<()> {
    let (mut floors, mut soras, mut ratios, mut cpus) = (vec![], vec![], vec![], vec![]);
    for pair in 0..options.pairs {
        // Neither is always the first.
        let (one, other) = match pair % 2 {
            0 => {
                let one = floor()?;
                (one, sora()?)
            }
            _ => {
                let other = sora()?;
                (floor()?, other)
            }
        };
        ratios.push(other.rate() / one.rate());
        cpus.push(other.cpu_us() / one.cpu_us());
        floors.push(one);
        soras.push(other);
    }
    println!("{what}: {} pairs", options.pairs);
    for (name, rounds) in [(floor_name, &mut floors), ("sora", &mut soras)] {
        let (_, rate, _) = quartiles(rounds.iter().map(Round::rate));
        let (_, cpu, _) = quartiles(rounds.iter().map(Round::cpu_us));
        let mut took: Vec<u32> =
            rounds.iter_mut().flat_map(|round| std::mem::take(&mut round.took_us)).collect();
        println!("  {name:>8} {rate:>10.0}/s {cpu:>9.2} us CPU each{}", percentiles(&mut took));
    }
    let (low, middle, high) = quartiles(ratios.into_iter());
    println!("  rate   ratio {middle:.3} (quartiles {low:.3} to {high:.3})");
    let (low, middle, high) = quartiles(cpus.into_iter());
    println!("  CPU    ratio {middle:.3} (quartiles {low:.3} to {high:.3})");
    Ok(())
}

/// The times of operations in words; nothing if they were not taken.
pub(crate) fn percentiles(took_us: &mut [u32]) -> String {
    if took_us.is_empty() {
        return String::new();
    }
    took_us.sort_unstable();
    let at = |share: f64| {
        f64::from(took_us[((took_us.len() - 1) as f64 * share).round() as usize]) / 1_000.0
    };
    let (middle, high, most) = (at(0.5), at(0.99), at(1.0));
    format!("   p50 {middle:.2} ms  p99 {high:.2} ms  p99.9 {:.2} ms  max {most:.2} ms", at(0.999))
}

pub(crate) fn quartiles(values: impl Iterator<Item = f64>) -> (f64, f64, f64) {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    (at(0.25), at(0.5), at(0.75))
}

/// User and system time of this process.
pub(crate) fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::from_secs(time.tv_sec.cast_unsigned())
        + Duration::from_nanos(time.tv_nsec.cast_unsigned())
}
