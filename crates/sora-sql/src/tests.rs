//! Reads, writes and tables as SQL.

#![expect(clippy::needless_raw_string_hashes, reason = "expect-test writes them")]

mod aggregates;
mod conditions;
mod index_pages;
mod postgres;
mod postgres_writes;
mod reads;
mod tables;
mod writes;

use std::sync::Arc;

use expect_test::{Expect, expect};
use sora_core::read::{Access, Output, Read};
use sora_core::text::{self, Parameters};
use sora_core::write::{Change, OnConflict, Target, Write};
use sora_core::{
    Assigned, Assignment, Binding, Cell, CellSink, Column, FilterLimits, LiveIndex, LiveTable,
    Predicate, RowBuffer, Schema, Sort, Type, Value,
};

use crate::{
    Dialect, Operand, Out, Postgres, Sqlite, change, exists, portions, read_shape, render, select,
    write_shape,
};

const ID: u16 = 0;

fn schema() -> Schema {
    Schema::builder("ci\"ties")
        .column(Column::new("id", Type::I64))
        .column(Column::new("name", Type::Text).nullable())
        .column(Column::new("code", Type::Text))
        .column(Column::new("active", Type::Bool).nullable())
        .column(Column::new("price", Type::Decimal { precision: 6, scale: 2 }).nullable())
        .column(Column::new("size", Type::I64))
        .column(Column::new("version", Type::I64))
        .key(["id"])
        .version("version")
        .build()
        .expect("a schema")
}

/// A table of which the column `code` ignores case.
fn binding() -> Arc<Binding> {
    bind(schema(), "id")
}

fn bind(schema: Schema, key: &str) -> Arc<Binding> {
    let mut live = LiveTable::from(&schema);
    if let Some(code) = live.columns.iter_mut().find(|column| &*column.name == "code") {
        code.collation = Some("NOCASE".into());
        code.is_deterministic = false;
    }
    assert!(live.columns.iter().any(|column| &*column.name == key));
    Arc::new(Binding::new(Arc::new(schema), Arc::new(live)).expect("bound"))
}

/// A statement as its text and its values, each from a walk of its own.
#[derive(Default)]
struct Values(Vec<String>);

impl Out for Values {
    const TEXT: bool = false;

    fn text(&mut self, _: &str) {}

    fn name(&mut self, _: &str) {}

    fn value(&mut self, cell: Cell<'_>, _: Operand<'_>) {
        self.0.push(cell.to_string());
    }

    fn list<'v>(&mut self, values: impl Iterator<Item = Cell<'v>>, _: Operand<'_>) {
        self.0.push(format!("[{} values]", values.count()));
    }

    fn keys(&mut self, keys: &RowBuffer) {
        self.0.push(format!("[{} keys]", keys.len()));
    }
}

/// Compares text and values; there must be one value for each placeholder.
fn show(text: &str, values: &Values) -> String {
    let numbered = (1..1_000).take_while(|number| text.contains(&format!("${number}::"))).count();
    assert_eq!(text.matches('?').count() + numbered, values.0.len(), "{text}");
    format!("{text}\n{}\n", values.0.join(" · "))
}

fn show_read(read: &Read) -> String {
    show_read_in::<Sqlite>(read)
}

fn show_read_in<D: Dialect>(read: &Read) -> String {
    portions(read)
        .iter()
        .map(|portion| {
            let text = render::<D>(|out| {
                select::<D, _>(read, *portion, read.limit, out);
            });
            let mut values = Values::default();
            select::<D, _>(read, *portion, read.limit, &mut values);
            show(&text, &values)
        })
        .collect()
}

fn read() -> Read {
    Read::new(binding(), Arc::from([ID, 1]))
}

fn filter(binding: &Binding, text: &str) -> Arc<[Predicate]> {
    let limits = FilterLimits::default();
    let filter = text::parse(text, binding.schema(), &Parameters::none(), limits);
    filter.expect(text).into_terms().into()
}

fn sort(by: &[(u16, bool)]) -> Arc<[Sort]> {
    by.iter()
        .map(|(column, descending)| Sort { column: *column, descending: *descending })
        .collect()
}

fn keys(keys: &[&[Value]]) -> Arc<RowBuffer> {
    let mut buffer = RowBuffer::new(keys.first().map_or(1, |key| key.len()));
    for value in keys.iter().copied().flatten() {
        buffer.cell(value.cell()).expect("a cell");
    }
    Arc::new(buffer)
}

fn check(read: &Read, expected: &Expect) {
    expected.assert_eq(&show_read(read));
}

/// Compares the conditions alone.
fn check_filter(text: &str, expected: &Expect) {
    let mut read = read();
    read.filter = filter(&read.binding, text);
    let shown = show_read(&read);
    let start = shown.find(" WHERE ").map_or(0, |at| at + " WHERE ".len());
    expected.assert_eq(&shown[start..]);
}
