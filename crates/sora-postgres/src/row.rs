//! Rows as the server sends them.

use std::cell::OnceCell;

use postgres_types::{FromSql, Kind, Type as WireType};
use sora_core::{
    Binding, Cell, Date, Decimal, Error, ErrorKind, Result, Row, Timestamp, Type, json,
};
use sora_sql::{Postgres, label_columns};

use crate::numeric;
use crate::parameter::{EPOCH_DAYS, EPOCH_MICROS};

/// A row, whose cells are converted to their columns' types as they are asked for. Text and bytes
/// are borrowed from what came over the wire.
pub(crate) struct WireRow<'a> {
    row: &'a tokio_postgres::Row,
    binding: &'a Binding,
    columns: &'a [u16],
    scratch: &'a Scratch,
}

/// Room for the cells of one row that cannot be borrowed: JSON in its canonical form.
#[derive(Debug, Default)]
pub(crate) struct Scratch(Box<[OnceCell<String>]>);

impl Scratch {
    /// Returns the room for rows of these columns; it allocates only if one is JSON.
    pub(crate) fn new(binding: &Binding, columns: &[u16]) -> Self {
        let is_json = |column: &u16| binding.schema().column(*column).column_type == Type::Json;
        let needed = if columns.iter().any(is_json) { columns.len() } else { 0 };
        Self((0..needed).map(|_| OnceCell::new()).collect())
    }

    /// Makes room for the next row.
    pub(crate) fn clear(&mut self) {
        self.0.iter_mut().for_each(|cell| {
            cell.take();
        });
    }

    /// Returns the JSON of the cell at a position in its canonical form.
    pub(crate) fn canonical(&self, position: usize, text: &str) -> Result<Cell<'_>, String> {
        let Some(room) = self.0.get(position) else {
            return Err("holds JSON, for which there is no room".into());
        };
        let text = match room.get() {
            Some(text) => text,
            None => {
                let canonical = json::canonical(text).map_err(|error| is_no(&error))?;
                room.get_or_init(|| canonical)
            }
        };
        Ok(Cell::Json(text))
    }
}

impl<'a> WireRow<'a> {
    /// Returns a row of which the first cells are those of `columns`.
    pub(crate) fn new(
        row: &'a tokio_postgres::Row,
        binding: &'a Binding,
        columns: &'a [u16],
        scratch: &'a mut Scratch,
    ) -> Self {
        scratch.clear();
        Self { row, binding, columns, scratch }
    }

    fn convert<'b>(
        &'b self,
        position: usize,
        raw: Raw<'b>,
        (column, column_type): (u16, Type),
    ) -> Result<Cell<'b>> {
        let cell = match raw.decode(column_type) {
            Ok(Cell::Json(text)) => self.scratch.canonical(position, text),
            cell => cell,
        };
        cell.map_err(|why| self.failed(column, &why))
    }

    fn raw(&self, position: usize) -> Result<Raw<'_>> {
        self.row.try_get(position).map_err(|error| {
            let message = format!("the row has no cell at position {position}");
            Error::new(ErrorKind::Internal, message).with_source(error)
        })
    }

    /// The error of a cell that is not of its column's type; it names the row by its key.
    #[cold]
    fn failed(&self, column: u16, why: &str) -> Error {
        let schema = self.binding.schema();
        let message = format!("the column {:?} {why}", schema.column(column).name);
        let mut error = Error::new(ErrorKind::Data, message).with("table", schema.table());
        let labels = label_columns::<Postgres>(self.binding, self.columns);
        let columns: Vec<u16> = self.columns.iter().copied().chain(labels).collect();
        for key in schema.key() {
            let position = columns.iter().position(|column| column == key);
            // What a write returns ends without them.
            let raw = position.filter(|at| *at < self.row.len()).and_then(|at| self.raw(at).ok());
            let Some(raw) = raw else { continue };
            let column = schema.column(*key);
            if let Ok(cell) = raw.decode(column.column_type) {
                error = error.with("row", format!("{:?} = {cell}", column.name));
            }
        }
        error
    }
}

impl Row for WireRow<'_> {
    fn width(&self) -> usize {
        self.columns.len()
    }

    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let Some(column) = self.columns.get(position) else {
            let message = format!("the row has no cell at position {position}");
            return Err(Error::new(ErrorKind::Internal, message));
        };
        let column_type = self.binding.schema().column(*column).column_type;
        self.convert(position, self.raw(position)?, (*column, column_type))
    }
}

/// A row of many: what its columns are, and how their cells come, was looked up once for all.
pub(crate) struct FormedRow<'a> {
    pub(crate) row: WireRow<'a>,
    pub(crate) columns: &'a [Formed],
}

/// A column of the rows of one statement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Formed {
    column: u16,
    column_type: Type,
    form: Form,
}

