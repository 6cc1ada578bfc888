//! The memory of this process, as the operating system counts it.

use std::fs;

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resident {
    /// Now.
    pub(super) now: u64,
    /// The most since [`forget_peak`].
    pub(super) peak: u64,
}

/// Returns the resident memory, where the system tells: on Linux.
pub(super) fn resident() -> Option<Resident> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    Some(Resident { now: field(&status, "VmRSS:")?, peak: field(&status, "VmHWM:")? })
}

/// Starts the peak anew. Where that is refused, the peak is that of the whole process.
pub(super) fn forget_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// Reads a line such as `VmRSS:     1234 kB`.
fn field(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_status_of_a_process() {
        let status = "Name:\tsora\nVmHWM:\t    9000 kB\nVmRSS:\t    8192 kB\n";
        assert_eq!(field(status, "VmRSS:"), Some(8 * 1024 * 1024));
        assert_eq!(field(status, "VmSwap:"), None);
    }
}
