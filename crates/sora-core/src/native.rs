//! Statements in a store's own language, beside Sora's.

use std::fmt;
use std::sync::Arc;

use crate::read::ReadReport;
use crate::{
    Binding, BufferedRow, Cell, Column, ColumnType, Entity, Error, ErrorKind, LiveTable,
    Projection, Result, Row, RowBuffer, RowSink, Schema, Type, Value,
};

/// A statement in the store's own language, with its parameters apart.
///
/// Placeholders are the store's own: `?1` for SQLite, `$1` for PostgreSQL. Values are never part of
/// the text. Display shows the text alone, because parameters may be secrets.
#[derive(Clone)]
pub struct Statement {
    text: Arc<str>,
    /// The first value that no store takes is kept as an error, and fails the statement.
    parameters: Result<Vec<Value>, Error>,
    writes: Vec<Box<str>>,
}

impl Statement {
    /// Returns a statement without parameters, that writes no table.
    pub fn new(text: &'static str) -> Self {
        Self::from_text(text.into())
    }

    /// Returns a statement whose text comes from elsewhere, such as a file of queries.
    ///
    /// The name says what to look for in a review: a text that holds values of users can be made to
    /// say anything.
    pub fn from_trusted_text(text: impl Into<Arc<str>>) -> Self {
        Self::from_text(text.into())
    }

    fn from_text(text: Arc<str>) -> Self {
        Self { text, parameters: Ok(Vec::new()), writes: Vec::new() }
    }

    /// Adds the value of the next placeholder.
    pub fn bind<T: ColumnType>(mut self, value: &T) -> Self {
        self.parameters = self.parameters.and_then(|mut parameters| {
            value.encode(&mut parameters)?;
            Ok(parameters)
        });
        self
    }

    /// Names a table that the statement writes, so that what is kept of it elsewhere is refreshed. A
    /// statement that names none is taken to read, and refused where the store can tell that it writes.
    pub fn writing(mut self, table: impl Into<Box<str>>) -> Self {
        self.writes.push(table.into());
        self
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The values of the placeholders, in order.
    ///
    /// # Errors
    ///
    /// That of the first value that was refused.
    pub fn parameters(&self) -> Result<&[Value]> {
        self.parameters.as_deref().map_err(Clone::clone)
    }

    /// The tables that it writes; none if it only reads.
    pub fn writes(&self) -> impl ExactSizeIterator<Item = &str> {
        self.writes.iter().map(|table| &**table)
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Statement")
            .field("text", &self.text)
            .field("parameters", &self.parameters.as_ref().map_or(0, Vec::len))
            .field("writes", &self.writes)
            .finish()
    }
}

/// A struct that is read from the rows of a statement, by the names of their columns;
/// `#[derive(Entity)]` and `#[derive(Projection)]` write it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not read from the rows of a statement",
    note = "derive it: `#[derive(sora::Entity)]` or `#[derive(sora::Projection)]`"
)]
pub trait Record: Sized + Send + 'static {
    /// Returns the columns that it is read from.
    ///
    /// # Errors
    ///
    /// What [`SchemaBuilder::build`](crate::SchemaBuilder::build) refuses and the derive cannot see.
    fn spec() -> Result<RecordSpec<Self>>;
}

/// The columns that a [`Record`] is read from.
#[derive(Debug)]
pub struct RecordSpec<T> {
    /// The schema that names and types them.
    pub schema: &'static Arc<Schema>,
    /// Which of them are read, in the order in which `decode` expects their cells.
    pub columns: Vec<u16>,
    /// Reads the struct.
    pub decode: fn(&dyn Row) -> Result<T>,
}

impl<T> RecordSpec<T> {
    /// Returns that of an entity: all its columns.
    pub fn entity() -> Result<Self>
    where
        T: Entity,
    {
        let schema = T::schema()?;
        Ok(Self { schema, columns: schema.visible().collect(), decode: |row| T::decode(row) })
    }

    /// Returns that of a projection of an entity.
    pub fn projection<E: Entity>() -> Result<Self>
    where
        T: Projection<E>,
    {
        Ok(Self {
            schema: E::schema()?,
            columns: T::COLUMNS.to_vec(),
            decode: |row| T::decode(row),
        })
    }
}

impl Binding {
    /// Returns the binding of a statement's rows: they have the columns of the schema, whatever
    /// tables they come from.
    ///
    /// # Errors
    ///
    /// None that a schema can give.
    pub fn of_statement(schema: Arc<Schema>) -> Result<Self> {
        let live = LiveTable { is_view: true, ..LiveTable::from(&*schema) };
        Self::new(schema, Arc::new(live))
    }

    /// Returns the binding of a statement without rows.
    ///
    /// # Errors
    ///
    /// None.
    pub fn of_no_rows() -> Result<Self> {
        let schema = Schema::builder("statement").column(Column::new("none", Type::Unknown));
        Self::of_statement(Arc::new(schema.build()?))
    }
}

/// The cells of a row of [`Output::Columns`](crate::read::Output::Columns).
pub(crate) const COLUMN_CELLS: usize = 3;

