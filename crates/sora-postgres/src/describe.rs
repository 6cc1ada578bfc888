//! Tables as the catalogue describes them.

mod default;
mod range;
#[cfg(test)]
mod tests;

use postgres_types::Type as ServerType;
use sora_core::{
    Assigned, Decimal, Error, ErrorKind, LiveColumn, LiveIndex, LiveTable, Result, Type, find_name,
};
use tokio_postgres::Row;

use crate::failure::Stage;
use crate::link::Link;

const CATALOGUE: &str = include_str!("describe/catalogue.sql");

/// What stands in front of the two numbers in a type's modifier.
const MODIFIER_HEADER: i32 = 4;

/// Describes a table, or all: tables, views, materialised views and foreign tables that the search
/// path finds. One round trip.
///
/// A name is one identifier, found exactly, else by the only match that ignores ASCII case. It does
/// not name a schema: `app.users` is a table whose name has a point in it, and tables of the schema
/// `app` are reached by a search path, as with `options=-c search_path=app`. Of all tables those are
/// left out that belong to the server, a session, an extension, or Sora, and partitions.
pub(crate) async fn describe(link: &Link, table: Option<&str>) -> Result<Vec<LiveTable>> {
    let mut rows =
        link.query_once(Stage::Reading, CATALOGUE, &[ServerType::TEXT], &[table]).await?;
    let mut found: Vec<Found> = Vec::new();
    while let Some(row) = rows.next().await? {
        let entry = Line::read(&row).map_err(unreadable)?;
        if entry.kind == 0 {
            found.push(Found::new(&entry)?);
        } else if let Some(last) = found.last_mut() {
            // The lines of a table stand behind its own.
            last.add(&entry)?;
        }
    }
    if let Some(name) = table {
        let at = find_name(found.iter().map(|found| &*found.table.name), name);
        return Ok(at.map(|at| found.swap_remove(at).table()).into_iter().collect());
    }
    let mut tables: Vec<LiveTable> = found.into_iter().map(Found::table).collect();
    tables.sort_unstable_by(|left, right| left.name.cmp(&right.name));
    Ok(tables)
}

/// A line of the answer.
struct Line {
    kind: i32,
    position: i32,
    fields: Vec<Option<String>>,
}

impl Line {
    fn read(row: &Row) -> Result<Self, tokio_postgres::Error> {
        Ok(Self { kind: row.try_get(1)?, position: row.try_get(2)?, fields: row.try_get(3)? })
    }

    fn text(&self, field: usize) -> Option<&str> {
        self.fields.get(field)?.as_deref()
    }

    fn is(&self, field: usize) -> bool {
        self.text(field) == Some("true")
    }

    fn needed(&self, field: usize) -> Result<&str> {
        self.text(field).ok_or_else(|| {
            let message = format!("the catalogue gave no field {field} of kind {}", self.kind);
            Error::new(ErrorKind::Internal, message)
        })
    }
}

fn unreadable(error: tokio_postgres::Error) -> Error {
    Error::new(ErrorKind::Store, "the answer of the catalogue was not understood")
        .with_source(error)
}

/// A table while its lines come.
struct Found {
    table: LiveTable,
    columns: Vec<LiveColumn>,
    /// The number of each column in the catalogue: those that were dropped leave gaps.
    numbers: Vec<i32>,
    indexes: Vec<FoundIndex>,
}

struct FoundIndex {
    index: LiveIndex,
    is_primary: bool,
    /// Whether no part of it is an expression, or ordered in another way than its column.
    is_whole: bool,
}

impl Found {
    fn new(line: &Line) -> Result<Self> {
        let table = LiveTable {
            name: line.needed(0)?.into(),
            is_view: line.is(1),
            is_partitioned: line.is(2),
            columns: Box::default(),
            key: Box::default(),
            indexes: Box::default(),
        };
        Ok(Self { table, columns: Vec::new(), numbers: Vec::new(), indexes: Vec::new() })
    }

