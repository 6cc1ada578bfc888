//! What stops a server and removes its directory when the test process is gone.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::geteuid;

/// The user and group of servers when the tests are run by root: `nobody`.
const NOBODY: u32 = 65_534;

/// Waits for the end of its input, which only the test process holds open; then stops every process
/// that works in the directory (servers do), and removes it. `-ef` compares directories without a
/// process for each; a dead one has none. A server that was killed leaves a segment of shared memory.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
while read -r _; do :; done
exec 2>/dev/null
directory=$1
works_here() { [ "/proc/$1/cwd" -ef "$directory" ] || [ "/proc/$1/cwd" -ef "$directory/data" ]; }
signal_all() {
    for process in /proc/[0-9]*; do
        process=${process#/proc/}
        works_here "$process" && kill "-$1" "$process"
    done
}
signal_all CONT
server=$(head -n 1 "$directory/data/postmaster.pid")
if [ -n "$server" ] && works_here "$server"; then
    kill -QUIT "$server"
    waited=0
    while works_here "$server" && [ "$waited" -lt 200 ]; do sleep 0.05; waited=$((waited + 1)); done
fi
signal_all KILL
segment=$(sed -n '7s/.* //p' "$directory/data/postmaster.pid")
[ -n "$segment" ] && ipcrm -m "$segment"
rm -rf "$@"
[ -e "$directory" ] && sleep 0.2 && rm -rf "$@"
exit 0
"#;

/// A directory of a server, and the process that cleans up behind it.
#[derive(Debug)]
pub(crate) struct Guard {
    directory: PathBuf,
    process: Child,
}

impl Guard {
    /// Makes a directory that the server may write to, and guards it; `others` is removed with it.
    pub(crate) fn new(name: &str, others: &[PathBuf]) -> io::Result<Self> {
        let directory = private_directory(name, &std::env::temp_dir())?;
        let process = Command::new("sh")
            .args(["-c", SCRIPT, "sora-testbed-guard"])
            .arg(&directory)
            .args(others)
            .current_dir("/")
            // Out of the group that Ctrl-C and the runners of tests end.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match process {
            Ok(process) => Ok(Self { directory, process }),
            Err(error) => {
                // Nothing is in it yet.
                let _ = fs::remove_dir(&directory);
                Err(error)
            }
        }
    }

    /// Stops what works in the directory and removes it.
    pub(crate) fn finish(&mut self) {
        drop(self.process.stdin.take());
        // It ends by itself, in bounded time.
        let _ = self.process.wait();
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.finish();
    }
}

/// Makes a directory of a random name that the user of servers owns.
pub(crate) fn private_directory(name: &str, parent: &Path) -> io::Result<PathBuf> {
    let directory = tempfile::Builder::new().prefix(&format!("sora-{name}-")).tempdir_in(parent)?;
    give(directory.path())?;
    Ok(directory.keep())
}

/// Gives a file or directory to the user of servers.
pub(crate) fn give(path: &Path) -> io::Result<()> {
    if geteuid().is_root() { chown(path, Some(NOBODY), Some(NOBODY)) } else { Ok(()) }
}

/// Returns a command that runs in a directory as the user of servers, with nothing of the test's own
/// environment.
pub(crate) fn unprivileged(program: &Path, directory: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .current_dir(directory)
        .env_clear()
        .envs([("LC_ALL", "C"), ("PATH", "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin")])
        .env("HOME", directory)
        .process_group(0)
        .stdin(Stdio::null());
    if geteuid().is_root() {
        // Without the groups of root, too: the standard library drops them with the user.
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}
