//! Cells as parameters, in PostgreSQL's binary form.

use bytes::BytesMut;
use postgres_types::{IsNull, ToSql, Type, to_sql_checked};
use sora_core::{Cell, Decimal, Error, ErrorKind, Result, Timestamp, UuidText};
use sora_sql::ParameterType;

use crate::numeric;

/// Microseconds from 1970 to 2000, where the server starts to count.
pub(crate) const EPOCH_MICROS: i64 = 946_684_800_000_000;
/// Days from 1970 to 2000.
pub(crate) const EPOCH_DAYS: i32 = 10_957;

/// The length of an element of an array that is null.
const NULL: i32 = -1;

/// One parameter in its binary form; none is null.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter<'a>(pub(crate) Option<&'a [u8]>);

impl ToSql for Parameter<'_> {
    fn to_sql(
        &self,
        _: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        let Some(bytes) = self.0 else { return Ok(IsNull::Yes) };
        out.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    /// Which type it has was decided as the text was written.
    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// Returns the type of a parameter on the wire.
pub(crate) fn wire_type(parameter: ParameterType, is_list: bool) -> Type {
    let (one, list) = match parameter {
        ParameterType::Bool => (Type::BOOL, Type::BOOL_ARRAY),
        ParameterType::Bytea => (Type::BYTEA, Type::BYTEA_ARRAY),
        ParameterType::Date => (Type::DATE, Type::DATE_ARRAY),
        ParameterType::Float8 => (Type::FLOAT8, Type::FLOAT8_ARRAY),
        ParameterType::Int8 => (Type::INT8, Type::INT8_ARRAY),
        ParameterType::Json => (Type::JSON, Type::JSON_ARRAY),
        ParameterType::Jsonb => (Type::JSONB, Type::JSONB_ARRAY),
        ParameterType::Numeric => (Type::NUMERIC, Type::NUMERIC_ARRAY),
        ParameterType::Text => (Type::TEXT, Type::TEXT_ARRAY),
        ParameterType::Timestamp => (Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
        ParameterType::Timestamptz => (Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
        ParameterType::Uuid => (Type::UUID, Type::UUID_ARRAY),
    };
    if is_list { list } else { one }
}

/// Appends a cell, and says whether it is not null.
///
/// # Errors
///
/// [`ErrorKind::Internal`] if a cell cannot be passed as such a parameter.
pub(crate) fn encode(cell: Cell<'_>, parameter: ParameterType, out: &mut Vec<u8>) -> Result<bool> {
    match (parameter, cell) {
        (_, Cell::Null) => return Ok(false),
        (ParameterType::Text, cell) => text(cell, out),
        (ParameterType::Bool, Cell::Bool(value)) => out.push(value.into()),
        (ParameterType::Int8, Cell::I64(value)) => out.extend_from_slice(&value.to_be_bytes()),
        (ParameterType::Int8, Cell::Bool(value)) => {
            out.extend_from_slice(&i64::from(value).to_be_bytes());
        }
        // −0.0 + 0.0 is 0.0, and all else is itself.
        (ParameterType::Float8, Cell::F64(value)) => {
            out.extend_from_slice(&(value + 0.0).to_be_bytes());
        }
        (ParameterType::Numeric, Cell::Decimal(value)) => numeric::encode(value, out),
        (ParameterType::Numeric, Cell::I64(value)) => numeric::encode(Decimal::from(value), out),
        (ParameterType::Bytea, Cell::Bytes(value)) => out.extend_from_slice(value),
        (ParameterType::Bytea | ParameterType::Uuid, Cell::Uuid(value)) => {
            out.extend_from_slice(&value);
        }
        (ParameterType::Date, Cell::Date(value)) => {
            out.extend_from_slice(&(value.days() - EPOCH_DAYS).to_be_bytes());
        }
        (ParameterType::Timestamp | ParameterType::Timestamptz, Cell::Timestamp(value)) => {
            timestamp(value, out);
        }
        (ParameterType::Timestamp | ParameterType::Timestamptz, Cell::Date(value)) => {
            timestamp(value.midnight(), out);
        }
        (ParameterType::Json, Cell::Json(value) | Cell::Text(value)) => {
            out.extend_from_slice(value.as_bytes());
        }
        (ParameterType::Jsonb, Cell::Json(value) | Cell::Text(value)) => {
            // The version of the form.
            out.push(1);
            out.extend_from_slice(value.as_bytes());
        }
        (parameter, cell) => {
            let message =
                format!("a {} cannot be passed as {}", cell.kind_name(), parameter.name());
            return Err(Error::new(ErrorKind::Internal, message));
        }
    }
    Ok(true)
}

/// Appends cells as an array of one dimension: the number of dimensions, whether there are nulls,
/// the type of the elements, their number, the number of the first, and each as `element` writes it.
///
/// # Errors
///
/// As [`encode`]; [`ErrorKind::Limit`] beyond 2 GiB.
pub(crate) fn encode_list<'v>(
    cells: impl Iterator<Item = Cell<'v>>,
    parameter: ParameterType,
    out: &mut Vec<u8>,
    mut element: impl FnMut(Cell<'v>, &mut Vec<u8>) -> Result<bool>,
) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&1i32.to_be_bytes());
    out.extend_from_slice(&0i32.to_be_bytes());
    out.extend_from_slice(&wire_type(parameter, false).oid().to_be_bytes());
    out.extend_from_slice(&0i32.to_be_bytes());
    out.extend_from_slice(&1i32.to_be_bytes());
    let mut count = 0i32;
    let mut has_null = false;
    for cell in cells {
        has_null |= !element(cell, out)?;
        count = count.checked_add(1).ok_or_else(too_long)?;
    }
    patch(out, start + 4, has_null.into());
    patch(out, start + 12, count);
    if count == 0 {
        // An empty array has no dimension.
        patch(out, start, 0);
        out.truncate(start + 12);
    }
    Ok(())
}

/// Appends a cell of an array behind its length, and says whether it is not null.
///
/// # Errors
///
/// As [`encode_list`].
#[expect(
    clippy::inline_always,
    reason = "a cell that is made and taken apart in one place is never put together in memory"
)]
#[inline(always)]
pub(crate) fn encode_element(
    cell: Cell<'_>,
    parameter: ParameterType,
    out: &mut Vec<u8>,
) -> Result<bool> {
    // The common ones, whose length is known before, are written at once.
    match (parameter, cell) {
        (ParameterType::Int8, Cell::I64(value)) => eight(value.to_be_bytes(), out),
        (ParameterType::Float8, Cell::F64(value)) => eight((value + 0.0).to_be_bytes(), out),
        (ParameterType::Text, Cell::Text(text)) => {
            let len = i32::try_from(text.len()).map_err(|_| too_long())?;
            out.extend_from_slice(&len.to_be_bytes());
            out.extend_from_slice(text.as_bytes());
        }
        (_, Cell::Null) => {
            out.extend_from_slice(&NULL.to_be_bytes());
            return Ok(false);
        }
        (_, cell) => return encode_other(cell, parameter, out),
    }
    Ok(true)
}

