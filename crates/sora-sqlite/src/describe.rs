//! Tables as the catalogue describes them.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension as _, Row};
use sora_core::{Assigned, LiveColumn, LiveIndex, LiveTable, Result, Type};

use crate::declared::{self, Logical};
use crate::failure::store_error;
use crate::literal;

/// The table in which Sora keeps the types of columns that SQLite lacks.
pub(crate) const MEMORY_TABLE: &str = "_sora_columns";
/// Tables that start so are Sora's own.
const OWN_PREFIX: &str = "_sora_";

/// Describes a table, or all.
pub(crate) fn describe(db: &Connection, table: Option<&str>) -> Result<Vec<LiveTable>> {
    let entries = entries(db, table).map_err(store_error)?;
    let mut tables = Vec::with_capacity(entries.len());
    for entry in entries {
        match live_table(db, &entry) {
            Ok(live) => tables.push(live),
            // A view of a table that is gone cannot be read; the others can.
            Err(_) if table.is_none() && entry.is_view => {}
            Err(error) => return Err(store_error(error).with("table", entry.name)),
        }
    }
    Ok(tables)
}

/// A line of the list of tables.
struct Entry {
    name: String,
    is_view: bool,
    without_rowid: bool,
    is_strict: bool,
}

fn entries(db: &Connection, table: Option<&str>) -> rusqlite::Result<Vec<Entry>> {
    let mut statement = db.prepare_cached(
        "SELECT name, type, wr, strict FROM pragma_table_list \
         WHERE schema = 'main' AND type IN ('table', 'view', 'virtual') \
         AND substr(name, 1, 7) <> 'sqlite_' COLLATE NOCASE \
         AND (?1 IS NULL OR name = ?1 COLLATE NOCASE) ORDER BY name",
    )?;
    let entry = |row: &Row<'_>| {
        let kind: String = row.get(1)?;
        // What a virtual table does with a write is its own affair.
        let is_view = kind != "table";
        Ok(Entry { name: row.get(0)?, is_view, without_rowid: row.get(2)?, is_strict: row.get(3)? })
    };
    let found: rusqlite::Result<Vec<Entry>> = statement.query_map([table], entry)?.collect();
    let own = |entry: &Entry| {
        entry
            .name
            .get(..OWN_PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(OWN_PREFIX))
    };
    Ok(found?.into_iter().filter(|entry| table.is_some() || !own(entry)).collect())
}

/// A line of the list of columns.
struct Field {
    name: String,
    declared: String,
    not_null: bool,
    default: Option<String>,
    key: u16,
    /// 0 for a plain column, 1 for a hidden one, 2 and 3 for a computed one, the latter stored.
    kind: i64,
}

fn fields(db: &Connection, table: &str) -> rusqlite::Result<Vec<Field>> {
    let mut statement = db.prepare_cached(
        "SELECT name, type, \"notnull\", dflt_value, pk, hidden FROM pragma_table_xinfo(?1)",
    )?;
    let field = |row: &Row<'_>| {
        Ok(Field {
            name: row.get(0)?,
            declared: row.get(1)?,
            not_null: row.get(2)?,
            default: row.get(3)?,
            key: row.get(4)?,
            kind: row.get(5)?,
        })
    };
    statement.query_map([table], field)?.collect()
}

fn live_table(db: &Connection, entry: &Entry) -> rusqlite::Result<LiveTable> {
    let fields = fields(db, &entry.name)?;
    let (indexes, has_key_index) = indexes(db, &entry.name)?;
    let mut key: Vec<(u16, u16)> = (0u16..)
        .zip(&fields)
        .filter(|(_, field)| field.key > 0)
        .map(|(at, field)| (field.key, at))
        .collect();
    key.sort_unstable();
    // A key that has no index of its own is the rowid under another name.
    let rowid = match *key {
        [(_, at)] if !entry.is_view && !entry.without_rowid && !has_key_index => Some(at),
        _ => None,
    };
    let logical = logical_types(db, entry)?;
    let mut columns = Vec::with_capacity(fields.len() + 1);
    for (at, field) in (0u16..).zip(&fields) {
        columns.push(live_column(db, entry, field, rowid == Some(at), &logical)?);
    }
    let mut key: Vec<u16> = key.into_iter().map(|(_, at)| at).collect();
    if entry.is_view || !is_key(&columns, &key) {
        key = match hidden_rowid(entry, &fields) {
            Some(column) => {
                columns.push(column);
                // A table has at most 32,767 columns.
                vec![u16::try_from(columns.len() - 1).unwrap_or(u16::MAX)]
            }
            None => Vec::new(),
        };
    }
    Ok(LiveTable {
        name: entry.name.as_str().into(),
        is_view: entry.is_view,
        is_partitioned: false,
        columns: columns.into(),
        key: key.into(),
        indexes: indexes.into(),
    })
}

