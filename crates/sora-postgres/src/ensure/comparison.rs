//! How a table differs from a schema, and what would mend it.

use sora_core::provider::Difference;
use sora_core::{Assigned, Column, LiveColumn, LiveTable, Result, Schema, Type, find_name};
use sora_sql::{Postgres, add_column, default_literal, quoted};

use super::column_names;

/// The ranges of integers that a type alone keeps.
const INT2: (i64, i64) = (i16::MIN as i64, i16::MAX as i64);
const INT4: (i64, i64) = (i32::MIN as i64, i32::MAX as i64);

/// Reports all that differs: columns, the key, what was found before, and what is unique in the store
/// alone.
///
/// `constraints` names the indexes that belong to a constraint.
pub(super) fn compare(
    schema: &Schema,
    live: &LiveTable,
    constraints: &[String],
    before: Vec<Difference>,
    differs: &mut Vec<Difference>,
) -> Result<()> {
    for column in schema.columns() {
        let names = live.columns.iter().map(|live| &*live.name);
        match find_name(names, &column.name) {
            Some(at) => {
                let pair = ColumnPair { column, live: &live.columns[at], table: live };
                pair.compare(differs);
            }
            None => differs.push(missing_column(live, column)?),
        }
    }
    for column in &live.columns {
        differs.extend(extra_column(schema, live, column));
    }
    differs.extend(key_difference(schema, live));
    differs.extend(before);
    extra_unique(schema, live, constraints, differs);
    Ok(())
}

fn missing_column(live: &LiveTable, column: &Column) -> Result<Difference> {
    let remedy = add_column::<Postgres>(&live.name, column)?;
    let what = match &remedy {
        Some(_) => format!("the column {:?} is missing", column.name),
        None => format!(
            "the column {:?} is missing, and rows that are there would have no value for it: give it \
             a constant default or make it nullable",
            column.name
        ),
    };
    Ok(Difference { what, remedy })
}

fn extra_column(schema: &Schema, live: &LiveTable, column: &LiveColumn) -> Option<Difference> {
    let names = schema.columns().iter().map(|column| &*column.name);
    let is_needed = !column.nullable && column.assigned == Assigned::Caller;
    if !is_needed || find_name(names, &column.name).is_some() {
        return None;
    }
    let what = format!(
        "the table has a column {:?} that is never null and has no default: rows cannot be inserted \
         without it",
        column.name
    );
    // Not of a primary key, whose index is not among the others.
    let is_primary = live.key.iter().any(|at| live.column(*at).name == column.name)
        && !live.indexes.iter().any(|index| index.unique && index.columns == live.key);
    Some(Difference { what, remedy: (!is_primary).then(|| alter(live, column, "DROP NOT NULL")) })
}

fn key_difference(schema: &Schema, live: &LiveTable) -> Option<Difference> {
    let wanted = column_names(schema, schema.key());
    let found: Vec<&str> = live.key.iter().map(|at| &*live.column(*at).name).collect();
    let same = |found: &[&str]| {
        wanted.len() == found.len()
            && wanted
                .iter()
                .all(|wanted| found.iter().any(|name| name.eq_ignore_ascii_case(wanted)))
    };
    // A unique index over columns that are never null does what a key does.
    let is_unique = live.indexes.iter().any(|index| {
        let names: Vec<&str> = index.columns.iter().map(|at| &*live.column(*at).name).collect();
        index.unique && index.is_complete && same(&names)
    });
    let in_order = found.iter().zip(&wanted).all(|(found, name)| found.eq_ignore_ascii_case(name));
    if wanted.is_empty() || is_unique || (same(&found) && in_order) {
        return None;
    }
    let what = format!(
        "the key is ({}) in the store, and ({}) in the schema",
        found.join(", "),
        wanted.join(", ")
    );
    let columns: Option<Vec<String>> = wanted
        .iter()
        .map(|name| find_name(live.columns.iter().map(|live| &*live.name), name))
        .map(|at| at.map(|at| quoted(&live.columns[at].name)))
        .collect();
    let remedy = columns.map(|columns| {
        format!("CREATE UNIQUE INDEX ON {} ({})", quoted(&live.name), columns.join(", "))
    });
    Some(Difference { what, remedy })
}

/// Reports what is unique in the store alone: it refuses rows that the schema allows.
fn extra_unique(
    schema: &Schema,
    live: &LiveTable,
    constraints: &[String],
    differs: &mut Vec<Difference>,
) {
    for index in live.indexes.iter().filter(|index| index.unique) {
        let found: Vec<&str> = index.columns.iter().map(|at| &*live.column(*at).name).collect();
        let same = |columns: &[u16]| {
            let wanted = column_names(schema, columns);
            wanted.len() == found.len()
                && wanted
                    .iter()
                    .zip(&found)
                    .all(|(wanted, found)| wanted.eq_ignore_ascii_case(found))
        };
        let known = schema.indexes().iter().any(|index| index.unique && same(&index.columns));
        if known || same(schema.key()) {
            continue;
        }
        let what =
            format!("the store has a unique index {:?} on ({})", index.name, found.join(", "));
        let name = quoted(&index.name);
        let remedy = match constraints.iter().any(|constraint| **constraint == *index.name) {
            true => format!("ALTER TABLE {} DROP CONSTRAINT {name}", quoted(&live.name)),
            false => format!("DROP INDEX {name}"),
        };
        differs.push(Difference { what, remedy: Some(remedy) });
    }
}

