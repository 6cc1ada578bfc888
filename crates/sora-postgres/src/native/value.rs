//! Values of a statement, by the types that the server finds for their placeholders.

use postgres_types::private::BytesMut;
use postgres_types::{Format, IsNull, Kind, ToSql, Type, to_sql_checked};
use sora_core::{Cell, Error, ErrorKind, Result};
use sora_sql::ParameterType;

use crate::parameter::encode;

/// The integers up to here are floats too.
const EXACT_MAX: u64 = 1 << 53;

/// A value and the number of its placeholder.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound<'a> {
    pub(super) number: usize,
    pub(super) cell: Cell<'a>,
}

impl ToSql for Bound<'_> {
    fn to_sql(
        &self,
        wire: &Type,
        out: &mut BytesMut,
    ) -> std::result::Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        if self.cell.is_null() {
            return Ok(IsNull::Yes);
        }
        let mut bytes = Vec::new();
        self.fill(base(wire), &mut bytes)?;
        out.extend_from_slice(&bytes);
        Ok(IsNull::No)
    }

    /// What has no binary form here goes as the text that the server reads.
    fn encode_format(&self, wire: &Type) -> Format {
        match parameter(base(wire)) {
            Some(_) => Format::Binary,
            None => Format::Text,
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Bound<'_> {
    /// Appends the value as one of a type.
    fn fill(&self, wire: &Type, out: &mut Vec<u8>) -> Result<()> {
        let cell = match (parameter(wire), self.cell) {
            (Some(ParameterType::Int8), Cell::I64(value)) => return self.integer(wire, value, out),
            (Some(ParameterType::Float8), Cell::I64(value))
                if value.unsigned_abs() <= EXACT_MAX =>
            {
                #[expect(clippy::cast_precision_loss, reason = "it is exact up to here")]
                Cell::F64(value as f64)
            }
            (Some(ParameterType::Text) | None, Cell::Text(text) | Cell::Json(text)) => {
                out.extend(text.bytes());
                return Ok(());
            }
            (Some(ParameterType::Text) | None, _)
            | (Some(ParameterType::Bytea), Cell::Uuid(_))
            | (Some(ParameterType::Int8), Cell::Bool(_)) => return Err(self.refused(wire)),
            (Some(_), cell) => cell,
        };
        if *wire == Type::FLOAT4
            && let Cell::F64(value) = cell
        {
            return self.single(value, out);
        }
        let parameter = parameter(wire).unwrap_or(ParameterType::Text);
        encode(cell, parameter, out).map(drop).map_err(|_| self.refused(wire))
    }

    fn integer(&self, wire: &Type, value: i64, out: &mut Vec<u8>) -> Result<()> {
        let beyond = |_| self.beyond(wire);
        match *wire {
            Type::INT2 => out.extend(i16::try_from(value).map_err(beyond)?.to_be_bytes()),
            Type::INT4 => out.extend(i32::try_from(value).map_err(beyond)?.to_be_bytes()),
            Type::OID => out.extend(u32::try_from(value).map_err(beyond)?.to_be_bytes()),
            _ => out.extend(value.to_be_bytes()),
        }
        Ok(())
    }

    /// Appends the nearest float of 32 bits, as the server would make it.
    fn single(&self, value: f64, out: &mut Vec<u8>) -> Result<()> {
        #[expect(clippy::cast_possible_truncation, reason = "rounding is meant")]
        let single = value as f32;
        if single.is_infinite() && value.is_finite() {
            return Err(self.beyond(&Type::FLOAT4));
        }
        out.extend((single + 0.0).to_be_bytes());
        Ok(())
    }

    fn beyond(&self, wire: &Type) -> Error {
        let message = format!(
            "the value of ${} is beyond the type {wire} that the server takes there; cast it, as in \
             ${}::{}",
            self.number,
            self.number,
            if *wire == Type::FLOAT4 { "float8" } else { "int8" }
        );
        Error::new(ErrorKind::InvalidInput, message)
    }

    fn refused(&self, wire: &Type) -> Error {
        let own = match self.cell {
            Cell::Bool(_) => "bool",
            Cell::I64(_) => "int8",
            Cell::F64(_) => "float8",
            Cell::Decimal(_) => "numeric",
            Cell::Bytes(_) => "bytea",
            Cell::Date(_) => "date",
            Cell::Timestamp(_) => "timestamptz",
            Cell::Uuid(_) => "uuid",
            Cell::Json(_) => "jsonb",
            _ => "text",
        };
        let number = self.number;
        let message = format!(
            "the value of ${number} is a {}, and the server takes the type {wire} there; say in the \
             statement what it is, as in ${number}::{own}",
            self.cell.kind_name()
        );
        Error::new(ErrorKind::InvalidInput, message)
    }
}

/// The type that a domain is made of.
fn base(wire: &Type) -> &Type {
    let mut wire = wire;
    while let Kind::Domain(of) = wire.kind() {
        wire = of;
    }
    wire
}

/// The form in which values of a type go; none if only the server knows it.
fn parameter(wire: &Type) -> Option<ParameterType> {
    Some(match *wire {
        Type::BOOL => ParameterType::Bool,
        Type::BYTEA => ParameterType::Bytea,
        Type::DATE => ParameterType::Date,
        Type::FLOAT4 | Type::FLOAT8 => ParameterType::Float8,
        Type::INT2 | Type::INT4 | Type::INT8 | Type::OID => ParameterType::Int8,
        Type::JSON => ParameterType::Json,
        Type::JSONB => ParameterType::Jsonb,
        Type::NUMERIC => ParameterType::Numeric,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            ParameterType::Text
        }
        Type::TIMESTAMP => ParameterType::Timestamp,
        Type::TIMESTAMPTZ => ParameterType::Timestamptz,
        Type::UUID => ParameterType::Uuid,
        _ => return None,
    })
}
