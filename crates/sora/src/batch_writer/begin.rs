//! What is checked and decided before the first row is taken.

use std::collections::VecDeque;
use std::panic::Location;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sora_core::{Assigned, Error, ErrorKind, Intake, Result, RowBuffer, Stamp};
use tokio::time::sleep_until;

use super::chunk::Identity;
use super::delivery::Delivery;
use super::flights::Flights;
use super::tally::Tally;
use super::transaction::Transaction;
use super::{Atomic, BatchMode, BatchOptions, BatchWriter};
use crate::{Table, deadline};

impl<'t> BatchWriter<'t> {
    pub(super) fn begin(
        table: &'t Table,
        mode: BatchMode,
        columns: &[u16],
        options: BatchOptions,
        location: &'static Location<'static>,
    ) -> Result<Self> {
        table.refuse_inside(location)?;
        check_columns(table, mode, columns)?;
        let stamp = match mode {
            BatchMode::Update | BatchMode::Delete => Stamp::Stored,
            BatchMode::Upsert | BatchMode::Insert | BatchMode::InsertOrIgnore => Stamp::New,
        };
        let intake = Intake::new(table.schema(), columns, stamp);
        let identity = Identity::new(table, intake.columns());
        let capability = table.capability();
        let rows_max = match mode {
            BatchMode::Delete => capability.keys_max,
            _ => capability.rows_max,
        };
        let transaction = match options.atomic {
            Atomic::Row => Transaction::None,
            Atomic::Chunk if capability.atomic_writes => Transaction::None,
            Atomic::Chunk => return Err(table.cannot("write several rows all or none")),
            Atomic::Stream if table.transaction().is_some() => return Err(inside(table)),
            Atomic::Stream if capability.transactions => {
                Transaction::Open { session: None, held: VecDeque::new() }
            }
            Atomic::Stream => return Err(table.cannot("open a transaction, which this needs")),
        };
        // What the store takes for one key may be two here: only one chunk at a time is in order.
        let is_alone =
            options.atomic == Atomic::Stream || !identity.is_exact || table.transaction().is_some();
        let lanes = match is_alone {
            true => 1,
            false => options.chunks_in_flight.min(capability.write_lanes),
        };
        let delivery = Delivery {
            table: table.clone(),
            mode,
            columns: intake.columns().clone(),
            identity,
            location,
            chunks: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            options: options.clone(),
        };
        let writer = Self {
            intake,
            first: 0,
            refused: Vec::new(),
            rows_per_chunk: options.rows_per_chunk(rows_max, capability.writer_wait_ms.is_some()),
            waiting: None,
            flights: Flights::new(lanes.clamp(1, BatchOptions::CHUNKS_IN_FLIGHT_MAX)),
            transaction,
            stopped_at: None,
            failures: 0,
            fatal: None,
            tally: Tally::new(options),
            settled: VecDeque::new(),
            watch: None,
            report: None,
            deadline: deadline::current().map(|at| Box::pin(sleep_until(at))),
            delivery: Arc::new(delivery),
        };
        // A write of no rows, for what can be checked before there is one.
        let probe = writer.delivery.change_of(Arc::new(RowBuffer::new(columns.len())));
        table.check(&probe)?;
        Ok(writer)
    }
}

fn inside(table: &Table) -> Error {
    let message = "a stream of writes that is all or nothing has a transaction of its own; inside \
                   one, let each row stand alone and roll back if one failed";
    Error::new(ErrorKind::Unsupported, message).with("table", table.name())
}

/// Checks that the columns are there and suffice.
fn check_columns(table: &Table, mode: BatchMode, columns: &[u16]) -> Result<()> {
    let schema = table.schema();
    let refused = |message: String| {
        Err(Error::new(ErrorKind::InvalidInput, message).with("table", schema.table()))
    };
    for (place, column) in columns.iter().enumerate() {
        if usize::from(*column) >= schema.columns().len() || columns[..place].contains(column) {
            return refused(format!("{column} is no column, or is given twice"));
        }
    }
    let key = schema.key();
    let needs_key = !matches!(mode, BatchMode::Insert | BatchMode::InsertOrIgnore);
    let missing = |column: &&u16| {
        !columns.contains(column) && schema.column(**column).assigned != Assigned::UuidV7
    };
    if let Some(column) = key.iter().find(missing).filter(|_| needs_key) {
        let name = &schema.column(*column).name;
        return refused(format!("rows are found by their key; give the column {name:?} a value"));
    }
    if mode == BatchMode::Delete && columns != key {
        return refused("rows are deleted by their key: give its columns and no others".into());
    }
    Ok(())
}