fn alter(table: &LiveTable, column: &LiveColumn, what: &str) -> String {
    format!("ALTER TABLE {} ALTER COLUMN {} {what}", quoted(&table.name), quoted(&column.name))
}

/// A column of a schema beside that of the table.
struct ColumnPair<'a> {
    column: &'a Column,
    live: &'a LiveColumn,
    table: &'a LiveTable,
}

impl ColumnPair<'_> {
    fn compare(&self, differs: &mut Vec<Difference>) {
        let Self { column, live, .. } = self;
        let name = &column.name;
        let kind = std::mem::discriminant(&column.column_type);
        let same = live.column_type == column.column_type;
        let readable = live.readable_as.iter().any(|other| std::mem::discriminant(other) == kind);
        if !same && !readable {
            let what = format!(
                "the column {name:?} is {} ({:?} in PostgreSQL), not {}",
                live.column_type, live.declared, column.column_type
            );
            differs.push(Difference { what, remedy: self.other_type() });
            return;
        }
        if live.nullable && !column.nullable && !column.hidden {
            let what =
                format!("the column {name:?} can be null in the store, but not in the schema");
            differs.push(Difference { what, remedy: Some(self.alter("SET NOT NULL")) });
        }
        if !live.nullable && column.nullable {
            let what =
                format!("the column {name:?} can be null in the schema, but not in the store");
            differs.push(Difference { what, remedy: Some(self.alter("DROP NOT NULL")) });
        }
        if same && live.range != column.range {
            differs.push(self.other_range());
        }
        differs.extend(self.other_assignment());
    }

    /// The change of the column's type, where the server can turn its values into the other.
    fn other_type(&self) -> Option<String> {
        let is_number = |of: Type| matches!(of, Type::I64 | Type::F64 | Type::Decimal { .. });
        let is_time = |of: Type| matches!(of, Type::Date | Type::Timestamp);
        let (from, to) = (self.live.column_type, self.column.column_type);
        let is_cast = to == Type::Text
            || matches!(from, Type::Text | Type::Unknown)
            || (is_number(from) && is_number(to))
            || (is_time(from) && is_time(to));
        let declared = Postgres::declared(self.column).filter(|_| is_cast)?;
        let name = quoted(&self.live.name);
        Some(self.alter(&format!("TYPE {declared} USING {name}::{declared}")))
    }

    fn other_range(&self) -> Difference {
        let Self { column, live, table } = self;
        let text = |range: Option<(i64, i64)>| match range {
            Some((min, max)) => format!("{min} to {max}"),
            None => "every i64".into(),
        };
        let what = format!(
            "the column {:?} takes {} in the store, and {} in the schema",
            column.name,
            text(live.range),
            text(column.range)
        );
        let full = (i64::MIN, i64::MAX);
        let (found, wanted) = (live.range.unwrap_or(full), column.range.unwrap_or(full));
        let is_narrower = wanted.0 >= found.0 && wanted.1 <= found.1;
        let remedy = match Postgres::declared(column) {
            _ if is_narrower => Some(format!(
                "ALTER TABLE {} ADD CHECK ({} BETWEEN {} AND {})",
                quoted(&table.name),
                quoted(&live.name),
                wanted.0,
                wanted.1
            )),
            Some(declared) if matches!(found, INT2 | INT4) => {
                Some(self.alter(&format!("TYPE {declared}")))
            }
            // A check is in the way.
            _ => None,
        };
        Difference { what, remedy }
    }

    fn other_assignment(&self) -> Option<Difference> {
        let Self { column, live, .. } = self;
        let name = &column.name;
        let (what, remedy) = match (&column.assigned, &live.assigned) {
            (Assigned::Identity, Assigned::Identity)
            | (Assigned::Now, Assigned::Now | Assigned::Store(_)) => return None,
            (Assigned::Default(wanted), Assigned::Default(found)) if wanted == found => {
                return None;
            }
            (Assigned::Identity, found) => {
                let is_free = *found == Assigned::Caller && !live.nullable;
                let add = || self.alter("ADD GENERATED BY DEFAULT AS IDENTITY");
                (format!("the column {name:?} does not count up in the store"), is_free.then(add))
            }
            (Assigned::Now, _) => {
                let what = format!("the column {name:?} has no default time in the store");
                (what, Some(self.alter(&format!("SET DEFAULT {}", Postgres::NOW))))
            }
            (Assigned::Default(wanted), found) => {
                let literal = |value| default_literal::<Postgres>(value, column.column_type);
                let text = match found {
                    Assigned::Default(found) => literal(found),
                    Assigned::Store(text) => text.to_string(),
                    Assigned::Identity => "a number that counts up".into(),
                    Assigned::Now => Postgres::NOW.into(),
                    _ => "none".into(),
                };
                let what = format!(
                    "the default of the column {name:?} is {text} in the store, and {} in the schema",
                    literal(wanted)
                );
                // A number that counts up, or a computed one, is not a default that can be replaced.
                let is_default = matches!(found, Assigned::Caller | Assigned::Default(_));
                let set = || self.alter(&format!("SET DEFAULT {}", literal(wanted)));
                (what, is_default.then(set))
            }
            _ => return None,
        };
        Some(Difference { what, remedy })
    }

    fn alter(&self, what: &str) -> String {
        alter(self.table, self.live, what)
    }
}
