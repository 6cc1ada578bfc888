//! From conditions to a predicate on the columns of a schema.

use std::ops::Range;

use super::diagnostic::Fault;
use super::expression::{Condition, Literal, Name, Node, Written};
use super::parameters::Parameters;
use crate::bind::{compare, one_of};
use crate::place::{Place, comparable};
use crate::{
    Cell, Column, Comparison, FilterLimits, Pattern, Predicate, Result, Schema, Truth, Type, Value,
};

/// Returns the predicate of a condition; its literals are of its columns' types.
pub(super) fn bind(
    node: &Node<'_>,
    schema: &Schema,
    parameters: &Parameters,
    limits: FilterLimits,
) -> Result<Predicate, Fault> {
    Binding { schema, parameters, limits, terms: 0 }.predicate(node, limits.depth_max)
}

struct Binding<'a> {
    schema: &'a Schema,
    parameters: &'a Parameters,
    limits: FilterLimits,
    terms: usize,
}

impl<'a> Binding<'a> {
    /// The limits are those of [`Predicate::bind`]; here they are known with their place.
    fn predicate(&mut self, node: &Node<'_>, depth: usize) -> Result<Predicate, Fault> {
        let Some(depth) = depth.checked_sub(1) else { return Err(self.too_deep(node)) };
        Ok(match &node.condition {
            Condition::And(parts) => Predicate::And(self.parts(parts, depth)?),
            Condition::Or(parts) => Predicate::Or(self.parts(parts, depth)?),
            Condition::Not(operand) => Predicate::Not(Box::new(self.predicate(operand, depth)?)),
            Condition::Is(operand, truth) => {
                if let Condition::Column(name) = &operand.condition {
                    self.bool_column(name)?;
                }
                let operand = Box::new(self.predicate(operand, depth)?);
                Predicate::Is { operand, truth: *truth }
            }
            Condition::Between(name, low, high) => {
                if depth == 0 {
                    return Err(self.too_deep(node));
                }
                Predicate::And(vec![
                    self.compare(node, name, Comparison::GreaterOrEqual, low)?,
                    self.compare(node, name, Comparison::LessOrEqual, high)?,
                ])
            }
            Condition::Compare(name, comparison, literal) => {
                self.compare(node, name, *comparison, literal)?
            }
            Condition::Column(name) => {
                self.term(node)?;
                let at = self.find(name)?;
                self.check(Predicate::Bool(at), &name.span)?
            }
            Condition::Literal(literal) => {
                self.term(node)?;
                constant(literal)?
            }
            Condition::In(name, list) => {
                self.term(node)?;
                let (at, column) = self.comparable(name)?;
                let places: Result<Vec<_>, _> =
                    list.iter().map(|literal| self.place(column, literal)).collect();
                one_of(column, at, places?, false)
            }
            Condition::Like { column, pattern, escape, fold } => {
                self.term(node)?;
                self.like(column, pattern, escape.as_ref(), *fold)?
            }
            Condition::IsNull(name) => {
                self.term(node)?;
                Predicate::IsNull(self.find(name)?)
            }
        })
    }

