//! The grammar: from tokens to a tree of conditions.
//!
//! Precedence is left to winnow's Pratt parser. Every test of a column is a postfix operator that
//! reads its own tail, so that a wrong tail is explained where it stands.

use std::mem::discriminant;
use std::ops::Range;

use winnow::Parser;
use winnow::combinator::{Infix, Postfix, Prefix, expression};
use winnow::stream::Stateful;

use super::diagnostic::Fault;
use super::expression::{Condition, Literal, Node};
use super::input::{
    CONDITION, Failure, Input, Parsed, State, after, deeper, eat, expected, fault, next, peek,
};
use super::operand::{Value, column, literal, only_literal, value};
use super::token::{Kind, Token};
use crate::{Comparison, FilterLimits};

/// Reads all tokens as one condition.
pub(super) fn parse<'t>(
    text: &'t str,
    tokens: &[Token<'t>],
    limits: FilterLimits,
) -> Result<Node<'t>, Fault> {
    let state = State { limits, depth: 0, end: text.trim_end().len() };
    let mut input = Stateful { input: tokens, state };
    let node = condition(&mut input).and_then(|node| match peek(&input) {
        None => Ok(node),
        Some(_) => Err(after(&input, &node)),
    });
    node.map_err(|failure| match failure {
        Failure::Fault(fault) => fault,
        Failure::Backtrack => Fault::new(0..0, CONDITION),
    })
}

// How tightly operators bind.
const OR: i64 = 1;
const AND: i64 = 3;
const NOT: i64 = 5;
const TEST: i64 = 7;

fn condition<'t>(input: &mut Input<'_, 't>) -> Parsed<Node<'t>> {
    expression(operand).prefix(prefix).postfix(postfix).infix(infix).parse_next(input)
}

/// `NOT`. What else stands where a condition should start is explained here, as the last choice.
fn prefix<'i, 't>(input: &mut Input<'i, 't>) -> Parsed<Prefix<Input<'i, 't>, Node<'t>, Failure>> {
    let span = eat(input, Kind::Keyword("NOT"))
        .ok_or_else(|| expected(input, "a condition", CONDITION))?;
    deeper(input, span)?;
    Ok(Prefix(NOT, |input, node| {
        input.state.depth -= 1;
        Ok(Node::negated(node))
    }))
}

/// Every test of a column; the operator reads itself and its tail.
fn postfix<'i, 't>(input: &mut Input<'i, 't>) -> Parsed<Postfix<Input<'i, 't>, Node<'t>, Failure>> {
    match peek(input) {
        Some(
            Kind::Operator(_) | Kind::Keyword("NOT" | "BETWEEN" | "IN" | "LIKE" | "ILIKE" | "IS"),
        ) => Ok(Postfix(TEST, test)),
        _ => Err(Failure::Backtrack),
    }
}

fn infix<'i, 't>(input: &mut Input<'i, 't>) -> Parsed<Infix<Input<'i, 't>, Node<'t>, Failure>> {
    if eat(input, Kind::Keyword("AND")).is_some() {
        Ok(Infix::Left(AND, |_, left, right| Ok(join(left, right, Condition::And))))
    } else if eat(input, Kind::Keyword("OR")).is_some() {
        Ok(Infix::Left(OR, |_, left, right| Ok(join(left, right, Condition::Or))))
    } else {
        Err(Failure::Backtrack)
    }
}

/// Joins two conditions; a chain becomes one list, so that its length does not count as depth.
fn join<'t>(left: Node<'t>, right: Node<'t>, list: fn(Vec<Node<'t>>) -> Condition<'t>) -> Node<'t> {
    let span = left.span.start..right.span.end;
    let is_chain =
        !left.parenthesised && discriminant(&left.condition) == discriminant(&list(vec![]));
    let mut parts = match left.condition {
        Condition::And(parts) | Condition::Or(parts) if is_chain => parts,
        condition => vec![Node { condition, ..left }],
    };
    parts.push(right);
    Node::new(list(parts), span)
}

fn operand<'t>(input: &mut Input<'_, 't>) -> Parsed<Node<'t>> {
    match peek(input) {
        Some(Kind::Open) => parenthesised(input),
        Some(Kind::Word(_) | Kind::Quoted(_)) => column(input).map(Node::column),
        _ => literal(input)?.map(Node::literal).ok_or(Failure::Backtrack),
    }
}

fn parenthesised<'t>(input: &mut Input<'_, 't>) -> Parsed<Node<'t>> {
    let (_, open) = next(input);
    deeper(input, open.clone())?;
    let node = condition(input)?;
    let Some(close) = eat(input, Kind::Close) else { return Err(after(input, &node)) };
    input.state.depth -= 1;
    Ok(Node { span: open.start..close.end, parenthesised: true, ..node })
}

/// Reads the operator that stands behind a column, and its tail.
fn test<'t>(input: &mut Input<'_, 't>, left: Node<'t>) -> Parsed<Node<'t>> {
    let (kind, operator) = next(input);
    match kind {
        Kind::Operator(comparison) => compare(input, left, comparison, operator),
        Kind::Keyword("IS") => is(input, left, operator),
        Kind::Keyword("NOT") => {
            let words = ["BETWEEN", "IN", "LIKE", "ILIKE"];
            let word = words.into_iter().find(|word| eat(input, Kind::Keyword(word)).is_some());
            let help = "what has a value is written IS NOT NULL, another value <>";
            let word =
                word.ok_or_else(|| expected(input, "BETWEEN, IN, LIKE or ILIKE behind NOT", help))?;
            worded(input, left, word, operator).map(Node::negated)
        }
        Kind::Keyword(word) => worded(input, left, word, operator),
        _ => Err(Failure::Backtrack),
    }
}