    fn add(&mut self, line: &Line) -> Result<()> {
        match line.kind {
            1 => {
                self.columns.push(column(line)?);
                self.numbers.push(line.position);
            }
            2 => self.narrow(line)?,
            _ => {
                let index = self.index(line)?;
                self.indexes.push(index);
            }
        }
        Ok(())
    }

    /// Narrows an integer by a check of its column alone.
    fn narrow(&mut self, line: &Line) -> Result<()> {
        let (name, check) = (line.needed(0)?, line.needed(1)?);
        let Some(at) = self.numbers.iter().position(|number| *number == line.position) else {
            return Ok(());
        };
        let column = &mut self.columns[at];
        if column.column_type == Type::I64
            && let Some((min, max)) = range::between(check, name)
        {
            let (least, most) = column.range.unwrap_or((i64::MIN, i64::MAX));
            let narrow = (min.max(least), max.min(most));
            // What no number fits is no range.
            if narrow.0 <= narrow.1 {
                column.range = Some(narrow);
            }
        }
        Ok(())
    }

    fn index(&self, line: &Line) -> Result<FoundIndex> {
        let parts: Vec<Part> =
            line.text(5).unwrap_or_default().split(' ').map(Part::read).collect();
        let position = |part: &Part| {
            let at = self.numbers.iter().position(|number| *number == part.number)?;
            u16::try_from(at).ok().filter(|_| part.is_plain)
        };
        let columns: Vec<u16> = parts.iter().map_while(position).collect();
        let is_whole = columns.len() == parts.len();
        let is_complete = line.is(3);
        let is_immediate = line.is(4);
        let index = LiveIndex {
            name: line.needed(0)?.into(),
            descending: parts[..columns.len()].iter().map(|part| part.is_descending).collect(),
            // One whose check is put off meets no conflict: it is found at the commit.
            unique: line.is(2) && is_immediate && is_whole,
            columns: columns.into(),
            is_complete,
        };
        Ok(FoundIndex { index, is_primary: line.is(1), is_whole })
    }

    fn table(self) -> LiveTable {
        let Self { mut table, columns, mut indexes, .. } = self;
        let is_key = |found: &FoundIndex| {
            found.is_whole && found.index.is_complete && is_key(&columns, &found.index.columns)
        };
        let primary = indexes.iter().position(|found| found.is_primary && is_key(found));
        if let Some(primary) = primary {
            table.key = indexes.remove(primary).index.columns;
        } else if !table.is_view {
            // They come by name, and the first of the shortest is taken.
            let unique = indexes.iter().filter(|found| found.index.unique && is_key(found));
            let shortest = unique.min_by_key(|found| found.index.columns.len());
            table.key = shortest.map(|found| found.index.columns.clone()).unwrap_or_default();
        }
        table.indexes = indexes.into_iter().map(|found| found.index).collect();
        table.columns = columns.into();
        table
    }
}

/// A column of an index.
struct Part {
    number: i32,
    is_descending: bool,
    is_plain: bool,
}

impl Part {
    fn read(text: &str) -> Self {
        let mut fields = text.split(':');
        let mut number = || fields.next().and_then(|field| field.parse().ok()).unwrap_or(0);
        let (number, option): (i32, i32) = (number(), number());
        let is_plain = fields.next() == Some("t");
        Self { number, is_descending: option & 1 == 1, is_plain }
    }
}

/// Whether columns are never null, and of types that a key can have.
fn is_key(columns: &[LiveColumn], key: &[u16]) -> bool {
    let fits = |at: &u16| columns.get(usize::from(*at)).is_some_and(LiveColumn::can_be_key);
    // What counts up is a key alone.
    let counts = |at: &u16| columns[usize::from(*at)].assigned == Assigned::Identity;
    !key.is_empty() && key.iter().all(fits) && (key.len() == 1 || !key.iter().any(counts))
}

