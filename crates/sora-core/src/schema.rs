//! What a table is made of, as an entity declares it or as a catalogue tells it.

use std::fmt::Write as _;

use crate::name::{check_name, find_name, unknown_name};
use crate::{Decimal, Error, ErrorKind, Result, Type, Value};

/// A table: its name, columns, key and indexes.
///
/// Columns are addressed by their position in [`columns`](Schema::columns).
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    table: Box<str>,
    columns: Box<[Column]>,
    key: Box<[u16]>,
    indexes: Box<[Index]>,
    version: Option<u16>,
    fingerprint: u64,
}

/// A column of a [`Schema`].
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name in the store.
    pub name: Box<str>,
    /// The logical type.
    pub column_type: Type,
    /// Whether it can hold no value.
    pub nullable: bool,
    /// The smallest and largest integer it takes, if fewer than 64 bits.
    pub range: Option<(i64, i64)>,
    /// Who gives a new row its value.
    pub assigned: Assigned,
    /// Whether it is left out of rows unless it is asked for: the `rowid` of a found table.
    pub hidden: bool,
}

/// Who gives a column of a new row its value when the caller gives none.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Assigned {
    /// The caller, always; a nullable column that is left out is null.
    Caller,
    /// The store, by a constant `DEFAULT`.
    Default(Value),
    /// The store, by counting up; a number is never given twice.
    Identity,
    /// The store, by the time of the insert, for timestamps.
    Now,
    /// The store, by an expression that Sora found in the catalogue and does not read.
    Store(Box<str>),
    /// Sora, by a `UUIDv7`: its order is the order of creation.
    UuidV7,
}

impl Assigned {
    /// What [`Assigned::Store`] says of a column that the store computes from others.
    pub const COMPUTED: &'static str = "a computed column";

    /// Whether the store computes the column from others, so that it takes no value.
    pub fn is_computed(&self) -> bool {
        matches!(self, Self::Store(text) if **text == *Self::COMPUTED)
    }
}

/// An index of a [`Schema`].
#[derive(Clone, Debug, PartialEq)]
pub struct Index {
    /// The name in the store.
    pub name: Box<str>,
    /// The columns, in order.
    pub columns: Box<[u16]>,
    /// Whether two rows may not have the same values.
    pub unique: bool,
}

impl Schema {
    /// The longest name of a table, column or index in bytes, which is PostgreSQL's.
    pub const NAME_BYTES_MAX: usize = 63;
    /// The largest number of columns, which is PostgreSQL's.
    pub const COLUMNS_MAX: usize = 1600;

    /// Starts a schema of a table.
    pub fn builder(table: impl Into<Box<str>>) -> SchemaBuilder {
        SchemaBuilder {
            table: table.into(),
            columns: Vec::new(),
            key: Vec::new(),
            indexes: Vec::new(),
            version: None,
        }
    }

    /// The name of the table.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The columns, in the order in which rows hold them.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The column at a position.
    ///
    /// # Panics
    ///
    /// Panics beyond the last; positions come from this schema.
    pub fn column(&self, column: u16) -> &Column {
        &self.columns[usize::from(column)]
    }

    /// The columns of the key, in order; none for a view or a table without one.
    pub fn key(&self) -> &[u16] {
        &self.key
    }

    /// The indexes.
    pub fn indexes(&self) -> &[Index] {
        &self.indexes
    }

    /// The column that counts the writes of a row, for optimistic concurrency.
    pub fn version(&self) -> Option<u16> {
        self.version
    }

    /// A hash of the table's name and its columns' names and types, equal on every machine.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// All columns that are not hidden.
    pub fn visible(&self) -> impl Iterator<Item = u16> {
        (0u16..).zip(&self.columns).filter(|(_, column)| !column.hidden).map(|(at, _)| at)
    }

    /// Finds a column by its name: exactly, else by the only match that ignores ASCII case.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the nearest column.
    pub fn find(&self, name: &str) -> Result<u16> {
        let names = self.columns.iter().map(|column| &*column.name);
        match find_name(names.clone(), name) {
            // There are at most 1,600 columns.
            Some(at) => Ok(u16::try_from(at).unwrap_or(u16::MAX)),
            None => Err(unknown_name("column", name, names).with("table", &self.table)),
        }
    }

    /// Finds a unique index by its name.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the nearest one.
    pub fn find_unique(&self, name: &str) -> Result<&Index> {
        let unique = || self.indexes.iter().filter(|index| index.unique);
        let names = unique().map(|index| &*index.name);
        find_name(names.clone(), name)
            .and_then(|at| unique().nth(at))
            .ok_or_else(|| unknown_name("unique index", name, names).with("table", &self.table))
    }
}

impl Column {
    /// Returns a column that is never null and that the caller gives its value.
    pub fn new(name: impl Into<Box<str>>, column_type: Type) -> Self {
        Self {
            name: name.into(),
            column_type,
            nullable: false,
            range: None,
            assigned: Assigned::Caller,
            hidden: false,
        }
    }

    /// Lets the column hold no value.
    pub fn nullable(mut self) -> Self {
        self.nullable = true;
        self
    }

