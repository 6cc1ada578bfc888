//! The table that a file goes into, and which of its columns the fields are.

use std::sync::Arc;

use sora::{Column, Name, Schema, Table, Type, find_name, unknown_name};

use super::survey::Survey;
use crate::column_list::ColumnList;
use crate::failure::{Failure, Outcome};
use crate::names;

/// A table, and where the fields of a file go in it.
#[derive(Debug)]
pub(super) struct Target {
    /// The table as it is, or will be.
    pub(super) schema: Arc<Schema>,
    /// The column of each field; none where the store computes it, and what the file says is left
    /// out.
    pub(super) columns: Vec<Option<u16>>,
    /// The column that numbers the rows of a file without a key.
    pub(super) row_column: Option<u16>,
}

/// What the command line says about columns.
#[derive(Debug)]
pub(super) struct Wishes<'a> {
    pub(super) columns: Option<&'a ColumnList>,
    pub(super) key: Option<&'a str>,
}

impl Target {
    /// Designs the table for a file.
    ///
    /// # Errors
    ///
    /// Wrong usage if a name of the command line is no column of the file; a failure if no table
    /// can be made of it.
    pub(super) fn create(table: &str, survey: &Survey, wishes: &Wishes<'_>) -> Outcome<Self> {
        if survey.names.is_empty() {
            return Err(Failure::failed("the file has no record, so no table can be made of it"));
        }
        let find = |name: &str| find_in(&survey.names, name);
        for name in wishes.columns.iter().flat_map(|list| list.names()) {
            find(&name)?;
        }
        let key = match wishes.key {
            Some(key) => {
                let listed = names::parse(key).map_err(|error| Failure::argument(&error))?;
                listed.iter().map(|listed| find(&listed.text())).collect::<Outcome<Vec<_>>>()?
            }
            None => Vec::new(),
        };
        let mut builder = Schema::builder(table);
        let row_column = key.is_empty().then(|| free_name(&survey.names));
        if let Some(name) = &row_column {
            builder = builder.column(Column::new(name.as_str(), Type::I64)).key([name.as_str()]);
        }
        for (place, (name, inferred)) in survey.names.iter().zip(&survey.columns).enumerate() {
            let given = wishes.columns.and_then(|list| list.find(name));
            let mut column = Column::new(name.clone(), given.unwrap_or(inferred.column_type));
            column.nullable = !key.contains(&place) && (given.is_some() || inferred.nullable);
            builder = builder.column(column);
        }
        if row_column.is_none() {
            builder = builder.key(key.iter().map(|place| survey.names[*place].clone()));
        }
        let schema = builder.build()?;
        let first = u16::from(row_column.is_some());
        Ok(Self {
            columns: (first..).take(survey.names.len()).map(Some).collect(),
            row_column: row_column.map(|_| 0),
            schema: Arc::new(schema),
        })
    }

    /// Finds the fields of a file in a table that is there. `numbered` is the column that numbers
    /// its rows, if an import has made it.
    ///
    /// # Errors
    ///
    /// A failure that names every column that does not fit.
    pub(super) fn find(
        table: &Table,
        survey: &Survey,
        wishes: &Wishes<'_>,
        numbered: Option<&str>,
    ) -> Outcome<Self> {
        let schema = table.schema();
        let named = format!("the table {}", Name(schema.table()));
        if table.live().is_view {
            let name = Name(schema.table());
            return Err(Failure::failed(format!(
                "{name} is a view, which cannot be imported into"
            )));
        }
        let columns = columns_of(schema, &survey.names)?;
        check_types(schema, wishes.columns)?;
        let key = schema.key();
        if key.is_empty() || key.iter().any(|column| schema.column(*column).hidden) {
            return Err(Failure::failed(format!(
                "{named} has no key, so its rows cannot be told apart; import into a new table"
            )));
        }
        let key_names = list(key.iter().map(|column| &*schema.column(*column).name));
        if let Some(wish) = wishes.key {
            let wish = names::columns(wish, schema).map_err(|error| Failure::argument(&error))?;
            if wish.len() != key.len() || !key.iter().all(|column| wish.contains(column)) {
                return Err(Failure::usage(format!(
                    "the key of {named} is ({key_names}); leave --key out"
                )));
            }
        }
        let has_key = key.iter().all(|column| columns.contains(&Some(*column)));
        let row_column = match (has_key, numbered, key) {
            (true, _, _) => None,
            (false, Some(name), [column]) if *schema.column(*column).name == *name => Some(*column),
            _ => {
                return Err(Failure::failed(format!(
                    "the key of {named} is ({key_names}), which the file does not have"
                )));
            }
        };
        let is_left_out =
            |column: &u16| !columns.contains(&Some(*column)) && Some(*column) != row_column;
        let needed = schema.visible().filter(is_left_out).map(|column| schema.column(column));
        let needed = list(needed.filter(|column| column.is_required()).map(|column| &*column.name));
        if !needed.is_empty() {
            return Err(Failure::failed(format!(
                "{named} needs a value for {needed}, which the file does not have"
            )));
        }
        Ok(Self { schema: schema.clone(), columns, row_column })
    }

