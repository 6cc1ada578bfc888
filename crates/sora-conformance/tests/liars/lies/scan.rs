//! Reads without filter and order.

use std::sync::Arc;

use sora_core::read::Output;
use sora_core::{Type, Value};

use super::replace;
use crate::provider::Lie;

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "claims to be read-only and makes tables",
        line: "a store takes writes, or says that it is read-only",
        capability: |capability| capability.read_only = true,
        ..Lie::NONE
    },
    Lie {
        name: "loses the last row of a scan",
        line: "a scan gives each row exactly once",
        rows: |_, rows| drop(rows.pop()),
        ..Lie::NONE
    },
    Lie {
        name: "repeats a row of a scan",
        line: "a scan gives each row exactly once",
        rows: |_, rows| rows.extend(rows.first().cloned()),
        ..Lie::NONE
    },
    Lie {
        name: "hands out columns in the order of the table",
        line: "rows hold the columns that were asked for, in that order",
        rows: |read, rows| {
            if *read.columns == [2, 0, 1] {
                for row in rows {
                    row.rotate_left(1);
                }
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "hands out an empty text as null",
        line: "null, empty text and empty bytes stay apart",
        rows: |_, rows| replace(rows, &Value::Text("".into()), &Value::Null),
        ..Lie::NONE
    },
    Lie {
        name: "hands out null as an empty text",
        line: "null, empty text and empty bytes stay apart",
        rows: |read, rows| {
            for (at, column) in read.columns.iter().enumerate() {
                if read.binding.schema().column(*column).column_type == Type::Text
                    && read.binding.schema().table() == "t"
                {
                    rows.iter_mut()
                        .filter(|row| row[at].is_null())
                        .for_each(|row| row[at] = Value::Text("".into()));
                }
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "keeps floats in 32 bits",
        line: "values come back as they were stored",
        rows: |_, rows| {
            for cell in rows.iter_mut().flatten() {
                if let Value::F64(value) = cell {
                    #[expect(clippy::cast_possible_truncation, reason = "that is the lie")]
                    let short = *value as f32;
                    *value = short.into();
                }
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "hands out decimals without zeros at their end",
        line: "values come back as they were stored",
        rows: |_, rows| {
            for cell in rows.iter_mut().flatten() {
                if let Value::Decimal(value) = cell {
                    *value = value.rescale(0).unwrap_or(*value);
                }
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "reports one row more than it handed out",
        line: "a read reports the rows that it handed out",
        read_report: |_, report| report.received += 1,
        ..Lie::NONE
    },
    Lie {
        name: "goes on after a break",
        line: "a sink that breaks ends the read",
        ignores_break: true,
        ..Lie::NONE
    },
    Lie {
        name: "loses the error of a sink",
        line: "a sink that fails ends the read with its error",
        swallows_sink_error: true,
        ..Lie::NONE
    },
    Lie {
        name: "claims native statements and refuses them",
        line: "native statements are run, or refused",
        capability: |capability| capability.native = true,
        ..Lie::NONE
    },
    Lie {
        name: "counts one too many",
        line: "a count is the number of rows, or is refused",
        read_report: |_, report| report.count = report.count.map(|count| count + 1),
        ..Lie::NONE
    },
    Lie {
        name: "counts without the filter",
        line: "a count is the number of rows, or is refused",
        read: |read| {
            if read.output == Output::Count {
                read.filter = Arc::default();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "claims to count and refuses",
        line: "a count is the number of rows, or is refused",
        refuses_read: |read| read.output == Output::Count,
        ..Lie::NONE
    },
    Lie {
        name: "takes a page before the residual condition",
        line: "a read goes on behind rows that residual conditions reject",
        read: |read| {
            if !read.residual.is_empty() {
                read.limit = Some(18);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "claims residual conditions and hands all rows out",
        line: "a read goes on behind rows that residual conditions reject",
        read: |read| read.residual = Arc::default(),
        ..Lie::NONE
    },
    Lie {
        name: "does not report rejected rows",
        line: "residual conditions reject rows, and these are counted",
        read_report: |_, report| report.rejected = 0,
        ..Lie::NONE
    },
    Lie {
        name: "rejects rows without end",
        line: "a read ends when more rows are rejected than allowed",
        read: |read| read.rejected_max = None,
        ..Lie::NONE
    },
    Lie {
        name: "cuts long texts",
        line: "long values come back whole",
        rows: |_, rows| {
            for cell in rows.iter_mut().flatten() {
                if let Value::Text(text) = cell
                    && text.len() > 65_536
                {
                    *text = text.chars().take(32_768).collect::<String>().into();
                }
            }
        },
        ..Lie::NONE
    },
];
