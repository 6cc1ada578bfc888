//! Look-ups of single keys that join into one statement while another is under way.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sora_core::read::{Access, Pace, Read};
use sora_core::{BufferedRow, Error, ErrorKind, Result, Retry, RowBuffer, RowSink};
use tokio::sync::oneshot;

use super::Table;
use super::key::Slots;
use crate::lane::{Lanes, Work};

/// The look-ups of one table.
pub(crate) type Lookups = Lanes<Lookup>;

/// Turns look-ups that wait into one read.
#[derive(Debug)]
pub(crate) struct Lookup {
    keys_max: usize,
    /// Fewer and larger round trips are wanted.
    gathers: AtomicBool,
}

/// A look-up that waits.
pub(crate) struct Waiting {
    /// The table as its caller has it; all share one.
    table: Table,
    key: RowBuffer,
    answer: oneshot::Sender<Result<Found>>,
}

/// What a look-up that was joined gave.
pub(crate) struct Found {
    /// The rows of all that were joined.
    rows: Arc<RowBuffer>,
    /// Which of them has the key.
    place: Option<usize>,
    /// How many callers were joined.
    pub(crate) shared_by: usize,
}

/// Look-ups that wait at once; more go beside the lanes.
const WAITING_MAX: usize = 16_384;

/// Look-ups under way from which on every lane is used: what one more would save is little then.
const MANY: usize = 8;

/// Keys in one statement, by default.
const KEYS_MAX: usize = 256;

/// The same, and turns, where callers come in hundreds at once: those whose look-ups in the cache that
/// processes share were answered by one reply.
const GATHERED_KEYS_MAX: usize = 512;
const GATHERED_TURNS_MAX: usize = 16;

impl Lookup {
    /// Returns the lanes of a store's look-ups; none if joining does not pay there.
    pub(crate) fn lanes(lanes: usize, keys_max: usize) -> Option<Arc<Lookups>> {
        let work = Self { keys_max, gathers: AtomicBool::new(false) };
        (lanes > 0).then(|| Lanes::new(work, lanes, WAITING_MAX))
    }
}

impl Lookup {
    /// Asks for fewer and larger round trips from now on.
    pub(crate) fn gather(&self) {
        self.gathers.store(true, Ordering::Relaxed);
    }

    fn gathers(&self) -> bool {
        self.gathers.load(Ordering::Relaxed)
    }

    fn keys_max(&self) -> usize {
        let usual = if self.gathers() { GATHERED_KEYS_MAX } else { KEYS_MAX };
        self.keys_max.min(usual)
    }
}

impl Waiting {
    pub(crate) fn new(table: &Table, key: RowBuffer) -> (Self, oneshot::Receiver<Result<Found>>) {
        let (answer, receiver) = oneshot::channel();
        (Self { table: table.clone(), key, answer }, receiver)
    }
}

impl Found {
    /// Hands the row to the caller's sink, and says whether there is one.
    pub(crate) fn deliver(&self, sink: &mut dyn RowSink) -> Result<bool> {
        match self.row() {
            Some(row) => sink.row(&row).map(|_| true),
            None => Ok(false),
        }
    }

    fn row(&self) -> Option<BufferedRow<'_>> {
        self.rows.row(self.place?)
    }
}

impl Work for Lookup {
    type Item = Waiting;

    /// Beside others it goes at once, too, as long as a lane is free, but with all that can go: the
    /// callers of a round trip that has ended come again together. Where hundreds do, the first of them
    /// does not go alone either.
    fn alone_max(&self) -> usize {
        usize::from(!self.gathers())
    }

    /// Few do not go beside more: with them is cheaper, and they wait for a part of a round trip. From
    /// many on every lane is used, unless fewer round trips are wanted.
    fn opens(&self, waiting: usize, under_way: usize) -> bool {
        waiting >= under_way || under_way >= MANY && !self.gathers()
    }

    fn goes_on(&self, waiting: usize, under_way: usize) -> bool {
        self.opens(waiting, under_way)
    }

    /// Takes the first that wait, without those whose callers are gone.
    fn take(&self, waiting: &mut VecDeque<Waiting>) -> Vec<Waiting> {
        let keys_max = self.keys_max();
        let mut taken = Vec::with_capacity(waiting.len().min(keys_max));
        while taken.len() < keys_max
            && let Some(next) = waiting.pop_front()
        {
            if !next.answer.is_closed() {
                taken.push(next);
            }
        }
        taken
    }

    fn turns_max(&self) -> usize {
        if self.gathers() { GATHERED_TURNS_MAX } else { 1 }
    }

    async fn run(&self, items: Vec<Waiting>) {
        let Some(first) = items.first() else { return };
        let found = read(&first.table, &items).await;
        let shared_by = items.len();
        match found {
            Ok((rows, places)) => {
                let rows = Arc::new(rows);
                for (item, place) in items.into_iter().zip(places) {
                    let found = Found { rows: rows.clone(), place, shared_by };
                    // A caller that is gone is told nothing.
                    drop(item.answer.send(Ok(found)));
                }
            }
            Err(error) => {
                for item in items {
                    drop(item.answer.send(Err(error.clone())));
                }
            }
        }
    }
}

/// Reads the rows of all keys, and says which of them each look-up asked for.
async fn read(table: &Table, items: &[Waiting]) -> Result<(RowBuffer, Vec<Option<usize>>)> {
    let mut keys = RowBuffer::with_capacity(table.schema().key().len(), items.len());
    for item in items {
        item.key.row(0).map_or(Ok(()), |key| keys.push(&key))?;
    }
    let (mut slots, distinct) = Slots::new(&keys)?;
    let (columns, key) = table.columns_with_key();
    let mut rows = RowBuffer::with_capacity(columns.len(), distinct.len());
    let mut read = Read::new(table.binding(), columns);
    read.access = Access::Keys(Arc::new(distinct));
    read.pace = Pace::Lookup;
    table.read_again(&mut read, &mut rows).await?;
    let mut places = vec![None; items.len()];
    for (index, row) in rows.iter().enumerate() {
        for place in slots.places(&row, &key)? {
            places[*place] = Some(index);
        }
    }
    Ok((rows, places))
}

/// The error of a look-up whose round trip never ended, because its runtime did.
pub(crate) fn unanswered() -> Error {
    let message = "the round trip that the look-up had joined was cut off with its runtime";
    Error::new(ErrorKind::Cancelled, message).with_retry(Retry::Safe)
}
