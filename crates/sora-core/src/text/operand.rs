//! Columns and literals.

use std::borrow::Cow;
use std::ops::Range;

use super::expression::{Literal, Name, Written};
use super::input::{Failure, Input, Parsed, deeper, eat, expected, fault, next, peek};
use super::token::Kind;
use crate::Schema;
use crate::number::Number;

/// One side of a comparison.
pub(super) enum Value<'t> {
    Column(Name<'t>),
    Literal(Literal<'t>),
}

impl Value<'_> {
    pub(super) fn span(&self) -> &Range<usize> {
        match self {
            Self::Column(name) => &name.span,
            Self::Literal(literal) => &literal.span,
        }
    }
}

const LITERAL: &str =
    "a literal is a number, 'text', X'00ff', TRUE, FALSE, NULL, ? or :name, and no calculation";
const SUB_QUERY: &str = "a filter has no sub-queries; IN takes a list of literals";

/// Reads a literal, which may stand in parentheses.
pub(super) fn only_literal<'t>(input: &mut Input<'_, 't>, help: &str) -> Parsed<Literal<'t>> {
    match value(input, help)? {
        Value::Literal(literal) => Ok(literal),
        Value::Column(name) => {
            let message = format!("expected a literal, found the name {}; {help}", name.name);
            Err(fault(name.span, message))
        }
    }
}

/// Reads a column or a literal, which may stand in parentheses.
pub(super) fn value<'t>(input: &mut Input<'_, 't>, help: &str) -> Parsed<Value<'t>> {
    let depth = input.state.depth;
    while let Some(open) = eat(input, Kind::Open) {
        deeper(input, open)?;
    }
    let value = match peek(input) {
        Some(Kind::Word(_) | Kind::Quoted(_)) => column(input).map(Value::Column)?,
        _ => match literal(input)? {
            Some(literal) => Value::Literal(literal),
            None => return Err(expected(input, "a literal", help)),
        },
    };
    while input.state.depth > depth {
        eat(input, Kind::Close).ok_or_else(|| expected(input, ")", LITERAL))?;
        input.state.depth -= 1;
    }
    Ok(value)
}

/// Reads a name; what only looks like one is explained here.
pub(super) fn column<'t>(input: &mut Input<'_, 't>) -> Parsed<Name<'t>> {
    let (kind, span) = next(input);
    let name = match kind {
        Kind::Word(word) => Cow::Borrowed(word),
        Kind::Quoted(quoted) => unquote(quoted, '"'),
        _ => return Err(Failure::Backtrack),
    };
    check_length(&name, &span)?;
    let is = |words: &[&str]| words.iter().any(|word| name.eq_ignore_ascii_case(word));
    let message = match peek(input) {
        _ if matches!(kind, Kind::Quoted(_)) => return Ok(Name { name, span }),
        Some(Kind::Open) if is(&["EXISTS", "ANY", "ALL", "SOME"]) => SUB_QUERY,
        Some(Kind::Open) => "a filter has no functions; write a column or a literal",
        Some(Kind::Text(_))
            if is(&["DATE", "TIME", "TIMESTAMP", "INTERVAL", "UUID", "DECIMAL"]) =>
        {
            "write the text alone; the column decides how it is read"
        }
        Some(Kind::Operator(_) | Kind::Keyword(_) | Kind::Close) | None => {
            return Ok(Name { name, span });
        }
        Some(_) if is(&["SELECT", "WITH", "VALUES"]) => SUB_QUERY,
        Some(_) if is(&["CASE", "CAST"]) => "a filter has no CASE and no casts, only conditions",
        Some(_) => return Ok(Name { name, span }),
    };
    Err(fault(span, message))
}

/// Reads a literal; `None` if something else stands there.
pub(super) fn literal<'t>(input: &mut Input<'_, 't>) -> Parsed<Option<Literal<'t>>> {
    let Some(token) = input.input.first() else { return Ok(None) };
    let span = token.span();
    let value = match token.kind {
        Kind::Keyword("NULL") => Written::Null,
        Kind::Keyword("TRUE") => Written::Bool(true),
        Kind::Keyword("FALSE") => Written::Bool(false),
        Kind::Number(text) => Written::Number(Number::parse(text).ok_or_else(|| {
            let message = "this is not a number; numbers are written -12, 0.5 or 1.5e6";
            fault(span.clone(), message)
        })?),
        Kind::Text(text) => Written::Text(unquote(text, '\'')),
        Kind::Bytes(digits) => Written::Bytes(bytes(digits).ok_or_else(|| {
            let message = "bytes are two hexadecimal digits each, such as X'00ff'";
            fault(span.clone(), message)
        })?),
        Kind::Positional(position) => Written::Positional(position),
        Kind::Named(name) => {
            check_length(name, &span)?;
            Written::Named(name)
        }
        _ => return Ok(None),
    };
    next(input);
    Ok(Some(Literal { value, span }))
}

/// Refuses a name that no table can have, before the nearest one to it is looked for.
fn check_length(name: &str, span: &Range<usize>) -> Parsed<()> {
    if name.len() > Schema::NAME_BYTES_MAX {
        let message = format!("a name has at most {} bytes", Schema::NAME_BYTES_MAX);
        return Err(fault(span.clone(), message));
    }
    Ok(())
}

fn unquote(text: &str, quote: char) -> Cow<'_, str> {
    if text.contains(quote) {
        // Each quote inside is doubled.
        let double = String::from_iter([quote, quote]);
        text.replace(&double, double.split_at(1).0).into()
    } else {
        text.into()
    }
}

fn bytes(digits: &str) -> Option<Box<[u8]>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?));
    if rest.is_empty() { bytes.collect() } else { None }
}