/// The same for those whose length is known behind them.
fn encode_other(cell: Cell<'_>, parameter: ParameterType, out: &mut Vec<u8>) -> Result<bool> {
    let at = out.len();
    out.extend_from_slice(&NULL.to_be_bytes());
    let is_some = encode(cell, parameter, out)?;
    if is_some {
        let len = i32::try_from(out.len() - at - size_of::<i32>()).map_err(|_| too_long())?;
        patch(out, at, len);
    }
    Ok(is_some)
}

#[inline]
fn eight(bytes: [u8; 8], out: &mut Vec<u8>) {
    let mut element = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    element[4..].copy_from_slice(&bytes);
    out.extend_from_slice(&element);
}

fn patch(out: &mut [u8], at: usize, value: i32) {
    if let Some(place) = out.get_mut(at..at + size_of::<i32>()) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

fn too_long() -> Error {
    Error::new(
        ErrorKind::Limit,
        "the values of one statement exceed 2 GiB; write fewer rows at once",
    )
}

fn timestamp(value: Timestamp, out: &mut Vec<u8>) {
    out.extend_from_slice(&(value.micros() - EPOCH_MICROS).to_be_bytes());
}

/// Appends a cell as the text that the server reads as a value of any type.
fn text(cell: Cell<'_>, out: &mut Vec<u8>) {
    match cell {
        Cell::Text(value) | Cell::Json(value) => out.extend_from_slice(value.as_bytes()),
        Cell::Timestamp(value) => out.extend(value.text().as_str().bytes()),
        Cell::Date(value) => out.extend(value.text().as_str().bytes()),
        Cell::Uuid(value) => out.extend(UuidText(value).to_string().bytes()),
        Cell::F64(value) if value.is_infinite() => {
            out.extend(if value < 0.0 { "-Infinity" } else { "Infinity" }.bytes());
        }
        Cell::Bytes(value) => {
            out.extend(b"\\x");
            for byte in value {
                out.extend(format!("{byte:02x}").bytes());
            }
        }
        cell => out.extend(cell.to_string().bytes()),
    }
}
