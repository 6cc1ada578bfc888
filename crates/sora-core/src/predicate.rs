//! What a filter says about a row, without the type of the entity.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use crate::{Cell, Comparison, Error, ErrorKind, Pattern, Result, Row, Schema, Truth, Value};

/// A condition on the columns of a row, by SQL's three-valued logic.
///
/// Columns are positions in a [`Schema`]. A predicate that came from [`bind`](Predicate::bind)
/// holds literals of its columns' own types, which is what providers receive.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Predicate {
    /// The same for every row.
    Constant(Truth),
    /// A bool column by itself.
    Bool(u16),
    /// A column beside a literal.
    Compare {
        /// The column, on the left.
        column: u16,
        /// The operator.
        comparison: Comparison,
        /// The literal, on the right.
        value: Value,
    },
    /// A column that equals one of a list.
    In {
        /// The column.
        column: u16,
        /// The literals, none of them null.
        values: Arc<[Value]>,
        /// Whether the list held a null: what is not found is then unknown.
        null: bool,
    },
    /// A text column that matches a pattern.
    Like {
        /// The column.
        column: u16,
        /// The pattern.
        pattern: Pattern,
        /// Whether ASCII letters match in either case, as in `ILIKE`.
        fold: bool,
    },
    /// A column without a value.
    IsNull(u16),
    /// `IS TRUE` or `IS FALSE` of a condition: never unknown.
    Is {
        /// The condition.
        operand: Box<Predicate>,
        /// What it must be.
        truth: bool,
    },
    /// All of them.
    And(Vec<Predicate>),
    /// One of them.
    Or(Vec<Predicate>),
    /// The opposite; of unknown it is unknown.
    Not(Box<Predicate>),
}

/// What bounds a filter, so that one cannot be made to exhaust the stack or the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FilterLimits {
    /// The longest filter text, in bytes: 65,536.
    pub bytes_max: usize,
    /// The deepest nesting: 64.
    pub depth_max: usize,
    /// The most conditions: 1,000.
    pub terms_max: usize,
    /// The longest `IN` list: 10,000.
    pub list_max: usize,
}

impl Default for FilterLimits {
    fn default() -> Self {
        Self { bytes_max: 65_536, depth_max: 64, terms_max: 1_000, list_max: 10_000 }
    }
}

impl Predicate {
    /// Keeps every row.
    pub const ALL: Self = Self::Constant(Truth::True);

    /// Says whether the condition holds for a row whose cells stand in the schema's order.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`] if a cell is not of its column's type.
    pub fn evaluate(&self, row: &dyn Row) -> Result<Truth> {
        Ok(match self {
            Self::Constant(truth) => *truth,
            Self::Bool(column) => match cell(row, *column)? {
                Cell::Null => Truth::Unknown,
                Cell::Bool(value) => value.into(),
                other => return Err(mixed(*column, other)),
            },
            Self::Compare { column, comparison, value } => match cell(row, *column)? {
                Cell::Null => Truth::Unknown,
                cell => match cell.compare(value.cell()) {
                    Some(order) => comparison.holds(order).into(),
                    None => return Err(mixed(*column, cell)),
                },
            },
            Self::In { column, values, null } => is_in(cell(row, *column)?, values, *null),
            Self::Like { column, pattern, fold } => match cell(row, *column)? {
                Cell::Null => Truth::Unknown,
                Cell::Text(text) => pattern.matches(text, *fold).into(),
                other => return Err(mixed(*column, other)),
            },
            Self::IsNull(column) => cell(row, *column)?.is_null().into(),
            Self::Is { operand, truth } => (operand.evaluate(row)? == Truth::from(*truth)).into(),
            Self::And(all) => fold(all, Truth::True, Truth::False, Truth::and, row)?,
            Self::Or(any) => fold(any, Truth::False, Truth::True, Truth::or, row)?,
            Self::Not(operand) => !operand.evaluate(row)?,
        })
    }

    /// Calls `visit` with each column that the condition reads, in order, repeated or not.
    pub fn for_each_column(&self, visit: &mut dyn FnMut(u16)) {
        match self {
            Self::Constant(_) => {}
            Self::Bool(column)
            | Self::Compare { column, .. }
            | Self::In { column, .. }
            | Self::Like { column, .. }
            | Self::IsNull(column) => visit(*column),
            Self::Is { operand, .. } | Self::Not(operand) => operand.for_each_column(visit),
            Self::And(parts) | Self::Or(parts) => {
                for part in parts {
                    part.for_each_column(visit);
                }
            }
        }
    }

    /// Returns the conditions that must all hold, without the constant true.
    pub fn into_terms(self) -> Vec<Self> {
        match self {
            Self::Constant(Truth::True) => Vec::new(),
            Self::And(parts) => parts.into_iter().flat_map(Self::into_terms).collect(),
            term => vec![term],
        }
    }

    /// Displays the condition as text of the filter language, with the names of a schema.
    ///
    /// What a bound predicate displays, [`text::parse`](crate::text::parse) reads as that predicate.
    pub fn display<'a>(&'a self, schema: &'a Schema) -> impl fmt::Display + 'a {
        Displayed { predicate: self, schema, inside: Inside::Nothing }
    }
}

fn cell(row: &dyn Row, column: u16) -> Result<Cell<'_>> {
    row.cell(usize::from(column))
}

