//! What is compared: each group is a workload and those who run it in turn.

use sora_benchmarks::{Durability, Flush, Form, Order, StoreKind, Workload};

use crate::options::Options;
use crate::program::Program;
use crate::table::count;

use Form::{AsItComes, SeveralConnections, Tuned};

/// A workload and those who run it.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) setup: Setup,
    pub(crate) workload: Workload,
    pub(crate) tasks: u64,
    /// The rows of its table.
    pub(crate) rows: u64,
    pub(crate) series: Vec<Series>,
}

/// Where a group is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setup {
    Postgres(Flush),
    Sqlite(Durability),
}

/// One who takes part, in a form, and in which program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Series {
    pub(crate) program: Program,
    pub(crate) peer: &'static str,
    pub(crate) form: Form,
}

impl Setup {
    pub(crate) fn store(self) -> StoreKind {
        match self {
            Self::Postgres(_) => StoreKind::Postgres,
            Self::Sqlite(_) => StoreKind::Sqlite,
        }
    }
}

impl Group {
    /// Whether it changes the table.
    pub(crate) fn is_write(&self) -> bool {
        matches!(self.workload, Workload::Bulk(..) | Workload::Upsert)
    }

    /// Whether each run has a program of its own, because its memory counts.
    pub(crate) fn is_alone(&self) -> bool {
        matches!(self.workload, Workload::Bulk(..) | Workload::Scan)
    }
}

/// The groups whose names hold one of the words of the command, with those peers that it names.
pub(crate) fn chosen(options: &Options) -> Vec<Group> {
    let mut groups = all(options.rows);
    let names: Vec<String> = groups.iter().map(|group| group.name.clone()).collect();
    let is_asked = |name: &str| {
        let asks = |what: &String| match names.contains(what) {
            // Some whole names are the start of others.
            true => name == what,
            false => name.contains(&**what),
        };
        options.what.is_empty() || options.what.iter().any(asks)
    };
    groups.retain(|group| is_asked(&group.name));
    for group in &mut groups {
        group.series.retain(|series| {
            let is_asked = options.only.iter().any(|only| only == series.peer);
            options.only.is_empty() || is_asked || series.is_sora() || series.is_floor()
        });
        // A program without any of the peers that were asked for has nothing to show.
        let asked: Vec<Program> =
            group.series.iter().filter(|one| !one.is_sora()).map(|one| one.program).collect();
        group.series.retain(|series| asked.contains(&series.program));
    }
    groups
}

impl Series {
    pub(crate) fn is_sora(&self) -> bool {
        self.peer == "sora"
    }

    pub(crate) fn is_floor(&self) -> bool {
        self.peer == "rusqlite" || self.peer == "tokio-postgres"
    }
}

fn all(rows: u64) -> Vec<Group> {
    use Durability::{Full, Normal};
    use Setup::{Postgres, Sqlite};
    let mut groups = Vec::new();
    let mut add = |name: &str, title: &str, setup: Setup, workload, tasks, rows| {
        let (store, series) = match setup {
            Postgres(_) => ("postgres", postgres_series(workload)),
            Sqlite(durability) => ("sqlite", sqlite_series(workload, durability)),
        };
        groups.push(Group {
            name: format!("{store}/{name}"),
            title: format!("{}: {title}", if store == "sqlite" { "SQLite" } else { "PostgreSQL" }),
            setup,
            workload,
            tasks,
            rows,
            series,
        });
    };
    for setup in [Sqlite(Full), Postgres(Flush::Disk)] {
        for tasks in [1, 8, 64, 256] {
            let title = format!("look-ups by key, {tasks} at a time");
            add(&format!("get/{tasks}"), &title, setup, Workload::Get, tasks, rows);
        }
        for tasks in [1, 16] {
            let title = format!("pages of 50 rows, filtered and sorted, {tasks} at a time");
            add(&format!("page/{tasks}"), &title, setup, Workload::Page, tasks, rows);
        }
        let rows = if setup.store() == StoreKind::Sqlite { rows } else { rows / 5 };
        let title = format!("all of {} rows, decoded", count(rows as f64));
        add(&format!("scan/{rows}"), &title, setup, Workload::Scan, 1, rows);
    }
    for (name, how, setup) in [
        ("upsert-full", "synchronous=FULL", Sqlite(Full)),
        ("upsert-normal", "synchronous=NORMAL", Sqlite(Normal)),
        ("upsert-1ms", "a flush takes about 1 ms", Postgres(Flush::Millisecond)),
        ("upsert-disk", "the disk as it is", Postgres(Flush::Disk)),
    ] {
        for tasks in [1, 64, 256] {
            let title = format!("durable upserts of single rows, {tasks} at a time, {how}");
            add(&format!("{name}/{tasks}"), &title, setup, Workload::Upsert, tasks, rows);
        }
    }
    for setup in [Sqlite(Full), Postgres(Flush::Disk)] {
        for (name, order) in [("sorted", Order::Sorted), ("shuffled", Order::Shuffled)] {
            for bulk in [10_000, rows] {
                let number = count(bulk as f64);
                let title = format!("one upsert of {number} rows, half of them there, {name}");
                let workload = Workload::Bulk(bulk, order);
                add(&format!("bulk-{name}/{bulk}"), &title, setup, workload, 1, rows);
            }
        }
    }
    groups
}

fn sqlite_series(workload: Workload, durability: Durability) -> Vec<Series> {
    let series = |program| move |(peer, form)| Series { program, peer, form };
    let is_large = matches!(workload, Workload::Bulk(100_000.., _));
    let mut newer = vec![("sora", AsItComes), ("rusqlite", Tuned), ("tokio-rusqlite", Tuned)];
    if !is_large {
        newer.push(("tokio-rusqlite", AsItComes));
    }
    match workload {
        // toasty has no bulk upsert; 10,000 single ones in a transaction show what it offers.
        Workload::Bulk(..) if is_large => {}
        Workload::Bulk(..) => newer.push(("toasty", Tuned)),
        // Only with one connection can it be told what a commit means.
        Workload::Upsert => newer.push(("toasty", Tuned)),
        _ => newer.push(("toasty", AsItComes)),
    }
    if workload == Workload::Upsert && durability == Durability::Full {
        newer.push(("toasty", AsItComes));
    }
    let mut older = vec![("sora", AsItComes), ("rusqlite", Tuned)];
    for peer in ["sqlx", "sea-orm", "diesel"] {
        older.push((peer, Tuned));
        if !is_large {
            older.push((peer, AsItComes));
        }
    }
    let newer = newer.into_iter().map(series(Program::Newer));
    newer.chain(older.into_iter().map(series(Program::Older))).collect()
}

fn postgres_series(workload: Workload) -> Vec<Series> {
    let series = |program| move |(peer, form)| Series { program, peer, form };
    let is_bulk = matches!(workload, Workload::Bulk(..));
    let is_large = matches!(workload, Workload::Bulk(100_000.., _));
    let mut older = vec![("sora", AsItComes), ("tokio-postgres", Tuned)];
    if is_bulk {
        older.push(("sora", SeveralConnections));
    }
    for peer in ["sqlx", "sea-orm", "diesel-async"] {
        older.push((peer, AsItComes));
        if !is_large {
            older.push((peer, Tuned));
        }
    }
    let newer: &[_] = match is_bulk {
        true => &[],
        false => &[("sora", AsItComes), ("toasty", AsItComes)],
    };
    let older = older.into_iter().map(series(Program::Older));
    older.chain(newer.iter().copied().map(series(Program::Newer))).collect()
}
