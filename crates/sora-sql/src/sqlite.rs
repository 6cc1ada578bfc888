//! The dialect of SQLite.

use std::fmt::Write as _;

use sora_core::{
    AggregateFunction, Assigned, Cell, Column, Decimal, Error, LiveColumn, LiveTable, Measure,
    Pattern, RowBuffer, Type,
};

use crate::dialect::{Dialect, KeyRole};
use crate::like::{LikeForm, glob, like_form, like_pattern, successor};
use crate::out::{Operand, Out, quote};
use crate::table::not_assigned;
use crate::walk::{Walk, key_name};

/// The dialect of SQLite, on connections that know `rarray`, `sora_add`, `sora_decimal_add`, the
/// aggregate functions `sora_sum` and `sora_avg`, and the collation `sora_decimal`.
#[derive(Clone, Copy, Debug)]
pub struct Sqlite;

impl Sqlite {
    /// The default of a timestamp that the store assigns: SQLite's clock has milliseconds.
    pub const NOW: &'static str = "strftime('%Y-%m-%dT%H:%M:%f', 'now') || '000Z'";

    /// Returns the type that a column of a logical type is declared with.
    pub fn declared(column_type: Type) -> &'static str {
        match column_type {
            Type::Bool | Type::I64 => "INTEGER",
            Type::F64 => "REAL",
            Type::Bytes | Type::Uuid => "BLOB",
            Type::Decimal { .. } | Type::Text | Type::Timestamp | Type::Date | Type::Json => "TEXT",
            _ => "ANY",
        }
    }

    /// Whether a column is the table's `rowid` under a name of its own.
    pub fn is_rowid(column: &Column, role: KeyRole) -> bool {
        role == KeyRole::Whole && column.column_type == Type::I64
    }
}

impl Dialect for Sqlite {
    const VALUES_MAX: usize = 8;
    const LIMIT_LITERAL_MAX: u64 = 0;
    const OFFSET_NEEDS_LIMIT: bool = true;
    const LATERAL: bool = false;
    const LOCKS_ROWS: bool = false;
    const OVERRIDING: &'static str = "";
    const TABLE_OPTIONS: &'static str = " STRICT";