    /// Narrows an integer.
    pub fn range(mut self, min: i64, max: i64) -> Self {
        self.range = Some((min, max));
        self
    }

    /// Sets who gives a new row its value.
    pub fn assigned(mut self, assigned: Assigned) -> Self {
        self.assigned = assigned;
        self
    }

    /// Leaves the column out of rows unless it is asked for.
    pub fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// Whether a new row must be given a value for this column.
    pub fn is_required(&self) -> bool {
        !self.nullable && self.assigned == Assigned::Caller
    }
}

/// Builds a [`Schema`] and checks it.
#[derive(Debug)]
pub struct SchemaBuilder {
    table: Box<str>,
    columns: Vec<Column>,
    key: Vec<Box<str>>,
    indexes: Vec<NamedIndex>,
    version: Option<Box<str>>,
}

/// An index by the names of its columns.
#[derive(Debug)]
struct NamedIndex {
    name: Option<Box<str>>,
    columns: Vec<Box<str>>,
    unique: bool,
}

impl SchemaBuilder {
    /// Adds a column.
    pub fn column(mut self, column: Column) -> Self {
        self.columns.push(column);
        self
    }

    /// Sets the columns of the key, in order.
    pub fn key<N: Into<Box<str>>>(mut self, columns: impl IntoIterator<Item = N>) -> Self {
        self.key = columns.into_iter().map(Into::into).collect();
        self
    }

    /// Adds an index named `{table}_{columns}_idx`.
    pub fn index<N: Into<Box<str>>>(self, columns: impl IntoIterator<Item = N>) -> Self {
        self.add_index(None, columns, false)
    }

    /// Adds a unique index named `{table}_{columns}_key`.
    pub fn unique<N: Into<Box<str>>>(self, columns: impl IntoIterator<Item = N>) -> Self {
        self.add_index(None, columns, true)
    }

    /// Adds an index with a name.
    pub fn named_index<N: Into<Box<str>>>(
        self,
        name: impl Into<Box<str>>,
        columns: impl IntoIterator<Item = N>,
        unique: bool,
    ) -> Self {
        self.add_index(Some(name.into()), columns, unique)
    }

    /// Sets the column that counts the writes of a row.
    pub fn version(mut self, column: impl Into<Box<str>>) -> Self {
        self.version = Some(column.into());
        self
    }

    /// Checks the parts and returns the schema.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`], naming the table, the column and the remedy.
    pub fn build(self) -> Result<Schema> {
        check_name("table", &self.table)?;
        let at = |error: Error| error.with("table", &self.table);
        if self.columns.is_empty() || self.columns.len() > Schema::COLUMNS_MAX {
            return Err(at(invalid("a table has 1 to 1600 columns".into())));
        }
        for (index, column) in self.columns.iter().enumerate() {
            check_column(column).map_err(at)?;
            let before = &self.columns[..index];
            if before.iter().any(|other| other.name == column.name) {
                return Err(at(invalid(format!("two columns are named {:?}", column.name))));
            }
        }
        let mut schema = Schema {
            fingerprint: fingerprint(&self.table, &self.columns),
            table: self.table,
            columns: self.columns.into(),
            key: Box::default(),
            indexes: Box::default(),
            version: None,
        };
        schema.key = schema.positions(&self.key)?;
        for column in &schema.key {
            check_key_column(schema.column(*column), schema.key.len())
                .map_err(|error| error.with("table", &schema.table))?;
        }
        schema.version = self.version.map(|name| schema.find(&name)).transpose()?;
        if let Some(column) = schema.version {
            let column = schema.column(column);
            if column.column_type != Type::I64 || column.nullable {
                let message = format!("the version column {:?} is an i64, not null", column.name);
                return Err(invalid(message).with("table", schema.table));
            }
        }
        let mut indexes = Vec::new();
        for NamedIndex { name, columns, unique } in self.indexes {
            let columns = schema.positions(&columns)?;
            let name = name.unwrap_or_else(|| schema.index_name(&columns, unique));
            check_name("index", &name).map_err(|error| error.with("table", &schema.table))?;
            if columns.is_empty() {
                return Err(invalid(format!("the index {name:?} has no column")));
            }
            indexes.push(Index { name, columns, unique });
        }
        schema.indexes = indexes.into();
        Ok(schema)
    }

    fn add_index<N: Into<Box<str>>>(
        mut self,
        name: Option<Box<str>>,
        columns: impl IntoIterator<Item = N>,
        unique: bool,
    ) -> Self {
        let columns = columns.into_iter().map(Into::into).collect();
        self.indexes.push(NamedIndex { name, columns, unique });
        self
    }
}

impl Schema {
    fn positions(&self, names: &[Box<str>]) -> Result<Box<[u16]>> {
        names.iter().map(|name| self.find(name)).collect()
    }

    /// PostgreSQL's convention; a name that would be too long keeps its head and gets a hash.
    fn index_name(&self, columns: &[u16], unique: bool) -> Box<str> {
        let mut name = self.table.to_string();
        for column in columns {
            // Writing to a String cannot fail.
            let _ = write!(name, "_{}", self.column(*column).name);
        }
        let ending = if unique { "_key" } else { "_idx" };
        let room = Self::NAME_BYTES_MAX - ending.len();
        if name.len() > room {
            let hash = format!("_{:08x}", fnv1a(FNV_START, name.as_bytes()) >> 32);
            name.truncate(name.floor_char_boundary(room - hash.len()));
            name += &hash;
        }
        (name + ending).into()
    }
}