fn live_column(
    db: &Connection,
    entry: &Entry,
    field: &Field,
    is_rowid: bool,
    logical: &HashMap<String, String>,
) -> rusqlite::Result<LiveColumn> {
    let (collation, counts_up) = match entry.is_view {
        true => (None, false),
        false => {
            let (_, collation, _, _, counts_up) =
                db.column_metadata(Some("main"), entry.name.as_str(), field.name.as_str())?;
            let collation = collation.map(|name| name.to_string_lossy().into_owned());
            (collation.filter(|name| !name.eq_ignore_ascii_case("BINARY")), counts_up)
        }
    };
    let is_computed = field.kind >= 2;
    let known = logical
        .get(&field.name.to_ascii_lowercase())
        .filter(|_| entry.is_strict && collation.is_none())
        .and_then(|text| Logical::parse(text, &field.declared));
    let column_type = match known {
        Some(logical) => logical.column_type,
        None => declared::column_type(&field.declared),
    };
    let assigned = match (is_computed, is_rowid) {
        (true, _) => Assigned::Store(Assigned::COMPUTED.into()),
        (_, true) if counts_up => Assigned::Identity,
        (_, true) => Assigned::Store("the rowid".into()),
        _ => literal::assigned(field.default.as_deref(), column_type),
    };
    let is_text = matches!(column_type, Type::Text | Type::Unknown);
    let collation = collation.filter(|_| is_text);
    Ok(LiveColumn {
        name: field.name.as_str().into(),
        declared: field.declared.as_str().into(),
        column_type,
        readable_as: declared::readable_as(column_type, &field.declared).into(),
        nullable: !field.not_null && !is_rowid,
        // The cells of computed columns that are not stored are not checked.
        is_enforced: is_rowid || (entry.is_strict && field.kind != 2),
        is_deterministic: collation.is_none(),
        collation: collation.map(Into::into),
        assigned,
        range: known.and_then(|logical| logical.range),
        hidden: field.kind == 1,
    })
}

/// Whether columns are a key: there is one, it is never null, and of types that a key can have.
fn is_key(columns: &[LiveColumn], key: &[u16]) -> bool {
    let fits = |at: &u16| columns.get(usize::from(*at)).is_some_and(LiveColumn::can_be_key);
    !key.is_empty() && key.iter().all(fits)
}

/// The number that SQLite gives each row, by the first of its names that no column has.
fn hidden_rowid(entry: &Entry, fields: &[Field]) -> Option<LiveColumn> {
    if entry.is_view || entry.without_rowid {
        return None;
    }
    let is_free = |name: &&str| fields.iter().all(|field| !field.name.eq_ignore_ascii_case(name));
    let name = ["rowid", "_rowid_", "oid"].into_iter().find(is_free)?;
    Some(LiveColumn {
        name: name.into(),
        declared: "INTEGER".into(),
        column_type: Type::I64,
        readable_as: Box::default(),
        nullable: false,
        is_enforced: true,
        collation: None,
        is_deterministic: true,
        assigned: Assigned::Store("the rowid".into()),
        range: None,
        hidden: true,
    })
}

/// Returns the indexes, and whether the key has one of its own.
fn indexes(db: &Connection, table: &str) -> rusqlite::Result<(Vec<LiveIndex>, bool)> {
    let mut list = db.prepare_cached(
        "SELECT name, \"unique\", origin, partial FROM pragma_index_list(?1) ORDER BY name",
    )?;
    let mut parts = db.prepare_cached(
        "SELECT cid, \"desc\" FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno",
    )?;
    let mut indexes = Vec::new();
    let mut has_key_index = false;
    let mut rows = list.query([table])?;
    while let Some(row) = rows.next()? {
        let (name, unique, origin, partial): (String, bool, String, bool) =
            (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        if origin == "pk" {
            has_key_index = true;
            continue;
        }
        let all: rusqlite::Result<Vec<(i64, bool)>> =
            parts.query_map([&name], |row| Ok((row.get(0)?, row.get(1)?)))?.collect();
        let all = all?;
        // −1 is the rowid, −2 an expression: the list ends before either.
        let known: Vec<(u16, bool)> = all
            .iter()
            .map_while(|(at, descending)| Some((u16::try_from(*at).ok()?, *descending)))
            .collect();
        indexes.push(LiveIndex {
            name: name.into(),
            columns: known.iter().map(|(at, _)| *at).collect(),
            descending: known.iter().map(|(_, descending)| *descending).collect(),
            unique: unique && known.len() == all.len(),
            is_complete: !partial,
        });
    }
    Ok((indexes, has_key_index))
}

/// Returns what Sora remembers of the columns of a table, by their names in lower case.
fn logical_types(db: &Connection, entry: &Entry) -> rusqlite::Result<HashMap<String, String>> {
    if !entry.is_strict || !has_memory_table(db)? {
        return Ok(HashMap::new());
    }
    let mut statement = db.prepare_cached(
        "SELECT lower(column_name), logical_type FROM \"_sora_columns\" \
         WHERE table_name = ?1 COLLATE NOCASE",
    )?;
    statement.query_map([&entry.name], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

pub(crate) fn has_memory_table(db: &Connection) -> rusqlite::Result<bool> {
    let text = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE";
    let found = db.prepare_cached(text)?.query_row([MEMORY_TABLE], |_| Ok(())).optional()?;
    Ok(found.is_some())
}