    fn parts(&mut self, parts: &[Node<'_>], depth: usize) -> Result<Vec<Predicate>, Fault> {
        parts.iter().map(|part| self.predicate(part, depth)).collect()
    }

    fn compare(
        &mut self,
        node: &Node<'_>,
        name: &Name<'_>,
        comparison: Comparison,
        literal: &Literal<'_>,
    ) -> Result<Predicate, Fault> {
        self.term(node)?;
        let (at, column) = self.comparable(name)?;
        Ok(compare(column, at, comparison, self.place(column, literal)?))
    }

    fn like(
        &self,
        name: &Name<'_>,
        pattern: &Literal<'_>,
        escape: Option<&Literal<'_>>,
        fold: bool,
    ) -> Result<Predicate, Fault> {
        let at = self.find(name)?;
        let escape = escape.map(|literal| self.escape(literal)).transpose()?;
        let text = self.text(pattern, "a pattern is a text in single quotes")?;
        let parsed = Pattern::parse(text.unwrap_or(""), escape)
            .map_err(|error| Fault::at(pattern.span.clone(), &error))?;
        let like = Predicate::Like { column: at, pattern: parsed, fold };
        let like = self.check(like, &name.span)?;
        Ok(if text.is_some() { like } else { Predicate::Constant(Truth::Unknown) })
    }

    fn escape(&self, literal: &Literal<'_>) -> Result<char, Fault> {
        let help = "ESCAPE takes one character, such as '!'";
        let mut chars = self.text(literal, help)?.unwrap_or("").chars();
        let one = chars.next().filter(|_| chars.next().is_none());
        one.ok_or_else(|| Fault::new(literal.span.clone(), help))
    }

    /// Returns a literal that must be text; `None` if it is null.
    fn text<'l>(&self, literal: &'l Literal<'_>, help: &str) -> Result<Option<&'l str>, Fault>
    where
        'a: 'l,
    {
        let value = match &literal.value {
            Written::Null => return Ok(None),
            Written::Text(text) => return Ok(Some(text)),
            Written::Positional(_) | Written::Named(_) => self.parameter(literal)?.cell(),
            Written::Bool(_) | Written::Number(_) | Written::Bytes(_) => Cell::Bool(true),
        };
        match value {
            Cell::Null => Ok(None),
            Cell::Text(text) => Ok(Some(text)),
            _ => Err(Fault::new(literal.span.clone(), help)),
        }
    }

    /// Finds the place of a literal among the values of a column.
    fn place(&self, column: &Column, literal: &Literal<'_>) -> Result<Place, Fault> {
        let place = match &literal.value {
            Written::Number(number) => Place::of_number(column, number),
            Written::Null => Place::of(column, Value::Null),
            Written::Bool(value) => Place::of(column, Value::Bool(*value)),
            Written::Text(text) => Place::of(column, Value::Text(text.as_ref().into())),
            Written::Bytes(bytes) => Place::of(column, Value::Bytes(bytes.clone())),
            Written::Positional(_) | Written::Named(_) => {
                Place::of(column, self.parameter(literal)?.clone())
            }
        };
        place.map_err(|error| Fault::at(literal.span.clone(), &error))
    }

    fn parameter(&self, literal: &Literal<'_>) -> Result<&'a Value, Fault> {
        let value = match literal.value {
            Written::Positional(position) => self.parameters.at(position),
            Written::Named(name) => self.parameters.of(name),
            _ => Ok(&Value::Null),
        };
        value.map_err(|error| Fault::at(literal.span.clone(), &error))
    }

    fn find(&self, name: &Name<'_>) -> Result<u16, Fault> {
        self.schema.find(&name.name).map_err(|error| Fault::at(name.span.clone(), &error))
    }

    fn bool_column(&self, name: &Name<'_>) -> Result<(), Fault> {
        let column = self.schema.column(self.find(name)?);
        if column.column_type == Type::Bool {
            return Ok(());
        }
        let message = format!(
            "IS TRUE and IS FALSE stand behind a bool column or a condition in parentheses; the \
             column {:?} is {}",
            column.name, column.column_type
        );
        Err(Fault::new(name.span.clone(), message))
    }

    fn comparable(&self, name: &Name<'_>) -> Result<(u16, &'a Column), Fault> {
        let at = self.find(name)?;
        let column = self.schema.column(at);
        comparable(column).map_err(|error| Fault::at(name.span.clone(), &error))?;
        Ok((at, column))
    }

    /// Checks one test of a column.
    fn check(&self, leaf: Predicate, span: &Range<usize>) -> Result<Predicate, Fault> {
        leaf.bind(self.schema, self.limits).map_err(|error| Fault::at(span.clone(), &error))
    }

    fn term(&mut self, node: &Node<'_>) -> Result<(), Fault> {
        self.terms += 1;
        if self.terms > self.limits.terms_max {
            let message = format!("the filter has more than {} conditions", self.limits.terms_max);
            return Err(Fault::limit(node.span.clone(), message));
        }
        Ok(())
    }

    fn too_deep(&self, node: &Node<'_>) -> Fault {
        let message = format!("the filter is nested more than {} deep", self.limits.depth_max);
        Fault::limit(node.span.clone(), message)
    }
}

/// Returns the condition that a literal alone is.
fn constant(literal: &Literal<'_>) -> Result<Predicate, Fault> {
    match literal.value {
        Written::Null => Ok(Predicate::Constant(Truth::Unknown)),
        Written::Bool(value) => Ok(Predicate::Constant(value.into())),
        _ => {
            let message =
                "a literal alone is no condition; it is compared with a column, such as x = 5";
            Err(Fault::new(literal.span.clone(), message))
        }
    }
}
