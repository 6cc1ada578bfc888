//! Who takes part: what each must be able to do.

use std::error::Error;
use std::pin::Pin;

use crate::measure::measure;
use crate::{Account, Item, Measurement, Task};

/// The error is only ever told to the driver.
pub type Result<T, E = Box<dyn Error + Send + Sync>> = std::result::Result<T, E>;

/// A library beside others, as its users would call it. All clones share the connections.
///
/// What is read is decoded into structs with strings of their own, and passed to
/// [`black_box`](std::hint::black_box).
pub trait Store: Clone + Send + Sync + 'static {
    /// Reads the row with a key, which is there.
    fn get(&self, key: i64) -> impl Future<Output = Result<()>> + Send;

    /// Reads the page of a city: its 50 rows of the largest populations, of at least 1,000. Returns
    /// how many there are.
    fn page(&self, city: String) -> impl Future<Output = Result<usize>> + Send;

    /// Reads all rows and returns how many there are, without holding all of them if that is offered.
    fn scan(&self) -> impl Future<Output = Result<u64>> + Send;

    /// Writes a row so that it is durable.
    fn upsert(&self, item: Item) -> impl Future<Output = Result<()>> + Send;

    /// Writes all rows or none.
    fn bulk(&self, items: Vec<Item>) -> impl Future<Output = Result<()>> + Send;
}

/// What can be measured.
pub trait Peer: Send + Sync {
    /// Does a task and returns what it took.
    fn run<'a>(&'a self, task: &'a Task, account: &'a Account) -> Measuring<'a>;
}

/// A measurement under way.
pub type Measuring<'a> = Pin<Box<dyn Future<Output = Result<Measurement>> + Send + 'a>>;

/// A peer that is connected, or why it is not.
pub type Opened = Result<Box<dyn Peer>>;

impl<S: Store> Peer for S {
    fn run<'a>(&'a self, task: &'a Task, account: &'a Account) -> Measuring<'a> {
        Box::pin(measure(self, task, account))
    }
}

/// Erases the type of a store that is open.
pub fn opened<S: Store>(store: Result<S>) -> Opened {
    Ok(Box::new(store?))
}
