//! Rows as SQLite steps to them.

use rusqlite::types::ValueRef;
use sora_core::{Binding, Cell, Decimal, Error, ErrorKind, Result, Row, Type};
use sora_sql::label_columns;

use crate::failure::store_error;

/// A row, whose cells are converted to their columns' types as they are asked for.
pub(crate) struct SteppedRow<'a> {
    pub(crate) row: &'a rusqlite::Row<'a>,
    pub(crate) binding: &'a Binding,
    pub(crate) columns: &'a [u16],
}

impl Row for SteppedRow<'_> {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let Some(column) = self.columns.get(position) else {
            let message = format!("the row has no cell at position {position}");
            return Err(Error::new(ErrorKind::Internal, message));
        };
        self.convert(position, *column, self.binding.schema().column(*column).column_type)
    }
}

/// A row of many: the types of its columns were looked up once for all.
pub(crate) struct TypedRow<'a> {
    pub(crate) row: SteppedRow<'a>,
    pub(crate) types: &'a [Type],
}

impl Row for TypedRow<'_> {
    fn width(&self) -> usize {
        self.types.len()
    }

    #[inline]
    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        match (self.types.get(position), self.row.columns.get(position)) {
            (Some(column_type), Some(column)) => self.row.convert(position, *column, *column_type),
            _ => self.row.cell(position),
        }
    }
}

/// Returns a stored value as a cell of a type, or what is wrong with it.
pub(crate) fn convert(column_type: Type, value: ValueRef<'_>) -> Result<Cell<'_>, String> {
    Ok(match (column_type, value) {
        (_, ValueRef::Null) => Cell::Null,
        (Type::I64 | Type::Unknown, ValueRef::Integer(value)) => Cell::I64(value),
        (Type::F64 | Type::Unknown, ValueRef::Real(value)) => Cell::F64(value),
        (Type::Text | Type::Unknown, ValueRef::Text(bytes)) => Cell::Text(utf8(bytes)?),
        (Type::Bytes | Type::Unknown, ValueRef::Blob(bytes)) => Cell::Bytes(bytes),
        (Type::Bool, ValueRef::Integer(0)) => Cell::Bool(false),
        (Type::Bool, ValueRef::Integer(1)) => Cell::Bool(true),
        (Type::Bool, ValueRef::Integer(value)) => {
            return Err(format!("holds {value}, neither 0 nor 1"));
        }
        (Type::Json, ValueRef::Text(bytes)) => Cell::Json(utf8(bytes)?),
        (Type::Timestamp, ValueRef::Text(bytes)) => {
            Cell::Timestamp(utf8(bytes)?.parse().map_err(|error: Error| is_no(&error))?)
        }
        (Type::Date, ValueRef::Text(bytes)) => {
            Cell::Date(utf8(bytes)?.parse().map_err(|error: Error| is_no(&error))?)
        }
        (Type::Decimal { precision, scale }, ValueRef::Text(bytes)) => {
            let decimal = utf8(bytes)?.parse().map_err(|error: Error| is_no(&error))?;
            Cell::Decimal(fitted(decimal, precision, scale)?)
        }
        (Type::Decimal { precision, scale }, ValueRef::Integer(value)) => {
            Cell::Decimal(fitted(Decimal::from(value), precision, scale)?)
        }
        (Type::Uuid, ValueRef::Blob(bytes)) => match bytes.try_into() {
            Ok(uuid) => Cell::Uuid(uuid),
            Err(_) => return Err(format!("holds {} bytes, not the 16 of a UUID", bytes.len())),
        },
        // A column without an affinity to floats stores 2.0 as it came, as 2 if that is shorter.
        (Type::F64, ValueRef::Integer(value)) if exact_float(value).is_some() => {
            Cell::F64(exact_float(value).unwrap_or_default())
        }
        (expected, found) => return Err(format!("holds {}, not {expected}", found_name(found))),
    })
}

impl SteppedRow<'_> {
    #[inline]
    fn convert(&self, position: usize, column: u16, column_type: Type) -> Result<Cell<'_>> {
        let value = self.row.get_ref(position).map_err(store_error)?;
        // What nearly every cell is, before the general case and its larger result.
        match (column_type, value) {
            (Type::I64, ValueRef::Integer(value)) => Ok(Cell::I64(value)),
            (Type::F64, ValueRef::Real(value)) => Ok(Cell::F64(value)),
            (_, ValueRef::Null) => Ok(Cell::Null),
            (Type::Text, ValueRef::Text(bytes)) if let Ok(text) = std::str::from_utf8(bytes) => {
                Ok(Cell::Text(text))
            }
            (_, value) => convert(column_type, value).map_err(|why| self.failed(column, &why)),
        }
    }

    /// The error of a cell that is not of its column's type; it names the row by its key.
    #[cold]
    fn failed(&self, column: u16, why: &str) -> Error {
        let schema = self.binding.schema();
        let message = format!("the column {:?} {why}", schema.column(column).name);
        let mut error = Error::new(ErrorKind::Data, message).with("table", schema.table());
        let columns: Vec<u16> = self
            .columns
            .iter()
            .copied()
            .chain(label_columns::<sora_sql::Sqlite>(self.binding, self.columns))
            .collect();
        for key in schema.key() {
            let position = columns.iter().position(|column| column == key);
            let value = position.and_then(|position| self.row.get_ref(position).ok());
            let Some(value) = value else { continue };
            let cell = convert(Type::Unknown, value).unwrap_or_default();
            error = error.with("row", format!("{:?} = {cell}", schema.column(*key).name));
        }
        error
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "holds text that is not UTF-8".into())
}

fn is_no(error: &Error) -> String {
    format!("holds what {}", error.message())
}

fn fitted(decimal: Decimal, precision: u8, scale: u8) -> Result<Decimal, String> {
    let fits = decimal.rescale(scale).filter(|decimal| decimal.precision() <= precision);
    fits.ok_or_else(|| {
        format!("holds {decimal}, which has more than {precision} digits, {scale} of them behind the point")
    })
}

fn exact_float(value: i64) -> Option<f64> {
    const EXACT_MAX: u64 = 1 << 53;
    #[expect(clippy::cast_precision_loss, reason = "checked to be exact")]
    (value.unsigned_abs() <= EXACT_MAX).then_some(value as f64)
}

fn found_name(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "null".into(),
        ValueRef::Integer(value) => format!("the integer {value}"),
        ValueRef::Real(value) => format!("the float {value:?}"),
        ValueRef::Text(_) => "text".into(),
        ValueRef::Blob(_) => "bytes".into(),
    }
}
