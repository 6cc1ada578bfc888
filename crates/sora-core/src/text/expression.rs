//! What a filter text says, before it is checked against a schema.

use std::borrow::Cow;
use std::ops::Range;

use super::input::{Parsed, fault};
use crate::Comparison;
use crate::number::Number;

/// A condition, or a column or literal that a condition can be made of.
#[derive(Debug)]
pub(super) struct Node<'t> {
    pub(super) condition: Condition<'t>,
    pub(super) span: Range<usize>,
    pub(super) parenthesised: bool,
}

/// What a condition says.
#[derive(Debug)]
pub(super) enum Condition<'t> {
    Column(Name<'t>),
    Literal(Literal<'t>),
    Compare(Name<'t>, Comparison, Literal<'t>),
    Between(Name<'t>, Literal<'t>, Literal<'t>),
    In(Name<'t>, Vec<Literal<'t>>),
    Like { column: Name<'t>, pattern: Literal<'t>, escape: Option<Literal<'t>>, fold: bool },
    IsNull(Name<'t>),
    Is(Box<Node<'t>>, bool),
    And(Vec<Node<'t>>),
    Or(Vec<Node<'t>>),
    Not(Box<Node<'t>>),
}

/// The name of a column.
#[derive(Debug)]
pub(super) struct Name<'t> {
    pub(super) name: Cow<'t, str>,
    pub(super) span: Range<usize>,
}

/// A value as it is written.
#[derive(Debug)]
pub(super) struct Literal<'t> {
    pub(super) value: Written<'t>,
    pub(super) span: Range<usize>,
}

/// The forms of a literal.
#[derive(Debug)]
pub(super) enum Written<'t> {
    Null,
    Bool(bool),
    Number(Number<'t>),
    Text(Cow<'t, str>),
    Bytes(Box<[u8]>),
    Positional(usize),
    Named(&'t str),
}

impl<'t> Node<'t> {
    pub(super) fn new(condition: Condition<'t>, span: Range<usize>) -> Self {
        Self { condition, span, parenthesised: false }
    }

    pub(super) fn column(name: Name<'t>) -> Self {
        let span = name.span.clone();
        Self::new(Condition::Column(name), span)
    }

    pub(super) fn literal(literal: Literal<'t>) -> Self {
        let span = literal.span.clone();
        Self::new(Condition::Literal(literal), span)
    }

    pub(super) fn negated(self) -> Self {
        let span = self.span.clone();
        Self::new(Condition::Not(Box::new(self)), span)
    }

    /// Returns the column that a test stands behind.
    pub(super) fn tested(self, word: &str, operator: Range<usize>) -> Parsed<Name<'t>> {
        match self.condition {
            Condition::Column(name) => Ok(name),
            Condition::Literal(literal) => {
                let message = format!("{word} stands behind a column, not behind a literal");
                Err(fault(literal.span, message))
            }
            _ => {
                let message = format!(
                    "{word} stands behind a column, not behind a condition; conditions are joined \
                     by AND and OR"
                );
                Err(fault(operator, message))
            }
        }
    }

    pub(super) fn ends_with_text(&self) -> bool {
        let is_text = |literal: &Literal<'_>| matches!(literal.value, Written::Text(_));
        match &self.condition {
            Condition::Compare(_, _, literal) | Condition::Like { pattern: literal, .. } => {
                is_text(literal)
            }
            _ => false,
        }
    }

    /// The part that was read last, which decides what can follow.
    pub(super) fn last(&self) -> &Self {
        match &self.condition {
            Condition::And(parts) | Condition::Or(parts) if !self.parenthesised => {
                parts.last().map_or(self, Self::last)
            }
            Condition::Not(operand) if !self.parenthesised => operand.last(),
            _ => self,
        }
    }
}
