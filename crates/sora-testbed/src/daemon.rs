//! A running server process in its guarded directory.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::guard::Guard;

/// How long a server may take until it is ready.
const READY_MAX: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(5);
/// What is shown of a server's log when it does not start.
const LOG_LINES_MAX: usize = 8;

/// A server process, its log and its directory; dropping it stops the one and removes the other.
#[derive(Debug)]
pub(crate) struct Daemon {
    guard: Guard,
    process: Mutex<Option<Child>>,
}

impl Daemon {
    pub(crate) fn new(guard: Guard) -> Self {
        Self { guard, process: Mutex::new(None) }
    }

    pub(crate) fn directory(&self) -> &Path {
        self.guard.directory()
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.directory().join("log")
    }

    /// Starts the server and waits until it is ready.
    pub(crate) fn start(
        &self,
        mut command: Command,
        is_ready: impl Fn() -> bool,
    ) -> io::Result<()> {
        let mut process = self.process();
        if process.is_some() {
            return Err(io::Error::other("the server runs already"));
        }
        let log = File::options().create(true).append(true).open(self.log())?;
        let mut child = command.stdout(log.try_clone()?).stderr(log).spawn()?;
        let started = Instant::now();
        while !is_ready() {
            let what = match child.try_wait()? {
                Some(status) => format!("ended ({status})"),
                None if started.elapsed() > READY_MAX => "is not ready".to_owned(),
                None => {
                    thread::sleep(POLL);
                    continue;
                }
            };
            // It may still run; the guard ends what works in the directory.
            let _ = child.kill();
            let _ = child.wait();
            let program = command.get_program().display();
            let message = format!("the server {program} {what}; its log ends: {}", self.log_end());
            return Err(io::Error::other(message));
        }
        *process = Some(child);
        Ok(())
    }

    /// Sends a signal to the server process alone.
    pub(crate) fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(self.pid()?, signal)?)
    }

    /// Sends a signal to the server process and then to all that it has started.
    pub(crate) fn signal_all(&self, signal: Signal) -> io::Result<()> {
        let server = self.pid()?;
        for pid in std::iter::once(server).chain(children(server)) {
            // It may have ended by itself.
            let _ = kill_process(pid, signal);
        }
        Ok(())
    }

    /// Kills the server and all that it has started, as a crash does, and waits until they are gone.
    pub(crate) fn kill(&self) -> io::Result<()> {
        let server = self.pid()?;
        // Stopped, it starts nothing that would be missed; nor does it see its children die.
        kill_process(server, Signal::STOP)?;
        let children: Vec<Pid> = children(server).collect();
        for pid in children.iter().copied().chain([server]) {
            let _ = kill_process(pid, Signal::KILL);
        }
        self.reap()?;
        let started = Instant::now();
        while children.iter().any(|pid| is_alive(*pid)) {
            if started.elapsed() > READY_MAX {
                return Err(io::Error::other("processes of the server outlived SIGKILL"));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// Waits for the end of the server process.
    pub(crate) fn reap(&self) -> io::Result<()> {
        match self.process().take() {
            Some(mut child) => child.wait().map(|_| ()),
            None => Ok(()),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process().is_some()
    }

    fn pid(&self) -> io::Result<Pid> {
        let process = self.process();
        let child = process.as_ref().ok_or_else(|| io::Error::other("the server does not run"))?;
        Ok(Pid::from_child(child))
    }

    fn process(&self) -> MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log_end(&self) -> String {
        let text = fs::read(self.log()).unwrap_or_default();
        end_of(&String::from_utf8_lossy(&text))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The guard ends it; it is waited for behind that, so that no dead process stays.
        let child = self.process().take();
        self.guard.finish();
        if let Some(mut child) = child {
            let _ = child.wait();
        }
    }
}

/// Runs a program to its end.
///
/// # Errors
///
/// With the last lines of what it said.
pub(crate) fn run(mut command: Command) -> io::Result<()> {
    let Output { status, stdout, stderr } = command.output()?;
    if status.success() {
        return Ok(());
    }
    let said = [stdout, stderr].concat();
    let program = command.get_program().display();
    let message =
        format!("{program} failed ({status}): {}", end_of(&String::from_utf8_lossy(&said)));
    Err(io::Error::other(message))
}

/// Asks again and again until something is so.
///
/// # Errors
///
/// What the question says, and if it takes more than a minute: with `what` should be so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> io::Result<bool>) -> io::Result<()> {
    let started = Instant::now();
    while !is_so()? {
        if started.elapsed() > READY_MAX {
            let message = format!("waited for {} s until {what}", READY_MAX.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, message));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

fn end_of(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(LOG_LINES_MAX)..].join(" | ")
}

/// The processes whose parent is the given one, by `/proc`.
fn children(parent: Pid) -> impl Iterator<Item = Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Pid::from_raw)
        .filter(move |pid| state(*pid).is_some_and(|(_, of)| of == parent))
}

/// Whether a process runs: what is dead and only not yet waited for does not.
fn is_alive(pid: Pid) -> bool {
    state(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// The state and the parent of a process.
fn state(pid: Pid) -> Option<(char, Pid)> {
    let line = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
    // The name of the program, in parentheses, may hold spaces and parentheses.
    let (_, rest) = line.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?.chars().next()?;
    Some((state, Pid::from_raw(fields.next()?.parse().ok()?)?))
}