fn column(line: &Line) -> Result<LiveColumn> {
    let base = line.needed(3)?.parse().unwrap_or(0);
    let modifier = line.needed(4)?.parse().unwrap_or(-1);
    let (column_type, range) = logical(base, modifier);
    // A domain over a known type is told by that type, so that values are passed as it has them.
    let declared = line.needed(if column_type == Type::Unknown { 1 } else { 2 })?;
    let assigned = match line.needed(6)? {
        "computed" => Assigned::Store(Assigned::COMPUTED.into()),
        "identity" if column_type == Type::I64 => Assigned::Identity,
        _ => default::assigned(line.text(7), column_type, declared),
    };
    let is_text = matches!(column_type, Type::Text | Type::Unknown);
    Ok(LiveColumn {
        name: line.needed(0)?.into(),
        declared: declared.into(),
        column_type,
        readable_as: readable_as(column_type, base),
        nullable: !line.is(5),
        is_enforced: true,
        collation: collation(line).filter(|_| is_text),
        is_deterministic: line.text(11) != Some("false"),
        assigned,
        range,
        hidden: false,
    })
}

/// Returns the logical type of a type of the server, and the range of a narrow integer.
pub(crate) fn logical(oid: u32, modifier: i32) -> (Type, Option<(i64, i64)>) {
    let narrow = |min: i64, max: i64| (Type::I64, Some((min, max)));
    let logical = match ServerType::from_oid(oid) {
        Some(ServerType::BOOL) => Type::Bool,
        Some(ServerType::BYTEA) => Type::Bytes,
        Some(ServerType::DATE) => Type::Date,
        Some(ServerType::FLOAT4 | ServerType::FLOAT8) => Type::F64,
        Some(ServerType::INT2) => return narrow(i16::MIN.into(), i16::MAX.into()),
        Some(ServerType::INT4) => return narrow(i32::MIN.into(), i32::MAX.into()),
        Some(ServerType::INT8) => Type::I64,
        Some(ServerType::JSON | ServerType::JSONB) => Type::Json,
        Some(ServerType::NUMERIC) => decimal(modifier).unwrap_or(Type::Unknown),
        Some(ServerType::TEXT | ServerType::VARCHAR) => Type::Text,
        Some(ServerType::TIMESTAMP | ServerType::TIMESTAMPTZ) => Type::Timestamp,
        Some(ServerType::UUID) => Type::Uuid,
        _ => Type::Unknown,
    };
    (logical, None)
}

/// Returns the other types that an entity may read and write a column as.
fn readable_as(column_type: Type, oid: u32) -> Box<[Type]> {
    // All decimals are one type here; the digits are checked cell by cell.
    let decimal = Type::Decimal { precision: Decimal::PRECISION_MAX, scale: 0 };
    match column_type {
        Type::Bytes => [Type::Uuid].into(),
        Type::Text => [Type::Timestamp, Type::Date, decimal, Type::Json, Type::Uuid].into(),
        Type::Unknown if ServerType::from_oid(oid) == Some(ServerType::NUMERIC) => {
            [decimal, Type::Text].into()
        }
        // What the server alone knows is passed as the text that it makes of it.
        Type::Json | Type::Unknown => [Type::Text].into(),
        _ => Box::default(),
    }
}

/// Returns the decimal of a modifier: the precision in the upper half, and in the lower eleven bits
/// the scale, which may be negative or larger than the precision.
fn decimal(modifier: i32) -> Option<Type> {
    let digits = modifier.checked_sub(MODIFIER_HEADER).filter(|digits| *digits >= 0)?;
    let precision = u8::try_from(digits >> 16).ok()?;
    let scale = u8::try_from(((digits & 0x7ff) ^ 0x400) - 0x400).ok()?;
    let fits = (1..=Decimal::PRECISION_MAX).contains(&precision) && scale <= precision;
    fits.then_some(Type::Decimal { precision, scale })
}

/// Returns the name of a collation that does not order by bytes; that of the database by its locale.
fn collation(line: &Line) -> Option<Box<str>> {
    let (provider, locale) = (line.text(8)?, line.text(9).unwrap_or_default());
    let by_bytes = match provider {
        // Its locales fold letters, and order by code points, which in UTF-8 is by bytes.
        "b" => true,
        "c" => matches!(locale, "C" | "POSIX"),
        _ => false,
    };
    (!by_bytes).then(|| line.text(10).unwrap_or(locale).into())
}
