//! Values as text, the same in every format.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use sora::{Cell, UuidText};

/// Appends the text of a value; of null nothing.
///
/// Bytes are base64, floats have as many digits as it takes to read them back, ∞ is `Infinity`.
pub(super) fn push(cell: Cell<'_>, out: &mut String) {
    // Writing to a String cannot fail.
    let _ = match cell {
        Cell::Bool(value) => write!(out, "{value}"),
        Cell::I64(value) => write!(out, "{value}"),
        Cell::F64(value) => {
            push_float(value, out);
            Ok(())
        }
        Cell::Decimal(value) => write!(out, "{value}"),
        Cell::Text(value) | Cell::Json(value) => out.write_str(value),
        Cell::Bytes(value) => {
            BASE64.encode_string(value, out);
            Ok(())
        }
        Cell::Timestamp(value) => out.write_str(value.text().as_str()),
        Cell::Date(value) => out.write_str(value.text().as_str()),
        Cell::Uuid(value) => write!(out, "{}", UuidText(value)),
        _ => Ok(()),
    };
}

fn push_float(value: f64, out: &mut String) {
    let _ = match value {
        f64::INFINITY => out.write_str("Infinity"),
        f64::NEG_INFINITY => out.write_str("-Infinity"),
        // The debug form keeps the point of a whole number, and has an exponent for what is long.
        _ => write!(out, "{value:?}"),
    };
}
