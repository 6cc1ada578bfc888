//! The prepared statements of one connection.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use postgres_types::Type;
use tokio::time::Instant;
use tokio_postgres::Statement;

use crate::index_page::SEEN_FOR;

/// Prepared statements by the shape of the query, the least recently used one leaving first.
///
/// The client calls them `s0`, `s1` and so on, each process and connection from 0. So their names are
/// used only where a session of the server belongs to this connection alone.
pub(crate) struct Statements {
    entries: HashMap<Box<[u8]>, Entry, RandomState>,
    /// Of shapes of pages that lie along an index: whether the server walks it, and when that was seen.
    walks: HashMap<Box<[u8]>, (bool, Instant), RandomState>,
    max: usize,
    /// Counts uses: a clock that costs nothing.
    uses: u64,
}

struct Entry {
    statement: Statement,
    used: u64,
}

impl Statements {
    pub(crate) fn new(max: usize) -> Self {
        Self { entries: HashMap::default(), walks: HashMap::default(), max: max.max(1), uses: 0 }
    }

    /// Returns the statement of a shape, if its parameters are of these types: those of a column may
    /// have changed since.
    pub(crate) fn find(&mut self, shape: &[u8], types: &[Type]) -> Option<Statement> {
        self.uses += 1;
        let entry = self.entries.get_mut(shape)?;
        let found = entry.statement.params();
        let fits = |(wanted, found): (&Type, &Type)| *wanted == Type::UNKNOWN || wanted == found;
        // Types that are not given are the server's to find, and stand for any.
        if types.len() > found.len() || !types.iter().zip(found).all(fits) {
            return None;
        }
        entry.used = self.uses;
        Some(entry.statement.clone())
    }

    /// Keeps a statement, and returns one that left for it. To drop it is to close it on the server.
    #[must_use]
    pub(crate) fn insert(&mut self, shape: &[u8], statement: Statement) -> Option<Statement> {
        self.uses += 1;
        let entry = Entry { statement, used: self.uses };
        if let Some(known) = self.entries.get_mut(shape) {
            return Some(std::mem::replace(known, entry).statement);
        }
        // Seldom, if the limit fits the program: a list in order of use would cost each hit.
        let oldest = match self.entries.len() < self.max {
            true => None,
            false => self.entries.iter().min_by_key(|(_, entry)| entry.used),
        };
        let oldest = oldest.map(|(shape, _)| shape.clone());
        let left = oldest.and_then(|shape| self.entries.remove(&shape));
        self.entries.insert(shape.into(), entry);
        left.map(|entry| entry.statement)
    }

    /// Forgets the statement of a shape.
    #[must_use]
    pub(crate) fn remove(&mut self, shape: &[u8]) -> Option<Statement> {
        self.entries.remove(shape).map(|entry| entry.statement)
    }

    /// Whether the server was lately seen to walk an index for a shape of pages; `None` if nobody looked.
    pub(crate) fn seen(&self, shape: &[u8], now: Instant) -> Option<bool> {
        let (walks, at) = self.walks.get(shape)?;
        (now.saturating_duration_since(*at) < SEEN_FOR).then_some(*walks)
    }

    /// Remembers whether the server walks an index for a shape of pages.
    pub(crate) fn saw(&mut self, shape: &[u8], walks: bool, now: Instant) {
        if self.walks.len() >= self.max && !self.walks.contains_key(shape) {
            // More shapes than statements are kept: to look again costs less than to keep order.
            self.walks.clear();
        }
        self.walks.insert(shape.into(), (walks, now));
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

impl std::fmt::Debug for Statements {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Statements({} of {})", self.len(), self.max)
    }
}
