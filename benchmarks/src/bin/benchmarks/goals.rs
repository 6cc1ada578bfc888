//! What Sora is to reach, and whether it does.

use sora_benchmarks::{Form, Measurement};

use crate::results::{Ratio, Results, Runs};
use crate::table::spread;

/// Fewer pairs prove nothing.
const PAIRS_MIN: usize = 9;
/// From this ratio on the clock judges; below it CPU time does, because it is steadier.
const BY_CLOCK_MIN: f64 = 1.3;
/// How far the lower quartile may be below a goal.
const QUARTILE_SHARE_MIN: f64 = 0.85;
/// The rows of the table that the goals are about.
const ROWS: u64 = 1_000_000;

/// One figure of one group that is to be reached.
struct Goal {
    group: &'static str,
    form: Form,
    peer: Peer,
    reach: Reach,
}

/// Who Sora is compared with.
#[derive(Clone, Copy)]
enum Peer {
    /// The fastest of those that are called from async code.
    Best,
    Named(&'static str, Form),
}

/// What is to be reached.
#[derive(Clone, Copy)]
enum Reach {
    /// So many times the operations of a second.
    Rate(f64),
    /// At most this part of the CPU time for each operation, of client and server.
    Cpu(f64),
    /// At most so many bytes above the start.
    PeakBytes(f64),
    /// At most this part of the 99th percentile.
    P99(f64),
}

/// A goal beside what was measured: group, goal, median, lower quartile, beside it, verdict.
pub(crate) type Judged = [String; 6];

pub(crate) const HEAD: [&str; 6] =
    ["group", "goal", "median", "lower quartile", "beside it", "held"];

const SORA: Form = Form::AsItComes;
const SEVERAL: Form = Form::SeveralConnections;
const POOL: Peer = Peer::Named("tokio-postgres", Form::Tuned);
const SEA_ORM: Peer = Peer::Named("sea-orm", Form::AsItComes);
const SEA_ORM_TUNED: Peer = Peer::Named("sea-orm", Form::Tuned);
const LOOP: Peer = Peer::Named("rusqlite", Form::Tuned);
const SQLX: Peer = Peer::Named("sqlx", Form::Tuned);
/// Parity, with what two equal sides differ by.
const PARITY: f64 = 0.95;

const GOALS: &[(&str, Form, Peer, Reach)] = &[
    ("postgres/get/64", SORA, POOL, Reach::Rate(3.5)),
    ("postgres/get/64", SORA, POOL, Reach::Cpu(0.25)),
    ("postgres/get/64", SORA, SEA_ORM, Reach::Rate(7.0)),
    ("postgres/get/256", SORA, POOL, Reach::Rate(5.0)),
    ("postgres/get/256", SORA, POOL, Reach::Cpu(0.25)),
    ("postgres/get/256", SORA, SEA_ORM, Reach::Rate(11.0)),
    ("postgres/get/8", SORA, POOL, Reach::Rate(0.95)),
    ("postgres/get/8", SORA, POOL, Reach::Cpu(0.5)),
    ("postgres/get/1", SORA, POOL, Reach::Cpu(1.15)),
    ("postgres/page/16", SORA, POOL, Reach::Rate(0.95)),
    ("postgres/page/16", SORA, SEA_ORM, Reach::Rate(1.4)),
    ("postgres/scan/200000", SORA, POOL, Reach::Rate(0.9)),
    ("postgres/scan/200000", SORA, SEA_ORM, Reach::Rate(1.25)),
    ("postgres/scan/200000", SORA, POOL, Reach::PeakBytes(8e6)),
    ("postgres/upsert-1ms/1", SORA, POOL, Reach::Rate(PARITY)),
    ("postgres/upsert-1ms/64", SORA, POOL, Reach::Rate(2.0)),
    ("postgres/upsert-1ms/256", SORA, POOL, Reach::Rate(3.5)),
    ("postgres/upsert-disk/64", SORA, POOL, Reach::Rate(1.2)),
    ("postgres/upsert-disk/256", SORA, POOL, Reach::Rate(1.2)),
    ("postgres/bulk-sorted/1000000", SORA, POOL, Reach::Rate(1.05)),
    ("postgres/bulk-sorted/1000000", SEVERAL, POOL, Reach::Rate(1.4)),
    ("postgres/bulk-sorted/1000000", SORA, SEA_ORM, Reach::Rate(1.25)),
    ("sqlite/get/64", SORA, LOOP, Reach::Rate(0.85)),
    ("sqlite/get/64", SORA, SQLX, Reach::Rate(4.0)),
    ("sqlite/get/1", SORA, Peer::Best, Reach::Rate(4.0)),
    ("sqlite/page/16", SORA, SQLX, Reach::Rate(2.0)),
    ("sqlite/page/16", SORA, Peer::Best, Reach::Rate(1.1)),
    ("sqlite/scan/1000000", SORA, LOOP, Reach::Rate(0.9)),
    ("sqlite/scan/1000000", SORA, SQLX, Reach::Rate(10.0)),
    ("sqlite/upsert-full/1", SORA, LOOP, Reach::Rate(PARITY)),
    ("sqlite/upsert-full/64", SORA, LOOP, Reach::Rate(2.7)),
    ("sqlite/upsert-full/64", SORA, SQLX, Reach::Rate(4.5)),
    ("sqlite/upsert-full/64", SORA, SQLX, Reach::P99(1.0)),
    ("sqlite/upsert-normal/64", SORA, LOOP, Reach::Rate(1.1)),
    ("sqlite/upsert-normal/64", SORA, SQLX, Reach::Rate(2.2)),
    ("sqlite/bulk-sorted/1000000", SORA, LOOP, Reach::Rate(0.9)),
    ("sqlite/bulk-shuffled/1000000", SORA, LOOP, Reach::Rate(1.2)),
    ("sqlite/bulk-sorted/1000000", SORA, SEA_ORM_TUNED, Reach::Rate(1.4)),
];

/// Judges all goals by what was measured.
pub(crate) fn judge(all: &[Results]) -> Vec<Judged> {
    let goals = GOALS.iter();
    goals
        .map(|&(group, form, peer, reach)| Goal { group, form, peer, reach })
        .map(|goal| goal.judge(all.iter().find(|results| results.name == goal.group)))
        .collect()
}

impl Goal {
    fn judge(&self, results: Option<&Results>) -> Judged {
        let not = |why: &str| {
            let who = self.peer.label();
            let goal = format!("{} {who}", self.reach.label());
            let none = String::new;
            [self.group.into(), goal, none(), none(), none(), format!("not judged: {why}")]
        };
        let Some(results) = results else { return not("not run") };
        let Some(peer) = self.peer.find(results) else { return not("the peer was not run") };
        let ratio = |figure: fn(&Measurement) -> f64| results.ratio(peer, self.form, figure);
        let figures = match self.reach {
            Reach::Rate(_) => ratio(Measurement::rate),
            Reach::Cpu(_) => ratio(Measurement::cpu_each_ns),
            Reach::P99(_) => ratio(|run| run.p99_ns as f64),
            Reach::PeakBytes(_) => results.sora(peer.program, self.form).and_then(|sora| {
                let quartiles = sora.figure(|run| run.peak_bytes as f64)?;
                Some(Ratio { quartiles, pairs: sora.runs.len() })
            }),
        };
        let spared = ratio(|run| 1.0 / run.cpu_each_ns());
        let (Some(found), Some(spared)) = (figures, spared) else { return not("it failed") };
        let (is_held, beside) = self.reach.holds(found, spared);
        let quartiles = found.quartiles;
        let is_bytes = matches!(self.reach, Reach::PeakBytes(_));
        let show = |figure: f64| match is_bytes {
            true => format!("{:.1} MB", figure / 1e6),
            false => format!("{figure:.2}"),
        };
        let verdict = match () {
            () if found.pairs < PAIRS_MIN => format!("not judged: {} pairs", found.pairs),
            () if !results.is_full_size() => "not judged: a smaller table".into(),
            () if is_held => "yes".into(),
            () => "**no**".into(),
        };
        let sora = if self.form == Form::SeveralConnections { "several connections, " } else { "" };
        let goal = format!("{sora}{} {}", self.reach.label(), peer.label());
        let low = show(quartiles.low);
        [self.group.into(), goal, show(quartiles.median), low, beside, verdict]
    }
}

impl Results {
    fn is_full_size(&self) -> bool {
        self.rows == ROWS || self.rows == ROWS / 5
    }
}

impl Peer {
    fn find(self, results: &Results) -> Option<&Runs> {
        let mut others = results.series.iter().filter(|runs| !runs.is_sora());
        match self {
            Self::Named(name, form) => others.find(|runs| runs.peer == name && runs.form == form),
            Self::Best => {
                let rate = |runs: &Runs| runs.figure(Measurement::rate).map(|rate| rate.median);
                let rated = others.filter(|runs| runs.peer != "rusqlite");
                rated.max_by(|one, other| {
                    rate(one).partial_cmp(&rate(other)).unwrap_or(std::cmp::Ordering::Equal)
                })
            }
        }
    }

