//! Look-ups that are answered from memory: `instructions` by callgrind, `wall` in turn.
//!
//! All hold 50,000 rows behind an `Arc`, by text keys, and are asked for them at random; the keys are
//! given by reference. Sora is asked through `Repository::get`, with an observer attached.

mod outages;
mod remote;
mod sides;

use std::collections::BTreeMap;
use std::error::Error;
use std::process::Command;
use std::process::ExitCode;

use self::sides::{LOOP, SIDES, Side};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: sora-benchmarks-cache WHAT
  instructions   of one look-up, and allocations in all of them, by callgrind (valgrind must be installed)
  wall           9 interleaved rounds of 1,000,000 look-ups each, one task and two
  remote [TASKS] 9 interleaved pairs of single look-ups in the Redis tier and by the redis crate itself, of
                 1, 16 and 256 tasks if it is not said (redis-server must be installed)
  remote direct|tier|told|entity TASKS SECONDS   one side alone; told is a tier with a listener, entity a repository
                 whose rows are in Redis alone
  outages        what requests notice while Redis is away, late or back without its data, as a table (PostgreSQL
                 and redis-server must be installed)
  probe SIDE N   N look-ups of one side: what the others run";

/// The one that others are compared with.
const FLOOR: &str = "quick_cache";
const ROUNDS: usize = 9;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match *arguments {
        ["instructions"] => instructions(),
        ["wall"] => wall(),
        ["remote"] => [1, 16, 256].into_iter().try_for_each(remote::compare),
        ["remote", tasks] => remote::compare(number("TASKS", tasks)?),
        ["remote", side, tasks, seconds] => {
            remote::alone(side, number("TASKS", tasks)?, number("SECONDS", seconds)?)
        }
        ["outages"] => outages::run(),
        ["probe", side, count] => sides::find(side)?.probe(number("N", count)?),
        _ => Err(USAGE.into()),
    }
}

/// Reads a number of the command line.
fn number<N: std::str::FromStr>(what: &str, text: &str) -> Result<N> {
    text.parse().map_err(|_| format!("{what} is a number, not {text:?}").into())
}

/// Counts each loop at two lengths, and nothing outside it: the difference leaves out what happens once,
/// and how the map was filled, which differs from run to run by more than the look-ups need.
fn instructions() -> Result<()> {
    const SHORT: u64 = 20_000;
    const LONG: u64 = 220_000;
    println!("{:>14}  instructions  ratio  allocations of {}", "", LONG - SHORT);
    let mut floor = None;
    for side in SIDES {
        let [short, long] = [SHORT, LONG].map(|count| callgrind(side, count));
        let (Some(short), Some(long)) = (short?, long?) else {
            println!("{:>14}  does not run under valgrind", side.name);
            continue;
        };
        let each = (long.0 - short.0) / (LONG - SHORT) as f64;
        let floor = *floor.get_or_insert(each);
        let allocations = long.1.saturating_sub(short.1);
        println!("{:>14}  {each:>12.1}  {:>5.2}  {allocations:>11}", side.name, each / floor);
    }
    Ok(())
}

/// Returns the instructions, and the calls of the allocator, of the loop of one run; none if the run
/// came to nothing.
fn callgrind(side: &Side, count: u64) -> Result<Option<(f64, u64)>> {
    let file = std::env::temp_dir().join(format!("sora-cache-{}.callgrind", std::process::id()));
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", &format!("--callgrind-out-file={}", file.display())])
        .args(["--dump-instr=yes", &format!("--toggle-collect=*{LOOP}*")])
        .arg(std::env::current_exe()?)
        .args(["probe", side.name, &count.to_string()])
        .output()?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split_once("Collected : "));
    let (_, collected) = collected.ok_or_else(|| format!("valgrind failed: {log}"))?;
    let text = std::fs::read_to_string(&file)?;
    std::fs::remove_file(&file)?;
    let collected: f64 = collected.trim().parse()?;
    Ok((output.status.success() && collected > 0.0).then(|| (collected, calls_of_malloc(&text))))
}

/// Adds up the calls of `malloc` and its like in callgrind's own format, by how often the first
/// instruction of each was counted: the first line of costs, `ADDRESS LINE COUNT`, below `fn=(id) name`.
/// A name is written once, here or as that of one who is called, and known by its number from there on.
fn calls_of_malloc(text: &str) -> u64 {
    const NAMES: [&str; 5] = ["malloc", "calloc", "realloc", "posix_memalign", "aligned_alloc"];
    let mut calls: BTreeMap<&str, Option<u64>> = BTreeMap::new();
    let mut within = None;
    for line in text.lines() {
        let function = line.strip_prefix("cfn=").or_else(|| line.strip_prefix("fn="));
        if let Some(function) = function {
            let (id, name) = function.split_once(' ').unwrap_or((function, ""));
            if NAMES.contains(&name) {
                calls.entry(id).or_default();
            }
            within = line.starts_with("fn=").then_some(id);
        } else if let Some(calls @ None) = within.and_then(|id| calls.get_mut(id)) {
            *calls = line.split(' ').nth(2).and_then(|count| count.parse().ok());
        }
    }
    calls.into_values().flatten().sum()
}

fn wall() -> Result<()> {
    const COUNT: u64 = 1_000_000;
    for tasks in [1, 2] {
        let mut nanos: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for round in 0..=ROUNDS {
            let mut sides: Vec<&Side> = SIDES.iter().collect();
            if round % 2 == 1 {
                sides.reverse();
            }
            for side in sides {
                let spent = side.timed(tasks, COUNT)?;
                // The first round warms up.
                if round > 0 {
                    nanos.entry(side.name).or_default().push(spent / COUNT as f64);
                }
            }
        }
        println!("{tasks} tasks         ns a look-up  time over that of {FLOOR} (quartiles)");
        for side in SIDES {
            let ratios: Vec<f64> = nanos[side.name]
                .iter()
                .zip(&nanos[FLOOR])
                .map(|(own, floor)| own / floor)
                .collect();
            let (low, middle, high) = quartiles(&ratios);
            let (_, each, _) = quartiles(&nanos[side.name]);
            println!("{:>14}  {each:>12.0}  {middle:>5.2} ({low:.2} to {high:.2})", side.name);
        }
    }
    Ok(())
}

fn quartiles(values: &[f64]) -> (f64, f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted[((sorted.len() - 1) as f64 * share).round() as usize];
    (at(0.25), at(0.5), at(0.75))
}
