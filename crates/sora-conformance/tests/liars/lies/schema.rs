//! Tables.

use sora_core::provider::StorePlan;
use sora_core::{Column, LiveIndex, LiveTable, Schema, Type};

use crate::provider::Lie;

pub(crate) const LIES: &[Lie] = &[
    Lie {
        name: "every column is told as nullable",
        line: "a table is described as it was made",
        describe: |_, tables| {
            for column in tables.iter_mut().flat_map(|table| &mut table.columns) {
                column.nullable = true;
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "a list of all tables leaves one out",
        line: "a table is described as it was made",
        describe: |name, tables| {
            if name.is_none() {
                tables.pop();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "makes a table again each time",
        line: "making a table again creates nothing and finds no difference",
        ensured: |report| {
            if report.created.is_empty() && report.differs.is_empty() {
                report.created.push("table t".into());
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "finds no difference",
        line: "a table that differs is told and left as it is",
        ensured: |report| report.differs.clear(),
        ..Lie::NONE
    },
    Lie {
        name: "says that it made an index and did not",
        line: "a missing index is made",
        describe: |_, tables| {
            for table in tables {
                let kept = |index: &&LiveIndex| &*index.name != "t_n_idx";
                table.indexes = table.indexes.iter().filter(kept).cloned().collect();
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "describes a table that is not there",
        line: "a table that is not there is described as nothing",
        describe: |name, tables| {
            if let Some(name) = name
                && tables.is_empty()
            {
                let schema = Schema::builder("t").column(Column::new("a", Type::I64));
                let mut live = LiveTable::from(&schema.build().expect("a schema"));
                live.name = name.into();
                tables.push(live);
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "mixes up names that differ in a sign",
        line: "names with quotes, spaces, keywords and Unicode are kept apart",
        describe: |name, tables| {
            // "a b" is taken for "a_b", which comes later.
            if name == Some("a b") && tables.len() == 1 {
                let mut live = tables[0].clone();
                live.name = "a_b".into();
                *tables = vec![live];
            }
        },
        ..Lie::NONE
    },
    Lie {
        name: "explains nothing",
        line: "explain and ping answer",
        explained: |plan| *plan = StorePlan::default(),
        ..Lie::NONE
    },
    Lie {
        name: "takes columns by their position in the table",
        line: "a schema may leave out columns of its table",
        rows: |read, rows| {
            let narrow = *read.columns == [0, 1] && read.binding.live().columns.len() == 4;
            if narrow {
                for row in rows {
                    row.swap(0, 1);
                }
            }
        },
        ..Lie::NONE
    },
];
