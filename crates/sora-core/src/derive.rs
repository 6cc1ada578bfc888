//! What derived code calls, so that it is short. Not part of the public API.

mod conversion;

use std::sync::{Arc, OnceLock};

pub use conversion::{FromColumn, ToColumn};

pub use crate::*;

use crate::place::Place;

/// An entity as its attributes declare it, and its schema once it was asked for.
#[derive(Debug)]
pub struct EntitySpec {
    table: &'static str,
    columns: &'static [ColumnSpec],
    indexes: &'static [IndexSpec],
    schema: OnceLock<Result<Arc<Schema>>>,
}

/// The name of an index if it was given, its columns, and whether it is unique.
pub type IndexSpec = (Option<&'static str>, &'static [&'static str], bool);

/// A column as the attributes of its field declare it.
///
/// Its functions run at compile time: their panics are compile errors at the attribute.
#[derive(Clone, Copy, Debug)]
pub struct ColumnSpec {
    name: &'static str,
    column_type: Type,
    nullable: bool,
    range: Option<(i64, i64)>,
    assigned: AssignedSpec,
    key: bool,
    version: bool,
}

#[derive(Clone, Copy, Debug)]
enum AssignedSpec {
    Caller,
    Default { literal: Cell<'static>, decode: fn(Cell<'_>) -> Result<()> },
    Identity,
    Now,
    UuidV7,
}

impl EntitySpec {
    /// Returns the declaration of a table.
    pub const fn new(
        table: &'static str,
        columns: &'static [ColumnSpec],
        indexes: &'static [IndexSpec],
    ) -> Self {
        Self { table, columns, indexes, schema: OnceLock::new() }
    }

    /// Returns the schema, built by the first call.
    pub fn schema(&'static self) -> Result<&'static Arc<Schema>> {
        self.schema.get_or_init(|| self.build().map(Arc::new)).as_ref().map_err(Clone::clone)
    }

    fn build(&self) -> Result<Schema> {
        let mut schema = Schema::builder(self.table);
        for column in self.columns {
            schema =
                schema.column(column.build().map_err(|error| error.with("table", self.table))?);
        }
        schema = schema.key(self.columns.iter().filter(|column| column.key).map(|key| key.name));
        if let Some(version) = self.columns.iter().find(|column| column.version) {
            schema = schema.version(version.name);
        }
        for (name, columns, unique) in self.indexes {
            let columns = columns.iter().copied();
            schema = match (name, unique) {
                (Some(name), unique) => schema.named_index(*name, columns, *unique),
                (None, true) => schema.unique(columns),
                (None, false) => schema.index(columns),
            };
        }
        schema.build()
    }
}

impl ColumnSpec {
    /// Returns the column of a field of type `T`.
    #[track_caller]
    pub const fn new<T: ColumnType>(name: &'static str) -> Self {
        assert!(
            !matches!(T::TYPE, Type::Decimal { precision: 0, .. }),
            "a decimal declares its digits, and how many of them are behind the point: \
             `#[sora(decimal(12, 2))]`"
        );
        Self::of::<T>(name, T::TYPE)
    }

    /// Returns the column of a field of a decimal type `T`.
    #[track_caller]
    pub const fn decimal<T: ColumnType>(name: &'static str, precision: u8, scale: u8) -> Self {
        assert!(matches!(T::TYPE, Type::Decimal { .. }), "`decimal` belongs to a decimal field");
        Self::of::<T>(name, Type::Decimal { precision, scale })
    }

    const fn of<T: ColumnType>(name: &'static str, column_type: Type) -> Self {
        Self {
            name,
            column_type,
            nullable: T::NULLABLE,
            range: T::RANGE,
            assigned: AssignedSpec::Caller,
            key: false,
            version: false,
        }
    }

    /// Makes it a column of the key.
    #[track_caller]
    pub const fn key(mut self) -> Self {
        assert!(!self.nullable, "a key is never null: the field cannot be optional");
        assert!(
            matches!(
                self.column_type,
                Type::I64 | Type::Text | Type::Uuid | Type::Bytes | Type::Date | Type::Timestamp
            ),
            "a key is an integer, a text, a UUID, bytes, a date or a timestamp"
        );
        self.key = true;
        self
    }

    /// Makes it the column that counts the writes of a row.
    #[track_caller]
    pub const fn version(mut self) -> Self {
        assert!(
            matches!(self.column_type, Type::I64) && !self.nullable,
            "`version` belongs to an i64 that is not optional"
        );
        self.version = true;
        self
    }

    /// Lets the store count it up.
    #[track_caller]
    pub const fn identity(mut self) -> Self {
        assert!(matches!(self.column_type, Type::I64), "`identity` belongs to an i64");
        self.assigned = AssignedSpec::Identity;
        self
    }

    /// Lets the store set it to the time of the insert.
    #[track_caller]
    pub const fn now(mut self) -> Self {
        assert!(
            matches!(self.column_type, Type::Timestamp),
            "`default = now` belongs to a timestamp"
        );
        self.assigned = AssignedSpec::Now;
        self
    }

    /// Lets Sora set it to a `UUIDv7`.
    #[track_caller]
    pub const fn uuid_v7(mut self) -> Self {
        assert!(
            matches!(self.column_type, Type::Uuid) && !self.nullable,
            "`uuid_v7` belongs to a UUID that is not optional"
        );
        self.assigned = AssignedSpec::UuidV7;
        self
    }

    /// Lets the store set it to a literal, which is read as a value of the column's type.
    #[track_caller]
    pub const fn default<T: ColumnType>(mut self, literal: Cell<'static>) -> Self {
        match (self.column_type, literal) {
            (Type::Bool, Cell::Bool(_))
            | (Type::F64, Cell::F64(_) | Cell::I64(_))
            | (Type::Decimal { .. }, Cell::I64(_) | Cell::Text(_))
            | (
                Type::Text | Type::Timestamp | Type::Date | Type::Uuid | Type::Json,
                Cell::Text(_),
            ) => {}
            (Type::I64, Cell::I64(value)) => {
                if let Some((min, max)) = self.range {
                    assert!(min <= value && value <= max, "the default is out of the type's range");
                }
            }
            (Type::Bool, _) => panic!("the default of a bool is `true` or `false`"),
            (Type::I64, _) => panic!("the default of an integer is an integer"),
            (Type::F64, _) => panic!("the default of a float is a number"),
            (Type::Decimal { .. }, _) => {
                panic!("the default of a decimal is an integer or a text, such as \"0.10\"")
            }
            (Type::Bytes | Type::Unknown, _) => panic!("a column of this type has no default"),
            _ => panic!("the default of this column is a text"),
        }
        self.assigned = AssignedSpec::Default { literal, decode: decode::<T> };
        self
    }

    fn build(&self) -> Result<Column> {
        let mut column = Column::new(self.name, self.column_type);
        column.nullable = self.nullable;
        column.range = self.range;
        column.assigned = match self.assigned {
            AssignedSpec::Caller => Assigned::Caller,
            AssignedSpec::Identity => Assigned::Identity,
            AssignedSpec::Now => Assigned::Now,
            AssignedSpec::UuidV7 => Assigned::UuidV7,
            AssignedSpec::Default { literal, decode } => {
                let value = default_value(&column, literal)
                    .and_then(|value| decode(value.cell()).map(|()| value));
                Assigned::Default(value.map_err(|error| wrong_default(&column, error))?)
            }
        };
        Ok(column)
    }

    const fn is_required(&self) -> bool {
        !self.nullable && !self.version && matches!(self.assigned, AssignedSpec::Caller)
    }
}

/// Reads the cell at a position of a row as a field of the entity `E`; an error names the column.
#[inline]
pub fn read<E: Entity, T: ColumnType, V: FromColumn<T>, R: Row + ?Sized>(
    row: &R,
    position: usize,
    field: Field<E, T>,
) -> Result<V> {
    let decoded = match row.cell(position) {
        Ok(cell) => T::decode(cell),
        Err(error) => Err(error),
    };
    match decoded {
        Ok(value) => Ok(V::from_column(value)),
        Err(error) => Err(name_column::<E>(error, field.column())),
    }
}

/// Writes a value of a field of the entity `E` as one cell; an error names the column.
#[inline]
pub fn write<E: Entity, T, V: ToColumn<T>>(
    out: &mut dyn CellSink,
    field: Field<E, T>,
    value: &V,
) -> Result<()> {
    match value.to_column(out) {
        Ok(()) => Ok(()),
        Err(error) => Err(name_column::<E>(error, field.column())),
    }
}

/// Refuses at compile time a struct that leaves out a column nobody else gives a value.
#[track_caller]
pub const fn check_insert(columns: &[ColumnSpec], given: &[u16]) {
    let mut at = 0;
    while at < columns.len() {
        let mut is_given = !columns[at].is_required();
        let mut index = 0;
        while index < given.len() {
            is_given |= given[index] as usize == at;
            index += 1;
        }
        if !is_given {
            let message = [
                "the column `",
                columns[at].name,
                "` is missing: it is not null, and neither the store nor Sora assigns it",
            ];
            let mut text = [b' '; 160];
            let length = join(&message, &mut text);
            match str::from_utf8(text.split_at(length).0) {
                Ok(message) => panic!("{}", message),
                Err(_) => panic!("a column is missing that neither the store nor Sora assigns"),
            }
        }
        at += 1;
    }
}

/// Returns the error of a text that names no variant of an enum.
#[cold]
pub fn unknown_variant(cell: Cell<'_>, name: &str, variants: &[&str]) -> Error {
    let Cell::Text(text) = cell else { return unexpected(cell, name) };
    let message = format!("{text:?} is no {name}: there are {}", variants.join(", "));
    Error::new(ErrorKind::Data, message)
}

/// Adds the name of the column, unless the error says it already.
#[cold]
fn name_column<E: Entity>(error: Error, column: u16) -> Error {
    let Ok(schema) = E::schema() else { return error };
    let name = &schema.column(column).name;
    let is_named = error.context().any(|(context, _)| context == "column")
        || error.message().contains(&format!("{name:?}"));
    if is_named { error } else { error.with("column", name) }
}

/// Turns a literal of an attribute into a value of the column's type.
fn default_value(column: &Column, literal: Cell<'static>) -> Result<Value> {
    if let (Type::Json, Cell::Text(text)) = (column.column_type, literal) {
        return Ok(Value::Json(json::canonical(text)?.into()));
    }
    let Place::At(value) = Place::of(column, literal.to_value())? else {
        let message = format!("{literal} is no value of type {}", column.column_type);
        return Err(Error::new(ErrorKind::InvalidInput, message));
    };
    check_cell(column, value.cell()).map(Cell::to_value)
}

fn wrong_default(column: &Column, error: Error) -> Error {
    let message = format!("the default of the column {:?} is wrong: {error}", column.name);
    Error::new(ErrorKind::InvalidInput, message).with_source(error)
}

fn decode<T: ColumnType>(cell: Cell<'_>) -> Result<()> {
    T::decode(cell).map(drop)
}

/// Copies the parts as far as there is room and returns how many bytes they took.
const fn join(parts: &[&str], out: &mut [u8]) -> usize {
    let mut length = 0;
    let mut part = 0;
    while part < parts.len() {
        let bytes = parts[part].as_bytes();
        let mut at = 0;
        while at < bytes.len() && length < out.len() {
            out[length] = bytes[at];
            length += 1;
            at += 1;
        }
        part += 1;
    }
    length
}
