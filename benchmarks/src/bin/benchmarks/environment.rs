//! Where figures come from: without it they say nothing.

use std::collections::BTreeMap;
use std::fs;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::program::Program;

/// The machine and the versions of a group of runs.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Environment {
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) date: String,
    /// The load of one minute at the start and at the end.
    pub(crate) load: [f64; 2],
    /// The version of PostgreSQL.
    pub(crate) server: Option<String>,
    /// The versions of SQLite.
    pub(crate) sqlite: BTreeMap<Program, String>,
    /// The versions of the peers in each program.
    pub(crate) peers: BTreeMap<Program, BTreeMap<String, String>>,
}

const PEERS: [&str; 11] = [
    "deadpool-postgres",
    "diesel",
    "diesel-async",
    "rusqlite",
    "sea-orm",
    "sora",
    "sqlx",
    "toasty",
    "tokio",
    "tokio-postgres",
    "tokio-rusqlite",
];

impl Environment {
    pub(crate) fn now() -> Self {
        let of = |file: &str, field: &str| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with(field)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let kib = of("/proc/meminfo", "MemTotal").replace(" kB", "").parse::<u64>().unwrap_or(0);
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self {
            cpu: of("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            memory_gib: kib.div_ceil(1 << 20),
            kernel: kernel.trim().into(),
            date: today(),
            load: [load(), 0.0],
            server: None,
            sqlite: BTreeMap::new(),
            peers: [Program::Newer, Program::Older]
                .map(|program| (program, versions(program)))
                .into(),
        }
    }

    pub(crate) fn finish(&mut self) {
        self.load[1] = load();
    }
}

fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0)
}

/// The versions that a program was built with, by its lock file.
fn versions(program: Program) -> BTreeMap<String, String> {
    let file = program.directory().join("Cargo.lock");
    let text = fs::read_to_string(file).unwrap_or_default();
    let packages = text.split("[[package]]").filter_map(|package| {
        let field = |name: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.trim_matches(['=', ' ', '"']).to_owned())
        };
        Some((field("name ")?, field("version ")?))
    });
    packages.filter(|(name, _)| PEERS.contains(&&**name)).collect()
}

/// The date, in UTC.
fn today() -> String {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let days = i64::try_from(since.as_secs() / 86_400).unwrap_or(0);
    // Days to years and months, in years that start in March: Howard Hinnant, "chrono-compatible
    // low-level date algorithms".
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lock_files_name_versions() {
        let older = versions(Program::Older);
        let newer = versions(Program::Newer);
        assert!(older.contains_key("sqlx") && older.contains_key("sea-orm"), "{older:?}");
        assert!(newer.contains_key("toasty") && !newer.contains_key("sqlx"), "{newer:?}");
        assert_ne!(older["rusqlite"], newer["rusqlite"]);
    }
}
