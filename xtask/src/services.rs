//! The servers that the tests need: found, installed, started.

use std::env;
use std::process::{Command, Stdio};

use sora_testbed::{
    POSTGRES_URL, Postgres, PostgresOptions, REDIS_URL, Redis, RedisOptions, missing,
};

/// What is done about servers that are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Services {
    /// It is said what is missing, and how to get it.
    Found,
    /// They are installed.
    Installed,
}

/// Installs packages without starting what they hold: Debian asks `policy-rc.d`. An index of packages
/// that cannot be fetched may be good enough as it is.
const SCRIPT: &str = r#"
set -e
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq || true
apt-get install -y -qq --no-install-recommends "$@"
"#;

impl Services {
    /// Makes sure that what the tests start is there.
    pub(crate) fn check(self) -> Result<(), String> {
        if self == Self::Installed {
            install()?;
        }
        let missing: Vec<String> = missing().iter().map(ToString::to_string).collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(missing.join("\n       ")),
        }
    }
}

/// The servers that all tests share; none where one is given. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Shared {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
}

impl Shared {
    /// Starts them.
    pub(crate) fn start() -> Result<Self, String> {
        let is_given = |variable| env::var_os(variable).is_some();
        let postgres = match is_given(POSTGRES_URL) {
            true => Ok(None),
            false => Postgres::start(&PostgresOptions::new()).map(Some),
        };
        let redis = match is_given(REDIS_URL) {
            true => Ok(None),
            false => Redis::start(&RedisOptions::new()).map(Some),
        };
        let text = |error: std::io::Error| error.to_string();
        Ok(Self { postgres: postgres.map_err(text)?, redis: redis.map_err(text)? })
    }

    /// The variables that say to the tests where they are.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        let postgres = self.postgres.as_ref();
        let postgres = postgres.map(|postgres| (POSTGRES_URL, postgres.url("postgres")));
        let redis = self.redis.as_ref().map(|redis| (REDIS_URL, redis.url()));
        postgres.into_iter().chain(redis).collect()
    }
}

fn install() -> Result<(), String> {
    let mut packages: Vec<&str> = missing().iter().map(|missing| missing.package).collect();
    packages.dedup();
    if packages.is_empty() {
        return Ok(());
    }
    let (program, before): (&str, &[&str]) = match is_root() {
        true => ("sh", &[]),
        false => ("sudo", &["-n", "sh"]),
    };
    eprintln!("\n== services: apt-get install {}", packages.join(" "));
    let status = Command::new(program)
        .args(before)
        .args(["-c", SCRIPT, "install-services"])
        .args(&packages)
        .stdin(Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!(
            "the servers of the tests could not be installed; as root: apt-get install {}",
            packages.join(" ")
        )),
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