fn is_in(cell: Cell<'_>, values: &[Value], null: bool) -> Truth {
    match cell {
        // An empty list is false for every row, null too.
        _ if values.is_empty() && !null => Truth::False,
        Cell::Null => Truth::Unknown,
        _ if values.iter().any(|value| cell.compare(value.cell()).is_some_and(Ordering::is_eq)) => {
            Truth::True
        }
        _ if null => Truth::Unknown,
        _ => Truth::False,
    }
}

fn fold(
    parts: &[Predicate],
    start: Truth,
    stop: Truth,
    join: fn(Truth, Truth) -> Truth,
    row: &dyn Row,
) -> Result<Truth> {
    let mut truth = start;
    for part in parts {
        truth = join(truth, part.evaluate(row)?);
        if truth == stop {
            break;
        }
    }
    Ok(truth)
}

fn mixed(column: u16, cell: Cell<'_>) -> Error {
    let message =
        format!("column {column} holds a {}, which its filter cannot read", cell.kind_name());
    Error::new(ErrorKind::Data, message)
}

/// What a condition stands in, which decides whether it needs parentheses.
#[derive(Clone, Copy, PartialEq)]
enum Inside {
    Nothing,
    And,
    Or,
    Operand,
}

struct Displayed<'a> {
    predicate: &'a Predicate,
    schema: &'a Schema,
    inside: Inside,
}

impl Displayed<'_> {
    fn part<'a>(&'a self, predicate: &'a Predicate, inside: Inside) -> Displayed<'a> {
        Displayed { predicate, schema: self.schema, inside }
    }

    fn name(&self, column: u16) -> Name<'_> {
        Name(&self.schema.column(column).name)
    }

    /// Writes parts with a word between them; one part alone, or none, reads as what it means.
    fn list(
        &self,
        f: &mut fmt::Formatter<'_>,
        parts: &[Predicate],
        (word, inside): (&str, Inside),
    ) -> fmt::Result {
        let open = parts.len() > 1 && self.inside != Inside::Nothing && self.inside != inside;
        if open {
            f.write_str("(")?;
        }
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                write!(f, " {word} ")?;
            }
            let inside = if parts.len() > 1 { inside } else { self.inside };
            write!(f, "{}", self.part(part, inside))?;
        }
        if open {
            f.write_str(")")?;
        }
        Ok(())
    }
}

impl Displayed<'_> {
    /// Writes a test of one column or of a condition in parentheses; `not` stands before its word.
    fn test(&self, f: &mut fmt::Formatter<'_>, test: &Predicate, not: &str) -> fmt::Result {
        match test {
            Predicate::In { column, values, null } => {
                write!(f, "{} {not}IN (", self.name(*column))?;
                let cells = values.iter().map(Value::cell).chain(null.then_some(Cell::Null));
                for (index, cell) in cells.enumerate() {
                    let comma = if index > 0 { ", " } else { "" };
                    write!(f, "{comma}{cell}")?;
                }
                f.write_str(")")
            }
            Predicate::Like { column, pattern, fold } => {
                let (pattern, escaped) = pattern.to_sql();
                let word = if *fold { "ILIKE" } else { "LIKE" };
                write!(f, "{} {not}{word} {}", self.name(*column), Cell::Text(&pattern))?;
                if escaped { f.write_str(" ESCAPE '\\'") } else { Ok(()) }
            }
            Predicate::IsNull(column) => write!(f, "{} IS {not}NULL", self.name(*column)),
            Predicate::Is { operand, truth } => {
                let truth = if *truth { "TRUE" } else { "FALSE" };
                match **operand {
                    Predicate::Bool(column) => write!(f, "{} IS {not}{truth}", self.name(column)),
                    _ => write!(f, "({}) IS {not}{truth}", self.part(operand, Inside::Nothing)),
                }
            }
            other => write!(f, "{not}{}", self.part(other, Inside::Operand)),
        }
    }
}

impl fmt::Display for Displayed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.predicate {
            Predicate::Constant(Truth::True) => f.write_str("TRUE"),
            Predicate::Constant(Truth::False) => f.write_str("FALSE"),
            Predicate::Constant(Truth::Unknown) => f.write_str("NULL"),
            Predicate::Bool(column) => write!(f, "{}", self.name(*column)),
            Predicate::Compare { column, comparison, value } => {
                write!(f, "{} {} {}", self.name(*column), comparison.symbol(), value.cell())
            }
            Predicate::Not(operand) => self.test(f, operand, "NOT "),
            Predicate::And(parts) if parts.is_empty() => f.write_str("TRUE"),
            Predicate::Or(parts) if parts.is_empty() => f.write_str("FALSE"),
            Predicate::And(parts) => self.list(f, parts, ("AND", Inside::And)),
            Predicate::Or(parts) => self.list(f, parts, ("OR", Inside::Or)),
            test => self.test(f, test, ""),
        }
    }
}

/// Displays a name bare where the filter language reads it so, else in double quotes.
#[derive(Clone, Copy, Debug)]
pub struct Name<'a>(pub &'a str);

/// The words of the filter language, which a bare name cannot be.
pub const KEYWORDS: [&str; 12] =
    ["AND", "BETWEEN", "ESCAPE", "FALSE", "ILIKE", "IN", "IS", "LIKE", "NOT", "NULL", "OR", "TRUE"];

impl fmt::Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
        let bare = self.0.starts_with(starts)
            && self.0.chars().all(|c| starts(c) || c.is_ascii_digit())
            && !KEYWORDS.iter().any(|word| word.eq_ignore_ascii_case(self.0));
        if bare { f.write_str(self.0) } else { write!(f, "\"{}\"", self.0.replace('"', "\"\"")) }
    }
}
