//! The dialect of PostgreSQL.

pub(crate) mod column;

use std::fmt::Write as _;

use sora_core::{
    AggregateFunction, Assigned, Cell, Column, Decimal, Error, LiveColumn, LiveTable, Measure,
    Pattern, RowBuffer, Type,
};

use self::column::{cast, is_array};
use crate::dialect::{Dialect, KeyRole};
use crate::like::{LikeForm, like_form, like_pattern, successor};
use crate::out::{Operand, Out};
use crate::parameter::ParameterType;
use crate::walk::{Walk, key_name};

/// The dialect of PostgreSQL.
///
/// Arrays of keys are the results of subselects. The server then takes each for ten, the few and the
/// many, instead of planning every call of fewer for its own number: a look-up of two to eight keys
/// costs it half.
///
/// It relies on [`LiveColumn::declared`] being what `format_type` gives, and on
/// [`LiveColumn::collation`] being none where the column's collation is `C` or `POSIX`, its own or
/// the database's.
#[derive(Clone, Copy, Debug)]
pub struct Postgres;

impl Postgres {
    /// The default of a timestamp that the store assigns.
    pub const NOW: &'static str = "now()";

    /// Returns the type that a column is declared with; `None` if there is none.
    pub fn declared(column: &Column) -> Option<String> {
        column::declared(column)
    }
}

impl Dialect for Postgres {
    // Lists of two and of two hundred values are then one prepared statement.
    const VALUES_MAX: usize = 1;
    // With a limit that it does not know, the server takes a tenth of all rows for it, and plans
    // each call anew because that looks dear beside the limit it is given.
    const LIMIT_LITERAL_MAX: u64 = 5_000;
    const OFFSET_NEEDS_LIMIT: bool = false;
    const LATERAL: bool = true;
    const LOCKS_ROWS: bool = true;
    // One that is `GENERATED ALWAYS` takes no value without it; to the others it says nothing.
    const OVERRIDING: &'static str = " OVERRIDING SYSTEM VALUE";
    const TABLE_OPTIONS: &'static str = "";