impl Formed {
    /// Returns the columns of all rows that come with this one.
    pub(crate) fn of(row: &tokio_postgres::Row, binding: &Binding, columns: &[u16]) -> Vec<Self> {
        let formed = |(column, sent): (&u16, &tokio_postgres::Column)| Self {
            column: *column,
            column_type: binding.schema().column(*column).column_type,
            form: Form::of(sent.type_()),
        };
        columns.iter().zip(row.columns()).map(formed).collect()
    }
}

impl Row for FormedRow<'_> {
    fn width(&self) -> usize {
        self.row.columns.len()
    }

    #[inline]
    fn cell(&self, position: usize) -> Result<Cell<'_>> {
        let Some(Formed { column, column_type, form }) = self.columns.get(position) else {
            return self.row.cell(position);
        };
        let Ok(Sent(bytes)) = self.row.row.try_get(position) else {
            return self.row.cell(position);
        };
        // What nearly every cell is, before the general case and its larger results.
        match (*column_type, *form, bytes) {
            (_, _, None) => Ok(Cell::Null),
            (Type::I64, Form::Int8, Some(bytes)) if let Ok(bytes) = bytes.try_into() => {
                Ok(Cell::I64(i64::from_be_bytes(bytes)))
            }
            (Type::F64, Form::Float8, Some(bytes)) if let Ok(bytes) = bytes.try_into() => {
                Ok(Cell::F64(f64::from_be_bytes(bytes)))
            }
            (Type::Text, Form::Text, Some(bytes)) if let Ok(text) = std::str::from_utf8(bytes) => {
                Ok(Cell::Text(text))
            }
            (column_type, form, bytes) => {
                self.row.convert(position, Raw { form, bytes }, (*column, column_type))
            }
        }
    }
}

/// The bytes of a cell, whatever its type.
struct Sent<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Sent<'a> {
    fn from_sql(
        _: &WireType,
        bytes: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(bytes)))
    }

    fn from_sql_null(_: &WireType) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &WireType) -> bool {
        true
    }
}

/// A cell in its binary form; none is null.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Raw<'a> {
    form: Form,
    bytes: Option<&'a [u8]>,
}

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(
        wire: &WireType,
        bytes: &'a [u8],
    ) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self { form: Form::of(wire), bytes: Some(bytes) })
    }

    fn from_sql_null(wire: &WireType) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self { form: Form::of(wire), bytes: None })
    }

    fn accepts(_: &WireType) -> bool {
        true
    }
}

/// The binary form of a type of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Bool,
    Bytes,
    Date,
    Float4,
    Float8,
    Int2,
    Int4,
    Int8,
    Json,
    Jsonb,
    Numeric,
    Oid,
    Other,
    Text,
    Timestamp,
    Uuid,
}

impl Form {
    fn of(wire: &WireType) -> Self {
        match *wire {
            WireType::BOOL => Self::Bool,
            WireType::BYTEA => Self::Bytes,
            WireType::DATE => Self::Date,
            WireType::FLOAT4 => Self::Float4,
            WireType::FLOAT8 => Self::Float8,
            WireType::INT2 => Self::Int2,
            WireType::INT4 => Self::Int4,
            WireType::INT8 => Self::Int8,
            WireType::JSON => Self::Json,
            WireType::JSONB => Self::Jsonb,
            WireType::NUMERIC => Self::Numeric,
            WireType::OID => Self::Oid,
            WireType::TEXT
            | WireType::VARCHAR
            | WireType::BPCHAR
            | WireType::NAME
            | WireType::UNKNOWN => Self::Text,
            WireType::TIMESTAMP | WireType::TIMESTAMPTZ => Self::Timestamp,
            WireType::UUID => Self::Uuid,
            // Its binary form is its label.
            _ if matches!(wire.kind(), Kind::Enum(_)) => Self::Text,
            _ => Self::Other,
        }
    }
}

/// Whether cells of a type of the server can be read.
pub(crate) fn is_readable(wire: &WireType) -> bool {
    Form::of(wire) != Form::Other
}

impl<'a> Raw<'a> {
    /// Returns the cell as one of a type, or what is wrong with it. JSON comes as the server has it.
    #[inline]
    pub(crate) fn decode(self, column_type: Type) -> Result<Cell<'a>, String> {
        let Some(bytes) = self.bytes else { return Ok(Cell::Null) };
        // What nearly every cell is, before the general case.
        match (column_type, self.form) {
            (Type::I64, Form::Int8) => Ok(Cell::I64(i64::from_be_bytes(fixed(bytes)?))),
            (Type::Text, Form::Text) => utf8(bytes).map(Cell::Text),
            (Type::Unknown, form) => natural(form, bytes),
            (_, form) => convert(column_type, natural(form, bytes)?),
        }
    }
}

