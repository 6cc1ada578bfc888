//! What the errors of Redis mean.

use redis::ServerError;
use sora_core::{Error, ErrorKind, Retry};

/// What a server said.
pub(crate) fn of_server(error: &ServerError) -> Error {
    let (kind, message) = match error.code() {
        "BUSY" => (ErrorKind::Busy, "a script keeps the Redis server busy"),
        "LOADING" => (ErrorKind::Unavailable, "the Redis server loads its data"),
        "MOVED" | "ASK" | "TRYAGAIN" | "CROSSSLOT" => {
            (ErrorKind::Unavailable, "keys move between nodes of the Redis cluster")
        }
        "CLUSTERDOWN" | "MASTERDOWN" => (ErrorKind::Unavailable, "the Redis cluster is down"),
        "READONLY" => (ErrorKind::Unavailable, "the Redis server became a replica"),
        "OOM" => {
            (ErrorKind::Unavailable, "the Redis server is full: raise maxmemory, or let it evict")
        }
        "MISCONF" | "NOREPLICAS" => (ErrorKind::Unavailable, "the Redis server refuses writes"),
        "NOPERM" => (ErrorKind::Store, "the user may not do this in Redis: see docs of sora-redis"),
        "NOAUTH" | "WRONGPASS" => (ErrorKind::Store, "Redis asks for a user and a password"),
        _ => (ErrorKind::Store, "the Redis server refused a command"),
    };
    Error::new(kind, message).with("code", error.code())
}

/// What became of commands whose connection was lost: they may have been done.
pub(crate) fn lost() -> Error {
    Error::new(ErrorKind::Unavailable, "the connection to Redis was lost")
        .with_retry(Retry::IfIdempotent)
}

/// What was not sent, because what was sent before is not answered.
pub(crate) fn owing() -> Error {
    Error::new(ErrorKind::Busy, "Redis owes too many replies: ask again later, or less at once")
}

/// A command that took too long: it may have been done.
pub(crate) fn timeout(timeout_ms: u64) -> Error {
    Error::new(ErrorKind::Timeout, "Redis did not answer in time")
        .with("command_timeout_ms", timeout_ms)
        .with_retry(Retry::IfIdempotent)
}

/// What was not sent at all.
pub(crate) fn unavailable(why: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("Redis is not reachable: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for (code, kind, retry) in [
            ("LOADING", ErrorKind::Unavailable, Retry::Safe),
            ("BUSY", ErrorKind::Busy, Retry::Safe),
            ("OOM", ErrorKind::Unavailable, Retry::Safe),
            ("NOPERM", ErrorKind::Store, Retry::Never),
            ("WHAT", ErrorKind::Store, Retry::Never),
        ] {
            let text = format!("-{code} of the key 'secret'\r\n");
            let value = redis::parse_redis_value(text.as_bytes()).expect("an error");
            let redis::Value::ServerError(error) = value else { panic!("{value:?}") };
            let error = of_server(&error);
            assert_eq!((error.kind(), error.retry()), (kind, retry), "{code}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}