fn compare<'t>(
    input: &mut Input<'_, 't>,
    left: Node<'t>,
    comparison: Comparison,
    operator: Range<usize>,
) -> Parsed<Node<'t>> {
    let chained = !left.parenthesised && matches!(left.condition, Condition::Compare(..));
    let left = match left.condition {
        Condition::Column(name) => Value::Column(name),
        Condition::Literal(literal) => Value::Literal(literal),
        _ if chained => {
            let message = "comparisons are not chained; write 1 < x AND x < 5";
            return Err(fault(operator, message));
        }
        _ => {
            let message =
                "a condition is not compared with anything; write (…) IS TRUE, or IS FALSE";
            return Err(fault(operator, message));
        }
    };
    let help = "a column is compared with a literal: a number, 'text', X'00ff', TRUE, FALSE, NULL, \
                ? or :name";
    let right = value(input, help)?;
    let span = left.span().start..right.span().end;
    let condition = match (left, right) {
        (Value::Column(name), Value::Literal(literal)) => {
            Condition::Compare(name, comparison, literal)
        }
        (Value::Literal(literal), Value::Column(name)) => {
            Condition::Compare(name, comparison.flip(), literal)
        }
        (Value::Literal(_), Value::Literal(_)) => {
            let message =
                "a literal beside a literal says nothing about a row; one side is a column";
            return Err(fault(span, message));
        }
        (Value::Column(_), Value::Column(name)) => {
            let message = format!(
                "a column beside a column cannot be compared; if {} is a text, it stands in single \
                 quotes",
                name.name
            );
            return Err(fault(name.span, message));
        }
    };
    Ok(Node::new(condition, span))
}

/// Reads the tail of `BETWEEN`, `IN`, `LIKE` and `ILIKE`.
fn worded<'t>(
    input: &mut Input<'_, 't>,
    left: Node<'t>,
    word: &str,
    operator: Range<usize>,
) -> Parsed<Node<'t>> {
    let start = left.span.start;
    let column = left.tested(word, operator)?;
    let (condition, end) = match word {
        "BETWEEN" => {
            let help = "it is written x BETWEEN 1 AND 5";
            let low = only_literal(input, help)?;
            eat(input, Kind::Keyword("AND"))
                .ok_or_else(|| expected(input, "AND between the two literals", help))?;
            let high = only_literal(input, help)?;
            let end = high.span.end;
            (Condition::Between(column, low, high), end)
        }
        "IN" => {
            let (list, end) = list(input)?;
            (Condition::In(column, list), end)
        }
        _ => {
            let help = "a pattern is a text in single quotes: _ is one character, % any number";
            let pattern = only_literal(input, help)?;
            let escape = match eat(input, Kind::Keyword("ESCAPE")) {
                Some(_) => Some(only_literal(input, "ESCAPE takes one character, such as '!'")?),
                None => None,
            };
            let end = escape.as_ref().unwrap_or(&pattern).span.end;
            (Condition::Like { column, pattern, escape, fold: word == "ILIKE" }, end)
        }
    };
    Ok(Node::new(condition, start..end))
}

fn list<'t>(input: &mut Input<'_, 't>) -> Parsed<(Vec<Literal<'t>>, usize)> {
    let help = "IN takes literals in parentheses, such as IN (1, 2)";
    eat(input, Kind::Open).ok_or_else(|| expected(input, "(", help))?;
    let mut list = Vec::new();
    if let Some(close) = eat(input, Kind::Close) {
        return Ok((list, close.end));
    }
    loop {
        let literal = only_literal(input, help)?;
        if list.len() == input.state.limits.list_max {
            let message = format!("an IN list has at most {} values", list.len());
            return Err(Failure::Fault(Fault::limit(literal.span, message)));
        }
        list.push(literal);
        if let Some(close) = eat(input, Kind::Close) {
            return Ok((list, close.end));
        }
        eat(input, Kind::Comma).ok_or_else(|| expected(input, "a comma or )", help))?;
    }
}

fn is<'t>(input: &mut Input<'_, 't>, left: Node<'t>, operator: Range<usize>) -> Parsed<Node<'t>> {
    let negated = eat(input, Kind::Keyword("NOT")).is_some();
    let truth = match peek(input) {
        Some(Kind::Keyword("NULL")) => None,
        Some(Kind::Keyword("TRUE")) => Some(true),
        Some(Kind::Keyword("FALSE")) => Some(false),
        _ => {
            let help =
                "equality is written =; there are IS [NOT] NULL, IS [NOT] TRUE and IS [NOT] FALSE";
            return Err(expected(input, "NULL, TRUE or FALSE behind IS", help));
        }
    };
    let span = left.span.start..next(input).1.end;
    let condition = match truth {
        None => Condition::IsNull(left.tested("IS NULL", operator)?),
        Some(truth) => {
            if !left.parenthesised && !matches!(left.condition, Condition::Column(_)) {
                let message = "IS TRUE and IS FALSE stand behind a bool column or a condition in \
                               parentheses; write (…) IS TRUE";
                return Err(fault(operator, message));
            }
            Condition::Is(Box::new(left), truth)
        }
    };
    let node = Node::new(condition, span);
    Ok(if negated { node.negated() } else { node })
}