    fn is_inserted(_: &LiveTable) -> Option<&'static str> {
        None
    }

    fn placeholder(text: &mut String, _: usize, _: Operand<'_>, _: bool) {
        text.push('?');
    }

    fn byte_order(column: &LiveColumn, is_view: bool) -> Option<&'static str> {
        // How the columns of a view compare stands nowhere.
        let unsure = is_view && column.column_type == Type::Text;
        (unsure || column.collation.is_some()).then_some("BINARY")
    }

    fn byte_equality(column: &LiveColumn, is_view: bool) -> Option<&'static str> {
        Self::byte_order(column, is_view)
    }

    fn finds_equal(column: &LiveColumn) -> bool {
        let built_in =
            |name: &str| name.eq_ignore_ascii_case("NOCASE") || name.eq_ignore_ascii_case("RTRIM");
        column.collation.as_deref().is_some_and(built_in)
    }

    fn value_order(column_type: Type) -> Option<&'static str> {
        matches!(column_type, Type::Decimal { .. }).then_some("sora_decimal")
    }

    fn nulls(_: bool, _: bool) -> &'static str {
        ""
    }

    fn read_as(_: &LiveColumn) -> &'static str {
        ""
    }

    fn can_fail(column: &LiveColumn) -> bool {
        !column.is_enforced
    }

    fn matches<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, pattern: &Pattern, fold: bool) {
        let form = like_form(pattern, fold);
        if form == LikeForm::Equal {
            return walk.equals(column, Cell::Text(pattern.prefix()));
        }
        if form == LikeForm::Folded {
            walk.column(column);
            walk.text(" LIKE ");
            walk.compared(column, Cell::Text(&like_pattern(pattern)));
            return walk.text(" ESCAPE '\\'");
        }
        let bounded = !matches!(form, LikeForm::Match);
        if bounded {
            walk.text("(");
            walk.ordered_operand(column);
            walk.text(" >= ");
            walk.compared(column, Cell::Text(pattern.prefix()));
        }
        if matches!(form, LikeForm::Range | LikeForm::RangeAndMatch) {
            walk.text(" AND ");
            walk.ordered_operand(column);
            walk.text(" < ");
            let successor = successor(pattern.prefix()).unwrap_or_default();
            walk.compared(column, Cell::Text(&successor));
        }
        if !matches!(form, LikeForm::Range | LikeForm::LowerBound) {
            walk.text(if bounded { " AND " } else { "" });
            walk.column(column);
            walk.text(" GLOB ");
            walk.compared(column, Cell::Text(&glob(pattern)));
        }
        walk.text(if bounded { ")" } else { "" });
    }

    fn in_list<O: Out>(walk: &mut Walk<'_, Self, O>, _: u16, list: impl FnOnce(&mut O)) {
        walk.text(" IN (SELECT value FROM rarray(");
        list(walk.out);
        walk.text("))");
    }

    fn key_source<O: Out>(walk: &mut Walk<'_, Self, O>, key: &[u16], keys: &RowBuffer) {
        // A list of rows behind `IN` is searched by no index, but a join is. The keys come as JSON:
        // the bytes of a key as hexadecimal digits.
        walk.text("(SELECT DISTINCT ");
        for (index, column) in key.iter().enumerate() {
            walk.comma(index);
            if O::TEXT {
                let bytes = matches!(walk.column_type(*column), Type::Bytes | Type::Uuid);
                let (open, close) = if bytes { ("unhex(", ")") } else { ("", "") };
                walk.text(&format!("{open}value ->> {index}{close} AS "));
                walk.out.name(&key_name(index));
            }
        }
        walk.text(" FROM json_each(");
        walk.out.keys(keys);
        walk.text("))");
    }

    fn add<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, value: Cell<'_>) {
        let declared = walk.binding.schema().column(column);
        let (min, max) = declared.range.unwrap_or((i64::MIN, i64::MAX));
        let (function, limits) = match declared.column_type {
            Type::Decimal { precision, scale } => {
                ("sora_decimal_add(", [i64::from(precision), i64::from(scale)])
            }
            _ => ("sora_add(", [min, max]),
        };
        walk.text(function);
        walk.column(column);
        walk.text(", ");
        walk.assigned(column, value);
        for limit in limits {
            walk.text(", ");
            walk.out.value(Cell::I64(limit), Operand::Number);
        }
        walk.text(")");
    }

    fn measure<O: Out>(walk: &mut Walk<'_, Self, O>, measure: Measure) {
        let Some(column) = measure.column else { return };
        let (function, is_ordered) = match measure.function {
            AggregateFunction::Min => ("min(", true),
            AggregateFunction::Max => ("max(", true),
            // SQLite's own rounds what goes beyond 64 bits, or fails in some orders of the rows.
            AggregateFunction::Average => ("sora_avg(", false),
            _ => ("sora_sum(", false),
        };
        walk.text(function);
        match is_ordered {
            true => walk.ordered_operand(column),
            false => walk.column(column),
        }
        walk.text(")");
    }

    fn define(text: &mut String, column: &Column, role: KeyRole) -> Result<(), Error> {
        quote(text, &column.name);
        text.push(' ');
        text.push_str(Self::declared(column.column_type));
        let rowid = Self::is_rowid(column, role);
        match &column.assigned {
            Assigned::Identity if !rowid => {
                let why = "counts up, which SQLite does for a key of one i64 column alone";
                return Err(not_assigned(column, why));
            }
            Assigned::Store(_) if !rowid => {
                let why = "is assigned by an expression that Sora found and does not read; \
                           create the table with the store's own tools";
                return Err(not_assigned(column, why));
            }
            _ => {}
        }
        if !column.nullable && !rowid {
            text.push_str(" NOT NULL");
        }
        if role == KeyRole::Whole {
            text.push_str(" PRIMARY KEY");
        }
        match &column.assigned {
            // Without it, the number of a removed row could be given again.
            Assigned::Identity => text.push_str(" AUTOINCREMENT"),
            Assigned::Default(value) => {
                text.push_str(" DEFAULT ");
                Self::literal(text, value.cell(), column.column_type);
            }
            Assigned::Now => {
                // Writing to a String cannot fail.
                let _ = write!(text, " DEFAULT ({})", Self::NOW);
            }
            _ => {}
        }
        check(text, column);
        Ok(())
    }

    fn literal(text: &mut String, value: Cell<'_>, column_type: Type) {
        // Writing to a String cannot fail.
        let _ = match (value, column_type) {
            (Cell::Bool(value), _) => write!(text, "{}", u8::from(value)),
            (Cell::I64(value), _) if value < 0 => write!(text, "({value})"),
            (Cell::F64(value), _) if value < 0.0 => write!(text, "({})", Cell::F64(value)),
            (Cell::Decimal(value), Type::Decimal { scale, .. }) => {
                write!(text, "'{}'", value.rescale(scale).unwrap_or(value))
            }
            (Cell::Decimal(value), _) => write!(text, "'{value}'"),
            (Cell::Uuid(value), _) => write!(text, "{}", Cell::Bytes(&value)),
            (Cell::Json(value), _) => write!(text, "{}", Cell::Text(value)),
            (cell, _) => write!(text, "{cell}"),
        };
    }

    fn key_is_address(key: &[&Column]) -> bool {
        matches!(key, [column] if Self::is_rowid(column, KeyRole::Whole))
    }

    fn can_be_added(assigned: &Assigned, nullable: bool) -> bool {
        match assigned {
            Assigned::Default(value) => nullable || !value.is_null(),
            Assigned::Caller | Assigned::UuidV7 => nullable,
            _ => false,
        }
    }
}

