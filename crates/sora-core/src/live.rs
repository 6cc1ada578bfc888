//! A table as the store's catalogue tells it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::{Assigned, Column, Error, ErrorKind, Index, Result, Schema, Type, find_name};

/// A table or view of a store, as its catalogue describes it.
#[derive(Clone, Debug, PartialEq)]
pub struct LiveTable {
    /// The name, exactly as the store has it.
    pub name: Box<str>,
    /// Whether it is a view: read by one cursor and not written.
    pub is_view: bool,
    /// Whether its rows are kept by other tables, its partitions.
    pub is_partitioned: bool,
    /// The columns, in the store's order.
    pub columns: Box<[LiveColumn]>,
    /// The columns of the key, in order; none if there is no key that is never null.
    pub key: Box<[u16]>,
    /// The indexes.
    pub indexes: Box<[LiveIndex]>,
}

/// A column of a [`LiveTable`].
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent fact")]
pub struct LiveColumn {
    /// The name, exactly as the store has it.
    pub name: Box<str>,
    /// The type that the store declares, in its own words.
    pub declared: Box<str>,
    /// The logical type that it stands for.
    pub column_type: Type,
    /// Other logical types that an entity may read it as. Filters and sorts of such a column are
    /// not handed to the store.
    pub readable_as: Box<[Type]>,
    /// Whether it can hold no value.
    pub nullable: bool,
    /// Whether the store makes sure that every cell is of the type.
    pub is_enforced: bool,
    /// How the column compares text, if not by bytes.
    pub collation: Option<Box<str>>,
    /// Whether texts that are equal in its collation are equal by bytes.
    pub is_deterministic: bool,
    /// Who gives a new row its value.
    pub assigned: Assigned,
    /// The smallest and largest integer it takes, if fewer than 64 bits.
    pub range: Option<(i64, i64)>,
    /// Whether it is left out of rows unless it is asked for.
    pub hidden: bool,
}

/// An index of a [`LiveTable`].
#[derive(Clone, Debug, PartialEq)]
pub struct LiveIndex {
    /// The name.
    pub name: Box<str>,
    /// The columns, in order; an expression has none and ends the list.
    pub columns: Box<[u16]>,
    /// Which of the columns run from the largest to the smallest.
    pub descending: Box<[bool]>,
    /// Whether two rows may not have the same values.
    pub unique: bool,
    /// Whether it holds all rows, and is thus good for every filter.
    pub is_complete: bool,
}

impl LiveColumn {
    /// Whether it can be part of a key: never null, and of a type that keys have.
    pub fn can_be_key(&self) -> bool {
        !self.nullable
            && matches!(
                self.column_type,
                Type::I64 | Type::Text | Type::Uuid | Type::Bytes | Type::Date | Type::Timestamp
            )
    }
}

impl LiveTable {
    /// Returns the schema that the table itself tells.
    pub fn to_schema(&self) -> Result<Schema> {
        let mut builder = Schema::builder(self.name.clone());
        for (at, column) in self.columns.iter().enumerate() {
            let is_key = self.key.iter().any(|key| usize::from(*key) == at);
            builder = builder.column(Column {
                name: column.name.clone(),
                column_type: column.column_type,
                nullable: column.nullable && !is_key,
                range: column.range,
                assigned: column.assigned.clone(),
                hidden: column.hidden,
            });
        }
        let name = |at: &u16| self.column(*at).name.clone();
        builder = builder.key(self.key.iter().map(name));
        for LiveIndex { name: index, columns, unique, is_complete, .. } in &self.indexes {
            if !columns.is_empty() {
                let unique = *unique && *is_complete;
                let columns = if unique { columns } else { self.without_key(columns) };
                builder = builder.named_index(index.clone(), columns.iter().map(name), unique);
            }
        }
        builder.build()
    }

    /// Returns the fewest first columns of an index that is not unique which, with the rest of the key
    /// behind them, are the whole: a store may end its indexes in the key, and a schema does not say it.
    fn without_key<'a>(&self, columns: &'a [u16]) -> &'a [u16] {
        let is_whole = |len: &usize| {
            let (head, tail) = columns.split_at(*len);
            self.key.iter().filter(|key| !head.contains(key)).eq(tail)
        };
        let len = (1..columns.len()).find(is_whole).unwrap_or(columns.len());
        &columns[..len]
    }

    /// The column at a position.
    ///
    /// # Panics
    ///
    /// Panics beyond the last; positions come from this table.
    pub fn column(&self, column: u16) -> &LiveColumn {
        &self.columns[usize::from(column)]
    }
}

impl From<&Schema> for LiveTable {
    /// The table that a store with all of Sora's types has for a schema.
    fn from(schema: &Schema) -> Self {
        let columns = schema.columns().iter().map(|column| LiveColumn {
            name: column.name.clone(),
            declared: column.column_type.to_string().into(),
            column_type: column.column_type,
            readable_as: Box::default(),
            nullable: column.nullable,
            is_enforced: true,
            collation: None,
            is_deterministic: true,
            assigned: column.assigned.clone(),
            range: column.range,
            hidden: column.hidden,
        });
        let indexes = schema.indexes().iter().map(|Index { name, columns, unique }| LiveIndex {
            name: name.clone(),
            columns: columns.clone(),
            descending: columns.iter().map(|_| false).collect(),
            unique: *unique,
            is_complete: true,
        });
        Self {
            name: schema.table().into(),
            is_view: false,
            is_partitioned: false,
            columns: columns.collect(),
            key: schema.key().into(),
            indexes: indexes.collect(),
        }
    }
}

