//! Lists of column names on the command line: `a,b,"odd,name"`, and `-a,b` for a sort.

use sora::{Error, ErrorKind, Result, Schema, Sort};

/// A name of a list, and whether a minus stood before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedName {
    /// The name, without its quotes.
    pub(crate) name: String,
    /// Whether it was written `-name`.
    pub(crate) is_negative: bool,
}

impl ListedName {
    /// The name as it is where a minus means nothing.
    pub(crate) fn text(&self) -> String {
        let minus = if self.is_negative { "-" } else { "" };
        format!("{minus}{}", self.name)
    }
}

/// Reads names that are separated by commas; in double quotes they can hold any character.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if a name is missing or its quotes are not closed.
pub(crate) fn parse(text: &str) -> Result<Vec<ListedName>> {
    let mut names = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start();
        let is_negative = rest.starts_with('-');
        rest = rest.strip_prefix('-').unwrap_or(rest);
        let (name, behind) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_name(quoted).ok_or_else(|| unreadable(text))?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                (rest[..end].trim_end().to_owned(), &rest[end..])
            }
        };
        if name.is_empty() {
            return Err(unreadable(text));
        }
        names.push(ListedName { name, is_negative });
        match behind.trim_start().strip_prefix(',') {
            Some(next) => rest = next,
            None if behind.trim().is_empty() => return Ok(names),
            None => return Err(unreadable(text)),
        }
    }
}

/// Finds the columns of a list of names.
///
/// # Errors
///
/// [`ErrorKind::InvalidInput`] if a name cannot be read or is no column, naming the nearest.
pub(crate) fn columns(text: &str, schema: &Schema) -> Result<Vec<u16>> {
    parse(text)?.iter().map(|listed| schema.find(&listed.text())).collect()
}

/// Finds the columns of a sort.
///
/// # Errors
///
/// As [`columns`].
pub(crate) fn sort(text: &str, schema: &Schema) -> Result<Vec<Sort>> {
    let find = |listed: ListedName| {
        let column = schema.find(&listed.name)?;
        Ok(Sort { column, descending: listed.is_negative })
    };
    parse(text)?.into_iter().map(find).collect()
}

/// Splits off a name behind its opening quote; a quote in it is written twice.
pub(crate) fn quoted_name(text: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut rest = text;
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(next) => {
                name.push('"');
                rest = next;
            }
            None => return Some((name, behind)),
        }
    }
}

fn unreadable(text: &str) -> Error {
    let message = format!("{text:?} is not a list of columns, such as state,\"zip code\"");
    Error::new(ErrorKind::InvalidInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names() {
        let show = |text: &str| {
            let names = parse(text).expect(text);
            let name = |listed: &ListedName| {
                format!("{}{}", if listed.is_negative { "- " } else { "" }, listed.name)
            };
            names.iter().map(name).collect::<Vec<_>>().join("|")
        };
        assert_eq!(show("a"), "a");
        assert_eq!(show("-a, b"), "- a|b");
        assert_eq!(show("-\"a,\"\"b\"\"\",\"-c\""), "- a,\"b\"|-c");
        for text in ["", "a,", ",a", "\"a", "\"a\"b", "-", "\"\""] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
