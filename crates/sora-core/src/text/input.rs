//! The tokens that are left to read, and what is said when something else should stand there.

use std::ops::Range;

use winnow::error::ParserError;
use winnow::stream::Stateful;

use super::diagnostic::Fault;
use super::expression::{Condition, Node};
use super::token::{ARITHMETIC, Kind, Token};
use crate::FilterLimits;

/// The tokens that are left.
pub(super) type Input<'i, 't> = Stateful<&'i [Token<'t>], State>;

/// What a parser returns.
pub(super) type Parsed<T> = Result<T, Failure>;

/// What is known beside the tokens.
#[derive(Debug)]
pub(super) struct State {
    pub(super) limits: FilterLimits,
    /// Open parentheses and the `NOT` before what is read.
    pub(super) depth: usize,
    /// Where the text ends, without white space.
    pub(super) end: usize,
}

/// Why a parser returns nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// Something else may stand here.
    Backtrack,
    /// Nothing else may.
    Fault(Fault),
}

impl ParserError<Input<'_, '_>> for Failure {
    type Inner = Self;

    fn from_input(_: &Input<'_, '_>) -> Self {
        Self::Backtrack
    }

    fn is_backtrack(&self) -> bool {
        matches!(self, Self::Backtrack)
    }

    fn into_inner(self) -> Result<Self, Self> {
        Ok(self)
    }
}

pub(super) const CONDITION: &str =
    "a condition starts with a column, a literal, NOT or a parenthesis, such as name = 'x'";
const TESTS: &str = "=, <>, <, <=, >, >=, [NOT] BETWEEN, [NOT] IN, [NOT] LIKE, [NOT] ILIKE or IS";

pub(super) fn peek<'t>(input: &Input<'_, 't>) -> Option<Kind<'t>> {
    input.input.first().map(|token| token.kind)
}

/// Steps over a token that [`peek`] has seen.
pub(super) fn next<'t>(input: &mut Input<'_, 't>) -> (Kind<'t>, Range<usize>) {
    match input.input.split_first() {
        Some((token, rest)) => {
            input.input = rest;
            (token.kind, token.span())
        }
        None => (Kind::Refused(CONDITION), here(input)),
    }
}

pub(super) fn eat<'t>(input: &mut Input<'_, 't>, kind: Kind<'t>) -> Option<Range<usize>> {
    (peek(input) == Some(kind)).then(|| next(input).1)
}

fn here(input: &Input<'_, '_>) -> Range<usize> {
    let end = input.state.end;
    input.input.first().map_or(end..end, Token::span)
}

/// Counts a parenthesis or `NOT` that was opened.
pub(super) fn deeper(input: &mut Input<'_, '_>, span: Range<usize>) -> Parsed<()> {
    input.state.depth += 1;
    let depth_max = input.state.limits.depth_max;
    if input.state.depth > depth_max {
        let message = format!("the filter is nested more than {depth_max} deep");
        return Err(Failure::Fault(Fault::limit(span, message)));
    }
    Ok(())
}

pub(super) fn fault(span: Range<usize>, message: impl Into<String>) -> Failure {
    Failure::Fault(Fault::new(span, message))
}

/// Returns the failure of what follows a condition and cannot.
pub(super) fn after(input: &Input<'_, '_>, node: &Node<'_>) -> Failure {
    let last = node.last();
    let alone = !last.parenthesised
        && matches!(last.condition, Condition::Column(_) | Condition::Literal(_));
    match peek(input) {
        Some(Kind::Close) => fault(here(input), "this parenthesis closes none"),
        Some(Kind::Comma) => {
            let message = "only a list behind IN has commas; conditions are joined by AND and OR";
            fault(here(input), message)
        }
        Some(Kind::Number(number)) if number.starts_with(['+', '-']) => {
            fault(here(input), ARITHMETIC)
        }
        Some(Kind::Word(_)) if last.ends_with_text() && last.span.end == here(input).start => {
            fault(here(input), "the text ends before this; a single quote in it is doubled")
        }
        _ if alone => {
            expected(input, TESTS, "a bool column alone is followed by AND, OR or the end")
        }
        _ if input.state.depth > 0 => expected(input, "AND, OR or )", "a parenthesis is open"),
        _ => expected(input, "AND, OR or the end", "a filter is one condition"),
    }
}

/// Returns the failure that something else should stand here; what the language does not have at
/// all explains itself.
pub(super) fn expected(input: &Input<'_, '_>, what: &str, help: &str) -> Failure {
    let found = match peek(input) {
        None => "the end".into(),
        Some(Kind::Refused(why)) => return fault(here(input), why),
        Some(Kind::Word(word)) => format!("the name {}", shortened(word)),
        Some(Kind::Quoted(name)) => format!("the name \"{}\"", shortened(name)),
        Some(Kind::Keyword(word)) => word.into(),
        Some(Kind::Number(number)) => format!("the number {}", shortened(number)),
        Some(Kind::Text(text)) => format!("the text '{}'", shortened(text)),
        Some(Kind::Bytes(_)) => "bytes".into(),
        Some(Kind::Positional(_)) => "?".into(),
        Some(Kind::Named(name)) => format!(":{}", shortened(name)),
        Some(Kind::Operator(comparison)) => comparison.symbol().into(),
        Some(Kind::Open) => "(".into(),
        Some(Kind::Close) => ")".into(),
        Some(Kind::Comma) => "a comma".into(),
    };
    fault(here(input), format!("expected {what}, found {found}; {help}"))
}

fn shortened(text: &str) -> String {
    const CHARS_MAX: usize = 40;
    match text.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
