//! Sorts and pages.

use std::sync::Arc;

use sora_core::{Type, Value};

use crate::provider::Lie;

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "ignores the sort",
        line: "an exact sort is by value",
        read: |read| read.sort = Arc::default(),
        ..Lie::NONE
    },
    Lie {
        name: "sorts text without case",
        line: "an exact sort is by value",
        rows: |read, rows| {
            let Some(first) = read.sort.first() else { return };
            if read.binding.schema().column(first.column).column_type != Type::Text {
                return;
            }
            let Some(at) = read.columns.iter().position(|column| *column == first.column) else {
                return;
            };
            let folded = |row: &Vec<Value>| format!("{:?}", row[at]).to_lowercase();
            rows.sort_by_key(folded);
            if first.descending {
                rows.reverse();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "puts nulls last ascending and first descending",
        line: "an exact sort has nulls first ascending and last descending",
        rows: |read, rows| {
            let Some(first) = read.sort.first() else { return };
            let Some(at) = read.columns.iter().position(|column| *column == first.column) else {
                return;
            };
            rows.sort_by_key(|row| row[at].is_null() != first.descending);
        },
        ..Lie::NONE
    },
    Lie {
        name: "sorts by the first two columns alone",
        line: "an exact sort of several columns goes by one after another",
        read: |read| {
            if read.sort.len() > 2 && read.after.is_none() {
                read.sort = read.sort[..1].into();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "gives one row of each value beyond its limit",
        line: "a limit for each value keeps the first of each",
        read: |read| {
            if let Some(each) = &mut read.limit_each {
                each.rows += 1;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "gives the last rows of each value",
        line: "a limit for each value keeps the first of each",
        read: |read| {
            if read.limit_each.is_some() {
                let turned = |sort: &sora_core::Sort| sora_core::Sort {
                    descending: !sort.descending,
                    ..*sort
                };
                read.sort = read.sort.iter().map(turned).collect();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "gives one row beyond the limit",
        line: "a limit is met exactly",
        read: |read| read.limit = read.limit.map(|limit| limit + 1),
        ..Lie::NONE
    },
    Lie {
        name: "clamps the limit",
        line: "a limit is met exactly",
        read: |read| read.limit = read.limit.map(|limit| limit.min(20)),
        ..Lie::NONE
    },
    Lie {
        name: "skips a row at an offset",
        line: "offset pages make up the whole order",
        read: |read| read.offset += u64::from(read.offset > 0),
        ..Lie::NONE
    },
    Lie {
        name: "starts with the row of its position",
        line: "a keyset read starts right behind its position",
        read: |read| {
            let descending = read.sort.last().is_some_and(|sort| sort.descending);
            let Some(after) = &read.after else { return };
            let mut before = after.to_vec();
            if let Some(Value::I64(id)) = before.last_mut() {
                *id += if descending { 1 } else { -1 };
            }
            read.after = Some(before.into());
        },
        ..Lie::NONE
    },
    Lie {
        name: "leaves out the row behind its position",
        line: "a keyset read starts right behind its position",
        read: |read| read.offset += u64::from(read.after.is_some()),
        ..Lie::NONE
    },
    Lie {
        name: "claims keyset reads and starts at the beginning",
        line: "a keyset read starts right behind its position",
        read: |read| read.after = None,
        ..Lie::NONE
    },
    Lie {
        name: "does not claim keyset reads and does them",
        line: "a keyset read starts right behind its position",
        capability: |capability| capability.keyset = false,
        ..Lie::NONE
    },
    Lie {
        name: "takes a position for the number of a row",
        line: "keyset pages miss and repeat no row while others come and go",
        pages_by_number: true,
        ..Lie::NONE
    },
];