/// A schema beside the live table that it was found to fit.
#[derive(Debug)]
pub struct Binding {
    schema: Arc<Schema>,
    live: Arc<LiveTable>,
    columns: Box<[u16]>,
    id: u64,
}

impl Binding {
    /// Finds each column of the schema in the live table.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Schema`], naming every column that is missing or of another type.
    pub fn new(schema: Arc<Schema>, live: Arc<LiveTable>) -> Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let mut columns = Vec::with_capacity(schema.columns().len());
        let mut wrong = Vec::new();
        for column in schema.columns() {
            let names = live.columns.iter().map(|live| &*live.name);
            match find_name(names, &column.name) {
                Some(at) if reads_as(&live.columns[at], column.column_type) => {
                    // A table has at most 1,600 columns here: the schema of a wider one is refused.
                    columns.push(u16::try_from(at).unwrap_or(u16::MAX));
                }
                Some(at) => wrong.push(format!(
                    "column {:?} is {} in the store ({}), not {}",
                    column.name,
                    live.columns[at].column_type,
                    live.columns[at].declared,
                    column.column_type
                )),
                None => wrong.push(format!("column {:?} is missing", column.name)),
            }
        }
        if !wrong.is_empty() {
            let message = format!(
                "the table does not fit: {}; `ensure_schema` reports the statements that would mend it",
                wrong.join("; ")
            );
            return Err(Error::new(ErrorKind::Schema, message).with("table", schema.table()));
        }
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Self { schema, live, columns: columns.into(), id })
    }

    /// The schema: what columns of reads and writes refer to.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The table of the store.
    pub fn live(&self) -> &Arc<LiveTable> {
        &self.live
    }

    /// The live column of a column of the schema.
    pub fn live_column(&self, column: u16) -> &LiveColumn {
        self.live.column(self.columns[usize::from(column)])
    }

    /// The position in the live table of a column of the schema.
    pub fn live_position(&self, column: u16) -> u16 {
        self.columns[usize::from(column)]
    }

    /// Whether an entity reads the column as another type than the store has it.
    pub fn is_converted(&self, column: u16) -> bool {
        let expected = self.schema.column(column).column_type;
        self.live_column(column).column_type != expected
    }

    /// A number that no other binding of this process has, to remember prepared statements by.
    pub fn id(&self) -> u64 {
        self.id
    }
}

fn reads_as(live: &LiveColumn, expected: Type) -> bool {
    // Two decimals are one type here: a value that does not fit the declared digits fails its row.
    let same = |found: &Type| std::mem::discriminant(found) == std::mem::discriminant(&expected);
    same(&live.column_type) || live.readable_as.iter().any(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_becomes_a_table_and_back() {
        let schema = Schema::builder("cities")
            .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
            .column(Column::new("name", Type::Text).nullable())
            .key(["id"])
            .index(["name"])
            .build()
            .expect("a schema");
        let live = LiveTable::from(&schema);
        assert_eq!(live.to_schema().expect("a schema"), schema);
    }

    #[test]
    fn an_index_of_a_schema_does_not_say_that_it_ends_in_the_key() {
        let column = |name: &str| Column::new(name, Type::I64);
        let schema = Schema::builder("t")
            .column(column("a"))
            .column(column("b"))
            .column(column("c"))
            .key(["a", "b"])
            .index(["c"])
            .build()
            .expect("a schema");
        let live = LiveTable::from(&schema);
        for (columns, unique, expected) in [
            (&[2, 0, 1][..], false, &[2][..]),
            (&[2, 1, 0], false, &[2, 1]),
            (&[1, 2, 0], false, &[1, 2]),
            (&[2, 0], false, &[2, 0]),
            (&[0, 1], false, &[0]),
            (&[2], false, &[2]),
            (&[2, 0, 1], true, &[2, 0, 1]),
        ] {
            let index = LiveIndex { columns: columns.into(), unique, ..live.indexes[0].clone() };
            let live = LiveTable { indexes: [index].into(), ..live.clone() };
            let schema = live.to_schema().expect("a schema");
            assert_eq!(*schema.indexes()[0].columns, *expected, "{columns:?}");
        }
    }

    #[test]
    fn every_misfit_is_named() {
        let live = Schema::builder("t").column(Column::new("A", Type::I64)).build();
        let live = Arc::new(LiveTable::from(&live.expect("a schema")));
        let bind = |column| {
            let schema = Schema::builder("t").column(column).build().expect("a schema");
            Binding::new(Arc::new(schema), live.clone())
        };
        assert_eq!(bind(Column::new("a", Type::I64)).expect("fits").live_position(0), 0);
        let error = bind(Column::new("a", Type::Text)).expect_err("another type");
        assert!(error.to_string().contains("column \"a\" is i64 in the store (i64), not text"));
        let error = bind(Column::new("b", Type::I64)).expect_err("missing");
        assert!(error.to_string().contains("column \"b\" is missing"));
    }
}