/// Returns the cell that a form holds by itself.
fn natural(form: Form, bytes: &[u8]) -> Result<Cell<'_>, String> {
    Ok(match form {
        Form::Bool => Cell::Bool(u8::from_be_bytes(fixed(bytes)?) != 0),
        Form::Bytes => Cell::Bytes(bytes),
        Form::Date => Cell::Date(date(i32::from_be_bytes(fixed(bytes)?))?),
        Form::Float4 => Cell::F64(f32::from_be_bytes(fixed(bytes)?).into()),
        Form::Float8 => Cell::F64(f64::from_be_bytes(fixed(bytes)?)),
        Form::Int2 => Cell::I64(i16::from_be_bytes(fixed(bytes)?).into()),
        Form::Int4 => Cell::I64(i32::from_be_bytes(fixed(bytes)?).into()),
        Form::Int8 => Cell::I64(i64::from_be_bytes(fixed(bytes)?)),
        Form::Json => Cell::Json(utf8(bytes)?),
        Form::Jsonb => match bytes.split_first() {
            Some((1, text)) => Cell::Json(utf8(text)?),
            _ => return Err("holds jsonb in a version that Sora does not know".into()),
        },
        Form::Numeric => Cell::Decimal(numeric::decode(bytes)?),
        Form::Oid => Cell::I64(u32::from_be_bytes(fixed(bytes)?).into()),
        Form::Other => return Err("came in a form that Sora does not read".into()),
        Form::Text => Cell::Text(utf8(bytes)?),
        Form::Timestamp => Cell::Timestamp(timestamp(i64::from_be_bytes(fixed(bytes)?))?),
        Form::Uuid => Cell::Uuid(fixed(bytes)?),
    })
}

/// Returns a cell as one of another type that holds the same value.
fn convert(expected: Type, cell: Cell<'_>) -> Result<Cell<'_>, String> {
    let parsed = |error: Error| is_no(&error);
    Ok(match (expected, cell) {
        (Type::Bool, Cell::Bool(_))
        | (Type::Bytes, Cell::Bytes(_))
        | (Type::Date, Cell::Date(_))
        | (Type::F64, Cell::F64(_))
        | (Type::I64, Cell::I64(_))
        | (Type::Json, Cell::Json(_))
        | (Type::Text, Cell::Text(_))
        | (Type::Timestamp, Cell::Timestamp(_))
        | (Type::Uuid, Cell::Uuid(_)) => cell,
        (Type::Decimal { precision, scale }, cell) => {
            let value = match cell {
                Cell::Decimal(value) => value,
                Cell::I64(value) => Decimal::from(value),
                Cell::Text(text) => text.parse().map_err(parsed)?,
                cell => return Err(mismatch(expected, cell)),
            };
            Cell::Decimal(fitted(value, precision, scale)?)
        }
        (Type::I64, Cell::Bool(value)) => Cell::I64(value.into()),
        (Type::Timestamp, Cell::Date(value)) => Cell::Timestamp(value.midnight()),
        (Type::Text, Cell::Json(text)) => Cell::Text(text),
        (Type::Date, Cell::Text(text)) => Cell::Date(text.parse().map_err(parsed)?),
        (Type::Json, Cell::Text(text)) => Cell::Json(text),
        (Type::Timestamp, Cell::Text(text)) => Cell::Timestamp(text.parse().map_err(parsed)?),
        (Type::Uuid, Cell::Text(text)) => match sora_core::UuidText::parse(text) {
            Some(uuid) => Cell::Uuid(uuid),
            None => return Err(format!("holds {text:?}, which is no UUID")),
        },
        (Type::Uuid, Cell::Bytes(bytes)) => Cell::Uuid(fixed(bytes)?),
        (expected, cell) => return Err(mismatch(expected, cell)),
    })
}

fn mismatch(expected: Type, cell: Cell<'_>) -> String {
    format!("holds a value of type {}, not {expected}", cell.kind_name())
}

fn date(days: i32) -> Result<Date, String> {
    if days == i32::MAX || days == i32::MIN {
        return Err("holds an infinity, which is no date".into());
    }
    let date = days.checked_add(EPOCH_DAYS).and_then(Date::from_days);
    date.ok_or_else(|| "holds a date outside the years 1 to 9999".into())
}

fn timestamp(micros: i64) -> Result<Timestamp, String> {
    if micros == i64::MAX || micros == i64::MIN {
        return Err("holds an infinity, which is no timestamp".into());
    }
    let timestamp = micros.checked_add(EPOCH_MICROS).and_then(Timestamp::from_micros);
    timestamp.ok_or_else(|| "holds a timestamp outside the years 1 to 9999".into())
}

fn fitted(decimal: Decimal, precision: u8, scale: u8) -> Result<Decimal, String> {
    let fits = decimal.rescale(scale).filter(|decimal| decimal.precision() <= precision);
    fits.ok_or_else(|| {
        format!("holds {decimal}, which has more than {precision} digits, {scale} of them behind the point")
    })
}

fn fixed<const LEN: usize>(bytes: &[u8]) -> Result<[u8; LEN], String> {
    bytes.try_into().map_err(|_| format!("holds {} bytes instead of {LEN}", bytes.len()))
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "holds text that is not UTF-8".into())
}

fn is_no(error: &Error) -> String {
    format!("holds what {}", error.message())
}

#[cfg(test)]
mod tests;
