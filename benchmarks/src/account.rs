//! What a run takes: time, CPU of this process and of a server, memory; and on which CPUs they run.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::{Measurement, Result};

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

    /// Keeps this program and the server to one CPU, or lets them run on all of `cpus`.
    ///
    /// A task that waits for each answer leaves it to the kernel whether the two share a CPU or wake
    /// each other across two. One costs three times what the other does, and which of them a run gets
    /// is chance.
    pub(crate) fn keep_to(self, cpus: &CpuSet, is_one: bool) -> Result<()> {
        let mut one = CpuSet::new();
        if let Some(first) = (0..CpuSet::MAX_CPU).find(|cpu| cpus.is_set(*cpu)) {
            one.set(first);
        }
        let kept = if is_one { &one } else { cpus };
        let threads = processes("/proc/self/task").collect::<Vec<_>>();
        for thread in threads.into_iter().chain(self.server_processes()) {
            let Some(id) = i32::try_from(thread).ok().and_then(Pid::from_raw) else { continue };
            match sched_setaffinity(Some(id), kept) {
                // It has ended by now.
                Err(rustix::io::Errno::SRCH) => {}
                set => set?,
            }
        }
        Ok(())
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
        self.server_processes().filter_map(|pid| Some((pid, cpu_ns(pid)?))).collect()
    }

    fn server_processes(self) -> impl Iterator<Item = u32> {
        let is_server = |pid: u32, server| pid == server || parent(pid) == Some(server);
        let server = self.server.into_iter();
        server.flat_map(move |server| processes("/proc").filter(move |pid| is_server(*pid, server)))
    }
}

/// The CPUs that this program may run on.
pub(crate) fn all_cpus() -> Result<CpuSet> {
    Ok(sched_getaffinity(None)?)
}

/// The processes, or threads, that have an entry in a directory.
fn processes(directory: &str) -> impl Iterator<Item = u32> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
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
