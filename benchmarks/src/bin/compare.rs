//! Runs probes side by side and prints ratios: `compare instructions|wall|import`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: compare WHAT
  instructions   of a get, a page and an upsert, by callgrind (valgrind must be installed)
  wall           of a get and a page, 9 interleaved pairs
  import SORA    CPU seconds of an import of 1,000,000 rows by the program SORA, 9 interleaved pairs";

const ROWS: u64 = 100_000;
const PAIRS: usize = 9;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let folder = std::env::temp_dir().join("sora-benchmarks");
    std::fs::create_dir_all(&folder)?;
    match *arguments {
        ["instructions"] => instructions(&folder),
        ["wall"] => wall(&folder),
        ["import", sora] => import(&folder, sora),
        _ => Err(USAGE.into()),
    }
}

/// Counts each loop at two lengths: the difference leaves out what happens once.
fn instructions(folder: &Path) -> Result<()> {
    let database = database(folder)?;
    println!("instructions per operation, table of {ROWS} rows");
    for (what, short, long) in [("get", 1_000, 6_000), ("page", 100, 600), ("upsert", 1_000, 6_000)]
    {
        let count = |side: &str| -> Result<f64> {
            let probe = format!("{side}-{what}");
            let difference =
                callgrind(&probe, long, &database)? - callgrind(&probe, short, &database)?;
            Ok(difference / (long - short) as f64)
        };
        let (floor, sora) = (count("floor")?, count("sora")?);
        println!("{what:>6}: rusqlite {floor:>9.0}   sora {sora:>9.0}   ratio {:.3}", sora / floor);
    }
    Ok(())
}

fn callgrind(probe: &str, count: u64, database: &Path) -> Result<f64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(probe_program()?)
        .args([probe, &count.to_string()])
        .arg(database)
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    let (_, collected) = collected.ok_or_else(|| format!("valgrind failed: {log}"))?;
    Ok(collected.trim().parse()?)
}

fn wall(folder: &Path) -> Result<()> {
    let database = database(folder)?;
    println!("wall time, {PAIRS} interleaved pairs, table of {ROWS} rows, one task");
    for (what, count) in [("get", 200_000), ("page", 5_000)] {
        let mut ratios = Vec::new();
        let mut nanos: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for _ in 0..PAIRS {
            let mut run = |side: &'static str| -> Result<f64> {
                let time = timed(&format!("{side}-{what}"), count, &database)? / count as f64;
                nanos.entry(side).or_default().push(time);
                Ok(time)
            };
            ratios.push(run("sora")? / run("floor")?);
        }
        let median = |side: &str| quartiles(&nanos[side]).1;
        let (low, middle, high) = quartiles(&ratios);
        println!(
            "{what:>5}: rusqlite {:>8.0} ns   sora {:>8.0} ns   ratio {middle:.3} (quartiles {low:.3} to {high:.3})",
            median("floor"),
            median("sora")
        );
    }
    Ok(())
}

fn timed(probe: &str, count: u64, file: &Path) -> Result<f64> {
    let output =
        Command::new(probe_program()?).args([probe, &count.to_string()]).arg(file).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().parse()?)
}

fn import(folder: &Path, sora: &str) -> Result<()> {
    const CHUNK: &str = "10000";
    let csv = folder.join("item.csv");
    if !csv.exists() {
        timed("csv", 1_000_000, &csv)?;
    }
    println!("CPU seconds of an import of 1,000,000 rows, chunks of {CHUNK}, synchronous=FULL");
    let mut ratios = Vec::new();
    for _ in 0..PAIRS {
        let floor_db = PathBuf::from(format!("{}.floor.db", csv.display()));
        let sora_db = folder.join("sora.db");
        for database in [&floor_db, &sora_db] {
            for ending in ["", "-wal", "-shm"] {
                let _ = std::fs::remove_file(format!("{}{ending}", database.display()));
            }
        }
        let floor =
            cpu_seconds(Command::new(probe_program()?).args(["floor-import", CHUNK]).arg(&csv))?;
        let store = format!("sqlite:{}", sora_db.display());
        let sora = cpu_seconds(
            Command::new(sora)
                .arg("import")
                .arg(&csv)
                .args(["--store", &store, "--table", "item", "--key", "id", "--batch", CHUNK]),
        )?;
        println!("  rusqlite {floor:.2} s   sora {sora:.2} s   ratio {:.3}", sora / floor);
        ratios.push(sora / floor);
    }
    let (low, middle, high) = quartiles(&ratios);
    println!("ratio {middle:.3} (quartiles {low:.3} to {high:.3})");
    Ok(())
}

/// User and system time of a command that has ended, by the shell's own accounting.
fn cpu_seconds(command: &mut Command) -> Result<f64> {
    let mut line = format!("{:?}", command.get_program());
    for argument in command.get_args() {
        line += &format!(" {argument:?}");
    }
    let output = Command::new("bash")
        .args(["-c", &format!("TIMEFORMAT='%U %S'; time {line} >/dev/null 2>&1")])
        .output()?;
    let times = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(format!("failed: {line}").into());
    }
    times.split_whitespace().map(|time| Ok(time.parse::<f64>()?)).sum()
}

fn database(folder: &Path) -> Result<PathBuf> {
    let database = folder.join("item.db");
    if !database.exists() {
        timed("make", ROWS, &database)?;
    }
    Ok(database)
}

fn probe_program() -> Result<PathBuf> {
    Ok(std::env::current_exe()?.with_file_name("probe"))
}

fn quartiles(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    (at(0.25), at(0.5), at(0.75))
}