/// Hands out the columns of a statement, as [`Output::Columns`](crate::read::Output::Columns) asks for
/// them: the name, the type in the store's own words, and the logical type that it stands for.
///
/// # Errors
///
/// What the sink gives.
pub fn hand_out_columns<'a>(
    columns: impl IntoIterator<Item = (&'a str, &'a str, Type)>,
    sink: &mut dyn RowSink,
) -> Result<ReadReport> {
    let mut received = 0;
    for (name, declared, column_type) in columns {
        let text = |text: &str| Value::Text(text.into());
        let logical = match column_type {
            Type::Unknown => Value::Null,
            known => text(&known.to_string()),
        };
        received += 1;
        if sink.row(&vec![text(name), text(declared), logical])?.is_break() {
            break;
        }
    }
    Ok(ReadReport::received(received))
}

/// Returns the columns that [`hand_out_columns`] handed out, with names that a schema can have.
///
/// # Errors
///
/// [`ErrorKind::Internal`] if the rows are not those.
pub fn take_columns(rows: &RowBuffer) -> Result<Vec<Column>> {
    let text = |row: &BufferedRow<'_>, at: usize| match row.get(at) {
        Cell::Text(text) => Ok(text.to_owned()),
        Cell::Null => Ok(String::new()),
        _ => Err(Error::new(ErrorKind::Internal, "the columns of a statement are told by text")),
    };
    let found: Vec<(String, Type)> = rows
        .iter()
        .map(|row| {
            let column_type = match text(&row, 2)?.as_str() {
                "" => Type::Unknown,
                known => known.parse()?,
            };
            Ok((text(&row, 0)?, column_type))
        })
        .collect::<Result<_>>()?;
    let names = name_columns(found.iter().map(|(name, _)| name.as_str()));
    let types = found.iter().map(|(_, column_type)| *column_type);
    Ok(names.into_iter().zip(types).map(|(name, of)| Column::new(name, of).nullable()).collect())
}

/// Returns the names of a statement's columns so that a schema can have them: what has no name is
/// `column:1` by its place, those that share a name are `id:1` and `id:2`, and what is too long loses
/// its end.
pub fn name_columns<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<Box<str>> {
    /// What is put behind a name: a colon and a place.
    const ROOM: usize = 6;
    let short = |name: &str| {
        let end = name.floor_char_boundary(Schema::NAME_BYTES_MAX - ROOM);
        name[..if name.len() > Schema::NAME_BYTES_MAX { end } else { name.len() }].to_owned()
    };
    let names: Vec<String> = names.into_iter().map(short).collect();
    let place = |(at, name): (usize, &String)| -> Box<str> {
        let is_shared = names.iter().filter(|other| *other == name).count() > 1;
        match (name.is_empty(), is_shared) {
            (true, _) => format!("column:{}", at + 1).into(),
            (false, false) => name.as_str().into(),
            (false, true) => {
                let number = names[..=at].iter().filter(|other| *other == name).count();
                let end = name.floor_char_boundary(Schema::NAME_BYTES_MAX - ROOM);
                format!("{}:{number}", &name[..end.min(name.len())]).into()
            }
        }
    };
    names.iter().enumerate().map(place).collect()
}

/// Finds the columns of a read among those of a statement, whose names the store gives.
///
/// # Errors
///
/// [`ErrorKind::Schema`], naming the column that is missing and those that are there.
pub fn find_columns<'a>(
    schema: &Schema,
    columns: &[u16],
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<usize>> {
    let names = name_columns(names);
    let find = |column: &u16| {
        let name = &schema.column(*column).name;
        crate::find_name(names.iter().map(|name| &**name), name).ok_or_else(|| {
            let mut there: Vec<String> =
                names.iter().take(12).map(|name| format!("{name:?}")).collect();
            if names.len() > there.len() {
                there.push("…".into());
            }
            let message = format!(
                "the statement gives no column {name:?}; there are {}: name it by AS",
                there.join(", ")
            );
            Error::new(ErrorKind::Schema, message)
        })
    };
    columns.iter().map(find).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_distinct_names() {
        let long = "é".repeat(40);
        let names = name_columns(["id", "", "name", "id", &long, &long, "ID"]);
        let expected = ["id:1", "column:2", "name", "id:2"];
        assert_eq!(names.iter().take(4).map(|name| &**name).collect::<Vec<_>>(), expected);
        assert_eq!(&*names[6], "ID");
        assert_ne!(names[4], names[5]);
        assert!(names.iter().all(|name| crate::check_name("column", name).is_ok()), "{names:?}");
    }

    #[test]
    fn columns_are_found_by_name_and_what_is_missing_is_named() {
        let schema = Schema::builder("t")
            .column(Column::new("id", Type::I64))
            .column(Column::new("Name", Type::Text))
            .build()
            .expect("a schema");
        let find = |names: &[&str]| find_columns(&schema, &[0, 1], names.iter().copied());
        assert_eq!(find(&["x", "name", "id"]).expect("found"), [2, 1]);
        let error = find(&["nam", "id"]).expect_err("missing");
        assert_eq!(error.kind(), ErrorKind::Schema);
        let expected =
            "the statement gives no column \"Name\"; there are \"nam\", \"id\": name it by AS";
        assert_eq!(error.message(), expected);
        // Which of the two is meant is not known.
        let error = find(&["id", "id", "Name"]).expect_err("twice");
        assert!(error.message().contains("\"id:1\", \"id:2\""), "{error}");
    }

    #[test]
    fn values_are_never_shown() {
        let statement = Statement::new("SELECT ?1").bind(&"secret".to_owned());
        assert_eq!(statement.to_string(), "SELECT ?1");
        assert!(!format!("{statement:?}").contains("secret"));
    }
}
