//! What names in the shared tier are part of: no two things have one name.

use sora_core::{LiveTable, Schema};

/// What the names of a table's rows are part of; none if others may name them otherwise.
pub(super) fn rows(application: &str, schema: &Schema, live: &LiveTable) -> Option<String> {
    let own = live.key.iter().map(|at| live.column(*at));
    let own = own.map(|column| (&*column.name, column.column_type));
    let key = schema.key().iter().map(|at| schema.column(*at));
    let key = key.map(|column| (&*column.name, column.column_type));
    if live.key.is_empty() || !own.clone().eq(key) {
        return None;
    }
    let mut space = format!("sora:row:{}:{}:", plain(application), plain(&live.name));
    for (at, (name, column_type)) in own.enumerate() {
        let comma = if at > 0 { "," } else { "" };
        space.extend([comma, &plain(name), ".", &column_type.to_string()]);
    }
    Some(space)
}

/// What the names of the generations of tables are part of.
pub(super) fn generations(application: &str) -> String {
    format!("sora:generation:{}", plain(application))
}

/// What the names of the numbers are part of that count the invalidations of tags.
pub(super) fn tagged(application: &str) -> String {
    format!("{TAGGED}{}", plain(application))
}

/// What the names of the values of a tag are part of.
pub(super) fn tag(application: &str, table: &str, column: &str) -> String {
    format!("sora:tag:{}:{}:{}", plain(application), plain(table), plain(column))
}

/// Whether a name is part of what [`tagged`] returns.
pub(super) fn is_tagged(space: &str) -> bool {
    space.starts_with(TAGGED)
}

const TAGGED: &str = "sora:tagged:";

/// A name without what parts names, and what tiers do not take in them.
fn plain(name: &str) -> String {
    name.bytes().fold(String::with_capacity(name.len()), |mut plain, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => plain.push(byte.into()),
            _ => plain.extend(['%', hex(byte >> 4), hex(byte & 15)]),
        }
        plain
    })
}

fn hex(half: u8) -> char {
    char::from_digit(half.into(), 16).unwrap_or('0').to_ascii_uppercase()
}
