//! The lies, in the order of the lines that they break.

mod aggregate;
mod change;
mod filter;
mod insert;
mod key;
mod order;
mod report;
mod scan;
mod schema;
mod session;
mod table;

use std::sync::Arc;

use sora_core::write::{Target, Write};
use sora_core::{Row, RowBuffer, Value};

use crate::provider::Lie;

/// All lies.
pub(crate) fn lies() -> Vec<Lie> {
    [
        scan::LIES,
        filter::LIES,
        key::LIES,
        order::LIES,
        aggregate::LIES,
        insert::LIES,
        change::LIES,
        report::LIES,
        session::LIES,
        schema::LIES,
        table::LIES,
    ]
    .concat()
}

fn table(write: &Write) -> &str {
    write.binding.schema().table()
}

/// Returns rows with the cells that `cells` gives.
fn rebuilt(
    rows: &RowBuffer,
    width: usize,
    cells: impl Fn(&[Value]) -> Vec<Value>,
) -> Arc<RowBuffer> {
    let mut buffer = RowBuffer::new(width);
    for row in rows.iter() {
        let values: Vec<Value> = (0..row.width()).map(|at| row.get(at).to_value()).collect();
        buffer.push(&cells(&values)).expect("a row");
    }
    Arc::new(buffer)
}

fn ids(ids: impl IntoIterator<Item = i64>) -> Target {
    let mut keys = RowBuffer::new(1);
    for id in ids {
        keys.push(&vec![Value::I64(id)]).expect("a key");
    }
    Target::keys(Arc::new(keys))
}

/// The ids of a target, if it has keys.
fn ids_of(target: &Target) -> Vec<Value> {
    target
        .keys
        .iter()
        .flat_map(|keys| keys.iter().map(|key| key.get(0).to_value()).collect::<Vec<_>>())
        .collect()
}

fn replace(rows: &mut [Vec<Value>], from: &Value, to: &Value) {
    for cell in rows.iter_mut().flatten().filter(|cell| *cell == from) {
        *cell = to.clone();
    }
}
