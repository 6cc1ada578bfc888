//! Reads by key.

use std::sync::Arc;

use sora_core::read::{Access, Read};
use sora_core::{RowBuffer, Value};

use crate::provider::Lie;

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "gives a row for each time that its key is listed",
        line: "a read by keys gives each listed row once and no other",
        rows: |read, rows| {
            let Some(keys) = key_list(read) else { return };
            let listed =
                |row: &Value| keys.iter().filter(|key| key.get(0).to_value() == *row).count();
            *rows = rows
                .iter()
                .flat_map(|row| std::iter::repeat_n(row.clone(), listed(&row[0]).max(1)))
                .collect();
        },
        ..Lie::NONE
    },
    Lie {
        name: "gives rows that were not listed",
        line: "a read by keys gives each listed row once and no other",
        read: |read| {
            if key_list(read).is_some_and(|keys| keys.len() > 1) {
                read.access = Access::Scan;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "loses a listed row",
        line: "a read by keys gives each listed row once and no other",
        rows: |read, rows| {
            if key_list(read).is_some_and(|keys| keys.len() > 1) {
                rows.pop();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "compares keys of text without spaces at their end",
        line: "keys of every type and of several columns are found",
        rows: |read, rows| {
            if key_list(read).is_some() {
                let ends =
                    |value: &Value| matches!(value, Value::Text(text) if text.ends_with(' '));
                rows.retain(|row| !row.iter().any(ends));
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "reads by keys without the filter",
        line: "a read by keys applies its filter too",
        read: |read| {
            if key_list(read).is_some() {
                read.filter = Arc::default();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "claims more keys than it takes",
        line: "a read takes as many keys as declared",
        refuses_read: |read| key_list(read).is_some_and(|keys| keys.len() > 400),
        ..Lie::NONE
    },
    Lie {
        name: "answers too many keys in part",
        line: "a read takes as many keys as declared",
        rows: |read, rows| {
            if key_list(read).is_some_and(|keys| keys.len() > 500) {
                rows.pop();
            }
        },
        ..Lie::NONE
    },
];

fn key_list(read: &Read) -> Option<&RowBuffer> {
    match &read.access {
        Access::Keys(keys) => Some(keys),
        _ => None,
    }
}