    fn is_inserted(table: &LiveTable) -> Option<&'static str> {
        // A row that was there is locked before it is changed, and its new version carries the lock.
        // Partitions hand back their rows without the columns of the system.
        if table.is_partitioned { None } else { Some("(xmax = 0)") }
    }

    fn placeholder(text: &mut String, number: usize, operand: Operand<'_>, is_list: bool) {
        // Writing to a String cannot fail.
        let _ = write!(text, "${number}::");
        type_name(text, operand, is_list);
    }

    fn byte_order(column: &LiveColumn, _: bool) -> Option<&'static str> {
        column.collation.is_some().then_some("\"C\"")
    }

    fn byte_equality(column: &LiveColumn, is_view: bool) -> Option<&'static str> {
        // Deterministic collations break ties by bytes: bare equality is exact and has the index.
        if column.is_deterministic { None } else { Self::byte_order(column, is_view) }
    }

    fn finds_equal(column: &LiveColumn) -> bool {
        !column.is_deterministic
    }

    fn value_order(_: Type) -> Option<&'static str> {
        None
    }

    fn nulls(nullable: bool, descending: bool) -> &'static str {
        match (nullable, descending) {
            // Said of a column that has no nulls, it would lose the index.
            (false, _) => "",
            (true, false) => " NULLS FIRST",
            (true, true) => " NULLS LAST",
        }
    }

    fn read_as(column: &LiveColumn) -> &'static str {
        if column.column_type == Type::Unknown { "::text" } else { "" }
    }

    fn can_fail(column: &LiveColumn) -> bool {
        // Infinity, years beyond 9999, NaN.
        let wider =
            matches!(column.column_type, Type::Date | Type::Decimal { .. } | Type::Timestamp);
        wider || !column.is_enforced
    }

    fn matches<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, pattern: &Pattern, fold: bool) {
        let form = like_form(pattern, fold);
        match form {
            LikeForm::Equal => walk.equals(column, Cell::Text(pattern.prefix())),
            LikeForm::Folded => {
                walk.column(column);
                // This collation alone folds nothing but ASCII.
                walk.text(" COLLATE \"C\" ILIKE ");
                walk.compared(column, Cell::Text(&like_pattern(pattern)));
            }
            LikeForm::Match => like(walk, column, pattern),
            LikeForm::Range
            | LikeForm::RangeAndMatch
            | LikeForm::LowerBound
            | LikeForm::LowerBoundAndMatch => {
                walk.text("(");
                prefix(walk, column, pattern.prefix());
                if matches!(form, LikeForm::RangeAndMatch | LikeForm::LowerBoundAndMatch) {
                    walk.text(" AND ");
                    like(walk, column, pattern);
                }
                walk.text(")");
            }
        }
    }

    fn in_list<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, list: impl FnOnce(&mut O)) {
        if walk.binding.schema().key() != [column] {
            walk.text(" = ANY(");
            list(walk.out);
            return walk.text(")");
        }
        walk.text(" = ANY((SELECT ");
        list(walk.out);
        if O::TEXT {
            // Without the cast it would be a query of values instead of one array.
            let operand = Operand::Compared(walk.binding, column);
            let mut cast = String::from(")::");
            type_name(&mut cast, operand, true);
            cast.push(')');
            walk.text(&cast);
        }
    }

    fn key_source<O: Out>(walk: &mut Walk<'_, Self, O>, key: &[u16], keys: &RowBuffer) {
        walk.text("(SELECT DISTINCT * FROM unnest(");
        for (index, column) in key.iter().enumerate() {
            walk.comma(index);
            let operand = Operand::Compared(walk.binding, *column);
            walk.text("(SELECT ");
            walk.out.list(keys.iter().map(|row| row.get(index)), operand);
            walk.text(")");
        }
        walk.text(") AS \"_sora_key\"(");
        for index in 0..key.len() {
            walk.comma(index);
            if O::TEXT {
                walk.out.name(&key_name(index));
            }
        }
        walk.text(")) AS \"_sora_keys\"");
    }

    fn add<O: Out>(walk: &mut Walk<'_, Self, O>, column: u16, value: Cell<'_>) {
        column::add(walk, column, value);
    }

    fn measure<O: Out>(walk: &mut Walk<'_, Self, O>, measure: Measure) {
        let Some(column) = measure.column else { return };
        let column_type = walk.column_type(column);
        match (measure.function, column_type) {
            (AggregateFunction::Min | AggregateFunction::Max, column_type) => {
                extreme(walk, measure.function, column, column_type);
            }
            (AggregateFunction::Average, Type::F64) => float_mean(walk, column),
            (AggregateFunction::Average, _) => {
                // With so many digits the quotient lies on the same side of every midpoint of two
                // floats as the mean, which `strtod` of the server then rounds once.
                around(walk, "(round(sum(", column, ")::numeric, 120) / count(");
                walk.column(column);
                walk.text("))::float8");
            }
            (_, Type::I64) => around(walk, "sum(", column, ")::int8"),
            (_, Type::F64) => around(walk, "sum(", column, "::float8)"),
            // More digits than a decimal has are an error of the server.
            (_, Type::Decimal { scale, .. }) if O::TEXT => {
                let behind = format!(")::numeric({}, {scale})", Decimal::PRECISION_MAX);
                around(walk, "sum(", column, &behind);
            }
            _ => {}
        }
    }

    fn define(text: &mut String, column: &Column, role: KeyRole) -> Result<(), Error> {
        column::define(text, column, role)
    }

    fn literal(text: &mut String, value: Cell<'_>, column_type: Type) {
        column::literal(text, value, column_type);
    }

    fn key_is_address(_: &[&Column]) -> bool {
        false
    }

    fn can_be_added(assigned: &Assigned, nullable: bool) -> bool {
        match assigned {
            Assigned::Default(value) => nullable || !value.is_null(),
            Assigned::Identity | Assigned::Now => true,
            Assigned::Caller | Assigned::UuidV7 => nullable,
            _ => false,
        }
    }
}

