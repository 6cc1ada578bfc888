//! Columns and their types as `--columns` gives them: `id:i64,price:decimal(10,2),"odd,name":text`.

use std::str::FromStr;

use sora::{Error, ErrorKind, Result, Type, check_name};

use crate::names::quoted_name;

/// Columns with their types, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ColumnList(Vec<(Box<str>, Type)>);

impl ColumnList {
    /// The names, in order.
    pub(crate) fn names(&self) -> Box<[Box<str>]> {
        self.0.iter().map(|(name, _)| name.clone()).collect()
    }

    /// Returns the type of a column, if it was given one.
    pub(crate) fn find(&self, name: &str) -> Option<Type> {
        self.0.iter().find(|(other, _)| **other == *name).map(|(_, column_type)| *column_type)
    }
}

impl FromStr for ColumnList {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut columns = Vec::new();
        let mut rest = text;
        loop {
            let (name, behind) = name(rest)?;
            let end = end_of_type(behind);
            let column_type: Type = behind[..end].trim().parse()?;
            check_name("column", &name)?;
            if columns.iter().any(|(other, _): &(Box<str>, Type)| **other == *name) {
                return Err(invalid(format!("the column {name:?} is listed twice")));
            }
            columns.push((name.into(), column_type));
            match behind.get(end + 1..) {
                Some(next) => rest = next,
                None => return Ok(Self(columns)),
            }
        }
    }
}

/// Splits off a name, bare or in double quotes, and its colon.
fn name(text: &str) -> Result<(String, &str)> {
    let missing =
        || invalid(format!("{text:?} is not a column and its type, such as price:decimal(10,2)"));
    let text_start = text.trim_start();
    let Some(quoted) = text_start.strip_prefix('"') else {
        let (name, behind) = text_start.split_once(':').ok_or_else(missing)?;
        return Ok((name.trim_end().into(), behind));
    };
    let (name, behind) = quoted_name(quoted).ok_or_else(missing)?;
    Ok((name, behind.trim_start().strip_prefix(':').ok_or_else(missing)?))
}

/// Finds the comma behind a type; those of `decimal(10,2)` stand in parentheses.
fn end_of_type(text: &str) -> usize {
    let mut depth = 0usize;
    let is_end = |(_, char): &(usize, char)| {
        match char {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        *char == ',' && depth == 0
    };
    text.char_indices().find(is_end).map_or(text.len(), |(at, _)| at)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_and_types() {
        let text = r#"id:i64, price : decimal(10, 2) ,"odd,""na:me""" :text"#;
        let list: ColumnList = text.parse().expect("a list");
        assert_eq!(list.names().join(" "), r#"id price odd,"na:me""#);
        assert_eq!(list.find("price"), Some(Type::Decimal { precision: 10, scale: 2 }));
        assert_eq!(list.find("Price"), None);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, expected) in [
            ("", "is not a column and its type"),
            ("id", "\"id\" is not a column and its type"),
            ("id:int", "\"int\" is not a type; there are bool, i64"),
            ("id:i64,", "is not a column and its type"),
            ("id:i64,id:text", "listed twice"),
            (":i64", "cannot name a column"),
            ("\"id:i64", "is not a column and its type"),
        ] {
            let error = text.parse::<ColumnList>().expect_err(text).to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
