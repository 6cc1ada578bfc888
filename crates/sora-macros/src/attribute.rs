//! The attributes in `#[sora(…)]`.

use std::fmt::Display;

use proc_macro2::{Ident, Span};
use quote::ToTokens;
use syn::ext::IdentExt;
use syn::meta::ParseNestedMeta;
use syn::parse::ParseBuffer;
use syn::spanned::Spanned;
use syn::{Attribute, Error, LitStr, Path, Result, Token};

use crate::case::Case;

/// The longest name that every store can hold, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// Reads all `#[sora(…)]` of one item: hands each to `take` and refuses what is unknown or doubled.
pub(crate) fn parse(
    attributes: &[Attribute],
    known: &[&str],
    repeated: &[&str],
    mut take: impl FnMut(&str, &ParseNestedMeta<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen: Vec<String> = Vec::new();
    for attribute in attributes.iter().filter(|attribute| attribute.path().is_ident("sora")) {
        attribute.parse_nested_meta(|meta| {
            let name = meta.path.to_token_stream().to_string();
            if !known.contains(&&*name) {
                return Err(unknown(&meta.path, "attribute", &name, known));
            }
            if seen.contains(&name) && !repeated.contains(&&*name) {
                return Err(refuse(&meta.path, format!("`{name}` is given twice")));
            }
            take(&name, &meta)?;
            seen.push(name);
            Ok(())
        })?;
    }
    Ok(())
}

/// Checks that an attribute has no value and returns where it stands.
pub(crate) fn flag(meta: &ParseNestedMeta<'_>) -> Result<Span> {
    if meta.input.is_empty() || meta.input.peek(Token![,]) {
        return Ok(meta.path.span());
    }
    let name = meta.path.to_token_stream();
    Err(refuse(&meta.path, format!("`{name}` takes no value: write `#[sora({name})]`")))
}

/// Reads `attribute = "text"`.
pub(crate) fn text(meta: &ParseNestedMeta<'_>) -> Result<LitStr> {
    let text = meta.value().and_then(ParseBuffer::parse);
    text.map_err(|_| {
        let name = meta.path.to_token_stream();
        refuse(&meta.path, format!("`{name}` takes a text: `{name} = \"…\"`"))
    })
}

/// Reads `attribute = "name"`, the name of something in a store.
pub(crate) fn name(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let literal = text(meta)?;
    let name = literal.value();
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains('\0') {
        let message = format!("a name has 1 to {NAME_BYTES_MAX} bytes and no U+0000");
        return Err(refuse(&literal, message));
    }
    Ok(name)
}

/// Reads `crate = "path"`.
pub(crate) fn path(meta: &ParseNestedMeta<'_>) -> Result<Path> {
    text(meta)?.parse_with(Path::parse_mod_style)
}

/// Reads `rename_all = "case"`.
pub(crate) fn case(meta: &ParseNestedMeta<'_>) -> Result<Case> {
    let literal = text(meta)?;
    let name = literal.value();
    Case::parse(&name).ok_or_else(|| unknown(&literal, "case", &name, &Case::NAMES))
}

/// Returns a span for code that is written for the user: errors point at the user's, lints pass by.
pub(crate) fn place(span: Span) -> Span {
    Span::call_site().located_at(span)
}

/// Where Sora is found when the user does not say.
pub(crate) fn default_crate() -> Path {
    syn::parse_quote!(::sora::derive)
}

/// Returns the name of a field or variant as the user thinks of it: `type` for `r#type`.
pub(crate) fn plain(ident: &Ident) -> String {
    ident.unraw().to_string()
}

/// Returns an error that points at tokens.
pub(crate) fn refuse(at: &impl ToTokens, message: impl Display) -> Error {
    Error::new_spanned(at, message)
}

/// Returns the error of a name that is none of the known ones; it names the nearest.
pub(crate) fn unknown(at: &impl ToTokens, what: &str, name: &str, known: &[&str]) -> Error {
    let nearest = known.iter().map(|other| (edit_distance(name, other), *other)).min();
    let hint = match nearest {
        Some((distance, nearest)) if distance <= nearest.len().max(3) / 2 => {
            format!("did you mean `{nearest}`?")
        }
        _ => match known {
            [] => "there is none here".into(),
            [only] => format!("there is only `{only}`"),
            _ => format!("there are `{}`", known.join("`, `")),
        },
    };
    refuse(at, format!("there is no {what} `{name}`: {hint}"))
}

/// Adds an error to those found before, so that the compiler reports all.
pub(crate) fn collect(errors: &mut Option<Error>, error: Error) {
    match errors {
        Some(errors) => errors.combine(error),
        None => *errors = Some(error),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_offered() {
        let check = |name: &str, expected: &str| {
            let error = unknown(
                &Ident::new("x", Span::call_site()),
                "attribute",
                name,
                &["column", "key", "unique"],
            );
            assert_eq!(error.to_string(), expected);
        };
        check("colum", "there is no attribute `colum`: did you mean `column`?");
        check("kye", "there is no attribute `kye`: there are `column`, `key`, `unique`");
        check("primary", "there is no attribute `primary`: there are `column`, `key`, `unique`");
    }
}