    fn label(self) -> String {
        match self {
            Self::Best => "the best async peer".into(),
            Self::Named(name, form) => format!("{name}, {form}"),
        }
    }
}

impl Reach {
    fn label(self) -> String {
        match self {
            Self::Rate(times) => format!("≥ {times} × the rate of"),
            Self::Cpu(part) => format!("≤ {part} × the CPU of"),
            Self::P99(part) => format!("≤ {part} × the p99 of"),
            Self::PeakBytes(bytes) => format!("≤ {} MB, beside", bytes / 1e6),
        }
    }

    /// Whether it is reached, and what is shown beside the figure. `spared` is the CPU time of the
    /// peer for each operation, in that of Sora.
    fn holds(self, found: Ratio, spared: Ratio) -> (bool, String) {
        let median = found.quartiles.median;
        match self {
            Self::Rate(times) if times >= BY_CLOCK_MIN => {
                let is_steady = found.quartiles.low >= times * QUARTILE_SHARE_MIN;
                (median >= times && is_steady, String::new())
            }
            Self::Rate(times) => {
                let spread = spread(spared.quartiles);
                (spared.quartiles.median >= times, format!("judged by CPU: {spread}"))
            }
            Self::Cpu(most) | Self::P99(most) | Self::PeakBytes(most) => {
                (median <= most, String::new())
            }
        }
    }
}
