//! What a run takes: time, CPU of this process and of a server, memory.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};

use crate::Measurement;

/// Where the CPU time of a run is read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Account {
    /// The first process of the server; all others are its children.
    server: Option<u32>,
}

/// The start of a run.
pub(crate) struct Start {
    account: Account,
    at: Instant,
    cpu_ns: u64,
    server: HashMap<u32, u64>,
    resident_bytes: u64,
}

impl Account {
    /// Counts the processes of a server, too: that of the process which answers a connection.
    pub fn with_server(connection: u32) -> Self {
        Self { server: parent(connection) }
    }

    pub(crate) fn start(self) -> Start {
        // Sets the peak to what is resident now; where that is not allowed, peaks are those of the
        // whole process.
        let _ = fs::write("/proc/self/clear_refs", "5");
        Start {
            account: self,
            server: self.server_cpu_ns(),
            resident_bytes: status_bytes("VmRSS:"),
            cpu_ns: own_cpu_ns(),
            at: Instant::now(),
        }
    }

    /// The CPU time of each process of the server.
    fn server_cpu_ns(self) -> HashMap<u32, u64> {
        let Some(server) = self.server else { return HashMap::new() };
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        pids.filter(|pid| *pid == server || parent(*pid) == Some(server))
            .filter_map(|pid| Some((pid, cpu_ns(pid)?)))
            .collect()
    }
}

impl Start {
    /// The time of the start.
    pub(crate) fn at(&self) -> Instant {
        self.at
    }

    /// Ends the run.
    pub(crate) fn end(self, operations: u64) -> Measurement {
        let wall_ns = u64::try_from(self.at.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let cpu_ns = own_cpu_ns() - self.cpu_ns;
        let peak_bytes = status_bytes("VmHWM:").saturating_sub(self.resident_bytes);
        let before = |pid| self.server.get(&pid).copied().unwrap_or(0);
        let server = self.account.server_cpu_ns().into_iter();
        let server_cpu_ns = server.map(|(pid, now)| now.saturating_sub(before(pid))).sum();
        Measurement {
            operations,
            wall_ns,
            cpu_ns,
            server_cpu_ns,
            peak_bytes,
            ..Measurement::default()
        }
    }
}

fn own_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec.cast_unsigned() * 1_000_000_000 + time.tv_nsec.cast_unsigned()
}

/// The CPU time of a process of one thread, by its scheduler; `stat` has it in steps of 10 ms only.
fn cpu_ns(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/schedstat")).ok()?;
    text.split(' ').next()?.parse().ok()
}

fn parent(pid: u32) -> Option<u32> {
    let line = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name of the program, in parentheses, may hold spaces and parentheses.
    let (_, rest) = line.rsplit_once(") ")?;
    rest.split(' ').nth(1)?.parse().ok()
}

fn status_bytes(field: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1_024
}
