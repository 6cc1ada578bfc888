//! What surrounds the process: variables and files.

use std::env;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Variables and files; tests have their own.
pub(crate) trait Environment {
    /// A variable that is set and not empty.
    fn variable(&self, name: &str) -> Option<String>;

    /// Whether something is at the path.
    fn exists(&self, path: &Path) -> bool;

    /// Reads a file of secrets.
    fn secret_file(&self, path: &Path) -> io::Result<SecretFile>;

    /// A path below the home of the user.
    fn at_home(&self, path: &str) -> Option<PathBuf> {
        let home = self.variable("HOME")?;
        Some(Path::new(&home).join(path))
    }
}

/// A file of secrets as it was found.
pub(crate) struct SecretFile {
    pub(crate) text: String,
    /// Whether others than its owner may do anything with it.
    pub(crate) is_open: bool,
}

/// The environment of this process.
pub(crate) struct ProcessEnvironment;

/// A password file is small; more is another file by mistake.
const SECRET_BYTES_MAX: u64 = 1 << 20;

impl Environment for ProcessEnvironment {
    fn variable(&self, name: &str) -> Option<String> {
        env::var(name).ok().filter(|value| !value.is_empty())
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn secret_file(&self, path: &Path) -> io::Result<SecretFile> {
        // Asked before it is opened: opening a pipe would wait for whoever writes into it.
        if !fs::metadata(path)?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a plain file"));
        }
        let file = File::open(path)?;
        let is_open = is_open(&file.metadata()?);
        let mut text = String::new();
        file.take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
        Ok(SecretFile { text, is_open })
    }
}

#[cfg(unix)]
fn is_open(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;

    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open(_: &fs::Metadata) -> bool {
    false
}