/// Writes the checks that keep a column's cells of its type, which STRICT alone does not.
fn check(text: &mut String, column: &Column) {
    let mut name = String::new();
    quote(&mut name, &column.name);
    let condition = match (column.column_type, column.range) {
        (Type::Bool, _) => format!("{name} IN (0, 1)"),
        (Type::I64, Some((min, max))) => format!("{name} BETWEEN {min} AND {max}"),
        (Type::Uuid, _) => format!("length({name}) = 16"),
        (Type::Date, _) => format!("{name} IS date({name})"),
        (Type::Timestamp, _) => timestamp_check(&name),
        (Type::Decimal { precision, scale }, _) => decimal_check(&name, precision, scale),
        _ => return,
    };
    // Writing to a String cannot fail.
    let _ = write!(text, " CHECK ({condition})");
}

/// The text form of a timestamp: a real date, a time of day, six digits, and `Z`.
fn timestamp_check(name: &str) -> String {
    let digits = "[0-9]".repeat(6);
    format!(
        "{name} GLOB '????-??-??T[0-2][0-9]:[0-5][0-9]:[0-5][0-9].{digits}Z' \
         AND substr({name}, 1, 19) IS strftime('%Y-%m-%dT%H:%M:%S', substr({name}, 1, 19))"
    )
}

/// The text form of a decimal: a minus or nothing, digits without a leading zero, the point and
/// exactly `scale` digits; no minus before a zero.
fn decimal_check(name: &str, precision: u8, scale: u8) -> String {
    let (precision, scale) = (usize::from(precision), usize::from(scale));
    let fraction = match scale {
        0 => String::new(),
        scale => format!(".{}", "[0-9]".repeat(scale)),
    };
    let zero = Decimal::new(0, u8::try_from(scale).unwrap_or(0));
    let zero = zero.map_or_else(String::new, |zero| zero.to_string());
    let mut parts = vec![
        format!("{name} NOT GLOB '*[^-.0-9]*'"),
        format!("{name} NOT GLOB '?*-*'"),
        format!("{name} GLOB '*[0-9]{fraction}'"),
        format!("ltrim({name}, '-') NOT GLOB '0[0-9]*'"),
        format!("ltrim({name}, '-') NOT GLOB '.*'"),
        format!("{name} <> '-{zero}'"),
    ];
    parts.push(match scale {
        0 => format!("{name} NOT GLOB '*.*'"),
        _ => format!("{name} NOT GLOB '*.*.*'"),
    });
    // A number below 1 has a zero in front of its point that is no digit of its precision.
    let whole_digits = (precision - scale).max(1);
    let longest = whole_digits + scale + usize::from(scale > 0);
    parts.push(format!("length(ltrim({name}, '-')) <= {longest}"));
    if precision == scale {
        parts.push(format!("ltrim({name}, '-') GLOB '0.*'"));
    }
    parts.join(" AND ")
}

/// Whether a default is the one that Sora writes for the time of the insert.
pub fn is_now(expression: &str) -> bool {
    expression == Sqlite::NOW
}
