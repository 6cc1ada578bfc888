//! Names of tables, columns and indexes: which can be held, and which was meant.

use crate::{Error, ErrorKind, Result, Schema};

/// Finds a name exactly, else by the only match that ignores ASCII case.
pub fn find_name<'a>(names: impl Iterator<Item = &'a str> + Clone, name: &str) -> Option<usize> {
    if let Some(at) = names.clone().position(|other| other == name) {
        return Some(at);
    }
    let mut folded =
        names.enumerate().filter(|(_, other)| other.eq_ignore_ascii_case(name)).map(|(at, _)| at);
    folded.next().filter(|_| folded.next().is_none())
}

/// Returns the error of a name that was not found; it names the nearest one.
pub fn unknown_name<'a>(
    what: &str,
    name: &str,
    names: impl Iterator<Item = &'a str> + Clone,
) -> Error {
    // What is longer than any name is like none of them, and is not repeated in full.
    let is_name = name.len() <= 2 * Schema::NAME_BYTES_MAX;
    let shown = &name[..name.floor_char_boundary(2 * Schema::NAME_BYTES_MAX)];
    let nearest = names
        .clone()
        .filter(|_| is_name)
        .map(|other| (edit_distance(&name.to_lowercase(), &other.to_lowercase()), other))
        .min()
        .filter(|(distance, other)| *distance <= other.len().max(3) / 2);
    let hint = match nearest {
        Some((_, nearest)) => format!("did you mean {nearest:?}?"),
        None => {
            let mut list: Vec<_> = names.clone().take(12).map(|name| format!("{name:?}")).collect();
            if names.count() > list.len() {
                list.push("…".into());
            }
            match list.is_empty() {
                true => "there is none".into(),
                false => format!("there are {}", list.join(", ")),
            }
        }
    };
    Error::new(ErrorKind::InvalidInput, format!("there is no {what} {shown:?}; {hint}"))
}

/// Refuses a name that some store cannot hold.
pub fn check_name(what: &str, name: &str) -> Result<()> {
    if name.is_empty() || name.len() > Schema::NAME_BYTES_MAX || name.contains('\0') {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            format!(
                "{name:?} cannot name a {what}: a name has 1 to {} bytes and no U+0000",
                Schema::NAME_BYTES_MAX
            ),
        ));
    }
    Ok(())
}

/// Levenshtein's distance, by one row of the table.
fn edit_distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (index, from) in left.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = index + 1;
        for (at, to) in right.iter().enumerate() {
            let replace = diagonal + usize::from(from != *to);
            diagonal = row[at + 1];
            row[at + 1] = replace.min(row[at] + 1).min(row[at + 1] + 1);
        }
    }
    row[right.len()]
}
