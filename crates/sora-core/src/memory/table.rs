//! One table: its rows in the order of the key, and its unique indexes.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::{Assigned, Cell, Error, ErrorKind, Index, Result, Schema, Value};

/// The values of a row, in the schema's order.
pub(super) type Stored = Arc<[Value]>;

/// A table. A clone shares the rows.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) schema: Arc<Schema>,
    rows: BTreeMap<RowKey, Stored>,
    uniques: Vec<Unique>,
    /// The largest number that identity gave, or found in a row; it never goes down.
    counter: i64,
}

/// The values of the key, or of the columns of a unique index.
#[derive(Clone, Debug)]
pub(super) struct RowKey(pub(super) Arc<[Value]>);

/// A unique index: which row has which values. Values with a null among them are in no index.
#[derive(Clone, Debug)]
struct Unique {
    index: Index,
    keys: BTreeMap<RowKey, RowKey>,
}

/// The constraint by which another row is in the way.
#[derive(Debug)]
pub(super) struct Conflict {
    pub(super) constraint: Box<str>,
}

impl Table {
    pub(super) fn new(schema: Arc<Schema>) -> Self {
        let unique = schema.indexes().iter().filter(|index| index.unique);
        let uniques =
            unique.map(|index| Unique { index: index.clone(), keys: BTreeMap::new() }).collect();
        Self { schema, rows: BTreeMap::new(), uniques, counter: 0 }
    }

    /// Returns the table under a schema that differs from its own by one more index.
    pub(super) fn with_index(&self, schema: Arc<Schema>, index: &Index) -> Result<Self> {
        let mut table = self.clone();
        table.schema = schema;
        if index.unique {
            let mut unique = Unique { index: index.clone(), keys: BTreeMap::new() };
            for (key, row) in &table.rows {
                let Some(values) = unique.key(row) else { continue };
                if unique.keys.insert(values, key.clone()).is_some() {
                    let message = "the index cannot be unique: rows have the same values";
                    return Err(Error::new(ErrorKind::Conflict, message)
                        .with("table", table.schema.table())
                        .with_constraint(index.name.clone()));
                }
            }
            table.uniques.push(unique);
        }
        Ok(table)
    }

    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn get(&self, key: &RowKey) -> Option<&Stored> {
        self.rows.get(key)
    }

    /// The rows, in the order of the key.
    pub(super) fn rows(&self) -> impl DoubleEndedIterator<Item = (&RowKey, &Stored)> {
        self.rows.iter()
    }

    /// The key of a row; a table without a key numbers its rows.
    pub(super) fn key_of(&mut self, row: &[Value]) -> Result<RowKey> {
        if self.schema.key().is_empty() {
            let number = self.next_number()?;
            return Ok(RowKey([Value::I64(number)].into()));
        }
        Ok(RowKey(values_at(row, self.schema.key()).collect()))
    }

    /// Counts up; a number is never given twice.
    pub(super) fn next_number(&mut self) -> Result<i64> {
        let number = self.counter.checked_add(1).ok_or_else(|| {
            Error::new(ErrorKind::Limit, "the identity column has given its last number")
        })?;
        self.counter = number;
        Ok(number)
    }

    /// Finds the row that has the same key or unique values as a row that is about to be stored;
    /// the row at `own` is not in its way.
    pub(super) fn conflict(
        &self,
        key: &RowKey,
        row: &[Value],
        own: Option<&RowKey>,
    ) -> Option<Conflict> {
        let foreign = |key: &RowKey| own != Some(key);
        if foreign(key) && self.rows.contains_key(key) {
            // PostgreSQL's name for it; a key has none of its own.
            let constraint = format!("{}_pkey", self.schema.table()).into();
            return Some(Conflict { constraint });
        }
        self.uniques.iter().find_map(|unique| {
            unique.keys.get(&unique.key(row)?).filter(|key| foreign(key))?;
            Some(Conflict { constraint: unique.index.name.clone() })
        })
    }

    /// Refuses columns that are neither the key nor a unique index.
    pub(super) fn check_unique(&self, columns: &[u16]) -> Result<()> {
        let mut uniques = self.uniques.iter().map(|unique| &unique.index.columns);
        if is_same_set(columns, self.schema.key())
            || uniques.any(|unique| is_same_set(columns, unique))
        {
            return Ok(());
        }
        let message = "an upsert goes by the columns of the key or of a unique index";
        Err(Error::new(ErrorKind::InvalidInput, message).with("table", self.schema.table()))
    }

    /// Finds the row with the same values in the columns of the key or of a unique index.
    pub(super) fn find_same(&self, columns: &[u16], row: &[Value]) -> Option<RowKey> {
        if is_same_set(columns, self.schema.key()) {
            let key = RowKey(values_at(row, self.schema.key()).collect());
            return self.rows.contains_key(&key).then_some(key);
        }
        let mut uniques = self.uniques.iter();
        let unique = uniques.find(|unique| is_same_set(columns, &unique.index.columns))?;
        unique.keys.get(&unique.key(row)?).cloned()
    }

    /// Puts a row in a place, or empties it, and returns what was there. The caller has made sure
    /// that there is no conflict.
    pub(super) fn put(&mut self, key: &RowKey, row: Option<Stored>) -> Option<Stored> {
        let before = self.rows.get(key);
        for unique in &mut self.uniques {
            let old = before.and_then(|row| unique.key(row));
            let new = row.as_ref().and_then(|row| unique.key(row));
            if old != new {
                old.map(|values| unique.keys.remove(&values));
                new.map(|values| unique.keys.insert(values, key.clone()));
            }
        }
        match row {
            Some(row) => {
                self.count(&row);
                self.rows.insert(key.clone(), row)
            }
            None => self.rows.remove(key),
        }
    }

    /// Takes a number that a caller gave as given.
    fn count(&mut self, row: &[Value]) {
        for (column, value) in self.schema.columns().iter().zip(row) {
            if let (Assigned::Identity, Cell::I64(number)) = (&column.assigned, value.cell()) {
                self.counter = self.counter.max(number);
            }
        }
    }
}

impl Unique {
    fn key(&self, row: &[Value]) -> Option<RowKey> {
        let values = || values_at(row, &self.index.columns);
        values().all(|value| !value.is_null()).then(|| RowKey(values().collect()))
    }
}

impl Ord for RowKey {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.0.iter().zip(&*other.0);
        pairs
            .map(|(left, right)| left.cell().sort_order(right.cell()))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for RowKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for RowKey {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for RowKey {}

fn values_at(row: &[Value], columns: &[u16]) -> impl Iterator<Item = Value> {
    columns.iter().map(|column| row[usize::from(*column)].clone())
}

/// Whether two lists hold the same columns; neither repeats one.
pub(super) fn is_same_set(left: &[u16], right: &[u16]) -> bool {
    left.len() == right.len() && left.iter().all(|column| right.contains(column))
}
