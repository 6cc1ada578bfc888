//! The types of parameters, for stores that want each parameter typed.

use sora_core::{LiveColumn, Type};

use crate::Operand;

/// The type as which PostgreSQL takes a parameter.
///
/// It follows from the column's type in the store, widened to the one that holds every value: an
/// index on a narrower integer serves a comparison with a wider one, and what does not fit fails
/// the assignment instead of being cut off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the variants are PostgreSQL's types of the same name")]
pub enum ParameterType {
    Bool,
    Bytea,
    Date,
    Float8,
    Int8,
    Json,
    Jsonb,
    Numeric,
    Text,
    /// Without time zone; Sora's are UTC.
    Timestamp,
    Timestamptz,
    Uuid,
}

impl ParameterType {
    /// Returns the type as which a value for an operand is passed.
    pub fn of(operand: Operand<'_>) -> Self {
        match operand {
            Operand::Assigned(binding, column) | Operand::Compared(binding, column) => {
                Self::of_column(binding.live_column(column))
            }
            Operand::Number => Self::Int8,
        }
    }

    /// Returns the type as which a value for a column of the store is passed.
    pub fn of_column(column: &LiveColumn) -> Self {
        match column.column_type {
            Type::Bool => Self::Bool,
            Type::Bytes => Self::Bytea,
            Type::Date => Self::Date,
            Type::Decimal { .. } => Self::Numeric,
            Type::F64 => Self::Float8,
            Type::I64 => Self::Int8,
            Type::Json if &*column.declared == "json" => Self::Json,
            Type::Json => Self::Jsonb,
            // Beside a parameter with a zone it would be compared in the session's zone.
            Type::Timestamp if is_without_zone(&column.declared) => Self::Timestamp,
            Type::Timestamp => Self::Timestamptz,
            Type::Uuid => Self::Uuid,
            // What the store alone knows is passed as the text that it reads.
            _ => Self::Text,
        }
    }

    /// The name in SQL; that of an array of it has `[]` behind it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Bytea => "bytea",
            Self::Date => "date",
            Self::Float8 => "float8",
            Self::Int8 => "int8",
            Self::Json => "json",
            Self::Jsonb => "jsonb",
            Self::Numeric => "numeric",
            Self::Text => "text",
            Self::Timestamp => "timestamp",
            Self::Timestamptz => "timestamptz",
            Self::Uuid => "uuid",
        }
    }
}

fn is_without_zone(declared: &str) -> bool {
    declared.starts_with("timestamp") && !declared.contains("with time zone") && {
        declared != "timestamptz" && !declared.starts_with("timestamptz(")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sora_core::{Column, LiveTable, Schema};

    #[test]
    fn the_type_follows_the_column_of_the_store() {
        let of = |column_type: Type, declared: &str| {
            let schema = Schema::builder("t").column(Column::new("x", column_type)).build();
            let live = LiveTable::from(&schema.expect("a schema"));
            let live = LiveColumn { declared: declared.into(), ..live.column(0).clone() };
            ParameterType::of_column(&live)
        };
        for (declared, expected) in [
            ("timestamp without time zone", ParameterType::Timestamp),
            ("timestamp(3) without time zone", ParameterType::Timestamp),
            ("timestamp", ParameterType::Timestamp),
            ("timestamp with time zone", ParameterType::Timestamptz),
            ("timestamp(3) with time zone", ParameterType::Timestamptz),
            ("timestamptz", ParameterType::Timestamptz),
            // A schema that was not found in a catalogue.
            ("", ParameterType::Timestamptz),
        ] {
            assert_eq!(of(Type::Timestamp, declared), expected, "{declared}");
        }
        assert_eq!(of(Type::Json, "json"), ParameterType::Json);
        assert_eq!(of(Type::Json, "jsonb"), ParameterType::Jsonb);
        assert_eq!(of(Type::I64, "smallint"), ParameterType::Int8);
        assert_eq!(of(Type::F64, "real"), ParameterType::Float8);
        assert_eq!(of(Type::Text, "character varying(3)"), ParameterType::Text);
        assert_eq!(of(Type::Unknown, "citext"), ParameterType::Text);
    }
}
