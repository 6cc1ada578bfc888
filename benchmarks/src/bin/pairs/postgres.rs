//! Sora on PostgreSQL beside a pool of connections, in one program.

use std::thread;
use std::time::Duration;

use sora_benchmarks::{
    Durability, Flush, Form, Measurement, Order, Peers, PostgresServer, StoreKind, Task, Workload,
};

use crate::Result;
use crate::rounds::{Options, quartiles};

const FLOOR: &str = "tokio-postgres";
const SORA: &str = "sora";

/// Between runs that write.
const SETTLE: Duration = Duration::from_millis(200);

/// `tasks` is how many rows a bulk upsert has.
pub(crate) fn run(options: &Options, what: &str, tasks: u64) -> Result<()> {
    let workload = match what {
        "bulk" => Workload::Bulk(tasks, Order::Sorted),
        "get" => Workload::Get,
        "page" => Workload::Page,
        "upsert" => Workload::Upsert,
        _ => return Err("postgres takes bulk, get, page or upsert".into()),
    };
    let is_bulk = matches!(workload, Workload::Bulk(..));
    let is_write = is_bulk || workload == Workload::Upsert;
    let mut server = None;
    let place = match &options.url {
        Some(url) => url.clone(),
        None => {
            let flush = if is_bulk { Flush::Disk } else { Flush::Millisecond };
            let server = server.insert(PostgresServer::start(flush)?);
            if is_write { server.copy(options.rows)? } else { server.table(options.rows)? }
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut peers = Peers::new()?;
    let mut one = |server: &mut Option<PostgresServer>, peer: &str, round| {
        if let Some(server) = server.as_mut().filter(|_| is_bulk) {
            // Each finds a copy that nobody has written, and whose connections are new.
            server.copy(options.rows)?;
            peers = Peers::new()?;
        }
        let task = Task {
            peer: peer.into(),
            form: Form::AsItComes,
            store: StoreKind::Postgres,
            place: place.clone(),
            durability: Durability::Full,
            workload,
            tasks,
            rows: options.rows,
            round,
            time_ms: (options.seconds * 1e3) as u64,
        };
        let measured = runtime.block_on(peers.run(&task, &|_| None));
        if is_write {
            thread::sleep(SETTLE);
        }
        measured
    };
    let (mut floors, mut soras) = (Vec::new(), Vec::new());
    // The first round opens connections and warms up.
    for round in 0..=options.pairs as u64 {
        let mut sides = [(FLOOR, &mut floors), (SORA, &mut soras)];
        if round % 2 == 1 {
            // Neither is always the first.
            sides.reverse();
        }
        for (peer, runs) in sides {
            if options.alone.as_deref().is_some_and(|alone| alone != peer) {
                continue;
            }
            let measurement = one(&mut server, peer, round)?;
            if round > 0 {
                runs.push(measurement);
            }
        }
        if let Some(server) = server.as_ref().filter(|_| is_write && !is_bulk) {
            server.clean()?;
        }
    }
    let unit = if is_bulk { "rows, table of" } else { "tasks," };
    println!("postgres {what} of {tasks} {unit} {} rows: {} pairs", options.rows, options.pairs);
    tell(FLOOR, &floors);
    tell(SORA, &soras);
    compare("rate", &floors, &soras, Measurement::rate);
    compare("CPU", &floors, &soras, Measurement::cpu_each_ns);
    compare("client", &floors, &soras, client_us);
    compare("server", &floors, &soras, server_us);
    Ok(())
}

fn tell(name: &str, runs: &[Measurement]) {
    if runs.is_empty() {
        return;
    }
    let middle = |of: &dyn Fn(&Measurement) -> f64| quartiles(runs.iter().map(of)).1;
    println!(
        "  {name:>14} {:>8.0}/s  CPU us each: client {:.2} server {:.2}   p50 {:.0} us  p99 {:.0} us",
        middle(&Measurement::rate),
        middle(&client_us),
        middle(&server_us),
        middle(&|run| run.p50_ns as f64 / 1e3),
        middle(&|run| run.p99_ns as f64 / 1e3),
    );
}

fn compare(
    what: &str,
    floors: &[Measurement],
    soras: &[Measurement],
    of: impl Fn(&Measurement) -> f64,
) {
    if floors.is_empty() || soras.is_empty() {
        return;
    }
    let ratios = floors.iter().zip(soras).map(|(floor, sora)| of(sora) / of(floor));
    let (low, middle, high) = quartiles(ratios);
    println!("  {what:<7} ratio {middle:.3} (quartiles {low:.3} to {high:.3})");
}

fn client_us(run: &Measurement) -> f64 {
    run.cpu_ns as f64 / 1e3 / run.operations.max(1) as f64
}

fn server_us(run: &Measurement) -> f64 {
    run.server_cpu_ns as f64 / 1e3 / run.operations.max(1) as f64
}
