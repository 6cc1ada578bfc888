//! The time of day.

use std::time::{SystemTime, UNIX_EPOCH};

use sora::Timestamp;

/// The time now. A clock that is set outside the years 1 to 9999 reads as the year 1.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let micros = i64::try_from(since.as_micros()).ok();
    micros.and_then(Timestamp::from_micros).unwrap_or(Timestamp::MIN)
}