/// Writes the type of a parameter, and the column's own if only the store knows it.
fn type_name(text: &mut String, operand: Operand<'_>, is_list: bool) {
    let array = if is_list { "[]" } else { "" };
    text.push_str(ParameterType::of(operand).name());
    text.push_str(array);
    if let Operand::Assigned(binding, column) | Operand::Compared(binding, column) = operand
        && let Some(own) = cast(binding.live_column(column))
        // An array of arrays is none: its elements are cast one by one, where they are used.
        && !(is_list && is_array(&own))
    {
        text.push_str("::");
        text.push_str(&own);
        text.push_str(array);
    }
}

/// Writes the range of the texts that start with a prefix, which an index serves.
fn prefix<O: Out>(walk: &mut Walk<'_, Postgres, O>, column: u16, prefix: &str) {
    let live = walk.binding.live_column(column);
    // These operators compare bytes whatever the collation, and are those of indexes made with
    // `text_pattern_ops`, which is what tables with linguistic collations have for their prefixes.
    let (from, below) = match live.collation.is_some() && live.is_deterministic {
        true => (" ~>=~ ", " ~<~ "),
        false => (" >= ", " < "),
    };
    walk.equal_operand(column);
    walk.text(from);
    walk.compared(column, Cell::Text(prefix));
    if let Some(successor) = successor(prefix) {
        walk.text(" AND ");
        walk.equal_operand(column);
        walk.text(below);
        walk.compared(column, Cell::Text(&successor));
    }
}

fn like<O: Out>(walk: &mut Walk<'_, Postgres, O>, column: u16, pattern: &Pattern) {
    walk.equal_operand(column);
    // The escape character is `\` unless another is named; as a literal it would depend on the
    // setting `standard_conforming_strings`.
    walk.text(" LIKE ");
    walk.compared(column, Cell::Text(&like_pattern(pattern)));
}

/// Writes the smallest or largest value of a column. Not every type has one in every version of the
/// server: such a value is told by what is in the same order and has one.
fn extreme<O: Out>(
    walk: &mut Walk<'_, Postgres, O>,
    function: AggregateFunction,
    column: u16,
    column_type: Type,
) {
    let is_max = function == AggregateFunction::Max;
    walk.text(match (column_type, is_max) {
        (Type::Bool, true) => "bool_or(",
        (Type::Bool, false) => "bool_and(",
        (Type::Bytes, true) => "decode(max(encode(",
        (Type::Bytes, false) => "decode(min(encode(",
        (_, true) => "max(",
        (_, false) => "min(",
    });
    walk.ordered_operand(column);
    walk.text(match column_type {
        Type::Bytes => ", 'hex') COLLATE \"C\"), 'hex')",
        Type::Uuid => "::text COLLATE \"C\")::uuid",
        _ => ")",
    });
}

/// Writes the mean of floats. The server refuses a quotient that rounds to zero, which a mean may do.
fn float_mean<O: Out>(walk: &mut Walk<'_, Postgres, O>, column: u16) {
    let sum = |walk: &mut Walk<'_, Postgres, O>, before: &str, behind: &str| {
        walk.text(before);
        around(walk, "sum(", column, "::float8)");
        walk.text(behind);
    };
    let count = |walk: &mut Walk<'_, Postgres, O>, behind: &str| {
        around(walk, "count(", column, ")");
        walk.text(behind);
    };
    // It rounds to zero up to half of the smallest float.
    sum(walk, "CASE WHEN abs(", ") < 1e-300 AND ");
    sum(walk, "2 * abs(", ") <= ");
    count(walk, " * float8 '5e-324' THEN 0 ELSE ");
    sum(walk, "", " / ");
    count(walk, " END");
}

fn around<O: Out>(walk: &mut Walk<'_, Postgres, O>, before: &str, column: u16, behind: &str) {
    walk.text(before);
    walk.column(column);
    walk.text(behind);
}