fn check_column(column: &Column) -> Result<()> {
    check_name("column", &column.name)?;
    let wrong = |message: &str| Err(invalid(message.into()).with("column", &column.name));
    if let Type::Decimal { precision, scale } = column.column_type {
        if precision == 0 {
            return wrong("a decimal needs its precision and scale: #[sora(decimal(12, 2))]");
        }
        if precision > Decimal::PRECISION_MAX || scale > precision {
            return wrong(
                "a decimal has at most 28 digits, and no more behind the point than in all",
            );
        }
    }
    if column.range.is_some_and(|(min, max)| column.column_type != Type::I64 || min > max) {
        return wrong("a range belongs to an i64 and goes from its smallest to its largest");
    }
    let fits = match &column.assigned {
        Assigned::Identity => column.column_type == Type::I64,
        Assigned::Now => column.column_type == Type::Timestamp,
        Assigned::UuidV7 => column.column_type == Type::Uuid,
        Assigned::Caller | Assigned::Default(_) | Assigned::Store(_) => true,
    };
    if !fits {
        return wrong("identity belongs to an i64, now to a timestamp, uuid_v7 to a UUID");
    }
    Ok(())
}

fn check_key_column(column: &Column, width: usize) -> Result<()> {
    let wrong = |message: String| Err(invalid(message).with("column", &column.name));
    if column.nullable {
        return wrong("a key column is never null".into());
    }
    if !matches!(
        column.column_type,
        Type::I64 | Type::Text | Type::Uuid | Type::Bytes | Type::Date | Type::Timestamp
    ) {
        return wrong(format!("a key column cannot be {}", column.column_type));
    }
    if column.assigned == Assigned::Identity && width != 1 {
        return wrong("an identity column is the whole key".into());
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

fn fingerprint(table: &str, columns: &[Column]) -> u64 {
    let mut hash = fnv1a(FNV_START, table.as_bytes());
    for column in columns {
        let nullable = if column.nullable { "null" } else { "" };
        for part in [&*column.name, &column.column_type.to_string(), nullable] {
            // The zero keeps ("ab", "c") apart from ("a", "bc"): names hold none.
            hash = fnv1a(fnv1a(hash, &[0]), part.as_bytes());
        }
    }
    hash
}

pub(crate) const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

/// FNV-1a, 64 bits (<http://www.isthe.com/chongo/tech/comp/fnv/>): stable over versions and
/// machines, which the standard library's hasher does not promise.
pub(crate) fn fnv1a(start: u64, bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(start, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cities() -> SchemaBuilder {
        Schema::builder("cities")
            .column(Column::new("id", Type::I64).assigned(Assigned::Identity))
            .column(Column::new("Name", Type::Text))
            .column(Column::new("population", Type::I64).nullable())
            .key(["id"])
    }

    #[test]
    fn finds_columns_by_name() {
        let schema = cities().index(["population"]).unique(["name"]).build().expect("a schema");
        assert_eq!(schema.find("name").expect("found"), 1);
        assert_eq!(&*schema.indexes()[0].name, "cities_population_idx");
        assert_eq!(&*schema.find_unique("cities_Name_key").expect("found").columns, [1]);
        let error = schema.find("popluation").expect_err("misspelt");
        assert!(error.to_string().contains("did you mean \"population\"?"), "{error}");
        let error = schema.find("zzzzzzzzz").expect_err("unknown");
        assert!(error.to_string().contains("there are \"id\", \"Name\""), "{error}");
    }

    #[test]
    fn refuses_what_no_store_could_hold() {
        let build = |builder: SchemaBuilder| builder.build().expect_err("refused").to_string();
        assert!(build(Schema::builder("")).contains("cannot name a table"));
        assert!(build(Schema::builder("a")).contains("1 to 1600 columns"));
        assert!(build(cities().column(Column::new("Name", Type::Text))).contains("two columns"));
        assert!(build(cities().key(["population"])).contains("never null"));
        assert!(build(cities().key(["id", "name"])).contains("the whole key"));
        assert!(build(cities().version("name")).contains("version column"));
        let price = Column::new("price", Type::Decimal { precision: 0, scale: 0 });
        assert!(build(cities().column(price)).contains("precision and scale"));
    }

    #[test]
    fn long_index_names_stay_distinct_and_fit() {
        let long = "x".repeat(60);
        let schema = Schema::builder(long.clone())
            .column(Column::new("a", Type::I64))
            .column(Column::new("b", Type::I64))
            .index(["a"])
            .index(["b"])
            .build()
            .expect("a schema");
        let names: Vec<_> = schema.indexes().iter().map(|index| &index.name).collect();
        assert!(names.iter().all(|name| name.len() <= Schema::NAME_BYTES_MAX));
        assert_ne!(names[0], names[1]);
    }
}
