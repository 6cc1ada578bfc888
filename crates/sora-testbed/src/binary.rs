//! The programs of servers, where they are installed.

use std::cmp::Reverse;
use std::env;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Where Debian puts the programs of PostgreSQL: a directory for each version.
const VERSIONS: &str = "/usr/lib/postgresql";

/// A program that is not installed, and the package that holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The name of the program.
    pub binary: &'static str,
    /// The package of Debian that holds it.
    pub package: &'static str,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { binary, package } = self;
        write!(
            f,
            "the program `{binary}` is missing: `apt-get install {package}`, or \
             `cargo xtask ci --install-services`"
        )
    }
}

/// Returns the programs that the tests need and that are not installed.
pub fn missing() -> Vec<Missing> {
    PROGRAMS.iter().filter(|program| find(program.binary).is_none()).copied().collect()
}

const PROGRAMS: [Missing; 4] = [
    Missing { binary: "postgres", package: "postgresql" },
    Missing { binary: "initdb", package: "postgresql" },
    Missing { binary: "pgbouncer", package: "pgbouncer" },
    Missing { binary: "redis-server", package: "redis-server" },
];

/// Returns the path of a program that stands alone.
///
/// # Errors
///
/// Says what is missing and how to get it.
pub(crate) fn program(binary: &str) -> io::Result<PathBuf> {
    find(binary).ok_or_else(|| {
        let known = PROGRAMS.iter().find(|program| program.binary == binary);
        let message = match known {
            Some(missing) => missing.to_string(),
            None => format!("the program `{binary}` is missing: `apt-get install postgresql`"),
        };
        io::Error::new(io::ErrorKind::NotFound, message)
    })
}

/// Returns the path of a program of PostgreSQL: of the version whose server is found first, so that
/// two installed versions are not mixed.
pub(crate) fn postgres_program(binary: &str) -> io::Result<PathBuf> {
    let server = fs::canonicalize(program("postgres")?)?;
    let sibling = server.with_file_name(binary);
    if sibling.is_file() { Ok(sibling) } else { program(binary) }
}

fn find(binary: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(versions(Path::new(VERSIONS)))
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|directory| directory.join(binary))
        .find(|path| path.is_file())
}

/// Returns the directories of programs, the newest version first.
fn versions(root: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(root).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    let number =
        |path: &PathBuf| path.file_name().and_then(OsStr::to_str)?.parse::<f64>().ok().map(whole);
    found.sort_by_key(|path| Reverse(number(path)));
    found.into_iter().map(|path| path.join("bin")).collect()
}

/// Versions before 10 have a point: 9.6 is older than 10.
#[expect(clippy::cast_possible_truncation, reason = "versions are small numbers")]
fn whole(version: f64) -> i64 {
    (version * 100.0) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_first() {
        let root = tempfile::tempdir().expect("a directory");
        for version in ["9.6", "15", "18", "x"] {
            fs::create_dir(root.path().join(version)).expect("a directory");
        }
        let found = versions(root.path());
        let expected = ["18", "15", "9.6", "x"].map(|name| root.path().join(name).join("bin"));
        assert_eq!(found, expected);
    }

    #[test]
    fn what_is_missing_says_how_to_get_it() {
        let error = program("no-such-program").expect_err("missing");
        assert!(error.to_string().contains("apt-get install"), "{error}");
        for program in PROGRAMS {
            let missing = program.to_string();
            let install = format!("`apt-get install {}`", program.package);
            assert!(missing.contains(&install), "{missing}");
            assert!(missing.contains("`cargo xtask ci --install-services`"), "{missing}");
        }
    }
}