    /// The names of the key's columns, or that rows are numbered.
    pub(super) fn key_text(&self) -> String {
        match self.row_column {
            Some(_) => "the number of the row".into(),
            None => list(self.schema.key().iter().map(|column| &*self.schema.column(*column).name)),
        }
    }
}

/// Finds a name of the command line among the columns of a file.
fn find_in(columns: &[Box<str>], name: &str) -> Outcome<usize> {
    let columns = columns.iter().map(|column| &**column);
    find_name(columns.clone(), name)
        .ok_or_else(|| Failure::argument(&unknown_name("column", name, columns)))
}

fn columns_of(schema: &Schema, names: &[Box<str>]) -> Outcome<Vec<Option<u16>>> {
    let table = || format!("the table {}", Name(schema.table()));
    let mut columns = Vec::with_capacity(names.len());
    let mut missing = Vec::new();
    for name in names {
        match schema.find(name).ok().filter(|column| !schema.column(*column).hidden) {
            Some(column) if columns.contains(&Some(column)) => {
                return Err(Failure::failed(format!(
                    "two columns of the file are the column {} of {}",
                    Name(&schema.column(column).name),
                    table()
                )));
            }
            Some(column) if schema.column(column).assigned.is_computed() => columns.push(None),
            Some(column) if schema.column(column).column_type == Type::Unknown => {
                return Err(Failure::failed(format!(
                    "the column {} of {} has a type that Sora does not know, so it cannot be written",
                    Name(name),
                    table()
                )));
            }
            Some(column) => columns.push(Some(column)),
            None => missing.push(&**name),
        }
    }
    if missing.is_empty() {
        return Ok(columns);
    }
    let all = schema.visible().map(|column| &*schema.column(column).name);
    Err(Failure::failed(format!(
        "{} has no column {}; it has {}",
        table(),
        list(missing.into_iter()),
        list(all)
    )))
}

/// A table that is there keeps its types.
fn check_types(schema: &Schema, given: Option<&ColumnList>) -> Outcome {
    let Some(given) = given else { return Ok(()) };
    for name in &given.names() {
        let column = schema.find(name).map_err(|error| Failure::argument(&error))?;
        let column_type = schema.column(column).column_type;
        if given.find(name).is_some_and(|wish| wish != column_type) {
            return Err(Failure::usage(format!(
                "the column {} of the table {} is {column_type}, and stays so; leave it out of --columns",
                Name(name),
                Name(schema.table())
            )));
        }
    }
    Ok(())
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| Name(name).to_string()).collect::<Vec<_>>().join(", ")
}

/// Returns a name for the column of row numbers that the file does not use.
fn free_name(names: &[Box<str>]) -> String {
    let is_free = |name: &String| names.iter().all(|other| !other.eq_ignore_ascii_case(name));
    let numbered = (2..).map(|number| format!("row_{number}"));
    // One of more names than there are columns is free.
    std::iter::once("row".to_owned()).chain(numbered).find(is_free).unwrap_or_default()
}
